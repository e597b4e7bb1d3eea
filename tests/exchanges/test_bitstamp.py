"""Bitstamp over the real transport against its twin: a key that works, and everything that may be said instead."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges import _gate, _transport, _venue, bitstamp
from auditor.exchanges._base import Answer, Endpoint, Sheet
from auditor.exchanges._signer import SignedRequest, Signer
from auditor.exchanges._transport import Venue
from auditor.model.evidence import Reason
from auditor.redaction import Secret
from auditor.twin._base import Refusal, TwinVenue
from auditor.twin.bitstamp import Twin
from tests.exchanges.wire import collect, reasons

PATH = bitstamp.BALANCES.path
TRACKER, TRADER, BOUND = Twin().sample_keys()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)


def credentials(key: Any) -> dict[str, str]:
    return {"apiKey": key.api_key, "secret": key.secret}


def told(body: Any) -> Callable[[TwinVenue], None]:
    def prepare(twin: TwinVenue) -> None:
        twin.signed["POST", PATH] = lambda _request, _key: body

    return prepare


def answer(body: Any, status: int = 403) -> Answer:
    return Answer(status=status, body=body, text=json.dumps(body), headers={})


def judged(body: Any, status: int = 403) -> Reason | None:
    found = bitstamp.classify(answer(body, status), bitstamp.BALANCES)
    return found and found.reason


# What a working key proves.


def test_a_working_key_can_read_and_nothing_else_is_said_of_it() -> None:
    sheet = collect(Twin())
    assert sheet.rows["api_key"] == [{"is_audit_key": True, "kind": "hmac", "enabled": True, "can_read": True}]
    assert sheet.account == {} and sheet.venue == {} and not sheet.problems
    assert sheet.rows["address"] is None and sheet.rows["event"] is None


def test_balances_are_not_kept() -> None:
    sheet = collect(Twin())
    assert not [word for word in ("btc", "0.1", "250", "eur") if word in repr(sheet)]


def test_no_account_balance_means_that_one_permission_is_missing_and_not_read_only() -> None:
    sheet = collect(Twin(), credentials=credentials(TRADER))
    assert sheet.rows["api_key"] == [{"is_audit_key": True, "kind": "hmac"}]
    (problem,) = sheet.problems
    assert problem.reason is Reason.PERMISSION_DENIED
    assert problem.facts == ("api_key.can_read", "api_key.enabled")
    assert "nothing of what else" in problem.detail


@pytest.mark.parametrize("balances", [[], [{"currency": "btc"}]])
def test_an_empty_account_has_a_working_key_too(balances: Any) -> None:
    assert collect(Twin(), prepare=told(balances)).rows["api_key"][0]["can_read"] is True  # type: ignore[index]


@pytest.mark.parametrize(
    "body", [None, 1, "x", {}, {"btc": "1"}, [1], [[]], [{}], [{"currency": None}], [{"currency": "btc"}, None]]
)
def test_another_shape_proves_nothing(body: Any) -> None:
    sheet = collect(Twin(), prepare=told(body))
    assert sheet.rows["api_key"] is None
    assert set(reasons(sheet).values()) == {"malformed_response"}


# Errors.


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("API0001", Reason.INVALID_KEY),
        ("API0002", Reason.IP_NOT_ALLOWED),
        ("API0003", Reason.PERMISSION_DENIED),
        ("API0004", Reason.CLOCK_SKEW),
        ("API0005", Reason.INVALID_KEY),
        ("API0006", Reason.ACCOUNT_FROZEN),
        ("API0008", Reason.INVALID_KEY),
        ("API0011", Reason.INVALID_KEY),
        ("API0017", Reason.CLOCK_SKEW),
        ("API0020", Reason.MALFORMED_RESPONSE),
        ("API9999", Reason.MALFORMED_RESPONSE),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401])
def test_every_code_whatever_the_status(code: str, reason: Reason, status: int) -> None:
    assert judged({"status": "error", "reason": "?", "code": code}, status) is reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("API key not found", Reason.INVALID_KEY),
        ("IP address not allowed", Reason.IP_NOT_ALLOWED),
        ("No permission found", Reason.PERMISSION_DENIED),
        ("Invalid nonce", Reason.CLOCK_SKEW),
        ("Invalid signature", Reason.INVALID_KEY),
        ("Authentication failed", Reason.INVALID_KEY),
        ("Wrong API key format", Reason.INVALID_KEY),
        ("Your account is frozen", Reason.ACCOUNT_FROZEN),
        ("Your account is frozen.", Reason.ACCOUNT_FROZEN),
        ("Trading is currently unavailable for your account.", Reason.ACCOUNT_FROZEN),
        ("Please update your profile with your FATCA information, before using API.", Reason.ACCOUNT_FROZEN),
        ("Bitstamp.net is under scheduled maintenance. We'll be back soon.", Reason.VENUE_MAINTENANCE),
        ("Missing key, signature and nonce parameters", Reason.MALFORMED_RESPONSE),
        ("never seen", Reason.MALFORMED_RESPONSE),
    ],
)
@pytest.mark.parametrize(
    "place",
    [
        lambda t: {"error": t},
        lambda t: {"status": "error", "reason": t},
        lambda t: {"status": "error", "reason": {"__all__": [t]}},
    ],
)
def test_every_text_wherever_it_stands(text: str, reason: Reason, place: Callable[[str], Any]) -> None:
    assert judged(place(text), 400) is reason


@pytest.mark.parametrize("code", ["400.002", "400.067", "400.068", 400.002])
def test_a_rate_limit_of_the_newer_kind_is_no_outage(code: Any) -> None:
    assert judged({"response_code": code, "response_explanation": "..."}, 400) is Reason.RATE_LIMITED


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"status": "error"}, 429, Reason.RATE_LIMITED),
        ({"status": "error"}, 403, Reason.VENUE_INCIDENT),
        ({"code": ["API0001"], "reason": 7}, 200, Reason.MALFORMED_RESPONSE),
        ({"code": True}, 200, Reason.MALFORMED_RESPONSE),
        ({}, 503, Reason.VENUE_MAINTENANCE),
        ({"code": "API0001", "reason": "Bitstamp.net is under scheduled maintenance."}, 403, Reason.VENUE_MAINTENANCE),
        ([], 200, None),
        ([{"currency": "btc"}], 200, None),
        (None, 403, None),
    ],
)
def test_without_a_code_we_know_the_status_decides(body: Any, status: int, reason: Reason | None) -> None:
    assert judged(body, status) is reason


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=30),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["code", "reason", "error", "response_code", "x"]), inner, max_size=4)
        ),
        max_leaves=8,
    )
)
@settings(max_examples=300, deadline=None)
def test_no_body_whatever_breaks_the_reading_of_errors(body: Any) -> None:
    found = bitstamp.classify(answer(body, 200), bitstamp.BALANCES)
    assert (found is None) == (not isinstance(body, dict))


def test_a_frozen_account_and_a_foreign_address_are_not_a_missing_permission() -> None:
    frozen = collect(Twin(), prepare=told({"status": "error", "reason": "Your account is frozen", "code": "API0006"}))
    assert set(reasons(frozen).values()) == {"account_frozen"} and frozen.rows["api_key"] is None
    foreign = collect(Twin(), credentials=credentials(BOUND))
    assert set(reasons(foreign).values()) == {"ip_not_allowed"} and foreign.rows["api_key"] is None


def test_a_wrong_clock_is_said_and_the_key_not_accused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.twin.bitstamp._WINDOW", -1)
    twin = Twin()
    assert set(reasons(collect(twin)).values()) == {"clock_skew"}
    assert len(twin.requests) == 1


# Signatures and the gate.


def signed(monkeypatch: pytest.MonkeyPatch, change: Callable[[SignedRequest], SignedRequest]) -> Sheet:
    sign = Signer.sign
    monkeypatch.setattr(Signer, "sign", lambda self, endpoint, params: change(sign(self, endpoint, params)))
    monkeypatch.setattr(_gate, "check_signed", lambda *_args: None)
    return collect(Twin())


@pytest.mark.parametrize("header", ["X-Auth-Signature", "X-Auth-Nonce", "X-Auth-Timestamp", "X-Auth-Version"])
def test_a_spoiled_header_is_refused_by_the_twin(header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(request: SignedRequest) -> SignedRequest:
        value = request.headers[header]
        request.headers[header] = value[:-1] + ("0" if value[-1] != "0" else "1")
        return request

    assert set(reasons(signed(monkeypatch, spoiled)).values()) == {"invalid_key"}


@pytest.mark.parametrize("body", ["foo=baz", ""])
def test_another_body_is_refused_by_the_twin(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(reasons(signed(monkeypatch, lambda request: replace(request, body=body))).values()) == {"invalid_key"}


def test_the_signature_is_the_documented_one_for_the_real_host() -> None:
    request = Signer("bitstamp", {name: Secret(value) for name, value in credentials(TRACKER).items()}, None).sign(
        bitstamp.BALANCES, {}
    )
    _gate.check_signed(request, bitstamp.BALANCES, {}, None)
    head, parts = request.headers, urlsplit(request.url)
    text = f"BITSTAMP {TRACKER.api_key}POST{parts.netloc}{parts.path}{head['Content-Type']}{head['X-Auth-Nonce']}{head['X-Auth-Timestamp']}v2foo=bar"
    assert (
        head["X-Auth-Signature"].lower() == hmac.new(TRACKER.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    )


def test_an_empty_post_is_never_sent() -> None:
    twin = Twin()
    collect(twin)
    assert [request.body for request in twin.requests] == ["foo=bar"]


@pytest.mark.parametrize(
    "call", ["revoke_all_api_keys/", "websockets_token/", "travel_rule/contacts/", "account_balances/btc/"]
)
def test_the_kill_switch_beside_the_reads_is_refused_before_signing(call: str) -> None:
    lookalike: Endpoint = replace(bitstamp.BALANCES, path=f"/api/v2/{call}", call=call)

    async def run() -> None:
        twin = Twin()
        async with twin, Venue(bitstamp, endpoint=twin.url) as venue:
            door = venue.key({name: Secret(value) for name, value in credentials(TRACKER).items()})
            with pytest.raises(_gate.GateError):
                await door.fetch(lookalike)
            assert not twin.requests

    asyncio.run(run())


def test_every_refusal_of_the_twin_is_understood() -> None:
    for refusal in Refusal:
        said = Twin().refuse(refusal)
        found = bitstamp.classify(answer(json.loads(said.text or ""), said.status), bitstamp.BALANCES)
        assert found is not None and found.reason is not Reason.MALFORMED_RESPONSE


def test_no_policy_is_stated_that_no_official_page_supports() -> None:
    stated = {policy.fact for policy in _venue.load("bitstamp").policies if policy.value is not None}
    assert stated == {"venue.lifecycle", "venue.key_ip_binding_supported"}


def test_server_time_is_never_guessed() -> None:
    from auditor.exchanges._shape import ShapeError

    with pytest.raises(ShapeError):
        bitstamp.server_time({"server_time": 1})
    assert bitstamp.clock is None
