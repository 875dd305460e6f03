"""Parameter averaging: train one thing, evaluate the average of where it has been.

Polyak–Ruppert  θ̄ₖ = (1/k) Σ_{i≤k} θᵢ               that is  θ̄ ← θ̄ + (θ − θ̄)/k
exponential     θ̄ₖ = Σ βᵏ⁻ⁱ θᵢ / Σ βᵏ⁻ⁱ             that is  θ̄ ← θ̄ + (θ − θ̄)(1 − β)/(1 − βᵏ)

k counts the updates after the first ``start`` ones, from 1; until then θ̄ = θ. Training does not see the average;
:func:`jaxopt_course.eval_params` reads it, and so do evaluations in ``fit`` and its result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_course.checks import check_transformation
from jaxopt_course.optimizers.descent import sgd
from jaxopt_course.optimizers.wrapping import speaks_for
from jaxopt_course.transform import chain, map_leaves, next_step, optimizer
from jaxopt_course.types import Decay, NonNegative, Params, real_dtype

if TYPE_CHECKING:
    from jaxtyping import Array, Int

__all__ = ["AverageState", "averaged", "averaged_sgd"]


class AverageState(NamedTuple):
    """The updates done, and θ̄."""

    step: Int[Array, ""]
    average: Params

    must_be_last = True

    def eval_params(self, params: Params) -> Params:
        """θ̄, in the parameters' dtypes."""
        return jax.tree.map(lambda mean, p: mean.astype(jnp.result_type(p)), self.average, params)


def _move(u, average, theta, weight):
    return u, average + weight * (theta - average), theta


def _weight(k, decay, bias_correction):
    """How far θ̄ moves to θ: all the way at k ≤ 1."""
    if decay is None:
        return 1 / jnp.maximum(k, 1)
    settled = 1 - decay
    return jnp.where(k < 1, 1.0, settled / (1 - decay ** jnp.maximum(k, 1)) if bias_correction else settled)


@optimizer
def average_params(
    decay: Decay | None = None, start: NonNegative = 0, *, bias_correction: bool = True, accumulator_dtype: Any = None
):
    """The last link of a chain: leave the step as it is, and average where it leads. See :func:`averaged`."""
    if decay is None and not bias_correction:
        raise ValueError(
            "averaged: bias_correction=False needs a decay in [0, 1); got decay=None, which has none to leave out"
        )

    def init(params):
        dtype = lambda p: jnp.result_type(p) if accumulator_dtype is None else jnp.dtype(accumulator_dtype)
        return AverageState(jnp.zeros((), jnp.int32), jax.tree.map(lambda p: jnp.array(p, dtype(p)), params))

    def update(updates, state, params=None):
        if params is None:
            raise ValueError("averaged.update: give it the parameters too: update(grads, state, params)")
        t = next_step(state.step)
        weight = _weight(t.astype(real_dtype(updates)) - start, decay, bias_correction)
        theta = optax.apply_updates(params, updates)
        updates, average, _ = map_leaves(_move, updates, state.average, theta, weight=weight)
        return updates, AverageState(t, average)

    return optax.GradientTransformation(init, update)


@speaks_for("average_params")
def averaged(
    optimizer: optax.GradientTransformation,
    decay: Any = None,
    start: Any = 0,
    *,
    bias_correction: bool = True,
    accumulator_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """Train by any optimizer, evaluate the average of its parameters.

    θ̄ ← θ̄ + wₖ(θ − θ̄) after each update; wₖ = 1/k (Polyak–Ruppert), or (1 − β)/(1 − βᵏ) (exponential)

    Args:
        optimizer: what trains, ours or optax's; its steps are left as they are.
        decay: β in [0, 1) of the exponential average; None: all parameters count alike.
        start: how many updates to leave out; k counts those after it, and until then θ̄ = θ.
        bias_correction: False: wₖ = 1 − β, so that the start (θ₀, where ``start`` is 0) stays in the average with βᵏ.
        accumulator_dtype: θ̄'s dtype; by default each leaf's own (a bfloat16 average hardly moves: give float32).

    Returns:
        A gradient transformation whose ``update`` needs the parameters; :func:`jaxopt_course.eval_params` reads θ̄.

    Raises:
        TypeError: ``optimizer`` is not a gradient transformation. ValueError: a number outside its interval, or
            ``bias_correction=False`` without a decay.

    >>> import jaxopt_course as jc
    >>> tx, theta = averaged(jc.sgd(0.5)), jnp.array([4.0])
    >>> state = tx.init(theta)
    >>> for _ in range(2):  # 4 → 2 → 1 on θ²/2
    ...     steps, state = tx.update(theta, state, theta)
    ...     theta = optax.apply_updates(theta, steps)
    >>> theta, jc.eval_params(state, theta)
    (Array([1.], dtype=float32), Array([1.5], dtype=float32))

    References:
        Polyak & Juditsky, Acceleration of stochastic approximation by averaging, 1992; Ruppert, 1988. It removes the noise
        of a constant step's last iterate [F5].
    """
    options = {"bias_correction": bias_correction, "accumulator_dtype": accumulator_dtype}
    check_transformation("averaged", "optimizer", optimizer)
    return chain(optimizer, average_params(decay, start, **options))


@speaks_for("averaged")
@optimizer
def averaged_sgd(
    learning_rate: NonNegative,
    decay: Decay | None = None,
    start: NonNegative = 0,
    *,
    bias_correction: bool = True,
    accumulator_dtype: Any = None,
):
    """Stochastic gradient descent, of which the average is evaluated.

    θ ← θ − αg, θ̄ ← θ̄ + wₖ(θ − θ̄)

    Args:
        learning_rate: α ≥ 0: a number, a scalar array or a schedule, like every number here.
        decay: β in [0, 1) of an exponential average; None: Polyak–Ruppert's, wₖ = 1/k.
        start: how many updates to leave out of the average.
        bias_correction: False: wₖ = 1 − β throughout.
        accumulator_dtype: θ̄'s dtype; by default each leaf's own.

    Returns:
        A gradient transformation whose ``update`` needs the parameters; :func:`jaxopt_course.eval_params` reads θ̄.

    Raises:
        ValueError: a number outside its interval, or ``bias_correction=False`` without a decay.

    >>> tx, theta = averaged_sgd(0.5), jnp.array([4.0])
    >>> tx.update(theta, tx.init(theta), theta)[0]
    Array([-2.], dtype=float32)

    References:
        See :func:`averaged` [F5].
    """
    options = {"bias_correction": bias_correction, "accumulator_dtype": accumulator_dtype}
    return averaged(sgd(learning_rate), decay, start, **options)
