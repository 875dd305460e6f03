"""Paths that move: all optimizers racing on a surface, as a GIF, and as an HTML player without any library [G2].

The surface is drawn once, flat or in 3-D; in front of it the paths are drawn as points of the picture, so both views and both
formats are the same race, and small files.
"""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.transforms import IdentityTransform

from jaxopt_course import checks
from jaxopt_course.report import files, player, style, terrain
from jaxopt_course.report.paths import level_curves, samples
from jaxopt_course.report.relief import Height, relief, surface_3d
from jaxopt_course.report.style import Line, Theme
from jaxopt_course.report.terrain import Paths

__all__ = ["Race", "race"]

View = Literal["flat", "3d"]


@dataclasses.dataclass(frozen=True, eq=False)
class Race:
    """An animation: shows itself in Jupyter as a player; ``gif(path)`` and ``html(path)`` write it.

    Attributes:
        figure: the surface, without the paths. title: what the player's page is called.
        lines: how each label is drawn. labels: of each path.
        places: [paths, moments, 2], where in the picture each is, in pixels from its lower left corner; NaN where it has left.
        steps: [moments]. seconds: from start to end. theme: of the picture.
    """

    figure: Figure
    title: str
    lines: Mapping[str, Line]
    labels: tuple[str, ...]
    places: np.ndarray
    steps: np.ndarray
    seconds: float
    theme: Theme

    def frame(self, moment: int) -> np.ndarray:
        """The picture at a moment, ``[height, width, 4]``, uint8.

        Raises:
            IndexError: no such moment. TypeError: not an integer.
        """
        count = len(self.steps)
        try:
            checks.check_integer("frame", "moment", moment, minimum=-count, maximum=count - 1)
        except ValueError as error:
            raise IndexError(str(error)) from None
        return self._frames([moment % count])[0]

    def gif(self, path: str | os.PathLike[str], *, frames: int = 90, hold: float = 1.5) -> Path:
        """Write a GIF that repeats for ever.

        Args:
            path: where to; its name ends in ``.gif``.
            frames: how many pictures, at most; evenly spaced moments.
            hold: how long the last one stays, in seconds.

        Returns:
            The path.

        Raises:
            ValueError: fewer than two frames, a hold that is negative or infinite, or a name that ends otherwise. TypeError:
                anything else. OSError: the file cannot be written.
        """
        from PIL import Image

        checks.check_integer("gif", "frames", frames, minimum=2)
        checks.check_number("gif", "hold", hold, checks.Interval(0))
        target = files.writable(path, ".gif")
        moments = np.unique(np.linspace(0, len(self.steps) - 1, frames).round().astype(int))
        pictures = [Image.fromarray(picture[..., :3]) for picture in self._frames(moments)]
        colors = style.palette(self.theme)
        palette = _palette(pictures[-1], [colors.paper, colors.ink, *(line.color for line in self.lines.values())])
        pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
        each = max(20, round(1000 * self.seconds / len(moments)))
        durations = [each] * (len(moments) - 1) + [each + round(1000 * hold)]
        content = io.BytesIO()
        pictures[0].save(content, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0)
        return files.write(target, content.getvalue())

    def html(self, path: str | os.PathLike[str]) -> Path:
        """Write the player as one HTML file: play, pause, step, change the speed, hide an optimizer. It loads nothing.

        Raises:
            ValueError: a name that does not end in ``.html``. OSError: the file cannot be written.
        """
        return files.write(files.writable(path, ".html", ".htm"), self.page())

    def page(self) -> str:
        """The player as an HTML document."""
        return player.page(self)

    def _repr_html_(self) -> str:
        width, height = player.size(self)
        frame = f'sandbox="allow-scripts" style="border:0;width:{width + 20}px;max-width:100%;height:{height + 110}px"'
        return f'<iframe srcdoc="{escape(self.page())}" {frame}></iframe>'

    def _frames(self, moments: Any) -> list[np.ndarray]:
        """Pictures: the surface once, what moves on top of it."""
        colors, figure = style.palette(self.theme), self.figure
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        still = canvas.copy_from_bbox(figure.bbox)
        pixels: dict[str, Any] = {"transform": IdentityTransform(), "figure": figure}
        pictures = []
        for moment in moments:
            canvas.restore_region(still)
            for label, places in zip(self.labels, self.places[:, : moment + 1], strict=True):
                seen = places[np.isfinite(places).all(axis=1)]
                color, dash = self.lines[label]
                trail = Line2D(*seen.T, color=color, linestyle=dash, linewidth=2.0, **pixels)
                look: dict[str, Any] = {"marker": "o", "markersize": 8, "color": color, "markeredgecolor": colors.paper}
                for artist in (trail, Line2D(*seen[-1:].T, **look, **pixels)):
                    artist.draw(canvas.get_renderer())
            note = figure.text(0.99, 0.012, f"step {self.steps[moment]}", ha="right", va="bottom", color=colors.muted)
            note.draw(canvas.get_renderer())
            note.remove()
            pictures.append(np.array(canvas.buffer_rgba()))
        return pictures


