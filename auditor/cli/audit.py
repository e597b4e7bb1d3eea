"""`auditor audit`: collects, evaluates, reports; on a terminal it then offers to ask what no API can show."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from auditor.cli import _options, _voice

_ASKED_AT_ONCE = 3
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
    from auditor import identity, pipeline
    from auditor.engine.intake import Evidence
    from auditor.model.rule import Severity

    now = datetime.now(UTC)
    chosen = _options.check_formats(formats, options["output"])
    settings = _options.settings(config_path, hosts)
    accounts = settings.select(names)
    run = pipeline.Run(
        rules=pipeline.rule_files(settings), identity=identity.load(settings.identity_key, environ=os.environ), now=now
    )
    tell = _voice.silent if options["quiet"] else _voice.progress
    snapshots = pipeline.snapshots(
        settings, accounts, identity=run.identity, environ=os.environ, now=now, progress=tell
    )
    with Evidence(now).add(snapshot.to_document() for snapshot in snapshots) as evidence:
        report = pipeline.judge(evidence, run)
    _options.deliver(
        report, chosen, options["output"], verbose=options["verbose"], min_coverage=options["min_coverage"]
    )
    if chosen == ("text",) and not options["yes"] and sys.stdin.isatty() and sys.stdout.isatty():
        report = _ask(settings, accounts, snapshots, run, report, options)
    return pipeline.exit_code(report, fail_on=Severity(options["fail_on"]), min_coverage=options["min_coverage"])


def _ask(settings: Any, accounts: Any, snapshots: Any, run: Any, report: Any, options: dict[str, Any]) -> Any:
    """Offers the questions that settle most, keeps the answers, and reports again without asking the exchange again."""
    from auditor import pipeline
    from auditor.cli import attest
    from auditor.engine.intake import Evidence

    by_name = {account.name: account for account in report.accounts}
    answered = False
    for account in accounts:
        questions = by_name[account.name].questions[:_ASKED_AT_ONCE]
        if questions and click.confirm(
            f"\n{account.name}: answer the {len(questions)} questions that settle most now?", default=True, err=True
        ):
            answered |= attest.keep_answers(settings, account, attest.ask_owner(questions, now=run.now), now=run.now)
    if not answered:
        return report
    again = pipeline.with_answers(settings, accounts, snapshots, run.now)
    with Evidence(run.now).add(snapshot.to_document() for snapshot in again) as evidence:
        report = pipeline.judge(evidence, run)
    _options.deliver(report, ("text",), None, verbose=options["verbose"], min_coverage=options["min_coverage"])
    return report
