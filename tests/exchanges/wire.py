"""Runs one connector against its twin over the real transport, and gives back the sheet it wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from auditor.exchanges import _funds, _venue
from auditor.exchanges._base import Sheet
from auditor.exchanges._load import connector, funds
from auditor.exchanges._transport import Venue
from auditor.model.venue import shown_paths
from auditor.redaction import Secret
from auditor.twin._base import TwinVenue

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
ALL = frozenset({"balances", "withdrawals"})
"""All that is opt-in."""


def collect(
    twin: TwinVenue,
    *,
    credentials: dict[str, str] | None = None,
    prepare: Callable[[TwinVenue], Any] | None = None,
    deadline: float = 5.0,
    asked: frozenset[str] = frozenset(),
) -> Sheet:
    """The sheet of one key (the twin's first sample key unless `credentials` says otherwise), with what is `asked` beside."""

    async def run() -> Sheet:
        module = connector(twin.id)
        assert module is not None
        sheet = Sheet()
        async with twin, Venue(module, endpoint=twin.url, deadline=deadline) as venue:
            if prepare is not None:
                prepare(twin)
            secrets = {name: Secret(value) for name, value in (credentials or twin.sample_credentials()).items()}
            await module.collect(venue.key(secrets), sheet)
            if asked and funds(module) is not None:
                await _funds.read(funds(module), venue.key(secrets), sheet, asked, NOW, apart=0)
        return sheet

    sheet = asyncio.run(run())
    _refuse_undeclared(twin.id, sheet)
    return sheet


def _refuse_undeclared(exchange: str, sheet: Sheet) -> None:
    """Whatever a test makes a venue answer, its connector writes nothing that the venue file does not promise."""
    written = {path for place, names in shown(sheet).items() for path in shown_paths(place, names)}
    strangers = written - set(_venue.load(exchange).proven())
    assert not strangers, f"{exchange} shows {sorted(strangers)}, and its venue file does not say so (`shows`)"


_STORED_AS = {"goes_to": "destination"}
"""Where something went is kept as a fingerprint."""
_LISTS = {"address": "addresses", "event": "events", "withdrawal": "withdrawals"}


def shown(sheet: Sheet, key_id: str | None = None) -> dict[str, set[str]]:
    """Which facts a sheet shows, by the places of a venue file (`shows`). Where a withdrawal went is shown as a fingerprint;
    `key_id` is the public id of the key that asked, which a list of keys may hold.
    """
    places: dict[str, set[str]] = {"account": set(sheet.account), "venue": set(sheet.venue)}
    for scope, rows in sheet.rows.items():
        for row in rows or []:
            calling = row.get("is_audit_key") or (key_id is not None and row.get("public_id") == key_id)
            key = "calling_key" if calling else "other_keys"
            names = {_STORED_AS.get(name, name) for name in row} - {"public_id", "is_audit_key"}
            if scope == "api_key" and ("public_id" in row or (row.get("is_audit_key") and key_id is not None)):
                names.add("masked_id")  # four characters of it
            places.setdefault(key if scope == "api_key" else _LISTS[scope], set()).update(names)
    return {place: names for place, names in places.items() if names}


def reasons(sheet: Sheet) -> dict[str, str]:
    """Endpoint name -> why it failed."""
    return {problem.endpoint: problem.reason.value for problem in sheet.problems}


def keys(sheet: Sheet) -> dict[str, dict[str, Any]]:
    """The keys that were seen, by label."""
    return {row["label"]: row for row in sheet.rows["api_key"] or []}
