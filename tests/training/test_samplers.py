"""What each step sees: orders, ragged batches, and the promise that an epoch depends on the key and its number alone."""

from __future__ import annotations

import re

import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.training import samplers

SEED = (3, 141)


def epochs(sampler, n, m, count=3, drop=False, seed=SEED):
    """The examples of each epoch, without padding."""
    plan = samplers.plan("test", sampler, n, m, drop, seed)
    rows = plan.rows(0, count * plan.steps_per_epoch)
    real = np.ones(rows.indices.shape, bool) if rows.weights is None else rows.weights > 0
    per_epoch = zip(np.split(rows.indices, count), np.split(real, count), strict=True)
    return [indices[mask] for indices, mask in per_epoch]


@pytest.mark.parametrize("m", [1, 2, 5, 7, 36, 37])
def test_shuffle_visits_every_example_once_an_epoch_in_a_new_order_each_time(m):
    orders = epochs(samplers.shuffle(), 37, m)
    for order in orders:
        assert sorted(order) == list(range(37))
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[1], orders[2])


def test_shuffle_without_reshuffling_keeps_the_first_order_which_is_not_the_datas():
    first, second, third = epochs(samplers.shuffle(reshuffle=False), 37, 5)
    assert np.array_equal(first, second)
    assert np.array_equal(first, third)
    assert not np.array_equal(first, np.arange(37))


def test_sequential_follows_the_data():
    for order in epochs(samplers.sequential(), 37, 5):
        assert np.array_equal(order, np.arange(37))


def test_full_is_all_examples_at_every_step_and_chooses_the_batch_size():
    plan = samplers.plan("test", samplers.full(), 37, None)
    assert (plan.batch_size, plan.steps_per_epoch) == (37, 1)
    assert np.array_equal(plan.rows(4, 6).indices, [np.arange(37)] * 2)


def test_uniform_draws_with_replacement_each_example_equally_often():
    draws = np.concatenate(epochs(samplers.uniform(), 10, 4, count=4000))
    counts = np.bincount(draws, minlength=10)
    assert counts.sum() == 40_000
    assert np.abs(counts - 4000).max() < 5 * np.sqrt(40_000 * 0.1 * 0.9)
    repeated = [len(set(epoch)) < 10 for epoch in epochs(samplers.uniform(), 10, 4, count=200)]
    assert np.mean(repeated) > 0.95  # all different: 10!/10¹⁰, one epoch in 2755


def test_the_last_batch_is_ragged_by_weights_that_are_means_of_what_is_there():
    rows = samplers.plan("test", samplers.sequential(), 7, 3).rows(0, 3)
    assert rows.indices.tolist() == [[0, 1, 2], [3, 4, 5], [6, 6, 6]]
    np.testing.assert_array_equal(rows.weights, [[1 / 3] * 3, [1 / 3] * 3, [1, 0, 0]])


def test_a_dropped_remainder_leaves_whole_batches_and_other_examples_each_epoch():
    plan = samplers.plan("test", samplers.shuffle(), 7, 3, True, SEED)
    assert plan.steps_per_epoch == 2
    rows = plan.rows(0, 40)
    assert rows.weights is None
    assert set(rows.indices.ravel()) == set(range(7))
    assert plan.examples(np.array([1, 2, 3])).tolist() == [3, 6, 9]


def test_examples_seen_count_the_ragged_batch_as_what_it_is():
    plan = samplers.plan("test", samplers.shuffle(), 7, 3)
    assert plan.examples(np.arange(1, 7)).tolist() == [3, 6, 7, 10, 13, 14]


