"""Momentum and Nesterov's acceleration [D1, D3].

momentum              m ← μm + α∇L(θ)           θ ← θ − m
  rate outside        m ← μm + ∇L(θ)            θ ← θ − αm
  dampened            (1 − τ)∇L(θ) in the place of ∇L(θ)
nesterov, look-ahead  m ← μm + α∇L(θ − μm)      θ ← θ − m
  shifted             m ← μm + α∇L(φ)           φ ← φ − (α∇L(φ) + μm)

Lecture 000's v is −m. The forms with α inside and outside are one while α is constant; when it changes, the inside form
keeps what old steps were taken with. The shifted form is the look-ahead form written in φ = θ − μm, the point where its
gradient is taken: φ′ = θ′ − μm′ = (φ + μm) − m′ − μm′, and m′ − μm = α∇L(φ), so φ′ = φ − (α∇L(φ) + μm′).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import optax

from jaxopt_course import checks
from jaxopt_course.transform import look_ahead, map_leaves, next_step, optimizer, zeros_like
from jaxopt_course.types import Fraction, NonNegative, Updates

__all__ = ["LookaheadState", "MomentumState", "momentum", "nesterov"]


class MomentumState(NamedTuple):
    """m, the decaying sum of past gradients (of past steps, where the rate is inside); t, where the first is not dampened."""

    m: Updates
    step: Any = None


class LookaheadState(NamedTuple):
    """m; and the gradient is wanted at θ − μm, with the μ of the coming update."""

    m: Updates

    looks_ahead = True


def _rate_inside(g, m, learning_rate, momentum, dampening=None):
    m = momentum * m + learning_rate * _dampened(g, dampening)
    return 0 - m, m  # not −m: XLA's kernel for θ + (−m), which has no number in it, is slower on small arrays


def _rate_outside(g, m, learning_rate, momentum, dampening=None):
    m = momentum * m + _dampened(g, dampening)
    return -(learning_rate * m), m


def _dampened(g, dampening):
    return g if dampening is None else (1 - dampening) * g


def _ahead(m, momentum):
    return (-momentum * m,)


def _shifted_inside(g, m, learning_rate, momentum):
    m = momentum * m + learning_rate * g
    return -(learning_rate * g + momentum * m), m


def _shifted_outside(g, m, learning_rate, momentum):
    m = momentum * m + g
    return -(learning_rate * (g + momentum * m)), m


def _accumulate(equation, state_class, accumulator_dtype, **numbers):
    def init(params):
        return state_class(zeros_like(params, accumulator_dtype))

    def update(updates, state, params=None):
        if state_class is LookaheadState:
            look_ahead(lambda: map_leaves(_ahead, state.m, momentum=numbers["momentum"])[0])
        steps, m = map_leaves(equation, updates, state.m, **numbers)
        return steps, state_class(m)

    return optax.GradientTransformation(init, update)


def _accumulate_first_undampened(equation, accumulator_dtype, dampening, **numbers):
    def init(params):
        return MomentumState(zeros_like(params, accumulator_dtype), jnp.zeros((), jnp.int32))

    def update(updates, state, params=None):
        steps, m = map_leaves(equation, updates, state.m, dampening=jnp.where(state.step == 0, 0, dampening), **numbers)
        return steps, MomentumState(m, next_step(state.step))

    return optax.GradientTransformation(init, update)


@optimizer
def momentum(
    learning_rate: NonNegative,
    momentum: Fraction = 0.9,
    dampening: Fraction | None = None,
    *,
    rate_inside: bool = True,
    dampen_first: bool = True,
    accumulator_dtype: Any = None,
):
    """Gradient descent that keeps moving where past gradients agree (heavy ball).

    m ← μm + α∇L(θ), θ ← θ − m; on a constant gradient the step tends to α∇L / (1 − μ) [D2]

    Args:
        learning_rate: α ≥ 0: a number, a scalar array or a schedule.
        momentum: μ in [0, 1], likewise.
        dampening: τ in [0, 1], m ← μm + α(1 − τ)∇L(θ); by default none.
        rate_inside: α inside m, as in the lectures; outside (θ ← θ − αm), as in optax and PyTorch. They differ only while α
            changes.
        dampen_first: dampen the first gradient like the others; PyTorch takes that one whole.
        accumulator_dtype: m's dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: α is negative, μ or τ outside [0, 1], one is not finite, or ``dampen_first=False`` without dampening.

    >>> tx = momentum(0.1, 0.5)
    >>> first, state = tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([2.0]), state)[0]
    Array([-0.3], dtype=float32)

    References:
        Polyak, Some methods of speeding up the convergence of iteration methods, 1964. Lectures 000, 002 [D1].
    """
    if not dampen_first and dampening is None:
        raise ValueError("momentum: dampen_first=False needs a dampening; got dampening=None")
    equation = _rate_inside if rate_inside else _rate_outside
    numbers = {"learning_rate": learning_rate, "momentum": momentum, "dampening": dampening}
    if not dampen_first:
        return _accumulate_first_undampened(equation, accumulator_dtype, **numbers)
    return _accumulate(equation, MomentumState, accumulator_dtype, **numbers)


@optimizer
def nesterov(
    learning_rate: NonNegative,
    momentum: Fraction = 0.9,
    *,
    form: Literal["lookahead", "shifted"] = "lookahead",
    rate_inside: bool = True,
    accumulator_dtype: Any = None,
):
    """Momentum that takes the gradient where it is going.

    look-ahead: m ← μm + α∇L(θ − μm), θ ← θ − m; shifted: m ← μm + α∇L(φ), φ ← φ − (α∇L(φ) + μm)

    The look-ahead form needs its gradient at ``jc.gradient_point(state, params)`` (``jc.fit`` and ``jc.make_step`` ask).
    The shifted form takes it at the parameters, which are then the look-ahead form's gradient points φ = θ − μm. With a
    constant μ the two are one path; where μ changes, the shifted form uses the present μ, as optax and PyTorch do.

    Args:
        learning_rate: α ≥ 0: a number, a scalar array or a schedule.
        momentum: μ in [0, 1], likewise.
        form: ``"lookahead"``, the lecture's, or ``"shifted"``, optax's and PyTorch's.
        rate_inside: α inside m, as in the lecture; outside only in the shifted form.
        accumulator_dtype: m's dtype; by default each leaf's own.

    Returns:
        A gradient transformation.

    Raises:
        ValueError: α is negative, μ outside [0, 1], one is not finite, an unknown form, or look-ahead with the rate
            outside.

    >>> tx = nesterov(0.1, 0.5, form="shifted")
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)))[0]  # −(0.1 · 2 + 0.5 · 0.2)
    Array([-0.3], dtype=float32)

    References:
        Nesterov, A method of solving a convex programming problem with convergence rate O(1/k²), 1983; Sutskever et al.,
        On the importance of initialization and momentum in deep learning, 2013. Lecture 002 [D3].
    """
    equations = {"lookahead": _rate_inside, "shifted": _shifted_inside if rate_inside else _shifted_outside}
    checks.check_choice("nesterov", "form", form, equations)
    if form == "lookahead" and not rate_inside:
        raise ValueError("nesterov: rate_inside=False needs form='shifted'; the look-ahead form has its rate inside")
    state_class = LookaheadState if form == "lookahead" else MomentumState
    return _accumulate(equations[form], state_class, accumulator_dtype, learning_rate=learning_rate, momentum=momentum)
