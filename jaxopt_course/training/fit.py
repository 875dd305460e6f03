"""Training as few compiled programs: the host only looks in between chunks.

The host draws index rows, sends them off with the state, and reads what came back about once a second: records, evaluations,
stopping criteria, callbacks, progress. Between two looks chunks queue up on the device without waiting for each other.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.problems.objective import Problem, num_examples
from jaxopt_course.training import samplers, stopping
from jaxopt_course.training.history import Log
from jaxopt_course.training.progress import Progress
from jaxopt_course.training.step import TRACES, Program, TrainState, evaluate, run_chunk, takes_extra_arguments
from jaxopt_course.transform import eval_params, hyperparams
from jaxopt_course.types import Key, Params

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Moment", "NonFiniteError", "Result", "fit", "init_state"]

LOOK_EVERY = 0.5  # seconds that queue up before the host looks


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """A finished run.

    Attributes:
        params: the trained parameters: what the optimizer says to evaluate; the best ones, under early stopping.
        state: all that ``fit(..., state=result.state)`` needs to go on exactly.
        stopped: why it ended.
        steps: steps done in this run, of the number ``requested``.
        compile_seconds: time spent tracing and compiling. run_seconds: time spent training.
        evaluations: the best-known and last evaluation, by step.
    """

    params: Params
    state: TrainState
    stopped: str
    steps: int
    requested: int
    compile_seconds: float
    run_seconds: float
    problem: Problem
    log: Log = dataclasses.field(repr=False)

    @functools.cached_property
    def history(self) -> xr.Dataset:
        """Every step's loss, objective, metrics and hyperparameters over ``step``; evaluations over ``epoch``."""
        return self.log.dataset(
            {
                "problem": self.problem.name,
                "batch_size": self.log.plan.batch_size,
                "stopped": self.stopped,
                "compile_seconds": self.compile_seconds,
                "jax": jax.__version__,
            }
        )

    @property
    def model(self) -> Any:
        """The trained model, in its own library's form (a flax module); None for problems without one."""
        if self.problem.module is None:
            return None
        return self.problem.module(self.params, self.state.model_state)

    def evaluate(self, split: Literal["train", "validation", "test"] = "test") -> dict[str, float]:
        """Loss, objective and metrics of the trained parameters on a split.

        Raises:
            ValueError: the problem has no such split.
        """
        return evaluate_params(self.problem, self.params, self.state.model_state, split)

    def plot(self, **options: Any) -> Any:
        """The history as a figure (see :func:`jaxopt_course.report.history`)."""
        from jaxopt_course.report import curves

        return curves.history(self.history, **options)

    def __repr__(self) -> str:
        return f"Result({self.problem.name}: {self.steps} steps, {self.stopped})"


class NonFiniteError(FloatingPointError):
    """Training turned non-finite. ``result`` is the run up to there."""

    def __init__(self, message: str, result: Result):
        super().__init__(message)
        self.result = result


@dataclasses.dataclass(frozen=True, eq=False)
class Moment:
    """What a callback sees, after each evaluation (or each chunk, where there are none).

    Attributes:
        step: steps done in all. loss: of the last one. evaluation: the validation values, if any. params: to evaluate
        (a live buffer: copy it to keep it).
    """

    step: int
    loss: float
    evaluation: dict[str, float]
    params: Params


