"""Runs beside each other: what is drawn is what was measured."""

from __future__ import annotations

import re
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import jaxopt_course as jc
from jaxopt_course.report import comparisons, runs, style, triptych


def lines_of(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def shifted(run, factor):
    return run.assign(loss=run["loss"] * factor)


@pytest.fixture
def sweep():
    loss = np.exp(-np.arange(5.0)) * np.array([[[1.0], [3.0]], [[10.0], [20.0]]])
    loss[:, :, 0] = np.nan  # before training there is no training loss
    return xr.Dataset(
        {"loss": (("learning_rate", "seed", "epoch"), loss)},
        {"learning_rate": [0.01, 0.1], "seed": [0, 1], "epoch": np.arange(5)},
    )


class TestBands:
    def test_windows_are_means_over_whole_parts_of_an_epoch(self, run):
        found = runs.band([run], "loss", "epoch", per_epoch=2)
        np.testing.assert_allclose(found.x, np.arange(0.5, 8.5, 0.5))
        np.testing.assert_allclose(found.mean, run["loss"].values.reshape(16, 25).mean(axis=1))

    def test_a_part_of_an_epoch_that_no_step_ends_in_has_no_mean(self, run):
        found = runs.band([run.isel(step=slice(10))], "loss", "epoch", per_epoch=200)
        np.testing.assert_allclose(found.mean, run["loss"].values[:10])

    def test_sixty_windows_cover_the_run(self, run):
        found = runs.band([run], "loss", "step", windows=True)
        assert len(found.x) in range(60, 68)
        assert found.x[-1] == run["step"][-1]
        np.testing.assert_allclose(found.mean[0], run["loss"].values[:6].mean())

    def test_the_band_spans_the_seeds(self, run):
        found = runs.band([run, shifted(run, 3)], "loss", "examples")
        np.testing.assert_allclose(found.x, run["examples"])
        np.testing.assert_allclose([found.mean, found.low, found.high], np.outer([2, 1, 3], run["loss"]))

    def test_a_seed_that_ended_early_ends_the_mean(self, run):
        found = runs.band([run.isel(step=slice(100)), run], "loss")
        assert np.isfinite(found.mean[:100]).all()
        assert np.isnan(found.mean[100:]).all()
        assert found.diverged

    def test_accuracies_are_in_percent(self, run):
        np.testing.assert_allclose(runs.band([run], "validation_accuracy").mean, 100 * run["validation_accuracy"])

    def test_a_sweep_and_a_race_are_runs_by_name(self, sweep, race):
        named = runs.named_runs(sweep)
        assert list(named) == ["learning rate 0.01", "learning rate 0.1"]
        found = runs.band(named["learning rate 0.1"], "loss")
        np.testing.assert_allclose(found.x, [1, 2, 3, 4])
        np.testing.assert_allclose(found.mean, 15 * np.exp(-np.arange(1.0, 5.0)))
        adam = runs.band(runs.named_runs(race.curves)["adam"], "validation_loss", "step")
        np.testing.assert_allclose(adam.mean, race.curves["validation_loss"].sel(optimizer="adam").mean("seed"))
        np.testing.assert_allclose(adam.x, race.curves["evaluation"])

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda run: runs.band([run], "los"), "unknown metric 'los'; did you mean 'loss'"),
            (
                lambda run: runs.band([run.drop_vars("examples")], "loss", "examples"),
                "'loss' cannot be read against 'examples'",
            ),
            (lambda run: runs.band([run], "loss", "time"), "'loss' cannot be read against 'time'"),
            (lambda run: runs.named_runs(run), "one axis of names, besides seed and time; got none"),
            (lambda run: runs.named_runs({}), "at least one run"),
            (lambda run: runs.named_runs({"sgd": []}), "at least one run for each name"),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, run, call, message):
        with pytest.raises(ValueError, match=message):
            call(run)


