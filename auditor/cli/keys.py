"""`auditor keys`: the inventory over time, and the owner's word about it: what is theirs, and what they did themselves."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor.cli import _stored, _voice, _word

if TYPE_CHECKING:
    from auditor.cli._stored import Account
    from auditor.history.differences import Difference
    from auditor.history.ledger import Held
    from auditor.history.store import View
    from auditor.model.report import Drift

_SIGNS = {"new": "+", "removed": "-", "widened": "!", "changed": "~", "doubted": "?"}
_FEW = 20
"""Accounts of which each is told, whether or not anything differs."""
_MOST = 1000
"""Subjects that are listed as text, if nothing else is said."""
_HELP = """The API keys, addresses and sub-accounts that were seen, against what you approved. Reads stored runs, no exchange.

\b
Examples:
  auditor keys list
  auditor keys diff
  auditor keys approve --all
"""


@click.group("keys", help=_HELP)
def command() -> None:
    pass


command.add_command(_word.approve)
command.add_command(_word.remember)


@command.command("list", epilog="\b\nExample:\n  auditor keys list -f json")
@_stored.CONFIG
@_stored.ACCOUNTS
@_stored.FORM
@click.option("--gone", is_flag=True, help="Also what is not there any more.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many (default: 1000 as text, all as JSON).")
def list_(config_path: Path | None, names: tuple[str, ...], form: str, gone: bool, limit: int | None) -> int:  # noqa: FBT001
    """Everything that was seen: since when, last changed when, approved by whom and when.

    One account after another is read, so that a million keys take no more memory than those of one account.
    """
    store, _ = _stored.opened(config_path)
    with store.reading() as view:
        most = limit or (sys.maxsize if form == "json" else _MOST)
        listing = _Listing(view=view, waiting=_stored.named(view, names)[::-1], gone=gone, left=most)
        _voice.results(listing.json() if form == "json" else listing.text())
    if listing.cut or listing.waiting:
        more = [f"{listing.cut} more of {listing.last}"] if listing.cut else []
        more += [f"those of {len(listing.waiting)} other accounts"] if listing.waiting else []
        _voice.say(f"not shown: {' and '.join(more)}; name accounts with -a, or raise --limit")
    return listing.code


@dataclass(slots=True, kw_only=True)
class _Listing:
    """The accounts that wait (the next one last), of which `left` subjects may still be shown; `cut` of the last one were not."""

    view: View
    waiting: list[str]
    gone: bool
    left: int
    cut: int = 0
    last: str = ""
    code: int = 0

    def text(self) -> Iterator[bytes]:
        between = ""
        for one, held in self._accounts():
            ledger = one.ledger
            head = _head(ledger.account, ledger.exchange, ledger.at, ledger.complete, doubted=bool(ledger.doubted))
            lines = [*head, *(line for row in held for line in _stored.card(row, one))]
            yield (between + "\n".join(lines) + "\n").encode("utf-8", "replace")
            between = "\n"

    def json(self) -> Iterator[bytes]:
        between = "["
        for one, held in self._accounts():
            yield f"{between}\n{json.dumps(_inventory(one, held), indent=1)}".encode()
            between = ","
        yield b"[]\n" if between == "[" else b"\n]\n"

    def _accounts(self) -> Iterator[tuple[Account, list[Held]]]:
        while self.waiting and self.left > 0:
            one, code = _stored.account(self.view, self.waiting.pop())
            self.code = max(self.code, code)
            if one is not None:
                held = [row for row in one.ledger.held if row.present or self.gone]
                self.cut, self.last = max(0, len(held) - self.left), one.ledger.account
                held = held[: self.left]
                self.left -= len(held)
                yield one, held


def _head(account: str, exchange: str, at: str, complete: Mapping[str, bool | None], *, doubted: bool) -> list[str]:
    whole = {True: "all of them", None: "not known to be all", False: "not all"}[complete.get("api_key")]
    missing = "; some that were there are missing, which is not believed yet" if doubted else ""
    return _stored.wrapped(f"{account} ({exchange}), as of {_stored.day(at)} UTC; keys: {whole}{missing}")


def _inventory(one: Account, held: Sequence[Held]) -> dict[str, Any]:
    ledger = one.ledger
    return {
        "account": ledger.account,
        "exchange": ledger.exchange,
        "as_of": ledger.at,
        "complete": ledger.complete,
        "subjects": [_row(row, one) for row in held],
    }


def _row(held: Held, one: Account) -> dict[str, Any]:
    from auditor.history.ledger import WEAKNESS

    said = one.baseline.approvals.get(held.place)
    return {
        "type": held.scope,
        "fingerprint": held.mark,
        "label": held.label,
        "known_by": held.strength.value,
        "weakness": WEAKNESS[held.strength] or None,
        "first_seen_at": held.first_seen_at,
        "last_seen_at": held.last_seen_at,
        "changed_at": held.changed_at,
        "present": held.present,
        "approved": {"mine": said.mine, "by": said.by, "at": said.at} if said else None,
        "facts": held.facts,
    }


@command.command("diff", epilog="\b\nExample:\n  auditor keys diff -a main-okx")
@_stored.CONFIG
@_stored.ACCOUNTS
@_stored.FORM
def diff(config_path: Path | None, names: tuple[str, ...], form: str) -> int:
    """New, removed, widened and changed: against what you approved, or the run before where nothing was approved."""
    from auditor.history import differences

    store, _ = _stored.opened(config_path)
    with store.reading() as view:
        _stored.named(view, names)
        found, rest, wrong = differences.find(view, names)
        for error in wrong:
            _voice.complain(error)
        code = max((error.exit_code for error in wrong), default=0)
        if rest:
            known, also = _stored.accounts(view, rest)
            found = sorted([*found, *(_reckoned(view, one) for one in known)], key=lambda one: one.account)
            code = max(code, also)
    if form == "json":
        _voice.result(json.dumps([_differences(one) for one in found], indent=1))
    else:
        _voice.result("\n".join(_told_of(found)))
    return code


def _reckoned(view: View, one: Account) -> Difference:
    """The drift of the last stored run from its ledger: of runs that were stored before there were rows to compare."""
    from auditor.history import change, runs
    from auditor.history.differences import Difference
    from auditor.history.ledger import Reading, from_document

    ledger = one.ledger
    lost = [held for held in ledger.held if held.mark in ledger.doubted.get(held.scope, ())]
    before = next(
        (
            from_document(part)
            for record in view.records("run", account=ledger.account)[::-1]
            if record.seq < one.past.record.seq and (part := view.part(record, ledger.account, runs.INVENTORY))
        ),
        None,
    )
    drifts = change.drift(Reading(ledger=ledger, marks={}, lost=tuple(lost)), before, one.baseline)
    return Difference(
        account=ledger.account,
        exchange=ledger.exchange,
        at=ledger.at,
        complete=ledger.complete,
        doubted=bool(ledger.doubted),
        approved=one.baseline.covers("api_key"),
        drifts=drifts,
        unchanged=len(change.unchanged(ledger, drifts)),
    )


def _told_of(found: Sequence[Difference]) -> list[str]:
    """Of a few accounts each; of many those in which something differs, and how many do not."""
    shown = found if len(found) <= _FEW else [one for one in found if one.drifts]
    lines: list[str] = []
    for one in shown:
        lines += [*_head(one.account, one.exchange, one.at, one.complete, doubted=one.doubted)]
        lines += [line for drift in one.drifts for line in _told(drift)]
        lines += [*_stored.wrapped(f"= {one.unchanged} unchanged (against {_against(one)})", "  ", "      "), ""]
    quiet = [one for one in found if one not in shown] if len(shown) < len(found) else []
    if quiet:
        same = sum(one.unchanged for one in quiet)
        return [*lines, *_stored.wrapped(f"= nothing differs in {len(quiet)} other accounts ({same} unchanged)")]
    return lines[:-1]


def _told(drift: Drift) -> list[str]:
    name = _stored.titled(drift.subject.type, drift.subject.label, drift.subject.fingerprint)
    return _stored.wrapped(f"{_SIGNS[drift.kind]} {drift.kind}: {name}: {drift.what}", "  ", "      ")


def _against(one: Difference) -> str:
    return "what you approved" if one.approved else "the run before; nothing is approved yet"


def _differences(one: Difference) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "account": one.account,
        "exchange": one.exchange,
        "as_of": one.at,
        "approved": one.approved,
        "differences": [asdict(drift) for drift in one.drifts],
        "unchanged": one.unchanged,
    }
