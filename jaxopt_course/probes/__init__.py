"""Diagnostics inside the compiled loop: ``fit(..., probes=[jc.probes.gradient_norm(), jc.probes.sharpness(every=50)])``.

`definition` says what a probe is (a pure pair, like an optimizer) and what it sees of a step, so that you can write your own
(:class:`Probe`). `norms` look at what a step has anyway; `values` evaluate once more; `noise` takes examples one by one;
`curvature` multiplies by the Hessian. Without probes the compiled program is the same as if there were none.

The docstrings state what a look costs in processor time, in steps of momentum on an MLP 784–128–10 with m = 64 (0.65 ms of
one core).
"""

from jaxopt_course.probes.curvature import sharpness
from jaxopt_course.probes.definition import Observation, Probe
from jaxopt_course.probes.noise import gradient_noise, noise_along
from jaxopt_course.probes.norms import gradient_angle, gradient_norm, update_norm
from jaxopt_course.probes.values import decrease, predicted_decrease, suboptimality

__all__ = [
    "Observation",
    "Probe",
    "decrease",
    "gradient_angle",
    "gradient_noise",
    "gradient_norm",
    "noise_along",
    "predicted_decrease",
    "sharpness",
    "suboptimality",
    "update_norm",
]
