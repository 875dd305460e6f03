"""Each method equals its equation: an independent float64 NumPy transcription, and optax where it has the method."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from tests.optimizers.transcriptions import (
    THETA,
    gradient,
    noises,
    numpy_adadelta,
    numpy_adagrad,
    numpy_adam,
    numpy_adam_eps_hat,
    numpy_adam_two_epsilons,
    numpy_adamax,
    numpy_adamw,
    numpy_amsgrad,
    numpy_amsgrad_eps_hat,
    numpy_dampened,
    numpy_lookahead,
    numpy_momentum,
    numpy_nadam,
    numpy_rmsprop,
    numpy_rmsprop_corrected,
    numpy_sgd,
    numpy_shifted,
    numpy_velocity,
    plain,
    rate,
    schedule,
)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def path(tx):
    theta, points = jnp.asarray(THETA), []
    state, update = tx.init(theta), jax.jit(tx.update)
    for noise in noises():
        at = np.asarray(jc.gradient_point(state, theta))
        step, state = update(jnp.asarray(gradient(at, noise)), state, theta)
        theta = optax.apply_updates(theta, step)
        points.append(np.asarray(theta))
    return np.array(points)


CASES = {
    "sgd": (lambda: jc.sgd(schedule), numpy_sgd),
    "momentum": (lambda: jc.momentum(schedule, 0.85), lambda: numpy_momentum(0.85, True)),
    "momentum as a velocity": (lambda: jc.momentum(schedule, 0.85), lambda: numpy_velocity(0.85)),
    "momentum, rate outside": (lambda: jc.momentum(schedule, 0.85, rate_inside=False), lambda: numpy_momentum(0.85, False)),
    "momentum, dampened": (
        lambda: jc.momentum(schedule, 0.85, 0.3),
        lambda: numpy_dampened(0.85, 0.3, inside=True, first=True),
    ),
    "momentum, dampened but for the first step, rate outside": (
        lambda: jc.momentum(schedule, 0.85, 0.3, rate_inside=False, dampen_first=False),
        lambda: numpy_dampened(0.85, 0.3, inside=False, first=False),
    ),
    "nesterov": (lambda: jc.nesterov(schedule, 0.85), lambda: numpy_lookahead(lambda t: 0.85)),
    "nesterov, scheduled momentum": (
        lambda: jc.nesterov(schedule, jc.schedules.linear(0.2, 0.9, 50)),
        lambda: numpy_lookahead(lambda t: 0.2 + 0.7 * min(t / 50, 1)),
    ),
    "nesterov, shifted": (lambda: jc.nesterov(schedule, 0.85, form="shifted"), lambda: numpy_shifted(0.85, True)),
    "nesterov, shifted, rate outside": (
        lambda: jc.nesterov(schedule, 0.85, form="shifted", rate_inside=False),
        lambda: numpy_shifted(0.85, False),
    ),
    "adam": (lambda: jc.adam(schedule, 0.8, 0.95, 1e-3), lambda: numpy_adam(0.8, 0.95, 1e-3, True, False)),
    "adam of the slide": (
        lambda: jc.adam(schedule, 0.8, 0.95, 1e-3, bias_correction=False),
        lambda: numpy_adam(0.8, 0.95, 1e-3, False, False),
    ),
    "adam, eps inside": (
        lambda: jc.adam(schedule, 0.8, 0.95, 1e-3, eps_inside_sqrt=True),
        lambda: numpy_adam(0.8, 0.95, 1e-3, True, True),
    ),
    "adam, eps before the correction": (
        lambda: jc.adam(schedule, 0.8, 0.95, 1e-3, eps_before_correction=True),
        lambda: numpy_adam_eps_hat(0.8, 0.95, 1e-3, 0.0),
    ),
    "adam, eps inside, before the correction": (
        lambda: jc.adam(schedule, 0.8, 0.95, 1e-3, eps_inside_sqrt=True, eps_before_correction=True),
        lambda: numpy_adam_eps_hat(0.8, 0.95, 0.0, 1e-3),
    ),
    "adam, two epsilons": (
        lambda: jc.adam(schedule, 0.8, 0.95, 1e-3, 1e-2),
        lambda: numpy_adam_two_epsilons(0.8, 0.95, 1e-3, 1e-2),
    ),
    "adagrad": (lambda: jc.adagrad(schedule, 1e-3), lambda: numpy_adagrad(1e-3, 0.0, False)),
    "adagrad, eps inside, from 0.1": (
        lambda: jc.adagrad(schedule, 1e-3, 0.1, eps_inside_sqrt=True),
        lambda: numpy_adagrad(1e-3, 0.1, True),
    ),
    "rmsprop": (
        lambda: jc.rmsprop(schedule, 0.85, 1e-3),
        lambda: numpy_rmsprop(0.85, 1e-3, 0.0, False, False, plain),
    ),
    "rmsprop, eps inside, from 1": (
        lambda: jc.rmsprop(schedule, 0.85, 1e-3, initial_accumulator=1.0, eps_inside_sqrt=True),
        lambda: numpy_rmsprop(0.85, 1e-3, 1.0, True, False, plain),
    ),
    "rmsprop, centred": (
        lambda: jc.rmsprop(schedule, 0.85, 1e-2, centred=True),
        lambda: numpy_rmsprop(0.85, 1e-2, 0.0, False, True, plain),
    ),
    "rmsprop, corrected": (
        lambda: jc.rmsprop(schedule, 0.85, 1e-3, bias_correction=True),
        lambda: numpy_rmsprop_corrected(0.85, 1e-3, 0.0, False),
    ),
    "rmsprop, centred and corrected": (  # the first variance is 0, up to rounding: a small eps would magnify that
        lambda: jc.rmsprop(schedule, 0.85, 1.0, centred=True, bias_correction=True, eps_inside_sqrt=True),
        lambda: numpy_rmsprop_corrected(0.85, 0.0, 1.0, True),
    ),
    "rmsprop, momentum": (
        lambda: jc.rmsprop(schedule, 0.85, 1e-3, 0.7),
        lambda: numpy_rmsprop(0.85, 1e-3, 0.0, False, False, lambda u, m, a: (0.7 * m + a * u,) * 2),
    ),
    "rmsprop, momentum, rate outside": (
        lambda: jc.rmsprop(schedule, 0.85, 1e-3, 0.7, rate_inside=False),
        lambda: numpy_rmsprop(0.85, 1e-3, 0.0, False, False, lambda u, m, a: (a * (0.7 * m + u), 0.7 * m + u)),
    ),
    "rmsprop, nesterov": (
        lambda: jc.rmsprop(schedule, 0.85, 1e-3, 0.7, nesterov=True),
        lambda: numpy_rmsprop(
            0.85, 1e-3, 0.0, False, False, lambda u, m, a: (a * u + 0.7 * (0.7 * m + a * u), 0.7 * m + a * u)
        ),
    ),
    "adadelta": (lambda: jc.adadelta(decay=0.85, eps=1e-4), lambda: numpy_adadelta(lambda t: 1.0, 0.85, 1e-4)),
    "adadelta with a rate": (lambda: jc.adadelta(schedule, 0.85, 1e-2), lambda: numpy_adadelta(rate, 0.85, 1e-2)),
    "adamax": (lambda: jc.adamax(schedule, 0.8, 0.95, 1e-3), lambda: numpy_adamax(0.8, 0.95, 1e-3, "denominator")),
    "adamax, eps in the maximum": (
        lambda: jc.adamax(schedule, 0.8, 0.95, 1e-3, eps_place="maximum"),
        lambda: numpy_adamax(0.8, 0.95, 1e-3, "maximum"),
    ),
    "nadam": (lambda: jc.nadam(schedule, 0.8, 0.95, 1e-3), lambda: numpy_nadam(0.8, 0.95, 1e-3, None)),
    "nadam with Dozat's schedule": (
        lambda: jc.nadam(schedule, 0.8, 0.95, 1e-3, 0.004),
        lambda: numpy_nadam(0.8, 0.95, 1e-3, 0.004),
    ),
    "amsgrad": (lambda: jc.amsgrad(schedule, 0.8, 0.7, 1e-3), lambda: numpy_amsgrad(0.8, 0.7, 1e-3, False, False)),
    "amsgrad, corrected": (
        lambda: jc.amsgrad(schedule, 0.8, 0.7, 1e-3, bias_correction=True),
        lambda: numpy_amsgrad(0.8, 0.7, 1e-3, True, False),
    ),
    "amsgrad, maximum after the correction": (
        lambda: jc.amsgrad(schedule, 0.8, 0.7, 1e-3, bias_correction=True, max_after_correction=True),
        lambda: numpy_amsgrad(0.8, 0.7, 1e-3, True, True),
    ),
    "amsgrad, eps before the correction": (
        lambda: jc.amsgrad(schedule, 0.8, 0.7, 1e-3, bias_correction=True, eps_before_correction=True),
        lambda: numpy_amsgrad_eps_hat(0.8, 0.7, 1e-3),
    ),
    "adamw": (lambda: jc.adamw(schedule, 0.8, 0.95, 1e-3, 0.2), lambda: numpy_adamw(0.8, 0.95, 1e-3, 0.2, True)),
    "adamw, decay apart": (
        lambda: jc.adamw(schedule, 0.8, 0.95, 1e-3, 0.01, decay_by_rate=False),
        lambda: numpy_adamw(0.8, 0.95, 1e-3, 0.01, False),
    ),
    "a chain of adam's kernel": (
        lambda: jc.chain(jc.scale_by_adam(0.8, 0.95, 1e-3), jc.scale_by_learning_rate(schedule)),
        lambda: numpy_adam(0.8, 0.95, 1e-3, True, False),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_trajectory_equals_the_equation(case):
    make, transcription = CASES[case]
    np.testing.assert_allclose(path(make()), np.array(list(transcription())), rtol=1e-12, atol=1e-13)


OPTAX = {
    "sgd": (lambda: jc.sgd(schedule), lambda: optax.sgd(schedule)),
    "momentum": (lambda: jc.momentum(schedule, 0.85, rate_inside=False), lambda: optax.sgd(schedule, momentum=0.85)),
    "nesterov": (
        lambda: jc.nesterov(schedule, 0.85, form="shifted", rate_inside=False),
        lambda: optax.sgd(schedule, momentum=0.85, nesterov=True),
    ),
    "adam": (lambda: jc.adam(schedule, 0.8, 0.95, 1e-3), lambda: optax.adam(schedule, 0.8, 0.95, 1e-3)),
    "adam, eps inside": (
        lambda: jc.adam(schedule, 0.8, 0.95, 1e-3, eps_inside_sqrt=True),
        lambda: optax.adam(schedule, 0.8, 0.95, eps=0.0, eps_root=1e-3),
    ),
    "adagrad": (
        lambda: jc.adagrad(schedule, 1e-3, 0.1, eps_inside_sqrt=True),
        lambda: optax.adagrad(schedule, 0.1, 1e-3),
    ),
    "rmsprop": (
        lambda: jc.rmsprop(schedule, 0.85, 1e-3, eps_inside_sqrt=True),
        lambda: optax.rmsprop(schedule, 0.85, 1e-3),
    ),
    "rmsprop, everything": (
        lambda: jc.rmsprop(schedule, 0.85, 1e-2, 0.7, 0.5, centred=True, nesterov=True, eps_inside_sqrt=True),
        lambda: optax.rmsprop(schedule, 0.85, 1e-2, 0.5, centered=True, momentum=0.7, nesterov=True),
    ),
    "adadelta": (lambda: jc.adadelta(schedule, 0.85, 1e-2), lambda: optax.adadelta(schedule, 0.85, 1e-2)),
    "adamax": (
        lambda: jc.adamax(schedule, 0.8, 0.95, 1e-3, eps_place="maximum"),
        lambda: optax.adamax(schedule, 0.8, 0.95, 1e-3),
    ),
    "nadam": (lambda: jc.nadam(schedule, 0.8, 0.95, 1e-3), lambda: optax.nadam(schedule, 0.8, 0.95, 1e-3)),
    "amsgrad": (
        lambda: jc.amsgrad(schedule, 0.8, 0.7, 1e-3, bias_correction=True, max_after_correction=True),
        lambda: optax.amsgrad(schedule, 0.8, 0.7, 1e-3),
    ),
    "adam, two epsilons": (
        lambda: jc.adam(schedule, 0.8, 0.95, 1e-3, 1e-2),
        lambda: optax.adam(schedule, 0.8, 0.95, 1e-3, eps_root=1e-2),
    ),
    "nadam, two epsilons": (
        lambda: jc.nadam(schedule, 0.8, 0.95, 1e-3, eps_root=1e-2),
        lambda: optax.nadam(schedule, 0.8, 0.95, 1e-3, eps_root=1e-2),
    ),
    "amsgrad, two epsilons": (
        lambda: jc.amsgrad(schedule, 0.8, 0.7, 1e-3, 1e-2, bias_correction=True, max_after_correction=True),
        lambda: optax.amsgrad(schedule, 0.8, 0.7, 1e-3, eps_root=1e-2),
    ),
    "rmsprop, centred and corrected": (
        lambda: jc.rmsprop(schedule, 0.85, 1.0, centred=True, bias_correction=True, eps_inside_sqrt=True),
        lambda: optax.rmsprop(schedule, 0.85, 1.0, centered=True, bias_correction=True),
    ),
    "adamw": (
        lambda: jc.adamw(schedule, 0.8, 0.95, 1e-3, 0.2),
        lambda: optax.adamw(schedule, 0.8, 0.95, 1e-3, weight_decay=0.2),
    ),
}


@pytest.mark.parametrize("case", OPTAX)
def test_trajectory_equals_optax(case):
    ours, theirs = OPTAX[case]
    np.testing.assert_allclose(path(ours()), path(theirs()), rtol=1e-12, atol=1e-13)


def test_shifted_form_is_the_lookahead_form_at_its_gradient_points():
    """[D3] φₜ = θₜ − μm, to rounding."""
    lookahead, shifted = jc.nesterov(schedule, 0.85), jc.nesterov(schedule, 0.85, form="shifted")
    theta = phi = jnp.asarray(THETA)
    state, shifted_state = lookahead.init(theta), shifted.init(phi)
    for noise in noises():
        at = jc.gradient_point(state, theta)
        np.testing.assert_allclose(at, phi, rtol=1e-12, atol=1e-13)
        g = jnp.asarray(gradient(np.asarray(at), noise))
        step, state = lookahead.update(g, state)
        theta = theta + step
        step, shifted_state = shifted.update(jnp.asarray(gradient(np.asarray(phi), noise)), shifted_state)
        phi = phi + step


def test_rate_inside_and_outside_agree_while_the_rate_is_constant_and_differ_when_it_changes():
    """[D1]"""
    constant = [path(jc.momentum(0.03, 0.85, rate_inside=inside)) for inside in (True, False)]
    np.testing.assert_allclose(*constant, rtol=1e-12)
    changing = [path(jc.momentum(schedule, 0.85, rate_inside=inside)) for inside in (True, False)]
    assert np.abs(changing[0] - changing[1]).max() > 1e-2


def test_momentum_on_a_constant_gradient_tends_to_the_geometric_sum():
    """[D2] the step tends to α∇f / (1 − μ)."""
    tx = jc.momentum(0.1, 0.9)
    state, step = tx.init(jnp.zeros(2)), None
    for _ in range(400):
        step, state = tx.update(jnp.array([2.0, -3.0]), state)
    np.testing.assert_allclose(step, [-2.0, 3.0], rtol=1e-12)


def test_a_variance_that_rounding_makes_negative_is_no_nan():
    """Centred RMSProp on a constant gradient: v̂ − m̂² is 0, up to rounding."""
    tx = jc.rmsprop(0.1, 0.9, 1e-8, centred=True, bias_correction=True)
    state = tx.init(jnp.zeros(100))
    g = jnp.linspace(-3.0, 7.0, 100)
    for _ in range(5):
        step, state = tx.update(g, state)
        assert jnp.isfinite(step).all()
