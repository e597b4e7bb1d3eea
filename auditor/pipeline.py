"""The one place where the stages meet: configuration to snapshots, snapshots to evidence, evidence and rules to a report."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor import __version__, threats, waivers
from auditor.engine import advice, few, findings, score
from auditor.engine.evaluate import SubjectOutcomes
from auditor.engine.intake import Evidence
from auditor.exchanges import _venue
from auditor.model.evidence import Reason, Snapshot
from auditor.model.facts import LISTS, catalogue, of_scope
from auditor.model.report import (
    AccountReport,
    Finding,
    Inventory,
    Outcome,
    Question,
    Report,
    RunInfo,
    Score,
    Summary,
    weight,
)
from auditor.model.rule import Rule, Severity
from auditor.model.venue import VenueFile
from auditor.ruleset import loader
from auditor.spool import Gathering
from auditor.threats import Analyst, Reading, marks
from auditor.values import frozen
from auditor.waivers import Waiver

if TYPE_CHECKING:
    from auditor.attestations import Attestation
    from auditor.identity import Identity
    from auditor.model.settings import AccountConfig, Config

_DELIBERATE = {Reason.NOT_EXPOSED, Reason.NOT_COLLECTED, Reason.PERMISSION_DENIED, Reason.ATTESTATION_EXPIRED}
_OWNER = {"attest", "config"}
_UNDECIDED = {Outcome.UNKNOWN, Outcome.ERROR}
FAILING = {Severity.LOW: 10, Severity.MEDIUM: 11, Severity.HIGH: 12, Severity.CRITICAL: 13}
INCOMPLETE = 4


@frozen
class Run:
    """What a run judges with: its rules, who keys the fingerprints, and its moment."""

    rules: tuple[Rule, ...]
    identity: Identity
    now: datetime
    sample: bool = False
    waivers: tuple[Waiver, ...] = ()
    everything: bool = True
    """Whether all accounts are judged; where not, a waiver that covers nothing may belong to one that was left out."""
    analyst: Analyst | None = None
    """Who looks for attack paths; without one, the shipped model does."""


def attestation_path(config: Config, account: AccountConfig) -> Path:
    """Where the owner's answers about an account are kept."""
    from auditor.config import default_attestations

    return account.attestations or default_attestations(config.path.parent, account.name)


def attested(config: Config, accounts: Sequence[AccountConfig], now: datetime) -> dict[str, Attestation]:
    """What the owner stated about each account that has an attestation file. Raises InputError."""
    from auditor import attestations

    paths = {account: attestation_path(config, account) for account in accounts}
    return {
        account.name: attestations.load(path, account_name=account.name, exchange=account.exchange, now=now)
        for account, path in paths.items()
        if os.path.lexists(path)
    }


def waiver_path(config: Config) -> Path:
    """Where the accepted risks are kept: the file that is named, or `waivers.yaml` beside the configuration."""
    return config.waivers or config.path.parent / waivers.FILE


def accepted(config: Config, now: datetime) -> tuple[Waiver, ...]:
    """The waivers of a configuration; none where the file is not there yet. Raises InputError."""
    path = waiver_path(config)
    return waivers.load(path, now=now) if os.path.lexists(path) else ()


def with_answers(
    config: Config, accounts: Sequence[AccountConfig], collected: Sequence[Snapshot], now: datetime
) -> list[Snapshot]:
    """Snapshots already collected, with what the owner has stated since."""
    from auditor.snapshots import restate

    stated = attested(config, accounts, now)
    return [restate(snapshot, stated.get(snapshot.name), now) for snapshot in collected]


def incomplete(collected: Iterable[Snapshot]) -> bool:
    """Whether a call failed that could have shown something."""
    return any(problem.reason not in _DELIBERATE for snapshot in collected for problem in snapshot.problems)


def judge(evidence: Evidence, run: Run) -> Report:
    """The report on an evidence file. Touches no network."""
    venues = {name: _venue.load(name) for name in sorted(evidence.exchanges & set(_venue.ids()))}
    policies = {name: venue.policy_facts() for name, venue in venues.items()}
    rules = {rule.id: rule for rule in run.rules}
    facts = _analyst(run).model.facts
    with few.evaluation(evidence, run.rules, policies, also=facts) as evaluation:
        read = threats.readings(evaluation, facts)
        judged = zip(evidence.snapshots(), evaluation.documents(), read, strict=True)
        return report_on(
            (
                _account(snapshot, subjects, reading, rules, venues.get(snapshot.exchange), run)
                for snapshot, subjects, reading in judged
            ),
            run,
        )


