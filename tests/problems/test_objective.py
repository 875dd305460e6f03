"""The contract between problems and training: evaluation in one pass, equality, and what is refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_course.problems import Data, Problem, l2, num_examples

DATA = {"x": jnp.array([[1.0, 2.0], [3.0, -1.0], [0.5, 4.0]]), "y": jnp.array([1.0, -2.0, 0.5])}


def init(key):
    return {"w": jax.random.normal(key, (2,))}, {"calls": jnp.zeros(())}


def apply(params, model_state, batch, *, key=None, train=False):
    return batch["x"] @ params["w"], {"calls": model_state["calls"] + train}


def loss(outputs, batch):
    return (outputs - batch["y"]) ** 2


def error(outputs, batch):
    return jnp.abs(outputs - batch["y"])


def problem(**changes):
    return Problem(**{"init": init, "apply": apply, "loss": loss, "data": DATA, "metrics": {"error": error}, **changes})


def test_one_forward_pass_gives_losses_metrics_and_state():
    params = {"w": jnp.array([0.5, -1.0])}
    evaluation = problem().objective(params, {"calls": jnp.zeros(())}, DATA, train=True)
    residuals = np.asarray(DATA["x"]) @ [0.5, -1.0] - np.asarray(DATA["y"])
    np.testing.assert_allclose(evaluation.losses, residuals**2, rtol=1e-6)
    np.testing.assert_allclose(evaluation.metrics["error"], np.abs(residuals), rtol=1e-6)
    assert evaluation.model_state["calls"] == 1


def test_problems_with_equal_parts_are_equal_and_their_objectives_share_compiled_code():
    copied = jax.tree.map(jnp.array, DATA)
    assert problem() == problem(data=copied, regularizer=None)
    assert hash(problem()) == hash(problem(data=copied))
    assert problem(regularizer=l2(0.1)) == problem(regularizer=l2(0.1))
    traces = []

    def evaluate(objective, params):
        traces.append(objective)
        return objective(params, {"calls": 0.0}, DATA).losses

    compiled = jax.jit(evaluate, static_argnums=0)
    compiled(problem().objective, {"w": jnp.ones(2)})
    compiled(problem(data=copied, regularizer=l2(3.0)).objective, {"w": jnp.ones(2)})
    assert len(traces) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"regularizer": l2(0.2)},
        {"data": {"x": DATA["x"], "y": DATA["y"] + 1}},
        {"data": Data(DATA, DATA)},
        {"metrics": None},
        {"coupled": True},
        {"loss": error},
    ],
)
def test_problems_that_differ_in_a_part_are_not_equal(changes):
    assert problem(**changes) != problem(regularizer=l2(0.1) if "regularizer" in changes else None)


def test_a_plain_regulariser_becomes_one_with_numbers_it_can_be_called():
    assert problem(regularizer=lambda params: 3.0 * params["w"].sum()).regularizer({"w": jnp.ones(2)}) == 6


def test_a_plain_loss_makes_a_problem_that_starts_where_told():
    def square(w, batch):
        return (batch["x"] @ w["a"] - batch["y"]) ** 2

    start = {"a": np.array([0.5, -1.0], np.float32)}
    made = Problem.from_loss(square, start, DATA, regularizer=l2(0.1))
    params, state = made.init(jax.random.key(0))
    np.testing.assert_allclose(made.objective(params, state, DATA).losses, square(start, DATA), rtol=1e-6)
    assert isinstance(params["a"], jax.Array)
    assert (made.num_examples, made.coupled) == (3, False)


def test_a_scalar_loss_couples_the_batch():
    assert Problem.from_loss(lambda w, batch: jnp.var(batch["y"] - w), 0.0, DATA).coupled


def test_the_representation_counts_the_splits():
    assert repr(problem(data=Data(DATA, None, DATA), name="mine")) == "Problem(mine: 3 train, 3 test)"


class Unhashable:
    """A function that compares by value, and says nothing of its hash."""

    def __call__(self, outputs, batch):
        return outputs

    def __eq__(self, other):
        return True


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"init": 3}, TypeError, "Problem: init must be a function; got 3"),
        ({"loss": "mse"}, TypeError, "Problem: loss must be a function; got 'mse'"),
        ({"metrics": 3}, TypeError, "Problem: metrics must be a function; got 3"),
        ({"regularizer": 0.1}, TypeError, "Problem: regularizer must be a function; got 0.1"),
        ({"metrics": {"a": 3}}, TypeError, "Problem: metrics must be functions by name; got 3 called 'a'"),
        ({"metrics": {1: len}}, TypeError, "Problem: metrics must be functions by name; got <.*len> called 1"),
        ({"metrics": {"a": Unhashable()}}, TypeError, "must be hashable functions"),
        ({"coupled": "no"}, TypeError, "Problem: coupled must be True or False; got 'no'"),
        ({"data": {}}, ValueError, "Problem: data.train: no arrays"),
        ({"data": Data(DATA, {"x": jnp.zeros((0, 2))})}, ValueError, "Problem: data.validation: empty"),
        (
            {"data": {"x": jnp.zeros(3), "y": jnp.zeros(4)}},
            ValueError,
            r"leaves differ in length: \['x'\] has 3, \['y'\] has 4",
        ),
        ({"data": [1.0, 2.0]}, ValueError, r"data.train: \[0\] is a scalar; expected arrays with one leading axis"),
    ],
)
def test_bad_parts_are_refused_by_name(changes, kind, message):
    with pytest.raises(kind, match=message):
        problem(**changes)


@pytest.mark.parametrize(
    ("loss", "params", "kind", "message"),
    [
        (
            lambda w, batch: batch["x"] * w,
            1.0,
            ValueError,
            r"from_loss: loss must return a scalar or one value .* got \(3, 2\)",
        ),
        (lambda w, batch: batch["y"] * w["a"], {"a": 1}, TypeError, r"params\['a'\] is int32"),
    ],
)
def test_bad_losses_and_parameters_are_refused(loss, params, kind, message):
    with pytest.raises(kind, match=message):
        Problem.from_loss(loss, params, DATA)


def test_examples_are_counted_along_the_one_leading_axis():
    assert num_examples({"x": np.zeros((3, 2)), "more": [np.zeros(3)]}) == 3
