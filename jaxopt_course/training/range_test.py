"""The learning-rate range test: one short run in which the rate rises, to see where the loss falls and where it explodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.problems.objective import Problem
from jaxopt_course.training.fit import fit
from jaxopt_course.training.state import as_transformation, check_problem
from jaxopt_course.types import Key, Positive, Schedule, parametric

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["RangeTest", "range_test"]

SMOOTHING = 0.02  # the standard deviation of the average over neighbours, as a part of the whole run,
LEAST = 3.0  # and in steps, at least: fewer do not average mini-batches' noise out
EXPLODED = 2.0  # times the first losses; higher ones are cut to that before they are averaged


@parametric(Schedule)
def rising(step, low: Positive, high: Positive, steps: Positive):
    """From low to high by the same factor at each step: α_t = α₀ (α₁/α₀)^{t/(T − 1)}."""
    return low * (high / low) ** (step / (steps - 1))


@dataclasses.dataclass(frozen=True, eq=False)
class RangeTest:
    """What a range test saw.

    Attributes:
        data: ``loss`` and ``smoothed`` over ``learning_rate``, as far as the run went.
        steepest: the learning rate at which the smoothed loss falls fastest: a good constant rate.
        lowest: the one at which it is lowest: an upper bound for cycles [C5]; above it training gets worse.
    """

    data: xr.Dataset
    steepest: float
    lowest: float

    def plot(self, **options: Any) -> Any:
        """Loss against rate as a figure (see :func:`jaxopt_course.report.rates.range_test`)."""
        from jaxopt_course.report import rates

        return rates.range_test(self.data, **options)

    def __repr__(self) -> str:
        return f"RangeTest({self.data.attrs['problem']}: steepest at {self.steepest:.3g}, lowest at {self.lowest:.3g})"


def range_test(
    problem: Problem,
    factory: Callable[[Schedule], optax.GradientTransformation],
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 300,
    batch_size: int | None = None,
    key: int | Key = 0,
) -> RangeTest:
    """Train for a few hundred steps while the learning rate rises, and record the loss.

    α_t = α₀ (α₁/α₀)^{t/(T − 1)}, until the loss is not finite

    Args:
        problem: what to train.
        factory: from a learning rate (here a schedule) to an optimizer: ``jc.sgd``, ``lambda rate: jc.momentum(rate, 0.9)``.
        low: α₀ > 0. high: α₁ > α₀.
        steps: T ≥ 10.
        batch_size, key: as for :func:`jaxopt_course.fit`.

    Returns:
        A :class:`RangeTest`; ``.plot()`` draws it.

    Raises:
        TypeError, ValueError: an argument is not what it should be, the factory ignores its rate, the loss is not finite from
            the start, or it never falls by more than its noise.

    >>> import jaxopt_course as jc
    >>> test = range_test(jc.problems.digits(), jc.sgd, low=1e-4, high=100, steps=100)
    >>> 1e-4 < test.steepest < test.lowest < 100
    True

    References:
        Smith, Cyclical learning rates for training neural networks, 2015, section 3.3. Lecture 002 [C5].
    """
    check_problem("range_test", problem)
    checks.check_number("range_test", "low", low, checks.Interval(0, open_low=True))
    checks.check_number("range_test", "high", high, checks.Interval(float(low), open_low=True))
    checks.check_integer("range_test", "steps", steps, minimum=10)
    if batch_size is not None:
        checks.check_integer("range_test", "batch_size", batch_size)
    if not callable(factory) or isinstance(factory, optax.GradientTransformation):
        raise TypeError(f"range_test: factory must be a function from a learning rate to an optimizer; got {factory!r}")
    build = lambda rate: as_transformation("range_test: what factory returns", factory(rate))
    optimizer = build(rising(low, high, steps))
    _check_reads_its_rate(problem, build, rising(low, high, steps))
    result = fit(problem, optimizer, batch_size=batch_size, steps=steps, key=key, evaluate=None, nonfinite="stop")
    losses = np.asarray(result.history["objective" if problem.regularizer else "loss"].values, float)
    rates = np.asarray(rising(low, high, steps)(jnp.arange(len(losses))), float)
    finite = np.isfinite(losses)
    if finite.sum() < 10:
        raise ValueError(f"range_test: the loss was finite for {finite.sum()} steps only; begin at a lower rate than {low}")
    attributes = {"problem": problem.name, "steps": steps, "batch_size": result.history.attrs["batch_size"]}
    return _seen(rates[finite], losses[finite], attributes)


def _check_reads_its_rate(problem: Problem, build: Callable[[Schedule], optax.GradientTransformation], rate: Schedule) -> None:
    """Whether an update asks the schedule that the factory was given, ours or foreign: found out on shapes."""
    asked = []
    heard = Schedule(lambda step: (asked.append(step), rate(step))[1])
    optimizer = optax.with_extra_args_support(build(heard))
    params, _ = jax.eval_shape(problem.init, jax.random.key(0))
    zeros = jax.tree.map(lambda p: jnp.zeros(p.shape, p.dtype), params)
    extra = {"value": jnp.zeros(()), "grad": zeros, "value_fn": lambda p: sum(x.sum() for x in jax.tree.leaves(p))}
    state = optimizer.init(zeros)
    asked.clear()  # factories check a rate where it begins
    jax.eval_shape(lambda state: optimizer.update(zeros, state, zeros, **extra), state)
    if not asked:
        example = "lambda rate: jc.momentum(rate, 0.9)"
        raise ValueError(f"range_test: factory must use the learning rate (a schedule) that it is given: {example}")


def _seen(rates: np.ndarray, losses: np.ndarray, attributes: dict[str, Any]) -> RangeTest:
    import xarray as xr
    from scipy.ndimage import gaussian_filter1d

    first = np.median(losses[:10])
    ceiling = first + EXPLODED * abs(first)  # one exploded loss must not lift all its neighbours' average
    width = max(LEAST, SMOOTHING * attributes["steps"])
    smooth = lambda order: gaussian_filter1d(np.minimum(losses, ceiling), width, order=order, mode="nearest")
    smoothed = smooth(0)
    lowest = int(np.argmin(smoothed))
    noise = np.median(np.abs(np.diff(losses))) + 1e-3 * abs(first)  # between neighbouring steps
    if not smoothed[0] - smoothed[lowest] > noise:
        raise ValueError(
            f"range_test: the loss never fell by more than its noise ({noise:.2g}) between rates {rates[0]:.2g} and "
            f"{rates[-1]:.2g}: widen the range, take more steps, or see whether factory uses the rate that it is given"
        )
    steepest = int(np.argmin(smooth(1)[: lowest + 1]))
    attributes = attributes | {"steepest": float(rates[steepest]), "lowest": float(rates[lowest])}
    variables = {"loss": ("learning_rate", losses), "smoothed": ("learning_rate", smoothed)}
    return RangeTest(xr.Dataset(variables, {"learning_rate": rates}, attributes), attributes["steepest"], attributes["lowest"])
