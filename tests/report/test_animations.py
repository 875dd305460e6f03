"""Surfaces in 3-D and races: paths lie on the surface, move, stop where they leave, and make small whole files."""

from __future__ import annotations

import base64
import io
import json
import re

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb
from PIL import Image

from jaxopt_course import surfaces
from jaxopt_course.report import animations, relief, style


def saddle(x):
    return x[0] ** 2 - x[1] ** 2


BOX = [(-2.0, 2.0), (-2.0, 2.0)]
TURN = np.linspace(0, 3, 31)
PATHS = {
    "<sgd>": np.stack([1.5 * np.exp(-TURN), 0.01 * np.exp(TURN)], axis=1),
    "adam": np.stack([1.5 - 0.3 * TURN, -1.1 * TURN], axis=1),  # leaves the box at step 19
}
NO_STEPS = xr.Dataset({"params": (("optimizer", "step", "dimension"), np.empty((1, 0, 2)))}, {"optimizer": ["sgd"]})


@pytest.fixture(scope="module")
def moving() -> animations.Race:
    axes = style.Figure(figsize=(3, 2.5), dpi=60).subplots()
    return animations.race(saddle, PATHS, bounds=BOX, axes=axes)


def test_paths_lie_on_the_surface():
    axes = relief.surface_3d(saddle, PATHS, bounds=BOX, axes=style.Figure().add_subplot(projection="3d")).axes[0]
    x, y, z = axes.lines[0].get_data_3d()
    np.testing.assert_allclose(np.stack([x, y], axis=1), PATHS["<sgd>"])
    np.testing.assert_allclose(z, x**2 - y**2, atol=1e-5)
    trail = axes.lines[2].get_data_3d()
    assert len(trail[0]) == 19  # in 3-D nothing clips a path at the border
    log = relief.surface_3d(saddle, PATHS, bounds=BOX, height="log", theme="dark").axes[0]
    np.testing.assert_allclose(log.lines[0].get_data_3d()[2], np.log10(1 + x**2 - y**2 + 4), atol=1e-4)


def test_the_interactive_surface_has_the_same_paths():
    figure = relief.interactive(saddle, PATHS, bounds=BOX, theme="dark")
    assert [trace.name for trace in figure.data] == ["saddle", "<sgd>", "adam"]
    ground, first, second = figure.data
    np.testing.assert_allclose(ground.z, np.array(ground.x) ** 2 - np.array(ground.y)[:, None] ** 2, atol=1e-5)
    np.testing.assert_allclose(first.z, np.square(first.x) - np.square(first.y), atol=1e-5)
    assert len(second.x) == 19
    assert first.line.color == style.THEMES["dark"].cycle[0]
    assert figure is relief.interactive(saddle, bounds=BOX, figure=figure)


def test_places_are_the_pixels_of_the_points(moving):
    axes = moving.figure.axes[0]
    back = axes.transData.inverted().transform(moving.places[0])
    np.testing.assert_allclose(back, PATHS["<sgd>"], atol=1e-6)
    assert np.isfinite(moving.places[1, :19]).all()
    assert np.isnan(moving.places[1, 19:]).all()


def test_a_race_in_3d_goes_where_the_surface_is():
    """Points of the grid's own lines fall on what matplotlib draws for them."""
    figure = style.Figure(figsize=(3, 2.5), dpi=60)
    axes = figure.add_subplot(projection="3d")
    race = animations.race(saddle, PATHS, bounds=BOX, view="3d", axes=axes)
    (probe,) = axes.plot(*PATHS["<sgd>"].T, saddle(PATHS["<sgd>"].T))
    figure.draw_without_rendering()
    np.testing.assert_allclose(race.places[0], probe.get_transform().transform(probe.get_xydata()), atol=1e-3)


