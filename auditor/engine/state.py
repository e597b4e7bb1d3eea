"""The state of a finding's subject as a short hash: what was accepted by a waiver, or seen by the run before, is this and no other.

It rests on the severity, on the facts the rule read, and on everything the exchange shows of the subject itself, so that
a key that is widened in a way this rule does not ask about is in another state too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from auditor.model.facts import Fact, of_scope
from auditor.model.rule import Rule

_MOVING = {
    "api_key.label",
    "api_key.masked_id",
    "api_key.never_used",
    "api_key.last_used_at",
    "address.label",
    "withdrawal.state",
    "withdrawal.usd",
    "account.balance_usd",
    "account.last_login_at",
    "account.share_of_total",
    "account.withdrawn_last_24h_usd",
}
"""Facts that change while nobody changes a setting, and names, which say nothing of what a subject may do."""


def of_row(scope: str, row: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the exchange shows of a row, by fact path; nothing for a subject that is no row of a list."""
    shown = of_scope(scope) if row else {}
    return {
        fact.path: _plain(row[name])
        for name, fact in shown.items()
        if row and row.get(name) is not None and _shown(fact)
    }


def state(rule: Rule, facts: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """16 hex digits. `facts` are those known of the subject by path, `row` is `of_row` of it."""
    read = {path: _plain(facts[path]) for path in rule.facts if path in facts and path not in _MOVING}
    whole = json.dumps([rule.severity.value, read, row], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _shown(fact: Fact) -> bool:
    """Whether the exchange alone says it: what its owner states expires by itself."""
    return "api" in fact.by and "attest" not in fact.by and fact.path not in _MOVING


def _plain(value: Any) -> Any:
    """Lists of the catalogue have no order; a number is the same whether it is written 1 or 1.0."""
    if isinstance(value, (list, tuple)):
        return sorted(map(str, value))
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
