"""jaxopt_course: five lectures on stochastic gradient descent, as optimizers, compiled training and measurements on JAX.

>>> import jaxopt_course as jc
>>> problem = jc.problems.digits(model="mlp")
>>> result = jc.fit(problem, jc.adam(1e-3), batch_size=32, epochs=5, key=0)
>>> result.evaluate("test")["accuracy"] > 0.8
True

An optimizer is a pair of functions, the one that optax defines; its hyperparameters are data in its state; it says where it
wants the gradient; many steps are one program; a population is the same program with one more axis.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

# Optimizers, their kernels, and their schedules
from jaxopt_course import linesearch, probes, problems, schedules
from jaxopt_course.optimizers import (
    CATALOG,
    adadelta,
    adagrad,
    adam,
    adamax,
    adamw,
    amsgrad,
    averaged,
    averaged_sgd,
    decayed,
    line_search,
    momentum,
    nadam,
    nesterov,
    normalized_sgd,
    plateau,
    rmsprop,
    scale_by_adadelta,
    scale_by_adagrad,
    scale_by_adam,
    scale_by_adamax,
    scale_by_amsgrad,
    scale_by_learning_rate,
    scale_by_line_search,
    scale_by_nadam,
    scale_by_norm,
    scale_by_rmsprop,
    sgd,
)

# Problems: what is minimised
from jaxopt_course.problems import surfaces
from jaxopt_course.problems.objective import Data, Problem

# Training, and comparing
from jaxopt_course.race import Race, race
from jaxopt_course.sweep import best, ends, grid, halving, hyperband, paths, plot, spaces, sweep, tune
from jaxopt_course.training import (
    Minimum,
    Moment,
    NonFiniteError,
    RangeTest,
    Result,
    Step,
    TrainState,
    fit,
    init_state,
    make_step,
    minimize,
    range_test,
    restore,
    samplers,
    save,
    stopping,
)

# Composing, and what states know
from jaxopt_course.transform import (
    chain,
    eval_params,
    gradient_point,
    hyperparams,
    inject,
    map_leaves,
    optimizer,
    set_hyperparams,
    zeros_like,
)

if TYPE_CHECKING:
    from jaxopt_course import dialects, testing, theory

__all__ = [
    # optimizers
    "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamax", "nadam", "amsgrad", "adamw",
    "line_search", "normalized_sgd", "averaged_sgd", "averaged", "plateau",
    "decayed", "dialects",
    "scale_by_adagrad", "scale_by_rmsprop", "scale_by_adadelta", "scale_by_adam", "scale_by_adamax", "scale_by_nadam",
    "scale_by_amsgrad", "scale_by_norm", "scale_by_line_search",
    "scale_by_learning_rate", "CATALOG", "schedules", "linesearch",
    # composing
    "chain", "optimizer", "inject", "hyperparams", "set_hyperparams", "gradient_point", "eval_params", "map_leaves",
    "zeros_like",
    # problems
    "problems", "Problem", "Data", "surfaces",
    # training
    "fit", "Result", "TrainState", "init_state", "Moment", "NonFiniteError", "make_step", "Step", "minimize", "Minimum",
    "range_test", "RangeTest", "save", "restore",
    "samplers", "stopping", "probes",
    # comparing
    "race", "Race",
    # many trainings at once
    "sweep", "grid", "spaces", "best", "plot", "halving", "hyperband", "tune", "paths", "ends",
    # holding optimizers to the laws, and what is proved about them
    "testing", "theory",
]  # fmt: skip

_LAZY = {  # what loads on first use: with `testing` comes chex
    "testing": "jaxopt_course.testing",
    "theory": "jaxopt_course.theory",
    "dialects": "jaxopt_course.dialects",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(_LAZY[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    return sorted(__all__)
