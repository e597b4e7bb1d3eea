"""Writes `docs/venues.md` anew from the venue files: `python -m tests.venues`. A test fails when it is stale."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from auditor.cli.exchanges import PLACES, SHOWN, based_on, facts_of, summary, unseen
from auditor.exchanges import _venue
from auditor.model.facts import catalogue
from auditor.model.venue import Origin, Policy, Remedy, VenueFile

PAGE = Path(__file__).resolve().parent.parent / "docs" / "venues.md"

_INTRO = """\
# Exchanges

Written by `python -m tests.venues` from the venue files (`auditor/exchanges/<id>.yaml`): change those, not this page.
`auditor exchanges ID` says the same of one exchange, with the calls a reading key is used for; `-f json` adds the sources.

*Keys shown* says what a reading key is told of the account's own keys. **All keys**: a call lists every one.
**Only the calling key**: it describes itself, and the owner counts the others; keys of sub-accounts are listed where a call
for them exists. **Nothing of the key**: that it is answered, and no more. The numbers are facts that such a key can prove,
that only the owner can state, and that nobody can see. They are computed from what the connectors write, which a test holds
against the venue files, and from the fact catalogue.

Policies, permissions and remedies say how sure they are (high, medium, low) and of when. *No source* means that no page
could be named for it: look for the menu, it may be called otherwise.
"""
_SPECIAL = re.compile(r"([\\`*_<>|\[\]#])")


def page(venues: Iterable[VenueFile]) -> str:
    """The whole page. The same files make the same text, in the order of the ids."""
    listed = sorted(venues, key=lambda venue: venue.id)
    return "\n".join([_INTRO, *_overview(listed), *[line for venue in listed for line in _section(venue)], ""])


def _overview(venues: list[VenueFile]) -> list[str]:
    rows = [summary(venue) for venue in venues]
    return _table(
        ("Exchange", "Name", "Lifecycle", "Keys shown", "Proven", "You attest", "Nobody"),
        [
            (
                f"[{row['id']}](#{row['id']})",
                _safe(row["name"]),
                _safe(row["lifecycle"]),
                row["keys"],
                row["proven"],
                row["attested"],
                row["nobody"],
            )
            for row in rows
        ],
    )


def _section(venue: VenueFile) -> list[str]:
    about = summary(venue)
    asked = catalogue()
    return [
        "",
        f"## {venue.id}",
        "",
        f"{_safe(venue.name)}, {_safe(about['lifecycle'])}. A reading key shows: {SHOWN[venue.inventory]}.",
        *_list("Before the first call", [venue.warn_before_first_call] if venue.warn_before_first_call else []),
        *_list(f"Permissions to tick ({_based_on(venue.permissions_origin)})", venue.permissions_tick),
        *_list("Never", venue.permissions_never),
        *_proven(facts_of(venue)),
        *_list("What `include` needs", (f"{name}: {needs}" for name, needs in venue.include_needs.items())),
        *_asked([(fact, asked[fact].ask or "", place) for fact, place in venue.where.items()]),
        *_list(
            "Under a condition, or with more than reading", (f"{fact}: {why}" for fact, why in venue.needs_more.items())
        ),
        *_list("Nobody can see", [*venue.hidden, *unseen(facts_of(venue))]),
        *_policies(venue.policies),
        *_remedies(venue.remedies),
        *_list("Traps", venue.traps),
    ]


def _proven(facts: dict[str, Any]) -> list[str]:
    rows = [(PLACES[place], _facts(names)) for place, names in facts["proven"].items()]
    rows += [("only with more than reading", _facts(facts["beyond_reading"]))] if facts["beyond_reading"] else []
    return [*_title("A reading key proves"), *_table(("Of", "Facts"), rows)] if rows else []


def _facts(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _remedies(remedies: dict[str, Remedy]) -> list[str]:
    rows = [(f"`{name}`", _safe(" ".join(one.steps)), _based_on(one.origin)) for name, one in remedies.items()]
    return [*_title("Remedies"), *_table(("Remedy", "Steps", "Based on"), rows)] if rows else []


def _based_on(origin: Origin) -> str:
    return based_on({"sources": origin.sources, "as_of": origin.as_of, "confidence": origin.confidence})


def _asked(rows: list[tuple[str, str, str]]) -> list[str]:
    if not rows:
        return []
    cells = [(f"`{fact}`", _safe(ask), _safe(place)) for fact, ask, place in rows]
    return [*_title("Only you can say"), *_table(("Fact", "Question", "Where to look"), cells)]


def _policies(policies: Iterable[Policy]) -> list[str]:
    known = [policy for policy in policies if policy.value is not None]
    partly = [policy for policy in policies if policy.value is None and policy.condition]
    nothing = [policy for policy in policies if policy.value is None and not policy.condition]
    rows = [
        (
            f"`{policy.fact}`",
            "not established" if policy.value is None else f"`{json.dumps(policy.value, ensure_ascii=False)}`",
            policy.as_of or "undated",
            policy.confidence if policy.value is not None else "",
            _safe(policy.condition or ""),
        )
        for policy in (*known, *partly)
    ]
    rest = ["", "Nothing could be established of " + ", ".join(f"`{policy.fact}`" for policy in nothing) + "."]
    head = ("Fact", "Value", "As of", "Confidence", "Condition")
    return [*_title("Policies"), *_table(head, rows), *(rest if nothing else [])]


def _title(text: str) -> list[str]:
    return ["", f"### {text}", ""]


def _list(title: str, items: Iterable[str]) -> list[str]:
    lines = [f"- {_safe(item)}" for item in items]
    return [*_title(title), *lines] if lines else []


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    return [_row(head), _row(["---"] * len(head)), *map(_row, rows)]


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _safe(text: str) -> str:
    """Text as text: nothing in it marks anything up, and it stays on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


if __name__ == "__main__":
    PAGE.write_text(page(map(_venue.load, _venue.ids())), encoding="utf-8")
