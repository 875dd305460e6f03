"""A race as a table: aligned text for the terminal, and the same cells for the page."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxopt_course.report.schema import RaceData, label, scale

__all__ = ["Cell", "Row", "cells", "level", "race_table", "rows", "settings", "settings_line", "summary"]

SIGNIFICANCE = 0.05


class Cell(NamedTuple):
    """What a reader sees, and what a column sorts by (NaN last)."""

    text: str
    value: float | str


class Row(NamedTuple):
    """One optimizer's outcome; ``estimate`` is mean, low and high of the test metric, ``difference`` is from the best."""

    name: str
    learning_rate: float
    estimate: tuple[float, float, float]
    result: str
    difference: float
    p_value: float
    compile_seconds: float
    run_seconds: float


def rows(data: RaceData) -> list[Row]:
    """The optimizers, best first; those that diverged last."""
    metric, ranking = f"test_{data.attrs['metric']}", data.ranking
    found = []
    for name in ranking:
        one = data.table.sel(optimizer=name)
        estimate = (float(one[metric]), float(one[f"{metric}_low"]), float(one[f"{metric}_high"]))
        costs = (float(one["p_value"]), float(one["compile_seconds"]), float(one["run_seconds"]))
        best = found[0].estimate[0] if found else estimate[0]
        result = _estimate(estimate, scale(metric))
        found.append(Row(name, float(one["learning_rate"]), estimate, result, estimate[0] - best, *costs))
    return found


def cells(data: RaceData) -> list[dict[str, Cell]]:
    """Every row as text, by column title; every row has the same columns."""
    metric = data.attrs["metric"]
    others = [str(name) for name in data.table.data_vars if str(name).startswith("test_") and f"{name}_low" in data.table]
    table = []
    for rank, row in enumerate(rows(data)):
        one = data.table.sel(optimizer=row.name)
        factor = scale(metric)
        p_value = "best" if rank == 0 and np.isnan(row.p_value) else _p_value(row.p_value)
        line = {
            "optimizer": Cell(row.name, row.name),
            "learning rate": Cell(_number(row.learning_rate, "{:.3g}"), row.learning_rate),
            f"test {label(metric)}": Cell(row.result, row.estimate[0]),
            "difference": Cell(_number(row.difference * factor, "{:+.2f}" if factor == 100 else "{:+.3g}"), row.difference),
            "p": Cell(p_value, row.p_value),
        }
        for name in others:
            if name != f"test_{metric}":
                estimate = (float(one[name]), float(one[f"{name}_low"]), float(one[f"{name}_high"]))
                line[label(name)] = Cell(_estimate(estimate, scale(name)), estimate[0])
        line["run (s)"] = Cell(_number(row.run_seconds, "{:.2f}"), row.run_seconds)
        line["compile (s)"] = Cell(_number(row.compile_seconds, "{:.2f}"), row.compile_seconds)
        table.append(line)
    return table


def race_table(data: RaceData) -> str:
    """The table for the terminal: best first, aligned, under the settings and over what it says.

    Returns:
        Lines of at most about 100 characters, without a final newline.
    """
    table = cells(data)
    columns = list(table[0]) if table else []
    grid = [columns, *([row[column].text for column in columns] for row in table)]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines = ["  ".join(cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(line, widths, strict=True))) for line in grid]
    rule = ["─" * (sum(widths) + 2 * len(widths) - 2)] if widths else []
    parts = [f"{data.attrs['title']}: {settings_line(data)}", "", *lines[:1], *rule, *lines[1:], "", summary(data)]
    return "\n".join(parts)


def summary(data: RaceData) -> str:
    """What the numbers support, in sentences: the best, whom it cannot be told from, who diverged, what ± and p are."""
    ranked = rows(data)
    finished = [row for row in ranked if np.isfinite(row.estimate[0])]
    if not finished:
        return "The race was interrupted before any optimizer finished." if data.attrs["incomplete"] else "No run stayed finite."
    best, *others = finished
    parts = [f"Best test {data.attrs['metric']}: {best.name}, {best.result}{' %' * (scale(data.attrs['metric']) == 100)}."]
    tied = [row.name for row in others if row.p_value > SIGNIFICANCE]
    if tied:
        parts.append(f"Not distinguishable from it: {', '.join(tied)}.")
    elif others and not np.isnan([row.p_value for row in others]).any():
        parts.append("Every other optimizer differs from it significantly.")
    if diverged := [row.name for row in ranked if row not in finished]:
        parts.append(f"Without a finite result: {', '.join(diverged)}.")
    parts.append(f"± is the {level(data)} interval over seeds; p is of a paired t-test against the best, Holm-corrected.")
    if data.attrs["incomplete"]:
        parts.append("The race was interrupted: the table is incomplete.")
    return " ".join(parts)


def settings(data: RaceData) -> dict[str, str]:
    """The settings to show, by label: every attribute but those that only steer the report."""
    hidden = {"title", "incomplete", "lower_is_better", "level", "metric"}
    return {str(k).replace("_", " "): str(v) for k, v in data.attrs.items() if k not in hidden and v not in ("", None)}


def settings_line(data: RaceData) -> str:
    """The settings that fit on a line: what was trained, how, and on what machine."""
    shown = settings(data)
    counted = [f"{shown[key]} {unit}" for key, unit in (("epochs", "epochs"), ("seeds", "seeds")) if key in shown]
    batch = [f"batch size {shown['batch size']}"] if "batch size" in shown else []
    return ", ".join([shown["problem"], *batch, *counted, *([shown["machine"]] if "machine" in shown else [])])


def level(data: RaceData) -> str:
    """The coverage of the intervals, as ``"95 %"``."""
    return f"{100 * float(data.attrs.get('level', 0.95)):g} %"


def _estimate(estimate: tuple[float, float, float], factor: float) -> str:
    mean, low, high = (factor * value for value in estimate)
    if not np.isfinite(mean):
        return "–"
    magnitude = np.floor(np.log10(abs(mean))) if mean else 0
    pattern = "{:.2f}" if factor == 100 else f"{{:.{int(2 - min(magnitude, 2))}f}}" if abs(magnitude) < 5 else "{:.2e}"
    margin = " ± " + pattern.format((high - low) / 2) if np.isfinite(high - low) else ""
    return pattern.format(mean) + margin


def _p_value(p: float) -> str:
    return "–" if np.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def _number(value: float, pattern: str) -> str:
    return pattern.format(value) if np.isfinite(value) else "–"
