"""The file of the vault: read with bounds and suspicion, written whole, one writer at a time. Knows nothing of what is in it."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auditor import files
from auditor.errors import CredentialError

PATIENCE = 10.0
"""Seconds to wait for another process that is writing."""
_PAUSE = 0.05


def read(path: Path, *, largest: int) -> bytes:
    """The content of the file. Raises CredentialError where it is not there, not private to its owner, or too large.

    What is checked is the opened file, so that nothing can be swapped between the check and the reading.
    """
    raw, problem, hint = b"", None, None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        problem = error.strerror or "cannot be opened"
        hint = "`auditor vault init` makes one" if isinstance(error, FileNotFoundError) else None
    else:
        try:
            problem, hint = _unfit(os.fstat(descriptor), largest)
            if problem is None:
                with os.fdopen(descriptor, "rb", closefd=False) as stream:
                    raw = stream.read(largest + 1)
        finally:
            os.close(descriptor)
    if problem is not None:
        raise CredentialError(f"the vault {path}: {problem}", hint=hint)
    return raw


def write(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Puts the content in place, whole or not at all, mode 0600. Call it under the lock. Raises CredentialError."""
    problem = None
    try:
        files.forget_unfinished(path)  # it would open with a passphrase that was changed since
        written = files.write(path, content, replace=replace)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    else:
        problem = None if written else "is there already"
    if problem is not None:
        raise CredentialError(f"the vault {path} cannot be written: {problem}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other writers out until the end of the block. Raises CredentialError where one does not finish.

    The lock is a file beside the vault, which stays: one that was removed could be locked by two. However the vault is
    called, by its name or by a link to it, it is the same one.
    """
    real = Path(os.path.realpath(path))
    descriptor = _open_lock(real.with_name(f"{real.name}.lock"))
    try:
        deadline = time.monotonic() + PATIENCE
        while not _taken(descriptor):
            if time.monotonic() > deadline:
                raise CredentialError("another process is writing to the vault", hint="try again when it has finished")
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    raise CredentialError(f"the vault cannot be locked: {problem}")


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unfit(status: os.stat_result, largest: int) -> tuple[str | None, str | None]:
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file", None
    if status.st_uid != os.geteuid():
        return "belongs to another user", "the user who runs auditor must own it"
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return "can be reached by other users of this machine", "chmod 600 it"
    if status.st_size > largest:
        return "is too large", None
    return None, None
