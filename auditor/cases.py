"""Runs the cases that every rule carries, with the engine that judges real accounts.

A list that a case gives counts as complete unless the case says otherwise; a list it leaves out was not seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from auditor.engine.evaluate import Evaluation
from auditor.engine.intake import Evidence
from auditor.engine.score import of_account
from auditor.model.evidence import SCHEMA
from auditor.model.facts import COMPLETENESS, LISTS, format_time, parse_time
from auditor.model.report import Outcome
from auditor.model.rule import Rule

_LONG_AGO = timedelta(days=3650)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CaseFailure:
    """A case whose rule did not say what the case expects."""

    file: str
    rule: str
    case: str
    expected: str
    got: str


def run(rules: Sequence[Rule], *, now: datetime) -> list[CaseFailure]:
    """Every failing case of every rule. A case may set its own `now`."""
    by_moment: dict[datetime, list[tuple[Rule, dict[str, Any]]]] = defaultdict(list)
    for rule in rules:
        for case in rule.cases:
            by_moment[parse_time(case.get("now")) or now].append((rule, case))
    return sorted(failure for moment, cases in by_moment.items() for failure in _run_at(cases, rules, moment))


def _run_at(cases: list[tuple[Rule, dict[str, Any]]], rules: Sequence[Rule], now: datetime) -> Iterator[CaseFailure]:
    documents = (_document(case, now) for _, case in cases)
    with Evidence(now).add(documents) as evidence, Evaluation(evidence, rules, {}) as evaluation:
        for (rule, case), subjects in zip(cases, evaluation.documents(), strict=True):
            got = of_account(_outcomes(rule, subjects))
            if got is not Outcome(case["expect"]):
                yield CaseFailure(
                    file=rule.file, rule=rule.id, case=case["name"], expected=case["expect"], got=got.value
                )


def _outcomes(rule: Rule, subjects: Iterable[Any]) -> list[Outcome]:
    return [subject.outcomes[rule.id] for subject in subjects if rule.id in subject.outcomes]


def _document(case: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The evidence document of a case."""
    whole: dict[str, Any] = {
        fact.partition(".")[2]: True for scope, fact in COMPLETENESS.items() if case.get(LISTS[scope]) is not None
    }
    if case.get("events") is not None:
        whole["events_cover_from"] = format_time(now - _LONG_AGO)
    return {
        "schema": SCHEMA,
        "collected_at": format_time(now),
        "account": {"name": "case", "exchange": "case", **whole, **(case.get("account") or {})},
        **{key: case[key] for key in LISTS.values() if key in case},
        "venue": case.get("venue") or {},
        "sources": case.get("sources") or {},
        "problems": case.get("problems") or [],
    }
