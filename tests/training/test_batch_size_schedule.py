"""Batch sizes that change between epochs: a plain loop's numbers, exact continuation, one compile a size."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.training import run as engine
from jaxopt_course.training import samplers as sampling
from tests.training.trees import assert_equal

N = 37
GROW = jc.schedules.batch_size.stages([(5, 2), (10, 1), (16, 2), (5, 1)])  # 8, 4, 3 and 8 steps an epoch
SIZES = [5, 5, 10, 16, 16, 5]
ENDS = [8, 16, 20, 23, 26, 34]


def sizes_of_batches(drop=False):
    """How many examples each step of the stages sees."""
    out = []
    for m in SIZES:
        out += [m] * (N // m) + [N % m] * (not drop and N % m > 0)
    return out


def by_hand(problem, optimizer, key, sizes, epochs, drop=False):
    """A Python loop over ``make_step``, shuffled as ``shuffle()`` does: one permutation an epoch, by key and number."""
    step = jc.make_step(problem, optimizer)
    state, losses = step.init(key), []
    words = [int(word) for word in jax.random.key_data(state.key)]
    for epoch in range(epochs):
        m, order = sizes[epoch], np.random.default_rng([*words, epoch]).permutation(np.arange(N, dtype=np.int32))
        for start in range(0, N, m):
            rows = order[start : start + m]
            if drop and len(rows) < m:
                continue
            state, report = step(state, jax.tree.map(lambda x, rows=rows: x[rows], problem.data.train))
            losses.append(report.loss)
    return state, losses


@pytest.mark.long
@pytest.mark.parametrize("drop", [False, True])
def test_it_is_a_plain_loop_over_make_step(problems, drop):
    problem = problems.model()
    result = jc.fit(problem, jc.momentum(0.02), batch_size=GROW, key=4, drop_remainder=drop)
    state, losses = by_hand(problem, jc.momentum(0.02), 4, SIZES, 6, drop)
    assert result.steps == len(losses) == len(sizes_of_batches(drop))
    np.testing.assert_allclose(result.history.loss, losses, rtol=2e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5), result.params, state.params)


def test_the_last_size_holds(problems):
    problem = problems.model()
    result = jc.fit(problem, jc.momentum(0.02), batch_size=GROW, epochs=8)
    state, _ = by_hand(problem, jc.momentum(0.02), 0, [*SIZES, 5, 5], 8)
    assert result.steps == 34 + 16
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5), result.params, state.params)


def test_examples_and_epochs_label_the_records(problems):
    history = jc.fit(problems.model(), jc.momentum(0.02), batch_size=GROW).history
    np.testing.assert_array_equal(history.examples, np.cumsum(sizes_of_batches()))
    np.testing.assert_array_equal(history.epoch_step, [0, *ENDS])
    np.testing.assert_array_equal(history.epoch, range(7))
    np.testing.assert_array_equal(history.epoch_examples, N * np.arange(7))
    parts = [(np.arange(end - start) + 1) / (end - start) for start, end in zip([0, *ENDS[:-1]], ENDS, strict=True)]
    np.testing.assert_allclose(history.step_epoch, np.concatenate([e + part for e, part in enumerate(parts)]), rtol=1e-12)
    assert history.attrs["batch_size"] == "5 for 2 epochs, 10 for 1 epoch, 16 for 2 epochs, 5 for 1 epoch"
    dropped = jc.fit(problems.model(), jc.momentum(0.02), batch_size=GROW, drop_remainder=True).history
    np.testing.assert_array_equal(dropped.examples, np.cumsum(sizes_of_batches(drop=True)))


@pytest.mark.parametrize(("x", "points"), [("step", [0, *ENDS]), ("epoch", range(7)), ("examples", N * np.arange(7))])
def test_the_figure_is_read_against_steps_epochs_or_examples(problems, x, points):
    result = jc.fit(problems.model(), jc.momentum(0.02), batch_size=GROW)
    panel = result.plot(x=x).axes[0]
    training, validation = panel.lines
    np.testing.assert_array_equal(validation.get_xdata(), points)
    assert training.get_xdata()[-1] == points[-1]
    np.testing.assert_array_equal(validation.get_ydata(), result.history.validation_loss)


@pytest.mark.parametrize("first", [3, 8, 16, 18, 20, 24, 30, 40])  # in the middle of epochs and stages, and at their ends
def test_a_run_goes_on_exactly_also_in_the_middle_of_a_stage(problems, first):
    problem, optimizer = problems.model(), jc.momentum(0.02)
    whole = jc.fit(problem, optimizer, batch_size=GROW, steps=45, key=3)
    part = jc.fit(problem, optimizer, batch_size=GROW, steps=first, key=3)
    rest = jc.fit(problem, optimizer, batch_size=GROW, steps=45 - first, state=part.state)
    assert_equal(rest.params, whole.params)
    for name in ("loss", "examples", "step_epoch"):
        np.testing.assert_array_equal(np.r_[part.history[name], rest.history[name]], whole.history[name])


@pytest.mark.parametrize(
    ("first", "epochs", "end"), [(8, 2, 20), (16, 1, 20), (4, 1, 12), (12, 1, 18), (18, 1, 22), (24, 2, 37)]
)
def test_epochs_are_counted_from_where_a_run_goes_on(problems, first, epochs, end):
    """Half an epoch in, it ends half an epoch in (rounded up), whatever the sizes there."""
    part = jc.fit(problems.model(), jc.momentum(0.02), batch_size=GROW, steps=first)
    rest = jc.fit(problems.model(), jc.momentum(0.02), batch_size=GROW, epochs=epochs, state=part.state)
    assert first + rest.steps == end


def test_chunks_are_invisible(problems, monkeypatch):
    whole = jc.fit(problems.model(), jc.momentum(0.02), batch_size=GROW, evaluate=None)
    monkeypatch.setattr(engine, "LOOK_EVERY", 1e-9)
    monkeypatch.setattr(engine, "FIRST", 3)
    looked = jc.fit(problems.model(), jc.momentum(0.02), batch_size=GROW, evaluate=None)
    assert len(looked.log.steps) > 25 > len(whole.log.steps)
    assert_equal(looked.params, whole.params)
    np.testing.assert_array_equal(looked.history.loss, whole.history.loss)


def test_each_distinct_size_compiles_once(problems, traced):
    problem = problems.model(n=39)
    jc.fit(problem, jc.momentum(0.01), batch_size=GROW)
    assert traced("run_chunk") == 3
    jc.fit(problem, jc.momentum(0.02), batch_size=jc.schedules.batch_size.stages([(16, 1), (10, 2), (5, 1)]))
    jc.fit(problem, jc.momentum(0.02), batch_size=10, epochs=1)
    assert traced("run_chunk") == 3
    assert traced("evaluate") <= 1


def test_callbacks_come_at_each_epoch(problems):
    seen = []
    jc.fit(problems.model(), jc.momentum(0.02), batch_size=GROW, callbacks=lambda moment: seen.append(moment.step))
    assert seen == [0, *ENDS]


@pytest.mark.long
@pytest.mark.parametrize("sampler", [jc.samplers.uniform(), jc.samplers.shuffle(reshuffle=False), jc.samplers.importance()])
def test_every_sampler_takes_it(problems, sampler):
    sizes = jc.schedules.batch_size.stages([(10, 2), (16, 3)])
    result = jc.fit(problems.model(), jc.momentum(0.02), batch_size=sizes, sampler=sampler)
    assert result.steps == 17
    np.testing.assert_array_equal(result.history.epoch_step, [0, 4, 8, 11, 14, 17])
    assert result.history.validation_loss[-1] < 0.5 * result.history.validation_loss[0]


def test_an_order_that_never_changes_is_cut_by_each_size():
    plan = sampling.plan("test", sampling.shuffle(reshuffle=False), N, GROW, seed=(1, 2))
    fives, tens, again = plan.rows(0, 8), plan.rows(16, 20), plan.rows(26, 34)
    assert_equal(fives, again)
    np.testing.assert_array_equal(fives.indices.ravel()[:N], tens.indices.ravel()[:N])
    assert tens.indices.shape == (4, 10)
    with pytest.raises(ValueError, match="the batch size changes at step 20; got steps 18 to 21"):
        plan.rows(18, 21)


def test_a_decays_sizes_train_as_the_decayed_rate_does_with_fewer_updates(problems):
    """Lecture 002's claim, on a noisy quadratic: the same loss for the same examples."""
    problem = problems.least_squares(n=512)
    rate = jc.schedules.step(0.02, np.log(4), 3 * 64)  # a quarter, every three passes
    grow = jc.schedules.batch_size.from_decay(rate, 8, epochs=9, num_examples=512)
    assert grow.pairs == ((8, 3), (32, 3), (128, 3))
    decayed = [jc.fit(problem, jc.sgd(rate), batch_size=8, epochs=9, key=key) for key in range(8)]
    grown = [jc.fit(problem, jc.sgd(0.02), batch_size=grow, key=key) for key in range(8)]
    assert (decayed[0].steps, grown[0].steps) == (9 * 64, 3 * (64 + 16 + 4))
    for results in (decayed, grown):
        np.testing.assert_array_equal(results[0].history.epoch_examples, 512 * np.arange(10))
    one, other = (np.mean([r.history.validation_loss for r in results], 0) for results in (decayed, grown))
    np.testing.assert_allclose(one, other, rtol=0.05)


BAD = {
    "size over n": ([(8, 1), (64, 1)], {}, "fit: batch_size must be an integer from 1 to 37; got 64"),
    "full": ([(8, 1)], {"sampler": jc.samplers.full()}, "full() uses all 37 examples at once; got batch_size=8 for 1 epoch"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_the_data_is_refused(problems, traced, name):
    pairs, options, message = BAD[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        jc.fit(problems.least_squares(), jc.sgd(0.01), batch_size=jc.schedules.batch_size.stages(pairs), **options)
    assert traced("run_chunk") == 0


def test_a_list_that_is_no_schedule_is_refused(problems):
    with pytest.raises(TypeError, match=r"batch_size must be an integer, or schedules.* got \[\(8, 1\)\]"):
        jc.fit(problems.least_squares(), jc.sgd(0.01), batch_size=[(8, 1)])
