"""Coinbase International: an exchange that closed down to questions, and an account at Deribit in its place."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from auditor.exchanges import _budget, _load, _transport, _venue, coinbaseinternational, deribit
from auditor.exchanges._base import Answer, Sheet
from auditor.model.facts import parse_time
from auditor.twin._base import Refusal
from auditor.twin.coinbaseinternational import Twin
from tests.exchanges.wire import collect, reasons

PRIVATE = "/api/v2/private/"
CODES = {
    "venue_maintenance": ((11051, "system_maintenance"), (10040, "retry"), (10041, "settlement_in_progress")),
    "invalid_key": ((13004, "invalid_credentials"), (10000, "authorization_required"), (13009, "unauthorized")),
    "permission_denied": ((13021, "forbidden"), (11042, "permission_denied")),
    "rate_limited": ((10028, "too_many_requests"),),
}
KINDS = {
    "changed_email": "settings_changed",
    "changed_password": "password_changed",
    "disabled_tfa": "two_factor_disabled",
    "enabled_tfa": "two_factor_enabled",
    "success": "login",
    "failure": "login_failed",
    "enabled_subaccount_login": "settings_changed",
    "disabled_subaccount_login": "settings_changed",
    "new_api_key": "api_key_created",
    "removed_api_key": "api_key_removed",
    "changed_scope": "api_key_changed",
    "changed_whitelist": "api_key_changed",
    "disabled_api_key": "api_key_changed",
    "enabled_api_key": "api_key_changed",
    "reset_api_key": "api_key_changed",
    "something_new": "other",
}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def result(value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "testnet": False, "usIn": 1, "usOut": 2, "usDiff": 1, "result": value}


def serving(name: str, value: Any) -> Sheet:
    twin = Twin()
    twin.signed[("GET", PRIVATE + name)] = lambda _request, _key: result(value)
    return collect(twin)


def line(number: int = 1, **fields: Any) -> dict[str, Any]:
    row = {
        "id": number,
        "timestamp": 1794999000000 + number,
        "ip": "203.0.113.9",
        "country": "Portugal",
        "city": "Lisbon",
    }
    return {**row, **fields}


def refusal(code: Any, message: str, status: int = 400) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}}
    return coinbaseinternational.classify(
        Answer(status=status, body=body, text="", headers={}), coinbaseinternational.endpoints[0]
    )


# What became of it


def test_the_venue_is_winding_down_since_the_day_it_became_read_only() -> None:
    venue = _venue.load("coinbaseinternational")
    facts = venue.policy_facts()
    assert facts["venue.lifecycle"] == "winding_down"
    assert facts["venue.lifecycle_since"] == "2026-10-01T00:00:00Z"
    assert parse_time(facts["venue.lifecycle_since"]) is not None
    for fact in ("venue.lifecycle", "venue.lifecycle_since"):
        source = venue.source(fact)
        assert (
            source is not None
            and source.ref is not None
            and "https://docs.deribit.com/articles/intx-api-migration" in source.ref
        )


def test_what_the_old_exchange_fixed_is_no_policy_of_the_new_place() -> None:
    facts = _venue.load("coinbaseinternational").policy_facts()
    assert (
        not {"venue.new_address_delay_hours", "venue.allowlist_disable_delay_hours", "venue.two_factor_methods"}
        & facts.keys()
    )


def test_it_has_every_name_a_connector_needs_and_asks_what_deribit_is_asked() -> None:
    module = _load.connector("coinbaseinternational")
    assert isinstance(module, ModuleType) and module is coinbaseinternational
    for name in ("ccxt_class", "credentials", "endpoints", "clock", "serial", "classify", "server_time", "collect"):
        assert hasattr(module, name)
    assert {endpoint.host for endpoint in coinbaseinternational.endpoints} == {"www.deribit.com"}
    assert coinbaseinternational.endpoints == deribit.endpoints


def test_every_method_answers_to_get_so_only_known_reads_are_declared() -> None:
    names = {endpoint.path.rpartition("/")[2] for endpoint in coinbaseinternational.endpoints}
    assert all(name.startswith(("get_", "list_")) or name == "status" for name in names)


# A key of the old exchange


def test_a_key_of_the_old_exchange_is_called_retired_and_not_attacked() -> None:
    twin = Twin()
    sheet = collect(twin, credentials={"apiKey": "0d3m0intxkey00001", "secret": "0d3m0intxsecret0000000000001"})
    assert {problem.reason.value for problem in sheet.problems if "get_" in problem.endpoint} >= {"invalid_key"}
    said = [problem.detail for problem in sheet.problems if problem.reason.value == "invalid_key"]
    assert said and all("retired" in detail and "no sign of an attack" in detail for detail in said)
    assert sheet.rows["api_key"] is None
    assert sum(request.path.startswith(PRIVATE) for request in twin.requests) == 1


def test_a_bad_signature_of_a_known_key_is_not_called_retired() -> None:
    twin = Twin()
    sheet = collect(twin, credentials={**twin.sample_credentials(), "secret": "another"})
    said = [problem.detail for problem in sheet.problems if problem.reason.value == "invalid_key"]
    assert said and not any("retired" in detail for detail in said)


def test_a_key_of_the_developer_portal_does_no_harm_and_is_refused() -> None:
    twin = Twin()
    pem = "-----BEGIN EC " + "PRIVATE KEY-----\nMHcCAQEE\n-----END EC " + "PRIVATE KEY-----\n"
    sheet = collect(twin, credentials={"apiKey": "organizations/0d3m0/apiKeys/0d3m0", "secret": pem})
    assert sheet.rows["api_key"] is None
    assert "MHcCAQEE" not in repr(sheet)


# Errors


@pytest.mark.parametrize(
    ("reason", "code", "message"), [(reason, *pair) for reason, pairs in CODES.items() for pair in pairs]
)
@pytest.mark.parametrize("status", [200, 400])
def test_every_code_means_what_the_documentation_says(reason: str, code: int, message: str, status: int) -> None:
    """ccxt knows 13004 alone and calls all others an error, a rate limit with HTTP 429 too."""
    found = refusal(code, message, status)
    assert found is not None and found.reason.value == reason


def test_a_rate_limit_with_429_and_maintenance_stay_what_they_are_and_are_asked_again() -> None:
    assert refusal(10028, "too_many_requests", 429).retry
    assert refusal(11051, "system_maintenance", 503).retry
    for how in (Refusal.MAINTENANCE, Refusal.RATE_LIMIT):
        twin = Twin()
        twin.fail(how, times=1)
        assert not {"invalid_key"} & set(reasons(collect(twin)).values())


# The log, the account, the locks, the keys


@pytest.mark.parametrize(("word", "kind"), list(KINDS.items()))
@pytest.mark.parametrize("field", ["result", "log"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_the_event_is_named_result_or_log_and_the_list_is_bare_or_wrapped(
    word: str, kind: str, field: str, wrapped: bool
) -> None:
    rows = [line() | {field: word}]
    sheet = serving("get_access_log", {"records_total": 1, "data": rows} if wrapped else rows)
    (event,) = sheet.rows["event"] or []
    assert (event["kind"], event["text"], event["ip"], event["country"]) == (kind, word, "203.0.113.9", "Portugal")


def test_a_log_without_a_change_of_the_password_proves_nothing() -> None:
    sheet = serving("get_access_log", {"records_total": 1, "data": [line(result="success")]})
    assert not {"password_ever_changed", "password_changed_at", "two_factor_ever_changed"} & sheet.account.keys()
    assert serving("get_access_log", {"records_total": 0, "data": []}).rows["event"] == []


@pytest.mark.parametrize("count", [1, 1000, 1001, 2500])
def test_the_log_is_read_to_its_end(count: int) -> None:
    twin = Twin()
    twin.log = [line(number, result="success") for number in range(count)]
    assert len(collect(twin).rows["event"] or []) == count


def test_what_identifies_a_key_in_the_log_is_not_shown() -> None:
    seen = serving("get_access_log", [line(log="new_api_key", data="AbCdEfGh")])
    assert "AbCdEfGh" not in repr(seen.rows["event"])


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([{"currency": "BTC", "enabled": False}], "normal"),
        (
            [
                {"currency": "BTC", "enabled": False},
                {"currency": "USDC", "enabled": True, "message": "locked by support"},
            ],
            "restricted",
        ),
        ([], None),
        ([{"currency": "BTC"}], None),
        ({}, None),
    ],
)
def test_an_account_that_is_locked_in_one_currency_is_restricted(rows: Any, status: str | None) -> None:
    assert serving("get_user_locks", rows).account.get("status") == status


@pytest.mark.parametrize(
    ("locked", "status"), [("false", "ok"), ("partial", "degraded"), ("true", "maintenance"), ("maybe", None)]
)
def test_the_platform_is_open_locked_or_in_part(locked: str, status: str | None) -> None:
    twin = Twin()
    twin.locked = locked
    assert collect(twin).venue.get("status") == status


def test_mailboxes_and_names_stay_at_the_door_and_secrets_of_other_keys_too() -> None:
    twin = Twin()
    seen = repr(collect(twin))
    for value in ("owner@example.org", "owner_bot", *[key.secret for key in twin.sample_keys()]):
        assert value not in seen


def test_the_keys_of_the_account_are_listed_whole() -> None:
    sheet = collect(Twin())
    assert sheet.account["key_inventory_complete"] is True
    labels = {row.get("label") for row in sheet.rows["api_key"] or []}
    assert {"audit_ro", "treasury", "desk_bot"} <= labels
