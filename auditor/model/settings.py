"""A checked configuration as a value. Knows what may stand in `auditor.yaml`, not how it is read.

It holds references to secrets, never a secret; not even the references are shown in a repr.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import date
from pathlib import Path

from auditor.errors import UsageError
from auditor.redaction import printable
from auditor.values import frozen

OPT_IN = ("balances", "withdrawals")
"""What is read of an account only where its owner asks for it."""


@frozen
class ExpectedKeys:
    """How many API keys the owner counted in the exchange's web page, and on which day."""

    count: int
    as_of: date


@frozen
class AccountConfig:
    """One account under audit. `credentials` holds one block of references a key; none where all is attested.

    `address_confirmed` is the owner's word that the keys may be used from this machine's address, which is asked for
    where the exchange punishes a foreign one. `attestations` is the file that was named, which need not exist yet, or
    `attest/<name>.yaml` beside the configuration where there is one. `include` is what of OPT_IN is read too.
    """

    name: str
    exchange: str
    credentials: tuple[Mapping[str, str], ...] = field(default=(), repr=False, hash=False)
    endpoint: str | None = None
    attestations: Path | None = None
    tags: tuple[str, ...] = ()
    expected_keys: ExpectedKeys | None = None
    address_confirmed: bool = False
    include: frozenset[str] = frozenset()


@frozen
class Config:
    """A checked configuration; every path in it, also in `file:` references and `history`, is absolute."""

    path: Path
    accounts: tuple[AccountConfig, ...]
    rules: tuple[Path, ...] = ()
    shipped_rules: bool = True
    waivers: Path | None = None
    vault: Path
    vault_passphrase: str | None = field(default=None, repr=False)
    identity_key: str = field(repr=False)
    history: str = field(repr=False)
    notify: tuple[str, ...] = field(default=(), repr=False)

    def select(self, names: Iterable[str]) -> tuple[AccountConfig, ...]:
        """The accounts of these names in the order of the file; all of them for no name. Raises UsageError."""
        wanted = set(names)
        known = [account.name for account in self.accounts]
        for name in sorted(wanted - set(known)):
            hint = close(name, known) or f"the accounts are: {', '.join(known[:20])}"
            raise UsageError(f"there is no account {printable(name, limit=64)} in {self.path}", hint=hint)
        return tuple(account for account in self.accounts if not wanted or account.name in wanted)


def close(word: str, known: Iterable[str]) -> str | None:
    """Which of the known words somebody most likely meant, as a hint."""
    import difflib

    found = difflib.get_close_matches(word[:64], list(known), 1)
    return f"did you mean {found[0]}?" if found else None
