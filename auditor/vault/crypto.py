"""The cryptography of the vault: Argon2id for passphrases, ChaCha20-Poly1305 for everything sealed. Knows no file and no layout.

Every time a vault is written it gets a new key, so that a record's number serves as its nonce. What is sealed is bound to
its place: a record that is moved, left out or brought from another vault does not open.
"""

from __future__ import annotations

import secrets
import unicodedata
from typing import TYPE_CHECKING

from auditor.errors import CredentialError
from auditor.values import frozen

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

KEY_BYTES = 32
NONCE_BYTES = 12


class WrongKeyError(CredentialError):
    """The passphrase or key is not the one that opens the vault."""


class TamperedError(CredentialError):
    """The vault opens and something in it is not what was written with its key."""


@frozen
class Cost:
    """What one guess at a passphrase costs: memory in KiB, passes over it, lanes side by side."""

    memory: int
    passes: int
    lanes: int


PROFILES = {
    "quick": Cost(memory=64 * 1024, passes=3, lanes=4),
    "standard": Cost(memory=256 * 1024, passes=3, lanes=4),
    "strong": Cost(memory=1024 * 1024, passes=4, lanes=4),
}
"""`quick` is the second recommended choice of RFC 9106 (section 4), for machines with little memory."""
FLOOR = Cost(memory=19 * 1024, passes=2, lanes=1)
CEILING = Cost(memory=2048 * 1024, passes=16, lanes=16)
"""A file that asks for less is too easy to guess at, one that asks for more would stop the machine: neither is read."""


def check(cost: Cost) -> None:
    """Raises CredentialError for a cost outside the bounds."""
    pairs = (
        (FLOOR.memory, cost.memory, CEILING.memory),
        (FLOOR.passes, cost.passes, CEILING.passes),
        (FLOOR.lanes, cost.lanes, CEILING.lanes),
    )
    if not all(low <= found <= high for low, found, high in pairs):
        hint = "somebody may have replaced the file; put a copy from your backup in its place"
        raise CredentialError("the vault asks for an effort outside of what is allowed", hint=hint)


def stretched(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    """The key that a passphrase stands for. Composed and decomposed spellings of a letter are one. Raises CredentialError
    where the cost is out of bounds, or beyond this machine.
    """
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    check(cost)
    kdf = Argon2id(
        salt=salt, length=KEY_BYTES, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory, ad=b"auditor"
    )
    try:
        return kdf.derive(unicodedata.normalize("NFC", passphrase).encode())
    except MemoryError:
        pass
    hint = "free some, or do it on a larger machine; `auditor vault rekey --profile quick` there makes it cost 64 MiB"
    raise CredentialError(f"there are no {cost.memory // 1024} MiB of memory to open the vault with", hint=hint)


def expanded(key: bytes, salt: bytes) -> bytes:
    """The key of one vault from a key that is kept elsewhere."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"auditor vault").derive(key)


def new_key() -> bytes:
    """A key that nobody has had."""
    return secrets.token_bytes(KEY_BYTES)


def wrap(outer: bytes, key: bytes, header: bytes, count: int) -> bytes:
    """`key` sealed under `outer`, bound to the header and to the number of records: none can be cut off, nor all of them."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + _cipher(outer).encrypt(nonce, key, _place(count, count, header))


def unwrap(outer: bytes, wrapped: bytes, header: bytes, count: int) -> bytes:
    """The key that was wrapped. Raises WrongKeyError."""
    from cryptography.exceptions import InvalidTag

    try:
        key: bytes = _cipher(outer).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _place(count, count, header))
    except InvalidTag:
        pass
    else:
        return key
    raise WrongKeyError("this passphrase or key does not open the vault", hint="check it, and which vault is meant")


def seal(key: bytes, number: int, count: int, header: bytes, content: bytes) -> bytes:
    """Record `number` of `count`, sealed. `key` is used for one writing of one vault only."""
    sealed: bytes = _cipher(key).encrypt(_nonce(number), content, _place(number, count, header))
    return sealed


def unseal(key: bytes, number: int, count: int, header: bytes, sealed: bytes) -> bytes:
    """The content of record `number` of `count`. Raises TamperedError."""
    from cryptography.exceptions import InvalidTag

    try:
        content: bytes = _cipher(key).decrypt(_nonce(number), sealed, _place(number, count, header))
    except InvalidTag:
        pass
    else:
        return content
    hint = "put a copy from your backup in its place, and think about who could write to it"
    raise TamperedError("the vault was changed by somebody who does not have its key", hint=hint)


def _cipher(key: bytes) -> ChaCha20Poly1305:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key)


def _nonce(number: int) -> bytes:
    return number.to_bytes(NONCE_BYTES, "big")


def _place(number: int, count: int, header: bytes) -> bytes:
    return number.to_bytes(4, "big") + count.to_bytes(4, "big") + header
