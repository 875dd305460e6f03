"""A problem is what an optimizer is given: a model, a loss for each example, data, perhaps a regulariser [A1–A5].

Learning minimises the mean loss of the training examples plus λR(θ); how well it went is told by other examples, held
out for validation while one tunes, and for the test when one reports. Take a ready problem (`digits`, `fashion_mnist`, a
regression whose conditioning you choose), bring arrays (`from_arrays`), or give the functions yourself (`Problem`).
Losses are per example, models take a key and a mode, and all of it compares by value: equal problems compile once.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxopt_course.problems import losses, models, regularizers
from jaxopt_course.problems.arrays import from_arrays
from jaxopt_course.problems.datasets import digits, fashion_mnist, mnist1d
from jaxopt_course.problems.folds import folds
from jaxopt_course.problems.objective import Data, Evaluation, Objective, Problem, num_examples
from jaxopt_course.problems.optimum import Optimum, least_squares, tikhonov
from jaxopt_course.problems.regularizers import elastic_net, l1, l2
from jaxopt_course.problems.synthetic import linear_regression, logistic_regression

__all__ = [
    "Problem", "Data", "Objective", "Evaluation", "num_examples",  # what a problem is
    "digits", "fashion_mnist", "mnist1d", "linear_regression", "logistic_regression",  # ready ones
    "from_arrays",  # your data
    "folds",  # cross-validation
    "least_squares", "tikhonov", "Optimum",  # where the minimum is
    "losses", "models", "regularizers", "l1", "l2", "elastic_net",  # parts to build with
    "PROBLEMS",  # the ready ones by name
]  # fmt: skip

PROBLEMS: dict[str, tuple[Callable[..., Problem], str]] = {
    "digits": (digits, "1 797 handwritten digits, 8 × 8, 10 classes; ships with the package"),
    "fashion-mnist": (fashion_mnist, "70 000 images of clothes, 28 × 28, 10 classes; from files or the network"),
    "mnist1d": (mnist1d, "5 000 signals of 40 samples, 10 classes; made by the package mnist1d"),
    "linear-regression": (linear_regression, "least squares with a chosen condition number"),
    "logistic-regression": (logistic_regression, "binary log-linear model with a chosen condition number"),
}
