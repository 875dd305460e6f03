"""What the comfort costs: ``python -m benchmarks.overhead [--rounds 40] [--starts 5]``.

- History and progress: an epoch of ``fit`` with both, against one with neither (``scripts/watched.py``). The difference is
  smaller than the noise of one epoch, so there are many rounds, and the interval of their median is reported.
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
    """Milliseconds of epochs, watched and not; the process is started afresh a few times."""
    parts = [script("watched", row, str((rounds + i) // starts)) for i in range(starts)]
    samples = {side: [ms for part in parts for ms in part["milliseconds"][side]] for side in parts[0]["milliseconds"]}
    return parts[0] | {"milliseconds": samples}


def main() -> None:
    """Measure, print the table, store the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--starts", type=int, default=5, help="how often a process is started afresh")
    parser.add_argument("--no-store", action="store_true", help="only print")
    arguments = parser.parse_args()
    record = machine.describe() | {"rounds": arguments.rounds, "starts": arguments.starts, "table": [], "epochs": {}}

    for name, row in ROWS.items():
        measured = epochs(name, arguments.rounds, arguments.starts)
        samples = measured["milliseconds"]
        costs = 100 * (np.divide(samples["watched"], samples["unwatched"]) - 1)
        low, high = statistics.interval(costs)
        cost = {"median": float(np.median(costs)), "interval": [low, high], "min": costs.min(), "max": costs.max()}
        record["epochs"][name] = {"milliseconds": samples, "cost_percent": cost}
        record |= {"versions": measured["versions"], "platform": measured["platform"]}
        medians = [f"{np.median(ms):.0f} ms" for ms in samples.values()]
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
