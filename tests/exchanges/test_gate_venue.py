"""Gate, the exchange (the request gate has a file of its own): each trap of the venue by name, every label, odd fields."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _transport, _venue, gate
from auditor.exchanges._base import Answer, Sheet
from auditor.exchanges._signer import Signer
from auditor.model.facts import catalogue
from auditor.redaction import Secret
from auditor.twin._base import Refusal, TwinKey
from auditor.twin.gate import Twin
from tests.exchanges.wire import ALL, collect, keys, reasons

LABELS = {
    "venue_incident": "SERVER_ERROR INTERNAL",
    "venue_maintenance": "TOO_BUSY",
    "rate_limited": "TOO_MANY_REQUESTS TOO_FAST",
    "invalid_key": "INVALID_KEY INVALID_CREDENTIALS INVALID_SIGNATURE MISSING_REQUIRED_HEADER",
    "account_frozen": "ACCOUNT_LOCKED",
    "ip_not_allowed": "IP_FORBIDDEN",
    "permission_denied": "FORBIDDEN READ_ONLY API_WITHDRAW_DISABLED ADDRESS_NOT_USED USER_NOT_FOUND",
    "clock_skew": "REQUEST_EXPIRED",
}
POWERS = ("can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")
NONE, UNKNOWN = (False,) * 5, (None,) * 5
HEALTHY = {"wallet/saved_address": "not_collected"}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def row(**fields: Any) -> dict[str, Any]:
    """The old bot's key, changed; `...` leaves a field out."""
    return {name: value for name, value in {**Twin().listed[1], **fields}.items() if value is not ...}


def with_key(**fields: Any) -> tuple[Sheet, dict[str, Any]]:
    """What is seen of one other key beside the audit's."""
    twin = Twin()
    twin.listed[1:] = [row(**fields)]
    sheet = collect(twin)
    (found,) = [one for one in sheet.rows["api_key"] or [] if not one.get("is_audit_key")]
    return sheet, found


def powers(found: dict[str, Any]) -> tuple[bool | None, ...]:
    return tuple(found.get(name) for name in POWERS)


def perms(*names: str, read_only: Any = False) -> list[dict[str, Any]]:
    return [{"name": name, **({} if read_only is ... else {"read_only": read_only})} for name in names]


def answer(label: Any, status: int = 400, message: str = "") -> Answer:
    return Answer(status=status, body={"label": label, "message": message}, text="", headers={})


# The sample account


def test_the_sample_account_shows_every_key_and_who_calls() -> None:
    sheet = collect(Twin())
    assert reasons(sheet) == HEALTHY
    assert sheet.account == {"kind": "main", "key_inventory_complete": True, "master_key_over_subaccounts": False}
    assert sheet.account_id == "20114455"
    auditor, bot, locked = keys(sheet)["auditor"], keys(sheet)["old bot"], keys(sheet)["locked"]
    assert auditor == {
        "label": "auditor",
        "permissions": ["account:read_only", "wallet:read_only"],
        "can_read": True,
        **dict.fromkeys(POWERS, False),
        "ip_bound": True,
        "ip_allowlist": ["198.51.100.7"],
        "symbol_restricted": False,
        "enabled": True,
        "kind": "hmac",
        "created_at": "2025-10-31T08:40:00Z",
        "modified_at": "2025-10-31T08:48:20Z",
        "last_used_at": "2026-11-18T11:06:40Z",
        "never_used": False,
        "is_audit_key": True,
        "public_id": "a41f0c77e9b2",
    }
    assert powers(bot) == (True, False, True, True, None)
    assert bot["symbol_restricted"] is True and bot["ip_bound"] is False
    assert locked["enabled"] is False and "never_used" not in locked
    assert [one["skips_second_factor"] for one in sheet.rows["address"] or []] == [False, True]


def test_every_declared_read_is_asked() -> None:
    twin = Twin()
    twin.sub_accounts = [SUB]
    collect(twin, asked=ALL)
    declared = {one.path.replace("{user_id}", "20990001") for one in gate.endpoints}
    assert {request.path for request in twin.requests} == declared - {gate.TIME.path}
    assert {request.verb for request in twin.requests} == {"GET"}


# Traps


