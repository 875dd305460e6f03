"""``jaxopt-course sweep``."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from jaxopt_course.cli import shared

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["sweep"]

FORM = "name=log:LOW:HIGH:COUNT, name=linear:LOW:HIGH:COUNT, name=integers:LOW:HIGH, or name=VALUE,VALUE,…"


def sweep(
    problem: str = "digits",
    model: str | None = None,
    optimizer: str = "adam",
    axis: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    space: Literal["grid", "zipped", "random", "sobol", "halton"] = "grid",
    points: int | None = None,
    draw_seed: int = 0,
    seeds: int = 3,
    batch_size: int | None = None,
    epochs: int = 5,
    metric: str = "validation_loss",
    lanes: int = 128,
    memory: float | None = None,
    top: int = 10,
    folder: Path | None = None,
    output: Path | None = None,
    plot: Path | None = None,
    progress: bool = True,
    cache: bool = True,
) -> int:
    """Train every configuration of a space on every seed, as one program; print the best.

    For example: --optimizer momentum --axis learning_rate=log:1e-4:1:16 --axis momentum=0,0.9,0.99. Ctrl-C reports what is
    finished.

    Args:
        problem: what to train on (see ``jaxopt-course problems``).
        model: linear, softmax, mlp or convnet; mlp for images by default.
        optimizer: a name from the catalog (see ``jaxopt-course optimizers``), or another library's: optax.lion.
        axis: what is swept, once for each name: name=log:LOW:HIGH:COUNT, name=linear:LOW:HIGH:COUNT, name=integers:LOW:HIGH,
            or name=VALUE,VALUE,… Names are arguments of the optimizer or the problem, or batch_size. By default the learning
            rates of a race. Where points are drawn, log and linear have no COUNT.
        space: every combination (grid), values side by side (zipped), or points drawn from the axes (random, sobol, halton).
        points: how many points to draw; 64 by default.
        draw_seed: the seed of the drawing.
        seeds: runs of each configuration.
        batch_size: examples in a step; 32 by default.
        epochs: passes over the data in each run.
        metric: what the best are chosen by: validation_loss, validation_accuracy, loss.
        lanes: train at most so many configurations at a time.
        memory: MiB that they may take together; by default a quarter of the machine's, or half of an accelerator's.
        top: how many of the best to print.
        folder: where Fashion-MNIST's four IDX files are.
        output: a netCDF file of all results to write.
        plot: a picture to write: PNG, or interactive HTML.
        progress: show a progress bar.
        cache: keep compiled programs in the user's cache folder.
    """
    import jaxopt_course as jc
    from jaxopt_course import checks
    from jaxopt_course.report import files, leaderboard
    from jaxopt_course.sweep.results import finished

    shared.compilation_cache(cache)
    checks.check_integer("sweep", "top", top)
    if memory is not None:
        checks.check_number("sweep", "--memory", memory, checks.Interval(0, open_low=True))
    shared.check_writable("sweep", output=output, plot=plot)
    if plot and plot.suffix not in (".png", ".html"):
        raise ValueError(f"sweep: --plot must end in .png or .html; got {str(plot)!r}")
    if metric.startswith("test_"):
        raise ValueError(f"sweep: metric must not be a test value, which is reported, not chosen by; got {metric!r}")
    factory, chosen = _factory(optimizer), _space(space, axis, points, draw_seed, optimizer)
    trained = shared.problem(problem, model, folder, chosen.names)
    _check_metric(trained, chosen, metric)
    _check_needed(optimizer, factory, chosen)
    results = jc.sweep(
        trained,
        factory,
        chosen,
        seeds=seeds,
        batch_size=batch_size,
        epochs=epochs,
        lanes=lanes,
        memory=None if memory is None else memory * 2**20,
        progress=progress,
    )
    written = []
    if output:
        written.append(files.write(output, bytes(results.to_netcdf(engine="scipy"))))
    try:
        shown = finished("sweep", results)
    except ValueError as error:  # interrupted too early
        print(error)
    else:
        if plot:
            written.append(_picture(shown, metric, plot))
        print(leaderboard.leaderboard(shown, metric, top))
        print(_winner(shown, metric))
    for i, path in enumerate(written):
        print(("\nwritten: " if i == 0 else "         ") + str(path))
    return 130 if results.attrs["incomplete"] else 0


def _factory(name: str) -> Any:
    """The optimizer's factory, with all its arguments."""
    from jaxopt_course.checks import closest
    from jaxopt_course.optimizers import CATALOG
    from jaxopt_course.race.foreign import find

    if "." in name:
        return find("sweep", name)
    if name not in CATALOG:
        raise ValueError(f"sweep: unknown optimizer {name!r}{closest(name, CATALOG)}")
    return CATALOG[name].factory


