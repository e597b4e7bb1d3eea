"""Binance.US over the wire: the words of Binance, and another company's keys, calls and silence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auditor.exchanges import _transport, _venue, binance, binanceus
from auditor.exchanges._base import Answer, Endpoint, Sheet
from auditor.exchanges._gate import check_signed
from auditor.exchanges._signer import SignedRequest, Signer
from auditor.model.evidence import Reason
from auditor.redaction import Secret
from auditor.twin._base import Refusal
from auditor.twin.binanceus import Twin
from tests.exchanges.wire import collect, reasons

AUDIT, SUB = Twin().sample_keys()
CODES = {
    "venue_maintenance": "-1008 -1016",
    "venue_incident": "-1000 -1001",
    "timeout": "-1007",
    "rate_limited": "-1003",
    "clock_skew": "-1021",
    "invalid_key": "-2014 -2008 -1022",
    "permission_denied": "-1002 -1099 -9000",
}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)


def serving(**state: Any) -> Sheet:
    twin = Twin()
    for name, value in state.items():
        setattr(twin, name, value)
    return collect(twin)


def judged(code: Any, endpoint: Endpoint = binanceus.ACCOUNT, msg: str = "?", status: int = 400) -> Any:
    body = {"code": code, "msg": msg}
    return binanceus.classify(Answer(status=status, body=body, text=json.dumps(body), headers={}), endpoint)


# What a key shows.


def test_a_working_key_may_read_and_what_else_it_may_no_call_says() -> None:
    sheet = collect(Twin())
    assert sheet.rows["api_key"] == [{"is_audit_key": True, "can_read": True, "enabled": True}]
    assert sheet.account == {"kind": "main", "status": "normal"} and not sheet.problems and not sheet.venue
    assert sheet.account_id == "910000001"


def test_everything_is_asked_at_its_own_host_and_only_what_it_documents() -> None:
    assert {endpoint.host for endpoint in binanceus.endpoints} == {"api.binance.us"}
    assert not [endpoint.path for endpoint in binanceus.endpoints if "apiRestrictions" in endpoint.path]
    held = {"apiKey": Secret(AUDIT.api_key), "secret": Secret(AUDIT.secret)}
    for endpoint in binanceus.endpoints:
        check_signed(Signer("binanceus", held, None).sign(endpoint, {}), endpoint, {}, None)


def test_that_the_account_may_withdraw_says_nothing_of_the_key() -> None:
    row = (
        serving(account={"canWithdraw": True, "canTrade": True, "balances": [{"asset": "BTC", "free": "7.25"}]}).rows[
            "api_key"
        ]
        or []
    )[0]
    assert not {"can_withdraw", "can_trade", "ip_bound"} & row.keys()
    assert "7.25" not in repr(row)


@pytest.mark.parametrize("account", [{}, [], None, {"balances": None}, {"balances": [], "uid": "x"}])
def test_another_shape_is_no_key(account: Any) -> None:
    sheet = serving(account=account)
    assert sheet.rows["api_key"] is None and sheet.account_id is None
    assert reasons(sheet)["account"] == "malformed_response"


def test_an_account_without_a_number_has_a_key_too() -> None:
    assert serving(account={"balances": []}).rows["api_key"]


@pytest.mark.parametrize(
    ("word", "status"),
    [("Normal", "normal"), ("normal", "normal"), ("Order failed: fill rate", None), ("", None), (1, None)],
)
def test_a_state_of_the_account_that_is_not_normal_is_not_guessed(word: Any, status: str | None) -> None:
    sheet = serving(status_word=word)
    assert sheet.account.get("status") == status
    assert ("accountStatus" in reasons(sheet)) == (status is None)


@pytest.mark.parametrize(
    ("subs", "kind", "over"),
    [([{"email": "a@demo.invalid"}], "main", None), ([], None, False), (None, None, None), ({}, None, None)],
)
def test_who_has_sub_accounts_is_a_main_account(subs: Any, kind: str | None, over: bool | None) -> None:
    account = serving(subs=subs).account
    assert (account.get("kind"), account.get("master_key_over_subaccounts")) == (kind, over)


def test_the_second_factor_of_a_sub_account_is_not_the_accounts_and_mailboxes_stay_away() -> None:
    sheet = collect(Twin())
    assert "two_factor_enabled" not in sheet.account and "demo.invalid" not in repr(sheet)


def test_a_sub_accounts_key_is_refused_the_list_and_stays_good() -> None:
    sheet = collect(Twin(), credentials={"apiKey": SUB.api_key, "secret": SUB.secret})
    assert sheet.rows["api_key"] and reasons(sheet) == {"sub-account/list": "permission_denied"}
    assert sheet.account == {"status": "normal"}


# Errors.


@pytest.mark.parametrize(
    ("code", "reason"), [(code, reason) for reason, codes in CODES.items() for code in codes.split()]
)
def test_every_code_means_what_it_means_at_binance(code: str, reason: str) -> None:
    assert judged(int(code)).reason == reason == judged(code).reason


@pytest.mark.parametrize("code", [-2008, -2014, -2015])
def test_a_key_of_binance_com_is_named_as_a_cause(code: int) -> None:
    found = judged(code)
    assert found.reason in {Reason.INVALID_KEY, Reason.IP_NOT_ALLOWED}
    assert "binance.com" in found.meaning and found.lockout
    for exchange in ("binance", "binanceus"):
        assert any("binance.us" in trap.lower() or "binance.com" in trap for trap in _venue.load(exchange).traps)


def test_a_bad_signature_or_a_missing_permission_is_no_matter_of_the_site() -> None:
    for found in (judged(-1022), judged(-2015, binanceus.SUB_ACCOUNTS), judged(-2015, binanceus.ACCOUNT_STATUS)):
        assert "binance.com" not in found.meaning
    assert judged(-2015, binanceus.SUB_ACCOUNTS).reason is Reason.PERMISSION_DENIED


def test_a_key_of_the_other_site_is_met_with_that_hint_and_used_once() -> None:
    twin = Twin()
    sheet = collect(twin, credentials={"apiKey": "KeyOfTheOtherSite000000000000000", "secret": "s" * 32})
    assert all("binance.com" in problem.detail for problem in sheet.problems)
    assert len(twin.requests) == 1 and sheet.rows["api_key"] is None


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"msg": "no", "success": False}, 200, Reason.MALFORMED_RESPONSE),
        ({"msg": "System is under maintenance.", "success": False}, 200, Reason.VENUE_MAINTENANCE),
        ({"code": -2008}, 503, Reason.VENUE_MAINTENANCE),
        ({"code": -1003, "msg": "IP banned until 1"}, 429, Reason.RATE_LIMITED),
        ({"msg": "Normal", "success": True}, 200, None),
    ],
)
def test_what_comes_with_other_words(body: Any, status: int, reason: Reason | None) -> None:
    answer = Answer(status=status, body=body, text=json.dumps(body), headers={})
    found = binanceus.classify(answer, binanceus.ACCOUNT_STATUS)
    assert (found and found.reason) == reason
    assert found == binance.classify(answer, binance.ACCOUNT_STATUS)


def test_every_refusal_of_the_twin_is_understood() -> None:
    for refusal in Refusal:
        said = Twin().refuse(refusal)
        body = json.loads(said.text or "")
        found = binanceus.classify(Answer(status=said.status, body=body, text="", headers={}), binanceus.ACCOUNT)
        assert found is not None and found.reason is not Reason.MALFORMED_RESPONSE


def test_a_spoiled_signature_is_refused_by_the_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    sign = Signer.sign

    def spoiled(self: Signer, endpoint: Any, params: Any) -> SignedRequest:
        request = sign(self, endpoint, params)
        url = request.url[:-1] + ("0" if request.url[-1] != "0" else "1")
        return SignedRequest(verb=request.verb, url=url, headers=request.headers, body=None)

    monkeypatch.setattr(Signer, "sign", spoiled)
    assert reasons(collect(Twin()))["account"] == "invalid_key"


def test_no_policy_is_taken_over_from_binance_com() -> None:
    for policy in _venue.load("binanceus").policies:
        assert not any("binance.com" in source for source in policy.sources)
