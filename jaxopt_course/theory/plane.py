"""A plane through a network's parameters: its points, projections onto it, functions on it [G5, G6]."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course import checks
from jaxopt_course.checks import Interval
from jaxopt_course.types import Params

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Array, Float

__all__ = ["Plane", "matrix", "stack", "vector"]


@dataclasses.dataclass(frozen=True, eq=False)
class Plane:
    """A plane of parameters: θ* + αδ + βη.

    Attributes:
        origin: θ*, a tree. directions: (δ, η), two trees like it, not parallel.
        labels: what an axis is called.
    """

    origin: Params
    directions: tuple[Params, Params]
    labels: tuple[str, str] = ("α", "β")

    def point(self, alpha: Any, beta: Any) -> Params:
        """θ* + αδ + βη."""
        return _combine(self.origin, self.directions, jnp.stack([jnp.asarray(alpha, float), jnp.asarray(beta, float)]))

    def project(self, points: Params | list[Params]) -> Float[np.ndarray, "points 2"]:
        """The (α, β) of the points of the plane that are nearest to these.

        argmin_{α, β} ‖θ* + αδ + βη − θ‖², with the whole tree as one vector

        Args:
            points: a list of trees like the origin, or one tree with one more leading axis.

        Raises:
            ValueError: the tree is another than the origin's.
        """
        away = matrix("project", points, self.origin) - vector(self.origin)
        basis = np.stack([vector(direction) for direction in self.directions], axis=1)
        return np.linalg.lstsq(basis, away.T)[0].T

    def distance(self, points: Params | list[Params]) -> Float[np.ndarray, " points"]:
        """How far these points are from the plane: what a picture of their projection does not show."""
        away = matrix("distance", points, self.origin) - vector(self.origin)
        basis = np.stack([vector(direction) for direction in self.directions])
        return np.linalg.norm(away - self.project(points) @ basis, axis=1)

    def evaluate(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        alpha: tuple[float, float] = (-1.0, 1.0),
        beta: tuple[float, float] = (-1.0, 1.0),
        resolution: int = 51,
        chunk: int = 16,
    ) -> xr.Dataset:
        """A function on a grid of the plane, as one compiled program.

        Args:
            function: ``function(params, *arguments)`` → a scalar, or a dict of scalars (training and test loss, say). The
                same function compiles once.
            arguments: its data: trees of arrays, arguments of the program and not constants in it.
            alpha, beta: from and to, along δ and η.
            resolution: points along each axis, ≥ 2.
            chunk: so many points at a time: more need more memory and may be faster.

        Returns:
            A dataset over ``(beta, alpha)``: ``value``, or the dict's names.

        Raises:
            TypeError, ValueError: a range that is not two rising numbers; resolution or chunk out of range; a function that
                does not give scalars.

        >>> plane = Plane(jnp.zeros(3), (jnp.array([1.0, 0, 0]), jnp.array([0, 2.0, 0])))
        >>> plane.evaluate(lambda x: jnp.sum(x**2), resolution=3).value.values
        array([[5., 4., 5.],
               [1., 0., 1.],
               [5., 4., 5.]], dtype=float32)
        """
        import xarray as xr

        if not callable(function):
            raise TypeError(f"evaluate: function must be a function of parameters; got {function!r}")
        steps = checks.check_integer("evaluate", "resolution", resolution)
        if steps < 2:
            raise ValueError(f"evaluate: resolution must be an integer >= 2; got {resolution}")
        chunk = checks.check_integer("evaluate", "chunk", chunk)
        axes = [np.linspace(*_range(name, ends), steps) for name, ends in (("alpha", alpha), ("beta", beta))]
        shapes = _shapes(function, self.origin, *arguments)
        for name, shape in shapes.items():
            if getattr(shape, "shape", None) != ():
                raise TypeError(f"evaluate: function must return a scalar or a dict of scalars; got {shape} for {name!r}")
        grid = jnp.stack([axis.ravel() for axis in jnp.meshgrid(*map(jnp.asarray, axes))], axis=1)
        values = _on_grid(function, chunk, self.origin, self.directions, grid, arguments)
        values = values if isinstance(values, dict) else {"value": values}
        coordinates = {
            name: (name, axis, {"long_name": label})
            for name, axis, label in zip(("alpha", "beta"), axes, self.labels, strict=True)
        }
        variables = {name: (("beta", "alpha"), np.asarray(values[name]).reshape(steps, steps)) for name in shapes}
        return xr.Dataset(variables, coordinates)


def stack(points: Params | list[Params]) -> Params:
    """A list of equal trees as one tree with one more leading axis; such a tree as it is."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *points) if isinstance(points, list) and points else points


def _shapes(function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """What the function returns, by name, in its own order: JAX sorts dicts."""
    names: list[str] = []

    def named(*arguments):
        out = function(*arguments)
        out = out if isinstance(out, dict) else {"value": out}
        names.extend(out)
        return out

    shapes = jax.eval_shape(named, *arguments)
    return {name: shapes[name] for name in names}


@functools.partial(jax.jit, static_argnums=(0, 1))
def _on_grid(function, chunk, origin, directions, grid, arguments):
    return jax.lax.map(lambda at: function(_combine(origin, directions, at), *arguments), grid, batch_size=chunk)


def _combine(origin: Params, directions: tuple[Params, Params], at: Array) -> Params:
    def move(theta, delta, eta):
        theta = jnp.asarray(theta)
        return (theta + at[0].astype(theta.dtype) * delta + at[1].astype(theta.dtype) * eta).astype(theta.dtype)

    return jax.tree.map(move, origin, *directions)


def _range(name: str, ends: Sequence[float]) -> tuple[float, float]:
    if not isinstance(ends, (tuple, list)) or len(ends) != 2:
        raise TypeError(f"evaluate: {name} must be (from, to); got {ends!r}")
    for end in ends:
        checks.check_number("evaluate", name, end, Interval())
    if not ends[0] < ends[1]:
        raise ValueError(f"evaluate: {name} must be (from, to) with from < to; got {ends!r}")
    return float(ends[0]), float(ends[1])


def vector(tree: Params) -> np.ndarray:
    return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)])


def matrix(where: str, points: Params | list[Params], like: Params) -> np.ndarray:
    """One row for each point."""
    points = stack(points)
    expected = {path: np.shape(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(like)}
    found = {path: np.shape(leaf)[1:] for path, leaf in jax.tree_util.tree_leaves_with_path(points)}
    if found != expected:
        path = next((path for path in (*expected, *found) if expected.get(path) != found.get(path)), ())
        raise ValueError(
            f"{where}: points{jax.tree_util.keystr(path)}: expected a leading axis and then {expected.get(path)}, as in the "
            f"plane's origin; got {found.get(path)}"
        )
    return np.concatenate([np.asarray(leaf, np.float64).reshape(len(leaf), -1) for leaf in jax.tree.leaves(points)], axis=1)
