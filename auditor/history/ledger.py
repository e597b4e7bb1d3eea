"""The inventory of an account over time: every key, address, sub-account and destination it was ever seen to have.

Pure: a ledger and the next snapshot make the next ledger. Every run stores it whole, so that forgetting old runs forgets no
date. A row is known by its fingerprint; where a venue hides ids, by the next best, and how weak that is stays beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, fields, replace
from enum import StrEnum
from typing import Any

from auditor.engine.findings import identity, label_of
from auditor.history.chain import canonical
from auditor.model.evidence import Reason, Snapshot
from auditor.model.facts import COMPLETENESS, LISTS, format_time, parse_time
from auditor.values import frozen

Fingerprint = Callable[..., str]
Place = tuple[str, str]
"""Scope and mark: what a subject is called in a ledger."""

SCOPES = ("api_key", "address", "sub_account", "destination")
_FROM_HISTORY = {"first_seen_at", "owner_recognised", "widened_since_baseline", "fingerprint"}
_PASSING = {"last_used_at", "never_used", "is_audit_key", "storage", "on_host", "shared_by_programs", "third_party"}
"""Facts that change by themselves, or with what the owner says: their change is none of the subject."""
_REMOVAL = {"api_key": "api_key_removed", "address": "address_removed"}


class Strength(StrEnum):
    """What a subject is known again by, strongest first."""

    ID = "id"
    DATED = "dated"
    MASKED = "masked"
    LABEL = "label"


WEAKNESS = {
    Strength.ID: "",
    Strength.DATED: "known by its label and the time it was made: the exchange shows no id",
    Strength.MASKED: "known by its label and four characters of its id",
    Strength.LABEL: "known by its label alone: another one under the same label looks the same",
}


@frozen
class Held:
    """One subject as the ledger knows it. Times are UTC text; `changed_at` is None while nothing changed.

    `mark` is its fingerprint, with a running number where several look alike. `present` is whether it was there when its
    list was last seen whole.
    """

    scope: str
    mark: str
    label: str
    strength: Strength
    first_seen_at: str
    last_seen_at: str
    changed_at: str | None = None
    present: bool = True
    facts: dict[str, Any]

    @property
    def place(self) -> Place:
        return self.scope, self.mark


@frozen
class Ledger:
    """All subjects of an account, and since when the history knows it. `events_from` is when its log was first seen.

    `identity` is a fingerprint of the identity key's own: under another key every mark is another. `complete` is, by scope,
    whether the list was known to be whole at the last run; `doubted` are the marks that were missing from a list at the
    last run, and not believed to be gone; `unlisted` those missing from a list that is not known to be whole, where nothing
    went wrong: that they are gone is not said, nor that they are there.
    """

    account: str
    exchange: str
    identity: str
    begun: str
    at: str
    held: tuple[Held, ...] = ()
    complete: dict[str, bool | None] = field(default_factory=dict)
    doubted: dict[str, list[str]] = field(default_factory=dict)
    unlisted: dict[str, list[str]] = field(default_factory=dict)
    events_from: str | None = None

    def seen(self, held: Held) -> bool:
        """Whether it was there at the last run. Destinations are those of recent withdrawals, and stay."""
        return held.present and (held.scope == "destination" or held.last_seen_at >= self.at)

    def find(self, place: Place) -> Held | None:
        return next((one for one in self.held if one.place == place), None)

    def to_document(self) -> dict[str, Any]:
        """The ledger as JSON values. They are the ledger's own and not to be changed: a copy would cost more than all the rest."""
        said = {name: getattr(self, name) for name in _LEDGER}
        return {**said, "held": [{name: getattr(one, name) for name in _HELD} for one in self.held]}


_HELD, _LEDGER = (tuple(one.name for one in fields(kind)) for kind in (Held, Ledger))


def mark_of(fingerprint: Fingerprint) -> str:
    """What tells an identity key from another, and nothing else."""
    return str(fingerprint("identity"))


def from_document(value: Mapping[str, Any]) -> Ledger:
    """The ledger of a stored part."""
    held = tuple(Held(**{**row, "strength": Strength(row["strength"])}) for row in value["held"])
    return Ledger(**{**value, "held": held})


@frozen
class Reading:
    """What a snapshot says to a ledger: the next ledger, and which row is which subject. `lost` went missing without being
    believed, `gone` was believed.
    """

    ledger: Ledger
    marks: dict[str, list[str]]
    lost: tuple[Held, ...] = ()
    gone: tuple[Held, ...] = ()


