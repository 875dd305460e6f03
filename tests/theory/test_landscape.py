"""A loss on a plane through a network's parameters, and a path seen on it [G5]."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.theory import Plane, filter_normalized, filter_plane, path_plane, plane_through

RNG = np.random.default_rng(4)
NET = {
    "conv": {"kernel": RNG.normal(size=(3, 3, 2, 5)), "bias": RNG.normal(size=5)},
    "dense": {"kernel": RNG.normal(2.0, 3.0, size=(7, 4)), "bias": RNG.normal(size=4)},
}


def like(tree, rng=RNG):
    return jax.tree.map(lambda leaf: rng.normal(size=np.shape(leaf)), tree)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def transcription(direction, params, first=False):
    """Li et al.'s, filter by filter, in NumPy: d *= ‖w‖/‖d‖; biases are ignored."""
    out = {}
    for layer, leaves in direction.items():
        out[layer] = {"bias": np.zeros_like(leaves["bias"])}
        kernel = np.array(leaves["kernel"])
        for i in range(kernel.shape[0 if first else -1]):
            at = (i,) if first else (..., i)
            kernel[at] *= np.sqrt((params[layer]["kernel"][at] ** 2).sum()) / np.sqrt((kernel[at] ** 2).sum())
        out[layer]["kernel"] = kernel
    return out


@pytest.mark.parametrize("axis", [-1, 0])
def test_each_filter_gets_the_length_of_the_networks_own(axis):
    with jax.enable_x64(True):
        direction = like(NET)
        found = filter_normalized(direction, NET, axis=axis)
        expected = transcription(direction, NET, first=axis == 0)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), found, expected)


def test_a_filter_that_is_zero_and_a_direction_that_is_zero_stay_zero():
    params = {"kernel": jnp.array([[3.0, 0.0], [4.0, 0.0]])}
    found = filter_normalized({"kernel": jnp.array([[0.0, 1.0], [0.0, 1.0]])}, params)
    assert found["kernel"].tolist() == [[0, 0], [0, 0]]


def test_the_picture_does_not_change_when_a_rectified_network_is_rescaled():
    """Why filters are normalised: ten times one layer and a tenth of the next is the same network, and the same surface."""
    x, y = RNG.normal(size=(20, 4)), RNG.normal(size=(20, 3))
    first, second = RNG.normal(size=(4, 6)), RNG.normal(size=(6, 3))

    def loss(net, x, y):
        return ((jnp.maximum(x @ net[0], 0) @ net[1] - y) ** 2).mean()

    with jax.enable_x64(True):
        params, scaled = (first, second), (10 * first, second / 10)
        a, b = (filter_plane(3, net).evaluate(loss, x, y, resolution=5).value for net in (params, scaled))
        np.testing.assert_allclose(a, b, rtol=1e-10)
        assert float(a.max() - a.min()) > 0.1


def test_the_two_random_directions_differ_and_follow_the_key():
    one, same, other = (filter_plane(key, NET) for key in (1, jax.random.key(1), 2))
    assert not np.allclose(flat(one.directions[0]), flat(one.directions[1]))
    np.testing.assert_array_equal(flat(one.directions[0]), flat(same.directions[0]))
    assert not np.allclose(flat(one.directions[0]), flat(other.directions[0]))


def test_the_grid_is_the_function_at_its_points():
    with jax.enable_x64(True):
        plane = Plane(NET, (like(NET), like(NET)))
        function = lambda net, shift: {"square": sum((leaf**2).sum() for leaf in jax.tree.leaves(net)) + shift, "shift": shift}
        found = plane.evaluate(function, 2.5, alpha=(-1, 2), beta=(0.5, 0.75), resolution=4, chunk=3)
        assert found.square.dims == ("beta", "alpha")
        for a in found.alpha.values:
            for b in found.beta.values:
                expected = sum(
                    ((t + a * d + b * e) ** 2).sum()
                    for t, d, e in zip(*map(jax.tree.leaves, (NET, *plane.directions)), strict=True)
                )
                np.testing.assert_allclose(found.square.sel(alpha=a, beta=b), expected + 2.5, rtol=1e-12)
                np.testing.assert_allclose(flat(plane.point(a, b)), flat(NET) + a * flat(plane.directions[0])
                                           + b * flat(plane.directions[1]), rtol=1e-12)  # fmt: skip
    assert (found["shift"] == 2.5).all()
    assert found.alpha.attrs["long_name"] == "α"


def test_another_plane_or_range_does_not_trace_again():
    traces = []

    def function(net, data):
        traces.append(0)
        return (net["dense"]["kernel"] * data).sum()

    filter_plane(1, NET).evaluate(function, 2.0, resolution=4)
    before = len(traces)
    filter_plane(2, NET).evaluate(function, 3.0, alpha=(0, 5), resolution=4)
    assert len(traces) <= before + 1  # its shapes are asked for at every call


