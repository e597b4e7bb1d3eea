"""Evidence on disk as it comes: one line an account, so that a collection that was interrupted need not ask again.

The journal lies beside the output until that is written whole. Knows no exchange; a line it cannot trust was never written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from auditor.engine.files import batches, careful, spans
from auditor.errors import InputError, UsageError
from auditor.model import document
from auditor.model.evidence import Reason, Snapshot
from auditor.model.normalise import normalise, snapshot

if TYPE_CHECKING:
    import msgspec

HOLDS = timedelta(hours=24)
"""How long what was collected may be taken for what is: whoever resumes later asks again."""
LASTING = frozenset({Reason.NOT_EXPOSED, Reason.NOT_COLLECTED, Reason.PERMISSION_DENIED, Reason.ATTESTATION_EXPIRED})
"""Reasons that asking again would not lift. An account with any other problem was not had."""


class Journal:
    """The lines of one collection; use as a context manager. It stays on disk until `done`."""

    def __init__(self, output: Path, *, resume: bool) -> None:
        self.path = output.with_name(f"{output.name}.part")
        self._resume = resume
        self._stream: BinaryIO | None = None

    def __enter__(self) -> Self:
        keep = os.O_APPEND if self._resume else os.O_TRUNC
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | keep, 0o600)
        except OSError as error:
            hint = "evidence is kept there while it is collected: choose a folder that you may write to"
            raise UsageError(f"{self.path.name} cannot be written: {error.strerror}", hint=hint) from None
        self._stream = os.fdopen(descriptor, "ab")
        if self._resume and self._torn():
            self._stream.write(b"\n")
        return self

    def __exit__(self, *_exc: object) -> None:
        assert self._stream is not None
        self._stream.close()

    def keep(self, one: Snapshot) -> None:
        """Writes one account's evidence; it survives the end of this process, however that comes."""
        assert self._stream is not None
        self._stream.write(_line(one.to_document()) + b"\n")
        self._stream.flush()

    def had(self, accounts: Mapping[str, str], now: datetime) -> dict[str, Snapshot]:
        """What an earlier run saw in full and lately, by account. `accounts` is name -> exchange of those wanted."""
        found: dict[str, Snapshot] = {}
        if not (self._resume and self.path.is_file() and not self.path.is_symlink()):
            return found
        for span in spans(self.path):
            for batch in batches(self.path, span):
                for line in batch.lines.split(b"\n"):
                    one = self._read(line, now)
                    if one is not None and accounts.get(one.name) == one.exchange and _whole(one, now):
                        found[one.name] = one
        return found

    def done(self) -> None:
        """The output holds everything: the journal is not needed any more."""
        self.path.unlink(missing_ok=True)

    def _read(self, line: bytes, now: datetime) -> Snapshot | None:
        if not line.strip():
            return None
        try:
            read = careful(line, str(self.path), 0)
            if next(document.faults(read), None) is not None:
                return None
        except (InputError, RecursionError):
            return None
        return snapshot(normalise(read.value, now), now)

    def _torn(self) -> bool:
        """Whether the last line has no end: the process was stopped in the middle of it."""
        with self.path.open("rb") as stream:
            if stream.seek(0, os.SEEK_END) == 0:
                return False
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) != b"\n"


def _line(document: dict[str, Any]) -> bytes:
    """A document as JSON, in a sixth of the time that `json` takes. Only half a surrogate pair needs an escape."""
    try:
        return _encoder().encode(document)
    except UnicodeEncodeError:
        return json.dumps(document, separators=(",", ":")).encode()


@cache
def _encoder() -> msgspec.json.Encoder:
    import msgspec

    return msgspec.json.Encoder()


def _whole(one: Snapshot, now: datetime) -> bool:
    seen = all(problem.reason in LASTING for problem in one.problems)
    return seen and timedelta(0) <= now - one.collected_at <= HOLDS
