"""What the tests of the shell share."""

from __future__ import annotations

import jax
import pytest


@pytest.fixture(autouse=True)
def jax_settings():
    """The shell sets JAX's cache for its process; here it must not for the tests that follow."""
    names = ("jax_enable_compilation_cache", "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    names = (*names, "jax_persistent_cache_min_entry_size_bytes")
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)
