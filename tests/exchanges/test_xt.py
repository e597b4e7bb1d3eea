"""XT over the wire: a list that holds secrets, scopes of two kinds, sub-accounts, every code."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _signer, _transport, _venue, xt
from auditor.exchanges._base import Answer, Sheet
from auditor.exchanges._gate import GateError
from auditor.exchanges._transport import Venue
from auditor.model.facts import catalogue
from auditor.redaction import Secret
from auditor.twin._base import Breakage, Refusal
from auditor.twin.xt import Twin
from tests.exchanges.wire import collect, keys, reasons

CODES = {
    "venue_maintenance": "503 COMMON_002",
    "venue_incident": "500 502 COMMON_003",
    "invalid_key": "AUTH_101 AUTH_102 AUTH_103",
    "ip_not_allowed": "AUTH_104",
    "permission_denied": "AUTH_106 ORDER_007 NO_OPERATION_PERMISSION PERMISSION_LIMIT WITHDRAW_003 DEPOSIT_002",
    "clock_skew": "AUTH_001 AUTH_002 AUTH_003 AUTH_004 AUTH_005 AUTH_006 AUTH_007 AUTH_105",
    "rate_limited": "429",
    "malformed_response": "400 404 COMMON_001 WITHDRAW_004 FAILURE AUTH_999",
}
EACH = [(code, reason) for reason, listed in CODES.items() for code in listed.split()]
MANAGE = {xt.KEYS.name: "not_exposed"}
SECRETS = "d3m0secret0000000000000000000000000000"
OWN = "00d3m000-0000-4000-8000-00000000000a"


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def told(body: Any, status: int = 200) -> str | None:
    found = xt.classify(Answer(status=status, body=body, text="", headers={}), xt.KEYS)
    return found and found.reason.value


def refusal(code: Any) -> dict[str, Any]:
    return {"rc": 1, "mc": code, "ma": [], "result": None}


def every_reason(sheet: Sheet, endpoint: Any = xt.KEYS) -> list[str]:
    return [problem.reason.value for problem in sheet.problems if problem.endpoint == endpoint.name]


def of_list(sheet: Sheet) -> list[dict[str, Any]]:
    return [row for row in sheet.rows["api_key"] or [] if "public_id" in row]


def bot(**fields: Any) -> dict[str, Any]:
    """The row of one key whose entry says so; `...` leaves a field out."""
    twin = Twin()
    entry = {**twin.listed[1], **fields}
    twin.listed[1] = {name: value for name, value in entry.items() if value is not ...}
    (row,) = [row for row in of_list(collect(twin)) if row["public_id"].endswith("b")]
    return row


def test_the_sample_account_shows_all_keys_and_the_accounts() -> None:
    sheet = collect(Twin())
    assert reasons(sheet) == MANAGE and sheet.account_id == "1352123154435"
    assert sheet.account == {"kind": "main", "created_at": "2022-04-19T02:02:42Z", "key_inventory_complete": True}
    seen = {row["label"]: row for row in of_list(sheet)}
    assert set(seen) == {"audit", "bot", "grid"}
    assert seen["bot"]["can_withdraw"] is True and seen["bot"]["ip_bound"] is False
    assert seen["grid"]["sub_account"] == "grid01" and seen["grid"]["ip_allowlist"] == ["203.0.113.9", "203.0.113.10"]
    assert seen["audit"]["can_trade"] is False and "sub_account" not in seen["audit"]
    assert [row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")] == [
        {"kind": "hmac", "can_read": True, "enabled": True, "is_audit_key": True}
    ]


# Traps


def test_the_secrets_in_the_list_are_dropped_at_the_door(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(0):
        text = repr(collect(Twin()))
        for field in ("id", "accessKey", "keyName", "roleScopes", "createTime", "userAccountId"):
            for value in (None, 7, [], {}):
                twin = Twin()
                twin.listed[1][field] = value
                text += repr(collect(twin))
    assert SECRETS not in text + caplog.text


def test_the_path_that_makes_and_deletes_keys_under_other_verbs_is_only_read() -> None:
    twin = Twin()
    collect(twin)
    assert {request.verb for request in twin.requests} == {"GET"} == {endpoint.verb for endpoint in xt.endpoints}

    async def change(verb: str) -> None:
        async with twin, Venue(xt, endpoint=twin.url) as venue:
            door = venue.key({name: Secret(value) for name, value in twin.sample_credentials().items()})
            await door.fetch(replace(xt.KEYS, verb=verb))

    for verb in ("POST", "PUT", "DELETE"):
        with pytest.raises(GateError):
            asyncio.run(change(verb))


def test_a_refused_address_and_a_clock_that_is_off_are_no_bad_keys() -> None:
    twin = Twin()
    twin.caller = "203.0.113.77"
    assert set(reasons(collect(twin)).values()) == {"ip_not_allowed"}
    twin = Twin()
    twin.fail(Refusal.BAD_TIMESTAMP)
    assert set(reasons(collect(twin)).values()) == {"clock_skew"}


@pytest.mark.parametrize("seconds", [-3600, 60, 7200])
def test_a_wrong_clock_is_learnt_once_and_the_audit_goes_on(seconds: int) -> None:
    twin = Twin()
    twin.clock_ahead = timedelta(seconds=seconds)
    assert reasons(collect(twin)) == MANAGE
    assert sum(request.path == xt.TIME.path for request in twin.requests) == 1


def test_times_without_an_offset_are_utc_as_the_example_shows() -> None:
    made = (1626456841938669570 >> 22) + 1288834974657  # the moment in the id of the documentation's sub-account
    assert made // 1000 == 1676612503
    assert bot(createTime="2023-02-17 05:41:43")["created_at"] == "2023-02-17T05:41:43Z"
    assert bot(createTime="2023-02-20 07:39:56.768")["created_at"].startswith("2023-02-20T07:39:56")


def test_user_calls_are_signed_like_spot_calls_for_a_host_of_their_own() -> None:
    secrets = {name: Secret(value) for name, value in Twin().sample_credentials().items()}
    request = _signer.Signer("xt", secrets, None).sign(xt.KEYS, {"userAccountId": "7"})
    assert request.url == "https://api.xt.com/v4/user/account/api-key?userAccountId=7" and request.body is None
    assert _signer.Signer("xt", {}, None).sign(xt.TIME, {}).url == "https://sapi.xt.com/v4/public/time"


# Sub-accounts and completeness


@pytest.mark.parametrize("at_once", [True, False])
def test_keys_of_sub_accounts_are_seen_once_whether_or_not_the_first_list_holds_them(at_once: bool) -> None:
    twin = Twin()
    twin.lists_subs_at_once = at_once
    sheet = collect(twin)
    assert len(of_list(sheet)) == 3 and sheet.account["key_inventory_complete"] is True
    assert [request.query for request in twin.requests if request.query] == [{"userAccountId": "1626456841938669570"}]


def test_a_key_of_a_sub_account_is_of_the_account_that_is_read() -> None:
    twin = Twin()
    twin.accounts, twin.listed, twin.lists_subs_at_once = (
        [twin.accounts[1]],
        [{**twin.listed[2], "accessKey": OWN}],
        True,
    )
    sheet = collect(twin)
    assert sheet.account["kind"] == "sub" and "master_key_over_subaccounts" not in sheet.account
    assert sheet.account_id == "1626456841938669570"
    assert not [row for row in sheet.rows["api_key"] or [] if "sub_account" in row]


def test_an_account_without_sub_accounts_has_no_key_over_any() -> None:
    twin = Twin()
    twin.accounts = twin.accounts[:1]
    assert collect(twin).account["master_key_over_subaccounts"] is False


@pytest.mark.parametrize(
    "broken", [refusal("AUTH_106"), refusal("COMMON_002"), {"rc": 0, "mc": "SUCCESS", "result": [7]}]
)
def test_without_the_accounts_the_keys_are_seen_and_not_called_complete(broken: Any) -> None:
    twin = Twin()
    twin.lists_subs_at_once = True
    twin.signed[("GET", xt.ACCOUNTS.path)] = lambda _request, _key: broken
    sheet = collect(twin)
    assert keys_by_label(sheet) == {"audit", "bot", "grid"} and sheet.account == {}
    (grid,) = [row for row in of_list(sheet) if row["label"] == "grid"]
    assert grid["sub_account"] == "…9570"


def keys_by_label(sheet: Sheet) -> set[str]:
    return {row["label"] for row in of_list(sheet)}


def test_a_list_of_one_sub_account_that_fails_costs_completeness_only() -> None:
    twin = Twin()
    whole = twin.signed[("GET", xt.KEYS.path)]
    twin.signed[("GET", xt.KEYS.path)] = lambda request, key: (
        refusal("PERMISSION_LIMIT") if request.query else whole(request, key)
    )
    sheet = collect(twin)
    assert keys_by_label(sheet) == {"audit", "bot"} and "key_inventory_complete" not in sheet.account
    assert "permission_denied" in every_reason(sheet)


def test_a_key_that_may_not_list_keys_is_still_answered() -> None:
    twin = Twin()
    twin.signed[("GET", xt.KEYS.path)] = lambda _request, _key: refusal("NO_OPERATION_PERMISSION")
    sheet = collect(twin)
    assert [row.get("is_audit_key") for row in sheet.rows["api_key"] or []] == [True]
    assert "key_inventory_complete" not in sheet.account and "permission_denied" in every_reason(sheet)


@pytest.mark.parametrize(
    "accounts",
    [[], None, {}, [7], [{"id": "1", "level": 3, "accountName": "x"}], [{"id": "x", "level": 1, "accountName": "x"}]],
)
def test_accounts_that_cannot_be_read_show_nothing(accounts: Any) -> None:
    twin = Twin()
    twin.accounts = accounts
    sheet = collect(twin)
    assert (
        sheet.account == {} and sheet.account_id is None and every_reason(sheet, xt.ACCOUNTS) == ["malformed_response"]
    )


def test_a_sub_account_named_after_a_person_is_masked() -> None:
    twin = Twin()
    twin.accounts[1]["accountName"] = "demo.person@example.invalid"
    twin.listed[1]["keyName"] = "of demo.person@example.invalid"
    assert "demo.person" not in repr(collect(twin))


# The fields of a key


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ("QUERY", (True, False, False, False, False)), ("QUERY,TRADE", (True, True, False, False, False)), ("QUERY;FUTURE", (True, True, True, False, False)),
        ("QUERY,WITHDRAW", (True, False, False, None, True)), ("query, transfer", (True, False, False, True, False)), ("QUERY,LEVER_LOAN", (True, None, False, None, False)),
        ("QUERY_TRADE", (True, True, None, None, None)), ("QUERY_NO_TRADE", (True, False, None, None, None)), ("TRADE", (None, True, False, False, False)),
        ("QUERY,NEW", (True, None, None, None, None)), ("WITHDRAW,NEW", (None, None, None, None, True)), ("", (None,) * 5), (" , ", (None,) * 5),
        (..., (None,) * 5), (None, (None,) * 5), (7, (None,) * 5), (["QUERY"], (None,) * 5),
    ],
)  # fmt: skip
def test_what_the_scopes_allow(scopes: Any, expected: tuple[bool | None, ...]) -> None:
    row = bot(roleScopes=scopes)
    names = ("can_read", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw")
    assert tuple(row.get(name) for name in names) == expected and "can_manage" not in row


@pytest.mark.parametrize(
    ("listed", "expected"),
    [("", (False, [])), (None, (False, [])), (" , ", (False, [])), ("*", (False, [])), ("0.0.0.0", (False, ["0.0.0.0"])), ("198.51.100.7", (True, ["198.51.100.7"])),
     ("198.51.100.7,2001:db8::/64", (True, ["198.51.100.7", "2001:db8::/64"])), (..., (None, None)), ([], (None, None)), (7, (None, None))],
)  # fmt: skip
def test_the_addresses_a_key_is_bound_to(listed: Any, expected: tuple[Any, Any]) -> None:
    row = bot(bindIps=listed)
    assert (row.get("ip_bound"), row.get("ip_allowlist")) == expected
    assert row["can_withdraw"] is True


@pytest.mark.parametrize(
    ("locked", "enabled"),
    [(0, True), (1, False), ("1", False), (False, True), (2, None), (None, None), (..., None), ("no", None)],
)
def test_a_locked_key_is_not_enabled(locked: Any, enabled: bool | None) -> None:
    assert bot(isLock=locked).get("enabled") is enabled


@pytest.mark.parametrize("moment", ["1970-01-01 00:00:00", "", "0", None, 0, 1676612503000, ..., []])
def test_an_odd_time_costs_the_time_only(moment: Any) -> None:
    row = bot(createTime=moment)
    assert "created_at" not in row and row["can_withdraw"] is True and row["label"] == "bot"


def test_masked_ids_do_not_invent_a_key_more() -> None:
    twin = Twin()
    twin.accounts = twin.accounts[:1]
    twin.listed = [{**twin.listed[0], "accessKey": "00d3****000a"}]
    assert [row.get("is_audit_key") for row in collect(twin).rows["api_key"] or []] == [True]
    twin = Twin()
    for entry in twin.listed:
        entry["accessKey"] = "00d3****"
    sheet = collect(twin)
    assert len(sheet.rows["api_key"] or []) == 3 and set(keys(sheet)) == {"audit", "bot", "grid"}


@pytest.mark.parametrize("listed", [[], None, {}, [7], [None], "x"])
def test_a_list_that_cannot_be_read_is_no_list(listed: Any) -> None:
    twin = Twin()
    twin.signed[("GET", xt.KEYS.path)] = lambda _request, _key: {"rc": 0, "mc": "SUCCESS", "ma": [], "result": listed}
    sheet = collect(twin)
    assert (
        not of_list(sheet)
        and "key_inventory_complete" not in sheet.account
        and "malformed_response" in every_reason(sheet)
    )


# Codes


@pytest.mark.parametrize(("code", "reason"), EACH)
def test_every_code_of_the_venue_in_both_envelopes(code: str, reason: str) -> None:
    assert (
        told(refusal(code))
        == told({"returnCode": 1, "msgInfo": "failure", "error": {"code": code, "msg": "m"}, "result": None})
        == reason
    )
    found = xt.classify(Answer(status=200, body=refusal(code), text="", headers={}), xt.KEYS)
    assert found is not None and found.lockout is (reason in {"invalid_key", "ip_not_allowed", "rate_limited"})


def test_the_table_holds_no_code_that_is_not_tested() -> None:
    assert set(xt._FAILURES) == {code for code, reason in EACH if reason != "malformed_response"}


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"rc": 0, "mc": "SUCCESS"}, 200, None), ({"rc": "0", "mc": "SUCCESS"}, 200, None), ({"returnCode": 0, "error": None}, 200, None), (None, 200, None),
        ({"rc": 0, "mc": "AUTH_104"}, 200, "ip_not_allowed"), ({"rc": 1, "mc": "SUCCESS"}, 200, "malformed_response"), ({}, 200, "malformed_response"),
        ([], 200, "malformed_response"), ("x", 200, "malformed_response"), ({"rc": False, "mc": "SUCCESS"}, 200, "malformed_response"),
        ({"returnCode": 1, "error": {"code": "400", "msg": "Connection refused: /192.0.2.1:8080"}}, 200, "venue_incident"),
        ({"returnCode": 0, "error": {"code": "429"}}, 200, "rate_limited"), ({"returnCode": 0, "error": {"code": "", "msg": ""}}, 200, None),
        ({"rc": 1, "mc": "FAILURE"}, 503, "venue_maintenance"), ({"rc": 1, "mc": "FAILURE"}, 502, "venue_incident"), (None, 429, "rate_limited"),
        ({"rc": 1, "mc": ["AUTH_101"]}, 200, "malformed_response"), ({"rc": 1, "mc": 503}, 200, "venue_maintenance"), ({"rc": 1, "mc": "AUTH_103"}, 429, "rate_limited"),
    ],
)  # fmt: skip
def test_the_envelopes_of_answers(body: Any, status: int, reason: str | None) -> None:
    assert told(body, status) == reason


def test_a_bad_key_in_place_of_an_outage_is_an_outage() -> None:
    twin = Twin()
    twin.refuse = lambda _refusal: web.json_response(refusal("AUTH_101"), status=500)  # type: ignore[method-assign]
    twin.fail(Refusal.MAINTENANCE)
    assert set(reasons(collect(twin)).values()) == {"venue_incident"}


# The twin, and anything at all


@pytest.mark.parametrize(("field", "value"), [("secret", "another"), ("apiKey", "nobodysKey00000001")])
def test_a_spoiled_signature_and_an_unknown_key_are_refused_and_not_tried_again(field: str, value: str) -> None:
    twin = Twin()
    sheet = collect(twin, credentials={**twin.sample_credentials(), field: value})
    assert set(reasons(sheet).values()) == {"invalid_key"} and len(twin.requests) == 1


@pytest.mark.parametrize("how", [Refusal.MAINTENANCE, Breakage.HTML_ERROR, Breakage.EMPTY])
def test_a_passing_trouble_passes(how: Any) -> None:
    twin = Twin()
    twin.fail(how, prefix=xt.KEYS.path, times=2)
    assert reasons(collect(twin)) == MANAGE


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(max_size=6)
    | st.sampled_from(["0", "1", "\ud800", "a@b.example", 10**400, "QUERY"])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([xt.KEYS, xt.ACCOUNTS]), st.sampled_from(["", *Twin().listed[0], *Twin().accounts[0]]), ANYTHING)
def test_no_answer_whatsoever_raises_or_writes_a_malformed_fact(place: Any, field: str, value: Any) -> None:
    twin = Twin()
    whole = {
        xt.KEYS.name: [{**row, field: value} for row in twin.listed],
        xt.ACCOUNTS.name: [{**row, field: value} for row in twin.accounts],
    }

    class Stub:
        async def fetch(self, endpoint: Any, _params: Any = None) -> Any:
            return {"result": value if endpoint == place and not field else whole[endpoint.name]}

    sheet = Sheet()
    asyncio.run(xt.collect(Stub(), sheet))
    for scope, facts in [("account", sheet.account), *(("api_key", row) for row in sheet.rows["api_key"] or [])]:
        for fact, held in facts.items():
            assert fact == "public_id" or catalogue()[f"{scope}.{fact}"].check(held) is None
    assert SECRETS not in repr(sheet)


def test_the_venue_file_is_sound() -> None:
    file = _venue.load("xt")
    stated = file.policy_facts()
    assert file.connector == "xt" and file.credentials == xt.credentials
    assert stated["venue.key_ip_binding_supported"] is True
    assert not {"venue.hold_after_password_change_hours", "venue.api_withdrawal_requires_allowlist"} & stated.keys()
