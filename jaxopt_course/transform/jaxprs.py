"""Reading a program as JAX traces it: what a variable was before it was cast, and what is written out in it."""

from __future__ import annotations

from typing import Any

__all__ = ["CASTS", "is_literal", "origin"]

CASTS = ("convert_element_type", "copy")  # operations that hand on what they are given


def is_literal(atom: Any) -> bool:
    """Whether a number is written out in a program. (:mod:`jax.extend.core` has the type, and brings Pallas with it.)"""
    return hasattr(atom, "val")


def origin(program: Any, atom: Any) -> Any:
    """The variable, or the number, that this one was before it was cast."""
    producer = {out: equation for equation in program.eqns for out in equation.outvars}
    while not is_literal(atom) and (equation := producer.get(atom)) is not None and equation.primitive.name in CASTS:
        atom = equation.invars[0]
    return atom
