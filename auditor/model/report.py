"""The Report: the one value every format renders. All numbers in it are final; a renderer computes none.

Text in it may still be attacker-written (labels, event texts, venue messages): it is free of secrets and personal data,
but each renderer escapes it for its own medium.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from auditor.model.evidence import Problem
from auditor.model.rule import Severity

SCHEMA = "auditor/report/1"
BY_ANSWER = "answer with `auditor attest`: "
"""How the `how` of a missing fact begins where its owner can simply say it."""


class Outcome(StrEnum):
    """What a rule says of a subject."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a finding is about. `unseen` is the subject that stands for whatever an incomplete list did not show."""

    type: str
    fingerprint: str
    label: str
    unseen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A fact that was needed and not there: why, and how to supply it (which permission, which question)."""

    fact: str
    reason: str
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceLine:
    """A fact that a finding rests on: its value as JSON, and where it came from in words (`api: GET ...`, `attested 2026-11-01`)."""

    fact: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFix:
    """What to do about a finding, with the steps for this venue."""

    effort: str
    text: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one rule for one subject. `gain` is score.low after the whole rule is resolved over score.low now."""

    id: str
    rule: str
    title: str
    severity: Severity
    outcome: Outcome
    subject: Subject
    message: str
    why: str
    how_we_know: str
    missing: tuple[Missing, ...] = ()
    evidence: tuple[EvidenceLine, ...] = ()
    fix: FindingFix
    gain: float | None = None
    controls: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()
    on_path: bool | None = None
    waiver: dict[str, str] | None = None
    baseline: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Contract 7. `low`, `high`, `coverage`, `observed` and `attested` are None where nothing weighted applies.

    `low` and `high` are 0..100; `coverage` is 0..1; `observed` and `attested` are shares of the decided weight, 0..1.
    """

    low: float | None
    high: float | None
    grade: str | None
    coverage: float | None
    observed: float | None
    attested: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FixStep:
    """One change and the findings (by id) it closes; `gain` as in Finding."""

    change: str
    closes: tuple[str, ...]
    gain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question only the owner can answer, and the rules it would decide. Most valuable first.

    `subject` is the key, address ... that it is about; None where it is about the account.
    """

    fact: str
    ask: str
    where: str | None
    narrows: tuple[str, ...]
    gain: float
    subject: Subject | None = None

    @property
    def place(self) -> str:
        """Where the answer belongs: the fact, and of a row its fingerprint too."""
        return f"{self.fact}[{self.subject.fingerprint}]" if self.subject else self.fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Keys and addresses as seen; None where the list was not seen. `complete` is None where nobody knows."""

    api_keys: tuple[dict[str, Any], ...] | None
    addresses: tuple[dict[str, Any], ...] | None
    complete: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownCause:
    """Unknown rules that one thing explains: what was missing, why, and the one way to supply it."""

    reason: str
    facts: tuple[str, ...]
    rules: tuple[str, ...]
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReport:
    """Everything about one account. `findings` holds every outcome of every selected rule, worst first."""

    name: str
    exchange: str
    venue_name: str
    kind: str | None
    collected_at: datetime
    score: Score
    with_waivers: Score | None = None
    findings: tuple[Finding, ...]
    inventory: Inventory
    causes: tuple[UnknownCause, ...]
    fixes: tuple[FixStep, ...]
    questions: tuple[Question, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Which program said this, when, and with which rules."""

    id: str
    started_at: datetime
    finished_at: datetime
    version: str
    ruleset_sha256: str
    formula: str
    sample: bool = False
    """The accounts are samples served by the embedded twin: every format must say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The run in a line. `findings` counts failing findings by severity; `coverage` is that of the worst-covered account."""

    accounts: int
    worst: tuple[str, Score] | None
    findings: dict[Severity, int]
    unknown_rules: int
    incomplete_accounts: tuple[str, ...]
    coverage: float | None
    grades: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run over one or more accounts, worst account first."""

    run: RunInfo
    summary: Summary
    accounts: tuple[AccountReport, ...]
