"""How a history is opened: SQLite or PostgreSQL by URL, brought to the newest revision, every failure told in one way.

Knows files, addresses and revisions; nothing of records. No address is ever shown whole: it may hold a password.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auditor.errors import AuditorError
from auditor.history import connection
from auditor.history.connection import Connection
from auditor.history.tables import REVISIONS
from auditor.redaction import printable, scrub

_SQLITE = "sqlite:///"
_HINTS = {
    "not a database": "put the file aside; a new history is begun, and a copy of the old one can be put back",
    "malformed": "put the file aside, or put a copy of it back; `sqlite3 FILE .recover` may save some of it",
    "is full": "make room; nothing of what was stored before is lost",
    "disk i/o error": "is the disk full or failing? Nothing of what was stored before is lost",
    "readonly": "the file and its folder must be writable for the user who runs auditor",
    "unable to open": "the file and its folder must be writable for the user who runs auditor",
    "locked": "another process keeps it; try again when it has ended",
    "password authentication": "check the user and the password in `history`",
    "does not exist": "make the database first: auditor makes tables, not databases",
    "permission denied": "the user in `history` must be allowed to make and write tables in its schema",
    "connection": "is the server running and reachable from here?",
}


class HistoryError(AuditorError):
    """The history cannot be opened, read or written. What was stored before is as it was."""


def warm_up(url: str) -> None:
    """Imports what a history on a server is read with: it takes as long as an answer over the network."""
    if not url.startswith(_SQLITE):
        from auditor.history import alchemy

        alchemy.warm_up()


@contextmanager
def connected(url: str, *, writes: bool = False) -> Iterator[Connection]:
    """A transaction: kept when the block ends, undone where it raises. Raises HistoryError."""
    if (file := file_of(url)) is not None:
        with told(), connection.lite(file, writes=writes) as held:
            yield held
        return
    from auditor.history import alchemy

    with alchemy.connected(alchemy.of_server(url), writes=writes) as grown:
        yield grown


def place(url: str) -> str:
    """An address without its password, to be told apart by; it may still hold a user and is not shown."""
    if url.startswith(_SQLITE):
        return _SQLITE + os.path.realpath(url.removeprefix(_SQLITE))
    from auditor.history import alchemy

    bare = alchemy.address(url).set(password=None, query={}, drivername="postgresql")
    return bare.render_as_string()


def file_of(url: str) -> Path | None:
    """The file of a history that is one. Raises HistoryError for one that is kept nowhere."""
    if not url.startswith(_SQLITE):
        return None
    path = url.removeprefix(_SQLITE)
    if path in {"", ":memory:"}:
        raise HistoryError("a history in memory is forgotten at once", hint="write sqlite:///PATH")
    return Path(path)


def make_file(path: Path) -> None:
    """An empty file that only its owner can read, before SQLite would make one for everybody. Raises HistoryError."""
    problem = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem is not None:
        raise HistoryError(f"the history cannot be opened: {problem}", hint=_HINTS["unable to open"])


def prepare(held: Connection, *, upgrade: bool) -> bool | None:
    """Whether the tables are those of this version; None where there are none. With `upgrade` they are brought there, and
    nobody else writes until the transaction ends.

    Raises HistoryError for a history from a newer version, and for a database that is none of ours.
    """
    if upgrade:
        held.lock()
    revision = _revision(held)
    if revision == REVISIONS[-1]:
        return True
    if revision is not None and revision not in REVISIONS:
        hint = "use the newer auditor, or name another history; this one was left as it is"
        raise HistoryError(
            f"the history was written by a newer version of auditor (revision {printable(revision, limit=40)})",
            hint=hint,
        )
    if upgrade:
        held.upgrade()
        return prepare(held, upgrade=False)
    return None if revision is None else False


def _revision(held: Connection) -> str | None:
    """The revision of the tables; None where there are none yet."""
    names = held.tables()
    if "alembic_version" in names:
        rows = list(held.rows("SELECT version_num FROM alembic_version"))
        return str(rows[0][0]) if len(rows) == 1 else "unknown"
    if held.dialect == "sqlite" and names:
        raise HistoryError("this is a database of something else", hint="name another file in `history`")
    return None


@contextmanager
def told() -> Iterator[None]:
    """Turns what a database says into a HistoryError in one line, with what to do about it."""
    try:
        yield
    except sqlite3.Error as said:
        raise unusable(said) from None
    except MemoryError:
        raise HistoryError("the history cannot be used: a record is too large for this machine") from None


def unusable(said: BaseException | None) -> HistoryError:
    """What a driver said, as an error of ours."""
    lines = str(said).strip().splitlines()
    problem = printable(scrub(lines[0]), limit=200) if lines else "the database gave no reason"
    hint = next((hint for part, hint in _HINTS.items() if part in problem.lower()), None)
    return HistoryError(f"the history cannot be used: {problem}", hint=hint)
