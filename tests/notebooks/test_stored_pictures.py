"""Pictures in the stored chapters are small, and lines keep their colours."""

import base64
import io

import nbformat
import numpy as np
import pytest
from PIL import Image

from jaxopt_course.report import style
from jaxopt_course.report.paths import level_curves
from notebooks.build import COLORS, WIDTH, chapters, small, stored

CHAPTERS = {text.stem: text for text in chapters()}


def test_a_stored_picture_is_small_and_lines_keep_their_colours():
    walk = {name: [[-2.0, at], [0.0, at + 0.2], [2.0, at]] for name, at in (("a", 1.0), ("b", 0.0), ("c", -1.0))}
    png, _ = level_curves(lambda x: x[0] ** 2 + x[1] ** 3, walk)._repr_png_()
    shrunk = small(png)
    assert len(shrunk) < 0.35 * len(png)
    picture = np.asarray(Image.open(io.BytesIO(shrunk)).convert("RGB"), int)
    assert picture.shape[1] == WIDTH
    for line in style.lines(walk).values():
        color = [int(line.color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(picture - color).max(axis=-1) <= 12).sum() > 500


def test_a_picture_that_would_grow_is_left_alone():
    content = io.BytesIO()
    Image.new("L", (3, 3), 255).save(content, "PNG", optimize=True)
    assert small(content.getvalue()) == content.getvalue()


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_stored_picture_is_one_of_these(name):
    outputs = [each for cell in nbformat.read(stored(CHAPTERS[name]), 4).cells for each in cell.get("outputs", ())]
    found = [each.data["image/png"] for each in outputs if "image/png" in each.get("data", {})]
    assert found
    for content in found:
        picture = Image.open(io.BytesIO(base64.b64decode(content)))
        assert picture.width <= WIDTH
        assert picture.mode == "P"
        assert len(picture.getcolors()) <= COLORS
