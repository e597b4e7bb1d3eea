"""The Report: the one value every format renders. All numbers in it are final; a renderer computes none.

Text in it may still be attacker-written (labels, event texts, venue messages): it is free of secrets and personal data,
but each renderer escapes it for its own medium.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any

from auditor.model.evidence import Problem
from auditor.model.rule import Severity
from auditor.values import frozen

SCHEMA = "auditor/report/1"
INDEX = "auditor/report-index/1"
"""Of a report in parts: what leads to them."""
BY_ANSWER = "answer with `auditor attest`: "
"""How the `how` of a missing fact begins where its owner can simply say it."""


class Outcome(StrEnum):
    """What a rule says of a subject."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"
    ERROR = "error"


@frozen
class Subject:
    """Whom a finding is about. `unseen` is the subject that stands for whatever an incomplete list did not show."""

    type: str
    fingerprint: str
    label: str
    unseen: bool = False


@frozen
class Missing:
    """A fact that was needed and not there: why, and how to supply it (which permission, which question)."""

    fact: str
    reason: str
    how: str


@frozen
class EvidenceLine:
    """A fact that a finding rests on: its value as JSON, and where it came from in words (`api: GET ...`, `attested 2026-11-01`)."""

    fact: str
    value: Any
    source: str


@frozen
class FindingFix:
    """What to do about a finding, with the steps for this venue."""

    effort: str
    text: str
    steps: tuple[str, ...]


@frozen
class Finding:
    """The outcome of one rule for one subject. `gain` is score.low after the whole rule is resolved over score.low now.

    `state` of a failure is a hash of what its subject is like; it changes when the subject does, and `id` does not.
    """

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
    state: str | None = None
    waiver: dict[str, str] | None = None
    baseline: str | None = None


@frozen
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


@frozen
class FixStep:
    """One change and the findings (by id) it closes; `gain` as in Finding."""

    change: str
    closes: tuple[str, ...]
    gain: float


class PathStatus(StrEnum):
    """How sure a step or a path of an attacker is: everything it needs is known to hold, or nothing is known to stop it."""

    CONFIRMED = "confirmed"
    POSSIBLE = "possible"


@frozen
class PathStep:
    """One action of an attacker. `needs` and `gives` are states of the attack model in plain words.

    `cost` is 1 (bought or automated) to 5 (a rare flaw); `delay_hours` is the wait it brings, None where nobody knows;
    `unknown` names the facts that would decide it; `attack` are MITRE ATT&CK ids.
    """

    action: str
    text: str
    status: PathStatus
    needs: tuple[str, ...]
    gives: tuple[str, ...]
    cost: int
    delay_hours: float | None
    evidence: tuple[EvidenceLine, ...] = ()
    unknown: tuple[str, ...] = ()
    attack: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()


@frozen
class AttackPath:
    """The cheapest way from what an attacker begins with to a goal; its steps in an order in which they can be taken.

    `capability` is one id of the attack model, or two joined with `+`. `alerts` are the channels through which the owner
    would still hear of it, None where nobody knows. `closed_by` are ids of single changes, each of which closes this way
    and every other one from the same capability to the same goal; a `residual` path is closed by no setting.
    """

    id: str
    goal: str
    goal_text: str
    status: PathStatus
    capability: str
    capability_text: str
    cost: int
    delay_hours: float | None
    alerts: tuple[str, ...] | None
    steps: tuple[PathStep, ...]
    closed_by: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    residual: bool = False


@frozen
class Change:
    """Something the owner can change, and what that alone does: paths (by id) it closes, and those it only delays."""

    id: str
    text: str
    effort: str
    closes: tuple[str, ...]
    delays: tuple[str, ...] = ()


@frozen
class Hardening:
    """Which changes close the confirmed paths to losing funds.

    `smallest` is the smallest set that closes all that can be closed, easiest first; `alternatives` are the next ones;
    `single` is what each change does alone; `residual` are the paths (by id) that no setting closes.
    """

    smallest: tuple[Change, ...]
    alternatives: tuple[tuple[Change, ...], ...]
    single: tuple[Change, ...]
    residual: tuple[str, ...]


@frozen
class Question:
    """A question only the owner can answer, and the rules it would decide. Most valuable first.

    `subject` is the key, address ... that it is about; None where it is about the account. `ways` is how many possible
    ways to lose funds the answer would decide; one that waits for several answers counts a part for each.
    """

    fact: str
    ask: str
    where: str | None
    narrows: tuple[str, ...]
    gain: float
    subject: Subject | None = None
    ways: float = 0.0

    @property
    def place(self) -> str:
        """Where the answer belongs: the fact, and of a row its fingerprint too."""
        return f"{self.fact}[{self.subject.fingerprint}]" if self.subject else self.fact


@frozen
class Inventory:
    """Keys and addresses as seen; None where the list was not seen. `complete` is None where nobody knows."""

    api_keys: tuple[dict[str, Any], ...] | None
    addresses: tuple[dict[str, Any], ...] | None
    complete: bool | None


@frozen
class UnknownCause:
    """Unknown rules that one thing explains: what was missing, why, and the one way to supply it."""

    reason: str
    facts: tuple[str, ...]
    rules: tuple[str, ...]
    how: str


@frozen
class Drift:
    """One difference between this run and what the owner approved, or the run before where nothing was approved.

    `kind` is new, removed, widened, changed or doubted (gone in a way that a glitch could explain).
    """

    kind: str
    subject: Subject
    what: str


@frozen
class TrendPoint:
    """The score of an account in one stored run. `rules_changed`: judged by other rules than the run before it."""

    at: datetime
    low: float | None
    high: float | None
    coverage: float | None
    failing: dict[Severity, int]
    rules_changed: bool = False


@frozen
class RunProblem:
    """What went wrong beside the evidence: a history that cannot be written, a notice not delivered, a waiver unused."""

    where: str
    message: str
    hint: str | None = None


@frozen
class AccountReport:
    """Everything about one account. `findings` holds every outcome of every selected rule, worst first.

    `paths` and `hardening` are None where nobody computed them; `drift` and `trend` where no history was asked.
    """

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
    paths: tuple[AttackPath, ...] | None = None
    hardening: Hardening | None = None
    drift: tuple[Drift, ...] | None = None
    unchanged: int | None = None
    """Keys, addresses and sub-accounts of which there is no difference to tell; None where nothing was compared."""
    trend: tuple[TrendPoint, ...] | None = None


def weight(account: AccountReport) -> int:
    """How many accounts of the usual size one is as large as: it may have thousands of keys."""
    return 1 + len(account.findings) // 200


@frozen
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


@frozen
class Summary:
    """The run in a line. `findings` counts failing findings by severity; `coverage` is that of the worst-covered account."""

    accounts: int
    worst: tuple[str, Score] | None
    findings: dict[Severity, int]
    unknown_rules: int
    incomplete_accounts: tuple[str, ...]
    coverage: float | None
    grades: dict[str, int] = field(default_factory=dict)


@frozen
class Report:
    """One run over one or more accounts, worst account first.

    Of a large fleet each look at an account reads it from disk: go through `accounts`, and keep none of them.
    """

    run: RunInfo
    summary: Summary
    accounts: Sequence[AccountReport]
    problems: tuple[RunProblem, ...] = ()