def test_projection_is_least_squares_along_directions_that_are_not_orthogonal():
    with jax.enable_x64(True):
        plane = Plane(NET, (like(NET), like(NET)))
        on = [plane.point(0.5, -2.0), plane.point(3.0, 1.0)]
        np.testing.assert_allclose(plane.project(on), [[0.5, -2.0], [3.0, 1.0]], rtol=1e-10)
        np.testing.assert_allclose(plane.distance(on), 0, atol=1e-10)
        off = like(NET)
        basis = np.stack([flat(d) for d in plane.directions])
        left = flat(off) - flat(NET) - plane.project([off])[0] @ basis
        np.testing.assert_allclose(basis @ left, 0, atol=1e-10)
        np.testing.assert_allclose(plane.distance([off]), np.linalg.norm(left))


def test_a_path_can_be_a_list_or_a_stacked_tree():
    points = [like(NET) for _ in range(4)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *points)
    np.testing.assert_array_equal(path_plane(points).project(points), path_plane(stacked).project(stacked))


def test_path_directions_are_the_principal_components_of_the_path():
    points = jc.minimize(lambda x: (x**2 * jnp.array([1.0, 5.0, 0.2])).sum(), jc.momentum(0.05, 0.5),
                         start=[1.0, 2.0, 3.0], steps=30).points  # fmt: skip
    with jax.enable_x64(True):
        plane = path_plane(np.asarray(points, np.float64))
    variances, axes = np.linalg.eigh(np.cov(np.asarray(points, np.float64).T))
    np.testing.assert_allclose(np.abs(np.stack(plane.directions)), np.abs(axes.T[[2, 1]]), rtol=1e-9)
    assert f"{100 * variances[2] / variances.sum():.1f} %" in plane.labels[0]
    assert f"{100 * variances[1] / variances.sum():.1f} %" in plane.labels[1]
    assert (plane.project(points)[0] > 0).all()  # it comes from the upper right, and ends at the origin
    np.testing.assert_allclose(plane.project(points)[-1], 0, atol=1e-12)


def test_the_plane_through_three_points_has_them_at_its_corners():
    a, b, c = (like(NET) for _ in range(3))
    with jax.enable_x64(True):
        plane = plane_through(a, b, c)
        np.testing.assert_allclose(plane.project([a, b, c]), [[0, 0], [1, 0], [0, 1]], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: filter_plane(0, {"bias": jnp.ones(3)}), ValueError, "params have no filters"),
        (lambda: filter_plane(0, {"kernel": jnp.ones((2, 2))}, axis=7), ValueError, "axis must be .*got 7, for one of 2 axes"),
        (lambda: filter_plane(0, {"kernel": jnp.ones((2, 2))}, axis=-3), ValueError, "axis must be .*got -3, for one of 2"),
        (lambda: filter_plane(0, NET, axis=1.0), TypeError, "axis must be an integer; got 1.0"),
        (lambda: filter_plane("a", NET), TypeError, "filter_plane: key must be an integer or a JAX key; got 'a'"),
        (
            lambda: filter_normalized({"a": jnp.ones((2, 2))}, {"a": jnp.ones((3, 2))}),
            ValueError,
            r"direction\['a'\] must have the shape that params\['a'\] has, \(3, 2\); got \(2, 2\)",
        ),
        (lambda: filter_normalized(jnp.ones((2, 2)), {"a": jnp.ones((2, 2))}), ValueError, r"params\['a'\] has, .* got None"),
        (
            lambda: filter_plane(0, NET).evaluate("a"),
            TypeError,
            "evaluate: function must be a function of parameters; got 'a'",
        ),
        (lambda: path_plane([]), ValueError, "path_plane: a path of 3 points or more spans a plane; got 0"),
        (lambda: path_plane(jnp.array([[1.0, 0], [jnp.nan, 1], [0, 0]])), ValueError, "points must be finite; point 1 is not"),
        (lambda: path_plane([jnp.ones(3), jnp.zeros(3)]), ValueError, "3 points or more spans a plane; got 2"),
        (lambda: path_plane(jnp.arange(5.0)[:, None] * jnp.ones(3)), ValueError, "all on one line"),
        (lambda: plane_through(jnp.zeros(2), jnp.ones(2), 2 * jnp.ones(2)), ValueError, "are on one line"),
        (lambda: filter_plane(0, NET).project([{"conv": NET["conv"]}]), ValueError, r"points\['dense'\].*got None"),
        (lambda: filter_plane(0, NET).project(NET), ValueError, r"points\['conv'\]\['bias'\].*and then \(5,\).*got \(\)"),
        (lambda: filter_plane(0, NET).evaluate(lambda p: p["dense"]["bias"]), TypeError, "scalar or a dict of scalars"),
        (lambda: filter_plane(0, NET).evaluate(jnp.sum, alpha=1.0), TypeError, r"alpha must be \(from, to\); got 1.0"),
        (lambda: filter_plane(0, NET).evaluate(jnp.sum, beta=(1, -1)), ValueError, "beta must be .* from < to; got"),
        (lambda: filter_plane(0, NET).evaluate(jnp.sum, beta=(0, np.nan)), ValueError, "beta must be a finite number"),
        (lambda: filter_plane(0, NET).evaluate(jnp.sum, resolution=1), ValueError, "resolution must be an integer >= 2"),
        (lambda: filter_plane(0, NET).evaluate(jnp.sum, chunk=0), ValueError, "chunk must be an integer >= 1; got 0"),
    ],
)
def test_bad_arguments_are_refused_by_name(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
