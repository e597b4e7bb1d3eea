"""Databases that hold a table of facts and answer the text of rules: DuckDB, PostgreSQL, and Spark in a process of its own.

Each gets the same rows in the layout of docs/warehouse.md: one table a subject type, `account_name` in each, and NULL for
what is unknown.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self

from auditor.model.facts import catalogue

Facts = Mapping[str, Any]
Answers = list[tuple[Any, ...]]
TYPES = {
    "duckdb": {
        "bool": "BOOLEAN", "int": "BIGINT", "number": "DOUBLE", "text": "VARCHAR", "enum": "VARCHAR", "time": "TIMESTAMPTZ",
    },
    "postgresql": {
        "bool": "boolean", "int": "bigint", "number": "double precision", "text": "text", "enum": "text", "time": "timestamptz",
    },
    "spark": {
        "bool": "boolean", "int": "bigint", "number": "double", "text": "string", "enum": "string", "time": "timestamp",
    },
}  # fmt: skip
"""What a fact of each kind is stored as. docs/warehouse.md has the same table."""
CHILD = Path(__file__).with_name("spark.py")


class Warehouse(Protocol):
    """A database. `load` replaces its tables; `ask` returns the rows of a query."""

    name: str

    def load(self, tables: Mapping[str, tuple[Mapping[str, str], Sequence[Sequence[Any]]]]) -> None: ...
    def ask(self, query: str) -> Answers: ...


def tables(rows: Sequence[Facts], paths: Sequence[str], *, name: str, scope: str) -> dict[str, Any]:
    """Scope -> (column -> type, rows): each of `rows` is one subject of an account of its own."""
    types = TYPES[name]
    made: dict[str, Any] = {}
    for one in dict.fromkeys((scope, "account", "venue")):
        mine = [path for path in paths if path.startswith(f"{one}.")]
        columns = {"account_name": types["text"], **{path.partition(".")[2]: types[_kind(path)] for path in mine}}
        made[one] = (columns, [(f"a{at:06}", *(_held(path, facts) for path in mine)) for at, facts in enumerate(rows)])
    return made


def _held(path: str, facts: Facts) -> Any:
    value = facts.get(path)
    return float(value) if value is not None and _kind(path) == "number" else value


def _kind(path: str) -> str:
    return catalogue()[path].kind


def moment(now: datetime, *, name: str) -> str:
    """A moment in UTC as a constant. Times of Spark have a zone by themselves."""
    kind = "TIMESTAMP" if name == "spark" else "TIMESTAMP WITH TIME ZONE"
    return f"{kind} '{now:%Y-%m-%d %H:%M:%S}+00:00'"


def asked(columns: Sequence[str], *, name: str, scope: str, now: datetime) -> str:
    """One query over the tables, in the order of their rows."""
    joined = "".join(
        f" JOIN {one} ON {one}.account_name = {scope}.account_name" for one in ("account", "venue") if one != scope
    )
    listed = ", ".join(f"{column} AS c{at}" for at, column in enumerate(columns))
    clock = f"CROSS JOIN (SELECT {moment(now, name=name)} AS now_) AS clock"
    return f"SELECT {listed} FROM {scope}{joined} {clock} ORDER BY {scope}.account_name"


class Duck:
    name = "duckdb"

    def __init__(self) -> None:
        import duckdb

        self._connection = duckdb.connect()
        self._connection.execute("SET TimeZone = 'UTC'")

    def load(self, tables: Mapping[str, Any]) -> None:
        import pyarrow as pa

        for name, (columns, rows) in tables.items():
            listed = ", ".join(f'"{column}" {type_}' for column, type_ in columns.items())
            self._connection.execute(f"CREATE OR REPLACE TABLE {name} ({listed})")
            held = pa.table({
                column: pa.array([row[at] for row in rows], _ARROW[type_]())
                for at, (column, type_) in enumerate(columns.items())
            })  # fmt: skip
            self._connection.register("held", held)
            self._connection.execute(f"INSERT INTO {name} SELECT * FROM held")
            self._connection.unregister("held")

    def ask(self, query: str) -> Answers:
        return self._connection.execute(query).fetchall()


def _arrow(name: str) -> Any:
    import pyarrow as pa

    return pa.timestamp("us", "UTC") if name == "timestamp" else getattr(pa, name)()


_ARROW: dict[str, Any] = {
    "BOOLEAN": lambda: _arrow("bool_"),
    "BIGINT": lambda: _arrow("int64"),
    "DOUBLE": lambda: _arrow("float64"),
    "VARCHAR": lambda: _arrow("string"),
    "TIMESTAMPTZ": lambda: _arrow("timestamp"),
}


class Postgres:
    name = "postgresql"

    def __init__(self, url: str) -> None:
        import psycopg

        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute("SET TimeZone = 'UTC'")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._connection.close()

    def load(self, tables: Mapping[str, Any]) -> None:
        for name, (columns, rows) in tables.items():
            listed = ", ".join(f'"{column}" {type_}' for column, type_ in columns.items())
            self._connection.execute(f"DROP TABLE IF EXISTS {name}")
            self._connection.execute(f"CREATE TABLE {name} ({listed})")
            with self._connection.cursor().copy(f"COPY {name} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)

    def ask(self, query: str) -> Answers:
        return self._connection.execute(query).fetchall()


class Spark:
    """Spark in local mode, in the environment that `make differential` made, asked over pipes."""

    name = "spark"

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child

    def load(self, tables: Mapping[str, Any]) -> None:
        self._told({"tables": tables})

    def ask(self, query: str) -> Answers:
        return [tuple(row) for row in self._told({"sql": query})["rows"]]

    def _told(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(json.dumps(request, default=datetime.isoformat) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        assert line, "Spark ended: is Java installed? (apt install default-jre-headless)"
        told: dict[str, Any] = json.loads(line)
        assert "error" not in told, told["error"]
        return told


@contextmanager
def spark(python: str) -> Iterator[Spark]:
    environ = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "TZ": "UTC"}
    with subprocess.Popen(
        [python, str(CHILD)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ,
    ) as child:  # fmt: skip
        try:
            yield Spark(child)
        finally:
            assert child.stdin is not None
            child.stdin.close()
            child.wait(60)
