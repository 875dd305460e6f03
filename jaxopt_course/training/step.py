"""One step of training, as a pure function; and the pass over a whole split.

θ ← θ + update(∇(Σ wᵢ ℓᵢ + λR)(gradient point))

`evaluate` is the forward pass over a whole split; it does not know the optimizer, so all optimizers share it.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course.compiler import compiled, of_pass
from jaxopt_course.probes.definition import PREFIXES, UNKNOWN, Observation, Probe, chunked_sum, observe
from jaxopt_course.problems.objective import Evaluation, Objective, Problem, given_losses, num_examples
from jaxopt_course.transform import gradient_point, hyperparams
from jaxopt_course.transform.chain import takes_extra_arguments
from jaxopt_course.types import Batch, Key, ModelState, OptState, Params, Updates

__all__ = [
    "TRACES",
    "Program",
    "Report",
    "TrainState",
    "averages",
    "evaluate",
    "is_taken",
    "metric_names",
    "takes_extra_arguments",
    "train_step",
]

RESERVED = frozenset(
    {
        "loss",
        "objective",
        "step",
        "step_epoch",
        "step_size",
        "status",
        "scale",
        "examples",
        "gradient_evaluations",
        "seconds",
        "epoch",
    }
)

PROBES = np.uint32(2**32 - 2)  # folded into the key of probes: no step is called so

TRACES: collections.Counter[str] = collections.Counter()
"""How often each compiled program was traced: what the tests count, and how compile time is told from run time."""


class TrainState(NamedTuple):
    """All that a run needs to go on exactly: training from it gives what one long run would have given.

    ``sampler`` is what a sampler that learns carries; nothing, for the others. ``probes``: the memories of probes, by name.
    """

    params: Params
    model_state: ModelState
    opt_state: OptState
    key: Key
    step: jax.Array
    sampler: Any = ()
    probes: Any = ()


class Report(NamedTuple):
    """What a step returns besides the state; carried nowhere.

    Attributes:
        loss: Σ wᵢ ℓᵢ, and objective: with λR, both at the gradient point. metrics: weighted like the loss.
        hyperparams: what the update used, where that may vary.
        grads: the gradient of the objective.
        losses: ℓᵢ, [B]; a scalar, where the batch is coupled.
        probes: what the probes saw, by name.
    """

    loss: jax.Array
    objective: jax.Array
    metrics: dict[str, jax.Array]
    hyperparams: dict[str, jax.Array]
    grads: Updates
    losses: jax.Array
    probes: dict[str, jax.Array]


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
    probes: Mapping[str, Probe] | None = None,
    data: Batch = UNKNOWN,
) -> tuple[TrainState, Report]:
    """One step on one batch.

    Args:
        program: the objective and the optimizer.
        state: the run so far.
        batch: a pytree of arrays with one leading axis.
        weights: wᵢ, [B]; by default 1/m each.
        regularizer: λR(θ).
        probes: what to look at besides, by name; their memories are in the state.
        data: the training split, for probes that look at all of it.

    Returns:
        The next state, and the step's report, whose loss is the one at the gradient point.
    """
    params, model_state, opt_state, key, step, _, memories = state
    step_key = jax.random.fold_in(key, step)  # dead code, and removed, in models that use no randomness

    def total(at: Params):
        outcome = program.objective(at, model_state, batch, key=step_key, train=True)
        means = averages(program.objective, outcome, batch, weights)
        objective = means["loss"] if regularizer is None else means["loss"] + regularizer(at)
        return objective, (means, outcome)

    point = gradient_point(opt_state, params)
    (objective, (means, outcome)), grads = jax.value_and_grad(total, has_aux=True)(point)
    grads = jax.tree.map(jnp.conj, grads)  # the direction of steepest ascent, where parameters are complex
    extra = {"value": objective, "grad": grads, "value_fn": lambda p: total(p)[0]} if program.takes_extra else {}
    updates, new_opt_state = program.update(grads, opt_state, params, **extra)
    loss = means.pop("loss")
    seen = {}
    if probes:
        at = Observation(
            step=step, params=params, point=point, grads=grads, updates=updates, opt_state=new_opt_state,
            loss=loss, objective=objective, batch=batch, weights=weights, data=data,
            key=jax.random.fold_in(jax.random.fold_in(key, PROBES), step), model_key=step_key,
            value=lambda at: total(at)[0],
            evaluate=functools.partial(_losses, program.objective, model_state),
            regularizer=regularizer, coupled=program.objective.coupled,
        )  # fmt: skip
        seen, memories = observe(probes, memories, at)
    report = Report(loss, objective, means, _varying(opt_state, new_opt_state), grads, outcome.losses, seen)
    new_params = optax.apply_updates(params, updates)
    return TrainState(new_params, outcome.model_state, new_opt_state, key, step + 1, state.sampler, memories), report


def _losses(objective, model_state, params, batch, key=None):
    """Losses of examples, as in the step with its key, as in evaluation without."""
    return objective(params, model_state, batch, key=key, train=key is not None).losses


@compiled(lambda _, __, ___, data, *____, **_____: of_pass(data), static_argnames=("objective", "batch_size"))
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
    share = lambda batch, weights: averages(objective, objective(params, model_state, batch, train=False), batch, weights)
    whole = jax.eval_shape(lambda: objective(params, model_state, data, train=False))
    of_all = 0 in {leaf.ndim for leaf in jax.tree.leaves((whole.losses, whole.metrics))}  # scalars are of all at once
    means = share(data, None) if of_all or batch_size >= num_examples(data) else chunked_sum(share, data, batch_size)
    return {**means, "objective": means["loss"] if regularizer is None else means["loss"] + regularizer(params)}


def metric_names(problem: Problem) -> list[str]:
    """What is measured besides the loss, found out on shapes."""

    def metrics(key):
        params, model_state = problem.init(key)
        return problem.objective(params, model_state, jax.tree.map(lambda x: x[:1], problem.data.train)).metrics

    names = jax.eval_shape(metrics, jax.random.key(0))
    given = [name for name, _ in getattr(problem.metrics, "table", ())]  # in the order given; JAX sorts
    return given or list(names)


def is_taken(name: str) -> bool:
    """Whether the history has something of its own under this name."""
    return name in RESERVED or name.startswith(PREFIXES)


def averages(objective: Objective, outcome: Evaluation, batch: Batch, weights: jax.Array | None) -> dict[str, jax.Array]:
    """Weighted means of the losses and the metrics; plain ones, without weights.

    Raises:
        ValueError: one of them is not one value for each example, nor a scalar where examples are coupled; or has a name
            that is taken.
    """
    if taken := sorted(filter(is_taken, outcome.metrics)):
        raise ValueError(f"a metric must not be called {taken[0]!r}: the history has something else under this name")
    scalars = objective.coupled or objective.loss is given_losses  # a plain loss(params, batch) may be either
    values = {"loss": jnp.asarray(outcome.losses), **jax.tree.map(jnp.asarray, outcome.metrics)}
    for name, value in values.items():
        _check_shape("the loss" if name == "loss" else f"the metric {name!r}", value, batch, weights, scalars)
    if weights is None:
        return {name: jnp.mean(value) for name, value in values.items()}
    floating = lambda value: value if jnp.issubdtype(value.dtype, jnp.inexact) else value.astype(weights.dtype)
    return {name: jnp.sum(weights.astype(floating(value).dtype) * floating(value)) for name, value in values.items()}


def _check_shape(what: str, values: jax.Array, batch: Batch, weights: jax.Array | None, scalars: bool) -> None:
    """Raise unless these are [B], of a batch of B examples and as many weights; or a scalar, where that may be."""
    shape = jnp.shape(values)
    if shape == () and scalars and weights is None:
        return
    lengths = {jnp.shape(leaf)[0] for leaf in jax.tree.leaves(batch) if jnp.ndim(leaf)}
    if len(shape) == 1 and shape[0] in lengths:
        if weights is None or jnp.shape(weights) == shape:
            return
        raise ValueError(f"weights must be one number for each of the {shape[0]} examples; got shape {jnp.shape(weights)}")
    size = " or ".join(map(str, sorted(lengths)))
    why, hint = ", as they are weighted" if shape == () and scalars else "", ""
    if shape == () and not scalars:
        hint = ": a scalar couples the batch, which Problem(..., coupled=True) says"
    elif len(shape) > 1 and set(shape[:2]) <= lengths:
        hint = ": outputs [B, 1] and targets [B] broadcast to [B, B]"
    raise ValueError(f"{what} must be one value for each of the {size} examples{why}; it has shape {shape}{hint}")


def _varying(before: OptState, after: OptState) -> dict[str, jax.Array]:
    """The hyperparameters that an update may have changed: the rest are the very same arrays as before."""
    old = hyperparams(before)
    return {name: value for name, value in hyperparams(after).items() if value is not old.get(name)}
