"""The minimum of a function of one variable, by values alone, on any interval.

`bracket` goes downhill until the function rises; `golden` and `brent` shrink an interval around a minimum.

golden  the new point is in the larger part, (3 − √5)/2 of it from the best point
brent   the minimum of the parabola through the three best points, where it can be trusted, else as golden

Values that are not finite count as +∞: no search goes there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxopt_course import checks
from jaxopt_course.checks import Interval
from jaxopt_course.linesearch.search import Status, alternate, finite_or_inf, scalar_valued
from jaxopt_course.types import Scalar

__all__ = ["METHODS", "Bracket", "ScalarMinimum", "bracket", "brent", "golden", "resolution"]

GOLDEN = (3 - math.sqrt(5)) / 2  # 0.382 of an interval, from either end
EXPAND = 1 / (1 - GOLDEN)  # 1.618

Function: TypeAlias = Callable[[jax.Array], Any]


class Bracket(NamedTuple):
    """Three points, the middle one below (not above the end that was reached last).

    Attributes:
        low, middle, high: in ascending order. values: the function there, [3].
        evaluations: of the function, int32. status: CONVERGED, BUDGET or NON_FINITE, int32.
    """

    low: jax.Array
    middle: jax.Array
    high: jax.Array
    values: jax.Array
    evaluations: jax.Array
    status: jax.Array


class ScalarMinimum(NamedTuple):
    """Where a function is least.

    Attributes:
        x: the point. value: the function there.
        evaluations: of the function, int32. status: CONVERGED, BUDGET or NON_FINITE, int32.
    """

    x: jax.Array
    value: jax.Array
    evaluations: jax.Array
    status: jax.Array


def bracket(function: Function, a: Scalar, b: Scalar, *, max_evaluations: int = 100) -> Bracket:
    """Go downhill from two points, in golden steps, until the function rises.

    c ← b + 1.618 (b − a), then (a, b) ← (b, c), while f(c) < f(b); a and b change places first if f(b) > f(a)

    Args:
        function: of a scalar.
        a, b: where to begin, different.
        max_evaluations: the budget, at least 3.

    Returns:
        A :class:`Bracket`. Without a minimum in sight (the function falls, or equals nothing finite) it ends by its budget:
        BUDGET, and the last three points. Where it falls below the smallest float, that counts as a wall.

    Raises:
        TypeError, ValueError: no function to real scalars, a point that is not a finite number, or equal points.

    >>> found = bracket(lambda x: (x - 7) ** 2, 2.0, 3.0)
    >>> bool(found.low < 7 < found.high), int(found.evaluations)
    (True, 5)
    """
    function = scalar_valued("bracket", "function", function)
    for name, point in (("a", a), ("b", b)):
        checks.check_number("bracket", name, point)
    checks.check_integer("bracket", "max_evaluations", max_evaluations, minimum=3)
    if not isinstance(a, Tracer) and not isinstance(b, Tracer) and a == b:
        raise ValueError(f"bracket: a and b must be different; got {a!r} twice")
    at, (a, b) = _prepare(function, a, b)
    fa, fb = at(a), at(b)
    uphill = fb > fa
    a, b, fa, fb = (jnp.where(uphill, *pair) for pair in ((b, a), (a, b), (fb, fa), (fa, fb)))
    points, values, used = expand(at, (a, b), (fa, fb), jnp.int32(2), jnp.inf, max_evaluations)
    status = jnp.where(values[2] >= values[1], Status.CONVERGED, Status.BUDGET)
    status = jnp.where(jnp.isinf(values[1]), Status.NON_FINITE, status).astype(jnp.int32)
    turned = points[0] > points[2]
    low, high = jnp.where(turned, points[2], points[0]), jnp.where(turned, points[0], points[2])
    return Bracket(low, points[1], high, jnp.where(turned, values[::-1], values), used, status)


def expand(
    at: Function, points: Any, values: Any, used: jax.Array, limit: Any, budget: Any, slack: Any = 0.0, wanted: Any = True
) -> tuple[Any, jax.Array, jax.Array]:
    """Three points from two, the last of them not below the middle one plus slack, unless a limit or the budget ends it."""

    def further(carry):
        (_, a, b), (_, fa, fb), used = carry
        c = jnp.minimum(b + EXPAND * (b - a), limit)
        return (a, b, c), jnp.stack([fa, fb, at(c)]), used + 1

    def falls(carry):
        (_, b, c), (_, fb, fc), used = carry
        return wanted & ((fc < fb + slack) | (b == points[0])) & (c < limit) & (used < budget)

    first = (points[0], *points), jnp.stack([values[0], *values]), used
    return jax.lax.while_loop(falls, further, first)


def brent(
    function: Function,
    low: Scalar,
    high: Scalar,
    *,
    start: Scalar | None = None,
    rtol: Scalar = 1.5e-8,
    atol: Scalar = 1e-11,
    max_evaluations: int = 100,
) -> ScalarMinimum:
    """Brent's method: parabolas where they help, golden section where they do not.

    Args:
        function: of a scalar.
        low, high: the ends of an interval; it finds a minimum inside (the only one, if there is one).
        start: the first point, inside; the golden section's by default. A bracket's middle one.
        rtol, atol: x is found to rtol · \\|x\\| + atol; rtol is at least √ε, as values cannot tell more.
        max_evaluations: the budget.

    Returns:
        A :class:`ScalarMinimum`. BUDGET: not that close yet; NON_FINITE: the function is not finite at any point tried.

    Raises:
        TypeError, ValueError: low ≥ high, a start outside, or a number that is not what it should be.

    >>> round(float(brent(lambda x: (x - 7) ** 2, 2.0, 30.0).x), 3)
    7.0

    References:
        Brent, Algorithms for minimization without derivatives, 1973, chapter 5. Lecture 000 [B7].
    """
    return _minimize("brent", function, low, high, start, rtol, atol, max_evaluations)


def golden(
    function: Function,
    low: Scalar,
    high: Scalar,
    *,
    start: Scalar | None = None,
    rtol: Scalar = 1.5e-8,
    atol: Scalar = 1e-11,
    max_evaluations: int = 100,
) -> ScalarMinimum:
    """Golden section: each evaluation makes the interval 0.618 times as long (a little more, from another start).

    Args:
        function: of a scalar.
        low, high: the ends of an interval; it finds a minimum inside (the only one, if there is one).
        start: the first point, inside; the golden section's by default. A bracket's middle one.
        rtol, atol: x is found to rtol · \\|x\\| + atol; rtol is at least √ε, as values cannot tell more.
        max_evaluations: the budget.

    Returns:
        A :class:`ScalarMinimum`. BUDGET: not that close yet; NON_FINITE: the function is not finite at any point tried.

    Raises:
        TypeError, ValueError: low ≥ high, a start outside, or a number that is not what it should be.

    >>> round(float(golden(lambda x: (x - 7) ** 2, 2.0, 30.0).x), 2)
    7.0

    References:
        Kiefer, Sequential minimax search for a maximum, 1953. Lecture 000 [B7].
    """
    return _minimize("golden", function, low, high, start, rtol, atol, max_evaluations)


def _minimize(name: str, function: Function, low, high, start, rtol, atol, max_evaluations: int) -> ScalarMinimum:
    function = scalar_valued(name, "function", function)
    numbers = {"low": low, "high": high} | ({} if start is None else {"start": start})
    for key, number in numbers.items():
        checks.check_number(name, key, number)
    checks.check_number(name, "rtol", rtol, Interval(0))
    checks.check_number(name, "atol", atol, Interval(0, open_low=True))
    checks.check_integer(name, "max_evaluations", max_evaluations)
    if not any(isinstance(number, Tracer) for number in numbers.values()):
        if not low < high:
            raise ValueError(f"{name}: low must be less than high; got low={low!r}, high={high!r}")
        if start is not None and not low < start < high:
            raise ValueError(f"{name}: start must be between {low!r} and {high!r}; got {start!r}")
    at, (low, high) = _prepare(function, low, high)
    x = low + GOLDEN * (high - low) if start is None else jnp.asarray(start, low.dtype)
    rtol, atol = jnp.maximum(jnp.asarray(rtol, x.dtype), resolution(x.dtype)), jnp.asarray(atol, x.dtype)
    return METHODS[name](at, low, x, high, at(x), rtol, atol, jnp.int32(1), max_evaluations)


def resolution(dtype: Any) -> float:
    """√ε: how well a minimum can be told from values, relatively."""
    return math.sqrt(float(jnp.finfo(dtype).eps))


def _prepare(function: Function, *points: Scalar) -> tuple[Function, tuple[jax.Array, ...]]:
    dtype = jnp.promote_types(jnp.result_type(float, *points), jnp.float32)
    at = lambda x: finite_or_inf(jnp.asarray(function(x)).astype(dtype))
    return at, tuple(jnp.asarray(point, dtype) for point in points)


class _Section(NamedTuple):
    """An interval, the best point in it, and the next one."""

    a: jax.Array
    x: jax.Array
    b: jax.Array
    fx: jax.Array
    u: jax.Array
    used: jax.Array


def _golden(at: Function, a, x, b, fx, rtol, atol, used, budget) -> ScalarMinimum:
    close = lambda s: s.b - s.a <= 2 * (rtol * jnp.abs(s.x) + atol)

    def aim(s: _Section) -> _Section:
        right = s.b - s.x > s.x - s.a
        return s._replace(u=jnp.where(right, s.x + GOLDEN * (s.b - s.x), s.x - GOLDEN * (s.x - s.a)))

    def shrink(s: _Section, fu: jax.Array) -> _Section:
        lower, right = fu < s.fx, s.u > s.x
        a = jnp.where(right, jnp.where(lower, s.x, s.a), jnp.where(lower, s.a, s.u))
        b = jnp.where(right, jnp.where(lower, s.b, s.u), jnp.where(lower, s.x, s.b))
        return aim(_Section(a, jnp.where(lower, s.u, s.x), b, jnp.where(lower, fu, s.fx), s.u, s.used + 1))

    unfinished = lambda s: ~close(s) & (s.used < budget)
    s = alternate(lambda s: at(s.u), shrink, unfinished, aim(_Section(a, x, b, fx, x, used)), fx)
    return _minimum(s.x, s.fx, s.used, close(s))


class _Parabola(NamedTuple):
    """An interval; the best point x, the second best w and the one before v; the next point u; the last two moves."""

    a: jax.Array
    b: jax.Array
    x: jax.Array
    w: jax.Array
    v: jax.Array
    fx: jax.Array
    fw: jax.Array
    fv: jax.Array
    u: jax.Array
    move: jax.Array
    before: jax.Array
    used: jax.Array


def _brent(at: Function, a, x, b, fx, rtol, atol, used, budget) -> ScalarMinimum:
    tolerance = lambda x: rtol * jnp.abs(x) + atol
    close = lambda s: jnp.abs(s.x - (s.a + s.b) / 2) <= 2 * tolerance(s.x) - (s.b - s.a) / 2

    def aim(s: _Parabola) -> _Parabola:
        least, middle = tolerance(s.x), (s.a + s.b) / 2
        r, q = (s.x - s.w) * (s.fx - s.fv), (s.x - s.v) * (s.fx - s.fw)
        p, q = (s.x - s.v) * q - (s.x - s.w) * r, 2 * (q - r)
        p, q = jnp.where(q > 0, -p, p), jnp.abs(q)
        inside = (p > q * (s.a - s.x)) & (p < q * (s.b - s.x))
        trusted = (jnp.abs(s.before) > least) & (jnp.abs(p) < jnp.abs(q * s.before / 2)) & inside
        part = jnp.where(s.x < middle, s.b - s.x, s.a - s.x)
        move = p / jnp.where(trusted, q, 1)
        near_an_end = (s.x + move - s.a < 2 * least) | (s.b - s.x - move < 2 * least)
        move = jnp.where(near_an_end, jnp.copysign(least, middle - s.x), move)
        move = jnp.where(trusted, move, GOLDEN * part)
        u = s.x + jnp.where(jnp.abs(move) >= least, move, jnp.copysign(least, move))
        return s._replace(u=u, move=move, before=jnp.where(trusted, s.move, part))

    zero, unfinished = jnp.zeros_like(x), lambda s: ~close(s) & (s.used < budget)
    start = aim(_Parabola(a, b, x, x, x, fx, fx, fx, x, zero, zero, used))
    s = alternate(lambda s: at(s.u), lambda s, fu: aim(_ranked(s, fu)), unfinished, start, fx)
    return _minimum(s.x, s.fx, s.used, close(s))


def _ranked(s: _Parabola, fu: jax.Array) -> _Parabola:
    """u takes its place among the three best, and cuts the interval."""
    u, best, left = s.u, fu <= s.fx, s.u < s.x
    second = best | (fu <= s.fw) | (s.w == s.x)
    third = second | (fu <= s.fv) | (s.v == s.x) | (s.v == s.w)
    a = jnp.where(left, jnp.where(best, s.a, u), jnp.where(best, s.x, s.a))
    b = jnp.where(left, jnp.where(best, s.x, s.b), jnp.where(best, s.b, u))
    choose = lambda u, x, w, v: (
        jnp.where(best, u, x),
        jnp.where(best, x, jnp.where(second, u, w)),
        jnp.where(second, w, jnp.where(third, u, v)),
    )
    (x, w, v), (fx, fw, fv) = choose(u, s.x, s.w, s.v), choose(fu, s.fx, s.fw, s.fv)
    return s._replace(a=a, b=b, x=x, w=w, v=v, fx=fx, fw=fw, fv=fv, used=s.used + 1)


def _minimum(x: jax.Array, value: jax.Array, used: jax.Array, close: jax.Array) -> ScalarMinimum:
    status = jnp.where(jnp.isinf(value), Status.NON_FINITE, jnp.where(close, Status.CONVERGED, Status.BUDGET))
    return ScalarMinimum(x, value, used, status.astype(jnp.int32))


METHODS = {"brent": _brent, "golden": _golden}
"""Name → minimiser between a, x and b, once ``used`` evaluations are spent."""
