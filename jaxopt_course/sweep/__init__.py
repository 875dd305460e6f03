"""Many trainings as one program: a population over hyperparameters, fed with common mini-batches.

`spaces` and `ranges` say which configurations, `labels` what their values are called; `takers` are who takes which name;
`matching` builds and checks everything (`uses`: whether it changes anything), and puts together what shares a program;
`recipes` say how floats become a step; `flow` follows them to the updates; `population` has the compiled programs, in whose
`products` lanes come first; `programs` are those of one group, and their memory; `execution` runs its `blocks` of lanes
through them, into a `journal`; `results` labels what they bring, `pictures` is ``jc.plot``; `store` keeps it on disk, for
the sweep whose `identity` it is, told by `fingerprints`; `sweeping` is ``jc.sweep``, `tuning` is ``jc.tune``. `halving` is
the sweep that stops losers early: `brackets` say who goes on, `rungs` hold the lanes between two rungs.

On a surface there is no data to share, and `descents` follows paths from many starts under many optimizers in one program;
`routes` is ``jc.paths``, `endings` says where they came to rest.
"""

from jaxopt_course.sweep import spaces
from jaxopt_course.sweep.endings import ends
from jaxopt_course.sweep.halving import halving, hyperband
from jaxopt_course.sweep.pictures import plot
from jaxopt_course.sweep.results import best
from jaxopt_course.sweep.routes import paths
from jaxopt_course.sweep.spaces import Space, grid
from jaxopt_course.sweep.sweeping import sweep
from jaxopt_course.sweep.tuning import tune

__all__ = [
    "Space", "best", "ends", "grid", "halving", "hyperband", "paths", "plot", "spaces", "sweep", "tune",
]  # fmt: skip
