"""Phemex over the wire: one code for four faults, flags that are documented nowhere, and almost nothing to see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from auditor.exchanges import _budget, _gate, _transport, _venue, phemex
from auditor.exchanges._base import Answer, Endpoint, Sheet
from auditor.exchanges._signer import Signer
from auditor.redaction import Secret
from auditor.twin._base import TwinVenue
from auditor.twin.phemex import Twin
from tests.exchanges.wire import collect, reasons

WALLETS, CHILDREN = phemex.WALLETS, phemex.CHILDREN
READER, ELSEWHERE, MUTE = Twin().sample_keys()
SILENT = ("can_trade", "can_transfer", "can_withdraw", "can_manage", "ip_bound", "created_at", "never_expires")


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(_budget, "SHARE", 1000.0)


def answered(path: str, body: Any) -> Callable[[TwinVenue], None]:
    def prepare(twin: TwinVenue) -> None:
        twin.signed["GET", path] = lambda _request, _key: body

    return prepare


def family(*rows: Any, total: Any = None) -> Sheet:
    """What is seen where these users are listed; each is (id, id of the parent), or a row."""
    listed = [{"userId": row[0], "parentId": row[1]} if isinstance(row, tuple) else row for row in rows]
    data = {"total": len(rows) if total is None else total, "rows": listed}
    return collect(Twin(), prepare=answered(CHILDREN.path, {"code": 0, "data": data}))


def shown(sheet: Sheet, fact: str) -> list[str]:
    return [problem.reason.value for problem in sheet.problems if fact in problem.facts]


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=body, text=json.dumps(body), headers={})


def reason_of(given: Answer, endpoint: Endpoint = WALLETS) -> str | None:
    found = phemex.classify(given, endpoint)
    return found.reason.value if found else None


# What can be seen


def test_a_key_that_may_read_is_seen_and_its_rights_are_not() -> None:
    sheet = collect(Twin())
    assert sheet.rows["api_key"] == [{"is_audit_key": True, "kind": "hmac", "enabled": True, "can_read": True}]
    assert reasons(sheet) == {"spot/wallets": "not_exposed"}
    for name in SILENT:
        assert shown(sheet, f"api_key.{name}") == ["not_exposed"]
    assert sheet.account == {"kind": "main"}
    assert sheet.account_id == "700612"
    assert "key_inventory_complete" not in sheet.account


def test_balances_names_and_mail_addresses_are_stored_nowhere() -> None:
    text = repr(collect(Twin()))
    for word in ("123456789", "100000000", "x**@", "example.org", "grid", "USDT", "totalBalance"):
        assert word not in text


def test_flags_that_are_documented_nowhere_prove_nothing() -> None:
    for totp in (0, 1, "1", True, None):
        row = {"userId": 7, "parentId": 0, "totp": totp, "passwordState": 1, "status": 3}
        sheet = family(row)
        assert sheet.account == {"kind": "main", "master_key_over_subaccounts": False}


def test_a_confirmation_of_a_withdrawal_is_a_get_and_never_asked() -> None:
    twin = Twin()
    collect(twin)
    assert {request.path for request in twin.requests} == {"/spot/wallets", "/phemex-user/users/children"}
    trap = "exchange/wallets/confirm/withdraw"
    lookalike = Endpoint(
        name=trap,
        verb="GET",
        host="api.phemex.com",
        path=f"/{trap}",
        api=("private",),
        call=trap,
        limit=WALLETS.limit,
        source="https://x",
    )
    with pytest.raises(_gate.GateError):
        _gate.check_declared(lookalike, phemex.endpoints)


# The family


@pytest.mark.parametrize(
    ("rows", "facts"),
    [
        ([(612, 0)], {"kind": "main", "master_key_over_subaccounts": False}),
        ([(612, 0), (613, 612)], {"kind": "main"}),
        ([("612", "0"), ("613", "612")], {"kind": "main"}),
        ([(613, 98765612)], {"kind": "sub", "parent": "…5612", "master_key_over_subaccounts": False}),
    ],
)
def test_the_main_account_has_no_parent(rows: list[Any], facts: dict[str, Any]) -> None:
    sheet = family(*rows)
    assert sheet.account == facts
    assert not shown(sheet, "account.kind")


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(612, 0), (614, 0)],
        [(613, 612), (614, 612)],
        [{"userId": 612}],
        [{"userId": 612, "parentId": None}],
        [{"userId": None, "parentId": 0}],
        ["612"],
        [None],
    ],
)
def test_a_list_that_names_no_one_main_account_proves_nothing(rows: list[Any]) -> None:
    sheet = family(*rows)
    assert not sheet.account
    assert sheet.account_id is None
    assert shown(sheet, "account.kind") == ["malformed_response"]


def test_users_are_read_page_by_page_until_the_total() -> None:
    twin = Twin()
    twin.page = 7
    twin.users = [{**twin.users[0], "userId": 700 + number, "parentId": 700 if number else 0} for number in range(40)]
    sheet = collect(twin)
    assert sheet.account == {"kind": "main"}
    asked = [request.query["offset"] for request in twin.requests if request.path == CHILDREN.path]
    assert asked == ["0", "7", "14", "21", "28", "35"]


@pytest.mark.parametrize("total", [3, "3", None, "many", {}])
def test_fewer_users_than_the_total_are_not_all(total: Any) -> None:
    data = {"rows": [{"userId": 612, "parentId": 0}], "total": total}

    def once(request: Any, _key: Any) -> dict[str, Any]:
        return {"code": 0, "data": data if request.query["offset"] == "0" else {"rows": [], "total": total}}

    twin = Twin()
    twin.signed["GET", CHILDREN.path] = once
    sheet = collect(twin)
    assert not sheet.account  # one main account alone would mean that no key rules a sub-account
    assert shown(sheet, "account.kind") == ["malformed_response"]


def test_an_endless_list_is_given_up() -> None:
    sheet = family((612, 0), total=10**6)
    assert shown(sheet, "account.kind") == ["not_collected"]
    assert not sheet.account


@pytest.mark.parametrize("body", [{"code": 404, "msg": "no such path"}, None, {}])
def test_the_list_of_old_may_be_gone_and_that_is_no_fault(body: Any) -> None:
    assert reason_of(answer(body, 404), CHILDREN) == "not_exposed"
    assert reason_of(answer(body, 404), WALLETS) != "not_exposed"


@pytest.mark.parametrize("data", [None, {}, "USDT", ...])
def test_an_answer_of_another_shape_proves_no_key(data: Any) -> None:
    sheet = collect(Twin(), prepare=answered(WALLETS.path, {"code": 0, **({} if data is ... else {"data": data})}))
    assert sheet.rows["api_key"] is None
    assert shown(sheet, "api_keys") == ["malformed_response"]


# The signature and the clock


def test_a_spoiled_signature_and_an_expired_request_are_refused() -> None:
    async def ask(**headers: str) -> str:
        async with Twin() as twin, aiohttp.ClientSession() as session:
            held = {"apiKey": Secret(READER.api_key), "secret": Secret(READER.secret)}
            signed = Signer("phemex", held, twin.url).sign(WALLETS, {"currency": "USDT"})
            async with session.get(signed.url, headers={**signed.headers, **headers}) as response:
                body: dict[str, Any] = await response.json()
                return str(body["msg"])

    assert asyncio.run(ask()) == "OK"
    assert "Signature" in asyncio.run(ask(**{"x-phemex-request-signature": "0" * 64}))
    assert "Signature" in asyncio.run(ask(**{"x-phemex-request-expiry": "1999999999"}))
    assert "API KEY" in asyncio.run(ask(**{"x-phemex-access-token": "other"}))


def test_a_clock_that_is_behind_is_no_bad_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.twin.phemex._LONGEST_EXPIRY", -1)
    assert set(reasons(collect(Twin())).values()) == {"clock_skew"}


@pytest.mark.parametrize(("key", "reason"), [(ELSEWHERE, "ip_not_allowed"), (MUTE, "permission_denied")])
def test_a_foreign_address_and_a_missing_right_are_no_bad_key(key: Any, reason: str) -> None:
    sheet = collect(Twin(), credentials={"apiKey": key.api_key, "secret": key.secret})
    assert set(reasons(sheet).values()) == {reason}
    assert sheet.rows["api_key"] is None


# Codes


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        ("401", "401 Failed to load API KEY.", "invalid_key"),
        (10500, "Failed to find api-key 00000000-0000-4000-8000-000000000000", "invalid_key"),
        ("10500", "Api key not found 00000000-0000-4000-8000-000000000000", "invalid_key"),
        (10500, "API Signature verification failed.", "invalid_key"),
        ("401", "401 Request IP mismatch.", "ip_not_allowed"),
        ("401", "401 Insufficient privilege.", "permission_denied"),
        ("401", "401 Request Expired at 1618547919", "clock_skew"),
        (10500, "Missing required parameter", "malformed_response"),
        ("401", "401 something new", "malformed_response"),
        ("401", "", "malformed_response"),
        (34003, "Access forbidden", "permission_denied"),
        (39996, "Access denied.", "permission_denied"),
        (39995, "Too many requests.", "rate_limited"),
        (429, "Too many requests.", "rate_limited"),
        (11022, "TE_REJECT_DUE_TO_BANNED", "account_frozen"),
        (30000, "Please double check input arguments", "malformed_response"),
        (6001, "invalid argument", "malformed_response"),
    ],
)
def test_every_code_means_what_its_text_says(code: Any, text: str, reason: str) -> None:
    spellings = {str(code), int(code)}
    for said in spellings:
        assert reason_of(answer({"code": said, "msg": text})) == reason
        assert reason_of(answer({"error": {"code": said, "message": text}, "result": None})) == reason
        assert reason_of(answer({"code": said, "msg": text.upper()})) == reason


def test_the_table_holds_no_code_that_is_not_tested() -> None:
    assert set(phemex._FAILURES) == {"34003", "39996", "403", "39995", "429", "11022"}


def test_no_text_of_the_venue_is_quoted_for_it_may_hold_a_key() -> None:
    found = phemex.classify(answer({"code": 10500, "msg": "Api key not found CANARY-0123456789"}), WALLETS)
    assert found is not None
    assert "CANARY" not in found.meaning + found.code


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"code": 0, "data": []}, 200, None),
        ({"code": "0"}, 200, None),
        ({"code": 0}, 503, "venue_maintenance"),
        ({"code": 0, "error": None}, 200, None),
        ({}, 200, "malformed_response"),
        ([], 200, "malformed_response"),
        ({"code": True}, 200, "malformed_response"),
        ({"code": None}, 500, "venue_incident"),
        ({"msg": "no"}, 403, "permission_denied"),
        ({"code": 1}, 418, "rate_limited"),
        (None, 502, None),
        (None, 403, None),
    ],
)
def test_what_does_not_say_success(body: Any, status: int, reason: str | None) -> None:
    assert reason_of(answer(body, status)) == reason


def test_the_venue_file_says_that_a_key_withdraws_without_a_second_factor() -> None:
    facts = _venue.load("phemex").policy_facts()
    assert facts["venue.api_withdrawal_skips_second_factor"] is True
    assert facts["venue.hold_after_password_change_hours"] == 24
    assert "venue.new_address_delay_hours" not in facts
    assert "account.withdrawal_allowlist_enabled" not in facts
