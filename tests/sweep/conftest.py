"""Small problems for the tests of sweeps; numbers in them differ, and equal calls give equal problems."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_course.problems.objective import Data, Problem
from jaxopt_course.training.step import TRACES


def predict(params, model_state, batch, *, key=None, train=False):
    return jnp.tanh(batch["x"] @ params["w"]) @ params["v"] + params["b"], model_state


def predict_with_dropout(params, model_state, batch, *, key=None, train=False):
    x = batch["x"] * jax.random.bernoulli(key, 0.6, batch["x"].shape) / 0.6 if train else batch["x"]
    return predict(params, model_state, {"x": x})[0], model_state


def predict_centred(params, model_state, batch, *, key=None, train=False):
    mean = batch["x"].mean(0) if train else model_state["mean"]
    moved = {"mean": 0.9 * model_state["mean"] + 0.1 * mean} if train else model_state
    return predict(params, model_state, {"x": batch["x"] - mean})[0], moved


def residual_squares(outputs, batch):
    return (outputs - batch["y"]) ** 2


def residuals(outputs, batch):
    return jnp.abs(outputs - batch["y"])


def init(key):
    k1, k2 = jax.random.split(key)
    return {"w": jax.random.normal(k1, (3, 4)), "v": jax.random.normal(k2, (4,)), "b": jnp.asarray(0.3)}, {}


def init_with_mean(key):
    return init(key)[0], {"mean": jnp.zeros(3)}


def split(n: int, seed: int):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) * np.array([1.0, 2.0, 0.5])
    y = np.sin(x @ np.array([1.5, -0.5, 2.0])) + 0.1 * rng.normal(size=n)
    return {"x": jnp.asarray(x, float), "y": jnp.asarray(y, float)}


class Problems:
    """Builds the problems."""

    def data(self, n: int = 37) -> Data:
        return Data(split(n, 1), split(11, 2), split(9, 3))

    def model(self, kind: str = "plain", n: int = 37, **options) -> Problem:
        apply = {"plain": predict, "dropout": predict_with_dropout, "statistics": predict_centred}[kind]
        start = init_with_mean if kind == "statistics" else init
        options = {"metrics": {"residual": residuals}, "coupled": kind == "statistics", "name": kind} | options
        return Problem(start, apply, options.pop("loss", residual_squares), options.pop("data", self.data(n)), **options)


@pytest.fixture(scope="session")
def problems():
    return Problems()


@pytest.fixture
def traced():
    """Traces since the test began: ``traced("train_lanes")``."""
    before = TRACES.copy()
    return lambda name: TRACES[name] - before[name]
