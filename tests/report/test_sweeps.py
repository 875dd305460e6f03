"""What the pictures of sweeps show, in matplotlib and in plotly."""

from __future__ import annotations

import itertools

import matplotlib.figure
import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

from jaxopt_course.report import interactive, panels, sweeps, swept
from jaxopt_course.sweep import plot

RATES = [1e-3, 1e-2, 1e-1, 1.0, 10.0]
MOMENTA = [0.0, 0.5, 0.9]


def made_up(rates=RATES, momenta=MOMENTA) -> xr.Dataset:
    """A sweep that never ran: a valley over log rate, lower for larger momentum; 10.0 diverges, 1.0 with 0.9 in one seed."""
    final = np.array(
        [[[0.1 + (np.log10(r) + 2 + 0.8 * m) ** 2 / 10 + 0.01 * s for s in (0, 1, 3)] for m in momenta] for r in rates]
    )
    step = np.full(final.shape, -1)
    step[np.array(rates) > 5] = 3
    step[np.array(rates) == 1.0, -1, 1] = 7
    values = np.stack([np.full(final.shape, 2.3), final], -1)
    values[step >= 0, 1] = np.nan
    over = ("learning_rate", "momentum", "seed")
    return xr.Dataset(
        {
            "loss": ((*over, "epoch"), values * [np.nan, 1.1]),
            "validation_loss": ((*over, "epoch"), values),
            "validation_accuracy": ((*over, "epoch"), 1 - values / 3),
            "test_accuracy": (over, values[..., 1] / 3),  # best where the validation accuracy is worst
            "diverged_step": (over, step),
        },
        {
            "learning_rate": ("learning_rate", rates, {"scale": "log"}),
            "momentum": ("momentum", momenta, {"scale": "linear"}),
            "seed": [0, 1, 2],
            "epoch": [0, 1],
        },
        {"title": "15 configurations on paper", "problem": "paper", "incomplete": 0},
    )


@pytest.fixture
def grid() -> xr.Dataset:
    return made_up()


@pytest.fixture
def drawn(grid) -> xr.Dataset:
    """The same configurations as points of a space."""
    rows = grid.stack(configuration=("learning_rate", "momentum"), create_index=False)
    rows = rows.assign_coords(form=("configuration", ["a", "b", "c"] * 5)).assign_coords(configuration=np.arange(15))
    rows["learning_rate"].attrs["scale"] = "log"
    return rows.transpose("configuration", "seed", "epoch")


def named(figure):
    return {line.get_label(): line for line in figure.axes[0].lines}


def drawn_curves(figure):
    """(x, y) of the lines of a sensitivity, in their order: those with small points."""
    return [line.get_xydata() for line in figure.axes[0].lines if line.get_markersize() == 3]


def marks(figure, symbol):
    return [line.get_xydata() for line in figure.axes[0].lines if line.get_marker() == symbol and len(line.get_xdata())]


def test_a_curve_is_the_mean_over_seeds_and_its_band_their_range(grid):
    figure = sweeps.sensitivity(grid)
    final = grid.validation_loss.isel(epoch=-1)
    for k, curve in enumerate(drawn_curves(figure)):
        np.testing.assert_allclose(curve[:, 0], RATES)
        np.testing.assert_allclose(curve[:, 1], final.isel(momentum=k).mean("seed", skipna=False))
    bands = [collection.get_paths()[0].vertices for collection in figure.axes[0].collections]
    assert len(bands) == 3
    first = final.isel(momentum=0, learning_rate=slice(4))
    assert (bands[0][:, 1].min(), bands[0][:, 1].max()) == pytest.approx((float(first.min()), float(first.max())))
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale(), axes.get_yscale()) == (
        "learning rate", "final validation loss", "log", "log",
    )  # fmt: skip
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["0", "0.5", "0.9", "diverged"]
    assert axes.get_legend().get_title().get_text() == "momentum"


