"""Balanced and importance sampling: unbiased to rounding, balanced, and as frequent as they say."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.training import samplers as sampling
from tests.training.drawn import LABELS, SCORES, N, bound, chi_square, draws


def per_example_gradients(problem, params):
    """∇ℓ_i in float64, [n, 4], by hand."""
    data = jax.tree.map(lambda x: np.asarray(x, np.float64), problem.data.train)
    x = np.column_stack([data["x"], np.ones(len(data["x"]))])
    return 2 * (x @ np.append(params["w"], params["b"]) - data["y"])[:, None] * x


STATIC = {
    "importance": jc.samplers.importance(SCORES, floor=0.2),
    "importance, no floor": jc.samplers.importance(SCORES, floor=0.0),
    "importance, a list with a zero": jc.samplers.importance([0.0, *SCORES[1:]]),
    "importance, all floor": jc.samplers.importance(SCORES, floor=1.0),
    "balanced": jc.samplers.balanced(LABELS, unbiased=True),
}


def test_scores_of_any_size_are_relative():
    largest = np.finfo(float).max
    for size in (largest, largest / 1e300, 5e-324):
        sampler = jc.samplers.importance(np.full(1080, size))
        np.testing.assert_allclose(sampler.probabilities, 1 / 1080, rtol=1e-12)
        np.testing.assert_allclose(sampler.factors, 1, rtol=1e-12)


@pytest.mark.parametrize("name", STATIC)
def test_weights_make_up_for_probabilities_exactly(problems, name):
    """Σ p_i m · w_i ∇ℓ_i = ∇L over all examples, one by one."""
    sampler, problem, m = bound(STATIC[name]), problems.least_squares(), 5
    gradients = per_example_gradients(problem, problems.start)
    weights = sampler.factors / m
    assert sampler.probabilities.sum() == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(
        np.sum((m * sampler.probabilities * weights)[:, None] * gradients, 0), gradients.mean(0), rtol=1e-12
    )


@pytest.mark.parametrize("name", STATIC)
def test_the_weights_of_a_batch_are_1_over_n_p_m_the_ragged_one_by_what_it_has(name):
    sampler = bound(STATIC[name])
    rows = draws(sampler, 5, 3)
    m = np.tile([5] * 7 + [2], 3)[:, None]
    expected = np.where(np.arange(5) < m, 1 / (N * sampler.probabilities[rows.indices] * m), 0)
    np.testing.assert_allclose(rows.weights, expected, rtol=1e-12)
    dropped = sampling.plan("test", sampler, N, 5, True)
    assert dropped.steps_per_epoch == 7
    rows = dropped.rows(0, 14)
    np.testing.assert_allclose(rows.weights, 1 / (N * sampler.probabilities[rows.indices] * 5), rtol=1e-12)


@pytest.mark.parametrize("name", STATIC)
def test_the_mean_over_many_batches_is_the_gradient(problems, name):
    """Within five standard errors, and the weights do matter: the plain means of the same draws are farther off."""
    sampler, gradients = bound(STATIC[name]), per_example_gradients(problems.least_squares(), problems.start)
    rows = draws(sampler, 37, 3000)
    estimates = np.einsum("sb,sbd->sd", rows.weights, gradients[rows.indices])
    off = np.abs(estimates.mean(0) - gradients.mean(0))
    error = estimates.std(0) / np.sqrt(len(estimates))
    assert (off < 5 * error).all()
    if name != "importance, all floor":
        plain = gradients[rows.indices].mean((0, 1))
        assert (np.abs(plain - gradients.mean(0)) > 5 * error).any()


@pytest.mark.parametrize("name", [name for name in STATIC if name != "balanced"])
def test_examples_are_drawn_as_often_as_their_scores_say(name):
    sampler = bound(STATIC[name])
    indices = draws(sampler, 37, 1000).indices
    assert chi_square(indices, sampler.probabilities) > 0.001
    if "all" not in name:
        assert chi_square(indices, np.full(N, 1 / N)) < 1e-9  # the test can tell


def test_the_floor_bounds_probabilities_from_below_and_weights_from_above():
    sampler = bound(jc.samplers.importance([0.0] * 30 + [1e-9] * 6 + [1.0], floor=0.25))
    p = sampler.probabilities
    np.testing.assert_allclose(p, 0.75 * sampler.scores / sampler.scores.sum() + 0.25 / N, rtol=1e-14)
    assert p.min() >= 0.25 / N
    assert sampler.factors.max() <= 1 / 0.25
    counts = np.bincount(draws(sampler, 37, 400).indices.ravel(), minlength=N)
    assert (counts > 0).all()


@pytest.mark.parametrize("unbiased", [False, True])
def test_batches_have_each_class_equally_often(unbiased):
    sampler = bound(jc.samplers.balanced(LABELS, unbiased=unbiased))
    rows = draws(sampler, 6, 40)
    whole = rows.indices.reshape(40, 7, 6)[:, :6]
    for batch in LABELS[whole].reshape(-1, 6):
        assert sorted(batch) == [-1, -1, 2, 2, 5, 5]
    assert len({tuple(batch) for batch in LABELS[whole].reshape(-1, 6)}) > 30  # and in a random order
    if not unbiased:
        assert sampler.factors is None
        np.testing.assert_array_equal(np.unique(rows.weights), [0, 1 / 6, 1])


def test_within_a_class_draws_are_even():
    sampler = bound(jc.samplers.balanced(LABELS))
    indices = draws(sampler, 36, 2000).indices.reshape(2000, 2, 36)[:, 0]
    counts = np.bincount(indices.ravel(), minlength=N)
    np.testing.assert_allclose(counts[LABELS == 2], 2000 * 4)  # 12 places, 3 examples: passes of all three
    mean = 2000 * 36 * sampler.probabilities
    np.testing.assert_allclose(mean, 2000 * 12 / np.sum(LABELS[:, None] == LABELS, 0))
    assert (np.abs(counts - mean) < 5 * np.sqrt(mean)).all()


def test_balanced_minimises_the_balanced_risk_and_the_plain_one_if_unbiased():
    """Two classes, 1 and 9 of 10, that pull to 0 and to 1."""
    data = {"x": np.r_[0.0, np.ones(9)], "y": np.r_[0, np.ones(9, int)]}
    problem = jc.Problem.from_loss(lambda w, batch: (batch["x"] - w) ** 2, 0.3, data)
    ends = {}
    for unbiased in (False, True):
        sampler, rate = jc.samplers.balanced(unbiased=unbiased), jc.schedules.time_based(0.5, 1.0)
        ends[unbiased] = float(jc.fit(problem, jc.sgd(rate), batch_size=10, steps=800, sampler=sampler).params)
    assert ends[False] == pytest.approx(0.5, abs=0.01)
    assert ends[True] == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("labels", [[0, 1, 1, 0, 1, 1], [True, False] * 3, [1.0, -1.0] * 3, jnp.array([3, 3, 3, 3, 3, 0])])
def test_labels_are_any_whole_numbers(labels):
    order = bound(jc.samplers.balanced(labels), n=6).order(np.random.default_rng(0), 6)
    assert np.sum(np.asarray(labels)[order] == np.asarray(labels)[0]) == 3


def test_a_fit_by_importance_is_a_numpy_loop_with_its_rows(problems, gradient):
    problem, steps = problems.least_squares(), 20
    sampler = jc.samplers.importance(np.sum(np.asarray(problem.data.train["x"]) ** 2, 1))
    result = jc.fit(problem, jc.sgd(0.02), batch_size=10, steps=steps, sampler=sampler, key=2)
    words = tuple(int(word) for word in jax.random.key_data(result.state.key))
    rows = sampling.plan("test", sampler, N, 10, seed=words).rows(0, steps)
    params = np.append(problems.start["w"], problems.start["b"]).astype(float)
    for step in range(steps):
        gradients = per_example_gradients(problem, {"w": params[:3], "b": params[3]})
        params -= 0.02 * rows.weights[step] @ gradients[rows.indices[step]]
    np.testing.assert_allclose([*result.params["w"], result.params["b"]], params, rtol=1e-4)


BAD_SCORES = {
    "negative floor": (SCORES, -0.1, ValueError, "floor must be a number in [0, 1]; got -0.1"),
    "floor over 1": (SCORES, 1.1, ValueError, "floor must be a number in [0, 1]; got 1.1"),
    "floor True": (SCORES, True, TypeError, "floor must be a number in [0, 1]; got True"),
    "no floor, a score of 0": ([1.0, 0.0], 0, ValueError, "floor must be > 0 where a score is 0"),
    "no floor, losses": ("loss", 0.0, ValueError, "floor must be > 0 with score='loss'"),
    "a word": ("losses", 0.1, ValueError, "score must be 'loss' or one number for each example; got 'losses'"),
    "none": (None, 0.1, TypeError, "score must be a number >= 0; got None"),
    "a number": (3.0, 0.1, ValueError, "score must be a 1-D array, one number for each example; got shape ()"),
    "NaN": ([1.0, np.nan], 0.1, ValueError, "score must be a number >= 0; got [1.0, nan]"),
    "infinite": ([1.0, np.inf], 0.1, ValueError, "score must be a number >= 0; got [1.0, inf]"),
    "negative": ([1.0, -1.0], 0.1, ValueError, "score must be a number >= 0; got [1.0, -1.0]"),
    "all zero": ([0.0, 0.0], 0.1, ValueError, "with a positive sum; got [0.0, 0.0]"),
    "empty": ([], 0.1, ValueError, "with a positive sum; got []"),
    "a matrix": (np.ones((3, 2)), 0.1, ValueError, "score must be a 1-D array, one number for each example; got shape (3, 2)"),
}


@pytest.mark.parametrize("name", BAD_SCORES)
def test_bad_scores_and_floors_are_refused(name):
    score, floor, error, message = BAD_SCORES[name]
    with pytest.raises(error, match=re.escape("samplers.importance: ") + ".*" + re.escape(message)):
        jc.samplers.importance(score, floor)


def labelled(labels):
    return jc.Problem.from_loss(lambda w, b: (b["x"] - w) ** 2, 0.0, {"x": np.arange(6.0), "y": np.asarray(labels)})


def unlabelled(data):
    return jc.Problem.from_loss(lambda w, b: sum((leaf - w) ** 2 for leaf in jax.tree.leaves(b)), 0.0, data)


BALANCED, PLAIN = jc.samplers.balanced(), labelled(range(6))
UNSUITED = {
    "scores of another length": (PLAIN, jc.samplers.importance([1.0, 2.0]), "needs one score for each of 6 examples; got 2"),
    "labels of another length": (PLAIN, jc.samplers.balanced([0, 1]), "one label for each of 6 examples; got shape (2,)"),
    "one-hot labels": (labelled(np.eye(6)), BALANCED, "needs one label for each of 6 examples; got shape (6, 6)"),
    "targets": (labelled(np.arange(6) + 0.5), BALANCED, "needs class labels, which are integers; got float"),
    "NaN": (labelled([0, 1, 0, 1, 0, np.nan]), BALANCED, "needs class labels, which are integers; got float"),
    "words": (PLAIN, jc.samplers.balanced(list("aabbcc")), "needs class labels, which are integers; got <U1"),
    "no dict": (unlabelled(np.ones(6)), BALANCED, "needs labels: the data have no 'y'"),
    "no y": (unlabelled({"x": np.ones(6)}), BALANCED, "needs labels: the data have no 'y'"),
}


@pytest.mark.parametrize("name", UNSUITED)
def test_a_sampler_that_does_not_suit_the_data_is_refused(traced, name):
    problem, sampler, message = UNSUITED[name]
    with pytest.raises(ValueError, match="^fit: samplers.*" + re.escape(message)):
        jc.fit(problem, jc.sgd(0.1), sampler=sampler)
    assert traced("run_chunk") == 0


WEIGHING = [jc.samplers.importance(), jc.samplers.importance(SCORES), jc.samplers.balanced(LABELS, unbiased=True)]


@pytest.mark.parametrize("sampler", WEIGHING, ids=lambda sampler: type(sampler).__name__)
@pytest.mark.parametrize("kind", ["scalar", "statistics"])
def test_where_examples_depend_on_their_batch_weights_are_refused(problems, traced, sampler, kind):
    problem = problems.least_squares(scalar=True) if kind == "scalar" else problems.model("statistics")
    with pytest.raises(ValueError, match=r"fit: sampler must not weigh the examples of .* losses depend on their batch"):
        jc.fit(problem, jc.sgd(0.1), sampler=sampler)
    assert traced("run_chunk") == 0


def test_balance_needs_no_weights_there(problems):
    result = jc.fit(
        problems.least_squares(scalar=True), jc.sgd(0.01), batch_size=6, epochs=2, sampler=jc.samplers.balanced(LABELS)
    )
    assert result.steps == 12


@pytest.mark.parametrize("bad", [1, "yes", None])
def test_yes_or_no_is_a_bool(problems, bad):
    with pytest.raises(TypeError, match=f"samplers.balanced: unbiased must be True or False; got {bad!r}"):
        jc.samplers.balanced(LABELS, unbiased=bad)
    with pytest.raises(TypeError, match=f"fit: drop_remainder must be True or False; got {bad!r}"):
        jc.fit(problems.least_squares(), jc.sgd(0.1), drop_remainder=bad)
