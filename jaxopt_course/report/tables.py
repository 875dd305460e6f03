"""A race as a table: aligned text for the terminal, and the same cells for the page."""

from __future__ import annotations

import functools
import textwrap
from typing import NamedTuple

import numpy as np

from jaxopt_course.report.schema import RaceData, label, scale

__all__ = ["Cell", "Row", "cells", "level", "race_table", "rows", "settings", "settings_line", "summary"]

INTERRUPTED = "This race was interrupted: shown is what had finished."
SIGNIFICANCE = 0.05
FEW = 4  # seeds; fewer make intervals wide
PRINTED = 7  # columns of the terminal's table


class Cell(NamedTuple):
    """What a reader sees, and what a column sorts by (NaN last)."""

    text: str
    value: float | str


class Row(NamedTuple):
    """One optimizer's outcome by the metric of the race."""

    name: str
    estimate: tuple[float, float, float]  # mean, low, high
    difference: float  # from the best
    p_value: float
    result: str  # the estimate as text


def rows(data: RaceData) -> list[Row]:
    """The optimizers, best first; those that diverged last."""
    metric = f"test_{data.attrs['metric']}"
    found: list[Row] = []
    for name in data.ranking:
        estimate = _read(data, name, metric)
        best = found[0].estimate[0] if found else estimate[0]
        p_value = float(data.table["p_value"].sel(optimizer=name))
        found.append(Row(name, estimate, estimate[0] - best, p_value, _estimate(estimate, scale(metric))))
    return found


def cells(data: RaceData) -> list[dict[str, Cell]]:
    """The table, best row first, by column title: what :func:`race_table` prints, then what only the page has room for."""
    metric = f"test_{data.attrs['metric']}"
    factor = scale(metric)
    others = [str(name) for name in data.table.data_vars if f"{name}_low" in data.table and name != metric]
    table = []
    for rank, row in enumerate(rows(data)):
        rate, run, compiling = (
            float(data.table[name].sel(optimizer=row.name)) for name in ("learning_rate", "run_seconds", "compile_seconds")
        )
        best = rank == 0 and np.isfinite(row.difference)
        difference = "best" if best else _number(factor * row.difference, "{:+.2f}" if factor == 100 else "{:+.4f}")
        estimates = {name: _read(data, row.name, name) for name in others}
        table.append(
            {
                "optimizer": Cell(row.name, row.name),
                "learning rate": Cell(_number(rate, "{:.3g}"), rate),
                label(metric): Cell(row.result, row.estimate[0]),
                "difference": Cell(difference, row.difference),
                "p": Cell(_p_value(row.p_value), row.p_value),
                "run (s)": Cell(_number(run, "{:.2f}"), run),
                "compile (s)": Cell(_number(compiling, "{:.2f}"), compiling),
                **{label(name): Cell(_estimate(value, scale(name)), value[0]) for name, value in estimates.items()},
            }
        )
    return table


def race_table(data: RaceData) -> str:
    """The table for the terminal: best first, aligned, under the settings and over what it says.

    Returns:
        Lines without a final newline: the text wrapped at 100 characters, the table as wide as its names.
    """
    table = cells(data)
    body = [[cell.text for cell in row.values()][:PRINTED] for row in table]
    titles = [list(row)[:PRINTED] for row in table[:1]]
    widths = [max(map(len, column)) for column in zip(*titles, *body, strict=True)]
    rule = [["─" * width for width in widths]] if table else []
    lines = [
        "  ".join(
            text.rjust(width) if at else text.ljust(width) for at, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (*titles, *rule, *body)
    ]
    wrap = functools.partial(textwrap.wrap, width=100, break_on_hyphens=False)
    heading = wrap(f"{data.attrs['title']}: {settings_line(data)}")
    notice = [INTERRUPTED, ""] if data.attrs["incomplete"] else []
    return "\n".join([*heading, "", *lines, *[""] * bool(lines), *notice, *wrap(summary(data))])


def summary(data: RaceData) -> str:
    """What the numbers support: the best and its equals, who diverged or wants a wider grid, what ± and p are."""
    ranked = rows(data)
    finished = [row for row in ranked if np.isfinite(row.estimate[0])]
    if not finished:
        return "No optimizer has a finite result."
    best, *others = finished
    unit = " %" * (scale(data.attrs["metric"]) == 100)
    parts = [f"Best test {data.attrs['metric']}: {best.name}, {best.result}{unit}."]
    tied = [row.name for row in others if row.p_value > SIGNIFICANCE]
    if tied:
        parts.append(f"Not distinguishable from it: {', '.join(tied)}.")
    elif others and not np.isnan([row.p_value for row in others]).any():
        parts.append("Every other optimizer differs from it significantly.")
    if diverged := [row.name for row in ranked if row not in finished]:
        parts.append(f"Without a finite result: {', '.join(diverged)}.")
    if edge := data.attrs.get("learning rate at the edge of its grid"):
        parts.append(f"Tuned to the edge of what was tried, so another learning rate may be better: {edge}.")
    if np.isfinite(best.estimate).all():
        few = f" (few: {data.attrs['seeds']}, so it is wide)" if data.attrs.get("seeds", FEW) < FEW else ""
        parts.append(f"± is the {level(data)} interval over seeds{few}; p: paired t-test against the best, Holm-corrected.")
    return " ".join(parts)


def settings(data: RaceData) -> dict[str, str]:
    """The settings to show, by label: every attribute but those that only steer the report."""
    hidden = {"title", "incomplete", "lower_is_better", "level", "metric"}
    shown = {**data.attrs, "selection": label(data.attrs["selection"])}
    return {str(k).replace("_", " "): str(v) for k, v in shown.items() if k not in hidden and str(v)}


def settings_line(data: RaceData) -> str:
    """The settings that fit on a line: how it was trained, and on what machine."""
    shown = settings(data)
    counted = [f"{shown[key]} {unit}" for key, unit in (("epochs", "epochs"), ("seeds", "seeds")) if key in shown]
    batch = [f"batch size {shown['batch size']}"] if "batch size" in shown else []
    return ", ".join([*batch, *counted, *([shown["machine"]] if "machine" in shown else [])])


def level(data: RaceData) -> str:
    """The coverage of the intervals, as ``"95 %"``."""
    return f"{100 * float(data.attrs.get('level', 0.95)):g} %"


def _read(data: RaceData, optimizer: str, name: str) -> tuple[float, float, float]:
    one = data.table.sel(optimizer=optimizer)
    return float(one[name]), float(one[f"{name}_low"]), float(one[f"{name}_high"])


def _estimate(estimate: tuple[float, float, float], factor: float) -> str:
    mean, low, high = (factor * value for value in estimate)
    if not np.isfinite(mean):
        return "–"
    pattern = "{:.2f}" if factor == 100 else "{:.4f}" if mean == 0 or 1e-3 <= abs(mean) < 1e4 else "{:.2e}"
    margin = " ± " + pattern.format((high - low) / 2) if np.isfinite(high - low) else ""
    return pattern.format(mean) + margin


def _p_value(p: float) -> str:
    return "–" if np.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def _number(value: float, pattern: str) -> str:
    return pattern.format(value) if np.isfinite(value) else "–"