def test_what_diverged_in_any_seed_is_a_cross_at_the_edge_and_no_point(grid):
    figure = sweeps.sensitivity(grid)
    crosses = marks(figure, "x")
    assert [cross[:, 0].tolist() for cross in crosses] == [[10.0], [10.0], [1.0, 10.0]]
    heights = [cross[0, 1] for cross in crosses]
    assert all(0.9 < height < 1 for height in heights)  # of the axes' height
    assert len(set(heights)) == 3  # none hides another
    assert np.isnan(drawn_curves(figure)[2][3:, 1]).all()
    accuracy = sweeps.sensitivity(grid, "validation_accuracy")
    assert all(cross[0, 1] < 0.1 for cross in marks(accuracy, "x"))


def test_the_axis_is_cut_above_the_start_and_what_is_beyond_is_a_triangle(grid):
    grid.validation_loss[3, 0, :, 1] = 1e9
    figure = sweeps.sensitivity(grid)
    assert 2.3 < figure.axes[0].get_ylim()[1] < 3
    assert [mark[:, 0].tolist() for mark in marks(figure, "^")] == [[1.0]]
    assert "off the scale" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_the_best_point_is_large_and_chosen_on_validation(grid):
    large = lambda figure: [line.get_xydata()[0] for line in figure.axes[0].lines if line.get_markersize() == 8]
    assert [point[0] for point in large(sweeps.sensitivity(grid))] == [1e-2, 1e-2, 1e-3]
    tested = sweeps.sensitivity(grid, "test_accuracy", falls=False)
    assert tested.axes[0].get_ylabel() == "test accuracy (%)"
    by = swept.outcome(grid, "test_accuracy")
    assert by.best == swept.outcome(grid, "validation_accuracy").best != int(np.nanargmax(by.mean))


def test_axes_that_are_not_drawn_are_chosen_at_each_point(grid):
    wide = xr.concat([grid, grid.assign(validation_loss=grid.validation_loss + 1)], "b2").assign_coords(b2=[0.5, 0.9])
    picture = panels.curves(wide, "validation_loss", "learning_rate", "b2", None)
    best = grid.validation_loss.isel(epoch=-1).mean("seed", skipna=False).min("momentum")
    np.testing.assert_allclose(picture.curves["0.5"].mean, best)
    np.testing.assert_allclose(picture.curves["0.9"].mean, best + 1)
    assert picture.label == "final validation loss, best momentum"


def test_the_points_of_a_drawn_space_are_no_curve(drawn):
    figure = sweeps.sensitivity(drawn, by="form")
    assert drawn_curves(figure) == []
    assert len(figure.axes[0].containers) == 3
    assert not any(line.get_linestyle() not in ("None", "") for line in figure.axes[0].lines)
    assert sum(len(cross) for cross in marks(figure, "x")) == 4


def test_several_sweeps_have_one_curve_each_best_over_the_rest(grid):
    figure = sweeps.sensitivity({"one": grid, "two": grid.isel(momentum=[0])})
    one, two = drawn_curves(figure)
    final = grid.validation_loss.isel(epoch=-1).mean("seed", skipna=False)
    np.testing.assert_allclose(one[:, 1], final.min("momentum"))
    np.testing.assert_allclose(two[:, 1], final.isel(momentum=0))
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()][:2] == ["one", "two"]
    assert figure.axes[0].get_title("left") == "paper"


def test_a_heat_map_shows_every_mean_and_marks_divergence_and_the_best(grid):
    figure = sweeps.heatmap(grid)
    (image,) = figure.axes[0].images
    np.testing.assert_allclose(image.get_array().filled(np.nan), grid.validation_loss[..., -1].mean("seed", skipna=False).T)
    assert sorted(map(tuple, np.concatenate(marks(figure, "x")).tolist())) == [(3, 2), (4, 0), (4, 1), (4, 2)]
    (frame,) = figure.axes[0].patches
    assert frame.get_xy() == (0.5, -0.5)  # rate 0.01, momentum 0
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["0", "0.5", "0.9"]


def test_the_heat_map_of_a_drawn_space_stands_where_its_points_are(drawn):
    figure = sweeps.heatmap(drawn)
    points = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(points, np.stack([drawn.learning_rate, drawn.momentum], -1))
    assert figure.axes[0].get_xscale() == "log"
    assert len(np.concatenate(marks(figure, "x"))) == 4


