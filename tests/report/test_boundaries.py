"""A classifier's boundary is where its score is zero; what it gets wrong is ringed."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from jaxopt_course.report import boundaries as pictures

X = np.array([[0.0, 0.0], [1.0, 0.2], [0.1, 1.0], [1.0, 1.0], [0.4, 0.3]])
Y = np.array([0, 1, 0, 1, 1])


def linear(params, x):
    return x @ params["w"] + params["b"]


def model(w0, w1, b):
    return {"w": jnp.array([w0, w1]), "b": jnp.array(b)}


FRAMES = [model(1.0, 0.0, -0.5), model(1.0, 0.1, -0.3), model(-1.0, 0.0, 0.5)]


def line_at(axes, level):
    """The points of the contour at a level."""
    (found,) = [c for c in axes.collections if getattr(c, "levels", None) is not None and level in np.asarray(c.levels)]
    return found.get_paths()[list(found.levels).index(level)].vertices


def test_the_boundary_is_where_the_score_is_zero():
    axes = pictures.boundary(linear, FRAMES[1], X, Y).axes[0]
    points = line_at(axes, 0)
    np.testing.assert_allclose(points @ [1.0, 0.1] - 0.3, 0, atol=1e-5)
    assert axes.get_title(loc="left") == "100 % right"


def test_the_margins_of_a_linear_classifier_are_at_plus_and_minus_one():
    axes = pictures.boundary(linear, model(4.0, 0.0, -2.0), X, 2 * Y - 1).axes[0]
    for level in (-1, 1):
        np.testing.assert_allclose(4 * line_at(axes, level)[:, 0] - 2, level, atol=1e-5)


def test_wrong_examples_are_ringed_exactly():
    axes = pictures.boundary(linear, FRAMES[0], X, Y).axes[0]
    (rings,) = [c for c in axes.collections if isinstance(c, PathCollection) and c.get_facecolor().size == 0]
    np.testing.assert_allclose(rings.get_offsets(), X[[4]])


def test_several_outputs_meet_where_two_are_largest():
    def three(params, x):
        return jnp.stack([x[:, 0], x[:, 1], params - x[:, 0] - x[:, 1]], axis=1)

    axes = pictures.boundary(three, jnp.array(1.0), X, np.array([2, 0, 1, 0, 1])).axes[0]
    assert axes.get_title(loc="left") == "80 % right"  # all but the last
    diagonal = np.concatenate([path.vertices for c in axes.collections if hasattr(c, "levels") for path in c.get_paths()])
    scores = np.sort(np.stack([diagonal[:, 0], diagonal[:, 1], 1 - diagonal.sum(axis=1)], axis=1), axis=1)
    np.testing.assert_allclose(scores[:, 2], scores[:, 1], atol=2e-2)


def test_frames_are_a_list_or_a_stacked_tree_and_traced_once():
    traces = []

    def counted(params, x):
        traces.append(0)
        return linear(params, x)

    stacked = {"w": jnp.stack([f["w"] for f in FRAMES]), "b": jnp.stack([f["b"] for f in FRAMES])}
    titles = [[axes.get_title(loc="left") for axes in pictures.boundaries(counted, f, X, Y, labels=[0, 1, 2.5]).axes]
              for f in (FRAMES, stacked)]  # fmt: skip
    assert titles[0] == titles[1] == ["epoch 0: 80 % right", "epoch 1: 100 % right", "epoch 2.5: 20 % right"]
    assert len(traces) == 2


def test_frames_fill_rows_and_leave_the_rest_empty():
    figure = pictures.boundaries(linear, FRAMES, X, Y, columns=2)
    assert len(figure.axes) == 4
    assert not figure.axes[3].axison


def test_the_animation_has_a_picture_for_each_frame(tmp_path):
    from PIL import Image

    moving = pictures.boundary_animation(linear, FRAMES, X, Y, seconds=1.5, labels=["a", "b", "c"], theme="dark")
    moving.save(tmp_path / "boundary.gif", writer="pillow", dpi=30)
    with Image.open(tmp_path / "boundary.gif") as picture:
        assert picture.n_frames == 3
        assert picture.info["duration"] == 500


def test_given_axes_are_drawn_on():
    figure = Figure()
    one, *three = figure.subplots(1, 4)
    assert pictures.boundary(linear, FRAMES[0], X, Y, axes=one) is figure
    assert pictures.boundaries(linear, FRAMES, X, Y, axes=three) is figure


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": X[:, :1]}, r"x must be examples of two features, \[n, 2\]; got shape \(5, 1\)"),
        ({"y": Y[:3]}, r"y must be 5 labels, one for each example; got shape \(3,\)"),
        ({"y": Y + 1}, r"y must be labels 0 and 1, or -1 and \+1, for one score; got \[1, 2\]"),
        ({"frames": []}, "no frames"),
        ({"labels": [1, 2]}, "boundaries: labels must be 3, one for each frame; got 2"),
        ({"link": "softmax"}, "link must be 'sigmoid' or 'sign' for one output; got 'softmax'"),
        ({"predict": lambda p, x: p["b"]}, r"predict must return scores \[n\] or \[n, classes\]"),
        ({"columns": 0}, "columns must be an integer >= 1; got 0"),
        ({"axes": []}, "expected 3 axes, one for each frame; got 0"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, message):
    given = {"predict": linear, "frames": FRAMES, "x": X, "y": Y} | arguments
    with pytest.raises(ValueError, match=message):
        pictures.boundaries(given.pop("predict"), given.pop("frames"), given.pop("x"), given.pop("y"), **given)
