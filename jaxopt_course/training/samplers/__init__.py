"""Which examples each step sees, and what they weigh [F1, F2].

A sampler gives an epoch's order from a random generator alone, so it depends on nothing but the run's key and the epoch's
number. Orders are drawn on the host, between chunks: it permutes 60 000 indices in a millisecond, where a compiled sort takes
forty, and nothing compiles. Only ``importance("loss")``, whose draws depend on the losses so far, draws inside the loop.
"""

from jaxopt_course.training.samplers.adaptive import ByLoss
from jaxopt_course.training.samplers.orders import (
    Full,
    Sampler,
    Sequential,
    Shuffle,
    Uniform,
    full,
    sequential,
    shuffle,
    uniform,
)
from jaxopt_course.training.samplers.plans import Plan, Rows, check_weights, plan
from jaxopt_course.training.samplers.weighted import Balanced, Importance, balanced, importance

__all__ = [
    "Balanced",
    "ByLoss",
    "Full",
    "Importance",
    "Plan",
    "Rows",
    "Sampler",
    "Sequential",
    "Shuffle",
    "Uniform",
    "balanced",
    "check_weights",
    "full",
    "importance",
    "plan",
    "sequential",
    "shuffle",
    "uniform",
]
