"""``jc.tune``: what Optuna is asked and told, what is compiled, continued and refused."""

from __future__ import annotations

import builtins
import functools

import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.sweep import execution, spaces, sweep, tune, tuning

optuna = pytest.importorskip("optuna")
optuna.logging.set_verbosity(optuna.logging.WARNING)
State = optuna.trial.TrialState

RATES = {"learning_rate": spaces.log(1e-4, 0.3)}
FAST = {"epochs": 2, "batch_size": 10}


def states(study):
    return [trial.state for trial in study.trials]


def test_a_trial_is_what_sweep_and_fit_find(problems):
    space = RATES | {"momentum": spaces.linear(0.0, 0.95)}
    study = tune(problems.model(), jc.momentum, space, trials=6, population=3, seeds=[4, 7], **FAST)
    assert states(study) == [State.COMPLETE] * 6
    assert study.direction.name == "MINIMIZE"
    trial = study.trials[4]
    own = sweep(problems.model(), jc.momentum, jc.grid(**{k: [v] for k, v in trial.params.items()}), seeds=[4, 7], **FAST)
    course = own.validation_loss.mean("seed").values.ravel()
    np.testing.assert_allclose([trial.intermediate_values[epoch] for epoch in range(3)], course, rtol=1e-6)
    assert trial.value == trial.intermediate_values[2]
    for name in ("test_loss", "test_residual", "validation_residual", "loss"):
        last = own[name].isel(epoch=-1) if "epoch" in own[name].dims else own[name]
        assert trial.user_attrs[name] == pytest.approx(float(last.mean("seed").squeeze()), rel=1e-6)
    assert "validation_loss" not in trial.user_attrs
    assert study.user_attrs["jaxopt_course"]["epochs"] == 2


def test_all_populations_of_one_size_share_their_programs(problems, traced):
    problem = problems.model(n=41)
    tune(problem, jc.momentum, RATES | {"momentum": spaces.linear(0.0, 0.9)}, trials=12, population=4, **FAST)
    assert (traced("train_lanes"), traced("init_lanes")) == (1, 1)
    tune(problem, jc.momentum, RATES | {"momentum": spaces.linear(0.1, 0.9)}, trials=4, population=4, seed=3, **FAST)
    assert (traced("train_lanes"), traced("init_lanes")) == (1, 1)


@pytest.mark.long
def test_categories_compile_few_sizes(problems, traced):
    space = RATES | {"form": spaces.categorical(["lookahead", "shifted"])}
    study = tune(problems.model(n=42), jc.nesterov, space, trials=8, population=4, **FAST)
    assert {trial.params["form"] for trial in study.trials} == {"lookahead", "shifted"}
    assert traced("train_lanes") <= 2 * 3  # sizes 1, 2, 4 of each


def test_ranges_are_optunas_distributions(problems):
    build = lambda learning_rate, momentum, steps, rule: rule(learning_rate * steps, momentum)
    space = RATES | {
        "momentum": spaces.linear(0.0, 1.0),
        "steps": spaces.integers(1, 3),
        "rule": spaces.categorical([jc.momentum, jc.nesterov]),
        "batch_size": spaces.categorical([5, 10]),
    }
    study = tune(problems.model(), build, space, trials=4, population=4, epochs=1)
    found = study.trials[0].distributions
    below = np.nextafter(0.3, 0)
    assert found["learning_rate"] == optuna.distributions.FloatDistribution(1e-4, below, log=True)
    assert found["momentum"] == optuna.distributions.FloatDistribution(0.0, np.nextafter(1.0, 0))
    assert found["steps"] == optuna.distributions.IntDistribution(1, 3)
    assert found["rule"] == optuna.distributions.CategoricalDistribution(["momentum", "nesterov"])
    assert found["batch_size"] == optuna.distributions.CategoricalDistribution([5, 10])
    assert set(states(study)) == {State.COMPLETE}


def test_a_diverged_trial_is_pruned_with_what_it_reached(problems):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for rate in (0.05, 1e30):
        study.enqueue_trial({"learning_rate": rate})
    tune(problems.model(), jc.sgd, {"learning_rate": spaces.log(1e-4, 1e31)}, trials=2, study=study, seeds=2, **FAST)
    fine, lost = study.trials
    assert (fine.state, lost.state) == (State.COMPLETE, State.PRUNED)
    own = sweep(problems.model(), jc.sgd, jc.grid(learning_rate=[1e30]), seeds=2, **FAST)
    assert lost.user_attrs["diverged_step"] == int(own.diverged_step.min())
    assert list(lost.intermediate_values) == [0]
    assert study.best_params == {"learning_rate": 0.05}


