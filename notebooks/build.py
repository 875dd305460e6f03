"""Run the chapters, store them with their outputs, and write the index of claims.

`python -m notebooks.build` runs all of them; `python -m notebooks.build 04` those whose names begin so; `--index` only writes
the index from what is stored. A chapter is written in its `.py` (jupytext's percent format); its `.ipynb` is made from it.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat

from notebooks.claims import MARKS

HERE = Path(__file__).parent
INDEX = HERE / "README.md"
WIDTH, COLORS = 1000, 128  # of a stored picture: pixels, and how many colours
VOLATILE = ("execution", "papermill")  # metadata that differ from run to run


def chapters() -> list[Path]:
    """The texts, in their order."""
    return sorted(HERE.glob("[0-9][0-9]_*.py"))


def execute(text: Path) -> nbformat.NotebookNode:
    """A chapter, run from top to bottom in a fresh kernel.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails, or an assertion in it.
    """
    from nbclient import NotebookClient

    notebook = jupytext.read(text)
    path = os.pathsep.join([str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")])
    os.environ |= {"PYTHONPATH": path, "PYTHONHASHSEED": "0"}
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}).execute()
    return tidy(notebook)


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without what differs between two runs that found the same: times, and the names of cells; and with small pictures."""
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "jupytext": {"formats": "ipynb,py:percent"}}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:03}"
        cell.metadata = {k: v for k, v in cell.metadata.items() if k not in VOLATILE}
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if not (o.output_type == "stream" and o.name == "stderr")]
            for output in cell.outputs:
                if picture := output.get("data", {}).get("image/png"):
                    output.data.pop("image/jpeg", None)  # Pillow stores each of its pictures twice
                    output.data["image/png"] = base64.b64encode(small(base64.b64decode(picture))).decode()
    return notebook


def small(png: bytes) -> bytes:
    """A picture at most 1000 pixels wide, in 128 colours: a fifth of the bytes, and it looks the same."""
    from PIL import Image

    picture, content = Image.open(io.BytesIO(png)).convert("RGB"), io.BytesIO()
    picture.thumbnail((WIDTH, 4 * WIDTH), Image.Resampling.LANCZOS)
    method = Image.Quantize.FASTOCTREE  # a median cut loses thin lines' hues
    colors = picture.quantize(COLORS, method, dither=Image.Dither.NONE)
    colors.save(content, "PNG", optimize=True)
    return min(content.getvalue(), png, key=len)


def claims(notebook: Any) -> Iterator[dict[str, str]]:
    """What a chapter's outputs say of the lectures' claims."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            if found := output.get("metadata", {}).get("claim"):
                yield found


def stored(text: Path) -> Path:
    return text.with_suffix(".ipynb")


def title(notebook: Any) -> str:
    return "".join(notebook["cells"][0]["source"]).splitlines()[0].removeprefix("# ")


def index() -> str:
    """The index page: each claim, the number that was found, and the verdict."""
    lines = ["# The lectures, measured", "", "Made by `python -m notebooks.build` from the chapters' runs.", ""]
    rows = []
    for text in chapters():
        if not stored(text).exists():
            continue
        notebook = nbformat.read(stored(text), as_version=4)
        lines.append(f"- [{title(notebook)}]({stored(text).name}) ([text]({text.name}))")
        rows += [(found, stored(text).name) for found in claims(notebook)]
    rows.sort(key=lambda row: (row[0]["row"][0], int(row[0]["row"][1:])))
    lines += ["", "| | claim | measured | verdict |", "|---|---|---|---|"]
    cell = lambda text: text.replace("|", "\\|").replace("\n", " ")
    for found, name in rows:
        verdict = f"{MARKS[found['verdict']]} {found['verdict']}"
        lines.append(f"| [{found['row']}]({name}) | {cell(found['statement'])} | {cell(found['measured'])} | {verdict} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="the beginnings of chapters' names; all of them by default")
    parser.add_argument("--index", action="store_true", help="only the index, from what is stored")
    asked = parser.parse_args()
    found = [text for text in chapters() if not asked.names or text.name.startswith(tuple(asked.names))]
    for text in [] if asked.index else found:
        began = time.perf_counter()
        notebook = execute(text)
        nbformat.write(notebook, stored(text))
        print(f"{text.name}: {time.perf_counter() - began:.0f} s, {len(list(claims(notebook)))} claims")
    INDEX.write_text(index(), encoding="utf-8")


if __name__ == "__main__":
    main()
