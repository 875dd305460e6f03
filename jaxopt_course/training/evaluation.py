"""The forward pass over a whole split, compiled; it does not know the optimizer, so all optimizers share it."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jaxopt_course.problems.objective import Problem, num_examples
from jaxopt_course.training.step import TRACES, averages

__all__ = ["evaluate", "metric_names"]


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
        return averages(objective(params, model_state, batch, train=False), unseen)

    scalar = jax.eval_shape(lambda: objective(params, model_state, data, train=False)).losses.ndim == 0
    if scalar or steps == 1:  # a scalar loss is the mean of what it is given at once
        means = averages(objective(params, model_state, data, train=False), None)
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
