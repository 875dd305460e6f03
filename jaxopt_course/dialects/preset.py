"""What the dialects share: how a preset refuses, and when a number is off."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import numpy as np
import optax
from jax.core import Tracer

from jaxopt_course import checks
from jaxopt_course import optimizers as ours
from jaxopt_course.optimizers.decayed import decayed, hashable
from jaxopt_course.schedules import scaled

__all__ = ["Switch", "off", "pair", "preset", "times", "with_decay"]

P = ParamSpec("P")
T = TypeVar("T")


class Switch(NamedTuple):
    """An argument of the framework's that does nothing here: its default, and what to use for another value.

    Without ``instead`` any value is accepted: it changes nothing mathematically.
    """

    default: Any
    instead: str = ""


MEANINGS = {
    "learning_rate": "α ≥ 0",
    "momentum": "μ in [0, 1]",
    "dampening": "τ in [0, 1]",
    "nesterov": "Nesterov's momentum in the shifted form",
    "b1": "β₁ in [0, 1)",
    "b2": "β₂ in [0, 1)",
    "betas": "(β₁, β₂), a pair, each in [0, 1)",
    "decay": "ρ in [0, 1)",
    "eps": "ε ≥ 0",
    "eps_root": "ε_root ≥ 0",
    "eps_inside_sqrt": "√(v + ε) in the place of √v + ε",
    "initial_accumulator": "v₀ ≥ 0",
    "momentum_decay": "ψ ≥ 0 of μₜ",
    "weight_decay": "λ ≥ 0",
    "mask": "a tree of booleans, or a function from the parameters to one, which says what decays",
    "centred": "√(v − ḡ²), with ḡ ← ρḡ + (1 − ρ)g, in the place of √v",
    "bias_correction": "moving averages divided by the sum of their weights",
    "accumulator_dtype": "m's dtype; by default each leaf's own",
    "amsgrad": "divide by the largest v so far, as :func:`jaxopt_course.amsgrad`",
    "maximize": "ascend",
    "decay_rate": "k ≥ 0 of α / (1 + kt), :func:`jaxopt_course.schedules.time_based`",
    "decoupled": "λθ beside the step; otherwise it is part of the gradient",
    "schedule": "ηₜ ≥ 0, which scales the decay too",
    "lambd": "λ ≥ 0, which decays the parameters and the rate",
    "alpha": "the power of the rate's decay",
    "t0": "t₀ ≥ 0: the average begins a step later",
}
"""What our keywords, and the frameworks' switches that we have, mean: the lines of the presets' Args."""

_NUMBERS_ONLY = {"decay_rate", "lambd", "alpha", "t0"}  # what a schedule of the preset's own is made of

_SECTIONS = """{doc}

Args:
{arguments}

Returns:
    A gradient transformation, in whose state the numbers have our names; each may be a scalar array or a schedule{except_}.

Raises:
    TypeError: an argument that {framework} does not have. ValueError: a number outside its interval{refused}.

>>> import jax.numpy as jnp, jaxopt_course as jc
>>> tx, params = {call}, jnp.array([3.0])
>>> step, state = tx.update(2 * params, tx.init(params), params)  # downhill on θ²
>>> bool(step[0] < 0)
True

References:
    {source}
