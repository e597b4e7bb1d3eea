"""OKX over the wire: every trap of the venue, every code, every way an answer can go wrong."""

from __future__ import annotations

import asyncio
import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _transport, _venue, okx
from auditor.exchanges._base import Answer, Sheet
from auditor.exchanges._transport import Venue
from auditor.model.evidence import Reason
from auditor.model.facts import catalogue
from auditor.redaction import Secret
from auditor.twin._base import Breakage, Refusal, TwinKey
from auditor.twin.okx import Twin
from tests.exchanges.wire import ALL, collect, keys, reasons

CANARIES = ("CANARYKEY0123456789", "CANARYSECRET0123456789", "CANARYPHRASE0123456789")
CODES = {
    "venue_maintenance": "50001 50005 50013 50026",
    "venue_incident": "30030",
    "timeout": "50004",
    "invalid_key": "50008 50101 50105 50111 50113 50114 50119",
    "account_frozen": "50007 50100",
    "ip_not_allowed": "50110 50121",
    "permission_denied": "50027 50029 50030 50035 50120 59500",
    "clock_skew": "50102 50112",
    "rate_limited": "50011 50061",
}
STOPS = {"invalid_key", "account_frozen", "ip_not_allowed"}
RETRIED = {"venue_maintenance", "venue_incident", "timeout", "rate_limited"}
SHOWN_BY = {
    okx.CONFIG: {"account.kind", "account.kyc_level", "account.parent"},
    okx.QUOTA: {"account.withdrawal_limit_daily_usd", "account.withdrawn_last_24h_usd"},
    okx.STATUS: {"venue.status"},
    okx.SUB_ACCOUNTS: {"account.master_key_over_subaccounts"},
    okx.SUB_KEYS: set(),
}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def config(**fields: Any) -> dict[str, Any]:
    about = {"kycLv": "2", **Twin().sample_keys()[0].about, **fields}
    return {name: value for name, value in about.items() if value is not ...}


def calling(**fields: Any) -> Sheet:
    """What is seen where account/config says so; `...` leaves a field out."""
    twin = Twin()
    twin.signed[("GET", okx.CONFIG.path)] = lambda _request, _key: body([config(**fields)])
    return collect(twin)


def body(data: Any, code: Any = "0") -> dict[str, Any]:
    return {"code": code, "msg": "", "data": data}


def sub(name: str, ts: int, **fields: Any) -> dict[str, Any]:
    return {"subAcct": name, "ts": str(ts), "type": "1", "enable": True, "gAuth": False, "mobile": "", **fields}


def sub_key(**fields: Any) -> dict[str, Any]:
    row = {
        "label": "bot",
        "apiKey": "3d3d3d3d-0000-4000-8000-00000000k03c",
        "perm": "read_only,trade",
        "ip": "",
        "ts": "1712000000000",
    }
    return {name: value for name, value in {**row, **fields}.items() if value is not ...}


def with_sub_keys(*rows: Any, **of_sub: Any) -> Sheet:
    twin = Twin()
    twin.sub_accounts = [sub("grid01", 1712000000000, **of_sub)]
    twin.sub_keys = {"grid01": list(rows)}
    return collect(twin)


def answer(code: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=body([], code), text="", headers={})


# The sample account


def test_the_sample_account_shows_what_a_read_key_may_see() -> None:
    sheet = collect(Twin())
    assert not sheet.problems
    assert sheet.account == {
        "kind": "main",
        "kyc_level": 2,
        "withdrawal_limit_daily_usd": 1e7,
        "withdrawn_last_24h_usd": 0.0,
    }
    assert sheet.venue == {"status": "ok"}
    assert sheet.account_id == "70000000000000001"
    assert set(keys(sheet)) == {"auditor", "grid-bot", "dashboard"}
    assert keys(sheet)["auditor"]["is_audit_key"] is True
    assert keys(sheet)["grid-bot"]["sub_account"] == "grid01"
    assert sheet.sources["api_keys"].ref == "GET /api/v5/account/config, GET /api/v5/users/subaccount/apikey"


def test_every_declared_endpoint_is_asked_and_only_by_get() -> None:
    twin = Twin()
    collect(twin, asked=ALL)
    assert {request.path for request in twin.requests} == {endpoint.path for endpoint in okx.endpoints} - {
        okx.TIME.path
    }
    assert {request.verb for request in twin.requests} == {"GET"}


def test_public_endpoints_are_asked_without_the_key() -> None:
    twin = Twin()
    collect(twin)
    public = [request for request in twin.requests if request.path == okx.STATUS.path]
    assert public and not any(name.upper().startswith("OK-ACCESS") for request in public for name in request.headers)


