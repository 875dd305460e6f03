"""What ``jc.sweep`` takes: names that something takes and that matter, seeds, options; all else is refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.sweep import spaces, sweep
from jaxopt_course.sweep.matching import match
from jaxopt_course.sweep.sweeping import read_options
from jaxopt_course.training import samplers
from tests.sweep.swept import FAST, runner


def takes_rate(rate):
    return jc.sgd(rate)


@pytest.mark.parametrize(
    ("factory", "axes", "error", "message"),
    [
        (jc.momentum, {"learning_rat": [0.1]}, ValueError, "nothing takes 'learning_rat'; did you mean 'learning_rate'"),
        (jc.sgd, {"learning_rate": [0.1, -1.0]}, ValueError, "learning_rate must be a number >= 0; got -1.0"),
        (jc.momentum, {"momentum": [0.1]}, TypeError, "missing a required argument: 'learning_rate'"),
        (jc.nesterov, {"learning_rate": [0.1], "form": ["x"]}, ValueError, "unknown form 'x'"),
        (jc.sgd(0.1), {"learning_rate": [0.1]}, ValueError, "nothing takes 'learning_rate'"),
        (lambda rate: rate, {"rate": [0.1]}, TypeError, "optimizer must be a gradient transformation"),
        ("sgd", {"learning_rate": [0.1]}, TypeError, "factory must be a function of swept values; got 'sgd'"),
        (lambda rate, unused: jc.sgd(rate), {"rate": [0.1, 0.2], "unused": [0.1, 0.2]}, ValueError, "not depend on 'unused'"),
        (lambda rate, unused: jc.sgd(rate), {"rate": [0.1], "unused": [0.3]}, ValueError, "not depend on 'unused'"),
        (lambda rate, unused: optax.adam(rate), {"rate": [0.1], "unused": [0.3]}, ValueError, "not depend on 'unused'"),
        (lambda rate, name: jc.sgd(rate), {"rate": [0.1], "name": ["a", "b"]}, ValueError, "not depend on 'name'"),
        (lambda rate: jc.sgd(rate if rate > 0.1 else 0.1), {"rate": [0.1, 0.2]}, TypeError, r"rate \(of the optimizer\)"),
        (lambda rate: optax.sgd(float(rate)), {"rate": [0.1, 0.2]}, TypeError, r"spaces.categorical\(\[...\]\)"),
        (takes_rate, {"rate": [0.1], "batch_size": [0]}, ValueError, "batch_size must be an integer from 1 to 37; got 0"),
        (takes_rate, {"rate": [0.1], "batch_size": [99]}, ValueError, "batch_size must be an integer from 1 to 37; got 99"),
        (takes_rate, {"rate": [0.1], "batch_size": [1.5]}, TypeError, "batch_size must be an integer"),
        (lambda batch_size: jc.sgd(0.1), {"batch_size": [5]}, ValueError, "batch_size is taken by optimizer and sweep"),
        (jc.sgd, {"learning_rate": [0.1, 1e300]}, ValueError, r"learning_rate must be finite in float32; got 1e\+300"),
        (dict, {"learning_rate": [0.1]}, TypeError, "factory must be a function with named arguments; got <class 'dict'>"),
        (lambda residual: jc.sgd(residual), {"residual": [0.1]}, ValueError, "not be called 'residual': the problem measures"),
        (lambda test_loss: jc.sgd(test_loss), {"test_loss": [0.1]}, ValueError, "not be called 'test_loss': the problem"),
    ],
)
def test_bad_factories_and_names_are_refused(problems, factory, axes, error, message):
    with pytest.raises(error, match=message):
        sweep(problems.model(), factory, jc.grid(**axes), seeds=1, epochs=1)


def test_an_unused_number_in_an_optimizers_state_does_not_count(problems):
    @jc.optimizer
    def deaf(learning_rate, ignored):
        return jc.sgd(learning_rate)

    with pytest.raises(ValueError, match="the optimizer does not depend on 'ignored'"):
        sweep(problems.model(), deaf, jc.grid(learning_rate=[0.1], ignored=[0.1, 0.2]), **FAST)


def test_a_number_that_matters_from_the_second_step_on_counts(problems):
    found = runner(problems.model(), jc.momentum, jc.grid(learning_rate=[0.1], momentum=[0.1, 0.2]))
    assert found.flow.unused == ()


def test_a_constant_of_an_inner_program_counts(problems):
    def scaled(learning_rate, scale):
        weights = jnp.array([1.0, 2.0]) * scale
        double = jax.jit(lambda leaf: leaf * weights[0])
        return optax.chain(optax.stateless(lambda updates, params: jax.tree.map(double, updates)), jc.sgd(learning_rate))

    assert match(problems.model(), scaled, jc.grid(learning_rate=[0.1], scale=[1, 2]), 10)
    with pytest.raises(ValueError, match="the optimizer does not depend on 'name'"):
        match(problems.model(), lambda name: scaled(0.1, 2), jc.grid(name=["a", "b"]), 10)


def test_a_factory_that_formats_a_traced_float_is_told_what_to_do(problems):
    def factory(rate, name):
        return jc.sgd(rate) if f"{rate:.2f}" else optax.sgd(rate)

    with pytest.raises(TypeError, match="unsupported format") as caught:
        sweep(problems.model(), factory, jc.grid(rate=[0.1, 0.2], name=spaces.categorical([0.5])), **FAST)
    assert any(
        "rate (of the optimizer). If that is why, give the axis as spaces.categorical" in n for n in caught.value.__notes__
    )


def test_programs_of_problems_tell_what_they_depend_on(problems):
    def made(deaf=0, power=2, start=0.5, noise=0.0, weight=0.1, target=1.0):
        def apply(params, model_state, batch, *, key=None, train=False):
            return batch["x"] @ params + (noise * jax.random.normal(key) if train else 0.0), model_state

        squares = lambda outputs, batch: jnp.abs(outputs - target) ** power
        penalty = lambda params: weight * jnp.sum(params**2)
        return jc.Problem(lambda key: (jnp.full(3, float(start)), {}), apply, squares, problems.data(), regularizer=penalty)

    for name, values in {"power": [2, 3], "start": [1, 2], "noise": [1, 2], "weight": [1, 2], "target": [1, 2]}.items():
        assert match(made, jc.sgd(0.1), jc.grid(**{name: values}), 10)
    with pytest.raises(ValueError, match="the problem does not depend on 'deaf'"):
        match(made, jc.sgd(0.1), jc.grid(deaf=[1, 2]), 10)


def test_names_of_the_problem_are_matched_too(problems):
    both = lambda rate: problems.model()
    with pytest.raises(ValueError, match="rate is taken by problem and optimizer"):
        sweep(both, takes_rate, jc.grid(rate=[0.1]), **FAST)
    deaf = lambda depth: problems.model()
    with pytest.raises(ValueError, match="the problem does not depend on 'depth'"):
        sweep(deaf, jc.sgd(0.1), jc.grid(depth=[1, 2]), **FAST)
    with pytest.raises(TypeError, match=r"problem's factory must return a jc\.Problem; got 3"):
        sweep(lambda depth: 3, jc.sgd(0.1), jc.grid(depth=[1, 2]), **FAST)
    noisy = lambda noise: jc.problems.linear_regression(30, 2, noise=noise)
    with pytest.raises(ValueError, match=r"data depend on a float; give that axis as spaces\.categorical"):
        sweep(noisy, jc.sgd(0.1), jc.grid(noise=[0.1, 0.2]), **FAST)


def test_seeds_may_be_an_array():
    for seeds in (np.array([5, 3]), jnp.array([5, 3])):
        assert read_options("sweep", jc.grid(a=[0.1]), seeds, "both", 10, 1, None, None, False, 1, 1e9).seeds == (5, 3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"space": {"learning_rate": [0.1]}}, TypeError, "space must come from jc.grid or jc.spaces"),
        ({"problem": 3}, TypeError, "problem must be a jc.Problem, or a function of swept values; got 3"),
        ({"seeds": 0}, ValueError, "seeds must be an integer >= 1"),
        ({"seeds": []}, ValueError, "seeds must be at least one"),
        ({"seeds": [1, 1]}, ValueError, "each once"),
        ({"seeds": [0.5]}, TypeError, "seeds must be a number of seeds, or integers; got 0.5"),
        ({"seeds": jnp.ones((2, 2), int)}, TypeError, r"seeds must be a number of seeds, or integers; got \[1, 1\]"),
        ({"seeds": jax.random.split(jax.random.key(0))}, TypeError, "seeds must be an integer >= 1; got Array"),
        ({"seeds": [2**70]}, ValueError, "seeds must be integers of 64 bits; got 1180591620717411303424"),
        ({"problem": jc.surfaces.booth}, TypeError, "problem must be a jc.Problem, .*; got a surface: jc.paths sweeps"),
        ({"vary": "initialisation"}, ValueError, "unknown vary 'initialisation'; did you mean 'initialization'"),
        ({"evaluate": "step"}, ValueError, "unknown evaluate 'step'"),
        ({"epochs": 0}, ValueError, "epochs must be an integer >= 1"),
        ({"lanes": 0}, ValueError, "lanes must be an integer >= 1"),
        ({"memory": -1}, ValueError, "memory must be a number > 0"),
        ({"batch_size": 38}, ValueError, "batch_size must be an integer from 1 to 37"),
        ({"sampler": samplers.shuffle}, TypeError, "sampler must be one of jc.samplers"),
        ({"space": jc.grid(learning_rate=[0.1], batch_size=[5]), "batch_size": 5}, ValueError, "batch_size is an axis"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_bad_arguments_are_refused(problems, options, error, message):
    given = {"problem": problems.model(), "factory": jc.sgd, "space": jc.grid(learning_rate=[0.1])} | options
    with pytest.raises(error, match=message):
        sweep(**given)
