"""Samplers that draw some examples more often than others, and the weights that make up for it [F2].

𝔼[Σ_{i∈B} w_i ∇ℓ_i] = Σ_i (m p_i) w_i ∇ℓ_i = ∇L,   for draws of probability p_i and weights w_i = 1 / (n p_i m)
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxopt_course import checks
from jaxopt_course.checks import Interval
from jaxopt_course.training.samplers.adaptive import ByLoss
from jaxopt_course.types import Batch

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["Balanced", "Importance", "balanced", "importance"]


@dataclasses.dataclass(frozen=True, eq=False)
class Balanced:
    """See :func:`balanced`."""

    labels: Any = None
    unbiased: bool = False
    fixed: bool = dataclasses.field(default=False, init=False)

    def bind(self, where: str, data: Batch, num_examples: int) -> Balanced:
        """The same sampler with the data's labels, checked."""
        labels = self.labels
        if labels is None:
            labels = data.get("y") if isinstance(data, dict) else None
            if labels is None:
                raise ValueError(f"{where}: samplers.balanced() needs labels: the data have no 'y'; give balanced(labels)")
        labels = np.asarray(labels)
        if labels.shape != (num_examples,):
            raise ValueError(
                f"{where}: samplers.balanced() needs one label for each of {num_examples} examples; got shape {labels.shape}"
            )
        if labels.dtype.kind not in "iub" and not (labels.dtype.kind == "f" and (labels == np.rint(labels)).all()):
            raise ValueError(
                f"{where}: samplers.balanced() needs class labels, which are integers; got {labels.dtype}: {labels[:3]}, …"
            )
        return dataclasses.replace(self, labels=labels)

    @functools.cached_property
    def members(self) -> list[Int[np.ndarray, " members"]]:
        """The examples of each class."""
        _, classes = np.unique(self.labels, return_inverse=True)
        return [np.flatnonzero(classes == c).astype(np.int32) for c in range(classes.max() + 1)]

    @property
    def probabilities(self) -> Float[np.ndarray, " examples"]:
        """p_i = 1 / (K n_c)."""
        p = np.empty(len(self.labels))
        for members in self.members:
            p[members] = 1 / (len(self.members) * len(members))
        return p

    @functools.cached_property
    def factors(self) -> Float[np.ndarray, " examples"] | None:
        return 1 / (len(self.labels) * self.probabilities) if self.unbiased else None

    def order(self, rng: np.random.Generator, num_examples: int) -> Int[np.ndarray, " examples"]:
        rounds = -(-num_examples // len(self.members))
        classes = rng.permuted(np.tile(np.arange(len(self.members)), (rounds, 1)), axis=1).ravel()[:num_examples]
        out = np.empty(num_examples, np.int32)
        for c, members in enumerate(self.members):
            places = np.flatnonzero(classes == c)
            passes = [rng.permutation(members) for _ in range(-(-len(places) // len(members)))]
            out[places] = np.concatenate([*passes, members[:0]])[: len(places)]
        return out


@dataclasses.dataclass(frozen=True, eq=False)
class Importance:
    """See :func:`importance`."""

    scores: Float[np.ndarray, " examples"]
    floor: float
    fixed: bool = dataclasses.field(default=False, init=False)

    def bind(self, where: str, data: Batch, num_examples: int) -> Importance:
        """The same sampler, if its scores fit the data."""
        if len(self.scores) != num_examples:
            raise ValueError(
                f"{where}: samplers.importance() needs one score for each of {num_examples} examples; got {len(self.scores)}"
            )
        return self

    @property
    def probabilities(self) -> Float[np.ndarray, " examples"]:
        """p_i = (1 − ε) s_i / Σ_j s_j + ε / n."""
        scores = np.ldexp(self.scores, -np.frexp(self.scores.max())[1])  # their sum may be more than the largest float
        return (1 - self.floor) * scores / scores.sum() + self.floor / len(scores)

    @functools.cached_property
    def factors(self) -> Float[np.ndarray, " examples"]:
        return 1 / (len(self.scores) * self.probabilities)

    @functools.cached_property
    def _up_to(self) -> Float[np.ndarray, " examples"]:
        up_to = np.cumsum(self.probabilities)
        return up_to / up_to[-1]

    def order(self, rng: np.random.Generator, num_examples: int) -> Int[np.ndarray, " examples"]:
        return np.searchsorted(self._up_to, rng.random(num_examples), side="right").astype(np.int32)


def balanced(labels: Int[np.ndarray, " examples"] | None = None, *, unbiased: bool = False) -> Balanced:
    """Class-balanced batches: K draws in a row have each of the K classes once, in a random order [F2].

    p_i = 1 / (K n_c) for each of the n_c examples of class c; w_i = 1/m, or w_i = K n_c / (n m) if ``unbiased``

    With weights 1/m the run minimises the balanced risk (1/K) Σ_c (1/n_c) Σ_{i∈c} ℓ_i, in which a rare class counts as much
    as a frequent one; with the others, the problem's own. A batch has exactly m/K of each class where K divides m. Within
    a class, draws are without replacement until all are used. An epoch is ⌈n/m⌉ batches.

    Args:
        labels: the class of each training example, [n], whole numbers; the data's ``"y"`` by default.
        unbiased: weights that keep the problem's own objective; they need per-example losses.

    Returns:
        A sampler.

    Raises:
        TypeError: ``unbiased`` is no bool. ``fit`` raises ValueError if there are no labels, or no such ones.

    >>> sampler = balanced(np.array([0, 0, 0, 0, 0, 1]))
    >>> np.array([0, 0, 0, 0, 0, 1])[sampler.order(np.random.default_rng(0), 6)].reshape(3, 2).sum(1).tolist()
    [1, 1, 1]

    References:
        Lecture 004: "must make sure of class/data balance in batches".
    """
    return Balanced(labels, checks.check_bool("samplers.balanced", "unbiased", unbiased))


def importance(score: Any = "loss", floor: float = 0.1) -> Importance | ByLoss:
    """Draw informative examples more often, with replacement, and weigh them less: the gradient stays unbiased [F2].

    p_i = (1 − ε) s_i / Σ_j s_j + ε / n,   w_i = 1 / (n p_i m):   𝔼[Σ w_i ∇ℓ_i] = ∇L exactly

    The floor keeps the selection "random enough": no weight exceeds 1 / (ε m). Best are scores near ‖∇ℓ_i‖: for least
    squares and logistic regression, ‖x_i‖², the Lipschitz constants of the examples' gradients, up to a factor. An epoch is
    ⌈n/m⌉ batches.

    Args:
        score: s_i ≥ 0, [n]; or ``"loss"``: s_i is the loss that example i had when it was last seen (negative ones count as
            0), and 1 before; it is updated at every step, and goes on from ``result.state``.
        floor: ε in [0, 1]: 1 draws uniformly, 0 by the scores alone, all of which must be positive then.

    Returns:
        A sampler.

    Raises:
        TypeError, ValueError: the scores are no finite numbers >= 0 with a positive sum, or the floor is not in [0, 1], or
            is 0 where a score is, or may become, 0. ``fit`` raises ValueError if they are not n, or if losses are coupled.

    >>> importance([1.0, 3.0], floor=0.2).probabilities.round(6).tolist()
    [0.3, 0.7]

    References:
        Needell, Srebro and Ward, Stochastic gradient descent, weighted sampling, and the randomized Kaczmarz algorithm,
        NeurIPS 2014. Zhao and Zhang, Stochastic optimization with importance sampling, ICML 2015. By losses: Katharopoulos and
        Fleuret, Not all samples are created equal, ICML 2018. Lecture 004: "could select samples with max information content,
        but make sure the selection is still random enough".
    """
    where = "samplers.importance"
    checks.check_number(where, "floor", floor, Interval(0, 1))
    if isinstance(score, str):
        if score != "loss":
            raise ValueError(f"{where}: score must be 'loss' or one number for each example; got {score!r}")
        if floor == 0:
            raise ValueError(f"{where}: floor must be > 0 with score='loss', as a loss can become 0; got {floor}")
        return ByLoss(float(floor))
    checks.check_number(where, "score", jax.device_get(score), Interval(0), scalar=False)
    scores = np.asarray(score, np.float64)
    if scores.ndim != 1:
        raise ValueError(f"{where}: score must be a 1-D array, one number for each example; got shape {scores.shape}")
    if not (scores > 0).any():
        raise ValueError(f"{where}: score must be one number for each example, with a positive sum; got {score!r:.200}")
    if floor == 0 and not (scores > 0).all():
        raise ValueError(f"{where}: floor must be > 0 where a score is 0: such an example would never be drawn; got {floor}")
    return Importance(scores, float(floor))
