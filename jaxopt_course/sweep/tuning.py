"""``jc.tune``: a sweep that looks where it went well before. Optuna proposes, a population at a time; a sweep tries them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.problems.objective import Problem
from jaxopt_course.sweep.execution import Runner
from jaxopt_course.sweep.matching import match
from jaxopt_course.sweep.ranges import Range
from jaxopt_course.sweep.spaces import Space, categorical, check_ranges, labels, zipped
from jaxopt_course.sweep.sweeping import check_uses, describe, read_options, sweep
from jaxopt_course.training.clock import Clock
from jaxopt_course.training.progress import Progress
from jaxopt_course.types import falls as falls_by_name

if TYPE_CHECKING:
    import optuna
    import xarray as xr

__all__ = ["tune"]

SETTINGS = "jaxopt_course"  # the study's attribute with what every trial has in common
PLAIN = (bool, int, float, str, type(None))  # what Optuna keeps as it is
KEPT = ("progress", "store")  # what has no place among a sweep's checked options
FIXED = {
    "evaluate": "a trial reports the metric after each epoch",
    "store": "the study keeps the trials: study=optuna.create_study(storage='sqlite:///tune.db')",
}


def tune(
    problem: Problem | Callable[..., Problem],
    factory: Callable[..., optax.GradientTransformation],
    space: Mapping[str, Range],
    *,
    trials: int = 64,
    population: int = 16,
    study: optuna.Study | None = None,
    metric: str = "validation_loss",
    falls: bool | None = None,
    seed: int = 0,
    seeds: int | Sequence[int] = 1,
    progress: bool = False,
    **options: Any,
) -> optuna.Study:
    """Search a space adaptively: Optuna's sampler asks for a population of trials, one sweep trains it, and tells.

    cᵢ ~ p(c | what was told so far), i = 1 … population;  told: meanₛ metric(cᵢ, s)

    All populations share their compiled programs. A trial reports the metric after each epoch, and has the other results as
    user attributes: those on the test set too, which choose nothing. One that diverged is pruned, with what it reached before:
    samplers that look at pruned trials (TPE) keep away from there.

    Args:
        problem: what to train, or a function from tuned values to it, as for ``jc.sweep``.
        factory: from tuned values to an optimizer, as for ``jc.sweep``.
        space: name → :func:`~jaxopt_course.sweep.spaces.linear`, ``log``, ``integers`` or ``categorical``.
        trials: how many more configurations to try.
        population: how many of them at a time: more are faster, fewer learn more from each other.
        study: Optuna's, to continue or with a sampler and a storage of your own; by default one in memory with TPE.
        metric: what to tune: loss, validation_loss, validation_….
        falls: whether less of it is better; by default where its name has "loss", "error" or "objective" in it.
        seed: of the sampler, where ``study`` is not given.
        seeds: runs of each configuration, whose mean is told.
        progress: show a progress bar over the trials.
        options: ``batch_size``, ``epochs``, ``vary``, ``sampler`` (of examples), ``lanes``, … as for ``jc.sweep``.

    Returns:
        The study: ``study.best_params`` are arguments for ``factory``, but a category that is no number, boolean, string or
        None (a function) stands there by its name; ``optuna.visualization`` and Optuna's dashboard show the rest. Ctrl-C ends
        the search early: trials under way are told as failed.

    Raises:
        ImportError: Optuna is not installed (``pip install 'jaxopt_course[tune]'``).
        TypeError, ValueError: as for ``jc.sweep``, before the first trial, where a range's end or a category is refused; or
            the study is of another direction, space, or setting.

    >>> import jaxopt_course as jc
    >>> study = tune(jc.problems.digits(), jc.sgd, {"learning_rate": jc.spaces.log(1e-4, 10.0)}, trials=8, population=4,
    ...              epochs=1)
    >>> study.best_params["learning_rate"] > 1e-2
    True

    To keep a study, and continue it: ``optuna.create_study(storage="sqlite:///tune.db", study_name="momentum",
    load_if_exists=True)``.

    References:
        Akiba, Sano, Yanase, Ohta and Koyama, Optuna: a next-generation hyperparameter optimization framework, 2019; Bergstra,
        Bardenet, Bengio and Kégl, Algorithms for hyper-parameter optimization, 2011. Hyperparameters are chosen on
        validation [A3].
    """
    optuna = _import()
    if not isinstance(space, Mapping) or not space:
        error = ValueError if isinstance(space, Mapping) else TypeError
        raise error(f"tune: space must be name → range: {{'learning_rate': jc.spaces.log(1e-4, 1.0)}}; got {space!r}")
    check_ranges("tune", space)
    checks.check_bool("tune", "progress", progress)
    left = checks.check_integer("tune", "trials", trials)
    population = checks.check_integer("tune", "population", population)
    checks.check_integer("tune", "seed", seed, minimum=0, maximum=2**32 - 1)
    distributions = {name: _distribution(optuna, name, axis) for name, axis in space.items()}
    settings = _settings(problem, factory, space, metric, options | {"seeds": seeds})
    direction = "minimize" if falls_by_name(metric, falls, "tune") else "maximize"
    own = study is None
    study = _new_study(optuna, direction, seed) if study is None else study
    _check_study(optuna, study, direction, settings, distributions)
    study.set_user_attr(SETTINGS, settings)
    with Progress(trials, progress, "tune", "trial") as bar:
        while left:
            asked: list[optuna.Trial] = []
            try:
                for _ in range(min(left, population)):
                    asked.append(study.ask(distributions))
                tried = [{name: _value(axis, trial.params[name]) for name, axis in space.items()} for trial in asked]
                results, places = _train(problem, factory, space, tried, population, seeds=seeds, **options)
                for trial, place in zip(asked, places, strict=True):
                    _tell(optuna, study, trial, results.isel(configuration=place), metric)
            except BaseException as error:
                for trial in asked:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
                if isinstance(error, KeyboardInterrupt) and left < trials:
                    break
                if left < trials:
                    kept = "lost; give study=, to keep them" if own else "kept in the study"
                    error.add_note(f"tune: the {trials - left} trials before are {kept}")
                raise
            if results.attrs["incomplete"]:
                break
            left -= len(asked)
            bar.advance(len(asked), **_best(optuna, study))
    return study


def _train(
    problem: Any, factory: Any, space: Mapping[str, Range], tried: list[dict[str, Any]], population: int, **options: Any
) -> tuple[xr.Dataset, list[int]]:
    """A sweep over the trials, and where each one is in it.

    Trials that share a program (equal integers and categories) are filled up with repetitions to a power of two, or to the
    population, so that few sizes are compiled.
    """
    static = [name for name, axis in space.items() if axis.kind in ("integers", "categorical")]
    together: dict[Any, list[int]] = {}
    for i, values in enumerate(tried):
        together.setdefault(tuple((type(values[name]), values[name]) for name in static), []).append(i)
    filled: list[int] = []
    for members in together.values():
        size = min(2 ** math.ceil(math.log2(len(members))), max(population, len(members)))
        filled += members + members[-1:] * (size - len(members))
    results = sweep(problem, factory, _pairs(space, [tried[i] for i in filled]), evaluate="epoch", **options)
    return results, [filled.index(i) for i in range(len(tried))]


def _tell(optuna: Any, study: optuna.Study, trial: optuna.Trial, result: xr.Dataset, metric: str) -> None:
    """Report the metric by epochs, keep the other results, and finish the trial."""
    means = result.drop_vars("diverged_step").mean("seed", skipna=False)
    for epoch, value in zip(result["epoch"].values, means[metric].values, strict=True):
        if np.isfinite(value):
            trial.report(float(value), int(epoch))
    final = {str(name): float(means[name].values.flat[-1]) for name in means.data_vars}
    value, steps = final.pop(metric), result["diverged_step"].values
    for name, other in final.items():
        if np.isfinite(other):
            trial.set_user_attr(name, other)
    if (steps >= 0).any():
        trial.set_user_attr("diverged_step", int(steps[steps >= 0].min()))
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    elif np.isfinite(value):
        study.tell(trial, value)
    else:  # interrupted
        study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _best(optuna: Any, study: optuna.Study) -> dict[str, float]:
    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    return {"best": study.best_value} if done else {}


def _new_study(optuna: Any, direction: str, seed: int) -> optuna.Study:
    """In memory; a trial under way counts as a bad one, so that a population does not crowd in one place."""
    return optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True))


def _import() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ImportError("tune: Optuna is not installed; pip install 'jaxopt_course[tune]'") from error
    return optuna


def _choices(axis: Range) -> list[Any]:
    """A category as Optuna keeps it: None, booleans, numbers and strings as they are, anything else by its name."""
    values = axis.values or ()
    return [value if isinstance(value, PLAIN) else name for value, name in zip(values, labels(values), strict=True)]


def _ends(axis: Range) -> tuple[Any, ...]:
    """The lowest and the highest of a range, or all its categories. Optuna's floats include the end, which ours do not."""
    if axis.values is not None:
        return axis.values
    if axis.kind == "integers":
        return int(axis.low), int(axis.high)
    return axis.low, math.nextafter(axis.high, axis.low)


