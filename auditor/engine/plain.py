"""Whether the columns of a table are evidence as they stand, by their types; and what has to hold of their values, as SQL.

As strict as the typed decoder of lines (`model.document.decoder` with nulls), which a test holds it to. Knows of no file: the
table is `rows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.engine.parquet_rows import TIMES
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
    "time": (*TIMES, "VARCHAR"),
    "set": ("VARCHAR[]",),
    "list": ("VARCHAR[]",),
}
_TIME = r"20[1-8][0-9]-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?Z"
_DAY = "20[1-8][0-9]-[0-9]{2}-[0-9]{2}"
_SOURCE = ("by", "ref", "at", "expires", "contradicts")
_PROBLEM = {"endpoint": "VARCHAR", "reason": "VARCHAR", "detail": "VARCHAR", "facts": "VARCHAR[]"}


class OddError(Exception):
    """Something is not plain."""


@dataclass(slots=True)
class Look:
    """What has to hold of every row of a table, and the texts in it."""

    conditions: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def all_texts(self, column: str, choices: tuple[str, ...] = ()) -> None:
        """That a list holds nothing but texts, of these `choices` if there are any."""
        self.texts.append(f"array_to_string({column}, '')")
        said = f"len({column}) = list_count({column})"  # which does not count nulls
        said += f" AND list_has_all([{_texts(choices)}], {column})" if choices else ""
        self.conditions.append(f"({column} IS NULL OR {said})")

    def query(self, table: str) -> str:
        """How many rows are not so, and how many bytes of text there are."""
        held = " + ".join(f"coalesce(sum(strlen({text})), 0)" for text in self.texts) or "0"
        wrong = f"count_if(NOT coalesce({' AND '.join(self.conditions) or 'TRUE'}, FALSE))"
        return f"SELECT {wrong}, {held} FROM {table}"  # noqa: S608  (our own names)


@dataclass(slots=True)
class Plain:
    """What a table turns out to hold."""

    given: dict[str, str] = field(default_factory=dict)
    """Columns of a document -> how they are found in a row, as SQL."""
    stated: set[str] = field(default_factory=set)
    """The lists and the facts that have a column, by key and by path."""
    looks: dict[str, Look] = field(default_factory=dict)
    """By the table, `rows` or one made of it."""


def plain(found: Any) -> Plain:
    """The columns by their types. Raises OddError."""
    types = {name: type_ for name, type_, *_ in found.description}
    scopes = {key: scope for scope, key in LISTS.items()}
    seen = Plain()
    if {"schema", "account"} - set(types):
        raise OddError
    look = seen.looks["rows"] = Look(conditions=[f"schema = '{SCHEMA}'", "account IS NOT NULL"])
    for name, type_ in types.items():
        seen.given[name] = name
        if name in {"account", "venue"}:
            _facts(name, type_, name, seen, look)
        elif name in {*scopes, "problems"}:
            _list(scopes.get(name), name, type_, seen)
        elif name == "sources":
            _sources(type_, seen)
        elif name == "collected_at" and str(type_) in _TYPES["time"]:
            look.conditions.append(f"(collected_at IS NULL OR {_time(name, str(type_))})")
        elif (name, str(type_)) != ("schema", "VARCHAR"):
            raise OddError
    for name in ("account.name", "account.exchange"):
        look.conditions.append(f"length({name}) BETWEEN 1 AND {document.LONGEST_NAME}")
    return seen


def _fields(type_: Any, known: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The fields of a struct, of these types only where they are given. Raises OddError."""
    if type_.id != "struct":
        raise OddError
    fields = dict(type_.children)
    if known is not None and any(str(of_it) != known.get(name) for name, of_it in fields.items()):
        raise OddError
    return fields


def _facts(scope: str, type_: Any, table: str, seen: Plain, look: Look) -> None:
    """The facts of a scope. Raises OddError."""
    known = of_scope(scope)
    for name, of_it in _fields(type_).items():
        fact, column = known.get(name), f'{table}."{name}"'
        if scope == "account" and name in {"name", "exchange"} and str(of_it) == "VARCHAR":
            look.texts.append(column)
        elif fact is None:
            raise OddError
        elif str(of_it) in _TYPES[fact.kind]:
            seen.stated.add(fact.path)
            _values(fact, column, str(of_it), look)
        elif fact.kind in {"set", "list"} and of_it.id == "list":  # one that is always empty has rows of any type
            seen.stated.add(fact.path)
            look.conditions.append(f"coalesce(len({column}), 0) = 0")
        else:  # and one that is always null is of any type
            look.conditions.append(f"{column} IS NULL")


