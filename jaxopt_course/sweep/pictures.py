"""``jc.plot``: a sweep as a picture."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from jaxopt_course.checks import check_choice, closest
from jaxopt_course.sweep.results import finished

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["plot"]

Kind = Literal["sensitivity", "heatmap", "parallel"]


def plot(
    results: xr.Dataset | Mapping[str, xr.Dataset],
    metric: str = "validation_loss",
    kind: Kind | None = None,
    *,
    interactive: bool = False,
    **options: Any,
) -> Any:
    """A sweep as a picture: what each configuration reached at the end, on average over seeds.

    ``"sensitivity"`` curves, in bands that span the seeds, against one axis, one curve for each value of another; a
    ``"heatmap"`` over two axes; all axes in ``"parallel"``. What diverged is marked, never left out; the best configuration
    stands out: chosen on validation, also where a test metric is shown.

    Args:
        results: what ``jc.sweep`` returned, or ``xarray.open_dataset`` of it; or several, by name (``{"adam": …}``), for one
            sensitivity curve each.
        metric: a variable of it: validation_loss, validation_…, test_…, loss.
        kind: by default a sensitivity, from two wide axes on a heat map, from three axes on parallel coordinates.
        interactive: a plotly figure (``.write_html(path)``) instead of a matplotlib figure (``.savefig(path)``).
        options: ``x``, the axis to read against, and ``by``, the curves or the vertical axis; ``falls``, whether less is
            better (by default as the metric's name says); ``theme``, ``"light"`` or ``"dark"``; ``axes``, matplotlib's, to
            draw on; interactively ``figure``, plotly's, to draw in, with ``row`` and ``col``, a cell of its ``make_subplots``.

    Returns:
        The figure, which Jupyter shows.

    Raises:
        TypeError: an option that the picture does not have.
        ValueError: an unknown metric, axis, kind or theme (with the closest match); results that are not a sweep's, or of one
            that was interrupted before anything was finished. Else its finished seeds are drawn.

    >>> import jaxopt_course as jc
    >>> results = jc.sweep(jc.problems.digits(), jc.momentum, jc.grid(learning_rate=[0.01, 0.1, 1.0], momentum=[0.5, 0.9]),
    ...                    seeds=2, epochs=1)
    >>> plot(results, by="momentum").axes[0].get_ylabel()
    'final validation loss'
    """
    import xarray as xr
    from matplotlib.axes import Axes

    from jaxopt_course.report import interactive as page
    from jaxopt_course.report import sweeps, swept

    if kind is not None:
        check_choice("plot", "kind", kind, get_args(Kind))
    if isinstance(results, xr.Dataset):
        results = finished("plot", results)
        chosen = kind or swept.usual_kind(results)
    elif kind in (None, "sensitivity"):
        chosen = "sensitivity"
    else:
        raise ValueError(f"plot: several sweeps are compared by kind='sensitivity'; got {kind!r}")
    if isinstance(results, Mapping) and not isinstance(results, xr.Dataset):
        results = {name: finished("plot", one) for name, one in results.items()}
    if interactive and "axes" in options:
        raise TypeError("plot: axes are matplotlib's; with interactive=True, give figure, row and col")
    if not isinstance(options.get("axes"), Axes | None):
        raise TypeError(f"plot: axes must be matplotlib's Axes; got {options['axes']!r}")
    draw = getattr(page if interactive else sweeps, chosen)
    known = list(inspect.signature(draw).parameters)[2:]
    for name in options.keys() - {*known}:
        raise TypeError(f"plot: unknown option {name!r} of {chosen}{closest(name, known)}")
    return draw(results, metric, **options)
