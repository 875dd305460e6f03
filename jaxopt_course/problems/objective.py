"""What is minimised: L(θ) = Σ wᵢ ℓ(f(xᵢ; θ), yᵢ) + λR(θ) [A1, A2].

A :class:`Problem` is functions plus data. Its functions (the :class:`Objective`) are static and compare by value, so
that equal problems share compiled code; its data and its λ are arguments of that code, never constants in it.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course.checks import check_bool
from jaxopt_course.types import Batch, Key, ModelState, Params, Regularizer

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from jaxopt_course.problems.optimum import Optimum

__all__ = ["Data", "Evaluation", "Objective", "Problem", "Start", "given_losses", "num_examples"]


class Data(NamedTuple):
    """Train, validation and test splits [A3]: pytrees with one leading axis, or None."""

    train: Batch
    validation: Batch | None = None
    test: Batch | None = None


class Evaluation(NamedTuple):
    """One forward pass: per-example losses and metrics (a scalar loss if it couples the batch), and the model state."""

    losses: Float[Array, " batch"]
    metrics: dict[str, Float[Array, " batch"]]
    model_state: ModelState


@dataclasses.dataclass(frozen=True)
class Objective:
    """The static half of a problem: the functions that are compiled. Hashable; equal when its parts are."""

    apply: Callable[..., tuple[Any, ModelState]]
    loss: Callable[[Any, Batch], Float[Array, " batch"]]
    metrics: Callable[[Any, Batch], dict[str, Float[Array, " batch"]]] | None = None
    coupled: bool = False

    @classmethod
    def from_loss(cls, loss: Callable[[Params, Batch], Any]) -> Objective:
        """A plain ``loss(params, batch)`` as an objective: its "outputs" are the losses."""
        return cls(_LossOfParams(loss), given_losses)

    def __call__(
        self, params: Params, model_state: ModelState, batch: Batch, *, key: Key | None = None, train: bool = False
    ) -> Evaluation:
        """Losses and metrics of a batch, from one forward pass."""
        outputs, model_state = self.apply(params, model_state, batch, key=key, train=train)
        metrics = self.metrics(outputs, batch) if self.metrics else {}
        return Evaluation(self.loss(outputs, batch), metrics, model_state)


@dataclasses.dataclass(frozen=True)
class _MetricTable:
    """A table of metric functions as the one function that a problem holds."""

    table: tuple[tuple[str, Callable[[Any, Batch], Float[Array, " batch"]]], ...]

    def __call__(self, outputs: Any, batch: Batch) -> dict[str, Float[Array, " batch"]]:
        return {name: metric(outputs, batch) for name, metric in self.table}


@dataclasses.dataclass(frozen=True)
class _LossOfParams:
    """``loss(params, batch)`` in the place of a model: its "outputs" are the losses."""

    loss: Callable[[Params, Batch], Any]

    def __call__(self, params, model_state, batch, *, key=None, train=False):
        return self.loss(params, batch), model_state


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
    """The initialiser that starts at given parameters, whatever the key."""

    params: Params

    def __call__(self, key: Key) -> tuple[Params, ModelState]:
        # JAX remembers what a NumPy array became, by its identity, also when precision is switched: it gets a copy.
        return jax.tree.map(lambda leaf: jnp.array(copy.copy(leaf), copy=True), self.params), {}


def given_losses(outputs: Any, batch: Batch) -> Any:
    """The loss of a problem whose "outputs" are the losses."""
    return outputs


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """Something to train: a model, its per-example loss, data, metrics, and a regulariser [A1, A2].

    L(θ) = Σ wᵢ ℓ(f(xᵢ; θ), yᵢ) + λR(θ)

    Args:
        init: ``init(key) → (params, model_state)``.
        apply: ``apply(params, model_state, batch, *, key, train) → (outputs, model_state)``.
        loss: ``loss(outputs, batch) → [B]``, one value for each example.
        data: a :class:`Data`, or just the training split: a pytree with one leading axis (dicts ``{"x", "y"}``).
        metrics: ``metrics(outputs, batch) → {name: [B]}``, or a dict of functions ``(outputs, batch) → [B]``.
        regularizer: λR(θ), a function of the parameters; see :mod:`jaxopt_course.problems.regularizers`.
        coupled: the loss of an example depends on the rest of its batch (a scalar loss, batch statistics): ragged
            batches are dropped then, not weighted.
        module: ``module(params, model_state)`` gives the trained model back in its own library's form.
        name: what tables and pictures call it.

    Raises:
        TypeError: a part is not callable or not hashable, or ``coupled`` is no bool. ValueError: empty data, or leaves of
            different lengths.

    >>> import jax.numpy as jnp
    >>> problem = Problem.from_loss(lambda w, batch: (batch["x"] @ w - batch["y"]) ** 2, jnp.zeros(2),
    ...                             {"x": jnp.eye(2), "y": jnp.array([1.0, 2.0])})
    >>> problem.num_examples, problem.coupled
    (2, False)
    """

    init: Callable[[Key], tuple[Params, ModelState]]
    apply: Callable[..., tuple[Any, ModelState]]
    loss: Callable[[Any, Batch], Float[Array, " batch"]]
    data: Data | Batch
    metrics: Callable | Mapping[str, Callable] | None = None
    regularizer: Callable[[Params], Any] | None = None
    coupled: bool = False
    module: Callable[[Params, ModelState], Any] | None = None
    name: str = "problem"

    def __post_init__(self):
        if isinstance(self.metrics, Mapping):
            for name, metric in self.metrics.items():
                if not (isinstance(name, str) and callable(metric)):
                    raise TypeError(f"Problem: metrics must be functions by name; got {metric!r} called {name!r}")
            object.__setattr__(self, "metrics", _MetricTable(tuple(self.metrics.items())))
        if not isinstance(self.data, Data):
            object.__setattr__(self, "data", Data(self.data))
        for part in ("init", "apply", "loss", "metrics", "regularizer", "module"):
            optional = part not in ("init", "apply", "loss") and getattr(self, part) is None
            if not (optional or callable(getattr(self, part))):
                raise TypeError(f"Problem: {part} must be a function; got {getattr(self, part)!r}")
        check_bool("Problem", "coupled", self.coupled)
        if self.regularizer is not None and not isinstance(self.regularizer, Regularizer):
            object.__setattr__(self, "regularizer", Regularizer(self.regularizer))
        try:
            hash(self.objective)
        except TypeError as error:
            raise TypeError(f"Problem: apply, loss and metrics must be hashable functions: {error}") from None
        for split, batch in self.data._asdict().items():
            if batch is not None:
                num_examples(batch, f"Problem: data.{split}")

    @classmethod
    def from_loss(
        cls,
        loss: Callable[[Params, Batch], Any],
        params: Params,
        data: Data | Batch,
        *,
        regularizer: Callable[[Params], Any] | None = None,
        name: str = "problem",
    ) -> Problem:
        """A problem from a plain ``loss(params, batch)``, per example ``[B]`` or a scalar (which couples the batch).

        Args:
            loss: the function to minimise.
            params: where to start.
            data: as for :class:`Problem`.
            regularizer: λR(θ), if any.
            name: what tables call it.

        Raises:
            TypeError: a parameter is not a floating-point number. ValueError: the loss has more than one axis.

        >>> Problem.from_loss(lambda w, batch: jnp.mean((batch - w) ** 2), 0.0, jnp.arange(3.0)).coupled
        True
        """
        for path, leaf in jax.tree_util.tree_leaves_with_path(params):
            if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
                place = f"params{jax.tree_util.keystr(path)}"
                raise TypeError(f"from_loss: parameters must be floating-point; {place} is {jnp.result_type(leaf)}")
        train = (data if isinstance(data, Data) else Data(data)).train
        size = num_examples(train, "from_loss: data")
        shape = jax.eval_shape(loss, jax.tree.map(jnp.asarray, params), train).shape
        if shape not in ((), (size,)):
            raise ValueError(f"from_loss: loss must return a scalar or one value for each of {size} examples; got {shape}")
        return cls(
            init=Start(params),
            apply=_LossOfParams(loss),
            loss=given_losses,
            data=data,
            regularizer=regularizer,
            coupled=shape == (),
            name=name,
        )

    @property
    def objective(self) -> Objective:
        """The functions alone: the part that is compiled."""
        return Objective(self.apply, self.loss, self.metrics, self.coupled)  # type: ignore[arg-type]  # a table by now

    @property
    def num_examples(self) -> int:
        """n, the number of training examples."""
        return num_examples(self.data.train)

    def optimum(self) -> Optimum:
        """The minimum on the training split, for linear, logistic and softmax models: the convex ground truth [A6].

        θ* = argmin (1/n) Σ ℓ(f(xᵢ; θ), yᵢ) + λ Σ w²

        The closed form for squared errors, Newton's method for cross-entropies, in float64 whatever JAX's precision is. Of
        many minimisers, the one with the least Σ w² (and classes' scores that sum to zero). Suboptimality is then
        ``result.history.objective - problem.optimum().objective`` for full batches; for mini-batches the same of
        ``validation_objective``, with the training split as ``Data(train, validation=train)``. A float32 run's own rounding
        hides what is below 10⁻⁷ L*. Computed anew at each call: keep it.

        Returns:
            An :class:`~jaxopt_course.problems.optimum.Optimum`: ``params`` like the problem's own, ``objective`` L*, and
            ``gradient_norm``, which certifies it.

        Raises:
            ValueError: the problem is not convex, or no solution is known for its model, loss or regulariser (accepted: none
                or l2), or no minimum is attained, as on separable labels without a regulariser.

        >>> from jaxopt_course.problems import l2, logistic_regression
        >>> best = logistic_regression(50, 3, regularizer=l2(0.01)).optimum()
        >>> round(best.objective, 4), best.gradient_norm < 1e-12
        (0.5576, True)

        References:
            Lecture 000 [A6].
        """
        from jaxopt_course.problems.optimum import optimum  # which knows models and losses, and so this module

        return optimum(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Problem):
            return NotImplemented
        mine, theirs = (self.objective, self.regularizer), (other.objective, other.regularizer)
        if (self.init, *mine) != (other.init, *theirs) or jax.tree.structure(self.data) != jax.tree.structure(other.data):
            return False
        pairs = zip(jax.tree.leaves(self.data), jax.tree.leaves(other.data), strict=True)
        return all(a is b or np.array_equal(a, b) for a, b in pairs)

    def __hash__(self) -> int:
        return hash((self.objective, self.regularizer))

    def __repr__(self) -> str:
        sizes = {k: num_examples(v) for k, v in self.data._asdict().items() if v is not None}
        return f"Problem({self.name}: {', '.join(f'{size} {split}' for split, size in sizes.items())})"


def num_examples(data: Batch, where: str = "data") -> int:
    """The length of the one leading axis that all leaves share.

    Raises:
        ValueError: there are no leaves, no examples, or the lengths differ (with the leaf's path).

    >>> num_examples({"x": np.zeros((3, 2)), "y": np.zeros(3)})
    3
    """
    leaves = jax.tree_util.tree_leaves_with_path(data)
    if not leaves:
        raise ValueError(f"{where}: no arrays; expected a pytree of arrays with one leading axis")
    for path, leaf in leaves:
        if np.ndim(leaf) == 0:
            raise ValueError(
                f"{where}: {jax.tree_util.keystr(path) or 'it'} is a scalar; expected arrays with one leading axis"
            )
    lengths = {jax.tree_util.keystr(path) or "data": np.shape(leaf)[0] for path, leaf in leaves}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{where}: leaves differ in length: {', '.join(f'{k} has {v}' for k, v in lengths.items())}")
    length = next(iter(lengths.values()))
    if length == 0:
        raise ValueError(f"{where}: empty; expected at least one example")
    return length
