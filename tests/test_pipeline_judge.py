"""Judged evidence: the summary of a run and each of its exit codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from auditor.model.report import Outcome, Report
from auditor.model.rule import Predicate, Severity
from auditor.pipeline import exit_code

from .engine.invented import document, judged, rule

RULES = {
    severity: rule(severity.value, "account", fact, severity=severity)
    for severity, fact in zip(
        Severity,
        (
            "account.settings_lock",
            "account.password_unique",
            "account.email_dedicated",
            "account.dedicated_device",
            "account.freeze_delegate",
        ),
        strict=True,
    )
}
FACTS = {severity: one.require.facts[0].partition(".")[2] for severity, one in RULES.items()}
ALL = tuple(RULES.values())
TIMEOUT = {"endpoint": "x", "reason": "timeout", "facts": ["account.kyc_level"]}


def held(*failing: Severity, name: str = "main", **more: Any) -> dict[str, Any]:
    """An account that passes everything but what is named."""
    return document({"name": name, **{fact: severity not in failing for severity, fact in FACTS.items()}}, **more)


def code(report: Report, fail_on: Severity = Severity.LOW, min_coverage: float = 0.5) -> int:
    return exit_code(report, fail_on=fail_on, min_coverage=min_coverage)


def test_nothing_failing_is_zero() -> None:
    assert code(judged([held()], ALL)) == 0


@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        ([Severity.LOW], 10), ([Severity.MEDIUM], 11), ([Severity.HIGH], 12), ([Severity.CRITICAL], 13),
        ([Severity.LOW, Severity.HIGH], 12), (list(Severity), 13), ([Severity.INFO], 0),
    ],
)  # fmt: skip
def test_the_worst_failing_severity_decides(failing: list[Severity], expected: int) -> None:
    assert code(judged([held(*failing)], ALL)) == expected


@pytest.mark.parametrize(
    ("fail_on", "expected"),
    [(Severity.CRITICAL, 0), (Severity.HIGH, 0), (Severity.MEDIUM, 11), (Severity.LOW, 11), (Severity.INFO, 11)],
)
def test_only_what_is_at_or_above_the_bar_counts(fail_on: Severity, expected: int) -> None:
    assert code(judged([held(Severity.MEDIUM)], ALL), fail_on) == expected


def test_the_worst_account_decides() -> None:
    report = judged([held(name="a"), held(Severity.HIGH, name="b"), held(Severity.LOW, name="c")], ALL)
    assert code(report) == 12
    assert [account.name for account in report.accounts] == ["b", "c", "a"]
    assert report.summary.worst is not None and report.summary.worst[0] == "b"


def test_a_call_that_failed_is_four_where_nothing_fails() -> None:
    report = judged([held(problems=[TIMEOUT])], ALL)
    assert code(report) == 4
    assert report.summary.incomplete_accounts == ("main",)
    assert code(judged([held(Severity.LOW, problems=[TIMEOUT])], ALL)) == 10
    assert code(judged([held(Severity.LOW, problems=[TIMEOUT])], ALL), Severity.HIGH) == 4


@pytest.mark.parametrize("reason", ["not_exposed", "not_collected", "permission_denied", "attestation_expired"])
def test_what_was_never_to_be_seen_is_no_failed_call(reason: str) -> None:
    assert code(judged([held(problems=[{"endpoint": "x", "reason": reason}])], ALL)) == 0


@pytest.mark.parametrize(
    "reason",
    [
        "invalid_key",
        "ip_not_allowed",
        "venue_maintenance",
        "venue_incident",
        "rate_limited",
        "clock_skew",
        "malformed_response",
        "implausible_response",
        "account_frozen",
        "venue_closed",
    ],
)
def test_an_account_that_could_not_be_collected_is_four(reason: str) -> None:
    assert code(judged([held(problems=[{"endpoint": "x", "reason": reason}])], ALL)) == 4


def test_a_rule_in_error_is_four_and_leaves_the_others_alone() -> None:
    broken = rule("broken", "account", Predicate(sql="error('x')", facts=()), severity=Severity.INFO)
    report = judged([held()], (*ALL, broken))
    outcomes = {finding.rule: finding.outcome for finding in report.accounts[0].findings}
    assert outcomes == {**{severity.value: Outcome.PASS for severity in Severity}, "broken": Outcome.ERROR}
    assert code(report) == 4
    assert code(judged([held(Severity.HIGH)], (*ALL, broken))) == 12


def test_a_rule_in_error_counts_as_unknown_in_the_score() -> None:
    broken = rule("broken", "account", Predicate(sql="error('x')", facts=()), severity=Severity.CRITICAL)
    [account] = judged([held()], (*ALL, broken)).accounts
    assert (account.score.low, account.score.high) == (40, 100)


def test_coverage_under_the_floor_is_four() -> None:
    unknown = judged([document({FACTS[Severity.HIGH]: True})], ALL)
    covered = unknown.accounts[0].score.coverage
    assert covered is not None and 0 < covered < 0.5
    assert unknown.summary.coverage == covered
    assert code(unknown) == 4
    assert code(unknown, min_coverage=covered) == 0
    assert code(unknown, min_coverage=0) == 0
    assert code(judged([held(), document({"name": "other"})], ALL)) == 4


def test_where_nothing_weighs_no_coverage_is_missing() -> None:
    report = judged([held()], (RULES[Severity.INFO],))
    assert (report.summary.coverage, code(report)) == (None, 0)


def test_the_summary_counts_findings_and_open_rules_once() -> None:
    keys = rule("keys", "api_key", "api_key.ip_bound")
    report = judged(
        [document(api_keys=[{"ip_bound": False}, {"ip_bound": False, "label": "x"}, {}]), document({"name": "b"})],
        (keys, RULES[Severity.LOW]),
    )
    assert report.summary.findings == {severity: 2 if severity is Severity.HIGH else 0 for severity in Severity}
    assert report.summary.unknown_rules == 3  # low in both; keys in b, for in main it fails already
    assert report.summary.accounts == 2


def test_accounts_of_one_name_do_not_depend_on_their_order() -> None:
    two = [held(), {**held(), "collected_at": "2026-11-19T10:00:00Z"}, document({"exchange": "elsewhere"})]
    assert judged(two, ALL).accounts == judged(two[::-1], ALL).accounts


def test_the_share_of_what_was_stated() -> None:
    def shares(**sources: str) -> tuple[float | None, float | None]:
        given = {path.replace("__", "."): {"by": by} for path, by in sources.items()}
        rules = (rule("a", "account", "account.settings_lock"), rule("v", "vendor", "vendor.second_factor"))
        one = document(
            {"settings_lock": True, "vendors_complete": True}, vendors=[{"second_factor": True}], sources=given
        )
        [account] = judged([one], rules).accounts
        return account.score.observed, account.score.attested

    assert shares() == (1, 0)
    assert shares(account__settings_lock="attest") == (0.5, 0.5)
    assert shares(account__settings_lock="api") == (1, 0)
    assert shares(vendors="attest") == (0.5, 0.5)
    assert shares(vendors="attest", account="attest") == (0, 1)


def test_a_report_of_no_account_is_a_report() -> None:
    report = judged([], ALL)
    assert (report.summary.accounts, report.summary.worst, code(report)) == (0, None, 0)


def test_the_severity_of_a_rule_is_what_counts_and_not_its_name() -> None:
    renamed = replace(RULES[Severity.CRITICAL], severity=Severity.LOW)
    assert code(judged([held(Severity.CRITICAL)], (renamed,))) == 10
