"""What the commands about stored runs share: opening the history, naming what is in it, and text that fits a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditor.cli import _options, _voice
from auditor.errors import UsageError
from auditor.redaction import printable
from auditor.values import frozen

if TYPE_CHECKING:
    from auditor.config import Config
    from auditor.history.baseline import Baseline
    from auditor.history.ledger import Held, Ledger
    from auditor.history.runs import Past
    from auditor.history.store import Store, View

_SHORT = 12

CONFIG = click.option(
    "-c", "--config", "config_path", type=click.Path(path_type=Path), help="Configuration file: it names the history."
)
FORM = click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
ACCOUNTS = click.option(
    "-a", "--account", "names", multiple=True, metavar="NAME", help="Only this account. Repeatable."
)


@frozen
class Account:
    """One account as its last stored run left it."""

    past: Past
    baseline: Baseline

    @property
    def ledger(self) -> Ledger:
        return self.past.ledger


def opened(config_path: Path | None) -> tuple[Store, Config]:
    """The history of the configuration. Nothing is read yet."""
    from auditor import memory

    settings = _options.settings(config_path, ())
    return memory.open_store(settings, _options.sources(settings)), settings


def named(view: View, names: Sequence[str]) -> list[str]:
    """The names of the accounts that a run was stored of, or these, if one was stored of each of them."""
    known = sorted(view.newest("inventory"))
    missing = sorted(set(names) - set(known))
    if missing or not known:
        hint = f"stored: {', '.join(known[:20])}" if known else "`auditor audit` stores the first one"
        what = f" of {printable(missing[0], limit=64)}" if missing else ""
        raise UsageError(f"no run{what} is stored yet", hint=hint)
    return [one for one in known if not names or one in names]


def accounts(view: View, names: Sequence[str]) -> tuple[list[Account], int]:
    """The accounts that a run was stored of, or those of these names, and the exit code of what shows them.

    What was tampered with is said, left out, and no success.
    """
    read = [account(view, name) for name in named(view, names)]
    return [one for one, _ in read if one is not None], max((code for _, code in read), default=0)


def account(view: View, name: str) -> tuple[Account | None, int]:
    """One account, if anything that was stored of it is as it was written, and the exit code."""
    from auditor.history import runs

    past, wrong = runs.past(view, name)
    said, more = runs.approvals(view, name)
    for error in (*wrong, *more):
        _voice.complain(error)
    code = max((error.exit_code for error in (*wrong, *more)), default=0)
    return (Account(past=past, baseline=said) if past else None), code


def pick(wanted: Sequence[str], rows: Sequence[tuple[str, str]]) -> list[int]:
    """The rows meant: (fingerprint, label), each by the beginning of the one or by the other, if it means a single row."""
    chosen = []
    for name in wanted:
        found = [number for number, (mark, label) in enumerate(rows) if name in {mark, short(mark), label}] or [
            number
            for number, (mark, _) in enumerate(rows)
            if len(name) >= 4 and mark.startswith(name)  # noqa: PLR2004
        ]
        if len(found) != 1:
            how = "nothing here" if not found else f"{len(found)} of them"
            hint = "name it by its fingerprint, as the list shows it; -a NAME for one account"
            raise UsageError(f"{printable(name, limit=60)} names {how}", hint=hint)
        chosen += found
    return list(dict.fromkeys(chosen))


def called(held: Held) -> str:
    """A subject in a word or two: what kind, its label, its fingerprint in short."""
    return titled(held.scope, held.label, held.mark)


def titled(scope: str, label: str, mark: str) -> str:
    """The same of one that is known by its type, label and fingerprint."""
    kind = {"api_key": "key", "sub_account": "sub-account"}.get(scope, scope)
    return f"{kind} {printable(label, limit=60) or '(no label)'} [{short(mark)}]"


def card(held: Held, one: Account) -> list[str]:
    """A subject in full: who it is, since when, whose word stands for it, and how weak its identity is."""
    from auditor.history.ledger import WEAKNESS

    said = one.baseline.approvals.get(held.place)
    whose = "not approved"
    if said is not None:
        whose = f"{'approved' if said.mine else 'said not to be theirs'} {day(said.at)} by {said.by}"
    facts = [f"first seen {day(held.first_seen_at)}", f"last changed {day(held.changed_at)}", whose]
    facts += [] if held.present else [f"gone, last seen {day(held.last_seen_at)}"]
    facts += [f"not listed any more, last seen {day(held.last_seen_at)}"] if unlisted(one, held) else []
    facts += [WEAKNESS[held.strength]] if WEAKNESS[held.strength] else []
    return [*wrapped(called(held), "  "), *wrapped("; ".join(facts), "      ", "      ")]


def unlisted(one: Account, held: Held) -> bool:
    """Whether the last run missed it in a list that is not known to be whole."""
    return held.mark in one.ledger.unlisted.get(held.scope, ())


def short(mark: str) -> str:
    """A fingerprint as it is shown: its beginning, and its running number where it has one."""
    plain, dash, number = mark.partition("-")
    return plain[:_SHORT] if not dash else f"{plain}{dash}{number}"


def day(moment: str | None) -> str:
    return moment[:16].replace("T", " ") if moment else "-"


def width() -> int:
    """Columns to write for: 40 to 100 of a terminal, 80 of a pipe."""
    return max(40, min(shutil.get_terminal_size().columns, 100)) if sys.stdout.isatty() else 80


def wrapped(text: str, indent: str = "", then: str | None = None) -> list[str]:
    """Lines of a text, made safe and folded; those after the first are indented by `then`."""
    safe = printable(text, limit=2000)
    return textwrap.wrap(
        safe,
        width(),
        initial_indent=indent,
        subsequent_indent=indent + "  " if then is None else then,
        break_on_hyphens=False,
    ) or [indent.rstrip()]


def on_a_terminal() -> bool:
    """Whether somebody is there to look and to answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def who(given: str | None) -> str:
    """Who says so: the name that was given, or that of the user."""
    import getpass

    if given is not None:
        if not given.strip() or len(given) > 100 or not given.isprintable():  # noqa: PLR2004
            raise UsageError("--by must be a name", hint="for example --by ana")
        return given.strip()
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return f"user {os.getuid()}"
