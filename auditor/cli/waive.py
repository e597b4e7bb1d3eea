"""`auditor waive`: accepts one failure, as it is now, with a reason, an owner and an end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from auditor.cli import _options, _stored, _voice
from auditor.errors import UsageError
from auditor.model.report import AccountReport, Finding, Outcome, Report
from auditor.redaction import printable

_SHORTEST = 4
_MOST_NAMED = 8
_HELP = """Accept a failing FINDING, named by its id or the beginning of it, as an owner's decision.

The failure stays in the report and in the score; it no longer counts towards the exit code. The waiver covers it in the
state in which it is now: a key that is widened later fails again. DATE is the last day, in UTC, at most 366 days ahead.
An e-mail address in REASON or OWNER is masked in reports.

\b
Example:
  auditor waive 3f2a91bc --reason "the tax program ends in January" --owner desk --until 2027-01-31
"""


@click.command("waive", help=_HELP)
@click.argument("finding")
@click.option("--reason", required=True, help="Why this risk is accepted.")
@click.option("--owner", required=True, help="Who accepts it: a person or a team.")
@click.option("--until", required=True, metavar="DATE", help="The last day on which it is accepted.")
@click.option("-c", "--config", "config_path", type=click.Path(path_type=Path), help="Configuration file.")
@click.option(
    "--report",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The JSON report that shows it (default: the last stored run).",
)
def command(finding: str, reason: str, owner: str, until: str, config_path: Path | None, file: Path | None) -> None:
    from auditor import pipeline, waivers
    from auditor.waivers import file as book

    now = datetime.now(UTC)
    for name, text in (("reason", reason), ("owner", owner)):
        if problem := waivers.text_fault(text):
            raise UsageError(f"--{name} needs {problem}")
    last, problem = waivers.day(until, now.date())
    if last is None or last < now.date():
        raise UsageError(f"--until: {problem or 'this day is over'}", hint="the last day, such as 2027-01-31")
    settings = _options.settings(config_path, ())
    account, found = _pick(finding, shown(file, config_path))
    assert found.state is not None
    waiver = waivers.Waiver(finding=found.id, state=found.state, reason=reason, owner=owner, until=last)
    path = pipeline.waiver_path(settings)
    about = f"{found.rule}, {account.name}, {found.subject.label}"
    problem = None
    try:
        renewed = book.write(path, waiver, about=about, now=now)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem is not None:
        raise UsageError(f"{path} cannot be written: {problem}")
    _voice.result(
        f"{found.id} {printable(about)}: {'accepted anew' if renewed else 'accepted'} until {last}, written to {path}"
    )


def shown(file: Path | None, config_path: Path | None) -> Report:
    """The report that is named, or that of the last stored run."""
    from auditor.history import runs
    from auditor.reports import parse

    if file is not None:
        return parse.read(file)
    store, _ = _stored.opened(config_path)
    with store.reading() as view:
        record = runs.find(view, "last")
        return parse.of_document(runs.report_stream(view, record), f"run {record.seq}")


def _pick(text: str, report: Report) -> tuple[AccountReport, Finding]:
    """The one failure that `text` names. Raises UsageError, which says what there is instead."""
    wanted = text.strip().lower()
    if len(wanted) < _SHORTEST:
        raise UsageError(f"a finding is named by its id, or at least {_SHORTEST} characters of it")
    held = {
        finding.id: (account, finding)
        for account in report.accounts
        for finding in account.findings
        if finding.id.startswith(wanted)
    }
    if not held:
        hint = "the id stands beside each finding in the JSON report"
        raise UsageError(f"the report has no finding {printable(text, limit=40)}", hint=hint)
    if len(held) > 1:
        named = [f"{id_} {printable(one.rule)}" for id_, (_, one) in sorted(held.items())]
        raise UsageError(f"{wanted} is not one finding", hint=f"it may be {', '.join(named[:_MOST_NAMED])}")
    [(account, finding)] = held.values()
    if finding.outcome is not Outcome.FAIL:
        answer = (
            "an unknown is answered, not accepted: `auditor attest`" if finding.outcome is Outcome.UNKNOWN else None
        )
        what = f"{finding.id} ({printable(finding.rule)}) is {finding.outcome.value}"
        raise UsageError(f"{what}: only a failure can be accepted", hint=answer)
    if finding.state is None:
        raise UsageError("the report does not say what its subjects are like: it was written by an older version")
    return account, finding
