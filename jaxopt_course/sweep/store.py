"""A sweep on disk: a Zarr store that holds the results so far, and what it takes to go on from there, bit by bit.

::

    sweep.zarr/            the dataset that jc.sweep returns, as far as it has come, and `finished`, which runs are whole
        sweep/             (attributes) which sweep this is, the lane sizes of its groups, where the blocks under way stand
            state-0, -1    their states after an epoch, in turns: one is written while the other counts

Zarr replaces files whole. The order of writing does the rest: values before the mark that they are finished, a state before
the note that it counts. So a kill at any moment leaves a store that says less than was done, never more.
"""

from __future__ import annotations

import importlib
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course.sweep.identity import differences
from jaxopt_course.sweep.journal import Carry, Journal, Record
from jaxopt_course.sweep.results import Table
from jaxopt_course.types import is_key

if TYPE_CHECKING:
    import xarray as xr

    from jaxopt_course.training.clock import Clock

__all__ = ["Store", "check_path", "create"]

EVERY = 1.0  # seconds between two writes, at least
SHARE = 0.05  # of the time may go into writing
NOTES = ("identity", "lanes", "seconds", "state")
FINISHED = {"description": "whether the run is whole", "units": "1"}
FORMAT: dict[str, Any] = {"zarr_format": 3, "consolidated": False}


def check_path(path: Any) -> Path:
    """The path, if there can be a store at it.

    Raises:
        TypeError: not a path. ImportError: Zarr is not installed. FileExistsError: something else is there. OSError: it cannot
            be written.
    """
    if not isinstance(path, (str, os.PathLike)) or "://" in str(path):
        raise TypeError(f"sweep: store must be a path of this machine; got {path!r}")
    try:
        importlib.import_module("zarr")
    except ImportError as error:
        raise ImportError("sweep: store needs Zarr: pip install 'jaxopt_course[store]'") from error
    found = Path(os.path.expanduser(path))
    if found.exists() and not (found / "sweep" / "zarr.json").exists():
        raise FileExistsError(f"sweep: store must be a new path, or one that a sweep has stored at; {found} is something else")
    inside = next(folder for folder in (found, *found.absolute().parents) if folder.exists())
    try:
        tempfile.TemporaryDirectory(dir=inside).cleanup()
    except OSError as error:
        raise OSError(f"sweep: cannot write store {found}: {inside}: {error.strerror}") from error
    return found


