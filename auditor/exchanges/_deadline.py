"""Ends what takes too long: one timer for all requests of a venue, for all of them may take equally long.

A timer for each, as an HTTP client and asyncio make them, is a tenth of what a request costs. Knows no request and no reason.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class Deadlines:
    """Deadlines that are `seconds` away. To be closed before its event loop is."""

    seconds: float
    _ends: dict[asyncio.Timeout, float] = field(default_factory=dict, repr=False)
    """When each of those under way ends (seconds of the loop's clock); the first to end stands first."""
    _timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    def start(self) -> asyncio.Timeout:
        """For what the current task does next, to be entered at once; and `stop` to be told once it has been left."""
        loop = asyncio.get_running_loop()
        one = asyncio.timeout(None)
        self._ends[one] = ends = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_at(ends, self._ring, loop)
        return one

    def stop(self, one: asyncio.Timeout) -> None:
        """It is over, in time or not."""
        self._ends.pop(one, None)

    def close(self) -> None:
        """Nothing is ended any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ends what is late, and rings again when the next will be. What set the timer has mostly been over for long."""
        self._timer = None
        now = loop.time()
        late = [one for one, ends in self._ends.items() if ends <= now]
        for one in late:
            del self._ends[one]
            one.reschedule(now)
        following = next(iter(self._ends.values()), None)
        if following is not None:
            self._timer = loop.call_at(following, self._ring, loop)
