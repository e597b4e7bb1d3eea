"""Coinbase Exchange over the wire: a key nothing describes, the address book, and errors told apart by their text."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from types import SimpleNamespace
from typing import Any

import pytest

from auditor.exchanges import _budget, _transport, _venue, coinbaseexchange
from auditor.exchanges._base import Answer, Sheet, by_status
from auditor.twin._base import Refusal, Refused
from auditor.twin.coinbaseexchange import Twin
from tests.exchanges.wire import collect, reasons

POWERS = (
    "can_trade",
    "can_trade_derivatives",
    "can_transfer",
    "can_withdraw",
    "can_manage",
    "ip_bound",
    "never_expires",
)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def judged(body: Any, status: int) -> str | None:
    answer = Answer(status=status, body=body, text="", headers={})
    refusal = coinbaseexchange.classify(answer, coinbaseexchange.PROFILES) or by_status(answer)
    return None if refusal is None else refusal.reason.value


def serving(path: str, body: Any) -> Sheet:
    twin = Twin()
    twin.signed[("GET", path)] = lambda _request, _key: body
    return collect(twin)


def entry(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in {**Twin().book[0], **fields}.items() if value is not ...}


# The calling key


def test_no_endpoint_says_what_a_key_may_do_so_nothing_is_said() -> None:
    sheet = collect(Twin())
    (row,) = sheet.rows["api_key"] or []
    assert row == {"is_audit_key": True, "kind": "hmac", "enabled": True, "can_read": True}
    assert not set(POWERS) & row.keys()
    assert not sheet.problems
    assert sheet.account == {}


@pytest.mark.parametrize(
    "body", [[], {}, None, "x", [{}], [{"user_id": 5}], [{"user_id": ""}], [None], {"message": "hello"}]
)
def test_an_answer_without_a_profile_proves_no_key(body: Any) -> None:
    sheet = serving("/profiles", body)
    assert sheet.rows["api_key"] is None
    assert reasons(sheet)["profiles"] == "malformed_response"


def test_an_account_is_known_by_its_user_and_not_by_a_profile() -> None:
    assert collect(Twin()).account_id == "5fd3m000000000000000000a"
    mixed = [{"user_id": "a"}, {"user_id": "b"}]
    assert serving("/profiles", mixed).account_id is None


def test_whatever_needs_another_right_is_never_probed() -> None:
    twin = Twin()
    collect(twin)
    assert [(request.verb, request.path) for request in twin.requests] == [
        ("GET", "/profiles"),
        ("GET", "/address-book"),
    ]


# The address book


def test_the_book_shows_when_each_entry_was_added() -> None:
    rows = collect(Twin()).rows["address"] or []
    assert [(row["asset"], row["label"], row["created_at"]) for row in rows] == [
        ("BTC", "cold wallet", "2026-10-01T02:03:04Z"),
        ("_ALL_ASSETS_", "desk", "2026-11-19T23:59:00Z"),
    ]


def test_an_entry_for_all_assets_is_shown_as_such_and_without_a_network() -> None:
    row = (collect(Twin()).rows["address"] or [])[1]
    assert row["asset"] == "_ALL_ASSETS_"
    assert "network" not in row


def test_a_verified_self_hosted_wallet_is_no_state_of_an_allowlist() -> None:
    sheet = serving(
        "/address-book",
        [entry(is_verified_self_hosted_wallet=True), entry(is_verified_self_hosted_wallet=False, address="bc1qdemo2")],
    )
    for row in sheet.rows["address"] or []:
        assert not {"state", "active_from", "skips_second_factor"} & row.keys()
    assert not {"withdrawal_allowlist_enabled", "addresses_complete"} & sheet.account.keys()


def test_an_empty_book_is_seen_and_not_called_complete() -> None:
    sheet = serving("/address-book", [])
    assert sheet.rows["address"] == []
    assert "addresses_complete" not in sheet.account
    assert not sheet.problems


@pytest.mark.parametrize(
    ("field", "odd", "lost"),
    [
        ("currency", ..., "asset"),
        ("currency", "", "asset"),
        ("currency", 5, "asset"),
        ("address_book_added_at", ..., "created_at"),
        ("address_book_added_at", "soon", "created_at"),
        ("address_book_added_at", "1970-01-01T00:00:00Z", "created_at"),
        ("address_book_added_at", 1794900000, "created_at"),
        ("label", 5, "label"),
        ("network", 5, "network"),
    ],
)
def test_an_odd_field_costs_only_itself(field: str, odd: Any, lost: str) -> None:
    sheet = serving("/address-book", [entry(**{field: odd})])
    (row,) = sheet.rows["address"] or []
    assert {"asset", "network", "label", "created_at"} - row.keys() == {lost}
    (problem,) = sheet.problems
    assert problem.facts == (f"address.{lost}",)


@pytest.mark.parametrize(("field", "gone"), [("network", "network"), ("label", "label"), ("destination_tag", None)])
@pytest.mark.parametrize("spelled", [None, ...])
def test_fields_that_appear_only_where_they_apply_are_no_problem(field: str, gone: str | None, spelled: Any) -> None:
    sheet = serving("/address-book", [entry(**{field: spelled})])
    assert not sheet.problems
    assert gone not in (sheet.rows["address"] or [{}])[0]


def test_the_same_address_with_another_tag_is_another_destination() -> None:
    book = [entry(destination_tag=tag) for tag in (None, "", "7", "8")]
    rows = serving("/address-book", book).rows["address"] or []
    assert [row["public_id"].partition(":")[2] for row in rows] == ["", "", "7", "8"]


@pytest.mark.parametrize("body", [{}, None, [5], [{}], [entry(address=5)], {"data": []}])
def test_a_book_of_another_form_is_not_an_empty_book(body: Any) -> None:
    sheet = serving("/address-book", body)
    assert sheet.rows["address"] is None
    assert reasons(sheet) == {"address-book": "malformed_response"}


def test_names_of_businesses_and_mailboxes_stay_at_the_door() -> None:
    seen = repr(serving("/address-book", [entry(business_name="Sample Trading Ltd", label="for mallory@example.org")]))
    assert "Sample Trading" not in seen
    assert "mallory@example.org" not in seen


# Errors


@pytest.mark.parametrize(
    ("message", "status", "reason"),
    [
        ("The exchange is under maintenance", 400, "venue_maintenance"),
        ("under maintenance", 404, "venue_maintenance"),
        ("Cancel only mode", 400, "venue_maintenance"),
        ("BTC-USD is in Cancel only mode", 404, "venue_maintenance"),
        ("anything", 500, "venue_incident"),
        ("anything", 503, "venue_maintenance"),
        ("Invalid API Key", 401, "invalid_key"),
        ("invalid signature", 401, "invalid_key"),
        ("Invalid Passphrase", 401, "invalid_key"),
        ("Invalid API Key", 200, "invalid_key"),
        ("IP does not match IP whitelist", 401, "ip_not_allowed"),
        ("Forbidden", 403, "permission_denied"),
        ("Insufficient permissions", 403, "permission_denied"),
        ("request timestamp expired", 400, "clock_skew"),
        ("request timestamp expired", 401, "clock_skew"),
        ("Private rate limit exceeded", 429, "rate_limited"),
        ("Private rate limit exceeded", 400, "rate_limited"),
        ("slow down", 429, "rate_limited"),
        ("NotFound", 404, "malformed_response"),
        ("Unauthorized.", 401, "malformed_response"),
        ("hello", 200, None),
    ],
)
def test_every_error_means_what_the_documentation_says(message: str, status: int, reason: str | None) -> None:
    assert judged({"message": message}, status) == reason


def test_a_missing_permission_is_no_outage_and_a_removed_path_no_order_as_ccxt_has_it() -> None:
    twin = Twin()
    twin.fail(Refusal.MISSING_PERMISSION, prefix="/address-book")
    sheet = collect(twin)
    assert reasons(sheet) == {"address-book": "permission_denied"}
    assert sheet.rows["api_key"]
    twin = Twin()
    del twin.signed["GET", "/address-book"]
    assert reasons(collect(twin)) == {"address-book": "malformed_response"}


@pytest.mark.parametrize("body", [None, {}, [], {"message": None}, {"message": ["Forbidden"]}, {"error": "Forbidden"}])
def test_a_403_without_the_venues_message_is_a_wall_and_no_permission(body: Any) -> None:
    assert judged(body, 403) == "venue_incident"


@pytest.mark.parametrize(
    ("how", "reason"),
    [(Refusal.BAD_TIMESTAMP, "clock_skew"), (Refusal.FOREIGN_IP, "ip_not_allowed"), (Refusal.BAD_KEY, "invalid_key")],
)
def test_a_refusal_is_told_apart(how: Refusal, reason: str) -> None:
    twin = Twin()
    twin.fail(how)
    assert set(reasons(collect(twin)).values()) == {reason}


# The signature


@pytest.mark.parametrize("spoil", ["signature", "phrase", "path", "verb", "body", "stamp", "late", "early", None])
def test_the_twin_verifies_every_part_of_a_request(spoil: str | None) -> None:
    twin = Twin()
    key = twin.sample_keys()[0]
    off = {"late": -60, "early": 60}.get(spoil or "", 0)
    stamp = str(int(time.time()) + off) if spoil != "stamp" else "now"
    digest = hmac.new(base64.b64decode(key.secret), f"{stamp}GET/profiles".encode(), hashlib.sha256).digest()
    if spoil == "signature":
        digest = bytes([digest[0] ^ 1]) + digest[1:]
    headers = {
        "CB-ACCESS-KEY": key.api_key,
        "CB-ACCESS-SIGN": base64.b64encode(digest).decode(),
        "CB-ACCESS-TIMESTAMP": stamp,
        "CB-ACCESS-PASSPHRASE": key.password if spoil != "phrase" else "another",
    }
    path = "/address-book" if spoil == "path" else "/profiles"
    request: Any = SimpleNamespace(headers=headers, raw_path=path, method="POST" if spoil == "verb" else "GET")
    if spoil is None:
        assert twin.authenticate(request, "") == key
        return
    with pytest.raises(Refused) as refused:
        twin.authenticate(request, "{}" if spoil == "body" else "")
    timed = spoil in {"stamp", "late", "early"}
    assert refused.value.refusal is (Refusal.BAD_TIMESTAMP if timed else Refusal.BAD_SIGNATURE)


@pytest.mark.parametrize("name", ["apiKey", "secret", "password"])
def test_each_credential_counts(name: str) -> None:
    twin = Twin()
    wrong = {**twin.sample_credentials(), name: base64.b64encode(b"another").decode()}
    assert set(reasons(collect(twin, credentials=wrong)).values()) == {"invalid_key"}


def test_a_secret_that_is_not_base64_is_never_sent() -> None:
    twin = Twin()
    sheet = collect(twin, credentials={**twin.sample_credentials(), "secret": "é not base64"})
    assert set(reasons(sheet).values()) == {"invalid_key"}
    assert not twin.requests


def test_a_key_used_from_elsewhere_is_refused() -> None:
    twin = Twin()
    key = twin.sample_keys()[1]
    twin.caller = "203.0.113.9"
    sheet = collect(twin, credentials={"apiKey": key.api_key, "secret": key.secret, "password": key.password})
    assert set(reasons(sheet).values()) == {"ip_not_allowed"}


# The venue file


def test_waiting_times_behind_the_switch_are_no_policies() -> None:
    facts = _venue.load("coinbaseexchange").policy_facts()
    assert (
        not {"venue.new_address_delay_hours", "venue.allowlist_disable_delay_hours", "venue.two_factor_methods"}
        & facts.keys()
    )
    assert facts["venue.api_withdrawal_skips_second_factor"] is True
