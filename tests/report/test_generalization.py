"""Bias, variance and cross-validation: the numbers in the pictures are those of the data."""

from __future__ import annotations

import io

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from jaxopt_course.report import generalization


def lines_of(axes):
    return {line.get_label(): line for line in axes.lines}


@pytest.fixture
def decomposition():
    degree = np.array([8, 1, 2, 4, 16])
    parts = {"bias2": 1.0 / degree, "variance": 0.05 * degree, "noise": 0.3 + 0.0 * degree}
    parts["error"] = sum(parts.values()) + 0.01
    return xr.Dataset({k: ("degree", v) for k, v in parts.items()}, {"degree": ("degree", degree, {"long_name": "size"})})


@pytest.fixture
def scores():
    """Means 3, 1, 1.2, 1.4, 5 over four folds, with standard error 0.25: 1.2 is within one of 1, 1.4 is not."""
    spread = 0.25 * 2 * np.array([-1, 1, -1, 1]) * np.sqrt(3) / 2
    values = np.array([3, 1, 1.2, 1.4, 5])[:, None] + spread
    epochs = np.stack([values + 9, values], axis=-1)
    rates = np.array([0.001, 0.01, 0.1, 1.0, 10.0])
    shuffled = [2, 0, 4, 1, 3]
    return xr.Dataset(
        {"validation_loss": (("regularization", "fold", "epoch"), epochs[shuffled])},
        {"regularization": rates[shuffled], "fold": np.arange(4), "epoch": [0, 1]},
    )


class TestBiasVariance:
    def test_the_line_is_the_sum_and_the_dots_are_the_error(self, decomposition):
        axes = generalization.bias_variance(decomposition).axes[0]
        found, ordered = lines_of(axes), decomposition.sortby("degree")
        np.testing.assert_allclose(found["their sum"].get_xdata(), [1, 2, 4, 8, 16])
        np.testing.assert_allclose(found["their sum"].get_ydata(), ordered["bias2"] + ordered["variance"] + 0.3)
        np.testing.assert_allclose(found["measured error"].get_ydata(), ordered["error"])
        assert axes.get_xlabel() == "size"
        assert found["lowest at 4"].get_xdata() == [4, 4]
        named = [text.get_text() for text in axes.get_legend().get_texts()]
        assert named == ["bias²", "variance", "irreducible error", "their sum", "measured error", "lowest at 4"]
        assert not axes.texts  # nothing that the legend could lie on

    def test_a_noise_that_is_one_number_is_level(self, decomposition):
        axes = generalization.bias_variance(decomposition.assign(noise=0.3)).axes[0]
        assert (lines_of(axes)["irreducible error"].get_ydata() == 0.3).all()

    def test_what_is_missing_is_named(self, decomposition):
        with pytest.raises(ValueError, match="bias_variance: no 'bias2'"):
            generalization.bias_variance(decomposition.drop_vars("bias2"))
        with pytest.raises(ValueError, match="expected one dimension; got degree, seed"):
            generalization.bias_variance(decomposition.expand_dims(seed=2))


