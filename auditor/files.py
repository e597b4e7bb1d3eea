"""The one way a file is written: whole or not at all, for its owner's eyes. Bottom of the house: imports nothing of it.

A reader sees the old content or the new, also where the writing process is killed half-way or the disk is full.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

_SAID = 40
"""Characters of a name that the name of its successor repeats: with all of them it could be too long."""


def write(path: Path, content: bytes, *, replace: bool = True) -> bool:
    """Puts `content` at `path`, mode 0600, in folders made with 0700. False where it was there and `replace` is not set.

    What is replaced may be a symbolic link, which is followed, or a device or pipe, which stays one. Raises OSError.
    """
    if replace:
        path = Path(os.path.realpath(path))
        if _is_device(path):
            path.write_bytes(content)
            return True
    _make_folder(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=_unfinished(path), suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        if replace:
            Path(name).replace(path)
        else:
            os.link(name, path)
    except FileExistsError:
        return False
    finally:
        Path(name).unlink(missing_ok=True)
    _remember(path.parent)
    return True


def forget_unfinished(path: Path) -> None:
    """Removes what processes that were killed left of their writing to `path`. For those who keep other writers out. Raises
    OSError.
    """
    path = Path(os.path.realpath(path))
    for left in path.parent.glob(f"{glob.escape(_unfinished(path))}????????.part"):
        left.unlink(missing_ok=True)


def _unfinished(path: Path) -> str:
    """How the name of a file begins that will take the place of `path`."""
    return f".{path.name[:_SAID]}."


def _is_device(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _remember(folder: Path) -> None:
    """Asks that the new name survives a power cut. The file is in its place already: a folder that cannot be asked is no error."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Batch:
    """Several files that appear together: each is written beside its place, and takes it once all of them are whole.

    Use as a context manager; what ends before `commit` leaves nothing. Raises OSError.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Path, Path]] = []
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for aside, _ in self._waiting:
            aside.unlink(missing_ok=True)
        for folder in reversed(self._made):
            with suppress(OSError):  # what was committed, or somebody else put there, stays
                folder.rmdir()

    def add(self, path: Path, chunks: Iterable[bytes]) -> str:
        """Writes what will stand at `path`, mode 0600, in folders made with 0700. Its SHA-256 in hex."""
        path, digest = Path(os.path.realpath(path)), hashlib.sha256()
        device = _is_device(path)
        if not device:
            self._made += [one for one in reversed((path.parent, *path.parent.parents)) if not os.path.lexists(one)]
            _make_folder(path.parent)
        folder = None if device else path.parent
        descriptor, name = tempfile.mkstemp(prefix=_unfinished(path), suffix=".part", dir=folder)
        self._waiting.append((Path(name), path))
        with os.fdopen(descriptor, "wb") as stream:
            for chunk in chunks:
                digest.update(chunk)
                stream.write(chunk)
            stream.flush()
            os.fsync(descriptor)
        return digest.hexdigest()

    def commit(self) -> None:
        """Puts everything into its place, in the order in which it came; a device or a pipe is written to."""
        for aside, path in self._waiting:
            if _is_device(path):
                with aside.open("rb") as stream, path.open("wb") as target:
                    shutil.copyfileobj(stream, target)
            else:
                aside.replace(path)
        for folder in {path.parent for _, path in self._waiting if not _is_device(path)}:
            _remember(folder)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
