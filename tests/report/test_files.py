from __future__ import annotations

import os
from pathlib import Path

import pytest

from jaxopt_course.report import writable, write


def snapshot(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_a_path_that_can_be_written_is_returned_and_left_alone(tmp_path):
    (tmp_path / "race.html").write_text("old")
    assert writable(tmp_path / "race.html") == tmp_path / "race.html"
    assert writable(tmp_path / "other.html") == tmp_path / "other.html"
    assert snapshot(tmp_path) == {"race.html": "old"}


def test_a_path_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert writable("race.html") == tmp_path / "race.html"


@pytest.mark.parametrize("check", [writable, lambda path: write(path, "text")])
def test_what_cannot_be_written_is_refused_by_name(check, tmp_path):
    (tmp_path / "file").write_text("old")
    os.mkfifo(tmp_path / "pipe")
    for path, error, reason in [
        (tmp_path, IsADirectoryError, "is a folder"),
        (tmp_path / "missing" / "race.html", FileNotFoundError, "there is no folder"),
        (tmp_path / "file" / "race.html", NotADirectoryError, "is not a folder"),
        (tmp_path / "pipe", OSError, "not a regular file"),
        (Path("/proc/race.html"), OSError, "refuses new files"),
    ]:
        with pytest.raises(error, match=reason) as raised:
            check(path)
        assert repr(str(path)) in str(raised.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "pipe"]


def test_a_device_is_not_replaced():
    with pytest.raises(OSError, match="not a regular file"):
        write("/dev/null", "text")


def test_text_and_bytes_are_written_whole(tmp_path):
    assert write(tmp_path / "table.txt", "θ ± 1").read_bytes() == "θ ± 1".encode()
    assert write(tmp_path / "picture.png", b"\x89PNG").read_bytes() == b"\x89PNG"
    assert sorted(os.listdir(tmp_path)) == ["picture.png", "table.txt"]


def test_an_existing_file_keeps_its_permissions_and_a_link_its_target(tmp_path):
    target, link = tmp_path / "race.html", tmp_path / "latest.html"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    write(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "race.html").write_text("old")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "race.html", "new")
    assert snapshot(tmp_path) == {"race.html": "old"}
