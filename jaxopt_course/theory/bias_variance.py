"""Bias, variance, and what no model can reduce: the error taken apart by training again and again [A8]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course import checks

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["bias_variance"]


def bias_variance(
    train: Callable[[Any, Any, jax.Array], Callable[[jax.Array], jax.Array]],
    sample: Callable[[jax.Array], Any],
    targets: Callable[[jax.Array, jax.Array], jax.Array],
    points: Any,
    values: Sequence[Any],
    *,
    axis: str = "complexity",
    resamples: int = 200,
    draws: int = 2000,
    key: int = 0,
) -> xr.Dataset:
    """The squared error of a training procedure as Bias² + Variance + irreducible, over complexities or strengths λ.

    Err = mean over r, j of (f̂ᵣ(x) − yⱼ)² = (mean f̂ − mean y)² + mean (f̂ᵣ − mean f̂)² + mean (yⱼ − mean y)²

    f̂ᵣ is trained on the r-th training set, and yⱼ are fresh targets at the same points. The identity is exact on these
    estimates, point by point. Means of finite draws are not the expectations: on average ``bias2`` is Bias² + Variance/R +
    noise/J, ``variance`` is (1 − 1/R) Variance, and ``noise`` (1 − 1/J) noise. Unbiased, though they no longer add up to
    ``error``, are ``bias2 − variance/(R − 1) − noise/(J − 1)``, ``variance·R/(R − 1)`` and ``noise·J/(J − 1)``. All resamples
    of a value are trained in one compiled, vmapped call.

    Args:
        train: ``train(data, value, key) → predictor``, a function of the points ``[p, ...]`` that gives ``[p]``.
        sample: ``sample(key) → data``, a training set drawn anew, a pytree.
        targets: ``targets(key, points) → y [p]``, drawn with fresh noise.
        points: where the error is measured, ``[p, ...]``.
        values: of the complexity or λ. Floats are traced, and all of them compile once; integers (degrees, widths) and what
            else is hashable are static.
        axis: the values' name.
        resamples: R ≥ 2, the training sets. draws: J ≥ 2, the targets drawn at each point.
        key: seed; the training sets are the same ones for every value.

    Returns:
        ``error``, ``bias2``, ``variance``, ``noise`` (means over the points) over ``axis``; the ``prediction`` of each
        resample at each point, and the ``truth``, mean y.

    Raises:
        TypeError, ValueError: no values, a name that the result has already, a count that is too small, or
            predictions or targets that do not fit the points.

    >>> def sample(key):  # y = x² + noise, at ten points
    ...     x = jnp.linspace(-1, 1, 10)
    ...     return jnp.vander(x, 6), x**2 + 0.3 * jax.random.normal(key, (10,))
    >>> def train(data, strength, key):  # Tikhonov's closed form
    ...     weights = jnp.linalg.solve(data[0].T @ data[0] + strength * jnp.eye(6), data[0].T @ data[1])
    ...     return lambda x: jnp.vander(x, 6) @ weights
    >>> targets = lambda key, x: x**2 + 0.3 * jax.random.normal(key, x.shape)
    >>> ds = bias_variance(train, sample, targets, np.linspace(-1, 1, 7), [0.01, 0.3, 10.0], axis="regularization")
    >>> bool(np.allclose(ds.error, ds.bias2 + ds.variance + ds.noise)), int(ds.error.argmin("regularization"))
    (True, 1)

    References:
        Geman, Bienenstock & Doursat, Neural networks and the bias/variance dilemma, 1992. Lectures 003, 004 [A8].
    """
    import xarray as xr

    _check(train, sample, targets, values, axis, resamples, draws)
    checks.check_number("bias_variance", "points", points, scalar=False)
    points = np.asarray(points, jnp.result_type(float))

    @jax.jit
    def draw(key: Any) -> tuple[Any, Any, Any]:
        for_train, for_data, for_targets = jax.random.split(jax.random.key(key), 3)
        data = jax.vmap(sample)(jax.random.split(for_data, resamples))
        y = jax.vmap(targets, (0, None))(jax.random.split(for_targets, draws), jnp.asarray(points))
        return data, jax.random.split(for_train, resamples), y

    def predict(data: Any, key: jax.Array, value: Any) -> jax.Array:
        return train(data, value, key)(jnp.asarray(points))

    data, keys, drawn = draw(key)
    y = _float64("targets", drawn, draws, points)
    traced = jax.jit(jax.vmap(predict, (0, 0, None)))
    static = jax.jit(jax.vmap(predict, (0, 0, None)), static_argnums=2)

    def run(value: Any) -> jax.Array:
        try:
            return (traced if isinstance(value, (float, np.floating, jax.Array)) else static)(data, keys, value)
        except jax.errors.ConcretizationTypeError as error:
            hint = f"values that are floats are traced, and train asks for one; give integers, or a tuple; got {value!r}"
            raise TypeError(f"bias_variance: {hint}") from error

    predictions = np.stack([_float64("predictions", run(value), resamples, points) for value in values])
    parts = {name: (axis, each) for name, each in _parts(predictions, y).items()}
    each = {"prediction": ((axis, "resample", "point"), predictions), "truth": ("point", y.mean(axis=0))}
    numbers = all(isinstance(value, (int, float, np.number, str)) for value in values)
    return xr.Dataset(parts | each, {axis: list(values) if numbers else list(map(str, values))})


def _parts(predictions: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Each part at each value, means over the points; the error from all pairs of prediction and target."""
    mean, truth = predictions.mean(axis=1), y.mean(axis=0)
    error = np.mean([((predictions - target) ** 2).mean(axis=(1, 2)) for target in y], axis=0)
    return {
        "error": error,
        "bias2": ((mean - truth) ** 2).mean(axis=1),
        "variance": ((predictions - mean[:, None]) ** 2).mean(axis=(1, 2)),
        "noise": np.full(len(predictions), ((y - truth) ** 2).mean()),
    }


def _float64(name: str, drawn: jax.Array, count: int, points: np.ndarray) -> np.ndarray:
    array = np.asarray(drawn, float)
    if array.shape != (count, len(points)):
        raise ValueError(f"bias_variance: {name} must be one number for each of {len(points)} points; got {array.shape[1:]}")
    if not np.isfinite(array).all():
        raise ValueError(f"bias_variance: {name} must be finite; got NaN or infinity")
    return array


def _check(train: Any, sample: Any, targets: Any, values: Any, axis: Any, resamples: Any, draws: Any) -> None:
    for name, function in (("train", train), ("sample", sample), ("targets", targets)):
        if not callable(function):
            raise TypeError(f"bias_variance: {name} must be a function; got {function!r}")
    taken = ("error", "bias2", "variance", "noise", "prediction", "truth", "resample", "point")
    if not isinstance(axis, str) or axis in taken:
        raise ValueError(
            f"bias_variance: axis must be a name, and none of {', '.join(taken)}, which the result has; got {axis!r}"
        )
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise TypeError(f"bias_variance: values must be a sequence of them; got {values!r}")
    if len(values) == 0:
        raise ValueError("bias_variance: values must be at least one; got none")
    for value in values:
        if not (isinstance(value, jax.Array) or type(value).__hash__):
            raise TypeError(f"bias_variance: values must be numbers or hashable (a tuple for a list); got {value!r}")
    for name, count in (("resamples", resamples), ("draws", draws)):
        if checks.check_integer("bias_variance", name, count) < 2:
            raise ValueError(f"bias_variance: {name} must be an integer >= 2; got {count}")
