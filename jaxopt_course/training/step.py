"""One step of training, as a pure function; and the compiled programs made of it.

θ ← θ + update(∇(Σ wᵢ ℓᵢ + λR)(gradient point))

`run_chunk` scans the step over rows of example indices in one program: sampling, gradient, update, metrics and in-step
stopping criteria are inside, and the number of steps is an argument, so that no length retraces. `evaluate` is the forward
pass over a whole split; it does not know the optimizer, so all optimizers share it.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from optax.tree_utils import NamedTupleKey

from jaxopt_course.problems.objective import Evaluation, Objective, Problem, num_examples
from jaxopt_course.transform import gradient_point, hyperparams
from jaxopt_course.types import Batch, Key, ModelState, OptState, Params, Updates

__all__ = ["TRACES", "Program", "Report", "TrainState", "evaluate", "run_chunk", "train_step"]

RESERVED = frozenset(
    {"loss", "objective", "step", "step_epoch", "step_size", "examples", "gradient_evaluations", "seconds", "epoch"}
)
BLOCK = 1024  # examples gathered at a time

TRACES: collections.Counter[str] = collections.Counter()
"""How often each compiled program was traced: what the tests count, and how compile time is told from run time."""


class TrainState(NamedTuple):
    """All that a run needs to go on exactly: training from it gives what one long run would have given."""

    params: Params
    model_state: ModelState
    opt_state: OptState
    key: Key
    step: jax.Array


class Report(NamedTuple):
    """What a step returns besides the state; carried nowhere.

    Attributes:
        loss: Σ wᵢ ℓᵢ, and objective: with λR, both at the gradient point. metrics: weighted like the loss.
        hyperparams: what the update used, where that may vary.
        grads: the gradient of the objective.
    """

    loss: jax.Array
    objective: jax.Array
    metrics: dict[str, jax.Array]
    hyperparams: dict[str, jax.Array]
    grads: Updates


@dataclasses.dataclass(frozen=True)
class Program:
    """What is static in a training program; equal programs share one compilation.

    Attributes:
        objective: the problem's functions.
        update: the optimizer's ``update``.
        takes_extra: whether it takes optax's extra arguments.
        record: fields to record at every step, besides the history's: ``"params"``, ``"gradient_norm"``.
    """

    objective: Objective
    update: Callable[..., tuple[Updates, OptState]]
    takes_extra: bool
    record: tuple[str, ...] = ()


def train_step(
    program: Program,
    state: TrainState,
    batch: Batch,
    weights: jax.Array | None = None,
    regularizer: Callable[[Params], jax.Array] | None = None,
) -> tuple[TrainState, Report]:
    """One step on one batch.

    Args:
        program: the objective and the optimizer.
        state: the run so far.
        batch: a pytree of arrays with one leading axis.
        weights: wᵢ, [B]; by default 1/m each.
        regularizer: λR(θ).

    Returns:
        The next state, and the step's report, whose loss is the one at the gradient point.
    """
    params, model_state, opt_state, key, step = state
    step_key = jax.random.fold_in(key, step)  # dead code, and removed, in models that use no randomness

    def total(at: Params):
        outcome = program.objective(at, model_state, batch, key=step_key, train=True)
        averages = _averages(outcome, weights)
        objective = averages["loss"] if regularizer is None else averages["loss"] + regularizer(at)
        return objective, (averages, outcome.model_state)

    point = gradient_point(opt_state, params)
    (objective, (averages, model_state)), grads = jax.value_and_grad(total, has_aux=True)(point)
    grads = jax.tree.map(jnp.conj, grads)  # the direction of steepest ascent, where parameters are complex
    extra = {"value": objective, "grad": grads, "value_fn": lambda p: total(p)[0]} if program.takes_extra else {}
    updates, new_opt_state = program.update(grads, opt_state, params, **extra)
    loss = averages.pop("loss")
    report = Report(loss, objective, averages, _varying(opt_state, new_opt_state), grads)
    return TrainState(optax.apply_updates(params, updates), model_state, new_opt_state, key, step + 1), report


@functools.partial(jax.jit, static_argnames=("program", "capacity"), donate_argnames=("state",))
def run_chunk(program, state, data, regularizer, criteria, memory, rows, count, fired, *, capacity):
    """Up to ``count`` ≤ ``capacity`` steps as one compiled loop.

    Args:
        program: static.
        state: donated.
        data: the training split, or None.
        regularizer: λR(θ), a pytree, or None.
        criteria: in-step stopping criteria, pytrees; ``memory`` is theirs.
        rows: indices [capacity, B] and weights [capacity, B] or None; or None: all the data at every step, as they are.
        count: how many steps, at most.
        fired: the index of the criterion that stopped an earlier chunk, or −1: nothing is done after a stop, so chunks can
            be sent off before the host knows.

    Returns:
        The state, the criteria's memory, the records (arrays [capacity, ...]), how many steps were done, and ``fired``.
    """
    TRACES["run_chunk"] += 1

    size = 1 if rows is None else block_size(rows[0].shape[1], capacity)

    def one(state, memory, batch, weights):
        state, report = train_step(program, state, batch, weights, regularizer)
        fired, new_memory = jnp.int32(-1), []
        for index, (criterion, old) in enumerate(zip(criteria, memory, strict=True)):
            new, stop = criterion.observe(old, report)
            fired = jnp.where((fired < 0) & stop, index, fired)
            new_memory.append(new)
        return state, tuple(new_memory), _record(program, report, state, regularizer is not None), fired

    def block(carry):
        first, last = carry[0], jnp.minimum(carry[0] + size, count)
        examples = _gather(data, rows, first, size)

        def body(carry):
            i, state, memory, records, _ = carry
            new_state, memory, record, fired = one(state, memory, *_pick(examples, rows, i - first))
            records = jax.tree.map(lambda rs, r: jax.lax.dynamic_update_index_in_dim(rs, r, i, 0), records, record)
            return i + 1, _like(new_state, state), memory, records, fired

        return jax.lax.while_loop(lambda c: (c[0] < last) & (c[-1] < 0), body, carry)

    shapes = jax.eval_shape(lambda s, m: one(s, m, *_pick(_gather(data, rows, 0, size), rows, 0))[2], state, memory)
    records = jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), shapes)
    start = (jnp.int32(0), state, memory, records, jnp.asarray(fired, jnp.int32))
    done, state, memory, records, fired = jax.lax.while_loop(lambda c: (c[0] < count) & (c[-1] < 0), block, start)
    return state, memory, records, done, fired


@functools.partial(jax.jit, static_argnames=("objective", "batch_size"))
def evaluate(objective, params, model_state, data, regularizer, *, batch_size):
    """Loss, objective and metrics over a whole split; no randomness, no batch statistics updated.

    Args:
        objective: static.
        data: the split.
        batch_size: examples at a time (static).

    Returns:
        ``{"loss", "objective", metric...}``, scalars.
    """
    TRACES["evaluate"] += 1
    n = num_examples(data)
    steps = -(-n // batch_size)

    def share(i):
        start = jnp.minimum(i * batch_size, n - batch_size)  # the last batch overlaps; what it repeats weighs nothing
        batch = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, batch_size), data)
        unseen = (start + jnp.arange(batch_size) >= i * batch_size) / n
        return _averages(objective(params, model_state, batch, train=False), unseen)

    scalar = jax.eval_shape(lambda: objective(params, model_state, data, train=False)).losses.ndim == 0
    if scalar or steps == 1:  # a scalar loss is the mean of what it is given at once
        means = _averages(objective(params, model_state, data, train=False), None)
    else:
        means = jax.tree.map(lambda shares: shares.sum(0), jax.lax.map(share, jnp.arange(steps)))
    return {**means, "objective": means["loss"] if regularizer is None else means["loss"] + regularizer(params)}


def metric_names(problem: Problem) -> list[str]:
    """What is measured besides the loss, found out on shapes."""

    def metrics(key):
        params, model_state = problem.init(key)
        return problem.objective(params, model_state, jax.tree.map(lambda x: x[:1], problem.data.train)).metrics

    names = jax.eval_shape(metrics, jax.random.key(0))
    given = [name for name, _ in getattr(problem.metrics, "table", ())]  # in the order given; JAX sorts
    return given or list(names)


def line_search_evaluations(opt_state: OptState) -> jax.Array | None:
    """How often the last update's line searches evaluated the function, as optax's report it; None without one."""
    found = optax.tree.get_all_with_path(opt_state, "num_linesearch_steps")
    return sum((jnp.sum(value) for _, value in found), jnp.int32(0)) if found else None


def line_search_step_size(opt_state: OptState) -> jax.Array | None:
    """The step size that the last update's line search found, by its field's name; None without one, or with several."""
    found = optax.tree.get_all_with_path(opt_state, "step_size", lambda path, _: isinstance(path[-1], NamedTupleKey))
    return found[0][1] if len(found) == 1 else None


def takes_extra_arguments(optimizer: optax.GradientTransformation) -> bool:
    """Whether ``update`` takes optax's extra arguments (value, grad, value_fn)."""
    return isinstance(optimizer, optax.GradientTransformationExtraArgs)


