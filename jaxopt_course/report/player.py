"""A race as an HTML page that loads nothing: the surface as a picture, the paths as points, a script that moves them [G2]."""

from __future__ import annotations

import base64
import io
import json
from html import escape
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxopt_course.report.animations import Race

__all__ = ["page", "size"]

STRETCH = 2  # pixels of the background per pixel on the screen
POINTS = 600  # of each path


def page(race: Race) -> str:
    """The player as an HTML document."""
    read = lambda name: resources.files("jaxopt_course.report").joinpath(name).read_text(encoding="utf-8")
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
    return f"""<!DOCTYPE html>
<html lang="en" data-theme="{race.theme}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escape(race.title)}</title>
<style>{read("player.css")}</style>
</head>
<body>
<div id="stage"><img alt="{escape(race.title)}: the surface" src="{_background(race)}"><canvas></canvas></div>
<div id="controls">
<button type="button" id="play" aria-label="play or pause"></button>
<input type="range" id="moment" min="0" value="0" aria-label="step">
<output id="step"></output>
<select id="speed" aria-label="speed"><option value="0.25">¼×</option><option value="0.5">½×</option>
<option value="1" selected>1×</option><option value="2">2×</option><option value="4">4×</option></select>
</div>
<div id="legend"></div>
<script id="race" type="application/json">{_payload(race)}</script>
<script>{read("player.js")}</script>
</body>
</html>
"""


def size(race: Race) -> tuple[int, int]:
    """Of the player's picture, in pixels of the screen: it ends above the legend."""
    width, height = race.figure.get_size_inches() * race.figure.dpi
    (legend,) = race.figure.legends
    return round(width), round(height - legend.get_window_extent().y1)


def _background(race: Race) -> str:
    """The surface without the legend, which the page has, as a data URL; in 256 colours it is a third of its size."""
    from PIL import Image

    picture, content = io.BytesIO(), io.BytesIO()
    (legend,), layout = race.figure.legends, race.figure.get_layout_engine()
    legend.set_visible(False)
    race.figure.set_layout_engine("none")  # everything stays where it is
    race.figure.savefig(picture, format="png", dpi=STRETCH * race.figure.dpi)
    legend.set_visible(True)
    race.figure.set_layout_engine(layout)
    width, height = size(race)
    shown = Image.open(picture).convert("RGB").crop((0, 0, STRETCH * width, STRETCH * height))
    shown.quantize(256, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def _payload(race: Race) -> str:
    moments = np.unique(np.linspace(0, len(race.steps) - 1, min(len(race.steps), POINTS)).round().astype(int))
    top = race.figure.bbox.height
    drawn = np.round(race.places[:, moments] * [1, -1] + [0, top], 1)
    payload = {
        "size": size(race),
        "steps": race.steps[moments].tolist(),
        "seconds": race.seconds,
        "lines": [{"name": name, "color": color, "dash": dash} for name, (color, dash) in race.lines.items()],
        "paths": [
            {"line": list(race.lines).index(label), "points": [point for point in each.tolist() if point[0] == point[0]]}
            for label, each in zip(race.labels, drawn, strict=True)
        ],
    }
    return json.dumps(payload, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
