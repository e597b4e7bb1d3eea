"""How a history is opened: SQLite or PostgreSQL by URL, brought to the newest revision, every failure told in one way.

Knows addresses, drivers and revisions; nothing of records. No address is ever shown whole: it may hold a password.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.errors import AuditorError
from auditor.history.tables import REVISIONS
from auditor.redaction import printable, scrub

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

_SQLITE = "sqlite:///"
_PATIENCE = 30
"""Seconds another process may keep the history to itself."""
_SESSION = {"connect_timeout": "10", "keepalives_idle": "10", "tcp_user_timeout": "30000"}
_OPTIONS = f"-c lock_timeout={_PATIENCE}s -c statement_timeout=300s -c idle_in_transaction_session_timeout=300s"
_WRITING = 0x6175_6469  # any number, the same for everybody who writes
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


def warm_up() -> None:
    """Imports what every history is read with: it takes as long as an answer over the network."""
    import sqlalchemy.dialects.sqlite  # noqa: F401


def engine(url: str) -> Engine:
    """A way to the history; nothing is opened yet. Raises HistoryError for an address that is none."""
    from sqlalchemy import URL, create_engine
    from sqlalchemy.pool import NullPool

    if url.startswith(_SQLITE):
        made = create_engine(
            URL.create("sqlite", database=str(file_of(url))),
            poolclass=NullPool,
            hide_parameters=True,
            connect_args={"timeout": _PATIENCE},
        )
        _tune(made)
        return made
    with told():
        return create_engine(_grown(_address(url)), poolclass=NullPool, hide_parameters=True)


def place(url: str) -> str:
    """An address without its password, to be told apart by; it may still hold a user and is not shown."""
    if url.startswith(_SQLITE):
        return _SQLITE + os.path.realpath(url.removeprefix(_SQLITE))
    return _address(url).set(password=None, query={}, drivername="postgresql").render_as_string()


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


def prepare(connection: Connection, *, upgrade: bool) -> bool | None:
    """Whether the tables are those of this version; None where there are none. With `upgrade` they are brought there, inside
    the open transaction, which is the only one that writes until it ends.

    Raises HistoryError for a history from a newer version, and for a database that is none of ours.
    """
    if upgrade and connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITING})")
    revision = _revision(connection)
    if revision == REVISIONS[-1]:
        return True
    if revision is not None and revision not in REVISIONS:
        hint = "use the newer auditor, or name another history; this one was left as it is"
        raise HistoryError(
            f"the history was written by a newer version of auditor (revision {printable(revision, limit=40)})",
            hint=hint,
        )
    if upgrade:
        _upgrade(connection)
        return True
    return None if revision is None else False


@contextmanager
def told() -> Iterator[None]:
    """Turns whatever a database says into a HistoryError in one line, with what to do about it."""
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    problem, hint = "", None
    try:
        yield
    except ImportError:
        problem, hint = "the driver for PostgreSQL is not installed", "pip install 'exchange-auditor[postgresql]'"
    except DBAPIError as error:
        problem = _first_line(error.orig)
        hint = next((said for part, said in _HINTS.items() if part in problem.lower()), None)
    except SQLAlchemyError as error:
        problem = f"its address or its tables are not understood ({type(error).__name__})"
    except MemoryError:
        problem = "a record is too large for this machine"
    if problem:
        raise HistoryError(f"the history cannot be used: {problem}", hint=hint)


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return printable(scrub(lines[0]), limit=200) if lines else "the database gave no reason"


def _address(url: str) -> URL:
    """The address of a PostgreSQL database, or HistoryError."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    address = None
    with suppress(ArgumentError, ValueError):
        address = make_url(url)
    if address is None or address.get_backend_name() != "postgresql":
        raise HistoryError("history must be sqlite:///PATH or postgresql://HOST/DATABASE")
    return address


def _grown(address: URL) -> URL:
    given = {name: value for name, value in _SESSION.items() if name not in address.query}
    options = {} if "options" in address.query else {"options": _OPTIONS}
    return address.set(drivername="postgresql+psycopg").update_query_dict({**given, **options})


def _tune(made: Engine) -> None:
    """Write-ahead log, every commit on the disk before it counts, and transactions where we say so and nowhere else."""
    from sqlalchemy import event

    def connected(raw: Any, _record: Any) -> None:
        raw.isolation_level = None
        _log_ahead(raw)
        for pragma in ("synchronous=FULL", "fullfsync=ON", "trusted_schema=OFF"):
            raw.execute(f"PRAGMA {pragma}")

    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(made, "connect", connected)
    event.listen(made, "begin", begun)


def _log_ahead(raw: Any) -> None:
    """Switches a database to its write-ahead log. Where two begin a history at once SQLite refuses the second one without any
    of the patience that it has elsewhere.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            raw.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as busy:
            if "locked" not in str(busy) or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _revision(connection: Connection) -> str | None:
    """The revision of the tables; None where there are none yet."""
    from sqlalchemy import inspect

    names = set(inspect(connection).get_table_names())
    if "alembic_version" in names:
        rows = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
        return str(rows[0]) if len(rows) == 1 else "unknown"
    if connection.dialect.name == "sqlite" and names:
        raise HistoryError("this is a database of something else", hint="name another file in `history`")
    return None


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
