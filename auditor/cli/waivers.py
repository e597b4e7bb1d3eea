"""`auditor waivers`: the accepted risks, and whether each of them still covers something."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditor.cli import _options, _voice
from auditor.errors import AuditorError
from auditor.redaction import printable, scrub

if TYPE_CHECKING:
    from auditor.waivers import Waiver

_CONFIG = click.option("-c", "--config", "config_path", type=click.Path(path_type=Path), help="Configuration file.")
_HELP = """The accepted risks; `auditor waive` adds one.

\b
Examples:
  auditor waivers list
  auditor waivers check --report report.json
"""


@click.group("waivers", help=_HELP)
def command() -> None:
    pass


@command.command("list", epilog="\b\nExample:\n  auditor waivers list -f json")
@_CONFIG
@click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def list_(config_path: Path | None, form: str) -> None:
    """Every accepted risk, the next to end first."""
    now = datetime.now(UTC)
    held, path = _held(config_path, now)
    held = tuple(sorted(held, key=lambda one: (one.until, one.finding)))
    if form == "json":
        _voice.result(json.dumps([_row(one, now) for one in held], indent=1))
        return
    if not held:
        _voice.say(f"{path} holds no waiver")
    for one in held:
        when = f"{'expired' if one.expired(now) else 'until'} {one.until}"
        _voice.result(f"{one.finding}  {when:18}  {printable(scrub(one.owner))}: {printable(scrub(one.reason))}")


@command.command("check", epilog="\b\nExample:\n  auditor waivers check --report report.json")
@_CONFIG
@click.option(
    "--report",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The JSON report to hold them against (default: the last stored run).",
)
def check(config_path: Path | None, file: Path | None) -> int:
    """Everything wrong with the file, and each waiver that covers nothing. Exit code 2 if there is anything."""
    from auditor import waivers
    from auditor.cli import waive

    now = datetime.now(UTC)
    held, path = _held(config_path, now)
    try:
        idle = waivers.problems(waive.shown(file, config_path).accounts, held, now)
    except AuditorError as error:
        if file is not None:
            raise
        _voice.say(f"remark: only their ends were checked: {printable(error.message, limit=400)}")
        idle = waivers.problems((), [one for one in held if one.expired(now)], now)
    for one in idle:
        _voice.say(f"error: {printable(one.where)}: {printable(one.message, limit=400)}")
        _voice.say(f"  hint: {printable(one.hint or '', limit=400)}")
    _voice.result(f"{path}: {len(held)} waivers, {len(idle)} of them cover nothing")
    return 2 if idle else 0


def _held(config_path: Path | None, now: datetime) -> tuple[tuple[Waiver, ...], Path]:
    from auditor import pipeline

    settings = _options.settings(config_path, ())
    return pipeline.accepted(settings, now), pipeline.waiver_path(settings)


def _row(one: Waiver, now: datetime) -> dict[str, str | bool]:
    return {"finding": one.finding, "state": one.state, **one.mark(), "expired": one.expired(now), "place": one.place}
