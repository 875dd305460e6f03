"""A loss surface is drawn where it was evaluated, and paths where they were projected."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from jaxopt_course.report import landscapes, terrain

PATH = np.array([[-0.8, 0.9], [0.2, 0.5], [0.0, 0.0]])


@pytest.fixture
def surface():
    alpha, beta = np.linspace(-1, 1, 21), np.linspace(-1, 1.5, 26)
    training = 0.1 + alpha**2 + 4 * beta[:, None] ** 2
    test = 0.2 + (alpha - 0.3) ** 2 + 4 * (beta[:, None] - 0.2) ** 2
    return xr.Dataset(
        {"training_loss": (("beta", "alpha"), training), "test_loss": (("beta", "alpha"), test)},
        {"alpha": ("alpha", alpha, {"long_name": "along δ"}), "beta": beta},
    )


def lines_of(axes):
    return {line.get_label(): line for line in axes.lines}


def test_a_surface_with_its_path_and_its_lowest_point(surface):
    figure = landscapes.landscape(surface, "test_loss", paths={"sgd": PATH}, points={"trained": (0, 0)}, minimum=True)
    axes = figure.axes[0]
    found = lines_of(axes)
    np.testing.assert_allclose(found["sgd"].get_xydata(), PATH)
    np.testing.assert_allclose(found["lowest of the grid"].get_xydata(), [[0.3, 0.2]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("along δ", "β")
    assert (axes.get_xlim(), axes.get_ylim()) == ((-1, 1), (-1, 1.5))
    assert figure.axes[1].get_ylabel() == "test loss"


def test_surfaces_side_by_side_share_their_levels_and_both_minima(surface):
    figure = landscapes.landscapes(surface, theme="dark")
    first, second, _ = figure.axes
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["training loss", "test loss"]
    np.testing.assert_array_equal(first.collections[0].levels, second.collections[0].levels)
    for axes in (first, second):
        found = lines_of(axes)
        np.testing.assert_allclose(found["lowest training loss"].get_xydata(), [[0, 0]], atol=1e-12)
        np.testing.assert_allclose(found["lowest test loss"].get_xydata(), [[0.3, 0.2]])


def test_given_axes_are_drawn_on_without_a_colour_bar(surface):
    figure = Figure()
    one, *two = figure.subplots(1, 3)
    assert landscapes.landscape(surface, axes=one) is figure
    assert landscapes.landscapes(surface, axes=two) is figure
    assert len(figure.axes) == 3


def test_what_diverged_stays_blank(surface, tmp_path):
    spoilt = surface.where(surface["alpha"] < 0.5, np.inf)
    landscapes.landscape(spoilt).savefig(tmp_path / "landscape.png")
    landscapes.landscape_3d(spoilt).write_html(tmp_path / "landscape.html", include_plotlyjs=False)


def test_the_path_lies_on_the_surface_in_three_dimensions(surface):
    figure = landscapes.landscape_3d(surface, "training_loss", paths={"sgd": PATH}, log=False)
    drawn, path = figure.data
    np.testing.assert_allclose(drawn.z, surface["training_loss"])
    inside = np.stack([path.x, path.y], axis=1)
    exact = 0.1 + inside[:, 0] ** 2 + 4 * inside[:, 1] ** 2
    lift = 0.012 * float(surface["training_loss"].max() - surface["training_loss"].min())
    np.testing.assert_allclose(np.array(path.z), exact + lift, atol=0.015)  # interpolated on a grid of steps 0.1
    np.testing.assert_allclose(inside[[0, -1]], PATH[[0, -1]])


def test_heights_over_a_factor_of_ten_are_logarithmic(surface):
    figure = landscapes.landscape_3d(surface, theme="dark")
    np.testing.assert_allclose(figure.data[0].z, np.log10(surface["training_loss"]))
    ticks = figure.layout.scene.zaxis
    np.testing.assert_allclose(10.0 ** np.array(ticks.tickvals), np.array(ticks.ticktext, float))
    assert landscapes.landscape_3d(surface + 10).layout.scene.zaxis.tickvals is None


def test_a_figure_can_be_added_to(surface):
    figure = landscapes.landscape_3d(surface)
    assert landscapes.landscape_3d(surface, "test_loss", figure=figure) is figure
    assert len(figure.data) == 2


def test_levels_rise_from_the_lowest_to_the_highest_value():
    for values in ([0.01, 5.0], [-3.0, 2.0], [1.0, 2.0], [4.0, 4.0], [np.nan, 1.0, np.inf]):
        levels = terrain.levels(np.array(values))
        assert (np.diff(levels) > 0).all()
        finite = np.array(values)[np.isfinite(values)]
        assert levels[0] <= finite.min() + 1e-12
        assert levels[-1] >= finite.max() - 1e-12


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_colours_of_heights_read_the_same_in_grey(theme):
    shades = terrain.colormap(theme)(np.linspace(0, 1, 50))[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert len(set(np.sign(np.diff(shades)))) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: landscapes.landscape(s, "los"), "no surface 'los'"),
        (lambda s: landscapes.landscape(s, "test_los"), "did you mean 'test_loss'"),
        (lambda s: landscapes.landscape(s.rename(alpha="x")), r"dataset over \('beta', 'alpha'\); got"),
        (lambda s: landscapes.landscape(s * np.nan), "training_loss is finite nowhere"),
        (lambda s: landscapes.landscape(s, paths={"sgd": [1, 2]}), r"path 'sgd' must be .*\[points, 2\]; got shape \(2,\)"),
        (lambda s: landscapes.landscape(s, points={"end": [1]}), r"point 'end' must be \(α, β\); got \[1\]"),
        (lambda s: landscapes.landscapes(s, axes=[]), "expected 2 axes, one for each surface; got 0"),
        (lambda s: landscapes.landscape_3d(s - 1, log=True), "log needs positive values; training_loss goes down to -0.9"),
    ],
)
def test_bad_arguments_are_refused_by_name(surface, call, message):
    with pytest.raises(ValueError, match=message):
        call(surface)
