"""Tells the owner what changed, and the report what could not be told. A notice costs a bounded time and never the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from auditor.cli import _state, _voice
from auditor.errors import AuditorError, UsageError
from auditor.model.report import Report, RunProblem
from auditor.model.rule import Severity
from auditor.redaction import Secret

if TYPE_CHECKING:
    from auditor.config import Config
    from auditor.credentials import Sources
    from auditor.notify.change import Told

_Command = TypeVar("_Command", bound=Callable[..., Any])
_LARGEST = 64 * 2**20
_FLOORS = [severity.value for severity in Severity if severity is not Severity.INFO]


floor = click.option(
    "--notify-on",
    type=click.Choice(_FLOORS),
    default="low",
    show_default=True,
    help="Notices are about failures at or above this severity.",
)
"""--notify-on."""


def options(command: _Command) -> _Command:
    """--notify-on and --no-notify."""
    return floor(click.option("--no-notify", is_flag=True, help="Send no notice.")(command))


def tell(report: Report, settings: Config, sources: Sources, *, floor: Severity, quiet: bool) -> Report:
    """Sends one notice if something changed; the report, with a problem for each address that did not take it."""
    if not settings.notify or report.run.sample:
        return report
    from auditor.notify import change, delivery, message

    path = _state.place(settings.path, "told.json")
    told = _told(path)
    found = change.between(report, told, floor)
    problems: list[RunProblem] = []
    if found:
        addresses, problems = _addresses(settings, sources)
        results = delivery.send(list(addresses.values()), *message.spoken(report, found))
        failed = {where: said for where, said in zip(addresses, results, strict=True) if said}
        hint = "`auditor audit --notify-test` tries the addresses"
        problems += [
            RunProblem(where=where, message=f"the notice of this run {said}", hint=hint)
            for where, said in failed.items()
        ]
        if len(failed) == len(addresses):  # nobody heard of it: the next run tells it again, whatever the history says
            problems += _remember(path, change.to_document(told or {}))
            return _told_of(report, problems, quiet=quiet)
    problems += _remember(path, change.to_document(change.after(report, told, floor)))
    return _told_of(report, problems, quiet=quiet)


def test(settings: Config, sources: Sources) -> int:
    """Sends a test message to every address; exit code 2 unless all of them took it."""
    from auditor.notify import delivery, message

    if not settings.notify:
        raise UsageError(
            f"{settings.path} names nobody to notify", hint='for example `notify: ["json://localhost:9000"]`'
        )
    addresses, problems = _addresses(settings, sources)
    results = dict(zip(addresses, delivery.send(list(addresses.values()), *message.trial()), strict=True))
    for where, said in results.items():
        _voice.result(f"{where}: {'the test message ' + said if said else 'delivered'}")
    for problem in problems:
        _voice.result(f"{problem.where}: {problem.message}")
    return UsageError.exit_code if problems or any(results.values()) else 0


def _addresses(settings: Config, sources: Sources) -> tuple[dict[str, Secret], list[RunProblem]]:
    """Whom to notify, named by number and never by address, and those that cannot be read."""
    from auditor import credentials

    found, problems = {}, []
    for number, text in enumerate(settings.notify, 1):
        where = f"notify {number}"
        if not credentials.is_reference(text):
            found[where] = Secret(text)
            continue
        try:
            found[where] = sources.resolve({"address": text}, account=where)["address"]
        except AuditorError as error:
            problems.append(RunProblem(where=where, message=error.message, hint=error.hint))
    return found, problems


def _told(path: Path) -> Mapping[str, Told] | None:
    from auditor import yamlio
    from auditor.notify import change

    try:
        return change.from_document(json.loads(yamlio.read_text(path, max_bytes=_LARGEST)))
    except (AuditorError, ValueError, RecursionError):
        return None


def _remember(path: Path, document: Mapping[str, Any]) -> list[RunProblem]:
    from auditor import files

    try:
        files.write(path, json.dumps(document).encode())
    except OSError as error:
        message = f"what was told cannot be remembered: {error.strerror or type(error).__name__}"
        return [
            RunProblem(where="notify", message=message, hint=f"the next run may tell it again; look at {path.parent}")
        ]
    return []


def _told_of(report: Report, problems: list[RunProblem], *, quiet: bool) -> Report:
    if not quiet:
        for problem in problems:
            _voice.say(f"remark: {problem.where}: {problem.message}")
    return replace(report, problems=(*report.problems, *problems))
