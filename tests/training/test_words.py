"""Examples gathered as words are those gathered number by number, and share the data's memory."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from jaxopt_course.training import run
from jaxopt_course.training.words import take, words_of

ARRAYS = {
    "bytes": np.arange(5 * 28, dtype=np.uint8).reshape(5, 7, 4),
    "signed bytes": np.arange(-60, 60, dtype=np.int8).reshape(5, 24),
    "shorts": np.arange(-20, 20, dtype=np.int16).reshape(5, 8),
    "bfloat16": np.linspace(-3, 3, 40).reshape(5, 2, 4).astype(jnp.bfloat16),
}
OTHERS = {
    "floats": np.ones((5, 3), np.float32),
    "labels": np.arange(5, dtype=np.int32),
    "a row of three bytes": np.ones((5, 3), np.uint8),
    "booleans": np.ones((5, 4), bool),
}


@pytest.mark.parametrize("array", [*ARRAYS.values(), *OTHERS.values()], ids=[*ARRAYS, *OTHERS])
@pytest.mark.parametrize("indices", [np.array([4, 0, 4]), np.array([[1, 2], [3, 0]])], ids=["a step", "a block of steps"])
def test_the_examples_are_the_same(array, indices):
    data = {"x": jnp.asarray(array)}
    taken = jax.jit(take)(data, words_of(data), indices)["x"]
    assert taken.dtype == array.dtype
    np.testing.assert_array_equal(np.asarray(taken).astype(float), array[indices].astype(float))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="accelerators gather bytes as fast")
def test_words_are_the_datas_memory():
    arrays = [jnp.asarray(array) for array in ARRAYS.values()]
    assert [word.unsafe_buffer_pointer() for word in words_of(arrays)] == [x.unsafe_buffer_pointer() for x in arrays]
    assert words_of([jnp.asarray(array) for array in OTHERS.values()]) == (None,) * len(OTHERS)


@pytest.mark.parametrize("sampler", [None, jc.samplers.importance()], ids=["given rows", "rows drawn in the loop"])
def test_training_is_the_same_to_the_bit(sampler, monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 255, (40, 2, 4), dtype=np.uint8), rng.integers(0, 3, 40)
    problem = jc.problems.from_arrays(x, y, model="softmax")
    options = {"batch_size": 8, "epochs": 3, "key": 0, "sampler": sampler}
    by_words = jc.fit(problem, jc.sgd(0.001), **options)
    monkeypatch.setattr(run, "words_of", lambda data: ())
    by_bytes = jc.fit(problem, jc.sgd(0.001), **options)
    jax.tree.map(np.testing.assert_array_equal, by_words.params, by_bytes.params)
