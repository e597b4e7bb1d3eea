"""The frameworks of the checklist, read from controls.yaml: their numbers, and what each control asks for in our words.

Knows no report. What a framework is not about is said with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

from auditor.errors import UsageError
from auditor.redaction import printable
from auditor.values import frozen


@frozen
class Control:
    """One number of a framework. `derived`: taken from a draft and its change log, not from the final text."""

    id: str
    about: str
    derived: bool


@frozen
class Framework:
    """A framework: `id` is how rules name it (`<id>/<control>`), `note` what it is not."""

    id: str
    name: str
    edition: str
    note: str
    aliases: tuple[str, ...]
    controls: tuple[Control, ...]


@cache
def catalogue() -> dict[str, Framework]:
    """Framework id -> framework, in the order of the file."""
    from auditor import yamlio

    text = resources.files("auditor.reports").joinpath("controls.yaml").read_text(encoding="utf-8")
    (document,) = yamlio.parse_all(text, "controls.yaml")
    return {row["id"]: _framework(row) for row in document.value["frameworks"]}


def _framework(row: dict[str, object]) -> Framework:
    texts = {key: str(row[key]) for key in ("id", "name", "edition", "note")}
    aliases, controls = row["aliases"], row["controls"]
    assert isinstance(aliases, list)
    assert isinstance(controls, list)
    listed = (Control(id=one["id"], about=one["about"], derived=one.get("basis") == "derived") for one in controls)
    return Framework(**texts, aliases=tuple(aliases), controls=tuple(listed))


def chosen(names: Iterable[str]) -> tuple[str, ...]:
    """The ids of the frameworks that are meant, all of them where none is named. Raises UsageError for an unknown one."""
    import difflib

    known = {_plain(alias): one.id for one in catalogue().values() for alias in (one.id, one.name, *one.aliases)}
    found = []
    for name in names:
        if _plain(name) not in known:
            close = difflib.get_close_matches(_plain(name), known, 1)
            hint = f"did you mean {known[close[0]]}?" if close else f"frameworks: {', '.join(catalogue())}"
            raise UsageError(f"unknown framework {printable(name, limit=40)}", hint=hint)
        found.append(known[_plain(name)])
    return tuple(dict.fromkeys(found)) or tuple(catalogue())


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name[:80].lower())
