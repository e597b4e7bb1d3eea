"""Bithumb over the wire: every trap of the venue, every code, every edge of the list of keys."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _transport, _venue, bithumb
from auditor.exchanges._base import Answer, Sheet
from auditor.model.facts import catalogue
from auditor.twin._base import Breakage, Refusal
from auditor.twin.bithumb import Twin
from tests.exchanges.wire import collect, reasons

CODES = {
    "invalid_key": "invalid_access_key jwt_verification invalid_query_payload 5300",
    "ip_not_allowed": "NotAllowIP",
    "permission_denied": "out_of_scope two_factor_auth_required 5302",
    "account_frozen": "blocked_member_id",
    "clock_skew": "expired_jwt",
    "venue_incident": "5400",
    "malformed_response": "invalid_parameter order_not_ready 5100 5200 5500 5600 something_new",
}
STOPS = {"invalid_key", "ip_not_allowed", "account_frozen"}
EACH = [(code, reason) for reason, listed in CODES.items() for code in listed.split()]
HIDDEN = {"api_keys": "not_exposed"}
OWN = "59683demo0auditkey0000000000000a"


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def told(body: Any, status: int = 200, endpoint: Any = bithumb.KEYS) -> str | None:
    found = bithumb.classify(Answer(status=status, body=body, text="", headers={}), endpoint)
    return found and found.reason.value


def listed(*rows: Any) -> Sheet:
    twin = Twin()
    twin.listed = list(rows)
    return collect(twin)


def entry(**fields: Any) -> dict[str, Any]:
    row = {"access_key": OWN, "expire_at": "2027-03-02T10:00:00+09:00", **fields}
    return {name: value for name, value in row.items() if value is not ...}


def every_reason(sheet: Sheet) -> list[str]:
    return [problem.reason.value for problem in sheet.problems if problem.endpoint == "api_keys"]


def of_list(sheet: Sheet) -> list[dict[str, Any]]:
    return [row for row in sheet.rows["api_key"] or [] if "public_id" in row]


def state(**fields: Any) -> Sheet:
    twin = Twin()
    twin.member = {name: value for name, value in {**twin.member, **fields}.items() if value is not ...}
    return collect(twin)


def test_the_sample_account_shows_all_keys_the_state_and_the_address_book() -> None:
    sheet = collect(Twin())
    assert reasons(sheet) == HIDDEN
    assert sheet.account == {
        "key_inventory_complete": True,
        "status": "normal",
        "two_factor_enabled": True,
    }
    assert {row["public_id"] for row in of_list(sheet)} == {row["access_key"] for row in Twin().listed}
    assert [row.get("label") for row in sheet.rows["address"] or []] == ["upbit", None]
    assert [row["public_id"] for row in sheet.rows["address"] or []] == ["bc1qDEMO1", "rDEMOaddr2:104512"]


# Traps


def test_the_calling_key_is_in_the_list_and_its_row_says_only_what_a_call_proves() -> None:
    rows = collect(Twin()).rows["api_key"] or []
    assert [row for row in rows if row.get("is_audit_key")] == [
        {"kind": "hmac", "can_read": True, "enabled": True, "is_audit_key": True}
    ]
    assert len(rows) == 4  # its row of the list has the id by which the two become one


def test_what_a_key_may_do_is_shown_to_nobody() -> None:
    sheet = collect(Twin())
    assert not [name for row in sheet.rows["api_key"] or [] for name in row if name in {"can_trade", "can_withdraw"}]
    (problem,) = sheet.problems
    assert {"api_key.permissions", "api_key.can_withdraw", "api_key.ip_allowlist"} <= set(problem.facts)
    assert "api_keys" not in problem.facts


def test_a_bad_token_is_a_bad_key_only_where_no_permission_is_needed() -> None:
    for word, elsewhere in {
        "jwt_verification": "permission_denied",
        "invalid_query_payload": "malformed_response",
    }.items():
        body = {"error": {"name": word, "message": "Jwt"}}
        assert told(body, 401) == "invalid_key"
        assert told(body, 401, bithumb.ADDRESSES) == told(body, 401, bithumb.CHANCE) == elsewhere
    twin = Twin()
    twin.fail(Refusal.BAD_SIGNATURE, prefix="/v1/withdraws")
    sheet = collect(twin)
    assert sheet.account == {"key_inventory_complete": True} and len(sheet.rows["api_key"] or []) == 4
    assert reasons(sheet) == HIDDEN | dict.fromkeys(
        ["withdraws/chance", "withdraws/coin_addresses"], "permission_denied"
    )


def test_over_the_limit_this_address_is_blocked_and_nothing_more_is_sent() -> None:
    for body in (None, {"error": {"name": "too_many_requests"}}, {"error": {"name": "invalid_access_key"}}):
        found = bithumb.classify(Answer(status=429, body=body, text="", headers={}), bithumb.KEYS)
        assert found is not None and found.reason.value == "rate_limited" and found.address and not found.retry
    twin = Twin()
    twin.fail(Refusal.RATE_LIMIT)
    assert set(reasons(collect(twin)).values()) == {"rate_limited"} and len(twin.requests) == 1


def test_notices_are_no_status() -> None:
    twin = Twin()
    sheet = collect(twin)
    assert sheet.venue == {} and not [request for request in twin.requests if "notices" in request.path]


def test_the_list_of_addresses_is_of_those_for_large_sums_and_is_not_called_complete() -> None:
    assert "addresses_complete" not in collect(Twin()).account


def test_a_key_lives_for_one_year_and_was_made_that_long_before_its_end() -> None:
    (row,) = of_list(listed(entry(expire_at="2028-02-29T10:00:00+09:00")))
    assert (row["expires_at"], row["created_at"]) == ("2028-02-29T01:00:00Z", "2027-02-28T01:00:00Z")
    assert row["never_expires"] is False


@pytest.mark.parametrize(
    ("end", "bound"),
    [("2027-03-02T10:00:00+09:00", True), ("2026-04-22T09:00:00+09:00", True), ("2026-04-21T10:00:00+09:00", None)],
)
def test_no_key_is_given_out_unbound_since_the_page_says_so(end: str, bound: bool | None) -> None:
    (row,) = of_list(listed(entry(expire_at=end)))
    assert row.get("ip_bound") is bound and ("created_at" in row) is (bound is True)
    assert "ip_allowlist" not in row


def test_whether_a_listed_key_still_works_is_not_said() -> None:
    assert not [row for row in of_list(collect(Twin())) if "enabled" in row]


def test_masked_ids_do_not_invent_a_key_more() -> None:
    masked = [entry(access_key="BithumbDemo****************"), entry(access_key="BithumbBot*****************")]
    alone = listed(masked[0])
    assert [row.get("is_audit_key") for row in alone.rows["api_key"] or []] == [True]
    assert "expires_at" in (alone.rows["api_key"] or [])[0]
    both = listed(*masked)
    assert len(both.rows["api_key"] or []) == 2 and not of_list(both)
    assert not [row for row in both.rows["api_key"] or [] if "is_audit_key" in row]
    assert [problem for problem in both.problems if "masked" in problem.detail]


def test_a_list_without_the_key_that_asked_is_no_list() -> None:
    sheet = listed()
    assert sheet.rows["api_key"] is None and reasons(sheet)["api_keys"] == "malformed_response"
    assert "key_inventory_complete" not in sheet.account


@pytest.mark.parametrize("odd", [None, 7, "text", [], {}])
def test_an_entry_that_cannot_be_read_costs_completeness(odd: Any) -> None:
    sheet = listed(entry(), odd)
    assert len(of_list(sheet)) == 1 and "malformed_response" in every_reason(sheet)
    assert sheet.account.get("key_inventory_complete") is None


@pytest.mark.parametrize("end", [..., None, "", "never", 0, 1772413200000, "0001-01-01T00:00:00+09:00", [], True])
def test_an_odd_end_costs_the_end_only(end: Any) -> None:
    sheet = listed(entry(expire_at=end))
    (row,) = of_list(sheet)
    assert row == {"kind": "hmac", "public_id": OWN}
    assert "malformed_response" in every_reason(sheet)


def test_names_of_owners_and_balances_stay_at_the_door(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(0):
        text = repr(collect(Twin())) + caplog.text
    assert "REDACT" not in text and "PERSON" not in text and "12.34" not in text


def test_registered_addresses_are_not_the_switch_of_the_account() -> None:
    assert "withdrawal_allowlist_enabled" not in collect(Twin()).account


# The state of the account


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, "normal"), ({"locked": True}, "frozen"), ({"wallet_locked": True}, "restricted"), ({"locked": True, "wallet_locked": True}, "frozen"),
     ({"locked": "false", "wallet_locked": "false"}, "normal"), ({"locked": ..., "wallet_locked": False}, None), ({"locked": ..., "wallet_locked": True}, None),
     ({"locked": True, "wallet_locked": ...}, "frozen"), ({"wallet_locked": None}, None), ({"locked": "yes"}, None)],
)  # fmt: skip
def test_the_state_of_the_account(fields: dict[str, Any], status: str | None) -> None:
    assert state(**fields).account.get("status") == status


@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), (False, False), ("1", True), ("yes", None), (..., None), (None, None)]
)
def test_two_channels(value: Any, expected: bool | None) -> None:
    sheet = state(two_factor_auth_verified=value)
    assert sheet.account.get("two_factor_enabled") is expected
    assert sheet.account["status"] == "normal"


# The address book


@pytest.mark.parametrize(
    "broken", [{"withdraw_address": None}, {"currency": 5}, {"net_type": ...}, {"secondary_address": 7}]
)
def test_an_address_that_cannot_be_read_is_not_left_out_in_silence(broken: dict[str, Any]) -> None:
    twin = Twin()
    row = {**twin.addresses[0], **broken}
    twin.addresses[0] = {name: value for name, value in row.items() if value is not ...}
    sheet = collect(twin)
    assert sheet.rows["address"] is None and reasons(sheet)["withdraws/coin_addresses"] == "malformed_response"


def test_an_empty_book_was_seen_and_is_empty() -> None:
    twin = Twin()
    twin.addresses = []
    sheet = collect(twin)
    assert sheet.rows["address"] == []


def test_a_label_that_names_a_person_is_masked() -> None:
    twin = Twin()
    twin.addresses[0]["exchange_name"] = "of demo.person@example.invalid"
    assert "demo.person" not in repr(collect(twin))


def test_a_key_without_the_view_of_withdrawals_still_lists_the_keys() -> None:
    twin = Twin()
    first = twin.sample_keys()[0]
    twin.keys[first.api_key] = replace(first, permissions=frozenset())
    sheet = collect(twin)
    assert reasons(sheet) == HIDDEN | dict.fromkeys(
        ["withdraws/chance", "withdraws/coin_addresses"], "permission_denied"
    )
    assert sheet.account == {"key_inventory_complete": True} and sheet.rows["address"] is None


# Codes


@pytest.mark.parametrize(("code", "reason"), EACH)
@pytest.mark.parametrize("status", [200, 400, 401])
def test_every_word_of_the_venue_whatever_the_status(code: str, reason: str, status: int) -> None:
    body = {"error": {"name": code, "message": "m"}}
    assert told(body, status) == reason
    found = bithumb.classify(Answer(status=status, body=body, text="", headers={}), bithumb.KEYS)
    assert found is not None and found.lockout is (reason in STOPS)


def test_the_table_holds_no_word_that_is_not_tested() -> None:
    assert set(bithumb._FAILURES) == {code for code, reason in EACH if reason != "malformed_response"}


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ([], 200, None), ({"member_level": {}}, 200, None), (None, 200, None), ({"error": None, "member_level": {}}, 200, None), ({"status": "0000"}, 200, None),
        ({"status": "5300", "message": "Invalid Apikey"}, 200, "invalid_key"), ({"status": "5400", "message": "Database Fail"}, 200, "venue_incident"),
        ({"status": "5302", "message": "Method Not Allowed.(Access IP)"}, 200, "ip_not_allowed"), ({"status": 5302, "message": "Method Not Allowed.(Access)"}, 200, "permission_denied"),
        ({"status": "5100", "message": "Bad Request (Request Time:reqTime1/nowTime2)"}, 200, "clock_skew"), ({"status": "5100", "message": "Bad Request(SSL)"}, 200, "malformed_response"),
        ({"status": ["5300"]}, 200, "malformed_response"), ({"error": "jwt_verification"}, 401, "invalid_key"), ({"error": {"name": "notallowip"}}, 401, "malformed_response"),
        ({"error": {"name": "server_error"}}, 500, "venue_incident"), ({"error": {"name": None}}, 503, "venue_maintenance"),
        ({"error": {"name": ["out_of_scope"]}}, 200, "malformed_response"), ({"error": {"name": "out_of_scope"}}, 403, "permission_denied"),
    ],
)  # fmt: skip
def test_the_envelopes_of_refusals(body: Any, status: int, reason: str | None) -> None:
    assert told(body, status) == reason


def test_a_bad_key_in_place_of_an_outage_is_an_outage() -> None:
    twin = Twin()
    body = {"error": {"name": "invalid_access_key", "message": "m"}}
    twin.refuse = lambda _refusal: web.json_response(body, status=500)  # type: ignore[method-assign]
    twin.fail(Refusal.MAINTENANCE)
    assert set(reasons(collect(twin)).values()) == {"venue_incident"}


# The twin, and anything at all


@pytest.mark.parametrize(("field", "value"), [("secret", "another"), ("apiKey", "nobodysKey00000001")])
def test_a_spoiled_signature_and_an_unknown_key_are_refused_and_not_tried_again(field: str, value: str) -> None:
    twin = Twin()
    sheet = collect(twin, credentials={**twin.sample_credentials(), field: value})
    assert set(reasons(sheet).values()) == {"invalid_key"} and len(twin.requests) == 1


def test_a_key_bound_elsewhere_is_an_address_refused() -> None:
    twin = Twin()
    twin.caller = "203.0.113.9"
    assert set(reasons(collect(twin)).values()) == {"ip_not_allowed"}


@pytest.mark.parametrize("how", [Refusal.MAINTENANCE, Breakage.HTML_ERROR, Breakage.EMPTY])
def test_a_passing_trouble_passes(how: Any) -> None:
    twin = Twin()
    twin.fail(how, prefix=bithumb.KEYS.path, times=2)
    assert reasons(collect(twin)) == HIDDEN


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(max_size=6)
    | st.sampled_from(["0", "\ud800", "a@b.example", 10**400, "2010-01-01T00:00:00+09:00"])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([bithumb.KEYS, bithumb.CHANCE, bithumb.ADDRESSES]), st.sampled_from(["", "access_key", "expire_at", "member_level", "locked", "withdraw_address", "exchange_name"]), ANYTHING)  # fmt: skip
def test_no_answer_whatsoever_raises_or_writes_a_malformed_fact(place: Any, field: str, value: Any) -> None:
    twin = Twin()
    whole: dict[str, Any] = {
        bithumb.KEYS.name: [{**row, field: value} for row in twin.listed],
        bithumb.CHANCE.name: {"member_level": {**twin.member, field: value}},
        bithumb.ADDRESSES.name: [{**row, field: value} for row in twin.addresses],
    }

    class Stub:
        async def fetch(self, endpoint: Any, _params: Any = None) -> Any:
            return value if endpoint == place and not field else whole[endpoint.name]

    sheet = Sheet()
    asyncio.run(bithumb.collect(Stub(), sheet))
    rows = [(scope, row) for scope in ("api_key", "address") for row in sheet.rows[scope] or []]
    for scope, facts in [("account", sheet.account), *rows]:
        for fact, held in facts.items():
            assert fact == "public_id" or catalogue()[f"{scope}.{fact}"].check(held) is None


def test_the_venue_file_is_sound() -> None:
    file = _venue.load("bithumb")
    stated = file.policy_facts()
    assert file.connector == "bithumb" and file.credentials == bithumb.credentials
    assert (
        not {"venue.new_address_delay_hours", "venue.two_factor_methods", "venue.api_withdrawal_requires_allowlist"}
        & stated.keys()
    )