def fit(
    problem: Problem,
    optimizer: optax.GradientTransformation,
    *,
    batch_size: int | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    key: int | Key = 0,
    sampler: samplers.Sampler | None = None,
    drop_remainder: bool = False,
    evaluate: int | Literal["epoch"] | None = "epoch",
    stop: Any = (),
    callbacks: Callable[[Moment], Any] | Sequence[Callable[[Moment], Any]] = (),
    state: TrainState | None = None,
    nonfinite: Literal["raise", "stop", "continue"] = "raise",
    progress: bool = False,
) -> Result:
    """Train, as one compiled program.

    θ ← θ + update(∇(Σ wᵢ ℓᵢ + λR)), over mini-batches

    Args:
        problem: what to minimise.
        optimizer: any gradient transformation, ours or optax's.
        batch_size: m, from 1 to n; 32 by default (n under ``samplers.full()``).
        epochs: passes over the data, in this run. steps: or updates. 10 epochs by default.
        key: an integer or a JAX key; it decides the initial parameters, the order of examples, and dropout.
        sampler: one of :mod:`jaxopt_course.training.samplers`; ``shuffle()`` by default.
        drop_remainder: leave each epoch's ragged last batch out. Otherwise it counts exactly, by weights, except where
            examples depend on their batch (scalar losses, batch statistics): there it is always left out.
        evaluate: evaluate on the validation split every so many steps, or each ``"epoch"``, or never (None).
        stop: stopping criteria from :mod:`jaxopt_course.training.stopping`, one or several.
        callbacks: functions of a :class:`Moment`, called after each evaluation; returning True stops the run.
        state: go on from an earlier run's ``result.state`` (its key goes on too); left intact.
        nonfinite: what to do when the loss turns non-finite: raise, or stop, or continue.
        progress: show a progress bar.

    Returns:
        A :class:`Result`: parameters, history, state.

    Raises:
        TypeError, ValueError: an argument is not what it should be, before anything compiles.
        NonFiniteError: the loss turned non-finite; it has the run so far as ``.result``.

    >>> import jaxopt_course as jc
    >>> problem = jc.problems.linear_regression(num_examples=64, num_features=3, seed=0)
    >>> result = fit(problem, jc.sgd(0.1), batch_size=8, epochs=5)
    >>> result.steps, bool(result.history.loss[-1] < result.history.loss[0])
    (30, True)

    References:
        Algorithms 2.1 and 2.2 of lecture 004; stopping: lecture 003 [B1, F1].
    """
    optimizer = _checked(problem, optimizer, nonfinite)
    train = problem.data.train
    n = num_examples(train)
    sampler = samplers.shuffle() if sampler is None else sampler
    if isinstance(sampler, samplers.Full):
        if batch_size not in (None, n):
            raise ValueError(f"fit: samplers.full() uses all {n} examples at once; got batch_size={batch_size}")
        batch_size = n
    whole = samplers.plan(sampler, n, batch_size or min(32, n) if batch_size is None else batch_size, drop_remainder, ())
    if state is None:
        state = init_state(problem, optimizer, key)
    else:
        state = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)  # the caller's buffers are not donated
    whole = dataclasses.replace(
        whole,
        drop_remainder=drop_remainder or problem.objective.coupled or bool(jax.tree.leaves(state.model_state)),
        seed=tuple(int(word) for word in np.ravel(jax.random.key_data(state.key))),
    )
    total = _total_steps(epochs, steps, whole)
    run = _Run(problem, optimizer, whole, state, total, _criteria(stop, problem), nonfinite)
    interval = {"epoch": whole.steps_per_epoch, None: 0}.get(evaluate, evaluate)  # type: ignore[call-overload]
    if interval:
        checks.check_positive_integer("fit", "evaluate", interval)
    calls = (callbacks,) if callable(callbacks) else tuple(callbacks)
    with Progress(total, progress, getattr(problem, "name", "")) as bar:
        return run.train(0 if problem.data.validation is None else interval, calls, bar)


def init_state(problem: Problem, optimizer: optax.GradientTransformation, key: int | Key = 0) -> TrainState:
    """A run's first state.

    Args:
        problem, optimizer: what to train, and how.
        key: an integer or a JAX key: split into one for the parameters and one for order and dropout.
    """
    if not isinstance(key, jax.Array):
        checks.check_number("fit", "key", key)
        key = jax.random.key(int(key))
    elif not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)
    init_key, run_key = _split(key)
    params, model_state = problem.init(init_key)
    opt_state = optimizer.init(params)
    return without_aliases(TrainState(params, model_state, opt_state, run_key, jnp.zeros((), jnp.int32)))


def without_aliases(state: TrainState) -> TrainState:
    """Copies where an optimizer kept the parameters themselves: a buffer can be donated only once."""
    seen: set[int] = set()

    def own(leaf):
        leaf = jnp.asarray(leaf, dtype=jnp.result_type(leaf))  # not weakly typed, which the next chunk's would not be
        buffer = leaf.addressable_shards[0].data.unsafe_buffer_pointer() if leaf.size else 0
        leaf = jnp.array(leaf, copy=True) if buffer and buffer in seen else leaf
        seen.add(buffer)
        return leaf

    return TrainState(*jax.tree.map(own, tuple(state._replace(key=None))))._replace(key=state.key)


def evaluate_params(problem: Problem, params: Params, model_state: Any, split: str) -> dict[str, float]:
    """Loss, objective and metrics of given parameters on a split."""
    data = getattr(problem.data, split, None)
    if data is None:
        have = [name for name, batch in problem.data._asdict().items() if batch is not None]
        raise ValueError(f"evaluate: {problem.name} has no {split!r} split{checks.closest(split, have)}")
    return {k: float(v) for k, v in _evaluate(problem, params, model_state, data).items()}


_split = jax.jit(jax.random.split)


def _evaluate(problem: Problem, params: Params, model_state: Any, data: Any) -> dict[str, jax.Array]:
    size = min(num_examples(data), 1024)
    return evaluate(problem.objective, params, model_state, data, problem.regularizer, batch_size=size)


