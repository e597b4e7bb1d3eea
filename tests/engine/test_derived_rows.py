"""Derived facts of addresses, events and withdrawals: what an owner said of a whole list, and what one row says of another."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from auditor.engine.derived import DERIVED, LOOKED_THROUGH
from auditor.engine.rows import LOOK_BACK_DAYS
from auditor.model.facts import format_time, parse_time
from auditor.model.rule import Predicate

from .invented import NOW, document, outcomes, rule, shipped, subjects
from .test_derived import SHOWN

LONG_LOG = {"events_cover_from": "2015-01-01T00:00:00Z"}
CONFIRMED = [rule("r", "event", "event.owner_confirmed")]
MINE = [rule("r", "address", "address.owner_recognised")]
TESTED = [rule("r", "withdrawal", "NOT withdrawal.follows_small_test")]


def of(one: dict[str, Any], rules: Any) -> list[str]:
    return outcomes(one, rules).get("r", [])


def said(fact: str, at: str) -> dict[str, Any]:
    return {fact: {"by": "attest", "at": at, "expires": "2027-01-01"}}


def test_every_derived_fact_is_tested_in_one_of_two_places() -> None:
    assert set(DERIVED) - set(SHOWN) == {
        "address.owner_recognised", "address.still_used", "address.destination_shares_host", "address.skips_second_factor",
        "event.owner_confirmed", "withdrawal.follows_small_test",
    }  # fmt: skip


# What an owner said of a whole list.


def test_a_list_that_nobody_could_see_is_settled_by_whoever_looked_through_it() -> None:
    for answer, outcome in ((True, "pass"), (False, "fail"), (None, "unknown")):
        assert of(document({"all_addresses_recognised": answer}), MINE) == [outcome]
        assert of(document({"security_log_recognised": answer}), CONFIRMED) == [outcome]


def test_that_all_is_well_says_nothing_of_what_came_later() -> None:
    fact, at = "account.all_addresses_recognised", "2026-11-10"
    rows = [{"created_at": f"2026-11-{day}T00:00:00Z"} for day in ("09", "10", "11")]
    one = document(
        {"all_addresses_recognised": True, "addresses_complete": True}, addresses=rows, sources=said(fact, at)
    )
    assert of(one, MINE) == ["pass", "pass", "unknown"], "a day lasts until its end"
    exact = {**one, "sources": said(fact, "2026-11-09T12:00:00Z")}
    assert of(exact, MINE) == ["pass", "unknown", "unknown"]


def test_a_row_of_unknown_age_may_have_come_later() -> None:
    account, source = (
        {"all_addresses_recognised": True, "addresses_complete": True},
        said("account.all_addresses_recognised", "2026-11-10"),
    )
    assert of(document(account, addresses=[{"asset": "BTC"}], sources=source), MINE) == ["unknown"]
    seen_before = [{"asset": "BTC", "first_seen_at": "2026-10-01T00:00:00Z"}]
    assert of(document(account, addresses=seen_before, sources=source), MINE) == ["pass"]


def test_an_answer_about_one_row_beats_that_about_all() -> None:
    rows = [{"owner_recognised": False, "created_at": "2020-01-01T00:00:00Z"}, {"owner_recognised": True}]
    for all_ in (True, False):
        one = document({"all_addresses_recognised": all_, "addresses_complete": True}, addresses=rows)
        assert of(one, MINE) == ["fail", "pass"]


def test_that_something_is_strange_is_not_undone_by_ages() -> None:
    one = document(
        {"all_addresses_recognised": False, "addresses_complete": True},
        addresses=[{"created_at": "2026-11-11T00:00:00Z"}],
        sources=said("account.all_addresses_recognised", "2026-11-10"),
    )
    assert of(one, MINE) == ["fail"]


def test_an_expired_answer_about_a_list_speaks_no_more() -> None:
    source = {"account.security_log_recognised": {"by": "attest", "at": "2026-01-01", "expires": "2026-04-01"}}
    assert of(document({"security_log_recognised": True}, sources=source), CONFIRMED) == ["unknown"]


def test_the_policy_on_saved_addresses_speaks_of_each_and_never_fails_an_unseen_book() -> None:
    rules = [rule("r", "address", "NOT address.skips_second_factor")]
    for needs, seen, unseen in ((True, "pass", "pass"), (False, "fail", "unknown"), (None, "unknown", "unknown")):
        account = {"allowlisted_withdrawal_needs_factor": needs}
        assert of(document({**account, "addresses_complete": True}, addresses=[{"asset": "BTC"}]), rules) == [seen]
        assert of(document(account), rules) == [unseen]
    marked = document({"allowlisted_withdrawal_needs_factor": True}, addresses=[{"skips_second_factor": True}])
    assert "fail" in of(marked, rules)


def test_one_question_settles_a_list_nobody_sees() -> None:
    for scope, fact in (("address", LOOKED_THROUGH[0]), ("event", LOOKED_THROUGH[1])):
        from auditor.engine import advice
        from tests.engine.test_findings import found

        [finding] = found(document(), MINE[0] if scope == "address" else CONFIRMED[0])
        assert [missing.fact for missing in finding.missing] == [fact]
        assert [question.fact for question in advice.questions([finding], None)] == [fact]
        assert "auditor attest" in finding.missing[0].how


# Events.


def login(ip: str | None, confirmed: bool | None = None, kind: str = "login") -> dict[str, Any]:
    row = {"kind": kind, "at": "2026-11-10T00:00:00Z", "ip": ip, "owner_confirmed": confirmed}
    return {name: value for name, value in row.items() if value is not None}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([login("198.51.100.7", True), login("198.51.100.7")], ["pass", "pass"]),
        ([login("198.51.100.7", True), login("198.51.100.8")], ["pass", "unknown"]),
        ([login("198.51.100.7", True), login("198.51.100.7", False)], ["pass", "fail"]),
        ([login("198.51.100.7", False), login("198.51.100.7")], ["fail", "unknown"]),
        ([login(None, True), login(None)], ["pass", "unknown"]),
        ([login("198.51.100.7", True), login("198.51.100.7", kind="password_changed")], ["pass", "unknown"]),
        ([login("198.51.100.7", True, "password_changed"), login("198.51.100.7")], ["pass", "unknown"]),
        ([login("198.51.100.7", True), login("198.51.100.7", kind="login_failed")], ["pass", "unknown"]),
    ],
)  # fmt: skip
def test_a_login_from_where_another_was_the_owners(rows: list[dict[str, Any]], expected: list[str]) -> None:
    assert of(document(LONG_LOG, events=rows), CONFIRMED) == expected
    assert of(document(LONG_LOG, events=rows[::-1]), CONFIRMED) == expected[::-1]


def test_logins_of_one_account_say_nothing_of_anothers() -> None:
    mine, theirs = (
        document(LONG_LOG, events=[login("198.51.100.7", True)]),
        document(LONG_LOG, events=[login("198.51.100.7")]),
    )
    found = subjects([mine, theirs], CONFIRMED)
    assert [one.outcomes["r"].value for [one] in found] == ["pass", "unknown"]


def test_an_explicit_null_is_not_confirmed_by_its_neighbour() -> None:
    rows = [login("198.51.100.7", True), {**login("198.51.100.7"), "owner_confirmed": None}]
    assert of(document(LONG_LOG, events=rows), CONFIRMED) == ["pass", "unknown"]


@pytest.mark.parametrize(
    ("account", "unseen"),
    [
        ({"events_cover_from": "2026-08-22T12:00:00Z"}, False),
        ({"events_cover_from": "2026-08-22T12:00:01Z"}, True),
        ({"events_cover_from": "2026-11-19T00:00:00Z"}, True),
        ({"events_cover_from": "2026-11-01T00:00:00Z", "created_at": "2026-11-01T00:00:00Z"}, False),
        ({"events_cover_from": "2026-11-02T00:00:00Z", "created_at": "2026-11-01T00:00:00Z"}, True),
        ({"events_cover_from": "2026-08-01T00:00:00Z", "created_at": "2020-11-01T00:00:00Z"}, False),
        ({}, True),
    ],
)
def test_a_log_that_does_not_reach_back_holds_lines_nobody_saw(account: dict[str, Any], unseen: bool) -> None:
    assert LOOK_BACK_DAYS == 90
    assert of(document(account, events=[]), CONFIRMED) == (["unknown"] if unseen else [])


def test_shipped_rules_look_no_further_back_than_a_log_has_to_reach() -> None:
    about = [one for one in shipped() if one.applies_to == "event"]
    assert about
    for one in about:
        assert one.when and f"event.at >= now_ - INTERVAL '{LOOK_BACK_DAYS}' DAY" in one.when.sql.replace(
            '"', ""
        ).replace("(", "").replace(")", "")


# Withdrawals.


def sent(hours: float, amount: float | None, to: str | None = "x", asset: str | None = "BTC") -> dict[str, Any]:
    row = {"at": format_time(NOW - timedelta(hours=hours)), "amount": amount, "destination": to, "asset": asset}
    return {name: value for name, value in row.items() if value is not None}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([sent(3, 1), sent(1, 20)], ["pass", "fail"]),
        ([sent(3, 1), sent(1, 19.9)], ["pass", "pass"]),
        ([sent(1, 20), sent(3, 1)], ["fail", "pass"]),
        ([sent(1, 1), sent(3, 20)], ["pass", "pass"]),
        ([sent(24, 1), sent(0, 20)], ["pass", "fail"]),
        ([sent(24.01, 1), sent(0, 20)], ["pass", "pass"]),
        ([sent(3, 1), sent(1, 20, "y")], ["pass", "pass"]),
        ([sent(3, 1), sent(1, 20, asset="ETH")], ["pass", "pass"]),
        ([sent(1, 1), sent(1, 20)], ["pass", "fail"]),
        ([sent(1, 0), sent(1, 0)], ["pass", "pass"]),
        ([sent(5, 1), sent(4, 30), sent(3, 40)], ["pass", "fail", "fail"]),
        ([sent(3, 1), sent(1, None)], ["unknown", "unknown"]),
        ([sent(3, 1, None), sent(1, 20)], ["unknown", "unknown"]),
        ([sent(3, 1), sent(1, 20), {"asset": "BTC"}], ["unknown", "fail", "unknown"]),
        ([sent(1, 500)], ["pass"]),
    ],
)
def test_a_tiny_withdrawal_and_then_a_large_one(rows: list[dict[str, Any]], expected: list[str]) -> None:
    assert of(document({"withdrawals_complete": True}, withdrawals=rows), TESTED) == expected


def test_a_list_that_may_hold_more_may_hold_the_test() -> None:
    assert of(document(withdrawals=[sent(1, 500)]), TESTED) == ["unknown", "unknown"]
    assert of(document(withdrawals=[sent(2, 1), sent(1, 500)]), TESTED) == ["unknown", "unknown", "fail"]


def test_what_one_account_sends_says_nothing_of_another() -> None:
    whole = {"withdrawals_complete": True}
    both = [document(whole, withdrawals=[sent(3, 1)]), document(whole, withdrawals=[sent(1, 500)])]
    assert [[one.outcomes["r"].value for one in found] for found in subjects(both, TESTED)] == [["pass"], ["pass"]]


def _follows(row: dict[str, Any], rows: list[dict[str, Any]], complete: bool | None) -> bool | None:
    names = ("at", "amount", "destination", "asset")

    def whole(one: dict[str, Any]) -> bool:
        return all(one.get(name) is not None for name in names)

    def moment(one: dict[str, Any]) -> datetime:
        at = parse_time(one["at"])
        assert at is not None
        return at

    if whole(row):
        before = [
            one["amount"]
            for one in rows
            if whole(one) and all(one[name] == row[name] for name in ("destination", "asset"))
            if timedelta(0) <= moment(row) - moment(one) <= timedelta(days=1) and one["amount"] > 0
        ]
        if before and row["amount"] >= 20 * min(before):
            return True
    return False if complete and all(map(whole, rows)) else None


@settings(max_examples=15, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 2**32).map(random.Random))
def test_withdrawals_against_plain_python(chance: random.Random) -> None:
    def amount() -> float | None:
        return chance.choice([1, 2, 20, 40, 0, 500]) if chance.random() < 0.95 else None

    made = [
        document(
            {"withdrawals_complete": chance.choice([True, True, False])},
            withdrawals=[
                sent(
                    chance.choice([0, 1, 20, 24, 25, 48]), amount(), chance.choice("xy"), chance.choice(["BTC", "ETH"])
                )
                for _ in range(chance.randint(1, 6))
            ],
        )
        for _ in range(40)
    ]
    everything = rule("r", "withdrawal", Predicate(sql="TRUE", facts=("withdrawal.follows_small_test",)))
    for one, found in zip(made, subjects(made, [everything]), strict=True):
        seen = [subject for subject in found if not subject.unseen]
        for row, subject in zip(one["withdrawals"], seen, strict=True):
            expected = _follows(row, one["withdrawals"], one["account"]["withdrawals_complete"])
            assert subject.facts.get("withdrawal.follows_small_test") is expected, (row, one)
