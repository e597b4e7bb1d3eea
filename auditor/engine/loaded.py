"""What was read as tables of the engine: `docs`, a row a document, and one a list; and what venue files say.

Nothing is derived here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from auditor.engine.spelled import SQL_TYPES
from auditor.engine.tables import DOCUMENTS, Columns, Part, sql_type
from auditor.model.facts import LISTS, Fact
from auditor.model.normalise import UNKNOWN_MARK

_LOST = "some of what was read is gone from the folder for temporary files"


def load(connection: Any, parts: Sequence[Part], by_scope: dict[str, list[Fact]], stated: set[str]) -> None:
    """The table `docs` and, of each row scope with facts, `seen_<scope>`: what was read, as it was given. What no document
    states takes no room. Raises duckdb.Error.
    """
    given = {scope: _typed(fact for fact in facts if fact.path in stated) for scope, facts in by_scope.items()}
    documents: Columns = {
        "account": {"exchange": "VARCHAR", **given["account"], "name": "VARCHAR"},
        "venue": {**given["venue"], UNKNOWN_MARK: "VARCHAR[]"},  # a struct has to have something
        **dict.fromkeys(LISTS.values(), "INTEGER"),
        UNKNOWN_MARK: "VARCHAR[]",
        "problems": "STRUCT(reason VARCHAR, facts VARCHAR[])[]",
        "sources": 'MAP(VARCHAR, STRUCT("by" VARCHAR, "at" VARCHAR, contradicts VARCHAR))',
    }
    read = {scope: key for scope, key in LISTS.items() if by_scope[scope]}
    for scope, key in read.items():
        facts = {**_typed(by_scope[scope]), UNKNOWN_MARK: "VARCHAR[]"}
        known = {name: type_ for name, type_ in facts.items() if f"{scope}.{name}" in stated}
        _read(connection, f"read_{scope}", parts, key, {"n": "INTEGER", **known})
        columns = ", ".join(
            f'"{name}"' if name in known else f'NULL::{type_} AS "{name}"' for name, type_ in facts.items()
        )
        connection.execute(f"CREATE VIEW seen_{scope} AS SELECT doc, n, {columns} FROM read_{scope}")  # noqa: S608
    _read(connection, "docs", parts, DOCUMENTS, documents, read)
    for scope in read if not all(part.tells_lengths for part in parts) else ():
        connection.execute(f"DELETE FROM read_{scope} WHERE n = 0")  # noqa: S608
    _nothing_lost(connection, sum(part.count for part in parts), read)


def _nothing_lost(connection: Any, documents: int, read: Mapping[str, str]) -> None:
    """Raises duckdb.Error where tables hold less than was written for them: who tidied up, or a disk, is not to decide."""
    fewer = [f"(SELECT count(*) FROM docs) <> {documents}"]  # noqa: S608
    for scope, key in read.items():
        fewer.append(f"(SELECT coalesce(sum({key}), 0) FROM docs) <> (SELECT count(*) FROM read_{scope})")  # noqa: S608
    connection.execute(f"SELECT CASE WHEN {' OR '.join(fewer)} THEN error('{_LOST}') END").fetchall()


def _read(
    connection: Any,
    table: str,
    parts: Sequence[Part],
    key: str,
    columns: Columns,
    lists: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """A table of the engine out of one of the evidence. Its documents are numbered through all parts. Of `lists`, by scope,
    the rows were read before.
    """
    spelled = ", ".join(f'"{name}" {sql_type(type_)}' for name, type_ in columns.items())
    connection.execute(f"CREATE TABLE {table} (doc INTEGER, {spelled})")
    before = 0
    for part in parts:
        if found := part.relation(key, columns):
            query, file = found
            changed, joined = ("", "") if part.tells_lengths else _counted(lists, before, before + part.count)
            made = f"SELECT d.* REPLACE (d.doc + {before} AS doc{changed}) FROM ({query}) AS d{joined}"  # noqa: S608
            connection.execute(f"INSERT INTO {table} {made}", [file])
        before += part.count


def _counted(lists: Mapping[str, str], before: int, last: int) -> tuple[str, str]:
    """How long each list of the documents behind `before` is by its rows: as columns, and where they come from."""
    columns = "".join(f", of_{scope}.held AS {key}" for scope, key in lists.items())
    joined = "".join(
        f" LEFT JOIN (SELECT doc, max(n) AS held FROM read_{scope} WHERE doc BETWEEN {before + 1} AND {last} "  # noqa: S608
        f"GROUP BY doc) AS of_{scope} ON of_{scope}.doc = d.doc + {before}"
        for scope in lists
    )
    return columns, joined


def load_venues(connection: Any, venues: Mapping[str, Mapping[str, Any]], by_scope: dict[str, list[Fact]]) -> None:
    """A small table of what the venue files say, with both scopes side by side."""
    facts = [*by_scope["venue"], *by_scope["account"]]
    columns = ", ".join(f'"{fact.path}" {SQL_TYPES[fact.kind]}' for fact in facts)
    connection.execute(f"CREATE TABLE catalogue (exchange VARCHAR{', ' + columns if columns else ''})")
    rows = [[exchange, *(known.get(fact.path) for fact in facts)] for exchange, known in sorted(venues.items())]
    if rows:
        marks = ", ".join(f"({', '.join('?' for _ in row)})" for row in rows)
        connection.execute(f"INSERT INTO catalogue VALUES {marks}", [value for row in rows for value in row])  # noqa: S608


def _typed(facts: Iterable[Fact]) -> dict[str, str]:
    return {fact.name: SQL_TYPES[fact.kind] for fact in facts}
