"""HashKey Global over the real transport against its twin: a key that works, and refusals that look like success."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges import _gate, _transport, _venue, hashkey
from auditor.exchanges._base import Answer, Sheet
from auditor.exchanges._shape import ShapeError
from auditor.exchanges._signer import SignedRequest, Signer
from auditor.model.evidence import Reason
from auditor.redaction import Secret
from auditor.twin._base import Refusal, hmac_sha256
from auditor.twin.hashkey import Twin
from tests.exchanges.wire import collect, reasons

READER, BOUND = Twin().sample_keys()
CODES = {
    "venue_maintenance": "-1101 -2001 -1016",
    "invalid_key": "0102 0103 0002 -1002 -2014 -2015 -1022",
    "ip_not_allowed": "0202",
    "permission_denied": "0104 -1005 -3117 -2023 -1171",
    "clock_skew": "-1021",
    "rate_limited": "0003 -3145 -1003",
    "malformed_response": "0201 -1004 -9999 9999 abc",
}
EVERY = [(code, reason) for reason, codes in CODES.items() for code in codes.split()]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)


def serving(body: Any) -> Sheet:
    twin = Twin()
    twin.accounts = body
    return collect(twin)


def judged(body: Any, status: int = 200) -> Reason | None:
    answer = Answer(status=status, body=body, text=json.dumps(body), headers={})
    found = hashkey.classify(answer, hashkey.ACCOUNTS)
    return found and found.reason


# What a working key proves.


def test_a_working_key_may_read_and_nothing_else_is_said_of_it() -> None:
    sheet = collect(Twin())
    assert sheet.rows["api_key"] == [{"is_audit_key": True, "kind": "hmac", "enabled": True, "can_read": True}]
    assert sheet.account == {} and sheet.venue == {} and not sheet.problems
    assert sheet.account_id == "1700000001"
    assert sheet.rows["address"] is None


def test_a_list_with_a_sub_account_does_not_say_whose_the_key_is() -> None:
    assert "kind" not in serving([Twin().accounts[1]]).account
    assert "kind" not in serving(Twin().accounts).account


def test_what_checks_a_key_by_its_name_is_not_asked_as_nobody_knows_what_it_says() -> None:
    assert [endpoint.path for endpoint in hashkey.endpoints] == ["/api/v1/account/type"]


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        None,
        "ok",
        {"code": 0},
        {"code": "0000", "data": []},
        [None],
        [{}],
        [{"userId": ""}],
        [{"userId": 17}],
        [{"userId": "1"}, {"userId": "2"}],
        [{"userId": "1"}, "x"],
    ],
)
def test_another_shape_proves_nothing(body: Any) -> None:
    sheet = serving(body)
    assert sheet.rows["api_key"] is None and sheet.account_id is None
    assert set(reasons(sheet).values()) == {"malformed_response"}


# Errors.


@pytest.mark.parametrize(("code", "reason"), EVERY)
@pytest.mark.parametrize("status", [200, 400, 401])
def test_every_code_whatever_the_status(code: str, reason: str, status: int) -> None:
    assert judged({"code": code, "msg": "?"}, status) == reason


@pytest.mark.parametrize(("code", "reason"), [pair for pair in EVERY if pair[0] != "abc"])
def test_every_code_as_a_number_that_lost_its_zeros(code: str, reason: str) -> None:
    assert judged({"code": int(code), "msg": "?"}) == reason


def test_a_refusal_with_http_200_is_no_success_which_ccxt_takes_it_for() -> None:
    for body, reason in (({"code": "0102", "msg": ""}, "invalid_key"), ({"code": -1101}, "venue_maintenance")):
        sheet = serving(body)
        assert sheet.rows["api_key"] is None
        assert set(reasons(sheet).values()) == {reason}


def test_identification_that_is_asked_for_is_no_wrong_key_though_ccxt_says_so() -> None:
    (problem,) = serving({"code": "-2023", "msg": "Need to pass KYC verification"}).problems
    assert problem.reason is Reason.PERMISSION_DENIED and "identified" in problem.detail


@pytest.mark.parametrize("code", ["0102", "-2014"])
def test_a_key_of_the_hong_kong_site_is_named_as_a_cause(code: str) -> None:
    (problem,) = serving({"code": code, "msg": "Invalid APIKey"}).problems
    assert problem.reason is Reason.INVALID_KEY and "Hong Kong" in problem.detail
    assert any("Hong Kong" in trap for trap in _venue.load("hashkey").traps)


def test_a_code_that_means_three_things_says_so() -> None:
    (problem,) = serving({"code": -2015}).problems
    assert "address" in problem.detail and "permission" in problem.detail


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"code": "0"}, 200, None),
        ({"code": "0000"}, 200, None),
        ({"code": 0}, 200, None),
        ({"code": 200}, 200, None),
        ({"code": None}, 500, None),
        ({"code": True}, 200, None),
        ({"code": ["0102"]}, 200, None),
        ({}, 403, None),
        ([], 200, None),
        (None, 503, None),
        ({"code": "-7777"}, 503, Reason.VENUE_MAINTENANCE),
        ({"code": "-7777"}, 500, Reason.VENUE_INCIDENT),
    ],
)
def test_without_a_code_we_know_the_status_decides(body: Any, status: int, reason: Reason | None) -> None:
    assert judged(body, status) is reason


@given(st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.none(), st.lists(st.text(), max_size=2)))
@settings(max_examples=200, deadline=None)
def test_no_code_whatever_breaks_the_reading_of_errors(code: Any) -> None:
    found = hashkey.classify(Answer(status=200, body={"code": code}, text="", headers={}), hashkey.ACCOUNTS)
    known = {one for codes in CODES.values() for one in codes.split()} - set(CODES["malformed_response"].split())
    assert (
        found is None
        or found.reason is Reason.MALFORMED_RESPONSE
        or found.code in known | {"-1000", "-1001", "-1007", "-1181"}
    )


@pytest.mark.parametrize("text", ["<html>403</html>", "<html>503</html>"])
@pytest.mark.parametrize("status", [403, 503])
def test_a_page_of_the_firewall_accuses_no_key(status: int, text: str) -> None:
    answer = Answer(status=status, body=None, text=text, headers={})
    found = _transport._judged(hashkey.classify(answer, hashkey.ACCOUNTS), answer, hashkey.ACCOUNTS)
    assert found is not None and found.reason in {Reason.VENUE_INCIDENT, Reason.VENUE_MAINTENANCE}


def test_a_foreign_address_is_not_a_wrong_key() -> None:
    sheet = collect(Twin(), credentials={"apiKey": BOUND.api_key, "secret": BOUND.secret})
    assert set(reasons(sheet).values()) == {"ip_not_allowed"}


def test_a_wrong_clock_is_said_and_the_key_not_accused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.twin.hashkey._WINDOW_MS", -1)
    twin = Twin()
    assert set(reasons(collect(twin)).values()) == {"clock_skew"}
    assert len(twin.requests) == 1


def test_every_refusal_of_the_twin_is_understood() -> None:
    for refusal in Refusal:
        said = Twin().refuse(refusal)
        assert judged(json.loads(said.text or ""), said.status) not in {None, Reason.MALFORMED_RESPONSE}


# Signatures.


def test_the_signature_is_the_documented_one_for_the_real_host() -> None:
    held = {"apiKey": Secret(READER.api_key), "secret": Secret(READER.secret)}
    request = Signer("hashkey", held, None).sign(hashkey.ACCOUNTS, {})
    _gate.check_signed(request, hashkey.ACCOUNTS, {}, None)
    parts = urlsplit(request.url)
    query, _, signature = parts.query.rpartition("&signature=")
    assert parts.netloc == "api-glb.hashkey.com"
    assert hmac_sha256(READER.secret, query).hex() == signature
    assert READER.secret not in request.url + repr(request.headers)


@pytest.mark.parametrize("place", ["signature=", "timestamp="])
def test_a_spoiled_request_is_refused_by_the_twin(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sign = Signer.sign

    def spoiled(self: Signer, endpoint: Any, params: Any) -> SignedRequest:
        request = sign(self, endpoint, params)
        at = request.url.index(place) + len(place) + 5
        digit = "1" if request.url[at] == "0" else "0"
        url = request.url[:at] + digit + request.url[at + 1 :]
        return SignedRequest(verb=request.verb, url=url, headers=request.headers, body=None)

    monkeypatch.setattr(Signer, "sign", spoiled)
    assert set(reasons(collect(Twin())).values()) == {"invalid_key"}


def test_server_time_is_never_guessed() -> None:
    with pytest.raises(ShapeError):
        hashkey.server_time({"serverTime": 1})
    assert hashkey.clock is None
