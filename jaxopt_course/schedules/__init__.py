"""A value for each step: ``schedule(step)``, from step 0 [C1–C7].

A schedule is a frozen pytree, a static rule with numbers as leaves, and lives in the optimizer's state: schedules of one
rule share compiled code, whatever their numbers, and those can be set mid-run, swept, and differentiated by. Any of them is
a valid optax schedule too. The first update uses the value at step 0; lecture 000 writes the value of step t + 1.
:mod:`~jaxopt_course.schedules.batch_size` holds the rate and grows the batches instead [C8].
"""

from jaxopt_course.schedules import batch_size
from jaxopt_course.schedules.cyclic import cosine, restarts, triangular, warm_restarts
from jaxopt_course.schedules.decay import constant, exponential, linear, recursive, step, time_based
from jaxopt_course.schedules.epochs import epochs
from jaxopt_course.schedules.joins import join, piecewise, scaled, warmup
from jaxopt_course.types import Schedule

__all__ = [
    "Schedule",
    "batch_size",
    "constant",
    "cosine",
    "epochs",
    "exponential",
    "join",
    "linear",
    "piecewise",
    "recursive",
    "restarts",
    "scaled",
    "step",
    "time_based",
    "triangular",
    "warm_restarts",
    "warmup",
]
