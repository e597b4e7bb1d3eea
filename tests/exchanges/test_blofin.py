"""BloFin over the wire: one answer about one key, every trap, every code, every edge value."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _transport, _venue, blofin
from auditor.exchanges._base import Answer, Sheet
from auditor.model.facts import catalogue
from auditor.twin._base import Refusal
from auditor.twin.blofin import Twin
from tests.exchanges.wire import collect, reasons

CODES = {
    "venue_incident": "500",
    "venue_maintenance": "503",
    "rate_limited": "429",
    "invalid_key": "152401 152402 152408 152409",
    "ip_not_allowed": "152406",
    "permission_denied": "152403 152404",
    "clock_skew": "152405 152407 152410",
    "malformed_response": "152023 152024 152029 152031 152032 401 99999",
}
EACH = [(code, reason) for reason, listed in CODES.items() for code in listed.split()]
POWERS = ("can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def told(body: Any, status: int = 200) -> str | None:
    found = blofin.classify(Answer(status=status, body=body, text="", headers={}), blofin.KEY)
    return found and found.reason.value


def calling(**fields: Any) -> Sheet:
    """What is seen where the key says so of itself; `...` leaves a field out."""
    twin = Twin()
    about = {**twin.sample_keys()[0].about, **fields}
    data = {name: value for name, value in about.items() if value is not ...}
    twin.signed[("GET", blofin.KEY.path)] = lambda _request, _key: {"code": "0", "msg": "success", "data": data}
    return collect(twin)


def own(sheet: Sheet) -> dict[str, Any]:
    (row,) = sheet.rows["api_key"] or [{}]
    return row


def test_the_sample_key_is_read_only_and_unbound() -> None:
    sheet = collect(Twin())
    assert not sheet.problems
    assert sheet.account == {"kind": "main"} and sheet.account_id == "20011223344"
    assert [own(sheet)[name] for name in POWERS] == [False] * 5 and own(sheet)["can_read"] is True
    assert (own(sheet)["ip_bound"], own(sheet)["ip_allowlist"]) == (False, [])
    assert own(sheet)["expires_at"] == "2027-01-15T08:00:00Z" and own(sheet)["never_expires"] is False
    assert "key_inventory_complete" not in sheet.account and "third_party" not in own(sheet)


def test_the_key_of_a_vendor_may_write_and_nobody_says_what() -> None:
    twin = Twin()
    key = twin.sample_keys()[1]
    twin.caller = "203.0.113.50"
    sheet = collect(twin, credentials={"apiKey": key.api_key, "secret": key.secret, "password": key.password})
    assert set(POWERS).isdisjoint(own(sheet)) and own(sheet)["third_party"] is True
    assert own(sheet)["permissions"] == ["read and write"] and own(sheet)["ip_allowlist"] == ["203.0.113.0/24"]
    (problem,) = sheet.problems
    assert problem.reason.value == "not_exposed" and set(problem.facts) == {f"api_key.{name}" for name in POWERS}


# Traps


@pytest.mark.parametrize(
    ("word", "powers"),
    [
        (1, False),
        ("1", False),
        (True, False),
        (0, None),
        ("0", None),
        (2, None),
        ("", None),
        (None, None),
        (..., None),
        ([], None),
    ],
)
def test_read_only_0_does_not_tell_trading_from_withdrawing(word: Any, powers: bool | None) -> None:
    assert {own(calling(readOnly=word)).get(name) for name in POWERS} == {powers}


def test_the_answer_is_an_object_and_not_a_list() -> None:
    for data in ([], [Twin().sample_keys()[0].about], None, "x"):
        twin = Twin()
        twin.signed[("GET", blofin.KEY.path)] = lambda _request, _key, data=data: {"code": "0", "data": data}
        sheet = collect(twin)
        assert sheet.rows["api_key"] is None and reasons(sheet) == {blofin.KEY.name: "malformed_response"}


def test_a_nonce_that_repeats_is_no_bad_key_and_calls_go_one_at_a_time() -> None:
    twin = Twin()
    twin.nonces = _Everything()
    sheet = collect(twin)
    assert reasons(sheet) == {blofin.KEY.name: "clock_skew"} and len(twin.requests) == 1
    assert blofin.serial


class _Everything(set[str]):
    """Every nonce was seen before."""

    def __contains__(self, _nonce: object) -> bool:
        return True


def test_a_rate_limit_without_json_is_no_outage_and_a_wall_is_no_bad_key() -> None:
    for status, reason in ((429, "rate_limited"), (403, "venue_incident"), (503, "venue_maintenance")):
        twin = Twin()
        twin.refuse = lambda _refusal, status=status: web.Response(status=status, text="<html>")  # type: ignore[method-assign,misc]
        twin.fail(Refusal.MAINTENANCE)
        assert reasons(collect(twin)) == {blofin.KEY.name: reason}


# The fields of the key


@pytest.mark.parametrize(
    ("ips", "expected"),
    [([], (False, [])), ([""], (False, [])), (["*"], (False, [])), ("", (False, [])), (["203.0.113.7", "2001:db8::1"], (True, ["203.0.113.7", "2001:db8::1"])),
     ("203.0.113.7,203.0.113.8", (True, ["203.0.113.7", "203.0.113.8"])), (None, (None, None)), (..., (None, None)), ([7], (None, None)), ({}, (None, None))],
)  # fmt: skip
def test_the_addresses_the_key_is_bound_to(ips: Any, expected: tuple[Any, Any]) -> None:
    row = own(calling(ips=ips))
    assert (row.get("ip_bound"), row.get("ip_allowlist")) == expected


@pytest.mark.parametrize(
    ("ends", "never", "at"),
    [("1771000000000", False, "2026-02-13T16:26:40Z"), (1771000000000, False, "2026-02-13T16:26:40Z"), ("0", True, None), (0, True, None), ("", None, None),
     (None, None, None), (..., None, None), ("-1", None, None), ("never", None, None), (True, None, None)],
)  # fmt: skip
def test_when_the_key_ends(ends: Any, never: bool | None, at: str | None) -> None:
    row = own(calling(expireTime=ends))
    assert (row.get("never_expires"), row.get("expires_at")) == (never, at)


@pytest.mark.parametrize(
    ("parent", "account"),
    [("0", {"kind": "main"}), ("20099887766554", {"kind": "sub", "parent": "…6554"}), ("7", {"kind": "sub", "parent": "…"}), ("20011223344", {}), ("", {}), (..., {}),
     (0, {}), ("none", {})],
)  # fmt: skip
def test_whose_key_it_is(parent: Any, account: dict[str, Any]) -> None:
    sheet = calling(parentUid=parent)
    assert sheet.account == account and own(sheet)["is_audit_key"] is True


@pytest.mark.parametrize(("type_", "third"), [(1, None), (2, True), ("2", True), (3, None), (True, None), (..., None)])
def test_a_key_linked_to_a_third_party(type_: Any, third: bool | None) -> None:
    assert own(calling(type=type_)).get("third_party") is third


@pytest.mark.parametrize("odd", [..., 7.5, {}, True])
@pytest.mark.parametrize(
    ("field", "lost"),
    [("uid", set()), ("apiName", {"label"}), ("readOnly", {*POWERS, "permissions"}), ("ips", {"ip_bound", "ip_allowlist"}), ("createTime", {"created_at"}),
     ("expireTime", {"never_expires", "expires_at"})],
)  # fmt: skip
def test_a_missing_or_odd_field_costs_only_itself(field: str, lost: set[str], odd: Any) -> None:
    if (field, odd) == ("readOnly", True):
        return
    sheet = calling(**{field: odd})
    assert lost.isdisjoint(own(sheet)) and set(own(collect(Twin()))) - lost <= set(own(sheet))
    assert reasons(sheet) == {blofin.KEY.name: "malformed_response"}


def test_a_label_shows_nobody_and_the_echo_of_the_key_is_not_kept() -> None:
    sheet = calling(apiName="ann@bots.example", apiKey="bfDEMOaudit00000001")
    assert "bots.example" not in repr(sheet) and "bfDEMOaudit00000001" not in repr(sheet)


# Codes


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize(("code", "reason"), EACH)
def test_every_code_means_what_the_venue_says_whatever_the_status(code: str, reason: str, status: int) -> None:
    for spelled in (code, int(code)):
        assert told({"code": spelled, "msg": "x"}, status) == reason


def test_the_table_holds_no_code_that_is_not_tested() -> None:
    assert set(blofin._FAILURES) <= {code for code, _ in EACH}


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [({"code": "0"}, 200, None), ({"code": 0}, 200, None), (None, 200, None), ({}, 200, "malformed_response"), ([], 200, "malformed_response"),
     ({"code": False}, 200, "malformed_response"), ({"code": None, "data": {}}, 200, "malformed_response"), ({"code": "401", "msg": "Invalid signature"}, 401, "invalid_key"),
     ({"code": "401", "msg": "Unauthorized"}, 401, "malformed_response"), ({"code": "7"}, 429, "rate_limited"), ({"code": "7"}, 502, "venue_incident")],
)  # fmt: skip
def test_success_must_be_said_and_words_decide_where_codes_do_not(body: Any, status: int, reason: str | None) -> None:
    assert told(body, status) == reason


def test_an_expired_key_is_told_why() -> None:
    found = blofin.classify(Answer(status=200, body={"code": "152402"}, text="", headers={}), blofin.KEY)
    assert found is not None and "90 days" in found.meaning and found.lockout


# The twin, and anything at all


@pytest.mark.parametrize("field", ["apiKey", "secret", "password"])
def test_a_spoiled_signature_phrase_or_key_is_refused_and_not_tried_again(field: str) -> None:
    twin = Twin()
    sheet = collect(twin, credentials={**twin.sample_credentials(), field: "something else"})
    assert reasons(sheet) == {blofin.KEY.name: "invalid_key"} and len(twin.requests) == 1


def test_a_key_bound_elsewhere_is_an_address_refused() -> None:
    twin = Twin()
    key = twin.sample_keys()[1]
    sheet = collect(twin, credentials={"apiKey": key.api_key, "secret": key.secret, "password": key.password})
    assert reasons(sheet) == {blofin.KEY.name: "ip_not_allowed"}


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
@given(st.sampled_from(["", "data", *Twin().sample_keys()[0].about]), ANYTHING)
def test_no_answer_whatsoever_raises_or_writes_a_malformed_fact(field: str, value: Any) -> None:
    class Stub:
        async def fetch(self, _endpoint: Any, _params: Any = None) -> Any:
            data = {**Twin().sample_keys()[0].about, field: value}
            return value if not field else {"code": "0", "data": value if field == "data" else data}

    sheet = Sheet()
    asyncio.run(blofin.collect(Stub(), sheet))
    for scope, facts in [("account", sheet.account), *(("api_key", row) for row in sheet.rows["api_key"] or [])]:
        for fact, held in facts.items():
            assert catalogue()[f"{scope}.{fact}"].check(held) is None


def test_the_venue_file_is_sound() -> None:
    file = _venue.load("blofin")
    assert file.connector == "blofin" and file.credentials == blofin.credentials
    stated = file.policy_facts()
    assert stated["venue.unbound_key_expiry_days"] == 90 and stated["venue.hold_after_two_factor_change_hours"] == 24
    assert "venue.new_address_delay_hours" not in stated
