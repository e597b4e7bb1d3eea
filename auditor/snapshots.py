"""Makes one snapshot of what several keys showed and what the owner stated.

An API beats an unexpired attestation, which beats the venue file; a contradiction is kept beside the fact. Public ids of
keys and addresses come in here and go no further: a keyed fingerprint and four characters stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from auditor import doubt
from auditor.attestations import Attestation, Row
from auditor.exchanges._base import UNSTORED, Sheet
from auditor.identity import Identity
from auditor.model.evidence import Problem, Reason, Snapshot, Source
from auditor.model.facts import LISTS, catalogue
from auditor.redaction import mask_personal, masked_id

_TEXTS = ("label", "sub_account", "text", "name", "ip")
_STATED = "attestation"
"""The endpoint of problems with what the owner stated."""
_TROUBLED = {"degraded", "maintenance"}

compare_with = doubt.compare_with


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
    stated = {path for path, source in snapshot.sources.items() if source.by == "attest"}
    made.account = _unstated("account", snapshot.account, stated)
    for scope, key in LISTS.items():
        rows = None if key in stated else snapshot.rows(scope)
        made.rows[scope] = None if rows is None else [_unstated(scope, row, stated) for row in rows]
    made.sources = {
        path: replace(source, contradicts=None) if path in attestation.sources else source
        for path, source in snapshot.sources.items()
        if path not in stated
    }
    made.problems = [problem for problem in snapshot.problems if problem.endpoint != _STATED]
    made.attest(attestation, now)
    lists: dict[str, Any] = {key: made.rows[scope] for scope, key in LISTS.items()}
    return replace(
        snapshot,
        account={**made.account, "name": snapshot.name, "exchange": snapshot.exchange},
        sources=made.sources,
        problems=tuple(dict.fromkeys(made.problems)),
        **lists,
    )


def _unstated(scope: str, row: Mapping[str, Any], stated: set[str]) -> dict[str, Any]:
    """A row without what its owner stated. Of a fact that an API may show too nobody knows whose it was: it stays."""
    known = catalogue()
    return {
        fact: value
        for fact, value in row.items()
        if f"{scope}.{fact}" not in stated or (scope in LISTS and "api" in known[f"{scope}.{fact}"].by)
    }


def counted(snapshot: Snapshot, count: int, as_of: str) -> Snapshot:
    """The snapshot with the number of keys that the owner counted in the web page (`expected_keys`)."""
    return replace(
        snapshot,
        account={**snapshot.account, "keys_counted": count},
        sources={**snapshot.sources, "account.keys_counted": Source(by="config", ref="expected_keys", at=as_of)},
    )


def asked(snapshot: Snapshot) -> Snapshot:
    """The snapshot of an account whose owner asked for its balance (`include`)."""
    source = Source(by="config", ref="include")
    return replace(
        snapshot,
        account={**snapshot.account, "balance_asked_for": True},
        sources={**snapshot.sources, "account.balance_asked_for": source},
    )


def suspect_incidents(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """Refused keys read with care: where a venue reports trouble, or refuses two accounts alike in one run, the refusal
    says more about the venue than about the keys.
    """
    refused = Counter(snapshot.exchange for snapshot in snapshots if _refused(snapshot))
    return [
        _as_incident(snapshot)
        if _refused(snapshot) and (refused[snapshot.exchange] > 1 or snapshot.venue.get("status") in _TROUBLED)
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


_OF_THE_CALLER = {"is_audit_key", "public_id", "enabled", "can_read", "kind"}
"""What the key that asks proves of itself by being answered, whatever a list of keys says."""


def _doubt_an_empty_inventory(sheet: Sheet) -> None:
    """A list of all keys that does not hold even the one that asks for it is a glitch of the exchange, not an inventory."""
    rows = sheet.rows["api_key"]
    whole = sheet.account.get("key_inventory_complete")
    if not whole or any(set(row) - _OF_THE_CALLER for row in rows or []):
        return
    del sheet.account["key_inventory_complete"]
    detail = "the list of all keys came without any, while one of them was asking; it is not believed"
    lost = ("api_keys", "account.key_inventory_complete")
    sheet.problems.append(Problem(endpoint="api_keys", reason=Reason.IMPLAUSIBLE_RESPONSE, detail=detail, facts=lost))


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
        _doubt_an_empty_inventory(sheet)
        for scope, mine, theirs in (("account", self.account, sheet.account), ("venue", self.venue, sheet.venue)):
            for fact, value in theirs.items():
                self._state(f"{scope}.{fact}", mine, fact, value, sheet.sources[f"{scope}.{fact}"])
        for scope, rows in sheet.rows.items():
            if rows is not None:
                held = self.rows[scope] = self.rows[scope] or []
                self.sources[LISTS[scope]] = sheet.sources[LISTS[scope]]
                known = {row["fingerprint"]: row for row in held if "fingerprint" in row}
                for row in (self._identified(scope, row) for row in rows):
                    self._merge(scope, held, known, row)
        self.problems += sheet.problems

    def _merge(
        self, scope: str, held: list[dict[str, Any]], known: dict[str, dict[str, Any]], row: dict[str, Any]
    ) -> None:
        """One key seen twice (by itself and in a list, or by two keys) is one row with what both showed.

        Where they differ in a yes or no the first one stands, and the contradiction is kept.
        """
        twin = known.get(row.get("fingerprint", ""))
        if twin is None:
            if scope == "event" and row in held:  # two keys are shown the same log
                return
            held.append(row)
            if "fingerprint" in row:
                known[row["fingerprint"]] = row
        else:
            for name in row.keys() & twin.keys() - {"is_audit_key"}:
                if isinstance(row[name], bool) and row[name] is not twin[name]:
                    listed = self.sources[LISTS[scope]]
                    self.sources[f"{scope}.{name}"] = replace(listed, contradicts=f"another key shows {row[name]}")
            twin.update(
                {name: value for name, value in row.items() if name not in twin or (name == "is_audit_key" and value)}
            )

    def _identified(self, scope: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row without its public id. One whose id the venue hides gets no fingerprint here: two such rows may be two keys."""
        known = {
            fact: mask_personal(value) if fact in _TEXTS else value
            for fact, value in row.items()
            if fact not in UNSTORED
        }
        if self.identity is not None and "goes_to" in row:
            known["destination"] = self.identity.fingerprint("destination", self.exchange, row["goes_to"])
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
        listed = attestation.sources.get("vendors", Source(by="attest"))
        if attestation.vendors is not None and not self._expired("vendors", listed, now):
            self._attest_vendors(attestation.vendors, attestation.sources, now)
            self.sources["vendors"] = listed

    def _attest_vendors(
        self, vendors: Sequence[Mapping[str, Any]], sources: Mapping[str, Source], now: datetime
    ) -> None:
        """The third parties, each with those answers about it that have not expired."""
        stated = {fact: sources.get(f"vendor.{fact}") for vendor in vendors for fact in vendor}
        held = {
            fact for fact, source in stated.items() if not (source and self._expired(f"vendor.{fact}", source, now))
        }
        self.rows["vendor"] = [{fact: vendor[fact] for fact in vendor if fact in held} for vendor in vendors]
        self.sources |= {f"vendor.{fact}": source for fact in held if (source := stated[fact])}

    def _attest_row(self, scope: str, row: Row, attestation: Attestation, now: datetime) -> None:
        found = [
            held for held in self.rows[scope] or [] if all(held.get(name) == value for name, value in row.match.items())
        ]
        if len(found) != 1:
            how_many = "nothing that was seen" if not found else f"{len(found)} rows"
            facts = tuple(f"{scope}.{fact}" for fact in row.facts)
            detail = f"an answer about {LISTS[scope]} matches {how_many}; name it by its fingerprint"
            self.problems.append(Problem(endpoint=_STATED, reason=Reason.NOT_COLLECTED, detail=detail, facts=facts))
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
        expired = Problem(endpoint=_STATED, reason=Reason.ATTESTATION_EXPIRED, detail=detail, facts=(path,))
        if expired not in self.problems:
            self.problems.append(expired)
        return True