def test_parallel_coordinates_have_a_line_for_each_configuration(grid):
    figure = sweeps.parallel(grid)
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    assert len(lines) == 15
    lost = [line for line in lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[-1] for line in lost] == [1.1] * 4
    best = max(lines, key=lambda line: line.get_linewidth())
    np.testing.assert_allclose(best.get_ydata(), [0.25, 0, 0], atol=1e-12)  # rate 0.01 in 1e-3 … 10, logarithmically
    assert "diverged" in [text.get_text() for text in figure.axes[0].texts]


def test_what_is_missing_is_not_called_diverged(grid):
    grid.validation_loss[0] = np.nan
    own = swept.outcome(grid.assign_attrs(incomplete=1))
    assert own.title.endswith("(incomplete)")
    assert np.isnan(own.mean[:3]).all()
    assert not own.diverged[:3].any()
    assert np.isinf(own.cost[:3]).all()
    assert len([line for line in sweeps.parallel(grid).axes[0].lines if len(line.get_xdata()) == 3]) == 12
    for figure in (interactive.parallel(grid), interactive.heatmap(grid), interactive.sensitivity(grid)):
        figure.to_json()


def test_a_sweep_in_which_everything_diverged_is_still_a_picture(grid):
    grid.diverged_step[:] = 1
    for kind, page in itertools.product(("sensitivity", "heatmap", "parallel"), (False, True)):
        figure = plot(grid, kind=kind, interactive=page)
        figure.to_json() if page else figure.draw_without_rendering()
    assert sum(len(cross) for cross in marks(sweeps.sensitivity(grid), "x")) == 15


def test_the_interactive_sensitivity_has_the_numbers_of_the_picture(grid):
    page, picture = interactive.sensitivity(grid), sweeps.sensitivity(grid)
    lines = [trace for trace in page.data if trace.showlegend]
    assert [trace.name for trace in lines] == ["0", "0.5", "0.9"]
    for trace, curve in zip(lines, drawn_curves(picture), strict=True):
        np.testing.assert_array_equal(np.stack([trace.x, trace.y], -1), curve)
    crosses = [trace for trace in page.data if trace.marker.symbol == "x-thin-open"]
    assert [list(trace.x) for trace in crosses] == [[10.0], [10.0], [1.0, 10.0]]
    np.testing.assert_allclose(page.layout.yaxis.range, np.log10(picture.axes[0].get_ylim()))
    bands = [trace for trace in page.data if trace.fill == "toself"]
    np.testing.assert_allclose(bands[0].y[:-1], np.r_[lowest(grid), highest(grid)[::-1]])


def lowest(grid):
    return grid.validation_loss[:4, 0, :, -1].min("seed").values


def highest(grid):
    return grid.validation_loss[:4, 0, :, -1].max("seed").values


def test_the_interactive_heat_map_and_lines_have_the_numbers_of_the_picture(grid, drawn):
    cells = interactive.heatmap(grid).data[0]
    np.testing.assert_allclose(cells.customdata, grid.validation_loss[..., -1].mean("seed", skipna=False).T)
    assert list(cells.x) == ["0.001", "0.01", "0.1", "1", "10"]
    points, crosses, best = interactive.heatmap(drawn).data
    assert (len(points.x), len(crosses.x), list(best.x)) == (11, 4, [0.01])
    (lines,) = interactive.parallel(grid).data
    assert len(lines.dimensions[0]["values"]) == 15
    assert sum(value > 1 for value in lines.dimensions[-1]["values"]) == 4
    assert list(lines.line.color).count(1.4) == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_are_drawn_on_given_axes_and_in_both_themes(grid, theme):
    figure = matplotlib.figure.Figure()
    axes = figure.subplots()
    assert sweeps.sensitivity(grid, axes=axes, theme=theme) is figure
    assert interactive.heatmap(grid, theme=theme).layout.paper_bgcolor == sweeps.style.THEMES[theme].paper


