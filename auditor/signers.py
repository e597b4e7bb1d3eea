"""Whose signatures count: public keys with the names they go by, given singly or as an allowed-signers file of ssh-keygen.

Reads what `man ssh-keygen` describes under ALLOWED SIGNERS. A line that this program cannot honour whole is an error:
half of a restriction is none. Knows nothing of what is signed.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from auditor import signing, yamlio
from auditor.errors import Fault, InputError
from auditor.redaction import printable
from auditor.values import frozen

NAMESPACE = "auditor-report"
"""What `namespaces=` of an allowed-signers line must let through, where it is there."""
KIND = "ssh-ed25519"
_WORD = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+')
_OPTION = re.compile(r'([A-Za-z-]+)(?:="((?:[^"\\]|\\.)*)")?(?:,|\Z)')
_MOMENT = re.compile(r"(\d{8})(\d{4}(?:\d\d)?)?(Z?)")
_LARGEST = 2**20


@frozen
class Signatory:
    """A key and who holds it. `since` and `until` bound the moments whose signatures count, both of them included."""

    who: str
    public: bytes
    since: datetime | None = None
    until: datetime | None = None

    def may_sign(self, at: datetime) -> bool:
        """Whether a signature of that moment counts."""
        return (self.since is None or self.since <= at) and (self.until is None or at <= self.until)


def of_key(text: str) -> tuple[Signatory, ...]:
    """The key in `ssh-ed25519 AAAA... [NAME]`, or every key of a file of such lines. Raises InputError."""
    if text.startswith(f"{KIND} "):
        return (_one(text, "--key", 0),)
    lines = yamlio.read_text(Path(text), max_bytes=_LARGEST).splitlines()
    found = tuple(_one(line, text, number) for number, line in enumerate(lines, 1) if _is_said(line))
    if not found:
        _refuse(text, 0, "holds no key")
    return found


def allowed(path: Path) -> tuple[Signatory, ...]:
    """Everybody whom an allowed-signers file lets sign reports. Raises InputError with every line that is wrong."""
    faults: list[Fault] = []
    found: list[Signatory] = []
    for number, line in enumerate(yamlio.read_text(path, max_bytes=_LARGEST).splitlines(), 1):
        try:
            found += _allowed(line, str(path), number) if _is_said(line) else []
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    return tuple(found)


def installation(path: Path) -> tuple[Signatory, ...]:
    """The keys of this installation, then and now, and those its owner added. Raises CredentialError."""
    return tuple(Signatory(who="a key of this installation", public=public) for public in signing.known(path).values())


def _is_said(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _refuse(file: str, line: int, message: str) -> NoReturn:
    hint = f"a line is: NAME [options] {KIND} AAAA..."
    raise InputError([Fault(file=printable(file, limit=200), line=line, message=message, hint=hint)])


def _one(line: str, file: str, number: int) -> Signatory:
    """A line of a `.pub` file: a name may stand before the key, or after it."""
    words = line.split()
    at = words.index(KIND) if KIND in words[:-1] else None
    public = None if at is None else signing.from_ssh(KIND, words[at + 1])
    if at is None or public is None:
        _refuse(file, number, f"is not a public key of the kind {KIND}")
    return Signatory(who=" ".join(words[:at] or words[at + 2 :]) or signing.key_id(public), public=public)


def _allowed(line: str, file: str, number: int) -> list[Signatory]:
    words = _WORD.findall(line)
    kinds = [at for at, word in enumerate(words[1:3], 1) if re.fullmatch(r"(sk-)?(ssh|ecdsa)-[a-z0-9@.-]+", word)]
    if not kinds or len(words) < kinds[0] + 2:
        _refuse(file, number, "is not a line of an allowed-signers file")
    at = kinds[0]
    options = _options(words[1], file, number) if at == 2 else {}  # noqa: PLR2004  (the third word)
    if "cert-authority" in options:
        _refuse(file, number, "names an authority; certificates are not read, name the keys themselves")
    if words[at] != KIND or not _lets(options.get("namespaces")):
        return []
    public = signing.from_ssh(words[at], words[at + 1])
    if public is None:
        _refuse(file, number, "its key is damaged")
    bounds = (_moment(options.get(name), file, number) for name in ("valid-after", "valid-before"))
    since, until = bounds
    if since and until and until <= since:
        _refuse(file, number, "ends before it begins")
    return [Signatory(who=words[0].replace('"', ""), public=public, since=since, until=until)]


def _options(text: str, file: str, number: int) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    place = 0
    while place < len(text):
        option = _OPTION.match(text, place)
        name = option[1].lower() if option else ""
        valued = option is not None and (option[2] is not None) == (name != "cert-authority")
        if option is None or not valued or name in found or name not in _OPTIONS:
            _refuse(file, number, f"has an option that is not known: {printable(text[place:], limit=60)}")
        found[name] = option[2]
        place = option.end()
    return found


_OPTIONS = frozenset({"cert-authority", "namespaces", "valid-after", "valid-before"})


def _lets(namespaces: str | None) -> bool:
    """Whether a list of patterns lets our namespace through; one with `!` before it shuts it out, whatever else is said."""
    if namespaces is None:
        return True
    matched = False
    for pattern in namespaces.split(","):
        text = re.escape(pattern.removeprefix("!")).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(text, NAMESPACE):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched


def _moment(text: str | None, file: str, number: int) -> datetime | None:
    """`YYYYMMDD[HHMM[SS]][Z]`, in the time of this machine where there is no Z, as ssh-keygen has it."""
    if text is None:
        return None
    if parts := _MOMENT.fullmatch(text):
        with suppress(ValueError, OverflowError, OSError):
            moment = datetime.strptime(f"{parts[1]}{(parts[2] or '').ljust(6, '0')}", "%Y%m%d%H%M%S")  # noqa: DTZ007
            return moment.replace(tzinfo=UTC) if parts[3] else moment.astimezone(UTC)
    _refuse(file, number, f"{printable(text, limit=40)} is not a date such as 20261120Z")
