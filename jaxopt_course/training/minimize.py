"""Descent on a function without data: a surface, a deterministic loss, and the path taken [B1, G1].

It is a few chunks of the compiled loop, which record the points; the function is part of the program.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.probes.definition import Probe, named
from jaxopt_course.problems.objective import Objective
from jaxopt_course.training import stopping
from jaxopt_course.training.chunk import run_chunk
from jaxopt_course.training.history import labelled
from jaxopt_course.training.state import as_transformation, owned, with_probes
from jaxopt_course.training.step import RESERVED, Program, TrainState, takes_extra_arguments
from jaxopt_course.transform import check_schedules, eval_params, hyperparams
from jaxopt_course.types import OptState, Parametric, Params

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Minimum", "minimize", "objective_of"]

CHUNK = 1 << 16  # steps whose records are there at once on the device: a budget costs no memory before it is used


@dataclasses.dataclass(frozen=True)
class _WithoutBatch:
    """``function(params)`` as a loss of parameters and a batch."""

    function: Callable[[Params], jax.Array]

    def __call__(self, params, batch):
        return self.function(params)


def _value_at(params: Params, function: Parametric) -> jax.Array:
    """A function with numbers in it takes the batch's place: its numbers are data, and others do not recompile."""
    return function(params)


def objective_of(function: Callable[[Params], jax.Array]) -> tuple[Objective, Any]:
    """A function of the parameters as an objective, and the data that it takes: the function's numbers, or None."""
    if isinstance(function, Parametric):
        return Objective.from_loss(_value_at), function
    return Objective.from_loss(_WithoutBatch(function)), None


@dataclasses.dataclass(frozen=True, eq=False)
class Minimum:
    """Where a descent ended, and how it got there.

    Attributes:
        params: the last point (what the optimizer says to evaluate). value: the function there.
        function: what was minimised.
        steps: updates done. stopped: why.
        opt_state: the optimizer's state at the end.
        points: the path, a tree like ``params`` with one more leading axis, the start first.
        records: per-step arrays. probes: those that were asked for, by name.
    """

    params: Params
    value: float
    function: Callable[[Params], jax.Array] = dataclasses.field(repr=False)
    steps: int
    stopped: str
    opt_state: OptState = dataclasses.field(repr=False)
    points: Params = dataclasses.field(repr=False)
    records: dict[str, np.ndarray] = dataclasses.field(repr=False)
    probes: dict[str, Probe] = dataclasses.field(repr=False, default_factory=dict)

    @functools.cached_property
    def history(self) -> xr.Dataset:
        """Loss (at the gradient point), gradient norm, hyperparameters, probes over ``step``; positions over ``point``."""
        import xarray as xr

        steps = np.arange(1, self.steps + 1)
        variables: dict[str, Any] = {k: labelled(k, v) for k, v in self.records.items()}
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.points):
            name = "/".join(("x", *([jax.tree_util.keystr(path, simple=True, separator="/")] if path else [])))
            variables[name] = (("point", *(f"{name}_{i}" for i in range(leaf.ndim - 1))), np.asarray(leaf))
        history = xr.Dataset(variables, {"step": steps, "point": np.arange(self.steps + 1)}, {"stopped": self.stopped})
        for name, probe in self.probes.items():
            history[name].attrs.update(probe.attributes)
        return history

    def plot(self, **options: Any) -> Any:
        """The path on its surface, where points are ``[2]`` (see :func:`jaxopt_course.report.paths.level_curves`); for
        anything else the loss along the path (see :func:`jaxopt_course.report.curves.history`).
        """
        if getattr(self.points, "shape", ())[1:] == (2,):
            from jaxopt_course.report import paths

            options.setdefault("legend", False)
            return paths.level_curves(self.function, {"path": self.points}, **options)
        from jaxopt_course.report import curves

        return curves.history(self.history, **options)


