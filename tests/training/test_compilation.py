"""What compiles, and what must not compile again. TRACES counts."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.training import clock
from jaxopt_course.training.state import owned
from jaxopt_course.training.step import TRACES


@pytest.fixture
def problem(problems):
    """Sizes of its own, so that no other test has compiled for them."""
    plain = problems.model("plain", n=41)
    return dataclasses.replace(plain, data=plain.data._replace(validation=problems.data(12).train))


def test_twenty_learning_rates_compile_once(problem, traced):
    ends = [jc.fit(problem, jc.sgd(rate), batch_size=10, epochs=1).params["w"][0] for rate in np.logspace(-5, -2, 20)]
    assert traced("run_chunk") == 1
    assert traced("evaluate") == 1
    assert len(set(map(float, ends))) == 20


def test_an_equal_problem_built_again_shares_the_program(problems, traced):
    first = jc.fit(problems.model("plain", n=42), jc.adam(0.01), batch_size=10, epochs=1)
    second = jc.fit(problems.model("plain", n=42), jc.adam(0.01), batch_size=10, epochs=1)
    assert traced("run_chunk") == 1
    assert traced("evaluate") <= 1
    np.testing.assert_array_equal(first.params["w"], second.params["w"])


def test_two_digits_problems_share_the_program(traced):
    for _ in range(2):
        jc.fit(jc.problems.digits(model="softmax"), jc.sgd(0.1), batch_size=99, steps=2)
    assert traced("run_chunk") == 1
    assert traced("evaluate") <= 1


def test_lengths_keys_resuming_and_callbacks_do_not_retrace(problem, traced):
    part = jc.fit(problem, jc.momentum(0.01), batch_size=10, epochs=1)
    first = traced("run_chunk")
    jc.fit(problem, jc.momentum(0.01), batch_size=10, epochs=3, key=5)
    jc.fit(problem, jc.momentum(0.02, 0.5), batch_size=10, steps=17, evaluate=4)
    jc.fit(problem, jc.momentum(0.01), batch_size=10, steps=2, state=part.state, callbacks=print, evaluate=None)
    jc.fit(
        problem, jc.momentum(0.01), batch_size=10, steps=2, sampler=jc.samplers.uniform(), stop=jc.stopping.budget(seconds=9)
    )
    assert (first, traced("run_chunk")) == (1, 1)


def test_a_schedule_with_other_numbers_does_not_retrace(problem, traced):
    for rate, decay in [(0.01, 0.1), (0.02, 0.5), (0.003, 0.9)]:
        jc.fit(problem, jc.sgd(jc.schedules.exponential(rate, decay)), batch_size=10, steps=5)
    assert traced("run_chunk") == 1


def test_stopping_tolerances_do_not_retrace(problem, traced):
    for tolerance in (1e-3, 1e-4, 1e-2):
        jc.fit(problem, jc.sgd(0.01), batch_size=10, steps=5, stop=jc.stopping.gradient_norm(tolerance))
    assert traced("run_chunk") == 1


def test_changed_hyperparameters_in_a_state_do_not_retrace(problem, traced):
    result = jc.fit(problem, jc.momentum(0.01), batch_size=11, steps=4)
    state = result.state._replace(opt_state=jc.set_hyperparams(result.state.opt_state, learning_rate=0.002))
    slower = jc.fit(problem, jc.momentum(0.01), batch_size=11, steps=4, state=state)
    assert traced("run_chunk") == 1
    np.testing.assert_allclose(slower.history.learning_rate, 0.002, rtol=1e-6)


def test_evaluation_is_shared_by_all_optimizers(problems, traced):
    problem = problems.model("plain", n=43)
    short = jc.Problem(problem.init, problem.apply, problem.loss, problem.data._replace(validation=problems.data(8).train))
    for optimizer in (jc.sgd(0.01), jc.nesterov(0.01), jc.adam(0.01), optax.rmsprop(0.01)):
        jc.fit(short, optimizer, batch_size=10, epochs=1)
    assert traced("run_chunk") == 4
    assert traced("evaluate") == 1


def test_a_foreign_optimizer_compiles_once_for_the_same_object(problem, traced):
    optimizer = optax.adam(1e-3)
    for key in range(3):
        jc.fit(problem, optimizer, batch_size=10, steps=3, key=key)
    assert traced("run_chunk") == 1


def test_a_step_of_your_own_loop_compiles_once(problem, traced):
    for rate in (0.1, 0.2):
        step = jc.make_step(problem, jc.adam(rate))
        state = step.init(0)
        for i in range(3):
            state, _ = step(state, {"x": jnp.ones((5, 3)) * i, "y": jnp.ones(5)})
    assert traced("make_step") == 1


def test_compile_time_is_told_from_run_time(problems):
    problem = problems.model("plain", n=44)
    cold = jc.fit(problem, jc.adam(0.01), batch_size=10, steps=5)
    warm = jc.fit(problem, jc.adam(0.01), batch_size=10, steps=5)
    assert cold.compile_seconds > 0
    assert warm.compile_seconds == 0


def test_of_what_is_dispatched_only_what_traced_something_was_compiling(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])

    def dispatch(seconds, traces):
        now[0] += seconds
        TRACES["run_chunk"] += traces
        return seconds

    watch = clock.Clock()
    assert [watch(dispatch, 2.0, 1), watch(dispatch, 0.5, 0), watch(dispatch, seconds=4.0, traces=2)] == [2.0, 0.5, 4.0]
    now[0] += 1.0
    assert (watch.compiling, watch.running) == (6.0, 1.5)


COLD = """
import jax
from jax._src import monitoring  # there is no public way to count what is compiled

