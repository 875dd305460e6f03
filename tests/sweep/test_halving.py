"""Successive halving and Hyperband: the full sweep's numbers, for a part of its work."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.sweep import best, execution, halving, hyperband, rungs, spaces, sweep
from jaxopt_course.sweep.brackets import deal
from tests.sweep.swept import RATES, SMALL

TWO = spaces.categorical([0.01, 0.1])


def simulated(losses, brackets, ends, eta):
    """Epochs trained by each configuration, if it had this mean loss [configurations, epochs + 1]: the papers' loops."""
    trained = np.zeros(len(losses), int)
    for members, first in brackets:
        inside, going = list(members), ends[first:]
        for i, end in enumerate(going):
            trained[inside] = end
            ranked = sorted(inside, key=lambda c: losses[c, end])
            inside = ranked[: max(1, len(members) // eta ** (i + 1))]
    return trained


def means(results):
    return results.validation_loss.mean("seed").values.reshape(-1, results.sizes["epoch"])


def check_values(stopped, full, ulps=64):
    """What is there equals the full sweep's, and all is there up to where a configuration stopped."""
    trained = stopped.epochs_trained
    for name in ("loss", "validation_loss", "validation_residual"):
        there = (stopped.epoch <= trained) & ((stopped.epoch > 0) | (name != "loss"))
        there = there.broadcast_like(stopped[name]).transpose(*stopped[name].dims).values
        np.testing.assert_array_equal(np.isfinite(stopped[name].values), there)
        wanted = full[name].values[there]
        tolerance = ulps * np.finfo(wanted.dtype).eps * np.abs(wanted).max()
        np.testing.assert_allclose(stopped[name].values[there], wanted, rtol=0, atol=tolerance)
    ended = (trained == stopped.epoch[-1]).broadcast_like(stopped.test_loss).transpose(*stopped.test_loss.dims).values
    np.testing.assert_array_equal(np.isfinite(stopped.test_loss.values), ended)
    np.testing.assert_allclose(stopped.test_loss.values[ended], full.test_loss.values[ended], rtol=1e-5)


def test_the_winner_is_the_full_sweeps_for_a_ninth_of_its_work(traced):
    problem = jc.problems.digits()
    space = jc.grid(learning_rate=np.geomspace(1e-4, 1.0, 64))
    stopped = halving(problem, jc.sgd, space, seeds=2)
    assert traced("train_lanes") == traced("init_lanes") == 1  # 4 rungs
    full = sweep(problem, jc.sgd, space, seeds=2, epochs=27)
    winner, whole = best(stopped), best(full)
    assert float(winner.learning_rate) == float(whole.learning_rate)
    np.testing.assert_allclose(winner.test_loss, whole.test_loss, rtol=1e-5)
    work = 2 * (64 * 1 + 21 * 2 + 7 * 6 + 2 * 18)
    assert (stopped.attrs["lane_epochs"], stopped.attrs["lane_epochs_full"]) == (work, 2 * 64 * 27)
    assert round(stopped.attrs["saved"], 4) == 0.8935
    assert sorted(stopped.epochs_trained.values.tolist()) == 43 * [1] + 14 * [3] + 5 * [9] + 2 * [27]
    assert (int(winner.rung), int(winner.epochs_trained)) == (3, 27)


CASES = {
    "momentum": (jc.momentum, {"learning_rate": RATES[::2], "momentum": [0.1, 0.8]}, {}),
    "a schedule of optax": (lambda rate: optax.adam(optax.exponential_decay(rate, 3, 0.7)), {"rate": RATES[1:]}, {}),
    "programs of their own": (jc.nesterov, {"learning_rate": RATES[3:], "form": ["lookahead", "shifted"]}, {}),
    "initializations": (jc.adam, {"learning_rate": RATES}, {"vary": "initialization", "seeds": [4, 1, 6]}),
    "orders, few lanes": (jc.sgd, {"learning_rate": RATES}, {"vary": "order", "lanes": 2}),
    "nothing but programs": (jc.nesterov, {"form": ["lookahead", "shifted"], "learning_rate": TWO}, {}),
}
QUICK = ("momentum", "initializations")


@pytest.mark.long
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in CASES])
def test_configurations_are_the_full_sweeps_until_they_stop(problems, name):
    factory, axes, options = CASES[name]
    space, problem = jc.grid(**axes), problems.model("dropout")
    options = SMALL | {"seeds": [5, 2]} | options
    stopped = halving(problem, factory, space, eta=2, max_epochs=4, **options)
    full = sweep(problem, factory, space, epochs=4, **options)
    assert stopped.validation_loss.dims == full.validation_loss.dims
    np.testing.assert_array_equal(
        stopped.epochs_trained.values.ravel(), simulated(means(full), [(range(len(space)), 0)], [1, 2, 4], 2)
    )
    check_values(stopped, full)


@pytest.mark.parametrize(
    "space",
    [
        jc.grid(learning_rate=np.geomspace(1e-3, 0.3, 17)),
        pytest.param(spaces.random(14, learning_rate=spaces.log(1e-3, 0.3)), marks=pytest.mark.slow),
    ],
    ids=["grid", "random"],
)
def test_hyperbands_brackets_are_halvings_that_begin_later(problems, space, traced):
    stopped = hyperband(problems.model(n=41), jc.momentum, space, eta=2, min_epochs=1, max_epochs=5, **SMALL)
    assert traced("train_lanes") <= 1
    full = sweep(problems.model(n=41), jc.momentum, space, epochs=5, **SMALL)
    members = [np.flatnonzero(stopped.bracket.values == cuts) for cuts in (2, 1, 0)]
    trained = simulated(means(full), list(zip(members, range(3), strict=True)), [1, 2, 5], 2)
    np.testing.assert_array_equal(stopped.epochs_trained, trained)
    assert stopped.rung.values[members[2]].tolist() == len(members[2]) * [0]
    assert stopped.rung.values[members[1]].max() == 1
    check_values(stopped, full)
    assert stopped.attrs["lane_epochs"] == 2 * trained.sum()


