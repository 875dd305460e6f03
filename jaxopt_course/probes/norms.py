"""How long gradients and steps are, and how far gradients turn [B1, B6]: of what the step has anyway."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from jaxopt_course.probes.definition import Observation, Over, Probe
from jaxopt_course.probes.options import check_chunk, check_over
from jaxopt_course.types import Grads

__all__ = ["gradient_angle", "gradient_norm", "update_norm"]


def gradient_norm(*, over: Over = "batch", every: int = 1, chunk: int = 1024) -> Probe:
    """The length of the gradient.

    ‖∇L‖, at the step's gradient point

    Args:
        over: the gradient of the step's ``"batch"``, or of the whole ``"train"`` split, as in evaluation.
        every: at every k-th step.
        chunk: examples of the split at a time.

    Returns:
        The probe ``gradient_norm``. A look costs 2 % of a step; over the split, a gradient of all its examples.

    Raises:
        TypeError, ValueError: an argument is not what it should be.

    >>> import jaxopt_course as jc
    >>> descent = jc.minimize(lambda x: jnp.sum(x**2), jc.sgd(0.25), start=[3.0, 4.0], steps=3, probes=gradient_norm())
    >>> descent.history.gradient_norm.values
    array([10. ,  5. ,  2.5], dtype=float32)

    References:
        Lectures 000, 001 [B1].
    """
    static = {"over": check_over("gradient_norm", over), "chunk": check_chunk("gradient_norm", chunk)}
    return Probe.of(_gradient_norm, "gradient_norm", "norm of the gradient", static=static, every=every)


def _gradient_norm(at: Observation, *, over: Over, chunk: int) -> jax.Array:
    return optax.tree.norm(at.gradient(over, chunk))


def update_norm(*, every: int = 1) -> Probe:
    """The length of the step.

    ‖θ′ − θ‖ = α‖∇L‖ for gradient descent

    Args:
        every: at every k-th step.

    Returns:
        The probe ``update_norm``. A look costs 6 % of a step.

    Raises:
        TypeError, ValueError: ``every`` is no integer ≥ 1.

    >>> import jaxopt_course as jc
    >>> descent = jc.minimize(lambda x: jnp.sum(x**2), jc.sgd(0.25), start=[3.0, 4.0], steps=3, probes=update_norm())
    >>> descent.history.update_norm.values
    array([2.5  , 1.25 , 0.625], dtype=float32)

    References:
        Lectures 000, 001 [B6].
    """
    return Probe.of(_update_norm, "update_norm", "norm of the update", every=every)


def _update_norm(at: Observation) -> jax.Array:
    return optax.tree.norm(at.updates)


def gradient_angle(*, every: int = 1) -> Probe:
    """The angle between the gradients of two successive steps: beyond 90° the path turns back.

    ∠(gₜ, gₜ₋₁) = 2 atan2(‖ĝₜ − ĝₜ₋₁‖, ‖ĝₜ + ĝₜ₋₁‖),   ĝ = g/‖g‖

    Args:
        every: between the gradients of every k-th step.

    Returns:
        The probe ``gradient_angle``, in degrees, from 0 to 180; NaN at the first step and where a gradient is 0. It keeps one
        gradient; a look costs 40 % of a step.

    Raises:
        TypeError, ValueError: ``every`` is no integer ≥ 1.

    >>> import jaxopt_course as jc
    >>> descent = jc.minimize(lambda x: jnp.sum(x**2), jc.sgd(0.75), start=[3.0], steps=3, probes=gradient_angle())
    >>> descent.history.gradient_angle.values
    array([ nan, 180., 180.], dtype=float32)

    References:
        Lecture 000 [B6, D5].
    """
    long_name = "angle between successive gradients"
    return Probe.of(_gradient_angle, "gradient_angle", long_name, init=_no_gradient, every=every, units="degree")


def _no_gradient(params: Grads) -> Grads:
    return jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), params)


def _gradient_angle(at: Observation, last: Grads) -> tuple[jax.Array, Grads]:
    directions = [optax.tree.scale(1 / optax.tree.norm(gradient), gradient) for gradient in (at.grads, last)]
    apart, together = optax.tree.norm(optax.tree.sub(*directions)), optax.tree.norm(optax.tree.add(*directions))
    return jnp.degrees(2 * jnp.arctan2(apart, together)), at.grads