def test_a_batch_depends_on_the_seed_and_its_step_not_on_how_it_is_asked_for():
    whole = samplers.plan("test", samplers.shuffle(), 37, 5, seed=SEED).rows(0, 24)
    again = samplers.plan("test", samplers.shuffle(), 37, 5, seed=SEED)
    for start, stop in [(19, 24), (3, 9), (8, 8 + 1), (0, 24)]:
        part = again.rows(start, stop)
        np.testing.assert_array_equal(part.indices, whole.indices[start:stop])
        np.testing.assert_array_equal(part.weights, whole.weights[start:stop])
    other = samplers.plan("test", samplers.shuffle(), 37, 5, seed=(3, 142)).rows(0, 24)
    assert not np.array_equal(other.indices, whole.indices)


def test_an_epoch_is_drawn_once_however_many_pieces_it_is_asked_for_in():
    drawn = []

    class Counting(samplers.Shuffle):
        def order(self, rng, num_examples):
            drawn.append(num_examples)
            return super().order(rng, num_examples)

    plan = samplers.plan("test", Counting(), 30, 1)
    for start in range(0, 60, 4):
        plan.rows(start, start + 4)
    assert len(drawn) == 2


def test_batch_size_is_32_by_default_or_all_there_are():
    assert samplers.plan("test", None, 100, None).batch_size == 32
    assert samplers.plan("test", None, 20, None).batch_size == 20


@pytest.mark.parametrize("bad", [samplers.Shuffle, samplers.shuffle, "shuffle", 3])
def test_what_is_no_sampler_is_refused_with_what_is(bad):
    with pytest.raises(TypeError, match=r"fit: sampler must be one of jc\.samplers; got .*"):
        samplers.plan("fit", bad, 10, 2)


def test_a_sampler_that_was_not_called_is_told_so():
    with pytest.raises(TypeError, match=r"call it: samplers\.shuffle\(\)"):
        samplers.plan("fit", samplers.shuffle, 10, 2)


def test_reshuffling_is_a_yes_or_a_no():
    with pytest.raises(TypeError, match=r"samplers.shuffle: reshuffle must be True or False; got 3"):
        samplers.shuffle(reshuffle=3)


class Own:
    """A sampler of one's own, whose order is ``change`` of the indices."""

    fixed = False

    def __init__(self, change):
        self.order = lambda rng, n: change(np.arange(n))


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda order: order + 1000, "got 1036"),
        (lambda order: order - 1, "got -1"),
        (lambda order: order[:18], "got an array of dtype int64 and shape (18,)"),
        (lambda order: np.tile(order, 2), "got an array of dtype int64 and shape (74,)"),
        (lambda order: order.astype(float), "got an array of dtype float64 and shape (37,)"),
        (lambda order: order > 3, "got an array of dtype bool and shape (37,)"),
        (lambda order: order[:, None], "got an array of dtype int64 and shape (37, 1)"),
    ],
)
def test_an_order_of_other_examples_than_there_are_is_refused(problems, change, got):
    message = f"sampler: Own.order must return 37 integers from 0 to 36, one for each example; {got}"
    with pytest.raises(ValueError, match=re.escape(message)):
        jc.fit(problems.least_squares(), jc.sgd(0.01), batch_size=10, epochs=1, sampler=Own(change))


def test_an_order_of_ones_own_is_followed(problems):
    backwards = samplers.plan("test", Own(lambda order: order[::-1].tolist()), 6, 2).rows(0, 3).indices
    assert backwards.tolist() == [[5, 4], [3, 2], [1, 0]]


def test_a_sampler_of_ones_own_says_whether_it_is_fixed_and_has_a_factor_for_each_example():
    own = Own(lambda order: order)
    own.factors = np.ones(5)
    with pytest.raises(ValueError, match=re.escape("fit: sampler's factors must be 6 numbers; got shape (5,)")):
        samplers.plan("fit", own, 6, 2)

    own.factors = [1.0] * 6
    assert samplers.plan("fit", own, 6, 2).rows(0, 3).weights.tolist() == [[0.5, 0.5]] * 3

    class Unsaid:
        def order(self, rng, num_examples):
            return np.arange(num_examples)

    with pytest.raises(TypeError, match="fit: a sampler needs fixed"):
        samplers.plan("fit", Unsaid(), 6, 2)
