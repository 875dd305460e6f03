from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from jaxopt_course.report import curves as curves_of
from jaxopt_course.report import schema, series


def test_the_package_loads_without_its_drawing_libraries():
    code = "import jaxopt_course.report, sys; print({'matplotlib', 'plotly', 'xarray'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize(
    ("part", "spoil", "message"),
    [
        ("curves", lambda ds: ds.drop_vars("seconds"), "curves has no variable 'seconds'"),
        ("curves", lambda ds: ds.isel(seed=0), "curves has no dimension 'seed'"),
        ("tuning", lambda ds: ds.rename(selected="select"), "did you mean 'select'"),
        ("table", lambda ds: ds.drop_vars("test_accuracy_low"), "table has no variable 'test_accuracy_low'"),
        ("table", lambda ds: ds.drop_attrs(), "table has no attribute 'title'"),
        ("table", lambda ds: ds.isel(optimizer=[0, 0]), "has an optimizer twice"),
    ],
)
def test_a_dataset_off_the_schema_is_refused(race, part, spoil, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(race, **{part: spoil(getattr(race, part))})


def test_the_ranking_is_best_first_and_diverged_last(race):
    assert race.ranking[:2] == ["sgd", "momentum"]
    assert race.ranking[-1] == "blows_up"
    by_loss = dataclasses.replace(race, table=race.table.assign_attrs(metric="loss", lower_is_better=True))
    assert by_loss.ranking == race.ranking


def test_colours_follow_the_order_of_the_curves_whatever_that_of_the_table(race):
    assert race.optimizers == race.curves["optimizer"].values.tolist() != race.table["optimizer"].values.tolist()


def test_what_can_be_drawn_is_found(race):
    assert schema.quantities(race.curves) == schema.quantities(race.tuning) == ["validation_loss", "validation_accuracy"]


@pytest.mark.parametrize(("x", "last"), [("step", 1800), ("epoch", 40), ("examples", 57600), ("gradient_evaluations", 7200)])
def test_a_curve_is_read_against_each_cost(race, x, last):
    assert series.seed_band(race.curves, "line_search", x).x[-1] == last


def test_a_cost_that_differs_between_seeds_is_averaged(race):
    mean = race.curves["seconds"].sel(optimizer="adam").values.mean(axis=0)
    np.testing.assert_allclose(series.seed_band(race.curves, "adam", "seconds").x, mean)


def test_a_band_is_the_mean_and_range_over_seeds_in_percent(race):
    values = 100 * race.curves["validation_accuracy"].sel(optimizer="adam").values
    band = series.seed_band(race.curves.transpose("evaluation", "seed", "optimizer"), "adam", metric="validation_accuracy")
    np.testing.assert_allclose([band.mean, band.low, band.high], [values.mean(0), values.min(0), values.max(0)])
    assert not band.diverged


def test_a_curve_ends_where_its_first_seed_diverges(race):
    band = series.seed_band(race.curves, "blows_up")
    assert band.diverged
    assert np.isfinite(band.mean).sum() == 20
    infinite = race.curves.assign(validation_loss=race.curves["validation_loss"].fillna(np.inf))
    np.testing.assert_array_equal(series.seed_band(infinite, "blows_up").mean, band.mean)


def test_costs_missing_after_divergence_are_no_obstacle(race):
    alive = race.curves["validation_loss"].notnull().all("seed")
    band = series.seed_band(race.curves.assign(seconds=race.curves["seconds"].where(alive)), "blows_up", "seconds")
    assert np.isfinite(band.x).sum() == 20


def test_a_search_is_ordered_and_divergence_is_nan(race):
    backwards = race.tuning.isel(trial=slice(None, None, -1))
    rate, value, low, high, selected = series.sensitivity(backwards, "adam")
    assert (np.diff(rate) > 0).all()
    assert np.isnan(value[-1])
    assert selected.sum() == 1
    assert value[selected] == np.nanmin(value)
    np.testing.assert_allclose(low, 0.9 * value)
    np.testing.assert_allclose(high, 1.15 * value)


def test_one_tuning_seed_has_no_range(race):
    found = series.sensitivity(race.tuning.drop_vars(["validation_loss_low", "validation_loss_high"]), "adam")
    np.testing.assert_array_equal(found.low, found.value)
    np.testing.assert_array_equal(found.high, found.value)


def test_a_line_search_has_a_result_but_no_rates(race):
    rate, value, *_ = series.sensitivity(race.tuning, "line_search")
    assert (len(rate), len(value)) == (0, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda race: series.seed_band(race.curves, "adam", "examlpes"),
        lambda race: series.seed_band(race.curves, "adam", metric="validation_los"),
        lambda race: series.sensitivity(race.tuning, "adam", metric="validation_los"),
        lambda race: series.bad_edge(race.tuning, "validation_los"),
        lambda race: series.loss_range(race.curves.isel(optimizer=[]), "validation_los"),
    ],
)
def test_an_unknown_name_gets_its_closest_match(race, call):
    with pytest.raises(ValueError, match=r"did you mean '(examples|validation_loss)'"):
        call(race)


