"""One look for every picture: a palette safe for colour-blind readers [1], dashes where it runs out, light and dark.

Figures are made by matplotlib's object interface, never by pyplot, so servers and threads can draw; :class:`Figure` shows
itself in Jupyter as the last value of a cell.

References:
    [1] M. Okabe and K. Ito, Color Universal Design (2008), jfly.uni-koeln.de/color.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, get_args

import matplotlib
import matplotlib.figure
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from jaxopt_course.checks import check_choice

__all__ = [
    "THEMES",
    "Figure",
    "Line",
    "Palette",
    "Theme",
    "canvas",
    "chosen",
    "figure_of",
    "hues",
    "lines",
    "log_axis",
    "themed",
]

Theme = Literal["light", "dark"]
Dash = Literal["solid", "dashed", "dotted", "dashdot"]


class Palette(NamedTuple):
    """The colours of a theme: text, secondary text, grid lines, paper, and the cycle of lines."""

    ink: str
    muted: str
    grid: str
    paper: str
    cycle: tuple[str, ...]


class Line(NamedTuple):
    """How one optimizer is drawn, in every picture: unique up to 32 of them in one."""

    color: str
    dash: Dash


THEMES: dict[str, Palette] = {
    "light": Palette(
        *("#1c2024", "#656d76", "#e4e7eb", "#ffffff"),
        ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1c2024", "#8a6d3b"),
    ),
    "dark": Palette(
        *("#e6e8eb", "#9aa4af", "#2c3238", "#14171a"),
        ("#3f8efc", "#f0743e", "#1fc498", "#dd8fbb", "#f2b134", "#7fd0ff", "#e6e8eb", "#c3a26b"),
    ),
}
DASHES: tuple[Dash, ...] = get_args(Dash)
LOOKS = 32  # as many as there are: colours × dashes
# The catalog's optimizers → (colour, dash), as places in the cycle and in DASHES: a family has one colour.
NAMED = {
    "sgd": (0, 0), "momentum": (1, 0), "nesterov": (2, 0), "adagrad": (3, 0), "rmsprop": (4, 0), "adam": (5, 0),
    "adadelta": (6, 0), "adamw": (7, 0), "normalized_sgd": (0, 1), "averaged_sgd": (0, 2), "line_search": (6, 1),
    "nadam": (5, 1), "amsgrad": (5, 2), "adamax": (5, 3),
}  # fmt: skip


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure that Jupyter shows without pyplot, at twice the resolution of its size on screen."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=2 * self.dpi)
        width, height = self.get_size_inches() * self.dpi
        return picture.getvalue(), {"width": round(width), "height": round(height)}


def palette(theme: Theme) -> Palette:
    """The colours of a theme; what users call is ``plot``, a function or a method, so errors say so.

    Raises:
        ValueError: an unknown theme.
    """
    return THEMES[check_choice("plot", "theme", theme, THEMES)]


def lines(names: Iterable[str], theme: Theme = "light", *, first: Sequence[int] = ()) -> dict[str, Line]:
    """A line style for each name: the catalog's optimizers have their own in every picture, others take what is left.

    Args:
        names: what is drawn. theme: ``"light"`` or ``"dark"``.
        first: which colours of the cycle others take first.

    >>> lines(["mine", "adam", "sgd"])
    {'mine': Line(color='#d55e00', dash='solid'), 'adam': Line(color='#56b4e9', dash='solid'), ...}
    """
    cycle = palette(theme).cycle
    places = _places(names, LOOKS, first)
    return {name: Line(cycle[place % len(cycle)], DASHES[place // len(cycle)]) for name, place in places.items()}


def hues(names: Iterable[str], theme: Theme = "light") -> dict[str, str]:
    """A colour for each name, by the same rule, where dashes say something else: unique up to 8 of them."""
    cycle = palette(theme).cycle
    return {name: cycle[place] for name, place in _places(names, len(cycle)).items()}


def _places(names: Iterable[str], count: int, first: Sequence[int] = ()) -> dict[str, int]:
    """Which of so many looks each name has."""
    names = dict.fromkeys(names)
    taken: dict[int, str] = {}
    for name in names:
        if name in NAMED:
            color, dash = NAMED[name]
            taken.setdefault((8 * dash + color) % count, name)
    free = [place for place in dict.fromkeys([*first, *range(count)]) if place not in taken] or list(range(count))
    others = [name for name in names if name not in taken.values()]
    found = {name: place for place, name in taken.items()} | {name: free[i % len(free)] for i, name in enumerate(others)}
    return {name: found[name] for name in names}


def chosen(where: str, labels: Iterable[str], looks: Mapping[str, Line] | None, theme: Theme) -> Mapping[str, Line]:
    """How to draw these labels: as the caller says, or in :func:`lines`.

    Raises:
        ValueError: the caller says nothing of one.
    """
    labels = list(dict.fromkeys(labels))
    if missing := [label for label in labels if looks and label not in looks]:
        raise ValueError(f"{where}: lines must have every label; it lacks {missing[0]!r} (given: {', '.join(looks or ())})")
    return looks or lines(labels, theme)


@contextmanager
def themed(theme: Theme = "light") -> Iterator[Palette]:
    """Matplotlib's defaults in our style, for the figures made inside; also for your own.

    >>> with themed("dark") as colors:
    ...     figure = Figure(figsize=(4, 3))
    ...     _ = figure.subplots().plot([1, 2], color=colors.cycle[0])
    """
    colors = palette(theme)
    settings: dict[Any, Any] = {
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), colors.paper),
        **dict.fromkeys(("text.color", "axes.titlecolor"), colors.ink),
        **dict.fromkeys(("axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), colors.muted),
        **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 8.5),
        **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
        **dict.fromkeys(("xtick.major.size", "ytick.major.size", "xtick.minor.size", "ytick.minor.size"), 0),
        "axes.prop_cycle": cycler(color=colors.cycle),
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.labelsize": 9.5,
        "axes.titlelocation": "left",
        "axes.titlesize": 10.5,
        "axes.titleweight": "bold",
        "figure.dpi": 100,
        "figure.constrained_layout.use": True,
        "figure.titlesize": 13,
        "figure.titleweight": "bold",
        "font.family": ["DejaVu Sans"],
        "font.size": 9.5,
        "grid.color": colors.grid,
        "grid.linewidth": 0.8,
        "lines.linewidth": 1.6,
    }
    with matplotlib.rc_context(settings):
        yield colors


@contextmanager
def canvas(axes: Axes | None, theme: Theme, size: tuple[float, float] = (6.4, 4.0)) -> Iterator[tuple[Axes, Palette]]:
    """The axes to draw on, inside the theme: the caller's, whose look is left alone, or those of a figure made here."""
    with themed(theme) as colors:
        yield axes if axes is not None else dress(Figure(figsize=size).subplots(), colors), colors


def dress(axes: Axes, colors: Palette) -> Axes:
    """Fix the colours of ticks and grid, which matplotlib otherwise looks up when it first draws, outside the theme."""
    axes.tick_params(which="both", color=colors.muted, labelcolor=colors.muted, grid_color=colors.grid)
    axes.grid(True, which="major", color=colors.grid)
    return axes


def log_axis(axes: Axes) -> None:
    """A logarithmic axis of values, with plain numbers if they are few powers of ten."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if 0 < high < 1000 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


def figure_of(axes: Axes) -> matplotlib.figure.Figure:
    """The whole figure that axes are part of."""
    figure = axes.figure.figure
    assert isinstance(figure, matplotlib.figure.Figure)
    return figure