class _Run:
    """One call of ``fit``: its state, its log, and the queue of chunks that the host has not looked at."""

    def __init__(self, problem, optimizer, plan, state, total, criteria, nonfinite):
        self.problem, self.plan, self.state, self.total, self.nonfinite = problem, plan, state, total, nonfinite
        self.in_step = tuple(c for c in criteria if hasattr(c, "observe"))
        self.early = next((c for c in criteria if isinstance(c, stopping.EarlyStopping)), None)
        self.budget = next((c for c in criteria if isinstance(c, stopping.Budget)), None)
        self.memory = tuple(criterion.start() for criterion in self.in_step)
        self.program = Program(problem.objective, optimizer.update, takes_extra_arguments(optimizer))
        self.first = int(state.step)
        self.done = 0
        constants = {k: np.array(v) for k, v in hyperparams(state.opt_state).items()}
        self.log = Log(plan, self.first, constants)
        self.queue: list[tuple[int, Any, Any, Any, Any]] = []
        self.best, self.best_params, self.since_best = float("nan"), None, 0
        self.compile_seconds = self.run_seconds = 0.0
        self.looked = time.perf_counter()
        self.stopped = ""
        rows = max(1, min(1024, 2**15 // plan.batch_size))
        self.capacity = 1 << (rows.bit_length() - 1)

    def train(self, interval: int, callbacks: tuple, bar: Progress) -> Result:
        """Chunks until done; a look now and then."""
        queue_up = 1
        if interval and self.first == 0:
            self._timed(lambda: self.queue.append((0, {}, np.int32(0), np.int32(-1), self._validate())))
        look_at_each = bool(callbacks or self.early or self.in_step)
        while self.done < self.total and not self.stopped:
            here = self.first + self.done
            until = min(self.total, (here // interval + 1) * interval - self.first) if interval else self.total
            count = min(self.capacity, until - self.done)
            evaluating = bool(interval) and self.done + count == until
            self._dispatch(count, evaluating)
            full = len(self.queue) >= queue_up
            if full or self.done >= self.total or (look_at_each and (evaluating or not interval)):
                began = self.looked
                self._look(bar, callbacks)
                if full and self.looked - began < LOOK_EVERY and not look_at_each:
                    queue_up *= 2
        return self._result()

    def _dispatch(self, count: int, evaluating: bool) -> None:
        indices, weights = self.plan.rows(self.first + self.done, self.first + self.done + count)
        pad = lambda a: np.concatenate([a, np.zeros((self.capacity - count, *a.shape[1:]), a.dtype)])  # noqa: E731
        rows = (pad(indices), None if weights is None else pad(weights))
        self._timed(lambda: self._send(rows, count, evaluating))
        self.done += count

    def _send(self, rows: Any, count: int, evaluating: bool) -> None:
        self.state, self.memory, records, done, fired = run_chunk(
            self.program, self.state, self.problem.data.train, self.problem.regularizer, self.in_step, self.memory,
            rows, np.int32(count), capacity=self.capacity,
        )  # fmt: skip
        self.queue.append((count, records, done, fired, self._validate() if evaluating else None))

    def _timed(self, dispatch: Callable[[], None]) -> None:
        """Dispatch; if that traced something, the time it took was compiling."""
        began, traces = time.perf_counter(), TRACES.total()
        dispatch()
        if TRACES.total() != traces:
            spent = time.perf_counter() - began
            self.compile_seconds += spent
            self.looked += spent

    def _validate(self) -> dict[str, jax.Array]:
        return _evaluate(self.problem, self._params(), self.state.model_state, self.problem.data.validation)

    def _look(self, bar: Progress, callbacks: tuple) -> None:
        """Read what the queue brought; log it; decide whether to stop."""
        position = self.done - sum(count for count, *_ in self.queue)
        queue, self.queue = jax.device_get(self.queue), []
        now = time.perf_counter()
        self.run_seconds, self.looked = self.run_seconds + now - self.looked, now
        before, evaluations = position, []
        for count, records, done, fired, values in queue:
            done = int(done)
            records = {k: v[:done] for k, v in records.items()}
            if done:
                self.log.steps.append(records)
            position += done
            if values is not None and done == count:
                self.log.evaluations.append((self.first + position, values))
                evaluations.append(values)
            if int(fired) >= 0:
                self.stopped = str(self.in_step[int(fired)])
            if done and self.nonfinite != "continue":
                self._check_finite(records, self.first + position - done)
            if self.stopped:
                break
        self.done = position
        self.log.clock.append((self.first + position, self.run_seconds))
        last = {k: v[-1] for k, v in self.log.steps[-1].items()} if self.log.steps else {}
        rate = last.get("learning_rate", self.log.constants.get("learning_rate"))
        bar.advance(position - before, **({"loss": last["loss"]} if last else {}), **({} if rate is None else {"rate": rate}))
        if evaluations and self.early and not self.stopped:
            self._early(evaluations[-1])
        if self.budget and self.run_seconds >= self.budget.seconds and self.done < self.total:
            self.stopped = self.stopped or str(self.budget)
        for callback in callbacks if not self.stopped and last else ():
            values = {k: float(v) for k, v in (evaluations[-1] if evaluations else {}).items()}
            if callback(Moment(self.first + self.done, float(last["loss"]), values, self._params())) is True:
                self.stopped = f"callback {getattr(callback, '__name__', callback)!s}"

    def _early(self, values: dict[str, Any]) -> None:
        assert self.early is not None
        value = float(values[self.early.metric])
        if self.early.better(value, self.best):
            self.best, self.since_best = value, 0
            self.best_params = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), self._params())
        else:
            self.since_best += 1
            if self.since_best >= self.early.patience:
                self.stopped = str(self.early)

    def _check_finite(self, records: dict[str, np.ndarray], start: int) -> None:
        bad = np.flatnonzero(~np.isfinite(records.get("objective", records["loss"])))
        if not len(bad):
            return
        leaves = jax.tree_util.tree_leaves_with_path(self.state.params)
        leaf = next((jax.tree_util.keystr(p) or "params" for p, x in leaves if not bool(jnp.isfinite(x).all())), None)
        loss = records["loss"][bad[0]]
        self.stopped = f"loss {loss} at step {start + bad[0] + 1}; first non-finite parameter: {leaf or 'none yet'}"
        if self.nonfinite == "raise":
            raise NonFiniteError(
                f"fit: {self.stopped}. A smaller learning rate may help; nonfinite='stop' or 'continue' does not raise",
                self._result(),
            )

    def _params(self) -> Params:
        return eval_params(self.state.opt_state, self.state.params)

    def _result(self) -> Result:
        params = self._params() if self.best_params is None else self.best_params
        reason = self.stopped or "budget of steps done"
        log_steps = sum(len(chunk["loss"]) for chunk in self.log.steps)
        costs = (self.compile_seconds, self.run_seconds)
        return Result(params, self.state, reason, log_steps, self.total, *costs, self.problem, self.log)


def _checked(problem: Any, optimizer: Any, nonfinite: str) -> optax.GradientTransformation:
    if not isinstance(problem, Problem):
        raise TypeError(f"fit: problem must be a jc.Problem (see Problem.from_loss, problems.from_arrays); got {problem!r}")
    if nonfinite not in ("raise", "stop", "continue"):
        raise ValueError(f"fit: nonfinite{checks.closest(nonfinite, ('raise', 'stop', 'continue'))}; got {nonfinite!r}")
    return as_transformation("fit", optimizer)


def as_transformation(where: str, optimizer: Any) -> optax.GradientTransformation:
    """The optimizer as a pair (init, update), or a TypeError."""
    if isinstance(optimizer, optax.MultiSteps):
        return optimizer.gradient_transformation()
    if not isinstance(optimizer, optax.GradientTransformation):
        hint = " (call the factory: jc.adam(1e-3))" if callable(optimizer) else ""
        raise TypeError(f"{where}: optimizer must be a gradient transformation (init, update); got {optimizer!r}{hint}")
    return optimizer


def _criteria(stop: Any, problem: Problem) -> tuple:
    criteria = tuple(stop) if isinstance(stop, Iterable) else (stop,)
    for criterion in criteria:
        if not (hasattr(criterion, "observe") or isinstance(criterion, (stopping.EarlyStopping, stopping.Budget))):
            raise TypeError(f"fit: stop takes criteria from jc.stopping; got {criterion!r}")
        if isinstance(criterion, stopping.EarlyStopping) and problem.data.validation is None:
            raise ValueError(f"fit: early stopping needs a validation split, and {problem.name} has none")
    return criteria


def _total_steps(epochs: int | None, steps: int | None, plan: samplers.Plan) -> int:
    if epochs is not None and steps is not None:
        raise ValueError(f"fit: give epochs or steps, not both; got epochs={epochs}, steps={steps}")
    if plan.steps_per_epoch == 0:
        raise ValueError(f"fit: batch_size {plan.batch_size} leaves no whole batch of {plan.num_examples} examples")
    if steps is not None:
        return checks.check_positive_integer("fit", "steps", steps)
    return plan.steps_per_epoch * (10 if epochs is None else checks.check_positive_integer("fit", "epochs", epochs))
