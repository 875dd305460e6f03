"""Reports on disk: refused before the work if they could not be written, and written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

__all__ = ["writable", "write"]


def writable(path: str | os.PathLike[str], *endings: str) -> Path:
    """Raise unless :func:`write` could put a file at ``path``; call it before the training whose result goes there.

    A file is created beside the path and removed again; a file that exists at the path stays as it is.

    Args:
        path: where the report will be. A symbolic link stands for the file it points to.
        endings: what its name may end in; anything, if none is given.

    Returns:
        The absolute path, links resolved.

    Raises:
        TypeError: not a path. ValueError: another ending. OSError: the folder is missing or refuses files, or the path is a
            folder or a device. The message names the path.

    >>> writable("no-such-folder/race.html")
    Traceback (most recent call last):
    FileNotFoundError: cannot write 'no-such-folder/race.html': there is no folder .../no-such-folder
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"cannot write {path!r}: give the path of a file, a str or a pathlib.Path")
    if endings and Path(path).suffix.lower() not in endings:
        raise ValueError(f"cannot write {str(path)!r}: its name must end in {' or '.join(endings)}")
    target = Path(path).expanduser().resolve()
    if target.is_dir():
        raise IsADirectoryError(f"cannot write {str(path)!r}: it is a folder; give the path of a file in it")
    if target.exists() and not target.is_file():
        raise OSError(f"cannot write {str(path)!r}: it exists and is not a regular file")
    if not target.parent.exists():
        raise FileNotFoundError(f"cannot write {str(path)!r}: there is no folder {target.parent}")
    if not target.parent.is_dir():
        raise NotADirectoryError(f"cannot write {str(path)!r}: {target.parent} is not a folder")
    probe = _beside(target)
    try:
        probe.open("xb").close()
    except OSError as error:
        raise type(error)(f"cannot write {str(path)!r}: {target.parent} refuses new files ({error.strerror})") from error
    probe.unlink()
    return target


def write(path: str | os.PathLike[str], content: str | bytes) -> Path:
    """Write a file whole or not at all: readers see the old content or the new, never a part.

    Args:
        path: where to; an existing file is replaced and keeps its permissions.
        content: text (written as UTF-8) or bytes.

    Returns:
        The absolute path written.

    Raises:
        OSError: as :func:`writable`, or the disk is full; the path is then as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(f"{folder}/table.txt", "adam  97.4").read_text()
    'adam  97.4'
    """
    target = writable(path)
    draft = _beside(target)
    try:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        if target.exists():
            shutil.copymode(target, draft)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def _beside(target: Path) -> Path:
    return target.with_name(f".{secrets.token_hex(8)}.tmp")