"""


def preset(
    framework: str,
    names: Mapping[str, str | tuple[str, ...]],
    switches: Mapping[str, Switch] | None = None,
    *,
    note: str = "",
) -> Callable[..., Callable[[Callable[P, T]], Callable[..., T]]]:
    """Decorators for a framework's methods: a function from its arguments to an optimizer of ours, its errors in their names.

    Args:
        framework: its name.
        names: its arguments → our keywords, where they differ; a pair's, both.
        switches: arguments that follow the function's own; ones that it names itself stand where it puts them.
        note: the end of an error about arguments that do not fit.

    Returns:
        ``(factory of ours, name=keyword, ...) → decorator``, with what differs for this method only.

    Raises:
        TypeError: arguments that the framework does not have. ValueError: a switch that is not here, or what our factory
            refuses, in the framework's names.

    >>> import jaxopt_course as jc
    >>> switches = {"clip": Switch(None, "optax.clip"), "verbose": Switch(False)}
    >>> somebodys = preset("somebody", {"rate": "learning_rate"}, switches)
    >>> @somebodys(jc.sgd)
    ... def descent(rate=0.1):
    ...     \"\"\"θ ← θ − αg.\"\"\"
    ...     return jc.sgd(rate)
    >>> descent(verbose=True).update == jc.sgd(0.1).update
    True
    >>> descent(clip=1.0)
    Traceback (most recent call last):
    ValueError: dialects.somebody.descent: clip=1.0 is not here; use optax.clip
    >>> descent(-1.0)
    Traceback (most recent call last):
    ValueError: dialects.somebody.descent(rate=-1.0): rate must be a number >= 0; got -1.0
    """
    switches = dict(switches or {})

    def method(factory: Callable[..., Any], **special: str) -> Callable[[Callable[P, T]], Callable[..., T]]:
        return functools.partial(decorate, factory, {**names, **special})

    def decorate(factory: Callable[..., Any], keywords: Mapping[str, Any], function: Callable[P, T]) -> Callable[..., T]:
        where = f"dialects.{framework}.{function.__name__}"
        own = inspect.signature(function)
        added = [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=switch.default)
            for name, switch in switches.items()
            if name not in own.parameters
        ]
        split = [p for p in own.parameters.values() if p.kind is p.KEYWORD_ONLY]
        positional = [p for p in own.parameters.values() if p.kind is not p.KEYWORD_ONLY]
        signature = own.replace(parameters=[*positional, *added, *split])
        theirs = _spelled(signature, keywords)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> T:
            if args and (isinstance(args[0], (list, tuple, dict, Iterator)) or np.ndim(args[0]) > 0):
                hint = "parameters are not given here, but to init; the first argument is the learning rate"
                raise TypeError(f"{where}: {hint}; got {args[0]!r:.100}")
            try:
                numbers, static = checks.bind(signature, where, args, kwargs)
            except TypeError as error:
                raise TypeError(f"{error}{'' if _fits(signature, args, kwargs) else note}") from None
            arguments = numbers | static
            for name, switch in switches.items():
                value = arguments[name]
                if switch.instead and not _same(value, switch.default):
                    raise ValueError(f"{where}: {name}={value!r} is not here; use {switch.instead}")
            try:
                return function(**{name: arguments[name] for name in own.parameters})  # type: ignore[call-arg]  # P's, by name
            except (TypeError, ValueError) as error:  # in our names, beside the call in theirs
                given = dict(zip(own.parameters, args, strict=False)) | kwargs
                shown = ", ".join(f"{name}={value!r:.60}" for name, value in given.items())
                raise type(error)(f"{where}({shown}): {_translated(str(error), theirs)}") from None

        refused = tuple(name for name, switch in switches.items() if switch.instead)
        numbers_only = [f"``{name}``" for name in signature.parameters if keywords.get(name, name) in _NUMBERS_ONLY]
        first = next(iter(signature.parameters.values()))
        rate = f"{first.name}=0.1" if first.default in (first.empty, None) else ""
        row = next((entry.lecture for entry in ours.CATALOG.values() if entry.factory is factory), "")
        call.__doc__ = _SECTIONS.format(
            doc=inspect.getdoc(function),
            arguments="\n".join(f"    {name}: {_meaning(name, keywords, switches)}." for name in signature.parameters),
            except_=f", except {' and '.join(numbers_only)}" if numbers_only else "",
            framework="the paper" if framework == "paper" else framework,
            refused=", or a switch that is not here" if refused else "",
            call=f"jc.dialects.{framework}.{function.__name__}({rate})",
            source=f"Our keywords and the paper: :func:`jaxopt_course.{factory.__name__}`" + (f" [{row}]." if row else "."),
        )
        call.__signature__ = signature  # type: ignore[attr-defined]  # what help() and inspect show
        call.refused = refused  # type: ignore[attr-defined]  # for the table
        call.has_hyperparams_in_state = True  # type: ignore[attr-defined]  # `jc.inject` has nothing to add
        return call

    return method


def _fits(signature: inspect.Signature, args: tuple, kwargs: Mapping[str, Any]) -> bool:
    try:
        return bool(signature.bind(*args, **kwargs))
    except TypeError:
        return False


def _meaning(name: str, keywords: Mapping[str, Any], switches: Mapping[str, Switch]) -> str:
    """What an argument is: a line of the docstring."""
    if name in switches:
        instead = switches[name].instead
        return f"{switches[name].default} only; use {instead}" if instead else "accepted, without effect"
    ours_ = keywords.get(name, name)
    meaning = MEANINGS.get(name if isinstance(ours_, tuple) else ours_)
    if meaning is None:
        return "accepted, without effect"
    called = " and ".join(f"``{keyword}``" for keyword in ([ours_] if isinstance(ours_, str) else ours_))
    return meaning if ours_ == name or ours_ == "schedule" else f"{meaning}; our {called}"


def _spelled(signature: inspect.Signature, keywords: Mapping[str, Any]) -> dict[str, str]:
    """Our keyword → the framework's spelling of it."""
    spelled = {}
    for name in signature.parameters:
        keyword = keywords.get(name, name)
        pairs = [(keyword, name)] if isinstance(keyword, str) else [(k, f"{name}[{i}]") for i, k in enumerate(keyword)]
        spelled.update(pairs)
    return spelled


