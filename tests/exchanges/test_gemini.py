"""Gemini over the wire: roles, people, the address book network by network, every reason of a refusal."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from types import SimpleNamespace
from typing import Any

import pytest

from auditor.exchanges import _budget, _transport, _venue, gemini
from auditor.exchanges._base import Answer, Sheet, by_status
from auditor.twin._base import Breakage, Refusal, Refused
from auditor.twin.gemini import Twin
from tests.exchanges.wire import collect, reasons

ROLES = {"counterparty_id": "D3M0GEMI", "isAuditor": True, "isFundManager": False, "isTrader": False}
FACTS = ("can_read", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")
CODES = {
    "venue_maintenance": "Maintenance",
    "venue_incident": "System",
    "invalid_key": "InvalidApiKey InvalidSignature MissingApikeyHeader MissingPayloadHeader MissingSignatureHeader",
    "account_frozen": "AccountClosed",
    "ip_not_allowed": "ApiKeyIpFilteringFailure RemoteAddressForbidden",
    "permission_denied": "MissingRole",
    "clock_skew": "InvalidNonce InvalidTimestampInPayload",
    "rate_limited": "RateLimit",
}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def answer(body: Any, status: int = 400) -> Answer:
    return Answer(status=status, body=body, text="", headers={})


def serving(endpoint: Any, body: Any) -> Sheet:
    twin = Twin()
    twin.signed[("POST", endpoint.path)] = lambda _request, _key: body
    return collect(twin)


def with_roles(**fields: Any) -> Sheet:
    return serving(gemini.ROLES, {name: value for name, value in {**ROLES, **fields}.items() if value is not ...})


def the_key(sheet: Sheet) -> dict[str, Any]:
    (row,) = sheet.rows["api_key"] or []
    return row


def shown(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in FACTS)


def entry(**fields: Any) -> dict[str, Any]:
    row = {
        "network": "bitcoin",
        "scope": "account",
        "label": "one",
        "status": "active",
        "createdAt": "1700000000000",
        "address": "bc1qdemo",
    }
    return {name: value for name, value in {**row, **fields}.items() if value is not ...}


def addresses(*rows: Any) -> Sheet:
    twin = Twin()
    twin.book = []
    twin.signed[("POST", gemini.ADDRESSES[0].path)] = lambda _request, _key: {"approvedAddresses": list(rows)}
    return collect(twin)


# Roles


def test_the_sample_account_shows_the_first_key_people_and_book() -> None:
    sheet = collect(Twin())
    assert not sheet.problems
    assert the_key(sheet)["permissions"] == ["FundManager", "Trader"]
    assert sheet.account == {"created_at": "2020-09-13T12:26:40Z", "last_login_at": "2026-11-19T10:11:12.345000Z"}
    assert [row["label"] for row in sheet.rows["address"] or []] == ["cold wallet", "added last night"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (True, False, False, False, False, False)),
        ({"isAuditor": False, "isTrader": True}, (True, True, None, False, False, False)),
        ({"isAuditor": False, "isFundManager": True}, (True, False, False, True, True, False)),
        ({"isAuditor": False, "isFundManager": True, "isTrader": True}, (True, True, None, True, True, False)),
        ({"isAuditor": False}, (None, False, False, False, False, False)),
        ({"isTrader": ...}, (True, None, None, False, False, False)),
        ({"isFundManager": ...}, (True, False, False, None, None, False)),
        ({"isFundManager": "true", "isAuditor": "false"}, (True, False, False, True, True, False)),
        ({"isFundManager": "perhaps"}, (True, False, False, None, None, False)),
        ({"isAuditor": False, "isTrader": True, "isAccountAdmin": True}, (True, True, None, None, None, True)),
        ({"isAccountAdmin": False}, (True, False, False, False, False, False)),
        ({"isAuditor": False, "isTrader": True, "isStaker": True}, (True, True, None, None, None, None)),
        ({"isStaker": False}, (True, False, False, False, False, False)),
        ({"issuer": "gemini"}, (True, False, False, False, False, False)),
    ],
)
def test_a_role_is_absent_only_where_it_is_shown_and_no_other_is_unknown(
    fields: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    assert shown(the_key(with_roles(**fields))) == expected


def test_an_auditor_goes_with_no_other_role() -> None:
    sheet = with_roles(isTrader=True)
    assert reasons(sheet) == {"roles": "implausible_response"}
    assert shown(the_key(sheet)) == (True, True, None, None, None, None)


@pytest.mark.parametrize("name", ["isX\ud800", "isMallory mallory@example.org"])
def test_the_name_of_a_role_we_do_not_know_can_be_stored_and_shown(name: str) -> None:
    row = the_key(with_roles(**{name: True}, isAuditor=False))
    assert "can_withdraw" not in row
    json.dumps(row, ensure_ascii=False).encode()
    assert "mallory@example.org" not in repr(row)


def test_a_key_of_a_single_account_makes_no_keys() -> None:
    assert the_key(with_roles())["can_manage"] is False


def test_trader_is_the_role_that_is_there_without_asking_and_the_one_to_untick() -> None:
    venue = _venue.load("gemini")
    assert venue.permissions_tick == ("Auditor",)
    assert "Trader" in venue.permissions_never


@pytest.mark.parametrize(
    "body", [{}, [], None, {"result": "ok"}, {"isAuditor": "?", "isTrader": 7, "isFundManager": []}]
)
def test_an_answer_without_any_role_describes_no_key(body: Any) -> None:
    sheet = serving(gemini.ROLES, body)
    assert sheet.rows["api_key"] is None
    assert reasons(sheet)["roles"] == "malformed_response"


def test_nothing_is_said_of_what_the_venue_does_not_show() -> None:
    assert not {"ip_bound", "ip_allowlist", "created_at", "label", "never_expires"} & the_key(collect(Twin())).keys()
    assert (
        not {"key_inventory_complete", "addresses_complete", "withdrawal_allowlist_enabled"}
        & collect(Twin()).account.keys()
    )


# The account


@pytest.mark.parametrize("created", ["1600000000000", 1600000000000])
def test_created_is_a_number_or_text(created: Any) -> None:
    assert serving(gemini.ACCOUNT, {"account": {"created": created, "type": "exchange"}, "users": []}).account == {
        "created_at": "2020-09-13T12:26:40Z"
    }


@pytest.mark.parametrize(
    ("signed_in", "last"),
    [
        (["2024-01-02T03:04:05Z", "2026-11-19T10:11:12Z"], "2026-11-19T10:11:12Z"),
        (["2026-11-19T10:11:12Z", None], None),
        (["2026-11-19T10:11:12Z", "yesterday"], None),
        ([], None),
    ],
)
def test_the_last_sign_in_is_known_only_where_it_is_known_of_everybody(signed_in: list[Any], last: str | None) -> None:
    people = [{"name": "Sample Person", "lastSignIn": moment, "status": "Active"} for moment in signed_in]
    sheet = serving(gemini.ACCOUNT, {"account": {"created": "1600000000000", "type": "exchange"}, "users": people})
    assert sheet.account.get("last_login_at") == last
    assert "account" in reasons(sheet) if signed_in and last is None else not sheet.problems


@pytest.mark.parametrize(("type_", "kind"), [("exchange", None), ("custody", "custody"), ("vault", None)])
def test_the_kind_of_an_account_is_told_for_custody_alone(type_: str, kind: str | None) -> None:
    assert (
        serving(gemini.ACCOUNT, {"account": {"created": 1600000000000, "type": type_}, "users": []}).account.get("kind")
        == kind
    )


def test_names_and_tokens_stay_at_the_door() -> None:
    twin = Twin()
    twin.account["account"]["verificationToken"] = "eyJhbGciOiJub25lIn0.e30.CANARY"
    twin.account["virtual_account_number"] = "0001112223"
    seen = repr(collect(twin))
    for value in ("Sample Person", "Former Colleague", "CANARY", "0001112223"):
        assert value not in seen


# The address book


def test_every_documented_network_is_asked_for() -> None:
    twin = Twin()
    collect(twin)
    asked = {request.path.rpartition("/")[2] for request in twin.requests if "approvedAddresses" in request.path}
    assert asked == {
        "bitcoin",
        "ethereum",
        "bitcoincash",
        "litecoin",
        "zcash",
        "filecoin",
        "dogecoin",
        "tezos",
        "solana",
        "polkadot",
        "avalanche",
        "cosmos",
        "xrpl",
    }


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("active", "active"),
        ("pending-time", "pending"),
        ("pending-approval", "pending"),
        ("paused", None),
        ("", None),
        (None, None),
        (..., None),
    ],
)
def test_a_state_that_is_not_documented_is_unknown_and_reported(status: Any, state: str | None) -> None:
    sheet = addresses(entry(status=status))
    (row,) = sheet.rows["address"] or []
    assert row.get("state") == state
    assert bool(sheet.problems) is (state is None)
    if state is None:
        assert sheet.problems[0].facts == ("address.state",)


@pytest.mark.parametrize("made", ["", "0", 0, "soon", None, ..., -5])
def test_an_odd_time_costs_only_the_time(made: Any) -> None:
    (row,) = addresses(entry(createdAt=made)).rows["address"] or []
    assert "created_at" not in row
    assert row["state"] == "active"


def test_an_empty_book_is_seen_and_says_nothing_of_the_switch() -> None:
    sheet = addresses()
    assert sheet.rows["address"] == []
    assert "withdrawal_allowlist_enabled" not in sheet.account


def test_an_entry_without_an_address_is_malformed() -> None:
    assert reasons(addresses(entry(address=...))) == {"approvedAddresses/account/bitcoin": "malformed_response"}


def test_a_label_with_an_address_of_a_mailbox_is_masked() -> None:
    (row,) = addresses(entry(label="send to mallory@example.org")).rows["address"] or []
    assert "mallory@example.org" not in row["label"]


@pytest.mark.parametrize("how", [Refusal.MAINTENANCE, Breakage.TRUNCATED])
def test_a_network_that_fails_costs_its_addresses_and_says_so(how: Any) -> None:
    twin = Twin()
    twin.fail(how, prefix=gemini.ADDRESSES[1].path)
    sheet = collect(twin)
    assert [row["network"] for row in sheet.rows["address"] or []] == ["bitcoin"]
    (problem,) = sheet.problems
    assert problem.endpoint.endswith("ethereum") and problem.facts == ("addresses",)


# Refusals


@pytest.mark.parametrize(
    ("reason", "code"), [(reason, code) for reason, listed in CODES.items() for code in listed.split()]
)
@pytest.mark.parametrize("status", [200, 400, 403, 429])
def test_every_reason_means_what_the_documentation_says(reason: str, code: str, status: int) -> None:
    refusal = gemini.classify(answer({"result": "error", "reason": code, "message": "words"}, status), gemini.ROLES)
    assert refusal is not None and refusal.reason.value == reason


def test_the_table_holds_no_reason_that_is_not_tested() -> None:
    assert set(gemini._FAILURES) == {code.lower() for listed in CODES.values() for code in listed.split()}


def test_a_missing_role_is_not_a_bad_key_and_a_foreign_address_not_a_riddle_as_ccxt_has_it() -> None:
    for how, reason in ((Refusal.MISSING_PERMISSION, "permission_denied"), (Refusal.FOREIGN_IP, "ip_not_allowed")):
        twin = Twin()
        twin.fail(how, prefix="/v1/account")
        assert reasons(collect(twin))["account"] == reason


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"result": "error", "reason": "EndpointNotFound", "message": "m"}, 404, "malformed_response"),
        ({"result": "error", "reason": "Novel"}, 502, "venue_incident"),
        ({"result": "error", "reason": "Novel"}, 503, "venue_maintenance"),
        ({"result": "error", "reason": "Novel"}, 200, "malformed_response"),
        ({"result": "error", "reason": ["InvalidApiKey"]}, 200, "malformed_response"),
        ({"result": "error"}, 200, "malformed_response"),
        (None, 404, "malformed_response"),
        (None, 502, "venue_incident"),
        ({"approvedAddresses": []}, 200, None),
        ([], 200, None),
    ],
)
def test_what_is_not_in_the_table_is_judged_by_the_status_and_never_blames_the_key(
    body: Any, status: int, reason: str | None
) -> None:
    judged = gemini.classify(answer(body, status), gemini.ROLES) or by_status(answer(body, status))
    assert (None if judged is None else judged.reason.value) == reason


def test_the_message_which_names_the_key_is_never_quoted() -> None:
    twin = Twin()
    named = twin.sample_keys()[0].api_key
    twin.signed[("POST", "/v1/account")] = lambda _request, _key: {
        "result": "error",
        "reason": "MissingRole",
        "message": f"assign a role to API key {named}",
    }
    sheet = collect(twin)
    assert reasons(sheet)["account"] == "permission_denied"
    assert named not in repr(sheet)


def test_a_closed_account_is_not_a_bad_key_and_is_asked_once() -> None:
    twin = Twin()
    twin.signed[("POST", "/v1/roles")] = lambda _request, _key: {
        "result": "error",
        "reason": "AccountClosed",
        "message": "m",
    }
    sheet = collect(twin)
    assert set(reasons(sheet).values()) == {"account_frozen"}
    assert len(twin.requests) == 1


# Keys, nonces and signatures


def test_a_key_of_a_whole_group_is_never_sent() -> None:
    twin = Twin()
    sheet = collect(twin, credentials={"apiKey": "master-D3M0GROUP0000000001", "secret": "DEMOSECRETGEMINI0001"})
    assert set(reasons(sheet).values()) == {"invalid_key"}
    assert not twin.requests


def test_nonces_only_grow_and_an_old_one_is_refused() -> None:
    twin = Twin()
    collect(twin)
    sent = [json.loads(base64.b64decode(request.headers["X-GEMINI-PAYLOAD"])) for request in twin.requests]
    assert [one["nonce"] for one in sent] == sorted({one["nonce"] for one in sent})
    assert [one["request"] for one in sent] == [request.path for request in twin.requests]
    twin.nonces = dict.fromkeys(twin.nonces, 10**15)
    assert set(reasons(collect(twin)).values()) == {"clock_skew"}


def test_heartbeats_and_whatever_changes_something_are_not_declared() -> None:
    assert {endpoint.verb for endpoint in gemini.endpoints} == {"POST"}
    for endpoint in gemini.endpoints:
        assert not any(
            word in endpoint.path for word in ("heartbeat", "/request", "/remove", "new", "withdraw", "oauth")
        )


@pytest.mark.parametrize("spoil", ["signature", "payload", "path", "nonce"])
def test_a_spoiled_signature_is_refused_by_the_twin(spoil: str) -> None:
    twin = Twin()
    key = twin.sample_keys()[0]
    asked = {"request": "/v1/roles", "nonce": "17" if spoil != "nonce" else "later"}
    payload = base64.b64encode(json.dumps(asked).encode()).decode()
    signature = hmac.new(key.secret.encode(), payload.encode(), hashlib.sha384).hexdigest()
    if spoil == "signature":
        signature = signature[:-1] + ("0" if signature[-1] != "0" else "1")
    if spoil == "payload":
        payload = base64.b64encode(json.dumps({**asked, "nonce": "18"}).encode()).decode()
    headers = {"X-GEMINI-APIKEY": key.api_key, "X-GEMINI-PAYLOAD": payload, "X-GEMINI-SIGNATURE": signature}
    request: Any = SimpleNamespace(headers=headers, path="/v1/account" if spoil == "path" else "/v1/roles")
    with pytest.raises(Refused) as refused:
        twin.authenticate(request, "{}")
    assert refused.value.refusal is (Refusal.BAD_TIMESTAMP if spoil == "nonce" else Refusal.BAD_SIGNATURE)


def test_a_wrong_secret_is_an_invalid_key() -> None:
    twin = Twin()
    assert set(reasons(collect(twin, credentials={**twin.sample_credentials(), "secret": "another"})).values()) == {
        "invalid_key"
    }


def test_a_key_used_from_elsewhere_is_refused() -> None:
    twin = Twin()
    key = twin.sample_keys()[1]
    twin.caller = "203.0.113.9"
    sheet = collect(twin, credentials={"apiKey": key.api_key, "secret": key.secret})
    assert set(reasons(sheet).values()) == {"ip_not_allowed"}


# The venue file


def test_the_week_of_waiting_is_no_policy_because_the_owner_switches_it_on() -> None:
    venue = _venue.load("gemini")
    facts = venue.policy_facts()
    assert "venue.new_address_delay_hours" not in facts
    assert facts["venue.lifecycle"] == "active"
    assert any("2026" in trap and "UK" in trap for trap in venue.traps)
