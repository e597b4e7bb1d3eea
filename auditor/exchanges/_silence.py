"""When a venue says nothing at all, one key stops waiting for each of its answers: an outage of an hour would cost an audit hours.

Knows no request and no reason. Whatever is heard of the venue, by whichever key, ends the silence.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Silence:
    """What one key has waited for in vain. `heard` is how often anything came from the venue so far, a refusal included."""

    _given_up: tuple[str, int] | None = None
    """The endpoint that was last asked for the last time, and what had been heard when that began."""
    _lasts_while: int | None = None

    def met(self, endpoint: str, *, since: int, heard: int, last: bool) -> None:
        """An attempt brought nothing. `since` is what had been heard when it began; `last` where no other one follows."""
        if self._given_up is not None and self._given_up[0] != endpoint and self._given_up[1] == heard:
            self._lasts_while = heard
        if last:
            self._given_up = (endpoint, since)

    def holds(self, heard: int) -> bool:
        """Whether two endpoints were waited for, one of them to the last attempt, and nothing came from then till now."""
        return self._lasts_while == heard
