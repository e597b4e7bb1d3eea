"""HTX over the wire: each trap of the venue by name, every code and text, keys of master and sub-users, odd fields."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _transport, _venue, htx
from auditor.exchanges._base import Answer, Sheet
from auditor.exchanges._signer import Signer
from auditor.model.facts import catalogue
from auditor.redaction import Secret
from auditor.twin._base import Breakage, Refusal, TwinKey
from auditor.twin.htx import Twin
from tests.exchanges.wire import collect, reasons

CODES = {
    "venue_maintenance": "system-maintenance",
    "venue_incident": "gateway-internal-error 500",
    "rate_limited": "rate-too-many-requests base-request-exceed-frequency-limit 429",
    "invalid_key": "1003 login-required",
    "permission_denied": "1002 403",
}
POWERS = ("can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")
NONE, UNKNOWN = (False,) * 5, (None,) * 5
HEALTHY = {"account/withdraw/address": "not_collected"}
MASTER, SUB = "310044556", "310050001"


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def listed(sheet: Sheet) -> dict[str, dict[str, Any]]:
    """The rows of the lists, by label; the calling key's own row has none."""
    return {row["label"]: row for row in sheet.rows["api_key"] or [] if "label" in row}


def with_key(*, of: str = MASTER, **fields: Any) -> tuple[Sheet, dict[str, Any]]:
    """What is seen of one key that is changed so; `...` leaves a field out."""
    twin = Twin()
    place = 1 if of == MASTER else 0
    changed = {**twin.listed[of][place], **fields}
    twin.listed[of][place] = {name: value for name, value in changed.items() if value is not ...}
    sheet = collect(twin)
    rows = [row for row in sheet.rows["api_key"] or [] if not row.get("is_audit_key")]
    return sheet, [row for row in rows if row.get("sub_account") == (None if of == MASTER else SUB)][place]


def powers(row: dict[str, Any]) -> tuple[bool | None, ...]:
    return tuple(row.get(name) for name in POWERS)


def said(body: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=body, text="", headers={})


def old(code: Any, text: str = "", **more: Any) -> dict[str, Any]:
    return {"status": "error", "err-code": code, "err-msg": text, "data": None, **more}


def new(code: Any, text: str = "", **more: Any) -> dict[str, Any]:
    return {"code": code, "message": text, **more}


# The sample account


