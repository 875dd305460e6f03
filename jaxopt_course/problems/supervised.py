"""From arrays and a model to a problem: what is to be predicted, the loss that suits it, and the splits [A1, A3, A4].

Tuning looks at the validation split, reports at the test split, training at neither. Splits keep the proportions of the
classes. All that can be wrong with the input is checked here, once, on the host; nothing is checked while training.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxopt_course.checks import Interval, check_number
from jaxopt_course.problems import losses
from jaxopt_course.problems.models import Model, as_model
from jaxopt_course.problems.objective import Data, Problem
from jaxopt_course.types import Batch, Key, ModelState, Params

__all__ = ["Apply", "Initialize", "from_arrays", "split_rows", "supervised"]

# The kinds of labels, with the loss and the metrics that suit them.
_KINDS: dict[str, tuple[Callable, dict[str, Callable]]] = {
    "binary": (losses.binary_cross_entropy, {"accuracy": losses.binary_accuracy}),
    "signs": (losses.binary_hinge, {"accuracy": losses.sign_accuracy}),
    "classes": (losses.cross_entropy, {"accuracy": losses.accuracy}),
}
_KIND_OF_LOSS: dict[Any, str] = {
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
        return _initialize(self, key) if isinstance(key, Tracer) else _compiled_initialize(self, key)


def _initialize(start: Initialize, key: Key) -> tuple[Params, ModelState]:
    return start.model.init(key, jnp.zeros((1, *start.shape), start.dtype))


_compiled_initialize = jax.jit(_initialize, static_argnums=0, compiler_options={"xla_backend_optimization_level": 0})


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

    Floats that are whole numbers are labels if the model is ``"logistic"`` or ``"softmax"`` or the loss is one on
    labels; integers are targets of a regression if the loss is a squared error.

    Args:
        x: inputs ``[n, ...]``: numpy, JAX, lists. Bytes (uint8) stay bytes; models read them as x / 255.
        y: targets or labels, ``[n]`` or ``[n, k]``.
        model: a name (linear, logistic, softmax, mlp, convnet), a model of :mod:`~jaxopt_course.problems.models`, or a
            flax module. By name, it gets as many outputs as ``y`` needs.
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
        ValueError: empty data, different lengths, values that are not finite, labels that do not suit the model or the
            loss, an unknown model name. TypeError: arrays that are not numeric, something that is not a model.

    >>> x = np.arange(20.0).reshape(10, 2)
    >>> from_arrays(x, np.arange(10) % 3, model="mlp", validation=0.2, test=0.1)
    Problem(arrays: 7 train, 2 validation, 1 test)
    """
    where = "from_arrays"
    given = {"train": (x, y), "validation": validation, "test": test}
    pairs = {split: _pair(where, split, *value) for split, value in given.items() if isinstance(value, tuple)}
    _check_alike(where, pairs)
    targets = np.concatenate([y for _, y in pairs.values()])
    regression = targets.ndim > 1 or loss in _REGRESSION or (_is_float(targets) and not _wants_labels(model, loss))
    labels = None if regression else _labels(where, targets)
    dtype = jax.dtypes.canonicalize_dtype(float if regression else int)
    pairs = {split: (x, y.astype(dtype)) for split, (x, y) in pairs.items()}
    fractions = {split: given[split] or 0.0 for split in ("validation", "test") if split not in pairs}
    pairs |= _hold_out(where, *pairs["train"], fractions, seed, stratify=not regression)
    default, outputs = _default_model(labels, targets, loss)
    return supervised(
        where,
        Data(**{split: {"x": jnp.asarray(x), "y": jnp.asarray(y)} for split, (x, y) in pairs.items()}),
        default if model is None else model,
        outputs,
        labels,
        loss=loss,
        metrics=metrics,
        regularizer=regularizer,
        name=name,
    )


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
    two = {key: jax.ShapeDtypeStruct((2, *leaf.shape[1:]), leaf.dtype) for key, leaf in (("x", x), ("y", y))}
    result, model_state = jax.eval_shape(lambda batch: apply(*init(jax.random.key(0)), batch), two)
    if labels is not None:
        loss, default_metrics = _suitable(where, loss, labels, math.prod(result.shape[1:]))
        metrics = metrics or default_metrics
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


def split_rows(groups: np.ndarray, counts: Sequence[int], seed: int) -> list[np.ndarray]:
    """Disjoint random row numbers: what remains for training, then as many as each count says [A3].

    Rows are dealt out evenly along the sorted groups, so every part has each group in proportion, to within one row.

    Args:
        groups: what to keep in proportion, ``[n]``: the labels, or a constant.
        counts: the sizes of the parts to hold out.
        seed: of the permutation.

    Returns:
        The row numbers of the training part, then of each held-out part, in random order.

    >>> [part.tolist() for part in split_rows(np.array([0, 0, 0, 0, 1, 1]), [3], seed=0)]
    [[3, 0, 5], [1, 4, 2]]
    """
    generator = np.random.default_rng(seed)
    rows = generator.permutation(len(groups))
    rows = rows[np.argsort(groups[rows], kind="stable")]
    parts = []
    for count in counts:
        dealt = (2 * np.arange(count) + 1) * len(rows) // max(2 * count, 1)
        parts.append(rows[dealt])
        rows = np.delete(rows, dealt)
    return [generator.permutation(part) for part in (rows, *parts)]


