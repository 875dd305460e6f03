"""Importance sampling by losses: scores refreshed inside the loop, draws and weights as they say, runs that go on exactly."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.problems.objective import Data
from jaxopt_course.training import run as engine
from jaxopt_course.training import samplers as sampling
from jaxopt_course.training.chunk import DRAWS
from tests.training.drawn import SCORES, N, chi_square, draws

DRAW = jax.jit(sampling.ByLoss.draw, static_argnums=3)


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


@pytest.mark.parametrize("size", [np.finfo(np.float32).max, 1e-37])
def test_losses_of_any_size_are_relative(size):
    sampler, losses = jc.samplers.importance(), jnp.full(20, size, jnp.float32)
    scores = sampler.update(sampler.start(20), jnp.arange(20), losses)
    indices, factors = DRAW(sampler, jax.random.key(0), scores, 10_000)
    np.testing.assert_allclose(factors, 1, rtol=1e-6)
    assert chi_square(np.asarray(indices), np.full(20, 0.05)) > 0.001


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
