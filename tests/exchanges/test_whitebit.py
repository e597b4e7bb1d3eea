"""WhiteBIT over the wire: every trap of the venue, every refusal in its own words, every edge of a sub-account's key."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _transport, _venue, whitebit
from auditor.exchanges._base import Answer, Sheet
from auditor.exchanges._transport import Venue
from auditor.model.facts import catalogue
from auditor.redaction import Secret
from auditor.twin._base import Refusal, TwinKey
from auditor.twin.whitebit import Twin, _sub, _sub_key
from tests.exchanges.wire import collect, reasons

HIDDEN = {whitebit.SUBS.name: "not_exposed"}
FIRST = Twin().subs[0]["id"]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def told(body: Any, status: int = 400) -> str | None:
    found = whitebit.classify(Answer(status=status, body=body, text="", headers={}), whitebit.SUBS)
    return found and found.reason.value


def of_sub(ips: Any = (), **fields: Any) -> dict[str, Any]:
    """The row of one key of a sub-account; `...` leaves a field out."""
    twin = Twin()
    row = {**_sub_key("b1d2c3a4-0000-4000-8000-00000000000a", FIRST, "bot"), **fields}
    twin.sub_keys = [{name: value for name, value in row.items() if value is not ...}]
    twin.ips = {row["id"]: list(ips) if isinstance(ips, tuple) else ips}
    (found,) = [row for row in collect(twin).rows["api_key"] or [] if row.get("sub_account")]
    return found


def test_the_sample_account_shows_sub_accounts_and_their_keys() -> None:
    sheet = collect(Twin())
    assert reasons(sheet) == HIDDEN
    assert sheet.account == {"kind": "main"} and sheet.venue == {"status": "ok"}
    rows = {row.get("label"): row for row in sheet.rows["api_key"] or []}
    assert rows[None] == {"kind": "hmac", "can_read": True, "enabled": True, "is_audit_key": True}
    assert rows["grid key"]["can_withdraw"] is True and rows["grid key"]["ip_bound"] is False
    assert rows["old key"]["enabled"] is False and rows["old key"]["ip_allowlist"] == ["203.0.113.7", "203.0.113.8"]
    assert "key_inventory_complete" not in sheet.account


# Traps


def test_a_foreign_address_is_called_from_once_and_the_key_is_not_called_bad() -> None:
    twin = Twin()
    twin.caller = "203.0.113.99"
    sheet = collect(twin)
    assert set(reasons(sheet).values()) == {"ip_not_allowed"}
    assert [request.path for request in twin.requests if request.verb == "POST"] == [whitebit.SUBS.path]
    assert twin.switched_off == {twin.sample_credentials()["apiKey"]}
    assert all("switche" in problem.detail for problem in sheet.problems if problem.endpoint == whitebit.SUBS.name)
    twin.caller = "198.51.100.7"
    assert set(reasons(collect(twin)).values()) == {"ip_not_allowed"}  # switched off for good, in the same words


def test_the_venue_file_warns_of_the_address_before_the_first_call() -> None:
    file = _venue.load("whitebit")
    assert "switches a key off" in file.traps[0] and "VPN" in file.traps[0]


def test_nonces_grow_and_calls_go_one_at_a_time() -> None:
    async def run() -> list[int]:
        twin = Twin()
        async with twin, Venue(whitebit, endpoint=twin.url) as venue:
            door = venue.key({name: Secret(value) for name, value in twin.sample_credentials().items()})
            await asyncio.gather(*[whitebit.collect(door, Sheet()) for _ in range(10)])
        assert {request.status for request in twin.requests} == {200}
        return [int(json.loads(request.body)["nonce"]) for request in twin.requests if request.verb == "POST"]

    assert whitebit.serial
    nonces = asyncio.run(run())
    assert len(nonces) == 40 and all(one < other for one, other in pairwise(nonces))


def test_a_nonce_that_a_bot_has_overtaken_is_no_rate_limit_and_not_sent_again() -> None:
    twin = Twin()
    twin.nonces[twin.sample_credentials()["apiKey"]] = 10**18
    sheet = collect(twin)
    assert reasons(sheet)[whitebit.SUBS.name] == "clock_skew"
    assert sum(request.path == whitebit.SUBS.path for request in twin.requests) == 1


def test_the_text_that_ccxt_has_wrong_is_matched_here() -> None:
    assert told({"code": 0, "message": "This API Key is not authorized to perform this action."}) == "permission_denied"


def test_a_post_reads_and_nothing_beside_the_lists_is_declared() -> None:
    twin = Twin()
    collect(twin)
    paths = {request.path for request in twin.requests if request.verb == "POST"}
    assert paths == {f"/api/v4/sub-account/{name}" for name in ("list", "api-key/list", "api-key/ip-address/list")}
    assert all(
        json.loads(request.body)["request"] == request.path for request in twin.requests if request.verb == "POST"
    )


def test_maintenance_is_the_venues_own_word_and_no_ping() -> None:
    for word, status in (
        ("1", "ok"),
        (1, "ok"),
        ("0", "maintenance"),
        ("2", None),
        ("up", None),
        (None, None),
        (True, None),
    ):
        twin = Twin()
        twin.up = word
        assert collect(twin).venue.get("status") == status


def test_a_secret_in_the_list_and_personal_data_are_not_taken_out() -> None:
    twin = Twin()
    twin.sub_keys = [_sub_key("k1", FIRST, "ann@bots.example", apiSecret="CANARYSECRETCANARY", type="ann@bots.example")]
    twin.subs = [{**_sub(FIRST, "ann@bots.example"), "email": "whole@bots.example"}]
    text = repr(collect(twin))
    assert not [word for word in ("CANARYSECRET", "bots.example", "u-123456", "whole@") if word in text]


# The fields of a key


@pytest.mark.parametrize(
    ("type_", "restricted", "powers"),
    [
        ("1", False, (True, True, False)),
        (1, False, (True, True, False)),
        ("2", False, (True, True, True)),
        ("trade", False, (True, True, None)),
        ("1", True, (None, None, False)),
        ("2", True, (None, None, None)),
        ("2", ..., (None, None, None)),
        ("2", "maybe", (None, None, None)),
        ("3", False, (None, None, None)),
        ("", False, (None, None, None)),
        (None, False, (None, None, None)),
        (..., False, (None, None, None)),
    ],
)
def test_the_type_of_a_key_and_its_restriction(type_: Any, restricted: Any, powers: tuple[bool | None, ...]) -> None:
    row = of_sub(type=type_, restrictAccess=restricted)
    assert tuple(row.get(name) for name in ("can_read", "can_trade", "can_withdraw")) == powers
    assert not {"can_transfer", "can_manage", "can_trade_derivatives"} & row.keys()


@pytest.mark.parametrize(
    ("seconds", "at"),
    [
        (1763000000, "2025-11-13T02:13:20Z"),
        ("1763000000", "2025-11-13T02:13:20Z"),
        (1763000000000, None),
        (0, None),
        ("", None),
        (None, None),
        (..., None),
        (True, None),
    ],
)
def test_times_of_use_are_seconds(seconds: Any, at: str | None) -> None:
    row = of_sub(lastActivity=seconds)
    assert row.get("last_used_at") == at and "never_used" not in row


@pytest.mark.parametrize(
    ("flag", "status", "enabled"),
    [
        (True, "active", True),
        ("true", "active", True),
        (False, "blocked", False),
        (True, "blocked", None),
        (..., "active", None),
        ("x", "active", None),
    ],
)
def test_whether_a_key_works(flag: Any, status: str, enabled: bool | None) -> None:
    twin = Twin()
    row = _sub_key("k1", FIRST, "bot", isEnabled=flag)
    twin.sub_keys = [{name: value for name, value in row.items() if value is not ...}]
    twin.subs = [{**_sub(FIRST, "grid"), "status": status}]
    (found,) = [row for row in collect(twin).rows["api_key"] or [] if row.get("sub_account")]
    assert found.get("enabled") is enabled


@pytest.mark.parametrize(
    ("ips", "expected"),
    [((), (False, [])), (("",), (False, [])), (("*",), (False, [])), (("203.0.113.7", "2001:db8::1"), (True, ["203.0.113.7", "2001:db8::1"])), ({}, (None, None)),
     ("203.0.113.7", (None, None)), (None, (None, None)), ((7,), (None, None))],
)  # fmt: skip
def test_the_addresses_of_a_key(ips: Any, expected: tuple[Any, Any]) -> None:
    row = of_sub(ips)
    assert (row.get("ip_bound"), row.get("ip_allowlist")) == expected


def test_a_key_without_an_id_is_a_key_whose_addresses_are_unknown() -> None:
    twin = Twin()
    twin.sub_keys = [{name: value for name, value in twin.sub_keys[0].items() if name != "id"}]
    sheet = collect(twin)
    (found,) = [row for row in sheet.rows["api_key"] or [] if row.get("sub_account")]
    assert "ip_bound" not in found and "api_key.ip_bound" in {
        fact for problem in sheet.problems for fact in problem.facts
    }


@pytest.mark.parametrize(
    ("field", "lost"),
    [("title", {"label"}), ("apiKey", {"public_id"}), ("isEnabled", {"enabled"}), ("lastActivity", {"last_used_at"})],
)
@pytest.mark.parametrize("odd", [7.5, [], {}])
def test_an_odd_field_costs_only_itself(field: str, lost: set[str], odd: Any) -> None:
    if (field, odd) == ("lastActivity", 7.5):
        return
    row = of_sub(**{field: odd})
    assert lost.isdisjoint(row) and set(of_sub()) - lost <= set(row)


# Lists


@pytest.mark.parametrize("page", [1, 2, 30])
@pytest.mark.parametrize("count", [0, 1, 30, 31, 61])
def test_all_pages_are_read(count: int, page: int) -> None:
    twin = Twin()
    twin.page = page
    twin.subs = [_sub(f"s{number}", f"bot{number}") for number in range(count)]
    twin.sub_keys = [_sub_key(f"k{number:04}", f"s{number}", f"key{number}") for number in range(count)]
    sheet = collect(twin, deadline=20)
    assert reasons(sheet) == HIDDEN
    assert {row.get("sub_account") for row in sheet.rows["api_key"] or []} == {
        None,
        *(f"bot{number}" for number in range(count)),
    }
    assert sheet.account == ({"kind": "main"} if count else {"master_key_over_subaccounts": False})


@pytest.mark.parametrize("left", ["offset", "limit"])
def test_a_page_that_does_not_say_where_it_ends_is_kept_and_not_taken_for_the_last(left: str) -> None:
    twin = Twin()
    body = {name: value for name, value in {"offset": 0, "limit": 2, "data": twin.sub_keys}.items() if name != left}
    twin.signed[("POST", whitebit.SUB_KEYS.path)] = lambda _request, _key: body
    sheet = collect(twin)
    assert {row.get("label") for row in sheet.rows["api_key"] or []} == {None, "grid key", "old key"}
    assert reasons(sheet)[whitebit.SUB_KEYS.name] == "malformed_response"


def test_a_list_that_never_moves_on_is_left_and_said_to() -> None:
    twin = Twin()
    twin.signed[("POST", whitebit.SUB_KEYS.path)] = lambda _request, _key: {
        "offset": 0,
        "limit": 2,
        "data": twin.sub_keys,
    }
    sheet = collect(twin)
    assert reasons(sheet)[whitebit.SUB_KEYS.name] == "implausible_response"
    assert sum(request.path == whitebit.SUB_KEYS.path for request in twin.requests) == 2


def test_names_that_look_the_same_stay_apart_and_a_key_of_nobody_keeps_its_owners_id() -> None:
    twin = Twin()
    twin.subs = [
        _sub("s1", "twin"),
        _sub("s2", "twin"),
        _sub("s3", ""),
        {**_sub("s4", "x"), "alias": 7},
        _sub("s5", "ann@b.example"),
        _sub("s6", "abe@b.example"),
    ]
    twin.sub_keys = [_sub_key(f"k{number:04}", f"s{number}", "key") for number in range(1, 8)]
    names = {row.get("sub_account") for row in collect(twin).rows["api_key"] or []} - {None}
    assert len(names) == 7 and {"twin s1", "twin s2", "s3", "s4", "s7"} < names


# Refusals in the venue's words


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"code": 10, "message": "Unauthorized request."}, 401, "invalid_key"),
        ({"code": 10, "message": "Unauthorized request."}, 200, "invalid_key"),
        ({"code": 10}, 401, "invalid_key"),
        ({"code": 2, "message": "This action is unauthorized. Enable your key in API settings"}, 401, "ip_not_allowed"),
        ({"message": "This action is unauthorized. Enable your key in API settings"}, 200, "ip_not_allowed"),
        ({"code": 0, "message": "This API Key is not authorized to perform this action."}, 403, "permission_denied"),
        (
            {"message": "You don't have permission to use this endpoint. Please contact support"},
            403,
            "permission_denied",
        ),
        (
            {"code": 0, "message": "Validation failed", "errors": {"account": ["Account is not confirmed"]}},
            422,
            "permission_denied",
        ),
        ({"code": 0, "message": "Too many requests."}, 422, "clock_skew"),
        ({"message": "Too many requests."}, 200, "clock_skew"),
        ({"message": "Too many requests."}, 429, "rate_limited"),
        ({"message": "Too many requests."}, 418, "rate_limited"),
        ({"code": 1, "message": "Your nonce should be greater than previous one"}, 422, "clock_skew"),
        ({"errors": {"nonce": ["Nonce must be increasing"]}}, 422, "clock_skew"),
        ({"code": 9, "message": "Invalid payload."}, 400, "malformed_response"),
        ({"code": 5, "message": "Service unavailable"}, 503, "venue_maintenance"),
        ({"status": 503, "errors": []}, 503, "venue_maintenance"),
        ({"code": 0, "message": "x"}, 404, "malformed_response"),
        ({"code": 0, "message": "x"}, 200, "malformed_response"),
        ({"message": "Unauthenticated."}, 401, "malformed_response"),
        ({"success": False}, 200, "malformed_response"),
        ({"code": 0}, 500, "venue_incident"),
        ({"data": []}, 200, None),
        ({"success": True, "data": []}, 200, None),
        ([], 200, None),
        (None, 503, None),
    ],
)
def test_every_refusal_in_the_venues_own_words(body: Any, status: int, reason: str | None) -> None:
    assert told(body, status) == reason


def test_words_against_a_key_in_an_outage_are_an_outage() -> None:
    twin = Twin()
    twin.refuse = lambda _refusal: web.json_response({"code": 10, "message": "Unauthorized request."}, status=500)  # type: ignore[method-assign]
    twin.fail(Refusal.MAINTENANCE)
    assert set(reasons(collect(twin)).values()) == {"venue_incident"}


@pytest.mark.parametrize(("field", "value"), [("secret", "another"), ("apiKey", "nobodysKey00000001")])
def test_a_spoiled_signature_and_an_unknown_key_are_refused_and_not_tried_again(field: str, value: str) -> None:
    twin = Twin()
    sheet = collect(twin, credentials={**twin.sample_credentials(), field: value})
    assert set(reasons(sheet).values()) == {"invalid_key"}
    assert sum(request.verb == "POST" for request in twin.requests) == 1


def test_a_key_bound_to_nothing_is_taken_from_anywhere() -> None:
    twin = Twin()
    first = twin.sample_keys()[0]
    twin.keys[first.api_key] = TwinKey(api_key=first.api_key, secret=first.secret)
    twin.caller = "203.0.113.99"
    assert reasons(collect(twin)) == HIDDEN and not twin.switched_off


# Anything at all


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


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(whitebit.endpoints),
    st.sampled_from(["", "data", "offset", "limit", "status", "alias", *_sub_key("k", "s", "t")]),
    ANYTHING,
)
def test_no_answer_whatsoever_raises_or_writes_a_malformed_fact(spoiled: Any, field: str, value: Any) -> None:
    twin = Twin()

    class Stub:
        calls = 0

        async def fetch(self, endpoint: Any, _params: Any = None) -> Any:
            self.calls += 1
            assert self.calls < 1000, "asks for ever"
            if endpoint == whitebit.STATUS:
                return value if spoiled == endpoint else {"status": "1"}
            row: Any = {
                whitebit.SUBS: twin.subs[0],
                whitebit.SUB_KEYS: twin.sub_keys[0],
                whitebit.KEY_IPS: "203.0.113.7",
            }[endpoint]
            if spoiled == endpoint and field not in {"data", "offset", "limit"}:
                row = {**row, field: value} if field and isinstance(row, dict) else value
            body = {"offset": 0, "limit": 30, "data": [row]}
            return {**body, field: value} if spoiled == endpoint and field in body else body

    sheet = Sheet()
    asyncio.run(whitebit.collect(Stub(), sheet))
    for scope, facts in [
        ("account", sheet.account),
        ("venue", sheet.venue),
        *(("api_key", row) for row in sheet.rows["api_key"] or []),
    ]:
        for fact, held in facts.items():
            assert fact == "public_id" or catalogue()[f"{scope}.{fact}"].check(held) is None
    json.dumps([sheet.account, sheet.rows], ensure_ascii=False).encode()


def test_the_venue_file_is_sound() -> None:
    file = _venue.load("whitebit")
    assert file.connector == "whitebit" and file.credentials == whitebit.credentials
    stated = file.policy_facts()
    assert stated["venue.hold_after_password_change_hours"] == 72 and "venue.allowlist_supported" not in stated
