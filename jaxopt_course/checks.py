"""Bad input is refused at the call that caused it, before anything compiles.

A message names the argument, the value received and what is accepted. Traced values cannot be inspected: they pass.
"""

from __future__ import annotations

import difflib
import inspect
import math
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer

__all__ = [
    "Arguments",
    "Interval",
    "bind",
    "check_bool",
    "check_choice",
    "check_float_dtype",
    "check_integer",
    "check_number",
    "check_sweep",
    "check_transformation",
    "closest",
    "intervals",
]


T = TypeVar("T")


class Interval(NamedTuple):
    """The numbers that an argument accepts; written into signatures as ``Annotated[..., Interval(0, 1)]``.

    >>> 1.0 in Interval(0, 1), 1.0 in Interval(0, 1, open_high=True), str(Interval(0, 1, open_high=True))
    (True, False, 'a number in [0, 1)')
    """

    low: float = -np.inf
    high: float = np.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: object) -> bool:
        if isinstance(value, float):  # what nearly every value is: a sweep checks thousands
            within = (self.low < value or (value == self.low and not self.open_low)) and (
                value < self.high or (value == self.high and not self.open_high)
            )
            return within and math.isfinite(value)
        array = np.asarray(value)
        above = array > self.low if self.open_low else array >= self.low
        below = array < self.high if self.open_high else array <= self.high
        return bool(np.all(above & below & np.isfinite(array)))

    def __str__(self) -> str:
        if self.high == np.inf:
            return "a finite number" if self.low == -np.inf else f"a number {'>' if self.open_low else '>='} {self.low:g}"
        return f"a number in {'(' if self.open_low else '['}{self.low:g}, {self.high:g}{')' if self.open_high else ']'}"


class Arguments(NamedTuple):
    """A call's arguments, sorted: numbers (which may be traced, scheduled, swept) and static keywords."""

    numbers: dict[str, Any]
    static: dict[str, Any]


