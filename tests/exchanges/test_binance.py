"""Binance over the wire of its twin: every trap of its documentation, every refusal on every read, and answers that lie."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges import _gate, binance
from auditor.exchanges._base import Answer, Endpoint, Sheet, Unavailable, failure
from auditor.exchanges._transport import Venue
from auditor.exchanges._venue import load
from auditor.model.evidence import Reason
from auditor.model.facts import catalogue
from auditor.redaction import Secret
from auditor.twin._base import Breakage, Refusal, TwinKey
from auditor.twin.binance import Twin
from tests.exchanges.wire import collect, reasons

SIGNED = [endpoint for endpoint in binance._ALWAYS if not endpoint.public]  # the others are under test_funds.py
READ = [*SIGNED, binance.STATUS]
GRID = "grid_virtual@demo.invalid"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.exchanges._transport.FIRST_PAUSE", 0.0)


def run(**changed: Any) -> Sheet:
    """The sheet of a twin with some of its attributes replaced, and the restrictions of its audit key updated."""
    twin = Twin()
    restrict(twin, changed.pop("key", {}))
    for name, value in changed.items():
        setattr(twin, name, value)
    return collect(twin)


def restrict(twin: Twin, changed: dict[str, Any]) -> None:
    """Changes what the audit key says of itself; None takes a field away."""
    public_key, key = next(iter(twin.keys.items()))
    said = {name: value for name, value in {**key.about["restrictions"], **changed}.items() if value is not None}
    about = {**key.about, "restrictions": said}
    twin.keys[public_key] = TwinKey(api_key=key.api_key, secret=key.secret, ips=key.ips, about=about)


def audit_key(sheet: Sheet) -> dict[str, Any]:
    rows = [row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")]
    return rows[0] if rows else {}


def sub_keys(sheet: Sheet) -> dict[str, dict[str, Any]]:
    return {row.get("label", ""): row for row in sheet.rows["api_key"] or [] if "sub_account" in row}


def facts_named(sheet: Sheet) -> set[str]:
    return {fact for problem in sheet.problems for fact in problem.facts}


def with_keys(*rows: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    base = Twin().sub_keys[GRID][0]
    return {GRID: [{**base, **row} for row in rows]}


# What the demo account shows.


def test_the_sample_account() -> None:
    twin = Twin()
    sheet = collect(twin)
    assert sheet.problems == []
    assert sheet.account_id == "810000001"
    assert sheet.account == {
        "kind": "main",
        "status": "normal",
        "withdrawal_limit_daily_usd": 8000000.0,
        "withdrawn_last_24h_usd": 0.0,
        "addresses_complete": True,
    }
    assert sheet.venue == {"status": "ok"}
    assert sheet.rows["event"] is None and sheet.rows["withdrawal"] is None
    key = audit_key(sheet)
    assert key["permissions"] == ["enableReading"] and key["can_read"] is True
    assert [key[f"can_{power}"] for power in ("trade", "trade_derivatives", "transfer", "withdraw", "manage")] == [
        False
    ] * 5
    assert key["ip_bound"] is True and "ip_allowlist" not in key and "label" not in key
    assert key["created_at"] == "2024-11-30T20:53:20Z"
    assert set(sub_keys(sheet)) == {"grid-bot", "sweeper", "arbitrage"}
    assert {request.verb for request in twin.requests} == {"GET"}


def test_the_inventory_of_the_main_account_is_never_called_complete() -> None:
    assert "key_inventory_complete" not in run().account


def test_every_fact_is_of_the_catalogue() -> None:
    sheet = run()
    names = {f"account.{name}" for name in sheet.account} | {f"venue.{name}" for name in sheet.venue}
    names |= {
        f"{scope}.{name}"
        for scope, rows in sheet.rows.items()
        for row in rows or []
        for name in row
        if name != "public_id"
    }
    assert names <= catalogue().keys()


def test_the_bot_key_of_the_main_account_moves_and_manages() -> None:
    bot = Twin().sample_keys()[1]
    sheet = collect(Twin(), credentials={"apiKey": bot.api_key, "secret": bot.secret})
    key = audit_key(sheet)
    assert (key["can_trade"], key["can_transfer"], key["can_manage"], key["ip_bound"]) == (True, True, True, False)
    assert key["can_withdraw"] is False and key["can_trade_derivatives"] is False
    assert sheet.account["master_key_over_subaccounts"] is True


def test_a_key_of_a_sub_account_is_told_that_it_may_not_list_and_nothing_is_made_of_that() -> None:
    sub = Twin().sample_keys()[2]
    sheet = collect(Twin(), credentials={"apiKey": sub.api_key, "secret": sub.secret})
    assert reasons(sheet) == {"sub-account/list": "permission_denied"}
    assert "kind" not in sheet.account and "master_key_over_subaccounts" not in sheet.account
    assert audit_key(sheet)["can_withdraw"] is False and sheet.rows["address"] is not None
    assert "main account" in sheet.problems[0].detail


# The traps of its documentation.


def test_trap_the_page_size_of_sub_accounts_defaults_to_one() -> None:
    twin = Twin()
    sheet = collect(twin)
    asked = [request.query for request in twin.requests if request.path.endswith("sub-account/list")]
    assert all(query["limit"] == "200" for query in asked)
    assert len({row["sub_account"] for row in sub_keys(sheet).values()}) == 2


def test_trap_a_page_size_that_is_not_honoured_hides_no_sub_account() -> None:
    sheet = run(largest_page=1)
    assert set(sub_keys(sheet)) == {"grid-bot", "sweeper", "arbitrage"} and sheet.problems == []


@pytest.mark.parametrize(
    ("said", "is_bound", "listed"),
    [
        ({"ipRestrict": "false"}, False, []),
        ({"ipRestrict": "false", "ipList": ["203.0.113.4"]}, False, []),
        ({"ipRestrict": False, "ipList": None}, False, []),
        ({"ipRestrict": "true", "ipList": ["203.0.113.4", ""]}, True, ["203.0.113.4"]),
        ({"ipRestrict": "true", "ipList": []}, True, None),
        ({"ipRestrict": "true", "ipList": [""]}, True, None),
        ({"ipRestrict": "true"}, True, None),
        ({"ipRestrict": "true", "ipList": ["*"]}, False, []),
        ({"ipList": ["203.0.113.4"]}, None, None),
        ({"ipRestrict": None, "ipList": ["203.0.113.4"]}, None, None),
        ({"ipRestrict": "maybe", "ipList": []}, None, None),
        ({"ipRestrict": "true", "ipList": "203.0.113.4"}, None, None),
        ({"ipRestrict": "true", "ipList": [1]}, None, None),
    ],
)
def test_trap_the_restriction_of_a_sub_key_is_text(said: dict[str, Any], is_bound: bool | None, listed: Any) -> None:
    twin = Twin()
    sheet = run(restrictions={**twin.restrictions, "DemoSubPublicKeyGrid0001": said})
    row = sub_keys(sheet)["grid-bot"]
    assert row.get("ip_bound") is is_bound and row.get("ip_allowlist") == listed
    if is_bound is None:
        assert reasons(sheet) == {"sub-account/subAccountApi/ipRestriction": "malformed_response"}
        assert facts_named(sheet) == {"api_key.ip_bound", "api_key.ip_allowlist"}


def test_trap_the_restriction_needs_the_whole_public_key() -> None:
    sheet = run(sub_keys=with_keys({"apikey": "Demo****0001"}))
    row = sub_keys(sheet)["grid-bot"]
    assert "public_id" not in row and "ip_bound" not in row
    assert reasons(sheet) == {"sub-account/subAccountApi/ipRestriction": "malformed_response"}


def test_trap_the_timestamp_of_a_sub_key_is_no_age_and_the_update_time_no_modification() -> None:
    assert all("created_at" not in row and "modified_at" not in row for row in sub_keys(run()).values())


def test_trap_a_sub_key_is_never_known_not_to_withdraw_read_or_trade() -> None:
    row = sub_keys(run())["sweeper"]
    assert not {"can_withdraw", "can_read", "can_trade", "enabled"} & row.keys()
    assert row["can_transfer"] is True and row["can_trade_derivatives"] is False


def test_trap_the_account_may_withdraw_and_the_key_may_not() -> None:
    sheet = run()
    assert audit_key(sheet)["can_withdraw"] is False
    assert "restricted" not in sheet.account.values()


def test_trap_the_white_mark_of_an_address_is_neither_the_switch_nor_a_way_round_the_second_factor() -> None:
    sheet = run()
    assert "withdrawal_allowlist_enabled" not in sheet.account
    assert all(row.keys() <= {"asset", "network", "label", "public_id"} for row in sheet.rows["address"] or [])


def test_trap_an_empty_address_book_is_seen_and_empty() -> None:
    sheet = run(address_book=[])
    assert sheet.rows["address"] == [] and sheet.account["addresses_complete"] is True


def test_one_address_with_two_tags_is_two_destinations() -> None:
    ids = [row["public_id"] for row in run().rows["address"] or []]
    assert len(set(ids)) == 4


def test_an_address_without_an_address_leaves_the_list_incomplete() -> None:
    sheet = run(address_book=[{"coin": "BTC", "name": "cold"}, *Twin().address_book])
    assert len(sheet.rows["address"] or []) == 4 and "addresses_complete" not in sheet.account
    assert {"addresses", "account.addresses_complete"} <= facts_named(sheet)


def test_trap_the_account_status_is_a_word_of_which_one_is_documented() -> None:
    sheet = run(account_status={"data": "Locked by victim@demo.invalid"})
    assert "status" not in sheet.account
    assert reasons(sheet) == {"account/status": "malformed_response"} and "victim" not in str(sheet.problems)


def test_trap_a_trading_lock_is_no_security_freeze_and_is_not_even_asked() -> None:
    assert not any("apiTradingStatus" in endpoint.path for endpoint in binance.endpoints)


@pytest.mark.parametrize(
    ("flag", "status"), [(0, "ok"), (1, "maintenance"), ("1", "maintenance"), (2, None), (None, None)]
)
def test_the_system_status(flag: Any, status: str | None) -> None:
    sheet = run(status={"status": flag, "msg": "normal"})
    assert sheet.venue.get("status") == status
    assert ("system/status" in reasons(sheet)) is (status is None)


@pytest.mark.parametrize("value", [0, "0", ""])
def test_a_key_made_in_1970_has_an_unknown_age(value: Any) -> None:
    key = audit_key(run(key={"createTime": value}))
    assert "created_at" not in key and key["can_withdraw"] is False


@pytest.mark.parametrize("value", [1000, "yesterday", 10**400, 1.5, [1], {"a": 1}, -1])
def test_an_odd_time_costs_the_age_and_nothing_else(value: Any) -> None:
    sheet = run(key={"createTime": value})
    assert "created_at" not in audit_key(sheet) and audit_key(sheet)["can_withdraw"] is False
    assert facts_named(sheet) == {"api_key.created_at"}


@pytest.mark.parametrize("value", [True, "true", "TRUE", 1, "1"])
@pytest.mark.parametrize(("flag", "fact"), [(flag, fact) for fact, flags in binance._POWERS.items() for flag in flags])
def test_every_flag_grants_its_power_however_true_is_spelled(flag: str, fact: str, value: Any) -> None:
    sheet = asyncio.run(_written({**Twin().sample_keys()[0].about["restrictions"], flag: value}))
    assert audit_key(sheet)[fact] is True and flag in audit_key(sheet)["permissions"]


@pytest.mark.parametrize("value", ["absent", None, "perhaps", 2, [True], {}])
@pytest.mark.parametrize(("flag", "fact"), [(flag, fact) for fact, flags in binance._POWERS.items() for flag in flags])
def test_a_flag_that_is_missing_or_odd_makes_its_power_unknown_and_says_so(flag: str, fact: str, value: Any) -> None:
    said = {**Twin().sample_keys()[0].about["restrictions"], flag: value}
    sheet = asyncio.run(_written({name: said[name] for name in said if said[name] != "absent"}))
    assert fact not in audit_key(sheet) and f"api_key.{fact}" in facts_named(sheet)


@pytest.mark.parametrize(
    "name", ["enableAlphaWithdrawals", "enablePredictionTrading", "enableReadAndTrade", "canDoAnything"]
)
@pytest.mark.parametrize("value", [True, "true", 1])
def test_a_privilege_we_do_not_know_makes_every_power_unknown(name: str, value: Any) -> None:
    key = audit_key(run(key={name: value}))
    assert not {fact for fact in key if fact.startswith("can_")} - {"can_read"}
    assert name in key["permissions"] and key["can_read"] is True


@pytest.mark.parametrize(
    ("name", "value"), [("enableTaxReading", True), ("enableNovelty", False), ("tradingAuthorityExpirationTime", 1)]
)
def test_a_new_right_to_read_or_one_that_is_off_is_no_privilege(name: str, value: Any) -> None:
    key = audit_key(run(key={name: value}))
    assert key["can_withdraw"] is False and key["can_trade"] is False


@pytest.mark.parametrize("flag", ["enableFutures", "enableVanillaOptions", "enablePortfolioMarginTrading"])
def test_trap_a_key_for_futures_or_options_alone_trades(flag: str) -> None:
    key = audit_key(run(key={"enableSpotAndMarginTrading": False, flag: True}))
    assert (key["can_trade"], key["can_trade_derivatives"]) == (True, True)


def test_margin_alone_leaves_trade_and_transfer_unknown() -> None:
    key = audit_key(run(key={"enableMargin": True}))
    assert not {"can_trade", "can_transfer"} & key.keys() and key["can_withdraw"] is False


def test_a_withdrawing_key_that_is_not_bound_is_reported_as_it_is_seen() -> None:
    key = audit_key(run(key={"enableWithdrawals": True, "ipRestrict": False}))
    assert key["can_withdraw"] is True and key["ip_bound"] is False


@pytest.mark.parametrize("value", [None, "perhaps", []])
def test_a_missing_binding_is_unknown(value: Any) -> None:
    sheet = run(key={"ipRestrict": value})
    assert "ip_bound" not in audit_key(sheet) and "api_key.ip_bound" in facts_named(sheet)


def test_a_description_without_any_permission_is_no_key() -> None:
    sheet = asyncio.run(_written({"ipRestrict": False, "createTime": 1733000000000}))
    assert not audit_key(sheet) and "api_keys" in facts_named(sheet)


def test_a_trading_key_manages_only_once_sub_accounts_are_seen() -> None:
    changed = {"enableSpotAndMarginTrading": True}
    assert audit_key(run(key=changed))["can_manage"] is True
    assert "can_manage" not in audit_key(run(key=changed, sub_accounts=[]))


@pytest.mark.parametrize(("moves", "subs", "over"), [(True, True, True), (False, True, None), (True, False, False)])
def test_one_key_over_all_sub_accounts(moves: bool, subs: bool, over: bool | None) -> None:
    sheet = run(key={"enableInternalTransfer": moves}, **({} if subs else {"sub_accounts": []}))
    assert sheet.account.get("master_key_over_subaccounts") is over


def test_sub_accounts_that_cannot_be_read_are_not_called_none() -> None:
    sheet = run(key={"enableInternalTransfer": True}, sub_accounts=[{"remark": "no address"}, "nobody", {"email": ""}])
    assert sheet.account["kind"] == "main" and "master_key_over_subaccounts" not in sheet.account
    assert reasons(sheet) == {"sub-account/list": "malformed_response"} and "api_keys" in facts_named(sheet)


def test_what_the_first_page_proves_outlives_the_second() -> None:
    def page(params: dict[str, str]) -> Any:
        if params["page"] == "2":
            raise Unavailable(failure(Reason.VENUE_INCIDENT, "-1000"))
        return {"subAccounts": [{"email": GRID}]}

    said = Twin().sample_keys()[1].about["restrictions"]
    keys = {"total": 1, "list": Twin().sub_keys[GRID][:1]}
    sheet = asyncio.run(_written(said, **{"sub-account/list": page, "sub-account/subAccountApi": keys}))
    assert sheet.account["kind"] == "main" and sheet.account["master_key_over_subaccounts"] is True
    assert "grid-bot" in sub_keys(sheet) and reasons(sheet)["sub-account/list"] == "venue_incident"


def test_a_universal_transfer_does_not_reach_sub_accounts() -> None:
    sheet = run(key={"permitsUniversalTransfer": True})
    assert "master_key_over_subaccounts" not in sheet.account and audit_key(sheet)["can_transfer"] is True


@pytest.mark.parametrize("name", ["true", "1", "TRUE"])
def test_a_sub_key_called_true_is_no_privilege(name: str) -> None:
    row = sub_keys(run(sub_keys=with_keys({"apiName": name})))[name]
    assert row["can_transfer"] is False and name not in row["permissions"]


def test_the_quota_may_be_half_there() -> None:
    sheet = run(quota={"wdQuota": "100.5"})
    assert sheet.account["withdrawal_limit_daily_usd"] == 100.5
    assert "withdrawn_last_24h_usd" not in sheet.account
    assert facts_named(sheet) == {"account.withdrawn_last_24h_usd"}


# E-mail addresses: escaped on the wire, never stored, and still told apart.


def test_an_email_address_arrives_as_it_is_and_is_escaped() -> None:
    twin = Twin()
    sheet = collect(twin)
    asked = {request.query["email"] for request in twin.requests if "email" in request.query}
    assert asked == {GRID, "arb+two@demo.invalid"} and "arbitrage" in sub_keys(sheet)


HOSTILE_EMAILS = [
    "a b@demo.invalid",
    "a&limit=1@demo.invalid",
    "a%40@demo.invalid",
    "ü@demo.invalid",
    "a@bücher.invalid",
    "root@localhost",
    "a#b@demo.invalid",
    "a?b=c@demo.invalid",
    'a"<b>@demo.invalid',
    "a\x1b[31m@demo.invalid",
    "a\ud800@demo.invalid",
    "x" * 9000 + "@demo.invalid",
]


@pytest.mark.parametrize("email", HOSTILE_EMAILS)
def test_a_hostile_email_address_stays_one_parameter_and_is_not_stored(email: str) -> None:
    twin = Twin()
    twin.sub_accounts[0]["email"] = email
    twin.sub_accounts[0]["remark"] = f"mine: {email}"
    twin.sub_keys[email] = [{**twin.sub_keys[GRID][0], "apiName": "seen"}]
    sheet = collect(twin)
    assert "arbitrage" in sub_keys(sheet)
    if len(email) < 300 and email.isprintable():
        assert sub_keys(sheet)["seen"]["can_trade"] is True
    written = json.dumps([sheet.rows["api_key"], sheet.account, [problem.to_document() for problem in sheet.problems]])
    assert "@" not in written.replace("\\u2022", "")
    assert email.split("@")[1] not in written and "localhost" not in written


def test_sub_accounts_that_look_alike_are_told_apart() -> None:
    emails = [f"bot{number}@demo.invalid" for number in range(4)]
    subs = [{"email": email, "remark": remark} for email, remark in zip(emails, ["", "", "grid", "grid"], strict=True)]
    subs.append({"email": "c@demo.invalid", "remark": "b•••"})
    key = Twin().sub_keys[GRID][0]
    keys = {sub["email"]: [{**key, "apikey": f"DemoSubPublicKey000{place}"}] for place, sub in enumerate(subs)}
    sheet = run(sub_accounts=subs, sub_keys=keys)
    names = [row["sub_account"] for row in sheet.rows["api_key"] or [] if "sub_account" in row]
    assert len(names) == len(set(names)) == 5
    assert sorted(names) == ["b•••", "b••• (2)", "b••• (c•••)", "grid (b•••)", "grid (b•••) (2)"]


def test_a_label_that_is_an_email_address_is_masked() -> None:
    book = [
        {"address": "bc1qinvented0", "coin": "BTC", "network": "BTC", "name": "victim@demo.invalid", "addressTag": ""}
    ]
    sheet = run(address_book=book, sub_keys=with_keys({"apiName": "for victim@demo.invalid"}))
    assert "victim" not in str(sheet.rows)


# Pages.


class Fake:
    """A door without a wire: a function of the parameters for each endpoint by name."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def fetch(self, endpoint: Endpoint, params: Any = None) -> Any:
        self.asked.append((endpoint.name, dict(params or {})))
        if endpoint.name not in self.answers:
            raise Unavailable(failure(Reason.TIMEOUT, "none"))
        answer = self.answers[endpoint.name]
        return copy.deepcopy(answer(params or {}) if callable(answer) else answer)


