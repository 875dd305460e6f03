"""The shell, as its user meets it: outputs, exit codes, one-line errors, Ctrl-C, and the cache of compiled programs."""

from __future__ import annotations

import csv
import inspect
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

from jaxopt_course import cli
from jaxopt_course.optimizers import CATALOG

SHELL = [sys.executable, "-c", "import sys; from jaxopt_course.cli import main; sys.exit(main())"]


@pytest.fixture(autouse=True)
def jax_settings():
    """The shell sets JAX's cache for its process; here it must not for the tests that follow."""
    names = ("jax_enable_compilation_cache", "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    names = (*names, "jax_persistent_cache_min_entry_size_bytes")
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def run(*arguments, cwd=None, **environment):
    return subprocess.run(
        [*SHELL, *map(str, arguments)], cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def interrupt(arguments, ready, cwd, after=0.0):
    """Start the shell, send SIGINT once ``ready`` is in what it says, and collect the rest."""
    process = subprocess.Popen([*SHELL, *arguments], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = b""
    while not re.search(ready, said):
        byte = os.read(process.stderr.fileno(), 4096)
        assert byte, f"it ended before it could be interrupted: {said.decode()}"
        said += byte
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=60)
    return process.returncode, out.decode(), (said + rest).decode()


@pytest.mark.parametrize("command", [cli.race, cli.fit])
def test_help_describes_every_option(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command.__name__, "--help"])
    assert end.value.code == 0
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    for name in inspect.signature(command).parameters:
        description = re.search(rf"^    {name}: (.+)$", inspect.getdoc(command), re.M).group(1)
        assert re.search(rf"--{name.replace('_', '-')}\b.*{re.escape(description)}", shown), f"not described: {name}"


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for word in ("race", "fit", "optimizers", "problems", "Tune every optimizer", "Train once"):
        assert word in shown


def test_optimizers_lists_the_catalog_with_arguments(capsys):
    assert cli.main(["optimizers"]) == 0
    shown = capsys.readouterr().out
    for name, entry in CATALOG.items():
        assert re.search(rf"^{re.escape(name)}  \[{entry.lecture}\]$", shown, re.M)
    assert "momentum(learning_rate, momentum=0.9" in shown


def test_problems_lists_them_all(capsys):
    assert cli.main(["problems"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "digits", "fashion-mnist", "mnist1d", "linear-regression", "logistic-regression",
    ]  # fmt: skip


def test_fit_prints_the_test_result_and_writes_what_was_asked_for(capsys, tmp_path):
    picture, history = tmp_path / "curves.png", tmp_path / "steps.csv"
    arguments = [
        "fit",
        "--epochs",
        "2",
        "--model",
        "softmax",
        "--optimizer",
        "momentum",
        "--learning-rate",
        "0.07",
        "--no-cache",
    ]
    assert cli.main([*arguments, "--picture", str(picture), "--history", str(history)]) == 0
    said = capsys.readouterr()
    assert re.search(r"momentum, learning rate 0\.07, 68 steps in \d+\.\d\d s", said.out)
    assert re.search(r"accuracy 0\.\d{4}", said.out)
    assert "68/68" in said.err
    assert picture.read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(history.read_text().splitlines()))
    assert len(rows) == 68
    assert float(rows[-1]["learning_rate"]) == pytest.approx(0.07)


def test_fit_is_quiet_without_progress(capsys):
    assert cli.main(["fit", "--epochs", "1", "--model", "softmax", "--no-progress", "--no-cache"]) == 0
    assert capsys.readouterr().err == ""


def test_race_prints_a_table_and_writes_page_and_picture(capsys, tmp_path):
    page, picture = tmp_path / "race.html", tmp_path / "race.png"
    arguments = ["race", "--optimizers", "sgd", "adam", "--seeds", "2", "--epochs", "1", "--model", "softmax", "--no-cache"]
    arguments += ["--learning-rates", "0.01", "0.1", "--report", str(page), "--picture", str(picture)]
    assert cli.main(arguments) == 0
    said = capsys.readouterr()
    assert re.search(r"^adam .*±", said.out, re.M)
    assert re.search(r"^sgd .*±", said.out, re.M)
    assert str(page) in said.out
    assert str(picture) in said.out
    assert "adam" in page.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


BAD = {
    "unknown optimizer": (["fit", "--optimizer", "admm"], "error: fit: unknown optimizer 'admm'; did you mean 'adam'?"),
    "unknown optimizer in a race": (["race", "--optimizers", "sgdd"], "error: race: unknown optimizer 'sgdd'; did you"),
    "unknown problem": (["fit", "--problem", "digts"], "error: unknown problem 'digts'; did you mean 'digits'?"),
    "unknown metric": (["race", "--metric", "acuracy"], "error: race: unknown metric 'acuracy'; did you mean 'accuracy'?"),
    "no such folder": (["race", "--report", "/proc/x/race.html"], "error: cannot write '/proc/x/race.html': there is no"),
    "a folder": (["race", "--picture", "/"], "error: cannot write '/': it is a folder"),
    "under a file": (["fit", "--picture", f"{__file__}/x.png"], "is not a folder"),
    "history": (["fit", "--history", "/proc/x/steps.csv"], "error: cannot write '/proc/x/steps.csv'"),
    "no data": (["fit", "--problem", "fashion-mnist", "--folder", "/no/such"], "in /no/such"),
    "a folder for digits": (["fit", "--folder", "/tmp"], "error: --folder is for fashion-mnist; digits needs none"),
    "a model for a regression": (
        ["fit", "--problem", "linear-regression", "--model", "mlp"],
        "error: --model is for images; linear-regression has its own",
    ),
    "epochs 0": (["fit", "--epochs", "0"], "error: fit: epochs must be an integer >= 1; got 0"),
    "epochs 0 in a race": (["race", "--epochs", "0"], "error: race: epochs must be an integer >= 1; got 0"),
    "batch size": (["fit", "--batch-size", "5000"], "error: fit: batch_size must be an integer from 1 to 1080; got 5000"),
    "learning rate": (["fit", "--learning-rate", "-1"], "error: fit: learning_rates must be a number > 0; got -1.0"),
    "one seed": (["race", "--seeds", "1"], "error: race: seeds must be an integer >= 2, for an interval; got 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_exit_status_2_before_any_training(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, message = BAD[name]
    assert cli.main([*arguments, "--no-cache"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert not list(tmp_path.iterdir())


def test_a_run_that_diverges_says_where_and_is_an_error(capsys):
    arguments = ["fit", "--optimizer", "sgd", "--learning-rate", "1e20", "--epochs", "1", "--no-cache", "--no-progress"]
    assert cli.main(arguments) == 2
    assert re.match(r"error: fit: loss (inf|nan) at step \d+; first non-finite parameter", capsys.readouterr().err)


@pytest.mark.parametrize("arguments", [["fit", "--epochs", "many"], ["fit", "--nonsense"], ["run"], []])
def test_what_is_no_command_is_exit_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2


def test_the_second_process_finds_its_programs_in_the_users_cache(tmp_path):
    arguments = ["fit", "--epochs", "1", "--no-progress"]
    compiling = []
    for _ in range(2):
        done = run(*arguments, XDG_CACHE_HOME=str(tmp_path))
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        compiling.append(float(re.search(r"and ([\d.]+) s of compiling", done.stdout).group(1)))
        entries = sorted(path.name for path in (tmp_path / "jaxopt_course" / "xla").iterdir())
    assert any(name.startswith("jit_run_chunk") for name in entries)
    assert compiling[1] < compiling[0]


def test_the_cache_can_be_turned_off(tmp_path):
    done = run("fit", "--epochs", "1", "--no-progress", "--no-cache", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


def test_a_cache_folder_that_cannot_be_written_does_not_break_the_run(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    jax.config.update("jax_compilation_cache_dir", None)
    assert cli.main(["fit", "--epochs", "1", "--model", "softmax", "--no-progress"]) == 0
    said = capsys.readouterr()
    assert "accuracy" in said.out
    assert said.err.startswith("note: compiled programs are not kept: ")
    assert said.err.count("\n") == 1


def test_a_cache_that_jax_was_told_of_is_left_alone(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "ours"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "theirs"))
    assert cli.main(["fit", "--epochs", "1", "--model", "softmax", "--no-progress"]) == 0
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "theirs")
    assert not (tmp_path / "ours").exists()


def test_interrupting_a_race_reports_what_is_finished(tmp_path):
    arguments = [
        "race",
        "--seeds",
        "2",
        "--epochs",
        "3",
        "--model",
        "softmax",
        "--optimizers",
        "sgd",
        "adam",
        "momentum",
        "nesterov",
    ]
    status, out, err = interrupt(arguments, rb"momentum: ", tmp_path)
    assert status == 130
    assert "Traceback" not in err
    assert re.search(r"^adam ", out, re.M)
    assert "nesterov" not in out
    assert "adam" in (tmp_path / "race.html").read_text()
    assert (tmp_path / "race.png").exists()


def test_interrupting_a_race_at_once_has_nothing_to_report(tmp_path):
    status, out, err = interrupt(["race", "--no-cache"], rb"tuning", tmp_path, after=0.3)
    assert status == 130
    assert "Traceback" not in err
    assert err.rstrip().splitlines()[-1].endswith("interrupted: race: before the first optimizer was done")
    assert out == ""
    assert not list(Path(tmp_path).iterdir())


@pytest.mark.parametrize("after", [0.0, 0.7])
def test_interrupting_a_fit_ends_it_without_a_traceback(tmp_path, after):
    status, out, err = interrupt(["fit", "--epochs", "200000", "--no-cache"], rb"step", tmp_path, after)
    assert status == 130
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert err.rstrip().splitlines()[-1].endswith("interrupted")
    assert out == ""


def test_ctrl_c_inside_jaxs_collection_hook_is_not_lost():
    """What is raised in a garbage-collection hook is ignored, so the handler must wait until it is over."""
    survived = []

    def _xla_gc_callback():
        signal.raise_signal(signal.SIGINT)
        survived.append(True)

    def work():
        _xla_gc_callback()
        time.sleep(5)

    before = signal.signal(signal.SIGINT, cli._interrupt), signal.getsignal(signal.SIGALRM)
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGALRM, before[1])
    assert survived


def test_an_optimizer_without_a_learning_rate_trains_and_refuses_one(capsys):
    arguments = ["fit", "--optimizer", "line_search", "--model", "softmax", "--epochs", "1", "--no-progress", "--no-cache"]
    assert cli.main(arguments) == 0
    assert re.match(r"line_search, 34 steps in ", capsys.readouterr().out)
    assert cli.main([*arguments, "--learning-rate", "0.1"]) == 2
    assert "error: fit: line_search has no learning rate; got learning_rate=0.1" in capsys.readouterr().err
