"""An account's findings as a reader meets them: one issue a rule, sorted into what fails, what nobody knows and the rest.

Computes no score. Whatever outcome a finding has, it ends up in exactly one of these groups, so nothing gets lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from auditor.model.report import BY_ANSWER, AccountReport, Finding, Outcome, Report, Score, UnknownCause
from auditor.model.rule import Severity
from auditor.values import frozen

_WORST_FIRST = (Outcome.FAIL, Outcome.ERROR, Outcome.UNKNOWN, Outcome.PASS, Outcome.NOT_APPLICABLE)
URGENT = frozenset({Severity.CRITICAL, Severity.HIGH})


@frozen
class Issue:
    """One rule and its findings of one outcome. What belongs to the rule is the same in all of them; `first` speaks for it."""

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        return self.findings[0]


def _issues(findings: Iterable[Finding]) -> tuple[Issue, ...]:
    by_rule: dict[str, list[Finding]] = {}
    for finding in findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    return tuple(Issue(findings=tuple(group)) for group in by_rule.values())


def failing(account: AccountReport) -> tuple[Issue, ...]:
    """What fails and nobody has accepted."""
    return _issues(finding for finding in account.findings if finding.outcome is Outcome.FAIL and not finding.waiver)


def accepted(account: AccountReport) -> tuple[Issue, ...]:
    """What fails and is waived."""
    return _issues(finding for finding in account.findings if finding.outcome is Outcome.FAIL and finding.waiver)


def erroneous(account: AccountReport) -> tuple[Issue, ...]:
    """Rules that could not be evaluated."""
    return _issues(finding for finding in account.findings if finding.outcome is Outcome.ERROR)


def unexplained(account: AccountReport) -> tuple[Issue, ...]:
    """Unknown rules that no cause of the report speaks for."""
    explained = {rule for cause in account.causes for rule in cause.rules}
    explained |= {finding.rule for finding in account.findings if finding.outcome is Outcome.FAIL}  # said already
    return _issues(
        finding for finding in account.findings if finding.outcome is Outcome.UNKNOWN and finding.rule not in explained
    )


def rules_by_outcome(account: AccountReport) -> dict[Outcome, tuple[Issue, ...]]:
    """Every rule of the account under its worst outcome, all outcomes present."""
    sorted_: dict[Outcome, list[Issue]] = {outcome: [] for outcome in _WORST_FIRST}
    for issue in _issues(account.findings):
        found = {finding.outcome for finding in issue.findings}
        sorted_[next(outcome for outcome in _WORST_FIRST if outcome in found)].append(issue)
    return {outcome: tuple(group) for outcome, group in sorted_.items()}


def undecided(account: AccountReport) -> int:
    """How many rules are unknown or in error once accepted failures are left aside."""
    open_ = {finding.rule for finding in account.findings if finding.outcome in {Outcome.UNKNOWN, Outcome.ERROR}}
    return len(open_ - {issue.first.rule for issue in failing(account)})


def worst_severity(account: AccountReport) -> Severity | None:
    """The worst severity that fails, waived or not; None where nothing does."""
    severities = [finding.severity for finding in account.findings if finding.outcome is Outcome.FAIL]
    return min(severities, key=lambda severity: severity.rank, default=None)


def graded(score: Score, min_coverage: float) -> bool:
    """Whether enough was seen for a letter."""
    return score.grade is not None and score.coverage is not None and score.coverage >= min_coverage


def grades(report: Report, min_coverage: float) -> list[tuple[str | None, int]]:
    """How many accounts have which grade, most first; None stands for those seen too little of."""
    return most_first(
        Counter(item.score.grade if graded(item.score, min_coverage) else None for item in report.accounts)
    )


def most_first(counts: Counter[str | None]) -> list[tuple[str | None, int]]:
    """Grades that were counted, in the order of `grades`."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0] or "~"))


def masked_ids(account: AccountReport) -> dict[str, str]:
    """Fingerprint -> masked public id, of the keys in the inventory that have both."""
    rows = account.inventory.api_keys or ()
    return {
        str(row["fingerprint"]): str(row["masked_id"])
        for row in rows
        if row.get("fingerprint") and row.get("masked_id")
    }


def abilities(key: dict[str, Any]) -> dict[str, list[str]]:
    """What a key can do, cannot do, and nobody knows it can: `{"yes": [...], "no": [...], "unknown": [...]}`."""
    sorted_: dict[str, list[str]] = {"yes": [], "no": [], "unknown": []}
    for ability in ("read", "trade", "transfer", "withdraw", "manage"):
        sorted_[tri_state(key.get(f"can_{ability}"))].append(ability)
    return sorted_


def tri_state(value: Any) -> str:
    """`yes`, `no` or `unknown`: whatever is not a plain truth value is unknown."""
    return "yes" if value is True else "no" if value is False else "unknown"


def causes(account: AccountReport) -> list[UnknownCause]:
    """What kept rules undecided and no answer of the owner would settle at once, the cause of most rules first."""
    left = [cause for cause in account.causes if not cause.how.startswith(BY_ANSWER)]
    return sorted(left, key=lambda cause: -len(cause.rules))


def answers(account: AccountReport) -> list[str]:
    """What only the owner can say and is asked for, in the order of what it would settle."""
    return [cause.how.removeprefix(BY_ANSWER) for cause in account.causes if cause.how.startswith(BY_ANSWER)]


def waiting(account: AccountReport) -> int:
    """How many rules wait for such an answer, and perhaps for more."""
    return len({rule for cause in account.causes if cause.how.startswith(BY_ANSWER) for rule in cause.rules})
