"""WOO X over the real transport against its twin: every key in one list, a field that is left out, one code for everything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges import _budget, _gate, _transport, woo
from auditor.exchanges._base import Answer, Endpoint, Sheet
from auditor.exchanges._signer import SignedRequest, Signer
from auditor.model.evidence import Reason
from auditor.redaction import Secret
from auditor.twin._base import Refusal, hmac_sha256
from auditor.twin.woo import Twin
from tests.exchanges.wire import collect, reasons

READER, SUB, BOUND = Twin().sample_keys()
CODES = {
    "venue_maintenance": "-1011",
    "venue_incident": "-1000",
    "invalid_key": "-1001",
    "rate_limited": "-1003",
    "clock_skew": "317179",
    "account_frozen": "302307",
    "malformed_response": "-1004 -1012 302102 999999 x",
}
EVERY = [(code, reason) for reason, codes in CODES.items() for code in codes.split()]
POWERS = ("can_read", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)


def serving(**state: Any) -> Sheet:
    twin = Twin()
    for name, value in state.items():
        setattr(twin, name, value)
    return collect(twin)


def listed(sheet: Sheet) -> list[dict[str, Any]]:
    return [row for row in sheet.rows["api_key"] or [] if not row.get("is_audit_key")]


def only(**fields: Any) -> dict[str, Any]:
    """The one key of a list whose entry holds `fields`."""
    row = {"accountName": "Main", "userId": 1, "apiKey": "+Px", **fields}
    (key,) = listed(serving(listed=[row]))
    return key


def info(**fields: Any) -> Sheet:
    return serving(info={**Twin().info, **fields})


def judged(body: Any, status: int = 200, endpoint: Endpoint = woo.INFO) -> Reason | None:
    found = woo.classify(Answer(status=status, body=body, text=json.dumps(body), headers={}), endpoint)
    return found and found.reason


# The keys.


def test_a_key_that_may_read_sees_every_key_of_the_account_and_of_its_sub_accounts() -> None:
    sheet = collect(Twin())
    assert sheet.account == {"kind": "main", "two_factor_enabled": True, "key_inventory_complete": True}
    assert sheet.venue == {"status": "ok"} and not sheet.problems
    reader, treasury, bot = listed(sheet)
    assert reader["ip_bound"] and reader["ip_allowlist"] == ["198.51.100.7"] and "sub_account" not in reader
    assert treasury["can_withdraw"] and treasury["ip_bound"] is False
    assert bot["sub_account"] == "bot1" and bot["can_trade"] and not bot["can_withdraw"]
    assert [row["public_id"] for row in listed(sheet)] == [row["apiKey"] for row in Twin().listed]
    assert sheet.account_id == Twin().info["applicationId"]


@pytest.mark.parametrize(
    ("fields", "ip_bound", "listing"),
    [
        ({}, False, []),
        ({"allowedIPs": []}, False, []),
        ({"allowedIPs": [""]}, False, []),
        ({"allowedIPs": ["*"]}, False, []),
        ({"allowedIPs": ["0.0.0.0/0"]}, False, ["0.0.0.0/0"]),
        ({"allowedIPs": ["203.0.113.4", " 2001:db8::1 "]}, True, ["203.0.113.4", "2001:db8::1"]),
        ({"allowedIPs": None}, None, None),
        ({"allowedIPs": "203.0.113.4"}, None, None),
        ({"allowedIPs": [1]}, None, None),
    ],
)
def test_a_list_of_addresses_that_is_left_out_means_unbound(fields: Any, ip_bound: bool | None, listing: Any) -> None:
    key = only(permissions=["READ"], **fields)
    assert (key.get("ip_bound"), key.get("ip_allowlist")) == (ip_bound, listing)
    assert key["can_withdraw"] is False


@pytest.mark.parametrize(
    ("words", "powers"),
    [
        (["READ"], (True, False, False, False, False, False)),
        (["read"], (True, False, False, False, False, False)),
        (["READ", "TRADE"], (True, True, True, None, False, None)),
        (["TRADE"], (None, True, True, None, False, None)),
        (["READ", "WITHDRAWAL"], (True, False, False, None, True, None)),
        (["READ", "TRADE", "WITHDRAWAL"], (True, True, True, None, True, None)),
        (["READ", "TRANSFER"], (True, None, None, None, None, None)),
        (["READ", "WITHDRAW"], (True, None, None, None, None, None)),
        (["READ", ""], (True, None, None, None, None, None)),
        ([], (None,) * 6),
        (None, (None,) * 6),
        ("READ", (None,) * 6),
        ([None], (None,) * 6),
    ],
)
def test_permissions(words: Any, powers: Any) -> None:
    key = only(permissions=words)
    assert tuple(key.get(power) for power in POWERS) == powers


def test_permissions_that_are_missing_are_unknown_and_not_none() -> None:
    assert not [power for power in POWERS if power in only()]


@pytest.mark.parametrize("field", ["accountName", "permissions", "apiKey"])
def test_one_odd_field_costs_no_other(field: str) -> None:
    row = {"accountName": "bot1", "apiKey": "+Px", "permissions": ["READ"], "allowedIPs": ["203.0.113.4"], field: 7}
    sheet = serving(listed=[row])
    (key,) = listed(sheet)
    assert key["ip_bound"] is True and sheet.problems
    assert ("key_inventory_complete" in sheet.account) == (field != "apiKey")


@pytest.mark.parametrize("row", [{"permissions": ["READ"]}, {"apiKey": "", "permissions": ["READ"]}])
def test_a_key_without_an_id_is_shown_and_the_list_not_called_complete(row: dict[str, Any]) -> None:
    sheet = serving(listed=[{"accountName": "Main", **row}])
    assert len(listed(sheet)) == 1 and "key_inventory_complete" not in sheet.account


@pytest.mark.parametrize("rows", [[None], ["x"], [[]]])
def test_an_entry_that_is_no_object_is_no_key(rows: Any) -> None:
    sheet = serving(listed=rows, total=1)
    assert not listed(sheet) and "key_inventory_complete" not in sheet.account
    assert reasons(sheet)["account/credentials"] == "malformed_response"


def many(count: int) -> list[dict[str, Any]]:
    return [
        {"accountName": f"bot{number}", "apiKey": f"+Px{number}", "permissions": ["READ"]} for number in range(count)
    ]


@pytest.mark.parametrize("count", [1, 24, 25, 26, 999, 1000, 1001, 2300])
def test_the_list_is_read_to_its_end(count: int) -> None:
    sheet = serving(listed=many(count))
    assert len(listed(sheet)) == count
    assert sheet.account["key_inventory_complete"] is True


def test_a_page_size_that_is_not_honoured_loses_no_key() -> None:
    assert len(listed(serving(listed=many(70), largest_page=25))) == 70


@pytest.mark.parametrize("total", [0, 2, 4, 5000])
def test_a_number_of_keys_that_does_not_fit_is_no_complete_list(total: int) -> None:
    sheet = serving(total=total)
    assert "key_inventory_complete" not in sheet.account
    assert reasons(sheet)["account/credentials"] == "implausible_response"
    assert len(listed(sheet)) == 3


@pytest.mark.parametrize("total", ["many", None, -1.5, True])
def test_a_number_of_keys_that_is_none_proves_nothing(total: Any) -> None:
    twin = Twin()
    twin.signed[("GET", "/v3/account/credentials")] = lambda _request, _key: {
        "success": True,
        "data": {"rows": Twin().listed, "meta": {"total": total}},
        "timestamp": 1,
    }
    assert "key_inventory_complete" not in collect(twin).account


def test_a_venue_that_repeats_one_page_for_ever_is_left() -> None:
    twin = Twin()
    body = {"success": True, "data": {"rows": many(25), "meta": {"total": 10**6}}}
    twin.signed[("GET", "/v3/account/credentials")] = lambda _request, _key: body
    sheet = collect(twin)
    assert len(listed(sheet)) == 25 and "key_inventory_complete" not in sheet.account
    assert sum(request.path.endswith("credentials") for request in twin.requests) == 2


def test_a_sub_accounts_key_sees_its_own_and_says_nothing_of_all() -> None:
    twin = Twin()
    twin.info["accountType"] = "Sub"
    sheet = collect(twin, credentials={"apiKey": SUB.api_key, "secret": SUB.secret})
    assert "kind" not in sheet.account and "key_inventory_complete" not in sheet.account
    assert [row["sub_account"] for row in listed(sheet)] == ["bot1"]
    assert reasons(sheet) == {"account/subAccounts/all": "permission_denied"}


def test_names_of_sub_accounts_hold_no_mailbox() -> None:
    sheet = serving(listed=[{**row, "accountName": "desk@demo.invalid"} for row in many(1)])
    assert "desk@demo.invalid" not in repr(sheet) and listed(sheet)[0]["sub_account"]


# The account and the exchange.


@pytest.mark.parametrize(
    ("app", "enabled", "reason"),
    [
        (True, True, None),
        ("true", True, None),
        (False, None, "not_exposed"),
        (None, None, "malformed_response"),
        ("maybe", None, "malformed_response"),
    ],
)
def test_an_authenticator_that_is_not_bound_is_not_no_second_factor(app: Any, enabled: Any, reason: str | None) -> None:
    sheet = info(otpauth=app)
    assert sheet.account.get("two_factor_enabled") is enabled
    assert reasons(sheet).get("account/info") == reason


def test_the_authenticator_missing_in_the_answer_is_unknown_and_never_off() -> None:
    state = {name: value for name, value in Twin().info.items() if name != "otpauth"}
    assert "two_factor_enabled" not in serving(info=state).account


@pytest.mark.parametrize("kind", ["Sub", "main", "", "Custody"])
def test_a_kind_of_account_that_is_not_documented_is_unknown(kind: str) -> None:
    assert "kind" not in info(accountType=kind).account


def test_mailboxes_stay_at_the_door() -> None:
    assert "demo.invalid" not in repr(collect(Twin()))


@pytest.mark.parametrize(("subs", "over"), [([], False), ([{"name": "x"}], None), ({}, None), (None, None)])
def test_over_no_sub_accounts_there_is_no_key(subs: Any, over: bool | None) -> None:
    assert serving(sub_accounts=subs).account.get("master_key_over_subaccounts") is over


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (0, "ok"),
        ("0", "ok"),
        (1, "maintenance"),
        (2, "maintenance"),
        (None, None),
        (True, None),
        ("", None),
        ("ok", None),
    ],
)
def test_the_exchange_is_open_or_not(status: Any, word: str | None) -> None:
    assert serving(system={"status": status}).venue.get("status") == word


# Errors.


@pytest.mark.parametrize(("code", "reason"), EVERY)
@pytest.mark.parametrize("status", [200, 400, 401])
def test_every_code_whatever_the_status(code: str, reason: str, status: int) -> None:
    assert judged({"success": False, "code": code, "message": "?"}, status) == reason
    if code != "x":
        assert judged({"success": False, "code": int(code), "message": "?"}, status) == reason


@pytest.mark.parametrize("code", [-1002, "-1002"])
def test_one_code_is_the_key_where_reading_is_enough_and_a_permission_elsewhere(code: Any) -> None:
    body = {"success": False, "code": code, "message": "..."}
    assert judged(body, 401, woo.INFO) is Reason.INVALID_KEY
    for endpoint in (woo.KEYS, woo.SUB_ACCOUNTS):
        assert judged(body, 401, endpoint) is Reason.PERMISSION_DENIED


def test_the_detail_says_what_else_that_code_may_mean() -> None:
    sheet = collect(Twin(), credentials={"apiKey": BOUND.api_key, "secret": BOUND.secret})
    assert any("address" in problem.detail and "clock" in problem.detail for problem in sheet.problems)
    assert sheet.rows["api_key"] is None


@pytest.mark.parametrize("success", [False, None, "true", 1, "", [True]])
def test_only_success_that_says_true_is_success_though_ccxt_lets_unknown_codes_pass(success: Any) -> None:
    assert judged({"success": success, "code": 424242, "data": {"rows": []}}) is Reason.MALFORMED_RESPONSE
    assert judged({"success": success, "data": {"rows": []}}) is Reason.MALFORMED_RESPONSE


def test_an_unknown_refusal_with_http_200_is_no_empty_list() -> None:
    twin = Twin()
    twin.signed[("GET", "/v3/account/credentials")] = lambda _request, _key: {
        "success": False,
        "code": 1,
        "data": {"rows": [], "meta": {"total": 0}},
    }
    sheet = collect(twin)
    assert not listed(sheet) and "key_inventory_complete" not in sheet.account
    assert reasons(sheet)["account/credentials"] == "malformed_response"


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"success": True}, 200, None),
        ({"success": True, "code": -1002}, 200, None),
        ({"success": False, "code": 7}, 503, Reason.VENUE_MAINTENANCE),
        ({}, 500, Reason.VENUE_INCIDENT),
        ([], 200, None),
        (None, 502, None),
    ],
)
def test_without_a_code_we_know_the_status_decides(body: Any, status: int, reason: Reason | None) -> None:
    assert judged(body, status) is reason


@given(
    st.dictionaries(
        st.sampled_from(["success", "code", "message"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.none(), max_size=1),
    )
)
@settings(max_examples=200, deadline=None)
def test_no_body_whatever_breaks_the_reading_of_errors(body: Any) -> None:
    assert (judged(body) is None) == (body.get("success") is True)


def test_every_refusal_of_the_twin_is_understood() -> None:
    for refusal in Refusal:
        said = Twin().refuse(refusal)
        assert judged(json.loads(said.text or ""), said.status) not in {None, Reason.MALFORMED_RESPONSE}


# Clock and signature.


def test_a_clock_that_is_wrong_is_set_by_the_exchanges_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from auditor.twin import woo as twin_module

    real = twin_module.now_ms
    monkeypatch.setattr(twin_module, "now_ms", lambda: real() + 600_000)
    twin = Twin()
    sheet = collect(twin)
    assert sheet.account["kind"] == "main" and not sheet.problems
    assert [request.path for request in twin.requests][:3] == [
        "/v3/account/info",
        "/v3/public/systemInfo",
        "/v3/account/info",
    ]


def test_the_signature_is_the_documented_one_for_the_real_host() -> None:
    held = {"apiKey": Secret(READER.api_key), "secret": Secret(READER.secret)}
    params = {"page": "1", "size": "1000"}
    request = Signer("woo", held, None).sign(woo.KEYS, params)
    _gate.check_signed(request, woo.KEYS, params, None)
    assert request.url == "https://api.woox.io/v3/account/credentials?page=1&size=1000"
    text = request.headers["x-api-timestamp"] + "GET/v3/account/credentials?page=1&size=1000"
    assert request.headers["x-api-signature"] == hmac_sha256(READER.secret, text).hex()


@pytest.mark.parametrize("header", ["x-api-signature", "x-api-timestamp"])
def test_a_spoiled_header_is_refused_by_the_twin(header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sign = Signer.sign

    def spoiled(self: Signer, endpoint: Any, params: Any) -> SignedRequest:
        request = sign(self, endpoint, params)
        if header in request.headers:
            value = request.headers[header]
            request.headers[header] = value[:-1] + ("0" if value[-1] != "0" else "1")
        return request

    monkeypatch.setattr(Signer, "sign", spoiled)
    assert reasons(collect(Twin()))["account/info"] == "invalid_key"


def test_only_reads_that_are_documented_as_such_are_declared() -> None:
    paths = {endpoint.path for endpoint in woo.endpoints}
    assert not [path for path in paths if "repay" in path or "convert" in path or "listenKey" in path]
    assert {endpoint.verb for endpoint in woo.endpoints} == {"GET"}
