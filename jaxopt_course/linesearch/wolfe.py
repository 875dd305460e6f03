"""A step that is neither too long nor too short [B7].

φ(α) ≤ φ(0) + c₁ α φ′(0)   (sufficient decrease)
|φ′(α)| ≤ c₂ |φ′(0)|        (strong curvature condition)

`lo` is the best point that decreases φ enough, `hi` an end such that between them a point satisfies both; until there is
such an end, the step doubles. One evaluation of φ and φ′ a turn tells which of the two ends moves.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxopt_course.linesearch.search import SEARCHING, Factor, Outcome, Ray, Status, alternate, end, rounding, searching
from jaxopt_course.types import NonNegative, Positive

__all__ = ["wolfe"]

EXPAND = 2.0  # the next step while no end is found
EDGE = 0.1  # of the interval: interpolation stays that far from its ends


class _Point(NamedTuple):
    step: jax.Array
    value: jax.Array
    slope: jax.Array


class _Zoom(NamedTuple):
    """lo, hi (at ∞ until there is one), the next step, and the width before the last turn."""

    lo: _Point
    hi: _Point
    step: jax.Array
    width: jax.Array
    evaluations: jax.Array
    status: jax.Array
    verdict: jax.Array


def _check(c1: Any, c2: Any, **others: Any) -> None:
    known = not any(callable(number) or isinstance(number, Tracer) for number in (c1, c2))
    if known and not c1 < c2:
        raise ValueError(f"wolfe: c1 must be less than c2; got c1={c1!r}, c2={c2!r}")


@searching(_check)
def wolfe(
    ray: Ray,
    c1: Factor = 1e-4,
    c2: Factor = 0.9,
    max_step: Positive = 1e6,
    noise: NonNegative = 0.0,
    *,
    max_evaluations: int = 30,
) -> Outcome:
    """Strong Wolfe conditions, by doubling and zoom.

    φ(α) ≤ φ(0) + c₁ α φ′(0) and \\|φ′(α)\\| ≤ c₂ \\|φ′(0)\\|

    Inside an interval, the next step is the minimum of the cubic through both ends' values and slopes, kept off the ends;
    half of the interval, if the last turn did not halve it. Values that differ by rounding only count as equal: slopes
    decide. If the evaluations are spent, the best point that decreases φ enough, else no step.

    Args:
        c1: c₁ in (0, 1).
        c2: c₂ in (c₁, 1); 0.9 for Newton-like directions, 0.1 for a nearly exact search.
        max_step: the longest α.
        noise: a rise of noise · \\|φ(0)\\| counts as none, and a step is taken that slopes alone speak for. 0 is the
            textbook's; near a minimum in float32, 10⁻⁶ lets descent go on where rounding hides it (Hager and Zhang's
            approximate conditions).
        max_evaluations: the budget, of φ and φ′ together.

    Returns:
        A :class:`~jaxopt_course.linesearch.Search`.

    Raises:
        TypeError, ValueError: a number outside its interval, or c₁ ≥ c₂.

    >>> outcome = wolfe(c2=0.1)(lambda a: (a - 3.0) ** 2, initial_step=0.5)
    >>> round(float(outcome.step_size), 5), Status(int(outcome.status)).name
    (3.0, 'CONVERGED')

    References:
        Nocedal & Wright, Numerical optimization, 2006, algorithms 3.5 and 3.6; Hager & Zhang, A new conjugate gradient
        method with guaranteed descent and an efficient line search, 2005. Lecture 000 [B7].
    """
    slack = jnp.maximum(noise * jnp.abs(ray.value), ray.rounding)
    counts = lambda value: ray.lower(value) | (noise > 0)

    def nearer(zoom: _Zoom, found: tuple[jax.Array, jax.Array]) -> _Zoom:
        value, slope = found
        here = _Point(zoom.step, value, slope)
        too_high = (value > ray.value + c1 * zoom.step * ray.slope + slack) | (
            value >= zoom.lo.value + jnp.maximum(slack, rounding(zoom.lo.value))
        )
        good = ~too_high & counts(value) & (jnp.abs(slope) <= c2 * jnp.abs(ray.slope))
        bounded = ~jnp.isinf(zoom.hi.step)
        turned = slope * (zoom.hi.step - zoom.lo.step) >= 0
        at_end = ~too_high & ~bounded & ~turned & (zoom.step >= max_step)
        hi = _choose(too_high, here, _choose(turned, zoom.lo, zoom.hi))
        lo = _choose(too_high, zoom.lo, here)
        width = jnp.abs(hi.step - lo.step)
        step = jnp.where(
            jnp.isinf(hi.step), jnp.minimum(EXPAND * zoom.step, max_step), _between(lo, hi, width > zoom.width / 2)
        )
        stuck = (step == lo.step) | (step == hi.step)
        verdict = ray.verdict(value, zoom.verdict)
        status = jnp.where(at_end, Status.MAX_STEP, jnp.where(stuck, verdict, SEARCHING))
        status = jnp.where(good, Status.CONVERGED, status).astype(jnp.int32)
        return _Zoom(lo, hi, step, width, zoom.evaluations + 1, status, verdict)

    origin = _Point(jnp.zeros_like(ray.value), ray.value, ray.slope)
    infinity = jnp.full_like(ray.value, jnp.inf)
    start = _Zoom(
        origin, _Point(infinity, infinity, infinity), jnp.minimum(ray.step, max_step), infinity,
        ray.evaluations, ray.status, jnp.int32(SEARCHING),
    )  # fmt: skip
    unfinished = lambda zoom: (zoom.status == SEARCHING) & (zoom.evaluations < max_evaluations)
    last = alternate(lambda zoom: ray.with_slope(zoom.step), nearer, unfinished, start, (ray.value, ray.slope))
    fruitless = (last.lo.step > 0) & ~counts(last.lo.value)
    status = end(jnp.where(fruitless, SEARCHING, last.status), last.verdict)
    best = _choose(fruitless, origin, last.lo)
    return Outcome(best.step, best.value, last.evaluations, status)


def _choose(condition: jax.Array, yes: _Point, no: _Point) -> _Point:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def _between(lo: _Point, hi: _Point, halve: jax.Array) -> jax.Array:
    """The next step inside an interval."""
    width = hi.step - lo.step
    d1 = lo.slope + hi.slope - 3 * (hi.value - lo.value) / width
    d2 = jnp.sign(width) * jnp.sqrt(d1 * d1 - lo.slope * hi.slope)
    cubic = hi.step - width * (hi.slope + d2 - d1) / (hi.slope - lo.slope + 2 * d2)
    parabola = lo.step - lo.slope * width**2 / (2 * (hi.value - lo.value - lo.slope * width))
    middle = lo.step + width / 2
    guess = jnp.where(jnp.isfinite(cubic), cubic, jnp.where(jnp.isfinite(parabola), parabola, middle))
    ends = lo.step + EDGE * width, hi.step - EDGE * width
    return jnp.where(halve, middle, jnp.clip(guess, jnp.minimum(*ends), jnp.maximum(*ends)))
