"""From arrays and a model to a problem: what is to be predicted, the loss that suits it, and the splits [A1, A3, A4].

Tuning looks at the validation split, reports at the test split, training at neither. Splits keep the proportions of the
classes. Everything about the input that can be wrong is checked here, once, on the host; nothing is checked while training.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course.checks import Interval, check_number
from jaxopt_course.problems import losses
from jaxopt_course.problems.models import Model, as_model
from jaxopt_course.problems.objective import Data, Problem
from jaxopt_course.types import Batch, Key, ModelState, Params

__all__ = ["Apply", "Initialize", "Labels", "from_arrays", "split_rows", "supervised"]

Labels = np.ndarray  # the distinct labels, sorted

# what labels may be, and the loss and metrics that suit them
_KINDS: dict[str, tuple[Callable, dict[str, Callable]]] = {
    "binary": (losses.binary_cross_entropy, {"accuracy": losses.binary_accuracy}),
    "signs": (losses.binary_hinge, {"accuracy": losses.sign_accuracy}),
    "classes": (losses.cross_entropy, {"accuracy": losses.accuracy}),
}
_KIND_OF_LOSS = {
    losses.binary_cross_entropy: "binary",
    losses.binary_hinge: "signs",
    losses.cross_entropy: "classes",
    losses.multiclass_hinge: "classes",
}
_REGRESSION = (losses.squared_error, losses.half_squared_error, losses.negative_log_likelihood)


@dataclasses.dataclass(frozen=True)
class Initialize:
    """A problem's ``init(key)``: the model's, for inputs of this shape. Compiled once for all equal problems.

    The program runs once, so the compiler is told not to optimise it; that makes a cold start about five times faster.
    """

    model: Model
    shape: tuple[int, ...]
    dtype: Any

    def __call__(self, key: Key) -> tuple[Params, ModelState]:
        return _initialize(self, key) if isinstance(key, jax.core.Tracer) else _compiled_initialize(self, key)


def _initialize(start: Initialize, key: Key) -> tuple[Params, ModelState]:
    return start.model.init(key, jnp.zeros((1, *start.shape), start.dtype))


_compiled_initialize = jax.jit(
    _initialize, static_argnums=0, compiler_options={"xla_backend_optimization_level": 0}
)


@dataclasses.dataclass(frozen=True)
class Apply:
    """A problem's ``apply``: the model's, on ``batch["x"]``."""

    model: Model

    def __call__(
        self, params: Params, model_state: ModelState, batch: Batch, *, key: Key | None = None, train: bool = False
    ) -> tuple[Any, ModelState]:
        return self.model.apply(params, model_state, batch["x"], key=key, train=train)


def from_arrays(
    x: Any,
    y: Any,
    *,
    model: Any = None,
    loss: Callable | None = None,
    metrics: Callable | Mapping[str, Callable] | None = None,
    validation: float | tuple[Any, Any] | None = 0.2,
    test: float | tuple[Any, Any] | None = None,
    regularizer: Callable[[Params], Any] | None = None,
    seed: int = 0,
    name: str = "arrays",
) -> Problem:
    """A problem from your own data.

    What is to be predicted follows from ``y``, and the loss from that and from the number of the model's outputs:

    ==============================  ===================  ==============================================
    y                               default model        loss and metric
    ==============================  ===================  ==============================================
    floats, or ``[n, k]``           linear               squared error
    labels 0, 1 (or booleans)       logistic             binary cross-entropy, accuracy (of one logit)
    labels −1, +1                   linear               hinge, accuracy (of the sign)
    labels 0 … K − 1                softmax              cross-entropy, accuracy (of K logits)
    ==============================  ===================  ==============================================

    Floats that are whole numbers are labels if the model is ``"logistic"`` or ``"softmax"`` or the loss is one on labels;
    integers are targets of a regression if the loss is a squared error.

    Args:
        x: inputs ``[n, ...]``: numpy, JAX, lists. Bytes (uint8) stay bytes; models read them as x / 255.
        y: targets or labels, ``[n]`` or ``[n, k]``.
        model: a name (linear, logistic, softmax, mlp, convnet), a model of :mod:`~jaxopt_course.problems.models`, or a flax
            module. By name, it gets as many outputs as ``y`` needs.
        loss: ``loss(outputs, batch) → [B]``, in the place of the table's.
        metrics: as for :class:`Problem`, in the place of the table's.
        validation: the fraction of the examples to hold out, or a pair ``(x, y)``; 0 or None for none.
        test: the same for the test split.
        regularizer: λR(θ), if any.
        seed: of the random split.
        name: what tables call it.

    Returns:
        A :class:`Problem`.

    Raises:
        ValueError: empty data, different lengths, values that are not finite, labels that do not suit the model or the loss,
            an unknown model name. TypeError: arrays that are not numeric, something that is not a model.

    >>> x = np.arange(20.0).reshape(10, 2)
    >>> from_arrays(x, np.arange(10) % 3, model="mlp", validation=0.2, test=0.1)
    Problem(arrays: 7 train, 2 validation, 1 test)
    """
    where = "from_arrays"
    given = {"train": (x, y), "validation": validation, "test": test}
    pairs = {split: _pair(where, split, *value) for split, value in given.items() if isinstance(value, tuple)}
    if len({pair[0].shape[1:] for pair in pairs.values()} | set()) > 1 or len({p[1].shape[1:] for p in pairs.values()}) > 1:
        shapes = ", ".join(f"{split} {x.shape[1:]} and {y.shape[1:]}" for split, (x, y) in pairs.items())
        raise ValueError(f"{where}: examples of all splits must have the same shapes; got x and y of {shapes}")
    targets = np.concatenate([y for _, y in pairs.values()])
    regression = targets.ndim > 1 or loss in _REGRESSION or (_is_float(targets) and not _wants_labels(model, loss))
    labels = None if regression else _labels(where, targets)
    dtype = float if regression else np.int32
    pairs = {split: (x, y.astype(jax.dtypes.canonicalize_dtype(dtype))) for split, (x, y) in pairs.items()}

    fractions = {split: given[split] or 0.0 for split in ("validation", "test") if split not in pairs}
    train_x, train_y = pairs.pop("train")
    counts = [_count(where, split, fraction, len(train_x)) for split, fraction in fractions.items()]
    if sum(counts) >= len(train_x):
        raise ValueError(f"{where}: validation and test leave no example of {len(train_x)} to train on; got {fractions}")
    groups = np.zeros(len(train_y)) if regression else train_y
    for split, rows in zip(("train", *fractions), split_rows(groups, counts, seed), strict=True):
        if len(rows):
            pairs[split] = (train_x[rows], train_y[rows])

    single = labels is not None and _KIND_OF_LOSS.get(loss) != "classes" and (_within(labels, 0, 1) or _within(labels, -1, 1))
    if regression:
        outputs, default = math.prod(targets.shape[1:]), "linear"
    else:
        outputs = 1 if single else int(labels[-1]) + 1
        default = "softmax" if not single else "linear" if labels[0] < 0 else "logistic"
    data = Data(**{split: {"x": jnp.asarray(x), "y": jnp.asarray(y)} for split, (x, y) in pairs.items()})
    return supervised(
        where, data, default if model is None else model, outputs, labels,
        loss=loss, metrics=metrics, regularizer=regularizer, name=name,
    )  # fmt: skip


def supervised(
    where: str,
    data: Data,
    model: Any,
    outputs: int,
    labels: Labels | None,
    *,
    loss: Callable | None = None,
    metrics: Callable | Mapping[str, Callable] | None = None,
    regularizer: Callable[[Params], Any] | None = None,
    name: str,
) -> Problem:
    """The problem of fitting a model to ``{"x", "y"}`` splits; losses and metrics as in :func:`from_arrays`.

    Args:
        where: whose arguments these are, for messages.
        data: the splits.
        model: what :func:`~jaxopt_course.problems.models.as_model` takes.
        outputs: how many outputs a model given by name gets.
        labels: the distinct labels of a classification; None for a regression.
        loss: in the place of the one that suits the labels.
        metrics: the same for the metrics.
        regularizer: λR(θ), if any.
        name: what tables call it.

    Returns:
        A :class:`Problem`.

    Raises:
        ValueError: the labels do not suit the model or the loss, or the loss does not suit the model's outputs.
    """
    model = as_model(where, model, outputs)
    x, y = data.train["x"], data.train["y"]
    init, apply = Initialize(model, x.shape[1:], x.dtype), Apply(model)
    two = {"x": jax.ShapeDtypeStruct((2, *x.shape[1:]), x.dtype), "y": jax.ShapeDtypeStruct((2, *y.shape[1:]), y.dtype)}
    _, model_state = jax.eval_shape(lambda: init(jax.random.key(0)))
    result = jax.eval_shape(lambda: apply(*init(jax.random.key(0)), two, key=None, train=False)[0])
    if labels is None:
        loss = loss or losses.squared_error
    else:
        width = math.prod(result.shape[1:])
        kind = _KIND_OF_LOSS.get(loss) or next((kind for kind in _KINDS if _suits(kind, labels, width)), None)
        if (loss is None or loss in _KIND_OF_LOSS) and not (kind and _suits(kind, labels, width)):
            raise ValueError(f"{where}: y must be {_accepted(loss, width)}; got labels from {labels[0]} to {labels[-1]}")
        if kind:
            loss, metrics = loss or _KINDS[kind][0], metrics or _KINDS[kind][1]
    shape = jax.eval_shape(loss, result, two).shape
    if shape not in ((2,), ()):
        raise ValueError(f"{where}: loss must return one value for each example, [B]; for B = 2 it returns shape {shape}")
    return Problem(
        init=init, apply=apply, loss=loss, data=data, metrics=metrics, regularizer=regularizer,
        coupled=bool(jax.tree.leaves(model_state)) or shape == (), module=getattr(model, "module", None), name=name,
    )  # fmt: skip