def test_it_finds_better_rates_than_it_began_with(problems):
    study = tune(problems.model(), jc.sgd, {"learning_rate": spaces.log(1e-6, 10.0)}, trials=40, population=8, **FAST)
    far = [abs(np.log10(trial.params["learning_rate"] / study.best_params["learning_rate"])) for trial in study.trials]
    assert np.median(far[-16:]) < 0.5 * np.median(far[:8])


def test_what_rises_is_maximized(problems):
    study = tune(problems.model(), jc.sgd, RATES, trials=3, metric="validation_residual", **FAST)
    assert study.direction.name == "MAXIMIZE"
    assert study.best_value == max(trial.value for trial in study.trials)
    study = tune(problems.model(), jc.sgd, RATES, trials=3, metric="validation_residual", falls=True, **FAST)
    assert study.direction.name == "MINIMIZE"


def test_the_same_seed_asks_the_same(problems):
    first, again, other = (tune(problems.model(), jc.sgd, RATES, trials=12, population=4, seed=s, **FAST) for s in (5, 5, 6))
    params = lambda study: [trial.params for trial in study.trials]
    assert params(first) == params(again) != params(other)


def test_a_study_on_disk_is_continued(problems, tmp_path):
    storage = f"sqlite:///{tmp_path}/tune.db"
    for done in (4, 7):
        study = optuna.create_study(storage=storage, study_name="sgd", load_if_exists=True)
        tune(problems.model(), jc.sgd, RATES, trials=done - len(study.trials), study=study, **FAST)
        loaded = optuna.load_study(study_name="sgd", storage=storage)
        assert states(loaded) == [State.COMPLETE] * done
    assert len(loaded.trials[0].intermediate_values) == 3
    assert loaded.best_trial.user_attrs["test_loss"] > 0
    assert optuna.visualization.plot_optimization_history(loaded).data


