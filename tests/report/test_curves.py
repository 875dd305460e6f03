from __future__ import annotations

import dataclasses
import subprocess
import sys

import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from jaxopt_course.report import curves, rates, series, style


def lines_by_label(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def overlaps(figure, texts):
    """Pairs of texts whose boxes overlap in the drawn figure."""
    figure.draw_without_rendering()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text() and text.get_visible()]
    return [(a, b) for i, (a, box) in enumerate(boxes) for b, other in boxes[:i] if box.overlaps(other)]


def test_curves_are_the_means_over_seeds(race):
    axes = curves.learning_curves(race.curves, "examples", "validation_accuracy").axes[0]
    line = lines_by_label(axes)["nadam"]
    np.testing.assert_allclose(line.get_xdata(), race.curves["examples"])
    mean = race.curves["validation_accuracy"].sel(optimizer="nadam").mean("seed")
    np.testing.assert_allclose(line.get_ydata(), 100 * mean)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("examples", "validation accuracy (%)")
    assert len(axes.collections) == race.curves.sizes["optimizer"]


def test_some_of_the_optimizers_keep_their_looks(race):
    lines = style.lines(race.optimizers)
    chosen = {name: lines[name] for name in ("nadam", "sgd")} | {"absent": lines["adam"]}
    axes = curves.learning_curves(race.curves, lines=chosen).axes[0]
    handles = zip(axes.get_legend().get_texts(), axes.get_legend().get_lines(), strict=True)
    assert [(text.get_text(), line.get_color()) for text, line in handles] == [
        (name, lines[name].color) for name in ("nadam", "sgd")
    ]


def test_every_optimizer_looks_different_and_the_same_in_every_panel(race):
    figure = curves.race_figure(race)
    looks = [
        {(to_hex(line.get_color()), line.get_linestyle()) for line in axes.lines if len(line.get_xdata()) > 5}
        for axes in figure.axes[:2]
    ]
    assert len(looks[0]) == 15
    assert looks[1] < looks[0]  # the line search has no curve over learning rates


def test_the_figure_of_fifteen_optimizers_has_no_overlapping_text(race):
    figure = curves.race_figure(race)
    texts = [text for axes in figure.axes for text in (*axes.texts, axes.xaxis.label, axes.yaxis.label, axes._left_title)]
    ticks = [text for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for text in axis.get_ticklabels()]
    assert overlaps(figure, [*texts, figure._suptitle, figure._supxlabel]) == []
    assert overlaps(figure, figure.axes[2].get_yticklabels() + figure.axes[2].texts) == []
    assert len(ticks) > 20


def test_a_race_without_divergence_fills_its_figure(race):
    stable = dataclasses.replace(race, tuning=race.tuning.isel(trial=~race.tuning["diverged"]))
    figure = curves.race_figure(stable)
    figure.draw_without_rendering()
    assert figure.axes[1].get_position().x0 < 0.06
    assert figure.axes[3].get_position().y0 < 0.1


def test_a_race_is_drawn_on_four_given_axes(race):
    figure = style.Figure(figsize=(13, 11))
    panels = figure.subplots(2, 2).flat
    assert curves.race_figure(race, axes=list(panels)) is figure
    alone = curves.race_figure(race)
    assert [each.get_xlabel() for each in figure.axes] == [each.get_xlabel() for each in alone.axes]
    assert figure.get_suptitle() == ""
    with pytest.raises(ValueError, match="race_figure: expected 4 axes: curves, sensitivity, ranking, budget; got 1"):
        curves.race_figure(race, axes=figure.axes[:1])


def test_the_ranking_marks_what_cannot_be_told_from_the_best(race):
    axes = curves.race_figure(race).axes[2]
    bold = [text.get_text() for text in axes.get_yticklabels() if text.get_fontweight() == "bold"]
    assert [text.get_text() for text in axes.get_yticklabels()] == race.ranking
    assert bold == ["sgd", "momentum"]


