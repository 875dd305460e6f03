"""The optimizer says where it wants the gradient, and what to evaluate."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc

PARAMS = {"w": jnp.array([1.0, -2.0]), "b": jnp.array([0.5])}
GRADS = {"w": jnp.array([0.3, 0.7]), "b": jnp.array([-0.4])}


def after_one_step(tx):
    _, state = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    return state


def displaced(params, factor):
    return jax.tree.map(lambda p, g: p - factor * g, params, GRADS)


def close(actual, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), actual, expected)


def test_most_optimizers_want_it_at_the_parameters():
    for tx in (jc.sgd(0.1), jc.momentum(0.1), jc.adam(0.1), jc.nesterov(0.1, form="shifted"), optax.adam(0.1)):
        assert jc.gradient_point(after_one_step(tx), PARAMS) is PARAMS


def test_lookahead_wants_it_ahead_by_the_coming_momentum():
    tx = jc.nesterov(0.1, jc.schedules.linear(0.0, 1.0, 2))  # μ₁ = 0.5 is the coming one
    close(jc.gradient_point(after_one_step(tx), PARAMS), displaced(PARAMS, 0.5 * 0.1))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: optax.chain(optax.clip(10.0), tx),
        lambda tx: jc.chain(optax.clip(10.0), tx),
        lambda tx: jc.chain(tx, optax.add_decayed_weights(-0.01)),
        lambda tx: optax.apply_if_finite(tx, 3),
        lambda tx: jc.chain(jc.chain(tx), optax.identity()),
        lambda tx: optax.masked(tx, {"w": True, "b": True}),
        lambda tx: optax.MultiSteps(tx, 1).gradient_transformation(),
    ],
    ids=["optax.chain", "chain", "something added behind", "apply_if_finite", "nested chain", "masked", "MultiSteps"],
)
def test_lookahead_is_found_inside(wrap):
    close(jc.gradient_point(after_one_step(wrap(jc.nesterov(0.1, 0.9))), PARAMS), displaced(PARAMS, 0.09))


def test_masks_leave_gaps():
    point = jc.gradient_point(after_one_step(optax.masked(jc.nesterov(0.1, 0.9), {"w": True, "b": False})), PARAMS)
    close(point, {"w": PARAMS["w"] - 0.09 * GRADS["w"], "b": PARAMS["b"]})


def test_partitions_add_up():
    tx = optax.partition({"a": jc.nesterov(0.1, 0.9), "c": jc.nesterov(0.2, 0.5)}, {"w": "a", "b": "c"})
    close(
        jc.gradient_point(after_one_step(tx), PARAMS),
        {"w": PARAMS["w"] - 0.09 * GRADS["w"], "b": PARAMS["b"] - 0.1 * GRADS["b"]},
    )


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("other", [jc.nesterov, jc.momentum, jc.sgd, jc.adam, jc.averaged_sgd], ids=lambda f: f.__name__)
def test_a_partition_inside_a_users_optimizer_is_the_one_outside(other, masked):
    params, grads = PARAMS | {"v": jnp.array([0.25])}, GRADS | {"v": jnp.array([0.75])}
    parts = lambda rate: {"a": jc.nesterov(rate, 0.5), "c": other(rate)}
    labels = lambda tree: {name: "a" if name == "w" else "c" for name in tree}

    @jc.optimizer
    def partitioned(learning_rate):
        return optax.partition(parts(learning_rate), labels)

    ends = []
    for tx in (partitioned(0.125), optax.partition(parts(0.125), labels)):
        tx = optax.masked(tx, {"w": True, "b": True, "v": False}) if masked else tx
        theta, state = params, tx.init(params)
        for _ in range(3):
            at = jc.gradient_point(state, theta)
            steps, state = tx.update(jax.tree.map(lambda g, y: g * y, grads, at), state, theta)
            theta = optax.apply_updates(theta, steps)
        ends.append((at, theta, jc.eval_params(state, theta)))
    close(*ends)


def test_two_lookaheads_on_one_leaf_raise_at_init():
    with pytest.raises(ValueError, match=r"two look-aheads displace the same leaf, \['b'\]"):
        jc.chain(jc.nesterov(0.1), optax.masked(jc.nesterov(0.1), {"w": False, "b": True})).init(PARAMS)


@pytest.mark.parametrize(
    "behind",
    [
        optax.scale(0.5),
        jc.scale_by_learning_rate(1.0),
        optax.scale_by_schedule(lambda step: 1.0 / (1 + step)),
        optax.clip_by_global_norm(100.0),
        jc.momentum(1.0, 0.5),
        optax.scale_by_backtracking_linesearch(5),
        optax.masked(optax.scale(0.5), {"w": False, "b": True}),
    ],
    ids=["scale", "rate of one", "schedule", "clip", "momentum", "line search", "one leaf"],
)
def test_what_rescales_a_lookaheads_step_raises_at_init(behind):
    with pytest.raises(ValueError, match="behind a look-ahead rescales the step of"):
        jc.chain(jc.nesterov(0.1), behind).init(PARAMS)


def test_what_rescales_other_leaves_may_stay():
    rest = optax.masked(optax.scale(0.5), {"w": False, "b": True})
    jc.chain(optax.masked(jc.nesterov(0.1), {"w": True, "b": False}), rest).init(PARAMS)


def test_chain_can_be_initialised_under_jit():
    jax.jit(jc.chain(jc.nesterov(0.1), optax.add_decayed_weights(0.1)).init)(PARAMS)


def test_optax_chain_cannot_check_so_it_is_refused():
    state = optax.chain(jc.nesterov(0.1), optax.scale(0.5)).init(PARAMS)
    with pytest.raises(ValueError, match=r"use jaxopt_course\.chain"):
        jc.gradient_point(state, PARAMS)


def test_eval_params_are_the_parameters_for_most():
    for tx in (jc.adam(0.1), jc.nesterov(0.1), optax.adam(0.1)):
        assert jc.eval_params(tx.init(PARAMS), PARAMS) is PARAMS


@pytest.mark.parametrize("wrap", [lambda tx: tx, lambda tx: jc.chain(optax.clip(10.0), tx)], ids=["alone", "in a chain"])
def test_eval_params_of_schedule_free_are_optaxs(wrap):
    inner = optax.contrib.schedule_free_sgd(0.5)
    tx, params = wrap(inner), PARAMS
    state, reference = tx.init(params), inner.init(params)
    for _ in range(3):
        updates, state = tx.update(GRADS, state, params)
        _, reference = inner.update(GRADS, reference, params)
        params = optax.apply_updates(params, updates)
    expected = optax.contrib.schedule_free_eval_params(reference, params)
    assert not np.allclose(expected["w"], params["w"])
    close(jc.eval_params(state, params), expected)


def test_eval_params_of_a_masked_average_leave_gaps():
    tx = optax.masked(optax.contrib.schedule_free_sgd(0.5), {"w": True, "b": False})
    params = PARAMS
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(GRADS, state, params)
        params = optax.apply_updates(params, updates)
    averaged = jc.eval_params(state, params)
    close(averaged["b"], params["b"])
    assert not np.allclose(averaged["w"], params["w"])


@jc.optimizer
def fixed_momentum(learning_rate, momentum=0.9):
    """Its own ``momentum`` is not the look-ahead's."""
    return jc.chain(optax.scale(momentum / 0.9), jc.nesterov(learning_rate, 0.5))


