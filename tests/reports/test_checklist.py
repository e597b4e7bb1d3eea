"""The checklist: every control, never more than the evidence says, and no word that claims what nobody examined."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from auditor import yamlio
from auditor.errors import UsageError
from auditor.model.report import EvidenceLine, Outcome
from auditor.reports import _frameworks, checklist
from tests.reports.invented import NOW, bad_account, dim_account, report
from tests.reports.validators import read_markdown

RULES = sorted((Path(__file__).parents[2] / "rules").glob("*.yaml"))
CLAIMS = re.compile(r"\b(complian\w*|compl(y|ies)|conform\w*|certif\w*|satisf\w*|fulfil\w*|violat\w*)\b", re.IGNORECASE)


def said(value, **options):
    return checklist.render(value, **options).decode()


def rows(text):
    """Control -> its cells, of all tables whose first cell is a control."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 6 and cells[0].startswith("`"):
            found[cells[0].split("`")[1]] = cells[1:]
    return found


def outcome_of(*outcomes, control="owasp-nhi/NHI5", **more):
    account = bad_account()
    some = tuple(
        replace(account.findings[0], outcome=one, controls=(control,), waiver=None, **more) for one in outcomes
    )
    return rows(said(report(replace(account, findings=some))))[control.partition("/")[2]][1]


@pytest.mark.parametrize(
    ("outcomes", "word"),
    [
        ((Outcome.PASS,), "evidence for"),
        ((Outcome.FAIL,), "evidence against"),
        ((Outcome.UNKNOWN,), "undecided"),
        ((Outcome.ERROR,), "undecided"),
        ((Outcome.NOT_APPLICABLE,), "does not apply"),
        ((Outcome.PASS, Outcome.UNKNOWN), "undecided"),
        ((Outcome.PASS, Outcome.ERROR), "undecided"),
        ((Outcome.PASS, Outcome.NOT_APPLICABLE), "evidence for"),
        ((Outcome.NOT_APPLICABLE, Outcome.UNKNOWN), "undecided"),
        ((Outcome.PASS, Outcome.UNKNOWN, Outcome.FAIL), "evidence against"),
    ],
)
def test_a_control_is_as_good_as_the_worst_that_bears_on_it(outcomes, word):
    assert outcome_of(*outcomes) == word


def test_every_control_of_every_framework_is_there():
    found = rows(said(report()))
    for framework in _frameworks.catalogue().values():
        for control in framework.controls:
            assert control.id in found
    assert found["NHI2"][1] == "not examined"
    assert found["NHI5"][1] == "evidence against"


def test_one_framework_is_chosen_by_any_of_its_names():
    for name in ("owasp-nhi", "OWASP", "nhi", "OWASP Non-Human Identities Top 10"):
        text = said(report(), framework=(name,))
        assert "## OWASP" in text and "## SOC 2" not in text and "## ISO" not in text
    assert [line for line in said(report(), framework=("soc2", "iso")).splitlines() if line.startswith("## ")][:2] == [
        "## SOC 2 Trust Services Criteria (2017 criteria, 2022 points of focus)",
        "## ISO/IEC 27001 Annex A (2022)",
    ]


def test_an_unknown_framework_is_refused_with_a_guess():
    for name, hint in (("iso-27002", "did you mean iso-27001?"), ("cobol", "frameworks: ")):
        with pytest.raises(UsageError) as caught:
            checklist.render(report(), framework=(name,))
        assert hint in (caught.value.hint or "")


def test_the_words_claim_nothing():
    for value in (report(), report(bad_account()), replace(report(), accounts=())):
        assert not CLAIMS.search(said(value)), CLAIMS.search(said(value))
    for framework in _frameworks.catalogue().values():
        texts = [framework.note, *(control.about for control in framework.controls)]
        assert not [text for text in texts if CLAIMS.search(text)]


def test_by_analogy_is_said():
    assert "by analogy" in said(report(), framework=("ccss",))


def test_evidence_has_its_date_and_whose_it_is():
    account = bad_account()
    seen = EvidenceLine(fact="api_key.ip_bound", value=True, source="api: GET /x")
    told = EvidenceLine(fact="account.two_factor_enabled", value=True, source="stated by the owner on 2026-10-02")
    for evidence, whose, date in (
        ((seen,), "observed", "2026-11-20"),
        ((told,), "stated by the owner", "2026-10-02 to 2026-11-20"),
        ((seen, told), "observed and stated", "2026-10-02 to 2026-11-20"),
        ((), "no fact was seen", "2026-11-20"),
    ):
        one = replace(account.findings[0], outcome=Outcome.PASS, evidence=evidence)
        cells = rows(said(report(replace(account, findings=(one,), collected_at=NOW))))["NHI5"]
        assert whose in cells[2] and cells[3] == date


def test_the_signer_is_named_or_its_absence():
    assert rows(said(report()))["NHI5"][4] == "not signed"
    text = said(report(), signer="0123456789abcdef")
    assert rows(text)["NHI5"][4] == "`0123456789abcdef`" and "Signed with the key `0123456789abcdef`" in text


def test_an_accepted_risk_stays_evidence_against():
    waived = replace(bad_account().findings[2], controls=("soc2/CC6.3",))
    text = said(report(replace(bad_account(), findings=(waived,))))
    assert rows(text)["CC6.3"][1] == "evidence against" and "1 risk accepted" in rows(text)["CC6.3"][2]
    assert "Accepted until 2027-01-31" in text


def test_a_control_nobody_described_is_listed_all_the_same():
    assert outcome_of(Outcome.FAIL, control="soc2/CC99.9") == "evidence against"


def test_rules_outside_of_the_frameworks_are_not_lost():
    text = said(report(), framework=("soc2",))
    tail = text[text.index("## Rules that bear on none of these controls") :]
    for account in report().accounts:
        for finding in account.findings:
            assert f"`{finding.rule}`" in tail


def test_every_control_a_shipped_rule_names_is_described():
    described = {f"{one.id}/{control.id}" for one in _frameworks.catalogue().values() for control in one.controls}
    named = {control for path in RULES for control in yamlio.read(path).value.get("controls", [])}
    held = {control for control in named if control.partition("/")[0] in _frameworks.catalogue()}
    assert held and not held - described
    assert {control.partition("/")[0] for control in named - held} <= {"attack", "asvs", "dora", "owasp-api"}


def test_numbers_are_told_once():
    for framework in _frameworks.catalogue().values():
        ids = [control.id for control in framework.controls]
        assert len(set(ids)) == len(ids)


def test_it_is_plain_markdown():
    page = read_markdown(said(report(bad_account(), dim_account())).encode())
    assert page.tags.count("h1") == 1