class TestBullsEye:
    def test_bias_and_variance_are_the_numbers_below(self):
        points = np.random.default_rng(1).normal([1.0, -2.0], [0.5, 1.0], (50, 2))
        axes = generalization.bulls_eye({"here": points}).axes[0]
        bias2, variance = (points.mean(axis=0) ** 2).sum(), ((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()
        assert axes.get_xlabel() == f"bias² {bias2:.2f} + variance {variance:.2f} = {(points**2).sum(axis=1).mean():.2f}"
        np.testing.assert_allclose(axes.lines[0].get_xydata(), points)
        np.testing.assert_allclose(axes.lines[-1].get_xydata(), [points.mean(axis=0)])
        assert axes.patches[-1].radius == pytest.approx(np.sqrt(variance))

    def test_all_targets_have_one_scale_and_hold_every_shot(self):
        shots = {"near": [[0.1, 0.0], [0.0, 0.1]], "far": [[3.0, 4.0], [0.0, 0.0]], "third": [[1.0, 1.0]]}
        figure = generalization.bulls_eye(shots, theme="dark")
        assert len({axes.get_xlim() for axes in figure.axes[:3]}) == 1
        assert figure.axes[0].patches[0].radius > 5
        assert not figure.axes[3].axison

    def test_titles_and_numbers_are_inside_the_first_picture_saved(self):
        figure = generalization.bulls_eye({name: [[3.0, 4.0], [0.0, 1.0]] for name in "abc"}, columns=3)
        figure.savefig(io.BytesIO(), format="png")
        for axes in figure.axes:
            (_, low), (_, high) = axes.get_tightbbox().get_points()
            assert 0 <= low < high <= figure.bbox.height

    @pytest.mark.parametrize(
        ("shots", "message"),
        [
            ({}, "shots for at least one target"),
            ({"a": [1.0, 2.0]}, r"'a' must be finite points, \[n, 2\]; got shape \(2,\)"),
            ({"a": [[1.0, np.nan]]}, "'a' must be finite points"),
        ],
    )
    def test_bad_shots_are_refused(self, shots, message):
        with pytest.raises(ValueError, match=message):
            generalization.bulls_eye(shots)


class TestCrossValidation:
    def test_the_best_and_the_simplest_within_one_standard_error(self, scores):
        found = generalization.validation_curve(scores)
        np.testing.assert_allclose(found.x, [0.001, 0.01, 0.1, 1, 10])
        np.testing.assert_allclose(found.mean, [3, 1, 1.2, 1.4, 5])
        np.testing.assert_allclose(found.standard_error, 0.25)
        assert (found.x[found.best], found.x[found.one_standard_error]) == (0.01, 0.1)

    def test_a_smaller_degree_is_simpler(self, scores):
        renamed = scores.rename(regularization="degree")
        found = generalization.validation_curve(renamed, "degree", simpler="lower")
        assert (found.best, found.one_standard_error) == (1, 1)
        less = renamed.assign(validation_loss=renamed["validation_loss"].where(renamed["degree"] != 0.001, 1.1))
        assert generalization.validation_curve(less, "degree", simpler="lower").one_standard_error == 0

    def test_seeds_are_averaged_before_folds_are_compared(self, scores):
        twice = xr.concat([scores - 1, scores + 1], "seed", join="exact").assign_coords(seed=[0, 1])
        np.testing.assert_allclose(generalization.validation_curve(twice).standard_error, 0.25)

    def test_more_accuracy_is_better(self, scores):
        accuracy = scores.assign(validation_accuracy=1 - scores["validation_loss"] / 10)
        found = generalization.validation_curve(accuracy, metric="validation_accuracy")
        np.testing.assert_allclose(found.mean, [70, 90, 88, 86, 50])
        assert (found.best, found.one_standard_error) == (1, 2)

    def test_a_fold_that_diverged_is_not_chosen(self, scores):
        spoilt = scores.copy(deep=True)
        spoilt["validation_loss"].loc[{"regularization": 0.01, "fold": 2}] = np.nan
        assert generalization.validation_curve(spoilt).best == 2

    def test_the_picture_marks_both(self, scores, tmp_path):
        figure = generalization.cross_validation(scores.assign(loss=scores["validation_loss"] / 2))
        found = lines_of(figure.axes[0])
        assert found["best: 0.01"].get_xydata().tolist() == [[0.01, 1.0]]
        np.testing.assert_allclose(found["simplest within one standard error: 0.1"].get_xydata(), [[0.1, 1.2]])
        np.testing.assert_allclose(found["training"].get_ydata(), [1.5, 0.5, 0.6, 0.7, 2.5])
        assert figure.axes[0].get_xscale() == "log"
        given = Figure()
        assert generalization.cross_validation(scores, axes=given.subplots(), theme="dark") is given

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"metric": "validation_los"}, "no 'validation_los'; did you mean 'validation_loss'"),
            ({"over": "regularisation"}, "has no axis 'regularisation'; did you mean 'regularization'"),
            ({"folds": "folds"}, "has no axis 'folds'; did you mean 'fold'"),
            ({"simpler": "more"}, "simpler must be 'higher' or 'lower'; got 'more'"),
        ],
    )
    def test_bad_arguments_are_refused_by_name(self, scores, arguments, message):
        with pytest.raises(ValueError, match=message):
            generalization.cross_validation(scores, **arguments)

    def test_one_fold_has_no_error(self, scores):
        with pytest.raises(ValueError, match="expected two folds or more; got 1"):
            generalization.cross_validation(scores.isel(fold=[0]))
