"""Images and signals, as problems: the digits that ship with the package, Fashion-MNIST from files or the network, and
MNIST-1D, made on the spot [A3, A4].

The arrays of a data set are read once and shared by all problems that use them.
"""

from __future__ import annotations

import functools
import gzip
import math
import os
import random
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxopt_course.checks import check_integer
from jaxopt_course.problems.arrays import split_rows
from jaxopt_course.problems.objective import Data, Problem
from jaxopt_course.problems.supervised import supervised
from jaxopt_course.types import Batch, Params

__all__ = ["DEBIAN_FOLDER", "FASHION_MNIST", "digits", "fashion_mnist", "mnist1d", "read_idx"]

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
FASHION_MNIST_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION_MNIST = {  # file → SHA-256 of the published file (its uncompressed content is Debian's too)
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}


def digits(
    model: Any = "softmax",
    *,
    loss: Callable | None = None,
    metrics: Callable | Mapping[str, Callable] | None = None,
    regularizer: Callable[[Params], Any] | None = None,
) -> Problem:
    """Handwritten digits: 1 797 images of 8 × 8 in 10 classes, shipped with the package [A4].

    1 080 to train on, 357 for validation, 360 to test, always the same, each class in proportion. Images are float32
    ``[n, 8, 8]``: the 17 grey levels 0 … 16 of the source divided by 16, which is exact.

    Args:
        model: a name (linear, softmax, mlp, convnet), a model of :mod:`~jaxopt_course.problems.models` with 10 outputs,
            or a flax module.
        loss: ``loss(outputs, batch) → [B]``; cross-entropy, unless given.
        metrics: as for :class:`Problem`; accuracy, unless given.
        regularizer: λR(θ), if any.

    Returns:
        A :class:`Problem`. Two calls with equal arguments make equal problems on the same arrays.

    Raises:
        ValueError: an unknown model name, or a model without 10 outputs. TypeError: not a model.

    >>> problem = digits(model="mlp")
    >>> problem, problem == digits(model="mlp")
    (Problem(digits/mlp: 1080 train, 357 validation, 360 test), True)
    """
    return _images("digits", _digits(), model, loss, metrics, regularizer)


def fashion_mnist(
    model: Any = "softmax",
    *,
    folder: str | Path | None = None,
    validation: int = 5_000,
    loss: Callable | None = None,
    metrics: Callable | Mapping[str, Callable] | None = None,
    regularizer: Callable[[Params], Any] | None = None,
) -> Problem:
    """Fashion-MNIST: 70 000 images of clothes, 28 × 28 bytes in 10 classes, 10 000 of them to test [A4].

    Read from ``folder``, else from the folder that the environment variable ``FASHION_MNIST`` names, else from Debian's
    package ``dataset-fashion-mnist``, else downloaded once (31 MB, checked, kept in the user's cache).

    Args:
        model: a name (linear, softmax, mlp, convnet), a model of :mod:`~jaxopt_course.problems.models` with 10 outputs,
            or a flax module.
        folder: where the four ``*-ubyte`` or ``*-ubyte.gz`` files are.
        validation: how many of the 60 000 training images to hold out, each class in proportion; 0 trains on all.
        loss: ``loss(outputs, batch) → [B]``; cross-entropy, unless given.
        metrics: as for :class:`Problem`; accuracy, unless given.
        regularizer: λR(θ), if any.

    Returns:
        A :class:`Problem`. Two calls with equal arguments make equal problems on the same arrays.

    Raises:
        FileNotFoundError: a file is missing from the folder. ValueError: a file is damaged or not what it should be, or
            ``validation`` is not from 0 to 59 999. ConnectionError: no file anywhere and no network. ImportError: a
            download needs pooch.

    Example::

        problem = fashion_mnist(model="convnet", validation=0)
    """
    validation = check_integer("fashion_mnist", "validation", validation, minimum=0)
    if not (folder is None or isinstance(folder, (str, os.PathLike))):
        raise TypeError(f"fashion_mnist: folder must be a path; got {folder!r}")
    given = folder or os.environ.get("FASHION_MNIST")
    place = (Path(given) if given else DEBIAN_FOLDER if DEBIAN_FOLDER.is_dir() else _download()).expanduser()
    files = tuple(_find(place, name.removesuffix(".gz")) for name in FASHION_MNIST)
    data = _fashion_mnist(files, tuple(_age(file) for file in files), validation)
    return _images("fashion_mnist", data, model, loss, metrics, regularizer)


