"""Crypto.com over the wire: personal data at the door, every code, every flag of the account."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _signer, _transport, _venue, cryptocom
from auditor.exchanges._base import Answer, Sheet
from auditor.model.facts import catalogue
from auditor.redaction import Secret
from auditor.twin._base import Breakage, Refusal, TwinKey
from auditor.twin.cryptocom import Twin
from tests.exchanges.wire import collect, reasons

CODES = {
    "venue_maintenance": "9010001",
    "venue_incident": "50001 10001",
    "timeout": "40801",
    "rate_limited": "10006 42901",
    "invalid_key": "40101",
    "ip_not_allowed": "10003 40103",
    "permission_denied": "10002 10005 40104",
    "clock_skew": "10007 40102",
    "account_frozen": "202 406 410",
    "malformed_response": "40001 99999 100 -1",
}
EACH = [(code, reason) for reason, listed in CODES.items() for code in listed.split()]
PERSONAL = ("REDACT", "demo.person", "example.invalid", "15550100042", "STREET", "PERSON", "MT'")


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def told(body: Any, status: int = 200) -> str | None:
    found = cryptocom.classify(Answer(status=status, body=body, text="", headers={}), cryptocom.ACCOUNTS)
    return found and found.reason.value


def seen(**fields: Any) -> Sheet:
    """What is seen where the main account says so; `...` leaves a field out."""
    twin = Twin()
    twin.master = {name: value for name, value in {**twin.master, **fields}.items() if value is not ...}
    return collect(twin)


def test_the_sample_account_shows_its_state_and_nothing_of_keys() -> None:
    sheet = collect(Twin())
    assert sheet.account == {"two_factor_enabled": True, "status": "normal", "created_at": "2021-05-03T00:00:00Z"}
    assert sheet.rows["api_key"] == [{"kind": "hmac", "can_read": True, "enabled": True, "is_audit_key": True}]
    assert sheet.account_id == "11111111-aaaa-4bbb-8ccc-000000000001"
    (problem,) = sheet.problems
    assert problem.reason.value == "not_exposed" and "api_key.can_withdraw" in problem.facts
    assert "api_keys" not in problem.facts  # the list was read; what is in it was not


# Traps


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"uuid": 5},
        {"two_fa_enabled": "+15550100042"},
        {"create_time": "demo.person@example.invalid"},
        {"enabled": ["REDACT"]},
    ],
)
def test_personal_data_are_dropped_at_the_door(fields: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(0):
        text = repr(seen(**fields)) + caplog.text
    assert not [word for word in PERSONAL if word in text]


def test_personal_data_in_a_refusal_are_not_quoted() -> None:
    twin = Twin()
    body = {"code": "demo.person@example.invalid", "message": "REDACT PERSON of REDACT STREET 1, +15550100042"}
    for code in (40101, 77, "demo.person@example.invalid"):
        twin.refuse = lambda _refusal, code=code: web.json_response({**body, "code": code}, status=401)  # type: ignore[method-assign,misc]
        twin.fail(Refusal.BAD_KEY)
        assert not [word for word in PERSONAL if word in repr(collect(twin))]


def test_the_verb_proves_nothing_and_one_path_is_declared() -> None:
    twin = Twin()
    collect(twin)
    assert [(request.verb, request.path) for request in twin.requests] == [
        ("POST", "/exchange/v1/private/get-accounts")
    ]
    assert len(cryptocom.endpoints) == 1


def test_parameters_are_an_empty_object_and_the_method_is_the_path() -> None:
    signer = _signer.Signer(
        "cryptocom", {name: Secret(value) for name, value in Twin().sample_credentials().items()}, None
    )
    request = signer.sign(cryptocom.ACCOUNTS, {})
    assert request.body is not None and '"params":{}' in request.body.replace(" ", "")
    assert f'"method":"{cryptocom.ACCOUNTS.call}"' in request.body.replace(" ", "")
    assert request.url == f"https://{cryptocom.ACCOUNTS.host}{cryptocom.ACCOUNTS.path}"


@pytest.mark.parametrize("how", [Breakage.HTML_ERROR, Breakage.EMPTY])
def test_an_outage_without_json_is_an_outage(how: Breakage) -> None:
    twin = Twin()
    twin.fail(how)
    sheet = collect(twin)
    assert set(reasons(sheet).values()) <= {"venue_incident", "malformed_response"}
    assert sheet.rows["api_key"] is None and sheet.account == {}


@pytest.mark.parametrize(
    ("status", "reason"),
    [(403, "venue_incident"), (502, "venue_incident"), (503, "venue_maintenance"), (429, "rate_limited")],
)
def test_a_page_without_json_is_judged_by_its_status(status: int, reason: str) -> None:
    twin = Twin()
    twin.refuse = lambda _refusal: web.Response(status=status, text="<html>", content_type="text/html")  # type: ignore[method-assign]
    twin.fail(Refusal.MAINTENANCE)
    assert set(reasons(collect(twin)).values()) == {reason}


def test_a_refused_address_and_a_low_tier_are_no_bad_keys() -> None:
    twin = Twin()
    first = twin.sample_keys()[0]
    twin.keys[first.api_key] = TwinKey(api_key=first.api_key, secret=first.secret, ips=("203.0.113.5",))
    assert set(reasons(collect(twin)).values()) == {"ip_not_allowed"}
    twin.caller = "203.0.113.5"
    assert set(reasons(collect(twin)).values()) == {"not_exposed"}
    twin.fail(Refusal.MISSING_PERMISSION)
    assert set(reasons(collect(twin)).values()) == {"permission_denied"}


def test_the_level_of_identification_is_a_word_nobody_documents() -> None:
    for word in ("ADVANCED", "BASIC", "", 3):
        assert "kyc_level" not in seen(kyc_level=word).account


def test_a_sub_accounts_flags_are_not_the_main_accounts() -> None:
    twin = Twin()
    twin.subs = [{**twin.subs[0], "suspended": True, "two_fa_enabled": False}] * 30
    assert collect(twin).account == collect(Twin()).account
    assert "master_key_over_subaccounts" not in collect(twin).account and "kind" not in collect(twin).account


# The fields


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        ({}, "normal"),
        ({"suspended": True}, "frozen"),
        ({"terminated": "true", "enabled": ...}, "frozen"),
        ({"tradable": False}, "restricted"),
        ({"enabled": "false"}, "restricted"),
        ({"enabled": False, "suspended": ...}, None),
        ({"suspended": ...}, None),
        ({"terminated": None}, None),
        ({"tradable": "maybe"}, None),
        ({"enabled": 1, "tradable": 1, "suspended": 0, "terminated": "0"}, "normal"),
    ],
)
def test_the_status_is_normal_only_where_all_flags_say_so(flags: dict[str, Any], status: str | None) -> None:
    assert seen(**flags).account.get("status") == status


@pytest.mark.parametrize(
    ("flag", "on"),
    [(True, True), (False, False), ("true", True), (0, False), (..., None), (None, None), ("yes", None), ([], None)],
)
def test_a_second_factor_is_on_off_or_unknown(flag: Any, on: bool | None) -> None:
    sheet = seen(two_fa_enabled=flag)
    assert sheet.account.get("two_factor_enabled") is on
    assert sheet.rows["api_key"]
    assert (on is None) == any(problem.reason.value == "malformed_response" for problem in sheet.problems)


@pytest.mark.parametrize(
    ("moment", "at"),
    [("1620000000000", "2021-05-03T00:00:00Z"), (0, None), ("", None), (..., None), (True, None), (10**400, None)],
)
def test_the_time_of_creation(moment: Any, at: str | None) -> None:
    assert seen(create_time=moment).account.get("created_at") == at


@pytest.mark.parametrize("uuid", [..., None, 7, []])
def test_without_an_account_nothing_is_known(uuid: Any) -> None:
    sheet = seen(uuid=uuid)
    assert sheet.account == {} and sheet.rows["api_key"] is None
    assert reasons(sheet) == {"private/get-accounts": "malformed_response"}


# Codes


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize(("code", "reason"), EACH)
def test_every_code_means_what_the_venue_says_whatever_the_status(code: str, reason: str, status: int) -> None:
    for spelled in (code, int(code)):
        assert told({"code": spelled, "message": "x"}, status) == reason


def test_the_table_holds_no_code_that_is_not_tested() -> None:
    assert set(cryptocom._FAILURES) <= {code for code, _ in EACH}


@pytest.mark.parametrize(
    ("body", "reason"),
    [({"code": 0}, None), ({"code": "0"}, None), (None, None), ({}, "malformed_response"), ([], "malformed_response"), ({"code": None}, "malformed_response"),
     ({"code": False}, "malformed_response"), ({"code": ["0"]}, "malformed_response"), ("0", "malformed_response")],
)  # fmt: skip
def test_success_is_code_0_and_must_be_said(body: Any, reason: str | None) -> None:
    assert told(body) == reason


@pytest.mark.parametrize(
    ("status", "reason"), [(429, "rate_limited"), (503, "venue_maintenance"), (500, "venue_incident")]
)
def test_a_code_we_do_not_know_is_judged_by_the_status(status: int, reason: str) -> None:
    assert told({"code": 12345}, status) == reason


# The twin, and anything at all


@pytest.mark.parametrize(("field", "value"), [("secret", "another"), ("apiKey", "nobodysKey00000001")])
def test_a_spoiled_signature_and_an_unknown_key_are_refused_and_not_tried_again(field: str, value: str) -> None:
    twin = Twin()
    sheet = collect(twin, credentials={**twin.sample_credentials(), field: value})
    assert reasons(sheet) == {"private/get-accounts": "invalid_key"} and len(twin.requests) == 1


def test_a_clock_that_is_off_is_not_learnt_and_not_blamed_on_the_key() -> None:
    twin = Twin()
    twin.fail(Refusal.BAD_TIMESTAMP)
    assert reasons(collect(twin)) == {"private/get-accounts": "clock_skew"}
    assert cryptocom.clock is None


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(max_size=6)
    | st.sampled_from(["0", "\ud800", "a@b.example", 10**400])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["", "result", "master_account", *Twin().master]), ANYTHING)
def test_no_answer_whatsoever_raises_or_writes_a_malformed_fact(field: str, value: Any) -> None:
    class Stub:
        async def fetch(self, _endpoint: Any, _params: Any = None) -> Any:
            whole = {"master_account": value if field == "master_account" else {**Twin().master, field: value}}
            return value if not field else {"code": 0, "result": value if field == "result" else whole}

    sheet = Sheet()
    asyncio.run(cryptocom.collect(Stub(), sheet))
    for scope, facts in [("account", sheet.account), *(("api_key", row) for row in sheet.rows["api_key"] or [])]:
        for fact, held in facts.items():
            assert catalogue()[f"{scope}.{fact}"].check(held) is None


def test_the_venue_file_is_sound() -> None:
    file = _venue.load("cryptocom")
    assert file.connector == "cryptocom" and file.credentials == cryptocom.credentials
    stated = file.policy_facts()
    assert stated["venue.api_withdrawal_requires_allowlist"] is True
    assert not {"venue.new_address_delay_hours", "venue.allowlist_disable_delay_hours"} & stated.keys()
