"""An equation for one array, applied to trees."""

import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.transform import map_leaves, zeros_like
from jaxopt_course.transform.leaves import TOGETHER

CALLS = []


def decayed(g, m, rate, flip):
    CALLS.append((g.dtype, m.dtype, rate.dtype))
    m = rate * m + (-g if flip else g)
    return -m, m


def test_arithmetic_is_in_float32_at_least_and_dtypes_stay():
    CALLS.clear()
    g, m = jnp.full(4, 1.0, jnp.bfloat16), jnp.full(4, 256.0, jnp.float32)
    updates, new = map_leaves(decayed, {"w": g}, {"w": m}, rate=jnp.array(0.999), flip=False)
    assert [(jnp.float32, jnp.float32, jnp.float32)] == CALLS
    assert (updates["w"].dtype, new["w"].dtype) == (jnp.bfloat16, jnp.float32)
    np.testing.assert_allclose(new["w"], 0.999 * 256 + 1, rtol=1e-6)


@pytest.mark.parametrize("leaves", [20, TOGETHER + 20, 10 * TOGETHER])
def test_an_equation_is_traced_once_for_equal_leaves(leaves):
    CALLS.clear()
    tree = {f"layer{i}": jnp.ones((3, leaves)) for i in range(leaves)}
    jax.jit(lambda t: map_leaves(decayed, t, t, rate=jnp.array(0.5), flip=True))(tree)
    assert len(CALLS) == 1


@pytest.mark.parametrize(("leaves", "shape"), [(2 * TOGETHER, (3,)), (1, ())])
def test_numbers_of_our_equations_become_arrays_once_for_many_leaves_and_stay_numbers_for_one(leaves, shape):
    tx, tree = jc.momentum(0.1, 0.9), [jnp.ones(3)] * leaves
    trace = jax.make_jaxpr(lambda grads, state: tx.update(grads, state))(tree, tx.init(tree))
    call = next(e.params["jaxpr"] for e in trace.eqns if e.params.get("name") == "_leaves")
    products = [e.invars[0].aval.shape for e in call.eqns if e.primitive.name == "mul"]
    assert products == [shape] * len(products)
    assert len(products) == 2 * min(leaves, TOGETHER)
    assert sum(e.primitive.name == "broadcast_in_dim" for e in call.eqns) == (0 if shape == () else 2)


def test_the_numbers_of_many_leaves_are_one_operand_of_their_kernels():
    tx = jc.adam(0.1)
    step = jax.jit(lambda params, state: optax.apply_updates(params, tx.update(params, state)[0]))
    with jax.default_device(jax.devices("cpu")[0]):  # there a kernel's text is known
        params = [jnp.ones(5)] * 2 * TOGETHER
        program = step.lower(params, tx.init(params)).compile().as_text()
    kernels = re.findall(r"= f32\[5\]\S* fusion\((.*?)\), kind", program)
    assert len(kernels) == len(params)
    assert {kernel.count("%") for kernel in kernels} == {5}  # θ, m, v; β₁, β₂, … together; α, which is another equation's


@pytest.mark.parametrize("factory", [jc.adam, jc.amsgrad, jc.adamax, jc.momentum])
def test_a_loop_of_steps_carries_what_is_trained_and_nothing_worked_out_before_it(factory):
    tx, params = factory(0.1), [jnp.ones(5)] * 2 * TOGETHER

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(params, state, params)
        return (optax.apply_updates(params, updates), state), None

    start = params, tx.init(params)
    with jax.default_device(jax.devices("cpu")[0]):  # there the compiled program's text is known
        program = jax.jit(lambda start: jax.lax.scan(step, start, length=9)[0]).lower(start).compile().as_text()
    (carried,) = re.findall(r"= \((.*?)\) while\(", program)
    assert len(re.findall(r"\w+\[", carried)) == len(jax.tree.leaves(start)) + 1  # and the loop's own counter


def kept_for_a_derivative_by_b1(leaves):
    tx, grads = jc.adam(0.1), [jnp.arange(3.0) + i for i in range(leaves)]
    _, state = tx.update(grads, tx.init(grads))

    @jax.jit
    def update(b1, grads, state):
        return tx.update(grads, jc.set_hyperparams(state, b1=b1))[0]

    updates, back = jax.vjp(lambda b1: update(b1, grads, state), jnp.array(0.5))
    return sum(array.shape == (3,) for array in jax.tree.leaves(back)), back(updates)[0]


def test_a_derivative_by_one_number_keeps_nothing_for_the_others():
    arrays, derivative = kept_for_a_derivative_by_b1(1)
    assert arrays > 0
    assert derivative != 0
    assert kept_for_a_derivative_by_b1(2 * TOGETHER)[0] < 2 * TOGETHER * (arrays + 1)  # a few are of all leaves


