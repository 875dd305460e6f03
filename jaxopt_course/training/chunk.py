"""Many steps as one compiled loop.

`run_chunk` scans the step over rows of example indices in one program: sampling, gradient, update, metrics and in-step
stopping criteria are inside, and the number of steps is an argument, so that no length retraces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax.tree_utils import NamedTupleKey

from jaxopt_course.compiler import compiled, of_steps
from jaxopt_course.problems.objective import num_examples
from jaxopt_course.training.step import TRACES, Program, Report, TrainState, is_taken, train_step
from jaxopt_course.transform import hyperparams
from jaxopt_course.transform.leaves import cast_like
from jaxopt_course.types import Batch, OptState

__all__ = ["block_size", "run_chunk"]

FOUND = ("step_size", "status", "scale")  # fields of states that the history shows
BLOCK = 1024  # examples gathered at a time
DRAWS = np.uint32(2**32 - 1)  # folded into the key of draws: no step is called so, and steps' own keys are the model's


@compiled(
    lambda program, state, *_, **__: of_steps(state.params),
    static_argnames=("program", "capacity"),
    donate_argnames=("state",),
)
def run_chunk(program, state, data, regularizer, criteria, memory, rows, count, fired, sampler=None, probes=None, *, capacity):
    """Up to ``count`` ≤ ``capacity`` steps as one compiled loop.

    Args:
        program: static.
        state: donated.
        data: the training split, or None.
        regularizer: λR(θ), a pytree, or None.
        criteria: in-step stopping criteria, pytrees; ``memory`` is theirs.
        rows: indices [capacity, B] and weights [capacity, B] or None; or None: all the data at every step, as they are.
            The indices are None where ``sampler``, which learns and is a pytree, draws them.
        count: how many steps, at most.
        fired: the index of the criterion that stopped an earlier chunk, or −1: nothing is done after a stop, so chunks can
            be sent off before the host knows.
        probes: what to look at besides, by name, a pytree.

    Returns:
        The state, the criteria's memory, the records (arrays [capacity, ...]), how many steps were done, and ``fired``.
    """
    TRACES["run_chunk"] += 1

    size = 1 if rows is None else capacity if rows[0] is None else block_size(rows[0].shape[1], capacity)

    def one(state, memory, batch, weights):
        if sampler is None:
            state, report = train_step(program, state, batch, weights, regularizer, probes, data)
        else:
            state, report = _drawn_step(program, state, batch, weights, regularizer, sampler, probes)
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
            return i + 1, cast_like(new_state, state), memory, records, fired

        return jax.lax.while_loop(lambda c: (c[0] < last) & (c[-1] < 0), body, carry)

    shapes = jax.eval_shape(lambda s, m: one(s, m, *_pick(_gather(data, rows, 0, size), rows, 0))[2], state, memory)
    records = jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), shapes)
    start = (jnp.int32(0), state, memory, records, jnp.asarray(fired, jnp.int32))
    done, state, memory, records, fired = jax.lax.while_loop(lambda c: (c[0] < count) & (c[-1] < 0), block, start)
    return state, memory, records, done, fired


def _drawn_step(program, state, data, weights, regularizer, sampler, probes) -> tuple[TrainState, Report]:
    """A step whose batch is drawn here, by what the sampler has learnt, and which it learns from."""
    key = jax.random.fold_in(jax.random.fold_in(state.key, DRAWS), state.step)
    indices, factors = sampler.draw(key, state.sampler, len(weights))
    state, report = train_step(program, state, _take(data, indices), weights * factors, regularizer, probes, data)
    seen = jnp.where(weights > 0, indices, num_examples(data))
    return state._replace(sampler=sampler.update(state.sampler, seen, report.losses)), report


def line_search_evaluations(opt_state: OptState) -> jax.Array | None:
    """How often the last update's line searches evaluated the function, as optax's report it; None without one."""
    found = optax.tree.get_all_with_path(opt_state, "num_linesearch_steps")
    return sum((jnp.sum(value) for _, value in found), jnp.int32(0)) if found else None


def found_out(opt_state: OptState) -> dict[str, jax.Array]:
    """What an optimizer finds out by itself: a line search's step size and status, a plateau's scale; those it has one of."""
    named = lambda path, _: isinstance(path[-1], NamedTupleKey)
    fields = {name: optax.tree.get_all_with_path(opt_state, name, named) for name in FOUND}
    return {name: found[0][1] for name, found in fields.items() if len(found) == 1 and jnp.ndim(found[0][1]) == 0}


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
    return data if indices is None else _take(data, indices), weights


def _pick(examples: tuple[Batch, jax.Array | None], rows: Any, k: jax.Array | int) -> tuple[Batch, jax.Array | None]:
    """Step ``k``'s share of them."""
    share = lambda tree: jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, k, keepdims=False), tree)
    if rows is None:
        return examples
    return (share(examples[0]) if rows[0] is not None else examples[0]), share(examples[1])


def _take(data: Batch, indices: jax.Array) -> Batch:
    return jax.tree.map(lambda x: x.at[indices].get(mode="promise_in_bounds"), data)


def _record(program: Program, report: Report, state: TrainState, regularized: bool) -> Mapping[str, Any]:
    extra: dict[str, Any] = {}
    if (searched := line_search_evaluations(state.opt_state)) is not None:
        extra["gradient_evaluations"] = 1 + searched
    extra |= found_out(state.opt_state)
    if "gradient_norm" in program.record:
        extra["gradient_norm"] = optax.tree.norm(report.grads)
    if "params" in program.record:
        extra["params"] = state.params
    objective = {"objective": report.objective} if regularized else {}
    names = hyperparams(state.opt_state).keys()
    if taken := sorted(name for name in names if name in extra or (is_taken(name) and name not in FOUND)):
        raise ValueError(f"a hyperparameter must not be called {taken[0]!r}: the history has something else under this name")
    if taken := sorted(report.metrics.keys() & names):
        raise ValueError(f"a metric must not be called {taken[0]!r}: a hyperparameter of the optimizer has this name")
    record = {"loss": report.loss, **objective, **report.metrics, **report.hyperparams, **extra}
    taken = (record.keys() | names) - {*program.record}  # a probe may stand for these
    if taken := sorted(report.probes.keys() & taken):
        raise ValueError(f"a probe must not be called {taken[0]!r}: a metric or a hyperparameter has this name")
    return record | report.probes
