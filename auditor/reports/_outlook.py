"""The sections of the text report that look beyond the findings: ways to the money, changes since before, the course.

Each is written on a page; `text` decides which come and in what order. Every word comes from the Report. Computes no number.
"""

from __future__ import annotations

from auditor.model.report import AccountReport, Report
from auditor.reports import _chains, _goals, _view
from auditor.reports._lines import Page
from auditor.reports._sections import Look
from auditor.reports._wording import interval, whom
from auditor.reports._words import count, prose

_VERBOSE_WAYS = 12


def ways(page: Page, account: AccountReport, look: Look) -> None:
    """The worst ways to the money as chains, and the smallest set of changes that closes them."""
    _titled(page, "How an attacker gets to the money")
    if account.paths is None:
        page.say("Ways to the money were not computed in this run.")
        return
    if not account.paths:
        page.say("The attack model knows no way to the money here: something that was seen stops each one.")
        return
    page.say(_chains.found(account))
    plan = account.hardening
    changes = _chains.named((*plan.single, *plan.smallest)) if plan else {}
    shown = _goals.worst(account, _VERBOSE_WAYS) if look.verbose else _goals.worst(account)
    for way in shown:
        page.blank()
        _chains.draw(page, way, changes=changes, grounds=look.verbose)
    if len(shown) < len(account.paths):
        page.blank()
        page.say(f"{count(len(account.paths) - len(shown), 'further way')}: `auditor paths` draws them.")
    if plan:
        closing(page, account, look)


def closing(page: Page, account: AccountReport, look: Look) -> None:
    """What closes the confirmed ways to losing funds, and what no setting closes."""
    plan = account.hardening
    if plan is None:
        return
    _titled(page, "The smallest set of changes")
    if plan.smallest:
        page.say("Together they close every confirmed way to losing funds that a setting can close:")
        page.numbered(
            [f"{prose(change.text)} ({_chains.effect(change).rstrip('.').lower()})" for change in plan.smallest]
        )
    else:
        page.say("No confirmed way to losing funds is left that a setting could close.")
    for instead in plan.alternatives if look.verbose else plan.alternatives[:1]:
        page.say(f"Or: {'; '.join(prose(change.text).rstrip('.') for change in instead)}.")
    if look.verbose:
        for change in plan.single:
            page.say(f"{prose(change.text)}: {_chains.effect(change)}", lead="· ", indent=2)
    if plan.residual:
        page.say(f"{count(len(plan.residual), 'way stays', 'ways stay')} open however the account is set.")


def drift(page: Page, account: AccountReport, look: Look) -> None:
    """What differs from what was approved, or from the run before."""
    if account.drift is None:
        return
    _titled(page, "What changed")
    if not account.drift:
        page.say("Nothing differs from what was approved, or from the run before where nothing was approved.")
        return
    ids = _view.masked_ids(account)
    shown = account.drift if look.verbose else account.drift[: look.limit]
    for one in shown:
        page.say(f"{prose(one.kind, 20)}: {whom(one.subject, ids)}: {prose(one.what, 300)}", lead="+ ")
    if len(shown) < len(account.drift):
        page.say(f"and {len(account.drift) - len(shown)} more", lead="+ ")
    if account.unchanged is not None:
        page.say(f"{account.unchanged} unchanged", lead="= ")


def course(page: Page, account: AccountReport) -> None:
    """The score of the runs before, the last few in one line."""
    if not account.trend:
        return
    said = [f"{point.at:%Y-%m-%d} {interval(point)}{', other rules' * point.rules_changed}" for point in account.trend]
    page.say(f"Score of the last runs: {'; '.join(said[-4:])}.")


def run_problems(page: Page, report: Report, look: Look) -> None:
    """What went wrong beside the evidence."""
    if not report.problems:
        return
    _titled(page, "What went wrong beside the evidence")
    shown = report.problems if look.verbose else report.problems[: look.limit]
    for problem in shown:
        page.say(f"{prose(problem.where, 100)}: {prose(problem.message, 600)}", lead="! ")
        if problem.hint:
            page.say(f"hint: {prose(problem.hint, 600)}", indent=2)
    if len(shown) < len(report.problems):
        page.say(f"and {len(report.problems) - len(shown)} more", lead="! ")


def _titled(page: Page, title: str) -> None:
    page.blank()
    page.say(title, style="heading")
