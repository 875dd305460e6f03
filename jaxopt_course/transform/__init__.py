"""An optimizer is a pure pair ``(init, update)``, and its hyperparameters are data in its state.

`hyperparams` has the decorator that moves them there, `access` the two functions that read and set them; `chain` composes,
and its update is equal when theirs are; `points` asks a state where it wants the gradient, and what to evaluate; `leaves`
applies an equation, written for one array, to the arrays of a tree; `steps` counts. Everything is optax's protocol: no new
classes to learn.
"""

from jaxopt_course.transform.access import check_schedules, hyperparams, set_hyperparams
from jaxopt_course.transform.chain import chain
from jaxopt_course.transform.hyperparams import inject, optimizer
from jaxopt_course.transform.leaves import map_leaves, scale_leaves, zeros_like
from jaxopt_course.transform.points import eval_params, gradient_point, look_ahead
from jaxopt_course.transform.steps import next_step

__all__ = [
    "chain",
    "check_schedules",
    "eval_params",
    "gradient_point",
    "hyperparams",
    "inject",
    "look_ahead",
    "map_leaves",
    "next_step",
    "scale_leaves",
    "optimizer",
    "set_hyperparams",
    "zeros_like",
]
