"""Small sweeps: their options, and what knows all of one before it trains."""

from __future__ import annotations

import numpy as np

from jaxopt_course.sweep import execution
from jaxopt_course.sweep.blocks import Options
from jaxopt_course.sweep.matching import match
from jaxopt_course.training.clock import Clock

FAST = {"seeds": 1, "epochs": 1, "batch_size": 10}
SMALL = {"seeds": 2, "batch_size": 10}  # for those that compete
RATES = np.geomspace(1e-3, 0.3, 9)


def runner(problem, factory, space, **options):
    """The first group's runner: what a sweep knows before it trains."""
    names = {"seeds": (0,), "vary": "both", "epochs": 1, "evaluate": "epoch", "sampler": None, "drop_remainder": False}
    chosen = Options(**(names | {"lanes": 128, "memory": 1e12} | options))
    return execution.Runner(match(problem, factory, space, 10)[0], chosen, Clock())