def test_the_inventory_of_the_main_account_is_never_called_complete() -> None:
    for sheet in (collect(Twin()), calling(uid="70000000000000002")):
        assert "key_inventory_complete" not in sheet.account


def test_rows_come_in_the_order_of_the_sub_accounts_names_not_of_their_answers() -> None:
    twin = Twin()
    twin.sub_accounts = [sub(f"s{number:02}", 1712000000000 + number) for number in range(30)]
    twin.sub_keys = {f"s{number:02}": [sub_key(label=f"k{number:02}")] for number in range(30)}
    labels = [row["label"] for row in collect(twin).rows["api_key"] or []]
    assert labels == ["auditor", *sorted(labels[1:])] and len(labels) == 31


# The calling key: missing and odd fields


ODD = [..., None, 7.5, [], {}, ["x", 1], True]
ODD_FIELDS = [(field, odd) for field in ("uid", "mainUid", "type", "kycLv", "perm", "ip", "label") for odd in ODD]


@pytest.mark.parametrize(("field", "odd"), [pair for pair in ODD_FIELDS if pair != ("ip", [])])  # which says "unbound"
def test_a_missing_or_odd_field_costs_only_itself(field: str, odd: Any) -> None:
    sheet = calling(**{field: odd})
    (row,) = [row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")]
    assert reasons(sheet)["account/config"] == "malformed_response"
    lost = {
        "uid": {"account.kind", "account.kyc_level"},
        "mainUid": {"account.kind", "account.kyc_level"},
        "type": {"account.kind"},
        "kycLv": {"account.kyc_level"},
    }.get(field, set())
    assert lost.isdisjoint({f"account.{name}" for name in sheet.account})
    assert set(sheet.account) >= {"kind", "kyc_level"} - {path.partition(".")[2] for path in lost}
    gone = {
        "perm": {
            "permissions",
            "can_trade",
            "can_trade_derivatives",
            "can_transfer",
            "can_withdraw",
            "can_manage",
            "never_expires",
        },
        "ip": {"ip_bound", "ip_allowlist"},
        "label": {"label"},
    }.get(field, set())
    whole = {"label", "permissions", "can_read", "can_trade", "can_withdraw", "ip_bound", "ip_allowlist"}
    assert gone.isdisjoint(row) and whole - gone <= set(row)
    assert {"auditor", "grid-bot", "dashboard"} - ({"auditor"} if field == "label" else set()) <= {
        r.get("label") for r in sheet.rows["api_key"] or []
    }


@pytest.mark.parametrize("spelled", ["", " ", ",", "*", [], [""], ["*"]])
def test_unbound_in_all_its_spellings(spelled: Any) -> None:
    row = keys(calling(ip=spelled))["auditor"]
    assert (row["ip_bound"], row["ip_allowlist"]) == (False, [])


@pytest.mark.parametrize(
    "spelled", ["198.51.100.7,203.0.113.0/24, 2001:db8::1", ["198.51.100.7", "203.0.113.0/24", "2001:db8::1"]]
)
def test_a_bound_key_shows_its_list(spelled: Any) -> None:
    row = keys(calling(ip=spelled))["auditor"]
    assert (row["ip_bound"], row["ip_allowlist"]) == (True, ["198.51.100.7", "203.0.113.0/24", "2001:db8::1"])


@pytest.mark.parametrize(
    ("perm", "trade", "withdraw", "transfer"),
    [
        ("read_only", False, False, False),
        ("read", False, False, False),
        ("read_only,withdraw,trade", True, True, True),
        ("trade,read_only", True, False, True),
        ("withdraw", False, True, True),
        ("", None, None, None),
        ("read_only,p2p", None, None, None),
        ("read_only,trade,p2p", True, None, True),
        ("READ_ONLY, Trade", True, False, True),
        ("readonly", None, None, None),
    ],
)
def test_permissions_are_false_only_where_every_word_is_known(
    perm: str, trade: Any, withdraw: Any, transfer: Any
) -> None:
    row = keys(calling(perm=perm))["auditor"]
    assert (row.get("can_trade"), row.get("can_withdraw"), row.get("can_transfer")) == (trade, withdraw, transfer)
    assert row.get("can_trade_derivatives") == trade
    assert row["can_read"] is True


@pytest.mark.parametrize(
    ("perm", "ip", "never"),
    [
        ("read_only", "", True),
        ("read_only", ..., True),
        ("trade", "", False),
        ("withdraw", "", False),
        ("trade", "198.51.100.7", True),
        ("trade", ..., None),
        ("novel", "", None),
        ("novel,trade", "", False),
    ],
)
def test_unbound_keys_with_power_die_after_14_days_without_use_and_others_never(
    perm: str, ip: Any, never: bool | None
) -> None:
    assert keys(calling(perm=perm, ip=ip))["auditor"].get("never_expires") is never


@pytest.mark.parametrize(
    ("perm", "ip", "uid", "manages"),
    [
        ("read_only", "198.51.100.7", "70000000000000001", False),
        ("trade", "198.51.100.7", "70000000000000001", True),
        ("trade", "", "70000000000000001", None),
        ("trade", "198.51.100.7", "70000000000000099", False),
        ("trade", "198.51.100.7", ..., None),
        ("novel", "198.51.100.7", "70000000000000001", None),
    ],
)
def test_only_a_trading_bound_main_key_is_known_to_manage_keys(
    perm: str, ip: str, uid: Any, manages: bool | None
) -> None:
    assert keys(calling(perm=perm, ip=ip, uid=uid))["auditor"].get("can_manage") is manages


@pytest.mark.parametrize(
    ("type_", "uid", "kind"),
    [
        ("0", "70000000000000001", "main"),
        ("1", "70000000000000099", "sub"),
        ("2", "70000000000000099", "sub"),
        ("5", "70000000000000099", "custody"),
        ("9", "70000000000000099", "custody"),
        ("12", "70000000000000001", "custody"),
        ("3", "70000000000000001", None),
        ("", "70000000000000001", None),
        ("1", "70000000000000001", None),
        ("0", "70000000000000099", None),
        ("0", "", None),
    ],
)
def test_a_type_we_do_not_know_or_that_contradicts_itself_is_unknown(type_: str, uid: str, kind: str | None) -> None:
    assert calling(type=type_, uid=uid).account.get("kind") == kind


def test_the_kyc_level_shown_to_a_sub_account_is_the_main_accounts() -> None:
    sheet = calling(uid="70000000000000099", type="1")
    assert "kyc_level" not in sheet.account
    assert sheet.account["parent"] == "…0001"


def test_a_sub_account_key_asks_for_no_sub_accounts_and_says_nothing_of_a_master_key() -> None:
    twin = Twin()
    first = twin.sample_keys()[0]
    twin.keys[first.api_key] = replace(first, about={**first.about, "uid": "70000000000000099", "type": "1"})
    sheet = collect(twin)
    assert not {request.path for request in twin.requests} & {okx.SUB_ACCOUNTS.path, okx.SUB_KEYS.path}
    assert "master_key_over_subaccounts" not in sheet.account
    assert not sheet.problems


# One key over all sub-accounts


@pytest.mark.parametrize(
    ("perm", "subs", "over"),
    [("read_only,trade", 2, True), ("read_only", 2, None), ("read_only", 0, False), ("novel", 2, None)],
)
def test_a_master_key_is_proved_by_this_key_and_disproved_only_where_there_are_no_sub_accounts(
    perm: str, subs: int, over: bool | None
) -> None:
    twin = Twin()
    first = twin.sample_keys()[0]
    twin.keys[first.api_key] = replace(first, about={**first.about, "perm": perm})
    twin.sub_accounts = twin.sub_accounts[:subs]
    assert collect(twin).account.get("master_key_over_subaccounts") is over


@pytest.mark.parametrize("rows", [[{}], [5], [{"subAcct": ""}], [{"subAcct": 5, "ts": "x"}]])
def test_sub_accounts_without_a_name_are_not_no_sub_accounts(rows: list[Any]) -> None:
    twin = Twin()
    twin.signed[("GET", okx.SUB_ACCOUNTS.path)] = lambda _request, _key: body(rows)
    sheet = collect(twin)
    assert "master_key_over_subaccounts" not in sheet.account
    assert reasons(sheet)["users/subaccount/list"] == "malformed_response"


# Paging


@pytest.mark.parametrize("page", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("count", [0, 1, 7, 8])
def test_all_pages_are_read_whatever_their_length(page: int, count: int) -> None:
    twin = Twin()
    twin.page = page
    twin.sub_accounts = [sub(f"s{number}", 1712000000000 + 5 * number) for number in range(count)]
    collect(twin)
    asked = {request.query["subAcct"] for request in twin.requests if request.path == okx.SUB_KEYS.path}
    assert asked == {f"s{number}" for number in range(count)}


def test_sub_accounts_of_one_millisecond_that_straddle_two_pages_are_not_lost() -> None:
    twin = Twin()
    twin.sub_accounts = [
        sub(f"s{number:03}", 1712000000000 + (0 if 90 <= number <= 110 else number)) for number in range(250)
    ]
    sheet = collect(twin)
    assert len({request.query["subAcct"] for request in twin.requests if request.path == okx.SUB_KEYS.path}) == 250
    assert not sheet.problems


def test_more_sub_accounts_in_one_millisecond_than_a_page_holds_are_reported_as_unread() -> None:
    twin = Twin()
    twin.sub_accounts = [sub(f"s{number:03}", 1712000000000) for number in range(150)] + [sub("older", 1700000000000)]
    sheet = collect(twin)
    assert reasons(sheet)["users/subaccount/list"] == "implausible_response"
    assert "older" in {request.query.get("subAcct") for request in twin.requests}


def test_a_venue_that_ignores_the_cursor_does_not_loop() -> None:
    twin = Twin()
    rows = [sub(f"s{number:03}", 1712000000000 + number) for number in range(100)]
    twin.signed[("GET", okx.SUB_ACCOUNTS.path)] = lambda _request, _key: body(rows)
    sheet = collect(twin)
    assert sum(request.path == okx.SUB_ACCOUNTS.path for request in twin.requests) <= 4
    assert reasons(sheet)["users/subaccount/list"] == "implausible_response"


def test_a_venue_that_invents_sub_accounts_for_ever_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(okx, "_MOST_PAGES", 5)
    twin = Twin()
    made: list[int] = []

    def invent(_request: Any, _key: TwinKey) -> dict[str, Any]:
        made.append(len(made))
        return body([sub(f"s{len(made)}", 1712000000000 + len(made))])

    twin.signed[("GET", okx.SUB_ACCOUNTS.path)] = invent
    sheet = collect(twin)
    assert len(made) == 5
    assert reasons(sheet)["users/subaccount/list"] == "not_collected"


# Keys of sub-accounts


def test_a_masked_key_id_identifies_nothing() -> None:
    rows = (
        with_sub_keys(sub_key(label="a", apiKey="******"), sub_key(label="b", apiKey=""), sub_key(label="c")).rows[
            "api_key"
        ]
        or []
    )
    assert [row.get("public_id") for row in rows[1:]] == [None, None, "3d3d3d3d-0000-4000-8000-00000000k03c"]


@pytest.mark.parametrize("field", ["label", "apiKey", "perm", "ip", "ts"])
@pytest.mark.parametrize("odd", [..., None, 1.5, {}])
def test_a_sub_accounts_key_with_an_odd_field_is_still_a_key(field: str, odd: Any) -> None:
    sheet = with_sub_keys(sub_key(**{field: odd}))
    row = (sheet.rows["api_key"] or [])[1]
    absent = {"label": "label", "apiKey": "public_id", "perm": "can_withdraw", "ip": "ip_bound", "ts": "created_at"}[
        field
    ]
    assert absent not in row and row["sub_account"] == "grid01"
    assert reasons(sheet)["users/subaccount/apikey"] == "malformed_response"


@pytest.mark.parametrize("ts", ["0", "", "-1", "99999999999999999", "1e12", 10**400])
def test_a_time_that_cannot_be_one_is_unknown_and_does_not_cost_the_key(ts: Any) -> None:
    row = (with_sub_keys(sub_key(ts=ts)).rows["api_key"] or [])[1]
    assert "created_at" not in row and row["can_trade"] is True


def test_read_and_read_only_are_one_word() -> None:
    sheet = with_sub_keys(sub_key(label="a", perm="read,trade"), sub_key(label="b", perm="read"))
    assert keys(sheet)["a"]["can_read"] is keys(sheet)["a"]["can_trade"] is True
    assert keys(sheet)["b"]["can_trade"] is False


@pytest.mark.parametrize(("enable", "enabled"), [(True, True), (False, None), ("true", None), (None, None)])
def test_a_key_of_a_frozen_sub_account_is_not_called_enabled(enable: Any, enabled: bool | None) -> None:
    assert keys(with_sub_keys(sub_key(), enable=enable))["bot"].get("enabled") is enabled


def test_an_item_that_is_no_object_is_no_key() -> None:
    sheet = with_sub_keys(5)
    assert len(sheet.rows["api_key"] or []) == 1
    assert reasons(sheet)["users/subaccount/apikey"] == "malformed_response"


def test_names_that_are_e_mail_addresses_are_masked_distinct_and_asked_for_as_they_are() -> None:
    twin = Twin()
    names = ["desk@example.com", "dave@example.org", "plain"]
    twin.sub_accounts = [sub(name, 1712000000000 + number) for number, name in enumerate(names)]
    twin.sub_keys = {name: [sub_key(label=name[:4])] for name in names}
    shown = [row["sub_account"] for row in (collect(twin).rows["api_key"] or [])[1:]]
    assert len(set(shown)) == 3 and not any("@" in name for name in shown)
    assert {request.query["subAcct"] for request in twin.requests if request.path == okx.SUB_KEYS.path} == set(names)


@pytest.mark.parametrize(
    "name", ["a&subAcct=b#frag", "../../withdrawal", "x y\r\nX: 1", "%2F..", "☃", "\ud800", "s" * 9000, "a+b;c=d"]
)
def test_a_hostile_sub_account_name_is_asked_for_exactly_or_not_at_all(name: str) -> None:
    twin = Twin()
    twin.sub_accounts = [sub(name, 1712000000000)]
    sheet = collect(twin)
    asked = [request.query for request in twin.requests if request.path == okx.SUB_KEYS.path]
    if asked:
        assert asked == [{"subAcct": name.encode("utf-8", "replace").decode()}]
    else:
        assert reasons(sheet)["users/subaccount/apikey"] == "implausible_response"
    assert {request.path for request in twin.requests} <= {endpoint.path for endpoint in okx.endpoints}


def test_keys_of_the_other_sub_accounts_are_kept_when_one_cannot_be_read() -> None:
    twin = Twin()
    serve = twin.signed[("GET", okx.SUB_KEYS.path)]
    twin.signed[("GET", okx.SUB_KEYS.path)] = lambda request, key: (
        body([], "50030") if request.query["subAcct"] == "arb02" else serve(request, key)
    )
    sheet = collect(twin)
    assert {"grid-bot", "dashboard"} <= set(keys(sheet))
    assert reasons(sheet) == {"users/subaccount/apikey": "permission_denied"}


# Quota and status


@pytest.mark.parametrize(
    ("rows", "limit", "used", "reason"),
    [
        ([{"wdQuota": "500", "usedWdQuota": "20.5"}], 500.0, 20.5, None),
        ([{"wdQuota": 500, "usedWdQuota": 0}], 500.0, 0.0, None),
        ([{"wdQuota": "500", "usedWdQuota": "1"}] * 3, 500.0, 1.0, None),
        ([{"wdQuota": "", "usedWdQuota": ""}], None, None, "not_exposed"),
        ([], None, None, "not_exposed"),
        (
            [{"wdQuota": "500", "usedWdQuota": "1"}, {"wdQuota": "900", "usedWdQuota": "1"}],
            None,
            None,
            "implausible_response",
        ),
        ([{"wdQuota": "-1", "usedWdQuota": "1"}], None, 1.0, "malformed_response"),
        ([{"wdQuota": "NaN", "usedWdQuota": "1e999"}], None, None, "malformed_response"),
        ([{"wdQuota": 10**400, "usedWdQuota": "0"}], None, 0.0, "malformed_response"),
        ([{"usedWdQuota": "0"}], None, 0.0, "malformed_response"),
        ({}, None, None, "malformed_response"),
    ],
)
def test_quota_is_in_dollars_and_the_same_on_every_row(
    rows: Any, limit: float | None, used: float | None, reason: str | None
) -> None:
    twin = Twin()
    twin.signed[("GET", okx.QUOTA.path)] = lambda _request, _key: body(rows)
    sheet = collect(twin)
    assert (sheet.account.get("withdrawal_limit_daily_usd"), sheet.account.get("withdrawn_last_24h_usd")) == (
        limit,
        used,
    )
    assert {problem.reason.value for problem in sheet.problems} >= ({reason} if reason else set())
    assert bool(reason) == bool(sheet.problems)


def event(**fields: Any) -> dict[str, Any]:
    row = {"title": "t", "state": "ongoing", "env": "1", "maintType": "1", "serviceType": "5", "begin": "1", "end": "2"}
    return {name: value for name, value in {**row, **fields}.items() if value is not ...}


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], "ok"),
        ([event()], "maintenance"),
        ([event(env="2")], "ok"),
        ([event(), event(state="scheduled")], "maintenance"),
        ([event(state="scheduled"), event(state="completed"), event(state="canceled")], "ok"),
        ([event(state="pre_open")], "degraded"),
        ([event(maintType="3")], "degraded"),
        ([event(serviceType="11")], "degraded"),
        ([event(serviceType="99")], "maintenance"),
        ([event(maintType="2", serviceType="8"), event(maintType="3")], "maintenance"),
        ([event(state="paused")], None),
        ([event(env=...)], None),
        ([event(env=1)], None),
        ([event(state=...)], None),
        ([event(serviceType=...)], None),
        ({}, None),
        (None, None),
    ],
)
def test_status_is_what_runs_now_in_production_whatever_the_order(events: Any, status: str | None) -> None:
    for ordered in [events, list(reversed(events))] if isinstance(events, list) else [events]:
        twin = Twin()
        twin.events = ordered
        sheet = collect(twin)
        assert sheet.venue.get("status") == status
        assert ("system/status" in reasons(sheet)) == (status is None)


