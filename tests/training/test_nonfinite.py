"""A run that turns non-finite ends at that step and says where."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.training import run as engine


def square(params, batch):
    return (params["slow"] + params["wide"] - batch) ** 2


@pytest.fixture
def exploding():
    """Plain gradient descent with a large rate doubles the error again and again, until float32 has no more of it."""
    return jc.Problem.from_loss(
        square, {"slow": jnp.array(1.0), "wide": jnp.array(2.0)}, jc.Data(jnp.ones(8), jnp.ones(4)), name="exploding"
    )


def first_bad_step(rate):
    slow, wide = np.float32(1), np.float32(2)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(1, 1000):
            error = np.float32(slow + wide - np.float32(1))
            if not np.isfinite(8 * error * error):  # a batch of eight, summed
                return step
            slow, wide = slow - np.float32(rate) * 2 * error, wide - np.float32(rate) * 2 * error
    raise AssertionError("never")


RUN = {"batch_size": 8, "steps": 300}


def test_raising_says_the_step_the_loss_and_the_leaf_and_has_the_run_so_far(exploding):
    step = first_bad_step(2.0)
    assert 20 < step < 200
    message = rf"loss inf at step {step}; first non-finite parameter: .*nonfinite='stop'"
    with pytest.raises(jc.NonFiniteError, match=message) as info:
        jc.fit(exploding, jc.sgd(2.0), **RUN)
    result = info.value.result
    assert result.steps == int(result.state.step) == len(result.history.loss) == step
    assert np.isfinite(result.history.loss[:-1]).all()
    assert isinstance(info.value, FloatingPointError)


def test_stopping_returns_the_run_up_to_that_step(exploding):
    result = jc.fit(exploding, jc.sgd(2.0), nonfinite="stop", **RUN)
    assert result.steps == int(result.state.step) == first_bad_step(2.0)
    assert result.stopped.startswith(f"loss inf at step {result.steps}")
    assert result.requested == 300


def test_it_stops_there_also_when_many_chunks_were_sent_off(exploding, monkeypatch):
    monkeypatch.setattr(engine, "LOOK_EVERY", 1e9)
    monkeypatch.setattr(engine, "FASTER", 10**6)
    result = jc.fit(exploding, jc.sgd(2.0), nonfinite="stop", evaluate=3, **RUN)
    step = first_bad_step(2.0)
    assert result.steps == int(result.state.step) == step
    assert result.history.epoch_step.values.tolist() == list(range(0, step + (step % 3 == 0), 3))


def test_continuing_does_all_the_steps(exploding):
    result = jc.fit(exploding, jc.sgd(2.0), nonfinite="continue", **RUN)
    assert result.steps == 300
    assert not np.isfinite(result.history.loss[-1])


def test_the_leaf_that_broke_is_named():
    def loss(params, batch):
        return params["fine"] ** 2 + jnp.sqrt(params["inner"]["root"]) * batch

    start = {"fine": jnp.array(1.0), "inner": {"root": jnp.array(0.25)}}  # the root turns negative: NaN
    problem = jc.Problem.from_loss(loss, start, jnp.ones(4))
    with pytest.raises(jc.NonFiniteError, match=r"loss nan at step \d+; first non-finite parameter: \['inner'\]\['root'\]\."):
        jc.fit(problem, jc.sgd(0.1), batch_size=4, steps=50)


def test_a_loss_that_breaks_before_any_parameter_says_so():
    def loss(w, batch):
        return jnp.where(w < 0.75, jnp.inf, 0.0) + w * batch

    with pytest.raises(jc.NonFiniteError, match=r"loss inf at step 4; first non-finite parameter: none yet"):
        jc.fit(jc.Problem.from_loss(loss, 1.0, jnp.ones(4)), jc.sgd(0.1), batch_size=4, steps=50)


def test_parameters_that_break_at_the_last_step_are_noticed():
    """The loss of the last step is finite; only its update is not."""
    problem = jc.Problem.from_loss(lambda w, batch: jnp.sqrt(w) * batch, 0.0, jnp.ones(4))
    with pytest.raises(
        jc.NonFiniteError, match=r"not finite after step 1, whose loss was 0\.0; first non-finite parameter: params"
    ):
        jc.fit(problem, jc.sgd(0.1), batch_size=4, steps=1)


def test_a_regularizer_that_breaks_is_told_from_the_loss():
    problem = jc.Problem.from_loss(
        lambda w, batch: (w - batch) ** 2, 1.0, jnp.zeros(4), regularizer=lambda w: jnp.log(w - 0.7)
    )
    with pytest.raises(jc.NonFiniteError, match=r"loss \d\.\d+, objective nan at step \d"):
        jc.fit(problem, jc.sgd(0.1), batch_size=4, steps=50)


def test_early_stopping_keeps_the_best_of_a_run_that_breaks(exploding):
    result = jc.fit(
        exploding, jc.sgd(2.0), nonfinite="stop", stop=jc.stopping.early_stopping(patience=1000), evaluate=1, **RUN
    )
    assert {k: float(v) for k, v in result.params.items()} == {"slow": 1.0, "wide": 2.0}
