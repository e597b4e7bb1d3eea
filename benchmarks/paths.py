"""Attack paths: one account with all capabilities, paths and fixes; and 10,000 accounts of many postures, with the facts
read by the engine. Both as a share of the time they may take, on the clock of the process (two cores for the engine).
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

from auditor import threats
from auditor.engine.evaluate import Evaluation
from auditor.engine.intake import Evidence
from auditor.exchanges import _venue

ONE_SECONDS, ALL_SECONDS = 0.050, 30.0
ACCOUNTS, POSTURES = 10_000, 1_000
EXCHANGES = ("binance", "bybit", "kraken", "okx")
NOW = datetime(2026, 11, 20, tzinfo=UTC)
_FACTORS = ("none", "sms", "email_otp", "sms_and_email", "totp", "phishing_resistant")


def one() -> float:
    """The slower of an account with SMS everywhere and one of which nothing is known, by an analyst who has seen none."""
    model = threats.analyst().model
    slowest = 0.0
    for reading in threats.read([_weak(), _unknown()], NOW, model, _policies()):
        analyst = threats.Analyst(model)
        begun = time.process_time()
        paths, hardening = analyst.study(reading, NOW, str)
        slowest = max(slowest, time.process_time() - begun)
        assert paths
        assert hardening.residual
    return slowest / ONE_SECONDS


def all_() -> float:
    """Every account of an evidence file, from its lines to its paths and fixes."""
    analyst = threats.Analyst(threats.analyst().model)
    facts = analyst.model.facts
    begun = time.process_time()
    found = 0
    with Evidence(NOW).add(_documents()) as evidence, Evaluation(evidence, (), _policies(), also=facts) as evaluation:
        for reading in threats.readings(evaluation, facts):
            found += bool(analyst.study(reading, NOW, str)[0])
    assert found == ACCOUNTS
    return (time.process_time() - begun) / ALL_SECONDS


def _policies() -> dict[str, dict[str, Any]]:
    return {name: _venue.load(name).policy_facts() for name in EXCHANGES}


def _document(name: str, exchange: str, account: dict[str, Any], keys: list[dict[str, Any]] | None) -> dict[str, Any]:
    head = {"name": name, "exchange": exchange, **account}
    return {"schema": "auditor/evidence/1", "collected_at": "2026-11-20T00:00:00Z", "account": head, "api_keys": keys}


def _weak() -> dict[str, Any]:
    account = {
        "login_weakest_factor": "sms",
        "step_up_weakest_factor": "sms",
        "phone_is_factor": True,
        "email_recovery_by_phone": True,
        "recovery_channels": ["sms_code", "email_link", "support_video"],
        "password_unique": False,
        "withdrawal_allowlist_enabled": False,
        "withdrawal_second_approver": False,
        "internal_transfer_enabled": True,
        "p2p_enabled": True,
        "totp_cloud_synced": True,
        "email_second_factor": "none",
    }
    key = {
        "can_read": True,
        "can_trade": True,
        "can_withdraw": True,
        "ip_bound": False,
        "third_party": True,
        "on_host": True,
    }
    return _document("weak", "okx", account, [key])


def _unknown() -> dict[str, Any]:
    return _document("unknown", "nowhere", {}, None)


@cache
def _documents() -> list[dict[str, Any]]:
    """Accounts as owners and connectors describe them, with something hidden of each: a thousand postures, ten of each."""
    chance = random.Random(4)
    kinds = [_drawn(number, chance) for number in range(POSTURES)]
    return [
        {**one, "account": {**one["account"], "name": f"account-{number}"}} for number, one in enumerate(kinds * 10)
    ]


def _drawn(number: int, chance: random.Random) -> dict[str, Any]:
    weakest = chance.choice(_FACTORS)
    account = {
        "login_weakest_factor": weakest,
        "step_up_weakest_factor": weakest if chance.random() < 0.8 else chance.choice(_FACTORS),
        "phone_is_factor": weakest in {"sms", "sms_and_email"},
        "email_recovery_by_phone": chance.random() < 0.5,
        "withdrawal_allowlist_enabled": chance.random() < 0.4,
        "withdrawal_second_approver": False,
        "key_inventory_complete": chance.random() < 0.5,
    }
    known = {name: held for name, held in account.items() if chance.random() < 0.9}
    keys = [
        {
            "label": f"bot-{place}",
            "can_read": True,
            "can_trade": chance.random() < 0.5,
            "can_withdraw": chance.random() < 0.1,
            "ip_bound": chance.random() < 0.6,
            "third_party": chance.random() < 0.2,
        }
        for place in range(chance.randrange(4))
    ]
    return _document(f"account-{number}", chance.choice(EXCHANGES), known, keys)
