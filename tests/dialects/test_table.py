"""The README's table is what the presets and the stored trajectories say."""

from tests.dialects import golden, table
from tests.dialects.frameworks import ROOT

README = (ROOT / "README.md").read_text()


def test_readme_is_up_to_date():
    assert table.BLOCK.search(README)
    assert table.fill(README) == README, "python -m tests.dialects.table"


def test_a_method_that_strays_is_shown_as_different():
    record = golden.load()
    record["keras"]["errors"]["adam"] = 3e-4
    assert table.cell("keras", "adam", record) == "differs: 3e-04"
    assert table.cell("keras", "sgd", record) == "equal: `jc.sgd()`"
    assert "momentum_decay=1.0" in table.cell("keras", "nadam", record)


def test_a_method_that_a_framework_has_not_is_a_dash():
    assert table.cell("optax", "averaged_sgd", golden.load()) == "—"
    assert table.cell("torch", "averaged_sgd", golden.load()).startswith("equal: `asgd()` is `jc.decayed(jc.averaged_sgd)(")
