"""What a well-formed evidence document means at a moment: expired answers are gone, nulls are told from absences, times
are spelled one way, and a counted list of keys is complete or not.

Works on plain documents that passed `model/document.py`; what can be computed in SQL is not computed here.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from auditor.model.document import fillable
from auditor.model.evidence import Problem, Reason, Snapshot, Source
from auditor.model.facts import COMPLETENESS, LISTS, format_time, of_scope, parse_time
from auditor.redaction import mask_personal, masked_id

COUNT_HOLDS = timedelta(days=30)
"""How long the owner's count of keys says anything about the list of them."""

UNKNOWN_MARK = "unknown"
"""Key of a normalised document or row: facts that were given as null, and must not be derived or taken from the venue."""

_NAMES = ("account.name", "account.exchange")
_facts = cache(of_scope)
_LONGEST_MASKED = 11
_DATE_LENGTH = len("2026-11-20")


def normalise(value: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A checked document as it counts at `now`: expired answers gone, nulls marked, times spelled one way, keys counted.

    The document itself is left as it is. Normalising twice changes nothing.
    """
    known = {key: part for key, part in value.items() if part is not None}
    known["account"] = dict(value["account"])
    known["venue"] = dict(value.get("venue") or {})
    known |= {key: [dict(row) for row in known[key]] for key in LISTS.values() if key in known}
    known["sources"] = {path: _dated(source) for path, source in (value.get("sources") or {}).items()}
    known["problems"] = [_without_nulls(problem) for problem in value.get("problems") or ()]
    known["collected_at"] = format_time(parse_time(value.get("collected_at")) or now)
    _expire(known, now)
    marks = set(value.get(UNKNOWN_MARK) or ())
    for scope in ("account", "venue"):
        marks |= {f"{scope}.{name}" for name, held in known[scope].items() if held is None}
        known[scope] = _spelled(scope, known[scope])
    for scope, key in LISTS.items():
        if key in known:
            known[key] = [_spelled(scope, row) for row in known[key]]
    complete = COMPLETENESS["api_key"]
    if complete not in marks and "key_inventory_complete" not in known["account"] and _counted(known, now):
        known["account"]["key_inventory_complete"] = True
    if marks:
        known[UNKNOWN_MARK] = sorted(marks)
    return known


def _dated(source: dict[str, Any]) -> dict[str, Any]:
    """A source whose time every engine reads: not all take a small t for the T between day and hour."""
    return {**source, "at": source["at"].upper()} if source.get("at") else source


def _without_nulls(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value is not None}


def _spelled(scope: str, row: dict[str, Any]) -> dict[str, Any]:
    """The known facts of a row, times in the one spelling; a null in a row of a list keeps its name under the mark."""
    facts = _facts(scope)
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
        if not _expired(source, now):
            continue
        del known["sources"][path]
        if _drop(known, path):
            detail = f"the answer of {source.get('at') or 'an unknown day'} expired on {source['expires']}"
            expired = Problem(
                endpoint="attestation", reason=Reason.ATTESTATION_EXPIRED, detail=detail, facts=(path,)
            ).to_document()
            known["problems"].append(expired)


def _expired(source: dict[str, Any], now: datetime) -> bool:
    """Whether an answer no longer holds. A date counts to its end."""
    expires = parse_time(source.get("expires"))
    if expires is None:
        return False
    return now >= expires + timedelta(days=1 if len(source["expires"]) == _DATE_LENGTH else 0)


def _drop(known: dict[str, Any], path: str) -> bool:
    """Forgets what a source stood for: a fact, a whole list, or all of a scope that has no source of its own."""
    scope, _, name = path.partition(".")
    if path in LISTS.values():
        return known.pop(path, None) is not None
    rows = [known[scope]] if scope in {"account", "venue"} else known.get(LISTS.get(scope, "")) or []
    kept = {*_NAMES, *known["sources"]}
    names = [name] if name else [fact for fact in rows[0] if f"{scope}.{fact}" not in kept]
    held = [(row, fact) for row in rows for fact in names if row.get(fact) is not None]
    for row, fact in held:
        del row[fact]
    return bool(held)


def _counted(known: dict[str, Any], now: datetime) -> bool:
    """Whether as many distinct keys were read as the owner counted in the last 30 days, and no key list failed.

    Rows alike in everything may be one key twice, and count once.
    """
    count = known["account"].get("keys_counted")
    counted_at = parse_time((known["sources"].get("account.keys_counted") or {}).get("at"))
    if count is None or counted_at is None or known.get("api_keys") is None:
        return False
    if any("api_keys" in problem.get("facts", ()) for problem in known["problems"]):
        return False
    own = [row for row in known["api_keys"] if not row.get("sub_account")]
    distinct = {row.get("fingerprint") or json.dumps(row, sort_keys=True) for row in own}
    return bool(counted_at <= now + timedelta(days=1) and now - counted_at <= COUNT_HOLDS and len(distinct) == count)


def snapshot(value: dict[str, Any], now: datetime) -> Snapshot:
    """The snapshot of a normalised document, fit to be shown: no mark, no personal data, no whole public id."""
    return Snapshot(
        collected_at=parse_time(value.get("collected_at")) or now,
        account=_shown(value["account"]),
        **{
            key: [_shown(row) for row in rows] if (rows := value.get(key)) is not None else None
            for key in LISTS.values()
        },
        venue=_shown(value.get("venue") or {}),
        sources={path: Source(**_shown(source)) for path, source in (value.get("sources") or {}).items()},
        problems=tuple(
            Problem(
                endpoint=mask_personal(problem["endpoint"]),
                reason=Reason(problem["reason"]),
                detail=mask_personal(problem.get("detail", "")),
                facts=tuple(map(mask_personal, problem.get("facts", ()))),
            )
            for problem in value.get("problems") or ()
        ),
    )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: _masked(held) for name, held in row.items() if name != UNKNOWN_MARK and held is not None}
    return shown | {"masked_id": short_id(shown["masked_id"])} if "masked_id" in shown else shown


def short_id(given: str) -> str:
    """What may be shown of a masked id: an evidence document may hold a whole one."""
    return masked_id(given) if len(given) > _LONGEST_MASKED else given


def _masked(value: Any) -> Any:
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return mask_personal(value) if isinstance(value, str) else value
