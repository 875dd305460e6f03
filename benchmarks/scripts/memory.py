"""Peak memory of a warm ``fit``, above what the process already held: prints one JSON line of bytes.

Linux counts a process's peak in ``VmHWM`` and resets it on request, so that loading, unpacking and compiling, which peak
higher, are left out. The model is wide, else the training state would vanish beside the data.
"""

import json
import pathlib
import sys

import jax

import jaxopt_course as jc
from benchmarks.scripts import status

BATCH = 64


def size(tree) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


hidden = int(sys.argv[1])
problem = jc.problems.fashion_mnist(model=jc.problems.models.mlp(hidden=(hidden,), classes=10), validation=0)
options = {"batch_size": BATCH, "steps": 200, "evaluate": None}
state = jc.fit(problem, jc.momentum(0.01, 0.9), key=0, **options).state
pathlib.Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
result = jc.fit(problem, jc.momentum(0.01, 0.9), state=state, **options)
jax.block_until_ready(result.params)
print(
    json.dumps(
        {
            "above_what_was_held": status("VmHWM") - before,
            "data": size(problem.data.train),
            "state": size((state.params, state.opt_state)),
            "activations": 4 * BATCH * (784 + 2 * hidden + 2 * 10),
        }
    )
)
