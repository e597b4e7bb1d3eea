"""What differs in the inventories of a whole history, found by the database: only rows of which there is something to tell
are fetched, whatever number of keys there is.

What is told of a row is `change`'s to say, as for a report. Rows whose hash is not the one that was signed are not believed:
such an account is read from its ledger, which is slow and cannot be fooled.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from auditor.history import change, inventory, runs
from auditor.history.baseline import Baseline
from auditor.history.inventory import ABSENT, FIRST, HEAD, Row
from auditor.history.ledger import SCOPES, Held, Ledger, Reading
from auditor.history.store import SUBJECTS, TamperedError, View, edited
from auditor.model.report import Drift
from auditor.values import frozen

_TOLD = """
scope <> '' AND (standing = 'doubted'
OR (standing = 'gone' AND (said <> '-' OR (covered = '' AND stood NOT IN ('first', 'absent', 'gone'))))
OR (standing = 'unlisted' AND (said <> '-' OR (covered = '' AND stood NOT IN ('first', 'unlisted'))))
OR (standing IN ('there', 'away') AND said NOT IN ('', '-'))
OR (standing IN ('there', 'away') AND said = '-' AND covered = '1')
OR (standing IN ('there', 'away') AND said = '-' AND covered = ''
    AND stood <> 'first' AND (stood IN ('absent', 'gone') OR was <> '')))
"""
"""Of which rows `change.drift` may have something to tell: it is never silent about more, and may be about some of these."""
_LISTED = ", ".join(inventory.COLUMNS)
_COUNT = "SELECT account, count(*) FROM history_subject WHERE standing = 'there' AND scope <> ''"


@frozen
class Difference:
    """What differs in one account. `complete` is as in its ledger; `approved` whether its owner said anything about its keys;
    `unchanged` counts the subjects that were there at the last run and of which there is nothing to tell.
    """

    account: str
    exchange: str
    at: str
    complete: dict[str, bool | None]
    doubted: bool
    approved: bool
    drifts: tuple[Drift, ...]
    unchanged: int


def find(view: View, names: Sequence[str]) -> tuple[list[Difference], list[str], list[TamperedError]]:
    """The differences of these accounts, or of all; the accounts of which there are no rows to believe; and why not."""
    believed, rest, wrong = trusted(view, names)
    told = {account: list(mine) for account, mine in groupby(fetched(view, _TOLD, names), key=lambda row: row.account)}
    counts = dict(view.connection.rows(*inventory.about(_COUNT, names, "GROUP BY account")))
    found = [
        _difference(head, counts.get(head.account, 0), told.get(head.account, ()))
        for head in fetched(view, f"scope = '{HEAD}'", names)
        if head.account in believed
    ]
    return found, rest, wrong


def trusted(view: View, names: Sequence[str] = ()) -> tuple[set[str], list[str], list[TamperedError]]:
    """The accounts whose rows are those that were signed, by the newest record about them; the others; and what is wrong."""
    there = inventory.digests(view.connection, names)
    wanted, newest = view.newest(runs.INVENTORY), view.newest(SUBJECTS)
    believed, rest, wrong = set[str](), list[str](), list[TamperedError]()
    for account in sorted(wanted.keys() & set(names) if names else wanted):
        seq = newest.get(account, 0)
        fault = _doubt(view, seq, account, there.get(account)) if seq >= wanted[account] else None
        wrong += [fault] if fault else []
        if fault or seq < wanted[account]:  # the latter was stored before there were rows
            rest.append(account)
        else:
            believed.add(account)
    return believed, rest, wrong


def _doubt(view: View, seq: int, account: str, digest: str | None) -> TamperedError | None:
    """Why the rows of an account are not those that record `seq` names."""
    record = view.record_of(seq)
    try:
        signed = view.names(record).get((account, SUBJECTS)) if record else None
    except TamperedError as error:
        return error
    return (
        None
        if signed is not None and signed == digest
        else TamperedError(edited(seq, f"the rows of {account} were edited"))
    )


def fetched(view: View, condition: str, names: Sequence[str]) -> Iterator[Row]:
    """Rows of these accounts, or of all, account by account."""
    query = f"SELECT {_LISTED} FROM history_subject WHERE ({condition})"  # noqa: S608  (our own names)
    for row in view.connection.rows(*inventory.about(query, names, "ORDER BY account, scope, mark")):
        yield Row(**dict(zip(inventory.COLUMNS, row, strict=True)))


def _difference(head: Row, there: int, told: Iterable[Row]) -> Difference:
    seen = json.loads(head.face)
    told = list(told)
    drifts = _drifts(head, seen["at"], told)
    standing = {(row.scope, inventory.plain(row.mark)) for row in told if row.standing == "there"}
    named = sum((one.subject.type, one.subject.fingerprint) in standing for one in drifts)
    return Difference(
        account=head.account,
        exchange=inventory.plain(head.label),
        at=seen["at"],
        complete=seen["complete"],
        doubted=seen["doubted"],
        approved=head.covered == "1",
        drifts=drifts,
        unchanged=there - named,
    )


def _drifts(head: Row, at: str, told: Sequence[Row]) -> tuple[Drift, ...]:
    """As for a report, of ledgers that hold these rows only."""
    held = [inventory.held_of(row) for row in told]
    now = _ledger(head, at, held, [row.standing for row in told])
    before = None
    if head.stood != FIRST:
        earlier = [row for row in told if row.stood not in {FIRST, ABSENT}]
        before = _ledger(
            head, at, [inventory.held_of(row, before=True) for row in earlier], [row.stood for row in earlier]
        )
    said = Baseline(reviewed={row.scope: ("", False) for row in told if row.covered == "1"})
    for row, one in zip(told, held, strict=True):
        if (mine := inventory.approval_of(row, one.place)) is not None:
            said.approvals[one.place] = mine
    lost = tuple(one for one, row in zip(held, told, strict=True) if row.standing == "doubted")
    return change.drift(Reading(ledger=now, marks={}, lost=lost), before, said)


def _ledger(head: Row, at: str, held: Sequence[Held], standing: Sequence[str]) -> Ledger:
    def such(name: str) -> dict[str, list[str]]:
        pairs = list(zip(held, standing, strict=True))
        return {scope: [one.mark for one, how in pairs if how == name and one.scope == scope] for scope in SCOPES}

    return Ledger(
        account=head.account, exchange=head.label, identity="", begun=head.first_seen, at=at, held=tuple(held),
        doubted=such("doubted"), unlisted=such("unlisted"),
    )  # fmt: skip
