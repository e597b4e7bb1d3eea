"""What `auditor paths` prints: the ways of each account as chains or as JSON, and what a supposed fact changes about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from auditor.model.report import AccountReport, AttackPath, PathStatus, Report
from auditor.reports import _chains, _outlook
from auditor.reports._lines import Page
from auditor.reports._sections import Look
from auditor.reports._words import capital, count, label, prose
from auditor.reports.json import written

if TYPE_CHECKING:
    from auditor.threats import Analyst

SCHEMA = "auditor/paths/1"
_SHOWN = 8
_Losing = frozenset[str]


def as_json(before: Report, after: Report | None, facts: Mapping[str, Any], analyst: Analyst) -> str:
    """Every account with its whole proofs; with a supposition, as they then are, and what that changed."""
    accounts = []
    for one, then in _pairs(before, after):
        shown: dict[str, Any] = {"name": one.name, "exchange": one.exchange, **_parts(then or one), "what_if": None}
        if then is not None:
            closed, opened, other = _difference(one, then)
            shown["what_if"] = {
                "facts": dict(facts),
                "closed": [way.id for way in closed],
                "opened": [way.id for way in opened],
                "changed": [way.id for way, _ in other],
                "before": _parts(one),
            }
        accounts.append(shown)
    return written({"schema": SCHEMA, "model_sha256": analyst.model.sha256, "accounts": accounts})


def _parts(account: AccountReport) -> dict[str, Any]:
    hardening = asdict(account.hardening) if account.hardening else None
    return {"paths": [asdict(way) for way in account.paths or ()], "hardening": hardening}


def _pairs(before: Report, after: Report | None) -> list[tuple[AccountReport, AccountReport | None]]:
    """The accounts by name, each with what it would be. Accounts of one name stand in one order in both."""

    def ordered(report: Report) -> list[AccountReport]:
        return sorted(report.accounts, key=lambda one: (one.name, one.exchange, one.collected_at))

    then: Sequence[AccountReport | None] = ordered(after) if after else [None] * len(before.accounts)
    return list(zip(ordered(before), then, strict=True))


def _difference(
    before: AccountReport, after: AccountReport
) -> tuple[list[AttackPath], list[AttackPath], list[tuple[AttackPath, AttackPath]]]:
    """Ways that are closed, ways that are opened, and those that are there before and after but not alike."""
    was, is_ = ({way.id: way for way in one.paths or ()} for one in (before, after))
    closed = [way for id_, way in was.items() if id_ not in is_]
    opened = [way for id_, way in is_.items() if id_ not in was]
    other = [(way, is_[id_]) for id_, way in was.items() if id_ in is_ and _kind(way) != _kind(is_[id_])]
    return closed, opened, other


def _kind(way: AttackPath) -> tuple[Any, ...]:
    return way.status, way.cost, way.delay_hours, way.alerts, [step.action for step in way.steps]


def write(
    page: Page,
    before: Report,
    after: Report | None,
    facts: Mapping[str, Any],
    analyst: Analyst,
    *,
    verbose: bool,
) -> None:
    """The same for a person, on a page."""
    look = Look(verbose=verbose, limit=_SHOWN, min_coverage=0)
    for one, then in _pairs(before, after):
        page.heading(f"{label(one.name)} ({label(one.venue_name)})")
        if then is not None:
            _supposition(page, (one, then), facts, analyst, look)
        _account(page, then or one, _losing(analyst), look)


def _losing(analyst: Analyst) -> _Losing:
    return frozenset(goal.id for goal in analyst.model.goals if goal.losing_funds)


def _account(page: Page, account: AccountReport, losing: _Losing, look: Look) -> None:
    ways = list(account.paths or ())
    money = [way for way in ways if way.goal in losing]
    confirmed, possible = _counted(account, losing)
    page.say(
        f"Ways to lose funds: {confirmed} confirmed by what is known, {possible} possible because something is not known. "
        f"Other harm: {count(len(ways) - len(money), 'way')}."
    )
    sure = [way for way in money if way.status is PathStatus.CONFIRMED]
    if not ways:
        page.say("The attack model knows no way here: something that was seen stops each one.")
    changes = _chains.named(account.hardening.single) if account.hardening else {}
    shown = ways if look.verbose else _one_each(sure or money)[: look.limit]
    for way in shown:
        page.blank()
        _chains.draw(page, way, changes=changes, grounds=look.verbose)
    if len(shown) < len(ways):
        page.blank()
        page.say(f"{count(len(ways) - len(shown), 'further way')}: -v draws all of them, -f json has each proof.")
    _outlook.closing(page, account, look)
    _alone(page, account)
    _stays(page, account)


def _one_each(ways: Sequence[AttackPath]) -> list[AttackPath]:
    """The first way of each attacker, in the order given."""
    return list({way.capability: way for way in reversed(ways)}.values())[::-1]


def _alone(page: Page, account: AccountReport) -> None:
    if not account.hardening or not account.hardening.single:
        return
    _titled(page, "What each change does by itself")
    for change in account.hardening.single:
        page.say(f"{prose(change.text)}: {_chains.effect(change)}", lead="- ")


def _stays(page: Page, account: AccountReport) -> None:
    """Who gets through however the account is set."""
    left = set(account.hardening.residual) if account.hardening else set()
    sure = [way for way in account.paths or () if way.id in left and way.status is PathStatus.CONFIRMED]
    if not sure:
        return
    _titled(page, "What stays open however hardened")
    for way in _one_each(sure):
        page.say(f"{capital(way.capability_text, 200)}: {prose(way.goal_text, 200)}", lead="- ")
    page.say("No setting closes these. What helps is an alert that reaches you, a habit, or less at stake.")


def _supposition(
    page: Page, accounts: tuple[AccountReport, AccountReport], facts: Mapping[str, Any], analyst: Analyst, look: Look
) -> None:
    losing, (before, after) = _losing(analyst), accounts
    closed, opened, other = _difference(before, after)
    said = " and ".join(f"{path} = {_plain(value)}" for path, value in facts.items())
    page.say(f"What if {said}?", style="heading")
    was, then = _counted(before, losing), _counted(after, losing)
    page.say(
        f"Ways to lose funds before: {was[0]} confirmed, {was[1]} possible. Then: {then[0]} confirmed, {then[1]} possible."
    )
    lines = [("+ ", "pass", way, f"closed (was {way.status})") for way in closed]
    lines += [("~ ", "", way, _turned(old, way)) for old, way in other]
    lines += [("! ", "critical", way, f"opened ({way.status})") for way in opened]
    shown = [line for line in lines if look.verbose or line[2].goal in losing]
    for lead, style, way, what in shown:
        page.say(f"{_called(way)}: {what}", lead=lead, style=style)
    if len(shown) < len(lines):
        page.say(f"and {count(len(lines) - len(shown), 'way')} to other harm: -v names them", lead="~ ")
    if not lines:
        page.say("Nothing changes: every way is as open as before.")
        for reason in _reasons(facts, analyst):
            page.say(reason, indent=2)
    page.blank()


def _counted(account: AccountReport, losing: _Losing) -> tuple[int, int]:
    """Ways to lose funds: confirmed, and possible."""
    status = [way.status for way in account.paths or () if way.goal in losing]
    return status.count(PathStatus.CONFIRMED), status.count(PathStatus.POSSIBLE)


def _reasons(facts: Mapping[str, Any], analyst: Analyst) -> list[str]:
    """Why a supposition changes nothing: a change of the model that says so, or that no step depends on the fact."""
    from auditor.engine.derived import closure

    found = []
    for path in facts:
        bearing = [one for one in analyst.model.facts if path in closure([one])]
        idle = [
            remedy.text
            for remedy, moves in zip(analyst.model.remedies, analyst.terrain.moves_of, strict=True)
            if not moves and any(path in closure(setting.facts) for setting in remedy.sets)
        ]
        found += idle or ([] if bearing else [f"No step of an attack depends on {path}."])
    return found


def _called(way: AttackPath) -> str:
    return f"{prose(way.capability_text, 200)} -> {prose(way.goal_text, 200)}"


def _turned(was: AttackPath, way: AttackPath) -> str:
    if was.status is not way.status:
        return f"{way.status} instead of {was.status}"
    if was.delay_hours != way.delay_hours:
        return f"{_chains.wait(way.delay_hours)} instead of {_chains.wait(was.delay_hours)}"
    if was.cost != way.cost:
        return f"cost {way.cost} instead of {was.cost}"
    return "another way"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return prose(", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value), 100)


def _titled(page: Page, title: str) -> None:
    page.blank()
    page.say(title, style="heading")