def _average(what: str, values: jax.Array, weights: jax.Array | None) -> jax.Array:
    if weights is None:
        return jnp.mean(values)
    if values.shape != weights.shape:
        raise ValueError(
            f"the {what} must be one value for each of the {weights.size} examples, as they are weighted; it has shape "
            f"{values.shape}: a scalar couples the batch, which Problem(..., coupled=True) says"
        )
    return jnp.sum(weights.astype(values.dtype) * values)


def _averages(outcome: Evaluation, weights: jax.Array | None) -> dict[str, jax.Array]:
    if taken := sorted(RESERVED & outcome.metrics.keys()):
        raise ValueError(f"a metric must not be called {taken[0]!r}: the history has something else under this name")
    return {k: _average(k, v, weights) for k, v in {"loss": outcome.losses, **outcome.metrics}.items()}


def block_size(batch_size: int, capacity: int) -> int:
    """Steps whose examples are gathered at a time: a power of two, as capacities are, so that blocks fill them.

    >>> block_size(10, 1024), block_size(10, 32), block_size(5000, 4)
    (64, 32, 1)
    """
    return min(capacity, 1 << (max(1, BLOCK // batch_size).bit_length() - 1))


def _gather(data: Batch, rows: Any, first: jax.Array | int, size: int) -> tuple[Batch, jax.Array | None]:
    """The examples (and weights) of ``size`` steps: one large gather outruns many small ones, by a third of a small step."""
    if rows is None:
        return data, None
    indices, weights = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, first, size), rows)
    return jax.tree.map(lambda x: x.at[indices].get(mode="promise_in_bounds"), data), weights


def _pick(examples: tuple[Batch, jax.Array | None], rows: Any, k: jax.Array | int) -> tuple[Batch, jax.Array | None]:
    """Step ``k``'s share of them."""
    if rows is None:
        return examples
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, k, keepdims=False), examples)


