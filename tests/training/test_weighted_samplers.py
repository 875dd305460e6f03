"""Balanced and importance sampling: unbiased to rounding, balanced, as frequent as they say, and learning inside the loop."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxopt_course as jc
from jaxopt_course.problems.objective import Data
from jaxopt_course.training import run as engine
from jaxopt_course.training import samplers as sampling
from jaxopt_course.training.chunk import DRAWS

N = 37
DRAW = jax.jit(sampling.ByLoss.draw, static_argnums=3)
SCORES = np.random.default_rng(8).gamma(0.7, size=N)
LABELS = np.repeat([5, -1, 2], [24, 10, 3])[np.random.default_rng(9).permutation(N)]


def bound(sampler, n=N, data=None):
    return sampling.plan("test", sampler, n, 5, data=data).sampler


def draws(sampler, m, epochs, n=N, seed=(3, 4)):
    plan = sampling.plan("test", sampler, n, m, seed=seed)
    return plan.rows(0, epochs * plan.steps_per_epoch)


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


def chi_square(indices, probabilities):
    """The p-value of these draws, whose rare examples are counted together."""
    order = np.argsort(probabilities)
    expected, counts = probabilities[order] * indices.size, np.bincount(indices.ravel(), minlength=len(order))[order]
    groups = np.minimum(np.cumsum(expected) // 20, 10**9)
    _, group = np.unique(groups, return_inverse=True)
    return scipy.stats.chisquare(np.bincount(group, counts), np.bincount(group, expected)).pvalue


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


# Scores that are losses


def test_probabilities_and_factors_are_what_they_say_to_rounding():
    """All draws' factors, against the equation in float64; Σ p_i (n p_i)⁻¹ = 1."""
    sampler = jc.samplers.importance(floor=0.15)
    scores = jnp.asarray(SCORES).at[4].set(0.0)
    indices, factors = DRAW(sampler, jax.random.key(1), scores, 4000)
    exact = np.asarray(scores, np.float64)
    p = 0.85 * exact / exact.sum() + 0.15 / N
    np.testing.assert_allclose(factors, 1 / (N * p[indices]), rtol=2e-6)
    assert set(np.unique(indices)) == set(range(N))
    with jax.enable_x64(True):
        indices, factors = DRAW(sampler, jax.random.key(1), jnp.asarray(exact), 4000)
        np.testing.assert_allclose(factors, 1 / (N * p[indices]), rtol=1e-14)


@pytest.mark.parametrize("n", [1, 5, 8, 9, 64, 65, 700])
def test_draws_in_the_loop_are_as_frequent_as_the_scores_say(n):
    scores = np.random.default_rng(n).gamma(0.5, size=n) * (np.arange(n) % 3 != 1)
    sampler = jc.samplers.importance(floor=0.1)
    indices, _ = DRAW(sampler, jax.random.key(n), jnp.asarray(scores, jnp.float32), 40_000)
    p = 0.9 * scores / scores.sum() + 0.1 / n
    assert chi_square(np.asarray(indices), p) > 0.001 if n > 1 else np.all(indices == 0)


def test_examples_without_a_score_are_drawn_by_the_floor_alone():
    scores = jnp.zeros(600).at[77].set(3.0)
    indices, factors = DRAW(jc.samplers.importance(floor=1e-9), jax.random.key(0), scores, 10_000)
    assert set(np.asarray(indices)) == {77}
    np.testing.assert_allclose(factors, 1 / 600, rtol=1e-6)


def test_draws_are_even_when_nothing_is_left_to_learn():
    indices, factors = DRAW(jc.samplers.importance(), jax.random.key(0), jnp.zeros(20), 10_000)
    np.testing.assert_array_equal(factors, 1)
    assert chi_square(np.asarray(indices), np.full(20, 0.05)) > 0.001


def test_scores_become_the_losses_seen_and_keep_the_rest():
    update = jc.samplers.importance().update
    scores = update(jnp.ones(6), jnp.array([4, 1, 1, 2, 0, 6]), jnp.array([0.5, 3.0, 2.0, -1.0, jnp.inf, 9.0]))
    np.testing.assert_array_equal(scores, [1, 3, 0, 1, 0.5, 1])  # nothing is learnt from what is not finite


