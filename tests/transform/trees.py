"""Parameters of two shapes, their gradients, and a step with them."""

import jax.numpy as jnp

PARAMS = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.array([0.1, -0.7])}
GRADS = {"w": jnp.array([[0.3, -0.2], [1.5, 0.7]]), "b": jnp.array([-0.4, 0.9])}


def step(tx, state, params=PARAMS):
    return tx.update(GRADS, state, params)
