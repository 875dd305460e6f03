"""Where the minimum is: closed forms for squared errors, Newton's method for log-linear models; float64, on the host [A6].

L(W, b) = (1/n) Σ ℓ(Wᵀxᵢ + b, yᵢ) + λ Σ w² is convex for the losses accepted here. Of many minimisers, ours has the least Σ w².
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

from jaxopt_course.checks import Interval, check_bool, check_number
from jaxopt_course.problems import convex, losses, regularizers
from jaxopt_course.problems.models import Dense
from jaxopt_course.problems.objective import Problem
from jaxopt_course.problems.supervised import Apply
from jaxopt_course.types import Params, Regularizer

__all__ = ["Optimum", "least_squares", "optimum", "tikhonov"]

ACCEPTED = (
    "models.linear, logistic and softmax, under squared_error, half_squared_error, binary_cross_entropy, cross_entropy or "
    "negative_log_likelihood, with no regulariser or l2"
)


class Optimum(NamedTuple):
    """A minimum of a problem, and what certifies it.

    Attributes:
        params: θ*, a tree like the problem's own parameters, of float64 NumPy arrays.
        objective: L* = L(θ*), the regulariser included.
        gradient_norm: ‖∇L(θ*)‖₂; L is convex, so the minimum is where it is zero.
    """

    params: Params
    objective: float
    gradient_norm: float


def least_squares(x: Any, y: Any) -> Optimum:
    """The closed form of linear regression [A6].

    W, b = argmin (1/n) Σ ‖Wᵀxᵢ + b − yᵢ‖²; if there are many, the one with the least Σ w²

    Args:
        x: inputs ``[n, ...]``; an example is flattened, and bytes are read as x / 255, as the models do.
        y: targets, ``[n]`` or ``[n, k]``.

    Returns:
        An :class:`Optimum`; its parameters fit :func:`~jaxopt_course.problems.models.linear`: a kernel ``[d, k]`` and a
        bias ``[k]``, k = 1 for targets ``[n]``.

    Raises:
        TypeError: arrays that are not numeric. ValueError: empty, not finite, or of different lengths.

    >>> best = least_squares([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> best.params["dense0"]["kernel"], best.params["dense0"]["bias"]
    (array([[2.]]), array([1.]))

    References:
        Lecture 000 (the table of models, losses and solutions) [A6].
    """
    return _closed_form("least_squares", x, y, 0.0, True)


def tikhonov(x: Any, y: Any, regularization: float, *, exclude_bias: bool = True) -> Optimum:
    """The closed form of linear regression with Tikhonov's regulariser: ridge regression [A2, A6].

    W, b = argmin (1/n) Σ ‖Wᵀxᵢ + b − yᵢ‖² + λ Σ w²; as λ → 0 it tends to :func:`least_squares`

    Args:
        x, y: as for :func:`least_squares`.
        regularization: λ ≥ 0, as in :func:`~jaxopt_course.problems.regularizers.l2`: it is added to the *mean* of the
            squares. Where a text adds it to their sum, its λ is n times ours.
        exclude_bias: leave the bias out of the regulariser.

    Returns:
        As for :func:`least_squares`.

    Raises:
        As for :func:`least_squares`; ValueError: λ is negative or not finite. TypeError: ``exclude_bias`` is no bool.

    >>> best = tikhonov([[-1.0], [1.0]], [-2.0, 4.0], 1.0)
    >>> best.params["dense0"]["kernel"], best.params["dense0"]["bias"], round(best.objective, 3)
    (array([[1.5]]), array([1.]), 4.5)

    References:
        Lecture 000 [A6]; A. N. Tikhonov 1963; Hoerl & Kennard 1970, "Ridge regression".
    """
    check_number("tikhonov", "regularization", regularization, Interval(0))
    return _closed_form("tikhonov", x, y, float(regularization), check_bool("tikhonov", "exclude_bias", exclude_bias))


def optimum(problem: Problem) -> Optimum:
    """The minimum of a convex problem on its training split: see :meth:`Problem.optimum`."""
    where = f"optimum: {problem.name}"
    outputs = _outputs(where, problem)
    strength, exclude_bias = _strength(where, problem)
    train = problem.data.train  # type: ignore[union-attr]  # a Data, since it is in a Problem
    x, y = _inputs("optimum", train["x"]), np.asarray(train["y"])
    loss = _loss(where, problem.loss, y, outputs, free_bias=exclude_bias or not strength)
    coordinates = convex.coordinates(x, 2 * strength, loss.bound, exclude_bias)
    if problem.loss in _SQUARES:
        return _certified(x, coordinates.weights(convex.newton_squares(coordinates, loss)), loss, strength, exclude_bias)
    contrasts = convex.contrasts(outputs)
    z = convex.newton(where, coordinates, loss, contrasts, strength)
    return _certified(x, coordinates.weights(z @ contrasts.T), loss, strength, exclude_bias)


def _closed_form(where: str, x: Any, y: Any, strength: float, exclude_bias: bool) -> Optimum:
    x, targets = _inputs(where, x), _finite(where, "y", y)
    if len(x) != len(targets):
        raise ValueError(f"{where}: x and y must have the same length; got {len(x)} and {len(targets)}")
    if targets.ndim > 2:
        raise ValueError(f"{where}: y must have shape [n] or [n, k]; got {targets.shape}")
    loss = convex.squares(targets.reshape(len(x), -1), 1.0)
    coordinates = convex.coordinates(x, 2 * strength, loss.bound, exclude_bias)
    return _certified(x, coordinates.weights(convex.newton_squares(coordinates, loss)), loss, strength, exclude_bias)


def _certified(x: np.ndarray, weights: tuple, loss: convex.ScoreLoss, strength: float, exclude_bias: bool) -> Optimum:
    """Objective and gradient at the weights, from the inputs themselves."""
    kernel, bias = weights
    scores = x @ kernel + bias
    penalised = 0.0 if exclude_bias else strength
    by_scores = loss.gradient(scores)
    gradient = [x.T @ by_scores / len(x) + 2 * strength * kernel, by_scores.mean(axis=0) + 2 * penalised * bias]
    objective = loss.value(scores) + strength * (kernel**2).sum() + penalised * (bias**2).sum()
    norm = np.sqrt(sum((part**2).sum() for part in gradient))
    return Optimum({"dense0": {"kernel": kernel, "bias": bias}}, float(objective), float(norm))


_SQUARES = {losses.squared_error: 1.0, losses.half_squared_error: 0.5}


def _outputs(where: str, problem: Problem) -> int:
    """The number of outputs of a linear model."""
    model = problem.apply.model if isinstance(problem.apply, Apply) else problem.apply
    if not isinstance(model, Dense):
        raise ValueError(f"{where}: its minimum is not known for the model {model!r}; accepted: {ACCEPTED}")
    *hidden, outputs = model.widths
    if hidden:
        raise ValueError(f"{where}: not convex: the model {model!r} has hidden layers; accepted: {ACCEPTED}")
    return outputs


def _strength(where: str, problem: Problem) -> tuple[float, bool]:
    """λ, and whether the bias is left out."""
    if problem.regularizer is None:
        return 0.0, True
    regularizer = cast(Regularizer, problem.regularizer)
    if regularizer.rule is not regularizers.l2.__wrapped__:  # type: ignore[attr-defined]  # the rule that `parametric` wrapped
        raise ValueError(f"{where}: the regulariser must be l2 or None; got {regularizer!r}")
    return float(regularizer.numbers["regularization"]), dict(regularizer.static)["exclude_bias"]


def _loss(where: str, loss: Callable, y: np.ndarray, outputs: int, *, free_bias: bool) -> convex.ScoreLoss:
    """The loss on these labels, if it is known to be convex and smooth, and no class is missing."""
    if loss in _SQUARES:
        return convex.squares(_finite("optimum", "y", y).reshape(len(y), outputs), _SQUARES[loss])
    if loss is losses.binary_cross_entropy:
        targets = _finite("optimum", "y", y).reshape(-1, 1)
        _check_present(where, np.column_stack([1 - targets, targets]), free_bias)
        return convex.binary(targets)
    if loss is losses.cross_entropy or loss is losses.negative_log_likelihood:
        targets = np.eye(outputs)[y] if loss is losses.cross_entropy else _finite("optimum", "y", y)
        _check_present(where, targets, free_bias)
        return convex.softmax(targets)
    raise ValueError(f"{where}: its minimum is not known for the loss {getattr(loss, '__name__', loss)}; accepted: {ACCEPTED}")


def _check_present(where: str, targets: np.ndarray, free_bias: bool) -> None:
    """An unpenalised bias of a class without examples would fall for ever."""
    missing = np.flatnonzero(free_bias & (targets.sum(axis=0) <= 0))
    if len(missing):
        raise ValueError(f"{where}: no minimum is attained: the training split has no example of class {missing[0]}")


def _inputs(where: str, x: Any) -> np.ndarray:
    """Inputs as the models read them, [n, d], in float64."""
    array = _finite(where, "x", x)
    scale = 255 if np.asarray(x).dtype == np.uint8 else 1
    return array.reshape(len(array), -1) / scale


def _finite(where: str, name: str, value: Any) -> np.ndarray:
    try:
        if np.iscomplexobj(value):
            raise TypeError("complex numbers")
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{where}: {name} must be an array of numbers: {error}") from None
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"{where}: {name} must have at least one example; got shape {array.shape}")
    if not np.isfinite(array).all():
        first = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(f"{where}: {name} must be finite; got {array[tuple(first)]} at {name}{first.tolist()}")
    return array