def minimize(
    function: Callable[[Params], jax.Array],
    optimizer: optax.GradientTransformation,
    *,
    start: Params,
    steps: int = 1000,
    stop: Any = (),
    probes: Probe | Sequence[Probe] | Mapping[str, Probe] = (),
) -> Minimum:
    """Follow an optimizer down a deterministic function, in one compiled loop.

    θ ← θ + update(∇f(gradient point)), until a criterion or the budget stops it

    Args:
        function: f(params) → scalar. It is part of the compiled program: the same function object compiles once; a surface of
            :mod:`jc.surfaces <jaxopt_course.problems.surfaces>` compiles once whatever its numbers are.
        optimizer: any gradient transformation, ours or optax's, line searches included.
        start: a point: a number, a list of numbers, or a pytree of arrays.
        steps: the budget. A value that is not finite ends the descent, too.
        stop: in-step criteria, ``jc.stopping.gradient_norm`` or ``relative_decrease``, one or several.
        probes: what to record of each step besides, from :mod:`jaxopt_course.probes` or your own; or ``{name: probe}``. There
            are no examples here, so those that compare examples refuse; ``over`` makes no difference.

    Returns:
        A :class:`Minimum` with its path.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the function is not scalar at the start, or not finite; a
            scheduled hyperparameter leaves what it accepts within these steps.

    >>> import jaxopt_course as jc
    >>> descent = minimize(lambda x: jnp.sum((x - 3) ** 2), jc.momentum(0.1, 0.5), start=[0.0, 1.0], steps=200)
    >>> bool(jnp.allclose(descent.params, 3.0)), descent.points.shape
    (True, (201, 2))

    References:
        Lectures 000, 001 [B1]; 003 (stopping).
    """
    optimizer = as_transformation("minimize", optimizer)
    checks.check_integer("minimize", "steps", steps, maximum=2**31 - 1)
    criteria = (stopping.NonFinite(), *stopping.criteria("minimize", stop))
    probes = named("minimize", probes, {*RESERVED, "params", "x", "point"})
    point = _point(start)
    _check_value(function, point)
    opt_state = optimizer.init(point)
    check_schedules("minimize", opt_state, steps)
    state = owned(TrainState(point, {}, opt_state, jax.random.key(0), jnp.zeros((), jnp.int32)))
    state = with_probes(probes, state)
    objective, data = objective_of(function)
    program = Program(objective, optimizer.update, takes_extra_arguments(optimizer), record=("params", "gradient_norm"))
    memory = tuple(criterion.start() for criterion in criteria)
    capacity = min(CHUNK, max(64, 1 << (steps - 1).bit_length()))
    parts, done, fired = [], 0, np.int32(-1)
    while done < steps and fired < 0:
        count = np.int32(min(capacity, steps - done))
        state, memory, *outcome = run_chunk(
            program, state, data, None, criteria, memory, None, count, fired, None, probes, capacity=capacity
        )
        records, more, fired = jax.device_get(outcome)
        parts.append(jax.tree.map(lambda leaf, more=more: leaf[:more], records))
        done += int(more)
    records = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    records["gradient_evaluations"] = np.cumsum(records.get("gradient_evaluations", np.ones(done, int)))
    path = records.pop("params")
    points = jax.tree.map(lambda first, rest: np.concatenate([np.asarray(first)[None], rest]), point, path)
    constants = {k: np.broadcast_to(v, done) for k, v in hyperparams(opt_state).items() if k not in records}
    params = eval_params(state.opt_state, state.params)
    value = float(_values(function, params))
    reason = "budget of steps done" if fired < 0 else str(criteria[fired])
    if fired == 0:
        reason = f"value {records['loss'][-1]} at step {done}"
    return Minimum(params, value, function, done, reason, state.opt_state, points, {**records, **constants}, probes)


def _values(function: Callable[[Params], Any], params: Params) -> jax.Array:
    return (_compiled_of_data if isinstance(function, Parametric) else _compiled)(function, params)


_compiled = jax.jit(lambda function, params: function(params), static_argnums=0)
_compiled_of_data = jax.jit(lambda function, params: function(params))


def _point(start: Any) -> Params:
    if isinstance(start, (list, tuple)) and all(np.ndim(number) == 0 for number in start):
        start = np.asarray(start)

    def floating(path, leaf):
        try:
            if isinstance(leaf, (str, bytes)):  # jax takes them for the names of dtypes
                raise TypeError(leaf)
            whole = np.issubdtype(jnp.result_type(leaf), np.integer)
            array = jnp.asarray(leaf, jnp.result_type(float) if whole or isinstance(leaf, float) else None)
        except (TypeError, ValueError) as error:
            where = f"minimize: start{jax.tree_util.keystr(path)}"
            raise TypeError(f"{where} must be numbers, or a pytree of arrays of them; got {leaf!r:.100}") from error
        if not bool(jnp.isfinite(array).all()):
            raise ValueError(f"minimize: start{jax.tree_util.keystr(path)} must be finite; got {array}")
        return array

    if start is None:
        raise TypeError("minimize: start must be numbers, or a pytree of arrays of them; got None")
    return jax.tree_util.tree_map_with_path(floating, start)


def _check_value(function: Any, point: Params) -> None:
    if not callable(function):
        raise TypeError(f"minimize: function must be a function of the parameters; got {function!r}")
    try:
        value = _values(function, point)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise TypeError(
            "minimize: function must be one that JAX can trace: of jax.numpy's functions, not NumPy's, without float(...) or "
            f"'if' on what depends on the parameters; {str(error).splitlines()[0]}"
        ) from error
    if not (isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.floating)):
        raise TypeError(f"minimize: function must return a real number; at the start it returns {value!r:.100}")
    if jnp.shape(value) != ():
        raise ValueError(f"minimize: function must return a scalar; at the start it returns shape {jnp.shape(value)}")
    if not bool(jnp.isfinite(value)):
        raise ValueError(f"minimize: function must be finite at the start; it is {float(value)}")
