"""Normalised descent: every step has length α, along the steepest descent [B2]."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc


def step(tx, grads):
    return tx.update(grads, tx.init(jax.tree.map(jnp.zeros_like, grads)))[0]


def test_equation():
    """An independent transcription, and optax's, over a tree."""
    with jax.enable_x64(True):
        g = {"w": np.array([[1.0, -2.0], [0.5, 3.0]]), "b": np.array([0.3, 1e-3])}
        norm = np.sqrt(sum((x**2).sum() for x in g.values()))
        ours = step(jc.normalized_sgd(0.3, eps=0.2), jax.tree.map(jnp.asarray, g))
        jax.tree.map(lambda u, x: np.testing.assert_allclose(u, -0.3 * x / (norm + 0.2), rtol=1e-12), ours, g)
        theirs = step(optax.normalize_by_update_norm(eps=0.2), jax.tree.map(jnp.asarray, g))
        jax.tree.map(lambda u, x: np.testing.assert_allclose(u, -0.3 * x, rtol=1e-12), ours, theirs)


def test_no_direction_has_a_smaller_directional_derivative():
    """∇Lᵀr̂ = ‖∇L‖cos φ is least along −∇L/‖∇L‖."""
    g = jnp.array([3.0, -4.0, 12.0])
    steepest = step(jc.normalized_sgd(1.0), g)
    others = jax.random.normal(jax.random.key(0), (1000, 3))
    others = others / jnp.linalg.norm(others, axis=1, keepdims=True)
    assert float(g @ steepest) == pytest.approx(-13.0, rel=1e-6)
    assert (others @ g > g @ steepest).all()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_length_is_the_rate_at_every_scale(scale):
    """float32's squares would underflow at 1e-30 and overflow at 1e30."""
    assert float(optax.tree.norm(step(jc.normalized_sgd(0.5), scale * jnp.array([3.0, -4.0])))) == pytest.approx(0.5, rel=1e-6)


def test_a_zero_gradient_makes_no_step():
    np.testing.assert_array_equal(step(jc.normalized_sgd(0.5), jnp.zeros(3)), np.zeros(3))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_state_has_the_norm_of_the_whole_gradient(dtype):
    grads = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]], dtype), "b": jnp.array([4.0, -6.0], dtype)}
    tx = jc.normalized_sgd(0.3, eps=0.2)
    state = tx.init(jax.tree.map(jnp.zeros_like, grads))
    before, after = (optax.tree.get(each, "norm") for each in (state, tx.update(grads, state)[1]))
    assert before.dtype == after.dtype == jnp.float32
    assert float(before) == 0
    assert float(after) == pytest.approx(np.sqrt(1 + 4 + 0.25 + 9 + 16 + 36), rel=1e-6)


def test_bad_input():
    with pytest.raises(ValueError, match="eps must be a number >= 0"):
        jc.normalized_sgd(0.1, eps=-1.0)