def _varying(before: OptState, after: OptState) -> dict[str, jax.Array]:
    """The hyperparameters that an update may have changed: the rest are the very same arrays as before."""
    old = hyperparams(before)
    return {name: value for name, value in hyperparams(after).items() if value is not old.get(name)}


def _record(program: Program, report: Report, state: TrainState, regularized: bool) -> Mapping[str, Any]:
    extra: dict[str, Any] = {}
    if (searched := line_search_evaluations(state.opt_state)) is not None:
        extra["gradient_evaluations"] = 1 + searched
        if (step_size := line_search_step_size(state.opt_state)) is not None:
            extra["step_size"] = step_size
    if "gradient_norm" in program.record:
        extra["gradient_norm"] = optax.tree.norm(report.grads)
    if "params" in program.record:
        extra["params"] = state.params
    objective = {"objective": report.objective} if regularized else {}
    if taken := sorted(report.metrics.keys() & hyperparams(state.opt_state).keys()):
        raise ValueError(f"a metric must not be called {taken[0]!r}: a hyperparameter of the optimizer has this name")
    return {"loss": report.loss, **objective, **report.metrics, **report.hyperparams, **extra}


def _like(new: Any, old: Any) -> Any:
    """A loop's carry keeps its dtypes, whatever a foreign optimizer or model makes of them."""
    return jax.tree.map(lambda n, o: n if n.dtype == o.dtype else n.astype(o.dtype), new, old)
