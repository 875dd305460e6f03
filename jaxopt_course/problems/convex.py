"""Convex losses of linear scores, the coordinates in which their Hessian is simple, and Newton's method there [A6].

NumPy and SciPy in float64, on the host. One singular value decomposition gives coordinates in which the squared error's
Hessian is a multiple of the identity, so that its minimiser is one product with the targets, and in which Newton's steps for
the log-linear losses are well conditioned; it also finds the directions along which nothing changes, and leaves them out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["Coordinates", "ScoreLoss", "binary", "contrasts", "coordinates", "newton", "newton_squares", "softmax", "squares"]


class ScoreLoss(NamedTuple):
    """The mean loss of scores [n, k], each example's derivatives by its scores, and a bound on the second one.

    ``hard``: every target is all of one class, so the loss is less than ln 2 only where the scores get the example right.
    """

    value: Callable[[np.ndarray], float]
    gradient: Callable[[np.ndarray], np.ndarray]
    curvature: Callable[[np.ndarray], Callable[[np.ndarray], np.ndarray]]
    bound: float
    hard: bool = False


class Coordinates(NamedTuple):
    """Scores are ``features @ z``, and λΣw² is ½ Σ penalty·z²; ``weights(z)`` are the kernel and the bias there."""

    features: np.ndarray
    penalty: np.ndarray
    weights: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def coordinates(x: np.ndarray, strength: float, bound: float, exclude_bias: bool) -> Coordinates:
    """Coordinates in which ``bound``·XᵀX/n + ``strength``·I is ``bound``·I: U and V/S of a singular value decomposition.

    A bias that is left alone is the mean score, a coordinate of its own once the inputs are centred; one that is not is the
    weight of a constant input. Directions that change neither scores nor penalty have no coordinate.
    """
    n, free = len(x), exclude_bias or not strength
    mean = x.mean(axis=0)
    columns = x - mean if free else np.column_stack([x, np.ones(n)])
    stacked = [columns / np.sqrt(n), *([np.sqrt(strength / bound) * np.eye(columns.shape[1])] if strength else [])]
    u, s, vt = np.linalg.svd(np.concatenate(stacked), full_matrices=False)
    kept = s > np.finfo(float).eps * max(n, *vt.shape) * s[0]
    u, s, vt = u[:n, kept], s[kept], vt[kept]
    features = np.column_stack([np.sqrt(n) * u, *([np.ones(n)] if free else [])])

    def weights(z):
        kernel = vt.T @ (z[: len(s)] / s[:, None])
        return (kernel, z[-1] - mean @ kernel) if free else (kernel[:-1], kernel[-1])

    return Coordinates(features, np.append(strength / s**2, np.zeros(int(free))), weights)


def newton_squares(coordinates: Coordinates, loss: ScoreLoss) -> np.ndarray:
    """Newton's step from 0, whose Hessian is ``bound``·I, is UᵀY: the closed form. A second one removes the rounding."""
    g, penalty = coordinates.features, coordinates.penalty[:, None]
    z = -(g.T @ loss.gradient(np.zeros((len(g), 1)))) / (len(g) * loss.bound)
    return z - (g.T @ loss.gradient(g @ z) / len(g) + penalty * z) / loss.bound