def report_on(accounts: Iterable[AccountReport], run: Run, *, of: Summary | None = None) -> Report:
    """The report on accounts that were judged. `of` sums up all of them where they are too many to be shown."""
    gathering, sum_ = Gathering(worst_first, weigh=weight), Sum()
    for account in accounts:
        gathering.add(account)
        sum_.add(account)
    ordered = gathering.done()
    of = of or sum_.done(ordered)
    ruleset = loader.digest(run.rules)
    finished = datetime.now(UTC) if not run.sample else run.now
    info = RunInfo(
        id=hashlib.sha256(f"{run.now.isoformat()} {ruleset} {of.accounts}".encode()).hexdigest()[:12],
        started_at=run.now,
        finished_at=finished,
        version=__version__,
        ruleset_sha256=ruleset,
        formula=score.FORMULA,
        sample=run.sample,
    )
    idle = waivers.problems(ordered, run.waivers, run.now, everything=run.everything)
    return Report(run=info, summary=of, accounts=ordered, problems=idle)


def _analyst(run: Run) -> Analyst:
    return run.analyst or threats.analyst()


def worst_first(account: AccountReport) -> tuple[Any, ...]:
    """What accounts are sorted by."""
    held = account.score
    place = (held.low is None, round(held.low or 0.0, 1), held.high or 0.0)  # as it is printed, then by what is certain
    return (*place, account.name, account.exchange, account.collected_at)


def _account(
    snapshot: Snapshot,
    subjects: list[SubjectOutcomes],
    reading: Reading,
    rules: Mapping[str, Rule],
    venue: VenueFile | None,
    run: Run,
) -> AccountReport:
    found = findings.of_document(snapshot, subjects, rules, venue, run.identity.fingerprint)
    analyst = _analyst(run)
    paths, hardening = analyst.study(reading, run.now, findings.source_of(snapshot, venue))
    marked = waivers.marked(marks.marked(found, rules, paths, analyst.model), run.waivers, run.now)
    return AccountReport(
        name=snapshot.name,
        exchange=snapshot.exchange,
        venue_name=venue.name if venue else snapshot.exchange,
        kind=snapshot.account.get("kind"),
        collected_at=snapshot.collected_at,
        score=_score(found, rules, snapshot),
        with_waivers=_score(waivers.taken_out(marked), rules, snapshot) if any(one.waiver for one in marked) else None,
        findings=marked,
        inventory=_inventory(snapshot),
        causes=advice.causes(found),
        fixes=advice.fixes(marked),
        questions=advice.questions(found, venue, marks.decided(paths, analyst.model), _stated(snapshot)),
        problems=snapshot.problems,
        paths=paths,
        hardening=hardening,
    )


def _stated(snapshot: Snapshot) -> set[str]:
    return {f"account.{name}" for name, value in snapshot.account.items() if value is not None}


def _score(found: Sequence[Finding], rules: Mapping[str, Rule], snapshot: Snapshot) -> Score:
    by_rule: dict[str, list[Outcome]] = {rule: [] for rule in rules}
    for finding in found:
        by_rule[finding.rule].append(finding.outcome)
    stated = {fact for path, source in snapshot.sources.items() if source.by in _OWNER for fact in _stands_for(path)}
    attested_rules = {id_ for id_, rule in rules.items() if stated and stated & advice.resting_on(rule)}
    return score.score(
        {rule: score.of_account(seen) for rule, seen in by_rule.items()}, rules, frozenset(attested_rules)
    )


def _stands_for(path: str) -> list[str]:
    """The facts that a source is about: one, or all of a list or of a scope."""
    scope = next((scope for scope, key in LISTS.items() if key == path), path)
    return [path] if path in catalogue() else [fact.path for fact in of_scope(scope).values()]


def _inventory(snapshot: Snapshot) -> Inventory:
    lists = {key: tuple(rows) if (rows := snapshot.rows(scope)) is not None else None for scope, key in LISTS.items()}
    complete = snapshot.account.get("key_inventory_complete")
    return Inventory(api_keys=lists["api_keys"], addresses=lists["addresses"], complete=complete)


def summary(accounts: Sequence[AccountReport]) -> Summary:
    """What a run says in a line of its accounts, worst first."""
    sum_ = Sum()
    for account in accounts:
        sum_.add(account)
    return sum_.done(accounts)


