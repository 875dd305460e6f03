"""Flax modules in both modes, with batch statistics and dropout: as models, and given back trained."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxopt_course import problems
from jaxopt_course.problems import models
from tests.problems.nets import FLAX, KEY, LinenNet, NNXNet, X, inputs


@pytest.fixture(params=FLAX, scope="module")
def flax_model(request):
    model, x = FLAX[request.param](), inputs(request.param)
    return model, x, *model.init(KEY, x[:1])


def test_training_moves_batch_statistics_and_evaluation_reads_them(flax_model):
    model, x, params, state = flax_model
    _, moved = model.apply(params, state, x, key=KEY, train=True)
    outputs, kept = model.apply(params, moved, x)
    assert jax.tree.structure(moved) == jax.tree.structure(state)
    assert not any(jnp.array_equal(a, b) for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(state), strict=True))
    assert kept is moved
    assert not jnp.allclose(outputs, model.apply(params, state, x)[0])
    assert jnp.allclose(outputs[:2], model.apply(params, moved, x[:2])[0], atol=1e-6)  # no longer coupled


def test_batch_statistics_are_running_means_of_the_batch():
    model = models.from_nnx(NNXNet)
    params, state = model.init(KEY, X[:1])
    _, moved = model.apply(params, state, X, key=KEY, train=True)
    hidden = X @ np.asarray(params["first"]["kernel"])
    np.testing.assert_allclose(moved["norm"]["mean"], 0.5 * hidden.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(moved["norm"]["var"], 0.5 + 0.5 * hidden.var(axis=0), rtol=1e-5, atol=1e-6)


def test_dropout_follows_the_key_in_training_and_is_off_in_evaluation(flax_model):
    model, x, params, state = flax_model

    def outputs(seed, train):
        return model.apply(params, state, x, key=jax.random.key(seed), train=train)[0]

    assert jnp.array_equal(outputs(1, True), outputs(1, True))
    assert not jnp.array_equal(outputs(1, True), outputs(2, True))
    assert jnp.array_equal(outputs(1, False), outputs(2, False))
    assert jnp.array_equal(outputs(1, False), model.apply(params, state, x)[0])


@pytest.mark.long
def test_flax_models_train_inside_scan_grad_and_vmap(flax_model):
    model, x, params, state = flax_model
    labels = jnp.array([0, 2, 1, 1, 0, 2])

    def loss(params, state, key):
        outputs, state = model.apply(params, state, x, key=key, train=True)
        return problems.losses.cross_entropy(outputs, {"y": labels}).mean(), state

    def step(carry, key):
        (value, state), grads = jax.value_and_grad(loss, has_aux=True)(*carry, key)
        return (jax.tree.map(lambda p, g: p - 0.1 * g, carry[0], grads), state), value

    def train(keys):
        return jax.lax.scan(step, (params, state), keys)

    keys = jax.random.split(KEY, (2, 3))
    (population, _), values = jax.jit(jax.vmap(train))(keys)
    (alone, _), _ = jax.jit(train)(keys[1])
    assert values.shape == (2, 3)
    assert jnp.isfinite(values).all()
    assert not jnp.array_equal(values[0], values[1])
    for a, b in zip(jax.tree.leaves(population), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(a[1], b, rtol=1e-4, atol=1e-5)


def test_raw_keys_do_as_well_as_typed_ones(flax_model):
    model, x, params, state = flax_model
    typed, raw = (model.apply(params, state, x, key=key, train=True)[0] for key in (KEY, jax.random.key_data(KEY)))
    assert jnp.array_equal(typed, raw)


def test_the_module_given_back_predicts_the_same(flax_model):
    model, x, params, state = flax_model
    _, moved = model.apply(params, state, x, key=KEY, train=True)
    module = model.module(params, moved)
    expected = model.apply(params, moved, x)[0]
    if isinstance(module, nnx.Module):
        assert jnp.array_equal(module(x), expected)
        module.train()
        module(x)  # a module of one's own: training it changes nothing here
        assert jnp.array_equal(model.apply(params, moved, x)[0], expected)
    else:
        assert isinstance(module, linen.Module)
        np.testing.assert_allclose(module(x, train=False), expected, rtol=1e-5)


def test_an_nnx_module_starts_from_its_own_parameters_and_is_not_changed():
    module = NNXNet(rngs=nnx.Rngs(9))
    before = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    model = models.from_nnx(module)
    params, state = model.init(KEY, X[:1])
    assert all(jnp.array_equal(a, b) for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(before), strict=True))
    model.apply(params, state, X, key=KEY, train=True)
    assert not module.norm.mean[...].any()
    assert model == model
    assert model != models.from_nnx(module)


def test_nnx_training_with_dropout_and_no_key_is_refused():
    model = models.from_nnx(NNXNet)
    params, state = model.init(KEY, X[:1])
    with pytest.raises(ValueError, match="key must be given to train"):
        model.apply(params, state, X, train=True)


@pytest.mark.parametrize("argument", ["train", "training", "is_training", "deterministic"])
def test_linen_modules_are_told_the_mode_by_the_name_they_use(argument):
    source = f"def __call__(self, x, {argument}):\n    return x + jnp.where({argument}, 1.0, 0.0)"
    namespace = {"jnp": jnp}
    exec(source, namespace)
    module = type("Net", (linen.Module,), {"__call__": namespace["__call__"]})()
    in_training = models.from_linen(module).apply({}, {}, jnp.zeros(2), key=KEY, train=True)[0]
    assert in_training.tolist() == [0.0 if argument == "deterministic" else 1.0] * 2


def test_flax_modules_and_nnx_classes_are_models_as_they_are():
    assert models.as_model("here", LinenNet(), 3) == models.from_linen(LinenNet())
    assert models.as_model("here", NNXNet, 3) == models.from_nnx(NNXNet)
    assert models.as_model("here", models.logistic(), 3) is not None


def test_flax_is_not_loaded_before_it_is_needed():
    program = (
        "import sys, jaxopt_course.problems as p; p.digits('mlp').init; p.linear_regression()\n"
        "assert not {'flax', 'pooch', 'xarray', 'sklearn'} & set(sys.modules)\n"
        "p.models.convnet; assert 'flax' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
