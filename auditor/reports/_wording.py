"""Sentences all formats share: the verdict, what it asks of its reader, counts by outcome, whom a finding is about.

Knows no medium: every sentence is plain text, safe for one line of a terminal, and still to be escaped for HTML.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice

from auditor.model.report import (
    AccountReport,
    EvidenceLine,
    Finding,
    Inventory,
    Outcome,
    Question,
    Report,
    RunInfo,
    Score,
    Subject,
    TrendPoint,
)
from auditor.model.rule import Severity
from auditor.reports import _view
from auditor.reports._numbers import number, percent, times
from auditor.reports._view import Issue
from auditor.reports._words import count, label, moment, prose, reason, spelled

SAMPLE = "These accounts are samples served by the embedded twin, or made up. They are nobody's accounts."
_LONGEST_VALUE = 300
_SUBJECTS = {
    "api_key": ("API key", "API keys"),
    "address": ("withdrawal address", "withdrawal addresses"),
    "event": ("log entry", "log entries"),
    "withdrawal": ("withdrawal", "withdrawals"),
    "vendor": ("third party", "third parties"),
}


def interval(score: Score | TrendPoint) -> str:
    """`18 to 61`, `100` where both ends are the same, or `nothing to score`."""
    if score.low is None or score.high is None:
        return "nothing to score"
    low, high = number(score.low), number(score.high)
    return low if low == high else f"{low} to {high}"


def seen(score: Score) -> str:
    """How much of what matters could be seen."""
    return "none of what matters" if not score.coverage else f"{percent(score.coverage)} of what matters"


def verdict(account: AccountReport, min_coverage: float) -> str:
    """The state of an account in one sentence. Names a grade only where enough was seen for one."""
    score, name = account.score, label(account.name)
    if score.low is None or score.coverage is None:
        return f"{name}: nothing to score, because no rule with a weight applies to what is known."
    if _view.graded(score, min_coverage):
        return f"{name}: {interval(score)} of 100, grade {score.grade}; {seen(score)} could be seen."
    floor = percent(min_coverage)
    return (
        f"{name}: too little is known for a grade. {seen(score).capitalize()} could be seen, where {floor} is the least; "
        f"the score lies somewhere in {interval(score)} of 100."
    )


def attention(account: AccountReport) -> str:
    """What the verdict asks of its reader, in one sentence. Silence about what nobody knows is never praise."""
    fails = [finding for issue in _view.failing(account) for finding in issue.findings]
    urgent = sum(finding.severity in _view.URGENT for finding in fails)
    lesser, open_ = len(fails) - urgent, _view.undecided(account)
    if urgent:
        rest = f", and {spelled(lesser)} more can follow" if lesser else ""
        return f"{spelled(urgent).capitalize()} {'finding needs' if urgent == 1 else 'findings need'} attention today{rest}."
    unknown = f"{count(open_, 'rule is', 'rules are')} undecided"
    if lesser:
        rest = f", and {unknown}" if open_ else ""
        return f"Nothing urgent was seen to fail; {count(lesser, 'smaller finding')} should follow{rest}."
    if open_:
        return f"Nothing that could be seen fails, but {unknown}: that is not a pass."
    accepted = "Nothing fails that was not accepted." if _view.accepted(account) else None
    passed = _view.rules_by_outcome(account)[Outcome.PASS]
    return accepted or ("Every rule that applies passes." if passed else "No rule applies.")


def with_waivers(account: AccountReport, min_coverage: float) -> str | None:
    """The second pair of numbers, or None where nothing is waived."""
    score = account.with_waivers
    if score is None or score.low is None:
        return None
    grade = f", grade {score.grade}" if _view.graded(score, min_coverage) else ""
    return f"With the accepted risks taken out: {interval(score)} of 100{grade}."


def provenance(score: Score) -> str | None:
    """How much of what was decided was observed, and how much only stated."""
    if score.observed is None or score.attested is None:
        return None
    return (
        f"Of what is decided, {percent(score.observed)} was observed and {percent(score.attested)} stated by the owner."
    )


def tally(account: AccountReport) -> str:
    """Every selected rule of an account, counted by outcome."""
    rules = _view.rules_by_outcome(account)
    counts = {outcome: len(group) for outcome, group in rules.items()}
    parts = [
        f"{counts[Outcome.FAIL]} {'fails' if counts[Outcome.FAIL] == 1 else 'fail'}",
        f"{counts[Outcome.UNKNOWN]} undecided",
        f"{counts[Outcome.PASS]} {'passes' if counts[Outcome.PASS] == 1 else 'pass'}",
        f"{counts[Outcome.NOT_APPLICABLE]} not applicable",
    ]
    if counts[Outcome.ERROR]:
        parts.insert(2, f"{counts[Outcome.ERROR]} in error")
    return f"{count(sum(counts.values()), 'rule')}: {', '.join(parts)}."


def totals(report: Report) -> str:
    """Failing findings of the whole run by severity, and the rules nobody could decide."""
    counts = report.summary.findings
    by_severity = ", ".join(
        f"{counts.get(severity, 0)} {severity}" for severity in Severity if severity != Severity.INFO
    )
    remarks = counts.get(Severity.INFO, 0)
    said = f" {count(remarks, 'remark')} about the evidence itself." if remarks else ""
    return f"Failing findings: {by_severity}.{said} Undecided rules: {report.summary.unknown_rules}."


def worst(report: Report) -> str | None:
    """The worst account and its numbers; None where there is none."""
    if report.summary.worst is None:
        return None
    name, score = report.summary.worst
    return f"The worst is {label(name)}: {interval(score)}{' of 100' if score.low is not None else ''}."


def distribution(report: Report, min_coverage: float) -> str:
    """How many accounts have which grade."""
    return graded(_view.grades(report, min_coverage))


def graded(counts: Sequence[tuple[str | None, int]]) -> str:
    """The same of grades that were counted."""
    return "Grades: " + ", ".join(f"{amount} {grade or 'without one'}" for grade, amount in counts) + "."


def gain(factor: float | None) -> str | None:
    """What resolving a rule does to the low end of the score; None where nobody computed it."""
    if factor is None:
        return None
    if times(factor) == times(1):
        return "none; this rule weighs nothing in the score"
    return f"low score {times(factor)} once the whole rule is resolved"


def whom(subject: Subject, masked_ids: Mapping[str, str]) -> str:
    """Whom a finding is about; a key or address is told apart by its masked id or the start of its fingerprint."""
    one, many = _SUBJECTS.get(subject.type, (prose(subject.type.replace("_", " "), 40), None))
    if subject.unseen:
        return f"{many or one + 's'} that could not be listed"
    if subject.type in {"account", "venue", "vendor"}:
        return f"{one} {label(subject.label)}"
    named = f"“{label(subject.label)}”" if subject.label.strip() else "without a label"
    masked = masked_ids.get(subject.fingerprint) if subject.type == "api_key" else None
    return f"{one} {named} ({label(masked) if masked else 'fingerprint ' + label(subject.fingerprint[:8])})"


def ground(line: EvidenceLine) -> str:
    """`account.kind = "main" (api: GET ...)`."""
    value = json.dumps(line.value, ensure_ascii=False)
    return f"{line.fact} = {prose(value, _LONGEST_VALUE)} ({prose(line.source, _LONGEST_VALUE)})"


def grounds(issue: Issue, masked_ids: Mapping[str, str], most: int | None = None) -> list[str]:
    """What an issue rests on, and of whom where it has several subjects; the first `most` lines."""
    lines = (
        f"{_of_whom(issue, finding, masked_ids)}{ground(line)}"
        for finding in issue.findings
        for line in finding.evidence
    )
    return list(islice(lines, most))


def missing(issue: Issue, masked_ids: Mapping[str, str], most: int | None = None) -> list[str]:
    """What was missing for an issue and how to supply it, and of whom where it has several subjects; the first `most`."""
    lines = (
        f"{_of_whom(issue, finding, masked_ids)}{item.fact} is missing because {reason(item.reason)}. {item.how}"
        for finding in issue.findings
        for item in finding.missing
    )
    return list(islice(lines, most))


def _of_whom(issue: Issue, finding: Finding, masked_ids: Mapping[str, str]) -> str:
    return f"{whom(finding.subject, masked_ids)}: " if len(issue.findings) > 1 else ""


def bearing(question: Question) -> str:
    """What an answer would settle."""
    rules = [count(len(question.narrows), "rule")] if question.narrows or not question.ways else []
    return f"It bears on {' and on '.join([*rules, *(['possible ways to the money'] if question.ways else [])])}."


def keys_seen(inventory: Inventory) -> str:
    """How many keys were listed, and whether that is all of them."""
    if inventory.api_keys is None:
        return "The list of API keys could not be seen."
    whole = {
        True: "and the list is complete",
        False: "but the list is not complete",
        None: "and nobody knows whether that is all",
    }
    return f"{count(len(inventory.api_keys), 'API key')} seen, {whole[inventory.complete]}."


def waived(waiver: dict[str, str]) -> str:
    """A waiver in words: `until 2027-01-31, by desk: reason`."""
    until, owner = waiver.get("until"), waiver.get("owner")
    head = ", ".join(
        part for part in (f"until {label(until)}" if until else "", f"by {label(owner)}" if owner else "") if part
    )
    return f"Accepted{' ' + head if head else ''}: {prose(waiver.get('reason', 'no reason given'), 400)}"


def method(run: RunInfo) -> str:
    """What made these numbers."""
    return (
        f"Score formula {prose(run.formula, 40)}, rule set {prose(run.ruleset_sha256[:12], 12)}, "
        f"auditor {prose(run.version, 40)}, run {prose(run.id, 60)}, {moment(run.started_at)}."
    )
