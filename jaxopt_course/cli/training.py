"""``jaxopt-course race`` and ``jaxopt-course fit``."""

from __future__ import annotations

import math
from pathlib import Path

from jaxopt_course.cli import shared

__all__ = ["fit", "race"]


def race(
    problem: str = "digits",
    model: str | None = None,
    optimizers: tuple[str, ...] = ("all",),
    seeds: int = 5,
    tuning_seeds: int = 1,
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
        tuning_seeds: runs of each learning rate; with several, the page shows their range.
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

    shared.compilation_cache(cache)
    shared.check_writable("race", report=report, picture=picture)
    names = "all" if optimizers == ("all",) else optimizers
    outcome = jc.race(
        shared.problem(problem, model, folder),
        names,
        seeds=seeds,
        tuning_seeds=tuning_seeds,
        batch_size=batch_size,
        epochs=shared.EPOCHS.get(problem, 20) if epochs is None else epochs,
        learning_rates=learning_rates,
        metric=metric,
        progress=progress,
    )
    print(outcome)
    page = outcome.report(report)
    shared.save(outcome.plot(), picture)
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
    from jaxopt_course import checks
    from jaxopt_course.race import contestants
    from jaxopt_course.report import files

    shared.compilation_cache(cache)
    shared.check_writable("fit", picture=picture, history=history)
    if learning_rate is not None:
        checks.check_number("fit", "--learning-rate", learning_rate, checks.Interval(0, open_low=True))
    (entrant,) = contestants([optimizer], None if learning_rate is None else [learning_rate], where="fit")
    if learning_rate is not None and math.isnan(entrant.learning_rates[0]):
        raise ValueError(f"fit: {optimizer} has no learning rate; got learning_rate={learning_rate:g}")
    rate = entrant.learning_rates[len(entrant.learning_rates) // 2]
    result = jc.fit(
        shared.problem(problem, model, folder),
        entrant.factory(rate),
        batch_size=batch_size,
        epochs=shared.EPOCHS.get(problem, 20) if epochs is None else epochs,
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
        shared.save(result.plot(), picture)
    if history:
        steps = result.history.drop_dims("epoch").to_dataframe()
        files.write(history, steps.to_csv())
    return 0
