"""Gradient noise of a chosen covariance, on any surface: stochastic descent whose noise is known [F3, F5, G6]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course import checks
from jaxopt_course.problems.objective import Problem, Start, given_losses
from jaxopt_course.problems.surfaces.definition import Surface
from jaxopt_course.types import Parametric

__all__ = ["noisy"]


def noisy(function: Callable[[jax.Array], jax.Array], covariance: Any, *, start: Any = None, num_examples: int = 1) -> Problem:
    """A surface whose gradient is seen through noise, as a problem for ``jc.fit``.

    g = ∇f(x) + ξ, ξ ~ N(0, Σ), drawn anew for each example of each step from the step's key

    The loss recorded is f(x) itself, without noise. A batch of m examples averages m draws, so its noise has covariance
    Σ/m; with one example, the default, each step sees Σ. Numbers of the surface and Σ are data: others do not recompile.
    A callback with ``evaluate=1`` sees every point of the path.

    Args:
        function: f, a surface of :mod:`jaxopt_course.problems.surfaces`, or any function of a point ``[d]``.
        covariance: Σ ``[d, d]``, symmetric and positive semi-definite; or one number σ², for σ²I.
        start: where to start, ``[d]``; the surface's own start if None.
        num_examples: n, the examples in the data: the largest m.

    Returns:
        A :class:`~jaxopt_course.problems.Problem` whose parameters are the point. Evaluations see no noise.

    Raises:
        TypeError, ValueError: Σ is not a covariance for points of this length; the function is not scalar, or not finite at
            the start; a function that is no surface has no start.

    >>> import jaxopt_course as jc
    >>> problem = noisy(jc.surfaces.booth, [[0.5, 0.2], [0.2, 0.3]])
    >>> result = jc.fit(problem, jc.sgd(0.02), steps=400)
    >>> bool(np.linalg.norm(result.params - jc.surfaces.booth.minima[0]) < 0.5)
    True

    References:
        Lectures 000, 001 (a stochastic gradient is the gradient plus noise of mean zero) [F3, F5].
    """
    checks.check_integer("noisy", "num_examples", num_examples)
    point = _start(function, start)
    surface = function if isinstance(function, Parametric) else Parametric(function)
    one = {"surface": surface, "root": _root(covariance, point.size)}
    examples = jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.asarray(leaf, float), (num_examples, *np.shape(leaf))), one)
    name = getattr(function, "name", getattr(function, "__name__", "surface"))
    return Problem(Start(point), _noisy_values, given_losses, examples, name=f"noisy {name}")


def _noisy_values(params, model_state, batch, *, key=None, train=False):
    """f of each example, [B]; in training with a term that is zero and has the derivative ξ."""
    values = jax.vmap(lambda example: example["surface"](params))(batch)
    if train and key is not None:
        root = batch["root"]
        noise = jnp.einsum("bij,bj->bi", root, jax.random.normal(key, root.shape[:2], root.dtype))
        values = values + noise.astype(values.dtype) @ (params - jax.lax.stop_gradient(params)).reshape(-1)
    return values, model_state


def _start(function: Any, start: Any) -> jax.Array:
    """The start as a point, at which the function is a finite scalar."""
    if not callable(function):
        raise TypeError(f"noisy: function must be a surface or a function of a point; got {function!r}")
    if start is None and not isinstance(function, Surface):
        raise TypeError("noisy: start must be given for a function that is no surface of jc.surfaces")
    place = function.start if start is None else start  # type: ignore[union-attr]  # a Surface, as checked
    checks.check_number("noisy", "start", place, scalar=False)
    point = jnp.asarray(place, float)
    if point.ndim > 1 or point.size == 0:
        raise ValueError(f"noisy: start must be a point, [d]; got shape {point.shape}")
    value = jnp.asarray(jax.jit(function)(point))
    if value.shape != ():
        raise ValueError(f"noisy: function must return a scalar; at the start it returns shape {value.shape}")
    if not bool(jnp.isfinite(value)):
        raise ValueError(f"noisy: function must be finite at the start; it is {float(value)}")
    return point


def _root(covariance: Any, dimension: int) -> np.ndarray:
    """R with RRᵀ = Σ, from the eigenvalues, which may be zero."""
    checks.check_number("noisy", "covariance", covariance, scalar=False)
    matrix = np.asarray(covariance, float)
    matrix = matrix * np.eye(dimension) if matrix.ndim == 0 else matrix
    if matrix.shape != (dimension, dimension):
        raise ValueError(
            f"noisy: covariance must be one number or have shape ({dimension}, {dimension}), as points have {dimension} "
            f"coordinates; got shape {matrix.shape}"
        )
    scale = np.abs(matrix).max()
    if np.abs(matrix - matrix.T).max() > 1e-6 * scale:
        raise ValueError(f"noisy: covariance must be symmetric; got {matrix.tolist()}")
    eigenvalues, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    if eigenvalues[0] < -1e-6 * scale:
        raise ValueError(f"noisy: covariance must be positive semi-definite; its least eigenvalue is {eigenvalues[0]:g}")
    return vectors * np.sqrt(np.maximum(eigenvalues, 0))
