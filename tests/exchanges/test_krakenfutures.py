"""Kraken Futures over the wire: what can be seen with the calls that ccxt signs, and one error text for three faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from auditor.exchanges import _transport, _venue, krakenfutures
from auditor.exchanges._base import Answer, Sheet
from auditor.exchanges._signer import Signer
from auditor.redaction import Secret
from auditor.twin._base import Refusal, TwinVenue
from auditor.twin.krakenfutures import Twin
from tests.exchanges.wire import collect, reasons

CHECK, SUBS = krakenfutures.NOTIFICATIONS, krakenfutures.SUBACCOUNTS
FULL, CAREFUL, CHECK_ONLY = Twin().sample_keys()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)


def credentials(key: Any) -> dict[str, str]:
    return {"apiKey": key.api_key, "secret": key.secret}


def answered(path: str, body: Any) -> Callable[[TwinVenue], None]:
    def prepare(twin: TwinVenue) -> None:
        twin.signed["GET", path] = lambda _request, _key: body

    return prepare


def shown(sheet: Sheet, fact: str) -> list[str]:
    return [problem.reason.value for problem in sheet.problems if fact in problem.facts]


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=body, text=json.dumps(body), headers={})


def reason_of(given: Answer, endpoint: Any = CHECK) -> str | None:
    found = krakenfutures.classify(given, endpoint)
    return found.reason.value if found else None


# What can be seen


def test_a_key_that_may_read_is_seen_and_nothing_else_is_claimed_of_it() -> None:
    sheet = collect(Twin())
    assert sheet.rows["api_key"] == [{"is_audit_key": True, "kind": "hmac", "enabled": True, "can_read": True}]
    assert set(reasons(sheet).values()) == {"not_collected"}
    for name in ("can_withdraw", "can_trade", "ip_bound", "created_at"):
        assert shown(sheet, f"api_key.{name}") == ["not_collected"]
    assert not sheet.account
    assert not sheet.venue  # a notice says when maintenance begins, and not when it ends


def test_names_mails_and_balances_are_stored_nowhere() -> None:
    sheet = collect(Twin())
    for word in ("N84G", "example.org", "Bo Bot", "7f1c2d3e"):
        assert word not in repr(sheet)


def test_without_sub_accounts_no_key_rules_any() -> None:
    alone = Twin()
    alone.subs = []
    assert collect(alone).account == {"master_key_over_subaccounts": False}


def test_a_key_without_general_access_is_told_that_it_may_not_read() -> None:
    sheet = collect(Twin(), credentials=credentials(CHECK_ONLY))
    assert sheet.rows["api_key"] is None
    assert set(reasons(sheet).values()) == {"invalid_key"}
    assert all("may not read" in problem.detail for problem in sheet.problems)


@pytest.mark.parametrize("spoiled", [{}, {"subaccounts": {}}, {"masterAccountUid": 1, "subaccounts": []}])
def test_a_misshapen_list_of_sub_accounts_proves_nothing(spoiled: Any) -> None:
    sheet = collect(Twin(), prepare=answered(SUBS.path, {"result": "success", **spoiled}))
    assert not sheet.account
    assert shown(sheet, "account.master_key_over_subaccounts") == ["malformed_response"]


@pytest.mark.parametrize("spoiled", [{}, {"notifications": {}}, {"notifications": None}])
def test_an_answer_of_another_shape_proves_no_key(spoiled: Any) -> None:
    sheet = collect(Twin(), prepare=answered(CHECK.path, {"result": "success", **spoiled}))
    assert sheet.rows["api_key"] is None
    assert shown(sheet, "api_keys") == ["malformed_response"]


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


def test_authentication_error_blames_the_key_only_where_every_useful_key_is_served() -> None:
    body = {"result": "error", "error": "authenticationError"}
    assert reason_of(answer(body), CHECK) == "invalid_key"
    assert reason_of(answer(body), SUBS) == "permission_denied"
    found = krakenfutures.classify(answer(body), SUBS)
    assert found is not None and not found.lockout


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "invalid_key"), (403, "venue_incident"), (429, "rate_limited"), (503, "venue_maintenance")],
)
def test_http_401_is_no_generic_error(status: int, reason: str) -> None:
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
