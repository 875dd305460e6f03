"""A run to kill: ``python -m tests.training.checkpointed PATH STEP`` sends itself SIGKILL while it saves step STEP."""

from __future__ import annotations

import os
import signal
import sys

import jax.numpy as jnp
import numpy as np

import jaxopt_course as jc
from jaxopt_course.training import checkpoint


def squares(params, batch):
    return (batch["x"] @ params["w"] + params["b"] - batch["y"]) ** 2


def problem():
    rng = np.random.default_rng(6)
    data = {"x": jnp.asarray(rng.normal(size=(47, 3))), "y": jnp.asarray(rng.normal(size=47))}
    return jc.Problem.from_loss(squares, {"w": jnp.array([0.5, -1.0, 0.25]), "b": jnp.float32(0.1)}, data)


def run(path=None, **options):
    return jc.fit(problem(), jc.adam(0.03), **{"batch_size": 10, "epochs": 8, "key": 5, "checkpoint": path} | options)


def save_often(monkeypatch=None):
    for name, value in (("EVERY", 0.0), ("SHARE", np.inf)):
        setattr(checkpoint, name, value) if monkeypatch is None else monkeypatch.setattr(checkpoint, name, value)


if __name__ == "__main__":
    path, kill = sys.argv[1], int(sys.argv[2])
    save_often()
    real = os.rename

    def rename(source, target, *args, **kwargs):
        """Of the folder that was written, to its place."""
        if f"{kill}" == os.path.basename(str(target)):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(source, target, *args, **kwargs)

    os.rename = rename
    run(path, callbacks=lambda moment: None)
