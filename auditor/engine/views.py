"""The trusted views: evidence lines as one table a subject type, joined with account and venue facts, derived facts filled in.

Only the facts that the rules need are read. A list that was not seen, or is not known to be complete, holds one more
subject about which nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from auditor.engine.derived import DERIVED, LOOKED_THROUGH, closure
from auditor.engine.intake import Evidence
from auditor.model.facts import COMPLETENESS, LISTS, SCOPES, Fact, catalogue, format_time
from auditor.model.normalise import UNKNOWN_MARK

LOOK_BACK_DAYS = 90
"""How far a security log has to reach back, or to the making of the account: one that does not holds lines nobody saw."""
_SQL_TYPES = {
    "bool": "BOOLEAN",
    "int": "BIGINT",
    "number": "DOUBLE",
    "text": "VARCHAR",
    "time": "TIMESTAMPTZ",
    "enum": "VARCHAR",
    "set": "VARCHAR[]",
    "list": "VARCHAR[]",
}
_SMALLEST_BUFFER = 2**18  # bytes; DuckDB reads a file in parallel by buffers of this order
_BROKEN = "'malformed_response', 'implausible_response'"
_DELIBERATE = "'not_exposed', 'not_collected', 'permission_denied', 'attestation_expired'"
_NAMED = "list_contains(p.facts, '{}')"
_ASKED = " AND p.reason <> 'not_collected'"  # what is opt-in and was not asked for is no trouble
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


def open_views(evidence: Evidence, facts: Iterable[str], venues: Mapping[str, Mapping[str, Any]]) -> Any:
    """A locked DuckDB connection with the tables `account`, `venue` and one a row scope that has `facts`, over the evidence.

    `venues` is exchange id -> the venue facts of its file. Account policies of a venue file are given under the same id
    with the prefix `account.`.
    """
    import duckdb

    needed = closure({*facts, *COMPLETENESS.values(), "account.events_cover_from", "account.created_at"})
    by_scope = {
        scope: [catalogue()[path_] for path_ in needed if catalogue()[path_].scope == scope] for scope in SCOPES
    }
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    _load(connection, evidence, by_scope)
    _load_venues(connection, venues, by_scope)
    for statement in _LOCKED:
        connection.execute(statement)
    _effective(connection, "venue", by_scope["venue"], evidence.now)
    _effective(connection, "account", by_scope["account"], evidence.now)
    for scope in LISTS:
        if by_scope[scope]:
            _rows(connection, scope, by_scope[scope])
    return connection


def _struct(facts: list[Fact]) -> str:
    fields = [f'"{fact.name}" {_SQL_TYPES[fact.kind]}' for fact in facts]
    return f"STRUCT({', '.join([*fields, f'{UNKNOWN_MARK} VARCHAR[]'])})"


def _load(connection: Any, evidence: Evidence, by_scope: dict[str, list[Fact]]) -> None:
    account = [fact for fact in by_scope["account"] if fact.name != "name"]
    columns = {
        "account": _struct(account).replace("STRUCT(", "STRUCT(name VARCHAR, exchange VARCHAR, ", 1),
        "venue": _struct(by_scope["venue"]),
        **{key: _struct(by_scope[scope]) + "[]" for scope, key in LISTS.items()},
        UNKNOWN_MARK: "VARCHAR[]",
        "problems": "STRUCT(reason VARCHAR, facts VARCHAR[])[]",
        "sources": 'MAP(VARCHAR, STRUCT("by" VARCHAR, "at" VARCHAR, contradicts VARCHAR))',
    }
    listed = ", ".join(f"{name}: '{type_}'" for name, type_ in columns.items())
    largest = max(3 * evidence.longest, _SMALLEST_BUFFER)  # 1e15 is spelled 1000000000000000.0
    connection.execute(
        f"CREATE TABLE docs AS SELECT (row_number() OVER ())::INTEGER AS doc, * FROM read_json("  # noqa: S608  (our own names)
        f"$1, format = 'newline_delimited', columns = {{{listed}}}, maximum_object_size = {largest})",
        [str(evidence.path)],
    )


def _load_venues(connection: Any, venues: Mapping[str, Mapping[str, Any]], by_scope: dict[str, list[Fact]]) -> None:
    """A small table of what the venue files say, with both scopes side by side."""
    facts = [*by_scope["venue"], *by_scope["account"]]
    columns = ", ".join(f'"{fact.path}" {_SQL_TYPES[fact.kind]}' for fact in facts)
    connection.execute(f"CREATE TABLE catalogue (exchange VARCHAR{', ' + columns if columns else ''})")
    rows = [[exchange, *(known.get(fact.path) for fact in facts)] for exchange, known in sorted(venues.items())]
    if rows:
        marks = ", ".join(f"({', '.join('?' for _ in row)})" for row in rows)
        connection.execute(f"INSERT INTO catalogue VALUES {marks}", [value for row in rows for value in row])  # noqa: S608


def _effective(connection: Any, scope: str, facts: list[Fact], now: datetime) -> None:
    """The table of `scope`, one row a document: given, else from the venue file, else derived, level by level."""
    given = [f'{_given(scope, fact)} AS "{fact.name}"' for fact in facts]
    extra = [f"TIMESTAMPTZ '{format_time(now)}' AS now_", *_COUNTS] if scope == "account" else []
    if scope == "account" and any(fact.name == "last_small_withdrawal_at" for fact in facts):
        extra.append(_LAST_ARRIVAL)  # its columns are read only where it is needed
    query = (
        f"SELECT d.doc, d.{UNKNOWN_MARK} AS marks{', '.join(['', *extra, *given])} "  # noqa: S608  (our own names)
        "FROM docs d LEFT JOIN catalogue c ON c.exchange = d.account.exchange"
    )
    query = f"SELECT {scope}.* FROM ({query}) AS {scope}"  # noqa: S608
    for level in _levels(facts):
        changed = ", ".join(
            f'CASE WHEN {scope}."{fact.name}" IS NOT NULL THEN {scope}."{fact.name}" '
            f"WHEN list_contains({scope}.marks, '{fact.path}') THEN NULL ELSE ({DERIVED[fact.path].sql}) END AS \"{fact.name}\""
            for fact in level
        )
        joined = "" if scope == "venue" else " JOIN venue ON venue.doc = account.doc"
        query = f"SELECT {scope}.* REPLACE ({changed}) FROM ({query}) AS {scope}{joined}"  # noqa: S608
    connection.execute(f"CREATE TABLE {scope} AS {query}")


def _problems(condition: str) -> str:
    """How many problems of a document `p` are such."""
    return f"coalesce(len(list_filter(d.problems, lambda p: {condition})), 0)"


def _until(fact: str) -> str:
    """When the owner spoke of a whole list by `fact`. A day lasts until its end."""
    said = f"""d.sources['{fact}']."at\""""
    ends = f"to_days(CASE WHEN length({said}) = 10 THEN 1 ELSE 0 END)"
    return f"TRY_CAST({said} AS TIMESTAMPTZ) + {ends} AS {fact.partition('.')[2]}_until"


