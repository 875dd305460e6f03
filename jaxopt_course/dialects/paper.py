"""The papers' spellings: each method as its authors write it, with their letters and their numbers.

An ``epsilon`` stands also where the authors have none (AMSGrad, Adamax, RMSProp), at our default: it keeps a coordinate whose
gradient was always zero from dividing by zero.

>>> import jaxopt_course as jc
>>> jc.dialects.paper.adam(alpha=0.01, beta1=0.8).update == jc.adam(0.01).update
True
"""

from __future__ import annotations

from typing import Any

import optax

from jaxopt_course import optimizers as ours
from jaxopt_course.dialects.preset import preset, times

__all__ = [
    "adadelta", "adagrad", "adam", "adamax", "adamw", "amsgrad", "momentum", "nadam", "nesterov", "rmsprop", "sgd",
]  # fmt: skip

_preset = preset(
    "paper",
    {
        "alpha": "learning_rate",
        "beta1": "b1",
        "beta2": "b2",
        "nu": "b2",
        "rho": "decay",
        "epsilon": "eps",
        "delta": "eps",
        "psi": "momentum_decay",
    },
)


@_preset(ours.sgd)
def sgd(alpha: Any) -> optax.GradientTransformationExtraArgs:
    """Robbins & Monro 1951 [B1]: θ ← θ − α∇L."""
    return ours.sgd(alpha)


@_preset(ours.momentum, beta="momentum")
def momentum(alpha: Any, beta: Any = 0.9) -> optax.GradientTransformationExtraArgs:
    """Polyak 1964 [D1]: θ ← θ − α∇L + β(θ − θ_before); the lectures' form, with the rate inside."""
    return ours.momentum(alpha, beta)


@_preset(ours.nesterov, mu="momentum")
def nesterov(alpha: Any, mu: Any = 0.9) -> optax.GradientTransformationExtraArgs:
    """Nesterov 1983, as Sutskever et al. 2013 write it [D3]: v ← μv − α∇L(θ + μv), θ ← θ + v."""
    return ours.nesterov(alpha, mu)


@_preset(ours.adagrad, eta="learning_rate")
def adagrad(eta: Any, delta: Any = 1e-10) -> optax.GradientTransformationExtraArgs:
    """Duchi, Hazan & Singer 2011 [E1]: θ ← θ − η g / (δ + √Σg²)."""
    return ours.adagrad(eta, delta)


@_preset(ours.rmsprop)
def rmsprop(alpha: Any, rho: Any = 0.9, epsilon: Any = 1e-8) -> optax.GradientTransformationExtraArgs:
    """Tieleman & Hinton 2012 [E2]: v ← ρv + (1 − ρ)g², θ ← θ − αg / √v."""
    return ours.rmsprop(alpha, rho, epsilon)


@_preset(ours.adadelta)
def adadelta(rho: Any = 0.95, epsilon: Any = 1e-6) -> optax.GradientTransformationExtraArgs:
    """Zeiler 2012, algorithm 1 [E3]: Δ = √(d + ε) / √(v + ε) g, θ ← θ − Δ; no rate."""
    return ours.adadelta(None, rho, epsilon)


@_preset(ours.adam)
def adam(
    alpha: Any = 0.001, beta1: Any = 0.9, beta2: Any = 0.999, epsilon: Any = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """Kingma & Ba 2015, algorithm 1 [E4]: θ ← θ − α m̂ / (√v̂ + ε)."""
    return ours.adam(alpha, beta1, beta2, epsilon)


@_preset(ours.adamax)
def adamax(
    alpha: Any = 0.002, beta1: Any = 0.9, beta2: Any = 0.999, epsilon: Any = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """Kingma & Ba 2015, algorithm 2 [E5]: u ← max(β₂u, |g|), θ ← θ − α/(1 − β₁ᵗ) · m / u."""
    return ours.adamax(alpha, beta1, beta2, epsilon)


@_preset(ours.nadam, mu="b1")
def nadam(
    alpha: Any, mu: Any = 0.99, nu: Any = 0.999, epsilon: Any = 1e-8, psi: Any = 0.004
) -> optax.GradientTransformationExtraArgs:
    """Dozat 2016 [E5]: θ ← θ − α m̄ / (√v̂ + ε), μₜ = μ(1 − ½ · 0.96^{ψt}), ψ = 1/250; m averages with the constant μ."""
    return ours.nadam(alpha, mu, nu, epsilon, psi)


@_preset(ours.amsgrad)
def amsgrad(
    alpha: Any, beta1: Any = 0.9, beta2: Any = 0.999, epsilon: Any = 1e-8
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    """Reddi, Kale & Kumar 2018, algorithm 2 [E4]: v⁺ ← max(v⁺, v), θ ← θ − α m / √v⁺."""
    return ours.amsgrad(alpha, beta1, beta2, epsilon)


@_preset(ours.adamw, eta="schedule")
def adamw(
    alpha: Any = 0.001, beta1: Any = 0.9, beta2: Any = 0.999, epsilon: Any = 1e-8, weight_decay: Any = 0.01, eta: Any = 1.0
) -> optax.GradientTransformationExtraArgs:
    """Loshchilov & Hutter 2019, algorithm 2 [E4]: θ ← θ − ηₜ(α m̂ / (√v̂ + ε) + λθ): the schedule scales both, α one."""
    times("eta", eta, 1.0)  # refuses what is no number ≥ 0
    rate, decay = times("alpha", alpha, eta), times("weight_decay", weight_decay, eta)
    return ours.adamw(rate, beta1, beta2, epsilon, decay, decay_by_rate=False)
