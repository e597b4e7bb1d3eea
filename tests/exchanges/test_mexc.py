"""MEXC over the wire: every trap of the venue, every code, every edge of a key."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _transport, _venue, mexc
from auditor.exchanges._base import Answer, Sheet
from auditor.exchanges._gate import GateError
from auditor.exchanges._transport import Venue
from auditor.model.facts import catalogue
from auditor.redaction import Secret
from auditor.twin._base import Refusal
from auditor.twin.mexc import Twin
from tests.exchanges.wire import collect, keys, reasons

CODES = {
    "venue_maintenance": "503 604 801 11444",
    "venue_incident": "500 20001 20002",
    "invalid_key": "402 10072 700001 700002 730706",
    "ip_not_allowed": "406 700006",
    "permission_denied": "403 511 701 702 703 704 700007",
    "clock_skew": "10073 700003",
    "rate_limited": "429 510",
    "account_frozen": "60005",
    "malformed_response": "400 10212 10265 30018 730707 99999",
}
EACH = [(code, reason) for reason, listed in CODES.items() for code in listed.split()]
ODD = [..., None, 7.5, [], {}, True]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=body, text="", headers={})


def told(body: Any, status: int = 200) -> str | None:
    found = mexc.classify(answer(body, status), mexc.ACCOUNT)
    return found and found.reason.value


def calling(**fields: Any) -> Sheet:
    """What is seen where the key says so of itself; `...` leaves a field out."""
    twin = Twin()
    about = {**twin.sample_keys()[0].about, **fields}
    body = {name: value for name, value in about.items() if value is not ...}
    twin.signed[("GET", mexc.KEY.path)] = lambda _request, _key: body
    return collect(twin)


def own(sheet: Sheet) -> dict[str, Any]:
    (row,) = [row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")]
    return row


def of_sub(**fields: Any) -> dict[str, Any]:
    """The row of one key of a sub-account."""
    twin = Twin()
    body = {**twin.sub_keys["mexcbot01"][0], **fields}
    twin.sub_keys = {"mexcbot01": [{name: value for name, value in body.items() if value is not ...}]}
    (row,) = [row for row in collect(twin).rows["api_key"] or [] if row.get("sub_account")]
    return row


def test_the_sample_account_shows_what_a_read_key_may_see() -> None:
    sheet = collect(Twin())
    assert not sheet.problems
    assert sheet.account == {"kind": "main", "kyc_level": 2, "status": "normal", "addresses_complete": True}
    assert set(keys(sheet)) == {"audit", "grid", "arb"}
    assert keys(sheet)["grid"]["can_withdraw"] is True and keys(sheet)["grid"]["sub_account"] == "mexcbot01"
    assert keys(sheet)["arb"]["ip_allowlist"] == ["203.0.113.9", "203.0.113.10"]
    assert [row["label"] for row in sheet.rows["address"] or []] == ["cold", "other exchange"]
    assert "key_inventory_complete" not in sheet.account and "1234.5" not in repr(sheet)


# Traps


def test_the_path_that_overwrites_the_ip_list_under_post_is_only_ever_read() -> None:
    twin = Twin()
    collect(twin)
    assert {request.verb for request in twin.requests} == {"GET"}
    assert {endpoint.verb for endpoint in mexc.endpoints} == {"GET"}

    async def overwrite() -> None:
        async with twin, Venue(mexc, endpoint=twin.url) as venue:
            door = venue.key({name: Secret(value) for name, value in twin.sample_credentials().items()})
            await door.fetch(replace(mexc.KEY, verb="POST"))

    with pytest.raises(GateError):
        asyncio.run(overwrite())


def test_the_key_names_itself_and_the_connector_never_holds_it() -> None:
    twin = Twin()
    sheet = collect(twin)
    (asked,) = [request for request in twin.requests if request.path == mexc.KEY.path]
    assert asked.query["accessKey"] == twin.sample_credentials()["apiKey"]
    assert all("accessKey" not in request.query for request in twin.requests if request.path != mexc.KEY.path)
    assert twin.sample_credentials()["apiKey"] not in repr(sheet)


def test_flags_of_the_account_are_no_permissions_of_the_key() -> None:
    for flags in ({"canTrade": True, "canWithdraw": True}, {"canTrade": True, "canWithdraw": False}):
        twin = Twin()
        twin.flags |= flags
        sheet = collect(twin)
        assert own(sheet)["can_withdraw"] is False and own(sheet)["can_trade"] is False
        assert sheet.account["status"] == ("normal" if flags["canWithdraw"] else "restricted")


def test_a_missing_read_scope_is_no_bad_key_and_the_rest_is_read() -> None:
    twin = Twin()
    first = twin.sample_keys()[0]
    twin.keys[first.api_key] = replace(first, about={**first.about, "permissions": "SPOT_ACCOUNT_READ"})
    sheet = collect(twin)
    assert reasons(sheet) == {mexc.ADDRESSES.name: "permission_denied"}
    assert sheet.rows["address"] is None and "addresses_complete" not in sheet.account


def test_success_true_beside_a_code_is_a_refusal_all_the_same() -> None:
    assert told({"success": True, "code": 700006, "msg": "ip"}) == "ip_not_allowed"
    assert told({"success": True, "code": 0, "data": {}}) is None
    assert told({"success": False}) == "malformed_response"
    assert told({"success": False, "code": 0}) == "malformed_response"


def test_the_time_of_creation_in_both_spellings_and_forms() -> None:
    assert own(calling(createTime=1759310100000))["created_at"] == "2025-10-01T09:15:00Z"
    assert own(calling(createTime="1759310100000"))["created_at"] == "2025-10-01T09:15:00Z"
    assert own(calling(createTime="2026-10-01T11:15:00.000+02:00"))["created_at"] == "2026-10-01T09:15:00Z"
    assert of_sub(creatTime=..., createTime=1731000000000)["created_at"] == "2024-11-07T17:20:00Z"
    assert "created_at" not in of_sub(creatTime=0)


# The fields of a key


@pytest.mark.parametrize(
    ("days", "never"), [(-999, True), (0, False), (40, False), ("90", False), (-1, False), (..., False)]
)
def test_days_that_are_left(days: Any, never: bool) -> None:
    assert own(calling(remainingValidity=days))["never_expires"] is never  # unbound: ends, whatever else is missing
    bound = own(calling(remainingValidity=days, ipWhiteList="198.51.100.7")).get("never_expires")
    assert bound is (None if days in (-1, ...) else never)


@pytest.mark.parametrize(
    ("word", "enabled"), [("VALID", True), ("FROZEN", False), ("DELETE", False), ("NOVEL", None), (..., None)]
)
def test_the_state_of_a_key(word: Any, enabled: bool | None) -> None:
    assert own(calling(status=word)).get("enabled") is enabled


@pytest.mark.parametrize(
    ("listed", "expected"),
    [("", (False, [])), (" , ", (False, [])), ("*", (False, [])), ("198.51.100.7, 2001:db8::/64", (True, ["198.51.100.7", "2001:db8::/64"])),
     (..., (None, None)), (None, (None, None)), ([], (None, None))],
)  # fmt: skip
def test_the_addresses_a_key_is_bound_to(listed: Any, expected: tuple[Any, Any]) -> None:
    for row in (own(calling(ipWhiteList=listed)), of_sub(ip=listed)):
        assert (row.get("ip_bound"), row.get("ip_allowlist")) == expected


POWERS = ("can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")


@pytest.mark.parametrize(
    ("words", "powers"),
    [
        ("SPOT_ACCOUNT_READ", (False, False, False, False, False)),
        ("read_only", (False, False, False, False, False)),
        ("SPOT_ACCOUNT_R,SPOT_WITHDRAW_R", (False, False, False, False, False)),
        ("SPOT_DEAL_WRITE", (True, False, False, False, False)),
        ("SPOT_DEAL_W", (True, False, False, False, False)),
        ("CONTRACT_DEAL_WRITE", (True, True, False, False, False)),
        ("CONTRACT_ACCOUNT_WRITE", (False, False, None, False, False)),
        ("SPOT_TRANSFER_WRITE", (False, False, True, False, False)),
        ("SPOT_WITHDRAW_WRITE", (False, False, None, True, False)),
        ("SPOT_ACCOUNT_WRITE", (False, False, False, False, True)),
        ("SPOT_ACCOUNT_READ,OPTIONS_WRITE", (None, None, None, None, None)),
        ("SPOT_WITHDRAW_WRITE,NOVEL", (None, None, None, True, None)),
        ("_WRITE", (None, None, None, None, None)),
        ("", (None, None, None, None, None)),
    ],
)
def test_scopes_are_false_only_where_every_word_is_known(words: str, powers: tuple[bool | None, ...]) -> None:
    for row in (own(calling(permissions=words)), of_sub(permissions=words)):
        assert tuple(row.get(name) for name in POWERS) == powers


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("field", ["note", "permissions", "ipWhiteList", "createTime", "remainingValidity", "status"])
def test_a_missing_or_odd_field_costs_only_itself(field: str, odd: Any) -> None:
    sheet = calling(**{field: odd})
    lost = {
        "note": {"label"},
        "permissions": {"permissions", *POWERS},
        "ipWhiteList": {"ip_bound", "ip_allowlist"},
        "createTime": {"created_at"},
        "status": {"enabled"},
    }.get(field, set())
    assert lost.isdisjoint(own(sheet))
    assert set(own(collect(Twin()))) - lost - {"never_expires"} <= set(own(sheet))
    assert reasons(sheet) == {mexc.KEY.name: "malformed_response"}


@pytest.mark.parametrize(
    ("status", "level"), [("1", 0), ("2", 1), ("3", 2), (4, 3), ("0", None), ("5", None), ("", None), (None, None)]
)
def test_the_level_of_identification(status: Any, level: int | None) -> None:
    twin = Twin()
    twin.kyc = status
    assert collect(twin).account.get("kyc_level") == level


# Lists


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 450])
def test_all_pages_of_sub_accounts_and_addresses_are_read(count: int) -> None:
    twin = Twin()
    twin.subs = [{"subAccount": f"bot{number:03}", "isFreeze": False} for number in range(count)]
    twin.sub_keys = {
        sub["subAccount"]: [{**Twin().sub_keys["mexcbot01"][0], "note": sub["subAccount"]}] for sub in twin.subs
    }
    twin.addresses = [
        {"coin": "BTC", "network": "BTC", "address": f"bc1demo{number}", "addressTag": "", "memo": None}
        for number in range(count)
    ]
    sheet = collect(twin, deadline=5)
    assert not sheet.problems
    assert len(sheet.rows["api_key"] or []) == count + 1 and len(sheet.rows["address"] or []) == count
    assert sheet.account["addresses_complete"] is True


def test_a_list_that_never_ends_is_left_and_not_called_complete() -> None:
    twin = Twin()
    twin.signed[("GET", mexc.ADDRESSES.path)] = lambda _request, _key: {"data": [], "totalPageNum": 10**9}
    rows = [{"subAccount": f"b{number}"} for number in range(200)]
    twin.signed[("GET", mexc.SUB_ACCOUNTS.path)] = lambda _request, _key: {"subAccounts": rows}
    sheet = collect(twin, deadline=5)
    assert reasons(sheet) == {mexc.ADDRESSES.name: "malformed_response", mexc.SUB_ACCOUNTS.name: "implausible_response"}
    assert sheet.rows["address"] is None and "addresses_complete" not in sheet.account


@pytest.mark.parametrize("odd", [{"network": None}, {"address": 5}, {"coin": ...}])
def test_an_odd_address_costs_only_itself_and_the_claim_that_all_were_seen(odd: dict[str, Any]) -> None:
    twin = Twin()
    row = {**twin.addresses[0], **odd}
    twin.addresses = [{name: value for name, value in row.items() if value is not ...}, twin.addresses[1]]
    sheet = collect(twin)
    assert [row["label"] for row in sheet.rows["address"] or []] == ["other exchange"]
    assert "addresses_complete" not in sheet.account and reasons(sheet)[mexc.ADDRESSES.name] == "malformed_response"


def test_one_address_with_two_memos_is_two_destinations() -> None:
    twin = Twin()
    twin.addresses = [
        {"coin": "XRP", "network": "XRP", "address": "rDEMO", "addressTag": None, "memo": memo}
        for memo in (None, "", "7", "8")
    ]
    assert sorted(row["public_id"] for row in collect(twin).rows["address"] or []) == ["rDEMO", "rDEMO:7", "rDEMO:8"]


@pytest.mark.parametrize(
    ("words", "subs", "over"),
    [("SPOT_ACCOUNT_READ,SPOT_TRANSFER_WRITE", 2, True), ("SPOT_ACCOUNT_READ", 2, None), ("SPOT_ACCOUNT_READ", 0, False), ("SPOT_ACCOUNT_READ,NOVEL", 2, None)],
)  # fmt: skip
def test_one_key_over_all_sub_accounts_is_proved_by_this_key_and_disproved_where_there_are_none(
    words: str, subs: int, over: Any
) -> None:
    twin = Twin()
    first = twin.sample_keys()[0]
    twin.keys[first.api_key] = replace(first, about={**first.about, "permissions": words})
    twin.subs = twin.subs[:subs]
    sheet = collect(twin)
    assert sheet.account.get("master_key_over_subaccounts") is over
    assert sheet.account.get("kind") == ("main" if subs else None)  # a sub-account might be shown an empty list too


def test_names_and_notes_that_are_mail_addresses_are_masked_and_asked_for_as_they_are() -> None:
    twin = Twin()
    twin.subs = [{"subAccount": name} for name in ("ann@bots.example", "abe@bots.example")]
    twin.sub_keys = {
        sub["subAccount"]: [{**Twin().sub_keys["mexcbot01"][0], "note": sub["subAccount"]}] for sub in twin.subs
    }
    sheet = collect(twin)
    assert "bots.example" not in repr(sheet)
    assert len({row["sub_account"] for row in sheet.rows["api_key"] or [] if "sub_account" in row}) == 2
    asked = {request.query.get("subAccount") for request in twin.requests if request.path == mexc.SUB_KEYS.path}
    assert asked == {"ann@bots.example", "abe@bots.example"}


def test_a_masked_public_part_is_no_identity() -> None:
    assert "public_id" not in of_sub(apiKey="mx0v********0001")


# Codes


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize(("code", "reason"), EACH)
def test_every_code_means_what_the_venue_says_whatever_the_status(code: str, reason: str, status: int) -> None:
    for spelled in (code, int(code)):
        assert told({"code": spelled, "msg": "x"}, status) == reason


def test_the_table_holds_no_code_that_is_not_tested() -> None:
    assert set(mexc._FAILURES) <= {code for code, _ in EACH}


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"code": 500, "message": "Under maintenance, back soon"}, 500, "venue_maintenance"),
        ({"code": 400, "msg": "api key required"}, 400, "invalid_key"),
        ({"code": 98, "msg": "?"}, 418, "rate_limited"),
        ({"code": 98, "msg": "?"}, 429, "rate_limited"),
        ({"code": True}, 200, "malformed_response"),
        ({"code": ["0"]}, 200, "malformed_response"),
        ({"code": "0"}, 200, None),
        ({"code": 200, "data": []}, 200, None),
        ({}, 200, None),
        ([], 200, None),
        (None, 503, None),
    ],
)
def test_words_statuses_and_successes(body: Any, status: int, reason: str | None) -> None:
    assert told(body, status) == reason


def test_an_outage_is_never_a_revoked_key() -> None:
    for status in (500, 502, 503):
        twin = Twin()
        twin.refuse = lambda _refusal, status=status: _page(status)  # type: ignore[method-assign,misc]
        twin.fail(Refusal.MAINTENANCE)
        assert not {"invalid_key", "ip_not_allowed"} & set(reasons(collect(twin)).values())


def _page(status: int) -> Any:
    from aiohttp import web

    return web.json_response({"code": 10072, "msg": "Api key info invalid"}, status=status)


# The twin, the clock, and anything at all


@pytest.mark.parametrize(("field", "value"), [("secret", "another secret"), ("apiKey", "mx0vDEMOnobody0001")])
def test_a_spoiled_signature_and_an_unknown_key_are_refused(field: str, value: str) -> None:
    twin = Twin()
    sheet = collect(twin, credentials={**twin.sample_credentials(), field: value})
    assert set(reasons(sheet).values()) == {"invalid_key"} and len(twin.requests) == 1


def test_a_key_bound_elsewhere_is_an_address_refused() -> None:
    twin = Twin()
    first = twin.sample_keys()[0]
    twin.keys[first.api_key] = replace(first, about={**first.about, "ipWhiteList": "203.0.113.7"})
    assert set(reasons(collect(twin)).values()) == {"ip_not_allowed"}


@pytest.mark.parametrize("seconds", [-3600, 7200])
def test_a_wrong_clock_is_learnt_once_and_the_audit_goes_on(seconds: int) -> None:
    twin = Twin()
    twin.clock_ahead = timedelta(seconds=seconds)
    assert not collect(twin).problems
    assert sum(request.path == mexc.TIME.path for request in twin.requests) == 1


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


class Stub:
    """A door that answers from the twin's bodies, one field of one of them replaced."""

    def __init__(self, name: str, field: str, value: Any) -> None:
        self.name, self.field, self.value, self.calls = name, field, value, 0

    async def fetch(self, endpoint: Any, params: Any = None) -> Any:
        self.calls += 1
        assert self.calls < 1000, "asks for ever"
        twin = Twin()
        row = {
            mexc.KEY: twin.sample_keys()[0].about,
            mexc.ACCOUNT: twin.flags,
            mexc.KYC: {"status": "3"},
            mexc.ADDRESSES: twin.addresses[1],
            mexc.SUB_ACCOUNTS: twin.subs[0],
            mexc.SUB_KEYS: twin.sub_keys["mexcbot01"][0],
        }[endpoint]
        if endpoint.name == self.name:
            row = {**row, self.field: self.value} if self.field else self.value
        wrap = {mexc.ADDRESSES: "data", mexc.SUB_ACCOUNTS: "subAccounts", mexc.SUB_KEYS: "subAccount"}.get(endpoint)
        return {wrap: [row], "totalPageNum": 1} if wrap else row


FIELDS = ["", "note", "permissions", "ipWhiteList", "ip", "createTime", "creatTime", "remainingValidity", "status", "apiKey", "subAccount", "coin",
          "address", "addressTag", "memo", "canTrade"]  # fmt: skip


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([one.name for one in mexc.endpoints if not one.public]), st.sampled_from(FIELDS), ANYTHING)
def test_no_answer_whatsoever_raises_or_writes_a_malformed_fact(name: str, field: str, value: Any) -> None:
    sheet = Sheet()
    asyncio.run(mexc.collect(Stub(name, field, value), sheet))
    rows = [("account", sheet.account), *((scope, row) for scope, listed in sheet.rows.items() for row in listed or [])]
    for scope, facts in rows:
        for fact, held in facts.items():
            assert fact == "public_id" or catalogue()[f"{scope}.{fact}"].check(held) is None


def test_the_venue_file_is_sound() -> None:
    file = _venue.load("mexc")
    assert file.connector == "mexc" and file.credentials == mexc.credentials
    assert file.policy_facts()["venue.unbound_key_expiry_days"] == 90
    assert "venue.hold_after_two_factor_change_hours" not in file.policy_facts()
    assert any("POST" in trap for trap in file.traps)
