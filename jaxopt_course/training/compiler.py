"""What XLA is asked for besides its defaults, where that was measured to be faster.

On a CPU it hands products and reductions to a library (YNN). A reduction over a mini-batch is over before the library has
begun; and a layer's product, of many examples and few units, is slower there than in Eigen when another process wants a core.
"""

from __future__ import annotations

import functools

import jax

__all__ = ["Options", "options"]

Options = tuple[tuple[str, str], ...]

YNN = "xla_cpu_experimental_ynn_fusion_type"  # what the library gets, separated by commas
OF_STEPS: Options = ((YNN, ""),)  # an MLP's step takes 0.9 of the time
OF_LANES: Options = ((YNN, "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"),)  # of small networks' lanes, whose products are small: 0.8


@functools.cache
def options(wanted: Options) -> dict[str, str]:
    """What to compile with: nothing where there is no CPU, or where this XLA does not know the options, which it refuses."""
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda: (), compiler_options=dict(wanted)).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return dict(wanted)
