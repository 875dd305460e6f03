"""The options that probes share, checked where a probe is made."""

from __future__ import annotations

from typing import Any, get_args

from jaxopt_course import checks
from jaxopt_course.probes.definition import Over

__all__ = ["check_chunk", "check_over"]


def check_over(where: str, over: Any) -> Over:
    """``"batch"`` or ``"train"``, or a ValueError."""
    return checks.check_choice(where, "over", over, get_args(Over))


def check_chunk(where: str, chunk: Any) -> int:
    """How many examples at a time."""
    return checks.check_integer(where, "chunk", chunk)
