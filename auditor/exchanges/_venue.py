"""The venue file (`<id>.yaml`): what the exchange itself fixes for everybody, with source, date and confidence.

Policies become venue facts and the account facts that follow from them; the rest is for people: which permissions to
tick, where in the venue's pages the owner sees what no API shows, the steps of each remedy, the traps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from auditor import yamlio
from auditor.errors import Fault, InputError
from auditor.model.facts import catalogue, parse_time, suggestion
from auditor.model.settings import OPT_IN
from auditor.model.venue import INVENTORY, SHOWN, Origin, Policy, Remedy, VenueFile, shown_paths

_KEYS = {
    "id",
    "name",
    "connector",
    "credentials",
    "permissions",
    "lifecycle",
    "policies",
    "where",
    "needs_more",
    "remedies",
    "traps",
    "hidden",
    "warn_before_first_call",
    "inventory",
    "shows",
    "include_needs",
    "beyond_reading",
}
_ORIGIN_KEYS = {"sources", "as_of", "confidence"}
_CONFIDENCE = ("high", "medium", "low")
_POLICY_KEYS = {"value", "sources", "as_of", "confidence", "condition"}
_AS_OF = re.compile(r"\d{4}(-\d\d){0,2}\Z")


@cache
def ids() -> tuple[str, ...]:
    """Every exchange that has a venue file."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.yaml")))


class Needed(Mapping[str, tuple[str, ...]]):
    """Exchange id -> the credentials it needs. Reads the file of an exchange when it is asked about."""

    def __getitem__(self, exchange: str) -> tuple[str, ...]:
        if exchange not in ids():
            raise KeyError(exchange)
        return load(exchange).credentials

    def __iter__(self) -> Iterator[str]:
        return iter(ids())

    def __len__(self) -> int:
        return len(ids())


@cache
def load(exchange: str) -> VenueFile:
    """The venue file of an exchange. Raises InputError with every fault: the files are ours, but they are checked."""
    document = yamlio.shipped(Path(__file__).with_name(f"{exchange}.yaml"))
    faults = list(_faults(document, exchange))
    if faults:
        raise InputError(faults)
    table = document.value
    permissions = table.get("permissions", {})
    return VenueFile(
        id=table["id"],
        name=table["name"],
        connector=table.get("connector"),
        credentials=tuple(table.get("credentials", [])),
        permissions_tick=tuple(permissions.get("tick", [])),
        permissions_never=tuple(permissions.get("never", [])),
        policies=tuple(_policies(table)),
        where=table.get("where", {}),
        needs_more=table.get("needs_more", {}),
        remedies={name: _remedy(row) for name, row in table.get("remedies", {}).items()},
        traps=tuple(table.get("traps", [])),
        hidden=tuple(table.get("hidden", [])),
        warn_before_first_call=table.get("warn_before_first_call"),
        inventory=table.get("inventory"),
        permissions_origin=_origin(permissions),
        shows={place: tuple(names) for place, names in table.get("shows", {}).items()},
        include_needs=table.get("include_needs", {}),
        beyond_reading=tuple(table.get("beyond_reading", [])),
    )


def _origin(row: Mapping[str, Any]) -> Origin:
    return Origin(
        sources=tuple(row.get("sources", [])),
        as_of=None if row.get("as_of") is None else str(row["as_of"]),
        confidence=row.get("confidence", "low"),
    )


def _remedy(row: Any) -> Remedy:
    """Steps alone are steps that nobody has written down a source for."""
    return Remedy(steps=tuple(row)) if isinstance(row, list) else Remedy(steps=tuple(row["steps"]), origin=_origin(row))


def _policies(table: dict[str, Any]) -> list[Policy]:
    rows = {"venue.lifecycle": table["lifecycle"], **table["policies"]}
    return [
        Policy(
            fact=fact,
            value=row["value"],
            sources=tuple(row.get("sources", [])),
            as_of=None if row.get("as_of") is None else str(row["as_of"]),  # a bare year is read as a number
            confidence=row.get("confidence", "low"),
            condition=row.get("condition"),
        )
        for fact, row in rows.items()
    ]


