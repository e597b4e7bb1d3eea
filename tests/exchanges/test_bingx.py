"""BingX over the wire: three answers about keys laid over each other, every trap, every code."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _transport, _venue, bingx
from auditor.exchanges._base import Answer, Sheet
from auditor.model.facts import catalogue
from auditor.twin._base import Breakage, Refusal, Spoken
from auditor.twin.bingx import Twin, _entry
from tests.exchanges.wire import collect, keys, reasons

CODES = {
    "venue_maintenance": "100500 100503 503",
    "venue_incident": "109500 110500 500",
    "timeout": "504",
    "rate_limited": "100410 429 418",
    "invalid_key": "100001 100412 100413",
    "ip_not_allowed": "100419",
    "permission_denied": "100004 100403 100414 100441",
    "clock_skew": "100421",
    "malformed_response": "109400 100400 99999 -1",
}
EACH = [(code, reason) for reason, listed in CODES.items() for code in listed.split()]
POWERS = ("can_read", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw")


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def told(body: Any, status: int = 200) -> str | None:
    found = bingx.classify(Answer(status=status, body=body, text="", headers={}), bingx.PERMISSIONS)
    return found and found.reason.value


def serve(twin: Twin, endpoint: Any, body: Any) -> None:
    twin.signed[(endpoint.verb, endpoint.path)] = lambda _request, _key: body


def own(sheet: Sheet) -> dict[str, Any]:
    (row,) = [row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")]
    return row


def holding(**about: Any) -> Twin:
    """The twin whose calling key says that of itself, in all three answers."""
    twin = Twin()
    first = twin.sample_keys()[0]
    twin.keys[first.api_key] = replace(first, about={**first.about, **about})
    entry = twin.listed["18440029"][0]
    entry |= {name: value for name, value in about.items() if name in entry}
    return twin


def of_sub(**fields: Any) -> dict[str, Any]:
    twin = Twin()
    body = {**twin.listed["18450001"][0], **fields}
    twin.listed["18450001"] = [{name: value for name, value in body.items() if value is not ...}]
    (row,) = [row for row in collect(twin).rows["api_key"] or [] if row.get("sub_account")]
    return row


def test_the_sample_account_shows_every_key_once() -> None:
    sheet = collect(Twin())
    assert not sheet.problems
    assert set(keys(sheet)) == {"audit", "bot****", "grid****"} and len(sheet.rows["api_key"] or []) == 3
    assert sheet.account == {"kind": "main"} and sheet.account_id == "18440029"
    assert own(sheet)["ip_allowlist"] == ["198.51.100.7"] and own(sheet)["modified_at"] == "2025-11-01T08:40:00Z"
    assert keys(sheet)["grid****"]["sub_account"] == "bot123456"
    assert "key_inventory_complete" not in sheet.account  # that the list holds all keys is implied, not stated


# Traps


@pytest.mark.parametrize("spelled", [[""], [], [" "], ["*"], ["", ""]])
def test_an_unbound_key_is_a_list_with_one_empty_text(spelled: list[str]) -> None:
    row = of_sub(ipAddresses=spelled)
    assert (row["ip_bound"], row["ip_allowlist"]) == (False, [])


def test_the_echo_of_the_whole_key_is_not_kept() -> None:
    twin = Twin()
    assert twin.sample_credentials()["apiKey"] not in repr(collect(twin))


def test_the_calling_key_is_found_in_the_masked_list_by_its_ends_and_its_time() -> None:
    twin = Twin()
    twin.listed["18440029"].append(_entry("aB*******9Z", "clone****", [2, 5], ["198.51.100.9"], 1761800000000))
    sheet = collect(twin)
    assert (
        len(sheet.rows["api_key"] or []) == 4 and own(sheet)["label"] == "audit" and own(sheet)["can_withdraw"] is False
    )
    assert keys(sheet)["clone****"]["can_withdraw"] is True


def test_the_shortened_label_of_the_list_is_not_the_label_of_the_calling_key() -> None:
    """It is known in full, or not at all: otherwise an outage would look like a key that was renamed."""
    twin = Twin()
    twin.fail(Spoken(500, "no"), bingx.PERMISSIONS.path)
    sheet = collect(twin)
    assert own(sheet)["ip_bound"] is True and "label" not in own(sheet)
    assert reasons(sheet)[bingx.PERMISSIONS.name] == "venue_incident"


@pytest.mark.parametrize("how", [Spoken(503, "no"), Refusal.BAD_TIMESTAMP, Breakage.TRUNCATED])
def test_a_key_is_no_other_key_while_what_tells_it_apart_is_not_to_be_had(how: Spoken | Refusal | Breakage) -> None:
    twin = Twin()
    (whole,) = [row["public_id"] for row in collect(twin).rows["api_key"] or [] if row.get("is_audit_key")]
    for lost in ([bingx.KEYS], [bingx.RESTRICTIONS], [bingx.KEYS, bingx.RESTRICTIONS], [bingx.UID, bingx.RESTRICTIONS]):
        twin = Twin()
        for endpoint in lost:
            twin.fail(how, endpoint.path)
        sheet = collect(twin)
        shown = [row.get("public_id") for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")]
        assert shown == ([whole] if len(lost) == 1 else [])
        assert {one.name for one in lost} == reasons(sheet).keys()


def test_a_key_that_may_ask_nothing_more_is_still_shown() -> None:
    twin = Twin()
    for endpoint in (bingx.KEYS, bingx.RESTRICTIONS):
        twin.fail(Refusal.MISSING_PERMISSION, endpoint.path)
    assert own(collect(twin))["can_read"] is True


@pytest.mark.parametrize("listed", [[], [_entry("xx*******yy", "other****", [2], [""], 1700000000000)]])
def test_a_list_without_the_calling_key_is_not_believed_to_be_whole(listed: list[Any]) -> None:
    twin = Twin()
    twin.listed["18440029"] = listed
    sheet = collect(twin)
    assert reasons(sheet) == {bingx.KEYS.name: "implausible_response"}
    assert "api_keys" in sheet.problems[0].facts
    assert own(sheet)["label"] == "audit" and len(sheet.rows["api_key"] or []) == 2 + len(listed)


@pytest.mark.parametrize("listed_as", ["apiInfos", "apiKeyList"])
@pytest.mark.parametrize("subs_as", ["result", "subAccountList"])
def test_both_documented_spellings_of_the_lists(listed_as: str, subs_as: str) -> None:
    twin = Twin()
    twin.listed_as, twin.subs_as = listed_as, subs_as
    if subs_as == "subAccountList":
        twin.subs = [{"uid": 18450001, "subAccountString": "bot123456", "isFreeze": False}]
    assert set(keys(collect(twin))) == {"audit", "bot****", "grid****"}


def test_the_permissions_of_the_calling_key_as_flags_on_the_path_that_is_said_to_give_numbers() -> None:
    twin = Twin()
    serve(twin, bingx.PERMISSIONS, twin._restrictions(None, twin.sample_keys()[0]))  # type: ignore[arg-type]
    sheet = collect(twin)
    assert not sheet.problems
    assert [own(sheet)[name] for name in POWERS] == [True, False, False, False, False]


def test_contradicting_answers_take_the_more_dangerous_reading_and_say_so() -> None:
    twin = holding(permissions=[2])
    flags = twin._restrictions(None, twin.sample_keys()[0])  # type: ignore[arg-type]
    serve(twin, bingx.RESTRICTIONS, {**flags, "enableWithdrawals": True, "ipRestrict": False})
    sheet = collect(twin)
    assert own(sheet)["can_withdraw"] is True and own(sheet)["can_trade"] is False
    assert (own(sheet)["ip_bound"], own(sheet)["ip_allowlist"]) == (False, [])
    facts = {
        fact for problem in sheet.problems for fact in problem.facts if problem.reason.value == "implausible_response"
    }
    assert facts == {"api_key.can_withdraw", "api_key.ip_bound"}


def test_a_missing_flag_for_withdrawals_is_unknown_and_the_numbers_decide() -> None:
    twin = Twin()
    flags = twin._restrictions(None, twin.sample_keys()[0])  # type: ignore[arg-type]
    del flags["enableWithdrawals"]
    serve(twin, bingx.RESTRICTIONS, flags)
    assert own(collect(twin))["can_withdraw"] is False  # 5 is not among the numbers
    serve(twin, bingx.PERMISSIONS, flags)
    twin.listed["18440029"] = []
    assert "can_withdraw" not in own(collect(twin))


def test_a_flat_answer_in_an_envelope_is_read_all_the_same() -> None:
    twin = Twin()
    flat = twin._permissions(None, twin.sample_keys()[0])  # type: ignore[arg-type]
    serve(twin, bingx.PERMISSIONS, {"code": 0, "data": flat})
    assert collect(twin).rows == collect(Twin()).rows


def test_the_flat_answers_have_no_code_and_an_empty_one_shows_nothing() -> None:
    for body in ({}, {"apiKey": "x"}, [], {"code": 0}, {"code": 0, "data": {}}):
        twin = Twin()
        serve(twin, bingx.PERMISSIONS, body)
        sheet = collect(twin)
        assert reasons(sheet)[bingx.PERMISSIONS.name] == "malformed_response"
        assert own(sheet)["can_withdraw"] is False  # the flags say so


def test_a_clock_that_is_off_is_no_bad_symbol_and_a_rate_limit_no_failed_operation() -> None:
    assert told({"code": 100421, "msg": "bad symbol"}) == "clock_skew"
    assert told({"code": 100410, "msg": "rate limitation"}) == "rate_limited"
    assert told({"code": 109400, "msg": "Invalid timestamp"}) == "clock_skew"
    assert told({"code": 109400, "msg": "Invalid parameter"}) == "malformed_response"
    assert bingx.clock is None


def test_a_banned_address_stops_every_key() -> None:
    found = bingx.classify(Answer(status=200, body={"code": 418}, text="", headers={}), bingx.UID)
    assert found is not None and found.address and not found.retry


# The fields of a key


@pytest.mark.parametrize(
    ("numbers", "powers"),
    [
        ([2], (True, False, False, False, False)),
        (["2"], (True, False, False, False, False)),
        ([1, 2], (True, True, False, False, False)),
        ([3], (False, True, True, False, False)),
        ([2, 4], (True, False, False, True, False)),
        ([2, 7], (True, False, False, True, False)),
        ([2, 5], (True, False, False, False, True)),
        ([2, 6], (True, None, None, None, None)),
        ([5, 99], (None, None, None, None, True)),
        ([], (None, None, None, None, None)),
        ([True], (None, None, None, None, None)),
        ([2, 2], (None, None, None, None, None)),
        (["read"], (None, None, None, None, None)),
        ("2", (None, None, None, None, None)),
        (None, (None, None, None, None, None)),
        (..., (None, None, None, None, None)),
    ],
)
def test_numbers_are_no_right_only_where_all_are_documented(numbers: Any, powers: tuple[bool | None, ...]) -> None:
    row = of_sub(permissions=numbers)
    assert tuple(row.get(name) for name in POWERS) == powers
    assert "can_manage" not in row  # its number is not documented


@pytest.mark.parametrize(
    ("numbers", "ips", "never"),
    [
        ([2], [""], True),
        ([1, 2], ["198.51.100.7"], True),
        ([1, 2], [""], False),
        ([2, 4], [""], False),
        ([2, 6], [""], None),
        ([1, 2], ..., None),
    ],
)
def test_an_unbound_key_with_more_than_read_dies_of_disuse(numbers: list[int], ips: Any, never: bool | None) -> None:
    assert of_sub(permissions=numbers, ipAddresses=ips).get("never_expires") is never


@pytest.mark.parametrize("odd", [7.5, {}, "x", True])
@pytest.mark.parametrize(("field", "lost"), [("permissions", {*POWERS, "permissions"}), ("ipAddresses", {"ip_bound", "ip_allowlist", "never_expires"}), ("note", {"label"}),
                                             ("createTime", {"created_at", "public_id"}), ("updateTime", {"modified_at"})])  # fmt: skip
def test_an_odd_field_costs_only_itself(field: str, lost: set[str], odd: Any) -> None:
    if (field, odd) == ("note", "x"):
        return
    row = of_sub(**{field: odd})
    assert lost.isdisjoint(row) and set(of_sub()) - lost <= set(row)


@pytest.mark.parametrize(
    ("flags", "fact", "value"),
    [
        ({"enableFutures": "true"}, "can_trade_derivatives", True),
        ({"enableVanillaOptions": True}, "can_trade_derivatives", True),
        ({"enableVanillaOptions": True}, "can_trade", True),
        ({"enableSpotAndMarginTrading": 1}, "can_trade", True),
        ({"enableSubaccountManagement": True}, "can_withdraw", None),
        ({"enableSubaccountManagement": False}, "can_withdraw", False),
        ({"permitsUniversalTransfer": None}, "can_transfer", None),
        ({"enableInternalTransfer": "maybe"}, "can_transfer", None),
        ({"ipRestrict": None}, "ip_bound", None),
        ({"ipRestrict": "false"}, "ip_bound", False),
    ],
)
def test_flags_alone(flags: dict[str, Any], fact: str, value: bool | None) -> None:
    twin = Twin()
    body = {**twin._restrictions(None, twin.sample_keys()[0]), **flags}  # type: ignore[arg-type]
    serve(twin, bingx.RESTRICTIONS, body)
    serve(twin, bingx.PERMISSIONS, {})
    twin.listed["18440029"] = []
    assert own(collect(twin)).get(fact) is value


@pytest.mark.parametrize("uid", ["18440029", 18440029])
def test_a_uid_is_a_number_or_text(uid: Any) -> None:
    twin = Twin()
    twin.uid = uid
    assert collect(twin).account_id == "18440029"


@pytest.mark.parametrize("uid", [None, True, "", "x", []])
def test_without_a_uid_no_list_is_asked_for_and_the_calling_key_stands(uid: Any) -> None:
    twin = Twin()
    twin.uid = uid
    sheet = collect(twin)
    assert set(keys(sheet)) == {"audit", "grid****"}
    assert reasons(sheet) == {bingx.UID.name: "malformed_response"}


# Sub-accounts


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001])
def test_all_pages_of_sub_accounts_are_read(count: int) -> None:
    twin = Twin()
    twin.subs = [{"subUid": str(number), "subAccountString": f"bot{number}"} for number in range(1, count + 1)]
    twin.listed |= {str(number): [] for number in range(1, count + 1)}
    serve(
        twin,
        bingx.KEYS,
        {"code": 0, "data": {"apiInfos": [_entry("aB*******9Z", "a", [2], ["198.51.100.7"], 1761900000000)]}},
    )
    sheet = collect(twin, deadline=20)
    assert not sheet.problems
    assert len(sheet.rows["api_key"] or []) == count + 1
    assert sheet.account.get("master_key_over_subaccounts") is (None if count else False)


@pytest.mark.parametrize("total", [2, ...])
def test_a_list_that_ends_before_its_total_is_said_to(total: Any) -> None:
    twin = Twin()
    data = {"result": twin.subs, "total": total}
    serve(twin, bingx.SUBS, {"code": 0, "data": {name: value for name, value in data.items() if value is not ...}})
    assert reasons(collect(twin)) == ({} if total is ... else {bingx.SUBS.name: "implausible_response"})


def test_a_sub_accounts_key_is_told_that_the_list_is_the_main_accounts() -> None:
    twin = Twin()
    serve(twin, bingx.SUBS, {"code": 100403, "msg": "only for the main account"})
    sheet = collect(twin)
    assert sheet.account == {"kind": "sub"}
    assert reasons(sheet) == {bingx.SUBS.name: "permission_denied"}


def test_names_that_look_the_same_stay_apart_and_show_nobody() -> None:
    twin = Twin()
    twin.subs = [{"subUid": "18450001", "subAccountString": "ann@x.example"}, {"subUid": "2", "subAccountString": "abe@x.example"}, {"subUid": "3"},
                 {"subUid": "4", "subAccountString": "twin"}, {"subUid": "5", "subAccountString": "twin"}]  # fmt: skip
    entry = twin.listed["18450001"][0]
    twin.listed |= {uid: [{**entry, "createTime": 1741000000000 + int(uid)}] for uid in "2345"}
    sheet = collect(twin)
    names = {row["sub_account"] for row in sheet.rows["api_key"] or [] if "sub_account" in row}
    assert len(names) == 5 and "x.example" not in repr(sheet) and {"3", "twin 4", "twin 5"} < names


# Codes


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(("code", "reason"), EACH)
def test_every_code_means_what_the_venue_says_whatever_the_status(code: str, reason: str, status: int) -> None:
    for spelled in (code, int(code)):
        assert told({"code": spelled, "msg": "x"}, status) == reason


def test_the_table_holds_no_code_that_is_not_tested() -> None:
    assert set(bingx._FAILURES) <= {code for code, _ in EACH}


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [({"code": 0}, 200, None), ({"code": "0"}, 200, None), ({}, 200, None), (None, 504, None), ([], 200, None), ({"code": True}, 200, "malformed_response"),
     ({"code": 7}, 429, "rate_limited"), ({"code": 7}, 418, "rate_limited"), ({"code": 7}, 503, "venue_maintenance")],
)  # fmt: skip
def test_success_and_codes_we_do_not_know(body: Any, status: int, reason: str | None) -> None:
    assert told(body, status) == reason


@pytest.mark.parametrize(("status", "reason"), [(504, "timeout"), (502, "venue_incident"), (418, "rate_limited")])
def test_pages_without_json_are_judged_by_their_status(status: int, reason: str) -> None:
    twin = Twin()
    twin.refuse = lambda _refusal: web.Response(status=status, text="<html>")  # type: ignore[method-assign]
    twin.fail(Refusal.MAINTENANCE)
    assert set(reasons(collect(twin)).values()) == {reason}


# The twin, and anything at all


@pytest.mark.parametrize(("field", "value"), [("secret", "another"), ("apiKey", "nobodysKey00000001")])
def test_a_spoiled_signature_and_an_unknown_key_are_refused_and_not_tried_again(field: str, value: str) -> None:
    twin = Twin()
    sheet = collect(twin, credentials={**twin.sample_credentials(), field: value})
    assert set(reasons(sheet).values()) == {"invalid_key"} and len(twin.requests) == 1


def test_a_key_bound_elsewhere_is_an_address_refused() -> None:
    twin = holding(ipAddresses=["203.0.113.7"])
    assert set(reasons(collect(twin)).values()) == {"ip_not_allowed"}


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
FIELDS = [
    "",
    "data",
    "permissions",
    "ipAddresses",
    "ipRestrict",
    "enableReading",
    "enableFutures",
    "note",
    "createTime",
    "apiKey",
    "uid",
    "subUid",
    "total",
]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(bingx.endpoints), st.sampled_from(FIELDS), ANYTHING)
def test_no_answer_whatsoever_raises_or_writes_a_malformed_fact(spoiled: Any, field: str, value: Any) -> None:
    twin = Twin()
    key = twin.sample_keys()[0]

    class Stub:
        calls = 0

        async def fetch(self, endpoint: Any, _params: Any = None) -> Any:
            self.calls += 1
            assert self.calls < 500, "asks for ever"
            bodies: dict[Any, Any] = {
                bingx.PERMISSIONS: twin._permissions(None, key),  # type: ignore[arg-type]
                bingx.RESTRICTIONS: twin._restrictions(None, key),  # type: ignore[arg-type]
                bingx.UID: {"uid": 18440029},
                bingx.KEYS: twin.listed["18440029"][0],
                bingx.SUBS: twin.subs[0],
            }
            row = bodies[endpoint]
            if endpoint == spoiled:
                row = {**row, field: value} if field not in {"", "data"} else value
            if endpoint == bingx.KEYS:
                return {"data": {"apiInfos": [row]} if field != "data" else row}
            if endpoint == bingx.SUBS:
                return {
                    "data": {"result": [row], "total": value if field == "total" else 1} if field != "data" else row
                }
            return {"data": row} if endpoint == bingx.UID else row

    sheet = Sheet()
    asyncio.run(bingx.collect(Stub(), sheet))
    for scope, facts in [("account", sheet.account), *(("api_key", row) for row in sheet.rows["api_key"] or [])]:
        for fact, held in facts.items():
            assert fact == "public_id" or catalogue()[f"{scope}.{fact}"].check(held) is None


def test_the_venue_file_is_sound() -> None:
    file = _venue.load("bingx")
    assert file.connector == "bingx" and file.credentials == bingx.credentials
    stated = file.policy_facts()
    assert stated["venue.unbound_key_expiry_days"] == 14
    assert (
        "venue.second_factor_downgrade_possible" not in stated
        and "venue.api_withdrawal_requires_allowlist" not in stated
    )
