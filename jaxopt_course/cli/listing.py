"""``jaxopt-course optimizers`` and ``jaxopt-course problems``: what there is."""

from __future__ import annotations

import inspect

__all__ = ["optimizers", "problems"]


def optimizers() -> int:
    """List the optimizers: name, lecture row, what it does, and its arguments with their defaults."""
    from jaxopt_course.optimizers import CATALOG

    for name, entry in CATALOG.items():
        signature = ", ".join(
            p.name if p.default is p.empty else f"{p.name}={p.default!r}"
            for p in inspect.signature(entry.factory).parameters.values()
        )
        print(f"{name}  [{entry.lecture}]\n    {entry.summary}\n    {name}({signature})")
    return 0


def problems() -> int:
    """List the problems."""
    from jaxopt_course.problems import PROBLEMS

    for name, (_, description) in PROBLEMS.items():
        print(f"{name:<20} {description}")
    return 0
