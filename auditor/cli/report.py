"""`auditor report`: a stored run, or a report that was kept as JSON, rendered again in any format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor.cli import _options, _sealing, _stored
from auditor.errors import Fault, InputError

if TYPE_CHECKING:
    from auditor.model.report import Report

_RUN = re.compile("last|[0-9]{1,9}|[0-9a-f]{3,12}")
_HELP = """Render a stored run (its number, its id or `last`), or a JSON report, again in any format.

\b
Examples:
  auditor report last -f html -o report.html
  auditor report report.json -f markdown
"""


@click.command("report", help=_HELP)
@click.argument("run", metavar="[RUN|FILE]", default="last")
@_stored.CONFIG
@_options.reported
def command(run: str, config_path: Path | None, formats: tuple[str, ...], **options: Any) -> int:
    from auditor import pipeline
    from auditor.model.rule import Severity

    chosen = _options.check_formats(formats, options["output"])
    signer = _sealing.signer(options, lambda: _sealing.places(config_path)[0])
    report = _named(run, config_path)
    if report.summary != pipeline.summary(report.accounts):
        message = "its summary does not say what its accounts say: it was edited, or written by another version"
        raise InputError([Fault(file=run, line=0, message=message)])
    _options.deliver(report, chosen, options["output"], signer=signer, **_options.shown(options))
    return pipeline.exit_code(report, fail_on=Severity(options["fail_on"]), min_coverage=options["min_coverage"])


def _named(name: str, config_path: Path | None) -> Report:
    """The report of a file, or of a stored run where no such file is there and the name could be that of a run."""
    from auditor.history import runs
    from auditor.reports import parse

    if not _RUN.fullmatch(name) or Path(name).exists():
        return parse.read(Path(name))
    store, _ = _stored.opened(config_path)
    with store.reading() as view:
        record = runs.find(view, name)
        return parse.of_document(runs.report_stream(view, record), f"run {record.seq}")
