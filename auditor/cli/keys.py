"""`auditor keys`: the inventory over time, and the owner's word about it: what is theirs, and what they did themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor.cli import _stored, _voice, _word

if TYPE_CHECKING:
    from auditor.cli._stored import Account
    from auditor.history.ledger import Held
    from auditor.history.store import View
    from auditor.model.report import Drift

_SIGNS = {"new": "+", "removed": "-", "widened": "!", "changed": "~", "doubted": "?"}
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
def list_(config_path: Path | None, names: tuple[str, ...], form: str, gone: bool) -> int:  # noqa: FBT001
    """Everything that was seen: since when, last changed when, approved by whom and when."""
    store, _ = _stored.opened(config_path)
    with store.reading() as view:
        found, code = _stored.accounts(view, names)
    if form == "json":
        _voice.result(json.dumps([_inventory(one, gone=gone) for one in found], indent=1))
        return code
    lines: list[str] = []
    for one in found:
        lines += [
            *_head(one),
            *(line for held in one.ledger.held if held.present or gone for line in _stored.card(held, one)),
            "",
        ]
    _voice.result("\n".join(lines[:-1]))
    return code


def _head(one: Account) -> list[str]:
    ledger = one.ledger
    whole = {True: "all of them", None: "not known to be all", False: "not all"}[ledger.complete.get("api_key")]
    doubted = "; some that were there are missing, which is not believed yet" if ledger.doubted else ""
    said = f"{ledger.account} ({ledger.exchange}), as of {_stored.day(ledger.at)} UTC; keys: {whole}{doubted}"
    return _stored.wrapped(said)


def _inventory(one: Account, *, gone: bool) -> dict[str, Any]:
    ledger = one.ledger
    return {
        "account": ledger.account,
        "exchange": ledger.exchange,
        "as_of": ledger.at,
        "complete": ledger.complete,
        "subjects": [_row(held, one) for held in ledger.held if held.present or gone],
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
    store, _ = _stored.opened(config_path)
    with store.reading() as view:
        known, code = _stored.accounts(view, names)
        found = [(one, _drift(view, one)) for one in known]
    if form == "json":
        _voice.result(json.dumps([_differences(one, drifts) for one, drifts in found], indent=1))
        return code
    lines: list[str] = []
    for one, drifts in found:
        lines += [*_head(one), *(line for drift in drifts for line in _told(drift, one)), *_rest(one, drifts), ""]
    _voice.result("\n".join(lines[:-1]))
    return code


def _drift(view: View, one: Account) -> tuple[Drift, ...]:
    """The drift of the last stored run, as that run reported it or would now that something was approved."""
    from auditor.history import change, runs
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
    return change.drift(Reading(ledger=ledger, marks={}, lost=tuple(lost)), before, one.baseline)


def _told(drift: Drift, one: Account) -> list[str]:
    held = one.ledger.find((drift.subject.type, drift.subject.fingerprint))
    name = _stored.called(held) if held else drift.subject.label
    return _stored.wrapped(f"{_SIGNS[drift.kind]} {drift.kind}: {name}: {drift.what}", "  ", "      ")


def _rest(one: Account, drifts: Sequence[Drift]) -> list[str]:
    from auditor.history import change

    same = len(change.unchanged(one.ledger, tuple(drifts)))
    against = "what you approved" if one.baseline.covers("api_key") else "the run before; nothing is approved yet"
    return _stored.wrapped(f"= {same} unchanged (against {against})", "  ", "      ")


def _differences(one: Account, drifts: Sequence[Drift]) -> dict[str, Any]:
    from dataclasses import asdict

    from auditor.history import change

    same = [
        {"type": held.scope, "fingerprint": held.mark, "label": held.label}
        for held in change.unchanged(one.ledger, tuple(drifts))
    ]
    return {
        "account": one.ledger.account,
        "exchange": one.ledger.exchange,
        "as_of": one.ledger.at,
        "approved": one.baseline.covers("api_key"),
        "differences": [asdict(drift) for drift in drifts],
        "unchanged": same,
    }