async def _written(restrictions: Any, **answers: Any) -> Sheet:
    sheet = Sheet()
    await binance.collect(Fake(**{"account/apiRestrictions": restrictions}, **answers), sheet)
    return sheet


def _page_of(rows: list[Any], size: str) -> Any:
    def answer(params: dict[str, str]) -> list[Any]:
        start = (int(params["page"]) - 1) * int(params[size])
        return rows[start : start + int(params[size])]

    return answer


def test_four_hundred_and_fifty_sub_accounts_and_their_keys_are_all_seen() -> None:
    page = _page_of([{"email": f"bot{number}@demo.invalid"} for number in range(450)], "limit")
    sheet = Sheet()
    door = Fake(
        **{
            "sub-account/list": lambda params: {"subAccounts": page(params)},
            "sub-account/subAccountApi": {"total": 0, "list": []},
        }
    )
    asyncio.run(binance.collect(door, sheet))
    assert len({params["email"] for name, params in door.asked if name == "sub-account/subAccountApi"}) == 450


def test_keys_of_a_sub_account_are_paged_to_the_total() -> None:
    base = Twin().sub_keys[GRID][0]
    page = _page_of([{**base, "apikey": f"DemoSubPublicKey{number:05}"} for number in range(250)], "size")
    sheet = Sheet()
    door = Fake(
        **{
            "sub-account/list": {"subAccounts": [{"email": GRID}]},
            "sub-account/subAccountApi": lambda params: {"total": 250, "list": page(params)},
            "sub-account/subAccountApi/ipRestriction": {"ipRestrict": "false"},
        }
    )
    asyncio.run(binance.collect(door, sheet))
    assert len(sheet.rows["api_key"] or []) == 250 and all(
        row["ip_bound"] is False for row in sheet.rows["api_key"] or []
    )