def test_a_verified_address_skips_the_second_factor() -> None:
    for spelled, skips in (
        ("1", True),
        ("0", False),
        (1, True),
        (True, True),
        ("", None),
        ("yes", None),
        (None, None),
        (..., None),
    ):
        twin = Twin()
        one = {name: value for name, value in {**twin.book[0], "verified": spelled}.items() if value is not ...}
        twin.book = [one]
        (found,) = collect(twin).rows["address"] or []
        assert found.get("skips_second_factor") is skips


def test_no_saved_address_in_common_currencies_is_not_an_empty_book() -> None:
    twin = Twin()
    twin.book = []
    sheet = collect(twin)
    assert sheet.rows["address"] == [] and "addresses_complete" not in sheet.account
    (problem,) = sheet.problems
    assert {"addresses", "account.addresses_complete"} <= set(problem.facts)


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_saved_addresses_are_read_to_the_last_page(count: int) -> None:
    twin = Twin()
    twin.book = [{**twin.book[0], "address": f"T{number}"} for number in range(count)]
    sheet = collect(twin)
    assert len(sheet.rows["address"] or []) == count and reasons(sheet) == HEALTHY


def test_pages_without_an_end_are_given_up() -> None:
    twin = Twin()
    twin.signed[("GET", gate.ADDRESSES.path)] = lambda _request, _key: [twin.book[0]] * 100
    sheet = collect(twin)
    assert {problem.reason.value for problem in sheet.problems} == {"malformed_response"}


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (perms("wallet"), (False, False, True, True, None)),
        (perms("spot"), (True, False, False, False, False)),
        (perms("margin"), (True, False, False, False, False)),
        (perms("futures"), (True, True, False, False, False)),
        (perms("delivery"), (True, True, False, False, False)),
        (perms("options"), (True, True, False, False, False)),
        (perms("unified"), (True, None, False, False, False)),
        (perms("copy"), (True, None, False, False, False)),
        (perms("crossx"), (True, None, False, False, False)),
        (perms("pilot"), (True, False, False, False, False)),
        (perms("alpha"), (True, False, False, False, False)),
        (perms("earn"), (None, False, False, False, False)),
        (perms("loan"), (None, False, False, False, False)),
        (perms("otc"), (None, False, None, None, False)),
        (perms("custody"), (None, False, None, None, None)),
        (perms("account"), (False, False, False, False, None)),
        (perms("account", "wallet", "spot", "futures", read_only=True), NONE),
        (perms("account", "wallet", read_only="true"), NONE),
        (perms("account", read_only=True) + perms("wallet", read_only="false"), (False, False, True, True, None)),
        (perms("wallet", read_only=...), (False, False, None, None, None)),
        (perms("wallet", read_only=True) + perms("wallet"), (False, False, True, True, None)),
        (perms("sorcery"), UNKNOWN),
        (perms("sorcery", read_only=True), UNKNOWN),
        (perms("spot", "sorcery"), (True, None, None, None, None)),
        ([], NONE),
    ],
)
def test_wallet_to_use_withdraws_and_products_that_nobody_knows_are_unknown(
    listed: Any, expected: tuple[bool | None, ...]
) -> None:
    assert powers(with_key(perms=listed)[1]) == expected


@pytest.mark.parametrize(
    "odd", [None, ..., {}, "spot", 7, [7], [{}], [{"name": 7}], [{"name": "spot", "read_only": "maybe"}]]
)
def test_odd_permissions_are_unknown(odd: Any) -> None:
    sheet, found = with_key(perms=odd)
    assert powers(found) == UNKNOWN and "permissions" not in found
    assert "malformed_response" in {problem.reason.value for problem in sheet.problems}
    assert found["label"] == "old bot" and found["ip_bound"] is False


@pytest.mark.parametrize(
    ("state", "enabled"),
    [(1, True), (2, False), (3, False), ("1", True), (4, None), (0, None), (None, None), (..., None), ([], None)],
)
def test_only_state_1_is_in_use(state: Any, enabled: bool | None) -> None:
    assert with_key(state=state)[1].get("enabled") is enabled


