"""Products with the lanes' kernels first: the same numbers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_course.problems import models
from jaxopt_course.sweep.products import lanes_first

X = jax.random.normal(jax.random.key(0), (5, 3, 4))
W = jax.random.normal(jax.random.key(1), (7, 4, 6))
FUNCTIONS = {
    "a product": lambda w: X[0] @ w,
    "in an inner program": lambda w: jax.jit(lambda x, w: jnp.tanh(x @ w) @ w.T)(X[0], w),
    "with lanes on both sides": lambda w: (X[0] @ w) @ w.T,
    "a deeper layer": lambda w: jnp.tanh(X[0] @ w) @ (w[:2].T * 2),
    "lanes first already": lambda w: w.T @ X[0].T,
    "batched": lambda w: jnp.einsum("bij,jk->bki", X, w),
    "over two axes": lambda w: jnp.einsum("bij,jk->bk", X, w),
    "in a loop": lambda w: jax.lax.fori_loop(0, 3, lambda i, x: jnp.sin(x @ w @ w.T), X[0]),
    "a derivative": jax.grad(lambda w: jnp.sum(jax.nn.relu(X[0] @ w) ** 2)),
    "several results": lambda w: {"a": X[0] @ w, "b": 2.0, "c": w},
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_results_are_the_same(function):
    across = jax.vmap(function, out_axes=0)
    actual, desired = lanes_first(across, [True], W), across(W)
    assert jax.tree.structure(actual) == jax.tree.structure(desired)
    jax.tree.map(lambda a, d: np.testing.assert_allclose(a, d, rtol=2e-5, atol=1e-6), actual, desired)


def products(function, w=W):
    """The shapes of the first operands of all products."""
    program = jax.make_jaxpr(lambda w: lanes_first(jax.vmap(function), [True], w))(w)
    return [e.invars[0].aval.shape for e in program.eqns if e.primitive.name == "dot_general"]


def test_the_lanes_kernels_are_first():
    assert products(FUNCTIONS["a product"]) == [W.shape]
    assert products(FUNCTIONS["lanes first already"]) == [(7, 6, 4)]
    assert products(FUNCTIONS["in an inner program"])[0] == W.shape
    assert products(FUNCTIONS["a deeper layer"]) == [W.shape, (7, 6, 2)]
    shared = lambda w: (X[0] @ X[1].T).sum() + w.sum()
    assert products(shared) == [X[0].shape]


def test_so_are_those_of_models_which_have_a_derivative_of_their_own():
    x, kernels = jnp.ones((3, 40)), jnp.ones((7, 40, 2))
    assert products(lambda kernel: models.product(x, kernel), kernels) == [kernels.shape]
