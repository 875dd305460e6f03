"""Pictures in the stored chapters are small, and lines keep their colours."""

import io

import numpy as np
from PIL import Image

from jaxopt_course.report import style
from jaxopt_course.report.paths import level_curves
from notebooks.build import WIDTH, small


def test_a_stored_picture_is_small_and_lines_keep_their_colours():
    walk = {name: [[-2.0, at], [0.0, at + 0.2], [2.0, at]] for name, at in (("a", 1.0), ("b", 0.0), ("c", -1.0))}
    png, _ = level_curves(lambda x: x[0] ** 2 + x[1] ** 3, walk)._repr_png_()
    stored = small(png)
    assert len(stored) < 0.35 * len(png)
    picture = np.asarray(Image.open(io.BytesIO(stored)).convert("RGB"), int)
    assert picture.shape[1] == WIDTH
    for line in style.lines(walk).values():
        color = [int(line.color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(picture - color).max(axis=-1) <= 12).sum() > 500


def test_a_picture_that_would_grow_is_left_alone():
    content = io.BytesIO()
    Image.new("L", (3, 3), 255).save(content, "PNG", optimize=True)
    assert small(content.getvalue()) == content.getvalue()
