"""What the comfort costs: ``python -m benchmarks.overhead [--rounds 160] [--starts 40]``.

- History and progress: an epoch of ``fit`` with both, against one with neither (``scripts/watched.py``). The difference is
  smaller than the noise of one epoch, so there are many rounds in several processes, and the interval of the processes'
  median is reported.
- Memory: the peak of ``fit`` above what was held before, against twice the training state plus activations.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import numpy as np

from benchmarks import machine, statistics, table
from benchmarks.setting import ROWS

LIMIT = 0.03
HIDDEN = 2048


def script(name: str, *arguments: str) -> dict:
    """What ``scripts/<name>.py`` measures in a fresh process."""
    command = [sys.executable, "-m", f"benchmarks.scripts.{name}", *arguments]
    return json.loads(subprocess.run(command, check=True, cwd=machine.ROOT, capture_output=True, text=True).stdout)


def epochs(row: str, rounds: int, starts: int) -> dict:
    """Milliseconds of epochs, watched and not; the process is started afresh a few times.

    Rounds of one process may depend on each other, by where its memory lies: so there is one number for each process, the
    median of its rounds, and the interval is that of the processes' median.
    """
    parts = [script("watched", row, str((rounds + i) // starts)) for i in range(starts)]
    samples = {side: [part["milliseconds"][side] for part in parts] for side in parts[0]["milliseconds"]}
    costs = [100 * (np.median(np.divide(a, b)) - 1) for a, b in zip(samples["watched"], samples["unwatched"], strict=True)]
    return parts[0] | {"milliseconds": samples, "costs": costs}


def main() -> None:
    """Measure, print the table, store the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=160)
    parser.add_argument("--starts", type=int, default=40, help="how often a process is started afresh")
    parser.add_argument("--no-store", action="store_true", help="only print")
    arguments = parser.parse_args()
    record = machine.describe() | {"rounds": arguments.rounds, "starts": arguments.starts, "table": [], "epochs": {}}

    for name, row in ROWS.items():
        measured = epochs(name, arguments.rounds, arguments.starts)
        samples, costs = measured["milliseconds"], measured["costs"]
        low, high = statistics.interval(costs)
        cost = {**statistics.spread(costs), "interval": [low, high]}
        record["epochs"][name] = {"milliseconds": samples, "cost_percent": cost}
        record |= {"versions": measured["versions"], "platform": measured["platform"]}
        medians = [f"{np.median(np.concatenate(ms)):.0f} ms" for ms in samples.values()]
        title = f"an epoch of {row.title}, `fit` with history and progress; without (95 % interval of the median)"
        record["table"].append([title, *medians, f"{cost['median']:.1f} ({low:.1f} to {high:.1f}) %", f"≤ {100 * LIMIT:g} %"])

    used = script("memory", str(HIDDEN))
    allowed = 2 * used["state"] + used["activations"]
    record["memory"] = {"hidden": HIDDEN, "allowed_above_held": allowed, **used}
    title = f"peak memory of `fit` beside its data and first state, MLP 784-{HIDDEN}-10"
    mib = [f"{value / 2**20:.1f} MiB" for value in (used["above_what_was_held"], used["state"])]
    record["table"].append([f"{title}; one training state", *mib, "", f"≤ {allowed / 2**20:.1f} MiB"])
    print(table.checks(record))
    if not arguments.no_store:
        print("stored:", machine.store(f"overhead-{record['platform']}", record))


if __name__ == "__main__":
    main()
