"""Rates that rise again [C5, C6, C7].

triangular      α_min + (α_max − α_min) · a(c) · (1 − |2(t/T − c) − 1|), c = ⌊t/T⌋, with amplitude a(c)
cosine          α_min + ½ (α_max − α_min) (1 + cos(π (t mod T) / T)); the slide omits the division by T
warm restarts   the cosine with periods T₀, T₀r, T₀r², …
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_course.schedules.decay import Number, Period, Rate
from jaxopt_course.types import Schedule, parametric

__all__ = ["cosine", "cycle_position", "restarts", "triangular", "warm_restarts"]
