"""The picture of one fit, in matplotlib: its losses, its metrics, its learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxopt_course import checks
from jaxopt_course.report import schema, style
from jaxopt_course.report.schema import label
from jaxopt_course.report.style import Theme

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["history"]

_AXES = {"step": ("step", "epoch_step"), "epoch": ("step_epoch", "epoch"), "examples": ("examples", "epoch_examples")}


def history(
    run: xr.Dataset,
    *,
    x: Literal["step", "epoch", "examples"] = "step",
    axes: Axes | None = None,
    theme: Theme = "light",
) -> Figure:
    """One fit: the training loss, raw and smoothed, with the validation loss; its metrics; its learning rate if that varies.

    Args:
        run: variables over ``step`` (``loss``, ``learning_rate``, a metric, …) and over ``epoch`` (``validation_loss``, …);
            coordinates ``step_epoch`` (step), in epochs, and ``epoch_step`` (epoch), in steps; for ``x="examples"``,
            ``examples`` (step) and ``epoch_examples`` (epoch). A metric is a name with both
            ``<metric>`` and ``validation_<metric>``. Without ``step_epoch`` the descent is deterministic: nothing to smooth.
        x: read the curves against steps, epochs, or examples (which compares runs of different batch sizes).
        axes: where to draw the loss panel alone, instead of a new figure with all.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure.

    Raises:
        ValueError: ``x`` is unknown; ``run`` has no ``loss`` over ``step``, or is a population rather than one run.
    """
    checks.check_choice("history", "x", x, _AXES)
    if "loss" not in run or run["loss"].dims != ("step",):
        raise ValueError(f"history: expected a dataset of one run with loss over ('step',); got {dict(run.sizes)}")
    plain = {"loss"} | ({"objective"} if "objective" in run and run["objective"].equals(run["loss"]) else set())
    metrics = [str(name) for name in run.data_vars if name not in plain and f"validation_{name}" in run]
    panels = ["loss"] if axes is not None else ["loss", *metrics, *(["learning_rate"] if _varies(run) else [])]
    with style.themed(theme) as colors:
        if axes is not None:
            column = [axes]
        else:
            heights = [0.6 if name == "learning_rate" else 1.0 for name in panels]
            figure = style.Figure(figsize=(7.2, 0.6 + 2.6 * sum(heights)))
            column = [
                style.dress(each, colors)
                for each in figure.subplots(len(panels), sharex=True, squeeze=False, height_ratios=heights).flat
            ]
        for panel, name in zip(column, panels, strict=True):
            _history_panel(panel, run, name, x, colors)
        column[-1].set_xlabel(label(x))
    return style.figure_of(column[0])


def _varies(run: xr.Dataset) -> bool:
    rates = run.get("learning_rate")
    return rates is not None and rates.dims == ("step",) and len(np.unique(rates)) > 1


def _history_panel(axes: Axes, run: xr.Dataset, name: str, x: str, colors: style.Palette) -> None:
    (of_steps, of_evaluations), factor = _AXES[x], schema.scale(name)
    steps = run[of_steps]
    values, count = run[name] * factor, run.sizes["step"]
    if name == "learning_rate":
        axes.plot(steps, values, color=colors.cycle[2])
    else:
        smooth = values
        if sampled := "step_epoch" in run and count >= 100:
            every = slice(None, None, count // 5000 + 1)
            axes.plot(steps[every], values[every], color=colors.cycle[0], alpha=0.25, linewidth=0.8)
            smooth = values.rolling(step=count // 50, center=True, min_periods=1).mean()
        axes.plot(steps, smooth, color=colors.cycle[0], label="training, smoothed" if sampled else "training")
        if f"validation_{name}" in run:
            at = run[of_evaluations]
            axes.plot(at, run[f"validation_{name}"] * factor, "o-", color=colors.cycle[1], markersize=3, label="validation")
            axes.legend()
        finite = values.values[np.isfinite(values.values)]
        if schema.is_loss(name) and finite.min(initial=np.inf) >= 0 and finite.max(initial=0) > 0:
            style.log_axis(axes)
    axes.set_ylabel(label(name))
    axes.margins(x=0.01)
