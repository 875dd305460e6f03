"""The rungs of halving and Hyperband: who goes on, by which metric; what an interruption leaves; what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import jaxopt_course as jc
from jaxopt_course.sweep import best, execution, halving, hyperband, rungs, spaces, sweep
from jaxopt_course.sweep.brackets import Bracket, read_rules, survivors
from tests.sweep.swept import RATES, SMALL


def test_diverged_configurations_lose(problems):
    space = jc.grid(learning_rate=[1e30, 0.01, 1e25, 0.05, 0.02, 1e28])
    results = halving(problems.model(), jc.sgd, space, eta=2, max_epochs=2, **SMALL)
    assert results.epochs_trained.values.tolist() == [1, 2, 1, 2, 2, 1]
    assert (results.diverged_step.values >= 0).any(axis=1).tolist() == [True, False, True, False, False, True]
    none = jc.grid(learning_rate=[1e25, 1e26, 1e27, 1e28, 1e29, 1e30])
    hopeless = halving(problems.model(), jc.sgd, none, eta=2, max_epochs=2, **SMALL)
    assert hopeless.epochs_trained.values.tolist() == [1] * 6
    assert "test_loss" not in hopeless
    with pytest.raises(ValueError, match="no configuration has a finite validation_loss"):
        best(hopeless)


def test_one_diverged_seed_is_enough_to_lose():
    rules = read_rules("halving", "validation_loss", None, 2, 1, 2)
    scores = np.array([[0.1, np.nan], [0.5, 0.5], [0.4, 0.9], [0.7, 0.9]]).mean(axis=1)
    assert survivors([Bracket(np.arange(4), 0)], rules, 0, scores).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("metric", "falls", "chosen"),
    [("accuracy", None, [1, 4]), ("loss", None, [0, 3]), ("accuracy", True, [0, 3]), ("loss", False, [1, 4])],
)
def test_better_is_what_the_metrics_name_says(metric, falls, chosen):
    rules = read_rules("halving", metric, falls, 3, 1, 9)
    scores = np.array([0.1, 0.9, 0.5, 0.1, 0.8, np.nan, np.inf])
    assert np.flatnonzero(survivors([Bracket(np.arange(7), 0)], rules, 0, scores)).tolist() == chosen
    later = [Bracket(np.arange(7), 1)]
    assert np.flatnonzero(survivors(later, rules, 0, scores)).tolist() == [0, 1, 2, 3, 4]  # before the cut, the finite ones


def test_a_metric_of_training_needs_no_evaluation(problems):
    space = jc.grid(learning_rate=RATES)
    options = SMALL | {"evaluate": None}
    results = halving(problems.model(), jc.sgd, space, metric="residual", falls=True, max_epochs=3, **options)
    full = sweep(problems.model(), jc.sgd, space, epochs=3, **options)
    order = np.argsort(full.residual.sel(epoch=1).mean("seed").values)
    assert np.flatnonzero(results.rung.values).tolist() == sorted(order[:3].tolist())
    assert "validation_loss" not in results
    assert (results.attrs["metric"], results.attrs["lower_is_better"]) == ("residual", 1)


def test_evaluation_at_the_rungs_ends_alone(problems):
    space = jc.grid(learning_rate=RATES)
    each = halving(problems.model(), jc.sgd, space, eta=2, min_epochs=2, max_epochs=5, **SMALL)
    ends = halving(problems.model(), jc.sgd, space, eta=2, min_epochs=2, max_epochs=5, evaluate="end", **SMALL)
    assert np.isnan(ends.validation_loss.sel(epoch=[0, 1, 3, 4])).all()
    xr.testing.assert_equal(ends.validation_loss.sel(epoch=[2, 5]), each.validation_loss.sel(epoch=[2, 5]))
    xr.testing.assert_equal(ends.epochs_trained, each.epochs_trained)


def test_an_interrupted_one_returns_what_it_has(problems, monkeypatch):
    real, calls = execution.Runner._epoch, []

    def interrupted(self, *args):
        calls.append(args)
        if len(calls) == 5:  # both seeds' first rung; the first seed's second; then
            raise KeyboardInterrupt
        return real(self, *args)

    space = jc.grid(learning_rate=RATES)
    options = {"eta": 3, "max_epochs": 3, "lanes": 9} | SMALL
    monkeypatch.setattr(rungs, "block_size", lambda *arguments: 9)
    whole = halving(problems.model(), jc.sgd, space, **options)
    monkeypatch.setattr(execution.Runner, "_epoch", interrupted)
    part = halving(problems.model(), jc.sgd, space, **options)
    assert (part.attrs["incomplete"], whole.attrs["incomplete"]) == (1, 0)
    assert part.epochs_trained.values.tolist() == np.minimum(whole.epochs_trained, 1).values.tolist()
    assert part.attrs["lane_epochs"] == 2 * 9 + 3 * 2
    there = np.isfinite(part.validation_loss.values)
    assert there.sum() == 2 * 9 * 2 + 3 * 2
    np.testing.assert_array_equal(part.validation_loss.values[there], whole.validation_loss.values[there])


def test_interrupted_before_anything(problems, monkeypatch):
    def interrupted(self, own, size):
        raise KeyboardInterrupt

    monkeypatch.setattr(execution.Runner, "begin", interrupted)
    with pytest.raises(KeyboardInterrupt, match="halving: before the first result"):
        halving(problems.model(), jc.sgd, jc.grid(learning_rate=[0.1]), max_epochs=3, **SMALL)


def test_results_are_labelled(problems, tmp_path, capsys):
    space = spaces.halton(8, learning_rate=spaces.log(1e-3, 0.3), momentum=spaces.linear(0.0, 0.9))
    results = hyperband(problems.model(), jc.momentum, space, eta=2, max_epochs=4, progress=True, **SMALL)
    steps = 4 * results.attrs["lane_epochs"]
    assert f"{steps}/{steps}" in capsys.readouterr().err
    assert results.rung.dims == results.bracket.dims == results.epochs_trained.dims == ("configuration",)
    assert all(results[name].attrs["description"] and results[name].attrs["units"] for name in results.variables)
    assert results.attrs["method"] == "hyperband"
    assert results.attrs["rung_epochs"] == [1, 2, 4]
    winner = best(results)
    assert int(winner.epochs_trained) == 4
    assert "rung_low" not in winner
    pytest.importorskip("h5netcdf")
    results.to_netcdf(tmp_path / "hyperband.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "hyperband.nc", engine="h5netcdf") as loaded:
        xr.testing.assert_equal(loaded.load(), results)
        assert dict(best(loaded)) == dict(winner)


@pytest.mark.parametrize("compete", [halving, hyperband])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"falls": "no"}, TypeError, "falls must be None, True or False; got 'no'"),
        ({"eta": 1}, ValueError, "eta must be an integer >= 2; got 1"),
        ({"eta": 2.5}, TypeError, "eta must be an integer >= 2; got 2.5"),
        ({"min_epochs": 0}, ValueError, "min_epochs must be an integer >= 1; got 0"),
        ({"min_epochs": 0.5}, TypeError, "min_epochs must be an integer >= 1; got 0.5"),
        ({"max_epochs": 0}, ValueError, "max_epochs must be an integer >= 1; got 0"),
        ({"min_epochs": 2, "max_epochs": 5}, ValueError, "max_epochs must be at least min_epochs · eta, 6, .*; got 5"),
        ({"metric": "validation_los"}, ValueError, "unknown metric 'validation_los'; did you mean 'validation_loss'"),
        ({"metric": "test_loss"}, ValueError, "metric must not be a test value"),
        ({"metric": 3}, TypeError, "metric must be a string; got 3"),
        ({"evaluate": None}, ValueError, r"unknown metric 'validation_loss' \(known: loss, residual\)"),
        ({"evaluate": "rung"}, ValueError, "unknown evaluate 'rung'"),
        ({"space": {"learning_rate": [0.1]}}, TypeError, "space must come from jc.grid or jc.spaces"),
        ({"space": jc.grid(learning_rat=[0.1])}, ValueError, "^h.*: nothing takes 'learning_rat'; did you mean"),
        ({"factory": lambda rate: jc.sgd(0.1), "space": jc.grid(rate=[0.1])}, ValueError, "^h.*: the optimizer does not"),
        (
            {"factory": lambda residual: jc.sgd(residual), "space": jc.grid(residual=[0.1])},
            ValueError,
            "^h.*: an axis must not be called 'residual': the problem measures something of this name",
        ),
        ({"seeds": 0}, ValueError, "seeds must be an integer >= 1"),
        ({"memory": 10}, ValueError, "memory must be at least"),
        ({"batch_size": 99}, ValueError, "batch_size must be an integer from 1 to 37; got 99"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)  # fmt: skip
def test_bad_arguments_are_refused(problems, compete, options, error, message):
    given = {"problem": problems.model(), "factory": jc.sgd, "space": jc.grid(learning_rate=[0.1, 0.2])} | options
    with pytest.raises(error, match=message):
        compete(**given)


def test_a_problem_without_validation_needs_another_metric(problems):
    problem = problems.model(data=jc.Data(problems.data().train))
    with pytest.raises(ValueError, match="unknown metric 'validation_loss'"):
        halving(problem, jc.sgd, jc.grid(learning_rate=RATES), **SMALL)
    with pytest.raises(ValueError, match="axis must not be called 'rung'"):
        jc.grid(rung=[1.0])
