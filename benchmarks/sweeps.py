"""64 learning rates, one epoch each, against every peer: ``python -m benchmarks.sweeps [--rounds 5] [--quick]``.

Every peer waits in its own process (:mod:`.worker`), compiled and warm; a round asks each for its trainings, in turn. A peer
that trains one rate after another is asked for a share of them, since its time is proportional to their number.

Also what compiling takes, of a sweep and of one fit, in fresh processes; and of 1 000 configurations the peak memory, as the
system counts it, against the budget that the sweep is given.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

from benchmarks import machine, statistics
from benchmarks.sweep_setting import EXAMPLES, ROWS, SweepRow
from benchmarks.worker import Worker

BUDGET = 64 * 2**20  # bytes, for 1 000 configurations
PAUSE = 0.3  # seconds: thread pools spin for a while after their last task
OURS = "sweep_ours"
PEERS = {
    OURS: "jaxopt_course `sweep`",
    "sweep_fits": "our `fit`, one by one",
    "sweep_optax": "optax, Python loop",
    "sweep_torch": "PyTorch, eager",
    "sweep_torch_vmap": "`torch.func.vmap` over a stacked ensemble",
    "sweep_sklearn": "scikit-learn, joblib on all cores",
}
POPULATIONS = (OURS, "sweep_torch_vmap")  # whose time is not proportional to the number of trainings


def measure(row: SweepRow, peers: list[str], rounds: int, share: int, populations: tuple[int, ...]) -> dict:
    """All peers on one row: seconds for 64 trainings; and ours for other numbers of them."""
    asked = {peer: 64 if peer in POPULATIONS else share for peer in peers}
    workers = {peer: Worker(peer, row.name, asked[peer]) for peer in peers}
    for peer, worker in workers.items():
        print(f"  {peer:16} first {asked[peer]} in {worker.about['first_epoch_seconds']:.2f} s, loss {worker.about['loss']}",
              flush=True)  # fmt: skip

    def ask(peer: str, trainings: int):
        def once() -> float:
            time.sleep(PAUSE)
            return 64e-6 * workers[peer].microseconds_per_step(trainings)

        return once

    try:
        times = statistics.interleave({peer: ask(peer, asked[peer]) for peer in peers}, rounds)
        larger = {}
        for count in populations:
            ask(OURS, count)()  # compiles
            larger[count] = statistics.interleave({"64": ask(OURS, 64), str(count): ask(OURS, count)}, rounds)
    finally:
        for worker in workers.values():
            worker.close()
    return {
        "peers": {peer: _entry(row, peer, workers[peer].about, times) for peer in peers},
        "per_training_over_64": {n: statistics.ratio(t[str(n)], t["64"]) for n, t in larger.items()},
        "versions": {k: v for worker in workers.values() for k, v in worker.about["versions"].items()},
    }


def memory(configurations: int) -> dict:
    """The bytes that ``scripts/sweep_memory.py`` counts in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.scripts.sweep_memory", str(configurations), str(BUDGET)]
    return json.loads(subprocess.run(command, check=True, cwd=machine.ROOT, capture_output=True, text=True).stdout)


def compiling(name: str, rounds: int) -> dict:
    """Seconds spent compiling by fresh processes: a sweep's, one fit's, and their ratio."""

    def once(kind: str) -> float:
        command = [sys.executable, "-m", "benchmarks.scripts.sweep_compile", name, kind]
        return float(subprocess.run(command, check=True, cwd=machine.ROOT, capture_output=True, text=True).stdout)

    seconds = statistics.interleave({kind: (lambda kind=kind: once(kind)) for kind in ("sweep", "fit")}, rounds)
    return seconds | {"sweep_over_fit": statistics.ratio(seconds["sweep"], seconds["fit"])}


def _entry(row: SweepRow, peer: str, about: dict, times: dict[str, list[float]]) -> dict:
    compared = OURS in times and peer != OURS
    return {
        "seconds_for_64": statistics.spread(times[peer]),
        "loss_of_one": about["loss"],
        "first_seconds": about["first_epoch_seconds"],
        "peer_over_ours": statistics.ratio(times[peer], times[OURS]) if compared else None,
        "required": row.required.get(peer),
    }


def show(record: dict) -> str:
    """The table, in Markdown."""
    peers = [peer for peer in PEERS if peer != OURS]
    lines = ["| | " + " | ".join(PEERS[peer] for peer in peers) + " |", "|---" * (len(peers) + 1) + "|"]
    for row in record["rows"].values():
        cells = []
        for peer in peers:
            entry = row["peers"].get(peer)
            wanted = "" if not entry or entry["required"] is None else f", ≥ {entry['required']:g}"
            cells.append(statistics.show(entry["peer_over_ours"], 1, "×") + wanted if entry else "")
        lines.append(f"| {row['title']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, store the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds, 4 trainings of the slow peers; nothing is stored")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    arguments = parser.parse_args()
    rounds, share = (2, 4) if arguments.quick else (arguments.rounds, 16)

    record = machine.describe() | {"rounds": rounds, "examples": EXAMPLES, "versions": {}, "rows": {}}
    for name in arguments.rows:
        print(ROWS[name].title, flush=True)
        populations = (1000,) if name == "sweep-8-8" and OURS in arguments.peers else ()
        measured = measure(ROWS[name], arguments.peers, rounds, share, populations)
        record["versions"] |= measured.pop("versions")
        record["rows"][name] = {"title": ROWS[name].title, **measured}
        if OURS in arguments.peers:
            compiled = record["rows"][name]["compiling"] = compiling(name, rounds)
            print(f"  a sweep compiles {statistics.show(compiled['sweep_over_fit'])} times as long as one fit")
        for count, ratio in measured["per_training_over_64"].items():
            print(f"  {count} configurations take, each, {statistics.show(ratio)} times what each of 64 takes")
        for count in populations:
            used = record["rows"][name].setdefault("memory", {})[str(count)] = memory(count)
            mib = {key: f"{used[key] / 2**20:.1f} MiB" for key in ("peak", "budget")}
            print(f"  {count} configurations take {mib['peak']} at most; their budget is {mib['budget']}")
    print(show(record))
    if not arguments.quick and set(arguments.rows) == set(ROWS) and set(arguments.peers) == set(PEERS):
        print("stored:", machine.store("sweeps-cpu", record))


if __name__ == "__main__":
    main()