@pytest.mark.parametrize("draw", [sweeps.sensitivity, sweeps.heatmap, sweeps.parallel])
def test_two_panels_side_by_side_keep_their_room(draw):
    """With nothing off the scale: an empty, unclipped line would be laid out at the figure's corner."""
    figure = matplotlib.figure.Figure(layout="constrained")
    for axes in figure.subplots(1, 2):
        draw(made_up(), axes=axes)
    figure.draw_without_rendering()  # else a warning: axes sizes collapsed to zero
    drawn = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_position().width > 0.2 for axes in drawn] == [True, True]


def test_values_are_told_apart():
    axis = swept.Axis("b2", (0.99, 0.9999, 0.99999), np.arange(3), "linear")
    assert len(set(axis.texts)) == 3


def test_plot_chooses_a_picture(grid, drawn):
    assert plot(grid).axes[0].get_ylabel() == "final validation loss"
    assert isinstance(plot(grid, interactive=True), go.Figure)
    assert plot(grid.isel(momentum=0, drop=True), x="learning_rate").axes[0].get_legend() is not None
    assert len(plot(drawn).axes[0].texts) > 10  # three axes: parallel coordinates
    wide = made_up(momenta=[0.0, 0.3, 0.6, 0.9])
    assert plot(wide).axes[0].images
    assert plot({"a": grid, "b": grid}).axes[0].lines


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"metric": "validation_los"}, ValueError, "plot: unknown metric 'validation_los'; did you mean 'validation_loss'"),
        ({"x": "momentun"}, ValueError, "no axis 'momentun'; did you mean 'momentum'"),
        ({"by": "rate"}, ValueError, "no axis 'rate'"),
        ({"kind": "heat"}, ValueError, "unknown kind 'heat'; did you mean 'heatmap'"),
        ({"kind": "heatmap", "x": "momentum", "by": "momentum"}, ValueError, "x and by must differ; got 'momentum' twice"),
        ({"falls": "no"}, TypeError, "plot: falls must be None, True or False; got 'no'"),
        ({"theme": "drak"}, ValueError, "plot: unknown theme 'drak'; did you mean 'dark'"),
        ({"theme": "drak", "interactive": True}, ValueError, "plot: unknown theme 'drak'; did you mean 'dark'"),
        ({"interactive": True, "axes": 1}, TypeError, "axes are matplotlib's"),
        ({"results": {}}, ValueError, "results must be a sweep's dataset, or some by name"),
        ({"results": xr.Dataset({"a": 1})}, ValueError, "results must be what jc.sweep returned"),
        ({"results": {"a": 5}}, TypeError, "results must be what jc.sweep returned; got 5"),
        ({"results": "a.nc"}, ValueError, "results must be a sweep's dataset, or some by name: .*; got 'a.nc'"),
        ({"results": made_up().isel(seed=0)}, ValueError, r"the dimension 'seed' .*\.isel\(seed=\[0\]\) keeps"),
        ({"results": made_up().isel(learning_rate=0, momentum=0)}, ValueError, "results must have an axis of configurations"),
        ({"colour": 3}, TypeError, "plot: unknown option 'colour' of sensitivity .*known: axes, by, falls, theme, x"),
        ({"kind": "parallel", "x": "momentum"}, TypeError, "plot: unknown option 'x' of parallel"),
        ({"axes": 3}, TypeError, "axes must be matplotlib's Axes; got 3"),
        ({"x": "momentum", "by": "momentum"}, ValueError, "x and by must differ; got 'momentum' twice"),
        ({"results": {"a": made_up()}, "kind": "parallel"}, ValueError, "several sweeps are compared by kind='sensitivity'"),
        ({"results": {"a": made_up()}, "by": "momentum"}, ValueError, "several sweeps have one curve each"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(grid, options, error, message):
    with pytest.raises(error, match=message):
        plot(**{"results": grid} | options)


def test_a_heat_map_of_one_axis_is_refused(grid):
    with pytest.raises(ValueError, match="needs two axes; only learning_rate was swept"):
        sweeps.heatmap(grid.isel(momentum=0, drop=True))
