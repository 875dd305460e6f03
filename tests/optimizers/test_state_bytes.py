"""State bytes per parameter equal the method's minimum: what its equation has to remember, and nothing else."""

import jax
import jax.numpy as jnp
import pytest

from jaxopt_course.optimizers import CATALOG

SIZE = 10_000
# Numbers that the equation carries from one step to the next, for each parameter.
REMEMBERED = {
    "sgd": 0,
    "normalized_sgd": 0,
    "averaged_sgd": 1,  # θ̄
    "momentum": 1,  # m
    "nesterov": 1,  # m
    "adagrad": 1,  # Σg²
    "rmsprop": 1,  # ν
    "adadelta": 2,  # E[g²], E[Δ²]
    "adam": 2,  # m, ν
    "adamax": 2,  # m, u
    "nadam": 2,  # m, ν
    "amsgrad": 3,  # m, ν, max ν
    "adamw": 2,  # m, ν
    "line_search": 0,
}
MORE = {  # what a variant's setting adds
    "centred": lambda settings: settings.get("centred", False),
    "momentum": lambda settings: settings.get("momentum", 0) > 0,
    "direction": lambda settings: "direction" in settings,  # heavy ball's m
}
ROWS = [
    pytest.param(name, settings, id=f"{name}-{i}")
    for name, entry in CATALOG.items()
    for i, settings in enumerate((entry.settings, *entry.variants))
]


def nbytes(state):
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "settings"), ROWS)
def test_bytes(name, settings, dtype):
    params = {"w": jnp.zeros((SIZE // 100, 100), dtype), "b": jnp.zeros(0, dtype)}
    state = jax.eval_shape(CATALOG[name].factory(**settings).init, params)
    numbers = REMEMBERED[name]
    if name in ("rmsprop", "line_search"):
        numbers += sum(bool(more(settings)) for more in MORE.values())
    scalars = nbytes(state) - numbers * SIZE * jnp.dtype(dtype).itemsize
    assert 0 <= scalars <= 100  # counters and hyperparameters, whatever the size of the parameters


def test_every_row_is_listed():
    assert set(CATALOG) == set(REMEMBERED)
