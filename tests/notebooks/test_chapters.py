"""The chapters run from top to bottom, their stored outputs are of their texts, and the index has every claim."""

import re

import jupytext
import nbformat
import pytest

from notebooks import build

CHAPTERS = {text.stem: text for text in build.chapters()}
ROWS = [
    *("A3", "A5", "A6", "A8", "A9", "B3", "B4", "B5", "B6", "C9", "C10", "C11", "D2", "D5", "D6"),
    *("E1", "E4", "E6", "F3", "F4", "F5", "F6", "F8", "F9", "F10"),
]


def sources(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


@pytest.mark.parametrize("name", CHAPTERS)
def test_what_is_stored_is_of_this_text(name):
    stored = nbformat.read(build.stored(CHAPTERS[name]), as_version=4)
    assert sources(stored) == sources(jupytext.read(CHAPTERS[name]))
    assert len(build.stored(CHAPTERS[name]).read_bytes()) < 1_500_000


def test_the_index_is_made_of_what_is_stored():
    assert build.INDEX.read_text(encoding="utf-8") == build.index()


def test_every_claim_of_the_lectures_is_measured():
    measured = set(re.findall(r"^\| \[([A-G]\d+)\]", build.index(), re.MULTILINE))
    assert set(ROWS) <= measured


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAPTERS)
def test_the_chapter_runs_and_its_claims_hold(name):
    found = list(build.claims(build.execute(CHAPTERS[name])))
    stored = list(build.claims(nbformat.read(build.stored(CHAPTERS[name]), as_version=4)))
    assert [claim["row"] for claim in found] == [claim["row"] for claim in stored]
