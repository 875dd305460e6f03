"""Level curves, gradients, paths, an optimizer's state: what is drawn is what was walked."""

from __future__ import annotations

import re
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from matplotlib.quiver import Quiver

import jaxopt_course as jc
from jaxopt_course.report import paths, states, style, terrain


def valley(x):
    return x[0] ** 2 + 3 * (x[1] - 0.5) ** 2 + x[0] * x[1]


BOX = [(-2.0, 2.0), (-1.0, 3.0)]


@pytest.fixture
def walked() -> xr.Dataset:
    """Two optimizers with two rates from two starts; one of them leaves the numbers."""
    rng = np.random.default_rng(3)
    steps = np.arange(0, 60, 5)
    params = np.array([0.8, -0.5]) + rng.normal(0, 0.2, (2, 2, 2, len(steps), 2)).cumsum(axis=3)
    params[1, 1, 0, 7:] = np.nan
    dims = ("optimizer", "learning_rate", "start", "step", "dimension")
    memory = np.abs(rng.normal(1.0, 0.5, params.shape))
    coordinates = {"optimizer": ["sgd", "adam"], "learning_rate": [0.1, 0.01], "start": [0, 1], "step": steps}
    return xr.Dataset({"params": (dims, params), "m": (dims, memory - 1), "v": (dims, memory)}, coordinates)


def trails(axes):
    return [line for line in axes.lines if len(line.get_xdata()) > 1 and line.get_linestyle() != "None"]


def test_every_path_is_drawn_in_its_optimizers_look_up_to_where_it_left(walked):
    axes = paths.level_curves(valley, walked, bounds=BOX).axes[0]
    drawn = trails(axes)
    assert len(drawn) == 8
    labels = [line.get_label() for line in drawn]
    assert list(dict.fromkeys(labels)) == [
        "sgd, learning_rate 0.1", "sgd, learning_rate 0.01", "adam, learning_rate 0.1", "adam, learning_rate 0.01",
    ]  # fmt: skip
    assert len({to_hex(line.get_color()) for line in drawn}) == 4
    np.testing.assert_allclose(drawn[1].get_xydata(), walked.params[0, 0, 1])
    np.testing.assert_allclose(drawn[6].get_xydata(), walked.params[1, 1, 0, :7])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(dict.fromkeys(labels))


def test_levels_enclose_equal_areas_and_are_those_of_the_function():
    axes = paths.level_curves(valley, bounds=BOX).axes[0]
    filled, curves = axes.collections[:2]
    np.testing.assert_allclose(filled.levels, curves.levels)
    x, y = np.meshgrid(np.linspace(*BOX[0], 301), np.linspace(*BOX[1], 301))
    shares = np.histogram(valley([x, y]), filled.levels)[0] / x.size
    np.testing.assert_allclose(shares, 1 / (len(filled.levels) - 1), rtol=0.1)


def test_a_path_that_runs_away_does_not_reach_the_renderer():
    far = 10.0 ** np.arange(40)[:, None] * np.ones(2)
    axes = paths.level_curves(valley, {"away": far}, bounds=BOX).axes[0]
    assert len(trails(axes)[0].get_xdata()) == 3  # 1 and 10 are near, 100 is the first that is far
    assert axes.get_xlim() == (-2.0, 2.0)


def test_arrows_point_down_the_gradient():
    axes = paths.level_curves(valley, bounds=BOX, gradients=True).axes[0]
    (arrows,) = [each for each in axes.collections if isinstance(each, Quiver)]
    x, y = arrows.XY.T
    slope = np.stack([2 * x + y, 6 * (y - 0.5) + x], axis=1)
    drawn = np.stack([arrows.U, arrows.V], axis=1)
    cosines = (drawn * -slope).sum(axis=1) / np.linalg.norm(drawn, axis=1) / np.linalg.norm(slope, axis=1)
    np.testing.assert_allclose(cosines, 1.0, rtol=1e-5)


def test_what_is_shown_are_a_surfaces_bounds_and_every_start():
    surface = jc.surfaces.booth
    np.testing.assert_allclose(terrain.bounds_of(surface, [], None, "here"), surface.bounds)
    outside = terrain.strands({"a": np.array([[14.0, 2.0], [500.0, 0.0]])}, "here")
    box = terrain.bounds_of(surface, outside, None, "here")
    assert box[0, 1] > 14 > 10
    assert box[1].tolist() == [-10.0, 10.0]
    path = terrain.bounds_of(valley, terrain.strands({"a": np.array([[1.0, 2.0], [4.0, 2.0]])}, "here"), None, "here")
    assert (path[:, 0] < [1.0, 2.0]).all()
    assert (path[:, 1] > [4.0, 2.0]).all()


