"""``torch.optim``: the rate outside the momentum, ε outside the root, coupled weight decay by default.

``torch.optim.Adam(model.parameters(), lr=1e-3)`` → ``jc.dialects.torch.Adam(lr=1e-3)``. ``foreach``, ``fused``, ``capturable``
and ``differentiable`` choose among implementations: accepted, without effect. Complex parameters differ: torch takes them
for two real ones in the adaptive methods, we divide by the size of the complex gradient.

>>> import jax.numpy as jnp, jaxopt_course as jc
>>> tx = jc.dialects.torch.SGD(0.1, momentum=0.9, dampening=0.5, weight_decay=1e-4, foreach=True)
>>> sorted(jc.hyperparams(tx.init(jnp.zeros(2))))
['dampening', 'learning_rate', 'momentum', 'weight_decay']
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import optax

from jaxopt_course import checks
from jaxopt_course import optimizers as ours
from jaxopt_course.dialects.preset import off, pair, preset, times, with_decay
from jaxopt_course.schedules import time_based
from jaxopt_course.schedules.cyclic import value
from jaxopt_course.transform import chain
from jaxopt_course.types import NonNegative, Number, Schedule, parametric

__all__ = [
    "ASGD", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RMSprop",
    "adadelta", "adagrad", "adam", "adamax", "adamw", "asgd", "nadam", "rmsprop", "sgd",
]  # fmt: skip

_ASCEND = optax.scale(-1.0)  # one object: a foreign transformation compares by identity
_preset = preset(
    "torch",
    {
        "lr": "learning_rate",
        "betas": ("b1", "b2"),
        "rho": "decay",
        "initial_accumulator_value": "initial_accumulator",
        "lr_decay": "decay_rate",
        "centered": "centred",
        "decoupled_weight_decay": "decoupled",
    },
    note="; there is no `params` here: init takes them",
)


def _facing(maximize: bool, tx: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    return chain(_ASCEND, tx) if maximize else tx


@_preset(ours.momentum)
def sgd(
    lr: Any = 1e-3, momentum: Any = 0, dampening: Any = 0, weight_decay: Any = 0, nesterov: bool = False, *,
    maximize: bool = False, foreach: Any = None, differentiable: bool = False, fused: Any = None,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``torch.optim.SGD``: m ← μm + (1 − τ)(g + λθ), the first g whole; θ ← θ − lr·m, or θ ← θ − lr(g + λθ + μm).

    As there, ``nesterov=True`` without momentum, or with dampening, is a ValueError.
    """
    if nesterov and (off(momentum) or not off(dampening)):
        raise ValueError(f"nesterov=True needs a momentum, and dampening=0; got {momentum!r} and {dampening!r}")
    decay: dict[str, Any] = {"weight_decay": weight_decay, "decoupled": False, "learning_rate": lr}
    if off(momentum):
        if not off(dampening):  # nothing to dampen, but a number all the same
            ours.momentum(0.0, 0.0, dampening)
        return _facing(maximize, with_decay(ours.sgd, **decay))
    if nesterov:
        return _facing(maximize, with_decay(ours.nesterov, **decay, momentum=momentum, form="shifted", rate_inside=False))
    dampened = {} if off(dampening) else {"dampening": dampening, "dampen_first": False}
    return _facing(maximize, with_decay(ours.momentum, **decay, momentum=momentum, rate_inside=False, **dampened))


@parametric(Schedule)
def _slowing(step, learning_rate: Schedule | NonNegative, lambd: NonNegative, alpha: Number):
    """ηₜ of ASGD: torch works out the next step's from the rate that it has now."""
    rate = value(learning_rate, jnp.maximum(step - 1, 0))
    return rate / (1 + lambd * rate * step) ** alpha


@parametric(Schedule)
def _both(step, lambd: NonNegative, weight_decay: Schedule | NonNegative):
    return lambd + value(weight_decay, step)


