"""The words that everything else is written in.

The lectures' symbols and our names: θ, x, w → ``params``; α, γ, η → ``learning_rate``; λ (lecture 000), μ (002) →
``momentum``; μ₁, μ₂ (002) → ``b1``, ``b2``; ρ, k → ``decay_rate`` or ``transition_steps``; n → ``num_examples``; m, n_b,
\\|B\\| → ``batch_size``; λ (001, 003) → ``regularization``; t → ``step``, from 0.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
import sys
from collections.abc import Callable
from typing import Annotated, Any, Concatenate, NamedTuple, ParamSpec, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course import checks
from jaxopt_course.checks import Interval

__all__ = [
    "Batch", "Decay", "Fraction", "Grads", "Key", "ModelState", "NonNegative", "Number", "OptState", "Parametric",
    "Params", "Positive", "Regularizer", "Scalar", "Schedule", "Updates", "as_schedule", "falls", "is_key", "named",
    "parametric", "pickled", "real_dtype", "value_at",
]  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R", bound="Parametric")

Params: TypeAlias = Any  # a pytree of floating-point arrays
Grads: TypeAlias = Any  # a pytree like the parameters
Updates: TypeAlias = Any  # a pytree like the parameters; `optax.apply_updates` adds it
ModelState: TypeAlias = Any  # what a model carries besides parameters: batch statistics
OptState: TypeAlias = Any
Batch: TypeAlias = Any  # a pytree with one leading axis; supervised: {"x": ..., "y": ...}
Key: TypeAlias = jax.Array
Scalar: TypeAlias = jax.typing.ArrayLike


def is_key(leaf: Any) -> bool:
    """Whether a leaf is a typed JAX key, of which only the words can be kept."""
    return jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key)


class Named(NamedTuple):
    """A function that its decorator has replaced under its name, as pickle knows it: by what has replaced it."""

    decorated: Callable[..., Any]


def named(function: Callable[..., Any]) -> Callable[..., Any] | Named:
    """The function, as pickle can find it."""
    try:
        found = operator.attrgetter(function.__qualname__)(sys.modules[function.__module__])
    except (AttributeError, KeyError):
        return function
    return Named(found) if found is not function and inspect.unwrap(found) is function else function


def pickled(kind: Callable[..., Any], function: Any, *arguments: Any) -> Any:
    """What was pickled with a :func:`named` function."""
    return kind(inspect.unwrap(function.decorated) if isinstance(function, Named) else function, *arguments)


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True, eq=False)
class Parametric:
    """A function with numbers in it, as a frozen pytree: the rule is static, the numbers are leaves.

    Equal rules with other numbers have the same tree structure, so they share compiled code; ``vmap``, ``grad`` and
    checkpoints reach the numbers like any others.
    """

    takes_schedules = False

    rule: Callable[..., Any]
    numbers: dict[str, Any] = dataclasses.field(default_factory=dict)
    static: tuple[tuple[str, Any], ...] = ()

    def __call__(self, argument: Any) -> Any:
        return self.rule(argument, **self.numbers, **dict(self.static))

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or jax.tree.structure(self) != jax.tree.structure(other):
            return False
        return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(self), jax.tree.leaves(other), strict=True))

    def __hash__(self) -> int:
        return hash((type(self), self.rule, self.static, tuple(self.numbers)))

    def __reduce__(self):
        return pickled, (type(self), named(self.rule), self.numbers, self.static)

    def __repr__(self) -> str:
        shown = [f"{k}={v}" for k, v in (*self.numbers.items(), *self.static)]
        return f"{getattr(self.rule, '__name__', self.rule)}({', '.join(shown)})"

    def tree_flatten_with_keys(self):
        keyed = [(jax.tree_util.DictKey(name), value) for name, value in self.numbers.items()]
        return keyed, (self.rule, tuple(self.numbers), self.static)

    @classmethod
    def tree_unflatten(cls, auxiliary, children):
        rule, names, static = auxiliary
        return cls(rule, dict(zip(names, children, strict=True)), static)


@jax.tree_util.register_pytree_with_keys_class
class Schedule(Parametric):
    """A value for each step: ``schedule(step)``, from step 0. A pytree (see :class:`Parametric`), a valid optax schedule.

    Steps are read in the default float dtype: float32 tells all apart up to 2²⁴ = 16 777 216, and every second one from there
    to 2²⁵; float64 (``jax_enable_x64``) up to 2⁵³.
    """

    takes_schedules = True

    def __call__(self, step: Any) -> jax.Array:
        return super().__call__(jnp.asarray(step, jnp.result_type(float)))

    def plot(self, steps: int, **options: Any) -> Any:
        """Its values over the first ``steps`` steps as a figure (see :func:`jaxopt_course.report.rates.schedule`)."""
        from jaxopt_course.report import rates

        return rates.schedule(self, steps, **options)


@jax.tree_util.register_pytree_with_keys_class
class ForeignSchedule(Schedule):
    """Another library's function of the step, which counts in int32. Steps that our schedules pass on are floats: it gets them
    as they are if it takes them (they may be fractions), else whole.
    """

    def __call__(self, step: Any) -> jax.Array:
        step = jnp.asarray(step)
        if jnp.issubdtype(step.dtype, jnp.integer) or not self._takes(step):
            step = step.astype(jnp.int32)
        return self.rule(step)

    def _takes(self, step: jax.Array) -> bool:
        try:
            jax.eval_shape(self.rule, jax.ShapeDtypeStruct(step.shape, step.dtype))
        except Exception:  # whatever a stranger raises
            return False
        return True


@jax.tree_util.register_pytree_with_keys_class
class Regularizer(Parametric):
    """λR(θ) [A2]: ``regularizer(params)`` is a scalar. A pytree (see :class:`Parametric`), so λ can be traced and swept."""

    def __call__(self, params: Params) -> Any:
        value = super().__call__(params)
        arrays = (jax.Array, np.ndarray, np.generic, int, float)
        if not isinstance(value, arrays) or jnp.shape(value) or jnp.iscomplexobj(value):
            raise TypeError(f"regularizer: {self.rule!r} must return one real number; it returns {value!r:.100}")
        return value


def parametric(kind: type[R]) -> Callable[[Callable[Concatenate[Any, P], Any]], Callable[P, R]]:
    """Decorator: turn ``rule(argument, numbers..., *, static...)`` into a factory ``(numbers..., *, static...) → kind``.

    Numbers are checked against the :class:`~jaxopt_course.checks.Interval` of their annotation.

    >>> @parametric(Schedule)
    ... def harmonic(step, init_value: NonNegative):
    ...     return init_value / (1 + step)
    >>> float(harmonic(0.5)(1)), harmonic(0.5) == harmonic(0.5), harmonic(0.5) == harmonic(0.1)
    (0.25, True, False)
    """

    def decorate(rule: Callable[Concatenate[Any, P], Any]) -> Callable[P, R]:
        signature = inspect.signature(rule)
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
        name = rule.__name__
        takes_schedule = {  # each number of a search; a schedule's own, where its rule says so
            key: kind.takes_schedules and (kind is not Schedule or "Schedule" in str(parameter.annotation))
            for key, parameter in signature.parameters.items()
        }

        @functools.wraps(rule)
        def factory(*args: P.args, **kwargs: P.kwargs) -> R:
            numbers, static = checks.bind(signature, name, args, kwargs)
            accepted = checks.intervals(rule)
            for key, value in numbers.items():
                if callable(value) and takes_schedule[key]:
                    numbers[key] = as_schedule(name, key, value, accepted.get(key))
                else:
                    checks.check_number(
                        name, key, value, accepted.get(key), also=" or a schedule" if takes_schedule[key] else ""
                    )
            return kind(rule, numbers, tuple(static.items()))  # pyright: ignore[reportReturnType]  # narrowed by `is` above

        factory.__signature__ = signature  # type: ignore[attr-defined]  # what help() and inspect show
        return factory

    return decorate


# Hyperparameters: a number, a scalar array or a schedule where a factory is called, always an array inside the factory.
Number: TypeAlias = Annotated[Any, Interval()]
NonNegative: TypeAlias = Annotated[Any, Interval(0)]
Positive: TypeAlias = Annotated[Any, Interval(0, open_low=True)]
Fraction: TypeAlias = Annotated[Any, Interval(0, 1)]
Decay: TypeAlias = Annotated[Any, Interval(0, 1, open_high=True)]


def as_schedule(where: str, name: str, function: Callable[[Any], Any], interval: Interval | None = None) -> Schedule:
    """A function of the step, ours or foreign, as a schedule.

    Raises:
        TypeError: it does not give a number at step 0. ValueError: that number is outside ``interval``; a traced one passes.
    """
    ours = isinstance(function, Schedule)
    schedule = function if ours else _foreign(where, name, function)
    if interval is not None:
        checks.check_number(where, f"{name} at step 0", value_at(schedule, 0), interval)
    return schedule


def value_at(schedule: Schedule, step: int) -> jax.Array:
    """Its value at a step. All of ours that are equal but for their numbers share a program; a foreign one needs none."""
    numbers = jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), schedule)
    return _compiled(numbers, step) if schedule.numbers else schedule(step)


@jax.jit
def _compiled(schedule: Schedule, step: int) -> jax.Array:
    return schedule(step)


def _foreign(where: str, name: str, function: Callable[[Any], Any]) -> Schedule:
    try:
        value = jax.eval_shape(function, jax.ShapeDtypeStruct((), jnp.int32))
        is_number = getattr(value, "shape", None) == () and jnp.issubdtype(value.dtype, jnp.number)
    except Exception as error:
        raise TypeError(f"{where}: {name} is a function, but no schedule: at step 0 it raises {error!r:.200}") from error
    if not is_number:
        raise TypeError(f"{where}: {name} is a function, but no schedule (step → number): at step 0 it gives {value!r:.200}")
    return ForeignSchedule(function)


def falls(name: str, given: bool | None = None, where: str = "falls") -> bool:
    """Whether less of a quantity is better: as ``given``; or as its name says: losses, errors and objectives fall.

    Raises:
        TypeError: ``given`` is not None, True or False; the message begins with ``where``.

    >>> falls("validation_loss"), falls("mean_absolute_error"), falls("accuracy"), falls("accuracy", True)
    (True, True, False, True)
    """
    if given is not None:
        if not isinstance(given, (bool, np.bool_)):
            raise TypeError(f"{where}: falls must be None, True or False; got {given!r}")
        return bool(given)
    return any(word in name for word in ("loss", "error", "objective"))


def real_dtype(tree: Any) -> Any:
    """The real dtype to compute in for these leaves: their common one, at least float32 (default float if there are none)."""
    dtypes = {jnp.result_type(leaf) for leaf in jax.tree.leaves(tree)}
    dtype = jnp.result_type(*dtypes, jnp.float32) if dtypes else jnp.result_type(float)
    return jnp.finfo(dtype).dtype