def test_stationary_points_are_marked_by_their_kind():
    found = [SimpleNamespace(kind=kind, point=np.array([i, 1.0])) for i, kind in enumerate(paths.MARKS)]
    axes = paths.level_curves(valley, bounds=BOX, points=found).axes[0]
    marked = {line.get_label(): (line.get_marker(), line.get_xydata().tolist()) for line in axes.lines}
    assert marked == {kind: (mark, [[float(i), 1.0]]) for i, (kind, mark) in enumerate(paths.MARKS.items())}
    known = paths.level_curves(jc.surfaces.himmelblau).axes[0]
    np.testing.assert_allclose(known.lines[0].get_xydata(), jc.surfaces.himmelblau.minima)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axes_of_the_caller_and_both_themes(theme, walked):
    with style.themed(theme):
        figure = style.Figure()
        left, right = figure.subplots(1, 2)
    assert paths.level_curves(valley, walked, bounds=BOX, axes=right, theme=theme) is figure
    assert not left.collections
    assert trails(right)[0].get_color() == style.THEMES[theme].cycle[0]
    figure.draw_without_rendering()


def test_panels_share_box_and_looks(walked):
    one = {"adam": walked.params.values[1, 0, 0]}
    figure = paths.side_by_side({"Full": (valley, walked.isel(learning_rate=[0])), "Other": (lambda x: -valley(x), one)})
    left, right = figure.axes
    assert (left.get_title("left"), right.get_title("left")) == ("Full", "Other")
    assert left.get_xlim() == right.get_xlim()
    assert trails(right)[0].get_color() == trails(left)[2].get_color() == style.lines(["adam"])["adam"].color


def test_accumulators_are_squares_and_momentum_is_an_arrow(walked):
    one = walked.isel(optimizer=0, learning_rate=0, start=1)
    axes = states.optimizer_state(valley, one, at=[5, 30], bounds=BOX).axes[0]
    places = one.params.sel(step=[5, 30]).values
    squares = [each for each in axes.patches if isinstance(each, Rectangle)]
    areas = np.array([each.get_width() * each.get_height() for each in squares]).reshape(2, 2)
    memory = one.v.sel(step=[5, 30]).values
    np.testing.assert_allclose(areas / areas[0, 0], memory / memory[0, 0])
    np.testing.assert_allclose([(each.get_x(), each.get_y() + each.get_height()) for each in squares[::2]], places)
    slopes, steered = [each for each in axes.collections if isinstance(each, Quiver)]
    np.testing.assert_allclose(steered.XY, places)
    ratio = np.stack([steered.U, steered.V], axis=1) / -one.m.sel(step=[5, 30]).values
    np.testing.assert_allclose(ratio, ratio[0, 0])
    assert ratio[0, 0] > 0
    down = -np.stack([2 * places[:, 0] + places[:, 1], 6 * (places[:, 1] - 0.5) + places[:, 0]], axis=1)
    drawn = np.stack([slopes.U, slopes.V], axis=1)
    np.testing.assert_allclose(drawn / down, (drawn / down)[0, 0], rtol=1e-4)


def test_a_state_without_momentum_has_no_thick_arrow(walked):
    one = walked.isel(optimizer=0, learning_rate=0, start=1)
    nothing = one.assign(m=one.m * np.nan)
    axes = states.optimizer_state(valley, nothing, bounds=BOX).axes[0]
    assert len([each for each in axes.collections if isinstance(each, Quiver)]) == 1
    assert len(axes.patches) == 14


def test_what_minimize_returns_is_a_path_and_so_are_some_by_name():
    slow, fast = (jc.minimize(valley, jc.sgd(rate), start=(1.5, -0.5), steps=12) for rate in (0.03, 0.1))
    alone = paths.level_curves(valley, slow).axes[0]
    np.testing.assert_allclose(trails(alone)[0].get_xydata(), slow.points)
    both = paths.level_curves(valley, {"slow": slow, "fast": fast, "mine": np.eye(2)}).axes[0]
    assert [line.get_label() for line in trails(both)] == ["slow", "fast", "mine"]
    np.testing.assert_allclose(trails(both)[1].get_xydata(), fast.points)
    three = jc.minimize(lambda x: (x**2).sum(), jc.sgd(0.1), start=(1.5, -0.5, 1.0), steps=3)
    with pytest.raises(ValueError, match=re.escape("those of path have shape (4, 3)")):
        paths.level_curves(valley, three, bounds=BOX)


