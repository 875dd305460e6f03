"""A small curved problem, and its gradients, Hessians and path by hand."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.training.step import TRACES

START = {"w": np.array([0.5, -1.0, 0.25]), "b": np.array(0.1)}
ALPHA, LAM = 0.05, 0.03


def curved(params, batch):
    return (jnp.tanh(batch["x"] @ params["w"]) + params["b"] - batch["y"]) ** 2


def mean_curved(params, batch):
    return jnp.mean(curved(params, batch))


def squared_weights(params):
    return LAM * jnp.sum(params["w"] ** 2)


@dataclasses.dataclass
class Curved:
    """L(θ) = mean (tanh(x·w) + b − y)² + λ‖w‖²; θ = (b, w) as JAX flattens it. Gradient descent with batches in order."""

    n: int = 37
    size: int = 10

    def __post_init__(self):
        rng = np.random.default_rng(3)
        self.x = rng.normal(size=(self.n, 3)) * [1.0, 2.0, 0.5]
        self.y = np.tanh(self.x @ [1.5, -0.5, 2.0]) + 0.7 + 0.3 * rng.normal(size=self.n)
        self.data = {"x": self.x, "y": self.y}

    def problem(self, loss=curved):
        return jc.Problem.from_loss(loss, START, self.data, regularizer=squared_weights)

    def fit(self, probes, steps=6, optimizer=None, loss=curved, **options):
        options = {"batch_size": self.size, "sampler": jc.samplers.sequential()} | options
        return jc.fit(self.problem(loss), optimizer or jc.sgd(ALPHA), steps=steps, probes=probes, **options).history

    def batch(self, step):
        per_epoch = -(-self.n // self.size)
        return slice(step % per_epoch * self.size, (step % per_epoch + 1) * self.size)

    def losses(self, theta, at=slice(None)):
        return (np.tanh(self.x[at] @ theta[1:]) + theta[0] - self.y[at]) ** 2

    def objective(self, theta, at=slice(None)):
        return self.losses(theta, at).mean() + LAM * theta[1:] @ theta[1:]

    def gradients(self, theta, at=slice(None)):
        """Of each example's loss, [B, 4]."""
        t = np.tanh(self.x[at] @ theta[1:])
        residual = t + theta[0] - self.y[at]
        return 2 * residual[:, None] * np.c_[np.ones(len(t)), (1 - t**2)[:, None] * self.x[at]]

    def gradient(self, theta, at=slice(None)):
        return self.gradients(theta, at).mean(0) + 2 * LAM * np.r_[0, theta[1:]]

    def hessian(self, theta, at=slice(None)):
        x = self.x[at]
        t = np.tanh(x @ theta[1:])
        residual, slope = t + theta[0] - self.y[at], 1 - t**2
        jacobian = np.c_[np.ones(len(t)), slope[:, None] * x]
        bent = np.einsum("n,ni,nj->ij", residual * -2 * t * slope, np.c_[0 * t, x], np.c_[0 * t, x])
        return 2 * (jacobian.T @ jacobian + bent) / len(t) + 2 * LAM * np.diag([0, 1, 1, 1])

    def path(self, steps):
        """θ before each step of gradient descent, and after the last."""
        thetas = [np.r_[START["b"], START["w"]]]
        for step in range(steps):
            thetas.append(thetas[-1] - ALPHA * self.gradient(thetas[-1], self.batch(step)))
        return np.array(thetas)


@pytest.fixture(autouse=True)
def double():
    """All of it in float64, except where a test says otherwise."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def curve():
    return Curved()


@pytest.fixture(scope="session")
def coupled():
    return mean_curved


@pytest.fixture(scope="session")
def alpha():
    return ALPHA


@pytest.fixture
def traced():
    """Traces since the test began: ``traced("run_chunk")``."""
    before = TRACES.copy()
    return lambda name: TRACES[name] - before[name]