# Codes


@pytest.mark.parametrize(
    ("code", "reason"), [(code, reason) for reason, listed in CODES.items() for code in listed.split()]
)
@pytest.mark.parametrize("status", [200, 400, 401, 429])
def test_every_code_of_the_venue_means_what_the_venue_says(code: str, reason: str, status: int) -> None:
    for spelled in (code, int(code)):
        failure = okx.classify(answer(spelled, status), okx.CONFIG)
        assert failure is not None and failure.reason.value == reason
        assert failure.lockout is (reason in STOPS)
        assert failure.retry is (reason in RETRIED)


def test_the_table_holds_no_code_that_is_not_tested() -> None:
    assert set(okx._FAILURES) == {code for listed in CODES.values() for code in listed.split()}


@pytest.mark.parametrize("status", [200, 401])
def test_a_deleted_key_is_50119_at_http_200_and_401(status: int) -> None:
    failure = okx.classify(answer("50119", status), okx.CONFIG)
    assert failure is not None and failure.reason is Reason.INVALID_KEY
    assert "another OKX site" in failure.meaning  # for it is also what a key of the EEA site is told


@pytest.mark.parametrize("code", ["0", 0])
def test_success_is_code_0(code: Any) -> None:
    assert okx.classify(answer(code), okx.CONFIG) is None


