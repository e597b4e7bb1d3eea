"""The history by SQLAlchemy: PostgreSQL by its address, and the steps that bring either database to the newest revision.

Knows addresses, drivers and Alembic; nothing of records. No address is ever shown whole: it may hold a password.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.history import connection, database
from auditor.history.connection import PATIENCE, Values
from auditor.history.database import HistoryError

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy import URL, Engine

_SESSION = {"connect_timeout": "10", "keepalives_idle": "10", "tcp_user_timeout": "30000"}
_OPTIONS = f"-c lock_timeout={PATIENCE}s -c statement_timeout=300s -c idle_in_transaction_session_timeout=300s"
_WRITING = 0x6175_6469  # any number, the same for everybody who writes


def warm_up() -> None:
    """Imports what is needed for every server."""
    import sqlalchemy.dialects.postgresql  # noqa: F401


class Alchemy:
    """A connection of SQLAlchemy inside its transaction."""

    def __init__(self, held: sqlalchemy.Connection) -> None:
        from sqlalchemy import text

        self._held, self._text = held, text

    @property
    def dialect(self) -> str:
        return self._held.dialect.name

    def rows(self, statement: str, values: Values | None = None) -> Iterable[tuple[Any, ...]]:
        return map(tuple, self._held.execute(self._text(statement), values))

    def write(self, statement: str, values: Values | Sequence[Values] | None = None) -> None:
        self._held.execute(self._text(statement), values)

    def tables(self) -> set[str]:
        from sqlalchemy import inspect

        return set(inspect(self._held).get_table_names())

    def lock(self) -> None:
        if self.dialect == "postgresql":
            self.write(f"SELECT pg_advisory_xact_lock({_WRITING})")

    def upgrade(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = self._held
        command.upgrade(config, "head")


@contextmanager
def connected(made: Engine, *, writes: bool) -> Iterator[Alchemy]:
    """A transaction: kept when the block ends, undone where it raises. Raises HistoryError."""
    with _told():
        options: dict[str, Any] = {"writes": writes}
        if not writes and made.dialect.name == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"
        with made.connect().execution_options(**options) as held, held.begin():
            yield Alchemy(held)


def upgrade_file(file: Path) -> None:
    """Brings the tables in a file to the newest revision, unless somebody has done so meanwhile. Raises HistoryError."""
    with connected(of_file(file), writes=True) as held:
        database.prepare(held, upgrade=True)


def of_file(file: Path) -> Engine:
    """A way to a file of SQLite; nothing is opened yet."""
    from sqlalchemy import URL, create_engine, event
    from sqlalchemy.pool import NullPool

    url = URL.create("sqlite", database=str(file))
    made = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": PATIENCE})

    def begun(held: sqlalchemy.Connection) -> None:
        writes = held.get_execution_options().get("writes", False)
        held.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(made, "connect", lambda raw, _record: connection.tune(raw))
    event.listen(made, "begin", begun)
    return made


def of_server(url: str) -> Engine:
    """A way to a PostgreSQL database; nothing is opened yet. Raises HistoryError for an address that is none."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    with _told():
        return create_engine(_grown(address(url)), poolclass=NullPool, hide_parameters=True)


def address(url: str) -> URL:
    """The address of a PostgreSQL database, or HistoryError."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    found = None
    with suppress(ArgumentError, ValueError):
        found = make_url(url)
    if found is None or found.get_backend_name() != "postgresql":
        raise HistoryError("history must be sqlite:///PATH or postgresql://HOST/DATABASE")
    return found


def _grown(found: URL) -> URL:
    given = {name: value for name, value in _SESSION.items() if name not in found.query}
    options = {} if "options" in found.query else {"options": _OPTIONS}
    return found.set(drivername="postgresql+psycopg").update_query_dict({**given, **options})


@contextmanager
def _told() -> Iterator[None]:
    """Turns what SQLAlchemy or a driver says into a HistoryError."""
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    with database.told():
        try:
            yield
        except ImportError:
            hint = "pip install 'exchange-auditor[postgresql]'"
            problem = "the driver for PostgreSQL is not installed"
            raise HistoryError(f"the history cannot be used: {problem}", hint=hint) from None
        except DBAPIError as said:
            raise database.unusable(said.orig) from None
        except SQLAlchemyError as said:
            problem = f"its address or its tables are not understood ({type(said).__name__})"
            raise HistoryError(f"the history cannot be used: {problem}") from None
