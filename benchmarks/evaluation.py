"""All shipped rules over 100,000 keys from JSON lines, validation included, against msgspec decoding the same lines as strictly."""

from __future__ import annotations

import json
import random
import tempfile
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from auditor.engine.evaluate import Evaluation
from auditor.engine.intake import Evidence
from auditor.exchanges import _venue
from auditor.model import document
from auditor.model.report import Outcome
from auditor.pipeline import rule_files

EXCHANGES = ("binance", "bybit", "kraken", "okx")
ACCOUNTS, KEYS_EACH = 20_000, 5
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def ratio() -> float:
    path = _file()
    lines = path.read_bytes().splitlines()
    decode = document.decoder().decode
    begun = time.perf_counter()
    for line in lines:
        decode(line)
    floor = time.perf_counter() - begun
    del lines
    rules = rule_files(None)
    policies = {name: _venue.load(name).policy_facts() for name in EXCHANGES}
    begun = time.perf_counter()
    with Evidence(NOW).add_files([path]) as evidence, Evaluation(evidence, rules, policies) as evaluation:
        counts = evaluation.counts()
    took = time.perf_counter() - begun
    assert counts["key-trade-without-ip-binding"][Outcome.FAIL] > 0
    assert sum(counts["key-unrecognised"].values()) >= ACCOUNTS * KEYS_EACH
    return took / floor


@cache
def _file() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="auditor-bench-"))
    chance = random.Random(1)
    path = folder / "evidence.jsonl"
    with path.open("w") as stream:
        for number in range(ACCOUNTS):
            stream.write(json.dumps(_document(number, chance)) + "\n")
    return path


def _document(number: int, chance: random.Random) -> dict[str, Any]:
    """An account as a connector writes one, with a quarter of its facts hidden."""
    account = {
        "kind": "main",
        "kyc_level": 2,
        "login_weakest_factor": chance.choice(["sms", "totp", "phishing_resistant"]),
        "step_up_weakest_factor": chance.choice(["sms", "totp", "phishing_resistant"]),
        "withdrawal_allowlist_enabled": chance.random() < 0.5,
        "key_inventory_complete": chance.random() < 0.5,
    }
    return {
        "schema": "auditor/evidence/1",
        "collected_at": "2026-11-20T00:00:00Z",
        "account": {
            "name": f"account-{number}",
            "exchange": chance.choice(EXCHANGES),
            **_seen(account, chance),
        },
        "api_keys": [_seen(_key(place, chance), chance) for place in range(KEYS_EACH)],
        "problems": [],
    }


def _key(place: int, chance: random.Random) -> dict[str, Any]:
    trades = chance.random() < 0.5
    return {
        "fingerprint": f"{chance.getrandbits(128):032x}",
        "masked_id": "…0a1b",
        "label": f"bot-{place}",
        "kind": "hmac",
        "permissions": ["read_only", "trade"] if trades else ["read_only"],
        "can_read": True,
        "can_trade": trades,
        "can_trade_derivatives": False,
        "can_transfer": trades,
        "can_withdraw": chance.random() < 0.1,
        "can_manage": False,
        "ip_bound": chance.random() < 0.5,
        "ip_allowlist": ["198.51.100.20", "203.0.113.0/24"],
        "enabled": True,
        "created_at": f"202{chance.randrange(3, 7)}-0{chance.randrange(1, 10)}-03T00:00:00Z",
        "never_expires": False,
        "is_audit_key": place == 0,
    }


def _seen(facts: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if chance.random() < 0.75}
