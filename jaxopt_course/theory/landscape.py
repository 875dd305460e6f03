"""The loss surface around a trained network, on a plane through its parameters [G5].

f(α, β) = L(θ* + αδ + βη)

The plane, a :class:`~jaxopt_course.theory.plane.Plane`, is what one chooses: random directions of a fair length
(:func:`filter_plane`), the directions in which training moved most (:func:`path_plane`), or the plane that contains three
points (:func:`plane_through`). A network is not changed by scaling one layer up and the next down, while a random direction
of fixed length means much to the one and nothing to the other; so each filter of a random direction gets the length of the
network's own filter [1].

References:
    [1] H. Li, Z. Xu, G. Taylor, C. Studer and T. Goldstein, Visualizing the loss landscape of neural nets, NeurIPS 2018.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course import checks
from jaxopt_course.theory.plane import Plane, matrix, stack, vector
from jaxopt_course.types import Key, Params

__all__ = ["Plane", "filter_normalized", "filter_plane", "path_plane", "plane_through"]


def filter_normalized(direction: Params, params: Params, *, axis: int = -1) -> Params:
    """A direction, each filter of it as long as the parameters' filter; biases stay where they are [G5].

    dᵢ ← dᵢ · ‖θᵢ‖/‖dᵢ‖ for each filter i; 0 for leaves with fewer than two axes (biases, normalisation scales)

    Args:
        direction: a tree like the parameters.
        params: θ.
        axis: which axis of a kernel numbers its filters: the last one in JAX and flax (``[in, out]``, ``[h, w, in, out]``),
            the first in torch. A filter is all that feeds one output.

    Returns:
        A tree like the parameters.

    Raises:
        ValueError: no leaf has two axes, so nothing is a filter; an axis that a kernel does not have; another tree.

    >>> d = filter_normalized({"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
    ...                       {"kernel": jnp.array([[3.0, 0], [4, 0]]), "bias": jnp.ones(2)})
    >>> d["kernel"].tolist(), d["bias"].tolist()
    ([[3.535533905029297, 0.0], [3.535533905029297, 0.0]], [0.0, 0.0])

    References:
        H. Li et al., Visualizing the loss landscape of neural nets, NeurIPS 2018, section 4 [G5].
    """
    if all(jnp.ndim(leaf) < 2 for leaf in jax.tree.leaves(params)):
        raise ValueError("filter_normalized: params have no filters: expected a leaf with two axes or more")
    found, expected = (
        {path: jnp.shape(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(t)} for t in (direction, params)
    )
    if path := next((path for path in (*expected, *found) if found.get(path) != expected.get(path)), None):
        name = jax.tree_util.keystr(path)
        shapes = f"{expected.get(path)}; got {found.get(path)}"
        raise ValueError(f"filter_normalized: direction{name} must have the shape that params{name} has, {shapes}")
    checks.check_integer("filter_normalized", "axis", axis, minimum=None)
    if ranks := [len(shape) for shape in expected.values() if len(shape) >= 2 and not -len(shape) <= axis < len(shape)]:
        raise ValueError(f"filter_normalized: axis must be an axis of each kernel; got {axis}, for one of {ranks[0]} axes")
    return _normalized(direction, params, axis)


def filter_plane(key: int | Key, params: Params, *, axis: int = -1) -> Plane:
    """The plane through trained parameters along two random, filter-normalised directions [G5].

    Args:
        key: of the draw, an integer or a JAX key.
        params: θ*, the origin.
        axis: as for :func:`filter_normalized`.

    Returns:
        A :class:`Plane`.

    Raises:
        TypeError: no key. ValueError: the parameters have no filters, or no such axis.

    >>> params = {"kernel": jnp.array([[1.0, 2.0], [3.0, 4.0]])}
    >>> delta, eta = filter_plane(0, params).directions
    >>> (delta["kernel"] ** 2).sum(axis=0).round(3).tolist(), (params["kernel"] ** 2).sum(axis=0).tolist()
    ([10.0, 20.0], [10.0, 20.0])
    """
    if isinstance(key, bool) or not isinstance(key, (int, np.integer, jax.Array)):
        raise TypeError(f"filter_plane: key must be an integer or a JAX key; got {key!r}")
    key = jax.random.key(key) if isinstance(key, (int, np.integer)) else key
    draws = np.asarray(jax.random.normal(key, (2, sum(np.size(leaf) for leaf in jax.tree.leaves(params)))))
    directions = [filter_normalized(_tree(draw, params), params, axis=axis) for draw in draws]
    return Plane(params, (directions[0], directions[1]), ("α, along random direction δ", "β, along random direction η"))


def path_plane(points: Params | list[Params]) -> Plane:
    """The plane through the end of a path along the two directions in which the path varies most [G5].

    δ, η: the first two principal directions of θ₀ … θ_T, of length 1, pointing from the end to where the path came from

    Args:
        points: the path: a list of trees, or one tree with one more leading axis (``jc.minimize(…).points``).

    Returns:
        A :class:`Plane`, whose labels tell the directions' shares of the path's variance.

    Raises:
        ValueError: fewer than three points, or all on one line, or not finite.

    >>> path_plane(jnp.array([[2.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])).labels
    ('1st principal direction, 95.1 % of variance', '2nd principal direction, 4.9 % of variance')

    References:
        H. Li et al., 2018, section 7; E. Lorch, Visualizing deep network training trajectories with PCA, 2016.
    """
    if isinstance(points, list) and len(points) < 3:
        raise ValueError(f"path_plane: a path of 3 points or more spans a plane; got {len(points)}")
    stacked = stack(points)
    end = jax.tree.map(lambda leaf: leaf[-1], stacked)
    rows = matrix("path_plane", stacked, end)
    if len(rows) < 3:
        raise ValueError(f"path_plane: a path of 3 points or more spans a plane; got {len(rows)}")
    if not np.isfinite(rows).all():
        raise ValueError(
            f"path_plane: points must be finite; point {int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])} is not"
        )
    _, spread, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    if not spread[1] > 1e-6 * spread[0]:
        raise ValueError("path_plane: the points are all on one line")
    share = 100 * spread**2 / (spread**2).sum()
    signs = np.where(axes[:2] @ (rows[0] - rows[-1]) < 0, -1, 1)
    directions = [_tree(sign * axis, end) for sign, axis in zip(signs, axes[:2], strict=True)]
    labels = [f"{nth} principal direction, {share[i]:.1f} % of variance" for i, nth in enumerate(("1st", "2nd"))]
    return Plane(end, (directions[0], directions[1]), (labels[0], labels[1]))


def plane_through(origin: Params, first: Params, second: Params) -> Plane:
    """The plane that contains three points: (0, 0), (1, 0) and (0, 1) on it [G6].

    Args:
        origin, first, second: trees of parameters, not on one line: a start and two solutions, say.

    Returns:
        A :class:`Plane` with δ = first − origin, η = second − origin.

    Raises:
        ValueError: the points are on one line.

    >>> plane_through(jnp.zeros(2), jnp.array([2.0, 0.0]), jnp.array([1.0, 1.0])).project(jnp.array([[3.0, 1.0]])).round(6)
    array([[1., 1.]])
    """
    delta, eta = (jax.tree.map(jnp.subtract, point, origin) for point in (first, second))
    spread = np.linalg.svd(np.stack([vector(delta), vector(eta)]), compute_uv=False)
    if not spread[1] > 1e-6 * spread[0]:
        raise ValueError("plane_through: origin, first and second are on one line")
    return Plane(origin, (delta, eta))


@functools.partial(jax.jit, static_argnums=2)
def _normalized(direction: Params, params: Params, axis: int) -> Params:
    def each(d, theta):
        if theta.ndim < 2:
            return jnp.zeros_like(theta)
        others = tuple(i for i in range(theta.ndim) if i != axis % theta.ndim)
        length, own = (jnp.sqrt(jnp.sum(jnp.square(x), axis=others, keepdims=True)) for x in (d, theta))
        return d * (own / jnp.where(length > 0, length, 1))

    return jax.tree.map(each, direction, params)


def _tree(vector: np.ndarray, like: Params) -> Params:
    leaves, structure = jax.tree.flatten(like)
    parts = np.split(vector, np.cumsum([np.size(leaf) for leaf in leaves])[:-1])
    pairs = zip(parts, leaves, strict=True)
    shaped = [jnp.asarray(part.reshape(np.shape(leaf)), jnp.result_type(leaf)) for part, leaf in pairs]
    return jax.tree.unflatten(structure, shaped)
