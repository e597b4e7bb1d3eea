"""One report, many faces: what each format says, read back by somebody else's reader, held against the JSON."""

import json
import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor import pipeline
from auditor.model.report import Outcome
from auditor.model.rule import Severity
from auditor.reports import FORMATS
from auditor.reports._numbers import number, percent
from tests.reports.invented import BOT, TAX, bad_account, dim_account, finding, key, owner, report
from tests.reports.validators import READERS

WAIVER = {"reason": "known", "owner": "desk", "until": "2027-01-31"}
OPEN = (Outcome.UNKNOWN, Outcome.ERROR)


def summed(*accounts):
    """A report whose summary is what the pipeline makes of its accounts."""
    value = report(*accounts)
    return replace(value, summary=pipeline.summary(value.accounts))


def told(value):
    """The numbers of a report, from its JSON alone."""
    document = json.loads(FORMATS["json"].render(value))
    found = [(account["name"], item) for account in document["accounts"] for item in account["findings"]]
    return {
        "counts": Counter((item["severity"], item["outcome"]) for _, item in found),
        "ids": Counter((item["outcome"], item["id"]) for _, item in found),
        "waived": sum(item["waiver"] is not None for _, item in found),
        "scores": {
            account["name"]: tuple(account["score"][name] for name in ("low", "high", "coverage"))
            for account in document["accounts"]
        },
        "undecided": document["summary"]["unknown_rules"],
        "fails": document["summary"]["findings"],
    }


def shown(name, value):
    return READERS[name](FORMATS[name].render(value, verbose=True))


def printed(low, high):
    low, high = number(low), number(high)
    return low if low == high else f"{low} to {high}"


def assert_text(said, numbers):
    said = " ".join(said.split())
    totals = ", ".join(f"{numbers['fails'][severity]} {severity}" for severity in Severity if severity != "info")
    assert f"Failing findings: {totals}." in said
    assert f"Undecided rules: {numbers['undecided']}." in said
    for low, high, coverage in numbers["scores"].values():
        assert printed(low, high) in said
        assert percent(coverage) in said or coverage == 0


def assert_markdown(page, numbers, words):
    cells = [cell.strip() for cell in page.cells if cell.strip()]
    for severity in Severity:
        at = cells.index(severity.value)
        row = dict(zip(words, map(int, cells[at + 1 : at + 1 + len(words)]), strict=True))
        assert all(row[word] == numbers["counts"][severity, outcome] for outcome, word in words_of(words))
    for name, (low, high, coverage) in numbers["scores"].items():
        at = cells.index(name)
        assert cells[at + 2] == printed(low, high)
        assert percent(coverage) in cells[at + 3 : at + 5]


def words_of(words):
    return zip(Outcome if words[0] == "pass" else MARKDOWN_ORDER, words, strict=True)


MARKDOWN_ORDER = (Outcome.FAIL, Outcome.UNKNOWN, Outcome.ERROR, Outcome.PASS, Outcome.NOT_APPLICABLE)


def from_sarif(document):
    (run,) = document["runs"]
    counts, undecided = Counter(), Counter()
    for account in run["properties"]["accounts"]:
        counts += Counter(
            {(severity, outcome): n for severity, row in account["findings"].items() for outcome, n in row.items()}
        )
        undecided += Counter(account["undecided"])
    return {
        "counts": counts,
        "fails": Counter(result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]),
        "undecided": undecided,
        "waived": sum(bool(result.get("suppressions")) for result in run["results"]),
        "scores": {
            one["name"]: (one["score"]["low"], one["score"]["high"], one["score"]["coverage"])
            for one in run["properties"]["accounts"]
        },
    }


def assert_sarif(document, numbers):
    found = from_sarif(document)
    assert found["counts"] == +numbers["counts"]
    assert found["scores"] == numbers["scores"]
    assert found["waived"] == numbers["waived"]
    assert found["fails"] == Counter({id_: n for (outcome, id_), n in numbers["ids"].items() if outcome == "fail"})
    assert found["undecided"] == Counter(
        {id_: n for (outcome, id_), n in numbers["ids"].items() if outcome in {"unknown", "error"}}
    )
    levels = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
    assert Counter(result["level"] for result in document["runs"][0]["results"]) == sum(
        (Counter({levels[severity]: n}) for (severity, outcome), n in numbers["counts"].items() if outcome == "fail"),
        Counter(),
    )


def assert_ocsf(events, numbers):
    statuses = {1: {"pass"}, 2: {"unknown", "error"}, 3: {"fail"}, 99: {"not_applicable"}}
    severities = {5: "critical", 4: "high", 3: "medium", 2: "low", 1: "info"}
    assert Counter((severities[one["severity_id"]], one["unmapped"]["outcome"]) for one in events) == numbers["counts"]
    assert Counter((one["unmapped"]["outcome"], one["finding_info"]["uid"]) for one in events) == numbers["ids"]
    assert all(one["unmapped"]["outcome"] in statuses[one["compliance"]["status_id"]] for one in events)
    assert sum(one["status_id"] == 3 for one in events) == numbers["waived"]
    for one in events:
        account = one["unmapped"]["account"]
        assert tuple(account[name] for name in ("low", "high", "coverage")) == numbers["scores"][account["name"]]


