"""optax's aliases: the rate outside the momentum (inside RMSProp's), ε and ε_root, AdaGrad from 0.1.

``optax.adam(1e-3, b1=0.8)`` → ``jc.dialects.optax.adam(1e-3, b1=0.8)``: the same steps, with the numbers in the state. The
``mask`` of a weight decay is a tree of booleans, or a function from the parameters to one.

>>> import jaxopt_course as jc
>>> jc.dialects.optax.adam(1e-3, b1=0.8).update == jc.adam(0.1).update
True
"""

from __future__ import annotations

from typing import Any

import optax

from jaxopt_course import optimizers as ours
from jaxopt_course.dialects.preset import Switch, off, preset, with_decay

__all__ = [
    "adadelta", "adagrad", "adam", "adamax", "adamaxw", "adamw", "amsgrad", "nadam", "nadamw", "rmsprop", "sgd",
]  # fmt: skip

_NAMES = {
    "rho": "decay",
    "initial_accumulator_value": "initial_accumulator",
    "initial_scale": "initial_accumulator",
    "eps_in_sqrt": "eps_inside_sqrt",
    "centered": "centred",
    "weight_decay_mask": "mask",
    "bias_correction_mu": "bias_correction",
    "bias_correction_nu": "bias_correction",
}
_preset = preset("optax", _NAMES)
_with_dtype = preset("optax", _NAMES, {"mu_dtype": Switch(None, "accumulator_dtype, for m and v, of jc.adam and its kin")})


@_preset(ours.momentum)
def sgd(
    learning_rate: Any, momentum: Any = None, nesterov: bool = False, accumulator_dtype: Any = None
) -> optax.GradientTransformationExtraArgs:
    """``optax.sgd``: m ← μm + g, θ ← θ − αm; nesterov θ ← θ − α(g + μm).

    As there, ``nesterov=True`` without momentum changes nothing.
    """
    options = {"rate_inside": False, "accumulator_dtype": accumulator_dtype}
    if momentum is None:
        ours.momentum(0.0, **options)  # refuses a dtype that is none
        return ours.sgd(learning_rate)
    if nesterov:
        return ours.nesterov(learning_rate, momentum, form="shifted", **options)
    return ours.momentum(learning_rate, momentum, **options)


@_preset(ours.adagrad)
def adagrad(
    learning_rate: Any, initial_accumulator_value: Any = 0.1, eps: Any = 1e-7
) -> optax.GradientTransformationExtraArgs:
    """``optax.adagrad``: v ← v + g² from 0.1, θ ← θ − αg / √(v + ε); where v = ε = 0 optax stays, and we divide by 0."""
    return ours.adagrad(learning_rate, eps, initial_accumulator_value, eps_inside_sqrt=True)


@_preset(ours.rmsprop)
def rmsprop(
    learning_rate: Any, decay: Any = 0.9, eps: Any = 1e-8, initial_scale: Any = 0.0, eps_in_sqrt: bool = True,
    centered: bool = False, momentum: Any = None, nesterov: bool = False, bias_correction: bool = False,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``optax.rmsprop``: v ← ρv + (1 − ρ)g², m ← μm + αg / √(v + ε), θ ← θ − m; nesterov θ ← θ − (αg / √(v + ε) + μm).

    As there, ``nesterov=True`` without momentum changes nothing.
    """
    return ours.rmsprop(
        learning_rate, decay, eps, momentum, initial_scale, centred=centered, bias_correction=bias_correction,
        nesterov=nesterov and momentum is not None, eps_inside_sqrt=eps_in_sqrt,
    )  # fmt: skip


@_preset(ours.adadelta)
def adadelta(
    learning_rate: Any = None, rho: Any = 0.9, eps: Any = 1e-6, weight_decay: Any = 0.0, weight_decay_mask: Any = None
) -> optax.GradientTransformationExtraArgs:
    """``optax.adadelta``: g ← ∇L + λθ, Δ = √(d + ε) / √(v + ε) g, θ ← θ − αΔ."""
    if learning_rate is None:
        raise ValueError("learning_rate=None ascends in optax; give 1.0, or use jc.scale_by_adadelta")
    numbers = {"learning_rate": learning_rate, "decay": rho, "eps": eps}
    return with_decay(ours.adadelta, weight_decay, decoupled=False, mask=weight_decay_mask, **numbers)


@_with_dtype(ours.adam)
def adam(
    learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, eps_root: Any = 0.0, mu_dtype: Any = None, *,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``optax.adam``: θ ← θ − α m̂ / (√(v̂ + ε_root) + ε)."""
    return _adam(nesterov, None, learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root)


@_with_dtype(ours.nadam)
def nadam(
    learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, eps_root: Any = 0.0, mu_dtype: Any = None, *,
    nesterov: bool = True,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``optax.nadam``: θ ← θ − α m̄ / (√(v̂ + ε_root) + ε), with a constant μ = β₁."""
    return _adam(nesterov, None, learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root)


@_with_dtype(ours.adamw)
def adamw(
    learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, eps_root: Any = 0.0, mu_dtype: Any = None,
    weight_decay: Any = 1e-4, mask: Any = None, *, nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``optax.adamw``: θ ← θ − α(m̂ / (√(v̂ + ε_root) + ε) + λθ)."""
    numbers = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    return _adam(nesterov, weight_decay, mask, **numbers)


@_with_dtype(ours.nadam)
def nadamw(
    learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, eps_root: Any = 0.0, mu_dtype: Any = None,
    weight_decay: Any = 1e-4, mask: Any = None, *, nesterov: bool = True,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``optax.nadamw``: θ ← θ − α(m̄ / (√(v̂ + ε_root) + ε) + λθ)."""
    numbers = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    return _adam(nesterov, weight_decay, mask, **numbers)


def _adam(nesterov, weight_decay, mask=None, *, eps_root, **numbers):
    numbers["eps_root"] = None if off(eps_root) else eps_root
    return with_decay(ours.nadam if nesterov else ours.adam, weight_decay, decoupled=True, mask=mask, **numbers)


@_preset(ours.adamax)
def adamax(
    learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``optax.adamax``: u ← max(β₂u, |g| + ε), θ ← θ − α/(1 − β₁ᵗ) · m / u."""
    return ours.adamax(learning_rate, b1, b2, eps, eps_place="maximum")


@_preset(ours.adamax)
def adamaxw(
    learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, weight_decay: Any = 1e-4, mask: Any = None
) -> optax.GradientTransformationExtraArgs:
    """``optax.adamaxw``: θ ← θ − α(m̂ / u + λθ)."""
    numbers = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps}
    return with_decay(ours.adamax, weight_decay, decoupled=True, mask=mask, **numbers, eps_place="maximum")


@_with_dtype(ours.amsgrad)
def amsgrad(
    learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, eps_root: Any = 0.0, mu_dtype: Any = None,
    bias_correction_mu: bool = True, bias_correction_nu: bool = True,
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """``optax.amsgrad``: v⁺ ← max(v⁺, v̂), θ ← θ − α m̂ / (√(v⁺ + ε_root) + ε)."""
    if bias_correction_mu != bias_correction_nu:
        raise ValueError("bias_correction_mu and bias_correction_nu must be both True or both False here")
    options = {"bias_correction": bias_correction_mu, "max_after_correction": bias_correction_mu}
    return ours.amsgrad(learning_rate, b1, b2, eps, None if off(eps_root) else eps_root, **options)