@jc.optimizer
def renamed_momentum(learning_rate, mu=0.9):
    return jc.nesterov(learning_rate, mu)


def test_a_lookahead_inside_a_users_optimizer_keeps_its_own_momentum():
    close(jc.gradient_point(after_one_step(fixed_momentum(0.1)), PARAMS), displaced(PARAMS, 0.5 * 0.1))
    close(jc.gradient_point(after_one_step(renamed_momentum(0.1, 0.8)), PARAMS), displaced(PARAMS, 0.8 * 0.1))


def test_a_lookahead_inside_an_injected_factory_is_found():
    def clipped(learning_rate, momentum):
        return jc.chain(optax.clip(10.0), jc.nesterov(learning_rate, momentum))

    close(jc.gradient_point(after_one_step(jc.inject(clipped)(0.1, 0.8)), PARAMS), displaced(PARAMS, 0.08))


def test_a_lookahead_inside_optax_inject_hyperparams_raises():
    with pytest.raises(ValueError, match=r"inside optax\.inject_hyperparams cannot say where"):
        jc.gradient_point(after_one_step(optax.inject_hyperparams(jc.nesterov)(learning_rate=0.1)), PARAMS)


def test_named_chains_are_refused_like_chains():
    state = optax.named_chain(("ahead", jc.nesterov(0.1)), ("half", optax.scale(0.5))).init(PARAMS)
    with pytest.raises(ValueError, match=r"use jaxopt_course\.chain"):
        jc.gradient_point(state, PARAMS)
    last = optax.named_chain(("clip", optax.clip(10.0)), ("ahead", jc.nesterov(0.1, 0.9)))
    close(jc.gradient_point(after_one_step(last), PARAMS), displaced(PARAMS, 0.09))


