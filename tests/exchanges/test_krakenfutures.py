"""Kraken Futures over the wire: what a key says of itself, one error text for three faults, and a call that ccxt does not
list and signs all the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from auditor.exchanges import _gate, _transport, _venue, krakenfutures
from auditor.exchanges._base import Answer, Sheet
from auditor.exchanges._signer import Signer
from auditor.redaction import Secret
from auditor.twin._base import Refusal, TwinVenue
from auditor.twin.krakenfutures import Twin
from tests.exchanges.wire import collect, reasons

CHECK, SUBS = krakenfutures.CHECK, krakenfutures.SUBACCOUNTS
FULL, CAREFUL, CHECK_ONLY = Twin().sample_keys()
POWERS = ("can_read", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)


def credentials(key: Any) -> dict[str, str]:
    return {"apiKey": key.api_key, "secret": key.secret}


def answered(path: str, body: Any) -> Callable[[TwinVenue], None]:
    def prepare(twin: TwinVenue) -> None:
        twin.signed["GET", path] = lambda _request, _key: body

    return prepare


def told(**fields: Any) -> Sheet:
    """The sheet of a key that describes itself so; `...` leaves a field out."""
    about = {name: value for name, value in {**CAREFUL.about, **fields}.items() if value is not ...}
    return collect(Twin(), prepare=answered(CHECK.path, about))


def the_key(sheet: Sheet) -> dict[str, Any]:
    [row] = sheet.rows["api_key"] or []
    return row


def shown(sheet: Sheet, fact: str) -> list[str]:
    return [problem.reason.value for problem in sheet.problems if fact in problem.facts]


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=body, text=json.dumps(body), headers={})


def reason_of(given: Answer, endpoint: Any = CHECK) -> str | None:
    found = krakenfutures.classify(given, endpoint)
    return found.reason.value if found else None


# What a key says of itself


def test_a_careful_key_is_described_whole() -> None:
    sheet = collect(Twin(), credentials=credentials(CAREFUL))
    assert not sheet.problems
    assert the_key(sheet) == {
        "public_id": CAREFUL.api_key,
        "is_audit_key": True,
        "kind": "hmac",
        "enabled": True,
        "permissions": ["general:READ_ONLY", "transfer:NO_ACCESS"],
        "can_read": True,
        "can_trade": False,
        "can_trade_derivatives": False,
        "can_transfer": False,
        "can_withdraw": False,
        "can_manage": False,
        "ip_bound": True,
        "ip_allowlist": ["198.51.100.0/28"],
        "created_at": "2025-08-24T14:15:22Z",
    }
    assert sheet.account == {"kind": "main"}
    assert sheet.account_id == "7f1c2d3e-0000-4000-8000-123456789abc"


def test_iban_names_mails_and_balances_are_stored_nowhere() -> None:
    sheet = collect(Twin())
    for word in ("N84G", "example.org", "Bo Bot", "7f1c2d3e"):
        assert word not in repr((sheet.account, sheet.rows, sheet.venue, sheet.problems, sheet.sources))


def test_nothing_is_said_of_the_other_keys() -> None:
    assert "key_inventory_complete" not in collect(Twin()).account


@pytest.mark.parametrize(
    ("general", "transfer", "powers"),
    [
        ("NO_ACCESS", "NO_ACCESS", (False,) * 6),
        ("READ_ONLY", "NO_ACCESS", (True, *[False] * 5)),
        ("NO_ACCESS", "READ_ONLY", (True, *[False] * 5)),
        ("FULL_ACCESS", "NO_ACCESS", (True, True, True, True, False, None)),
        ("READ_ONLY", "FULL_ACCESS", (True, False, False, True, True, False)),
        ("FULL_ACCESS", "FULL_ACCESS", (True, True, True, True, True, None)),
        ("ADMIN", "NO_ACCESS", (None, None, None, None, False, None)),
        ("READ_ONLY", "ADMIN", (True, False, False, None, None, False)),
        ("read_only", "no_access", (None,) * 6),
        ("", "", (None,) * 6),
    ],
)
def test_general_and_transfer_say_what_a_key_may(general: str, transfer: str, powers: tuple[bool | None, ...]) -> None:
    key = the_key(told(permissions={"general": general, "transfer": transfer}))
    assert tuple(key.get(name) for name in POWERS) == powers


def test_an_area_we_do_not_know_may_open_anything() -> None:
    levels = {"general": "READ_ONLY", "transfer": "NO_ACCESS", "keys": "FULL_ACCESS"}
    assert tuple(the_key(told(permissions=levels)).get(name) for name in POWERS) == (True, *[None] * 5)


def test_an_area_that_is_left_out_is_unknown() -> None:
    assert "can_withdraw" not in the_key(told(permissions={"general": "READ_ONLY"}))
    assert "can_trade" not in the_key(told(permissions={"transfer": "NO_ACCESS"}))


@pytest.mark.parametrize("spoiled", [..., None, [], "FULL_ACCESS", {"general": 1, "transfer": "NO_ACCESS"}])
def test_permissions_of_another_shape_cost_nothing_else(spoiled: Any) -> None:
    sheet = told(permissions=spoiled)
    assert not set(POWERS) & the_key(sheet).keys()
    assert the_key(sheet)["ip_bound"] is True
    assert shown(sheet, "api_key.can_withdraw") == ["malformed_response"]


@pytest.mark.parametrize(
    ("one", "listed", "ip_bound", "ip_allowlist"),
    [
        (None, [], False, []),
        ("", [""], False, []),
        (..., [], False, []),
        (None, ["*"], False, []),
        ("203.0.113.0/24", [], True, ["203.0.113.0/24"]),
        ("203.0.113.0/24", ["203.0.113.0/24", "2001:db8::/64"], True, ["2001:db8::/64", "203.0.113.0/24"]),
        (None, ["203.0.113.7/32"], True, ["203.0.113.7/32"]),
        ("203.0.113.0/24", ..., True, ["203.0.113.0/24"]),
        (None, ..., None, None),
        (None, None, None, None),
        (..., ..., None, None),
        (7, ["203.0.113.7/32"], None, None),
        (None, "203.0.113.7/32", None, None),
        (None, [None], None, None),
    ],
)
def test_the_block_of_old_and_the_list_bind_together(one: Any, listed: Any, ip_bound: Any, ip_allowlist: Any) -> None:
    sheet = told(allowedCidrBlock=one, allowedCidrBlocks=listed)
    key = the_key(sheet)
    assert (key.get("ip_bound"), key.get("ip_allowlist")) == (ip_bound, ip_allowlist)
    assert bool(shown(sheet, "api_key.ip_bound")) or ip_bound is not None


@pytest.mark.parametrize("made", [..., None, "", "yesterday", 1756044922, "1970-01-01T00:00:00Z"])
def test_an_odd_time_of_creation_is_unknown(made: Any) -> None:
    sheet = told(createdAt=made)
    assert "created_at" not in the_key(sheet)
    assert shown(sheet, "api_key.created_at") == ["malformed_response"]


@pytest.mark.parametrize("body", [{}, {"other": 1}])
def test_an_empty_answer_describes_no_key(body: Any) -> None:
    sheet = collect(Twin(), prepare=answered(CHECK.path, body))
    assert sheet.rows["api_key"] is None
    assert "malformed_response" in shown(sheet, "api_keys")


# Sub-accounts


def test_one_key_with_full_access_rules_the_sub_accounts() -> None:
    assert collect(Twin()).account["master_key_over_subaccounts"] is True
    alone = Twin()
    alone.subs = []
    assert collect(alone).account["master_key_over_subaccounts"] is False


def test_the_key_of_a_sub_account_names_its_parent() -> None:
    sheet = collect(
        Twin(),
        prepare=answered(SUBS.path, {"result": "success", "masterAccountUid": "aaaa-bbbb-9999", "subaccounts": []}),
    )
    assert sheet.account == {"kind": "sub", "parent": "…9999", "master_key_over_subaccounts": False}


def test_a_key_without_general_access_still_describes_itself() -> None:
    sheet = collect(Twin(), credentials=credentials(CHECK_ONLY))
    assert the_key(sheet)["can_read"] is False
    assert reasons(sheet) == {"subaccounts": "permission_denied"}
    assert "kind" not in sheet.account


@pytest.mark.parametrize("spoiled", [{}, {"subaccounts": {}}, {"masterAccountUid": 1, "subaccounts": []}])
def test_a_misshapen_list_of_sub_accounts_proves_nothing(spoiled: Any) -> None:
    sheet = collect(Twin(), prepare=answered(SUBS.path, {"result": "success", **spoiled}))
    assert not sheet.account
    assert set(shown(sheet, "account.kind")) == {"malformed_response"}


# The signature


def test_the_check_of_a_key_is_not_in_ccxts_list_and_goes_through_its_signature() -> None:
    signed = Signer("krakenfutures", {"apiKey": Secret("public"), "secret": Secret("c2VjcmV0")}, None).sign(CHECK, {})
    assert signed.url == "https://futures.kraken.com/api/auth/v1/api-keys/v3/check"
    assert {"APIKey", "Authent"} <= signed.headers.keys()
    _gate.check_signed(signed, CHECK, {}, None)


def test_a_spoiled_signature_is_refused() -> None:
    async def ask(endpoint: Any, spoil: bool) -> dict[str, Any]:
        async with Twin() as twin, aiohttp.ClientSession() as session:
            held = {name: Secret(value) for name, value in credentials(FULL).items()}
            signed = Signer("krakenfutures", held, twin.url).sign(endpoint, {})
            authent = signed.headers["Authent"]
            headers = {
                **signed.headers,
                "Authent": ("B" if authent[0] == "A" else "A") + authent[1:] if spoil else authent,
            }
            async with session.get(signed.url, headers=headers) as response:
                body: dict[str, Any] = await response.json()
                return body

    for endpoint in krakenfutures.endpoints:
        assert asyncio.run(ask(endpoint, spoil=True))["error"] == "authenticationError"
        assert "error" not in asyncio.run(ask(endpoint, spoil=False))


# Errors


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("unavailable", "venue_maintenance"),
        ("Unavailable", "venue_maintenance"),
        ("marketUnavailable", "venue_maintenance"),
        ("Server Error", "venue_incident"),
        ("nonceBelowThreshold", "clock_skew"),
        ("nonceDuplicate", "clock_skew"),
        ("apiLimitExceeded", "rate_limited"),
        ("somethingNew", "malformed_response"),
        ("permissionDenied", "malformed_response"),  # an invented text: nobody has seen it
    ],
)
@pytest.mark.parametrize("endpoint", [CHECK, SUBS])
def test_every_error_text_in_every_envelope(word: str, reason: str, endpoint: Any) -> None:
    for body in ({"result": "error", "error": word}, {"errors": [{"code": 1, "message": word}]}, {"error": word}):
        assert reason_of(answer(body), endpoint) == reason


def test_authentication_error_blames_the_key_only_where_no_right_is_needed() -> None:
    body = {"result": "error", "error": "authenticationError"}
    assert reason_of(answer(body), CHECK) == "invalid_key"
    assert reason_of(answer(body), SUBS) == "permission_denied"
    found = krakenfutures.classify(answer(body), SUBS)
    assert found is not None and not found.lockout


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "invalid_key"), (403, "venue_incident"), (429, "rate_limited"), (503, "venue_maintenance")],
)
def test_http_401_of_the_service_that_checks_keys_is_no_generic_error(status: int, reason: str) -> None:
    body = {"error": "Unauthorized", "message": "no", "suberror": "x"}
    assert reason_of(answer(body, status), CHECK) == reason
    assert reason_of(answer(body, status), SUBS) != "invalid_key"


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"result": "success"}, 200, None),
        ({"apiKey": "x"}, 200, None),
        ({"errors": [], "logs": []}, 200, None),
        ({"message": "gateway"}, 401, None),  # judged by its status, which never blames a key
        ({"result": "error"}, 200, "malformed_response"),
        ({"result": "error"}, 502, "venue_incident"),
        ({"errors": ["?"]}, 200, "malformed_response"),
        ({"error": {"code": 1}}, 200, "malformed_response"),
        ([], 200, "malformed_response"),
        (None, 502, None),
    ],
)
def test_what_says_neither_success_nor_a_known_error(body: Any, status: int, reason: str | None) -> None:
    assert reason_of(answer(body, status)) == reason


def test_after_a_refused_key_nothing_more_is_asked() -> None:
    twin = Twin()
    sheet = collect(twin, prepare=lambda twin: twin.fail(Refusal.BAD_KEY))
    assert [request.path for request in twin.requests] == [CHECK.path]
    assert set(reasons(sheet).values()) == {"invalid_key"}


def test_the_venue_file_claims_no_hold_and_no_allow_list() -> None:
    facts = _venue.load("krakenfutures").policy_facts()
    assert facts["venue.second_factor_downgrade_possible"] is True
    assert not [name for name in facts if "hold_" in name or "allowlist" in name]
