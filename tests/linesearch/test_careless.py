"""What no search can use is refused by name, at the call."""

import jax.numpy as jnp
import pytest

import jaxopt_course as jc

L = jc.linesearch
PHI = lambda a: (a - 1.0) ** 2

CARELESS = {
    "a number to minimise": (
        lambda: L.brent(3, 0, 1),
        r"brent: function must be a function of a scalar; got 3",
    ),
    "a number to bracket": (lambda: L.bracket(3, 0, 1), r"bracket: function must be a function of a scalar.*got 3"),
    "a number to search along": (lambda: L.armijo()(3), r"armijo: phi must be a function of a scalar; got 3"),
    "a word": (lambda: L.golden(lambda x: "a", 0, 1), r"golden: function must give a real scalar; got 'a'"),
    "nothing": (lambda: L.brent(lambda x: None, 0, 1), r"brent: function must give a real scalar; got None"),
    "a vector": (
        lambda: L.brent(lambda x: x * jnp.ones(3), 0, 1),
        r"brent: function must give a real scalar; got Array",
    ),
    "a vector to bracket": (lambda: L.bracket(lambda x: jnp.ones(2), 0, 1), r"bracket: function must give a real scalar"),
    "a complex number": (lambda: L.brent(lambda x: x * 1j, 0, 1), r"brent: function must give a real scalar"),
    "a vector along the line": (
        lambda: L.exact()(lambda a: a * jnp.ones(2)),
        r"exact: phi must give a real scalar, or the pair",
    ),
    "a triple": (
        lambda: L.wolfe()(lambda a: (a, a, a)),
        r"wolfe: phi must give a real scalar, or the pair of value and slope",
    ),
    "a vector of slopes": (lambda: L.wolfe()(lambda a: (a, jnp.ones(2))), r"wolfe: phi must give a real scalar, or the pair"),
    "a word for φ(0)": (lambda: L.armijo()(PHI, value="a"), r"armijo: value must be a real scalar; got 'a'"),
    "slopes for φ′(0)": (lambda: L.armijo()(PHI, value=1.0, slope=jnp.ones(2)), r"armijo: slope must be a real scalar; got"),
}


@pytest.mark.parametrize("case", CARELESS)
def test_what_no_search_can_use_is_refused_by_name(case):
    call, message = CARELESS[case]
    with pytest.raises(TypeError, match=message):
        call()


def test_a_value_at_zero_that_is_not_finite_is_still_a_stated_result():
    assert L.armijo()(PHI, value=float("nan"), slope=-1.0).status == L.Status.NON_FINITE
