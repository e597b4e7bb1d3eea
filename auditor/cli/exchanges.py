"""`auditor exchanges`: what a read-only key proves at each exchange, what must be attested, and what nobody can see.

Everything comes from the venue files and the catalogue; only the calls of one exchange in depth load its connector.
"""

from __future__ import annotations

import difflib
import json
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from auditor.cli import _voice
from auditor.errors import UsageError
from auditor.model.facts import catalogue

if TYPE_CHECKING:
    from auditor.model.venue import Origin, VenueFile

_HEAD = ("exchange", "lifecycle", "keys shown", "proven", "attested", "nobody")
_FOOT = """\
keys shown: what a reading key is told of the account's own keys. The numbers
are facts that such a key can prove, that only the owner can state, and that
nobody can see: `auditor exchanges ID` names them, with what to tick and where
to look for the rest."""
_HELP = """Which permissions to tick at each exchange, what a reading key proves there, and known traps.

\b
Examples:
  auditor exchanges
  auditor exchanges okx
"""


SHOWN = {"all": "all keys", "calling": "only the calling key", "none": "nothing of the key", None: "unknown"}
"""What a reading key shows of the account's keys, in words."""
PLACES = {
    "account": "the account",
    "calling_key": "the key that asks",
    "other_keys": "other keys that it may list",
    "addresses": "withdrawal addresses",
    "events": "the security log",
    "withdrawals": "withdrawals, where `include` asks for them",
    "venue": "the exchange",
}
"""Where a reading key shows facts, in words. A balance is shown only where `include` asks for it, too."""


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
    told = _told(_venue.load(exchange))
    _voice.result(json.dumps(told, indent=1, ensure_ascii=False) if form == "json" else "\n".join(_card(told)))


