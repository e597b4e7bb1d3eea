"""The report as a checklist for a security team: every control of a framework, what speaks for and against it, and when.

Written as Markdown, to be filed. It says what the evidence supports and never that a control is met: what meets one is
more than the settings of an account, and for another to judge. Computes no number.
"""

from __future__ import annotations

import re
from bisect import insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from operator import itemgetter

from auditor.model.report import AccountReport, Finding, Outcome, Report
from auditor.model.rule import Severity
from auditor.reports import _frameworks, _tally, _view
from auditor.reports._frameworks import Control, Framework
from auditor.reports._markdown import document, name, plain, table
from auditor.reports._numbers import percent
from auditor.reports._wording import SAMPLE, interval, method, waived, whom
from auditor.reports._words import count, moment
from auditor.values import frozen

_MOST_LINES, _MOST_FACTS, _MOST_ACCOUNTS, _MOST_RULES = 12, 4, 100, 200
_DATE = re.compile(r"\b20\d\d-[01]\d-[0-3]\d\b")
_OUTCOMES = {
    Outcome.FAIL: "evidence against",
    Outcome.ERROR: "undecided",
    Outcome.UNKNOWN: "undecided",
    Outcome.PASS: "evidence for",
    Outcome.NOT_APPLICABLE: "does not apply",
}
"""Worst first: a control that one finding speaks against has evidence against it, and one that nobody could decide has none for it."""
NOT_EXAMINED = "not examined"


@frozen
class Bearing:
    """A finding that bears on a control, and whose it is."""

    account: AccountReport
    finding: Finding


