"""Bitfinex over the real transport against its twin. Each trap of the venue has a test named after it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges import _gate, _transport, _venue, bitfinex
from auditor.exchanges._base import Answer, Endpoint, Sheet, Unavailable, by_status
from auditor.exchanges._signer import SignedRequest, Signer
from auditor.exchanges._transport import Venue
from auditor.model.evidence import Reason
from auditor.redaction import Secret
from auditor.twin._base import Refusal, TwinVenue
from auditor.twin.bitfinex import Twin
from tests.exchanges.wire import collect, reasons

KEY, USER, LOGINS, CHANGES, STATUS = (endpoint.path for endpoint in bitfinex.endpoints)
TAX, AUDITOR, BOT = Twin().sample_keys()
SCOPES = [
    "account",
    "history",
    "orders",
    "positions",
    "funding",
    "settings",
    "wallets",
    "withdraw",
    "ui_withdraw",
    "bfxpay",
]
POWERS = ("can_read", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")
FACTORS = ("enrolled_factors", "two_factor_enabled", "login_weakest_factor")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)


def credentials(key: Any) -> dict[str, str]:
    return {"apiKey": key.api_key, "secret": key.secret}


def told(path: str, body: Any) -> Callable[[TwinVenue], None]:
    """The twin, answering at `path` with `body` whatever it is."""

    def prepare(twin: TwinVenue) -> None:
        if path == STATUS:
            twin.public["GET", path] = lambda _request: body
        else:
            twin.signed["POST", path] = lambda _request, _key: body

    return prepare


def the_key(sheet: Sheet) -> dict[str, Any]:
    rows = sheet.rows["api_key"]
    assert rows is not None and len(rows) == 1
    return rows[0]


def why(sheet: Sheet, fact: str) -> set[str]:
    return {problem.reason.value for problem in sheet.problems if fact in problem.facts}


def rights(**granted: tuple[Any, Any]) -> list[list[Any]]:
    return [[scope, *granted.get(scope, (0, 0))] for scope in SCOPES]


def user(**places: Any) -> list[Any]:
    row = list(Twin().user)
    for name, value in places.items():
        row[int(name.removeprefix("at"))] = value
    return row


def answer(body: Any, status: int) -> Answer:
    return Answer(status=status, body=body, text=json.dumps(body), headers={})


# The key.


def test_a_read_only_key_is_described_whole() -> None:
    key = the_key(collect(Twin(), credentials=credentials(AUDITOR)))
    assert key == {
        "is_audit_key": True,
        "kind": "hmac",
        "enabled": True,
        "permissions": ["account:read", "history:read", "wallets:read"],
        "can_read": True,
        "can_trade": False,
        "can_trade_derivatives": False,
        "can_transfer": False,
        "can_withdraw": False,
        "can_manage": False,
    }


def test_nothing_is_said_of_addresses_or_of_other_keys() -> None:
    sheet = collect(Twin())
    assert not {"ip_bound", "ip_allowlist", "created_at", "label"} & the_key(sheet).keys()
    assert not {"key_inventory_complete", "addresses_complete"} & sheet.account.keys()


@pytest.mark.parametrize(
    ("granted", "powers"),
    [
        (rights(), (False, False, False, False, False, False)),
        (rights(history=(1, 0)), (True, False, False, False, False, False)),
        (rights(orders=(0, 1)), (False, True, True, False, False, False)),
        (rights(positions=(1, 1)), (True, True, True, False, False, False)),
        (rights(funding=(0, 1)), (False, None, False, False, False, False)),
        (rights(wallets=(1, 1)), (True, False, False, True, False, False)),
        (rights(withdraw=(0, 1)), (False, False, False, False, True, False)),
        (rights(ui_withdraw=(0, 1)), (False, False, False, False, True, False)),
        (rights(withdraw=(1, 0), ui_withdraw=(1, 0)), (True, False, False, False, False, False)),
        (rights(settings=(1, 1)), (True, False, False, False, False, None)),
        (rights(account=(1, 1)), (True, False, False, False, False, None)),
        (rights(bfxpay=(0, 1)), (False, False, False, False, False, False)),
        ([*rights(account=(1, 0)), ["loans", 0, 0]], (True, False, False, False, False, False)),
        ([*rights(account=(1, 0)), ["loans", 0, 1]], (True, None, None, None, None, None)),
        ([*rights(withdraw=(0, 1)), ["loans", 1, 0]], (None, None, None, None, True, None)),
        ([*rights(withdraw=(0, 1)), ["withdraw", 0, 0]], (False, False, False, False, True, False)),
        ([["withdraw", 0, 1], *rights()], (False, False, False, False, True, False)),
        ([*rights(), ["withdraw", 0, None]], (False, False, False, False, None, False)),
        ([["account", 1, 0]], (True, None, None, None, None, None)),
        (rights(withdraw=(0, 2)), (False, False, False, False, None, False)),
        (rights(withdraw=(0, None), ui_withdraw=(0, 1)), (False, False, False, False, True, False)),
        (rights(orders=("1", "0"), wallets=(True, False)), (True, False, False, False, False, False)),
    ],
)
def test_a_scope_that_is_not_named_or_not_known_is_never_false(granted: Any, powers: tuple[bool | None, ...]) -> None:
    key = the_key(collect(Twin(), prepare=told(KEY, granted)))
    assert tuple(key.get(name) for name in POWERS) == powers


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*SCOPES, "new"]), st.sampled_from([0, 1, None, 2]), st.sampled_from([0, 1, None, "x"])
        ),
        max_size=12,
    )
)
@settings(max_examples=200, deadline=None)
def test_false_only_where_every_scope_that_grants_it_says_no(rows: list[tuple[str, Any, Any]]) -> None:
    granted = {word: tuple(flag if flag in (0, 1) else None for flag in flags) for word, *flags in rows}
    powers = bitfinex._powers(
        {word: (None if r is None else bool(r), None if w is None else bool(w)) for word, (r, w) in granted.items()}
    )
    if powers["can_withdraw"] is False:
        assert granted.get("withdraw", (0, None))[1] == 0 and granted.get("ui_withdraw", (0, None))[1] == 0
        assert granted.get("new", (0, 0)) == (0, 0)
    assert (powers["can_withdraw"] is True) == (1 in (granted.get(s, (0, 0))[1] for s in ("withdraw", "ui_withdraw")))


@pytest.mark.parametrize(
    "body", [[], {}, [[]], [["account", 1]], [[1, 1, 0]], [None], ["account"], {"account": [1, 0]}]
)
def test_a_misshapen_permission_list_grants_and_denies_nothing(body: Any) -> None:
    sheet = collect(Twin(), prepare=told(KEY, body))
    rows = sheet.rows["api_key"]
    assert rows is None or not {name for name in POWERS if rows[0].get(name) is False}
    assert "malformed_response" in {problem.reason.value for problem in sheet.problems}


# The account. The second factors stand at place 26 of an array that grows.


@pytest.mark.parametrize(
    ("modes", "facts"),
    [
        ([], ([], False, "none")),
        (["otp"], (["totp"], True, "totp")),
        (["u2f"], (["hardware_key"], True, "phishing_resistant")),
        (["u2f", "otp"], (["hardware_key", "totp"], True, None)),
        (["otp", "otp"], (["totp"], True, "totp")),
        (["U2F"], (["hardware_key"], True, "phishing_resistant")),
        (None, (None, None, None)),
        (["sms"], (None, None, None)),
        (["u2f", "passkey"], (None, True, None)),
        ([""], (None, None, None)),
        ("otp", (None, None, None)),
        (["otp", 1], (None, None, None)),
        (0, (None, None, None)),
        ({}, (None, None, None)),
    ],
)
def test_an_empty_list_of_modes_is_none_and_a_missing_one_is_unknown(modes: Any, facts: tuple[Any, ...]) -> None:
    sheet = collect(Twin(), prepare=told(USER, user(at26=modes)))
    assert tuple(sheet.account.get(name) for name in FACTORS) == facts
    if facts[0] is None:
        assert why(sheet, "account.enrolled_factors") == {"not_exposed" if modes is None else "malformed_response"}
    assert sheet.account["kyc_level"] == 3, "one odd place must not cost the others"


@pytest.mark.parametrize("length", [0, 1, 6, 17, 19, 26, 27, 45, 55, 56, 80])
def test_every_place_is_guarded_by_the_length_of_the_array(length: int) -> None:
    row = ([*Twin().user, *[None] * 40])[:length]
    sheet = collect(Twin(), prepare=told(USER, row))
    assert (sheet.account_id is not None) == (length > 0)
    assert ("created_at" in sheet.account) == (length > 3)
    assert ("kyc_level" in sheet.account) == (length > 5)
    assert ("kind" in sheet.account) == (length > 18)
    assert ("enrolled_factors" in sheet.account) == (length > 26)
    assert ("last_login_at" in sheet.account) == (length > 44)
    if length <= 26:
        assert why(sheet, "account.enrolled_factors") == {"malformed_response"}


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ("2026-11-19T08:07:06.500Z", "2026-11-19T08:07:06.500000Z"),
        (1795075626500, "2026-11-19T08:07:06.500000Z"),
        ("1795075626500", "2026-11-19T08:07:06.500000Z"),
        (None, None),
        (0, None),
        ("yesterday", None),
        ([], None),
    ],
)
def test_the_last_login_is_text_or_milliseconds(at: Any, shown: str | None) -> None:
    assert collect(Twin(), prepare=told(USER, user(at44=at))).account.get("last_login_at") == shown


@pytest.mark.parametrize(
    ("master", "heads", "kind"),
    [
        (None, 0, "main"),
        (None, 1, "main"),
        (1234567, 1, "main"),
        (0, 0, "main"),
        (7654321, 0, "sub"),
        (7654321, 1, None),
        (7654321, None, None),
        (None, None, None),
        (None, 7, None),
        ("abc", 0, None),
        ([], 0, None),
    ],
)
def test_a_sub_account_names_its_master(master: Any, heads: Any, kind: str | None) -> None:
    assert collect(Twin(), prepare=told(USER, user(at16=master, at18=heads))).account.get("kind") == kind


def test_disputed_places_change_nothing() -> None:
    odd = {f"at{place}": [] for place in (*range(19, 26), *range(27, 44), *range(45, 55))}
    assert collect(Twin(), prepare=told(USER, user(**odd))).account == collect(Twin()).account


def test_an_array_that_does_not_begin_with_an_account_id_is_not_read() -> None:
    sheet = collect(Twin(), prepare=told(USER, [None, *Twin().user]))
    assert not set(FACTORS) & sheet.account.keys()
    assert sheet.account_id is None


def test_personal_data_stays_at_the_door() -> None:
    sheet = collect(Twin())
    shown = repr(
        (
            sheet.account,
            sheet.venue,
            sheet.problems,
            [{k: v for k, v in row.items() if k != "public_id"} for row in sheet.rows["event"] or []],
        )
    )
    assert not [word for word in ("nobody", "invented-user", "Lisbon", "1234567", "Mozilla") if word in shown]


# The log.


def test_every_page_of_both_logs_is_read_once() -> None:
    twin = Twin()
    sheet = collect(twin)
    rows = sheet.rows["event"] or []
    assert len(rows) == len(twin.logins) + len(twin.changes)
    stranger = [row for row in rows if row.get("ip") == "198.51.100.99"]
    assert sorted(row["kind"] for row in stranger) == ["api_key_created", "login"]
    assert {row.get("country") for row in rows if row["kind"] == "login"} == {"PT", "ZZ"}
    asked = [json.loads(request.body) for request in twin.requests if request.path == LOGINS]
    assert asked[0] == {} and len(asked) > 2


def test_the_log_covers_what_both_halves_of_it_cover() -> None:
    sheet = collect(Twin())
    assert sheet.account["events_cover_from"] == "2026-11-08T01:06:40Z"
    assert sheet.sources["account.events_cover_from"].ref == f"POST {CHANGES}"


@pytest.mark.parametrize("path", [LOGINS, CHANGES])
def test_an_empty_log_is_seen_and_covers_nothing(path: str) -> None:
    sheet = collect(Twin(), prepare=told(path, []))
    assert sheet.rows["event"]
    assert "events_cover_from" not in sheet.account
    both = collect(Twin(), prepare=lambda twin: [told(one, [])(twin) for one in (LOGINS, CHANGES)])
    assert both.rows["event"] == [] and not both.problems


def test_an_entry_that_cannot_be_read_costs_the_cover_and_not_the_others() -> None:
    rows = [[1, None, 1794000000000, None, "203.0.113.20"], [2, None, "soon", None, "203.0.113.20"], "odd", [3]]
    sheet = collect(Twin(), prepare=told(LOGINS, rows))
    assert [row["at"] for row in sheet.rows["event"] or [] if row["kind"] == "login"] == ["2026-11-06T21:20:00Z"]
    assert "events_cover_from" not in sheet.account
    assert why(sheet, "events") == {"malformed_response"}


def test_a_log_that_never_ends_is_left_after_some_pages() -> None:
    def prepare(twin: TwinVenue) -> None:
        at = iter(range(1794000000000, 0, -1000))
        twin.signed["POST", LOGINS] = lambda _request, _key: [[1, None, next(at), None, "203.0.113.20"]]

    twin = Twin()
    sheet = collect(twin, prepare=prepare)
    assert len([one for one in twin.requests if one.path == LOGINS]) == 10
    assert why(sheet, "events") == {"not_collected"}
    assert sheet.account["events_cover_from"] == "2026-11-08T01:06:40Z"


def test_an_older_page_that_fails_leaves_the_newer_ones() -> None:
    def prepare(twin: Any) -> None:
        serve = twin.signed["POST", LOGINS]
        twin.signed["POST", LOGINS] = lambda request, key: (
            ["error", 10020, "end: invalid"] if twin.asked else serve(request, key)
        )

    sheet = collect(Twin(), prepare=prepare)
    logins = [row for row in sheet.rows["event"] or [] if row["kind"] == "login"]
    assert len(logins) == 4
    assert why(sheet, "events") == {"malformed_response"}
    assert sheet.account["events_cover_from"] == min(row["at"] for row in logins)


@pytest.mark.parametrize(
    ("extra", "country", "text"),
    [
        ('{"geo": "Porto, PT", "user_agent": {"browser": "Firefox", "os": "Linux"}}', "PT", "Firefox, Linux"),
        ({"geo": "Porto, PT", "user_agent": {"browser": "Firefox", "os": "Linux"}}, "PT", "Firefox, Linux"),
        ({"geo": "PT"}, "PT", None),
        ({"geo": "Porto"}, None, None),
        ({"geo": ["PT"], "user_agent": "Firefox"}, None, None),
        ("{", None, None),
        ("[" * 5000, None, None),
        ("7", None, None),
        (None, None, None),
        ({"user_agent": {"browser": "mail me at x@example.org"}}, None, "mail me at x•••"),
    ],
)
def test_the_extra_part_is_an_object_or_json_in_a_string(extra: Any, country: str | None, text: str | None) -> None:
    row = [1, None, 1794000000000, None, "203.0.113.20", None, None, extra]
    found = [one for one in collect(Twin(), prepare=told(LOGINS, [row])).rows["event"] or [] if one["kind"] == "login"]
    assert [(one.get("country"), one.get("text")) for one in found] == [(country, text)]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("settings: api key created", "api_key_created"),
        ("settings: API Key revoked", "api_key_removed"),
        ("settings: api key updated", "api_key_changed"),
        ("settings: 2FA disabled", "two_factor_disabled"),
        ("security: u2f added", "two_factor_enabled"),
        ("settings: otp", "two_factor_changed"),
        ("settings: password changed", "password_changed"),
        ("password reset requested", "other"),
        ("withdrawal address added", "address_added"),
        ("settings: timezone", "settings_changed"),
        ("settings: adoption option", "settings_changed"),
        ("zip captured", "other"),
        ("", "other"),
    ],
)
def test_unknown_words_of_the_change_log_are_kept_as_they_are(said: str, kind: str) -> None:
    row = [1794645060000, None, said, None, None, "203.0.113.20", {"browser": "object"}]
    found = collect(Twin(), prepare=told(CHANGES, [row])).rows["event"] or []
    assert [(one["kind"], one["text"]) for one in found if one["kind"] != "login"] == [(kind, said)]


# Status.


@pytest.mark.parametrize(
    ("body", "status"),
    [([1], "ok"), ([0], "maintenance"), ([2], None), ([], None), ([1, 1], None), ({"status": 1}, None)],
)
def test_platform_status(body: Any, status: str | None) -> None:
    assert collect(Twin(), prepare=told(STATUS, body)).venue.get("status") == status


# Errors.

ERRORS = [
    (["error", 20060, "maintenance"], Reason.VENUE_MAINTENANCE),
    (["error", "temporarily_unavailable", "x"], Reason.VENUE_MAINTENANCE),
    ({"code": 503, "error": "temporarily_unavailable", "error_description": "..."}, Reason.VENUE_MAINTENANCE),
    (["error", 10000, "unknown error"], Reason.VENUE_INCIDENT),
    (["error", 10100, "apikey: invalid"], Reason.INVALID_KEY),
    (["error", 10100, "apikey: digest invalid"], Reason.INVALID_KEY),
    (["error", None, "ERR_AUTH_FAIL"], Reason.INVALID_KEY),
    (["error", 10001, "api_key: permission invalid"], Reason.PERMISSION_DENIED),
    (["error", 10001, "Order not found"], Reason.MALFORMED_RESPONSE),
    (["error", 10001, None], Reason.MALFORMED_RESPONSE),
    (["error", "ERR_GENERIC", "not allowed"], Reason.PERMISSION_DENIED),
    (["error", 10114, "nonce: small"], Reason.CLOCK_SKEW),
    (["error", 11010, "ratelimit: error"], Reason.RATE_LIMITED),
    ({"error": "ERR_RATE_LIMIT"}, Reason.RATE_LIMITED),
    (["error", 10020, "limit: invalid"], Reason.MALFORMED_RESPONSE),
    (["error", 19999, "never seen"], Reason.MALFORMED_RESPONSE),
    (["error"], Reason.MALFORMED_RESPONSE),
    (["error", {"deep": 1}, []], Reason.MALFORMED_RESPONSE),
]


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize(("body", "reason"), ERRORS)
def test_an_error_is_an_error_whatever_the_http_status(body: Any, reason: Reason, status: int) -> None:
    found = bitfinex.classify(answer(body, status), bitfinex.USER)
    assert found is not None and found.reason is reason


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"message": "?"}, 200, Reason.MALFORMED_RESPONSE),
        ({"message": "?"}, 500, Reason.VENUE_INCIDENT),
        ({}, 429, Reason.RATE_LIMITED),
        (["error", 1, "?"], 429, Reason.RATE_LIMITED),
        ("down", 503, Reason.VENUE_MAINTENANCE),
        (7, 200, Reason.MALFORMED_RESPONSE),
    ],
)
def test_what_is_no_array_is_no_success(body: Any, status: int, reason: Reason) -> None:
    found = bitfinex.classify(answer(body, status), bitfinex.USER)
    assert found is not None and found.reason is reason


@pytest.mark.parametrize(
    ("body", "status"), [([1], 200), ([], 200), ([["error", 1]], 200), (None, 200), (None, 502), ([1], 500)]
)
def test_without_an_error_the_status_decides(body: Any, status: int) -> None:
    assert bitfinex.classify(answer(body, status), bitfinex.USER) is None
    assert (by_status(answer(body, status)) is None) == (status == 200)


def test_a_blocked_address_is_left_alone_by_every_key() -> None:
    twin = Twin()
    twin.signed["POST", KEY] = lambda _request, _key: {"error": "ERR_RATE_LIMIT"}
    sheet = collect(twin)
    assert reasons(sheet) == dict.fromkeys((one.name for one in bitfinex.endpoints), "rate_limited")
    assert [request.path for request in twin.requests] == [KEY]


def test_a_small_nonce_is_not_asked_again_and_accuses_nobody() -> None:
    twin = Twin()
    twin.nonces[TAX.api_key] = 10**16  # another program counts in microseconds
    sheet = collect(twin)
    assert sheet.rows["api_key"] is None
    assert set(reasons(sheet).values()) == {"clock_skew"}
    assert len([request for request in twin.requests if request.path == KEY]) == 1


def test_a_key_without_the_account_scope_shows_itself_and_says_what_is_missing() -> None:
    sheet = collect(Twin(), credentials=credentials(BOT))
    assert the_key(sheet)["can_trade"] is True
    assert reasons(sheet) == dict.fromkeys(("info/user", "logins/hist", "audit/hist"), "permission_denied")
    assert sheet.rows["event"] is None and sheet.account == {}


# Signatures and the gate.


@pytest.mark.parametrize("spoil", ["bfx-signature", "bfx-nonce", "bfx-apikey"])
def test_a_spoiled_signature_is_refused_by_the_twin(spoil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sign = Signer.sign

    def spoiled(self: Signer, endpoint: Endpoint, params: Any) -> SignedRequest:
        request = sign(self, endpoint, params)
        if spoil in request.headers:
            value = request.headers[spoil]
            request.headers[spoil] = value[:-1] + ("0" if value[-1] != "0" else "1")
        return request

    monkeypatch.setattr(Signer, "sign", spoiled)
    sheet = collect(Twin())
    assert reasons(sheet)[bitfinex.KEY.name] == "invalid_key"
    assert sheet.rows["api_key"] is None


def test_a_spoiled_body_is_refused_by_the_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    sign = Signer.sign

    def spoiled(self: Signer, endpoint: Endpoint, params: Any) -> SignedRequest:
        request = sign(self, endpoint, params)
        return SignedRequest(
            verb=request.verb, url=request.url, headers=request.headers, body=request.body and " " + request.body
        )

    monkeypatch.setattr(Signer, "sign", spoiled)
    monkeypatch.setattr(_gate, "check_signed", lambda *_args: None)
    assert reasons(collect(Twin()))[bitfinex.KEY.name] == "invalid_key"


def test_nothing_is_declared_that_writes() -> None:
    assert all(one.path.startswith("/v2/auth/r/") for one in bitfinex.endpoints if not one.public)
    assert {one.verb for one in bitfinex.endpoints if not one.public} == {"POST"}


@pytest.mark.parametrize("path", ["/v2/auth/w/token", "/v2/auth/w/settings/set", "/v2/auth/r/settings"])
def test_lookalikes_are_refused_before_signing(path: str) -> None:
    from dataclasses import replace

    async def run() -> None:
        twin = Twin()
        async with twin, Venue(bitfinex, endpoint=twin.url) as venue:
            door = venue.key({name: Secret(value) for name, value in credentials(TAX).items()})
            with pytest.raises(_gate.GateError):
                await door.fetch(replace(bitfinex.KEY, path=path, call=path.removeprefix("/v2/")))
            assert not twin.requests

    asyncio.run(run())


def test_the_real_hosts_are_those_of_the_documentation() -> None:
    signer = Signer("bitfinex", {name: Secret(value) for name, value in credentials(TAX).items()}, None)
    for endpoint in bitfinex.endpoints:
        _gate.check_signed(signer.sign(endpoint, {}), endpoint, {}, None)


def test_every_refusal_is_spelled_as_the_documentation_does() -> None:
    for refusal in Refusal:
        said = Twin().refuse(refusal)
        body = json.loads(said.text or "")
        assert bitfinex.classify(answer(body, said.status), bitfinex.KEY) is not None


def test_server_time_is_never_guessed() -> None:
    from auditor.exchanges._shape import ShapeError

    with pytest.raises(ShapeError):
        bitfinex.server_time([1795000000000])
    assert bitfinex.clock is None and bitfinex.serial


def test_a_hold_that_only_follows_a_reset_is_not_stated_for_every_change() -> None:
    policies = {policy.fact: policy for policy in _venue.load("bitfinex").policies}
    for fact in ("venue.hold_after_password_change_hours", "venue.hold_after_two_factor_change_hours"):
        assert policies[fact].value is None and policies[fact].condition
    assert policies["venue.two_factor_methods"].value == ["hardware_key", "totp"]


def test_unavailable_says_what_a_bad_key_may_also_mean() -> None:
    found = bitfinex.classify(answer(["error", 10100, "apikey: invalid"], 400), bitfinex.KEY)
    assert found is not None and "address" in Unavailable(found).detail and found.lockout