def mnist1d(
    model: Any = "softmax",
    *,
    validation: int = 1_000,
    loss: Callable | None = None,
    metrics: Callable | Mapping[str, Callable] | None = None,
    regularizer: Callable[[Params], Any] | None = None,
) -> Problem:
    """MNIST-1D: 5 000 signals of 40 samples in 10 classes, 1 000 of them to test [A4].

    Ten templates, padded, scaled, shifted, sheared and covered with noise, as the package ``mnist1d`` of the extra ``data``
    makes them with its own defaults and seed: always the same, without the network. Small, yet a linear model, an MLP and a
    convolutional net differ widely on it.

    Args:
        model: a name (linear, softmax, mlp), a model of :mod:`~jaxopt_course.problems.models` with 10 outputs, or a flax
            module of signals ``[n, 40]``.
        validation: how many of the 4 000 training signals to hold out, each class in proportion; 0 trains on all.
        loss: ``loss(outputs, batch) → [B]``; cross-entropy, unless given.
        metrics: as for :class:`Problem`; accuracy, unless given.
        regularizer: λR(θ), if any.

    Returns:
        A :class:`Problem`. Two calls with equal arguments make equal problems on the same arrays.

    Raises:
        ImportError: the package ``mnist1d`` is not installed. ValueError, TypeError: ``validation`` is not from 0 to 3 999.

    Example::

        problem = mnist1d(model="mlp")

    References:
        S. Greydanus and D. Kobak, Scaling down deep learning with MNIST-1D, ICML 2024.
    """
    validation = check_integer("mnist1d", "validation", validation, minimum=0)
    return _images("mnist1d", _mnist1d(validation), model, loss, metrics, regularizer)


