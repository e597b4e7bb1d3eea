"""What an account holds and what left it: only where it is asked for, twice, and never believed by halves."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import collect as collecting
from auditor import demo, pipeline, twin
from auditor.credentials import Sources
from auditor.engine.intake import Evidence
from auditor.exchanges import _budget, _funds, _load, _transport, _venue
from auditor.exchanges._base import Sheet
from auditor.exchanges._funds import Reading, contradiction
from auditor.identity import Identity
from auditor.model.evidence import Reason, Snapshot
from auditor.model.report import Outcome
from auditor.twin._base import Breakage, Refusal, TwinVenue
from tests.exchanges.wire import ALL, NOW, collect

BALANCE = "account.balance_usd"
DAY = 86_400_000


def funded() -> list[str]:
    """Every exchange whose connector reads balances and withdrawals."""
    read = [id_ for id_ in _venue.ids() if (connector := _load.connector(id_)) and _load.funds(connector)]
    assert read, "no connector reads balances any more"
    return read


IDS = funded()


def fresh(id_: str) -> Any:
    return importlib.import_module(f"{twin.__name__}.{id_}").Twin()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_funds, "APART", 0.0)


def places(id_: str) -> set[str]:
    """The paths that are asked for nothing but this."""
    module = importlib.import_module(f"auditor.exchanges._{_FAMILY.get(id_, id_)}_funds")
    return {one.path for one in module.ENDPOINTS}


_FAMILY = {"myokx": "okx", "okxus": "okx"}


def lost(sheet: Sheet) -> dict[str, Reason]:
    """Fact or list -> why it is missing."""
    return {fact: problem.reason for problem in sheet.problems for fact in problem.facts}


@pytest.mark.parametrize("id_", IDS)
def test_what_is_not_asked_for_is_not_called_and_not_spoken_of(id_: str) -> None:
    one = fresh(id_)
    sheet = collect(one)
    assert not {request.path for request in one.requests} & places(id_)
    assert "balance_usd" not in sheet.account
    assert sheet.rows["withdrawal"] is None
    assert not lost(sheet).keys() & {BALANCE, "withdrawals", "account.withdrawals_complete"}


@pytest.mark.parametrize("id_", IDS)
def test_a_balance_is_read_twice_and_by_another_call_too(id_: str) -> None:
    one = fresh(id_)
    sheet = collect(one, asked=frozenset({"balances"}))
    assert sheet.account["balance_usd"] == 52340.55
    assert BALANCE not in lost(sheet)
    funds = _load.funds(_load.connector(id_))  # type: ignore[arg-type]
    assert funds is not None
    asked = [request.path for request in one.requests]
    assert asked.count(funds.looks[0].endpoint.path) == 2
    assert all(asked.count(look.endpoint.path) >= 1 for look in funds.looks[1:])
    assert len(funds.looks) > 1
    assert sheet.rows["withdrawal"] is None


@pytest.mark.parametrize(
    "totals",
    [[52340.55, 0.0], [0.0, 52340.55], [48_000_000.0, 52340.55], [52340.55, 48_000_000.0], [0.0], [9e13], [-500.0]],
    ids=["then nothing", "nothing first", "millions first", "then millions", "nothing twice", "absurd", "negative"],
)
@pytest.mark.parametrize("id_", IDS)
def test_okx_march_2024_balances_of_nothing_and_of_tens_of_millions_are_not_believed(
    id_: str, totals: list[float]
) -> None:
    def glitch(one: Any) -> None:
        one.held.totals = list(totals)

    sheet = collect(fresh(id_), asked=ALL, prepare=glitch)
    assert "balance_usd" not in sheet.account
    assert lost(sheet)[BALANCE] is Reason.IMPLAUSIBLE_RESPONSE
    assert sheet.rows["api_key"], "a glitch of the balance costs nothing else"


@pytest.mark.parametrize("id_", IDS)
def test_an_empty_account_is_empty(id_: str) -> None:
    """Nothing that every call agrees on is a balance, and no reason to doubt."""

    def empty(one: Any) -> None:
        one.held.totals, one.held.trading, one.held.assets = [0.0], 0.0, {"BTC": "0"}

    sheet = collect(fresh(id_), asked=ALL, prepare=empty)
    assert sheet.account["balance_usd"] == 0
    assert BALANCE not in lost(sheet)


@pytest.mark.parametrize("totals", [[52340.55, 51000.0], [52340.55, 56000.0]])
@pytest.mark.parametrize("id_", IDS)
def test_a_market_that_moves_is_believed(id_: str, totals: list[float]) -> None:
    def moved(one: Any) -> None:
        one.held.totals = list(totals)

    assert collect(fresh(id_), asked=ALL, prepare=moved).account["balance_usd"] == totals[-1]


FAILURES: tuple[Refusal | Breakage, ...] = (
    Refusal.MAINTENANCE,
    Refusal.MISSING_PERMISSION,
    Refusal.RATE_LIMIT,
    Breakage.WRONG_SHAPE,
    Breakage.TRUNCATED,
    Breakage.EMPTY,
    Breakage.HTML_ERROR,
)


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("id_", IDS)
def test_a_call_that_fails_leaves_the_fact_unknown_with_a_reason(id_: str, how: Refusal | Breakage) -> None:
    for path in sorted(places(id_)):
        sheet = collect(fresh(id_), asked=ALL, prepare=partial(_fail, how=how, path=path))
        missing = lost(sheet)
        if path in _PAYOUTS:
            assert "withdrawals_complete" not in sheet.account, path
            assert missing.keys() & {"withdrawals", "account.withdrawals_complete"}, path
        elif path not in _BESIDE:
            assert "balance_usd" not in sheet.account, path
            assert BALANCE in missing, path
        assert Reason.INVALID_KEY not in missing.values()


def _fail(one: TwinVenue, how: Refusal | Breakage, path: str) -> None:
    one.fail(how, path)


_PAYOUTS = {
    "/api/v5/asset/withdrawal-history",
    "/sapi/v1/capital/withdraw/history",
    "/v5/asset/withdraw/query-record",
    "/0/private/Ledgers",
    "/api/v4/wallet/withdrawals",
}
_BESIDE = {"/0/private/WithdrawStatus"}
"""Calls that only add to rows that another one shows."""


@pytest.mark.parametrize("id_", IDS)
def test_withdrawals_of_the_window_come_with_when_what_and_what_became_of_them(id_: str) -> None:
    sheet = collect(fresh(id_), asked=frozenset({"withdrawals"}))
    rows = sheet.rows["withdrawal"]
    assert rows is not None
    assert [(row["at"], row["asset"], row["amount"]) for row in rows] == [
        ("2026-11-16T03:33:20Z", "BTC", 0.4),
        ("2026-11-16T02:33:20Z", "BTC", 0.001),
        ("2026-11-07T03:33:20Z", "XRP", 25.0),
    ]
    assert [row["state"] for row in rows[:2]] == ["done", "done"]
    assert rows[2]["state"] in {"cancelled", "failed"}
    assert sheet.account["withdrawals_complete"] is True
    assert "balance_usd" not in sheet.account


def many(one: Any, count: int, *, apart: int = 0) -> None:
    """Withdrawals at one moment, or one after the other: pages meet in the middle of them."""
    first = one.held.payouts[0]
    one.held.payouts = [
        replace(first, number=str(number), at=first.at - number * apart, amount=f"{number + 1}")
        for number in range(count)
    ]


@pytest.mark.parametrize("apart", [0, 60_000], ids=["at one moment", "a minute apart"])
@pytest.mark.parametrize("id_", IDS)
def test_every_page_is_read(id_: str, apart: int) -> None:
    count = 70 if apart == 0 else 230
    sheet = collect(fresh(id_), asked=ALL, prepare=lambda one: many(one, count, apart=apart), deadline=5)
    rows = sheet.rows["withdrawal"] or []
    assert sorted(row["amount"] for row in rows) == [float(number + 1) for number in range(count)]
    assert sheet.account["withdrawals_complete"] is True


@pytest.mark.parametrize("id_", IDS)
def test_no_withdrawals_are_an_empty_list_that_is_whole(id_: str) -> None:
    def emptied(one: Any) -> None:
        one.held.payouts.clear()

    sheet = collect(fresh(id_), asked=ALL, prepare=emptied)
    assert sheet.rows["withdrawal"] == []
    assert sheet.account["withdrawals_complete"] is True


@pytest.mark.parametrize("id_", [id_ for id_ in IDS if id_ != "binance"])  # its words are numbers: a text is no answer
def test_a_word_for_a_state_that_nobody_knows_is_no_state(id_: str) -> None:
    def strange(one: Any) -> None:
        one.held.payouts = [replace(payout, state="Teleported") for payout in one.held.payouts[:1]]

    (row,) = collect(fresh(id_), asked=ALL, prepare=strange).rows["withdrawal"] or []
    assert "state" not in row
    assert row["amount"] == 0.4


def test_okx_that_repeats_a_full_page_forever_is_not_whole() -> None:
    def stuck(one: Any) -> None:
        many(one, 200)
        rows = [
            {"ccy": "BTC", "amt": "1", "ts": str(one.held.payouts[0].at), "wdId": str(number), "state": "2", "to": "x"}
            for number in range(100)
        ]
        one.signed["GET", "/api/v5/asset/withdrawal-history"] = lambda _request, _key: {"code": "0", "data": rows}

    sheet = collect(fresh("okx"), asked=ALL, prepare=stuck)
    assert "withdrawals_complete" not in sheet.account
    assert lost(sheet)["account.withdrawals_complete"] is Reason.NOT_COLLECTED
    assert len(sheet.rows["withdrawal"] or []) == 100


def test_bybit_in_another_currency_is_no_balance_in_dollars() -> None:
    def euro(one: Any) -> None:
        row = {"accountType": "FundingAccount", "totalEquity": "5", "valuationCurrency": "EUR", "coinDetail": []}
        answer = one._body({"totalEquity": "5", "list": [row]})
        one.signed["GET", "/v5/asset/asset-overview"] = lambda _request, _key: answer

    sheet = collect(fresh("bybit"), asked=ALL, prepare=euro)
    assert "balance_usd" not in sheet.account
    assert lost(sheet)[BALANCE] is Reason.MALFORMED_RESPONSE


def test_bybit_keys_of_a_sub_account_do_not_show_withdrawals() -> None:
    one = fresh("bybit")
    sub = one.sample_keys()[2]
    sheet = collect(one, asked=ALL, credentials={"apiKey": sub.api_key, "secret": sub.secret})
    assert lost(sheet)["withdrawals"] is Reason.PERMISSION_DENIED
    assert sheet.rows["withdrawal"] is None


def test_kraken_with_the_audit_key_shows_withdrawals_and_no_balance() -> None:
    """`Query ledger entries` is all that the audit key has; the balance wants more, and the report says so."""
    one = fresh("kraken")
    audit = one.sample_keys()[1]
    sheet = collect(one, asked=ALL, credentials={"apiKey": audit.api_key, "secret": audit.secret})
    assert lost(sheet)[BALANCE] is Reason.PERMISSION_DENIED
    assert "balance_usd" not in sheet.account
    assert len(sheet.rows["withdrawal"] or []) == 3


def test_kraken_withdrawals_that_came_back_failed_even_where_nobody_says_so() -> None:
    def silent(one: Any) -> None:
        one.fail(Refusal.MISSING_PERMISSION, "/0/private/WithdrawStatus")

    sheet = collect(fresh("kraken"), asked=ALL, prepare=silent)
    assert [row.get("state") for row in sheet.rows["withdrawal"] or []] == [None, None, "failed"]
    assert sheet.account["withdrawals_complete"] is True
    assert lost(sheet)["withdrawal.destination"] is Reason.PERMISSION_DENIED


def run(*twins: TwinVenue, include: frozenset[str] = ALL, **more: Any) -> list[Snapshot]:
    """A whole run over these accounts."""
    with demo.served(list(twins)):
        return collecting.collect(
            [replace(demo.account(one), include=include, **more) for one in twins],
            stated={},
            identity=Identity.ephemeral("tests"),
            sources=Sources(environ=demo.environ(list(twins))),
            now=NOW,
        )


@pytest.mark.parametrize("id_", IDS)
def test_where_money_went_is_a_fingerprint_and_nothing_else(id_: str) -> None:
    (snapshot,) = run(fresh(id_))
    first, second, third = snapshot.withdrawals or []
    assert first["destination"] == second["destination"] != third["destination"]
    written = json.dumps(snapshot.to_document())
    for secret in ("bc1qinvented", "friend@demo", "owner@demo", "demo.invalid", "TInvented77", "goes_to"):
        assert secret not in written
    assert snapshot.account["balance_asked_for"] is True


def test_a_run_that_asks_for_nothing_says_nothing_of_it() -> None:
    (snapshot,) = run(fresh("okx"), include=frozenset())
    assert snapshot.withdrawals is None
    assert "balance_usd" not in snapshot.account
    assert "balance_asked_for" not in snapshot.account
    assert not snapshot.problems


def test_an_exchange_that_is_not_read_for_it_says_so() -> None:
    unread = next(one for one in _venue.ids() if one not in IDS and _load.connector(one))
    (snapshot,) = run(fresh(unread))
    problem = next(problem for problem in snapshot.problems if BALANCE in problem.facts)
    assert problem.reason is Reason.NOT_EXPOSED
    assert "withdrawals" in problem.facts
    assert snapshot.api_keys


def test_several_keys_of_one_account_read_its_balance_once_by_the_one_that_may() -> None:
    one = fresh("kraken")
    audit, tracker = one.sample_keys()[1], one.sample_keys()[0]
    blocks = ({"apiKey": "env:A", "secret": "env:B"}, {"apiKey": "env:C", "secret": "env:D"})
    with demo.served([one]):
        (snapshot,) = collecting.collect(
            [replace(demo.account(one), include=ALL, credentials=blocks)],
            stated={},
            identity=Identity.ephemeral("tests"),
            sources=Sources(environ={"A": audit.api_key, "B": audit.secret, "C": tracker.api_key, "D": tracker.secret}),
            now=NOW,
        )
    assert snapshot.account["balance_usd"] == 52340.55
    assert len(snapshot.withdrawals or []) == 3
    assert snapshot.sources["account.balance_usd"].contradicts is None
    assert not [problem for problem in snapshot.problems if BALANCE in problem.facts]


def test_a_key_of_another_account_lends_it_no_balance() -> None:
    one = fresh("okx")
    other = replace(
        one.sample_keys()[0], api_key="another", about={**one.sample_keys()[0].about, "uid": "7", "mainUid": "7"}
    )
    one.keys[other.api_key] = other
    one.fail(Refusal.MISSING_PERMISSION, "/api/v5/asset/asset-valuation", times=1)
    blocks = tuple({"apiKey": f"env:{name}", "secret": "env:S", "password": "env:P"} for name in "AB")
    first = one.sample_keys()[0]
    with demo.served([one]):
        (snapshot,) = collecting.collect(
            [replace(demo.account(one), include=ALL, credentials=blocks)],
            stated={},
            identity=Identity.ephemeral("tests"),
            sources=Sources(environ={"A": first.api_key, "B": other.api_key, "S": first.secret, "P": first.password}),
            now=NOW,
        )
    assert "balance_usd" not in snapshot.account


@pytest.mark.parametrize("how", [Refusal.BAD_KEY, Refusal.FOREIGN_IP])
@pytest.mark.parametrize("id_", IDS)
def test_a_refused_key_asks_for_nothing_more(id_: str, how: Refusal) -> None:
    one = fresh(id_)
    one.fail(how)
    (snapshot,) = run(one)
    asked = [request for request in one.requests if (request.verb, request.path) in one.signed]
    assert len(asked) == 1
    reasons = {problem.reason for problem in snapshot.problems if BALANCE in problem.facts}
    assert reasons and reasons <= {Reason.INVALID_KEY, Reason.IP_NOT_ALLOWED}


TOTALS = st.floats(min_value=0, max_value=1e11, allow_nan=False)


@given(total=TOTALS, times=st.integers(min_value=1, max_value=4), holds=st.sampled_from([None, False]))
def test_readings_that_agree_are_never_doubted(total: float, times: int, holds: bool | None) -> None:
    assert contradiction([Reading(total=total, holds=holds, parts={"x": total})] * times) is None


@given(one=TOTALS, other=TOTALS)
def test_doubt_does_not_depend_on_the_order(one: float, other: float) -> None:
    first, second = Reading(total=one), Reading(total=other)
    assert (contradiction([first, second]) is None) == (contradiction([second, first]) is None)


@given(total=st.floats(min_value=100, max_value=1e9), factor=st.floats(min_value=1.2, max_value=1e6))
def test_what_no_market_explains_is_doubted(total: float, factor: float) -> None:
    assert contradiction([Reading(total=total), Reading(total=total * factor)]) is not None
    assert contradiction([Reading(total=total, parts={"x": total}), Reading(parts={"x": total * factor})]) is not None


READERS: tuple[Callable[[], Reading], ...] = (
    lambda: Reading(total=float("inf")),
    lambda: Reading(total=-1.0),
    lambda: Reading(total=float("nan")),
)


@pytest.mark.parametrize("reading", READERS)
def test_what_is_no_sum_of_money_is_doubted(reading: Callable[[], Reading]) -> None:
    assert contradiction([reading()]) is not None


def test_what_was_asked_for_of_an_account_that_is_not_read_is_missed_and_not_left_out() -> None:
    """Withdrawals nobody asked for concern no rule; those that were asked for and could not be read do."""
    outcomes = {}
    for include in (frozenset(), ALL):
        snapshots = run(fresh("okx"), include=include, credentials=())
        judged_by = pipeline.Run(rules=pipeline.rule_files(None), identity=Identity.ephemeral("tests"), now=NOW)
        with Evidence(NOW).add(one.to_document() for one in snapshots) as evidence:
            (account,) = pipeline.judge(evidence, judged_by).accounts
        of_rule = [one for one in account.findings if one.rule == "monitor-withdrawal-after-small-test"]
        outcomes[bool(include)] = {one.outcome for one in of_rule}
    assert outcomes == {False: {Outcome.NOT_APPLICABLE}, True: {Outcome.UNKNOWN}}
