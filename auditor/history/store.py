"""The store: records are appended whole, under one lock, and read back only if their signatures and hashes hold.

Knows tables and the chain; what a part says is JSON to it. Every method opens the database anew, so that a server that
comes back is used again, and one that goes away costs the step that met it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from auditor import signing
from auditor.history import chain, database
from auditor.history.chain import Fault, Head, Record
from auditor.history.connection import Connection, listed, scalar
from auditor.history.database import HistoryError
from auditor.history.tables import BODY, HEAD, PART, RECORD, insert
from auditor.history.witness import Witness
from auditor.model.facts import format_time
from auditor.values import frozen

Parts = Mapping[tuple[str, str], Any]
"""(account, kind) -> JSON value, or its Body. The account is empty for what concerns the whole record."""
SUBJECTS = "subjects"
"""The part that stands for the rows of an account (see `inventory`): they are its body, and only the newest ones are kept."""
_LARGEST = 2**30
_AT_ONCE = 500
_QUICK = 4
"""How hard a body is compressed: a twelfth larger than zlib would make it by itself, in half the time."""
_RECORDS = f"SELECT {', '.join(RECORD)} FROM history_record"  # noqa: S608  (our own names)
_ORPHANS = "NOT EXISTS (SELECT 1 FROM history_part WHERE history_part.sha256 = history_body.sha256)"


@frozen
class Body:
    """A part ready to be stored. What takes long is made before anybody has to wait for the lock.

    `packed` is None where what is said stands in rows.
    """

    sha256: str
    packed: bytes | None

    @classmethod
    def of(cls, value: Any) -> Body:
        """The body of a JSON value, in the order it was given: a report is shown again as it was."""
        raw = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
        return cls(sha256=hashlib.sha256(raw).hexdigest(), packed=zlib.compress(raw, _QUICK))


class NoHistoryError(HistoryError):
    """Nothing was ever stored there."""


class TamperedError(HistoryError):
    """Something in the history is not as it was written: what rests on it is not believed."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(
            f"the history was tampered with: {fault}", hint="`auditor history verify` says all that is wrong"
        )
        self.fault = fault


@dataclass(slots=True, kw_only=True)
class View:
    """The history inside one transaction. What it gives was checked, or TamperedError was raised."""

    connection: Connection
    trusted: frozenset[str]
    head: Head | None = None
    _checked: dict[int, dict[tuple[str, str], str]] = field(default_factory=dict)
    _records: dict[int, Record | None] = field(default_factory=dict)

    def records(self, *kinds: str, account: str | None = None, newest: int | None = None) -> list[Record]:
        """Records in the order of their numbers: of these kinds, about this account, the newest ones only. Unchecked."""
        names, values = listed("kind", kinds)
        asked = [f"kind IN ({names})"] if kinds else []
        if account is not None:
            asked.append("seq IN (SELECT seq FROM history_part WHERE account = :account)")
            values["account"] = account
        query = f"{_RECORDS} WHERE {' AND '.join(asked) or 'TRUE'} ORDER BY seq DESC"
        if newest is not None:
            query, values = f"{query} LIMIT :newest", {**values, "newest": newest}
        return [_record(row) for row in self.connection.rows(query, values)][::-1]

    def record(self, seq: int) -> Record | None:
        """One record, unchecked."""
        return next(map(_record, self.connection.rows(f"{_RECORDS} WHERE seq = :seq", {"seq": seq})), None)

    def record_of(self, seq: int) -> Record | None:
        """The same, asked for once however often it is needed."""
        if seq not in self._records:
            self._records[seq] = self.record(seq)
        return self._records[seq]

    def newest(self, kind: str) -> dict[str, int]:
        """Account -> the number of the newest record that has such a part about it."""
        query = "SELECT account, max(seq) FROM history_part WHERE kind = :kind GROUP BY account"
        return dict(self.connection.rows(query, {"kind": kind}))

    def approved(self) -> set[int]:
        """The runs that were approved as a whole: what was said of them is read from them."""
        query = "SELECT sha256, min(seq), min(account) FROM history_part WHERE kind = 'approval' GROUP BY sha256"
        rows = list(self.connection.rows(query))
        said = [json.loads(self.body(seq, account, "approval", sha256)) for sha256, seq, account in rows]
        return {int(one["run"]) for one in said if "run" in one}

    def names(self, record: Record) -> dict[tuple[str, str], str]:
        """The parts of a record and their hashes, once it is known to be as it was written. None for a pruned one."""
        if record.seq not in self._checked:
            if (fault := chain.doubt(record, self.trusted)) is not None:
                raise TamperedError(fault)
            self._checked[record.seq] = found = self.listed(record.seq)
            if found and content_of(found) != record.content:
                raise TamperedError(edited(record.seq, "one of its parts was added, removed or replaced"))
        return self._checked[record.seq]

    def listed(self, seq: int) -> dict[tuple[str, str], str]:
        """(account, kind) -> sha256 of the parts that stand with a record, unchecked."""
        rows = self.connection.rows("SELECT account, kind, sha256 FROM history_part WHERE seq = :seq", {"seq": seq})
        return {(account, kind): sha256 for account, kind, sha256 in rows}

    def part(self, record: Record, account: str, kind: str) -> Any:
        """What a record says; None where it says nothing of that, or was pruned."""
        raw = self.raw(record, account, kind)
        return None if raw is None else json.loads(raw)

    def raw(self, record: Record, account: str, kind: str) -> bytes | None:
        """The same as the bytes that were hashed: JSON."""
        sha256 = self.names(record).get((account, kind))
        return None if sha256 is None else self.body(record.seq, account, kind, sha256)

    def body(self, seq: int, account: str, kind: str, sha256: str) -> bytes:
        """The bytes of a part. Raises TamperedError where they are not those that were written."""
        raw = scalar(self.connection.rows("SELECT body FROM history_body WHERE sha256 = :sha256", {"sha256": sha256}))
        unpacking = zlib.decompressobj()
        try:
            body = unpacking.decompress(raw if isinstance(raw, bytes) else b"", _LARGEST)
        except zlib.error:
            body = b""
        if hashlib.sha256(body).hexdigest() != sha256 or not unpacking.eof or unpacking.unused_data:
            raise TamperedError(edited(seq, f"its {kind}{f' of {account}' if account else ''} was edited"))
        return body


