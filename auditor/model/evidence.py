"""Evidence: a fact with its source, or the reason it is missing; and the snapshot, all evidence of one account.

A snapshot holds plain JSON values (times as UTC text) keyed by the names of the fact catalogue. A key that is not
there is unknown; `None` under a list means that the list was not seen, `[]` that it was seen and is empty.
"""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any

from auditor.model.facts import LISTS, format_time
from auditor.values import frozen

SCHEMA = "auditor/evidence/1"


class Reason(StrEnum):
    """Why a fact is missing: the closed list of contract 5."""

    NOT_EXPOSED = "not_exposed"
    PERMISSION_DENIED = "permission_denied"
    IP_NOT_ALLOWED = "ip_not_allowed"
    INVALID_KEY = "invalid_key"
    VENUE_MAINTENANCE = "venue_maintenance"
    VENUE_INCIDENT = "venue_incident"
    RATE_LIMITED = "rate_limited"
    CLOCK_SKEW = "clock_skew"
    TIMEOUT = "timeout"
    MALFORMED_RESPONSE = "malformed_response"
    IMPLAUSIBLE_RESPONSE = "implausible_response"
    NOT_COLLECTED = "not_collected"
    ATTESTATION_EXPIRED = "attestation_expired"
    ACCOUNT_FROZEN = "account_frozen"
    VENUE_CLOSED = "venue_closed"


@frozen
class Source:
    """Where a fact came from. `by` is api, attest, venue, derived, history, local or config; times are UTC text."""

    by: str
    ref: str | None = None
    at: str | None = None
    expires: str | None = None
    contradicts: str | None = None

    def to_document(self) -> dict[str, str]:
        named = {name: getattr(self, name) for name in ("by", "ref", "at", "expires", "contradicts")}
        return {name: value for name, value in named.items() if value is not None}


@frozen
class Problem:
    """One thing that could not be observed. `facts` are the paths it would have shown; `detail` is already scrubbed."""

    endpoint: str
    reason: Reason
    detail: str = ""
    facts: tuple[str, ...] = ()

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"endpoint": self.endpoint, "reason": self.reason.value, "detail": self.detail}
        return {**document, "facts": list(self.facts)} if self.facts else document


@frozen
class Snapshot:
    """All evidence of one account at one moment. `account` holds its name and exchange beside its facts."""

    collected_at: datetime
    account: dict[str, Any]
    api_keys: list[dict[str, Any]] | None = None
    addresses: list[dict[str, Any]] | None = None
    events: list[dict[str, Any]] | None = None
    withdrawals: list[dict[str, Any]] | None = None
    vendors: list[dict[str, Any]] | None = None
    venue: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def name(self) -> str:
        return str(self.account["name"])

    @property
    def exchange(self) -> str:
        return str(self.account["exchange"])

    def rows(self, scope: str) -> list[dict[str, Any]] | None:
        """The list of a row scope, or None where it was not seen."""
        rows: list[dict[str, Any]] | None = getattr(self, LISTS[scope])
        return rows

    def to_document(self) -> dict[str, Any]:
        """The evidence document of contract 5."""
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "collected_at": format_time(self.collected_at),
            "account": self.account,
            **{key: getattr(self, key) for key in LISTS.values() if getattr(self, key) is not None},
        }
        if self.venue:
            document["venue"] = self.venue
        if self.sources:
            document["sources"] = {path: source.to_document() for path, source in sorted(self.sources.items())}
        document["problems"] = [problem.to_document() for problem in self.problems]
        return document
