"""``jc.sweep``: what it takes, and what it refuses."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import jax
import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.problems.objective import Problem
from jaxopt_course.sweep.blocks import Options, Vary
from jaxopt_course.sweep.execution import Runner
from jaxopt_course.sweep.identity import identity
from jaxopt_course.sweep.journal import Journal
from jaxopt_course.sweep.matching import match
from jaxopt_course.sweep.results import Table, versions
from jaxopt_course.sweep.spaces import Space
from jaxopt_course.sweep.store import Store, check_path, create
from jaxopt_course.training import samplers
from jaxopt_course.training.clock import Clock
from jaxopt_course.training.progress import Progress
from jaxopt_course.types import is_key

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["check_uses", "describe", "read_options", "sweep"]

LANES = 128


def sweep(
    problem: Problem | Callable[..., Problem],
    factory: Callable[..., optax.GradientTransformation] | optax.GradientTransformation,
    space: Space,
    *,
    seeds: int | Sequence[int] = 5,
    vary: Vary = "both",
    batch_size: int | None = None,
    epochs: int = 5,
    sampler: samplers.Sampler | None = None,
    drop_remainder: bool = False,
    evaluate: Literal["epoch", "end"] | None = "epoch",
    lanes: int = LANES,
    memory: float | None = None,
    store: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Train every configuration of a space, on every seed, as one program.

    θᵢ ← θᵢ + updateᵢ(∇Lᵢ(θᵢ)), on one mini-batch for all i

    Floats are data: all their values train side by side, ``vmap``-ped inside the loop over batches. Each run is what
    ``jc.fit(problem, factory(**configuration), batch_size=…, epochs=…, key=seed)`` gives, up to rounding. A factory that looks
    at a float's value is refused (some of optax's schedules do: ``exponential_decay`` with two swept floats,
    ``warmup_cosine_decay_schedule``): give such an axis as ``spaces.categorical``.

    Args:
        problem: what to train; or a function from swept values to it (a regulariser's λ is data; a width compiles).
        factory: from swept values to an optimizer: a factory of ours, of optax's, or a function with anything inside.
        space: from ``jc.grid`` or :mod:`jc.spaces <jaxopt_course.sweep.spaces>`. Names find their place by the arguments of
            ``factory`` and ``problem``; ``batch_size`` can be swept too.
        seeds: 0, 1, … so many; or the seeds themselves.
        vary: what a seed decides: the ``"initialization"``, the ``"order"`` of examples (and dropout), or ``"both"``; the
            first seed decides the rest.
        batch_size: m; 32 by default (n under ``samplers.full()``).
        epochs: passes over the data in every run.
        sampler, drop_remainder: as for ``jc.fit``.
        evaluate: on the validation split after each ``"epoch"``, or at the ``"end"``; and then on the test split, too. None:
            on neither.
        lanes: train at most so many configurations at a time.
        memory: bytes that they may take together: the data, all states, and what the compiled programs take besides by their
            own account; by default half of an accelerator's memory, or a quarter of the machine's.
        store: a path to keep the results at while they come in, as Zarr (``pip install 'jaxopt_course[store]'``). After a
            kill, the same call goes on where it stopped, in lanes of the recorded sizes, and returns what one call would have
            returned, to the bit; once it is finished, at once. ``xarray.open_zarr(path, consolidated=False)`` looks in.
        progress: show a progress bar over all runs.

    Returns:
        A dataset over the space's axes, ``seed`` and ``epoch``: ``loss``, ``validation_…``; ``test_…`` at the end; and
        ``diverged_step``: a run that turned non-finite is NaN from there, and harms no other. Ctrl-C ends the sweep early:
        what is done is there, the rest NaN, and the attribute ``incomplete`` is 1. ``jc.plot(dataset)`` draws it, ``jc.best``
        chooses from it, ``dataset.to_netcdf(path)`` keeps it.

    Raises:
        TypeError, ValueError: a name that nothing takes (with the closest match), that two take, that changes nothing (seen
            where the axis has two values, or its floats are traced), or that something measured has; a value that an
            optimizer refuses; a bad number; a budget smaller than one lane; a store of another sweep.
        FileExistsError, OSError: there is something else at ``store``, or it cannot be written.

    >>> import jaxopt_course as jc
    >>> results = sweep(jc.problems.digits(), jc.momentum, jc.grid(learning_rate=[0.01, 0.1], momentum=[0.0, 0.5, 0.9]),
    ...                 seeds=2, epochs=1)
    >>> dict(results.validation_loss.sizes)
    {'learning_rate': 2, 'momentum': 3, 'seed': 2, 'epoch': 2}

    References:
        Lectures 001, 003: hyperparameters are chosen on validation, the result is reported on test [A3].
    """
    checks.check_bool("sweep", "progress", progress)
    options = read_options("sweep", space, seeds, vary, batch_size, epochs, evaluate, sampler, drop_remainder, lanes, memory)
    path = None if store is None else check_path(store)
    clock, table, incomplete = Clock(), Table(space, options.seeds, options.epochs), False
    runners = [Runner(group, options, clock) for group in match(problem, factory, space, batch_size)]
    check_uses("sweep", runners, space)
    about = describe(runners[0], factory, space)
    journal = Journal(table, clock)
    if path is not None:
        which = identity(runners, factory, space)
        if not path.exists():
            create(path, which, table.dataset(about), [runner.fitting() for runner in runners])
        journal = Store(path, which, table, clock)
    sizes = [journal.lanes(number, runner.fitting) for number, runner in enumerate(runners)]
    with Progress(sum(runner.steps for runner in runners), progress, "sweep") as bar:
        try:
            for runner, size in zip(runners, sizes, strict=True):
                for record in runner.run(bar, journal, size):
                    journal.add(record)
                    del record  # and with it the states of blocks that are done
        except KeyboardInterrupt:
            incomplete = True
        journal.close()  # after another error a store stays as it was last written
    if not table.columns:
        raise KeyboardInterrupt("sweep: before the first result")
    return table.dataset(about | spent(journal.seconds, incomplete))


