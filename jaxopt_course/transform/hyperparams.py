"""Hyperparameters in the state.

``@optimizer`` turns a factory, written like optax's, into one whose numbers live in the state. ``init`` puts them there;
``update`` builds the transformation from the numbers that it finds there, so it holds none of its own: all optimizers of a
factory have equal ``update``s, and share one compiled step.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.transform.leaves import cast_like, check_floating, check_same_tree
from jaxopt_course.transform.steps import next_step
from jaxopt_course.types import Parametric, Params, Schedule, Updates, as_schedule, named, pickled, real_dtype

__all__ = ["HyperparamsState", "inject", "optimizer"]

P = ParamSpec("P")


def check_state(where: str, opt_state: Any) -> None:
    """Raise TypeError where an optimizer was given in the place of its state."""
    if isinstance(opt_state, optax.GradientTransformation):
        raise TypeError(f"{where}: opt_state must be an optimizer's state, as its init(params) gives; got an optimizer")


def is_schedule(value: Any) -> bool:
    return isinstance(value, Schedule)


@dataclasses.dataclass(frozen=True)
class Rule:
    """What makes two optimizers the same program: the factory and its static arguments."""

    factory: Callable[..., optax.GradientTransformation]
    static: tuple[tuple[str, Any], ...]
    accepted: tuple[tuple[str, checks.Interval], ...] = ()

    @property
    def name(self) -> str:
        return getattr(self.factory, "__name__", repr(self.factory))

    def __reduce__(self):
        return pickled, (Rule, named(self.factory), self.static, self.accepted)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.static)})"

    def build(
        self, numbers: Mapping[str, Any], asarray: Callable[..., Any] = jnp.asarray
    ) -> optax.GradientTransformationExtraArgs:
        """The transformation for these numbers, as arrays: NumPy's, if it is built for its checks only, which is quicker."""
        dtype = jax.dtypes.canonicalize_dtype(float)
        numbers = {k: asarray(x, dtype) if isinstance(x, (int, float)) else x for k, x in numbers.items()}
        with _building(asarray):
            built = self.factory(**numbers, **dict(self.static))
        checks.check_transformation(self.name, "what the factory returns", built)
        return optax.with_extra_args_support(built)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["step", "hyperparams", "inner"], meta_fields=["rule"])
@dataclasses.dataclass(frozen=True)
class HyperparamsState:
    """The state of every optimizer of ours.

    Attributes:
        step: updates done, int32, if schedules ask for it; else None.
        hyperparams: name → array, :class:`~jaxopt_course.types.Schedule`, other parametric functions (whose numbers may be
            schedules, too), or None.
        inner: the method's own state.
        rule: the factory and its static arguments (static).
    """

    step: jax.Array | None
    hyperparams: dict[str, Any]
    inner: Any
    rule: Rule

    def values(self, step: jax.Array | None, dtype: Any = None) -> dict[str, Any]:
        """The hyperparameters' values at ``step``."""
        dtype = dtype or jnp.result_type(float)
        value = lambda leaf: jnp.asarray(leaf(step) if isinstance(leaf, Schedule) else leaf).astype(dtype)
        return jax.tree.map(value, self.hyperparams, is_leaf=is_schedule)

    @property
    def scheduled(self) -> bool:
        """Whether a schedule is among them."""
        return any(map(is_schedule, jax.tree.leaves(self.hyperparams, is_leaf=is_schedule)))


def _as_float(number: Any) -> jax.Array:
    """In the default float dtype; a copy of NumPy's and Python's is sent, where jnp.asarray would compile a program."""
    dtype = jnp.result_type(float)
    return jnp.asarray(number, dtype) if isinstance(number, jax.Array) else jax.device_put(np.array(number, dtype))


