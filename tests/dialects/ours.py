"""Our side: the preset's trajectory, in float64, under one scan."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxopt_course as jc
from tests.dialects import cases


@functools.cache
def trajectory(framework: str, name: str) -> np.ndarray:
    """The kept steps of a case."""
    case = cases.CASES[framework][name]
    return follow(optimizer(framework, case), cases.sign(case))


def optimizer(framework: str, case: cases.Case) -> optax.GradientTransformationExtraArgs:
    preset = getattr(getattr(jc.dialects, framework), case.ours)
    return preset(lambda step: cases.rate(case.rate, step), **case.arguments)


def follow(tx: optax.GradientTransformationExtraArgs, sign: float) -> np.ndarray:
    with jax.enable_x64(True):
        return cases.kept(run(tx, sign))


def run(tx: optax.GradientTransformation, sign: float = 1.0) -> jax.Array:
    """1 000 steps of the problem: the parameters that would be evaluated."""

    def step(carry, noise):
        x, state = carry
        updates, state = tx.update(sign * cases.gradient(jc.gradient_point(state, x), noise, jnp.cos), state, x)
        x = optax.apply_updates(x, updates)
        return (x, state), jc.eval_params(state, x)

    x = jnp.asarray(cases.START)
    return jax.jit(lambda x, state, noise: jax.lax.scan(step, (x, state), noise)[1])(x, tx.init(x), jnp.asarray(cases.NOISE))
