"""Brings evidence into one trusted JSON-lines file: checked, normalised at `now`, and the only thing the engine reads.

A machine-written line that the typed decoder accepts as it stands is copied as it is; every other one is checked with
care and either spelled anew or refused with its file and line.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Self

from auditor import yamlio
from auditor.errors import Fault, InputError
from auditor.model import document
from auditor.model.evidence import Snapshot
from auditor.model.normalise import normalise, snapshot

LONGEST_LINE = 32 * 2**20
_MOST_FAULTS = 50
_BATCH = 4 * 2**20


class Evidence:
    """Evidence documents, trusted and in order. Owns a private temporary file; use as a context manager."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._folder = tempfile.TemporaryDirectory(prefix="auditor-")
        self.path = Path(self._folder.name) / "evidence.jsonl"
        self.longest = 0
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._folder.cleanup()

    def __len__(self) -> int:
        return self._count

    def snapshots(self) -> Iterator[Snapshot]:
        """The documents as snapshots, in order, one in memory at a time."""
        with self.path.open("rb") as stream:
            for line in stream:
                yield snapshot(normalise(json.loads(line), self.now), self.now)

    def add(self, documents: Iterable[dict[str, Any]]) -> Self:
        """Appends documents that are known to be well-formed: collected snapshots, or the cases of checked rules."""
        with self.path.open("ab") as target:
            for one in documents:
                self._write(target, normalise(one, self.now))
        return self

    def add_files(self, paths: Iterable[Path]) -> Self:
        """Appends the documents of `.json`, `.yaml`, `.jsonl` and `.parquet` files. Raises InputError with every fault."""
        faults: list[Fault] = []
        for path in paths:
            try:
                with self.path.open("ab") as target:
                    self._add_file(path, target)
            except InputError as error:
                faults += error.faults
        if faults:
            raise InputError(faults[:_MOST_FAULTS])
        if not self._count:
            raise InputError([Fault(file=str(next(iter(paths), "")), line=0, message="holds no evidence document")])
        return self

    def _add_file(self, path: Path, target: BinaryIO) -> None:
        suffix = path.suffix.lower()
        if suffix == ".jsonl":
            self._add_lines(path, target)
        elif suffix == ".parquet":
            for row in parquet_rows(path):
                self._add_checked(yamlio.Document(file=str(path), value=row, lines={}), target)
        elif suffix in {".json", ".yaml", ".yml"}:
            for read in yamlio.read_all(path):
                for one in _each(read):
                    self._add_checked(one, target)
        else:
            hint = "evidence comes as .json, .yaml, .jsonl or .parquet"
            raise InputError(
                [Fault(file=str(path), line=0, message=f"has the unknown suffix {suffix or 'none'}", hint=hint)]
            )

    def _add_checked(self, read: yamlio.Document, target: BinaryIO) -> None:
        faults = list(document.faults(read))
        if faults:
            raise InputError(faults[:_MOST_FAULTS])
        self._write(target, normalise(read.value, self.now))

    def _add_lines(self, path: Path, target: BinaryIO) -> None:
        faults: list[Fault] = []
        for first, lines in _batches(path):
            if _all_stand(lines):
                target.write(b"\n".join([*lines, b""]))
                self._count += len(lines)
                self.longest = max(self.longest, *map(len, lines))
                continue
            for number, line in enumerate(lines, first):
                faults += self._mend(line, str(path), number, target)
            if len(faults) >= _MOST_FAULTS:
                break
        if faults:
            raise InputError(faults)

    def _mend(self, line: bytes, file: str, number: int, target: BinaryIO) -> tuple[Fault, ...]:
        """One line, spelled anew, or its faults."""
        if not line.strip():
            return ()
        try:
            self._add_checked(_careful(line, file, number), target)
        except InputError as error:
            return error.faults
        return ()

    def _write(self, target: BinaryIO, normal: dict[str, Any]) -> None:
        text = json.dumps(normal, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        line = text.encode("utf-8", "replace")  # a lone surrogate is not text
        target.write(line + b"\n")
        self._count += 1
        self.longest = max(self.longest, len(line))


def _all_stand(lines: list[bytes]) -> bool:
    """Whether all lines are well-formed and mean at any moment what they say: nothing in them expires or is counted."""
    import msgspec

    decode = document.decoder().decode
    try:
        sourced = [decoded.sources for decoded in map(decode, lines) if decoded.sources]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return not any(
        source.expires or path == "account.keys_counted" for table in sourced for path, source in table.items()
    )


def _each(read: yamlio.Document) -> Iterator[yamlio.Document]:
    """The documents of a file: one, or a list of them."""
    if not isinstance(read.value, list):
        yield read
        return
    for number, value in enumerate(read.value):
        lines = {path[1:]: line for path, line in read.lines.items() if path[:1] == (number,)}
        yield yamlio.Document(file=read.file, value=value, lines=lines)


def _batches(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Lines of a file (without their ends) and the number of the first, a few MiB at a time."""
    number, rest = 1, b""
    try:
        with path.open("rb") as stream:
            while block := stream.read(_BATCH):
                *lines, rest = (rest + block).split(b"\n")
                if len(rest) > LONGEST_LINE:
                    hint = f"the limit is {LONGEST_LINE // 2**20} MiB a line"
                    raise InputError(
                        [Fault(file=str(path), line=number + len(lines), message="is too long", hint=hint)]
                    )
                if lines:
                    yield number, lines
                    number += len(lines)
            if rest:
                yield number, [rest]
    except OSError as error:
        raise InputError([Fault(file=str(path), line=0, message=f"cannot be read: {error.strerror}")]) from None


def _careful(line: bytes, file: str, number: int) -> yamlio.Document:
    """One line as a document whose every fault is on that line. Refuses what only a lenient reader accepts."""

    def refuse(message: str) -> None:
        raise InputError([Fault(file=file, line=number, message=message)])

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            refuse("a key stands twice in one table")
        return found

    try:
        value = json.loads(line, object_pairs_hook=table, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        refuse(f"is not valid JSON: {error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__}")
    return yamlio.Document(file=file, value=value, lines={(): number})


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """One document a row. A Parquet null is an absent key: the format cannot tell them apart."""
    import duckdb

    if not os.access(path, os.R_OK):
        raise InputError([Fault(file=str(path), line=0, message="cannot be read: no such file, or not yours to read")])
    connection = duckdb.connect()
    try:
        rows = connection.execute("SELECT CAST(to_json(t) AS VARCHAR) FROM read_parquet($1) t", [str(path)])
        while batch := rows.fetchmany(1000):
            for (text,) in batch:
                yield _without_nulls(json.loads(text))
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise InputError(
            [Fault(file=str(path), line=0, message=f"is not a readable Parquet file: {first[:120]}")]
        ) from None
    finally:
        connection.close()


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value
