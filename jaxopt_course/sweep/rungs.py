"""A runner that stops at rungs: between two, the lanes that go on are closed up, so that nothing is computed for the others.

All rungs run blocks of one size, so a rung compiles nothing. Small blocks leave few lanes empty when few go on; large ones
make up better for what a step costs whatever its lanes: the size is the one that costs least in all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course.problems.objective import num_examples
from jaxopt_course.sweep.blocks import Block, Options, Pass, filled
from jaxopt_course.sweep.execution import Runner
from jaxopt_course.sweep.journal import Record
from jaxopt_course.sweep.matching import Group
from jaxopt_course.training.clock import Clock
from jaxopt_course.training.progress import Progress
from jaxopt_course.types import is_key

__all__ = ["Rung", "RungRunner", "block_size"]

# What a block's step costs whatever its lanes, and its epoch, in operations that could be done meanwhile.
STEP, EPOCH = 1e6, 4e7  # measured on two cores
ACCELERATOR = 1000  # times as many; estimated


class Rung(NamedTuple):
    """The part of the configurations that comes to it, 1 at first; and the epochs that they have trained at its end."""

    part: float
    until: int


class RungRunner(Runner):
    """One group; its lanes wait between rungs, in the host's memory."""

    def __init__(self, group: Group, options: Options, clock: Clock, rungs: Sequence[Rung]):
        super().__init__(group, options, clock)
        self.rungs, self.size = rungs, 0
        self.waiting = [Block(own, len(own.places), None) for own in self._passes()]  # type: ignore[arg-type]  # not begun

    def fit(self) -> None:
        """Settle the size of all blocks: the cheapest that the memory budget allows."""
        lanes = len(self.waiting[0].own.places)
        counts = [math.ceil(rung.part * lanes) for rung in self.rungs]
        epochs = np.diff([rung.until for rung in self.rungs], prepend=0)
        params, _ = jax.eval_shape(self.group.problem.init, self.keys[0][0])
        numbers = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
        work = 6 * max(1, numbers) * num_examples(self.data.train)  # a product forward and two backward, an addition each
        fixed = (STEP * self.plan.steps_per_epoch + EPOCH) * (1 if jax.default_backend() == "cpu" else ACCELERATOR)
        most = max(1, self.options.lanes // self.at_once)
        self.size = self._fitting(block_size(counts, epochs, 1 + fixed / work, most, self.at_once))

    @property
    def measured(self) -> list[str]:
        """What there is to rank by."""
        validated = self.options.evaluate is not None and self.data.validation is not None
        return [*self.names, *(f"validation_{name}" for name in self.names if validated)]

    def steps_to(self, until: int) -> int:
        """Of all waiting lanes together."""
        epochs = sum(len(block.own.places) * (until - max(0, block.epoch - 1)) for block in self.waiting)
        return epochs * self.plan.steps_per_epoch

    def train(self, until: int, bar: Progress) -> Iterator[Record]:
        """Every epoch of every waiting lane, as it is done."""
        for i, block in enumerate(self.waiting):
            parts, lanes = [], np.arange(len(block.own.places))
            for wave in _pieces(lanes, self.size * self.at_once):
                begun = [self._part(block, part, self.size) for part in _pieces(wave, self.size)]
                parts += map(self._parked, (yield from self.advance(begun, until, bar)))
            self.waiting[i] = self._joined(parts) if parts else block

    def keep(self, alive: np.ndarray) -> None:
        """Close up the lanes of those configurations of the space that go on."""
        for i, block in enumerate(self.waiting):
            lanes = np.flatnonzero(alive[np.array(self.group.members)[block.own.places]])
            self.waiting[i] = self._part(block, lanes, len(lanes)) if len(lanes) < len(block.own.places) else block

    def _part(self, block: Block, lanes: np.ndarray, size: int) -> Block:
        """Some lanes of a waiting block, filled up to a size; begun, if it was not."""
        own = Pass(block.own.places[lanes], block.own.starts[lanes], block.own.order)
        if block.state is None:
            return self.begin(own, size)
        taken = lanes[filled(len(lanes), size)]
        leaves, structure = jax.tree.flatten(block.state)
        copies = [leaf[taken] if varies else leaf.copy() for leaf, varies in self._flagged(leaves)]  # to be donated
        return Block(own, size, structure.unflatten(copies), block.epoch)

    def _parked(self, block: Block) -> Block:
        """A block that waits: on the host, without what filled it up."""
        count = len(block.own.places)
        leaves, structure = jax.tree.flatten(block.state)
        hosted = [_hosted(leaf)[:count] if varies else _hosted(leaf) for leaf, varies in self._flagged(leaves)]
        return Block(block.own, count, structure.unflatten(hosted), block.epoch)

    def _joined(self, parts: Sequence[Block]) -> Block:
        """Blocks that wait, as one; what has no lane axis is the same in all."""
        first = parts[0]
        places, starts = (np.concatenate(column) for column in zip(*(part.own[:2] for part in parts), strict=True))
        columns = zip(*(jax.tree.leaves(part.state) for part in parts), strict=True)
        joined = [_concatenated(column) if varies else column[0] for column, varies in self._flagged(columns)]
        state = jax.tree.unflatten(jax.tree.structure(first.state), joined)
        return Block(Pass(places, starts, first.own.order), len(places), state, first.epoch)

    def _flagged(self, leaves: Iterable[Any]) -> Iterator[tuple[Any, bool]]:
        """Each leaf of a state, and whether it has a lane axis."""
        return zip(leaves, self.flow.varying, strict=True)


def _pieces(lanes: np.ndarray, size: int) -> list[np.ndarray]:
    return [lanes[first:][:size] for first in range(0, len(lanes), size)]


def block_size(counts: Sequence[int], epochs: Sequence[int] | np.ndarray, overhead: float, most: int, at_once: int = 1) -> int:
    """The size S of blocks, of which K train at once, that costs least: min Σᵢ epochsᵢ · ⌈countᵢ / (K S)⌉ · (S + overhead).

    Args:
        counts, epochs: how many lanes each rung has, and for how long.
        overhead: what a step costs whatever its lanes, in lanes.
        most: the largest size.
        at_once: K.

    >>> [block_size([64, 21, 7, 2], [1, 2, 6, 18], overhead, most=128) for overhead in (1.0, 10.0, 1000.0)]
    [2, 7, 64]
    """
    sizes = np.arange(1, min(most, max(counts)) + 1)
    waves = np.ceil(np.divide.outer(np.asarray(counts), at_once * sizes))
    return int(sizes[np.argmin(np.asarray(epochs) @ waves * (sizes + overhead))])


def _hosted(leaf: jax.Array) -> Any:
    return leaf if is_key(leaf) else np.asarray(leaf)


def _concatenated(leaves: Sequence[Any]) -> Any:
    return jnp.concatenate(leaves) if is_key(leaves[0]) else np.concatenate(leaves)