def _values(fact: Fact, column: str, type_: str, look: Look) -> None:
    """What must hold of a value that is there."""
    said = None
    if fact.kind == "int":
        said = f"{column} BETWEEN -{LARGEST_INT} AND {LARGEST_INT}"
    elif type_ == "DOUBLE":
        said = f"abs({column}) <= {LARGEST_NUMBER!r}"  # not a number is the largest one
    elif fact.kind == "enum" and fact.choices:
        said = f"{column} IN ({_texts(fact.choices)})"
    elif fact.kind == "time":
        said = _time(column, type_)
    if said:
        look.conditions.append(f"({column} IS NULL OR {said})")
    if type_ == "VARCHAR":
        look.texts.append(column)
    elif type_ == "VARCHAR[]":
        look.all_texts(column, fact.choices)


def _time(column: str, type_: str) -> str:
    if type_ == "VARCHAR":
        return f"regexp_full_match({column}, '{_TIME}') AND TRY_CAST({column} AS TIMESTAMPTZ) IS NOT NULL"
    bounded = f"{column} BETWEEN '{format_time(EARLIEST)}' AND '{format_time(LATEST)}'"
    # what is finer than a microsecond the database rounds, and row by row it is cut off
    return f"{bounded} AND epoch_ns({column}) % 1000 = 0" if type_ == "TIMESTAMPTZ_NS" else bounded


def _list(scope: str | None, key: str, type_: Any, seen: Plain) -> None:
    """A list of subjects, or of problems."""
    if type_.id != "list":
        raise OddError
    (_, row), *_ = type_.children
    if scope:
        seen.stated.add(key)
    if row.id != "struct":  # one that is always empty has rows of any type
        seen.looks["rows"].conditions.append(f"coalesce(len({key}), 0) = 0")
        seen.given[key] = "NULL" if scope is None else key
        return
    look = seen.looks[_each(key)] = Look(conditions=["one IS NOT NULL"])
    if scope:
        _facts(scope, row, "one", seen, look)
    else:
        _problems(row, seen, look)


def _sources(type_: Any, seen: Plain) -> None:
    """Where facts come from: as a map, or as a struct with a field a path, which is what is made of lines at times."""
    if type_.id == "map":
        (_, key), (_, source) = type_.children
        if str(key) != "VARCHAR":
            raise OddError
        entries, value = "map_entries(sources)", _source(source, "one.value")
        found = f"list_transform({entries}, lambda one: {{'key': one.key, 'value': {value}}})"
        keys = f"list_transform({entries}, lambda one: one.key)"
        seen.looks["rows"].conditions.append(f"(sources IS NULL OR len({keys}) = list_unique({keys}))")
    else:
        fields = _fields(type_)
        if not set(fields) <= set(document.sourced()):
            raise OddError
        held = ((name, _source(of_it, f'sources."{name}"')) for name, of_it in fields.items())
        entries = ", ".join(f"{{'key': '{name}', 'value': {value}}}" for name, value in held)
        found = f"list_filter([{entries}], lambda one: one.value IS NOT NULL)"
    seen.given["sources"] = f"map_from_entries({found})"
    known = _texts(sorted({*document.sourced()} - {"account.keys_counted"}))
    day = f"regexp_full_match(one.value.at, '{_DAY}') AND TRY_CAST(one.value.at AS DATE) IS NOT NULL"
    seen.looks[_each(found)] = Look(
        conditions=[
            f"one.key IN ({known})",
            f'one.value."by" IN ({_texts(document.SOURCE_BY)})',
            "NOT one.value.expires",  # what that says depends on the moment
            f"(one.value.at IS NULL OR {day})",
        ],
        texts=[f'one.value."{name}"' for name in _SOURCE if name != "expires"],
    )


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


def _problems(type_: Any, seen: Plain, look: Look) -> None:
    held = _fields(type_, _PROBLEM)
    if {"endpoint", "reason"} - set(held):
        raise OddError
    look.conditions += ["one.endpoint IS NOT NULL", f"one.reason IN ({_texts(Reason)})"]
    look.texts += [f"one.{name}" for name in held if name != "facts"]
    if "facts" in held:
        look.all_texts("one.facts")
    else:
        given = "{'reason': one.reason, 'facts': NULL::VARCHAR[]}"
        seen.given["problems"] = f"list_transform(problems, lambda one: {given})"


def _each(listed: str) -> str:
    return f"(SELECT unnest({listed}) AS one FROM rows)"  # noqa: S608  (our own names)


def _texts(values: Iterable[str]) -> str:
    return ", ".join(map(quoted, values))


def quoted(value: str) -> str:
    """A text as SQL."""
    return "'" + value.replace("'", "''") + "'"
