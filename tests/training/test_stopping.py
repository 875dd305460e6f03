"""When runs end, and what they say of it: budgets, criteria inside the loop, early stopping with the best parameters kept."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.problems.objective import Data
from jaxopt_course.training import clock
from jaxopt_course.training import run as engine

FULL = jc.samplers.full()


def test_budgets_of_steps_and_epochs(problems):
    by_steps = jc.fit(problems.least_squares(), jc.sgd(0.01), batch_size=10, steps=9)
    by_epochs = jc.fit(problems.least_squares(), jc.sgd(0.01), batch_size=10, epochs=3)
    assert (by_steps.steps, by_epochs.steps) == (9, 12)
    assert by_steps.stopped == by_epochs.stopped == "budget of steps done"
    assert (by_steps.requested, int(by_steps.state.step)) == (9, 9)


def test_a_budget_of_seconds_ends_soon_after_them(problems, monkeypatch):
    monkeypatch.setattr(engine, "LOOK_EVERY", 0.02)
    problem = problems.least_squares()
    jc.fit(problem, jc.sgd(1e-4), batch_size=10, steps=1)
    result = jc.fit(problem, jc.sgd(1e-4), batch_size=10, steps=10**8, evaluate=None, stop=jc.stopping.budget(seconds=0.1))
    assert result.stopped == "0.1 s spent"
    assert 0.1 <= result.run_seconds < 2
    assert result.steps == int(result.state.step) < 10**8


def test_a_budget_is_not_overshot_by_a_look_that_waits_for_more(problems, monkeypatch):
    """With a clock of a millisecond a step, and evaluations that nobody waits for."""
    now, send = [0.0], engine.run_chunk

    def chunk(*arguments, **options):
        now[0] += 1e-3 * int(arguments[7])
        return send(*arguments, **options)

    problem, optimizer = problems.least_squares(), jc.sgd(1e-4)
    jc.fit(problem, optimizer, batch_size=10, steps=20)
    monkeypatch.setattr(engine, "run_chunk", chunk)
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    result = jc.fit(problem, optimizer, batch_size=10, steps=1000, stop=jc.stopping.budget(seconds=0.0505))
    assert result.stopped == "0.0505 s spent"
    assert result.steps == 51


def test_gradient_norm_stops_at_the_very_step(problems, gradient):
    tolerance = 0.5
    data, params = jax.tree.map(np.asarray, problems.data().train), dict(problems.start)
    expected, norm = 0, np.inf
    while norm > tolerance:
        grads = gradient(params, data["x"], data["y"])
        params = {k: params[k] - 0.02 * grads[k] for k in params}
        expected, norm = expected + 1, np.sqrt(np.sum(grads["w"] ** 2) + grads["b"] ** 2)
    criterion = jc.stopping.gradient_norm(tolerance)
    result = jc.fit(problems.least_squares(), jc.sgd(0.02), sampler=FULL, steps=2000, stop=criterion)
    assert result.steps == int(result.state.step) == len(result.history.loss) == expected
    assert result.stopped == "gradient norm <= 0.5"
    np.testing.assert_allclose(result.params["w"], params["w"], rtol=1e-4)
    assert int(result.history.epoch_step[-1]) == expected  # what the run ended with is evaluated


def test_a_stop_in_one_chunk_stops_those_that_wait_behind_it(problems, monkeypatch):
    problem, criterion = problems.least_squares(), jc.stopping.gradient_norm(0.5)
    expected = jc.fit(problem, jc.sgd(0.02), sampler=FULL, steps=300, evaluate=None, stop=criterion)
    monkeypatch.setattr(engine, "LOOK_EVERY", 1e9)
    monkeypatch.setattr(engine, "FASTER", 10**6)
    queued = jc.fit(problem, jc.sgd(0.02), sampler=FULL, steps=300, evaluate=5, stop=criterion)
    assert expected.steps > 20
    assert queued.steps == int(queued.state.step) == expected.steps
    np.testing.assert_array_equal(queued.params["w"], expected.params["w"])
    assert queued.history.epoch_step.values.tolist() == [*range(0, expected.steps, 5), expected.steps]


@pytest.mark.parametrize("window", [1, 4])
def test_relative_decrease_compares_the_means_of_windows(problems, window):
    tolerance = 0.03
    losses = jc.fit(problems.least_squares(), jc.sgd(0.02), batch_size=10, steps=200).history.loss.values.astype(float)
    means = losses[: len(losses) // window * window].reshape(-1, window).mean(1)
    fired = np.flatnonzero(means[:-1] - means[1:] <= tolerance * np.abs(means[:-1]))
    result = jc.fit(
        problems.least_squares(), jc.sgd(0.02), batch_size=10, steps=200,
        stop=jc.stopping.relative_decrease(tolerance, window=window),
    )  # fmt: skip
    assert result.steps == (fired[0] + 2) * window
    assert result.stopped == "relative decrease <= 0.03"


def test_the_first_of_several_criteria_is_named(problems):
    criteria = [jc.stopping.gradient_norm(1e-9), jc.stopping.relative_decrease(0.5), jc.stopping.budget(seconds=100)]
    result = jc.fit(problems.least_squares(), jc.sgd(0.02), sampler=FULL, steps=300, stop=criteria)
    assert result.stopped == "relative decrease <= 0.5"


def drifting():
    """Training pulls w from 0 to 10; validation is best at 4."""
    square = lambda w, batch: (w - batch) ** 2
    return jc.Problem.from_loss(square, 0.0, Data(jnp.full(8, 10.0), jnp.full(4, 4.0)), name="drifting")


def test_early_stopping_keeps_the_best_parameters_and_waits_for_patience():
    problem, optimizer = drifting(), jc.sgd(0.05)  # w ← w + 0.1 (10 − w)
    path = 10 - 10 * 0.9 ** np.arange(40)
    best = int(np.argmin((path - 4) ** 2))
    result = jc.fit(problem, optimizer, sampler=FULL, epochs=40, stop=jc.stopping.early_stopping(patience=3))
    assert result.steps == best + 3
    assert result.stopped == "no better validation loss for 3 evaluations"
    assert float(result.params) == pytest.approx(path[best], rel=1e-5)
    assert float(result.state.params) == pytest.approx(path[best + 3], rel=1e-5)
    assert result.evaluate("validation")["loss"] == pytest.approx(float(result.history.validation_loss.min()), rel=1e-6)


def test_callbacks_see_the_evaluation_that_stops_a_run(problems):
    moments = []
    criterion = jc.stopping.early_stopping(patience=3)
    early = jc.fit(drifting(), jc.sgd(0.05), sampler=FULL, epochs=40, stop=criterion, callbacks=moments.append)
    assert [moment.step for moment in moments] == list(range(early.steps + 1))
    assert [moment.evaluation["loss"] for moment in moments] == early.history.validation_loss.values.tolist()
    moments.clear()
    criterion = jc.stopping.gradient_norm(0.5)  # between two evaluations
    options = {"sampler": FULL, "steps": 2000, "evaluate": 100, "callbacks": moments.append}
    result = jc.fit(problems.least_squares(), jc.sgd(0.02), stop=criterion, **options)
    assert result.steps % 100
    assert [moment.step for moment in moments] == result.history.epoch_step.values.tolist()
    assert moments[-1].evaluation["loss"] == result.history.validation_loss[-1]


def test_early_stopping_keeps_the_start_where_training_only_hurts():
    square = lambda w, batch: (w - batch) ** 2
    problem = jc.Problem.from_loss(square, 4.0, Data(jnp.full(8, 10.0), jnp.full(4, 4.0)))
    result = jc.fit(problem, jc.sgd(0.05), sampler=FULL, epochs=40, stop=jc.stopping.early_stopping(patience=2))
    assert (float(result.params), result.steps) == (4.0, 2)


def test_the_best_parameters_are_kept_also_when_the_budget_ends_first():
    result = jc.fit(drifting(), jc.sgd(0.05), sampler=FULL, epochs=12, stop=jc.stopping.early_stopping(patience=100))
    path = 10 - 10 * 0.9 ** np.arange(13)
    assert result.steps == 12
    assert float(result.params) == pytest.approx(path[np.argmin((path - 4) ** 2)], rel=1e-5)


def test_min_delta_does_not_count_small_gains():
    options = {"sampler": FULL, "epochs": 40}
    result = jc.fit(drifting(), jc.sgd(0.05), stop=jc.stopping.early_stopping(patience=1, min_delta=3.0), **options)
    losses = (10 - 10 * 0.9 ** np.arange(40) - 4) ** 2
    gains = losses[:-1] - losses[1:]
    assert result.steps == int(np.flatnonzero(gains <= 3.0)[0]) + 1


def test_batch_statistics_are_kept_with_the_best_parameters(problems):
    problem = problems.model("statistics")
    result = jc.fit(problem, jc.sgd(0.2), batch_size=10, steps=40, evaluate=1, stop=jc.stopping.early_stopping(patience=3))
    assert result.steps < 40
    best = int(np.argmin(result.history.validation_loss.values))
    replay = jc.fit(problem, jc.sgd(0.2), batch_size=10, steps=best)
    np.testing.assert_array_equal(result.params["w"], replay.params["w"])
    np.testing.assert_array_equal(result.model_state["mean"], replay.model_state["mean"])
    assert not np.array_equal(result.model_state["mean"], result.state.model_state["mean"])
    assert result.evaluate("validation")["loss"] == pytest.approx(float(result.history.validation_loss[best]), rel=1e-6)


def gain(outputs, batch):
    return -jnp.abs(outputs - batch["y"])


def test_whether_a_metric_falls_is_yes_or_no():
    with pytest.raises(TypeError, match="early_stopping: falls must be None, True or False; got 'no'"):
        jc.stopping.early_stopping("residual", falls="no")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("name", "falls"), [("error", None), ("residual", True), ("gain", None)])
def test_a_metric_falls_or_rises_by_its_name_or_by_word(problems, name, falls):
    plain = problems.model()
    metric = gain if name == "gain" else lambda outputs, batch: -gain(outputs, batch)
    problem = jc.Problem(plain.init, plain.apply, plain.loss, plain.data, {name: metric})
    criterion = jc.stopping.early_stopping(name, patience=100, falls=falls)
    result = jc.fit(problem, jc.sgd(0.2), batch_size=5, epochs=6, stop=criterion)
    values = result.history[f"validation_{name}"]
    best = values.max() if name == "gain" else values.min()
    assert values[-1] != best
    assert result.evaluate("validation")[name] == pytest.approx(float(best), rel=1e-5)


def test_a_number_is_no_metric():
    with pytest.raises(TypeError, match=r"early_stopping: metric must be a name, as 'loss'; got 5 \(patience is"):
        jc.stopping.early_stopping(5)  # pyright: ignore[reportArgumentType]  # as who thinks of patience first would


def test_an_unknown_metric_is_refused_before_anything_compiles(problems, traced):
    with pytest.raises(ValueError, match=r"early stopping by unknown metric 'residul'; did you mean 'residual'\?"):
        jc.fit(problems.model(), jc.sgd(0.1), stop=jc.stopping.early_stopping("residul"))
    assert traced("run_chunk") == traced("evaluate") == 0


def test_early_stopping_needs_a_split_and_evaluations(problems):
    criterion = jc.stopping.early_stopping()
    with pytest.raises(ValueError, match="early stopping needs a validation split, and squares has none"):
        jc.fit(problems.least_squares(validation=0), jc.sgd(0.1), stop=criterion)
    with pytest.raises(ValueError, match="early stopping needs evaluations; got evaluate=None"):
        jc.fit(problems.least_squares(), jc.sgd(0.1), stop=criterion, evaluate=None)
    with pytest.raises(ValueError, match="one early_stopping"):
        jc.fit(problems.least_squares(), jc.sgd(0.1), stop=[criterion, criterion])


@pytest.mark.parametrize("make", [
    lambda: jc.stopping.gradient_norm(-1.0), lambda: jc.stopping.relative_decrease(float("nan")),
    lambda: jc.stopping.relative_decrease(0.1, window=0), lambda: jc.stopping.early_stopping(patience=0),
    lambda: jc.stopping.early_stopping(min_delta=-0.1), lambda: jc.stopping.budget(seconds=0),
])  # fmt: skip
def test_criteria_refuse_bad_numbers(make):
    with pytest.raises(ValueError, match=r"(tolerance|window|patience|min_delta|seconds) must be .*; got"):
        make()


def test_a_criterion_of_ones_own_is_two_methods(problems):
    @jax.tree_util.register_static
    class Fifth:
        def start(self):
            return jnp.int32(0)

        def observe(self, memory, report):
            return memory + 1, memory + 1 >= 5

        def __str__(self):
            return "five steps"

    result = jc.fit(problems.least_squares(), jc.sgd(0.01), batch_size=10, epochs=3, stop=Fifth())
    assert (result.steps, result.stopped) == (5, "five steps")
