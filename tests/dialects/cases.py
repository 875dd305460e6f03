"""What the frameworks and we are run on: 1 000 noisy steps of a non-convex problem, with settings that nobody has by default.

The gradient is that of ½ Σ hᵢxᵢ² + 0.1 Σ sin 3xᵢ, plus noise that is drawn once; the rate falls, so that it matters where it
is applied. A trajectory, of what would be evaluated (an average, where the method keeps one), is kept at a few of its steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

STEPS = 1000
KEPT = (1, 2, 3, 10, 50, 100, 250, 500, 750, 1000)
START = np.array([1.5, -2.0, 0.7])
CURVATURE = np.array([1.0, 7.0, 0.3])
NOISE = np.random.default_rng(11).normal(0, 0.1, (STEPS, 3))


class Case(NamedTuple):
    """A call of a framework, and of our preset with the same arguments.

    Attributes:
        theirs: the framework's name of the method.
        ours: the preset's.
        rate: the learning rate's first value.
        arguments: all others.
    """

    theirs: str
    ours: str
    rate: float
    arguments: dict[str, Any]


def rate(first, step):
    return first / (1 + 0.01 * step)


def gradient(x, noise, cos):
    return CURVATURE * x + 0.3 * cos(3 * x) + noise


DECAY = {"weight_decay": 0.03}

TORCH = {
    "sgd": Case("SGD", "sgd", 0.05, {}),
    "sgd, decayed": Case("SGD", "sgd", 0.05, DECAY),
    "momentum": Case("SGD", "sgd", 0.02, {"momentum": 0.85}),
    "momentum, dampened, decayed": Case("SGD", "sgd", 0.05, {"momentum": 0.85, "dampening": 0.3, **DECAY}),
    "momentum, maximized": Case("SGD", "sgd", 0.02, {"momentum": 0.7, "dampening": 0.2, "maximize": True, **DECAY}),
    "nesterov": Case("SGD", "sgd", 0.02, {"momentum": 0.85, "nesterov": True, **DECAY}),
    "averaged_sgd": Case("ASGD", "asgd", 0.05, {"lambd": 0.2, "alpha": 0.6, "t0": 100.0}),
    "averaged_sgd, maximized": Case(
        "ASGD", "asgd", 0.05, {"lambd": 0.2, "alpha": 0.6, "t0": 3, "maximize": True, "weight_decay": 0.3}
    ),
    "adagrad": Case("Adagrad", "adagrad", 0.3, {"eps": 1e-3}),
    "adagrad, everything": Case(
        "Adagrad", "adagrad", 0.3, {"lr_decay": 0.02, "initial_accumulator_value": 0.3, "eps": 1e-2, **DECAY}
    ),
    "rmsprop": Case("RMSprop", "rmsprop", 0.02, {"alpha": 0.92, "eps": 1e-3}),
    "rmsprop, everything": Case(
        "RMSprop", "rmsprop", 0.01, {"alpha": 0.92, "eps": 1e-2, "momentum": 0.6, "centered": True, **DECAY}
    ),
    "adadelta": Case("Adadelta", "adadelta", 0.7, {"rho": 0.8, "eps": 1e-4, **DECAY}),
    "adam": Case("Adam", "adam", 0.05, {"betas": (0.8, 0.95), "eps": 1e-2}),
    "adam, coupled decay": Case("Adam", "adam", 0.05, {"betas": (0.8, 0.95), "eps": 1e-2, **DECAY}),
    "adam, decoupled": Case("Adam", "adam", 0.05, {"betas": (0.8, 0.95), "decoupled_weight_decay": True, **DECAY}),
    "adam, maximized": Case("Adam", "adam", 0.05, {"betas": (0.8, 0.95), "eps": 1e-2, "maximize": True, **DECAY}),
    "amsgrad": Case("Adam", "adam", 0.05, {"betas": (0.8, 0.7), "eps": 1e-2, "amsgrad": True}),
    "adamw": Case("AdamW", "adamw", 0.05, {"betas": (0.8, 0.95), "eps": 1e-2, "weight_decay": 0.2}),
    "adamw, amsgrad": Case("AdamW", "adamw", 0.05, {"betas": (0.8, 0.7), "eps": 1e-2, "amsgrad": True}),
    "adamax": Case("Adamax", "adamax", 0.05, {"betas": (0.8, 0.95), "eps": 1e-2, **DECAY}),
    "nadam": Case("NAdam", "nadam", 0.05, {"betas": (0.8, 0.95), "eps": 1e-2, "momentum_decay": 0.01, **DECAY}),
    "nadam, decoupled": Case(
        "NAdam", "nadam", 0.05, {"betas": (0.8, 0.95), "eps": 1e-2, "decoupled_weight_decay": True, **DECAY}
    ),
}

BETAS = {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-2}
KERAS = {
    "sgd": Case("SGD", "sgd", 0.05, {}),
    "sgd, decayed": Case("SGD", "sgd", 0.05, DECAY),
    "momentum": Case("SGD", "sgd", 0.02, {"momentum": 0.85, **DECAY}),
    "nesterov": Case("SGD", "sgd", 0.02, {"momentum": 0.85, "nesterov": True, **DECAY}),
    "adagrad": Case("Adagrad", "adagrad", 0.3, {"initial_accumulator_value": 0.3, "epsilon": 1e-2, **DECAY}),
    "rmsprop": Case("RMSprop", "rmsprop", 0.02, {"rho": 0.92, "epsilon": 1e-3}),
    "rmsprop, everything": Case(
        "RMSprop", "rmsprop", 0.01, {"rho": 0.92, "momentum": 0.6, "epsilon": 1e-2, "centered": True, **DECAY}
    ),
    "adadelta": Case("Adadelta", "adadelta", 0.7, {"rho": 0.8, "epsilon": 1e-4, **DECAY}),
    "adam": Case("Adam", "adam", 0.05, BETAS),
    "adam, decayed": Case("Adam", "adam", 0.05, {**BETAS, **DECAY}),
    "amsgrad": Case("Adam", "adam", 0.05, {**BETAS, "beta_2": 0.7, "amsgrad": True}),
    "adamw": Case("AdamW", "adamw", 0.05, {**BETAS, "weight_decay": 0.2}),
    "adamw, amsgrad": Case("AdamW", "adamw", 0.05, {**BETAS, "beta_2": 0.7, "amsgrad": True}),
    "adamax": Case("Adamax", "adamax", 0.05, {**BETAS, **DECAY}),
    "nadam": Case("Nadam", "nadam", 0.05, {**BETAS, **DECAY}),
}

ADAM = {"b1": 0.8, "b2": 0.95, "eps": 1e-2}
ROOT = {"eps_root": 1e-3}
OPTAX = {
    "sgd": Case("sgd", "sgd", 0.05, {}),
    "momentum": Case("sgd", "sgd", 0.02, {"momentum": 0.85}),
    "nesterov": Case("sgd", "sgd", 0.02, {"momentum": 0.85, "nesterov": True}),
    "adagrad": Case("adagrad", "adagrad", 0.3, {"initial_accumulator_value": 0.3, "eps": 1e-2}),
    "rmsprop": Case("rmsprop", "rmsprop", 0.02, {"decay": 0.92, "eps": 1e-3, "eps_in_sqrt": False}),
    "rmsprop, corrected": Case("rmsprop", "rmsprop", 0.02, {"decay": 0.92, "eps": 1e-3, "bias_correction": True}),
    "rmsprop, everything": Case(
        "rmsprop",
        "rmsprop",
        0.01,
        {"decay": 0.92, "eps": 1e-2, "initial_scale": 0.5, "centered": True, "momentum": 0.6, "nesterov": True},
    ),
    "adadelta": Case("adadelta", "adadelta", 0.7, {"rho": 0.8, "eps": 1e-4, **DECAY}),
    "adam": Case("adam", "adam", 0.05, {**ADAM, **ROOT}),
    "nadam, by adam": Case("adam", "adam", 0.05, {**ADAM, "nesterov": True}),
    "amsgrad": Case("amsgrad", "amsgrad", 0.05, {**ADAM, **ROOT, "b2": 0.7}),
    "amsgrad, uncorrected": Case(
        "amsgrad", "amsgrad", 0.05, {**ADAM, "b2": 0.7, "bias_correction_mu": False, "bias_correction_nu": False}
    ),
    "adamw": Case("adamw", "adamw", 0.05, {**ADAM, **ROOT, "weight_decay": 0.2}),
    "adamax": Case("adamax", "adamax", 0.05, ADAM),
    "adamax, decayed": Case("adamaxw", "adamaxw", 0.05, {**ADAM, "weight_decay": 0.2}),
    "nadam": Case("nadam", "nadam", 0.05, {**ADAM, **ROOT}),
    "nadam, decayed": Case("nadamw", "nadamw", 0.05, {**ADAM, "weight_decay": 0.2}),
}

CASES = {"torch": TORCH, "keras": KERAS, "optax": OPTAX}
NAMES = [(framework, name) for framework, cases in CASES.items() for name in cases]


def sign(case):
    """−1 where the framework maximizes: it is given the negative problem, and has the same minimum to find."""
    return -1.0 if case.arguments.get("maximize") else 1.0


def kept(points):
    """The steps of a trajectory that are stored."""
    return np.asarray(points)[np.array(KEPT) - 1]


def relative_error(points, expected):
    """The largest difference of two trajectories, each step's relative to the largest parameter there."""
    points, expected = np.asarray(points), np.asarray(expected)
    return float(np.max(np.abs(points - expected).max(axis=1) / np.abs(expected).max(axis=1)))
