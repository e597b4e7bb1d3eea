"""A rule as a value: what it asks, whom, why, and what to do. Loading and checking are the ruleset's business."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from auditor.values import frozen


class Severity(StrEnum):
    """How bad it is if the rule fails, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


@frozen
class Predicate:
    """A checked condition: the SQL regenerated from its tree, and the facts it reads, in order of appearance."""

    sql: str
    facts: tuple[str, ...]


@frozen
class Fix:
    """What to change. `steps` by exchange id, and `default`; `remedy` names the steps in the venue file instead."""

    effort: str
    text: str
    remedy: str | None = None
    steps: dict[str, tuple[str, ...]]


@frozen
class Rule:
    """One checked rule file. `when` is None where the rule is about every subject of its type."""

    id: str
    title: str
    severity: Severity
    lifecycle: str
    since: str
    applies_to: str
    when: Predicate | None
    require: Predicate
    message: str
    why: str
    how_we_know: str
    fix: Fix
    controls: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    cases: tuple[dict[str, Any], ...] = ()
    file: str = ""

    @property
    def facts(self) -> tuple[str, ...]:
        """Every fact the rule reads, once, in order of appearance."""
        return tuple(dict.fromkeys((*(self.when.facts if self.when else ()), *self.require.facts)))