def test_a_run_that_blew_up_does_not_stretch_the_axis(race):
    low, high = series.loss_range(race.curves.transpose("evaluation", ...), "validation_loss")
    assert race.curves["validation_loss"].max() > 1e8
    assert 2.3 < high < 4
    assert 0 < low < race.curves["validation_loss"].min()


def test_a_start_far_above_the_rest_is_cut_off_and_the_label_says_so(race):
    """As in five epochs of Fashion-MNIST: from 2.4 to 0.7, and then slowly to 0.33."""
    falling = np.array([2.4, 0.7, 0.5, 0.42, 0.36, 0.33])
    few = race.curves.isel(evaluation=slice(6)).copy()
    few["validation_loss"] = few["validation_loss"].dims, np.broadcast_to(falling, few["validation_loss"].shape)
    low, high = series.loss_range(few, "validation_loss")
    assert 0.28 < low < 0.33
    assert 0.7 < high < 0.85
    assert series.loss_label(few, "validation_loss") == "validation loss (starts at 2.4)"
    blown = few.copy(deep=True)
    blown["validation_loss"][{"optimizer": 0, "evaluation": slice(2, None)}] = 1e9
    assert series.loss_range(blown, "validation_loss") == (low, high)
    stuck = few.copy(deep=True)
    stuck["validation_loss"][{"optimizer": 0}] = 2.4
    assert series.loss_range(stuck, "validation_loss")[1] > 2.4
    for curves in (stuck, race.curves, race.curves.isel(optimizer=[]), race.curves.isel(evaluation=[0])):
        assert series.loss_label(curves, "validation_loss") == "validation loss"
    assert series.loss_label(race.curves, "validation_accuracy") == "validation accuracy (%)"
    axes = curves_of.learning_curves(few).axes[0]
    assert (axes.get_ylim(), axes.get_ylabel()) == ((low, high), "validation loss (starts at 2.4)")


def test_what_should_rise_is_not_cut_where_it_began(race):
    curves = race.curves.assign(validation_f1=race.curves["validation_accuracy"])
    tuning = race.tuning.assign(validation_f1=race.tuning["validation_accuracy"])
    assert series.loss_range(curves, "validation_f1") is None
    assert series.sensitivity_range(tuning, "validation_f1") is None
    assert series.bad_edge(tuning, "validation_f1") == 0


def test_axes_of_accuracies_and_of_negative_losses_are_not_cut(race):
    assert series.loss_range(race.curves, "validation_accuracy") is None
    negative = race.curves.assign(validation_loss=race.curves["validation_loss"] - 1)
    assert series.loss_range(negative, "validation_loss") is None
    assert series.loss_range(race.curves.isel(optimizer=[]), "validation_loss") is None
