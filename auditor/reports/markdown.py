"""The report as Markdown for a pull request, an issue or a wiki: the verdict and the counts first, then the details.

Every text goes through `_markdown`, so that a label can neither link, mention nor break out of its place. It stays under
what GitHub takes as one comment. Computes no number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from auditor.model.report import AccountReport, Outcome, PathStatus, Report
from auditor.model.rule import Severity
from auditor.reports import _tally, _view
from auditor.reports._markdown import document, name, plain, table
from auditor.reports._numbers import percent, times
from auditor.reports._view import Issue
from auditor.reports._wording import (
    SAMPLE,
    attention,
    interval,
    keys_seen,
    method,
    totals,
    verdict,
    waived,
    whom,
    with_waivers,
)
from auditor.reports._words import count, moment, reason

_LONGEST = 60_000
"""GitHub refuses a comment of more than 65,536 characters."""
_ACCOUNTS, _SUBJECTS, _CAUSES, _PATHS = 20, 8, 20, 3
_WORDS = {
    Outcome.FAIL: "fail",
    Outcome.UNKNOWN: "undecided",
    Outcome.ERROR: "in error",
    Outcome.PASS: "pass",
    Outcome.NOT_APPLICABLE: "not applicable",
}


def render(report: Report, *, min_coverage: float = 0.5, verbose: bool = False) -> bytes:
    """UTF-8 Markdown. `verbose` also names what passed. Under `min_coverage` (0..1) an account gets no letter."""
    lines = [*_head(report, min_coverage), *_problems(report)]
    room = _LONGEST - sum(len(line) + 1 for line in lines)
    kept, left = _fitting(_details(report, min_coverage, verbose=verbose), room)
    more = ["", f"{count(left, 'more line')} would not fit here: see the JSON or CSV report."] if left else []
    return document([*lines, *kept, *more])


def _details(report: Report, min_coverage: float, *, verbose: bool) -> Iterator[str]:
    for account in report.accounts:
        yield from _account(account, min_coverage, verbose=verbose)
    yield from ("", plain(method(report.run)))


def _fitting(lines: Iterable[str], room: int) -> tuple[list[str], int]:
    """The lines there is room for, and how many were left out."""
    kept: list[str] = []
    left = 0
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            left += 1
        else:
            kept.append(line)
    return kept, left


def _head(report: Report, min_coverage: float) -> list[str]:
    lines = ["# Exchange account audit", ""]
    if report.run.sample:
        lines += [f"**{SAMPLE}**", ""]
    if not report.accounts:
        return [*lines, "No account was audited.", ""]
    lines += [plain(totals(report)), ""]
    rows = [_row(account, min_coverage) for account in report.accounts[:_ACCOUNTS]]
    lines += table(("Account", "Exchange", "Score", "Grade", "Coverage", "Fail", "Undecided rules"), rows)
    if len(report.accounts) > _ACCOUNTS:
        lines += ["", f"And {count(len(report.accounts) - _ACCOUNTS, 'more account')}, none of them worse."]
    summed = _tally.counts(finding for account in report.accounts for finding in account.findings)
    rows = [[severity, *(str(summed[severity][outcome]) for outcome in _WORDS)] for severity in Severity]
    return [*lines, "", *table(("Findings", *_WORDS.values()), rows), ""]


def _row(account: AccountReport, min_coverage: float) -> list[str]:
    score, grade = account.score, "none"
    if score.grade is not None and _view.graded(score, min_coverage):
        grade = score.grade
    share = percent(score.coverage) if score.coverage is not None else "nothing to score"
    fails = sum(finding.outcome is Outcome.FAIL for finding in account.findings)
    rules = _view.rules_by_outcome(account)
    undecided = len(rules[Outcome.UNKNOWN]) + len(rules[Outcome.ERROR])
    return [
        name(account.name),
        plain(account.venue_name, 80),
        interval(score),
        grade,
        share,
        str(fails),
        str(undecided),
    ]


def _problems(report: Report) -> list[str]:
    if not report.problems:
        return []
    told = [f"- {plain(one.where, 100)}: {plain(one.message)}" for one in report.problems[:_CAUSES]]
    return ["**Something went wrong beside the evidence:**", "", *told, ""]


def _account(account: AccountReport, min_coverage: float, *, verbose: bool) -> list[str]:
    lines = ["", f"## {name(account.name)} ({plain(account.venue_name, 80)})", ""]
    lines += [plain(f"{verdict(account, min_coverage)} {attention(account)}", 1_000)]
    accepted = with_waivers(account, min_coverage)
    lines += [plain(accepted)] if accepted else []
    lines += [f"Evidence of {moment(account.collected_at)}. {keys_seen(account.inventory)}"]
    if account.fixes:
        lines += ["", "### What to change first", ""]
        lines += [
            f"{place}. {plain(step.change)} (closes {count(len(step.closes), 'finding')}; low score {times(step.gain)})"
            for place, step in enumerate(account.fixes[:3], 1)
        ]
    lines += [*_paths(account), *_drift(account)]
    ids = _view.masked_ids(account)
    groups = (
        ("### What fails, worst first", _view.failing(account)),
        ("### Accepted risks (still failing)", _view.accepted(account)),
    )
    for title, issues in groups:
        lines += ["", title, ""] if issues else []
        for issue in issues:
            lines += _issue(issue, ids)
    return [*lines, *_unseen(account), *_rest(account, verbose=verbose)]


def _paths(account: AccountReport) -> list[str]:
    """The cheapest ways to the money, and the smallest set of changes that closes them."""
    if not account.paths:
        return []
    sure = sum(path.status is PathStatus.CONFIRMED for path in account.paths)
    lines = ["", "### Ways to the money", ""]
    lines += [f"{count(sure, 'way')} confirmed, {len(account.paths) - sure} possible.", ""]
    for path in account.paths[:_PATHS]:
        steps = "; ".join(step.text for step in path.steps)
        lines += [
            f"- **{path.status}** {plain(f'{path.capability_text}: {path.goal_text}', 300)}",
            f"  - {plain(steps)}",
        ]
    if account.hardening and account.hardening.smallest:
        lines += ["", "The smallest set of changes that closes what can be closed:", ""]
        lines += [f"- {plain(change.text, 300)}" for change in account.hardening.smallest[:_CAUSES]]
    return lines


def _drift(account: AccountReport) -> list[str]:
    if not account.drift:
        return []
    ids = _view.masked_ids(account)
    lines = ["", "### What changed", ""]
    lines += [
        f"- {plain(one.kind, 40)}: {plain(whom(one.subject, ids), 300)}: {plain(one.what)}"
        for one in account.drift[:_CAUSES]
    ]
    rest = len(account.drift) - _CAUSES
    more = [f"- and {rest} more"] if rest > 0 else []
    same = [] if account.unchanged is None else [f"- {account.unchanged} unchanged"]
    return [*lines, *more, *same]


def _issue(issue: Issue, ids: Mapping[str, str]) -> list[str]:
    first = issue.first
    lines = [f"- **{first.severity.upper()}** {plain(first.title, 300)} ({name(first.rule)})"]
    for finding in issue.findings[:_SUBJECTS]:
        accepted = f" {plain(waived(finding.waiver))}" if finding.waiver else ""
        new = " **new**" if finding.baseline == "new" else ""
        about = plain(whom(finding.subject, ids), 300)
        lines += [f"  - {name(finding.id)}{new} {plain(finding.message)} ({about}){accepted}"]
    if len(issue.findings) > _SUBJECTS:
        lines += [f"  - and {len(issue.findings) - _SUBJECTS} more of the same"]
    lines += [f"  - Why: {plain(first.why)}", f"  - What to do: {plain(first.fix.text)}"]
    lines += [f"    {place}. {plain(step, 300)}" for place, step in enumerate(first.fix.steps[:12], 1)]
    grounds = _tally.grounds(first)[:_SUBJECTS]
    lines += [f"  - Rests on: {plain(line)}" for line in grounds]
    return [*lines, f"  - Controls: {', '.join(map(name, first.controls[:20]))}"] if first.controls else lines


def _unseen(account: AccountReport) -> list[str]:
    lines = []
    for cause in account.causes[:_CAUSES]:
        facts, rules = (", ".join(map(name, names[:_SUBJECTS])) for names in (cause.facts, cause.rules))
        lines += [
            f"- {count(len(cause.rules), 'rule')} undecided because {plain(reason(cause.reason), 200)}: {facts}",
            f"  - {plain(cause.how)}",
            f"  - Rules: {rules}"
            + (f" and {len(cause.rules) - _SUBJECTS} more" if len(cause.rules) > _SUBJECTS else ""),
        ]
    for issue in (*_view.unexplained(account), *_view.erroneous(account)):
        first = issue.first
        state = "Could not be evaluated" if first.outcome is Outcome.ERROR else "Undecided"
        told = _tally.missing(first) if first.outcome is Outcome.UNKNOWN else [first.message]
        lines += [f"- {state}: {plain(first.title, 300)} ({name(first.rule)})", *(f"  - {plain(one)}" for one in told)]
    for problem in account.problems[:_CAUSES]:
        detail = f" ({plain(problem.detail, 300)})" if problem.detail else ""
        lines.append(f"- {plain(problem.endpoint, 100)}: {plain(reason(problem.reason), 200)}{detail}")
    return ["", "### What could not be seen, and how to let it be seen", "", *lines] if lines else []


def _rest(account: AccountReport, *, verbose: bool) -> list[str]:
    rules = _view.rules_by_outcome(account)
    counted = ", ".join(f"{len(rules[outcome])} {word}" for outcome, word in _WORDS.items())
    lines = ["", f"Rules: {counted}."]
    if verbose:
        for outcome in (Outcome.FAIL, Outcome.UNKNOWN, Outcome.ERROR, Outcome.PASS, Outcome.NOT_APPLICABLE):
            if rules[outcome]:
                lines += ["", f"- {_WORDS[outcome]}: {', '.join(name(issue.first.rule) for issue in rules[outcome])}"]
    return lines
