"""How far to go along a direction: searches on φ(α) = f(x + αd), functions of one variable [B7].

`exact` finds the least φ (`scalar` brackets and shrinks, on any interval); `armijo` shortens the step until φ falls enough;
`wolfe` finds one that is neither too long nor too short. A search is a frozen pytree with its numbers as leaves, called as
``search(phi, initial_step)``; every loop is bounded by ``max_evaluations``, and a :class:`Status` says how it ended.
:func:`jaxopt_course.line_search` makes an optimizer of one.
"""

from jaxopt_course.linesearch.armijo import armijo
from jaxopt_course.linesearch.exact import exact
from jaxopt_course.linesearch.scalar import Bracket, ScalarMinimum, bracket, brent, golden
from jaxopt_course.linesearch.search import Outcome, Search, Status
from jaxopt_course.linesearch.wolfe import wolfe

__all__ = [
    "Bracket",
    "ScalarMinimum",
    "Outcome",
    "Search",
    "Status",
    "armijo",
    "bracket",
    "brent",
    "exact",
    "golden",
    "wolfe",
]
