"""Bybit over the real transport against its twin: keys, sub-accounts and their keys, the address book, and everything that
can go wrong on the way. Each trap of the venue has a test named after it.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _gate, _transport, _venue, bybit
from auditor.exchanges._base import Answer, Sheet, by_status
from auditor.exchanges._load import connector
from auditor.exchanges._shape import ShapeError
from auditor.exchanges._transport import Venue
from auditor.model.evidence import Reason
from auditor.redaction import Secret
from auditor.twin._base import Breakage, Refusal, TwinKey
from auditor.twin.bybit import Twin, permissions, sub_key
from tests.exchanges.wire import collect, keys, reasons

KEY, SUBS, PAGES = "/v5/user/query-api", "/v5/user/query-sub-members", "/v5/user/submembers"
IDS, SUB_KEYS = "/v5/asset/transfer/query-sub-member-list", "/v5/user/sub-apikeys"
BOOK, STATUS, TIME = "/v5/asset/withdraw/query-address", "/v5/system/status", "/v5/market/time"
AUDITOR, PAYOUT, SUB = Twin().sample_keys()
POWERS = ("can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")
Prepare = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(_budget, "SHARE", 1000.0)


def credentials(key: TwinKey) -> dict[str, str]:
    return {"apiKey": key.api_key, "secret": key.secret}


def ok(result: Any) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "", "result": result, "retExtInfo": {}, "time": 1795000000000}


def answered(path: str, body: Any) -> Prepare:
    """The twin, answering at `path` with `body` whatever it is."""

    def prepare(twin: Twin) -> None:
        routes: dict[Any, Any] = twin.public if ("GET", path) in twin.public else twin.signed
        routes["GET", path] = lambda *_request: body

    return prepare


def said(key: TwinKey, drop: Iterable[str] = (), **changed: Any) -> Prepare:
    """The twin, describing the calling key with these fields changed or left out."""
    about = {name: value for name, value in {**key.about, **changed}.items() if name not in drop}
    return answered(KEY, ok(about))


def own(key: TwinKey = AUDITOR, drop: Iterable[str] = (), **changed: Any) -> dict[str, Any]:
    """The row of the calling key when it is described so."""
    sheet = collect(Twin(), credentials=credentials(key), prepare=said(key, drop, **changed))
    return (sheet.rows["api_key"] or [{}])[0]


def lone(rows: Any, **sub: Any) -> Prepare:
    """The twin with one sub-account, which has these keys."""

    def prepare(twin: Twin) -> None:
        twin.members = [{"uid": "555000020", "username": "gridbot01", "memberType": 1, "status": 1, **sub}]
        twin.sub_keys = {"555000020": rows}

    return prepare


def theirs(drop: Iterable[str] = (), **changed: Any) -> dict[str, Any]:
    """The row of one sub-account key when it is described so."""
    row = {name: value for name, value in sub_key("bot", **changed).items() if name not in drop}
    found = collect(Twin(), prepare=lone([row])).rows["api_key"] or []
    assert len(found) == 2
    return found[1]


def all_at_once(runs: list[tuple[TwinKey, Prepare]], deadline: float = 1.0) -> list[tuple[Sheet, Twin]]:
    """Many runs, each against a twin of its own, in one loop."""

    async def one(key: TwinKey, prepare: Prepare) -> tuple[Sheet, Twin]:
        sheet, twin, module = Sheet(), Twin(), connector("bybit")
        assert module is not None
        async with twin, Venue(module, endpoint=twin.url, deadline=deadline) as venue:
            prepare(twin)
            await module.collect(venue.key({name: Secret(value) for name, value in credentials(key).items()}), sheet)
        return sheet, twin

    async def every() -> list[tuple[Sheet, Twin]]:
        return list(await asyncio.gather(*[one(key, prepare) for key, prepare in runs]))

    return asyncio.run(every())


def asked(twin: Twin) -> list[str]:
    return [request.path for request in twin.requests]


# What is read


def test_a_master_key_describes_itself_and_lists_the_keys_of_all_sub_accounts() -> None:
    twin = Twin()
    sheet = collect(twin)
    assert sheet.account == {"kind": "main", "kyc_level": 1}
    assert sheet.venue == {"status": "ok"}
    assert sheet.account_id == "55500001"
    assert {row["label"]: row.get("sub_account") for row in sheet.rows["api_key"] or []} == {
        "auditor": None,
        "grid": "gridbot01",
        "CopyBotApp": "gridbot01",
        "arb": "arbdesk02",
        "dashboard": "arbdesk02",
        "old": "arbdesk02",
    }
    assert reasons(sheet) == {"asset/withdraw/query-address": "not_collected"}
    assert all(
        request.key == AUDITOR.api_key and request.status == 200 for request in twin.requests if request.path != STATUS
    )
    assert asked(twin)[0] == KEY
    assert [row["is_audit_key"] for row in sheet.rows["api_key"] or [] if "is_audit_key" in row] == [True]


def test_no_endpoint_lists_the_masters_keys_so_the_inventory_is_never_called_complete() -> None:
    for key in (AUDITOR, PAYOUT, SUB):
        assert "key_inventory_complete" not in collect(Twin(), credentials=credentials(key)).account


def test_a_sub_accounts_key_describes_itself_and_asks_for_no_list() -> None:
    twin = Twin()
    sheet = collect(twin, credentials=credentials(SUB))
    assert sheet.account == {"kind": "sub", "parent": "…0001", "kyc_level": 1, "master_key_over_subaccounts": False}
    assert sorted(asked(twin)) == sorted([KEY, STATUS])
    assert keys(sheet)["grid"]["can_transfer"] is True


def test_every_source_of_a_fact_is_the_endpoint_that_showed_it() -> None:
    sheet = collect(Twin(), credentials=credentials(PAYOUT))
    assert sheet.sources["account.kind"].ref == "GET /v5/user/query-api"
    assert sheet.sources["addresses"].ref == "GET /v5/asset/withdraw/query-address"
    assert sheet.sources["venue.status"].ref == "GET /v5/system/status"


# Permissions


def test_read_only_overrides_filled_permission_lists() -> None:
    filled = permissions(
        master=True, Wallet=["Withdraw", "AccountTransfer"], Spot=["SpotTrade"], ContractTrade=["Order"]
    )
    row = own(readOnly=1, permissions=filled)
    assert {name: row[name] for name in POWERS} == dict.fromkeys(POWERS, False)
    row = own(readOnly=0, permissions=filled)
    assert {name: row[name] for name in POWERS} == dict.fromkeys(POWERS, True)


@pytest.mark.parametrize(
    ("spelled", "trades"),
    [(1, False), ("1", False), (True, False), ("true", False), (0, True), (False, True), ("false", True), ("0", True)],
)
def test_read_only_is_an_integer_here_and_a_boolean_there(spelled: Any, trades: bool) -> None:
    assert own(readOnly=spelled, permissions=permissions(master=True, Spot=["SpotTrade"]))["can_trade"] is trades
    assert theirs(readOnly=spelled)["can_trade"] is trades


@pytest.mark.parametrize("spelled", [None, "", "yes", 2, [], {}, 0.0])
def test_a_read_only_flag_that_is_odd_or_missing_proves_nothing(spelled: Any) -> None:
    for row in (own(readOnly=spelled), own(drop=["readOnly"])):
        assert (
            row.keys() & {"can_trade", "can_transfer", "can_manage"} == set()
        )  # SpotTrade and AccountTransfer are ticked
        assert row["ip_bound"] is False


@pytest.mark.parametrize(
    ("granted", "powers"),
    [
        ({"Spot": ["SpotTrade"]}, {"can_trade"}),
        ({"Exchange": ["ExchangeHistory"]}, {"can_trade"}),
        ({"ContractTrade": ["Order"]}, {"can_trade", "can_trade_derivatives"}),
        ({"ContractTrade": ["Position"]}, {"can_trade", "can_trade_derivatives"}),
        ({"Options": ["OptionsTrade"]}, {"can_trade", "can_trade_derivatives"}),
        ({"Derivatives": ["DerivativesTrade"]}, {"can_trade", "can_trade_derivatives"}),
        ({"BlockTrade": ["BlockTrade"]}, {"can_trade", "can_trade_derivatives"}),
        ({"Wallet": ["AccountTransfer"]}, {"can_transfer", "can_manage"}),
        ({"Wallet": ["SubMemberTransfer"]}, {"can_transfer", "can_manage"}),
        ({"Wallet": ["SubMemberTransferList"]}, {"can_transfer", "can_manage"}),
        ({"Wallet": ["Withdraw"]}, {"can_transfer", "can_manage", "can_withdraw"}),
        ({"Affiliate": ["Affiliate"], "ByXPost": ["ByXPost"]}, set()),
        ({}, set()),
    ],
)
def test_each_permission_grants_what_it_says(granted: dict[str, list[str]], powers: set[str]) -> None:
    row = own(readOnly=0, permissions=permissions(master=True, **granted))
    assert {name: row.get(name) for name in POWERS} == {name: name in powers for name in POWERS}


@pytest.mark.parametrize(
    ("granted", "unknown"),
    [
        ({"Earn": ["Earn"]}, {"can_trade", "can_trade_derivatives"}),
        ({"FiatP2P": ["FiatP2POrder"]}, {"can_transfer"}),
        ({"FiatBitPay": ["FaitPayOrder"]}, {"can_transfer"}),
        ({"BitCard": ["BitCard"]}, {"can_transfer"}),
        ({"FiatGlobalPay": ["Anything"]}, set(POWERS)),
        ({"Spot": ["SpotTeleport"]}, set(POWERS)),
        ({"Wallet": ["withdraw"]}, set(POWERS)),
        ({"New": ["NewPower"]}, set(POWERS)),
    ],
)
def test_a_permission_that_might_grant_something_leaves_it_unknown(
    granted: dict[str, list[str]], unknown: set[str]
) -> None:
    row = own(readOnly=0, permissions={**permissions(master=True), **granted})
    assert {name: row.get(name) for name in POWERS} == {name: None if name in unknown else False for name in POWERS}
    row = own(readOnly=1, permissions={**permissions(master=True), **granted})
    assert {name: row[name] for name in POWERS} == dict.fromkeys(POWERS, False)


def test_an_unknown_permission_hides_no_known_one() -> None:
    row = own(readOnly=0, permissions=permissions(master=True, Wallet=["Withdraw", "Teleport"]))
    assert (row["can_withdraw"], row.get("can_trade")) == (True, None)


@pytest.mark.parametrize(
    ("missing", "unknown"),
    [
        ("Wallet", {"can_transfer", "can_withdraw", "can_manage"}),
        ("Spot", {"can_trade", "can_trade_derivatives"}),
        ("ContractTrade", {"can_trade", "can_trade_derivatives"}),
        ("Derivatives", {"can_trade", "can_trade_derivatives"}),
        ("NFT", set()),
        ("FiatBitPay", set()),
    ],
)
def test_a_category_that_is_missing_is_not_an_empty_one(missing: str, unknown: set[str]) -> None:
    whole = permissions(master=True)
    for table in ({name: listed for name, listed in whole.items() if name != missing}, {**whole, missing: None}):
        row = own(readOnly=0, permissions=table)
        assert {name: row.get(name) for name in POWERS} == {name: None if name in unknown else False for name in POWERS}


@pytest.mark.parametrize(
    "odd", [None, [], "SpotTrade", {"Spot": "SpotTrade"}, {"Wallet": [1]}, {"Wallet": [["Withdraw"]]}, {}]
)
def test_permissions_of_another_shape_prove_nothing_of_a_key_that_writes(odd: Any) -> None:
    row = own(readOnly=0, permissions=odd)
    assert row.keys() & {*POWERS, "permissions"} == set()
    assert row["ip_bound"] is False
    assert own(readOnly=1, permissions=odd)["can_withdraw"] is False


def test_the_words_of_the_venue_are_kept_and_say_whether_the_key_writes() -> None:
    assert own()["permissions"] == ["AccountTransfer", "ExchangeHistory", "SpotTrade", "Read-Only"]
    assert own(readOnly=0)["permissions"][-1] == "Read-Write"


# The other fields of a key


@pytest.mark.parametrize("unbound", [["*"], [], [""], "", "*", [" "], ["*", "198.51.100.5"]])
def test_every_spelling_of_unbound(unbound: Any) -> None:
    for row in (own(ips=unbound), theirs(ips=unbound)):
        assert (row["ip_bound"], row["ip_allowlist"]) == (False, [])


@pytest.mark.parametrize("bound", [["198.51.100.5", "2001:db8::1"], "198.51.100.5,2001:db8::1"])
def test_a_bound_key_shows_its_addresses(bound: Any) -> None:
    assert own(ips=bound)["ip_allowlist"] == ["198.51.100.5", "2001:db8::1"]
    assert own(ips=bound)["ip_bound"] is True


@pytest.mark.parametrize("odd", [None, 1, {}, [None], [["*"]], True])
def test_an_odd_or_missing_ip_list_is_unknown_not_unbound(odd: Any) -> None:
    for row in (own(ips=odd), own(drop=["ips"]), theirs(ips=odd), theirs(drop=["ips"])):
        assert row.keys() & {"ip_bound", "ip_allowlist"} == set()
        assert "label" in row


@pytest.mark.parametrize("never", ["1970-01-01T00:00:00Z", "1970-01-01 00:00:00", "1970-01-01", "0", 0])
def test_1970_means_never(never: Any) -> None:
    for row in (own(expiredAt=never), theirs(expiredAt=never, status=1)):
        assert row["never_expires"] is True
        assert "expires_at" not in row


def test_a_real_end_is_shown() -> None:
    row = own(expiredAt="2027-01-30T04:05:06Z")
    assert (row["expires_at"], row["never_expires"]) == ("2027-01-30T04:05:06Z", False)


@pytest.mark.parametrize("odd", [None, "", "soon", 1, [], "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_an_odd_end_is_unknown(odd: Any) -> None:
    row = own(expiredAt=odd)
    assert row.keys() & {"never_expires", "expires_at"} == set()
    assert "label" in row


@pytest.mark.parametrize("days", [-2, 0, 3, -100, "x", None])
def test_deadline_day_decides_nothing(days: Any) -> None:
    row = own(PAYOUT, deadlineDay=days)
    assert (row["never_expires"], row["enabled"]) == (True, True)


@pytest.mark.parametrize(
    ("status", "enabled"),
    [(1, True), (2, False), (3, True), (4, True), ("2", False), (5, None), (0, None), (None, None), ("x", None)],
)
def test_status_2_of_a_sub_accounts_key_is_expired(status: Any, enabled: bool | None) -> None:
    assert theirs(status=status).get("enabled") is enabled


def test_what_a_key_of_a_frozen_sub_account_may_do_is_unknown() -> None:
    found = collect(Twin(), prepare=lone([sub_key("bot")], status=4)).rows["api_key"] or []
    assert "enabled" not in found[1]
    found = collect(Twin(), prepare=lone([sub_key("bot", status=2)], status=4)).rows["api_key"] or []
    assert found[1]["enabled"] is False


@pytest.mark.parametrize(
    ("kind", "third_party"), [(2, True), ("2", True), (1, None), (3, None), (None, None), ("app", None)]
)
def test_type_1_does_not_prove_that_no_third_party_holds_the_key(kind: Any, third_party: bool | None) -> None:
    assert own(type=kind).get("third_party") is third_party
    assert theirs(type=kind).get("third_party") is third_party


def test_the_kind_of_a_key() -> None:
    assert own()["kind"] == "hmac"
    assert own(rsaPublicKey="-----BEGIN PUBLIC KEY-----")["kind"] == "rsa"
    assert "kind" not in own(drop=["rsaPublicKey"])
    assert [theirs(flag=flag).get("kind") for flag in ("hmac", "RSA", "ed", None)] == ["hmac", "rsa", None, None]


def test_a_masked_public_id_identifies_nothing() -> None:
    assert theirs()["public_id"] == "botBYBITdemo9999"
    assert "public_id" not in theirs(apiKey="bot******9999")
    assert "public_id" not in theirs(drop=["apiKey"])


@pytest.mark.parametrize(
    ("level", "known"),
    [("LEVEL_1", 1), ("LEVEL_2", 2), ("LEVEL_DEFAULT", None), ("LEVEL_9", None), ("", None), (1, None)],
)
def test_the_default_level_is_no_proof_because_companies_show_it_too(level: Any, known: int | None) -> None:
    assert collect(Twin(), prepare=said(AUDITOR, kycLevel=level)).account.get("kyc_level") == known


@pytest.mark.parametrize(
    ("master", "parent", "kind"),
    [(True, "0", "main"), ("true", 0, "main"), (False, "55500001", "sub"), (False, "0", None), (True, "7", None)],
)
def test_whose_key_it_is(master: Any, parent: Any, kind: str | None) -> None:
    sheet = collect(Twin(), prepare=said(AUDITOR, isMaster=master, parentUid=parent))
    assert sheet.account.get("kind") == kind
    if kind is None:
        assert reasons(sheet)["user/query-api"] == "implausible_response"
        assert "parent" not in sheet.account


def test_where_it_is_not_said_whose_key_it_is_the_lists_are_asked_for_all_the_same() -> None:
    sheet = collect(Twin(), prepare=said(AUDITOR, drop=["isMaster", "parentUid"]))
    assert "kind" not in sheet.account
    assert "CopyBotApp" in keys(sheet)


def test_one_odd_field_hides_no_other_and_names_what_it_would_have_shown() -> None:
    sheet = collect(Twin(), prepare=lone([{**sub_key("bot", createdAt="yesterday"), "note": 7}, 5, sub_key("next")]))
    first, second = (sheet.rows["api_key"] or [])[1:]
    assert first["can_trade"] is True
    assert "created_at" not in first
    assert second["label"] == "next"
    missed = {fact for problem in sheet.problems if problem.endpoint == "user/sub-apikeys" for fact in problem.facts}
    assert missed == {"api_key.created_at", "api_key.label", "api_keys"}


# Sub-accounts


def without_wallet(twin: Twin) -> None:
    about = {**AUDITOR.about, "permissions": permissions(master=True, Exchange=["ExchangeHistory"])}
    twin.keys[AUDITOR.api_key] = replace(AUDITOR, about=about)


def test_without_the_wallet_category_sub_accounts_are_listed_by_id() -> None:
    sheet = collect(Twin(), prepare=without_wallet)
    assert reasons(sheet)["user/query-sub-members"] == "permission_denied"
    named = {row["label"]: row.get("sub_account") for row in sheet.rows["api_key"] or []}
    assert named["CopyBotApp"] == "555000020"
    assert named["old"] == "555000021"
    missed = {fact for problem in sheet.problems for fact in problem.facts}
    assert "api_keys" not in missed
    assert "api_key.sub_account" in missed


def test_where_neither_list_opens_the_keys_are_missing_with_a_reason() -> None:
    def prepare(twin: Twin) -> None:
        twin.fail(Refusal.MISSING_PERMISSION, SUBS)
        twin.fail(Refusal.MISSING_PERMISSION, IDS)

    sheet = collect(Twin(), prepare=prepare)
    assert len(sheet.rows["api_key"] or []) == 1
    assert "api_keys" in {fact for problem in sheet.problems for fact in problem.facts}
    assert "master_key_over_subaccounts" not in sheet.account


def test_a_list_that_fails_after_the_other_named_everybody_costs_no_key() -> None:
    sheet = collect(Twin(), prepare=lambda twin: twin.fail(Refusal.MAINTENANCE, IDS))
    assert len(sheet.rows["api_key"] or []) == 6
    assert "api_keys" not in {fact for problem in sheet.problems for fact in problem.facts}


def test_both_lists_together_leave_nobody_out() -> None:
    def prepare(twin: Twin) -> None:
        answered(IDS, ok({"subMemberIds": ["555000099"], "transferableSubMemberIds": []}))(twin)
        twin.sub_keys["555000099"] = [sub_key("hidden")]

    assert keys(collect(Twin(), prepare=prepare))["hidden"]["sub_account"] == "555000099"


def test_a_full_list_goes_on_by_pages_until_the_cursor_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bybit, "_LISTED", 3)
    twin = Twin()

    def prepare(twin: Twin) -> None:
        first = list(twin.members)
        twin.members += [{**first[0], "uid": f"55500003{number}", "username": f"more{number}"} for number in range(5)]
        twin.signed["GET", SUBS] = lambda *_request: ok({"subMembers": first})
        twin.signed["GET", IDS] = lambda *_request: ok({"subMemberIds": [], "transferableSubMemberIds": []})
        twin.sub_keys["555000034"] = [sub_key("last")]
        twin.page = 2

    assert keys(collect(twin, prepare=prepare))["last"]["sub_account"] == "more4"
    assert [request.query.get("nextCursor") for request in twin.requests if request.path == PAGES] == [
        None,
        "2",
        "4",
        "6",
    ]


def test_names_that_are_addresses_are_masked_and_stay_apart() -> None:
    def prepare(twin: Twin) -> None:
        names = ["ann@example.com", "abe@example.org", "desk", "desk", ""]
        twin.members = [{"uid": f"55500004{n}", "username": name, "status": 1} for n, name in enumerate(names)]
        twin.sub_keys = {member["uid"]: [sub_key(f"key{n}")] for n, member in enumerate(twin.members)}

    sheet = collect(Twin(), prepare=prepare)
    named = {row["label"]: row["sub_account"] for row in (sheet.rows["api_key"] or [])[1:]}
    assert len(set(named.values())) == 5
    assert not any("@" in name or "example" in name for name in named.values())
    assert {named["key2"], named["key3"], named["key4"]} == {"desk 555000042", "desk 555000043", "555000044"}


@pytest.mark.parametrize(
    ("wallet", "movable", "over"),
    [
        (["SubMemberTransfer"], ["555000020", "555000021", "555000022"], True),
        (["SubMemberTransfer"], ["555000020"], None),
        (["AccountTransfer"], ["555000020", "555000021", "555000022"], None),
    ],
)
def test_one_key_over_all_sub_accounts_is_proved_or_unknown_never_denied(
    wallet: list[str], movable: list[str], over: bool | None
) -> None:
    def prepare(twin: Twin) -> None:
        about = {**PAYOUT.about, "permissions": permissions(master=True, Wallet=wallet)}
        twin.keys[PAYOUT.api_key] = replace(PAYOUT, about=about)
        twin.movable = movable

    sheet = collect(Twin(), credentials=credentials(PAYOUT), prepare=prepare)
    assert sheet.account.get("master_key_over_subaccounts") is over


def test_without_sub_accounts_no_key_is_over_them() -> None:
    def prepare(twin: Twin) -> None:
        twin.members, twin.movable = [], []

    assert collect(Twin(), prepare=prepare).account["master_key_over_subaccounts"] is False


# Pages


def test_the_keys_of_a_sub_account_are_read_to_the_empty_cursor() -> None:
    twin = Twin()

    def prepare(twin: Twin) -> None:
        lone([sub_key(f"k{n}", apiKey=f"key{n}") for n in range(7)])(twin)
        twin.page = 3

    found = collect(twin, prepare=prepare).rows["api_key"] or []
    assert [row["label"] for row in found[1:]] == [f"k{n}" for n in range(7)]
    assert [request.query.get("cursor") for request in twin.requests if request.path == SUB_KEYS] == [
        None,
        "ZnJvbToz",
        "ZnJvbTo2",
    ]


@pytest.mark.parametrize(
    "cursor",
    ["eyJtaW5JRCI6MTA1MDgsIm1heElEIjoxMDUwOX0=", "a&subMemberId=7#frag", "a b+c/d?e", "ü%2F", '"<>\\', "\ud800"],
)
def test_a_cursor_is_sent_as_one_value_whatever_it_holds(cursor: str) -> None:
    twin = Twin()

    def prepare(twin: Twin) -> None:
        lone([])(twin)
        first, last = (
            ok({"result": [sub_key("one")], "nextPageCursor": cursor}),
            ok({"result": [sub_key("two", apiKey="two")], "nextPageCursor": ""}),
        )
        twin.signed["GET", SUB_KEYS] = lambda request, _key: last if "cursor" in request.query else first

    assert set(keys(collect(twin, prepare=prepare))) == {"auditor", "one", "two"}
    sent = [request.query for request in twin.requests if request.path == SUB_KEYS]
    assert sent[1] == {"subMemberId": "555000020", "limit": "20", "cursor": cursor.replace("\ud800", "?")}


def test_the_last_page_may_carry_a_cursor_to_an_empty_one() -> None:
    def prepare(twin: Twin) -> None:
        rows = {False: twin.book[:2], True: []}
        twin.signed["GET", BOOK] = lambda request, _key: ok(
            {"rows": rows["cursor" in request.query], "nextPageCursor": "eyJ9=="}
        )

    sheet = collect(Twin(), credentials=credentials(PAYOUT), prepare=prepare)
    assert len(sheet.rows["address"] or []) == 2
    assert sheet.account["addresses_complete"] is True


@pytest.mark.parametrize("moving", [False, True])
def test_pages_that_never_end_are_left(moving: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bybit, "_MOST_PAGES", 4)
    twin = Twin()

    def prepare(twin: Twin) -> None:
        def page(request: Any, _key: Any) -> Any:
            at = len(request.query.get("cursor", "")) if moving else 0
            return ok({"rows": [{**twin.book[0], "address": f"0x{at}"}], "nextPageCursor": "x" * (at + 1)})

        twin.signed["GET", BOOK] = page

    sheet = collect(twin, credentials=credentials(PAYOUT), prepare=prepare)
    assert reasons(sheet)["asset/withdraw/query-address"] == "implausible_response"
    assert "addresses_complete" not in sheet.account
    assert len(sheet.rows["address"] or []) == asked(twin).count(BOOK) - (not moving) == (4 if moving else 1)


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (1, "malformed_response"),
        ([], "malformed_response"),
        ({}, "malformed_response"),
        ("x" * 9000, "implausible_response"),
    ],
)
def test_a_cursor_that_cannot_be_asked_for_keeps_the_page_and_says_so(odd: Any, reason: str) -> None:
    sheet = collect(
        Twin(),
        prepare=lambda twin: (
            lone([])(twin),
            answered(SUB_KEYS, ok({"result": [sub_key("one")], "nextPageCursor": odd}))(twin),
        ),
    )
    assert "one" in keys(sheet)
    assert reasons(sheet)["user/sub-apikeys"] == reason


# The address book


def test_the_address_book_opens_only_to_a_key_that_may_withdraw_and_is_never_asked_for_otherwise() -> None:
    withdraws = permissions(master=True, Wallet=["Withdraw"])
    for changed in ({}, {"permissions": withdraws}, {"readOnly": 0}, {"readOnly": None, "permissions": withdraws}):
        twin = Twin()
        sheet = collect(twin, prepare=said(AUDITOR, **changed))
        assert BOOK not in asked(twin)
        assert sheet.rows["address"] is None
        assert "addresses_complete" not in sheet.account
        assert reasons(sheet)["asset/withdraw/query-address"] == "not_collected"


def test_verified_addresses_skip_the_second_factor() -> None:
    sheet = collect(Twin(), credentials=credentials(PAYOUT))
    assert sheet.account["addresses_complete"] is True
    rows = {row["label"]: row for row in sheet.rows["address"] or []}
    assert rows["cold"] == {
        "asset": "USDT",
        "network": "ETH",
        "label": "cold",
        "state": "active",
        "created_at": "2025-12-06T05:46:40Z",
        "skips_second_factor": False,
        "public_id": "0xinvented0000000000000000000000000000aaaa",
    }
    assert rows["desk"]["skips_second_factor"] is True
    assert len(rows) == 4  # internal ones too


def test_a_new_address_is_pending_and_its_time_is_in_seconds_under_either_name() -> None:
    rows = {row["label"]: row for row in collect(Twin(), credentials=credentials(PAYOUT)).rows["address"] or []}
    assert (rows["new"]["state"], rows["new"]["created_at"]) == ("pending", "2026-11-18T11:06:40Z")


@pytest.mark.parametrize(
    ("changed", "lost"),
    [
        ({"verified": None}, "skips_second_factor"),
        ({"verified": 2}, "skips_second_factor"),
        ({"status": 7}, "state"),
        ({"status": None}, "state"),
        ({"createdAt": "1765000000000"}, "created_at"),
        ({"createdAt": 10**400}, "created_at"),
        ({"createdAt": ""}, "created_at"),
    ],
)
def test_an_odd_field_of_an_address_is_unknown(changed: dict[str, Any], lost: str) -> None:
    def prepare(twin: Twin) -> None:
        twin.book = [{**twin.book[0], **changed}]

    (row,) = collect(Twin(), credentials=credentials(PAYOUT), prepare=prepare).rows["address"] or []
    assert lost not in row
    assert row["label"] == "cold"


def test_an_empty_book_is_seen_and_empty() -> None:
    sheet = collect(
        Twin(), credentials=credentials(PAYOUT), prepare=answered(BOOK, ok({"rows": [], "nextPageCursor": ""}))
    )
    assert sheet.rows["address"] == []
    assert sheet.account["addresses_complete"] is True


def test_an_entry_without_an_address_leaves_the_book_incomplete() -> None:
    def prepare(twin: Twin) -> None:
        twin.book = [{**twin.book[0], "address": None}, twin.book[1]]

    sheet = collect(Twin(), credentials=credentials(PAYOUT), prepare=prepare)
    assert [row["label"] for row in sheet.rows["address"] or []] == ["desk"]
    assert "addresses_complete" not in sheet.account
    assert reasons(sheet)["asset/withdraw/query-address"] == "malformed_response"


def test_labels_show_no_e_mail_address() -> None:
    def prepare(twin: Twin) -> None:
        twin.book = [{**twin.book[0], "remark": "ann@example.com"}]
        said(PAYOUT, note="ann@example.com")(twin)

    sheet = collect(Twin(), credentials=credentials(PAYOUT), prepare=prepare)
    assert "example" not in json.dumps(sheet.rows)


def test_ids_that_were_cut_off_are_not_taken_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bybit, "_IDS_LISTED", 3)
    for prepare, whole in ((without_wallet, False), (lambda _twin: None, True)):
        missed = {fact for problem in collect(Twin(), prepare=prepare).problems for fact in problem.facts}
        assert ("api_keys" not in missed) is whole


def test_one_address_for_two_people_is_two_destinations() -> None:
    def prepare(twin: Twin) -> None:
        twin.book = [{**twin.book[0], "tag": tag} for tag in ("1", "2")]

    rows = collect(Twin(), credentials=credentials(PAYOUT), prepare=prepare).rows["address"] or []
    assert len({row["public_id"] for row in rows}) == 2


# System status

EVENT = {
    "id": "1",
    "state": "ongoing",
    "serviceTypes": [1, 2],
    "product": [1],
    "uidSuffix": [],
    "maintainType": 1,
    "env": 1,
}


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], "ok"),
        ([EVENT], "maintenance"),
        ([{**EVENT, "maintainType": "2", "env": "1"}], "maintenance"),
        ([{**EVENT, "maintainType": 3}], "degraded"),
        ([{**EVENT, "serviceTypes": [3, 4, 5]}], "degraded"),
        ([{**EVENT, "env": 2}], "ok"),
        ([{**EVENT, "state": "scheduled"}, {**EVENT, "state": "completed"}, {**EVENT, "state": "canceled"}], "ok"),
        ([{**EVENT, "uidSuffix": [2, 3]}], "ok"),
        ([{**EVENT, "uidSuffix": [2, 1]}], "maintenance"),
        ([{**EVENT, "uidSuffix": ["001"]}], "maintenance"),
        ([{**EVENT, "maintainType": 3}, {**EVENT, "env": 2}, EVENT], "maintenance"),
        ([{**EVENT, "state": "resting"}], None),
        ([{**EVENT, "env": None}], None),
        ([{**EVENT, "uidSuffix": None}], None),
        ([{**EVENT, "maintainType": "incident"}], None),
        ([7], None),
        ({}, None),
    ],
)
def test_only_production_only_now_and_only_for_this_uid(events: Any, status: str | None) -> None:
    sheet = collect(Twin(), prepare=lambda twin: setattr(twin, "events", events))
    assert sheet.venue.get("status") == status
    assert ("system/status" in reasons(sheet)) is (status is None)


def test_an_event_of_some_accounts_only_degrades_the_venue_for_one_whose_id_is_unknown() -> None:
    def prepare(twin: Twin) -> None:
        said(AUDITOR, drop=["userID"])(twin)
        twin.events = [{**EVENT, "uidSuffix": [1]}]

    assert collect(Twin(), prepare=prepare).venue["status"] == "degraded"


# What refusals mean

CODES = [
    (10016, Reason.VENUE_MAINTENANCE),  # ccxt: a generic error
    (429, Reason.VENUE_MAINTENANCE),  # ccxt: a generic error
    (10000, Reason.TIMEOUT),  # ccxt: a generic error
    (10003, Reason.INVALID_KEY),
    (33004, Reason.INVALID_KEY),
    (-2015, Reason.INVALID_KEY),
    (10004, Reason.INVALID_KEY),
    (10007, Reason.INVALID_KEY),
    (10008, Reason.ACCOUNT_FROZEN),
    (10010, Reason.IP_NOT_ALLOWED),
    (10009, Reason.IP_NOT_ALLOWED),  # ccxt: a bad key
    (10024, Reason.IP_NOT_ALLOWED),
    (10005, Reason.PERMISSION_DENIED),
    (180024, Reason.PERMISSION_DENIED),  # ccxt: a generic error
    (10028, Reason.PERMISSION_DENIED),
    (10002, Reason.CLOCK_SKEW),
    (-1, Reason.CLOCK_SKEW),
    (10006, Reason.RATE_LIMITED),
    (10018, Reason.RATE_LIMITED),
    (131089, Reason.PERMISSION_DENIED),  # ccxt: a bad request
    (131083, Reason.PERMISSION_DENIED),
    (131093, Reason.PERMISSION_DENIED),
    (131098, Reason.PERMISSION_DENIED),
    (131090, Reason.PERMISSION_DENIED),
    (131091, Reason.PERMISSION_DENIED),
    (141019, Reason.PERMISSION_DENIED),
    (99999, Reason.MALFORMED_RESPONSE),
]


def meant(body: Any, status: int = 200, text: str = "") -> Any:
    return bybit.classify(Answer(status=status, body=body, text=text, headers={}), bybit.KEY)


@pytest.mark.parametrize(("code", "reason"), CODES)
@pytest.mark.parametrize("name", ["retCode", "ret_code"])
def test_every_code(code: int, reason: Reason, name: str) -> None:
    for spelled in (code, str(code)):
        for status in (200, 400) if reason is not Reason.MALFORMED_RESPONSE else (200,):
            failure = meant({name: spelled, "retMsg": "x", "result": {}}, status)
            assert failure.reason is reason
            assert failure.lockout is (reason in {Reason.INVALID_KEY, Reason.ACCOUNT_FROZEN} or code in {10009, 10010})
            assert failure.retry is (reason in {Reason.VENUE_MAINTENANCE, Reason.TIMEOUT, Reason.RATE_LIMITED})


def test_no_outage_limit_or_refusal_to_withdraw_shuts_the_key_out() -> None:
    assert not any(
        failure.lockout for code, failure in bybit._FAILURES.items() if code.startswith("131") or failure.retry
    )


@pytest.mark.parametrize("code", [None, [], {}, "", "ok", 0.0])
def test_a_success_must_say_so(code: Any) -> None:
    assert meant({"retCode": code, "result": {}}).reason is Reason.MALFORMED_RESPONSE
    assert meant({"result": {}}).reason is Reason.MALFORMED_RESPONSE
    assert meant([]).reason is Reason.MALFORMED_RESPONSE
    assert meant(ok({})) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("403, access too frequent", Reason.RATE_LIMITED),
        (
            "<h1>403 ERROR</h1> The Amazon CloudFront distribution is configured to block access from your country. Generated by cloudfront",
            Reason.IP_NOT_ALLOWED,
        ),
        ("<h1>403 Forbidden</h1>", Reason.VENUE_INCIDENT),
        ("", Reason.VENUE_INCIDENT),
    ],
)
def test_http_403_is_a_rate_limit_or_a_country(text: str, reason: Reason) -> None:
    for body in (None, {}):
        answer = Answer(status=403, body=body, text=text, headers={})
        failure = bybit.classify(answer, bybit.KEY) or by_status(answer)
        assert failure is not None
        assert failure.reason is reason
        assert failure.retry is False
        assert failure.address is (reason is Reason.RATE_LIMITED)


@pytest.mark.parametrize("status", [401, 404, 429, 500, 502, 503])
def test_a_bare_status_never_accuses_the_key(status: int) -> None:
    for body in (None, {}, {"retCode": 99999}):
        answer = Answer(status=status, body=body, text="", headers={})
        failure = bybit.classify(answer, bybit.KEY) or by_status(answer)
        assert failure is not None
        assert failure.reason not in {Reason.INVALID_KEY, Reason.IP_NOT_ALLOWED, Reason.ACCOUNT_FROZEN}


# Trouble on the way

SHOWS = {
    KEY: {"account.kind", "account.kyc_level"},
    SUBS: set(),
    IDS: {"account.master_key_over_subaccounts"},
    SUB_KEYS: set(),
    BOOK: {"account.addresses_complete"},
    STATUS: {"venue.status"},
}
MEANS = {
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


@pytest.mark.parametrize("how", MEANS, ids=str)
def test_trouble_at_one_endpoint_has_a_reason_and_costs_only_its_own_facts(how: Refusal | Breakage) -> None:
    whole = collect(Twin(), credentials=credentials(PAYOUT))
    runs = [(PAYOUT, lambda twin, path=path: twin.fail(how, path)) for path in SHOWS]
    for path, (sheet, _) in zip(SHOWS, all_at_once(runs, deadline=0.5 if how is Breakage.SILENCE else 10), strict=True):
        name = path.removeprefix("/v5/")
        # A public endpoint was asked without the key: that it accuses one is no answer.
        accused = path == STATUS and how in {Refusal.BAD_KEY, Refusal.BAD_SIGNATURE}
        assert reasons(sheet)[name] == ("implausible_response" if accused else MEANS[how]), path
        known = {f"account.{fact}" for fact in sheet.account} | {f"venue.{fact}" for fact in sheet.venue}
        assert known & SHOWS[path] == set(), path
        for fact, value in {**sheet.account, **sheet.venue}.items():
            assert {**whole.account, **whole.venue}.get(fact) == value, path
        known_rows = [json.dumps(row, sort_keys=True) for rows in whole.rows.values() for row in rows or []]
        plain = [row for rows in sheet.rows.values() for row in rows or [] if path != SUBS]
        assert all(json.dumps(row, sort_keys=True) in known_rows for row in plain), path
        if path in {KEY, BOOK}:
            assert sheet.rows["address"] is None


@pytest.mark.parametrize(
    ("path", "facts"), [(KEY, "api_keys"), (SUB_KEYS, "api_keys"), (BOOK, "addresses"), (STATUS, "venue.status")]
)
def test_a_problem_says_what_it_would_have_shown(path: str, facts: str) -> None:
    sheet = collect(Twin(), credentials=credentials(PAYOUT), prepare=lambda twin: twin.fail(Refusal.MAINTENANCE, path))
    (problem, *_) = [one for one in sheet.problems if one.endpoint == path.removeprefix("/v5/")]
    assert facts in problem.facts


@pytest.mark.parametrize("how", [Refusal.BAD_KEY, Refusal.BAD_SIGNATURE, Refusal.FOREIGN_IP])
def test_a_refused_key_is_not_used_again(how: Refusal) -> None:
    twin = Twin()
    sheet = collect(twin, prepare=lambda twin: twin.fail(how, "/v5/user"))
    assert [path for path in asked(twin) if path != STATUS] == [KEY]
    assert sheet.rows["api_key"] is None
    assert sheet.account == {}


def test_a_real_stranger_is_refused_by_the_twin_itself() -> None:
    for changed, reason in (
        ({"apiKey": "nobody"}, "invalid_key"),
        ({"secret": "DEMOSECRETwrong"}, "invalid_key"),
        ({}, "ip_not_allowed"),
    ):
        twin = Twin()
        twin.caller = "192.0.2.99"
        sheet = collect(twin, credentials={**credentials(PAYOUT), **changed})
        assert reasons(sheet)["user/query-api"] == reason
        assert [path for path in asked(twin) if path != STATUS] == [KEY]


@pytest.mark.parametrize("ahead", [-90, 90])
def test_a_wrong_clock_is_set_by_the_venues_and_the_audit_goes_on(ahead: int) -> None:
    def prepare(twin: Twin) -> None:
        twin.clock_ahead *= 0
        twin.clock_ahead += type(twin.clock_ahead)(seconds=ahead)

    twin = Twin()
    assert len(collect(twin, prepare=prepare).rows["api_key"] or []) == 6
    assert asked(twin).count(TIME) == 1


def test_an_address_that_asked_too_often_asks_nothing_more() -> None:
    answer = Answer(status=403, body=None, text="403, access too frequent", headers={})
    assert bybit.classify(answer, bybit.KEY) is bybit._TOO_OFTEN
    assert bybit._TOO_OFTEN.lockout
    assert bybit._TOO_OFTEN.address


def test_a_glitch_that_passes_costs_nothing() -> None:
    for how in (Refusal.RATE_LIMIT, Refusal.MAINTENANCE, Breakage.HTML_ERROR):
        sheet = collect(Twin(), prepare=lambda twin, how=how: twin.fail(how, "/v5/user", times=1))
        assert len(sheet.rows["api_key"] or []) == 6


# Nothing that changes anything, nothing that tells


def test_only_reads_are_declared() -> None:
    changing = ("del-", "delete", "update", "create", "frozen", "agreement", "withdraw/create", "universal-transfer")
    for endpoint in bybit.endpoints:
        assert endpoint.verb == "GET"
        assert not any(word in endpoint.path for word in changing)
        assert (endpoint.host, endpoint.unescaped) == ("api.bybit.com", True)


@pytest.mark.parametrize(
    "path", ["/v5/user/del-submember", "/user/v3/private/frozen-sub-member", "/v5/user/update-api"]
)
def test_ccxt_deletes_a_sub_account_under_get_but_it_is_never_signed(path: str) -> None:
    async def run() -> None:
        async with Twin() as twin, Venue(connector("bybit"), endpoint=twin.url) as venue:  # type: ignore[arg-type]
            door = venue.key({name: Secret(value) for name, value in credentials(PAYOUT).items()})
            with pytest.raises(_gate.GateError):
                await door.fetch(replace(bybit.KEY, path=path, call=path[1:]), {"subMemberId": "555000020"})
            assert twin.requests == []

    asyncio.run(run())


@pytest.mark.parametrize("how", list(Refusal))
def test_no_detail_holds_a_secret_or_a_key_id(how: Refusal) -> None:
    runs = [(key, lambda twin: twin.fail(how)) for key in (AUDITOR, PAYOUT)]
    for (key, _), (sheet, twin) in zip(runs, all_at_once(runs), strict=True):
        told = json.dumps([problem.to_document() for problem in sheet.problems], ensure_ascii=False)
        assert key.secret not in told
        assert key.api_key not in told
        assert not any(
            key.secret in json.dumps(dict(request.headers)) + json.dumps(dict(request.query))
            for request in twin.requests
        )


# Answers nobody documented

JUNK = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        -1,
        1.5,
        10**17,
        10**400,
        "",
        "*",
        "0",
        "1970-01-01",
        "\ud800",
        "\x00\u202e",
        "a@b.example",
        [],
        [None],
        [[]],
        {},
        {"a": []},
    ]
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *[place for name, child in children for place in _places(child, (*at, name))]]


def _spoiled(body: Any, place: tuple[Any, ...], junk: Any) -> Any:
    if not place:
        return junk
    spoiled = copy.deepcopy(body)
    inner = spoiled
    for name in place[:-1]:
        inner = inner[name]
    if junk is Ellipsis:
        inner.pop(place[-1])
    else:
        inner[place[-1]] = junk
    return spoiled


BODIES = {
    KEY: ok({**PAYOUT.about}),
    SUBS: ok({"subMembers": Twin().members}),
    IDS: ok(
        {name: [member["uid"] for member in Twin().members] for name in ("subMemberIds", "transferableSubMemberIds")}
    ),
    SUB_KEYS: ok({"result": [sub_key("grid")], "nextPageCursor": ""}),
    BOOK: ok({"rows": Twin().book[:2], "nextPageCursor": ""}),
    STATUS: ok({"list": [EVENT]}),
}
SPOTS = [(path, place) for path, body in BODIES.items() for place in _places(body)]


@settings(max_examples=12, deadline=None, phases=[Phase.generate])
@given(st.lists(st.tuples(st.sampled_from(SPOTS), JUNK | st.just(Ellipsis)), min_size=20, max_size=20))
def test_no_answer_makes_the_connector_raise_or_invent(spots: list[tuple[tuple[str, tuple[Any, ...]], Any]]) -> None:
    spots = [(spot, junk) for spot, junk in spots if spot[1] or junk is not Ellipsis]
    runs = [(PAYOUT, answered(path, _spoiled(BODIES[path], place, junk))) for (path, place), junk in spots]
    usual = [
        row for row in (collect(Twin(), credentials=credentials(PAYOUT)).rows["api_key"] or []) if "is_audit_key" in row
    ]
    for ((path, place), junk), (sheet, _) in zip(spots, all_at_once(runs), strict=True):
        text = json.dumps([sheet.account, sheet.venue, sheet.rows], ensure_ascii=False)
        text.encode()
        if place in {(), ("result",)} or (place == ("retCode",) and str(junk) != "0"):
            known = {f"account.{fact}" for fact in sheet.account} | {f"venue.{fact}" for fact in sheet.venue}
            assert known & SHOWS[path] == set()
        if path != KEY:
            assert (sheet.rows["api_key"] or [])[:1] == usual


@pytest.mark.parametrize("path", BODIES)
def test_a_field_that_is_left_out_takes_facts_away_and_changes_none(path: str) -> None:
    def bare(twin: Twin) -> None:
        for place, body in BODIES.items():
            answered(place, body)(twin)

    def facts(sheet: Sheet) -> dict[str, Any]:
        rows = {
            f"{scope}/{row.get('label')}": row for scope in ("api_key", "address") for row in sheet.rows[scope] or []
        }
        shown = {"account": sheet.account, "venue": sheet.venue, **rows}
        # The words and the name are shown as they are given, whatever they prove.
        return {
            f"{at}.{name}": value
            for at, row in shown.items()
            for name, value in row.items()
            if name not in {"permissions", "sub_account"}
        }

    places = [
        place
        for at, place in SPOTS
        if at == path and place and isinstance(place[-1], str) and place[-1] not in {"note", "remark"}
    ]
    runs = [
        (PAYOUT, lambda twin, place=place: (bare(twin), answered(path, _spoiled(BODIES[path], place, ...))(twin)))
        for place in places
    ]
    whole, *less = [facts(sheet) for sheet, _ in all_at_once([(PAYOUT, bare), *runs])]
    assert len(less) > 1
    for place, seen in zip(places, less, strict=True):
        assert all(whole.get(name, "nothing") == value for name, value in seen.items()), place


# The venue file


def test_the_venue_file_states_no_hold_that_an_optional_switch_decides() -> None:
    file = _venue.load("bybit")
    known = {policy.fact.partition(".")[2]: policy.value for policy in file.policies if policy.value is not None}
    assert known["hold_after_password_change_hours"] == 24
    assert known["unbound_key_expiry_days"] == 90
    assert known["api_withdrawal_requires_allowlist"] is True
    for unknown in (
        "new_address_delay_hours",
        "hold_after_two_factor_change_hours",
        "second_factor_downgrade_possible",
        "allowlist_disable_delay_hours",
    ):
        assert unknown not in known
    assert all(policy.sources and policy.confidence for policy in file.policies if policy.value is not None)
    assert "Read-Write" in file.permissions_never


def test_the_clock_is_in_milliseconds_and_must_be_there() -> None:
    assert bybit.server_time({"time": 1795000000123}) == 1795000000123
    with pytest.raises(ShapeError, match="missing"):
        bybit.server_time({"result": {}})
