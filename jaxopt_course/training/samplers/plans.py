"""Batches for every step of a run, epoch by epoch."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxopt_course import checks
from jaxopt_course.problems.objective import Problem
from jaxopt_course.schedules.batch_size import Stages
from jaxopt_course.training.samplers.orders import Full, shuffle
from jaxopt_course.types import Batch

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["Plan", "Rows", "check_weights", "plan"]


class Rows(NamedTuple):
    """Batches of consecutive steps.

    ``weights`` is None where every example counts 1/m; ``indices`` is None if a sampler that learns draws them in the loop.
    """

    indices: Int[np.ndarray, "steps batch"] | None
    weights: Float[np.ndarray, "steps batch"] | None


class Stage(NamedTuple):
    """Epochs of one batch size: where they begin, and what one of them is."""

    batch_size: Any
    epoch: Any
    step: Any
    example: Any
    steps_per_epoch: Any
    examples_per_epoch: Any


@dataclasses.dataclass(frozen=True)
class Plan:
    """Batches for every step of a run: a sampler, sizes, and the seed.

    Attributes:
        sampler: gives each epoch's order; or, one that learns, its batches.
        num_examples: n.
        batch_size: m, from 1 to n, or a schedule of sizes.
        drop_remainder: leave the last ragged batch out; otherwise it is padded, and its padding weighs 0.
        seed: integers from the run's key.
        _epochs: the epoch that was drawn last, which the next rows mostly belong to.
    """

    sampler: Any
    num_examples: int
    batch_size: int | Stages
    drop_remainder: bool = False
    seed: tuple[int, ...] = ()
    _epochs: dict[tuple[int, int], np.ndarray] = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    @functools.cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of the schedule; one, if the batch size never changes. The last has no end."""
        pairs = self.batch_size.pairs if isinstance(self.batch_size, Stages) else ((self.batch_size, 1),)
        out, epoch, step, example = [], 0, 0, 0
        for size, epochs in pairs:
            whole, ragged = divmod(self.num_examples, size)
            steps = whole + bool(ragged and not self.drop_remainder)
            examples = min(steps * size, self.num_examples)
            out.append(Stage(size, epoch, step, example, steps, examples))
            epoch, step, example = epoch + epochs, step + epochs * steps, example + epochs * examples
        return tuple(out)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides, with the seed, which examples a step sees."""
        return {
            "batch_size": self.batch_size if isinstance(self.batch_size, int) else str(self.batch_size),
            "drop_remainder": self.drop_remainder,
            "sampler": type(self.sampler).__name__,
            "num_examples": self.num_examples,
            "order of examples": self._digest(),
        }

    def _digest(self) -> str:
        """Of the sampler's numbers, if it draws in the loop; else of the first epoch, and whether the others are like it."""
        seen = self.sampler if self.learns else (self.rows(0, self.steps_per_epoch), bool(self.sampler.fixed))
        parts = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(seen)]
        return hashlib.sha256(b"".join(parts)).hexdigest()[:16]

    @property
    def steps_per_epoch(self) -> int:
        """Of the first stage."""
        return self.stages[0].steps_per_epoch

    @property
    def learns(self) -> bool:
        """Whether the sampler learns from losses, and draws in the loop."""
        return hasattr(self.sampler, "draw")

    @property
    def reweights(self) -> bool:
        """Whether examples of one batch weigh differently."""
        return self.learns or getattr(self.sampler, "factors", None) is not None

    @property
    def weighted(self) -> bool:
        """Whether the first stage's rows have weights."""
        return self.reweights or bool(self.stages[0].examples_per_epoch % self.stages[0].batch_size)

    def at(self, step: int) -> Stage:
        """The stage of the update after ``step`` updates."""
        return Stage(*map(int, self._stages(step)))

    def stage_end(self, step: int) -> float:
        """The step at which the stage of the update after ``step`` ends: infinity for the last one."""
        return next((stage.step for stage in self.stages if stage.step > step), float("inf"))

    def epoch_end(self, step: int) -> int:
        """The step at which the epoch of the update after ``step`` ends."""
        stage = self.at(step)
        return stage.step + ((step - stage.step) // stage.steps_per_epoch + 1) * stage.steps_per_epoch

    def steps(self, start: int, epochs: int) -> int:
        """How many steps ``epochs`` are, from step ``start``: begun in the middle of one, they end in the middle of one."""
        here = self.at(start)
        passed, rest = divmod(start - here.step, here.steps_per_epoch)
        epoch = here.epoch + passed + epochs
        there = next(stage for stage in reversed(self.stages) if stage.epoch <= epoch)
        part = -(-rest * there.steps_per_epoch // here.steps_per_epoch)
        return there.step + (epoch - there.epoch) * there.steps_per_epoch + part - start

    def epochs(self, steps: Int[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Epochs done after so many steps, parts of one included."""
        stage = self._stages(steps)
        return stage.epoch + (np.asarray(steps) - stage.step) / stage.steps_per_epoch

    def examples(self, steps: Int[np.ndarray, ...]) -> Int[np.ndarray, ...]:
        """Examples seen after so many steps."""
        stage = self._stages(steps)
        epochs, rest = np.divmod(np.asarray(steps, np.int64) - stage.step, stage.steps_per_epoch)
        return stage.example + epochs * stage.examples_per_epoch + rest * stage.batch_size

    def rows(self, start: int, stop: int) -> Rows:
        """The batches of steps ``start`` to ``stop``, which are of one size.

        >>> from jaxopt_course.training.samplers import sequential
        >>> Plan(sequential(), 5, 2).rows(1, 3).indices.tolist()
        [[2, 3], [4, 4]]
        """
        if stop > self.stage_end(start):
            raise ValueError(f"rows: the batch size changes at step {self.stage_end(start)}; got steps {start} to {stop}")
        stage = self.at(start)
        indices = None if self.learns else self._indices(stage, start, stop)
        ragged = stage.examples_per_epoch % stage.batch_size
        if not (ragged or self.reweights):
            return Rows(indices, None)
        last = (np.arange(start, stop) - stage.step + 1) % stage.steps_per_epoch == 0
        count = np.where(last & bool(ragged), ragged, stage.batch_size)[:, None]
        weights = (np.arange(stage.batch_size) < count) / count
        factors = getattr(self.sampler, "factors", None)
        return Rows(indices, weights if factors is None else weights * np.asarray(factors)[indices])

    def _stages(self, steps: Any) -> Stage:
        """The stage of each step, as a tuple of arrays; of numbers, if there is one only."""
        if len(self.stages) == 1:
            return self.stages[0]
        columns = Stage(*np.array(self.stages, np.int64).T)
        which = np.searchsorted(columns.step, np.asarray(steps), side="right") - 1
        return Stage(*(column[which] for column in columns))

    def _indices(self, stage: Stage, start: int, stop: int) -> Int[np.ndarray, "steps batch"]:
        indices, position = [], start
        while position < stop:
            epoch, first = divmod(position - stage.step, stage.steps_per_epoch)
            last = min(stage.steps_per_epoch, first + stop - position)
            indices.append(self._epoch(stage.epoch + epoch, stage)[first:last])
            position += last - first
        return np.concatenate(indices) if len(indices) > 1 else indices[0]

    def _epoch(self, number: int, stage: Stage) -> Int[np.ndarray, "steps batch"]:
        number = 0 if self.sampler.fixed else number
        if (number, stage.batch_size) not in self._epochs:
            order = self.sampler.order(np.random.default_rng([*self.seed, number]), self.num_examples)
            order = _checked_order(self.sampler, order, self.num_examples)
            needed = stage.steps_per_epoch * stage.batch_size
            padded = np.concatenate([order, np.repeat(order[-1:], max(0, needed - len(order)))])
            self._epochs.clear()
            self._epochs[number, stage.batch_size] = padded[:needed].reshape(stage.steps_per_epoch, stage.batch_size)
        return self._epochs[number, stage.batch_size]


def _checked_order(sampler: Any, order: Any, num_examples: int) -> Int[np.ndarray, " examples"]:
    """The order, if it is n indices of examples: the compiled loop gathers what it is told to, unchecked."""
    order = np.asarray(order)
    if order.shape != (num_examples,) or order.dtype.kind not in "iu":
        got = f"an array of dtype {order.dtype} and shape {order.shape}"
    elif (low := order.min()) < 0 or order.max() >= num_examples:
        got = f"{low if low < 0 else order.max()}"
    else:
        return order
    accepted = f"{num_examples} integers from 0 to {num_examples - 1}, one for each example"
    raise ValueError(f"sampler: {type(sampler).__name__}.order must return {accepted}; got {got}")


def plan(
    where: str,
    sampler: Any,
    num_examples: int,
    batch_size: int | Stages | None,
    drop_remainder: bool = False,
    seed: tuple[int, ...] = (),
    data: Batch = None,
) -> Plan:
    """A checked :class:`Plan`: by default ``shuffle()`` and 32 examples, or all there are if those are fewer or wanted.

    Raises:
        TypeError, ValueError: the sampler is none, or does not fit the data; a batch size is not an integer from 1 to n, or
            ``drop_remainder`` not a bool.
    """
    sampler = shuffle() if sampler is None else sampler
    if isinstance(sampler, type) or not (hasattr(sampler, "order") or hasattr(sampler, "draw")):
        hint = f" (call it: samplers.{getattr(sampler, '__name__', 'shuffle').lower()}())" if callable(sampler) else ""
        raise TypeError(f"{where}: sampler must be one of jc.samplers; got {sampler!r}{hint}")
    if not (hasattr(sampler, "fixed") or hasattr(sampler, "draw")):
        raise TypeError(f"{where}: a sampler needs fixed, whether each epoch's order is the first one's; got {sampler!r}")
    drop_remainder = checks.check_bool(where, "drop_remainder", drop_remainder)
    sampler = sampler.bind(where, data, num_examples) if hasattr(sampler, "bind") else sampler
    factors = getattr(sampler, "factors", None)
    if factors is not None and np.shape(factors) != (num_examples,):
        raise ValueError(f"{where}: sampler's factors must be {num_examples} numbers; got shape {np.shape(factors)}")
    if batch_size is None:
        batch_size = num_examples if isinstance(sampler, Full) else min(32, num_examples)
    if isinstance(batch_size, (list, tuple)):
        raise TypeError(
            f"{where}: batch_size must be an integer, or schedules.batch_size.stages(...); got {batch_size!r:.100}"
        )
    sizes = [size for size, _ in batch_size.pairs] if isinstance(batch_size, Stages) else [batch_size]
    sizes = [checks.check_integer(where, "batch_size", size, maximum=num_examples) for size in sizes]
    if isinstance(sampler, Full) and sizes != [num_examples]:
        raise ValueError(f"{where}: samplers.full() uses all {num_examples} examples at once; got batch_size={batch_size}")
    return Plan(sampler, num_examples, batch_size if isinstance(batch_size, Stages) else sizes[0], drop_remainder, seed)


def check_weights(where: str, plan: Plan, problem: Problem) -> None:
    """Raise if the plan weighs examples whose losses depend on their batch."""
    if plan.reweights and problem.objective.coupled:
        raise ValueError(
            f"{where}: sampler must not weigh the examples of {problem.name}, whose losses depend on their batch (a scalar "
            f"loss, batch statistics); got {type(plan.sampler).__name__}, which weighs each example's own loss"
        )
