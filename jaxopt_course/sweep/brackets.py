"""Who goes on: the rungs, the brackets, and the selection at a rung's end. No training here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxopt_course import checks
from jaxopt_course.sweep.spaces import Space
from jaxopt_course.types import falls as falls_by_name

__all__ = ["Bracket", "Rules", "deal", "read_rules", "survivors"]


class Rules(NamedTuple):
    """By what ``metric``, and whether ``lower`` is better; one in ``eta`` goes on; the epochs at the ends of the rungs."""

    metric: str
    lower: bool
    eta: int
    ends: tuple[int, ...]


class Bracket(NamedTuple):
    """Configurations that compete with each other: their numbers; and the first rung at whose end some of them stop."""

    members: np.ndarray
    first: int

    def places(self, rung: int, eta: int) -> int:
        """How many may come to a rung."""
        return max(1, len(self.members) // eta ** max(0, rung - self.first))


def read_rules(where: str, metric: str, falls: bool | None, eta: int, min_epochs: int, max_epochs: int) -> Rules:
    """Checked; rungs end after min_epochs · ηⁱ, the last one after max_epochs.

    >>> read_rules("halving", "validation_loss", None, 3, 1, 30).ends
    (1, 3, 9, 30)
    """
    if not isinstance(metric, str):
        raise TypeError(f"{where}: metric must be a string; got {metric!r}")
    if metric.startswith("test_"):
        raise ValueError(f"{where}: metric must not be a test value, which is reported, not chosen by; got {metric!r}")
    eta = checks.check_integer(where, "eta", eta, minimum=2)
    first = checks.check_integer(where, "min_epochs", min_epochs)
    last = checks.check_integer(where, "max_epochs", max_epochs)
    if last < first * eta:
        raise ValueError(
            f"{where}: max_epochs must be at least min_epochs · eta, {first * eta}, for anything to stop early; got {last}"
        )
    ends = [first]
    while ends[-1] * eta <= last:
        ends.append(ends[-1] * eta)
    return Rules(metric, falls_by_name(metric, falls, where), eta, (*ends[:-1], last))


def deal(space: Space, eta: int, rungs: int) -> list[Bracket]:
    """Hyperband's brackets, from the one cut most often; in its proportions, if the space is of another size.

    >>> from jaxopt_course.sweep import spaces
    >>> [len(bracket.members) for bracket in deal(spaces.random(143, a=spaces.linear(0, 1)), 3, 5)]
    [81, 34, 15, 8, 5]
    """
    sizes = [-(-rungs * eta**cuts // (cuts + 1)) for cuts in reversed(range(rungs))]
    edges = np.round(np.cumsum(sizes) / sum(sizes) * len(space)).astype(int)
    order = np.arange(len(space))
    if space.kind in ("grid", "zipped"):
        order = np.random.default_rng(0).permutation(order)
    pieces = np.split(order, edges[:-1])
    return [Bracket(np.sort(members), first) for first, members in enumerate(pieces) if len(members)]


def survivors(brackets: Sequence[Bracket], rules: Rules, rung: int, scores: np.ndarray) -> np.ndarray:
    """Which configurations go on after a rung: in each bracket the best with a finite score; in a tie, the first.

    Args:
        brackets, rules: the contest's.
        rung: its number, from 0.
        scores: [configurations], NaN for those that are out.
    """
    ranked = np.where(np.isfinite(scores), scores if rules.lower else -scores, np.inf)
    alive = np.zeros(len(scores), bool)
    for bracket in brackets:
        best = bracket.members[np.argsort(ranked[bracket.members], kind="stable")]
        best = best[np.isfinite(ranked[best])]
        alive[best[: bracket.places(rung + 1, rules.eta)]] = True
    return alive