def assert_csv(rows, numbers):
    assert Counter((row["severity"], row["outcome"]) for row in rows) == numbers["counts"]
    assert Counter((row["outcome"], row["finding"]) for row in rows) == numbers["ids"]
    assert sum(row["waiver_until"] != "" for row in rows) == numbers["waived"]
    for row in rows:
        scores = tuple(float(row[name]) if row[name] else None for name in ("score_low", "score_high", "coverage"))
        assert scores == numbers["scores"][row["account"]]


def assert_junit(suites, numbers):
    kinds, ids = Counter(), Counter()
    for suite in suites:
        score = {one.name: one.value for one in suite.properties()}
        scores = tuple(float(score[f"score.{name}"]) for name in ("low", "high", "coverage"))
        assert scores == numbers["scores"][suite.name]
        for case in suite:
            kind = case.result[0].type if case.result else "pass"
            kinds[{"waived": "fail"}.get(kind, kind)] += 1
            ids[{"waived": "fail"}.get(kind, kind), re.search(r"\[(\w+)\]$", case.name)[1]] += 1
            assert kind != "waived" or case.is_skipped
    expected = Counter()
    for (_, outcome), n in numbers["counts"].items():
        expected[outcome] += n
    assert kinds == expected
    assert ids == numbers["ids"]
    assert (suites.tests, suites.failures) == (sum(expected.values()), expected["fail"] - numbers["waived"])
    assert suites.errors == expected["unknown"] + expected["error"]


def assert_prometheus(families, numbers):
    found = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    counts = Counter()
    for sample in found["auditor_findings"]:
        counts[sample.labels["severity"], sample.labels["outcome"]] += int(sample.value)
    assert +counts == Counter(
        {pair: n for pair, n in numbers["counts"].items() if pair[1] in {"fail", "unknown", "error"}}
    )
    for metric, place in (("auditor_score_low", 0), ("auditor_score_high", 1), ("auditor_coverage_ratio", 2)):
        assert {one.labels["account"]: one.value for one in found[metric]} == {
            name: scores[place] for name, scores in numbers["scores"].items()
        }


CHECKS = {
    "text": assert_text,
    "html": lambda said, numbers: assert_text(re.sub(r"<[^>]*>", "", said), numbers),
    "json": lambda document, numbers: None,
    "markdown": lambda page, numbers: assert_markdown(page, numbers, ("fail", "undecided", "in error", "pass", "n/a")),
    "checklist": lambda page, numbers: assert_markdown(page, numbers, ("pass", "fail", "unknown", "n/a", "error")),
    "sarif": assert_sarif,
    "ocsf": assert_ocsf,
    "csv": assert_csv,
    "junit": assert_junit,
    "prometheus": assert_prometheus,
}


def test_every_format_is_compared():
    assert set(CHECKS) == set(FORMATS) == set(READERS)


@pytest.mark.parametrize("name", FORMATS)
def test_the_invented_report(name):
    value = summed(bad_account(), dim_account())
    CHECKS[name](shown(name, value), told(value))


OUTCOMES = st.tuples(st.sampled_from(list(Severity)), st.sampled_from(list(Outcome)), st.booleans(), st.integers(0, 5))


@st.composite
def accounts(draw, name="one-desk"):
    """An account of any outcomes and any score: what findings and score have to do with each other is not the formats' business."""
    subjects = [owner(name), key(BOT, "bot"), key(TAX, "tax")]
    found = {}
    for severity, outcome, waived, rule in draw(st.lists(OUTCOMES, min_size=1, max_size=12)):
        for subject in subjects[: draw(st.integers(1, 3))]:
            waiver = WAIVER if waived and outcome is Outcome.FAIL else None
            one = finding(f"rule-{rule}", severity, outcome, subject, "Said", account=name, waiver=waiver)
            found[one.id] = one
    ends = sorted(draw(st.tuples(st.floats(0, 100), st.floats(0, 100))))
    score = replace(bad_account().score, low=ends[0], high=ends[1], coverage=draw(st.floats(0.01, 1)))
    return replace(bad_account(), name=name, score=score, findings=tuple(found.values()), with_waivers=None, causes=())


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"html", "text"}))
@settings(max_examples=25, deadline=None)
@given(first=accounts(), second=accounts("two-desk"))
def test_any_report(name, first, second):
    value = summed(first, second)
    CHECKS[name](shown(name, value), told(value))


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"html", "text"}))
def test_the_comparison_would_notice(name):
    """The same report with one finding turned from unknown to pass: a format that is not told apart is not compared."""
    value = summed(bad_account(), dim_account())
    account = bad_account()
    lied = tuple(
        replace(item, outcome=Outcome.PASS) if item.outcome is Outcome.UNKNOWN else item for item in account.findings
    )
    other = summed(replace(account, findings=lied), dim_account())
    if name != "json":
        with pytest.raises(AssertionError):
            CHECKS[name](shown(name, other), told(value))
