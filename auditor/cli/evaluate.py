"""`auditor evaluate`: evidence documents to a report. Touches no network and needs no configuration."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor.cli import _census, _fleet, _notices, _options, _sealing, _voice

if TYPE_CHECKING:
    from auditor.config import Config
    from auditor.identity import Identity

_HELP = """Evidence documents (.json, .yaml, .jsonl, .parquet) to a report, without network.

\b
Examples:
  auditor evaluate evidence.jsonl
  auditor evaluate evidence.yaml --rules my-rules -f json
  auditor evaluate keys.jsonl --outcomes outcomes/
  auditor evaluate 's3://bucket/evidence/*.parquet' --scheduler tls://scheduler:8786
"""
_MANY = 5000
"""Accounts; findings and paths of so many take minutes."""


@click.command("evaluate", help=_HELP)
@click.argument("files", nargs=-1, required=True, metavar="FILES...")
@click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Configuration file, for its rules, waivers and identity key.",
)
@click.option(
    "--rules",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="A rule folder beside the shipped pack. Repeatable.",
)
@click.option(
    "--outcomes",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="For millions of keys: only what the rules say, as Parquet files in this folder, and the counts.",
)
@click.option("--no-waivers", is_flag=True, help="Count accepted risks too.")
@click.option("--notify", is_flag=True, help="Send the notices that an audit would; without it no network is touched.")
@_notices.floor
@_options.reported
@_fleet.options
def command(
    files: tuple[str, ...],
    config_path: Path | None,
    folders: tuple[Path, ...],
    formats: tuple[str, ...],
    **options: Any,
) -> int:
    from auditor import config, identity, pipeline
    from auditor.engine.intake import Evidence
    from auditor.model.rule import Severity

    now = datetime.now(UTC)
    if options["outcomes"]:
        _fleet.refuse(options, "--outcomes")
        return _census.run(files, config_path, folders, now, {**options, "formats": formats})
    chosen = _options.check_formats(formats, options["output"])
    settings = _options.settings(config_path, ()) if config_path else None
    signer = _sealing.signer(options, lambda: _sealing.place(settings.identity_key if settings else None))
    rules = pipeline.rule_files(settings, folders)
    held = pipeline.accepted(settings, now) if settings and not options["no_waivers"] else ()
    far = _fleet.way(options, settings.identity_key if settings else config.default_identity_key(os.environ), settings)
    if far is None:
        with Evidence(now) as evidence:
            evidence.add_files(_fleet.paths(files))
            if len(evidence) > _MANY and not options["quiet"]:
                _voice.say(
                    f"remark: {len(evidence):,} accounts; --outcomes FOLDER says what the rules say in a fraction of the time"
                )
            whose = _identity(settings, quiet=options["quiet"])
            report = pipeline.judge(evidence, pipeline.Run(rules=rules, identity=whose, now=now, waivers=held))
        also: frozenset[Severity] = frozenset()
    else:
        whose = identity.load(far.identity, environ=os.environ)
        run = pipeline.Run(rules=rules, identity=whose, now=now, waivers=held)
        report, also = _fleet.evaluated(far, run, files, quiet=options["quiet"])
    if settings and options["notify"]:
        floor = Severity(options["notify_on"])
        report = _notices.tell(report, settings, _options.sources(settings), floor=floor, quiet=options["quiet"])
    _options.deliver(report, chosen, options["output"], signer=signer, **_options.shown(options))
    fail_on, least = Severity(options["fail_on"]), options["min_coverage"]
    return pipeline.exit_code(report, fail_on=fail_on, min_coverage=least, also=also)


def _identity(settings: Config | None, *, quiet: bool) -> Identity:
    """The key of the configuration or of this user. Where none can be kept the report is still worth having."""
    from auditor import config, identity

    if settings:
        return identity.load(settings.identity_key, environ=os.environ)
    reference = config.default_identity_key(os.environ)
    try:
        return identity.load(reference, environ=os.environ)
    except identity.NotKeptError as error:
        if not quiet:
            _voice.say(f"remark: {error.message}; the fingerprints of this report match those of no other")
        return identity.Identity.of_this_run()
