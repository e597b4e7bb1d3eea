"""What lies open on this machine, as facts of the accounts it concerns: `api_key.storage` and `account.malicious_package_found`.

Only ever says yes: a secret that was not found may lie where nobody looked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from auditor import credentials, exposure
from auditor.errors import CredentialError
from auditor.exposure import Exposure
from auditor.identity import Identity
from auditor.model.evidence import Snapshot, Source
from auditor.model.report import RunProblem
from auditor.model.settings import AccountConfig
from auditor.redaction import Secret
from auditor.values import frozen

_PUBLIC = {"apiKey", "uid", "walletAddress"}
"""Fields that are no secret: they stand in logs and addresses."""
_WHERE = "this machine"
_MOST_PLACES = 10
"""Named of one secret, and of what was not looked into; the rest is counted. A secret in a file that was committed often has thousands."""


@frozen
class Places:
    """Where to look, and what is known of it: the shell's `home`, and the program's own files that nobody else may read."""

    folders: tuple[Path, ...]
    home: Path | None
    private: tuple[Path, ...]


def look(
    accounts: Sequence[AccountConfig],
    collected: Sequence[Snapshot],
    places: Places,
    *,
    sources: credentials.Sources,
    identity: Identity,
) -> tuple[list[Snapshot], tuple[RunProblem, ...]]:
    """The snapshots with what was found, and what there is to say about it."""
    held: dict[str, Secret] = {}
    whose: dict[str, tuple[str, str]] = {}  # what a secret is called -> account, fingerprint of its key
    unread: list[RunProblem] = []
    for account in accounts:
        for number, block in enumerate(account.credentials, 1):
            try:
                secrets = sources.resolve(block, account=account.name)
            except CredentialError as error:  # it could be read for the audit a moment ago, which must not be lost
                unread.append(RunProblem(where=_WHERE, message=f"not looked for: {error.message}", hint=error.hint))
                continue
            public = secrets.get("apiKey") or secrets.get("walletAddress")
            mark = identity.fingerprint("api_key", account.exchange, account.name, public.reveal()) if public else ""
            for field, secret in secrets.items():
                if field not in _PUBLIC:
                    name = f"{account.name}: {field} of key {number}"
                    held[name], whose[name] = secret, (account.name, mark)
    found = exposure.look(places.folders, held, home=places.home, own=_kept(accounts), private=places.private)
    exposed = {whose[one.whose]: one.place for one in reversed(found.secrets)}
    return [_told(snapshot, exposed, found) for snapshot in collected], (*unread, *_problems(found))


def _kept(accounts: Iterable[AccountConfig]) -> list[Path]:
    """The files in which secrets are kept on purpose."""
    references = [text for account in accounts for block in account.credentials for text in block.values()]
    return [Path(text.removeprefix("file:")) for text in references if text.startswith("file:")]


def _told(snapshot: Snapshot, exposed: Mapping[tuple[str, str], str], found: Exposure) -> Snapshot:
    sources = dict(snapshot.sources)
    rows = snapshot.api_keys
    if rows is not None:
        mine = {mark: place for (name, mark), place in exposed.items() if name == snapshot.name}
        rows = [{**row, "storage": "plaintext"} if row.get("fingerprint") in mine else row for row in rows]
        if any(row.get("fingerprint") in mine for row in rows):
            sources["api_key.storage"] = Source(by="local", ref="found in plain text on this machine")
    account = dict(snapshot.account)
    if found.packages:
        account["malicious_package_found"] = True
        sources["account.malicious_package_found"] = Source(by="local", ref=found.packages[0][0].name)
    return replace(snapshot, account=account, api_keys=rows, sources=sources)


def _problems(found: Exposure) -> Iterable[RunProblem]:
    hint = "delete it there, and replace the key: what lay open may have been read"
    for whose, ones in groupby(found.secrets, key=attrgetter("whose")):
        for place in _named([one.place for one in ones]):
            yield RunProblem(where=_WHERE, message=f"{whose} lies in plain text in {place}", hint=hint)
    for package, place in found.packages:
        message = f"{package.ecosystem} package {package.name} in {place}: {package.what} (known since {package.seen})"
        yield RunProblem(where=_WHERE, message=message, hint=f"take every key away from that machine; {package.source}")
    for path in found.readable:
        yield RunProblem(where=_WHERE, message=f"{path} can be read by other users", hint="chmod 600 it")
    for path in _named(found.unread):
        yield RunProblem(where=_WHERE, message=f"{path} was not looked into: it proves nothing")


def _named(places: Sequence[str]) -> list[str]:
    """The first places, and how many more there are."""
    more = len(places) - _MOST_PLACES
    return [*places[:_MOST_PLACES], *([f"{more} more places"] if more > 0 else [])]
