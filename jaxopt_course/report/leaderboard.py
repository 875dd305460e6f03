"""The best configurations of a sweep as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jaxopt_course.report import swept

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["leaderboard"]


def leaderboard(results: xr.Dataset, metric: str = "validation_loss", top: int = 10, *, falls: bool | None = None) -> str:
    """The configurations, best first by a validation metric: their values, its mean, and its range over seeds.

    Args:
        results: what ``jc.sweep`` returned.
        metric: what to rank by: a variable of it.
        top: how many rows at most.
        falls: whether less of it is better; by default as its name says.

    Returns:
        Aligned lines: a head, a row for each configuration, and how many diverged or are missing, which have no row.

    Raises:
        ValueError: an unknown metric, or no sweep's results.
    """
    own = swept.outcome(results, metric, falls=falls)
    order = np.argsort(own.cost, kind="stable")[: min(top, int(np.isfinite(own.cost).sum()))]
    names = list(own.axes)
    rows = [["", *names, own.label, "over seeds" if results.sizes["seed"] > 1 else ""]]
    for rank, i in enumerate(order, 1):
        values = [axis.texts[axis.at[i]] for axis in own.axes.values()]
        spread = f"{own.low[i]:.4g} … {own.high[i]:.4g}" if results.sizes["seed"] > 1 else ""
        rows.append([str(rank), *values, f"{own.mean[i]:.4g}", spread])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    missing = ~np.isfinite(own.cost) & ~own.diverged
    counts = {"diverged": int(own.diverged.sum()), "not finished": int(missing.sum())}
    notes = [f"{count} of {len(own.cost)} {what}" for what, count in counts.items() if count]
    return "\n".join([own.title, *lines, *notes])
