"""What blocks report, epoch by epoch; and who takes it in, and knows what earlier calls of the same sweep have done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from jaxopt_course.sweep.blocks import Clock
    from jaxopt_course.sweep.results import Table

__all__ = ["Carry", "Journal", "Record", "is_key"]


class Record(NamedTuple):
    """What one epoch of one block brought.

    ``members`` of the space and ``seeds`` (by their positions), one of each for every lane; ``epoch``; ``values``, name →
    [lanes]; ``diverged``, [lanes], the step or −1; ``last``, whether the block is done; ``carry``, where the block stands.
    """

    members: np.ndarray
    seeds: np.ndarray
    epoch: int
    values: dict[str, np.ndarray]
    diverged: np.ndarray
    last: bool
    carry: Carry


class Carry(NamedTuple):
    """Where a block stands: after ``epoch``, with ``state`` and ``diverged`` of all its lanes, repetitions included.

    The next epoch takes their buffers. A ``state`` of None: it has not begun.
    """

    epoch: int = 0
    state: Any = None
    diverged: Any = None


class Journal:
    """Takes records into a table. It knows of no earlier call; :class:`~jaxopt_course.sweep.store.Store` does."""

    def __init__(self, table: Table, clock: Clock):
        self.table, self.clock = table, clock

    @property
    def seconds(self) -> tuple[float, float]:
        """Spent compiling, and running, in all calls."""
        return self.clock.compiling, self.clock.running

    def lanes(self, number: int, fitting: Callable[[], int]) -> int:
        """How many lanes the group with this number trains at a time; ``fitting`` finds it out."""
        return fitting()

    def carry(self, members: np.ndarray, seeds: np.ndarray) -> Carry | None:
        """Where the block of these lanes stands; None, if it is done."""
        return Carry()

    def add(self, record: Record) -> None:
        """Take in what one epoch of one block brought."""
        self.table.add(record)

    def close(self) -> None:
        """Nothing more will come."""


def is_key(leaf: Any) -> bool:
    """Whether a leaf is a typed JAX key, of which only the words can be kept."""
    return jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key)