def test_a_diverged_curve_ends_in_a_cross_and_its_legend_says_so(race):
    axes = curves.learning_curves(race.curves).axes[0]
    (cross,) = [line for line in axes.lines if line.get_marker() == "x"]
    assert cross.get_xdata()[0] == race.curves["evaluation"][19]
    assert "blows_up (diverged)" in [text.get_text() for text in axes.get_legend().get_texts()]
    assert axes.get_ylim()[1] < 4


def test_the_selected_rate_is_marked(race):
    axes = curves.sensitivity(race.tuning).axes[0]
    large = sorted(float(line.get_xdata()[0]) for line in axes.lines if line.get_markersize() == 8)
    chosen = race.tuning["learning_rate"].values[race.tuning["selected"].values]
    np.testing.assert_allclose(large, sorted(chosen[~np.isnan(chosen)]))
    assert axes.get_xscale() == "log"


def test_sensitivity_has_a_band_over_the_tuning_seeds(race):
    lines = style.lines(race.optimizers)
    (band,) = curves.sensitivity(race.tuning, lines={"adam": lines["adam"]}).axes[0].collections
    _, mean, low, high, _ = series.sensitivity(race.tuning, "adam")
    drawn = band.get_paths()[0].vertices[:, 1]
    assert {*low[np.isfinite(mean)], *high[np.isfinite(mean)]} <= set(drawn)
    assert (low < mean)[np.isfinite(mean)].all()


def test_divergence_is_drawn_at_the_bottom_of_an_accuracy(race):
    axes = curves.sensitivity(race.tuning, "validation_accuracy").axes[0]
    crosses = np.concatenate([line.get_ydata() for line in axes.lines if line.get_marker() == "x"])
    assert len(crosses)
    assert (crosses == 0).all()


@pytest.mark.parametrize("data", ["interrupted", "nothing"])
def test_an_interrupted_race_can_be_drawn(data, request, tmp_path):
    figure = curves.race_figure(request.getfixturevalue(data), theme="dark")
    assert figure.get_suptitle().endswith("(incomplete)")
    figure.savefig(tmp_path / "race.png")


def test_history_draws_loss_metric_and_a_learning_rate_that_varies(run):
    loss, accuracy, rate = curves.history(run).axes
    assert (loss.get_ylabel(), accuracy.get_ylabel(), rate.get_ylabel()) == ("loss", "accuracy (%)", "learning rate")
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")
    np.testing.assert_allclose(lines_by_label(accuracy)["validation"].get_ydata(), 100 * run["validation_accuracy"])
    np.testing.assert_allclose(lines_by_label(loss)["validation"].get_xdata(), run["epoch_step"])
    constant = run.assign(learning_rate=run["learning_rate"] * 0 + 0.1)
    assert len(curves.history(constant).axes) == 2


def test_the_smoothed_loss_is_a_centred_running_mean(run):
    smooth = lines_by_label(curves.history(run).axes[0])["training, smoothed"].get_ydata()
    assert smooth[200] == pytest.approx(run["loss"].values[196:204].mean())


def test_history_against_epochs(run):
    axes = curves.history(run, x="epoch").axes
    assert axes[-1].get_xlabel() == "epochs"
    np.testing.assert_allclose(lines_by_label(axes[0])["validation"].get_xdata(), run["epoch"])


def test_history_against_something_unknown_is_refused(run):
    with pytest.raises(ValueError, match=r"history: unknown x 'example'; did you mean 'examples'\?"):
        curves.history(run, x="example")


def test_an_objective_gets_a_panel_only_if_it_is_not_the_loss(run):
    run = run.assign(validation_objective=run["validation_loss"] + 0.01)
    assert len(curves.history(run).axes) == 4
    assert len(curves.history(run.assign(objective=run["loss"])).axes) == 3


def test_a_deterministic_descent_is_not_smoothed(run):
    descent = run.drop_dims("epoch").drop_vars("step_epoch")
    (line,) = curves.history(descent).axes[0].lines
    np.testing.assert_array_equal(line.get_ydata(), run["loss"])