def test_a_derivative_by_one_number_may_be_of_a_shard():
    tx, grads = jc.adam(0.1), [jnp.arange(3.0) + i for i in range(2 * TOGETHER)]
    _, state = tx.update(grads, tx.init(grads))
    total = lambda b1: sum(map(jnp.sum, tx.update(grads, jc.set_hyperparams(state, b1=b1[0]))[0]))
    spec, mesh = jax.P("i"), jax.make_mesh((1,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    sharded = jax.jit(jax.shard_map(lambda b1: total(b1)[None], mesh=mesh, in_specs=spec, out_specs=spec))
    derivative = jax.grad(lambda b1: sharded(b1)[0])(jnp.array([0.5]))
    np.testing.assert_allclose(derivative, jax.grad(total)(jnp.array([0.5])), rtol=1e-5)


@pytest.mark.parametrize("leaves", [1, 2 * TOGETHER])
def test_numbers_must_be_scalars_however_many_leaves_there_are(leaves):
    with pytest.raises(ValueError, match="broadcast"):
        jax.jit(lambda tree: map_leaves(normalized, tree, eps=jnp.ones(3)))([jnp.ones((3, 3))] * leaves)


def normalized(g, eps):
    return (g / jnp.sqrt(eps + jnp.mean(g * g, axis=-1))[..., None],)


@pytest.mark.parametrize("leaves", [1, TOGETHER, TOGETHER + 1])
def test_an_equation_of_a_users_gets_scalars_however_many_leaves_there_are(leaves):
    update = jax.jit(lambda t: map_leaves(normalized, t, eps=jnp.array(0.0))[0])
    for result in update([jnp.full((3, 3), 2.0)] * leaves):
        np.testing.assert_allclose(result, jnp.ones((3, 3)), rtol=1e-6)


@pytest.mark.parametrize("transform", [jax.jit, lambda f: f])
def test_many_leaves_of_several_shapes_each_get_their_own_result(transform):
    rng = np.random.default_rng(0)
    shapes = [(4,)] * (TOGETHER + 3) + [(2, 3)] * (2 * TOGETHER) + [()]
    rng.shuffle(order := np.arange(len(shapes)))
    grads = [rng.normal(size=shapes[i]).astype(np.float32) for i in order]
    grads[5] = None
    m = [
        None if g is None else rng.normal(size=g.shape).astype(jnp.bfloat16 if i % 7 == 0 else np.float32)
        for i, g in enumerate(grads)
    ]
    m[5] = np.float32(3)
    updates, new = transform(lambda g, m: map_leaves(decayed, g, m, rate=jnp.array(0.5), flip=False))(grads, m)
    assert updates[5] is None
    assert new[5] == 3
    for i, (g, old) in enumerate(zip(grads, m, strict=True)):
        if g is not None:
            expected = np.float32(0.5) * old.astype(np.float32) + g
            np.testing.assert_allclose(new[i].astype(np.float32), expected.astype(old.dtype).astype(np.float32), rtol=1e-6)
            np.testing.assert_allclose(updates[i], -expected, rtol=1e-6)
            assert new[i].dtype == old.dtype


def test_a_wider_accumulator_does_not_widen_its_neighbours():
    with jax.enable_x64(True):
        tree = [jnp.ones(2, jnp.float32)] * 2 * TOGETHER
        m = [jnp.ones(2, jnp.float64 if i == 3 else jnp.float32) for i in range(len(tree))]
        CALLS.clear()
        jax.jit(lambda g, m: map_leaves(decayed, g, m, rate=jnp.array(1 / 3), flip=False))(tree, m)
    assert {(str(m), str(rate)) for _, m, rate in CALLS} == {("float32", "float32"), ("float64", "float64")}


def test_accumulators_may_be_pythons_numbers():
    tree, zeros = [jnp.float32(2)] * 2 * TOGETHER, [0.0] * 2 * TOGETHER
    _, new = jax.jit(lambda tree: map_leaves(decayed, tree, zeros, rate=jnp.array(0.5), flip=False))(tree)
    assert new == tree


def test_double_precision_stays_double():
    with jax.enable_x64(True):
        (_, new) = map_leaves(decayed, jnp.ones(2), jnp.ones(2), rate=jnp.array(1 / 3), flip=False)
        np.testing.assert_allclose(new, 4 / 3, rtol=1e-15)


def test_zeros_can_be_real_for_complex_leaves():
    assert zeros_like(jnp.ones(2, jnp.complex64), real=True).dtype == jnp.float32
    assert zeros_like(jnp.ones(2, jnp.complex64)).dtype == jnp.complex64
    assert zeros_like(jnp.ones(2, jnp.bfloat16), "float32").dtype == jnp.float32


def test_mismatches_name_the_leaf():
    with pytest.raises(ValueError, match=r"differ in shape at \['a'\]\['b'\]: \(2,\) and \(3,\)"):
        map_leaves(decayed, {"a": {"b": jnp.ones(2)}}, {"a": {"b": jnp.ones(3)}}, rate=0.5, flip=False)
    with pytest.raises(ValueError, match=r"differ in structure: only the optimizer's state has \['c'\]"):
        map_leaves(decayed, {"a": jnp.ones(2)}, {"a": jnp.ones(2), "c": jnp.ones(1)}, rate=0.5, flip=False)


DEVICES = """
import jax, jax.numpy as jnp
import jaxopt_course as jc

params = [jax.device_put(jnp.ones(3), jax.devices()[i % 2]) for i in range(64)]
updates, _ = jc.sgd(0.1).update(params, jc.sgd(0.1).init(params), params)
assert [u.devices() for u in updates] == [p.devices() for p in params]
"""


def test_outside_of_a_trace_leaves_stay_on_their_devices():
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", DEVICES], check=True, env=environment)
