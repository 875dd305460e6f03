"""The optimizers of the lectures: one family a file, from its equation to its optimizer.

`descent` takes the step that the gradient says; `momentum` remembers where it was going; `adam` does that and measures the
gradient's size. Each file reads from top to bottom: equations, state, kernel ``scale_by_*``, optimizer. `catalog` lists them
with what the laws of :mod:`jaxopt_course.testing` and the race need to know.
"""

from jaxopt_course.optimizers.adam import adam, scale_by_adam
from jaxopt_course.optimizers.catalog import CATALOG, Entry
from jaxopt_course.optimizers.descent import scale_by_learning_rate, sgd
from jaxopt_course.optimizers.momentum import momentum, nesterov

__all__ = [
    "CATALOG",
    "Entry",
    "adam",
    "momentum",
    "nesterov",
    "scale_by_adam",
    "scale_by_learning_rate",
    "sgd",
]