@pytest.mark.parametrize("wrap", [lambda tx: tx, lambda tx: jc.chain(optax.clip(1.0), tx)], ids=["alone", "in a chain"])
def test_a_lookahead_inside_schedule_free_raises(wrap):
    """Its displacement would be of the iterate z, and schedule-free takes the gradient between z and the average."""
    tx = wrap(optax.contrib.schedule_free(jc.nesterov(0.05), 0.05))
    with pytest.raises(ValueError, match=r"a look-ahead inside schedule_free .* use nesterov\(form='shifted'\)"):
        jc.gradient_point(tx.init(PARAMS), PARAMS)
    shifted = optax.contrib.schedule_free(jc.nesterov(0.05, form="shifted"), 0.05)
    assert jc.gradient_point(shifted.init(PARAMS), PARAMS) is PARAMS


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"b": jnp.ones(1)}, r"it has \['w'\] of shape \(2,\); these are without it"),
        ({"w": jnp.ones(3), "b": jnp.ones(1)}, r"it has \['w'\] of shape \(2,\); these have \(3,\)"),
        ({"w": jnp.ones((2, 1)), "b": jnp.ones(1)}, r"it has \['w'\] of shape \(2,\); these have \(2, 1\)"),
    ],
)
def test_a_state_of_other_parameters_names_the_leaf(params, message):
    with pytest.raises(ValueError, match="gradient_point: the state is of other parameters: " + message):
        jc.gradient_point(jc.nesterov(0.1).init(PARAMS), params)
    with pytest.raises(ValueError, match="eval_params: the state is of other parameters: " + message):
        jc.eval_params(jc.averaged_sgd(0.1).init(PARAMS), params)


@pytest.mark.parametrize("ask", [jc.gradient_point, jc.eval_params], ids=lambda f: f.__name__)
@pytest.mark.parametrize("tx", [jc.nesterov(0.1), jc.averaged(jc.sgd(0.1)), optax.adam(0.1)], ids=["ours", "chain", "optax's"])
def test_an_optimizer_is_no_state(ask, tx):
    with pytest.raises(TypeError, match=f"{ask.__name__}: opt_state must be an optimizer's state, .*; got an optimizer"):
        ask(tx, PARAMS)


@pytest.mark.parametrize("ask", [jc.gradient_point, jc.eval_params], ids=lambda f: f.__name__)
@pytest.mark.parametrize("wrap", [lambda tx: tx, jc.averaged, lambda tx: optax.chain(optax.clip(1.0), tx)])
def test_a_state_is_no_parameters(ask, wrap):
    state = wrap(jc.nesterov(0.1, form="shifted")).init(PARAMS)
    with pytest.raises(TypeError, match=rf"{ask.__name__}\(opt_state, params\); got an optimizer's state as params"):
        ask(PARAMS, state)
    with pytest.raises(TypeError, match="got an optimizer's state as params"):
        ask(jnp.ones(1), state)


def test_an_optimizers_state_may_be_what_another_one_trains():
    state = jc.momentum(0.1).init(PARAMS)
    outer = jc.sgd(0.1).init(state)
    assert jc.gradient_point(outer, state) is state
    assert jc.eval_params(outer, state) is state


def test_flattening_around_a_lookahead_is_refused():
    with pytest.raises(ValueError, match=r"it has params of shape \(3,\); these are without it. \(.*optax\.flatten is not"):
        jc.gradient_point(optax.flatten(jc.nesterov(0.05)).init(PARAMS), PARAMS)
