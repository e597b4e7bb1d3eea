"""Postures made by hand or by chance, and the shortest way from an evidence document to what the attack model says of it.

reaches(["sim_swap"], document({"phone_is_factor": True, ...}))    # {"withdraw_funds": PathStatus.POSSIBLE, ...}
paths, hardening = study(document(...))
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from auditor import threats
from auditor.engine.derived import DERIVED, closure
from auditor.exchanges import _venue
from auditor.model.facts import LISTS, catalogue
from auditor.model.report import AttackPath, Hardening, PathStatus
from auditor.threats import Analyst, Reading
from auditor.threats.posture import UNSEEN, joined

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONFIRMED, POSSIBLE = PathStatus.CONFIRMED, PathStatus.POSSIBLE
LOSING = ("withdraw_funds", "drain_by_trading", "internal_transfer_out")
STRONG = "phishing_resistant"


@cache
def analyst() -> Analyst:
    return threats.analyst()


def document(
    account: Mapping[str, Any] | None = None, venue: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """An evidence document of an exchange nobody knows; `more` are its lists."""
    head = {"name": "main", "exchange": "nowhere", **(account or {})}
    start = {"schema": "auditor/evidence/1", "collected_at": "2026-11-20T10:00:00Z", "account": head}
    return {**start, "venue": dict(venue or {}), **more}


def read(*documents: dict[str, Any]) -> list[Reading]:
    """What the documents let the model know, through the one evaluator and the venue files."""
    known = {str(one["account"]["exchange"]) for one in documents} & set(_venue.ids())
    return threats.read(documents, NOW, analyst().model, {name: _venue.load(name).policy_facts() for name in known})


def reaches(capabilities: Sequence[str], one: dict[str, Any]) -> dict[str, PathStatus | None]:
    """Goal -> confirmed, possible or None, for an attacker with all of these capabilities."""
    return analyst().reaches(capabilities, read(one)[0], NOW)


def study(one: dict[str, Any]) -> tuple[tuple[AttackPath, ...], Hardening]:
    return analyst().study(read(one)[0], NOW, lambda path: f"source of {path}")


WEAK: dict[str, Any] = {  # an ordinary account with SMS everywhere
    "phone_is_factor": True,
    "login_weakest_factor": "sms",
    "step_up_weakest_factor": "sms",
    "recovery_channels": ["sms_code", "email_link"],
    "email_recovery_by_phone": True,
    "email_second_factor": "push",
    "password_unique": False,
    "withdrawal_allowlist_enabled": False,
    "withdrawal_second_approver": False,
    "internal_transfer_enabled": False,
    "p2p_enabled": False,
    "totp_cloud_synced": False,
    "backup_codes_stored": "offline",
    "alert_channels": ["email", "sms"],
}
OPEN_VENUE: dict[str, Any] = {
    "lifecycle": "active",
    "session_cookie_replayable": False,
    "trade_needs_step_up": False,
    "api_withdrawal_requires_allowlist": False,
    "two_factor_methods": ["sms", "email", "totp", "passkey"],
}
HARD: dict[str, Any] = {  # a personal account as hard as settings make it
    "phone_is_factor": False,
    "login_weakest_factor": STRONG,
    "step_up_weakest_factor": STRONG,
    "enrolled_factors": ["passkey", "hardware_key"],
    "downgrade_possible": False,
    "recovery_channels": [],
    "email_recovery_by_phone": False,
    "email_second_factor": STRONG,
    "password_unique": True,
    "withdrawal_allowlist_enabled": True,
    "new_address_delay_hours": 24,
    "allowlist_disable_delay_hours": 24,
    "allowlisted_withdrawal_needs_factor": True,
    "withdrawal_second_approver": False,
    "internal_transfer_enabled": False,
    "p2p_enabled": False,
    "totp_cloud_synced": False,
    "backup_codes_stored": "offline",
    "oauth_send_scope_allowed": False,
    "master_key_over_subaccounts": False,
    "destination_shares_host": False,
    "alert_channels": ["push"],
    "key_inventory_complete": True,
    "addresses_complete": True,
    "vendors_complete": True,
}
HARD_VENUE = {**OPEN_VENUE, "api_withdrawal_requires_allowlist": True}
NOTHING_HELD: dict[str, Any] = {"api_keys": [], "addresses": [], "vendors": []}
BOT_KEY: dict[str, Any] = {
    "label": "bot", "can_read": True, "can_trade": True, "can_trade_derivatives": False, "can_transfer": False,
    "can_withdraw": False, "can_manage": False, "ip_bound": True, "ip_allowlist": ["198.51.100.7"], "third_party": False,
    "on_host": True, "symbol_restricted": False, "enabled": True,
}  # fmt: skip


def base_facts() -> list[str]:
    """What the model rests on in the end: facts that follow from no others."""
    return [path for path in closure(analyst().model.facts) if path not in DERIVED or not DERIVED[path].inputs]


def value(path: str, chance: random.Random) -> Any:
    """Any well-formed value of a fact."""
    fact = catalogue()[path]
    if fact.kind == "bool":
        return chance.random() < 0.5
    if fact.kind in {"number", "int"}:
        return chance.choice([0, 1, 24, 72])
    if fact.kind == "enum":
        return chance.choice(fact.choices)
    if fact.kind == "set":
        return [choice for choice in fact.choices if chance.random() < 0.5]
    if fact.kind == "time":
        return chance.choice(["2024-01-05T00:00:00Z", "2026-11-19T00:00:00Z"])
    return chance.choice(["a", "b"]) if fact.kind == "text" else ["198.51.100.7"]


def known_row(scope: str, paths: Iterable[str], chance: random.Random, share: float) -> dict[str, Any]:
    return {path: value(path, chance) for path in paths if path.startswith(f"{scope}.") and chance.random() < share}


def reading(chance: random.Random, share: float = 0.7) -> Reading:
    """Facts by chance, consistent or not: the solver must be right about either."""
    facts = analyst().model.facts
    rows = {
        scope: [known_row(scope, facts, chance, share) for _ in range(chance.randrange(3))]
        + ([{UNSEEN: True}] if chance.random() < 0.5 else [])
        for scope in ("api_key", "address", "vendor")
    }
    return joined({**known_row("account", facts, chance, share), **known_row("venue", facts, chance, share)}, rows)


def less_known(
    whole: Reading, chance: random.Random, share: float = 0.6, *, keeping: frozenset[str] = frozenset()
) -> Reading:
    """The same with some facts hidden, those of the account and the venue alike in every row."""
    kept = {path: held for path, held in whole.facts.items() if chance.random() < share or path in keeping}
    rows = {
        scope: [
            {
                path: held
                for path, held in row.items()
                if path not in whole.facts and (path == UNSEEN or chance.random() < share)
            }
            for row in listed
        ]
        for scope, listed in whole.rows.items()
    }
    return joined(kept, rows)


def scopes() -> tuple[str, ...]:
    return tuple(LISTS)
