"""Bitget over the wire: each trap of the venue by name, every code, both families of calls."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _transport, _venue, bitget
from auditor.exchanges._base import Answer, Sheet
from auditor.exchanges._signer import Signer
from auditor.model.facts import catalogue
from auditor.redaction import Secret
from auditor.twin._base import Breakage, Refusal, Spoken, TwinKey
from auditor.twin.bitget import Twin
from tests.exchanges.wire import collect, reasons

CODES = {
    "venue_maintenance": "40200 500",
    "venue_incident": "40015",
    "timeout": "40010",
    "rate_limited": "429 30007 1001",
    "invalid_key": "40006 40009 40012 40036 40037 40041",
    "account_frozen": "40013 40024 40026 40031",
    "ip_not_allowed": "40018 40038",
    "permission_denied": "22010 40014 40016 40023 40025 40048 40061 40068 40085 40021 40052 40063 47003 11000",
    "clock_skew": "40004 40005 40008",
}
POWERS = ("can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")
NONE, ALL = (False,) * 5, (True,) * 5


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def told(unified: bool = True, **fields: Any) -> Twin:
    """A twin whose calling key is described so; `...` leaves a field out."""
    twin = Twin()
    twin.unified = unified
    first = twin.sample_keys()[0]
    about = {name: value for name, value in {**first.about, **fields}.items() if value is not ...}
    twin.keys[first.api_key] = replace(first, about=about)
    return twin


def calling(unified: bool = True, **fields: Any) -> Sheet:
    return collect(told(unified, **fields))


def own(sheet: Sheet) -> dict[str, Any]:
    (row,) = [row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")]
    return row


def powers(row: dict[str, Any]) -> tuple[bool | None, ...]:
    return tuple(row.get(name) for name in POWERS)


def sub_row(**fields: Any) -> dict[str, Any]:
    row = {**Twin().sub_keys["1234500098"][0], **fields}
    return {name: value for name, value in row.items() if value is not ...}


def with_sub_keys(*rows: Any) -> Sheet:
    twin = Twin()
    twin.sub_accounts = twin.sub_accounts[:1]
    twin.sub_keys = {"1234500098": list(rows)}
    return collect(twin)


def answer(code: Any, status: int = 200, message: str = "") -> Answer:
    return Answer(status=status, body={"code": code, "msg": message, "data": None}, text="", headers={})


# The sample account, in both families


def test_the_sample_account_shows_what_a_read_key_may_see() -> None:
    sheet = collect(Twin())
    assert not sheet.problems
    assert sheet.account == {"kind": "main", "created_at": "2020-09-13T12:26:40Z", "addresses_complete": True}
    assert sheet.account_id == "1234500001"
    assert own(sheet) == {
        **dict.fromkeys(POWERS, False),
        "can_read": True,
        "permissions": ["uta_mgt", "uta_trade", "read-only"],
        "ip_bound": True,
        "ip_allowlist": ["198.51.100.7"],
        "kind": "hmac",
        "enabled": True,
        "is_audit_key": True,
    }
    found = keys_of_subs(sheet)
    assert powers(found["grid bot"]) == (True, True, False, False, False)
    assert found["assistant"]["sub_account"].endswith("(agent) 1234500099")
    assert [row["label"] for row in sheet.rows["address"] or []] == ["cold", "new"]
    assert (sheet.rows["address"] or [])[1]["created_at"] == "2026-11-18T11:06:40Z"


def keys_of_subs(sheet: Sheet) -> dict[str, dict[str, Any]]:
    return {row["label"]: row for row in sheet.rows["api_key"] or [] if "label" in row}


def test_a_classic_account_is_read_by_the_classic_calls() -> None:
    twin = told(unified=False)
    sheet = collect(twin)
    assert sheet.account == {"kind": "main", "created_at": "2020-09-13T12:26:40Z"}
    assert powers(own(sheet)) == NONE
    assert powers(keys_of_subs(sheet)["grid bot"]) == (True, True, False, False, False)
    assert reasons(sheet) == {"v3/account/withdraw-address": "not_collected"}
    assert sheet.rows["address"] is None


def test_a_unified_account_is_asked_no_classic_call() -> None:
    twin = Twin()
    collect(twin)
    assert {request.path for request in twin.requests} == {one.path for one in bitget.endpoints if "/v3/" in one.path}
    assert {request.verb for request in twin.requests} == {"GET"}


def test_an_outage_of_the_unified_family_is_not_taken_for_a_classic_account() -> None:
    twin = Twin()
    twin.fail(Refusal.MAINTENANCE, bitget.UNIFIED.path)
    sheet = collect(twin)
    assert not any(request.path == bitget.CLASSIC.path for request in twin.requests)
    assert reasons(sheet) == {"v3/account/info": "venue_maintenance"}


@pytest.mark.parametrize("how", [Breakage.REDIRECT, Spoken(403, "<html>no</html>"), Spoken(404, "<html>no</html>")])
def test_a_page_in_place_of_the_unified_family_is_no_missing_permission(how: Breakage | Spoken) -> None:
    """The classic calls then say that the account is not theirs: that is known from there, and no permission would help."""
    twin = Twin()
    twin.fail(how, bitget.UNIFIED.path)
    sheet = collect(twin)
    assert reasons(sheet).keys() == {"v3/account/info"} and "permission_denied" not in reasons(sheet).values()


def test_a_key_that_neither_family_describes_is_a_problem_of_both() -> None:
    twin = Twin()
    twin.fail(Refusal.MISSING_PERMISSION, bitget.UNIFIED.path)
    sheet = collect(twin)
    assert reasons(sheet) == {"v3/account/info": "permission_denied", "v2/spot/account/info": "permission_denied"}
    assert not [row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")]


# Permissions


@pytest.mark.parametrize(
    ("type_", "areas", "expected"),
    [
        ("read-only", ["uta_mgt", "uta_trade", "copy_futures_order"], NONE),
        ("read_only", ["uta_trade"], NONE),
        ("read-and-write", ["uta_trade"], (True, True, False, False, False)),
        ("read_write", ["uta_trade"], (True, True, False, False, False)),
        ("read-and-write", ["uta_mgt"], (None, False, True, False, True)),
        ("read-and-write", ["withdraw"], (False, False, True, True, False)),
        ("read-and-write", ["copy_futures_position"], (True, True, False, False, False)),
        ("read-and-write", ["uta_mgt", "uta_trade", "withdraw"], ALL),
        ("read-and-write", ["uta_trade", "new_area"], (True, True, None, None, None)),
        ("read-only", ["uta_trade", "new_area"], (None,) * 5),
        ("read-and-write", [], (None,) * 5),
        ("read-only", [], (None,) * 5),
        ("odd", ["uta_trade"], (None, None, False, False, False)),
        ("", ["uta_trade"], (None, None, False, False, False)),
    ],
)
def test_the_type_decides_and_has_two_spellings(
    type_: str, areas: list[str], expected: tuple[bool | None, ...]
) -> None:
    assert powers(own(calling(permType=type_, permissions=areas))) == expected
    sub = keys_of_subs(with_sub_keys(sub_row(type=type_, permissions=areas)))["grid bot"]
    assert powers(sub)[:4] == expected[:4] and sub.get("can_manage") is not True


def test_a_read_only_key_with_withdraw_contradicts_itself() -> None:
    sheet = calling(permType="read-only", permissions=["uta_trade", "withdraw"])
    assert powers(own(sheet)) == (False, False, None, None, False)
    assert reasons(sheet)["v3/account/info"] == "implausible_response"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["stor", "coor", "cpor", "smor", "ttor", "wtor", "taxr", "chor", "p2pr", "pllr"], NONE),
        (["readonly"], NONE),
        (["taxw", "stor"], NONE),
        (["stow"], (True, False, False, False, False)),
        (["smow"], (True, False, False, False, False)),
        (["coow"], (True, True, False, False, False)),
        (["cpow"], (True, True, False, False, False)),
        (["ttow"], (True, True, False, False, False)),
        (["wtow"], (False, False, True, False, False)),
        (["wwow"], (False, False, True, True, False)),
        (["chow"], (False, False, False, False, True)),
        (["p2p"], (None, False, None, None, False)),
        (["p2pw"], (None, False, None, None, False)),
        (["pllw"], (None, False, False, False, False)),
        (["trade", "readonly"], (True, None, None, None, None)),
        (["stor", "abcw"], (None,) * 5),
        (["stow", "abcr"], (True, None, None, None, None)),
        ([], (None,) * 5),
    ],
)
def test_the_short_words_of_classic_keys(words: list[str], expected: tuple[bool | None, ...]) -> None:
    assert powers(own(calling(unified=False, authorities=words))) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["read"], NONE),
        (["spot_trade", "margin_trade"], (True, False, False, False, False)),
        (["contract_trade"], (True, True, False, False, False)),
        (["copytrading_trade"], (True, True, False, False, False)),
        (["contract_order", "contract_position"], (None, None, False, False, False)),
        (["transfer"], (False, False, True, False, False)),
        (["wallet_transfer"], (False, False, True, False, False)),
        (["wallet_withdraw"], (False, False, True, True, False)),
        (["read", "sorcery"], (None,) * 5),
        ([], (None,) * 5),
    ],
)
def test_the_words_of_classic_sub_account_keys(words: list[str], expected: tuple[bool | None, ...]) -> None:
    twin = told(unified=False)
    twin.signed[("GET", bitget.OLD_SUB_KEYS.path)] = lambda _request, _key: {
        "code": "00000",
        "data": [{"label": "one", "subAccountApiKey": "bg_x", "permList": words, "ipList": ["203.0.113.5"]}],
    }
    assert powers(keys_of_subs(collect(twin))["one"]) == expected


def test_classic_sub_account_keys_ask_for_a_bound_key_and_an_unbound_one_does_not_ask() -> None:
    twin = told(unified=False, ips="")
    sheet = collect(twin)
    assert reasons(sheet)["v2/user/virtual-subaccount-apikey-list"] == "permission_denied"
    assert not any(request.path == bitget.OLD_SUB_KEYS.path for request in twin.requests)
    assert any("api_keys" in problem.facts for problem in sheet.problems)


# Fields


@pytest.mark.parametrize(
    ("listed", "bound", "shown"),
    [
        ("198.51.100.7,203.0.113.9", True, ["198.51.100.7", "203.0.113.9"]),
        ("", False, []),
        (None, False, []),
        ([], False, []),
        ([""], False, []),
        (["203.0.113.9"], True, ["203.0.113.9"]),
        ("*", False, []),
        (..., None, None),
        (7, None, None),
        ([7], None, None),
    ],
)
def test_ips_is_text_in_one_place_and_a_list_in_the_other(listed: Any, bound: Any, shown: Any) -> None:
    for sheet in (calling(ips=listed), calling(unified=False, ips=listed)):
        assert (own(sheet).get("ip_bound"), own(sheet).get("ip_allowlist")) == (bound, shown)
    row = keys_of_subs(with_sub_keys(sub_row(ips=listed)))["grid bot"]
    assert (row.get("ip_bound"), row.get("ip_allowlist")) == (bound, shown)


@pytest.mark.parametrize(
    ("parent", "kind"),
    [
        ("", "main"),
        (0, "main"),
        ("0", "main"),
        (None, "main"),
        ("1234500001", "sub"),
        (1234500001, "sub"),
        (..., None),
        ([], None),
        ("x", None),
    ],
)
@pytest.mark.parametrize("unified", [True, False])
def test_a_parent_makes_a_sub_account_and_a_missing_field_makes_nothing(
    parent: Any, kind: str | None, unified: bool
) -> None:
    sheet = calling(unified, parentId=parent)
    assert sheet.account.get("kind") == kind
    assert sheet.account.get("parent") == ("…0001" if kind == "sub" else None)
    assert sheet.account.get("master_key_over_subaccounts") is (False if kind == "sub" else None)


def test_sub_key_asks_for_no_list_of_sub_accounts() -> None:
    twin = told(parentId="1234500001", permType="read-and-write", permissions=["uta_mgt"])
    sheet = collect(twin)
    assert not any("/user/" in request.path for request in twin.requests)
    assert "can_manage" not in own(sheet)


@pytest.mark.parametrize("odd", [..., None, 7, "x", {}, True])
@pytest.mark.parametrize(
    ("field", "lost"),
    [
        ("permType", {*POWERS, "permissions"}),
        ("permissions", {*POWERS, "permissions"}),
        ("regisTime", set()),
    ],
)
def test_a_missing_or_odd_field_costs_only_itself(field: str, odd: Any, lost: set[str]) -> None:
    whole, sheet = own(collect(Twin())), calling(**{field: odd})
    kept = {name: value for name, value in whole.items() if name not in lost}
    assert {name: value for name, value in own(sheet).items() if name not in lost} == kept
    assert not {name for name in POWERS if own(sheet).get(name) is True}
    assert not set(POWERS) & set(own(sheet)) or not lost or field == "permType"
    assert ("created_at" in sheet.account) is (field != "regisTime")


def test_an_undocumented_time_is_no_age_of_a_key() -> None:
    assert all("created_at" not in row for row in collect(Twin()).rows["api_key"] or [])


def test_masked_ids_identify_nothing_and_both_spellings_of_the_field_are_read() -> None:
    for fields, id_ in (
        ({"apiKey": "bg_***01"}, None),
        ({"apiKey": ..., "apikey": "bg_other"}, "bg_other"),
        ({}, sub_row()["apiKey"]),
    ):
        assert keys_of_subs(with_sub_keys(sub_row(**fields)))["grid bot"].get("public_id") == id_


def test_one_odd_key_hides_no_other() -> None:
    for odd in (7, None, [], "x"):
        sheet = with_sub_keys(sub_row(note="one"), odd, sub_row(note="two"))
        assert {"one", "two"} <= set(keys_of_subs(sheet))
        assert reasons(sheet)["v3/user/sub-api-list"] == "malformed_response"


def test_names_are_no_mail_addresses() -> None:
    twin = Twin()
    twin.sub_accounts[0]["username"] = "jane.doe@mail.example"
    twin.sub_keys["1234500098"][0]["note"] = "for jane.doe@mail.example"
    twin.addresses[0] |= {"address": "jane.doe@mail.example", "internalType": "email", "label": "jane.doe@mail.example"}
    sheet = collect(twin)
    shown = [
        {name: value for name, value in row.items() if name != "public_id"} for row in (sheet.rows["address"] or [])
    ]
    assert "mail.example" not in repr([sheet.account, sheet.rows["api_key"], shown, sheet.problems])


# Pages


@pytest.mark.parametrize("count", [0, 1, 100, 101, 230])
@pytest.mark.parametrize("unified", [True, False])
def test_sub_accounts_and_their_keys_are_read_to_the_end(count: int, unified: bool) -> None:
    twin = told(unified)
    twin.page = 50
    first = twin.sub_accounts[0]
    twin.sub_accounts = [
        {**first, "subUid": str(1000 + number), "username": f"s{number:03}@x.example"} for number in range(count)
    ]
    twin.sub_keys = {
        sub["subUid"]: [sub_row(note=sub["subUid"], permissions=["uta_trade"])] for sub in twin.sub_accounts
    }
    sheet = collect(twin)
    assert set(reasons(sheet)) == (set() if unified else {"v3/account/withdraw-address"})
    assert set(keys_of_subs(sheet)) == {str(1000 + number) for number in range(count)}
    assert sheet.account.get("master_key_over_subaccounts") is (None if count else False)


@pytest.mark.parametrize("count", [0, 9, 10, 11, 35])
def test_the_address_book_comes_ten_at_a_time(count: int) -> None:
    twin = Twin()
    twin.addresses = [
        {**twin.addresses[0], "address": f"bc1q{number}", "label": f"a{number}"} for number in range(count)
    ]
    sheet = collect(twin)
    assert len(sheet.rows["address"] or []) == count and sheet.rows["address"] is not None
    assert sheet.account["addresses_complete"] is True


@pytest.mark.parametrize(
    "path", ["/api/v3/user/sub-list", "/api/v3/user/sub-api-list", "/api/v3/account/withdraw-address"]
)
def test_pages_without_an_end_are_given_up(path: str) -> None:
    twin = Twin()
    rows = {
        "list": twin.sub_accounts,
        "items": twin.sub_keys["1234500098"],
        "addressList": [{**twin.addresses[0], "label": str(n)} for n in range(10)],
    }
    twin.signed[("GET", path)] = lambda _request, _key: {
        "code": "00000",
        "data": {**rows, "hasNext": True, "cursor": 7},
    }
    sheet = collect(twin)
    assert reasons(sheet)[path.removeprefix("/api/")] == "implausible_response"
    assert "addresses_complete" not in sheet.account or "address" not in path
    assert sum(request.path == path for request in twin.requests) <= 4


def test_an_address_without_an_address_makes_the_book_incomplete() -> None:
    for odd in (7, None, ..., ""):
        twin = Twin()
        row = {name: value for name, value in {**twin.addresses[0], "address": odd}.items() if value is not ...}
        twin.addresses = [row, twin.addresses[1]]
        sheet = collect(twin)
        assert "addresses_complete" not in sheet.account and len(sheet.rows["address"] or []) == 1


# Codes, signature, clock


@pytest.mark.parametrize(
    ("code", "reason"), [(code, reason) for reason, listed in CODES.items() for code in listed.split()]
)
@pytest.mark.parametrize("status", [200, 400])
def test_every_code_means_what_the_venue_says_and_not_what_ccxt_makes_of_it(
    code: str, reason: str, status: int
) -> None:
    for spelled in (code, int(code)):
        failure = bitget.classify(answer(spelled, status), bitget.UNIFIED)
        assert failure is not None and failure.reason.value == reason
        assert failure.lockout is (reason in {"invalid_key", "account_frozen", "ip_not_allowed"})
        assert failure.retry is (reason in {"venue_maintenance", "venue_incident", "timeout", "rate_limited"})


def test_the_table_holds_no_code_that_is_not_tested() -> None:
    assert set(bitget._FAILURES) == {code for listed in CODES.values() for code in listed.split()}


def test_a_regional_currency_is_no_frozen_account() -> None:
    said = "The currency is a regional currency and does not meet the purchase conditions."
    failure = bitget.classify(answer("40024", 400, said), bitget.UNIFIED)
    assert failure is not None and failure.reason.value == "permission_denied" and not failure.lockout


def test_success_is_five_zeros_and_nothing_else() -> None:
    assert bitget.classify(answer("00000"), bitget.UNIFIED) is None
    for body in ({}, [], {"code": None}, {"code": 0}, {"code": "0"}, {"code": True}, "00000", {"code": "49999"}):
        failure = bitget.classify(Answer(status=200, body=body, text="", headers={}), bitget.UNIFIED)
        assert failure is not None and failure.reason.value == "malformed_response"
    for status, reason in (
        (401, "malformed_response"),
        (403, "venue_incident"),
        (429, "rate_limited"),
        (500, "venue_incident"),
    ):
        for code in ("00000", "49999"):
            failure = bitget.classify(answer(code, status), bitget.UNIFIED)
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
            request = Signer("bitget", held, twin.url).sign(bitget.SUB_KEYS, {"subUid": "1234500098"})
            async with session.get(request.url + "&limit=1", headers=request.headers) as answered:
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
    assert sum(request.path == bitget.TIME.path for request in twin.requests) == 1


def test_no_credential_is_in_a_problem() -> None:
    held = {"apiKey": "CANARYKEY0123456789", "secret": "CANARYSECRET0123456789", "password": "CANARYPHRASE0123456789"}
    twin = Twin()
    twin.keys = {
        held["apiKey"]: TwinKey(api_key=held["apiKey"], secret=held["secret"], password=held["password"], about={})
    }
    said = " ".join(held.values())
    twin.signed = {place: lambda _request, _key: {"code": said, "msg": said, "data": [said]} for place in twin.signed}
    sheet = collect(twin, credentials=held)
    assert sheet.problems and not any(canary in repr(sheet) for canary in held.values())


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(max_size=8)
    | st.sampled_from(["", "withdraw", "read-only", "*", "\ud800"])
)
ODD = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.text(max_size=4), LEAVES, max_size=3)
FIELDS = [
    "userId",
    "parentId",
    "ips",
    "permType",
    "permissions",
    "authorities",
    "regisTime",
    "subUid",
    "username",
    "type",
    "list",
    "items",
]
FIELDS += [
    "hasNext",
    "cursor",
    "address",
    "addressList",
    "coin",
    "chain",
    "label",
    "note",
    "memo",
    "createdTime",
    "apiKey",
]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=6))
def test_no_answer_whatsoever_raises_or_writes_a_malformed_fact(fields: dict[str, Any]) -> None:
    twin = Twin()
    row = {**twin.sample_keys()[0].about, **twin.sub_accounts[0], **sub_row(), **twin.addresses[0], **fields}

    class Stub:
        async def fetch(self, endpoint: Any, params: Any = None) -> Any:
            lists = {"list": [row], "items": [row], "addressList": [row], "hasNext": False, "cursor": "1"}
            return {"code": "00000", "data": {**row, **lists, **fields}}

    sheet = Sheet()
    asyncio.run(bitget.collect(Stub(), sheet))
    rows = [("api_key", one) for one in sheet.rows["api_key"] or []] + [
        ("address", one) for one in sheet.rows["address"] or []
    ]
    for scope, facts in (("account", sheet.account), *rows):
        for name, value in facts.items():
            assert name == "public_id" or catalogue()[f"{scope}.{name}"].check(value) is None


def test_the_venue_file_guesses_nothing() -> None:
    stated = {policy.fact: policy for policy in _venue.load("bitget").policies}
    for fact in (
        "venue.unbound_key_expiry_days",
        "venue.new_address_delay_hours",
        "venue.allowlist_disable_delay_hours",
    ):
        assert stated[fact].value is None
