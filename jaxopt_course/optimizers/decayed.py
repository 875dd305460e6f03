"""Weight decay for any optimizer, coupled or not.

coupled     g ← ∇L + λθ goes through the method: the gradient of L + ½λ‖θ‖² [A2]
decoupled   the method takes its step, and θ decays beside it: θ ← θ − αλθ, or θ ← θ − λθ apart from the rate

For gradient descent the two are one. A method that divides by the gradient's size divides a coupled decay too.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from jaxopt_course.transform import chain, optimizer
from jaxopt_course.types import NonNegative

__all__ = ["decayed"]


def decayed(factory: Callable[..., optax.GradientTransformation]) -> Callable[..., optax.GradientTransformationExtraArgs]:
    """An optimizer of ours with weight decay: the same factory, with four more arguments.

    coupled: g ← ∇L + λθ; decoupled: θ ← θ + u − αλθ with the method's step u, or θ ← θ + u − λθ

    The factory that it returns takes, after the numbers of the given one, ``weight_decay`` (λ ≥ 0: a number, a scalar array
    or a schedule; 0.01), and the keywords ``decoupled`` (True), ``decay_by_rate`` (True; False: the rate does not scale a
    decoupled decay, so that λ may carry the schedule alone) and ``mask`` (None; a tree of booleans, or a function from the
    parameters to one, which says what decays). A coupled decay takes θ at the parameters, for look-ahead methods too.

    Args:
        factory: one made by ``jc.optimizer`` or ``jc.inject``, with a ``learning_rate`` (where that is None, decay by the rate
            is by 1).

    Returns:
        A factory of gradient transformations whose ``update`` needs the parameters.

    Raises:
        TypeError: the factory is made otherwise, has no learning rate, or has a weight decay.
        TypeError, ValueError (from what it returns): a mask that is none; a number outside its interval;
            ``decay_by_rate=False`` with a coupled decay, or without a learning rate.

    >>> import jax.numpy as jnp, jaxopt_course as jc
    >>> tx = decayed(jc.sgd)(0.1, weight_decay=0.5)
    >>> theta = jnp.array([1.0, 4.0])
    >>> tx.update(jnp.array([2.0, -0.5]), tx.init(theta), theta)[0]  # −0.1 (g + 0.5 θ)
    Array([-0.25, -0.15], dtype=float32)

    References:
        Loshchilov & Hutter, Decoupled weight decay regularization, 2019. Lectures 001, 003, 004 [A2].
    """
    if not callable(factory):
        raise TypeError(f"decayed: needs a factory, as in decayed(jc.sgd)(0.1); got {factory!r}")
    return _decayed(factory)


@functools.cache  # one factory for each, so that what it makes compares equal
def _decayed(factory: Callable[..., optax.GradientTransformation]) -> Callable[..., optax.GradientTransformationExtraArgs]:
    name = getattr(factory, "__name__", repr(factory))
    signature = inspect.signature(factory)
    if not getattr(factory, "has_hyperparams_in_state", False) or "learning_rate" not in signature.parameters:
        raise TypeError(f"decayed: needs a factory made by jc.optimizer or jc.inject, with a learning_rate; got {name}")
    if "weight_decay" in signature.parameters:
        raise TypeError(f"decayed: {name} has a weight_decay of its own")

    def build(*, weight_decay, decoupled, decay_by_rate, mask, **arguments):
        if not decoupled and not decay_by_rate:
            raise ValueError(f"{name}: decay_by_rate=False needs decoupled=True; a coupled decay is part of the gradient")
        if not decay_by_rate and arguments["learning_rate"] is None:
            raise ValueError(f"{name}: decay_by_rate=False needs a learning_rate to set the decay apart from; got None")
        step = factory(**arguments)
        if not decoupled:
            return chain(optax.add_decayed_weights(weight_decay, mask), step)
        rate = arguments["learning_rate"] if decay_by_rate else None
        return chain(step, optax.add_decayed_weights(-weight_decay if rate is None else -rate * weight_decay, mask))

    keyword = inspect.Parameter.KEYWORD_ONLY
    numbers = [p for p in signature.parameters.values() if p.kind is not keyword]
    decay = inspect.Parameter("weight_decay", numbers[-1].kind, default=0.01, annotation=NonNegative)
    static = [p for p in signature.parameters.values() if p.kind is keyword]
    switches = {"decoupled": True, "decay_by_rate": True}
    static += [inspect.Parameter(k, keyword, default=v, annotation=bool) for k, v in switches.items()]
    static.append(inspect.Parameter("mask", keyword, default=None))
    build.__name__, build.__qualname__, build.__doc__ = name, name, f"{name}, with weight decay; see :func:`decayed`."
    build.__signature__ = inspect.Signature([*numbers, decay, *static])  # type: ignore[attr-defined]  # what `optimizer` binds
    build.__annotations__ = typing.get_type_hints(factory, include_extras=True) | {"weight_decay": NonNegative}
    made = optimizer(build)

    @functools.wraps(made)
    def decaying(*args, mask=None, **kwargs):
        return made(*args, mask=hashable(mask, f"{name}: "), **kwargs)

    return decaying


@dataclasses.dataclass(frozen=True)
class _Mask:
    """A tree of booleans as the function that gives it; equal trees are equal."""

    leaves: tuple[bool, ...]
    structure: Any

    def __call__(self, params: Any) -> Any:
        return jax.tree.unflatten(self.structure, self.leaves)


def hashable(mask: Any, where: str = "") -> Any:
    """A mask as a static argument: None, or a function from the parameters.

    Raises:
        TypeError: it is none of these, and no tree of booleans.
    """
    if mask is None or callable(mask):
        return mask
    leaves, structure = jax.tree.flatten(mask)
    if not leaves or not all(isinstance(leaf, (bool, np.bool_)) for leaf in leaves):
        raise TypeError(f"{where}mask must be a tree of booleans, or a function from the parameters to one; got {mask!r}")
    return _Mask(tuple(map(bool, leaves)), structure)
