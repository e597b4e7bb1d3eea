"""What an exchange fixes for everybody, as values: policies with their sources, and what people need to know about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from datetime import UTC, datetime
from typing import Any

from auditor.model.evidence import Source
from auditor.model.facts import parse_time
from auditor.values import frozen

FRESH_DAYS = 180
"""How long what was read about a venue is taken for current."""

INVENTORY = ("all", "calling", "none")
"""What a reading key shows of the account's own keys: every one, the calling key alone, or only that it is answered."""

SHOWN = ("account", "calling_key", "other_keys", "addresses", "events", "withdrawals", "venue")
"""Where a reading key may show facts: keys beside the calling one are those of a list, or of sub-accounts."""
_SCOPE_OF = {
    "calling_key": "api_key",
    "other_keys": "api_key",
    "addresses": "address",
    "events": "event",
    "withdrawals": "withdrawal",
}


def shown_paths(place: str, names: Iterable[str]) -> list[str]:
    """The fact paths of what is shown at a place."""
    return [f"{_SCOPE_OF.get(place, place)}.{name}" for name in names]


def stale(as_of: str | None, now: datetime) -> bool:
    """Whether what was read then is older than 180 days at `now`. A year or month counts from its first day; what has no date
    may be of any age and is stale.
    """
    read = parse_time(f"{as_of}-01-01"[: len("2026-01-01")]) if as_of else None
    return read is None or (now.astimezone(UTC).date() - read.date()).days > FRESH_DAYS


def age(as_of: str | None, now: datetime) -> str:
    """How old something is that was read then, in words."""
    if as_of is None:
        return "undated"
    return f"as of {as_of}{f' (older than {FRESH_DAYS} days)' if stale(as_of, now) else ''}"


@frozen
class Origin:
    """Where something about a venue was read: addresses, the year, month or day of what was read, and how sure it is. No
    source and `low` is what is known of menus that nobody has written down.
    """

    sources: tuple[str, ...] = ()
    as_of: str | None = None
    confidence: str = "low"


@frozen
class Remedy:
    """The steps of a change in the venue's own menus."""

    steps: tuple[str, ...]
    origin: Origin = Origin()


@frozen
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
        """Whether it is older than 180 days at `now` (`venue.stale`)."""
        return stale(self.as_of, now)


@frozen
class VenueFile:
    """One exchange as its file describes it. `connector` is None for a venue without an API; `warn_before_first_call` is
    what an owner must know and confirm before a key is used at all. `inventory` is one of INVENTORY, None where nobody says.
    `shows` is what a key can prove at best, by place (SHOWN), and `beyond_reading` which of these places and facts open only
    to a key that may do more than read. `include_needs` is what an opt-in of the configuration needs beside the usual ticks.
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
    remedies: dict[str, Remedy]
    traps: tuple[str, ...]
    hidden: tuple[str, ...]
    warn_before_first_call: str | None = None
    inventory: str | None = None
    permissions_origin: Origin = Origin()
    shows: dict[str, tuple[str, ...]] = field(default_factory=dict)
    include_needs: dict[str, str] = field(default_factory=dict)
    beyond_reading: tuple[str, ...] = ()

    def proven(self) -> tuple[str, ...]:
        """Every fact path that a reading key shows, of one key or place at least, sorted."""
        return tuple(sorted({path for place, names in self.shows.items() for path in shown_paths(place, names)}))

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
