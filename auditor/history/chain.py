"""The chain of records: each one names the hash of the one before and is signed, and so is the head, which names the newest.

Pure: knows bytes, hashes and signatures, and neither a database nor what a record says. A record is signed over the
canonical JSON of its history's id, its number, kind, moment, content hash, the hash before it and the id of its key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from auditor import signing
from auditor.signing import Signer
from auditor.values import frozen

BEGINNING = "0" * 64
"""What the first record names as the hash before it."""
KINDS = ("run", "approval", "confirmation", "prune")
_RECORD, _HEAD = b"auditor/history/1/record\n", b"auditor/history/1/head\n"
_MOST_TRIED = 200


@frozen
class Record:
    """One link. `at` is UTC text; `content` and `previous` are sha256, `signer` a public key, `signature` its mark, in hex."""

    history: str
    seq: int
    kind: str
    at: str
    content: str
    previous: str
    signer: str
    signature: str = ""

    @property
    def payload(self) -> bytes:
        """What is signed, and hashed into the record after this one."""
        named = ("history", "seq", "kind", "at", "content", "previous")
        return _RECORD + canonical({**{name: getattr(self, name) for name in named}, "key": _key_id(self.signer)})

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.payload).hexdigest()


@frozen
class Head:
    """The newest record of a history, signed: without it nobody could tell that the last ones were cut off."""

    history: str
    seq: int
    hash: str
    signer: str
    signature: str = ""

    @property
    def payload(self) -> bytes:
        named = {"history": self.history, "seq": self.seq, "hash": self.hash}
        return _HEAD + canonical({**named, "key": _key_id(self.signer)})


@frozen
class Fault:
    """Something that was done to a history. `seq` is the record concerned, None for the head; `what` is edited, removed,
    reordered, truncated, replaced or unsigned (by nobody known here).
    """

    seq: int | None
    what: str
    detail: str

    def __str__(self) -> str:
        return f"{'the head' if self.seq is None else f'record {self.seq}'}: {self.detail}"


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value: ASCII, sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def content_of(parts: Mapping[str, str]) -> str:
    """The content hash of a record from the sha256 of each of its parts by name."""
    return hashlib.sha256(canonical(dict(parts))).hexdigest()


def seal(signer: Signer, *, history: str, after: Head | None, kind: str, at: str, content: str) -> tuple[Record, Head]:
    """The next record and the head that names it."""
    bare = Record(
        history=history,
        seq=after.seq + 1 if after else 1,
        kind=kind,
        at=at,
        content=content,
        previous=after.hash if after else BEGINNING,
        signer=signer.public.hex(),
    )
    record = replace(bare, signature=signer.sign(bare.payload).hex())
    head = Head(history=history, seq=record.seq, hash=record.hash, signer=record.signer)
    return record, replace(head, signature=signer.sign(head.payload).hex())


def signed(one: Record | Head) -> bool:
    """Whether the signature is that of the key it names. Whose key that is, is not asked."""
    try:
        public, signature = bytes.fromhex(one.signer), bytes.fromhex(one.signature)
    except ValueError:
        return False
    # fromhex takes spaces and capitals: what is not spelled as it was written, was edited
    return (public.hex(), signature.hex()) == (one.signer, one.signature) and signing.verify(
        public, one.payload, signature
    )


def doubt(one: Record | Head, trusted: Iterable[str]) -> Fault | None:
    """What is wrong with a record or head by itself; `trusted` are public keys in hex."""
    seq = one.seq if isinstance(one, Record) else None
    if not signed(one):
        return Fault(seq=seq, what="edited", detail="was edited: its signature does not fit")
    if one.signer not in trusted:
        detail = f"is signed by the key {_key_id(one.signer)}, which is not known here"
        return Fault(seq=seq, what="unsigned", detail=detail)
    return None


def links(records: Iterable[Record], trusted: Iterable[str]) -> Iterator[Fault]:
    """Everything wrong with the chain itself. `records` come in the order of their numbers."""
    trusted = frozenset(trusted)
    before: str | None = BEGINNING  # None: what stands there proves nothing about what follows
    place, odd = 0, list[Record]()
    for record in records:
        place += 1
        if record.seq != place:
            gone = f"{place} to {record.seq - 1}" if record.seq - place > 1 else f"{place}"
            detail = f"{gone}: removed, or given another number"
            yield Fault(seq=record.seq, what="removed", detail=f"what stood before it is gone ({detail})")
            place = record.seq
        elif before not in {None, record.previous} and signed(record):
            yield Fault(
                seq=record.seq, what="replaced", detail="does not follow the record before it: one of them was replaced"
            )
        fault = doubt(record, trusted)
        edited = fault is not None and fault.what == "edited"
        if edited:
            odd.append(record)
        elif fault is not None:
            yield fault
        before = None if edited else record.hash
    yield from _moved(odd)


def _moved(odd: list[Record]) -> Iterator[Fault]:
    """Records whose signature does not fit: under the number of another one it may, which tells a move from an edit."""
    numbers = sorted({near for record in odd[:_MOST_TRIED] for near in (record.seq - 1, record.seq, record.seq + 1)})
    for tried, record in enumerate(odd):
        was = next((seq for seq in numbers if tried < _MOST_TRIED and signed(replace(record, seq=seq))), None)
        if was is None:
            yield Fault(seq=record.seq, what="edited", detail="was edited: its signature does not fit")
        else:
            yield Fault(
                seq=record.seq, what="reordered", detail=f"stands in the wrong place: it was written as record {was}"
            )


def end(head: Head | None, last: Record | None, trusted: Iterable[str]) -> Iterator[Fault]:
    """What the head says against the newest record that is there."""
    if head is None:
        if last is not None:
            yield Fault(seq=None, what="truncated", detail="is gone, so nobody can say which record was the last")
        return
    if (fault := doubt(head, trusted)) is not None:
        yield fault
    there = last.seq if last else 0
    if head.seq > there:
        gone = f"{there + 1} to {head.seq}" if head.seq - there > 1 else f"{head.seq}"
        yield Fault(seq=head.seq, what="truncated", detail=f"the newest records are gone ({gone})")
    elif last is not None and signed(last) and (head.seq, head.hash) != (last.seq, last.hash):
        yield Fault(seq=None, what="replaced", detail=f"names record {head.seq} and not the newest one that is there")


def _key_id(signer: str) -> str:
    try:
        return signing.key_id(bytes.fromhex(signer))
    except ValueError:
        return "malformed"
