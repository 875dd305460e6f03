"""What the comfort costs: ``python -m benchmarks.overhead [--rounds 15]``.

- History and progress: an epoch of ``fit`` with both, a bar being drawn and the history built as a dataset, against the
  loop alone: a scan over the very step that ``fit`` takes, which records nothing.
- Memory: the peak of ``fit`` above what was held before, against twice the training state plus activations.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

import jaxopt_course as jc
from benchmarks import machine, statistics, table
from benchmarks.setting import CLASSES, LEARNING_RATE, MOMENTUM, ROWS, Row
from jaxopt_course import compiler
from jaxopt_course.training.step import Program, takes_extra_arguments, train_step

LIMIT = 0.03
HIDDEN = 2048


def timed(function) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - start)


def sides(row: Row) -> dict:
    """An epoch of ``fit`` with everything that watches it, with nothing, and a scan of its step alone."""
    model = jc.problems.models.mlp(hidden=row.hidden, classes=CLASSES) if row.hidden else "softmax"
    problem = jc.problems.fashion_mnist(model=model, validation=0)
    optimizer = jc.momentum(LEARNING_RATE, MOMENTUM)
    options = {"batch_size": row.batch_size, "evaluate": None}
    state = jc.fit(problem, optimizer, key=0, steps=1, **options).state

    def quiet():
        jc.fit(problem, optimizer, state=state, epochs=1, **options)

    def watched():
        with contextlib.redirect_stderr(io.StringIO()):
            result = jc.fit(problem, optimizer, state=state, epochs=1, progress=True, **options)
        _ = result.history

    return {"watched": watched, "quiet": quiet, "loop": loop(problem, optimizer, row.batch_size, state)}


def loop(problem, optimizer, batch_size: int, state):
    """One jitted scan over the very step that ``fit`` takes; nothing is recorded, and the host does not look."""
    program = Program(problem.objective, optimizer.update, takes_extra_arguments(optimizer))
    steps = problem.num_examples // batch_size
    rng = np.random.default_rng(0)

    @functools.partial(jax.jit, donate_argnums=0, compiler_options=compiler.options(compiler.of_steps(state.params)))
    def train(state, data, order):
        def step(state, batch):
            return train_step(program, state, jax.tree.map(lambda leaf: leaf[batch], data))[0], None

        return jax.lax.scan(step, state, order)[0]

    def run():
        order = rng.permutation(problem.num_examples)[: steps * batch_size].astype(np.int32)
        mine = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)
        jax.block_until_ready(train(mine, problem.data.train, order.reshape(steps, batch_size)))

    return run


def memory() -> dict:
    """The bytes that ``scripts/memory.py`` counts in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.scripts.memory", str(HIDDEN)]
    return json.loads(subprocess.run(command, check=True, cwd=machine.ROOT, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure, print the table, store the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-store", action="store_true", help="only print")
    arguments = parser.parse_args()
    record = machine.describe() | {"rounds": arguments.rounds, "table": [], "epochs": {}}

    for row in ROWS.values():
        functions = {name: (lambda f=f: timed(f)) for name, f in sides(row).items()}
        statistics.interleave(functions, 2)
        samples = statistics.interleave(functions, arguments.rounds)
        ratios = {name: statistics.ratio(samples[name], samples["loop"]) for name in ("watched", "quiet")}
        record["epochs"][row.name] = {"milliseconds": samples, "over_loop": ratios}
        cost = {k: 100 * (v - 1) for k, v in ratios["watched"].items()}
        medians = [f"{np.median(samples[side]):.0f} ms" for side in ("watched", "loop")]
        title = f"an epoch of {row.title}: `fit` with history and progress; a scan of its step alone"
        record["table"].append([title, *medians, f"{statistics.show(cost, 1)} %", f"≤ {100 * LIMIT:g} %"])

    used = memory()
    allowed = 2 * used["state"] + used["activations"]
    record["memory"] = {"hidden": HIDDEN, "allowed_above_held": allowed, **used}
    title = f"peak memory of `fit` beside its data and first state, MLP 784-{HIDDEN}-10"
    mib = [f"{value / 2**20:.1f} MiB" for value in (used["above_what_was_held"], used["state"])]
    record["table"].append([f"{title}; one training state", *mib, "", f"≤ {allowed / 2**20:.1f} MiB"])
    record |= {"versions": machine.versions(), "platform": machine.platform()}
    print(table.checks(record))
    if not arguments.no_store:
        print("stored:", machine.store(f"overhead-{record['platform']}", record))


if __name__ == "__main__":
    main()
