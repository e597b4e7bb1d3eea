"""bitFlyer over the wire: one number for most refusals, one word a call, and what the exchange hides."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _signer, _transport, _venue, bitflyer
from auditor.exchanges._base import Answer, Sheet
from auditor.model.facts import catalogue
from auditor.redaction import Secret
from auditor.twin._base import Breakage, Refusal
from auditor.twin.bitflyer import Twin
from tests.exchanges.wire import collect, reasons

HIDDEN = {"me/getpermissions": "not_exposed"}
READS = ["/v1/me/getpermissions", "/v1/me/getbalance"]
REFUSALS = [
    (-2, "Under maintenance", "venue_maintenance"),
    (-1, "Over API limit per period, per IP address", "rate_limited"),
    (-500, "Key not found", "invalid_key"),
    (-500, "Permission denied", "permission_denied"),
    (-500, "Invalid ACCESS-TIMESTAMP", "clock_skew"),
    (-500, "Invalid signature", "invalid_key"),
    (-500, "Invalid ACCESS-SIGN", "invalid_key"),
    (-500, "Under maintenance", "venue_maintenance"),
    (-208, "Order is not accepted", "malformed_response"),
    (-500, "something new", "malformed_response"),
    (-500, None, "malformed_response"),
    (None, "Key not found", "invalid_key"),
]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def told(body: Any, status: int = 200) -> str | None:
    found = bitflyer.classify(Answer(status=status, body=body, text="", headers={}), bitflyer.KEY)
    return found and found.reason.value


def key(words: Any) -> dict[str, Any]:
    twin = Twin()
    twin.words = words
    (row,) = collect(twin).rows["api_key"] or []
    return row


def test_the_sample_key_reads_and_sends_coins() -> None:
    sheet = collect(Twin())
    assert reasons(sheet) == HIDDEN
    assert sheet.venue == {"status": "ok"} and sheet.account == {}
    (row,) = sheet.rows["api_key"] or []
    assert (row["can_read"], row["can_withdraw"], row["can_trade"]) == (True, True, False)
    assert "can_transfer" not in row and "ip_bound" not in row
    assert "/v1/me/sendcoin" in row["permissions"]


# Traps


def test_deposit_addresses_and_bank_accounts_are_no_list_of_withdrawal_addresses() -> None:
    twin = Twin()
    sheet = collect(twin)
    assert sheet.rows["address"] is None and sheet.rows["withdrawal"] is None
    assert {request.path for request in twin.requests} == {"/v1/me/getpermissions", "/v1/gethealth"}
    assert "addresses_complete" not in sheet.account and "key_inventory_complete" not in sheet.account


def test_no_restriction_by_address_is_documented_so_nothing_is_said_of_it() -> None:
    (problem,) = collect(Twin()).problems
    assert {"api_key.ip_bound", "api_key.created_at"} <= set(problem.facts)


def test_maintenance_is_found_under_a_number_and_under_a_text() -> None:
    for status in (-2, "-2"):
        assert told({"status": status, "error_message": "Under maintenance", "data": None}) == "venue_maintenance"


def test_the_section_me_is_added_by_the_signature_and_time_is_in_seconds() -> None:
    secrets = {name: Secret(value) for name, value in Twin().sample_credentials().items()}
    request = _signer.Signer("bitflyer", secrets, None).sign(bitflyer.KEY, {})
    assert request.url == "https://api.bitflyer.com/v1/me/getpermissions" and request.body is None
    assert len(request.headers["ACCESS-TIMESTAMP"]) == 10


def test_a_key_that_may_not_ask_for_its_permissions_stays_unknown() -> None:
    twin = Twin()
    first = twin.sample_keys()[0]
    twin.keys[first.api_key] = replace(first, permissions=frozenset({"/v1/me/getbalance"}))
    sheet = collect(twin)
    assert reasons(sheet) == {"me/getpermissions": "permission_denied"} and sheet.rows["api_key"] is None
    assert sheet.venue == {"status": "ok"}


@pytest.mark.parametrize("status", [401, 429])
def test_over_the_limit_nothing_more_is_sent_with_the_key(status: int) -> None:
    twin = Twin()
    body = {"status": -1, "error_message": "Over API limit per minute", "data": None}
    twin.refuse = lambda _refusal: web.json_response(body, status=status)  # type: ignore[method-assign]
    twin.fail(Refusal.RATE_LIMIT, prefix=bitflyer.KEY.path)
    sheet = collect(twin)
    assert reasons(sheet) == {"me/getpermissions": "rate_limited"}
    assert [request.path for request in twin.requests].count(bitflyer.KEY.path) == 1


# Permissions


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([], (False, False, False, False, False)),
        (["/v1/me/sendchildorder"], (True, None, False, False, False)),
        (["/v1/me/cancelallchildorders"], (True, None, False, False, False)),
        (["/v1/me/sendparentorder", "/v1/me/cancelparentorder", "/v1/me/cancelchildorder"], (True, None, False, False, False)),
        (["/v1/me/withdraw"], (False, False, None, True, False)),
        (["/v1/me/sendcoin", "/v1/me/sendchildorder"], (True, None, None, True, False)),
        (["/v1/me/getbankaccounts", "/v1/me/getcoinouts", "/v1/me/getparentorder"], (False, False, False, False, False)),
        (["/v1/me/sendlightning"], (None, None, None, None, None)),
        (["/v1/me/withdraw", "/v1/me/loan"], (None, None, None, True, None)),
        (["/v2/me/getbalance"], (None, None, None, None, None)),
        (["/V1/ME/GETBALANCE"], (None, None, None, None, None)),
    ],
)  # fmt: skip
def test_what_each_word_allows_in_any_order(more: list[str], expected: tuple[bool | None, ...]) -> None:
    names = ("can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")
    for words in (READS + more, more + READS):
        row = key(words)
        assert tuple(row.get(name) for name in names) == expected
        assert row["permissions"] == sorted(words) and row["can_read"] is True


@pytest.mark.parametrize("words", [[], [""], [" "], [1], [None], [["/v1/me/getbalance"]]])
def test_a_list_without_words_is_no_key_without_rights(words: Any) -> None:
    twin = Twin()
    twin.words = words
    sheet = collect(twin)
    assert sheet.rows["api_key"] is None and reasons(sheet) == {"me/getpermissions": "malformed_response"}


# Health


@pytest.mark.parametrize(
    ("word", "status"),
    [("NORMAL", "ok"), ("BUSY", "degraded"), ("VERY BUSY", "degraded"), ("SUPER BUSY", "degraded"), ("NO ORDER", "maintenance"), ("STOP", "maintenance"),
     ("", None), ("normal", None), ("FINE", None), (None, None), (0, None), (["NORMAL"], None)],
)  # fmt: skip
def test_the_health_of_the_exchange(word: Any, status: str | None) -> None:
    twin = Twin()
    twin.health = word
    sheet = collect(twin)
    assert sheet.venue.get("status") == status
    assert reasons(sheet).get("gethealth") == (None if status else "malformed_response")


# Refusals


@pytest.mark.parametrize(("status", "message", "reason"), REFUSALS)
@pytest.mark.parametrize("http", [200, 400, 401])
def test_every_refusal_by_number_and_text(status: Any, message: Any, reason: str, http: int) -> None:
    body = {"status": status, "error_message": message, "data": None}
    assert told(body, http) == reason
    assert told({**body, "status": str(status)} if status else body, http) == reason


@pytest.mark.parametrize(
    ("body", "http", "reason"),
    [([], 200, None), ({"status": "NORMAL"}, 200, None), (None, 200, None), (None, 429, "rate_limited"), ([], 429, "rate_limited"),
     ({"status": -500, "error_message": "Busy"}, 429, "rate_limited"), ({"status": -500, "error_message": "Busy"}, 503, "venue_maintenance"),
     ({"status": True, "error_message": "x"}, 200, "malformed_response"), ({"status": [-500], "error_message": ["Key not found"]}, 200, "invalid_key")],
)  # fmt: skip
def test_the_envelopes_of_answers(body: Any, http: int, reason: str | None) -> None:
    assert told(body, http) == reason


def test_a_missing_key_in_place_of_an_outage_is_an_outage() -> None:
    twin = Twin()
    body = {"status": -500, "error_message": "Key not found", "data": None}
    twin.refuse = lambda _refusal: web.json_response(body, status=502)  # type: ignore[method-assign]
    twin.fail(Refusal.MAINTENANCE)
    assert set(reasons(collect(twin)).values()) == {"venue_incident"}


def test_the_text_of_a_refusal_is_not_quoted() -> None:
    twin = Twin()
    body = {"status": -500, "error_message": "demo.person@example.invalid asked for it", "data": None}
    twin.refuse = lambda _refusal: web.json_response(body, status=400)  # type: ignore[method-assign]
    twin.fail(Refusal.BAD_KEY)
    assert "demo.person" not in repr(collect(twin))


# The twin, and anything at all


@pytest.mark.parametrize(("field", "value"), [("secret", "another"), ("apiKey", "nobodysKey00000001")])
def test_a_spoiled_signature_and_an_unknown_key_are_refused_and_not_tried_again(field: str, value: str) -> None:
    twin = Twin()
    sheet = collect(twin, credentials={**twin.sample_credentials(), field: value})
    assert reasons(sheet) == {"me/getpermissions": "invalid_key"}
    assert [request.path for request in twin.requests].count(bitflyer.KEY.path) == 1


def test_a_clock_that_is_off_is_not_learnt_and_not_blamed_on_the_key() -> None:
    twin = Twin()
    twin.fail(Refusal.BAD_TIMESTAMP)
    assert reasons(collect(twin))["me/getpermissions"] == "clock_skew" and bitflyer.clock is None


@pytest.mark.parametrize("how", [Refusal.MAINTENANCE, Breakage.HTML_ERROR, Breakage.EMPTY])
def test_a_passing_trouble_passes(how: Any) -> None:
    twin = Twin()
    twin.fail(how, prefix=bitflyer.KEY.path, times=2)
    assert reasons(collect(twin)) == HIDDEN


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(max_size=6)
    | st.sampled_from(["", "\ud800", "/v1/me/withdraw", 10**400])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANYTHING, ANYTHING | st.dictionaries(st.just("status"), ANYTHING))
def test_no_answer_whatsoever_raises_or_writes_a_malformed_fact(words: Any, health: Any) -> None:
    class Stub:
        async def fetch(self, endpoint: Any, _params: Any = None) -> Any:
            return words if endpoint == bitflyer.KEY else health

    for body in (words, health):
        bitflyer.classify(Answer(status=200, body=body, text="", headers={}), bitflyer.KEY)
    sheet = Sheet()
    asyncio.run(bitflyer.collect(Stub(), sheet))
    rows = [("api_key", row) for row in sheet.rows["api_key"] or []]
    for scope, facts in [("venue", sheet.venue), *rows]:
        for fact, held in facts.items():
            assert catalogue()[f"{scope}.{fact}"].check(held) is None


def test_the_venue_file_is_sound() -> None:
    file = _venue.load("bitflyer")
    stated = file.policy_facts()
    assert file.connector == "bitflyer" and file.credentials == bitflyer.credentials
    assert set(stated["venue.two_factor_methods"]) == {"sms", "email", "totp"}
    assert not {"venue.key_ip_binding_supported", "venue.api_withdrawal_requires_allowlist"} & stated.keys()