def read_options(
    where: str,
    space: Any,
    seeds: Any,
    vary: Any,
    batch_size: Any,
    epochs: Any,
    evaluate: Any,
    sampler: samplers.Sampler | None,
    drop_remainder: bool,
    lanes: Any,
    memory: Any,
) -> Options:
    """What a sweep was asked for, checked."""
    if not isinstance(space, Space):
        raise TypeError(f"{where}: space must come from jc.grid or jc.spaces; got {space!r}")
    if batch_size is not None and "batch_size" in space.names:
        raise ValueError(f"{where}: batch_size is an axis of the space, and given too: {batch_size!r}")
    return Options(
        _seeds(where, seeds),
        checks.check_choice(where, "vary", vary, ("both", "initialization", "order")),
        checks.check_integer(where, "epochs", epochs),
        None if evaluate is None else checks.check_choice(where, "evaluate", evaluate, ("epoch", "end")),
        sampler,
        drop_remainder,
        checks.check_integer(where, "lanes", lanes),
        _memory(where, memory),
    )


def describe(first: Runner, factory: Any, space: Space) -> dict[str, Any]:
    """The attributes of the results that say what was run, and with what; ``first`` is the first group's runner."""
    options = first.options
    return {
        "title": f"{len(space)} configurations on {first.group.problem.name}",
        "problem": first.group.problem.name,
        "factory": getattr(factory, "__name__", type(factory).__name__),
        "space": repr(space),
        "batch_size": "swept" if "batch_size" in space.names else first.plan.batch_size,
        "epochs": options.epochs,
        "seeds": len(options.seeds),
        "vary": options.vary,
        "sampler": repr(first.plan.sampler),
        "versions": versions(),
    }


def spent(seconds: tuple[float, float], incomplete: bool) -> dict[str, Any]:
    """The attributes that say how it went: seconds of compiling and of running, and whether it was interrupted."""
    return {"incomplete": int(incomplete), "compile_seconds": seconds[0], "run_seconds": seconds[1]}


def check_uses(where: str, runners: Sequence[Runner], space: Space) -> None:
    """Raise for a traced name that reaches no update, in no group; or a name that something measured has."""
    unused = set.intersection(*(set(runner.flow.unused) for runner in runners))
    for name in sorted(unused):
        raise ValueError(f"{where}: the {runners[0].group.named[name]} does not depend on {name!r}: its factory ignores it")
    measured = {split + name for runner in runners for name in runner.names for split in ("", "validation_", "test_")}
    for name in sorted(measured.intersection(space.names)):
        raise ValueError(f"{where}: an axis must not be called {name!r}: the problem measures something of this name")


def _seeds(where: str, seeds: Any) -> tuple[int, ...]:
    if hasattr(seeds, "ndim") and not is_key(seeds):
        seeds = np.asarray(seeds).tolist()
    if isinstance(seeds, (str, bytes)) or not isinstance(seeds, Sequence):
        return tuple(range(checks.check_integer(where, "seeds", seeds)))
    for seed in seeds:
        if isinstance(seed, (bool, np.bool_)) or not isinstance(seed, (int, np.integer)):
            raise TypeError(f"{where}: seeds must be a number of seeds, or integers; got {seed!r}")
        if not -(2**63) <= seed < 2**63:
            raise ValueError(f"{where}: seeds must be integers of 64 bits; got {seed!r}")
    found = tuple(int(seed) for seed in seeds)
    if not found or len(set(found)) < len(found):
        raise ValueError(f"{where}: seeds must be at least one, each once; got {seeds!r}")
    return found


def _memory(where: str, memory: Any) -> float:
    """The budget in bytes: as given, or a part of what there is, so that it is the same at every call."""
    if memory is not None:
        checks.check_number(where, "memory", memory, checks.Interval(0, open_low=True))
        return float(memory)
    statistics = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in statistics:
        return 0.5 * statistics["bytes_limit"]
    if "SC_PHYS_PAGES" in os.sysconf_names:
        return 0.25 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 2.0**30
