"""Peak memory of a warm sweep, above what the process already held, beside its budget: prints one JSON line of bytes.

``python -m benchmarks.scripts.sweep_memory CONFIGURATIONS BUDGET``. The budget is what ``jc.sweep(memory=…)`` is given. It
counts the data, which the process holds before, so they are added. A warm call, because loading and compiling peak higher;
what the first one freed goes back to the system, or the second would find it there uncounted. For the peak see ``memory.py``.
"""

import ctypes
import gc
import json
import pathlib
import sys

import jax
import numpy as np

import jaxopt_course as jc
from benchmarks.peers.sweep_fits import problem_of
from benchmarks.scripts import status
from benchmarks.sweep_setting import ROWS

configurations, budget = int(sys.argv[1]), int(sys.argv[2])
row = ROWS["sweep-8-8"]
problem = problem_of(row, row.load())
space = jc.grid(learning_rate=np.geomspace(1e-4, 1e-1, configurations))
train = lambda: jc.sweep(problem, jc.sgd, space, seeds=1, batch_size=row.batch_size, epochs=1, lanes=configurations,
                         memory=budget, evaluate=None)  # fmt: skip
train()
gc.collect()
ctypes.CDLL(None).malloc_trim(0)
pathlib.Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
results = train()
above = status("VmHWM") - before
data = sum(leaf.nbytes for leaf in jax.tree.leaves(problem.data.train))
assert np.isfinite(results.loss.isel(epoch=-1)).all()
print(json.dumps({"above_what_was_held": above, "data": data, "peak": above + data, "budget": budget}))
