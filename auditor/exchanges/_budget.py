"""Sliding windows: how fast one venue is asked, so that the owner's own bot on the same key or address is never starved."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field

from auditor.exchanges._base import Limit

SHARE = 0.25
"""The part of a documented limit that an audit may use. The rest belongs to whatever else runs on the key or address."""
_ROUNDING = 1e-9


@dataclass(slots=True)
class Window:
    """What was spent lately, each call as its part of the limit: two endpoints that share a window may cost differently.

    A token bucket would let two shares pass within one window, one saved up and one flowing in; this lets one pass. A
    call that costs more than the share goes alone, and counts for as much longer.
    """

    spent: list[tuple[float, float]] = field(default_factory=list)
    """When a call stops counting (seconds of the loop's clock), and its part of the limit; the first to end stands first."""
    used: float = 0.0
    """The sum of those parts."""
    queue: asyncio.Lock | None = None
    """Made when somebody has to wait: most windows of thousands of keys never have a queue."""
    waiting: int = 0
    """How many stand in it, or are about to leave it."""

    async def take(self, limit: Limit) -> None:
        """Waits until one more call fits, first come first served."""
        clock = asyncio.get_running_loop().time
        now = clock()
        if self.waiting or self.wait(limit, now):
            self.waiting += 1
            try:
                now = await self._turn(limit, clock)
            finally:
                self.waiting -= 1
        part = 1 / limit.calls
        insort(self.spent, (now + limit.seconds * max(1.0, part / SHARE), part))
        self.used += part

    async def _turn(self, limit: Limit, clock: Callable[[], float]) -> float:
        """The moment at which the next call fits, once all who came before had theirs."""
        self.queue = self.queue or asyncio.Lock()
        async with self.queue:
            if wait := self.wait(limit, clock()):
                await asyncio.sleep(wait)
            return clock()

    def wait(self, limit: Limit, now: float) -> float:
        """Seconds until one more call fits; 0 where it fits now."""
        self._forget(now)
        room = SHARE - self.used + _ROUNDING
        wait = 0.0
        for ends, part in self.spent:
            if room >= 1 / limit.calls:
                break
            room += part
            wait = ends - now
        return wait

    def _forget(self, now: float) -> None:
        """Takes out what counts no more. The sum begins anew with an empty window, so that roundings never add up."""
        ended = 0
        while ended < len(self.spent) and self.spent[ended][0] <= now:
            self.used -= self.spent[ended][1]
            ended += 1
        del self.spent[:ended]
        if not self.spent:
            self.used = 0.0


class Budgets:
    """The windows of one venue: one per endpoint (or `pool` of endpoints), and per key where the venue counts per key."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], Window] = {}

    async def take(self, name: str, limit: Limit, key: str) -> None:
        """Waits until `key` may call the endpoint `name` once more."""
        await self._window(name, limit, key).take(limit)

    def wait(self, name: str, limit: Limit, key: str) -> float:
        """Seconds until then, if nobody else were in the queue."""
        return self._window(name, limit, key).wait(limit, asyncio.get_running_loop().time())

    def _window(self, name: str, limit: Limit, key: str) -> Window:
        place = (limit.pool or name, key if limit.per == "key" else "")
        if place not in self._windows:
            self._windows[place] = Window()
        return self._windows[place]