@dataclass(slots=True)
class Sum:
    """The summary of accounts as they come, in any order."""

    accounts: int = 0
    failing: Counter[Severity] = field(default_factory=Counter)
    unknown_rules: int = 0
    incomplete: list[str] = field(default_factory=list)
    coverage: float | None = None
    grades: Counter[str] = field(default_factory=Counter)

    def add(self, account: AccountReport) -> None:
        fails = [finding for finding in account.findings if finding.outcome is Outcome.FAIL]
        open_ = {finding.rule for finding in account.findings if finding.outcome in _UNDECIDED}
        self.accounts += 1
        self.failing.update(finding.severity for finding in fails)
        self.unknown_rules += len(open_ - {finding.rule for finding in fails})
        self.incomplete += [account.name] if is_incomplete(account) else []
        shares = [share for share in (self.coverage, account.score.coverage) if share is not None]
        self.coverage = min(shares, default=None)
        self.grades.update([account.score.grade] if account.score.grade else [])

    def join(self, other: Sum) -> None:
        """Takes in the sum of other accounts."""
        self.accounts += other.accounts
        self.failing.update(other.failing)
        self.unknown_rules += other.unknown_rules
        self.incomplete += other.incomplete
        self.coverage = min((share for share in (self.coverage, other.coverage) if share is not None), default=None)
        self.grades.update(other.grades)

    def done(self, worst_first: Sequence[AccountReport]) -> Summary:
        worst = worst_first[0] if worst_first else None
        return Summary(
            accounts=self.accounts,
            worst=(worst.name, worst.score) if worst else None,
            findings={severity: self.failing[severity] for severity in Severity},
            unknown_rules=self.unknown_rules,
            incomplete_accounts=tuple(sorted(self.incomplete)),
            coverage=self.coverage,
            grades=dict(self.grades),
        )


def is_incomplete(account: AccountReport) -> bool:
    """Whether something that could have been seen was not: a call failed, or a rule ended in error."""
    failed = any(problem.reason not in _DELIBERATE for problem in account.problems)
    return failed or any(finding.outcome is Outcome.ERROR for finding in account.findings)


def exit_code(report: Report, *, fail_on: Severity, min_coverage: float, also: Iterable[Severity] = ()) -> int:
    """Contract 3: the worst failing severity at or above `fail_on`; else 4 where the evidence is incomplete; else 0.

    A waived failure does not count. `also` are the severities that fail for accounts the report does not show.
    """
    failing = {severity for severity in also if severity in FAILING}
    gravest = min((one for one in FAILING if report.summary.findings.get(one)), key=lambda one: one.rank, default=None)
    for account in report.accounts if gravest else ():
        failing |= {
            finding.severity
            for finding in account.findings
            if finding.outcome is Outcome.FAIL and finding.severity in FAILING and not finding.waiver
        }
        if gravest in failing:  # nothing worse can come: of a fleet, one account is mostly enough
            break
    worst = min(failing, key=lambda severity: severity.rank, default=None)
    if worst is not None and worst.rank <= fail_on.rank:
        return FAILING[worst]
    covered = report.summary.coverage is None or report.summary.coverage >= min_coverage
    return INCOMPLETE if report.summary.incomplete_accounts or not covered else 0


def questions_for(config: Config, account: AccountConfig, now: datetime | None = None) -> Sequence[Question]:
    """What the owner could say about an account, most valuable first, judged without asking the exchange.

    Facts that a key of this exchange shows are left out, unless the venue file says where the owner has to look.
    """
    from auditor import collect
    from auditor.credentials import Sources
    from auditor.identity import Identity

    now = now or datetime.now(UTC)
    stated = attested(config, [account], now)
    identity = Identity.ephemeral("questions")
    empty = collect.collect(
        [_without_keys(account)], stated=stated, identity=identity, sources=Sources(environ={}), now=now
    )
    rules = tuple(loader.load_all(config.rules, shipped=config.shipped_rules))
    with Evidence(now).add(one.to_document() for one in empty) as evidence:
        report = judge(evidence, Run(rules=rules, identity=identity, now=now))
    where = _venue.load(account.exchange).where
    return [
        question
        for question in report.accounts[0].questions
        if "api" not in catalogue()[question.fact].by or question.fact in where
    ]


def _without_keys(account: AccountConfig) -> AccountConfig:
    from dataclasses import replace

    return replace(account, credentials=(), expected_keys=None)


def rule_files(config: Config | None, extra: Iterable[Path] = ()) -> tuple[Rule, ...]:
    """The rules a run judges with."""
    folders = [*(config.rules if config else ()), *extra]
    return tuple(loader.load_all(folders, shipped=config.shipped_rules if config else True))
