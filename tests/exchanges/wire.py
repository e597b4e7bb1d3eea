"""Runs one connector against its twin over the real transport, and gives back the sheet it wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from auditor.exchanges._base import Sheet
from auditor.exchanges._load import connector
from auditor.exchanges._transport import Venue
from auditor.redaction import Secret
from auditor.twin._base import TwinVenue


def collect(
    twin: TwinVenue,
    *,
    credentials: dict[str, str] | None = None,
    prepare: Callable[[TwinVenue], Any] | None = None,
    deadline: float = 1.0,
) -> Sheet:
    """The sheet of one key (the twin's first sample key unless `credentials` says otherwise)."""

    async def run() -> Sheet:
        module = connector(twin.id)
        assert module is not None
        sheet = Sheet()
        async with twin, Venue(module, endpoint=twin.url, deadline=deadline) as venue:
            if prepare is not None:
                prepare(twin)
            secrets = {name: Secret(value) for name, value in (credentials or twin.sample_credentials()).items()}
            await module.collect(venue.key(secrets), sheet)
        return sheet

    return asyncio.run(run())


def reasons(sheet: Sheet) -> dict[str, str]:
    """Endpoint name -> why it failed."""
    return {problem.endpoint: problem.reason.value for problem in sheet.problems}


def keys(sheet: Sheet) -> dict[str, dict[str, Any]]:
    """The keys that were seen, by label."""
    return {row["label"]: row for row in sheet.rows["api_key"] or []}
