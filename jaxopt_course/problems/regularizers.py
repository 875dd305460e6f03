"""λR(θ), what keeps the parameters small [A2].

Added to the *mean* of the losses: where a text sums the losses instead, its λ is n times ours. λ is a number in a pytree,
so a sweep may vary it. A bias only shifts the outputs, so biases are left alone unless asked: a bias is a leaf whose own
name is ``bias`` or ``b``, wherever it stands in the tree.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_course.checks import Interval
from jaxopt_course.types import Params, Regularizer, Scalar, parametric, real_dtype

__all__ = ["elastic_net", "is_bias", "l1", "l2"]

Strength = Annotated[Scalar, Interval(0)]


@parametric(Regularizer)
def l1(params: Params, regularization: Strength, *, exclude_bias: bool = True) -> jax.Array:
    """The sum of absolute weights, which drives weights to zero [A2].

    λ Σ |w|

    Args:
        regularization: λ ≥ 0.
        exclude_bias: leave out the leaves named ``bias`` or ``b``.

    Returns:
        A :class:`~jaxopt_course.types.Regularizer`: ``regularizer(params)`` is a scalar. At w = 0 its gradient is 0.

    Raises:
        ValueError: λ is negative or not finite.

    >>> float(l1(0.5)({"kernel": jnp.array([3.0, -4.0]), "bias": jnp.array([7.0])}))
    3.5
    """
    return _total(_absolute, params, exclude_bias) * regularization


@parametric(Regularizer)
def l2(params: Params, regularization: Strength, *, exclude_bias: bool = True) -> jax.Array:
    """The sum of squared weights (without a half) [A2].

    λ Σ w²

    Args:
        regularization: λ ≥ 0.
        exclude_bias: leave out the leaves named ``bias`` or ``b``.

    Returns:
        A :class:`~jaxopt_course.types.Regularizer`: ``regularizer(params)`` is a scalar.

    Raises:
        ValueError: λ is negative or not finite.

    >>> float(l2(0.5)({"kernel": jnp.array([3.0, -4.0]), "bias": jnp.array([2.0])}))
    12.5
    >>> float(l2(0.5, exclude_bias=False)({"kernel": jnp.array([3.0, -4.0]), "bias": jnp.array([2.0])}))
    14.5
    """
    return _total(_square, params, exclude_bias) * regularization


@parametric(Regularizer)
def elastic_net(params: Params, l1: Strength, l2: Strength, *, exclude_bias: bool = True) -> jax.Array:
    """Both: absolute and squared weights [A2].

    λ₁ Σ |w| + λ₂ Σ w²

    Args:
        l1: λ₁ ≥ 0.
        l2: λ₂ ≥ 0.
        exclude_bias: leave out the leaves named ``bias`` or ``b``.

    Returns:
        A :class:`~jaxopt_course.types.Regularizer`: ``regularizer(params)`` is a scalar.

    Raises:
        ValueError: λ₁ or λ₂ is negative or not finite.

    >>> float(elastic_net(0.5, 0.1)({"kernel": jnp.array([3.0, -4.0])}))
    6.0
    """
    return _total(_absolute, params, exclude_bias) * l1 + _total(_square, params, exclude_bias) * l2


def is_bias(path: tuple) -> bool:
    """Whether the leaf at this path (of :mod:`jax.tree_util` keys) is named ``bias`` or ``b``.

    Args:
        path: as :func:`jax.tree_util.tree_map_with_path` passes it.

    Returns:
        True for a bias. Made for masks too: weight decay on everything but biases.

    >>> jax.tree_util.tree_map_with_path(lambda path, leaf: not is_bias(path), {"dense0": {"kernel": 1.0, "bias": 0.0}})
    {'dense0': {'bias': False, 'kernel': True}}
    """
    return bool(path) and getattr(path[-1], "key", getattr(path[-1], "name", None)) in ("bias", "b")


def _absolute(leaf: jax.Array) -> jax.Array:
    """|w|, with derivative 0 at 0, where JAX's own is 1."""
    zero = leaf == 0
    return jnp.where(zero, 0.0, jnp.abs(jnp.where(zero, 1.0, leaf)))


def _square(leaf: jax.Array) -> jax.Array:
    return jnp.real(leaf * jnp.conj(leaf))


def _total(measure: Callable[[jax.Array], jax.Array], params: Params, exclude_bias: bool) -> jax.Array:
    """Σ measure(w) over the weights, in at least float32 (a bfloat16 sum of many squares would stall)."""
    dtype = real_dtype(params)
    leaves = [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params) if not (exclude_bias and is_bias(path))]
    sums = (jnp.sum(measure(jnp.asarray(leaf)), dtype=dtype) for leaf in leaves)
    return functools.reduce(jnp.add, sums, jnp.zeros((), dtype))
