"""Whether the cases of a rule could be real: every fact exists and has a well-formed value, every time can be read.

Looks at what the shape leaves open; runs no rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from auditor.errors import Fault
from auditor.model.facts import LISTS, catalogue, parse_time, suggestion
from auditor.ruleset.shape import Place, guess, label
from auditor.yamlio import Document

_BESIDE_FACTS = {"account": {"exchange"}}
"""Keys of an evidence document that stand among facts and are none."""
_TIME = "write a time such as 2026-11-20T10:00:00Z"


def faults(document: Document) -> Iterator[Fault]:
    """Everything wrong with the facts, sources and times in the cases of a rule document."""
    cases = document.value.get("cases")
    for index, case in enumerate(cases if isinstance(cases, list) else []):
        if isinstance(case, dict):
            yield from _case(document, case, ("cases", index))


def _case(document: Document, case: dict[str, Any], place: Place) -> Iterator[Fault]:
    for scope in ("account", "venue"):
        yield from _facts(document, scope, case.get(scope), (*place, scope))
    for scope, key in LISTS.items():
        rows = case.get(key)
        for index, row in enumerate(rows if isinstance(rows, list) else []):
            yield from _facts(document, scope, row, (*place, key, index))
    yield from _sources(document, case.get("sources"), (*place, "sources"))
    yield from _time(document, case, "now", place)


def _facts(document: Document, scope: str, row: Any, place: Place) -> Iterator[Fault]:
    """The facts of one row. Null is never wrong: it says that the fact is unknown."""
    for name, value in row.items() if isinstance(row, dict) else ():
        fact = catalogue().get(f"{scope}.{name}")
        if name in _BESIDE_FACTS.get(scope, ()):
            if value is not None and not isinstance(value, str):
                yield document.fault(f"{label((*place, name))}: expected text (put it in quotes)", *place, name)
        elif fact is None:
            meant = suggestion(f"{scope}.{name}"[:100])
            yield document.fault(f"unknown fact {label((scope, name))}{meant}", *place, name, hint=f"in {label(place)}")
        elif value is not None and (wrong := fact.check(value)):
            yield document.fault(f"{label((*place, name))}: {wrong}", *place, name, hint=fact.note)


def _sources(document: Document, sources: Any, place: Place) -> Iterator[Fault]:
    paths = [*catalogue(), *LISTS.values()]
    for path, source in sources.items() if isinstance(sources, dict) else ():
        if path not in catalogue() and path not in LISTS.values():
            hint = "a source belongs to a fact such as account.kyc_level, or to a list such as api_keys"
            yield document.fault(f"unknown fact {label((path,))}{guess(path, paths)}", *place, path, hint=hint)
        if isinstance(source, dict):
            yield from _time(document, source, "at", (*place, path))
            yield from _time(document, source, "expires", (*place, path))


def _time(document: Document, row: dict[str, Any], name: str, place: Place) -> Iterator[Fault]:
    value = row.get(name)
    if isinstance(value, str) and parse_time(value) is None:
        yield document.fault(f"{label((*place, name))} is not a time between 2009 and 2100", *place, name, hint=_TIME)
