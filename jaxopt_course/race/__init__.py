"""Optimizers compared as an experiment should: tuned alike, run on several seeds, tested.

`contestants` says who takes part; `protocol` runs the race; `outcome` labels what it found, for :mod:`jaxopt_course.report`.
"""

from jaxopt_course.race.contestants import Contestant, contestants
from jaxopt_course.race.outcome import Race
from jaxopt_course.race.protocol import race

__all__ = ["Contestant", "Race", "contestants", "race"]