def test_a_minimum_draws_its_path_on_its_surface():
    descent = jc.minimize(valley, jc.sgd(0.1), start=(1.5, -0.5), steps=12)
    np.testing.assert_allclose(trails(descent.plot().axes[0])[0].get_xydata(), descent.points)
    assert descent.plot(theme="dark").get_facecolor() == pytest.approx((0.0784, 0.0902, 0.1020, 1.0), abs=1e-3)
    line = jc.minimize(lambda x: (x - 1.0) ** 2, jc.sgd(0.1), start=3.0, steps=12).plot()
    assert line.axes[0].get_ylabel() == "loss"


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda w: paths.level_curves(valley, 3.0), TypeError, "level_curves: paths must be what jc.paths or jc.minimize"),
        (lambda w: paths.level_curves(valley), ValueError, "level_curves: bounds must be given"),
        (lambda w: paths.level_curves(valley, bounds=[(1, 0), (0, 1)]), ValueError, "bounds must be two pairs (low, high)"),
        (lambda w: paths.level_curves(valley, bounds="abc"), ValueError, "bounds must be two pairs (low, high)"),
        (lambda w: paths.level_curves(valley, bounds=[(0, 1), (0,)]), ValueError, "bounds must be two pairs (low, high)"),
        (lambda w: paths.level_curves(lambda x: jnp.log(-1 - jnp.sum(x**2)), bounds=BOX), ValueError,
         "level_curves: function is finite nowhere in the box [[-2.0, 2.0], [-1.0, 3.0]]"),
        (lambda w: paths.level_curves(valley, {"a": "bc"}), ValueError, "those of a are no numbers"),
        (lambda w: paths.level_curves(valley, {"a": np.ones((4, 3))}), ValueError, "those of a have shape (4, 3)"),
        (lambda w: paths.level_curves(jc.surfaces.piecewise_quadratic), ValueError, "must take points of 2 coordinates"),
        (lambda w: paths.level_curves(valley, bounds=BOX, theme="drak"), ValueError, "did you mean 'dark'"),
        (lambda w: paths.level_curves("himmelblau", w), TypeError,
         "level_curves: function must be f of a point [2], as jc.surfaces has them; got 'himmelblau'"),
        (lambda w: paths.level_curves(valley, bounds=BOX, points=[[1.0, 3.0]]), TypeError,
         "level_curves: points must be a list of stationary points, with a point [2] and a kind (minimum, maximum, saddle, "
         "degenerate), from jc.surfaces.stationary_points; got [1.0, 3.0]"),
        (lambda w: paths.level_curves(valley, {"sgd": np.eye(2), "adam": np.eye(2)}, lines=style.lines(["sgd"])), ValueError,
         "level_curves: lines must have every label; it lacks 'adam' (given: sgd)"),
        (lambda w: paths.side_by_side({}), ValueError, "side_by_side: panels must be title → (function, paths)"),
        (lambda w: paths.side_by_side({"a": (valley, w)}, axes=[]), ValueError, "axes must be one for each of 1 panels"),
        (lambda w: states.optimizer_state(valley, w), ValueError, "optimizer_state: select one path, with .sel or .isel"),
        (lambda w: states.optimizer_state(valley, {"a": 1}), TypeError, "optimizer_state: paths must be what"),
        (lambda w: states.optimizer_state(valley, w.isel(optimizer=0, learning_rate=0, start=0), accumulator="u"), ValueError,
         "optimizer_state: 'u' was not recorded"),
        (lambda w: states.optimizer_state(valley, w.isel(optimizer=0, learning_rate=0, start=0), at=[4]), ValueError,
         "optimizer_state: step 4 was not recorded"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(draw, error, message, walked):
    with pytest.raises(error, match=re.escape(message)):
        draw(walked)


def test_many_labels_fall_back_to_the_optimizers_names(walked):
    rates = np.arange(40) / 40
    many = xr.Dataset(
        {"params": (("optimizer", "learning_rate", "start", "step", "dimension"), np.zeros((1, 40, 1, 3, 2)))},
        {"optimizer": ["sgd"], "learning_rate": rates, "step": [0, 1, 2]},
    )
    assert {strand.label for strand in terrain.strands(many, "here")} == {"sgd"}


def test_a_flat_function_has_a_picture_without_arrows():
    axes = paths.level_curves(lambda x: 0.0 * jnp.sum(x) + 2.0, bounds=BOX, gradients=True).axes[0]
    assert not [each for each in axes.collections if isinstance(each, Quiver)]


def test_no_arrows_where_the_function_is_not_defined():
    axes = paths.level_curves(lambda x: jnp.log(x[0]) + x[1] ** 2, bounds=BOX, gradients=True).axes[0]
    (arrows,) = [each for each in axes.collections if isinstance(each, Quiver)]
    assert len(arrows.XY) == 7 * 15  # of 15 columns, seven are right of 0; the middle one is at it
    assert (arrows.XY[:, 0] > 0.1).all()
