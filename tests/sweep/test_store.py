"""What ``jc.sweep(..., store=path)`` keeps, and where it goes on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr

import jaxopt_course as jc
from jaxopt_course.sweep import best, execution, programs, store
from tests.sweep import stored

pytest.importorskip("zarr")


class Killed(BaseException):
    """Nothing catches it."""


@pytest.fixture(scope="module")
def whole():
    return stored.run()


def opened(path):
    return xr.open_zarr(path, chunks=None, consolidated=False)


def notes(path):
    import zarr

    return zarr.open_group(path, mode="r", path="sweep")


def killed_at(path, write, **options):
    """Run the sweep, writing each epoch, until file number ``write`` is half written; nothing is written from there on."""
    with pytest.MonkeyPatch.context() as patch:

        def at(number, path, value):
            if number == write:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.with_suffix(".half.partial").write_bytes(value.to_bytes()[: len(value) // 2])
            if number >= write:
                raise Killed

        stored.write_often(patch)
        undo = stored.count_writes(at)
        try:
            with pytest.raises(Killed):
                stored.run(path, **options)
        finally:
            undo()


def test_a_stored_sweep_returns_what_it_returns_without(whole, tmp_path):
    results = stored.run(tmp_path / "sweep.zarr")
    xr.testing.assert_equal(results, whole)
    assert results.attrs.keys() == whole.attrs.keys()
    assert all(results[name].attrs == whole[name].attrs for name in whole.variables)
    assert (whole.diverged_step >= 0).any()


def test_the_store_is_the_results_as_a_dataset(whole, tmp_path):
    path = tmp_path / "sweep.zarr"
    stored.run(str(path))
    with opened(path) as found:
        assert found.finished.values.all()
        xr.testing.assert_equal(found.drop_vars("finished").load(), whole)
        assert {name: found.attrs[name] for name in ("title", "space", "versions", "incomplete")} == {
            name: whole.attrs[name] for name in ("title", "space", "versions", "incomplete")
        }
        assert dict(best(found.isel(rate=slice(2)))) == dict(best(whole.isel(rate=slice(2))))
    assert not list(notes(path).array_keys())  # no state is left


@pytest.mark.long
def test_a_finished_store_returns_its_results_without_compiling(whole, tmp_path, traced):
    path = tmp_path / "sweep.zarr"
    first = stored.run(path)
    jax.clear_caches()
    before = {name: traced(name) for name in ("train_lanes", "init_lanes", "evaluate_lanes")}
    again = stored.run(path)
    assert {name: traced(name) for name in before} == before
    xr.testing.assert_equal(again, whole)
    assert again.attrs["compile_seconds"] == first.attrs["compile_seconds"]


QUICK = (4, 29, 88)


@pytest.mark.parametrize(
    "write", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in (*QUICK, *range(0, 261, 7))]
)
def test_killed_in_the_middle_of_any_write_it_goes_on_to_equal_results(whole, tmp_path, write):
    path = tmp_path / "sweep.zarr"
    killed_at(path, write)
    xr.testing.assert_equal(stored.run(path), whole)
    assert [each.name for each in tmp_path.iterdir()] == ["sweep.zarr"]
    assert not list(path.rglob("*.partial"))


def test_a_block_goes_on_from_its_last_epoch(whole, tmp_path, monkeypatch):
    real, epochs = execution.Runner._epoch, []

    def counted(self, plan, epoch, *args):
        epochs.append(epoch)
        if len(epochs) == 4:  # the second block's second
            raise Killed
        return real(self, plan, epoch, *args)

    monkeypatch.setattr(execution.Runner, "_epoch", counted)
    with monkeypatch.context() as patch:
        stored.write_often(patch)
        with pytest.raises(Killed):
            stored.run(tmp_path / "sweep.zarr")
    with opened(tmp_path / "sweep.zarr") as part:
        assert int(part.finished.sum()) == 2
        assert np.isfinite(part.validation_loss).any(["rate", "form", "seed"]).values.tolist() == [True, True, True]
        assert part.attrs["incomplete"] == 1
    del epochs[:]
    epochs += [None] * 9
    xr.testing.assert_equal(stored.run(tmp_path / "sweep.zarr"), whole)
    assert epochs[9:] == [2, *[1, 2] * 6]


@pytest.mark.long
def test_states_of_any_dtype_come_back(problems, tmp_path, monkeypatch):
    """bfloat16 accumulators, integer counters and a dropout key among them; and the initialisation varies between lanes."""

    def run(path=None):
        factory = lambda rate: optax.sgd(rate, momentum=0.9, accumulator_dtype=jnp.bfloat16)
        space = jc.grid(rate=[0.001, 0.01, 0.1])
        options = {"seeds": 2, "vary": "initialization", "epochs": 2, "batch_size": 10, "store": path}
        return jc.sweep(problems.model("dropout"), factory, space, **options)

    real = store.Store._write_state

    def killed(self, record):
        real(self, record)
        if record.epoch == 1:
            raise Killed

    with monkeypatch.context() as patch:
        stored.write_often(patch)
        patch.setattr(store.Store, "_write_state", killed)
        with pytest.raises(Killed):
            run(tmp_path / "sweep.zarr")
    kinds = {dtype for dtype, _ in notes(tmp_path / "sweep.zarr").attrs["state"]["leaves"]}
    assert kinds == {"float32", "bfloat16", "int32", "uint32"}
    assert notes(tmp_path / "sweep.zarr").attrs["state"]["epoch"] == 1
    xr.testing.assert_equal(run(tmp_path / "sweep.zarr"), run())


@pytest.mark.long
def test_blocks_side_by_side_go_on_from_their_last_epoch(tmp_path, monkeypatch):
    """On a machine of another number of cores too: from the blocks' start then, to equal results."""
    options = {"space": jc.grid(rate=np.geomspace(1e-3, 0.1, 17), form=["shifted"]), "lanes": 18}
    monkeypatch.setattr(programs, "_cores", lambda: 2)
    whole = stored.run(**options)
    for cores in (2, 1):
        monkeypatch.setattr(programs, "_cores", lambda: 2)
        path = tmp_path / f"{cores}.zarr"
        killed_at(path, 40, **options)
        assert notes(path).attrs["lanes"] == [9]
        monkeypatch.setattr(programs, "_cores", lambda cores=cores: cores)
        xr.testing.assert_equal(stored.run(path, **options), whole)