def test_the_sample_account_shows_every_key_of_master_and_sub_users() -> None:
    sheet = collect(Twin())
    assert reasons(sheet) == HEALTHY
    assert sheet.account == {"kind": "main", "key_inventory_complete": True, "master_key_over_subaccounts": True}
    assert sheet.venue == {"status": "ok"}
    assert sheet.account_id == MASTER
    assert set(listed(sheet)) == {"audit", "old bot", "expired", "grid"}
    assert listed(sheet)["audit"] == {
        "public_id": "8c1f22aa-77d0be12-aa04c3d9-d3m0a",
        "label": "audit",
        "permissions": ["readOnly"],
        "can_read": True,
        **dict.fromkeys(POWERS, False),
        "ip_bound": True,
        "ip_allowlist": ["198.51.100.7"],
        "never_expires": True,
        "enabled": True,
        "created_at": "2025-10-31T08:40:00Z",
        "modified_at": "2025-10-31T08:40:01Z",
    }
    assert powers(listed(sheet)["old bot"]) == (True,) * 5
    assert listed(sheet)["expired"]["enabled"] is False
    assert powers(listed(sheet)["grid"]) == (True, None, True, False, False)
    assert listed(sheet)["grid"]["sub_account"] == SUB
    calling = [row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")]
    assert calling == [{"is_audit_key": True, "can_read": True, "enabled": True, "kind": "hmac"}]


def test_the_calling_key_and_its_row_of_the_list_are_one_key_in_the_snapshot() -> None:
    from datetime import UTC, datetime

    from auditor import snapshots
    from auditor.identity import Identity

    sheet = collect(Twin())
    (calling,) = [row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")]
    calling["public_id"] = Twin().sample_credentials()["apiKey"]
    identity = Identity(Secret("0" * 64))
    made = snapshots.build("main-htx", "htx", [sheet], None, identity, datetime(2026, 11, 20, tzinfo=UTC))
    assert made.api_keys is not None and len(made.api_keys) == 4
    (audit,) = [row for row in made.api_keys if row.get("is_audit_key")]
    assert audit["label"] == "audit" and audit["can_trade"] is False and audit["ip_bound"] is True


def test_the_number_of_the_user_is_asked_first_and_then_the_keys_of_that_number() -> None:
    twin = Twin()
    collect(twin)
    assert twin.requests[0].path == htx.UID.path
    asked = [request.query["uid"] for request in twin.requests if request.path == htx.KEYS.path]
    assert asked == [MASTER, SUB]
    assert {request.path for request in twin.requests} == {one.path for one in htx.endpoints} - {htx.TIME.path}


# Traps


def test_an_error_under_http_200_is_an_error() -> None:
    for code in (1002, "1002", 2002, 2003, 500, 4000, 512, "1003", None):
        for more in ({}, {"data": None}, {"data": []}):
            failure = htx.classify(said(new(code, "x", **more)), htx.KEYS)
            assert failure is not None, f"{code} with {more} passed for data"
    twin = Twin()
    twin.signed[("GET", htx.KEYS.path)] = lambda _request, _key: {"code": 2002, "message": "invalid field", "data": []}
    sheet = collect(twin)
    assert not listed(sheet) and "key_inventory_complete" not in sheet.account
    assert reasons(sheet)["user/api-key"] == "malformed_response"


def test_success_says_200_and_holds_something() -> None:
    for body in (new(200, data=1), new("200", data=[]), {"status": "ok", "data": 1}, new(200, data=0)):
        assert htx.classify(said(body), htx.KEYS) is None
    for body in (
        new(200),
        new(200, data=None),
        {"status": "ok"},
        {"data": []},
        {},
        [],
        "200",
        200,
        new(True, data=1),
        new(201, data=1),
    ):
        failure = htx.classify(said(body), htx.KEYS)
        assert failure is not None and failure.reason.value == "malformed_response"
    for status, reason in (
        (403, "venue_incident"),
        (405, "malformed_response"),
        (429, "rate_limited"),
        (500, "venue_incident"),
        (503, "venue_maintenance"),
    ):
        for body in (new(200, data=1), {}, old("method-not-allowed")):
            failure = htx.classify(said(body, status), htx.KEYS)
            assert failure is not None and failure.reason.value == reason


@pytest.mark.parametrize(
    ("code", "reason"), [(code, reason) for reason, codes in CODES.items() for code in codes.split()]
)
@pytest.mark.parametrize("status", [200, 400, 403])
def test_every_code_means_what_the_venue_says_and_not_what_ccxt_makes_of_it(
    code: str, reason: str, status: int
) -> None:
    spellings = [old(code), {"status": "error", "err_code": code}, new(code)]
    for body in [*spellings, *([new(int(code)), {"status": "error", "err_code": int(code)}] if code.isdigit() else [])]:
        failure = htx.classify(said(body, status), htx.KEYS)
        assert failure is not None and failure.reason.value == reason
        assert failure.lockout is (reason == "invalid_key")
        assert failure.retry is (reason in {"venue_maintenance", "venue_incident", "rate_limited"})


def test_the_table_holds_no_code_that_is_not_tested() -> None:
    assert set(htx._FAILURES) == {code for codes in CODES.values() for code in codes.split()}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Signature not valid: Incorrect Access key [Access key错误]", "invalid_key"),
        ("Signature not valid: API key has no permission [API Key没有权限]", "permission_denied"),
        ("Signature not valid: Verification failure", "invalid_key"),
        ("Signature not valid: Invalid submission time or incorrect time format", "clock_skew"),
        ("Signature not valid: the timestamp has expired", "clock_skew"),
        ("Signature not valid: abnormal IP address", "ip_not_allowed"),
        ("Signature not valid: script", "invalid_key"),
        ("", "invalid_key"),
    ],
)
def test_one_code_means_four_things_and_only_the_text_tells(text: str, reason: str) -> None:
    for body in (
        old("api-signature-not-valid", text),
        {"status": "error", "err_code": "api-signature-not-valid", "err_msg": text},
    ):
        failure = htx.classify(said(body), htx.KEYS)
        assert failure is not None and failure.reason.value == reason


def test_403_is_a_dead_key_only_where_the_text_says_so() -> None:
    dead = htx.classify(
        said({"status": "error", "err_code": 403, "err_msg": "Incorrect Access key [Access key错误]"}), htx.UID
    )
    assert dead is not None and dead.reason.value == "invalid_key" and dead.lockout
    denied = htx.classify(said(new(403, "forbidden for sub user")), htx.KEYS)
    assert denied is not None and denied.reason.value == "permission_denied" and not denied.lockout


