"""The shell, as its user meets it: help, what the commands print and write, and the cache of compiled programs."""

from __future__ import annotations

import csv
import inspect
import os
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
import xarray as xr

import jaxopt_course as jc
from jaxopt_course import cli
from jaxopt_course.cli import shared
from jaxopt_course.optimizers import CATALOG

SHELL = [sys.executable, "-m", "jaxopt_course"]


def run(*arguments, cwd=None, **environment):
    return subprocess.run(
        [*SHELL, *map(str, arguments)], cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("command", [cli.race, cli.fit, cli.sweep])
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
    for word in (
        "race",
        "fit",
        "sweep",
        "optimizers",
        "problems",
        "Tune every optimizer",
        "Train once",
        "configuration of a space",
    ):
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


def test_any_problem_that_takes_a_model_is_given_it(monkeypatch):
    monkeypatch.setitem(jc.problems.PROBLEMS, "mnist1d", (lambda model="softmax": f"signals/{model}", "without the package"))
    assert shared.problem("mnist1d", "mlp", None) == "signals/mlp"
    assert shared.problem("mnist1d", None, None) == "signals/softmax"
    assert shared.problem("digits", None, None).name == "digits/mlp"


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


SWEEP = ["sweep", "--optimizer", "momentum", "--model", "softmax", "--epochs", "1", "--no-cache", "--no-progress"]


def test_sweep_prints_the_best_and_writes_results_and_picture(capsys, tmp_path):
    output, picture = tmp_path / "sweep.nc", tmp_path / "sweep.png"
    arguments = ["--axis", "learning_rate=log:1e-3:1e-1:3", "--axis", "momentum=0,0.9", "--seeds", "2", "--top", "4"]
    assert cli.main([*SWEEP, *arguments, "--output", str(output), "--plot", str(picture)]) == 0
    said = capsys.readouterr()
    rows = re.findall(r"^ *(\d)  +([\d.]+)  +([\d.]+)  +([\d.]+)  ", said.out, re.M)
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    losses = [float(row[3]) for row in rows]
    assert losses == sorted(losses)
    with xr.open_dataset(output, engine="scipy") as results:
        assert dict(results.sizes) == {"learning_rate": 3, "momentum": 2, "seed": 2, "epoch": 2}
        np.testing.assert_allclose(results.learning_rate, [1e-3, 1e-2, 1e-1])
        best = jc.best(results.load())
    assert f"best: learning_rate={best.learning_rate:.4g}, momentum={best.momentum:.4g}" in said.out
    assert f"accuracy {best.test_accuracy:.4g} [{best.test_accuracy_low:.4g}, " in said.out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert said.out.endswith(f"written: {output}\n         {picture}\n")
    assert said.err == ""


@pytest.mark.long
def test_sweep_draws_points_and_counts_what_diverged(capsys, tmp_path):
    page = tmp_path / "sweep.html"
    arguments = ["--axis", "learning_rate=log:1e-2:1e30", "--axis", "momentum=linear:0:1", "--axis", "batch_size=16,64"]
    arguments += ["--space", "halton", "--points", "6", "--seeds", "1", "--plot", str(page)]
    arguments += ["--problem", "linear-regression", "--optimizer", "momentum", "--epochs", "2", "--no-cache", "--no-progress"]
    assert cli.main(["sweep", *arguments]) == 0
    shown = capsys.readouterr().out
    lost = int(re.search(r"^(\d) of 6 diverged$", shown, re.M).group(1))
    assert len(re.findall(r"^ *\d  ", shown, re.M)) == 6 - lost
    assert "seeds" not in shown.replace("over seeds", "")
    assert "Plotly.newPlot" in page.read_text()


@pytest.mark.long
def test_sweep_takes_what_the_problem_takes_and_other_libraries_optimizers(capsys):
    arguments = ["sweep", "--optimizer", "optax.sgd", "--axis", "learning-rate=0.01,0.1", "--axis", "model=softmax,mlp"]
    assert cli.main([*arguments, "--epochs", "1", "--seeds", "1", "--no-cache", "--no-progress"]) == 0
    assert re.search(r"^best: learning_rate=0\.1, model=", capsys.readouterr().out, re.M)


def test_sweep_without_axes_takes_the_rates_of_a_race(capsys):
    assert cli.main([*SWEEP, "--seeds", "1", "--top", "99"]) == 0
    rates = re.findall(r"^ *\d+  +([\d.e-]+)  ", capsys.readouterr().out, re.M)
    assert sorted(map(float, rates)) == pytest.approx(CATALOG["momentum"].learning_rates)


@pytest.mark.long
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


@pytest.mark.long
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


def test_an_optimizer_without_a_learning_rate_trains_and_refuses_one(capsys):
    arguments = ["fit", "--optimizer", "line_search", "--model", "softmax", "--epochs", "1", "--no-progress", "--no-cache"]
    assert cli.main(arguments) == 0
    assert re.match(r"line_search, 34 steps in ", capsys.readouterr().out)
    assert cli.main([*arguments, "--learning-rate", "0.1"]) == 2
    assert "error: fit: line_search has no learning rate; got learning_rate=0.1" in capsys.readouterr().err


def test_a_reader_that_has_gone_gets_no_message():
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([*SHELL, "optimizers"], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")
