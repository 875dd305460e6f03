"""One call of ``fit``: chunks go off to the device, and the host looks at what came back about twice a second.

Chunks queue up without waiting for each other. A criterion that fires inside one makes those behind it do nothing, so the
state is always the one at the very step that stopped the run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import optax

from jaxopt_course.probes.definition import Probe
from jaxopt_course.problems.objective import Problem
from jaxopt_course.training import stopping
from jaxopt_course.training.checkpoint import Saver
from jaxopt_course.training.chunk import run_chunk
from jaxopt_course.training.clock import Clock
from jaxopt_course.training.history import Log
from jaxopt_course.training.progress import Progress
from jaxopt_course.training.result import Moment, NonFiniteError, Result, evaluate_split
from jaxopt_course.training.samplers import Full, Plan
from jaxopt_course.training.step import Program, TrainState, takes_extra_arguments
from jaxopt_course.transform import eval_params, hyperparams
from jaxopt_course.types import ModelState, Params

__all__ = ["Options", "Run"]

LOOK_EVERY = 0.5  # seconds of training between two looks
LONGEST = 1024  # steps in a chunk
MOST_INDICES = 2**15  # sent with a chunk
FIRST = 16  # steps that the first look waits for, if nobody attends
FASTER = 16  # how many times more steps than before one look may wait for: the first times are unsure


class Options(NamedTuple):
    """What ``fit`` was asked for, besides the problem and the optimizer; checked.

    ``steps`` to do; ``interval`` of evaluations and callbacks, in steps or "epoch" (0: none, and whenever the host looks);
    ``criteria`` to stop; ``callbacks``; ``nonfinite``; ``probes`` by name; who saves the state, if anybody.
    """

    steps: int
    interval: int | Literal["epoch"]
    criteria: tuple[Any, ...]
    callbacks: tuple[Callable[[Moment], Any], ...]
    nonfinite: str
    probes: dict[str, Probe]
    saver: Saver | None = None


class _Chunk(NamedTuple):
    """A chunk that was sent off: arrays that the host has not waited for."""

    steps: int
    records: dict[str, Any]
    done: Any
    fired: Any
    evaluation: dict[str, Any] | None


@dataclasses.dataclass
class _Best:
    """The best evaluation so far, and how many there were since."""

    criterion: stopping.EarlyStopping
    value: float = float("nan")
    since: int = 0
    kept: tuple[Params, ModelState] | None = None

    def see(self, value: float, params: Params, model_state: ModelState) -> bool:
        """Take note of an evaluation; whether patience is at an end."""
        if self.criterion.better(value, self.value):
            self.value, self.since, self.kept = value, 0, _copied((params, model_state))
        else:
            self.since += 1
        return self.since >= self.criterion.patience


class Run:
    """A run's state, its log, and the queue of chunks that the host has not looked at."""

    def __init__(
        self,
        problem: Problem,
        optimizer: optax.GradientTransformation,
        plan: Plan,
        state: TrainState,
        options: Options,
        bar: Progress,
    ):
        self.problem, self.plan, self.state, self.options, self.bar = problem, plan, state, options, bar
        self.train_data, self.validation_data = jax.device_put((problem.data.train, problem.data.validation))
        self.program = Program(problem.objective, optimizer.update, takes_extra_arguments(optimizer))
        self.watched = options.nonfinite != "continue"
        self.in_step = tuple(c for c in options.criteria if hasattr(c, "observe"))
        self.in_step = (stopping.NonFinite(), *self.in_step) if self.watched else self.in_step
        self.memory = tuple(criterion.start() for criterion in self.in_step)
        self.fired: Any = np.int32(-1)
        self.best = next((_Best(c) for c in options.criteria if isinstance(c, stopping.EarlyStopping)), None)
        self.seconds = min((c.seconds for c in options.criteria if isinstance(c, stopping.Budget)), default=float("inf"))
        self.first = self.here = int(state.step)  # steps done, those of earlier runs included: before this run; so far
        self.called, self.end = self.first, self.first + options.steps
        constants = {k: np.array(v) for k, v in hyperparams(state.opt_state).items()}
        self.log = Log(plan, self.first, constants, {name: probe.attributes for name, probe in options.probes.items()})
        self.sampler = plan.sampler if plan.learns else None
        self.queue: list[_Chunk] = []
        attended = options.callbacks or bar.enabled or np.isfinite(self.seconds)
        self.pace = 1 if attended else FIRST
        self.stopped, self.failed = "", False
        self.clock, self.run_seconds = Clock(), 0.0
        self.looked = self.clock.running

    def train(self) -> Result:
        """Chunks until done; a look now and then."""
        interval, sent = self.options.interval, self.first
        if interval and sent == 0:
            evaluation = {} if self.validation_data is None else jax.device_get(self.clock(self._validate))
            if evaluation:
                self._see(evaluation)
            self._call_back(evaluation)
            self.looked = self.clock.running
        while sent < self.end and not self.stopped:
            until = self._next(sent)
            waiting = sum(chunk.steps for chunk in self.queue)
            stage_end = self.plan.stage_end(sent)  # a chunk has batches of one size
            count = min(self._capacity(sent), int(min(until, stage_end)) - sent, self.pace - waiting)
            sent += count
            at_interval = bool(interval) and sent == until
            self.clock(self._send, sent - count, count, at_interval and self.validation_data is not None)
            attended = at_interval and (self.best or self.options.callbacks)
            if attended or waiting + count == self.pace or sent in (self.end, stage_end):
                self._look(call_back=at_interval or not interval)
        return self._finish()

    def _next(self, step: int) -> int:
        """The next step to evaluate at, and to call back; or the last."""
        interval = self.options.interval
        if not interval:
            return self.end
        return min(self.end, self.plan.epoch_end(step) if interval == "epoch" else (step // interval + 1) * interval)

    def _capacity(self, step: int) -> int:
        """Steps that a chunk has room for: a power of two, of the batch size alone."""
        full = isinstance(self.plan.sampler, Full)
        rows = LONGEST if full else max(1, min(LONGEST, MOST_INDICES // self.plan.at(step).batch_size))
        return 1 << (rows.bit_length() - 1)

    def _send(self, start: int, count: int, evaluating: bool) -> None:
        capacity = self._capacity(start)
        self.state, self.memory, records, done, self.fired = run_chunk(
            self.program, self.state, self.train_data, self.problem.regularizer, self.in_step, self.memory,
            self._rows(start, count, capacity), np.int32(count), self.fired, self.sampler, self.options.probes,
            capacity=capacity,
        )  # fmt: skip
        self.queue.append(_Chunk(count, records, done, self.fired, self._validate() if evaluating else None))

    def _rows(self, start: int, count: int, capacity: int) -> Any:
        if isinstance(self.plan.sampler, Full):
            return None

        def padded(rows):
            out = np.zeros((capacity, *rows.shape[1:]), jax.dtypes.canonicalize_dtype(rows.dtype))
            out[:count] = rows
            return out

        return jax.tree.map(padded, self.plan.rows(start, start + count))

    def _validate(self) -> dict[str, jax.Array]:
        return evaluate_split(self.problem, self._params(), self.state.model_state, self.validation_data)

    def _params(self) -> Params:
        return eval_params(self.state.opt_state, self.state.params)

    def _look(self, call_back: bool) -> None:
        """Wait for the queue; log what it brought; decide whether to stop."""
        queue, self.queue = jax.device_get(self.queue), []
        now = self.clock.running
        spent, before, evaluation = now - self.looked, self.here, {}
        self.run_seconds, self.looked = self.run_seconds + spent, now
        for chunk in queue:
            done = int(chunk.done)
            self.here += done
            if done:
                self.log.steps.append({name: values[:done] for name, values in chunk.records.items()})
            if chunk.evaluation is not None and done == chunk.steps:
                evaluation = chunk.evaluation
                self._see(evaluation)
            if chunk.fired >= 0 and not self.stopped:
                self._fire(self.in_step[int(chunk.fired)])
        self.log.clock.append((self.here, self.run_seconds))
        steps = self.here - before
        ahead = min(LOOK_EVERY, self.seconds - self.run_seconds)
        self.pace = max(1, min(FASTER * steps, int(ahead * steps / max(spent, 1e-9))))
        shown = {"loss": self.log.last("loss"), "rate": self.log.last("learning_rate")}
        self.bar.advance(steps, **{name: value for name, value in shown.items() if value is not None})
        if self.run_seconds >= self.seconds and self.here < self.end:
            self.stopped = self.stopped or f"{self.seconds:g} s spent"
        if call_back and not self.failed and all(chunk.done == chunk.steps for chunk in queue):
            self._call_back(evaluation)
            self.looked = self.clock.running  # their time is not training
        if self.options.saver and not self.failed:
            self.options.saver.see(self.state, self.here)
            self.looked = self.clock.running

    def _call_back(self, evaluation: dict[str, Any]) -> None:
        values = {name: float(value) for name, value in evaluation.items()}
        loss = float(self.log.steps[-1]["loss"][-1]) if self.log.steps else float("nan")
        self.called = self.here
        for callback in self.options.callbacks:
            if _is_true(callback(Moment(self.here, loss, values, _copied(self._params())))):
                self.stopped = self.stopped or f"callback {getattr(callback, '__name__', callback)!s}"

    def _see(self, evaluation: dict[str, Any]) -> None:
        self.log.evaluations.append((self.here, evaluation))
        if self.best:
            value = float(evaluation[self.best.criterion.metric])
            if self.best.see(value, self._params(), self.state.model_state) and self.here < self.end:
                self.stopped = self.stopped or str(self.best.criterion)

    def _fire(self, criterion: Any) -> None:
        if isinstance(criterion, stopping.NonFinite):
            self._fail()
        else:
            self.stopped = str(criterion)

    def _fail(self) -> None:
        loss, objective = self.log.last("loss"), self.log.last("objective")
        leaf = self._bad_leaf() or "none yet"
        if all(value is None or np.isfinite(value) for value in (loss, objective)):
            what = f"parameters not finite after step {self.here}, whose loss was {loss}"
        elif objective is None or not np.isfinite(loss or 0.0):
            what = f"loss {loss} at step {self.here}"
        else:
            what = f"loss {loss}, objective {objective} at step {self.here}"
        self.failed, self.stopped = True, f"{what}; first non-finite parameter: {leaf}"

    def _bad_leaf(self) -> str | None:
        leaves = jax.tree_util.tree_leaves_with_path(self.state.params)
        return next((jax.tree_util.keystr(p) or "params" for p, x in leaves if not np.isfinite(np.asarray(x)).all()), None)

    def _finish(self) -> Result:
        """The result; an error instead, if the run turned non-finite and was to raise."""
        if self.watched and not self.failed and self._bad_leaf():  # since the last step, whose loss did not see it
            self._fail()
        evaluated = self.log.evaluations[-1][0] if self.log.evaluations else self.first
        wanted = self.options.interval and self.validation_data is not None
        evaluation = {}
        if wanted and not self.failed and evaluated != self.here:
            evaluation = jax.device_get(self.clock(self._validate))
            self._see(evaluation)
        if not self.failed and self.called != self.here:  # stopped between two calls
            self._call_back(evaluation)
        if self.options.saver and not self.failed:
            self.options.saver.see(self.state, self.here, last=True)
        params, model_state = (self.best and self.best.kept) or (self._params(), self.state.model_state)
        result = Result(
            params, model_state, self.state, self.stopped or "budget of steps done", self.options.steps,
            self.clock.compiling, self.run_seconds, self.problem, self.log,
        )  # fmt: skip
        if self.failed and self.options.nonfinite == "raise":
            advice = "A smaller learning rate may help; nonfinite='stop' or 'continue' does not raise"
            raise NonFiniteError(f"fit: {self.stopped}. {advice}", result)
        return result


def _is_true(answer: Any) -> bool:
    """Whether a callback said True, NumPy's and JAX's included; not 1, which is what ``file.write`` may return."""
    return answer is True or (getattr(answer, "dtype", None) == np.dtype(bool) and np.ndim(answer) == 0 and bool(answer))


def _copied(tree: Any) -> Any:
    return jax.device_put(tree, may_alias=False)
