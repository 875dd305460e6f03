"""The convex ground truth: closed forms and Newton's minima against NumPy, SciPy and scikit-learn, and what has none."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

import jaxopt_course as jc
from jaxopt_course.problems import (
    Data,
    Problem,
    digits,
    elastic_net,
    from_arrays,
    l1,
    l2,
    least_squares,
    linear_regression,
    logistic_regression,
    losses,
    models,
    tikhonov,
)  # fmt: skip

RNG = np.random.default_rng(7)
X = RNG.normal(size=(40, 3)) * [1.0, 20.0, 0.05] + [3.0, -5.0, 0.5]
Y = X @ np.array([[1.0, -2.0], [0.1, 0.3], [4.0, 7.0]]) + [0.5, -1.5] + 0.3 * RNG.normal(size=(40, 2))
LABELS = RNG.integers(0, 3, 40)


def parts(best):
    return best.params["dense0"]["kernel"], best.params["dense0"]["bias"]


def gradient_norm(problem, params):
    """The norm of the gradient of the problem's own objective, by JAX in float64."""
    with jax.enable_x64(True):
        params, train = (jax.tree.map(widened, tree) for tree in (params, problem.data.train))

        def objective(at):
            penalty = problem.regularizer(at) if problem.regularizer else 0.0
            return problem.objective(at, {}, train).losses.mean() + penalty

        value, gradient = jax.jit(jax.value_and_grad(objective))(params)
        return float(value), float(np.sqrt(sum(np.square(leaf).sum() for leaf in jax.tree.leaves(gradient))))


def widened(leaf):
    return jnp.asarray(leaf, jnp.float64 if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf.dtype)


def test_least_squares_is_numpys():
    kernel, bias = parts(least_squares(X, Y))
    columns = np.column_stack([X, np.ones(len(X))])
    expected, residuals, *_ = np.linalg.lstsq(columns, Y)
    np.testing.assert_allclose(np.concatenate([kernel, bias[None]]), expected, rtol=1e-11)
    assert least_squares(X, Y).objective == pytest.approx(residuals.sum() / len(X), rel=1e-12)


def test_one_target_and_targets_in_a_column_are_the_same_and_fit_the_linear_model():
    best = least_squares(X, Y[:, 0])
    np.testing.assert_array_equal(best.params["dense0"]["kernel"], least_squares(X, Y[:, :1]).params["dense0"]["kernel"])
    predicted = models.linear().apply(best.params, {}, jnp.asarray(X))[0]
    assert np.mean((predicted - Y[:, 0]) ** 2) == pytest.approx(best.objective, rel=1e-5)


