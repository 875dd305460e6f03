"""Optimizers on a tree of many small leaves: ``python -m benchmarks.leaves [--rounds 9]``.

1 000 leaves of 64 floats; adam and momentum, ours against optax's: the time to trace an ``update``, to compile the scan over
steps that it is in, and to do one step of it. Momentum four times: our default, the lecture's equation, with α inside the
buffer, against optax's, with α outside; both sides in either's; and both in the lecture's with their numbers in the state,
where ours always are (optax's by ``inject_hyperparams``). All in one process; the sides take turns, and JAX's caches are
emptied before each compiles.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax

import jaxopt_course as jc
from benchmarks import machine, statistics, table

LEAVES, SIZE, STEPS, REPEATS = 1000, 64, 1000, 15
LIMITS = {"trace": 0.5, "compile": 1.05, "step": 1.05}
TITLES = {"trace": "tracing `update`", "compile": "lowering and compiling a scan of it", "step": "a step in the scan"}


def _lectures(learning_rate: float, momentum: float) -> optax.GradientTransformation:
    return optax.chain(optax.scale(learning_rate), optax.trace(momentum), optax.scale(-1.0))


PAIRS: dict[str, dict[str, Callable[[], optax.GradientTransformation]]] = {
    "adam": {"ours": lambda: jc.adam(1e-3), "peer": lambda: optax.adam(1e-3)},
    "momentum": {"ours": lambda: jc.momentum(1e-3, 0.9), "peer": lambda: optax.sgd(1e-3, momentum=0.9)},
    "momentum, both in the lecture's form": {
        "ours": lambda: jc.momentum(1e-3, 0.9),
        "peer": lambda: _lectures(1e-3, 0.9),
    },
    "momentum, both in the lecture's form, with numbers in the state": {
        "ours": lambda: jc.momentum(1e-3, 0.9),
        "peer": lambda: optax.inject_hyperparams(_lectures)(1e-3, 0.9),
    },
    "momentum, both in optax's form": {
        "ours": lambda: jc.momentum(1e-3, 0.9, rate_inside=False),
        "peer": lambda: optax.sgd(1e-3, momentum=0.9),
    },
}


def prepare(make: Callable[[], optax.GradientTransformation]) -> tuple[dict[str, float], Callable[[], float]]:
    """Seconds to trace and to compile, and a function that takes the steps and gives the seconds of one."""
    jax.clear_caches()
    optimizer = make()
    params = {f"leaf{i:04d}": jnp.full(SIZE, 0.1) for i in range(LEAVES)}
    state = optimizer.init(params)

    def scan(params, state):
        def step(carry, _):
            params, state = carry
            updates, state = optimizer.update(params, state, params)  # the gradient of ½‖θ‖²
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, state), None, length=STEPS)[0]

    seconds = {}

    def update(grads, state, params):  # timed inside: `jit` takes longer to look at 3 000 arguments than ours to trace
        start = time.perf_counter()
        new = optimizer.update(grads, state, params)
        seconds["trace"] = time.perf_counter() - start
        return new

    gc.collect()  # what earlier rounds left
    jax.jit(update).trace(params, state, params)
    traced = jax.jit(scan).trace(params, state)
    gc.collect()
    start = time.perf_counter()
    compiled = traced.lower().compile()
    seconds["compile"] = time.perf_counter() - start
    jax.block_until_ready(compiled(params, state))

    def run():
        start = time.perf_counter()
        jax.block_until_ready(compiled(params, state))
        return (time.perf_counter() - start) / STEPS

    return seconds, run


def measure(sides: Mapping[str, Callable[[], optax.GradientTransformation]], rounds: int) -> dict[str, list[dict[str, float]]]:
    """The seconds of each side, round by round; in a round both are compiled first, and then their steps take turns."""
    samples = {name: [] for name in sides}
    for i in range(rounds):
        order = list(sides)[:: -1 if i % 2 else 1]
        ready = {name: prepare(sides[name]) for name in order}
        runs = statistics.interleave({name: ready[name][1] for name in order}, REPEATS)
        for name, (seconds, _) in ready.items():
            samples[name].append(seconds | {"step": statistics.spread(runs[name])["median"]})
    return samples


def main() -> None:
    """Measure, print the table, store the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--no-store", action="store_true", help="only print")
    arguments = parser.parse_args()
    record = machine.describe() | {"rounds": arguments.rounds, "versions": machine.versions(), "platform": machine.platform()}
    record["table"] = []
    for name, sides in PAIRS.items():
        record[name] = rounds = measure(sides, arguments.rounds)
        for what, limit in LIMITS.items():
            ours, peer = ([sample[what] for sample in rounds[side]] for side in ("ours", "peer"))
            cells = [f"{1000 * statistics.spread(values)['median']:.3g} ms" for values in (ours, peer)]
            ratio = statistics.show(statistics.ratio(ours, peer)) + " ×"
            record["table"].append([f"{name}: {TITLES[what]}", *cells, ratio, f"≤ {limit} ×"])
    print(table.checks(record))
    if not arguments.no_store:
        print("stored:", machine.store(f"leaves-{record['platform']}", record))


if __name__ == "__main__":
    main()
