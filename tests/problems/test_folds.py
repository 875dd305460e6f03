"""Folds are an exact partition, alike but for their data; cross-validation finds what scikit-learn finds [A3]."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit, cross_val_score

import jaxopt_course as jc
from jaxopt_course import problems
from jaxopt_course.problems import folds

X = np.random.default_rng(3).normal(size=(23, 2)).astype(np.float32)
Y = np.repeat([0, 1, 2], [12, 7, 4])
RIDGE = problems.linear_regression(30, 4, noise=1.0)


def rows(x):
    """Which examples these are."""
    return [int(np.flatnonzero((row == X).all(axis=1))[0]) for row in np.asarray(x)]


@pytest.mark.parametrize("k", [2, 5, 23])
@pytest.mark.parametrize("validation", [0.3, None])
def test_every_example_is_held_out_once_and_trains_otherwise(k, validation):
    made = folds(problems.from_arrays(X, Y, validation=validation), k)
    assert len(made) == k
    assert sorted(row for fold in made for row in rows(fold.data.validation["x"])) == list(range(23))
    for fold in made:
        train, held_out = rows(fold.data.train["x"]), rows(fold.data.validation["x"])
        assert sorted(train + held_out) == list(range(23))
        assert len(held_out) in (23 // k, 23 // k + 1)
        np.testing.assert_array_equal(fold.data.train["y"], Y[train])
        np.testing.assert_array_equal(fold.data.validation["y"], Y[held_out])


def test_each_class_is_dealt_in_proportion_unless_told_otherwise():
    problem = problems.from_arrays(X, Y)
    counts = np.array([np.bincount(fold.data.validation["y"], minlength=3) for fold in folds(problem, 4)])
    assert (counts.max(axis=0) - counts.min(axis=0)).tolist() == [0, 1, 0]
    loose = np.array([np.bincount(f.data.validation["y"], minlength=3) for f in folds(problem, 4, stratify=False)])
    assert (loose.max(axis=0) - loose.min(axis=0)).max() > 1


def test_the_test_split_and_the_functions_stay():
    problem = jc.problems.digits()
    for i, fold in enumerate(folds(problem, 3)):
        assert fold.data.test is problem.data.test
        assert (fold.objective, fold.init) == (problem.objective, problem.init)
        assert fold.name == f"digits/softmax[{i + 1}/3]"


def test_the_seed_decides():
    problem = problems.from_arrays(X, Y)
    assert folds(problem, 3, seed=4) == folds(problem, 3, seed=4)
    assert folds(problem, 3, seed=4) != folds(problem, 3, seed=5)


def test_any_pytree_can_be_folded():
    problem = jc.Problem.from_loss(lambda w, batch: (batch[0] - w) ** 2, 0.0, (jnp.arange(5.0), jnp.arange(5.0)))
    held_out = np.concatenate([fold.data.validation[0] for fold in folds(problem, 2)])
    assert sorted(held_out) == [0, 1, 2, 3, 4]


def test_the_optimum_of_each_fold_scores_what_scikit_learn_scores():
    """Ridge minimises Σ(ŷ − y)² + a‖w‖²; ours is the mean, here of half the squares: a = 2nλ."""
    made = folds(RIDGE, 5, seed=1)
    with jax.enable_x64(True):
        ours = []
        for fold in made:
            best = dataclasses.replace(fold, regularizer=problems.l2(0.05)).optimum()
            ours.append(float(fold.objective(best.params, {}, fold.data.validation).losses.mean()))
    x, y = (np.concatenate([np.asarray(fold.data.validation[name], float) for fold in made]) for name in "xy")
    split = PredefinedSplit(np.repeat(np.arange(5), [fold.data.validation["x"].shape[0] for fold in made]))
    theirs = -cross_val_score(Ridge(2 * 48 * 0.05), x, y, scoring="neg_mean_squared_error", cv=split) / 2
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_cross_validation_is_a_sweep_over_folds():
    made = folds(RIDGE, 3)
    penalties = [0.001, 0.1, 10.0]
    results = jc.sweep(
        lambda fold, regularization: dataclasses.replace(made[fold], regularizer=problems.l2(regularization)),
        jc.sgd(0.3),
        jc.grid(regularization=penalties, fold=range(3)),
        seeds=1,
        batch_size=40,
        epochs=40,
    )
    assert results.validation_loss.sizes["fold"] == 3
    for fold in range(3):
        best = dataclasses.replace(made[fold], regularizer=problems.l2(0.1)).optimum()
        expected = made[fold].objective(best.params, {}, made[fold].data.validation).losses.mean()
        found = results.validation_loss.sel(regularization=0.1, fold=fold, seed=0).isel(epoch=-1)
        assert float(found) == pytest.approx(float(expected), rel=0.02)


def test_folds_of_equal_size_share_their_programs():
    from jaxopt_course.training.step import TRACES

    first, *others = folds(RIDGE, 5)
    jc.fit(first, jc.sgd(0.1), epochs=1, batch_size=16)
    before = TRACES.total()
    for fold in others:
        jc.fit(fold, jc.sgd(0.1), epochs=1, batch_size=16)
    assert TRACES.total() == before


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"k": 1}, ValueError, "folds: k must be an integer from 2 to 60; got 1"),
        ({"k": 61}, ValueError, "folds: k must be an integer from 2 to 60; got 61"),
        ({"k": 2.0}, TypeError, "folds: k must be an integer from 2 to 60; got 2.0"),
        ({"seed": -1}, ValueError, "folds: seed must be an integer >= 0; got -1"),
        ({"stratify": "no"}, TypeError, "folds: stratify must be True or False; got 'no'"),
        ({"stratify": True}, ValueError, "folds: stratify=True needs labels"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, kind, message):
    with pytest.raises(kind, match=message):
        folds(RIDGE, **arguments)
