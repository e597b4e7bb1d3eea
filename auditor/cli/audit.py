"""`auditor audit`: collects, evaluates, reports; on a terminal it then offers to ask what no API can show."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor.cli import _options, _voice
from auditor.model.facts import LISTS

if TYPE_CHECKING:
    from auditor.config import AccountConfig, Config
    from auditor.model.evidence import Snapshot
    from auditor.model.report import Report
    from auditor.pipeline import Run

_ASKED_AT_ONCE = 25
_HELP = """Collect the evidence of all accounts, check it against the rules and report.

\b
Examples:
  auditor audit
  auditor audit -a main-okx -f json -o report.json --fail-on high
"""


@click.command("audit", help=_HELP)
@_options.configured
@_options.reported
@click.option("--yes", is_flag=True, help="Ask nothing.")
def command(
    config_path: Path | None, names: tuple[str, ...], hosts: tuple[str, ...], formats: tuple[str, ...], **options: Any
) -> int:
    from auditor import collect, identity, pipeline
    from auditor.model.rule import Severity

    now = datetime.now(UTC)
    chosen = _options.check_formats(formats, options["output"])
    settings = _options.settings(config_path, hosts)
    accounts = _options.confirmed(settings.select(names), ask=not options["yes"])
    rules, stated = pipeline.rule_files(settings), pipeline.attested(settings, accounts, now)
    run = pipeline.Run(rules=rules, identity=identity.load(settings.identity_key, environ=os.environ), now=now)
    tell = _voice.silent if options["quiet"] else _voice.progress
    snapshots = collect.collect(
        accounts, stated=stated, identity=run.identity, environ=os.environ, now=now, progress=tell
    )
    report = _judged(snapshots, run)
    _options.deliver(
        report, chosen, options["output"], verbose=options["verbose"], min_coverage=options["min_coverage"]
    )
    if chosen == ("text",) and not options["yes"] and sys.stdin.isatty() and sys.stdout.isatty():
        report = _ask(settings, accounts, snapshots, run, report, options)
    return pipeline.exit_code(report, fail_on=Severity(options["fail_on"]), min_coverage=options["min_coverage"])


def _judged(snapshots: Sequence[Snapshot], run: Run) -> Report:
    from auditor import pipeline
    from auditor.engine.intake import Evidence

    with Evidence(run.now).add(snapshot.to_document() for snapshot in snapshots) as evidence:
        return pipeline.judge(evidence, run)


def _ask(
    settings: Config,
    accounts: Sequence[AccountConfig],
    snapshots: Sequence[Snapshot],
    run: Run,
    report: Report,
    options: Mapping[str, Any],
) -> Report:
    """Offers the questions that settle most, keeps the answers, and reports again without asking the exchange again."""
    from auditor import pipeline
    from auditor.cli import attest

    by_name = {account.name: account for account in report.accounts}
    answered = False
    for account, snapshot in zip(accounts, snapshots, strict=True):
        rows = {row.get("fingerprint") for scope in LISTS for row in snapshot.rows(scope) or ()}
        open_ = by_name[account.name].questions
        asked = [one for one in open_ if one.subject is None or one.subject.fingerprint in rows][:_ASKED_AT_ONCE]
        if asked and click.confirm(f"\n{account.name}: answer what no key can show now?", default=True, err=True):
            kept = attest.keep_answers(settings, account, attest.ask_owner(asked, now=run.now), now=run.now)
            answered |= bool(kept)
            _voice.say(kept or "no answer, nothing written")
    if not answered:
        return report
    report = _judged(pipeline.with_answers(settings, accounts, snapshots, run.now), run)
    _options.deliver(
        report, ("text",), options["output"], verbose=options["verbose"], min_coverage=options["min_coverage"]
    )
    return report
