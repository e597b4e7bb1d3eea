"""What comes first: findings grouped by what they lead to, the first fixes of a whole run, the causes that hide most.

Groups and orders what the Report says; computes no score. Whatever fails stands in exactly one group.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from auditor.model.report import AccountReport, AttackPath, Finding, FixStep, PathStatus, Report
from auditor.reports import _view
from auditor.reports._view import Issue
from auditor.values import frozen

WORST_PATHS = 3


@frozen
class Group:
    """Issues that lead to one thing, and the paths to it."""

    title: str
    issues: tuple[Issue, ...]
    paths: tuple[AttackPath, ...] = ()


@frozen
class First:
    """One change, and on which accounts (by name) it is due, the one that gains most first."""

    change: str
    steps: tuple[tuple[str, FixStep], ...]

    @property
    def gain(self) -> float:
        return max(step.gain for _, step in self.steps)

    @property
    def closes(self) -> int:
        return sum(len(step.closes) for _, step in self.steps)


def ranked(account: AccountReport) -> tuple[AttackPath, ...]:
    """The account's paths: the confirmed ones first, those of each kind in the order of the report."""
    return tuple(sorted(account.paths or (), key=lambda way: way.status is PathStatus.POSSIBLE))


def worst(account: AccountReport, most: int = WORST_PATHS) -> tuple[AttackPath, ...]:
    """The paths to look at: the first that each change of the smallest set closes, then the first to each other goal.

    So neither one goal nor one weakness hides the others.
    """
    ways = ranked(account)
    changes = account.hardening.smallest if account.hardening else ()
    picked: list[AttackPath] = []
    for change in changes:
        picked += [way for way in ways if way.id in change.closes and way not in picked][:1]
    goals = {way.goal for way in picked}
    for sure in (PathStatus.CONFIRMED, PathStatus.POSSIBLE):
        for way in ways:
            if way.status is sure and way.goal not in goals:
                goals.add(way.goal)
                picked.append(way)
    picked += [way for way in ways if way not in picked]
    return tuple(sorted(picked[:most], key=ways.index))


def groups(account: AccountReport) -> tuple[Group, ...]:
    """What fails, by what it leads to: the goal of the gravest finding first, and last what leads nowhere."""
    issues = _view.failing(account)
    by_goal: dict[str, list[AttackPath]] = {}
    for way in ranked(account):
        by_goal.setdefault(way.goal_text, []).append(way)
    found: list[Group] = []
    left = list(issues)
    for goal, ways in by_goal.items():
        facts = {fact for way in ways for fact in _rests_on(way)}
        led = [issue for issue in left if _on_path(issue) and facts & _facts(issue)]
        left = [issue for issue in left if issue not in led]
        found.append(Group(title=f"Leads to: {goal}", issues=tuple(led), paths=tuple(ways)))
    found.append(Group(title="Opens a way to the money", issues=_where(left, True)))
    found = sorted((group for group in found if group.issues), key=lambda group: group.issues[0].first.severity.rank)
    none = (
        "On none of the ways to the money that were found"
        if by_goal
        else "No way to the money was found; these fail all the same"
    )
    found += [
        Group(title=none, issues=_where(left, False)),
        Group(title="Whether these open a way to the money was not computed", issues=_where(left, None)),
    ]
    return tuple(group for group in found if group.issues)


def _where(issues: Sequence[Issue], on_path: bool | None) -> tuple[Issue, ...]:  # noqa: FBT001  (a third value)
    return tuple(issue for issue in issues if _on_path(issue) is on_path)


def _on_path(issue: Issue) -> bool | None:
    """Whether any of it is on a path; None where that is not known of any."""
    said = {finding.on_path for finding in issue.findings}
    return True if True in said else False if False in said else None


def _rests_on(way: AttackPath) -> set[str]:
    return {line.fact for step in way.steps for line in step.evidence} | {
        fact for step in way.steps for fact in step.unknown
    }


def _facts(issue: Issue) -> set[str]:
    return {line.fact for finding in issue.findings for line in finding.evidence}


def first_fixes(report: Report, most: int = 3) -> tuple[First, ...]:
    """The changes to make first in the whole run. The same change on several accounts is one."""
    by_change: dict[str, list[tuple[str, FixStep]]] = {}
    for account in report.accounts:
        for step in account.fixes:
            by_change.setdefault(step.change, []).append((account.name, step))
    found = [First(change=change, steps=tuple(steps)) for change, steps in by_change.items()]
    return tuple(sorted(found, key=lambda one: (-one.gain, -len(one.steps)))[:most])


def closed(account: AccountReport, step: FixStep) -> list[Finding]:
    """The findings that a step closes."""
    ids = set(step.closes)
    return [finding for finding in account.findings if finding.id in ids]


def hidden(accounts: Iterable[AccountReport]) -> list[tuple[str, int, int]]:
    """Why rules are undecided in the whole run: reason, rules and accounts, the reason that hides most first."""
    rules: dict[str, int] = {}
    seen: dict[str, set[str]] = {}
    for account in accounts:
        for reason in {cause.reason for cause in account.causes}:
            open_ = {rule for cause in account.causes if cause.reason == reason for rule in cause.rules}
            rules[reason] = rules.get(reason, 0) + len(open_)
            seen.setdefault(reason, set()).add(account.name)
    return sorted(
        ((reason, amount, len(seen[reason])) for reason, amount in rules.items()), key=lambda row: (-row[1], row[0])
    )