@pytest.mark.parametrize(
    "spoiled",
    [
        {},
        {"data": []},
        {"code": None, "data": []},
        [],
        {"code": ["0"]},
        {"code": True},
        {"code": "2"},
        "0",
        0,
        {"code": "00"},
    ],
)
def test_a_body_that_does_not_say_success_is_malformed(spoiled: Any) -> None:
    failure = okx.classify(Answer(status=200, body=spoiled, text="", headers={}), okx.CONFIG)
    assert failure is not None and failure.reason is Reason.MALFORMED_RESPONSE


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "malformed_response"),
        (403, "venue_incident"),
        (429, "rate_limited"),
        (500, "venue_incident"),
        (503, "venue_maintenance"),
    ],
)
@pytest.mark.parametrize("code", ["40100", 401, None, "50103", "50104", "50106", "50107"])
def test_a_code_we_do_not_know_is_judged_by_the_status_and_never_blames_the_key(
    status: int, reason: str, code: Any
) -> None:
    failure = okx.classify(answer(code, status), okx.CONFIG)
    assert failure is not None and failure.reason.value == reason


# Troubles on the way


EXPECTED = {
    Refusal.BAD_KEY: "invalid_key",
    Refusal.BAD_SIGNATURE: "invalid_key",
    Refusal.BAD_TIMESTAMP: "clock_skew",
    Refusal.FOREIGN_IP: "ip_not_allowed",
    Refusal.MISSING_PERMISSION: "permission_denied",
    Refusal.RATE_LIMIT: "rate_limited",
    Refusal.MAINTENANCE: "venue_maintenance",
    Breakage.HTML_ERROR: "venue_incident",
    Breakage.TRUNCATED: "malformed_response",
    Breakage.WRONG_SHAPE: "malformed_response",
    Breakage.REDIRECT: "malformed_response",
    Breakage.SILENCE: "timeout",
    Breakage.EMPTY: "malformed_response",
}