def create(path: Path, identity: Mapping[str, str], empty: xr.Dataset, lanes: Sequence[int]) -> None:
    """Make a store, beside its place, and move it there.

    Args:
        path: from :func:`check_path`.
        identity: which sweep it is.
        empty: its dataset, without results.
        lanes: how many each group trains at a time.
    """
    import zarr

    beside = path.with_name(f".{path.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    empty = _writable(empty.assign_attrs(incomplete=1), np.zeros(empty["diverged_step"].shape, bool))
    empty.to_zarr(beside, encoding=_chunks(empty), **FORMAT)
    notes = {"identity": dict(identity), "lanes": list(lanes), "state": None, "seconds": [0.0, 0.0]}
    zarr.open_group(beside, mode="r+").create_group("sweep", attributes=notes)
    beside.rename(path)


class Store(Journal):
    """The store of one sweep.

    Args:
        path: where it is.
        identity: which sweep goes on.
        table: takes over what is stored, then the records.
        clock: of this call.

    Raises:
        ValueError: the store belongs to another sweep; says what differs. Or it is damaged.
    """

    def __init__(self, path: Path, identity: Mapping[str, str], table: Table, clock: Clock):
        import zarr

        super().__init__(table, clock)
        self.path, self.done = path, np.zeros(table.diverged.shape, bool)
        with _reading(path):
            self.notes: Any = zarr.open_group(path, mode="r+", path="sweep")
            there, self.sizes, self.earlier, _ = (self.notes.attrs[name] for name in NOTES)
        if different := differences(there, identity):
            raise ValueError(f"sweep: store {path} belongs to another sweep: {'; '.join(different)}")
        with _reading(path):
            _clear(path)
            self._read()
        self.touched: set[int] = set()  # seeds with results to be written
        self.wrote, self.took = time.perf_counter(), 0.0

    @property
    def seconds(self) -> tuple[float, float]:
        """Spent compiling, and running, in all calls."""
        return self.earlier[0] + self.clock.compiling, self.earlier[1] + self.clock.running

    def lanes(self, number: int, fitting: Callable[..., int]) -> int:
        """As many as the store recorded; how many blocks fit at once is another question on another machine."""
        return self.sizes[number] if self.done.all() else fitting(self.sizes[number])

    def carry(self, members: np.ndarray, seeds: np.ndarray) -> Carry | None:
        """Where the blocks of these lanes stand; None, if they are done."""
        if self.done[members, seeds].all():
            return None
        note = self.notes.attrs["state"]
        if note is None or (note["members"], note["seeds"]) != (members.tolist(), seeds.tolist()):
            return Carry()
        with _reading(self.path):
            *states, diverged = _unpacked(self.notes[note["at"]][...], note["leaves"])
        return Carry(note["epoch"], states, diverged)

    def add(self, record: Record) -> None:
        """Take in what one epoch brought; write, if it is time to."""
        super().add(record)
        self.touched |= set(record.seeds.tolist())
        if record.last:
            self.done[record.members, record.seeds] = True
        if time.perf_counter() - self.wrote >= max(EVERY, self.took / SHARE):
            began = time.perf_counter()
            self._write_results()
            if not record.last:
                self._write_state(record)
            self.wrote = time.perf_counter()
            self.took = self.wrote - began

    def close(self) -> None:
        """Write the rest; take away what only an unfinished sweep needs."""
        import zarr

        if self.touched:
            self._write_results()
        if self.done.all():
            compiling, running = self.notes.attrs["seconds"]
            finished = {"incomplete": 0, "compile_seconds": compiling, "run_seconds": running}
            zarr.open_group(self.path, mode="r+").attrs.update(finished)
            self.notes.attrs["state"] = None
            for name in list(self.notes.array_keys()):
                del self.notes[name]

    def _read(self) -> None:
        import xarray as xr

        with xr.open_zarr(self.path, chunks=None, consolidated=False) as stored:
            self.done = stored["finished"].values.reshape(self.done.shape)
            self.table.restore(stored.drop_vars("finished"))

    def _write_results(self) -> None:
        import zarr

        dataset = _writable(self.table.dataset({}), self.done)
        dataset = dataset.drop_vars(list(dataset.coords))
        new = dataset[[name for name in dataset.data_vars if not (self.path / str(name) / "zarr.json").exists()]]
        if new.data_vars:
            attributes = zarr.open_group(self.path, mode="r").attrs.asdict()
            new.assign_attrs(attributes).to_zarr(self.path, mode="a", encoding=_chunks(new), **FORMAT)
        for part in (dataset.drop_vars("finished"), dataset[["finished"]]):
            for seed in self.touched:
                region = {"seed": slice(seed, seed + 1)}
                part.isel(region).to_zarr(self.path, region=region, **FORMAT)
        self.touched = set()
        self.notes.attrs["seconds"] = list(self.seconds)

    def _write_state(self, record: Record) -> None:
        note = self.notes.attrs["state"]
        at = "state-1" if note and note["at"] == "state-0" else "state-0"
        packed, leaves = _packed([*jax.tree.leaves(record.carry.states), record.carry.diverged])
        self.notes.create_array(at, data=packed, chunks=packed.shape, compressors=None, overwrite=True)
        block = {"members": record.members.tolist(), "seeds": record.seeds.tolist(), "epoch": record.epoch}
        self.notes.attrs["state"] = {"at": at, "leaves": leaves, **block}


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say what is wrong if a store cannot be read."""
    try:
        yield
    except Exception as error:  # JSON's, Zarr's, xarray's
        found = f"{type(error).__name__}: {error}"
        raise ValueError(f"sweep: store {path} is damaged ({found}); take it away to begin again") from error


def _clear(path: Path) -> None:
    """Take away what a kill found half written: files, and the folders of arrays without their metadata."""
    for stray in path.rglob("*.partial"):
        stray.unlink()
    for folder in (*path.iterdir(), *(path / "sweep").iterdir()):
        if folder.is_dir() and not (folder / "zarr.json").exists():
            shutil.rmtree(folder)


def _writable(dataset: xr.Dataset, done: np.ndarray) -> xr.Dataset:
    """With ``finished``; and strings of variable length, since Zarr's specification has no others."""
    runs = dataset["diverged_step"]
    strings = {name: dataset[name].astype(object) for name in dataset.coords if dataset[name].dtype.kind == "U"}
    return dataset.assign(finished=(runs.dims, done.reshape(runs.shape), FINISHED)).assign_coords(strings)


def _chunks(dataset: xr.Dataset) -> dict[str, Any]:
    """One for each seed."""
    size = lambda variable: tuple(1 if dim == "seed" else size for dim, size in variable.sizes.items())
    return {str(name): {"chunks": size(variable)} for name, variable in dataset.data_vars.items()}


def _packed(leaves: list[Any]) -> tuple[np.ndarray, list[Any]]:
    """All leaves' bytes in a row, since Zarr does not know all dtypes; and the dtype and shape of each."""
    arrays = [np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf) for leaf in leaves]
    packed = np.concatenate([np.frombuffer(array.tobytes(), np.uint8) for array in arrays])
    return packed, [(str(array.dtype), array.shape) for array in arrays]


def _unpacked(packed: np.ndarray, leaves: list[Any]) -> list[np.ndarray]:
    arrays, start = [], 0
    for dtype, shape in leaves:
        end = start + jnp.dtype(dtype).itemsize * math.prod(shape)
        arrays.append(packed[start:end].view(jnp.dtype(dtype)).reshape(shape))
        start = end
    return arrays
