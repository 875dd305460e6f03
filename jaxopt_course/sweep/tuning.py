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
from jaxopt_course.sweep.matching import match
from jaxopt_course.sweep.ranges import Range
from jaxopt_course.sweep.spaces import categorical, check_ranges, labels, zipped
from jaxopt_course.sweep.sweeping import sweep
from jaxopt_course.training.progress import Progress
from jaxopt_course.training.step import metric_names
from jaxopt_course.types import falls as falls_by_name

if TYPE_CHECKING:
    import optuna
    import xarray as xr

__all__ = ["tune"]

SETTINGS = "jaxopt_course"  # the study's attribute with what every trial has in common


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
        The study: ``study.best_params`` are arguments for ``factory``; ``optuna.visualization`` and Optuna's dashboard show
        the rest. Ctrl-C ends the search early: trials under way are told as failed.

    Raises:
        ImportError: Optuna is not installed (``pip install 'jaxopt_course[tune]'``).
        TypeError, ValueError: as for ``jc.sweep``; or the study is of another direction, space, or setting.

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
    if not isinstance(space, Mapping):
        raise TypeError(f"tune: space must be name → range: {{'learning_rate': jc.spaces.log(1e-4, 1.0)}}; got {space!r}")
    check_ranges("tune", space)
    left = checks.check_positive_integer("tune", "trials", trials)
    population = checks.check_positive_integer("tune", "population", population)
    settings = _settings(options, seeds)
    settings |= {"metric": metric, "problem": _check_metric(problem, factory, space, options.get("batch_size"), metric)}
    settings["factory"] = getattr(factory, "__name__", type(factory).__name__)
    direction = "minimize" if falls_by_name(metric, falls, "tune") else "maximize"
    if study is None:
        study = _new_study(optuna, direction, seed)
    distributions = {name: _distribution(optuna, name, axis) for name, axis in space.items()}
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
    columns = {name: [tried[i][name] for i in filled] for name in space}
    axes = {name: categorical(column) if space[name].kind == "categorical" else column for name, column in columns.items()}
    return sweep(problem, factory, zipped(**axes), evaluate="epoch", **options), [filled.index(i) for i in range(len(tried))]


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


def _distribution(optuna: Any, name: str, axis: Range) -> Any:
    """Optuna's description of a range. Its floats include the upper end, which ours do not."""
    found = optuna.distributions
    if axis.values is not None:
        choices = labels(axis.values)
        if len(set(map(str, choices))) < len(choices):
            raise ValueError(f"tune: {name} has values that cannot be told apart by their names: {choices}")
        return found.CategoricalDistribution(choices)
    if axis.kind == "integers":
        return found.IntDistribution(int(axis.low), int(axis.high))
    return found.FloatDistribution(axis.low, math.nextafter(axis.high, axis.low), log=axis.kind == "log")


def _value(axis: Range, param: Any) -> Any:
    """What the factory takes, of what Optuna knows."""
    return param if axis.values is None else axis.values[labels(axis.values).index(param)]


def _settings(options: Mapping[str, Any], seeds: Any) -> dict[str, Any]:
    """What all trials of a study have in common; raises for what ``jc.sweep`` does not take."""
    known = {name: p.default for name, p in inspect.signature(sweep).parameters.items() if p.default is not p.empty}
    known = {name: value for name, value in known.items() if name not in ("evaluate", "progress", "seeds")}
    for name in options:
        if name not in known:
            raise TypeError(f"tune: unknown argument {name!r}{checks.closest(name, known)}")
    chosen = {name: value for name, value in {**known, **options}.items() if name not in ("lanes", "memory")}
    plain = lambda value: value if isinstance(value, (int, float, str)) or value is None else str(value)
    return {name: plain(value) for name, value in {**chosen, "seeds": seeds}.items()}


def _check_metric(problem: Any, factory: Any, space: Mapping[str, Range], batch_size: Any, metric: str) -> str:
    """Raise unless the metric is measured, and the names fit; the problem's name. By a configuration in the middle."""
    middle = {name: axis.at(np.array([0.5])) for name, axis in space.items()}
    axes = {name: categorical(values) if space[name].kind == "categorical" else values for name, values in middle.items()}
    chosen = match(problem, factory, zipped(**axes), None if "batch_size" in space else batch_size)[0].problem
    trained = ["loss", *metric_names(chosen)] + ["objective"] * (chosen.regularizer is not None)
    validated = [f"validation_{name}" for name in trained] if chosen.data.validation is not None else []
    if metric.startswith("test_"):
        raise ValueError(f"tune: metric must not be a test value, which is reported, not chosen by; got {metric!r}")
    if metric not in (*trained, *validated):
        raise ValueError(f"tune: unknown metric {metric!r}{checks.closest(metric, (*trained, *validated))}")
    return chosen.name


def _check_study(
    optuna: Any, study: optuna.Study, direction: str, settings: Mapping[str, Any], distributions: Mapping[str, Any]
) -> None:
    """Raise for a study that belongs to another search."""
    directions = [each.name.lower() for each in study.directions]
    if directions != [direction]:
        metric = settings["metric"]
        raise ValueError(f"tune: {metric} is to {direction}; the study is to {' and '.join(directions)}: give it direction=")
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
