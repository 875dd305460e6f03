"""Pictures of learning rates: a schedule, and a range test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxopt_course import checks
from jaxopt_course.report import style
from jaxopt_course.report.style import Theme

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["range_test", "schedule"]


def schedule(rule: Callable[[Any], Any], steps: int, *, axes: Axes | None = None, theme: Theme = "light") -> Figure:
    """The values of a schedule over steps 0 … ``steps`` − 1.

    Args:
        rule: ``rule(step) → value``, a schedule of ours or any JAX function.
        steps: how many; beyond 4000, evenly spaced ones are evaluated.
        axes: where to draw, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure.

    Raises:
        TypeError, ValueError: ``steps`` is not an integer >= 1.

    >>> schedule(lambda step: 0.1 * 0.99**step, 300).axes[0].get_xlabel()
    'steps'
    """
    import jax
    import jax.numpy as jnp

    checks.check_integer("schedule", "steps", steps)
    at = np.unique(np.linspace(0, steps - 1, min(steps, 4000)).round().astype(int))
    values = np.broadcast_to(jax.vmap(rule)(jnp.asarray(at)), at.shape)
    with style.canvas(axes, theme, (6.4, 3.0)) as (axes, _):
        axes.plot(at, values, label=getattr(rule, "__name__", None) or str(rule))
        axes.set(xlabel="steps", ylabel="value")
        axes.margins(x=0.01)
    return style.figure_of(axes)


def range_test(data: xr.Dataset, *, axes: Axes | None = None, theme: Theme = "light") -> Figure:
    """The loss while the learning rate rises: raw and smoothed, with the steepest and the lowest point.

    Args:
        data: ``loss`` and ``smoothed`` over ``learning_rate``; attributes ``steepest`` and ``lowest``, both rates.
        axes: where to draw, instead of a new figure.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The figure.
    """
    rates, smoothed = data["learning_rate"].values, data["smoothed"].values
    with style.canvas(axes, theme, (6.4, 3.6)) as (axes, colors):
        axes.plot(rates, data["loss"], color=colors.cycle[0], alpha=0.3, linewidth=0.8, label="loss")
        axes.plot(rates, smoothed, color=colors.cycle[0], label="smoothed")
        for name, color, mark in (("steepest", colors.cycle[2], "o"), ("lowest", colors.cycle[1], "s")):
            at = data.attrs[name]
            height = np.interp(np.log(at), np.log(rates), smoothed)
            axes.plot(at, height, mark, color=color, label=f"{name}: {at:.2g}")
        low, high = min(0.0, smoothed.min()), max(smoothed[0], smoothed.min())
        axes.set(
            xscale="log", xlabel="learning rate", ylabel="loss", ylim=(low - 0.05 * (high - low), low + 1.6 * (high - low))
        )
        axes.set_title(f"Range test: {data.attrs['problem']}, {data.attrs['steps']} steps")
        axes.legend(loc="lower left")
    return style.figure_of(axes)
