"""All formats of one Report: the golden files, the same numbers everywhere, every rule named, and nothing imported early."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.model.evidence import Reason
from auditor.model.report import Outcome
from auditor.model.rule import Severity
from auditor.reports import FORMATS, _words
from auditor.reports._numbers import exact, number, percent, times
from tests.reports import golden
from tests.reports.invented import bad_account, dim_account, report

SCREENS = ("text", "html")


def shown(name, value, **options):
    return FORMATS[name].render(value, **options).decode()


@pytest.mark.parametrize("name", [f"report.{form.suffix}" for form in FORMATS.values()])
def test_golden_files_are_what_is_rendered(name):
    assert golden.rendered()[name].decode() == (golden.FOLDER / name).read_bytes().decode(), (
        "if the new output is right: python -m tests.reports.golden"
    )


@pytest.mark.parametrize("name", FORMATS)
def test_rendering_is_pure(name):
    assert FORMATS[name].render(report()) == FORMATS[name].render(report())


def test_every_format_tells_the_same_numbers():
    value = report()
    document = json.loads(shown("json", value))
    text, html = " ".join(shown("text", value).split()), shown("html", value)
    for account in document["accounts"]:
        for score in filter(None, (account["score"], account["with_waivers"])):
            interval = f"{number(score['low'])} to {number(score['high'])}"
            assert interval in text
            assert interval in html
        assert percent(account["score"]["coverage"]) in text
        assert percent(account["score"]["coverage"]) in html
    counts = document["summary"]["findings"]
    totals = "Failing findings: " + ", ".join(
        f"{counts[severity]} {severity}" for severity in Severity if severity != "info"
    )
    assert f"{totals}. Undecided rules: {document['summary']['unknown_rules']}." in text
    assert f"{totals}. Undecided rules: {document['summary']['unknown_rules']}." in html
    fails = [item for account in document["accounts"] for item in account["findings"] if item["outcome"] == "fail"]
    assert sum(counts.values()) == len(fails)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "prometheus"])  # numbers only, and few of them
def test_every_rule_is_named(name):
    for account in (bad_account(), dim_account()):
        orphaned = replace(account, causes=())
        for value in (report(account), report(orphaned)):
            said = "".join(shown(name, value, verbose=True).split())
            for finding in account.findings:
                assert "".join(finding.rule.split()) in said, finding.rule


@pytest.mark.parametrize("name", SCREENS)
@pytest.mark.parametrize("coverage", [0.0, 0.12, 0.4999, None])
def test_under_the_floor_there_is_no_letter_and_the_questions_lead(name, coverage):
    account = dim_account()
    account = replace(account, score=replace(account.score, coverage=coverage))
    said = shown(name, report(account))
    assert "F-A" not in said
    assert "50%" not in said.replace("where 50% is the least", "")
    assert said.index("Is any second factor switched on?") < said.index("What fails, worst first")
    assert said.index("4 rules: 1 fails, 2 undecided") < said.index("What fails, worst first")


@pytest.mark.parametrize("name", SCREENS)
def test_the_floor_is_an_option_and_belongs_to_it(name):
    account = replace(dim_account(), score=replace(dim_account().score, coverage=0.5))
    assert "grade F-A" in shown(name, report(account))
    assert "F-A" not in shown(name, report(account), min_coverage=0.51)
    assert "grade F-A" in shown(name, report(dim_account()), min_coverage=0.1)


@pytest.mark.parametrize("name", SCREENS)
def test_samples_are_called_samples_before_anything_else(name):
    said = shown(name, report())
    assert 0 <= said.index("samples served by the embedded twin") < said.index("main-okx")
    assert "embedded twin" not in shown(name, report(sample=False))


@pytest.mark.parametrize("name", SCREENS)
def test_nothing_to_score_is_neither_good_nor_bad(name):
    score = replace(dim_account().score, low=None, high=None, grade=None, coverage=None, observed=None, attested=None)
    said = shown(name, report(replace(dim_account(), score=score, findings=(), causes=())))
    assert "nothing to score" in said
    assert "No rule applies." in said
    assert "passes." not in said


@pytest.mark.parametrize("name", SCREENS)
def test_what_nobody_knows_is_not_praised(name):
    account = bad_account()
    unknown = tuple(replace(item, outcome=Outcome.UNKNOWN, waiver=None) for item in account.findings)
    said = " ".join(shown(name, report(replace(account, findings=unknown))).split())
    assert "are undecided: that is not a pass." in said
    assert "Every rule" not in said


@pytest.mark.parametrize("name", SCREENS)
def test_a_waived_fail_is_set_apart_and_still_counts(name):
    account = bad_account()
    only = tuple(item for item in account.findings if item.waiver)
    said = shown(name, report(replace(account, findings=only, causes=())))
    assert "Failing findings: 0 critical, 0 high, 1 medium" in said
    assert "Nothing fails that was not accepted." in said
    assert "Accepted risks (still failing)" in said
    assert "What fails, worst first" not in said


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.ERROR])
@pytest.mark.parametrize("name", SCREENS)
def test_an_error_is_no_more_a_pass_than_an_unknown(name, outcome):
    account = bad_account()
    pair = (replace(account.findings[4], outcome=outcome), account.findings[7])
    said = " ".join(shown(name, report(replace(account, findings=pair))).split())
    assert "but 1 rule is undecided: that is not a pass." in said


@pytest.mark.parametrize("name", SCREENS)
def test_what_went_wrong_is_said(name):
    said = " ".join(re.sub(r"</?code>", "", shown(name, report())).split())
    assert "users/subaccount/list: the key may not read it (50120: no permission)" in said
    assert "account/detail: the exchange was under maintenance" in said


def test_a_permission_nobody_knows_is_not_a_permission_denied():
    account = bad_account()
    keys = ({"label": "dark", "can_read": True, "can_trade": False},)
    said = shown("html", report(replace(account, inventory=replace(account.inventory, api_keys=keys))))
    row = said[said.index("dark (id unknown)") :]
    cells = [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)[:7]]
    assert cells == ["read", "transfer, withdraw, manage", "unknown", "unknown", "unknown", "unknown", "unknown"]


@pytest.mark.parametrize("name", SCREENS)
def test_an_accepted_fail_does_not_hide_what_is_unknown_of_the_same_rule(name):
    account = bad_account()
    accepted, unseen = account.findings[2], account.findings[5]
    pair = (accepted, replace(unseen, rule=accepted.rule, severity=accepted.severity))
    said = shown(name, report(replace(account, findings=pair)))
    assert "Nothing that could be seen fails, but 1 rule is undecided: that is not a pass." in " ".join(said.split())
    assert "Nothing fails that was not accepted." not in said


def test_evidence_of_several_subjects_is_told_apart():
    account = bad_account()
    first = account.findings[0]
    second = replace(first, subject=account.findings[2].subject)
    value = report(replace(account, findings=(first, second)))
    for name in SCREENS:
        said = " ".join(shown(name, value, verbose=True).split())
        assert "API key “grid bot” (…c3d4): api_key.ip_bound = false" in said
        assert "API key “tax program” (…9e0f): api_key.ip_bound = false" in said


def test_unknowns_without_a_cause_say_what_was_missing_and_how_to_supply_it():
    value = report(replace(bad_account(), causes=()))
    for name in SCREENS:
        said = " ".join(shown(name, value).split())
        assert "account.email_second_factor is missing because nobody has supplied it." in said
        assert "Answer it with: auditor attest main-okx" in said


@pytest.mark.parametrize("name", SCREENS)
def test_a_list_that_was_not_seen_is_not_an_empty_one(name):
    account = bad_account()

    def said(keys, complete):
        inventory = replace(account.inventory, api_keys=keys, complete=complete)
        return " ".join(shown(name, report(replace(account, inventory=inventory))).split())

    assert "The list of API keys could not be seen." in said(None, None)
    assert "0 API keys seen, and the list is complete." in said((), True)
    assert "0 API keys seen, and nobody knows whether that is all." in said((), None)
    assert "0 API keys seen, but the list is not complete." in said((), False)


@pytest.mark.parametrize("name", FORMATS)
def test_a_run_without_accounts_renders(name):
    value = report()
    summary = replace(value.summary, accounts=0, worst=None, incomplete_accounts=(), coverage=None, grades={})
    said = shown(name, replace(value, accounts=(), summary=summary))
    otherwise = {"json": '"accounts": []', "ocsf": "[]", "csv": "account,exchange", "prometheus": "auditor_accounts 0"}
    assert otherwise.get(name, "No account was audited") in said


@pytest.mark.parametrize("name", SCREENS)
def test_a_thousand_keys_with_one_fault_are_one_issue(name):
    account = bad_account()
    first = account.findings[0]
    many = tuple(
        replace(first, subject=replace(first.subject, fingerprint=f"{place:016x}", label=f"key {place}"))
        for place in range(1000)
    )
    said = shown(name, report(replace(account, findings=many)))
    limit = {"text": 8, "html": 50}[name]
    assert said.count(first.title) == 1
    assert f"and {1000 - limit} more of the same" in said
    assert len(said) < 60_000


@given(st.floats(0, 100))
def test_rounding_never_reaches_a_grade_the_score_missed(value):
    kept = exact(value)
    screen = float(number(value))
    assert abs(screen - kept) <= 0.1
    assert int(screen) == int(kept)
    assert number(value) == number(kept)


def test_rounding_by_example():
    assert [number(value) for value in (0, 17.97704, 54.975, 61.44, 61.45, 89.9999, 89.99999, 99.96, 100)] == [
        "0", "17.9", "54.9", "61.4", "61.5", "89.9", "90", "99.9", "100",
    ]  # fmt: skip
    assert [percent(share) for share in (0, 0.29, 0.4999, 0.58, 0.999, 1)] == [
        "0%",
        "29%",
        "49.9%",
        "58%",
        "99.9%",
        "100%",
    ]
    assert [times(factor) for factor in (1, 1.0101, 1.25, 2.5, 10)] == [
        "\u00d71",
        "\u00d71.01",
        "\u00d71.25",
        "\u00d72.5",
        "\u00d710",
    ]


def test_every_reason_has_words():
    assert set(_words.REASONS) == set(Reason)


def test_an_option_no_format_takes_is_left_out():
    assert FORMATS["json"].render(report(), width=60, colour=True) == FORMATS["json"].render(report())
    assert FORMATS["text"].render(report(), width=60) != FORMATS["text"].render(report())


def test_formats_are_imported_when_used():
    program = (
        "import sys; from auditor.reports import FORMATS; from tests.reports.invented import report;"
        "early = {name for name in ('jinja2', 'rich', 'jsonschema') if name in sys.modules};"
        "FORMATS['text'].render(report()); FORMATS['json'].render(report());"
        "late = {name for name in ('jinja2', 'rich', 'jsonschema') if name in sys.modules}; print(early | late)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=golden.FOLDER.parents[1]
    )
    assert done.stdout.strip() == "set()"
