"""The owner's word about the inventory and the log: `auditor keys approve` and `auditor keys remember`.

What is said is about the last stored run, as it was shown; it is stored as a signed record of the history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor.cli import _stored, _voice
from auditor.errors import UsageError
from auditor.redaction import printable

if TYPE_CHECKING:
    from auditor.cli._stored import Account
    from auditor.history.ledger import Held, Place
    from auditor.history.store import Parts, View
    from auditor.identity import Identity


@click.command("approve", epilog="\b\nExamples:\n  auditor keys approve 4f2a9c\n  auditor keys approve --all --yes")
@click.argument("wanted", nargs=-1, metavar="[KEY...]")
@_stored.CONFIG
@_stored.ACCOUNTS
@click.option("--all", "whole", is_flag=True, help="Look through everything that is there, and the log.")
@click.option("--not-mine", is_flag=True, help="Say of the named ones that they are not yours.")
@click.option("--by", metavar="NAME", help="Who says so (default: the name of the user).")
@click.option("--yes", is_flag=True, help="Ask nothing: all of it is yours.")
def approve(config_path: Path | None, wanted: tuple[str, ...], names: tuple[str, ...], **options: Any) -> int:
    """Say that keys, addresses and sub-accounts are yours as they are: what differs later is reported.

    KEY is the beginning of a fingerprint or a label, as `keys list` shows them.
    """
    from auditor.history import word

    whole = options["whole"]
    if bool(wanted) == whole:
        raise UsageError("name what you approve, or say --all", hint="`auditor keys list` shows what is there")
    if whole and (options["not_mine"] or not (options["yes"] or _stored.on_a_terminal())):
        hint = "on a terminal each one is shown; `keys approve --all --yes` approves everything unseen"
        raise UsageError("--all asks about each one, and nobody is there to answer", hint=hint)
    store, settings = _stored.opened(config_path)
    if whole and options["yes"]:
        return _approve_unseen(store, names, by=_stored.who(options["by"]))
    with store.reading() as view:
        if wanted:
            held = word.holders(view, wanted)
            names = tuple(one for one in _stored.named(view, names) if one in held) or names
        found, code = _stored.accounts(view, names)
        lines = {one.ledger.account: _open_lines(view, one, _identity(settings)) for one in found} if whole else {}
    rows = [
        (one, held) for one in found for held in one.ledger.held if held.present and not _stored.unlisted(one, held)
    ]
    if whole:
        said = _reviewed(rows, lines, ask=not options["yes"])
    else:
        chosen = _stored.pick(wanted, [(held.mark, held.label) for _, held in rows])
        said = {(rows[at][0].ledger.account, rows[at][1].place): not options["not_mine"] for at in chosen}
    by = _stored.who(options["by"])
    for one in found:
        mine = {place: answer for (account, place), answer in said.items() if account == one.ledger.account}
        if mine or whole:
            _approve(store, one, mine, by=by, whole=whole)
    count = sum(said.values())
    told = [f"{count} approved"] + ([f"{len(said) - count} said not to be yours"] if count < len(said) else [])
    _voice.say(", ".join(told))
    return code


def _approve_unseen(store: Any, names: Sequence[str], *, by: str) -> int:
    """Approves everything that the last runs saw, in one record. Accounts of which there are no rows are read one by one."""
    from auditor.history import word

    with store.reading() as view:
        _stored.named(view, names)
    said = word.All(by=by, names=names)
    with suppress(word.NothingToSayError):
        store.append("approval", datetime.now(UTC), said.parts)
    for error in said.wrong:
        _voice.complain(error)
    code, count = max((error.exit_code for error in said.wrong), default=0), said.count
    with store.reading() as view:
        read = [_stored.account(view, name) for name in said.rest]
    for one, bad in read:
        code = max(code, bad)
        if one is not None:
            mine = {held.place: True for held in one.ledger.held if held.present and not _stored.unlisted(one, held)}
            _approve(store, one, mine, by=by, whole=True)
            count += len(mine)
    _voice.say(f"{count} approved")
    return code


def _approve(store: Any, one: Account, mine: Mapping[Place, bool], *, by: str, whole: bool) -> None:
    """Stores the word, if the account is still as it was shown."""
    from auditor.history import word

    account, at = one.ledger.account, datetime.now(UTC)

    def part(view: View) -> Parts:
        if view.newest("inventory").get(account) != one.past.record.seq:
            raise UsageError(f"a run of {account} was stored meanwhile", hint="look at it, and approve again")
        return word.some(view, one.ledger, mine, at, by=by, whole=whole)

    store.append("approval", at, part)


def _reviewed(
    rows: Sequence[tuple[Account, Held]], lines: Mapping[str, list[str]], *, ask: bool
) -> dict[tuple[str, Place], bool]:
    """The owner's word about each: everything is theirs, or what they say one by one. Nothing is kept if they stop."""
    if ask:
        for account, told in lines.items():
            if told:
                _voice.say(f"{account}: approving also confirms what the log shows until then:")
                for line in told:
                    _voice.say(f"  {line}")
    return {(one.ledger.account, held.place): not ask or _asked(one, held) for one, held in rows}


