"""What every model promises; dense stacks against NumPy and scikit-learn, and the derivatives of their products."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.neural_network
from flax import nnx

from jaxopt_course.problems import models
from tests.problems.nets import FLAX, KEY, LinenNet, NNXNet, X, inputs

EVERY = {
    "linear": lambda: models.linear(2),
    "logistic": models.logistic,
    "softmax": lambda: models.softmax(3),
    "mlp": lambda: models.mlp((5, 4), 3, "tanh"),
    **FLAX,
}


@pytest.mark.parametrize("name", EVERY)
def test_models_built_alike_are_equal_and_share_compiled_code(name):
    first, second, x = EVERY[name](), EVERY[name](), inputs(name)
    assert first == second
    assert hash(first) == hash(second)
    assert first != models.mlp((99,), 3)
    traces = []

    def outputs(model, params, state):
        traces.append(model)
        return model.apply(params, state, x, key=KEY, train=True)[0]

    compiled = jax.jit(outputs, static_argnums=0)
    compiled(first, *first.init(KEY, x[:1]))
    compiled(second, *second.init(KEY, x[:1]))
    assert len(traces) == 1


@pytest.mark.parametrize("name", EVERY)
def test_models_satisfy_the_protocol_and_depend_on_the_key(name):
    model, x = EVERY[name](), inputs(name)
    assert isinstance(model, models.Model)
    (params, state), (others, _) = (model.init(jax.random.key(seed), x[:1]) for seed in (0, 1))
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves((params, state)))
    assert not all(jnp.array_equal(a, b) for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(others), strict=True))
    assert model.apply(params, state, x)[0].shape == {"linear": (6, 2), "logistic": (6,)}.get(name, (6, 3))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_mlp_is_scikit_learns(activation):
    model = models.mlp((5, 7), 3, activation)
    params, _ = model.init(KEY, jnp.asarray(X[:1]))
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)  # biases that are not zero
    other = sklearn.neural_network.MLPRegressor(hidden_layer_sizes=(5, 7), activation=activation)
    other.partial_fit(X, np.zeros((6, 3)))
    other.coefs_ = [np.asarray(layer["kernel"]) for layer in params.values()]
    other.intercepts_ = [np.asarray(layer["bias"]) for layer in params.values()]
    np.testing.assert_allclose(model.apply(params, {}, X)[0], other.predict(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("activation", "bounds"), [("relu", (np.sqrt(6 / 64), np.sqrt(6 / 500))), ("tanh", (np.sqrt(6 / 364), np.sqrt(6 / 500)))]
)
def test_kernels_start_uniform_within_he_or_glorot_bounds_and_biases_at_zero(activation, bounds):
    params, _ = models.mlp((300,), 200, activation).init(KEY, jnp.zeros((1, 8, 8)))
    for layer, bound in zip(params.values(), bounds, strict=True):
        kernel = np.asarray(layer["kernel"])
        assert not layer["bias"].any()
        assert np.abs(kernel).max() == pytest.approx(bound, rel=1e-3)
        assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)
        assert kernel.mean() == pytest.approx(0, abs=0.02 * bound)


def test_dense_parameters_are_named_nested_dicts():
    params, state = models.mlp((5,), 3).init(KEY, jnp.zeros((1, 2, 2, 3)))
    shapes = {"dense0": {"kernel": (12, 5), "bias": (5,)}, "dense1": {"kernel": (5, 3), "bias": (3,)}}
    assert (jax.tree.map(jnp.shape, params), state) == (shapes, {})


@pytest.mark.parametrize("name", EVERY)
def test_bytes_are_read_as_fractions_of_255_by_every_model(name):
    model = EVERY[name]()
    x = np.arange(24, dtype=np.uint8).reshape(inputs(name).shape) * 10
    params, state = model.init(KEY, jnp.asarray(x[:1]))
    from_bytes, from_floats = (model.apply(params, state, jnp.asarray(x))[0] for x in (x, x.astype(np.float32) / 255))
    np.testing.assert_allclose(from_bytes, from_floats, rtol=1e-5, atol=1e-6)


def test_other_integers_are_not_scaled():
    model = models.linear()
    params, state = model.init(KEY, jnp.zeros((1, 4)))
    x = np.array([[1, 2, 3, 255]])
    np.testing.assert_allclose(model.apply(params, state, x)[0], model.apply(params, state, x.astype(np.float32))[0])


def test_the_dense_model_given_back_is_a_function():
    model = models.mlp((5,), 3)
    params, state = model.init(KEY, X[:1])
    assert jnp.array_equal(model.module(params, state)(X), model.apply(params, state, X)[0])


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: models.linear(0), ValueError, "linear: outputs must be an integer >= 1; got 0"),
        (lambda: models.softmax(1), ValueError, "softmax: classes must be an integer >= 2; got 1"),
        (lambda: models.mlp((4, 0)), ValueError, r"mlp: hidden\[1\] must be an integer >= 1; got 0"),
        (lambda: models.mlp(activation=["relu"]), ValueError, r"mlp: unknown activation \['relu'\]; did you mean 'relu'"),
        (lambda: models.mlp(activation="rellu"), ValueError, "unknown activation 'rellu'; did you mean 'relu'"),
        (lambda: models.convnet(dropout=1.0), ValueError, r"convnet: dropout must be a number in \[0, 1\); got 1.0"),
        (lambda: models.convnet(batch_norm=3), TypeError, "convnet: batch_norm must be True or False; got 3"),
        (lambda: models.convnet((0,)), ValueError, r"convnet: channels\[0\] must be an integer >= 1"),
        (lambda: models.from_linen(LinenNet), TypeError, "from_linen: module must be a flax.linen.Module"),
        (lambda: models.from_nnx(3), TypeError, "from_nnx: factory must be an nnx module class"),
        (lambda: models.from_nnx(NNXNet, width=[3]), TypeError, "from_nnx: options must be hashable"),
        (lambda: models.from_nnx(NNXNet(rngs=nnx.Rngs(0)), width=3), TypeError, "a module takes no options; got width"),
        (lambda: models.as_model("digits", "convnett", 10), ValueError, "unknown model 'convnett'; did you mean 'convnet'"),
        (lambda: models.as_model("digits", 3, 10), TypeError, "digits: model must be one of linear, .*; got 3"),
        (lambda: models.as_model("digits", models.Dense, 10), TypeError, "digits: model must be one of"),
    ],
)
def test_bad_models_are_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def turned(function, *arguments):
    """How many products lie behind a barrier."""
    return str(jax.make_jaxpr(function)(*arguments)).count("optimization_barrier")


@pytest.mark.parametrize("transform", ["jit", pytest.param("vmap", marks=pytest.mark.long)])
def test_a_product_of_few_outputs_has_all_derivatives_of_the_usual_one(transform):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        x, w, dx, dw = (jnp.asarray(rng.normal(size=size)) for size in [(6, 40), (40, 4)] * 2)
        if transform == "vmap":
            x, w, dx, dw = (jnp.stack([a, 2 * a, a**2]) for a in (x, w, dx, dw))
        wrap = getattr(jax, transform)

        def all_derivatives(multiply):
            f = lambda x, w: jnp.sum(jnp.tanh(multiply(x, w)) ** 2)
            gradient = jax.grad(f, (0, 1))
            along = lambda x, w, dx, dw: jax.jvp(lambda w: f(x, w), (w,), (dw,))[1]
            steepness = lambda x, w, dx, dw: jnp.vdot(gradient(x, w)[1], dw)
            return {
                "value": wrap(multiply)(x, w),
                "by kernel": wrap(jax.grad(f, 1))(x, w),
                "by both": wrap(gradient)(x, w),
                "forward": wrap(lambda *a: jax.jvp(multiply, a[:2], a[2:]))(x, w, dx, dw),
                "forward over reverse": wrap(lambda *a: jax.jvp(gradient, a[:2], a[2:]))(x, w, dx, dw),
                "reverse over reverse": wrap(jax.grad(steepness, 1))(x, w, dx, dw),
                "forward over forward": wrap(jax.jacfwd(along, (0, 1)))(x, w, dx, dw),
                "jacobians": wrap(jax.jacrev(multiply, (0, 1)))(x, w),
            }

        for found, expected in zip(*(jax.tree.leaves(all_derivatives(m)) for m in (models.product, jnp.matmul)), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("inputs", "outputs", "times"), [(40, 10, 1), (40, 1, 0), (784, 128, 0), (12, 10, 0)])
def test_which_products_are_turned(inputs, outputs, times):
    gradient = jax.grad(lambda w, x: models.product(x, w).sum())
    assert turned(gradient, jnp.ones((inputs, outputs)), jnp.ones((2, inputs))) == times * (jax.default_backend() == "cpu")


def test_inputs_that_are_not_differentiated_by_cost_nothing():
    x, w = jnp.ones((2, 40)), jnp.ones((40, 10))
    assert str(jax.make_jaxpr(jax.grad(lambda w: models.product(x, w).sum()))(w)).count("dot_general") == 2


@pytest.mark.parametrize("dtypes", [(jnp.float16, jnp.bfloat16), (jnp.int32, jnp.float32), (jnp.bfloat16, jnp.bfloat16)])
def test_products_of_other_dtypes_and_axes_are_differentiated_like_any(dtypes):
    for size in [(3, 40), (2, 3, 40)]:
        x, w = jnp.ones(size, dtypes[0]), jnp.ones((40, 4), dtypes[1])
        found, expected = (jax.grad(lambda w, x, m=m: m(x, w).sum())(w, x) for m in (models.product, jnp.matmul))
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