@pytest.mark.parametrize(
    "spoil", [lambda loss: loss * 0, lambda loss: loss - 1, lambda loss: loss.where(loss.step < 300, np.inf)]
)
def test_history_takes_zero_negative_and_diverged_losses(run, spoil, tmp_path):
    curves.history(run.assign(loss=spoil(run["loss"]))).savefig(tmp_path / "run.png")


def test_history_of_no_steps_is_empty(run, tmp_path):
    curves.history(run.isel(step=[], epoch=[])).savefig(tmp_path / "run.png")


def test_history_refuses_a_population(run):
    with pytest.raises(ValueError, match=r"one run with loss over \('step',\); got .*'seed': 3"):
        curves.history(run.expand_dims(seed=3))


@pytest.mark.parametrize("steps", [1, 300, 1_000_000])
def test_a_schedule_is_drawn_over_all_its_steps(steps):
    (line,) = rates.schedule(lambda step: 0.1 / (1 + step), steps).axes[0].lines
    assert line.get_xdata()[[0, -1]].tolist() == [0, steps - 1]
    assert len(line.get_xdata()) <= 4000
    np.testing.assert_allclose(line.get_ydata(), 0.1 / (1 + line.get_xdata()), rtol=1e-6)


def test_a_schedule_needs_steps():
    with pytest.raises(ValueError, match="steps must be an integer >= 1; got 0"):
        rates.schedule(abs, 0)


def test_a_constant_schedule_is_a_level_line():
    (line,) = rates.schedule(lambda step: jnp.float32(0.5), 10).axes[0].lines
    assert (line.get_ydata() == 0.5).all()


def test_given_axes_are_drawn_on_and_keep_their_look(race, run):
    figure = Figure(facecolor="pink")
    first, second, third, fourth = figure.subplots(4)
    assert curves.learning_curves(race.curves, axes=first) is figure
    assert curves.sensitivity(race.tuning, axes=second) is figure
    assert curves.history(run, axes=third) is figure
    assert rates.schedule(lambda step: step, 5, axes=fourth) is figure
    assert all(axes.has_data() for axes in figure.axes)
    assert first.get_facecolor() == matplotlib.colors.to_rgba("white")


def test_axes_of_a_subfigure_return_the_figure(run):
    figure = Figure()
    assert curves.history(run, axes=figure.subfigures(1, 2)[0].subplots()) is figure


def test_the_theme_colours_everything_and_leaves_no_trace(race):
    before = dict(matplotlib.rcParams)
    figure = curves.learning_curves(race.curves, theme="dark")
    assert dict(matplotlib.rcParams) == before
    dark = style.THEMES["dark"]
    assert to_hex(figure.get_facecolor()) == dark.paper
    figure.draw_without_rendering()
    assert {text.get_color() for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis) for text in axis.get_ticklabels()} == {
        dark.muted
    }


def test_an_unknown_theme_gets_its_closest_match(race):
    with pytest.raises(ValueError, match="did you mean 'dark'"):
        curves.learning_curves(race.curves, theme="drak")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_line_stands_out_from_the_paper(theme):
    def luminance(color):
        channels = np.array(matplotlib.colors.to_rgb(color))
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    colors = style.THEMES[theme]
    for color, least in [(colors.ink, 7), (colors.muted, 4.5), *((color, 2) for color in colors.cycle)]:
        light, dark = sorted([luminance(color), luminance(colors.paper)], reverse=True)
        assert (light + 0.05) / (dark + 0.05) > least, color


def test_jupyter_shows_a_figure_at_twice_its_size_and_without_pyplot(run):
    png, size = curves.history(run)._repr_png_()
    assert size["width"] == 720
    assert int.from_bytes(png[16:20]) == 2 * size["width"]
    code = "import sys; from jaxopt_course.report import rates; rates.schedule(abs, 9)._repr_png_()"
    code += "; print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
