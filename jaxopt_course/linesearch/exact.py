"""The best step there is [B7].

α = argmin φ(α), near the first minimum: a bracket (golden steps outwards while φ falls, or inwards until it does), then
Brent's method or golden section inside.
"""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxopt_course import checks
from jaxopt_course.linesearch.scalar import GOLDEN, METHODS, expand, resolution
from jaxopt_course.linesearch.search import SEARCHING, Outcome, Ray, Status, end, searching
from jaxopt_course.types import Positive

__all__ = ["exact"]


def _check(method: Any, max_evaluations: int, **others: Any) -> None:
    checks.check_integer("exact", "max_evaluations", max_evaluations, minimum=2)
    checks.check_choice("exact", "method", method, METHODS)


@searching(_check)
def exact(
    ray: Ray,
    rtol: Positive = 1.5e-8,
    max_step: Positive = 1e6,
    *,
    method: Literal["brent", "golden"] = "brent",
    max_evaluations: int = 60,
) -> Outcome:
    """Exact line search: the step with the least φ.

    α = argmin φ(α)

    Of several minima it finds one below φ(0). Needs no slope but φ′(0).

    Args:
        rtol: α's relative tolerance, > 0; never less than √ε is asked for, as values cannot tell more.
        max_step: the longest α; if φ still falls there, that is it.
        method: ``"brent"``, or ``"golden"``, which is slower and simpler.
        max_evaluations: the budget, at least 2: for φ(0), the bracket and what follows.

    Returns:
        A :class:`~jaxopt_course.linesearch.Search`.

    Raises:
        TypeError, ValueError: a number outside its interval, or an unknown method.

    >>> outcome = exact()(lambda a: (a - 3.0) ** 2, initial_step=0.5)
    >>> round(float(outcome.step_size), 3), Status(int(outcome.status)).name
    (3.0, 'CONVERGED')

    References:
        Brent, Algorithms for minimization without derivatives, 1973. Lecture 000 [B7].
    """

    tolerances = jnp.maximum(rtol, resolution(rtol.dtype)), jnp.finfo(rtol.dtype).tiny

    def search():
        b, fb, c, used, verdict = _inwards(ray, jnp.minimum(ray.step, max_step), max_evaluations)
        low = fb <= ray.value + ray.rounding
        outwards = low & jnp.isinf(c)
        origin, values = jnp.zeros_like(b), (ray.value, fb)
        points, values, used = expand(ray.at, (origin, b), values, used, max_step, max_evaluations, ray.rounding, outwards)
        between = low & ~(outwards & (values[2] < values[1] + ray.rounding))
        a, x, b = (jnp.where(outwards, *pair) for pair in zip(points, (origin, b, c), strict=True))
        fx = jnp.where(outwards, values[1], fb)
        least = METHODS[method](ray.at, a, x, b, fx, *tolerances, used, jnp.where(between, max_evaluations, 0))
        step, value = jnp.where(between, least.x, points[2]), jnp.where(between, least.value, values[2])
        status = jnp.where(points[2] >= max_step, Status.MAX_STEP, Status.BUDGET)
        status = jnp.where(between, least.status, status)
        found = low & ray.lower(value)
        return Outcome(
            jnp.where(found, step, 0),
            jnp.where(found, value, ray.value),
            least.evaluations,
            jnp.where(found, status, end(ray.status, verdict)),
        )

    return jax.lax.cond(ray.status == SEARCHING, search, ray.nothing)


def _inwards(ray: Ray, first: jax.Array, budget: int) -> tuple[jax.Array, ...]:
    """Shorter steps, until φ is not above φ(0): that step, φ there, the one before (∞: none), evaluations, verdict."""

    def shorter(carry):
        step, _, _, used, verdict = carry
        inner = GOLDEN * step
        return inner, (new := ray.at(inner)), step, used + 1, ray.verdict(new, verdict)

    value = ray.at(first)
    start = first, value, jnp.full_like(first, jnp.inf), ray.evaluations + 1, ray.verdict(value, jnp.int32(SEARCHING))
    unfinished = lambda c: (c[1] > ray.value + ray.rounding) & (c[3] < budget) & (GOLDEN * c[0] > jnp.finfo(first.dtype).tiny)
    return jax.lax.while_loop(unfinished, shorter, start)