def read(snapshot: Snapshot, before: Ledger | None, fingerprint: Fingerprint) -> Reading:
    """The ledger after a snapshot. A list that was not seen changes nothing."""
    now = format_time(snapshot.collected_at)
    known = {one.place: one for one in before.held} if before else {}
    held, marks, doubted, unlisted = dict(known), dict[str, list[str]](), dict[str, list[str]](), dict[str, list[str]]()
    lost: list[Held] = []
    gone: list[Held] = []
    for scope in SCOPES:
        rows, thrown = _rows(snapshot, scope, fingerprint), _thrown_away(snapshot, scope)
        if rows is None and not thrown:
            doubted |= {scope: before.doubted[scope]} if before and scope in before.doubted else {}
            continue
        marks[scope] = _marks(rows or [], scope, snapshot, known, fingerprint)
        for mark, row in zip(marks[scope], rows or [], strict=True):
            held[scope, mark] = _seen(scope, mark, row, known.get((scope, mark)), now)
        listed = set(marks[scope])
        missing = [one for one in known.values() if one.scope == scope and one.present and one.mark not in listed]
        if thrown:  # the key that asked is there: it was answered
            missing = [one for one in missing if not one.facts.get("is_audit_key")]
        if missing and (thrown or _complete(snapshot, scope)):
            # A sub-account is seen through its keys, and gone with them.
            whole = scope == "sub_account" and "api_key" not in doubted
            believed = not thrown and (whole or _believable(snapshot, scope, missing, before))
            (gone if believed else lost).extend(missing)
            if believed:
                held |= {one.place: replace(one, present=False) for one in missing}
            else:
                doubted[scope] = sorted(one.mark for one in missing)
        elif missing and _told_whole(snapshot, scope):
            unlisted[scope] = sorted(one.mark for one in missing)
    ledger = Ledger(
        account=snapshot.name,
        exchange=snapshot.exchange,
        identity=mark_of(fingerprint),
        begun=min(before.begun, now) if before else now,
        at=now,
        held=tuple(held[place] for place in sorted(held)),
        complete={scope: None if scope in doubted else _complete(snapshot, scope) for scope in SCOPES},
        doubted=doubted,
        unlisted=unlisted,
        events_from=(before.events_from if before else None) or (now if snapshot.events is not None else None),
    )
    return Reading(ledger=ledger, marks=marks, lost=tuple(lost), gone=tuple(gone))


def _told_whole(snapshot: Snapshot, scope: str) -> bool:
    """Whether nothing went wrong with a list, so that what is missing from it was not merely unreadable."""
    listed = LISTS.get("api_key" if scope == "sub_account" else scope)
    return scope != "destination" and not any(listed in one.facts for one in snapshot.problems)


def _thrown_away(snapshot: Snapshot, scope: str) -> bool:
    """Whether a list was not believed as a whole: what is missing from it is doubted, and believed when it is so again."""
    listed = LISTS.get({"sub_account": "api_key", "destination": "withdrawal"}.get(scope, scope))
    return any(one.reason is Reason.IMPLAUSIBLE_RESPONSE and listed in one.facts for one in snapshot.problems)


def _rows(snapshot: Snapshot, scope: str, fingerprint: Fingerprint) -> list[dict[str, Any]] | None:
    """The rows of a scope; sub-accounts and destinations are seen through keys and withdrawals."""
    listed = snapshot.rows("withdrawal" if scope == "destination" else "api_key" if scope == "sub_account" else scope)
    if scope in {"api_key", "sub_account"} and _nameless(snapshot):
        unnamed = [{name: value for name, value in row.items() if name != "sub_account"} for row in listed or []]
        return unnamed if listed is not None and scope == "api_key" else None
    if listed is None or scope in {"api_key", "address"}:
        return listed
    if scope == "sub_account":
        names = sorted({str(row["sub_account"]) for row in listed if row.get("sub_account")})
        owner = (snapshot.exchange, snapshot.name)
        return [{"label": name, "fingerprint": fingerprint(scope, *owner, name)} for name in names]
    return [
        {"label": "", "fingerprint": mark}
        for mark in sorted({str(row["destination"]) for row in listed if row.get("destination")})
    ]


def _nameless(snapshot: Snapshot) -> bool:
    """Whether the names of sub-accounts were not to be had this once: ids stand in their place, and are no other sub-accounts.
    To a key that may never see the names, the ids are the names.
    """
    hidden = [one.reason for one in snapshot.problems if "api_key.sub_account" in one.facts]
    return any(reason is not Reason.PERMISSION_DENIED for reason in hidden)


def _complete(snapshot: Snapshot, scope: str) -> bool | None:
    """Whether the list of a scope is known to be whole. Destinations are those of recent withdrawals: never."""
    path = COMPLETENESS.get("api_key" if scope == "sub_account" else scope) if scope != "destination" else None
    return snapshot.account.get(path.partition(".")[2]) if path else None