def test_a_page_that_repeats_ends_and_a_total_that_is_not_reached_is_said() -> None:
    sheet = Sheet()
    door = Fake(
        **{
            "sub-account/list": {"subAccounts": [{"email": GRID}]},
            "sub-account/subAccountApi": {"total": 10**9, "list": Twin().sub_keys[GRID]},
            "sub-account/subAccountApi/ipRestriction": {"ipRestrict": "false"},
        }
    )
    asyncio.run(binance.collect(door, sheet))
    assert len(sheet.rows["api_key"] or []) == 2 and len(door.asked) < 20
    assert reasons(sheet)["sub-account/subAccountApi"] == "malformed_response"


def test_pages_without_an_end_are_bounded_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance, "_MOST_PAGES", 5)
    sheet = Sheet()
    door = Fake(
        **{
            "sub-account/list": lambda params: {"subAccounts": [{"email": f"bot{params['page']}@demo.invalid"}]},
            "sub-account/subAccountApi": {"total": 0, "list": []},
        }
    )
    asyncio.run(binance.collect(door, sheet))
    assert sum(name == "sub-account/list" for name, _ in door.asked) == 5
    assert reasons(sheet)["sub-account/list"] == "not_collected"


# Refusals.

CODES = [
    (400, {"code": 1, "msg": "System is under maintenance."}, Reason.VENUE_MAINTENANCE),
    (200, {"code": -1000, "msg": "unknown"}, Reason.VENUE_INCIDENT),
    (400, {"code": -1001, "msg": "disconnected"}, Reason.VENUE_INCIDENT),
    (400, {"code": -1007, "msg": "timeout"}, Reason.TIMEOUT),
    (503, {"code": -1008, "msg": "overloaded"}, Reason.VENUE_MAINTENANCE),
    (400, {"code": -1016, "msg": "This service is no longer available."}, Reason.VENUE_MAINTENANCE),
    (429, {"code": -1003, "msg": "Too many requests"}, Reason.RATE_LIMITED),
    (200, {"code": -1003, "msg": "Too many requests"}, Reason.RATE_LIMITED),
    (429, {}, Reason.RATE_LIMITED),
    (418, {"code": -1003, "msg": "Way too much request weight used; IP banned until 1"}, Reason.RATE_LIMITED),
    (418, None, Reason.RATE_LIMITED),
    (403, None, Reason.RATE_LIMITED),
    (403, {"code": -1002, "msg": "You are not authorized to execute this request."}, Reason.PERMISSION_DENIED),
    (400, {"msg": "You are not authorized to execute this request.", "success": False}, Reason.PERMISSION_DENIED),
    (200, {"msg": "You don't have permission.", "success": False}, Reason.PERMISSION_DENIED),
    (200, {"msg": "The user has no operation privilege now", "success": "false"}, Reason.PERMISSION_DENIED),
    (400, {"code": -1099, "msg": "Not found, unauthenticated, or unauthorized"}, Reason.PERMISSION_DENIED),
    (400, {"code": -9000, "msg": "Unsupported operation"}, Reason.PERMISSION_DENIED),
    (451, {"code": 0, "msg": "Service unavailable from a restricted location"}, Reason.IP_NOT_ALLOWED),
    (451, None, Reason.IP_NOT_ALLOWED),
    (401, {"code": -2014, "msg": "API-key format invalid."}, Reason.INVALID_KEY),
    (400, {"code": "-2008", "msg": "Invalid Api-Key ID."}, Reason.INVALID_KEY),
    (400, {"code": -1022, "msg": "Signature for this request is not valid."}, Reason.INVALID_KEY),
    (400, {"msg": "API key does not exist", "success": False}, Reason.INVALID_KEY),
    (401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, Reason.PERMISSION_DENIED),
    (400, {"code": -1021, "msg": "Timestamp outside"}, Reason.CLOCK_SKEW),
    (400, {"code": -7777, "msg": "new"}, Reason.MALFORMED_RESPONSE),
    (200, {"msg": "something else", "success": False}, Reason.MALFORMED_RESPONSE),
    (200, {"code": True, "msg": "?"}, Reason.MALFORMED_RESPONSE),
    (200, {"code": [1], "msg": ["?"]}, Reason.MALFORMED_RESPONSE),
    (503, {"code": -7777, "msg": "new"}, Reason.VENUE_MAINTENANCE),
    (500, None, Reason.VENUE_INCIDENT),
    (500, {"code": -2014, "msg": "API-key format invalid."}, Reason.VENUE_INCIDENT),
    (502, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, Reason.VENUE_INCIDENT),
    (503, {"msg": "API key does not exist", "success": False}, Reason.VENUE_MAINTENANCE),
]


