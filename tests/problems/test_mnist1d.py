"""MNIST-1D comes from its own package, without the network, and leaves no trace."""

import random
import sys
import types

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_course import problems
from jaxopt_course.problems import datasets


@pytest.fixture
def package(monkeypatch):
    """A stand-in with the package's form, which seeds the global generators as the package does."""

    def make_dataset():
        random.seed(42)
        np.random.seed(42)  # noqa: NPY002
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(100, 40)), rng.permutation(np.arange(100) % 10)
        return {"x": x[:80], "y": y[:80], "x_test": x[80:], "y_test": y[80:]}

    module = types.ModuleType("mnist1d.data")
    module.make_dataset = make_dataset
    monkeypatch.setitem(sys.modules, "mnist1d", types.ModuleType("mnist1d"))
    monkeypatch.setitem(sys.modules, "mnist1d.data", module)
    datasets._mnist1d.cache_clear()
    yield make_dataset()
    datasets._mnist1d.cache_clear()


def test_the_signals_are_the_packages(package):
    problem = problems.mnist1d("mlp", validation=20)
    assert repr(problem) == "Problem(mnist1d/mlp: 60 train, 20 validation, 20 test)"
    np.testing.assert_array_equal(problem.data.test["x"], package["x_test"].astype(np.float32))
    np.testing.assert_array_equal(problem.data.test["y"], package["y_test"])
    both = np.concatenate([problem.data.train["x"], problem.data.validation["x"]])
    np.testing.assert_array_equal(np.sort(both[:, 0]), np.sort(package["x"][:, 0].astype(np.float32)))
    assert problem == problems.mnist1d("mlp", validation=20)


def test_examples_stay_with_their_labels(package):
    data = problems.mnist1d(validation=20).data
    for split in (data.train, data.validation):
        where = [
            int(np.flatnonzero(package["x"][:, 0].astype(np.float32) == first)[0]) for first in np.asarray(split["x"][:, 0])
        ]
        np.testing.assert_array_equal(split["y"], package["y"][where])


def test_without_validation_all_is_trained_on(package):
    problem = problems.mnist1d(validation=0)
    assert problem.data.validation is None
    assert problem.data.train["x"].dtype == jnp.float32
    np.testing.assert_array_equal(problem.data.train["y"], package["y"])


def test_the_global_generators_keep_their_state(package):
    random.seed(7)
    np.random.seed(7)  # noqa: NPY002
    expected = random.random(), np.random.random()  # noqa: NPY002
    random.seed(7)
    np.random.seed(7)  # noqa: NPY002
    problems.mnist1d(validation=10)
    assert (random.random(), np.random.random()) == expected  # noqa: NPY002


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mnist1d.data", None)
    datasets._mnist1d.cache_clear()
    with pytest.raises(ImportError, match=r"mnist1d: .*pip install 'jaxopt_course\[data\]'"):
        problems.mnist1d()


@pytest.mark.parametrize(("validation", "kind"), [(-1, ValueError), (80, ValueError), (0.2, TypeError), (True, TypeError)])
def test_a_bad_validation_is_refused(package, validation, kind):
    with pytest.raises(kind, match="mnist1d: validation must be"):
        problems.mnist1d(validation=validation)