def test_every_trouble_of_the_twin_is_expected_here() -> None:
    assert set(EXPECTED) == {*Refusal, *Breakage}


@pytest.mark.parametrize("endpoint", list(SHOWN_BY), ids=lambda endpoint: endpoint.name)
@pytest.mark.parametrize("how", list(EXPECTED), ids=lambda how: how.value)
def test_a_trouble_on_one_endpoint_is_a_problem_and_nothing_is_invented(endpoint: Any, how: Any) -> None:
    whole = collect(Twin())
    twin = Twin()
    twin.fail(how, prefix=endpoint.path)
    sheet = collect(twin, deadline=0.3 if how is Breakage.SILENCE else 10)
    wrong_answer_to_a_public_call = endpoint.public and how in {Refusal.BAD_KEY, Refusal.BAD_SIGNATURE}
    assert reasons(sheet)[endpoint.name] == ("malformed_response" if wrong_answer_to_a_public_call else EXPECTED[how])
    proven = {f"account.{name}" for name in sheet.account} | {f"venue.{name}" for name in sheet.venue}
    assert proven.isdisjoint(SHOWN_BY[endpoint])
    labels = {None: {"auditor"}, okx.CONFIG: {"grid-bot", "dashboard"}}.get(endpoint, {"auditor"})
    assert set(keys(sheet)) <= set(keys(whole))
    if endpoint in {okx.QUOTA, okx.STATUS} and EXPECTED[how] not in STOPS:
        assert set(keys(sheet)) == set(keys(whole))
    elif EXPECTED[how] in STOPS and endpoint == okx.CONFIG:
        assert sheet.rows["api_key"] is None
    elif endpoint == okx.CONFIG:
        assert set(keys(sheet)) == labels
    for row in sheet.rows["api_key"] or []:
        assert row in (whole.rows["api_key"] or [])


