"""The presets replay the frameworks' stored trajectories, which needs no framework."""

import numpy as np
import pytest

from tests.dialects import cases, golden, ours

RECORD = golden.load()


@pytest.mark.parametrize(("framework", "name"), cases.NAMES)
def test_preset_follows_the_frameworks_stored_trajectory(framework, name):
    expected = RECORD[framework]["points"][name]
    assert cases.relative_error(ours.trajectory(framework, name), expected) <= golden.TOLERANCE


def test_every_case_is_stored_and_none_is_stale():
    assert tuple(RECORD["kept"]) == cases.KEPT
    for framework, theirs in RECORD.items():
        if framework != "kept":
            assert list(theirs["points"]) == list(theirs["errors"]) == list(cases.CASES[framework])
            assert theirs["versions"][framework]


@pytest.mark.parametrize("framework", cases.CASES)
def test_no_two_calls_are_the_same_trajectory(framework):
    """A preset that ignored an argument would follow another case. Two ways of asking for one thing are listed."""
    same = {
        ("adam, coupled decay", "adam, maximized"),  # of the negative problem
        ("rmsprop", "rmsprop, corrected"),
    }
    points = RECORD[framework]["points"]
    names = list(points)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            differ = cases.relative_error(points[a], points[b]) > 1e6 * golden.TOLERANCE
            assert differ or (a, b) in same, (a, b)


def test_the_frameworks_differ_where_they_are_said_to():
    """With one name and the same numbers, two frameworks take different ways: the dialects are not one."""
    points = {framework: RECORD[framework]["points"] for framework in cases.CASES}
    for name, one, other in (("adam", "torch", "keras"), ("amsgrad", "torch", "keras"), ("momentum", "keras", "optax")):
        assert cases.relative_error(points[one][name], points[other][name]) > 1e6 * golden.TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize(("framework", "name"), cases.NAMES)
def test_every_argument_of_a_case_matters(framework, name):
    """Without any one of them, the trajectory is another: none is ignored, and none is the default."""
    case = cases.CASES[framework][name]
    for argument in case.arguments:
        rest = {k: v for k, v in case.arguments.items() if k != argument}
        try:
            tx = ours.optimizer(framework, case._replace(arguments=rest))
        except ValueError:
            continue  # refused without it
        points = ours.follow(tx, cases.sign(case))
        assert cases.relative_error(points, RECORD[framework]["points"][name]) > 1e6 * golden.TOLERANCE, argument


@pytest.mark.parametrize("framework", cases.CASES)
def test_trajectories_move_and_stay_finite(framework):
    for points in map(np.asarray, RECORD[framework]["points"].values()):
        assert np.isfinite(points).all()
        assert np.abs(points[-1] - cases.START).min() > 0.1
