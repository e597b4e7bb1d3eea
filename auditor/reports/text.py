"""The report for a person at a terminal, or in a pipe: the worst first, what to do about it, and what nobody could see.

Every word comes from the Report through `_wording`, which makes hidden characters visible. Computes no number.
"""

from __future__ import annotations

from collections.abc import Sequence

from auditor.model.report import AccountReport, Report
from auditor.reports import _fleet, _outlook, _sections, _view
from auditor.reports._lines import NARROWEST, WIDEST, Page, cut
from auditor.reports._numbers import percent
from auditor.reports._sections import Look
from auditor.reports._wording import (
    SAMPLE,
    attention,
    distribution,
    interval,
    keys_seen,
    method,
    provenance,
    tally,
    totals,
    verdict,
    with_waivers,
    worst,
)
from auditor.reports._words import count, label, moment, prose

_FULL_ACCOUNTS = 20


def render(
    report: Report,
    *,
    width: int = 80,
    colour: bool = False,
    verbose: bool = False,
    limit: int = 8,
    min_coverage: float = 0.5,
) -> bytes:
    """UTF-8 text in lines of at most `width` cells (40 to 100). `limit` subjects of a finding are named, the rest counted;
    `verbose` names everything. An account whose coverage (0..1) is under `min_coverage` gets no letter.
    """
    page = Page(width=min(max(width, NARROWEST), WIDEST))
    look = Look(verbose=verbose, limit=max(limit, 1), min_coverage=min_coverage)
    _top(page, report, look)
    full = _in_full(report, verbose=verbose)
    for account in report.accounts[:full]:
        _account(page, account, look)
    _outlook.run_problems(page, report, look)
    page.blank()
    if len(report.accounts) > full:
        page.say(_left(report, full))
    page.say(method(report.run), style="quiet")
    return (page.coloured() if colour else page.plain()).encode()


def _in_full(report: Report, *, verbose: bool) -> int:
    """How many accounts are shown in full: of a fleet the worst, and only where that is asked for."""
    many = len(report.accounts) > _fleet.MANY
    return (_fleet.WORST if verbose else 0) if many else len(report.accounts) if verbose else _FULL_ACCOUNTS


def _left(report: Report, full: int) -> str:
    """Where the accounts are that are not shown."""
    left = len(report.accounts) - full
    if len(report.accounts) <= _fleet.MANY:
        rest = count(left, "further account is", "further accounts are")
        return f"{rest} only in the table above; -v shows all of them, and so does the JSON report."
    shown = "" if full else f" -v shows the {_fleet.WORST} worst in full."
    every = "`-f json -f html -o FOLDER` writes all of them."
    return f"{count(left, 'account is', 'accounts are')} not shown in full.{shown} {every}"


def _top(page: Page, report: Report, look: Look) -> None:
    if report.run.sample:
        page.say(SAMPLE, lead="! ", style="unknown")
        page.blank()
    if not report.accounts:
        page.say("No account was audited, so nothing can be said about any.")
        return
    page.say(f"{count(report.summary.accounts, 'account')} audited. {totals(report)}")
    if report.summary.incomplete_accounts:
        names = _sections.some([label(name) for name in report.summary.incomplete_accounts], look)
        page.say(f"Evidence is incomplete for {names}.", lead="? ", style="unknown")
    if len(report.accounts) > _fleet.MANY:
        page.say(worst(report) or "")
        _fleet.summed_up(page, report, look.min_coverage)
        page.blank()
        page.say(f"The {_fleet.WORST} worst of them", style="heading")
        _accounts_table(page, report.accounts[: _fleet.WORST], look)
    elif len(report.accounts) > 1:
        page.say(f"{worst(report) or ''} {distribution(report, look.min_coverage)}".strip())
        page.blank()
        _accounts_table(page, report.accounts, look)


def _accounts_table(page: Page, accounts: Sequence[AccountReport], look: Look) -> None:
    rows = [_row(account, look) for account in accounts]
    header = ("ACCOUNT", "EXCHANGE", "SCORE", "GRADE", "SEEN", "WORST FINDING")
    if page.table(header, rows):
        return
    for name, venue, score, grade, seen, severity in rows:
        page.say(f"{name} ({venue}): {score}, grade {grade}, {seen} seen, worst finding {severity}", lead="- ")


def _row(account: AccountReport, look: Look) -> tuple[str, str, str, str, str, str]:
    score = account.score
    grade = score.grade if _view.graded(score, look.min_coverage) else None
    share = percent(score.coverage) if score.coverage is not None else "-"
    severity = _view.worst_severity(account)
    name, venue = cut(label(account.name), 24), cut(label(account.venue_name), 18)
    return name, venue, interval(score), grade or "none", share, severity.value if severity else "none seen"


def _account(page: Page, account: AccountReport, look: Look) -> None:
    kind = f", {prose(account.kind, 20)} account" if account.kind else ""
    page.heading(f"{label(account.name)} ({label(account.venue_name)}{kind})")
    page.say(f"{verdict(account, look.min_coverage)} {attention(account)}")
    for line in (with_waivers(account, look.min_coverage), provenance(account.score)):
        if line:
            page.say(line)
    page.say(f"Evidence of {moment(account.collected_at)}. {keys_seen(account.inventory)}")
    _outlook.course(page, account)
    if _view.graded(account.score, look.min_coverage):
        parts = (_sections.fixes, _outlook.ways, _sections.failing, _sections.unseen, _sections.questions)
    else:
        page.say(tally(account))
        parts = (_sections.questions, _sections.fixes, _outlook.ways, _sections.failing, _sections.unseen)
    for part in parts:
        part(page, account, look)
    _sections.accepted(page, account, look)
    _outlook.drift(page, account, look)
    _sections.problems(page, account, look)
    _sections.rest(page, account, look)
