"""The README's table of dialects, written by machine: ``python -m tests.dialects.table`` fills in the block between
``<!-- dialects -->`` and ``<!-- /dialects -->`` from the presets and from ``golden.json``; ``--check`` only compares.
"""

from __future__ import annotations

import inspect
import re
import sys

import jax.numpy as jnp

import jaxopt_course as jc
from jaxopt_course.types import Schedule
from tests.dialects import cases, golden
from tests.dialects.frameworks import ROOT

BLOCK = re.compile(r"(<!-- dialects -->\n).*?(<!-- /dialects -->)", re.DOTALL)
MOMENTUM, NESTEROV = {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}
BY_SGD = {"momentum": ("sgd", MOMENTUM), "nesterov": ("sgd", NESTEROV)}
BY_ADAM = {"amsgrad": ("adam", {"amsgrad": True})}
BY_ASGD = {"averaged_sgd": ("asgd", {})}
DECAYED = (("decoupled", True), ("decay_by_rate", True), ("mask", None))  # what jc.decayed adds, at its defaults
CALLS = {"torch": BY_SGD | BY_ADAM | BY_ASGD, "keras": BY_SGD | BY_ADAM, "optax": BY_SGD, "paper": {}}


def spelled(framework: str, method: str) -> tuple[str, str]:
    """The dialect's call of a method, and what it is in our own keywords, where they differ from our defaults."""
    name, arguments = CALLS[framework].get(method, (method, {}))
    preset = getattr(getattr(jc.dialects, framework), name)
    rate = next(iter(inspect.signature(preset).parameters.values()))
    needed = {rate.name: 1.0} if rate.default in (rate.empty, None) else {}
    tx = preset(**needed, **arguments)
    rule, numbers = tx.update.rule, tx.init(jnp.zeros(1)).hyperparams
    used = {name: _rounded(value) for name, value in numbers.items()}
    own = inspect.signature(getattr(jc, rule.name)).parameters
    given = {k: v for k, v in (used | dict(rule.static)).items() if k not in own or _differs(own[k], v)}
    given = {k: v for k, v in given.items() if (k, v) not in DECAYED}
    factory = f"jc.{rule.name}" if set(given) <= set(own) else f"jc.decayed(jc.{rule.name})"
    return f"{name}({_shown(arguments)})", f"{factory}({_shown(given)})"


def has(framework: str, method: str) -> bool:
    return CALLS[framework].get(method, (method,))[0] in getattr(jc.dialects, framework).__all__


class _Letter(str):
    """A schedule of the preset's own."""

    __repr__ = str.__str__


def _rounded(value: object) -> object:
    if isinstance(value, Schedule):
        return _Letter("ηₜ")
    return None if value is None else float(f"{float(value):.7g}")  # type: ignore[arg-type]  # a scalar array


def _differs(parameter: inspect.Parameter, value: object) -> bool:
    required = parameter.default is inspect.Parameter.empty
    return isinstance(value, _Letter) or (not required and parameter.default != value)


def _shown(arguments: dict) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def cell(framework: str, method: str, record: dict) -> str:
    """The keywords of ours that are the framework's method, or how far off they are; "—" where it has none."""
    if not has(framework, method):
        return "—"
    theirs, ours = spelled(framework, method)
    if framework != "paper":
        errors = [error for name, error in record[framework]["errors"].items() if name.split(",")[0] == method]
        if not errors or max(errors) > golden.TOLERANCE:
            return f"differs: {max(errors):.0e}" if errors else "not measured"
    equal = "" if framework == "paper" else "equal: "
    return f"{equal}`{ours}`" if theirs == f"{method}()" else f"{equal}`{theirs}` is `{ours}`"


def render(record: dict) -> str:
    titles = ["paper", *(f"{f} {record[f]['versions'][f]}" for f in cases.CASES)]
    order = ["paper", *cases.CASES]
    lines = ["| | " + " | ".join(titles) + " |", "|---" * (1 + len(titles)) + "|"]
    lines += [
        f"| {m} | " + " | ".join(cell(f, m, record) for f in order) + " |" for m in jc.CATALOG if any(has(f, m) for f in order)
    ]
    worst = max(error for framework in cases.CASES for error in record[framework]["errors"].values())
    count = sum(len(record[framework]["errors"]) for framework in cases.CASES)
    refused = {f: dict.fromkeys(name for preset in presets(f).values() for name in preset.refused) for f in cases.CASES}
    raising = "; ".join(f"{f}: {', '.join(f'`{name}`' for name in names)}" for f, names in refused.items() if names)
    note = (
        f"*Equal: {count} trajectories of {cases.STEPS} noisy float64 steps, with hyperparameters that nobody has by default, "
        f"differ by {worst:.0e} at most, relatively (required: {golden.TOLERANCE:.0e}). These arguments raise, and say what "
        f"to use: {raising}; as do optax's `adadelta` without a rate, which ascends, and its `amsgrad` with one of two bias "
        "corrections. Complex parameters: torch's adaptive methods take the two parts apart, ours do not. "
        "ASGD: ηₜ = lr / (1 + lambd · lr · t)^alpha, and `jc.eval_params` reads the average. "
        "AdaGrad where v = ε = 0: optax stays, ours and the others divide by zero. Centred RMSProp with bias "
        "correction: the first variance is 0 but for rounding; where that is negative optax's step is NaN, and ours takes 0.*"
    )
    return "\n".join([*lines, "", note])


def presets(framework: str) -> dict:
    module = getattr(jc.dialects, framework)
    return {name: getattr(module, name) for name in module.__all__}


def fill(text: str) -> str:
    return BLOCK.sub(lambda match: f"{match[1]}{render(golden.load())}\n{match[2]}", text)


def main() -> None:
    readme = ROOT / "README.md"
    text = readme.read_text()
    filled = fill(text)
    if "--check" in sys.argv[1:]:
        sys.exit("README.md is behind the dialects: python -m tests.dialects.table" if filled != text else None)
    readme.write_text(filled)


if __name__ == "__main__":
    main()
