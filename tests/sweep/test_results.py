"""What ``jc.sweep`` returns: labelled results, written and read back, and ``best`` of them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import jaxopt_course as jc
from jaxopt_course.sweep import best, spaces, sweep
from jaxopt_course.sweep.results import finished
from tests.sweep.swept import FAST


def test_results_are_labelled(problems):
    space = jc.grid(learning_rate=[0.01, 0.1], form=["lookahead", "shifted"])
    results = sweep(problems.model(), jc.nesterov, space, seeds=[7, 3], epochs=2, batch_size=10)
    assert results.validation_loss.dims == ("learning_rate", "form", "seed", "epoch")
    assert results.test_residual.dims == results.diverged_step.dims == ("learning_rate", "form", "seed")
    assert results.seed.values.tolist() == [7, 3]
    assert results.epoch.values.tolist() == [0, 1, 2]
    assert results.form.values.tolist() == ["lookahead", "shifted"]
    assert all(results[name].attrs["description"] and results[name].attrs["units"] for name in results.variables)
    for name in ("problem", "factory", "batch_size", "epochs", "seeds", "vary", "sampler", "space", "versions", "run_seconds"):
        assert name in results.attrs
    assert results.attrs["factory"] == "nesterov"
    assert np.isnan(results.loss.sel(epoch=0)).all()
    assert np.isfinite(results.validation_loss).all()


def test_coordinates_say_which_axis_shows_them_best(problems):
    build = lambda rate, momentum, form: jc.nesterov(rate, momentum, form=form)
    space = spaces.random(
        9, rate=spaces.log(1e-4, 1.0), momentum=spaces.linear(0.0, 1.0), form=spaces.categorical(["shifted"])
    )
    results = sweep(problems.model(), build, space, evaluate=None, **FAST)
    assert [results[name].attrs.get("scale") for name in ("rate", "momentum", "form")] == ["log", "linear", None]
    for values, expected in (
        ((1e-3, 1e-2, 1e-1), "log"), ((0.1, 0.2, 0.9, 1.0), "linear"), ((0.5, 0.9, 0.99), "linear"), ((2, 8, 32, 128), "log"),
        ((True, False), None), (("a",), None),
    ):  # fmt: skip
        assert spaces.drawn_on(values) == expected


@pytest.mark.parametrize("engine", ["scipy", "h5netcdf"])
def test_netcdf_round_trip(problems, tmp_path, engine):
    pytest.importorskip(engine)
    space = spaces.zipped(learning_rate=[0.01, 0.1, 1e20], form=["lookahead", "shifted", "shifted"])
    results = sweep(problems.model(), jc.nesterov, space, seeds=2, epochs=1, batch_size=10)
    results.to_netcdf(tmp_path / "sweep.nc", engine=engine)
    with xr.open_dataset(tmp_path / "sweep.nc", engine=engine) as loaded:
        xr.testing.assert_equal(loaded.load(), results)
        assert {name: loaded.attrs[name] for name in results.attrs} == results.attrs
        for name in results.variables:
            assert {key: loaded[name].attrs[key] for key in results[name].attrs} == results[name].attrs
            assert {"units", "description"} <= set(results[name].attrs)
        assert dict(best(loaded.isel(configuration=[0, 1]))) == dict(best(results.isel(configuration=[0, 1])))


def test_evaluation_at_the_end_alone(problems):
    space = jc.grid(learning_rate=[0.01, 0.1])
    each = sweep(problems.model(), jc.sgd, space, seeds=1, epochs=3, batch_size=10)
    last = sweep(problems.model(), jc.sgd, space, seeds=1, epochs=3, batch_size=10, evaluate="end")
    assert np.isnan(last.validation_loss[..., :3]).all()
    np.testing.assert_array_equal(last.validation_loss[..., 3], each.validation_loss[..., 3])
    np.testing.assert_array_equal(last.test_loss, each.test_loss)


def made_up(losses, tests, dims=("learning_rate", "seed")):
    """A dataset as a sweep makes them: final values by configuration and seed."""
    losses = np.asarray(losses, float)
    return xr.Dataset(
        {
            "validation_loss": ((*dims, "epoch"), np.stack([np.ones_like(losses), losses], -1)),
            "validation_accuracy": ((*dims, "epoch"), np.stack([np.zeros_like(losses), 1 - losses], -1)),
            "test_loss": (dims, np.asarray(tests, float)),
            "diverged_step": (dims, np.full(losses.shape, -1)),
        },
        {"learning_rate": [0.1, 0.2, 0.4][: len(losses)], "seed": range(losses.shape[-1]), "epoch": [0, 1]},
    )


def test_best_chooses_on_validation_and_reports_on_test():
    results = made_up([[0.5, 0.7, 0.6], [0.2, 0.4, 0.6], [0.1, np.nan, 0.1]], [[0.1, 0.1, 0.1], [0.8, 0.9, 0.7], [0, 0, 0]])
    winner = best(results, level=0.9)
    assert float(winner.learning_rate) == 0.2
    np.testing.assert_allclose(float(winner.test_loss), 0.8)
    from scipy import stats

    low, high = stats.ttest_1samp([0.8, 0.9, 0.7], 0).confidence_interval(0.9)
    np.testing.assert_allclose([float(winner.test_loss_low), float(winner.test_loss_high)], [low, high], rtol=1e-12)
    assert winner.attrs["selection"] == "validation_loss"
    assert float(best(results, "validation_accuracy").learning_rate) == 0.2
    assert float(best(results, "validation_accuracy", falls=True).learning_rate) == 0.1


MADE_UP = made_up([[0.5, 0.7]], [[1, 2]])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"metric": "validation_los"}, ValueError, "unknown metric 'validation_los'; did you mean 'validation_loss'"),
        ({"metric": "test_loss"}, ValueError, "metric must not be a test value"),
        ({"metric": "diverged_step"}, ValueError, "unknown metric"),
        ({"metric": None}, TypeError, "metric must be a string; got None"),
        ({"falls": "no"}, TypeError, "best: falls must be None, True or False; got 'no'"),
        ({"level": "0.95"}, TypeError, r"best: level must be a number in \(0, 1\); got '0\.95'"),
        ({"level": 95}, ValueError, r"best: level must be a number in \(0, 1\); got 95"),
        ({"results": {}}, TypeError, r"best: results must be what jc\.sweep returned; got \{\}"),
        ({"results": "a.nc"}, TypeError, r"results must be what jc\.sweep returned; got 'a\.nc'"),
        ({"results": jc.grid(learning_rate=[0.1])}, TypeError, r"results must be what jc\.sweep returned; got grid"),
        ({"results": MADE_UP.validation_loss}, TypeError, r"results must be what jc\.sweep returned; got <xarray.DataArray"),
        ({"results": xr.Dataset({"a": 1})}, ValueError, r"what jc\.sweep returned; got a dataset with \['a'\]"),
        ({"results": MADE_UP.isel(seed=0)}, ValueError, r"the dimension 'seed' .*\.isel\(seed=\[0\]\) keeps"),
        ({"results": MADE_UP.mean("seed")}, ValueError, "the dimension 'seed'"),
        ({"results": MADE_UP.isel(epoch=-1)}, ValueError, "the dimension 'epoch'"),
    ],
)  # fmt: skip
def test_best_refuses(options, error, message):
    with pytest.raises(error, match=message):
        best(**{"results": MADE_UP} | options)


def test_what_an_interruption_left_is_some_configurations_if_no_seed_has_all():
    results = made_up([[0.5, 0.7], [0.2, np.nan], [np.nan, np.nan]], np.ones((3, 2))).assign_attrs(incomplete=1)
    results = results.assign(loss=results.validation_loss)
    assert finished("best", results).seed.values.tolist() == [0, 1]
    assert float(best(results).learning_rate) == 0.1
    assert finished("best", results.isel(learning_rate=[0, 1])).seed.values.tolist() == [0]
    assert float(best(results.isel(learning_rate=[0, 1])).learning_rate) == 0.2
