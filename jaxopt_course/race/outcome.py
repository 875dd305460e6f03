"""What a race found, as labelled datasets, and as what the user holds."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxopt_course.problems.objective import Problem
from jaxopt_course.sweep.results import versions
from jaxopt_course.training.result import Result, evaluate_split
from jaxopt_course.types import falls

if TYPE_CHECKING:
    from jaxopt_course.report.schema import RaceData

__all__ = ["Meet", "Race", "datasets", "final_value", "machine", "quantities", "test_values"]


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


@dataclasses.dataclass
class Meet:
    """The runs of a race, as they come in.

    Attributes:
        trials: a row for each learning rate that was tried.
        finals: optimizer → its runs with the selected rate, one for each seed.
        at_edge: optimizers whose grid could not grow any more.
        falls: whether less of the metric is better; None: as its name says.
    """

    problem: Problem
    seeds: int
    batch_size: int
    epochs: int
    tuning_seeds: Sequence[int] = (0,)
    trials: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    finals: dict[str, list[Result]] = dataclasses.field(default_factory=dict)
    rates: dict[str, float] = dataclasses.field(default_factory=dict)
    compile_seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    at_edge: list[str] = dataclasses.field(default_factory=list)
    falls: bool | None = None

    @property
    def seed_names(self) -> range:
        """1, 2, …: the final runs' seeds, and their coordinate."""
        return range(1, self.seeds + 1)

    def compiled(self, name: str, seconds: float) -> None:
        """Add to the seconds that an optimizer spent compiling."""
        self.compile_seconds[name] = self.compile_seconds.get(name, 0.0) + seconds


def quantities(result: Result) -> list[str]:
    """The validation variables of a run; the objective is the loss where nothing is added to it."""
    redundant = "" if result.problem.regularizer else "validation_objective"
    return [str(name) for name in result.history.data_vars if str(name).startswith("validation_") and name != redundant]


def final_value(result: Result, name: Any) -> float:
    """The final value of an evaluation, or NaN where the run diverged before it."""
    values = result.history[name].values
    diverged = result.steps < result.requested or not len(values)
    return math.nan if diverged else float(values[-1])


def datasets(meet: Meet, metric: str, level: float, interrupted: bool) -> RaceData:
    """The datasets of :mod:`jaxopt_course.report.schema`."""
    import xarray as xr

    from jaxopt_course.report.schema import RaceData

    names = list(meet.finals)
    longest = max((run.history for runs in meet.finals.values() for run in runs), key=lambda h: h.sizes["epoch"])

    def stack(variable: str) -> Any:
        rows = np.full((len(names), meet.seeds, longest.sizes["epoch"]), np.nan)
        for i, name in enumerate(names):
            for j, run in enumerate(meet.finals[name]):
                values = run.history[variable].values
                rows[i, j, : len(values)] = values
        return ("optimizer", "seed", "evaluation"), rows

    costs = {"gradient_evaluations": "epoch_gradient_evaluations", "seconds": "epoch_seconds"}
    measured = {name: name for name in quantities(meet.finals[names[0]][0])}
    curves = xr.Dataset(
        {name: stack(variable) for name, variable in (measured | costs).items()},
        {
            "optimizer": names,
            "seed": list(meet.seed_names),
            "evaluation": longest["epoch_step"].values,
            "epoch": ("evaluation", longest["epoch"].values),
            "examples": ("evaluation", longest["epoch_examples"].values),
        },
    )
    tuning = xr.Dataset({key: ("trial", np.array([trial[key] for trial in meet.trials])) for key in meet.trials[0]})
    return RaceData(curves, tuning.assign_attrs(_starts(meet)), _table(meet, names, metric, level, interrupted))


def _starts(meet: Meet) -> dict[str, float]:
    """``start_<quantity>``: the mean over the tuning seeds before training."""
    found: dict[str, list[float]] = {}
    for seed in meet.tuning_seeds:
        params, model_state = meet.problem.init(jax.random.split(jax.random.key(seed))[0])
        for split in ("validation", "test"):
            values = evaluate_split(meet.problem, params, model_state, getattr(meet.problem.data, split))
            for name, value in values.items():
                found.setdefault(f"start_{split}_{name}", []).append(float(value))
    return {name: float(np.mean(values)) for name, values in found.items()}


def _table(meet: Meet, names: list[str], metric: str, level: float, interrupted: bool) -> Any:
    import xarray as xr

    from jaxopt_course import statistics  # scipy.stats takes a second to load

    tests = {name: [test_values(run) for run in meet.finals[name]] for name in names}
    measured = list(next(iter(tests.values()))[0])
    scores = {m: {name: np.array([test[m] for test in tests[name]]) for name in names} for m in measured}
    columns: dict[str, list[float]] = {}
    for m in measured:
        estimates = [statistics.confidence_interval(scores[m][name], level) for name in names]
        for suffix, part in (("", "mean"), ("_low", "low"), ("_high", "high")):
            columns[m + suffix] = [getattr(estimate, part) for estimate in estimates]
    lower = falls(metric, meet.falls)
    ranked = f"test_{metric}"
    means = np.array(columns[ranked]) * (1 if lower else -1)
    best = names[int(np.nanargmin(means))] if np.isfinite(means).any() else names[0]
    others = [name for name in names if name != best]
    p_values = dict(
        zip(
            others,
            statistics.holm([statistics.paired_test(scores[ranked][n], scores[ranked][best]) for n in others]),
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
        "tuning_seeds": len(meet.tuning_seeds),
        "level": level,
        "machine": machine(),
        "versions": versions(),
    }
    if meet.at_edge:
        attributes["learning rate at the edge of its grid"] = ", ".join(meet.at_edge)
    return xr.Dataset({key: ("optimizer", values) for key, values in columns.items()}, {"optimizer": names}, attributes)


def test_values(run: Result) -> dict[str, float]:
    """``test_…`` at the end of a run, or NaN where it diverged."""
    values = {f"test_{k}": v for k, v in run.evaluate("test").items() if f"validation_{k}" in quantities(run)}
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
