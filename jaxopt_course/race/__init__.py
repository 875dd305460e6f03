"""Optimizers compared as an experiment should: tuned alike, run on several seeds, tested.

`protocol` runs the race; `statistics` has its intervals and tests. What it found goes to :mod:`jaxopt_course.report` as
labelled datasets.
"""

from jaxopt_course.race.protocol import Contestant, Race, contestants, race

__all__ = ["Contestant", "Race", "contestants", "race"]
