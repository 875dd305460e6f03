"""Ctrl-C in the shell: what is finished is reported, there is no traceback, and it is never lost."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr

from jaxopt_course import cli

SHELL = [sys.executable, "-m", "jaxopt_course"]


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


@pytest.mark.long
def test_interrupting_a_sweep_reports_and_writes_the_seeds_that_are_finished(tmp_path):
    arguments = ["sweep", "--model", "softmax", "--axis", "learning_rate=0.01,0.1", "--seeds", "3", "--epochs", "300"]
    status, out, err = interrupt([*arguments, "--output", "part.nc"], rb"[4-8]\d%", tmp_path)
    assert status == 130
    assert "Traceback" not in err
    assert re.search(r"\(incomplete\)\n.*\n *1  +0\.\d+  ", out)
    assert "best: learning_rate=" in out
    with xr.open_dataset(tmp_path / "part.nc", engine="scipy") as results:
        assert results.attrs["incomplete"] == 1
        assert results.loss[..., -1].notnull().all("learning_rate").any()


@pytest.mark.long
def test_interrupting_a_sweep_at_once_has_nothing_to_report(tmp_path):
    status, out, err = interrupt(["sweep", "--no-cache", "--output", "part.nc"], rb"sweep:", tmp_path)
    assert status == 130
    assert "Traceback" not in err
    assert out == ""
    assert not list(Path(tmp_path).iterdir())


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


@pytest.fixture
def ctrl_c(monkeypatch):
    """SIGINT to this process and the shell's handler; afterwards no alarm is left.

    To the handler this file is the package's own code, so that an exception which comes here is not raised again.
    """
    monkeypatch.setitem(globals(), "__name__", "jaxopt_course.test")
    before = signal.signal(signal.SIGINT, cli._Interrupt()), signal.getsignal(signal.SIGALRM)
    try:
        yield functools.partial(signal.raise_signal, signal.SIGINT)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGALRM, before[1])


def outcome(wait):
    """Whether Ctrl-C comes within so many seconds."""
    try:
        time.sleep(wait)
    except KeyboardInterrupt:
        return "raised"
    return "nothing"


def collect(ctrl_c):
    """What is raised in a garbage-collection hook is ignored, so the handler must wait until it is over."""

    def _xla_gc_callback():
        ctrl_c()
        return True

    return _xla_gc_callback()


def swallow(ctrl_c):
    code = "def others(ctrl_c):\n    try:\n        ctrl_c()\n    except:\n        return True"
    exec(code, theirs := {"__name__": "jax.somewhere"})
    return theirs["others"](ctrl_c)


def handle(ctrl_c):
    with contextlib.suppress(KeyboardInterrupt):
        ctrl_c()
    return True


@pytest.mark.parametrize("lost", [collect, swallow])
def test_ctrl_c_that_would_be_lost_is_raised_later(ctrl_c, lost):
    assert lost(ctrl_c)
    assert outcome(5) == "raised"
    assert outcome(3 * cli._Interrupt.PATIENCE) == "nothing"


@pytest.mark.parametrize("second", [collect, swallow])
def test_ctrl_c_that_came_to_our_own_code_is_raised_once_and_a_second_one_again(ctrl_c, second):
    assert handle(ctrl_c)
    assert outcome(3 * cli._Interrupt.PATIENCE) == "nothing"
    assert second(ctrl_c)
    assert outcome(5) == "raised"
