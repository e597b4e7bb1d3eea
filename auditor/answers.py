"""Answers of the owner, each at its place, added to what the owner stated before.

Knows how the dates of answers live together; knows no file and no terminal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from auditor.attestations import Attestation, Row
from auditor.model.evidence import Source
from auditor.model.facts import Fact, catalogue

_PLACE = re.compile(r"([a-z_]+\.[a-z_0-9]+)\[([0-9a-f]{8,64})\]")


def placed(place: str) -> tuple[str, str | None]:
    """A fact's path, and the fingerprint of the row where it is about one: `api_key.owner_recognised[0a1b...]`."""
    found = _PLACE.fullmatch(place)
    return (found[1], found[2]) if found else (place, None)


def added(attestation: Attestation, place: str, value: Any, *, now: datetime, days: int) -> Attestation:
    """The attestation with one fact stated anew, good for `days` days from `now`."""
    today = now.astimezone(UTC).date()
    source = Source(by="attest", at=today.isoformat(), expires=(today + timedelta(days=days)).isoformat())
    path, fingerprint = placed(place)
    fact = catalogue()[path]
    if fingerprint is not None:
        return _of_row(attestation, fact, fingerprint, value, source)
    account = {**attestation.account, fact.name: value}
    return replace(attestation, account=account, sources={**attestation.sources, path: source})


def _of_row(attestation: Attestation, fact: Fact, fingerprint: str, value: Any, source: Source) -> Attestation:
    """One row's fact stated anew. All rows share the date of a fact: what was said of other rows is dropped where it has
    expired, and else makes the new answer no younger than it is itself.
    """
    match = {"fingerprint": fingerprint}
    rows = attestation.rows.get(fact.scope, ())
    before = next((row for row in rows if row.match == match), Row(match=match, facts={}))
    others = [row for row in rows if row.match != match]
    held = attestation.sources.get(fact.path)
    if held is not None and any(fact.name in row.facts for row in others):
        if str(held.expires)[:10] < str(source.at):
            others = [replace(row, facts=_without(row.facts, fact.name)) for row in others]
        else:
            source = replace(held, expires=min(str(held.expires), str(source.expires)))
    kept = [*(row for row in others if row.facts), replace(before, facts={**before.facts, fact.name: value})]
    return replace(
        attestation,
        rows={**attestation.rows, fact.scope: tuple(kept)},
        sources={**attestation.sources, fact.path: source},
    )


def _without(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != name}
