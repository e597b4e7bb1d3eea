"""What an attacker can reach over a set of open moves, and the cheapest way there: an AND-OR proof, not a path in a graph.

A proof costs the sum of its actions, each paid once however often its outcome is used. Exact: the search branches over
who provides each state that is needed, cut off by a lower bound (the dearest chain that cannot be avoided). Where costs
are equal, fewer open questions win, then a shorter wait, then the order of the model.
Works on numbers and bits; knows neither facts nor words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heapify, heappop, heappush
from itertools import product
from math import prod

from auditor.errors import UsageError
from auditor.threats.model import Model, Move

Wait = Callable[[Sequence[int], int], float]
"""How long these moves take once all those states are held; for telling equals apart."""

_FAR = 1 << 60
_MOST_KEPT = 20_000
_MOST_VARIANTS = 1_000
_MOST_STEPS = 200_000
"""Of one search. Our own model takes some hundred; one that takes more could take for ever."""
_ASKED = 6
"""Bits of a weight below the cost: how many of the moves are not known to be open."""


Weights = tuple[int, ...]
_Step = tuple[int, tuple[int, ...], int]
"""A move as a bit, what suffices for it, and what it gives."""


@lru_cache(maxsize=4096)
def weights(costs: tuple[int, ...], doubted: int) -> Weights:
    """What each move counts: its cost, and among equals whether it is one of the moves (bits) that are in doubt."""
    return tuple(cost << _ASKED | (doubted >> number & 1) for number, cost in enumerate(costs))


@dataclass(slots=True)
class Graph:
    """The moves of a model as bits over its states; remembers what it has been asked."""

    model: Model
    bits: dict[str, int] = field(init=False)
    needs: list[tuple[int, ...]] = field(init=False)
    gives: list[int] = field(init=False)
    given_by: dict[int, list[int]] = field(init=False)
    costs: tuple[int, ...] = field(init=False)
    slow: tuple[int, ...] = field(init=False)
    muting: int = field(init=False)
    _steps: list[_Step] = field(init=False)
    _closures: dict[tuple[int, int], int] = field(default_factory=dict)
    _relevant: dict[int, tuple[int, list[_Step]]] = field(default_factory=dict)
    _texts: dict[int, tuple[str, ...]] = field(default_factory=dict)
    _fields: dict[tuple[int, int, Weights], _Field] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bits = {name: 1 << place for place, name in enumerate(self.model.states)}
        self.needs = [tuple(self._variants(move)) for move in self.model.moves]
        self.gives = [sum(self.bits[name] for name in move.gives) for move in self.model.moves]
        self._steps = [(1 << number, self.needs[number], gives) for number, gives in enumerate(self.gives)]
        self.given_by = {bit: [] for bit in self.bits.values()}
        for number, gives in enumerate(self.gives):
            for bit in ones(gives):
                self.given_by[bit].append(number)
        self.costs = tuple(move.cost for move in self.model.moves)
        self.muting = sum(self.bits[name] for name, state in self.model.states.items() if state.mutes)
        self.slow = tuple(number for number, move in enumerate(self.model.moves) if move.delays)

    def _variants(self, move: Move) -> Iterator[int]:
        """The sets of states that suffice for a move: all it must have, and one choice of each of its groups."""
        have = sum(self.bits[name] for name in set(move.have))
        found: list[int] = []
        if prod(map(len, move.any)) > _MOST_VARIANTS:
            hint = "give what several states stand for a state of its own"
            raise UsageError(f"the action {move.action} of the attack model can begin in too many ways", hint=hint)
        for choice in product(*move.any):
            need = have
            for name in choice:
                need |= self.bits[name]
            found.append(need)
        kept = list(dict.fromkeys(found))
        yield from (need for need in kept if not any(other != need and other & need == other for other in kept))

    def start(self, capabilities: Sequence[str]) -> int:
        """What an attacker with these capabilities holds at the beginning."""
        held = 0
        for name in capabilities:
            held |= self.bits[name]
        return held

    def held(self, start: int, moves: Sequence[int]) -> int:
        """Everything that is held once these moves are made."""
        for number in moves:
            start |= self.gives[number]
        return start

    def texts(self, states: int) -> tuple[str, ...]:
        """These states in words, in the order of the model."""
        if states not in self._texts:
            self._texts[states] = tuple(self.model.states[name].text for name, bit in self.bits.items() if states & bit)
        return self._texts[states]

    def texts_of(self, move: int) -> tuple[str, ...]:
        """What a move gives, in words."""
        return self.texts(self.gives[move])

    def relevant(self, start: int) -> int:
        """The moves that could ever matter to this attacker, were every condition met."""
        return self._mattering(start)[0]

    def _mattering(self, start: int) -> tuple[int, list[_Step]]:
        """The same, and these moves in an order in which they could be made."""
        if start not in self._relevant:
            _, made = _spread(start, self._steps)
            self._relevant[start] = sum(bit for bit, _, _ in made), made
        return self._relevant[start]

    def reach(self, start: int, open_: int) -> int:
        """Every state that can be gained from `start` by the moves in `open_`."""
        relevant, steps = self._mattering(start)
        key = (start, open_ & relevant)
        if len(self._closures) > 10 * _MOST_KEPT:
            self._closures.clear()
        if key not in self._closures:
            self._closures[key], _ = _spread(start, [step for step in steps if step[0] & open_])
        return self._closures[key]

    def cheapest(self, start: int, goal: int, open_: int, weighed: Weights, wait: Wait) -> tuple[int, ...]:
        """The moves of the best proof of `goal`, which must be within reach, in an order in which they can be made."""
        key = (start, open_ & self.relevant(start), weighed)
        if len(self._fields) > _MOST_KEPT:
            self._fields.clear()
        if key not in self._fields:
            self._fields[key] = _Field(self, start, key[1], weighed)
        return _Search(self._fields[key], wait).run(goal)

    def ordered(self, start: int, chosen: Sequence[int]) -> tuple[int, ...]:
        """The moves in an order in which they can be made; those that cannot are left out."""
        held, waiting, found = start, sorted(chosen), []
        while (ready := self._first(waiting, held)) is not None:
            found.append(ready)
            held |= self.gives[ready]
            waiting.remove(ready)
        return tuple(found)

    def _first(self, moves: Sequence[int], held: int) -> int | None:
        """The first of these moves that can be made."""
        for one in moves:
            for need in self.needs[one]:
                if need & held == need:
                    return one
        return None


def _spread(held: int, waiting: list[_Step]) -> tuple[int, list[_Step]]:
    """Everything that is held once no further move can be made, and the moves in the order in which they were."""
    made: list[_Step] = []
    while True:
        left = []
        for step in waiting:
            for need in step[1]:
                if need & held == need:
                    held |= step[2]
                    made.append(step)
                    break
            else:
                left.append(step)
        if len(left) == len(waiting):
            return held, made
        waiting = left


@lru_cache(maxsize=1 << 14)
def ones(mask: int) -> tuple[int, ...]:
    """The single bits of a mask, lowest first."""
    found = []
    while mask:
        lowest = mask & -mask
        found.append(lowest)
        mask ^= lowest
    return tuple(found)


class _Field:
    """What all searches of one attacker over the same open moves share: bounds, and who provides what from what."""

    def __init__(self, graph: Graph, start: int, open_: int, weighed: Weights) -> None:
        self.graph, self.start, self.open, self.weights = graph, start, open_, weighed
        self.least = self._bounds()
        rising = sorted(self.least, key=lambda bit: (self.least[bit], -bit))
        self.rank = {bit: place for place, bit in enumerate(rising)}
        self._ways: dict[int, list[tuple[int, int, int]]] = {}
        self._before: dict[int, int] = {}

    def _bounds(self) -> dict[int, int]:
        """For each state, what the dearest unavoidable chain to it costs: never more than any proof of it.

        Moves are taken by the earliest sum at which they can have been made, as in Knuth's generalisation of Dijkstra.
        """
        least = dict.fromkeys(ones(self.start), 0)
        held, waiting = (
            self.start,
            [(self.weights[bit.bit_length() - 1], bit.bit_length() - 1) for bit in ones(self.open)],
        )
        heapify(waiting)
        parked: list[int] = []
        while waiting:
            total, number = heappop(waiting)
            if not self.graph.gives[number] & ~held:
                continue
            dues = [self._due(need, least) for need in self.graph.needs[number] if need & held == need]
            if not dues:
                parked.append(number)
                continue
            due = min(dues) + self.weights[number]
            if due > total:
                heappush(waiting, (due, number))
                continue
            for bit in ones(self.graph.gives[number] & ~held):
                least[bit] = total
            held |= self.graph.gives[number]
            still = []
            for one in parked:
                for need in self.graph.needs[one]:
                    if need & held == need:
                        heappush(waiting, (total, one))
                        break
                else:
                    still.append(one)
            parked = still
        return least

    @staticmethod
    def _due(need: int, least: dict[int, int]) -> int:
        return max([least[bit] for bit in ones(need)], default=0)

    def ways(self, bit: int) -> list[tuple[int, int, int]]:
        """Who can provide a state, and from what: (bound, move, needs beyond the start), most promising first."""
        if bit not in self._ways:
            self._ways[bit] = sorted(
                (self._due(need, self.least) + self.weights[number], number, need & ~self.start)
                for number in self.graph.given_by[bit]
                if self.open >> number & 1
                for need in self.graph.needs[number]
                if all(one in self.least for one in ones(need))
            )
        return self._ways[bit]

    def before(self, bit: int) -> int:
        """The moves that can be part of a proof of a state."""
        if bit not in self._before:
            found, waiting, seen = 0, [bit], {bit}
            while waiting:
                for _, number, need in self.ways(waiting.pop()):
                    found |= 1 << number
                    fresh = [one for one in ones(need) if one not in seen]
                    seen.update(fresh)
                    waiting += fresh
            self._before[bit] = found
        return self._before[bit]


class _Search:
    """One branch-and-bound over who provides each needed state."""

    def __init__(self, field_: _Field, wait: Wait) -> None:
        self.field, self.wait = field_, wait
        self.best: tuple[float, ...] = (_FAR, 1)
        self.chosen: tuple[int, ...] = ()
        self.left = _MOST_STEPS

    def run(self, goal: int) -> tuple[int, ...]:
        self._provide(goal, 0, 0, 0)
        assert self.chosen, "a goal out of reach has no proof"
        return self.chosen

    def _provide(self, open_: int, provided: int, chosen: int, cost: int) -> None:
        """Goes through every way to provide the states in `open_`; `provided` are those that `chosen` answers for already."""
        self.left -= 1
        if self.left < 0:
            hint = "let fewer actions give the same state, or let one action need fewer of them"
            raise UsageError("the attack model offers too many ways to one goal to find the cheapest", hint=hint)
        if not open_:
            self._finish(chosen, cost)
            return
        dearest = max(ones(open_), key=self.field.rank.__getitem__)
        if self._hopeless(open_, dearest, chosen, cost):
            return
        now = provided | dearest
        for _, number, need in self.field.ways(dearest):
            if chosen >> number & 1:
                self._provide((open_ | need) & ~now, now, chosen, cost)
            else:
                self._provide((open_ | need) & ~now, now, chosen | 1 << number, cost + self.field.weights[number])

    def _hopeless(self, open_: int, dearest: int, chosen: int, cost: int) -> bool:
        """Whether nothing from here on can be better. What is paid already may serve again, and is not counted twice."""
        field_, best = self.field, self.best[0]
        spare = best - cost - (self.best[1] == 0)  # what may still be spent on something better
        if field_.least[dearest] <= spare:
            return False
        for bit in ones(open_):
            due = field_.least[bit]
            if due > spare:
                shared = chosen & field_.before(bit)
                paid = sum([field_.weights[one.bit_length() - 1] for one in ones(shared)])
                if due - paid > spare:
                    return True
        return False

    def _finish(self, chosen: int, cost: int) -> None:
        graph, start = self.field.graph, self.field.start
        order = graph.ordered(start, [one.bit_length() - 1 for one in ones(chosen)])
        if len(order) < chosen.bit_count():
            return  # it supports itself
        rank = (cost, self.wait(order, graph.held(start, order)), *sorted(order))
        if rank < self.best:
            self.best, self.chosen = rank, order
