"""OKX US over the wire: what OKX shows and says, at a host of its own and to keys of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from auditor.exchanges import _budget, _load, _transport, _venue, okx, okxus
from auditor.exchanges._base import Answer
from auditor.exchanges._gate import GateError, check_declared, check_signed
from auditor.exchanges._signer import SignedRequest, Signer
from auditor.redaction import Secret
from auditor.twin import okx as global_twin
from auditor.twin.okxus import Twin
from tests.exchanges.wire import collect, keys, reasons

(KEY,) = Twin().sample_keys()
(FOREIGN,) = global_twin.Twin().sample_keys()
CODES = {
    "venue_maintenance": "50001 50005 50013 50026",
    "timeout": "50004",
    "invalid_key": "50008 50101 50105 50111 50113 50114 50119",
    "account_frozen": "50007 50100",
    "ip_not_allowed": "50110 50121",
    "permission_denied": "50027 50029 50030 50035 50120 59500",
    "clock_skew": "50102 50112",
    "rate_limited": "50011 50061",
}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)


def judged(code: str, status: int = 200) -> Any:
    answer = Answer(status=status, body={"code": code, "msg": "?", "data": []}, text="", headers={})
    return okxus.classify(answer, okxus.endpoints[0])


def test_it_has_every_name_a_connector_needs() -> None:
    module = _load.connector("okxus")
    for name in ("ccxt_class", "credentials", "endpoints", "clock", "serial", "classify", "server_time", "collect"):
        assert hasattr(module, name)
    assert okxus.clock in okxus.endpoints


def test_the_same_questions_are_asked_at_its_own_host() -> None:
    assert {endpoint.host for endpoint in okxus.endpoints} == {"us.okx.com"}
    here = [(endpoint.name, endpoint.verb, endpoint.path, endpoint.limit) for endpoint in okxus.endpoints]
    assert here == [(endpoint.name, endpoint.verb, endpoint.path, endpoint.limit) for endpoint in okx.endpoints]
    held = {"apiKey": Secret(KEY.api_key), "secret": Secret(KEY.secret), "password": Secret(KEY.password)}
    for endpoint in okxus.endpoints:
        check_signed(Signer("okxus", held, None).sign(endpoint, {}), endpoint, {}, None)


@pytest.mark.parametrize("endpoint", okx.endpoints, ids=lambda one: one.name)
def test_what_another_site_is_asked_is_not_declared_here(endpoint: Any) -> None:
    with pytest.raises(GateError):
        check_declared(endpoint, okxus.endpoints)


def test_a_key_shows_what_it_shows_at_okx() -> None:
    here, there = collect(Twin()), collect(global_twin.Twin())
    assert (here.account, here.venue, here.rows, here.problems) == (
        there.account,
        there.venue,
        there.rows,
        there.problems,
    )
    assert here.account["kind"] == "main" and keys(here)["grid-bot"]["can_trade"] is True
    assert "key_inventory_complete" not in here.account


@pytest.mark.parametrize(
    ("code", "reason"), [(code, reason) for reason, codes in CODES.items() for code in codes.split()]
)
@pytest.mark.parametrize("status", [200, 401])
def test_every_code_means_what_it_means_at_okx(code: str, reason: str, status: int) -> None:
    assert judged(code, status).reason == reason


@pytest.mark.parametrize("status", [200, 401])
def test_a_key_of_another_site_is_answered_like_a_deleted_one_and_the_other_names_are_said(status: int) -> None:
    said = judged("50119", status).meaning
    assert "another OKX site" in said and "deleted" in said
    for name in ("okx", "myokx", "okxus"):
        assert f"{name} " in said.replace("(", " ")


@pytest.mark.parametrize("exchange", ["okx", "myokx", "okxus"])
def test_every_site_names_the_others_among_its_traps(exchange: str) -> None:
    traps = " ".join(_venue.load(exchange).traps)
    assert "50119" in traps
    others = {"okx", "myokx", "okxus"} - {exchange}
    assert all(f" {name} " in traps or f"{name} at" in traps for name in others)


def test_a_key_of_the_global_site_is_refused_with_that_detail_and_used_once() -> None:
    twin = Twin()
    twin.signed[("GET", "/api/v5/account/config")] = lambda _request, _key: {
        "code": "50119",
        "msg": "API key doesn't exist",
    }
    sheet = collect(twin)
    assert reasons(sheet)["account/config"] == "invalid_key" and sheet.rows["api_key"] is None
    asked = [request for request in twin.requests if (request.verb, request.path) in twin.signed]
    assert len(asked) == 1
    (detail,) = {problem.detail for problem in sheet.problems if problem.endpoint == "account/config"}
    assert "myokx" in detail


def test_the_twin_knows_no_key_of_the_global_site() -> None:
    held = {"apiKey": FOREIGN.api_key, "secret": FOREIGN.secret, "password": FOREIGN.password}
    assert reasons(collect(Twin(), credentials=held))["account/config"] == "invalid_key"


def test_a_spoiled_signature_is_refused_by_the_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    sign = Signer.sign

    def spoiled(self: Signer, endpoint: Any, params: Any) -> SignedRequest:
        request = sign(self, endpoint, params)
        if "OK-ACCESS-SIGN" in request.headers:
            value = request.headers["OK-ACCESS-SIGN"]
            request.headers["OK-ACCESS-SIGN"] = ("A" if value[0] != "A" else "B") + value[1:]
        return request

    monkeypatch.setattr(Signer, "sign", spoiled)
    assert reasons(collect(Twin()))["account/config"] == "invalid_key"


def test_a_clock_that_is_wrong_is_set_by_that_of_the_site() -> None:
    twin = Twin()
    twin.clock_ahead = timedelta(hours=1)
    sheet = collect(twin)
    assert sheet.account["kind"] == "main"
    assert [request.path for request in twin.requests].count("/api/v5/public/time") == 1


def test_no_policy_rests_on_a_page_for_customers_of_another_site() -> None:
    for policy in _venue.load("okxus").policies:
        assert not any("/help/" in source for source in policy.sources)
