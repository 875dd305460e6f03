"""The same key gives the same bits, a run goes on exactly from its state; nobody's buffers are taken."""

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
from tests.training.trees import assert_close, assert_equal


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
