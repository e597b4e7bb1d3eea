"""Hyperliquid over the real transport against its twin: an address, the wallets it lets sign, and a key that never leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auditor.exchanges import _transport, _venue, hyperliquid, mexc
from auditor.exchanges._base import Answer, Sheet
from auditor.exchanges._gate import check_signed
from auditor.exchanges._signer import Signer
from auditor.model.evidence import Reason
from auditor.redaction import Secret
from auditor.twin.hyperliquid import MASTER, Twin
from tests.exchanges.wire import collect

PRIVATE = "5e" * 32  # 64 hexadecimal digits, as a private key has
OTHER = "0x00000000000000000000000000000000000000bb"
UNSTATED = {"can_transfer", "can_withdraw", "can_manage"}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)


def serving(**answers: Any) -> Sheet:
    twin = Twin()
    twin.answers |= answers
    return collect(twin)


def agents(sheet: Sheet) -> list[dict[str, Any]]:
    return [row for row in sheet.rows["api_key"] or [] if not row.get("is_audit_key")]


def judged(body: Any, status: int = 200, text: str | None = None) -> Reason | None:
    said = json.dumps(body) if text is None else text
    found = hyperliquid.classify(Answer(status=status, body=body, text=said, headers={}), hyperliquid.INFO)
    return found and found.reason


# Only an address.


@pytest.mark.parametrize(
    "given",
    [
        PRIVATE,
        "0x" + PRIVATE,
        PRIVATE.upper(),
        MASTER[2:],
        MASTER + " ",
        " " + MASTER,
        MASTER + "\n",
        MASTER[:-1],
        MASTER + "0",
        "0X" + MASTER[2:],
        "0x" + "g" * 40,
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
        "{walletAddress}",
        "",
        MASTER[:-1] + "٣",
    ],
)
def test_what_is_no_address_is_refused_and_neither_sent_nor_echoed(given: str) -> None:
    twin = Twin()
    sheet = collect(twin, credentials={"walletAddress": given})
    assert not twin.requests
    assert sheet.rows["api_key"] is None and not sheet.account and not sheet.venue
    assert {problem.reason for problem in sheet.problems} == {Reason.INVALID_KEY}
    assert any("private key does not belong here" in problem.detail for problem in sheet.problems)
    assert len(given) < 6 or given.strip() not in repr(sheet)


def test_only_the_address_is_asked_for_and_no_private_key() -> None:
    assert hyperliquid.credentials == ("walletAddress",) == _venue.load("hyperliquid").credentials
    request = Signer("hyperliquid", {"walletAddress": Secret(MASTER)}, None).sign(
        hyperliquid.INFO, {"type": "userRole"}
    )
    assert (request.verb, request.url) == ("POST", "https://api.hyperliquid.xyz/info")
    check_signed(request, hyperliquid.INFO, {"type": "userRole"}, None)
    assert MASTER not in repr(request.headers)


def test_every_question_is_about_the_account_and_none_writes() -> None:
    twin = Twin()
    collect(twin)
    asked = [json.loads(request.body) for request in twin.requests]
    assert {request.path for request in twin.requests} == {"/info"}
    assert asked[0] == {"type": "userRole", "user": MASTER}
    assert {one["type"] for one in asked} == set(twin.answers)
    assert all(one.keys() == {"type", "user"} and one["user"] == MASTER for one in asked)
    assert len(asked) == len(twin.answers)


def test_the_address_is_not_stored_whole() -> None:
    sheet = serving()
    assert MASTER not in repr(sheet)
    assert sheet.account_id is not None and len(sheet.account_id) == 64
    mixed = serving(webData2={**Twin().answers["webData2"], "user": MASTER.replace("a1", "A1")})
    assert mixed.account_id == sheet.account_id


def test_an_owner_that_cannot_be_read_costs_no_agent() -> None:
    sheet = serving(webData2={**Twin().answers["webData2"], "user": 7})
    assert sheet.account_id is None and len(agents(sheet)) == 3
    assert sheet.account["key_inventory_complete"] is True


@pytest.mark.parametrize("text", ["mx0demo00000000001", MASTER])
def test_the_public_part_of_a_key_that_is_no_address_is_filled_in_as_before(text: str) -> None:
    held = {"apiKey": Secret(text), "secret": Secret("s" * 20)}
    request = Signer("mexc", held, None).sign(mexc.KEY, {})
    check_signed(request, mexc.KEY, {}, None)


# What the address is.


def test_a_master_shows_its_agents_named_and_unnamed_and_that_these_are_all() -> None:
    sheet = serving()
    assert sheet.account == {"kind": "main", "key_inventory_complete": True}
    assert sheet.venue == {"status": "ok"}
    grid, old, unnamed = agents(sheet)
    assert (grid["label"], grid["expires_at"], grid["never_expires"]) == ("grid", "2027-01-03T18:13:20Z", False)
    assert old["never_expires"] is True and "expires_at" not in old
    assert "label" not in unnamed and unnamed["expires_at"].startswith("2026-12-")
    for row in (grid, old, unnamed):
        assert row["kind"] == "agent" and row["can_trade"] and row["can_trade_derivatives"] and not row["ip_bound"]


def test_that_an_agent_can_only_trade_is_not_assumed() -> None:
    sheet = serving()
    assert not any(UNSTATED & row.keys() for row in agents(sheet))
    (problem,) = sheet.problems
    assert problem.reason is Reason.NOT_EXPOSED
    assert set(problem.facts) == {f"api_key.{power}" for power in UNSTATED}


def test_without_agents_the_list_is_known_to_be_empty() -> None:
    sheet = serving(extraAgents=[], webData2={"agentAddress": None, "agentValidUntil": None, "user": MASTER})
    assert agents(sheet) == [] and not sheet.problems
    assert sheet.account["key_inventory_complete"] is True


def test_the_address_itself_opens_nothing() -> None:
    (row,) = [row for row in serving().rows["api_key"] or [] if row.get("is_audit_key")]
    assert row["can_read"] is True
    assert not any(row[power] for power in (*UNSTATED, "can_trade", "can_trade_derivatives"))


def test_an_agents_own_address_proves_nothing_by_its_empty_lists() -> None:
    twin = Twin()
    twin.answers |= {"userRole": {"role": "agent", "data": {"user": OTHER}}, "extraAgents": []}
    sheet = collect(twin)
    assert sheet.rows["api_key"] is None and not sheet.account
    assert sheet.venue == {"status": "ok"}
    (problem,) = sheet.problems
    assert problem.reason is Reason.NOT_COLLECTED and "address of an agent" in problem.detail
    assert len(twin.requests) == 2


def test_an_address_that_was_never_used_is_no_empty_account() -> None:
    sheet = serving(userRole={"role": "missing"}, extraAgents=[])
    assert sheet.rows["api_key"] is None and "key_inventory_complete" not in sheet.account
    assert {problem.reason for problem in sheet.problems} == {Reason.NOT_COLLECTED}


def test_a_sub_account_names_its_master_and_the_agents_are_its_masters() -> None:
    sheet = serving(userRole={"role": "subAccount", "data": {"master": OTHER}}, extraAgents=[])
    assert sheet.account == {"kind": "sub", "parent": "…00bb"}


def test_a_vault_is_neither_main_nor_sub() -> None:
    assert serving(userRole={"role": "vault"}).account == {}


@pytest.mark.parametrize("role", ["", "User", "owner", None, 1, ["user"]])
def test_a_role_that_is_not_documented_stops_the_reading(role: Any) -> None:
    sheet = serving(userRole={"role": role})
    assert sheet.rows["api_key"] is None and not sheet.account
    assert {problem.reason for problem in sheet.problems} == {Reason.MALFORMED_RESPONSE}


def test_null_instead_of_a_role_is_no_role() -> None:
    assert serving(userRole=None).rows["api_key"] is None


# Agents.


@pytest.mark.parametrize(
    ("until", "expires", "never"),
    [
        (1799000000000, "2027-01-03T18:13:20Z", False),
        ("1799000000000", "2027-01-03T18:13:20Z", False),
        (None, None, True),
        (0, None, None),
        (1799000000, None, None),
        (253402300799000, None, None),
        ("", None, None),
        (True, None, None),
        ([], None, None),
    ],
)
def test_the_end_of_an_agent(until: Any, expires: str | None, never: bool | None) -> None:
    sheet = serving(extraAgents=[{"name": "x", "address": OTHER, "validUntil": until}])
    row = agents(sheet)[0]
    assert (row.get("expires_at"), row.get("never_expires")) == (expires, never)
    assert row["can_trade"] is True


def test_an_end_that_is_missing_is_not_never() -> None:
    row = agents(serving(extraAgents=[{"name": "x", "address": OTHER}]))[0]
    assert "never_expires" not in row and "expires_at" not in row


@pytest.mark.parametrize(
    "rows",
    [
        {},
        None,
        [None],
        ["x"],
        [{}],
        [{"name": "x", "address": "0x12", "validUntil": None}],
        [{"name": "x", "validUntil": None}],
    ],
)
def test_agents_that_cannot_be_read_are_not_all_agents(rows: Any) -> None:
    sheet = serving(extraAgents=rows)
    assert "key_inventory_complete" not in sheet.account
    assert any("api_keys" in problem.facts for problem in sheet.problems)
    assert any("label" not in row and row.get("public_id", "").startswith("0x33") for row in agents(sheet)), (
        "the other list stays"
    )


@pytest.mark.parametrize("state", [None, {}, {"user": MASTER}, {"agentAddress": 3}, {"agentAddress": "0x3"}, []])
def test_without_the_unnamed_agent_the_list_is_not_complete(state: Any) -> None:
    sheet = serving(webData2=state)
    assert "key_inventory_complete" not in sheet.account
    assert {row.get("label") for row in agents(sheet)} >= {"grid", "old bot"}
    assert any("account.key_inventory_complete" in problem.facts for problem in sheet.problems)


# Signers, sub-accounts, the exchange.


@pytest.mark.parametrize(
    ("signers", "approver", "complete"),
    [
        (None, None, True),
        ({"authorizedUsers": [MASTER, OTHER], "threshold": 2}, True, None),
        ({"authorizedUsers": [MASTER, OTHER], "threshold": 1}, None, None),
        ({"authorizedUsers": [MASTER, MASTER], "threshold": 2}, None, None),
        ({"authorizedUsers": [MASTER], "threshold": 2}, None, None),
        ({"authorizedUsers": [MASTER, OTHER], "threshold": 0}, None, None),
        ({"authorizedUsers": "x", "threshold": 2}, None, None),
        ({"threshold": 2}, None, None),
        ([], None, None),
    ],
)
def test_several_signers(signers: Any, approver: bool | None, complete: bool | None) -> None:
    """Who else may approve agents then is not documented. One signature proves nothing about who agrees to it."""
    account = serving(userToMultiSigSigners=signers).account
    assert account.get("withdrawal_second_approver") is approver
    assert account.get("key_inventory_complete") is complete


@pytest.mark.parametrize(
    ("subs", "over"), [(None, False), ([], False), ([{"name": "s"}], None), ({}, None), ("x", None)]
)
def test_over_no_sub_accounts_there_is_no_key_and_over_some_it_is_not_known(subs: Any, over: bool | None) -> None:
    assert serving(subAccounts=subs).account.get("master_key_over_subaccounts") is over


@pytest.mark.parametrize(
    ("special", "status"),
    [
        (None, "ok"),
        ("upgrade", "maintenance"),
        (["upgrade"], "maintenance"),
        ({"a": 1}, "maintenance"),
        ("", None),
        ([], None),
        ({}, None),
        (False, None),
        (0, None),
    ],
)
def test_a_special_status_is_no_normal_one_whatever_its_type(special: Any, status: str | None) -> None:
    sheet = serving(exchangeStatus={"time": 1795000000000, "specialStatuses": special})
    assert sheet.venue.get("status") == status
    assert "status" not in serving(exchangeStatus={"time": 1795000000000}).venue


# Errors.


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"status": "err", "response": f"User or API Wallet {OTHER} does not exist."}, 200, Reason.INVALID_KEY),
        ({"status": "err", "response": "Too many cumulative requests sent (10 > 5)"}, 200, Reason.RATE_LIMITED),
        ({"status": "err", "response": "something new"}, 200, Reason.MALFORMED_RESPONSE),
        ({"status": "err"}, 200, Reason.MALFORMED_RESPONSE),
        ({"status": "err", "response": {"a": [1]}}, 200, Reason.MALFORMED_RESPONSE),
        (None, 200, Reason.MALFORMED_RESPONSE),
        (None, 429, None),
        ({"role": "user"}, 200, None),
        ({"status": "ok"}, 200, None),
        ([], 200, None),
        ("does not exist", 500, None),
    ],
)
def test_every_error(body: Any, status: int, reason: Reason | None) -> None:
    assert judged(body, status) is reason


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        (429, "null", Reason.RATE_LIMITED),
        (422, "Failed to deserialize the JSON body into the target type", Reason.MALFORMED_RESPONSE),
        (500, "null", Reason.VENUE_INCIDENT),
        (502, "<html>", Reason.VENUE_INCIDENT),
        (503, "Service Unavailable", Reason.VENUE_MAINTENANCE),
        (403, "block access from your country", Reason.IP_NOT_ALLOWED),
        (403, "<html>", Reason.VENUE_INCIDENT),
    ],
)
def test_what_comes_without_a_code(status: int, text: str, reason: Reason) -> None:
    answer = Answer(status=status, body=None, text=text, headers={})
    found = _transport._judged(hyperliquid.classify(answer, hyperliquid.INFO), answer, hyperliquid.INFO)
    assert found is not None and found.reason is reason
