"""Losses against scikit-learn, SciPy and NumPy transcriptions of their equations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
from scipy.special import expit, log_softmax

from jaxopt_course.problems import losses

GENERATOR = np.random.default_rng(7)
SCORES = GENERATOR.normal(0.3, 2.0, (11, 4)).astype(np.float32)
CLASSES = np.array([0, 3, 1, 1, 2, 0, 3, 3, 2, 1, 0])
SOFT = GENERATOR.dirichlet([0.5, 1.0, 2.0, 0.3], 11).astype(np.float32)
LOGITS = GENERATOR.normal(-0.4, 2.0, 11).astype(np.float32)
BITS = np.array([1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1])
TARGETS = GENERATOR.normal(1.0, 1.0, 11).astype(np.float32)
TARGET_ROWS = GENERATOR.normal(-1.0, 1.0, (11, 4)).astype(np.float32)


def multiclass_hinge(scores, labels):
    best_wrong = [np.delete(row, label).max() for row, label in zip(scores, labels, strict=True)]
    return np.maximum(0, 1 - (scores[np.arange(len(labels)), labels] - best_wrong))


EQUATIONS = {
    losses.squared_error: [
        (LOGITS, TARGETS, (LOGITS - TARGETS) ** 2),
        (SCORES, TARGET_ROWS, ((SCORES - TARGET_ROWS) ** 2).sum(axis=1)),
    ],
    losses.half_squared_error: [(LOGITS, TARGETS, (LOGITS - TARGETS) ** 2 / 2)],
    losses.binary_hinge: [(LOGITS, 2 * BITS - 1, np.maximum(0, 1 - (2 * BITS - 1) * LOGITS))],
    losses.multiclass_hinge: [(SCORES, CLASSES, multiclass_hinge(SCORES, CLASSES))],
    losses.binary_cross_entropy: [
        (LOGITS, BITS, -np.log(np.where(BITS, expit(LOGITS), 1 - expit(LOGITS)))),
        (LOGITS, BITS.astype(bool), -np.log(np.where(BITS, expit(LOGITS), 1 - expit(LOGITS)))),
    ],
    losses.negative_log_likelihood: [(SCORES, SOFT, -(SOFT * log_softmax(SCORES, axis=1)).sum(axis=1))],
    losses.cross_entropy: [(SCORES, CLASSES, -log_softmax(SCORES, axis=1)[np.arange(11), CLASSES])],
    losses.zero_one: [
        (SCORES, CLASSES, SCORES.argmax(axis=1) != CLASSES),
        (LOGITS, 2 * BITS - 1, np.sign(LOGITS) != 2 * BITS - 1),
        (LOGITS, BITS, (expit(LOGITS) > 0.5) != BITS),
    ],
    losses.accuracy: [(SCORES, CLASSES, SCORES.argmax(axis=1) == CLASSES)],
    losses.binary_accuracy: [(LOGITS, BITS, (expit(LOGITS) > 0.5) == BITS)],
    losses.sign_accuracy: [(LOGITS, 2 * BITS - 1, np.sign(LOGITS) == 2 * BITS - 1)],
}
CASES = [(loss, *case) for loss, cases in EQUATIONS.items() for case in cases]


def call(loss, outputs, y):
    return loss(jnp.asarray(outputs), {"y": jnp.asarray(y)})


@pytest.mark.parametrize(("loss", "outputs", "y", "expected"), CASES)
def test_losses_are_their_equations_per_example(loss, outputs, y, expected):
    values = call(loss, outputs, y)
    assert values.shape == (11,)
    np.testing.assert_allclose(values, expected, rtol=2e-6, atol=1e-6)


def test_every_loss_has_its_equation_here():
    assert {loss.__name__ for loss in EQUATIONS} == set(losses.__all__)


def test_means_are_scikit_learns():
    labels = np.arange(4)
    probabilities = np.exp(log_softmax(SCORES.astype(float), axis=1))
    assert call(losses.cross_entropy, SCORES, CLASSES).mean() == pytest.approx(
        sklearn.metrics.log_loss(CLASSES, probabilities, labels=labels), rel=1e-5
    )
    assert call(losses.binary_cross_entropy, LOGITS, BITS).mean() == pytest.approx(
        sklearn.metrics.log_loss(BITS, expit(LOGITS.astype(float))), rel=1e-5
    )
    assert call(losses.multiclass_hinge, SCORES, CLASSES).mean() == pytest.approx(
        sklearn.metrics.hinge_loss(CLASSES, SCORES, labels=labels), rel=1e-5
    )
    assert call(losses.binary_hinge, LOGITS, 2 * BITS - 1).mean() == pytest.approx(
        sklearn.metrics.hinge_loss(2 * BITS - 1, LOGITS), rel=1e-5
    )
    assert call(losses.accuracy, SCORES, CLASSES).mean() == pytest.approx(
        sklearn.metrics.accuracy_score(CLASSES, SCORES.argmax(axis=1))
    )
    assert call(losses.squared_error, SCORES, TARGET_ROWS).mean() == pytest.approx(
        4 * sklearn.metrics.mean_squared_error(TARGET_ROWS, SCORES), rel=1e-5
    )


def test_hard_targets_are_one_hot_soft_targets():
    one_hot = np.eye(4, dtype=np.float32)[CLASSES]
    soft = call(losses.negative_log_likelihood, SCORES, one_hot)
    np.testing.assert_allclose(call(losses.cross_entropy, SCORES, CLASSES), soft, rtol=1e-5)


@pytest.mark.parametrize("logit", [-1e4, 1e4])
@pytest.mark.parametrize("label", [0, 1])
def test_cross_entropies_and_their_gradients_are_finite_at_large_logits(logit, label):
    binary = jax.value_and_grad(lambda z: call(losses.binary_cross_entropy, z, jnp.array([label])).sum())
    hard = jax.value_and_grad(lambda z: call(losses.cross_entropy, jnp.stack([0 * z, z], -1), jnp.array([label])).sum())
    for value, gradient in (binary(jnp.array([logit])), hard(jnp.array([logit]))):
        assert value == (0 if (logit > 0) == label else 1e4)
        assert gradient == (logit > 0) - label


@pytest.mark.parametrize("loss", [losses.squared_error, losses.binary_hinge, losses.binary_accuracy])
def test_one_column_and_no_column_are_the_same_and_never_broadcast(loss):
    y = 2 * BITS - 1
    expected = call(loss, LOGITS, y)
    assert jnp.array_equal(call(loss, LOGITS[:, None], y), expected)
    assert jnp.array_equal(call(loss, LOGITS, y[:, None]), expected)
    assert jnp.array_equal(call(loss, LOGITS[:, None], y[:, None]), expected)


def test_outputs_that_do_not_match_the_targets_are_refused():
    with pytest.raises(ValueError, match=r"squared_error: outputs and batch\['y'\].* got \(11, 4\) and \(11,\)"):
        call(losses.squared_error, SCORES, TARGETS)
    with pytest.raises(ValueError, match=r"binary_hinge: outputs must be one score for each example.*got shape \(11, 4\)"):
        call(losses.binary_hinge, SCORES, TARGET_ROWS)
    with pytest.raises(ValueError, match=r"negative_log_likelihood: outputs must be logits \[B, K\].*got \(11,\)"):
        call(losses.negative_log_likelihood, LOGITS, TARGETS)
    with pytest.raises(ValueError, match=r"cross_entropy: outputs must be scores of shape \[B, K\].*got \(11,\)"):
        call(losses.cross_entropy, LOGITS, CLASSES)
    with pytest.raises(ValueError, match=r"accuracy: batch\['y'\] must be integer labels.*got float32 \(11,\)"):
        call(losses.accuracy, SCORES, TARGETS)


def test_of_equal_scores_the_first_is_predicted_so_a_constant_model_is_not_always_right():
    scores, labels = jnp.zeros((3, 4)), jnp.array([0, 1, 3])
    assert call(losses.accuracy, scores, labels).tolist() == [1, 0, 0]


def test_nothing_is_predicted_where_a_score_is_not_a_number():
    scores = jnp.array([[jnp.nan, 1.0], [jnp.nan, 1.0], [0.0, 1.0]])
    assert losses.accuracy(scores, {"y": jnp.array([0, 1, 1])}).tolist() == [0, 0, 1]


def test_squared_error_moves_continuously_with_the_weights_and_zero_one_only_at_flips():
    x, y = jnp.array([1.0, -2.0, 0.5]), jnp.array([1, -1, -1])
    weights = jnp.linspace(-1.0, 1.0, 2001)
    scores = weights[:, None] * x
    square, wrong = (
        jax.vmap(lambda s, loss=loss: loss(s, {"y": y}).mean())(scores) for loss in (losses.squared_error, losses.zero_one)
    )
    assert jnp.abs(jnp.diff(square)).max() < 0.01
    assert jnp.unique(wrong).size == 2
    assert jnp.count_nonzero(jnp.diff(wrong)) == 1
    assert jax.grad(lambda w: losses.zero_one(w * x, {"y": y}).mean())(0.3) == 0