def _marks(
    rows: list[dict[str, Any]],
    scope: str,
    snapshot: Snapshot,
    known: Mapping[Place, Held],
    fingerprint: Fingerprint,
) -> list[str]:
    """A mark for each row. Of rows that look alike, one that is as it was before keeps its number; the order says nothing."""
    alike: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        named = {f"{scope}.{name}": value for name, value in row.items()}
        mark = identity(scope, snapshot, named, fingerprint) if scope in {"api_key", "address"} else row["fingerprint"]
        alike.setdefault(mark, []).append(number)
    marks = [""] * len(rows)
    before: dict[str, list[Held]] = {}
    for one in known.values():
        if one.scope == scope:
            before.setdefault(one.mark.partition("-")[0], []).append(one)
    for mark, numbers in alike.items():
        numbers.sort(key=lambda number: canonical(rows[number]))
        for number, given in _numbered(mark, [(number, rows[number]) for number in numbers], before.get(mark, [])):
            marks[number] = given
    return marks


def _numbered(mark: str, rows: list[tuple[int, dict[str, Any]]], before: list[Held]) -> Iterable[tuple[int, str]]:
    """Exact likenesses first, then those that nothing tells apart, then new numbers."""
    free = sorted(before, key=lambda one: (not one.present, len(one.mark), one.mark))
    waiting = rows
    for fits in (lambda one, row: one.facts == _kept(row), _may_be):
        rest = []
        for number, row in waiting:
            twin = next((one for one in free if fits(one, row)), None)
            if twin is None:
                rest.append((number, row))
            else:
                free.remove(twin)
                yield number, twin.mark
        waiting = rest
    taken = {one.mark for one in before}
    for number, _ in waiting:
        new = next(
            name for turn in range(1, len(taken) + 2) if (name := mark if turn == 1 else f"{mark}-{turn}") not in taken
        )
        taken.add(new)
        yield number, new


def _may_be(one: Held, row: Mapping[str, Any]) -> bool:
    """Whether a row may be a subject whose fingerprint it has: not where a piece of the id says otherwise."""
    seen, there = one.facts.get("masked_id"), row.get("masked_id")
    return seen is None or there is None or seen == there


def _seen(scope: str, mark: str, row: Mapping[str, Any], before: Held | None, now: str) -> Held:
    facts = _kept(row)
    named = {f"{scope}.{name}": value for name, value in facts.items()}
    label = label_of(scope, named) if scope in {"api_key", "address"} else str(row["label"])
    if before is None:
        return Held(
            scope=scope,
            mark=mark,
            label=label,
            strength=_strength(row, scope),
            first_seen_at=now,
            last_seen_at=now,
            facts=facts,
        )
    changed = any(facts[name] != before.facts[name] for name in facts.keys() & before.facts.keys() - _PASSING)
    return Held(
        scope=scope,
        mark=mark,
        label=label,
        strength=before.strength,
        first_seen_at=min(before.first_seen_at, now),
        last_seen_at=max(before.last_seen_at, now),
        changed_at=now if changed or not before.present else before.changed_at,
        facts=_merged(before.facts, facts),
    )


def _merged(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What is known by now: what an outage hides is not forgotten, what contradicts itself is."""
    known = {**before, **now}
    if now.get("never_expires"):
        known.pop("expires_at", None)
    elif "expires_at" in now:
        known.pop("never_expires", None)
    return known


def _strength(row: Mapping[str, Any], scope: str) -> Strength:
    if row.get("fingerprint"):
        return Strength.ID
    if scope == "api_key" and row.get("created_at"):
        return Strength.DATED
    return Strength.MASKED if row.get("masked_id") else Strength.LABEL


def _kept(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _FROM_HISTORY and value is not None}


def _believable(snapshot: Snapshot, scope: str, missing: list[Held], before: Ledger | None) -> bool:
    """Whether a shorter list is believed at once: one row less is what an owner does; half of them, or all, what a glitch
    does too. The second time it is believed, and where the log tells of as many removals.
    """
    assert before is not None
    if before.doubted.get(scope) == sorted(one.mark for one in missing):
        return True
    since = parse_time(before.at)
    told = [
        row
        for row in snapshot.events or []
        if row.get("kind") == _REMOVAL.get(scope) and (at := parse_time(row.get("at"))) and since and at >= since
    ]
    there = sum(one.scope == scope and one.present for one in before.held)
    few = len(missing) == 1 or 2 * len(missing) < there
    return len(told) >= len(missing) or (few and len(missing) < there)
