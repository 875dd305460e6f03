"""Batch, online and mini-batch descent in one code path: orders that weigh every example alike [F1, F2]."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int

__all__ = ["Full", "Sampler", "Sequential", "Shuffle", "Uniform", "full", "sequential", "shuffle", "uniform"]


class Sampler(Protocol):
    """``order(rng, n)`` is the order in which an epoch visits the examples: n indices.

    ``fixed`` says that each epoch's order is the first one's. Your own class with these two is a sampler; with ``factors``,
    [n] numbers that multiply the examples' weights in their batch, it is one that reweights.
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

    Returns:
        A sampler.

    >>> rng = np.random.default_rng(0)
    >>> sorted(shuffle().order(rng, 5).tolist())
    [0, 1, 2, 3, 4]
    """
    return Shuffle(reshuffle)


def uniform() -> Uniform:
    """Draw uniformly with replacement: the samples of the theory [F2, F3]. An "epoch" is ⌈n/m⌉ batches.

    Returns:
        A sampler.

    >>> uniform().order(np.random.default_rng(0), 5).tolist()
    [4, 3, 2, 1, 1]
    """
    return Uniform()


def sequential() -> Sequential:
    """The data's own order, every epoch.

    Returns:
        A sampler.

    >>> sequential().order(np.random.default_rng(0), 5).tolist()
    [0, 1, 2, 3, 4]
    """
    return Sequential()


def full() -> Full:
    """All examples at every step: batch gradient descent [F1]. The batch size is n.

    Returns:
        A sampler.

    >>> full().order(np.random.default_rng(0), 3).tolist()
    [0, 1, 2]
    """
    return Full()
