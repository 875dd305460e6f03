"""What no stored trajectory shows: numbers that are off or traced, masks, schedules, and the papers' own letters."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc

D = jc.dialects


def test_a_number_that_is_off_costs_no_state():
    params = jnp.zeros(3)
    plain = jax.tree.structure(jc.sgd(0.1).init(params))
    for tx in (D.torch.sgd(0.1), D.torch.sgd(0.1, momentum=0.0), D.keras.sgd(), D.optax.sgd(0.1)):
        assert jax.tree.structure(tx.init(params)) == plain
    assert D.torch.sgd(0.1, 0.9).update == jc.momentum(0.1, rate_inside=False).update
    leaves = len(jax.tree.leaves(D.torch.sgd(0.1, 0.9).init(params)))
    assert len(jax.tree.leaves(D.torch.sgd(0.1, 0.9, dampening=0.5).init(params))) == leaves + 2  # τ and the step
    assert "weight_decay" not in jc.hyperparams(D.torch.adam().init(params))
    assert "weight_decay" not in jc.hyperparams(D.torch.asgd(lambd=0).init(params))


def test_a_traced_number_is_on():
    """Momentum and decay may be swept through 0: there is a buffer at 0 too."""

    def end(momentum, decay):
        tx, params = D.torch.sgd(0.1, momentum, weight_decay=decay), jnp.array([1.0, -2.0])
        state = tx.init(params)
        for _ in range(3):
            updates, state = tx.update(params, state, params)
            params = optax.apply_updates(params, updates)
        return params

    swept = jax.vmap(end)(jnp.array([0.0, 0.5]), jnp.array([0.0, 0.3]))
    np.testing.assert_allclose(swept[0], jnp.array([1.0, -2.0]) * 0.9**3, rtol=1e-6)
    np.testing.assert_allclose(swept[1], end(0.5, 0.3), rtol=1e-6)


def test_optaxs_mask_says_what_decays():
    params = {"w": jnp.array([2.0, -1.0]), "b": jnp.array([4.0])}
    tree = {"w": True, "b": False}
    for name, mask in itertools.product(("adamw", "nadamw", "adamaxw"), (tree, lambda params: tree)):
        ours, theirs = (getattr(home, name)(0.1, weight_decay=0.5, mask=mask) for home in (D.optax, optax))
        steps = [tx.update(params, tx.init(params), params)[0] for tx in (ours, theirs)]
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *steps)


def test_equal_masks_are_one_program():
    one, same, other = (D.optax.adamw(0.1, mask={"w": w, "b": False}) for w in (True, np.bool_(True), False))
    assert one.update == same.update
    assert one.update != other.update


def test_rates_may_be_schedules_everywhere():
    """torch's lr_decay divides a schedule, too."""
    tx = D.torch.adagrad(jc.schedules.linear(0.4, 0.0, 4), lr_decay=0.5)
    state = tx.init(jnp.zeros(1))
    for step in range(3):
        _, state = tx.update(jnp.ones(1), state)
        rate = jc.hyperparams(state)["learning_rate"]
        assert float(rate) == pytest.approx(0.4 * (1 - step / 4) / (1 + 0.5 * step), rel=1e-6)


def test_torchs_averages_are_of_the_steps_after_t0_and_its_decays_add_up():
    """θ ← θ − η((λ + λ′)θ + g), with η, λ and λ′ of one; a schedule scales the second."""
    tx, theta = D.torch.asgd(0.5, 0.2, 1.0, t0=1, weight_decay=jc.schedules.linear(0.4, 0.0, 2)), jnp.array([8.0])
    state, steps, seen = tx.init(theta), [], []
    for _ in range(4):
        updates, state = tx.update(jnp.zeros(1), state, theta)
        theta = theta + updates
        steps.append(float(theta[0]))
        seen.append(float(jc.eval_params(state, theta)[0]))
    expected = [8.0]
    for t in range(4):
        expected.append(expected[-1] * (1 - 0.5 / (1 + 0.1 * t) * (0.2 + max(0.4 - 0.2 * t, 0.0))))
    np.testing.assert_allclose(steps, expected[1:], rtol=1e-6)
    np.testing.assert_allclose(seen, [*expected[1:4], np.mean(expected[3:])], rtol=1e-6)


def test_papers_adamw_scales_both_by_the_schedule_and_the_gradient_by_alpha():
    """θ ← θ − ηₜ(α m̂ / (√v̂ + ε) + λθ), against NumPy in float64."""
    eta, gradient = jc.schedules.linear(1.0, 0.2, 5), np.array([2.0, -0.5])
    with jax.enable_x64(True):
        tx = D.paper.adamw(0.1, 0.8, 0.95, 1e-3, 0.3, eta)
        theta = jnp.array([1.5, -2.0])
        state, m, v, expected = tx.init(theta), 0.0, 0.0, np.array([1.5, -2.0])
        for t in range(7):
            g = gradient * (1 + t)
            updates, state = tx.update(jnp.asarray(g), state, theta)
            theta = theta + updates
            m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
            direction = m / (1 - 0.8 ** (t + 1)) / (np.sqrt(v / (1 - 0.95 ** (t + 1))) + 1e-3)
            expected = expected - (1 - 0.8 * min(t / 5, 1)) * (0.1 * direction + 0.3 * expected)
        np.testing.assert_allclose(theta, expected, rtol=1e-13)


PAPERS = {
    "sgd": lambda: (D.paper.sgd(0.3), jc.sgd(0.3)),
    "momentum": lambda: (D.paper.momentum(0.3, beta=0.8), jc.momentum(0.3, 0.8)),
    "nesterov": lambda: (D.paper.nesterov(0.3, mu=0.8), jc.nesterov(0.3, 0.8)),
    "adagrad": lambda: (D.paper.adagrad(0.3, delta=0.1), jc.adagrad(0.3, 0.1)),
    "rmsprop": lambda: (D.paper.rmsprop(0.3, rho=0.8, epsilon=0.1), jc.rmsprop(0.3, 0.8, 0.1)),
    "adadelta": lambda: (D.paper.adadelta(rho=0.8, epsilon=0.1), jc.adadelta(None, 0.8, 0.1)),
    "adam": lambda: (D.paper.adam(0.3, beta1=0.7, beta2=0.8, epsilon=0.1), jc.adam(0.3, 0.7, 0.8, 0.1)),
    "adamax": lambda: (D.paper.adamax(0.3, beta1=0.7, beta2=0.8, epsilon=0.1), jc.adamax(0.3, 0.7, 0.8, 0.1)),
    "nadam": lambda: (D.paper.nadam(0.3, mu=0.7, nu=0.8, epsilon=0.1, psi=0.2), jc.nadam(0.3, 0.7, 0.8, 0.1, 0.2)),
    "amsgrad": lambda: (D.paper.amsgrad(0.3, beta1=0.7, beta2=0.8, epsilon=0.1), jc.amsgrad(0.3, 0.7, 0.8, 0.1)),
}


@pytest.mark.parametrize("name", PAPERS)
def test_papers_method_is_ours_in_the_papers_letters(name):
    """Ours are held to their equations elsewhere."""
    theirs, ours = PAPERS[name]()
    assert theirs.update == ours.update
    numbers, expected = (tx.init(jnp.zeros(2)).hyperparams for tx in (theirs, ours))
    assert {k: v is None or float(v) for k, v in numbers.items()} == {k: v is None or float(v) for k, v in expected.items()}
