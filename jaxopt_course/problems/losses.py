"""Per-example losses and metrics: ``loss(outputs, batch) → [B]``, reading ``batch["y"]`` [A5].

They return one value for each example, never their mean: the training step weights them, which makes ragged batches,
class balance and importance sampling exact. A metric has the same form, and is measured in the same forward pass. The
outputs are raw scores: logits, not probabilities. One output an example may be ``[B]`` or ``[B, 1]``; nothing broadcasts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import optax

from jaxopt_course.types import Batch

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = [
    "squared_error", "half_squared_error", "binary_hinge", "multiclass_hinge", "binary_cross_entropy", "cross_entropy",
    "negative_log_likelihood", "zero_one", "accuracy", "binary_accuracy", "sign_accuracy",
]  # fmt: skip


def squared_error(outputs: Float[Array, " batch *outputs"], batch: Batch) -> Float[Array, " batch"]:
    """Squared error, summed over the outputs of an example [A5].

    ℓ(ŷ, y) = Σⱼ (ŷⱼ − yⱼ)²

    Args:
        outputs: predictions ŷ, ``[B]`` or ``[B, k]``.
        batch: ``batch["y"]``, the targets, of the same shape.

    Returns:
        One loss for each example, ``[B]``.

    Raises:
        ValueError: outputs and targets differ in shape.

    >>> squared_error(jnp.array([1.0, 3.0]), {"y": jnp.array([0.5, 1.0])})
    Array([0.25, 4.  ], dtype=float32)
    """
    errors = optax.losses.squared_error(*_aligned("squared_error", outputs, batch["y"]))
    return jnp.sum(errors, axis=tuple(range(1, errors.ndim)))


def half_squared_error(outputs: Float[Array, " batch *outputs"], batch: Batch) -> Float[Array, " batch"]:
    """Half the squared error, whose gradient by ŷ is the plain residual [A5].

    ℓ(ŷ, y) = ½ Σⱼ (ŷⱼ − yⱼ)²

    Args, Returns, Raises: as for :func:`squared_error`.

    >>> half_squared_error(jnp.array([1.0, 3.0]), {"y": jnp.array([0.5, 1.0])})
    Array([0.125, 2.   ], dtype=float32)
    """
    return 0.5 * squared_error(outputs, batch)


def binary_hinge(outputs: Float[Array, " batch"], batch: Batch) -> Float[Array, " batch"]:
    """Hinge loss of a binary score [A5].

    ℓ(ŷ, y) = max(0, 1 − y·ŷ)

    Args:
        outputs: scores ŷ, ``[B]``.
        batch: ``batch["y"]``, labels −1 or +1, ``[B]``.

    Returns:
        One loss for each example, ``[B]``.

    Raises:
        ValueError: outputs and labels are not both ``[B]``.

    >>> binary_hinge(jnp.array([0.25, 2.0, 0.5]), {"y": jnp.array([1, 1, -1])})
    Array([0.75, 0.  , 1.5 ], dtype=float32)
    """
    return optax.losses.hinge_loss(*_single("binary_hinge", outputs, batch["y"]))


def multiclass_hinge(outputs: Float[Array, "batch classes"], batch: Batch) -> Float[Array, " batch"]:
    """Hinge loss of the margin to the best wrong class [A5].

    ℓ(ŷ, t) = max(0, 1 − (ŷₜ − ŷⱼ)),  j = argmax_{k ≠ t} ŷₖ

    Args:
        outputs: scores ŷ, ``[B, K]``.
        batch: ``batch["y"]``, integer labels t from 0 to K − 1, ``[B]``.

    Returns:
        One loss for each example, ``[B]``.

    Raises:
        ValueError: labels are not integers ``[B]``, or there is one score for each example only.

    >>> multiclass_hinge(jnp.array([[2.0, 1.5, -1.0], [0.0, 0.5, 3.0]]), {"y": jnp.array([0, 2])})
    Array([0.5, 0. ], dtype=float32)
    """
    return optax.losses.multiclass_hinge_loss(*_labelled("multiclass_hinge", outputs, batch["y"]))


def binary_cross_entropy(outputs: Float[Array, " batch"], batch: Batch) -> Float[Array, " batch"]:
    """Cross-entropy of one logit, finite for any finite logit [A5].

    ℓ(z, y) = −y ln σ(z) − (1 − y) ln(1 − σ(z))

    Args:
        outputs: logits z, ``[B]``.
        batch: ``batch["y"]``, labels 0 or 1 (or probabilities between them), ``[B]``.

    Returns:
        One loss for each example, ``[B]``.

    Raises:
        ValueError: outputs and labels are not both ``[B]``.

    >>> binary_cross_entropy(jnp.array([0.0, 200.0]), {"y": jnp.array([1, 0])})
    Array([  0.6931472, 200.       ], dtype=float32)
    """
    return optax.losses.sigmoid_binary_cross_entropy(*_single("binary_cross_entropy", outputs, batch["y"]))


def cross_entropy(outputs: Float[Array, "batch classes"], batch: Batch) -> Float[Array, " batch"]:
    """Cross-entropy with hard targets [A5].

    ℓ(z, t) = −ln softmax(z)ₜ = ln Σₖ exp zₖ − zₜ

    Args:
        outputs: logits z, ``[B, K]``.
        batch: ``batch["y"]``, integer labels t from 0 to K − 1, ``[B]``.

    Returns:
        One loss for each example, ``[B]``.

    Raises:
        ValueError: labels are not integers ``[B]``, or there is one logit for each example only.

    >>> cross_entropy(jnp.array([[0.0, 0.0], [0.0, 100.0]]), {"y": jnp.array([1, 0])})
    Array([  0.6931472, 100.       ], dtype=float32)
    """
    return optax.losses.softmax_cross_entropy_with_integer_labels(*_labelled("cross_entropy", outputs, batch["y"]))


def negative_log_likelihood(outputs: Float[Array, "batch classes"], batch: Batch) -> Float[Array, " batch"]:
    """Negative log-likelihood with soft targets [A5].

    ℓ(z, y) = −Σₖ yₖ ln softmax(z)ₖ

    Args:
        outputs: logits z, ``[B, K]``.
        batch: ``batch["y"]``, a distribution over the classes for each example, ``[B, K]``.

    Returns:
        One loss for each example, ``[B]``.

    Raises:
        ValueError: outputs and targets differ in shape, or are not ``[B, K]``.

    >>> negative_log_likelihood(jnp.array([[0.0, 100.0]]), {"y": jnp.array([[0.25, 0.75]])})
    Array([25.], dtype=float32)
    """
    logits, targets = _aligned("negative_log_likelihood", outputs, batch["y"])
    if logits.ndim != 2:
        raise ValueError(f"negative_log_likelihood: outputs must be logits [B, K], K >= 2; got {tuple(outputs.shape)}")
    return optax.losses.softmax_cross_entropy(logits, targets)


def zero_one(outputs: Float[Array, " batch *classes"], batch: Batch) -> Float[Array, " batch"]:
    """0–1 loss: 1 for a wrong prediction. A metric: its gradient is zero wherever it exists [A5].

    ℓ(ŷ, y) = [sign ŷ ≠ sign y] for one score, [argmaxₖ ŷₖ ≠ y] for K scores

    Args:
        outputs: scores, ``[B]`` (positive predicts the positive class) or ``[B, K]``.
        batch: ``batch["y"]``, labels ``[B]``: −1 or +1, or 0 or 1, for one score; from 0 to K − 1 for K.

    Returns:
        0 or 1 for each example, ``[B]``.

    Raises:
        ValueError: as for :func:`sign_accuracy` and :func:`accuracy`.

    >>> zero_one(jnp.array([0.1, -3.0]), {"y": jnp.array([-1, -1])})
    Array([1., 0.], dtype=float32)
    """
    one_score = outputs.ndim == 1 or outputs.shape[-1] == 1
    return 1.0 - (sign_accuracy if one_score else accuracy)(outputs, batch)


def accuracy(outputs: Float[Array, "batch classes"], batch: Batch) -> Float[Array, " batch"]:
    """1 where the highest score is the label's; of equal scores the first counts as the highest, beside NaN none does [A4].

    Args:
        outputs: scores or logits, ``[B, K]``.
        batch: ``batch["y"]``, integer labels from 0 to K − 1, ``[B]``.

    Returns:
        0 or 1 for each example, ``[B]``.

    Raises:
        ValueError: labels are not integers ``[B]``, or there is one score for each example only.

    >>> accuracy(jnp.array([[0.5, 0.5], [0.0, 2.0]]), {"y": jnp.array([1, 1])})
    Array([0., 1.], dtype=float32)
    """
    scores, labels = _labelled("accuracy", outputs, batch["y"])
    highest = scores == jnp.max(scores, axis=-1, keepdims=True)
    classes = jnp.arange(scores.shape[-1], dtype=jnp.float32)
    first = jnp.min(jnp.where(highest, classes, jnp.inf), axis=-1)  # argmax, whose reduction of pairs is slow on a CPU
    return (first == labels).astype(float)


def binary_accuracy(outputs: Float[Array, " batch"], batch: Batch) -> Float[Array, " batch"]:
    """1 where σ(z) > ½, that is z > 0, exactly if the label is 1 [A4].

    Args:
        outputs: logits z, ``[B]``.
        batch: ``batch["y"]``, labels 0 or 1, ``[B]``.

    Returns:
        0 or 1 for each example, ``[B]``.

    Raises:
        ValueError: outputs and labels are not both ``[B]``.

    >>> binary_accuracy(jnp.array([0.1, -3.0, 2.0]), {"y": jnp.array([1, 0, 0])})
    Array([1., 1., 0.], dtype=float32)
    """
    logits, labels = _single("binary_accuracy", outputs, batch["y"])
    return ((logits > 0) == (labels > 0)).astype(float)


def sign_accuracy(outputs: Float[Array, " batch"], batch: Batch) -> Float[Array, " batch"]:
    """1 where the score has the label's sign; a score of 0 predicts −1 [A4].

    Args:
        outputs: scores, ``[B]``.
        batch: ``batch["y"]``, labels −1 or +1, ``[B]``.

    Returns:
        0 or 1 for each example, ``[B]``.

    Raises:
        ValueError: outputs and labels are not both ``[B]``.

    >>> sign_accuracy(jnp.array([0.1, -3.0, 2.0]), {"y": jnp.array([1, -1, -1])})
    Array([1., 1., 0.], dtype=float32)
    """
    scores, labels = _single("sign_accuracy", outputs, batch["y"])
    return ((scores > 0) == (labels > 0)).astype(float)


def _aligned(where: str, outputs: Array, y: Array) -> tuple[Array, Array]:
    """Both of one shape; [B, 1] is [B] here, or [B, 1] − [B] would be [B, B]."""
    flat, target = (array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array for array in (outputs, y))
    if flat.shape != target.shape:
        shapes = f"{tuple(outputs.shape)} and {tuple(y.shape)}"
        raise ValueError(f"{where}: outputs and batch['y'] must have the same shape; got {shapes}")
    return flat, target


def _single(where: str, outputs: Array, y: Array) -> tuple[Array, Array]:
    """One score and one label for each example, both [B]."""
    scores, labels = _aligned(where, outputs, y)
    if scores.ndim != 1:
        raise ValueError(f"{where}: outputs must be one score for each example, [B]; got shape {tuple(outputs.shape)}")
    return scores, labels


def _labelled(where: str, outputs: Array, y: Array) -> tuple[Array, Array]:
    """Scores [B, K], K ≥ 2, and integer labels [B]."""
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ValueError(f"{where}: outputs must be scores of shape [B, K], K >= 2; got {tuple(outputs.shape)}")
    if y.shape != outputs.shape[:1] or not jnp.issubdtype(y.dtype, jnp.integer):
        raise ValueError(
            f"{where}: batch['y'] must be integer labels of shape ({outputs.shape[0]},); got {y.dtype} {tuple(y.shape)}"
        )
    return outputs, y
