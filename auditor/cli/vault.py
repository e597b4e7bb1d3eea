"""`auditor vault`: the encrypted credential file. What is stored is tried at once: a key that can do more than read is refused.

Secrets are typed where nobody sees them or come from references; none is ever an argument.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor import config, credentials
from auditor.cli import _options, _passphrase, _voice
from auditor.errors import CredentialError, UsageError
from auditor.model.settings import close
from auditor.redaction import Secret, printable

if TYPE_CHECKING:
    from auditor.vault import Vault
    from auditor.vault.crypto import Cost

_NAME = re.compile(r"[a-z0-9-]{1,64}")
_HELP = """Keep credentials in one encrypted file, and name them in auditor.yaml as vault:NAME/FIELD.

The passphrase is asked for on the terminal, or comes from --passphrase-fd or the `vault:` part of auditor.yaml.

\b
Examples:
  auditor vault init
  auditor vault add main-okx --exchange okx
"""


@click.group("vault", help=_HELP)
def command() -> None:
    """A group only."""


def _located(function: Any) -> Any:
    """--file, -c and --passphrase-fd."""
    for option in (
        _passphrase.option,
        click.option(
            "--file", "file", type=click.Path(path_type=Path), help="The vault.  [default: that of auditor.yaml]"
        ),
        click.option("-c", "--config", "config_path", type=click.Path(path_type=Path), help="Configuration file."),
    ):
        function = option(function)
    return function


_profile = click.option(
    "--profile",
    type=click.Choice(["quick", "standard", "strong"]),
    default="standard",
    show_default=True,
    help="What a guess at the passphrase costs: 64 MiB, 256 MiB or 1 GiB of memory.",
)
_key = click.option(
    "--key",
    metavar="REFERENCE",
    help="A key of 64 hex digits instead of a passphrase, such as keyring:auditor/vault, where one is made.",
)


@command.command("init", epilog="\b\nExample:\n  auditor vault init --profile strong")
@_located
@_profile
@_key
def init(file: Path | None, config_path: Path | None, profile: str, key: str | None) -> None:
    """Make an empty vault."""
    from auditor.vault import Vault

    path, _ = _place(file, config_path)
    held, cost = _new_lock(profile, key)
    Vault.make(path, held, cost=cost)
    shown = printable(str(path), limit=400)
    _voice.say(
        f"{shown} made, readable by you alone. Without its passphrase or key nobody opens it: keep a copy of that."
    )


@command.command("add", epilog="\b\nExample:\n  auditor vault add main-okx --exchange okx")
@click.argument("name")
@click.option("--exchange", required=True, help="Id of the exchange, such as okx.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="FIELD=REFERENCE",
    help="Take a field from env:, file:, keyring: or cmd: instead of asking.",
)
@click.option("--replace", is_flag=True, help="Replace an entry of this name.")
@click.option("--accept-risk", is_flag=True, help="Store it although it can do more than read, or cannot be tried.")
@click.option("--endpoint", help="Where to try it instead of the exchange's own address.")
@click.option(
    "--allow-endpoint",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="A host beyond this machine that --endpoint may name.",
)
@_located
def add(name: str, exchange: str, fields: tuple[str, ...], **options: Any) -> None:
    """Store the credentials of one key, after trying what it can do."""
    from auditor.exchanges import _venue
    from auditor.vault import Vault

    if not _NAME.fullmatch(name):
        raise UsageError("this is not a name for an entry", hint="1 to 64 of a-z, 0-9 and -, such as main-okx")
    if exchange not in _venue.ids():
        meant = close(exchange, _venue.ids())
        raise UsageError(
            f"unknown exchange {printable(exchange, limit=40)}", hint=meant or "`auditor exchanges` lists them"
        )
    venue = _venue.load(exchange)
    if not venue.credentials:
        raise UsageError(f"{venue.name} is audited without credentials")
    for word, items in (("tick", venue.permissions_tick), ("never tick", venue.permissions_never)):
        for item in items:
            _voice.say(f"  {word:<10}  {item}")
    path, reference = _place(options["file"], options["config_path"])
    vault = Vault.open(path, _passphrase.opener(reference))
    if vault.entry(name) is not None and not options["replace"]:
        raise UsageError(f"the vault holds an entry {name} already", hint="remove it first, or --replace")
    held = _fields(venue.credentials, fields)
    _tried(exchange, held, options)
    vault.put(name, held, replace=options["replace"])
    _voice.say("stored. In auditor.yaml: " + ", ".join(f"{field}: vault:{name}/{field}" for field in held))


@command.command("list", epilog="\b\nExample:\n  auditor vault list -f json")
@_located
@click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", help="text or json.")
def names(file: Path | None, config_path: Path | None, form: str) -> None:
    """Name the entries and their fields."""
    vault = _open(file, config_path)
    held = {name: sorted(vault.entry(name) or ()) for name in vault.names()}
    if form == "json":
        _voice.result(json.dumps({"entries": held}, indent=1))
        return
    _voice.result("\n".join(f"{name}: {', '.join(fields)}" for name, fields in held.items()) or "the vault is empty")


@command.command("remove", epilog="\b\nExample:\n  auditor vault remove main-okx")
@click.argument("name")
@_located
def remove(name: str, file: Path | None, config_path: Path | None) -> None:
    """Take an entry out. Copies of the old file still hold it."""
    vault = _open(file, config_path)
    if vault.entry(name) is None:
        meant = close(name, vault.names())
        raise UsageError(
            f"the vault holds no entry {printable(name, limit=64)}", hint=meant or "`auditor vault list` names them"
        )
    vault.remove(name)
    _voice.say("removed. If a copy of the vault may be in other hands, delete the key at the exchange too.")


@command.command("rekey", epilog="\b\nExample:\n  auditor vault rekey")
@_located
@_profile
@_key
@click.option(
    "--new-passphrase-fd",
    type=click.IntRange(min=0),
    metavar="N",
    help="Read the new passphrase from this file descriptor.",
)
def rekey(
    file: Path | None, config_path: Path | None, profile: str, key: str | None, new_passphrase_fd: int | None
) -> None:
    """Change the passphrase, its cost, or the key."""
    vault = _open(file, config_path)
    held, cost = _new_lock(profile, key, new_passphrase_fd, renew=True)
    vault.rekey(held, cost=cost)
    _voice.say("done. Copies of the old file still open with what opened them: delete them.")


def _place(file: Path | None, config_path: Path | None) -> tuple[Path, str | None]:
    """The vault, and the reference to what opens it. A configuration is not needed to have a vault."""
    if file is not None:
        return file.absolute(), None
    try:
        chosen = _options.settings(config_path, ())
    except UsageError:
        if config_path is not None:
            raise
        return config.default_vault(os.environ), None
    return chosen.vault, chosen.vault_passphrase


def _open(file: Path | None, config_path: Path | None) -> Vault:
    from auditor.vault import Vault

    path, reference = _place(file, config_path)
    return Vault.open(path, _passphrase.opener(reference))


def _new_lock(
    profile: str, key: str | None, descriptor: int | None = None, *, renew: bool = False
) -> tuple[Secret, Cost | None]:
    from auditor.vault import PROFILES

    field = "the vault's key"
    if key is not None and credentials.is_reference(key) and key.startswith("keyring:"):
        return credentials.make_in_keyring(key, field=field), None
    if key is not None:
        return credentials.resolve(key, environ=os.environ, field=field), None
    return _passphrase.new(descriptor, renew=renew), PROFILES[profile]


def _fields(needed: tuple[str, ...], given: tuple[str, ...]) -> dict[str, Secret]:
    """The fields of one key, from references or typed where nobody sees them."""
    references = dict(item.partition("=")[::2] for item in given)
    for field in references.keys() - set(needed):
        hint = close(field, needed) or f"the fields are: {', '.join(needed)}"
        raise UsageError("unknown credential field (not shown)", hint=hint)
    found = {}
    for field in needed:
        if field in references:
            found[field] = credentials.resolve(references[field], environ=os.environ, field=field)
        else:
            found[field] = _passphrase.asked(field)
    return found


def _tried(exchange: str, held: Mapping[str, Secret], options: Mapping[str, Any]) -> None:
    """Asks the exchange what the key may do. Raises CredentialError where that is more than reading, or is not known."""
    from auditor import bots

    facts = _facts(exchange, held, options)
    for reason in bots.judge(facts, frozenset({"read"}), exchange).reasons:
        _voice.say(f"  {printable(reason, limit=400)}")
    known = all(facts.get(power) is False for power in ("can_trade", "can_withdraw"))
    strong = any(facts.get(power) for power in bots.POWERS)
    if (strong or not known) and not options["accept_risk"]:
        what = "it can do more than read" if strong else "whether it can trade or withdraw is not known"
        hint = "make a key that can only read; or --accept-risk, and let nobody else have it"
        raise CredentialError(f"not stored: {what}", hint=hint)


def _facts(exchange: str, held: Mapping[str, Secret], options: Mapping[str, Any]) -> dict[str, Any]:
    from auditor import bots, collect, endpoints
    from auditor.exchanges import _venue

    problem = endpoints.fault(options["endpoint"], frozenset(options["hosts"])) if options["endpoint"] else None
    if problem:
        raise UsageError(f"--endpoint {problem}", hint="for example http://127.0.0.1:8123")
    warning = _venue.load(exchange).warn_before_first_call
    if warning and not (_passphrase.at_terminal() and click.confirm(f"{warning}\nUse the key from here?", err=True)):
        return bots.unread(collect.UNCONFIRMED)
    return asyncio.run(bots.facts_of(exchange, held, endpoint=options["endpoint"]))