def closest(name: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown name.

    >>> closest("adm", ["adam", "sgd"])
    "; did you mean 'adam'? (known: adam, sgd)"
    """
    known = sorted(known)
    match = difflib.get_close_matches(str(name), known, n=1)
    return (f"; did you mean {match[0]!r}?" if match else "") + f" (known: {', '.join(known) or 'none'})"


def check_number(
    where: str, name: str, value: Any, interval: Interval | None = None, *, scalar: bool = True, also: str = ""
) -> None:
    """Raise unless ``value`` is traced, or a real number (an array of them, if not ``scalar``) inside ``interval``.

    ``also`` is what else the argument accepts, for the message: ``", an array or a schedule"``.

    Raises:
        TypeError: the value is no real number. ValueError: it is not a scalar, not finite, or outside the interval.
    """
    if isinstance(value, Tracer) or (isinstance(value, float) and value in (interval or Interval())):
        return
    accepted = str(interval or Interval())
    accepted = accepted if scalar else accepted.replace("a finite number", "finite numbers")
    if isinstance(value, (str, bytes, bool, np.bool_)) or value is None:
        raise TypeError(f"{where}: {name} must be {accepted}{also}; got {value!r}")
    try:
        array = np.asarray(value)
        if array.dtype.kind in "bcmMSU":  # NumPy would read "0.1", and drop what is imaginary
            raise TypeError(f"{array.dtype} is no real number")
        array = array.astype(float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{where}: {name} must be {accepted}{also}; got {value!r}") from error
    if scalar and array.ndim:
        raise ValueError(
            f"{where}: {name} must be a scalar, got an array of shape {array.shape}"
            + ("; for a population, vmap over it" if also else "")
        )
    if array not in (interval or Interval()):
        raise ValueError(f"{where}: {name} must be {accepted}; got {value!r}")


def check_integer(where: str, name: str, value: Any, *, minimum: int | None = 1, maximum: int | None = None) -> int:
    """``value`` as an int, if it is an integer from ``minimum`` to ``maximum``; None is for none.

    >>> check_integer("fit", "batch_size", 0)
    Traceback (most recent call last):
    ValueError: fit: batch_size must be an integer >= 1; got 0
    """
    bounds = f" >= {minimum}" if maximum is None else f" from {minimum} to {maximum}"
    accepted = "an integer" + (bounds if minimum is not None else "")
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{where}: {name} must be {accepted}; got {value!r}")
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        raise ValueError(f"{where}: {name} must be {accepted}; got {value!r}")
    return int(value)


def check_float_dtype(where: str, name: str, value: Any) -> None:
    """Raise a TypeError unless ``value`` is a floating-point (or complex) dtype, or the name of one.

    >>> check_float_dtype("adam", "accumulator_dtype", "int32")
    Traceback (most recent call last):
    TypeError: adam: accumulator_dtype must be a floating-point dtype, as "float32"; got 'int32'
    """
    try:
        floating = jnp.issubdtype(jnp.dtype(value), jnp.inexact)
    except TypeError:
        floating = False
    if not floating:
        raise TypeError(f'{where}: {name} must be a floating-point dtype, as "float32"; got {value!r}')


def check_bool(where: str, name: str, value: Any) -> bool:
    """``value`` as a bool, if it is one, NumPy's included: 3 and "no" would count as true.

    >>> check_bool("fit", "progress", 3)
    Traceback (most recent call last):
    TypeError: fit: progress must be True or False; got 3
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{where}: {name} must be True or False; got {value!r}")
    return bool(value)


def check_choice(where: str, name: str, value: T, known: Iterable[str]) -> T:
    """``value``, if it is one of the known names.

    >>> check_choice("nesterov", "form", "ahead", ("lookahead", "shifted"))
    Traceback (most recent call last):
    ValueError: nesterov: unknown form 'ahead'; did you mean 'lookahead'? (known: lookahead, shifted)
    """
    names = list(known)
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{where}: unknown {name} {value!r}{closest(str(value), names)}")
    return value


def check_transformation(where: str, name: str, value: Any) -> None:
    """Raise a TypeError unless ``value`` is a gradient transformation.

    >>> check_transformation("plateau", "optimizer", 3)
    Traceback (most recent call last):
    TypeError: plateau: optimizer must be a gradient transformation, a pair (init, update); got 3
    """
    if not isinstance(value, optax.GradientTransformation):
        hint = " (call the factory: jc.adam(1e-3))" if callable(value) else ""
        raise TypeError(f"{where}: {name} must be a gradient transformation, a pair (init, update); got {value!r}{hint}")


def check_sweep(where: str, results: Any, dims: Iterable[str] = ("seed",)) -> None:
    """Raise unless these are a sweep's results, an ``xarray.Dataset`` as ``jc.sweep`` returns it, with these dimensions.

    Raises:
        TypeError: no dataset. ValueError: another dataset, or without these dimensions.
    """
    if not all(hasattr(results, name) for name in ("data_vars", "coords", "sizes")):
        raise TypeError(f"{where}: results must be what jc.sweep returned; got {results!r:.200}")
    if "diverged_step" not in results.data_vars:
        raise ValueError(f"{where}: results must be what jc.sweep returned; got a dataset with {list(results.variables)}")
    for name in dims:
        if name not in results.dims:
            hint = f"; .isel({name}=[0]) keeps the dimension, which .isel({name}=0) drops"
            raise ValueError(f"{where}: results must have the dimension {name!r} that jc.sweep's have{hint}")


def intervals(function: Callable) -> dict[str, Interval]:
    """The :class:`Interval` that each argument's annotation carries."""
    found = {}
    for name, hint in typing.get_type_hints(function, include_extras=True).items():
        for part in (hint, *typing.get_args(hint)):  # an argument may be optional: NonNegative | None
            found |= {name: extra for extra in getattr(part, "__metadata__", ()) if isinstance(extra, Interval)}  # noqa: B035
    return found


def bind(signature: inspect.Signature, where: str, args: tuple, kwargs: Mapping[str, Any]) -> Arguments:
    """Sort a call's arguments by kind: positional ones are numbers, keyword-only ones are static.

    Raises:
        TypeError: the call does not fit the signature (unknown keywords get their closest match), or a static
            argument is not hashable.
    """
    unknown = [name for name in kwargs if name not in signature.parameters]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        raise TypeError(f"{where}: unknown argument {unknown[0]!r}{closest(unknown[0], signature.parameters)}")
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{where}: {error}") from None
    bound.apply_defaults()
    sorted_ = Arguments({}, {})
    for name, value in bound.arguments.items():
        if signature.parameters[name].annotation in (bool, "bool") and not isinstance(value, Tracer):
            check_bool(where, name, value)
        if signature.parameters[name].kind is inspect.Parameter.KEYWORD_ONLY:
            try:
                hash(value)
            except TypeError:
                raise TypeError(f"{where}: {name} is static and must be hashable; got {value!r}") from None
            if name == "accumulator_dtype" and value is not None:
                check_float_dtype(where, name, value)
            sorted_.static[name] = value
        elif value is None and signature.parameters[name].default is not None:
            raise TypeError(f"{where}: {name} must be a number, an array or a schedule; got None")
        else:
            sorted_.numbers[name] = value
    return sorted_
