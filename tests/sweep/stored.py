"""A sweep to kill: ``python -m tests.sweep.stored PATH KILL`` stores it, and sends itself SIGKILL at the write number KILL."""

from __future__ import annotations

import os
import signal
import sys
import threading

import jax.numpy as jnp
import numpy as np

import jaxopt_course as jc
from jaxopt_course import schedules
from jaxopt_course.sweep import store

SCALE = np.array([1.0, 2.0, 0.5], np.float32)


def scaled_squares(params, batch):
    return (batch["x"] * SCALE @ params["w"] + params["b"] - batch["y"]) ** 2


def factory(rate, form):
    return jc.nesterov(schedules.exponential(rate, 0.99), momentum=0.7, form=form)


def problem(n=53):
    rng = np.random.default_rng(5)
    data = jc.Data(*({"x": jnp.asarray(rng.normal(size=(m, 3))), "y": jnp.asarray(rng.normal(size=m))} for m in (n, 11, 7)))
    return jc.Problem.from_loss(scaled_squares, {"w": jnp.array([0.5, -1.0, 0.25]), "b": jnp.float32(0.1)}, data)


def run(path=None, epochs=2, n=53, **options):
    """Two programs, two blocks each for each of two seeds; a rate that diverges is among them."""
    space = jc.grid(rate=[0.01, 0.1, 1e30], form=["lookahead", "shifted"])
    options = {"space": space, "seeds": [3, 8], "batch_size": 10, "lanes": 2} | options
    return jc.sweep(problem(n), factory, epochs=epochs, store=path, **options)


def count_writes(at):
    """Call ``at(number, path, value)`` before each file that Zarr writes; its threads come one at a time."""
    from zarr.storage import _local

    real, numbers, turn = _local._put, iter(range(10**9)), threading.Lock()

    def put(path, value, *args, **kwargs):
        with turn:
            at(next(numbers), path, value)
        return real(path, value, *args, **kwargs)

    _local._put = put
    return lambda: setattr(_local, "_put", real)


def write_often(monkeypatch=None):
    for name, value in (("EVERY", 0.0), ("SHARE", np.inf)):
        setattr(store, name, value) if monkeypatch is None else monkeypatch.setattr(store, name, value)


if __name__ == "__main__":
    path, kill, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    write_often()
    count_writes(lambda number, *_: os.kill(os.getpid(), signal.SIGKILL) if number == kill else None)
    run(path, epochs)
