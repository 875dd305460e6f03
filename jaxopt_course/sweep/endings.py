"""``jc.ends``: at which stationary points paths came to rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxopt_course import checks

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ends"]


def ends(found: xr.Dataset, points: Sequence[Any], *, within: float = 0.01) -> xr.Dataset:
    """At which stationary point each path came to rest [B5].

    argminⱼ ‖x(T) − sⱼ‖, if that is at most ``within``

    Args:
        found: from ``jc.paths``.
        points: from ``jc.surfaces.stationary_points(surface)``: each has a ``point`` and a ``kind``.
        within: how near a path must have come, in the surface's units.

    Returns:
        A dataset over ``optimizer``, the space's axes and ``start``: ``end``, the position in ``points``, or −1; ``kind``,
        that point's (``"minimum"``, ``"saddle"``, …), else ``"none"``, or ``"diverged"``; ``distance`` to the nearest.

    Raises:
        TypeError: no paths. ValueError: no points, or of another dimension than the paths.

    >>> import jaxopt_course as jc
    >>> surface = jc.surfaces.local_optimum
    >>> found = jc.paths(surface, {"sgd": jc.sgd(0.1)}, starts=[(-1.5, 1.0), (-0.5, 1.0), (0.0, 1.0), (0.5, 1.0)], steps=300)
    >>> ends(found, jc.surfaces.stationary_points(surface)).kind.sel(optimizer="sgd").values.tolist()
    ['minimum', 'minimum', 'saddle', 'minimum']

    References:
        Lecture 000: gradient descent stops at any stationary point, and which one depends on the start [B5].
    """
    import xarray as xr

    checks.check_number("ends", "within", within, checks.Interval(0, open_low=True))
    if not (hasattr(found, "data_vars") and "params" in found.data_vars):
        raise TypeError(f"ends: found must be what jc.paths returned; got {found!r:.200}")
    places = np.array([each.point for each in points], float)
    if places.ndim != 2 or places.shape[1:] != found.params.shape[-1:]:
        wanted = f"stationary points of {found.sizes['dimension']} coordinates"
        raise ValueError(f"ends: points must be {wanted}; got {points!r:.200}")
    last = found.params.isel(step=-1, drop=True).transpose(..., "dimension")
    distances = np.linalg.norm(last.values[..., None, :] - places, axis=-1)
    finite = np.isfinite(distances).all(axis=-1)
    nearest = np.where(finite[..., None], distances, np.inf)
    end = np.where(nearest.min(axis=-1) <= within, nearest.argmin(axis=-1), -1)
    kinds = np.array([*(each.kind for each in points), "none", "diverged"])
    kind = kinds[np.where(end >= 0, end, np.where(finite, len(places), len(places) + 1))]
    dims = last.dims[:-1]
    columns = {"end": (dims, end), "kind": (dims, kind), "distance": (dims, nearest.min(axis=-1))}
    coordinates = {name: last[name] for name in last.coords if name != "dimension"}
    return xr.Dataset(columns, coordinates, {"within": within})
