"""The step for people who keep their own loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer

from jaxopt_course import checks
from jaxopt_course.probes.definition import Probe, named
from jaxopt_course.problems.objective import Objective, Problem
from jaxopt_course.training.state import as_transformation, init_state, owned, with_probes
from jaxopt_course.training.step import RESERVED, TRACES, Program, Report, TrainState, takes_extra_arguments, train_step
from jaxopt_course.transform.leaves import cast_like
from jaxopt_course.types import Batch, Key, Params

__all__ = ["Step", "make_step"]

ARRAYS = (jax.Array, np.ndarray, np.generic, int, float, complex)


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """``state, report = step(state, batch)``: one compiled update; made by :func:`make_step`."""

    program: Program
    optimizer: optax.GradientTransformation
    problem: Problem | None
    donate: bool
    probes: dict[str, Probe] = dataclasses.field(default_factory=dict)

    def init(self, key_or_params: int | Key | Params = 0) -> TrainState:
        """The first state: from a key, for a problem; from parameters, for a plain loss."""
        if self.problem is not None:
            return with_probes(self.probes, init_state(self.problem, self.optimizer, key_or_params))
        if not all(isinstance(leaf, ARRAYS) for leaf in jax.tree.leaves(key_or_params)):
            _refuse("init: params", key_or_params)
        params = jax.tree.map(jnp.asarray, key_or_params)
        state = TrainState(params, {}, self.optimizer.init(params), jax.random.key(0), jnp.zeros((), jnp.int32))
        return with_probes(self.probes, owned(state))

    def __call__(self, state: TrainState, batch: Batch, weights: jax.Array | None = None) -> tuple[TrainState, Report]:
        """One update; ``weights`` [B] sum to 1 (1/m each by default)."""
        regularizer = None if self.problem is None else self.problem.regularizer
        if not isinstance(state, TrainState):
            raise TypeError(f"make_step: state must come from step.init(...) or an earlier step; got {type(state).__name__}")
        if isinstance(state.step, jax.Array) and not isinstance(state.step, Tracer) and state.step.is_deleted():
            raise ValueError("make_step: state was given to an earlier step, with donate=True: go on with the one it returned")
        leaves = jax.tree.leaves(batch)
        if not all(isinstance(leaf, ARRAYS) for leaf in leaves):
            _refuse("batch", batch)
        if any(np.shape(leaf)[:1] == (0,) for leaf in leaves):
            raise ValueError("make_step: batch must have at least one example; got an empty one")
        if not (weights is None or isinstance(weights, ARRAYS)):
            raise TypeError(f"make_step: weights must be an array, one number for each example, or None; got {weights!r:.100}")
        _check_keys(self.problem, batch)
        run = _run_donating if self.donate else _run
        return run(self.program, state, batch, weights, regularizer, self.probes)


def make_step(
    problem: Problem | Callable[[Params, Batch], Any],
    optimizer: optax.GradientTransformation,
    *,
    donate: bool = False,
    probes: Probe | Sequence[Probe] | Mapping[str, Probe] = (),
) -> Step:
    """One training step, compiled, for your own loop: it takes the gradient where the optimizer wants it.

    θ ← θ + update(∇(Σ wᵢ ℓᵢ + λR)(gradient point), value=…, grad=…, value_fn=…)

    Args:
        problem: a :class:`~jaxopt_course.problems.Problem`, or a plain ``loss(params, batch)`` (per example or scalar).
        optimizer: any gradient transformation, ours or optax's.
        donate: give the state's buffers to the next one: less memory, but the old state is gone.
        probes: what to look at besides, over the step's batch; in ``report.probes``, by name.

    Returns:
        A :class:`Step`: ``state = step.init(...)``, then ``state, report = step(state, batch)``.

    Raises:
        TypeError: not a problem or function, or not a gradient transformation, or not probes; ``donate`` is no bool.

    >>> import jaxopt_course as jc
    >>> step = make_step(lambda w, batch: (batch - w) ** 2, jc.nesterov(0.1))
    >>> state = step.init(0.0)
    >>> for batch in jnp.ones((20, 4)):
    ...     state, report = step(state, batch)
    >>> int(state.step), bool(report.loss < 0.3)
    (20, True)
    """
    optimizer = as_transformation("make_step", optimizer)
    checks.check_bool("make_step", "donate", donate)
    if isinstance(problem, Problem):
        objective = problem.objective
    elif callable(problem):
        objective = Objective.from_loss(problem)
    else:
        raise TypeError(f"make_step: problem must be a jc.Problem or loss(params, batch); got {problem!r}")
    program = Program(objective, optimizer.update, takes_extra_arguments(optimizer))
    owner = problem if isinstance(problem, Problem) else None
    return Step(program, optimizer, owner, donate, named("make_step", probes, RESERVED))


def _refuse(name: str, tree: Any) -> None:
    """Raise a TypeError that names the first leaf that is no array."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not isinstance(leaf, ARRAYS):
            raise TypeError(f"make_step: {name}{jax.tree_util.keystr(path)} must be an array; got {type(leaf).__name__}")


def _check_keys(problem: Problem | None, batch: Batch) -> None:
    """Raise a TypeError if a problem's data are dicts, and the batch lacks one of their keys."""
    train = None if problem is None or problem.data is None else problem.data.train
    if isinstance(train, dict) and not (isinstance(batch, dict) and train.keys() <= batch.keys()):
        got = f"the keys {sorted(batch)}" if isinstance(batch, dict) else type(batch).__name__
        raise TypeError(f"make_step: batch must be a dict like the problem's data, with the keys {sorted(train)}; got {got}")


def _traced(program, state, batch, weights, regularizer, probes):
    TRACES["make_step"] += 1
    new, report = train_step(program, state, batch, weights, regularizer, probes)
    return cast_like(new, state), report


_run = jax.jit(_traced, static_argnums=0)
_run_donating = jax.jit(_traced, static_argnums=0, donate_argnums=1)
