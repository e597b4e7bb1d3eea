"""Which changes of the owner's close which ways, alone and together: the smallest closing sets, exactly.

A set of changes closes a way where its goal is no longer within known reach. Sets are found as smallest hitting sets: a
proof that survives a set can only be broken by a further change that bears on one of its moves. Sound because a change
never opens a way that was closed, which a test holds for the whole model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from auditor.errors import UsageError
from auditor.threats.posture import Posture
from auditor.threats.solve import Graph, Weights, ones, weights

Way = tuple[int, int]
"""What an attacker starts with, and a goal: both as bits of the graph."""

_MOST_SETS = 4
_MOST_TRIED = 100_000
"""Sets at a time. Our own model takes some hundred at most; one that takes more could take for ever."""


@dataclass(slots=True)
class Closing:
    """Ways of one account that are known to be open, and what closes them. Changes are bits over the model's remedies."""

    graph: Graph
    posture: Posture
    ways: Sequence[Way]
    _plain: Weights = field(init=False)

    def __post_init__(self) -> None:
        self._plain = weights(self.graph.costs, 0)

    def closed(self, changes: int) -> list[Way]:
        """The ways that are no longer known to be open."""
        known, _ = self.posture.after(changes)
        return [way for way in self.ways if not self.graph.reach(way[0], known) & way[1]]

    def closable(self) -> list[Way]:
        """The ways that are closed when every available change is made."""
        return self.closed(self.posture.available)

    def smallest(self) -> list[int]:
        """The closing sets of what can be closed, best first: fewest changes, then least work, then the order of the model.

        The first is a smallest one of all; none of those that follow holds another.
        """
        targets = self.closable()
        if not targets:
            return []
        conflicts: list[int] = []
        found: list[int] = []
        size = 0
        while size <= (found[0].bit_count() + 1 if found else self.posture.available.bit_count()):
            fresh = [one for one in _hitting(conflicts, size) if not any(one & held == held for held in found)]
            if not fresh:
                size += 1
                continue
            best = min(fresh, key=self.rank)
            conflict = self._conflict(best, targets)
            if conflict is not None:
                conflicts.append(conflict)
                continue
            found.append(best)
            if len(found) == _MOST_SETS:
                break
        return found

    def rank(self, changes: int) -> tuple[int, int, list[int]]:
        """How much a set of changes asks of the owner; least first."""
        remedies = self.posture.terrain.remedies
        numbers = [bit.bit_length() - 1 for bit in ones(changes)]
        return len(numbers), sum(remedies[number].rank for number in numbers), numbers

    def _conflict(self, changes: int, targets: Sequence[Way]) -> int | None:
        """None where the set closes all targets; else the changes of which one more is needed, by a proof that survives."""
        known, _ = self.posture.after(changes)
        for start, goal in targets:
            if self.graph.reach(start, known) & goal:
                proof = self.graph.cheapest(start, goal, known, self._plain, lambda _order, _held: 0)
                bearing = 0
                for number in proof:
                    bearing |= self.posture.terrain.changes_of[number]
                return bearing & self.posture.available & ~changes
        return None


def _hitting(conflicts: Sequence[int], most: int) -> set[int]:
    """Sets of at most `most` changes that hit every conflict: all of which none could be left out, and some more."""
    found: set[int] = set()
    tried = 0

    def grow(chosen: int, left: int) -> None:
        nonlocal tried
        tried += 1
        if tried > _MOST_TRIED:
            hint = "let fewer changes bear on an action, or fewer actions lead to a goal"
            raise UsageError("the attack model offers too many sets of changes to find the smallest", hint=hint)
        missed = next((one for one in conflicts if not one & chosen), None)
        if missed is None:
            found.add(chosen)
        elif left:
            for bit in ones(missed):
                grow(chosen | bit, left - 1)

    grow(0, most)
    return found
