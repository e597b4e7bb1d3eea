"""How often: `6h` as a length of time, and as the slots of a day where a scheduler knows only those."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta

from auditor.errors import UsageError
from auditor.redaction import printable
from auditor.values import frozen

_LENGTH = re.compile(r"([1-9][0-9]{0,4})([mhdw])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(days=31)
_HOUR, _DAY, _WEEK = _UNITS["h"], _UNITS["d"], _UNITS["w"]
_LEAST = timedelta(minutes=5)


def length(text: str) -> timedelta:
    """`90m`, `6h`, `1d` or `1w`, from a minute to 31 days. Raises UsageError."""
    found = _LENGTH.fullmatch(text.strip())
    every = int(found[1]) * _UNITS[found[2]] if found else None
    if every is None or not _SHORTEST <= every <= _LONGEST:
        raise UsageError(f"{printable(text, limit=40)} is no length of time", hint="such as 30m, 6h, 1d, 1w")
    return every


@frozen
class Slots:
    """The times of a week at which something runs. `weekday` is None for every day, else 1 for Monday."""

    every: timedelta
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    weekday: int | None = None


def slots(every: timedelta, *, seed: str) -> Slots:
    """The slots of an hour, a day or a week that lie evenly, begun at a minute that follows from `seed`.

    Schedulers of the calendar cannot keep other lengths: 7 hours would be 7, 7, 7 and 3. Raises UsageError for those.
    """
    chosen = int.from_bytes(hashlib.sha256(seed.encode("utf-8", "surrogateescape")).digest()[:4])
    first = chosen % 60
    if _LEAST <= every < _HOUR and _HOUR % every == timedelta(0):
        step = every // _UNITS["m"]
        return Slots(every=every, minutes=tuple(range(first % step, 60, step)), hours=tuple(range(24)))
    if _HOUR <= every <= _DAY and every % _HOUR == timedelta(0) and _DAY % every == timedelta(0):
        step = every // _HOUR
        return Slots(every=every, minutes=(first,), hours=tuple(range(chosen // 60 % step, 24, step)))
    if every == _WEEK:
        return Slots(every=every, minutes=(first,), hours=(chosen // 60 % 24,), weekday=chosen % 7 + 1)
    hint = "5m, 10m, 15m, 20m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h, 1d or 1w; `auditor watch` keeps any length"
    raise UsageError("a scheduler of the calendar cannot keep this length", hint=hint)
