"""From facts of an account to what a report says of it: every attacker's cheapest way to every goal, and what closes it.

Equal postures are solved once. Knows words and evidence; the search itself knows neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from typing import Any

from auditor.model.report import AttackPath, Change, Hardening, PathStatus
from auditor.threats.fixes import Closing, Way
from auditor.threats.model import NAMES, Model
from auditor.threats.posture import Posture, Reading, Terrain
from auditor.threats.solve import Graph, ones, weights
from auditor.threats.told import Source, Told
from auditor.threats.waits import Waits, delay_of, preference, waits_of
from auditor.values import frozen

_MOST_KEPT = 5_000
_MOST_PROOFS = 100_000
_MOST_ROUTES = 50_000


@frozen
class Route:
    """A solved way: who starts it, what it reaches, its moves in order, and what closes it (changes as bits)."""

    start: tuple[str, ...]
    goal: str
    confirmed: bool
    moves: tuple[int, ...]
    cost: int
    delay: float | None
    closed_by: int
    delayed_by: int
    residual: bool


@frozen
class Solved:
    """Everything the model says of one posture. `sets` are the closing sets, smallest first, as bits over the changes."""

    ways: tuple[Route, ...]
    sets: tuple[int, ...]
    available: int


@dataclass(slots=True)
class Analyst:
    """Solves accounts over one model, and remembers postures it has seen."""

    model: Model
    terrain: Terrain = field(init=False)
    graph: Graph = field(init=False)
    starts: tuple[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], ...] = field(init=False)
    """Who is looked at, and what fewer capabilities are in it."""
    slowing: int = field(init=False)
    """Changes that can alter a wait."""
    proofs: dict[Any, tuple[tuple[int, ...], float | None]] = field(default_factory=dict)
    """Proofs by what decides them: an attacker, a goal, the moves that are open, what they cost and how long they wait."""
    routes: dict[Any, tuple[Route, ...]] = field(default_factory=dict)
    """Routes of one attacker by what decides them: those of most accounts were met before."""
    _seen: dict[Any, Solved] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.terrain = Terrain(self.model)
        self.graph = Graph(self.model)
        alone = [((name,), ()) for name in self.model.capabilities]
        groups = [
            (group, tuple(part for size in range(1, len(group)) for part in combinations(group, size)))
            for group in self.model.together
        ]
        self.starts = (*alone, *groups)
        waits = {path for move in self.model.moves for one in move.delays for path in (one.hours, *one.when.facts)}
        self.slowing = sum(1 << number for number, told in enumerate(self.terrain.touched) if told & waits)

    def study(self, reading: Reading, now: datetime, source: Source) -> tuple[tuple[AttackPath, ...], Hardening]:
        """The paths of one account, confirmed ones to losing funds first, and what closes them."""
        solved = self.solve(reading, now)
        told = Told(self.model, self.graph, Posture(self.terrain, reading, now), source)
        paths = tuple(told.path(way) for way in solved.ways)
        return paths, self._hardening(solved, paths)

    def solve(self, reading: Reading, now: datetime) -> Solved:
        """What the model says of a posture; equal ones are solved once."""
        key = (now, _content(reading))
        if key not in self._seen:
            if len(self._seen) >= _MOST_KEPT:
                self._seen.clear()
            self._seen[key] = _Solving(self, Posture(self.terrain, reading, now)).run()
        return self._seen[key]

    def reaches(self, capabilities: Sequence[str], reading: Reading, now: datetime) -> dict[str, PathStatus | None]:
        """Goal -> whether an attacker with all of these capabilities reaches it: confirmed, possible, or None."""
        known, maybe = Posture(self.terrain, reading, now).masks
        start = self.graph.start(capabilities)
        sure, perhaps = self.graph.reach(start, known), self.graph.reach(start, maybe)
        return {
            goal.id: PathStatus.CONFIRMED
            if sure & self.graph.bits[goal.id]
            else PathStatus.POSSIBLE
            if perhaps & self.graph.bits[goal.id]
            else None
            for goal in self.model.goals
        }

    def _hardening(self, solved: Solved, paths: Sequence[AttackPath]) -> Hardening:
        named = list(zip(solved.ways, paths, strict=True))
        losing = {goal.id for goal in self.model.goals if goal.losing_funds}
        changes = {bit: self._change(bit, named) for bit in ones(solved.available)}
        telling = [bit for bit in changes if not self.terrain.moves_of[bit.bit_length() - 1]]
        helping = [bit for bit in changes if any((way.closed_by | way.delayed_by) & bit for way in solved.ways)]
        sets = [tuple(changes[bit] for bit in ones(one)) for one in solved.sets]
        sets = [tuple(sorted(one, key=lambda change: _EFFORT[change.effort])) for one in sets]
        shown = [changes[bit] for bit in (*helping, *telling)]
        single = sorted(shown, key=lambda one: (-len(one.closes), -len(one.delays), _EFFORT[one.effort]))
        return Hardening(
            smallest=sets[0] if sets else (),
            alternatives=tuple(sets[1:]),
            single=tuple(single),
            residual=tuple(path.id for way, path in named if way.residual and way.goal in losing),
        )

    def _change(self, bit: int, named: Sequence[tuple[Route, AttackPath]]) -> Change:
        remedy = self.model.remedies[bit.bit_length() - 1]
        return Change(
            id=remedy.id,
            text=remedy.text,
            effort=remedy.effort,
            closes=tuple(path.id for way, path in named if way.confirmed and way.closed_by & bit),
            delays=tuple(path.id for way, path in named if way.delayed_by & bit),
        )


_EFFORT = {"low": 1, "medium": 2, "high": 3}


def _content(reading: Reading) -> Any:
    """A reading as far as it decides anything: rows without their names, each kind of row once, in no order."""
    facts = tuple(sorted((path, str(value)) for path, value in reading.facts.items()))
    rows = tuple(
        (scope, frozenset(tuple(sorted((k, str(v)) for k, v in row.items() if k not in NAMES)) for row in listed))
        for scope, listed in sorted(reading.rows.items())
    )
    return facts, rows


@dataclass(slots=True)
class _Solving:
    """One posture being solved."""

    analyst: Analyst
    posture: Posture
    costs: tuple[int, ...] = field(init=False)
    waits: dict[int, Waits] = field(default_factory=dict)
    dear: dict[int, int] = field(default_factory=dict)
    levels: dict[tuple[str, ...], tuple[int, int]] = field(default_factory=dict)

    after: dict[bool, list[tuple[int, int]]] = field(init=False)
    """Each change that is there to be made, and the moves that are then open: for sure, and perhaps."""
    hardest: tuple[int, int] = field(init=False)
    slowing: frozenset[int] = field(init=False)
    """Changes that alter a wait."""
    masks: list[int] = field(init=False)
    """Everything that is open before and after each change."""
    state: tuple[Any, ...] = field(init=False)
    """What else decides: the changes that are there, and what has to be waited for before and after each."""
    graph: Graph = field(init=False)

    def __post_init__(self) -> None:
        self.graph = self.analyst.graph
        self.costs = self._costs(self._dear(0))
        changes = list(ones(self.posture.available))
        self.after = {
            sure: [(one, self.posture.after(one)[0 if sure else 1]) for one in changes] for sure in (True, False)
        }
        self.hardest = self.posture.after(self.posture.available)
        self.masks = [*self.posture.masks, *self.hardest, *[mask for both in self.after.values() for _, mask in both]]
        self.slowing = frozenset(one for one in changes if self._waits(one).key != self._waits(0).key)
        waits = tuple(self._waits(one).key for one in (0, *sorted(self.slowing)))
        self.state = (self.posture.available, tuple(sorted(self.slowing)), waits)

    def run(self) -> Solved:
        ways = [way for start, fewer in self.analyst.starts for way in self._of(start, fewer)]
        losing = [self._bits(way.start, way.goal) for way in ways if way.confirmed and self._loses(way.goal)]
        closing = Closing(self.graph, self.posture, losing)
        ways.sort(key=self._order)
        return Solved(ways=tuple(ways), sets=tuple(closing.smallest()), available=self.posture.available)

    def _of(self, start: tuple[str, ...], fewer: tuple[tuple[str, ...], ...]) -> tuple[Route, ...]:
        """The routes of one attacker. Whatever cannot matter to this one is left out of what they are remembered by."""
        relevant = self.graph.relevant(self.graph.start(start))
        key = (start, self._dear(0) & relevant, self.state, *[mask & relevant for mask in self.masks])
        routes = self.analyst.routes
        if key not in routes:
            if len(routes) >= _MOST_ROUTES:
                routes.clear()
            routes[key] = tuple(self._way(start, goal, sure) for goal, sure in self._reached(start, fewer))
        return routes[key]

    def _loses(self, goal: str) -> bool:
        return self.analyst.model.states[goal].losing_funds

    def _bits(self, start: tuple[str, ...], goal: str) -> Way:
        return self.graph.start(start), self.graph.bits[goal]

    def _order(self, way: Route) -> tuple[Any, ...]:
        doubt = (not way.confirmed, not self._loses(way.goal), way.residual)
        return (
            *doubt,
            way.cost,
            len(way.start),
            [goal.id for goal in self.analyst.model.goals].index(way.goal),
            way.start,
        )

    def _reached(self, start: tuple[str, ...], fewer: tuple[tuple[str, ...], ...]) -> Iterator[tuple[str, bool]]:
        """Which goals are reached, and whether for sure; not those that fewer of the capabilities reach as well."""
        sure, perhaps = self._levels(start)
        done, tried = 0, 0
        for part in fewer:
            part_sure, part_perhaps = self._levels(part)
            done, tried = done | part_sure, tried | part_perhaps
        for goal in self.analyst.model.goals:
            bit = self.graph.bits[goal.id]
            if sure & bit and not done & bit:
                yield goal.id, True
            elif perhaps & ~sure & bit and not tried & bit:
                yield goal.id, False

    def _levels(self, start: tuple[str, ...]) -> tuple[int, int]:
        """Every state that these capabilities reach: for sure, and perhaps."""
        if start not in self.levels:
            held, (known, maybe) = self.graph.start(start), self.posture.masks
            self.levels[start] = self.graph.reach(held, known), self.graph.reach(held, maybe)
        return self.levels[start]

    def _way(self, start: tuple[str, ...], goal: str, sure: bool) -> Route:  # noqa: FBT001
        held, bit = self._bits(start, goal)
        moves, delay = self._proof(held, bit, sure, 0)
        mask = sum(1 << number for number in moves)
        closed = delayed = 0
        matters = sure and delay is not None and self._loses(goal)
        for change, after in self.after[sure]:
            if mask & after != mask and not self.graph.reach(held, after) & bit:
                closed |= change
            elif matters and (mask & ~after or change in self.slowing) and self._slows(held, bit, delay, change):
                delayed |= change
        costs = self.costs
        return Route(
            start=start,
            goal=goal,
            confirmed=sure,
            moves=moves,
            cost=sum(costs[number] for number in moves),
            delay=delay,
            closed_by=closed,
            delayed_by=delayed,
            residual=bool(self.graph.reach(held, self.hardest[0 if sure else 1]) & bit),
        )

    def _slows(self, held: int, bit: int, delay: float | None, change: int) -> bool:
        """Whether the best way that is left after a change is known to take longer."""
        later = self._proof(held, bit, True, change)[1]
        return delay is not None and later is not None and later > delay

    def _proof(self, held: int, bit: int, sure: bool, changes: int) -> tuple[tuple[int, ...], float | None]:  # noqa: FBT001
        """The cheapest moves after these changes, and how long they take in hours; None where nobody knows."""
        proofs = self.analyst.proofs
        known, maybe = self.posture.after(changes)
        relevant = self.graph.relevant(held)
        open_ = relevant & (known if sure else maybe)
        dear, waits = self._dear(changes), self._waits(changes)
        key = (held, bit, open_, open_ & known, dear & open_, waits.key)
        if key not in proofs:
            if len(proofs) >= _MOST_PROOFS:
                proofs.clear()
            weighed = weights(self._costs(dear), open_ & ~known)
            moves = self.graph.cheapest(held, bit, open_, weighed, lambda order, all_: preference(waits, order, all_))
            proofs[key] = moves, delay_of(waits, moves, self.graph.held(held, moves))
        return proofs[key]

    def _dear(self, changes: int) -> int:
        """The moves that cost more than usual, as bits."""
        if changes not in self.dear:
            facts, now = self.posture.changed(changes).facts, self.posture.now
            dearer = ((number, move.dearer) for number, move in enumerate(self.analyst.model.moves) if move.dearer)
            self.dear[changes] = sum(1 << number for number, condition in dearer if condition.value(facts, now))
        return self.dear[changes]

    def _costs(self, dear: int) -> tuple[int, ...]:
        usual = self.graph.costs
        if not dear:
            return usual
        moves = self.graph.model.moves
        return tuple(cost + (moves[number].dearer_by if dear >> number & 1 else 0) for number, cost in enumerate(usual))

    def _waits(self, changes: int) -> Waits:
        if not changes & self.analyst.slowing:
            changes = 0
        if changes not in self.waits:
            self.waits[changes] = waits_of(self.graph, self.posture.changed(changes), self.posture.now)
        return self.waits[changes]
