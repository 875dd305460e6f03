"""Each method equals its equation: an independent float64 NumPy transcription, and optax where it has the method."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc

STEPS = 200
THETA = np.array([1.5, -2.0, 0.7])
CURVATURE = np.array([1.0, 7.0, 0.3])


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def gradient(theta, noise):
    """Of a non-convex function: a quadratic and a wave, with noise."""
    return CURVATURE * theta + 0.3 * np.cos(3 * theta) + noise


def noises():
    return np.random.default_rng(7).normal(0, 0.1, (STEPS, 3))


def path(tx):
    theta, points = jnp.asarray(THETA), []
    state, update = tx.init(theta), jax.jit(tx.update)
    for noise in noises():
        at = np.asarray(jc.gradient_point(state, theta))
        step, state = update(jnp.asarray(gradient(at, noise)), state, theta)
        theta = optax.apply_updates(theta, step)
        points.append(np.asarray(theta))
    return np.array(points)


def rate(t):
    return 0.05 / (1 + 0.1 * t)


def numpy_sgd():
    theta = THETA.copy()
    for t, noise in enumerate(noises()):
        theta = theta - rate(t) * gradient(theta, noise)
        yield theta


def numpy_momentum(mu, inside):
    theta, m = THETA.copy(), np.zeros(3)
    for t, noise in enumerate(noises()):
        g = gradient(theta, noise)
        m = mu * m + (rate(t) * g if inside else g)
        theta = theta - (m if inside else rate(t) * m)
        yield theta


def numpy_dampened(mu, tau, inside, first):
    theta, m = THETA.copy(), np.zeros(3)
    for t, noise in enumerate(noises()):
        g = gradient(theta, noise) * (1 if t == 0 and not first else 1 - tau)
        m = mu * m + (rate(t) * g if inside else g)
        theta = theta - (m if inside else rate(t) * m)
        yield theta


def numpy_velocity(mu):
    """Lecture 000 writes v = −m."""
    x, v = THETA.copy(), np.zeros(3)
    for t, noise in enumerate(noises()):
        v = mu * v - rate(t) * gradient(x, noise)
        x = x + v
        yield x


def numpy_lookahead(mu):
    theta, m = THETA.copy(), np.zeros(3)
    for t, noise in enumerate(noises()):
        m = mu(t) * m + rate(t) * gradient(theta - mu(t) * m, noise)
        theta = theta - m
        yield theta


def numpy_shifted(mu, inside):
    phi, m = THETA.copy(), np.zeros(3)
    for t, noise in enumerate(noises()):
        g = gradient(phi, noise)
        m = mu * m + (rate(t) * g if inside else g)
        phi = phi - (rate(t) * g + mu * m if inside else rate(t) * (g + mu * m))
        yield phi


def numpy_adam(b1, b2, eps, corrected, inside):
    theta, m, v = THETA.copy(), np.zeros(3), np.zeros(3)
    for t, noise in enumerate(noises()):
        g = gradient(theta, noise)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        m_hat, v_hat = (m / (1 - b1 ** (t + 1)), v / (1 - b2 ** (t + 1))) if corrected else (m, v)
        theta = theta - rate(t) * m_hat / (np.sqrt(v_hat + eps) if inside else np.sqrt(v_hat) + eps)
        yield theta


def numpy_adam_eps_hat(b1, b2, eps, root):
    """Kingma & Ba, the end of section 2: the correction in the rate, ε̂ beside √v."""
    theta, m, v = THETA.copy(), np.zeros(3), np.zeros(3)
    for t, noise in enumerate(noises(), start=1):
        g = gradient(theta, noise)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        theta = theta - rate(t - 1) * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v + root) + eps)
        yield theta


def numpy_adam_two_epsilons(b1, b2, eps, root):
    theta, m, v = THETA.copy(), np.zeros(3), np.zeros(3)
    for t, noise in enumerate(noises(), start=1):
        g = gradient(theta, noise)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        theta = theta - rate(t - 1) * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t) + root) + eps)
        yield theta


def numpy_adagrad(eps, start, inside):
    theta, v = THETA.copy(), np.full(3, start)
    for t, noise in enumerate(noises()):
        g = gradient(theta, noise)
        v = v + g * g
        theta = theta - rate(t) * g / (np.sqrt(v + eps) if inside else np.sqrt(v) + eps)
        yield theta


def numpy_rmsprop(rho, eps, start, inside, centred, step):
    theta, v, mean, m = THETA.copy(), np.full(3, start), np.zeros(3), np.zeros(3)
    for t, noise in enumerate(noises()):
        g = gradient(theta, noise)
        v, mean = rho * v + (1 - rho) * g * g, rho * mean + (1 - rho) * g
        size = v - mean * mean if centred else v
        update, m = step(g / (np.sqrt(size + eps) if inside else np.sqrt(size) + eps), m, rate(t))
        theta = theta - update
        yield theta


def numpy_rmsprop_corrected(rho, eps, root, centred):
    theta, v, mean = THETA.copy(), np.zeros(3), np.zeros(3)
    for t, noise in enumerate(noises(), start=1):
        g = gradient(theta, noise)
        v, mean = rho * v + (1 - rho) * g * g, rho * mean + (1 - rho) * g
        size = v / (1 - rho**t) - centred * (mean / (1 - rho**t)) ** 2
        theta = theta - rate(t - 1) * g / (np.sqrt(size + root) + eps)
        yield theta


def plain(u, m, alpha):
    return alpha * u, m


def numpy_adadelta(alpha, rho, eps):
    theta, v, d = THETA.copy(), np.zeros(3), np.zeros(3)
    for t, noise in enumerate(noises()):
        g = gradient(theta, noise)
        v = rho * v + (1 - rho) * g * g
        delta = np.sqrt(d + eps) / np.sqrt(v + eps) * g
        d = rho * d + (1 - rho) * delta * delta
        theta = theta - alpha(t) * delta
        yield theta


def numpy_adamax(b1, b2, eps, place):
    theta, m, u = THETA.copy(), np.zeros(3), np.zeros(3)
    for t, noise in enumerate(noises()):
        g = gradient(theta, noise)
        m = b1 * m + (1 - b1) * g
        u = np.maximum(b2 * u, np.abs(g) + (eps if place == "maximum" else 0))
        theta = theta - rate(t) / (1 - b1 ** (t + 1)) * m / (u + (eps if place == "denominator" else 0))
        yield theta


def numpy_nadam(b1, b2, eps, psi):
    mu = lambda t: b1 if psi is None else b1 * (1 - 0.5 * 0.96 ** (t * psi))
    theta, m, v = THETA.copy(), np.zeros(3), np.zeros(3)
    for t, noise in enumerate(noises(), start=1):
        g = gradient(theta, noise)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        now = np.prod([mu(i) for i in range(1, t + 1)])
        m_bar = mu(t + 1) * m / (1 - now * mu(t + 1)) + (1 - mu(t)) * g / (1 - now)
        theta = theta - rate(t - 1) * m_bar / (np.sqrt(v / (1 - b2**t)) + eps)
        yield theta


def numpy_amsgrad(b1, b2, eps, corrected, after):
    theta, m, v, largest = THETA.copy(), np.zeros(3), np.zeros(3), np.zeros(3)
    for t, noise in enumerate(noises(), start=1):
        g = gradient(theta, noise)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        c1, c2 = (1 - b1**t, 1 - b2**t) if corrected else (1, 1)
        largest = np.maximum(largest, v / c2 if after else v)
        theta = theta - rate(t - 1) * (m / c1) / (np.sqrt(largest if after else largest / c2) + eps)
        yield theta


def numpy_amsgrad_eps_hat(b1, b2, eps):
    theta, m, v, largest = THETA.copy(), np.zeros(3), np.zeros(3), np.zeros(3)
    for t, noise in enumerate(noises(), start=1):
        g = gradient(theta, noise)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        largest = np.maximum(largest, v)
        theta = theta - rate(t - 1) * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(largest) + eps)
        yield theta


def numpy_adamw(b1, b2, eps, decay, by_rate):
    theta, m, v = THETA.copy(), np.zeros(3), np.zeros(3)
    for t, noise in enumerate(noises(), start=1):
        g = gradient(theta, noise)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        direction = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        theta = theta - rate(t - 1) * direction - (rate(t - 1) if by_rate else 1.0) * decay * theta
        yield theta


def schedule(step):
    return 0.05 / (1 + 0.1 * step)


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