class TestSchedules:
    def test_loss_above_and_learning_rate_below_with_each_restart_dotted(self, run):
        cycle = run.assign(learning_rate=("step", 0.1 - 0.09 * (np.arange(400) % 100) / 100))
        figure = comparisons.schedules_compared({"plain": run, "restarts": [cycle, shifted(cycle, 2)]}, x="step")
        above, below = figure.axes
        assert (above.get_ylabel(), above.get_yscale(), below.get_ylabel()) == ("loss", "log", "learning rate")
        dotted = [line.get_xdata()[0] for line in below.lines if line.get_linestyle() == ":"]
        assert dotted == [100, 200, 300]
        (rate, *_) = [line for line in below.lines if len(line.get_xdata()) == 400 and line.get_ydata()[1] < 0.1]
        assert list(lines_of(above)) == ["plain", "restarts"]
        assert to_hex(rate.get_color()) in style.THEMES["light"].cycle

    def test_accuracy_is_shown_where_it_matters(self, run):
        run = run.assign(validation_accuracy=("epoch", np.array([0.1, 0.85, 0.9, 0.91, 0.92, 0.93, 0.93, 0.94])))
        early = run.assign_coords(epoch=np.arange(8) * 1.0)
        low, high = comparisons.schedules_compared({"a": early}, "validation_accuracy").axes[0].get_ylim()
        assert 80 < low < 85
        assert 94 < high < 96

    def test_runs_without_rates_have_one_panel(self, sweep):
        assert len(comparisons.schedules_compared(sweep).axes) == 1


class TestTrainingCost:
    def test_the_first_epochs_and_the_whole_run(self, run):
        figure = comparisons.training_cost({"sgd": run, "adam": shifted(run, 0.5)}, first=2)
        early, whole = figure.axes
        assert (early.get_xlim(), early.get_yscale(), whole.get_yscale()) == ((0, 2), "linear", "log")
        np.testing.assert_allclose(lines_of(early)["sgd"].get_xdata()[-1], 2)
        np.testing.assert_allclose(lines_of(whole)["adam"].get_ydata(), 0.5 * run["loss"].values.reshape(8, 50).mean(axis=1))

    def test_dropout_changes_dashes_and_not_colours(self, run):
        found = comparisons.training_cost(dict.fromkeys(("sgd", "adam", "adam + dropout"), run)).axes[1]
        looks = {name: (line.get_color(), line.get_linestyle()) for name, line in lines_of(found).items()}
        assert looks["adam"][0] == looks["adam + dropout"][0] != looks["sgd"][0]
        assert (looks["adam"][1], looks["adam + dropout"][1]) == ("-", "--")

    def test_a_sweep_is_drawn_by_its_epochs(self, sweep):
        assert list(lines_of(comparisons.training_cost(sweep).axes[1])) == ["learning rate 0.01", "learning rate 0.1"]

    def test_bad_arguments_are_refused_by_name(self, run):
        with pytest.raises(ValueError, match="training_cost: first must be a number > 0; got 0"):
            comparisons.training_cost({"a": run}, first=0)
        with pytest.raises(ValueError, match="training_cost: expected two axes; got 1"):
            comparisons.training_cost({"a": run}, axes=[Figure().subplots()])


