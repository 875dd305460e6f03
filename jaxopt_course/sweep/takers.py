"""Who takes which swept name: the problem's factory or the optimizer's, by the names of their arguments."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import optax

from jaxopt_course import checks
from jaxopt_course.problems.objective import Problem
from jaxopt_course.sweep.recipes import Call
from jaxopt_course.sweep.spaces import Space

__all__ = ["BATCH_SIZE", "Taker", "takers"]

BATCH_SIZE = "batch_size"


@dataclasses.dataclass(frozen=True)
class Taker:
    """A factory, and the swept names it takes; ``where`` is what it was given to, for messages."""

    role: str
    factory: Callable[..., Any]
    names: tuple[str, ...]
    where: str

    def __call__(self, configuration: Mapping[str, Any]) -> Any:
        values = {name: configuration[name] for name in self.names}
        try:
            return self.factory(**values)
        except Exception as error:
            error.add_note(f"in a sweep: the {self.role}'s factory, called with {values}")
            raise

    def call(self, configuration: Mapping[str, Any], traced: frozenset[str]) -> Call:
        static = tuple((name, configuration[name]) for name in self.names if name not in traced)
        return Call(self.factory, static, tuple(name for name in self.names if name in traced))


def takers(where: str, problem: Any, factory: Any, space: Space, own: tuple[str, ...]) -> tuple[Taker, Taker]:
    """The problem's and the optimizer's; ``own`` names nobody needs to take.

    Raises:
        TypeError, ValueError: something is no factory; a name that nothing takes, or two.
    """
    if isinstance(factory, optax.GradientTransformation):
        optimizer = factory
        factory = lambda: optimizer
    for role, thing in (("problem", problem), ("factory", factory)):
        accepted = "a jc.Problem, or a function" if role == "problem" else "a function"
        if hasattr(thing, "dimension"):
            raise TypeError(f"{where}: {role} must be {accepted} of swept values; got a surface: jc.paths sweeps over these")
        if not (callable(thing) or (role == "problem" and isinstance(thing, Problem))):
            raise TypeError(f"{where}: {role} must be {accepted} of swept values; got {thing!r}")
    known = {
        "problem": {} if isinstance(problem, Problem) else _parameters(where, "problem", problem),
        "optimizer": _parameters(where, "factory", factory),
    }
    taken: dict[str, list[str]] = {"problem": [], "optimizer": []}
    for name in space.names:
        by = [role for role, names in known.items() if name in names]
        by = by or [role for role, names in known.items() if None in names and name not in own]  # **keywords
        if name in own and not by:
            continue
        if len(by) > 1 or (by and name in own):
            raise ValueError(f"{where}: {name} is taken by {' and '.join(by)}{f' and {where}' * (name in own)}; rename one")
        if not by:
            names = [*(each for names in known.values() for each in names if each), *own]
            raise ValueError(f"{where}: nothing takes {name!r}{checks.closest(name, names)}")
        taken[by[0]].append(name)
    build = (lambda: problem) if isinstance(problem, Problem) else problem
    return (
        Taker("problem", build, tuple(taken["problem"]), where),
        Taker("optimizer", factory, tuple(taken["optimizer"]), where),
    )


def _parameters(where: str, argument: str, function: Callable[..., Any]) -> dict[str | None, None]:
    """The names that a function can be called with; None among them if it takes any."""
    kinds = inspect.Parameter
    try:
        found = inspect.signature(function).parameters.values()
    except ValueError:
        raise TypeError(f"{where}: {argument} must be a function with named arguments; got {function!r}") from None
    names = {p.name: None for p in found if p.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)}
    return names | ({None: None} if any(p.kind is kinds.VAR_KEYWORD for p in found) else {})
