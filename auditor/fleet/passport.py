"""What a process shows before it is given work: that it would come to the same findings, byte for byte.

The same program, the same ccxt, the same shipped rules, and the same identity key, of which only a keyed probe is shown.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from auditor import __version__
from auditor.identity import Identity
from auditor.ruleset import loader
from auditor.values import frozen

EGRESS = "AUDITOR_EGRESS"
"""The variable in which a worker's owner says under which address exchanges see it."""
_SHARED = "one private network"
_PACKAGE = Path(__file__).resolve().parents[1]
_SHOWN = 12


@frozen
class Passport:
    """What decides findings, beside the rules and the moment, which travel. `probe` is None where no key is needed."""

    version: str
    ccxt: str
    rules: str
    code: str
    probe: str | None


@frozen
class Shown:
    """What a worker shows. `instance` is this very process; `egress` names the address under which exchanges see it."""

    passport: Passport
    instance: str
    egress: str


def own(identity: Identity | None, nonce: str) -> Passport:
    """The passport of this process."""
    return Passport(
        version=__version__,
        ccxt=metadata.version("ccxt"),
        rules=loader.digest(loader.load_all([], shipped=True)),
        code=_code(),
        probe=identity.fingerprint("fleet", nonce) if identity else None,
    )


def differences(ours: Passport, theirs: Passport) -> list[str]:
    """Why a process with the passport `theirs` may not work for us, in words; nothing where it may."""
    return list(_differences(ours, theirs))


def _differences(ours: Passport, theirs: Passport) -> Iterator[str]:
    for name, what in (("version", "exchange-auditor"), ("ccxt", "ccxt")):
        mine, other = getattr(ours, name), getattr(theirs, name)
        if mine != other:
            yield f"runs {what} {other}, and this machine {mine}"
    if ours.rules != theirs.rules:
        yield f"has other shipped rules ({theirs.rules[:_SHOWN]}, here {ours.rules[:_SHOWN]})"
    if ours.version == theirs.version and ours.code != theirs.code:
        yield f"runs another build of exchange-auditor {theirs.version} ({theirs.code[:_SHOWN]}, here {ours.code[:_SHOWN]})"
    if ours.probe != theirs.probe:
        yield "holds another identity key, and its fingerprints would match none of ours"


def egress(address: str, environ: Mapping[str, str]) -> str:
    """Under which address exchanges see the worker at a Dask address, as far as anybody can tell from here.

    Private networks leave by a common address as a rule: without its owner's word each of their workers is taken to.
    """
    named = environ.get(EGRESS, "").strip()
    if named:
        return named
    host = address.rpartition("://")[2].rpartition(":")[0].strip("[]")
    try:
        return host if ipaddress.ip_address(host).is_global else _SHARED
    except ValueError:
        return _SHARED


@cache
def _code() -> str:
    """The sha256 of the program's own files, rules apart, which lie elsewhere in a checkout."""
    whole = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        place = path.relative_to(_PACKAGE)
        if path.suffix in {".py", ".yaml"} and place.parts[0] != "_shipped" and path.is_file():
            whole.update(f"{place.as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()
