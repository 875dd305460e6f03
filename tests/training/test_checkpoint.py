"""A run's state on disk: bit by bit, from another process too, and never half a one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.training import checkpoint
from tests.training import checkpointed

ROOT = Path(__file__).parents[2]


def assert_same(one, other):
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    words = lambda tree: jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, tree)
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(words(one)), jax.tree.leaves(words(other)), strict=True):
        assert a.dtype == b.dtype, path
        np.testing.assert_array_equal(a, b, err_msg=jax.tree_util.keystr(path))


@pytest.fixture(scope="module")
def whole():
    return checkpointed.run()


OPTIMIZERS = {
    "adam": jc.adam(0.03),
    "a schedule in a chain": jc.chain(optax.clip(1.0), jc.nesterov(jc.schedules.exponential(0.05, 0.9), momentum=0.8)),
    "bfloat16": optax.sgd(0.05, momentum=0.9, accumulator_dtype=jnp.bfloat16),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_saved_and_restored_it_continues_as_one_run(problems, tmp_path, name, traced):
    problem, optimizer = problems.model("dropout"), OPTIMIZERS[name]
    options = {"batch_size": 8, "evaluate": None}
    half = jc.fit(problem, optimizer, epochs=2, key=3, **options).state
    jc.save(tmp_path / "run", half)
    state = jc.restore(tmp_path / "run", like=jc.init_state(problem, optimizer, 99))
    assert_same(state, half)
    before = traced("run_chunk")
    rest = jc.fit(problem, optimizer, epochs=3, state=state, **options)
    assert traced("run_chunk") == before
    assert_same(rest.state, jc.fit(problem, optimizer, epochs=5, key=3, **options).state)


def test_batch_statistics_and_learnt_scores_are_in_it(problems, tmp_path):
    for problem, sampler in ((problems.model("statistics"), None), (problems.model(), jc.samplers.importance("loss"))):
        state = jc.fit(problem, jc.sgd(0.05), batch_size=8, epochs=2, sampler=sampler).state
        assert jax.tree.leaves((state.model_state, state.sampler))
        like = jc.fit(problem, jc.sgd(0.05), batch_size=8, steps=1, sampler=sampler, key=1).state
        jc.save(tmp_path / problem.name, state)
        assert_same(jc.restore(tmp_path / problem.name, like=like), state)


def test_hyperparameters_are_those_saved(problems, tmp_path):
    problem = problems.model()
    state = jc.init_state(problem, jc.adam(0.03, b1=0.8))
    state = state._replace(opt_state=jc.set_hyperparams(state.opt_state, learning_rate=0.007))
    jc.save(tmp_path, state)
    found = jc.hyperparams(jc.restore(tmp_path, like=jc.init_state(problem, jc.adam(0.5))).opt_state)
    assert (float(found["learning_rate"]), float(found["b1"])) == (np.float32(0.007), np.float32(0.8))


def test_the_last_two_steps_are_kept_and_a_step_can_be_saved_again(problems, tmp_path):
    problem, optimizer = problems.model(), jc.sgd(0.1)
    state = jc.init_state(problem, optimizer)
    for _ in range(3):
        state = jc.fit(problem, optimizer, batch_size=8, steps=1, state=state, evaluate=None).state
        jc.save(str(tmp_path), state)
    state = state._replace(opt_state=jc.set_hyperparams(state.opt_state, learning_rate=0.3))
    jc.save(str(tmp_path), state)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["2", "3"]
    assert_same(jc.restore(str(tmp_path), like=jc.init_state(problem, optimizer)), state)


def test_double_precision_comes_back(tmp_path):
    with jax.enable_x64(True):
        problem = jc.problems.linear_regression(20, 3)
        state = jc.fit(problem, jc.adam(0.1), batch_size=5, epochs=1).state
        jc.save(tmp_path, state)
        assert state.params["dense0"]["kernel"].dtype == jnp.float64
        assert_same(jc.restore(tmp_path, like=jc.init_state(problem, jc.adam(0.2))), state)


def test_fit_with_a_checkpoint_is_fit(whole, tmp_path):
    result = checkpointed.run(tmp_path)
    assert_same(result.state, whole.state)
    np.testing.assert_array_equal(result.history.loss, whole.history.loss)
    assert_same(jc.restore(tmp_path, like=jc.init_state(checkpointed.problem(), jc.adam(1.0))), whole.state)


def test_fit_goes_on_from_its_checkpoint_and_a_finished_run_is_there_at_once(whole, tmp_path, traced):
    class Stop(Exception):
        pass

    def killed(moment):
        if moment.step == 15:
            raise Stop

    with pytest.MonkeyPatch.context() as patch:
        checkpointed.save_often(patch)
        with pytest.raises(Stop):
            checkpointed.run(tmp_path, callbacks=killed)
    rest = checkpointed.run(tmp_path)
    done = 40 - rest.steps
    assert 10 <= done < 15
    assert_same(rest.state, whole.state)
    np.testing.assert_array_equal(rest.history.loss, whole.history.loss[done:])
    assert rest.history.step[0] == done + 1
    before = traced("run_chunk")
    again = checkpointed.run(tmp_path)
    assert (again.steps, traced("run_chunk")) == (0, before)
    assert_same(again.params, whole.params)
    assert again.history.sizes["step"] == 0


@pytest.mark.parametrize("kill", [pytest.param(5, marks=pytest.mark.slow), 15])
def test_killed_while_it_saves_fit_goes_on_from_the_one_before(whole, tmp_path, kill):
    path = tmp_path / "run"
    command = [sys.executable, "-m", "tests.training.checkpointed", str(path), str(kill)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    rest = checkpointed.run(path)
    assert 0 < 40 - rest.steps < kill
    assert_same(rest.state, whole.state)


def test_checkpoints_take_a_small_part_of_the_time(monkeypatch):
    """Of ten that take a second each, asked for every second, the first and those 20 seconds after another are saved."""
    now, saved = [0.0], []
    monkeypatch.setattr(checkpoint.time, "perf_counter", lambda: now[0])

    def write(where, path, state, settings):
        saved.append(now[0])
        now[0] += 1.0

    monkeypatch.setattr(checkpoint, "_write", write)
    saver = checkpoint.Saver("nowhere", {})
    for step in range(60):
        now[0] += 1.0
        saver.see(None, step)
    saver.see(None, 59, last=True)
    saver.see(None, 59, last=True)
    assert saved == [10.0, 31.0, 52.0, now[0] - 1]


def small(optimizer=None, features=3, key=0):
    return jc.init_state(jc.problems.linear_regression(20, features), optimizer or jc.adam(0.1), key)


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (small(features=4), r"params/dense0/kernel is float32 \(3, 1\) there, float32 \(4, 1\) here; opt_state/inner"),
        (small(jc.sgd(0.1)), r"opt_state/hyperparams/b1 is float32 \(\) there, absent here; .*; and \d more"),
        (small(jc.amsgrad(0.1)), r"is absent there, float32 \(3, 1\) here"),
    ],
    ids=["problem", "less", "more"],
)
def test_a_checkpoint_of_something_else_names_the_leaf(tmp_path, like, message):
    jc.save(tmp_path, small())
    with pytest.raises(ValueError, match=r"restore: the checkpoint .* is of another problem or optimizer: ") as caught:
        jc.restore(tmp_path, like=like)
    assert caught.match(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": 6}, "is of a run with another key"),
        ({"epochs": 7}, "is at step 40, 5 more than are asked for"),
        ({"stop": jc.stopping.Budget(9.0)}, "give checkpoint or stop, not both"),
        ({"batch_size": 5}, "is of a run with batch_size=10; got batch_size=5"),
        ({"drop_remainder": True}, "is of a run with drop_remainder=False; got drop_remainder=True"),
        ({"sampler": jc.samplers.uniform()}, "is of a run with sampler=Shuffle; got sampler=Uniform"),
        ({"sampler": jc.samplers.shuffle(reshuffle=False)}, "is of a run with order of examples="),
        (
            {"batch_size": jc.schedules.batch_size.stages([(10, 1), (20, 1)])},
            "is of a run with batch_size=10; got batch_size=10 for 1 epoch, 20 for 1 epoch",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_fit_refuses_what_a_checkpoint_cannot_go_on_with(tmp_path, options, message):
    checkpointed.run(tmp_path)
    with pytest.raises(ValueError, match=message):
        checkpointed.run(tmp_path, **options)


@pytest.mark.parametrize("sampler", [jc.samplers.importance(np.arange(47.0)), jc.samplers.importance("loss", floor=0.5)])
def test_scores_and_a_floor_are_a_samplers_own(tmp_path, sampler):
    other = jc.samplers.importance("loss" if hasattr(sampler, "draw") else np.ones(47))
    checkpointed.run(tmp_path, sampler=other)
    with pytest.raises(ValueError, match="is of a run with order of examples="):
        checkpointed.run(tmp_path, sampler=sampler)
    assert checkpointed.run(tmp_path, sampler=other).steps == 0


def test_what_was_saved_last_is_restored(tmp_path):
    for steps in (0, 3, 5, 2):
        state = small()._replace(step=jnp.int32(steps))
        jc.save(tmp_path, state)
        assert_same(jc.restore(tmp_path, like=small()), state)


def test_a_state_given_is_where_the_run_begins(whole, tmp_path):
    """And the checkpoint, where it goes on."""
    first = checkpointed.run(epochs=2).state
    assert_same(checkpointed.run(tmp_path, epochs=6, state=first).state, whole.state)
    assert checkpointed.run(tmp_path, epochs=6, state=first).steps == 0
    with pytest.raises(ValueError, match=r"is at step 40, before step 45 of the state given"):
        checkpointed.run(tmp_path, state=checkpointed.run(epochs=1, state=whole.state).state)


def test_a_saved_state_may_go_on_with_other_batches(tmp_path):
    """It is a state, not a call that is repeated: as ``state`` says."""
    jc.save(tmp_path, checkpointed.run(epochs=2).state)
    assert checkpointed.run(tmp_path, batch_size=47, epochs=20).steps == 10


def test_a_folder_that_cannot_be_written_to_is_found_out_before_the_training():
    with pytest.raises(OSError, match=r"fit: cannot write checkpoints to /proc/nowhere/run \("):
        checkpointed.run("/proc/nowhere/run", callbacks=lambda moment: pytest.fail("it trains"))
    with pytest.raises(OSError, match=r"save: cannot write checkpoints to /proc/nowhere \("):
        jc.save("/proc/nowhere", small())


def test_bad_arguments_are_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileNotFoundError, match=r"restore: no checkpoint at .*none"):
        jc.restore(tmp_path / "none", like=small())
    with pytest.raises(NotADirectoryError, match=r"save: a checkpoint is a folder; .*file is a file"):
        jc.save(tmp_path / "file", small())
    with pytest.raises(TypeError, match=r"save: path must be a path; got 3"):
        jc.save(3, small())
    with pytest.raises(TypeError, match=r"fit: checkpoint must be a path; got 3"):
        checkpointed.run(3)
    with pytest.raises(TypeError, match=r"fit: checkpoint must be a path; got ''"):
        checkpointed.run("")
    with pytest.raises(TypeError, match=r"save: state must be a TrainState, as result\.state is; got dict"):
        jc.save(tmp_path, {})
    with pytest.raises(TypeError, match=r"restore: like must be a TrainState, as jc\.init_state gives; got dict"):
        jc.restore(tmp_path, like={})
