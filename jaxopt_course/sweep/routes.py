"""``jc.paths``: what it takes, what it refuses, and the labels on what it found."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.compiler import ONCE, compiled
from jaxopt_course.problems.objective import Objective, Problem, Start
from jaxopt_course.sweep.descents import Kernel, descend, first_states, joined, state_fields
from jaxopt_course.sweep.flow import flow
from jaxopt_course.sweep.matching import match, tracing
from jaxopt_course.sweep.recipes import Call, FixedProblem, Lane, Recipe, fixed
from jaxopt_course.sweep.spaces import Space
from jaxopt_course.training.minimize import objective_of
from jaxopt_course.training.state import as_key, as_transformation
from jaxopt_course.types import Key, Params

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["paths"]

MEMORY = 2.0**30
RESERVED = frozenset({"optimizer", "start", "step", "dimension", "params", "loss", "gradient_norm", "diverged_step"})
DESCRIPTIONS = {
    "params": "where the path is (what the optimizer says to evaluate: the average, if it keeps one)",
    "loss": "the function there, without noise",
    "gradient_norm": "of the function's gradient there, without noise",
    "diverged_step": "the first step whose loss was not finite; -1: none",
    "step": "updates done",
    "start": "number of the starting point",
    "dimension": "number of the coordinate",
    "optimizer": "name",
}


def paths(
    function: Callable[[Params], jax.Array] | Problem,
    optimizers: Mapping[str, Any] | Callable[..., optax.GradientTransformation],
    space: Space | None = None,
    *,
    starts: Any = None,
    steps: int = 1000,
    record_every: int = 1,
    record: Sequence[str] = (),
    key: int | Key = 0,
    memory: float = MEMORY,
) -> xr.Dataset:
    """Follow many optimizers from many starts down one surface, in one compiled call.

    xₖ ← xₖ + updateₖ(∇f(gradient point)), for all optimizers, hyperparameters and starts k side by side

    Each path is what ``jc.minimize(function, optimizer, start=…)`` gives, up to rounding. A path that diverges goes on as inf
    or NaN, and changes no other. Another ``steps``, or another number of starts, compiles again; other numbers do not.

    Args:
        function: f of a point ``[d]``, a surface of :mod:`jc.surfaces <jaxopt_course.problems.surfaces>` or your own. Or a
            problem whose parameters are a point, as ``jc.surfaces.noisy(surface, covariance)``: a step sees all its examples.
        optimizers: name → optimizer. With a ``space``: name → factory, or a factory, by its own name.
        space: from ``jc.grid`` or :mod:`jc.spaces <jaxopt_course.sweep.spaces>`: the values of hyperparameters to call each
            factory with.
        starts: points ``[k, d]``, or one, ``[d]``; a surface's own start if None.
        steps: T, of every path.
        record_every: record each so many steps; the start and the end always.
        record: fields of the optimizers' states to record too, those that are like a point: ``("m", "v")``; NaN where an
            optimizer has none of this name.
        key: of the noise: the draws of start i are those of ``jc.fit(..., key=jax.random.fold_in(jax.random.key(key), i))``,
            the same for all optimizers.
        memory: bytes that the records may take.

    Returns:
        A dataset over ``optimizer``, the space's axes, ``start``, ``step`` and ``dimension``: ``params``; over all but
        ``dimension``, ``loss`` and ``gradient_norm``; and ``diverged_step``, the first step whose loss was not finite, or −1.

    Raises:
        TypeError, ValueError: something is not what it should be; the function is not scalar, or not finite at a start; a name
            of the space that a factory does not take, or ignores; records larger than ``memory``.

    >>> import jaxopt_course as jc
    >>> both = {"sgd": jc.sgd(0.1), "adam": jc.adam(0.1)}
    >>> found = paths(jc.surfaces.saddle, both, starts=[(1.0, 1e-3), (1.0, 0.5)], steps=40)
    >>> dict(found.params.sizes)
    {'optimizer': 2, 'start': 2, 'step': 41, 'dimension': 2}
    >>> swept = paths(jc.surfaces.booth, jc.momentum, jc.grid(learning_rate=[0.01, 0.05], momentum=[0.0, 0.5, 0.9]), steps=99)
    >>> swept.loss.isel(step=-1, start=0).sel(optimizer="momentum").dims
    ('learning_rate', 'momentum')

    References:
        Lecture 000 [B5, D5, G1]; lecture 002 (the animations) [G2].
    """
    checks.check_integer("paths", "steps", steps)
    checks.check_integer("paths", "record_every", record_every)
    checks.check_number("paths", "memory", memory, checks.Interval(0, open_low=True))
    objective, data, regularizer = _parts(function)
    points = _starts(function, starts)
    _check_values(objective, data, points, scalar=not isinstance(function, Problem))
    named = _named(optimizers, space)
    marks = np.unique(np.append(np.arange(0, steps, record_every), steps))
    shape = (len(named), *(space.shape if space is not None else ()), len(points), len(marks))
    _check_memory(shape, points.shape[1], len(record), steps, memory)
    problem = Problem(
        Start(points[0]), objective.apply, objective.loss, np.zeros(1), regularizer=regularizer, coupled=objective.coupled
    )
    keys = _keys(as_key("paths", key), np.arange(len(points)))
    kernels = joined(
        [
            kernel
            for row, optimizer in enumerate(named.values())
            for kernel in _kernels(problem, optimizer, space, data, points, keys, row)
        ]
    )
    _check_fields(kernels, record)
    outcome = descend(
        tuple(kernel.recipe for kernel in kernels),
        [kernel.lanes for kernel in kernels],
        [kernel.states for kernel in kernels],
        data,
        np.diff(marks).astype(np.int32),
        fields=tuple(record),
        thinned=bool((np.diff(marks) > 1).any()),
    )
    columns = _gathered([kernel.places for kernel in kernels], jax.device_get(outcome), shape)
    return _labelled(columns, list(named), space, marks, {"function": _name(function), "steps": steps})


@compiled(ONCE)
def _keys(key, starts):
    """Of each start's noise: what ``fit`` makes of the key that belongs to the start."""
    return jax.vmap(lambda i: jax.random.split(jax.random.fold_in(key, i))[1])(starts)


