"""Steps per second of a warm epoch, against every peer: ``python -m benchmarks.steps [--rounds 9] [--quick]``.

Every peer waits in its own process (:mod:`.worker`), compiled and warm. A round asks each of them for one epoch, in
turn; a ratio is formed within a round, and the table shows the median and the range over rounds. The processes are started
afresh a few times: where its memory happens to lie makes one of them faster or slower for as long as it lives.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from benchmarks import machine, statistics, table
from benchmarks.peers import PEERS
from benchmarks.setting import LEARNING_RATE, MOMENTUM, ROWS, Row
from benchmarks.worker import Worker

PAUSE = 0.3  # seconds: thread pools spin for a while after their last task


def measure(row: Row, peers: list[str], rounds: int, starts: int, share: float) -> dict:
    """All peers on one row, ``rounds`` in all; ``share`` of an epoch for those that can stop earlier."""
    steps = int(share * (60_000 // row.batch_size))
    times: dict[str, list[float]] = {peer: [] for peer in peers}
    workers: dict[str, Worker] = {}
    for start in range(starts):
        try:
            for peer in peers:
                workers[peer] = Worker(peer, row.name, steps)
                about = workers[peer].about
                print(f"  {peer:14} ready: first epoch {about['first_epoch_seconds']:.2f} s, loss {about['loss']}", flush=True)
            share_of_rounds = (rounds + start) // starts
            asked = statistics.interleave({peer: _ask(worker, steps) for peer, worker in workers.items()}, share_of_rounds)
        finally:
            for worker in workers.values():
                worker.close()
        for peer in peers:
            times[peer] += asked[peer]
    return {
        "platform": {worker.about["platform"] for worker in workers.values()},
        "versions": {k: v for worker in workers.values() for k, v in worker.about["versions"].items()},
        "peers": {peer: _entry(row, peer, workers[peer].about, times) for peer in peers},
    }


def _ask(worker: Worker, steps: int) -> Callable[[], float]:
    def once() -> float:
        time.sleep(PAUSE)
        return worker.microseconds_per_step(steps)

    return once


def _entry(row: Row, peer: str, about: dict, times: dict[str, list[float]]) -> dict:
    """What is stored for one peer: time ratios peer / ours are speed ratios ours / peer."""
    compared = "ours" in times and peer != "ours"
    return {
        "steps_per_second": statistics.spread([1e6 / t for t in times[peer]]),
        "microseconds_per_step": [round(t, 2) for t in times[peer]],
        "steps_per_epoch": about["steps"],
        "loss_after_one_epoch": about["loss"],
        "ours_over_peer": statistics.ratio(times[peer], times["ours"]) if compared else None,
        "required": row.required.get(peer),
    }


def main() -> None:
    """Measure, print the table, store the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--starts", type=int, default=3, help="how often every process is started afresh")
    parser.add_argument("--quick", action="store_true", help="three rounds, a tenth of an epoch; nothing is stored")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    arguments = parser.parse_args()
    rounds, starts, share = (3, 1, 0.1) if arguments.quick else (arguments.rounds, arguments.starts, 1.0)

    record = machine.describe()
    record |= {
        "learning_rate": LEARNING_RATE,
        "momentum": MOMENTUM,
        "rounds": rounds,
        "starts": starts,
        "versions": {},
        "rows": {},
    }
    platforms = set()
    for name in arguments.rows:
        print(ROWS[name].title, flush=True)
        measured = measure(ROWS[name], arguments.peers, rounds, starts, share)
        platforms |= measured["platform"]
        record["versions"] |= measured["versions"]
        record["rows"][name] = {"title": ROWS[name].title, "peers": measured["peers"]}
    record["platform"] = "cpu" if platforms == {"cpu"} else "-".join(sorted(platforms - {"cpu"}))
    print(table.steps(record))
    if not arguments.quick and set(arguments.rows) == set(ROWS) and set(arguments.peers) == set(PEERS):
        print("stored:", machine.store(f"steps-{record['platform']}", record))


if __name__ == "__main__":
    main()
