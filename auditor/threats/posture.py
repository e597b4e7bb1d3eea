"""An account as the attack model sees it: which moves are known to be open, and which are not known to be closed.

Facts come evaluated from the engine and are read here, never derived. A change of the owner's is laid over them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any

from auditor.engine.evaluate import Evaluation
from auditor.engine.few import Few
from auditor.model.facts import Fact, catalogue
from auditor.ruleset.kleene import ALWAYS, Condition, Truth
from auditor.threats.model import Model, Move, Remedy
from auditor.values import frozen

Facts = dict[str, Any]
Rows = Mapping[str, Sequence[Facts]]

UNSEEN = "unseen"
"""Key of the row that stands for whatever a list did not show."""
_SINGLE = ("account", "venue")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class Reading:
    """Known facts of one account: `facts` of account and venue by path, `rows` by scope, the unseen row an empty one."""

    facts: Facts
    rows: Rows


class Terrain:
    """What is the same for every account: the model's moves by number, the facts that each change touches."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.moves = model.moves
        self.remedies = model.remedies
        self.touched = [_written(remedy) for remedy in self.remedies]
        """Of each change, the facts it can alter."""
        self.by_fact: dict[str, int] = {}
        for number, move in enumerate(self.moves):
            for path in move.facts:
                self.by_fact[path] = self.by_fact.get(path, 0) | 1 << number
        self.moves_of = [self._touching(paths) for paths in self.touched]
        """Of each change, the moves it can bear on, as bits."""
        self.changes_of = [
            sum(1 << change for change, moves in enumerate(self.moves_of) if moves >> number & 1)
            for number in range(len(self.moves))
        ]
        self._deciding = list(dict.fromkeys(_deciders(self.moves)))
        index = {one: place for place, one in enumerate(self._deciding)}
        self._needs = [tuple(index[one] for one in _of_move(move)) for move in self.moves]

    def bearing(self, changes: int) -> int:
        """The moves that any of these changes can bear on, as bits."""
        found = 0
        for number, moves in enumerate(self.moves_of):
            if changes >> number & 1:
                found |= moves
        return found

    def _touching(self, paths: frozenset[str]) -> int:
        found = 0
        for path in paths:
            found |= self.by_fact.get(path, 0)
        return found

    def masks(
        self, reading: Reading, now: datetime, before: tuple[int, int] = (0, 0), only: int = -1
    ) -> tuple[int, int]:
        """Moves known to be open, and moves not known to be closed, as bits; those beyond `only` are as they were."""
        held: dict[int, Truth] = {}
        known, maybe = before[0] & ~only, before[1] & ~only
        for number, needs in enumerate(self._needs):
            if not only >> number & 1:
                continue
            truth: Truth = True
            for place in needs:
                if place not in held:
                    held[place] = _truth(*self._deciding[place], reading, now)
                one = held[place]
                if one is False:
                    truth = False
                    break
                if one is None:
                    truth = None
            known |= (truth is True) << number
            maybe |= (truth is not False) << number
        return known, maybe


_Decider = tuple[str, Condition]


def _of_move(move: Move) -> Iterator[_Decider]:
    if move.when is not ALWAYS:
        yield "", move.when
    if move.rows:
        yield move.rows.scope, move.rows.when


def _deciders(moves: Sequence[Move]) -> Iterator[_Decider]:
    for move in moves:
        yield from _of_move(move)


def _truth(scope: str, condition: Condition, reading: Reading, now: datetime) -> Truth:
    if not scope or scope == "account":
        return condition.value(reading.facts, now)
    found: Truth = False
    for row in reading.rows.get(scope, ()):
        truth = condition.value(row, now)
        if truth:
            return True
        if truth is None:
            found = None
    return found


def _written(remedy: Remedy) -> frozenset[str]:
    return frozenset(path for one in remedy.sets for path in one.facts)


