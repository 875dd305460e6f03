"""Plotly's pictures in the cells of somebody's figure, matplotlib's on somebody's axes."""

import importlib
import inspect
import pkgutil

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr
from plotly.subplots import make_subplots

import jaxopt_course as jc
from jaxopt_course import report
from jaxopt_course.report import interactive, landscapes, relief, style

BOX = [(-2.0, 2.0), (-1.0, 1.0)]
PATHS = {"sgd": np.array([[1.0, 0.1], [0.5, 0.3], [0.1, 0.9]]), "adam": np.array([[1.0, 0.1], [0.2, 0.2]])}


def saddle(x):
    return x[0] ** 2 - x[1] ** 2


def swept(momenta=(0.0, 0.9)) -> xr.Dataset:
    """A small sweep that never ran; its largest rate diverged."""
    loss = np.array([[[[1.0]], [[0.9]]], [[[0.3]], [[0.4]]], [[[np.inf]], [[np.inf]]]]) * np.ones((3, 2, 2, 3))
    diverged = np.where(np.isfinite(loss[..., -1]), -1, 7)
    over = ("learning_rate", "momentum", "seed")
    return xr.Dataset(
        {"validation_loss": ((*over, "epoch"), loss), "loss": ((*over, "epoch"), loss), "diverged_step": (over, diverged)},
        {
            "learning_rate": ("learning_rate", [0.01, 0.1, 1.0], {"scale": "log"}),
            "momentum": list(momenta),
            "seed": [0, 1],
            "epoch": [0, 1, 2],
        },
    )


def plane() -> xr.Dataset:
    at = np.linspace(-1, 1, 5)
    return xr.Dataset({"loss": (("beta", "alpha"), 1 + at[:, None] ** 2 + 2 * at**2)}, {"alpha": at, "beta": at})


PICTURES = {  # name → (the kind of cell, the picture)
    "interactive": ("scene", lambda **at: relief.interactive(saddle, PATHS, bounds=BOX, **at)),
    "landscape_3d": ("scene", lambda **at: landscapes.landscape_3d(plane(), paths=PATHS, **at)),
    "sensitivity": ("xy", lambda **at: interactive.sensitivity(swept(), by="momentum", **at)),
    "heatmap": ("xy", lambda **at: interactive.heatmap(swept(), **at)),
    "parallel": ("domain", lambda **at: interactive.parallel(swept(), **at)),
}
each = pytest.mark.parametrize(("kind", "draw"), PICTURES.values(), ids=PICTURES)


def cells(kind):
    return make_subplots(1, 3, specs=[[{"type": kind}] * 3])


def pictures():
    """Every public function of `report` that makes a figure, and what it says it returns."""
    for module in pkgutil.iter_modules(report.__path__):
        loaded = importlib.import_module(f"{report.__name__}.{module.name}")
        for name in getattr(loaded, "__all__", ()):
            function = getattr(loaded, name)
            returned = str(getattr(function, "__annotations__", {}).get("return"))
            if inspect.isfunction(function) and returned in ("Figure", "Animation", "go.Figure"):
                yield pytest.param(function, returned, id=f"{module.name}.{name}")


@pytest.mark.parametrize(("function", "returned"), list(pictures()))
def test_every_picture_can_be_drawn_on_given_axes_or_in_a_given_cell(function, returned):
    parameters = inspect.signature(function).parameters
    places = ("figure", "row", "col") if returned == "go.Figure" else ("axes",)
    assert [parameters[name].default for name in places] == [None] * len(places)
    assert returned != "go.Figure" or function.__name__ in PICTURES


@each
def test_a_cell_holds_what_the_figure_alone_shows(kind, draw):
    figure, alone = cells(kind), draw()
    before = figure.layout.paper_bgcolor
    assert draw(figure=figure, row=1, col=2) is figure
    assert len(figure.data) == len(alone.data)
    for inside, own in zip(figure.data, alone.data, strict=True):
        inside, own = inside.to_plotly_json(), own.to_plotly_json()
        for key in own.keys() - {"legendgroup", "colorbar", "yaxis"}:
            np.testing.assert_equal(inside[key], own[key])
    assert figure.layout.paper_bgcolor == before
    figure.to_json()


@pytest.mark.parametrize("name", ["interactive", "landscape_3d"])
def test_a_scene_gets_its_titles_and_leaves_its_neighbours_alone(name):
    _, draw = PICTURES[name]
    figure = cells("scene")
    draw(figure=figure, row=1, col=2)
    assert {trace.scene for trace in figure.data} == {"scene2"}
    own = draw().layout.scene
    assert figure.layout.scene2.zaxis.title.text == own.zaxis.title.text
    assert figure.layout.scene2.aspectratio == own.aspectratio
    assert figure.layout.scene.zaxis.title.text is None
    assert figure.layout.scene2.domain.x == cells("scene").layout.scene2.domain.x


