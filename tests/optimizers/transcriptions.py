"""The methods' equations in float64 NumPy, on one noisy non-convex problem: the paths that ours must equal."""

import numpy as np

STEPS = 200
THETA = np.array([1.5, -2.0, 0.7])
CURVATURE = np.array([1.0, 7.0, 0.3])


def gradient(theta, noise):
    """Of a non-convex function: a quadratic and a wave, with noise."""
    return CURVATURE * theta + 0.3 * np.cos(3 * theta) + noise


def noises():
    return np.random.default_rng(7).normal(0, 0.1, (STEPS, 3))


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
