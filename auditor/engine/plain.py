"""Whether the columns of a table are evidence as they stand, by their types; and what has to hold of their values, as SQL.

As strict as the typed decoder of lines (`model.document.decoder` with nulls), which a test holds it to. Knows of no file: the
table is `rows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.model import document
from auditor.model.evidence import SCHEMA, Reason
from auditor.model.facts import EARLIEST, LARGEST_INT, LARGEST_NUMBER, LATEST, LISTS, Fact, format_time, of_scope

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_TYPES = {
    "bool": ("BOOLEAN",),
    "int": _WHOLE,
    "number": (*_WHOLE, "DOUBLE"),
    "text": ("VARCHAR",),
    "enum": ("VARCHAR",),
    "time": ("TIMESTAMP WITH TIME ZONE", "VARCHAR"),
    "set": ("VARCHAR[]",),
    "list": ("VARCHAR[]",),
}
_TIME = r"20[1-8][0-9]-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z"
_DAY = "20[1-8][0-9]-[0-9]{2}-[0-9]{2}"
_SOURCE = ("by", "ref", "at", "expires", "contradicts")
_PROBLEM = {"endpoint": "VARCHAR", "reason": "VARCHAR", "detail": "VARCHAR", "facts": "VARCHAR[]"}


class OddError(Exception):
    """Something is not plain."""


@dataclass(slots=True)
class Plain:
    """What a table turns out to hold."""

    given: dict[str, str] = field(default_factory=dict)
    """Columns of a document -> how they are found in a row, as SQL."""
    stated: set[str] = field(default_factory=set)
    """The facts that have a column, by path."""
    wrong: list[str] = field(default_factory=list)
    """Queries of how many rows are not plain, and how many bytes of text there are."""


def plain(found: Any) -> Plain:
    """The columns by their types. Raises OddError."""
    types = {name: type_ for name, type_, *_ in found.description}
    scopes = {key: scope for scope, key in LISTS.items()}
    seen = Plain()
    if {"schema", "account"} - set(types):
        raise OddError
    conditions = [f"schema = '{SCHEMA}'", "account IS NOT NULL"]
    for name, type_ in types.items():
        seen.given[name] = name
        if name in {"account", "venue"}:
            conditions += _facts(name, type_, name, seen)
        elif name in scopes:
            _list(scopes[name], name, type_, seen)
        elif name == "sources":
            _sources(type_, seen)
        elif name == "problems":
            _problems(type_, seen)
        elif (name, str(type_)) not in {("schema", "VARCHAR"), *(("collected_at", time) for time in _TYPES["time"])}:
            raise OddError
        elif name == "collected_at":
            conditions += _time(name, str(type_))
    conditions += [f"length(account.{name}) BETWEEN 1 AND {document.LONGEST_NAME}" for name in ("name", "exchange")]
    seen.wrong.append(_wrong("rows", conditions, [f"account.{name}" for name in ("name", "exchange")]))
    return seen


def _fields(type_: Any, known: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The fields of a struct, of these types only where they are given. Raises OddError."""
    if type_.id != "struct":
        raise OddError
    fields = dict(type_.children)
    if known is not None and any(str(of_it) != known.get(name) for name, of_it in fields.items()):
        raise OddError
    return fields


def _facts(scope: str, type_: Any, table: str, seen: Plain) -> list[str]:
    """What must hold of the facts of a scope; texts and lists of texts are asked of by themselves. Raises OddError."""
    known, conditions, texts = of_scope(scope), [], []
    rows = "rows" if table == scope else _each(LISTS[scope], table)
    for name, of_it in _fields(type_).items():
        fact, column = known.get(name), f'{table}."{name}"'
        if scope == "account" and name in {"name", "exchange"}:
            plain = str(of_it) == "VARCHAR"
        elif fact is None:
            raise OddError
        elif plain := str(of_it) in _TYPES[fact.kind]:
            seen.stated.add(fact.path)
            conditions += [f"({column} IS NULL OR {one})" for one in _values(fact, column, str(of_it))]
        if not plain:  # of a column that is always null, or a list that is always empty, the type may be any
            empty = fact is not None and fact.kind in {"set", "list"} and of_it.id == "list"
            conditions.append(f"coalesce(len({column}), 0) = 0" if empty else f"{column} IS NULL")
            seen.stated.update([fact.path] if fact and empty else [])
            continue
        if str(of_it) == "VARCHAR[]" and fact:
            seen.wrong.append(_wrong_lists(rows, column, fact.choices))
        elif str(of_it) == "VARCHAR":
            texts.append(column)
    if texts:
        seen.wrong.append(_wrong(rows, ["TRUE"], texts))
    return conditions


def _values(fact: Fact, column: str, type_: str) -> Iterator[str]:
    """What must hold of a value that is there."""
    if fact.kind == "int":
        yield f"{column} BETWEEN -{LARGEST_INT} AND {LARGEST_INT}"
    elif type_ == "DOUBLE":
        yield f"abs({column}) <= {LARGEST_NUMBER!r}"  # not a number is the largest one
    elif fact.kind == "enum" and fact.choices:
        yield f"{column} IN ({_texts(fact.choices)})"
    elif fact.kind == "time":
        yield from _time(column, type_)


def _time(column: str, type_: str) -> Iterator[str]:
    if type_ == "VARCHAR":
        said = f"regexp_full_match({column}, '{_TIME}') AND TRY_CAST({column} AS TIMESTAMPTZ) IS NOT NULL"
    else:
        said = f"{column} BETWEEN '{format_time(EARLIEST)}' AND '{format_time(LATEST)}'"
    yield f"({column} IS NULL OR {said})"


