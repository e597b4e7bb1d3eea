"""Evidence as tables on disk, in lines of JSON: one of documents, and one a list, whose rows name their document and place.

In the table of documents a list is its length. Knows nothing of rules, nor of what a well-formed document is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Self

from auditor.engine.files import literal, without_nulls
from auditor.model.document import lists
from auditor.model.facts import LISTS
from auditor.model.normalise import UNKNOWN_MARK

DOCUMENTS = "documents"
_SMALLEST_BUFFER = 2**18  # bytes; DuckDB reads a file in parallel by buffers of this order
Columns = Mapping[str, str | Mapping[str, str]]
"""Columns of a table -> their SQL types; a struct as its fields."""
Relation = tuple[str, str]
"""A query, and what it reads as its only parameter."""
TABLES = (DOCUMENTS, *LISTS.values())
_QUOTES_OF_A_NUMBER = 2  # around its name
_DISGUISED = re.compile(rb"\\u00(?:[2-7]|00)")  # ASCII that need not be escaped, a quote for one; and NUL


@dataclass(slots=True, kw_only=True)
class Part:
    """Tables that one writer wrote, in a folder of their own. Documents are numbered from 1. A context manager to write in."""

    folder: Path
    count: int = 0
    exchanges: set[str] = field(default_factory=set)
    stated: set[str] = field(default_factory=set)
    """Every list that some document states, by key, and every fact, by path; `unknown` where one marks a null, and
    `scope.unknown` where a row does.
    """
    longest: int = 0
    """Bytes of the longest line, at most."""
    nulls: bool = False
    """Whether a null stands for an absent key: the format these documents come from cannot tell them apart."""
    _streams: dict[str, BinaryIO] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._open.close()
        self._streams.clear()

    def path(self, table: str) -> Path:
        """Where a table is; one without rows has no file."""
        return self.folder / f"{table}.jsonl"

    @property
    def tells_lengths(self) -> bool:
        """Whether documents say how long their lists are. Else the rows do: one of number 0 stands for a list without any."""
        return True

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(path.stat().st_size for table in TABLES if (path := self.path(table)).exists())

    def relation(self, table: str, columns: Columns) -> Relation | None:
        """The rows of a table with the number of their document, `doc`, and these columns. None where there are none."""
        if not self.path(table).exists():
            return None
        spelled = {"doc": "INTEGER", **{name: sql_type(type_) for name, type_ in columns.items()}}
        listed = ", ".join(f"\"{name}\": '{type_}'" for name, type_ in spelled.items())
        largest = max(3 * self.longest, _SMALLEST_BUFFER)  # 1e15 is spelled 1000000000000000.0
        form = f"format = 'newline_delimited', hive_partitioning = false, columns = {{{listed}}}, maximum_object_size = {largest}"
        return f"SELECT * FROM read_json($1, {form})", literal(self.path(table))  # noqa: S608  (our own names)

    def told(self) -> dict[str, Any]:
        """What another process has to know of it to read it, as JSON."""
        kept = {"folder": str(self.folder), "count": self.count, "longest": self.longest, "nulls": self.nulls}
        return {**kept, "exchanges": sorted(self.exchanges), "stated": sorted(self.stated)}

    def add(self, normal: Mapping[str, Any]) -> None:
        """Appends a normalised document."""
        self.count += 1
        self.exchanges.add(normal["account"]["exchange"])
        one = {"doc": self.count, **normal}
        if one.get(UNKNOWN_MARK):
            self.stated.add(UNKNOWN_MARK)
        for scope in ("account", "venue"):
            self.stated.update(f"{scope}.{name}" for name in one.get(scope) or ())
        for scope, table in LISTS.items():
            if (rows := one.get(table)) is not None:
                one[table] = len(rows)
                self.stated.add(table)
                self.stated.update(f"{scope}.{name}" for name in set(chain.from_iterable(rows)))
                numbered = ({"doc": self.count, "n": number, **row} for number, row in enumerate(rows, 1))
                self._write(table, b"".join(map(self._spelled, numbered)))
        self._write(DOCUMENTS, self._spelled(one))

    def take(self, decoded: Sequence[Any], lines: bytes) -> bool:
        """Appends documents as `model.document.decoder` read them from these lines: all of them, or none where a quote was
        lost. Of a key that stands twice a decoder keeps one, and two quotes or more are gone.
        """
        import msgspec

        for number, one in enumerate(decoded, self.count + 1):
            one.doc = number
        rows_of = {table: rows for table in lists(decoded) if (rows := _numbered(decoded, table))}
        encode = msgspec.json.Encoder().encode_lines
        texts = {DOCUMENTS: encode(decoded), **{table: encode(rows) for table, rows in rows_of.items()}}
        ours = _QUOTES_OF_A_NUMBER * (len(decoded) + 2 * sum(map(len, rows_of.values())))
        if any(b"\\" in text for text in texts.values()) and _DISGUISED.search(lines):  # a quote may have been won
            return False
        if sum(text.count(b'"') for text in texts.values()) != lines.count(b'"') + ours:
            return False
        for table, text in texts.items():
            self._write(table, text)
        self.count += len(decoded)
        self.exchanges |= {one.account.exchange for one in decoded}
        return True

    def documents(self) -> Iterator[dict[str, Any]]:
        """The documents, whole again, in order and one in memory at a time."""
        with ExitStack() as opened:
            rows = {
                table: map(json.loads, opened.enter_context(path.open("rb")))
                for table in LISTS.values()
                if (path := self.path(table)).exists()
            }
            for line in opened.enter_context(self.path(DOCUMENTS).open("rb")) if self.count else ():
                one = json.loads(line)
                del one["doc"]
                for table in LISTS.values():
                    if one.get(table) is not None:
                        one[table] = list(map(_unnumbered, islice(rows.get(table, ()), one[table])))
                yield without_nulls(one) if self.nulls else one

    def _spelled(self, one: Mapping[str, Any]) -> bytes:
        text = json.dumps(one, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        line = text.encode("utf-8", "replace")  # a lone surrogate is not text
        self.longest = max(self.longest, len(line))
        return line + b"\n"

    def _write(self, table: str, text: bytes) -> None:
        if text:
            if table not in self._streams:
                self._streams[table] = self._open.enter_context(self.path(table).open("ab"))
            self._streams[table].write(text)


def _numbered(decoded: Sequence[Any], table: str) -> list[Any]:
    """The rows of a list in all of these documents, which keep its length."""
    found: list[Any] = []
    for one in decoded:
        rows = getattr(one, table)
        if type(rows) is list:
            doc = one.doc
            for place, row in enumerate(rows, 1):
                row.doc, row.n = doc, place
            setattr(one, table, len(rows))
            found += rows
    return found


def sql_type(type_: str | Mapping[str, str]) -> str:
    """A column's type as SQL."""
    if isinstance(type_, str):
        return type_
    fields = (f'"{name}" {of_it}' for name, of_it in type_.items())
    return f"STRUCT({', '.join(fields)})"


def _unnumbered(row: dict[str, Any]) -> dict[str, Any]:
    del row["doc"], row["n"]
    return row