def _distribution(optuna: Any, name: str, axis: Range) -> Any:
    """Optuna's description of a range."""
    found = optuna.distributions
    if axis.values is not None:
        choices = _choices(axis)
        if min(len(set(choices)), len(set(map(str, choices)))) < len(choices):
            raise ValueError(f"tune: {name} has values that cannot be told apart by their names: {choices}")
        return found.CategoricalDistribution(choices)
    if axis.kind == "integers":
        return found.IntDistribution(*_ends(axis))
    return found.FloatDistribution(*_ends(axis), log=axis.kind == "log")


def _value(axis: Range, param: Any) -> Any:
    """What the factory takes, of what Optuna knows."""
    return param if axis.values is None else dict(zip(_choices(axis), axis.values, strict=True))[param]


def _pairs(space: Mapping[str, Range], rows: Sequence[Mapping[str, Any]]) -> Space:
    """Configurations, one after another, as ``jc.sweep`` takes them."""
    columns = {name: [row[name] for row in rows] for name in space}
    return zipped(**{name: categorical(c) if space[name].kind == "categorical" else c for name, c in columns.items()})


def _settings(
    problem: Any, factory: Any, space: Mapping[str, Range], metric: Any, options: Mapping[str, Any]
) -> dict[str, Any]:
    """What all trials of a study have in common; raises for what a trial would raise.

    By the configuration in the middle, and those around it: every category, each range's lowest and highest value.
    """
    if not isinstance(metric, str):
        raise TypeError(f"tune: metric must be a string; got {metric!r}")
    if metric.startswith("test_"):
        raise ValueError(f"tune: metric must not be a test value, which is reported, not chosen by; got {metric!r}")
    known = {name: p.default for name, p in inspect.signature(sweep).parameters.items() if p.default is not p.empty}
    for name in options:
        if name in FIXED:
            raise TypeError(f"tune: {name} cannot be given: {FIXED[name]}")
        if name not in known:
            raise TypeError(f"tune: unknown argument {name!r}{checks.closest(name, known.keys() - FIXED.keys())}")
    middle = {name: axis.at(np.array([0.5]))[0] for name, axis in space.items()}
    around = _pairs(space, [middle, *(middle | {name: end} for name, axis in space.items() for end in _ends(axis))])
    read = read_options("tune", around, **{name: value for name, value in {**known, **options}.items() if name not in KEPT})
    runners = [Runner(group, read, Clock()) for group in match(problem, factory, around, options.get("batch_size"), "tune")]
    check_uses("tune", runners, around)
    splits = lambda runner: ("", "validation_") if runner.group.problem.data.validation is not None else ("",)
    measured = set.intersection(*({split + name for split in splits(each) for name in each.names} for each in runners))
    if metric not in measured:
        raise ValueError(f"tune: unknown metric {metric!r}{checks.closest(metric, measured)}")
    about = describe(runners[0], factory, around)
    common = {name: about[name] for name in ("problem", "factory", "batch_size", "epochs", "vary", "sampler")}
    return common | {"seeds": list(read.seeds), "drop_remainder": bool(read.drop_remainder), "metric": metric}


def _check_study(
    optuna: Any, study: optuna.Study, direction: str, settings: Mapping[str, Any], distributions: Mapping[str, Any]
) -> None:
    """Raise for what is no study, or one that belongs to another search."""
    if not isinstance(study, optuna.Study):
        raise TypeError(f"tune: study must be an optuna.Study: optuna.create_study(storage='sqlite:///…'); got {study!r}")
    directions = [each.name.lower() for each in study.directions]
    if directions != [direction]:
        told = f"{settings['metric']} is to {direction}; the study is to {' and '.join(directions)}"
        raise ValueError(f"tune: {told}: make it by optuna.create_study(direction={direction!r})")
    before = study.user_attrs.get(SETTINGS, settings)
    for name, value in settings.items():
        if before.get(name) != value:
            raise ValueError(f"tune: the study was tuned with {name}={before.get(name)!r}; got {value!r}")
    found = [item for trial in study.get_trials(deepcopy=False) for item in trial.distributions.items()]
    for name, known in found:
        try:
            optuna.distributions.check_distribution_compatibility(known, distributions.get(name))
        except ValueError as error:
            raise ValueError(f"tune: the study has {name} from {known}; got {distributions.get(name)}") from error
