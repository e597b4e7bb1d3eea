"""What the owner approved and confirmed, folded from the signed records, and what follows from it for a snapshot.

Pure. Approving is about subjects as they were at that moment: a key that may do more later is approved, and widened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from auditor.history import change
from auditor.history.ledger import Held, Ledger, Place, Reading, Strength
from auditor.model.evidence import Problem, Reason, Snapshot, Source
from auditor.model.facts import COMPLETENESS, LISTS, catalogue, parse_time
from auditor.values import frozen

_BY_HISTORY = Source(by="history", ref="stored runs and what the owner approved")


@frozen
class Approval:
    """One subject as its owner approved it, or said that it is not theirs (`mine` false)."""

    place: Place
    label: str
    facts: dict[str, Any]
    mine: bool
    by: str
    at: str


@dataclass(slots=True, kw_only=True)
class Baseline:
    """Everything the owner said about the inventory and the log of one account.

    `reviewed` is, by scope, the moment of the run whose whole list was looked through, and whether it was known to be whole.
    `events` and `logins` are fingerprints of log lines and addresses -> whether it was the owner.
    """

    approvals: dict[Place, Approval] = field(default_factory=dict)
    reviewed: dict[str, tuple[str, bool]] = field(default_factory=dict)
    events: dict[str, bool] = field(default_factory=dict)
    logins: dict[str, bool] = field(default_factory=dict)

    def approved(self, place: Place) -> Approval | None:
        found = self.approvals.get(place)
        return found if found and found.mine else None

    def covers(self, scope: str) -> bool:
        """Whether anything of a scope was approved or looked through: then it is what the next runs are held against."""
        return scope in self.reviewed or any(place[0] == scope for place, one in self.approvals.items() if one.mine)


def fold(records: Iterable[tuple[str, Mapping[str, Any]]]) -> Baseline:
    """The baseline from (moment, part) of approvals and confirmations in their order; a later word replaces an earlier one."""
    baseline = Baseline()
    for at, said in records:
        for row in said.get("subjects", ()):
            place = (row["scope"], row["mark"])
            baseline.approvals[place] = Approval(
                place=place, label=row["label"], facts=row["facts"], mine=row["mine"], by=said["by"], at=at
            )
        for scope, mark in said.get("released", ()):
            baseline.approvals.pop((scope, mark), None)
        for scope, complete in said.get("reviewed", {}).items():
            baseline.reviewed[scope] = (said["of"], complete is True)
        baseline.events |= said.get("events", {})
        baseline.logins |= said.get("logins", {})
    return baseline


def approval(chosen: Mapping[Place, bool], ledger: Ledger, *, by: str, whole: bool) -> dict[str, Any]:
    """The part of an approval: of what the last run saw, not of what may have come since. `chosen` says of each subject
    whether it is the owner's; `whole` if everything was looked at, the log too: then what is gone is released.
    """
    subjects = [
        {"scope": one.scope, "mark": one.mark, "label": one.label, "facts": one.facts, "mine": chosen[one.place]}
        for one in ledger.held
        if one.place in chosen
    ]
    reviewed = {**ledger.complete, "event": ledger.events_from is not None} if whole else {}
    gone = [one for one in ledger.held if not one.present or one.mark in ledger.unlisted.get(one.scope, ())]
    released = [list(one.place) for one in gone if whole]
    return {"by": by, "of": ledger.at, "subjects": subjects, "released": released, "reviewed": reviewed}


def recognised(held: Held, baseline: Baseline, row: Mapping[str, Any]) -> bool | None:
    """Whether the owner knows a subject: what was approved is known, if it can be known again; what came after everything was
    looked through is not. Of anything else nobody can tell.
    """
    said = baseline.approvals.get(held.place)
    if said is not None:
        return (held.strength is not Strength.LABEL or None) if said.mine else False
    if held.scope not in baseline.reviewed:
        return None
    at, complete = baseline.reviewed[held.scope]
    created = parse_time(row.get("created_at"))
    reviewed = parse_time(at)
    later = created is not None and reviewed is not None and created > reviewed
    return False if complete or later else None


def with_history(
    snapshot: Snapshot, reading: Reading, baseline: Baseline, prints: Mapping[str, list[tuple[str, str]]]
) -> Snapshot:
    """The snapshot with the facts that only a history can know. What the owner attested, or an API showed, stays.

    `prints` are, for each event, the fingerprints of the line and of the address it names.
    """
    lists: dict[str, Any] = {}
    stated: set[str] = set()
    known = {one.place: one for one in reading.ledger.held}
    for scope in ("api_key", "address"):
        rows = snapshot.rows(scope)
        if rows is not None:
            places = [(scope, mark) for mark in reading.marks[scope]]
            lists[LISTS[scope]] = [
                _add(scope, row, _of_subject(row, known[place], baseline), stated)
                for row, place in zip(rows, places, strict=True)
            ]
    if snapshot.events is not None:
        told = prints["event"]
        lists["events"] = [
            _add("event", row, {"owner_confirmed": confirmed(row, *marks, baseline, reading.ledger)}, stated)
            for row, marks in zip(snapshot.events, told, strict=True)
        ]
    if snapshot.withdrawals is not None:
        lists["withdrawals"] = [
            _add("withdrawal", row, {"destination_recognised": _destination(row, known, baseline)}, stated)
            for row in snapshot.withdrawals
        ]
    sources = {**snapshot.sources, **dict.fromkeys(sorted(stated - snapshot.sources.keys()), _BY_HISTORY)}
    return _doubting(replace(snapshot, sources=sources, **lists), reading)


def _of_subject(row: Mapping[str, Any], held: Held, baseline: Baseline) -> dict[str, Any]:
    known, place = recognised(held, baseline, row), held.place
    said = baseline.approved(place)
    return {
        "first_seen_at": held.first_seen_at,
        # The key that asks proves itself by asking: it is not called a stranger because it is newer than the baseline.
        "owner_recognised": None
        if known is False and row.get("is_audit_key") and place not in baseline.approvals
        else known,
        "widened_since_baseline": change.widened(said.facts, row) if said and place[0] == "api_key" else None,
    }


def _add(scope: str, row: Mapping[str, Any], facts: Mapping[str, Any], stated: set[str]) -> dict[str, Any]:
    known = {
        name: value
        for name, value in facts.items()
        if value is not None and name not in row and f"{scope}.{name}" in catalogue()
    }
    stated |= {f"{scope}.{name}" for name in known}
    return {**row, **known}


def confirmed(row: Mapping[str, Any], line: str, address: str, baseline: Baseline, ledger: Ledger) -> bool | None:
    """Whether the owner confirmed a line of the log. What came since the log is watched, and what nobody confirmed, is not;
    older lines are unknown until a baseline is approved.
    """
    if line in baseline.events:
        return baseline.events[line]
    if row.get("kind") == "login" and address and address in baseline.logins:
        return baseline.logins[address]
    at = parse_time(row.get("at"))
    if at is None:
        return None
    reviewed = parse_time(baseline.reviewed.get("event", ("", False))[0])
    if reviewed is not None and at <= reviewed:
        return True
    since = parse_time(ledger.events_from)
    return False if since is not None and at > since else None


def _destination(row: Mapping[str, Any], known: Mapping[Place, Held], baseline: Baseline) -> bool | None:
    """Whether a destination was approved, as one or as a saved address, or is new since everything was looked through."""
    mark = row.get("destination")
    if not mark:
        return None
    for scope in ("destination", "address"):
        said = baseline.approvals.get((scope, mark))
        if said is not None:
            return said.mine
    reviewed = baseline.reviewed.get("destination")
    held = known.get(("destination", mark))
    return False if reviewed and held and held.first_seen_at > reviewed[0] else None


def _doubting(snapshot: Snapshot, reading: Reading) -> Snapshot:
    """An inventory that lost what a glitch could have hidden is not known to be whole."""
    for scope in ("api_key", "address"):
        lost = [one for one in reading.lost if one.scope == scope]
        path = COMPLETENESS[scope]
        if not lost or path.partition(".")[2] not in snapshot.account:  # or it is said already
            continue
        account = {name: value for name, value in snapshot.account.items() if name != path.partition(".")[2]}
        sources = {name: source for name, source in snapshot.sources.items() if name != path}
        detail = (
            f"{len(lost)} that were listed before are missing at once; the list is not believed until it is seen again"
        )
        problem = Problem(
            endpoint=LISTS[scope], reason=Reason.IMPLAUSIBLE_RESPONSE, detail=detail, facts=(LISTS[scope], path)
        )
        snapshot = replace(snapshot, account=account, sources=sources, problems=(*snapshot.problems, problem))
    return snapshot
