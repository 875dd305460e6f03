"""What a user waits for: ``python -m benchmarks.cold [--rounds 7]``.

The first result of ``fit`` on digits from a cold process, imports and compilation included, against a script that does
the same by hand with jax and optax, the quicker with NumPy's random numbers, the usual with JAX's; and
``import jaxopt_course`` against ``import jax, optax``. Each sample is a whole process, the sides take turns, and nothing
is compiled ahead: the persistent compilation cache is off.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import machine, statistics, table

LIMIT, IMPORT_LIMIT = 1.2, 0.3
IMPORTS = {"peer": "import jax, optax", "ours": "import jax, optax, jaxopt_course"}


def environment() -> dict[str, str]:
    """This environment, without a compilation cache; but byte code is kept, as it is for users."""
    dropped = ("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE", "PYTHONDONTWRITEBYTECODE")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    return {**kept, "JAX_ENABLE_COMPILATION_CACHE": "false"}


def seconds(*arguments: str) -> float:
    """How long a fresh Python process takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, env=environment(), cwd=machine.ROOT, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure, print the table, store the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-store", action="store_true", help="only print")
    arguments = parser.parse_args()
    record = machine.describe() | {"rounds": arguments.rounds}

    import jaxopt_course as jc

    data = jc.problems.digits().data
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "digits.npz")
        splits = {"": data.train, "_validation": data.validation}
        np.savez(path, **{name + suffix: split[name] for suffix, split in splits.items() for name in "xy"})
        scripts = {
            "ours": lambda: seconds("-m", "benchmarks.scripts.digits_fit"),
            "peer": lambda: seconds("-m", "benchmarks.scripts.digits_scan", path, "numpy"),
            "peer_jax_random": lambda: seconds("-m", "benchmarks.scripts.digits_scan", path, "jax"),
        }
        statistics.interleave(scripts, 1)  # the disk's cache is warm, and byte code is written
        first = statistics.interleave(scripts, arguments.rounds)
    imports = {name: (lambda code=code: seconds("-c", code)) for name, code in IMPORTS.items()}
    statistics.interleave(imports, 1)
    imported = statistics.interleave(imports, arguments.rounds)

    usual = {"ours": first["ours"], "peer": first.pop("peer_jax_random")}
    for samples in (first, usual):
        samples["ratio"] = statistics.ratio(samples["ours"], samples["peer"])
    imported |= {"difference": statistics.spread(np.subtract(imported["ours"], imported["peer"]))}
    record |= {"versions": machine.versions(), "platform": machine.platform()}
    record |= {"first_result": first, "first_result_against_jax_random": usual, "import": imported}
    limit, show = f"≤ {LIMIT} ×", lambda ratio: statistics.show(ratio) + " ×"
    difference = statistics.show(imported["difference"])
    record["table"] = [
        _line("first result of `fit` on digits, cold; a bare scan, NumPy's draws", first, show(first["ratio"]), limit),
        _line("first result of `fit` on digits, cold; a bare scan, `jax.random`", usual, show(usual["ratio"]), limit),
        _line("`import jaxopt_course`; `import jax, optax`", imported, f"+ {difference} s", f"≤ + {IMPORT_LIMIT} s"),
    ]
    print(table.checks(record))
    if not arguments.no_store:
        print("stored:", machine.store(f"cold-{record['platform']}", record))


def _line(title: str, samples: dict, compared: str, limit: str) -> list[str]:
    sides = [f"{statistics.spread(samples[side])['median']:.2f} s" for side in ("ours", "peer")]
    return [title, *sides, compared, limit]


if __name__ == "__main__":
    main()
