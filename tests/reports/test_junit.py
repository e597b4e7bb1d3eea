"""JUnit XML, read back by junitparser and held to Jenkins' XSD."""

from dataclasses import replace

import pytest

from auditor.model.report import Outcome
from auditor.reports import junit
from tests.reports.invented import bad_account, report
from tests.reports.validators import read_junit


def cases(value, **options):
    return [case for suite in read_junit(junit.render(value, **options)) for case in suite]


def case_of(outcome, **options):
    account = bad_account()
    one = replace(account.findings[0], outcome=outcome)
    (case,) = cases(report(replace(account, findings=(one,))), **options)
    return case


def test_one_suite_an_account_and_one_case_a_finding():
    suites = list(read_junit(junit.render(report())))
    assert [(suite.name, suite.tests) for suite in suites] == [("main-okx", 10), ("desk-gate", 4)]
    names = [(case.classname, case.name) for case in cases(report())]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("outcome", "tag", "kind"),
    [
        (Outcome.FAIL, "failure", "fail"),
        (Outcome.UNKNOWN, "error", "unknown"),
        (Outcome.ERROR, "error", "error"),
        (Outcome.NOT_APPLICABLE, "skipped", "not_applicable"),
    ],
)
def test_outcomes(outcome, tag, kind):
    (result,) = case_of(outcome).result
    assert (result._tag, result.type) == (tag, kind)
    assert result.message


def test_a_pass_has_no_result():
    assert case_of(Outcome.PASS).result == []


def test_an_unknown_may_be_skipped_and_is_never_a_pass():
    case = case_of(Outcome.UNKNOWN, junit_unknown="skipped")
    assert case.is_skipped and case.result[0].type == "unknown" and "nobody knows" in case.result[0].message
    assert not case_of(Outcome.UNKNOWN).is_passed
    (result,) = case_of(Outcome.ERROR, junit_unknown="skipped").result
    assert result._tag == "error"


def test_an_accepted_risk_is_skipped_and_says_so():
    (case,) = [case for case in cases(report()) if "key-trade-without-ip-binding" in case.name]
    assert case.is_skipped and "Accepted until 2027-01-31" in case.result[0].message


def test_counts_agree_with_the_cases():
    for suite in read_junit(junit.render(report())):
        kinds = [case.result[0]._tag if case.result else "pass" for case in suite]
        assert (suite.failures, suite.errors, suite.skipped) == tuple(map(kinds.count, ("failure", "error", "skipped")))


def test_what_fails_says_why_and_what_to_do():
    text = cases(report())[0].result[0].text
    assert "Why: Whoever copies the secret" in text
    assert "2. Choose the key, then Edit, and untick Withdraw." in text
    assert "api_key.ip_bound = false (api: GET /api/v5/account/config)" in text


def test_a_run_without_accounts_is_no_success():
    suites = read_junit(junit.render(replace(report(), accounts=())))
    assert (suites.tests, suites.errors) == (1, 1)
    assert "No account was audited." in junit.render(replace(report(), accounts=())).decode()


def test_what_went_wrong_beside_the_evidence_is_said():
    assert "the waiver of finding 0123456789abcdef was not used" in junit.render(report()).decode()
