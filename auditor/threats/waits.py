"""How long a way takes: holds and delays of the exchange, as far as the way sets them off.

A wait stops nobody. It is time in which the owner can notice, so one that nobody knows is no time that can be counted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from auditor.threats.posture import Reading
from auditor.threats.solve import Graph

_IN_DOUBT = 0.5  # hours


class Waits(dict[int, tuple[tuple[int, float | None], ...]]):
    """Of each move that may have to wait: the states (bits; 0 for any) that set the wait off, and its hours."""

    key: tuple[object, ...] = ()
    """All of it in a form that can be compared and kept."""


def waits_of(graph: Graph, reading: Reading, now: datetime) -> Waits:
    """The waits that stand in the way of each move; those that are known not to are left out."""
    found = Waits()
    for number in graph.slow:
        kept = []
        for delay in graph.model.moves[number].delays:
            applies, hours = delay.when.value(reading.facts, now), reading.facts.get(delay.hours)
            if applies is False or hours == 0:
                continue
            known = None if applies is None or hours is None else float(hours)
            kept.append((graph.bits[delay.state] if delay.state else 0, known))
        if kept:
            found[number] = tuple(kept)
    found.key = tuple(found.items())
    return found


def delay_of(waits: Waits, moves: Sequence[int], held: int) -> float | None:
    """How long these moves take: the longest wait that is set off; None where one of them is not known."""
    hours = [hours for number in moves for bit, hours in waits.get(number, ()) if bit & held == bit]
    return None if None in hours else max((one for one in hours if one is not None), default=0.0)


def preference(waits: Waits, moves: Sequence[int], held: int) -> float:
    """The same as a number: among equals, a wait nobody knows stands between none and any."""
    hours = [hours for number in moves for bit, hours in waits.get(number, ()) if bit & held == bit]
    return max((_IN_DOUBT if one is None else max(one, 0.0) for one in hours), default=0.0)
