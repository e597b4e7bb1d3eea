"""Accounts whose owners did everything: every rule of the pack must be content with a person, a team and a bot.

Each document states all that a rule may ask. What fails here would fail for everybody, whatever they do.
"""

from __future__ import annotations

from typing import Any

import pytest

from auditor.exchanges import _venue
from auditor.model.facts import catalogue
from auditor.model.report import Finding, Outcome
from auditor.model.rule import Severity
from tests.engine.invented import document, judged, shipped

_MODERATE = {Severity.LOW, Severity.INFO}

VENUE: dict[str, Any] = {
    "lifecycle": "active",
    "status": "ok",
    "two_factor_methods": ["totp", "passkey", "hardware_key"],
    "second_factor_downgrade_possible": False,
    "recovery_channels": ["support_docs"],
    "hold_after_password_change_hours": 24,
    "hold_after_two_factor_change_hours": 48,
    "hold_after_new_device_hours": 24,
    "new_address_delay_hours": 24,
    "hold_covers_p2p": True,
    "hold_covers_internal_transfer": True,
    "allowlist_supported": True,
    "allowlist_disable_delay_hours": 24,
    "api_withdrawal_requires_allowlist": True,
    "api_withdrawal_skips_second_factor": False,
    "key_ip_binding_supported": True,
    "anti_phishing_code_supported": True,
    "self_service_freeze_supported": True,
    "session_cookie_replayable": False,
    "trade_needs_step_up": True,
}

_LOGIN: dict[str, Any] = {
    "two_factor_enabled": True,
    "enrolled_factors": ["passkey", "hardware_key"],
    "login_weakest_factor": "phishing_resistant",
    "step_up_weakest_factor": "phishing_resistant",
    "downgrade_possible": False,
    "weaker_factor_removable": True,
    "totp_cloud_synced": False,
    "backup_factor_enrolled": True,
    "backup_codes_stored": "offline",
    "recovery_channels": ["support_docs"],
    "password_unique": True,
    "password_changed_at": "2026-01-10T00:00:00Z",
    "two_factor_changed_at": "2026-01-10T00:00:00Z",
    "anti_phishing_code_set": True,
    "phone_is_factor": False,
    "phone_port_lock": True,
    "phone_notifications_vetted": True,
    "email_second_factor": "phishing_resistant",
    "email_recovery_by_phone": False,
    "email_dedicated": True,
    "email_rules_reviewed": True,
    "email_rules_reviewed_at": "2026-11-01T00:00:00Z",
    "sessions_reviewed": True,
    "sessions_reviewed_at": "2026-11-01T00:00:00Z",
    "unknown_sessions": False,
    "extensions_vetted": True,
    "dedicated_device": True,
    "oauth_send_scope_allowed": False,
    "trade_needs_step_up": True,
    "settings_lock": True,
}
_MONEY: dict[str, Any] = {
    "withdrawal_allowlist_enabled": True,
    "allowlist_disable_delay_hours": 24,
    "new_address_delay_hours": 24,
    "hold_after_password_change_hours": 24,
    "hold_after_two_factor_change_hours": 48,
    "hold_after_new_device_hours": 24,
    "allowlisted_withdrawal_needs_factor": True,
    "large_withdrawal_needs_more": True,
    "withdrawal_limit_daily_usd": 2000,
    "withdrawn_last_24h_usd": 0,
    "largest_withdrawal_usd": 500,
    "allowlist_can_be_disabled": True,
    "internal_transfer_enabled": False,
    "p2p_enabled": False,
    "p2p_used": False,
    "linked_payment_enabled": False,
    "balance_usd": 4000,
    "balance_limit_usd": 10000,
    "share_of_total": 0.2,
    "small_withdrawal_tried": True,
    "last_small_withdrawal_at": "2026-10-01T00:00:00Z",
}
_CARE: dict[str, Any] = {
    "alert_channels": ["email", "push"],
    "freeze_rehearsed": True,
    "freeze_rehearsed_at": "2026-06-01T00:00:00Z",
    "freeze_delegate": True,
    "support_call_rule": True,
    "personal_data_leaked": True,
    "heightened_mode": True,
    "dependencies_pinned": True,
    "malicious_package_found": False,
    "secrets_readable_by_agents": False,
    "master_key_over_subaccounts": False,
    "key_inventory_complete": True,
    "key_inventory_reviewed_at": "2026-11-10T00:00:00Z",
    "addresses_complete": True,
    "withdrawals_complete": True,
    "vendors_complete": True,
    "events_cover_from": "2025-01-01T00:00:00Z",
    "created_at": "2024-01-01T00:00:00Z",
}
_AUDIT_KEY: dict[str, Any] = {
    "label": "audit",
    "can_read": True,
    "can_trade": False,
    "can_trade_derivatives": False,
    "can_transfer": False,
    "can_withdraw": False,
    "can_manage": False,
    "ip_bound": True,
    "ip_allowlist": ["198.51.100.7"],
    "enabled": True,
    "permissions": ["read"],
    "expected_permissions": ["read"],
    "created_at": "2026-09-01T00:00:00Z",
    "last_used_at": "2026-11-20T00:00:00Z",
    "is_audit_key": True,
    "owner_recognised": True,
    "widened_since_baseline": False,
    "third_party": False,
    "storage": "vault",
    "on_host": True,
    "shared_by_programs": False,
    "used_in_testing": False,
}
_ADDRESS: dict[str, Any] = {
    "asset": "BTC",
    "network": "bitcoin",
    "label": "own wallet",
    "state": "active",
    "created_at": "2026-02-01T00:00:00Z",
    "active_from": "2026-02-02T00:00:00Z",
    "skips_second_factor": False,
    "owner_recognised": True,
    "first_seen_at": "2026-02-01T00:00:00Z",
    "still_used": True,
    "destination_shares_host": False,
}
_WITHDRAWAL: dict[str, Any] = {
    "at": "2026-10-01T00:00:00Z",
    "asset": "BTC",
    "amount": 0.001,
    "usd": 90,
    "destination": "own-wallet",
    "destination_recognised": True,
    "state": "done",
}
_EVENT: dict[str, Any] = {
    "kind": "login",
    "at": "2026-11-19T00:00:00Z",
    "ip": "198.51.100.7",
    "country": "CH",
    "text": "login",
    "owner_confirmed": True,
}
_EVENTS: list[dict[str, Any]] = [
    _EVENT,
    {**_EVENT, "kind": "login_failed", "text": "wrong code"},
    {**_EVENT, "kind": "address_added", "text": "address added"},
]


