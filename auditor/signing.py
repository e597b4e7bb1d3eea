"""The installation's Ed25519 key: what this installation wrote can be told from what somebody else wrote.

The key is made on first use and replaced by `rotate`; the public halves of all keys, with those the owner added of other
installations, stay beside it in `<name>.pub`, one line each as `ssh-keygen` writes them. Knows nothing of what is signed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import Any

from auditor import credentials, files
from auditor.errors import CredentialError
from auditor.redaction import Secret
from auditor.values import frozen

NAME = "signing.key"
FIELD = "signing key"
SIGNATURE_BYTES = 64
PUBLIC_BYTES = 32
_SEED = re.compile(r"[0-9a-f]{64}")
_SSH_KIND = b"ssh-ed25519"
_SSH_HEAD = len(_SSH_KIND).to_bytes(4, "big") + _SSH_KIND + PUBLIC_BYTES.to_bytes(4, "big")
_MOST_KEYS = 10_000


@frozen
class Signer:
    """Signs as this installation. `public` is the raw public key (32 bytes), `key_id` its short name. Shows nothing else."""

    public: bytes
    key_id: str
    _key: Any = field(repr=False, compare=False)
    _seed: Secret = field(repr=False, compare=False)  # alive as long as the signer, so that scrub() knows it

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature (64 bytes) of a message."""
        signature: bytes = self._key.sign(message)
        return signature


def place(identity_key: str, environ: Mapping[str, str]) -> Path:
    """Where the key of an installation is kept: beside its identity key, or in the XDG folder where that is no file."""
    kind, _, rest = identity_key.partition(":")
    if kind == "file":
        return credentials.expand(rest, environ).with_name(NAME)
    named = environ.get("XDG_CONFIG_HOME", "")
    folder = Path(named) if named.startswith("/") else credentials.expand("~/.config", environ)
    return folder / "auditor" / NAME


def load(path: Path) -> Signer:
    """The signer whose key is in `path`; the key is made where there is none yet. Raises CredentialError.

    Two processes may come here at once: the first to put its file in place wins, and both read that file.
    """
    if not os.path.lexists(path):
        _keep(path, secrets.token_hex(32), replace=False)
    signer = _signer(credentials.read_private(path, field=FIELD))
    with suppress(OSError):  # a folder that cannot be written to any more: known() names the own key all the same
        _publish(path, signer.public)
    return signer


def rotate(path: Path) -> Signer:
    """A new key in place of the one in `path`, which is forgotten but for its public half. Raises CredentialError."""
    load(path)
    seed = secrets.token_hex(32)
    try:
        _publish(path, _signer(seed).public)  # before the key: a signature whose key nobody knows proves nothing
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        _keep(path, seed, replace=True)
        return load(path)
    raise CredentialError(f"{FIELD}: the list of public keys cannot be written: {reason}", hint=_hint(path))


def known(path: Path) -> dict[str, bytes]:
    """Key id -> public key of everybody whose signatures count here: this installation, then and now, and those its owner
    added to `<name>.pub`. Raises CredentialError for a line that is none.
    """
    return {key_id(public): public for public in [*_published(path), load(path).public]}


def key_id(public: bytes) -> str:
    """16 hex digits that name a public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is that of `message` under `public`. False for anything malformed."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def ssh_line(public: bytes) -> str:
    """A public key as a line of an allowed-signers file: `<key id> ssh-ed25519 AAAA...`."""
    return f"{key_id(public)} {_SSH_KIND.decode()} {base64.b64encode(_SSH_HEAD + public).decode()}"


def from_ssh(kind: str, encoded: str) -> bytes | None:
    """The raw public key of `ssh-ed25519 AAAA...`; None for another kind, or anything not spelled the one right way."""
    try:
        blob = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    head, public = blob[: len(_SSH_HEAD)], blob[len(_SSH_HEAD) :]
    right = kind.encode("utf-8", "replace") == _SSH_KIND and head == _SSH_HEAD and len(public) == PUBLIC_BYTES
    return public if right and base64.b64encode(blob).decode() == encoded else None


def _signer(seed: str) -> Signer:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not _SEED.fullmatch(seed):
        raise CredentialError(f"{FIELD}: not a key of 64 hex digits", hint="put the file away: a new one is made")
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    public = key.public_key().public_bytes_raw()
    return Signer(public=public, key_id=key_id(public), _key=key, _seed=Secret(seed))


def _keep(path: Path, seed: str, *, replace: bool) -> None:
    try:
        files.write(path, seed.encode() + b"\n", replace=replace)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return
    raise CredentialError(f"{FIELD}: the key file cannot be made: {reason}", hint=_hint(path))


def _hint(path: Path) -> str:
    return f"let {path.parent} be written to, or set identity_key to a place that can"


def _publish(path: Path, public: bytes) -> None:
    """Adds a public key to the list, which keeps every line its owner wrote."""
    if public not in _published(path):
        written = _beside(path).read_bytes() if _beside(path).exists() else b""
        gap = b"\n" if written and not written.endswith(b"\n") else b""
        files.write(_beside(path), written + gap + f"{ssh_line(public)}\n".encode())


def _beside(path: Path) -> Path:
    return path.with_suffix(".pub")


def _published(path: Path) -> list[bytes]:
    """The public keys beside `path`, in the order of the file. A line without its first word, as in a `.pub` of ssh, will do."""
    try:
        lines = _beside(path).read_text(encoding="utf-8", errors="replace").splitlines()[:_MOST_KEYS]
    except OSError:
        return []
    found = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        at = words.index(_SSH_KIND.decode()) if _SSH_KIND.decode() in words[:-1] else 0
        public = from_ssh(words[at], words[at + 1]) if len(words) > at + 1 else None
        if public is None:
            hint = "write `NAME ssh-ed25519 AAAA...`, or delete the line"
            raise CredentialError(f"{_beside(path).name}: line {number} is not a public key", hint=hint)
        found.append(public)
    return found
