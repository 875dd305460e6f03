"""What blocks report, epoch by epoch; and who takes it in, and knows what earlier calls of the same sweep have done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxopt_course.sweep.results import Table
    from jaxopt_course.training.clock import Clock

__all__ = ["Carry", "Journal", "Record"]


class Record(NamedTuple):
    """What one epoch of some blocks that train together brought.

    ``members`` of the space and ``seeds`` (by their positions), one of each for every lane; ``epoch``; ``values``, name →
    [lanes]; ``diverged``, [lanes], the step or −1; ``last``, whether the blocks are done; ``carry``, where they stand.
    """

    members: np.ndarray
    seeds: np.ndarray
    epoch: int
    values: dict[str, np.ndarray]
    diverged: np.ndarray
    last: bool
    carry: Carry


class Carry(NamedTuple):
    """Where blocks stand: after ``epoch``, with the ``states`` and ``diverged`` of all their lanes, repetitions included.

    ``states`` is a tree, one after the other, whose buffers the next epoch takes; or its leaves, of an earlier call; or None:
    they have not begun.
    """

    epoch: int = 0
    states: Any = None
    diverged: Any = None


class Journal:
    """Takes records into a table. It knows of no earlier call; :class:`~jaxopt_course.sweep.store.Store` does."""

    def __init__(self, table: Table, clock: Clock):
        self.table, self.clock = table, clock

    @property
    def seconds(self) -> tuple[float, float]:
        """Spent compiling, and running, in all calls."""
        return self.clock.compiling, self.clock.running

    def lanes(self, number: int, fitting: Callable[..., int]) -> int:
        """How many lanes a block of the group with this number has; ``fitting`` finds it out."""
        return fitting()

    def carry(self, members: np.ndarray, seeds: np.ndarray) -> Carry | None:
        """Where the blocks of these lanes stand; None, if they are done."""
        return Carry()

    def add(self, record: Record) -> None:
        """Take in what one epoch brought."""
        self.table.add(record)

    def close(self) -> None:
        """Nothing more will come."""