@pytest.mark.parametrize("how", [Refusal.BAD_KEY, Refusal.BAD_SIGNATURE, Refusal.FOREIGN_IP])
def test_a_refused_key_or_address_is_sent_once_and_never_again(how: Refusal) -> None:
    twin = Twin()
    twin.fail(how, prefix="/api/v5/account")
    sheet = collect(twin)
    assert [request.path for request in twin.requests if request.path != okx.STATUS.path] == [okx.CONFIG.path]
    assert sheet.rows["api_key"] is None and sheet.account == {}
    assert set(reasons(sheet)) == {"account/config", "users/subaccount/list", "asset/currencies"}


def test_a_key_bound_elsewhere_is_an_address_refused_and_not_a_bad_key() -> None:
    twin = Twin()
    first = twin.sample_keys()[0]
    twin.keys[first.api_key] = replace(first, about={**first.about, "ip": "203.0.113.0/24,2001:db8::/32"})
    sheet = collect(twin)
    assert set(reasons(sheet).values()) == {"ip_not_allowed"}
    twin.caller = "203.0.113.77"
    assert not collect(twin).problems


def test_a_wrong_passphrase_or_secret_is_an_invalid_key() -> None:
    good = Twin().sample_credentials()
    for name in good:
        assert set(reasons(collect(Twin(), credentials={**good, name: "something else"})).values()) == {"invalid_key"}