def test_frames_move_and_hold_every_optimizers_colour(moving):
    first, last = moving.frame(0), moving.frame(-1)
    assert first.shape == (150, 180, 4)
    assert (first != last).any()
    np.testing.assert_array_equal(last, moving.frame(len(moving.steps) - 1))
    x, y = moving.places[0, -1].round().astype(int)
    np.testing.assert_allclose(last[150 - 1 - y, x, :3] / 255, to_rgb(moving.lines["<sgd>"].color), atol=0.02)
    with pytest.raises(IndexError, match="frame: moment must be an integer from -31 to 30; got 31"):
        moving.frame(31)
    with pytest.raises(TypeError, match="frame: moment must be an integer"):
        moving.frame(1.5)


def test_a_gif_is_small_whole_and_repeats(moving, tmp_path):
    path = moving.gif(tmp_path / "race.gif", frames=12)
    assert path.stat().st_size < 60_000
    with Image.open(path) as picture:
        assert (picture.n_frames, picture.size, picture.info["loop"]) == (12, (180, 150), 0)
        picture.seek(11)
        shown = np.asarray(picture.convert("RGB"))
        assert picture.info["duration"] >= 1500
    line = np.array(to_rgb(moving.lines["adam"].color)) * 255
    assert (np.abs(shown - line).max(axis=-1) <= 1).any()
    assert shown[0, 0].tolist() == [255, 255, 255]


def test_the_player_is_one_small_file_that_loads_nothing(moving, tmp_path):
    page = moving.html(tmp_path / "race.html").read_text(encoding="utf-8")
    assert len(page) < 80_000
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "://" not in page
    data = json.loads(re.search(r'<script id="race" type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    assert [line["name"] for line in data["lines"]] == ["<sgd>", "adam"]
    assert data["steps"] == list(range(31))
    assert [len(each["points"]) for each in data["paths"]] == [31, 19]
    top = moving.places[0] * [1, -1] + [0, 150]
    np.testing.assert_allclose(data["paths"][0]["points"], top, atol=0.06)
    picture = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])))
    assert picture.size == tuple(2 * side for side in data["size"])
    assert data["size"][1] < 150  # without the legend, which the page has
    assert moving.figure.legends[0].get_visible()


