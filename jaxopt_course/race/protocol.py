"""A fair race: every optimizer gets a learning rate of its own, from a grid, on validation; the winners run again.

1. Each optimizer trains with all learning rates of its grid, from the same start on the same batches: one ``jc.sweep``. The
   one with the best validation loss at the end is its own; if that is at an edge, the grid grows there until it is not. With
   several tuning seeds, each rate trains on all, and the mean decides.
2. Each runs again on several new seeds. Seed s means the same start and batches for all, so differences are paired.
3. The test metric is reported with a confidence interval, and each optimizer is compared with the best by a paired t-test,
   corrected for the number of comparisons (Holm).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxopt_course import checks
from jaxopt_course.problems.objective import Problem
from jaxopt_course.race.contestants import Contestant, Optimizers, contestants
from jaxopt_course.race.outcome import Meet, Race, datasets, final_value
from jaxopt_course.race.search import Scores, of_results, sweepable, swept
from jaxopt_course.training.fit import fit
from jaxopt_course.training.progress import Progress
from jaxopt_course.training.result import Result
from jaxopt_course.training.step import metric_names
from jaxopt_course.types import falls as falls_by_name

__all__ = ["race"]

MOST_EXTENSIONS = 6
TUNING_SEED = 0


def race(
    problem: Problem,
    optimizers: Optimizers = "all",
    *,
    seeds: int = 5,
    tuning_seeds: int = 1,
    batch_size: int = 32,
    epochs: int = 20,
    learning_rates: Sequence[float] | None = None,
    metric: str | None = None,
    falls: bool | None = None,
    level: float = 0.95,
    progress: bool = False,
) -> Race:
    """Tune each optimizer's learning rate on validation, run the winners on several seeds, compare them on the test set.

    Args:
        problem: with validation and test splits.
        optimizers: ``"all"`` of the catalog; or names from it, and other libraries' (``"optax.lion"``); or name → function
            from a learning rate to an optimizer.
        seeds: final runs of each optimizer, at least 2.
        tuning_seeds: runs of each learning rate, whose mean decides.
        batch_size: m. epochs: passes over the data in every run.
        learning_rates: one grid for all, ascending; by default the catalog's (foreign ones: around their default, or from
            10⁻⁴ to 1).
        metric: what is compared on the test set: the problem's first metric by default, else ``"loss"``.
        falls: whether less of it is better; by default where its name has "loss", "error" or "objective" in it.
        level: of the confidence intervals.
        progress: show a progress bar over all runs; a grid's are done all at once.

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
    _check(problem, seeds, tuning_seeds, batch_size, epochs, level, progress)
    entrants = contestants(optimizers, learning_rates)
    metrics = [*metric_names(problem), "loss"]
    if metric is not None and metric not in metrics:
        raise ValueError(f"race: unknown metric {metric!r}{checks.closest(metric, metrics)}")
    falls = None if falls is None else falls_by_name("", falls, "race")
    tried = (TUNING_SEED, *range(TUNING_SEED + seeds + 1, TUNING_SEED + seeds + tuning_seeds))  # the final runs' are others
    meet, interrupted = Meet(problem, seeds, batch_size, epochs, tried, falls=falls), False
    with Progress(sum(len(c.learning_rates) * tuning_seeds + seeds for c in entrants), progress, unit="run") as bar:
        try:
            for entrant in entrants:
                _run(meet, entrant, bar)
        except KeyboardInterrupt:
            interrupted = True
    if not meet.finals:
        raise KeyboardInterrupt("race: before the first optimizer was done")
    return Race(datasets(meet, metric or metrics[0], level, interrupted))


def _run(meet: Meet, entrant: Contestant, bar: Progress) -> None:
    rate = _tune(meet, entrant, bar)
    finals = []
    for seed in meet.seed_names:
        bar.describe(f"{entrant.name}: final run {seed} of {meet.seeds}{_shown(rate)}")
        finals.append(_fit(meet, entrant, rate, TUNING_SEED + seed))
        bar.advance(1, loss=final_value(finals[-1], "validation_loss"))
    meet.rates[entrant.name], meet.finals[entrant.name] = rate, finals