def test_ctrl_c_keeps_what_was_told(problems, monkeypatch):
    real, calls = execution.Runner._epoch, []

    def interrupted(self, *args):
        calls.append(args)
        if len(calls) == 4:  # the second population's second epoch
            raise KeyboardInterrupt
        return real(self, *args)

    monkeypatch.setattr(execution.Runner, "_epoch", interrupted)
    study = tune(problems.model(), jc.sgd, RATES, trials=9, population=3, **FAST)
    assert states(study) == [State.COMPLETE] * 3 + [State.FAIL] * 3
    calls[:] = [None] * 3
    study = optuna.create_study()
    monkeypatch.setattr(execution.Runner, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        tune(problems.model(), jc.sgd, RATES, trials=9, population=3, study=study, **FAST)
    assert states(study) == [State.FAIL] * 3


@pytest.mark.parametrize(("given", "note"), [(True, "kept in the study"), (False, "lost; give study=, to keep them")])
def test_an_error_leaves_no_trial_running_and_says_where_the_others_are(problems, monkeypatch, given, note):
    real, asked, told = tuning.sweep, optuna.create_study(), []

    def fails(*arguments, **options):
        told.append(arguments)
        if len(told) == 2:
            raise MemoryError("no more")
        return real(*arguments, **options)

    monkeypatch.setattr(tuning, "sweep", functools.wraps(real)(fails))
    monkeypatch.setattr(tuning, "_new_study", lambda *_: asked)
    with pytest.raises(MemoryError) as raised:
        tune(problems.model(), jc.sgd, RATES, trials=8, population=3, study=asked if given else None, **FAST)
    assert raised.value.__notes__ == [f"tune: the 3 trials before are {note}"]
    assert states(asked) == [State.COMPLETE] * 3 + [State.FAIL] * 3


def test_categories_that_optuna_knows_are_arguments_for_the_factory(problems):
    space = RATES | {"momentum": spaces.categorical([None, 0.9])}
    build = lambda learning_rate, momentum: jc.sgd(learning_rate) if momentum is None else jc.momentum(learning_rate, momentum)
    study = optuna.create_study()
    for momentum in (None, 0.9):
        study.enqueue_trial({"learning_rate": 0.01, "momentum": momentum})
    tune(problems.model(), build, space, trials=2, study=study, **FAST)
    assert [trial.params["momentum"] for trial in study.trials] == [None, 0.9]
    assert build(**study.best_params)
    plain = sweep(problems.model(), jc.sgd, jc.grid(learning_rate=[0.01]), seeds=1, **FAST)
    assert study.trials[0].value == pytest.approx(plain.validation_loss.values[0, 0, -1], rel=1e-6)


def test_progress_counts_trials(problems, capsys):
    tune(problems.model(), jc.sgd, RATES, trials=5, population=2, progress=True, **FAST)
    shown = capsys.readouterr().err
    assert "5/5" in shown
    assert "best=" in shown


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"space": jc.grid(learning_rate=[0.1])}, TypeError, "space must be name → range"),
        ({"space": {"learning_rate": [0.1]}}, TypeError, r"learning_rate must be one of linear\(…\)"),
        ({"space": {}}, ValueError, r"space must be name → range: .*; got \{\}"),
        ({"space": RATES | {"momentum": spaces.linear(-0.5, 0.9)}}, ValueError, r"momentum must be .*; got -0\.5"),
        ({"space": RATES | {"momentum": spaces.linear(0.0, 1.5)}}, ValueError, r"momentum must be .*; got 1\.49"),
        ({"space": RATES | {"momentum": spaces.categorical([0.1, 0.2, 2.0])}}, ValueError, r"momentum must be .*; got 2\.0"),
        ({"space": RATES | {"batch_size": spaces.integers(30, 39)}}, ValueError, "batch_size must be .* to 37; got 39"),
        ({"space": RATES | {"momentum": spaces.categorical([1, True])}}, ValueError, "cannot be told apart"),
        ({"space": {"learning_rat": spaces.log(0.1, 1.0)}}, ValueError, "nothing takes 'learning_rat'; did you mean"),
        ({"trials": 0}, ValueError, "trials must be an integer >= 1; got 0"),
        ({"progress": 3}, TypeError, "tune: progress must be True or False; got 3"),
        ({"population": 1.5}, TypeError, "population must be an integer >= 1; got 1.5"),
        ({"metric": "validation_los"}, ValueError, "unknown metric 'validation_los'; did you mean 'validation_loss'"),
        ({"falls": "no"}, TypeError, "tune: falls must be None, True or False; got 'no'"),
        ({"metric": None}, TypeError, "metric must be a string; got None"),
        ({"seed": "a"}, TypeError, r"seed must be an integer from 0 to 4294967295; got 'a'"),
        ({"seed": -1}, ValueError, "seed must be an integer from 0 to"),
        ({"epochs": 0}, ValueError, "tune: epochs must be an integer >= 1; got 0"),
        ({"vary": "all"}, ValueError, "tune: unknown vary 'all'"),
        ({"metric": "test_loss"}, ValueError, "metric must not be a test value"),
        ({"epoch": 3}, TypeError, "unknown argument 'epoch'; did you mean 'epochs'"),
        ({"evaluate": "end"}, TypeError, "evaluate cannot be given: a trial reports the metric after each epoch"),
        ({"store": "tune.zarr"}, TypeError, "store cannot be given: the study keeps the trials: study=optuna.create_study"),
        ({"study": "sqlite:///tune.db"}, TypeError, r"study must be an optuna\.Study: .*; got 'sqlite:///tune\.db'"),
        ({"study": optuna.create_study(direction="maximize")}, ValueError, r"to maximize: .*\(direction='minimize'\)"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_before_anything_is_asked(problems, monkeypatch, options, error, message):
    monkeypatch.setattr(optuna.Study, "ask", lambda *_: pytest.fail("asked"))
    given = {"problem": problems.model(), "factory": jc.momentum, "space": RATES} | options
    with pytest.raises(error, match=message):
        tune(**given)


def test_a_study_of_another_search_is_refused(problems):
    study = tune(problems.model(), jc.sgd, RATES, trials=2, **FAST)
    tune(problems.model(), jc.sgd, RATES, trials=1, study=study, epochs=np.int64(2), batch_size=np.int64(10), seeds=[0])
    with pytest.raises(ValueError, match=r"the study was tuned with epochs=2; got 3"):
        tune(problems.model(), jc.sgd, RATES, trials=2, study=study, epochs=3, batch_size=10)
    with pytest.raises(ValueError, match=r"the study has learning_rate from FloatDistribution\(.*; got IntDistribution"):
        tune(problems.model(), jc.sgd, {"learning_rate": spaces.integers(1, 2)}, trials=2, study=study, **FAST)
    assert len(study.trials) == 3


def test_without_optuna_the_extra_is_named(problems, monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.split(".")[0] == "optuna":
            raise ImportError("No module named 'optuna'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"pip install 'jaxopt_course\[tune\]'"):
        tune(problems.model(), jc.sgd, RATES)
