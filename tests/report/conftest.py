from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from jaxopt_course.report import RaceData

NAMES = (
    "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamax", "nadam", "amsgrad", "adamw",
    "line_search", "dialects.torch.rmsprop", "dialects.keras.adam", "blows_up",
)  # fmt: skip


def make_race(names=NAMES, seeds=5, evaluations=41) -> RaceData:
    """A race that never ran: exponential learning curves, one flat-out diverged optimizer, one that lost a single seed."""
    rng = np.random.default_rng(7)
    steps = np.arange(evaluations) * 45
    shape = (len(names), seeds, evaluations)
    floor = 0.06 * rng.uniform(0.8, 3.0, (len(names), 1, 1)) * rng.uniform(0.95, 1.05, (len(names), seeds, 1))
    rate = rng.uniform(0.002, 0.02, (len(names), 1, 1))
    loss = floor + (2.3 - floor) * np.exp(-rate * steps) * rng.lognormal(0, 0.03, shape)
    accuracy = np.clip(1 - 0.39 * loss, 0.1, 1)
    if "blows_up" in names:
        row = names.index("blows_up")
        loss[row] = 2.3 * np.exp(0.02 * steps)
        loss[row, 1, 20:] = np.nan
        accuracy[row], accuracy[row, 1, 20:] = 0.1, np.nan
    speed = rng.uniform(1e-4, 4e-4, (len(names), seeds, 1))
    gradients = np.broadcast_to(steps, shape) * np.array([4 if "line" in name else 1 for name in names])[:, None, None]
    over = ("optimizer", "seed", "evaluation")
    curves = xr.Dataset(
        {
            "validation_loss": (over, loss),
            "validation_accuracy": (over, accuracy),
            "gradient_evaluations": (over, gradients),
            "seconds": (over, steps * speed),
        },
        {
            "optimizer": list(names),
            "seed": np.arange(seeds),
            "evaluation": steps,
            "epoch": ("evaluation", steps / 45),
            "examples": ("evaluation", steps * 32),
        },
    )
    return RaceData(curves, _tuning(names, rng), _table(names, rng, seeds))


def _tuning(names, rng) -> xr.Dataset:
    trials = []
    for name in names:
        best = 10 ** rng.uniform(-3, -0.5)
        for rate in [np.nan] if "line" in name else 10.0 ** np.arange(-5, 1.5, 0.5):
            distance = 0 if np.isnan(rate) else np.log10(rate / best)
            loss = min(0.07 + 0.8 * distance**2 * (1 if distance < 0 else 2), 40 if distance > 0 else 2.3)
            trials.append((name, rate, loss, max(0.1, 1 - 0.39 * loss), distance > 1.3))
    optimizer, learning_rate, loss, accuracy, diverged = map(np.array, zip(*trials, strict=True))
    loss[diverged & (np.arange(len(loss)) % 2 == 0)] = np.nan
    selected = np.zeros(len(loss), bool)
    for name in names:
        selected[np.nanargmin(np.where((optimizer == name) & ~diverged, loss, np.inf))] = True
    spread = {f"validation_loss{end}": ("trial", factor * loss) for end, factor in (("_low", 0.9), ("_high", 1.15))}
    spread |= {f"validation_accuracy{end}": ("trial", factor * accuracy) for end, factor in (("_low", 0.98), ("_high", 1.0))}
    return xr.Dataset(
        {
            **spread,
            "test_loss": ("trial", 1.05 * loss),
            "test_accuracy": ("trial", 0.99 * accuracy),
            "optimizer": ("trial", optimizer),
            "learning_rate": ("trial", learning_rate),
            "validation_loss": ("trial", loss),
            "validation_accuracy": ("trial", accuracy),
            "diverged": ("trial", diverged),
            "selected": ("trial", selected),
        },
        attrs={
            "start_validation_loss": 2.3,
            "start_validation_accuracy": 0.1,
            "start_test_loss": 2.4,
            "start_test_accuracy": 0.1,
        },
    )


