"""Where the tables of a run go: a folder a run, a Parquet file a part, and a manifest when all of them are there.

A folder on this machine is written from here; behind an address every worker writes its own parts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auditor import files
from auditor.errors import UsageError
from auditor.fleet import storage, table
from auditor.redaction import printable
from auditor.values import frozen

MANIFEST = "manifest.json"


@frozen
class Results:
    """The folder of one run. `url` is None where it is on this machine."""

    folder: str
    url: str | None

    @classmethod
    def of(cls, place: str, now: datetime) -> Results:
        """The folder of the run at `now` below a place. Raises UsageError where one of that name is finished already."""
        name = f"run={now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        if storage.is_url(place):
            folder = storage.below(storage.check(place, "--results"), name)
            made = cls(folder=folder, url=folder)
            there = storage.exists(storage.below(folder, MANIFEST))
        else:
            made = cls(folder=str(Path(place) / name), url=None)
            there = (Path(place) / name / MANIFEST).exists()
        if there:
            raise UsageError(f"{printable(made.folder, limit=200)} holds the results of a run already")
        return made

    def put(self, name: str, content: bytes) -> None:
        """Writes a file, whole or not at all. Raises UsageError."""
        if self.url is not None:
            storage.put(storage.below(self.url, name), content)
            return
        problem = None
        try:
            files.write(Path(self.folder) / name, content)
        except OSError as error:
            problem = error.strerror or type(error).__name__
        if problem is not None:
            raise UsageError(f"{printable(self.folder, limit=200)} cannot be written: {problem}")

    def finish(self, run: Mapping[str, Any], parts: Iterable[tuple[int, int, str | None]]) -> None:
        """Writes the manifest: with it the results are whole. `parts` are number, accounts, and the file they came of."""
        listed: list[dict[str, Any]] = [
            {"file": table.name(number), "accounts": accounts, **({"source": source} if source else {})}
            for number, accounts, source in sorted(parts)
        ]
        count = sum(part["accounts"] for part in listed)
        whole = {"schema": table.SCHEMA, "run": dict(run), "accounts": count, "parts": listed}
        self.put(MANIFEST, (json.dumps(whole, indent=1, ensure_ascii=True) + "\n").encode())
