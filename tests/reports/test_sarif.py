"""SARIF as GitHub's code scanning takes it: what it asks for beyond the schema, and what must not become an alert."""

from dataclasses import replace

import pytest

from auditor.model.report import Outcome
from auditor.model.rule import Severity
from auditor.reports import sarif
from tests.reports.invented import bad_account, dim_account, hostile, report
from tests.reports.validators import read_sarif


def run_of(value):
    (run,) = read_sarif(sarif.render(value))["runs"]
    return run


def test_only_fails_are_results():
    run = run_of(report())
    fails = [item.id for account in report().accounts for item in account.findings if item.outcome is Outcome.FAIL]
    assert [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]] == fails
    assert {result["kind"] for result in run["results"]} == {"fail"}


def test_every_result_has_what_github_needs():
    run = run_of(report())
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert place["region"]["startLine"] >= 1
        assert "://" not in place["artifactLocation"]["uri"] and not place["artifactLocation"]["uri"].startswith("/")
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] == rules[result["ruleIndex"]]["defaultConfiguration"]["level"]
    assert [rule["id"] for rule in rules] == sorted({rule["id"] for rule in rules})
    for rule in rules:
        assert rule["shortDescription"]["text"] and rule["fullDescription"]["text"]
        assert len(rule["fullDescription"]["text"]) <= 1024
        assert rule["help"]["text"] and rule["help"]["markdown"]
        assert len(rule["properties"]["tags"]) <= 20


def test_severities_are_those_github_shows():
    bounds = {"critical": (9.0, 10.0), "high": (7.0, 8.9), "medium": (4.0, 6.9), "low": (0.1, 3.9)}
    account = bad_account()
    for severity in Severity:
        one = replace(account.findings[0], severity=severity)
        (rule,) = run_of(report(replace(account, findings=(one,))))["tool"]["driver"]["rules"]
        shown = rule["properties"].get("security-severity")
        if severity is Severity.INFO:
            assert shown is None
        else:
            assert isinstance(shown, str) and bounds[severity][0] <= float(shown) <= bounds[severity][1]
    assert sarif.LEVELS[Severity.CRITICAL] == "error" and sarif.LEVELS[Severity.INFO] == "note"


def test_what_nobody_could_decide_is_no_alert_and_is_not_lost():
    run = run_of(report())
    (invocation,) = run["invocations"]
    said = " ".join(note["message"]["text"] for note in invocation["toolExecutionNotifications"])
    assert "main-okx: 17.9 to 61.4 of 100; 58.1% of what matters could be seen." in said
    assert "desk-gate: 2 rules undecided because the exchange was under maintenance" in said
    assert "monitor-log-readable could not be evaluated" in said
    assert "users/subaccount/list: the key may not read it" in said
    assert "the waiver of finding 0123456789abcdef was not used" in said
    open_ = {item.id for item in bad_account().findings if item.outcome in {Outcome.UNKNOWN, Outcome.ERROR}}
    assert set(run["properties"]["accounts"][0]["undecided"]) == open_


def test_a_run_says_that_it_did_not_go_well():
    assert run_of(report())["invocations"][0]["executionSuccessful"] is False
    good = bad_account()
    good = replace(good, findings=tuple(item for item in good.findings if item.outcome is not Outcome.ERROR))
    value = report(good)
    value = replace(value, summary=replace(value.summary, incomplete_accounts=()), problems=())
    assert run_of(value)["invocations"][0]["executionSuccessful"] is True


def test_nothing_of_the_machine_is_told():
    (invocation,) = run_of(report())["invocations"]
    assert set(invocation) == {"executionSuccessful", "startTimeUtc", "endTimeUtc", "toolExecutionNotifications"}


def test_an_accepted_risk_is_a_suppressed_result():
    results = run_of(report())["results"]
    suppressed = [result for result in results if result["suppressions"]]
    assert [result["ruleId"] for result in suppressed] == ["key-trade-without-ip-binding"]
    (one,) = suppressed[0]["suppressions"]
    assert (one["kind"], one["status"]) == ("external", "accepted") and "tax program ends" in one["justification"]
    without = run_of(report(dim_account()))["results"]
    assert all("suppressions" not in result for result in without)


def test_a_baseline_is_told_for_all_results_or_for_none():
    account = bad_account()
    assert all("baselineState" not in result for result in run_of(report(account))["results"])
    known = tuple(replace(item, baseline="unchanged") for item in account.findings)
    states = [result["baselineState"] for result in run_of(report(replace(account, findings=known)))["results"]]
    assert states == ["unchanged"] * 4


@pytest.mark.parametrize(
    ("label", "shown"),
    [("[click](https://evil.invalid)", "\\[click\\](https://evil.invalid)"), ("{0}{{x}}", "{{0}}{{{{x}}}}")],
)
def test_a_label_is_no_link_and_no_placeholder(label, shown):
    results = run_of(report(hostile(label)))["results"]
    assert f"Key {shown} can withdraw" in results[0]["message"]["text"]


def test_more_results_than_github_takes_go_into_a_further_run(monkeypatch):
    monkeypatch.setattr(sarif, "_MOST_RESULTS", 2)
    runs = read_sarif(sarif.render(report()))["runs"]
    assert [len(run["results"]) for run in runs] == [2, 2, 1]
    assert len({run["automationDetails"]["id"].rpartition("/")[0] for run in runs}) == 3


def test_nothing_failing_is_a_valid_log():
    value = report(replace(bad_account(), findings=bad_account().findings[4:5]))
    assert run_of(value)["results"] == []
    empty = replace(value, accounts=())
    assert "No account was audited." in str(run_of(empty)["invocations"])


def test_samples_are_called_samples():
    assert "samples served by the embedded twin" in str(run_of(report())["invocations"])
    assert run_of(report())["properties"]["sample"] is True
    assert "embedded twin" not in str(run_of(report(sample=False)))
