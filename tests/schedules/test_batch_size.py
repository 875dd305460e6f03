"""Batch sizes from a list, and from the decay that they replace."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from jaxopt_course import schedules
from jaxopt_course.schedules import batch_size


def by_hand(rate, m, epochs, n, maximum, drop=False):
    """m₀ α(0)/α(t), where each pass of the decayed run begins."""
    steps = n // m if drop else math.ceil(n / m)
    return [max(1, min(maximum, round(m * rate(0) / rate(e * steps)))) for e in range(epochs)]


RATES = {
    "step": (schedules.step(0.3, math.log(5), 2 * 13), lambda t: 0.3 * 5.0 ** -(t // 26)),
    "exponential": (schedules.exponential(0.3, 0.01), lambda t: 0.3 * math.exp(-0.01 * t)),
    "time based": (schedules.time_based(0.3, 0.02), lambda t: 0.3 / (1 + 0.02 * t)),
    "warm-up": (schedules.warmup(0.3, 30, 0.1), lambda t: 0.1 + min(t, 30) / 30 * 0.2),
    "foreign": (lambda t: 0.3 / (1 + 0.02 * t), lambda t: 0.3 / (1 + 0.02 * t)),
}


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize(("maximum", "drop"), [(None, False), (70, False), (70, True)])
def test_sizes_grow_by_what_the_rate_would_be_divided_by(name, maximum, drop):
    rate, formula = RATES[name]
    made = batch_size.from_decay(rate, 8, epochs=9, num_examples=101, maximum=maximum, drop_remainder=drop)
    expected = by_hand(formula, 8, 9, 101, maximum or 101, drop)
    assert len(set(expected)) > 2
    assert [made(epoch) for epoch in range(9)] == expected
    assert made.epochs == 9
    assert made(1000) == expected[-1]


def test_a_rate_of_zero_is_a_batch_as_large_as_may_be():
    made = batch_size.from_decay(schedules.linear(0.1, 0.0, 20), 10, epochs=4, num_examples=100, maximum=50)
    assert made.pairs == ((10, 1), (20, 1), (50, 2))


def test_a_constant_rate_is_one_stage():
    assert batch_size.from_decay(schedules.constant(0.1), 10, epochs=4, num_examples=100).pairs == ((10, 4),)


def test_a_list_is_taken_as_it_is_and_equal_neighbours_are_one_stage():
    made = batch_size.stages([(8, 2), (8, 1), (np.int64(16), 3), [8, 1]])
    assert made.pairs == ((8, 3), (16, 3), (8, 1))
    assert [made(epoch) for epoch in range(9)] == [8, 8, 8, 16, 16, 16, 8, 8, 8]
    assert made.epochs == 7
    assert made == batch_size.stages([(8, 3), (16, 3), (8, 1)])
    assert str(made) == "8 for 3 epochs, 16 for 3 epochs, 8 for 1 epoch"


BAD_STAGES = {
    "empty": ([], ValueError, "batch_size.stages: stages must be pairs of a batch size and a number of epochs"),
    "numbers": ([32, 64], TypeError, "stages must be pairs of a batch size"),
    "no list": (32, TypeError, "stages must be pairs of a batch size"),
    "triples": ([(1, 2, 3)], ValueError, "stages must be pairs of a batch size"),
    "size 0": ([(0, 2)], ValueError, "batch_size.stages: batch size must be an integer >= 1; got 0"),
    "size 2.5": ([(8, 1), (2.5, 2)], TypeError, "batch_size.stages: batch size must be an integer >= 1; got 2.5"),
    "epochs 0": ([(8, 0)], ValueError, "batch_size.stages: epochs must be an integer >= 1; got 0"),
    "epochs None": ([(8, None)], TypeError, "batch_size.stages: epochs must be an integer >= 1; got None"),
}


@pytest.mark.parametrize("name", BAD_STAGES)
def test_bad_stages_are_refused(name):
    pairs, error, message = BAD_STAGES[name]
    with pytest.raises(error, match=re.escape(message)):
        batch_size.stages(pairs)


BAD_DECAYS = {
    "a number": ({"schedule": 0.1}, TypeError, "schedule must be a schedule (step → learning rate); got 0.1"),
    "a function of two": ({"schedule": lambda a, b: a}, TypeError, "schedule is a function, but no schedule"),
    "zero at first": ({"schedule": schedules.warmup(0.1, 5)}, ValueError, "schedule must be a rate > 0 at step 0; it is 0"),
    "negative": ({"schedule": schedules.linear(1.0, -1.0, 20)}, ValueError, "must be a rate >= 0 at step 20; it is -1"),
    "not a number": ({"schedule": lambda t: 1.0 / (t < 20) - 0.5}, ValueError, "at step 20; it is inf"),
    "size over n": ({"batch_size": 101}, ValueError, "batch_size must be an integer from 1 to 100; got 101"),
    "maximum over n": ({"maximum": 101}, ValueError, "maximum must be an integer from 1 to 100; got 101"),
    "maximum under the size": ({"maximum": 9}, ValueError, "maximum must be at least the batch size 10; got 9"),
    "epochs 0": ({"epochs": 0}, ValueError, "epochs must be an integer >= 1; got 0"),
    "examples 1.5": ({"num_examples": 1.5}, TypeError, "num_examples must be an integer >= 1; got 1.5"),
    "a word": ({"drop_remainder": "no"}, TypeError, "drop_remainder must be True or False; got 'no'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_DECAYS)
def test_bad_decays_are_refused(name):
    change, error, message = BAD_DECAYS[name]
    arguments = {"schedule": schedules.constant(0.1), "batch_size": 10, "epochs": 4, "num_examples": 100} | change
    with pytest.raises(error, match=r"^batch_size\.from_decay: .*" + re.escape(message)):
        batch_size.from_decay(**arguments)


@pytest.mark.parametrize(("epoch", "error"), [("a", TypeError), (1.5, TypeError), (-1, ValueError)])
def test_the_size_of_no_epoch_is_refused(epoch, error):
    with pytest.raises(error, match=f"epoch must be an integer >= 0; got {epoch!r}"):
        batch_size.stages([(3, 2)])(epoch)
