"""What exchanges did on three days, replayed over the wire: an outage, a refusal and a glitch never become the owner's fault."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from auditor import collect as collecting
from auditor import demo, snapshots
from auditor.credentials import Sources
from auditor.exchanges import _budget, _funds, _transport
from auditor.identity import Identity
from auditor.model.evidence import Reason, Snapshot
from auditor.twin._base import Refusal, Spoken
from auditor.twin.okx import Twin
from tests.exchanges.wire import ALL, NOW

ID = Identity.ephemeral("tests")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_funds, "APART", 0.0)


def audited(twin: Twin, *names: str, days: int = 0, **more: Any) -> list[Snapshot]:
    """A run over accounts of these names at one exchange."""
    with demo.served([twin]):
        account = demo.account(twin)
        return collecting.collect(
            [replace(account, name=name, **more) for name in names],
            stated={},
            identity=ID,
            sources=Sources(environ=demo.environ([twin])),
            now=NOW + timedelta(days=days),
        )


def why(snapshot: Snapshot) -> set[Reason]:
    return {problem.reason for problem in snapshot.problems}


@pytest.mark.parametrize("status", [200, 500, 503])
def test_okx_10_march_2021_code_30030_is_an_outage_and_no_refused_key(status: int) -> None:
    """The matching engine was down for hours, and every private call was answered with that code."""
    twin = Twin()
    twin.fail(Spoken(status, {"code": "30030", "msg": "endpoint request failed", "data": []}))
    (snapshot,) = audited(twin, "main", include=ALL)
    assert why(snapshot) == {Reason.VENUE_INCIDENT}
    assert snapshot.api_keys is None
    assert snapshot.withdrawals is None
    assert snapshot.account.keys() <= {"name", "exchange", "balance_asked_for"}


@pytest.mark.parametrize("how", [Refusal.BAD_KEY, Refusal.BAD_SIGNATURE])
def test_bitmex_24_march_2026_two_accounts_refused_alike_are_the_exchanges_incident(how: Refusal) -> None:
    """Valid keys were refused for everybody. Nobody should have deleted one because of it."""
    twin = Twin()
    twin.fail(how, "/api/v5/account")
    twin.fail(how, "/api/v5/asset")
    twin.fail(how, "/api/v5/users")
    both = audited(twin, "one", "two")
    assert [why(snapshot) for snapshot in both] == [{Reason.VENUE_INCIDENT}] * 2
    assert all("the key may be fine" in problem.detail for snapshot in both for problem in snapshot.problems)
    (alone,) = audited(twin, "one")
    assert why(alone) == {Reason.INVALID_KEY}


@pytest.mark.parametrize(("state", "reason"), [("ongoing", Reason.VENUE_INCIDENT), ("completed", Reason.INVALID_KEY)])
def test_bitmex_24_march_2026_a_refusal_while_the_exchange_reports_trouble_is_its_incident(
    state: str, reason: Reason
) -> None:
    twin = Twin()
    twin.fail(Refusal.BAD_KEY, "/api/v5/account")
    twin.events = [{"env": "1", "state": state, "maintType": "2", "serviceType": "5", "title": "x"}]
    (snapshot,) = audited(twin, "main")
    assert why(snapshot) == {reason}


def glitched(total: float, assets: str) -> Twin:
    twin = Twin()
    twin.held.totals, twin.held.trading, twin.held.assets = [total], total, {"BTC": assets}
    return twin


@pytest.mark.parametrize(("total", "assets"), [(0.0, "0"), (48e6, "800")], ids=["nothing", "tens of millions"])
def test_okx_march_2024_a_glitch_that_contradicts_nothing_but_the_run_before_is_doubted(
    total: float, assets: str
) -> None:
    """For hours every call agreed on a wrong balance: only yesterday knew better."""
    (yesterday,) = audited(glitched(40_000.0, "0.6"), "main", include=ALL)
    (today,) = audited(glitched(total, assets), "main", include=ALL, days=1)
    assert yesterday.account["balance_usd"] == 40_000
    assert today.account["balance_usd"] == total
    doubted = snapshots.compare_with(yesterday, today)
    assert "balance_usd" not in doubted.account
    (problem,) = [one for one in doubted.problems if "account.balance_usd" in one.facts]
    assert problem.reason is Reason.IMPLAUSIBLE_RESPONSE
    assert doubted.api_keys == today.api_keys


def test_okx_march_2024_two_readings_of_one_run_that_differ_are_doubted() -> None:
    twin = Twin()
    twin.held.totals = [52_340.55, 48e6]
    (snapshot,) = audited(twin, "main", include=ALL)
    assert "balance_usd" not in snapshot.account
    assert Reason.IMPLAUSIBLE_RESPONSE in why(snapshot)
