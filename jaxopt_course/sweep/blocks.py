"""What a sweep is asked for, and what its lanes are called on their way."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from jaxopt_course.training import samplers
from jaxopt_course.training.step import TrainState

__all__ = ["Block", "Options", "Pass", "Vary", "filled"]

Vary = Literal["both", "initialization", "order"]


class Options(NamedTuple):
    """What ``sweep`` was asked for, besides problem, factory and space; checked.

    ``seeds`` and what they ``vary``; ``epochs``; ``evaluate`` each ``"epoch"``, or at the ``"end"``, or never (None);
    ``sampler``, ``drop_remainder``; at most ``lanes`` at a time, in ``memory`` bytes.
    """

    seeds: tuple[int, ...]
    vary: Vary
    epochs: int
    evaluate: Literal["epoch", "end"] | None
    sampler: samplers.Sampler | None
    drop_remainder: bool
    lanes: int
    memory: float


class Pass(NamedTuple):
    """Lanes that share their batches: each one's place in the group, where it starts, and the seed that orders the batches."""

    places: np.ndarray
    starts: np.ndarray
    order: int


class Block(NamedTuple):
    """Lanes on their way: which; filled up to how many; their state; the next epoch to record; where they diverged, if so."""

    own: Pass
    size: int
    state: TrainState
    epoch: int = 0
    diverged: Any = None


def filled(count: int, size: int) -> np.ndarray:
    """So many lanes, the last one repeated up to a size."""
    return np.minimum(np.arange(size), count - 1)
