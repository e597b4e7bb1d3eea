"""The Prometheus textfile, read back by the official parser (and by promtool, where it is installed)."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from auditor.model.report import Drift, Outcome
from auditor.model.rule import Severity
from auditor.reports import FORMATS
from tests.reports.invented import bad_account, dim_account, report


def samples(value):
    """Metric -> [(labels, value)], by the official parser; it refuses what is malformed."""
    text = FORMATS["prometheus"].render(value).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge" and family.documentation
        for sample in family.samples:
            assert sample.timestamp is None and math.isfinite(sample.value)
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def one(value, name, **labels):
    """The one sample of a metric with these labels; None where there is none."""
    [*hits] = [number for held, number in samples(value).get(name, []) if labels.items() <= held.items()]
    assert len(hits) <= 1, hits
    return hits[0] if hits else None


def test_the_numbers_are_those_of_the_report():
    value = report()
    for account in value.accounts:
        who = {"account": account.name, "exchange": account.exchange}
        assert one(value, "auditor_score_low", **who) == pytest.approx(account.score.low, abs=1e-4)
        assert one(value, "auditor_score_high", **who) == pytest.approx(account.score.high, abs=1e-4)
        assert one(value, "auditor_coverage_ratio", **who) == pytest.approx(account.score.coverage, abs=1e-4)
        for severity in Severity:
            for outcome in (Outcome.FAIL, Outcome.UNKNOWN, Outcome.ERROR):
                counted = sum(item.severity is severity and item.outcome is outcome for item in account.findings)
                named = {"severity": severity.value, "outcome": outcome.value}
                assert one(value, "auditor_findings", **who, **named) == counted
    assert one(value, "auditor_findings_waived", account="main-okx", severity="medium") == 1
    assert one(value, "auditor_score_low_with_waivers", account="main-okx") == pytest.approx(18.7261)
    assert one(value, "auditor_score_low_with_waivers", account="desk-gate") is None


def test_a_list_nobody_saw_has_no_count():
    value = report()
    assert one(value, "auditor_api_keys", account="desk-gate") is None
    assert one(value, "auditor_api_keys_complete", account="desk-gate") is None
    assert one(value, "auditor_api_keys", account="main-okx") == len(bad_account().inventory.api_keys)
    empty = replace(bad_account(), inventory=replace(bad_account().inventory, api_keys=(), complete=True))
    assert one(report(empty), "auditor_api_keys", account="main-okx") == 0
    assert one(report(empty), "auditor_api_keys_complete", account="main-okx") == 1


def test_only_a_complete_reading_counts_as_a_success():
    value = report()
    assert "desk-gate" in value.summary.incomplete_accounts
    assert one(value, "auditor_last_success_timestamp_seconds", account="desk-gate") is None
    assert one(value, "auditor_complete", account="desk-gate") == 0
    when = bad_account().collected_at.timestamp()
    assert one(value, "auditor_last_success_timestamp_seconds", account="main-okx") == when
    assert one(value, "auditor_last_audit_timestamp_seconds", account="desk-gate") == when


def test_a_score_of_nothing_is_no_zero():
    account = dim_account()
    blank = replace(account, score=replace(account.score, low=None, high=None, grade=None, coverage=None))
    for name in ("auditor_score_low", "auditor_score_high", "auditor_coverage_ratio"):
        assert one(report(blank), name) is None


def test_drift_is_counted_where_it_was_asked_for():
    subject = bad_account().findings[0].subject
    drift = tuple(Drift(kind=kind, subject=subject, what="x") for kind in ("new", "new", "doubted"))
    value = report(replace(bad_account(), drift=drift))
    counted = {labels["kind"]: number for labels, number in samples(value)["auditor_drift"]}
    assert counted == {"new": 2, "removed": 0, "widened": 0, "changed": 0, "doubted": 1}
    assert "auditor_drift" not in samples(report(replace(bad_account(), drift=None)))


def test_an_account_that_stands_twice_has_one_sample_the_newest():
    old, new = bad_account(), replace(bad_account(), collected_at=bad_account().collected_at + timedelta(days=1))
    new = replace(new, score=replace(new.score, low=55.5, high=60.0))
    for order in ((old, new), (new, old)):
        assert one(report(*order), "auditor_score_low", account="main-okx") == 55.5


def test_samples_are_said_to_be_samples():
    assert "samples served by the embedded twin" in FORMATS["prometheus"].render(report()).decode()
    assert one(report(), "auditor_info", sample="true") == 1
    assert one(report(sample=False), "auditor_info", sample="false") == 1
    assert "embedded twin" not in FORMATS["prometheus"].render(report(sample=False)).decode()


@given(st.text(max_size=300), st.text(max_size=40))
def test_any_name_is_one_label_and_comes_back(name, exchange):
    account = replace(bad_account(), name=name, exchange=exchange)
    text = FORMATS["prometheus"].render(report(account)).decode()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]", text)
    [(labels, _)] = samples(report(account))["auditor_score_low"]
    assert set(labels) == {"account", "exchange"} and len(labels["account"]) <= 128 * 10 + 1


@pytest.mark.parametrize("name", ['a"} 1\nevil 2', "a\\", 'a\\"', "a\nb", "\\n", "x" * 10_000, "a\ud800b", ""])
def test_hostile_names_add_no_line(name):
    plain = FORMATS["prometheus"].render(report(bad_account())).decode().count("\n")
    hostile = replace(bad_account(), name=name)
    assert FORMATS["prometheus"].render(report(hostile)).decode().count("\n") == plain
    assert not [held for held in samples(report(hostile)) if not held.startswith("auditor_")]


def test_no_key_label_or_fingerprint_is_in_it():
    account = bad_account()
    text = FORMATS["prometheus"].render(report()).decode()
    for finding in account.findings:
        assert finding.id not in text
        assert not finding.subject.label or finding.subject.label not in text or finding.subject.type == "account"
    for row in account.inventory.api_keys:
        assert row["label"] not in text


def test_promtool_finds_nothing_wrong():
    promtool = shutil.which("promtool")
    if promtool is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("promtool is missing: apt install prometheus")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=FORMATS["prometheus"].render(report()), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
