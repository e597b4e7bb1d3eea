"""What an account report says beyond its findings: why things are unknown, which questions settle most, what to fix first."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import lru_cache

from auditor.engine import score
from auditor.engine.derived import closure, roots
from auditor.model.facts import COMPLETENESS, LISTS, catalogue
from auditor.model.report import Finding, FixStep, Outcome, Question, Subject, UnknownCause
from auditor.model.rule import Rule, Severity
from auditor.model.venue import VenueFile

_COUNT = "account.keys_counted"
_Asked = tuple[str, Subject | None]


def causes(findings: Iterable[Finding]) -> tuple[UnknownCause, ...]:
    """Undecided rules grouped by what one answer would settle; those that hide most weight first."""
    findings = list(findings)
    failed = {finding.rule for finding in findings if finding.outcome is Outcome.FAIL}
    groups: dict[tuple[str, str], dict[str, dict[str, Severity]]] = defaultdict(lambda: {"facts": {}, "rules": {}})
    for finding in findings:
        for missing in finding.missing if finding.rule not in failed else ():
            group = groups[missing.reason, missing.how]
            group["facts"][missing.fact] = finding.severity
            group["rules"][finding.rule] = finding.severity
    ordered = sorted(groups.items(), key=lambda item: (-_weight(item[1]["rules"]), item[0]))
    return tuple(
        UnknownCause(reason=reason, facts=tuple(group["facts"]), rules=tuple(sorted(group["rules"])), how=how)
        for (reason, how), group in ordered
    )


def questions(
    findings: Iterable[Finding],
    venue: VenueFile | None,
    decided: Mapping[str, float] | None = None,
    known: Container[str] = (),
) -> tuple[Question, ...]:
    """What only the owner can say, most valuable first: `gain` is what score.low could gain by the answers alone.

    A rule that waits for several answers shares its weight between them. What is asked of a row is asked of each row, at
    the place of the rule: one "no" decides it.
    `decided` is fact -> how many possible ways to lose funds it would decide: deciding all of them is worth as much as
    a critical rule. What is in `known` is not asked again: where it did not settle the matter, what else would is asked.
    """
    narrows: dict[_Asked, dict[str, Severity]] = defaultdict(dict)
    weights: dict[_Asked, float] = defaultdict(float)
    worth: dict[_Asked, float] = defaultdict(float)
    findings = list(findings)
    for rule, (severity, asked) in sorted(_open_rules(findings, known).items()):
        facts = {fact for fact, _ in asked}
        for one in asked:
            narrows[one][rule] = severity
            weights[one] += score.weight(severity) / len(asked)
            worth[one] += score.weight(severity) / len(facts)
    where = venue.where if venue else {}
    ways = _ways(decided or {}, narrows, known)
    whole = math.fsum((decided or {}).values()) or 1.0
    value = {
        one: worth[one] + score.weight(Severity.CRITICAL) * ways.get(one, 0.0) / whole for one in {*narrows, *ways}
    }
    ordered = sorted(value, key=lambda one: (-round(value[one], 9), one[0], *_named(one[1])))
    return tuple(
        Question(
            fact=fact,
            ask=f"{catalogue()[fact].ask or ''}{f' ({whom.label})' if whom else ''}",
            where=where.get(fact),
            narrows=tuple(sorted(narrows[fact, whom], key=lambda rule: (narrows[fact, whom][rule].rank, rule))),
            gain=math.exp(weights[fact, whom]),
            subject=whom,
            ways=round(ways.get((fact, whom), 0.0), 6),
        )
        for fact, whom in ordered
    )


def _named(whom: Subject | None) -> tuple[str, str]:
    """By what questions about several rows are sorted: labels may be equal, and a set has another order in each process."""
    return (whom.label, whom.fingerprint) if whom else ("", "")


def important(question: Question) -> bool:
    """Whether an answer could move more than half a medium rule, or decide a way to lose funds."""
    return question.ways > 0 or math.log(question.gain) > score.weight(Severity.MEDIUM) / 2


def _ways(decided: Mapping[str, float], asked: Iterable[_Asked], known: Container[str]) -> dict[_Asked, float]:
    """The same by question: what the owner can say is asked instead of the fact; a row's question counts where it is asked."""
    found: dict[_Asked, float] = defaultdict(float)
    asked = list(asked)
    for fact, ways in sorted(decided.items()):
        root = _asked(fact, known)
        if root is None:
            continue
        rows = [one for one in asked if one[0] == root and one[1] is not None]
        for one in rows or ([(root, None)] if root.startswith("account.") else []):
            found[one] += ways / max(1, len(rows))
    return found


def _open_rules(findings: Iterable[Finding], known: Container[str]) -> dict[str, tuple[Severity, tuple[_Asked, ...]]]:
    """Rule -> its severity and what an owner could state to settle it. A failing rule is settled already."""
    findings = list(findings)
    failed = {finding.rule for finding in findings if finding.outcome is Outcome.FAIL}
    found: dict[str, tuple[Severity, dict[_Asked, None]]] = {}
    for finding in findings:
        if finding.rule not in failed:
            asked = (_asked(missing.fact, known) for missing in finding.missing)
            place = found.setdefault(finding.rule, (finding.severity, {}))[1]
            place.update(dict.fromkeys((fact, _whom(fact, finding.subject)) for fact in asked if fact))
    return {rule: (severity, tuple(asked)) for rule, (severity, asked) in found.items() if asked}


def _whom(fact: str, subject: Subject) -> Subject | None:
    """The row that a question is about; None for a question about the account."""
    return subject if fact.startswith(f"{subject.type}.") and subject.type in LISTS and not subject.unseen else None


def _asked(path: str, known: Container[str]) -> str | None:
    if path == COMPLETENESS["api_key"]:
        return _COUNT
    return next((root for root in roots(path) if catalogue()[root].ask and root not in known), None)


def fixes(findings: Sequence[Finding]) -> tuple[FixStep, ...]:
    """One step a failing rule: everything it names, closed by one kind of change. Largest gain first; among equals what
    lies on a way to the money, then what is easy.

    A rule whose failures were all accepted asks for nothing.
    """
    failing: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.outcome is Outcome.FAIL and score.weight(finding.severity) > 0:
            failing[finding.rule].append(finding)
    effort = ("low", "medium", "high")
    open_ = [group for group in failing.values() if not all(finding.waiver for finding in group)]
    ordered = sorted(
        open_,
        key=lambda group: (
            group[0].severity.rank,
            not any(finding.on_path for finding in group),
            effort.index(group[0].fix.effort),
            group[0].rule,
        ),
    )
    return tuple(
        FixStep(
            change=group[0].fix.text, closes=tuple(finding.id for finding in group), gain=score.gain(group[0].severity)
        )
        for group in ordered
    )


def resting_on(rule: Rule) -> frozenset[str]:
    """Every fact a rule's outcome can rest on: those it names and what they follow from."""
    return _resting(rule.facts)


@lru_cache(maxsize=4096)
def _resting(facts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(closure(facts))


def _weight(rules: Mapping[str, Severity]) -> float:
    return math.fsum(score.weight(severity) for severity in rules.values())
