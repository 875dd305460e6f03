"""Blocks of lanes: made, trained epoch by epoch, evaluated, recorded.

A block is as many lanes as fit the memory budget, by the compiled programs' own account. Every block of a group runs the same
program; the last one is filled up with repetitions, which are not recorded. On a CPU, several blocks train at the same time,
each in a thread of its own: a small step is not worth being divided between cores, and whole blocks need no waiting.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course.sweep.blocks import Block, Pass, filled
from jaxopt_course.sweep.journal import Carry, Journal, Record
from jaxopt_course.sweep.population import evaluate_lanes, finite_lanes, init_lanes, train_lanes
from jaxopt_course.sweep.programs import Programs
from jaxopt_course.sweep.recipes import Lane
from jaxopt_course.training import samplers
from jaxopt_course.training.progress import Progress
from jaxopt_course.training.step import TrainState
from jaxopt_course.types import is_key

__all__ = ["Runner"]

LOOK_EVERY = 0.5  # seconds of training between two looks
FASTER = 16  # how many times more steps than before one look may wait for


class Runner(Programs):
    """One group's blocks, on their way through its programs."""

    @property
    def steps(self) -> int:
        """Of all runs together."""
        return self.options.epochs * self.plan.steps_per_epoch * len(self.group.members) * len(self.options.seeds)

    def run(self, bar: Progress, journal: Journal, size: int) -> Iterator[Record]:
        """Every epoch of every block that the journal does not have, as it is done; ``size`` is a block's."""
        for places, starts, order in self._passes():
            for first in range(0, len(places), size * self.at_once):
                within = [slice(i, i + size) for i in range(first, min(first + size * self.at_once, len(places)), size)]
                wave = [Pass(places[part], starts[part], order) for part in within]
                carry = journal.carry(*self._cells(*wave))
                done = self.options.epochs if carry is None else carry.epoch
                bar.advance(done * self.plan.steps_per_epoch * sum(len(own.places) for own in wave))
                if carry is not None:
                    blocks = [self.begin(own, size, carry, i) for i, own in enumerate(wave)]
                    yield from self.advance(blocks, self.options.epochs, bar)

    def _cells(self, *passes: Pass) -> tuple[np.ndarray, np.ndarray]:
        """Of the space and of the seeds, the positions of the lanes of passes."""
        seeds = [own.starts if self.starts else np.full(len(own.places), own.order) for own in passes]
        return np.array(self.group.members)[np.concatenate([own.places for own in passes])], np.concatenate(seeds)

    def order_seed(self, seed: int) -> tuple[int, ...]:
        """What a plan needs to know of the seed at this position."""
        return tuple(int(word) for word in np.ravel(jax.random.key_data(self.keys[seed][1])))

    def begin(self, own: Pass, size: int, carry: Carry | None = None, at: int = 0) -> Block:
        """A block of these lanes, filled up to a size, before its first epoch; or where an earlier call left number ``at``."""
        fill = filled(len(own.places), size)
        lanes = jax.tree.map(lambda leaf: leaf[own.places[fill]], self.group.lanes)
        state = self.clock(
            init_lanes, make=self.group.make, starts=self.starts, lanes=lanes, start=self._start(own.starts[fill]),
            key=self.keys[own.order][1], **self.static,
        )  # fmt: skip
        if carry is None or carry.states is None:
            return Block(own, size, state)
        leaves, structure = jax.tree.flatten(state)
        saved = carry.states[at * len(leaves) :][: len(leaves)]
        state = structure.unflatten(map(_like, saved, leaves))
        return Block(own, size, state, carry.epoch + 1, carry.diverged[at * size :][:size])

    def advance(self, blocks: Sequence[Block], until: int, bar: Progress) -> Generator[Record, None, list[Block]]:
        """Every epoch of some blocks up to one, as it is done; and the blocks then. The given ones' states are used up.

        They are at the same epoch, and share their batches.
        """
        own, sizes, states, (begun, *_), failed = zip(*blocks, strict=True)
        counts, size = [len(each.places) for each in own], sizes[0]
        recorded = np.concatenate([i * size + np.arange(count) for i, count in enumerate(counts)])
        lanes = [self._lanes(each, size) for each in own]
        plan = dataclasses.replace(self.plan, seed=self.order_seed(own[0].order))
        members, seeds = self._cells(*own)
        diverged = [np.full(size, -1, np.int32) if each is None else each for each in failed]
        for epoch in range(begun, until + 1):
            totals = {}
            if epoch:
                states, totals, diverged = self._epoch(plan, epoch, lanes, states, diverged, bar, sum(counts))
            values = [self._evaluations(*each, epoch, until) for each in zip(lanes, states, strict=True)]
            finite = np.concatenate([self._finite(state, size) for state in states])
            values, failed = jax.device_get((totals | _joined(values), np.concatenate(diverged)))
            carry = Carry(epoch, states, failed)
            values = {k: np.where((failed < 0) & finite, column, np.nan)[recorded] for k, column in values.items()}
            if epoch == until:  # non-finite since the last step, whose loss did not see it
                failed = np.where((failed < 0) & ~finite, epoch * plan.steps_per_epoch, failed)
            yield Record(members, seeds, epoch, values, failed[recorded], epoch == self.options.epochs, carry)
        return [Block(each, size, state, until + 1) for each, state in zip(own, states, strict=True)]

    def _lanes(self, own: Pass, size: int) -> Lane:
        """What a block's steps read of its lanes."""
        members = own.places[filled(len(own.places), size)]
        return self.group.recipe.needs(jax.tree.map(lambda leaf: leaf[members], self.group.lanes))

    def _epoch(
        self, plan: samplers.Plan, epoch: int, lanes: Sequence[Lane], states: Any, diverged: Any, bar: Progress, count: int
    ) -> tuple[Sequence[TrainState], dict[str, Any], Sequence[Any]]:
        """One pass of some blocks over the data, in pieces of about half a second."""
        zeros = lambda: {name: np.zeros(diverged[0].shape, jnp.result_type(float)) for name in self.names}
        blocks = jax.device_put(
            [
                {"lanes": own, "state": state, "totals": zeros(), "diverged": failed}
                for own, state, failed in zip(lanes, states, diverged, strict=True)
            ]
        )
        done, end = (epoch - 1) * plan.steps_per_epoch, epoch * plan.steps_per_epoch
        while done < end:
            began = time.perf_counter()
            steps = min(self.capacity, end - done, self.pace)
            blocks = self._trained(blocks, jax.device_put(self._batches(plan, done, steps)))
            done += steps
            bar.advance(steps * count)
            self.pace = max(1, min(FASTER * self.pace, int(LOOK_EVERY * steps / (time.perf_counter() - began))))
        states, totals, diverged = ([block[name] for block in blocks] for name in ("state", "totals", "diverged"))
        return states, _joined(totals), diverged

    def _trained(self, blocks: Sequence[dict[str, Any]], batches: dict[str, Any]) -> list[dict[str, Any]]:
        """Some blocks after some steps, all at once."""
        size = len(blocks[0]["diverged"])
        if size not in self.training:  # compiled here: a thread would not see what the caller set JAX to
            self.training[size] = self.clock(lambda: train_lanes.lower(**blocks[0], **batches, **self.static).compile())

        def train(block: dict[str, Any]) -> dict[str, Any]:
            state, totals, diverged = jax.block_until_ready(self.training[size](**block, **batches))
            return block | {"state": state, "totals": totals, "diverged": diverged}

        return list(map(train, blocks) if len(blocks) == 1 else _threads(self.at_once).map(train, blocks))

    def _finite(self, state: TrainState, size: int) -> np.ndarray:
        varying = self.flow.varying[: len(jax.tree.leaves(state.params))]
        return np.asarray(self.clock(finite_lanes, varying, state.params, size=size))

    def _evaluations(self, lanes: Any, state: TrainState, epoch: int, until: int) -> dict[str, Any]:
        """``validation_…``, and at the very end ``test_…``."""
        wanted = self.options.evaluate == "epoch" or (self.options.evaluate == "end" and epoch == until)
        splits = ("validation", "test") if epoch == self.options.epochs else ("validation",)
        found = {}
        for split in splits if wanted else ():
            if (data := getattr(self.data, split)) is not None:
                values = self.clock(self._evaluation, evaluate_lanes, lanes, state, data)
                found |= {f"{split}_{name}": value for name, value in values.items()}
        return found


@functools.cache
def _threads(count: int) -> ThreadPoolExecutor:
    """One for each block that trains at the same time."""
    return ThreadPoolExecutor(count)


def _like(saved: Any, leaf: jax.Array) -> jax.Array:
    """A saved leaf as one of its kind; of a key, what is saved are its words."""
    own = jax.device_put(saved, may_alias=False)  # the next step takes its buffer
    return jax.random.wrap_key_data(own, impl=jax.random.key_impl(leaf)) if is_key(leaf) else own


def _joined(blocks: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Columns of values, one block after the other."""
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
