"""A transaction in the database of a history: statements with :names go in, rows come out as tuples.

The texts are the same for every database. SQLite is spoken to by Python's own module: to import SQLAlchemy takes longer than
all that a run does with its history. PostgreSQL, and each step from one layout to the next, go by SQLAlchemy (`alchemy`).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

PATIENCE = 30
"""Seconds another process may keep the history to itself."""
Values = Mapping[str, Any]
_NONE: Values = {}


class Connection(Protocol):
    """`dialect` is sqlite or postgresql."""

    @property
    def dialect(self) -> str: ...

    def rows(self, statement: str, values: Values = _NONE) -> Iterable[tuple[Any, ...]]:
        """What a statement answers, row by row."""

    def write(self, statement: str, values: Values | Sequence[Values] = _NONE) -> None:
        """A statement without an answer, once or for each of several values."""

    def tables(self) -> set[str]:
        """The names of the tables that are there."""

    def lock(self) -> None:
        """Returns when nobody else writes until the transaction ends."""

    def upgrade(self) -> None:
        """Brings the tables to the newest revision. Nothing was written before in this transaction."""


class Lite:
    """SQLite by Python's own module."""

    dialect = "sqlite"

    def __init__(self, raw: sqlite3.Connection, file: Path) -> None:
        self.raw, self._file = raw, file

    def rows(self, statement: str, values: Values = _NONE) -> Iterable[tuple[Any, ...]]:
        return self.raw.execute(statement, values)

    def write(self, statement: str, values: Values | Sequence[Values] = _NONE) -> None:
        if isinstance(values, Mapping):
            self.raw.execute(statement, values)
        else:
            self.raw.executemany(statement, values)

    def tables(self) -> set[str]:
        found = self.raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in found if not name.startswith("sqlite_")}

    def lock(self) -> None:
        """BEGIN IMMEDIATE did."""

    def upgrade(self) -> None:
        from auditor.history import alchemy

        self.raw.execute("ROLLBACK")  # the steps have a transaction of their own
        alchemy.upgrade_file(self._file)
        self.raw.execute(_begin(writes=True))


@contextmanager
def lite(file: Path, *, writes: bool) -> Iterator[Lite]:
    """A transaction in a file: kept when the block ends, undone where it raises. Raises sqlite3.Error."""
    raw = sqlite3.connect(file, timeout=PATIENCE, isolation_level=None)
    try:
        tune(raw)
        raw.execute(_begin(writes=writes))
        yield Lite(raw, file)
        raw.execute("COMMIT")
    finally:
        raw.close()  # what was not committed is undone


def _begin(*, writes: bool) -> str:
    return "BEGIN IMMEDIATE" if writes else "BEGIN"


def tune(raw: Any) -> None:
    """Write-ahead log, every commit on the disk before it counts, and transactions where we say so and nowhere else."""
    raw.isolation_level = None
    _log_ahead(raw)
    for pragma in ("synchronous=FULL", "fullfsync=ON", "trusted_schema=OFF"):
        raw.execute(f"PRAGMA {pragma}")


def _log_ahead(raw: Any) -> None:
    """Switches a database to its write-ahead log. Where two begin a history at once SQLite refuses the second one without any
    of the patience that it has elsewhere.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            raw.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as busy:
            if "locked" not in str(busy) or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def scalar(found: Iterable[tuple[Any, ...]]) -> Any:
    """The value in the first column of the first row; None where there is no row."""
    return next((row[0] for row in found), None)


def listed(name: str, values: Iterable[Any]) -> tuple[str, dict[str, Any]]:
    """Values for an IN: the names to write there, and what they stand for."""
    given = {f"{name}_{number}": value for number, value in enumerate(values)}
    return ", ".join(f":{key}" for key in given), given
