"""How long a collection still takes. Every exchange goes at its own pace, so the slowest one decides.

Exchanges let through a burst, and then nothing until their window is over: right after a burst all looks twice as fast as
it is. So the latest end that was foreseen in the last two minutes counts, not the newest.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

TOO_EARLY = 10.0
"""Seconds before which nothing is foreseen."""
ENOUGH = 20
"""Accounts of an exchange from which its pace can be told, or a tenth of them where that is less."""
_REMEMBERED = 120.0


class Forecast:
    """When the last account will be there. `places` is account name -> where it is asked."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places
        self._wanted = Counter(places.values())
        self._paces = {place: _Pace(wanted) for place, wanted in self._wanted.items()}

    def came(self, name: str, elapsed: float) -> None:
        """An account came, so many seconds after the beginning."""
        if name in self._places:
            self._paces[self._places[name]].came(elapsed)

    def left(self, elapsed: float) -> float | None:
        """Seconds, or None while there is an exchange whose pace cannot be told yet."""
        ends = [pace.end(elapsed) for pace in self._paces.values() if pace.missing]
        known = [end for end in ends if end is not None]
        return max(0.0, max(known) - elapsed) if known and len(known) == len(ends) else None


class _Pace:
    def __init__(self, wanted: int) -> None:
        self.missing = wanted
        self._wanted = wanted
        self._foreseen: deque[tuple[float, float]] = deque()
        """When it was foreseen, and what: later ones that are less drop out, so that the first is the latest end."""

    def came(self, elapsed: float) -> None:
        self.missing -= 1
        done = self._wanted - self.missing
        if elapsed < TOO_EARLY or done < min(ENOUGH, self._wanted / 10):
            return
        end = elapsed + elapsed / done * self.missing
        while self._foreseen and self._foreseen[-1][1] <= end:
            self._foreseen.pop()
        self._foreseen.append((elapsed, end))

    def end(self, elapsed: float) -> float | None:
        """Seconds from the beginning to the end, never less than what is known by now."""
        while len(self._foreseen) > 1 and self._foreseen[0][0] < elapsed - _REMEMBERED:
            self._foreseen.popleft()
        return self._foreseen[0][1] if self._foreseen else None


def in_words(seconds: float) -> str:
    """Such as 40 s, 12 min or 3.5 h."""
    for most, unit, name in ((90, 1, "s"), (5400, 60, "min")):
        if seconds < most:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 3600:.1f} h"
