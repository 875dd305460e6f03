"""A line search as an optimizer [B7]: the step size is looked for anew at every step.

φ(α) = L(θ + αd), d = −∇L(θ)     θ ← θ + αd, with α by a search from :mod:`jaxopt_course.linesearch`

In mini-batch training L is the objective on the step's own batch, for all evaluations of a search.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_course.checks import check_transformation
from jaxopt_course.linesearch import Search
from jaxopt_course.optimizers.wrapping import speaks_for
from jaxopt_course.transform import chain, map_leaves, optimizer, scale_leaves
from jaxopt_course.types import Params, Positive, Updates, real_dtype

__all__ = ["LineSearchState", "line_search", "scale_by_line_search"]


class LineSearchState(NamedTuple):
    """How the last update's search went.

    Attributes:
        step_size: α of the last update; 0 where it took no step, and before the first one.
        num_linesearch_steps: evaluations of φ in the last update, int32.
        status: a :class:`~jaxopt_course.linesearch.Status`, int32.
    """

    step_size: jax.Array
    num_linesearch_steps: jax.Array
    status: jax.Array

    must_be_last = True


def _taken(direction, step_size):
    return (jnp.where(step_size > 0, step_size * direction, 0),)  # 0 times what is not finite would not be 0


@optimizer
def scale_by_line_search(search: Any, initial_step: Positive = 1.0, growth: Positive = 1.1, *, warm_start: bool = True):
    """The last link of a chain: scale the direction that comes in, d, by a step size that is searched along it.

    φ(α) = L(θ + αd), u ← αd

    ``update`` needs the parameters and optax's extra argument ``value_fn`` (θ → L), and takes ``value`` and ``grad``, L and ∇L
    at θ; without them, one more evaluation finds φ(0) and φ′(0). ``jc.fit``, ``jc.make_step`` and ``jc.minimize`` pass all
    three. Where d does not descend, or no α tried lowers L, or something is not finite, u = 0, and the state's ``status``
    says which. Derivatives through the update take α as a constant.

    Args:
        search: as for :func:`line_search`, like the rest.
        initial_step: the first α to try, at the first update, and after one that took no step.
        growth: at others, the first α to try is the last one taken, times this.
        warm_start: otherwise it is ``initial_step`` at all updates.

    Returns:
        A gradient transformation.

    Raises:
        TypeError, ValueError: as :func:`line_search`.

    >>> import jaxopt_course as jc
    >>> tx, x = jc.chain(optax.scale(-1.0), scale_by_line_search(jc.linesearch.exact())), jnp.array([1.0, 2.0])
    >>> loss = lambda x: jnp.sum((x - 3.0) ** 2)
    >>> step, state = tx.update(jax.grad(loss)(x), tx.init(x), x, value_fn=loss)
    >>> jnp.round(x + step, 2)
    Array([3., 3.], dtype=float32)
    """
    _check_search("scale_by_line_search", search)

    def init(params):
        return LineSearchState(jnp.zeros((), real_dtype(params)), jnp.int32(0), jnp.int32(0))

    def update(updates, state, params=None, *, value=None, grad=None, value_fn=None, **extra):
        phi = _phi(value_fn, params, updates)
        slope = None if grad is None else _inner_product(grad, updates)
        first = jnp.where((state.step_size > 0) & warm_start, growth * state.step_size, initial_step)
        outcome = search(phi, first, value=value, slope=slope)
        (steps,) = map_leaves(_taken, updates, step_size=outcome.step_size)
        return steps, LineSearchState(outcome.step_size, outcome.evaluations, outcome.status)

    return optax.GradientTransformationExtraArgs(init, update)


_DOWNHILL = optax.scale(-1.0)  # one object, so that line searches compare equal


@speaks_for("scale_by_line_search")
def line_search(
    search: Search,
    direction: optax.GradientTransformation | None = None,
    initial_step: Positive = 1.0,
    growth: Positive | None = None,
    *,
    warm_start: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Descent whose step size a line search finds, at every step.

    θ ← θ + αd, with α ≈ argmin L(θ + αd); d = −∇L(θ)

    ``jc.fit``, ``jc.make_step`` and ``jc.minimize`` pass what it needs; in a loop of one's own,
    ``update(grads, state, params, value=…, grad=…, value_fn=…)`` as for optax's searches. A mini-batch's search uses this
    batch's objective. Where d does not descend, or no α tried lowers L, or something is not finite, the step is 0; the state's
    ``status`` says which. The history records ``step_size``, and counts all evaluations as ``gradient_evaluations``.

    A mini-batch alone allows longer steps than all the data: a larger c₁ (0.1 to 0.5) and a growth near 1 keep them short; for
    deterministic functions, a growth of 2 forgets a short step faster.

    Args:
        search: ``jc.linesearch.armijo(...)``, ``.wolfe(...)`` or ``.exact(...)``. Its numbers are hyperparameters too: each
            takes a schedule, and is set by path (``jc.set_hyperparams(state, {"search/c1": 0.1})``).
        direction: d: the updates of any optimizer, ``jc.momentum(1.0)`` say; −∇L by default.
        initial_step: the first α to try, at the first update, and after one that took no step, > 0: a number, a scalar array
            or a schedule.
        growth: at others, the first α to try is the last one taken, times this, > 0, likewise; 1.1 by default.
        warm_start: otherwise it is ``initial_step`` at all updates (for Newton-like directions, whose α is 1).

    Returns:
        A gradient transformation.

    Raises:
        TypeError: the search is none, or the direction no gradient transformation. ValueError: a number that is not > 0, or a
            growth without warm start; from ``init``, a direction that looks ahead, along which no search is possible
            (``nesterov(form="shifted")`` is); from ``update``, ``value_fn`` or the parameters are missing.

    >>> import jaxopt_course as jc
    >>> rosenbrock = lambda p: (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
    >>> newton_like = optax.chain(optax.scale_by_lbfgs(), optax.scale(-1.0))
    >>> tx = line_search(jc.linesearch.wolfe(), newton_like, warm_start=False)
    >>> descent = jc.minimize(rosenbrock, tx, start=[-1.5, 2.0], steps=60)
    >>> bool(descent.value < 1e-8), float(descent.history.step_size[1])
    (True, 1.0)

    References:
        Nocedal & Wright, Numerical optimization, 2006, chapter 3; on mini-batches: Vaswani et al., Painless stochastic
        gradient, 2019. Lecture 000 [B7].
    """
    _check_search("line_search", search)
    if growth is not None and not warm_start:
        raise ValueError(f"line_search: growth={growth!r} needs warm_start=True; without, all searches begin at initial_step")
    if direction is not None:
        check_transformation("line_search", "direction", direction)
    return chain(
        _DOWNHILL if direction is None else direction,
        scale_by_line_search(search, initial_step, 1.1 if growth is None else growth, warm_start=warm_start),
    )


