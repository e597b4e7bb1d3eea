"""Brings evidence into one trusted JSON-lines file: checked, normalised at `now`, and the only thing the engine reads.

A machine-written line that the typed decoder accepts as it stands is written out as the decoder read it; every other
one is checked with care and either spelled anew or refused with its file and line.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Self

from auditor import yamlio
from auditor.engine.files import batches, careful, each, parquet_documents, refusal
from auditor.errors import Fault, InputError
from auditor.model import document
from auditor.model.evidence import Snapshot
from auditor.model.normalise import normalise, snapshot

_MOST_FAULTS = 50
_ODD_TIME = re.compile(  # one that is not spelled in UTC, or not of 2010 to 2089
    rb'-[0-9]{2}-[0-9]{2}[Tt ](?:(?<!"20[1-8][0-9]-[0-9]{2}-[0-9]{2}T)'
    rb'|(?![0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|\+00:00)"))'
)
_DISGUISED = re.compile(rb"\\u00(?:[2-7]|00)")  # ASCII that need not be escaped, a quote for one; and NUL


class Evidence:
    """Evidence documents, trusted and in order. Owns a private temporary file; use as a context manager."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._folder = tempfile.TemporaryDirectory(prefix="auditor-")
        self.path = Path(self._folder.name) / "evidence.jsonl"
        self.exchanges: set[str] = set()
        """Whose accounts these are: only their venue files need to be read."""
        self.longest = 0  # bytes of the longest document, as it came or as it was spelled anew
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
            before = self._count
            try:
                with self.path.open("ab") as target:
                    self._add_file(path, target)
                if self._count == before:
                    raise refusal(path, "holds no evidence document", "an evidence file has at least one document")
            except InputError as error:
                faults += error.faults
        if faults:
            self._folder.cleanup()  # nobody may have entered yet
            raise InputError(_bounded(faults))
        return self

    def _add_file(self, path: Path, target: BinaryIO) -> None:
        suffix = path.suffix.lower()
        if path.exists() and not path.is_file():  # a pipe, for one, must not be opened at all
            raise refusal(path, "is not a file", "give the file itself: pipes and folders are not read")
        if suffix == ".jsonl":
            self._add_lines(path, target)
        elif suffix == ".parquet":
            self._add_all(parquet_documents(path), target)
        elif suffix in {".json", ".yaml", ".yml"}:
            self._add_all((one for read in yamlio.read_all(path) for one in each(read)), target)
        else:
            hint = "evidence comes as .json, .yaml, .jsonl or .parquet"
            raise refusal(path, f"has the unknown suffix {suffix or 'none'}", hint)

    def _add_all(self, documents: Iterable[yamlio.Document], target: BinaryIO) -> None:
        faults: list[Fault] = []
        for one in documents:
            faults += self._check(one, target)
            if len(faults) > _MOST_FAULTS:
                break
        if faults:
            raise InputError(faults)

    def _check(self, read: yamlio.Document, target: BinaryIO) -> list[Fault]:
        """Writes a document spelled anew, or says what is wrong with it."""
        try:
            faults = list(islice(document.faults(read), _MOST_FAULTS + 1))
        except RecursionError:
            return [read.fault("is nested too deeply")]
        if not faults:
            self._write(target, normalise(read.value, self.now))
        return faults

    def _add_lines(self, path: Path, target: BinaryIO) -> None:
        faults: list[Fault] = []
        for first, lines in batches(path):
            split = lines.split(b"\n")
            if decoded := _as_they_stand(lines, split):
                trusted, exchanges = decoded
                target.write(trusted)
                self.exchanges |= exchanges
                self._count += trusted.count(b"\n")
                self.longest = max(self.longest, *map(len, split))
                continue
            for number, line in enumerate(split, first):
                faults += self._mend(line, str(path), number, target)
                if len(faults) > _MOST_FAULTS:
                    raise InputError(faults)
        if faults:
            raise InputError(faults)

    def _mend(self, line: bytes, file: str, number: int, target: BinaryIO) -> Iterable[Fault]:
        """One line, spelled anew, or its faults."""
        if not line.strip():
            return ()
        try:
            return self._check(careful(line, file, number), target)
        except InputError as error:
            return error.faults

    def _write(self, target: BinaryIO, normal: dict[str, Any]) -> None:
        text = json.dumps(normal, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        line = text.encode("utf-8", "replace")  # a lone surrogate is not text
        target.write(line + b"\n")
        self.exchanges.add(normal["account"]["exchange"])
        self._count += 1
        self.longest = max(self.longest, len(line))


def _bounded(faults: list[Fault]) -> list[Fault]:
    """The first faults; where there are more, the last one says so."""
    if len(faults) <= _MOST_FAULTS:
        return faults
    last = faults[_MOST_FAULTS - 1]
    return [*faults[: _MOST_FAULTS - 1], Fault(file=last.file, line=last.line, message="and more: mend these first")]


def _as_they_stand(lines: bytes, split: list[bytes]) -> tuple[bytearray, set[str]] | None:
    """Lines, whole and split, as trusted text, and the exchanges they name, if all are well-formed and mean at any moment
    what they say: nothing in them expires or is counted. None where one of them needs a careful look.
    """
    import msgspec

    if _ODD_TIME.search(lines) or _DISGUISED.search(lines):
        return None
    decode, encode = document.decoder().decode, msgspec.json.Encoder().encode_into
    trusted, exchanges = bytearray(), set()
    try:
        for line in split:
            if line.strip():  # one at a time, so that what was decoded is still near when it is written out
                one = decode(line)
                if one.sources and _moving(one.sources):
                    return None
                exchanges.add(one.account.exchange)
                encode(one, trusted, -1)
                trusted += b"\n"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    # Of a key that stands twice the decoder keeps one, and two quotes or more are gone.
    whole = lines.count(b'"') == trusted.count(b'"')
    return (trusted, exchanges) if whole else None


def _moving(sources: dict[str, Any]) -> bool:
    """Whether something in a document expires or was counted on a day: what that says depends on the moment."""
    return "account.keys_counted" in sources or any(source.expires for source in sources.values())