@dataclasses.dataclass(frozen=True, eq=False)
class Init:
    """``init``: the method's state, and the hyperparameters in the default float dtype."""

    rule: Rule
    hyperparams: dict[str, Any]

    def __repr__(self) -> str:
        return f"{self.rule.name}({', '.join(f'{k}={v}' for k, v in (*self.hyperparams.items(), *self.rule.static))})"

    def __call__(self, params: Params) -> Any:
        check_floating(f"{self.rule.name}.init", params)
        numbers = jax.tree.map(_as_float, self.hyperparams)
        state = HyperparamsState(None, numbers, None, self.rule)
        if state.scheduled:
            state = dataclasses.replace(state, step=jax.device_put(np.int32(0)))
        inner = self.rule.build(state.values(state.step, real_dtype(params))).init(params)
        return dataclasses.replace(state, inner=inner)


@dataclasses.dataclass(frozen=True)
class Update:
    """``update``: everything it needs is in the state. Equal, and of equal hash, when the rule is."""

    rule: Rule

    def __repr__(self) -> str:
        return f"{self.rule.name}.update"

    def __call__(self, updates: Updates, state: Any, params: Params | None = None, **extra: Any) -> tuple[Updates, Any]:
        name = self.rule.name
        if not isinstance(state, HyperparamsState) or state.rule != self.rule:
            raise ValueError(f"{name}.update: this state was not made by this optimizer's init: {type(state).__name__}")
        if params is not None and jax.tree.structure(updates) != jax.tree.structure(params):
            check_same_tree(f"{name}.update: gradients", updates, "parameters", params)
        transform = self.rule.build(state.values(state.step, real_dtype(updates)))
        new, inner = transform.update(updates, state.inner, params, **extra)
        new, inner = cast_like(new, updates), cast_like(inner, state.inner)
        step = None if state.step is None else next_step(state.step)
        return new, dataclasses.replace(state, step=step, inner=inner)


def optimizer(
    factory: Callable[P, optax.GradientTransformation],
) -> Callable[P, optax.GradientTransformationExtraArgs]:
    """Decorator: a factory of gradient transformations becomes one whose numbers live in the state.

    Positional arguments are hyperparameters: each takes a number, a scalar array (traced too) or a schedule, and is checked
    against the :class:`~jaxopt_course.checks.Interval` in its annotation. Keyword-only arguments are static. Inside the
    factory the hyperparameters are arrays; other decorated factories called there become part of it.

    A schedule is checked at step 0 by the call, which does not know how long it will be followed, and at a run's own steps by
    ``jc.fit`` and ``jc.minimize``, before they compile. A loop of one's own follows it anywhere.

    Args:
        factory: ``factory(numbers..., *, static...) → optax.GradientTransformation``.

    Returns:
        The factory, with the same signature, of ``optax.GradientTransformationExtraArgs``.

    Raises:
        TypeError: the factory takes ``*args`` or ``**kwargs``; or, when it is called, an unknown argument, or a static one
            that is not hashable. ValueError: a number outside its interval.

    >>> @optimizer
    ... def signed(learning_rate):
    ...     def update(grads, state, params=None):
    ...         return jax.tree.map(lambda g: -learning_rate * jnp.sign(g), grads), state
    ...     return optax.GradientTransformation(lambda params: (), update)
    >>> tx = signed(0.5)
    >>> state = tx.init(jnp.zeros(2))
    >>> import jaxopt_course as jc
    >>> tx.update(jnp.array([3.0, -4.0]), jc.set_hyperparams(state, learning_rate=0.25))[0]
    Array([-0.25,  0.25], dtype=float32)
    >>> signed(0.5).update == signed(0.1).update
    True
    """
    signature = inspect.signature(factory)
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"optimizer: {factory.__name__} takes {parameter}; give each hyperparameter a name")
    sort = functools.partial(checks.bind, signature, getattr(factory, "__name__", "optimizer"))
    return _lift(factory, sort, checks.intervals(factory))


