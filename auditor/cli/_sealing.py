"""--sign, and where the key of this installation lies."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from auditor.errors import UsageError

if TYPE_CHECKING:
    from auditor.model.report import RunInfo
    from auditor.signing import Signer

_Command = TypeVar("_Command", bound=Callable[..., Any])


def option(command: _Command) -> _Command:
    """--sign."""
    text = "Sign what is written: FILE.dsse.json beside each file. Needs -o; `auditor verify` checks it."
    return click.option("--sign", is_flag=True, help=text)(command)


def place(identity_key: str | None = None) -> Path:
    """Where the signing key lies: beside the identity key, that of this user where none is named."""
    from auditor import config, signing

    return signing.place(identity_key or config.default_identity_key(os.environ), os.environ)


def places(config_path: Path | None) -> list[Path]:
    """Where keys of this installation lie: as the configuration has it, and as commands without one have it."""
    from auditor import config
    from auditor.cli import _options

    try:
        found = config.find(config_path, cwd=Path.cwd(), environ=os.environ)
    except (UsageError, FileNotFoundError):
        return [place()]
    return list(dict.fromkeys([place(_options.settings(found, ()).identity_key), place()]))


def signer(options: Mapping[str, Any], where: Callable[[], Path] = place) -> Signer | None:
    """Who signs, None where nobody was asked to. Raises UsageError or CredentialError before any work is done."""
    if not options["sign"]:
        return None
    from auditor import signing

    output = options["output"]
    if output is None or (output.exists() and not (output.is_file() or output.is_dir())):
        raise UsageError("only a file can be signed", hint="add -o FILE, or -o FOLDER for several formats")
    return signing.load(where())


def sealed(target: Path, hashes: Mapping[str, str], run: RunInfo, signer: Signer) -> dict[Path, bytes]:
    """The envelope over a report and its pages or parts (name -> SHA-256), at its place."""
    from auditor import envelope

    ordered = {target.name: hashes[target.name], **hashes}
    content = envelope.sealed(ordered, run=run.id, version=run.version, signer=signer, now=datetime.now(UTC))
    return {target.with_name(target.name + envelope.SUFFIX): content}
