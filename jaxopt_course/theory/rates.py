"""How fast an optimizer contracts on a quadratic: predicted from its own ``update``, and measured on its path [D5].

Without noise z⁺ = M z, with the iteration matrix M = A + BHC of :mod:`jaxopt_course.theory.linear`. In the eigenvectors of H
it falls apart into one small matrix for each eigenvalue λ; the largest spectral radius among them is the factor by which
the distance to the minimum shrinks at each step, in the long run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.theory.linear import LinearSystem, linear_system, linear_systems
from jaxopt_course.theory.matrices import hessian_matrix, spectral_radius

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Float

__all__ = ["Best", "best_parameters", "convergence_rate", "iteration_matrix", "measured_rate", "rate_plane"]

STEP = "; give step=, for the map of one update"


def iteration_matrix(
    optimizer: optax.GradientTransformation, hessian: Any, *, step: int | None = None
) -> Float[np.ndarray, "memory memory"]:
    """What one update does to parameters and memory, on ½xᵀHx, for any linear optimizer.

    (x, m)⁺ = M (x, m); for momentum and one parameter M = [[1 − αλ, −μ], [αλ, μ]] with the memory m ← μm + αλx

    It is the derivative of ``update`` and ``gradient_point``, in double precision. A look-ahead's gradient point and a weight
    decay are in it. What the state keeps and the parameters never see (an average) is not.

    Args:
        optimizer: ours or optax's, linear in its gradients.
        hessian: H: a number λ (one parameter), eigenvalues ``[d]``, or a symmetric matrix ``[d, d]``.
        step: for optimizers that change with the step, as schedules do: the update after so many; by default they are refused.

    Returns:
        M ``[k, k]``, for the parameters ``[d]`` and then the state's leaves, flat.

    Raises:
        TypeError, ValueError: bad arguments; or the optimizer is not linear, with the update or the leaves of its state that
            are not.

    >>> import jaxopt_course as jc
    >>> iteration_matrix(jc.momentum(0.1, 0.5), 4.0).round(3)
    array([[ 0.6, -0.5],
           [ 0.4,  0.5]])

    References:
        Goh, Why momentum really works, Distill 2017. Lecture 000 [D5].
    """
    matrix = hessian_matrix("iteration_matrix", hessian)
    return linear_system("iteration_matrix", optimizer, len(matrix), _step("iteration_matrix", step), STEP)[0].matrix(matrix)


def convergence_rate(optimizer: optax.GradientTransformation, eigenvalues: Any, *, step: int | None = None) -> float:
    """The factor per step by which a linear optimizer shrinks the distance to a quadratic's minimum, in the long run.

    ρ = max over λ of the spectral radius of M(λ); ≥ 1: it does not converge. The loss shrinks by ρ² per step.

    Args:
        optimizer: ours or optax's, linear, one that treats parameters one by one.
        eigenvalues: the Hessian's, ``[d]`` or one number; of either sign: at a saddle the factor is that of the escape.
        step: as in :func:`iteration_matrix`.

    Returns:
        ρ.

    Raises:
        As for :func:`iteration_matrix`.

    >>> import jaxopt_course as jc
    >>> round(convergence_rate(jc.sgd(0.1), [1.0, 4.0]), 6)  # max |1 − αλ|
    0.9

    References:
        As for :func:`iteration_matrix` [D5].
    """
    values = _eigenvalues("convergence_rate", eigenvalues)
    system, _ = linear_system("convergence_rate", optimizer, 1, _step("convergence_rate", step), STEP)
    return float(spectral_radius(_along(system, values)).max())


def rate_plane(factory: Callable[..., optax.GradientTransformation], eigenvalues: Any, **axes: Any) -> xr.Dataset:
    """The rate over a grid of hyperparameters: the (α, β) plane of the Distill article, for any linear method.

    ρ(α, β) = max over λ of the spectral radius of M(λ; α, β)

    Args:
        factory: from the axes' names to an optimizer: ``jc.momentum``, or a lambda; its numbers may be traced.
        eigenvalues: the Hessian's, ``[e]``; for bowls the least and the largest usually decide.
        axes: name → values ``[...]``, as in ``learning_rate=np.linspace(0, 4, 100), momentum=np.linspace(0, 1, 100)``.

    Returns:
        ``rate`` over the axes, and ``radius`` over the axes and ``eigenvalue``. Derived once, in one compiled call.

    Raises:
        As for :func:`iteration_matrix`; axes that are empty or not one row of numbers.

    >>> import jaxopt_course as jc
    >>> plane = rate_plane(jc.momentum, [1.0, 9.0], learning_rate=[0.05, 0.25], momentum=[0.0, 0.25])
    >>> plane.rate.round(3).values.tolist()
    [[0.95, 0.932], [1.25, 0.5]]

    References:
        Goh, Why momentum really works, Distill 2017 (its figure of rates). Lecture 000 [D5].
    """
    import xarray as xr

    values = _eigenvalues("rate_plane", eigenvalues)
    if not axes:
        raise ValueError("rate_plane: give at least one axis, as in learning_rate=[0.1, 0.2]")
    rows = {name: _row("rate_plane", name, axis) for name, axis in axes.items()}
    if taken := rows.keys() & {"rate", "radius", "eigenvalue"}:
        raise ValueError(f"rate_plane: an axis must not be called {min(taken)}, as the result has a variable of that name")
    if not callable(factory):
        raise TypeError(f"rate_plane: factory must be a function of the axes' names, as jc.momentum; got {factory!r}")
    try:
        inspect.signature(factory).bind(**rows)
    except TypeError as error:
        raise TypeError(f"rate_plane: factory does not take the axes {', '.join(rows)}: {error}") from None
    for pick in (np.min, np.max):  # numbers that are out of range raise here, not where they are traced
        made = factory(**{name: float(pick(row)) for name, row in rows.items()})
        checks.check_transformation("rate_plane", "what factory returns", made)
    grid = {n: mesh.reshape(-1) for n, mesh in zip(rows, np.meshgrid(*rows.values(), indexing="ij"), strict=True)}
    systems, _ = linear_systems("rate_plane", factory, grid, hint="; give it numbers, not schedules")
    radius = spectral_radius(_along(systems, values)).reshape(*(len(row) for row in rows.values()), len(values))
    variables = {"rate": (tuple(rows), radius.max(axis=-1)), "radius": ((*rows, "eigenvalue"), radius)}
    return xr.Dataset(variables, {**rows, "eigenvalue": values})


class Best(NamedTuple):
    """The hyperparameters that are best on quadratics, and their rate ρ."""

    learning_rate: float
    momentum: float
    rate: float


def best_parameters(method: str, smallest: float, largest: float) -> Best:
    """The best α and β of a method on all quadratics whose eigenvalues lie in [μ, L], in closed form; κ = L/μ.

    sgd:       α = 2/(L + μ),       β = 0,                              ρ = (κ − 1)/(κ + 1)
    momentum:  α = 4/(√L + √μ)²,    β = ((√κ − 1)/(√κ + 1))²,           ρ = (√κ − 1)/(√κ + 1)
    nesterov:  α = 4/(3L + μ),      β = (√(3κ+1) − 2)/(√(3κ+1) + 2),    ρ = 1 − 2/√(3κ + 1)

    Args:
        method: ``"sgd"``, ``"momentum"`` (heavy ball) or ``"nesterov"``.
        smallest: μ > 0. largest: L ≥ μ.

    Returns:
        A :class:`Best`.

    Raises:
        ValueError: an unknown method, or eigenvalues that are not positive or not in order.

    >>> best_parameters("momentum", 1.0, 9.0)
    Best(learning_rate=0.25, momentum=0.25, rate=0.5)

    References:
        Polyak 1964; Lessard, Recht & Packard, Analysis and design of optimization algorithms via integral quadratic
        constraints, 2016, table 1. Goh 2017; lecture 000 [D5].
    """
    positive = checks.Interval(0, open_low=True)
    checks.check_number("best_parameters", "smallest", smallest, positive)
    checks.check_number("best_parameters", "largest", largest, positive)
    if largest < smallest:
        raise ValueError(f"best_parameters: largest must be at least smallest, {smallest!r}; got {largest!r}")
    low, high = float(smallest), float(largest)
    root, triple = np.sqrt(high / low), np.sqrt(3 * high / low + 1)
    slow = (root - 1) / (root + 1)
    known = {
        "sgd": (2 / (low + high), 0.0, (high - low) / (high + low)),
        "momentum": (4 / (np.sqrt(low) + np.sqrt(high)) ** 2, slow**2, slow),
        "nesterov": (4 / (3 * high + low), (triple - 2) / (triple + 2), 1 - 2 / triple),
    }
    if method not in known:
        raise ValueError(f"best_parameters: no closed form for {method!r}{checks.closest(str(method), known)}")
    return Best(*map(float, known[method]))


def measured_rate(points: Any, minimum: Any = 0.0) -> float:
    """The factor per step by which a path came closer to the minimum, in its second half.

    ρ̂ = exp of the slope of log‖xₜ − x*‖ over t

    Args:
        points: the path, ``[T + 1, ...]``, as in ``jc.minimize(...).points``. Where it has come as close as rounding lets it,
            it is cut off.
        minimum: x*.

    Returns:
        ρ̂; where the best β makes eigenvalues meet, it is about (1 + 1.4/T) times the predicted rate after T steps.

    Raises:
        TypeError: no numbers. ValueError: a minimum of another shape; fewer than eight points, or fewer before the path is at
            the minimum up to rounding.

    >>> round(measured_rate(0.5 ** np.arange(20.0)), 6)
    0.5

    References:
        Lecture 000 [D5].
    """
    for name, value in (("points", points), ("minimum", minimum)):
        _check_numeric("measured_rate", name, value)
    path, target = np.asarray(points), np.asarray(minimum, float)
    if path.ndim and target.shape not in ((), path.shape[1:]):
        raise ValueError(
            f"measured_rate: minimum must be one number or have a point's shape {path.shape[1:]}; got shape {target.shape}"
        )
    distances = np.sqrt(((path.astype(float) - target) ** 2).reshape(len(path), -1).sum(axis=1)) if path.ndim else np.zeros(1)
    limits = np.finfo(path.dtype if np.issubdtype(path.dtype, np.floating) else float)
    floor = 1e3 * max(limits.eps * np.abs(target).max(), float(limits.tiny) ** 0.5)  # squares stay above the least number
    low = np.flatnonzero(~((distances > floor) & np.isfinite(distances)))
    distances = distances[: low[0]] if len(low) else distances
    if len(distances) < 8:
        raise ValueError(f"measured_rate: points must be at least 8 that are not at the minimum; got {len(distances)}")
    second = np.arange(len(distances) // 2, len(distances))
    return float(np.exp(np.polyfit(second, np.log(distances[second]), 1)[0]))


def _along(system: LinearSystem, values: np.ndarray) -> np.ndarray:
    """M(λ) = A + λBC for each eigenvalue, ``[..., e, k, k]``."""
    return system.a[..., None, :, :] + values[:, None, None] * (system.b @ system.c)[..., None, :, :]


def _check_numeric(where: str, name: str, values: Any) -> None:
    """Raise unless these are real numbers; a path may end at infinity."""
    try:
        np.asarray(values, float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{where}: {name} must be numbers; got {values!r:.100}") from error


def _eigenvalues(where: str, eigenvalues: Any) -> np.ndarray:
    return _row(where, "eigenvalues", np.atleast_1d(eigenvalues))


def _row(where: str, name: str, values: Any) -> np.ndarray:
    checks.check_number(where, name, values, scalar=False)
    row = np.asarray(values, float)
    if row.ndim != 1 or row.size == 0:
        raise ValueError(f"{where}: {name} must be one row of numbers; got shape {row.shape}")
    return row


def _step(where: str, step: int | None) -> int | None:
    return None if step is None else checks.check_integer(where, "step", step, minimum=0)