class TestTriptych:
    paths: ClassVar = {name: -2 * (1 - rate) ** np.arange(12) for name, rate in (("low", 0.1), ("good", 0.7), ("high", 2.1))}

    def test_paths_lie_on_the_function_and_below_is_f_along_them(self):
        figure = triptych.learning_rate_triptych(lambda x: 0.5 * x**2 + 1, self.paths)
        above, below = figure.axes[:3], figure.axes[3:]
        assert [axes.get_title(loc="left") for axes in above] == ["low", "good", "high"]
        path = above[1].lines[1]
        np.testing.assert_allclose(path.get_xdata(), self.paths["good"])
        np.testing.assert_allclose(path.get_ydata(), 0.5 * self.paths["good"] ** 2 + 1, rtol=1e-6)
        np.testing.assert_allclose(below[0].lines[0].get_ydata(), 0.5 * self.paths["low"] ** 2 + 1, rtol=1e-6)
        assert below[0].get_yscale() == "log"

    def test_a_path_that_leaves_the_picture_ends_outside(self):
        figure = triptych.learning_rate_triptych(lambda x: x**2, self.paths, bounds=(-2.3, 2.3))
        drawn = figure.axes[2].lines[1].get_xdata()
        assert np.abs(drawn[:-1]).max() <= 2.3 < np.abs(drawn[-1])

    def test_two_dimensions_are_seen_from_above(self):
        paths = {name: np.stack([path, path / 2], axis=1) for name, path in self.paths.items()}
        figure = triptych.learning_rate_triptych(lambda p: p[0] ** 2 + 3 * p[1] ** 2, paths, theme="dark")
        assert len(figure.axes) == 6
        assert figure.axes[0].get_xlabel() == "θ₁"

    def test_a_path_is_drawn_until_it_has_left_for_good(self):
        away = np.array([[1.0, 0.5], [-9, 4], [0.5, 1.0], [30, -20], [-90, 70], [300, -200]])  # it comes back once
        figure = triptych.learning_rate_triptych(lambda p: p[0] ** 2 + 3 * p[1] ** 2, {"a": away}, bounds=[(-2, 2), (-2, 2)])
        np.testing.assert_allclose(figure.axes[0].lines[1].get_xydata(), away[:4])
        never = triptych.learning_rate_triptych(lambda x: x**2, {"a": np.array([5.0, 8.0, 9.0])}, bounds=(-2, 2))
        np.testing.assert_allclose(never.axes[0].lines[1].get_xdata(), [5.0, 8.0])

    def test_a_function_is_drawn_where_it_is_defined(self):
        function = lambda z: z - jnp.log(z)  # negative z have no logarithm, 0 an infinite one
        found = jc.minimize(function, jc.sgd(0.1), start=3.0, steps=10)
        above, below = triptych.learning_rate_triptych(function, {"a": found}, bounds=(-1.0, 4.0)).axes
        x, heights = above.lines[0].get_data()
        np.testing.assert_array_equal(np.isfinite(heights), x > 0)
        assert above.get_ylim()[1] == pytest.approx(np.nanmax(heights))
        assert below.get_ylim()[0] > 0
        outside = triptych.learning_rate_triptych(function, {"a": np.array([-1.0, 2.0, 1.5])})
        assert np.isfinite([axes.get_ylim() for axes in outside.axes]).all()

    def test_what_minimize_returns_is_a_path(self):
        found = jc.minimize(lambda x: (x - 1.0) ** 2, jc.sgd(0.1), start=3.0, steps=12)
        path = triptych.learning_rate_triptych(lambda x: (x - 1.0) ** 2, {"good": found}).axes[0].lines[1]
        np.testing.assert_allclose(path.get_xdata(), found.points)

    @pytest.mark.parametrize(
        ("call", "error", "message"),
        [
            (
                lambda draw: draw("booth", {"a": np.eye(2)}),
                TypeError,
                "function must be f of a number, or of two; got 'booth'",
            ),
            (lambda draw: draw(abs, "abc"), TypeError, "paths must be a dict, title → points; got 'abc'"),
            (
                lambda draw: draw(abs, {"a": np.ones(3)}, bounds="ab"),
                ValueError,
                "bounds must be a pair (from, to), from < to",
            ),
            (lambda draw: draw(abs, {"a": np.ones(3)}, bounds=(2, 1)), ValueError, "from < to; got (2, 1)"),
            (lambda draw: draw(sum, {"a": np.eye(2)}, bounds=(1, 2)), ValueError, "bounds must be two pairs (from, to)"),
            (lambda draw: draw(jnp.log, {"a": -np.ones(3)}), ValueError, "function is finite nowhere on the paths"),
            (
                lambda draw: draw(jnp.log, {"a": np.ones(3)}, bounds=(-2, -1)),
                ValueError,
                "function is finite nowhere in the box [[-2.0, -1.0]]; bounds shows another",
            ),
        ],
    )
    def test_bad_arguments_are_refused(self, call, error, message):
        with pytest.raises(error, match=re.escape(f"learning_rate_triptych: {message}" if error is TypeError else message)):
            call(triptych.learning_rate_triptych)

    def test_given_axes_get_the_paths_alone(self):
        figure = Figure()
        three = figure.subplots(1, 3)
        assert triptych.learning_rate_triptych(lambda x: x**2, self.paths, axes=three) is figure
        assert len(figure.axes) == 3

    @pytest.mark.parametrize(
        ("paths", "message"),
        [
            ({}, "expected paths, all of them in one dimension"),
            ({"a": np.zeros(3), "b": np.zeros((3, 2))}, "all of them in one dimension or all in two"),
            ({"a": np.zeros((3, 3))}, r"'a' must be points \[steps\] or \[steps, 2\]; got shape \(3, 3\)"),
            ({"a": "bc"}, r"'a' must be points \[steps\] or \[steps, 2\]; got 'bc'"),
        ],
    )
    def test_bad_paths_are_refused(self, paths, message):
        with pytest.raises(ValueError, match=message):
            triptych.learning_rate_triptych(lambda x: x**2, paths)

    def test_as_many_axes_as_paths(self):
        with pytest.raises(ValueError, match="expected 3 axes, one for each path; got 1"):
            triptych.learning_rate_triptych(lambda x: x**2, self.paths, axes=[Figure().subplots()])
