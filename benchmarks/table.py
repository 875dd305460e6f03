"""The README's numbers, written by machine: ``python -m benchmarks.table`` fills in the blocks between the markers
``<!-- benchmark:NAME -->`` and ``<!-- /benchmark -->`` from ``results/NAME.json``, or from ``results/NAME-cpu.json``.
"""

from __future__ import annotations

import json
import re
import sys

from benchmarks import machine
from benchmarks.peers import PEERS
from benchmarks.statistics import show

BLOCK = re.compile(r"(<!-- benchmark:([\w-]+) -->\n).*?(<!-- /benchmark -->)", re.DOTALL)


def steps(record: dict) -> str:
    """Steps per second, ours ÷ peer and the promise: one line for each peer, three columns for each row."""
    titles = [row["title"] for row in record["rows"].values()]
    lines = ["| | " + " | ".join(f"{title}: steps/s | ours ÷ peer | promised" for title in titles) + " |"]
    lines.append("|---|" + "---:|---:|---:|" * len(titles))
    for peer, title in PEERS.items():
        cells = [cell for row in record["rows"].values() for cell in _cells(row["peers"].get(peer))]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", _origin(record, f"median of {record['rounds']} interleaved rounds (range)")])


def _cells(entry: dict | None) -> list[str]:
    if entry is None:
        return ["", "", ""]
    ratio, required = entry["ours_over_peer"], entry["required"]
    return [
        f"{entry['steps_per_second']['median']:,.0f}",
        show(ratio) if ratio else "",
        f"{required:g}" if required else "",
    ]


def checks(record: dict) -> str:
    """The table of ``cold`` and ``overhead``: what, ours, against, ratio or difference, promised."""
    lines = ["| | ours | against | | promised |", "|---|---:|---:|---:|---:|"]
    lines += ["| " + " | ".join(line) + " |" for line in record["table"]]
    rounds = f"medians of {record['rounds']} interleaved rounds"
    how = f"{rounds} in {record['starts']} processes" if "starts" in record else f"{rounds} (range)"
    return "\n".join([*lines, "", _origin(record, how)])


def sweeps(record: dict) -> str:
    """Many trainings at once: seconds of each peer ÷ ours, and what is promised."""
    from benchmarks import sweeps

    how = f"median of {record['rounds']} interleaved rounds (range)"
    return "\n".join([sweeps.show(record), "", _origin(record | {"platform": "cpu"}, how)])


def _origin(record: dict, how: str) -> str:
    m = record["machine"]
    used = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    where = f"{m['cpu']}, {m['cores']} cores" + ("" if record["platform"] == "cpu" else f", {record['platform']}")
    commit, *dirty = (record["commit"] or "unknown").split("-")
    when = f"commit {'-'.join([commit[:10], *dirty])}, {record['date'][:10]}"
    return f"*{how[0].upper()}{how[1:]}; {where}; {used}; {when}.*"


def fill(text: str) -> str:
    """The text with every marked block replaced by its table; a block without a result stays as it is."""

    def replace(match: re.Match) -> str:
        head, name, tail = match.groups()
        paths = [machine.RESULTS / f"{name}.json", machine.RESULTS / f"{name}-cpu.json"]
        path = next((p for p in paths if p.exists()), None)
        if path is None:
            return match[0]
        record = json.loads(path.read_text())
        show = sweeps if name == "sweeps" else steps if "rows" in record else checks
        return f"{head}{show(record)}\n{tail}"

    return BLOCK.sub(replace, text)


def main() -> None:
    """Rewrite README.md in place; with ``--check`` only say whether it is up to date."""
    readme = machine.ROOT / "README.md"
    text = readme.read_text()
    filled = fill(text)
    if "--check" in sys.argv[1:]:
        sys.exit("README.md is behind benchmarks/results: python -m benchmarks.table" if filled != text else None)
    readme.write_text(filled)


if __name__ == "__main__":
    main()