def _faults(document: yamlio.Document, exchange: str) -> list[Fault]:
    table = document.value
    if not isinstance(table, dict) or not {"id", "name", "lifecycle", "policies"} <= table.keys():
        return [document.fault("needs id, name, lifecycle and policies")]
    faults = [document.fault(f"unknown key {key}", key) for key in table.keys() - _KEYS]
    if table["id"] != exchange:
        faults.append(document.fault("the id is not the file name", "id"))
    if not isinstance(table.get("warn_before_first_call", ""), str):
        faults.append(document.fault("must be text", "warn_before_first_call"))
    if table.get("inventory", INVENTORY[0]) not in INVENTORY:
        faults.append(document.fault(f"must be one of {', '.join(INVENTORY)}", "inventory"))
    faults += _date_faults(document, table["lifecycle"], "lifecycle")
    for fact, row in table["policies"].items():
        faults += _policy_faults(document, fact, row)
    faults += _origin_faults(document, table.get("permissions", {}), {"tick", "never"}, "permissions")
    for name, row in table.get("remedies", {}).items():
        if not isinstance(row, list):
            faults += _origin_faults(document, row, {"steps"}, "remedies", name)
    faults += _shown_faults(document, table.get("shows", {}))
    needs = table.get("include_needs", {})
    faults += [document.fault("cannot be asked for", "include_needs", name) for name in needs.keys() - set(OPT_IN)]
    for section in ("where", "needs_more"):
        unknown = [fact for fact in table.get(section, {}) if fact not in catalogue() and "." in fact]
        faults += [document.fault(f"unknown fact {fact}{suggestion(fact)}", section, fact) for fact in unknown]
    return faults


def _origin_faults(document: yamlio.Document, row: Any, also: set[str], *place: str) -> list[Fault]:
    if not isinstance(row, dict) or row.keys() - _ORIGIN_KEYS - also:
        return [
            document.fault(f"needs {', '.join(sorted(also))}, and of {', '.join(sorted(_ORIGIN_KEYS))} only", *place)
        ]
    if row.get("confidence", "low") not in _CONFIDENCE:
        return [document.fault(f"must be one of {', '.join(_CONFIDENCE)}", *place, "confidence")]
    if row.get("confidence") == "high" and not row.get("sources"):
        return [document.fault("is sure of what has no source", *place)]
    return _date_faults(document, row, *place)


def _shown_faults(document: yamlio.Document, shows: Any) -> list[Fault]:
    """A fact that only the owner, or nobody, can state is not shown by a key."""
    faults = [
        document.fault(f"must be one of {', '.join(SHOWN)}", "shows", place) for place in shows.keys() - set(SHOWN)
    ]
    for place in shows.keys() & set(SHOWN):
        paths = shown_paths(place, shows[place])
        wrong = [path for path in paths if path not in catalogue() or not catalogue()[path].by & {"api", "derived"}]
        faults += [
            document.fault(f"{path} is not shown by any API{suggestion(path)}", "shows", place) for path in wrong
        ]
    return faults


def _policy_faults(document: yamlio.Document, fact: str, row: Any) -> list[Fault]:
    known = catalogue().get(fact)
    if known is None or "venue" not in known.by:
        return [document.fault(f"{fact} is not a fact that a venue file may state", "policies", fact)]
    if not isinstance(row, dict) or "value" not in row or row.keys() - _POLICY_KEYS:
        return [document.fault(f"{fact} needs value, and of {', '.join(sorted(_POLICY_KEYS))} only", "policies", fact)]
    faults = _date_faults(document, row, "policies", fact)
    if row["value"] is None:
        return faults
    wrong = known.check(row["value"])
    unsourced = [] if row.get("sources") else [document.fault(f"{fact} has a value and no source", "policies", fact)]
    return faults + unsourced + ([document.fault(f"{fact}: {wrong}", "policies", fact, "value")] if wrong else [])


def _date_faults(document: yamlio.Document, row: Any, *place: str) -> list[Fault]:
    said = row.get("as_of") if isinstance(row, dict) else None
    if said is None or (_AS_OF.match(str(said)) and parse_time(f"{said}-01-01"[: len("2026-01-01")])):
        return []
    return [document.fault("must be a year, a month or a day: 2026, 2026-08 or 2026-08-31", *place, "as_of")]
