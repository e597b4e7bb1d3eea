"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from auditor.cli import _passphrase, _sealing, _voice
from auditor.errors import CredentialError, UsageError
from auditor.model.rule import Severity
from auditor.redaction import printable

if TYPE_CHECKING:
    from auditor.credentials import Sources
    from auditor.model.report import Report
    from auditor.model.settings import AccountConfig, Config
    from auditor.signing import Signer
    from auditor.vault import Vault

_Command = TypeVar("_Command", bound=Callable[..., Any])


def configured(command: _Command) -> _Command:
    """-c, -a, --allow-endpoint and --passphrase-fd."""
    for option in (
        _passphrase.option,
        click.option(
            "--allow-endpoint",
            "hosts",
            multiple=True,
            metavar="HOST",
            help="A host beyond this machine that an endpoint may name.",
        ),
        click.option("-a", "--account", "names", multiple=True, metavar="NAME", help="Only this account. Repeatable."),
        click.option(
            "-c",
            "--config",
            "config_path",
            type=click.Path(path_type=Path),
            help="Configuration file (default: ./auditor.yaml, then the XDG folder).",
        ),
    ):
        command = option(command)
    return command


def reported(command: _Command) -> _Command:
    """-f, -o, --sign, --framework, --junit-unknown, --fail-on, --min-coverage, -q and -v."""
    for option in (
        click.option("-v", "--verbose", is_flag=True, help="Also name what passed."),
        click.option("-q", "--quiet", is_flag=True, help="No progress and no remarks on stderr."),
        click.option(
            "--min-coverage",
            type=click.FloatRange(0, 1),
            default=0.5,
            show_default=True,
            help="Below it no grade is given, and the exit code is 4 if nothing fails.",
        ),
        click.option(
            "--fail-on",
            type=click.Choice([severity.value for severity in Severity]),
            default="low",
            show_default=True,
            help="Exit with 10 to 13 for failures at or above this severity.",
        ),
        click.option(
            "--junit-unknown",
            type=click.Choice(["error", "skipped"]),
            default="error",
            show_default=True,
            help="What JUnit makes of a finding that nobody could decide.",
        ),
        click.option(
            "--framework",
            multiple=True,
            metavar="NAME",
            callback=_known,
            help="For the checklist: only this framework. Repeatable.",
        ),
        _sealing.option,
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path),
            help="One format: this file (default: stdout). Several: a folder.",
        ),
        click.option(
            "-f",
            "--format",
            "formats",
            multiple=True,
            metavar="NAME",
            help="text, json, html, markdown, sarif, ocsf, csv, junit, prometheus or checklist. Repeatable. Default: text.",
        ),
    ):
        command = option(command)
    return command


