"""Luno over the wire: a key that nothing describes, people who let it in, every code."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _signer, _transport, _venue, luno
from auditor.exchanges._base import Answer, Sheet
from auditor.model.facts import catalogue
from auditor.redaction import Secret
from auditor.twin._base import Breakage, Refusal
from auditor.twin.luno import Twin
from tests.exchanges.wire import collect, reasons

CODES = {
    "venue_maintenance": "ErrUnderMaintenance ErrAccountIsMigrating",
    "venue_incident": "ErrInternal",
    "timeout": "ErrDeadlineExceeded",
    "invalid_key": "ErrApiKeyRevoked ErrUnauthorised",
    "permission_denied": "ErrInsufficientPerms ErrVerificationLevelTooLow ErrUserNotVerifiedForCurrency",
    "rate_limited": "ErrTooManyRequests",
    "malformed_response": "ErrLimitOutOfRange ErrNotFound ErrSomethingNew",
}
EACH = [(code, reason) for reason, listed in CODES.items() for code in listed.split()]
HIDDEN = {"balance": "not_exposed"}
PERSONAL = ("REDACT", "PERSON", "u-demo-1", "12.34", "1224342323")


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def told(body: Any, status: int = 200) -> str | None:
    found = luno.classify(Answer(status=status, body=body, text="", headers={}), luno.BALANCE)
    return found and found.reason.value


def link(*words: Any, user: Any = "u-demo-2") -> dict[str, Any]:
    return {"created_at": 1700000000000, "label": "x", "permissions": list(words), "user_id": user}


def linked(*rows: Any) -> Sheet:
    twin = Twin()
    twin.linked = list(rows)
    return collect(twin)


def own(sheet: Sheet) -> dict[str, Any]:
    (row,) = sheet.rows["api_key"] or []
    return row


def test_the_sample_key_is_answered_and_may_trade_for_somebody_else() -> None:
    sheet = collect(Twin())
    assert reasons(sheet) == HIDDEN and sheet.account == {} and sheet.venue == {}
    assert own(sheet) == {"kind": "hmac", "can_read": True, "enabled": True, "is_audit_key": True, "can_trade": True}


# Traps


def test_nothing_describes_a_key_so_nothing_is_denied_of_it() -> None:
    sheet = linked()
    assert False not in own(sheet).values() and not {"can_trade", "can_withdraw", "ip_bound"} & own(sheet).keys()
    (problem,) = sheet.problems
    assert {"api_key.can_withdraw", "api_key.permissions"} <= set(problem.facts) and "api_keys" not in problem.facts
    assert "key_inventory_complete" not in sheet.account


@pytest.mark.parametrize(
    ("words", "granted"),
    [
        (["Perm_W_Send"], {"can_withdraw"}),
        (["Perm_W_Withdrawals", "Perm_W_Orders"], {"can_withdraw", "can_trade"}),
        (["Perm_W_ClientDebit"], {"can_transfer"}),
        (["Perm_W_ClientCredit"], {"can_transfer"}),
        (["Perm_W_Beneficiaries", "Perm_W_Addresses"], set()),
        (["Perm_R_Balance", "Perm_R_Transactions", "Perm_R_Addresses", "Perm_R_Orders", "Perm_R_Withdrawals", "Perm_R_Beneficiaries"], set()),
        (["Perm_W_New", "perm_w_send", ""], set()),
        ([], set()),
    ],
)  # fmt: skip
def test_what_others_grant_is_true_of_the_key_and_what_they_do_not_proves_nothing(
    words: list[str], granted: set[str]
) -> None:
    row = own(linked(link(*words)))
    assert {name for name in row if name.startswith("can_")} == granted | {"can_read"}


def test_people_and_balances_stay_at_the_door(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(0):
        text = repr(collect(Twin())) + caplog.text
    assert not [word for word in PERSONAL if word in text]


def test_the_secret_travels_and_is_seen_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    credentials = Twin().sample_credentials()
    secrets = {name: Secret(value) for name, value in credentials.items()}
    request = _signer.Signer("luno", secrets, None).sign(luno.BALANCE, {"assets": "XBT"})
    expected = base64.b64encode(f"{credentials['apiKey']}:{credentials['secret']}".encode()).decode()
    assert request.headers == {"Authorization": f"Basic {expected}"}
    assert request.url == "https://api.luno.com/api/1/balance?assets=XBT"
    twin = Twin()
    twin.refuse = lambda _refusal: web.json_response(
        {"error_code": expected, "error": credentials["secret"]}, status=400
    )  # type: ignore[method-assign]
    twin.fail(Refusal.BAD_KEY)
    with caplog.at_level(0):
        text = repr(collect(twin)) + caplog.text
    assert credentials["secret"] not in text


def test_only_two_reads_are_declared_and_none_of_them_moves_anything() -> None:
    twin = Twin()
    collect(twin)
    assert {(request.verb, request.path) for request in twin.requests} == {
        ("GET", "/api/1/balance"),
        ("GET", "/api/1/users/linked"),
    }
    assert len(luno.endpoints) == 2


def test_a_key_that_may_not_view_balances_is_no_bad_key() -> None:
    twin = Twin()
    first = twin.sample_keys()[0]
    twin.keys[first.api_key] = replace(first, permissions=frozenset())
    sheet = collect(twin)
    assert reasons(sheet) == {"balance": "permission_denied"} and sheet.rows["api_key"] is None


# Paging and shapes


def test_everybody_is_asked_for_page_by_page() -> None:
    rows = [link("Perm_R_Balance", user=f"u{number}") for number in range(250)]
    rows[249]["permissions"] = ["Perm_W_Send"]
    twin = Twin()
    twin.linked = rows
    assert own(collect(twin))["can_withdraw"] is True
    assert [request.query["offset"] for request in twin.requests if "linked" in request.path] == ["0", "100", "200"]


def test_pages_that_repeat_come_to_an_end() -> None:
    twin = Twin()
    rows = [link(user=f"u{number}") for number in range(100)]
    twin.signed[("GET", luno.LINKED.path)] = lambda _request, _key: {"users": rows}
    assert reasons(collect(twin)) == HIDDEN
    assert len([request for request in twin.requests if "linked" in request.path]) == 2


@pytest.mark.parametrize(
    "odd", [None, 7, {}, {"user_id": 5}, {"user_id": "u", "permissions": "Perm_W_Send"}, {"user_id": "u"}]
)
def test_an_odd_person_costs_nothing_that_was_seen(odd: Any) -> None:
    sheet = linked(odd, link("Perm_W_Send"))
    assert own(sheet)["can_read"] is True and False not in own(sheet).values()
    assert reasons(sheet)["users/linked"] == "malformed_response"


@pytest.mark.parametrize("body", [{}, [], None, {"balance": "1"}, {"balance": {}}])
def test_an_answer_without_balances_is_no_answer(body: Any) -> None:
    twin = Twin()
    twin.signed[("GET", luno.BALANCE.path)] = lambda _request, _key: body
    sheet = collect(twin)
    assert sheet.rows["api_key"] is None and reasons(sheet)["balance"] == "malformed_response"


def test_lists_that_are_null_hold_nothing_and_the_key_was_answered() -> None:
    twin = Twin()
    twin.signed[("GET", luno.LINKED.path)] = lambda _request, _key: {"users": None}
    twin.balances = None
    sheet = collect(twin)
    assert reasons(sheet) == HIDDEN and own(sheet)["can_read"] is True and "can_trade" not in own(sheet)


# Codes


@pytest.mark.parametrize(("code", "reason"), EACH)
@pytest.mark.parametrize("status", [200, 400])
def test_every_code_whatever_the_status(code: str, reason: str, status: int) -> None:
    assert told({"error": "text", "error_code": code}, status) == reason
    found = luno.classify(Answer(status=status, body={"error_code": code}, text="", headers={}), luno.BALANCE)
    assert found is not None and found.lockout is (reason == "invalid_key")


def test_the_table_holds_no_code_that_is_not_tested() -> None:
    assert set(luno._FAILURES) == {code for code, reason in EACH if reason != "malformed_response"}


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"balance": []}, 200, None), ([], 200, None), (None, 401, None), ({"error": None, "error_code": ""}, 401, None),
        ({"error": "API key not found"}, 401, "invalid_key"), ({"error": "x", "error_code": "ErrNew"}, 401, "invalid_key"),
        ({"error": "x", "error_code": "ErrInsufficientPerms"}, 401, "permission_denied"), ({"error": "x", "error_code": "ErrInternal"}, 401, "venue_incident"),
        ({"error": "x"}, 403, "venue_incident"), ({"error": "x", "error_code": "ErrNew"}, 429, "rate_limited"), ({"error": "x"}, 503, "venue_maintenance"),
        ({"error_code": ["ErrUnauthorised"]}, 200, "malformed_response"), ({"error": {"a": 1}}, 200, "malformed_response"),
    ],
)  # fmt: skip
def test_the_envelopes_of_refusals(body: Any, status: int, reason: str | None) -> None:
    assert told(body, status) == reason


@pytest.mark.parametrize("status", [500, 502])
def test_a_bad_key_in_place_of_an_outage_is_an_outage(status: int) -> None:
    twin = Twin()
    body = {"error": "x", "error_code": "ErrUnauthorised"}
    twin.refuse = lambda _refusal: web.json_response(body, status=status)  # type: ignore[method-assign]
    twin.fail(Refusal.MAINTENANCE)
    assert set(reasons(collect(twin)).values()) == {"venue_incident"}


def test_a_page_with_401_accuses_nobody() -> None:
    twin = Twin()
    twin.refuse = lambda _refusal: web.Response(status=401, text="<html>", content_type="text/html")  # type: ignore[method-assign]
    twin.fail(Refusal.MAINTENANCE)
    assert set(reasons(collect(twin)).values()) == {"malformed_response"}


# The twin, and anything at all


@pytest.mark.parametrize(("field", "value"), [("secret", "another"), ("apiKey", "nobodysKey00000001")])
def test_a_wrong_secret_and_an_unknown_key_are_refused_and_not_tried_again(field: str, value: str) -> None:
    twin = Twin()
    sheet = collect(twin, credentials={**twin.sample_credentials(), field: value})
    assert set(reasons(sheet).values()) == {"invalid_key"} and len(twin.requests) == 1


@pytest.mark.parametrize("how", [Refusal.RATE_LIMIT, Refusal.MAINTENANCE, Breakage.HTML_ERROR, Breakage.EMPTY])
def test_a_passing_trouble_passes(how: Any) -> None:
    twin = Twin()
    twin.fail(how, prefix=luno.BALANCE.path, times=2)
    assert reasons(collect(twin)) == HIDDEN


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(max_size=6)
    | st.sampled_from(["", "\ud800", "Perm_W_Send", 10**400])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANYTHING, ANYTHING, st.sampled_from(["permissions", "user_id", "label"]), st.booleans())
def test_no_answer_whatsoever_raises_or_writes_a_malformed_fact(
    balance: Any, value: Any, field: str, whole: bool
) -> None:
    class Stub:
        calls = 0

        async def fetch(self, endpoint: Any, _params: Any = None) -> Any:
            Stub.calls += 1
            assert Stub.calls < 200, "asks for ever"
            if endpoint == luno.BALANCE:
                return {"balance": []} if whole else balance
            return {"users": [{**link("Perm_W_Send"), field: value}]} if whole else value

    for body in (balance, value):
        luno.classify(Answer(status=401, body=body, text="", headers={}), luno.BALANCE)
    sheet = Sheet()
    asyncio.run(luno.collect(Stub(), sheet))
    for row in sheet.rows["api_key"] or []:
        for fact, held in row.items():
            assert catalogue()[f"api_key.{fact}"].check(held) is None


def test_the_venue_file_is_sound() -> None:
    file = _venue.load("luno")
    stated = file.policy_facts()
    assert file.connector == "luno" and file.credentials == luno.credentials
    assert stated["venue.api_withdrawal_requires_allowlist"] is False
    assert stated["venue.self_service_freeze_supported"] is True
    assert not {"venue.allowlist_supported", "venue.key_ip_binding_supported"} & stated.keys()
