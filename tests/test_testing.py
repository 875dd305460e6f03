"""The laws catch what breaks them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.testing import FACTORY_LAWS, LAWS, check_factory, check_optimizer


def stateless(function):
    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), function)


def each(function):
    return stateless(lambda g, s, p=None, **extra: (jax.tree.map(function, g), s))


def counting(function):
    """An optimizer with a counter that ``function(count)`` advances."""
    return optax.GradientTransformation(
        lambda params: jnp.zeros((), jnp.int32), lambda g, s, p=None: (jax.tree.map(lambda x: -0.1 * x, g), function(s))
    )


def forgetful():
    """Wants to see no foreign argument."""
    return optax.GradientTransformationExtraArgs(
        lambda params: (),
        lambda g, s, p=None, *, value=0.0, grad=None, value_fn=None: (jax.tree.map(lambda x: -0.1 * x, g), s),
    )


def retracing():
    """Carries its step number in its state's structure."""
    return optax.GradientTransformation(
        lambda params: {"0": jnp.zeros(())},
        lambda g, s, p=None: (jax.tree.map(lambda x: -0.1 * x, g), {str(int(next(iter(s))) + 1): jnp.zeros(())}),
    )


def noisy():
    """Random at every call, whatever its state."""
    rng = np.random.default_rng(0)
    return each(lambda x: -0.1 * x * (1 + rng.random()))


@jc.optimizer
def sharp_root(learning_rate):
    """Differentiates √ at 0."""
    return each(lambda g: -learning_rate * g / (jnp.sqrt(g * g) + 1e-3))


def frozen(learning_rate):
    """Holds its number itself: not what ``set_hyperparams`` sets, and a new program for each."""
    return each(lambda g: -learning_rate * g)


@jc.optimizer
def rate_is_ignored_when_batched(learning_rate):
    @jax.custom_batching.custom_vmap
    def rate(value):
        return value

    @rate.def_vmap
    def rate_of_many(size, batched, values):
        return jnp.full_like(values, 0.05), True

    return each(lambda g: -rate(learning_rate) * g)


def growing():
    """Steps further at every call, whatever its state."""
    calls = itertools.count(1)

    def update(g, s, p=None, **extra):
        factor = -0.01 * next(calls)
        return jax.tree.map(lambda x: factor * x, g), s

    return stateless(update)


BREAKERS = {
    "state_keeps_its_form": counting(lambda s: s.astype(jnp.float32) + 1),
    "second_call_does_not_retrace": retracing(),
    "jit_equals_eager": noisy(),
    "vmap_over_hyperparams_equals_a_loop": rate_is_ignored_when_batched(0.1),
    "updates_keep_the_dtype": each(lambda g: (-0.1 * g).astype(jnp.float32)),
    "complex_parameters_descend": each(lambda g: -0.1 * g.real),
    "any_tree_will_do": each(lambda g: -0.1 * g[0]),
    "foreign_arguments_are_ignored": forgetful(),
    "chain_is_associative": growing(),
    "a_convex_quadratic_decreases": each(lambda g: 0.1 * g),
    "derivatives_are_finite": sharp_root(0.1),
}


@pytest.mark.parametrize("law", LAWS)
def test_each_law_catches_its_breaker(law):
    with pytest.raises((AssertionError, TypeError, IndexError)):
        LAWS[law](BREAKERS[law])


def test_laws_pass_an_optimizer_of_optax():
    check_optimizer(optax.rmsprop(0.01, eps=1e-3), exceptions={"derivatives_are_finite": "√ at 0", "chain_is_associative": ""})


def test_a_note_names_the_law_whatever_is_raised():
    one_array = optax.GradientTransformation(jnp.zeros_like, lambda g, s, p=None: (-0.1 * g, s))
    with pytest.raises(TypeError) as caught:
        check_optimizer(one_array)
    assert "the law that does not hold is state_keeps_its_form. Structure, shapes" in caught.value.__notes__[0]


def test_exceptions_must_be_laws():
    with pytest.raises(ValueError, match="no such law: gravity"):
        check_optimizer(jc.sgd(0.1), exceptions=["gravity"])


def test_a_factory_that_holds_its_numbers_is_caught():
    with pytest.raises(AssertionError, match="another update"):
        FACTORY_LAWS["numbers_make_no_new_program"](frozen, {"learning_rate": 0.1}, {})


def test_an_argument_without_effect_is_caught():
    @jc.optimizer
    def padded(learning_rate, useless=0.5):
        return jc.sgd(learning_rate)

    changes = {"learning_rate": ({"learning_rate": 0.1}, 0.2), "useless": ({"learning_rate": 0.1}, 0.7)}
    with pytest.raises(AssertionError, match=r"useless=0\.7 changes nothing"):
        check_factory(padded, {"learning_rate": 0.1}, changes)


def test_an_argument_that_is_not_listed_is_caught():
    with pytest.raises(AssertionError, match="listed"):
        check_factory(jc.momentum, {"learning_rate": 0.1}, {"learning_rate": ({"learning_rate": 0.1}, 0.2)})


def test_a_factory_that_tells_numbers_from_schedules_is_caught():
    def choosy(learning_rate):
        return jc.sgd(0.5 * learning_rate if isinstance(learning_rate, float) else learning_rate)

    with pytest.raises(AssertionError, match=r"learning_rate as .* differs"):
        FACTORY_LAWS["numbers_arrays_and_schedules_agree"](choosy, {"learning_rate": 0.1}, {})
