"""What a sweep found, as a labelled dataset; and the best configuration in it."""

from __future__ import annotations

import dataclasses
import functools
import math
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxopt_course import checks
from jaxopt_course.sweep.journal import Record
from jaxopt_course.sweep.spaces import Space, drawn_on
from jaxopt_course.types import falls as falls_by_name

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Table", "best", "finished"]

DESCRIPTIONS = {
    "seed": "the run's key: what jc.fit(..., key=seed) takes",
    "epoch": "passes over the training data so far",
    "loss": "mean over the epoch's steps of the batch's loss, at the gradient point",
    "objective": "loss plus the regulariser",
    "diverged_step": "the first step whose objective was not finite; -1: none. Everything after it is NaN",
    "configuration": "number of the configuration, from 0",
}


@dataclasses.dataclass
class Table:
    """Collects records; :meth:`dataset` labels them. What has not come in is NaN.

    Attributes:
        space, seeds, epochs: what the axes are.
        columns: name → [configurations, seeds, epochs + 1], or without the last axis for the test split.
        diverged: [configurations, seeds].
    """

    space: Space
    seeds: tuple[int, ...]
    epochs: int
    columns: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    diverged: np.ndarray = dataclasses.field(init=False)

    def __post_init__(self):
        self.diverged = np.full((len(self.space), len(self.seeds)), -1)

    def add(self, record: Record) -> None:
        """Take in what one epoch of one block brought."""
        for name, values in record.values.items():
            test = name.startswith("test_")
            shape = self.diverged.shape if test else (*self.diverged.shape, self.epochs + 1)
            column = self.columns.setdefault(name, np.full(shape, np.nan, values.dtype))
            place = (record.members, record.seeds) if test else (record.members, record.seeds, record.epoch)
            column[place] = values
        self.diverged[record.members, record.seeds] = record.diverged

    def restore(self, stored: xr.Dataset) -> None:
        """Take over what an earlier table's dataset had."""
        for name in sorted(map(str, stored.data_vars)):
            values = np.array(stored[name]).reshape(*self.diverged.shape, *stored[name].shape[len(self.space.shape) + 1 :])
            if name == "diverged_step":
                self.diverged = values
            else:
                self.columns[name] = values

    def dataset(self, attributes: dict[str, Any]) -> xr.Dataset:
        """Over the space's axes, ``seed``, and ``epoch``."""
        import xarray as xr

        dims = [name for name, _ in self.space.axes]
        columns = {**self.columns, "diverged_step": self.diverged}
        variables = {
            name: (
                [*dims, "seed", "epoch"][: len(dims) + values.ndim - 1],
                values.reshape(*self.space.shape, *values.shape[1:]),
            )
            for name, values in columns.items()
        }
        coordinates: dict[str, Any] = dict(self.space.coordinates())
        coordinates |= {"seed": list(self.seeds), "epoch": np.arange(self.epochs + 1)}
        if self.space.kind != "grid":
            coordinates["configuration"] = np.arange(len(self.space))
        dataset = xr.Dataset(variables, coordinates, attributes)
        for name in dataset.variables:
            dataset[name].attrs["description"] = _describe(str(name), self.space)
            dataset[name].attrs["units"] = "1"
        for name, values in self.space.columns:
            if scale := drawn_on(values):
                dataset[name].attrs["scale"] = scale
        return dataset


def finished(where: str, results: xr.Dataset) -> xr.Dataset:
    """Of an interrupted sweep the seeds that all configurations have; if there are none, those that some have.

    Raises:
        TypeError, ValueError: not a sweep's results, or interrupted before any run was finished.
    """
    checks.check_sweep(where, results)
    if not results.attrs.get("incomplete"):
        return results
    over = [dim for dim in results["diverged_step"].dims if dim != "seed"]
    done = results["loss"].isel(epoch=-1, drop=True, missing_dims="ignore").notnull() | (results["diverged_step"] >= 0)
    for kept in (done.all(over), done.any(over)):
        if kept.any():
            return results.isel(seed=kept.values.nonzero()[0])
    raise ValueError(f"{where}: the sweep was interrupted before any configuration was finished")


