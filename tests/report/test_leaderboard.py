"""The best configurations of a sweep, as a table."""

from __future__ import annotations

import numpy as np
import xarray as xr

from jaxopt_course.report.leaderboard import leaderboard


def made_up() -> xr.Dataset:
    """Five rates, two seeds: the third diverges in one, the fourth was not reached."""
    loss = np.array([[0.5, 0.7], [0.25, 0.35], [np.nan, 0.1], [np.nan, np.nan], [12.0, 14.0]])
    step = np.full(loss.shape, -1)
    step[2, 0] = 5
    over = ("learning_rate", "seed")
    return xr.Dataset(
        {
            "validation_loss": ((*over, "epoch"), np.stack([np.full_like(loss, 2.0), loss], -1)),
            "validation_accuracy": ((*over, "epoch"), np.stack([np.zeros_like(loss), 1 / (1 + loss)], -1)),
            "diverged_step": (over, step),
        },
        {"learning_rate": [0.001, 0.0123456, 0.1, 1.0, 10.0], "seed": [0, 1], "epoch": [0, 1]},
        {"title": "5 configurations on paper", "incomplete": 1},
    )


def test_the_best_come_first_and_what_has_no_row_is_counted():
    assert leaderboard(made_up(), top=2).splitlines() == [
        "5 configurations on paper (incomplete)",
        "   learning_rate  final validation loss   over seeds",
        "1         0.0123                    0.3  0.25 … 0.35",
        "2          0.001                    0.6    0.5 … 0.7",
        "1 of 5 diverged",
        "1 of 5 not finished",
    ]


def test_what_rises_is_ranked_from_above_and_one_seed_has_no_range():
    lines = leaderboard(made_up().isel(seed=[1]), "validation_accuracy").splitlines()
    assert lines[1].split() == ["learning_rate", "final", "validation", "accuracy", "(%)"]
    assert [line.split()[:3] for line in lines[2:5]] == [
        ["1", "0.1", "90.91"],
        ["2", "0.0123", "74.07"],
        ["3", "0.001", "58.82"],
    ]
