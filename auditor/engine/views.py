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
from auditor.engine.rows import make_rows
from auditor.engine.spelled import ASKED, NAMED, SQL_TYPES, levels, problems
from auditor.engine.tables import DOCUMENTS, Part
from auditor.model.facts import COMPLETENESS, LISTS, SCOPES, Fact, catalogue, format_time
from auditor.model.normalise import UNKNOWN_MARK

_SMALLEST_BUFFER = 2**18  # bytes; DuckDB reads a file in parallel by buffers of this order
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
    kept: bool = True,
    folder: Path | None = None,
) -> Any:
    """A locked DuckDB connection with the tables `account`, `venue` and one a row scope that has `facts`, over parts of evidence.

    `venues` is exchange id -> the venue facts of its file. Account policies of a venue file are given under the same id
    with the prefix `account.`. Rows that are not `kept` are made anew for each query. `folder` may be written to.
    """
    import duckdb

    needed = closure({*facts, *COMPLETENESS.values(), "account.events_cover_from", "account.created_at"})
    by_scope = {
        scope: [catalogue()[path_] for path_ in needed if catalogue()[path_].scope == scope] for scope in SCOPES
    }
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")  # every row knows its place
    _load(connection, parts, by_scope)
    _load_venues(connection, venues, by_scope)
    if folder is not None:
        connection.execute("SET allowed_directories = [$1]", [str(folder)])
    for statement in _LOCKED:
        connection.execute(statement)
    _effective(connection, "venue", by_scope["venue"], now)
    _effective(connection, "account", by_scope["account"], now)
    for scope in LISTS:
        if by_scope[scope]:
            make_rows(connection, scope, by_scope[scope], "TABLE" if kept else "VIEW")
    return connection


def _struct(facts: list[Fact]) -> str:
    fields = [f'"{fact.name}" {SQL_TYPES[fact.kind]}' for fact in facts]
    return f"STRUCT({', '.join([*fields, f'{UNKNOWN_MARK} VARCHAR[]'])})"


def _load(connection: Any, parts: Sequence[Part], by_scope: dict[str, list[Fact]]) -> None:
    """The tables `docs` and, of each row scope with facts, `seen_<scope>`: what was read, as it was given."""
    account = [fact for fact in by_scope["account"] if fact.name != "name"]
    documents = {
        "account": _struct(account).replace("STRUCT(", "STRUCT(name VARCHAR, exchange VARCHAR, ", 1),
        "venue": _struct(by_scope["venue"]),
        **dict.fromkeys(LISTS.values(), "INTEGER"),
        UNKNOWN_MARK: "VARCHAR[]",
        "problems": "STRUCT(reason VARCHAR, facts VARCHAR[])[]",
        "sources": 'MAP(VARCHAR, STRUCT("by" VARCHAR, "at" VARCHAR, contradicts VARCHAR))',
    }
    _read(connection, "docs", parts, DOCUMENTS, documents)
    for scope, key in LISTS.items():
        if by_scope[scope]:
            facts = {fact.name: SQL_TYPES[fact.kind] for fact in by_scope[scope]}
            _read(connection, f"seen_{scope}", parts, key, {"n": "INTEGER", **facts, UNKNOWN_MARK: "VARCHAR[]"})


def _read(connection: Any, table: str, parts: Sequence[Part], key: str, columns: Mapping[str, str]) -> None:
    """A table of the engine out of one of the evidence. Its documents are numbered through all parts."""
    spelled = ", ".join(f'"{name}" {type_}' for name, type_ in columns.items())
    connection.execute(f"CREATE TABLE {table} (doc INTEGER, {spelled})")
    listed = ", ".join(f"\"{name}\": '{type_}'" for name, type_ in {"doc": "INTEGER", **columns}.items())
    before = 0
    for part in parts:
        if part.path(key).exists():
            largest = max(3 * part.longest, _SMALLEST_BUFFER)  # 1e15 is spelled 1000000000000000.0
            connection.execute(
                f"INSERT INTO {table} SELECT * REPLACE (doc + {before} AS doc) FROM read_json("  # noqa: S608  (our own names)
                f"$1, format = 'newline_delimited', columns = {{{listed}}}, maximum_object_size = {largest})",
                [str(part.path(key))],
            )
        before += part.count


def _load_venues(connection: Any, venues: Mapping[str, Mapping[str, Any]], by_scope: dict[str, list[Fact]]) -> None:
    """A small table of what the venue files say, with both scopes side by side."""
    facts = [*by_scope["venue"], *by_scope["account"]]
    columns = ", ".join(f'"{fact.path}" {SQL_TYPES[fact.kind]}' for fact in facts)
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
    for level in levels(facts):
        changed = ", ".join(
            f'CASE WHEN {scope}."{fact.name}" IS NOT NULL THEN {scope}."{fact.name}" '
            f"WHEN list_contains({scope}.marks, '{fact.path}') THEN NULL ELSE ({DERIVED[fact.path].sql}) END AS \"{fact.name}\""
            for fact in level
        )
        joined = "" if scope == "venue" else " JOIN venue ON venue.doc = account.doc"
        query = f"SELECT {scope}.* REPLACE ({changed}) FROM ({query}) AS {scope}{joined}"  # noqa: S608
    connection.execute(f"CREATE TABLE {scope} AS {query}")


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