def _personal() -> dict[str, Any]:
    """One person, no bot, one service that reads."""
    alone = {"kind": "main", "several_people": False, "shared_login": False, "anyone_left": False}
    tax = {**_AUDIT_KEY, "label": "tax program", "is_audit_key": False, "third_party": True, "vendor": "Tax Program"}
    tax |= {"storage": "vendor", "on_host": False}
    service = {"name": "Tax Program", "second_factor": True, "breached": False}
    service |= {"vendor_bound_keys_supported": True, "keys_bound": True}
    return document(
        {**_LOGIN, **_MONEY, **_CARE, **alone},
        venue=VENUE,
        api_keys=[_AUDIT_KEY, tax],
        addresses=[_ADDRESS],
        events=_EVENTS,
        withdrawals=[_WITHDRAWAL],
        vendors=[service],
    )


def _team() -> dict[str, Any]:
    """Several people with logins of their own, one of whom left; a second one approves."""
    people = {
        "kind": "main",
        "several_people": True,
        "shared_login": False,
        "anyone_left": True,
        "last_departure_at": "2026-03-01T00:00:00Z",
        "leaver_record_kept": True,
        "withdrawal_second_approver": True,
        "personal_data_leaked": False,
    }
    return document(
        {**_LOGIN, **_MONEY, **_CARE, **people},
        venue=VENUE,
        api_keys=[_AUDIT_KEY],
        addresses=[_ADDRESS],
        events=[_EVENT],
        withdrawals=[_WITHDRAWAL],
        vendors=[],
    )