def inject(
    factory: Callable[P, optax.GradientTransformation], *, static: tuple[str, ...] = ()
) -> Callable[P, optax.GradientTransformationExtraArgs]:
    """Hyperparameters in the state for a foreign factory: ``jc.inject(optax.lion)(1e-4)``.

    Floats, floating-point arrays and schedules become hyperparameters, and so does an integer given where none is asked for
    (by default or annotation); everything else, and what ``static`` names, stays static.

    Args:
        factory: optax's, or anybody's.
        static: names of arguments to leave alone (a callable that is no schedule, say).

    Raises:
        TypeError: an unknown argument, or a static one that is not hashable.

    >>> tx = inject(optax.lion)(1e-4, b1=0.95)
    >>> {k: round(float(v), 5) for k, v in tx.init(jnp.zeros(2)).hyperparams.items()}
    {'b1': 0.95, 'b2': 0.99, 'learning_rate': 0.0001, 'weight_decay': 0.001}
    """
    if getattr(factory, "has_hyperparams_in_state", False):
        return factory  # type: ignore[return-value]  # ours already
    parameters = inspect.signature(factory).parameters

    def sort(args: tuple, kwargs: Mapping[str, Any]) -> checks.Arguments:
        kinds = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in parameters.values() if p.kind != p.VAR_KEYWORD]
        given = checks.bind(inspect.Signature(kinds), name, args, kwargs).numbers
        numbers = {k: v for k, v in given.items() if k not in static and _is_number(v, parameters[k])}
        rest = {k: v for k, v in given.items() if k not in numbers}
        for key, value in rest.items():
            try:
                hash(value)
            except TypeError:
                raise TypeError(f"{name}: {key} must be hashable; got {value!r} (give a function that returns it)") from None
        return checks.Arguments(numbers, rest)

    name = getattr(factory, "__name__", "factory")
    return _lift(factory, sort, {})


_asarray: contextvars.ContextVar[Callable[..., Any] | None] = contextvars.ContextVar("asarray", default=None)


@contextlib.contextmanager
def _building(asarray: Callable[..., Any]):
    """Parts of a factory make arrays as the whole does."""
    token = _asarray.set(asarray)
    try:
        with np.errstate(all="ignore"):  # as JAX does
            yield
    finally:
        _asarray.reset(token)


def _lift(factory: Callable, sort: Callable[..., checks.Arguments], accepted: Mapping[str, checks.Interval]) -> Callable:
    name = getattr(factory, "__name__", repr(factory))

    @functools.wraps(factory)
    def make(*args: Any, **kwargs: Any) -> optax.GradientTransformationExtraArgs:
        numbers, static = sort(args, kwargs)
        # A part of a larger factory, or of optax.inject_hyperparams, has its numbers given by the whole.
        leaves = jax.tree.leaves(numbers, is_leaf=is_schedule)
        if ((asarray := _asarray.get()) or _injecting()) and not any(map(callable, leaves)):
            return Rule(factory, tuple(static.items())).build(numbers, asarray or jnp.asarray)
        hyper = {key: _as_hyperparameter(name, key, value, accepted.get(key)) for key, value in numbers.items()}
        rule = Rule(factory, tuple(static.items()), tuple(accepted.items()))
        example = {k: 1.0 if isinstance(v, Schedule) else v for k, v in hyper.items()}
        rule.build(example, np.asarray)  # its own checks, at this call
        return optax.GradientTransformationExtraArgs(Init(rule, hyper), Update(rule))

    make.has_hyperparams_in_state = True  # type: ignore[attr-defined]  # what `inject` looks for
    return make


def _injecting() -> bool:
    """Whether ``optax.inject_hyperparams`` is building a factory further up the stack."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_globals.get("__name__") == optax.inject_hyperparams.__module__:
            return True
        frame = frame.f_back
    return False


def _as_hyperparameter(where: str, name: str, value: Any, interval: checks.Interval | None) -> Any:
    if value is None or (isinstance(value, Parametric) and not isinstance(value, Schedule) and interval is None):
        return value
    if isinstance(value, Schedule) or (callable(value) and not isinstance(value, Parametric)):
        return as_schedule(where, name, value, interval)
    checks.check_number(where, name, value, interval, also=", an array or a schedule")
    return value


def _is_number(value: Any, parameter: inspect.Parameter) -> bool:
    if isinstance(value, (bool, str)) or value is None:
        return False
    if callable(value):  # a schedule, if that is what the argument takes
        return "Schedule" in str(parameter.annotation) or isinstance(value, Schedule)
    if isinstance(value, int):
        return not isinstance(parameter.default, int) and parameter.annotation not in (int, "int")
    return isinstance(value, float) or (hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.floating))
