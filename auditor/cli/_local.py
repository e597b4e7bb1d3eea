"""The option --local and what it stands for: which folders are looked through, and which files nobody else may read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditor.errors import UsageError
from auditor.redaction import printable

if TYPE_CHECKING:
    from auditor.config import AccountConfig, Config
    from auditor.credentials import Sources
    from auditor.identity import Identity
    from auditor.model.evidence import Snapshot
    from auditor.model.report import RunProblem

option = click.option(
    "--local",
    "local",
    multiple=True,
    is_flag=False,
    flag_value=".",
    type=click.Path(path_type=Path),
    metavar="[FOLDER]",
    help="Also look in this folder (default: the current one), its git history and the shell's history for the secrets "
    "of these accounts and for packages that steal. Repeatable.",
)


def look(
    settings: Config,
    accounts: Sequence[AccountConfig],
    collected: Sequence[Snapshot],
    folders: Sequence[Path],
    known: tuple[Sources, Identity],
) -> tuple[list[Snapshot], tuple[RunProblem, ...]]:
    """The snapshots with what lies open on this machine, and what to say of it. Raises UsageError."""
    if not folders:
        return list(collected), ()
    from auditor import local

    for folder in folders:
        if not folder.exists():
            raise UsageError(f"--local: there is no {printable(str(folder), limit=200)}")
    sources, identity = known
    home = os.environ.get("HOME")
    places = local.Places(
        folders=tuple(folder.absolute() for folder in folders),
        home=Path(home) if home else None,
        private=tuple(_private(settings)),
    )
    return local.look(accounts, collected, places, sources=sources, identity=identity)


def _private(settings: Config) -> list[Path]:
    """The files of this program that say something about its owner's keys, or sign for them."""
    from auditor import signing

    answers = [account.attestations for account in settings.accounts if account.attestations]
    files = [settings.path, settings.vault, *answers, *([settings.waivers] if settings.waivers else [])]
    kept = settings.identity_key.removeprefix("file:")
    files += [Path(kept)] if kept != settings.identity_key else []
    database = settings.history.removeprefix("sqlite:///")
    files += [Path(database)] if database != settings.history else []
    return [*files, signing.place(settings.identity_key, os.environ)]
