"""The gradient is orthogonal to level curves: where these have a formula, and where they are traced [B3]."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from jaxopt_course import surfaces

TURN = 2 * np.pi * np.arange(512)[:, None] / 512
OUTWARDS = np.hstack([np.cos(TURN), np.sin(TURN)])


def degrees_from_right(surface, points, tangents):
    """How far the angle between gradient and tangent is from 90°, at its worst."""
    slopes = np.asarray(jax.jit(jax.vmap(jax.grad(surface)))(points))
    assert np.linalg.norm(slopes, axis=1).min() > 1e-3
    cosines = np.sum(slopes * tangents, axis=1) / np.linalg.norm(slopes, axis=1) / np.linalg.norm(tangents, axis=1)
    return np.degrees(np.abs(np.arcsin(cosines))).max()


def traced(function, center, level, reach):
    """A level curve around a minimum from values alone, and its tangents: those of the points' Fourier series."""
    values, low, high = jax.jit(jax.vmap(function)), np.zeros(len(TURN)), np.full(len(TURN), reach)
    for _ in range(60):
        middle = (low + high) / 2
        inside = np.asarray(values(center + middle[:, None] * OUTWARDS)) < level
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    points = center + low[:, None] * OUTWARDS
    harmonics = 1j * np.fft.fftfreq(len(TURN), 1 / len(TURN))[:, None]
    return points, np.fft.ifft(harmonics * np.fft.fft(points, axis=0), axis=0).real


def test_at_right_angles_to_an_ellipses_tangents():
    eigenvalues, level, angle = np.array([1.0, 25.0]), 3.0, 0.6
    to_plane = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    radii = np.sqrt(2 * level / eigenvalues)
    with jax.enable_x64(True):
        surface = surfaces.quadratic(eigenvalues, angle=angle)
        points = radii * OUTWARDS @ to_plane
        np.testing.assert_allclose(jax.vmap(surface)(points), level, rtol=1e-12)
        assert degrees_from_right(surface, points, radii * np.hstack([-np.sin(TURN), np.cos(TURN)]) @ to_plane) < 1e-10


@pytest.mark.parametrize(
    ("name", "level", "reach"),
    [("himmelblau", 10.0, 2.0), ("local_optimum", -1.0, 3.0), ("branin", 3.0, 4.0), ("styblinski_tang", -60.0, 4.0)],
)
def test_at_right_angles_to_traced_level_curves(name, level, reach):
    surface = getattr(surfaces, name)
    with jax.enable_x64(True):
        points, tangents = traced(surface, surface.minima[0], level, reach)
        np.testing.assert_allclose(jax.vmap(surface)(points), level, rtol=1e-9)
        assert degrees_from_right(surface, points, tangents) < 1e-6
