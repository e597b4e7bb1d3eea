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


def filled(fact: Fact, given: str | None, marked: str | None, otherwise: str) -> str:
    """The column of a fact: what is `given`, nothing where it is `marked` as unknown, and else what follows. No document
    gives it, or marks anything, where that is None.
    """
    cases = f"WHEN {given} IS NOT NULL THEN {given} " if given else ""
    cases += f"WHEN list_contains({marked}) THEN NULL " if marked else ""
    value = f"CASE {cases}ELSE ({otherwise}) END" if cases else f"({otherwise})"
    return f'{value}::{SQL_TYPES[fact.kind]} AS "{fact.name}"'


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
