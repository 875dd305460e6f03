"""The frameworks' trajectories, stored: ``python -m tests.dialects.golden`` runs all three and writes ``golden.json``.

The replay needs none of them. The file has their versions, their signatures, and the largest error that we had beside them.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.dialects import cases, frameworks, ours

PATH = Path(__file__).with_name("golden.json")
TOLERANCE = 1e-10


def load() -> dict:
    return json.loads(PATH.read_text())


def main() -> None:
    record = {framework: frameworks.trajectories(framework) for framework in cases.CASES}
    for framework, theirs in record.items():
        theirs["errors"] = {
            name: float(f"{cases.relative_error(ours.trajectory(framework, name), points):.1e}")
            for name, points in theirs["points"].items()
        }
    lines = json.dumps({"kept": cases.KEPT, **record}, indent=1, ensure_ascii=False)
    PATH.write_text(_one_line_for_each_step(lines) + "\n")


def _one_line_for_each_step(text: str) -> str:
    import re

    return re.sub(r"\[\s*([^\[\]{}]+?)\s*\]", lambda m: "[" + re.sub(r"\s*\n\s*", " ", m[1]) + "]", text)


if __name__ == "__main__":
    main()
