"""Surfaces: functions of a few numbers to descend on, look at and measure on, with all that is known about them [B4, B5, D5].

A surface is a function of one point, ``surface([x, y])``, and has its ``minima`` and their value (``minimum``), the ``bounds``
of its picture, a good ``start`` and its ``source``: ``jc.minimize(jc.surfaces.rosenbrock, jc.nesterov(1e-3),
start=jc.surfaces.rosenbrock.start)``. It is a pytree with its numbers as leaves; :meth:`Surface.replace` gives one with other
numbers or in more dimensions. :func:`noisy` makes a stochastic problem of it, for ``jc.fit``, and :func:`stationary_points`
finds where a descent can stop.
"""

from __future__ import annotations

from jaxopt_course.problems.surfaces.classic import (
    ackley,
    beale,
    booth,
    branin,
    himmelblau,
    rastrigin,
    rosenbrock,
    styblinski_tang,
)
from jaxopt_course.problems.surfaces.definition import Facts, Surface, surface
from jaxopt_course.problems.surfaces.differentiability import (
    continuous_gradient,
    discontinuous_gradient,
    not_differentiable,
)
from jaxopt_course.problems.surfaces.noise import noisy
from jaxopt_course.problems.surfaces.quadratics import (
    local_optimum,
    monkey_saddle,
    piecewise_quadratic,
    quadratic,
    saddle,
)
from jaxopt_course.problems.surfaces.stationary import StationaryPoint, classify, stationary_points

__all__ = [
    "quadratic", "saddle", "monkey_saddle", "local_optimum", "piecewise_quadratic",  # the lectures'
    "not_differentiable", "continuous_gradient", "discontinuous_gradient",
    "rosenbrock", "beale", "branin", "himmelblau", "rastrigin", "ackley", "styblinski_tang", "booth",  # the literature's
    "noisy", "stationary_points", "classify", "StationaryPoint",  # what one does with them
    "Surface", "surface", "Facts",  # to make your own
    "SURFACES",  # by name
]  # fmt: skip

SURFACES: dict[str, Surface] = {
    each.name: each
    for each in (
        quadratic(), saddle, monkey_saddle, local_optimum, piecewise_quadratic,
        not_differentiable, continuous_gradient, discontinuous_gradient,
        rosenbrock, beale, branin, himmelblau, rastrigin, ackley, styblinski_tang, booth,
    )
}  # fmt: skip
"""Every surface by its name."""
