"""Reads decoded JSON that a venue wrote: every step says what it expects and where, and nothing is guessed.

A wrong or missing value raises ShapeError with its place, never its content. `optional_*` return None for a key that is
not there; they still refuse a value of the wrong kind.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from auditor.model.facts import EARLIEST, LATEST, format_time
from auditor.redaction import mask_personal

_DIGITS = re.compile(r"-?[0-9]{1,18}\Z")
_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?\Z")
_LARGEST = 10**18
_ANYWHERE = re.compile(r"(0\.0\.0\.0|::|[0-9.:a-fA-F]*/0+)\Z")
_ABSENT = object()
_EARLIEST, _LATEST = EARLIEST.timestamp(), LATEST.timestamp()
_FLAGS = {"true": True, "false": False, "1": True, "0": False}


class ShapeError(Exception):
    """A response does not have the documented shape."""


class Shape:
    """A JSON value and where it stands in the response."""

    __slots__ = ("_step", "_within", "value")

    def __init__(self, value: Any, step: str | int = "$", within: Shape | None = None) -> None:
        self.value = value
        self._step = step
        self._within = within

    @property
    def at(self) -> str:
        """Where it stands, put together only once somebody asks: that is when it is wrong."""
        if self._within is None:
            return str(self._step)
        return self._within.at + (f".{self._step}" if isinstance(self._step, str) else f"[{self._step}]")

    def _wrong(self, expected: str) -> ShapeError:
        return ShapeError(f"{self.at}: expected {expected}, got {_kind(self.value)}")

    def _of(self, kind: type, expected: str) -> Any:
        if isinstance(self.value, kind) and not (kind is int and isinstance(self.value, bool)):
            return self.value
        raise self._wrong(expected)

    def __getitem__(self, key: str) -> Shape:
        """The value under a key that must be there."""
        if not isinstance(self.value, dict):  # as `_of`, without a call more for each of a dozen fields an answer
            raise self._wrong("an object")
        found = self.value.get(key, _ABSENT)
        if found is _ABSENT:
            raise ShapeError(f"{self.at}.{key}: missing")
        return Shape(found, key, self)

    def get(self, *keys: str) -> Shape | None:
        """The value under the first of `keys` that is there and not null, or None."""
        table = self._of(dict, "an object")
        for key in keys:
            if table.get(key) is not None:
                return Shape(table[key], key, self)
        return None

    def keys(self) -> list[str]:
        """The keys of an object."""
        return list(self._of(dict, "an object"))

    def rows(self) -> list[Shape]:
        """The items of a list."""
        return [Shape(item, number, self) for number, item in enumerate(self._of(list, "a list"))]

    def only(self) -> Shape:
        """The one item of a list that must have exactly one."""
        rows = self.rows()
        if len(rows) != 1:
            raise ShapeError(f"{self.at}: expected one item, got {len(rows)}")
        return rows[0]

    def text(self) -> str:
        """A string; halves of surrogate pairs, which no file could hold, become question marks."""
        if not isinstance(self.value, str):
            raise self._wrong("text")
        return self.value if self.value.isascii() else self.value.encode("utf-8", "replace").decode()

    def texts(self) -> list[str]:
        """A list of strings."""
        return [row.text() for row in self.rows()]

    def split(self) -> list[str]:
        """Comma-separated text as its parts, blanks dropped."""
        return [part.strip() for part in self.text().split(",") if part.strip()]

    def flag(self) -> bool:
        """A flag, also spelled as text or as 1 and 0. `bool("false")` is the trap this avoids."""
        if isinstance(self.value, bool):
            return self.value
        if isinstance(self.value, int) and self.value in {0, 1}:
            return bool(self.value)
        if isinstance(self.value, str) and self.value.lower() in _FLAGS:
            return _FLAGS[self.value.lower()]
        raise self._wrong("true or false")

    def integer(self) -> int:
        """A whole number, also as text."""
        if isinstance(self.value, str) and _DIGITS.match(self.value):
            return int(self.value)
        number = int(self._of(int, "a whole number"))
        if abs(number) >= _LARGEST:
            raise ShapeError(f"{self.at}: a whole number of at most 18 digits expected")
        return number

    def number(self) -> float:
        """A number, also as decimal text. Never NaN or infinite."""
        if isinstance(self.value, str) and _DECIMAL.match(self.value):
            return float(self.value)
        if isinstance(self.value, float) and math.isfinite(self.value):
            return self.value
        return float(Shape(self._of(int, "a number"), self.at).integer())

    def time_ms(self) -> str:
        """UTC text of milliseconds since 1970."""
        return self._moment(self.integer() / 1000)

    def time_s(self) -> str:
        """UTC text of seconds since 1970."""
        return self._moment(self.number())

    def time_text(self) -> str:
        """UTC text of an RFC 3339 time; one without an offset is UTC."""
        try:
            moment = datetime.fromisoformat(self.text().strip())
        except ValueError:
            raise self._wrong("a time") from None
        return self._moment((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())

    def _moment(self, seconds: float) -> str:
        if not _EARLIEST <= seconds <= _LATEST:
            raise ShapeError(f"{self.at}: a time between 2009 and 2100 expected")
        return format_time(datetime.fromtimestamp(seconds, UTC))


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), "something else")


def bound(entries: list[str]) -> tuple[bool, list[str] | None]:
    """Whether an IP list binds a key, and the list. `[]`, `[""]` and `["*"]` are three spellings of "not bound"; a list
    that holds the whole internet (`0.0.0.0/0`) is a fourth, and is shown as it is.
    """
    cleaned = [entry.strip() for entry in entries if entry.strip()]
    if not cleaned or "*" in cleaned:
        return False, []
    return not any(_ANYWHERE.match(entry) for entry in cleaned), cleaned


def shown_names(names: Iterable[str]) -> dict[str, str]:
    """Each name as it may be shown: e-mail addresses and phone numbers masked, and a running number, in sorted order,
    where two would then look the same. The real name is only ever a request parameter.
    """
    shown: dict[str, str] = {}
    alike: Counter[str] = Counter()
    for name in sorted(set(names)):
        masked = mask_personal(name)
        alike[masked] += 1
        shown[name] = f"{masked} ({alike[masked]})" if alike[masked] > 1 else masked
    return shown


def unless(strange: bool) -> bool | None:  # noqa: FBT001  (reads as `granted or unless(strange)`)
    """FALSE for a permission that is not there, or unknown where the venue used words we do not know."""
    return None if strange else False
