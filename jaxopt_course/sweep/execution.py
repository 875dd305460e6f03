"""Blocks of lanes, one after another: made, trained epoch by epoch, evaluated, recorded.

A block is as many lanes as fit the memory budget, by the compiled programs' own account. Every block of a group runs the same
program; the last one is filled up with repetitions, which are not recorded.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Generator, Iterator
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
from jaxopt_course.sweep.recipes import FixedProblem
from jaxopt_course.training import samplers
from jaxopt_course.training.progress import Progress
from jaxopt_course.training.state import as_key
from jaxopt_course.training.step import TrainState

__all__ = ["Runner"]

LOOK_EVERY = 0.5  # seconds of training between two looks
MOST_ROWS = 1024  # steps sent off at once
EXAMPLES = 512  # evaluated at a time, by each lane


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

    def run(self, bar: Progress, journal: Journal, number: int) -> Iterator[Record]:
        """Every epoch of every block that the journal does not have, as it is done; ``number`` is the group's."""
        size = journal.lanes(number, self.fitting)
        for places, starts, order in self._passes():
            for first in range(0, len(places), size):
                own = Pass(places[first:][:size], starts[first:][:size], order)
                carry = journal.carry(*self._cells(own))
                done = self.options.epochs if carry is None else carry.epoch
                bar.advance(done * self.plan.steps_per_epoch * len(own.places))
                if carry is not None:
                    yield from self.advance(self.begin(own, size, carry), self.options.epochs, bar)

    def _cells(self, own: Pass) -> tuple[np.ndarray, np.ndarray]:
        """Of the space and of the seeds, the positions of a pass's lanes."""
        seeds = own.starts if self.starts else np.full(len(own.places), own.order)
        return np.array(self.group.members)[own.places], seeds

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
        """How many lanes to train at a time: as many as fit, in blocks of one size."""
        return self._fitting(len(next(self._passes()).places))

    def _fitting(self, wanted: int) -> int:
        limit = min(wanted, self.options.lanes)
        while True:
            size = math.ceil(wanted / math.ceil(wanted / limit))
            needed = self.clock(self._bytes, size)
            if needed <= self.options.memory:
                return size
            if size == 1:
                raise ValueError(
                    f"sweep: memory must be at least {needed / 2**20:.1f} MiB, which one lane needs (data included); "
                    f"got {self.options.memory / 2**20:.1f} MiB"
                )
            limit = max(1, min(size - 1, int(size * self.options.memory / needed)))

    def _bytes(self, size: int) -> int:
        """What the compiled programs of so many lanes need at once, by their own account.

        They stay compiled: those of a run, all at the same time.
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
            diverged=of_each(jnp.int32), data=self.data.train, rows=self._rows(self.plan, 0, 1),
            shares=self._shares(self.plan, 0, 1), count=np.int32(1), **self.static,
        )  # fmt: skip
        splits = (self.data.validation, self.data.test) if self.options.evaluate else ()
        evaluations = [self._evaluation(evaluate_lanes.lower, lanes, state, data) for data in splits if data is not None]
        with ThreadPoolExecutor() as pool:
            compiled = pool.map(lambda program: program.compile(), [train, *evaluations, init])
            return max(_resident(program.memory_analysis()) for program in compiled)

    def begin(self, own: Pass, size: int, carry: Carry | None = None) -> Block:
        """A block of these lanes, filled up to a size, before its first epoch; or where an earlier call left it."""
        fill = filled(len(own.places), size)
        lanes = jax.tree.map(lambda leaf: leaf[own.places[fill]], self.group.lanes)
        state = self.clock(
            init_lanes, make=self.group.make, starts=self.starts, lanes=lanes, start=self._start(own.starts[fill]),
            key=self.keys[own.order][1], **self.static,
        )  # fmt: skip
        if carry is None or carry.state is None:
            return Block(own, size, state)
        leaves, structure = jax.tree.flatten(state)
        state = structure.unflatten(map(_like, jax.tree.leaves(carry.state), leaves))
        return Block(own, size, state, carry.epoch + 1, carry.diverged)

    def advance(self, block: Block, until: int, bar: Progress) -> Generator[Record, None, Block]:
        """Every epoch of a block up to one, as it is done; and the block then. The given one's state is used up."""
        own, size, state, begun, failed = block
        count = len(own.places)
        lanes = jax.tree.map(lambda leaf: leaf[own.places[filled(count, size)]], self.group.lanes)
        lanes = self.group.recipe.needs(lanes)
        plan = dataclasses.replace(self.plan, seed=self.order_seed(own.order))
        members, seeds = self._cells(own)
        diverged, finite = np.full(size, -1, np.int32) if failed is None else failed, np.ones(size, bool)
        for epoch in range(begun, until + 1):
            values = {}
            if epoch:
                state, values, diverged, finite = self._epoch(plan, epoch, lanes, state, diverged, bar, count)
            values |= self._evaluations(lanes, state, epoch, until)
            values, failed, finite = jax.device_get((values, diverged, finite))
            carry = Carry(epoch, state, diverged)
            values = {k: np.where((failed < 0) & finite, column, np.nan)[:count] for k, column in values.items()}
            if epoch == until:  # non-finite since the last step, whose loss did not see it
                failed = np.where((failed < 0) & ~finite, epoch * plan.steps_per_epoch, failed)
            yield Record(members, seeds, epoch, values, failed[:count], epoch == self.options.epochs, carry)
        return Block(own, size, state, until + 1)

    def _epoch(
        self, plan: samplers.Plan, epoch: int, lanes: Any, state: TrainState, diverged: Any, bar: Progress, count: int
    ) -> tuple[TrainState, dict[str, Any], Any, Any]:
        """One pass over the data, in pieces of about half a second."""
        totals: Any = {name: np.zeros(diverged.shape, jnp.result_type(float)) for name in self.names}
        finite, done, end = None, (epoch - 1) * plan.steps_per_epoch, epoch * plan.steps_per_epoch
        while done < end:
            began = time.perf_counter()
            steps = min(self.capacity, end - done, self.pace)
            state, totals, diverged, finite = self.clock(
                train_lanes,
                lanes=lanes,
                state=state,
                totals=totals,
                diverged=diverged,
                data=self.data.train,
                rows=self._rows(plan, done, steps),
                shares=self._shares(plan, done, steps),
                count=np.int32(steps),
                **self.static,
            )
            jax.block_until_ready(diverged)
            done += steps
            bar.advance(steps * count)
            self.pace = max(1, min(4 * self.pace, int(LOOK_EVERY * steps / (time.perf_counter() - began))))
        return state, totals, diverged, finite

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


def _resident(memory: Any) -> int:
    """Of a program's own account: arguments, results and temporaries, those that share memory once."""
    if memory is None:  # a backend that keeps none
        return 0
    kept = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return kept - memory.alias_size_in_bytes
