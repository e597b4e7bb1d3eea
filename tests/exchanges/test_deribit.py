"""Deribit over the wire: secrets in the list of keys, a second factor demanded in a success, GET for everything, two shapes
of most answers, and every code.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from auditor.exchanges import _gate, _transport, _venue, deribit
from auditor.exchanges._base import Answer, Endpoint, Sheet
from auditor.exchanges._signer import Signer
from auditor.identity import Identity
from auditor.model.facts import parse_time
from auditor.redaction import Secret
from auditor.snapshots import build
from auditor.twin._base import Refusal, TwinVenue
from auditor.twin.deribit import Twin
from tests.exchanges.wire import collect, reasons

PRIVATE = "/api/v2/private/"
CODES = {
    "venue_maintenance": "11051 10041 10040 13028 13503 13025",
    "venue_incident": "11094",
    "rate_limited": "10028 10047 10066",
    "invalid_key": "13004 13009 10000 9999",
    "account_frozen": "11098 13002 10019",
    "ip_not_allowed": "12005",
    "permission_denied": "13021 11042 13012 13403 13003 12000 12998",
}
POWERS = ("can_read", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)


def answered(name: str, result: Any) -> Callable[[TwinVenue], None]:
    """The twin, answering a private call with `result` whatever it is."""

    def prepare(twin: TwinVenue) -> None:
        twin.signed["GET", PRIVATE + name] = lambda _request, _key: {"jsonrpc": "2.0", "result": result}

    return prepare


def listed(**fields: Any) -> dict[str, Any]:
    """The one listed key, with these fields; `...` leaves one out."""
    row = {
        "client_id": "Zx81kQpa",
        "client_secret": "CANARY",
        "name": "bot",
        "max_scope": "account:read",
        "enabled": True,
        "ip_whitelist": [],
        "public_key": None,
        **fields,
    }
    sheet = collect(Twin(), prepare=answered("list_api_keys", [{k: v for k, v in row.items() if v is not ...}]))
    [found] = [key for key in sheet.rows["api_key"] or [] if "public_id" in key]
    assert sheet.account["key_inventory_complete"] is True
    return found


def summary(**fields: Any) -> Sheet:
    row = {
        "id": 90210,
        "type": "main",
        "security_keys_enabled": True,
        "interuser_transfers_enabled": False,
        "creation_timestamp": 1650000000000,
        "login_enabled": False,
        **fields,
    }
    return collect(Twin(), prepare=answered("get_account_summary", {k: v for k, v in row.items() if v is not ...}))


def account_with(*assigned: str, **fields: Any) -> Sheet:
    row = {"id": 90210, "type": "main", "security_keys_assignments": [*assigned], **fields}
    return collect(Twin(), prepare=answered("get_subaccounts", [row]))


def shown(sheet: Sheet, fact: str) -> list[str]:
    return [problem.reason.value for problem in sheet.problems if fact in problem.facts]


def error(code: Any, message: str = "?", status: int = 400, reason: str | None = None) -> Answer:
    body = {"jsonrpc": "2.0", "error": {"code": code, "message": message, "data": {"reason": reason}}}
    return Answer(status=status, body=body, text=json.dumps(body), headers={})


def reason_of(answer: Answer) -> str | None:
    failure = deribit.classify(answer, deribit.KEYS)
    return failure.reason.value if failure else None


# The sample account


def test_the_sample_account_shows_what_a_read_key_may_see() -> None:
    sheet = collect(Twin())
    assert not sheet.problems
    assert sheet.account_id == "90210"
    assert sheet.account == {
        "kind": "main",
        "created_at": "2022-04-15T05:20:00Z",
        "two_factor_enabled": True,
        "internal_transfer_enabled": True,
        "login_needs_second_factor": True,
        "step_up_needs_second_factor": False,  # nothing is assigned to `account`: new keys need no second factor
        "allowlisted_withdrawal_needs_factor": True,
        "master_key_over_subaccounts": True,
        "key_inventory_complete": True,
        "addresses_complete": True,
        "status": "normal",
        "events_cover_from": "2022-04-15T05:21:40Z",
        "last_login_at": "2025-11-18T21:05:00Z",
        "password_changed_at": "2025-11-18T21:06:40Z",
        "password_ever_changed": True,
        "two_factor_changed_at": "2022-04-15T05:21:40Z",
        "two_factor_ever_changed": True,
    }
    assert sheet.venue == {"status": "ok"}


def test_the_calling_key_and_its_line_in_the_list_become_one_row() -> None:
    sheet = collect(Twin())
    [calling] = [row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")]
    calling["public_id"] = Twin().sample_keys()[0].api_key  # as the caller of the connector does
    now = parse_time("2026-11-20T10:00:00Z")
    assert now is not None
    snapshot = build("main", "deribit", [sheet], None, Identity.ephemeral("test"), now)
    found = {row["label"]: row for row in snapshot.api_keys or []}
    assert set(found) == {"audit_ro", "treasury", "desk_bot"}
    assert found["audit_ro"]["is_audit_key"] is True
    assert found["audit_ro"]["ip_allowlist"] == ["198.51.100.7"]
    assert not [source for source in snapshot.sources.values() if source.contradicts]


def test_every_mutation_answers_to_get_so_only_the_declared_calls_are_ever_signed() -> None:
    twin = Twin()
    collect(twin)
    assert {request.path for request in twin.requests} == {one.path for one in deribit.endpoints}
    for name in ("remove_api_key", "withdraw", "disable_tfa_for_subaccount", "add_to_address_book", "logout"):
        lookalike = Endpoint(
            **{field: getattr(deribit.KEYS, field) for field in ("verb", "host", "api", "limit", "source")},
            name=name,
            path=PRIVATE + name,
            call=name,
        )
        with pytest.raises(_gate.GateError):
            _gate.check_declared(lookalike, deribit.endpoints)
    assert not any("auth" in one.path or "token" in one.path for one in deribit.endpoints)


def test_a_spoiled_signature_is_refused_and_a_signed_request_is_good_once() -> None:
    async def ask(spoil: Callable[[str], str], times: int = 1) -> list[int]:
        async with Twin() as twin, aiohttp.ClientSession() as session:
            held = {name: Secret(value) for name, value in twin.sample_credentials().items()}
            signed = Signer("deribit", held, twin.url).sign(deribit.KEYS, {})
            headers = {**signed.headers, "Authorization": spoil(signed.headers["Authorization"])}
            found = []
            for _ in range(times):
                async with session.get(signed.url, headers=headers) as response:
                    found.append(response.status)
            return found

    def flipped(header: str) -> str:
        at = header.index("sig=") + 4
        return header[:at] + ("1" if header[at] == "0" else "0") + header[at + 1 :]

    assert asyncio.run(ask(flipped)) == [401]
    assert asyncio.run(ask(lambda header: header.replace("nonce=", "nonce=9"))) == [401]
    assert asyncio.run(ask(lambda _header: "")) == [400]
    assert asyncio.run(ask(lambda header: header, times=2)) == [200, 401]


# Secrets and personal data


def test_client_secrets_and_personal_data_are_dropped_at_the_door() -> None:
    twin = Twin()
    sheet = collect(twin)
    served = json.dumps([twin.rows, twin.book])
    for secret in [key.secret for key in twin.sample_keys()]:
        assert secret in served
        assert secret not in repr(sheet)
    for word in ("Alice", "Example", "owner", "example.org", "proof", "Amsterdam", "deribit.com"):
        assert word not in repr(sheet)


@pytest.mark.parametrize("secret", ["CANARY-SECRET-9", ["CANARY-SECRET-9"], {"CANARY-SECRET-9": 1}])
@pytest.mark.parametrize("spoiled", ["client_id", "name", "max_scope", "ip_whitelist", "enabled"])
def test_a_misshapen_key_does_not_carry_its_secret_into_a_problem(secret: Any, spoiled: str) -> None:
    row = {
        "client_id": "Ab12Cd34",
        "client_secret": secret,
        "name": "x",
        "max_scope": "",
        "ip_whitelist": [],
        spoiled: {},
    }
    sheet = collect(Twin(), prepare=answered("list_api_keys", [row]))
    assert shown(sheet, "api_keys") or sheet.problems
    assert "CANARY" not in repr(sheet)


def test_no_whole_key_id_stands_in_an_event() -> None:
    assert "Qw72mLrb" not in repr(collect(Twin()).rows["event"])


# A second factor


def test_an_answer_that_asks_for_a_second_factor_arrives_as_success_and_is_none() -> None:
    twin = Twin()
    twin.challenge = True
    sheet = collect(twin)
    assert shown(sheet, "account.key_inventory_complete") == ["permission_denied"]
    assert "key_inventory_complete" not in sheet.account
    assert [row.get("label") for row in sheet.rows["api_key"] or []] == [None]  # the calling key alone
    assert "demo-challenge" not in repr(sheet)
    assert "master_key_over_subaccounts" not in sheet.account


@pytest.mark.parametrize("flag", [True, "true", 1, None, "yes"])
def test_the_demand_is_one_however_it_is_spelled(flag: Any) -> None:
    body = {"jsonrpc": "2.0", "result": {"security_key_authorization_required": flag}}
    assert reason_of(Answer(status=200, body=body, text="", headers={})) == "permission_denied"


@pytest.mark.parametrize(
    ("assigned", "login", "step_up", "withdrawal"),
    [
        (["login", "account", "wallet"], True, True, True),
        (["login", "account", "wallet", "admin"], True, True, True),
        (["account", "wallet"], False, True, True),
        (["login", "wallet"], True, False, True),
        (["login", "account"], True, False, False),
        ([], False, False, False),
        (["everything"], None, None, None),
        (["login", "everything"], True, None, None),
        (["everything", "account", "wallet"], None, True, True),
    ],
)
def test_security_keys_guard_what_they_are_assigned_to(
    assigned: list[str], login: bool | None, step_up: bool | None, withdrawal: bool | None
) -> None:
    facts = account_with(*assigned).account
    names = ("login_needs_second_factor", "step_up_needs_second_factor", "allowlisted_withdrawal_needs_factor")
    assert tuple(facts.get(name) for name in names) == (login, step_up, withdrawal)


@pytest.mark.parametrize("spoiled", [None, "login", {"login": True}, [1], ...])
def test_assignments_of_another_shape_are_unknown_and_not_none(spoiled: Any) -> None:
    row = {"id": 90210, "type": "main", "security_keys_assignments": spoiled, "tfa_enabled": False}
    sheet = collect(Twin(), prepare=answered("get_subaccounts", [{k: v for k, v in row.items() if v is not ...}]))
    assert "login_needs_second_factor" not in sheet.account
    assert shown(sheet, "account.login_needs_second_factor") == ["malformed_response"]


def test_another_accounts_assignments_are_not_this_ones() -> None:
    sheet = account_with("login", "account", "wallet", id=90999)
    assert "login_needs_second_factor" not in sheet.account
    assert shown(sheet, "account.login_needs_second_factor") == ["implausible_response"]


def test_an_account_that_was_not_shown_is_not_looked_for_in_the_list() -> None:
    sheet = collect(Twin(), prepare=lambda twin: twin.fail(Refusal.MAINTENANCE, deribit.SUMMARY.path))
    assert shown(sheet, "account.login_needs_second_factor") == ["not_collected"]
    assert shown(sheet, "account.kind") == ["venue_maintenance"]
    assert sheet.account["key_inventory_complete"] is True


def test_the_old_name_of_the_flag_is_a_fallback_only() -> None:
    assert summary(security_keys_enabled=..., tfa_enabled=True).account["two_factor_enabled"] is True
    assert summary(security_keys_enabled=False, tfa_enabled=True).account["two_factor_enabled"] is False
    missing = summary(security_keys_enabled=...)
    assert "two_factor_enabled" not in missing.account
    assert shown(missing, "account.two_factor_enabled") == ["malformed_response"]


# Sub-accounts


def test_a_sub_account_says_so_and_withdraws_nothing() -> None:
    rows = [
        {"id": 90210, "type": "main"},
        {"id": 90211, "type": "subaccount", "security_keys_assignments": []},
    ]

    def prepare(twin: TwinVenue) -> None:
        answered("get_account_summary", {**SUB, "login_enabled": True})(twin)
        answered("get_subaccounts", rows)(twin)

    sheet = collect(Twin(), prepare=prepare)
    assert sheet.account["kind"] == "sub"
    assert sheet.account["login_enabled"] is True
    assert sheet.account["parent"] == "…0210"
    assert sheet.account["login_needs_second_factor"] is False
    assert sheet.account["master_key_over_subaccounts"] is False
    treasury = next(row for row in sheet.rows["api_key"] or [] if row.get("label") == "treasury")
    assert (treasury["can_withdraw"], treasury["can_transfer"]) == (False, True)


SUB = {
    "id": 90211,
    "type": "subaccount",
    "security_keys_enabled": False,
    "interuser_transfers_enabled": False,
    "creation_timestamp": 1650000000000,
}


@pytest.mark.parametrize("kind", ["custody", "MAIN", "", 1, None, ...])
def test_an_unknown_kind_of_account_leaves_the_right_to_withdraw_unknown(kind: Any) -> None:
    sheet = summary(type=kind)
    assert "kind" not in sheet.account
    assert "login_enabled" not in sheet.account
    treasury = next(row for row in sheet.rows["api_key"] or [] if row.get("label") == "treasury")
    assert "can_withdraw" not in treasury
    assert treasury["can_transfer"] is True


@pytest.mark.parametrize(
    ("scopes", "enabled", "over"),
    [
        (["wallet:read_write"], True, True),
        (["wallet:read_write"], False, False),
        (["wallet:read_write"], ..., None),
        (["wallet:read", "trade:read_write"], True, False),
        (["wallet:everything"], True, None),
    ],
)
def test_one_enabled_key_that_moves_funds_rules_the_sub_accounts(
    scopes: list[str], enabled: Any, over: bool | None
) -> None:
    row = {"client_id": "Ab12Cd34", "name": "x", "max_scope": scopes, "ip_whitelist": [], "enabled": enabled}
    rows = [{name: value for name, value in row.items() if value is not ...}]
    assert collect(Twin(), prepare=answered("list_api_keys", rows)).account.get("master_key_over_subaccounts") is over


def test_without_sub_accounts_no_key_rules_any() -> None:
    assert account_with("login").account["master_key_over_subaccounts"] is False


# Keys. In the table: read, trade, derivatives, transfer, withdraw, manage; None is unknown.


@pytest.mark.parametrize(
    ("scope", "powers"),
    [
        ("account:read block_trade:none trade:none wallet:read", (True, *[False] * 5)),
        (["account:read", "wallet:none"], (True, *[False] * 5)),
        ("wallet:read_write", (True, False, False, True, True, False)),
        ("account:read_write", (True, False, False, False, False, True)),
        ("trade:read_write account:read", (True, True, True, False, False, False)),
        ("block_trade:read_write", (True, True, True, False, False, False)),
        ("block_rfq:read_write", (True, True, True, False, False, False)),
        ("trade:read", (True, *[False] * 5)),
        ("trade:none wallet:none", (False,) * 6),
        ("trade:none trade:read_write", (True, True, True, False, False, False)),
        ("", (None,) * 6),
        ([], (None,) * 6),
        ("account:read custody:read_write", (True, *[None] * 5)),
        ("account:read wallet:write", (True, *[None] * 5)),
        ("account:read wallet", (True, *[None] * 5)),
        ("wallet:read_write mainaccount", (True, None, None, True, True, None)),
        ("ACCOUNT:READ_WRITE", (None,) * 6),
    ],
)
def test_scopes_are_text_or_a_list_and_a_word_we_do_not_know_may_open_anything(
    scope: Any, powers: tuple[bool | None, ...]
) -> None:
    key = listed(max_scope=scope)
    assert tuple(key.get(name) for name in POWERS) == powers


@pytest.mark.parametrize("scope", [None, {"wallet": "read"}, 7, [None], ...])
def test_a_scope_of_another_shape_is_unknown(scope: Any) -> None:
    assert not set(POWERS) & listed(max_scope=scope).keys()


@pytest.mark.parametrize(
    ("addresses", "ip_bound"),
    [([], False), ([""], False), (["*"], False), ("", False), (["203.0.113.10"], True), ("203.0.113.10", True)],
)
def test_addresses_bind_a_key(addresses: Any, ip_bound: bool) -> None:
    assert listed(ip_whitelist=addresses)["ip_bound"] is ip_bound


@pytest.mark.parametrize("addresses", [..., None])
def test_a_list_of_addresses_that_is_left_out_proves_nothing(addresses: Any) -> None:
    assert "ip_bound" not in listed(ip_whitelist=addresses)


@pytest.mark.parametrize("addresses", [7, [None], {"203.0.113.10": 1}, False])
def test_an_odd_list_of_addresses_is_unknown(addresses: Any) -> None:
    key = listed(ip_whitelist=addresses)
    assert "ip_bound" not in key
    assert key["can_read"] is True


@pytest.mark.parametrize(
    ("enabled", "fact"), [(True, True), (False, False), ("false", False), (..., None), (None, None), ("maybe", None)]
)
def test_enabled_may_be_left_out_and_is_then_unknown(enabled: Any, fact: bool | None) -> None:
    assert listed(enabled=enabled).get("enabled") is fact


@pytest.mark.parametrize(
    ("pem", "kind"),
    [
        (None, "hmac"),
        (..., None),
        ("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAexampleexampleexample=\n-----END PUBLIC KEY-----", None),
        (7, None),
    ],
)
def test_a_key_with_a_public_half_is_not_an_hmac_key(pem: Any, kind: str | None) -> None:
    assert listed(public_key=pem).get("kind") == kind


def test_timestamp_is_creation_or_last_change_and_is_written_as_neither() -> None:
    assert not {"created_at", "modified_at"} & listed(client_id="Other123", timestamp=1760011223344).keys()


def test_a_key_whose_making_is_in_the_log_is_as_old_as_that_line() -> None:
    found = {row.get("label"): row for row in collect(Twin()).rows["api_key"] or []}
    assert found["treasury"]["created_at"] == "2025-11-18T21:11:40Z"
    assert "created_at" not in found["desk_bot"]


@pytest.mark.parametrize("spoiled", [{}, {"client_id": None}, "Zx81kQpa", None, {"client_id": 7}])
def test_a_key_that_cannot_be_read_leaves_the_inventory_open(spoiled: Any) -> None:
    twin = Twin()
    twin.rows = [*twin.rows, spoiled]
    sheet = collect(twin)
    assert "key_inventory_complete" not in sheet.account
    assert {row.get("label") for row in sheet.rows["api_key"] or []} >= {"treasury", "desk_bot"}
    assert shown(sheet, "account.key_inventory_complete") == ["malformed_response"]


def test_an_empty_list_of_keys_contradicts_the_key_that_asked() -> None:
    sheet = collect(Twin(), prepare=answered("list_api_keys", []))
    assert "key_inventory_complete" not in sheet.account
    assert "master_key_over_subaccounts" not in sheet.account
    assert shown(sheet, "account.key_inventory_complete") == ["implausible_response"]


# The log


def log_of(result: Any) -> Sheet:
    return collect(Twin(), prepare=answered("get_access_log", result))


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("success", "login"),
        ("failure", "login_failed"),
        ("changed_password", "password_changed"),
        ("changed_email", "settings_changed"),
        ("enabled_tfa", "two_factor_enabled"),
        ("disabled_tfa", "two_factor_disabled"),
        ("enabled_subaccount_login", "settings_changed"),
        ("disabled_subaccount_login", "settings_changed"),
        ("new_api_key", "api_key_created"),
        ("removed_api_key", "api_key_removed"),
        ("changed_scope", "api_key_changed"),
        ("changed_whitelist", "api_key_changed"),
        ("disabled_api_key", "api_key_changed"),
        ("enabled_api_key", "api_key_changed"),
        ("reset_api_key", "api_key_changed"),
        ("something_new", "other"),
    ],
)
def test_the_name_of_a_line_stands_in_log_or_in_result_and_unknown_ones_are_kept(
    name: str, kind: str, wrapped: bool
) -> None:
    lines: list[Any] = [
        {"id": 2, "timestamp": 1763400000000, "ip": "192.0.2.9", "country": "Unknown", "log": name, "data": {}},
        {"id": 1, "timestamp": 1763300000000, "ip": "192.0.2.9", "country": "Peru", "result": name, "data": "x"},
    ]
    sheet = log_of({"records_total": 2, "data": lines} if wrapped else lines)
    assert not shown(sheet, "events")
    events = sheet.rows["event"] or []
    assert [event["kind"] for event in events] == [kind, kind]
    assert [event["text"] for event in events] == [name, name]
    assert [event.get("country") for event in events] == [None, "Peru"]
    assert sheet.account.get("events_cover_from") == "2025-11-16T13:33:20Z"


def test_the_log_is_read_to_its_end_whatever_a_page_holds() -> None:
    twin = Twin()
    twin.page = 100
    twin.log = [
        {"id": 1000 - number, "timestamp": 1763500000000 - number * 1000, "ip": "192.0.2.9", "log": "success"}
        for number in range(450)
    ]
    sheet = collect(twin)
    assert len(sheet.rows["event"] or []) == 450
    assert sheet.account["events_cover_from"] == "2025-11-18T20:59:11Z"
    assert sheet.account["last_login_at"] == "2025-11-18T21:06:40Z"


def test_an_endless_log_is_given_up_and_proves_no_start() -> None:
    twin = Twin()
    served = iter(range(10**6))

    def endless(_request: Any, _key: Any) -> dict[str, Any]:
        line = {"id": next(served), "timestamp": 1763500000000, "ip": "192.0.2.9", "log": "success"}
        return {"jsonrpc": "2.0", "result": {"records_total": 10**9, "data": [line]}}

    twin.signed["GET", deribit.LOG.path] = endless
    sheet = collect(twin)
    assert shown(sheet, "account.events_cover_from") == ["not_collected"]
    assert "events_cover_from" not in sheet.account
    assert len(sheet.rows["event"] or []) == 20


def test_an_empty_log_covers_nothing_and_says_never_of_nothing() -> None:
    sheet = log_of({"records_total": 0, "data": []})
    assert sheet.rows["event"] == []
    names = {"events_cover_from", "last_login_at", "password_ever_changed", "two_factor_ever_changed"}
    assert not names & sheet.account.keys()


@pytest.mark.parametrize("spoiled", [{"timestamp": "soon"}, {"timestamp": 0}, {}, None, "line", {"timestamp": None}])
def test_a_line_without_a_time_leaves_the_start_of_the_log_open(spoiled: Any) -> None:
    fine = {"id": 2, "timestamp": 1763400000000, "ip": "192.0.2.9", "log": "success"}
    sheet = log_of({"records_total": 2, "data": [fine, spoiled]})
    assert len(sheet.rows["event"] or []) == 1
    assert "events_cover_from" not in sheet.account


# The address book


def test_the_address_book_is_read_for_every_currency_the_exchange_names() -> None:
    twin = Twin()
    sheet = collect(twin)
    asked = [dict(request.query) for request in twin.requests if request.path == deribit.ADDRESSES.path]
    assert asked == [{"currency": name, "type": "withdrawal"} for name in ("BTC", "ETH", "USDC")]
    assert sheet.rows["address"] == [
        {
            "asset": "BTC",
            "label": "cold",
            "state": "active",
            "created_at": "2025-11-13T02:13:20Z",
            "active_from": "2025-11-16T02:13:20Z",
            "public_id": "bc1qdemo0demo0demo0demo0demo0demo0demo01",
        },
        {
            "asset": "ETH",
            "label": "",
            "state": "pending",
            "created_at": "2025-11-18T21:13:20Z",
            "active_from": "2025-11-18T21:13:20Z",
            "public_id": "0xDEMO000000000000000000000000000000000001",
        },
    ]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("ready", "active"),
        ("waiting", "pending"),
        ("confirmed", None),
        ("admin_locked", None),
        ("new", None),
        (1, None),
    ],
)
def test_only_a_ready_address_is_active(status: Any, state: str | None) -> None:
    twin = Twin()
    twin.book = [{**twin.book[0], "status": status, "waiting_timestamp": True}]
    [row] = collect(twin).rows["address"] or []
    assert row.get("state") == state
    assert "active_from" not in row
    assert "skips_second_factor" not in row


def test_a_key_without_wallet_read_is_told_once() -> None:
    twin = Twin()
    key = twin.sample_keys()[2]
    sheet = collect(twin, credentials={"apiKey": key.api_key, "secret": key.secret})
    assert [request.path for request in twin.requests].count(deribit.ADDRESSES.path) == 1
    assert sheet.rows["address"] is None
    assert shown(sheet, "account.addresses_complete") == ["permission_denied"]


def test_the_book_is_not_whole_where_one_currency_or_the_list_of_them_failed() -> None:
    for prepare in (
        lambda twin: twin.public.update({("GET", deribit.CURRENCIES.path): lambda _request: {"result": {}}}),
        lambda twin: twin.book.append({"currency": "ETH", "type": "withdrawal"}),
        lambda twin: twin.public.update(
            {("GET", deribit.CURRENCIES.path): lambda _request: {"result": [{"currency": f"C{n}"} for n in range(99)]}}
        ),
    ):
        sheet = collect(Twin(), prepare=prepare)
        assert "addresses_complete" not in sheet.account
        assert shown(sheet, "account.addresses_complete")
        assert sheet.rows["address"]


# Locks and status


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([{"currency": "BTC", "locked": False}], "normal"),
        ([{"currency": "BTC", "locked": True, "enabled": True}, {"currency": "ETH", "locked": False}], "restricted"),
        ([{"currency": "BTC", "enabled": True}], "restricted"),
        ([{"currency": "BTC", "enabled": "false"}], "normal"),
        ([{"currency": "BTC", "enabled": False, "locked": True}], None),
        ([{"currency": "BTC"}], None),
        ([], None),
        ({}, None),
    ],
)
def test_locked_and_enabled_both_mean_locked(rows: Any, status: str | None) -> None:
    sheet = collect(Twin(), prepare=answered("get_user_locks", rows))
    assert sheet.account.get("status") == status
    assert bool(shown(sheet, "account.status")) is (status is None)


@pytest.mark.parametrize(
    ("locked", "status"),
    [
        ("false", "ok"),
        (False, "ok"),
        ("true", "maintenance"),
        (True, "maintenance"),
        ("partial", "degraded"),
        ("perhaps", None),
        (None, None),
        (["false"], None),
    ],
)
def test_status_is_text_or_a_yes_or_no_and_partial_is_no_maintenance(locked: Any, status: str | None) -> None:
    twin = Twin()
    twin.locked = locked
    sheet = collect(twin)
    assert sheet.venue.get("status") == status
    assert ("status" in reasons(sheet)) is (status is None)


# Codes


@pytest.mark.parametrize(
    ("code", "reason"), [(code, reason) for reason, codes in CODES.items() for code in codes.split()]
)
@pytest.mark.parametrize("status", [200, 400, 401])
def test_every_code_means_what_deribit_says(code: str, reason: str, status: int) -> None:
    for spelled in (code, int(code)):
        found = deribit.classify(error(spelled, status=status), deribit.KEYS)
        assert found is not None and found.reason.value == reason
        assert found.lockout is (reason in {"invalid_key", "account_frozen", "ip_not_allowed"})
        assert found.retry is (reason in {"venue_maintenance", "venue_incident", "rate_limited"})


def test_the_table_holds_no_code_that_is_not_tested() -> None:
    assert {word for word in deribit._FAILURES if word.isdigit()} == {
        code for codes in CODES.values() for code in codes.split()
    }


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        (10001, "invalid_credentials", "invalid_key"),  # the newer page; a general error in the older table
        (10001, "error", "malformed_response"),
        (13009, "system_maintenance", "venue_maintenance"),
        (11051, "unauthorized", "venue_maintenance"),
        (13004, "temporarily_unavailable", "venue_maintenance"),
        (99999, "too_many_requests", "rate_limited"),
        (-32602, "Invalid params", "malformed_response"),
    ],
)
def test_code_and_message_are_trusted_together_and_an_outage_before_a_bad_key(
    code: int, message: str, reason: str
) -> None:
    assert reason_of(error(code, message)) == reason


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("invalid_token", "invalid_key"),
        ("bad_signature", "invalid_key"),
        ("ip_not_in_whitelist", "ip_not_allowed"),
        ("invalid_ip", "ip_not_allowed"),
        ("bad_timestamp", "clock_skew"),
        ("nonce_reused", "clock_skew"),
        ("recipient", "invalid_key"),
        (None, "invalid_key"),
    ],
)
@pytest.mark.parametrize("code", [13009, 13004, 10000])
def test_a_foreign_address_or_clock_is_told_by_the_reason_where_there_is_one(
    code: int, why: str | None, reason: str
) -> None:
    assert reason_of(error(code, "unauthorized", 401, why)) == reason


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"result": []}, 200, None),
        ({"error": None, "result": {}}, 200, None),
        ({"result": {"security_key_authorization_required": False}}, 200, None),
        ({}, 200, "malformed_response"),
        ([], 200, "malformed_response"),
        ({"error": "unauthorized"}, 200, "malformed_response"),
        ({"error": {"code": True}}, 503, "venue_maintenance"),
        ({"error": {"code": 424242}}, 502, "venue_incident"),
        ({"error": {}}, 401, "malformed_response"),
        ({"error": {"code": None, "message": ["unauthorized"]}}, 429, "rate_limited"),
        (None, 502, None),
    ],
)
def test_what_does_not_say_success_is_none(body: Any, status: int, reason: str | None) -> None:
    assert reason_of(Answer(status=status, body=body, text="", headers={})) == reason


def test_the_venue_file_says_that_the_allow_list_is_always_on_and_guesses_no_hold() -> None:
    facts = _venue.load("deribit").policy_facts()
    assert facts["account.withdrawal_allowlist_enabled"] is True
    assert facts["venue.two_factor_methods"] == ["totp", "passkey", "hardware_key"]
    assert not [name for name in facts if "hold_" in name or "new_address" in name or "anti_phishing" in name]
