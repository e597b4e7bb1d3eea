"""`auditor evaluate`: evidence documents to a report. Touches no network and needs no configuration."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from auditor.cli import _options

_HELP = """Evidence documents (.json, .yaml, .jsonl, .parquet) to a report, without network.

\b
Examples:
  auditor evaluate evidence.jsonl
  auditor evaluate evidence.yaml --rules my-rules -f json
"""


@click.command("evaluate", help=_HELP)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Configuration file, for its rules and identity key.",
)
@click.option(
    "--rules",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="A rule folder beside the shipped pack. Repeatable.",
)
@_options.reported
def command(
    files: tuple[Path, ...],
    config_path: Path | None,
    folders: tuple[Path, ...],
    formats: tuple[str, ...],
    **options: Any,
) -> int:
    from auditor import config, identity, pipeline
    from auditor.engine.intake import Evidence
    from auditor.model.rule import Severity

    now = datetime.now(UTC)
    chosen = _options.check_formats(formats, options["output"])
    settings = _options.settings(config_path, ()) if config_path else None
    rules = pipeline.rule_files(settings, folders)
    with Evidence(now).add_files(files) as evidence:
        reference = settings.identity_key if settings else config.default_identity_key(os.environ)
        run = pipeline.Run(rules=rules, identity=identity.load(reference, environ=os.environ), now=now)
        report = pipeline.judge(evidence, run)
    _options.deliver(
        report, chosen, options["output"], verbose=options["verbose"], min_coverage=options["min_coverage"]
    )
    return pipeline.exit_code(report, fail_on=Severity(options["fail_on"]), min_coverage=options["min_coverage"])