def readings(evaluation: Evaluation | Few, facts: Iterable[str]) -> Iterator[Reading]:
    """For each document of an evaluation, in order, what is known of these facts. The evaluation must have been told of them."""
    wanted = [catalogue()[path] for path in facts]
    streams = {
        scope: groupby(evaluation.rows(scope, [fact.path for fact in wanted if fact.scope == scope]), key=itemgetter(0))
        for scope in dict.fromkeys(fact.scope for fact in wanted)
        if scope not in _SINGLE
    }
    heads = {scope: next(stream, None) for scope, stream in streams.items()}
    singles = [evaluation.rows(scope, [fact.path for fact in wanted if fact.scope == scope]) for scope in _SINGLE]
    paths = [[fact for fact in wanted if fact.scope == scope] for scope in _SINGLE]
    for pair in zip(*singles, strict=True):
        facts_of = {
            path: value for named, row in zip(paths, pair, strict=True) for path, value in _known(named, row[2])
        }
        rows: dict[str, list[Facts]] = {}
        for scope, stream in streams.items():
            head, rows[scope] = heads[scope], []
            if head is not None and head[0] == pair[0][0]:
                named = [fact for fact in wanted if fact.scope == scope]
                rows[scope] = [
                    {**dict(_known(named, values)), **({UNSEEN: True} if unseen else {})}
                    for _, unseen, values in head[1]
                ]
                heads[scope] = next(stream, None)
        yield joined(facts_of, rows)


def _known(facts: Sequence[Fact], values: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    for fact, value in zip(facts, values, strict=True):
        if value is not None:
            yield fact.path, _EPOCH + timedelta(microseconds=value) if fact.kind == "time" else value


def joined(facts: Facts, rows: Mapping[str, Sequence[Facts]]) -> Reading:
    """A reading whose rows know the account and the venue too, in an order of their own, the unseen one last."""
    ordered = {scope: sorted(listed, key=_content) for scope, listed in rows.items()}
    return Reading(facts=facts, rows={scope: [{**facts, **row} for row in listed] for scope, listed in ordered.items()})


def _content(row: Facts) -> tuple[bool, list[tuple[str, str]]]:
    return UNSEEN in row, sorted((path, str(value)) for path, value in row.items())


@dataclass
class Posture:
    """One account over one terrain, as it is and as it would be after changes (bits over the model's remedies)."""

    terrain: Terrain
    reading: Reading
    now: datetime
    _seen: dict[int, tuple[int, int]] = field(default_factory=dict)
    _changed: dict[int, Reading] = field(default_factory=dict)

    @cached_property
    def masks(self) -> tuple[int, int]:
        """Moves known to be open, and moves not known to be closed."""
        return self.after(0)

    @cached_property
    def available(self) -> int:
        """The changes that can be proposed here: offered, and altering something."""
        facts, now = self.reading.facts, self.now
        found = 0
        for number, remedy in enumerate(self.terrain.remedies):
            makeable = remedy.needs.value(facts, now) is not False and remedy.offered.value(facts, now) is True
            if makeable and self.changed(1 << number) != self.reading:
                found |= 1 << number
        return found

    def after(self, changes: int) -> tuple[int, int]:
        """The masks once these changes are made."""
        if changes not in self._seen:
            bearing = -1
            if changes:
                bearing = self.terrain.bearing(changes)
            before = self.masks if changes else (0, 0)
            self._seen[changes] = self.terrain.masks(self.changed(changes), self.now, before, bearing)
        return self._seen[changes]

    def changed(self, changes: int) -> Reading:
        """The reading once these changes are made, those first that stand first in the model."""
        if changes not in self._changed:
            last = changes.bit_length() - 1
            before = self.reading if not changes else self.changed(changes & ~(1 << last))
            self._changed[changes] = _applied(self.terrain.remedies[last], before, self.now) if changes else before
        return self._changed[changes]


def _applied(remedy: Remedy, reading: Reading, now: datetime) -> Reading:
    for one in remedy.sets:
        if one.scope == "account":
            if one.when.value(reading.facts, now) is True:
                rows = {scope: [{**row, **one.facts} for row in listed] for scope, listed in reading.rows.items()}
                reading = Reading(facts={**reading.facts, **one.facts}, rows=rows)
            continue
        listed = [
            {**row, **one.facts} if one.when.value(row, now) is True else row for row in reading.rows.get(one.scope, ())
        ]
        reading = Reading(facts=reading.facts, rows={**reading.rows, one.scope: listed})
    return reading
