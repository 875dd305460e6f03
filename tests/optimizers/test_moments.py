"""The moving average in one number: as exact as β·old + (1 − β)·new, and β = 0 forgets everything."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.optimizers.moments import average


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1, 0.5, 0.9, 0.999, 0.99999])
def test_an_average_is_exact_to_rounding_of_its_terms(decay, compiled):
    random = np.random.default_rng(0)
    old, new = (random.normal(size=1000).astype(np.float32) * 10.0 ** random.uniform(-6, 6, 1000) for _ in range(2))
    old, new = old.astype(np.float32), new.astype(np.float32)
    rest = np.float32(1) - np.float32(decay)
    got = (jax.jit(average) if compiled else average)(jnp.array(old), jnp.array(new), jnp.array(rest))
    exact = old.astype(np.float64) * (1 - np.float64(rest)) + new.astype(np.float64) * np.float64(rest)
    terms = np.abs(old) + np.float64(rest) * np.abs(new)  # what may round: old, and its product with the rest
    np.testing.assert_array_less(np.abs(np.asarray(got, np.float64) - exact), 1.5e-7 * terms)


@pytest.mark.parametrize("compiled", [False, True])
def test_without_memory_the_average_is_the_new_value_whatever_was_before(compiled):
    old, new = jnp.array([1e20, -3.0, 1.0, 0.0]), jnp.array([1e-20, 2.0, 1e-12, -5.0])
    got = (jax.jit(average) if compiled else average)(old, new, jnp.array(1.0))
    np.testing.assert_array_equal(got, new)


@pytest.mark.parametrize("factory", [jc.adam, jc.amsgrad, jc.adamax, jc.nadam])
def test_adam_and_kin_without_momentum_see_a_gradient_that_is_tiny_after_a_huge_one(factory):
    tx = factory(1.0, b1=0.0, b2=0.5)
    _, state = tx.update(jnp.array([1e8]), tx.init(jnp.zeros(1)))
    _, state = tx.update(jnp.array([1e-8]), state)
    (m,) = (leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state) if jax.tree_util.keystr(path).endswith(".m"))
    np.testing.assert_array_equal(m, jnp.array([1e-8]))
