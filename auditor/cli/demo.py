"""`auditor demo`: the whole way, over real HTTP with real signatures, against sample accounts of the embedded twin."""

from __future__ import annotations

from pathlib import Path

import click

from auditor.cli import _options, _voice

_HELP = """Audit the sample accounts of the embedded exchange twin: needs no key, no configuration and no network.

Prints the report and writes report.html and report.json.

\b
Example:
  auditor demo -o demo-report
"""


@click.command("demo", help=_HELP)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where report.html and report.json go (default: here).",
)
@click.option("-v", "--verbose", is_flag=True, help="Also name what passed.")
def command(output: Path, verbose: bool) -> int:  # noqa: FBT001
    from auditor import demo

    report = demo.run()
    _options.deliver(report, ("text",), None, verbose=verbose, min_coverage=0.5)
    _options.deliver(report, ("html", "json"), output, verbose=verbose, min_coverage=0.5)
    _voice.say(f"\nthese accounts are samples; written: {output / 'report.html'} and {output / 'report.json'}")
    return 0
