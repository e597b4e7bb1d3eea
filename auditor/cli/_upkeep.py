"""Keeping a history: `auditor history verify`, `prune` and `signers`."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from auditor.cli import _options, _stored, _voice
from auditor.errors import UsageError

TAMPERED = 2
_AGE = re.compile(r"([1-9][0-9]{0,4})([dwy])")
_DAYS = {"d": 1, "w": 7, "y": 365}


@click.command("verify", epilog="\b\nExample:\n  auditor history verify")
@_stored.CONFIG
@_stored.FORM
@click.option("--accept", is_flag=True, help="Take what is there now for right from here on, after asking.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
def verify(config_path: Path | None, form: str, accept: bool, yes: bool) -> int:  # noqa: FBT001
    """Prove that no record was edited, removed, reordered or cut off, or say which. Exit code 2 if one was.

    It cannot see what somebody did who holds the signing key, nor a cut back to a head that this installation never saw
    the successor of: keep the line it prints elsewhere to compare with.
    """
    from auditor.history import check

    store, _ = _stored.opened(config_path)
    faults, head = check.verify(store)
    if form == "json":
        rows = [{"record": fault.seq, "what": fault.what, "detail": fault.detail} for fault in faults]
        end = {"history": head.history, "record": head.seq, "hash": head.hash} if head else None
        _voice.result(json.dumps({"intact": not faults, "head": end, "faults": rows}, indent=1))
    else:
        for fault in faults:
            _voice.result("\n".join(_stored.wrapped(f"{fault.what}: {fault}")))
        if not faults:
            told = f"intact: {head.seq} records, head {head.hash}" if head else "intact: nothing is stored yet"
            _voice.result("\n".join(_stored.wrapped(told)))
    if accept and faults and head is not None:
        if not yes and not (_stored.on_a_terminal() and click.confirm("Take this for right from now on?", err=True)):
            raise UsageError("nothing was accepted", hint="--accept asks on a terminal, or takes --yes")
        store.witness.accept(head)
        _voice.say(f"from here on record {head.seq} is what this installation remembers; edited records stay edited")
    return TAMPERED if faults else 0


@click.command("prune", epilog="\b\nExample:\n  auditor history prune --older-than 2y")
@_stored.CONFIG
@click.option("--older-than", "age", required=True, metavar="AGE", help="Such as 90d, 26w or 2y.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
def prune(config_path: Path | None, age: str, yes: bool) -> None:  # noqa: FBT001
    """Forget what old runs found. The newest run of each account and everything you approved stay.

    A signed tombstone takes their place, so that `verify` still holds.
    """
    found = _AGE.fullmatch(age)
    if found is None:
        raise UsageError("--older-than needs a number of days, weeks or years", hint="for example 90d, 26w or 2y")
    now = datetime.now(UTC)
    before = now - timedelta(days=int(found[1]) * _DAYS[found[2]])
    store, _ = _stored.opened(config_path)
    if not yes and not (_stored.on_a_terminal() and click.confirm(f"Forget runs before {before:%Y-%m-%d}?", err=True)):
        raise UsageError("nothing was pruned", hint="it asks on a terminal, or takes --yes")
    with store.reading():
        pass  # a history that is not there is not begun by pruning it
    done = store.prune(before, now)
    _voice.say(f"{len(done[1])} runs pruned, tombstone in record {done[0].seq}" if done else "nothing is that old")


@click.command("signers", epilog="\b\nExample:\n  auditor history signers")
@_stored.CONFIG
@_stored.FORM
@click.option("--rotate", is_flag=True, help="Make a new key; the old one's signatures stay good.")
def signers(config_path: Path | None, form: str, rotate: bool) -> None:  # noqa: FBT001
    """The public keys whose records count here, this installation's last. On another machine that shares the history, add
    the last line to the file that is named.
    """
    from auditor import signing

    settings = _options.settings(config_path, ())
    place = signing.place(settings.identity_key, os.environ)
    own = signing.rotate(place) if rotate else signing.load(place)
    known = [public for public in signing.known(place).values() if public != own.public]
    lines = [signing.ssh_line(public) for public in (*known, own.public)]
    if form == "json":
        _voice.result(json.dumps({"file": str(place.with_suffix(".pub")), "own": own.key_id, "known": lines}, indent=1))
        return
    _voice.result("\n".join(lines))
    _voice.say(f"kept in {place.with_suffix('.pub')}")
