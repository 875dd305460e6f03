"""Many trainings as one program: a population over hyperparameters, fed with common mini-batches.

`spaces` and `ranges` say which configurations; `matching` finds who takes which name, builds and checks everything, and puts
together what shares a program; `recipes` say how floats become a step; `flow` follows them to the updates; `population` has
the compiled programs, `execution` runs them block by block; `results` labels what they bring; `sweeping` is ``jc.sweep``.

On a surface there is no data to share, and `descents` follows paths from many starts under many optimizers in one program;
`routes` is ``jc.paths``, `endings` says where they came to rest.
"""

from jaxopt_course.sweep import spaces
from jaxopt_course.sweep.endings import ends
from jaxopt_course.sweep.results import best
from jaxopt_course.sweep.routes import paths
from jaxopt_course.sweep.spaces import Space, grid
from jaxopt_course.sweep.sweeping import sweep

__all__ = ["Space", "best", "ends", "grid", "paths", "spaces", "sweep"]
