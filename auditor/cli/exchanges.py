"""`auditor exchanges`: what a read-only key proves at each exchange, what must be attested, and what nobody can see."""

from __future__ import annotations

import difflib
import json
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import Any

import click

from auditor.cli import _voice
from auditor.errors import UsageError
from auditor.model.facts import catalogue
from auditor.model.venue import VenueFile

_HEAD = ("exchange", "name", "lifecycle", "a reading key shows", "facts to attest")
_FOOT = "auditor exchanges ID says of one which boxes to tick, what is read, and where to look for the rest"
_HELP = """Which permissions to tick at each exchange, what a reading key proves there, and known traps.

\b
Examples:
  auditor exchanges
  auditor exchanges okx
"""


SHOWN = {"all": "all keys", "calling": "only the calling key", "none": "nothing of the key", None: "unknown"}
"""What a reading key shows of the account's keys, in words."""


@click.command("exchanges", help=_HELP)
@click.argument("exchange", required=False, metavar="[ID]")
@click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(exchange: str | None, form: str) -> None:
    from auditor.exchanges import _venue

    known = _venue.ids()
    if exchange is None:
        _list(map(_venue.load, known), form)
        return
    if exchange not in known:
        close = difflib.get_close_matches(exchange, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
        raise UsageError(f"there is no exchange {exchange!r}", hint=hint)
    venue = _venue.load(exchange)
    told = _told(venue)
    _voice.result(json.dumps(told, indent=1, ensure_ascii=False) if form == "json" else "\n".join(_card(venue, told)))


def _list(venues: Iterable[VenueFile], form: str) -> None:
    rows = [summary(venue) for venue in venues]
    if form == "json":
        _voice.result(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    told = [_HEAD, *((row["id"], row["name"], row["lifecycle"], row["proves"], str(row["attest"])) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*told, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in told]
    _voice.result("\n".join([*lines, "", _FOOT]))


def summary(venue: VenueFile) -> dict[str, Any]:
    """An exchange in a line, from its venue file alone: no connector is loaded for a list."""
    return {
        "id": venue.id,
        "name": venue.name,
        "lifecycle": _lifecycle(venue),
        "credentials": list(venue.credentials),
        "inventory": venue.inventory,
        "proves": SHOWN[venue.inventory],
        "attest": len(venue.where),
        "needs_more": len(venue.needs_more),
    }


def _lifecycle(venue: VenueFile) -> str:
    return str(venue.policy_facts().get("venue.lifecycle", "unknown"))


def _told(venue: VenueFile) -> dict[str, Any]:
    """Everything there is to say about an exchange, as data."""
    from auditor.exchanges import _load

    connector = _load.connector(venue.id)
    return {
        "id": venue.id,
        "name": venue.name,
        "lifecycle": _lifecycle(venue),
        "credentials": list(venue.credentials),
        "inventory": venue.inventory,
        "warn_before_first_call": venue.warn_before_first_call,
        "permissions": {"tick": list(venue.permissions_tick), "never": list(venue.permissions_never)},
        "reads": [f"{one.verb} {one.path}" for one in connector.endpoints] if connector else [],
        "attest": {fact: {"ask": catalogue()[fact].ask, "where": place} for fact, place in venue.where.items()},
        "needs_more": venue.needs_more,
        "hidden": list(venue.hidden),
        "policies": [
            {
                "fact": policy.fact,
                "value": policy.value,
                "condition": policy.condition,
                "as_of": policy.as_of,
                "confidence": policy.confidence,
                "sources": list(policy.sources),
            }
            for policy in venue.policies
        ],
        "traps": list(venue.traps),
    }


def _card(venue: VenueFile, told: dict[str, Any]) -> list[str]:
    lines = [f"{venue.name} ({venue.id}, {told['lifecycle']})"]
    lines += _section("Before the first call", [venue.warn_before_first_call] if venue.warn_before_first_call else [])
    lines += _section(
        "Make a key with",
        [f"tick: {', '.join(venue.permissions_tick) or 'nothing'}", f"never: {', '.join(venue.permissions_never)}"],
    )
    lines += _section("A reading key shows of the account's keys", [SHOWN[venue.inventory]])
    lines += _section("A reading key is used for", told["reads"])
    lines += _section(
        "Only you can say", [f"{fact}: {about['ask']} ({about['where']})" for fact, about in told["attest"].items()]
    )
    lines += _section(
        "Needs more than reading, so it is not asked for", [f"{fact}: {why}" for fact, why in venue.needs_more.items()]
    )
    lines += _section("Nobody can see", venue.hidden)
    lines += _section("Policies (null: nobody could establish it)", [_policy(policy) for policy in told["policies"]])
    return [*lines, *_section("Traps", venue.traps)]


def _policy(policy: dict[str, Any]) -> str:
    value = json.dumps(policy["value"])
    condition = f"; {policy['condition']}" if policy["condition"] else ""
    dated = f", {policy['as_of']}" if policy["as_of"] else ""
    return f"{policy['fact']} = {value} ({policy['confidence']}{dated}){condition}"


def _section(title: str, items: Iterable[str]) -> list[str]:
    width = min(shutil.get_terminal_size().columns, 100) if sys.stdout.isatty() else 80
    wrapped = [
        line for item in items for line in textwrap.wrap(item, width, initial_indent="  - ", subsequent_indent="    ")
    ]
    return ["", title, *wrapped] if wrapped else []
