"""What every worker is told of a run. It holds references and never a secret: those are read where they are used.

References come from `auditor.yaml`, so what they name has to be on each worker: a variable, a file, a vault that opens by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from auditor import credentials
from auditor.config import AccountConfig, Config
from auditor.credentials import Sources
from auditor.errors import CredentialError, UsageError
from auditor.identity import FIELD, Identity
from auditor.model.rule import Rule
from auditor.pipeline import Run
from auditor.redaction import Secret
from auditor.values import frozen
from auditor.waivers import Waiver

if TYPE_CHECKING:
    from auditor.vault import Kind, Vault

_PASSPHRASE = "the vault's passphrase"  # noqa: S105  (what it is called in a message)


@frozen
class Brief:
    """One run, as its workers know it. `nonce` is what the identity key is probed with; of more than `most` accounts the
    `few` worst come back in full; `results` is where workers write, None where the `tables` come back.
    """

    id: str
    now: datetime
    nonce: str
    rules: tuple[Rule, ...]
    waivers: tuple[Waiver, ...] = ()
    identity: str = field(repr=False)
    vault: Path | None = None
    passphrase: str | None = field(default=None, repr=False)
    most: int
    few: int
    tables: bool = False
    results: str | None = None

    def run(self) -> Run:
        """What a worker judges with. Raises CredentialError."""
        return Run(rules=self.rules, identity=key(self.identity), now=self.now, waivers=self.waivers)

    def sources(self) -> Sources:
        """Where references lead on this machine."""
        return Sources(environ=os.environ, vault=self._vault() if self.vault else None)

    def _vault(self) -> credentials.Opened:
        from auditor.vault import Vault

        opened: list[Vault] = []

        def held(_kind: Kind) -> Secret:
            if self.passphrase is None:
                raise CredentialError(f"{_PASSPHRASE}: a worker has nobody to ask")
            return credentials.resolve(self.passphrase, environ=os.environ, field=_PASSPHRASE)

        def vault() -> Vault:
            assert self.vault is not None
            if not opened:
                opened.append(Vault.open(self.vault, held))
            return opened[0]

        return vault


def key(reference: str) -> Identity:
    """The identity behind a reference; unlike at home none is made: it could not be the same. Raises CredentialError."""
    return Identity(credentials.resolve(reference, environ=os.environ, field=FIELD))


def check(config: Config, accounts: Iterable[AccountConfig]) -> None:
    """Raises UsageError for what no worker could resolve."""
    wanted = [one.name for one in accounts for block in one.credentials if _in_vault(block.values())]
    if wanted and config.vault_passphrase is None:
        hint = "say where it is kept on the workers, in auditor.yaml: `vault: {passphrase: cmd:...}`, or file: or env:"
        raise UsageError(f"{wanted[0]} needs the vault, and nobody can type its passphrase on a worker", hint=hint)


def _in_vault(references: Iterable[str]) -> bool:
    return any(reference.startswith("vault:") for reference in references)


def bare(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Rules without their cases, which judge nobody."""
    return tuple(replace(rule, cases=()) for rule in rules)
