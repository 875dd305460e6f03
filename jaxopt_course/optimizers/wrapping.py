"""Errors of a wrapper's parts, in the name of the wrapper that was called."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["speaks_for"]

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
