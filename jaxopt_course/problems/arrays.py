"""Your own arrays as a problem: what is to be predicted, and which examples are held out [A3, A4].

Tuning looks at the validation split, reports at the test split, training at neither. Splits keep the proportions of the
classes. All that can be wrong with the arrays is checked here, once, on the host.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course.checks import Interval, check_integer, check_number
from jaxopt_course.problems import losses
from jaxopt_course.problems.objective import Data, Problem
from jaxopt_course.problems.supervised import KIND_OF_LOSS, supervised
from jaxopt_course.types import Params

__all__ = ["from_arrays", "split_rows"]

_REGRESSION = (losses.squared_error, losses.half_squared_error, losses.negative_log_likelihood)


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
            loss, an unknown model name, a negative seed. TypeError: arrays that are not numeric, something that is not a
            model, a seed that is no integer.

    >>> x = np.arange(20.0).reshape(10, 2)
    >>> from_arrays(x, np.arange(10) % 3, model="mlp", validation=0.2, test=0.1)
    Problem(arrays: 7 train, 2 validation, 1 test)
    """
    where = "from_arrays"
    check_integer(where, "seed", seed, minimum=0)
    given = {"train": (x, y), "validation": validation, "test": test}
    pairs = {split: _pair(where, split, value) for split, value in given.items() if isinstance(value, (tuple, list))}
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
        Data(**{split: jax.device_put({"x": x, "y": y}) for split, (x, y) in pairs.items()}),
        default if model is None else model,
        outputs,
        labels,
        loss=loss,
        metrics=metrics,
        regularizer=regularizer,
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


def _pair(where: str, split: str, arrays: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """A split's arrays, checked; targets [n, 1] become [n]."""
    if len(arrays) != 2:
        raise ValueError(f"{where}: {split} must be a fraction or a pair (x, y); got {len(arrays)} array(s)")
    names = ("x", "y") if split == "train" else (f"{split} x", f"{split} y")
    x, y = (_array(where, name, array) for name, array in zip(names, arrays, strict=True))
    if len(x) != len(y):
        raise ValueError(f"{where}: {names[0]} and {names[1]} must have the same length; got {len(x)} and {len(y)}")
    return x, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _array(where: str, name: str, value: Any) -> np.ndarray:
    """A numeric array, not empty, finite in the precision that JAX will keep it in."""
    if value is None:
        raise TypeError(f"{where}: {name} must be an array; got None")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{where}: {name} must be an array; got ragged {type(value).__name__}: {error}") from None
    if not (jnp.issubdtype(array.dtype, jnp.number) or array.dtype == bool):
        hint = "; np.unique(y, return_inverse=True) turns names into labels" if name.endswith("y") else ""
        raise TypeError(f"{where}: {name} must be numbers; got dtype {array.dtype}{hint}")
    if np.iscomplexobj(array):
        raise TypeError(f"{where}: {name} must be real numbers; got dtype {array.dtype}")
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
    return (isinstance(model, str) and model in ("logistic", "softmax")) or loss in KIND_OF_LOSS


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
    if KIND_OF_LOSS.get(loss) == "classes" or labels[-1] > 1:
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
