"""λR(θ) against NumPy, on a tree with biases at several depths."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.problems import regularizers
from jaxopt_course.problems.regularizers import elastic_net, l1, l2

KERNELS = [np.array([[1.0, -2.0], [0.5, 0.0]], np.float32), np.array([3.0, -0.25], np.float32)]
BIASES = [np.array([5.0], np.float32), np.array([-7.0, 2.0], np.float32)]
PARAMS = {"dense0": {"kernel": KERNELS[0], "bias": BIASES[0]}, "head": [{"w": KERNELS[1], "b": BIASES[1]}]}


def total(measure, arrays):
    return sum(measure(array).sum() for array in arrays)


@pytest.mark.parametrize(("exclude_bias", "arrays"), [(True, KERNELS), (False, KERNELS + BIASES)])
def test_penalties_are_their_equations(exclude_bias, arrays):
    absolute, squares = total(np.abs, arrays), total(np.square, arrays)
    assert l1(0.3, exclude_bias=exclude_bias)(PARAMS) == pytest.approx(0.3 * absolute)
    assert l2(0.3, exclude_bias=exclude_bias)(PARAMS) == pytest.approx(0.3 * squares)
    assert elastic_net(0.3, 0.07, exclude_bias=exclude_bias)(PARAMS) == pytest.approx(0.3 * absolute + 0.07 * squares)


def test_gradients_are_sign_and_twice_the_weight_and_leave_biases_alone():
    by_l1, by_l2 = (jax.grad(penalty)(jax.tree.map(jnp.asarray, PARAMS)) for penalty in (l1(0.3), l2(0.3)))
    np.testing.assert_allclose(by_l1["dense0"]["kernel"], 0.3 * np.sign(KERNELS[0]))
    np.testing.assert_allclose(by_l2["head"][0]["w"], 0.6 * KERNELS[1])
    assert not by_l1["dense0"]["bias"].any()
    assert not by_l2["head"][0]["b"].any()


def test_strengths_are_leaves_so_another_strength_does_not_retrace():
    traces = []

    @jax.jit
    def penalty(regularizer, params):
        traces.append(None)
        return regularizer(params)

    assert penalty(l2(0.5), PARAMS) == 2 * penalty(l2(0.25), PARAMS)
    assert len(traces) == 1
    assert jax.grad(lambda strength: l2(strength)(PARAMS))(0.1) == pytest.approx(total(np.square, KERNELS))


def test_equal_by_value():
    assert l2(0.5) == l2(0.5)
    assert hash(l2(0.5)) == hash(l2(0.25))
    assert l2(0.5) != l2(0.25)
    assert l2(0.5) != l2(0.5, exclude_bias=False)
    assert l2(0.5) != l1(0.5)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf")])
def test_strengths_below_zero_or_not_finite_are_refused(strength):
    with pytest.raises(ValueError, match=r"l2: regularization must be a number >= 0; got"):
        l2(strength)


def test_sums_are_taken_in_float32_where_bfloat16_would_stall():
    params = {"kernel": jnp.full(4096, 1.0, jnp.bfloat16)}
    assert l2(1.0)(params) == 4096


def test_complex_weights_have_real_penalties():
    params = {"kernel": jnp.array([3 + 4j])}
    assert l2(1.0)(params) == pytest.approx(25)
    assert l1(1.0)(params) == pytest.approx(5)


def test_nothing_to_penalise_is_zero():
    assert l2(1.0)({}) == 0
    assert l2(1.0)({"bias": jnp.ones(3)}) == 0
    assert not regularizers.is_bias(())


def test_a_bias_is_known_by_its_own_name_only():
    params = {"bias": {"kernel": jnp.array([2.0])}, "bias_like": jnp.array([3.0])}
    assert l2(1.0)(params) == 13


@pytest.mark.parametrize("bad", [None, "much", [1.0], np.ones(3), 1j])
def test_your_own_must_return_one_real_number(bad):
    problem = jc.problems.linear_regression(30, 3, regularizer=lambda params: bad)
    with pytest.raises(
        TypeError, match=r"^regularizer: <.*<lambda> .* must return one real number; it returns " + re.escape(repr(bad))
    ):
        jc.fit(problem, jc.sgd(0.01), epochs=1)