def test_a_pair_of_axes_gets_scale_titles_and_an_overlay_of_its_own():
    figure = cells("xy")
    for col in (1, 3):
        interactive.sensitivity(swept(), by="momentum", figure=figure, row=1, col=col)
    own = interactive.sensitivity(swept(), by="momentum")
    assert figure.layout.xaxis3.type == own.layout.xaxis.type == "log"
    assert figure.layout.yaxis3.title.text == own.layout.yaxis.title.text
    assert figure.layout.xaxis2.title.text is None
    count = len(own.data)
    for traces, names in ((figure.data[:count], ("x", "y", "y4")), (figure.data[count:], ("x3", "y3", "y5"))):
        across, up, edge = names
        crosses = [trace for trace in traces if trace.marker.symbol == "x-thin-open"]
        assert {(trace.xaxis, trace.yaxis) for trace in crosses} == {(across, edge)}
        assert {(trace.xaxis, trace.yaxis) for trace in traces if trace not in crosses} == {(across, up)}
        overlay = figure.layout[f"yaxis{edge[1:]}"]
        assert (overlay.overlaying, overlay.anchor, overlay.range) == (up, across, (0, 1))


def test_names_stand_in_a_legend_of_each_cell_that_hides_only_its_own_lines():
    figure = cells("xy")
    for col in (1, 3):
        interactive.sensitivity(swept(), by="momentum", figure=figure, row=1, col=col)
    legends = [figure.layout.legend2, figure.layout.legend3]
    assert [legend.x for legend in legends] == [figure.layout.xaxis.domain[1], figure.layout.xaxis3.domain[1]]
    assert {legend.title.text for legend in legends} == {"momentum"}
    groups = [{trace.legendgroup for trace in figure.data if trace.legend == name} for name in ("legend2", "legend3")]
    assert all(groups)
    assert not groups[0] & groups[1]


def test_a_colour_bar_stands_beside_its_cell():
    figure = cells("xy")
    interactive.heatmap(swept(), figure=figure, row=1, col=2)
    (bar,) = (trace.colorbar for trace in figure.data if trace.type == "heatmap")
    assert bar.x == figure.layout.xaxis2.domain[1]
    assert bar.title.text == interactive.heatmap(swept()).data[0].colorbar.title.text


@each
def test_a_figure_without_cells_is_drawn_in(kind, draw):
    figure = go.Figure()
    assert draw(figure=figure) is figure
    assert len(figure.data) == len(draw().data)
    assert figure.layout.paper_bgcolor == draw().layout.paper_bgcolor


WRONG = {
    "no figure": (lambda kind: {"row": 1, "col": 1}, ValueError, "row and col are a cell of figure: give it too"),
    "matplotlib's": (lambda kind: {"figure": style.Figure()}, TypeError, "figure must be a plotly figure; got <Figure"),
    "half a cell": (lambda kind: {"figure": cells(kind), "row": 1}, ValueError, "give row and col, both.*row=1, col=None"),
    "no cell": (lambda kind: {"figure": cells(kind)}, ValueError, "give row and col, both.*row=None, col=None"),
    "no cells": (lambda kind: {"figure": go.Figure(), "row": 1, "col": 1}, ValueError, "need a figure with cells"),
    "outside": (lambda kind: {"figure": cells(kind), "row": 2, "col": 1}, ValueError, "has no cell row=2, col=1"),
    "kind": (lambda kind: {"figure": cells("polar"), "row": 1, "col": 2}, ValueError, "must be of type .*it is 'polar'"),
    "empty": (
        lambda kind: {"figure": make_subplots(1, 2, specs=[[{"type": kind, "colspan": 2}, None]]), "row": 1, "col": 2},
        ValueError,
        "it is 'empty'",
    ),
}


@each
@pytest.mark.parametrize(("place", "error", "message"), WRONG.values(), ids=WRONG)
def test_bad_places_are_refused(kind, draw, place, error, message):
    with pytest.raises(error, match=message):
        draw(**place(kind))


def test_plot_draws_in_a_cell():
    figure = cells("xy")
    assert jc.plot(swept(), interactive=True, figure=figure, row=1, col=1) is figure
    assert figure.data
    with pytest.raises(TypeError, match="unknown option 'row' of sensitivity"):
        jc.plot(swept(), row=1)