def _tune(meet: Meet, entrant: Contestant, bar: Progress) -> float:
    """The learning rate with the best final validation loss; a grid that it is at the edge of grows."""
    losses: dict[float, float] = {}
    trials: list[dict[str, Any]] = []
    together = sweepable(meet.problem, entrant)
    waiting, extensions = list(entrant.learning_rates), 0
    while waiting:
        for rates in [waiting] if together else [[rate] for rate in waiting]:
            bar.describe(f"{entrant.name}: tuning{_shown(*rates)}")
            for rate, scores in zip(rates, (_swept if together else _fitted)(meet, entrant, rates), strict=True):
                trials.append(_trial(meet, entrant, rate, scores))
                losses[rate] = math.inf if trials[-1]["diverged"] else trials[-1]["validation_loss"]
                bar.advance(len(meet.tuning_seeds), loss=losses[rate])
        waiting = _beyond(losses) if extensions < MOST_EXTENSIONS else []
        extensions += 1
        bar.expect(len(waiting) * len(meet.tuning_seeds))
    best = min(trials, key=lambda trial: losses[trial["learning_rate"]])
    best["selected"] = True
    if _beyond(losses):
        meet.at_edge.append(entrant.name)
    return best["learning_rate"]


def _swept(meet: Meet, entrant: Contestant, rates: Sequence[float]) -> list[Scores]:
    found, spent = swept(meet.problem, entrant, rates, meet.tuning_seeds, meet.batch_size, meet.epochs)
    meet.compiled(entrant.name, spent)
    return found


def _fitted(meet: Meet, entrant: Contestant, rates: Sequence[float]) -> list[Scores]:
    return [of_results([_fit(meet, entrant, rate, seed) for seed in meet.tuning_seeds]) for rate in rates]


def _trial(meet: Meet, entrant: Contestant, rate: float, scores: Scores) -> dict[str, Any]:
    """A learning rate's row: means over the tuning seeds, NaN where one diverged; and their range, if there are several."""
    row: dict[str, Any] = {name: values.mean() for name, values in scores.items()}
    if len(meet.tuning_seeds) > 1:
        row |= {f"{name}_low": values.min() for name, values in scores.items()}
        row |= {f"{name}_high": values.max() for name, values in scores.items()}
    trial = {"optimizer": entrant.name, "learning_rate": rate, "selected": False, **row}
    meet.trials.append(trial | {"diverged": not np.isfinite(row["validation_loss"])})
    return meet.trials[-1]


def _shown(*rates: float) -> str:
    if math.isnan(rates[0]):
        return ""
    return f", rate {rates[0]:.3g}" if len(rates) == 1 else f", {len(rates)} rates"


def _fit(meet: Meet, entrant: Contestant, rate: float, seed: int) -> Result:
    result = fit(
        meet.problem, entrant.factory(rate), batch_size=meet.batch_size, epochs=meet.epochs, key=seed, nonfinite="stop"
    )
    meet.compiled(entrant.name, result.compile_seconds)
    return result


def _beyond(losses: Mapping[float, float]) -> list[float]:
    """Where the grid should grow: beyond the edge that the best learning rate is at; downwards, if all diverged.

    >>> _beyond({0.1: 2.0, 1.0: 1.0}), _beyond({0.1: 2.0, 1.0: 1.0, 10.0: math.inf}), _beyond({0.1: math.inf, 1.0: math.inf})
    ([10.0], [], [0.01])
    """
    grid, best = sorted(losses), min(losses, key=lambda rate: losses[rate])
    if math.isnan(best):  # no learning rate at all
        return []
    diverged = math.isinf(losses[best])
    if len(grid) == 1:
        return [best / 3] if diverged else [best / 3, best * 3]
    if diverged or best == grid[0]:
        return [grid[0] / (grid[1] / grid[0])]
    return [best * (best / grid[-2])] if best == grid[-1] else []


def _check(problem: Any, seeds: Any, tuning_seeds: Any, batch_size: Any, epochs: Any, level: Any, progress: Any) -> None:
    if not isinstance(problem, Problem):
        raise TypeError(f"race: problem must be a jc.Problem; got {problem!r}")
    for split in ("validation", "test"):
        if getattr(problem.data, split) is None:
            raise ValueError(f"race: {problem.name} has no {split} split; a race tunes on validation and reports on test")
    checks.check_integer("race", "seeds", seeds, minimum=2)  # for an interval
    checks.check_integer("race", "tuning_seeds", tuning_seeds)
    checks.check_integer("race", "batch_size", batch_size, maximum=problem.num_examples)
    checks.check_integer("race", "epochs", epochs)
    checks.check_bool("race", "progress", progress)
    checks.check_number("race", "level", level, checks.Interval(0, 1, open_low=True, open_high=True))
