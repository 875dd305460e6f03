"""Backtracking until the decrease is sufficient [B7].

φ(α) ≤ φ(0) + c₁ α φ′(0), for the first α of α₀, ρα₀, ρ²α₀, …
"""

from __future__ import annotations

import jax.numpy as jnp

from jaxopt_course.linesearch.search import SEARCHING, Factor, Outcome, Ray, Status, alternate, end, searching
from jaxopt_course.types import NonNegative, Positive

__all__ = ["armijo"]


@searching()
def armijo(
    ray: Ray,
    c1: Factor = 1e-4,
    decrease_factor: Factor = 0.5,
    max_step: Positive = 1e6,
    noise: NonNegative = 0.0,
    *,
    max_evaluations: int = 30,
) -> Outcome:
    """Armijo backtracking: shorten the step until φ falls by a share of what its slope promises.

    φ(α) ≤ φ(0) + c₁ α φ′(0), for the first α of α₀, ρα₀, ρ²α₀, …

    Needs no slope but φ′(0). If the evaluations are spent, the best point tried that is below φ(0), else no step.

    Args:
        c1: c₁ in (0, 1), the share.
        decrease_factor: ρ in (0, 1).
        max_step: α₀ is at most this.
        noise: a rise of noise · \\|φ(0)\\| counts as none. 0 is the textbook's; near a minimum in float32, 10⁻⁶ keeps
            rounding from refusing good steps.
        max_evaluations: the budget.

    Returns:
        A :class:`~jaxopt_course.linesearch.Search`.

    Raises:
        TypeError, ValueError: a number outside its interval.

    >>> outcome = armijo()(lambda a: (a - 0.3) ** 2, initial_step=2.0)
    >>> float(outcome.step_size), int(outcome.evaluations)  # φ(0) and φ′(0), then at 2, 1, 0.5
    (0.5, 4)

    References:
        Armijo, Minimization of functions having Lipschitz continuous first partial derivatives, 1966; Nocedal & Wright,
        Numerical optimization, 2006, algorithm 3.1. Lecture 000 [B7].
    """

    slack = noise * jnp.abs(ray.value)

    def shorter(carry, value):
        step, best, verdict = carry
        enough = (value <= ray.value + c1 * step * ray.slope + slack) & (ray.lower(value) | (noise > 0))
        better = enough | (ray.lower(value) & (value < best.value))
        best = Outcome(
            jnp.where(better, step, best.step_size),
            jnp.where(better, value, best.value),
            best.evaluations + 1,
            jnp.where(enough, Status.CONVERGED, SEARCHING).astype(jnp.int32),
        )
        return step * decrease_factor, best, ray.verdict(value, verdict)

    unfinished = lambda carry: (carry[1].status == SEARCHING) & (carry[1].evaluations < max_evaluations)
    start = jnp.minimum(ray.step, max_step), ray.nothing(), jnp.int32(SEARCHING)
    _, best, verdict = alternate(lambda carry: ray.at(carry[0]), shorter, unfinished, start, ray.value)
    return best._replace(status=end(best.status, verdict))
