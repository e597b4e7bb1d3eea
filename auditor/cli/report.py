"""`auditor report`: a report that was kept as JSON, rendered again in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from auditor.cli import _options
from auditor.errors import Fault, InputError

_HELP = """Render a JSON report again in another format.

\b
Example:
  auditor report report.json -f html -o report.html
"""


@click.command("report", help=_HELP)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@_options.reported
def command(file: Path, formats: tuple[str, ...], **options: Any) -> int:
    from auditor import pipeline
    from auditor.model.rule import Severity
    from auditor.reports import parse

    chosen = _options.check_formats(formats, options["output"])
    report = parse.read(file)
    if report.summary != pipeline.summary(report.accounts):
        message = "its summary does not say what its accounts say: it was edited, or written by another version"
        raise InputError([Fault(file=str(file), line=0, message=message)])
    _options.deliver(
        report, chosen, options["output"], verbose=options["verbose"], min_coverage=options["min_coverage"]
    )
    return pipeline.exit_code(report, fail_on=Severity(options["fail_on"]), min_coverage=options["min_coverage"])
