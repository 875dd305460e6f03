"""Loss curves: a linear optimizer's mean loss after every step, exactly, and what one reads off a measured curve [F6]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.theory.linear import linear_system
from jaxopt_course.theory.matrices import covariance_matrix, hessian_matrix
from jaxopt_course.theory.memory import coming

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Float

__all__ = ["expected_loss", "exponent", "iterations_to"]


def expected_loss(
    optimizer: optax.GradientTransformation, hessian: Any, covariance: Any, *, start: Any, steps: int
) -> xr.Dataset:
    """The mean loss after every step, exactly: for linear optimizers, those that follow schedules included.

    E f(xₜ) = ½ z̄ᵀHz̄ + ½ tr(HPₜ), z̄ ← Mₜ z̄, P ← Mₜ P Mₜᵀ + Bₜ Σ Bₜᵀ

    Args:
        optimizer: ours or optax's, linear; its numbers may follow schedules.
        hessian: H: a number, eigenvalues ``[d]``, or a matrix ``[d, d]``; f(x) = ½xᵀHx.
        covariance: Σ of one step's gradient, as in :func:`noise_floor`.
        start: x⁽⁰⁾, ``[d]`` or one number for all coordinates.
        steps: T.

    Returns:
        Over ``step`` (0 … T): ``loss``, and its parts ``descent`` (of the mean) and ``noise`` (of the spread).

    Raises:
        TypeError, ValueError: as for :func:`noise_floor`; a start of another length.

    >>> import jaxopt_course as jc
    >>> curve = expected_loss(jc.sgd(0.5), 1.0, 0.04, start=2.0, steps=2)
    >>> curve.descent.values.round(5), curve.noise.values.round(5)  # ½(2·0.5ᵗ)²; ½·0.25·0.04·(1 + 0.25)
    (array([2.   , 0.5  , 0.125]), array([0.     , 0.005  , 0.00625]))

    References:
        Lecture 000 [F5, F6].
    """
    import xarray as xr

    h = hessian_matrix("expected_loss", hessian)
    sigma = covariance_matrix("expected_loss", covariance, len(h))
    checks.check_integer("expected_loss", "steps", steps)
    checks.check_number("expected_loss", "start", start, scalar=False)
    if np.shape(start) not in ((), (len(h),)):
        raise ValueError(f"expected_loss: start must be one number or have shape ({len(h)},); got shape {np.shape(start)}")
    _, memory = linear_system("expected_loss", optimizer, len(h), 0)
    with jax.enable_x64(True):
        tx = optax.with_extra_args_support(optimizer)
        x = jnp.broadcast_to(jnp.asarray(start, float), len(h))
        state = tx.init(x)

        def step(carry, _):
            z, p, state = carry
            a, b, c = memory.matrices(tx.update, state)
            matrix = a + b @ h @ c
            spread = matrix @ p @ matrix.T + b @ sigma @ b.T
            return (matrix @ z, spread, coming(tx.update, state, jnp.zeros(len(h)))), _losses(h, z, p)

        z = memory.pack(state, x)
        run = jax.jit(lambda carry: jax.lax.scan(step, carry, None, length=steps + 1)[1])
        descent, noise = map(np.asarray, run((z, jnp.zeros((len(z), len(z))), state)))
    variables = {"loss": descent + noise, "descent": descent, "noise": noise}
    return xr.Dataset({k: ("step", v) for k, v in variables.items()}, {"step": np.arange(steps + 1)})


def iterations_to(losses: Any, rho: Any) -> Float[np.ndarray, "..."]:
    """The first step at which a measured loss is at most ρ.

    Args:
        losses: f − f* after 0, 1, … steps, ``[T + 1]``.
        rho: one or several.

    Returns:
        The step for each ρ; NaN where it was not reached.

    Raises:
        ValueError: losses that are not one row.

    >>> iterations_to([1.0, 0.5, 0.25, 0.125], [0.3, 0.01])
    array([ 2., nan])

    References:
        Lecture 000 [F6].
    """
    curve, accuracy = np.asarray(losses, float), np.asarray(rho, float)
    if curve.ndim != 1 or curve.size == 0:
        raise ValueError(f"iterations_to: losses must be one row, [steps]; got shape {curve.shape}")
    below = curve <= accuracy[..., None]
    return np.where(below.any(axis=-1), below.argmax(axis=-1), np.nan)


def exponent(x: Any, y: Any) -> float:
    """p of y ∝ xᵖ, by least squares between the logarithms.

    Args:
        x, y: positive numbers, two or more of each.

    Returns:
        p.

    Raises:
        ValueError: they are not two rows of the same length, or not positive.

    >>> round(exponent([1.0, 2.0, 4.0], [3.0, 12.0, 48.0]), 6)
    2.0

    References:
        For the claims of lecture 000 [F6].
    """
    first, second = np.asarray(x, float), np.asarray(y, float)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError(f"exponent: x and y must be rows of one length >= 2; got shapes {first.shape} and {second.shape}")
    if not ((first > 0) & (second > 0) & np.isfinite(first) & np.isfinite(second)).all():
        raise ValueError(f"exponent: x and y must be positive and finite; got {first.tolist()} and {second.tolist()}")
    return float(np.polyfit(np.log(first), np.log(second), 1)[0])


def _losses(h: Any, z: jax.Array, p: jax.Array) -> tuple[jax.Array, jax.Array]:
    d = len(h)
    return 0.5 * z[:d] @ h @ z[:d], 0.5 * jnp.trace(h @ p[:d, :d])