import jaxopt_course as jc

compiled = []
monitoring.register_event_duration_secs_listener(
    lambda event, _, **facts: compiled.append(facts.get("fun_name")) if event.endswith("backend_compile_duration") else None
)
result = jc.fit(jc.problems.digits(model="mlp"), jc.momentum(0.05, 0.9), batch_size=32, epochs=2)
result.evaluate("validation")
print(*compiled)
"""


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere there are no options to ask for")
def test_a_cold_fit_compiles_a_start_an_evaluation_and_the_training():
    """And before them an empty function, to learn which options XLA knows. Each program more would cost a newcomer 20 ms."""
    environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    out = subprocess.run([sys.executable, "-c", COLD], check=True, env=environment, capture_output=True, text=True).stdout
    assert out.split() == ["jit(<lambda>)", "jit(_begin)", "jit(evaluate)", "jit(run_chunk)"]


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("seed", [0, 7, -3, 2**32 + 5, -(2**40), 2**63 - 1])
def test_the_start_is_the_one_of_jax_random_key(seed, x64):
    with jax.enable_x64(x64):
        problem = jc.problems.digits(model="softmax")
        state = jc.init_state(problem, jc.sgd(0.1), seed)
        first, second = jax.random.split(jax.random.key(seed))
        np.testing.assert_array_equal(jax.random.key_data(state.key), jax.random.key_data(second))
        jax.tree.map(np.testing.assert_array_equal, state.params, problem.init(first)[0])
        same = jc.init_state(problem, jc.sgd(0.1), jax.random.key(seed))
        jax.tree.map(np.testing.assert_array_equal, state.params, same.params)


def test_keys_are_of_the_implementation_that_is_set_now(problems):
    """JAX does not compile anew when it changes."""
    for problem in (jc.problems.digits(model="softmax"), problems.model("plain", n=44)):
        for implementation in ("threefry2x32", "rbg", "threefry2x32"):
            with jax.default_prng_impl(implementation):
                assert jc.init_state(problem, jc.sgd(0.1), 3).key.dtype == jax.random.key(3).dtype


def test_keys_in_an_optimizers_state_are_left_alone(problem):
    noisy = optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(1)), optax.sgd(0.01))
    assert jc.fit(problem, noisy, batch_size=10, steps=3).steps == 3


def test_a_state_of_numpy_arrays_is_copied(problem):
    room = np.zeros(2**12 + 16, np.float32)  # JAX aliases what lies at a multiple of 64 bytes
    w = room[-room.ctypes.data % 64 // 4 :][: 2**12]
    own = owned(jc.init_state(problem, jc.sgd(0.01))._replace(params={"w": w}))
    w[0] = 77.0
    assert own.params["w"][0] == 0


def test_a_seed_of_more_than_64_bits_is_refused_whoever_has_it(problem):
    for seed in (2**63, np.uint64(2**63)):
        with pytest.raises(ValueError, match="64 bits at most"):
            jc.init_state(problem, jc.sgd(0.1), seed)