def test_a_sub_users_key_is_refused_the_lists_and_is_no_dead_key() -> None:
    twin = Twin()
    twin.uid = int(SUB)
    sheet = collect(twin)
    assert set(reasons(sheet).values()) == {"permission_denied"}
    assert sheet.account == {} and sheet.rows["api_key"] == [
        {"is_audit_key": True, "can_read": True, "enabled": True, "kind": "hmac"}
    ]


@pytest.mark.parametrize(
    ("permission", "master", "sub"),
    [
        ("readOnly", NONE, NONE),
        ("readOnly,trade", (True, True, True, False, True), (True, None, True, False, False)),
        ("trade,readOnly", (True, True, True, False, True), (True, None, True, False, False)),
        ("readOnly, Withdraw", (False, False, True, True, False), (False, False, True, True, False)),
        ("trade,readOnly,withdraw", (True,) * 5, (True, None, True, True, False)),
        ("readOnly,sorcery", UNKNOWN, UNKNOWN),
        ("readOnly,trade,sorcery", (True, True, True, None, True), (True, None, True, None, None)),
        ("", UNKNOWN, UNKNOWN),
    ],
)
def test_trading_is_transferring_and_a_third_word_is_no_harmless_one(permission: str, master: Any, sub: Any) -> None:
    assert powers(with_key(permission=permission)[1]) == master
    assert powers(with_key(of=SUB, permission=permission)[1]) == sub


@pytest.mark.parametrize(
    ("addresses", "bound", "shown"),
    [
        ("198.51.100.17,198.51.100.0/28", True, ["198.51.100.17", "198.51.100.0/28"]),
        ("2001:db8::1", True, ["2001:db8::1"]),
        ("", False, []),
        (" , ", False, []),
        ("0.0.0.0/0", False, ["0.0.0.0/0"]),
        ([], False, []),
        (None, None, None),
        (..., None, None),
        (7, None, None),
    ],
)
def test_an_empty_list_of_addresses_binds_nothing_and_a_missing_one_is_unknown(
    addresses: Any, bound: Any, shown: Any
) -> None:
    row = with_key(ipAddresses=addresses)[1]
    assert (row.get("ip_bound"), row.get("ip_allowlist")) == (bound, shown)


@pytest.mark.parametrize(
    ("fields", "never"),
    [
        ({"validDays": -1, "ipAddresses": "198.51.100.1"}, True),
        ({"validDays": -1, "ipAddresses": "", "permission": "readOnly"}, True),
        ({"validDays": -1, "ipAddresses": ""}, None),
        ({"validDays": -1, "ipAddresses": "", "permission": "readOnly,sorcery"}, None),
        ({"validDays": "-1", "ipAddresses": "198.51.100.1"}, True),
        ({"validDays": 41}, False),
        ({"validDays": 0}, False),
        ({"validDays": -2}, None),
        ({"validDays": None}, None),
        ({"validDays": ...}, None),
        ({"validDays": "soon"}, None),
    ],
)
def test_permanent_is_minus_one_and_an_unbound_key_that_trades_dies_of_disuse(
    fields: dict[str, Any], never: bool | None
) -> None:
    row = with_key(**fields)[1]
    assert row.get("never_expires") is never and "expires_at" not in row


@pytest.mark.parametrize(
    ("status", "enabled"),
    [("normal", True), ("expired", False), ("other", None), ("", None), (None, None), (..., None)],
)
def test_status(status: Any, enabled: bool | None) -> None:
    assert with_key(status=status)[1].get("enabled") is enabled


@pytest.mark.parametrize(("state", "enabled"), [("normal", True), ("lock", None), (None, None), (7, None)])
def test_keys_of_a_locked_sub_user_are_neither_on_nor_off(state: Any, enabled: bool | None) -> None:
    twin = Twin()
    twin.sub_users = [{"uid": int(SUB), "userState": state}]
    assert listed(collect(twin))["grid"].get("enabled") is enabled


@pytest.mark.parametrize("odd", [..., None, 7.5, [], {}, True])
@pytest.mark.parametrize(
    ("field", "lost"),
    [
        ("note", {"label"}),
        ("permission", {*POWERS, "permissions", "can_read"}),
        ("createTime", {"created_at"}),
        ("updateTime", {"modified_at"}),
        ("accessKey", {"public_id"}),
    ],
)
def test_a_missing_or_odd_field_costs_only_itself(field: str, odd: Any, lost: set[str]) -> None:
    whole, (sheet, row) = listed(collect(Twin()))["old bot"], with_key(**{field: odd})
    assert row == {name: value for name, value in whole.items() if name not in lost}
    assert reasons(sheet)["user/api-key"] == "malformed_response"
    assert ("key_inventory_complete" in sheet.account) is (field != "accessKey")


