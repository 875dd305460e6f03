"""Successive halving and Hyperband: a sweep that stops the losers early.

All configurations train as one population, on common mini-batches, up to the first rung; the best 1/η of them go on to the
next, and so on. Hyperband's brackets, which begin to cut at different rungs, train side by side in that population.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.problems.objective import Problem
from jaxopt_course.sweep.blocks import Options, Vary
from jaxopt_course.sweep.brackets import Bracket, Rules, deal, read_rules, survivors
from jaxopt_course.sweep.matching import match
from jaxopt_course.sweep.results import Table
from jaxopt_course.sweep.rungs import Rung, RungRunner
from jaxopt_course.sweep.spaces import Space
from jaxopt_course.sweep.sweeping import LANES, check_uses, describe, read_options, spent
from jaxopt_course.training import samplers
from jaxopt_course.training.clock import Clock
from jaxopt_course.training.progress import Progress

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["halving", "hyperband"]

DESCRIPTIONS = {
    "rung": "how many selections the configuration survived",
    "epochs_trained": "passes over the training data that every seed of the configuration made",
    "bracket": "how often the configuration's bracket was to be cut",
}


def halving(
    problem: Problem | Callable[..., Problem],
    factory: Callable[..., optax.GradientTransformation] | optax.GradientTransformation,
    space: Space,
    *,
    metric: str = "validation_loss",
    falls: bool | None = None,
    eta: int = 3,
    min_epochs: int = 1,
    max_epochs: int = 27,
    seeds: int | Sequence[int] = 5,
    vary: Vary = "both",
    batch_size: int | None = None,
    sampler: samplers.Sampler | None = None,
    drop_remainder: bool = False,
    evaluate: Literal["epoch", "end"] | None = "epoch",
    lanes: int = LANES,
    memory: float | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Train every configuration of a space a little, the best third three times as long, and so on.

    rung i = 0, 1, …: the best ⌊n / ηⁱ⌋ of n configurations train on, to min_epochs · ηⁱ epochs; in the last, to max_epochs

    A configuration's runs are, up to rounding, those of ``jc.sweep`` until it stops, on the same mini-batches. Those that go
    on are closed up, so nothing is computed for the others; all rungs share one compiled program. Between rungs, the runs'
    states wait in the host's memory.

    Args:
        problem, factory, space, batch_size, sampler, drop_remainder, lanes, memory, progress: as for ``jc.sweep``.
        metric: what to rank by: its mean over seeds at the end of a rung. Configurations with a diverged seed lose.
        falls: whether less of it is better; by default where its name has "loss", "error" or "objective" in it.
        eta: η ≥ 2: one in so many goes on (rounded down, but at least one).
        min_epochs, max_epochs: to the end of the first rung, and of the last.
        seeds, vary: as for ``jc.sweep``: all seeds of a configuration go on, or none.
        evaluate: on the validation split after each ``"epoch"``, or at the ``"end"`` of each rung, or never (None: for a
            metric of training, such as ``"loss"``); on the test split at the very end, those that came so far.

    Returns:
        What ``jc.sweep`` returns, NaN after a configuration stopped; ``jc.best`` chooses among those that reached the end.
        Also ``rung``, how many selections a configuration survived; ``epochs_trained``; and as attributes ``lane_epochs``,
        the epochs of all runs together, ``lane_epochs_full``, the full sweep's, and ``saved``, the part of these that was not
        needed. Ctrl-C ends it early, as it does a sweep.

    Raises:
        TypeError, ValueError: as for ``jc.sweep``; an unknown metric (with the closest match), or a test metric; ``eta`` is
            not an integer ≥ 2; ``max_epochs`` is less than ``min_epochs`` · ``eta``: nothing would ever stop.

    >>> import numpy as np
    >>> import jaxopt_course as jc
    >>> rates = jc.grid(learning_rate=np.geomspace(1e-4, 1.0, 9))
    >>> results = halving(jc.problems.digits(), jc.sgd, rates, seeds=2, max_epochs=9)
    >>> results.epochs_trained.values.tolist()
    [1, 1, 1, 1, 1, 1, 3, 3, 9]
    >>> round(results.attrs["saved"], 2), round(float(jc.best(results).learning_rate), 2)
    (0.74, 1.0)

    References:
        Jamieson and Talwalkar, Non-stochastic best arm identification and hyperparameter optimization, 2016. Lectures 001,
        003: hyperparameters are chosen on validation, the result is reported on test [A3].
    """
    checks.check_bool("halving", "progress", progress)
    rules = read_rules("halving", metric, falls, eta, min_epochs, max_epochs)
    options = read_options(
        "halving", space, seeds, vary, batch_size, max_epochs, evaluate, sampler, drop_remainder, lanes, memory
    )
    brackets = [Bracket(np.arange(len(space)), 0)]
    return _Contest("halving", problem, factory, space, batch_size, options, rules, brackets).run(progress)


