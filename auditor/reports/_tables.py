"""Rows of the tables of keys and addresses, as words: what a key may do, what binds it, how old it is, who approved it.

Knows no medium; a renderer escapes what comes out. Whatever is not known says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from auditor.model.facts import parse_time
from auditor.model.report import AccountReport
from auditor.reports import _view
from auditor.reports._words import count, label
from auditor.values import frozen

_FEW_MONTHS, _FEW_YEARS = 2, 24
"""Months under which days, and under which months are counted."""


@frozen
class KeyRow:
    """A key as a reader meets it. `can` and `unknown` are abilities; `age` is in days, -1 where nobody knows it."""

    name: str
    holder: str
    can: tuple[str, ...]
    unknown: tuple[str, ...]
    binding: str
    created: str
    age: int
    used: str
    enabled: str
    approval: str


def keys(account: AccountReport, most: int) -> list[KeyRow]:
    """The first `most` keys, those that can do most harm first."""
    rows = sorted(account.inventory.api_keys or (), key=_harm)
    return [_key(row, account.collected_at) for row in rows[:most]]


def _harm(row: dict[str, Any]) -> tuple[bool, ...]:
    """Withdrawing before managing before trading; a doubt before a no; the unbound before the bound."""
    risks = ("can_withdraw", "can_manage", "can_transfer", "can_trade")
    return (
        row.get("enabled") is False,
        *(row.get(risk) is not True for risk in risks),
        row.get("ip_bound") is True,
        *(row.get(risk) is False for risk in risks),
    )


def _key(row: dict[str, Any], at: datetime) -> KeyRow:
    able = _view.abilities(row)
    created, days = _age(row.get("created_at"), at)
    return KeyRow(
        name=f"{said(row, 'label', 'without a label')} ({said(row, 'masked_id', 'id unknown')})",
        holder=_holder(row),
        can=tuple(able["yes"]),
        unknown=tuple(able["unknown"]),
        binding=_binding(row),
        created=created,
        age=days,
        used="never" if row.get("never_used") is True else _day(row.get("last_used_at")),
        enabled=_view.tri_state(row.get("enabled")),
        approval=_approval(row),
    )


def _holder(row: dict[str, Any]) -> str:
    parts = [f"of sub-account {said(row, 'sub_account')}"] if row.get("sub_account") else []
    if row.get("third_party") is True:
        parts.append(f"held by {said(row, 'vendor', 'a third party')}")
    if row.get("is_audit_key") is True:
        parts.append("does this audit")
    return ", ".join(parts)


def _binding(row: dict[str, Any]) -> str:
    if row.get("ip_allows_any") is True:
        return "no: its list allows every address"
    bound = _view.tri_state(row.get("ip_bound"))
    listed = row.get("ip_allowlist")
    return f"yes, to {count(len(listed), 'entry', 'entries')}" if bound == "yes" and listed else bound


def _approval(row: dict[str, Any]) -> str:
    known = {"yes": "recognised", "no": "not recognised", "unknown": "unknown"}
    said_ = known[_view.tri_state(row.get("owner_recognised"))]
    return f"{said_}; widened since" if row.get("widened_since_baseline") is True else said_


def _age(written: Any, at: datetime) -> tuple[str, int]:
    """The day, with how long ago that was, and the days; a day in the future is only named."""
    moment = parse_time(written) if written is not None else None
    if moment is None:
        return "unknown", -1
    days = (at - moment).days
    day = f"{moment:%Y-%m-%d}"
    return (f"{day} ({_long(days, _months(moment, at))})", days) if days >= 0 else (day, days)


def _months(start: datetime, end: datetime) -> int:
    """Whole months of the calendar between two moments."""
    return 12 * (end.year - start.year) + end.month - start.month - (end.day < start.day)


def _long(days: int, months: int) -> str:
    if months < _FEW_MONTHS:
        return count(days, "day")
    return count(months, "month") if months < _FEW_YEARS else count(months // 12, "year")


def _day(written: Any) -> str:
    moment = parse_time(written) if written is not None else None
    return f"{moment:%Y-%m-%d}" if moment else "unknown"


def addresses(account: AccountReport, most: int) -> list[dict[str, str]]:
    """The first `most` withdrawal addresses: column title -> text."""
    return [
        {
            "Address": said(row, "label", "without a label"),
            "Asset": said(row, "asset"),
            "Network": said(row, "network"),
            "State": said(row, "state"),
            "Created": _day(row.get("created_at")),
            "Recognised": _view.tri_state(row.get("owner_recognised")),
        }
        for row in (account.inventory.addresses or ())[:most]
    ]


def said(row: dict[str, Any], name: str, otherwise: str = "unknown") -> str:
    """A value of a row as its label, or that nobody knows it."""
    value = row.get(name)
    return otherwise if value is None or value == "" else label(str(value))


def totals(rows: Iterable[dict[str, Any]]) -> str:
    """How many keys can do what, for a list too long to read."""
    rows = list(rows)
    able = [
        (sum(row.get(f"can_{ability}") is True for row in rows), ability)
        for ability in ("withdraw", "manage", "transfer", "trade", "read")
    ]
    unbound = sum(row.get("ip_bound") is False for row in rows)
    return ", ".join(f"{amount} can {ability}" for amount, ability in able) + f"; {unbound} not bound to an address."
