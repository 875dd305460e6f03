"""The optimizers of the lectures: one family a file, from its equation to its optimizer.

`descent` takes the step that the gradient says; `momentum` remembers where it was going; `adam` does that and measures the
gradient's size; `search` looks for the step size. Each file reads from top to bottom: equations, state, kernel
``scale_by_*``, optimizer. `catalog` lists them with what the laws of :mod:`jaxopt_course.testing` and the race need to know.
"""

from jaxopt_course.optimizers.adagrad import adagrad, scale_by_adagrad
from jaxopt_course.optimizers.adam import adam, adamw, scale_by_adam
from jaxopt_course.optimizers.adamax import adamax, scale_by_adamax
from jaxopt_course.optimizers.amsgrad import amsgrad, scale_by_amsgrad
from jaxopt_course.optimizers.averaging import averaged, averaged_sgd
from jaxopt_course.optimizers.catalog import CATALOG, Entry
from jaxopt_course.optimizers.decayed import decayed
from jaxopt_course.optimizers.descent import scale_by_learning_rate, sgd
from jaxopt_course.optimizers.momentum import momentum, nesterov
from jaxopt_course.optimizers.nadam import nadam, scale_by_nadam
from jaxopt_course.optimizers.normalized import normalized_sgd, scale_by_norm
from jaxopt_course.optimizers.plateau import plateau
from jaxopt_course.optimizers.rmsprop import adadelta, rmsprop, scale_by_adadelta, scale_by_rmsprop
from jaxopt_course.optimizers.search import line_search, scale_by_line_search

__all__ = [
    "CATALOG",
    "Entry",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "amsgrad",
    "averaged",
    "averaged_sgd",
    "decayed",
    "line_search",
    "momentum",
    "nadam",
    "nesterov",
    "normalized_sgd",
    "plateau",
    "rmsprop",
    "scale_by_adadelta",
    "scale_by_adagrad",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_amsgrad",
    "scale_by_learning_rate",
    "scale_by_line_search",
    "scale_by_nadam",
    "scale_by_norm",
    "scale_by_rmsprop",
    "sgd",
]
