"""What a run recorded, as labelled arrays."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxopt_course.training.samplers import Plan

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Log", "labelled"]

UNITS = {"seconds": "s", "epoch_seconds": "s"}


@dataclasses.dataclass
class Log:
    """Collects the records of chunks and evaluations; :meth:`dataset` labels them.

    Attributes:
        plan: tells epochs and examples from steps.
        first_step: steps done before this run.
        constants: hyperparameters that no update changes.
        probes: what probes say about their variables, by name.
        steps: chunks of per-step arrays.
        evaluations: (step, values) of each evaluation.
        clock: (step, seconds of training so far), at the moments when the host looked.
    """

    plan: Plan
    first_step: int
    constants: dict[str, Any]
    probes: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    steps: list[dict[str, np.ndarray]] = dataclasses.field(default_factory=list)
    evaluations: list[tuple[int, dict[str, Any]]] = dataclasses.field(default_factory=list)
    clock: list[tuple[int, float]] = dataclasses.field(default_factory=list)

    @property
    def done(self) -> int:
        """Steps recorded."""
        return sum(len(chunk["loss"]) for chunk in self.steps)

    def last(self, name: str) -> float | None:
        """The latest value of a step's variable or of a constant; None if there is none."""
        value = self.steps[-1].get(name, [None])[-1] if self.steps else None
        value = self.constants.get(name) if value is None else value
        return None if value is None else float(value)

    def dataset(self, attributes: dict[str, Any]) -> xr.Dataset:
        """Per-step variables over ``step``, evaluations over ``epoch``, with what they can be read against."""
        import xarray as xr

        done = self.done
        columns = {k: np.concatenate([chunk[k] for chunk in self.steps]) for k in (self.steps[0] if self.steps else {})}
        columns.setdefault("loss", np.zeros(0))
        columns.setdefault("objective", columns["loss"])
        gradients = np.cumsum(np.append(self.first_step, columns.pop("gradient_evaluations", np.ones(done, int))))
        steps = self.first_step + np.arange(1, done + 1)
        columns |= {k: np.broadcast_to(np.asarray(v), (done,)) for k, v in self.constants.items() if k not in columns}
        evaluated = np.array([step for step, _ in self.evaluations], dtype=int)
        names = self.evaluations[0][1] if self.evaluations else {}
        validation = {f"validation_{k}": np.array([float(v[k]) for _, v in self.evaluations]) for k in names}
        coordinates = {
            "step": ("step", steps),
            "step_epoch": ("step", self.plan.epochs(steps)),
            "examples": ("step", self.plan.examples(steps)),
            "gradient_evaluations": ("step", gradients[1:]),
            "seconds": ("step", self._seconds(steps)),
            "epoch": ("epoch", self.plan.epochs(evaluated)),
            "epoch_step": ("epoch", evaluated),
            "epoch_examples": ("epoch", self.plan.examples(evaluated)),
            "epoch_gradient_evaluations": ("epoch", gradients[evaluated - self.first_step]),
            "epoch_seconds": ("epoch", self._seconds(evaluated)),
        }
        variables = {k: labelled(k, v) for k, v in columns.items()} | {k: ("epoch", v) for k, v in validation.items()}
        described = lambda table: {k: xr.Variable(dims, v, self._attributes(k)) for k, (dims, v) in table.items()}
        return xr.Dataset(described(variables), described(coordinates), attributes)

    def _attributes(self, name: str) -> dict[str, Any]:
        """What a variable is, and its unit: as its probe says, if it is one's."""
        units = {"units": UNITS[name]} if name in UNITS else {}
        return self.probes.get(name, {"description": _describe(name)}) | units

    def _seconds(self, steps: np.ndarray) -> np.ndarray:
        """Seconds of training after each step, linear between the moments when the host looked."""
        known = np.array([(self.first_step, 0.0), *self.clock])
        return np.interp(steps, known[:, 0], known[:, 1])


def labelled(name: str, values: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """A record over ``step``, with axes of its own if each step has an array."""
    return ("step", *(f"{name}_{i}" for i in range(values.ndim - 1))), values


def _describe(name: str) -> str:
    known = {
        "step": "updates done, this one included",
        "step_epoch": "epochs done after this step",
        "epoch": "epochs done at this evaluation",
        "loss": "weighted mean loss of the step's batch, at the gradient point",
        "objective": "loss plus the regulariser",
        "examples": "training examples seen, this step's included",
        "gradient_evaluations": "gradients taken so far, and evaluations in this run's line searches; an earlier run's steps "
        "count one each",
        "step_size": "the step size that the line search found, 0 where it took no step",
        "status": "how the line search ended, a jc.linesearch.Status: "
        "0 converged, 1 not descent, 2 non finite, 3 flat, 4 budget, 5 max step",
        "scale": "what the plateau has come to scale steps by",
        "seconds": "seconds of training, compilation not counted",
    }
    if name in known:
        return known[name]
    if name.startswith("epoch_"):
        return f"at this evaluation: {known[name.removeprefix('epoch_')]}"
    if name.startswith("validation_"):
        return f"{name.removeprefix('validation_')}, mean over the validation split"
    return f"{name}, of the step's batch or used by its update"
