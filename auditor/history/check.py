"""Whether a history is as it was written: at a glance before each run, and all of it on demand.

Finds what was edited, removed, reordered, replaced or cut off. Not what somebody did who holds the signing key, and of a cut
at the end only what the signed head or this installation's witness remembers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from auditor.history import chain, inventory
from auditor.history.chain import Fault, Head, Record
from auditor.history.connection import Connection, scalar
from auditor.history.store import SUBJECTS, Store, TamperedError, View, content_of, edited


def look(store: Store) -> list[Fault]:
    """What a glance shows to be wrong: the head, the number of records, and what this installation saw before."""
    with store.reading() as view:
        last = next(iter(view.records(newest=1)), None)
        faults = [*chain.end(view.head, last, store.trusted)]
        if last is not None and (count := _count(view.connection)) != last.seq:
            detail = f"{last.seq - count} of the records before it are gone"
            faults.append(Fault(seq=last.seq, what="removed", detail=detail))
        return faults + _remembered(store, view)


def verify(store: Store) -> tuple[list[Fault], Head | None]:
    """Everything that is wrong with a history, and its head. The witness learns of a head that nothing speaks against."""
    with store.reading() as view:
        records = view.records()
        faults = [*chain.links(records, store.trusted), *_parts(view, records)]
        faults += chain.end(view.head, records[-1] if records else None, store.trusted)
        faults += _remembered(store, view)
        head = view.head
    if head is not None and not faults:
        store.witness.saw(head)
    return sorted(dict.fromkeys(faults), key=lambda fault: (fault.seq is None, fault.seq or 0)), head


def _remembered(store: Store, view: View) -> list[Fault]:
    """What this installation saw before against what is there now."""
    seen = store.witness.seen()
    if seen is None:
        return []
    last = next(iter(view.records(newest=1)), None)
    if last is None or seen.history != last.history:
        detail = f"is not that of the history of {seen.seq} records that was here before"
        return [Fault(seq=None, what="replaced", detail=detail)]
    there = view.record(seen.seq)
    if there is None:
        return [Fault(seq=seen.seq, what="truncated", detail="was seen here before and is gone")]
    if there.hash != seen.hash:
        return [Fault(seq=seen.seq, what="replaced", detail="is not the one that was seen here before")]
    return []


def _parts(view: View, records: list[Record]) -> Iterator[Fault]:
    """Every part of every record against its hash; a record without any must be one that a tombstone names."""
    graves: dict[int, str] = {}
    newest, rows = view.newest(SUBJECTS), inventory.digests(view.connection)
    yield from (
        edited(None, f"rows of {one} stand here without a record") for one in sorted(rows.keys() - newest.keys())
    )
    for record in records[::-1]:
        found = view.listed(record.seq)
        if not found and graves.get(record.seq) == record.hash:
            continue
        if content_of(found) != record.content:
            gone = "what it says is gone, and no tombstone says so"
            yield edited(record.seq, "what it says was edited, added to or removed" if found else gone)
            continue
        for (account, kind), sha256 in found.items():
            if kind == SUBJECTS:
                if newest[account] == record.seq and rows.get(account) != sha256:
                    yield edited(record.seq, f"the rows of {account} were edited")
                continue
            try:
                body = view.body(record.seq, account, kind, sha256)
            except TamperedError as error:
                yield error.fault
                continue
            if kind == "prune" and chain.doubt(record, view.trusted) is None:
                graves |= {grave["seq"]: grave["hash"] for grave in json.loads(body)["pruned"]}
    known = {record.seq for record in records}
    yield from (edited(seq, "parts stand here without a record") for seq in sorted(_numbers(view.connection) - known))


def _numbers(connection: Connection) -> set[int]:
    return {seq for (seq,) in connection.rows("SELECT DISTINCT seq FROM history_part")}


def _count(connection: Connection) -> int:
    return int(scalar(connection.rows("SELECT count(*) FROM history_record")))
