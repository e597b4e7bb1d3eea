"""HitBTC over the real transport against its twin. Each trap of the venue has a test named after it."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges import _gate, _transport, _venue, hitbtc
from auditor.exchanges._base import Answer, Sheet
from auditor.exchanges._signer import SignedRequest, Signer
from auditor.exchanges._transport import Venue
from auditor.model.evidence import Reason
from auditor.redaction import Secret
from auditor.twin._base import Refusal, TwinVenue
from auditor.twin.hitbtc import Twin
from tests.exchanges.wire import collect, reasons

SUBS, BOOK = hitbtc.SUB_ACCOUNTS.path, hitbtc.ADDRESSES.path
TRACKER, TRADER, BOUND = Twin().sample_keys()
ENTRY = {"address": "0xdemo", "currency": "ETH", "name": "cold wallet", "network": "ETH"}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)


def credentials(key: Any) -> dict[str, str]:
    return {"apiKey": key.api_key, "secret": key.secret}


def told(path: str, body: Any) -> Callable[[TwinVenue], None]:
    def prepare(twin: TwinVenue) -> None:
        twin.signed["GET", path] = lambda _request, _key: body

    return prepare


def answer(body: Any, status: int = 401) -> Answer:
    return Answer(status=status, body=body, text=json.dumps(body), headers={})


def judged(body: Any, status: int = 401) -> Reason | None:
    found = hitbtc.classify(answer(body, status), hitbtc.ADDRESSES)
    return found and found.reason


# What a key shows.


def test_a_key_that_may_withdraw_shows_only_that_it_may_read() -> None:
    sheet = collect(Twin())
    assert sheet.rows["api_key"] == [{"is_audit_key": True, "kind": "hmac", "enabled": True, "can_read": True}]
    assert sheet.account == {"kind": "main", "addresses_complete": True}
    assert [row["label"] for row in sheet.rows["address"] or []] == ["cold wallet", "backup 2"]
    assert not sheet.problems and sheet.venue == {}


def test_a_key_without_the_right_shows_that_it_works_and_what_is_missing() -> None:
    sheet = collect(Twin(), credentials=credentials(TRADER))
    assert sheet.rows["api_key"] == [{"is_audit_key": True, "kind": "hmac", "enabled": True}]
    assert sheet.rows["address"] is None and "addresses_complete" not in sheet.account
    assert reasons(sheet) == {hitbtc.ADDRESSES.name: "permission_denied"}


def test_mail_addresses_of_sub_accounts_stay_at_the_door() -> None:
    sheet = collect(Twin())
    assert "nobody" not in repr(sheet) and "63829f3b2f4e0d0001" not in repr(sheet)


@pytest.mark.parametrize(
    ("rows", "account"),
    [
        ([], {"master_key_over_subaccounts": False}),
        ([{"sub_account_id": "a", "status": "disable"}], {"kind": "main"}),
        ([{"sub_account_id": "a", "status": "never seen"}, {"sub_account_id": "b"}], {"kind": "main"}),
        ([{"email": "x@example.org"}], {}),
        ([{"sub_account_id": None}], {}),
        (["a"], {}),
    ],
)
def test_sub_accounts_make_a_main_account_and_none_says_nothing_of_its_kind(rows: Any, account: dict[str, Any]) -> None:
    sheet = collect(Twin(), prepare=told(SUBS, {"result": rows}))
    assert {name: value for name, value in sheet.account.items() if name != "addresses_complete"} == account
    assert sheet.rows["api_key"][0]["enabled"] is True  # type: ignore[index]
    assert bool(sheet.problems) == (account == {})


@pytest.mark.parametrize("body", [None, [], {}, {"result": None}, {"result": {}}, "x", 1, {"results": []}])
def test_another_shape_shows_no_key(body: Any) -> None:
    sheet = collect(Twin(), prepare=told(SUBS, body))
    assert sheet.rows["api_key"] is None and "kind" not in sheet.account
    assert reasons(sheet) == {hitbtc.SUB_ACCOUNTS.name: "malformed_response"}


def test_an_empty_white_list_is_seen_and_says_nothing_of_the_switch() -> None:
    sheet = collect(Twin(), prepare=told(BOOK, []))
    assert sheet.rows["address"] == []
    assert sheet.account["addresses_complete"] is True
    assert "withdrawal_allowlist_enabled" not in sheet.account
    assert "withdrawal_allowlist_enabled" not in collect(Twin()).account


@pytest.mark.parametrize("name", [None, "missing", "", "mail x@example.org", "\x1b[31mred"])
def test_a_label_is_optional_and_attacker_written(name: Any) -> None:
    entry = {key: value for key, value in ENTRY.items() if key != "name"} | (
        {} if name == "missing" else {"name": name}
    )
    (row,) = collect(Twin(), prepare=told(BOOK, [entry])).rows["address"] or []
    assert row["asset"] == "ETH" and row["public_id"] == "0xdemo"
    assert ("label" in row) == isinstance(name, str) or name == "missing"
    assert "example.org" not in repr(row.get("label"))


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"result": []},
        [None],
        [{}],
        [{**ENTRY, "address": None}],
        [ENTRY, {**ENTRY, "currency": 1}],
        [{**ENTRY, "name": 5}],
    ],
)
def test_a_misshapen_address_book_is_not_half_a_book(body: Any) -> None:
    sheet = collect(Twin(), prepare=told(BOOK, body))
    assert sheet.rows["address"] is None and "addresses_complete" not in sheet.account
    assert reasons(sheet) == {hitbtc.ADDRESSES.name: "malformed_response"}
    assert sheet.rows["api_key"][0]["enabled"] is True  # type: ignore[index]


# Errors.

CODES = [
    ("500", Reason.VENUE_INCIDENT),
    ("503", Reason.VENUE_MAINTENANCE),
    ("504", Reason.TIMEOUT),
    ("20010", Reason.VENUE_MAINTENANCE),
    ("22008", Reason.TIMEOUT),
    ("1001", Reason.INVALID_KEY),
    ("1002", Reason.INVALID_KEY),
    ("1004", Reason.INVALID_KEY),
    ("1005", Reason.INVALID_KEY),
    ("1003", Reason.PERMISSION_DENIED),
    ("403", Reason.PERMISSION_DENIED),
    ("600", Reason.PERMISSION_DENIED),
    ("20044", Reason.PERMISSION_DENIED),
    ("10021", Reason.ACCOUNT_FROZEN),
    ("21003", Reason.ACCOUNT_FROZEN),
    ("21004", Reason.ACCOUNT_FROZEN),
    ("429", Reason.RATE_LIMITED),
    ("99999", Reason.MALFORMED_RESPONSE),
]


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize("spell", [str, int])
@pytest.mark.parametrize(("code", "reason"), CODES)
def test_every_code_as_number_and_as_text(code: str, reason: Reason, spell: Callable[[str], Any], status: int) -> None:
    assert judged({"error": {"code": spell(code), "message": "?"}}, status) is reason


@pytest.mark.parametrize("text", ["Invalid timestamp", "window exceeded", "signature expired"])
@pytest.mark.parametrize("place", ["message", "description"])
def test_1002_that_names_the_clock_does_not_accuse_the_key(text: str, place: str) -> None:
    assert judged({"error": {"code": 1002, place: text}}) is Reason.CLOCK_SKEW


def test_1002_says_everything_it_may_mean() -> None:
    sheet = collect(Twin(), credentials=credentials(BOUND))
    assert set(reasons(sheet).values()) == {"invalid_key"} and sheet.rows["api_key"] is None
    assert all(word in sheet.problems[0].detail for word in ("address", "clock", "deleted"))


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"error": {}}, 429, Reason.RATE_LIMITED),
        ({"error": None}, 200, Reason.MALFORMED_RESPONSE),
        ({"error": "down"}, 503, Reason.VENUE_MAINTENANCE),
        ({"error": {"code": [1002]}}, 200, Reason.MALFORMED_RESPONSE),
        ({"result": []}, 200, None),
        ([], 200, None),
        (None, 401, None),
    ],
)
def test_without_a_code_we_know_the_status_decides(body: Any, status: int, reason: Reason | None) -> None:
    assert judged(body, status) is reason


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["code", "error", "message", "x"]), inner, max_size=4)
        ),
        max_leaves=8,
    )
)
@settings(max_examples=300, deadline=None)
def test_no_body_whatever_breaks_the_reading_of_errors(body: Any) -> None:
    found = hitbtc.classify(answer(body, 200), hitbtc.ADDRESSES)
    assert (found is None) == (not isinstance(body, dict) or "error" not in body)


def test_a_wrong_clock_is_among_the_causes_that_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.twin.hitbtc._WINDOW", -1)
    twin = Twin()
    sheet = collect(twin)
    assert "clock" in sheet.problems[0].detail and len(twin.requests) == 1


# Signatures and the gate.


def spoiled(monkeypatch: pytest.MonkeyPatch, change: Callable[[list[str]], list[str]]) -> Sheet:
    sign = Signer.sign

    def signed(self: Signer, endpoint: Any, params: Any) -> SignedRequest:
        request = sign(self, endpoint, params)
        parts = b64decode(request.headers["Authorization"].removeprefix("HS256 ")).decode().split(":")
        request.headers["Authorization"] = "HS256 " + b64encode(":".join(change(parts)).encode()).decode()
        return request

    monkeypatch.setattr(Signer, "sign", signed)
    return collect(Twin())


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_spoiled_signature_is_refused_by_the_twin(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(parts: list[str]) -> list[str]:
        parts[place] = parts[place][:-1] + ("0" if parts[place][-1] != "0" else "1")
        return parts

    assert set(reasons(spoiled(monkeypatch, change)).values()) == {"invalid_key"}


def test_an_unspoiled_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not spoiled(monkeypatch, lambda parts: parts).problems


@pytest.mark.parametrize(
    "token", ["", "HS256 ", "HS256 %%%", "HS256 " + b64encode(b"a:b").decode(), "Basic " + b64encode(b"a:b:c").decode()]
)
def test_the_twin_refuses_what_is_no_token(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sign = Signer.sign

    def signed(self: Signer, endpoint: Any, params: Any) -> SignedRequest:
        return replace(sign(self, endpoint, params), headers={"Authorization": token})

    monkeypatch.setattr(Signer, "sign", signed)
    assert set(reasons(collect(Twin())).values()) == {"invalid_key"}


@pytest.mark.parametrize(
    ("verb", "call"),
    [
        ("POST", "sub-account/freeze"),
        ("POST", "sub-account/activate"),
        ("GET", "user/api-keys"),
        ("POST", "wallet/crypto/address"),
        ("POST", "sub-account"),
    ],
)
def test_lookalikes_are_refused_before_signing(verb: str, call: str) -> None:
    async def run() -> None:
        twin = Twin()
        async with twin, Venue(hitbtc, endpoint=twin.url) as venue:
            door = venue.key({name: Secret(value) for name, value in credentials(TRACKER).items()})
            with pytest.raises(_gate.GateError):
                await door.fetch(replace(hitbtc.SUB_ACCOUNTS, verb=verb, path=f"/api/3/{call}", call=call))
            assert not twin.requests

    asyncio.run(run())


def test_the_real_host_is_that_of_the_documentation() -> None:
    signer = Signer("hitbtc", {name: Secret(value) for name, value in credentials(TRACKER).items()}, None)
    for endpoint in hitbtc.endpoints:
        _gate.check_signed(signer.sign(endpoint, {}), endpoint, {}, None)


def test_every_refusal_of_the_twin_is_understood() -> None:
    for refusal in Refusal:
        said = Twin().refuse(refusal)
        found = hitbtc.classify(answer(json.loads(said.text or ""), said.status), hitbtc.ADDRESSES)
        assert found is not None and found.reason is not Reason.MALFORMED_RESPONSE


def test_a_hold_that_depends_on_the_switch_is_not_stated_for_everybody() -> None:
    policies = {policy.fact: policy for policy in _venue.load("hitbtc").policies}
    assert policies["venue.new_address_delay_hours"].value is None
    assert policies["venue.allowlist_disable_delay_hours"].value == 48
    assert policies["venue.second_factor_downgrade_possible"].value is None


def test_server_time_is_never_guessed() -> None:
    from auditor.exchanges._shape import ShapeError

    with pytest.raises(ShapeError):
        hitbtc.server_time({})
    assert hitbtc.clock is None and not hitbtc.serial
