"""Where the passphrase of the vault comes from: a file descriptor, the reference in the configuration, or the terminal.

Never an argument and never a variable of the environment: other programs can read both.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from auditor.errors import CredentialError
from auditor.redaction import Secret

if TYPE_CHECKING:
    from auditor.vault import Kind

_FIELD = "the vault's passphrase"
_META = "auditor.passphrase"
_LAST_DESCRIPTOR = 2**31 - 1
_OTHERWISE = (
    "the passphrase comes from --passphrase-fd N or auditor.yaml (`vault: {passphrase: cmd:...}`), a field from --field"
)


def _read(ctx: click.Context, _option: click.Parameter, descriptor: int | None) -> None:
    """Read at once: a descriptor can be read only once, and a wrong one is said before any work is done."""
    if descriptor is not None:
        ctx.meta[_META] = _line(descriptor)


option = click.option(
    "--passphrase-fd",
    type=click.IntRange(min=0),
    metavar="N",
    callback=_read,
    expose_value=False,
    help="Read the vault's passphrase from this file descriptor.",
)


def opener(reference: str | None) -> Callable[[Kind], Secret]:
    """Asks for what opens the vault, where it has to be asked for. `reference` is that of the configuration."""

    def held(kind: Kind) -> Secret:
        from auditor import credentials, vault

        given = _given()
        if given is not None:
            return given
        if reference is not None:
            return credentials.resolve(reference, environ=os.environ, field=_FIELD)
        if kind is vault.Kind.KEY:
            hint = (
                "name its place in auditor.yaml: `vault: {passphrase: keyring:auditor/vault}`, or give --passphrase-fd"
            )
            raise CredentialError("the vault is opened by a key, and nobody says where that is", hint=hint)
        return asked("Passphrase of the vault")

    return held


def new(descriptor: int | None, *, renew: bool) -> Secret:
    """A new passphrase, from a descriptor or typed twice. Raises CredentialError for one that is too short.

    `renew`: what --passphrase-fd gave is the old one.
    """
    from auditor.vault import check_length

    given = _line(descriptor) if descriptor is not None else None if renew else _given()
    if given is None:
        given = asked("New passphrase of the vault", twice=True)
    check_length(given)
    return given


def at_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def asked(what: str, *, twice: bool = False) -> Secret:
    """What a person types where nobody sees it. Raises CredentialError where nobody can be asked."""
    if not at_terminal():
        raise CredentialError(f"{what}: nobody is at the terminal to be asked", hint=_OTHERWISE)
    typed = ""
    with suppress(UnicodeDecodeError):  # it would carry what was typed
        typed = click.prompt(what, hide_input=True, confirmation_prompt=twice, err=True)
    if not typed.isprintable() or not typed:
        hint = "type it again; arrow keys and other languages' keyboards in a terminal that is not UTF-8 do this"
        raise CredentialError(f"{what}: what was typed is not text", hint=hint)
    return Secret(typed)


def _given() -> Secret | None:
    held: Any = click.get_current_context().meta.get(_META)
    return held if isinstance(held, Secret) else None


def _line(descriptor: int) -> Secret:
    from auditor import credentials

    raw, problem = b"", None
    try:
        with os.fdopen(min(descriptor, _LAST_DESCRIPTOR), "rb", closefd=False) as stream:
            raw = stream.read(credentials.LARGEST + 1)
    except OSError as error:
        problem = error.strerror or "cannot be read"
    text = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
    if problem is None and (not text or len(raw) > credentials.LARGEST or not text.isprintable()):
        problem = "gave nothing, or nothing that is a passphrase"
    if problem is not None:
        raise CredentialError(f"{_FIELD}: descriptor {descriptor} {problem}", hint="for example: 3<passphrase.txt")
    return Secret(text)
