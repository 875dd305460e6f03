"""The plateau wrapper against PyTorch's rule, transcribed; for negative losses too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc


def scales(tx, losses):
    state, update, seen = tx.init(jnp.zeros(1)), jax.jit(tx.update), []
    for loss in losses:
        steps, state = update(jnp.ones(1), state, value=jnp.float32(loss))
        seen.append(-float(steps[0]))
    return np.array(seen)


def transcribed(losses, factor, patience, rtol, atol, window, cooldown, min_scale):
    """A plain loop."""
    scale, best, bad, rest, seen = 1.0, np.inf, 0, 0, []
    for t, _ in enumerate(losses, 1):
        if t % window == 0:
            mean = np.mean(losses[t - window : t])
            better = mean < (best - rtol * abs(best) - atol if np.isfinite(best) else np.inf)
            best, bad = (mean, 0) if better else (best, bad + 1)
            if rest > 0:
                rest, bad = rest - 1, 0
            if bad > patience:
                scale, bad, rest = min(scale, max(scale * factor, min_scale)), 0, cooldown
        seen.append(scale)
    return np.array(seen)


CASES = [
    {"factor": 0.5, "patience": 3, "rtol": 1e-2, "atol": 0.0, "window": 1, "cooldown": 0, "min_scale": 0.0},
    {"factor": 0.3, "patience": 1, "rtol": 0.0, "atol": 0.05, "window": 4, "cooldown": 2, "min_scale": 0.02},
    {"factor": 0.1, "patience": 0, "rtol": 1e-4, "atol": 0.0, "window": 3, "cooldown": 0, "min_scale": 0.0},
]


@pytest.mark.parametrize("offset", [0.0, -5.0], ids=["positive", "negative"])
@pytest.mark.parametrize("case", CASES, ids=["plain", "windows", "impatient"])
def test_scales_equal_a_plain_loop(case, offset):
    rng = np.random.default_rng(1)
    losses = (offset + 3 * np.exp(-np.arange(120) / 20) + rng.uniform(0, 0.2, 120)).astype(np.float32)
    expected = transcribed(losses.astype(float), **case)
    assert 0 < expected[-1] < 1  # the case has reductions in it
    np.testing.assert_allclose(scales(jc.plateau(jc.sgd(1.0), **case), losses), expected, rtol=1e-6)


@pytest.mark.parity
@pytest.mark.slow
def test_torch_agrees():
    """ReduceLROnPlateau on a positive loss, where both mean the same."""
    torch = pytest.importorskip("torch")
    losses = 1 + np.exp(-np.arange(60) / 5) + np.random.default_rng(2).uniform(0, 0.1, 60)
    parameter = torch.nn.Parameter(torch.zeros(1))
    sgd = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(sgd, factor=0.5, patience=2, threshold=1e-2, cooldown=1)
    rates = []
    for loss in losses:
        theirs.step(loss)
        rates.append(sgd.param_groups[0]["lr"])
    ours = scales(jc.plateau(jc.sgd(1.0), 0.5, 2, rtol=1e-2, cooldown=1), losses)
    np.testing.assert_allclose(ours, rates, rtol=1e-6)


def test_a_falling_negative_loss_is_never_reduced():
    """Each loss is 1 % lower than the one before: an improvement, whatever the sign."""
    losses = -1.0 * 1.01 ** np.arange(50)
    np.testing.assert_array_equal(scales(jc.plateau(jc.sgd(1.0), patience=0, rtol=5e-3), losses), np.ones(50))


def test_in_fit():
    """The loss of every step arrives: the scale is the one of the recorded losses."""
    problem = jc.problems.linear_regression(num_examples=80, num_features=3)
    tx = jc.plateau(jc.sgd(0.3), factor=0.5, patience=1, window=10, rtol=0.05)
    result = jc.fit(problem, tx, batch_size=8, epochs=30)
    rule, state = result.state.opt_state.members[1].rule, result.state.opt_state.members[1].inner
    expected = transcribed(result.history.loss.values, 0.5, 1, 0.05, 0.0, 10, 0, 0.0)[-1]
    assert rule.name == "reduce_on_plateau"
    assert float(state.scale) == pytest.approx(expected)
    assert expected < 1


def test_numbers_are_data():
    assert jc.plateau(jc.sgd(0.1)).update == jc.plateau(jc.sgd(0.2), 0.5, 3).update


def test_bad_input():
    with pytest.raises(ValueError, match=r"^plateau: factor must be a number in \[0, 1\]"):
        jc.plateau(jc.sgd(0.1), factor=2.0)
    with pytest.raises(ValueError, match="window must be a number >= 1"):
        jc.plateau(jc.sgd(0.1), window=0)
    with pytest.raises(TypeError, match=r"^plateau: optimizer must be a gradient transformation.*call the factory"):
        jc.plateau(jc.sgd)
    tx = jc.plateau(jc.sgd(0.1))
    with pytest.raises(ValueError, match="give it the loss"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    with pytest.raises(ValueError, match=r"give it the loss.*got 'low'"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)), value="low")
    with pytest.raises(ValueError, match="look-ahead"):
        jc.plateau(jc.nesterov(0.1)).init(jnp.ones(2))


@pytest.mark.parametrize("loss", [jnp.ones(3), [1.0], "low"])
def test_a_loss_that_is_no_scalar_is_refused(loss):
    tx = jc.plateau(jc.sgd(0.1))
    with pytest.raises(ValueError, match=r"plateau.update: give it the loss"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)), value=loss)