@pytest.mark.parametrize(
    "how", [Refusal.RATE_LIMIT, Refusal.MAINTENANCE, Breakage.HTML_ERROR, Breakage.TRUNCATED, Breakage.EMPTY]
)
def test_a_passing_trouble_passes(how: Any) -> None:
    twin = Twin()
    twin.fail(how, prefix=okx.CONFIG.path, times=2)
    sheet = collect(twin)
    assert not sheet.problems and "auditor" in keys(sheet)


def test_no_credential_is_ever_in_a_problem() -> None:
    key = TwinKey(api_key=CANARIES[0], secret=CANARIES[1], password=CANARIES[2], about=config())
    credentials = dict(zip(okx.credentials, CANARIES, strict=True))

    def echo(request: Any) -> dict[str, Any]:
        return {"code": "99999", "msg": " ".join(CANARIES), "data": [dict(request.headers)]}

    for how in EXPECTED:
        twin = Twin()
        twin.keys = {key.api_key: key}
        twin.fail(how)
        assert not any(
            canary in str(collect(twin, credentials=credentials, deadline=0.05).problems) for canary in CANARIES
        )
    twin = Twin()
    twin.keys = {key.api_key: key}
    twin.signed = {place: lambda request, _key: echo(request) for place in twin.signed}
    sheet = collect(twin, credentials=credentials)
    assert sheet.problems and not any(canary in repr(sheet) for canary in CANARIES)


# Anything at all