def _table(names, rng, seeds) -> xr.Dataset:
    accuracy = 0.975 - 0.006 * np.arange(len(names)) ** 0.8
    loss, margin = 3.1 * (1 - accuracy), rng.uniform(0.001, 0.004, len(names))
    p_value = np.minimum(1, 10.0 ** -np.arange(len(names)) * 3)
    p_value[0] = np.nan
    rates = 10 ** rng.uniform(-3, -0.5, len(names))
    for row, name in enumerate(names):
        if "line" in name:
            rates[row] = np.nan
        if name == "blows_up":
            accuracy[row], loss[row], p_value[row] = np.nan, np.nan, np.nan
    shuffled = rng.permutation(len(names))
    values = {
        "learning_rate": rates,
        "test_accuracy": accuracy, "test_accuracy_low": accuracy - margin, "test_accuracy_high": accuracy + margin,
        "test_loss": loss, "test_loss_low": loss - margin, "test_loss_high": loss + margin,
        "p_value": p_value, "compile_seconds": rng.uniform(0.5, 3, len(names)), "run_seconds": rng.uniform(0.2, 1, len(names)),
    }  # fmt: skip
    attributes = {
        "title": "Optimizers on digits",
        "problem": "digits, mlp 64-64-10",
        "batch_size": 32,
        "epochs": 40,
        "seeds": seeds,
        "selection": "validation_loss",
        "metric": "accuracy",
        "lower_is_better": False,
        "level": 0.95,
        "machine": "AMD EPYC 7B13, 2 cores",
        "versions": "jaxopt_course 0.1.0, jax 0.10.2, optax 0.2.8, numpy 2.4.6",
        "incomplete": False,
    }
    table = xr.Dataset({k: ("optimizer", v) for k, v in values.items()}, {"optimizer": list(names)}, attributes)
    return table.isel(optimizer=shuffled)


@pytest.fixture(scope="session")
def race() -> RaceData:
    return make_race()


@pytest.fixture
def interrupted(race) -> RaceData:
    """Its table and final runs stop after three optimizers; the fourth was being tuned."""
    tried = np.isin(race.tuning["optimizer"].values, NAMES[:4])
    table = race.table.sel(optimizer=list(NAMES[:3])).assign_attrs(incomplete=True)
    return RaceData(race.curves.isel(optimizer=slice(3)), race.tuning.isel(trial=tried), table)


@pytest.fixture
def nothing(race) -> RaceData:
    """A race interrupted before anything."""
    table = race.table.isel(optimizer=[]).assign_attrs(incomplete=True)
    return RaceData(race.curves.isel(optimizer=[]), race.tuning.isel(trial=[]), table)


@pytest.fixture
def run() -> xr.Dataset:
    """The history of one fit, as training records it."""
    steps, per_epoch = 400, 50
    rng = np.random.default_rng(5)
    at, ends = np.arange(steps), np.arange(per_epoch, steps + 1, per_epoch)
    loss = 0.05 + 2.2 * np.exp(-at / 70)
    noisy = loss * rng.lognormal(0, 0.35, steps)
    return xr.Dataset(
        {
            "loss": ("step", noisy),
            "objective": ("step", noisy + 0.01),
            "accuracy": ("step", np.clip(1 - 0.39 * noisy, 0, 1)),
            "learning_rate": ("step", 0.1 * 0.995**at),
            "validation_loss": ("epoch", loss[ends - 1] * 1.1),
            "validation_accuracy": ("epoch", 1 - 0.43 * loss[ends - 1]),
        },
        {
            "step": at,
            "step_epoch": ("step", (at + 1) / per_epoch),
            "examples": ("step", (at + 1) * 32),
            "epoch": np.arange(1, len(ends) + 1),
            "epoch_step": ("epoch", ends),
        },
    )
