"""How far a step brings the objective down, against what its gradient promised; and how far off the minimum is [B6, F6]."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_course import checks
from jaxopt_course.probes.definition import Observation, Over, Probe
from jaxopt_course.probes.options import check_chunk, check_over

__all__ = ["decrease", "predicted_decrease", "suboptimality"]


def decrease(*, every: int = 1) -> Probe:
    """What the step changes the objective of its own batch by.

    ΔL = L(θ + u) − L(θ),   u the update

    Beside :func:`predicted_decrease`: their ratio is 1 while steps are small, ½ at gradient descent's best step on a parabola,
    negative where a step overshoots so far that L rises. ΔL is a difference: below 10⁻⁷ L it is float32's rounding.

    Args:
        every: at every k-th step.

    Returns:
        The probe ``decrease``. A look costs 30 % of a step: one evaluation (two, behind a look-ahead).

    Raises:
        TypeError, ValueError: ``every`` is no integer ≥ 1.

    >>> import jaxopt_course as jc
    >>> descent = jc.minimize(lambda x: x**2, jc.sgd(0.25), start=4.0, steps=2, probes=[decrease(), predicted_decrease()])
    >>> descent.history.decrease.values, descent.history.predicted_decrease.values
    (array([-12.,  -3.], dtype=float32), array([-16.,  -4.], dtype=float32))

    References:
        Lectures 000, 001 [B6].
    """
    return Probe.of(_decrease, "decrease", "change of the batch's objective by the step", every=every)


def _decrease(at: Observation) -> jax.Array:
    before = at.objective if at.point is at.params else at.value(at.params)
    return at.value(optax.apply_updates(at.params, at.updates)) - before


def predicted_decrease(*, every: int = 1) -> Probe:
    """What the step would change the objective by, if that were linear.

    ΔL ≈ ∇L·u = −α‖∇L‖² for gradient descent,   u the update

    Args:
        every: at every k-th step.

    Returns:
        The probe ``predicted_decrease``. A look costs 12 % of a step.

    Raises:
        TypeError, ValueError: ``every`` is no integer ≥ 1.

    >>> import jaxopt_course as jc
    >>> descent = jc.minimize(lambda x: x**2, jc.sgd(0.25), start=4.0, steps=2, probes=predicted_decrease())
    >>> descent.history.predicted_decrease.values, -0.25 * descent.history.gradient_norm.values ** 2
    (array([-16.,  -4.], dtype=float32), array([-16.,  -4.], dtype=float32))

    References:
        Lectures 000, 001 [B6].
    """
    long_name = "change of the objective by the step, to first order"
    return Probe.of(_predicted_decrease, "predicted_decrease", long_name, every=every)


def _predicted_decrease(at: Observation) -> jax.Array:
    return jnp.real(optax.tree.vdot(at.grads, at.updates))


def suboptimality(minimum: Any, *, over: Over = "train", every: int = 1, chunk: int = 1024) -> Probe:
    """How far the objective is above its minimum.

    L(θ) − L*

    Args:
        minimum: L*, a number: ``problem.optimum().objective``, or a surface's. It is data: another one does not recompile.
        over: L is the objective of the whole ``"train"`` split, as in evaluation, or of the step's ``"batch"``.
        every: at every k-th step.
        chunk: examples of the split at a time.

    Returns:
        The probe ``suboptimality``, at θ before the step. A look costs 10 steps for each 2 000 examples.

    Raises:
        TypeError, ValueError: an argument is not what it should be.

    >>> import jaxopt_course as jc
    >>> problem = jc.problems.linear_regression(num_examples=80, num_features=3)
    >>> above = suboptimality(problem.optimum().objective, every=10)
    >>> history = jc.fit(problem, jc.sgd(0.1), batch_size=8, epochs=3, probes=above).history
    >>> bool((history.suboptimality.dropna("step") > 0).all())
    True

    References:
        Lecture 000 [F6].
    """
    if hasattr(minimum, "objective"):  # a problem's optimum itself
        minimum = minimum.objective
    checks.check_number("suboptimality", "minimum", minimum)
    static = {"over": check_over("suboptimality", over), "chunk": check_chunk("suboptimality", chunk)}
    long_name, numbers = "objective above its minimum", {"minimum": minimum}
    return Probe.of(_suboptimality, "suboptimality", long_name, numbers=numbers, static=static, every=every)


def _suboptimality(at: Observation, *, minimum: Any, over: Over, chunk: int) -> jax.Array:
    return at.total(lambda function: function(at.params), over, chunk) - minimum
