"""Spaces: which configurations, in which order, and what is refused."""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.sweep import spaces
from jaxopt_course.sweep.spaces import grid, zipped


def test_a_grid_crosses_its_axes_the_last_fastest():
    space = grid(learning_rate=[0.1, 0.2], nesterov=[True, False, None])
    assert [tuple(c.values()) for c in space.configurations()] == [
        (0.1, True), (0.1, False), (0.1, None), (0.2, True), (0.2, False), (0.2, None)
    ]  # fmt: skip
    assert (space.shape, len(space), space.names) == ((2, 3), 6, ("learning_rate", "nesterov"))
    assert space.coordinates()["nesterov"] == ("nesterov", ["True", "False", "None"])


def test_zipped_axes_go_side_by_side():
    space = zipped(learning_rate=[0.1, 0.1, 0.3], batch_size=[8, 16, 8])
    assert space.configurations()[1] == {"learning_rate": 0.1, "batch_size": 16}
    assert space.shape == (3,)
    assert space.coordinates()["batch_size"] == ("configuration", [8, 16, 8])


@pytest.mark.parametrize(
    ("values", "traced"),
    [
        ([0.1, 0.2], True),
        ([0, 0.5], True),
        (np.array([1.0, 2.0]), True),
        (jnp.array([1.0, 2.0]), True),
        ([np.float32(0.5)], True),
        ([1, 2], False),
        (np.arange(3), False),
        ([True, False], False),
        (["a", "b"], False),
        ([0.5, "a"], False),
        (spaces.categorical([0.5, 1.5]), False),
    ],
)
def test_float_axes_are_traced_and_no_others(values, traced):
    assert grid(x=values).traced == ({"x"} if traced else set())


def test_values_are_python_numbers():
    space = grid(rate=jnp.array([0.5, 2.0]), width=np.array([3, 4]))
    assert {type(value) for value in space.configurations()[0].values()} == {float, int}


def test_equal_spaces_are_equal():
    assert grid(a=[0.1], b=["x"]) == grid(a=np.array([0.1]), b=["x"])
    assert grid(a=[0.1]) != zipped(a=[0.1])
    assert hash(grid(a=[0.1])) == hash(grid(a=[0.1]))
    draw = lambda seed: spaces.random(5, seed=seed, a=spaces.log(0.1, 1.0))
    assert draw(1) == draw(1) != draw(2)


def test_a_space_is_frozen():
    with pytest.raises(AttributeError):
        grid(a=[0.1]).kind = "zipped"


@pytest.mark.parametrize("draw", [spaces.random, spaces.sobol, spaces.halton])
def test_drawn_points_stay_in_their_ranges_and_spread(draw):
    axes = {
        "rate": spaces.log(1e-4, 1.0),
        "momentum": spaces.linear(0.25, 0.75),
        "depth": spaces.integers(2, 4),
        "activation": spaces.categorical(["relu", "tanh"]),
    }
    space = draw(256, seed=3, **axes)
    columns = {name: np.array(values) for name, values in space.columns}
    assert ((columns["rate"] >= 1e-4) & (columns["rate"] < 1)).all()
    assert ((columns["momentum"] >= 0.25) & (columns["momentum"] < 0.75)).all()
    np.testing.assert_allclose(np.log10(columns["rate"]).mean(), -2, atol=0.3)  # as many in each decade
    np.testing.assert_allclose(columns["momentum"].mean(), 0.5, atol=0.03)
    assert set(columns["depth"]) == {2, 3, 4}
    assert min(np.unique(columns["depth"], return_counts=True)[1]) > 60
    assert set(columns["activation"]) == {"relu", "tanh"}
    assert space.traced == {"rate", "momentum"}
    assert space == draw(256, seed=3, **axes)


def test_quasi_random_points_are_more_even_than_random_ones():
    """The largest gap between neighbours, in one dimension: about 1/n, where random points leave ln(n)/n."""

    def gap(draw):
        return np.diff(np.sort(dict(draw(64, x=spaces.linear(0, 1)).columns)["x"]), prepend=0, append=1).max()

    assert gap(spaces.sobol) <= 2 / 64
    assert gap(spaces.halton) <= 4 / 64
    assert gap(spaces.random) > gap(spaces.halton)


def test_values_that_python_calls_equal_are_two():
    assert grid(x=[1, True]).coordinates()["x"] == ("x", ["1", "True"])


class Plain:
    """Its text is its address."""


