"""Batch sizes that grow where a rate would fall [C8].

m_e = m₀ α(0) / α(t_e), for the passes e = 0, 1, … over the data, where t_e is the step at which the decayed run begins pass e

The noise of a mini-batch's step is proportional to α/m, so dividing α or multiplying m by the same factor makes it the same;
the larger batches need fewer updates. Each size is compiled once.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course import checks
from jaxopt_course.types import Schedule, as_schedule

__all__ = ["Stages", "from_decay", "stages"]


@dataclasses.dataclass(frozen=True)
class Stages:
    """A batch size for each pass over the data, for ``fit(..., batch_size=)``; made by :func:`stages` or :func:`from_decay`.

    Attributes:
        pairs: (batch size, how many passes over the data), one after the other; the last size holds for ever.
    """

    pairs: tuple[tuple[int, int], ...]

    @property
    def epochs(self) -> int:
        """Passes over the data, of all stages together."""
        return sum(epochs for _, epochs in self.pairs)

    def __call__(self, epoch: int) -> int:
        """The batch size of pass ``epoch``, from 0.

        Raises:
            TypeError, ValueError: ``epoch`` is not an integer >= 0.
        """
        checks.check_integer("batch_size", "epoch", epoch, minimum=0)
        ends = itertools.accumulate(epochs for _, epochs in self.pairs)
        return next((size for (size, _), end in zip(self.pairs, ends, strict=True) if epoch < end), self.pairs[-1][0])

    def __str__(self) -> str:
        return ", ".join(f"{size} for {epochs} epoch{'s' * (epochs > 1)}" for size, epochs in self.pairs)


def stages(pairs: Iterable[tuple[int, int]]) -> Stages:
    """Batch sizes from a list: so many passes over the data with each [C8].

    A stage covers whole passes, so that each of them sees all examples; in steps, a stage of e passes is e⌈n/m⌉.

    Args:
        pairs: (batch size m, epochs) of each stage. The last size holds for as long as the run is.

    Returns:
        What ``fit(..., batch_size=)`` takes. A run that is not told how long to be is as long as the stages are.

    Raises:
        TypeError, ValueError: no stages, no pairs, or a number that is not an integer >= 1.

    >>> grow = stages([(16, 2), (64, 1)])
    >>> [grow(epoch) for epoch in range(5)], str(grow)
    ([16, 16, 64, 64, 64], '16 for 2 epochs, 64 for 1 epoch')

    References:
        Smith, Kindermans, Ying and Le, Don't decay the learning rate, increase the batch size, ICLR 2018 [C8].
    """
    accepted = "pairs of a batch size and a number of epochs: [(32, 5), (64, 5)]"
    try:
        given = [tuple(pair) for pair in pairs]
    except TypeError:
        raise TypeError(f"batch_size.stages: stages must be {accepted}; got {pairs!r}") from None
    if not given or any(len(pair) != 2 for pair in given):
        raise ValueError(f"batch_size.stages: stages must be {accepted}; got {pairs!r}")
    check = lambda name, value: checks.check_integer("batch_size.stages", name, value)
    checked = [(check("batch size", size), check("epochs", epochs)) for size, epochs in given]
    merged = [(size, sum(e for _, e in group)) for size, group in itertools.groupby(checked, lambda pair: pair[0])]
    return Stages(tuple(merged))


def from_decay(
    schedule: Schedule | Callable[[Any], Any],
    batch_size: int,
    *,
    epochs: int,
    num_examples: int,
    maximum: int | None = None,
    drop_remainder: bool = False,
) -> Stages:
    """The batch sizes that do what a decay of the learning rate would do, at the constant rate α(0) [C8].

    m_e = m₀ α(0) / α(t_e), rounded to the nearest integer, at least 1, at most ``maximum``

    Args:
        schedule: α, a function of the step as the decayed run would count it, in batches of m₀. It is read where each pass
            begins, t_e = e⌈n/m₀⌉: a decay in the middle of a pass grows the batch at the next one.
        batch_size: m₀, where the run begins.
        epochs: how many passes over the data to plan for; the last size holds beyond.
        num_examples: n.
        maximum: no batch is larger, n by default. Where it holds the batch back, the noise no longer falls as it would:
            decay the rate from there on. Smith et al. stop at n/10.
        drop_remainder: as for ``fit``: whether a pass is ⌊n/m₀⌋ steps instead.

    Returns:
        What ``fit(..., batch_size=)`` takes, beside an optimizer of constant learning rate α(0).

    Raises:
        TypeError, ValueError: no schedule, integers or a switch that are not, or a rate that is not positive at step 0, or is
            negative or not a number later.

    >>> from jaxopt_course import schedules
    >>> halve = schedules.step(0.1, 0.6931472, 2 * 10)  # every two passes of 320 examples, 32 at a time
    >>> str(from_decay(halve, 32, epochs=7, num_examples=320, maximum=200))
    '32 for 2 epochs, 64 for 2 epochs, 128 for 2 epochs, 200 for 1 epoch'

    References:
        Smith, Kindermans, Ying and Le, Don't decay the learning rate, increase the batch size, ICLR 2018. Lecture 002.
    """
    where = "batch_size.from_decay"
    if not callable(schedule):
        raise TypeError(f"{where}: schedule must be a schedule (step → learning rate); got {schedule!r}")
    rule = as_schedule(where, "schedule", schedule)
    n = checks.check_integer(where, "num_examples", num_examples)
    size = checks.check_integer(where, "batch_size", batch_size, maximum=n)
    count = checks.check_integer(where, "epochs", epochs)
    most = n if maximum is None else checks.check_integer(where, "maximum", maximum, maximum=n)
    if most < size:
        raise ValueError(f"{where}: maximum must be at least the batch size {size}; got {maximum}")
    per_epoch = n // size if checks.check_bool(where, "drop_remainder", drop_remainder) else -(-n // size)
    rates = np.asarray(jax.vmap(rule)(jnp.arange(count) * per_epoch), np.float64)
    bad = ~(np.isfinite(rates) & (rates >= 0)) | (np.arange(count) == 0) & (rates <= 0)
    if bad.any():
        epoch = int(np.argmax(bad))
        accepted = "> 0" if epoch == 0 else ">= 0"
        raise ValueError(f"{where}: schedule must be a rate {accepted} at step {epoch * per_epoch}; it is {rates[epoch]:g}")
    with np.errstate(divide="ignore"):
        sizes = np.clip(np.rint(size * rates[0] / rates), 1, most)
    return stages((int(size), 1) for size in sizes)
