"""The child that answers one question (see `question`): loads the copy, gives up all it could misuse, and asks DuckDB.

Whatever goes wrong here is an error for the person who asked; nothing can be broken but this process.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from auditor.engine.columns import part_of
from auditor.engine.question import FINDING, MEGABYTES, MOST_ROWS, SECONDS
from auditor.engine.views import open_views
from auditor.model.facts import LISTS, SCOPES, Fact, catalogue, parse_time

_SELECT_ONLY = "ask with one SELECT; `auditor query --tables` names what there is"
_LARGEST = 16 * 2**20
_LINES = 10_000


def main() -> None:
    """Reads the request from stdin, writes the answer to stdout."""
    request = json.load(sys.stdin.buffer)
    connection = _loaded(request)
    _give_up()
    try:
        told = _answer(connection, request["sql"])
    except MemoryError:
        told = {"error": "it took too much memory"}
    sys.stdout.write(json.dumps(told, ensure_ascii=True, default=str))


def _loaded(request: dict[str, Any]) -> Any:
    """A locked connection that holds the tables, and nothing of ours besides."""
    parts = [part_of(told) for told in request["parts"]]
    now = parse_time(request["now"])
    assert now is not None
    connection = open_views(parts, now, catalogue(), request["venues"])
    for scope in SCOPES:
        names = ", ".join(_column(fact) for fact in catalogue().values() if fact.scope == scope)
        seen = " WHERE NOT found.unseen" if scope in LISTS else ""
        connection.execute(
            f"CREATE TABLE shown_{scope} AS SELECT d.account.name AS account_name, {names} "  # noqa: S608  (our own names)
            f"FROM {scope} found JOIN docs d ON d.doc = found.doc{seen}"
        )
    ours = "SELECT 'VIEW', view_name FROM duckdb_views() WHERE NOT internal UNION ALL SELECT 'TABLE', table_name FROM duckdb_tables()"
    for kind, name in connection.execute(ours).fetchall():
        if not name.startswith("shown_"):
            connection.execute(f"DROP {kind} {name}")
    for scope in SCOPES:
        connection.execute(f"ALTER TABLE shown_{scope} RENAME TO {scope}")
    if request["findings"]:
        _load_findings(connection, Path(request["findings"]))
    return connection


def _load_findings(connection: Any, path: Path) -> None:
    """The table `finding` of rows in lines, some at a time. The connection may open no file any more."""
    connection.execute(f"CREATE TABLE finding ({', '.join(f'{name} VARCHAR' for name in FINDING)})")
    columns = ", ".join(f"row->>'{name}'" for name in FINDING)
    rows = f"INSERT INTO finding SELECT {columns} FROM (SELECT unnest(from_json($1, '[\"JSON\"]')) AS row)"  # noqa: S608
    with path.open() as stream:
        while lines := list(islice(stream, _LINES)):
            connection.execute(rows, [f"[{','.join(lines)}]"])


def _column(fact: Fact) -> str:
    """Times without their zone, which is UTC: they can be compared with plain constants."""
    return f'timezone(\'UTC\', found."{fact.name}") AS "{fact.name}"' if fact.kind == "time" else f'found."{fact.name}"'


def _give_up() -> None:
    """From here on this process opens nothing, writes nothing, and has little memory and time."""
    used = 4096 * int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 2**32
    for limit, most in (
        (resource.RLIMIT_AS, used + MEGABYTES * 2**20),
        (resource.RLIMIT_CPU, math.ceil(time.process_time()) + SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))


def _answer(connection: Any, sql: str) -> dict[str, Any]:
    import duckdb

    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            return {"error": "only one SELECT is answered", "hint": _SELECT_ONLY}
        within = f"FROM ({statements[0].query.strip().rstrip(';')}\n)"  # a comment ends with its line
        columns = [column[0] for column in connection.execute(f"SELECT * {within} LIMIT 0").description]
        row = "asked" + "_" * max(map(len, columns))  # the name of no column: that would be answered instead
        spelled = f"SELECT CAST(to_json({row}) AS VARCHAR) {within} AS {row}"
        found = connection.execute(spelled).fetchmany(MOST_ROWS + 1)
    except (duckdb.Error, ValueError, RuntimeError) as error:  # what it does not know itself it says in Python's words
        return {"error": (str(error).splitlines() or [""])[0], "hint": _SELECT_ONLY}
    if sum(len(row) for (row,) in found) > _LARGEST:
        return {"error": "the answer is larger than 16 MiB", "hint": "ask for fewer columns or rows"}
    try:
        rows = [list(json.loads(row, parse_constant=str).values()) for (row,) in found[:MOST_ROWS]]
    except (ValueError, RecursionError):
        return {"error": "a number is too long, or a value too deep", "hint": "cast it to text: CAST(... AS VARCHAR)"}
    return {"columns": columns, "rows": rows, "more": len(found) > MOST_ROWS}
