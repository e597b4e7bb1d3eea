"""Reads one span of a file of documents, one JSON document a line, into tables.

Lines that the typed decoder accepts as they stand are taken as it read them; every other one is checked with care and
either spelled anew or refused with its line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from auditor import yamlio
from auditor.engine import parquet_rows
from auditor.engine.files import Batch, Span, batches, careful
from auditor.engine.tables import Part
from auditor.errors import Fault, InputError
from auditor.model import document
from auditor.model.normalise import normalise

MOST_FAULTS = 50
_WORTH_A_DECODER = 2**14
"""Bytes. To make one takes as long as to read so many with care."""


def read(path: Path, span: Span, part: Part, now: datetime) -> list[Fault]:
    """Writes the documents of a span, or says what is wrong, the lines counted from 1 where the span begins.

    Raises InputError for a file that cannot be read, or has too long a line.
    """
    return _read(batches(path, span), part, lambda line, number: _mend(line, str(path), number, part, now))


def read_rows(path: Path, part: Part, now: datetime) -> list[Fault]:
    """Writes the rows of a Parquet file as documents, or says what is wrong. Raises InputError as `read`."""
    return _read(parquet_rows.rows(path), part, lambda row, number: _check_row(row, str(path), number, part, now))


def _read(found: Iterator[Batch], part: Part, with_care: Callable[[bytes, int], Iterable[Fault]]) -> list[Fault]:
    """Batches of lines, each as it stands or else line by line with care, up to too many faults."""
    faults: list[Fault] = []
    with part:
        for batch in found:
            if taken(batch, part):
                continue
            for number, line in enumerate(batch.lines.split(b"\n"), batch.first):
                faults += with_care(line, number)
                if len(faults) > MOST_FAULTS:
                    return faults
    return faults


def _check_row(row: bytes, file: str, number: int, part: Part, now: datetime) -> Iterable[Fault]:
    try:
        return check(parquet_rows.document_of(row, file, number), part, now)
    except InputError as error:
        return error.faults


def taken(batch: Batch, part: Part) -> bool:
    """Whether all these lines are well-formed and mean at any moment what they say, nothing in them expiring or being
    counted; if so they were written. False where one of them needs a careful look.
    """
    lines = batch.lines
    if len(lines) < _WORTH_A_DECODER:
        return False
    import msgspec

    try:
        decoded = _decoded(lines, part)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    if (
        len(decoded) != batch.count
        or not _one_a_line(lines)
        or any(one.sources and _moving(one.sources) for one in decoded)
    ):
        return False
    if not (document.dated(decoded, part.stated) and part.take(decoded, lines)):
        return False
    part.longest = max(part.longest, len(lines))
    return True


def _decoded(lines: bytes, part: Part) -> list[Any]:
    """Documents as they are well-formed. A file states the same few facts in all its lines, mostly: a decoder of no
    others takes half the time, until a line states one more. Raises MsgspecError, UnicodeDecodeError.
    """
    import msgspec

    if part.stated:
        with suppress(msgspec.ValidationError):
            found: list[Any] = document.decoder(nulls=part.nulls, only=frozenset(part.stated)).decode_lines(lines)
            return found
    found = document.decoder(nulls=part.nulls).decode_lines(lines)
    part.stated.update(document.stated(found))
    return found


def _one_a_line(lines: bytes) -> bool:
    """Whether each line of such text begins and ends with a document. The decoder does not mind where lines end."""
    place = lines.find(b"\n")
    while place >= 0:
        last = place - 1 if lines[place - 1 : place] != b"\r" else place - 2
        if lines[last : last + 1] != b"}" or lines[place + 1 : place + 2] != b"{":
            return False
        place = lines.find(b"\n", place + 1)
    return lines.startswith(b"{")


def check(read_: yamlio.Document, part: Part, now: datetime) -> list[Fault]:
    """Writes a document spelled anew, or says what is wrong with it."""
    try:
        faults = list(islice(document.faults(read_), MOST_FAULTS + 1))
    except RecursionError:
        return [read_.fault("is nested too deeply")]
    if not faults:
        part.add(normalise(read_.value, now))
    return faults


def check_all(documents: Iterator[yamlio.Document], part: Part, now: datetime) -> list[Fault]:
    """Writes documents spelled anew, up to too many faults."""
    faults: list[Fault] = []
    with part:
        for one in documents:
            faults += check(one, part, now)
            if len(faults) > MOST_FAULTS:
                break
    return faults


def _mend(line: bytes, file: str, number: int, part: Part, now: datetime) -> Iterable[Fault]:
    """One line, spelled anew, or its faults."""
    if not line.strip():
        return ()
    try:
        return check(careful(line, file, number), part, now)
    except InputError as error:
        return error.faults


def _moving(sources: dict[str, Any]) -> bool:
    """Whether something in a document expires or was counted on a day: what that says depends on the moment."""
    return bool(sources.get("account.keys_counted")) or any(one and one.expires for one in sources.values())
