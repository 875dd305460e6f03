"""Hyperparameters by name: what is read by one is set by it, in chains, partitions and states inside states."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from tests.transform.trees import PARAMS


def test_an_optimizer_is_no_state():
    with pytest.raises(TypeError, match=r"hyperparams: opt_state must be an optimizer's state.*; got an optimizer"):
        jc.hyperparams(jc.sgd(0.1))
    assert jc.hyperparams(()) == {}


def test_scheduled_numbers_are_set_by_path_and_the_schedule_itself_raises():
    tx = jc.adam(jc.schedules.exponential(0.1, 0.01))
    state = jc.set_hyperparams(tx.init(PARAMS), {"learning_rate/init_value": 0.4})
    assert jc.hyperparams(state)["learning_rate"] == np.float32(0.4)
    with pytest.raises(ValueError, match="learning_rate follows a schedule; set its numbers: learning_rate/init_value"):
        jc.set_hyperparams(state, learning_rate=0.3)


def test_numbers_of_a_schedule_inside_a_schedule_are_set_and_checked():
    tx = jc.sgd(jc.schedules.warmup(jc.schedules.exponential(0.1, 0.01), 5))
    state = jc.set_hyperparams(tx.init(PARAMS), {"learning_rate/schedule/decay_rate": 0.5})
    assert float(state.hyperparams["learning_rate"].numbers["schedule"].numbers["decay_rate"]) == 0.5
    with pytest.raises(ValueError, match="learning_rate/schedule/decay_rate must be a number >= 0; got -1"):
        jc.set_hyperparams(state, {"learning_rate/schedule/decay_rate": -1})


def test_names_are_short_where_unique_and_paths_where_not():
    tx = optax.partition({"slow": jc.sgd(0.1), "fast": jc.momentum(0.2, 0.9)}, {"w": "slow", "b": "fast"})
    state = tx.init(PARAMS)
    assert set(jc.hyperparams(state)) == {"slow/learning_rate", "fast/learning_rate", "momentum"}
    state = jc.set_hyperparams(state, {"fast/learning_rate": 0.5, "momentum": 0.1})
    assert {k: round(float(v), 3) for k, v in jc.hyperparams(state).items()} == {
        "slow/learning_rate": 0.1, "fast/learning_rate": 0.5, "momentum": 0.1,
    }  # fmt: skip


def test_two_of_one_name_in_a_chain_are_called_by_their_positions():
    state = jc.averaged(jc.rmsprop(0.1, decay=0.9), decay=0.99).init(PARAMS)
    with pytest.raises(ValueError, match=r"no hyperparameter 'decay'.*known: 0/decay, 0?/?.*1/decay"):
        jc.set_hyperparams(state, decay=0.5)
    state = jc.set_hyperparams(state, {"1/decay": 0.5})
    assert [round(float(jc.hyperparams(state)[f"{i}/decay"]), 6) for i in (0, 1)] == [0.9, 0.5]
    assert "learning_rate" in jc.hyperparams(state)  # there is one


def test_what_is_read_by_a_name_is_set_by_it():
    """A scheduled rate counts, too: beside it, the short name would be ambiguous."""
    state = jc.chain(jc.sgd(jc.schedules.linear(1.0, 0.0, 10)), jc.scale_by_learning_rate(0.5)).init(PARAMS)
    assert set(jc.hyperparams(state)) == {"0/learning_rate", "1/learning_rate"}
    state = jc.set_hyperparams(state, {"1/learning_rate": 0.25, "learning_rate/init_value": 0.75})
    assert jc.hyperparams(state) == {"0/learning_rate": 0.75, "1/learning_rate": 0.25}
    with pytest.raises(ValueError, match=r"no hyperparameter 'learning_rate'.*1/learning_rate"):
        jc.set_hyperparams(state, learning_rate=0.1)
    with pytest.raises(ValueError, match="0/learning_rate follows a schedule; set its numbers: learning_rate/init_value, "):
        jc.set_hyperparams(state, {"0/learning_rate": 0.1})


def test_states_that_only_fields_tell_apart_are_called_by_the_fields():
    state = optax.contrib.sam(jc.sgd(0.5), jc.momentum(0.25, 0.75)).init(PARAMS)
    numbers = {"opt_state/learning_rate": 0.5, "adv_state/learning_rate": 0.25, "momentum": 0.75}
    assert jc.hyperparams(state) == numbers
    for name in numbers:
        assert jc.hyperparams(jc.set_hyperparams(state, {name: 0.125})) == numbers | {name: 0.125}


def test_fields_tell_states_apart_inside_states_too():
    @jc.optimizer
    def decayed(decay):
        rates = jc.schedules.constant(0.5), jc.schedules.constant(0.25)
        return jc.chain(optax.contrib.sam(*map(jc.sgd, rates)), optax.add_decayed_weights(decay))

    state = decayed(0.125).init(PARAMS)
    assert jc.hyperparams(state) == {
        "decayed/members/0/opt_state/learning_rate": 0.5, "decayed/members/0/adv_state/learning_rate": 0.25, "decay": 0.125,
    }  # fmt: skip


def test_setting_needs_a_state_with_hyperparameters():
    with pytest.raises(ValueError, match="opt_state must be the state of an optimizer with hyperparameters, as result"):
        jc.set_hyperparams(object(), learning_rate=0.1)
    state = optax.adam(0.1).init(jnp.ones(2))
    with pytest.raises(ValueError, match="got tuple, without any"):
        jc.set_hyperparams(state, learning_rate=0.1)
    assert jc.set_hyperparams(state) is state
