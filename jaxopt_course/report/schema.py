"""What a race hands over to be reported: three labelled datasets, and what they say about one optimizer.

``curves``, the final runs, over ``(optimizer, seed, evaluation)``:

=============================  =================================  ====================================================
coordinate ``optimizer``       (optimizer) str                    unique, in the order that fixes colours
coordinate ``evaluation``      (evaluation) int                   updates done so far; the first is 0, before training
coordinate ``epoch``           (evaluation) float                 passes over the training split so far
coordinate ``examples``        (evaluation) int                   examples seen so far
``gradient_evaluations``       (optimizer, seed, evaluation)      gradients taken so far, those of line searches included
``seconds``                    (optimizer, seed, evaluation)      training time so far, without compilation
``validation_loss``, …         (optimizer, seed, evaluation)      every other variable of these three dimensions is a
                                                                  quantity that can be drawn: ``validation_<metric>``
=============================  =================================  ====================================================

``tuning``, the grid search, over ``trial``: ``optimizer`` (str), ``learning_rate`` (NaN where the optimizer has none),
``validation_loss``, ``validation_<metric>`` (final values, means over the tuning seeds), ``diverged`` (bool), ``selected``
(bool, one for each optimizer). It may have: ``<quantity>_low`` and ``<quantity>_high``, the range over the tuning seeds;
``test_<metric>``, for the budget view alone; and attributes ``start_<quantity>``, what there is before training.

``table``, over ``optimizer`` (in any order): ``learning_rate``; for the loss and every metric ``test_<metric>`` (mean over
seeds), ``test_<metric>_low`` and ``test_<metric>_high`` (confidence interval); ``p_value`` (against the best, paired by
seed, Holm-corrected; NaN for the best itself); ``compile_seconds``; ``run_seconds`` (the final runs of all seeds together,
without compilation). Its attributes:

=====================  ====  =========================================================================================
``title``              str   headline of the page
``problem``            str   what was trained
``selection``          str   what the grid's winner was chosen by: ``"validation_loss"``
``metric``             str   what optimizers are ranked and tested by: ``"accuracy"``, so ``test_accuracy``
``lower_is_better``    bool  the direction of ``metric``
``incomplete``         bool  the race was interrupted; what is missing is absent or NaN
=====================  ====  =========================================================================================

Every other attribute (``batch_size``, ``epochs``, ``seeds``, ``level``, ``machine``, ``versions``, …) is shown as it is, in
its order. A diverged run is NaN or infinite from where it diverged; its costs may be NaN there. A metric with "accuracy" in
its name is a fraction in [0, 1] and shown in percent; what has "loss", "objective" or "error" in its name is drawn on a
logarithmic axis.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jaxopt_course.checks import closest
from jaxopt_course.types import falls

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Abscissa", "RaceData", "check_metric", "is_loss", "label", "quantities", "scale"]

Abscissa = Literal["step", "epoch", "examples", "gradient_evaluations", "seconds"]

_CURVES = ("optimizer", "seed", "evaluation")
_COST = ("gradient_evaluations", "seconds")
_ATTRIBUTES = ("title", "problem", "selection", "metric", "lower_is_better", "incomplete")
_ABSCISSA_LABELS = {"step": "steps", "epoch": "epochs", "seconds": "seconds of training, compilation not counted"}


@dataclasses.dataclass(frozen=True, eq=False)
class RaceData:
    """The outcome of a race; :mod:`jaxopt_course.report.schema` says what is in each dataset.

    Args:
        curves: the final runs over ``(optimizer, seed, evaluation)``.
        tuning: the learning-rate search over ``trial``.
        table: one row for each optimizer, and the settings as attributes.

    Raises:
        ValueError: a dimension, variable or attribute is missing, or an optimizer appears twice; the message names it.
    """

    curves: xr.Dataset
    tuning: xr.Dataset
    table: xr.Dataset

    def __post_init__(self) -> None:
        _require("curves", self.curves, _CURVES, ("optimizer", "epoch", "examples", "validation_loss", *_COST))
        _require("tuning", self.tuning, ("trial",), ("optimizer", "learning_rate", "diverged", "selected"))
        if missing := [name for name in _ATTRIBUTES if name not in self.table.attrs]:
            raise ValueError(f"RaceData: table has no attribute {missing[0]!r}")
        test = [f"test_{self.table.attrs['metric']}{end}" for end in ("", "_low", "_high")]
        costs = ("learning_rate", "p_value", "compile_seconds", "run_seconds")
        _require("table", self.table, ("optimizer",), ("optimizer", *costs, *test))

    @property
    def attrs(self) -> dict[str, Any]:
        """The race's settings: the attributes of ``table``."""
        return self.table.attrs

    @property
    def optimizers(self) -> list[str]:
        """Every optimizer that appears, in the order that fixes their colours."""
        return list(dict.fromkeys(map(str, (*self.curves["optimizer"].values, *self.tuning["optimizer"].values))))

    @property
    def ranking(self) -> list[str]:
        """The optimizers of the table, best first by ``attrs["metric"]``, the diverged ones last."""
        values = self.table[f"test_{self.attrs['metric']}"].values.astype(float)
        order = np.argsort(values if self.attrs["lower_is_better"] else -values, kind="stable")
        return [str(name) for name in self.table["optimizer"].values[order]]


def _require(where: str, dataset: xr.Dataset, dims: tuple[str, ...], variables: tuple[str, ...]) -> None:
    for kind, names, present in (("dimension", dims, dataset.dims), ("variable", variables, dataset.variables)):
        if missing := [name for name in names if name not in present]:
            raise ValueError(f"RaceData: {where} has no {kind} {missing[0]!r}{closest(missing[0], map(str, present))}")
    if "optimizer" in dims and not dataset.indexes["optimizer"].is_unique:
        raise ValueError(f"RaceData: {where} has an optimizer twice: {dataset['optimizer'].values.tolist()}")


def quantities(dataset: xr.Dataset) -> list[str]:
    """The names that can be drawn: of a race's ``curves``, or its ``tuning``; the validation loss first."""
    reserved = {*_COST, "optimizer", "learning_rate", "diverged", "selected"}
    full = set(_CURVES) if "evaluation" in dataset.dims else {"trial"}
    names = [str(name) for name in dataset.data_vars if name not in reserved and set(dataset[name].dims) == full]
    ends = {name + end for name in names for end in ("_low", "_high")}
    names = [name for name in names if name not in ends and not name.startswith("test_")]
    return sorted(names, key=lambda name: name != "validation_loss")


def check_metric(known: Sequence[str], metric: str) -> None:
    """Raise for a name that is not among those that can be drawn."""
    if metric not in known:
        raise ValueError(f"plot: unknown metric {metric!r}{closest(metric, known)}")


def scale(name: str) -> float:
    """What a quantity is multiplied by to be shown: 100 for accuracies, which are shown in percent."""
    return 100.0 if "accuracy" in name else 1.0


def is_loss(name: str) -> bool:
    """Losses are drawn on logarithmic axes, cut where they blow up; of other quantities nothing is assumed."""
    return falls(name)


def label(name: str) -> str:
    """What an axis or a column calls a quantity.

    >>> label("validation_accuracy"), label("gradient_evaluations"), label("step")
    ('validation accuracy (%)', 'gradient evaluations', 'steps')
    """
    return _ABSCISSA_LABELS.get(name, name.replace("_", " ") + (" (%)" if scale(name) == 100 else ""))
