"""``jax.jit`` with what XLA is asked for besides its defaults, where that was measured to be faster.

On a CPU, XLA hands products and reductions to a library (YNN). A reduction over a mini-batch is over before the library has
begun; and a layer's product, of many examples and few units, is slower there than in Eigen when another process wants a core.
Its newer emitters of loops take half as long again to compile a small network's step as the older ones, and are faster with
large arrays only; but of many arrays each takes the older ones several times as long.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax

__all__ = ["OLDER", "ONCE", "Compiled", "Options", "compiled", "of_lanes", "of_pass", "of_steps", "options"]

Options = tuple[tuple[str, str | bool | int], ...]

YNN = "xla_cpu_experimental_ynn_fusion_type"  # what the library gets, separated by commas
OLDER: Options = (("xla_cpu_use_fusion_emitters", False),)  # of a small program that runs often
ONCE: Options = (*OLDER, ("xla_backend_optimization_level", 0))  # of a program that runs once or twice
USUAL = (*ONCE, (YNN, ""))  # what most programs ask for: one question for all
FEW = 2**16  # numbers: of a step that changes fewer, the older emitters' code is faster, too
FEW_ARRAYS = 16  # of a step that changes more, the newer emitters compile faster


def of_steps(params: Any) -> Options:
    """For a loop over steps: an MLP's takes 0.9 of the time, softmax regression's 0.8."""
    return ((YNN, ""), *_of_size(params))


def of_lanes(params: Any) -> Options:
    """For a loop over the steps of many lanes, whose products are smaller: small networks' take 0.8 of the time.

    At level 1 their many loops compile in half the time, and are as fast.
    """
    products = (YNN, "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT")
    return (products, ("xla_backend_optimization_level", 1), *_of_size(params, 2 * FEW))


def of_pass(data: Any) -> Options:
    """For a program that sees a split once in an epoch: over little data, it is over before better code would compile."""
    return ONCE if _size(data) < FEW else ()


def _of_size(params: Any, few: int = FEW) -> Options:
    return OLDER if _size(params) < few and len(jax.tree.leaves(params)) <= FEW_ARRAYS else ()


def _size(tree: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


@functools.cache
def options(wanted: Options) -> dict[str, Any]:
    """What to compile with: of options for a CPU, nothing elsewhere, or where this XLA does not know them: it refuses such."""
    others = {name: value for name, value in wanted if not name.startswith("xla_cpu_")}
    if jax.default_backend() != "cpu":
        return others
    known = (set(wanted) <= set(USUAL) and _known(USUAL)) or _known(wanted)
    return dict(wanted) if known else others


@functools.cache
def _known(wanted: Options) -> bool:
    try:
        jax.jit(lambda: (), compiler_options=dict(wanted)).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


class Compiled:
    """A function under ``jit``, with options that are looked up when it is called: only then it is known where it runs."""

    def __init__(self, function: Callable[..., Any], choose: Callable[..., Options], settings: dict[str, Any]):
        functools.update_wrapper(self, function)
        self.function, self.choose, self.settings = function, choose, settings

    def program(self, *arguments: Any, **named: Any) -> Any:
        """What ``jax.jit`` makes of it, for such arguments."""
        return _jitted(self, self.choose(*arguments, **named))

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.program(*arguments, **named)(*arguments, **named)

    def lower(self, *arguments: Any, **named: Any) -> Any:
        """The lowered program for these arguments."""
        return self.program(*arguments, **named).lower(*arguments, **named)


@functools.cache
def _jitted(function: Compiled, wanted: Options) -> Any:
    return jax.jit(function.function, compiler_options=options(wanted), **function.settings)


def compiled(wanted: Options | Callable[..., Options], **settings: Any) -> Callable[[Callable[..., Any]], Compiled]:
    """``jax.jit`` as a decorator, with options, or a function from the call's arguments to options.

    >>> @compiled(ONCE, static_argnames="n")
    ... def powers(x, n):
    ...     return [x**i for i in range(n)]
    >>> [int(x) for x in powers(3, n=3)]
    [1, 3, 9]
    """
    choose = wanted if callable(wanted) else lambda *_, **__: wanted
    return lambda function: Compiled(function, choose, settings)
