"""Many trainings as one program: a population over hyperparameters, fed with common mini-batches.

`spaces` says which configurations.
"""

from jaxopt_course.sweep import spaces
from jaxopt_course.sweep.spaces import Space, grid

__all__ = ["Space", "grid", "spaces"]
