"""Seconds that a fresh process spends compiling (tracing included), by its own count: prints a number.

``python -m benchmarks.scripts.sweep_compile ROW sweep|fit``: a sweep of 64 rates, or one ``fit``; nothing is compiled ahead.
"""

import sys

import jax

import jaxopt_course as jc
from benchmarks.peers.sweep_fits import problem_of
from benchmarks.sweep_setting import RATES, ROWS

jax.config.update("jax_enable_compilation_cache", False)
row, kind = ROWS[sys.argv[1]], sys.argv[2]
options = {"batch_size": row.batch_size, "epochs": 1, "evaluate": None}
problem = problem_of(row, row.load())
if kind == "fit":
    print(jc.fit(problem, jc.sgd(RATES[0]), **options).compile_seconds)
else:
    space = jc.spaces.zipped(learning_rate=RATES)
    print(jc.sweep(problem, jc.sgd, space, seeds=1, **options).attrs["compile_seconds"])
