"""Claims of the lectures, measured: what the chapters say, with what they found.

A chapter measures, then calls :func:`claim`, which asserts and shows the verdict. The chapters' stored outputs hold every
verdict, and the index (`python -m notebooks.build`) is made of those.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

__all__ = ["Verdict", "claim", "setting"]

Verdict = Literal["true", "partly true", "false"]
MARKS = {"true": "✔", "partly true": "◐", "false": "✘"}


def claim(row: str, statement: str, measured: str, *, holds: Any, verdict: Verdict = "true") -> None:
    """State a claim of the lectures and what was measured; fail if the verdict no longer follows from the measurement.

    Args:
        row: of the checklist: ``"D2"``.
        statement: the claim, in the lecture's words.
        measured: the numbers that were found, in a sentence, with the tolerance and its reason.
        holds: what must be true of the numbers for ``verdict``, with a margin.
        verdict: on the statement. "partly true": ``measured`` says which part is not.

    Raises:
        AssertionError: not ``holds``. ValueError: an unknown verdict.
    """
    if verdict not in get_args(Verdict):
        raise ValueError(f"claim: verdict must be one of {get_args(Verdict)}; got {verdict!r}")
    assert bool(holds), f"[{row}] {statement} — {verdict}? measured: {measured}"
    from IPython.display import display

    text = f"{MARKS[verdict]} **[{row}] {statement}**\n\n{verdict}: {measured}"
    facts = {"row": row, "statement": statement, "measured": measured, "verdict": verdict}
    display({"text/markdown": text, "text/plain": text}, raw=True, metadata={"claim": facts})


def setting() -> None:
    """What every chapter begins with: small pictures in our style."""
    import matplotlib.pyplot as plt

    from jaxopt_course.report import style

    with style.themed():
        ours = {name: value for name, value in plt.rcParams.items() if not name.startswith("backend")}
    plt.rcParams |= ours | {"figure.dpi": 72, "savefig.dpi": 72, "figure.constrained_layout.use": True}
