"""Problems of the user's own arrays: what they are made into, and what is refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxopt_course.problems import Data, from_arrays, losses, models

KEY = jax.random.key(0)
X = np.random.default_rng(8).normal(2.0, 3.0, (20, 3))
BITS = np.arange(20) % 2
WITH_NAN = X.copy()
WITH_NAN[2, 1] = np.nan


class TestFromArrays:
    @pytest.mark.parametrize(
        ("y", "arguments", "loss", "outputs"),
        [
            (X[:, 0], {}, losses.squared_error, (16,)),
            (X[:, :1], {}, losses.squared_error, (16,)),
            (X[:, :2], {}, losses.squared_error, (16, 2)),
            (X[:, :2], {"model": "mlp"}, losses.squared_error, (16, 2)),
            (BITS, {}, losses.binary_cross_entropy, (16,)),
            (BITS.astype(bool), {}, losses.binary_cross_entropy, (16,)),
            (BITS.astype(float), {}, losses.squared_error, (16,)),
            (BITS.astype(float), {"model": "logistic"}, losses.binary_cross_entropy, (16,)),
            (BITS.astype(float), {"loss": losses.cross_entropy}, losses.cross_entropy, (16, 2)),
            (BITS, {"model": "mlp"}, losses.binary_cross_entropy, (16,)),
            (BITS, {"model": "softmax"}, losses.cross_entropy, (16, 2)),
            (2 * BITS - 1, {}, losses.binary_hinge, (16,)),
            (np.arange(20) % 4, {}, losses.cross_entropy, (16, 4)),
            (np.arange(20) % 4, {"model": "mlp", "loss": losses.multiclass_hinge}, losses.multiclass_hinge, (16, 4)),
            (np.arange(20) % 4, {"loss": losses.squared_error}, losses.squared_error, (16,)),
            (np.eye(4)[np.arange(20) % 4], {"loss": losses.negative_log_likelihood}, losses.negative_log_likelihood, (16, 4)),
        ],
    )
    def test_the_task_follows_from_targets_and_model(self, y, arguments, loss, outputs):
        problem = from_arrays(X, y, **arguments)
        assert problem.loss is loss
        assert problem.apply(*problem.init(KEY), problem.data.train)[0].shape == outputs
        evaluation = problem.objective(*problem.init(KEY), problem.data.train)
        assert evaluation.losses.shape == (16,)
        assert set(evaluation.metrics) == (set() if problem.data.train["y"].dtype == jnp.float32 else {"accuracy"})

    @pytest.mark.parametrize("kind", [np.asarray, jnp.asarray, np.ndarray.tolist], ids=["numpy", "jax", "list"])
    def test_examples_stay_with_their_targets_whatever_holds_them(self, kind):
        problem = from_arrays(kind(X), kind(X @ [1.0, -2.0, 0.5]), validation=0.25, test=0.1)
        assert repr(problem) == "Problem(arrays: 13 train, 5 validation, 2 test)"
        for split in problem.data:
            np.testing.assert_allclose(split["x"] @ jnp.array([1.0, -2.0, 0.5]), split["y"], rtol=1e-4, atol=1e-4)
        seen = np.concatenate([split["x"][:, 0] for split in problem.data])
        np.testing.assert_allclose(np.sort(seen), np.sort(X[:, 0]), rtol=1e-6)

    def test_bytes_stay_bytes(self):
        assert from_arrays(np.full((4, 2, 2), 200, np.uint8), [0, 1, 0, 1]).data.train["x"].dtype == jnp.uint8

    def test_splits_keep_the_proportions_of_the_classes_and_follow_the_seed(self):
        y = np.repeat([0, 1, 2], [50, 30, 20])
        x = np.arange(100.0)
        problem = from_arrays(x, y, validation=0.2, test=0.1)
        assert [jnp.bincount(split["y"]).tolist() for split in problem.data] == [[35, 21, 14], [10, 6, 4], [5, 3, 2]]
        assert problem == from_arrays(x, y, validation=0.2, test=0.1)
        assert problem != from_arrays(x, y, validation=0.2, test=0.1, seed=1)

    def test_splits_can_be_given(self):
        problem = from_arrays(X, BITS, validation=(X[:5] + 1, BITS[:5]), test=(X[:2], 3 - BITS[:2] - 2))
        assert repr(problem) == "Problem(arrays: 20 train, 5 validation, 2 test)"
        np.testing.assert_allclose(problem.data.train["x"], X, rtol=1e-6)
        assert problem.data.test["y"].tolist() == [1, 0]

    def test_without_held_out_examples_the_order_is_kept(self):
        data = from_arrays(X, BITS, validation=None).data
        assert data == Data(data.train)
        np.testing.assert_allclose(data.train["x"], X, rtol=1e-6)

    def test_flax_modules_metrics_and_losses_of_ones_own(self):
        def absolute(outputs, batch):
            return jnp.abs(outputs[:, 0] - batch["y"])

        problem = from_arrays(X, BITS * 7, model=linen.Dense(1), loss=absolute, metrics={"error": absolute}, name="mine")
        evaluation = problem.objective(*problem.init(KEY), problem.data.train)
        assert jnp.array_equal(evaluation.losses, evaluation.metrics["error"])
        assert problem.name == "mine"

    def test_no_metrics_are_none(self):
        problem = from_arrays(X, BITS, metrics={})
        assert problem.objective(*problem.init(KEY), problem.data.train).metrics == {}

    def test_a_scalar_loss_couples_the_batch(self):
        assert from_arrays(X, X[:, 0], loss=lambda outputs, batch: jnp.var(outputs - batch["y"])).coupled

    @pytest.mark.parametrize(
        ("x", "y", "arguments", "kind", "message"),
        [
            (X, BITS[:19], {}, ValueError, "x and y must have the same length; got 20 and 19"),
            (X[:0], BITS[:0], {}, ValueError, r"x must have at least one example; got shape \(0, 3\)"),
            (3.0, 1, {}, ValueError, r"x must have at least one example; got shape \(\)"),
            (WITH_NAN, BITS, {}, ValueError, r"x must be finite; got nan at x\[2, 1\]"),
            (X, np.where(BITS, np.inf, 0.0), {}, ValueError, r"y must be finite; got inf at y\[1\]"),
            (np.full((2, 2), 1e300), [0, 1], {}, ValueError, r"x must be finite; got inf at x\[0, 0\]"),
            (X, BITS, {"seed": -1}, ValueError, "from_arrays: seed must be an integer >= 0; got -1"),
            (X, BITS, {"seed": "a"}, TypeError, "from_arrays: seed must be an integer >= 0; got 'a'"),
            (X, None, {}, TypeError, "from_arrays: y must be an array; got None"),
            ([[1.0], [1.0, 2.0]], [0, 1], {}, ValueError, "x must be an array; got ragged list"),
            (X, ["cat", "dog"] * 10, {}, TypeError, r"y must be numbers; got dtype <U3; np.unique\(y, return_inverse"),
            (X, BITS + 0.5, {"model": "softmax"}, ValueError, "y must be whole numbers, as labels .*; got 0.5"),
            (X, BITS - 2, {}, ValueError, r"y must be labels from 0, or -1 and \+1; got labels from -2 to -1"),
            (X, BITS * 5, {"model": "logistic"}, ValueError, r"labels 0 or 1 \(or -1 or \+1\) for a model with 1 output; got"),
            (
                X,
                BITS * 5,
                {"model": models.softmax(3)},
                ValueError,
                "labels from 0 to 2 for a model with 3 outputs; got labels",
            ),
            (
                X,
                BITS,
                {"loss": losses.binary_hinge},
                ValueError,
                r"labels -1 or \+1 for binary_hinge and a model with 1 output",
            ),
            (X, X[:, :2], {"model": models.linear(3)}, ValueError, r"squared_error: outputs and batch\['y'\]"),
            (X + 1j, BITS, {}, TypeError, "from_arrays: x must be real numbers; got dtype complex"),
            (X, X[:, 0] * 1j, {}, TypeError, "from_arrays: y must be real numbers; got dtype complex"),
            (X, X[:, 0], {"loss": "mse"}, TypeError, "from_arrays: loss must be a function .*; got 'mse'"),
            (X, BITS, {"model": "mpl"}, ValueError, "unknown model 'mpl'; did you mean 'mlp'"),
            (X, BITS, {"validation": 1.0}, ValueError, r"validation must be a number in \[0, 1\); got 1.0"),
            (X, BITS, {"validation": 0.6, "test": 0.4}, ValueError, "validation=0.6, test=0.4 leave none of 20 examples"),
            (
                X,
                BITS,
                {"test": (X[:, :2], BITS)},
                ValueError,
                r"same shapes in all splits; got train \(3,\) and \(\), test \(2,\)",
            ),
            (X, BITS, {"validation": (X,)}, ValueError, r"validation must be a fraction or a pair \(x, y\); got 1 array"),
            (X, BITS, {"validation": (X, BITS[:3])}, ValueError, "validation x and validation y must have the same length"),
        ],
    )
    def test_bad_arrays_are_refused_by_name(self, x, y, arguments, kind, message):
        with pytest.raises(kind, match=message):
            from_arrays(x, y, **arguments)
