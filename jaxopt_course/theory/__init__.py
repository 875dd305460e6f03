"""What the lectures prove about optimizers, computed from the optimizers themselves.

`unrolled` writes an optimizer's path as a sum over its past gradients [D4].
"""

from jaxopt_course.theory.unrolled import Unrolled, unroll

__all__ = ["Unrolled", "unroll"]
