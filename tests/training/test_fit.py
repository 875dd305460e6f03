"""``fit`` is a plain loop, compiled: the same numbers, from the same batches; what a result evaluates to."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.training import samplers as sampling
from tests.training.trees import assert_close


def numpy_descent(problems, gradient, n, m, steps, rate, drop=False):
    """Sequential mini-batches with a ragged mean, in float64."""
    data = jax.tree.map(lambda x: np.asarray(x, np.float64), problems.data(n).train)
    params = jax.tree.map(np.float64, problems.start)
    starts = [s for s in range(0, n, m) if not drop or s + m <= n]
    losses = []
    for step in range(steps):
        s = starts[step % len(starts)]
        x, y = data["x"][s : s + m], data["y"][s : s + m]
        losses.append(np.mean((x @ params["w"] + params["b"] - y) ** 2))
        grads = gradient(params, x, y)
        params = {k: params[k] - rate * grads[k] for k in params}
    return params, losses


@pytest.mark.parametrize("m", [1, 4, 10, 36, 37])
def test_any_batch_size_is_a_numpy_loop_over_the_same_batches_the_ragged_one_included(problems, gradient, m):
    steps = 2 * -(-37 // m) + 1
    result = jc.fit(
        problems.least_squares(), jc.sgd(0.02), batch_size=m, steps=steps, sampler=jc.samplers.sequential(), evaluate=None
    )
    params, losses = numpy_descent(problems, gradient, 37, m, steps, 0.02)
    assert_close(result.params, params)
    np.testing.assert_allclose(result.history.loss, losses, rtol=1e-4, atol=1e-6)


def test_ragged_weights_are_exact_to_float64(problems, gradient):
    with jax.enable_x64(True):
        data = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), problems.data().train)
        start = jax.tree.map(np.float64, problems.start)
        problem = jc.Problem.from_loss(lambda p, b: (b["x"] @ p["w"] + p["b"] - b["y"]) ** 2, start, data)
        result = jc.fit(problem, jc.sgd(0.02), batch_size=7, epochs=3, sampler=jc.samplers.sequential())
        params, _ = numpy_descent(problems, gradient, 37, 7, 18, 0.02)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-13), result.params, params)


def test_a_dropped_remainder_is_the_loop_without_it(problems, gradient):
    result = jc.fit(
        problems.least_squares(), jc.sgd(0.02), batch_size=10, epochs=2, sampler=jc.samplers.sequential(), drop_remainder=True
    )
    assert result.steps == 6
    assert_close(result.params, numpy_descent(problems, gradient, 37, 10, 6, 0.02, drop=True)[0])


def test_full_batches_are_gradient_descent(problems, gradient):
    result = jc.fit(problems.least_squares(), jc.sgd(0.02), epochs=5, sampler=jc.samplers.full())
    assert_close(result.params, numpy_descent(problems, gradient, 37, 37, 5, 0.02)[0])


@pytest.mark.parametrize(("scalar", "kind"), [(True, "plain"), (False, "statistics")])
def test_where_examples_depend_on_their_batch_ragged_batches_are_dropped(problems, scalar, kind):
    problem = problems.least_squares(scalar=True) if scalar else problems.model(kind)
    assert jc.fit(problem, jc.sgd(0.01), batch_size=10, epochs=2).steps == 6


def test_a_state_in_the_model_is_enough_to_drop_ragged_batches(problems):
    stateful = problems.model("statistics")
    uncoupled = jc.Problem(stateful.init, stateful.apply, stateful.loss, stateful.data, stateful.metrics)
    assert not uncoupled.coupled
    assert jc.fit(uncoupled, jc.sgd(0.01), batch_size=10, epochs=1).steps == 3


def test_a_scalar_loss_that_does_not_say_so_is_refused_rather_than_miscounted(problems):
    mean = lambda outputs, batch: jnp.mean((outputs - batch["y"]) ** 2)
    plain = problems.model()
    problem = jc.Problem(plain.init, plain.apply, mean, plain.data)
    with pytest.raises(
        ValueError, match=r"the loss must be one value for each of the 11 examples.*shape \(\).*coupled=True"
    ):  # of validation, which comes first
        jc.fit(problem, jc.sgd(0.01), batch_size=10, epochs=1)


@pytest.mark.parametrize("kind", ["plain", "dropout", "statistics"])
def test_fit_is_a_python_loop_with_optax_over_the_same_batches_and_keys(problems, kind):
    problem, optimizer, m, steps = problems.model(kind), optax.adam(0.05), 10, 11
    result = jc.fit(problem, optimizer, batch_size=m, steps=steps, key=5)

    init_key, run_key = jax.random.split(jax.random.key(5))
    params, model_state = problem.init(init_key)
    opt_state = optimizer.init(params)
    words = tuple(int(word) for word in jax.random.key_data(run_key))
    rows = sampling.plan("test", None, 37, m, kind == "statistics", words).rows(0, steps)
    losses = []
    for step in range(steps):
        real = slice(None) if rows.weights is None else rows.weights[step] > 0
        batch = jax.tree.map(lambda x, i=rows.indices[step][real]: x[i], problem.data.train)
        # dropout draws for all rows of the padded batch: give the loop the same draws
        padded = jax.tree.map(lambda x, i=rows.indices[step]: x[i], problem.data.train)
        key = jax.random.fold_in(run_key, step)

        def mean_loss(p, batch=batch, padded=padded, key=key, real=real, model_state=model_state):
            outputs, moved = problem.apply(p, model_state, padded, key=key, train=True)
            return jnp.mean(problem.loss(outputs[real], batch)), moved

        (loss, model_state), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        losses.append(loss)
    assert_close(result.params, params)
    assert_close(result.model_state, model_state)
    np.testing.assert_allclose(result.history.loss, losses, rtol=1e-4)


def test_the_regularizer_is_minimised_with_the_loss_and_told_apart_in_the_history(problems):
    problem = problems.least_squares(regularizer=jc.problems.l2(0.3, exclude_bias=False))
    result = jc.fit(problem, jc.sgd(0.05), sampler=jc.samplers.full(), steps=400)
    x, y = (np.asarray(problem.data.train[k], np.float64) for k in "xy")
    a = np.column_stack([x, np.ones(37)])
    penalty = float(problem.regularizer({"w": jnp.zeros(3), "b": jnp.asarray(1.0)}))  # λ or λ/2, as l2 defines it
    ridge = np.linalg.solve(a.T @ a / 37 + penalty * np.eye(4), a.T @ y / 37)
    np.testing.assert_allclose([*result.params["w"], result.params["b"]], ridge, rtol=1e-3)
    difference = result.history.objective[-1] - result.history.loss[-1]
    np.testing.assert_allclose(difference, penalty * np.sum(ridge**2), rtol=1e-3)


def test_nesterov_takes_its_gradient_at_the_look_ahead_point(problems, gradient):
    rate, mu, steps = 0.01, 0.9, 9
    result = jc.fit(
        problems.least_squares(), jc.nesterov(rate, mu), batch_size=10, steps=steps, sampler=jc.samplers.sequential()
    )
    data = jax.tree.map(np.asarray, problems.data().train)
    params, velocity = dict(problems.start), {"w": np.zeros(3), "b": 0.0}
    losses = []
    for step in range(steps):
        rows = slice(step % 4 * 10, step % 4 * 10 + 10)
        ahead = {k: params[k] - mu * velocity[k] for k in params}
        losses.append(np.mean((data["x"][rows] @ ahead["w"] + ahead["b"] - data["y"][rows]) ** 2))
        grads = gradient(ahead, data["x"][rows], data["y"][rows])
        velocity = {k: mu * velocity[k] + rate * grads[k] for k in params}
        params = {k: params[k] - velocity[k] for k in params}
    assert_close(result.params, params)
    np.testing.assert_allclose(result.history.loss, losses, rtol=1e-4)


def test_float64_data_and_integer_labels_from_numpy_train_in_float32():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(50, 2))
    y = (x > 0).sum(axis=1)
    loss = lambda w, batch: optax.softmax_cross_entropy_with_integer_labels(batch["x"] @ w, batch["y"])
    result = jc.fit(jc.Problem.from_loss(loss, np.zeros((2, 3)), {"x": x, "y": y}), jc.sgd(0.3), epochs=10)
    assert result.params.dtype == jnp.float32
    assert result.history.loss[-1] < 0.9 * np.log(3)


def test_one_example_is_enough(problems):
    result = jc.fit(problems.least_squares(n=1, validation=1), jc.sgd(0.05), epochs=60)
    assert result.steps == 60
    assert result.history.loss[-1] < 1e-3


def test_evaluate_of_a_result_is_the_mean_over_the_split(problems):
    result = jc.fit(problems.model(), jc.sgd(0.01), steps=3)
    test = jax.tree.map(np.asarray, problems.data().test)
    residual = test["x"] @ np.asarray(result.params["w"]) + float(result.params["b"]) - test["y"]
    values = result.evaluate("test")
    np.testing.assert_allclose(values["loss"], np.mean(residual**2), rtol=1e-5)
    np.testing.assert_allclose(values["residual"], np.mean(np.abs(residual)), rtol=1e-5)
    assert values["objective"] == values["loss"]


def test_a_split_larger_than_an_evaluation_batch_is_averaged_exactly(problems):
    big = problems.data(n=2500)
    problem = jc.Problem.from_loss(lambda p, b: (b["x"] @ p["w"] + p["b"] - b["y"]) ** 2, problems.start, big)
    result = jc.fit(problem, jc.sgd(0.0), steps=1)
    x, y = (np.asarray(big.train[k], np.float64) for k in "xy")
    expected = np.mean((x @ problems.start["w"] + problems.start["b"] - y) ** 2)
    np.testing.assert_allclose(result.evaluate("train")["loss"], expected, rtol=1e-5)


def test_an_unknown_split_is_told_with_those_there_are(problems):
    result = jc.fit(problems.least_squares(validation=0), jc.sgd(0.01), steps=1)
    with pytest.raises(ValueError, match=r"squares has no 'validation' split.*known: test, train"):
        result.evaluate("validation")
