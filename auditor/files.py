"""The one way a file is written: whole or not at all, for its owner's eyes. Bottom of the house: imports nothing of it.

A reader sees the old content or the new, also where the writing process is killed half-way or the disk is full.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


def write(path: Path, content: bytes, *, replace: bool = True) -> bool:
    """Puts `content` at `path`, mode 0600, in folders made with 0700. False where it was there and `replace` is not set.

    What is replaced may be a symbolic link, which is followed, or a device or pipe, which stays one. Raises OSError.
    """
    if replace:
        path = Path(os.path.realpath(path))
        if _is_device(path):
            path.write_bytes(content)
            return True
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path.parent)) from None
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
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
