"""The mini-batch gradient's error is σ/√m, with the finite-population factor where nothing is drawn twice [F3]."""

import jax
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.theory import measured_error, standard_error
from jaxopt_course.training.samplers import plan

N = 240


def gradients():
    """Of each example, of the softmax loss on real digits at an initial point; flat."""
    problem = jc.problems.digits(model="softmax")
    batch = jax.tree.map(lambda leaf: leaf[:N], problem.data.train)
    params, state = problem.init(jax.random.key(3))
    loss = lambda p, one: problem.objective(p, state, jax.tree.map(lambda leaf: leaf[None], one), train=True).losses[0]
    each = jax.vmap(jax.grad(loss), (None, 0))(params, batch)
    return np.concatenate([np.asarray(leaf, float).reshape(N, -1) for leaf in jax.tree.leaves(each)], axis=1)


GRADIENTS = gradients()


def batches(sampler, batch_size, draws=6000):
    return plan("test", sampler, N, batch_size, seed=(0,)).rows(0, draws).indices


def test_the_formula_is_the_exact_mean_over_all_batches():
    """Every batch of two out of four, in NumPy."""
    g = np.array([[1.0, 0.0], [2.0, -1.0], [3.0, 5.0], [6.0, 2.0]])
    pairs = [(i, j) for i in range(4) for j in range(4)]
    for replace in (True, False):
        drawn = [pair for pair in pairs if replace or pair[0] != pair[1]]
        squares = [((g[list(pair)].mean(axis=0) - g.mean(axis=0)) ** 2).sum() for pair in drawn]
        assert standard_error(g, 2, replace=replace) == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-12)
        assert measured_error(g, drawn) == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-12)


def test_noise_halves_when_the_batch_quadruples():
    sizes = [3, 12, 48]  # they divide n, so that no batch is padded
    errors = [measured_error(GRADIENTS, batches(jc.samplers.uniform(), m)) for m in sizes]
    np.testing.assert_allclose(np.array(errors[:-1]) / errors[1:], 2, rtol=0.03)
    np.testing.assert_allclose(errors, standard_error(GRADIENTS, sizes), rtol=0.03)


def test_without_replacement_the_finite_population_factor_makes_it_smaller():
    for m in (4, 60, 120):
        measured = measured_error(GRADIENTS, batches(jc.samplers.shuffle(), m))
        assert measured == pytest.approx(float(standard_error(GRADIENTS, m, replace=False)), rel=0.03)
        factor = np.sqrt((N - m) / (N - 1))
        assert measured == pytest.approx(factor * float(standard_error(GRADIENTS, m)), rel=0.03)
    assert standard_error(GRADIENTS, N, replace=False) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: standard_error(GRADIENTS, 0), "batch_size must be integers >= 1; got 0"),
        (lambda: standard_error(GRADIENTS, 1.5), "batch_size must be integers >= 1; got 1.5"),
        (lambda: standard_error(GRADIENTS, [2, 241], replace=False), "batch_size must be integers from 1 to 240"),
        (lambda: standard_error(GRADIENTS, 2, replace="no"), "replace must be True or False; got 'no'"),
        (lambda: standard_error(1.0, 2), r"gradients must have one row for each example, \[n, ...\]; got shape \(\)"),
        (lambda: standard_error([np.nan, 1.0], 2), "gradients must be finite numbers"),
        (lambda: measured_error(GRADIENTS, [[0, 240]]), r"batches must be indices from 0 to 239, \[draws, m\]"),
        (
            lambda: measured_error(GRADIENTS, [[1, 2], [3]]),
            r"batches must be of one size, \[draws, m\]; got \[\[1, 2\], \[3\]\]",
        ),
        (lambda: measured_error(GRADIENTS, [0, 1]), "batches must be indices"),
        (lambda: measured_error(GRADIENTS, [[0.5]]), "batches must be indices"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