def _list(scope: str, key: str, type_: Any, seen: Plain) -> None:
    if type_.id != "list":
        raise OddError
    (_, row), *_ = type_.children
    if row.id != "struct":
        seen.wrong.append(_always_empty(key))
        return
    conditions = ["listed IS NOT NULL", *_facts(scope, row, "listed", seen)]
    seen.wrong.append(_wrong(_each(key, "listed"), conditions, []))


def _sources(type_: Any, seen: Plain) -> None:
    """Where facts come from: as a map, or as a struct with a field a path, which is what is made of lines at times."""
    if type_.id == "map":
        (_, key), (_, source) = type_.children
        if str(key) != "VARCHAR":
            raise OddError
        entries, value = "map_entries(sources)", _source(source, "one.value")
        found = f"list_transform({entries}, lambda one: {{'key': one.key, 'value': {value}}})"
    else:
        fields = _fields(type_)
        if not set(fields) <= set(document.sourced()):
            raise OddError
        held = ((name, _source(of_it, f'sources."{name}"')) for name, of_it in fields.items())
        entries = ", ".join(f"{{'key': '{name}', 'value': {value}}}" for name, value in held)
        found = f"list_filter([{entries}], lambda one: one.value IS NOT NULL)"
    seen.given["sources"] = f"map_from_entries({found})"
    known = _texts(sorted({*document.sourced()} - {"account.keys_counted"}))
    conditions = [f"one.key IN ({known})", f'one.value."by" IN ({_texts(document.SOURCE_BY)})', "NOT one.value.expires"]
    day = f"regexp_full_match(one.value.at, '{_DAY}') AND TRY_CAST(one.value.at AS DATE) IS NOT NULL"
    conditions += [f"(one.value.at IS NULL OR {day})"]
    texts = [f'one.value."{name}"' for name in _SOURCE if name != "expires"]
    seen.wrong.append(_wrong(_each(found, "one"), conditions, texts))


def _source(type_: Any, value: str) -> str:
    """A source with all its fields, a day as text; of when it expires, whether it does."""
    held = {name: str(of_it) for name, of_it in _fields(type_).items()}
    if "by" not in held or any(
        (of_it != "VARCHAR" and (name, of_it) not in {("at", "DATE"), ("expires", "DATE")}) or name not in _SOURCE
        for name, of_it in held.items()
    ):
        raise OddError
    texts = {
        name: f"{value}.{name}::VARCHAR" if name in held else "NULL::VARCHAR" for name in _SOURCE if name != "expires"
    }
    fields = [f'"{name}" := {text}' for name, text in texts.items()]
    expires = f"{value}.expires IS NOT NULL" if "expires" in held else "FALSE"
    return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({', '.join(fields)}, expires := {expires}) END"


def _problems(type_: Any, seen: Plain) -> None:
    if type_.id != "list":
        raise OddError
    (_, row), *_ = type_.children
    if row.id != "struct":
        del seen.given["problems"]
        seen.wrong.append(_always_empty("problems"))
        return
    held = _fields(row, _PROBLEM)
    if {"endpoint", "reason"} - set(held):
        raise OddError
    conditions = ["one.endpoint IS NOT NULL", f"one.reason IN ({_texts(Reason)})"]
    rows = _each("problems", "one")
    seen.wrong.append(_wrong(rows, conditions, [f"one.{name}" for name in held if name != "facts"]))
    if "facts" in held:
        seen.wrong.append(_wrong_lists(rows, "one.facts", ()))
    else:
        seen.given["problems"] = (
            "list_transform(problems, lambda one: {'reason': one.reason, 'facts': NULL::VARCHAR[]})"
        )


def _always_empty(key: str) -> str:
    """Then its rows are of no type."""
    return _wrong("rows", [f"coalesce(len({key}), 0) = 0"], [])


def _each(listed: str, name: str) -> str:
    return f"(SELECT unnest({listed}) AS {name} FROM rows)"  # noqa: S608  (our own names)


def _texts(values: Iterable[str]) -> str:
    return ", ".join(map(quoted, values))


def quoted(value: str) -> str:
    """A text as SQL."""
    return "'" + value.replace("'", "''") + "'"


def _wrong(rows: str, conditions: list[str], texts: Iterable[str]) -> str:
    held = " + ".join(f"coalesce(sum(strlen({text})), 0)" for text in texts) or "0"
    return f"SELECT count_if(NOT coalesce({' AND '.join(conditions)}, FALSE)), {held} FROM {rows}"  # noqa: S608


def _wrong_lists(rows: str, column: str, choices: tuple[str, ...]) -> str:
    """Of lists of texts each is looked at once, however many rows hold it."""
    wrong = "len(list_filter(held, lambda text: text IS NULL)) > 0"
    wrong += f" OR NOT list_has_all([{_texts(choices)}], held)" if choices else ""
    bytes_ = "coalesce(sum(number * coalesce(list_sum(list_transform(held, lambda text: strlen(text))), 0)), 0)"
    each = f"SELECT {column} AS held, count(*) AS number FROM {rows} WHERE {column} IS NOT NULL GROUP BY 1"  # noqa: S608
    return f"SELECT count_if({wrong}), {bytes_} FROM ({each})"  # noqa: S608
