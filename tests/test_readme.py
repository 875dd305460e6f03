"""The README's examples run, its commands exist, and its pictures are there."""

import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_runs(example, tmp_path, monkeypatch):
    (tmp_path / "notebooks" / "pictures").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make ([\w-]+)`", README)) | set(re.findall(r"^make ([\w-]+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_pictures_exist():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / picture).stat().st_size > 10_000, picture


def test_shell_commands_parse(monkeypatch):
    """Every `jaxopt-course ...` line of the README is accepted by the shell; nothing is run."""
    from jaxopt_course import cli

    ran = []
    for name in ("race", "fit", "sweep", "optimizers", "problems"):
        real = getattr(cli, name)

        @functools.wraps(real)
        def stand_in(*args, real=real, **kwargs):
            ran.append(real.__name__)
            return 0

        monkeypatch.setattr(cli, name, stand_in)
    lines = re.findall(r"^jaxopt-course (.+)$", README, re.MULTILINE)
    for line in lines:
        assert cli.main(line.split("#")[0].split()) == 0, line
    assert len(ran) == len(lines) >= 4
