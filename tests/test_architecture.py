"""The layers point one way, the import is cheap, and everything public is documented, once."""

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import jaxopt_course as jc

PACKAGE = Path(jc.__file__).parent

# What each layer may import of ours. `report` is loaded inside the methods named below.
LAYERS = {
    "checks": set(),
    "compiler": set(),
    "statistics": set(),
    "types": {"checks"},
    "transform": {"types", "checks"},
    "schedules": {"types", "checks"},
    "linesearch": {"types", "checks"},
    "problems": {"compiler", "types", "checks"},
    "probes": {"transform", "types", "checks"},
    "optimizers": {"transform", "schedules", "linesearch", "types", "checks"},
    "training": {
        "compiler",
        "transform",
        "schedules.batch_size",
        "problems.objective",
        "probes.definition",
        "types",
        "checks",
    },
    "sweep": {"compiler", "statistics", "training", "transform", "problems.objective", "types", "checks"},
    "dialects": {"optimizers", "schedules", "transform", "types", "checks"},
    "testing": {"compiler", "transform", "types", "checks"},
    "theory": {"transform", "types", "checks"},
    "report": {"types", "checks"},
    "race": {"statistics", "optimizers", "sweep", "training", "problems.objective", "transform", "types", "checks"},
    "cli": {"", "race", "optimizers", "problems", "report", "sweep", "training", "types", "checks"},
    "__main__": {"cli"},
    "__init__": {
        "optimizers",
        "schedules",
        "linesearch",
        "probes",
        "problems",
        "problems.objective",
        "transform",
        "training",
        "race",
        "sweep",
        "testing",
    },
}
CONVENIENCES = {
    ("types.py", "plot"),
    ("training/range_test.py", "plot"),
    ("training/result.py", "plot"),
    ("training/minimize.py", "plot"),
    ("sweep/pictures.py", "plot"),
    ("race/outcome.py", "report"),
    ("race/outcome.py", "plot"),
    ("race/outcome.py", "__str__"),
    ("race/outcome.py", "datasets"),
}
EFFECTS = {"training/progress.py", "training/checkpoint.py", "sweep/store.py", "problems/datasets.py"}
EFFECTFUL = ("report/", "cli/")


def imports(tree):
    """(module, enclosing function) of each import of ours that runs; those for type checkers do not."""

    def visit(node, function):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            function = node.name
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "jaxopt_course":
            parts = (node.module or "").split(".")[1:]
            if parts:
                yield ".".join(parts), function
            else:
                yield from ((alias.name, function) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from (
                (alias.name.removeprefix("jaxopt_course").lstrip("."), function)
                for alias in node.names
                if alias.name.split(".")[0] == "jaxopt_course"
            )
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function)

    yield from visit(tree, None)


def sources():
    return [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in sorted(PACKAGE.rglob("*.py"))]


@pytest.mark.parametrize("path", sources())
def test_imports_point_one_way(path):
    name = path.relative_to(PACKAGE)
    layer = name.parts[0].removesuffix(".py")
    for module, function in imports(ast.parse(path.read_text())):
        if (str(name), function) in CONVENIENCES:
            continue
        allowed = LAYERS[layer] | {layer}
        assert any(module == a or (a and module.startswith(f"{a}.")) for a in allowed), (
            f"{name} ({function or 'at import'}) imports {module}; {layer} may import {', '.join(sorted(allowed))}"
        )


def test_the_lists_of_exceptions_have_no_dead_entries():
    found = {
        (str(path.relative_to(PACKAGE)), function)
        for path in PACKAGE.rglob("*.py")
        for module, function in imports(ast.parse(path.read_text()))
        if module.split(".")[0] == "report"
    }
    assert found >= CONVENIENCES
    assert all((PACKAGE / name).exists() for name in EFFECTS)
    assert all((PACKAGE / name).exists() or (PACKAGE / f"{name}.py").exists() for name in LAYERS)


@pytest.mark.parametrize("path", sources())
def test_effects_are_where_they_belong(path):
    name = str(path.relative_to(PACKAGE))
    if name in EFFECTS or name.startswith(EFFECTFUL):
        return
    calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not {"print", "open", "jax.config.update", "urllib.request.urlopen"} & set(calls)


def test_files_are_short_enough_to_read():
    long = {str(p.relative_to(PACKAGE)): n for p in PACKAGE.rglob("*.py") if (n := len(p.read_text().splitlines())) > 350}
    assert not long


def run(code):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # as users have it
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()


def test_import_loads_nothing_heavy():
    loaded = run("import sys, jax, optax; before = set(sys.modules); import jaxopt_course; print(set(sys.modules) - before)")
    heavy = {"flax", "xarray", "zarr", "pandas", "matplotlib", "plotly", "orbax", "tyro", "chex", "sklearn", "tqdm", "pooch"}
    heavy |= {"optuna"}
    assert not {name for name in heavy if f"'{name}'" in loaded}


def test_import_costs_little_over_jax_and_optax():
    """0.3 s of processor time at most; the best of five, so that a busy machine does not decide."""
    code = "import jax, optax, time; t = time.process_time(); import jaxopt_course; print(time.process_time() - t)"
    assert min(float(run(code)) for _ in range(5)) <= 0.3


def public():
    """Every exported name, with its one home."""
    dialects = [getattr(jc.dialects, name) for name in jc.dialects.__all__]
    modules = [
        jc,
        jc.problems,
        jc.surfaces,
        jc.schedules,
        jc.linesearch,
        jc.samplers,
        jc.probes,
        jc.spaces,
        jc.stopping,
        jc.testing,
        jc.theory,
        jc.dialects,
        *dialects,
    ]
    return [(module, name) for module in modules for name in module.__all__]


@pytest.mark.parametrize(("module", "name"), public(), ids=[f"{m.__name__}.{n}" for m, n in public()])
def test_everything_exported_exists_and_is_documented(module, name):
    thing = getattr(module, name)
    if inspect.isfunction(thing) or inspect.isclass(thing) or inspect.ismodule(thing):
        assert thing.__doc__, f"{module.__name__}.{name} has no docstring"
        assert not thing.__doc__.startswith(f"{name}("), f"{name} has only its generated docstring"


def test_nothing_is_exported_twice():
    for module in (jc, jc.problems, jc.surfaces, jc.schedules, jc.linesearch, jc.samplers, jc.spaces, jc.stopping, jc.testing):
        assert len(module.__all__) == len(set(module.__all__))


def test_factories_document_every_argument():
    for entry in jc.CATALOG.values():
        for name in inspect.signature(entry.factory).parameters:
            assert f"        {name}:" in entry.factory.__doc__, f"{entry.factory.__name__} does not document {name}"
        assert f"[{entry.lecture}" in entry.factory.__doc__
