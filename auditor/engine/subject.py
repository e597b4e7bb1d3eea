"""Whom facts are about, and what a document says of them beside facts: problems, sources, the rows of the same list.

For the evaluator in plain Python (`few`). Knows no rule and nothing of what follows from what.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

from auditor.engine.derived import LOOKED_THROUGH
from auditor.model.evidence import Reason
from auditor.model.facts import LISTS, of_scope, parse_time

Facts = dict[str, Any]
"""Known facts by path: times as datetimes, numbers as floats. What is unknown is absent or None."""

_BROKEN = {Reason.MALFORMED_RESPONSE, Reason.IMPLAUSIBLE_RESPONSE}
_DELIBERATE = {
    Reason.NOT_EXPOSED, Reason.NOT_COLLECTED, Reason.PERMISSION_DENIED, Reason.ATTESTATION_EXPIRED
}  # fmt: skip
_OWNER = {"attest", "config"}
_A_DAY = timedelta(days=1)
_DATE_LENGTH = len("2026-11-20")


def known(scope: str, row: Mapping[str, Any]) -> Facts:
    """The facts of a row that stands in a normalised document or in a venue file."""
    facts = of_scope(scope)
    return {
        facts[name].path: value
        for name, held in row.items()
        if held is not None and name in facts and (value := _value(facts[name].kind, held)) is not None
    }


def _value(kind: str, held: Any) -> Any:
    if kind == "time":
        return parse_time(held)
    return float(held) if kind == "number" else held


class Document:
    """A normalised document at the moment `now`."""

    def __init__(self, value: Mapping[str, Any], now: datetime) -> None:
        self.value = value
        self.now = now
        self.sources: Mapping[str, Mapping[str, Any]] = value.get("sources") or {}
        self.problems: Sequence[Mapping[str, Any]] = value.get("problems") or ()

    def rows(self, scope: str) -> Sequence[Mapping[str, Any]] | None:
        """A list as it was given; None for one that was not seen."""
        found: Sequence[Mapping[str, Any]] | None = self.value.get(LISTS[scope])
        return found

    def trouble(self, name: str, *, asked: bool = False) -> bool:
        """Whether a problem names this list or fact; with `asked`, one that is more than that nobody asked for it."""
        named = (problem["reason"] for problem in self.problems if name in (problem.get("facts") or ()))
        return any(not asked or reason != Reason.NOT_COLLECTED for reason in named)

    @property
    def broken(self) -> bool:
        """Whether an answer of the exchange made no sense."""
        return any(problem["reason"] in _BROKEN for problem in self.problems)

    @property
    def failed(self) -> bool:
        """Whether a call failed that could have shown something."""
        return any(problem["reason"] not in _BROKEN | _DELIBERATE for problem in self.problems)

    @property
    def contradicted(self) -> bool:
        """Whether two sources say different things."""
        return any(source.get("contradicts") is not None for source in self.sources.values())

    @property
    def answered(self) -> list[date | None]:
        """The days on which the owner said what he said."""
        days = [source.get("at") for source in self.sources.values() if source["by"] in _OWNER]
        return [date.fromisoformat(day[:_DATE_LENGTH]) if day else None for day in days]

    @cached_property
    def spoken(self) -> Mapping[str, datetime | None]:
        """When the owner spoke of a whole list, by the fact he did it with. A day lasts until its end."""
        return {fact: _end((self.sources.get(fact) or {}).get("at")) for fact in LOOKED_THROUGH}

    @cached_property
    def last_arrival(self) -> datetime | None:
        """When the last withdrawal arrived that was done."""
        done = [known("withdrawal", row) for row in self.rows("withdrawal") or () if row.get("state") == "done"]
        return max((one["withdrawal.at"] for one in done if "withdrawal.at" in one), default=None)


def _end(at: str | None) -> datetime | None:
    moment = parse_time(at)
    return moment + _A_DAY if at and moment and len(at) == _DATE_LENGTH else moment


class Beside:
    """What the rows of one list say of each other, as they were given."""

    def __init__(self, rows: Sequence[Facts]) -> None:
        self._rows = rows

    @cached_property
    def owners_addresses(self) -> set[str]:
        """From where a login was confirmed by the owner."""
        confirmed = (row for row in self._rows if row.get("event.kind") == "login" and row.get("event.owner_confirmed"))
        return {row["event.ip"] for row in confirmed if "event.ip" in row}

    @cached_property
    def all_told(self) -> bool:
        """Whether everything that matters is known of every withdrawal."""
        return all(map(_told, self._rows))

    @cached_property
    def smallest(self) -> Mapping[int, float]:
        """Of a withdrawal by its number: the smallest of its asset to its destination, within the day before it."""
        together: dict[tuple[str, str], list[tuple[datetime, float, int]]] = defaultdict(list)
        for number, row in enumerate(self._rows, 1):
            if _told(row):
                place = row["withdrawal.asset"], row["withdrawal.destination"]
                together[place].append((row["withdrawal.at"], row["withdrawal.amount"], number))
        found: dict[int, float] = {}
        for group in map(sorted, together.values()):
            times = [at for at, _, _ in group]
            for at, _, number in group:
                within = group[bisect_left(times, at - _A_DAY) : bisect_right(times, at)]
                amounts = [amount for _, amount, _ in within if amount > 0]
                if amounts:
                    found[number] = min(amounts)
        return found


def _told(withdrawal: Facts) -> bool:
    return all(f"withdrawal.{name}" in withdrawal for name in ("at", "asset", "amount", "destination"))


@dataclass(slots=True, kw_only=True)
class Subject:
    """The account or venue of a document, or the row of this `number` (from 1; 0 is the unseen one) and those beside it."""

    document: Document
    unseen: bool = False
    number: int = 0
    beside: Beside | None = None
