"""The shell: ``jaxopt-course race | fit | optimizers | problems``.

Compiled programs are kept in the user's cache folder (JAX's persistent compilation cache), so that a second run starts faster.
"""

from __future__ import annotations

import inspect
import math
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import tyro

__all__ = ["main"]

EPOCHS = {"fashion-mnist": 5}


def race(
    problem: str = "digits",
    model: str | None = None,
    optimizers: tuple[str, ...] = ("all",),
    seeds: int = 5,
    batch_size: int = 32,
    epochs: int | None = None,
    learning_rates: tuple[float, ...] | None = None,
    metric: str | None = None,
    folder: Path | None = None,
    report: Path = Path("race.html"),
    picture: Path = Path("race.png"),
    progress: bool = True,
    cache: bool = True,
) -> int:
    """Tune every optimizer on validation, run the winners on several seeds, compare them on the test set.

    Prints a table; writes an interactive page and a picture. Ctrl-C reports what is finished.

    Args:
        problem: what to train on (see ``jaxopt-course problems``).
        model: linear, softmax, mlp or convnet; mlp for images by default.
        optimizers: names from the catalog (see ``jaxopt-course optimizers``), "all", or dotted names from elsewhere:
            optax.lion, optax.contrib.muon.
        seeds: final runs of each optimizer.
        batch_size: examples in a step.
        epochs: passes over the data in each run; by default 20 (5 on Fashion-MNIST).
        learning_rates: one grid for all optimizers; by default each one's own.
        metric: what is compared on the test set; accuracy where there is one.
        folder: where Fashion-MNIST's four IDX files are.
        report: the page to write.
        picture: the PNG to write.
        progress: show a progress bar.
        cache: keep compiled programs in the user's cache folder.
    """
    import jaxopt_course as jc
    from jaxopt_course.report import files

    _compilation_cache(cache)
    for path in (report, picture):
        files.writable(path)  # found out before the training, not after
    names = "all" if optimizers == ("all",) else optimizers
    outcome = jc.race(
        _problem(problem, model, folder),
        names,
        seeds=seeds,
        batch_size=batch_size,
        epochs=EPOCHS.get(problem, 20) if epochs is None else epochs,
        learning_rates=learning_rates,
        metric=metric,
        progress=progress,
    )
    print(outcome)
    page = outcome.report(report)
    _save(outcome.plot(), picture)
    print(f"\nwritten: {page}\n         {picture.resolve()}")
    return 130 if outcome.incomplete else 0


