"""What values are called: in results, in messages, and in stores, which another process reads."""

from __future__ import annotations

import functools
import re
from typing import Any

__all__ = ["ADDRESS", "check_labels", "label", "labels"]

ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def label(value: Any) -> str:
    """A value's name, or its text; without its address in memory, which is another one in the next process.

    >>> label("relu"), label(max), label((8, 4)), label(functools.partial(max, default=0.5))
    ('relu', 'max', '(8, 4)', 'max(default=0.5)')
    """
    if isinstance(value, functools.partial):
        arguments = [*map(label, value.args), *(f"{name}={label(given)}" for name, given in value.keywords.items())]
        return f"{label(value.func)}({', '.join(arguments)})"
    return value if isinstance(value, str) else getattr(value, "__name__", ADDRESS.sub("", str(value)))


def labels(values: tuple[Any, ...]) -> list[Any]:
    """Numbers, booleans or strings as they are; anything else by its name."""
    if len({type(value) for value in values}) == 1 and isinstance(values[0], (bool, int, float, str)):
        return list(values)
    return [label(value) for value in values]


def check_labels(where: str, name: str, values: tuple[Any, ...]) -> None:
    """Raise for different values of one label."""
    distinct = labels(tuple({(type(value), value): value for value in values}.values()))
    if len(set(distinct)) < len(distinct):
        raise ValueError(
            f"{where}: {name} has values that cannot be told apart by their names: {distinct}; give names, and let the "
            "factory look up what they stand for"
        )
