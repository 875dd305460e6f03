"""Errors of a wrapper's parts, in the name of the wrapper that was called."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import optax

__all__ = ["check_transformation", "speaks_for"]

P = ParamSpec("P")
T = TypeVar("T")


def speaks_for(part: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorator: what ``part`` refuses, the function refuses, by its own name."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except (TypeError, ValueError) as error:
                message = re.sub(rf"^{part}\b", function.__name__, str(error))
                raise type(error)(message) from None

        return call

    return decorate


def check_transformation(where: str, name: str, value: Any) -> None:
    """Raise a TypeError unless ``value`` is a gradient transformation.

    >>> check_transformation("plateau", "optimizer", 3)
    Traceback (most recent call last):
    TypeError: plateau: optimizer must be a gradient transformation, a pair (init, update); got 3
    """
    if not isinstance(value, optax.GradientTransformation):
        hint = " (call the factory: jc.adam(1e-3))" if callable(value) else ""
        raise TypeError(f"{where}: {name} must be a gradient transformation, a pair (init, update); got {value!r}{hint}")
