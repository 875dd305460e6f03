"""Shipped, downloaded and made-up data: what they contain, and what is refused."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import os
import struct
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.datasets

from jaxopt_course import problems
from jaxopt_course.problems import datasets, losses, models

KEY = jax.random.key(0)
SPLITS = ("train", "validation", "test")


def evaluate(problem, split="train"):
    return problem.objective(*problem.init(KEY), getattr(problem.data, split))


class TestDigits:
    def test_are_scikit_learns_divided_by_sixteen_each_in_one_split(self):
        source = sklearn.datasets.load_digits()
        expected = {(*image.ravel(), label) for image, label in zip(source.images / 16, source.target, strict=True)}
        data = problems.digits().data
        rows = [(*np.ravel(x), int(y)) for split in data for x, y in zip(np.asarray(split["x"]), split["y"], strict=True)]
        assert len(rows) == 1797
        assert set(rows) == expected
        assert [len(split["y"]) for split in data] == [1080, 357, 360]

    @pytest.mark.parametrize("split", SPLITS)
    def test_splits_keep_the_proportions_of_the_classes(self, split):
        labels = np.asarray(getattr(problems.digits().data, split)["y"])
        counts = np.bincount(sklearn.datasets.load_digits().target)
        assert np.abs(np.bincount(labels) - counts * len(labels) / 1797).max() <= 1
        assert (np.diff(labels) < 0).sum() > len(labels) / 4  # shuffled, not sorted by class

    def test_two_calls_are_equal_and_share_their_arrays(self):
        first, second = problems.digits("mlp"), problems.digits(models.mlp())
        assert first == second
        assert hash(first) == hash(second)
        assert first.data.train["x"] is problems.digits("softmax").data.train["x"]
        assert first != problems.digits("softmax")

    @pytest.mark.parametrize("model", ["softmax", "mlp", "convnet"])
    def test_models_by_name_start_near_chance(self, model):
        evaluation = evaluate(problems.digits(model), "test")
        assert evaluation.losses.shape == evaluation.metrics["accuracy"].shape == (360,)
        assert float(evaluation.losses.mean()) == pytest.approx(np.log(10), abs=0.6)
        assert float(evaluation.metrics["accuracy"].mean()) == pytest.approx(0.1, abs=0.1)

    def test_initialisation_compiles_once_for_equal_problems_and_can_be_vmapped(self):
        problem = problems.digits("mlp")
        keys = jax.random.split(KEY, 3)
        many, _ = jax.vmap(problem.init)(keys)
        alone, _ = problems.digits("mlp").init(keys[2])
        assert all(jnp.array_equal(a[2], b) for a, b in zip(jax.tree.leaves(many), jax.tree.leaves(alone), strict=True))

    def test_batch_statistics_couple_the_batch(self):
        assert problems.digits(models.convnet((2,), batch_norm=True)).coupled
        assert not problems.digits(models.convnet((2,), dropout=0.5)).coupled

    def test_the_loss_can_be_another_one(self):
        problem = problems.digits(loss=losses.multiclass_hinge, regularizer=problems.l2(0.1))
        assert problem.loss is losses.multiclass_hinge
        assert set(evaluate(problem).metrics) == {"accuracy"}

    def test_the_trained_model_is_given_back(self):
        problem = problems.digits("mlp")
        params, state = problem.init(KEY)
        predict, batch = problem.module(params, state), problem.data.test
        assert jnp.array_equal(predict(batch["x"]), problem.apply(params, state, batch)[0])

    def test_models_that_do_not_fit_are_refused(self):
        with pytest.raises(ValueError, match="digits: unknown model 'sofmax'; did you mean 'softmax'"):
            problems.digits("sofmax")
        with pytest.raises(
            ValueError, match=r"y must be labels from 0 to 2 for a model with 3 outputs; got labels from 0 to 9"
        ):
            problems.digits(models.softmax(3))
        with pytest.raises(ValueError, match=r"y must be labels 0 or 1 \(or -1 or \+1\) for a model with 1 output;"):
            problems.digits("logistic")
        with pytest.raises(ValueError, match=r"digits: loss must return one value for each example.* shape \(2, 10\)"):
            problems.digits(loss=lambda outputs, batch: outputs)


def idx(array):
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    """A small Fashion-MNIST: 40 and 20 images, gzipped."""
    generator = np.random.default_rng(3)
    for split, size in (("train", 40), ("t10k", 20)):
        images, labels = generator.integers(0, 256, (size, 28, 28), np.uint8), np.arange(size, dtype=np.uint8) % 10
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            (tmp_path / f"{split}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    return tmp_path


class TestFashionMNIST:
    def test_is_read_as_bytes_and_split_in_proportion(self, folder):
        problem = problems.fashion_mnist(folder=folder, validation=10)
        assert repr(problem) == "Problem(fashion_mnist/softmax: 30 train, 10 validation, 20 test)"
        assert problem.data.train["x"].dtype == jnp.uint8
        assert jnp.bincount(problem.data.validation["y"]).tolist() == [1] * 10
        assert problem == problems.fashion_mnist(folder=str(folder), validation=10)
        assert problem.data.train["x"] is problems.fashion_mnist("mlp", folder=folder, validation=10).data.train["x"]

    def test_without_validation_all_is_trained_on_in_the_order_of_the_file(self, folder):
        problem = problems.fashion_mnist(folder=folder, validation=0)
        assert problem.data.validation is None
        assert jnp.array_equal(problem.data.train["x"], datasets.read_idx(folder / "train-images-idx3-ubyte.gz", 3))

    def test_a_file_that_changed_is_read_again(self, folder):
        path = folder / "train-images-idx3-ubyte.gz"
        before = problems.fashion_mnist(folder=folder, validation=0).data.train["x"]
        path.write_bytes(gzip.compress(idx(255 - np.asarray(before))))
        os.utime(path, ns=(1, 1))
        after = problems.fashion_mnist(folder=folder, validation=0).data.train["x"]
        assert jnp.array_equal(after, 255 - before)

    def test_a_folder_is_a_path(self):
        with pytest.raises(TypeError, match="fashion_mnist: folder must be a path; got 3"):
            problems.fashion_mnist(folder=3)

    def test_files_may_be_decompressed(self, folder):
        for path in list(folder.iterdir()):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
        assert problems.fashion_mnist(folder=folder, validation=0).num_examples == 40

    def test_the_environment_names_a_folder(self, folder, monkeypatch):
        monkeypatch.setenv("FASHION_MNIST", str(folder))
        assert problems.fashion_mnist(validation=0).num_examples == 40

    @pytest.mark.parametrize("validation", [-1, 40, 2.5, True])
    def test_validation_is_a_number_of_images(self, folder, validation):
        with pytest.raises((ValueError, TypeError), match="fashion_mnist: validation must be"):
            problems.fashion_mnist(folder=folder, validation=validation)

    def test_a_missing_folder_or_file_is_named(self, folder):
        with pytest.raises(FileNotFoundError, match=r"no train-images-idx3-ubyte or .*\.gz in .*nowhere"):
            problems.fashion_mnist(folder=folder / "nowhere")
        (folder / "t10k-labels-idx1-ubyte.gz").unlink()
        with pytest.raises(FileNotFoundError, match="no t10k-labels-idx1-ubyte or"):
            problems.fashion_mnist(folder=folder)

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda content: content[:-30], "train-images.*not a whole gzip file"),
            (lambda content: b"<html>", "train-images.*not a whole gzip file"),
            (lambda content: content[:40] + bytes(20) + content[60:], "train-images.*not a whole gzip file"),
            (lambda content: gzip.compress(idx(np.zeros(5, np.uint8))), "magic number 0x00000801; .* starts with 0x00000803"),
            (lambda content: gzip.compress(b""), "train-images.* is empty; expected an IDX file"),
            (lambda content: gzip.compress(idx(np.zeros((40, 8, 9), np.uint8))), "train-images.*must be 28 x 28; got 8 x 9"),
            (lambda content: gzip.compress(gzip.decompress(content)[:-1]), r"31375 bytes; .* \(40, 28, 28\), 31376 bytes"),
            (lambda content: gzip.compress(gzip.decompress(content)[:9]), "has 9 bytes; its header announces"),
            (lambda content: gzip.compress(idx(np.zeros((3, 28, 28), np.uint8))), "has 3 images and .* 40 labels"),
        ],
    )
    def test_damaged_files_are_named_with_what_was_read(self, folder, damage, message):
        path = folder / "train-images-idx3-ubyte.gz"
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(ValueError, match=message):
            problems.fashion_mnist(folder=folder)

    def test_labels_out_of_range_are_refused(self, folder):
        (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.full(20, 12, np.uint8))))
        with pytest.raises(ValueError, match=r"t10k-labels.*: labels must be from 0 to 9; got 12"):
            problems.fashion_mnist(folder=folder)

    @pytest.mark.skipif(not datasets.DEBIAN_FOLDER.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
    def test_debians_package_is_found(self):
        problem = problems.fashion_mnist()
        assert repr(problem) == "Problem(fashion_mnist/softmax: 55000 train, 5000 validation, 10000 test)"
        assert jnp.bincount(problem.data.train["y"]).tolist() == [5500] * 10
        assert float(problem.data.test["x"].mean()) == pytest.approx(73.15, abs=0.01)  # 0.2868 · 255, as published


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No files, no network, and a cache of one's own."""
    monkeypatch.delenv("FASHION_MNIST", raising=False)
    monkeypatch.setattr(datasets, "DEBIAN_FOLDER", tmp_path / "absent")
    monkeypatch.setattr(datasets, "FASHION_MNIST_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(folder, nowhere, monkeypatch):
    """A server of the small Fashion-MNIST, whose hashes are the expected ones."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in datasets.FASHION_MNIST}
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setattr(datasets, "FASHION_MNIST", hashes)
        monkeypatch.setattr(datasets, "FASHION_MNIST_URL", f"http://127.0.0.1:{running.server_port}/")
        yield running
        running.shutdown()


class TestDownload:
    def test_happens_once(self, server, monkeypatch):
        assert problems.fashion_mnist(validation=0).num_examples == 40
        monkeypatch.setattr(datasets, "FASHION_MNIST_URL", "http://127.0.0.1:9/")
        assert problems.fashion_mnist(validation=8).num_examples == 32

    def test_of_another_file_leaves_nothing_in_the_cache(self, server, folder, nowhere):
        (folder / "train-images-idx3-ubyte.gz").write_bytes(b"something else")
        with pytest.raises(ValueError, match="does not match the known hash"):
            problems.fashion_mnist()
        assert [path for path in nowhere.rglob("*") if path.is_file()] == []

    def test_without_network_names_the_other_ways(self, nowhere):
        with pytest.raises(
            ConnectionError, match=r"cannot download .*pass folder=, set FASHION_MNIST .* dataset-fashion-mnist"
        ):
            problems.fashion_mnist()
        assert [path for path in nowhere.rglob("*") if path.is_file()] == []

    def test_without_pooch_says_how_to_get_it(self, nowhere, monkeypatch):
        monkeypatch.setitem(sys.modules, "pooch", None)
        with pytest.raises(ImportError, match=r"needs pooch \(pip install 'jaxopt_course\[data\]'\); or pass folder="):
            problems.fashion_mnist()


class TestSynthetic:
    @pytest.mark.parametrize("build", [problems.linear_regression, problems.logistic_regression])
    @pytest.mark.parametrize("condition_number", [1.0, 37.0, 5e3])
    def test_the_hessian_has_the_condition_number_chosen(self, build, condition_number):
        x = np.asarray(build(83, 6, condition_number).data.train["x"], np.float64)
        assert np.linalg.cond(x.T @ x / 83) == pytest.approx(condition_number, rel=1e-3)
        assert np.abs(x.mean(axis=0)).max() < 1e-6

    def test_the_whole_hessian_of_the_linear_model_has_it_too_bias_included(self):
        problem = problems.linear_regression(60, 3, 20.0)

        def loss(flat):
            params = {"dense0": {"kernel": flat[:3, None], "bias": flat[3:]}}
            return problem.objective(params, {}, problem.data.train).losses.mean()

        hessian = jax.hessian(loss)(jnp.array([0.3, -1.0, 2.0, 0.5]))
        eigenvalues = np.linalg.eigvalsh(hessian)
        np.testing.assert_allclose(eigenvalues, [1 / 20, 1 / np.sqrt(20), 1, 1], rtol=1e-4)

    def test_the_logistic_hessian_at_zero_is_a_quarter_of_the_covariance(self):
        problem = problems.logistic_regression(60, 3, 20.0)

        def loss(kernel):
            params = {"dense0": {"kernel": kernel[:, None], "bias": jnp.zeros(1)}}
            return problem.objective(params, {}, problem.data.train).losses.mean()

        x = problem.data.train["x"]
        np.testing.assert_allclose(jax.hessian(loss)(jnp.zeros(3)), x.T @ x / 240, rtol=1e-4, atol=1e-6)

    def test_least_squares_leaves_the_noise(self):
        data = problems.linear_regression(2000, 4, noise=0.5).data
        x, y = (np.asarray(data.train[key]) for key in ("x", "y"))
        residuals = y - x @ np.linalg.lstsq(x, y)[0]
        assert residuals.std() == pytest.approx(0.5, rel=0.05)
        covariances = [np.cov(np.asarray(getattr(data, split)["x"]).T) for split in SPLITS]
        np.testing.assert_allclose(covariances[1], covariances[0], atol=0.1)
        np.testing.assert_allclose(covariances[2], covariances[0], atol=0.1)

    @pytest.mark.parametrize("build", [problems.linear_regression, problems.logistic_regression])
    def test_the_seed_makes_the_data(self, build):
        assert build(30, 2, seed=4) == build(30, 2, seed=4)
        assert build(30, 2, seed=4) != build(30, 2, seed=5)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"num_examples": 5, "num_features": 5}, "num_features must be an integer from 1 to 4; got 5"),
            ({"condition_number": 0.5}, "condition_number must be a number >= 1; got 0.5"),
            ({"num_features": 1}, "condition_number must be 1 for one feature; got 10.0"),
            ({"noise": -1.0}, "noise must be a number >= 0; got -1.0"),
            ({"seed": -1}, "seed must be an integer >= 0; got -1"),
        ],
    )
    def test_numbers_out_of_range_are_refused(self, arguments, message):
        with pytest.raises(ValueError, match=f"linear_regression: {message}"):
            problems.linear_regression(**arguments)


def test_every_problem_in_the_table_is_made_by_its_name():
    for name, (build, description) in problems.PROBLEMS.items():
        assert build.__name__ == name.replace("-", "_")
        assert description


def test_data_first_asked_for_inside_a_trace_are_arrays_afterwards():
    datasets._digits.cache_clear()
    jax.eval_shape(lambda: problems.digits().init(jax.random.key(0))[0])
    assert not isinstance(problems.digits().data.train["x"], jax.core.Tracer)
