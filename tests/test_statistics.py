from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from jaxopt_course.statistics import confidence_interval, holm, paired_test

RESULTS = np.random.default_rng(3).normal([[0.9], [0.8], [0.85]], [[0.02], [0.05], [0.01]], size=(3, 7))


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_interval_is_that_of_the_one_sample_t_test(level):
    mean, low, high = confidence_interval(RESULTS, level)
    for row, values in enumerate(RESULTS):
        oracle = stats.ttest_1samp(values, 0).confidence_interval(level)
        np.testing.assert_allclose([low[row], high[row]], oracle, rtol=1e-12)
    np.testing.assert_allclose(mean, RESULTS.mean(1), rtol=1e-15)


def test_interval_covers_the_true_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(2.0, 3.0, size=(20_000, 4))
    _, low, high = confidence_interval(draws, 0.9)
    assert np.mean((low < 2.0) & (high > 2.0)) == pytest.approx(0.9, abs=0.007)


def test_interval_of_equal_values_has_no_width():
    assert confidence_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)


def test_one_seed_has_a_mean_but_no_interval():
    mean, low, high = confidence_interval([0.7])
    assert mean == 0.7
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_diverged_seed_leaves_no_number(bad):
    assert np.isnan(confidence_interval([0.9, bad, 0.8])).all()
    assert np.isnan(paired_test([0.9, bad, 0.8], [0.7, bad, 0.7]))


@pytest.mark.parametrize(("values", "level"), [([], 0.95), (0.5, 0.95), ([0.5, 0.6], 1.0), ([0.5, 0.6], 95)])
def test_interval_refuses(values, level):
    with pytest.raises(ValueError, match="confidence_interval"):
        confidence_interval(values, level)


@pytest.mark.parametrize("pair", [(0, 1), (1, 0), (0, 2), (1, 2)])
def test_paired_test_is_scipys(pair):
    a, b = RESULTS[list(pair)]
    assert paired_test(a, b) == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-10)


def test_pairing_cancels_what_the_seeds_share():
    seeds = np.random.default_rng(1).normal(0, 1.0, 6)
    better = seeds + 0.1 + np.random.default_rng(2).normal(0, 0.01, 6)
    assert paired_test(better, seeds) < 1e-4
    assert stats.ttest_ind(better, seeds).pvalue > 0.5


def test_identical_samples_do_not_differ():
    assert paired_test([0.25, 0.5, 0.75], [0.25, 0.5, 0.75]) == 1
    assert paired_test([0.1 + 0.2, 0.7, 0.9], [0.3, 0.1 + 0.6, 0.9]) == 1


def test_one_difference_at_every_seed_is_certain():
    assert paired_test([0.5, 0.75, 1.0], [0.25, 0.5, 0.75]) == 0


def test_one_pair_tests_nothing():
    assert np.isnan(paired_test([0.5], [0.25]))


@pytest.mark.parametrize("b", [[0.5], [[0.5, 0.6]]])
def test_paired_test_refuses_other_shapes(b):
    with pytest.raises(ValueError, match=r"got \(2,\)"):
        paired_test([0.5, 0.6], b)


def rejected_by_holm(p, level):
    """The procedure as the paper words it: step down from the smallest p value, and stop at the first that stands."""
    rejected = np.zeros(len(p), bool)
    for rank, index in enumerate(np.argsort(p)):
        if p[index] > level / (len(p) - rank):
            break
        rejected[index] = True
    return rejected


@pytest.mark.parametrize("seed", range(4))
def test_adjusted_values_reject_what_the_step_down_procedure_rejects(seed):
    p = np.random.default_rng(seed).beta(0.4, 2, size=9)
    for level in np.linspace(0.001, 0.999, 333):
        np.testing.assert_array_equal(holm(p) <= level, rejected_by_holm(p, level))


def test_holm_of_a_worked_example():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02], rtol=1e-12)


def test_comparisons_not_made_do_not_count():
    np.testing.assert_allclose(holm([0.02, np.nan, 0.9]), [0.04, np.nan, 0.9])
    assert np.isnan(holm([np.nan])).all()
    assert holm([]).shape == (0,)


def test_holm_does_not_write_to_its_argument():
    p = np.array([0.01, 0.5])
    holm(p)
    assert p.tolist() == [0.01, 0.5]


@pytest.mark.parametrize("p", [[0.5, 1.5], [-0.1], [[0.5]]])
def test_holm_refuses(p):
    with pytest.raises(ValueError, match="holm"):
        holm(p)