def _parts(function: Any) -> tuple[Objective, Any, Any]:
    """The objective, the data that all steps see, and the regulariser."""
    if isinstance(function, Problem):
        point, model_state = jax.eval_shape(function.init, jax.random.key(0))
        if getattr(point, "ndim", None) != 1 or jax.tree.leaves(model_state):
            raise ValueError(f"paths: a problem's parameters must be one point, [d]; those of {function.name} are {point}")
        return function.objective, function.data.train, function.regularizer
    if not callable(function):
        raise TypeError(f"paths: function must be a surface, a function of a point, or a problem; got {function!r}")
    objective, data = objective_of(function)  # type: ignore[arg-type]
    return objective, data, None


def _starts(function: Any, starts: Any) -> jax.Array:
    """Points ``[k, d]``."""
    if starts is None and isinstance(function, Problem):
        starts = function.init(jax.random.key(0))[0]
    elif starts is None:
        starts = getattr(function, "start", None)
        if starts is None:
            raise TypeError("paths: starts must be given for a function that is no surface of jc.surfaces")
    checks.check_number("paths", "starts", starts, scalar=False)
    points = jnp.atleast_2d(jnp.asarray(starts, float))
    dimension = getattr(function, "dimension", points.shape[-1])
    if points.ndim != 2 or points.size == 0 or (points.shape[1] != dimension and not _any_dimension(function)):
        raise ValueError(f"paths: starts must be points, [k, {dimension}]; got shape {np.shape(starts)}")
    return points


def _any_dimension(function: Any) -> bool:
    return bool(getattr(getattr(function, "facts", None), "any_dimension", False))


def _check_values(objective: Objective, data: Any, points: jax.Array, scalar: bool) -> None:
    """Raise unless the function is scalar, and finite at every start."""
    shape = jax.eval_shape(lambda point: objective(point, {}, data).losses, points[0]).shape
    if scalar and shape != ():
        raise ValueError(f"paths: function must return a scalar; at the first start it returns shape {shape}")
    values = np.asarray(_values(objective, points, data))
    if not np.isfinite(values).all():
        bad = int(np.argmin(np.isfinite(values)))
        where = f"starts[{bad}] = {points[bad].tolist()}"
        raise ValueError(f"paths: function must be finite at the starts; at {where} it is {values[bad]}")


@functools.partial(jax.jit, static_argnums=0)
def _values(objective, points, data):
    return jax.vmap(lambda point: jnp.mean(objective(point, {}, data).losses))(points)


def _named(optimizers: Any, space: Any) -> dict[str, Any]:
    """Name → optimizer; or → factory, if there is a space."""
    if space is not None and not isinstance(space, Space):
        raise TypeError(f"paths: space must come from jc.grid or jc.spaces; got {space!r}")
    if taken := RESERVED & set(space.names if space is not None else ()):
        raise ValueError(f"paths: an axis must not be called {min(taken)!r}: the results have something else of this name")
    if isinstance(optimizers, optax.GradientTransformation):
        raise TypeError("paths: optimizers must have names, as in {'adam': jc.adam(0.1)}; got one optimizer")
    if callable(optimizers):
        optimizers = {getattr(optimizers, "__name__", type(optimizers).__name__): optimizers}
    if not isinstance(optimizers, Mapping) or not optimizers:
        raise TypeError(f"paths: optimizers must be a dict, name → optimizer, with at least one; got {optimizers!r}")
    if space is not None:
        return dict(optimizers)
    for name, optimizer in optimizers.items():
        if not isinstance(optimizer, optax.GradientTransformation) and callable(optimizer):
            raise TypeError(f"paths: {name!r} is a factory: call it ({name}(0.1)), or give a space of hyperparameters")
    return {name: as_transformation("paths", optimizer) for name, optimizer in optimizers.items()}


