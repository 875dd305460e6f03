"""Training as few compiled programs.

`step` is one update as a pure function, and `chunk` the compiled loop over it; `samplers` say which examples a step sees;
`stopping` says when to end; `fit` checks what it is given, and `run` sends off chunks of the loop and looks in between;
`minimize` is the same for a function without data; `make_step` hands the step to people who keep their own loop. `state` is
what a run goes on from, and `checkpoint` keeps it on disk; `result` is what a run gives back, `history` the labels on what was
recorded.
"""

from jaxopt_course.training import samplers, stopping
from jaxopt_course.training.checkpoint import restore, save
from jaxopt_course.training.fit import fit
from jaxopt_course.training.loop import Step, make_step
from jaxopt_course.training.minimize import Minimum, minimize
from jaxopt_course.training.range_test import RangeTest, range_test
from jaxopt_course.training.result import Moment, NonFiniteError, Result
from jaxopt_course.training.state import init_state
from jaxopt_course.training.step import Program, Report, TrainState, train_step

__all__ = [
    "Minimum",
    "Moment",
    "NonFiniteError",
    "Program",
    "RangeTest",
    "Report",
    "Result",
    "Step",
    "TrainState",
    "fit",
    "init_state",
    "make_step",
    "minimize",
    "range_test",
    "restore",
    "samplers",
    "save",
    "stopping",
    "train_step",
]
