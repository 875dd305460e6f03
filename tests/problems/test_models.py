"""Dense stacks against NumPy and scikit-learn; flax modules in both modes, with batch statistics and dropout."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.neural_network
from flax import linen, nnx

from jaxopt_course import problems
from jaxopt_course.problems import models

KEY = jax.random.key(3)
X = np.random.default_rng(5).normal(0.5, 1.0, (6, 4)).astype(np.float32)


class LinenNet(linen.Module):
    """Batch statistics and dropout, told by ``train``."""

    width: int = 5

    @linen.compact
    def __call__(self, x, train: bool):
        x = linen.BatchNorm(use_running_average=not train, momentum=0.5)(linen.Dense(self.width)(x))
        return linen.Dense(3)(linen.Dropout(0.5, deterministic=not train)(x))


class NNXNet(nnx.Module):
    """The same, told by its attributes."""

    def __init__(self, width: int = 5, *, rngs: nnx.Rngs):
        self.first = nnx.Linear(4, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, momentum=0.5, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(width, 3, rngs=rngs)])

    def __call__(self, x):
        return self.layers[0](self.dropout(self.norm(self.first(x))))


FLAX = {
    "linen": lambda: models.from_linen(LinenNet(width=7)),
    "nnx": lambda: models.from_nnx(NNXNet, width=7),
    "convnet": lambda: models.convnet((3,), classes=3, batch_norm=True, dropout=0.5),
}
EVERY = {
    "linear": lambda: models.linear(2),
    "logistic": models.logistic,
    "softmax": lambda: models.softmax(3),
    "mlp": lambda: models.mlp((5, 4), 3, "tanh"),
    **FLAX,
}


def inputs(name):
    return jnp.asarray(X.reshape(6, 2, 2) if name == "convnet" else X)


@pytest.fixture(params=FLAX, scope="module")
def flax_model(request):
    model, x = FLAX[request.param](), inputs(request.param)
    return model, x, *model.init(KEY, x[:1])


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


def test_the_dense_model_given_back_is_a_function():
    model = models.mlp((5,), 3)
    params, state = model.init(KEY, X[:1])
    assert jnp.array_equal(model.module(params, state)(X), model.apply(params, state, X)[0])


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


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: models.linear(0), ValueError, "linear: outputs must be an integer >= 1; got 0"),
        (lambda: models.softmax(1), ValueError, "softmax: classes must be an integer >= 2; got 1"),
        (lambda: models.mlp((4, 0)), ValueError, r"mlp: hidden\[1\] must be an integer >= 1; got 0"),
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
