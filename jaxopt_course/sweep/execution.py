"""Blocks of lanes: made, trained epoch by epoch, evaluated, recorded.

A block is as many lanes as fit the memory budget, by the compiled programs' own account. Every block of a group runs the same
program; the last one is filled up with repetitions, which are not recorded. On a CPU, several blocks train at the same time,
each in a thread of its own: a small step is not worth being divided between cores, and whole blocks need no waiting.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course.problems.objective import num_examples
from jaxopt_course.sweep.blocks import Block, Clock, Options, Pass, filled
from jaxopt_course.sweep.flow import Flow, flow
from jaxopt_course.sweep.journal import Carry, Journal, Record, is_key
from jaxopt_course.sweep.matching import Group, tracing
from jaxopt_course.sweep.population import average_lanes, evaluate_lanes, init_lanes, train_lanes
from jaxopt_course.sweep.recipes import FixedProblem, Lane
from jaxopt_course.training import samplers
from jaxopt_course.training.progress import Progress
from jaxopt_course.training.state import as_key
from jaxopt_course.training.step import TrainState

__all__ = ["Runner"]

LOOK_EVERY = 0.5  # seconds of training between two looks
MOST_ROWS = 1024  # steps sent off at once
EXAMPLES = 512  # evaluated at a time, by each lane
FEWEST = 8  # lanes that are worth a thread


def _check_plan(plan: samplers.Plan, problem: Any) -> None:
    """Raise where the lanes could not share their batches."""
    if plan.learns:
        raise ValueError(
            f"sweep: sampler must not learn from losses, as {type(plan.sampler).__name__} does: all configurations share "
            "their batches; give one of jc.samplers with fixed scores, or fit them one by one"
        )
    if not isinstance(plan.batch_size, int):
        raise ValueError("sweep: batch_size must be an integer, or an axis of the space; got a schedule of sizes")
    samplers.check_weights("sweep", plan, problem)


class Runner:
    """One group: its plan, what its lanes have in common, and its compiled programs."""

    def __init__(self, group: Group, options: Options, clock: Clock):
        self.group, self.options, self.clock = group, options, clock
        problem = group.problem
        self.data = jax.device_put(problem.data)
        self.starts = options.vary == "initialization" and len(options.seeds) > 1
        self.keys = [tuple(jax.random.split(as_key("sweep", seed))) for seed in options.seeds]  # for the start, for the run
        model_state = jax.eval_shape(problem.init, self.keys[0][0])[1]
        drop = options.drop_remainder or problem.objective.coupled or bool(jax.tree.leaves(model_state))
        n = num_examples(problem.data.train)
        self.plan = samplers.plan("sweep", options.sampler, n, group.batch_size, drop, data=problem.data.train)
        _check_plan(self.plan, problem)
        self.full = isinstance(self.plan.sampler, samplers.Full)
        per_epoch = self.plan.steps_per_epoch
        self.capacity = math.ceil(per_epoch / math.ceil(per_epoch / MOST_ROWS))
        self.pace = 8
        most = min(len(next(self._passes()).places), options.lanes)
        self.at_once = max(1, min(_cores(), most // FEWEST))  # blocks
        self.program: Any = None  # train_lanes, compiled
        with tracing(group.named):
            self.example = self._example()
            self.flow = self._flow()
        self.static = {"recipe": group.recipe, "varying": self.flow.varying}
        self.names = [name for name in self.flow.records if name != "objective" or self._regularized()]

    def _example(self) -> Any:
        """(lane, start, key, batch, weights) of one lane, as shapes."""
        size, dtype = self.plan.batch_size, jnp.result_type(float)
        batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype), self.data.train)
        weights = jax.ShapeDtypeStruct((size,), dtype) if self.plan.weighted and not self.full else None
        lane = jax.tree.map(lambda leaf: leaf[0], self.group.lanes)
        start = self._start(np.zeros(1, int))
        start = jax.tree.map(lambda leaf: leaf[0], start) if self.starts else start
        shape = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
        return jax.tree.map(shape, (lane, start, self.keys[0][1], batch, weights))

    def _flow(self) -> Flow:
        leaves, structure = jax.tree.flatten(self.example)
        return flow(self.group.recipe, self.group.make, self.starts, structure, tuple(leaves))

    def _regularized(self) -> bool:
        fixed = isinstance(self.group.recipe.problem, FixedProblem)
        return (self.group.lanes.regularizer if fixed else self.group.problem.regularizer) is not None

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

    def _passes(self) -> Iterator[Pass]:
        members, seeds = np.arange(len(self.group.members)), np.arange(len(self.options.seeds))
        if self.options.vary == "initialization":
            yield Pass(np.repeat(members, len(seeds)), np.tile(seeds, len(members)), 0)
            return
        for seed in seeds:
            yield Pass(members, np.full(len(members), seed if self.options.vary == "both" else 0), int(seed))

    def fitting(self) -> int:
        """How many lanes a block has: as many as fit, in blocks of one size."""
        return self._fitting(len(next(self._passes()).places), self.at_once)

    def _fitting(self, wanted: int, together: int = 1) -> int:
        limit = max(1, min(wanted, self.options.lanes // self.at_once))
        while True:
            size = math.ceil(wanted / (together * math.ceil(wanted / (together * limit))))
            needed = self.clock(self._bytes, size)
            if needed <= self.options.memory:
                return size
            if size == self.at_once == 1:
                raise ValueError(
                    f"sweep: memory must be at least {math.ceil(needed):,} bytes, which one lane needs (data included); "
                    f"got {self.options.memory:,.0f}"
                )
            if size == 1:
                self.at_once = together = 1
            limit = max(1, min(size - 1, int(size * self.options.memory / needed)))

    def _bytes(self, size: int) -> int:
        """What as many blocks of so many lanes as train at once need: all data, all states, and what a program takes besides.

        By the programs' own account. They stay compiled: those of a run, all at the same time.
        """
        shape = lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype)
        lanes = jax.tree.map(shape, self.group.lanes)
        start = jax.tree.map(shape, self._start(np.zeros(1, int))) if self.starts else self._start(np.zeros(1, int))
        init = init_lanes.lower(
            make=self.group.make, starts=self.starts, lanes=lanes, start=start, key=self.keys[0][1], **self.static
        )
        state, lanes = init.out_info, self.group.recipe.needs(lanes)
        of_each = lambda dtype: jax.ShapeDtypeStruct((size,), dtype)
        train = train_lanes.lower(
            lanes=lanes, state=state, totals={name: of_each(jnp.result_type(float)) for name in self.names},
            diverged=of_each(jnp.int32), **self._batches(self.plan, 0, 1), **self.static,
        )  # fmt: skip
        splits = (self.data.validation, self.data.test) if self.options.evaluate else ()
        evaluations = [self._evaluation(evaluate_lanes.lower, lanes, state, data) for data in splits if data is not None]
        with ThreadPoolExecutor() as pool:
            compiled = list(pool.map(lambda program: program.compile(), [train, init, *evaluations]))
        training, *others = (_besides(program.memory_analysis()) for program in compiled)
        kept = _size(self.data) + self.at_once * (_size(state) + _size(self.group.lanes) * size // len(self.group.members))
        return kept + max(self.at_once * training, *others)

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
        finite = np.ones(size * len(blocks), bool)
        for epoch in range(begun, until + 1):
            totals = {}
            if epoch:
                states, totals, diverged, finite = self._epoch(plan, epoch, lanes, states, diverged, bar, sum(counts))
            values = [self._evaluations(*each, epoch, until) for each in zip(lanes, states, strict=True)]
            values, failed, finite = jax.device_get((totals | _joined(values), np.concatenate(diverged), finite))
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
    ) -> tuple[Sequence[TrainState], dict[str, Any], Sequence[Any], Any]:
        """One pass of some blocks over the data, in pieces of about half a second."""
        zeros = lambda: {name: np.zeros(diverged[0].shape, jnp.result_type(float)) for name in self.names}
        blocks = [(state, zeros(), failed, None) for state, failed in zip(states, diverged, strict=True)]
        done, end = (epoch - 1) * plan.steps_per_epoch, epoch * plan.steps_per_epoch
        while done < end:
            began = time.perf_counter()
            steps = min(self.capacity, end - done, self.pace)
            blocks = self._trained(lanes, blocks, self._batches(plan, done, steps))
            done += steps
            bar.advance(steps * count)
            self.pace = max(1, min(4 * self.pace, int(LOOK_EVERY * steps / (time.perf_counter() - began))))
        states, totals, diverged, finite = zip(*blocks, strict=True)
        return states, _joined(totals), diverged, np.concatenate(finite)

    def _trained(self, lanes: Sequence[Lane], blocks: Sequence[Any], batches: dict[str, Any]) -> list[Any]:
        """Some blocks after some steps, all at once."""
        arguments = [
            jax.device_put({"lanes": own, "state": state, "totals": totals, "diverged": diverged, **batches})
            for own, (state, totals, diverged, _) in zip(lanes, blocks, strict=True)
        ]
        if self.program is None:  # compiled here: a thread would not see what the caller set JAX to
            self.program = self.clock(lambda: train_lanes.lower(**arguments[0], **self.static).compile())
        train = lambda own: jax.block_until_ready(self.program(**own))
        return list(map(train, arguments) if len(arguments) == 1 else self.threads.map(train, arguments))

    @functools.cached_property
    def threads(self) -> ThreadPoolExecutor:
        """One for each block that trains at the same time."""
        return ThreadPoolExecutor(self.at_once)

    def _batches(self, plan: samplers.Plan, start: int, steps: int) -> dict[str, Any]:
        """What a training program takes besides its lanes, for so many steps."""
        count, rows, shares = np.int32(steps), self._rows(plan, start, steps), self._shares(plan, start, steps)
        return {"data": self.data.train, "rows": rows, "shares": shares, "count": count}

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

    def _evaluation(self, call: Callable[..., Any], lanes: Any, state: TrainState, data: Any) -> Any:
        """``call`` is the compiled evaluation, or its ``lower``."""
        problem, (params, model_state, *_) = self.group.recipe.problem, state
        varying = self.flow.varying[: len(jax.tree.leaves((params, model_state)))]
        if self.flow.averages:
            average = average_lanes if call is evaluate_lanes else average_lanes.eval_shape
            params = average(lanes=lanes, state=state, **self.static)
            varying = tuple(True for _ in jax.tree.leaves(params)) + varying[len(jax.tree.leaves(params)) :]
        lanes = self.group.recipe.needs(lanes, step=False)
        size = min(EXAMPLES, num_examples(data))
        return call(problem=problem, varying=varying, lanes=lanes, model=(params, model_state), data=data, batch_size=size)

    def _start(self, starts: np.ndarray) -> Any:
        """What lanes start from, with a lane axis if they differ: parameters and model state, or keys."""
        keys = [self.keys[seed][0] for seed in (starts if self.starts else starts[:1])]
        if isinstance(self.group.recipe.problem, FixedProblem):
            made = {id(key): self.group.problem.init(key) for key in keys}
            keys = [made[id(key)] for key in keys]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *keys) if self.starts else keys[0]

    def _rows(self, plan: samplers.Plan, start: int, steps: int) -> Any:
        if self.full:
            return None
        rows = plan.rows(start, start + steps)
        return jax.tree.map(lambda x: self._padded(x, jax.dtypes.canonicalize_dtype(x.dtype)), rows)

    def _shares(self, plan: samplers.Plan, start: int, steps: int) -> np.ndarray:
        """Each step's share of its epoch's examples."""
        seen = plan.examples(np.arange(start, start + steps + 1))
        return self._padded(np.diff(seen) / plan.examples(np.array(plan.steps_per_epoch)), jnp.result_type(float))

    def _padded(self, rows: np.ndarray, dtype: Any) -> np.ndarray:
        out = np.zeros((self.capacity, *rows.shape[1:]), dtype)
        out[: len(rows)] = rows
        return out


def _like(saved: Any, leaf: jax.Array) -> jax.Array:
    """A saved leaf as one of its kind; of a key, what is saved are its words."""
    own = jax.device_put(saved, may_alias=False)  # the next step takes its buffer
    return jax.random.wrap_key_data(own, impl=jax.random.key_impl(leaf)) if is_key(leaf) else own


def _joined(blocks: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Columns of values, one block after the other."""
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _size(tree: Any) -> int:
    """In bytes."""
    words = lambda leaf: jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in map(words, jax.tree.leaves(tree)))


def _besides(memory: Any) -> int:
    """By a program's own account, what it takes besides what it is given: results and temporaries."""
    if memory is None:  # a backend that keeps none
        return 0
    return memory.output_size_in_bytes + memory.temp_size_in_bytes - memory.alias_size_in_bytes


def _cores() -> int:
    """How many blocks can train at the same time: on an accelerator, one fills it."""
    if jax.default_backend() != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
