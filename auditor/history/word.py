"""The owner's word as records: some subjects of an account, or everything that the last run of each account saw.

Whoever approves everything names the run and no subject: the database marks its rows, and ten thousand accounts are one
record. What such a word says is read from the inventory of that run, which is kept for as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from auditor.history import baseline, differences, inventory, runs
from auditor.history.connection import scalar
from auditor.history.inventory import HEAD, NONE, Row
from auditor.history.ledger import Ledger, Place
from auditor.history.store import SUBJECTS, Body, Parts, TamperedError, View
from auditor.model.facts import format_time

_THERE = "standing IN ('there', 'away', 'doubted')"
_APPROVED = f"CASE WHEN {_THERE} THEN '' ELSE '-' END"
_ALL = (
    f"UPDATE history_subject SET said = CASE WHEN scope = '' THEN '-' ELSE {_APPROVED} END, refused = '', covered = '1' "  # noqa: S608
    f"WHERE (covered <> '1' OR refused <> '' OR (scope <> '' AND said <> {_APPROVED}))"
)
_COUNT = f"SELECT count(*) FROM history_subject WHERE scope <> '' AND {_THERE}"  # noqa: S608  (our own names)


class NothingToSayError(Exception):
    """Ends the transaction of a word about nothing."""


@dataclass(slots=True, kw_only=True)
class All:
    """The word that everything is the owner's as the last runs saw it. `count` subjects were approved; of the accounts in `rest`
    there are no rows to believe, and nothing was said of them; `wrong` is why.
    """

    by: str
    names: Sequence[str] = ()
    count: int = 0
    rest: Sequence[str] = ()
    wrong: Sequence[TamperedError] = ()

    def parts(self, view: View) -> Parts:
        """The parts of the record, once the rows are marked."""
        believed, self.rest, self.wrong = differences.trusted(view, self.names)
        if not believed:
            raise NothingToSayError
        some = sorted(believed) if self.names or self.rest else []  # none named: all of them
        view.connection.write(*inventory.about(_ALL, some))
        self.count = int(scalar(view.connection.rows(*inventory.about(_COUNT, some))))
        newest = view.newest(runs.INVENTORY)
        said: dict[int, Body] = {}
        parts: dict[tuple[str, str], Any] = {}
        for account, digest in inventory.digests(view.connection, some).items():
            if account in believed:
                run = newest[account]
                parts[account, "approval"] = said.setdefault(run, Body.of({"by": self.by, "run": run}))
                parts[account, SUBJECTS] = Body(sha256=digest, packed=None)
        return parts


def some(view: View, ledger: Ledger, mine: Mapping[Place, bool], at: datetime, *, by: str, whole: bool) -> Parts:
    """The parts of a record that says of each of some subjects of an account whether it is the owner's."""
    account = ledger.account
    said = baseline.approval(mine, ledger, by=by, whole=whole)
    parts: dict[tuple[str, str], Any] = {(account, "approval"): said}
    believed, _, _ = differences.trusted(view, [account])
    if believed:
        now, _ = runs.approvals(view, account, also=(format_time(at), said))
        rows = list(differences.fetched(view, "TRUE", [account]))
        parts |= inventory.write(view.connection, [account], lambda _: list(_spoken(rows, now)))
    return parts


def _spoken(rows: Iterable[Row], said: baseline.Baseline) -> Iterable[Row]:
    """The rows as what was said leaves them."""
    for row in rows:
        covered = "1" if said.covers(row.scope or "api_key") else ""
        if row.scope == HEAD:
            yield replace(row, covered=covered)
            continue
        one = said.approvals.get((row.scope, inventory.plain(row.mark)))
        approved = inventory.beside(one.facts, row.face) if one and one.mine else NONE
        yield replace(row, covered=covered, said=approved, refused=one.at if one and not one.mine else "")


def holders(view: View, wanted: Sequence[str]) -> list[str]:
    """The accounts that may hold a subject of such a fingerprint, its beginning or such a label, and those without rows."""
    known, rows = view.newest(runs.INVENTORY), view.newest(SUBJECTS)
    found = {account for account, seq in known.items() if rows.get(account, 0) < seq}
    query = (
        "SELECT DISTINCT account FROM history_subject WHERE scope <> '' AND (label = :label "
        "OR (:start <> '' AND substr(mark, 1, length(:start)) = :start))"
    )
    for name in wanted:
        start = inventory.escaped(name.partition("-")[0])
        given = {"label": inventory.escaped(name), "start": start}
        found |= {account for (account,) in view.connection.rows(query, given)}
    return sorted(found & known.keys())
