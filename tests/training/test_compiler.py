"""What programs are compiled with: faster options where XLA knows them, and only there."""

import jax
import jax.numpy as jnp
import pytest

from jaxopt_course.training import compiler

KINDS = {"products": compiler.OF_STEPS, "products and reductions": compiler.OF_LANES}


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="these are a CPU's options")
@pytest.mark.parametrize("wanted", KINDS.values(), ids=KINDS)
def test_a_programs_options_are_those_that_this_xla_knows(wanted):
    assert compiler.options(wanted) == dict(wanted)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="these are a CPU's options")
def test_a_steps_product_is_not_given_to_the_library():
    x, w = jnp.ones((64, 784)), jnp.ones((784, 128))
    text = lambda options: jax.jit(jnp.matmul, compiler_options=options).lower(x, w).compile().as_text() or ""
    handed_over = lambda options: "ynn" in text(options)
    assert not handed_over(compiler.options(compiler.OF_STEPS))
    assert handed_over(compiler.options(compiler.OF_LANES)) == handed_over({})  # by default it is, where XLA was built so


def test_options_that_xla_has_forgotten_are_left_out():
    assert compiler.options((("xla_cpu_no_such_option", "1"),)) == {}


def test_an_accelerator_gets_none(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compiler.options((*compiler.OF_STEPS, *compiler.OF_LANES)) == {}
