"""Small problems for the tests of training: least squares, dropout, batch statistics; every number in them differs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_course.problems.objective import Data, Problem
from jaxopt_course.training.step import TRACES


def squares(params, batch):
    return (batch["x"] @ params["w"] + params["b"] - batch["y"]) ** 2


def mean_of_squares(params, batch):
    return jnp.mean(squares(params, batch))


def predict(params, model_state, batch, *, key=None, train=False):
    return batch["x"] @ params["w"] + params["b"], model_state


def predict_with_dropout(params, model_state, batch, *, key=None, train=False):
    x = batch["x"] * jax.random.bernoulli(key, 0.6, batch["x"].shape) / 0.6 if train else batch["x"]
    return x @ params["w"] + params["b"], model_state


def predict_centred(params, model_state, batch, *, key=None, train=False):
    mean = batch["x"].mean(0) if train else model_state["mean"]
    moved = {"mean": 0.9 * model_state["mean"] + 0.1 * mean} if train else model_state
    return (batch["x"] - mean) @ params["w"] + params["b"], moved


def residual_squares(outputs, batch):
    return (outputs - batch["y"]) ** 2


def residuals(outputs, batch):
    return jnp.abs(outputs - batch["y"])


def normal_init(key):
    return {"w": jax.random.normal(key, (3,)), "b": jnp.asarray(0.3)}, {}


def normal_init_with_mean(key):
    return normal_init(key)[0], {"mean": jnp.zeros(3)}


START = {"w": np.array([0.5, -1.0, 0.25], np.float32), "b": np.float32(0.1)}


def split(n: int, seed: int):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32) * np.array([1.0, 2.0, 0.5], np.float32)
    y = x @ np.array([1.5, -0.5, 2.0], np.float32) + 0.7 + 0.1 * rng.normal(size=n).astype(np.float32)
    return {"x": x, "y": y}


class Problems:
    """Builds the problems; equal calls give equal problems that share compiled code."""

    start = START

    def data(self, n: int = 37, validation: int = 11) -> Data:
        as_arrays = lambda tree: jax.tree.map(jnp.asarray, tree)
        return Data(as_arrays(split(n, 1)), as_arrays(split(validation, 2)) if validation else None, as_arrays(split(9, 3)))

    def least_squares(self, n: int = 37, validation: int = 11, scalar: bool = False, regularizer=None) -> Problem:
        loss = mean_of_squares if scalar else squares
        return Problem.from_loss(loss, START, self.data(n, validation), regularizer=regularizer, name="squares")

    def model(self, kind: str = "plain", n: int = 37, **options) -> Problem:
        apply = {"plain": predict, "dropout": predict_with_dropout, "statistics": predict_centred}[kind]
        init = normal_init_with_mean if kind == "statistics" else normal_init
        metrics = {"residual": residuals}
        return Problem(
            init, apply, residual_squares, self.data(n), metrics, coupled=kind == "statistics", name=kind, **options
        )


@pytest.fixture(scope="session")
def problems():
    return Problems()


@pytest.fixture
def traced():
    """Traces since the test began: ``traced("run_chunk")``."""
    before = TRACES.copy()
    return lambda name: TRACES[name] - before[name]


def least_squares_gradient(params, x, y):
    """The gradient of the mean square, by hand."""
    residual = x @ params["w"] + params["b"] - y
    return {"w": 2 * x.T @ residual / len(y), "b": 2 * residual.mean()}


@pytest.fixture(scope="session")
def gradient():
    return least_squares_gradient