def _known(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """The ids of frameworks, held to those there are before any work is done."""
    if not names:
        return ()
    from auditor.reports import _frameworks

    return _frameworks.chosen(names)


def settings(config_path: Path | None, hosts: Sequence[str]) -> Config:
    """The configuration that a command runs with."""
    from auditor import config
    from auditor.exchanges import _venue

    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise UsageError("the folder that auditor was started in is gone", hint="cd to one that is there") from None
    found = config.find(config_path, cwd=here, environ=os.environ)
    return config.load(found, venues=_venue.Needed(), environ=os.environ, allowed_endpoints=frozenset(hosts))


def sources(chosen: Config) -> Sources:
    """Where the references of a configuration lead. The vault is opened once, when the first of them needs it."""
    from auditor.credentials import Sources

    opened: list[Vault] = []
    refused: list[CredentialError] = []  # said of every account that needs it, and asked for once

    def open_vault() -> Vault:
        from auditor import vault

        if refused:
            raise refused[0]
        if not opened:
            try:
                opened.append(vault.Vault.open(chosen.vault, _passphrase.opener(chosen.vault_passphrase)))
            except CredentialError as error:
                refused.append(error)
                raise
        return opened[0]

    return Sources(environ=os.environ, vault=open_vault)


def confirmed(accounts: Sequence[AccountConfig], *, ask: bool) -> tuple[AccountConfig, ...]:
    """The accounts, with the owner's word where an exchange punishes a call from a foreign address.

    Asked only where somebody is there to answer; the word holds for this run. Without it nothing is sent.
    """
    from auditor.collect import needs_confirmation

    ask = ask and sys.stdin.isatty() and sys.stderr.isatty()
    return tuple(
        replace(one, address_confirmed=click.confirm(f"{one.name}: {warning}\nUse its keys from here?", err=True))
        if ask and (warning := needs_confirmation(one))
        else one
        for one in accounts
    )


def check_formats(formats: Sequence[str], output: Path | None) -> tuple[str, ...]:
    """The formats asked for, text without any. Raises UsageError before any work is done."""
    from auditor.reports import FORMATS

    for name in formats:
        if name not in FORMATS:
            import difflib

            close = difflib.get_close_matches(name, FORMATS, 1)
            hint = f"did you mean {close[0]}?" if close else f"formats: {', '.join(FORMATS)}"
            raise UsageError(f"unknown format {printable(name, limit=40)}", hint=hint)
    chosen = tuple(dict.fromkeys(formats)) or ("text",)
    if len(chosen) > 1 and output is None:
        raise UsageError("several formats need a folder to go to", hint="add -o FOLDER")
    if output is not None and output.exists() and output.is_dir() != (len(chosen) > 1):
        kind = "several formats need a folder" if len(chosen) > 1 else "one format needs a file"
        raise UsageError(f"{printable(str(output), limit=400)} is there and does not fit", hint=kind)
    return chosen


def shown(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the formats are told: those of the shared options that say how a report looks."""
    return {name: options[name] for name in ("verbose", "min_coverage", "framework", "junit_unknown")}


def deliver(
    report: Report, formats: Sequence[str], output: Path | None, *, signer: Signer | None = None, **shown: Any
) -> None:
    """Writes the report: one format to stdout or a file, several into a folder as report.<suffix>.

    A long HTML report has its further pages in a folder beside it, a long JSON report in a folder its parts. Files take
    their places when all of them are written. With a signer each report has its signature beside it.
    """
    from auditor.reports import FORMATS

    width, colour = terminal() if output is None else (80, False)
    shown |= {"width": width, "colour": colour, "signer": signer.key_id if signer else None}
    forms = [FORMATS[name] for name in formats]
    if output is None:
        _voice.results(forms[0].chunks(report, **shown))
        return
    from auditor import files

    with files.Batch() as batch:
        for form in forms:
            folder = len(forms) > 1
            target = output / f"report.{form.suffix}" if folder else output
            alone = target.exists() and not target.is_file()  # a pipe or a device has no folder beside it
            pages = form.files(report, target.name, folder=folder, **shown)
            hashes = {}
            for name, chunks in [(target.name, form.chunks(report, **shown))] if alone else pages:
                with _writing(target.parent / name):
                    hashes[name] = batch.add(target.parent / name, chunks)
            for place, content in (_sealing.sealed(target, hashes, report.run, signer) if signer else {}).items():
                with _writing(place):
                    batch.add(place, [content])
        with _writing(output):
            batch.commit()


def write(target: Path, content: bytes) -> None:
    """Puts a result into a file in one step. Raises UsageError if it cannot be done."""
    from auditor import files

    with _writing(target):
        files.write(target, content)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Says of a file that cannot be written which one it is, and why."""
    problem = None
    try:
        yield
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem is not None:
        raise UsageError(f"{printable(str(target), limit=400)} cannot be written: {problem}")


def terminal() -> tuple[int, bool]:
    """Columns to write for, and whether to colour: a terminal has both, a pipe is 80 columns and plain."""
    import shutil

    if not sys.stdout.isatty():
        return 80, False
    columns = shutil.get_terminal_size().columns
    return max(40, min(columns, 100)), not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
