"""The trusted views: evidence lines as one table a subject type, joined with account and venue facts, derived facts filled in.

Only the facts that the rules need are read. A list that was not seen, or is not known to be complete, holds one more
subject about which nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from auditor.engine.derived import DERIVED, LOOKED_THROUGH, closure
from auditor.engine.loaded import load, load_venues
from auditor.engine.rows import make_rows
from auditor.engine.spelled import ASKED, NAMED, SQL_TYPES, filled, levels, problems
from auditor.engine.tables import Part
from auditor.model.facts import COMPLETENESS, LISTS, SCOPES, Fact, catalogue, format_time
from auditor.model.normalise import UNKNOWN_MARK

_BROKEN = "'malformed_response', 'implausible_response'"
_DELIBERATE = "'not_exposed', 'not_collected', 'permission_denied', 'attestation_expired'"
_LOCKED = (
    "SET temp_directory = ''",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET allow_persistent_secrets = false",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


def open_views(
    parts: Sequence[Part],
    now: datetime,
    facts: Iterable[str],
    venues: Mapping[str, Mapping[str, Any]],
    *,
    folder: Path | None = None,
) -> Any:
    """A locked DuckDB connection with the tables `account`, `venue` and one a row scope that has `facts`, over parts of evidence.

    `venues` is exchange id -> the venue facts of its file. Account policies of a venue file are given under the same id
    with the prefix `account.`. With a `folder`, which may be written to, it uses one processor, and rows are made anew for
    each query.
    """
    import duckdb

    needed = closure({*facts, *COMPLETENESS.values(), "account.events_cover_from", "account.created_at"})
    by_scope = {
        scope: [catalogue()[path_] for path_ in needed if catalogue()[path_].scope == scope] for scope in SCOPES
    }
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")  # every row knows its place
    stated = {path for part in parts for path in part.stated}
    if folder is not None:
        connection.execute("SET threads = 1")
        connection.execute("SET allowed_directories = [$1]", [str(folder)])
    load(connection, parts, by_scope, stated)
    load_venues(connection, venues, by_scope)
    for statement in _LOCKED:
        connection.execute(statement)
    _effective(connection, "venue", by_scope["venue"], now, stated)
    _effective(connection, "account", by_scope["account"], now, stated)
    for scope in LISTS:
        if by_scope[scope]:
            make_rows(connection, scope, by_scope[scope], "TABLE" if folder is None else "VIEW", stated)
    return connection


def _effective(connection: Any, scope: str, facts: list[Fact], now: datetime, stated: set[str]) -> None:
    """The table of `scope`, one row a document: given, else from the venue file, else derived, level by level."""
    given = [f"{_given(scope, fact, stated)} AS {_column(fact)}" for fact in facts]
    extra = [f"TIMESTAMPTZ '{format_time(now)}' AS now_", *_COUNTS] if scope == "account" else []
    if scope == "account" and any(fact.name == "last_small_withdrawal_at" for fact in facts):
        extra.append(_LAST_ARRIVAL)  # its columns are read only where it is needed
    query = (
        f"SELECT d.doc, d.{UNKNOWN_MARK} AS marks{', '.join(['', *extra, *given])} "  # noqa: S608  (our own names)
        "FROM docs d LEFT JOIN catalogue c ON c.exchange = d.account.exchange"
    )
    query = f"SELECT {scope}.* FROM ({query}) AS {scope}"  # noqa: S608
    for level in levels(facts):
        changed = ", ".join(
            filled(
                fact,
                f"{scope}.{_column(fact)}" if fact.path in stated or "venue" in fact.by else None,
                f"{scope}.marks, '{fact.path}'" if UNKNOWN_MARK in stated else None,
                DERIVED[fact.path].sql,
            )
            for fact in level
        )
        joined = "" if scope == "venue" else " JOIN venue ON venue.doc = account.doc"
        query = f"SELECT {scope}.* REPLACE ({changed}) FROM ({query}) AS {scope}{joined}"  # noqa: S608
    nobody = [fact for fact in facts if _unsaid(fact, stated)]
    kept = f" EXCLUDE ({', '.join(_column(fact) for fact in nobody)})" if nobody else ""
    connection.execute(f"CREATE TABLE known_{scope} AS SELECT {scope}.*{kept} FROM ({query}) AS {scope}")  # noqa: S608
    columns = "".join(f", NULL::{SQL_TYPES[fact.kind]} AS {_column(fact)}" for fact in nobody)
    connection.execute(f"CREATE VIEW {scope} AS SELECT *{columns} FROM known_{scope}")  # noqa: S608


def _unsaid(fact: Fact, stated: set[str]) -> bool:
    """Whether nothing can say it: then it takes no room, and what depends on it is unknown before a row is read."""
    return (
        fact.path not in stated and fact.path not in DERIVED and not fact.by & {"venue"} and fact.path != "account.name"
    )


def _column(fact: Fact) -> str:
    return f'"{fact.name}"'


def _until(fact: str) -> str:
    """When the owner spoke of a whole list by `fact`. A day lasts until its end."""
    said = f"""d.sources['{fact}']."at\""""
    ends = f"to_days(CASE WHEN length({said}) = 10 THEN 1 ELSE 0 END)"
    return f"TRY_CAST({said} AS TIMESTAMPTZ) + {ends} AS {fact.partition('.')[2]}_until"


_ANSWERS = """list_filter(map_values(d.sources), lambda s: s."by" IN ('attest', 'config'))"""
_COUNTS = (
    "d.addresses AS address_count",
    "d.withdrawals AS withdrawal_count",
    f"{problems(NAMED.format('addresses'))} AS address_trouble_count",
    f"{problems(NAMED.format('withdrawals'))} AS withdrawal_trouble_count",
    f"{problems(NAMED.format('account.balance_usd') + ASKED)} AS balance_trouble_count",
    f"{problems(f'p.reason IN ({_BROKEN})')} AS broken_count",
    f"{problems(f'p.reason NOT IN ({_BROKEN}, {_DELIBERATE})')} AS failed_count",
    "coalesce(len(list_filter(map_values(d.sources), lambda s: s.contradicts IS NOT NULL)), 0) AS contradicted_count",
    f'coalesce(list_transform({_ANSWERS}, lambda s: TRY_CAST(left(s."at", 10) AS DATE)), []) AS answered_on',
    *map(_until, LOOKED_THROUGH),
)


_LAST_ARRIVAL = (
    """(SELECT max(w."at") FROM seen_withdrawal w WHERE w.doc = d.doc AND w."state" = 'done') AS last_arrival"""
)


def _given(scope: str, fact: Fact, stated: set[str]) -> str:
    if fact.path == "account.name":
        return "d.account.name"
    own = f'd.{scope}."{fact.name}"' if fact.path in stated else f"NULL::{SQL_TYPES[fact.kind]}"
    if "venue" not in fact.by:
        return own
    policy = f'c."{fact.path}"'
    if fact.path == "venue.id":  # an exchange without a file has the name its account gives it
        policy = f"coalesce({policy}, d.account.exchange)"
    if UNKNOWN_MARK in stated:
        return f"CASE WHEN {own} IS NOT NULL OR list_contains(d.{UNKNOWN_MARK}, '{fact.path}') THEN {own} ELSE {policy} END"
    return f"coalesce({own}, {policy})" if fact.path in stated else policy
