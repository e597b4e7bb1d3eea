"""The sections of an account in the text report, each written on a page. Which come, and in what order, `text` decides.

Every word comes from the Report through `_words` and `_wording`. Computes no number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditor.model.report import AccountReport, Outcome
from auditor.reports import _view
from auditor.reports._lines import Page
from auditor.reports._numbers import times
from auditor.reports._view import Issue
from auditor.reports._wording import bearing, gain, grounds, missing, tally, waived, whom
from auditor.reports._words import count, prose, reason
from auditor.values import frozen

_QUESTIONS = 3
_FIXES = 3


@frozen
class Look:
    """How much to show. `limit` bounds each list of subjects or problems."""

    verbose: bool
    limit: int
    min_coverage: float


def _section(page: Page, title: str) -> None:
    page.blank()
    page.say(title, style="heading")


def some(texts: Sequence[str], look: Look) -> str:
    """The first of `texts`, and how many more there are."""
    shown = texts if look.verbose else texts[: look.limit]
    rest = len(texts) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def fixes(page: Page, account: AccountReport, look: Look) -> None:
    """The changes that close most, first."""
    steps = account.fixes if look.verbose else account.fixes[:_FIXES]
    if not steps:
        return
    _section(page, "What to change first")
    page.numbered(
        [
            f"{prose(step.change)} (closes {count(len(step.closes), 'finding')}; low score {times(step.gain)})"
            for step in steps
        ]
    )


_ID = 8
"""How much of a finding's id is shown: enough to name it to `auditor waive`."""


def failing(page: Page, account: AccountReport, look: Look) -> None:
    """Every issue that fails, with whom, why and what to do."""
    issues = _view.failing(account)
    if not issues:
        return
    _section(page, "What fails, worst first")
    ids = _view.masked_ids(account)
    for issue in issues:
        _issue(page, issue, ids, look)
        page.blank()


def _issue(page: Page, issue: Issue, ids: Mapping[str, str], look: Look) -> None:
    first = issue.first
    new = " (new)" if any(finding.baseline == "new" for finding in issue.findings) else ""
    page.say(f"{first.severity.upper()}: {prose(first.title, 300)}{new}", lead="✗ ", style=first.severity.value)
    shown = issue.findings if look.verbose else issue.findings[: look.limit]
    for finding in shown:
        named = "" if finding.subject.type in {"account", "venue"} else f" [{whom(finding.subject, ids)}]"
        page.say(f"{prose(finding.message, 600)}{named} ({prose(finding.id[:_ID], _ID)})", lead="- ", indent=2)
    if len(shown) < len(issue.findings):
        page.say(f"and {len(issue.findings) - len(shown)} more of the same", lead="- ", indent=2)
    if any(finding.on_path for finding in issue.findings):
        page.say("This opens a way to the money.", indent=2)
    page.say(f"Why: {prose(first.why)}", indent=2)
    page.say(f"What to do ({prose(first.fix.effort, 20)} effort): {prose(first.fix.text)}", indent=2)
    page.numbered([prose(step) for step in first.fix.steps], indent=4)
    if first.gain is not None:
        page.say(f"Gain: {gain(first.gain)}", indent=2)
    if look.verbose:
        _grounds(page, issue, ids)


def _grounds(page: Page, issue: Issue, ids: Mapping[str, str]) -> None:
    first = issue.first
    page.say(f"How we know: {prose(first.how_we_know)}", indent=2)
    for line in grounds(issue, ids):
        page.say(prose(line, 400), lead="· ", indent=4)
    named = [("Rule", (first.rule,)), ("Controls", first.controls), ("Incidents", first.incidents)]
    for title, names in named:
        if names:
            page.say(f"{title}: {prose(', '.join(names))}", indent=2)


