"""Where noise stops a constant rate, exactly: the stationary covariance of any linear optimizer on a quadratic [F5].

additive        P = M P Mᵀ + B Σ Bᵀ, the discrete Lyapunov equation, for the covariance P of parameters and memory
least squares   P = M P Mᵀ + (1/m) B (Σ + E[δHᵢ CPCᵀ δHᵢ]) Bᵀ, as each example i has a Hessian H + δHᵢ of its own

M = A + BHC is the iteration matrix of :mod:`jaxopt_course.theory.rates`. For gradient descent along an eigenvector of H,
P = ασ²/(λ(2 − αλ)).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.theory.linear import LinearSystem, linear_system
from jaxopt_course.theory.matrices import covariance_matrix, curvatures, hessian_matrix, spectral_radius

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["NoiseFloor", "least_squares_floor", "noise_floor"]


@dataclasses.dataclass(frozen=True, eq=False)
class NoiseFloor:
    """Where a run with noise stays, on average.

    Attributes:
        covariance: of the parameters around the minimum, ``[d, d]``.
        loss: ½ tr(H·covariance), the mean of f − f* at the parameters.
        recorded: the same at the gradient point, where ``jc.fit`` records its loss; it differs for look-ahead methods.
        rate: ρ, the factor per step at which the mean comes near.
    """

    covariance: Float[np.ndarray, "params params"]
    loss: float
    recorded: float
    rate: float


def noise_floor(optimizer: optax.GradientTransformation, hessian: Any, covariance: Any) -> NoiseFloor:
    """The noise floor of a linear optimizer on ½xᵀHx, whose gradient is seen with noise of covariance Σ.

    P = M P Mᵀ + B Σ Bᵀ; for SGD on an eigenvalue λ: P = ασ²/(λ(2 − αλ)), that is ½λP ≈ ασ²/4 of loss

    Args:
        optimizer: ours or optax's, linear, with constant numbers.
        hessian: H, positive definite: a number, eigenvalues ``[d]``, or a matrix ``[d, d]``.
        covariance: Σ of *one step's* gradient, ``[d, d]``, or σ² for σ²I: of a mean of m draws, Σ/m.

    Returns:
        A :class:`NoiseFloor`.

    Raises:
        TypeError, ValueError: H is not symmetric, Σ is not a covariance, the optimizer is not linear; or it diverges, so that
            there is no floor.

    >>> import jaxopt_course as jc
    >>> noise_floor(jc.sgd(0.1), 4.0, 0.32).covariance.round(6)  # 0.1 · 0.32 / (4 (2 − 0.1 · 4))
    array([[0.005]])

    References:
        Mandt, Hoffman & Blei, Stochastic gradient descent as approximate Bayesian inference, 2017. Lecture 000 [F5].
    """
    from scipy import linalg

    h = hessian_matrix("noise_floor", hessian)
    sigma = covariance_matrix("noise_floor", covariance, len(h))
    system, matrix, rate = _stable("noise_floor", optimizer, h)
    return _floor(system, h, linalg.solve_discrete_lyapunov(matrix, system.b @ sigma @ system.b.T), rate)


def least_squares_floor(
    optimizer: optax.GradientTransformation, x: Any, y: Any, *, batch_size: int = 1, half: bool = True
) -> NoiseFloor:
    """The noise floor on a linear regression whose batches are drawn uniformly, with replacement.

    P = M P Mᵀ + (1/m) B (Σ + E[δHᵢ CPCᵀ δHᵢ]) Bᵀ, with δHᵢ = xᵢxᵢᵀ − H and Σ = E[rᵢ² xᵢxᵢᵀ] of the residuals at the minimum

    The second term is the noise that grows with the distance: where nothing remains to be explained, r = 0, there is no floor.
    Batches of a shuffled epoch are not independent, and stay below it.

    Args:
        optimizer: ours or optax's, linear, with constant numbers.
        x: inputs ``[n, d]``; append a column of ones for a bias. y: targets ``[n]``.
        batch_size: m.
        half: the loss of an example is ½(xᵀθ − y)²; False: (xᵀθ − y)².

    Returns:
        A :class:`NoiseFloor`; its losses are f − f* of the mean over all examples.

    Raises:
        TypeError, ValueError: arrays that do not fit, columns that depend on each other, ``half`` is no bool, the optimizer is
            not linear; or the rate is so large that the variance grows for ever, which happens before the mean diverges.

    >>> import jaxopt_course as jc
    >>> x, y = np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 3.0, 2.0])
    >>> round(least_squares_floor(jc.sgd(0.01), x, y).loss, 5)
    0.00931
    >>> round(noise_floor(jc.sgd(0.01), 14 / 3, 3.595).loss, 5)  # H and Σ alone, without the second term
    0.0092

    References:
        Bach & Moulines, Non-strongly-convex smooth stochastic approximation with convergence rate O(1/n), 2013. Lecture 000
        [F5].
    """
    x, y = _regression(x, y)
    checks.check_integer("least_squares_floor", "batch_size", batch_size)
    scale = 1.0 if checks.check_bool("least_squares_floor", "half", half) else 2.0
    h = scale * x.T @ x / len(x)
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise ValueError("least_squares_floor: the columns of x must be independent, for one minimum")
    residual = scale * (y - x @ np.linalg.lstsq(x, y)[0])
    sigma = (x * residual[:, None] ** 2).T @ x / len(x)

    def growing(p: np.ndarray) -> np.ndarray:
        """E[δHᵢ P δHᵢ] = E[xᵢ (xᵢᵀPxᵢ) xᵢᵀ] − HPH."""
        return scale**2 * (x * np.einsum("ni,ij,nj->n", x, p, x)[:, None]).T @ x / len(x) - h @ p @ h

    system, matrix, rate = _stable("least_squares_floor", optimizer, h)
    p = _stationary(system, matrix, lambda p: growing(p) / batch_size, sigma / batch_size)
    return _floor(system, h, p, rate)


def _regression(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    for name, value in (("x", x), ("y", y)):
        checks.check_number("least_squares_floor", name, value, scalar=False)
    inputs, targets = np.asarray(x, float), np.asarray(y, float)
    if inputs.ndim != 2 or inputs.size == 0 or targets.shape != inputs.shape[:1]:
        shapes = f"{inputs.shape} and {targets.shape}"
        raise ValueError(f"least_squares_floor: x must have shape [n, d] and y [n]; got shapes {shapes}")
    return inputs, targets


def _stable(where: str, optimizer: Any, h: np.ndarray) -> tuple[LinearSystem, np.ndarray, float]:
    """The system and its iteration matrix, if that contracts."""
    largest = curvatures(where, h)[-1]
    hint = "; give it numbers, not schedules (jc.theory.expected_loss follows those)"
    system, _ = linear_system(where, optimizer, len(h), hint=hint)
    matrix = system.matrix(h)
    rate = float(spectral_radius(matrix))
    if rate >= 1 - 1e-12:
        raise ValueError(
            f"{where}: this optimizer diverges, so that there is no floor: the spectral radius of its iteration matrix is "
            f"{rate:.6g}; gradient descent needs a learning rate in (0, 2/L) = (0, {2 / largest:.6g})"
        )
    return system, matrix, rate


def _stationary(system: LinearSystem, matrix: np.ndarray, growing: Callable[..., Any], sigma: np.ndarray) -> np.ndarray:
    """P with P = MPMᵀ + B(Σ + growing(CPCᵀ))Bᵀ, by a linear solve for Q = Σ + growing(CPCᵀ)."""
    from scipy import linalg
    from scipy.sparse.linalg import LinearOperator, gmres

    d = len(sigma)
    spread = lambda q: linalg.solve_discrete_lyapunov(matrix, system.b @ q.reshape(d, d) @ system.b.T)
    residual = LinearOperator((d * d, d * d), lambda q: q.reshape(-1) - growing(system.c @ spread(q) @ system.c.T).reshape(-1))
    tight = {"rtol": 1e-12, "atol": 0.0, "restart": min(d * d, 200), "maxiter": 50}
    # the map is positive, so it contracts if, and only if, what it makes of a positive definite matrix is positive definite
    certificate, failed = gmres(residual, np.eye(d).reshape(-1), **tight)
    least = np.linalg.eigvalsh((certificate.reshape(d, d) + certificate.reshape(d, d).T) / 2)[0]
    if failed or least < 1 - 1e-6:
        raise ValueError(
            "least_squares_floor: the variance grows for ever, so that there is no floor: single examples have larger "
            "eigenvalues than their mean; take a smaller learning rate or a larger batch_size"
        )
    return spread(gmres(residual, sigma.reshape(-1), **tight)[0])


def _floor(system: LinearSystem, h: np.ndarray, p: np.ndarray, rate: float) -> NoiseFloor:
    own, point = p[: len(h), : len(h)], system.c @ p @ system.c.T
    return NoiseFloor((own + own.T) / 2, 0.5 * float(np.trace(h @ own)), 0.5 * float(np.trace(h @ point)), rate)
