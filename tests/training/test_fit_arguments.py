"""Bad input is refused at the call, before anything compiles: the argument, the value, and what is accepted."""

from __future__ import annotations

import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc

BAD = {
    "batch_size 0": ({"batch_size": 0}, ValueError, "fit: batch_size must be an integer from 1 to 37; got 0"),
    "batch_size -1": ({"batch_size": -1}, ValueError, "fit: batch_size must be an integer from 1 to 37; got -1"),
    "batch_size 38": ({"batch_size": 38}, ValueError, "fit: batch_size must be an integer from 1 to 37; got 38"),
    "batch_size 2.5": ({"batch_size": 2.5}, TypeError, "fit: batch_size must be an integer from 1 to 37; got 2.5"),
    "batch_size True": ({"batch_size": True}, TypeError, "fit: batch_size must be an integer from 1 to 37; got True"),
    "full batches of 10": (
        {"batch_size": 10, "sampler": jc.samplers.full()}, ValueError,
        "fit: samplers.full() uses all 37 examples at once; got batch_size=10",
    ),
    "sizes in a list": (
        {"batch_size": [(8, 1)]}, TypeError,
        "fit: batch_size must be an integer, or schedules.batch_size.stages(...); got [(8, 1)]",
    ),
    "epochs 0": ({"epochs": 0}, ValueError, "fit: epochs must be an integer >= 1; got 0"),
    "steps 0": ({"steps": 0}, ValueError, "fit: steps must be an integer >= 1; got 0"),
    "steps 1.5": ({"steps": 1.5}, TypeError, "fit: steps must be an integer >= 1; got 1.5"),
    "epochs and steps": ({"epochs": 2, "steps": 3}, ValueError, "fit: give epochs or steps, not both; got epochs=2, steps=3"),
    "nonfinite": (
        {"nonfinite": "ignore"}, ValueError, "fit: unknown nonfinite 'ignore' (known: continue, raise, stop)",
    ),
    "nonfinite, nearly": ({"nonfinite": "stopp"}, ValueError, "fit: unknown nonfinite 'stopp'; did you mean 'stop'?"),
    "a factory": ({"optimizer": jc.adam}, TypeError, "(call the factory: jc.adam(1e-3))"),
    "no optimizer": (
        {"optimizer": "adam"}, TypeError, "optimizer must be a gradient transformation, a pair (init, update); got 'adam'",
    ),
    "no problem": ({"problem": "digits"}, TypeError, "fit: problem must be a jc.Problem (see Problem.from_loss,"),
    "a sampler class": ({"sampler": jc.samplers.Shuffle}, TypeError, "fit: sampler must be one of jc.samplers; got <class"),
    "an uncalled sampler": ({"sampler": jc.samplers.shuffle}, TypeError, "(call it: samplers.shuffle())"),
    "another uncalled sampler": ({"sampler": jc.samplers.importance}, TypeError, "(call it: samplers.importance())"),
    "stop, a word": ({"stop": "gradient"}, TypeError, "fit: stop takes criteria from jc.stopping: gradient_norm(...)"),
    "stop, a number": ({"stop": [1e-3]}, TypeError, "got 0.001"),
    "stop, a class": ({"stop": jc.stopping.GradientNorm}, TypeError, "got <class"),
    "key 0.5": ({"key": 0.5}, TypeError, "fit: key must be an integer or one JAX key; got 0.5"),
    "key None": ({"key": None}, TypeError, "fit: key must be an integer or one JAX key; got None"),
    "key True": ({"key": True}, TypeError, "fit: key must be an integer or one JAX key; got True"),
    "two keys": ({"key": jax.random.split(jax.random.key(0))}, TypeError, "got an array of dtype key<fry> and shape (2,)"),
    "a float array": ({"key": jnp.ones(2)}, TypeError, "got an array of dtype float32 and shape (2,)"),
    "evaluate 0": ({"evaluate": 0}, ValueError, "fit: evaluate must be a number of steps >= 1, 'epoch' or None; got 0"),
    "evaluate -3": ({"evaluate": -3}, ValueError, "got -3"),
    "evaluate epochs": ({"evaluate": "epochs"}, ValueError, "'epoch' or None; got 'epochs'"),
    "evaluate a list": ({"evaluate": [1, 2]}, ValueError, "'epoch' or None; got [1, 2]"),
    "evaluate True": ({"evaluate": True}, ValueError, "'epoch' or None; got True"),
    "no callback": ({"callbacks": ["print"]}, TypeError, "fit: callbacks must be functions of a Moment; got 'print'"),
    "state, a result's parameters": (
        {"state": {"w": np.ones(3)}}, TypeError, "fit: state must be the .state of an earlier result; got dict",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_refused_before_anything_compiles(problems, traced, name):
    change, error, message = BAD[name]
    arguments = {"problem": problems.least_squares(), "optimizer": jc.sgd(0.01), **change}
    with pytest.raises(error, match=re.escape(message)):
        jc.fit(arguments.pop("problem"), arguments.pop("optimizer"), **arguments)
    assert traced("run_chunk") == traced("evaluate") == 0


FOREIGN = {
    "ours": (jc.sgd(0.1), "its opt_state is HyperparamsState(sgd); this optimizer's is HyperparamsState(adam)"),
    "optax's": (optax.adam(0.1), "its opt_state is tuple(ScaleByAdamState, EmptyState); this optimizer's is HyperparamsState"),
    "a chain": (jc.chain(optax.identity(), jc.adam(0.1)), "its opt_state is ChainState(EmptyState, HyperparamsState(adam));"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_state_of_another_optimizer_is_refused_before_anything_compiles(problems, traced, name):
    optimizer, message = FOREIGN[name]
    state = jc.init_state(problems.least_squares(), optimizer)
    with pytest.raises(ValueError, match=re.escape("fit: state comes from another optimizer: " + message)):
        jc.fit(problems.least_squares(), jc.adam(0.1), state=state)
    assert traced("run_chunk") == 0


def test_a_state_of_the_same_optimizer_on_other_parameters_is_refused(problems):
    state = jc.init_state(problems.least_squares(), jc.momentum(0.1))
    wrong = state._replace(params={**state.params, "w": jnp.ones(4)})
    with pytest.raises(ValueError, match=r"another problem: its params have shapes .*'w': \(4,\).*'w': \(3,\)"):
        jc.fit(problems.least_squares(), jc.momentum(0.1), state=wrong)


def test_other_numbers_are_no_other_optimizer(problems):
    part = jc.fit(problems.least_squares(), jc.momentum(0.01), batch_size=10, steps=2)
    rest = jc.fit(problems.least_squares(), jc.momentum(0.5), batch_size=10, steps=2, state=part.state)
    np.testing.assert_allclose(rest.history.learning_rate, [0.01, 0.01], rtol=1e-6)  # the state's, as documented


def test_a_state_of_another_problem_is_refused():
    small, large = (jc.problems.linear_regression(num_examples=20, num_features=k) for k in (2, 3))
    state = jc.fit(small, jc.adam(0.1), epochs=1).state
    with pytest.raises(ValueError, match="fit: state comes from another problem: its params have shapes"):
        jc.fit(large, jc.adam(0.1), epochs=1, state=state)


NAMES = ["learning_rate", "gradient_evaluations", "step", "seconds", "loss", "epoch_error", "validation_loss"]


@pytest.mark.parametrize("name", NAMES)
def test_metrics_that_would_hide_something_in_the_history_are_refused(name):
    metrics = {name: lambda outputs, batch: outputs}
    problem = jc.problems.from_arrays(np.eye(6), np.arange(6.0), metrics=metrics, validation=0)
    with pytest.raises(ValueError, match=f"a metric must not be called '{name}'"):
        jc.fit(problem, jc.sgd(0.1), epochs=1)


@pytest.mark.parametrize("name", ["loss", "objective", "examples", "epoch_step"])
@pytest.mark.parametrize("scheduled", [True, False])
def test_hyperparameters_that_would_hide_something_in_the_history_are_refused(problems, name, scheduled):
    def factory(learning_rate, **number):
        return jc.scale_by_learning_rate(learning_rate)

    parameters = [inspect.Parameter(p, inspect.Parameter.POSITIONAL_OR_KEYWORD) for p in ("learning_rate", name)]
    factory.__signature__ = inspect.Signature(parameters)
    tx = jc.optimizer(factory)(0.1, jc.schedules.linear(1.0, 0.5, 9) if scheduled else 1.0)
    message = f"a hyperparameter must not be called '{name}'"
    with pytest.raises(ValueError, match=message):
        jc.fit(problems.least_squares(), tx, batch_size=10, steps=1)
    with pytest.raises(ValueError, match=message):
        jc.minimize(jnp.sum, tx, start=[1.0], steps=1)


def test_a_step_size_may_be_a_hyperparameter(problems):
    history = jc.fit(problems.least_squares(), jc.inject(optax.scale)(-0.01), batch_size=10, steps=2).history
    np.testing.assert_allclose(history.step_size, [-0.01, -0.01], rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda problem: jc.init_state(problem, jc.adam), r"init_state: optimizer must be .* \(call the factory"),
        (lambda problem: jc.init_state(5, jc.adam(0.1)), "init_state: problem must be a jc.Problem .*; got 5"),
    ],
)
def test_a_first_state_is_of_a_problem_and_an_optimizer(problems, call, message):
    with pytest.raises(TypeError, match=message):
        call(problems.least_squares())


def test_keys_of_too_many_bits_are_refused():
    with pytest.raises(ValueError, match=r"key must be .* of 64 bits at most"):
        jc.fit(jc.problems.linear_regression(num_examples=20, num_features=2), jc.sgd(0.1), epochs=1, key=2**70)


FALLING = lambda step: 0.1 * (1 - step / 20)  # for 20 steps; negative from step 21 on
LEAVING = {
    "a rate below 0": (jc.sgd(FALLING), "sgd's learning_rate must be a number >= 0 .* 40 steps; at step 21 it is -0.005"),
    "a momentum above 1": (
        jc.momentum(0.01, jc.schedules.linear(0.5, 1.5, 30)),
        r"momentum's momentum must be a number in \[0, 1\] .* at step 16 it is 1.033",
    ),
    "not a number": (
        jc.adam(0.01, b1=lambda step: jnp.where(step < 39, 0.9, jnp.nan)),
        "adam's b1 must be .* at step 39 it is nan",
    ),
    "inside a chain": (jc.chain(optax.identity(), jc.sgd(FALLING)), "sgd's learning_rate .* at step 21"),
    "a search's number": (
        jc.line_search(jc.linesearch.armijo(c1=jc.schedules.linear(0.1, -0.1, 30))),
        r"search/c1 must be a number in \(0, 1\) .* at step 16 it is -0.006667",
    ),
}


@pytest.mark.parametrize("name", LEAVING)
def test_a_schedule_that_leaves_its_interval_within_the_run_is_refused_before_anything_compiles(problems, traced, name):
    optimizer, message = LEAVING[name]
    with pytest.raises(ValueError, match="fit: .*" + message):
        jc.fit(problems.least_squares(), optimizer, batch_size=10, steps=40)
    assert traced("run_chunk") == 0


def test_a_schedule_may_leave_its_interval_beyond_the_run(problems):
    problem, tx = problems.least_squares(), jc.sgd(FALLING)
    part = jc.fit(problem, tx, batch_size=10, steps=12)
    rest = jc.fit(problem, tx, batch_size=10, steps=9, state=part.state)  # 21 in all, the last at a rate of 0
    assert abs(float(rest.history.learning_rate[-1])) < 1e-8  # 0, to rounding, on either side
    with pytest.raises(ValueError, match="each of the run's 10 steps; at step 21 it is"):
        jc.fit(problem, tx, batch_size=10, steps=10, state=part.state)


def test_a_schedule_counted_by_multi_steps_is_not_judged(problems):
    tx = optax.MultiSteps(jc.sgd(FALLING), 2)
    assert jc.fit(problems.least_squares(), tx, batch_size=10, steps=40).steps == 40


def test_a_schedule_without_a_batched_form_can_be_checked(problems):
    shape = jax.ShapeDtypeStruct((), jnp.float32)
    rate = lambda step: jax.pure_callback(lambda t: np.float32(0.1 / (1 + t)), shape, step)
    assert jc.fit(problems.least_squares(), jc.sgd(rate), batch_size=10, steps=3).steps == 3