def test_recorded_lane_sizes_win_over_what_would_be_chosen(whole, tmp_path, monkeypatch):
    path = tmp_path / "sweep.zarr"
    killed_at(path, 40)
    assert notes(path).attrs["lanes"] == [2, 2]
    sizes, real = set(), execution.Runner._epoch

    def seen(self, plan, epoch, lanes, states, diverged, *args):
        sizes.update(map(len, diverged))
        return real(self, plan, epoch, lanes, states, diverged, *args)

    monkeypatch.setattr(execution.Runner, "_epoch", seen)
    xr.testing.assert_equal(stored.run(path, lanes=64, memory=1e12), whole)
    assert sizes == {2}


@pytest.mark.long
def test_seconds_add_up_over_calls(tmp_path):
    path = tmp_path / "sweep.zarr"
    killed_at(path, 40, n=54)
    compiling, running = notes(path).attrs["seconds"]
    results = stored.run(path, n=54)
    assert results.attrs["run_seconds"] > running > 0
    assert results.attrs["compile_seconds"] >= compiling > 0


def test_an_interrupted_sweep_is_stored_and_goes_on(whole, tmp_path, monkeypatch):
    path = tmp_path / "sweep.zarr"  # too short a sweep to be written before its end
    with monkeypatch.context() as patch:
        patch.setattr(execution.Runner, "_evaluations", interrupted(execution.Runner._evaluations, 7))
        part = stored.run(path)
    assert part.attrs["incomplete"] == 1
    with opened(path) as found:
        assert 0 < int(found.finished.sum()) < found.finished.size
        xr.testing.assert_equal(found.drop_vars("finished").load(), part)
    xr.testing.assert_equal(stored.run(path), whole)


def interrupted(real, call):
    calls = iter(range(call))

    def function(*args):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return real(*args)

    return function


def command(path, kill, epochs):
    return [sys.executable, "-m", "tests.sweep.stored", str(path), str(kill), str(epochs)]


ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_sent_sigkill_at_a_write_it_goes_on_in_another_process(whole, tmp_path):
    path = tmp_path / "sweep.zarr"
    process = subprocess.run(command(path, 110, 2), cwd=ROOT, capture_output=True)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    with opened(path) as part:
        assert 0 < int(part.finished.sum()) < part.finished.size
    xr.testing.assert_equal(stored.run(path), whole)


@pytest.mark.slow
def test_sent_sigkill_at_random_moments_it_goes_on_to_equal_results(tmp_path):
    path, epochs, moments = tmp_path / "sweep.zarr", 60, random.Random(4)
    for _ in range(4):
        process = subprocess.Popen(command(path, -1, epochs), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not path.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 8.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    xr.testing.assert_equal(stored.run(path, epochs), stored.run(epochs=epochs))
