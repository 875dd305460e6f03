"""A store of another sweep, a damaged one, and places that hold something else are refused, and nothing is lost."""

from __future__ import annotations

import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.sweep import identity, store

pytest.importorskip("zarr")


def base(path, **changes):
    given = {
        "problem": jc.problems.linear_regression(30, 3),
        "factory": jc.momentum,
        "space": jc.grid(learning_rate=[0.01, 0.1], momentum=[0.5]),
        "seeds": 2,
        "epochs": 1,
        "batch_size": 8,
    }
    return jc.sweep(**{**given, **changes}, store=path)


@pytest.fixture(scope="module")
def another(tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / "sweep.zarr"
    base(path)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [0, 2]}, "seeds is 0, 1 there, 0, 2 here"),
        ({"epochs": 2}, "epochs is 1 there, 2 here"),
        ({"batch_size": 9}, "batch_size is 8 there, 9 here"),
        ({"vary": "order"}, "vary is both there, order here"),
        ({"evaluate": None}, "evaluate is epoch there, None here"),
        ({"sampler": jc.samplers.uniform()}, "sampler is Shuffle.* there, Uniform.* here"),
        ({"drop_remainder": True}, "drop_remainder is False there, True here"),
        (
            {"space": jc.grid(learning_rate=[0.01, 0.2], momentum=[0.5])},
            "axis learning_rate is 0.01, 0.1 there, 0.01, 0.2 here",
        ),
        ({"space": jc.spaces.zipped(learning_rate=[0.01, 0.1], momentum=[0.5, 0.5])}, "space is grid over .* zipped over"),
        ({"factory": jc.nesterov}, "factory is momentum there, nesterov here; programs is"),
        (
            {"factory": lambda learning_rate, momentum: jc.momentum(learning_rate, momentum)},
            "factory is momentum there, <lambda>",
        ),
        ({"problem": jc.problems.linear_regression(30, 3, seed=1)}, r"another sweep: data is \w{16} there, \w{16} here$"),
        ({"problem": jc.problems.linear_regression(30, 3, regularizer=jc.problems.l2(0.1))}, "another sweep: programs is"),
    ],
    ids=lambda part: next(iter(part)) if isinstance(part, dict) else "",
)
def test_a_store_of_another_sweep_is_refused(another, changes, message):
    with pytest.raises(ValueError, match=r"sweep: store .*sweep\.zarr belongs to another sweep: ") as caught:
        base(another, **changes)
    assert caught.match(message)


def test_double_precision_is_another_sweep(another):
    with jax.enable_x64(True), pytest.raises(ValueError, match="float dtype is float32 there, float64 here"):
        base(another)


def test_other_versions_are_another_sweep(another, monkeypatch):
    monkeypatch.setattr(identity, "versions", lambda: "jax 9")
    with pytest.raises(ValueError, match=r"versions is jaxopt_course .* there, jax 9 here"):
        base(another)


class Closed:
    """Makes factories of one name that differ in what they close over."""

    def __call__(self, array):
        shift = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf * array, tree))

        def factory(learning_rate):
            return optax.chain(optax.stateless(lambda updates, params: shift(updates)), jc.sgd(learning_rate))

        return factory


def test_what_a_factory_closes_over_counts(tmp_path):
    make, space = Closed(), jc.grid(learning_rate=[0.01, 0.1])
    base(tmp_path / "s", factory=make(np.array([1.0, 2.0, 3.0], np.float32)), space=space, problem=vector())
    base(tmp_path / "s", factory=make(np.array([1.0, 2.0, 3.0], np.float32)), space=space, problem=vector())
    with pytest.raises(ValueError, match=r"belongs to another sweep: programs is"):
        base(tmp_path / "s", factory=make(np.array([1.0, 2.0, 4.0], np.float32)), space=space, problem=vector())
    with pytest.raises(ValueError, match=r"belongs to another sweep: programs is"):
        base(tmp_path / "s", factory=make(np.array([1.0, 2.0, 3.0], np.float32)), space=space, problem=vector(0.5))


def vector(start=0.25):
    data = np.arange(24, dtype=np.float32).reshape(12, 2, 1) / 24
    return jc.Problem.from_loss(distances, jnp.array([start, 1.0, 2.0]), jc.Data(data, data[:5], data[5:7]))


def distances(params, batch):
    return jnp.sum((params - batch) ** 2, (1, 2))


def test_of_a_long_axis_the_part_that_differs_is_shown():
    a = ", ".join(map(str, range(100)))
    [message] = identity.differences({"axis n": a}, {"axis n": a.replace("77", "78")})
    assert "…" in message
    assert "76, 77, 78" in message
    assert "76, 78, 78" in message
    assert len(message) < 160


def test_places_that_hold_something_else_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(FileExistsError, match=r"store must be a new path, or one that .* is something else"):
            base(path)
    for path in (3, "s3://bucket/sweep.zarr"):
        with pytest.raises(TypeError, match=f"store must be a path of this machine; got {path!r}"):
            base(path)


def test_places_that_cannot_be_written_are_refused_before_anything_is_traced(tmp_path, traced):
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path / "notes.txt" / "sweep.zarr", tmp_path / "notes.txt" / "more" / "sweep.zarr"):
        with pytest.raises(OSError, match=r"sweep: cannot write store .*sweep\.zarr: .*notes\.txt: Not a directory"):
            base(path)
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]
    assert traced("init_lanes") == 0


def test_a_home_is_found_and_a_new_folder_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.check_path("~/new/sweep.zarr") == tmp_path / "new" / "sweep.zarr"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("file", "damaged"),
    [
        ("sweep/zarr.json", lambda text: text[:50]),
        ("sweep/zarr.json", lambda text: text.replace('"lanes"', '"lines"')),
        ("loss/zarr.json", lambda text: text[:50]),
        ("zarr.json", lambda text: text[:50]),
    ],
)
def test_a_damaged_store_is_called_so(another, tmp_path, file, damaged):
    path = shutil.copytree(another, tmp_path / "sweep.zarr")
    (path / file).write_text(damaged((path / file).read_text()))
    with pytest.raises(ValueError, match=r"store .*sweep\.zarr is damaged \(\w+: .*\); take it away to begin again"):
        base(path)


def test_without_zarr_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ImportError, match=r"store needs Zarr: pip install 'jaxopt_course\[store\]'"):
        base(tmp_path / "sweep.zarr")


def test_a_refused_sweep_leaves_no_store(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'learning_rate'"):
        base(tmp_path / "sweep.zarr", space=jc.grid(learning_rat=[0.1]))
    assert not list(tmp_path.iterdir())


def test_a_budget_smaller_than_one_lane_is_refused_and_leaves_no_store(tmp_path):
    with pytest.raises(ValueError, match=r"memory must be at least .* bytes, which one lane needs"):
        base(tmp_path / "sweep.zarr", memory=1000)
    assert not list(tmp_path.iterdir())
    assert base(tmp_path / "sweep.zarr").attrs["incomplete"] == 0
