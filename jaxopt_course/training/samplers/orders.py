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

    Raises:
        TypeError: ``reshuffle`` is no bool.

    >>> rng = np.random.default_rng(0)
    >>> sorted(shuffle().order(rng, 5).tolist())
    [0, 1, 2, 3, 4]

    References:
        Bottou, Curiously fast convergence of some stochastic gradient descent algorithms, 2009. Lecture 004 [F2, F8].
    """
    if not isinstance(reshuffle, (bool, np.bool_)):
        raise TypeError(f"samplers.shuffle: reshuffle must be True or False; got {reshuffle!r}")
    return Shuffle(bool(reshuffle))


def uniform() -> Uniform:
    """Draw uniformly with replacement: the samples of the theory [F2, F3]. An "epoch" is ⌈n/m⌉ batches.

    p_i = 1/n at each draw, so that a batch's mean gradient is ∇L in expectation

    Returns:
        A sampler.

    Raises:
        TypeError: it is given an argument.

    >>> uniform().order(np.random.default_rng(0), 5).tolist()
    [4, 3, 2, 1, 1]

    References:
        Robbins & Monro, A stochastic approximation method, 1951. Lecture 004 [F2, F3].
    """
    return Uniform()


def sequential() -> Sequential:
    """The data's own order, every epoch [F2].

    Where neighbours are alike (sorted by class, say), so are a batch's gradients, and its mean is far from ∇L: shuffle once.

    Returns:
        A sampler.

    Raises:
        TypeError: it is given an argument.

    >>> sequential().order(np.random.default_rng(0), 5).tolist()
    [0, 1, 2, 3, 4]

    References:
        Lecture 004 [F2].
    """
    return Sequential()


def full() -> Full:
    """All examples at every step: batch gradient descent [F1]. The batch size is n.

    Returns:
        A sampler.

    Raises:
        TypeError: it is given an argument. ``fit`` raises ValueError for a batch size other than n.

    >>> full().order(np.random.default_rng(0), 3).tolist()
    [0, 1, 2]

    References:
        Lecture 004, algorithm 2.1 [F1].
    """
    return Full()
