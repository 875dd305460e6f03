"""Hyperparameters are data, in the state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxopt_course as jc
from tests.transform.trees import GRADS, PARAMS, step


def test_numbers_are_in_the_state_in_the_default_float_dtype():
    assert jc.adam(1e-3).init(PARAMS).hyperparams["learning_rate"].dtype == jnp.float32
    with jax.enable_x64(True):
        assert jc.adam(1e-3).init(PARAMS).hyperparams["learning_rate"].dtype == jnp.float64


def test_hyperparams_are_those_of_the_last_update():
    tx = jc.sgd(jc.schedules.linear(1.0, 0.0, 4))
    state = tx.init(PARAMS)
    seen = [float(jc.hyperparams(state)["learning_rate"])]
    for _ in range(3):
        _, state = step(tx, state)
        seen.append(float(jc.hyperparams(state)["learning_rate"]))
    assert seen == [1.0, 1.0, 0.75, 0.5]


def test_updates_of_equal_rules_compare_equal_and_share_one_compiled_step():
    traces = 0

    def update(function, grads, state):
        nonlocal traces
        traces += 1
        return function(grads, state)

    compiled = jax.jit(update, static_argnums=0)
    for rate in (0.1, 0.2, jnp.array(0.3), np.float64(0.4)):
        tx = jc.momentum(rate, 0.9)
        compiled(tx.update, GRADS, tx.init(PARAMS))
    assert traces == 1
    assert jc.momentum(0.1).update == jc.momentum(0.2).update
    assert jc.momentum(0.1).update != jc.momentum(0.1, rate_inside=False).update
    assert jc.momentum(0.1).update != jc.nesterov(0.1).update


def test_schedules_of_one_rule_share_one_compiled_step():
    traces = 0

    def update(function, grads, state):
        nonlocal traces
        traces += 1
        return function(grads, state)

    compiled = jax.jit(update, static_argnums=0)
    for schedule in (jc.schedules.exponential(0.1, 0.01), jc.schedules.exponential(0.2, 0.5)):
        tx = jc.sgd(schedule)
        compiled(tx.update, GRADS, tx.init(PARAMS))
    assert traces == 1


def test_update_reads_the_state_and_never_the_constructor():
    tx = jc.sgd(0.1)
    state = jc.set_hyperparams(tx.init(PARAMS), learning_rate=0.5)
    np.testing.assert_allclose(step(tx, state)[0]["b"], [0.2, -0.45], rtol=1e-6)
    np.testing.assert_allclose(step(jc.sgd(123.0), state)[0]["b"], [0.2, -0.45], rtol=1e-6)


def test_set_hyperparams_can_be_differentiated():
    tx = jc.sgd(0.1)
    state = tx.init(PARAMS)
    after = lambda rate: jnp.sum(step(tx, jc.set_hyperparams(state, learning_rate=rate))[0]["b"])
    np.testing.assert_allclose(jax.grad(after)(0.1), -0.5, rtol=1e-6)


def test_a_population_is_a_stack_of_states():
    tx = jc.momentum(0.1, 0.9)
    rates = jnp.array([0.1, 0.2, 0.5])
    states = jax.vmap(lambda rate: jc.set_hyperparams(tx.init(PARAMS), learning_rate=rate))(rates)
    updates, _ = jax.vmap(lambda s: step(tx, s))(states)
    np.testing.assert_allclose(updates["b"], -rates[:, None] * GRADS["b"], rtol=1e-6)
    np.testing.assert_allclose(jc.hyperparams(states)["learning_rate"], rates)


def test_inject_puts_a_foreign_factorys_numbers_in_the_state():
    tx = jc.inject(optax.adamw)(1e-3, weight_decay=jc.schedules.linear(0.1, 0.0, 10))
    state = tx.init(PARAMS)
    assert jc.inject(optax.adamw)(0.5).update == jc.inject(optax.adamw)(0.1).update
    assert round(float(jc.hyperparams(state)["weight_decay"]), 6) == 0.1
    reference = optax.adamw(1e-3, weight_decay=0.1)
    chex_close(step(tx, state)[0], step(reference, reference.init(PARAMS))[0])


def test_inject_tells_numbers_from_structure():
    state = jc.inject(optax.lbfgs)(0.5, memory_size=3).init(PARAMS)
    assert set(jc.hyperparams(state)) == {"learning_rate"}
    assert jc.inject(optax.lbfgs)(1).init(PARAMS).hyperparams["learning_rate"] == 1.0


def test_inject_leaves_ours_alone():
    assert jc.inject(jc.adam) is jc.adam


def test_inject_keeps_dtypes_that_optax_would_widen():
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    tx = jc.inject(optax.adam)(1e-3)
    updates, state = tx.update(half, tx.init(half), half)
    assert {x.dtype for x in jax.tree.leaves(updates)} == {jnp.dtype(jnp.bfloat16)}
    assert jax.tree.map(lambda x: x.dtype, state) == jax.tree.map(lambda x: x.dtype, tx.init(half))


def test_optax_inject_hyperparams_around_ours_works():
    tx = optax.inject_hyperparams(jc.adam)(learning_rate=0.1)
    state = tx.init(PARAMS)
    state.hyperparams["learning_rate"] = jnp.asarray(0.4)
    reference = optax.adam(0.4)
    chex_close(step(tx, state)[0], step(reference, reference.init(PARAMS))[0])


def test_optax_inject_hyperparams_around_ours_works_under_jit():
    tx = optax.inject_hyperparams(jc.momentum)(learning_rate=lambda step: 0.1 / (1 + step), momentum=0.8)
    state, update = tx.init(PARAMS), jax.jit(tx.update)
    ours = jc.momentum(lambda step: 0.1 / (1 + step), 0.8)
    reference = ours.init(PARAMS)
    for _ in range(3):
        updates, state = update(GRADS, state, PARAMS)
        expected, reference = step(ours, reference)
    chex_close(updates, expected)


def test_a_users_optimizer_composes_others_into_one_state():
    @jc.optimizer
    def decayed(learning_rate, decay=0.01):
        return jc.chain(jc.scale_by_adam(), optax.add_decayed_weights(decay), jc.scale_by_learning_rate(learning_rate))

    tx = decayed(0.1)
    assert set(jc.hyperparams(tx.init(PARAMS))) == {"learning_rate", "decay"}
    assert decayed(0.1).update == decayed(0.2, 0.5).update
    reference = optax.adamw(0.1, weight_decay=0.01)
    chex_close(step(tx, tx.init(PARAMS))[0], step(reference, reference.init(PARAMS))[0])


def test_a_schedule_inside_a_users_optimizer_keeps_its_own_state():
    @jc.optimizer
    def annealed(momentum=0.9):
        return jc.momentum(jc.schedules.linear(1.0, 0.0, 4), momentum)

    tx = annealed()
    state = tx.init(PARAMS)
    for _ in range(2):
        _, state = step(tx, state)
    assert float(jc.hyperparams(state)["learning_rate"]) == 0.75


def chex_close(actual, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7), actual, expected)


def test_optax_inject_hyperparams_around_a_function_that_builds_ours_works():
    make = lambda learning_rate: jc.chain(optax.clip(10.0), jc.sgd(learning_rate))
    tx = optax.inject_hyperparams(make)(learning_rate=optax.linear_schedule(1.0, 0.0, 4))
    state, steps = tx.init(PARAMS), []
    for _ in range(3):
        updates, state = step(tx, state)
        steps.append(float(updates["b"][0] / -GRADS["b"][0]))
    np.testing.assert_allclose(steps, [1.0, 0.75, 0.5], rtol=1e-6)


def test_numpy_trees_do_not_warn():
    tx = jc.adam(0.1)
    params = {"w": np.ones(2)}
    updates, _ = tx.update({"w": np.ones(2)}, tx.init(params), params)
    assert updates["w"].dtype == jnp.float32


def test_a_hyperparameter_in_numpys_memory_is_copied():
    memory = np.zeros(32, np.float32)
    aligned = -memory.ctypes.data % 64 // 4  # JAX takes over memory that lies so
    rate = memory[aligned : aligned + 1].reshape(())
    rate[...] = 0.5
    state = jc.sgd(rate).init(PARAMS)
    rate[...] = 5.0
    assert state.hyperparams["learning_rate"] == 0.5