_ANSWERS = """list_filter(map_values(d.sources), lambda s: s."by" IN ('attest', 'config'))"""
_COUNTS = (
    "len(d.addresses) AS address_count",
    "len(d.withdrawals) AS withdrawal_count",
    f"{_problems(_NAMED.format('addresses'))} AS address_trouble_count",
    f"{_problems(_NAMED.format('withdrawals'))} AS withdrawal_trouble_count",
    f"{_problems(_NAMED.format('account.balance_usd') + _ASKED)} AS balance_trouble_count",
    f"{_problems(f'p.reason IN ({_BROKEN})')} AS broken_count",
    f"{_problems(f'p.reason NOT IN ({_BROKEN}, {_DELIBERATE})')} AS failed_count",
    "coalesce(len(list_filter(map_values(d.sources), lambda s: s.contradicts IS NOT NULL)), 0) AS contradicted_count",
    f'coalesce(list_transform({_ANSWERS}, lambda s: TRY_CAST(left(s."at", 10) AS DATE)), []) AS answered_on',
    *map(_until, LOOKED_THROUGH),
)


_ARRIVED = """list_filter(d.withdrawals, lambda one: one."state" = 'done')"""
_LAST_ARRIVAL = f'list_max(list_transform({_ARRIVED}, lambda one: one."at")) AS last_arrival'
_UNSEEN_FACTS = {
    # A key that was not listed did not make the calls, if the one that did was seen and no list of keys failed.
    "api_key.is_audit_key": "CASE WHEN list_bool_or(list_transform(d.api_keys, lambda key: key.is_audit_key)) "
    f"AND {_problems(_NAMED.format('api_keys'))} = 0 THEN FALSE END",
}


