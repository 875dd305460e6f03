"""Where a number comes from: the machine, the versions, the commit, the date. Stored with every result."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform as _platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
LIBRARIES = ("jax", "jaxlib", "optax", "flax", "keras", "torch", "scikit-learn", "numpy")


def platform() -> str:
    """What computes in this process: ``"cpu"``, or an accelerator that its framework has found."""
    if (jax := sys.modules.get("jax")) is not None:
        return jax.default_backend()
    torch = sys.modules.get("torch")
    return "gpu" if torch is not None and torch.cuda.is_available() else "cpu"


def versions() -> dict[str, str]:
    """Python's version, and those of the frameworks that this process has loaded."""
    names = {name: name.replace("scikit-learn", "sklearn") for name in LIBRARIES}
    loaded = {name: importlib.metadata.version(name) for name, module in names.items() if module in sys.modules}
    return {"python": _platform.python_version(), **loaded}


def commit() -> str | None:
    """The commit that is checked out, with ``-dirty`` where the code is not the commit's."""
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, or no checkout
        return None
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "jaxopt_course", "benchmarks", ":!benchmarks/results"])
    return head + "-dirty" * bool(changed.returncode)


def describe() -> dict:
    """The machine, the commit and the date."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), _platform.processor())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": {
            "cpu": model,
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_gib": round(memory / 2**30, 1),
            "system": f"{_platform.system()} {_platform.release()}",
            "load_at_start": round(os.getloadavg()[0], 2),
        },
    }


def store(name: str, record: dict) -> pathlib.Path:
    """Write ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path
