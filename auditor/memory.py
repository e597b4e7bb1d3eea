"""What a run remembers: it is told what earlier runs saw, and is stored when it is over.

A history that cannot be opened, read or written costs what it would have said and nothing else: it becomes a problem of
the run, and the run goes on. What was tampered with is not believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from auditor import credentials, doubt, signing
from auditor.credentials import Sources
from auditor.engine.findings import identity as identified
from auditor.errors import AuditorError, CredentialError
from auditor.history import baseline, change, check, inventory, ledger, runs, store
from auditor.history.baseline import Baseline
from auditor.history.database import HistoryError
from auditor.history.ledger import Reading
from auditor.history.runs import Past, StoredRun
from auditor.history.store import Parts, Store, View
from auditor.identity import Identity
from auditor.model.evidence import Snapshot
from auditor.model.report import AccountReport, Report, RunProblem, TrendPoint, weight
from auditor.spool import gathered
from auditor.values import frozen

if TYPE_CHECKING:
    from auditor.model.settings import Config

_MOST_TOLD = 5


def open_store(settings: Config, sources: Sources) -> Store:
    """The history of a configuration. Raises HistoryError and CredentialError; nothing is opened yet."""
    url = settings.history
    if credentials.is_reference(url):
        url = sources.resolve({"address": url}, account="history")["address"].reveal()
    return store.open_store(url, key=signing.place(settings.identity_key, sources.environ))


@frozen
class _Known:
    """What was known of an account, and what its new snapshot (`seen`, before the history added to it) says to that."""

    past: Past | None
    baseline: Baseline
    seen: Snapshot
    reading: Reading


@dataclass(slots=True, kw_only=True)
class Memory:
    """The history as one run uses it: `recall`, then `compare`, then `keep`. `problems` are what went wrong so far."""

    identity: Identity
    store: Store | None = None
    problems: list[RunProblem] = field(default_factory=list)
    _known: dict[str, _Known] = field(default_factory=dict)
    _runs: list[StoredRun] = field(default_factory=list)
    _own: int = -1  # the number under which this run was stored already
    _believed: bool = True  # nothing was found to be missing from the history

    @classmethod
    def of(cls, settings: Config, identity: Identity, sources: Sources) -> Memory:
        """The memory of a configuration."""
        memory = cls(identity=identity)
        with memory._attempt("the history cannot be opened"):
            memory.store = open_store(settings, sources)
        return memory

    @contextmanager
    def _attempt(self, what: str) -> Iterator[None]:
        """A step that may fail: after it the history is left alone for the rest of the run."""
        try:
            yield
        except (HistoryError, CredentialError) as error:
            self.store = None
            self._tell(error, f"{what}: ")

    def _tell(self, error: AuditorError, before: str = "") -> None:
        problem = RunProblem(where="history", message=f"{before}{error.message}", hint=error.hint)
        if problem not in self.problems and len(self.problems) < _MOST_TOLD:
            self.problems.append(problem)

    def recall(self, collected: Sequence[Snapshot]) -> list[Snapshot]:
        """The snapshots with what the history knows: doubted where they cannot be right, recognised, first seen, widened."""
        pasts = self._look_back([one.name for one in collected])
        if pasts is None:
            return list(collected)
        return [self._recalled(one, *pasts.get(one.name, (None, Baseline()))) for one in collected]

    def _look_back(self, names: Sequence[str]) -> dict[str, tuple[Past | None, Baseline]] | None:
        """What is known of each account; empty where there is no history yet, None where it cannot be read."""
        kept = self.store
        if kept is not None:
            with self._attempt("nothing could be recalled"):
                try:
                    return self._pasts(kept, names)
                except store.NoHistoryError as error:
                    if kept.witness.seen() is not None:
                        self._tell(error)
                    return {}
        return None

    def _pasts(self, kept: Store, names: Sequence[str]) -> dict[str, tuple[Past | None, Baseline]]:
        faults = check.look(kept)
        self._believed = not faults
        for fault in faults:
            self._tell(store.TamperedError(fault))
        found = {}
        mark = ledger.mark_of(self.identity.fingerprint)
        with kept.reading() as view:
            self._runs, spoilt = runs.newest(view, runs.POINTS)
            for one in spoilt:
                self._tell(one)
            for name in names:
                past, wrong = runs.past(view, name, mark)
                said, more = runs.approvals(view, name)
                for error in (*wrong, *more):
                    self._tell(error)
                # Of a history that lost records nobody knows what the owner took back; under another identity key, of
                # whom he spoke.
                found[name] = (past, said if past is not None and not faults else Baseline())
        return found

    def _recalled(self, collected: Snapshot, past: Past | None, said: Baseline) -> Snapshot:
        seen = doubt.compare_with(past.snapshot, collected) if past and past.snapshot else collected
        reading = ledger.read(seen, past.ledger if past else None, self.identity.fingerprint)
        self._known[seen.name] = _Known(past=past, baseline=said, seen=seen, reading=reading)
        return baseline.with_history(seen, reading, said, prints(seen, self.identity))

    def compare(self, report: Report) -> Report:
        """The report with what changed since the run before, the trend, and what went wrong with the history."""
        accounts = gathered((self._compared(account, report) for account in report.accounts), weight)
        return replace(report, accounts=accounts, problems=(*report.problems, *self.problems))

    def _compared(self, account: AccountReport, report: Report) -> AccountReport:
        known = self._known.get(account.name)
        if known is None:
            return account
        before = known.past
        marked = change.compared(account, before.findings if before else None)
        drift = change.drift(known.reading, before.ledger if before else None, known.baseline)
        trend = runs.points(self._runs, account.name)
        changed = before is not None and before.ruleset != report.run.ruleset_sha256
        now = _now(account, report, rules_changed=changed)
        earlier = tuple(point for point in trend if point.at < now.at)
        marked = replace(marked, trend=(*earlier, now))
        if before is None and not known.baseline.approvals:
            return marked  # the first look at an account: there is nothing to hold it against
        return replace(marked, drift=drift, unchanged=len(change.unchanged(known.reading.ledger, drift)))

    def keep(self, report: Report, judged: Sequence[Snapshot], at: datetime) -> Report:
        """Stores a run. When this returns without a new problem it is on the disk."""
        told = len(self.problems)
        if self.store is not None:
            with self._attempt("this run is not stored"):
                kept = {one.name: self._known[one.name].reading.ledger for one in judged}
                ready = runs.parts_of(report, judged, kept)
                self._own = self.store.append("run", at, lambda view: {**ready, **self._later(view, list(kept))}).seq
        return replace(report, problems=(*report.problems, *self.problems[told:]))

    def _later(self, view: View, names: Sequence[str]) -> Parts:
        """The rows of each inventory, and the ledgers of accounts of which somebody stored a run meanwhile: what it saw first
        is not forgotten, nor what was approved.
        """
        newest, spoken = view.newest(runs.INVENTORY), view.newest("approval")
        changed = {}

        def rows(name: str) -> list[inventory.Row]:
            known = self._known[name]
            past, now, said = known.past, known.reading.ledger, known.baseline
            if newest.get(name, 0) not in {past.record.seq if past else 0, self._own}:
                past, _ = runs.past(view, name, now.identity)
                now = ledger.read(known.seen, past.ledger if past else None, self.identity.fingerprint).ledger
                changed[name, runs.INVENTORY] = now.to_document()
            if past and self._believed and spoken.get(name, 0) > past.record.seq:
                said, _ = runs.approvals(view, name)
            return inventory.rows(now, past.ledger if past else None, said)

        return {**inventory.write(view.connection, names, rows), **changed}


def _now(account: AccountReport, report: Report, *, rules_changed: bool) -> TrendPoint:
    from collections import Counter

    from auditor.model.report import Outcome
    from auditor.model.rule import Severity

    failing = Counter(one.severity for one in account.findings if one.outcome is Outcome.FAIL)
    return TrendPoint(
        at=report.run.started_at,
        low=account.score.low,
        high=account.score.high,
        coverage=account.score.coverage,
        failing={severity: failing[severity] for severity in Severity},
        rules_changed=rules_changed,
    )


def prints(seen: Snapshot, whose: Identity) -> dict[str, list[tuple[str, str]]]:
    """For each line of the log, its fingerprint and that of the address it names."""
    lines = []
    for row in seen.events or []:
        named = {f"event.{name}": value for name, value in row.items()}
        line = identified("event", seen, named, whose.fingerprint)
        lines.append((line, whose.fingerprint("login_address", str(row["ip"])) if row.get("ip") else ""))
    return {"event": lines}
