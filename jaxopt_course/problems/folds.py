"""K-fold cross-validation: every example is held out once [A3].

The examples are dealt into k parts; fold i trains on the other parts and validates on part i. The mean of the k validation
losses uses every example, and their spread says how far to trust it.
"""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from jaxopt_course.checks import check_bool, check_integer
from jaxopt_course.problems.objective import Data, Problem, num_examples
from jaxopt_course.types import Batch

__all__ = ["fold_rows", "folds"]


def folds(problem: Problem, k: int = 5, *, seed: int = 0, stratify: bool | None = None) -> tuple[Problem, ...]:
    """The same problem k times, each with another part of its examples held out for validation [A3].

    CV(λ) = (1/k) Σᵢ L_validation(θ̂ trained without part i)

    Training and validation examples are pooled and dealt into k parts whose sizes differ by one at most; the test split stays
    what it is. Folds are equal but for their data, so training all of them compiles once if k divides the number of
    examples, else twice.

    Args:
        problem: its data are ``{"x", "y"}`` or any pytrees with one leading axis.
        k: how many parts, from 2 to the number of examples (then each is held out alone).
        seed: of the permutation.
        stratify: deal each class in proportion, to within one example; by default where ``y`` are integers, one for each.

    Returns:
        k problems, ``name`` ending in ``[i/k]``.

    Raises:
        ValueError, TypeError: ``k`` is out of range; ``seed`` is not an integer ≥ 0; ``stratify`` is no bool, or true
            without integer labels.

    >>> from jaxopt_course import problems
    >>> folds(problems.linear_regression(50, 3), 4)[1]
    Problem(linear_regression[2/4]: 75 train, 25 validation, 50 test)

    References:
        Lectures 001 and 003 [A3].
    """
    data = problem.data
    pooled = data.train if data.validation is None else jax.tree.map(_join, data.train, data.validation)
    count = num_examples(pooled)
    check_integer("folds", "k", k, minimum=2, maximum=count)
    check_integer("folds", "seed", seed, minimum=0)
    parts = fold_rows(_groups(pooled, count, stratify), k, seed)
    made = []
    for i, held_out in enumerate(parts):
        train = np.concatenate([part for j, part in enumerate(parts) if j != i])
        splits = Data(_take(pooled, train), _take(pooled, held_out), data.test)
        made.append(dataclasses.replace(problem, data=splits, name=f"{problem.name}[{i + 1}/{k}]"))
    return tuple(made)


def fold_rows(groups: np.ndarray, k: int, seed: int) -> list[np.ndarray]:
    """Row numbers in k disjoint parts: each row in one, sizes within one of each other, each group's counts too.

    Args:
        groups: what to keep in proportion, ``[n]``: the labels, or a constant.
        k: how many parts.
        seed: of the permutation, an integer ≥ 0.

    >>> [part.tolist() for part in fold_rows(np.array([0, 0, 0, 0, 1, 1]), 2, seed=0)]
    [[3, 0, 5], [2, 1, 4]]
    """
    rows = np.random.default_rng(seed).permutation(len(groups))
    rows = rows[np.argsort(groups[rows], kind="stable")]
    return [rows[part::k] for part in range(k)]


def _groups(data: Batch, count: int, stratify: bool | None) -> np.ndarray:
    wanted = None if stratify is None else check_bool("folds", "stratify", stratify)
    y = data.get("y") if isinstance(data, dict) else None
    labelled = y is not None and np.ndim(y) == 1 and np.issubdtype(np.asarray(y).dtype, np.integer)
    if wanted and not labelled:
        raise ValueError("folds: stratify=True needs labels: data with integers 'y', one for each example")
    return np.asarray(y) if labelled and wanted is not False else np.zeros(count)


def _join(a: jax.Array, b: jax.Array) -> np.ndarray:
    return np.concatenate([np.asarray(a), np.asarray(b)])


def _take(data: Batch, rows: np.ndarray) -> Batch:
    return jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf)[rows]), data)
