"""Which failures are marked as leading to the money: those that an open way rests on, confirmed or not known to be closed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from auditor import pipeline
from auditor.engine.intake import Evidence
from auditor.identity import Identity
from auditor.model.report import Outcome

from .invented import HARD, HARD_VENUE, NOTHING_HELD, OPEN_VENUE, WEAK, document

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
KEY = {"label": "sync", "can_read": True, "can_trade": False, "can_trade_derivatives": False, "can_transfer": False,
       "can_withdraw": True, "can_manage": False, "ip_bound": False, "third_party": False, "on_host": False}  # fmt: skip


def on_path(one: dict[str, Any]) -> dict[str, bool | None]:
    """Rule -> whether its failure is marked."""
    run = pipeline.Run(rules=pipeline.rule_files(None), identity=Identity.ephemeral("t"), now=NOW)
    with Evidence(NOW).add([one]) as evidence:
        [account] = pipeline.judge(evidence, run).accounts
    return {one.rule: one.on_path for one in account.findings if one.outcome is Outcome.FAIL}


def test_a_way_that_is_only_possible_marks_what_it_rests_on_beside_confirmed_ones() -> None:
    """Whether the exchange pays this key to any address is not known; clippers get at the coins for sure."""
    venue = {**OPEN_VENUE, "api_withdrawal_requires_allowlist": True}
    key = {**KEY, "owner_recognised": True}
    marks = on_path(document({**WEAK, "addresses_complete": False}, venue, api_keys=[key], addresses=[], vendors=[]))
    assert marks["withdrawal-allowlist-off"] and marks["key-withdraw-permission"]


def test_a_key_that_may_withdraw_where_no_saved_address_serves_a_thief_leads_nowhere() -> None:
    key = {**KEY, "owner_recognised": True}
    marks = on_path(document(HARD, HARD_VENUE, **{**NOTHING_HELD, "api_keys": [key]}))
    assert marks["key-withdraw-permission"] is False


def test_a_key_nobody_recognises_is_marked_where_it_leads_to_the_money() -> None:
    trading = {**KEY, "can_withdraw": False, "can_trade": True, "symbol_restricted": False, "owner_recognised": False}
    marks = on_path(document(HARD, HARD_VENUE, **{**NOTHING_HELD, "api_keys": [trading]}))
    assert marks["key-unrecognised"] is True