def replay(problem, key, steps, m, floor, rate):
    """The same descent in NumPy, float64: own scores, probabilities, weights; only the draws are replayed."""
    data = jax.tree.map(lambda x: np.asarray(x, np.float64), problem.data.train)
    x = np.column_stack([data["x"], np.ones(N)])
    theta = np.append(problem.init(None)[0]["w"], problem.init(None)[0]["b"]).astype(float)
    scores, sampler = np.ones(N), jc.samplers.importance(floor=floor)
    losses, per_epoch = [], -(-N // m)
    for step in range(steps):
        draw_key = jax.random.fold_in(jax.random.fold_in(key, DRAWS), step)
        indices = np.asarray(DRAW(sampler, draw_key, jnp.asarray(scores), m)[0])
        if step % per_epoch == per_epoch - 1 and N % m:
            indices = indices[: N % m]
        p = (1 - floor) * scores[indices] / scores.sum() + floor / N
        weights = 1 / (N * p * len(indices))
        residuals = x[indices] @ theta - data["y"][indices]
        losses.append(weights @ residuals**2)
        theta = theta - rate * 2 * (weights * residuals) @ x[indices]
        scores[indices] = residuals**2
    return theta, scores, losses


def wide(problems):
    """The tests' least squares in the default precision."""
    data = jax.tree.map(lambda x: jnp.asarray(np.asarray(x, np.float64)), problems.data().train)
    start = jax.tree.map(np.float64, problems.start)
    return jc.Problem.from_loss(lambda p, b: (b["x"] @ p["w"] + p["b"] - b["y"]) ** 2, start, Data(data))


def test_learning_in_the_loop_is_a_numpy_loop_that_replays_the_draws(problems):
    m = 12  # epochs of 12, 12, 12 and 1
    with jax.enable_x64(True):
        sampler = jc.samplers.importance(floor=0.3)
        result = jc.fit(wide(problems), jc.sgd(0.01), batch_size=m, steps=21, sampler=sampler, key=5)
        theta, scores, losses = replay(wide(problems), result.state.key, 21, m, 0.3, 0.01)
        np.testing.assert_allclose([*result.params["w"], result.params["b"]], theta, rtol=1e-11)
        np.testing.assert_allclose(result.state.sampler, scores, rtol=1e-11)
        np.testing.assert_allclose(result.history.loss, losses, rtol=1e-11)
        assert len(np.unique(np.asarray(result.state.sampler))) > 15


@pytest.mark.parametrize("first", [3, 8, 21])
def test_a_run_that_learns_goes_on_exactly(problems, first):
    fit = lambda steps, **options: jc.fit(
        problems.least_squares(), jc.momentum(0.01), batch_size=5, steps=steps, sampler=jc.samplers.importance(), **options
    )
    whole, part = fit(30, key=3), fit(first, key=3)
    before = np.array(part.state.sampler)
    rest = fit(30 - first, state=part.state)
    jax.tree.map(np.testing.assert_array_equal, rest.state._replace(key=0), whole.state._replace(key=0))
    np.testing.assert_array_equal(np.r_[part.history.loss, rest.history.loss], whole.history.loss)
    np.testing.assert_array_equal(part.state.sampler, before)  # left intact
    assert not np.array_equal(whole.params["w"], fit(30, key=4).params["w"])


def test_chunks_are_invisible_to_a_sampler_that_learns(problems, monkeypatch):
    fit = lambda: jc.fit(
        problems.least_squares(), jc.momentum(0.01), batch_size=5, steps=40, sampler=jc.samplers.importance(), evaluate=None
    )
    whole = fit()
    monkeypatch.setattr(engine, "LOOK_EVERY", 1e-9)
    monkeypatch.setattr(engine, "FIRST", 1)
    looked = fit()
    assert len(looked.log.steps) == 40
    jax.tree.map(np.testing.assert_array_equal, looked.state._replace(key=0), whole.state._replace(key=0))


def test_what_a_sampler_learnt_is_left_behind_with_it(problems):
    problem = problems.least_squares()
    learnt = jc.fit(problem, jc.momentum(0.01), batch_size=5, steps=9, sampler=jc.samplers.importance()).state
    plain = jc.fit(problem, jc.momentum(0.01), batch_size=5, steps=2, state=learnt)
    assert plain.state.sampler == ()
    other = jc.fit(problem, jc.momentum(0.01), batch_size=5, steps=1, sampler=jc.samplers.importance(), state=plain.state)
    assert np.sum(np.asarray(other.state.sampler) != 1) <= 5


def test_what_a_sampler_starts_from_stays_usable(problems):
    kept = jnp.ones(N)

    @jax.tree_util.register_static
    class Kept:
        start = staticmethod(lambda n: kept)
        draw = staticmethod(lambda key, carried, m: (jnp.arange(m), carried[:m]))
        update = staticmethod(lambda carried, indices, losses: carried + 1)

    result = jc.fit(problems.least_squares(), jc.momentum(0.01), batch_size=5, steps=2, sampler=Kept())
    np.testing.assert_array_equal(result.state.sampler, 3)
    np.testing.assert_array_equal(kept, 1)


def test_a_state_of_other_data_is_refused(problems):
    learnt = jc.fit(problems.least_squares(), jc.momentum(0.01), batch_size=5, steps=1, sampler=jc.samplers.importance()).state
    with pytest.raises(ValueError, match=r"fit: state comes from another problem or sampler: .*\(37,\); this one's, \(40,\)"):
        jc.fit(
            problems.least_squares(n=40),
            jc.momentum(0.01),
            batch_size=5,
            steps=1,
            sampler=jc.samplers.importance(),
            state=learnt,
        )


@pytest.mark.long
def test_samplers_that_weigh_share_programs_with_those_that_do_not(problems, traced):
    problem = problems.least_squares(n=45)
    fit = lambda sampler: jc.fit(problem, jc.sgd(0.001), batch_size=10, steps=7, sampler=sampler)
    for sampler in (None, jc.samplers.importance(np.arange(45.0)), jc.samplers.balanced(np.arange(45) % 2, unbiased=True)):
        fit(sampler)
    assert traced("run_chunk") == 1
    for floor in (0.1, 0.5):
        fit(jc.samplers.importance(floor=floor))
    assert traced("run_chunk") == 2


def test_your_own_sampler_may_reweight_or_learn(problems):
    class Rare:
        """Example 3 is drawn twice as often."""

        fixed = False
        factors = np.where(np.arange(N) == 3, 38 / 74, 38 / 37)

        def order(self, rng, n):
            return rng.choice(n, n, p=np.where(np.arange(n) == 3, 2, 1) / (n + 1))

    @jax.tree_util.register_static
    class Counting:
        def start(self, n):
            return {"seen": jnp.zeros(n, jnp.int32)}

        def draw(self, key, carried, m):
            return jnp.argsort(carried["seen"], stable=True)[:m], jnp.ones(m)  # the least seen first

        def update(self, carried, indices, losses):
            return {"seen": carried["seen"].at[indices].add(1, mode="drop")}

    problem = problems.least_squares()
    weights = draws(Rare(), 37, 2).weights
    assert np.isin(np.round(weights * 37, 6), np.round([38 / 74, 38 / 37], 6)).all()
    result = jc.fit(problem, jc.sgd(0.01), batch_size=5, epochs=2, sampler=Counting())
    assert result.steps == 16
    np.testing.assert_array_equal(result.state.sampler["seen"], 2)  # the ragged batch's padding does not count
    in_order = jc.fit(problem, jc.sgd(0.01), batch_size=5, epochs=1, sampler=Counting())
    expected = jc.fit(problem, jc.sgd(0.01), batch_size=5, epochs=1, sampler=jc.samplers.sequential())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), in_order.params, expected.params)


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