# Completeness


@pytest.mark.parametrize("odd", [7, None, [], "x"])
def test_one_odd_key_hides_no_other_and_leaves_the_list_incomplete(odd: Any) -> None:
    for place in (MASTER, SUB):
        twin = Twin()
        twin.listed[place].insert(0, odd)
        sheet = collect(twin)
        assert set(listed(sheet)) == {"audit", "old bot", "expired", "grid"}
        assert "key_inventory_complete" not in sheet.account


def test_an_empty_list_lacks_at_least_the_key_that_asked() -> None:
    twin = Twin()
    twin.listed[MASTER] = []
    sheet = collect(twin)
    assert reasons(sheet)["user/api-key"] == "malformed_response"
    assert "key_inventory_complete" not in sheet.account and "kind" not in sheet.account


@pytest.mark.parametrize("path", [htx.KEYS.path, htx.SUBS.path, htx.UID.path])
@pytest.mark.parametrize("how", [Refusal.MISSING_PERMISSION, Refusal.MAINTENANCE, Breakage.EMPTY])
def test_what_was_not_read_is_not_complete(path: str, how: Refusal | Breakage) -> None:
    twin = Twin()
    twin.fail(how, path)
    sheet = collect(twin)
    assert "key_inventory_complete" not in sheet.account
    assert "master_key_over_subaccounts" not in sheet.account


@pytest.mark.parametrize(
    ("permission", "over"),
    [("readOnly", False), ("readOnly,trade", True), ("readOnly,sorcery", None), ("readOnly,withdraw", True)],
)
def test_all_keys_being_known_none_may_be_over_the_sub_users(permission: str, over: bool | None) -> None:
    assert with_key(permission=permission)[0].account.get("master_key_over_subaccounts") is over


def test_without_sub_users_no_key_is_over_them() -> None:
    twin = Twin()
    twin.sub_users = []
    sheet = collect(twin)
    assert sheet.account["master_key_over_subaccounts"] is False and sheet.account["key_inventory_complete"] is True


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
def test_sub_users_are_read_to_the_last_page(count: int) -> None:
    twin = Twin()
    twin.sub_users = [{"uid": 1000 + number, "userState": "normal"} for number in range(count)]
    twin.listed |= {str(1000 + number): [{**twin.listed[SUB][0], "note": f"k{number}"}] for number in range(count)}
    sheet = collect(twin)
    assert len(listed(sheet)) == count + 3 and sheet.account["key_inventory_complete"] is True
    assert reasons(sheet) == HEALTHY


def test_pages_without_an_end_are_given_up() -> None:
    for path in (htx.SUBS.path, htx.ADDRESSES.path):
        twin = Twin()
        rows = twin.sub_users if path == htx.SUBS.path else twin.book * 500
        twin.signed[("GET", path)] = lambda _request, _key, rows=rows: {"code": 200, "data": rows, "nextId": 7}
        sheet = collect(twin)
        assert "malformed_response" in {problem.reason.value for problem in sheet.problems}
        assert sum(request.path == path for request in twin.requests) <= 21
        assert ("key_inventory_complete" in sheet.account) is (path != htx.SUBS.path)


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1100])
def test_saved_addresses_are_read_to_the_last_page_and_never_complete(count: int) -> None:
    twin = Twin()
    twin.book = [{**twin.book[0], "address": f"T{number}"} for number in range(count)]
    sheet = collect(twin)
    assert sheet.rows["address"] is not None and len(sheet.rows["address"]) == count
    assert "addresses_complete" not in sheet.account
    (problem,) = sheet.problems
    assert {"addresses", "account.addresses_complete"} <= set(problem.facts)


@pytest.mark.parametrize(
    ("state", "status"),
    [(1, "ok"), (2, "maintenance"), (3, "degraded"), ("1", "ok"), (4, None), (None, None), (True, None)],
)
def test_cancel_only_is_not_maintenance(state: Any, status: str | None) -> None:
    twin = Twin()
    twin.market = state
    sheet = collect(twin)
    assert sheet.venue.get("status") == status and ("market-status" in reasons(sheet)) is (status is None)


# Signature, clock, secrets


