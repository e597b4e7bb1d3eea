"""`auditor audit`: collects, evaluates, reports; on a terminal it then offers to ask what no API can show."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor.cli import _fleet, _local, _notices, _options, _sealing, _voice
from auditor.model.facts import LISTS
from auditor.model.rule import Severity

if TYPE_CHECKING:
    from auditor.config import AccountConfig, Config
    from auditor.credentials import Sources
    from auditor.identity import Identity
    from auditor.memory import Memory
    from auditor.model.evidence import Snapshot
    from auditor.model.report import Report

_ASKED_AT_ONCE = 40
_HELP = """Collect the evidence of all accounts, check it against the rules and report.

\b
Examples:
  auditor audit
  auditor audit -a main-okx -f json -o report.json --fail-on high
"""


@click.command("audit", help=_HELP)
@_options.configured
@_options.reported
@_fleet.options
@click.option("--no-waivers", is_flag=True, help="Count accepted risks too.")
@_notices.options
@click.option("--notify-test", is_flag=True, help="Only send a test message to everybody who is to be notified.")
@_local.option
@click.option("--no-history", is_flag=True, help="Neither compare with earlier runs nor store this one.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
def command(
    config_path: Path | None, names: tuple[str, ...], hosts: tuple[str, ...], formats: tuple[str, ...], **options: Any
) -> int:
    from auditor import identity, pipeline

    now = datetime.now(UTC)
    chosen = _options.check_formats(formats, options["output"])
    settings = _options.settings(config_path, hosts)
    far = _fleet.way(options, settings.identity_key, settings)
    signer = _sealing.signer(options, lambda: _sealing.place(settings.identity_key))
    sources = _options.sources(settings)
    if options["notify_test"]:
        return _notices.test(settings, sources)
    accounts = _options.confirmed(settings.select(names), ask=not options["yes"])
    rules, stated = pipeline.rule_files(settings), pipeline.attested(settings, accounts, now)
    run = pipeline.Run(
        rules=rules,
        identity=identity.load(settings.identity_key, environ=os.environ),
        now=now,
        waivers=() if options["no_waivers"] else pipeline.accepted(settings, now),
        everything=len(accounts) == len(settings.accounts),
    )
    meanwhile = (lambda: None) if options["no_history"] else (lambda: _made_ready(settings))
    with _fleet.hands(far, run, accounts, sources, quiet=options["quiet"], meanwhile=meanwhile) as hands:
        tell = _voice.silent if options["quiet"] else _voice.Progress({one.name: one.exchange for one in accounts})
        snapshots = hands.collect(accounts, stated=stated, progress=tell)
        snapshots, lying = _local.look(settings, accounts, snapshots, options["local"], (sources, run.identity))
        past = _Nothing() if options["no_history"] else _memory(settings, run.identity, sources)
        snapshots = past.recall(snapshots)
        judged = past.compare(hands.judge(snapshots))
        report = replace(judged, problems=(*judged.problems, *lying))
        if not options["no_notify"]:
            floor = Severity(options["notify_on"])
            report = _notices.tell(report, settings, sources, floor=floor, quiet=options["quiet"])
        report = past.keep(report, snapshots, now)
        told, also = _fleet.shown(report, far)
        _options.deliver(told, chosen, options["output"], signer=signer, **_options.shown(options))
        asking = chosen == ("text",) and not options["yes"] and sys.stdin.isatty() and sys.stdout.isatty()
        if asking and _ask(settings, accounts, snapshots, report, now):
            snapshots = pipeline.with_answers(settings, accounts, snapshots, now)
            beside = report.problems[len(judged.problems) :]  # what lies open, and what could not be told to whom
            again = past.compare(hands.judge(snapshots))
            report = past.keep(replace(again, problems=(*again.problems, *beside)), snapshots, now)
            told, also = _fleet.shown(report, far)
            _options.deliver(told, chosen, options["output"], signer=signer, **_options.shown(options))
    fail_on, least = Severity(options["fail_on"]), options["min_coverage"]
    return pipeline.exit_code(told, fail_on=fail_on, min_coverage=least, also=also)


class _Nothing:
    """What a run remembers that is to remember nothing."""

    def recall(self, collected: list[Snapshot]) -> list[Snapshot]:
        return collected

    def compare(self, report: Report) -> Report:
        return report

    def keep(self, report: Report, _judged: Sequence[Snapshot], _at: datetime) -> Report:
        return report


def _memory(settings: Config, identity: Identity, sources: Sources) -> Memory:
    from auditor.memory import Memory

    return Memory.of(settings, identity, sources)


def _made_ready(settings: Config) -> None:
    """Imports what the history is read with: it takes as long as an answer over the network."""
    import auditor.memory  # noqa: F401
    from auditor.history import database

    database.warm_up(settings.history)


def _ask(
    settings: Config,
    accounts: Sequence[AccountConfig],
    snapshots: Sequence[Snapshot],
    report: Report,
    now: datetime,
) -> bool:
    """Offers the questions that settle most and keeps the answers. Whether there is one, and with it another report."""
    from auditor.cli import attest

    by_name = {account.name: account for account in report.accounts}
    answered = False
    for account, snapshot in zip(accounts, snapshots, strict=True):
        rows = {row.get("fingerprint") for scope in LISTS for row in snapshot.rows(scope) or ()}
        open_ = by_name[account.name].questions
        asked = [one for one in open_ if one.subject is None or one.subject.fingerprint in rows][:_ASKED_AT_ONCE]
        if asked and click.confirm(f"\n{account.name}: answer what no key can show now?", default=True, err=True):
            kept = attest.keep_answers(settings, account, attest.ask_owner(asked, now=now), now=now)
            answered |= bool(kept)
            _voice.say(kept or "no answer, nothing written")
    return answered