def race(
    function: Callable[[Any], Any],
    paths: Paths,
    *,
    view: View = "flat",
    seconds: float = 7.0,
    bounds: Any = None,
    points: Sequence[Any] | None = None,
    height: Height | None = None,
    angle: tuple[float, float] | None = None,
    axes: Axes | None = None,
    theme: Theme = "light",
) -> Race:
    """All optimizers racing on a surface, from the same start [G2].

    Args:
        function: f of a point ``[2]``.
        paths: what was walked (see :func:`jaxopt_course.report.paths.level_curves`).
        view: ``"flat"``: level curves; or ``"3d"``.
        seconds: how long it plays.
        bounds: as for :func:`~jaxopt_course.report.paths.level_curves`; a path that leaves the box ends there.
        points: stationary points to mark when ``"flat"``, as for :func:`~jaxopt_course.report.paths.level_curves`.
        height, angle: for ``"3d"``, as ``height`` and ``view`` of :func:`jaxopt_course.report.relief.surface_3d`, by default
            these, too.
        axes: where to draw the surface, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        A :class:`Race`.

    Raises:
        ValueError: no frames (no paths, or none with a second point), an unknown view, an argument of the
            other one, or what the picture refuses.

    >>> import jaxopt_course as jc
    >>> optimizers = {"sgd": jc.sgd(0.05), "adam": jc.adam(0.05)}
    >>> moving = race(jc.surfaces.saddle, jc.paths(jc.surfaces.saddle, optimizers, steps=60))
    >>> moving.frame(-1).shape
    (520, 700, 4)

    References:
        Lecture 002, "optimization on saddle point" and "on local optimum" [E6, G2].
    """
    checks.check_choice("race", "view", view, get_args(View))
    others = {"points": points} if view == "3d" else {"height": height, "angle": angle}
    if idle := [name for name, value in others.items() if value is not None]:
        raise ValueError(f"race: {idle[0]} is for view={'flat' if view == '3d' else '3d'!r}; got view={view!r}")
    checks.check_number("race", "seconds", seconds, checks.Interval(0, open_low=True))
    own = terrain.strands(paths, "race")
    longest = max(own, key=lambda strand: len(strand.points), default=None)
    if longest is None or len(longest.points) < 2:
        raise ValueError("race: paths must have at least two points to animate: there are no frames")
    box = terrain.bounds_of(function, own, bounds, "race")
    looks = style.lines((strand.label for strand in own), theme)
    if view == "3d":
        raised: Height = "value" if height is None else height
        turned: dict[str, Any] = {} if angle is None else {"view": angle}
        figure = surface_3d(function, bounds=box, height=raised, axes=axes, theme=theme, **turned)
        project = _projection(axes or figure.axes[0], relief(function, raised, box, "race"))
    else:
        axes = axes if axes is not None else _plain(theme)
        figure = level_curves(function, bounds=box, points=points, axes=axes, theme=theme, legend=False)
        project = lambda points: axes.transData.transform(points)
    _legend(figure, axes or figure.axes[0], looks, theme)
    FigureCanvasAgg(figure).draw()  # the layout, without which nothing has its place
    places = np.full((len(own), len(longest.points), 2), np.nan)
    for row, strand in zip(places, own, strict=True):
        out = np.any((strand.points < box[:, 0]) | (strand.points > box[:, 1]), axis=1)
        count = int(np.argmax(out)) if out.any() else len(out)
        row[:count] = project(strand.points[:count])
    name = getattr(function, "name", getattr(function, "__name__", "a surface"))
    title = f"Optimizers on {name.replace('_', ' ')}"
    return Race(figure, title, looks, tuple(s.label for s in own), places, longest.steps, float(seconds), theme)


def _plain(theme: Theme) -> Axes:
    with style.themed(theme) as colors:
        return style.dress(style.Figure(figsize=(7.0, 5.2)).subplots(), colors)


def _legend(figure: Figure, axes: Axes, looks: Mapping[str, Line], theme: Theme) -> None:
    """At the foot of a figure that makes room for it; else between the axes, which give way, and what was below them."""
    shown = samples(looks, looks)
    with style.themed(theme):
        if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
            figure.legend(handles=shown, loc="outside lower center", ncols=min(4, len(shown)))
            return
        (left, _), (right, _) = axes.get_position(original=True).get_points()
        foot = (left + right) / 2, max(_foot(axes), 0.0)
        legend = figure.legend(handles=shown, loc="lower center", bbox_to_anchor=foot, ncols=min(4, len(shown)))
        top = legend.get_window_extent().transformed(figure.transFigure.inverted()).y1
        for _ in range(9):  # an axis of fixed aspect rises by less than its place does
            place, covered = axes.get_position(original=True), top - _foot(axes)
            if covered <= 0:
                break
            axes.set_position((place.x0, place.y0 + covered, place.width, place.height - covered))


def _foot(axes: Axes) -> float:
    """Where axes end, labels included, as a share of the figure's height."""
    figure = style.figure_of(axes)
    figure.draw_without_rendering()
    drawn = axes.get_tightbbox()
    assert drawn is not None
    return drawn.transformed(figure.transFigure.inverted()).y0


def _projection(axes: Any, raised: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """From points of the surface to pixels of the picture."""
    from mpl_toolkits.mplot3d import proj3d

    def project(points: np.ndarray) -> np.ndarray:
        x, y, _ = proj3d.proj_transform(points[:, 0], points[:, 1], raised(points), axes.get_proj())
        return axes.transData.transform(np.stack([x, y], axis=1))

    return project


def _palette(picture: Any, colors: Sequence[str]) -> Any:
    """256 colours for a GIF, these among them exactly: few pixels have a line's, and would be given another one."""
    from PIL import Image

    exact = np.round(np.array([to_rgb(color) for color in dict.fromkeys(colors)]) * 255).astype(int)
    usual = np.reshape(picture.quantize(256 - len(exact), dither=Image.Dither.NONE).getpalette(), (-1, 3))
    apart = np.abs(usual[:, None] - exact).max(axis=-1).min(axis=-1) > 8  # Pillow does not tell nearer ones apart
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([exact, usual[apart]]).ravel().tolist())
    return palette
