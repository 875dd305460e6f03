"""Smaller steps when the loss stops falling: a schedule that follows the run instead of a plan [C4].

u ← c·u, with c ← f·c whenever the mean loss over a window was no improvement for more than ``patience`` windows in a row
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import optax

from jaxopt_course.checks import Interval, check_transformation
from jaxopt_course.optimizers.wrapping import speaks_for
from jaxopt_course.transform import chain, optimizer, scale_leaves
from jaxopt_course.types import Fraction, NonNegative

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int

__all__ = ["PlateauState", "plateau"]

AtLeastOne: TypeAlias = Annotated[Any, Interval(1)]


class PlateauState(NamedTuple):
    """What a wait for better losses remembers.

    Attributes:
        scale: c. best: the best window's mean so far.
        bad: windows since then. rest: windows still to be ignored after a reduction.
        total, seen: of the present window's losses.
    """

    scale: Float[Array, ""]
    best: Float[Array, ""]
    bad: Int[Array, ""]
    rest: Int[Array, ""]
    total: Float[Array, ""]
    seen: Int[Array, ""]


def _look(state: PlateauState, mean, factor, patience, rtol, atol, cooldown, min_scale) -> PlateauState:
    """What the end of a window changes."""
    known = jnp.isfinite(state.best)
    margin = jnp.where(known, rtol * jnp.abs(jnp.where(known, state.best, 0)) + atol, 0)
    better = mean < state.best - margin  # |best|, so that a negative loss has to fall further, too
    bad = jnp.where(better | (state.rest > 0), 0, state.bad + 1)
    reduce = bad > patience
    return PlateauState(
        scale=jnp.where(reduce, jnp.minimum(state.scale, jnp.maximum(factor * state.scale, min_scale)), state.scale),
        best=jnp.where(better, mean, state.best),
        bad=jnp.where(reduce, 0, bad),
        rest=jnp.where(reduce, jnp.ceil(cooldown).astype(jnp.int32), jnp.maximum(state.rest - 1, 0)),
        total=jnp.zeros_like(state.total),
        seen=jnp.zeros_like(state.seen),
    )


@optimizer
def reduce_on_plateau(
    factor: Fraction = 0.1,
    patience: NonNegative = 10,
    rtol: NonNegative = 1e-4,
    atol: NonNegative = 0.0,
    window: AtLeastOne = 1,
    cooldown: NonNegative = 0,
    min_scale: Fraction = 0.0,
):
    """The last link of a chain: shorten its steps when the loss stops falling. See :func:`plateau`."""

    def init(params):
        zero, none = jnp.zeros((), jnp.result_type(float)), jnp.zeros((), jnp.int32)
        return PlateauState(zero + 1, zero + jnp.inf, none, none, zero, none)

    def update(updates, state, params=None, *, value=None, **extra):
        if value is None or isinstance(value, (str, list, tuple)) or jnp.shape(value) != ():
            raise ValueError(f"plateau.update: give it the loss: update(grads, state, params, value=loss); got {value!r}")
        total = state.total + jnp.real(value).astype(state.total.dtype)
        state = state._replace(total=total, seen=state.seen + 1)
        looked = _look(state, total / state.seen, factor, patience, rtol, atol, cooldown, min_scale)
        ended = state.seen >= window
        state = PlateauState(*(jnp.where(ended, new, old) for new, old in zip(looked, state, strict=True)))
        return scale_leaves(state.scale, updates), state

    return optax.GradientTransformationExtraArgs(init, update)


@speaks_for("reduce_on_plateau")
def plateau(
    optimizer: optax.GradientTransformation,
    factor: Any = 0.1,
    patience: Any = 10,
    rtol: Any = 1e-4,
    atol: Any = 0.0,
    window: Any = 1,
    cooldown: Any = 0,
    min_scale: Any = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """Any optimizer, with smaller steps each time the loss has stopped falling.

    u ← c·u; c ← max(f·c, c_min) after more than ``patience`` windows in a row with L̄ ≥ L̄* − (rtol·\\|L̄*\\| + atol)

    Args:
        optimizer: ours or optax's; its steps are scaled. A look-ahead must not be: use ``nesterov(form="shifted")``.
        factor: f in [0, 1], by which steps shrink.
        patience: windows without improvement to wait for.
        rtol, atol: what counts as an improvement of the best mean L̄*. Negative losses improve by falling, as all do.
        window: updates whose losses are averaged before looking: an epoch's, say (:func:`jaxopt_course.schedules.epochs`).
        cooldown: windows to ignore after a reduction.
        min_scale: c_min in [0, 1].

    Returns:
        A gradient transformation whose ``update`` needs ``value=loss``, as ``fit``, ``make_step`` and ``minimize`` give it.
        The present c is the state's ``scale``.

    Raises:
        TypeError: ``optimizer`` is not a gradient transformation. ValueError: a number outside its interval.

    >>> import jaxopt_course as jc
    >>> tx = plateau(jc.sgd(1.0), factor=0.5, patience=1)
    >>> state, g = tx.init(jnp.zeros(1)), jnp.ones(1)
    >>> for loss in (-1.0, -2.0, -2.0, -2.0):  # the third is no improvement, the fourth one too many
    ...     steps, state = tx.update(g, state, value=loss)
    >>> steps
    Array([-0.5], dtype=float32)

    References:
        The halving of lecture 002 [C4], at moments found instead of planned; ``ReduceLROnPlateau`` of Keras and PyTorch.
    """
    check_transformation("plateau", "optimizer", optimizer)
    return chain(optimizer, reduce_on_plateau(factor, patience, rtol, atol, window, cooldown, min_scale))
