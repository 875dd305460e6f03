"""What a run records and shows: labelled arrays, callbacks at the moments asked for, a progress bar, a figure."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc


def test_steps_epochs_and_examples_label_the_records(problems):
    history = jc.fit(problems.model(), jc.sgd(0.01), batch_size=10, epochs=2).history  # epochs of 10, 10, 10, 7
    assert history.sizes == {"step": 8, "epoch": 3}
    np.testing.assert_array_equal(history.step, np.arange(1, 9))
    np.testing.assert_allclose(history.step_epoch, np.arange(1, 9) / 4)
    np.testing.assert_array_equal(history.examples, [10, 20, 30, 37, 47, 57, 67, 74])
    np.testing.assert_array_equal(history.epoch, [0, 1, 2])
    np.testing.assert_array_equal(history.epoch_step, [0, 4, 8])
    np.testing.assert_array_equal(history.epoch_examples, [0, 37, 74])
    assert {"loss", "objective", "residual", "learning_rate", "validation_loss", "validation_residual"} <= set(
        history.data_vars
    )
    seconds = np.r_[0.0, history.seconds]
    assert (np.diff(seconds) >= 0).all()
    assert seconds[-1] > 0
    assert history.attrs["problem"] == "plain"
    assert history.attrs["batch_size"] == 10


@pytest.mark.parametrize(
    ("evaluate", "expected"),
    [(7, [0, 7, 14, 15]), (1, list(range(16))), ("epoch", [0, 4, 8, 12, 15]), (None, []), (99, [0, 15])],
)
def test_validation_is_evaluated_when_asked_first_and_last(problems, evaluate, expected):
    result = jc.fit(problems.model(), jc.sgd(0.01), batch_size=10, steps=15, evaluate=evaluate)
    assert result.history.epoch_step.values.tolist() == expected
    for step, recorded in zip(expected, result.history.get("validation_loss", ()), strict=True):
        if step:
            there = jc.fit(problems.model(), jc.sgd(0.01), batch_size=10, steps=step, evaluate=None)
            assert float(recorded) == pytest.approx(there.evaluate("validation")["loss"], rel=1e-6)


def test_without_a_validation_split_nothing_is_evaluated(problems):
    history = jc.fit(problems.least_squares(validation=0), jc.sgd(0.01), batch_size=10, steps=5).history
    assert history.sizes == {"step": 5, "epoch": 0}


def test_scheduled_hyperparameters_are_the_schedules_and_constants_constant(problems):
    rate = jc.schedules.exponential(0.05, 0.1)
    part = jc.fit(problems.model(), jc.adam(rate, b1=0.8), batch_size=10, steps=9)
    rest = jc.fit(problems.model(), jc.adam(rate, b1=0.8), batch_size=10, steps=4, state=part.state)
    expected = [float(rate(step)) for step in range(13)]
    assert len(set(expected)) == 13
    np.testing.assert_allclose(np.r_[part.history.learning_rate, rest.history.learning_rate], expected, rtol=1e-6)
    for name, value in {"b1": 0.8, "b2": 0.999, "eps": 1e-8}.items():
        np.testing.assert_allclose(rest.history[name], [value] * 4, rtol=1e-6)


def test_the_metric_of_a_step_is_of_its_batch_with_its_weights(problems):
    problem = problems.model()
    result = jc.fit(problem, jc.sgd(0.0), batch_size=10, steps=4, sampler=jc.samplers.sequential())
    data = jax.tree.map(np.asarray, problem.data.train)
    residual = np.abs(data["x"] @ np.asarray(result.params["w"]) + float(result.params["b"]) - data["y"])
    np.testing.assert_allclose(result.history.residual, [residual[s : s + 10].mean() for s in (0, 10, 20, 30)], rtol=1e-5)


def test_every_variable_is_described(problems):
    history = jc.fit(problems.model(), jc.adam(0.01), batch_size=10, steps=3).history
    assert all(history[name].attrs["description"] for name in history.variables)
    assert history.seconds.attrs["units"] == "s"


@pytest.mark.parametrize("validation", [11, 0])
def test_callbacks_see_the_run_at_each_interval_with_a_split_or_without(problems, validation):
    moments = []
    result = jc.fit(
        problems.least_squares(validation=validation),
        jc.sgd(0.01),
        batch_size=10,
        steps=10,
        evaluate=4,
        callbacks=moments.append,
    )
    assert [moment.step for moment in moments] == [0, 4, 8, 10]
    assert np.isnan(moments[0].loss)
    assert [moment.loss for moment in moments[1:]] == [float(result.history.loss[step - 1]) for step in (4, 8, 10)]
    assert len({float(moment.params["w"][0]) for moment in moments}) == 4  # kept, they are not taken by the next step
    if validation:
        assert [m.evaluation["loss"] for m in moments] == result.history.validation_loss.values.tolist()
    else:
        assert all(moment.evaluation == {} for moment in moments)


def test_the_first_callback_sees_the_start_and_a_run_that_goes_on_has_none(problems):
    problem, tx, seen = problems.model(), jc.momentum(0.02), []
    first = jc.fit(problem, tx, batch_size=10, steps=3, evaluate=3, key=5, callbacks=seen.append)
    jax.tree.map(np.testing.assert_array_equal, seen[0].params, jc.init_state(problem, tx, 5).params)
    rest = jc.fit(problem, tx, batch_size=10, steps=3, evaluate=3, state=first.state, callbacks=seen.append)
    assert [moment.step for moment in seen] == [0, 3, 6]
    silent = jc.fit(problem, tx, batch_size=10, steps=6, evaluate=3, key=5)
    jax.tree.map(np.testing.assert_array_equal, rest.params, silent.params)


def test_a_callback_can_stop_a_run_before_its_first_step(problems):
    result = jc.fit(problems.model(), jc.sgd(0.1), batch_size=10, steps=5, callbacks=lambda moment: True)
    assert (result.steps, int(result.state.step), result.history.sizes["step"]) == (0, 0, 0)
    assert result.history.epoch_step.values.tolist() == [0]


def test_callbacks_without_an_interval_see_the_end_at_least(problems):
    steps = []
    jc.fit(
        problems.least_squares(),
        jc.sgd(0.01),
        batch_size=10,
        steps=5,
        evaluate=None,
        callbacks=[lambda m: steps.append(m.step)],
    )
    assert steps[-1] == 5


@pytest.mark.parametrize("answer", [None, 1, 1.0, "stop", np.ones(2, bool), np.ones(3), jnp.ones(()), False, np.False_])
def test_a_callback_that_returns_something_else_than_true_does_not_stop_the_run(problems, answer):
    result = jc.fit(problems.least_squares(), jc.sgd(0.02), batch_size=10, epochs=2, callbacks=lambda moment: answer)
    assert result.stopped == "budget of steps done"


@pytest.mark.parametrize("answer", [True, np.True_, np.array(True), jnp.array(True)])
def test_any_librarys_true_stops_the_run(problems, answer):
    assert jc.fit(problems.least_squares(), jc.sgd(0.02), batch_size=10, callbacks=lambda moment: answer).steps == 0


def test_a_callback_that_returns_true_stops_the_run(problems):
    def low_enough(moment):
        return moment.evaluation["loss"] < 1.0

    result = jc.fit(problems.least_squares(), jc.sgd(0.02), batch_size=10, epochs=50, callbacks=low_enough)
    validation = result.history.validation_loss.values
    assert result.stopped == "callback low_enough"
    assert validation[-1] < 1.0
    assert (validation[1:-1] >= 1.0).all()
    assert result.steps == int(result.state.step) == result.history.epoch_step[-1]


def test_progress_shows_loss_rate_and_all_steps(problems, capsys):
    result = jc.fit(problems.least_squares(), jc.sgd(0.0125), batch_size=10, epochs=3, progress=True)
    shown = capsys.readouterr().err.split("\r")[-1]
    assert "12/12" in shown
    assert "squares" in shown
    assert f"loss={float(result.history.loss[-1]):.4g}" in shown
    assert "rate=0.0125" in shown


def test_progress_is_a_bool(problems):
    problem, space = problems.least_squares(), jc.grid(learning_rate=[0.01, 0.02])
    calls = {
        "fit": lambda progress: jc.fit(problem, jc.sgd(0.01), progress=progress),
        "race": lambda progress: jc.race(jc.problems.digits(), ["sgd"], progress=progress),
        "sweep": lambda progress: jc.sweep(problem, jc.sgd, space, progress=progress),
        "halving": lambda progress: jc.halving(problem, jc.sgd, space, progress=progress),
        "hyperband": lambda progress: jc.hyperband(problem, jc.sgd, space, progress=progress),
    }
    for name, call in calls.items():
        for bad in (3, None, "yes"):
            with pytest.raises(TypeError, match=f"{name}: progress must be True or False; got {bad!r}"):
                call(bad)


def test_progress_is_silent_unless_asked(problems, capsys):
    jc.fit(problems.least_squares(), jc.sgd(0.01), batch_size=10, epochs=1)
    assert capsys.readouterr() == ("", "")


def test_progress_of_an_optimizer_without_a_rate(problems, capsys):
    jc.fit(problems.least_squares(), optax.sgd(0.01), batch_size=10, epochs=1, progress=True)
    shown = capsys.readouterr().err
    assert "loss=" in shown
    assert "rate=" not in shown


def test_a_result_plots_as_a_figure_with_its_curves(problems):
    result = jc.fit(problems.model(), jc.sgd(jc.schedules.exponential(0.02, 0.1)), batch_size=10, epochs=3)
    figure = result.plot()
    assert len(figure.axes) == 3  # loss, residual, learning rate
    assert repr(result) == "Result(plain: 12 steps, budget of steps done)"


def test_a_metric_cannot_take_the_name_of_what_is_minimised(problems):
    plain = problems.model()
    zero = lambda outputs, batch: jnp.zeros(len(outputs))
    problem = jc.Problem(plain.init, plain.apply, plain.loss, plain.data, {"loss": zero})
    with pytest.raises(ValueError, match="a metric must not be called 'loss'"):
        jc.fit(problem, jc.sgd(0.01), steps=1)
