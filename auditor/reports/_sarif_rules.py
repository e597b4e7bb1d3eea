"""Rules as SARIF describes them: level, security severity, tags, and help as text and as Markdown.

Knows a rule only through the findings of a report, whose texts about a rule are the same in each but for the steps of a
venue.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from auditor.model.report import AccountReport, Finding
from auditor.model.rule import Severity
from auditor.reports import _markdown
from auditor.reports._words import label, prose

LEVELS: dict[Severity, str] = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
_SECURITY = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.0"}
"""What GitHub shows as critical (over 9), high (7 to 8.9), medium (4 to 6.9) and low. Info weighs nothing and has none."""
_LONGEST, _MOST_VENUES, _MOST_TAGS = 1_000, 8, 20
_ESCAPED = str.maketrans({"[": r"\[", "]": r"\]", "{": "{{", "}": "}}"})


def said(text: str, limit: int = _LONGEST) -> str:
    """Text of a message: brackets would be a link in it and braces a placeholder."""
    return prose(text, limit).translate(_ESCAPED)


def described(accounts: Iterable[AccountReport]) -> list[dict[str, Any]]:
    """Every rule of a report, whatever came of it, sorted by id."""
    found: dict[str, tuple[Finding, dict[str, tuple[str, ...]]]] = {}
    for account in accounts:
        for finding in account.findings:
            _, steps = found.setdefault(label(finding.rule), (finding, {}))
            if finding.fix.steps and len(steps) < _MOST_VENUES:
                steps.setdefault(account.venue_name, finding.fix.steps)
    return [_rule(name, *found[name]) for name in sorted(found)]


def _rule(name: str, finding: Finding, steps: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    security = _SECURITY.get(finding.severity)
    return {
        "id": name,
        "shortDescription": {"text": said(finding.title, 300)},
        "fullDescription": {"text": said(finding.why)},
        "help": {"text": _text(finding), "markdown": _help(finding, steps)},
        "defaultConfiguration": {"level": LEVELS[finding.severity]},
        "properties": {
            "tags": list(dict.fromkeys(["security", *map(label, finding.controls)]))[:_MOST_TAGS],
            "precision": "very-high",
            **({"security-severity": security} if security else {}),
        },
    }


def _text(finding: Finding) -> str:
    parts = (finding.why, f"How we know: {finding.how_we_know}", f"What to do: {finding.fix.text}")
    return "\n\n".join(said(part) for part in parts)


def _help(finding: Finding, steps: dict[str, tuple[str, ...]]) -> str:
    lines = ["**Why**", "", _paragraph(finding.why), "", "**How we know**", "", _paragraph(finding.how_we_know)]
    lines += ["", "**What to do**", "", _paragraph(finding.fix.text)]
    for venue, listed in sorted(steps.items()):
        lines += ["", f"At {_markdown.plain(venue, 80)}:", ""]
        lines += [f"{place}. {_markdown.plain(step, 400)}" for place, step in enumerate(listed[:20], 1)]
    if finding.controls:
        lines += ["", f"Related to {', '.join(map(_markdown.name, finding.controls[:_MOST_TAGS]))}."]
    return "\n".join(lines)


def _paragraph(text: str) -> str:
    return _markdown.plain(text, 2_000)
