"""When to stop: lecture 003's *while* [B1].

In-step criteria (:func:`gradient_norm`, :func:`relative_decrease`) are part of the compiled loop and stop at the very step.
:func:`early_stopping` and :func:`budget` look between chunks. All go to ``stop=`` of ``jc.fit``; ``jc.minimize`` takes the
in-step ones.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_course import checks, types
from jaxopt_course.checks import Interval

__all__ = [
    "Budget", "EarlyStopping", "GradientNorm", "NonFinite", "RelativeDecrease", "budget", "criteria", "early_stopping",
    "gradient_norm", "relative_decrease",
]  # fmt: skip


@functools.partial(jax.tree_util.register_dataclass, data_fields=["tolerance"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class GradientNorm:
    """See :func:`gradient_norm`."""

    tolerance: Any

    def start(self) -> Any:
        return ()

    def observe(self, memory: Any, report: Any) -> tuple[Any, jax.Array]:
        return memory, optax.tree.norm(report.grads) <= self.tolerance

    def __str__(self) -> str:
        return f"gradient norm <= {self.tolerance:g}"


@functools.partial(jax.tree_util.register_dataclass, data_fields=["tolerance", "window"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class RelativeDecrease:
    """See :func:`relative_decrease`."""

    tolerance: Any
    window: Any = 1

    def start(self) -> Any:
        zero = jnp.zeros((), jnp.result_type(float))
        return jnp.zeros((), jnp.int32), zero, jnp.full_like(zero, jnp.nan)

    def observe(self, memory: Any, report: Any) -> tuple[Any, jax.Array]:
        count, total, last_mean = memory
        count, total = count + 1, total + report.objective.astype(total.dtype)
        full, mean = count >= self.window, total / count
        stop = full & (last_mean - mean <= self.tolerance * jnp.abs(last_mean))  # False while last_mean is NaN
        return (jnp.where(full, 0, count), jnp.where(full, 0, total), jnp.where(full, mean, last_mean)), stop

    def __str__(self) -> str:
        return f"relative decrease <= {self.tolerance:g}"


@functools.partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class NonFinite:
    """Stops at the step whose objective is not finite: what ``nonfinite="raise"`` and ``"stop"`` add to a run's criteria."""

    def start(self) -> Any:
        return ()

    def observe(self, memory: Any, report: Any) -> tuple[Any, jax.Array]:
        return memory, ~jnp.isfinite(report.objective)


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """See :func:`early_stopping`."""

    metric: str
    patience: int
    min_delta: float
    falls: bool

    def better(self, value: float, best: float) -> bool:
        """Whether ``value`` improves on ``best``; anything improves on NaN."""
        gain = best - value if self.falls else value - best
        return not math.isnan(value) and (math.isnan(best) or gain > self.min_delta)

    def __str__(self) -> str:
        return f"no better validation {self.metric} for {self.patience} evaluations"


@dataclasses.dataclass(frozen=True)
class Budget:
    """See :func:`budget`."""

    seconds: float

    def __str__(self) -> str:
        return f"{self.seconds:g} s spent"


def gradient_norm(tolerance: float) -> GradientNorm:
    """Stop when ‖∇L‖ ≤ tolerance, at that step; the gradient is the step's own (exact with ``jc.samplers.full()``) [B1].

    Args:
        tolerance: a number ≥ 0.

    Returns:
        A criterion, for ``stop=``.

    Raises:
        TypeError, ValueError: a number outside its interval.

    >>> import jaxopt_course as jc
    >>> jc.minimize(lambda x: jnp.sum(x**2), jc.sgd(0.25), start=[1.0], steps=100, stop=gradient_norm(1e-3)).steps
    12
    """
    checks.check_number("gradient_norm", "tolerance", tolerance, Interval(0))
    return GradientNorm(float(tolerance))


def relative_decrease(tolerance: float, *, window: int = 1) -> RelativeDecrease:
    """Stop when the objective's mean over a window falls by no more than tolerance · \\|the mean before\\| [B1].

    Args:
        tolerance: a number ≥ 0.
        window: steps in a mean: 1 for a deterministic function, an epoch's steps for mini-batches.

    Returns:
        A criterion, for ``stop=``.

    Raises:
        TypeError, ValueError: a number outside its interval.

    >>> import jaxopt_course as jc
    >>> jc.minimize(lambda x: 1 + jnp.sum(x**2), jc.sgd(0.25), start=[1.0], steps=100, stop=relative_decrease(1e-3)).steps
    7
    """
    checks.check_number("relative_decrease", "tolerance", tolerance, Interval(0))
    return RelativeDecrease(float(tolerance), checks.check_integer("relative_decrease", "window", window))


def early_stopping(
    metric: str = "loss", *, patience: int = 5, min_delta: float = 0.0, falls: bool | None = None
) -> EarlyStopping:
    """Stop when validation has not improved for ``patience`` evaluations; the best parameters are kept [A9].

    The evaluation before the first step counts. A run that goes on from a state starts to compare anew.

    Args:
        metric: ``"loss"``, ``"objective"``, or a metric of the problem.
        patience: evaluations without improvement to wait for.
        min_delta: what counts as an improvement: more than this.
        falls: whether less is better; by default where the name has "loss", "error" or "objective" in it.

    Returns:
        A criterion, for ``stop=``.

    Raises:
        TypeError: ``metric`` is no name. TypeError, ValueError: a number outside its interval.

    >>> print(early_stopping("accuracy", patience=3))
    no better validation accuracy for 3 evaluations
    """
    if not isinstance(metric, str):
        raise TypeError(f"early_stopping: metric must be a name, as 'loss'; got {metric!r} (patience is given by its name)")
    checks.check_number("early_stopping", "min_delta", min_delta, Interval(0))
    patience = checks.check_integer("early_stopping", "patience", patience)
    return EarlyStopping(metric, patience, float(min_delta), types.falls(metric, falls, "early_stopping"))


def budget(*, seconds: float) -> Budget:
    """Stop at the first chunk that ends after so many seconds of training, compilation not counted.

    Args:
        seconds: a number > 0. (Budgets of steps or epochs are ``fit``'s own arguments.)

    Returns:
        A criterion, for ``stop=``.

    Raises:
        TypeError, ValueError: a number outside its interval.

    >>> print(budget(seconds=2.5))
    2.5 s spent
    """
    checks.check_number("budget", "seconds", seconds, Interval(0, open_low=True))
    return Budget(float(seconds))


def criteria(where: str, stop: Any, *accepted: type) -> tuple[Any, ...]:
    """``stop``, one criterion or several, as a checked tuple.

    Raises:
        TypeError: something is no criterion, or not of a kind that ``where`` can use. ValueError: two early stoppings.
    """
    found = tuple(stop) if isinstance(stop, Iterable) and not isinstance(stop, str) else (stop,)
    for criterion in found:
        if isinstance(criterion, type) or not (hasattr(criterion, "observe") or isinstance(criterion, accepted)):
            kinds = "gradient_norm(...), relative_decrease(...)" + ", early_stopping(...), budget(...)" * bool(accepted)
            raise TypeError(f"{where}: stop takes criteria from jc.stopping: {kinds}; got {criterion!r}")
    if sum(isinstance(criterion, EarlyStopping) for criterion in found) > 1:
        raise ValueError(f"{where}: stop takes one early_stopping, whose best parameters are kept; got {found}")
    return found