def test_brackets_are_those_of_the_paper():
    drawn = spaces.random(49, rate=spaces.linear(0.0, 1.0))
    assert [(bracket.members.tolist(), bracket.first) for bracket in deal(drawn, 3, 4)] == [
        (list(range(27)), 0), (list(range(27, 39)), 1), (list(range(39, 45)), 2), (list(range(45, 49)), 3),
    ]  # fmt: skip
    dealt = deal(jc.grid(rate=np.linspace(0, 1, 49)), 3, 4)
    assert sorted(np.concatenate([bracket.members for bracket in dealt]).tolist()) == list(range(49))
    assert [bracket.members.tolist() for bracket in dealt][-1] != list(range(45, 49))
    assert [len(b.members) for b in deal(spaces.random(2, rate=spaces.linear(0.0, 1.0)), 3, 4)] == [1, 1]
    assert [dealt[0].places(rung, 3) for rung in range(4)] == [27, 9, 3, 1]
    assert [dealt[2].places(rung, 3) for rung in range(4)] == [6, 6, 6, 2]


def test_only_what_goes_on_is_computed(problems, monkeypatch):
    """One lane of 16 is left at last; its blocks have no more lanes than those of all rungs."""
    real, sizes = execution.Runner._epoch, []

    def counted(self, plan, epoch, lanes, state, diverged, bar, count):
        sizes.append((epoch, sum(map(len, diverged)), count))
        return real(self, plan, epoch, lanes, state, diverged, bar, count)

    monkeypatch.setattr(execution.Runner, "_epoch", counted)
    space = jc.grid(learning_rate=np.geomspace(1e-3, 0.3, 16))
    halving(problems.model(), jc.sgd, space, eta=4, max_epochs=16, lanes=4, seeds=1, batch_size=10)
    by_epoch = {epoch: sum(count for at, _, count in sizes if at == epoch) for epoch in range(1, 17)}
    assert by_epoch == {1: 16} | dict.fromkeys(range(2, 5), 4) | dict.fromkeys(range(5, 17), 1)
    assert {size for _, size, _ in sizes} == {4}
    assert len(sizes) == 4 + 3 + 12


def test_other_numbers_trace_nothing(problems, traced):
    for low in (1e-3, 1e-2):
        space = jc.grid(learning_rate=np.geomspace(low, 0.3, 8), momentum=[0.2, 0.7])
        halving(problems.model(n=42), jc.momentum, space, eta=2, max_epochs=8, **SMALL)
    assert traced("train_lanes") == traced("init_lanes") == 1
    assert traced("evaluate_lanes") <= 2  # validation and test; shared with all sweeps of so many lanes


@pytest.mark.slow
def test_states_with_keys_and_half_precision_wait_too(problems):
    """A model state may hold a key, a state numbers of another kind; both go on as they were."""

    def noisy(learning_rate):
        return optax.chain(optax.sgd(learning_rate, 0.5, accumulator_dtype="bfloat16"), optax.add_noise(1e-3, 0.5, 7))

    space = jc.grid(learning_rate=RATES)
    stopped = halving(problems.model(), noisy, space, eta=2, max_epochs=4, vary="initialization", **SMALL)
    full = sweep(problems.model(), noisy, space, epochs=4, vary="initialization", **SMALL)
    check_values(stopped, full, ulps=2**14)


@pytest.mark.slow
def test_double_precision_agrees_to_rounding(problems):
    with jax.enable_x64(True):
        space = jc.grid(learning_rate=RATES, b1=[0.8, 0.95])
        stopped = halving(problems.model(), jc.adam, space, eta=2, max_epochs=4, **SMALL)
        full = sweep(problems.model(), jc.adam, space, epochs=4, **SMALL)
        assert stopped.validation_loss.dtype == np.float64
        check_values(stopped, full)


@pytest.mark.slow
def test_batch_sizes_compete(problems):
    space = jc.grid(learning_rate=RATES[4:], batch_size=[5, 12])
    stopped = halving(problems.model(), jc.sgd, space, eta=2, max_epochs=4, seeds=2)
    full = sweep(problems.model(), jc.sgd, space, seeds=2, epochs=4)
    trained = simulated(means(full), [(range(10), 0)], [1, 2, 4], 2)
    np.testing.assert_array_equal(stopped.epochs_trained.values.ravel(), trained)
    check_values(stopped, full)


@pytest.mark.parametrize("overhead", [0.5, 3.0, 14.0, 200.0])
def test_blocks_have_the_size_that_costs_least(overhead):
    counts, epochs = [50, 16, 5, 1], [1, 2, 6, 18]

    def cost(size):
        return sum(e * -(-n // size) * (size + overhead) for n, e in zip(counts, epochs, strict=True))

    assert cost(rungs.block_size(counts, epochs, overhead, 128)) == min(cost(size) for size in range(1, 51))
    assert cost(rungs.block_size(counts, epochs, overhead, 6)) == min(cost(size) for size in range(1, 7))
    assert rungs.block_size([64], [1], 1e6, 128, at_once=2) == 32
