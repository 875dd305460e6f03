"""A fair race: every optimizer gets a learning rate of its own, from a grid, on validation; the winners run again.

1. Each optimizer trains with each learning rate of its grid, from the same start on the same batches. The one with the best
   validation loss at the end is its own; if that is at an edge, the grid grows there until it is not.
2. Each runs again on several new seeds. Seed s means the same start and batches for all, so differences are paired.
3. The test metric is reported with a confidence interval, and each optimizer is compared with the best by a paired t-test,
   corrected for the number of comparisons (Holm).
"""

from __future__ import annotations

import dataclasses
import math
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.optimizers import CATALOG
from jaxopt_course.problems.objective import Problem
from jaxopt_course.training.fit import Result, fit
from jaxopt_course.training.progress import Progress

if TYPE_CHECKING:
    from jaxopt_course.report.schema import RaceData

__all__ = ["Contestant", "Race", "contestants", "race"]

MOST_EXTENSIONS = 6
TUNING_SEED = 0


@dataclasses.dataclass(frozen=True)
class Contestant:
    """An optimizer in a race: a function from a learning rate to an optimizer, and the grid to try."""

    name: str
    factory: Callable[[float], optax.GradientTransformation]
    learning_rates: tuple[float, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Race:
    """A finished (or interrupted) race.

    Attributes:
        data: curves, tuning and table as labelled datasets (see :mod:`jaxopt_course.report.schema`).

    ``print(race)`` shows the table; ``race.report("race.html")`` writes the page, ``race.plot()`` draws the picture.
    """

    data: RaceData

    @property
    def incomplete(self) -> bool:
        """Whether the race was interrupted."""
        return bool(self.data.attrs["incomplete"])

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write the interactive page, self-contained. Raises OSError, naming the path, if that cannot be written."""
        from jaxopt_course.report import files, html

        return files.write(path, html.race_page(self.data))

    def plot(self, **options: Any) -> Any:
        """Learning curves and learning-rate sensitivity as a figure."""
        from jaxopt_course.report import curves

        return curves.race_figure(self.data, **options)

    def __str__(self) -> str:
        from jaxopt_course.report import tables

        return tables.race_table(self.data)

    __repr__ = __str__


def race(
    problem: Problem,
    optimizers: Literal["all"] | Sequence[str] | Mapping[str, Callable[[float], optax.GradientTransformation]] = "all",
    *,
    seeds: int = 5,
    batch_size: int = 32,
    epochs: int = 20,
    learning_rates: Sequence[float] | None = None,
    metric: str | None = None,
    level: float = 0.95,
    progress: bool = False,
) -> Race:
    """Tune each optimizer's learning rate on validation, run the winners on several seeds, compare them on the test set.

    Args:
        problem: with validation and test splits.
        optimizers: ``"all"`` of the catalog, names from it, or name → function from a learning rate to an optimizer.
        seeds: final runs of each optimizer, at least 2.
        batch_size: m. epochs: passes over the data in every run.
        learning_rates: one grid for all, ascending; by default the catalog's (for functions, 10⁻⁴ to 1).
        metric: what is compared on the test set: the problem's first metric by default, else ``"loss"``.
        level: of the confidence intervals.
        progress: show a progress bar over all runs.

    Returns:
        A :class:`Race`. Ctrl-C ends it early: what is finished is in it, and ``incomplete`` is True.

    Raises:
        TypeError, ValueError: an unknown optimizer (with the closest match), a problem without the splits, a bad number.

    >>> import jaxopt_course as jc
    >>> result = race(jc.problems.digits(), ["sgd", "adam"], seeds=2, epochs=1, learning_rates=[0.01, 0.1])
    >>> sorted(result.data.optimizers)
    ['adam', 'sgd']

    References:
        Lectures 001, 003: tune on validation, report on test [A3].
    """
    entrants = contestants(optimizers, learning_rates)
    _check(problem, seeds, batch_size, epochs, level)
    metrics = _metric_names(problem)
    if metric is not None and metric not in metrics:
        raise ValueError(f"race: unknown metric {metric!r}{checks.closest(metric, metrics)}")
    meet = _Meet(problem, entrants, seeds, batch_size, epochs)
    interrupted = False
    with Progress(sum(len(c.learning_rates) + seeds for c in entrants), progress, unit="run") as bar:
        try:
            meet.run(bar)
        except KeyboardInterrupt:
            interrupted = True
    if not meet.finals:
        raise KeyboardInterrupt("race: interrupted before the first optimizer was done")
    return Race(_datasets(meet, metric or metrics[0], level, interrupted))


def contestants(
    optimizers: Literal["all"] | Sequence[str] | Mapping[str, Callable[[float], optax.GradientTransformation]],
    learning_rates: Sequence[float] | None = None,
) -> list[Contestant]:
    """The optimizers of a race, checked.

    >>> [c.name for c in contestants(["adam", "sgd"])]
    ['adam', 'sgd']
    """
    if learning_rates is not None:
        for rate in learning_rates:
            checks.check_number("race", "learning_rates", rate, checks.Interval(0, open_low=True))
        if not len(learning_rates):
            raise ValueError("race: learning_rates is empty; give at least one number > 0")
    grid = None if learning_rates is None else tuple(sorted(float(rate) for rate in learning_rates))
    if isinstance(optimizers, Mapping):
        default = tuple(10.0 ** np.arange(-4, 1))
        return [Contestant(name, factory, grid or default) for name, factory in optimizers.items()]
    names: Iterable[str] = CATALOG if optimizers == "all" else [optimizers] if isinstance(optimizers, str) else optimizers
    found = []
    for name in dict.fromkeys(names):
        if name not in CATALOG:
            raise ValueError(f"race: unknown optimizer {name!r}{checks.closest(name, CATALOG)}")
        found.append(Contestant(name, CATALOG[name].factory, grid or CATALOG[name].learning_rates))
    if not found:
        raise ValueError(f"race: no optimizers; give names from the catalog{checks.closest('', CATALOG)}")
    return found


@dataclasses.dataclass
class _Meet:
    """The runs of a race, as they come in."""

    problem: Problem
    entrants: list[Contestant]
    seeds: int
    batch_size: int
    epochs: int
    trials: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    finals: dict[str, list[Result]] = dataclasses.field(default_factory=dict)
    rates: dict[str, float] = dataclasses.field(default_factory=dict)
    compile_seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    def run(self, bar: Progress) -> None:
        for entrant in self.entrants:
            rate = self._tune(entrant, bar)
            runs = []
            for seed in range(1, self.seeds + 1):
                bar.describe(f"{entrant.name}: final run {seed} of {self.seeds}, rate {rate:.3g}")
                runs.append(self._fit(entrant, rate, TUNING_SEED + seed))
                bar.advance(1, loss=_last(runs[-1], "validation_loss"))
            self.rates[entrant.name], self.finals[entrant.name] = rate, runs

    def _tune(self, entrant: Contestant, bar: Progress) -> float:
        """The learning rate with the best final validation loss; a grid that it is at the edge of grows."""
        losses: dict[float, float] = {}
        waiting = list(entrant.learning_rates)
        first = len(self.trials)
        for _ in range(MOST_EXTENSIONS + 1):
            for rate in waiting:
                bar.describe(f"{entrant.name}: tuning, rate {rate:.3g}")
                losses[rate] = self._try(entrant, rate)
                bar.advance(1, loss=losses[rate])
            best, grid = min(losses, key=lambda r: losses[r]), sorted(losses)
            waiting = _beyond(best, grid) if math.isfinite(losses[best]) or len(grid) == 1 else [grid[0] ** 2 / grid[1]]
            if not waiting:
                break
            bar.expect(len(waiting))
        else:
            bar.expect(-len(waiting))
        for trial in self.trials[first:]:
            trial["selected"] = trial["learning_rate"] == best
        return best

    def _try(self, entrant: Contestant, rate: float) -> float:
        result = self._fit(entrant, rate, TUNING_SEED)
        final = {name: _last(result, name) for name in _quantities(result)}
        diverged = not math.isfinite(final["validation_loss"])
        self.trials.append(
            {"optimizer": entrant.name, "learning_rate": rate, "diverged": diverged, "selected": False, **final}
        )
        return math.inf if diverged else final["validation_loss"]

    def _fit(self, entrant: Contestant, rate: float, seed: int) -> Result:
        result = fit(
            self.problem, entrant.factory(rate), batch_size=self.batch_size, epochs=self.epochs, key=seed, nonfinite="stop"
        )
        spent = self.compile_seconds.get(entrant.name, 0.0)
        self.compile_seconds[entrant.name] = spent + result.compile_seconds
        return result


def _beyond(best: float, grid: list[float]) -> list[float]:
    """One more learning rate, if the best is at an edge of the grid."""
    if len(grid) == 1:
        return [best / 3, best * 3]
    if best == grid[0]:
        return [best * best / grid[1]]
    if best == grid[-1]:
        return [best * best / grid[-2]]
    return []


def _quantities(result: Result) -> list[str]:
    """The validation variables of a run; the objective is the loss where nothing is added to it."""
    redundant = "" if result.problem.regularizer else "validation_objective"
    return [str(name) for name in result.history.data_vars if str(name).startswith("validation_") and name != redundant]


def _last(result: Result, name: Any) -> float:
    """The final value of an evaluation, or NaN where the run diverged before it."""
    values = result.history[name].values
    diverged = result.steps < result.requested or not len(values)
    return math.nan if diverged else float(values[-1])


def _datasets(meet: _Meet, metric: str, level: float, interrupted: bool) -> RaceData:
    import xarray as xr

    from jaxopt_course.report.schema import RaceData

    names = list(meet.finals)
    longest = max((r.history for runs in meet.finals.values() for r in runs), key=lambda h: h.sizes["epoch"])
    evaluations = longest.sizes["epoch"]

    def stack(variable: str) -> Any:
        rows = np.full((len(names), meet.seeds, evaluations), np.nan)
        for i, name in enumerate(names):
            for j, run in enumerate(meet.finals[name]):
                values = run.history[variable].values
                rows[i, j, : len(values)] = values
        return ("optimizer", "seed", "evaluation"), rows

    quantities = _quantities(next(iter(meet.finals.values()))[0])
    curves = xr.Dataset(
        {**{name: stack(name) for name in quantities}, "gradient_evaluations": stack("epoch_step"), "seconds": stack("epoch_seconds")},
        {
            "optimizer": names,
            "seed": np.arange(1, meet.seeds + 1) + TUNING_SEED,
            "evaluation": longest["epoch_step"].values,
            "epoch": ("evaluation", longest["epoch"].values),
            "examples": ("evaluation", longest["epoch_examples"].values),
        },
    )  # fmt: skip
    tuning = xr.Dataset({key: ("trial", np.array([trial[key] for trial in meet.trials])) for key in meet.trials[0]})
    return RaceData(curves, tuning, _table(meet, names, metric, level, interrupted))


def _table(meet: _Meet, names: list[str], metric: str, level: float, interrupted: bool) -> Any:
    import xarray as xr

    from jaxopt_course.race import statistics  # scipy.stats takes a second to load

    tests = {name: [_test(run) for run in meet.finals[name]] for name in names}
    measured = list(next(iter(tests.values()))[0])
    scores = {m: {name: np.array([test[m] for test in tests[name]]) for name in names} for m in measured}
    columns: dict[str, list[float]] = {}
    for m in measured:
        estimates = [statistics.confidence_interval(scores[m][name], level) for name in names]
        for suffix, part in (("", "mean"), ("_low", "low"), ("_high", "high")):
            columns[f"test_{m}{suffix}"] = [getattr(estimate, part) for estimate in estimates]
    lower = metric in ("loss", "objective")
    means = np.array(columns[f"test_{metric}"]) * (1 if lower else -1)
    best = names[int(np.nanargmin(means))] if np.isfinite(means).any() else names[0]
    others = [name for name in names if name != best]
    p_values = dict(
        zip(
            others,
            statistics.holm([statistics.paired_test(scores[metric][n], scores[metric][best]) for n in others]),
            strict=True,
        )
    )
    columns |= {
        "learning_rate": [meet.rates[name] for name in names],
        "p_value": [float(p_values.get(name, np.nan)) for name in names],
        "compile_seconds": [meet.compile_seconds[name] for name in names],
        "run_seconds": [sum(run.run_seconds for run in meet.finals[name]) for name in names],
    }
    attributes = {
        "title": f"{len(names)} optimizers on {meet.problem.name}",
        "problem": meet.problem.name,
        "selection": "validation_loss",
        "metric": metric,
        "lower_is_better": lower,
        "incomplete": interrupted,
        "batch_size": meet.batch_size,
        "epochs": meet.epochs,
        "seeds": meet.seeds,
        "level": level,
        "machine": machine(),
        "versions": ", ".join(f"{name} {metadata.version(name)}" for name in ("jaxopt_course", "jax", "jaxlib", "optax")),
    }
    return xr.Dataset({key: ("optimizer", values) for key, values in columns.items()}, {"optimizer": names}, attributes)


def _test(run: Result) -> dict[str, float]:
    values = {k: v for k, v in run.evaluate("test").items() if f"validation_{k}" in _quantities(run)}
    return values if run.steps == run.requested else dict.fromkeys(values, math.nan)


def machine() -> str:
    """The processor and the number of its cores that this process may use, and the accelerator, if any."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        models = [
            line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
        ]
        name = models[0] if models else name
    device = jax.devices()[0]
    where = "" if device.platform == "cpu" else f", {device.device_kind}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores{where}"


def _metric_names(problem: Problem) -> list[str]:
    params, model_state = jax.eval_shape(problem.init, jax.random.key(0))
    first = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype), problem.data.train)
    shapes = jax.eval_shape(lambda p, s, b: problem.objective(p, s, b).metrics, params, model_state, first)
    return [*shapes, "loss"]


def _check(problem: Problem, seeds: int, batch_size: int, epochs: int, level: float) -> None:
    if not isinstance(problem, Problem):
        raise TypeError(f"race: problem must be a jc.Problem; got {problem!r}")
    for split in ("validation", "test"):
        if getattr(problem.data, split) is None:
            raise ValueError(f"race: {problem.name} has no {split} split; a race tunes on validation and reports on test")
    if checks.check_positive_integer("race", "seeds", seeds) < 2:
        raise ValueError(f"race: seeds must be an integer >= 2, for an interval; got {seeds}")
    checks.check_positive_integer("race", "batch_size", batch_size, maximum=problem.num_examples)
    checks.check_positive_integer("race", "epochs", epochs)
    checks.check_number("race", "level", level, checks.Interval(0, 1, open_low=True, open_high=True))
