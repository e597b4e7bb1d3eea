"""What a well-formed evidence document means at a moment: expired answers are gone, nulls are told from absences, times
are spelled one way, and a counted list of keys is complete or not.

Works on plain documents that passed `model/document.py`; what can be computed in SQL is not computed here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from auditor.model.document import fillable
from auditor.model.evidence import Problem, Reason, Snapshot, Source
from auditor.model.facts import LISTS, format_time, of_scope, parse_time

COUNT_HOLDS = timedelta(days=30)
"""How long the owner's count of keys says anything about the list of them."""

UNKNOWN_MARK = "unknown"
"""Key of a normalised document or row: facts that were given as null, and must not be derived or taken from the venue."""

_DATE_LENGTH = len("2026-11-20")


def normalise(value: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A checked document as it counts at `now`: expired answers gone, nulls marked, times spelled one way, keys counted."""
    known = {key: dict(part) if isinstance(part, dict) else part for key, part in value.items() if part is not None}
    known["sources"] = dict(value.get("sources") or {})
    known["problems"] = list(value.get("problems") or [])
    known.setdefault("collected_at", format_time(now))
    _expire(known, now)
    marks = set(value.get(UNKNOWN_MARK) or ())
    for scope, rows in (("account", [known["account"]]), ("venue", [known.get("venue", {})])):
        marks |= {f"{scope}.{name}" for row in rows for name, held in row.items() if held is None}
    for scope, key in LISTS.items():
        if known.get(key) is not None:
            known[key] = [_spelled(scope, row) for row in known[key]]
    known["account"] = {**_spelled("account", known["account"])}
    if known.get("venue"):
        known["venue"] = _spelled("venue", known["venue"])
    complete = "account.key_inventory_complete"
    if complete not in marks and "key_inventory_complete" not in known["account"] and _counted(known, now):
        known["account"]["key_inventory_complete"] = True
    if marks:
        known[UNKNOWN_MARK] = sorted(marks)
    return known


def _spelled(scope: str, row: dict[str, Any]) -> dict[str, Any]:
    """The known facts of a row, times in the one spelling; a null in a row of a list keeps its name under the mark."""
    facts = of_scope(scope)
    spelled: dict[str, Any] = {}
    nulls = [name for name, value in row.items() if value is None and name in facts and fillable(facts[name])]
    for name, value in row.items():
        if value is None:
            continue
        moment = parse_time(value) if name in facts and facts[name].kind == "time" else None
        spelled[name] = format_time(moment) if moment else value
    if nulls and scope in LISTS:
        spelled[UNKNOWN_MARK] = nulls
    return spelled


def _expire(known: dict[str, Any], now: datetime) -> None:
    """Drops what the owner said and what has expired since; the problem list says so."""
    for path, source in list(known["sources"].items()):
        expires = parse_time(source.get("expires"))
        scope, _, name = path.partition(".")
        if expires is None or now < expires + timedelta(days=1 if len(source["expires"]) == _DATE_LENGTH else 0):
            continue
        if scope in {"account", "venue"} and known.get(scope, {}).pop(name, None) is None:
            continue
        for row in known.get(LISTS.get(scope, "")) or []:
            row.pop(name, None)
        del known["sources"][path]
        expired = Problem(
            endpoint="attestation",
            reason=Reason.ATTESTATION_EXPIRED,
            detail=f"the answer of {source.get('at', 'an unknown day')} expired on {source['expires']}",
            facts=(path,),
        )
        known["problems"].append(expired.to_document())


def _counted(known: dict[str, Any], now: datetime) -> bool:
    """Whether as many distinct keys were read as the owner counted in the last 30 days, and no key list failed."""
    count = known["account"].get("keys_counted")
    counted_at = parse_time((known["sources"].get("account.keys_counted") or {}).get("at"))
    if count is None or counted_at is None or known.get("api_keys") is None:
        return False
    if any("api_keys" in problem.get("facts", ()) for problem in known["problems"]):
        return False
    own = [row for row in known["api_keys"] if "sub_account" not in row]
    return bool(counted_at <= now + timedelta(days=1) and now - counted_at <= COUNT_HOLDS and len(own) == count)


def snapshot(value: dict[str, Any], now: datetime) -> Snapshot:
    """The snapshot of a normalised document."""
    return Snapshot(
        collected_at=parse_time(value.get("collected_at")) or now,
        account=value["account"],
        **{key: value.get(key) for key in LISTS.values()},
        venue=value.get("venue") or {},
        sources={path: Source(**source) for path, source in (value.get("sources") or {}).items()},
        problems=tuple(
            Problem(
                endpoint=problem["endpoint"],
                reason=Reason(problem["reason"]),
                detail=problem.get("detail", ""),
                facts=tuple(problem.get("facts", ())),
            )
            for problem in value.get("problems") or ()
        ),
    )