def _asked(one: Account, held: Held) -> bool:
    for line in _stored.card(held, one):
        _voice.say(line)
    return click.confirm(f"  {one.ledger.account}: is it yours, as it is?", err=True)


def _identity(settings: Any) -> Identity:
    import os

    from auditor import identity

    return identity.load(settings.identity_key, environ=os.environ)


def _lines(view: View, one: Account, whose: Identity) -> list[tuple[dict[str, Any], str, str]]:
    """The lines of the log that the last run could not call confirmed: facts, fingerprint, and that of the address."""
    from auditor import memory
    from auditor.history import baseline, runs

    snapshot = runs.snapshot_of(view, one.past.record, one.ledger.account)
    if snapshot is None or snapshot.events is None:
        return []
    told = zip(snapshot.events, memory.prints(snapshot, whose)["event"], strict=True)
    return [
        (row, *marks) for row, marks in told if baseline.confirmed(row, *marks, one.baseline, one.ledger) is not True
    ]


def _line(row: Mapping[str, Any], mark: str) -> str:
    words = [str(row[name]) for name in ("at", "kind", "ip", "country", "text") if row.get(name)]
    return f"{mark[:12]}  {printable(' '.join(words), limit=160)}"


def _open_lines(view: View, one: Account, whose: Identity) -> list[str]:
    return [_line(row, mark) for row, mark, _ in _lines(view, one, whose)]


@click.command("remember", epilog="\b\nExamples:\n  auditor keys remember\n  auditor keys remember 4f2a9c")
@click.argument("wanted", nargs=-1, metavar="[EVENT...]")
@_stored.CONFIG
@_stored.ACCOUNTS
@click.option("--all", "whole", is_flag=True, help="All lines that nobody has confirmed.")
@click.option("--not-me", is_flag=True, help="Say of the named ones that it was not you.")
@click.option("--by", metavar="NAME", help="Who says so (default: the name of the user).")
@click.option("--yes", is_flag=True, help="Ask nothing: all of it was you.")
def remember(config_path: Path | None, wanted: tuple[str, ...], names: tuple[str, ...], **options: Any) -> int:
    """Confirm what the exchange's log shows: logins, new keys, changed settings. Without EVENT it lists what is open.

    EVENT is the beginning of the fingerprint that the list shows. A confirmed login makes its address known.
    """
    whole = options["whole"]
    if whole and (wanted or options["not_me"] or not (options["yes"] or _stored.on_a_terminal())):
        raise UsageError(
            "--all asks about each one, and nobody is there to answer", hint="add --yes if all of it was you"
        )
    store, settings = _stored.opened(config_path)
    whose = _identity(settings)
    with store.reading() as view:
        found, code = _stored.accounts(view, names)
        rows = [(one, *line) for one in found for line in _lines(view, one, whose)]
    if not (wanted or whole):
        for one, row, mark, _ in rows:
            _voice.result(f"{one.ledger.account}  {_line(row, mark)}")
        _voice.say(f"{len(rows)} not confirmed")
        return code
    chosen = _stored.pick(wanted, [(mark, "") for _, _, mark, _ in rows]) if wanted else list(range(len(rows)))
    said = [(rows[at], _was_me(rows[at], options, ask=whole and not options["yes"])) for at in chosen]
    by = _stored.who(options["by"])
    for name in sorted({one.ledger.account for (one, *_), _ in said}):
        _confirm(store, name, [(line, me) for line, me in said if line[0].ledger.account == name], by)
    _voice.say(f"{len(said)} remembered")
    return code


def _was_me(line: tuple[Account, dict[str, Any], str, str], options: Mapping[str, Any], *, ask: bool) -> bool:
    one, row, mark, _ = line
    if ask:
        _voice.say(f"{one.ledger.account}  {_line(row, mark)}")
        return click.confirm("  Was this you?", err=True)
    return not options["not_me"]


def _confirm(
    store: Any, account: str, said: Sequence[tuple[tuple[Account, dict[str, Any], str, str], bool]], by: str
) -> None:
    events = {mark: me for (_, _, mark, _), me in said}
    logins = {address: True for (_, row, _, address), me in said if me and address and row.get("kind") == "login"}
    part = {"by": by, "events": events, "logins": logins}
    store.append("confirmation", datetime.now(UTC), lambda _view: {(account, "confirmation"): part})
