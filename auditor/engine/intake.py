"""Brings evidence into trusted tables: checked, normalised at `now`, and the only thing the engine reads.

A large file of lines is shared out among processes, each of which writes a part of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Self

from auditor import yamlio
from auditor.engine import lines, parquet
from auditor.engine.files import Span, each, line_of, processors, refusal, spans
from auditor.engine.tables import Part
from auditor.errors import Fault, InputError
from auditor.model.evidence import Snapshot
from auditor.model.facts import format_time
from auditor.model.normalise import normalise, snapshot

_READER = "from auditor.engine import _reader; _reader.main()"
_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TOP_PAD_": str(2**26)}
"""For a reader that asks for as much as it just gave back, over and over: the C library keeps it meanwhile."""


class Evidence:
    """Evidence documents, trusted and in order. Owns a private temporary folder; use as a context manager."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._temporary = tempfile.TemporaryDirectory(prefix="auditor-")
        self.folder = Path(self._temporary.name)
        self.parts: list[Part] = []
        self._own: Part | None = None  # the one that this process writes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._temporary.cleanup()

    def __len__(self) -> int:
        return sum(part.count for part in self.parts)

    @property
    def exchanges(self) -> set[str]:
        """Whose accounts these are: only their venue files need to be read."""
        return {exchange for part in self.parts for exchange in part.exchanges}

    def documents(self) -> Iterator[dict[str, Any]]:
        """The documents in normal form, in order, one in memory at a time."""
        return (one for part in self.parts for one in part.documents())

    def snapshots(self) -> Iterator[Snapshot]:
        """The documents as snapshots, in order, one in memory at a time."""
        return (snapshot(normalise(one, self.now), self.now) for one in self.documents())

    def add(self, documents: Iterable[dict[str, Any]]) -> Self:
        """Appends documents that are known to be well-formed: collected snapshots, or the cases of checked rules."""
        with self._part() as part:
            for one in documents:
                part.add(normalise(one, self.now))
        return self

    def take(self, lines: bytes) -> Self:
        """Appends documents in normal form, a line each, as another Evidence of the same moment holds them."""
        with self._part() as part:
            for line in lines.splitlines():
                part.add(json.loads(line))
        return self

    def add_files(self, paths: Iterable[Path]) -> Self:
        """Appends the documents of `.json`, `.yaml`, `.jsonl` and `.parquet` files. Raises InputError with every fault."""
        faults: list[Fault] = []
        for path in paths:
            before = len(self)
            try:
                found = self._add_file(path)
                if len(self) == before and not found:
                    raise refusal(path, "holds no evidence document", "an evidence file has at least one document")
                faults += found
            except InputError as error:
                faults += error.faults
        if faults:
            self._temporary.cleanup()  # nobody may have entered yet
            raise InputError(_bounded(faults))
        return self

    def _part(self) -> Part:
        """The part to write to: the last one, where it is our own."""
        if self._own is None or self.parts[-1] is not self._own:
            self._own = Part(folder=self._folder())
            self.parts.append(self._own)
        return self._own

    def _folder(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="part-", dir=self.folder))

    def _add_file(self, path: Path) -> list[Fault]:
        suffix = path.suffix.lower()
        if path.exists() and not path.is_file():  # a pipe, for one, must not be opened at all
            raise refusal(path, "is not a file", "give the file itself: pipes and folders are not read")
        if suffix == ".jsonl":
            return self._add_lines(path)
        if suffix == ".parquet":
            if found := parquet.ranges(path, self._folder()):
                self.parts += found
                return []
            self.parts.append(Part(folder=self._folder(), nulls=True))
            return lines.read_rows(path, self.parts[-1], self.now)
        if suffix in {".json", ".yaml", ".yml"}:
            each_ = (one for read in yamlio.read_all(path) for one in each(read))
            return lines.check_all(each_, self._part(), self.now)
        hint = "evidence comes as .json, .yaml, .jsonl or .parquet"
        raise refusal(path, f"has the unknown suffix {suffix or 'none'}", hint)

    def _add_lines(self, path: Path) -> list[Fault]:
        shares = spans(path)
        if len(shares) == 1:
            return lines.read(path, shares[0], self._part(), self.now)
        parts = [Part(folder=self._folder()) for _ in shares]
        readers = deque(zip(shares, parts, strict=True))
        faults: list[Fault] = []
        with ExitStack() as stack:
            running: deque[tuple[_Reader, Part]] = deque()
            while readers or running:
                while readers and len(running) < processors():
                    span, part = readers.popleft()
                    running.append((stack.enter_context(_Reader(path, span, part.folder, self.now)), part))
                reader, part = running.popleft()
                faults += reader.finish(part)
        self.parts += [part for part in parts if part.count]
        return faults


class _Reader:
    """A process that reads one span of a file into a part. A context manager: whoever gives up ends it."""

    def __init__(self, path: Path, span: Span, folder: Path, now: datetime) -> None:
        self._path, self._span = path, span
        request = [str(path), str(span.start), str(span.end), str(folder), format_time(now)]
        package = str(Path(__file__).resolve().parents[2])
        self._process = subprocess.Popen(  # noqa: S603  (ourselves)
            [sys.executable, "-c", _READER, *request],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join([package, *sys.path]), **_MEMORY},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        with self._process:  # waits, and closes the pipe
            pass

    def finish(self, part: Part) -> list[Fault]:
        """Waits, and tells `part` what was written there. Returns what is wrong. Raises InputError where it died."""
        try:
            told = json.loads(self._process.communicate()[0])
        except ValueError:
            raise refusal(
                self._path, "could not be read: a reader of it was stopped", "is there memory enough?"
            ) from None
        part.count, part.longest = told["count"], told["longest"]
        part.exchanges, part.stated = set(told["exchanges"]), set(told["stated"])
        if not told["faults"]:
            return []
        before = line_of(self._path, self._span.start) - 1
        return [
            Fault(file=str(self._path), line=line and line + before, message=message, hint=hint)
            for line, message, hint in told["faults"]
        ]


def _bounded(faults: list[Fault]) -> list[Fault]:
    """The first faults; where there are more, the last one says so."""
    if len(faults) <= lines.MOST_FAULTS:
        return faults
    last = faults[lines.MOST_FAULTS - 1]
    more = Fault(file=last.file, line=last.line, message="and more: mend these first")
    return [*islice(faults, lines.MOST_FAULTS - 1), more]
