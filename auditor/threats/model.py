"""The attack model as values: what an attacker may begin with, hold and want, how one leads to another, what an owner can change.

Knows conditions, not how they are written; `load` reads them from YAML, `posture` asks them of an account.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from auditor.ruleset.kleene import ALWAYS, Condition
from auditor.values import frozen

EFFORTS = ("low", "medium", "high")
NAMES = ("api_key.label", "api_key.masked_id", "address.label", "vendor.name")
"""Facts that say which row it is and decide nothing."""


@frozen
class State:
    """Something an attacker holds, in plain words. Capabilities and goals are states too: the first and the last of a path.

    `mutes` are the alert channels (sms, email, push, other) that no longer reach the owner alone.
    """

    id: str
    text: str
    mutes: frozenset[str] = frozenset()
    goal: bool = False
    losing_funds: bool = False


@frozen
class Delay:
    """A wait in hours, read from the fact `hours`, where `state` is on the way (any way, if None) and `when` holds."""

    hours: str
    state: str | None
    when: Condition


@frozen
class Rows:
    """A condition on rows of a list (`api_key`, `address`, `vendor`): one of them must meet it."""

    scope: str
    when: Condition


@frozen
class Move:
    """One way to gain states. An action of the model is one move, or one for each thing it takes from a row.

    All of `have`, one of each group of `any`, `when`, and a row of `rows` are needed. `cost` is 1 (bought or automated) to
    5 (a rare flaw), `dearer_by` more where `dearer` holds.
    """

    action: str
    text: str
    have: tuple[str, ...]
    any: tuple[tuple[str, ...], ...]
    when: Condition
    rows: Rows | None
    gives: tuple[str, ...]
    cost: int
    dearer: Condition | None = None
    dearer_by: int = 0
    delays: tuple[Delay, ...] = ()
    why: str = ""
    attack: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()

    @property
    def facts(self) -> frozenset[str]:
        """Every fact that decides whether, at what cost and how soon it can be made."""
        parts = [self.when, *([self.rows.when] if self.rows else []), *([self.dearer] if self.dearer else [])]
        delays = [path for one in self.delays for path in (one.hours, *one.when.facts)]
        return frozenset([path for part in parts for path in part.facts] + delays)


@frozen
class Setting:
    """Facts of `scope` as they are after a change, for the account or each row that `when` is known to hold for."""

    scope: str
    when: Condition
    facts: dict[str, Any]


@frozen
class Remedy:
    """Something an owner can change. Not proposed where `needs` is known not to hold, or `offered` is not known to."""

    id: str
    text: str
    effort: str
    needs: Condition = ALWAYS
    offered: Condition = ALWAYS
    sets: tuple[Setting, ...]

    @property
    def rank(self) -> int:
        """How much work it is: 1 for low to 3 for high."""
        return EFFORTS.index(self.effort) + 1


@dataclass(frozen=True)
class Model:
    """A checked model. `capabilities` are ids of states; `together` are those worth looking at as one attacker."""

    states: dict[str, State]
    capabilities: tuple[str, ...]
    together: tuple[tuple[str, ...], ...]
    moves: tuple[Move, ...]
    remedies: tuple[Remedy, ...]
    sha256: str = field(default="", compare=False)

    @cached_property
    def goals(self) -> tuple[State, ...]:
        """What an attacker may be after, those that lose funds first."""
        found = [state for state in self.states.values() if state.goal]
        return tuple(sorted(found, key=lambda goal: not goal.losing_funds))

    @cached_property
    def facts(self) -> tuple[str, ...]:
        """Every fact the model reads, sorted."""
        changed = [path for remedy in self.remedies for one in remedy.sets for path in (*one.facts, *one.when.facts)]
        asked = [path for remedy in self.remedies for path in (*remedy.needs.facts, *remedy.offered.facts)]
        read: Iterable[str] = [path for move in self.moves for path in move.facts]
        return tuple(sorted({*read, *changed, *asked, *NAMES, "account.alert_channels"}))
