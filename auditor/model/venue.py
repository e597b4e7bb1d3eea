"""What an exchange fixes for everybody, as values: policies with their sources, and what people need to know about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from auditor.model.evidence import Source
from auditor.model.facts import parse_time

FRESH_DAYS = 180
"""How long what was read about a venue is taken for current."""

INVENTORY = ("all", "calling", "none")
"""What a reading key shows of the account's own keys: every one, the calling key alone, or only that it is answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A fact the venue fixes. `value` is None where nobody could establish it; `condition` is what limits it. `as_of` is
    the year, month or day (`2026`, `2026-08`, `2026-08-31`) of what was read, None where it has no date.
    """

    fact: str
    value: Any
    sources: tuple[str, ...]
    as_of: str | None
    confidence: str
    condition: str | None

    def stale(self, now: datetime) -> bool:
        """Whether it is older than 180 days at `now`. A year or month counts from its first day; what has no date may be
        of any age and is stale.
        """
        read = parse_time(f"{self.as_of}-01-01"[: len("2026-01-01")]) if self.as_of else None
        return read is None or (now.astimezone(UTC).date() - read.date()).days > FRESH_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFile:
    """One exchange as its file describes it. `connector` is None for a venue without an API; `warn_before_first_call` is
    what an owner must know and confirm before a key is used at all. `inventory` is one of INVENTORY, None where nobody says.
    """

    id: str
    name: str
    connector: str | None
    credentials: tuple[str, ...]
    permissions_tick: tuple[str, ...]
    permissions_never: tuple[str, ...]
    policies: tuple[Policy, ...]
    where: dict[str, str]
    needs_more: dict[str, str]
    remedies: dict[str, tuple[str, ...]]
    traps: tuple[str, ...]
    hidden: tuple[str, ...]
    warn_before_first_call: str | None = None
    inventory: str | None = None

    def policy_facts(self) -> dict[str, Any]:
        """The known policies of both scopes by fact path."""
        known = {policy.fact: policy.value for policy in self.policies if policy.value is not None}
        return {"venue.id": self.id, **known}

    def policy(self, fact: str) -> Policy | None:
        """The policy that states a fact; None where none does, or where its value could not be established."""
        return next((one for one in self.policies if one.fact == fact and one.value is not None), None)

    def source(self, fact: str) -> Source | None:
        """Where a policy comes from."""
        policy = self.policy(fact)
        return Source(by="venue", ref="; ".join(policy.sources), at=policy.as_of) if policy else None
