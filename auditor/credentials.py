"""Credential references: their grammar, and the door through which a value enters the program as a Secret.

Knows where secrets are kept, never what they are for. No value, command or path that might be one reaches a message or
the chain of an exception: errors are raised outside the `except` blocks that would hang the original on them.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.errors import CredentialError
from auditor.redaction import Secret
from auditor.values import frozen

if TYPE_CHECKING:
    import subprocess

    from auditor.vault import Vault

Opened = Callable[[], "Vault"]
"""Gives the open vault; called when the first `vault:` reference is met. Raises CredentialError."""

FIELDS = {
    "apiKey": "API_KEY",
    "secret": "SECRET",
    "password": "PASSPHRASE",
    "uid": "UID",
    "token": "TOKEN",
    "privateKey": "PRIVATE_KEY",
    "walletAddress": "WALLET_ADDRESS",
}
"""Credential field -> how the name of the variable proposed for it ends."""

LARGEST = 64 * 1024
"""Bytes a file or a command may give."""
PATIENCE = 30.0
"""Seconds a command may take."""
SPELLING = "env:NAME, file:PATH, keyring:SERVICE/NAME, vault:NAME/FIELD or cmd:COMMAND"

_TEXT = r"[^\x00-\x20\x7f][^\x00-\x1f\x7f]{0,1023}"
_GRAMMAR = {
    "env": re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}"),
    "file": re.compile(_TEXT),
    "keyring": re.compile(r"[^\x00-\x20\x7f][^\x00-\x1f\x7f]{0,511}/[^\x00-\x1f\x7f/]{1,511}"),
    "cmd": re.compile(_TEXT),
    "vault": re.compile(r"[a-z0-9-]{1,64}/[A-Za-z]{1,32}"),
}
_MEANT = "does the reference name what you meant?"
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]{0,15}(_[A-Z0-9]{1,15}){1,4}")  # looks like a name and not like a key
_PEM = re.compile(r"-----BEGIN [^\n]*-----\n.*\n-----END [^\n]*-----\n?", re.DOTALL)


def is_reference(text: object) -> bool:
    """Whether `text` names a place where a secret is kept. Anything else may be the secret itself."""
    if not isinstance(text, str) or not text.isprintable():
        return False
    kind, _, rest = text.partition(":")
    return kind in _GRAMMAR and bool(_GRAMMAR[kind].fullmatch(rest)) and (kind != "cmd" or _words(rest) is not None)


def proposed_variable(exchange: str, field: str) -> str:
    """The environment variable proposed for a field: `OKX_API_KEY`."""
    return f"{re.sub('[^A-Z0-9]', '_', exchange.upper())}_{FIELDS[field]}"


def expand(text: str, environ: Mapping[str, str]) -> Path:
    """A path with a leading `~` replaced by HOME."""
    if text == "~" or text.startswith("~/"):
        return Path(environ.get("HOME") or Path.home(), text[2:])
    return Path(text)


def resolve(reference: str, *, environ: Mapping[str, str], field: str, vault: Opened | None = None) -> Secret:
    """The secret a reference points to. `field` says whose it is (`main-okx: apiKey`). Raises CredentialError.

    Without `vault` a `vault:` reference is refused: what opens the vault cannot be kept in it.
    """
    if not is_reference(reference):
        raise CredentialError(f"{field}: not a reference (what stands there is not shown)", hint=f"write {SPELLING}")
    kind, _, rest = reference.partition(":")
    if kind == "vault":
        return _from_vault(rest, vault, field)
    return Secret(_checked(_READERS[kind](rest, environ, field), f"{field}: what {kind}: gave"))


@frozen
class Sources:
    """Where the references of a run lead: the environment, and the vault where there is one."""

    environ: Mapping[str, str] = field(repr=False)
    vault: Opened | None = None

    def resolve(self, block: Mapping[str, str], *, account: str) -> dict[str, Secret]:
        """Every credential field of one key. Raises CredentialError at the first that cannot be had."""
        return {
            name: resolve(text, environ=self.environ, field=f"{account}: {name}", vault=self.vault)
            for name, text in block.items()
        }


def _checked(value: str, what: str) -> str:
    unix = value.replace("\r\n", "\n")
    pem = bool(_PEM.fullmatch(unix))
    value = unix if pem else value
    if not value.strip():
        raise CredentialError(f"{what} is empty", hint=_MEANT)
    if value.isascii() and value.isprintable():
        return value
    kinds = {unicodedata.category(char) for char in value if not (pem and char == "\n")}
    if "Cs" in kinds:
        raise CredentialError(f"{what} is not UTF-8 text", hint=_MEANT)
    if kinds & {"Cc", "Zl", "Zp"}:
        hint = "a key is one line; often it is a line break at the end that was stored with it"
        raise CredentialError(f"{what} holds a line break or another control character", hint=hint)
    return value


def _from_variable(name: str, environ: Mapping[str, str], field: str) -> str:
    value = environ.get(name, "")
    if not value:
        shown = f"${name}" if _VARIABLE.fullmatch(name) else "the environment variable that env: names"
        state = "is empty" if name in environ else "is not set"
        raise CredentialError(f"{field}: {shown} {state}", hint="export it in the shell or unit that starts auditor")
    return value


def _from_file(text: str, environ: Mapping[str, str], field: str) -> str:
    return read_private(expand(text, environ), field=field)


def read_private(path: Path, *, field: str) -> str:
    """The text of a small file that only its owner can read, without trailing line breaks. Raises CredentialError.

    What is checked is the opened file itself, so that nothing can be swapped between the check and the reading.
    """
    raw, problem, hint = b"", None, None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {getattr(error, 'strerror', None) or 'not a path'}"
        hint = "a path without / at its beginning is taken from the folder of the configuration"
    else:
        try:
            problem, hint = _not_private(os.fstat(descriptor))
            if problem is None:
                raw, problem = _all_of(descriptor)
        finally:
            os.close(descriptor)
    if problem is not None:
        raise CredentialError(f"{field}: the file that file: names {problem}", hint=hint)
    return _text(raw)


def _not_private(status: os.stat_result) -> tuple[str | None, str | None]:
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file", _MEANT
    if status.st_uid != os.geteuid():
        return "belongs to another user", "the user who runs auditor must own it"
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return (
            "can be reached by other users of this machine",
            "chmod 600 it; if others may have read it, replace the key",
        )
    if status.st_size > LARGEST:
        return "is larger than 64 KiB", _MEANT
    return None, None


def _all_of(descriptor: int) -> tuple[bytes, str | None]:
    raw = b""
    try:
        while len(raw) <= LARGEST and (chunk := os.read(descriptor, LARGEST + 1)):
            raw += chunk
    except OSError as error:
        return b"", f"cannot be read: {error.strerror}"
    return (b"", "is larger than 64 KiB") if len(raw) > LARGEST else (raw, None)


def _text(raw: bytes) -> str:
    """Bytes that are not UTF-8 become surrogates, which are refused later: a UnicodeDecodeError would carry the bytes."""
    return raw.decode("utf-8", "surrogateescape").removeprefix("\ufeff").rstrip("\r\n")


def make_in_keyring(reference: str, *, field: str) -> Secret:
    """The key behind a `keyring:` reference, made where there is none yet. Raises CredentialError."""
    import secrets

    import keyring
    import keyring.errors

    service, _, name = reference.partition(":")[2].rpartition("/")
    problem = None
    try:
        if keyring.get_password(service, name) is None:
            keyring.set_password(service, name, secrets.token_hex(32))
    except (keyring.errors.KeyringError, RuntimeError, OSError) as error:
        problem = type(error).__name__
    if problem is not None:
        hint = "unlock it, or take a passphrase"
        raise CredentialError(f"{field}: the keyring cannot keep it ({problem})", hint=hint)
    return resolve(reference, environ={}, field=field)


def _from_keyring(rest: str, _environ: Mapping[str, str], field: str) -> str:
    import keyring
    import keyring.errors

    service, _, name = rest.rpartition("/")
    value, hint = None, "store it with `keyring set SERVICE NAME`"
    try:
        value = keyring.get_password(service, name)
        problem = "holds nothing under the name that keyring: gives"
    except keyring.errors.NoKeyringError:
        problem, hint = "is not there: no backend for this machine", "use env:, file: or cmd: instead"
    except keyring.errors.KeyringLocked:
        problem, hint = "is locked", "unlock it and try again"
    except (keyring.errors.KeyringError, RuntimeError, OSError) as error:
        problem, hint = f"did not answer ({type(error).__name__})", "try `keyring get SERVICE NAME`"
    if not value:
        raise CredentialError(f"{field}: the keyring {problem}", hint=hint)
    return value


def _words(command: str) -> list[str] | None:
    import shlex

    try:
        return shlex.split(command) or None
    except ValueError:
        return None


def _from_command(command: str, environ: Mapping[str, str], field: str) -> str:
    import subprocess

    words = _words(command)
    assert words is not None
    problem, hint = None, None
    try:
        process = subprocess.Popen(  # noqa: S603  (the owner's own words, without a shell)
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        problem = f"cannot be started: {getattr(error, 'strerror', None) or 'not a command'}"
        hint = "cmd: is not read by a shell: no pipes, no variables, no ~"
    else:
        with process:
            raw, problem = _output(process)
        if problem is None and process.returncode:
            problem, hint = f"ended with exit code {process.returncode}", "run it by hand to see why"
    if problem is not None:
        raise CredentialError(f"{field}: the command that cmd: names {problem}", hint=hint)
    return _text(raw)


def _output(process: subprocess.Popen[bytes]) -> tuple[bytes, str | None]:
    """All a command says within PATIENCE and LARGEST. What does not end by itself is ended, with all it started."""
    problem: str | None = "was interrupted"
    deadline = time.monotonic() + PATIENCE
    try:
        raw, problem = _said(process, deadline)
        if problem is None and not _ended(process, deadline):
            problem = f"did not end in {PATIENCE:.0f} s"
    finally:
        if problem is not None:
            _kill(process)
    return raw, problem


def _said(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, str | None]:
    import select

    assert process.stdout is not None
    descriptor, raw = process.stdout.fileno(), b""
    while len(raw) <= LARGEST:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return b"", f"gave no complete answer in {PATIENCE:.0f} s"
        chunk = os.read(descriptor, LARGEST + 1)
        if not chunk:
            return raw, None
        raw += chunk
    return b"", "said more than 64 KiB"


def _ended(process: subprocess.Popen[bytes], deadline: float) -> bool:
    import subprocess

    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # it has ended; macOS says so with the second


def _from_vault(rest: str, vault: Opened | None, field: str) -> Secret:
    name, _, wanted = rest.partition("/")
    if vault is None:
        raise CredentialError(f"{field}: cannot be kept in the vault", hint="use env:, file:, keyring: or cmd: instead")
    problem: CredentialError | None = None
    entry: Mapping[str, Secret] | None = None
    try:
        entry = vault().entry(name)
    except CredentialError as error:
        problem = error
    if problem is not None:
        raise CredentialError(f"{field}: {problem.message}", hint=problem.hint)
    if entry is None or wanted not in entry:
        missing = f"no entry {name}" if entry is None else f"no {wanted} in its entry {name}"
        raise CredentialError(f"{field}: the vault holds {missing}", hint="`auditor vault list` names what it holds")
    return entry[wanted]


_READERS: dict[str, Callable[[str, Mapping[str, str], str], str]] = {
    "env": _from_variable,
    "file": _from_file,
    "keyring": _from_keyring,
    "cmd": _from_command,
}
