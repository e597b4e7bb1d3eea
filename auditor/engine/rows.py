"""The rows of a list as a table of the engine: what was seen, and the one unseen subject where the list is not known to be
whole; derived facts filled in.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from auditor.engine.derived import DERIVED
from auditor.engine.spelled import ASKED, NAMED, SQL_TYPES, filled, levels, problems
from auditor.model.facts import COMPLETENESS, LISTS, Fact
from auditor.model.normalise import UNKNOWN_MARK

LOOK_BACK_DAYS = 90
"""How far a security log has to reach back, or to the making of the account: one that does not holds lines nobody saw."""
_UNSEEN_FACTS = {
    # A key that was not listed did not make the calls, if the one that did was seen and no list of keys failed.
    "api_key.is_audit_key": "CASE WHEN d.doc IN (SELECT doc FROM seen_api_key WHERE is_audit_key) "  # noqa: S608  (our own names)
    f"AND {problems(NAMED.format('api_keys'))} = 0 THEN FALSE END",
}


def make_rows(connection: Any, scope: str, facts: list[Fact], kind: str, stated: Collection[str]) -> None:
    """The table of a row scope: what was seen, and the one unseen subject where the list is not known to be whole."""
    fields = "".join(f', "{fact.name}"' for fact in facts)
    nulls = "".join(f", {_UNSEEN_FACTS.get(fact.path, 'NULL')}::{SQL_TYPES[fact.kind]}" for fact in facts)
    seen = f"SELECT doc, n, FALSE AS unseen, {UNKNOWN_MARK} AS marks{fields} FROM seen_{scope}"  # noqa: S608
    unseen = (
        f"SELECT d.doc, 0 AS n, TRUE AS unseen, NULL::VARCHAR[] AS marks{nulls} "  # noqa: S608
        f"FROM docs d JOIN account ON account.doc = d.doc WHERE {_unseen(scope)}"
    )
    query = f"{seen} UNION ALL {unseen}"
    once, joined = _once(connection, scope, facts)
    for level in levels(facts):
        changed = ", ".join(
            filled(
                fact,
                f'{scope}."{fact.name}"' if fact.path in {*stated, *_UNSEEN_FACTS} else None,
                f"{scope}.marks, '{fact.name}'" if f"{scope}.{UNKNOWN_MARK}" in stated else None,
                once.get(fact.path, DERIVED[fact.path].sql),
            )
            for fact in level
        )
        query = (
            f"SELECT {scope}.* REPLACE ({changed}) FROM ({query}) AS {scope} "  # noqa: S608
            f"JOIN account ON account.doc = {scope}.doc{joined}"
        )
        joined = ""
    connection.execute(f"CREATE {kind} {scope} AS {query}")


def _once(connection: Any, scope: str, facts: list[Fact]) -> tuple[dict[str, str], str]:
    """What follows from one list alone is derived once for each list, however many rows hold that one: where it stands,
    by fact, and how to come there. Keys of one program share their addresses, and patterns over them cost most of all.
    """
    found: dict[str, str] = {}
    joined = ""
    for given in (fact for fact in facts if fact.kind in {"set", "list"}):
        of_it = [fact for fact in facts if fact.path in DERIVED and DERIVED[fact.path].inputs == (given.path,)]
        if of_it:
            table, columns = (
                f"once_{given.name}",
                ", ".join(f'({DERIVED[fact.path].sql}) AS "{fact.name}"' for fact in of_it),
            )
            connection.execute(
                f'CREATE TABLE {table} AS SELECT {scope}."{given.name}", {columns} '  # noqa: S608  (our own names)
                f'FROM (SELECT DISTINCT "{given.name}" FROM seen_{scope}) AS {scope} WHERE {scope}."{given.name}" IS NOT NULL'
            )
            found |= {fact.path: f'{table}."{fact.name}"' for fact in of_it}
            joined += f' LEFT JOIN {table} ON {table}."{given.name}" = {scope}."{given.name}"'
    return found, joined


def _unseen(scope: str) -> str:
    key = LISTS[scope]
    if scope == "event":
        reaches = f"greatest(account.now_ - INTERVAL '{LOOK_BACK_DAYS}' DAY, account.created_at)"
        return f"d.{key} IS NULL OR account.events_cover_from IS NULL OR account.events_cover_from > {reaches}"
    incomplete = f"account.{COMPLETENESS[scope].partition('.')[2]} IS NOT TRUE"
    if scope == "withdrawal":  # opt-in: a list nobody asked for holds no unseen subject
        failed = problems(NAMED.format(key) + ASKED)
        asked = f"(d.{key} IS NOT NULL OR {failed} > 0)"
        return f"{asked} AND {incomplete}"
    return f"d.{key} IS NULL OR {incomplete}"
