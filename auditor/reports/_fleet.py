"""Many accounts on a screen: how they are distributed, which rules fail most often, and the worst of them.

One look at each account: of a fleet every look reads it from disk. Computes no number beyond counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from auditor.model.report import AccountReport, Outcome, Report
from auditor.reports import _view
from auditor.reports._lines import Page, cut
from auditor.reports._wording import graded
from auditor.reports._words import count, label

MANY = 100
"""Accounts beyond which a screen shows the worst in a table, and none in full unless it is asked to."""
WORST = 20
_RULES = 15


@dataclass(slots=True)
class Often:
    """On how many accounts a rule fails, and on how many nobody could decide it."""

    failing: Counter[str] = field(default_factory=Counter)
    undecided: Counter[str] = field(default_factory=Counter)
    severities: dict[str, str] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    grades: Counter[str | None] = field(default_factory=Counter)

    def add(self, account: AccountReport, min_coverage: float) -> None:
        fails = {one.rule for one in account.findings if one.outcome is Outcome.FAIL}
        open_ = {one.rule for one in account.findings if one.outcome in {Outcome.UNKNOWN, Outcome.ERROR}}
        self.failing.update(fails)
        self.undecided.update(open_ - fails)
        for one in account.findings:
            if one.rule in fails and one.rule not in self.ranks:
                self.severities[one.rule], self.ranks[one.rule] = one.severity.value, one.severity.rank
        self.grades[account.score.grade if _view.graded(account.score, min_coverage) else None] += 1

    def rules(self) -> list[str]:
        """Rules that fail somewhere, most accounts first; among equals the gravest."""
        return sorted(self.failing, key=lambda rule: (-self.failing[rule], self.ranks[rule], rule))


def summed_up(page: Page, report: Report, min_coverage: float) -> None:
    """The distribution of the grades and the rules that fail most often."""
    often = Often()
    for account in report.accounts:
        often.add(account, min_coverage)
    page.say(graded(_view.most_first(often.grades)))
    rules = often.rules()
    if not rules:
        return
    page.blank()
    page.say("What fails most often", style="heading")
    rows = [_row(rule, often) for rule in rules[:_RULES]]
    if not page.table(("RULE", "SEVERITY", "FAILS ON", "UNDECIDED ON"), rows):
        for rule, severity, failing, undecided in rows:
            page.say(f"{rule} ({severity}): fails on {failing}, undecided on {undecided}", lead="- ")
    if len(rules) > _RULES:
        page.say(f"and {count(len(rules) - _RULES, 'further rule fails', 'further rules fail')} somewhere")


def _row(rule: str, often: Often) -> Sequence[str]:
    return cut(label(rule), 44), often.severities[rule], str(often.failing[rule]), str(often.undecided[rule])
