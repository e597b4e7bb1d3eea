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

_HELP = """Which permissions to tick at each exchange, what a reading key proves there, and known traps.

\b
Examples:
  auditor exchanges
  auditor exchanges okx
"""


@click.command("exchanges", help=_HELP)
@click.argument("exchange", required=False, metavar="[ID]")
@click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(exchange: str | None, form: str) -> None:
    from auditor import pipeline

    venues = pipeline.venue_files()
    if exchange is None:
        _list(venues.values(), form)
        return
    if exchange not in venues:
        close = difflib.get_close_matches(exchange, venues, 1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(venues)}"
        raise UsageError(f"there is no exchange {exchange!r}", hint=hint)
    told = _told(venues[exchange])
    _voice.result(
        json.dumps(told, indent=1, ensure_ascii=False) if form == "json" else "\n".join(_card(venues[exchange], told))
    )


def _list(venues: Iterable[VenueFile], form: str) -> None:
    rows = [
        {"id": venue.id, "name": venue.name, "lifecycle": _lifecycle(venue), "credentials": list(venue.credentials)}
        for venue in venues
    ]
    if form == "json":
        _voice.result(json.dumps(rows, indent=1))
        return
    id_, name, lifecycle = (max(len(str(row[column])) for row in rows) for column in ("id", "name", "lifecycle"))
    for row in rows:
        needs = ", ".join(row["credentials"]) or "no key"
        _voice.result(f"{row['id']:{id_}}  {row['name']:{name}}  {row['lifecycle']:{lifecycle}}  {needs}")


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
    lines += _section(
        "Make a key with",
        [f"tick: {', '.join(venue.permissions_tick) or 'nothing'}", f"never: {', '.join(venue.permissions_never)}"],
    )
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
