"""What this installation last saw of a history, in a small file beside its signing key, out of the database's reach.

A signed head can be put back with the records it names: only somebody who remembers a later one can tell. It is written
after a record is on the disk, so it may lag behind the history but is never ahead of it.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from auditor import files
from auditor.history.chain import Head
from auditor.values import frozen

_LARGEST = 4096


@frozen
class Seen:
    """The newest record that was seen: which history, its number, its hash."""

    history: str
    seq: int
    hash: str


@frozen
class Witness:
    """One file for one history at one place."""

    path: Path

    @classmethod
    def of(cls, key: Path, place: str) -> Witness:
        """The witness of the history at `place`, beside the signing key."""
        return cls(path=key.with_name(f"history-{hashlib.sha256(place.encode()).hexdigest()[:16]}.seen"))

    def seen(self) -> Seen | None:
        """What was seen; None where nothing was, or where the file cannot be read."""
        try:
            with self.path.open("rb") as stream:
                row = json.loads(stream.read(_LARGEST))
            seen = Seen(history=str(row["history"]), seq=int(row["seq"]), hash=str(row["hash"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return seen

    def saw(self, head: Head) -> None:
        """Remembers a head, unless that would forget a later one, or one of another history. A full disk is no error here."""
        before = self.seen()
        if before is not None and (before.history != head.history or before.seq >= head.seq):
            return
        self._keep(head)

    def accept(self, head: Head) -> None:
        """Takes what is there now for right, whatever was seen before: the owner's word."""
        self._keep(head)

    def _keep(self, head: Head) -> None:
        row = {"history": head.history, "seq": head.seq, "hash": head.hash}
        with suppress(OSError):
            files.write(self.path, json.dumps(row).encode() + b"\n")
