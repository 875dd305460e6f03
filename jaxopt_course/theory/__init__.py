"""What the lectures prove about optimizers, computed from the optimizers themselves.

`unrolled` writes an optimizer's path as a sum over its past gradients [D4]; `landscape` evaluates a loss on a plane through
a network's parameters [G5].
"""

from jaxopt_course.theory.landscape import Plane, filter_normalized, filter_plane, path_plane, plane_through
from jaxopt_course.theory.unrolled import Unrolled, unroll

__all__ = [
    "Unrolled", "unroll",  # an optimizer as a sum over gradients
    "Plane", "filter_plane", "path_plane", "plane_through", "filter_normalized",  # a loss around a point
]  # fmt: skip
