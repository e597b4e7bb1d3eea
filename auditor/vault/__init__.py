"""The encrypted credential file: entries by name, each a few secret fields. Puts layout, cryptography and file together.

No name and no length of an entry is readable on the disk. A vault that is open keeps its entries as Secret values and its
key until it is let go; Python does not wipe memory, so whoever can read this process can read what it holds.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from auditor.errors import CredentialError
from auditor.redaction import Secret
from auditor.vault import crypto, format, store  # noqa: A004  (the room's own module)
from auditor.vault.crypto import PROFILES, Cost, TamperedError, WrongKeyError
from auditor.vault.format import DamagedError, Kind

__all__ = [
    "PROFILES",
    "DamagedError",
    "Entry",
    "Kind",
    "TamperedError",
    "Vault",
    "WrongKeyError",
    "check_length",
    "kind_of",
]

Entry = Mapping[str, Secret]
"""Field name -> its secret."""
Opener = Callable[[Kind], Secret]
"""Asked for the passphrase, or for the key (64 hex digits), once it is known which of them the vault wants."""
_BLOCK = 512
"""Contents are padded to multiples of this many bytes, so that lengths say little."""


SHORTEST = 12
"""Characters that a new passphrase has at least."""


def check_length(passphrase: Secret) -> None:
    """Raises CredentialError for a passphrase that is too short to be worth stretching."""
    if len(passphrase.reveal()) < SHORTEST:
        hint = "take five or six words that do not belong together"
        raise CredentialError(f"a passphrase has at least {SHORTEST} characters", hint=hint)


def kind_of(path: Path) -> Kind:
    """What opens the vault in `path`. Raises CredentialError."""
    return format.decode(store.read(path, largest=format.LARGEST)).lock.kind


class Vault:
    """An open vault. Every change is on the disk when the method returns."""

    def __init__(self, path: Path, sealed: format.Sealed, outer: bytes) -> None:
        self.path = path
        self._outer = outer
        self._lock = sealed.lock
        self._entries = _unsealed(sealed, outer)

    @classmethod
    def make(cls, path: Path, held: Secret, *, cost: Cost | None) -> Self:
        """A new, empty vault, opened by a passphrase (with its `cost`) or by a key. Raises CredentialError where one is there."""
        lock, outer = _locked_with(held, cost)
        sealed = _sealed(lock, outer, {})
        with store.locked(path):
            store.write(path, format.encode(sealed), replace=False)
        return cls(path, sealed, outer)

    @classmethod
    def open(cls, path: Path, opener: Opener) -> Self:
        """The vault in `path`. Raises DamagedError, WrongKeyError, TamperedError and CredentialError, each for itself."""
        sealed = format.decode(store.read(path, largest=format.LARGEST))
        if sealed.lock.kind is Kind.PASSPHRASE:  # a cost that is refused is refused before anybody types
            crypto.check(_cost(sealed.lock))
        return cls(path, sealed, _outer(sealed.lock, opener(sealed.lock.kind)))

    def names(self) -> list[str]:
        """The names of all entries, sorted."""
        return sorted(self._entries)

    def entry(self, name: str) -> Entry | None:
        """The entry of this name."""
        return self._entries.get(name)

    def put(self, name: str, entry: Entry, *, replace: bool = False) -> None:
        """Adds an entry. Raises CredentialError where the name is taken and `replace` is not set."""

        def change(entries: dict[str, Entry]) -> None:
            if name in entries and not replace:
                raise CredentialError(f"the vault holds an entry {name} already", hint="remove it first, or --replace")
            entries[name] = dict(entry)

        self._change(change)

    def remove(self, name: str) -> None:
        """Removes an entry. Raises CredentialError where there is none of this name."""

        def change(entries: dict[str, Entry]) -> None:
            if entries.pop(name, None) is None:
                raise CredentialError(f"the vault holds no entry {name}", hint="`auditor vault list` names them")

        self._change(change)

    def rekey(self, held: Secret, *, cost: Cost | None) -> None:
        """Seals everything under another passphrase, cost or key. Copies of the old file open with what opened them."""
        lock, outer = _locked_with(held, cost)
        self._change(lambda _entries: None, lock=lock, outer=outer)

    def _change(
        self,
        change: Callable[[dict[str, Entry]], None],
        *,
        lock: format.Lock | None = None,
        outer: bytes | None = None,
    ) -> None:
        """Changes what is on the disk now, which another process may have written since this one opened it."""
        with store.locked(self.path):
            current = format.decode(store.read(self.path, largest=format.LARGEST))
            if current.lock != self._lock:
                raise WrongKeyError("the vault was given another passphrase or key meanwhile", hint="open it again")
            entries = _unsealed(current, self._outer)
            change(entries)
            lock, outer = lock or self._lock, outer or self._outer
            store.write(self.path, format.encode(_sealed(lock, outer, entries)))
        self._lock, self._outer, self._entries = lock, outer, entries


def _locked_with(held: Secret, cost: Cost | None) -> tuple[format.Lock, bytes]:
    salt = secrets.token_bytes(format.SALT_BYTES)
    if cost is None:
        lock = format.Lock(kind=Kind.KEY, memory=0, passes=0, lanes=0, salt=salt)
    else:
        lock = format.Lock(kind=Kind.PASSPHRASE, memory=cost.memory, passes=cost.passes, lanes=cost.lanes, salt=salt)
    return lock, _outer(lock, held)


def _cost(lock: format.Lock) -> Cost:
    return Cost(memory=lock.memory, passes=lock.passes, lanes=lock.lanes)


def _outer(lock: format.Lock, held: Secret) -> bytes:
    if lock.kind is Kind.PASSPHRASE:
        return crypto.stretched(held.reveal(), lock.salt, _cost(lock))
    try:
        key = bytes.fromhex(held.reveal())
    except ValueError:
        key = b""
    if len(key) != crypto.KEY_BYTES:
        raise CredentialError("the key of the vault is not 64 hex digits", hint="check where it is kept")
    return crypto.expanded(key, lock.salt)


def _sealed(lock: format.Lock, outer: bytes, entries: Mapping[str, Entry]) -> format.Sealed:
    header, key = format.header(lock), crypto.new_key()
    contents = [_content(name, entries[name]) for name in sorted(entries)]
    records = [crypto.seal(key, at, len(contents), header, content) for at, content in enumerate(contents)]
    return format.Sealed(lock=lock, wrapped=crypto.wrap(outer, key, header, len(records)), records=tuple(records))


def _unsealed(sealed: format.Sealed, outer: bytes) -> dict[str, Entry]:
    header = format.header(sealed.lock)
    count = len(sealed.records)
    key = crypto.unwrap(outer, sealed.wrapped, header, count)
    contents = [crypto.unseal(key, at, count, header, record) for at, record in enumerate(sealed.records)]
    return dict(_entry(content) for content in contents)


def _content(name: str, entry: Entry) -> bytes:
    written: dict[str, Any] = {"name": name, "fields": {field: secret.reveal() for field, secret in entry.items()}}
    raw = json.dumps(written, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()
    if len(raw) > format.LONGEST_RECORD - _BLOCK:
        raise CredentialError(f"the entry {name} is too long for a vault")
    return raw + b" " * (-len(raw) % _BLOCK)


def _entry(content: bytes) -> tuple[str, Entry]:
    written = json.loads(content)
    return written["name"], {field: Secret(value) for field, value in written["fields"].items()}