def fit(
    problem: str = "digits",
    model: str | None = None,
    optimizer: str = "adam",
    learning_rate: float | None = None,
    batch_size: int = 32,
    epochs: int | None = None,
    key: int = 0,
    folder: Path | None = None,
    picture: Path | None = None,
    history: Path | None = None,
    progress: bool = True,
    cache: bool = True,
) -> int:
    """Train once; print the loss and the metrics on the test set.

    Args:
        problem: what to train on (see ``jaxopt-course problems``).
        model: linear, softmax, mlp or convnet; mlp for images by default.
        optimizer: a name from the catalog (see ``jaxopt-course optimizers``), or another library's: optax.lion.
        learning_rate: by default the middle of the optimizer's grid in a race.
        batch_size: examples in a step.
        epochs: passes over the data; by default 20 (5 on Fashion-MNIST).
        key: the seed of the initial parameters and of the order of examples.
        folder: where Fashion-MNIST's four IDX files are.
        picture: a PNG of the learning curves to write.
        history: a CSV file of the steps to write.
        progress: show a progress bar.
        cache: keep compiled programs in the user's cache folder.
    """
    import jaxopt_course as jc
    from jaxopt_course.race import contestants
    from jaxopt_course.report import files

    _compilation_cache(cache)
    for path in filter(None, (picture, history)):
        files.writable(path)
    (entrant,) = contestants([optimizer], None if learning_rate is None else [learning_rate], where="fit")
    if learning_rate is not None and math.isnan(entrant.learning_rates[0]):
        raise ValueError(f"fit: {optimizer} has no learning rate; got learning_rate={learning_rate:g}")
    rate = entrant.learning_rates[len(entrant.learning_rates) // 2]
    result = jc.fit(
        _problem(problem, model, folder),
        entrant.factory(rate),
        batch_size=batch_size,
        epochs=EPOCHS.get(problem, 20) if epochs is None else epochs,
        key=key,
        progress=progress,
    )
    tested = result.evaluate("test")
    if result.problem.regularizer is None:
        del tested["objective"]  # the loss again
    values = ", ".join(f"{name} {value:.4f}" for name, value in tested.items())
    tuned = "" if math.isnan(rate) else f", learning rate {rate:g}"
    print(f"{optimizer}{tuned}, {result.steps} steps in {result.run_seconds:.2f} s")
    print(f"(and {result.compile_seconds:.2f} s of compiling); on the test set: {values}")
    if picture:
        _save(result.plot(), picture)
    if history:
        steps = result.history.drop_dims("epoch").to_dataframe()
        files.write(history, steps.to_csv())
    return 0


def optimizers() -> int:
    """List the optimizers: name, lecture row, what it does, and its arguments with their defaults."""
    from jaxopt_course.optimizers import CATALOG

    for name, entry in CATALOG.items():
        signature = ", ".join(
            p.name if p.default is p.empty else f"{p.name}={p.default!r}"
            for p in inspect.signature(entry.factory).parameters.values()
        )
        print(f"{name}  [{entry.lecture}]\n    {entry.summary}\n    {name}({signature})")
    return 0


def problems() -> int:
    """List the problems."""
    from jaxopt_course.problems import PROBLEMS

    for name, (_, description) in PROBLEMS.items():
        print(f"{name:<20} {description}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 0, 2 for bad input, 130 after Ctrl-C.

    Args:
        arguments: by default those of the process.
    """
    commands = {"race": race, "fit": fit, "optimizers": optimizers, "problems": problems}
    own_process = arguments is None
    if own_process and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _interrupt)
    try:
        return tyro.extras.subcommand_cli_from_dict(commands, prog="jaxopt-course", description=__doc__, args=arguments)
    except KeyboardInterrupt as stop:
        print(f"interrupted: {stop}" if str(stop) else "interrupted", file=sys.stderr)
        if own_process:  # XLA's threads may be at work: taking the interpreter down under them can end in a crash
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(130)
        return 130
    except (ValueError, TypeError, OSError, ImportError, FloatingPointError) as error:
        if os.environ.get("JAXOPT_COURSE_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2


def _interrupt(number: int, frame: Any) -> None:
    """Ctrl-C, which must not be lost: what is raised inside JAX's hook for garbage collection is ignored, so try again."""
    if frame is not None and frame.f_code.co_name == "_xla_gc_callback" and hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        raise KeyboardInterrupt


def _problem(name: str, model: str | None, folder: Path | None) -> Any:
    from jaxopt_course.checks import closest
    from jaxopt_course.problems import PROBLEMS

    if name not in PROBLEMS:
        raise ValueError(f"unknown problem {name!r}{closest(name, PROBLEMS)}")
    options: dict[str, Any] = {}
    images = name in ("digits", "fashion-mnist")
    if images:
        options["model"] = model or "mlp"
    elif model:
        raise ValueError(f"--model is for images; {name} has its own")
    if folder and name != "fashion-mnist":
        raise ValueError(f"--folder is for fashion-mnist; {name} needs none")
    if folder:
        options["folder"] = folder
    return PROBLEMS[name][0](**options)


def _save(figure: Any, path: Path) -> None:
    import io

    from jaxopt_course.report import files

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    files.write(path, buffer.getvalue())


def _compilation_cache(enabled: bool) -> None:
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
