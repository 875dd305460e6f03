"""optax's optimizers train as they are: in chains, accumulating, searching along lines, and averaging."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.training import samplers

OPTIMIZERS = {
    "adam": optax.adam(0.05),
    "sgd with momentum": optax.sgd(0.02, momentum=0.9, nesterov=True),
    "lion": optax.lion(0.01),
    "lbfgs": optax.lbfgs(),
    "zoom": optax.chain(optax.sgd(1.0), optax.scale_by_zoom_linesearch(max_linesearch_steps=8)),
    "backtracking": optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(max_backtracking_steps=12)),
    "polyak": optax.polyak_sgd(max_learning_rate=0.2),
    "schedule-free": optax.contrib.schedule_free_sgd(0.05),
    "accumulating": optax.MultiSteps(optax.adam(0.05), every_k_schedule=2),
    "ours in optax's chain": optax.chain(optax.clip_by_global_norm(1.0), jc.adam(0.05)),
    "optax's in our chain": jc.chain(optax.clip_by_global_norm(1.0), jc.scale_by_adam(), optax.scale(-0.05)),
    "optax's line search in our chain": jc.chain(
        optax.scale(-1.0), optax.scale_by_backtracking_linesearch(max_backtracking_steps=12)
    ),
}


def plain_loop(problem, optimizer, m, steps, key):
    """optax's own protocol for everything: the gradient at params, and value, grad, value_fn to who takes them."""
    if not isinstance(optimizer, optax.MultiSteps):
        optimizer = optax.with_extra_args_support(optimizer)
    init_key, run_key = jax.random.split(jax.random.key(key))
    params, _ = problem.init(init_key)
    state = optimizer.init(params)
    words = tuple(int(word) for word in jax.random.key_data(run_key))

    @jax.jit
    def step(params, state, batch):
        value_fn = lambda p: jnp.mean(problem.loss(problem.apply(p, {}, batch)[0], batch))
        value, grads = jax.value_and_grad(value_fn)(params)
        updates, state = optimizer.update(grads, state, params, value=value, grad=grads, value_fn=value_fn)
        return optax.apply_updates(params, updates), state

    for indices in samplers.plan("test", None, problem.num_examples, m, True, words).rows(0, steps).indices:
        params, state = step(params, state, jax.tree.map(lambda x, i=indices: x[i], problem.data.train))
    return params, state


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "zoom"])  # which is in lbfgs
def test_fit_is_the_plain_loop(problems, name):
    problem, optimizer = problems.model("plain", n=40), OPTIMIZERS[name]
    result = jc.fit(problem, optimizer, batch_size=10, steps=7, key=2)
    params, state = plain_loop(problem, optimizer, 10, 7, 2)
    for k in ("w", "b"):
        np.testing.assert_allclose(result.state.params[k], params[k], rtol=2e-3, atol=2e-4)
    if name == "schedule-free":
        averaged = optax.contrib.schedule_free_eval_params(state, params)
        assert not np.allclose(averaged["w"], params["w"], rtol=1e-3)
        np.testing.assert_allclose(result.params["w"], averaged["w"], rtol=1e-4)
        last = float(result.history.validation_loss[-1])
        assert last == pytest.approx(result.evaluate("validation")["loss"], rel=1e-6)
    else:
        np.testing.assert_array_equal(result.params["w"], result.state.params["w"])


def test_schedule_free_evaluates_the_average_not_the_iterate(problems):
    problem = problems.model("plain", n=40)
    result = jc.fit(problem, OPTIMIZERS["schedule-free"], batch_size=10, steps=7, evaluate=7)
    data = jax.tree.map(np.asarray, problem.data.validation)
    loss = lambda p: np.mean((data["x"] @ np.asarray(p["w"]) + float(p["b"]) - data["y"]) ** 2)
    average = optax.contrib.schedule_free_eval_params(result.state.opt_state, result.state.params)
    recorded = float(result.history.validation_loss[-1])
    assert recorded == pytest.approx(loss(average), rel=1e-5)
    assert recorded != pytest.approx(loss(result.state.params), rel=1e-3)


@pytest.mark.parametrize("name", ["zoom", "backtracking"])
def test_a_line_search_falls_at_every_full_step_and_counts_its_evaluations(problems, name):
    result = jc.fit(problems.least_squares(), OPTIMIZERS[name], sampler=jc.samplers.full(), steps=6)
    losses = result.history.loss.values
    assert (np.diff(losses) <= 1e-6).all()
    taken = np.diff(result.history.gradient_evaluations.values, prepend=0)
    assert (taken >= 1).all()
    assert taken.sum() > 6
    assert result.history.epoch_gradient_evaluations[-1] == taken.sum()