def _space(kind: str, axes: tuple[str, ...], points: int | None, seed: int, optimizer: str) -> Any:
    """The space that the options describe."""
    import jaxopt_course as jc
    from jaxopt_course.race import contestants

    drawn = kind in ("random", "sobol", "halton")
    if points is not None and not drawn:
        raise ValueError(f"sweep: --points is for --space random, sobol or halton; {kind} takes all values of its axes")
    found: dict[str, Any] = {}
    for text in axes:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not (name.isidentifier() and equals and values.strip()):
            raise ValueError(f"sweep: --axis must be {FORM}; got {text!r}")
        if name in found:
            raise ValueError(f"sweep: --axis {name} is given twice; list its values: {name}=VALUE,VALUE")
        found[name] = _axis(text, values, drawn)
    if not found:
        (entrant,) = contestants([optimizer], where="sweep")
        rates = entrant.learning_rates
        if rates[0] != rates[0]:
            raise ValueError(f"sweep: {optimizer} has no learning rate; give an --axis")
        found["learning_rate"] = jc.spaces.log(rates[0], rates[-1]) if drawn else list(rates)
    if drawn:
        return getattr(jc.spaces, kind)(64 if points is None else points, seed=seed, **found)
    return getattr(jc.spaces, kind)(**found)


def _axis(text: str, values: str, drawn: bool) -> Any:
    """The values, or the range to draw from, that an option describes."""
    import numpy as np

    from jaxopt_course.sweep import spaces

    kind, *numbers = values.split(":")
    if kind not in ("log", "linear", "integers"):
        texts = [each.strip() for each in values.split(",")]
        if not all(texts):
            raise ValueError(f"sweep: --axis must be {FORM}; got {text!r}, with an empty value")
        listed = [_value(each) for each in texts]
        return spaces.categorical(listed) if drawn else listed
    try:
        ends = [int(x) if kind == "integers" else float(x) for x in numbers[:2]]
        counts = [int(x) for x in numbers[2:]]
    except ValueError:
        raise ValueError(f"sweep: --axis must be {FORM}; got {text!r}") from None
    if len(ends) != 2 or len(counts) != (0 if drawn or kind == "integers" else 1):
        what = "LOW:HIGH, as points are drawn" if drawn else "LOW:HIGH" if kind == "integers" else "LOW:HIGH:COUNT"
        raise ValueError(f"sweep: --axis {text!r}: {kind} takes {what}")
    own = getattr(spaces, kind)(*ends)  # checks its ends
    if drawn:
        return own
    count = int(ends[1]) - int(ends[0]) + 1 if kind == "integers" else counts[0]
    if count > spaces.POINTS:
        raise ValueError(f"sweep: --axis {text!r}: {count} values are more than {spaces.POINTS}")
    if kind == "integers":
        return list(range(int(ends[0]), int(ends[1]) + 1))
    if count < 2:
        raise ValueError(f"sweep: --axis {text!r}: COUNT must be an integer >= 2; got {count}")
    return (np.geomspace if kind == "log" else np.linspace)(ends[0], ends[1], count)


def _value(text: str) -> Any:
    """A number, true or false, or the word itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _check_metric(problem: Any, space: Any, metric: str) -> None:
    """Raise for a metric that the problem, or the first of several, does not have, before it trains."""
    from jaxopt_course.checks import closest
    from jaxopt_course.problems import Problem
    from jaxopt_course.training.step import metric_names

    if not isinstance(problem, Problem):
        taken = inspect.signature(problem).parameters
        problem = problem(**{name: value for name, value in space.configurations()[0].items() if name in taken})
    names = ["loss", *metric_names(problem)] + ["objective"] * (problem.regularizer is not None)
    known = [*names, *(f"validation_{name}" for name in names if problem.data.validation is not None)]
    if metric not in known:
        raise ValueError(f"sweep: unknown metric {metric!r}{closest(metric, known)}")


def _check_needed(optimizer: str, factory: Any, space: Any) -> None:
    """Raise for an argument that the optimizer must have; for names that nothing takes, ``jc.sweep`` does."""
    parameters = inspect.signature(factory).parameters
    needed = [p.name for p in parameters.values() if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    missing = [name for name in needed if name not in space.names]
    if missing and parameters.keys() & {*space.names}:
        raise ValueError(f"sweep: {optimizer} needs a value for {missing[0]}: --axis {missing[0]}=VALUE,VALUE,…")


def _picture(results: xr.Dataset, metric: str, path: Path) -> Path:
    import jaxopt_course as jc
    from jaxopt_course.report import files

    if path.suffix == ".html":
        return files.write(path, jc.plot(results, metric, interactive=True).to_html())
    shared.save(jc.plot(results, metric), path)
    return path.resolve()


def _winner(results: xr.Dataset, metric: str) -> str:
    """The best configuration, and what it reaches on test."""
    import jaxopt_course as jc

    try:
        found = jc.best(results, metric)
    except ValueError as error:  # none is finite
        return str(error)
    text = lambda value: f"{value:.4g}" if isinstance(value, float) else str(value)
    names = [name for name in found.coords if name not in ("configuration", "epoch")]
    chosen = ", ".join(f"{name}={text(found[name].item())}" for name in names)
    tested = [str(name) for name in found.data_vars if str(name).startswith("test_") and f"{name}_low" in found]
    interval = lambda name: f" [{found[name + '_low'].item():.4g}, {found[name + '_high'].item():.4g}]"
    several = results.sizes["seed"] > 1
    values = [f"{name.removeprefix('test_')} {found[name].item():.4g}{interval(name) * several}" for name in tested]
    level = f" ({found.attrs['level']:.0%} intervals over {results.sizes['seed']} seeds)" if several and tested else ""
    return f"\nbest: {chosen}" + (f"\non the test set: {', '.join(values)}{level}" if tested else "")
