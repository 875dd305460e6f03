"""One peer in a process of its own, so that no framework's thread pool stands in another's way.

``python -m benchmarks.worker PEER ROW``: warms up with one epoch, answers with one JSON line, and then, for each line
``STEPS`` that it reads, trains for that long and answers with the time it took. :class:`Worker` is the other end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


class Worker:
    """A warm peer, to be asked for one timed epoch at a time."""

    def __init__(self, peer: str, row: str, warmup: int):
        command = [sys.executable, "-m", "benchmarks.worker", peer, row, str(warmup)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = self._answer()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self.process.args)} ended with {self.process.wait()}; its error is above")
        return json.loads(line)

    def microseconds_per_step(self, steps: int) -> float:
        """Train for ``steps`` steps; what one of them took."""
        print(steps, file=self.process.stdin, flush=True)
        answer = self._answer()
        return 1e6 * answer["seconds"] / answer["steps"]

    def close(self) -> None:
        """Let the process end."""
        self.process.stdin.close()
        self.process.wait()


def main(peer: str, row_name: str, warmup: str) -> None:
    """Serve until the input closes. Only answers go to the pipe: what frameworks print goes to the error stream."""
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    from benchmarks import machine, peers, setting, sweep_setting

    def answer(**record) -> None:
        print(json.dumps(record), file=pipe, flush=True)

    def timed(steps: int) -> tuple[float, int]:
        start = time.perf_counter()
        done = epoch(steps)
        return time.perf_counter() - start, done

    row = {**setting.ROWS, **sweep_setting.ROWS}[row_name]
    data = row.load()
    epoch, weights = peers.prepare(peer, row, data)
    seconds, steps = timed(int(warmup))
    loss = setting.training_loss(weights(), data) if weights() else None
    timed(min(steps, 20))
    answer(first_epoch_seconds=seconds, steps=steps, loss=loss, versions=machine.versions(), platform=machine.platform())
    for line in sys.stdin:
        seconds, steps = timed(int(line))
        answer(seconds=seconds, steps=steps)


if __name__ == "__main__":
    main(*sys.argv[1:])
