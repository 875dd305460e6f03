"""``fit`` is a plain loop, compiled: the same numbers, from the same batches; exact continuation; nobody's buffers taken."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.training import run as engine
from jaxopt_course.training import samplers as sampling
from jaxopt_course.training.chunk import run_chunk


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def assert_close(a, b, rtol=2e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-6), a, b)


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


def test_full_batches_are_not_gathered():
    n, d = 4096, 64
    problem = jc.Problem.from_loss(
        lambda w, b: (b["x"] @ w - b["y"]) ** 2, jnp.ones(d), {"x": jnp.ones((n, d)), "y": jnp.ones(n)}
    )
    state = jc.init_state(problem, jc.sgd(0.1))
    program = jc.training.Program(problem.objective, jc.sgd(0.1).update, True)

    def temporary_bytes(rows):
        arguments = (program, state, problem.data.train, None, (), (), rows, np.int32(1), np.int32(-1))
        return run_chunk.lower(*arguments, capacity=1).compile().memory_analysis().temp_size_in_bytes

    data_bytes = 4 * n * d
    assert temporary_bytes(None) < data_bytes / 4
    assert temporary_bytes(sampling.Rows(np.zeros((1, n), np.int32), None)) > data_bytes / 2  # the test can tell


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


def test_the_same_key_gives_the_same_bits_and_another_key_others(problems):
    problem = problems.model("dropout")
    one, same, other = (jc.fit(problem, jc.adam(0.01), batch_size=10, epochs=3, key=key) for key in (7, 7, 8))
    assert_equal(one.params, same.params)
    np.testing.assert_array_equal(one.history.loss, same.history.loss)
    assert not np.array_equal(one.params["w"], other.params["w"])
    assert not np.array_equal(one.history.loss, other.history.loss)


@pytest.mark.parametrize("key", [7, np.int64(7), jnp.asarray(7), jax.random.key(7), jax.random.PRNGKey(7)])
def test_a_key_is_a_key_however_it_is_given(problems, key):
    expected = jc.fit(problems.model(), jc.sgd(0.01), steps=3, key=7)
    assert_equal(jc.fit(problems.model(), jc.sgd(0.01), steps=3, key=key).params, expected.params)


@pytest.mark.parametrize("kind", ["plain", "dropout", "statistics"])
@pytest.mark.parametrize("first", [4, 6])  # the end of an epoch of the plain one, and in the middle
def test_a_run_goes_on_exactly_also_in_the_middle_of_an_epoch(problems, kind, first):
    problem, optimizer = problems.model(kind), jc.adam(jc.schedules.exponential(0.05, 0.1))
    whole = jc.fit(problem, optimizer, batch_size=10, steps=13, key=3)
    part = jc.fit(problem, optimizer, batch_size=10, steps=first, key=3)
    rest = jc.fit(problem, optimizer, batch_size=10, steps=13 - first, state=part.state)
    assert_equal(rest.params, whole.params)
    assert_equal(rest.model_state, whole.model_state)
    np.testing.assert_array_equal(np.r_[part.history.loss, rest.history.loss], whole.history.loss)
    np.testing.assert_array_equal(np.r_[part.history.step, rest.history.step], np.arange(1, 14))
    np.testing.assert_array_equal(np.r_[part.history.examples, rest.history.examples], whole.history.examples)


def test_chunks_are_invisible(problems, monkeypatch):
    """More steps than a chunk holds, small looks, large looks: the same bits."""
    problem, optimizer = problems.model("dropout"), jc.momentum(0.01, 0.9)
    steps = 2 * 1024 + 77
    whole = jc.fit(problem, optimizer, batch_size=5, steps=steps, evaluate=None)
    assert len(whole.log.steps) >= 3
    monkeypatch.setattr(engine, "LOOK_EVERY", 1e-9)  # a look after each step or so
    monkeypatch.setattr(engine, "FIRST", 1)
    looked = jc.fit(problem, optimizer, batch_size=5, steps=200, evaluate=None)
    assert len(looked.log.steps) == 200
    rest = jc.fit(problem, optimizer, batch_size=5, steps=steps - 200, evaluate=500, state=looked.state)
    np.testing.assert_array_equal(np.r_[looked.history.loss, rest.history.loss], whole.history.loss)
    assert_equal(rest.params, whole.params)


def test_what_the_caller_holds_stays_usable(problems):
    rate, start = jnp.asarray(0.01), {"w": jnp.array([0.5, -1.0, 2.0]), "b": jnp.asarray(0.1)}
    plain = problems.model()
    problem = jc.Problem(lambda key: (start, {}), plain.apply, plain.loss, plain.data)  # hands out its own arrays
    part = jc.fit(problem, jc.momentum(rate), batch_size=10, steps=5)
    before = jax.tree.map(np.array, part.state.params)
    jc.fit(problem, jc.momentum(rate), batch_size=10, steps=5, state=part.state)
    jc.fit(problem, jc.momentum(rate), batch_size=10, steps=5)
    for leaf in jax.tree.leaves((rate, start, part.state, part.params, problem.data)):
        assert not leaf.is_deleted()
    assert_equal(part.state.params, before)


def test_the_runs_own_buffers_are_donated(problems):
    problem, optimizer = problems.model(), jc.adam(0.01)
    state = jc.init_state(problem, optimizer)
    program = jc.training.Program(problem.objective, optimizer.update, True)
    train = problem.data.train
    run_chunk(program, state, train, None, (), (), None, np.int32(1), np.int32(-1), capacity=4)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((state.params, state.opt_state)))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(train))


def test_an_optimizer_that_keeps_the_parameters_themselves_can_be_donated(problems):
    """Anchors, lookahead's slow weights: init returns the parameters, and a buffer can be donated only once."""

    def update(updates, anchor, params):
        return jax.tree.map(lambda g, a, p: -0.1 * g - 0.01 * (p - a), updates, anchor, params), anchor

    anchored = optax.GradientTransformation(lambda params: params, update)
    result = jc.fit(problems.least_squares(), anchored, batch_size=10, epochs=2)
    assert_close(result.state.opt_state, problems.start)


