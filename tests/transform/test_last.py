"""What was averaged, or searched for, is what is done: nothing behind an average or a line search changes the step."""

import jax.numpy as jnp
import optax
import pytest

import jaxopt_course as jc

PARAMS = jnp.array([1.0, 2.0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: jc.plateau(jc.averaged(jc.sgd(0.5))),
        lambda: jc.decayed(jc.averaged_sgd)(0.1, weight_decay=1.0),
        lambda: jc.line_search(jc.linesearch.armijo(), jc.averaged(jc.sgd(1.0))),
        lambda: jc.chain(jc.averaged(jc.sgd(0.5)), optax.scale(0.1)),
        lambda: jc.chain(jc.averaged(jc.sgd(0.5)), optax.add_decayed_weights(0.1)),
        lambda: jc.chain(jc.line_search(jc.linesearch.armijo()), jc.scale_by_learning_rate(0.5)),
    ],
    ids=["plateau", "decay", "line search", "scale", "added decay", "scaled search"],
)
def test_a_change_behind_is_refused(make):
    with pytest.raises(ValueError, match=r"a transformation behind (Average|LineSearch)State changes the step"):
        make().init(PARAMS)


@pytest.mark.parametrize("params", [PARAMS, jnp.float32(1.0)], ids=["array", "scalar"])
def test_a_constant_step_behind_is_refused(params):
    """A scalar's is a number written out in the program."""
    with pytest.raises(ValueError, match="a transformation behind AverageState changes the step"):
        jc.chain(jc.averaged(jc.sgd(0.5)), optax.set_to_zero()).init(params)
    with pytest.raises(ValueError, match="a transformation behind a look-ahead rescales the step"):
        jc.chain(jc.nesterov(0.5), optax.set_to_zero()).init(params)


@pytest.mark.parametrize(
    "make",
    [
        lambda: jc.averaged(jc.plateau(jc.sgd(0.5))),
        lambda: jc.averaged(jc.line_search(jc.linesearch.armijo())),
        lambda: jc.chain(jc.averaged(jc.sgd(0.5)), optax.identity()),
        lambda: jc.averaged(jc.decayed(jc.sgd)(0.1)),
    ],
    ids=["plateau", "line search", "identity", "decay"],
)
def test_before_and_beside_is_fine(make):
    make().init(PARAMS)
    make().init(PARAMS.astype(jnp.bfloat16))


def test_optaxs_chain_cannot_check_so_it_is_refused_when_it_matters():
    tx = optax.chain(jc.averaged(jc.sgd(0.5)), optax.scale(0.1))
    with pytest.raises(ValueError, match="behind an average"):
        jc.eval_params(tx.init(PARAMS), PARAMS)
    tx = optax.chain(optax.clip(1.0), jc.averaged(jc.sgd(0.5)))
    assert jc.eval_params(tx.init(PARAMS), PARAMS).shape == (2,)


def test_a_plateaus_scale_is_recorded():
    problem = jc.problems.linear_regression(num_examples=80, num_features=3)
    tx = jc.plateau(jc.sgd(0.3), factor=0.5, patience=1, window=10, rtol=0.05)
    scale = jc.fit(problem, tx, batch_size=8, epochs=30).history["scale"].values
    assert scale[0] == 1
    assert 0 < scale[-1] < 1


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: jc.sgd(lambda step: -1.0), ValueError, "learning_rate at step 0 must be a number >= 0"),
        (lambda: jc.momentum(0.1, jc.schedules.constant(1.5)), ValueError, r"momentum at step 0 must be a number in \[0, 1\]"),
        (lambda: jc.adam(0.1, bias_correction="no"), TypeError, "bias_correction must be True or False; got 'no'"),
        (lambda: jc.decayed(jc.sgd)(0.1, decoupled="L2"), TypeError, "decoupled must be True or False"),
        (lambda: jc.decayed(jc.sgd(0.1)), TypeError, "needs a factory"),
        (lambda: jc.averaged(jc.sgd), TypeError, "call the factory"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
