"""What a surface is: a function of one point, a pytree of its numbers, with what is known about it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course import checks
from jaxopt_course.types import Parametric

__all__ = ["Facts", "Surface", "surface"]


@dataclasses.dataclass(frozen=True, eq=False)
class Facts:
    """What the literature knows of a surface. Points and values may be functions ``(dimension, **numbers)``.

    In more dimensions than they are written for, points repeat their coordinates.
    """

    minima: Any
    minimum: Any
    bounds: Any
    start: Any
    source: str
    any_dimension: bool = False
    degenerate: Any = ""
    checked: Any = None  # (dimension, numbers, changes) → changes, where single intervals do not say what fits together


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Surface(Parametric):
    """A function to descend on: ``surface(point)`` is a scalar. A pytree (see :class:`~jaxopt_course.types.Parametric`).

    Its rule is static and its numbers are leaves, so equal rules with other numbers share compiled code.

    Attributes:
        facts: what is known about it. dimension: d, of the points below.

    >>> from jaxopt_course import surfaces
    >>> surfaces.booth, float(surfaces.booth([1.0, 3.0])), surfaces.booth.minima
    (booth(), 0.0, array([[1., 3.]]))
    """

    facts: Facts = None  # type: ignore[assignment]  # a dataclass field after ones with defaults; never None
    dimension: int = 2

    def __call__(self, point: Any) -> jax.Array:
        """The value at a point ``[d]``; a surface of any dimension takes points of any length from two on.

        Raises:
            TypeError: no numbers. ValueError: the point has another number of coordinates.
        """
        try:
            x = jnp.asarray(point)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{self.name}: a point must be numbers [d]; got {point!r:.100}") from error
        x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(float)
        one_number = self.dimension == 1 and x.ndim == 0
        enough = self.facts.any_dimension and x.ndim == 1 and x.size >= min(self.dimension, 2)
        if not (x.shape == (self.dimension,) or one_number or enough):
            wanted = "any number of coordinates from 2 on" if self.facts.any_dimension else f"shape ({self.dimension},)"
            raise ValueError(f"{self.name}: a point must have {wanted}; got shape {x.shape}")
        return super().__call__(x)

    @property
    def name(self) -> str:
        """What pictures call it."""
        return self.rule.__name__.strip("_")

    @property
    def minima(self) -> np.ndarray:
        """The global minimisers ``[k, d]``, float64; none (k = 0) if it is unbounded below."""
        points = [np.resize(point, self.dimension) for point in self._fact(self.facts.minima)]
        return np.array(points, float).reshape(len(points), self.dimension)

    @property
    def minimum(self) -> float:
        """The value there; −∞ if it is unbounded below."""
        return float(self._fact(self.facts.minimum))

    @property
    def bounds(self) -> np.ndarray:
        """The box ``[d, 2]`` in which it is usually shown and searched: the lows and the highs."""
        return np.resize(np.array(self._fact(self.facts.bounds), float), (self.dimension, 2))

    @property
    def start(self) -> np.ndarray:
        """A point ``[d]`` from which a descent shows what the surface is for."""
        return np.resize(np.array(self._fact(self.facts.start), float), self.dimension)

    @property
    def source(self) -> str:
        """Where it comes from."""
        return self.facts.source

    @property
    def degenerate(self) -> str:
        """Why the Hessian is not positive definite at the minima; empty if it is."""
        return self._fact(self.facts.degenerate)

    def replace(self, *, dimension: int | None = None, **numbers: Any) -> Surface:
        """The same rule with other numbers, or in another dimension.

        Raises:
            TypeError: an unknown number. ValueError: one out of range, or a dimension that it does not have.

        >>> from jaxopt_course import surfaces
        >>> surfaces.rosenbrock.replace(dimension=4, steepness=10.0).minima
        array([[1., 1., 1., 1.]])
        """
        accepted = checks.intervals(self.rule)
        for key, value in numbers.items():
            if key not in self.numbers:
                raise TypeError(f"{self.name}: unknown argument {key!r}{checks.closest(key, self.numbers)}")
            if self.facts.checked is None:
                checks.check_number(self.name, key, value, accepted.get(key))
        if self.facts.checked is not None:
            numbers = self.facts.checked(self.dimension, self.numbers, numbers)
        dimension = self.dimension if dimension is None else dimension
        checks.check_integer(self.name, "dimension", dimension)
        if dimension != self.dimension and not (self.facts.any_dimension and dimension >= 2):
            wanted = "an integer >= 2" if self.facts.any_dimension else str(self.dimension)
            raise ValueError(f"{self.name}: dimension must be {wanted}; got {dimension}")
        return dataclasses.replace(self, numbers={**self.numbers, **numbers}, dimension=dimension)

    def _fact(self, fact: Any) -> Any:
        return fact(self.dimension, **self.numbers) if callable(fact) else fact

    def __post_init__(self):
        if self.rule.__doc__:
            object.__setattr__(self, "__doc__", self.rule.__doc__)  # what help() shows of an instance

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in self.numbers.items())})"

    def tree_flatten_with_keys(self) -> tuple[Any, Any]:
        keyed, auxiliary = super().tree_flatten_with_keys()
        return keyed, (auxiliary, self.facts, self.dimension)

    @classmethod
    def tree_unflatten(cls, auxiliary, children):
        (rule, names, static), facts, dimension = auxiliary
        return cls(rule, dict(zip(names, children, strict=True)), static, facts, dimension)


def surface(*, dimension: int = 2, **facts: Any) -> Callable[[Callable[..., Any]], Surface]:
    """Decorator: turn ``rule(x, numbers=defaults...)`` into a :class:`Surface` with these :class:`Facts`.

    >>> @surface(minima=[(0.0, 0.0)], minimum=0.0, bounds=[(-1, 1)], start=(1.0, 0.5), source="made up")
    ... def bowl(x, height=2.0):
    ...     return height * jnp.sum(x**2)
    >>> float(bowl([1.0, 0.5])), bowl.bounds.tolist()
    (2.5, [[-1.0, 1.0], [-1.0, 1.0]])
    """

    def decorate(rule: Callable[..., Any]) -> Surface:
        numbers = {name: p.default for name, p in list(inspect.signature(rule).parameters.items())[1:]}
        return Surface(rule, numbers, (), Facts(**facts), dimension)

    return decorate
