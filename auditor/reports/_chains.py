"""An attack path as a short chain of lines: what the attacker begins with, each step down, and what he ends with.

Marks, numbers and words carry the meaning; colour is only the name of a style. Computes nothing, knows no medium but columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditor.model.report import AccountReport, AttackPath, Change, PathStatus, PathStep
from auditor.reports._lines import NARROWEST, Page
from auditor.reports._numbers import number
from auditor.reports._wording import ground
from auditor.reports._words import capital, count, prose

MARKS = {PathStatus.CONFIRMED: "✗", PathStatus.POSSIBLE: "?"}
STYLES = {PathStatus.CONFIRMED: "critical", PathStatus.POSSIBLE: "unknown"}


def chain(path: AttackPath, *, width: int = 80, changes: Mapping[str, str] | None = None) -> list[str]:
    """`path` as plain lines of at most `width` cells (40 at least). `changes` are the words for the ids in `closed_by`."""
    page = Page(width=max(width, NARROWEST))
    draw(page, path, changes=changes)
    return page.plain().splitlines()


def draw(page: Page, path: AttackPath, *, changes: Mapping[str, str] | None = None, grounds: bool = False) -> None:
    """Writes `path` on a page. `grounds` also names the facts that each step rests on, with their values and sources."""
    page.say(title(path), lead=f"{MARKS[path.status]} ", style=STYLES[path.status])
    page.say(circumstances(path), indent=2, style="quiet")
    page.say(capital(path.capability_text, 200), lead="o ", indent=2)
    for place, step in enumerate(path.steps, 1):
        page.lines.append(("  |", "quiet"))
        _step(page, step, place, grounds=grounds)
    page.lines.append(("  v", "quiet"))
    page.say(prose(path.goal_text, 200), lead="= ", indent=2, style=STYLES[path.status])
    page.say(ending(path, changes or {}), indent=2)


def _step(page: Page, step: PathStep, place: int, *, grounds: bool) -> None:
    doubt = "? " if step.status is PathStatus.POSSIBLE else ""
    page.say(f"{doubt}{capital(step.text, 400)}", lead=f"{place}. ", indent=2)
    if step.delay_hours:
        page.say(f"(after {hours(step.delay_hours)})", indent=5, style="quiet")
    if step.unknown:
        page.say(f"nobody knows: {prose(', '.join(step.unknown), 300)}", indent=5, style="unknown")
    if grounds:
        for line in step.evidence:
            page.say(prose(ground(line), 400), lead="· ", indent=5, style="quiet")


def title(path: AttackPath) -> str:
    """`CONFIRMED: from a phone number to the coins`, the status as a word."""
    return f"{path.status.upper()}: {prose(path.goal_text, 200)}"


def circumstances(path: AttackPath) -> str:
    """What it costs, how long it takes and who would still warn the owner, in one line."""
    steps = count(len(path.steps), "step")
    return f"{steps}; cost {path.cost}; {wait(path.delay_hours)}; {warning(path.alerts)}"


def wait(delay: float | None) -> str:
    """How long a hold keeps the attacker waiting."""
    if delay is None:
        return "wait not known"
    return f"wait {hours(delay)}" if delay else "no wait"


def hours(amount: float) -> str:
    """`36 h`."""
    return f"{number(amount)} h"


def warning(alerts: Sequence[str] | None) -> str:
    """Which channel still tells the owner."""
    if alerts is None:
        return "nobody knows which warning reaches you"
    return f"a warning reaches you by {prose(', '.join(alerts), 100)}" if alerts else "no warning reaches you"


def ending(path: AttackPath, changes: Mapping[str, str]) -> str:
    """What closes the path; for one that nothing closes, that."""
    if path.residual:
        return "No setting closes this."
    if not path.closed_by:
        return "No single change closes this."
    return f"Closed by: {'; or: '.join(prose(changes.get(one, one), 200).rstrip('.') for one in path.closed_by)}."


def named(changes: Sequence[Change]) -> dict[str, str]:
    """Change id -> its words."""
    return {change.id: change.text for change in changes}


def found(account: AccountReport) -> str:
    """How many ways to the money were found, and how sure they are."""
    ways = account.paths or ()
    sure = sum(way.status is PathStatus.CONFIRMED for way in ways)
    open_ = count(
        len(ways) - sure,
        "is possible: nothing is known that stops it",
        "are possible: nothing is known that stops them",
    )
    parts = [f"{sure} confirmed by what was seen"] if sure else []
    return f"{count(len(ways), 'way')} to the money: {', '.join([*parts, *([open_] if len(ways) > sure else [])])}."


def effect(change: Change) -> str:
    """What a change does by itself, and what it costs."""
    closes = f"closes {count(len(change.closes), 'way')}" if change.closes else "closes no way by itself"
    delays = f", delays {len(change.delays)}" if change.delays else ""
    return f"{prose(change.effort, 20).capitalize()} effort; {closes}{delays}."
