"""Epochs to steps: schedules count steps, people count passes over the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxopt_course import checks

__all__ = ["epochs"]


def epochs(count: float, data: Any, batch_size: int, *, drop_remainder: bool = False) -> int:
    """The number of steps in so many epochs, for schedules and windows.

    count · ⌈n/m⌉, or count · ⌊n/m⌋ where ragged last batches are left out; rounded to a whole step

    Args:
        count: passes over the data, ≥ 0; half ones are fine.
        data: what is trained on: a problem, or n, the number of its training examples.
        batch_size: m, from 1 to n, as for ``fit``.
        drop_remainder: as for ``fit``.

    Returns:
        Steps.

    Raises:
        TypeError, ValueError: a number outside its interval, or data that does not say how many examples it has.

    >>> epochs(10, 60_000, 64), epochs(0.5, 60_000, 64)
    (9380, 469)
    >>> import jax.numpy as jnp, jaxopt_course as jc
    >>> problem = jc.problems.digits()
    >>> halve = jc.schedules.step(0.01, jnp.log(2), epochs(10, problem, 32))  # halve every ten epochs [C4]

    References:
        Lecture 002 counts in epochs [C4].
    """
    examples = getattr(data, "num_examples", data)
    if not isinstance(examples, (int, np.integer)):
        raise TypeError(f"epochs: data must be a problem, or the number of its training examples; got {data!r:.100}")
    checks.check_integer("epochs", "data", examples)
    checks.check_integer("epochs", "batch_size", batch_size, maximum=int(examples))
    checks.check_number("epochs", "count", count, checks.Interval(0))
    checks.check_bool("epochs", "drop_remainder", drop_remainder)
    whole, ragged = divmod(int(examples), int(batch_size))
    return round(count * (whole + bool(ragged and not drop_remainder)))