def _translated(message: str, theirs: Mapping[str, str]) -> str:
    """Our error about a number, about the framework's argument.

    >>> _translated("adam: b1 must be a number in [0, 1); got 2", {"b1": "betas[0]"})
    'betas[0] must be a number in [0, 1); got 2'
    """
    found = re.match(r"(?:\w*: )?(\w+)(?= (?:must be|at step 0|is a function))", message)
    if found is None or found[1] not in theirs:
        return message.removeprefix(": ")
    return theirs[found[1]] + message[found.end() :]


def _same(value: Any, default: Any) -> bool:
    if isinstance(value, (np.generic, np.ndarray, jax.Array)) and not isinstance(value, Tracer) and value.ndim == 0:
        value = value.item()
    return value is default or (isinstance(value, (bool, int, float, str)) and value == default)


def off(value: Any) -> bool:
    """Whether a framework would leave this out: None, or the number 0. Arrays and schedules are on.

    >>> off(None), off(0), off(0.0), off(0.1), off(np.zeros(()))
    (True, True, True, False, False)
    """
    return value is None or (isinstance(value, (int, float, np.number)) and value == 0)


def pair(name: str, value: Any) -> tuple[Any, Any]:
    """The two numbers of ``betas=(β₁, β₂)``.

    Raises:
        TypeError: it is no pair.
    """
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{name} must be a pair of numbers, arrays or schedules; got {value!r}")
    return value[0], value[1]


def times(name: str, value: Any, factor: Any) -> Any:
    """A non-negative number, array or schedule, times another; a schedule if one of them is.

    Raises:
        ValueError: ``value`` is a negative number.
    """
    if not callable(value):
        checks.check_number("", name, value, checks.Interval(0), also=", an array or a schedule")
    return scaled(factor, value) if callable(value) or callable(factor) else factor * value


def with_decay(
    factory: Callable[..., optax.GradientTransformationExtraArgs],
    weight_decay: Any,
    *,
    decoupled: bool,
    mask: Any = None,
    **arguments: Any,
) -> optax.GradientTransformationExtraArgs:
    """The factory's optimizer; with weight decay, unless that is off (see :func:`~jaxopt_course.optimizers.decayed`)."""
    if off(weight_decay):
        hashable(mask)  # refuses what is none
        return factory(**arguments)
    return decayed(factory)(**arguments, weight_decay=weight_decay, decoupled=decoupled, mask=mask)
