"""`auditor collect`: evidence only, as documents that `auditor evaluate` reads anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from auditor.cli import _options, _voice
from auditor.errors import UsageError
from auditor.redaction import printable

_SUFFIXES = (".json", ".jsonl", ".yaml", ".yml")
_HELP = """Collect evidence and write it as an evidence document: one for .json and .yaml, one a line for .jsonl.

\b
Examples:
  auditor collect -o evidence.jsonl
  auditor collect --shard 2/8 -o part-2.jsonl
  auditor collect --resume -o evidence.jsonl
"""


def _shard(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[int, int]:
    if value is None:
        return 1, 1
    number, slash, of = value.partition("/")
    if not (slash and number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
        raise click.BadParameter("expected I/N with I from 1 to N, such as 2/8")
    return int(number), int(of)


@click.command("collect", help=_HELP)
@_options.configured
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The file; its suffix is the format."
)
@click.option("--shard", callback=_shard, metavar="I/N", help="Every Nth account, beginning with the Ith.")
@click.option(
    "--resume", is_flag=True, help="Go on where a run with the same output was interrupted in the last 24 hours."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def command(  # noqa: PLR0913, PLR0917  (one for each option)
    config_path: Path | None,
    names: tuple[str, ...],
    hosts: tuple[str, ...],
    output: Path,
    shard: tuple[int, int],
    resume: bool,  # noqa: FBT001
    quiet: bool,  # noqa: FBT001
) -> int:
    from auditor import collect, identity, pipeline
    from auditor.journal import Journal

    if output.suffix not in _SUFFIXES or output.is_dir():
        raise UsageError(
            f"{printable(output.name)} does not say which format is wanted",
            hint=f"name a file that ends in {', '.join(_SUFFIXES)}",
        )
    now = datetime.now(UTC)
    settings = _options.settings(config_path, hosts)
    accounts = _options.confirmed(settings.select(names)[shard[0] - 1 :: shard[1]], ask=not quiet)
    stated = pipeline.attested(settings, accounts, now)
    whose = identity.load(settings.identity_key, environ=os.environ)
    held = Journal(output, resume=resume)
    if held.path.exists() and not (resume or quiet):
        _voice.say(
            f"remark: {printable(held.path.name)} of an interrupted run is begun anew; --resume would go on from it"
        )
    with held as journal:
        had = journal.had({one.name: one.exchange for one in accounts}, now)
        if resume and not quiet:
            _voice.say(f"{len(had)} of {len(accounts)} accounts are there already")
        asked = {one.name: one.exchange for one in accounts if one.name not in had}
        snapshots = collect.collect(
            accounts,
            stated=stated,
            identity=whose,
            sources=_options.sources(settings),
            now=now,
            progress=_voice.silent if quiet else _voice.Progress(asked),
            keep=journal.keep,
            had=had,
        )
    _options.write(output, _spelled([snapshot.to_document() for snapshot in snapshots], output.suffix))
    journal.done()
    return pipeline.INCOMPLETE if pipeline.incomplete(snapshots) else 0


def _spelled(documents: Sequence[dict[str, Any]], suffix: str) -> bytes:
    if suffix == ".jsonl":
        text = "".join(json.dumps(document, ensure_ascii=True) + "\n" for document in documents)
    elif suffix == ".json":
        text = json.dumps(documents[0] if len(documents) == 1 else documents, indent=1, ensure_ascii=True) + "\n"
    else:
        import yaml

        text = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, explicit_start=True)
    return text.encode("utf-8", "replace")