def judged(status: int, body: Any, endpoint: Endpoint = binance.QUOTA) -> Any:
    """What the connector says, and the HTTP status where it says nothing: the order the transport keeps."""
    from auditor.exchanges._base import by_status

    answer = Answer(status=status, body=body, text=json.dumps(body), headers={})
    return binance.classify(answer, endpoint) or by_status(answer)


@pytest.mark.parametrize(("status", "body", "reason"), CODES)
def test_every_code(status: int, body: Any, reason: Reason) -> None:
    assert judged(status, body).reason is reason


@pytest.mark.parametrize(
    "body",
    [
        {"status": 1, "msg": "system_maintenance"},
        {"code": 0},
        {"code": None},
        {"code": "000000", "success": True},
        [],
        {},
        [{"code": -2015}],
    ],
)
def test_what_is_no_refusal(body: Any) -> None:
    assert judged(200, body) is None


def test_one_code_for_three_causes_is_never_a_revoked_key() -> None:
    refused = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
    itself = judged(401, refused, binance.RESTRICTIONS)
    assert itself.reason is Reason.IP_NOT_ALLOWED and itself.lockout
    assert "address" in itself.meaning and "deleted" in itself.meaning
    for endpoint in set(SIGNED) - {binance.RESTRICTIONS}:
        elsewhere = judged(401, refused, endpoint)
        assert elsewhere.reason is Reason.PERMISSION_DENIED and not elsewhere.lockout
        assert ("main account" in elsewhere.meaning) is endpoint.name.startswith("sub-account/")


