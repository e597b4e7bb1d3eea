"""Rules and documents made by hand, and the shortest way from them to outcomes, findings and scores."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from auditor.engine.evaluate import Evaluation, SubjectOutcomes
from auditor.engine.intake import Evidence
from auditor.identity import Identity
from auditor.model.report import Report
from auditor.model.rule import Fix, Predicate, Rule, Severity
from auditor.pipeline import Run, judge
from auditor.ruleset import loader, predicate

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ID = Identity.ephemeral("tests")


def rule(name: str, applies_to: str, require: str | Predicate, when: str | None = None, **more: Any) -> Rule:
    """A rule; `require` as text is checked, as a Predicate taken as it is."""
    checked = predicate.check(require, applies_to=applies_to) if isinstance(require, str) else require
    given: dict[str, Any] = {
        "title": name,
        "severity": Severity.HIGH,
        "lifecycle": "stable",
        "since": "0.1",
        "message": f"{name} does not hold",
        "why": "",
        "how_we_know": "",
        "fix": Fix(effort="low", text="mend it", steps={}),
    }
    about = predicate.check(when, applies_to=applies_to) if when else None
    return Rule(id=name, applies_to=applies_to, when=about, require=checked, **{**given, **more})


def document(account: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """An evidence document of an exchange nobody knows."""
    head = {"name": "main", "exchange": "nowhere", **(account or {})}
    return {"schema": "auditor/evidence/1", "collected_at": "2026-11-20T10:00:00Z", "account": head, **more}


def subjects(
    documents: list[dict[str, Any]], rules: list[Rule], venues: dict[str, dict[str, Any]] | None = None
) -> list[list[SubjectOutcomes]]:
    with Evidence(NOW).add(documents) as evidence, Evaluation(evidence, rules, venues or {}) as evaluation:
        return list(evaluation.documents())


def outcomes(one: dict[str, Any], rules: list[Rule]) -> dict[str, list[str]]:
    """Rule -> the outcomes of its subjects, in order, for one document."""
    found: dict[str, list[str]] = {}
    for subject in subjects([one], rules)[0]:
        for name, outcome in subject.outcomes.items():
            found.setdefault(name, []).append(outcome.value)
    return found


@cache
def shipped() -> tuple[Rule, ...]:
    return tuple(loader.load_all([], shipped=True))


def judged(documents: list[dict[str, Any]], rules: tuple[Rule, ...] | None = None) -> Report:
    with Evidence(NOW).add(documents) as evidence:
        return judge(evidence, Run(rules=shipped() if rules is None else rules, identity=ID, now=NOW))
