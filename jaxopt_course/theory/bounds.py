"""Iterations and their cost: the lecture's table for gradient descent and SGD, with its constants [F6].

      cost per iteration    iterations to reach ρ
GD    O(nd)                 O(κ log 1/ρ)
SGD   O(d)                  νκ²/ρ + o(1/ρ)

κ = L/μ is the Hessian's condition number, ν = tr(ΣH⁻¹) for the covariance Σ of one example's gradient at the minimum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxopt_course import checks
from jaxopt_course.theory.matrices import covariance_matrix, curvatures, hessian_matrix

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Float

__all__ = ["Conditioning", "conditioning", "cost_table", "gd_iterations", "sgd_iterations"]

ACCURACY = checks.Interval(0, 1, open_low=True, open_high=True)


class Conditioning(NamedTuple):
    """The constants of the lecture's table."""

    smallest: float
    largest: float
    kappa: float
    nu: float


def conditioning(hessian: Any, covariance: Any = 0.0) -> Conditioning:
    """How a problem is conditioned: μ, L, κ and ν.

    κ = L/μ, ν = tr(ΣH⁻¹)

    Args:
        hessian: H at the minimum, positive definite: a number, eigenvalues ``[d]``, or a matrix ``[d, d]``.
        covariance: Σ of one example's gradient there, ``[d, d]``, or σ² for σ²I.

    Returns:
        A :class:`Conditioning`.

    Raises:
        TypeError, ValueError: H is not symmetric or not positive definite, Σ is not a covariance.

    >>> conditioning([1.0, 4.0], 0.5)
    Conditioning(smallest=1.0, largest=4.0, kappa=4.0, nu=0.625)

    References:
        Bottou & Bousquet, The tradeoffs of large scale learning, 2008. Lecture 000 [F6].
    """
    h = hessian_matrix("conditioning", hessian)
    values = curvatures("conditioning", h)
    sigma = covariance_matrix("conditioning", covariance, len(h))
    low, high = float(values[0]), float(values[-1])
    return Conditioning(low, high, high / low, float(np.trace(np.linalg.solve(h, sigma))))


def gd_iterations(hessian: Any, rho: Any, learning_rate: float | None = None) -> Float[np.ndarray, "..."]:
    """How many steps of gradient descent bring the loss of a quadratic to ρ of what it was, from the worst start.

    t = log(1/ρ) / (2 log 1/r), r = max |1 − αλ|; with the best α = 2/(L + μ), r = (κ − 1)/(κ + 1) and t ≤ ¼κ log(1/ρ)

    Args:
        hessian: H, positive definite: a number, eigenvalues ``[d]``, or a matrix ``[d, d]``.
        rho: ρ in (0, 1), of the first loss, one or several.
        learning_rate: α in (0, 2/L); by default the best.

    Returns:
        t for each ρ, not rounded.

    Raises:
        ValueError: ρ is outside (0, 1); α outside (0, 2/L), where descent diverges.

    >>> gd_iterations([1.0, 3.0], [0.01, 0.0001]).round(3)  # log(100) / (2 log 2), and twice that
    array([3.322, 6.644])

    References:
        Lecture 000 [F6].
    """
    values = curvatures("gd_iterations", hessian)
    checks.check_number("gd_iterations", "rho", rho, ACCURACY, scalar=False)
    alpha = 2 / (values[0] + values[-1]) if learning_rate is None else learning_rate
    checks.check_number("gd_iterations", "learning_rate", alpha)
    if not 0 < alpha < 2 / values[-1]:
        raise ValueError(
            f"gd_iterations: learning_rate must be in (0, 2/L) = (0, {2 / values[-1]:.6g}), outside of which gradient descent "
            f"does not converge; got {alpha!r}"
        )
    factor = np.abs(1 - alpha * values).max()
    return np.log(1 / np.asarray(rho, float)) / (2 * np.log(1 / factor)) if factor else np.ones(np.shape(rho))


