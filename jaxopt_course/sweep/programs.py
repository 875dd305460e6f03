"""What a group of configurations runs: the plan of its batches, its compiled programs, and the memory that they take."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course.problems.objective import num_examples
from jaxopt_course.sweep.blocks import Options, Pass
from jaxopt_course.sweep.flow import Flow, flow
from jaxopt_course.sweep.matching import Group, tracing
from jaxopt_course.sweep.population import average_lanes, evaluate_lanes, init_lanes, train_lanes
from jaxopt_course.sweep.recipes import FixedProblem
from jaxopt_course.training import samplers
from jaxopt_course.training.clock import Clock
from jaxopt_course.training.state import as_seed, split
from jaxopt_course.training.step import TrainState
from jaxopt_course.types import is_key

__all__ = ["Programs"]

MOST_ROWS = 1024  # steps sent off at once
EXAMPLES = 512  # evaluated at a time, by each lane
FEWEST = 8  # lanes that are worth a thread


def _check_plan(where: str, plan: samplers.Plan, problem: Any) -> None:
    """Raise where the lanes could not share their batches."""
    if plan.learns:
        raise ValueError(
            f"{where}: sampler must not learn from losses, as {type(plan.sampler).__name__} does: all configurations share "
            "their batches; give one of jc.samplers with fixed scores, or fit them one by one"
        )
    if not isinstance(plan.batch_size, int):
        raise ValueError(f"{where}: batch_size must be an integer, or an axis of the space; got a schedule of sizes")
    samplers.check_weights(where, plan, problem)


class Programs:
    """One group: its plan, what its lanes have in common, and its compiled programs."""

    def __init__(self, group: Group, options: Options, clock: Clock):
        self.group, self.options, self.clock = group, options, clock
        problem = group.problem
        self.data = jax.device_put(problem.data)
        self.starts = options.vary == "initialization" and len(options.seeds) > 1
        self.keys = [split(as_seed(group.where, seed)) for seed in options.seeds]  # for the start, for the run
        model_state = jax.eval_shape(problem.init, self.keys[0][0])[1]
        drop = options.drop_remainder or problem.objective.coupled or bool(jax.tree.leaves(model_state))
        n = num_examples(problem.data.train)
        self.plan = samplers.plan(group.where, options.sampler, n, group.batch_size, drop, data=problem.data.train)
        _check_plan(group.where, self.plan, problem)
        self.full = isinstance(self.plan.sampler, samplers.Full)
        per_epoch = self.plan.steps_per_epoch
        self.capacity = math.ceil(per_epoch / math.ceil(per_epoch / MOST_ROWS))
        self.pace = 8
        most = min(len(next(self._passes()).places), options.lanes)
        self.at_once = max(1, min(_cores(), most // FEWEST))  # blocks
        self.training: dict[int, Any] = {}  # train_lanes, compiled for blocks of a size
        with tracing(group.named, group.where):
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

    def _passes(self) -> Iterator[Pass]:
        members, seeds = np.arange(len(self.group.members)), np.arange(len(self.options.seeds))
        if self.options.vary == "initialization":
            yield Pass(np.repeat(members, len(seeds)), np.tile(seeds, len(members)), 0)
            return
        for seed in seeds:
            yield Pass(members, np.full(len(members), seed if self.options.vary == "both" else 0), int(seed))

    def fitting(self, size: int | None = None) -> int:
        """How many lanes a block has: as many as fit, in blocks of one size; or, given their size, as many blocks at once."""
        if size is None:
            return self._fitting(len(next(self._passes()).places), self.at_once)
        self.at_once = max(1, min(self.at_once, self.options.lanes // size))
        while self.at_once > 1 and self.clock(self._bytes, size) > self.options.memory:
            self.at_once -= 1
        return size

    def _fitting(self, wanted: int, together: int = 1) -> int:
        limit = max(1, min(wanted, self.options.lanes // self.at_once))
        while True:
            size = math.ceil(wanted / (together * math.ceil(wanted / (together * limit))))
            needed = self.clock(self._bytes, size)
            if needed <= self.options.memory:
                return size
            if size == self.at_once == 1:
                raise ValueError(
                    f"{self.group.where}: memory must be at least {math.ceil(needed):,} bytes, which one lane needs (data "
                    f"included); got {self.options.memory:,.0f}"
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
        self.training[size] = compiled[0]
        training, *others = (_besides(program.memory_analysis()) for program in compiled)
        kept = _size(self.data) + self.at_once * (_size(state) + _size(self.group.lanes) * size // len(self.group.members))
        return kept + max(self.at_once * training, *others)

    def _batches(self, plan: samplers.Plan, start: int, steps: int) -> dict[str, Any]:
        """What a training program takes besides its lanes, for so many steps."""
        count, rows, shares = np.int32(steps), self._rows(plan, start, steps), self._shares(plan, start, steps)
        return {"data": self.data.train, "rows": rows, "shares": shares, "count": count}

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
