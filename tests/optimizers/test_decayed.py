"""Weight decay for any optimizer, against NumPy; and ε's and momentum's keywords that contradict each other."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.testing import check_optimizer

THETA, GRADIENT = np.array([1.5, -2.0]), np.array([0.8, 0.3])


def rate(step):
    return 0.1 / (1 + 0.5 * step)


def walk(tx, steps=30):
    with jax.enable_x64(True):
        theta = jnp.asarray(THETA)
        state, update = tx.init(theta), jax.jit(tx.update)
        for t in range(steps):
            step, state = update(jnp.asarray(GRADIENT * np.cos(t)), state, theta)
            theta = theta + step
        return np.asarray(theta)


def numpy_momentum(mu, decay, coupled=False, by_rate=True, steps=30):
    theta, m = THETA.copy(), np.zeros(2)
    for t in range(steps):
        g = GRADIENT * np.cos(t) + (decay * theta if coupled else 0)
        m = mu * m + rate(t) * g
        theta = theta - m - (0 if coupled else (rate(t) if by_rate else 1) * decay * theta)
    return theta


FORMS = {
    "decoupled": ({}, {}),
    "decoupled, apart from the rate": ({"decay_by_rate": False}, {"by_rate": False}),
    "coupled": ({"decoupled": False}, {"coupled": True}),
}


@pytest.mark.parametrize("form", FORMS)
def test_decay_equals_its_equation(form):
    ours, theirs = FORMS[form]
    tx = jc.decayed(jc.momentum)(rate, 0.8, weight_decay=0.05, **ours)
    np.testing.assert_allclose(walk(tx), numpy_momentum(0.8, 0.05, **theirs), rtol=1e-13)


def test_decoupled_adam_is_adamw():
    adamw = jc.adamw(rate, 0.8, 0.95, 1e-3, 0.2)
    np.testing.assert_allclose(walk(jc.decayed(jc.adam)(rate, 0.8, 0.95, 1e-3, weight_decay=0.2)), walk(adamw), rtol=1e-13)


def test_of_gradient_descent_coupled_and_decoupled_are_one_and_of_adam_two():
    paths = [walk(jc.decayed(f)(rate, weight_decay=0.3, decoupled=d)) for f in (jc.sgd, jc.adam) for d in (True, False)]
    np.testing.assert_allclose(paths[0], paths[1], rtol=1e-13)
    assert np.abs(paths[2] - paths[3]).min() > 1e-3


def test_adadelta_without_a_rate_decays_by_one():
    np.testing.assert_allclose(
        walk(jc.decayed(jc.adadelta)(weight_decay=0.05)),
        walk(jc.decayed(jc.adadelta)(1.0, weight_decay=0.05)),
        rtol=1e-13,
    )


@pytest.mark.parametrize("only_w", [{"w": True, "b": False}, lambda params: {"w": True, "b": False}])
def test_mask_says_what_decays(only_w):
    params = {"w": jnp.array([2.0]), "b": jnp.array([4.0])}
    tx = jc.decayed(jc.sgd)(0.1, weight_decay=0.5, mask=only_w)
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    assert (float(updates["w"][0]), float(updates["b"][0])) == (pytest.approx(-0.1), 0.0)


@pytest.mark.parametrize("bad", [3, "w", {"w": 1}, {}])
def test_a_mask_that_is_none_is_refused(bad):
    with pytest.raises(
        TypeError, match=r"^sgd: mask must be a tree of booleans, or a function from the parameters to one; got "
    ):
        jc.decayed(jc.sgd)(0.1, mask=bad)


def test_equal_masks_are_one_program():
    make = lambda rate: jc.decayed(jc.sgd)(rate, mask={"w": True, "b": False})
    assert make(0.1).update == make(0.2).update


def test_decay_is_a_hyperparameter_in_the_state():
    tx = jc.decayed(jc.adam)(0.1, weight_decay=jc.schedules.linear(0.2, 0.0, 10))
    state = tx.init(jnp.zeros(2))
    assert float(jc.hyperparams(state)["weight_decay"]) == pytest.approx(0.2)
    assert jc.decayed(jc.adam)(0.1, weight_decay=0.1).update == jc.decayed(jc.adam)(0.3, weight_decay=0.2).update
    assert jc.decayed(jc.adam) is jc.decayed(jc.adam)


@pytest.mark.long
def test_a_coupled_decay_obeys_the_laws():
    """A decoupled one is adamw's, a row of the catalog."""
    check_optimizer(jc.decayed(jc.sgd)(0.1, weight_decay=0.01, decoupled=False))


def test_signature_is_the_factorys_and_four_more():
    names = list(inspect.signature(jc.decayed(jc.sgd)).parameters)
    assert names == ["learning_rate", "weight_decay", "decoupled", "decay_by_rate", "mask"]


