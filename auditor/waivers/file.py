"""Writes a waiver into the file of waivers and leaves everything else that stands there, comments too, as it is.

Works on the text, because a file that people keep is more than its values; what comes out is read again before it is
kept. Knows no report.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from auditor import files, yamlio
from auditor.errors import Fault, InputError
from auditor.redaction import printable
from auditor.waivers import Waiver, parse

_HEAD = """# Risks that somebody accepted: why, who, and until when (the last day, UTC). A waived failure stays a failure in the
# report and in the score; it does not count towards the exit code. Each entry is bound to its finding and to the state
# in which its subject was accepted: write entries with `auditor waive`.
version: 1
waivers:
"""
_ITEM = re.compile(r"( *)- \S")
_NOTHING = re.compile(r"waivers:\s*(\[\s*\]|null|~)?\s*(#.*)?")
_BESIDE = re.compile(r"\s*(#.*)?")


def write(path: Path, waiver: Waiver, *, about: str, now: datetime) -> bool:
    """Puts the waiver into the file, in the place of an older one of the same finding; True where there was one.

    `about` says to people what the finding is. Raises InputError where the file is malformed or its layout is not one
    that can be added to, and OSError where it cannot be written.
    """
    text = yamlio.read_text(path) if os.path.lexists(path) else _HEAD
    document = _read(text, path)
    held = parse(document, now=now)
    place = next((at for at, one in enumerate(held) if one.finding == waiver.finding), None)
    spelled = _spelled(text, document, len(held), place, _entry(waiver, about))
    wanted = {**_values(held), **_values([waiver])}
    if spelled is None or _values(_reread(spelled, path, now)) != wanted:
        hint = "write `waivers:` at the end of the file and below it one `- finding: ...` a waiver, or start a new file"
        raise InputError(
            [document.fault("nothing can be added to a list that is written like this", "waivers", hint=hint)]
        )
    files.write(path, spelled.encode())
    return place is not None


def _reread(text: str, path: Path, now: datetime) -> tuple[Waiver, ...]:
    try:
        return parse(_read(text, path), now=now)
    except InputError:
        return ()


def _read(text: str, path: Path) -> yamlio.Document:
    documents = list(yamlio.parse_all(text, str(path)))
    if len(documents) != 1:
        raise InputError([Fault(file=str(path), line=0, message=f"holds {len(documents)} documents, not one")])
    return documents[0]


def _values(waivers: Iterable[Waiver]) -> dict[str, tuple[object, ...]]:
    return {one.finding: (one.state, one.reason, one.owner, one.until) for one in waivers}


def _spelled(text: str, document: yamlio.Document, count: int, place: int | None, entry: Sequence[str]) -> str | None:
    """The text with the entry in it, or None where the list is not written one item below the other."""
    lines = text.splitlines(keepends=True)
    end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    if lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += end
    if count == 0:
        return _first(lines, [f"  {line}{end}" for line in entry], end)
    starts = [document.line("waivers", at) - 1 for at in range(count)]
    first = _ITEM.match(lines[starts[0]])
    if first is None:
        return None
    new = [f"{first[1]}{line}{end}" for line in entry]
    if place is None:
        return "".join([*lines, *new])
    stop = starts[place + 1] if place + 1 < count else len(lines)
    while _BESIDE.fullmatch(lines[stop - 1].rstrip("\r\n")):
        stop -= 1
    return "".join([*lines[: starts[place]], *new, *lines[stop:]])


def _first(lines: Sequence[str], new: Sequence[str], end: str) -> str:
    """The text with the first entry of its list."""
    at = next((at for at, line in enumerate(lines) if _NOTHING.fullmatch(line.rstrip("\r\n"))), None)
    if at is None:
        return "".join([*lines, f"waivers:{end}", *new])
    return "".join([*lines[:at], f"waivers:{end}", *new, *lines[at + 1 :]])


def _entry(waiver: Waiver, about: str) -> list[str]:
    return [
        f"- finding: {_quoted(waiver.finding)}  # {printable(about)}",
        f"  state: {_quoted(waiver.state)}",
        f"  reason: {_quoted(waiver.reason)}",
        f"  owner: {_quoted(waiver.owner)}",
        f"  until: {waiver.until.isoformat()}",
    ]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
