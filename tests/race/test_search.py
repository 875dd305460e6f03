"""The learning-rate search: one sweep for each optimizer; on several seeds, the mean decides."""

from __future__ import annotations

import math

import jax
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.race import Contestant, contestants, protocol, search
from jaxopt_course.training.step import TRACES

FAST = {"seeds": 2, "batch_size": 10, "epochs": 2}
RATES = [0.01, 0.1, 0.3]


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    close = lambda outputs, batch: (abs(outputs - batch["y"]) < 0.5).astype(float)
    targets = (x @ [1.5, -0.5, 2.0]).astype(np.float32)
    return jc.problems.from_arrays(x, targets, validation=0.2, test=0.2, metrics={"accuracy": close})


@pytest.fixture(scope="module")
def finished(problem):
    return jc.race(problem, ["sgd", "adam", "line_search"], learning_rates=RATES, tuning_seeds=3, **FAST)


def fits(problem, rate, seeds):
    runs = [jc.fit(problem, jc.sgd(rate), batch_size=10, epochs=2, key=seed) for seed in seeds]
    return np.array([float(run.history.validation_loss[-1]) for run in runs]), [run.evaluate("test") for run in runs]


@pytest.mark.long
def test_each_rate_has_the_mean_and_the_range_of_its_own_fits(problem, finished):
    tuning = finished.data.tuning
    for trial in np.flatnonzero((tuning.optimizer == "sgd").values):
        row = tuning.isel(trial=trial)
        losses, tested = fits(problem, float(row.learning_rate), (0, 3, 4))  # the final runs' seeds are 1 and 2
        np.testing.assert_allclose(row.validation_loss, losses.mean(), rtol=1e-4)
        np.testing.assert_allclose(row.validation_loss_low, losses.min(), rtol=1e-4)
        np.testing.assert_allclose(row.validation_loss_high, losses.max(), rtol=1e-4)
        np.testing.assert_allclose(row.test_loss, np.mean([one["loss"] for one in tested]), rtol=1e-4)
        np.testing.assert_allclose(row.test_accuracy, np.mean([one["accuracy"] for one in tested]), atol=1e-6)


def test_the_mean_over_the_tuning_seeds_decides(finished):
    tuning = finished.data.tuning.to_dataframe()
    for name in ("sgd", "adam"):
        own = tuning[tuning.optimizer == name]
        assert own.validation_loss.idxmin() == own.index[own.selected].item()
        assert finished.data.table.learning_rate.sel(optimizer=name) == own.learning_rate[own.selected].item()
    assert finished.data.attrs["tuning_seeds"] == 3


def test_without_a_rate_the_search_is_its_fits(finished):
    row = finished.data.tuning.isel(trial=-1)
    assert math.isnan(row.learning_rate)
    assert row.validation_loss_low < row.validation_loss < row.validation_loss_high


def test_a_search_compiles_once_also_where_the_grid_grows(problem):
    before = TRACES["train_lanes"]
    options = {"learning_rates": [1e-4, 1e-3], "tuning_seeds": 2, "seeds": 2, "batch_size": 8, "epochs": 1}
    outcome = jc.race(problem, ["momentum"], **options)
    assert outcome.data.tuning.sizes["trial"] > 3
    assert TRACES["train_lanes"] == before + 1
    jc.race(problem, ["momentum"], **options)
    assert TRACES["train_lanes"] == before + 1


