"""``keras.optimizers``: the rate inside the momentum, ε = 1e-7 inside the root or before the bias correction, decoupled decay.

``keras.optimizers.Adam(1e-3)`` → ``jc.dialects.keras.Adam(1e-3)``. ``weight_decay`` is θ ← θ − lr·λθ beside any method's
step. Clipping, averaging, accumulation and loss scaling, which Keras puts into its optimizers, are transformations of their
own here; asking for them raises, and says which.

>>> import jax.numpy as jnp, jaxopt_course as jc
>>> tx = jc.dialects.keras.Adam(0.1, beta_2=0.99)
>>> tx.update == jc.adam(0.1, eps_before_correction=True).update
True
>>> jc.dialects.keras.SGD(global_clipnorm=1.0)
Traceback (most recent call last):
ValueError: dialects.keras.sgd: global_clipnorm=1.0 is not here; use jc.chain(optax.clip_by_global_norm(...), ...)
"""

from __future__ import annotations

from typing import Any

import optax

from jaxopt_course import optimizers as ours
from jaxopt_course.dialects.preset import Switch, off, preset, with_decay

__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Nadam", "RMSprop",
    "adadelta", "adagrad", "adam", "adamax", "adamw", "nadam", "rmsprop", "sgd",
]  # fmt: skip

_AVERAGE = "jc.averaged(optimizer, decay, bias_correction=False)"
_preset = preset(
    "keras",
    {
        "beta_1": "b1",
        "beta_2": "b2",
        "epsilon": "eps",
        "rho": "decay",
        "initial_accumulator_value": "initial_accumulator",
        "centered": "centred",
    },
    {
        "clipnorm": Switch(None, "jc.chain(optax.clip_by_global_norm(...), ...), which clips all leaves together"),
        "clipvalue": Switch(None, "jc.chain(optax.clip(...), ...)"),
        "global_clipnorm": Switch(None, "jc.chain(optax.clip_by_global_norm(...), ...)"),
        "use_ema": Switch(False, _AVERAGE),
        "ema_momentum": Switch(0.99),  # without use_ema, nothing
        "ema_overwrite_frequency": Switch(None),
        "loss_scale_factor": Switch(None, "a loss multiplied by it, and jc.chain(optax.scale(1 / factor), ...)"),
        "gradient_accumulation_steps": Switch(None, "optax.MultiSteps(..., every_k_schedule=steps)"),
        "name": Switch(None),
    },
)


@_preset(ours.momentum)
def sgd(
    learning_rate: Any = 0.01, momentum: Any = 0.0, nesterov: bool = False, weight_decay: Any = None
) -> optax.GradientTransformationExtraArgs:
    """``keras.optimizers.SGD``: m ← μm + α∇L, θ ← θ − m; nesterov θ ← θ − (α∇L + μm).

    As there, ``nesterov=True`` without momentum changes nothing.
    """
    decay: dict[str, Any] = {"weight_decay": weight_decay, "decoupled": True, "learning_rate": learning_rate}
    if off(momentum):
        return with_decay(ours.sgd, **decay)
    if nesterov:
        return with_decay(ours.nesterov, **decay, momentum=momentum, form="shifted")
    return with_decay(ours.momentum, **decay, momentum=momentum)


@_preset(ours.adagrad)
def adagrad(
    learning_rate: Any = 0.001, initial_accumulator_value: Any = 0.1, epsilon: Any = 1e-7, weight_decay: Any = None
) -> optax.GradientTransformationExtraArgs:
    """``keras.optimizers.Adagrad``: v ← v + g² from 0.1, θ ← θ − αg / √(v + ε)."""
    numbers = {"learning_rate": learning_rate, "eps": epsilon, "initial_accumulator": initial_accumulator_value}
    return with_decay(ours.adagrad, weight_decay, decoupled=True, **numbers, eps_inside_sqrt=True)


@_preset(ours.rmsprop)
def rmsprop(
    learning_rate: Any = 0.001, rho: Any = 0.9, momentum: Any = 0.0, epsilon: Any = 1e-7, centered: bool = False,
    weight_decay: Any = None,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``keras.optimizers.RMSprop``: v ← ρv + (1 − ρ)g², m ← μm + αg / √(v + ε), θ ← θ − m."""
    numbers = {"learning_rate": learning_rate, "decay": rho, "eps": epsilon, "momentum": None if off(momentum) else momentum}
    return with_decay(ours.rmsprop, weight_decay, decoupled=True, **numbers, centred=centered, eps_inside_sqrt=True)


@_preset(ours.adadelta)
def adadelta(
    learning_rate: Any = 0.001, rho: Any = 0.95, epsilon: Any = 1e-7, weight_decay: Any = None
) -> optax.GradientTransformationExtraArgs:
    """``keras.optimizers.Adadelta``: Δ = √(d + ε) / √(v + ε) g, θ ← θ − αΔ."""
    return with_decay(
        ours.adadelta, weight_decay, decoupled=True, learning_rate=learning_rate, decay=rho, eps=epsilon
    )  # fmt: skip


@_preset(ours.adam)
def adam(
    learning_rate: Any = 0.001, beta_1: Any = 0.9, beta_2: Any = 0.999, epsilon: Any = 1e-7, amsgrad: bool = False,
    weight_decay: Any = None,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``keras.optimizers.Adam``: θ ← θ − α √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε); with ``amsgrad`` the largest v for v."""
    return _adam(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay)


@_preset(ours.adamw)
def adamw(
    learning_rate: Any = 0.001, weight_decay: Any = 0.004, beta_1: Any = 0.9, beta_2: Any = 0.999, epsilon: Any = 1e-7,
    amsgrad: bool = False,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``keras.optimizers.AdamW``: Adam, and θ ← θ − α·λθ beside its step."""
    return _adam(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay)


def _adam(learning_rate, b1, b2, eps, amsgrad, weight_decay):
    method, options = (ours.amsgrad, {"bias_correction": True}) if amsgrad else (ours.adam, {})
    numbers = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps}
    return with_decay(method, weight_decay, decoupled=True, **numbers, **options, eps_before_correction=True)


@_preset(ours.adamax)
def adamax(
    learning_rate: Any = 0.001, beta_1: Any = 0.9, beta_2: Any = 0.999, epsilon: Any = 1e-7, weight_decay: Any = None
) -> optax.GradientTransformationExtraArgs:
    """``keras.optimizers.Adamax``: u ← max(β₂u, |g|), θ ← θ − α/(1 − β₁ᵗ) · m / (u + ε)."""
    numbers = {"learning_rate": learning_rate, "b1": beta_1, "b2": beta_2, "eps": epsilon}
    return with_decay(ours.adamax, weight_decay, decoupled=True, **numbers)


@_preset(ours.nadam)
def nadam(
    learning_rate: Any = 0.001, beta_1: Any = 0.9, beta_2: Any = 0.999, epsilon: Any = 1e-7, weight_decay: Any = None
) -> optax.GradientTransformationExtraArgs:
    """``keras.optimizers.Nadam``: θ ← θ − α m̄ / (√v̂ + ε) with μₜ = β₁(1 − ½ · 0.96ᵗ)."""
    numbers = {"learning_rate": learning_rate, "b1": beta_1, "b2": beta_2, "eps": epsilon, "momentum_decay": 1.0}
    return with_decay(ours.nadam, weight_decay, decoupled=True, **numbers)


SGD, Adagrad, RMSprop, Adadelta = sgd, adagrad, rmsprop, adadelta
Adam, AdamW, Adamax, Nadam = adam, adamw, adamax, nadam
