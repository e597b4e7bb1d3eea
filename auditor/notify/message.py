"""A change in plain words, worst first, short enough for any channel. Pure.

What somebody outside may have written (a label) is cut down to letters and digits: a chat would make a link, a mention or
markup of it. No secret, no e-mail, no IP and no wallet address is in it whole.
"""

from __future__ import annotations

import re
from collections import Counter

from auditor.model.report import AccountReport, Drift, Finding, Report, Subject
from auditor.model.rule import Severity
from auditor.notify.change import Change
from auditor.redaction import printable, scrub

MOST = 10
"""Findings and differences that are named; the rest is counted."""
_LONGEST_LINE = 200
_LONGEST_LABEL = 40
_WORD = re.compile(r"[\w-]+")
_READ = 1000
_LONGEST_WORD, _LONGEST_NAME = 15, 25
_IPV4 = re.compile(r"(?<![\w.])(\d{1,3})\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w.]\d)")
_IPV6 = re.compile(r"(?<![\w:])(?=[0-9a-fA-F:]*:[0-9a-fA-F:]*:)([0-9a-fA-F]{0,4}):[0-9a-fA-F:.]+(?!\w)")
_OUTSIDE = re.compile(r"[^\w •…-]")
_KINDS = {
    "api_key": "API key",
    "address": "withdrawal address",
    "event": "log entry",
    "withdrawal": "withdrawal",
    "vendor": "third party",
    "account": "account",
    "venue": "exchange",
}
_DRIFTS = {
    "new": "new",
    "removed": "gone",
    "widened": "may do more than before",
    "changed": "changed",
    "doubted": "not in the list any more, which may be a glitch",
}


def spoken(report: Report, change: Change) -> tuple[str, str]:
    """Title and body of the one message about a run."""
    lines = [*_findings(change), *_drift(change), *_incomplete(change)]
    if change.mended:
        lines.append(f"No longer failing: {change.mended}")
    lines += ["", *_scores(report, change), f"Run {printable(report.run.id, limit=40)}; the report says what to do."]
    return _title(change), "\n".join(lines).strip()


def trial() -> tuple[str, str]:
    """The message of `--notify-test`."""
    return "auditor: test notice", "This is a test. Notices of changes will arrive here."


def discreet(text: str, *, limit: int = _LONGEST_LABEL, word: int = _LONGEST_WORD) -> str:
    """Text from outside as a word or two that no channel can turn into anything else.

    Of what may be a key or an address (longer than `word`, with a digit in it) the ends alone are left.
    """

    def cut(found: re.Match[str]) -> str:
        whole = found[0]
        kept = len(whole) <= word or not any(char.isdigit() for char in whole)
        return whole if kept else f"{whole[:4]}…{whole[-2:]}"

    text = scrub(text[:_READ])
    text = _IPV4.sub(r"\1.…", text)
    text = _IPV6.sub(r"\1:…", text)
    return " ".join(_OUTSIDE.sub("·", printable(_WORD.sub(cut, text), limit=limit)).split())


def _name(account: AccountReport) -> str:
    return discreet(account.name, limit=64, word=_LONGEST_NAME)


def _title(change: Change) -> str:
    counts = Counter(finding.severity for _, finding in change.new)
    parts = [f"{counts[severity]} {severity.value}" for severity in Severity if counts[severity]]
    told = [f"{', '.join(parts)} failing anew"] if parts else []
    if change.drift:
        told.append(f"{len(change.drift)} in the inventory")
    if change.incomplete:
        told.append(f"{len(change.incomplete)} not read completely")
    if change.mended and not told:
        told.append(f"{change.mended} no longer failing")
    return f"auditor: {'; '.join(told)}"


def _findings(change: Change) -> list[str]:
    named = [f"{one.severity.value.upper()} {_of(account, one)}" for account, one in change.new[:MOST]]
    rest = len(change.new) - len(named)
    return [*(line[:_LONGEST_LINE] for line in named), *([f"and {rest} more"] if rest else [])]


def _of(account: AccountReport, finding: Finding) -> str:
    title = printable(scrub(finding.title), limit=120)
    return f"{_name(account)}: {title}{_whom(finding.subject)}"


def _whom(subject: Subject) -> str:
    if subject.unseen or subject.type in {"account", "venue"}:
        return ""
    label = discreet(subject.label)
    return f" ({_KINDS.get(subject.type, 'entry')}{f' {label}' if label else ''})"


def _drift(change: Change) -> list[str]:
    named = [f"{_name(account)}: {_difference(one)}" for account, one in change.drift[:MOST]]
    rest = len(change.drift) - len(named)
    return [*named, *([f"and {rest} more differences"] if rest else [])]


def _difference(drift: Drift) -> str:
    kind, label = _KINDS.get(drift.subject.type, "entry"), discreet(drift.subject.label)
    return f"{kind}{f' {label}' if label else ''}: {_DRIFTS.get(drift.kind, 'changed')}"


def _incomplete(change: Change) -> list[str]:
    if not change.incomplete:
        return []
    names = [_name(account) for account in change.incomplete]
    rest = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return [f"Could not be read completely: {', '.join(names[:MOST])}{rest}"]


def _scores(report: Report, change: Change) -> list[str]:
    """The score of the worst account that the notice is about, or of the worst of all."""
    about = {account.name for account, _ in change.new}
    worst = next((account for account in report.accounts if account.name in about or not about), None)
    if worst is None or worst.score.low is None or worst.score.high is None:
        return []
    score = worst.score
    share = f", {100 * (score.coverage or 0):.0f}% could be seen"
    return [f"Score of {_name(worst)}: {score.low:.1f} to {score.high:.1f} of 100{share}"]