def test_a_run_that_goes_on_counts_one_gradient_for_each_earlier_step_and_says_so(problems):
    problem, options = problems.least_squares(), {"sampler": jc.samplers.full(), "steps": 4}
    first = jc.fit(problem, OPTIMIZERS["backtracking"], **options)
    rest = jc.fit(problem, OPTIMIZERS["backtracking"], state=first.state, **options).history.gradient_evaluations
    assert first.history.gradient_evaluations[-1] > 4
    assert rest[0] >= 4 + 1
    assert "an earlier run's steps count one each" in rest.description


def test_without_a_line_search_a_step_is_one_gradient(problems):
    history = jc.fit(problems.least_squares(), optax.MultiSteps(optax.sgd(0.01), 2), batch_size=10, epochs=2).history
    np.testing.assert_array_equal(history.gradient_evaluations, history.step)
    np.testing.assert_array_equal(history.epoch_gradient_evaluations, history.epoch_step)


def test_accumulation_moves_every_other_step_by_the_mean_gradient(problems, gradient):
    problem = problems.least_squares(n=40)
    result = jc.fit(problem, optax.MultiSteps(optax.sgd(0.05), 2), batch_size=20, steps=2, sampler=jc.samplers.sequential())
    data = jax.tree.map(np.asarray, problem.data.train)
    grads = gradient(problems.start, data["x"], data["y"])
    np.testing.assert_allclose(result.params["w"], problems.start["w"] - 0.05 * grads["w"], rtol=1e-5)
    half = jc.fit(problem, optax.MultiSteps(optax.sgd(0.05), 2), batch_size=20, steps=1, sampler=jc.samplers.sequential())
    np.testing.assert_array_equal(half.params["w"], problems.start["w"])


def test_a_value_reaches_an_optimizer_inside_accumulation(problems):
    """polyak_sgd cannot step without the loss."""
    optimizer = optax.MultiSteps(optax.polyak_sgd(max_learning_rate=0.1), 2)
    result = jc.fit(problems.least_squares(), optimizer, sampler=jc.samplers.full(), steps=10)
    assert result.history.loss[-1] < result.history.loss[0]


def test_an_optax_optimizer_has_no_learning_rate_to_record(problems):
    result = jc.fit(problems.least_squares(), optax.adam(1e-3), batch_size=10, steps=3)
    assert "learning_rate" not in result.history
    assert result.plot() is not None


def test_an_injected_optax_optimizer_records_it(problems):
    result = jc.fit(problems.least_squares(), jc.inject(optax.lion)(1e-3, b1=0.95), batch_size=10, steps=3)
    np.testing.assert_allclose(result.history.learning_rate, [1e-3] * 3, rtol=1e-6)
    np.testing.assert_allclose(result.history.b1, [0.95] * 3, rtol=1e-6)


@pytest.mark.parametrize("wrap", [lambda tx: tx, lambda tx: jc.chain(optax.clip(100.0), tx)], ids=["alone", "in a chain"])
def test_sharpness_aware_minimisation_takes_none_of_our_arguments(problems, gradient, wrap):
    """Up by the adversary's step at odd ones, then down from where it began, by the gradient there."""
    problem = problems.least_squares()
    optimizer = wrap(optax.contrib.sam(optax.sgd(0.02), optax.sgd(0.01), sync_period=2))
    result = jc.fit(problem, optimizer, sampler=jc.samplers.full(), steps=6)
    data, params = jax.tree.map(np.asarray, problem.data.train), dict(problems.start)
    for _ in range(3):
        grads = gradient(params, data["x"], data["y"])
        there = gradient({k: params[k] + 0.01 * grads[k] for k in params}, data["x"], data["y"])
        params = {k: params[k] - 0.02 * there[k] for k in params}
    np.testing.assert_allclose(result.params["w"], params["w"], rtol=1e-4)
    np.testing.assert_allclose(result.params["b"], params["b"], rtol=1e-4)


def test_an_update_that_names_the_extra_arguments_gets_them(problems):
    def update(grads, state, params=None, *, value, grad, value_fn):
        return jax.tree.map(lambda g: -0.01 * g * (value / value_fn(params)), grad), state

    named = optax.GradientTransformationExtraArgs(lambda params: (), update)
    options = {"batch_size": 10, "steps": 5}
    found = jc.fit(problems.least_squares(), named, **options).params["w"]
    np.testing.assert_allclose(found, jc.fit(problems.least_squares(), jc.sgd(0.01), **options).params["w"], rtol=1e-4)


def test_pairs_of_parameters_are_refused(problems):
    with pytest.raises(TypeError, match=r"fit: optax\.lookahead trains pairs of parameters \(optax\.LookaheadParams\)"):
        jc.fit(problems.least_squares(), optax.lookahead(optax.sgd(0.1), 5, 0.5))
    with pytest.raises(TypeError, match=r"minimize: optax\.lookahead trains pairs"):
        jc.minimize(lambda x: x**2, optax.lookahead(optax.sgd(0.1), 5, 0.5), start=1.0)
