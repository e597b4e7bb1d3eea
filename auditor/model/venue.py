"""What an exchange fixes for everybody, as values: policies with their sources, and what people need to know about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from auditor.model.evidence import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A fact the venue fixes. `value` is None where nobody could establish it; `condition` is what limits it."""

    fact: str
    value: Any
    sources: tuple[str, ...]
    as_of: str | None
    confidence: str
    condition: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFile:
    """One exchange as its file describes it. `connector` is None for a venue without an API; `warn_before_first_call` is
    what an owner must know and confirm before a key is used at all.
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

    def policy_facts(self) -> dict[str, Any]:
        """The known policies of both scopes by fact path."""
        known = {policy.fact: policy.value for policy in self.policies if policy.value is not None}
        return {"venue.id": self.id, **known}

    def source(self, fact: str) -> Source | None:
        """Where a policy comes from."""
        for policy in self.policies:
            if policy.fact == fact and policy.value is not None:
                return Source(by="venue", ref="; ".join(policy.sources), at=policy.as_of)
        return None
