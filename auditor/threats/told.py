"""A solved way in plain words: each step with what it needs and gives, the facts it rests on, and those that would decide it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from auditor.model.facts import COMPLETENESS, format_time
from auditor.model.normalise import short_id
from auditor.model.report import AttackPath, EvidenceLine, PathStatus, PathStep
from auditor.redaction import shortened
from auditor.threats.model import Model
from auditor.threats.posture import UNSEEN, Facts, Posture
from auditor.threats.solve import Graph, ones
from auditor.threats.waits import Waits, delay_of, waits_of

if TYPE_CHECKING:
    from auditor.threats.paths import Route

Source = Callable[[str], str]
"""Where a fact of the account came from, in words."""

NAMED_BY = {
    "api_key": ("api_key.label", "api_key.masked_id"),
    "address": ("address.label",),
    "vendor": ("vendor.name",),
}
"""The facts that say which row a step is about."""


@dataclass
class Told:
    """The words of one account. A step that several ways share is made once."""

    model: Model
    graph: Graph
    posture: Posture
    source: Source
    _steps: dict[Any, PathStep] = field(default_factory=dict)
    _heard: dict[int, tuple[str, ...] | None] = field(default_factory=dict)
    _begins: dict[tuple[str, ...], tuple[str, str]] = field(default_factory=dict)

    @cached_property
    def _waits(self) -> Waits:
        return waits_of(self.graph, self.posture.reading, self.posture.now)

    def path(self, way: Route) -> AttackPath:
        """A solved way as the report shows it."""
        start = self.graph.start(way.start)
        all_ = self.graph.held(start, way.moves)
        held, steps = start, []
        for number in way.moves:
            delay = delay_of(self._waits, (number,), all_) if number in self._waits else 0.0
            steps.append(self._step(number, held, delay))
            held |= self.graph.gives[number]
        capability, text = self._starts(way.start)
        return AttackPath(
            id=f"{capability}:{way.goal}",
            goal=way.goal,
            goal_text=self.model.states[way.goal].text,
            status=PathStatus.CONFIRMED if way.confirmed else PathStatus.POSSIBLE,
            capability=capability,
            capability_text=text,
            cost=way.cost,
            delay_hours=way.delay,
            alerts=self._alerts(all_ & self.graph.muting),
            steps=tuple(steps),
            closed_by=tuple(self.model.remedies[bit.bit_length() - 1].id for bit in ones(way.closed_by)),
            unknown=() if way.confirmed else tuple(dict.fromkeys(fact for step in steps for fact in step.unknown)),
            residual=way.residual,
        )

    def _starts(self, names: tuple[str, ...]) -> tuple[str, str]:
        """An attacker's id and words."""
        if names not in self._begins:
            self._begins[names] = "+".join(names), " and ".join(self.model.states[name].text for name in names)
        return self._begins[names]

    def _alerts(self, muting: int) -> tuple[str, ...] | None:
        """The channels that still reach the owner alone, once these states that mute some are held."""
        if muting not in self._heard:
            channels = self.posture.reading.facts.get("account.alert_channels")
            states = [self.model.states[name] for name, bit in self.graph.bits.items() if muting & bit]
            muted = {channel for state in states for channel in state.mutes}
            self._heard[muting] = None if channels is None else tuple(sorted(set(channels) - muted))
        return self._heard[muting]

    def _step(self, number: int, held: int, delay: float | None) -> PathStep:
        need = next(need for need in self.graph.needs[number] if need & held == need)
        key = (number, need, delay)
        if key not in self._steps:
            self._steps[key] = self._new_step(number, need, delay)
        return self._steps[key]

    def _new_step(self, number: int, need: int, delay: float | None) -> PathStep:
        move, sure = self.model.moves[number], bool(self.posture.masks[0] >> number & 1)
        costs = move.dearer is not None and move.dearer.value(self.posture.reading.facts, self.posture.now) is True
        return PathStep(
            action=move.action,
            text=move.text,
            status=PathStatus.CONFIRMED if sure else PathStatus.POSSIBLE,
            needs=self.graph.texts(need),
            gives=self.graph.texts_of(number),
            cost=move.cost + (move.dearer_by if costs else 0),
            delay_hours=delay,
            evidence=tuple(self._evidence(number)),
            unknown=() if sure else tuple(self._unknown(number)),
            attack=move.attack,
            incidents=move.incidents,
        )

    def _evidence(self, number: int) -> Iterator[EvidenceLine]:
        """The known facts that keep a move open, those of the row that is used last."""
        move, now = self.model.moves[number], self.posture.now
        facts = self.posture.reading.facts
        for path in move.when.grounds(facts, now):
            yield self._line(path, facts)
        row = self._row(number)
        if move.rows is None or row is None or row.get(UNSEEN):
            return
        grounds = [path for path in move.rows.when.grounds(row, now) if path not in facts]
        for path in (*NAMED_BY.get(move.rows.scope, ()), *grounds):
            if row.get(path) is not None:
                yield self._line(path, row)

    def _line(self, path: str, facts: Facts) -> EvidenceLine:
        value = facts[path]
        if isinstance(value, str):
            value = shortened(short_id(value) if path.endswith(".masked_id") else value)
        elif hasattr(value, "tzinfo"):
            value = format_time(value)
        return EvidenceLine(fact=path, value=value, source=self.source(path))

    def _row(self, number: int) -> Facts | None:
        """The row that makes a move possible: one that is known to do, else one that was seen, else the unseen one."""
        rows = self.model.moves[number].rows
        if rows is None:
            return None
        truths = [
            (rows.when.value(row, self.posture.now), row) for row in self.posture.reading.rows.get(rows.scope, ())
        ]
        sure = next((row for truth, row in truths if truth), None)
        seen = next((row for truth, row in truths if truth is None and not row.get(UNSEEN)), None)
        return sure or seen or next((row for truth, row in truths if truth is None), None)

    def _unknown(self, number: int) -> Iterator[str]:
        """The facts that would decide a move; where only unlisted rows are in doubt, the one that says a list is whole."""
        move, now = self.model.moves[number], self.posture.now
        yield from move.when.open(self.posture.reading.facts, now)
        row = self._row(number)
        if move.rows is None or row is None:
            return
        if row.get(UNSEEN):
            yield COMPLETENESS[move.rows.scope]
        else:
            yield from move.rows.when.open(row, now)