@frozen
class Store:
    """One history and the key that writes it. `trusted` are the public keys (hex) whose records count here."""

    url: str = field(repr=False)
    signer: signing.Signer
    trusted: frozenset[str]
    witness: Witness

    @contextmanager
    def reading(self) -> Iterator[View]:
        """A consistent view. Raises HistoryError, also where there is no history yet."""
        file = database.file_of(self.url)
        if file is not None and not file.exists():
            raise self._none_yet()
        with database.connected(self.url) as connection:
            ready = database.prepare(connection, upgrade=False)
            if ready is None:
                raise self._none_yet()
            if ready:
                yield View(connection=connection, trusted=self.trusted, head=_head(connection))
                return
        # from an earlier version: it says what it said before
        with database.connected(self.url, writes=True) as connection:
            database.prepare(connection, upgrade=True)
            yield View(connection=connection, trusted=self.trusted, head=_head(connection))

    def _none_yet(self) -> NoHistoryError:
        seen = self.witness.seen()
        if seen is None:
            return NoHistoryError("there is no history yet", hint="`auditor audit` begins one")
        hint = "put a copy of it back; where it was meant to go, `auditor history verify --accept` after the next audit"
        return NoHistoryError(f"the history of {seen.seq} records that was here is gone", hint=hint)

    def append(self, kind: str, at: datetime, make: Callable[[View], Parts]) -> Record:
        """Writes the next record. `make` says what it holds, and sees the history as nobody else can change it.

        When this returns the record is on the disk. Raises HistoryError, and then nothing was written.
        """
        if (file := database.file_of(self.url)) is not None:
            database.make_file(file)
        with database.connected(self.url, writes=True) as connection:
            database.prepare(connection, upgrade=True)
            view = View(connection=connection, trusted=self.trusted, head=_head(connection))
            record, head = self._write(view, kind, at, make(view))
        self.witness.saw(head)
        return record

    def _write(self, view: View, kind: str, at: datetime, parts: Parts) -> tuple[Record, Head]:
        bodies = {name: value if isinstance(value, Body) else Body.of(value) for name, value in parts.items()}
        hashes = {name: body.sha256 for name, body in bodies.items()}
        before = self._end(view)
        record, head = chain.seal(
            self.signer,
            history=before.history if before else secrets.token_hex(16),
            after=before,
            kind=kind,
            at=format_time(at),
            content=content_of(hashes),
        )
        write = view.connection.write
        write(insert("history_record", RECORD), asdict(record))
        _keep(view.connection, {body.sha256: body.packed for body in bodies.values() if body.packed is not None})
        if bodies:
            rows = [{"seq": record.seq, "account": one[0], "kind": one[1], "sha256": hashes[one]} for one in bodies]
            write(insert("history_part", PART), rows)
        write("DELETE FROM history_head")
        write(insert("history_head", HEAD), {"id": 1, **asdict(head)})
        return record, head

    def _end(self, view: View) -> Head | None:
        """What the next record follows. A broken end is not mended: after a cut the numbers go on where the head says, so
        that the gap stays to be seen.
        """
        last = next(iter(view.records(newest=1)), None)
        head = view.head
        if head is not None and chain.doubt(head, self.trusted) is None and (last is None or head.seq >= last.seq):
            return head
        return Head(history=last.history, seq=last.seq, hash=last.hash, signer=last.signer) if last else None

    def prune(self, before: datetime, now: datetime) -> tuple[Record, list[int]] | None:
        """Forgets what runs before a moment said, but for the newest of each account, and leaves a signed tombstone.

        The links stay, so that the chain still verifies. None where there was nothing to forget.
        """
        pruned: list[int] = []

        def bury(view: View) -> Parts:
            needed = set(view.newest("inventory").values()) | set(view.newest("run").values()) | view.approved()
            old = [one for one in view.records("run") if one.at < format_time(before) and one.seq not in needed]
            graves = [{"seq": one.seq, "hash": one.hash} for one in old if view.names(one)]
            if not graves:
                raise _NothingToPruneError
            pruned.extend(grave["seq"] for grave in graves)  # type: ignore[misc]
            view.connection.write("DELETE FROM history_part WHERE seq = :seq", [{"seq": seq} for seq in pruned])
            view.connection.write(f"DELETE FROM history_body WHERE {_ORPHANS}")  # noqa: S608  (our own names)
            return {("", "prune"): {"before": format_time(before), "pruned": graves}}

        try:
            return self.append("prune", now, bury), pruned
        except _NothingToPruneError:
            return None