@pytest.mark.parametrize("name", ["apiKey", "secret"])
def test_a_spoiled_signature_is_refused(name: str) -> None:
    good = Twin().sample_credentials()
    assert reasons(collect(Twin(), credentials=good)) == HEALTHY
    assert set(reasons(collect(Twin(), credentials={**good, name: "spoiled-value"})).values()) == {"invalid_key"}


def test_a_parameter_that_was_not_signed_is_refused() -> None:
    async def run() -> Any:
        import aiohttp

        async with Twin() as twin, aiohttp.ClientSession() as session:
            held = {name: Secret(value) for name, value in twin.sample_credentials().items()}
            request = Signer("htx", held, twin.url).sign(htx.KEYS, {"uid": MASTER})
            async with session.get(request.url + "&accessKey=x", headers=request.headers) as answered:
                return await answered.json()

    assert asyncio.run(run())["err-code"] == "api-signature-not-valid"


def test_an_address_that_is_not_in_the_list_is_not_a_bad_key() -> None:
    twin = Twin()
    twin.caller = "203.0.113.99"
    assert set(reasons(collect(twin)).values()) == {"ip_not_allowed"}


@pytest.mark.parametrize("seconds", [-3600, 95, 7200])
def test_a_wrong_clock_is_not_a_bad_key_and_is_learnt_once(seconds: int) -> None:
    twin = Twin()
    twin.clock_ahead = timedelta(seconds=seconds)
    assert reasons(collect(twin)) == HEALTHY
    assert sum(request.path == htx.TIME.path for request in twin.requests) == 1


def test_no_credential_is_in_a_problem_though_the_key_is_in_every_url() -> None:
    held = {"apiKey": "CANARYKEY0123456789", "secret": "CANARYSECRET0123456789"}
    text = " ".join(held.values())
    for how in (None, *Breakage, *Refusal):
        twin = Twin()
        twin.keys = {held["apiKey"]: TwinKey(api_key=held["apiKey"], secret=held["secret"])}
        twin.signed = {
            place: lambda request, _key: new(text, f"{text} {request.url}", data=[text]) for place in twin.signed
        }
        if how is not None:
            twin.fail(how)
        sheet = collect(twin, credentials=held, deadline=0.05)
        assert sheet.problems and not any(canary in repr(sheet) for canary in held.values())


def test_personal_words_are_masked() -> None:
    sheet, row = with_key(note="of jane.doe@mail.example")
    assert "mail.example" not in repr([sheet.account, sheet.rows, sheet.problems]) and row["label"].startswith("of j")


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(max_size=8)
    | st.sampled_from(["", "trade", "-1", "*", "\ud800"])
)
ODD = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.text(max_size=4), LEAVES, max_size=3)
FIELDS = sorted({*Twin().listed[MASTER][0], *Twin().book[0], "uid", "userState", "data", "nextId", "marketStatus"})


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=6))
def test_no_answer_whatsoever_raises_or_writes_a_malformed_fact(fields: dict[str, Any]) -> None:
    twin = Twin()
    inner = {name: value for name, value in fields.items() if name not in {"data", "nextId"}}
    outer = {name: value for name, value in fields.items() if name in {"data", "nextId"}}

    class Stub:
        async def fetch(self, endpoint: Any, params: Any = None) -> Any:
            data: Any = {
                htx.UID: 310044556,
                htx.KEYS: [twin.listed[MASTER][0], {**twin.listed[MASTER][1], **inner}],
                htx.SUBS: [{**twin.sub_users[0], **inner}],
                htx.ADDRESSES: [{**twin.book[0], **inner}],
                htx.STATUS: {"marketStatus": 1, **inner},
            }[endpoint]
            return {"code": 200, "data": data, **outer}

    sheet = Sheet()
    asyncio.run(htx.collect(Stub(), sheet))
    rows = [(scope, one) for scope in ("api_key", "address") for one in sheet.rows[scope] or []]
    for scope, facts in (("account", sheet.account), ("venue", sheet.venue), *rows):
        for name, value in facts.items():
            assert name == "public_id" or catalogue()[f"{scope}.{name}"].check(value) is None


def test_the_venue_file_guesses_nothing() -> None:
    stated = {policy.fact: policy for policy in _venue.load("htx").policies}
    for fact in (
        "venue.new_address_delay_hours",
        "venue.hold_after_password_change_hours",
        "venue.allowlist_disable_delay_hours",
    ):
        assert stated[fact].value is None
    assert stated["venue.api_withdrawal_skips_second_factor"].value is True
