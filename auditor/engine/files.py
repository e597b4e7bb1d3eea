"""Evidence files as they come: documents of YAML, JSON and Parquet and lines of JSON, each with the line it stands on.

Knows how files are read, and refuses what only a lenient reader accepts. What a document must hold is not its business.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from auditor import yamlio
from auditor.errors import Fault, InputError
from auditor.redaction import mask_personal, printable

LONGEST_LINE = 32 * 2**20
_BATCH = 2**18  # small enough for memory to be used again instead of asked for anew
_GLOB = re.compile(r"[*?\[]")
_SHORT_OFFSET = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00\Z")  # as DuckDB spells a time with zone


def refusal(path: Path, message: str, hint: str | None = None) -> InputError:
    """The error for a file as a whole."""
    return InputError([Fault(file=str(path), line=0, message=message, hint=hint)])


def each(read: yamlio.Document) -> Iterator[yamlio.Document]:
    """The documents of a file: one, or a list of them."""
    if not isinstance(read.value, list):
        yield read
        return
    lines: list[dict[tuple[str | int, ...], int]] = [{} for _ in read.value]
    for path, line in read.lines.items():
        if path:
            lines[int(path[0])][path[1:]] = line
    for value, of_value in zip(read.value, lines, strict=True):
        yield yamlio.Document(file=read.file, value=value, lines=of_value)


def batches(path: Path) -> Iterator[tuple[int, bytes]]:
    """Whole lines of a file, some hundred KiB at a time, and the number of the first."""
    number, rest = 1, b""
    try:
        with path.open("rb") as stream:
            while block := stream.read(_BATCH):
                lines, end, rest = (rest + block).rpartition(b"\n")
                if len(rest) > LONGEST_LINE:
                    hint = f"the limit is {LONGEST_LINE // 2**20} MiB a line"
                    line = number + lines.count(b"\n") + len(end)
                    raise InputError([Fault(file=str(path), line=line, message="is too long", hint=hint)])
                if lines.strip():
                    yield number, lines
                number += lines.count(b"\n") + len(end)
            if rest:
                yield number, rest
    except OSError as error:
        raise refusal(path, f"cannot be read: {error.strerror}") from None


def careful(line: bytes, file: str, number: int) -> yamlio.Document:
    """One line as a document whose every fault is on that line. Refuses what only a lenient reader accepts."""

    def refuse(message: str) -> NoReturn:
        raise InputError([Fault(file=file, line=number, message=message, hint="each line is one JSON document")])

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            refuse(f"the key {printable(mask_personal(twice), limit=100)} stands twice in one table")
        return found

    def constant(name: str) -> NoReturn:
        refuse(f"holds {name}, which is not a number")

    try:
        value = json.loads(line.decode("utf-8-sig"), object_pairs_hook=table, parse_constant=constant)
    except UnicodeDecodeError:
        refuse("is not UTF-8 text")
    except json.JSONDecodeError as error:
        refuse(f"is not valid JSON: {error.msg}")
    except RecursionError:
        refuse("is nested too deeply")
    except ValueError:
        refuse("holds a number that is too long")
    return yamlio.Document(file=file, value=value, lines={(): number})


def parquet_documents(path: Path) -> Iterator[yamlio.Document]:
    """One document a row, the number of the row as its line. A null is an absent key: the format cannot tell them apart."""
    import duckdb

    if not os.access(path, os.R_OK):
        raise refusal(path, "cannot be read: no such file, or not yours to read")
    literal = _GLOB.sub(r"[\g<0>]", str(path))
    connection = duckdb.connect()
    try:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.execute("SELECT CAST(to_json(t) AS VARCHAR) FROM read_parquet($1) t", [literal])
        number = 0
        while batch := rows.fetchmany(100):
            for number, (text,) in enumerate(batch, number + 1):  # noqa: B020
                value = _plain(json.loads(text))
                yield yamlio.Document(file=str(path), value=value, lines={(): number})
    except (duckdb.Error, ValueError, RecursionError) as error:
        first = printable((str(error).splitlines() or [type(error).__name__])[0], limit=120)
        raise refusal(path, f"is not a readable Parquet file: {first}") from None
    finally:
        connection.close()


def _plain(value: Any) -> Any:
    """A value from a row: nulls in tables left out, and times with the whole of their offset."""
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return f"{value}:00" if isinstance(value, str) and _SHORT_OFFSET.match(value) else value
