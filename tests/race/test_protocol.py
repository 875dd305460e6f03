"""The race as an experiment: tuned on validation, paired by seed, honest about what diverged and what was interrupted."""

from __future__ import annotations

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.optimizers import CATALOG
from jaxopt_course.race import contestants, protocol
from jaxopt_course.report import files
from jaxopt_course.training.progress import Progress

FAST = {"seeds": 3, "batch_size": 10, "epochs": 2}


def split(n, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    y = x @ np.array([1.5, -0.5, 2.0], np.float32) + 0.1 * rng.normal(size=n).astype(np.float32)
    return {"x": jnp.asarray(x), "y": jnp.asarray(y)}


def init(key):
    return {"w": jax.random.normal(key, (3,))}, {}


def predict(params, model_state, batch, *, key=None, train=False):
    return batch["x"] @ params["w"], model_state


def squares(outputs, batch):
    return (outputs - batch["y"]) ** 2


def within(outputs, batch):
    return (jnp.abs(outputs - batch["y"]) < 0.5).astype(float)


@pytest.fixture(scope="module")
def problem():
    data = jc.Data(split(40, 1), split(15, 2), split(25, 3))
    return jc.Problem(init, predict, squares, data, {"accuracy": within}, name="small")


@pytest.fixture(scope="module")
def finished(problem):
    return jc.race(problem, ["sgd", "adam"], learning_rates=[0.01, 0.1, 0.3], **FAST)


@pytest.fixture
def calls(monkeypatch):
    """The keys and learning rates of every final run, as they come."""
    seen = []

    def recording(problem, optimizer, **options):
        result = jc.fit(problem, optimizer, **options)
        rate = result.history.get("learning_rate")
        seen.append((options["key"], None if rate is None else float(rate[0])))
        return result

    monkeypatch.setattr(protocol, "fit", recording)
    return seen


def test_the_winner_of_the_grid_has_the_best_validation_loss_and_runs_on_new_seeds(problem, calls):
    race = jc.race(problem, ["sgd"], learning_rates=[0.01, 0.05, 0.4], **FAST)
    tuning = race.data.tuning.to_dataframe()
    best = tuning.loc[tuning.validation_loss.idxmin()]
    assert tuning.selected.tolist() == (tuning.learning_rate == best.learning_rate).tolist()
    assert race.data.table.learning_rate.item() == best.learning_rate
    assert [key for key, _ in calls] == [1, 2, 3]
    np.testing.assert_allclose([rate for _, rate in calls], best.learning_rate, rtol=1e-6)


def test_the_table_has_the_mean_and_interval_of_the_test_metric(problem, finished):
    row = finished.data.table.sel(optimizer="adam")
    scores = []
    for seed in (1, 2, 3):
        run = jc.fit(problem, jc.adam(float(row.learning_rate)), batch_size=10, epochs=2, key=seed)
        scores.append(run.evaluate("test")["accuracy"])
    mean, margin = np.mean(scores), 4.302653 * np.std(scores, ddof=1) / np.sqrt(3)  # t of 2 degrees of freedom at 97.5 %
    assert row.test_accuracy.item() == pytest.approx(mean, rel=1e-6)
    assert row.test_accuracy_high.item() == pytest.approx(mean + margin, abs=1e-6)
    assert row.test_accuracy_low.item() == pytest.approx(mean - margin, abs=1e-6)
    assert finished.data.attrs["metric"] == "accuracy"
    assert not finished.incomplete


def test_seeds_pair_the_optimizers_the_same_start_and_the_same_batches(finished):
    starts = finished.data.curves.validation_loss.isel(evaluation=0)
    np.testing.assert_array_equal(starts.sel(optimizer="sgd"), starts.sel(optimizer="adam"))
    assert len(np.unique(starts)) == 3
    np.testing.assert_array_equal(finished.data.curves.seed, [1, 2, 3])


def test_curves_are_over_the_updates_done(finished):
    curves = finished.data.curves
    np.testing.assert_array_equal(curves.evaluation, [0, 4, 8])
    np.testing.assert_array_equal(curves.epoch, [0, 1, 2])
    np.testing.assert_array_equal(curves.examples, [0, 40, 80])
    np.testing.assert_array_equal(curves.gradient_evaluations.sel(optimizer="sgd", seed=2), [0, 4, 8])
    assert (np.diff(curves.seconds, axis=-1) >= 0).all()
    assert (curves.validation_loss.isel(evaluation=-1) < curves.validation_loss.isel(evaluation=0)).all()


@pytest.mark.parametrize(("grid", "grows"), [([1e-4, 1e-3], "upwards"), ([100.0, 1000.0], "downwards")])
def test_a_grid_far_off_grows_until_the_winner_is_inside_it(problem, grid, grows, calls):
    race = jc.race(problem, ["sgd"], learning_rates=grid, **FAST)
    tried = np.sort(race.data.tuning.learning_rate)
    selected = race.data.table.learning_rate.item()
    assert tried[0] < selected < tried[-1]
    assert 0.01 < selected < 1.5
    expected = 10.0 ** np.arange(-4, np.log10(tried[-1]) + 0.5) if grows == "upwards" else tried
    np.testing.assert_allclose(tried, expected, rtol=1e-6)
    assert tried[0 if grows == "upwards" else -1] == (grid[0] if grows == "upwards" else grid[-1])
    diverged = race.data.tuning.diverged.values
    assert diverged.any() == (grows == "downwards")
    assert not (diverged & race.data.tuning.selected.values).any()
    assert "learning rate at the edge of its grid" not in race.data.attrs


def test_one_learning_rate_alone_grows_both_ways(problem):
    race = jc.race(problem, ["sgd"], learning_rates=[0.1], **FAST)
    tried = np.sort(race.data.tuning.learning_rate)
    assert len(tried) >= 3
    assert tried[0] < race.data.table.learning_rate.item() < tried[-1]


def test_a_grid_that_cannot_grow_further_is_reported(problem, monkeypatch):
    monkeypatch.setattr(protocol, "MOST_EXTENSIONS", 1)
    race = jc.race(problem, ["sgd"], learning_rates=[1e-8, 1e-7], **FAST)
    np.testing.assert_allclose(np.sort(race.data.tuning.learning_rate), [1e-8, 1e-7, 1e-6], rtol=1e-6)
    assert race.data.attrs["learning rate at the edge of its grid"] == "sgd"
    assert "so another learning rate may be better: sgd." in " ".join(str(race).split())


def test_diverged_final_runs_are_recorded_and_do_not_win(problem, monkeypatch):
    fit = jc.fit

    def sabotage(problem, optimizer, *, key, **options):
        wild = key == 2 and optimizer.update == jc.adam(0.1).update
        return fit(problem, jc.sgd(1e6) if wild else optimizer, key=key, **options)

    monkeypatch.setattr(protocol, "fit", sabotage)
    race = jc.race(problem, ["adam", "sgd"], learning_rates=[0.01, 0.1, 0.3], **FAST | {"epochs": 10})
    curves = race.data.curves.validation_loss
    assert np.isnan(curves.sel(optimizer="adam", seed=2).values[-1])
    assert np.isfinite(curves.sel(optimizer="adam", seed=[1, 3])).all()
    assert np.isnan(race.data.table.test_accuracy.sel(optimizer="adam").item())
    assert race.data.ranking[0] == "sgd"
    assert "sgd" in str(race)


def test_interrupting_reports_what_is_finished(problem, monkeypatch, tmp_path):
    done = 0

    def impatient(problem, optimizer, **options):
        nonlocal done
        done += 1
        if done == 5:  # sgd's 3 final runs, and adam's second
            raise KeyboardInterrupt
        return jc.fit(problem, optimizer, **options)

    monkeypatch.setattr(protocol, "fit", impatient)
    race = jc.race(problem, ["sgd", "adam"], learning_rates=[0.01, 0.1, 2.0], **FAST)
    assert race.incomplete
    assert race.data.table.optimizer.values.tolist() == ["sgd"]
    assert race.data.curves.sizes["seed"] == 3
    assert "sgd" in str(race)
    assert race.plot() is not None
    assert race.report(tmp_path / "race.html").read_text().count("sgd")


def test_interrupting_before_anything_is_finished_interrupts(problem, monkeypatch):
    def impatient(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(protocol, "fit", impatient)
    with pytest.raises(KeyboardInterrupt, match="before the first optimizer was done"):
        jc.race(problem, ["sgd"], **FAST)


@pytest.mark.parametrize("tuning_seeds", [1, 3])
@pytest.mark.parametrize("grid", [[0.1, 0.3, 2.0], [1e-3, 1e-2], [1e-12, 1e-11]])
def test_the_progress_bars_total_is_the_runs_done(problem, grid, tuning_seeds, monkeypatch, calls):
    bars = []

    class Watched(Progress):
        def __init__(self, total, enabled, *rest, **options):
            super().__init__(total, True, *rest, **options)
            bars.append(self._bar)

    monkeypatch.setattr(protocol, "Progress", Watched)
    monkeypatch.setattr(protocol, "MOST_EXTENSIONS", 3)
    outcome = jc.race(problem, ["sgd"], learning_rates=grid, tuning_seeds=tuning_seeds, **FAST)
    assert bars[0].n == bars[0].total == tuning_seeds * outcome.data.tuning.sizes["trial"] + len(calls)


def test_progress_shows_runs_and_losses(problem, capsys):
    jc.race(problem, ["sgd"], learning_rates=[0.01, 0.1, 2.0], progress=True, **FAST)
    shown = capsys.readouterr().err
    assert "sgd: final run 3 of 3" in shown
    assert "6/6" in shown
    assert "loss=" in shown


def test_functions_race_with_optimizers_of_ones_own(problem):
    clip = optax.clip_by_global_norm(1.0)
    entrants = {"clipped": lambda rate: jc.chain(clip, jc.sgd(rate)), "optax": optax.sgd}
    race = jc.race(problem, entrants, learning_rates=[0.03, 0.1, 0.5], **FAST)
    assert race.data.optimizers == ["clipped", "optax"]
    assert np.isfinite(race.data.table.test_loss).all()


def test_line_searches_pay_for_their_evaluations(problem):
    searching = lambda rate: optax.chain(optax.sgd(rate), optax.scale_by_backtracking_linesearch(8))
    race = jc.race(problem, {"searching": searching, "sgd": jc.sgd}, learning_rates=[0.3, 1.0, 8.0], **FAST)
    spent = race.data.curves.gradient_evaluations.isel(evaluation=-1)
    assert (spent.sel(optimizer="searching") > spent.sel(optimizer="sgd")).all()


def test_an_optimizer_without_a_learning_rate_has_one_trial(problem, monkeypatch):
    rateless = dataclasses.replace(CATALOG["sgd"], learning_rates=(), settings={"learning_rate": 0.1})
    monkeypatch.setitem(contestants.__globals__, "CATALOG", {**CATALOG, "rateless": rateless})
    race = jc.race(problem, ["rateless"], learning_rates=[0.1, 0.2], **FAST)
    assert np.isnan(race.data.tuning.learning_rate.values).tolist() == [True]
    assert race.data.tuning.selected.values.tolist() == [True]
    assert np.isnan(race.data.table.learning_rate.item())


def test_all_is_the_catalog_in_its_order_with_its_grids():
    found = contestants("all")
    assert [c.name for c in found] == list(CATALOG)
    assert all(c.learning_rates == CATALOG[c.name].learning_rates for c in found if CATALOG[c.name].learning_rates)
    assert [c.name for c in contestants(("all",))] == list(CATALOG)
    assert [c.name for c in contestants(["adam", "sgd", "adam"])] == ["adam", "sgd"]
    assert [c.name for c in contestants(name for name in ["adam", "sgd"])] == ["adam", "sgd"]
    assert contestants(["adam"], [0.3, 0.1, 0.3])[0].learning_rates == (0.1, 0.3)


BAD = {
    "optax's": ({"optimizers": ["lion"]}, ValueError, "race: unknown optimizer 'lion'; did you mean 'optax.lion'?"),
    "unknown optimizer": ({"optimizers": ["adm"]}, ValueError, "race: unknown optimizer 'adm'; did you mean 'adam'?"),
    "no optimizers": ({"optimizers": []}, ValueError, "race: no optimizers; give names from the catalog"),
    "names in a list": (
        {"optimizers": [["sgd"]]}, TypeError, "race: optimizers must be 'all', names, or name → function; got ['sgd'] am",
    ),
    "an optimizer for a name": (
        {"optimizers": [jc.sgd(0.1)]}, TypeError, "name → function; got GradientTransformationExtraArgs(init=sgd(",
    ),
    "no functions": ({"optimizers": {}}, ValueError, "race: no optimizers"),
    "an optimizer for a function": (
        {"optimizers": {"mine": jc.adam(0.1)}}, TypeError, "race: mine must be a function from a learning rate to an optim",
    ),
    "a function of something else": (
        {"optimizers": {"mine": lambda rate: rate}}, TypeError, "race: mine: optimizer must be a gradient transformation",
    ),
    "a rate for a grid": (
        {"learning_rates": 0.1}, ValueError, "race: learning_rates must be a list of at least one number > 0; got 0.1",
    ),
    "an empty grid": ({"learning_rates": []}, ValueError, "at least one number > 0; got []"),
    "a rate of 0": ({"learning_rates": [0.1, 0.0]}, ValueError, "race: learning_rates must be a number > 0; got 0.0"),
    "one seed": ({"seeds": 1}, ValueError, "race: seeds must be an integer >= 2; got 1"),
    "no seed": ({"seeds": 0}, ValueError, "race: seeds must be an integer >= 2; got 0"),
    "half a seed": ({"seeds": 2.5}, TypeError, "race: seeds must be an integer >= 2; got 2.5"),
    "a function without a rate": (
        {"optimizers": {"mine": lambda: jc.sgd(0.1)}}, TypeError, "race: mine: with learning rate 0.0001 it raises: ",
    ),
    "a function that raises": (
        {"optimizers": {"mine": lambda rate: jc.momentum(rate, 2.0)}}, ValueError,
        "race: mine: with learning rate 0.0001 it raises: momentum: momentum must be a number in [0, 1]; got 2.0",
    ),
    "no tuning seeds": ({"tuning_seeds": 0}, ValueError, "race: tuning_seeds must be an integer >= 1; got 0"),
    "batch size": ({"batch_size": 41}, ValueError, "race: batch_size must be an integer from 1 to 40; got 41"),
    "epochs": ({"epochs": 0}, ValueError, "race: epochs must be an integer >= 1; got 0"),
    "level": ({"level": 95}, ValueError, "race: level must be a number in (0, 1); got 95"),
    "falls": ({"falls": "no"}, TypeError, "race: falls must be None, True or False; got 'no'"),
    "metric": ({"metric": "acuracy"}, ValueError, "race: unknown metric 'acuracy'; did you mean 'accuracy'?"),
    "no problem": ({"problem": "digits"}, TypeError, "race: problem must be a jc.Problem; got 'digits'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_refused_before_anything_runs(problem, calls, name):
    change, error, message = BAD[name]
    with pytest.raises(error, match=re.escape(message)):
        jc.race(**{"problem": problem, "optimizers": ["sgd"], **change})
    assert not calls


@pytest.mark.parametrize("missing", ["validation", "test"])
def test_a_problem_without_the_splits_is_refused(problem, missing):
    lacking = jc.Problem(init, predict, squares, problem.data._replace(**{missing: None}), name="lacking")
    with pytest.raises(
        ValueError, match=f"race: lacking has no {missing} split; a race tunes on validation and reports on test"
    ):
        jc.race(lacking, ["sgd"])


def test_an_error_is_better_when_it_is_less():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 3))
    error = lambda outputs, batch: jnp.abs(outputs - batch["y"])
    problem = jc.problems.from_arrays(x, x @ [1.0, -2.0, 0.5], test=0.2, metrics={"mean_absolute_error": error})
    contestants = {"good": lambda rate: jc.adam(rate), "bad": lambda rate: jc.sgd(1e-6 * rate)}
    options = {"seeds": 2, "epochs": 5, "learning_rates": [0.1, 0.11, 0.12]}
    assert jc.race(problem, contestants, **options).data.ranking[0] == "good"
    assert jc.race(problem, contestants, falls=False, **options).data.ranking[0] == "bad"


def test_a_report_needs_a_path():
    with pytest.raises(TypeError, match="cannot write None: give the path of a file"):
        files.writable(None)  # pyright: ignore[reportArgumentType]
