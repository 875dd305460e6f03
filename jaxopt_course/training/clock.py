"""Seconds spent compiling, told from the others by whether something was traced."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from jaxopt_course.training.step import TRACES

__all__ = ["Clock"]


class Clock:
    """Seconds since it was made: spent compiling (tracing included), and running."""

    def __init__(self):
        self.compiling, self.began = 0.0, time.perf_counter()

    def __call__(self, dispatch: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Dispatch; if that traced something, the time it took was compiling."""
        start, traces = time.perf_counter(), TRACES.total()
        out = dispatch(*arguments, **options)
        if TRACES.total() != traces:
            self.compiling += time.perf_counter() - start
        return out

    @property
    def running(self) -> float:
        return time.perf_counter() - self.began - self.compiling
