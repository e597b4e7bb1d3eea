"""Makes one snapshot of what several keys showed and what the owner stated.

An API beats an unexpired attestation, which beats the venue file; a contradiction is kept beside the fact. Public ids of
keys and addresses come in here and go no further: a keyed fingerprint and four characters stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from auditor.attestations import Attestation, Row
from auditor.exchanges._base import Sheet
from auditor.identity import Identity
from auditor.model.evidence import Problem, Reason, Snapshot, Source
from auditor.model.facts import LISTS
from auditor.redaction import mask_personal, masked_id

_TEXTS = ("label", "sub_account", "text", "name", "ip")
_TROUBLED = {"degraded", "maintenance"}


def build(
    name: str,
    exchange: str,
    sheets: Sequence[Sheet],
    attestation: Attestation | None,
    identity: Identity,
    now: datetime,
) -> Snapshot:
    """The snapshot of one account from the sheets of its keys."""
    made = _Making(name, exchange, identity)
    for sheet in _same_account(sheets, made):
        made.add(sheet)
    if attestation is not None:
        made.attest(attestation, now)
    return Snapshot(
        collected_at=now,
        account={"name": name, "exchange": exchange, **made.account},
        venue=made.venue,
        sources=made.sources,
        problems=tuple(dict.fromkeys(made.problems)),
        **{key: made.rows[scope] for scope, key in LISTS.items()},
    )


def restate(snapshot: Snapshot, attestation: Attestation | None, now: datetime) -> Snapshot:
    """A collected snapshot with what its owner states now; what an API showed stays as it is."""
    if attestation is None:
        return snapshot
    made = _Making(snapshot.name, snapshot.exchange, None)
    made.account = {fact: value for fact, value in snapshot.account.items() if fact not in {"name", "exchange"}}
    made.rows = {scope: snapshot.rows(scope) for scope in LISTS}
    made.sources = {path: source for path, source in snapshot.sources.items() if source.by != "attest"}
    for path in snapshot.sources.keys() - made.sources.keys():
        made.account.pop(path.partition(".")[2], None)
    made.problems = list(snapshot.problems)
    made.attest(attestation, now)
    return replace(
        snapshot,
        account={"name": snapshot.name, "exchange": snapshot.exchange, **made.account},
        sources=made.sources,
        problems=tuple(dict.fromkeys(made.problems)),
        vendors=made.rows["vendor"],
    )


def counted(snapshot: Snapshot, count: int, as_of: str) -> Snapshot:
    """The snapshot with the number of keys that the owner counted in the web page (`expected_keys`)."""
    return replace(
        snapshot,
        account={**snapshot.account, "keys_counted": count},
        sources={**snapshot.sources, "account.keys_counted": Source(by="config", ref="expected_keys", at=as_of)},
    )


def suspect_incidents(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """Refused keys read with care: where a venue reports trouble, or refuses two accounts alike in one run, the refusal
    says more about the venue than about the keys.
    """
    refused = [snapshot.exchange for snapshot in snapshots if _refused(snapshot)]
    return [
        _as_incident(snapshot)
        if _refused(snapshot) and (refused.count(snapshot.exchange) > 1 or snapshot.venue.get("status") in _TROUBLED)
        else snapshot
        for snapshot in snapshots
    ]


def _refused(snapshot: Snapshot) -> bool:
    return any(problem.reason is Reason.INVALID_KEY for problem in snapshot.problems)


def _as_incident(snapshot: Snapshot) -> Snapshot:
    problems = [
        replace(
            problem,
            reason=Reason.VENUE_INCIDENT,
            detail=f"{problem.detail}; the exchange seems to be in trouble, the key may be fine",
        )
        if problem.reason is Reason.INVALID_KEY
        else problem
        for problem in snapshot.problems
    ]
    return replace(snapshot, problems=tuple(problems))


def _same_account(sheets: Sequence[Sheet], made: _Making) -> list[Sheet]:
    """The sheets of the account that the first key belongs to; a key of another one is a problem, not evidence."""
    known = next((sheet.account_id for sheet in sheets if sheet.account_id is not None), None)
    same = [sheet for sheet in sheets if sheet.account_id in {None, known}]
    if len(same) != len(sheets):
        detail = "a key belongs to another account than the first one and was left out; give it an account of its own"
        made.problems.append(
            Problem(endpoint="credentials", reason=Reason.IMPLAUSIBLE_RESPONSE, detail=detail, facts=("api_keys",))
        )
    return same


class _Making:
    """A snapshot in the making."""

    def __init__(self, name: str, exchange: str, identity: Identity | None) -> None:
        self.name = name
        self.exchange = exchange
        self.identity = identity
        self.account: dict[str, Any] = {}
        self.venue: dict[str, Any] = {}
        self.rows: dict[str, list[dict[str, Any]] | None] = dict.fromkeys(LISTS)
        self.sources: dict[str, Source] = {}
        self.problems: list[Problem] = []

    def add(self, sheet: Sheet) -> None:
        """What one key showed. Where two keys disagree the first one stands, and the contradiction is kept."""
        for scope, mine, theirs in (("account", self.account, sheet.account), ("venue", self.venue, sheet.venue)):
            for fact, value in theirs.items():
                self._state(f"{scope}.{fact}", mine, fact, value, sheet.sources[f"{scope}.{fact}"])
        for scope, rows in sheet.rows.items():
            if rows is not None:
                held = self.rows[scope] = self.rows[scope] or []
                self.sources[LISTS[scope]] = sheet.sources[LISTS[scope]]
                known = {row["fingerprint"]: row for row in held if "fingerprint" in row}
                for row in (self._identified(scope, row) for row in rows):
                    self._merge(held, known, row)
        self.problems += sheet.problems

    def _merge(self, held: list[dict[str, Any]], known: dict[str, dict[str, Any]], row: dict[str, Any]) -> None:
        """One key seen twice (by itself and in a list, or by two keys) is one row with what both showed."""
        twin = known.get(row.get("fingerprint", ""))
        if twin is None:
            held.append(row)
            if "fingerprint" in row:
                known[row["fingerprint"]] = row
        else:
            twin.update(
                {name: value for name, value in row.items() if name not in twin or (name == "is_audit_key" and value)}
            )

    def _identified(self, scope: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row without its public id. One whose id the venue hides gets no fingerprint here: two such rows may be two keys."""
        known = {
            fact: mask_personal(value) if fact in _TEXTS else value
            for fact, value in row.items()
            if fact != "public_id"
        }
        public_id = row.get("public_id")
        if self.identity is None or not public_id:
            return known
        if scope == "api_key":
            known["fingerprint"] = self.identity.fingerprint("api_key", self.exchange, self.name, public_id)
            known["masked_id"] = masked_id(public_id)
        elif scope == "address":
            place = (str(row.get("asset", "")), str(row.get("network", "")), public_id)
            known["fingerprint"] = self.identity.fingerprint("address", *place)
        return known

    def _state(self, path: str, table: dict[str, Any], fact: str, value: Any, source: Source) -> None:
        if fact not in table:
            table[fact] = value
            self.sources[path] = source
        elif table[fact] != value:
            shown = mask_personal(f"{source.ref or source.by} says {value}")
            self.sources[path] = replace(self.sources[path], contradicts=shown)

    def attest(self, attestation: Attestation, now: datetime) -> None:
        """What the owner stated and what has not expired; an answer that expired is a problem that names its fact."""
        for fact, value in attestation.account.items():
            path = f"account.{fact}"
            if path not in attestation.sources or self._expired(path, attestation.sources[path], now):
                continue
            self._state(path, self.account, fact, value, attestation.sources[path])
        for scope, rows in attestation.rows.items():
            for row in rows:
                self._attest_row(scope, row, attestation, now)
        if attestation.vendors is not None:
            self.rows["vendor"] = [dict(vendor) for vendor in attestation.vendors]
            self.sources["vendors"] = attestation.sources.get("vendors", Source(by="attest"))

    def _attest_row(self, scope: str, row: Row, attestation: Attestation, now: datetime) -> None:
        found = [
            held for held in self.rows[scope] or [] if all(held.get(name) == value for name, value in row.match.items())
        ]
        if len(found) != 1:
            how_many = "nothing that was seen" if not found else f"{len(found)} rows"
            detail = f"an answer about {LISTS[scope]} matches {how_many}; name it by its fingerprint"
            self.problems.append(Problem(endpoint="attestation", reason=Reason.NOT_COLLECTED, detail=detail))
            return
        for fact, value in row.facts.items():
            path = f"{scope}.{fact}"
            source = attestation.sources.get(path, Source(by="attest"))
            if fact not in found[0] and not self._expired(path, source, now):
                found[0][fact] = value
                self.sources[path] = source

    def _expired(self, path: str, source: Source, now: datetime) -> bool:
        if source.expires is None or now.date().isoformat() <= source.expires[:10]:
            return False
        detail = f"the answer of {(source.at or 'an unknown day')[:10]} expired on {source.expires[:10]}"
        expired = Problem(endpoint="attestation", reason=Reason.ATTESTATION_EXPIRED, detail=detail, facts=(path,))
        if expired not in self.problems:
            self.problems.append(expired)
        return True