def hyperband(
    problem: Problem | Callable[..., Problem],
    factory: Callable[..., optax.GradientTransformation] | optax.GradientTransformation,
    space: Space,
    *,
    metric: str = "validation_loss",
    falls: bool | None = None,
    eta: int = 3,
    min_epochs: int = 1,
    max_epochs: int = 27,
    seeds: int | Sequence[int] = 5,
    vary: Vary = "both",
    batch_size: int | None = None,
    sampler: samplers.Sampler | None = None,
    drop_remainder: bool = False,
    evaluate: Literal["epoch", "end"] | None = "epoch",
    lanes: int = LANES,
    memory: float | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Successive halving in brackets: some cut early and often, some late, one never; so a slow starter can win.

    bracket s = sₘₐₓ, …, 0: ⌈(sₘₐₓ + 1) / (s + 1) · ηˢ⌉ configurations, cut s times, from max_epochs / ηˢ epochs on

    with sₘₐₓ = ⌊log_η(max_epochs / min_epochs)⌋. Those are 27 + 12 + 6 + 4 = 49 configurations with the defaults:
    ``spaces.random(49, …)``. A space of another size is divided in the same proportion. The brackets take consecutive pieces
    of it; those of a grid or a zipped space are dealt in a fixed random order, as its neighbours are alike. All brackets
    train side by side, on the same mini-batches.

    Args:
        problem, factory, space, metric, falls, eta, min_epochs, max_epochs, seeds, vary, batch_size, sampler, drop_remainder,
            evaluate, lanes, memory, progress: as for :func:`halving`.

    Returns:
        As :func:`halving`; and ``bracket``, s.

    Raises:
        TypeError, ValueError: as :func:`halving`.

    >>> import jaxopt_course as jc
    >>> space = jc.spaces.random(10, learning_rate=jc.spaces.log(1e-3, 1.0))
    >>> results = hyperband(jc.problems.digits(), jc.sgd, space, seeds=1, max_epochs=4, eta=2)
    >>> results.bracket.values.tolist(), results.epochs_trained.values.tolist()
    ([2, 2, 2, 2, 1, 1, 1, 0, 0, 0], [4, 2, 1, 1, 2, 4, 2, 4, 4, 4])

    References:
        Li et al., Hyperband: a novel bandit-based approach to hyperparameter optimization, 2018.
    """
    checks.check_bool("hyperband", "progress", progress)
    rules = read_rules("hyperband", metric, falls, eta, min_epochs, max_epochs)
    options = read_options(
        "hyperband", space, seeds, vary, batch_size, max_epochs, evaluate, sampler, drop_remainder, lanes, memory
    )
    brackets = deal(space, eta, len(rules.ends))
    return _Contest("hyperband", problem, factory, space, batch_size, options, rules, brackets).run(progress)


class _Contest(NamedTuple):
    """Configurations, and the rules by which they stop."""

    where: str
    problem: Any
    factory: Any
    space: Space
    batch_size: int | None
    options: Options
    rules: Rules
    brackets: Sequence[Bracket]

    def run(self, progress: bool) -> xr.Dataset:
        """Rung after rung: train those that are in, see who goes on."""
        clock, incomplete = Clock(), False
        table = Table(self.space, self.options.seeds, self.options.epochs)
        trained, rung = np.zeros(table.diverged.shape, int), np.zeros(len(self.space), int)
        runners = self._runners(clock)
        with Progress(0, progress, self.where) as bar:
            try:
                for number, end in enumerate(self.rules.ends):
                    bar.expect(sum(runner.steps_to(end) for runner in runners))
                    for record in itertools.chain.from_iterable(runner.train(end, bar) for runner in runners):
                        table.add(record)
                        trained[record.members, record.seeds] = record.epoch
                    if end < self.options.epochs:
                        self._cut(number, table, rung, runners)
            except KeyboardInterrupt:
                incomplete = True
        if not table.columns:
            raise KeyboardInterrupt(f"{self.where}: before the first result")
        attributes = describe(runners[0], self.factory, self.space) | spent((clock.compiling, clock.running), incomplete)
        return self._labelled(table.dataset(attributes), trained, rung)

    def _runners(self, clock: Clock) -> list[RungRunner]:
        counts = [sum(bracket.places(i, self.rules.eta) for bracket in self.brackets) for i in range(len(self.rules.ends))]
        rungs = [Rung(count / len(self.space), end) for count, end in zip(counts, self.rules.ends, strict=True)]
        groups = match(self.problem, self.factory, self.space, self.batch_size, self.where)
        runners = [RungRunner(group, self.options, clock, rungs) for group in groups]
        check_uses(self.where, runners, self.space)
        known = set.intersection(*(set(runner.measured) for runner in runners))
        if self.rules.metric not in known:
            raise ValueError(f"{self.where}: unknown metric {self.rules.metric!r}{checks.closest(self.rules.metric, known)}")
        for runner in runners:
            runner.fit()  # before any trains: the budget may be too small for the last
        return runners

    def _cut(self, number: int, table: Table, rung: np.ndarray, runners: Sequence[RungRunner]) -> None:
        """See who goes on after a rung, by the means over seeds; count the selections that they survived."""
        scores = table.columns[self.rules.metric][:, :, self.rules.ends[number]].astype(float).mean(axis=1)
        alive = survivors(self.brackets, self.rules, number, scores)
        rung += alive & (self._each(lambda bracket: bracket.first) <= number)
        for runner in runners:
            runner.keep(alive)

    def _labelled(self, results: xr.Dataset, trained: np.ndarray, rung: np.ndarray) -> xr.Dataset:
        """With what each configuration went through, and the work that was done."""
        found = {"rung": rung, "epochs_trained": trained.min(axis=1)}
        if self.where == "hyperband":
            found["bracket"] = self._each(lambda bracket: len(self.rules.ends) - 1 - bracket.first)
        dims = [name for name, _ in self.space.axes]
        for name, values in found.items():
            results[name] = (dims, values.reshape(self.space.shape), {"description": DESCRIPTIONS[name], "units": "1"})
        full = trained.size * self.options.epochs
        return results.assign_attrs(
            method=self.where,
            metric=self.rules.metric,
            lower_is_better=int(self.rules.lower),
            eta=self.rules.eta,
            rung_epochs=list(self.rules.ends),
            lane_epochs=int(trained.sum()),
            lane_epochs_full=full,
            saved=1 - float(trained.sum()) / full,
        )

    def _each(self, of: Callable[[Bracket], int]) -> np.ndarray:
        """For each configuration, something of its bracket."""
        values = np.zeros(len(self.space), int)
        for bracket in self.brackets:
            values[bracket.members] = of(bracket)
        return values
