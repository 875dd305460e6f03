"""Losses and metrics that are not one value for each example are refused, not averaged: they train another model."""

from __future__ import annotations

import re

import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.problems.objective import Data

X = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
BATCH = {"x": X, "y": X @ np.array([1.0, 2.0, 3.0], np.float32)}
PAIRS = "(16, 16): outputs [B, 1] and targets [B] broadcast to [B, B]"


def column(params, model_state, batch, *, key=None, train=False):
    return batch["x"] @ params["w"][:, None], model_state


def right(outputs, batch):
    return (outputs[:, 0] - batch["y"]) ** 2


def of_pairs(outputs, batch):
    return jnp.abs(outputs - batch["y"])


def scalar(outputs, batch):
    return right(outputs, batch).mean()


def half(outputs, batch):
    return right(outputs, batch)[::2]


def problem(loss=right, metrics=None, **options):
    data = Data(BATCH, *({k: v[:16] for k, v in BATCH.items()} for _ in range(2)))
    return jc.Problem(lambda key: ({"w": jnp.zeros(3)}, {}), column, loss, data, metrics, **options)


WRONG = {
    "pairs": (of_pairs, f"the loss must be one value for each of the 16 examples; it has shape {PAIRS}"),
    "half": (half, "the loss must be one value for each of the 16 examples; it has shape (8,)"),
    "scalar": (scalar, "it has shape (): a scalar couples the batch, which Problem(..., coupled=True) says"),
}


@pytest.mark.parametrize("batch_size", [16, 15])  # equal batches, and a ragged one at the end
@pytest.mark.parametrize("wrong", WRONG)
def test_a_loss_of_another_shape_is_refused(wrong, batch_size):
    loss, message = WRONG[wrong]
    message = message.replace("16", str(batch_size)).replace("(8,)", f"({-(-batch_size // 2)},)")
    with pytest.raises(ValueError, match=re.escape(message)):
        jc.fit(problem(loss), jc.sgd(0.1), batch_size=batch_size, epochs=1, evaluate=None)


@pytest.mark.parametrize("metric", [of_pairs, half, scalar])
def test_a_metric_of_another_shape_is_refused(metric):
    with pytest.raises(ValueError, match="the metric 'mae' must be one value for each of the 16 examples"):
        jc.fit(problem(metrics={"mae": metric}), jc.sgd(0.1), batch_size=16, epochs=1, evaluate=None)


def test_so_is_one_in_evaluation_sweeps_races_and_ones_own_loop():
    with pytest.raises(ValueError, match="the loss must be one value for each of the 16 examples"):
        jc.fit(problem(of_pairs), jc.sgd(0.1), batch_size=8, epochs=1)  # the evaluation comes first
    with pytest.raises(ValueError, match="the loss must be one value for each of the 8 examples"):
        jc.sweep(problem(of_pairs), jc.sgd, jc.grid(learning_rate=[0.1, 0.2]), batch_size=8, epochs=1, evaluate=None)
    with pytest.raises(ValueError, match="the loss must be one value for each of the 16 examples"):
        jc.race(problem(of_pairs), ["sgd"], seeds=2, batch_size=16, epochs=1, metric="loss")
    step = jc.make_step(problem(of_pairs), jc.sgd(0.1))
    with pytest.raises(ValueError, match="the loss must be one value for each of the 64 examples"):
        step(step.init(), BATCH)
    plain = jc.make_step(lambda w, batch: batch["x"] @ w[:, None] - batch["y"], jc.sgd(0.1))
    with pytest.raises(ValueError, match=re.escape("it has shape (64, 64)")):
        plain(plain.init(np.zeros(3)), BATCH)


def test_scalars_pass_where_the_batch_is_coupled_and_in_plain_losses():
    metrics = {"worst": lambda outputs, batch: right(outputs, batch).max()}
    result = jc.fit(problem(scalar, metrics, coupled=True), jc.sgd(0.05), batch_size=16, epochs=20)
    assert result.history.worst[-1] < 1e-2
    np.testing.assert_allclose(result.params["w"], [1, 2, 3], atol=0.1)
    plain = jc.make_step(lambda w, batch: jnp.mean((batch["x"] @ w - batch["y"]) ** 2), jc.sgd(0.1))
    _, report = plain(plain.init(np.zeros(3)), BATCH)
    np.testing.assert_allclose(report.loss, np.mean(BATCH["y"] ** 2), rtol=1e-5)


def test_weights_are_one_number_for_each_example():
    step = jc.make_step(problem(), jc.sgd(0.1))
    with pytest.raises(ValueError, match=re.escape("weights must be one number for each of the 64 examples; got shape (3,)")):
        step(step.init(), BATCH, np.ones(3) / 3)
    coupled = jc.make_step(problem(scalar, coupled=True), jc.sgd(0.1))
    with pytest.raises(ValueError, match="as they are weighted; it has shape"):
        coupled(coupled.init(), BATCH, np.ones(64) / 64)


def test_a_metric_of_truth_values_is_averaged_in_ragged_batches_too():
    metrics = {"near": lambda outputs, batch: right(outputs, batch) < 1}
    given = problem(metrics=metrics)
    history = jc.fit(given, jc.sgd(0.0), batch_size=24, epochs=1, sampler=jc.samplers.sequential()).history
    near = BATCH["y"] ** 2 < 1
    np.testing.assert_allclose(history.near, [near[:24].mean(), near[24:48].mean(), near[48:].mean()], rtol=1e-6)
