"""Optimizers of other libraries, by name: ``"optax.lion"``, ``"optax.contrib.muon"``, ``"my_module.my_optimizer"``."""

from __future__ import annotations

import functools
import importlib
import inspect
import math
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_course import checks
from jaxopt_course.training.state import as_transformation
from jaxopt_course.transform import inject

__all__ = ["find", "foreign"]

ALIASES = ("lr", "rate", "alpha", "eta", "gamma", "step_size")
AROUND = (0.1, 0.3, 1.0, 3.0, 10.0)  # times the factory's own default


def foreign(where: str, name: str) -> tuple[Callable[[float], optax.GradientTransformation], tuple[float, ...] | None]:
    """A factory by its dotted name, as a function of the learning rate alone, and the grid that it suggests.

    All its learning rates share one compiled program (see :func:`jaxopt_course.inject`).

    Returns:
        The function, and learning rates around the factory's default, if it has one; None if not; (NaN,) if it takes none.

    Raises:
        ValueError: no such module or factory (with the closest match).
        TypeError: it needs other arguments than a learning rate, or its ``update`` does; or it takes no learning rate and does
            not go downhill.

    >>> factory, rates = foreign("race", "optax.contrib.prodigy")
    >>> rates
    (0.1, 0.3, 1.0, 3.0, 10.0)
    """
    function = find(where, name)
    parameters = inspect.signature(function).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if missing := [p for p in needed if p != "learning_rate"]:
        example = f"race(problem, {{{name!r}: lambda rate: {name}(...)}})"
        raise TypeError(f"{where}: {name} needs more than a learning rate: {', '.join(missing)}; give a function: {example}")
    rate = next((p for p in parameters if p.name == "learning_rate"), None)
    if other := [p.name for p in parameters if p.name in ALIASES and rate is None]:
        raise TypeError(f"{where}: {name} calls its learning rate {other[0]}; give a function: {{{name!r}: {name}}}")
    if rate is None:
        _try(where, name, function, descends=True)
        return lambda _: function(), (math.nan,)
    injected = inject(function, static=tuple(p.name for p in parameters if p.name != "learning_rate"))
    _try(where, name, functools.partial(injected, learning_rate=0.1))
    known = isinstance(rate.default, float) and rate.default > 0
    grid = tuple(float(f"{rate.default * factor:.3g}") for factor in AROUND) if known else None
    return functools.partial(_at, injected), grid


def _at(factory: Callable[..., optax.GradientTransformation], rate: float) -> optax.GradientTransformation:
    return factory(learning_rate=rate)


def find(where: str, name: str) -> Callable[..., Any]:
    """The factory of this dotted name, with all its arguments.

    Raises:
        ValueError: no such module or factory (with the closest match). TypeError: it is a class.
    """
    path, _, last = name.rpartition(".")
    try:
        module = importlib.import_module(path)
    except (ImportError, ValueError, TypeError) as error:  # the last two: names like '.sgd'
        raise ValueError(f"{where}: unknown optimizer {name!r}: there is no module {path!r} here ({error})") from None
    if not last:
        raise ValueError(f"{where}: unknown optimizer {name!r}: write a factory's name after the dot: 'optax.adam'")
    found = getattr(module, last, None)
    if inspect.isclass(found):
        hint = "; jc.dialects has Keras's by name, 'jaxopt_course.dialects.keras.adam', and PyTorch's for a function of yours"
        raise TypeError(f"{where}: {name} is a class, no function that makes a gradient transformation{hint}")
    if found is None or not _is_function(found) or last.startswith("scale_by_"):  # a kernel's step goes uphill
        raise ValueError(f"{where}: unknown optimizer {name!r}{checks.closest(name, factories(module))}")
    return found


def _is_function(found: Any) -> bool:
    return inspect.isfunction(found.func if isinstance(found, functools.partial) else found)


def factories(module: ModuleType) -> Iterable[str]:
    """What in a module looks like an optimizer: functions of a learning rate."""
    for name, function in inspect.getmembers(module, _is_function):
        if not name.startswith(("_", "scale_by_")) and "learning_rate" in inspect.signature(function).parameters:
            yield f"{module.__name__}.{name}"


def _try(where: str, name: str, build: Callable[[], Any], descends: bool = False) -> None:
    """One update on shapes, with what ``fit`` gives: an ``update`` that asks for more is found out here; and, on numbers,
    one that does not go downhill, as only what has no learning rate may.
    """
    try:
        built = build()
    except Exception as error:
        raise TypeError(f"{where}: {name} is no optimizer: {error}") from error
    optimizer = optax.with_extra_args_support(as_transformation(f"{where}: {name}", built))
    params = {"w": jnp.zeros((2, 2)), "b": jnp.zeros(2)}

    def once(params):
        extra = {"value": jnp.ones(()), "grad": params, "value_fn": lambda p: sum(x.sum() for x in jax.tree.leaves(p))}
        updates, _ = optimizer.update(params, optimizer.init(params), params, **extra)
        return optax.tree.vdot(params, updates)

    try:
        jax.eval_shape(once, params)
    except Exception as error:
        raise TypeError(
            f"{where}: {name} needs more than fit gives (value, grad, value_fn), or cannot update: {error}"
        ) from error
    if descends and not jax.jit(once)(jax.tree.map(jnp.ones_like, params)) < 0:
        raise TypeError(f"{where}: {name} is no optimizer: it takes no learning rate, and its step does not go downhill")
