"""The step for people who keep their own loop is the one that ``fit`` takes."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.training import samplers


def squares(params, batch):
    return (batch["x"] @ params - batch["y"]) ** 2


@pytest.mark.parametrize("kind", ["plain", "dropout", "statistics"])
def test_steps_of_ones_own_are_fits_steps(problems, kind):
    problem, optimizer = problems.model(kind, n=40), jc.nesterov(0.02, 0.9)
    expected = jc.fit(problem, optimizer, batch_size=10, steps=7, key=4)
    step = jc.make_step(problem, optimizer)
    state = step.init(4)
    words = tuple(int(word) for word in jax.random.key_data(state.key))
    losses, residuals = [], []
    for indices in samplers.plan("test", None, 40, 10, False, words).rows(0, 7).indices:
        state, report = step(state, jax.tree.map(lambda x, i=indices: x[i], problem.data.train))
        losses.append(report.loss)
        residuals.append(report.metrics["residual"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), state.params, expected.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), state.model_state, expected.model_state)
    np.testing.assert_allclose(losses, expected.history.loss, rtol=1e-5)
    np.testing.assert_allclose(residuals, expected.history.residual, rtol=1e-5)


def test_each_step_draws_its_own_dropout_and_the_same_again_from_the_same_state(problems):
    step = jc.make_step(problems.model("dropout"), jc.sgd(0.0))  # nothing moves but the key
    state = step.init(0)
    batch = problems.data().train
    losses = []
    for _ in range(4):
        again = step(state, batch)[1].loss
        state, report = step(state, batch)
        assert report.loss == again
        losses.append(float(report.loss))
    assert len(set(losses)) == 4


def test_batch_statistics_move_with_every_step(problems):
    step = jc.make_step(problems.model("statistics"), jc.sgd(0.0))
    state, batch = step.init(0), problems.data().train
    mean = np.asarray(batch["x"]).mean(0)
    for i in range(1, 4):
        state, _ = step(state, batch)
        np.testing.assert_allclose(state.model_state["mean"], mean * (1 - 0.9**i), rtol=1e-5)


def test_weights_make_any_weighted_mean():
    x, y = jnp.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.25]]), jnp.array([1.0, 0.0, -2.0])
    weights = jnp.array([0.2, 0.5, 0.3])
    step = jc.make_step(squares, jc.sgd(0.1))
    state, report = step(step.init(jnp.array([0.5, -0.5])), {"x": x, "y": y}, weights)
    residual = np.asarray(x) @ [0.5, -0.5] - np.asarray(y)
    np.testing.assert_allclose(report.loss, np.asarray(weights) @ residual**2, rtol=1e-6)
    gradient = 2 * np.asarray(x).T @ (np.asarray(weights) * residual)
    np.testing.assert_allclose(report.grads, gradient, rtol=1e-6)
    np.testing.assert_allclose(state.params, np.array([0.5, -0.5]) - 0.1 * gradient, rtol=1e-6)


def test_weights_for_a_scalar_loss_are_refused():
    step = jc.make_step(lambda w, batch: jnp.mean((batch - w) ** 2), jc.sgd(0.1))
    with pytest.raises(ValueError, match=r"one value for each of the 3 examples, as they are weighted; it has shape \(\)"):
        step(step.init(0.0), jnp.ones(3), jnp.ones(3) / 3)


def test_the_report_has_the_objective_and_the_hyperparameters_of_the_step(problems):
    rate = jc.schedules.exponential(0.05, 0.1)
    step = jc.make_step(problems.least_squares(regularizer=jc.problems.l2(0.3)), jc.sgd(rate))
    state = step.init(0)
    for i in range(3):
        state, report = step(state, problems.data().train)
        np.testing.assert_allclose(report.hyperparams["learning_rate"], float(rate(i)), rtol=1e-6)
        assert report.objective > report.loss


def test_states_stay_usable_unless_they_are_donated(problems):
    batch, start = problems.data().train, jnp.array([1.0, 2.0, 3.0])
    kept, given = (jc.make_step(squares, jc.momentum(0.01), donate=donate) for donate in (False, True))
    state = kept.init(start)
    kept(state, batch)
    assert not state.params.is_deleted()
    state = given.init(start)
    given(state, batch)
    assert state.params.is_deleted()
    assert not start.is_deleted()


def test_a_step_may_be_part_of_a_larger_program(problems):
    problem = problems.model("plain")
    step = jc.make_step(problem, jc.sgd(0.1))
    rows = np.arange(12).reshape(3, 4)
    batches = jax.tree.map(lambda x: x[rows], problem.data.train)
    expected = step.init(0)
    for i in range(3):
        expected, _ = step(expected, jax.tree.map(lambda x, i=i: x[i], batches))
    state = jax.jit(lambda state: jax.lax.scan(step, state, batches)[0])(step.init(0))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), state.params, expected.params)


def test_an_optimizer_of_optax_that_searches_gets_what_it_needs():
    step = jc.make_step(squares, optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(20)))
    state = step.init(jnp.zeros(2))
    batch = {"x": jnp.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.25]]), "y": jnp.array([1.0, 0.0, -2.0])}
    for _ in range(40):
        state, report = step(state, batch)
    solution, residual, *_ = np.linalg.lstsq(np.asarray(batch["x"]), np.asarray(batch["y"]), rcond=None)
    np.testing.assert_allclose(state.params, solution, rtol=1e-3)
    np.testing.assert_allclose(report.loss, residual[0] / 3, rtol=1e-4)


@pytest.mark.parametrize(
    ("problem", "optimizer", "message"),
    [
        ("digits", jc.sgd(0.1), r"make_step: problem must be a jc\.Problem or loss\(params, batch\); got 'digits'"),
        (squares, jc.sgd, r"make_step: optimizer must be a gradient transformation.*call the factory"),
    ],
)
def test_bad_arguments_are_refused(problem, optimizer, message):
    with pytest.raises(TypeError, match=message):
        jc.make_step(problem, optimizer)


def test_whether_to_donate_is_true_or_false():
    with pytest.raises(TypeError, match="make_step: donate must be True or False; got 'no'"):
        jc.make_step(squares, jc.sgd(0.1), donate="no")  # pyright: ignore[reportArgumentType]  # as a careless user would


@pytest.mark.parametrize(
    ("state", "batch", "message"),
    [
        (None, "text", "make_step: batch must be an array; got str"),
        (None, {"x": object()}, r"make_step: batch\['x'\] must be an array; got object"),
        (jnp.zeros(2), jnp.zeros(2), "make_step: state must come from step.init"),
    ],
)
def test_bad_states_and_batches_are_refused(state, batch, message):
    step = jc.make_step(squares, jc.sgd(0.1))
    with pytest.raises(TypeError, match=message):
        step(step.init(jnp.zeros(2)) if state is None else state, batch)


BATCHES = {
    "nothing": (None, "must be a dict like the problem's data, with the keys ['x', 'y']; got NoneType"),
    "an array": (np.ones((3, 2)), "with the keys ['x', 'y']; got ndarray"),
    "inputs only": ({"x": np.ones((3, 2))}, "with the keys ['x', 'y']; got the keys ['x']"),
}


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_unlike_the_problems_data_is_refused(name):
    step = jc.make_step(jc.problems.linear_regression(num_examples=20, num_features=2), jc.sgd(0.1))
    batch, message = BATCHES[name]
    with pytest.raises(TypeError, match=re.escape(message)):
        step(step.init(0), batch)


def test_weights_and_parameters_that_are_no_arrays_are_refused():
    problem = jc.problems.linear_regression(num_examples=20, num_features=2)
    step = jc.make_step(problem, jc.sgd(0.1))
    with pytest.raises(TypeError, match=r"make_step: weights must be an array.*got 'a'"):
        step(step.init(0), problem.data.train, "a")
    with pytest.raises(TypeError, match="make_step: init: params must be an array; got str"):
        jc.make_step(lambda w, batch: (w - batch) ** 2, jc.sgd(0.1)).init("a")


def test_an_empty_batch_is_refused():
    step = jc.make_step(squares, jc.sgd(0.1))
    with pytest.raises(ValueError, match="make_step: batch must have at least one example; got an empty one"):
        step(step.init(np.ones(3)), {"x": np.ones((0, 3)), "y": np.ones(0)})


def test_a_state_that_was_given_away_is_refused():
    step = jc.make_step(squares, jc.sgd(0.1), donate=True)
    state, batch = step.init(np.ones(3)), {"x": np.ones((2, 3)), "y": np.ones(2)}
    step(state, batch)
    with pytest.raises(ValueError, match="make_step: state was given to an earlier step, with donate=True"):
        step(state, batch)
