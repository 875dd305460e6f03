"""What a line search is given, and what it gives back."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from typing import Annotated, Any, Concatenate, NamedTuple, ParamSpec, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course import checks
from jaxopt_course.checks import Interval
from jaxopt_course.types import Parametric, Scalar, Schedule, parametric

__all__ = [
    "SEARCHING",
    "Factor",
    "Outcome",
    "Ray",
    "Search",
    "Status",
    "alternate",
    "end",
    "finite_or_inf",
    "rounding",
    "scalar_valued",
    "searching",
]

P = ParamSpec("P")
S = TypeVar("S")
V = TypeVar("V")

Factor: TypeAlias = Annotated[Any, Interval(0, 1, open_low=True, open_high=True)]


class Status(enum.IntEnum):
    """How a search ended. Whatever it says, φ(α) is finite if φ(0) is, and not above it (but for what counts as noise)."""

    CONVERGED = 0
    """What was searched for is found."""
    NOT_DESCENT = 1
    """φ′(0) > 0: no step."""
    NON_FINITE = 2
    """φ(0) or φ′(0) is not a finite number, or φ is not at any point tried: no step."""
    FLAT = 3
    """φ′(0) = 0, or φ is the same, to rounding, at all points tried: no step."""
    BUDGET = 4
    """The evaluations are spent, or rounding hides what is left: the best point so far, maybe no step."""
    MAX_STEP = 5
    """φ still falls at the longest step allowed: that step."""


SEARCHING = -1
ROUNDING = 4  # ulp


class Outcome(NamedTuple):
    """What a search found.

    Attributes:
        step_size: α, 0 where no step should be taken.
        value: φ(α).
        evaluations: of φ, with its slope or without, int32.
        status: a :class:`Status`, int32.
    """

    step_size: jax.Array
    value: jax.Array
    evaluations: jax.Array
    status: jax.Array


class Phi:
    """φ: α → φ(α), or (φ(α), φ′(α)), as a search calls it."""

    def __init__(self, function: Callable[[jax.Array], Any], where: str = "search"):
        self.function = scalar_valued(where, "phi", function, or_pair=True)

    def __call__(self, step: jax.Array) -> jax.Array:
        """φ there."""
        out = self.function(step)
        return jnp.asarray(out[0] if isinstance(out, tuple) else out)

    @functools.cached_property
    def _gives_slope(self) -> bool:
        return isinstance(jax.eval_shape(self.function, jax.ShapeDtypeStruct((), jnp.result_type(float))), tuple)

    def with_slope(self, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        """φ and φ′ there, differentiated unless given."""
        value, slope = (self.function if self._gives_slope else jax.value_and_grad(self.function))(step)
        return jnp.asarray(value), jnp.asarray(slope)


class Ray(NamedTuple):
    """φ, and what is known of it: what a search's rule works on.

    Attributes:
        phi: φ.
        value: φ(0). slope: φ′(0).
        step: the first step to try.
        evaluations: of φ, so far, int32.
        status: why no step should be taken, or ``SEARCHING``, int32.
    """

    phi: Phi
    value: jax.Array
    slope: jax.Array
    step: jax.Array
    evaluations: jax.Array
    status: jax.Array

    def at(self, step: jax.Array) -> jax.Array:
        """φ there; +∞ where it is not finite, so that no search goes there."""
        return finite_or_inf(jax.lax.stop_gradient(self.phi(step)).astype(self.value.dtype))

    def with_slope(self, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        """φ and φ′ there; φ = +∞ where one is not finite."""
        value, slope = (x.astype(self.value.dtype) for x in jax.lax.stop_gradient(self.phi.with_slope(step)))
        return finite_or_inf(value + 0 * slope), slope

    @property
    def rounding(self) -> jax.Array:
        """What two evaluations of φ near φ(0) may differ by, when they should not."""
        return rounding(self.value)

    def lower(self, value: jax.Array) -> jax.Array:
        """Whether a value is below φ(0), by more than rounding: so that rounding never passes for progress."""
        return value < self.value - self.rounding

    def nothing(self) -> Outcome:
        """No step, so far."""
        return Outcome(jnp.zeros_like(self.value), self.value, self.evaluations, self.status)

    def verdict(self, value: jax.Array, others: jax.Array) -> jax.Array:
        """What values tried say of a search that finds nothing: the largest of what each says."""
        same = jnp.abs(value - self.value) <= self.rounding
        own = jnp.where(jnp.isinf(value), Status.NON_FINITE, jnp.where(same, Status.FLAT, Status.BUDGET))
        return jnp.maximum(own, others).astype(jnp.int32)


def end(status: jax.Array, verdict: jax.Array) -> jax.Array:
    """The status of a search that is over, ``verdict`` if it was still searching."""
    tried = jnp.where(verdict == SEARCHING, Status.BUDGET, verdict)
    return jnp.where(status == SEARCHING, tried, status).astype(jnp.int32)


@jax.tree_util.register_pytree_with_keys_class
class Search(Parametric):
    """A line search: ``search(phi, initial_step)`` is an :class:`Outcome`.

    A pytree (see :class:`~jaxopt_course.types.Parametric`): :func:`jaxopt_course.line_search` keeps its numbers in the
    optimizer's state. There, each may be a schedule.
    """

    takes_schedules = True

    def __call__(
        self,
        phi: Callable[[jax.Array], Any],
        initial_step: Scalar = 1.0,
        *,
        value: Scalar | None = None,
        slope: Scalar | None = None,
    ) -> Outcome:
        """Search along φ, from 0 to the right.

        Args:
            phi: φ(α), a scalar, or the pair (φ(α), φ′(α)). Without φ′, searches that need it differentiate φ.
            initial_step: the first α to try, > 0.
            value: φ(0), if it is known. slope: φ′(0), likewise; otherwise one evaluation finds both.

        Returns:
            An :class:`Outcome`, a constant to derivatives.

        Raises:
            TypeError: φ is no function, or its values (or ``value`` or ``slope``) are no real scalars. ValueError: the first
                step is not > 0.
        """
        name = getattr(self.rule, "__name__", "search")
        if any(isinstance(leaf, Schedule) for leaf in self.numbers.values()):
            raise TypeError(f"{name}: a number follows a schedule, and a search alone has no steps (jc.line_search has)")
        checks.check_number(name, "initial_step", initial_step, Interval(0, open_low=True))
        for key, given in {"value": value, "slope": slope}.items():
            if not (given is None or _is_real_scalar(given)):
                raise TypeError(f"{name}: {key} must be a real scalar; got {given!r:.200}")
        function, counted = Phi(phi, name), value is None or slope is None
        if counted:
            value, slope = function.with_slope(jnp.zeros((), jnp.result_type(float)))
        dtype = jnp.promote_types(jnp.result_type(value), jnp.float32)
        value, slope, step, *numbers = (
            jax.lax.stop_gradient(jnp.asarray(x, dtype)) for x in (value, slope, initial_step, *self.numbers.values())
        )
        status = jnp.where(slope > 0, Status.NOT_DESCENT, jnp.where(slope == 0, Status.FLAT, SEARCHING))
        status = jnp.where(jnp.isfinite(value) & jnp.isfinite(slope), status, Status.NON_FINITE).astype(jnp.int32)
        ray = Ray(function, value, slope, step, jnp.asarray(counted, jnp.int32), status)
        return self.rule(ray, **dict(zip(self.numbers, numbers, strict=True)), **dict(self.static))


def searching(
    check: Callable[..., None] = lambda **arguments: None,
) -> Callable[[Callable[Concatenate[Ray, P], Outcome]], Callable[P, Search]]:
    """Decorator: ``rule(ray, numbers..., *, max_evaluations, static...) → Outcome`` becomes a factory of searches.

    ``check(**arguments)`` raises where arguments do not go together.
    """

    def decorate(rule):
        make = parametric(Search)(rule)

        @functools.wraps(make)
        def factory(*args, **kwargs):
            search = make(*args, **kwargs)
            arguments = search.numbers | dict(search.static)
            checks.check_integer(rule.__name__, "max_evaluations", arguments["max_evaluations"])
            check(**arguments)
            return search

        return factory

    return decorate


def alternate(ask: Callable[[S], V], tell: Callable[[S, V], S], unfinished: Callable[[S], Any], state: S, values: V) -> S:
    """Evaluate and decide in turns, ``state = tell(state, ask(state))``, while ``unfinished(state)``.

    What was asked for crosses from one turn of the loop to the next before anything is decided by it. In one turn, XLA may
    compute φ anew for each decision, with another rounding, and a search whose decisions contradict each other is lost.

    Args:
        values: of the form of what ``ask`` returns.
    """

    def told(carry):
        state, values, fresh = carry
        return jax.tree.map(lambda new, old: jnp.where(fresh, new, old), tell(state, values), state)

    def turn(carry):
        state = told(carry)
        return state, ask(state), jnp.bool_(True)

    start = state, values, jnp.bool_(False)
    return told(jax.lax.while_loop(lambda carry: unfinished(told(carry)), turn, start))


def scalar_valued(where: str, name: str, function: Any, *, or_pair: bool = False) -> Callable[[Any], Any]:
    """The function, which raises where it does not give a real scalar (or a pair of them: value and slope).

    Raises:
        TypeError: it is no function; from what is returned: a value that is no real scalar.
    """
    accepted = "a real scalar" + (", or the pair of value and slope" if or_pair else "")
    if not callable(function):
        raise TypeError(f"{where}: {name} must be a function of a scalar; got {function!r}")

    def call(x):
        out = function(x)
        parts = out if or_pair and isinstance(out, tuple) and len(out) == 2 else (out,)
        if not all(map(_is_real_scalar, parts)):
            raise TypeError(f"{where}: {name} must give {accepted}; got {out!r:.200}")
        return out

    return call


def _is_real_scalar(value: Any) -> bool:
    numeric = isinstance(value, (int, float, np.generic, np.ndarray, jax.Array)) and not isinstance(value, bool)
    return numeric and jnp.shape(value) == () and not jnp.issubdtype(jnp.result_type(value), jnp.complexfloating)


def rounding(value: jax.Array) -> jax.Array:
    """The size of a value's rounding error, as far as one can know."""
    return ROUNDING * jnp.finfo(value.dtype).eps * jnp.abs(value)


def finite_or_inf(value: jax.Array) -> jax.Array:
    """The value, or +∞ if it is not finite."""
    return jnp.where(jnp.isfinite(value), value, jnp.inf)
