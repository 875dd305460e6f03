"""An optimizer's path is the sum of its gradients with these coefficients [D4]."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.optimizers import CATALOG
from jaxopt_course.theory import unroll

STEPS, ALPHA, LAM = 40, 0.1, 0.8
AGE = np.arange(STEPS)[:, None] - np.arange(STEPS)  # t − i
PAST = AGE >= 0
CURVATURE = jnp.array([1.0, 10.0, 3.0])
START = np.array([1.0, -0.5, 2.0])


def wavy(x):
    """Not convex, so that signs and sizes of gradients change."""
    return 0.5 * (CURVATURE * x**2).sum() + jnp.cos(3 * x).sum()


def closed(form):
    return np.where(PAST, form(np.where(PAST, AGE, 0)), 0.0)


HEAVY = closed(lambda age: ALPHA * (1 - LAM ** (age + 1)) / (1 - LAM))
SHIFTED = closed(lambda age: ALPHA * (1 - LAM ** (age + 2)) / (1 - LAM))


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (jc.sgd(ALPHA), closed(lambda age: ALPHA + 0.0 * age)),
        (jc.momentum(ALPHA, LAM), HEAVY),
        (jc.nesterov(ALPHA, LAM), HEAVY),
        (jc.nesterov(ALPHA, LAM, form="shifted"), SHIFTED),
        (optax.sgd(ALPHA, LAM), HEAVY),
        (optax.sgd(ALPHA, LAM, nesterov=True), SHIFTED),
    ],
    ids=["sgd", "momentum", "look-ahead", "shifted", "optax momentum", "optax nesterov"],
)
def test_closed_forms(optimizer, expected):
    np.testing.assert_allclose(unroll(optimizer, STEPS).gamma, expected, rtol=1e-12, atol=1e-15)


def settings():
    for name, entry in CATALOG.items():
        for i, setting in enumerate((entry.settings, *entry.variants)):
            yield pytest.param(entry, setting, id=f"{name}-{i}", marks=[pytest.mark.long] * (i > 0))


@pytest.mark.parametrize(("entry", "setting"), list(settings()))
def test_the_sum_is_the_path(entry, setting):
    """x⁽ᵗ⁺¹⁾ = cₜx⁽⁰⁾ − Σγg to 1e-12, for every optimizer of the catalog, along its own path."""
    held = (*entry.held, "mean") if setting.get("centred") else entry.held
    found = unroll(entry.factory(**setting), STEPS, function=wavy, start=START, held=held)
    np.testing.assert_allclose(found.sums, found.points[1:], rtol=1e-12, atol=1e-12)
    assert (found.gamma[~PAST] == 0).all()
    if setting.get("weight_decay", 0) == 0:
        np.testing.assert_allclose(found.start, 1.0, rtol=1e-12)
    assert np.abs(found.points[-1] - START).max() > 0.1


def test_adams_diagonal_is_its_equation():
    """γᵢᵗ = Σ_{s=i}^{t} α (1 − β₁) β₁^{s−i} / ((1 − β₁^{s+1}) (√v̂ₛ + ε)), with v̂ from the gradients in NumPy."""
    b1, b2, eps = 0.8, 0.95, 1e-3
    found = unroll(jc.adam(ALPHA, b1, b2, eps), STEPS, function=wavy, start=START, held=("v",))
    v, expected, weights = np.zeros(3), np.zeros((STEPS, STEPS, 3)), np.zeros((STEPS, 3))
    for t, g in enumerate(found.grads):
        v = b2 * v + (1 - b2) * g**2
        size = np.sqrt(v / (1 - b2 ** (t + 1))) + eps
        weights[: t + 1] += (1 - b1) * b1 ** (t - np.arange(t + 1))[:, None] / (1 - b1 ** (t + 1)) / size * ALPHA
        expected[t] = weights
    np.testing.assert_allclose(found.gamma, expected, rtol=1e-12, atol=1e-14)


def test_normalised_descent_divides_by_the_norm_of_all_coordinates():
    """γᵢᵗ = α/(‖gᵢ‖ + ε), one number for all coordinates, which the norm couples: here from the gradients in NumPy."""
    found = unroll(jc.normalized_sgd(0.03, eps=0.2), STEPS, function=wavy, start=START, held=("norm",))
    expected = 0.03 / (np.sqrt((found.grads**2).sum(axis=1)) + 0.2)
    np.testing.assert_allclose(found.gamma, (PAST * expected)[..., None] * np.ones(3), rtol=1e-12)
    assert np.ptp(expected) > 0.01  # the gradients' lengths differ


@pytest.mark.parametrize(
    ("optimizer", "held"),
    [(optax.adam(0.1), ("nu",)), (optax.rmsprop(0.01), ("nu",)), (optax.adagrad(0.1), ("sum_of_squares",))],
    ids=["adam", "rmsprop", "adagrad"],
)
def test_foreign_optimizers(optimizer, held):
    found = unroll(optimizer, STEPS, function=wavy, start=START, held=held)
    np.testing.assert_allclose(found.sums, found.points[1:], rtol=1e-12, atol=1e-12)


def test_given_gradients_are_used():
    grads = np.random.default_rng(0).normal(size=(STEPS, 3))
    found = unroll(jc.momentum(ALPHA, LAM), STEPS, grads=grads, start=START)
    x, m = START, 0.0
    for g, point in zip(grads, found.points[1:], strict=True):
        m = LAM * m + ALPHA * g
        x = x - m
        np.testing.assert_allclose(point, x, rtol=1e-12)


@pytest.mark.parametrize("name", [name for name, entry in CATALOG.items() if entry.held])
def test_plain_differentiation_is_refused(name):
    """Held fields are needed: without them the sum misses the path, which is found out."""
    entry = CATALOG[name]
    with pytest.raises(ValueError, match="this optimizer is not linear in them"):
        unroll(entry.factory(**entry.settings), 20, function=wavy, start=START)


@pytest.mark.parametrize(
    ("optimizer", "held", "hint"),
    [
        (jc.adam(0.1), (), "hold only what the step is divided by, second moments or a norm; the state has: m, v$"),
        (jc.adam(0.1), ("m", "v"), "hold only what the step is divided by, second moments or a norm; the state has: m, v$"),
        (jc.normalized_sgd(0.1), (), "second moments or a norm; the state has: norm$"),
        (optax.normalize_by_update_norm(0.1), (), "its state has nothing to hold$"),
    ],
)
def test_what_is_not_linear_is_told_what_to_hold(optimizer, held, hint):
    with pytest.raises(ValueError, match=hint):
        unroll(optimizer, 5, function=wavy, start=START, held=held)


def then(function):
    return optax.chain(optax.stateless(lambda g, _: function(g)), optax.scale(-0.1))


@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [
        (then(lambda g: jnp.array([[2.0, 1.0], [1.0, 3.0]]) @ g), {"start": [0.0, 0.0]}),
        (then(lambda g: g - g.mean()), {"start": [0.0, 0.0]}),
        (optax.chain(optax.clip(500.0), optax.sgd(0.1)), {}),
        (then(lambda g: jnp.maximum(g, 0)), {"grads": [1.0, -1.0, 2.0]}),
        (then(jnp.abs), {"grads": [1.0, 1.0, 2.0]}),
    ],
    ids=["matrix", "mean", "clip", "relu", "abs"],
)
def test_no_gradients_hide_what_is_not_linear_or_mixes_parameters(optimizer, arguments):
    with pytest.raises(ValueError, match=r"is not linear in them, or mixes parameters, with held=\(\)"):
        unroll(optimizer, 3, **arguments)


def test_a_mixture_is_found_where_the_sum_cannot_tell():
    """With equal gradients in all coordinates the rows' sums are all there is."""
    mixed = then(lambda g: jnp.array([[2.0, 1.0], [1.0, 2.0]]) @ g)
    with pytest.raises(ValueError, match="does not treat parameters one by one: other gradients change the path"):
        unroll(mixed, 3, start=[1.0, 1.0], function=lambda x: (x**2).sum())