@_preset(ours.averaged_sgd)
def asgd(
    lr: Any = 1e-2, lambd: Any = 1e-4, alpha: Any = 0.75, t0: Any = 1e6, weight_decay: Any = 0, foreach: Any = None,
    maximize: bool = False, differentiable: bool = False, capturable: bool = False,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``torch.optim.ASGD``: θ ← (1 − λη)θ − ηg, η = lr/(1 + λ·lr·t)^α, t from 0; of the steps after t₀, the average θ̄.

    :func:`jaxopt_course.eval_params` reads θ̄, torch's ``ax``; until then it is θ.
    """
    checks.check_number("", "t0", t0, checks.Interval(0))
    rate = _slowing(lr, lambd, alpha)
    decay = weight_decay if off(lambd) else lambd if off(weight_decay) else _both(lambd, weight_decay)
    return _facing(maximize, with_decay(ours.averaged_sgd, decay, decoupled=False, learning_rate=rate, start=t0 + 1))


@_preset(ours.adagrad)
def adagrad(
    lr: Any = 1e-2, lr_decay: Any = 0, weight_decay: Any = 0, initial_accumulator_value: Any = 0, eps: Any = 1e-10,
    foreach: Any = None, *, maximize: bool = False, differentiable: bool = False, fused: Any = None,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``torch.optim.Adagrad``: v ← v + g², θ ← θ − lr/(1 + t·lr_decay) · g / (√v + ε), t from 0."""
    rate = lr if off(lr_decay) else times("lr", lr, time_based(1.0, lr_decay))
    numbers = {"learning_rate": rate, "eps": eps, "initial_accumulator": initial_accumulator_value}
    return _facing(maximize, with_decay(ours.adagrad, weight_decay, decoupled=False, **numbers))


@_preset(ours.rmsprop, alpha="decay")
def rmsprop(
    lr: Any = 1e-2, alpha: Any = 0.99, eps: Any = 1e-8, weight_decay: Any = 0, momentum: Any = 0, centered: bool = False,
    capturable: bool = False, foreach: Any = None, maximize: bool = False, differentiable: bool = False,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``torch.optim.RMSprop``: v ← αv + (1 − α)g², m ← μm + g / (√v + ε), θ ← θ − lr·m."""
    numbers = {"learning_rate": lr, "decay": alpha, "eps": eps, "momentum": None if off(momentum) else momentum}
    options = {} if off(momentum) else {"rate_inside": False}
    return _facing(maximize, with_decay(ours.rmsprop, weight_decay, decoupled=False, **numbers, centred=centered, **options))


@_preset(ours.adadelta)
def adadelta(
    lr: Any = 1.0, rho: Any = 0.9, eps: Any = 1e-6, weight_decay: Any = 0, foreach: Any = None, *,
    capturable: bool = False, maximize: bool = False, differentiable: bool = False,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``torch.optim.Adadelta``: v ← ρv + (1 − ρ)g², Δ = √(d + ε) / √(v + ε) g, d ← ρd + (1 − ρ)Δ², θ ← θ − lr·Δ."""
    numbers = {"learning_rate": lr, "decay": rho, "eps": eps}
    return _facing(maximize, with_decay(ours.adadelta, weight_decay, decoupled=False, **numbers))


@_preset(ours.adam)
def adam(
    lr: Any = 1e-3, betas: tuple[Any, Any] = (0.9, 0.999), eps: Any = 1e-8, weight_decay: Any = 0, amsgrad: bool = False, *,
    foreach: Any = None, maximize: bool = False, capturable: bool = False, differentiable: bool = False, fused: Any = None,
    decoupled_weight_decay: bool = False,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``torch.optim.Adam``: θ ← θ − lr · m̂ / (√v̂ + ε); with ``amsgrad`` the largest v, then corrected, for v̂."""
    return _facing(maximize, _adam(lr, betas, eps, weight_decay, amsgrad, decoupled=decoupled_weight_decay))


@_preset(ours.adamw)
def adamw(
    lr: Any = 1e-3, betas: tuple[Any, Any] = (0.9, 0.999), eps: Any = 1e-8, weight_decay: Any = 1e-2, amsgrad: bool = False,
    *, maximize: bool = False, foreach: Any = None, capturable: bool = False, differentiable: bool = False, fused: Any = None,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``torch.optim.AdamW``: Adam, and θ ← θ − lr·λθ beside its step."""
    return _facing(maximize, _adam(lr, betas, eps, weight_decay, amsgrad, decoupled=True))


def _adam(lr, betas, eps, weight_decay, amsgrad, *, decoupled):
    b1, b2 = pair("betas", betas)
    method, options = (ours.amsgrad, {"bias_correction": True}) if amsgrad else (ours.adam, {})
    numbers = {"learning_rate": lr, "b1": b1, "b2": b2, "eps": eps}
    return with_decay(method, weight_decay, decoupled=decoupled, **numbers, **options)


@_preset(ours.adamax)
def adamax(
    lr: Any = 2e-3, betas: tuple[Any, Any] = (0.9, 0.999), eps: Any = 1e-8, weight_decay: Any = 0, foreach: Any = None, *,
    maximize: bool = False, differentiable: bool = False, capturable: bool = False,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``torch.optim.Adamax``: u ← max(β₂u, |g| + ε), θ ← θ − lr/(1 − β₁ᵗ) · m / u."""
    b1, b2 = pair("betas", betas)
    numbers = {"learning_rate": lr, "b1": b1, "b2": b2, "eps": eps}
    return _facing(maximize, with_decay(ours.adamax, weight_decay, decoupled=False, **numbers, eps_place="maximum"))


@_preset(ours.nadam)
def nadam(
    lr: Any = 2e-3, betas: tuple[Any, Any] = (0.9, 0.999), eps: Any = 1e-8, weight_decay: Any = 0, momentum_decay: Any = 4e-3,
    decoupled_weight_decay: bool = False, *,
    foreach: Any = None, maximize: bool = False, capturable: bool = False, differentiable: bool = False,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``torch.optim.NAdam``: θ ← θ − lr · m̄ / (√v̂ + ε) with μₜ = β₁(1 − ½ · 0.96^{ψt}), ψ = ``momentum_decay``."""
    b1, b2 = pair("betas", betas)
    numbers = {"learning_rate": lr, "b1": b1, "b2": b2, "eps": eps, "momentum_decay": momentum_decay}
    return _facing(maximize, with_decay(ours.nadam, weight_decay, decoupled=decoupled_weight_decay, **numbers))


SGD, ASGD, Adagrad, RMSprop, Adadelta = sgd, asgd, adagrad, rmsprop, adadelta
Adam, AdamW, Adamax, NAdam = adam, adamw, adamax, nadam