def unseen(page: Page, account: AccountReport, look: Look) -> None:
    """What kept rules undecided, one entry a cause."""
    errors, leftover, causes = _view.erroneous(account), _view.unexplained(account), _view.causes(account)
    if not (errors or leftover or account.causes):
        return
    _section(page, "What could not be seen, and how to let it be seen")
    for cause in causes:
        rules = f"{count(len(cause.rules), 'rule is', 'rules are')} undecided because {reason(cause.reason)}"
        page.say(f"{rules}: {some([prose(fact, 100) for fact in cause.facts], look)}", lead="? ", style="unknown")
        page.say(prose(cause.how), indent=2)
        if look.verbose:
            page.say(f"Rules: {prose(', '.join(cause.rules))}", indent=2)
    _answers(page, account, look)
    ids = _view.masked_ids(account)
    for issue in leftover:
        page.say(f"Undecided: {_titled(issue, look)}", lead="? ", style="unknown")
        lines = missing(issue, ids)
        for line in lines if look.verbose else lines[: look.limit]:
            page.say(prose(line, 600), lead="- ", indent=2)
        if not look.verbose and len(lines) > look.limit:
            page.say(f"and {len(lines) - look.limit} more", lead="- ", indent=2)
    for issue in errors:
        page.say(f"Could not be evaluated: {_titled(issue, look)}", lead="? ", style="unknown")
        page.say(prose(issue.first.message, 600), indent=2)


def _answers(page: Page, account: AccountReport, look: Look) -> None:
    """What only the owner can say: one entry for all of it, because one command asks for it."""
    asked = _view.answers(account)
    if not asked:
        return
    rules = count(_view.waiting(account), "rule waits", "rules wait")
    page.say(f"{rules} for what only you can say; `auditor attest` asks for it:", lead="? ", style="unknown")
    for text in asked if look.verbose else asked[: look.limit]:
        page.say(prose(text), lead="- ", indent=2)
    if not look.verbose and len(asked) > look.limit:
        page.say(f"and {len(asked) - look.limit} more", lead="- ", indent=2)


def _titled(issue: Issue, look: Look) -> str:
    return prose(issue.first.title, 300) + (f" ({prose(issue.first.rule, 100)})" if look.verbose else "")


def questions(page: Page, account: AccountReport, look: Look) -> None:
    """The questions that settle most."""
    asked = account.questions if look.verbose else account.questions[:_QUESTIONS]
    if not asked:
        return
    _section(
        page,
        f"Only you can answer ({len(asked)} of {count(len(account.questions), 'question')}, the most telling first)",
    )
    page.numbered(
        [
            f"{prose(question.ask)}"
            + (f" Look at: {prose(question.where)}." if question.where else "")
            + f" {bearing(question)}"
            for question in asked
        ]
    )


def accepted(page: Page, account: AccountReport, look: Look) -> None:
    """Waived failures: they still fail."""
    issues = _view.accepted(account)
    if not issues:
        return
    _section(page, "Accepted risks (still failing)")
    ids = _view.masked_ids(account)
    for issue in issues:
        page.say(f"{issue.first.severity.upper()}: {_titled(issue, look)}", lead="~ ")
        shown = issue.findings if look.verbose else issue.findings[: look.limit]
        for finding in shown:
            page.say(f"{whom(finding.subject, ids)}. {waived(finding.waiver or {})}", indent=2)
        if len(shown) < len(issue.findings):
            page.say(f"and {len(issue.findings) - len(shown)} more of the same", indent=2)


def problems(page: Page, account: AccountReport, look: Look) -> None:
    """What could not be read."""
    if not account.problems:
        return
    _section(page, "What went wrong while reading")
    for problem in account.problems if look.verbose else account.problems[: look.limit]:
        detail = f" ({prose(problem.detail, 300)})" if problem.detail else ""
        page.say(f"{prose(problem.endpoint, 100)}: {reason(problem.reason)}{detail}", lead="! ")
    if not look.verbose and len(account.problems) > look.limit:
        page.say(f"and {len(account.problems) - look.limit} more", lead="! ")


def rest(page: Page, account: AccountReport, look: Look) -> None:
    """The counts, and with `verbose` the rules that ask for nothing."""
    page.blank()
    if _view.graded(account.score, look.min_coverage):  # under the floor the counts stand at the top
        page.say(tally(account), lead="= ")
    if not look.verbose:
        return
    rules = _view.rules_by_outcome(account)
    for outcome, title, mark in ((Outcome.PASS, "Pass", "✓ "), (Outcome.NOT_APPLICABLE, "Not applicable", "- ")):
        if rules[outcome]:
            ids = ", ".join(prose(issue.first.rule, 100) for issue in rules[outcome])
            page.say(f"{title}: {ids}", lead=mark, style="pass" if outcome is Outcome.PASS else "quiet")