def _list(venues: Iterable[VenueFile], form: str) -> None:
    rows = [summary(venue) for venue in venues]
    if form == "json":
        _voice.result(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    numbers = ("proven", "attested", "nobody")
    brief = {"all": "all", "calling": "the calling one", "none": "none", None: "unknown"}
    cells = [
        (row["id"], row["lifecycle"], brief[row["inventory"]], *(str(row[name]) for name in numbers)) for row in rows
    ]
    told = [_HEAD, *cells]
    widths = [max(map(len, column)) for column in zip(*told, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in told]
    _voice.result("\n".join([*lines, "", _FOOT]))


def summary(venue: VenueFile) -> dict[str, Any]:
    """An exchange in a line, from its venue file alone: no connector is loaded for a list."""
    from auditor.model import sight

    seen = sight.view(venue)
    return {
        "id": venue.id,
        "name": venue.name,
        "lifecycle": str(venue.policy_facts().get("venue.lifecycle", "unknown")),
        "credentials": list(venue.credentials),
        "inventory": venue.inventory,
        "keys": SHOWN[venue.inventory],
        "proven": len(seen.of(sight.Sight.PROVEN)),
        "beyond_reading": len(seen.of(sight.Sight.BEYOND)),
        "attested": len(seen.of(sight.Sight.ATTESTED)),
        "nobody": len(seen.of(sight.Sight.UNSEEN)),
    }


def facts_of(venue: VenueFile) -> dict[str, Any]:
    """Every fact of an exchange by who can know it, as data. `proven` is by place, the others are fact paths."""
    from auditor.model import sight

    seen = sight.view(venue)
    by_sight = {one.value: list(seen.of(one)) for one in sight.Sight if one is not sight.Sight.PROVEN}
    proven = {place: list(names) for place, names in seen.places.items()}
    return {"proven": proven, **by_sight, "lists_nobody_sees": list(seen.lists)}


def _told(venue: VenueFile) -> dict[str, Any]:
    """Everything there is to say about an exchange, as data."""
    from auditor.exchanges import _load

    connector = _load.connector(venue.id)
    permissions = {"tick": list(venue.permissions_tick), "never": list(venue.permissions_never)}
    policies = [
        {"fact": one.fact, "value": one.value, "condition": one.condition, "sources": list(one.sources),
         "as_of": one.as_of, "confidence": one.confidence}
        for one in venue.policies
    ]  # fmt: skip
    return {
        **{name: value for name, value in summary(venue).items() if not isinstance(value, int)},
        "warn_before_first_call": venue.warn_before_first_call,
        "permissions": {**permissions, **_origin(venue.permissions_origin)},
        "include_needs": venue.include_needs,
        "facts": facts_of(venue),
        "reads": [f"{one.verb} {one.path}" for one in connector.endpoints] if connector else [],
        "attest": {fact: {"ask": catalogue()[fact].ask, "where": place} for fact, place in venue.where.items()},
        "needs_more": venue.needs_more,
        "hidden": list(venue.hidden),
        "policies": policies,
        "remedies": {name: {"steps": list(one.steps), **_origin(one.origin)} for name, one in venue.remedies.items()},
        "traps": list(venue.traps),
    }


def _origin(origin: Origin) -> dict[str, Any]:
    return {"sources": list(origin.sources), "as_of": origin.as_of, "confidence": origin.confidence}


def based_on(origin: dict[str, Any]) -> str:
    """What something rests on, in a few words: how sure, of when, and that nobody wrote it down where that is so."""
    dated = origin["as_of"] or "undated"
    return f"{origin['confidence']}, {dated}{'' if origin['sources'] else ', no source'}"


def _card(told: dict[str, Any]) -> list[str]:
    facts, permissions = told["facts"], told["permissions"]
    elsewhere = [fact for fact in facts["attested"] if fact not in told["attest"]]
    asked = [f"{fact}: {about['ask']} ({about['where']})" for fact, about in told["attest"].items()]
    sections = {
        "Before the first call": [told["warn_before_first_call"]] if told["warn_before_first_call"] else [],
        f"Make a key with ({based_on(permissions)})": [
            f"tick: {', '.join(permissions['tick']) or 'nothing'}",
            f"never: {', '.join(permissions['never'])}",
        ],
        "A reading key shows of the account's keys": [told["keys"]],
        "A reading key proves": [f"{PLACES[place]}: {', '.join(names)}" for place, names in facts["proven"].items()],
        "A reading key is used for": told["reads"],
        "What `include` needs": [f"{name}: {needs}" for name, needs in told["include_needs"].items()],
        "Only you can say": [*asked, *_by_scope("also of", elsewhere)],
        "Under a condition, or with more than reading": [f"{fact}: {why}" for fact, why in told["needs_more"].items()],
        "Nobody can see": [*told["hidden"], *unseen(facts)],
        "Policies (null: nobody could establish it)": [_policy(policy) for policy in told["policies"]],
        "Remedies": [f"{name} ({based_on(one)}): {' '.join(one['steps'])}" for name, one in told["remedies"].items()],
        "Traps": told["traps"],
    }
    lines = [f"{told['name']} ({told['id']}, {told['lifecycle']})"]
    return lines + [line for title, items in sections.items() for line in _section(title, items)]


def unseen(facts: dict[str, Any]) -> list[str]:
    """The facts that no API shows and no owner is asked for; a list of which nothing is shown in one word."""
    lists = {"api_keys": "api_key.", "addresses": "address.", "events": "event.", "withdrawals": "withdrawal."}
    whole = tuple(lists[name] for name in facts["lists_nobody_sees"])
    single = [fact for fact in facts["unseen"] if not fact.startswith(whole)]
    told = [f"any row of: {', '.join(facts['lists_nobody_sees'])}"] if whole else []
    return [*told, *_by_scope("of", single)]


def _by_scope(lead: str, facts: Iterable[str]) -> list[str]:
    """A line a scope, with the names of its facts."""
    scopes: dict[str, list[str]] = {}
    for fact in facts:
        scopes.setdefault(fact.partition(".")[0], []).append(fact.partition(".")[2])
    return [f"{lead} {scope}: {', '.join(names)}" for scope, names in scopes.items()]


def _policy(policy: dict[str, Any]) -> str:
    condition = f"; {policy['condition']}" if policy["condition"] else ""
    dated = f", {policy['as_of']}" if policy["as_of"] else ""
    return f"{policy['fact']} = {json.dumps(policy['value'])} ({policy['confidence']}{dated}){condition}"


def _section(title: str, items: Iterable[str]) -> list[str]:
    width = min(shutil.get_terminal_size().columns, 100) if sys.stdout.isatty() else 80
    wrapped = [
        line for item in items for line in textwrap.wrap(item, width, initial_indent="  - ", subsequent_indent="    ")
    ]
    return ["", title, *wrapped] if wrapped else []
