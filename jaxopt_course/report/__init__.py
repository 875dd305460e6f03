"""Pictures, tables and pages of labelled results.

This package receives ``xarray.Dataset`` objects and knows nothing of what produced them. `schema` says what a race hands
over; `tables` prints it, `curves` draws it (matplotlib), `html` makes the interactive page (plotly), `files` writes
without ever leaving half a file. Paths on a surface: `paths` draws them flat, `states` with what the optimizer remembers,
`relief` in 3-D, `animations` lets them race; `terrain` has the numbers and colours for all. One palette, safe for
colour-blind readers, in light and dark, is `style`. matplotlib's pictures take ``axes``, plotly's a ``figure`` and a cell of
it (`cells`).
"""

from __future__ import annotations

from jaxopt_course.report.files import writable, write
from jaxopt_course.report.schema import RaceData

__all__ = ["RaceData", "writable", "write"]