def _bot() -> dict[str, Any]:
    """A sub-account that one program trades in, and nothing else."""
    alone = {"kind": "sub", "several_people": False, "shared_login": False, "anyone_left": False}
    alone |= {"trade_symbol_allowlist": True, "key_symbol_restriction_offered": True, "can_transfer_out": False}
    trading = {
        **_AUDIT_KEY,
        "label": "grid",
        "sub_account": "grid",
        "can_trade": True,
        "permissions": ["read", "trade"],
        "expected_permissions": ["read", "trade"],
        "can_trade_derivatives": True,
        "derivatives_needed": True,
        "symbol_restricted": True,
        "is_audit_key": False,
    }
    return document(
        {**_LOGIN, **_MONEY, **_CARE, **alone},
        venue=VENUE,
        api_keys=[_AUDIT_KEY, trading],
        addresses=[],
        events=[_EVENT],
        withdrawals=[],
        vendors=[],
    )


HARDENED = {"person": _personal, "team": _team, "bot": _bot}
every_kind = pytest.mark.parametrize("kind", HARDENED)


def _findings(one: dict[str, Any], *outcomes: Outcome) -> list[Finding]:
    [account] = judged([one]).accounts
    return [finding for finding in account.findings if finding.outcome in outcomes]


def _told(findings: list[Finding]) -> list[str]:
    return [
        f"{one.rule} on {one.subject.label}: {one.message} {[lack.fact for lack in one.missing]}" for one in findings
    ]


@every_kind
def test_nothing_above_low_fails(kind: str) -> None:
    failing = _findings(HARDENED[kind](), Outcome.FAIL)
    assert _told([one for one in failing if one.severity not in _MODERATE]) == []


@every_kind
def test_nothing_is_left_open(kind: str) -> None:
    assert _told(_findings(HARDENED[kind](), Outcome.UNKNOWN, Outcome.ERROR)) == []


_ABSENT = {
    "auth-phone-not-locked",  # no phone number counts for anything
    "key-third-party-trade-without-ip-binding",  # no third party holds a key that trades
    "key-withdraw-without-ip-binding",  # no key withdraws
}
"""Rules about what a hardened account does not have at all."""


def test_every_other_rule_is_passed_by_one_of_them() -> None:
    passed = {one.rule for kind in HARDENED.values() for one in _findings(kind(), Outcome.PASS)}
    assert {rule.id for rule in shipped()} - passed == _ABSENT


@every_kind
def test_no_single_fact_left_out_makes_a_rule_fail(kind: str) -> None:
    """What an owner does not say may leave a rule open; it never makes a hardened account fail."""
    whole = HARDENED[kind]()
    lacking = [
        {**whole, "account": {**{key: value for key, value in whole["account"].items() if key != name}, "name": f"without-{name}"}}
        for name in whole["account"]
        if name not in {"name", "exchange"}
    ]  # fmt: skip
    failing = [
        f"{account.name}: {finding.rule}"
        for account in judged(lacking).accounts
        for finding in account.findings
        if finding.outcome is Outcome.FAIL and finding.severity not in _MODERATE
    ]
    assert failing == []


def _at(exchange: str) -> dict[str, Any]:
    whole = _personal()
    return {**whole, "venue": {}, "account": {**whole["account"], "exchange": exchange, "name": exchange}}


def test_at_every_exchange_only_its_own_policies_fail() -> None:
    """The same person at each real exchange: what fails there rests on the exchange's own policies, never on the owner."""
    report = judged([_at(exchange) for exchange in _venue.ids()])
    rules = {rule.id: rule for rule in shipped()}
    blamed = [
        f"{account.name}: {finding.rule}"
        for account in report.accounts
        for finding in account.findings
        if finding.outcome is Outcome.FAIL
        and finding.severity not in _MODERATE
        and not any(path.startswith("venue.") for path in rules[finding.rule].facts)
    ]
    assert blamed == []


def test_the_documents_say_only_what_the_catalogue_knows() -> None:
    for one in (kind() for kind in HARDENED.values()):
        stated = {f"account.{name}" for name in one["account"]} | {f"venue.{name}" for name in one["venue"]}
        assert stated - {"account.exchange"} <= set(catalogue())