@pytest.mark.parametrize(
    ("status", "body"),
    [(418, None), (418, {"code": -1003}), (429, {"code": -1003, "msg": "IP banned until 17"})],
)
def test_a_ban_is_a_lockout_of_the_address_and_never_retried(status: int, body: Any) -> None:
    ban = judged(status, body)
    assert ban.lockout and ban.address and not ban.retry and ban.reason is Reason.RATE_LIMITED


def test_a_firewall_s_page_stops_this_key_and_no_other() -> None:
    wall = judged(403, None)
    assert wall.lockout and not wall.address and not wall.retry and wall.reason is Reason.RATE_LIMITED


def test_a_page_that_names_the_country_is_a_refusal_of_the_address() -> None:
    answer = Answer(status=403, body=None, text="configured to block access from your country", headers={})
    assert binance.classify(answer, binance.QUOTA) is None


REFUSED = {
    Refusal.BAD_KEY: "invalid_key",
    Refusal.BAD_SIGNATURE: "invalid_key",
    Refusal.BAD_TIMESTAMP: "clock_skew",
    Refusal.FOREIGN_IP: "permission_denied",
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


def shown_by(endpoint: Endpoint, sheet: Sheet) -> list[Any]:
    """Everything on the sheet that only this endpoint shows."""
    subs = list(sub_keys(sheet).values())
    account = sheet.account
    return {
        binance.RESTRICTIONS: [audit_key(sheet)],
        binance.ACCOUNT_STATUS: [account.get("status")],
        binance.SPOT_ACCOUNT: [sheet.account_id],
        binance.ADDRESSES: [sheet.rows["address"], account.get("addresses_complete")],
        binance.QUOTA: [account.get("withdrawal_limit_daily_usd"), account.get("withdrawn_last_24h_usd")],
        binance.SUB_ACCOUNTS: [account.get("kind"), account.get("master_key_over_subaccounts"), *subs],
        binance.SUB_KEYS: subs,
        binance.SUB_KEY_IPS: [row.get(fact) for row in subs for fact in ("ip_bound", "ip_allowlist")],
        binance.STATUS: [sheet.venue.get("status")],
    }[endpoint]


ABOUT_A_KEY = {
    Refusal.BAD_KEY,
    Refusal.BAD_SIGNATURE,
    Refusal.BAD_TIMESTAMP,
    Refusal.FOREIGN_IP,
    Refusal.MISSING_PERMISSION,
}
CASES = [
    (how, endpoint)
    for how in REFUSED
    for endpoint in READ
    if how is not Breakage.SILENCE and not (endpoint.public and how in ABOUT_A_KEY)
]


async def _failing(how: Refusal | Breakage, endpoint: Endpoint, deadline: float = 5.0) -> Sheet:
    twin, sheet = Twin(), Sheet()
    twin.fail(how, endpoint.path)
    async with twin, Venue(binance, endpoint=twin.url, deadline=deadline) as venue:
        secrets = {name: Secret(value) for name, value in twin.sample_credentials().items()}
        await binance.collect(venue.key(secrets), sheet)
    return sheet


def assert_failed(sheet: Sheet, how: Refusal | Breakage, endpoint: Endpoint) -> None:
    """The failure has its reason, nothing is made of it, and what other reads show is there."""
    expected = REFUSED[how]
    if endpoint == binance.RESTRICTIONS and how in {Refusal.FOREIGN_IP, Refusal.MISSING_PERMISSION}:
        expected = "ip_not_allowed"
    assert reasons(sheet)[endpoint.name] == expected
    assert not any(shown_by(endpoint, sheet))
    if endpoint != binance.RESTRICTIONS:
        assert audit_key(sheet)["can_withdraw"] is False
    if expected not in {"invalid_key", "ip_not_allowed"}:
        others = set(READ) - {endpoint} - (set(binance._MAIN_ONLY) if endpoint in binance._MAIN_ONLY else set())
        assert all(any(shown_by(other, sheet)) for other in others)


@pytest.mark.parametrize(("how", "endpoint"), CASES, ids=[f"{endpoint.name}-{how}" for how, endpoint in CASES])
def test_every_failure_of_every_read_has_its_reason_and_invents_nothing(
    how: Refusal | Breakage, endpoint: Endpoint
) -> None:
    assert_failed(asyncio.run(_failing(how, endpoint)), how, endpoint)


def test_silence_of_every_read_is_a_timeout_and_invents_nothing() -> None:
    async def all_at_once() -> list[Sheet]:
        return await asyncio.gather(*[_failing(Breakage.SILENCE, endpoint, 0.5) for endpoint in READ])

    for endpoint, sheet in zip(READ, asyncio.run(all_at_once()), strict=True):
        assert_failed(sheet, Breakage.SILENCE, endpoint)


@pytest.mark.parametrize("how", sorted(ABOUT_A_KEY))
def test_a_public_read_says_nothing_of_the_key(how: Refusal) -> None:
    sheet = asyncio.run(_failing(how, binance.STATUS))
    assert "status" not in sheet.venue and reasons(sheet).keys() == {"system/status"}
    assert audit_key(sheet)["can_withdraw"] is False


@pytest.mark.parametrize("how", [Refusal.BAD_KEY, Refusal.BAD_SIGNATURE, Refusal.FOREIGN_IP])
def test_a_refused_key_or_address_is_asked_once(how: Refusal) -> None:
    twin = Twin()
    sheet = collect(twin, prepare=lambda venue: venue.fail(how, "/sapi/v1/account"))
    signed = [request for request in twin.requests if "X-MBX-APIKEY" in request.headers]
    assert len(signed) == 1
    assert sheet.rows["api_key"] is None and sheet.venue == {"status": "ok"}


def test_a_foreign_address_by_the_key_s_own_list() -> None:
    twin = Twin()
    twin.caller = "192.0.2.99"
    sheet = collect(twin)
    assert set(reasons(sheet).values()) == {"ip_not_allowed"} and sheet.rows["api_key"] is None


def test_a_wrong_secret_and_an_unknown_key() -> None:
    known = Twin().sample_credentials()
    for wrong in ({**known, "secret": "x" * 64}, {**known, "apiKey": "y" * 64}):
        sheet = collect(Twin(), credentials=wrong)
        assert set(reasons(sheet).values()) == {"invalid_key"} and sheet.account == {}


def test_a_clock_that_is_ahead_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    from auditor.twin import binance as wire

    real = wire._now_ms
    monkeypatch.setattr(wire, "_now_ms", lambda: real() - 3_600_000)
    sheet = run()
    assert sheet.problems == [] and audit_key(sheet)


def test_no_credential_stands_in_any_problem() -> None:
    secret = "CANARYsecret0000000000000000000000000000000000000000000000000000"
    public = "CANARYpublic0000000000000000000000000000000000000000000000000000"
    for how in (Refusal.BAD_SIGNATURE, Breakage.WRONG_SHAPE, Breakage.HTML_ERROR):
        twin = Twin()
        twin.keys[public] = TwinKey(api_key=public, secret=secret, about=twin.sample_keys()[0].about)
        sheet = collect(
            twin, credentials={"apiKey": public, "secret": secret}, prepare=lambda venue, how=how: venue.fail(how)
        )
        assert sheet.problems and "CANARY" not in str(sheet)


# Answers that lie.

WHOLE: dict[str, Any] = {
    "account/apiRestrictions": Twin().sample_keys()[1].about["restrictions"],
    "account/status": {"data": "Normal"},
    "api/v3/account": {"uid": 1, "canWithdraw": True, "balances": []},
    "capital/withdraw/address/list": Twin().address_book,
    "capital/withdraw/quota": {"wdQuota": "8000000", "usedWdQuota": "0"},
    "sub-account/list": {"subAccounts": Twin().sub_accounts},
    "sub-account/subAccountApi": {"total": 2, "list": Twin().sub_keys[GRID]},
    "sub-account/subAccountApi/ipRestriction": {"ipRestrict": "true", "ipList": ["203.0.113.4"]},
    "system/status": {"status": 0, "msg": "normal"},
}
_leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from(["true", "false", "", "0", "-1", "*", "\ud800", "x@y.invalid", "\x1b[2J"]),
)
_any_json = st.recursive(
    _leaf,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    """The good answers with some values, at any depth, replaced or taken away."""
    answers = copy.deepcopy(WHOLE)
    for _ in range(draw(st.integers(1, 4))):
        place: Any = answers
        name: Any = draw(st.sampled_from(sorted(answers)))
        while isinstance(place[name], (dict, list)) and place[name] and draw(st.booleans()):
            place = place[name]
            name = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if isinstance(place, dict) and place is not answers and draw(st.booleans()):
            del place[name]
        else:
            place[name] = draw(_any_json)
    return answers


@settings(max_examples=300, deadline=None)
@given(spoiled())
def test_no_answer_raises_out_of_collect_and_every_fact_is_well_formed(answers: Any) -> None:
    sheet = Sheet()
    asyncio.run(binance.collect(Fake(**answers), sheet))
    for scope, rows in sheet.rows.items():
        for row in rows or []:
            for name, value in row.items():
                assert name == "public_id" or catalogue()[f"{scope}.{name}"].check(value) is None


_said = st.sampled_from([True, False, "true", "false", 1, 0, None, "absent", "odd", 2, [], {}])
FLAGS = sorted(
    {flag for flags in binance._POWERS.values() for flag in flags}
    | {"enableMargin", "enableNovelty", "enableReadOnlyNovelty"}
)


@settings(max_examples=400, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(FLAGS, _said)))
def test_false_only_where_proved_and_true_only_where_granted(said: dict[str, Any]) -> None:
    sheet = asyncio.run(_written({name: value for name, value in said.items() if value != "absent"}))
    key = audit_key(sheet)
    on, off = (True, "true", 1), (False, "false", 0)

    def among(value: Any, spellings: tuple[Any, ...]) -> bool:
        return any(type(value) is type(spelling) and value == spelling for spelling in spellings)

    for fact, flags in binance._POWERS.items():
        if key.get(fact) is True:
            assert any(among(said[flag], on) for flag in flags)
        if key.get(fact) is False:
            assert all(among(said[flag], off) for flag in flags)
            assert not among(said["enableNovelty"], on)
        if any(among(said[flag], on) for flag in flags):
            assert key[fact] is True


def test_the_gate_passes_what_the_connector_asks_and_nothing_is_left_to_ccxt_s_names() -> None:
    for endpoint in binance.endpoints:
        _gate.check_declared(endpoint, binance.endpoints)
        assert endpoint.verb == "GET" and endpoint.host == "api.binance.com"
        assert endpoint.unescaped is ("sub-account" in endpoint.call)


# The venue file.


def test_the_venue_file_claims_no_hold_that_is_optional() -> None:
    policies = {policy.fact: policy for policy in load("binance").policies}
    assert policies["venue.new_address_delay_hours"].value is None
    assert policies["venue.allowlist_disable_delay_hours"].value == 0
    assert policies["venue.hold_covers_p2p"].value is None and policies["venue.unbound_key_expiry_days"].value is None
    assert all(policy.sources for policy in policies.values() if policy.value is not None)
    assert {"bind_ip", "delete_key", "drop_withdraw", "drop_trade", "drop_transfer"} <= load("binance").remedies.keys()
