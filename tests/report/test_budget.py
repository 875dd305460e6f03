"""What a tuning budget buys: against all subsets, and all orders, written out."""

import itertools

import numpy as np
import pytest
import xarray as xr

from jaxopt_course.report import budget, curves
from jaxopt_course.report.budget import expected_best


def of_subsets(costs, values, k):
    """The value of the cheapest of each subset of k."""
    return np.array([values[min(chosen, key=lambda i: costs[i])] for chosen in itertools.combinations(range(len(costs)), k)])


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_the_expected_best_is_the_mean_over_all_subsets(count):
    rng = np.random.default_rng(count)
    costs, values = rng.normal(size=(2, count))
    found = expected_best(costs, values)
    assert found.tried.tolist() == list(range(1, count + 1))
    for k in range(1, count + 1):
        subsets = of_subsets(costs, values, k)
        np.testing.assert_allclose(found.mean[k - 1], subsets.mean(), rtol=1e-12)
        for end, level in ((found.low, 0.1), (found.high, 0.9)):
            assert end[k - 1] == np.quantile(subsets, level, method="inverted_cdf")


def test_it_is_the_mean_over_all_orders_of_trying():
    costs, values = np.array([0.4, 0.1, 0.9, 0.2]), np.array([70.0, 93.0, 10.0, 95.0])
    orders = [np.minimum.accumulate(np.array(order)) for order in itertools.permutations(np.argsort(np.argsort(costs)))]
    by_rank = values[np.argsort(costs)]
    np.testing.assert_allclose(expected_best(costs, values).mean, by_rank[np.array(orders)].mean(0), rtol=1e-12)


def test_of_equal_costs_the_first_counts():
    np.testing.assert_array_equal(expected_best(np.array([1.0, 1.0]), np.array([5.0, 7.0])).mean, [6.0, 5.0])


def test_what_is_not_known_hides_where_it_may_come_out_only():
    found = expected_best(np.array([1.0, np.inf, 2.0]), np.array([1.0, np.inf, 3.0]))
    np.testing.assert_allclose(found.mean, [np.nan, 5 / 3, 1.0])
    assert np.isnan(found.low[0])
    assert np.isnan(found.high[0])


def searched(**attributes):
    """One optimizer's search: one rate diverged, one ended worse than it began, two did well."""
    columns = {
        "optimizer": ["sgd"] * 4 + ["search"],
        "learning_rate": [0.1, 1.0, 10.0, 100.0, np.nan],
        "validation_loss": [0.5, 0.25, 7.0, np.nan, 0.3],
        "validation_accuracy": [0.8, 0.9, 0.6, np.nan, 0.85],
        "test_accuracy": [0.75, 0.95, 0.5, np.nan, 0.8],
        "diverged": [False, False, False, True, False],
        "selected": [False, True, False, False, True],
    }
    return xr.Dataset({name: ("trial", values) for name, values in columns.items()}, attrs=attributes)


STARTS = {"start_validation_loss": 2.0, "start_validation_accuracy": 0.1, "start_test_accuracy": 0.12}


def test_what_diverged_or_got_worse_leaves_the_model_before_training():
    found = budget.budget(searched(**STARTS), "sgd", "validation_loss")
    kept = np.array([0.5, 0.25, 2.0, 2.0])
    np.testing.assert_allclose(found.mean, [of_subsets(kept, kept, k).mean() for k in range(1, 5)], rtol=1e-12)


def test_validation_chooses_and_test_reports_in_percent():
    found = budget.budget(searched(**STARTS), "sgd", "test_accuracy")
    costs, values = np.array([0.5, 0.25, 2.0, 2.0]), np.array([75, 95, 12, 12])
    np.testing.assert_allclose(found.mean, [of_subsets(costs, values, k).mean() for k in range(1, 5)], rtol=1e-12)
    assert budget.metrics(searched()) == ["validation_loss", "validation_accuracy", "test_accuracy"]


def test_without_a_start_a_curve_begins_where_something_is_sure_to_have_converged():
    found = budget.budget(searched(), "sgd", "validation_accuracy")
    assert np.isnan(found.mean[0])
    np.testing.assert_allclose(found.mean[-1], 90.0)


def test_an_optimizer_without_a_rate_needs_one_trial():
    assert budget.budget(searched(**STARTS), "search", "test_accuracy").mean.tolist() == [80.0]


def test_an_unknown_metric_gets_its_closest_match():
    with pytest.raises(ValueError, match="unknown metric 'test_acuracy'; did you mean 'test_accuracy'"):
        budget.budget(searched(), "sgd", "test_acuracy")


def test_the_picture_draws_each_optimizer_against_the_rates_tried(race):
    axes = curves.budget_curves(race.tuning, "test_accuracy").axes[0]
    adam = axes.lines[list(race.optimizers).index("adam")]
    np.testing.assert_allclose(adam.get_ydata(), budget.budget(race.tuning, "adam", "test_accuracy").mean)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("learning rates tried", "expected test accuracy (%)")
    assert curves.budget_curves(race.tuning).axes[0].get_yscale() == "log"


def test_expectations_do_not_worsen_with_the_budget_on_what_is_chosen_by(race):
    for name in race.optimizers:
        assert (np.diff(budget.budget(race.tuning, name, "validation_loss").mean) <= 1e-12).all()
