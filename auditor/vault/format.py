"""The bytes of a vault file: a header, the wrapped key, records, a checksum. Knows neither cryptography nor files.

    "auditor-vault" 00 | version | lock kind | lanes | memory KiB | passes | salt | wrapped key | count | records | SHA-256

Numbers are big-endian. Every bit means something and nothing can be spelled two ways: what was parsed encodes to the
same bytes. The checksum tells an accident from a wrong passphrase; it keeps out nobody, which is the seals' business.
"""

from __future__ import annotations

import hashlib
import struct
from enum import IntEnum

from auditor.errors import CredentialError
from auditor.values import frozen

VERSION = 1
SALT_BYTES = 16
WRAPPED_BYTES = 12 + 32 + 16
"""Nonce, key and tag."""
MOST_RECORDS = 10_000
LONGEST_RECORD = 256 * 1024
LARGEST = 64 * 2**20

_MAGIC = b"auditor-vault\x00"
_HEADER = struct.Struct(f">{len(_MAGIC)}sBBBII{SALT_BYTES}s")
_COUNT = struct.Struct(">I")
_SUM_BYTES = 32
_TAG_BYTES = 16


class DamagedError(CredentialError):
    """The file is not a vault, or not as it was written: an accident, or somebody's hand."""


class Kind(IntEnum):
    """What opens a vault: a passphrase, stretched by Argon2id, or a key that is kept elsewhere."""

    PASSPHRASE = 1
    KEY = 2


@frozen
class Lock:
    """How the key that opens the vault is made. `memory` is in KiB; costs are 0 where nothing is stretched."""

    kind: Kind
    memory: int
    passes: int
    lanes: int
    salt: bytes


@frozen
class Sealed:
    """A vault as it lies on the disk: nothing in it can be read without its key."""

    lock: Lock
    wrapped: bytes
    records: tuple[bytes, ...]


def header(lock: Lock) -> bytes:
    """The bytes of a lock: what everything in the file is bound to."""
    return _HEADER.pack(_MAGIC, VERSION, lock.kind, lock.lanes, lock.memory, lock.passes, lock.salt)


def encode(sealed: Sealed) -> bytes:
    """The bytes of a vault."""
    listed = b"".join(_COUNT.pack(len(record)) + record for record in sealed.records)
    body = header(sealed.lock) + sealed.wrapped + _COUNT.pack(len(sealed.records)) + listed
    return body + hashlib.sha256(body).digest()


def decode(raw: bytes) -> Sealed:
    """The vault in these bytes. Raises DamagedError, and CredentialError for a version that is not known yet."""
    if len(raw) > LARGEST or not raw.startswith(_MAGIC) or len(raw) < _HEADER.size + WRAPPED_BYTES + _SUM_BYTES:
        raise _damaged("is not a vault")
    body, checksum = raw[:-_SUM_BYTES], raw[-_SUM_BYTES:]
    version = body[len(_MAGIC)]
    if hashlib.sha256(body).digest() != checksum:
        raise _damaged("is damaged: its checksum does not fit")
    if version != VERSION:
        raise CredentialError(f"the vault is of version {version}", hint="it needs a newer auditor")
    lock = _lock(body)
    place = _HEADER.size + WRAPPED_BYTES
    return Sealed(lock=lock, wrapped=body[_HEADER.size : place], records=_records(body, place))


def _lock(body: bytes) -> Lock:
    _, _, kind, lanes, memory, passes, salt = _HEADER.unpack_from(body)
    if kind not in set(Kind):
        raise _damaged("is locked in a way that is not known")
    if kind == Kind.KEY and any((lanes, memory, passes)):
        raise _damaged("says two things about its lock")
    return Lock(kind=Kind(kind), memory=memory, passes=passes, lanes=lanes, salt=salt)


def _records(body: bytes, place: int) -> tuple[bytes, ...]:
    count, place = _number(body, place)
    if count > MOST_RECORDS:
        raise _damaged("holds more entries than a vault can")
    records = []
    for _ in range(count):
        length, place = _number(body, place)
        if not _TAG_BYTES < length <= LONGEST_RECORD or place + length > len(body):
            raise _damaged("holds an entry of an impossible length")
        records.append(body[place : place + length])
        place += length
    if place != len(body):
        raise _damaged("goes on behind its last entry")
    return tuple(records)


def _number(body: bytes, place: int) -> tuple[int, int]:
    if place + _COUNT.size > len(body):
        raise _damaged("ends too early")
    return _COUNT.unpack_from(body, place)[0], place + _COUNT.size


def _damaged(what: str) -> DamagedError:
    return DamagedError(f"the vault {what}", hint="put a copy from your backup in its place")
