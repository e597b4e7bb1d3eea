"""The cases of rules: run with the engine that judges real accounts, and told apart where they do not hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from auditor import cases
from auditor.model.rule import Predicate, Rule

from .engine.invented import rule, shipped

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def failures(one: Rule, *given: dict[str, Any]) -> list[tuple[str, str, str]]:
    cased = replace(
        one, cases=tuple({"name": f"case {n}", **case} for n, case in enumerate(given)), file="rules/x.yaml"
    )
    return [(failure.case, failure.expected, failure.got) for failure in cases.run([cased], now=NOW)]


KEYS = rule("keys", "api_key", "api_key.ip_bound", "api_key.can_withdraw")


def test_every_shipped_case_holds() -> None:
    assert cases.run(shipped(), now=NOW) == []


def test_a_case_that_does_not_hold_is_named() -> None:
    cased = replace(
        KEYS,
        cases=({"name": "wrong", "api_keys": [{"can_withdraw": True, "ip_bound": False}], "expect": "pass"},),
        file="rules/keys.yaml",
    )
    assert cases.run([cased], now=NOW) == [
        cases.CaseFailure(file="rules/keys.yaml", rule="keys", case="wrong", expected="pass", got="fail")
    ]


def test_a_list_that_is_given_is_complete_and_one_left_out_was_not_seen() -> None:
    clean, mine = {"can_withdraw": True, "ip_bound": True}, {"account": {"key_inventory_complete": None}}
    assert failures(KEYS, {"api_keys": [clean], "expect": "pass"}, {"api_keys": [], "expect": "not_applicable"}) == []
    assert (
        failures(
            KEYS,
            {"expect": "unknown"},
            {"api_keys": None, "expect": "unknown"},
            {"api_keys": [clean], **mine, "expect": "unknown"},
        )
        == []
    )


@pytest.mark.parametrize(
    ("scope", "key", "require"),
    [
        ("event", "events", "event.owner_confirmed"),
        ("vendor", "vendors", "vendor.second_factor"),
        ("address", "addresses", "NOT address.skips_second_factor"),
        ("withdrawal", "withdrawals", "withdrawal.destination_recognised"),
    ],
)
def test_lists_of_every_kind(scope: str, key: str, require: str) -> None:
    one = rule("r", scope, require)
    assert failures(one, {key: [], "expect": "not_applicable"}, {key: [{}], "expect": "unknown"}) == []


def test_cases_have_a_moment_of_their_own() -> None:
    young = rule("young", "api_key", "api_key.created_at > now - INTERVAL '30' DAY")
    keys = [{"created_at": "2024-01-10T00:00:00Z"}]
    assert (
        failures(
            young,
            {"api_keys": keys, "expect": "fail"},
            {"api_keys": keys, "now": "2024-01-20T00:00:00Z", "expect": "pass"},
        )
        == []
    )


def test_the_cases_of_a_rule_know_nothing_of_other_rules() -> None:
    broken = replace(
        rule("broken", "api_key", Predicate(sql="error('x')", facts=())), cases=({"name": "b", "expect": "error"},)
    )
    fine = replace(KEYS, cases=({"name": "f", "expect": "unknown"},))
    assert cases.run([broken, fine], now=NOW) == []


def test_running_cases_changes_none_of_them() -> None:
    case = {"name": "c", "account": {"password_unique": True}, "vendors": [{"name": "x", "second_factor": True}], "expect": "unknown",
            "sources": {"account.password_unique": {"by": "attest", "expires": "2026-11-19"}, "vendor.second_factor": {"by": "attest", "expires": "2026-11-19"}}}  # fmt: skip
    before = repr(case)
    one = replace(rule("r", "account", "account.password_unique"), cases=(case,))
    assert cases.run([one], now=NOW) == cases.run([one], now=NOW) == []
    assert repr(case) == before


def test_a_case_rests_on_what_it_says_alone() -> None:
    """No venue file fills in what a case leaves out."""
    lock = rule("r", "account", "account.withdrawal_allowlist_enabled")
    assert failures(lock, {"account": {"exchange": "kraken"}, "expect": "unknown"}) == []


def test_rules_without_cases_run_none() -> None:
    assert cases.run([KEYS], now=NOW) == []
    assert cases.run([], now=NOW) == []
