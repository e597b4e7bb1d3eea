"""OCSF Compliance Findings: times, statuses, and what was observed kept apart from what was stated."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from auditor.model.report import EvidenceLine, Outcome
from auditor.reports import ocsf
from tests.reports.invented import NOW, bad_account, report
from tests.reports.validators import read_ocsf


def events_of(*findings, **more):
    account = replace(bad_account(), findings=findings) if findings else bad_account()
    return read_ocsf(ocsf.render(report(account, **more)))


def with_outcome(outcome, **more):
    (event,) = events_of(replace(bad_account().findings[0], outcome=outcome, **more))
    return event


def test_class_and_version():
    for event in events_of():
        assert (event["class_uid"], event["category_uid"], event["metadata"]["version"]) == (2003, 2, "1.8.0")
        assert event["type_uid"] == 200300 + event["activity_id"]


def test_times_are_milliseconds():
    event = events_of()[0]
    for at in (event["time"], event["finding_info"]["created_time"], event["finding_info"]["last_seen_time"]):
        assert datetime.fromtimestamp(at / 1000, tz=UTC) == NOW
    assert ocsf.milliseconds(NOW.replace(microsecond=123_000)) == ocsf.milliseconds(NOW) + 123


@pytest.mark.parametrize(
    ("outcome", "status", "name"),
    [
        (Outcome.PASS, 1, "Pass"),
        (Outcome.FAIL, 3, "Fail"),
        (Outcome.UNKNOWN, 2, "Warning"),
        (Outcome.ERROR, 2, "Warning"),
        (Outcome.NOT_APPLICABLE, 99, "Not applicable"),
    ],
)
def test_outcomes(outcome, status, name):
    compliance = with_outcome(outcome)["compliance"]
    assert (compliance["status_id"], compliance["status"]) == (status, name)


def test_an_unknown_says_what_was_missing_and_an_error_that_it_is_one():
    (event,) = events_of(bad_account().findings[4])
    assert event["compliance"]["status_details"] == [
        "account.email_second_factor is missing because nobody has supplied it. Answer it with: auditor attest main-okx"
    ]
    assert "could not be evaluated" in with_outcome(Outcome.ERROR)["compliance"]["status_details"][0]


def test_an_accepted_risk_still_fails_and_is_suppressed():
    (event,) = events_of(bad_account().findings[2])
    assert (event["status_id"], event["status"], event["compliance"]["status_id"]) == (3, "Suppressed", 3)
    assert "until 2027-01-31" in event["comment"]


@pytest.mark.parametrize(
    ("baseline", "activity", "status"),
    [(None, 1, 1), ("new", 1, 1), ("unchanged", 2, 1), ("updated", 2, 1), ("absent", 3, 4)],
)
def test_drift_is_the_activity(baseline, activity, status):
    event = with_outcome(Outcome.FAIL, baseline=baseline)
    assert (event["activity_id"], event["status_id"]) == (activity, status)


def test_what_was_stated_is_an_assessment_and_no_evidence():
    seen = EvidenceLine(fact="account.a", value=True, source="api: GET /x")
    said = EvidenceLine(fact="account.b", value="sms", source="stated by the owner on 2026-11-01")
    follows = EvidenceLine(
        fact="account.c", value=1, source="follows from account.b (stated by the owner on 2026-11-01)"
    )
    event = with_outcome(Outcome.FAIL, evidence=(seen, said, follows))
    assert [one["name"] for one in event["evidences"]] == ["account.a"]
    assert event["evidences"][0]["data"] == {"value": True, "source": "api: GET /x"}
    assert [one["name"] for one in event["compliance"]["assessments"]] == ["account.b", "account.c"]
    assert {one["meets_criteria"] for one in event["compliance"]["assessments"]} == {False}
    passed = with_outcome(Outcome.PASS, evidence=(said,))["compliance"]["assessments"]
    assert passed[0]["meets_criteria"] is True
    assert "assessments" not in with_outcome(Outcome.UNKNOWN, evidence=(said,))["compliance"]


def test_techniques_of_attackers_are_no_standard():
    event = with_outcome(Outcome.FAIL, controls=("owasp-nhi/NHI5", "attack/T1550.001", "attack/T1451", "own/1"))
    assert event["compliance"]["standards"] == ["OWASP Non-Human Identities Top 10, 2025", "own"]
    assert event["compliance"]["requirements"] == ["owasp-nhi/NHI5", "own/1"]
    assert event["finding_info"]["attacks"] == [
        {"technique": {"uid": "T1550", "name": "T1550"}, "sub_technique": {"uid": "T1550.001"}},
        {"technique": {"uid": "T1451", "name": "T1451"}},
    ]


def test_events_are_told_apart_and_each_stands_on_a_line():
    events = events_of()
    assert len({event["metadata"]["uid"] for event in events}) == len(events)
    lines = ocsf.render(report(bad_account())).decode().splitlines()
    assert len(lines) == len(events) + 2


def test_no_finding_is_an_empty_array():
    assert ocsf.render(replace(report(), accounts=())) == b"[]\n"


def test_samples_are_labelled():
    assert events_of()[0]["metadata"]["labels"] == ["sample"]
    assert events_of(sample=False)[0]["metadata"]["labels"] == []


def test_the_validator_refuses_what_is_not_in_the_schema():
    import json

    events = json.loads(ocsf.render(report()))
    for spoil in (
        lambda event: event.update(nonsense=1),
        lambda event: event["compliance"].update(status_id=4),
        lambda event: event["compliance"].update(compliance_standards=[]),
        lambda event: event.pop("time"),
        lambda event: event["finding_info"].pop("uid"),
        lambda event: event.update(severity_id=7),
    ):
        altered = json.loads(json.dumps(events))
        spoil(altered[0])
        with pytest.raises(Exception, match=r".+"):
            read_ocsf(json.dumps(altered).encode())
