"""What a snapshot says against the one before it: answers that a glitch explains better than the owner does.

Knows two snapshots and nothing else: no exchange, no history, no clock. What it doubts becomes unknown; nothing is ever
filled in from the earlier snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from auditor.model.evidence import Problem, Reason, Snapshot
from auditor.model.facts import LISTS, parse_time
from auditor.values import frozen

JUMP = 1000.0
"""A balance this many times larger or smaller than at the last run is not believed at once."""
_SMALL_USD = 100.0
"""A balance below this may be any multiple of the one before: a first deposit is no glitch."""
_RECENT = timedelta(days=60)
"""Withdrawals younger than this are in every list that a connector reads."""
_BALANCE = "account.balance_usd"
_PROOF = {
    "api_key": "account.key_inventory_complete",
    "address": "account.addresses_complete",
    "withdrawal": "account.withdrawals_complete",
}


@frozen
class _Doubt:
    """Facts of one snapshot that are not believed, and why."""

    facts: tuple[str, ...]
    detail: str


def compare_with(previous: Snapshot, current: Snapshot) -> Snapshot:
    """`current` without what is not believed beside `previous`, a snapshot of the same account: a list that held something
    and reads empty, or a balance that went to nothing or by a thousandfold. Each is `implausible_response` and unknown.

    Doubt lasts for one run: compared with a snapshot in which the fact is unknown already, the same answer is believed.
    """
    if (previous.name, previous.exchange) != (current.name, current.exchange):
        return current
    for doubt in [*_emptied(previous, current), *_jumped(previous, current)]:
        current = _without(current, doubt)
    return current


def _emptied(previous: Snapshot, current: Snapshot) -> Iterator[_Doubt]:
    for scope, proof in _PROOF.items():
        before, now = previous.rows(scope), current.rows(scope)
        if now is None or _others(now) or _stated(current, LISTS[scope]):
            continue
        gone = [row for row in _others(before or []) if scope != "withdrawal" or _recent(row, current.collected_at)]
        if gone and (scope != "api_key" or current.account.get("key_inventory_complete") is True):
            detail = f"the list held {len(gone)} at the run before and reads empty; it is not believed until it is seen again"
            yield _Doubt(facts=(LISTS[scope], proof), detail=detail)


def _others(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows beside the key that asks, which proves itself by being answered."""
    return [row for row in rows if not row.get("is_audit_key")]


def _recent(row: dict[str, Any], now: datetime) -> bool:
    at = parse_time(row.get("at"))
    return at is not None and now - at < _RECENT


def _jumped(previous: Snapshot, current: Snapshot) -> Iterator[_Doubt]:
    before, now = previous.account.get("balance_usd"), current.account.get("balance_usd")
    if before is None or now is None or _stated(current, _BALANCE):
        return
    shrunk = before >= _SMALL_USD and now * JUMP <= before
    if shrunk or now >= JUMP * max(float(before), _SMALL_USD):
        what = f"is {'less' if shrunk else 'more'} than the run before by a factor of {JUMP:.0f} at least"
        yield _Doubt(facts=(_BALANCE,), detail=f"the balance {what}; it is not believed until it is seen again")


def _stated(snapshot: Snapshot, place: str) -> bool:
    """Whether something else than an API says so: an owner's word does not glitch."""
    source = snapshot.sources.get(place)
    return source is not None and source.by != "api"


def _without(snapshot: Snapshot, doubt: _Doubt) -> Snapshot:
    """The snapshot without these facts. Of a list of keys the one that asks stays: it was answered."""
    changed: dict[str, Any] = {}
    for scope, key in LISTS.items():
        if key in doubt.facts:
            left = [row for row in snapshot.rows(scope) or [] if row.get("is_audit_key")]
            changed[key] = left or None
    gone = {path.partition(".")[2] for path in doubt.facts}
    account = {name: value for name, value in snapshot.account.items() if name not in gone}
    sources = {
        path: source for path, source in snapshot.sources.items() if path not in doubt.facts or changed.get(path)
    }
    problem = Problem(endpoint="run before", reason=Reason.IMPLAUSIBLE_RESPONSE, detail=doubt.detail, facts=doubt.facts)
    return replace(snapshot, account=account, sources=sources, problems=(*snapshot.problems, problem), **changed)