def test_of_many_minimisers_it_is_the_one_with_the_smallest_weights():
    wide = np.column_stack([X, X @ [[1.0], [0.2], [-3.0]], np.full(len(X), 2.0)])  # a sum of columns, and a constant
    kernel, bias = parts(least_squares(wide, Y))
    reference = LinearRegression().fit(wide, Y)
    np.testing.assert_allclose(kernel, reference.coef_.T, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(bias, reference.intercept_, rtol=1e-9)
    np.testing.assert_allclose(parts(tikhonov(wide, Y, 1e-10))[0], kernel, atol=1e-5)
    few = parts(least_squares(X[:2], Y[:2]))
    np.testing.assert_allclose(X[:2] @ few[0] + few[1], Y[:2], rtol=1e-10)


def test_least_squares_survives_conditioning_that_the_normal_equations_do_not():
    x = np.vander(np.linspace(0, 1, 30), 9)[:, :-1]  # the normal equations' condition number is 1e11
    weights = np.arange(1.0, 9.0)
    kernel, _ = parts(least_squares(x, x @ weights + 1))
    centred = x - x.mean(axis=0)
    by_normal_equations = np.linalg.solve(centred.T @ centred, centred.T @ (centred @ weights))
    error, theirs = np.abs(kernel[:, 0] - weights).max(), np.abs(by_normal_equations - weights).max()
    assert error < 1e-9
    assert theirs > 1e-6


@pytest.mark.parametrize("regularization", [0.3, 1e-6])
def test_tikhonov_is_ridge_with_n_times_the_strength(regularization):
    kernel, bias = parts(tikhonov(X, Y, regularization))
    reference = Ridge(alpha=regularization * len(X), solver="svd").fit(X, Y)
    np.testing.assert_allclose(kernel, reference.coef_.T, rtol=1e-9)
    np.testing.assert_allclose(bias, reference.intercept_, rtol=1e-9)


def test_tikhonov_can_penalise_the_bias():
    kernel, bias = parts(tikhonov(X, Y, 0.3, exclude_bias=False))
    columns = np.column_stack([X, np.ones(len(X))])
    reference = Ridge(alpha=0.3 * len(X), solver="svd", fit_intercept=False).fit(columns, Y)
    np.testing.assert_allclose(np.concatenate([kernel, bias[None]]), reference.coef_.T, rtol=1e-9)


@pytest.mark.parametrize(("loss", "factor"), [(losses.squared_error, 1.0), (losses.half_squared_error, 2.0)])
def test_a_problems_optimum_is_the_closed_form(loss, factor):
    problem = from_arrays(X, Y, loss=loss, validation=None, regularizer=l2(0.2))
    train = {name: np.asarray(leaf, float) for name, leaf in problem.data.train.items()}
    expected = tikhonov(train["x"], train["y"], factor * 0.2)
    np.testing.assert_allclose(parts(problem.optimum())[0], parts(expected)[0], rtol=1e-10)
    assert problem.optimum().objective == pytest.approx(expected.objective / factor, rel=1e-12)


CONVEX = {
    "least squares": linear_regression(100, 6, 1e4),
    "two targets": from_arrays(X, Y, regularizer=l2(0.1, exclude_bias=False)),
    "logistic": logistic_regression(150, 6, 1e3),
    "logistic, l2": logistic_regression(60, 6, 100.0, regularizer=l2(1e-3)),
    "softmax": from_arrays(X, LABELS, validation=None),
    "softmax, l2": from_arrays(X, LABELS, regularizer=l2(0.02)),
    "softmax, l2 on biases too": from_arrays(X, LABELS, regularizer=l2(0.02, exclude_bias=False)),
    "soft targets": from_arrays(
        X, RNG.dirichlet(np.ones(3), 40), model="softmax", loss=losses.negative_log_likelihood, validation=None
    ),
    "digits": digits(regularizer=l2(1e-3)),
}


@pytest.mark.parametrize("problem", CONVEX.values(), ids=CONVEX)
def test_the_gradient_vanishes_at_the_optimum_which_is_a_tree_like_the_problems_own(problem):
    best = problem.optimum()
    assert jax.tree.map(jnp.shape, best.params) == jax.tree.map(jnp.shape, problem.init(jax.random.key(0))[0])
    assert {leaf.dtype for leaf in jax.tree.leaves(best.params)} == {np.dtype(np.float64)}
    value, norm = gradient_norm(problem, best.params)
    scale = 1 + max(np.abs(leaf).max() for leaf in problem.data.train.values())
    assert norm < 1e-12 * scale
    assert best.gradient_norm < 1e-12 * scale
    assert best.objective == pytest.approx(value, rel=1e-12)


def test_the_solution_does_not_depend_on_jaxs_precision():
    problem = logistic_regression(60, 4, regularizer=l2(0.01))
    best = problem.optimum()
    with jax.enable_x64(True):
        np.testing.assert_array_equal(problem.optimum().params["dense0"]["kernel"], best.params["dense0"]["kernel"])


@pytest.mark.parametrize("classes", [2, 3])
def test_log_linear_models_are_scikit_learns(classes):
    problem = from_arrays(X, LABELS % classes, validation=None, regularizer=l2(0.05))
    x, y = (np.asarray(problem.data.train[name], float) for name in ("x", "y"))
    reference = LogisticRegression(C=1 / (2 * 0.05 * len(x)), solver="newton-cg", tol=1e-12, max_iter=1000).fit(x, y)
    kernel, bias = parts(problem.optimum())
    np.testing.assert_allclose(kernel, reference.coef_.T, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(bias, reference.intercept_, rtol=1e-6, atol=1e-8)


def test_the_chosen_softmax_scores_sum_to_zero():
    kernel, bias = parts(CONVEX["softmax"].optimum())
    np.testing.assert_allclose(kernel.sum(axis=1), 0, atol=1e-12)
    assert bias.sum() == pytest.approx(0, abs=1e-12)


def test_bytes_are_read_as_the_models_read_them():
    images = RNG.integers(0, 256, (30, 2, 2), dtype=np.uint8)
    problem = from_arrays(images, RNG.normal(size=30), validation=None, regularizer=l2(0.01))
    assert gradient_norm(problem, problem.optimum().params)[1] < 1e-13


def test_training_from_the_optimum_stays_there_and_suboptimality_falls_to_zero():
    with jax.enable_x64(True):
        problem = logistic_regression(60, 4, 10.0, regularizer=l2(0.01))
        best = problem.optimum()
        optimizer, full = jc.sgd(1.0), {"sampler": jc.samplers.full(), "steps": 300}
        resting = jc.fit(problem, optimizer, state=jc.init_state(problem, optimizer)._replace(params=best.params), **full)
        np.testing.assert_allclose(resting.params["dense0"]["kernel"], best.params["dense0"]["kernel"], rtol=1e-12)
        suboptimality = jc.fit(problem, optimizer, **full).history.objective - best.objective
        assert suboptimality[0] > 1e-2
        assert (suboptimality > -1e-14).all()
        assert abs(suboptimality[-1]) < 1e-6


def test_mini_batches_suboptimality_is_validated_on_the_training_split():
    problem = linear_regression(60, 4, 10.0)
    watched = dataclasses.replace(problem, data=Data(problem.data.train, validation=problem.data.train))
    history = jc.fit(watched, jc.sgd(0.1), batch_size=10, epochs=30).history
    suboptimality = history.validation_objective - problem.optimum().objective
    assert (suboptimality > -1e-7).all()
    assert suboptimality[-1] < 0.01 * suboptimality[0]


LINE = np.array([[0.0], [1.0], [2.0], [3.0]])
UNSOLVED = {
    "not convex: the model Dense.* has hidden layers": digits(model="mlp"),
    "not known for the model LinenModel": digits(model="convnet"),
    "not known for the model .*loss": Problem.from_loss(lambda w, batch: (batch - w) ** 2, 0.0, jnp.arange(3.0)),
    r"regulariser must be l2 or None; got l1": logistic_regression(30, 2, regularizer=l1(0.1)),
    r"regulariser must be l2 or None; got elastic_net": linear_regression(30, 2, regularizer=elastic_net(0.1, 0.1)),
    "not known for the loss binary_hinge": from_arrays(LINE, [-1, 1, -1, 1], validation=None),
    "the model separates the training labels": from_arrays(LINE, [0, 0, 1, 1], validation=None),
    "separates the training labels .at least some": from_arrays([[0.0], [1], [1], [2]], [0, 0, 1, 1], validation=None),
    "separates .* falls for ever": from_arrays([[0.0], [1], [1], [2], [2], [3]], [0, 0, 1, 1, 2, 2], validation=None),
    "no example of class 0": from_arrays(LINE, [1, 1, 1, 1], validation=None, regularizer=l2(0.1), model="logistic"),
    "no example of class 2": from_arrays(LINE, [0, 3, 0, 1], validation=None, regularizer=l2(0.1)),
}


@pytest.mark.parametrize(("message", "problem"), UNSOLVED.items(), ids=UNSOLVED)
def test_problems_without_a_known_minimum_say_why(message, problem):
    with pytest.raises(ValueError, match=f"(?s)optimum: .*{message}"):
        problem.optimum()


def test_a_missing_class_has_a_minimum_if_its_bias_is_penalised():
    problem = from_arrays(LINE, [0, 3, 0, 1], validation=None, regularizer=l2(0.1, exclude_bias=False))
    assert gradient_norm(problem, problem.optimum().params)[1] < 1e-13


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        ([], [], ValueError, "x must have at least one example"),
        (LINE, [1.0, 2.0], ValueError, "x and y must have the same length; got 4 and 2"),
        (LINE, [1.0, 2.0, np.nan, 0.0], ValueError, r"y must be finite; got nan at y\[2\]"),
        (LINE, list("abcd"), TypeError, "y must be an array of numbers"),
        ([[1.0], [2.0, 3.0]], [1.0, 2.0], TypeError, "x must be an array of numbers"),
    ],
)
def test_bad_arrays_are_refused(x, y, error, message):
    with pytest.raises(error, match=f"least_squares: {message}"):
        least_squares(x, y)


@pytest.mark.parametrize("regularization", [-0.1, np.inf])
def test_bad_strengths_are_refused(regularization):
    with pytest.raises(ValueError, match="tikhonov: regularization must be a number >= 0"):
        tikhonov(LINE, [1.0, 2.0, 3.0, 4.0], regularization)


def test_a_word_is_no_choice_about_the_bias():
    with pytest.raises(TypeError, match="tikhonov: exclude_bias must be True or False; got 'no'"):
        tikhonov(LINE, [1.0, 2.0, 3.0, 4.0], 0.1, exclude_bias="no")


def test_targets_of_many_axes_and_complex_numbers_are_refused():
    with pytest.raises(ValueError, match=r"y must have shape \[n\] or \[n, k\]; got \(3, 2, 2\)"):
        jc.problems.least_squares(np.ones((3, 2)), np.ones((3, 2, 2)))
    with pytest.raises(TypeError, match="x must be an array of numbers: complex numbers"):
        jc.problems.least_squares(1j * np.ones((3, 2)), np.ones(3))
