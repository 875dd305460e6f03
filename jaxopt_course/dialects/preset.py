"""What the dialects share: how a preset refuses, and when a number is off."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.optimizers.decayed import decayed
from jaxopt_course.schedules import scaled

__all__ = ["Switch", "off", "pair", "preset", "times", "with_decay"]

P = ParamSpec("P")
T = TypeVar("T")


class Switch(NamedTuple):
    """An argument of the framework's that does nothing here: its default, and what to use for another value.

    Without ``instead`` any value is accepted: it changes nothing mathematically.
    """

    default: Any
    instead: str = ""


_SECTIONS = """{doc}

Args:
    As in {framework}, in its order and with its defaults: see the signature. Numbers may be arrays and schedules.

Returns:
    A gradient transformation.

Raises:
    TypeError: an argument that {framework} does not have. ValueError: a number outside its interval{refused}.

>>> import jaxopt_course as jc
>>> path = jc.minimize(lambda x: (x**2).sum(), {call}, start=[1.0], steps=3)

References:
    The row of this method in the README's table says how it differs from the other dialects.
"""


def preset(
    framework: str, switches: Mapping[str, Switch] | None = None, *, note: str = ""
) -> Callable[[Callable[P, T]], Callable[..., T]]:
    """Decorator: a function from a framework's arguments to an optimizer of ours, with the framework's errors in our words.

    Args:
        framework: its name.
        switches: arguments that follow the function's own; ones that it names itself stand where it puts them.
        note: the end of an error about arguments that do not fit.

    Raises:
        TypeError: arguments that the framework does not have. ValueError: a switch that is not here.

    >>> @preset("somebody", {"clip": Switch(None, "optax.clip"), "verbose": Switch(False)})
    ... def descent(rate=0.1):
    ...     return rate
    >>> descent(verbose=True)
    0.1
    >>> descent(clip=1.0)
    Traceback (most recent call last):
    ValueError: dialects.somebody.descent: clip=1.0 is not here; use optax.clip
    """
    switches = dict(switches or {})

    def decorate(function: Callable[P, T]) -> Callable[..., T]:
        where = f"dialects.{framework}.{function.__name__}"
        own = inspect.signature(function)
        added = [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=switch.default)
            for name, switch in switches.items()
            if name not in own.parameters
        ]
        split = [p for p in own.parameters.values() if p.kind is p.KEYWORD_ONLY]
        positional = [p for p in own.parameters.values() if p.kind is not p.KEYWORD_ONLY]
        signature = own.replace(parameters=[*positional, *added, *split])

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> T:
            if args and (isinstance(args[0], (list, tuple, dict, Iterator)) or np.ndim(args[0]) > 0):
                hint = "parameters are not given here, but to init; the first argument is the learning rate"
                raise TypeError(f"{where}: {hint}; got {args[0]!r:.100}")
            try:
                numbers, static = checks.bind(signature, where, args, kwargs)
            except TypeError as error:
                raise TypeError(f"{error}{note}") from None
            arguments = numbers | static
            for name, switch in switches.items():
                value = arguments[name]
                if switch.instead and not _same(value, switch.default):
                    raise ValueError(f"{where}: {name}={value!r} is not here; use {switch.instead}")
            try:
                return function(**{name: arguments[name] for name in own.parameters})  # type: ignore[call-arg]  # P's, by name
            except (TypeError, ValueError) as error:  # in our names, beside the call in theirs
                given = dict(zip(own.parameters, args, strict=False)) | kwargs
                shown = ", ".join(f"{name}={value!r:.60}" for name, value in given.items())
                raise type(error)(f"{where}({shown}): {str(error).removeprefix(': ')}") from None

        refused = tuple(name for name, switch in switches.items() if switch.instead)
        first = next(iter(signature.parameters.values()))
        rate = f"{first.name}=0.1" if first.default in (first.empty, None) else ""
        call.__doc__ = _SECTIONS.format(
            doc=inspect.getdoc(function),
            framework=framework,
            refused=f";\n        or one that is not here: {', '.join(refused)}" if refused else "",
            call=f"jc.dialects.{framework}.{function.__name__}({rate})",
        )
        call.__signature__ = signature  # type: ignore[attr-defined]  # what help() and inspect show
        call.refused = refused  # type: ignore[attr-defined]  # for the table
        call.has_hyperparams_in_state = True  # type: ignore[attr-defined]  # `jc.inject` has nothing to add
        return call

    return decorate


def _same(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, (bool, int, float, str)) and value == default)


def off(value: Any) -> bool:
    """Whether a framework would leave this out: None, or the number 0. Arrays and schedules are on.

    >>> off(None), off(0), off(0.0), off(0.1), off(np.zeros(()))
    (True, True, True, False, False)
    """
    return value is None or (isinstance(value, (int, float, np.number)) and value == 0)


def pair(name: str, value: Any) -> tuple[Any, Any]:
    """The two numbers of ``betas=(β₁, β₂)``.

    Raises:
        TypeError: it is no pair.
    """
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{name} must be a pair of numbers, arrays or schedules; got {value!r}")
    return value[0], value[1]


def times(name: str, value: Any, factor: Any) -> Any:
    """A non-negative number, array or schedule, times another; a schedule if one of them is.

    Raises:
        ValueError: ``value`` is a negative number.
    """
    if not callable(value):
        checks.check_number("", name, value, checks.Interval(0), also=", an array or a schedule")
    return scaled(factor, value) if callable(value) or callable(factor) else factor * value


def with_decay(
    factory: Callable[..., optax.GradientTransformationExtraArgs],
    weight_decay: Any,
    *,
    decoupled: bool,
    mask: Any = None,
    **arguments: Any,
) -> optax.GradientTransformationExtraArgs:
    """The factory's optimizer; with weight decay, unless that is off (see :func:`~jaxopt_course.optimizers.decayed`)."""
    if mask is not None and not callable(mask):
        raise TypeError(f"a mask must be a function from the parameters to a tree of booleans; got {mask!r}")
    if off(weight_decay):
        return factory(**arguments)
    return decayed(factory)(**arguments, weight_decay=weight_decay, decoupled=decoupled, mask=mask)
