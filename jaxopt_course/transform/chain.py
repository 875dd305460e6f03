"""Transformations in a row: each one's updates are the next one's gradients."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import jax
import optax

from jaxopt_course.checks import check_transformation
from jaxopt_course.transform.jaxprs import CASTS, is_literal, origin
from jaxopt_course.transform.points import ChainState, displaced_paths, must_be_last
from jaxopt_course.types import Params, Updates

__all__ = ["ChainState", "chain", "takes_extra_arguments"]


@dataclasses.dataclass(frozen=True)
class _Member:
    """A member's ``update``, as it is (a wrapped one would not compare equal)."""

    update: Any
    takes_extra: bool

    def __repr__(self) -> str:
        return getattr(self.update, "__qualname__", repr(self.update))

    def __call__(self, updates, state, params, extra):
        return self.update(updates, state, params, **(extra if self.takes_extra else {}))


@dataclasses.dataclass(frozen=True)
class ChainUpdate:
    """``update`` of a chain: equal when its members' are."""

    members: tuple[_Member, ...]

    def __repr__(self) -> str:
        return f"chain({', '.join(map(repr, self.members))})"

    def __call__(self, updates: Updates, state: Any, params: Params | None = None, **extra: Any) -> tuple[Updates, Any]:
        if not isinstance(state, ChainState) or len(state.members) != len(self.members):
            raise ValueError(f"chain.update: this state was not made by this chain's init: {type(state).__name__}")
        new = []
        for member, old in zip(self.members, state.members, strict=True):
            updates, member_state = member(updates, old, params, extra)
            new.append(member_state)
        return updates, ChainState(tuple(new))


@dataclasses.dataclass(frozen=True, eq=False)
class ChainInit:
    """``init`` of a chain: the members' states, once it is sure that nothing spoils a look-ahead."""

    inits: tuple[Any, ...]
    update: ChainUpdate

    def __repr__(self) -> str:
        return f"chain({', '.join(getattr(init, '__qualname__', repr(init)) for init in self.inits)})"

    def __call__(self, params: Params) -> Any:
        state = ChainState(tuple(init(params) for init in self.inits))
        displaced_paths(state)  # raises where two displacements meet
        for i, member in enumerate(state.members[:-1]):
            tail = ChainUpdate(self.update.members[i + 1 :]), ChainState(state.members[i + 1 :])
            if paths := displaced_paths(member):
                _check_leaves_alone(*tail, params, paths)
            if last := must_be_last(member):
                _check_unchanged(*tail, params, type(last).__name__)
        return state


def chain(*transforms: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Apply transformations one after another, ours and optax's: ``optax.chain``, whose ``update`` compares.

    It is equal when its members' are. Chains inside are flattened. A foreign one compares by identity: build it once.

    Args:
        transforms: any number of gradient transformations.

    Returns:
        The chain; extra arguments reach the members that take them.

    Raises:
        TypeError: a member is not a gradient transformation.
        ValueError (from ``init``): two look-aheads displace one leaf; a member behind a look-ahead rescales its step or
            searches along it [D3]; or one behind an average or a line search changes the step at all.

    >>> import jaxopt_course as jc
    >>> clip = optax.clip_by_global_norm(1.0)
    >>> chain(clip, jc.sgd(0.1)).update == chain(clip, jc.sgd(0.2)).update
    True
    """
    inits, members = [], []
    for i, transform in enumerate(transforms):
        check_transformation("chain", f"member {i}", transform)
        if isinstance(transform.update, ChainUpdate):
            inits += transform.init.inits  # type: ignore[attr-defined]  # a ChainInit, as its update is a ChainUpdate
            members += transform.update.members
        else:
            inits.append(transform.init)
            members.append(_Member(transform.update, takes_extra_arguments(transform)))
    update = ChainUpdate(tuple(members))
    return optax.GradientTransformationExtraArgs(ChainInit(tuple(inits), update), update)


def takes_extra_arguments(optimizer: optax.GradientTransformation) -> bool:
    """Whether ``update`` takes optax's extra arguments (value, grad, value_fn): not only its own, as SAM's does."""
    if not isinstance(optimizer, optax.GradientTransformationExtraArgs):
        return False
    code = getattr(optimizer.update, "__code__", None)
    if code is None or code.co_flags & inspect.CO_VARKEYWORDS:
        return True
    return {"value", "grad", "value_fn"} <= {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]}


def _program(tail: ChainUpdate, state: ChainState, params: Params) -> Any:
    """What a tail does to the updates, as a program: it holds for every value of its numbers."""

    def apply(updates):
        extra = {"value": 0.0, "grad": updates, "value_fn": lambda p: 0.0 * sum(x.sum() for x in jax.tree.leaves(p))}
        return tail(updates, state, params, **extra)[0]

    with jax.disable_jit():
        return jax.make_jaxpr(apply)(jax.tree.map(jax.numpy.zeros_like, params)).jaxpr


def _check_unchanged(tail: ChainUpdate, state: ChainState, params: Params, name: str) -> None:
    """Raise unless the tail hands on the steps as they are: what was averaged, or searched for, is then what is done."""
    program = _program(tail, state, params)
    for (path, _), var, out in zip(jax.tree_util.tree_leaves_with_path(params), program.invars, program.outvars, strict=True):
        if origin(program, out) is not var:
            leaf = jax.tree_util.keystr(path) or "params"
            raise ValueError(
                f"chain: a transformation behind {name} changes the step of {leaf}, which was averaged, or searched for, "
                "as it was: put it before, as in averaged(plateau(...))"
            )


def _check_leaves_alone(tail: ChainUpdate, state: ChainState, params: Params, paths: set[Any]) -> None:
    """Raise unless the tail only adds to the steps at ``paths``: a look-ahead is exact only if the step is −m."""
    program = _program(tail, state, params)
    for (path, _), var, out in zip(jax.tree_util.tree_leaves_with_path(params), program.invars, program.outvars, strict=True):
        if path in paths and not _only_adds(program, var, out):
            name = jax.tree_util.keystr(path) or "params"
            raise ValueError(
                f"chain: a transformation behind a look-ahead rescales the step of {name}, or searches along it; "
                "the look-ahead would be taken at the wrong point: put it before, or use nesterov(form='shifted')"
            )


def _only_adds(program: Any, var: Any, out: Any) -> bool:
    """Whether ``out`` is ``var`` plus something that does not depend on the program's inputs."""
    dependent, producer = set(program.invars), {}
    for equation in program.eqns:
        if any(not is_literal(v) and v in dependent for v in equation.invars):
            dependent.update(equation.outvars)
        producer.update(dict.fromkeys(equation.outvars, equation))
    while out is not var:
        equation = None if is_literal(out) else producer.get(out)
        if equation is None or equation.primitive.name not in ("add", "add_any", "sub", *CASTS):
            return False
        carriers = [v for v in equation.invars if not is_literal(v) and v in dependent]
        if len(carriers) != 1 or (equation.primitive.name == "sub" and carriers[0] is not equation.invars[0]):
            return False
        out = carriers[0]
    return True
