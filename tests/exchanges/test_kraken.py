"""Kraken over the real transport against its twin: what a key says of itself, the address book, and everything that can
go wrong on the way. Each trap of the venue has a test named after it.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges import _gate, _transport, _venue, kraken
from auditor.exchanges._base import Answer, Sheet, Unavailable, by_status
from auditor.exchanges._load import connector
from auditor.exchanges._signer import SignedRequest, Signer
from auditor.exchanges._transport import Venue
from auditor.model.evidence import Reason
from auditor.model.facts import catalogue
from auditor.redaction import Secret
from auditor.twin._base import Breakage, Refusal, TwinVenue
from auditor.twin.kraken import Twin
from tests.exchanges.wire import collect, reasons

KEY, BOOK, STATUS = "/0/private/GetApiKeyInfo", "/0/private/WithdrawAddresses", "/0/public/SystemStatus"
TRACKER, AUDITOR, BOT = Twin().sample_keys()
POWERS = ("can_read", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")
SAID = dict(TRACKER.about)
BODY = {"error": [], "result": {**SAID, "nonce": "1795000000123", "lastUsed": "1795000000"}}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)


def credentials(key: Any) -> dict[str, str]:
    return {"apiKey": key.api_key, "secret": key.secret}


def snake(said: dict[str, Any]) -> dict[str, Any]:
    return {"".join(f"_{char.lower()}" if char.isupper() else char for char in name): v for name, v in said.items()}


def told(said: dict[str, Any]) -> Callable[[TwinVenue], None]:
    """The twin, describing the calling key as `said`."""
    return answered(KEY, {"error": [], "result": said})


def answered(path: str, body: Any) -> Callable[[TwinVenue], None]:
    """The twin, answering at `path` with `body` whatever it is."""

    def prepare(twin: TwinVenue) -> None:
        if path == STATUS:
            twin.public["GET", path] = lambda _request: body
        else:
            twin.signed["POST", path] = lambda _request, _key: body

    return prepare


def the_key(sheet: Sheet) -> dict[str, Any]:
    rows = sheet.rows["api_key"]
    assert rows is not None
    assert len(rows) == 1
    return rows[0]


def the_book(sheet: Sheet) -> dict[str, dict[str, Any]]:
    return {row["label"]: row for row in sheet.rows["address"] or []}


def paths(twin: TwinVenue) -> list[str]:
    return [request.path for request in twin.requests]


def shown(sheet: Sheet, fact: str) -> list[str]:
    """The reasons given for a missing fact."""
    return [problem.reason.value for problem in sheet.problems if fact in problem.facts]


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=body, text=json.dumps(body), headers={})


# What a key says of itself.


def test_a_careful_read_only_key_is_described_whole() -> None:
    sheet = collect(Twin(), credentials=credentials(AUDITOR))
    assert the_key(sheet) == {
        "public_id": AUDITOR.api_key,
        "label": "audit-ro-2026",
        "kind": "hmac",
        "is_audit_key": True,
        "enabled": True,
        "permissions": ["query-ledger"],
        "can_read": True,
        "can_trade": False,
        "can_trade_derivatives": False,
        "can_transfer": False,
        "can_withdraw": False,
        "can_manage": False,
        "ip_bound": True,
        "ip_allowlist": ["198.51.100.7", "2001:db8:42::/64"],
        "never_expires": False,
        "expires_at": "2027-06-01T00:00:00Z",
        "created_at": "2026-09-10T00:26:40Z",
        "modified_at": "2026-09-10T00:34:10Z",
    }
    assert sheet.sources["api_keys"].ref == "POST /0/private/GetApiKeyInfo"


def test_nothing_is_said_of_the_other_keys_of_the_account() -> None:
    assert "key_inventory_complete" not in collect(Twin()).account


def test_last_used_is_refreshed_by_the_call_itself_and_never_written() -> None:
    for said in ({**SAID, "lastUsed": "1795000000"}, {**SAID, "lastUsed": None}, {**SAID, "last_used": "1"}):
        key = the_key(collect(Twin(), prepare=told(said)))
        assert not {"last_used_at", "never_used"} & key.keys()


def test_the_iban_identifies_the_account_and_is_stored_nowhere() -> None:
    sheet = collect(Twin())
    assert sheet.account_id == "AA11 N84G DEMO PLE0"
    assert "N84G" not in repr((sheet.account, sheet.rows, sheet.venue, sheet.problems, sheet.sources))


@pytest.mark.parametrize("iban", [None, "", "  "])
def test_an_account_without_iban_has_no_id(iban: str | None) -> None:
    assert collect(Twin(), prepare=told({**SAID, "iban": iban})).account_id is None


def test_snake_case_says_the_same_as_camel_case() -> None:
    documented = told({**SAID, "ipAllowlist": ["198.51.100.7"]})
    seen_on_the_wire = told(snake({**SAID, "ipAllowlist": ["198.51.100.7"], "nonceWindow": "0"}))
    one, other = collect(Twin(), prepare=documented), collect(Twin(), prepare=seen_on_the_wire)
    assert the_key(one) == the_key(other)
    assert one.problems == other.problems == []


@pytest.mark.parametrize(
    ("field", "facts"),
    [
        ("apiKeyName", ["label"]),
        ("permissions", ["permissions", *POWERS]),
        ("ipAllowlist", ["ip_bound", "ip_allowlist"]),
        ("validUntil", ["never_expires", "expires_at"]),
        ("createdTime", ["created_at"]),
        ("modifiedTime", ["modified_at"]),
    ],
)
@pytest.mark.parametrize("value", ["missing", None, {"a": 1}, [[]], True])
def test_a_field_in_neither_spelling_is_unknown_and_costs_no_other(field: str, facts: list[str], value: Any) -> None:
    said = {name: told for name, told in SAID.items() if name != field} | ({} if value == "missing" else {field: value})
    sheet = collect(Twin(), prepare=told(said))
    key = the_key(sheet)
    assert not set(facts) & key.keys()
    assert shown(sheet, f"api_key.{facts[-1]}") == ["malformed_response"]
    assert {
        name for name in ("ip_bound", "can_withdraw", "created_at", "never_expires") if name not in facts
    } <= key.keys()


def test_both_spellings_that_disagree_are_unknown() -> None:
    sheet = collect(Twin(), prepare=told({**SAID, "ipAllowlist": ["198.51.100.7"], "ip_allowlist": []}))
    assert "ip_bound" not in the_key(sheet)
    assert shown(sheet, "api_key.ip_bound") == ["malformed_response"]


def test_an_empty_result_describes_no_key() -> None:
    sheet = collect(Twin(), prepare=told({}))
    assert sheet.rows["api_key"] is None
    assert "malformed_response" in shown(sheet, "api_keys")
    assert shown(sheet, "addresses") == ["not_collected"]


@pytest.mark.parametrize(
    ("allowlist", "ip_bound", "listed"),
    [
        ([], False, []),
        ([""], False, []),
        ([" ", ""], False, []),
        (["*"], False, []),
        (["198.51.100.7", "*"], False, []),
        (["198.51.100.7"], True, ["198.51.100.7"]),
        (["", " 2001:db8:42::/64 "], True, ["2001:db8:42::/64"]),
    ],
)
def test_empty_and_one_empty_string_are_both_unbound(allowlist: list[str], ip_bound: bool, listed: list[str]) -> None:
    for said in ({**SAID, "ipAllowlist": allowlist}, snake({**SAID, "ipAllowlist": allowlist})):
        key = the_key(collect(Twin(), prepare=told(said)))
        assert (key["ip_bound"], key["ip_allowlist"]) == (ip_bound, listed)


@pytest.mark.parametrize("allowlist", ["198.51.100.7", "", [None], [7], {"0": "198.51.100.7"}, False])
def test_an_ip_list_of_another_shape_is_unknown(allowlist: Any) -> None:
    assert "ip_bound" not in the_key(collect(Twin(), prepare=told({**SAID, "ipAllowlist": allowlist})))


@pytest.mark.parametrize("never", ["0", 0, "0.0"])
def test_valid_until_zero_is_never_and_not_1970(never: Any) -> None:
    key = the_key(collect(Twin(), prepare=told({**SAID, "validUntil": never})))
    assert key["never_expires"] is True
    assert "expires_at" not in key


@pytest.mark.parametrize("until", ["1811808000", 1811808000])
def test_seconds_arrive_as_text(until: Any) -> None:
    key = the_key(collect(Twin(), prepare=told({**SAID, "validUntil": until})))
    assert (key["never_expires"], key["expires_at"]) == (False, "2027-06-01T00:00:00Z")


@pytest.mark.parametrize("until", ["", "-1", "1", "never", "1795000000123", 10**400, "NaN", "2027-06-01"])
def test_an_odd_expiry_is_unknown(until: Any) -> None:
    sheet = collect(Twin(), prepare=told({**SAID, "validUntil": until}))
    assert not {"expires_at", "never_expires"} & the_key(sheet).keys()
    assert shown(sheet, "api_key.never_expires") == ["malformed_response"]


@pytest.mark.parametrize("created", ["0", 0, "1795000000123", "", "x", -5])
def test_1970_and_milliseconds_are_no_time_of_creation(created: Any) -> None:
    key = the_key(collect(Twin(), prepare=told({**SAID, "createdTime": created})))
    assert "created_at" not in key
    assert key["modified_at"] == "2024-03-01T11:00:00Z"


# Permissions. In the tables: read, trade, derivatives, transfer, withdraw, manage; None is unknown.

NOTHING = (None,) * 6


@pytest.mark.parametrize(
    ("tokens", "powers"),
    [
        (["query-funds", "query-open-trades", "query-closed-trades", "query-ledger"], (True, *[False] * 5)),
        (["query-closed-trades"], (True, *[False] * 5)),
        (["modify-trades"], (False, True, None, False, False, None)),
        (["query-funds", "close-trades"], (True, True, None, False, False, None)),
        (["query-funds", "withdraw-funds"], (True, False, False, None, True, False)),
        (["withdraw-funds"], (None, False, False, None, True, False)),
        (["query-funds", "add-funds"], (True, *[False] * 5)),
        (["create-ws-token"], (None, *[False] * 5)),
        (["query-ledger", "export-data", "earn-funds"], (True, *[False] * 5)),
        (["query-ledger", "add-withdraw-address", "update-withdraw-address"], (True, *[False] * 5)),
        ([" query-funds ", "", "query-funds"], (True, *[False] * 5)),
    ],
)
def test_permission_tokens_say_what_a_key_may(tokens: list[str], powers: tuple[bool | None, ...]) -> None:
    key = the_key(collect(Twin(), prepare=told({**SAID, "permissions": tokens})))
    assert tuple(key.get(name) for name in POWERS) == powers


@pytest.mark.parametrize("token", ["teleport-funds", "withdraw_funds", "funds_earn", "WITHDRAW-FUNDS", "admin", "*"])
def test_an_unknown_token_makes_the_powers_it_might_be_unknown(token: str) -> None:
    key = the_key(collect(Twin(), prepare=told({**SAID, "permissions": ["query-funds", token]})))
    assert tuple(key.get(name) for name in POWERS) == (True, *[None] * 5)
    assert key["permissions"] == sorted(["query-funds", token])


def test_an_unknown_token_takes_nothing_from_what_is_proved() -> None:
    key = the_key(collect(Twin(), prepare=told({**SAID, "permissions": ["withdraw-funds", "modify-trades", "?"]})))
    assert tuple(key.get(name) for name in POWERS) == (None, True, None, None, True, None)


@pytest.mark.parametrize("tokens", [[], [""], [" "]])
def test_a_key_without_any_permission_is_not_a_key_without_powers(tokens: list[str]) -> None:
    key = the_key(collect(Twin(), prepare=told({**SAID, "permissions": tokens})))
    assert tuple(key.get(name) for name in POWERS) == NOTHING


@pytest.mark.parametrize("tokens", ["query-funds", {"query-funds": True}, [1], [["query-funds"]], [None]])
def test_permissions_of_another_shape_are_unknown(tokens: Any) -> None:
    sheet = collect(Twin(), prepare=told({**SAID, "permissions": tokens}))
    assert not set(POWERS) & the_key(sheet).keys()
    assert shown(sheet, "api_key.can_withdraw") == ["malformed_response"]


# The address book.


def test_the_address_book_is_read_only_by_a_key_that_may_withdraw_anyway() -> None:
    twin = Twin()
    sheet = collect(twin)
    assert paths(twin).count(BOOK) == 2
    assert sheet.account == {"addresses_complete": True}
    assert the_book(sheet)["cold-wallet-1"] == {
        "public_id": "bc1qdemo0demo0demo0demo0demo0demo0demo00",
        "asset": "XBT",
        "network": "Bitcoin",
        "label": "cold-wallet-1",
        "state": "active",
    }


@pytest.mark.parametrize(
    "tokens",
    [
        ["query-funds", "query-ledger"],
        ["withdraw-funds"],
        ["query-funds", "withdraw_funds"],
        ["query-funds", "add-funds"],
    ],
)
def test_a_key_that_may_not_withdraw_is_never_sent_for_the_book(tokens: list[str]) -> None:
    twin = Twin()
    sheet = collect(twin, prepare=told({**SAID, "permissions": tokens}))
    assert BOOK not in paths(twin)
    assert sheet.rows["address"] is None
    assert shown(sheet, "addresses") == ["permission_denied"]
    assert shown(sheet, "account.addresses_complete") == ["permission_denied"]


def test_verified_means_confirmed_by_mail_and_not_that_no_code_is_asked() -> None:
    book = the_book(collect(Twin()))
    assert book["cold-wallet-1"]["state"] == "active"
    assert book["new-exchange"]["state"] == "pending"
    assert all("skips_second_factor" not in row for row in book.values())


@pytest.mark.parametrize(
    ("verified", "state"), [(True, "active"), ("true", "active"), ("false", "pending"), (0, "pending"), (None, None)]
)
def test_verified_in_every_spelling(verified: Any, state: str | None) -> None:
    entry = {**Twin().book[0], "verified": verified}
    sheet = collect(Twin(), prepare=lambda twin: setattr(twin, "book", [entry]))
    assert the_book(sheet)["cold-wallet-1"].get("state") == state


def test_the_same_address_with_another_tag_is_another_destination() -> None:
    first = {"address": "rDEMO", "asset": "XXRP", "method": "XRP", "key": "a", "tag": "1", "verified": True}
    book = [
        first,
        {**first, "key": "b", "tag": "2"},
        {**first, "key": "c", "tag": ""},
        {**first, "key": "d", "memo": "3"},
    ]
    del book[3]["tag"]
    sheet = collect(Twin(), prepare=lambda twin: setattr(twin, "book", book))
    assert [row["public_id"] for row in the_book(sheet).values()] == ["rDEMO:1", "rDEMO:2", "rDEMO", "rDEMO:3"]


def test_both_asset_classes_are_asked_for_and_an_answer_that_ignores_the_class_counts_once() -> None:
    twin = Twin()
    sheet = collect(twin, prepare=answered(BOOK, {"error": [], "result": Twin().book}))
    asked = [parse_qs(request.body)["aclass"] for request in twin.requests if request.path == BOOK]
    assert asked == [["currency"], ["tokenized_asset"]]
    assert len(sheet.rows["address"] or []) == 3


def test_an_empty_book_is_seen_and_empty() -> None:
    sheet = collect(Twin(), prepare=lambda twin: setattr(twin, "book", []))
    assert sheet.rows["address"] == []
    assert sheet.account["addresses_complete"] is True


@pytest.mark.parametrize("field", ["address", "asset", "method", "key"])
def test_an_entry_that_lacks_its_identity_leaves_the_book_unseen(field: str) -> None:
    book = copy.deepcopy(Twin().book)
    del book[0][field]
    sheet = collect(Twin(), prepare=lambda twin: setattr(twin, "book", book))
    assert sheet.rows["address"] is None
    assert "addresses_complete" not in sheet.account
    assert shown(sheet, "addresses") == ["malformed_response"]


def test_half_a_book_is_not_called_a_book() -> None:
    def second_half_fails(twin: Any) -> None:
        serve = twin.signed["POST", BOOK]
        lost = {"error": ["EGeneral:Invalid arguments"]}
        twin.signed["POST", BOOK] = lambda request, key: (
            lost if twin.form["aclass"] == "tokenized_asset" else serve(request, key)
        )

    sheet = collect(Twin(), prepare=second_half_fails)
    assert sheet.rows["address"] is None
    assert "addresses_complete" not in sheet.account


def test_labels_that_are_mail_addresses_are_masked_and_stay_two() -> None:
    book = [{**Twin().book[0], "key": "anna@example.org"}, {**Twin().book[0], "key": "adam@example.org"}]
    sheet = collect(Twin(), prepare=lambda twin: setattr(twin, "book", book))
    assert [row["label"] for row in sheet.rows["address"] or []] == ["a•••", "a•••"]
    key = the_key(collect(Twin(), prepare=told({**SAID, "apiKeyName": "anna@example.org"})))
    assert key["label"] == "a•••"


# The venue's status.


@pytest.mark.parametrize(
    ("mode", "status"),
    [("online", "ok"), ("maintenance", "maintenance"), ("cancel_only", "degraded"), ("post_only", "degraded")],
)
def test_a_mode_that_is_not_online_is_not_always_maintenance(mode: str, status: str) -> None:
    sheet = collect(Twin(), prepare=lambda twin: setattr(twin, "mode", mode))
    assert sheet.venue == {"status": status}


@pytest.mark.parametrize("mode", ["", "Online!", None, 1, ["online"]])
def test_a_mode_nobody_documented_is_unknown(mode: Any) -> None:
    sheet = collect(Twin(), prepare=lambda twin: setattr(twin, "mode", mode))
    assert sheet.venue == {}
    assert shown(sheet, "venue.status") == ["malformed_response"]


# What an error means.

CODES = [
    ("EService:Unavailable", "venue_maintenance", True, False),
    ("EService:Busy", "venue_maintenance", True, False),
    ("EService:Market in cancel_only mode", "venue_maintenance", True, False),
    ("EService:Market in post_only mode", "venue_maintenance", True, False),
    ("EGeneral:Internal error", "venue_incident", True, False),
    ("EGeneral:Internal error[50]", "venue_incident", True, False),
    ("EDatabase:Internal error", "venue_incident", True, False),
    ("EDatabase:Internal error[7]", "venue_incident", True, False),
    ("EAPI:Invalid key", "invalid_key", False, True),
    ("EAPI:Invalid signature", "invalid_key", False, True),
    ("EAuth:Account temporary disabled", "account_frozen", False, True),
    ("EAuth:Account unconfirmed", "account_frozen", False, True),
    ("ETrade:User Locked", "account_frozen", False, True),
    ("EGeneral:Permission denied", "permission_denied", False, False),
    ("EAccount:Invalid permissions", "permission_denied", False, False),
    ("EAccount:Invalid permissions:XBT trading restricted for XX", "permission_denied", False, False),
    ("EAPI:Invalid nonce", "clock_skew", False, False),
    ("EAPI:Rate limit exceeded", "rate_limited", True, False),
    ("EOrder:Rate limit exceeded", "rate_limited", True, False),
    ("EGeneral:Too many requests", "rate_limited", True, False),
    ("EService:Throttled", "rate_limited", True, False),
    ("EService:Throttled:1795000000", "rate_limited", True, False),
    ("EService: Throttled: 1795000000", "rate_limited", True, False),
    ("EGeneral:Temporary lockout", "rate_limited", False, True),
    ("EGeneral:Invalid arguments", "malformed_response", False, False),
    ("EQuery:Unknown asset", "malformed_response", False, False),
]


@pytest.mark.parametrize(("code", "reason", "retry", "lockout"), CODES)
def test_every_code(code: str, reason: str, retry: bool, lockout: bool) -> None:
    for error in ([code], code, ["WGeneral:Something", code]):
        found = kraken.classify(answer({"error": error}), kraken.ADDRESSES)
        assert found is not None
        assert (found.reason.value, found.retry, found.lockout) == (reason, retry, lockout)


@pytest.mark.parametrize(
    "body",
    [
        {"error": [], "result": {}},
        {"error": ["WGeneral:Danger", "WAPI:Invalid key"], "result": {}},
        {"error": "", "result": {}},
        {"error": None},
        {"result": {}},
        {},
        [],
        None,
        "EAPI:Invalid key",
        7,
    ],
)
def test_warnings_and_bodies_without_an_error_are_no_failure_of_the_venue(body: Any) -> None:
    assert kraken.classify(answer(body), kraken.KEY) is None


@pytest.mark.parametrize(
    "error", [[None], [5], [""], [["EAPI:Invalid key"]], {"a": 1}, True, 7, ["Invalid key"], ["EAPI"]]
)
def test_an_error_of_another_shape_is_a_failure_and_accuses_nobody(error: Any) -> None:
    found = kraken.classify(answer({"error": error}), kraken.KEY)
    assert found is not None
    assert found.reason is Reason.MALFORMED_RESPONSE


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        (["EAPI:Invalid key", "EGeneral:Internal error[50]"], "venue_incident"),
        (["EAPI:Invalid key", "EService:Unavailable"], "venue_maintenance"),
        (["EService:Unavailable", "EGeneral:Temporary lockout"], "rate_limited"),
        (["EAPI:Invalid key", "EGeneral:Temporary lockout"], "rate_limited"),
        (["WAPI:Soon", "EAPI:Invalid nonce"], "clock_skew"),
    ],
)
def test_of_several_errors_a_lockout_or_an_outage_outweighs_a_bad_key(errors: list[str], reason: str) -> None:
    found = kraken.classify(answer({"error": errors}), kraken.KEY)
    assert found is not None
    assert found.reason.value == reason


@pytest.mark.parametrize("status", [500, 502, 503, 520, 521, 525])
def test_a_cloudflare_page_is_never_a_bad_key(status: int) -> None:
    found = kraken.classify(answer(None, status), kraken.KEY) or by_status(answer(None, status))
    assert found is not None
    assert found.reason in {Reason.VENUE_INCIDENT, Reason.VENUE_MAINTENANCE}


def test_permission_denied_where_none_is_needed_points_at_the_address() -> None:
    sheet = collect(Twin(), prepare=answered(KEY, {"error": ["EGeneral:Permission denied"]}))
    assert reasons(sheet)["GetApiKeyInfo"] == "permission_denied"
    assert "address" in next(problem.detail for problem in sheet.problems if problem.endpoint == "GetApiKeyInfo")


def test_an_unknown_error_that_echoes_the_key_shows_neither_half() -> None:
    key, secret = TRACKER.api_key, TRACKER.secret
    for text in (f"EAPI:{key}", f"EGeneral:No {secret}", f"EGeneral:{'x' * 50}{key}", f"{key}:{secret}"):
        sheet = collect(Twin(), prepare=answered(KEY, {"error": [text]}))
        details = " ".join(problem.detail for problem in sheet.problems)
        assert key[:12] not in details
        assert secret[:12] not in details
        assert reasons(sheet)["GetApiKeyInfo"] == "malformed_response"


# Nonces, signatures, and who is stopped.


def test_a_lockout_is_never_asked_again_and_is_no_bad_key() -> None:
    for path in (KEY, BOOK):
        twin = Twin()
        sheet = collect(twin, prepare=answered(path, {"error": ["EGeneral:Temporary lockout"]}))
        assert paths(twin).count(path) == 1
        assert reasons(sheet)[path.rpartition("/")[2]] == "rate_limited"


@pytest.mark.parametrize("path", [KEY, BOOK])
def test_a_bot_on_the_same_key_collides_once_and_makes_no_storm(path: str) -> None:
    twin = Twin()
    sheet = collect(twin, prepare=lambda twin: twin.fail(Refusal.BAD_TIMESTAMP, path))
    assert paths(twin).count(path) == 1
    problem = next(problem for problem in sheet.problems if path.endswith(problem.endpoint))
    assert problem.reason is Reason.CLOCK_SKEW
    assert "dedicated key" in problem.detail
    assert kraken.clock is None


def test_a_bot_that_counts_nanoseconds_has_taken_every_nonce() -> None:
    twin = Twin()
    sheet = collect(twin, prepare=lambda twin: twin.nonces.update({TRACKER.api_key: 10**18}))
    assert [path for path in paths(twin) if "private" in path] == [KEY]
    assert reasons(sheet)["GetApiKeyInfo"] == "clock_skew"
    assert sheet.rows["api_key"] is None


def test_nonces_are_milliseconds_and_strictly_increase_under_concurrency() -> None:
    twin = Twin()

    async def run() -> list[Any]:
        module = connector("kraken")
        assert module is not None
        async with twin, Venue(module, endpoint=twin.url) as venue:
            door = venue.key({name: Secret(value) for name, value in twin.sample_credentials().items()})
            return await asyncio.gather(*[door.fetch(kraken.KEY) for _ in range(5)])

    twin.latency = 0.01
    assert all(body["error"] == [] for body in asyncio.run(run()))
    nonces = [parse_qs(request.body)["nonce"][0] for request in twin.requests]
    assert all(len(nonce) == 13 for nonce in nonces)
    assert all(int(one) < int(other) for one, other in pairwise(nonces))
    assert kraken.serial is True


def test_the_twin_refuses_a_nonce_that_does_not_grow() -> None:
    twin = Twin()

    async def run() -> list[Any]:
        module = connector("kraken")
        assert module is not None
        async with twin, Venue(module, endpoint=twin.url) as venue:
            signer = Signer("kraken", {name: Secret(v) for name, v in twin.sample_credentials().items()}, twin.url)
            late, early = signer.sign(kraken.KEY, {}), signer.sign(kraken.KEY, {})
            return [(await venue.send(request)).body["error"] for request in (early, early, late)]

    assert asyncio.run(run()) == [[], ["EAPI:Invalid nonce"], ["EAPI:Invalid nonce"]]


@pytest.mark.parametrize("spoil", ["path", "body", "secret", "header"])
def test_the_twin_judges_every_part_of_the_signature(spoil: str) -> None:
    twin = Twin()

    async def run() -> Any:
        module = connector("kraken")
        assert module is not None
        async with twin, Venue(module, endpoint=twin.url) as venue:
            secret = base64.b64encode(b"another secret").decode() if spoil == "secret" else TRACKER.secret
            signer = Signer("kraken", {"apiKey": Secret(TRACKER.api_key), "secret": Secret(secret)}, twin.url)
            signed = signer.sign(kraken.ADDRESSES, {"aclass": "currency"})
            spoilt = {
                "path": lambda: replace(signed, url=twin.url + KEY),
                "body": lambda: replace(signed, body=f"{signed.body}&asset=XBT"),
                "secret": lambda: signed,
                "header": lambda: replace(signed, headers={**signed.headers, "API-Sign": "bm8="}),
            }
            return (await venue.send(spoilt[spoil]())).body

    assert asyncio.run(run()) == {"error": ["EAPI:Invalid signature"]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"apiKey": "Zz0UnknownKeyUnknownKeyUnknownKeyUnknownKeyUnknownKey0000"},
        {"secret": base64.b64encode(b"not the secret of this key").decode()},
        {"secret": "not-base64-at-all!"},
    ],
)
def test_a_bad_key_is_asked_once_and_shows_nothing(wrong: dict[str, str]) -> None:
    twin = Twin()
    sheet = collect(twin, credentials={**twin.sample_credentials(), **wrong})
    assert len([path for path in paths(twin) if "private" in path]) <= 1
    assert reasons(sheet)["GetApiKeyInfo"] == "invalid_key"
    assert reasons(sheet)["WithdrawAddresses"] == "not_collected"
    assert sheet.rows["api_key"] is None
    assert sheet.account == {}
    assert sheet.venue == {"status": "ok"}


def test_a_foreign_address_is_not_told_from_a_bad_key_and_stops_the_key() -> None:
    twin = Twin()
    sheet = collect(twin, credentials=credentials(BOT), prepare=lambda twin: setattr(twin, "caller", "192.0.2.99"))
    assert [path for path in paths(twin) if "private" in path] == [KEY]
    assert reasons(sheet)["GetApiKeyInfo"] == "invalid_key"
    assert "address" in next(problem.detail for problem in sheet.problems if "api_keys" in problem.facts)


@pytest.mark.parametrize(
    ("caller", "served"), [("203.0.113.200", True), ("203.0.114.1", False), ("2001:db8::1", False)]
)
def test_the_twin_keeps_blocks_of_addresses(caller: str, served: bool) -> None:
    sheet = collect(Twin(), credentials=credentials(BOT), prepare=lambda twin: setattr(twin, "caller", caller))
    assert (sheet.rows["api_key"] is not None) == served


@pytest.mark.parametrize("refusal", [Refusal.BAD_KEY, Refusal.BAD_SIGNATURE, Refusal.FOREIGN_IP])
def test_a_key_refused_half_way_stops_there(refusal: Refusal) -> None:
    twin = Twin()
    sheet = collect(twin, prepare=lambda twin: twin.fail(refusal, BOOK))
    assert paths(twin).count(BOOK) == 1
    assert the_key(sheet)["can_withdraw"] is True
    assert reasons(sheet) == {"WithdrawAddresses": "invalid_key"}


# Every refusal and every breakage, at every endpoint.

MEANT = {
    Refusal.BAD_KEY: "invalid_key",
    Refusal.BAD_SIGNATURE: "invalid_key",
    Refusal.BAD_TIMESTAMP: "clock_skew",
    Refusal.FOREIGN_IP: "invalid_key",
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


def test_no_refusal_and_no_breakage_is_forgotten() -> None:
    assert set(MEANT) == {*Refusal, *Breakage}


@pytest.mark.parametrize("how", MEANT)
@pytest.mark.parametrize(
    ("path", "fact"), [(KEY, "api_keys"), (BOOK, "addresses"), (STATUS, "venue.status")], ids=["key", "book", "status"]
)
def test_a_failure_is_a_problem_with_its_reason_and_nothing_else(path: str, fact: str, how: Refusal | Breakage) -> None:
    twin = Twin()
    sheet = collect(twin, prepare=lambda twin: twin.fail(how, path), deadline=0.3 if how is Breakage.SILENCE else 10)
    accuses_a_key = MEANT[how] == "invalid_key" and path == STATUS
    assert set(shown(sheet, fact)) == {"implausible_response" if accuses_a_key else MEANT[how]}
    rows = {"api_keys": sheet.rows["api_key"], "addresses": sheet.rows["address"], "venue.status": sheet.venue or None}
    assert rows[fact] is None
    assert sheet.account == ({} if fact != "venue.status" else {"addresses_complete": True})
    assert (rows["api_keys"] is None) == (fact == "api_keys")
    assert (rows["addresses"] is None) == (fact != "venue.status")
    assert 1 <= paths(twin).count(path) <= 3
    assert all(TRACKER.secret not in p.detail and TRACKER.api_key not in p.detail for p in sheet.problems)


@pytest.mark.parametrize("how", [Refusal.RATE_LIMIT, Refusal.MAINTENANCE, Breakage.HTML_ERROR, Breakage.TRUNCATED])
def test_what_passes_on_a_second_try_leaves_no_trace(how: Refusal | Breakage) -> None:
    sheet = collect(Twin(), prepare=lambda twin: twin.fail(how, KEY, times=1))
    assert the_key(sheet)["can_withdraw"] is True
    assert sheet.problems == []


# Hostile bodies.

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(["query-funds", "withdraw-funds", "0", "true", "*", "-1", "1795000000", 10**400]),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(max_size=8), child, max_size=3),
    max_leaves=6,
)


class Recited:
    """A door that answers from memory, so that thousands of bodies can be tried."""

    def __init__(self, bodies: dict[str, Any]) -> None:
        self.bodies = bodies

    async def fetch(self, endpoint: Any, params: Any = None) -> Any:
        body = self.bodies[endpoint.name]
        refused = kraken.classify(answer(body), endpoint)
        if refused is not None:
            raise Unavailable(refused)
        return body


def recited(**bodies: Any) -> Sheet:
    sheet = Sheet()
    sound = {
        "GetApiKeyInfo": BODY,
        "WithdrawAddresses": {"error": [], "result": Twin().book},
        "SystemStatus": {"error": [], "result": {"status": "online"}},
    }
    asyncio.run(kraken.collect(Recited({**sound, **bodies}), sheet))
    return sheet


@settings(max_examples=300, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(sorted(SAID)), JSON, min_size=1, max_size=4))
def test_no_field_of_a_key_can_break_the_audit_or_invent_a_restriction(changes: dict[str, Any]) -> None:
    sheet = recited(GetApiKeyInfo={"error": [], "result": {**SAID, **changes}})
    key = (sheet.rows["api_key"] or [{}])[0]
    if "permissions" in changes and changes["permissions"] != SAID["permissions"] and key.get("can_withdraw") is False:
        assert "withdraw-funds" not in json.dumps(changes["permissions"])
        assert key["permissions"]
    if "ipAllowlist" in changes and key.get("ip_bound"):
        assert any(isinstance(entry, str) and entry.strip() for entry in changes["ipAllowlist"])


@settings(max_examples=200, deadline=None)
@given(
    body=JSON | st.fixed_dictionaries({"error": JSON, "result": JSON}),
    name=st.sampled_from(["GetApiKeyInfo", "WithdrawAddresses", "SystemStatus"]),
)
def test_no_body_breaks_the_audit(body: Any, name: str) -> None:
    sheet = recited(**{name: body})
    if name == "GetApiKeyInfo":
        assert all(key.get("can_withdraw") is not False for key in sheet.rows["api_key"] or [])


@settings(max_examples=200, deadline=None)
@given(entry=st.dictionaries(st.sampled_from(["address", "asset", "method", "key", "tag", "memo", "verified"]), JSON))
def test_no_entry_of_the_book_breaks_the_audit(entry: dict[str, Any]) -> None:
    book = [*Twin().book, {**Twin().book[0], **entry}]
    sheet = recited(WithdrawAddresses={"error": [], "result": book})
    assert (sheet.rows["address"] is None) == ("addresses" in {f for p in sheet.problems for f in p.facts})


# What may be asked at all.


def test_these_posts_and_one_get_are_all_that_can_ever_be_sent() -> None:
    opt_in = {("POST", f"/0/private/{call}") for call in ("TradeBalance", "Balance", "Ledgers", "WithdrawStatus")}
    always = {("POST", KEY), ("POST", BOOK), ("GET", STATUS)}
    assert {(one.verb, one.path) for one in kraken.endpoints} == always | opt_in
    assert {one.host for one in kraken.endpoints} == {"api.kraken.com"}


def test_a_post_that_is_not_declared_is_never_signed_because_the_verb_proves_nothing() -> None:
    async def run() -> None:
        module = connector("kraken")
        assert module is not None
        async with Venue(module, endpoint="http://127.0.0.1:9") as venue:
            door = venue.key({name: Secret(value) for name, value in Twin().sample_credentials().items()})
            for call in ("Withdraw", "AddOrder", "GetWebSocketsToken", "WalletTransfer", "DepositAddresses"):
                with pytest.raises(_gate.GateError):
                    await door.fetch(replace(kraken.KEY, path=f"/0/private/{call}", call=call))

    asyncio.run(run())


@pytest.mark.parametrize(
    "body",
    [
        None,
        "nonce=1",
        "nonce=1&aclass=tokenized_asset",
        "nonce=1&aclass=currency&new=true",
        "nonce=1&aclass=currency&aclass=currency",
        "nonce=1&aclass=currency&otp=123456",
        '{"nonce":"1","aclass":"currency","asset":"XBT"}',
    ],
)
def test_the_gate_compares_the_parameters_in_the_body(body: str | None) -> None:
    request = SignedRequest(verb="POST", url=f"https://api.kraken.com{BOOK}", headers={}, body=body)
    with pytest.raises(_gate.GateError):
        _gate.check_signed(request, kraken.ADDRESSES, {"aclass": "currency"}, None)
    passing = replace(request, body="nonce=1&aclass=currency")
    _gate.check_signed(passing, kraken.ADDRESSES, {"aclass": "currency"}, None)


def test_the_futures_venue_is_not_asked() -> None:
    twin = Twin()
    collect(twin)
    assert set(paths(twin)) == {KEY, BOOK, STATUS}


# The venue file.


def test_the_allow_list_is_always_on_and_holds_that_depend_are_unknown() -> None:
    venue = {policy.fact: policy.value for policy in _venue.load("kraken").policies}
    assert venue["account.withdrawal_allowlist_enabled"] is True
    assert venue["venue.api_withdrawal_requires_allowlist"] is True
    for hold in (
        "hold_after_password_change",
        "hold_after_two_factor_change",
        "hold_after_new_device",
        "new_address_delay",
    ):
        assert venue[f"venue.{hold}_hours"] is None
    assert "sms" not in venue["venue.two_factor_methods"]
    assert venue["venue.unbound_key_expiry_days"] is None


def test_what_to_tick_proves_everything_and_does_the_least() -> None:
    sheet = collect(Twin(), credentials=credentials(AUDITOR))
    assert [problem.endpoint for problem in sheet.problems] == ["WithdrawAddresses"]
    key = the_key(sheet)
    assert [name for name in POWERS if key[name]] == ["can_read"]


def test_the_sample_accounts_show_something() -> None:
    bot = the_key(collect(Twin(), credentials=credentials(BOT), prepare=lambda t: setattr(t, "caller", "203.0.113.9")))
    assert bot["can_trade"] is True
    assert "can_trade_derivatives" not in bot
    assert Twin().account_name == "main-kraken"
    stated = Twin().attested()["account"]
    assert stated["keys_counted"] == len(Twin().sample_keys())
    for name, value in stated.items():
        fact = catalogue()[f"account.{name}"]
        assert "attest" in fact.by
        assert fact.check(value) is None
