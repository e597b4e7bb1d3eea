"""A run on many machines, as the command line sees it: collect, judge, and what is told of it.

What comes out is what `auditor.collect` and `auditor.pipeline` would have made in one process, in the same order.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from glob import glob
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from auditor import collect as collecting
from auditor import pipeline, waivers
from auditor.attestations import Attestation
from auditor.config import AccountConfig, Config
from auditor.engine.intake import Evidence
from auditor.fleet import brief, door, judging, passport, storage, table
from auditor.fleet.brief import Brief
from auditor.fleet.collecting import Collecting, in_order, unread
from auditor.fleet.crew import Crew
from auditor.fleet.judging import Judging, Share
from auditor.fleet.part import Tally, Whole
from auditor.fleet.results import Results
from auditor.model.evidence import Snapshot
from auditor.model.facts import format_time
from auditor.model.report import Report, RunProblem
from auditor.model.rule import Severity
from auditor.pipeline import Run
from auditor.values import frozen

if TYPE_CHECKING:
    from distributed import Client

MOST = 10_000
"""Accounts of which one report can be made and read."""
FEW = 100
"""How many of them a report shows where there are more."""


@frozen
class Way:
    """How a run goes to other machines: the scheduler, the certificates, where tables go, and how many accounts are shown.

    `identity` is the reference to the key of the fingerprints; of the `settings` none but references travel.
    """

    scheduler: str
    tls: door.Tls
    identity: str
    results: str | None = None
    worst: int | None = None
    settings: Config | None = None


@contextmanager
def opened(way: Way, run: Run, say: Callable[[str], None], *, whole: bool) -> Iterator[Fleet]:
    """The fleet behind a scheduler, for one run. `whole` where every account is needed in full, whatever is shown.

    Raises UsageError, also for what no worker could do.
    """
    results = Results.of(way.results, run.now) if way.results else None
    most = sys.maxsize if whole else (way.worst or MOST)
    told = Brief(
        id=secrets.token_hex(6),
        now=run.now,
        nonce=secrets.token_hex(16),
        rules=brief.bare(run.rules),
        waivers=run.waivers,
        identity=way.identity,
        vault=way.settings.vault if way.settings else None,
        passphrase=way.settings.vault_passphrase if way.settings else None,
        most=most,
        few=way.worst or FEW,
        tables=results is not None,
        results=results.url if results else None,
    )
    with door.opened(way.scheduler, way.tls) as client:
        fleet = Fleet(client, told, run, results, say)
        try:
            yield fleet
        finally:
            fleet.crew.dismiss()


class Fleet:
    """The workers of one run."""

    def __init__(
        self, client: Client, told: Brief, run: Run, results: Results | None, say: Callable[[str], None]
    ) -> None:
        self.crew = Crew(client, told, passport.own(run.identity, told.nonce), say)
        self._brief, self._run, self._results = told, run, results

    def collect(
        self,
        accounts: Sequence[AccountConfig],
        *,
        stated: Mapping[str, Attestation],
        progress: collecting.Progress = lambda _name, _done, _all: None,
    ) -> list[Snapshot]:
        """One snapshot an account, in the order given: what `collect.collect` gives."""
        plan = Collecting(accounts, stated, self._run.now, progress)
        self.crew.carry_out(plan)
        lost = unread(accounts, plan.given_up, stated, self._run.identity, self._run.now)
        return in_order(accounts, {**plan.had, **lost})

    def judge(self, snapshots: Sequence[Snapshot]) -> Report:
        """The report on what was collected: what `pipeline.judge` gives."""
        with Evidence(self._run.now).add(one.to_document() for one in snapshots) as evidence:
            return self._judged(list(judging.shares(evidence, 0)))[0]

    def evaluate(self, named: Sequence[str]) -> tuple[Report, frozenset[Severity]]:
        """The report on evidence files: paths and patterns on this machine, and addresses that every worker can read.

        With it the severities that fail for accounts it does not show.
        """
        shares: list[Share] = []
        known = 0
        for remote, group in groupby(named, key=storage.is_url):
            if remote:
                urls = [url for one in group for url in storage.found(storage.check(one, "FILES"))]
                shares += judging.files(urls, len(shares))
                continue
            with Evidence(self._run.now) as evidence:
                evidence.add_files(path for one in group for path in _paths(one))
                known += len(evidence)
                shares += judging.shares(evidence, len(shares))
        return self._judged(shares, known)

    def _judged(self, shares: Sequence[Share], known: int = 0) -> tuple[Report, frozenset[Severity]]:
        """What comes of all parts; `known` accounts are in them at least."""
        most = self._brief.most if known <= self._brief.most else 0  # too many to be shown: none is kept for nothing
        plan = Judging(shares, most=most, few=self._brief.few)
        self.crew.carry_out(plan)
        for lost in plan.given_up:
            plan.add(lost.share, judging.stand_in(lost, self._run))
        report, also = self._reported(plan.whole)
        if self._results is not None:
            for number, written in plan.tables.items():
                self._results.put(table.name(number), written)
            about = report.run
            told = {name: getattr(about, name) for name in ("id", "version", "ruleset_sha256", "formula")}
            told |= {"started_at": format_time(about.started_at)}
            self._results.finish(told, ((one.number, plan.counts[one.number], one.url) for one in shares))
        return report, also

    def _reported(self, whole: Whole) -> tuple[Report, frozenset[Severity]]:
        """The report on all accounts, or on the worst of them with what there is to say of all."""
        run, count = self._run, whole.tally.sum.accounts
        if count <= self._brief.most:
            return pipeline.report_on(whole.accounts(), run), frozenset()
        shown = list(whole.accounts())
        report = pipeline.report_on(shown, replace(run, waivers=()), of=whole.tally.sum.done(shown))
        named = [replace(shown[0], findings=tuple(whole.tally.waived))]
        idle = waivers.problems(named, run.waivers, run.now, everything=run.everything)
        where = self._results.folder if self._results else None
        report = replace(report, problems=(*idle, _shortened(len(shown), count, where)))
        return report, frozenset(whole.tally.floors)


def shown(report: Report, way: Way) -> tuple[Report, frozenset[Severity]]:
    """A whole report as it is shown: with the worst accounts alone where they are too many, or fewer are wanted."""
    count, most = len(report.accounts), way.worst or MOST
    if count <= most:
        return report, frozenset()
    few, tally = way.worst or FEW, Tally()
    for one in report.accounts:
        tally.add(one, set())
    problems = (*report.problems, _shortened(few, count, way.results))
    return replace(report, accounts=report.accounts[:few], problems=problems), frozenset(tally.floors)


def _shortened(few: int, count: int, results: str | None) -> RunProblem:
    hint = f"all of them are in {results}" if results else "--results FOLDER keeps all of them"
    return RunProblem(where="report", message=f"shows the {few} worst of {count} accounts", hint=hint)


def _paths(text: str) -> list[Path]:
    """The files that a pattern names here; what names none, or is the name of a file, stands for itself."""
    if Path(text).exists():
        return [Path(text)]
    return [Path(one) for one in sorted(glob(text, recursive=True))] or [Path(text)]  # noqa: PTH207  (an absolute one too)
