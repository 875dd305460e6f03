"""What a run gives back, and what it shows on its way."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, Literal

import jax

from jaxopt_course import checks
from jaxopt_course.problems.objective import Problem, num_examples
from jaxopt_course.training.history import Log
from jaxopt_course.training.step import TrainState, evaluate
from jaxopt_course.types import ModelState, Params

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Moment", "NonFiniteError", "Result", "evaluate_split"]


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """A finished run.

    Attributes:
        params, model_state: what was trained: what the optimizer says to evaluate; the best ones, under early stopping.
        state: all that ``fit(..., state=result.state)`` needs to go on exactly: the last one, also under early stopping.
        stopped: why it ended.
        requested: how many steps the run was to have; ``steps`` were done.
        compile_seconds: time spent tracing and compiling. run_seconds: time spent training.
        problem: what it was trained on.
    """

    params: Params
    model_state: ModelState
    state: TrainState
    stopped: str
    requested: int
    compile_seconds: float
    run_seconds: float
    problem: Problem
    log: Log = dataclasses.field(repr=False)

    @property
    def steps(self) -> int:
        """Steps done in this run."""
        return self.log.done

    @functools.cached_property
    def history(self) -> xr.Dataset:
        """Every step's loss, objective, metrics and hyperparameters over ``step``; evaluations over ``epoch``."""
        size = self.log.plan.batch_size
        return self.log.dataset(
            {
                "problem": self.problem.name,
                "batch_size": size if isinstance(size, int) else str(size),
                "stopped": self.stopped,
                "compile_seconds": self.compile_seconds,
                "jax": jax.__version__,
            }
        )

    @property
    def model(self) -> Any:
        """The trained model, in its own library's form (a flax module); None for problems without one."""
        if self.problem.module is None:
            return None
        return self.problem.module(self.params, self.model_state)

    def evaluate(self, split: Literal["train", "validation", "test"] = "test") -> dict[str, float]:
        """Loss, objective and metrics of the trained parameters on a split.

        Raises:
            ValueError: the problem has no such split.
        """
        data = self.problem.data._asdict().get(split)  # type: ignore[union-attr]  # a Data, since it is in a Problem
        if data is None:
            have = [name for name, batch in self.problem.data._asdict().items() if batch is not None]
            raise ValueError(f"evaluate: {self.problem.name} has no {split!r} split{checks.closest(split, have)}")
        values = evaluate_split(self.problem, self.params, self.model_state, data)
        return {name: float(value) for name, value in values.items()}

    def plot(self, **options: Any) -> Any:
        """The history as a figure, over examples if the batch size changed (:func:`jaxopt_course.report.curves.history`)."""
        from jaxopt_course.report import curves

        if len(self.log.plan.stages) > 1:
            options.setdefault("x", "examples")
        return curves.history(self.history, **options)

    def __repr__(self) -> str:
        return f"Result({self.problem.name}: {self.steps} steps, {self.stopped})"


class NonFiniteError(FloatingPointError):
    """Training turned non-finite. ``result`` is the run up to there."""

    def __init__(self, message: str, result: Result):
        super().__init__(message)
        self.result = result


@dataclasses.dataclass(frozen=True, eq=False)
class Moment:
    """What a callback sees, at each evaluation (or each look at the run, about two a second, where there are none).

    Attributes:
        step: steps done in all, 0 before the first. loss: of the last one, NaN before the first. evaluation: the validation
            values, if any. params: to evaluate.
    """

    step: int
    loss: float
    evaluation: dict[str, float]
    params: Params


def evaluate_split(problem: Problem, params: Params, model_state: ModelState, data: Any) -> dict[str, jax.Array]:
    """Loss, objective and metrics over a split, 1024 examples at a time."""
    size = min(num_examples(data), 1024)
    return evaluate(problem.objective, params, model_state, data, problem.regularizer, batch_size=size)
