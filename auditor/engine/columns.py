"""Evidence in a Parquet file whose columns are what the engine reads: nobody spells its rows out.

Such a file was looked at by `plain`, and is a private copy. Several parts may be ranges of the same one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditor.engine import files, parquet_rows
from auditor.engine.tables import DOCUMENTS, Columns, Part, Relation
from auditor.model.facts import LISTS

FILE = "evidence.parquet"
_SCOPES = {key: scope for scope, key in LISTS.items()}


@dataclass(slots=True, kw_only=True)
class Range(Part):
    """Rows of a Parquet file as documents, `count` of them behind the first one, which is counted from 0."""

    first: int
    given: Mapping[str, str] = field(default_factory=dict)
    """Columns of a document -> how they are found in a row, as SQL."""

    @property
    def file(self) -> Path:
        return self.folder / FILE

    def rows(self, file: str) -> str:
        """What to select from, the file given as SQL."""
        return f"read_parquet({file}, hive_partitioning = false) WHERE file_row_number BETWEEN {self.first} AND {self.first + self.count - 1}"

    @property
    def tells_lengths(self) -> bool:
        """To ask a list for its length is to read all of it."""
        return False

    @property
    def size(self) -> int:
        """Bytes, roughly: what these rows would be as lines is not known."""
        return self.longest

    def relation(self, table: str, columns: Columns) -> Relation | None:
        """As `Part.relation`."""
        read = self.rows("$1")
        doc = f"file_row_number - {self.first - 1} AS doc"
        if table == DOCUMENTS:
            shown = ", ".join(f'{self._document(name, type_)} AS "{name}"' for name, type_ in columns.items())
            return f"SELECT {doc}, {shown} FROM {read}", files.literal(self.file)  # noqa: S608  (our own names)
        if table not in self.given:
            return None
        length = f"len({table}) AS held, unnest([TRUE]) AS first"  # there is one row even where there is none to list
        rows = f"SELECT {doc}, {length}, generate_subscripts({table}, 1) AS n, unnest({table}) AS listed FROM {read}"  # noqa: S608
        some = "n IS NOT NULL OR (first AND held = 0)"
        names = ((name, self._fact(_SCOPES[table], name, "listed", str(type_))) for name, type_ in columns.items())
        shown = ", ".join("coalesce(n, 0) AS n" if name == "n" else f'{sql} AS "{name}"' for name, sql in names)
        return f"SELECT doc, {shown} FROM ({rows}) WHERE {some}", files.literal(self.file)  # noqa: S608

    def _document(self, name: str, type_: str | Mapping[str, str]) -> str:
        if name in _SCOPES:
            return f"len({name})::INTEGER" if name in self.given else "NULL::INTEGER"
        if isinstance(type_, str):
            return f"({self.given.get(name, 'NULL')})::{type_}"
        fields = (f'"{fact}" := {self._fact(name, fact, name, of_it)}' for fact, of_it in type_.items())
        return f"struct_pack({', '.join(fields)})"

    def _fact(self, scope: str, name: str, table: str, type_: str) -> str:
        named = scope == "account" and name in {"name", "exchange"}
        return f'{table}."{name}"::{type_}' if named or f"{scope}.{name}" in self.stated else f"NULL::{type_}"

    def documents(self) -> Iterator[dict[str, Any]]:
        """As `Part.documents`."""
        for batch in parquet_rows.rows(self.file, self.first, self.count):
            for number, row in enumerate(batch.lines.split(b"\n"), batch.first):
                yield parquet_rows.document_of(row, self.file.name, number).value

    def told(self) -> dict[str, Any]:
        """As `Part.told`."""
        return {**Part.told(self), "first": self.first, "given": dict(self.given)}


def part_of(told: Mapping[str, Any]) -> Part:
    """A part as another process told of it (`Part.told`)."""
    known = {**told, "folder": Path(told["folder"]), "exchanges": set(told["exchanges"]), "stated": set(told["stated"])}
    return Range(**known) if "first" in told else Part(**known)