def test_labels_are_the_same_in_another_process():
    made = functools.partial(functools.partial(jc.momentum, 0.1), momentum=0.5, nesterov=None)
    space = zipped(rule=[made, jc.sgd, Plain(), (jc.sgd, 2)])
    found = ["momentum(0.1, momentum=0.5, nesterov=None)", "sgd", "<…test_spaces.Plain object>", "(<function sgd>, 2)"]
    labels = [label.replace(Plain.__module__, "…test_spaces") for label in space.coordinates()["rule"][1]]
    assert labels == found


def test_categorical_axes_take_anything_hashable():
    space = grid(hidden=spaces.categorical([(8,), (16, 8)]), rule=[max, min])
    assert space.configurations()[0] == {"hidden": (8,), "rule": max}
    assert space.coordinates() == {"hidden": ("hidden", ["(8,)", "(16, 8)"]), "rule": ("rule", ["max", "min"])}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: grid(), ValueError, "grid: no axes"),
        (lambda: grid(a=[]), ValueError, "grid: a is empty"),
        (lambda: zipped(a=np.zeros(0)), ValueError, "zipped: a is empty"),
        (lambda: grid(a=[0.1, float("nan")]), ValueError, "a must be finite; got nan"),
        (lambda: grid(a=jnp.array([0.1, jnp.inf])), ValueError, "a must be finite; got inf"),
        (lambda: grid(a=[0.1, 0.2, 0.1]), ValueError, "a has 0.1 twice"),
        (lambda: grid(a=0.1), TypeError, "a must be a list or an array with one axis; got 0.1"),
        (lambda: grid(a="relu"), TypeError, "a must be a list or an array with one axis; got 'relu'"),
        (lambda: grid(a=np.zeros((2, 2))), TypeError, "a must be a list or an array with one axis"),
        (lambda: grid(a=[[1], [2]]), TypeError, r"a has a value that is not hashable: \[1\]"),
        (lambda: grid(a=spaces.log(0.1, 1.0)), TypeError, r"got log\(0.1, 1.0\), a range \(spaces.random"),
        (lambda: grid(seed=[1]), ValueError, "an axis must not be called 'seed'"),
        (lambda: grid(finished=[1]), ValueError, "an axis must not be called 'finished'"),
        (lambda: grid(**{c: np.arange(40) for c in "abcd"}), ValueError, "grid: 2560000 configurations are more than"),
        (lambda: zipped(a=[1, 2], b=[1.0]), ValueError, "axes differ in length: a has 2, b has 1"),
        (lambda: spaces.random(0, a=spaces.linear(0, 1)), ValueError, "num must be an integer from 1"),
        (lambda: spaces.random(3), ValueError, "random: no axes"),
        (lambda: spaces.random(3, a=[0.1]), TypeError, r"random: a must be one of linear\(…\)"),
        (lambda: spaces.halton(3, seed=-1, a=spaces.linear(0, 1)), ValueError, "halton: seed must be an integer >= 0"),
        (lambda: spaces.sobol(12, a=spaces.linear(0, 1)), ValueError, "sobol: num must be a power of 2; got 12"),
        (lambda: spaces.linear(1.0, 1.0), ValueError, "linear: low must be below high"),
        (lambda: spaces.linear(0.0, np.inf), ValueError, "linear: high must be a finite number"),
        (lambda: spaces.log(0.0, 1.0), ValueError, "log: low must be a number > 0"),
        (lambda: spaces.integers(3, 2), ValueError, "integers: low must not be above high"),
        (lambda: spaces.integers(1.5, 2), TypeError, "integers: low must be an integer; got 1.5"),
        (lambda: spaces.categorical([]), ValueError, "categorical: values is empty"),
        (lambda: grid(a=[0.1, 10**400]), ValueError, "grid: a must be finite; got 1000"),
        (lambda: grid(a=[lambda: 1, lambda: 2]), ValueError, r"told apart by their names: \['<lambda>', '<lambda>'\]"),
        (lambda: zipped(a=[1, "1", 1]), ValueError, r"zipped: a has values that cannot be told apart .* \['1', '1'\]"),
        (lambda: spaces.categorical([len, "len"]), ValueError, "categorical: values has values that cannot be told apart"),
        (lambda: spaces.linear(-1.7e308, 1.7e308), ValueError, "linear: low and high are too far apart for floats"),
        (lambda: spaces.log(1e-300, 1e300), ValueError, "log: low and high are too far apart for floats"),
    ],
)
def test_bad_spaces_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_the_contents_page_has_them():
    assert jc.grid is grid
    assert jc.spaces is spaces