def test_a_state_that_contains_the_start_is_differentiated_too():
    """Schedule-free descent, of constant weights: xₜ₊₁ = xₜ + (zₜ₊₁ − xₜ)/(t + 1), and y between them is the path."""
    grads = np.array([1.0, -1.0, 2.0, 0.5])
    found = unroll(optax.contrib.schedule_free_sgd(0.1, b1=0.9), 4, start=1.5, grads=grads)
    z = 1.5 - 0.1 * np.cumsum(grads)
    x = np.cumsum(z) / np.arange(1, 5)
    np.testing.assert_allclose(found.points[1:], 0.1 * z + 0.9 * x, rtol=1e-12)
    np.testing.assert_allclose(found.sums, found.points[1:], rtol=1e-14)
    np.testing.assert_allclose(found.start, 1.0, rtol=1e-14)


def test_small_steps_far_away_are_linear():
    np.testing.assert_allclose(unroll(jc.sgd(0.1), 3, start=1e9, grads=[1.0, 2.0, 3.0]).gamma, 0.1 * np.tri(3), rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"held": ("w",)}, ValueError, r"no field 'w'.*\(known: m, v\)"),
        ({"held": "v"}, TypeError, "must be a list of names; got 'v'"),
        ({"steps": 0}, ValueError, "steps"),
        ({"optimizer": jc.sgd}, TypeError, r"unroll: optimizer must be .*\(call the factory"),
        ({"function": "a"}, TypeError, "function must be a function of a point, or None; got 'a'"),
        ({"function": jnp.sin, "start": [1.0, 2.0]}, ValueError, r"function must return a scalar; .* it returns \(2,\)"),
        ({"grads": np.ones((3, 2))}, ValueError, r"grads must have shape \(5,\)"),
        ({"grads": np.ones(5), "function": jnp.sum}, ValueError, "not both"),
        ({"grads": [1, np.nan, 2, 3, 4]}, ValueError, r"grads must be finite numbers; got \[ 1\. nan"),
        ({"grads": "abc"}, TypeError, "grads must be finite numbers; got 'abc'"),
        ({"start": np.inf}, ValueError, "start must be finite numbers; got inf"),
        ({"function": lambda x: jnp.sqrt(x + 0.15)}, ValueError, "of step 2 is not finite"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=message):
        unroll(**{"optimizer": jc.adam(0.1), "steps": 5, **arguments})
