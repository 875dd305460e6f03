"""Their side: ``python -m tests.dialects.frameworks torch`` runs every case in the real framework, and prints JSON.

Each framework has a process of its own: float64 is a global setting of torch, of Keras and of JAX.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.dialects import cases

ROOT = Path(__file__).parents[2]
PACKAGES = {"torch": ("torch",), "keras": ("keras", "jax"), "optax": ("optax", "jax")}


def installed(framework: str) -> bool:
    return importlib.util.find_spec(framework) is not None


@functools.cache
def trajectories(framework: str) -> dict:
    """Versions, signatures, and every case's kept steps, from a fresh process."""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.dialects.frameworks", framework]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def torch_trajectory(case: cases.Case) -> np.ndarray:
    import torch

    torch.set_default_dtype(torch.float64)
    x = torch.tensor(cases.START, requires_grad=True)
    optimizer = getattr(torch.optim, case.theirs)([x], lr=case.rate, **case.arguments)
    points, curvature, noise = [], torch.tensor(cases.CURVATURE), torch.tensor(cases.NOISE)
    for t in range(cases.STEPS):
        for group in optimizer.param_groups:
            group["lr"] = cases.rate(case.rate, t)
        with torch.no_grad():
            x.grad = cases.sign(case) * (curvature * x + 0.3 * torch.cos(3 * x) + noise[t])
        optimizer.step()
        points.append(optimizer.state[x].get("ax", x).detach().numpy().copy())
    return np.array(points)


def keras_trajectory(case: cases.Case) -> np.ndarray:
    import jax
    import jax.numpy as jnp
    import keras

    keras.config.set_floatx("float64")

    class Rate(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return cases.rate(case.rate, keras.ops.cast(step, "float64"))

    variable = keras.Variable(cases.START, dtype="float64")
    optimizer = getattr(keras.optimizers, case.theirs)(Rate(), **case.arguments)
    optimizer.build([variable])

    def step(carry, noise):
        x, state = carry
        (x,), state = optimizer.stateless_apply(state, [cases.gradient(x, noise, jnp.cos)], [x])
        return (x, state), x

    start = jnp.asarray(cases.START), [v.value for v in optimizer.variables]
    return np.asarray(jax.jit(lambda s: jax.lax.scan(step, s, jnp.asarray(cases.NOISE)))(start)[1])


def optax_trajectory(case: cases.Case) -> np.ndarray:
    import optax

    from tests.dialects import ours

    return np.asarray(ours.run(getattr(optax, case.theirs)(lambda step: cases.rate(case.rate, step), **case.arguments)))


def signature(framework: str, name: str) -> list:
    """(name, default) of the arguments of a framework's method, as text."""
    import inspect

    home = {"torch": "torch.optim", "keras": "keras.optimizers", "optax": "optax"}[framework]
    parameters = inspect.signature(getattr(importlib.import_module(home), name)).parameters.values()
    named = [p for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "params"]
    return [[p.name, "" if p.default is p.empty else repr(p.default), p.kind is p.KEYWORD_ONLY] for p in named]


def main(framework: str) -> None:
    run = {"torch": torch_trajectory, "keras": keras_trajectory, "optax": optax_trajectory}[framework]
    found = {name: cases.kept(run(case)).tolist() for name, case in cases.CASES[framework].items()}
    methods = {case.ours: case.theirs for case in cases.CASES[framework].values()}
    record = {
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES[framework]},
        "signatures": {ours: signature(framework, theirs) for ours, theirs in methods.items()},
        "points": found,
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main(sys.argv[1])
