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
from typing import TYPE_CHECKING, Any

# Optimizers, their kernels, and their schedules
from jaxopt_course import linesearch, problems, schedules
from jaxopt_course.optimizers import (
    CATALOG,
    adadelta,
    adagrad,
    adam,
    adamax,
    adamw,
    amsgrad,
    line_search,
    momentum,
    nadam,
    nesterov,
    rmsprop,
    scale_by_adadelta,
    scale_by_adagrad,
    scale_by_adam,
    scale_by_adamax,
    scale_by_amsgrad,
    scale_by_learning_rate,
    scale_by_line_search,
    scale_by_nadam,
    scale_by_rmsprop,
    sgd,
)

# Problems: what is minimised
from jaxopt_course.problems.objective import Data, Problem

# Training, and comparing
from jaxopt_course.race import Race, race
from jaxopt_course.training import (
    Minimum,
    Moment,
    NonFiniteError,
    Result,
    Step,
    TrainState,
    fit,
    init_state,
    make_step,
    minimize,
    samplers,
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
    from jaxopt_course import testing

__all__ = [
    # optimizers
    "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamax", "nadam", "amsgrad", "adamw",
    "line_search", "scale_by_adagrad", "scale_by_rmsprop", "scale_by_adadelta", "scale_by_adam", "scale_by_adamax",
    "scale_by_nadam", "scale_by_amsgrad", "scale_by_learning_rate", "scale_by_line_search", "CATALOG", "schedules",
    "linesearch",
    # composing
    "chain", "optimizer", "inject", "hyperparams", "set_hyperparams", "gradient_point", "eval_params", "map_leaves",
    "zeros_like",
    # problems
    "problems", "Problem", "Data",
    # training
    "fit", "Result", "TrainState", "init_state", "Moment", "NonFiniteError", "make_step", "Step", "minimize", "Minimum",
    "samplers", "stopping",
    # comparing
    "race", "Race",
    # holding optimizers to the laws
    "testing",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "testing":  # chex loads on first use
        return importlib.import_module("jaxopt_course.testing")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
