"""Evidence files as they come: documents of YAML, JSON and Parquet and lines of JSON, each with the line it stands on.

Knows how files are read, and refuses what only a lenient reader accepts. What a document must hold is not its business.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from auditor import yamlio
from auditor.errors import Fault, InputError
from auditor.redaction import mask_personal, printable

LONGEST_LINE = 32 * 2**20
_BATCH = 2**19  # small enough for memory to be used again instead of asked for anew
_WORTH_A_READER = 16 * 2**20  # bytes
_MOST_A_READER = 256 * 2**20
_GLOB = re.compile(r"[*?\[]")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Whole lines of a file, from one byte to before another."""

    start: int
    end: int


def spans(path: Path) -> list[Span]:
    """A file of lines shared out: by the processors there are, as far as it is worth one, and in bounded parts."""
    try:
        size = path.stat().st_size
        bounds = [0]
        with path.open("rb") as stream:
            shared = min(size // _WORTH_A_READER, processors())
            for share in range(1, readers := max(1, shared, -(-size // _MOST_A_READER))):
                stream.seek(max(size * share // readers, bounds[-1]))
                if not _over_the_line(stream):
                    break
                bounds.append(stream.tell())
    except OSError as error:
        raise refusal(path, f"cannot be read: {error.strerror}") from None
    return [Span(start=start, end=end) for start, end in pairwise([*bounds, max(size, bounds[-1])])]


def _over_the_line(stream: BinaryIO) -> bool:
    """Moves behind the next line end; False where none is near."""
    for _ in range(LONGEST_LINE // _BATCH):
        if (block := stream.readline(_BATCH)).endswith(b"\n"):
            return True
        if not block:
            break
    return False


def line_of(path: Path, place: int) -> int:
    """The number of the line that begins at a byte, counted from 1."""
    number = 1
    with path.open("rb") as stream:
        while block := stream.read(min(_BATCH, place)):
            number += block.count(b"\n")
            place -= len(block)
    return number


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some whole lines, the last one without its end: how many, and the number of the first."""

    lines: bytes
    first: int
    count: int


def batches(path: Path, span: Span) -> Iterator[Batch]:
    """Whole lines of a span, some hundred KiB at a time, counted from 1 where the span begins."""
    number, rest, left = 1, b"", span.end - span.start
    try:
        with path.open("rb", buffering=0) as stream:
            stream.seek(span.start)
            while block := stream.read(min(_BATCH, left)):
                left -= len(block)
                end = block.rfind(b"\n")
                lines = b"".join((rest, memoryview(block)[: max(end, 0)]))
                rest = block[end + 1 :] if end >= 0 else rest + block
                if len(rest) > LONGEST_LINE:
                    hint = f"the limit is {LONGEST_LINE // 2**20} MiB a line"
                    line = number + (lines.count(b"\n") + 1 if end >= 0 else 0)
                    raise InputError([Fault(file=str(path), line=line, message="is too long", hint=hint)])
                if end < 0:
                    continue
                count = _ends(lines) + 1
                if lines.strip():
                    yield Batch(lines=lines, first=number, count=count)
                number += count
            if rest:
                yield Batch(lines=rest, first=number, count=1)
    except OSError as error:
        raise refusal(path, f"cannot be read: {error.strerror}") from None


def _ends(lines: bytes) -> int:
    """How many line ends there are. Lines are long, and to find the next end is faster than to look at every byte."""
    count, place = 0, lines.find(b"\n")
    while place >= 0:
        count, place = count + 1, lines.find(b"\n", place + 1)
    return count


def careful(line: bytes, file: str, number: int) -> yamlio.Document:
    """One line as a document whose every fault is on that line. Refuses what only a lenient reader accepts."""

    def refuse(message: str) -> NoReturn:
        raise InputError([Fault(file=file, line=number, message=message, hint="each line is one JSON document")])

    def constant(name: str) -> NoReturn:
        refuse(f"holds {name}, which is not a number")

    try:
        value = json.loads(
            line.decode("utf-8-sig"), object_pairs_hook=partial(each_once, refuse), parse_constant=constant
        )
    except UnicodeDecodeError:
        refuse("is not UTF-8 text")
    except json.JSONDecodeError as error:
        refuse(f"is not valid JSON: {error.msg}")
    except RecursionError:
        refuse("is nested too deeply")
    except ValueError:
        refuse("holds a number that is too long")
    return yamlio.Document(file=file, value=value, lines={(): number})


def each_once(refuse: Callable[[str], NoReturn], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A table of these keys and values; `refuse` is called where a key stands twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        refuse(f"the key {printable(mask_personal(twice), limit=100)} stands twice in one table")
    return found


def without_nulls(value: Any) -> Any:
    """A value from a row: nulls in tables left out."""
    if isinstance(value, dict):
        return {key: without_nulls(child) for key, child in value.items() if child is not None}
    return [without_nulls(child) for child in value] if isinstance(value, list) else value


def literal(path: Path) -> str:
    """A path that DuckDB takes as it is, whatever characters are in it."""
    return _GLOB.sub(r"[\g<0>]", str(path))