@pytest.mark.parametrize(
    ("listed", "bound", "shown"),
    [
        (["203.0.113.9"], True, ["203.0.113.9"]),
        ("203.0.113.9, 203.0.113.10", True, ["203.0.113.9", "203.0.113.10"]),
        ([], False, []),
        ([""], False, []),
        ("", False, []),
        (["*"], False, []),
        (["0.0.0.0/0"], False, ["0.0.0.0/0"]),
        (None, None, None),
        (..., None, None),
        ({}, None, None),
        ([7], None, None),
    ],
)
def test_addresses_of_a_key(listed: Any, bound: Any, shown: Any) -> None:
    found = with_key(ip_whitelist=listed)[1]
    assert (found.get("ip_bound"), found.get("ip_allowlist")) == (bound, shown)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z", "2023-12-31T05:20:00Z", False)),
        (
            {"created_at": "1700000000", "last_access": "1704000000"},
            ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z", "2023-12-31T05:20:00Z", False),
        ),
        ({"last_access": 1700000000}, ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z", None)),
        (
            {"update_at": ..., "updated_at": 1701000000},
            ("2023-11-14T22:13:20Z", "2023-11-26T12:00:00Z", "2023-12-31T05:20:00Z", False),
        ),
        ({"last_access": 0}, ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z", None, None)),
        ({"last_access": ...}, ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z", None, None)),
        ({"created_at": "soon"}, (None, "2023-11-14T22:13:20Z", "2023-12-31T05:20:00Z", None)),
        ({"created_at": 1700000000000}, (None, "2023-11-14T22:13:20Z", "2023-12-31T05:20:00Z", None)),
    ],
)
def test_times_are_seconds_as_number_or_text_and_a_use_at_creation_proves_none(
    fields: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    found = with_key(**fields)[1]
    assert tuple(found.get(name) for name in ("created_at", "modified_at", "last_used_at", "never_used")) == expected


@pytest.mark.parametrize(
    ("key", "id_"),
    [
        ("77d0be12aa04*****", "77d0be12aa04"),
        ("77d0be12aa04ffffffffffffffffffff", "77d0be12aa04"),
        ({"mode": 1}, None),
        (..., None),
        ("77d0*****", None),
        ("*****", None),
    ],
)
def test_the_id_is_masked_text_or_an_object_or_missing(key: Any, id_: str | None) -> None:
    assert with_key(key=key)[1].get("public_id") == id_


# Which key calls


def test_two_keys_that_fit_leave_open_which_of_them_calls() -> None:
    twin = Twin()
    twin.listed.append({**twin.listed[0], "name": "twin of it", "key": "ffffffffffff*****"})
    sheet = collect(twin)
    assert not [one for one in sheet.rows["api_key"] or [] if "is_audit_key" in one]
    assert reasons(sheet)["account/main_keys"] == "not_exposed"
    assert sheet.account["key_inventory_complete"] is True


@pytest.mark.parametrize(
    "fields",
    [{"mode": 2}, {"currency_pairs": ["BTC_USDT"]}, {"state": 2}, {"perms": perms("spot")}, {"ip_whitelist": []}],
)
def test_a_key_that_differs_in_one_thing_does_not_call(fields: dict[str, Any]) -> None:
    twin = Twin()
    twin.listed.append({**twin.listed[0], "name": "other", "key": "ffffffffffff*****", **fields})
    sheet = collect(twin)
    assert [one["label"] for one in sheet.rows["api_key"] or [] if one.get("is_audit_key")] == ["auditor"]


def test_a_list_without_the_calling_key_is_not_complete() -> None:
    for listed in ([], Twin().listed[1:]):
        twin = Twin()
        twin.listed = listed
        sheet = collect(twin)
        assert "key_inventory_complete" not in sheet.account
        assert reasons(sheet)["account/main_keys"] == "implausible_response"


def test_one_odd_key_hides_no_other_and_leaves_the_list_incomplete() -> None:
    for odd in (7, None, [], "x"):
        twin = Twin()
        twin.listed.insert(1, odd)
        sheet = collect(twin)
        assert {"auditor", "old bot", "locked"} == set(keys(sheet))
        assert "key_inventory_complete" not in sheet.account


def test_a_sub_accounts_key_is_shown_itself_and_no_list() -> None:
    twin = Twin()
    twin.is_main = False
    sheet = collect(twin)
    assert "kind" not in sheet.account and "key_inventory_complete" not in sheet.account
    (found,) = sheet.rows["api_key"] or []
    assert found["is_audit_key"] is True and found["ip_bound"] is True and powers(found) == UNKNOWN


# Sub-accounts


SUB = {"remark": "bot", "login_name": "subbot1", "email": "jane@mail.example", "state": 1, "user_id": 20990001}
SUB_KEY = {
    "user_id": 20990001,
    "mode": 1,
    "name": "grid",
    "perms": [{"name": "spot", "read_only": False}],
    "ip_whitelist": [],
    "key": "9b77e0d1c2a3********************",
    "state": 1,
    "created_at": 1730000000,
    "updated_at": 1730000000,
    "last_access": 1763500000,
}


def test_keys_of_sub_accounts_are_read_each_from_its_own_path() -> None:
    twin = Twin()
    twin.sub_accounts, twin.sub_keys = [SUB, {**SUB, "user_id": 20990002}], {"20990001": [SUB_KEY]}
    sheet = collect(twin)
    assert sheet.account["key_inventory_complete"] is True
    assert sheet.account["master_key_over_subaccounts"] is True  # the old bot may move funds
    grid = keys(sheet)["grid"]
    assert (grid["sub_account"], grid["can_trade"], grid["ip_bound"]) == ("20990001", True, False)
    assert "symbol_restricted" not in grid
    assert not sheet.rows["api_key"][-1].get("is_audit_key")
    assert not [problem for problem in sheet.problems if "api_keys" in problem.facts]
    assert "jane" not in repr(sheet)
    twin = Twin()
    twin.sub_accounts, twin.listed = [SUB], twin.listed[:1]
    assert "master_key_over_subaccounts" not in collect(twin).account


@pytest.mark.parametrize("user_id", ["../../spot/orders", "1/keys/x", "", "a b", "1?x=2"])
def test_a_sub_account_that_is_no_number_is_never_put_into_a_path(user_id: str) -> None:
    twin = Twin()
    twin.sub_accounts = [{**SUB, "user_id": user_id}]
    sheet = collect(twin)
    assert "key_inventory_complete" not in sheet.account
    assert not [request for request in twin.requests if "sub_accounts/" in request.path]


def test_a_sub_account_whose_keys_are_refused_leaves_the_inventory_open() -> None:
    twin = Twin()
    twin.sub_accounts = [SUB]
    twin.fail(Refusal.MISSING_PERMISSION, "/api/v4/sub_accounts/")
    sheet = collect(twin)
    assert "key_inventory_complete" not in sheet.account
    assert reasons(sheet)[gate.SUB_KEYS.name] == "permission_denied"


def test_without_the_list_of_sub_accounts_nothing_is_complete() -> None:
    twin = Twin()
    twin.fail(Refusal.MISSING_PERMISSION, gate.SUBS.path)
    sheet = collect(twin)
    assert sheet.account == {}
    assert keys(sheet)["auditor"]["is_audit_key"] is True


# Labels, signature, clock


@pytest.mark.parametrize(
    ("label", "reason"), [(label, reason) for reason, listed in LABELS.items() for label in listed.split()]
)
@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_every_label_means_what_the_venue_says_and_not_what_ccxt_makes_of_it(
    label: str, reason: str, status: int
) -> None:
    failure = gate.classify(answer(label, status), gate.KEYS)
    assert failure is not None and failure.reason.value == reason
    assert failure.lockout is (reason in {"invalid_key", "account_frozen", "ip_not_allowed"})
    assert failure.retry is (reason in {"venue_maintenance", "venue_incident", "rate_limited"})


def test_the_table_holds_no_label_that_is_not_tested() -> None:
    assert set(gate._FAILURES) == {label for listed in LABELS.values() for label in listed.split()}


def test_a_forbidden_address_may_be_spelled_as_a_forbidden_call() -> None:
    failure = gate.classify(answer("FORBIDDEN", 403, "Request IP not in whitelist: 192.0.2.1"), gate.KEYS)
    assert failure is not None and failure.reason.value == "ip_not_allowed"


def test_what_has_no_label_went_well_or_is_judged_by_its_status() -> None:
    for body in ([], {}, [{"label": "x"}], {"user_id": 1}):
        assert gate.classify(Answer(status=200, body=body, text="", headers={}), gate.KEYS) is None
    for label in ("NEW_LABEL", 7, ["INVALID_KEY"], "invalid_key"):
        failure = gate.classify(answer(label, 200), gate.KEYS)
        assert failure is not None and failure.reason.value == "malformed_response"
    for status, reason in (
        (401, "malformed_response"),
        (403, "venue_incident"),
        (429, "rate_limited"),
        (502, "venue_incident"),
    ):
        for body in ([], {}, {"label": "NEW_LABEL"}):
            failure = gate.classify(Answer(status=status, body=body, text="", headers={}), gate.KEYS)
            assert failure is not None and failure.reason.value == reason


@pytest.mark.parametrize("name", ["apiKey", "secret"])
def test_a_spoiled_signature_is_refused(name: str) -> None:
    good = Twin().sample_credentials()
    assert reasons(collect(Twin(), credentials=good)) == HEALTHY
    assert set(reasons(collect(Twin(), credentials={**good, name: "spoiled-value"})).values()) == {"invalid_key"}


def test_a_parameter_that_was_not_signed_is_refused() -> None:
    async def run() -> int:
        import aiohttp

        async with Twin() as twin, aiohttp.ClientSession() as session:
            held = {name: Secret(value) for name, value in twin.sample_credentials().items()}
            request = Signer("gate", held, twin.url).sign(gate.ADDRESSES, {"currency": "USDT"})
            async with session.get(request.url + "&page=2", headers=request.headers) as answered:
                return answered.status

    assert asyncio.run(run()) == 401


def test_an_address_that_is_not_in_the_list_is_not_a_bad_key() -> None:
    twin = Twin()
    twin.caller = "203.0.113.99"
    assert set(reasons(collect(twin)).values()) == {"ip_not_allowed"}


@pytest.mark.parametrize("seconds", [-3600, 95, 7200])
def test_a_wrong_clock_is_not_a_bad_key_and_is_learnt_once(seconds: int) -> None:
    twin = Twin()
    twin.clock_ahead = timedelta(seconds=seconds)
    assert reasons(collect(twin)) == HEALTHY
    assert sum(request.path == gate.TIME.path for request in twin.requests) == 1


def test_no_credential_is_in_a_problem() -> None:
    held = {"apiKey": "CANARYKEY0123456789", "secret": "CANARYSECRET0123456789"}
    twin = Twin()
    twin.keys = {held["apiKey"]: TwinKey(api_key=held["apiKey"], secret=held["secret"])}
    said = " ".join(held.values())
    twin.signed = {place: lambda _request, _key: {"label": said, "message": said} for place in twin.signed}
    sheet = collect(twin, credentials=held)
    assert sheet.problems and not any(canary in repr(sheet) for canary in held.values())


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(max_size=8)
    | st.sampled_from(["", "wallet", "1", "*", "\ud800"])
)
ODD = (
    LEAVES
    | st.lists(LEAVES | st.dictionaries(st.sampled_from(["name", "read_only"]), LEAVES), max_size=3)
    | st.dictionaries(st.text(max_size=4), LEAVES, max_size=3)
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted({*row(), *Twin().book[0], "user_id", "key"})), ODD, max_size=6))
def test_no_answer_whatsoever_raises_or_writes_a_malformed_fact(fields: dict[str, Any]) -> None:
    twin = Twin()

    class Stub:
        async def fetch(self, endpoint: Any, params: Any = None) -> Any:
            if endpoint == gate.DETAIL:
                return {**twin.sample_keys()[0].about, "user_id": 20114455, **fields}
            return {gate.KEYS: [twin.listed[0], row(**fields)], gate.ADDRESSES: [{**twin.book[0], **fields}]}.get(
                endpoint, [fields]
            )

    sheet = Sheet()
    asyncio.run(gate.collect(Stub(), sheet))
    rows = [(scope, one) for scope in ("api_key", "address") for one in sheet.rows[scope] or []]
    for scope, facts in (("account", sheet.account), *rows):
        for name, value in facts.items():
            assert name == "public_id" or catalogue()[f"{scope}.{name}"].check(value) is None


def test_the_calling_key_is_marked_by_its_own_description_and_not_by_the_lists() -> None:
    twin = Twin()
    first = twin.sample_keys()[0]
    twin.keys[first.api_key] = replace(
        first, about={"ip_whitelist": [], "currency_pairs": ["BTC_USDT"], "key": {"mode": 1}}
    )
    twin.listed[1]["perms"] += perms("account", read_only=True)
    sheet = collect(twin)
    assert [one["label"] for one in sheet.rows["api_key"] or [] if one.get("is_audit_key")] == ["old bot"]


def test_the_venue_file_guesses_nothing() -> None:
    stated = {policy.fact: policy for policy in _venue.load("gate").policies}
    for fact in (
        "venue.second_factor_downgrade_possible",
        "venue.new_address_delay_hours",
        "venue.allowlist_supported",
    ):
        assert stated[fact].value is None
    assert stated["venue.unbound_key_expiry_days"].value == 90


def test_keys_of_another_user_do_not_make_it_the_main_account() -> None:
    twin = Twin()
    twin.listed[1]["user_id"] = 7
    assert "kind" not in collect(twin).account
