"""One look for every picture: an optimizer's colour and dash are its own."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex

from jaxopt_course.optimizers import CATALOG
from jaxopt_course.report import animations, curves, html, landscapes, paths, relief, style


def test_thirty_two_names_get_thirty_two_looks():
    assert len(set(style.lines(map(str, range(32))).values())) == 32
    assert len(set(style.lines([*map(str, range(18)), *CATALOG]).values())) == 32
    assert len(style.lines(map(str, range(40)))) == 40


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_optimizer_of_the_catalog_looks_the_same_in_every_picture(theme):
    whole = style.lines(CATALOG, theme)
    assert len(set(whole.values())) == len(CATALOG)
    for names in (["adam", "sgd"], ["mine", "nesterov", "other", "sgd"], [*reversed(CATALOG)]):
        found = style.lines(names, theme)
        assert list(found) == names
        assert len(set(found.values())) == len(names)
        assert all(found[name] == whole[name] for name in names if name in CATALOG)
    solid = [name for name, line in whole.items() if line.dash == "solid"]
    assert style.hues(solid, theme) == {name: whole[name].color for name in solid}
    assert len(set(style.hues(["adam", "nadam", "sgd", "mine"], theme).values())) == 4


def test_pictures_of_all_kinds_agree_on_an_optimizers_look(race):
    """Level curves, surfaces, films, landscapes and races, in whatever order they name it."""
    adam, nadam = style.lines(["adam", "nadam"]).values()
    walks = {"mine": np.eye(2), "nadam": np.eye(2), "adam": np.eye(2)}
    box, saddle = [(-1, 2), (-1, 2)], lambda x: x[0] ** 2 - x[1] ** 2
    flat = paths.level_curves(saddle, walks, bounds=box).axes[0]
    solid = relief.surface_3d(saddle, walks, bounds=box).axes[0]
    surface = xr.Dataset({"loss": (("beta", "alpha"), np.eye(3))}, {"alpha": [0.0, 1, 2], "beta": [0.0, 1, 2]})
    above = landscapes.landscape(surface, paths=walks).axes[0]
    final = curves.learning_curves(race.curves).axes[0]
    for axes in (flat, solid, above, final):
        drawn = {to_hex(line.get_color()) + line.get_linestyle() for line in axes.lines}
        assert {adam.color + "-", nadam.color + "--"} <= drawn
    for figure in (relief.interactive(saddle, walks, bounds=box), landscapes.landscape_3d(surface, paths=walks)):
        looks = {trace.name: (trace.line.color, trace.line.dash) for trace in figure.data if trace.type == "scatter3d"}
        assert looks["adam"] == (adam.color, "solid")
        assert looks["nadam"] == (nadam.color, "dash")
    film = animations.race(saddle, walks, bounds=box, axes=style.Figure().subplots())
    assert [film.lines[name] for name in ("adam", "nadam")] == [adam, nadam]
    page = json.loads(
        re.search(r'<script id="race" type="application/json">(.*?)</script>', html.race_page(race), re.DOTALL)[1]
    )
    looks = {each["name"]: (page["colors"]["light"][each["line"]], each["dash"]) for each in page["optimizers"]}
    assert (looks["adam"], looks["nadam"]) == (adam, nadam)
