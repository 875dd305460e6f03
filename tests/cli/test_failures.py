"""What goes wrong in the shell: bad input and runs that diverge, in one-line errors and exit codes."""

from __future__ import annotations

import re

import pytest

from jaxopt_course import cli

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
    "a folder for digits": (["fit", "--folder", "/tmp"], "error: --folder is for fashion-mnist; digits takes none"),
    "a model for a regression": (
        ["fit", "--problem", "linear-regression", "--model", "mlp"],
        "error: --model is for digits, fashion-mnist, mnist1d; linear-regression takes none",
    ),
    "epochs 0": (["fit", "--epochs", "0"], "error: fit: epochs must be an integer >= 1; got 0"),
    "epochs 0 in a race": (["race", "--epochs", "0"], "error: race: epochs must be an integer >= 1; got 0"),
    "batch size": (["fit", "--batch-size", "5000"], "error: fit: batch_size must be an integer from 1 to 1080; got 5000"),
    "learning rate": (["fit", "--learning-rate", "-1"], "error: fit: --learning-rate must be a number > 0; got -1.0"),
    "axis without values": (["sweep", "--axis", "learning_rate"], "error: sweep: --axis must be name=log:LOW:HIGH:COUNT"),
    "axis of words": (["sweep", "--axis", "learning_rate=log:a:b:3"], "error: sweep: --axis must be name=log:LOW:HIGH:COUNT"),
    "axis without a count": (["sweep", "--axis", "learning_rate=log:1:2"], "log takes LOW:HIGH:COUNT"),
    "axis with a count": (["sweep", "--space", "random", "--axis", "b1=linear:0:1:3"], "takes LOW:HIGH, as points are drawn"),
    "axis of one": (["sweep", "--axis", "b1=linear:0:1:1"], "COUNT must be an integer >= 2; got 1"),
    "axis upside down": (["sweep", "--axis", "b1=linear:1:0:3"], "error: linear: low must be below high; got 1.0 and 0.0"),
    "axis twice": (["sweep", "--axis", "b1=0.5", "--axis", "b1=0.6"], "error: sweep: --axis b1 is given twice"),
    "axis unknown": (["sweep", "--axis", "learning_rat=0.1"], "error: sweep: nothing takes 'learning_rat'; did you mean"),
    "axis refused": (["sweep", "--axis", "learning_rate=0.1,-1.0"], "learning_rate must be a number >= 0; got -1.0"),
    "no rate to sweep": (["sweep", "--optimizer", "line_search"], "error: sweep: line_search has no learning rate"),
    "points of a grid": (["sweep", "--points", "8"], "error: sweep: --points is for --space random, sobol or halton"),
    "points of sobol": (["sweep", "--space", "sobol", "--points", "9"], "error: sobol: num must be a power of 2; got 9"),
    "sweep's optimizer": (["sweep", "--optimizer", "admm"], "error: sweep: unknown optimizer 'admm'; did you mean 'adam'?"),
    "sweep's foreign one": (["sweep", "--optimizer", "optax.lionn"], "unknown optimizer 'optax.lionn'; did you mean"),
    "sweep's metric": (["sweep", "--metric", "validation_acuracy"], "unknown metric 'validation_acuracy'; did you mean"),
    "no objective": (["sweep", "--metric", "validation_objective"], "error: sweep: unknown metric 'validation_objective'"),
    "swept problem's metric": (["sweep", "--axis", "model=softmax,mlp", "--axis", "learning_rate=0.1", "--metric", "los"],
                               "unknown metric 'los'; did you mean 'loss'"),
    "axis of too many": (["sweep", "--axis", "learning_rate=log:0.1:1:99999999999"], "99999999999 values are more than"),
    "axis of integers": (["sweep", "--axis", "b1=integers:1:9999999999"], "9999999999 values are more than 1048576"),
    "axis with a hole": (["sweep", "--axis", "learning_rate=0.1,"], "got 'learning_rate=0.1,', with an empty value"),
    "sweep's memory": (["sweep", "--memory", "-1"], "error: sweep: --memory must be a number > 0; got -1"),
    "no rate given": (["sweep", "--optimizer", "optax.adam", "--axis", "b1=0.5"], "needs a value for learning_rate: --axis"),
    "a test metric": (["sweep", "--metric", "test_loss"], "error: sweep: metric must not be a test value"),
    "sweep's output": (["sweep", "--output", "/proc/x/sweep.nc"], "error: cannot write '/proc/x/sweep.nc': there is no"),
    "sweep's plot": (["sweep", "--plot", "sweep.pdf"], "error: sweep: --plot must end in .png or .html; got 'sweep.pdf'"),
    "sweep's top": (["sweep", "--top", "0"], "error: sweep: top must be an integer >= 1; got 0"),
    "one seed": (["race", "--seeds", "1"], "error: race: seeds must be an integer >= 2; got 1"),
    "no seeds": (["race", "--seeds", "0"], "error: race: seeds must be an integer >= 2; got 0"),
    "one file for two": (
        ["race", "--report", "same.html", "--picture", "./same.html"],
        "error: race: --report and --picture must be different files; got 'same.html' for both",
    ),
    "one file of a fit": (["fit", "--picture", "a", "--history", "a"], "fit: --picture and --history must be different files"),
    "one file of a sweep": (
        ["sweep", "--output", "a.png", "--plot", "a.png"], "error: sweep: --output and --plot must be different files",
    ),
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


@pytest.mark.parametrize("arguments", [["fit", "--epochs", "many"], ["fit", "--nonsense"], ["run"], []])
def test_what_is_no_command_is_exit_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2


def test_a_run_that_diverges_says_where_and_is_an_error(capsys):
    arguments = ["fit", "--optimizer", "sgd", "--learning-rate", "1e20", "--epochs", "1", "--no-cache", "--no-progress"]
    assert cli.main(arguments) == 2
    assert re.match(r"error: fit: loss (inf|nan) at step \d+; first non-finite parameter", capsys.readouterr().err)


def test_a_sweep_in_which_everything_diverges_says_so(capsys):
    arguments = ["sweep", "--problem", "linear-regression", "--axis", "learning_rate=1e30,1e31", "--optimizer", "sgd"]
    assert cli.main([*arguments, "--seeds", "1", "--epochs", "1", "--no-cache", "--no-progress"]) == 0
    shown = capsys.readouterr().out
    assert "2 of 2 diverged" in shown
    assert "no configuration has a finite validation_loss" in shown
