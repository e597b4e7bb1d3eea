"""The identity key: under it the same subject has the same fingerprint in every run, and nobody else can compute one.

Knows no exchange and no fact. The key is made once, by whoever comes first, and is 64 hex digits wherever it is kept,
so that machines which share a history may keep it in different places.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping

from auditor import credentials, files
from auditor.errors import CredentialError
from auditor.redaction import Secret

FIELD = "identity_key"
_KEY = re.compile(r"[0-9a-fA-F]{64}")


class NotKeptError(CredentialError):
    """There is no identity key yet, and none can be made where it should be kept."""


class Identity:
    """Holds the key, shows nothing of it."""

    __slots__ = ("_key",)

    def __init__(self, key: Secret) -> None:
        if not _KEY.fullmatch(key.reveal()):
            raise CredentialError(f"{FIELD}: not a key of 64 hex digits", hint="make one with `openssl rand -hex 32`")
        self._key = key

    @classmethod
    def ephemeral(cls, seed: str) -> Identity:
        """A key anybody can compute from `seed`: for samples and tests, whose fingerprints protect nobody."""
        return cls(Secret(hashlib.sha256(b"auditor/ephemeral/" + seed.encode()).hexdigest()))

    @classmethod
    def of_this_run(cls) -> Identity:
        """A key that nobody has, and that is forgotten: its fingerprints match those of no other run."""
        import secrets

        return cls(Secret(secrets.token_hex(32)))

    def fingerprint(self, *parts: str) -> str:
        """32 hex digits that stand for `parts`. Parts are length-prefixed: ("ab", "c") is never ("a", "bc")."""
        encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
        message = b"".join(len(part).to_bytes(8, "big") + part for part in encoded)
        return hmac.digest(bytes.fromhex(self._key.reveal()), message, "sha256").hex()[:32]

    def __repr__(self) -> str:
        return "Identity(•••)"


def load(reference: str, *, environ: Mapping[str, str]) -> Identity:
    """The identity behind a reference. A `file:` that is not there is made. Raises CredentialError, and of it
    NotKeptError where a file cannot be made.
    """
    kind, _, rest = reference.partition(":")
    if kind == "file" and credentials.is_reference(reference):
        _make_once(rest, environ)
    return Identity(credentials.resolve(reference, environ=environ, field=FIELD))


def _make_once(text: str, environ: Mapping[str, str]) -> None:
    """Two processes may come here at once: the first to put its file in place wins, and both read that file."""
    path = credentials.expand(text, environ)
    if os.path.lexists(path):
        return
    import secrets

    reason = None
    try:
        files.write(path, secrets.token_hex(32).encode() + b"\n", replace=False)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    if reason is not None:
        hint = "set identity_key in auditor.yaml to a place that can be written"
        raise NotKeptError(f"{FIELD}: the key file cannot be made: {reason}", hint=hint)
