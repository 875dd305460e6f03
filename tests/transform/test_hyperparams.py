"""Hyperparameters are data, in the state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc

PARAMS = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.array([0.1, -0.7])}
GRADS = {"w": jnp.array([[0.3, -0.2], [1.5, 0.7]]), "b": jnp.array([-0.4, 0.9])}


def step(tx, state, params=PARAMS):
    return tx.update(GRADS, state, params)


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


def test_an_optimizer_is_no_state():
    with pytest.raises(TypeError, match=r"hyperparams: opt_state must be an optimizer's state.*; got an optimizer"):
        jc.hyperparams(jc.sgd(0.1))
    assert jc.hyperparams(()) == {}


def test_scheduled_numbers_are_set_by_path_and_the_schedule_itself_raises():
    tx = jc.adam(jc.schedules.exponential(0.1, 0.01))
    state = jc.set_hyperparams(tx.init(PARAMS), {"learning_rate/init_value": 0.4})
    assert jc.hyperparams(state)["learning_rate"] == np.float32(0.4)
    with pytest.raises(ValueError, match="learning_rate follows a schedule; set its numbers: learning_rate/init_value"):
        jc.set_hyperparams(state, learning_rate=0.3)


def test_numbers_of_a_schedule_inside_a_schedule_are_set_and_checked():
    tx = jc.sgd(jc.schedules.warmup(jc.schedules.exponential(0.1, 0.01), 5))
    state = jc.set_hyperparams(tx.init(PARAMS), {"learning_rate/schedule/decay_rate": 0.5})
    assert float(state.hyperparams["learning_rate"].numbers["schedule"].numbers["decay_rate"]) == 0.5
    with pytest.raises(ValueError, match="learning_rate/schedule/decay_rate must be a number >= 0; got -1"):
        jc.set_hyperparams(state, {"learning_rate/schedule/decay_rate": -1})


def test_names_are_short_where_unique_and_paths_where_not():
    tx = optax.partition({"slow": jc.sgd(0.1), "fast": jc.momentum(0.2, 0.9)}, {"w": "slow", "b": "fast"})
    state = tx.init(PARAMS)
    assert set(jc.hyperparams(state)) == {"slow/learning_rate", "fast/learning_rate", "momentum"}
    state = jc.set_hyperparams(state, {"fast/learning_rate": 0.5, "momentum": 0.1})
    assert {k: round(float(v), 3) for k, v in jc.hyperparams(state).items()} == {
        "slow/learning_rate": 0.1, "fast/learning_rate": 0.5, "momentum": 0.1,
    }  # fmt: skip


def test_two_of_one_name_in_a_chain_are_called_by_their_positions():
    state = jc.averaged(jc.rmsprop(0.1, decay=0.9), decay=0.99).init(PARAMS)
    with pytest.raises(ValueError, match=r"no hyperparameter 'decay'.*known: 0/decay, 0?/?.*1/decay"):
        jc.set_hyperparams(state, decay=0.5)
    state = jc.set_hyperparams(state, {"1/decay": 0.5})
    assert [round(float(jc.hyperparams(state)[f"{i}/decay"]), 6) for i in (0, 1)] == [0.9, 0.5]
    assert "learning_rate" in jc.hyperparams(state)  # there is one


def test_what_is_read_by_a_name_is_set_by_it():
    """A scheduled rate counts, too: beside it, the short name would be ambiguous."""
    state = jc.chain(jc.sgd(jc.schedules.linear(1.0, 0.0, 10)), jc.scale_by_learning_rate(0.5)).init(PARAMS)
    assert set(jc.hyperparams(state)) == {"0/learning_rate", "1/learning_rate"}
    state = jc.set_hyperparams(state, {"1/learning_rate": 0.25, "learning_rate/init_value": 0.75})
    assert jc.hyperparams(state) == {"0/learning_rate": 0.75, "1/learning_rate": 0.25}
    with pytest.raises(ValueError, match=r"no hyperparameter 'learning_rate'.*1/learning_rate"):
        jc.set_hyperparams(state, learning_rate=0.1)
    with pytest.raises(ValueError, match="0/learning_rate follows a schedule; set its numbers: learning_rate/init_value, "):
        jc.set_hyperparams(state, {"0/learning_rate": 0.1})


def test_states_that_only_fields_tell_apart_are_called_by_the_fields():
    state = optax.contrib.sam(jc.sgd(0.5), jc.momentum(0.25, 0.75)).init(PARAMS)
    numbers = {"opt_state/learning_rate": 0.5, "adv_state/learning_rate": 0.25, "momentum": 0.75}
    assert jc.hyperparams(state) == numbers
    for name in numbers:
        assert jc.hyperparams(jc.set_hyperparams(state, {name: 0.125})) == numbers | {name: 0.125}


def test_fields_tell_states_apart_inside_states_too():
    @jc.optimizer
    def decayed(decay):
        rates = jc.schedules.constant(0.5), jc.schedules.constant(0.25)
        return jc.chain(optax.contrib.sam(*map(jc.sgd, rates)), optax.add_decayed_weights(decay))

    state = decayed(0.125).init(PARAMS)
    assert jc.hyperparams(state) == {
        "decayed/members/0/opt_state/learning_rate": 0.5, "decayed/members/0/adv_state/learning_rate": 0.25, "decay": 0.125,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rat": 0.1}, "no hyperparameter 'learning_rat'; did you mean 'learning_rate'"),
        ({"learning_rate": -1.0}, r"learning_rate must be a number >= 0; got -1.0"),
        ({"b1": 1.0}, r"b1 must be a number in \[0, 1\); got 1.0"),
        ({"b1": jnp.ones(3) / 2}, r"b1 has shape \(\); got an array of shape \(3,\)"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        jc.set_hyperparams(jc.adam(0.1).init(PARAMS), change)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: jc.sgd(-0.1), ValueError, r"sgd: learning_rate must be a number >= 0; got -0.1"),
        (lambda: jc.sgd(float("nan")), ValueError, r"sgd: learning_rate must be a number >= 0; got nan"),
        (lambda: jc.sgd(float("inf")), ValueError, r"sgd: learning_rate must be a number >= 0; got inf"),
        (lambda: jc.sgd("fast"), TypeError, "sgd: learning_rate must be .* got 'fast'"),
        (lambda: jc.sgd(None), TypeError, "sgd: learning_rate must be a number, an array or a schedule; got None"),
        (lambda: jc.sgd(True), TypeError, "sgd: learning_rate must be .* got True"),
        (lambda: jc.sgd(jnp.ones(3)), ValueError, r"learning_rate must be a scalar, got an array of shape \(3,\)"),
        (lambda: jc.momentum(0.1, 1.5), ValueError, r"momentum: momentum must be a number in \[0, 1\]; got 1.5"),
        (lambda: jc.momentum(0.1, -0.1), ValueError, r"momentum must be a number in \[0, 1\]; got -0.1"),
        (lambda: jc.adam(0.1, b1=1.0), ValueError, r"adam: b1 must be a number in \[0, 1\); got 1.0"),
        (lambda: jc.adam(0.1, eps=-1e-8), ValueError, r"eps must be a number >= 0; got -1e-08"),
        (lambda: jc.adam(0.1, beta1=0.9), TypeError, "adam: unknown argument 'beta1'"),
        (lambda: jc.adam(0.1, learningrate=0.9), TypeError, "did you mean 'learning_rate'"),
        (lambda: jc.adam(), TypeError, "adam: missing a required argument: 'learning_rate'"),
        (
            lambda: jc.adam(0.1, accumulator_dtype=[1]),
            TypeError,
            r"accumulator_dtype is static and must be hashable; got \[1\]",
        ),
        (lambda: jc.nesterov(0.1, form="ahead"), ValueError, "unknown form 'ahead'"),
        (lambda: jc.nesterov(0.1, rate_inside=False), ValueError, "rate_inside=False needs form='shifted'"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("method", "direction", "arguments", "message"),
    [
        (
            jc.adam,
            jc.scale_by_adam,
            {"eps_inside_sqrt": True, "eps_root": 0.1},
            "eps_inside_sqrt=True puts eps under the root",
        ),
        (
            jc.adam,
            jc.scale_by_adam,
            {"eps_before_correction": True, "bias_correction": False},
            "eps_before_correction=True needs",
        ),
        (jc.amsgrad, jc.scale_by_amsgrad, {"max_after_correction": True}, "max_after_correction=True needs bias_correction"),
        (jc.adamax, jc.scale_by_adamax, {"eps_place": "root"}, "unknown eps_place 'root'"),
    ],
)
def test_what_a_direction_refuses_its_method_refuses_by_its_own_name(method, direction, arguments, message):
    with pytest.raises(ValueError, match=f"^{direction.__name__}: {message}"):
        direction(**arguments)
    with pytest.raises(ValueError, match=f"^{method.__name__}: {message}"):
        method(0.1, **arguments)


@pytest.mark.parametrize(
    "value", [jnp.array(0.1 + 2j), np.complex64(1 + 2j), np.array(True), jnp.array(True), np.array("0.1"), np.array(b"0.1")]
)
def test_arrays_that_are_no_real_numbers_are_refused_as_pythons_own_are(value):
    with pytest.raises(TypeError, match="sgd: learning_rate must be a number >= 0, an array or a schedule; got"):
        jc.sgd(value)
    with pytest.raises(TypeError, match="expected_loss: start must be finite numbers; got"):
        jc.theory.expected_loss(jc.sgd(0.1), np.eye(2), np.eye(2), start=[value, value], steps=2)


def test_traced_numbers_pass():
    after = jax.jit(lambda rate: step(jc.sgd(rate), jc.sgd(rate).init(PARAMS))[0]["b"])
    np.testing.assert_allclose(after(-1.0), GRADS["b"], rtol=1e-6)


@pytest.mark.parametrize(
    ("grads", "message"),
    [
        ({"w": GRADS["w"]}, r"differ in structure: only .* has \['b'\]"),
        ({"w": GRADS["w"], "b": jnp.ones(3)}, r"differ in shape at \['b'\]: \(3,\) and \(2,\)"),
    ],
)
def test_mismatched_trees_name_the_path(grads, message):
    tx = jc.momentum(0.1)
    with pytest.raises(ValueError, match=message):
        tx.update(grads, tx.init(PARAMS), PARAMS)


def test_parameters_that_are_not_floating_point_are_named():
    with pytest.raises(TypeError, match=r"sgd.init: parameters must be floating point; \['steps'\] is int32"):
        jc.sgd(0.1).init({"w": jnp.ones(2), "steps": jnp.arange(3)})


def test_a_state_of_another_optimizer_is_refused():
    with pytest.raises(ValueError, match=r"adam\.update: this state was not made by this optimizer's init"):
        step(jc.adam(0.1), jc.sgd(0.1).init(PARAMS))


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


@pytest.mark.parametrize("function", [jc.adam, lambda: 0.1, lambda step: jnp.ones(3) * step, lambda step: "slow"])
def test_functions_that_are_no_schedules_are_refused_at_the_call(function):
    with pytest.raises(TypeError, match="adam: learning_rate is a function, but no schedule"):
        jc.adam(function)
    with pytest.raises(TypeError, match="warmup: schedule is a function, but no schedule"):
        jc.schedules.warmup(function, 5)


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


def test_setting_needs_a_state_with_hyperparameters():
    with pytest.raises(ValueError, match="opt_state must be the state of an optimizer with hyperparameters, as result"):
        jc.set_hyperparams(object(), learning_rate=0.1)
    state = optax.adam(0.1).init(jnp.ones(2))
    with pytest.raises(ValueError, match="got tuple, without any"):
        jc.set_hyperparams(state, learning_rate=0.1)
    assert jc.set_hyperparams(state) is state