BAD = {
    "negative decay": (lambda: jc.decayed(jc.sgd)(0.1, weight_decay=-1.0), ValueError, "weight_decay must be .*got -1.0"),
    "coupled apart from the rate": (
        lambda: jc.decayed(jc.sgd)(0.1, decoupled=False, decay_by_rate=False),
        ValueError,
        "sgd: decay_by_rate=False needs decoupled=True",
    ),
    "a foreign factory": (lambda: jc.decayed(optax.sgd), TypeError, "needs a factory made by jc.optimizer.*got sgd"),
    "no rate": (lambda: jc.decayed(jc.scale_by_adam), TypeError, "with a learning_rate; got scale_by_adam"),
    "two decays": (lambda: jc.decayed(jc.adamw), TypeError, "adamw has a weight_decay of its own"),
    "a first step that is not dampened, of none": (
        lambda: jc.momentum(0.1, dampen_first=False),
        ValueError,
        "dampen_first=False needs a dampening; got dampening=None",
    ),
    "dampening above 1": (lambda: jc.momentum(0.1, 0.9, 1.5), ValueError, r"dampening must be a number in \[0, 1\]; got 1.5"),
    "two epsilons under the root": (
        lambda: jc.adam(0.1, eps_root=0.1, eps_inside_sqrt=True),
        ValueError,
        "give eps_root or that, not both",
    ),
    "a negative epsilon": (lambda: jc.nadam(0.1, eps_root=-0.1), ValueError, "eps_root must be a number >= 0; got -0.1"),
    "before no correction": (
        lambda: jc.adam(0.1, bias_correction=False, eps_before_correction=True),
        ValueError,
        "eps_before_correction=True needs bias_correction=True",
    ),
    "before no correction, amsgrad": (
        lambda: jc.scale_by_amsgrad(eps_before_correction=True),
        ValueError,
        "eps_before_correction=True needs bias_correction=True",
    ),
    "before a correction that was": (
        lambda: jc.amsgrad(0.1, bias_correction=True, max_after_correction=True, eps_before_correction=True),
        ValueError,
        "leaves no place for eps before the correction",
    ),
    "Nesterov's momentum, of none": (
        lambda: jc.rmsprop(0.1, nesterov=True),
        ValueError,
        r"rmsprop: nesterov=True needs a momentum in \[0, 1\]; got momentum=None",
    ),
    "a rate outside no momentum": (
        lambda: jc.rmsprop(0.1, rate_inside=False),
        ValueError,
        r"rmsprop: rate_inside=False needs a momentum in \[0, 1\]; got momentum=None",
    ),
    "an average with nothing to correct": (
        lambda: jc.averaged(jc.sgd(0.1), bias_correction=False),
        ValueError,
        r"averaged: bias_correction=False needs a decay in \[0, 1\); got decay=None",
    ),
    "an average of SGD with nothing to correct": (
        lambda: jc.averaged_sgd(0.1, start=3, bias_correction=False),
        ValueError,
        r"^averaged_sgd: bias_correction=False needs a decay in \[0, 1\); got decay=None",
    ),
    "a decay apart from no rate": (
        lambda: jc.decayed(jc.adadelta)(decay_by_rate=False),
        ValueError,
        "adadelta: decay_by_rate=False needs a learning_rate .*; got None",
    ),
    "a growth of cold starts": (
        lambda: jc.line_search(jc.linesearch.armijo(), growth=1.5, warm_start=False),
        ValueError,
        "line_search: growth=1.5 needs warm_start=True",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_contradictions_are_refused(case):
    call, error, message = BAD[case]
    with pytest.raises(error, match=message):
        call()


def test_what_is_off_is_not_in_the_state():
    """A dialect's keyword costs nothing where it is not used."""
    params = jnp.zeros(3)
    size = lambda tx: len(jax.tree.leaves(tx.init(params)))
    assert size(jc.momentum(0.1)) == 3  # m, α, μ
    assert size(jc.momentum(0.1, dampening=0.5)) == 4
    assert size(jc.momentum(0.1, dampening=0.5, dampen_first=False)) == 5
    assert size(jc.scale_by_rmsprop(bias_correction=True)) == size(jc.scale_by_rmsprop()) + 1
    assert size(jc.scale_by_rmsprop(centred=True)) == size(jc.scale_by_rmsprop()) + 1
    assert size(jc.adam(0.1, eps_before_correction=True)) == size(jc.adam(0.1))


@pytest.mark.parametrize("dtype", ["flot", "int32", 3])
def test_accumulators_are_floating_point(dtype):
    for make in (jc.adam, jc.momentum, jc.rmsprop, jc.averaged_sgd, jc.scale_by_nadam):
        with pytest.raises(TypeError, match=f"accumulator_dtype must be a floating-point dtype.*; got {dtype!r}"):
            make(0.1, accumulator_dtype=dtype)


def test_what_is_no_factory_or_no_tree_of_arrays_is_refused():
    with pytest.raises(TypeError, match=r"decayed: needs a factory.*got \[1\]"):
        jc.decayed([1])
    with pytest.raises(TypeError, match=r"adam.init: parameters must be arrays; \['a'\] is 'x'"):
        jc.adam(0.1).init({"a": "x"})


def test_a_foreign_factory_that_was_injected_decays_as_ours():
    params = jnp.array([1.0, -2.0])
    ours, theirs = (jc.decayed(factory)(0.1, weight_decay=0.5) for factory in (jc.adam, jc.inject(optax.adam)))
    np.testing.assert_allclose(*[tx.update(params, tx.init(params), params)[0] for tx in (ours, theirs)], rtol=1e-6)
