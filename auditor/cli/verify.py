"""`auditor verify`: who signed a report, when, and that nothing in it was changed since."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor.cli import _sealing, _voice
from auditor.errors import CredentialError, Fault, InputError, UsageError

if TYPE_CHECKING:
    from auditor.envelope import Sealed
    from auditor.signers import Signatory

_SLACK = timedelta(minutes=10)
_HELP = """Check a signed report: who signed it, when, and that nothing in it was changed since.

FILE is the report; its signature lies beside it as FILE.dsse.json. Without --key or --allowed-signers the keys of this
installation count. The exit code is 0 where all fits, 2 where the report or its signature does not, and 3 where it is
signed by nobody who counts.

\b
Examples:
  auditor verify report.html
  auditor verify report.json --allowed-signers team.signers
  auditor verify --show-key >> team.signers
"""


@click.command("verify", help=_HELP)
@click.argument("file", required=False, metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--key", "keys", multiple=True, metavar="KEY", help="A public key that counts, or a file of them. Repeatable."
)
@click.option(
    "--allowed-signers", "lists", multiple=True, type=click.Path(path_type=Path), help="A file as ssh-keygen has it."
)
@click.option("--show-key", is_flag=True, help="Print this installation's public key as a line of such a file.")
@click.option("--rotate-key", is_flag=True, help="Make a new key; what the old one signed still counts.")
@click.option(
    "-c", "--config", "config_path", type=click.Path(path_type=Path), help="Configuration, for the place of the key."
)
@click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(file: Path | None, keys: tuple[str, ...], lists: tuple[Path, ...], form: str, **options: Any) -> int:
    from auditor import signers, signing

    now = datetime.now(UTC)
    if options["show_key"] or options["rotate_key"]:
        if file is not None:
            raise UsageError("a file is not checked together with --show-key or --rotate-key")
        place = _sealing.places(options["config_path"])[0]
        held = signing.rotate(place) if options["rotate_key"] else signing.load(place)
        _voice.result(signing.ssh_line(held.public))
        return 0
    if file is None:
        raise UsageError("which report?", hint="auditor verify FILE")
    trusted = [one for key in keys for one in signers.of_key(key)] + [
        one for path in lists for one in signers.allowed(path)
    ]
    if not (keys or lists):
        trusted = _own(_sealing.places(options["config_path"]))
    sealed, folder, report = _read(file)
    who = _who(sealed, trusted, now)
    _compare(sealed, folder, report)
    _tell(sealed, who, report, form)
    return 0


def _own(places: Sequence[Path]) -> list[Signatory]:
    """The keys of this installation; asking for them makes none."""
    from auditor import signers

    there = [place for place in places if os.path.lexists(place)]
    if not there:
        hint = "say whose signatures count: --key or --allowed-signers"
        raise CredentialError("this installation has no signing key yet", hint=hint)
    return [one for place in there for one in signers.installation(place)]


def _read(file: Path) -> tuple[Sealed, Path, Path]:
    """What the envelope says, the folder its files lie in, and the report: the file that was named, or the first signed."""
    from auditor import envelope

    if file.name.endswith(envelope.SUFFIX):
        sealed = envelope.opened(_content(file), str(file))
        return sealed, file.parent, file.parent / next(iter(sealed.files))
    beside = file.with_name(file.name + envelope.SUFFIX)
    if file.exists() and not beside.exists():
        hint = f"its signature should lie beside it as {beside.name}; `--sign` writes it"
        raise InputError([Fault(file=str(file), line=0, message="is not signed", hint=hint)])
    return envelope.opened(_content(beside if file.exists() else file), str(beside)), file.parent, file


def _content(path: Path) -> bytes:
    """The bytes of an envelope as they are: a reader of text would forgive what a signature must not."""
    from auditor import envelope

    problem = "is no envelope: it is not a file, or too large"
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size <= envelope.LARGEST:
            return path.read_bytes()
    except OSError as error:
        problem = f"cannot be read: {error.strerror or type(error).__name__}"
    raise InputError([Fault(file=str(path), line=0, message=problem)])


def _who(sealed: Sealed, trusted: Sequence[Signatory], now: datetime) -> Signatory:
    """Who signed, of those who count. Raises CredentialError or InputError."""
    from auditor import envelope, signing

    named = [one for one in trusted if signing.key_id(one.public) == sealed.key_id]
    if not named:
        hint = "compare it with what the signer tells you, then name it with --key or --allowed-signers"
        raise CredentialError(f"it is signed with the key {sealed.key_id[:16]}, which does not count here", hint=hint)
    if not envelope.is_genuine(sealed, named[0].public):
        raise InputError([Fault(file="signature", line=0, message="does not fit: what was signed has been changed")])
    if sealed.signed_at > now + _SLACK:
        raise InputError([Fault(file="signature", line=0, message="claims a moment that lies in the future")])
    timely = [one for one in named if one.may_sign(sealed.signed_at)]
    if not timely:
        hint = "its line in the allowed-signers file is valid at another time"
        raise CredentialError("the key did not count when this was signed", hint=hint)
    return timely[0]


def _compare(sealed: Sealed, folder: Path, report: Path) -> None:
    """Holds every file to its hash. Raises InputError with all that differ."""
    names = list(sealed.files)
    paths = [report, *(folder / name for name in names[1:])]
    faults = []
    for name, path in zip(names, paths, strict=True):
        found = _digest(path)
        if found != sealed.files[name]:
            message = "was changed after it was signed" if found else "is signed and cannot be read"
            faults.append(Fault(file=str(path), line=0, message=message))
    if faults:
        raise InputError(faults)


def _digest(path: Path) -> str | None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def _tell(sealed: Sealed, who: Signatory, report: Path, form: str) -> None:
    from auditor.redaction import printable

    when = sealed.signed_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    said = {
        "report": report.name,
        "signed_by": who.who,
        "key_id": sealed.key_id,
        "signed_at": sealed.signed_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "signed_as": next(iter(sealed.files)),
        "run": sealed.run,
        "version": sealed.version,
        "files": len(sealed.files),
    }
    if form == "json":
        _voice.result(
            json.dumps({name: printable(text) if isinstance(text, str) else text for name, text in said.items()})
        )
        return
    shown = {name: printable(str(text)) for name, text in said.items()}
    other = "" if said["signed_as"] == said["report"] else f", as {shown['signed_as']}"
    pages = f", with {len(sealed.files) - 1} pages" if len(sealed.files) > 1 else ""
    _voice.result(
        f"{shown['report']}: unchanged since it was signed{other}{pages}\n"
        f"  by   {shown['signed_by']} (key {shown['key_id']})\n"
        f"  at   {when}\n"
        f"  run  {shown['run']}, auditor {shown['version']}"
    )
