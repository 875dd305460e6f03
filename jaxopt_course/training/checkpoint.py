"""A run's state on disk, by Orbax: parameters, optimizer state with its hyperparameters, key, step.

A checkpoint is a folder in the layout of Orbax's ``CheckpointManager``, one folder for each step in it, so Orbax's own tools
read it. A step's folder is written beside its place and moved there, and only then is an older one removed: a kill at any
moment leaves the last whole checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_course.training.step import TrainState
from jaxopt_course.types import is_key

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

__all__ = ["Saver", "make_folder", "restore", "resumed", "save"]

EVERY = 10.0  # seconds between two checkpoints of a run, at least
SHARE = 0.05  # of the time may go into them
KEPT = 2
SHOWN = 4  # leaves in a message


def save(path: str | os.PathLike[str], state: TrainState) -> None:
    """Save a run's state, to go on from in another process; the last two steps are kept.

    What was saved last is what :func:`restore` gives: later steps that are there, of another run, are removed.

    Args:
        path: a folder; made if need be.
        state: ``result.state``, or what a :class:`~jaxopt_course.training.loop.Step` returned.

    Raises:
        TypeError: not a path, or not a state. OSError: the folder cannot be written to.

    >>> import tempfile
    >>> import jaxopt_course as jc
    >>> problem, optimizer = jc.problems.linear_regression(40, 3), jc.adam(0.01)
    >>> folder = tempfile.mkdtemp()
    >>> save(folder, jc.fit(problem, optimizer, batch_size=8, epochs=2).state)
    >>> state = restore(folder, like=jc.init_state(problem, optimizer))
    >>> int(state.step), int(jc.fit(problem, optimizer, batch_size=8, epochs=1, state=state).state.step)
    (10, 15)
    """
    if not isinstance(state, TrainState):
        raise TypeError(f"save: state must be a TrainState, as result.state is; got {type(state).__name__}")
    _write("save", path, state)


def restore(path: str | os.PathLike[str], like: TrainState) -> TrainState:
    """The latest state that was saved at a path.

    Args:
        path: the folder that :func:`save` or ``jc.fit(..., checkpoint=path)`` wrote.
        like: a state of the same problem and optimizer, as ``jc.init_state(problem, optimizer)``: its form is taken, its
            values are not.

    Returns:
        The state, bit by bit as it was, in buffers of its own.

    Raises:
        FileNotFoundError: nothing is saved there. TypeError: not a path, or ``like`` is not a state. ValueError: the
            checkpoint is of another problem or optimizer; names the leaves that differ.
    """
    if not isinstance(like, TrainState):
        raise TypeError(f"restore: like must be a TrainState, as jc.init_state gives; got {type(like).__name__}")
    if (step := _latest("restore", path)) is None:
        raise FileNotFoundError(f"restore: no checkpoint at {os.fspath(path)}")
    import orbax.checkpoint as ocp

    with _manager("restore", path) as manager:
        if different := _differences(manager.item_metadata(step), like):
            shown = "; ".join(different[:SHOWN]) + f"; and {len(different) - SHOWN} more" * (len(different) > SHOWN)
            raise ValueError(f"restore: the checkpoint {path} is of another problem or optimizer: {shown}")
        return jax.tree.map(_own, manager.restore(step, args=ocp.args.StandardRestore(like)))


def resumed(where: str, path: Any, begin: TrainState, settings: Mapping[str, Any]) -> TrainState:
    """The latest state of the run that began at ``begin``; that one, if nothing is saved.

    ``settings`` are what decides which examples a step sees, as :class:`Saver` keeps them.

    Raises:
        ValueError: it is of another problem, optimizer, key or settings, or of an earlier step.
    """
    if (step := _latest(where, path)) is None:
        return begin
    state = restore(path, begin)
    with _manager(where, path) as manager:
        saved = manager.metadata(step).custom_metadata or {}
    if not np.array_equal(jax.random.key_data(state.key), jax.random.key_data(begin.key)):
        raise ValueError(f"{where}: checkpoint {path} is of a run with another key")
    for name in [name for name in settings if name in saved and saved[name] != settings[name]]:
        raise ValueError(f"{where}: checkpoint {path} is of a run with {name}={saved[name]}; got {name}={settings[name]}")
    if state.step < begin.step:
        raise ValueError(f"{where}: checkpoint {path} is at step {state.step}, before step {begin.step} of the state given")
    return state


def make_folder(where: str, path: Any) -> None:
    """Make the folder that checkpoints go to, before the training.

    Raises:
        TypeError: not a path. OSError: it cannot be written to; names the path.
    """
    folder = _folder(where, path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise type(error)(f"{where}: cannot write checkpoints to {os.fspath(path)} ({error.strerror})") from error


class Saver:
    """Saves a run now and then, so that it takes little of its time; with its settings, for :func:`resumed` to compare."""

    def __init__(self, path: str | os.PathLike[str], settings: Mapping[str, Any]):
        self.path, self.settings, self.saved, self.took, self.step = path, settings, time.perf_counter(), 0.0, -1

    def see(self, state: TrainState, step: int, *, last: bool = False) -> None:
        """Save the state after ``step`` steps, if it is time to, or the ``last`` one and not saved yet."""
        began = time.perf_counter()
        if (last or began - self.saved >= max(EVERY, self.took / SHARE)) and step != self.step:
            _write("fit", self.path, state, self.settings)
            self.saved, self.step = time.perf_counter(), step
            self.took = self.saved - began


def _latest(where: str, path: Any) -> int | None:
    """The last step that is saved at a path; None if there is none."""
    folder = _folder(where, path)
    if not folder.is_dir():
        return None
    with _manager(where, path) as manager:
        return manager.latest_step()


@contextlib.contextmanager
def _manager(where: str, path: Any) -> Iterator[ocp.CheckpointManager]:
    import orbax.checkpoint as ocp

    options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, enable_async_checkpointing=False)
    handler = ocp.StandardCheckpointHandler()
    with ocp.CheckpointManager(_folder(where, path), options=options, item_handlers=handler) as manager:
        yield manager


def _write(where: str, path: Any, state: TrainState, settings: Mapping[str, Any] | None = None) -> None:
    import orbax.checkpoint as ocp

    make_folder(where, path)
    step = int(state.step)
    with _manager(where, path) as manager:
        if step in manager.all_steps():
            manager.delete(step)
        manager.save(step, args=ocp.args.StandardSave(state), force=True, custom_metadata=dict(settings or {}))
        for later in [other for other in manager.all_steps() if other > step]:
            manager.delete(later)


def _folder(where: str, path: Any) -> Path:
    if not isinstance(path, (str, os.PathLike)) or path == "":
        raise TypeError(f"{where}: {'checkpoint' if where == 'fit' else 'path'} must be a path; got {path!r}")
    if (folder := Path(path).absolute()).exists() and not folder.is_dir():
        raise NotADirectoryError(f"{where}: a checkpoint is a folder; {path} is a file")
    return folder


def _differences(saved: Any, like: TrainState) -> list[str]:
    """``"params/w is float32 (3, 4) there, float32 (3, 5) here"``, for each leaf that differs."""
    import orbax.checkpoint as ocp

    there = {name: _form(leaf) for name, leaf in ocp.tree.to_flat_dict(saved, sep="/").items()}
    words = jax.tree.map(lambda leaf: jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf, like)
    here = {name: _form(leaf) for name, leaf in ocp.tree.to_flat_dict(words, sep="/").items()}
    names = dict.fromkeys([*here, *there])
    pairs = {name: (there.get(name, "absent"), here.get(name, "absent")) for name in names}
    return [f"{name} is {a} there, {b} here" for name, (a, b) in pairs.items() if a != b]


def _form(leaf: Any) -> str:
    return f"{jnp.dtype(leaf.dtype)} {tuple(leaf.shape)}"


def _own(leaf: Any) -> jax.Array:
    """In a buffer of its own, wherever JAX puts arrays: not bound to the device that it was saved from."""
    words = np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
    own = jax.device_put(words, may_alias=False)
    return jax.random.wrap_key_data(own, impl=jax.random.key_impl(leaf)) if is_key(leaf) else own
