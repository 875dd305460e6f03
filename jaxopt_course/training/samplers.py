"""Which examples each step sees: batch, online and mini-batch descent in one code path [F1, F2].

A sampler gives an epoch's batches as rows of indices and weights, from a random generator alone, so an epoch's order depends
on nothing but the run's key and the epoch's number. Rows are drawn on the host, between chunks: it permutes 60 000 indices
in a millisecond, where a compiled sort takes forty, and nothing compiles.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from jaxopt_course import checks

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["Full", "Rows", "Sampler", "Sequential", "Shuffle", "Uniform", "full", "sequential", "shuffle", "uniform"]


class Rows(NamedTuple):
    """An epoch's batches. ``weights`` is None where every example counts 1/m."""

    indices: Int[np.ndarray, "steps batch"]
    weights: Float[np.ndarray, "steps batch"] | None


class Sampler(Protocol):
    """``order(rng, n)`` is the order in which an epoch visits the examples: n indices.

    ``fixed`` says that each epoch's order is the first one's. Your own class with these two is a sampler.
    """

    def order(self, rng: np.random.Generator, num_examples: int) -> Int[np.ndarray, " examples"]: ...

    @property
    def fixed(self) -> bool: ...


@dataclasses.dataclass(frozen=True)
class Shuffle:
    """See :func:`shuffle`."""

    reshuffle: bool = True

    @property
    def fixed(self) -> bool:
        return not self.reshuffle

    def order(self, rng: np.random.Generator, num_examples: int) -> Int[np.ndarray, " examples"]:
        return rng.permutation(np.arange(num_examples, dtype=np.int32))


@dataclasses.dataclass(frozen=True)
class Uniform:
    """See :func:`uniform`."""

    fixed: bool = dataclasses.field(default=False, init=False)

    def order(self, rng: np.random.Generator, num_examples: int) -> Int[np.ndarray, " examples"]:
        return rng.integers(num_examples, size=num_examples, dtype=np.int32)


@dataclasses.dataclass(frozen=True)
class Sequential:
    """See :func:`sequential`."""

    fixed: bool = dataclasses.field(default=True, init=False)

    def order(self, rng: np.random.Generator, num_examples: int) -> Int[np.ndarray, " examples"]:
        return np.arange(num_examples, dtype=np.int32)


@dataclasses.dataclass(frozen=True)
class Full(Sequential):
    """See :func:`full`."""


def shuffle(*, reshuffle: bool = True) -> Shuffle:
    """Draw without replacement until all is used; then again, in a new order [F2, F8].

    Args:
        reshuffle: a new order each epoch; False keeps the first epoch's.

    >>> rng = np.random.default_rng(0)
    >>> sorted(shuffle().order(rng, 5).tolist())
    [0, 1, 2, 3, 4]
    """
    return Shuffle(reshuffle)


def uniform() -> Uniform:
    """Draw uniformly with replacement: the samples of the theory [F2, F3]. An "epoch" is ⌈n/m⌉ batches.

    >>> uniform().order(np.random.default_rng(0), 5).tolist()
    [4, 3, 2, 1, 1]
    """
    return Uniform()


def sequential() -> Sequential:
    """The data's own order, every epoch.

    >>> sequential().order(np.random.default_rng(0), 5).tolist()
    [0, 1, 2, 3, 4]
    """
    return Sequential()


def full() -> Full:
    """All examples at every step: batch gradient descent [F1]. The batch size is n.

    >>> full().order(np.random.default_rng(0), 3).tolist()
    [0, 1, 2]
    """
    return Full()


@dataclasses.dataclass(frozen=True)
class Plan:
    """Batches for every step of a run: a sampler, sizes, and the seed.

    Attributes:
        sampler: gives each epoch's order.
        num_examples: n.
        batch_size: m, from 1 to n.
        drop_remainder: leave the last ragged batch out; otherwise it is padded, and its padding weighs 0.
        seed: integers from the run's key.
        _epochs: the epoch that was drawn last, which the next rows mostly belong to.
    """

    sampler: Sampler
    num_examples: int
    batch_size: int
    drop_remainder: bool = False
    seed: tuple[int, ...] = ()
    _epochs: dict[int, np.ndarray] = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def steps_per_epoch(self) -> int:
        whole, ragged = divmod(self.num_examples, self.batch_size)
        return whole + bool(ragged and not self.drop_remainder)

    @property
    def weighted(self) -> bool:
        return bool(self.num_examples % self.batch_size) and not self.drop_remainder

    def examples(self, steps: Int[np.ndarray, ...]) -> Int[np.ndarray, ...]:
        """Examples seen after so many steps."""
        epochs, rest = np.divmod(np.asarray(steps, np.int64), self.steps_per_epoch)
        per_epoch = min(self.steps_per_epoch * self.batch_size, self.num_examples)
        return epochs * per_epoch + rest * self.batch_size

    def rows(self, start: int, stop: int) -> Rows:
        """The batches of steps ``start`` to ``stop``.

        >>> Plan(sequential(), 5, 2).rows(1, 3).indices.tolist()
        [[2, 3], [4, 4]]
        """
        per_epoch = self.steps_per_epoch
        indices, position = [], start
        while position < stop:
            epoch, first = divmod(position, per_epoch)
            last = min(per_epoch, first + stop - position)
            indices.append(self._epoch(epoch)[first:last])
            position += last - first
        rows = np.concatenate(indices) if len(indices) > 1 else indices[0]
        if not self.weighted:
            return Rows(rows, None)
        count = np.where(
            np.arange(start, stop) % per_epoch == per_epoch - 1, self.num_examples % self.batch_size, self.batch_size
        )
        mask = np.arange(self.batch_size) < count[:, None]
        return Rows(rows, mask / count[:, None])

    def _epoch(self, number: int) -> Int[np.ndarray, "steps batch"]:
        number = 0 if self.sampler.fixed else number
        if number not in self._epochs:
            order = self.sampler.order(np.random.default_rng([*self.seed, number]), self.num_examples)
            needed = self.steps_per_epoch * self.batch_size
            padded = np.concatenate([order, np.repeat(order[-1:], max(0, needed - len(order)))])
            self._epochs.clear()
            self._epochs[number] = padded[:needed].reshape(self.steps_per_epoch, self.batch_size)
        return self._epochs[number]


def plan(
    where: str,
    sampler: Sampler | None,
    num_examples: int,
    batch_size: int | None,
    drop_remainder: bool = False,
    seed: tuple[int, ...] = (),
) -> Plan:
    """A checked :class:`Plan`: by default ``shuffle()`` and 32 examples, or all there are if those are fewer or wanted.

    Raises:
        TypeError, ValueError: the sampler is none, or the batch size is not an integer from 1 to n.
    """
    sampler = shuffle() if sampler is None else sampler
    if isinstance(sampler, type) or not hasattr(sampler, "order"):
        hint = " (call it: samplers.shuffle())" if callable(sampler) else ""
        raise TypeError(f"{where}: sampler must be one of jc.samplers; got {sampler!r}{hint}")
    if batch_size is None:
        batch_size = num_examples if isinstance(sampler, Full) else min(32, num_examples)
    size = checks.check_positive_integer(where, "batch_size", batch_size, maximum=num_examples)
    if isinstance(sampler, Full) and size != num_examples:
        raise ValueError(f"{where}: samplers.full() uses all {num_examples} examples at once; got batch_size={batch_size}")
    return Plan(sampler, num_examples, size, bool(drop_remainder), seed)