@dataclass(slots=True)
class Weight:
    """What bears on a control, counted, and the few findings that are told: of a fleet there are millions."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    accepted: int = 0
    stated: set[bool] = field(default_factory=set)
    days: set[str] = field(default_factory=set)
    told: list[tuple[tuple[int, int], Bearing]] = field(default_factory=list)

    def add(self, account: AccountReport, finding: Finding) -> None:
        said = [line for line in finding.evidence if _tally.is_stated(line)]
        self.outcomes[finding.outcome] += 1
        self.accepted += finding.waiver is not None
        self.stated |= {True} if said else set()
        self.stated |= {False} if len(said) < len(finding.evidence) else set()
        self.days.add(account.collected_at.astimezone(UTC).date().isoformat())
        self.days |= {day for line in said for day in _DATE.findall(line.source)}
        rank = (list(_OUTCOMES).index(finding.outcome), finding.severity.rank)
        if len(self.told) < _MOST_LINES or rank < self.told[-1][0]:
            insort(self.told, (rank, Bearing(account=account, finding=finding)), key=itemgetter(0))
            del self.told[_MOST_LINES:]

    @property
    def word(self) -> str:
        """What findings say of a control together: the worst of them, and `evidence for` only where every one was decided."""
        return next(word for held, word in _OUTCOMES.items() if self.outcomes[held])


def render(report: Report, *, framework: Sequence[str] = (), signer: str | None = None) -> bytes:
    """UTF-8 Markdown. `framework` names those wanted (none: all of them); `signer` is the id of the key that will sign it.

    Raises UsageError for a framework that is not known.
    """
    ids = _frameworks.chosen(framework)
    bearing: dict[str, Weight] = {}
    for account in report.accounts:
        lean = replace(account, findings=(), paths=None, hardening=None, questions=(), causes=())
        for finding in account.findings:
            for control in finding.controls:
                bearing.setdefault(control, Weight()).add(lean, finding)
    lines = _head(report, signer)
    for one in (_frameworks.catalogue()[id_] for id_ in ids):
        lines += _framework(one, bearing, signer)
    lines += [*_others(report, ids), "", plain(method(report.run))]
    return document(lines)


def _head(report: Report, signer: str | None) -> list[str]:
    lines = ["# Evidence for security controls", ""]
    lines += [f"**{SAMPLE}**", ""] if report.run.sample else []
    signed = f"Signed with the key {name(signer)}." if signer else "This file is not signed (`--sign` does that)."
    lines += [
        "What follows is evidence for an assessor: whether a control is met is for them to say, and takes more than the",
        "settings of an account. Controls that no setting of an exchange account bears on are not listed.",
        "",
        f"Judged {moment(report.run.started_at)}. {signed}",
        "",
        "Looked at by: ______________________ Date: ____________",
        "",
    ]
    if not report.accounts:
        return [*lines, "No account was audited.", ""]
    rows = [
        [
            name(account.name),
            plain(account.venue_name, 80),
            interval(account.score),
            percent(account.score.coverage) if account.score.coverage is not None else "nothing to score",
            moment(account.collected_at),
        ]
        for account in report.accounts[:_MOST_ACCOUNTS]
    ]
    lines += table(("Account", "Exchange", "Score", "Coverage", "Evidence of"), rows)
    rest = len(report.accounts) - _MOST_ACCOUNTS
    lines += ["", f"And {count(rest, 'more account')}; all of them are counted below.", ""] if rest > 0 else [""]
    summed = _tally.counts(finding for account in report.accounts for finding in account.findings)
    rows = [[severity, *(str(summed[severity][outcome]) for outcome in Outcome)] for severity in Severity]
    return [*lines, *table(("Findings", *(outcome.replace("_", " ") for outcome in Outcome)), rows), ""]


def _framework(one: Framework, bearing: dict[str, Weight], signer: str | None) -> list[str]:
    known = {control.id for control in one.controls}
    named = sorted(key.partition("/")[2] for key in bearing if key.partition("/")[0] == one.id)
    others = [Control(id=id_, about="(not described here)", derived=False) for id_ in named if id_ not in known]
    controls = [*one.controls, *others]
    lines = ["", f"## {one.name} ({one.edition})", "", one.note, ""]
    rows = [_row(control, bearing.get(f"{one.id}/{control.id}"), signer) for control in controls]
    lines += table(("Control", "What it is about", "Outcome", "Evidence", "Date", "Signed with"), rows)
    for control in controls:
        lines += _details(control, bearing.get(f"{one.id}/{control.id}"))
    return lines


def _row(control: Control, found: Weight | None, signer: str | None) -> list[str]:
    number = name(control.id) + (" (number derived from a draft)" if control.derived else "")
    if not found:
        return [number, plain(control.about), NOT_EXAMINED, "no rule bears on it", "-", "-"]
    key = name(signer) if signer else "not signed"
    return [number, plain(control.about), found.word, _weight(found), _dates(found), key]


def _weight(found: Weight) -> str:
    by_word: Counter[str] = Counter()
    for held, amount in found.outcomes.items():
        by_word[_OUTCOMES[held]] += amount
    told = ", ".join(f"{by_word[word]} {word}" for word in dict.fromkeys(_OUTCOMES.values()) if by_word[word])
    whose = {frozenset({True}): "stated by the owner", frozenset({False}): "observed"}.get(frozenset(found.stated))
    whose = whose or ("observed and stated" if found.stated else "no fact was seen")
    risk = f"; {count(found.accepted, 'risk')} accepted" if found.accepted else ""
    return f"{told} ({whose}{risk})"


def _dates(found: Weight) -> str:
    first, last = min(found.days), max(found.days)
    return first if first == last else f"{first} to {last}"


def _details(control: Control, found: Weight | None) -> list[str]:
    if not found:
        return []
    lines = ["", f"### {name(control.id)} {found.word}", ""]
    for _, item in found.told:
        lines += _line(item)
    rest = found.outcomes.total() - len(found.told)
    return [*lines, f"- and {rest} more, all of them in the JSON or CSV report"] if rest > 0 else lines


def _line(item: Bearing) -> list[str]:
    account, finding = item.account, item.finding
    about = plain(whom(finding.subject, _view.masked_ids(account)), 300)
    state = "undecided, the rule is in error" if finding.outcome is Outcome.ERROR else _OUTCOMES[finding.outcome]
    head = f"- {state}: {name(finding.rule)} at {name(account.name)} ({about}), finding {name(finding.id)}: "
    lines = [head + plain(finding.message)]
    lines += [f"  - {plain(waived(finding.waiver))}"] if finding.waiver else []
    return [
        *lines,
        *(f"  - {plain(text)}" for text in (*_tally.grounds(finding), *_tally.missing(finding))[:_MOST_FACTS]),
    ]


def _others(report: Report, ids: Sequence[str]) -> list[str]:
    """Rules that bear on no control above: nothing that was judged is left out."""
    worst: dict[str, set[Outcome]] = {}
    for account in report.accounts:
        for finding in account.findings:
            if not any(control.partition("/")[0] in ids for control in finding.controls):
                worst.setdefault(finding.rule, set()).add(finding.outcome)
    if not worst:
        return []
    rows = [
        [name(rule), next(word for held, word in _OUTCOMES.items() if held in worst[rule])]
        for rule in sorted(worst)[:_MOST_RULES]
    ]
    return ["", "## Rules that bear on none of these controls", "", *table(("Rule", "Outcome"), rows)]
