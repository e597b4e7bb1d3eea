"""How facts and what is missing are spelled in the engine's SQL: types, problems of a document, the order of derivation."""

from __future__ import annotations

from auditor.engine.derived import DERIVED
from auditor.model.facts import Fact

SQL_TYPES = {
    "bool": "BOOLEAN",
    "int": "BIGINT",
    "number": "DOUBLE",
    "text": "VARCHAR",
    "time": "TIMESTAMPTZ",
    "enum": "VARCHAR",
    "set": "VARCHAR[]",
    "list": "VARCHAR[]",
}
NAMED = "list_contains(p.facts, '{}')"
ASKED = " AND p.reason <> 'not_collected'"  # what is opt-in and was not asked for is no trouble


def problems(condition: str) -> str:
    """How many problems of a document `p` are such."""
    return f"coalesce(len(list_filter(d.problems, lambda p: {condition})), 0)"


def levels(facts: list[Fact]) -> list[list[Fact]]:
    """Derived facts in an order in which each stands after what it is derived from."""
    waiting = [fact for fact in facts if fact.path in DERIVED]
    levels = []
    while waiting:
        blocked = {fact.path for fact in waiting}
        ready = [fact for fact in waiting if not blocked & set(DERIVED[fact.path].inputs)]
        levels.append(ready)
        waiting = [fact for fact in waiting if fact not in ready]
    return levels