def _given(scope: str, fact: Fact) -> str:
    if fact.path == "account.name":
        return "d.account.name"
    own = f'd.{scope}."{fact.name}"'
    if "venue" not in fact.by:
        return own
    policy = f'c."{fact.path}"'
    if fact.path == "venue.id":  # an exchange without a file has the name its account gives it
        policy = f"coalesce({policy}, d.account.exchange)"
    return f"CASE WHEN {own} IS NOT NULL OR list_contains(d.{UNKNOWN_MARK}, '{fact.path}') THEN {own} ELSE {policy} END"


def _levels(facts: list[Fact]) -> list[list[Fact]]:
    """Derived facts in an order in which each stands after what it is derived from."""
    waiting = [fact for fact in facts if fact.path in DERIVED]
    levels = []
    while waiting:
        blocked = {fact.path for fact in waiting}
        ready = [fact for fact in waiting if not blocked & set(DERIVED[fact.path].inputs)]
        levels.append(ready)
        waiting = [fact for fact in waiting if fact not in ready]
    return levels


def _rows(connection: Any, scope: str, facts: list[Fact]) -> None:
    """The table of a row scope: what was seen, and the one unseen subject where the list is not known to be whole."""
    key = LISTS[scope]
    fields = "".join(f', r."{fact.name}" AS "{fact.name}"' for fact in facts)
    nulls = "".join(f", {_UNSEEN_FACTS.get(fact.path, 'NULL')}::{_SQL_TYPES[fact.kind]}" for fact in facts)
    seen = (
        f"SELECT doc, n, FALSE AS unseen, r.{UNKNOWN_MARK} AS marks{fields} FROM "  # noqa: S608
        f"(SELECT doc, unnest({key}) AS r, generate_subscripts({key}, 1) AS n FROM docs)"
    )
    unseen = (
        f"SELECT d.doc, 0 AS n, TRUE AS unseen, NULL::VARCHAR[] AS marks{nulls} "  # noqa: S608
        f"FROM docs d JOIN account ON account.doc = d.doc WHERE {_unseen(scope)}"
    )
    query = f"{seen} UNION ALL {unseen}"
    for level in _levels(facts):
        changed = ", ".join(
            f'CASE WHEN {scope}."{fact.name}" IS NOT NULL THEN {scope}."{fact.name}" '
            f"WHEN list_contains({scope}.marks, '{fact.name}') THEN NULL ELSE ({DERIVED[fact.path].sql}) END AS \"{fact.name}\""
            for fact in level
        )
        joined = " JOIN account ON account.doc = "
        query = f"SELECT {scope}.* REPLACE ({changed}) FROM ({query}) AS {scope}{joined}{scope}.doc"  # noqa: S608
    connection.execute(f"CREATE TABLE {scope} AS {query}")


def _unseen(scope: str) -> str:
    key = LISTS[scope]
    if scope == "event":
        reaches = f"greatest(account.now_ - INTERVAL '{LOOK_BACK_DAYS}' DAY, account.created_at)"
        return f"d.{key} IS NULL OR account.events_cover_from IS NULL OR account.events_cover_from > {reaches}"
    incomplete = f"account.{COMPLETENESS[scope].partition('.')[2]} IS NOT TRUE"
    if scope == "withdrawal":  # opt-in: a list nobody asked for holds no unseen subject
        failed = _problems(_NAMED.format(key) + _ASKED)
        asked = f"(d.{key} IS NOT NULL OR {failed} > 0)"
        return f"{asked} AND {incomplete}"
    return f"d.{key} IS NULL OR {incomplete}"
