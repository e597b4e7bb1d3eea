"""KuCoin over the wire: each trap of the venue by name, every code, and fields that are missing or odd."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _transport, _venue, kucoin
from auditor.exchanges._base import Answer, Sheet
from auditor.exchanges._signer import Signer
from auditor.exchanges._transport import Venue
from auditor.model.facts import catalogue
from auditor.redaction import Secret
from auditor.twin._base import TwinKey
from auditor.twin.kucoin import Twin
from tests.exchanges.wire import collect, keys, reasons

CODES = {
    "venue_incident": "500000",
    "rate_limited": "429000 1015",
    "invalid_key": "400001 400003 400004 400005",
    "account_frozen": "411100",
    "ip_not_allowed": "400006",
    "permission_denied": "400007 400303 400700",
    "clock_skew": "400002",
}
POWERS = ("can_read", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def about(**fields: Any) -> dict[str, Any]:
    row = {**Twin().sample_keys()[0].about, **fields}
    return {name: value for name, value in row.items() if value is not ...}


def calling(**fields: Any) -> Sheet:
    """What is seen where the calling key is described so; `...` leaves a field out."""
    twin = Twin()
    twin.signed[("GET", kucoin.KEY.path)] = lambda _request, _key: {"code": "200000", "data": about(**fields)}
    return collect(twin)


def own(sheet: Sheet) -> dict[str, Any]:
    (row,) = [row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")]
    return row


def sub_row(**fields: Any) -> dict[str, Any]:
    row = {**Twin().sub_keys["gridbot1"][0], **fields}
    return {name: value for name, value in row.items() if value is not ...}


def with_sub_keys(*rows: Any, **of_sub: Any) -> Sheet:
    twin = Twin()
    sub = {**twin.sub_accounts[0], **of_sub}
    twin.sub_accounts = [{name: value for name, value in sub.items() if value is not ...}]
    twin.sub_keys = {"gridbot1": list(rows)}
    return collect(twin)


def powers(row: dict[str, Any]) -> tuple[bool | None, ...]:
    return tuple(row.get(name) for name in POWERS)


def answer(code: Any, status: int = 200, text: str = "") -> Answer:
    return Answer(status=status, body={"code": code, "msg": ""}, text=text, headers={})


# The sample account


def test_the_sample_account_shows_what_a_read_key_may_see() -> None:
    sheet = collect(Twin())
    assert not sheet.problems
    assert sheet.account == {"kind": "main"}
    assert sheet.venue == {"status": "ok"}
    assert sheet.account_id == "184400291"
    assert set(keys(sheet)) == {"auditor", "grid", "sweeper", "left over"}
    assert own(sheet) == {
        "label": "auditor",
        "permissions": ["General"],
        "can_read": True,
        "can_trade": False,
        "can_trade_derivatives": False,
        "can_transfer": False,
        "can_withdraw": False,
        "can_manage": True,
        "ip_bound": True,
        "created_at": "2025-10-31T08:40:00Z",
        "kind": "hmac",
        "never_expires": True,
        "enabled": True,
        "is_audit_key": True,
    }
    grid = keys(sheet)["grid"]
    assert grid["sub_account"] == "gridbot1" and grid["enabled"] is True and grid["ip_bound"] is False
    assert powers(grid) == (True, True, True, False, False, False)


def test_every_declared_read_is_asked_and_nothing_is_called_complete() -> None:
    twin = Twin()
    sheet = collect(twin)
    assert {request.path for request in twin.requests} == {one.path for one in kucoin.endpoints} - {kucoin.TIME.path}
    assert {request.verb for request in twin.requests} == {"GET"}
    assert "key_inventory_complete" not in sheet.account


# Traps


def test_transfer_means_withdrawal_and_inner_transfer_does_not() -> None:
    assert powers(own(calling(permission="General,Transfer"))) == (True, False, False, True, True, True)
    assert powers(own(calling(permission="General,InnerTransfer"))) == (True, False, False, True, False, True)


@pytest.mark.parametrize(
    ("permission", "expected"),
    [
        ("General,Spot", (True, True, False, False, False, True)),
        ("General, Margin", (True, True, False, False, False, True)),
        ("General,Futures", (True, True, True, False, False, True)),
        ("General,Trade", (True, True, None, None, False, True)),
        ("General,Earn", (True, None, False, False, False, True)),
        ("Spot", (None, True, False, False, False, None)),
        ("General,Spot,Margin,Futures,InnerTransfer,Transfer,Earn", (True,) * 6),
        ("General,Convert", (True, None, None, None, None, True)),
        ("General,transfer", (True, None, None, None, None, True)),
        ("General,Transfer,Convert", (True, None, None, True, True, True)),
        ("", (True, None, None, None, None, None)),
    ],
)
def test_permissions_and_words_that_nobody_knows(permission: str, expected: tuple[bool | None, ...]) -> None:
    row = own(calling(permission=permission))
    assert powers(row)[1:] == expected[1:]
    assert row["can_read"] is True  # it was just used to read


def test_general_on_a_master_key_manages_the_keys_of_sub_accounts_and_on_a_sub_key_does_not() -> None:
    assert own(calling())["can_manage"] is True
    assert own(calling(isMaster=False, parentUid=184400291))["can_manage"] is False
    assert "can_manage" not in own(calling(isMaster=...))
    assert "can_manage" not in own(calling(isMaster=False, permission="General,New"))


@pytest.mark.parametrize(
    ("listed", "bound", "shown"),
    [
        ("198.**.7", True, None),
        ("198.**.7,203.0.113.9", True, None),
        ("198.51.100.7, 203.0.113.9", True, ["198.51.100.7", "203.0.113.9"]),
        (["198.51.100.7"], True, ["198.51.100.7"]),
        ("0.0.0.0/0", False, ["0.0.0.0/0"]),
        ("198.**.7,0.0.0.0/0", False, None),
        ("0.**.0", None, None),
        ("198.**.7,**.**.**.**", None, None),
        ("*", False, []),
        ("", False, []),
        (" , ", False, []),
        ([], False, []),
        ([""], False, []),
        (None, False, []),
        (..., False, []),
        (7, None, None),
        ({}, None, None),
        ([7], None, None),
    ],
)
def test_masked_addresses_prove_that_a_key_is_bound_and_not_to_what(listed: Any, bound: Any, shown: Any) -> None:
    for sheet, row in ((one := calling(ipWhitelist=listed), own(one)), _grid(ipWhitelist=listed)):
        assert (row.get("ip_bound"), row.get("ip_allowlist")) == (bound, shown)
        assert bool(sheet.problems) is (isinstance(listed, (int, dict)) or listed == [7])


def _grid(**fields: Any) -> tuple[Sheet, dict[str, Any]]:
    sheet = with_sub_keys(sub_row(**fields))
    return sheet, keys(sheet)["grid"]


@pytest.mark.parametrize(
    ("ends", "facts"),
    [
        (None, (None, True)),
        (-1, (None, True)),
        (0, (None, True)),
        (1793000000000, ("2026-10-26T07:33:20Z", None)),
        ("1793000000000", ("2026-10-26T07:33:20Z", None)),
        (..., (None, None)),
        ("soon", (None, None)),
        (True, (None, None)),
    ],
)
def test_a_missing_expiry_is_unknown_and_null_is_never(ends: Any, facts: tuple[Any, Any]) -> None:
    row = own(calling(expiredAt=ends))
    assert (row.get("expires_at"), row.get("never_expires")) == facts


@pytest.mark.parametrize(
    ("permission", "listed", "never"),
    [("General,Spot", "", None), ("General,Spot", "198.**.7", True), ("General", "", True), ("General,New", "", None)],
)
def test_an_unbound_trading_key_dies_of_disuse(permission: str, listed: str, never: bool | None) -> None:
    assert own(calling(permission=permission, ipWhitelist=listed)).get("never_expires") is never


@pytest.mark.parametrize(
    ("app", "third"), [("", None), ("3commas", True), ("  ", None), (None, None), (..., None), (7, None)]
)
def test_only_a_named_app_proves_a_third_party(app: Any, third: bool | None) -> None:
    assert own(calling(thirdPartyApp=app)).get("third_party") is third


def test_sub_key_shows_its_kind_and_parent_and_asks_for_no_list() -> None:
    twin = Twin()
    first = twin.sample_keys()[0]
    twin.keys[first.api_key] = replace(
        first, about=about(isMaster=False, parentUid=184400291, subName="gridbot1", uid=184400777)
    )
    sheet = collect(twin)
    assert sheet.account == {"kind": "sub", "parent": "…0291", "master_key_over_subaccounts": False}
    assert not sheet.problems
    assert {request.path for request in twin.requests} == {kucoin.KEY.path, kucoin.STATUS.path}


def test_a_master_with_a_parent_contradicts_itself() -> None:
    sheet = calling(parentUid=5)
    assert "kind" not in sheet.account and reasons(sheet)["user/api-key"] == "implausible_response"
    for empty in (None, "", 0, "0", ...):
        assert calling(parentUid=empty).account["kind"] == "main"


@pytest.mark.parametrize("odd", [..., None, [], {}, 7.5, True])
@pytest.mark.parametrize(
    ("field", "lost"),
    [
        ("remark", {"label"}),
        ("permission", {"permissions", "can_trade", "can_withdraw", "can_transfer", "can_manage"}),
        ("createdAt", {"created_at"}),
        ("isMaster", {"can_manage"}),
        ("uid", set()),
    ],
)
def test_a_missing_or_odd_field_costs_only_itself(field: str, odd: Any, lost: set[str]) -> None:
    if field == "isMaster" and odd is True:
        return
    whole = own(collect(Twin()))
    lost = lost | ({"can_trade_derivatives"} if field == "permission" else set())
    sheet = calling(**{field: odd})
    row = own(sheet)
    assert {name: whole[name] for name in whole if name not in lost and name in row} == {
        n: v for n, v in row.items() if n not in lost
    }
    assert set(row) >= set(whole) - lost
    assert not lost & set(row)
    assert "user/api-key" in reasons(sheet)


def test_an_answer_that_names_no_key_describes_none() -> None:
    for data in ({}, [], None, {"permission": "General"}):
        twin = Twin()
        twin.signed[("GET", kucoin.KEY.path)] = lambda _request, _key, data=data: {"code": "200000", "data": data}
        sheet = collect(twin)
        assert not [row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")]
        assert reasons(sheet)["user/api-key"] == "malformed_response"


# Sub-accounts


def test_keys_of_a_frozen_sub_account_are_neither_on_nor_off() -> None:
    sheet = collect(Twin())
    assert "enabled" not in keys(sheet)["left over"]
    for state in (3, 7, None, ...):
        assert "enabled" not in keys(with_sub_keys(sub_row(), status=state))["grid"]


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_sub_accounts_are_read_to_the_last_page(count: int) -> None:
    twin = Twin()
    twin.sub_accounts = [{**twin.sub_accounts[0], "subName": f"s{number:03}", "uid": number} for number in range(count)]
    twin.sub_keys = {sub["subName"]: [sub_row(remark=sub["subName"])] for sub in twin.sub_accounts}
    sheet = collect(twin)
    assert not sheet.problems
    labels = [row["label"] for row in sheet.rows["api_key"] or []]
    assert labels == ["auditor", *(f"s{number:03}" for number in range(count))]
    assert sheet.account.get("master_key_over_subaccounts") is (False if count == 0 else None)


def test_a_master_key_that_moves_funds_is_over_its_sub_accounts() -> None:
    assert calling(permission="General,InnerTransfer").account["master_key_over_subaccounts"] is True
    assert "master_key_over_subaccounts" not in calling(permission="General,Transfer").account


@pytest.mark.parametrize(
    "data",
    [
        {"currentPage": 1, "pageSize": 100, "totalNum": 3, "totalPage": 1},
        {"currentPage": 1, "pageSize": 100, "totalNum": 500, "totalPage": 5},
        {"currentPage": 1, "pageSize": 100, "totalNum": 10**6, "totalPage": 10**4},
        {"currentPage": 1, "pageSize": 100, "totalNum": 1},
    ],
)
def test_a_list_that_is_not_as_long_as_it_says_is_said(data: dict[str, Any]) -> None:
    twin = Twin()
    twin.signed[("GET", kucoin.SUB_ACCOUNTS.path)] = lambda _request, _key: {
        "code": "200000",
        "data": {**data, "items": [twin.sub_accounts[0]]},
    }
    sheet = collect(twin)
    assert reasons(sheet)["sub/user"] in {"implausible_response", "malformed_response"}
    assert any("api_keys" in problem.facts for problem in sheet.problems)
    assert sum(request.path == kucoin.SUB_ACCOUNTS.path for request in twin.requests) <= 3


def test_more_sub_accounts_than_are_listed_are_noticed() -> None:
    twin = Twin()
    twin.signed[("GET", kucoin.SUMMARY.path)] = lambda _request, _key: {"code": "200000", "data": {"subQuantity": 9}}
    sheet = collect(twin)
    assert reasons(sheet) == {"user-info": "implausible_response"}
    assert set(keys(sheet)) == {"auditor", "grid", "sweeper", "left over"}


def test_one_odd_key_of_a_sub_account_hides_no_other() -> None:
    for odd in (7, None, [], "x"):
        sheet = with_sub_keys(sub_row(remark="one"), odd, sub_row(remark="two"))
        assert {"one", "two"} <= set(keys(sheet))
        assert reasons(sheet)["sub/api-key"] == "malformed_response"


def test_masked_ids_of_keys_identify_nothing() -> None:
    assert "public_id" not in keys(with_sub_keys(sub_row(apiKey="66f1***01")))["grid"]
    assert keys(with_sub_keys(sub_row()))["grid"]["public_id"] == "66f1c0de0a1b2c0001d3b001"


def test_names_that_would_change_the_request_are_escaped_and_personal_ones_masked() -> None:
    twin = Twin()
    name = "a&apiKey=x#person@mail.example"
    twin.sub_accounts = [{**twin.sub_accounts[0], "subName": name}]
    twin.sub_keys = {name: [sub_row(remark="other@mail.example")]}
    sheet = collect(twin)
    assert not sheet.problems
    assert "mail.example" not in repr([sheet.account, sheet.rows["api_key"], sheet.problems])
    assert [request.query["subName"] for request in twin.requests if "subName" in request.query] == [name]


# Status, codes, signature


@pytest.mark.parametrize(
    ("state", "status"),
    [("open", "ok"), ("cancelonly", "degraded"), ("close", "maintenance"), ("paused", None), (None, None), (1, None)],
)
def test_cancel_only_is_not_maintenance(state: Any, status: str | None) -> None:
    twin = Twin()
    twin.engine = state
    sheet = collect(twin)
    assert sheet.venue.get("status") == status
    assert ("status" in reasons(sheet)) is (status is None)


@pytest.mark.parametrize(
    ("code", "reason"), [(code, reason) for reason, listed in CODES.items() for code in listed.split()]
)
@pytest.mark.parametrize("status", [200, 400, 401])
def test_every_code_means_what_the_venue_says_and_not_what_ccxt_makes_of_it(
    code: str, reason: str, status: int
) -> None:
    for spelled in (code, int(code)):
        failure = kucoin.classify(answer(spelled, status), kucoin.KEY)
        assert failure is not None and failure.reason.value == reason
        assert failure.lockout is (reason in {"invalid_key", "account_frozen", "ip_not_allowed"} or code == "1015")
        assert failure.retry is (reason in {"venue_incident", "rate_limited"} and code != "1015")


def test_the_table_holds_no_code_that_is_not_tested() -> None:
    assert {*kucoin._FAILURES, "1015"} == {code for listed in CODES.values() for code in listed.split()}


@pytest.mark.parametrize("status", [403, 429])
def test_the_cloudflare_page_is_a_block_of_this_address_and_asks_no_more(status: int) -> None:
    page = Answer(status=status, body=None, text="error code: 1015", headers={})
    failure = kucoin.classify(page, kucoin.KEY)
    assert failure is not None and failure.reason.value == "rate_limited" and failure.address and not failure.retry


def test_success_is_200000_and_nothing_else() -> None:
    for code in ("200000", 200000, "200"):
        assert kucoin.classify(answer(code), kucoin.KEY) is None
    for body in ({}, [], {"code": None}, {"code": "0"}, {"code": True}, "200000"):
        failure = kucoin.classify(Answer(status=200, body=body, text="", headers={}), kucoin.KEY)
        assert failure is not None and failure.reason.value == "malformed_response"
    for status, reason in (
        (403, "venue_incident"),
        (429, "rate_limited"),
        (500, "venue_incident"),
        (503, "venue_maintenance"),
    ):
        for code in ("200000", "999999"):
            failure = kucoin.classify(answer(code, status), kucoin.KEY)
            assert failure is not None and failure.reason.value == reason


@pytest.mark.parametrize("name", ["apiKey", "secret", "password"])
def test_a_spoiled_signature_or_passphrase_is_refused(name: str) -> None:
    good = Twin().sample_credentials()
    assert reasons(collect(Twin(), credentials=good)) == {}
    assert set(reasons(collect(Twin(), credentials={**good, name: "spoiled-value"})).values()) == {"invalid_key"}


def test_a_parameter_that_was_not_signed_is_refused() -> None:
    async def run() -> int:
        import aiohttp

        async with Twin() as twin, aiohttp.ClientSession() as session:
            held = {name: Secret(value) for name, value in twin.sample_credentials().items()}
            request = Signer("kucoin", held, twin.url).sign(kucoin.SUB_KEYS, {"subName": "gridbot1"})
            async with session.get(request.url + "&apiKey=x", headers=request.headers) as answered:
                return answered.status

    assert asyncio.run(run()) == 400


def test_an_address_that_is_not_in_the_list_is_not_a_bad_key() -> None:
    twin = Twin()
    twin.caller = "203.0.113.99"
    assert set(reasons(collect(twin)).values()) == {"ip_not_allowed"}


@pytest.mark.parametrize("seconds", [-3600, 45, 7200])
def test_a_wrong_clock_is_learnt_once(seconds: int) -> None:
    twin = Twin()
    twin.clock_ahead = timedelta(seconds=seconds)
    assert not collect(twin).problems
    assert sum(request.path == kucoin.TIME.path for request in twin.requests) == 1


def test_thirty_accounts_share_one_look_at_the_status() -> None:
    async def run() -> Twin:
        twin = Twin()
        async with twin, Venue(kucoin, endpoint=twin.url) as venue:
            held = {name: Secret(value) for name, value in twin.sample_credentials().items()}
            await asyncio.gather(*[kucoin.collect(venue.key(held), Sheet()) for _ in range(30)])
        return twin

    assert sum(request.path == kucoin.STATUS.path for request in asyncio.run(run()).requests) == 1


def test_no_credential_is_in_a_problem() -> None:
    canaries = {
        "apiKey": "CANARYKEY0123456789",
        "secret": "CANARYSECRET0123456789",
        "password": "CANARYPHRASE0123456789",
    }
    twin = Twin()
    twin.keys = {
        canaries["apiKey"]: TwinKey(
            api_key=canaries["apiKey"], secret=canaries["secret"], password=canaries["password"], about={}
        )
    }
    said = " ".join(canaries.values())
    twin.signed = {place: lambda _request, _key: {"code": said, "msg": said, "data": [said]} for place in twin.signed}
    sheet = collect(twin, credentials=canaries)
    assert sheet.problems and not any(canary in repr(sheet) for canary in canaries.values())


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(max_size=8)
    | st.sampled_from(["", "General", "Transfer", "*", "\ud800"])
)
ODD = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.text(max_size=4), LEAVES, max_size=3)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted({*about(), "subName", "status", "items", "totalNum"})), ODD, max_size=6))
def test_no_answer_whatsoever_raises_or_writes_a_malformed_fact(fields: dict[str, Any]) -> None:
    row = {**about(), **fields}

    class Stub:
        async def fetch(self, endpoint: Any, params: Any = None) -> Any:
            pages = {"items": [row], "totalNum": 1, "totalPage": 1, **fields}
            data = {kucoin.SUB_ACCOUNTS: pages, kucoin.SUB_KEYS: [row]}.get(endpoint, row)
            return {"code": "200000", "data": data}

    sheet = Sheet()
    asyncio.run(kucoin.collect(Stub(), sheet))
    for scope, facts in (
        ("account", sheet.account),
        ("venue", sheet.venue),
        *(("api_key", one) for one in sheet.rows["api_key"] or []),
    ):
        for name, value in facts.items():
            assert name == "public_id" or catalogue()[f"{scope}.{name}"].check(value) is None


def test_the_venue_file_guesses_nothing() -> None:
    stated = {policy.fact: policy for policy in _venue.load("kucoin").policies}
    assert stated["venue.unbound_key_expiry_days"].value == 30 and "without use" in (
        stated["venue.unbound_key_expiry_days"].condition or ""
    )
    for fact in (
        "venue.api_withdrawal_requires_allowlist",
        "venue.new_address_delay_hours",
        "venue.second_factor_downgrade_possible",
    ):
        assert stated[fact].value is None
