"""Matrices that the theory accepts: Hessians and covariances, in double precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxopt_course import checks

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["covariance_matrix", "curvatures", "hessian_matrix", "spectral_radius"]

ROUNDING = 1e-6  # what float32 leaves of a symmetric matrix


def hessian_matrix(where: str, hessian: Any) -> Float[np.ndarray, "params params"]:
    """H, symmetric; one number is a problem of one parameter, and eigenvalues ``[d]`` are a diagonal.

    >>> hessian_matrix("f", [1.0, 2.0]).tolist()
    [[1.0, 0.0], [0.0, 2.0]]
    """
    matrix = _numbers(where, "hessian", hessian)
    matrix = np.diag(np.atleast_1d(matrix)) if matrix.ndim < 2 else matrix
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(
            f"{where}: hessian must be a number, eigenvalues [d] or a square matrix [d, d]; got shape {matrix.shape}"
        )
    return _symmetric(where, "hessian", matrix)


def curvatures(where: str, hessian: Any) -> Float[np.ndarray, " params"]:
    """The eigenvalues of H, ascending; all must be positive.

    >>> curvatures("f", [[2.0, 1.0], [1.0, 2.0]]).round(6)
    array([1., 3.])
    """
    found = np.linalg.eigvalsh(hessian_matrix(where, hessian))
    if found[0] <= 0:
        raise ValueError(f"{where}: hessian must be positive definite; its least eigenvalue is {found[0]:g}")
    return found


def covariance_matrix(where: str, covariance: Any, dimension: int) -> Float[np.ndarray, "params params"]:
    """Σ, symmetric and positive semi-definite; one number σ² is σ²I.

    >>> covariance_matrix("f", 0.5, 2).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    matrix = _numbers(where, "covariance", covariance)
    matrix = matrix * np.eye(dimension) if matrix.ndim == 0 else matrix
    if matrix.shape != (dimension, dimension):
        raise ValueError(
            f"{where}: covariance must be one number or have the hessian's shape ({dimension}, {dimension}); "
            f"got shape {matrix.shape}"
        )
    matrix = _symmetric(where, "covariance", matrix)
    least = np.linalg.eigvalsh(matrix)[0]
    if least < -ROUNDING * np.abs(matrix).max():
        raise ValueError(f"{where}: covariance must be positive semi-definite; its least eigenvalue is {least:g}")
    return matrix


def spectral_radius(matrices: Float[np.ndarray, "... k k"]) -> Float[np.ndarray, "..."]:
    """The largest absolute value among the eigenvalues of each matrix; for one and two rows in closed form.

    >>> float(spectral_radius(np.array([[0.0, -4.0], [1.0, 0.0]])))
    2.0
    """
    size = matrices.shape[-1]
    if size == 1:
        return np.abs(matrices[..., 0, 0])
    if size > 2:
        return np.abs(np.linalg.eigvals(matrices)).max(axis=-1)
    (a, b), (c, d) = np.moveaxis(matrices, (-2, -1), (0, 1))
    half, bend = (a + d) / 2, ((a - d) / 2) ** 2 + b * c
    return np.where(bend >= 0, np.abs(half) + np.sqrt(np.maximum(bend, 0)), np.hypot(half, np.sqrt(np.maximum(-bend, 0))))


def _numbers(where: str, name: str, value: Any) -> np.ndarray:
    checks.check_number(where, name, value, scalar=False)
    return np.asarray(value, float)


def _symmetric(where: str, name: str, matrix: np.ndarray) -> np.ndarray:
    if np.abs(matrix - matrix.T).max() > ROUNDING * np.abs(matrix).max():
        raise ValueError(f"{where}: {name} must be symmetric; got {matrix.tolist()}")
    return (matrix + matrix.T) / 2