def _check_search(where: str, search: Any) -> None:
    if not isinstance(search, Search):
        raise TypeError(f"{where}: search must be a jc.linesearch.armijo(), wolfe() or exact(); got {search!r}")


def _phi(value_fn: Callable[[Params], Any] | None, params: Params | None, direction: Updates) -> Callable[[jax.Array], Any]:
    """φ(α) = L(θ + αd), at the very parameters that a step α would lead to."""
    if params is None:
        raise ValueError("line_search.update: needs the parameters: update(grads, state, params, value_fn=...)")
    if value_fn is None:
        raise ValueError(
            "line_search.update: needs value_fn, the function of the parameters to search on (and value, grad, if known): "
            "update(grads, state, params, value=..., grad=..., value_fn=...); jc.fit, jc.make_step and jc.minimize pass them"
        )
    is_gap = lambda node: isinstance(node, optax.MaskedNode)
    if any(map(is_gap, jax.tree.leaves(params, is_leaf=is_gap))):
        raise ValueError("line_search.update: inside a mask or partition it has a part of what value_fn takes; put it outside")
    return lambda step: value_fn(optax.apply_updates(params, scale_leaves(step, direction)))


def _inner_product(grad: Updates, direction: Updates) -> jax.Array:
    """φ′(0) = ⟨∇L, d⟩, in float32 at least; the real part, as descent in the complex plane is in two real directions."""
    wide = jax.tree.map(lambda x: x.astype(jnp.promote_types(x.dtype, jnp.float32)), (grad, direction))
    return jnp.real(optax.tree.vdot(*wide))
