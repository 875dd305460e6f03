"""The error of a mini-batch's gradient: what theory says of draws, and what a sampler's batches show [F3]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxopt_course import checks

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["measured_error", "standard_error"]


def standard_error(gradients: Any, batch_size: Any, *, replace: bool = True) -> Float[np.ndarray, "..."]:
    """How far a mini-batch gradient is from the full one, root mean square.

    σ/√m with replacement, σ² = (1/n) Σ ‖gᵢ − ḡ‖²; times √((n − m)/(n − 1)) without

    Args:
        gradients: of each example, ``[n, ...]``.
        batch_size: m, one or several, ``[...]``; without replacement from 1 to n.
        replace: whether an example can be drawn twice into one batch.

    Returns:
        The standard error for each m.

    Raises:
        ValueError: no examples, or a batch size out of range. TypeError: ``replace`` is no bool.

    >>> standard_error([1.0, 2.0, 3.0, 6.0], [1, 4]).round(4), standard_error([1.0, 2.0, 3.0, 6.0], [1, 4], replace=False)
    (array([1.8708, 0.9354]), array([1.8708, 0. ]))

    References:
        Lectures 001, 004 [F3] (the slide calls σ the variance; it is the standard deviation).
    """
    checks.check_bool("standard_error", "replace", replace)
    rows = _rows("standard_error", gradients)
    sizes = np.asarray(batch_size)
    n = len(rows)
    if not np.issubdtype(sizes.dtype, np.integer) or (sizes < 1).any() or (not replace and (sizes > n).any()):
        accepted = "integers >= 1" if replace else f"integers from 1 to {n}"
        raise ValueError(f"standard_error: batch_size must be {accepted}; got {batch_size!r}")
    sigma = np.sqrt(((rows - rows.mean(axis=0)) ** 2).sum() / n)
    factor = 1.0 if replace or n == 1 else np.sqrt((n - sizes) / (n - 1))
    return np.asarray(sigma / np.sqrt(sizes) * factor)


def measured_error(gradients: Any, batches: Any) -> float:
    """How far the gradients of these batches are from the full one, root mean square: what a sampler does.

    √(mean over batches of ‖mean of gᵢ in the batch − ḡ‖²)

    Args:
        gradients: of each example, ``[n, ...]``.
        batches: indices of examples, ``[draws, m]``.

    Returns:
        The measured standard error, to compare with :func:`standard_error`.

    Raises:
        ValueError: no examples, or indices that are not ``[draws, m]`` within them.

    >>> measured_error([1.0, 2.0, 3.0, 6.0], [[0, 1], [2, 3]])
    1.5

    References:
        Lectures 001, 004 [F3].
    """
    rows = _rows("measured_error", gradients)
    try:
        indices = np.asarray(batches)
    except ValueError as error:
        raise ValueError(f"measured_error: batches must be of one size, [draws, m]; got {batches!r:.80}") from error
    whole = np.issubdtype(indices.dtype, np.integer) and indices.ndim == 2 and indices.size > 0
    if not whole or indices.min() < 0 or indices.max() >= len(rows):
        raise ValueError(f"measured_error: batches must be indices from 0 to {len(rows) - 1}, [draws, m]; got {batches!r:.80}")
    full = rows.mean(axis=0)
    return float(np.sqrt(np.mean([((rows[batch].mean(axis=0) - full) ** 2).sum() for batch in indices])))


def _rows(where: str, gradients: Any) -> np.ndarray:
    checks.check_number(where, "gradients", gradients, scalar=False)
    rows = np.asarray(gradients, float)
    if rows.ndim == 0 or rows.size == 0:
        raise ValueError(f"{where}: gradients must have one row for each example, [n, ...]; got shape {rows.shape}")
    return rows.reshape(len(rows), -1)
