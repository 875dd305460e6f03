"""Supervised problems: a model, splits ``{"x", "y"}``, and the loss that suits the labels and the model's outputs [A1, A4].

All that can be wrong with labels, loss and outputs together is checked here, on shapes; nothing is checked while training.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxopt_course.compiler import ONCE, compiled
from jaxopt_course.problems import losses
from jaxopt_course.problems.models import Model, as_model
from jaxopt_course.problems.objective import Data, Problem
from jaxopt_course.types import Batch, Key, ModelState, Params

__all__ = ["KINDS", "KIND_OF_LOSS", "Apply", "Initialize", "supervised"]

# The kinds of labels, with the loss and the metrics that suit them; and the losses that need a kind.
KINDS: dict[str, tuple[Callable, dict[str, Callable]]] = {
    "binary": (losses.binary_cross_entropy, {"accuracy": losses.binary_accuracy}),
    "signs": (losses.binary_hinge, {"accuracy": losses.sign_accuracy}),
    "classes": (losses.cross_entropy, {"accuracy": losses.accuracy}),
}
KIND_OF_LOSS: dict[Any, str] = {
    losses.binary_cross_entropy: "binary",
    losses.binary_hinge: "signs",
    losses.cross_entropy: "classes",
    losses.multiclass_hinge: "classes",
}


@dataclasses.dataclass(frozen=True)
class Initialize:
    """A problem's ``init(key)``: the model's, for inputs of this shape. Compiled once for all equal problems.

    The program runs once, so the compiler is told not to optimise it; that makes a cold start about five times faster. It is
    ``traceable``: a function of the key alone, which training makes part of a larger program, the run's start.
    """

    traceable: ClassVar[bool] = True

    model: Model
    shape: tuple[int, ...]
    dtype: Any

    def __call__(self, key: Key) -> tuple[Params, ModelState]:
        return _initialize(self, key) if isinstance(key, Tracer) else _compiled_initialize(self, key)


def _initialize(start: Initialize, key: Key) -> tuple[Params, ModelState]:
    return start.model.init(key, jnp.zeros((1, *start.shape), start.dtype))


_compiled_initialize = compiled(ONCE, static_argnums=0)(_initialize)


@dataclasses.dataclass(frozen=True)
class Apply:
    """A problem's ``apply``: the model's, on ``batch["x"]``."""

    model: Model

    def __call__(
        self, params: Params, model_state: ModelState, batch: Batch, *, key: Key | None = None, train: bool = False
    ) -> tuple[Any, ModelState]:
        return self.model.apply(params, model_state, batch["x"], key=key, train=train)


def supervised(
    where: str,
    data: Data,
    model: Any,
    outputs: int,
    labels: np.ndarray | None,
    *,
    loss: Callable | None = None,
    metrics: Callable | Mapping[str, Callable] | None = None,
    regularizer: Callable[[Params], Any] | None = None,
    name: str,
) -> Problem:
    """The problem of fitting a model to splits ``{"x", "y"}``, with the loss and metrics that suit the labels.

    One output and labels 0, 1: binary cross-entropy; one output and labels −1, +1: hinge; K outputs: cross-entropy; no
    labels: squared error. For labels the metric is accuracy.

    Args:
        where: whose arguments these are, for messages.
        data: the splits.
        model: what :func:`~jaxopt_course.problems.models.as_model` takes.
        outputs: how many outputs a model given by name gets.
        labels: the distinct labels of a classification; None for a regression.
        loss: in the place of the one that suits the labels.
        metrics: the same for the metrics; an empty mapping for none.
        regularizer: λR(θ), if any.
        name: what tables call it.

    Returns:
        A :class:`Problem`.

    Raises:
        TypeError: ``loss`` is no function. ValueError: the labels do not suit the model or the loss, or the loss does not suit
            the model's outputs.
    """
    if not (loss is None or callable(loss)):
        raise TypeError(f"{where}: loss must be a function (outputs, batch) → [B], as in jc.problems.losses; got {loss!r}")
    model = as_model(where, model, outputs)
    x, y = data.train["x"], data.train["y"]
    init, apply = Initialize(model, x.shape[1:], x.dtype), Apply(model)
    two = {key: jax.ShapeDtypeStruct((2, *leaf.shape[1:]), leaf.dtype) for key, leaf in (("x", x), ("y", y))}
    result, model_state = jax.eval_shape(lambda batch: apply(*init(jax.random.key(0)), batch), two)
    if labels is not None:
        loss, default_metrics = _suitable(where, loss, labels, math.prod(result.shape[1:]))
        metrics = default_metrics if metrics is None else metrics
    loss = loss or losses.squared_error
    shape = jax.eval_shape(loss, result, two).shape
    if shape not in ((2,), ()):
        raise ValueError(f"{where}: loss must return one value for each example, [B]; for B = 2 it returns shape {shape}")
    return Problem(
        init=init,
        apply=apply,
        loss=loss,
        data=data,
        metrics=metrics,
        regularizer=regularizer,
        coupled=bool(jax.tree.leaves(model_state)) or shape == (),
        module=getattr(model, "module", None),
        name=name,
    )


def _suits(kind: str, labels: np.ndarray, width: int) -> bool:
    accepted = {"binary": {0, 1}, "signs": {-1, 1}, "classes": set(range(width))}[kind]
    return (width == 1) == (kind != "classes") and set(labels.tolist()) <= accepted


def _suitable(where: str, loss: Callable | None, labels: np.ndarray, width: int) -> tuple[Callable | None, Any]:
    """The loss and metrics for these labels and outputs; a loss of the user's own is taken on trust."""
    kind = KIND_OF_LOSS.get(loss) or next((kind for kind in KINDS if _suits(kind, labels, width)), None)
    if kind and _suits(kind, labels, width):
        return loss or KINDS[kind][0], KINDS[kind][1]
    if loss is None or loss in KIND_OF_LOSS:
        wanted = {
            "binary": "0 or 1",
            "signs": "-1 or +1",
            "classes": f"from 0 to {width - 1}",
            None: "0 or 1 (or -1 or +1)",
        }
        outputs = f"a model with {width} output{'s' * (width > 1)}"
        accepted = wanted[kind if kind or width == 1 else "classes"]
        whose = outputs if loss is None else f"{loss.__name__} and {outputs}"
        raise ValueError(f"{where}: y must be labels {accepted} for {whose}; got labels from {labels[0]} to {labels[-1]}")
    return loss, None