class _NothingToPruneError(Exception):
    """Ends the transaction of a prune that found nothing."""


def content_of(hashes: Mapping[tuple[str, str], str]) -> str:
    """The content hash of a record with these parts. An account's name holds no slash."""
    return chain.content_of({f"{account}/{kind}": sha256 for (account, kind), sha256 in hashes.items()})


def _keep(connection: Connection, bodies: Mapping[str, bytes]) -> None:
    """Stores what is not there yet: what a rule says of itself is the same in every run."""
    there: set[str] = set()
    wanted = list(bodies)
    for start in range(0, len(wanted), _AT_ONCE):
        names, values = listed("mark", wanted[start : start + _AT_ONCE])
        query = f"SELECT sha256 FROM history_body WHERE sha256 IN ({names})"  # noqa: S608  (names of values)
        there |= {mark for (mark,) in connection.rows(query, values)}
    rows = [{"sha256": mark, "body": packed} for mark, packed in bodies.items() if mark not in there]
    if rows:
        connection.write(insert("history_body", BODY), rows)


def edited(seq: int | None, detail: str) -> Fault:
    """The fault of a record that does not say any more what was written."""
    return Fault(seq=seq, what="edited", detail=detail)


def _head(connection: Connection) -> Head | None:
    rows = connection.rows(f"SELECT {', '.join(HEAD[1:])} FROM history_head ORDER BY id")  # noqa: S608  (our own names)
    return next((Head(**dict(zip(HEAD[1:], row, strict=True))) for row in rows), None)


def _record(row: tuple[Any, ...]) -> Record:
    return Record(**dict(zip(RECORD, row, strict=True)))


def open_store(url: str, *, key: Path) -> Store:
    """The history at `url`, written with the signing key in the file `key`, which is made on first use.

    Raises HistoryError and CredentialError. Nothing is opened yet.
    """
    signer = signing.load(key)
    trusted = frozenset(public.hex() for public in signing.known(key).values())
    return Store(url=url, signer=signer, trusted=trusted, witness=Witness.of(key, database.place(url)))