def _mutate(value: Any, draw: Any) -> Any:
    """`value` with one place replaced by anything, or dropped."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        name = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 3)):
            return {other: child for other, child in value.items() if other != name}
        return {**value, name: _mutate(value[name], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], _mutate(value[place], draw), *value[place + 1 :]]
    return draw(ANYTHING)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["", "0", "-1", "true", "*", "read_only", "withdraw", "1712000000000", 10**400, "\ud800", "\x00", "a@b.example"]
    )
)
ANYTHING = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.text(max_size=4), LEAVES, max_size=3)


class Stub:
    """A door that answers from a table, so that thousands of bodies can be tried."""

    def __init__(self, bodies: dict[str, Any]) -> None:
        self.bodies = bodies
        self.calls = 0

    async def fetch(self, endpoint: Any, params: Any = None) -> Any:
        self.calls += 1
        assert self.calls < 2000, "asks for ever"
        if endpoint == okx.SUB_ACCOUNTS and "after" in (params or {}):
            return body([])
        return copy.deepcopy(self.bodies[endpoint.name])


def _bodies() -> dict[str, Any]:
    twin = Twin()
    return {
        "account/config": body([config(perm="read_only,trade")]),
        "users/subaccount/list": body(twin.sub_accounts),
        "users/subaccount/apikey": body(twin.sub_keys["grid01"]),
        "asset/currencies": body([{"ccy": "BTC", "wdQuota": "1", "usedWdQuota": "0"}]),
        "system/status": body([event(), event(env="2")]),
    }


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_answer_whatsoever_raises_or_writes_a_malformed_fact(data: st.DataObject) -> None:
    bodies = _bodies()
    for name in data.draw(st.sets(st.sampled_from(sorted(bodies)), min_size=1, max_size=3)):
        bodies[name] = _mutate(bodies[name], data.draw)
    sheet = Sheet()
    asyncio.run(okx.collect(Stub(bodies), sheet))
    for scope, facts in [
        ("account", sheet.account),
        ("venue", sheet.venue),
        *(("api_key", row) for row in sheet.rows["api_key"] or []),
    ]:
        for name, value in facts.items():
            assert name == "public_id" or catalogue()[f"{scope}.{name}"].check(value) is None
    json.dumps([sheet.account, sheet.rows], ensure_ascii=False).encode()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_answers_over_the_wire_never_raise(data: st.DataObject) -> None:
    twin = Twin()
    bodies = _bodies()
    name = data.draw(st.sampled_from(sorted(bodies)))
    spoiled = _mutate(bodies[name], data.draw)
    path = f"/api/v5/{name}"
    if name == "system/status":
        twin.public[("GET", path)] = lambda _request: spoiled
    else:
        twin.signed[("GET", path)] = lambda _request, _key: spoiled
    collect(twin)


# The skew of the clocks, and the venue file


@pytest.mark.parametrize("seconds", [-3600, 45, 7200])
def test_a_wrong_clock_is_learnt_once_and_the_audit_goes_on(seconds: int) -> None:
    from datetime import timedelta

    twin = Twin()
    twin.clock_ahead = timedelta(seconds=seconds)
    sheet = collect(twin)
    assert not sheet.problems
    assert sum(request.path == okx.TIME.path for request in twin.requests) == 1
    assert sum(request.status == 401 for request in twin.requests) == 1


def test_a_clock_that_cannot_be_asked_leaves_the_skew_as_the_reason() -> None:
    from datetime import timedelta

    for how in (Refusal.MAINTENANCE, Breakage.WRONG_SHAPE, Breakage.REDIRECT):
        twin = Twin()
        twin.clock_ahead = timedelta(hours=2)
        twin.fail(how, prefix=okx.TIME.path)
        assert reasons(collect(twin))["account/config"] == "clock_skew"


def test_the_venue_file_is_sound_and_guesses_nothing() -> None:
    file = _venue.load("okx")
    assert file.connector == "okx" and file.credentials == okx.credentials
    stated = {policy.fact: policy for policy in file.policies}
    for policy in stated.values():
        assert policy.value is None or (policy.sources and policy.confidence in {"low", "medium", "high"})
    assert (
        stated["venue.hold_after_password_change_hours"].value == 0
        and stated["venue.hold_after_password_change_hours"].condition
    )
    assert stated["venue.new_address_delay_hours"].value is None and stated["venue.new_address_delay_hours"].condition
    assert stated["venue.anti_phishing_code_supported"].value is None
    for remedy in (
        "bind_ip",
        "delete_key",
        "drop_withdraw",
        "drop_trade",
        "enable_allowlist",
        "switch_second_factor",
        "freeze",
    ):
        assert file.remedies[remedy]


def test_thirty_accounts_share_one_look_at_the_status() -> None:
    async def run() -> Twin:
        twin = Twin()
        async with twin, Venue(okx, endpoint=twin.url) as venue:
            doors = [
                venue.key({name: Secret(value) for name, value in twin.sample_credentials().items()}) for _ in range(30)
            ]
            await asyncio.gather(*[okx.collect(door, Sheet()) for door in doors])
        return twin

    assert sum(request.path == okx.STATUS.path for request in asyncio.run(run()).requests) == 1
