"""What the lectures prove about optimizers, computed from the optimizers themselves.

`unrolled` writes an optimizer's path as a sum over its past gradients [D4]; `rates` says how fast it contracts on a
quadratic [D5], `floors` where noise stops it [F5], `sampling` how large a mini-batch's noise is [F3], `bounds` how many
steps that makes, and what they cost [F6], `curves` what the mean loss is after each of them; `bias_variance` takes the error
of what was trained apart [A8]; `landscape` chooses a `plane` through a network's parameters, to evaluate a loss on [G5].
"""

from jaxopt_course.theory.bias_variance import bias_variance
from jaxopt_course.theory.bounds import (
    Conditioning,
    conditioning,
    cost_table,
    gd_iterations,
    sgd_iterations,
)
from jaxopt_course.theory.curves import expected_loss, exponent, iterations_to
from jaxopt_course.theory.floors import NoiseFloor, least_squares_floor, noise_floor
from jaxopt_course.theory.landscape import filter_normalized, filter_plane, path_plane, plane_through
from jaxopt_course.theory.plane import Plane
from jaxopt_course.theory.rates import Best, best_parameters, convergence_rate, iteration_matrix, measured_rate, rate_plane
from jaxopt_course.theory.sampling import measured_error, standard_error
from jaxopt_course.theory.unrolled import Unrolled, unroll

__all__ = [
    # a path as a sum
    "Unrolled", "unroll",
    # rates
    "iteration_matrix", "convergence_rate", "rate_plane", "Best", "best_parameters", "measured_rate",
    # noise
    "NoiseFloor", "noise_floor", "least_squares_floor", "standard_error", "measured_error",
    # iterations and costs
    "Conditioning", "conditioning", "gd_iterations", "sgd_iterations", "cost_table", "expected_loss", "iterations_to",
    "exponent",
    # errors
    "bias_variance",
    # a loss around a point
    "Plane", "filter_plane", "path_plane", "plane_through", "filter_normalized",
]  # fmt: skip
