"""What the commands have in common: problems by name, pictures on disk, the cache of compiled programs."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["EPOCHS", "MODELS", "check_writable", "compilation_cache", "problem", "save"]

EPOCHS = {"fashion-mnist": 5}
MODELS = {"digits": "mlp", "fashion-mnist": "mlp"}  # unless one is given; else the problem's own


def problem(name: str, model: str | None, folder: Path | None, swept: Iterable[str] = ()) -> Any:
    """The problem of this name; or a function that makes it, if an argument of it is swept.

    Raises:
        ValueError: it is unknown, or the options do not fit it.
    """
    from jaxopt_course.checks import closest
    from jaxopt_course.problems import PROBLEMS

    if name not in PROBLEMS:
        raise ValueError(f"unknown problem {name!r}{closest(name, PROBLEMS)}")
    options = {"model": model or MODELS.get(name), "folder": folder}
    options = {option: value for option, value in options.items() if value}
    takes = {known: inspect.signature(factory).parameters for known, (factory, _) in PROBLEMS.items()}
    for option in options:
        if option not in takes[name]:
            those = ", ".join(known for known in takes if option in takes[known])
            raise ValueError(f"--{option} is for {those}; {name} takes none")
    make = functools.partial(PROBLEMS[name][0], **options)
    return make if set(swept) & inspect.signature(make).parameters.keys() else make()


def check_writable(where: str, **paths: Path | None) -> None:
    """Raise unless each path that is given could be written, and they are different files: before the training, not after.

    Raises:
        ValueError: two are one file. OSError: one cannot be written.
    """
    from jaxopt_course.report import files

    taken: dict[Path, str] = {}
    for name, path in paths.items():
        if path is not None and (other := taken.setdefault(files.writable(path), name)) != name:
            raise ValueError(f"{where}: --{other} and --{name} must be different files; got {str(path)!r} for both")


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG."""
    import io

    from jaxopt_course.report import files

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    files.write(path, buffer.getvalue())


def compilation_cache(enabled: bool) -> None:
    """Keep compiled programs between processes, if wanted and possible, unless JAX was told where already."""
    import jax

    if not enabled:
        jax.config.update("jax_enable_compilation_cache", False)
    elif not jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]  # defined by jax at import
        try:
            home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
            folder = home / "jaxopt_course" / "xla"
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
            print(f"note: compiled programs are not kept: {error}", file=sys.stderr)
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