def test_notebooks_show_the_player(moving):
    shown = moving._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "<sgd>" not in shown


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: animations.race(saddle, {}, bounds=BOX), "race: paths must have at least two points to animate"),
        (lambda: animations.race(saddle, {"a": np.ones((1, 2))}, bounds=BOX), "there are no frames"),
        (lambda: animations.race(saddle, {"a": np.full((9, 2), np.nan)}, bounds=BOX), "there are no frames"),
        (lambda: animations.race(saddle, NO_STEPS, bounds=BOX), "race: paths must have at least two points to animate"),
        (lambda: animations.race(saddle, PATHS, view="3D"), "race: unknown view '3D' (known: 3d, flat)"),
        (lambda: animations.race(saddle, PATHS, height="nonsense"), "race: height is for view='3d'; got view='flat'"),
        (lambda: animations.race(saddle, PATHS, angle=(1, 2)), "race: angle is for view='3d'; got view='flat'"),
        (lambda: animations.race(saddle, PATHS, view="3d", points="x"), "race: points is for view='flat'; got view='3d'"),
        (lambda: animations.race(saddle, PATHS, seconds=0), "race: seconds must be a number > 0; got 0"),
        (lambda: animations.race(saddle, PATHS, height="logarithm", view="3d"), "unknown height 'logarithm'"),
        (lambda: relief.surface_3d(saddle, PATHS, bounds=BOX, lines=style.lines(["adam"])),
         "surface_3d: lines must have every label; it lacks '<sgd>' (given: adam)"),
        (lambda: relief.interactive(saddle, PATHS, bounds=BOX, lines=style.lines(["adam"])),
         "interactive: lines must have every label; it lacks '<sgd>' (given: adam)"),
        (lambda: relief.interactive(saddle, PATHS, height="lg"), "interactive: unknown height 'lg'; did you mean 'log'?"),
        (lambda: relief.surface_3d(surfaces.piecewise_quadratic), "surface_3d: function must take points of 2 coordinates"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_bad_places_are_refused_before_the_work(moving, tmp_path):
    for frames in (0, 1):
        with pytest.raises(ValueError, match=f"gif: frames must be an integer >= 2; got {frames}"):
            moving.gif(tmp_path / "race.gif", frames=frames)
    with pytest.raises(TypeError, match="gif: frames must be an integer >= 2; got 'a'"):
        moving.gif(tmp_path / "race.gif", frames="a")
    for hold, error in ((-9.0, ValueError), (np.nan, ValueError), ("a", TypeError)):
        with pytest.raises(error, match=f"gif: hold must be a number >= 0; got {hold!r}"):
            moving.gif(tmp_path / "race.gif", hold=hold)
    with pytest.raises(TypeError, match=r"cannot write 3: give the path of a file, a str or a pathlib\.Path"):
        moving.gif(3)
    with pytest.raises(ValueError, match=r"race\.txt': its name must end in \.gif"):
        moving.gif(tmp_path / "race.txt")
    with pytest.raises(ValueError, match=r"its name must end in \.html or \.htm"):
        moving.html(tmp_path / "race.gif")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        moving.gif(tmp_path / "none" / "race.gif")
    with pytest.raises(TypeError, match="surface_3d: axes must be three-dimensional"):
        relief.surface_3d(saddle, bounds=BOX, axes=style.Figure().subplots())


def half(x):
    """Not defined for x ≤ 0."""
    return jnp.log(x[0]) + x[1] ** 2


HALF = [(-1.0, 2.0), (-1.0, 1.0)]


def test_a_surface_with_a_hole_keeps_its_shades():
    ground = relief.surface_3d(half, bounds=HALF, theme="light").axes[0].collections[0]
    assert ground.get_facecolor()[:, :3].max(axis=1).min() > 0.3
    assert len(np.unique(ground.get_facecolor().round(3), axis=0)) > 100
    surface = relief.interactive(half, bounds=HALF).data[0]
    z = np.array(surface.z)
    assert np.isnan(z[:, np.array(surface.x) < 0]).all()
    np.testing.assert_allclose(surface.contours.z.end - surface.contours.z.start, np.nanmax(z) - np.nanmin(z))
    path = np.stack([np.linspace(1.5, 0.2, 9), np.linspace(0.8, 0.1, 9)], axis=1)
    moving = animations.race(half, {"sgd": path}, bounds=HALF, view="3d", axes=style.Figure().add_subplot(projection="3d"))
    assert np.isfinite(moving.places).all()


@pytest.mark.parametrize("height", ["value", "log"])
@pytest.mark.parametrize("draw", [relief.surface_3d, relief.interactive])
def test_a_surface_that_is_finite_nowhere_is_refused(draw, height):
    with pytest.raises(ValueError, match=re.escape(f"{draw.__name__}: function is finite nowhere in the box [[-1.0, 2.0]")):
        draw(lambda x: jnp.log(-1 - jnp.sum(x**2)), bounds=HALF, height=height)


def test_a_flat_surface_has_levels_for_plotly():
    assert relief.interactive(lambda x: 0 * x[0] + 2.0, bounds=HALF).data[0].contours.z.size == 1.0


@pytest.mark.parametrize(("view", "place"), [("flat", (1, 1, 1)), ("flat", (2, 2, 2)), ("3d", (2, 2, 2))])
def test_the_legend_covers_nothing_of_a_figure_without_layout(view, place):
    figure = style.Figure(figsize=(8, 6))
    axes = figure.add_subplot(*place, projection="3d" if view == "3d" else None)
    below = figure.add_subplot(2, 2, 4) if place[0] == 2 else None
    figure.subplots_adjust(hspace=0.4)
    moving = animations.race(saddle, PATHS, bounds=BOX, view=view, axes=axes)
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert legend.y1 <= axes.get_tightbbox().y0 + 1
    assert legend.y0 >= (below.get_tightbbox().y1 if below else 0)
    if view == "flat":
        back = axes.transData.inverted().transform(moving.places[0])
        np.testing.assert_allclose(back, PATHS["<sgd>"], atol=1e-6)