def newton(where: str, coordinates: Coordinates, loss: ScoreLoss, contrasts: np.ndarray, strength: float) -> np.ndarray:
    """Trust-region Newton down to a small gradient, then pure Newton steps until they vanish.

    Where no minimum is attained the gradient vanishes, too, but the steps do not: each adds about 1 to some scores. If
    there every example is right, it shows at once: the losses' sum is below ln 2.
    """
    from scipy.optimize import minimize

    g, penalty = coordinates.features, coordinates.penalty[:, None]
    n, shape = len(g), (g.shape[1], contrasts.shape[1])

    def scores(z):
        return g @ z.reshape(shape) @ contrasts.T

    def value(z):
        return loss.value(scores(z)) + 0.5 * float((penalty * z.reshape(shape) ** 2).sum())

    def gradient(z):
        return (g.T @ (loss.gradient(scores(z)) @ contrasts) / n + penalty * z.reshape(shape)).ravel()

    def hessian(z):
        curvature = loss.curvature(scores(z))
        return lambda v: (g.T @ (curvature(scores(v)) @ contrasts) / n + penalty * v.reshape(shape)).ravel()

    last = [np.zeros(shape).ravel(), hessian(np.zeros(shape))]  # SciPy asks for many products at one point

    def product(z, v):
        if not np.array_equal(z, last[0]):
            last[:] = z.copy(), hessian(z)
        return last[1](v)

    z = minimize(
        value,
        np.zeros(shape).ravel(),
        method="trust-ncg",
        jac=gradient,
        hessp=product,
        options={"gtol": 1e-6, "maxiter": 500},
    ).x
    for _ in range(12):
        if loss.hard and not strength and n * value(z) < np.log(2):
            break
        step = _newton_step(hessian(z), gradient(z))
        z, moved = z + step, float(np.abs(scores(step)).max())
        if moved < 1e-7:
            return z.reshape(shape)
    if strength:
        raise RuntimeError(f"{where}: Newton's method has not converged in 12 steps; λ = {strength:g} may be too small")
    raise ValueError(
        f"{where}: no minimum is attained: the model separates the training labels (at least some of them), so its loss "
        "falls for ever as the weights grow; add a regulariser, l2(...)"
    )


def _newton_step(hessian: Callable[[np.ndarray], np.ndarray], gradient: np.ndarray) -> np.ndarray:
    from scipy.sparse.linalg import LinearOperator, cg

    operator = LinearOperator((len(gradient),) * 2, matvec=hessian, dtype=float)  # type: ignore[call-arg]  # scipy has no types here
    return cg(operator, -gradient, rtol=1e-6, atol=0.0, maxiter=10 * len(gradient))[0]


def squares(targets: np.ndarray, factor: float) -> ScoreLoss:
    """``factor``·‖ŷ − y‖²."""
    return ScoreLoss(
        value=lambda scores: factor * float(((scores - targets) ** 2).sum() / len(targets)),
        gradient=lambda scores: 2 * factor * (scores - targets),
        curvature=lambda scores: lambda v: 2 * factor * v,
        bound=2 * factor,
    )


def binary(targets: np.ndarray) -> ScoreLoss:
    """Binary cross-entropy of one logit: ln(1 + eᶻ) − yz."""
    from scipy.special import expit

    def curvature(scores):
        spread = expit(scores) * expit(-scores)
        return lambda v: spread * v

    return ScoreLoss(
        value=lambda z: float((np.logaddexp(0, z) - targets * z).mean()),
        gradient=lambda z: expit(z) - targets,
        curvature=curvature,
        bound=0.25,
        hard=bool(np.isin(targets, (0, 1)).all()),
    )


def softmax(targets: np.ndarray) -> ScoreLoss:
    """Cross-entropy of K logits: Σₖ yₖ (ln Σⱼ exp zⱼ − zₖ)."""
    from scipy.special import logsumexp, softmax

    total = targets.sum(axis=1, keepdims=True)

    def curvature(scores):
        p = softmax(scores, axis=1)
        return lambda v: total * p * (v - (p * v).sum(axis=1, keepdims=True))

    return ScoreLoss(
        value=lambda z: float((targets * (logsumexp(z, axis=1, keepdims=True) - z)).sum() / len(z)),
        gradient=lambda z: total * softmax(z, axis=1) - targets,
        curvature=curvature,
        bound=0.5,
        hard=bool(np.isin(targets, (0, 1)).all()),
    )


def contrasts(outputs: int) -> np.ndarray:
    """An orthonormal basis [K, K − 1] of the scores that sum to zero: adding a constant to all changes no probability."""
    if outputs == 1:
        return np.ones((1, 1))
    return np.linalg.qr(np.eye(outputs)[:, 1:] - 1 / outputs).Q