def _check_memory(shape: tuple[int, ...], dimension: int, fields: int, steps: int, memory: float) -> None:
    size = jnp.dtype(jnp.result_type(float)).itemsize * ((1 + fields) * dimension + 2)
    if (needed := math.prod(shape) * size) > memory:
        every = math.ceil(steps / max(1, memory // (size * math.prod(shape[:-1])) - 2))
        raise ValueError(
            f"paths: the records of {math.prod(shape[:-1])} paths at {shape[-1]} steps would take {needed / 2**20:.3g} MiB, "
            f"more than memory, {memory / 2**20:.3g} MiB: give more of it, or record_every={every}"
        )


def _kernels(
    problem: Problem, optimizer: Any, space: Space | None, data: Any, points: jax.Array, keys: Key, row: int
) -> list[Kernel]:
    """One named optimizer's paths: one kernel, or one for each group of configurations that share a program."""
    if space is None:
        recipe = Recipe(FixedProblem(problem.objective), fixed(optimizer, points[0]))
        stacked: Any = jax.tree.map(lambda leaf: np.asarray(leaf, jnp.result_type(leaf))[None], problem.regularizer)
        lanes = Lane(jnp.zeros(1, jnp.int32), {}, stacked)
        states = first_states(recipe, Call(lambda: optimizer), lanes, points, keys)
        return [Kernel(np.array([row]), recipe, lanes, states)]
    kernels = []
    for group in match(problem, optimizer, space, None, "paths", own=()):
        with tracing(group.named, "paths"):
            _check_uses(group, data, points[0], keys[0])
            states = first_states(group.recipe, group.make, group.lanes, points, keys)
        places = row * len(space) + np.array(group.members)
        kernels.append(Kernel(places, group.recipe, group.recipe.needs(group.lanes), states))
    return kernels


def _check_uses(group: Any, data: Any, point: jax.Array, key: Key) -> None:
    """Raise for a traced name that reaches no update."""
    lane = jax.tree.map(lambda leaf: leaf[0], group.lanes)
    leaves, structure = jax.tree.flatten((lane, (point, {}), key, data, None))
    shapes = tuple(jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    for name in flow(group.recipe, group.make, True, structure, shapes).unused:
        raise ValueError(f"paths: the {group.named[name]} does not depend on {name!r}: its factory ignores it")


def _check_fields(kernels: Sequence[Kernel], record: Sequence[str]) -> None:
    if isinstance(record, str):
        raise TypeError(f"paths: record must be a list of names; got {record!r}")
    known = {name for kernel in kernels for name in state_fields(kernel)} if record else set()
    for name in record:
        if name not in known:
            raise ValueError(f"paths: no optimizer's state has a field {name!r} like a point{checks.closest(name, known)}")


def _gathered(places: Sequence[np.ndarray], outcome: Any, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The kernels' records in one array each: [optimizers, *space, starts, points, ...]; NaN where there are none."""
    lanes, (starts, points) = math.prod(shape[:-2]), shape[-2:]
    columns: dict[str, np.ndarray] = {"diverged_step": np.empty((lanes, starts), np.int32)}
    for own, (records, diverged) in zip(places, outcome, strict=True):
        columns["diverged_step"][own] = diverged.T
        for name, values in records.items():
            tail = values.shape[3:]
            column = columns.setdefault(name, np.full((lanes, starts, points, *tail), np.nan, values.dtype))
            column[own] = np.moveaxis(values, (0, 1, 2), (2, 1, 0))
    return {name: column.reshape(*shape[:-2], *column.shape[1:]) for name, column in columns.items()}


def _labelled(
    columns: dict[str, np.ndarray], names: list[str], space: Space | None, marks: np.ndarray, attributes: dict[str, Any]
) -> xr.Dataset:
    import xarray as xr

    axes = [name for name, _ in space.axes] if space is not None else []
    dims = ("optimizer", *axes, "start", "step", "dimension")
    starts, _, dimension = columns["params"].shape[-3:]
    coordinates: dict[str, Any] = {"optimizer": names, **(space.coordinates() if space is not None else {})}
    coordinates |= {"start": np.arange(starts), "step": marks, "dimension": np.arange(dimension)}
    dataset = xr.Dataset({name: (dims[: column.ndim], column) for name, column in columns.items()}, coordinates, attributes)
    for name in dataset.variables:
        default = f"{name}: swept" if space is not None and name in space.names else f"{name} of the optimizer's state"
        dataset[name].attrs |= {"description": DESCRIPTIONS.get(str(name), default), "units": "1"}
    return dataset


def _name(function: Any) -> str:
    return str(getattr(function, "name", getattr(function, "__name__", "function")))