def _pair(where: str, split: str, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """A split's arrays, checked; targets [n, 1] become [n]."""
    names = ("x", "y") if split == "train" else (f"{split} x", f"{split} y")
    x, y = (_array(where, name, value) for name, value in zip(names, (x, y), strict=True))
    if len(x) != len(y):
        raise ValueError(f"{where}: {names[0]} and {names[1]} must have the same length; got {len(x)} and {len(y)}")
    return x, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _array(where: str, name: str, value: Any) -> np.ndarray:
    """A numeric array, not empty, finite in the precision that JAX will keep it in."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{where}: {name} must be an array; got ragged {type(value).__name__}: {error}") from None
    if not (jnp.issubdtype(array.dtype, jnp.number) or array.dtype == bool):
        hint = "; np.unique(y, return_inverse=True) turns names into labels" if name.endswith("y") else ""
        raise TypeError(f"{where}: {name} must be numbers; got dtype {array.dtype}{hint}")
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"{where}: {name} must have at least one example; got shape {array.shape}")
    if _is_float(array):
        with np.errstate(over="ignore"):
            array = array.astype(jax.dtypes.canonicalize_dtype(array.dtype))
        if not np.isfinite(array).all():
            first = np.argwhere(~np.isfinite(array))[0]
            raise ValueError(f"{where}: {name} must be finite; got {array[tuple(first)]} at {name}{first.tolist()}")
    return array


def _check_alike(where: str, pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    shapes = {split: (x.shape[1:], y.shape[1:]) for split, (x, y) in pairs.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{split} {x} and {y}" for split, (x, y) in shapes.items())
        raise ValueError(f"{where}: one example's x and y must have the same shapes in all splits; got {listed}")


def _is_float(array: np.ndarray) -> bool:
    return jnp.issubdtype(array.dtype, jnp.inexact)


def _wants_labels(model: Any, loss: Callable | None) -> bool:
    return (isinstance(model, str) and model in ("logistic", "softmax")) or loss in _KIND_OF_LOSS


def _labels(where: str, y: np.ndarray) -> np.ndarray:
    """The distinct labels, sorted: whole numbers from 0, or −1 and +1."""
    labels = np.unique(y)
    if (labels != np.floor(labels)).any():
        odd = labels[labels != np.floor(labels)][0]
        raise ValueError(f"{where}: y must be whole numbers, as labels of a classification; got {odd}")
    labels = labels.astype(int)
    if labels[0] < 0 and not set(labels) <= {-1, 1}:
        raise ValueError(f"{where}: y must be labels from 0, or -1 and +1; got labels from {labels[0]} to {labels[-1]}")
    return labels


def _default_model(labels: np.ndarray | None, targets: np.ndarray, loss: Callable | None) -> tuple[str, int]:
    """The model's name for these targets, and how many outputs a model given by name gets."""
    if labels is None:
        return "linear", math.prod(targets.shape[1:])
    if _KIND_OF_LOSS.get(loss) == "classes" or labels[-1] > 1:
        return "softmax", int(labels[-1]) + 1
    return ("linear" if labels[0] < 0 else "logistic"), 1


def _hold_out(
    where: str, x: np.ndarray, y: np.ndarray, fractions: Mapping[str, Any], seed: int, *, stratify: bool
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The training examples, and these fractions of them held out."""
    for split, fraction in fractions.items():
        check_number(where, split, fraction, Interval(0, 1, open_high=True))
    counts = [round(fraction * len(x)) for fraction in fractions.values()]
    if sum(counts) >= len(x):
        shown = ", ".join(f"{split}={fraction}" for split, fraction in fractions.items())
        raise ValueError(f"{where}: {shown} leave none of {len(x)} examples to train on")
    parts = split_rows(y if stratify else np.zeros(len(y)), counts, seed) if sum(counts) else [np.arange(len(x))]
    named = zip(("train", *fractions), parts, strict=False)
    return {split: (x[rows], y[rows]) for split, rows in named if len(rows)}


def _suits(kind: str, labels: np.ndarray, width: int) -> bool:
    accepted = {"binary": {0, 1}, "signs": {-1, 1}, "classes": set(range(width))}[kind]
    return (width == 1) == (kind != "classes") and set(labels.tolist()) <= accepted


def _suitable(where: str, loss: Callable | None, labels: np.ndarray, width: int) -> tuple[Callable | None, Any]:
    """The loss and metrics for these labels and outputs; a loss of the user's own is taken on trust."""
    kind = _KIND_OF_LOSS.get(loss) or next((kind for kind in _KINDS if _suits(kind, labels, width)), None)
    if kind and _suits(kind, labels, width):
        return loss or _KINDS[kind][0], _KINDS[kind][1]
    if loss is None or loss in _KIND_OF_LOSS:
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
