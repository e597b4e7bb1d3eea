"""The rows of a Parquet file as lines of JSON, and how much a file may unpack to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from auditor import yamlio
from auditor.engine.files import Batch, each_once, literal, refusal, without_nulls
from auditor.errors import Fault, InputError
from auditor.redaction import printable

_ROWS = 200
_UNPACKED = """
SELECT coalesce(max(number), 0), coalesce(sum(bytes), 0)
FROM (SELECT sum(num_values) AS number, sum(total_uncompressed_size) AS bytes FROM parquet_metadata($1) GROUP BY path_in_schema)
"""
_MOST_VALUES, _MOST_UNPACKED = 100_000, 64 * 2**20
"""Of a column; bytes: of a file that is small, in relation to it beyond."""
TIMES = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
"""Types of a column that are times and know their zone."""


def rows(path: Path, first: int = 0, most: int | None = None) -> Iterator[Batch]:
    """The rows of a Parquet file as lines of JSON, some hundred at a time. What is no JSON document yet is a null, which
    stands for an absent key: the format cannot tell them apart (`document_of`).
    """
    import duckdb

    if not os.access(path, os.R_OK):
        raise refusal(path, "cannot be read: no such file, or not yours to read")
    connection = duckdb.connect()
    try:
        connection.execute("SET TimeZone = 'UTC'")
        unpacked(connection, path)
        some = "" if most is None else f"WHERE file_row_number BETWEEN {first} AND {first + most - 1}"
        found = connection.execute(_query(connection, path, some), [literal(path)])
        number, spelled = first + 1, 0
        while batch := found.fetchmany(_ROWS):
            text = "\n".join(row for (row,) in batch).encode("utf-8", "replace")
            spelled += len(text)
            if spelled > most_unpacked(path):  # what a file says of itself need not be so
                raise bomb(path)
            yield Batch(lines=text, first=number, count=len(batch))
            number += len(batch)
    except (duckdb.Error, ValueError) as error:
        said = printable((str(error).splitlines() or [type(error).__name__])[0], limit=120)
        raise refusal(path, f"is not a readable Parquet file: {said}") from None
    finally:
        connection.close()


def _query(connection: Any, path: Path, some: str) -> str:
    """Each row as JSON, its times as text in the one spelling."""
    read = "FROM read_parquet($1, hive_partitioning = false)"
    empty = connection.execute(f"SELECT * {read} LIMIT 0", [literal(path)])
    columns = {name: type_ for name, type_, *_ in empty.description}
    empty.fetchall()
    ours = "t" * (1 + max(map(len, columns), default=0))  # is no column's name, which would come first
    times = ((name, _with_times(type_, _quoted(name), ours)) for name, type_ in columns.items())
    changed = ", ".join(f"{text} AS {_quoted(name)}" for name, text in times if text)
    shown = f"* REPLACE ({changed})" if changed else "*"
    return f"SELECT CAST(to_json({ours}) AS VARCHAR) FROM (SELECT {shown} {read} {some}) {ours}"  # noqa: S608  (quoted)


def _with_times(type_: Any, value: str, ours: str) -> str | None:
    """The SQL of a value with each time in it as text; None where there can be none. `ours` is a name to use."""
    if str(type_) in TIMES:
        return f"replace(replace({value}::VARCHAR, ' ', 'T'), '+00', 'Z')"
    if type_.id == "struct":
        fields = {name: (f"{value}.{_quoted(name)}", of_it) for name, of_it in type_.children}
        spelled = {name: _with_times(of_it, field, ours) for name, (field, of_it) in fields.items()}
        made = ", ".join(f"{_quoted(name)} := {text or fields[name][0]}" for name, text in spelled.items())
        return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({made}) END" if any(spelled.values()) else None
    if type_.id == "list":
        inner = _with_times(type_.children[0][1], ours, ours + "t")
        return f"list_transform({value}, lambda {ours}: {inner})" if inner else None
    if type_.id == "map":
        inner = _with_times(type_.children[1][1], f"{ours}.value", ours + "t")
        entry = f"{{'key': {ours}.key, 'value': {inner}}}"
        return f"map_from_entries(list_transform(map_entries({value}), lambda {ours}: {entry}))" if inner else None
    return None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def unpacked(connection: Any, path: Path) -> None:
    """Raises InputError where a Parquet file says of itself that it is far more than it looks."""
    size = path.stat().st_size
    [(values, bytes_)] = connection.execute(_UNPACKED, [literal(path)]).fetchall()
    if values > _MOST_VALUES + 4 * size or bytes_ > _MOST_UNPACKED + 100 * size:
        raise bomb(path)


def most_unpacked(path: Path) -> int:
    """Bytes of text that a Parquet file may turn out to hold."""
    return _MOST_UNPACKED + 200 * path.stat().st_size


def bomb(path: Path) -> InputError:
    """The error for a file that unpacks to far more than it is."""
    return refusal(path, "unpacks to far more than it is", "is this the file you meant?")


def document_of(row: bytes, file: str, number: int) -> yamlio.Document:
    """A row as a document, its nulls left out. Raises InputError."""

    def refuse(message: str) -> NoReturn:
        raise InputError([Fault(file=file, line=number, message=message)])

    try:
        value = without_nulls(json.loads(row, object_pairs_hook=partial(each_once, refuse)))
    except (ValueError, RecursionError):
        refuse("holds a value that is too deep or too long")
    return yamlio.Document(file=file, value=value, lines={(): number})