def sgd_iterations(hessian: Any, covariance: Any, rho: Any, gain: float | None = None) -> Float[np.ndarray, "..."]:
    """How many steps of SGD bring the mean loss of a quadratic down to ρ, to leading order, with rates αₜ → a/t.

    t = c/ρ + o(1/ρ), c = ½ Σ a² λᵢ (qᵢᵀΣqᵢ) / (2aλᵢ − 1); with a = 1/μ, c ≤ ½νκ

    The lecture's νκ² is a bound on c. The rate a/(t + t₀), ``jc.schedules.time_based(a/t₀, 1/t₀)``, with t₀ ≥ aL starts
    below 1/L.

    Args:
        hessian: H, positive definite: a number, eigenvalues ``[d]``, or a matrix ``[d, d]``.
        covariance: Σ of one step's gradient, ``[d, d]``, or σ².
        rho: ρ > 0, f − f* itself, one or several.
        gain: a > 1/(2μ), below which 1/t is not reached; by default 1/μ.

    Returns:
        c/ρ for each ρ.

    Raises:
        TypeError, ValueError: H or Σ is not what it should be, a is too small, ρ is not positive.

    >>> sgd_iterations([1.0, 4.0], 0.5, [0.1, 0.01]).round(3)  # ½ (0.5 / 1 + 4 · 0.5 / 7) / ρ
    array([ 3.929, 39.286])

    References:
        Murata, A statistical study of on-line learning, 1998; Bottou & Bousquet 2008. Lecture 000 [F6].
    """
    h = hessian_matrix("sgd_iterations", hessian)
    smallest = curvatures("sgd_iterations", h)[0]
    values, vectors = np.linalg.eigh(h)
    sigma = covariance_matrix("sgd_iterations", covariance, len(h))
    checks.check_number("sgd_iterations", "rho", rho, checks.Interval(0, open_low=True), scalar=False)
    a = 1 / smallest if gain is None else gain
    checks.check_number("sgd_iterations", "gain", a)
    if not a > 0.5 / smallest:
        least = f"1/(2μ) = {0.5 / smallest:.6g}"
        raise ValueError(f"sgd_iterations: gain must be > {least}, for a loss that falls as 1/t; got {a!r}")
    along = np.einsum("ji,jk,ki->i", vectors, sigma, vectors)
    return 0.5 * (a**2 * values * along / (2 * a * values - 1)).sum() / np.asarray(rho, float)


def cost_table(kappa: float, nu: float, rho: Any, *, num_examples: int, num_params: int) -> xr.Dataset:
    """The lecture's table with its constants: iterations, operations of each, and their product.

    GD: nd · κ log(1/ρ); SGD: d · νκ²/ρ

    Args:
        kappa: κ ≥ 1. nu: ν ≥ 0, both of :func:`conditioning`.
        rho: ρ in (0, 1), one or several.
        num_examples: n. num_params: d.

    Returns:
        ``iterations``, ``cost_per_iteration`` and ``cost``, the bounds without what the O hides, over ``optimizer`` (gd, sgd)
        and ``rho``.

    Raises:
        ValueError: a number out of range.

    >>> table = cost_table(10.0, 0.5, [0.1, 0.01], num_examples=60_000, num_params=100)
    >>> table.cost.sel(rho=0.01).astype(int).values.tolist()
    [276310211, 500000]

    References:
        Bottou & Bousquet, The tradeoffs of large scale learning, 2008, table 2. Lecture 000 [F6].
    """
    import xarray as xr

    checks.check_number("cost_table", "kappa", kappa, checks.Interval(1))
    checks.check_number("cost_table", "nu", nu, checks.Interval(0))
    checks.check_number("cost_table", "rho", rho, ACCURACY, scalar=False)
    n = checks.check_integer("cost_table", "num_examples", num_examples)
    d = checks.check_integer("cost_table", "num_params", num_params)
    accuracy = np.atleast_1d(np.asarray(rho, float))
    iterations = np.stack([kappa * np.log(1 / accuracy), nu * kappa**2 / accuracy])
    each = np.array([n * d, d])
    variables = {"iterations": (("optimizer", "rho"), iterations), "cost_per_iteration": ("optimizer", each)}
    table = xr.Dataset(variables, {"optimizer": ["gd", "sgd"], "rho": accuracy})
    return table.assign(cost=table.iterations * table.cost_per_iteration)
