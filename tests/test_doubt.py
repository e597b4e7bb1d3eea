"""What is not believed beside the run before: OKX showed balances of nothing and of tens of millions in March 2024."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import snapshots
from auditor.model.evidence import Reason, Snapshot, Source
from auditor.model.facts import format_time

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
API = Source(by="api", ref="GET /x")
ASKING = {"fingerprint": "a" * 32, "label": "audit", "is_audit_key": True}
BOT = {"fingerprint": "b" * 32, "label": "bot", "can_trade": True}


def made(balance: float | None = None, *, by: Source = API, complete: bool | None = None, **lists: Any) -> Snapshot:
    account: dict[str, Any] = {"name": "main", "exchange": "okx"}
    account |= {} if balance is None else {"balance_usd": balance}
    account |= {} if complete is None else {"key_inventory_complete": complete}
    sources = {"account.balance_usd": by} | dict.fromkeys(lists, by)
    return Snapshot(collected_at=NOW, account=account, sources=sources, **lists)


def doubts(previous: Snapshot, current: Snapshot) -> set[str]:
    compared = snapshots.compare_with(previous, current)
    told = [problem for problem in compared.problems if problem not in current.problems]
    assert all(problem.reason is Reason.IMPLAUSIBLE_RESPONSE for problem in told)
    return {fact for problem in told for fact in problem.facts}


@pytest.mark.parametrize(
    ("before", "now"), [(52_000, 0), (52_000, 52e6), (52_000, 20), (0, 48e6), (120, 0), (3e7, 3e4)]
)
def test_a_balance_that_went_to_nothing_or_by_a_thousandfold_is_unknown(before: float, now: float) -> None:
    previous, current = made(before), made(now)
    assert doubts(previous, current) == {"account.balance_usd"}
    compared = snapshots.compare_with(previous, current)
    assert "balance_usd" not in compared.account
    assert "account.balance_usd" not in compared.sources


@pytest.mark.parametrize(
    ("before", "now"), [(52_000, 300), (300, 52_000), (52_000, 51_000), (0, 90_000), (0, 0), (40, 0), (0.02, 30)]
)
def test_a_withdrawal_a_deposit_and_small_change_are_believed(before: float, now: float) -> None:
    assert doubts(made(before), made(now)) == set()


def test_what_was_not_known_before_cannot_be_compared() -> None:
    assert doubts(made(None), made(0)) == set()
    assert doubts(made(10_000), made(None)) == set()


def test_the_doubt_lasts_for_one_run() -> None:
    first, drained = made(52_000), made(0)
    second = snapshots.compare_with(first, drained)
    assert snapshots.compare_with(second, drained).account["balance_usd"] == 0


@pytest.mark.parametrize(("key", "row"), [("addresses", {"label": "cold"}), ("api_keys", BOT)])
def test_a_list_that_suddenly_reads_empty_is_unknown(key: str, row: dict[str, Any]) -> None:
    before: dict[str, Any] = {key: [row]}
    now: dict[str, Any] = {key: []}
    previous, current = made(complete=True, **before), made(complete=True, **now)
    assert key in doubts(previous, current)
    compared = snapshots.compare_with(previous, current)
    assert getattr(compared, key) is None
    assert key not in compared.sources


def test_the_key_that_asks_stays_but_no_longer_vouches_for_the_list() -> None:
    compared = snapshots.compare_with(
        made(complete=True, api_keys=[ASKING, BOT]), made(complete=True, api_keys=[ASKING])
    )
    assert compared.api_keys == [ASKING]
    assert "key_inventory_complete" not in compared.account
    assert compared.sources["api_keys"] == API


def test_a_list_that_never_claimed_to_be_whole_may_shrink() -> None:
    assert doubts(made(api_keys=[ASKING, BOT]), made(api_keys=[ASKING])) == set()


def test_one_key_fewer_is_no_glitch() -> None:
    others = [BOT, {**BOT, "fingerprint": "c" * 32}]
    assert doubts(made(complete=True, api_keys=others), made(complete=True, api_keys=others[:1])) == set()


def test_withdrawals_may_grow_old_but_not_vanish() -> None:
    old = {"at": format_time(NOW - timedelta(days=80)), "asset": "BTC", "amount": 1.0}
    fresh = {**old, "at": format_time(NOW - timedelta(days=5))}
    assert doubts(made(withdrawals=[old]), made(withdrawals=[])) == set()
    assert "withdrawals" in doubts(made(withdrawals=[old, fresh]), made(withdrawals=[]))


def test_a_list_that_was_not_seen_is_no_empty_one() -> None:
    assert doubts(made(addresses=[{"label": "cold"}]), made(addresses=None)) == set()


def test_what_the_owner_states_is_not_doubted() -> None:
    stated = Source(by="attest", at="2026-11-01")
    assert doubts(made(52_000, addresses=[{"label": "cold"}]), made(0, by=stated, addresses=[])) == set()


@pytest.mark.parametrize("other", ["account", "exchange"])
def test_another_account_is_no_run_before(other: str) -> None:
    named = {"name": "other"} if other == "account" else {"exchange": "kraken"}
    previous = made(52_000)
    assert doubts(replace(previous, account={**previous.account, **named}), made(0)) == set()


AMOUNTS = st.one_of(st.none(), st.floats(min_value=0, max_value=1e12, allow_nan=False))


@given(before=AMOUNTS, now=AMOUNTS)
def test_doubt_only_takes_away_and_the_same_answer_twice_is_never_doubted(
    before: float | None, now: float | None
) -> None:
    previous, current = made(before), made(now)
    compared = snapshots.compare_with(previous, current)
    assert compared.account.items() <= current.account.items()
    assert snapshots.compare_with(current, current) == current
    assert snapshots.compare_with(previous, compared).account == compared.account