def best(
    results: xr.Dataset, metric: str = "validation_loss", *, falls: bool | None = None, level: float = 0.95
) -> xr.Dataset:
    """The configuration that is best on validation at the end, and what it reaches, on test too, over seeds.

    argmin_c meanₛ metric(c, s); then for each quantity q: mean ± t · s/√n over seeds

    A configuration with a diverged or missing seed is not chosen: averaging the seeds that survived would reward divergence.
    Of an interrupted sweep, the seeds count that all configurations have; if there are none, those that some have.

    Args:
        results: what ``jc.sweep`` returned, or ``xarray.open_dataset`` of it.
        metric: what to choose by: a variable over ``epoch``, whose last value counts. Test values cannot choose.
        falls: whether less of it is better; by default where its name has "loss", "error" or "objective" in it.
        level: of the confidence intervals (Student's t).

    Returns:
        A dataset without axes: the chosen hyperparameters as coordinates (numbers, or their labels: an axis of functions, or
        of several types, has names); for each quantity ``q``, ``q_low``, ``q_high``: mean and interval (NaN with one seed).

    Raises:
        TypeError, ValueError: an unknown metric (with the closest match), a test metric, or no configuration with all its
            seeds; ``level`` is not in (0, 1); not a sweep's results, or one whose ``seed`` or ``epoch`` was dropped.

    >>> import jaxopt_course as jc
    >>> from jaxopt_course.sweep import sweep
    >>> results = sweep(jc.problems.digits(), jc.sgd, jc.grid(learning_rate=[0.01, 0.1, 1000.0]), seeds=2, epochs=1)
    >>> winner = best(results)
    >>> float(winner.learning_rate), bool(winner.test_accuracy_low < winner.test_accuracy)
    (0.1, True)
    """
    from jaxopt_course.statistics import confidence_interval

    checks.check_sweep("best", results, ("seed", "epoch"))
    results = finished("best", results).drop_vars("finished", errors="ignore")  # which a stored sweep's have
    checks.check_number("best", "level", level, checks.Interval(0, 1, open_low=True, open_high=True))
    if not isinstance(metric, str):
        raise TypeError(f"best: metric must be a string; got {metric!r}")
    names = [str(name) for name in results.data_vars if "epoch" in results[name].dims]
    if metric.startswith("test_"):
        raise ValueError(f"best: metric must not be a test value, which is reported, not chosen by; got {metric!r}")
    if metric not in names:
        raise ValueError(f"best: unknown metric {metric!r}{checks.closest(metric, names)}")
    final = results.isel(epoch=-1, drop=True)
    dims = [dim for dim in results["diverged_step"].dims if dim != "seed"]
    scores = final[metric].transpose(*dims, "seed")
    means = np.asarray(scores.values, float).mean(axis=-1)
    lower = falls_by_name(metric, falls, "best")
    ranked = np.where(np.isfinite(means), means if lower else -means, math.inf)
    if not np.isfinite(ranked).any():
        raise ValueError(f"best: no configuration has a finite {metric} at the end for all its seeds")
    place = np.unravel_index(int(np.argmin(ranked)), ranked.shape)
    chosen = final.isel(dict(zip(dims, map(int, place), strict=True)))
    quantities = [str(name) for name in chosen.data_vars if "seed" in chosen[name].dims and name != "diverged_step"]
    found = {
        name + end: ((), float(value), chosen[name].attrs)
        for name in quantities
        for end, value in zip(("", "_low", "_high"), confidence_interval(chosen[name].values, level), strict=True)
    }
    kept = {name: chosen.coords[name] for name in chosen.coords if name != "seed"}
    attributes = {**results.attrs, "selection": metric, "lower_is_better": int(lower), "level": level}
    return chosen.drop_vars([*quantities, "diverged_step", "seed"]).assign(found).assign_coords(kept).assign_attrs(attributes)


@functools.cache
def versions() -> str:
    """Ours, and those of what computes."""
    return ", ".join(f"{name} {metadata.version(name)}" for name in ("jaxopt_course", "jax", "jaxlib", "optax"))


def _describe(name: str, space: Space) -> str:
    if name in space.names:
        return f"{name}: swept, {'traced' if name in space.traced else 'compiled once for each value'}"
    if name in DESCRIPTIONS:
        return DESCRIPTIONS[name]
    split, _, metric = name.partition("_")
    if split == "validation":
        return f"{metric}, mean over the validation split, at the end of the epoch"
    if split == "test":
        return f"{metric}, mean over the test split, at the end of the last epoch"
    return f"{name}, mean over the epoch's steps"
