"""What ``jc.sweep`` compiles, survives and fits into memory."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr

import jaxopt_course as jc
from jaxopt_course.sweep import best, execution, halving, plot, population, programs, sweep
from tests.sweep.swept import FAST, runner


def test_64_rates_trace_once_and_so_do_64_others(problems, traced):
    problem = problems.model(n=38)
    for low in (1e-4, 1e-3):
        sweep(problem, jc.sgd, jc.grid(learning_rate=np.geomspace(low, 0.3, 64)), **FAST | {"seeds": 2, "epochs": 3})
    assert {name: traced(name) for name in ("train_lanes", "init_lanes")} == {"train_lanes": 1, "init_lanes": 1}
    assert traced("evaluate_lanes") == 2  # validation and test, which differ in size
    sweep(problem, lambda rate: jc.sgd(rate), jc.grid(rate=np.geomspace(1e-3, 0.3, 64)), **FAST)
    assert traced("train_lanes") == 1  # whatever its numbers are called


def test_optimizers_that_differ_in_their_gradient_point_alone_are_told_apart(problems):
    build = lambda rate, rule: rule(rate, 0.9)
    results = sweep(problems.model(), build, jc.grid(rate=[0.1], rule=[jc.momentum, jc.nesterov]), evaluate=None, **FAST)
    heavy_ball, nesterov = results.loss.isel(rate=0, seed=0, epoch=1).values
    assert heavy_ball != nesterov


def test_a_lambda_written_again_shares_the_program(problems, traced):
    for _ in range(2):
        sweep(problems.model(n=39), lambda r: jc.momentum(r, 0.3), jc.grid(r=[0.01, 0.1]), **FAST)
    assert traced("train_lanes") == 1
    assert traced("evaluate_lanes") <= 2  # and with all other sweeps of so many lanes


def test_integers_booleans_and_strings_compile_once_for_each_value(problems, traced):
    space = jc.grid(learning_rate=[0.01, 0.1], form=["lookahead", "shifted"])
    results = sweep(problems.model(n=40), jc.nesterov, space, evaluate=None, **FAST)
    assert traced("train_lanes") == 2
    assert results.loss.sizes["form"] == 2
    assert "validation_loss" not in results


def test_what_no_configuration_changes_has_no_lane_axis(problems):
    found = runner(problems.model(), lambda rate: optax.MultiSteps(optax.adam(rate), 3), jc.grid(rate=[0.1, 0.2]))
    state = population.init_lanes.lower(
        make=found.group.make, starts=False, lanes=found.group.lanes, start=found._start(np.zeros(1, int)),
        key=found.keys[0][1], **found.static,
    ).out_info  # fmt: skip
    counters = [leaf for leaf in state.opt_state if jnp.issubdtype(leaf.dtype, jnp.integer)]
    assert len(counters) >= 3
    assert all(leaf.shape == () for leaf in (*counters, state.step))
    assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(state.params))


def test_an_untouched_part_of_the_model_is_kept_once(problems):
    label = lambda params: {"w": "still", "v": "moves", "b": "moves"}
    factory = lambda rate: optax.multi_transform({"still": optax.set_to_zero(), "moves": optax.sgd(rate)}, label)
    found = runner(problems.model(), factory, jc.grid(rate=[0.1, 0.2]))
    assert dict(zip("bvw", found.flow.varying[:3], strict=True)) == {"b": True, "v": True, "w": False}


def test_a_diverged_configuration_is_recorded_and_harms_no_other(problems):
    problem = problems.model()
    results = sweep(problem, jc.sgd, jc.grid(learning_rate=[0.05, 1e30, 1e10]), seeds=[4], epochs=3, batch_size=10)
    alone = sweep(problem, jc.sgd, jc.grid(learning_rate=[0.05, 0.06, 0.07]), seeds=[4], epochs=3, batch_size=10)
    np.testing.assert_array_equal(results.isel(learning_rate=0).validation_loss, alone.isel(learning_rate=0).validation_loss)
    assert int(results.diverged_step[0, 0]) == -1
    for place, rate in ((1, 1e30), (2, 1e10)):
        with pytest.raises(jc.NonFiniteError) as caught:
            jc.fit(problem, jc.sgd(rate), batch_size=10, epochs=3, key=4)
        lane = results.isel(learning_rate=place, seed=0)
        assert int(lane.diverged_step) == caught.value.result.steps
        assert np.isfinite(lane.validation_loss[0])
        assert np.isnan(lane.validation_residual[1:]).all()
        assert np.isnan(lane.test_loss)
    winner = best(results.sel(learning_rate=[1e30, 0.05]))
    assert float(winner.learning_rate) == 0.05


def test_divergence_at_the_very_last_step_is_seen():
    """Its loss was finite; the parameters after it are not."""
    problem = jc.Problem.from_loss(lambda w, batch: w * batch, jnp.float32(1.0), jnp.ones(4, jnp.float32))
    blow = lambda rate: optax.chain(optax.sgd(rate), optax.scale(1e30))
    results = sweep(problem, blow, jc.grid(rate=[1.0, 1e30]), seeds=1, epochs=1, batch_size=4, evaluate=None)
    assert results.diverged_step.values.ravel().tolist() == [-1, 1]


def test_an_interrupted_sweep_returns_what_it_has(problems, monkeypatch):
    real, calls = execution.Runner._epoch, []

    def interrupted(self, *args):
        calls.append(args)
        if len(calls) == 4:  # the second seed's second epoch
            raise KeyboardInterrupt
        return real(self, *args)

    space = jc.grid(learning_rate=[0.01, 0.1])
    whole = sweep(problems.model(), jc.sgd, space, seeds=3, epochs=2, batch_size=10)
    monkeypatch.setattr(execution.Runner, "_epoch", interrupted)
    part = sweep(problems.model(), jc.sgd, space, seeds=3, epochs=2, batch_size=10)
    assert (part.attrs["incomplete"], whole.attrs["incomplete"]) == (1, 0)
    xr.testing.assert_equal(part.isel(seed=0), whole.isel(seed=0))
    np.testing.assert_array_equal(part.validation_loss.isel(seed=1)[:, :2], whole.validation_loss.isel(seed=1)[:, :2])
    assert np.isnan(part.validation_loss.isel(seed=1, epoch=2)).all()
    assert np.isnan(part.validation_loss.isel(seed=2)).all()
    xr.testing.assert_identical(best(part), best(part.isel(seed=[0])))
    assert plot(part, falls=True).axes[0].get_title("left").endswith("(incomplete)")
    calls[:] = [None] * 2  # the first seed's second epoch
    early = sweep(problems.model(), jc.sgd, space, seeds=3, epochs=2, batch_size=10)
    for look in (best, plot):
        with pytest.raises(ValueError, match="the sweep was interrupted before any configuration was finished"):
            look(early)


def test_interrupted_before_anything(problems, monkeypatch):
    def interrupted(self, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(execution.Runner, "run", interrupted)
    with pytest.raises(KeyboardInterrupt, match="before the first result"):
        sweep(problems.model(), jc.sgd, jc.grid(learning_rate=[0.1]), **FAST)


@pytest.mark.long
def test_lanes_fit_the_budget_by_the_programs_own_account(problems):
    space = jc.grid(learning_rate=np.geomspace(1e-3, 1e-1, 60))
    found = runner(problems.model(), jc.adam, space)
    one, all_ = found._bytes(1), found._bytes(60)
    assert all_ > 3 * one
    budget = (one + all_) / 2
    small = runner(problems.model(), jc.adam, space, memory=budget)
    size = small._fitting(60)
    assert 1 < size < 60
    assert small._bytes(size) <= budget
    with pytest.raises(ValueError, match=r"memory must be at least .* bytes, which one lane needs .* got 1,000"):
        sweep(problems.model(), jc.adam, space, memory=1000, **FAST)


def test_the_budget_covers_all_that_is_there_at_once(problems):
    """All splits, the whole state, the optimizer's included, and what the largest program takes besides; of each block."""
    space = jc.grid(learning_rate=np.geomspace(1e-3, 1e-1, 16))
    found = runner(problems.model(), jc.adam, space)
    state = found.begin(next(found._passes()), 16).state
    size = lambda tree: sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
    assert found._bytes(16) > size(found.data) + found.at_once * size(state)


