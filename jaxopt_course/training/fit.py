"""Training as few compiled programs: what ``jc.fit`` takes, and what it refuses.

:mod:`~jaxopt_course.training.run` does the work: the host draws index rows, sends them off with the state, and reads what
came back about twice a second.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import jax
import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.probes.definition import Probe, named
from jaxopt_course.problems.objective import Problem, num_examples
from jaxopt_course.schedules.batch_size import Stages
from jaxopt_course.training import samplers, stopping
from jaxopt_course.training.checkpoint import Saver, make_folder, resumed
from jaxopt_course.training.progress import Progress
from jaxopt_course.training.result import Moment, Result
from jaxopt_course.training.run import Options, Run
from jaxopt_course.training.state import (
    as_seed,
    as_transformation,
    check_problem,
    check_state,
    init_state,
    owned,
    with_probes,
    with_sampler,
)
from jaxopt_course.training.step import RESERVED, TrainState, metric_names
from jaxopt_course.transform import check_schedules
from jaxopt_course.types import Key

__all__ = ["fit"]


def fit(
    problem: Problem,
    optimizer: optax.GradientTransformation,
    *,
    batch_size: int | Stages | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    key: int | Key = 0,
    sampler: samplers.Sampler | None = None,
    drop_remainder: bool = False,
    evaluate: int | Literal["epoch"] | None = "epoch",
    stop: Any = (),
    callbacks: Callable[[Moment], Any] | Sequence[Callable[[Moment], Any]] = (),
    probes: Probe | Sequence[Probe] | Mapping[str, Probe] = (),
    state: TrainState | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    nonfinite: Literal["raise", "stop", "continue"] = "raise",
    progress: bool = False,
) -> Result:
    """Train, as one compiled program.

    θ ← θ + update(∇(Σ wᵢ ℓᵢ + λR)), over mini-batches

    Args:
        problem: what to minimise.
        optimizer: any gradient transformation, ours or optax's.
        batch_size: m, from 1 to n; 32 by default (n under ``samplers.full()``). Or sizes that change between epochs, from
            :mod:`jaxopt_course.schedules.batch_size`: each compiles once.
        epochs: passes over the data, in this run. steps: or updates. 10 epochs by default, or as many as a schedule of batch
            sizes lists.
        key: an integer or a JAX key; it decides the initial parameters, the order of examples, and dropout.
        sampler: one of :mod:`jaxopt_course.training.samplers`; ``shuffle()`` by default.
        drop_remainder: leave each epoch's ragged last batch out. Otherwise it counts exactly, by weights, except where
            examples depend on their batch (scalar losses, batch statistics): there it is always left out, and samplers that
            weigh examples are refused.
        evaluate: evaluate on the validation split every so many steps, or each ``"epoch"``, or never (None); before the
            first step and after the last one too.
        stop: stopping criteria from :mod:`jaxopt_course.training.stopping`, one or several.
        callbacks: functions of a :class:`Moment`, called as often as ``evaluate`` says, with a validation split or without:
            before the first step too, but not where a run goes on. If that is never, then about twice a second. Returning
            True stops the run.
        probes: what to record of each step besides, from :mod:`jaxopt_course.probes` or your own; or ``{name: probe}``. Their
            time is in the history's ``seconds``; without them nothing is added to the program.
        state: go on from an earlier run's ``result.state``, left intact: with its key, and with the hyperparameters in it, not
            with ``optimizer``'s (:func:`jc.set_hyperparams <jaxopt_course.set_hyperparams>` sets others). It counts steps:
            which epoch and which examples come next follows from their number, as if all had been of this call's
            ``batch_size`` and ``drop_remainder``. A size that changes on the way is a schedule of sizes.
        checkpoint: a folder to save the state in: now and then, in at most a twentieth of the time, and at the end. After a
            kill, the same call goes on from there (``epochs`` and ``steps`` count from its first call, the history from this
            one) and ends where one call would have ended, to the bit; a call with other batches is refused. Hyperparameters
            go on as saved, as with ``state``.
        nonfinite: what to do at the step where the loss turns non-finite: raise, or stop, or continue.
        progress: show a progress bar.

    Returns:
        A :class:`Result`: parameters, history, state.

    Raises:
        TypeError, ValueError: an argument is not what it should be, before anything compiles; or a scheduled hyperparameter
            leaves what it accepts within this run's steps.
        FileNotFoundError, ValueError: ``checkpoint`` is of another problem, optimizer, key, batch size or sampler; names what
            differs.
        OSError: ``checkpoint`` cannot be written to.
        NonFiniteError: the loss turned non-finite; it has the run so far as ``.result``.

    >>> import jaxopt_course as jc
    >>> problem = jc.problems.linear_regression(num_examples=80, num_features=3)
    >>> result = fit(problem, jc.sgd(0.1), batch_size=8, epochs=5)
    >>> result.steps, bool(result.history.loss[-1] < result.history.loss[0])
    (50, True)

    References:
        Algorithms 2.1 and 2.2 of lecture 004; stopping: lecture 003 [B1, F1].
    """
    check_problem("fit", problem)
    optimizer = as_transformation("fit", optimizer)
    train = problem.data.train
    plan = samplers.plan("fit", sampler, num_examples(train), batch_size, drop_remainder, data=train)
    samplers.check_weights("fit", plan, problem)
    _check_length(epochs, steps)
    _check_interval(evaluate)
    checks.check_choice("fit", "nonfinite", nonfinite, ("raise", "stop", "continue"))
    checks.check_bool("fit", "progress", progress)
    criteria = _criteria(stop, problem, evaluate)
    calls = _callbacks(callbacks)
    probes = named("fit", probes, RESERVED)
    seed = as_seed("fit", key)
    state = init_state(problem, optimizer, seed) if state is None else owned(check_state("fit", problem, optimizer, state))
    state = with_probes(probes, with_sampler("fit", plan, state))
    plan = dataclasses.replace(
        plan,
        drop_remainder=plan.drop_remainder or problem.objective.coupled or bool(jax.tree.leaves(state.model_state)),
        seed=tuple(int(word) for word in np.ravel(jax.random.key_data(state.key))),
    )
    first, saver = int(state.step), None
    if checkpoint is not None:
        _check_no_memory(criteria)
        state = resumed("fit", checkpoint, state, plan.settings)
        make_folder("fit", checkpoint)  # found out before the training, not after
        saver = Saver(checkpoint, plan.settings)
    listed = batch_size.epochs if isinstance(batch_size, Stages) else 10
    total = int(steps or plan.steps(first, int(epochs or listed))) - (int(state.step) - first)
    if total < 0:
        raise ValueError(f"fit: checkpoint {checkpoint} is at step {state.step}, {-total} more than are asked for")
    check_schedules("fit", state.opt_state, total)
    interval = "epoch" if evaluate == "epoch" else int(evaluate or 0)
    if problem.data.validation is None and not calls:
        interval = 0
    with Progress(total, progress, problem.name) as bar:
        options = Options(total, interval, criteria, calls, nonfinite, probes, saver)
        return Run(problem, optimizer, plan, state, options, bar).train()


def _check_length(epochs: Any, steps: Any) -> None:
    if epochs is not None and steps is not None:
        raise ValueError(f"fit: give epochs or steps, not both; got epochs={epochs}, steps={steps}")
    for name, value in (("epochs", epochs), ("steps", steps)):
        if value is not None:
            checks.check_integer("fit", name, value)


def _check_interval(evaluate: Any) -> None:
    whole = isinstance(evaluate, (int, np.integer)) and not isinstance(evaluate, bool) and evaluate >= 1
    if not (whole or evaluate is None or (isinstance(evaluate, str) and evaluate == "epoch")):
        raise ValueError(f"fit: evaluate must be a number of steps >= 1, 'epoch' or None; got {evaluate!r}")


def _criteria(stop: Any, problem: Problem, evaluate: Any) -> tuple[Any, ...]:
    criteria = stopping.criteria("fit", stop, stopping.EarlyStopping, stopping.Budget)
    early = next((c for c in criteria if isinstance(c, stopping.EarlyStopping)), None)
    if early and problem.data.validation is None:
        raise ValueError(f"fit: early stopping needs a validation split, and {problem.name} has none")
    if early and evaluate is None:
        raise ValueError("fit: early stopping needs evaluations; got evaluate=None (a number of steps, or 'epoch')")
    if early and early.metric not in ("loss", "objective"):
        names = ["loss", "objective", *metric_names(problem)]
        if early.metric not in names:
            raise ValueError(f"fit: early stopping by unknown metric {early.metric!r}{checks.closest(early.metric, names)}")
    return criteria


def _check_no_memory(criteria: tuple[Any, ...]) -> None:
    if criteria:
        raise ValueError(f"fit: give checkpoint or stop, not both: what {criteria[0]} has seen is not in a checkpoint")


def _callbacks(callbacks: Any) -> tuple[Callable[[Moment], Any], ...]:
    if not (callable(callbacks) or isinstance(callbacks, Iterable)):
        raise TypeError(f"fit: callbacks must be functions of a Moment, one or several; got {callbacks!r}")
    calls = (callbacks,) if callable(callbacks) else tuple(callbacks)
    for call in calls:
        if not callable(call):
            raise TypeError(f"fit: callbacks must be functions of a Moment; got {call!r}")
    return calls