def read_idx(path: str | Path, dimensions: int) -> np.ndarray:
    """An array of bytes from an IDX file, as MNIST and its successors are kept; ``.gz`` is decompressed.

    Args:
        path: the file.
        dimensions: how many axes the array must have: 3 for images, 1 for labels.

    Returns:
        The array, uint8.

    Raises:
        FileNotFoundError: no such file. ValueError: it is damaged, cut short, or not an IDX file of bytes with so many
            axes.

    Example::

        images = read_idx("train-images-idx3-ubyte.gz", dimensions=3)
    """
    path = Path(path)
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: not a whole gzip file: {error}") from error
    if not content:
        raise ValueError(f"{path}: is empty; expected an IDX file")
    magic, expected = int.from_bytes(content[:4]), 0x0800 + dimensions  # 08: bytes
    if magic != expected:
        raise ValueError(
            f"{path}: starts with magic number 0x{magic:08x}; an IDX file of bytes with {dimensions} axes starts with "
            f"0x{expected:08x}"
        )
    start = 4 + 4 * dimensions
    shape = tuple(int.from_bytes(content[i : i + 4]) for i in range(4, start, 4))
    if len(content) != start + math.prod(shape):
        raise ValueError(
            f"{path}: has {len(content)} bytes; its header announces an array of shape {shape}, "
            f"{start + math.prod(shape)} bytes in all"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _images(name: str, data: Data, model: Any, loss: Any, metrics: Any, regularizer: Any) -> Problem:
    """The problem of telling ten kinds of images apart."""
    title = f"{name}/{model}" if isinstance(model, str) else name
    return supervised(name, data, model, 10, np.arange(10), loss=loss, metrics=metrics, regularizer=regularizer, name=title)


@functools.cache
def _digits() -> Data:
    with np.load(Path(__file__).parent / "data" / "digits.npz") as file:
        images, labels = file["images"].astype(np.float32) / 16, file["labels"]
    train, validation, test = split_rows(labels, [357, 360], seed=0)
    return Data(*(_batch(images[rows], labels[rows]) for rows in (train, validation, test)))


def _age(path: Path) -> tuple[int, int]:
    """What changes when a file does."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=4)
def _fashion_mnist(files: tuple[Path, ...], ages: tuple[tuple[int, int], ...], validation: int) -> Data:
    (images, labels), test = _read_split(*files[:2]), _read_split(*files[2:])
    check_integer("fashion_mnist", "validation", validation, minimum=0, maximum=len(images) - 1)
    if not validation:
        return Data(_batch(images, labels), None, _batch(*test))
    train, held_out = split_rows(labels, [validation], seed=0)
    return Data(_batch(images[train], labels[train]), _batch(images[held_out], labels[held_out]), _batch(*test))


@functools.lru_cache(maxsize=4)
def _mnist1d(validation: int) -> Data:
    made = _made_mnist1d()
    check_integer("mnist1d", "validation", validation, minimum=0, maximum=len(made["y"]) - 1)
    test = _batch(made["x_test"].astype(np.float32), made["y_test"])
    rows = split_rows(made["y"], [validation], seed=0) if validation else [np.arange(len(made["y"]))]
    train, *held_out = (_batch(made["x"][part].astype(np.float32), made["y"][part]) for part in rows)
    return Data(train, held_out[0] if held_out else None, test)


def _made_mnist1d() -> dict[str, np.ndarray]:
    """The package's arrays; it seeds the global generators of Python and NumPy, which get their state back."""
    try:
        from mnist1d.data import make_dataset  # pyright: ignore[reportMissingImports]  # of the extra `data`
    except ImportError as error:
        raise ImportError("mnist1d: making it needs the package mnist1d (pip install 'jaxopt_course[data]')") from error
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        return make_dataset()
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def _read_split(*files: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of one split, which must agree."""
    images, labels = read_idx(files[0], 3), read_idx(files[1], 1)
    if len(images) != len(labels) or len(images) == 0:
        raise ValueError(f"{files[0]} has {len(images)} images and {files[1]} {len(labels)} labels; expected as many, > 0")
    if images.shape[1:] != (28, 28):
        raise ValueError(f"{files[0]}: images must be 28 x 28; got {images.shape[1]} x {images.shape[2]}")
    if labels.max() > 9:
        raise ValueError(f"{files[1]}: labels must be from 0 to 9; got {labels.max()}")
    return images, labels


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"fashion_mnist: no {name} or {name}.gz in {folder}; expected {', '.join(FASHION_MNIST)}, with or without .gz"
    )


def _download() -> Path:
    """The cache folder with the published files; each is checked before it gets its name there."""
    instead = "pass folder=, set FASHION_MNIST to a folder, or install Debian's package dataset-fashion-mnist"
    try:
        import pooch  # pyright: ignore[reportMissingImports]  # of the extra `data`
    except ImportError as error:
        message = f"fashion_mnist: downloading needs pooch (pip install 'jaxopt_course[data]'); or {instead}"
        raise ImportError(message) from error
    folder = Path(pooch.os_cache("jaxopt_course")) / "fashion-mnist"
    for name, sha256 in FASHION_MNIST.items():
        try:
            pooch.retrieve(FASHION_MNIST_URL + name, f"sha256:{sha256}", name, folder)
        except OSError as error:
            message = f"fashion_mnist: cannot download {FASHION_MNIST_URL}{name} ({error}); {instead}"
            raise ConnectionError(message) from error
    return folder


def _batch(x: np.ndarray, y: np.ndarray) -> Batch:
    with jax.ensure_compile_time_eval():  # what is kept for later must be no tracer, wherever the first call is
        return jax.device_put({"x": x, "y": np.asarray(y, np.int32)})  # jnp.asarray would compile a program for each shape
