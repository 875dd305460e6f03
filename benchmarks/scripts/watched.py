"""Milliseconds of epochs, watched and not, in turn: prints one JSON line, ``{"milliseconds": {side: [...]}, ...}``.

Watched: ``fit`` draws its progress bar, records loss and metrics at every step, and its history is built as a dataset.
Unwatched: neither bar, nor metrics, nor dataset; the loss is left, which ``fit`` checks for being finite.
"""

import contextlib
import dataclasses
import io
import json
import sys
import time

import jaxopt_course as jc
from benchmarks import machine, statistics
from benchmarks.setting import CLASSES, LEARNING_RATE, MOMENTUM, ROWS

row, rounds = ROWS[sys.argv[1]], int(sys.argv[2])
model = jc.problems.models.mlp(hidden=row.hidden, classes=CLASSES) if row.hidden else "softmax"
problem = jc.problems.fashion_mnist(model=model, validation=0)
unmeasured = dataclasses.replace(problem, metrics=None)
optimizer = jc.momentum(LEARNING_RATE, MOMENTUM)
options = {"batch_size": row.batch_size, "evaluate": None}
state = jc.fit(problem, optimizer, key=0, steps=1, **options).state


def watched() -> None:
    with contextlib.redirect_stderr(io.StringIO()):
        _ = jc.fit(problem, optimizer, state=state, epochs=1, progress=True, **options).history


def unwatched() -> None:
    jc.fit(unmeasured, optimizer, state=state, epochs=1, **options)


def timed(function) -> float:
    start = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - start)


sides = {"watched": lambda: timed(watched), "unwatched": lambda: timed(unwatched)}
statistics.interleave(sides, 2)
samples = statistics.interleave(sides, rounds)
print(json.dumps({"milliseconds": samples, "versions": machine.versions(), "platform": machine.platform()}))
