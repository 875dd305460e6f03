"""The presets follow the installed frameworks: 1 000 float64 steps, each framework in a process of its own."""

import pytest

from tests.dialects import cases, frameworks, golden, ours

pytestmark = [pytest.mark.parity, pytest.mark.slow]


@pytest.fixture(params=cases.CASES)
def framework(request):
    if not frameworks.installed(request.param):
        pytest.skip(f"{request.param} is not installed (the extra `parity`)")
    return request.param


def test_presets_follow_the_installed_framework(framework):
    points = frameworks.trajectories(framework)["points"]
    errors = {name: cases.relative_error(ours.trajectory(framework, name), points[name]) for name in cases.CASES[framework]}
    assert {name: error for name, error in errors.items() if error > golden.TOLERANCE} == {}


def test_presets_have_the_installed_frameworks_arguments(framework):
    assert frameworks.trajectories(framework)["signatures"] == golden.load()[framework]["signatures"]