@pytest.mark.parametrize("tuning_seeds", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_race_on_sweeps_is_a_race_on_fits(problem, monkeypatch, tuning_seeds):
    run = lambda: jc.race(problem, ["sgd", "adam"], learning_rates=[0.01, 0.3, 1e6], tuning_seeds=tuning_seeds, **FAST).data
    swept = run()
    monkeypatch.setattr(protocol, "sweepable", lambda *_: False)
    before = TRACES["train_lanes"]
    fitted = run()
    assert TRACES["train_lanes"] == before
    assert bool(swept.tuning.diverged.any())
    assert list(swept.tuning) == list(fitted.tuning)
    for name in ("optimizer", "learning_rate", "diverged", "selected"):
        np.testing.assert_array_equal(swept.tuning[name], fitted.tuning[name])
    for name in (name for name in swept.tuning if name.startswith(("validation_", "test_"))):
        np.testing.assert_allclose(swept.tuning[name], fitted.tuning[name], rtol=1e-4, atol=1e-6, err_msg=name)
    np.testing.assert_array_equal(swept.table.learning_rate, fitted.table.learning_rate)
    np.testing.assert_array_equal(swept.curves.validation_loss, fitted.curves.validation_loss)


def test_one_rate_and_both_its_neighbours_compile_once(problem):
    before = TRACES["train_lanes"]
    options = {"learning_rates": [0.01], "seeds": 2, "batch_size": 7, "epochs": 1}
    assert jc.race(problem, ["sgd"], **options).data.tuning.sizes["trial"] > 3
    assert TRACES["train_lanes"] == before + 1


def test_a_factory_that_looks_at_its_rate_is_fitted(problem, finished):
    looking = lambda rate: jc.sgd(float(rate))
    assert not search.sweepable(problem, Contestant("looking", looking, (0.1,)))
    outcome = jc.race(problem, {"looking": looking}, learning_rates=RATES, tuning_seeds=3, **FAST)
    same = finished.data.tuning.isel(trial=(finished.data.tuning.optimizer == "sgd").values)
    for name in ("validation_loss", "validation_loss_high", "test_accuracy"):
        np.testing.assert_allclose(outcome.data.tuning[name][:3], same[name][:3], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["optax.lion", "optax.contrib.muon", "optax.lbfgs"])
def test_what_has_a_rate_elsewhere_can_be_swept(problem, name):
    assert search.sweepable(problem, contestants([name])[0])


def test_what_has_a_rate_in_the_catalog_can_be_swept(problem):
    fitted = [entrant.name for entrant in contestants("all") if not search.sweepable(problem, entrant)]
    assert fitted == [name for name, entry in jc.CATALOG.items() if not entry.learning_rates]


def test_parameters_by_name_do_not_keep_an_optimizer_from_a_sweep(problem):
    labels = dict.fromkeys(problem.init(jax.random.key(0))[0], "all")
    parts = lambda rate: optax.multi_transform({"all": jc.sgd(rate)}, labels)
    assert search.sweepable(problem, Contestant("parts", parts, (0.1,)))


def test_a_factory_that_ignores_its_rate_is_fitted(problem):
    constant = lambda rate: jc.sgd(0.1)
    assert not search.sweepable(problem, Contestant("constant", constant, (0.1,)))
    found = jc.race(problem, {"constant": constant}, learning_rates=[0.1, 0.2], **FAST).data.tuning
    assert len(np.unique(found.validation_loss)) == 1


def test_a_seed_that_diverges_loses_its_rate_the_race(problem):
    outcome = jc.race(problem, ["sgd"], learning_rates=[0.1, 1e6], tuning_seeds=2, **FAST)
    wild = outcome.data.tuning.isel(trial=1)
    assert bool(wild.diverged)
    assert np.isnan(wild.validation_loss)
    assert not bool(wild.selected)


def test_what_there_is_before_training_is_recorded(problem, finished):
    starts = [jc.fit(problem, jc.sgd(0.1), batch_size=10, epochs=1, key=seed).history for seed in (0, 3, 4)]
    expected = np.mean([float(history.validation_loss[0]) for history in starts])
    np.testing.assert_allclose(finished.data.tuning.attrs["start_validation_loss"], expected, rtol=1e-5)
    assert 0 <= finished.data.tuning.attrs["start_test_accuracy"] <= 1


def test_interrupting_a_sweep_interrupts_the_race(problem, monkeypatch):
    whole, seen = search.sweep, []

    def impatient(*arguments, **options):
        seen.append(whole(*arguments, **options))
        return seen[-1].assign_attrs(incomplete=int(len(seen) == 2))

    monkeypatch.setattr(search, "sweep", impatient)
    outcome = jc.race(problem, ["sgd", "adam"], learning_rates=[0.01, 0.1, 3.0], tuning_seeds=2, **FAST)
    assert outcome.incomplete
    assert outcome.data.table.optimizer.values.tolist() == ["sgd"]