@pytest.mark.long
def test_blocks_of_a_recorded_size_train_side_by_side_as_far_as_lanes_and_memory_allow(problems, monkeypatch):
    monkeypatch.setattr(programs, "_cores", lambda: 2)
    make = lambda **options: runner(problems.model(), jc.adam, jc.grid(learning_rate=np.geomspace(1e-3, 0.1, 32)), **options)
    enough = make()._bytes(16)
    for options, at_once in (({"memory": enough}, 2), ({"memory": enough - 1}, 1), ({"lanes": 31}, 1), ({"lanes": 32}, 2)):
        found = make(**options)
        assert found.at_once == 2
        assert (found.fitting(16), found.at_once) == (16, at_once)


def test_a_budget_too_small_for_the_last_program_is_found_before_the_first_trains(problems, monkeypatch):
    problem = lambda width: jc.Problem.from_loss(
        lambda params, batch: (batch["x"] @ params["u"] @ params["v"] - batch["y"]) ** 2,
        {"u": jnp.ones((3, width)), "v": jnp.ones(width)},
        problems.model().data,
    )
    monkeypatch.setattr(execution.Runner, "run", None)
    space = jc.grid(learning_rate=[0.1], width=[1, 2000])
    for train in (sweep, functools.partial(halving, max_epochs=2, eta=2)):
        with pytest.raises(ValueError, match=r"memory must be at least .* bytes, which one lane needs"):
            train(problem, jc.sgd, space, seeds=1, batch_size=10, memory=20_000)


def test_progress_counts_every_step_of_every_run(problems, capsys):
    sweep(problems.model(), jc.sgd, jc.grid(learning_rate=[0.1, 0.2, 0.3]), seeds=2, epochs=2, batch_size=10, lanes=2,
          progress=True)  # fmt: skip
    shown = capsys.readouterr().err
    assert "48/48" in shown  # 3 rates, 2 seeds, 2 epochs of 4 batches
