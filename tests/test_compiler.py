"""What programs are compiled with: faster options where XLA knows them, and only there."""

import jax
import jax.numpy as jnp
import pytest

from jaxopt_course import compiler

FEW, MANY = jnp.zeros(10), jnp.zeros(2 * compiler.FEW)
KINDS = {
    "once": compiler.ONCE,
    **{f"{name}, {size}": of(params) for name, of in (("steps", compiler.of_steps), ("lanes", compiler.of_lanes))
       for size, params in (("few", FEW), ("many", MANY))},
}  # fmt: skip
on_a_cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="these are a CPU's options")


@on_a_cpu
@pytest.mark.parametrize("wanted", KINDS.values(), ids=KINDS)
def test_this_xla_knows_the_options(wanted):
    assert compiler.options(wanted) == dict(wanted)


def test_the_number_of_parameters_decides():
    assert compiler.of_steps({"a": FEW, "b": FEW}) != compiler.of_steps(MANY)
    assert compiler.of_lanes(FEW) != compiler.of_lanes([MANY, FEW])


def test_so_does_the_number_of_arrays():
    assert compiler.of_steps([FEW] * (compiler.FEW_ARRAYS + 1)) == compiler.of_steps(MANY) != compiler.of_steps([FEW] * 4)


@on_a_cpu
def test_a_steps_product_is_not_given_to_the_library():
    x, w = jnp.ones((64, 784)), jnp.ones((784, 128))
    text = lambda options: jax.jit(jnp.matmul, compiler_options=options).lower(x, w).compile().as_text() or ""
    handed_over = lambda options: "ynn" in text(options)
    assert not handed_over(compiler.options(compiler.of_steps(w)))
    assert handed_over(compiler.options(compiler.of_lanes(w))) == handed_over({})  # by default it is, where XLA was built so


def test_options_that_xla_has_forgotten_are_left_out():
    assert compiler.options((("xla_cpu_no_such_option", "1"), *compiler.ONCE)) == {"xla_backend_optimization_level": 0}


@on_a_cpu
def test_one_forgotten_option_takes_no_others_with_it(monkeypatch):
    monkeypatch.setattr(compiler, "USUAL", (("xla_cpu_no_such_option", 1), *compiler.USUAL))
    compiler.options.cache_clear()
    assert compiler.options(compiler.ONCE) == dict(compiler.ONCE)
    compiler.options.cache_clear()


def test_an_accelerator_gets_none_of_a_cpus(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    compiler.options.cache_clear()
    assert compiler.options(compiler.of_steps(FEW)) == {}
    assert compiler.options(compiler.ONCE) == {"xla_backend_optimization_level": 0}
    compiler.options.cache_clear()


def test_a_compiled_function_is_traced_once_for_equal_arguments():
    traces = []

    @compiler.compiled(lambda x, **_: compiler.of_steps(x), static_argnames="times")
    def scaled(x, times):
        """Its own documentation."""
        traces.append(times)
        return x * times

    assert [float(scaled(FEW + 1, times=n).sum()) for n in (2, 2, 3)] == [20, 20, 30]
    assert traces == [2, 3]
    assert scaled.__doc__ == "Its own documentation."
    assert scaled.lower(MANY, times=2).out_info.shape == MANY.shape
