"""Regressions whose conditioning is chosen: how fast descent goes is known in advance [A1, A6].

The inputs have mean zero and covariance XᵀX/n with eigenvalues spaced geometrically from 1/κ to 1 along random axes. With
mean zero, a bias adds one eigenvalue, 1, and no coupling: the linear model's whole Hessian has condition number κ too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jaxopt_course.checks import Interval, check_integer, check_number
from jaxopt_course.problems import losses, models
from jaxopt_course.problems.objective import Data, Problem
from jaxopt_course.problems.supervised import supervised
from jaxopt_course.types import Params

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["conditioned_inputs", "linear_regression", "logistic_regression"]


def linear_regression(
    num_examples: int = 500,
    num_features: int = 10,
    condition_number: float = 10.0,
    noise: float = 0.1,
    *,
    seed: int = 0,
    loss: Callable = losses.half_squared_error,
    regularizer: Callable[[Params], Any] | None = None,
) -> Problem:
    """Least squares on made-up data: y = Xw* + noise·ε, with w* and ε standard normal [A1, A6].

    L(w, b) = (1/n) Σ ½ (xᵢᵀw + b − yᵢ)², whose Hessian XᵀX/n has condition number κ

    Args:
        num_examples: n, of the training split; validation and test have as many fresh ones.
        num_features: d < n.
        condition_number: κ ≥ 1, exact on the training split; 1 if d is 1.
        noise: the standard deviation of the noise, ≥ 0.
        seed: of the data.
        loss: half the squared error; or :func:`~jaxopt_course.problems.losses.squared_error`, with twice the Hessian.
        regularizer: λR(θ), if any.

    Returns:
        A :class:`Problem` on a linear model with bias.

    Raises:
        TypeError, ValueError: a number is none, no integer where one is asked for, or out of range.

    >>> problem = linear_regression(50, 3, condition_number=100.0)
    >>> x = np.asarray(problem.data.train["x"], np.float64)
    >>> round(np.linalg.cond(x.T @ x / 50))
    100
    """
    where = "linear_regression"
    check_number(where, "noise", noise, Interval(0))
    generator = np.random.default_rng(check_integer(where, "seed", seed, minimum=0))
    inputs = _splits(where, num_examples, num_features, condition_number, generator)
    weights = generator.standard_normal(num_features)
    data = Data(*(_batch(x, x @ weights + noise * generator.standard_normal(len(x)), float) for x in inputs))
    return supervised(where, data, models.linear(), 1, None, loss=loss, regularizer=regularizer, name=where)


def logistic_regression(
    num_examples: int = 500,
    num_features: int = 10,
    condition_number: float = 10.0,
    *,
    seed: int = 0,
    regularizer: Callable[[Params], Any] | None = None,
) -> Problem:
    """Logistic regression on made-up data: P(y = 1) = σ(xᵀw*), with w* standard normal [A1, A6].

    L(w, b) = (1/n) Σ −yᵢ ln σ(zᵢ) − (1 − yᵢ) ln(1 − σ(zᵢ)), zᵢ = xᵢᵀw + b; its Hessian at 0 is XᵀX/(4n)

    Args:
        num_examples: n, of the training split; validation and test have as many fresh ones.
        num_features: d < n.
        condition_number: κ ≥ 1 of XᵀX/n, exact on the training split; 1 if d is 1.
        seed: of the data.
        regularizer: λR(θ), if any.

    Returns:
        A :class:`Problem` on a logistic model with bias; labels 0 and 1.

    Raises:
        TypeError, ValueError: a number is none, no integer where one is asked for, or out of range.

    >>> logistic_regression(50, 3)
    Problem(logistic_regression: 50 train, 50 validation, 50 test)
    """
    where = "logistic_regression"
    generator = np.random.default_rng(check_integer(where, "seed", seed, minimum=0))
    inputs = _splits(where, num_examples, num_features, condition_number, generator)
    weights = generator.standard_normal(num_features)
    chances = [1 / (1 + np.exp(-x @ weights)) for x in inputs]
    data = Data(*(_batch(x, generator.uniform(size=len(x)) < p, np.int32) for x, p in zip(inputs, chances, strict=True)))
    return supervised(where, data, models.logistic(), 1, np.arange(2), regularizer=regularizer, name=where)


def conditioned_inputs(
    num_examples: int, num_features: int, condition_number: float, generator: np.random.Generator
) -> tuple[Float[np.ndarray, "examples features"], Float[np.ndarray, "features features"]]:
    """Inputs with mean zero and XᵀX/n = R²; and R, which gives fresh normal inputs the same covariance.

    X = √n·U·R with orthonormal columns U ⊥ 1, and R = V·diag(λ)^½·Vᵀ, λ spaced geometrically from 1/κ to 1

    Args:
        num_examples: n.
        num_features: d < n.
        condition_number: κ ≥ 1.
        generator: where U and V come from.

    Returns:
        X ``[n, d]`` and R ``[d, d]``, float64.

    >>> x, root = conditioned_inputs(20, 2, 9.0, np.random.default_rng(0))
    >>> np.linalg.eigvalsh(x.T @ x / 20).round(3), bool(np.allclose(x.mean(axis=0), 0))
    (array([0.111, 1.   ]), True)
    """
    columns = np.column_stack([np.ones(num_examples), generator.standard_normal((num_examples, num_features))])
    orthonormal = np.linalg.qr(columns).Q[:, 1:]
    axes = np.linalg.qr(generator.standard_normal((num_features, num_features))).Q
    root = (axes * np.geomspace(1 / condition_number, 1, num_features) ** 0.5) @ axes.T
    return np.sqrt(num_examples) * orthonormal @ root, root


def _splits(where: str, n: int, d: int, condition_number: float, generator: np.random.Generator) -> list[np.ndarray]:
    """Training inputs with the exact covariance, and two sets of fresh ones drawn with it."""
    check_integer(where, "num_examples", n)
    check_integer(where, "num_features", d, maximum=n - 1)
    check_number(where, "condition_number", condition_number, Interval(1))
    if d == 1 and condition_number != 1:
        raise ValueError(f"{where}: condition_number must be 1 for one feature; got {condition_number!r}")
    train, root = conditioned_inputs(n, d, condition_number, generator)
    return [train, *(generator.standard_normal((n, d)) @ root for _ in range(2))]


def _batch(x: np.ndarray, y: np.ndarray, dtype: Any) -> dict[str, Any]:
    return {"x": jnp.asarray(x, float), "y": jnp.asarray(y, dtype)}
