"""The test functions of the optimization literature, with their minima.

Collected in Jamil & Yang 2013, "A literature survey of benchmark functions for global optimisation problems", and Surjanovic
& Bingham, "Virtual library of simulation experiments"; each surface names its first source.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxopt_course.problems.surfaces.definition import surface
from jaxopt_course.types import NonNegative, Positive

__all__ = ["ackley", "beale", "booth", "branin", "himmelblau", "rastrigin", "rosenbrock", "styblinski_tang"]


@surface(
    minima=[(1.0, 1.0)],
    minimum=0.0,
    bounds=[(-2, 2), (-1, 3)],
    start=(-1.2, 1.0),
    source="Rosenbrock 1960, 'An automatic method for finding the greatest or least value of a function'",
    any_dimension=True,
)
def rosenbrock(x, steepness: Positive = 100.0):
    """Rosenbrock's curved valley: easy to find, slow to follow. In any dimension d ≥ 2.

    f(x) = Σᵢ₌₁ᵈ⁻¹ [b (xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)²], b = ``steepness`` = 100

    From d = 4 on there is a local minimum, too, near (−1, 1, …, 1).

    >>> float(rosenbrock([-1.0, 2.0])), float(rosenbrock([1.0, 1.0, 1.0]))
    (104.0, 0.0)
    """
    return jnp.sum(steepness * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@surface(
    minima=[(3.0, 0.5)],
    minimum=0.0,
    bounds=[(-4.5, 4.5)],
    start=(1.0, 1.5),
    source="Beale 1958, 'On an iterative method for finding a local minimum of a function of more than one variable'",
)
def beale(x):
    """Beale's function: a flat valley between steep walls.

    f(x, y) = (1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)²

    >>> float(beale([3.0, 0.5])), float(beale([0.0, 0.0]))
    (0.0, 14.203125)
    """
    a, b = x
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


@surface(
    minima=[(-np.pi, 12.275), (np.pi, 2.275), (3 * np.pi, 2.475)],
    minimum=10 / (8 * np.pi),
    bounds=[(-5, 10), (0, 15)],
    start=(-2.0, 5.0),
    source="Branin 1972, 'Widely convergent method for finding multiple solutions of simultaneous nonlinear equations'",
)
def branin(x):
    """Branin's function: three minima, equally deep.

    f(x, y) = (y − 5.1x²/(4π²) + 5x/π − 6)² + 10 (1 − 1/(8π)) cos x + 10

    >>> round(float(branin([np.pi, 2.275])), 6)
    0.397887
    """
    a, b = x
    return (b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6) ** 2 + 10 * (1 - 1 / (8 * np.pi)) * jnp.cos(a) + 10


@surface(
    minima=[
        (3.0, 2.0),
        (-2.805118086952745, 3.131312518250573),
        (-3.779310253377747, -3.283185991286169),
        (3.5844283403304917, -1.8481265269644034),
    ],
    minimum=0.0,
    bounds=[(-5, 5)],
    start=(-0.5, -1.0),
    source="Himmelblau 1972, 'Applied nonlinear programming'",
)
def himmelblau(x):
    """Himmelblau's function: four minima, equally deep; which one is found depends on the start [B5].

    f(x, y) = (x² + y − 11)² + (x + y² − 7)²

    >>> float(himmelblau([3.0, 2.0])), float(himmelblau([0.0, 0.0]))
    (0.0, 170.0)
    """
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


@surface(
    minima=[(0.0, 0.0)],
    minimum=0.0,
    bounds=[(-5.12, 5.12)],
    start=(3.3, -2.4),
    source="Rastrigin 1974, 'Systems of extremal control'",
    any_dimension=True,
)
def rastrigin(x, amplitude: NonNegative = 10.0):
    """Rastrigin's function: a bowl full of local minima, near the points of whole numbers. In any dimension d ≥ 2.

    f(x) = Σᵢ [A + xᵢ² − A cos 2πxᵢ], A = ``amplitude`` = 10

    >>> float(rastrigin([0.0, 0.0])), round(float(rastrigin([1.0, -2.0])), 4)
    (0.0, 5.0)
    """
    return jnp.sum(amplitude + x**2 - amplitude * jnp.cos(2 * np.pi * x))


@surface(
    minima=[(0.0, 0.0)],
    minimum=0.0,
    bounds=[(-5, 5)],
    start=(2.4, -3.3),
    source="Ackley 1987, 'A connectionist machine for genetic hillclimbing'",
    any_dimension=True,
    degenerate="a cusp: not differentiable at the minimum, where the gradient is set to 0",
)
def ackley(x):
    """Ackley's function: an almost flat outside with many local minima, and one deep cusp. In any dimension d ≥ 2.

    f(x) = −20 exp(−0.2 √(Σ xᵢ²/d)) − exp(Σ cos(2πxᵢ)/d) + 20 + e

    >>> abs(float(ackley([0.0, 0.0]))) < 1e-5, round(float(ackley([1.0, 1.0])), 4)
    (True, 3.6254)
    """
    square = jnp.mean(x**2)
    center = square == 0
    distance = jnp.where(center, 0.0, jnp.sqrt(jnp.where(center, 1.0, square)))
    return -20 * jnp.exp(-0.2 * distance) - jnp.exp(jnp.mean(jnp.cos(2 * np.pi * x))) + 20 + np.e


@surface(
    minima=[(-2.903534027771177, -2.903534027771177)],
    minimum=lambda dimension: -39.16616570377141 * dimension,
    bounds=[(-5, 5)],
    start=(4.0, 3.0),
    source="Styblinski & Tang 1990, 'Experiments in nonconvex optimization', Neural Networks 3(4)",
    any_dimension=True,
)
def styblinski_tang(x):
    """The function of Styblinski and Tang: 2ᵈ minima, of which one is the deepest. In any dimension d ≥ 2.

    f(x) = ½ Σᵢ (xᵢ⁴ − 16xᵢ² + 5xᵢ)

    >>> round(float(styblinski_tang([-2.903534, -2.903534])), 4), float(styblinski_tang([1.0, 2.0]))
    (-78.3323, -24.0)
    """
    return 0.5 * jnp.sum(x**4 - 16 * x**2 + 5 * x)


@surface(
    minima=[(1.0, 3.0)],
    minimum=0.0,
    bounds=[(-10, 10)],
    start=(-8.0, -6.0),
    source="Booth's quadratic, in Jamil & Yang 2013",
)
def booth(x):
    """Booth's function: a quadratic bowl along the diagonals, with condition number 9.

    f(x, y) = (x + 2y − 7)² + (2x + y − 5)²

    >>> float(booth([1.0, 3.0])), float(booth([0.0, 0.0]))
    (0.0, 74.0)
    """
    return (x[0] + 2 * x[1] - 7) ** 2 + (2 * x[0] + x[1] - 5) ** 2


__test__ = {
    each.name: each.__doc__ for each in (ackley, beale, booth, branin, himmelblau, rastrigin, rosenbrock, styblinski_tang)
}  # doctest does not look into instances
