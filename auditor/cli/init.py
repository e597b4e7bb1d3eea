"""`auditor init`: asks for the few things it needs, writes `auditor.yaml`, and says which permissions a key may have.

It takes references and never a secret: a value that is typed where a reference belongs is refused and not repeated.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditor import config, credentials, files
from auditor.errors import AuditorError, UsageError
from auditor.redaction import printable

if TYPE_CHECKING:
    from auditor.model.venue import VenueFile

_NAME = re.compile(r"[a-z0-9-]{1,64}")
_PLAIN = re.compile(r"[A-Za-z0-9_./:~-]+")
_HELP = """Write auditor.yaml for one account; further accounts are added in the file.

Only places where secrets are kept are asked for (env:, file:, keyring:, vault:, cmd:), never a secret.

\b
Examples:
  auditor init
  auditor init --exchange okx --name main-okx --yes
"""
_TEMPLATE = """\
# Configuration of auditor. It holds places where secrets are kept, never a secret.
version: 1
accounts:
  - name: {name}   # 1 to 64 of a-z, 0-9 and -
    exchange: {exchange}   # `auditor exchanges` lists them
{credentials}    attestations: attest/{name}.yaml   # what no API shows; `auditor attest {name}` asks for it
    # tags: [personal]
    # expected_keys: {{count: 3, as_of: 2026-11-01}}   # API keys you counted in the exchange's web page
    # include: [balances, withdrawals]   # read only where you ask: what the account holds, and what left it
# rules: [rules/]              # folders with rules of your own, beside the shipped ones
# vault: {{passphrase: "cmd:pass show auditor"}}   # without one it is asked for
# waivers: waivers.yaml        # risks you accepted, with reason, owner and end
# identity_key: file:~/.config/auditor/identity.key       # the same on every machine that shares a history
# history: sqlite:///~/.local/share/auditor/history.db
# notify: ["json://localhost:9000/hook"]   # Apprise addresses or references to them; told on change only
"""
_CREDENTIALS = """\
    credentials:   # env:NAME, file:PATH (only you may read it), keyring:SERVICE/NAME, vault:NAME/FIELD or cmd:COMMAND
{lines}
"""


@click.command("init", help=_HELP)
@click.option("--exchange", help="Id of the exchange, such as okx.")
@click.option("--name", help="Name of the account.  [default: main-EXCHANGE]")
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path(config.NAME),
    show_default=True,
    help="File to write.",
)
@click.option("--vault", is_flag=True, help="Keep the credentials in the encrypted vault.")
@click.option("--yes", is_flag=True, help="Take what is proposed, ask nothing.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def command(exchange: str | None, name: str | None, path: Path, *, vault: bool, yes: bool, force: bool) -> None:
    from auditor.exchanges import _venue

    if os.path.lexists(path) and not force:
        raise UsageError(f"{path} is there already", hint="add the account in it, or overwrite it with --force")
    asking = not yes and at_terminal()
    venue = _venue.load(_exchange(exchange, _venue.ids(), asking=asking))
    name = _name(name, f"main-{venue.id}", asking=asking)
    if asking and venue.credentials and not vault:
        vault = click.confirm("Keep the credentials in auditor's encrypted vault?", default=False, err=True)
    references = {
        field: f"vault:{name}/{field}" if vault else _reference(venue.id, field, asking=asking)
        for field in venue.credentials
    }
    _write(path, document(name, venue.id, references), force=force)
    click.echo(f"{printable(str(path), limit=400)} written, readable by you alone.")
    click.echo(advice(venue, name, references))


def at_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def proposed(exchange: str, field: str) -> str:
    """The reference proposed for a credential field."""
    return f"env:{credentials.proposed_variable(exchange, field)}"


def document(name: str, exchange: str, references: Mapping[str, str]) -> str:
    """The text of a configuration with one account."""
    lines = "\n".join(f"      {field}: {_quoted(text)}" for field, text in references.items())
    block = _CREDENTIALS.format(lines=lines) if references else ""
    return _TEMPLATE.format(name=name, exchange=exchange, credentials=block)


def advice(venue: VenueFile, name: str, references: Mapping[str, str]) -> str:
    """What to do now: which permissions the key may have and which never, the traps, the next command."""
    parts = (
        [f"\n{venue.name}: make a key of its own for auditor"]
        if references
        else [f"\n{venue.name} is audited without a key."]
    )
    parts += [f"  tick        {item}" for item in venue.permissions_tick]
    parts += [f"  never tick  {item}" for item in venue.permissions_never]
    if references:
        parts.append("  and bind it to the address of this machine where the exchange offers that")
    parts += ["Known traps:", *(f"  - {trap}" for trap in venue.traps)] if venue.traps else []
    variables = [text.removeprefix("env:") for text in references.values() if text.startswith("env:")]
    parts += ["Then"]
    parts += [f"  put the credentials into {', '.join(variables)} (not on a command line)"] if variables else []
    if any(text.startswith("vault:") for text in references.values()):
        parts += ["  auditor vault init   once", f"  auditor vault add {name} --exchange {venue.id}"]
    parts += ["  auditor audit", f"  auditor attest {name}   what no API shows"]
    return "\n".join(parts)


def _exchange(given: str | None, known: tuple[str, ...], *, asking: bool) -> str:
    while given is None or given not in known:
        hint = _known(given, known)
        if not asking:
            message = "which exchange?" if given is None else f"unknown exchange {printable(given, limit=40)}"
            raise UsageError(message, hint=f"{hint}; for example `auditor init --exchange okx --yes`")
        if given is not None:
            click.echo(f"Unknown exchange; {hint}", err=True)
        given = str(click.prompt("Exchange (its id, such as okx)", err=True)).strip().lower()
    return given


def _known(given: str | None, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches((given or "")[:40].lower(), known, 1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def _name(given: str | None, proposed: str, *, asking: bool) -> str:
    if given is None and not asking:
        given = proposed
    while given is None or not _NAME.fullmatch(given):
        if given is not None:
            if not asking:
                raise UsageError("this is not an account name", hint="1 to 64 of a-z, 0-9 and -, such as main-okx")
            click.echo("1 to 64 of a-z, 0-9 and -, please.", err=True)
        given = str(click.prompt("Name of the account", default=proposed, err=True)).strip()
    return given


def _reference(exchange: str, field: str, *, asking: bool) -> str:
    """Where a credential is kept. What is typed is hidden: somebody will paste the key itself."""
    usual = proposed(exchange, field)
    while asking:
        given = click.prompt(
            f"Where is {field} kept? {credentials.SPELLING}; Enter for {usual}",
            default=usual,
            show_default=False,
            hide_input=True,
            err=True,
        )
        if credentials.is_reference(given):
            click.echo(f"  {field}: taken as {given.partition(':')[0]}: reference", err=True)
            return str(given)
        click.echo("That is not a reference, and is not repeated here. If it was the key, take it as seen.", err=True)
    return usual


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _write(path: Path, text: str, *, force: bool) -> None:
    reason, written = None, True
    try:
        written = files.write(path, text.encode(), replace=force)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    if reason is not None:
        raise AuditorError(f"{path} cannot be written: {reason}")
    if not written:
        raise UsageError(f"{path} is there already", hint="add the account in it, or overwrite it with --force")