def test_numpy_data_go_to_the_device_once(problems, monkeypatch):
    on_host = jax.tree.map(np.asarray, problems.data())
    problem = jc.Problem.from_loss(lambda p, b: (b["x"] @ p["w"] + p["b"] - b["y"]) ** 2, problems.start, on_host)
    seen = []
    monkeypatch.setattr(engine, "run_chunk", lambda *a, **k: seen.append(a[2]) or run_chunk(*a, **k))
    result = jc.fit(problem, jc.sgd(0.02), batch_size=10, epochs=4)
    assert len(seen) > 1
    assert all(chunk["x"] is seen[0]["x"] and isinstance(chunk["x"], jax.Array) for chunk in seen)
    expected = jc.fit(problems.least_squares(), jc.sgd(0.02), batch_size=10, epochs=4)
    assert_close(result.params, expected.params)


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


def test_a_flax_model_comes_back_trained_with_dropout_and_batch_statistics():
    model = jc.problems.models.convnet((4,), 10, batch_norm=True, dropout=0.2)
    problem = jc.problems.digits(model=model)
    one = jc.fit(problem, jc.adam(0.01), batch_size=100, steps=12, key=1)
    same = jc.fit(problem, jc.adam(0.01), batch_size=100, steps=6, key=1)
    assert_equal(one.params, jc.fit(problem, jc.adam(0.01), batch_size=100, steps=6, state=same.state).params)
    assert float(one.history.loss[-3:].mean()) < float(one.history.loss[:3].mean())
    assert jax.tree.leaves(one.model_state)


def test_precision_may_be_switched_between_runs():
    """The same problem, from NumPy's parameters, in single, double and single precision; continued each time."""
    x = np.random.default_rng(0).normal(size=(20, 2))
    problem = jc.Problem.from_loss(lambda w, batch: (batch["x"] @ w - 1) ** 2, np.array([0.5, -1.0]), {"x": x})

    def trained():
        first = jc.fit(problem, jc.sgd(0.05), steps=6, batch_size=5)
        return jc.fit(problem, jc.sgd(0.05), steps=6, batch_size=5, state=first.state).params

    single = trained()
    with jax.enable_x64(True):
        double = trained()
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(trained(), single)
    np.testing.assert_allclose(single, double, rtol=1e-5)


def test_a_state_counts_steps_whose_size_is_this_calls(problems):
    """Which epoch and which examples come next follows from their number, as if all had been of this batch size."""
    problem, optimizer = problems.least_squares(n=36), jc.sgd(0.02)
    state = jc.fit(problem, optimizer, batch_size=12, epochs=2).state
    rest = jc.fit(problem, optimizer, batch_size=6, epochs=1, state=state)
    np.testing.assert_array_equal(rest.history.examples, 6 * np.arange(7, 13))
    np.testing.assert_allclose(rest.history.step_epoch, np.arange(7, 13) / 6)
    words = tuple(int(word) for word in jax.random.key_data(state.key))
    step = jc.make_step(problem, optimizer)
    for indices in sampling.plan("test", None, 36, 6, seed=words).rows(6, 12).indices:
        state, _ = step(state, jax.tree.map(lambda x, i=indices: x[i], problem.data.train))
    np.testing.assert_allclose(rest.params["w"], state.params["w"], rtol=1e-5)


def test_a_state_goes_on_with_its_own_hyperparameters(problems):
    problem = problems.least_squares()
    state = jc.fit(problem, jc.sgd(0.02), batch_size=10, epochs=1).state
    assert set(jc.fit(problem, jc.sgd(0.5), batch_size=10, epochs=1, state=state).history.learning_rate.values) == {
        np.float32(0.02)
    }
