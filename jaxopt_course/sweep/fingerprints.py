"""What a function computes, as bytes: names do not tell two lambdas apart, and a factory may close over anything.

So functions are told by their programs, as JAX traces them, with all constants; data by their bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxopt_course.sweep.labels import ADDRESS
from jaxopt_course.transform.jaxprs import is_literal
from jaxopt_course.types import is_key

__all__ = ["contents", "fingerprint"]


def fingerprint(function: Callable[..., Any], *arguments: Any) -> list[bytes]:
    """A function's program and constants: equal for functions that compute the same in the same way.

    >>> fingerprint(lambda x: 2.0 * x, 1.0) == fingerprint(lambda y: 2.0 * y, 3.0)
    True
    """
    program = jax.make_jaxpr(function)(*arguments)
    return [ADDRESS.sub("", str(program)).encode(), *contents(list(_constants(program)))]


def contents(tree: Any) -> Iterator[bytes]:
    """Of a pytree, its structure and all its leaves."""
    leaves, structure = jax.tree.flatten(tree)
    yield ADDRESS.sub("", str(structure)).encode()
    for leaf in leaves:
        array = np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
        yield f"{array.dtype}{array.shape}".encode()
        yield array.tobytes()


def _is_program(value: Any) -> bool:
    """Without :mod:`jax.extend.core`, which has the type, and brings all of Pallas with it."""
    return hasattr(value, "eqns")


def _constants(program: Any) -> Iterator[Any]:
    """All arrays in a program, those of the programs inside it too: its text leaves their values out."""
    yield from getattr(program, "consts", ())
    for equation in program.eqns:
        yield from (variable.val for variable in equation.invars if is_literal(variable))
        inside = jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program)
        for each in filter(_is_program, inside):
            yield from _constants(each)
