"""The fact catalogue (`facts.yaml`) as values: what each fact is called, holds and may be established by.

Knows no exchange and no rule. `Fact.check` is the one definition of what a well-formed value is.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from auditor import yamlio
from auditor.values import frozen

SCOPES = ("venue", "account", "api_key", "address", "event", "withdrawal", "vendor")
LISTS = {
    "api_key": "api_keys",
    "address": "addresses",
    "event": "events",
    "withdrawal": "withdrawals",
    "vendor": "vendors",
}
"""Row scope -> the key that holds its rows in an evidence document."""

COMPLETENESS = {
    "api_key": "account.key_inventory_complete",
    "address": "account.addresses_complete",
    "withdrawal": "account.withdrawals_complete",
    "vendor": "account.vendors_complete",
}
"""Row scope -> the fact that says its list is whole. Events have a time instead: account.events_cover_from."""

EARLIEST, LATEST = datetime(2009, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
LARGEST_INT = 2**53
LARGEST_NUMBER = 1e300
_TYPE = re.compile(r"(bool|int|number|text|time|enum|set|list)(?:\[(.*)\])?\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d))?\Z")


@frozen
class Fact:
    """One row of the catalogue.

    `kind` is bool, int, number, text, time, enum, set or list; `choices` are the constants of an enum or set, weakest
    first where they are ranked; `by` says who can establish it; `ask` is the question its owner can answer.
    """

    path: str
    kind: str
    choices: tuple[str, ...] = ()
    by: frozenset[str]
    note: str | None = None
    ask: str | None = None

    @property
    def scope(self) -> str:
        return self.path.partition(".")[0]

    @property
    def name(self) -> str:
        return self.path.partition(".")[2]

    @property
    def scalar(self) -> bool:
        """Whether rules may read it."""
        return self.kind not in {"set", "list"}

    def check(self, value: Any) -> str | None:
        """What is wrong with `value` as this fact, or None. The caller deals with null, which is never a value."""
        return _CHECKS[self.kind](self, value)


def _check_bool(_fact: Fact, value: Any) -> str | None:
    return None if isinstance(value, bool) else "expected true or false"


def _check_int(_fact: Fact, value: Any) -> str | None:
    fine = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INT
    return None if fine else "expected a whole number"


def _check_number(_fact: Fact, value: Any) -> str | None:
    fine = (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) <= LARGEST_NUMBER
        and math.isfinite(value)
    )
    return None if fine else "expected a number"


def _check_text(_fact: Fact, value: Any) -> str | None:
    return None if isinstance(value, str) else "expected text (put it in quotes)"


def _check_time(_fact: Fact, value: Any) -> str | None:
    return None if parse_time(value) else "expected a time such as 2026-11-20T10:00:00Z, between 2009 and 2100"


def _check_enum(fact: Fact, value: Any) -> str | None:
    return None if isinstance(value, str) and value in fact.choices else _wrong_choice(fact, value)


def _check_set(fact: Fact, value: Any) -> str | None:
    if not isinstance(value, list):
        return "expected a list"
    wrong = [item for item in value if not (isinstance(item, str) and item in fact.choices)]
    return _wrong_choice(fact, wrong[0]) if wrong else None


def _check_list(_fact: Fact, value: Any) -> str | None:
    fine = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return None if fine else "expected a list of texts"


_CHECKS = {
    "bool": _check_bool,
    "int": _check_int,
    "number": _check_number,
    "text": _check_text,
    "time": _check_time,
    "enum": _check_enum,
    "set": _check_set,
    "list": _check_list,
}


def _wrong_choice(fact: Fact, value: Any) -> str:
    import difflib

    close = difflib.get_close_matches(str(value)[:100], fact.choices, 1)
    guess = f", did you mean {close[0]}?" if close else ""
    return f"expected one of {', '.join(fact.choices)}{guess}"


def parse_time(value: Any) -> datetime | None:
    """A tz-aware UTC time from RFC 3339 text, or from a date (its midnight in UTC); None for anything else or out of bounds."""
    if not isinstance(value, str) or not _TIME.match(value):
        return None
    try:
        moment = datetime.fromisoformat(value.upper())
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return moment if EARLIEST <= moment <= LATEST else None


def format_time(moment: datetime) -> str:
    """The one spelling of a time in documents: UTC, whole seconds unless there is a fraction, Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@cache
def catalogue() -> dict[str, Fact]:
    """Every fact by its path, in the order of the catalogue."""
    table = yamlio.shipped(Path(__file__).with_name("facts.yaml")).value
    ranked = tuple(table.pop("factor_strength"))
    return {
        f"{scope}.{name}": _fact(f"{scope}.{name}", row, ranked)
        for scope in SCOPES
        for name, row in table[scope].items()
    }


def _fact(path: str, row: dict[str, Any], ranked: tuple[str, ...]) -> Fact:
    found = _TYPE.match(row["type"])
    assert found, path
    kind, inside = found[1], found[2] or ""
    choices = () if kind == "list" else tuple(part.strip() for part in inside.split(",") if part.strip())
    if choices == ("factor_strength",):
        choices = ranked
    return Fact(
        path=path, kind=kind, choices=choices, by=frozenset(row["by"]), note=row.get("note"), ask=row.get("ask")
    )


@cache
def of_scope(scope: str) -> dict[str, Fact]:
    """The facts of one scope by their name within it."""
    return {fact.name: fact for fact in catalogue().values() if fact.scope == scope}


def suggestion(path: str) -> str:
    """`, did you mean ...?` for a fact path that does not exist, or nothing."""
    import difflib

    close = difflib.get_close_matches(path, catalogue(), 1, cutoff=0.6)
    return f": did you mean {close[0]}?" if close else ""
