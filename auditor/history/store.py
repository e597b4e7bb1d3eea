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
from typing import TYPE_CHECKING, Any

from auditor import signing
from auditor.history import chain, database
from auditor.history.chain import Fault, Head, Record
from auditor.history.database import HistoryError
from auditor.history.tables import tables
from auditor.history.witness import Witness
from auditor.model.facts import format_time

if TYPE_CHECKING:
    from sqlalchemy import Connection

Parts = Mapping[tuple[str, str], Any]
"""(account, kind) -> JSON value, or its Body. The account is empty for what concerns the whole record."""
SUBJECTS = "subjects"
"""The part that stands for the rows of an account (see `inventory`): they are its body, and only the newest ones are kept."""
_LARGEST = 2**30
_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
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
        return cls(sha256=hashlib.sha256(raw).hexdigest(), packed=zlib.compress(raw))


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
        from sqlalchemy import select

        table = tables()
        query = select(table.record).order_by(table.record.c.seq.desc()).limit(newest)
        if kinds:
            query = query.where(table.record.c.kind.in_(kinds))
        if account is not None:
            about = select(table.part.c.seq).where(table.part.c.account == account)
            query = query.where(table.record.c.seq.in_(about))
        found = [Record(**row) for row in self.connection.execute(query).mappings()]
        return found[::-1]

    def record(self, seq: int) -> Record | None:
        """One record, unchecked."""
        from sqlalchemy import select

        table = tables().record
        row = self.connection.execute(select(table).where(table.c.seq == seq)).mappings().first()
        return Record(**row) if row else None

    def record_of(self, seq: int) -> Record | None:
        """The same, asked for once however often it is needed."""
        if seq not in self._records:
            self._records[seq] = self.record(seq)
        return self._records[seq]

    def newest(self, kind: str) -> dict[str, int]:
        """Account -> the number of the newest record that has such a part about it."""
        from sqlalchemy import func, select

        part = tables().part
        query = select(part.c.account, func.max(part.c.seq)).where(part.c.kind == kind).group_by(part.c.account)
        return {row[0]: row[1] for row in self.connection.execute(query)}

    def approved(self) -> set[int]:
        """The runs that were approved as a whole: what was said of them is read from them."""
        from sqlalchemy import func, select

        part = tables().part
        query = select(part.c.sha256, func.min(part.c.seq), func.min(part.c.account)).where(part.c.kind == "approval")
        rows = self.connection.execute(query.group_by(part.c.sha256)).all()
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
        from sqlalchemy import select

        part = tables().part
        rows = self.connection.execute(select(part.c.account, part.c.kind, part.c.sha256).where(part.c.seq == seq))
        return {(account, kind): sha256 for account, kind, sha256 in rows}

    def part(self, record: Record, account: str, kind: str) -> Any:
        """What a record says; None where it says nothing of that, or was pruned."""
        sha256 = self.names(record).get((account, kind))
        return None if sha256 is None else json.loads(self.body(record.seq, account, kind, sha256))

    def body(self, seq: int, account: str, kind: str, sha256: str) -> bytes:
        """The bytes of a part. Raises TamperedError where they are not those that were written."""
        from sqlalchemy import select

        held = tables().body
        raw = self.connection.execute(select(held.c.body).where(held.c.sha256 == sha256)).scalar()
        unpacking = zlib.decompressobj()
        try:
            body = unpacking.decompress(raw or b"", _LARGEST)
        except zlib.error:
            body = b""
        if hashlib.sha256(body).hexdigest() != sha256 or not unpacking.eof or unpacking.unused_data:
            raise TamperedError(edited(seq, f"its {kind}{f' of {account}' if account else ''} was edited"))
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
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
        with self._connected() as connection:
            ready = database.prepare(connection, upgrade=False)
            if ready is None:
                raise self._none_yet()
            if ready:
                yield View(connection=connection, trusted=self.trusted, head=_head(connection))
                return
        with self._connected(writes=True) as connection:  # from an earlier version: it says what it said before
            database.prepare(connection, upgrade=True)
            yield View(connection=connection, trusted=self.trusted, head=_head(connection))

    def _none_yet(self) -> NoHistoryError:
        seen = self.witness.seen()
        if seen is None:
            return NoHistoryError("there is no history yet", hint="`auditor audit` begins one")
        hint = "put a copy of it back; where it was meant to go, `auditor history verify --accept` after the next audit"
        return NoHistoryError(f"the history of {seen.seq} records that was here is gone", hint=hint)

    @contextmanager
    def _connected(self, *, writes: bool = False) -> Iterator[Connection]:
        engine = database.engine(self.url)
        with database.told():
            options = {"writes": writes}
            if not writes and engine.dialect.name == "postgresql":
                options |= {"isolation_level": "REPEATABLE READ"}  # type: ignore[dict-item]
            with engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection

    def append(self, kind: str, at: datetime, make: Callable[[View], Parts]) -> Record:
        """Writes the next record. `make` says what it holds, and sees the history as nobody else can change it.

        When this returns the record is on the disk. Raises HistoryError, and then nothing was written.
        """
        if (file := database.file_of(self.url)) is not None:
            database.make_file(file)
        with self._connected(writes=True) as connection:
            database.prepare(connection, upgrade=True)
            view = View(connection=connection, trusted=self.trusted, head=_head(connection))
            record, head = self._write(view, kind, at, make(view))
        self.witness.saw(head)
        return record

    def _write(self, view: View, kind: str, at: datetime, parts: Parts) -> tuple[Record, Head]:
        from sqlalchemy import delete, insert

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
        table = tables()
        view.connection.execute(insert(table.record).values(**asdict(record)))
        _keep(view.connection, {body.sha256: body.packed for body in bodies.values() if body.packed is not None})
        if bodies:
            rows = [{"seq": record.seq, "account": one[0], "kind": one[1], "sha256": hashes[one]} for one in bodies]
            view.connection.execute(insert(table.part), rows)
        view.connection.execute(delete(table.head))
        view.connection.execute(insert(table.head).values(id=1, **asdict(head)))
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
        from sqlalchemy import delete, select

        pruned: list[int] = []

        def bury(view: View) -> Parts:
            needed = set(view.newest("inventory").values()) | set(view.newest("run").values()) | view.approved()
            old = [one for one in view.records("run") if one.at < format_time(before) and one.seq not in needed]
            graves = [{"seq": one.seq, "hash": one.hash} for one in old if view.names(one)]
            if not graves:
                raise _NothingToPruneError
            pruned.extend(grave["seq"] for grave in graves)  # type: ignore[misc]
            part, body = tables().part, tables().body
            for seq in pruned:
                view.connection.execute(delete(part).where(part.c.seq == seq))
            said = select(part.c.seq).where(part.c.sha256 == body.c.sha256).exists()
            view.connection.execute(delete(body).where(~said))
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
    from sqlalchemy import insert, select

    table = tables().body
    there: set[str] = set()
    wanted = list(bodies)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        there |= set(connection.execute(select(table.c.sha256).where(table.c.sha256.in_(some))).scalars())
    rows = [{"sha256": mark, "body": packed} for mark, packed in bodies.items() if mark not in there]
    if rows:
        connection.execute(insert(table), rows)


def edited(seq: int | None, detail: str) -> Fault:
    """The fault of a record that does not say any more what was written."""
    return Fault(seq=seq, what="edited", detail=detail)


def _head(connection: Connection) -> Head | None:
    from sqlalchemy import select

    table = tables().head
    row = connection.execute(select(table).order_by(table.c.id)).mappings().first()
    return Head(**{name: value for name, value in row.items() if name != "id"}) if row else None


def open_store(url: str, *, key: Path) -> Store:
    """The history at `url`, written with the signing key in the file `key`, which is made on first use.

    Raises HistoryError and CredentialError. Nothing is opened yet.
    """
    signer = signing.load(key)
    trusted = frozenset(public.hex() for public in signing.known(key).values())
    return Store(url=url, signer=signer, trusted=trusted, witness=Witness.of(key, database.place(url)))
