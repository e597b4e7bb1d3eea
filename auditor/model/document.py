"""The evidence document (`auditor/evidence/1`): what a well-formed one is, said twice.

The typed decoder checks a machine-written line at the speed of decoding it, `dated` the times in it; `faults` says of a
hand-written document what is wrong and on which line. What the first two accept the third accepts too, but for what a reader
must see to in the text itself: keys that stand twice in one table, and documents that do not stand on a line each. A test holds them
together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Literal

from auditor.errors import Fault
from auditor.model.evidence import SCHEMA, Reason
from auditor.model.facts import LISTS, SCOPES, Fact, catalogue, format_time, of_scope, parse_time, suggestion
from auditor.redaction import mask_personal, printable
from auditor.yamlio import Document

_TOP = ("schema", "collected_at", "account", *LISTS.values(), "venue", "sources", "problems")
_SOURCE_KEYS = ("by", "ref", "at", "expires", "contradicts")
SOURCE_BY = ("api", "attest", "venue", "derived", "history", "local", "config", "document")
_PROBLEM_KEYS = ("endpoint", "reason", "detail", "facts")
_LONGEST_SHOWN = 100
LONGEST_NAME = 200
"""Characters of an account's or an exchange's name: both stand in every line of a report."""
_SOURCED = (*LISTS.values(), "account", "venue")
"""What a source may stand for beside a single fact."""

_PLAIN_DAY = r"^20[1-8][0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])\Z"
"""Days that are right at a glance; other ones, and times, get the careful look."""
_PLAIN_TIME = re.compile(
    r"20[1-8][0-9]-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.(?!000000)[0-9]{6})?Z"
)
"""Times in the one spelling that are right at a glance, which all are but for those of leap days and of remote years."""


def fillable(fact: Fact) -> bool:
    """Whether an absent value is computed or taken from the venue file, so that an explicit null must be told apart."""
    return bool(fact.by & {"derived", "venue"})


@lru_cache(maxsize=16)
def decoder(*, nulls: bool = False, only: frozenset[str] | None = None) -> Any:
    """A msgspec decoder of one line. Strict: it refuses unknown keys, and a null where `fillable` must be told apart. A time
    is any text to it (see `dated`).

    With `nulls` every key may hold one, which then says no more than that the key is absent. With `only` it knows no other
    lists than these keys, and no other facts than these paths: it is the faster the fewer they are. `doc`, and `n` of a row,
    are for whoever numbers what was decoded; a document that brings them is not well-formed.
    """
    import msgspec

    unset = msgspec.UNSET
    named = _annotated(str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME))
    account = _table("account", (("name", named), ("exchange", named)), nulls=nulls, only=only)
    rows = [
        (key, list.__class_getitem__(_table(scope, nulls=nulls, only=only)), unset)
        for scope, key in LISTS.items()
        if only is None or key in only
    ]
    source = _source(nulls=nulls)
    fields = [
        *rows,
        ("venue", _table("venue", nulls=nulls, only=only), unset),
        ("sources", dict.__class_getitem__((Literal[sourced()], source | None if nulls else source)), unset),
        ("problems", list.__class_getitem__(_problem(nulls=nulls)), unset),
    ]
    document = msgspec.defstruct(
        "EvidenceLine",
        [
            ("doc", _or_absent(int, nulls=False), unset),
            ("schema", Literal[SCHEMA]),
            ("account", account),
            ("collected_at", _or_absent(str, nulls=nulls), unset),
            *[(name, _or_absent(type_, nulls=True), default) for name, type_, default in fields],
        ],
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.json.Decoder(document)


def stated(decoded: Sequence[Any]) -> Iterator[str]:
    """The keys of the lists and the paths of the facts that documents as a decoder without `only` read them state anywhere."""
    import msgspec

    for key in lists(decoded):
        if any(getattr(one, key) is not msgspec.UNSET for one in decoded):
            yield key
    for scope in SCOPES:
        tables = _tables(decoded, scope)
        for name in of_scope(scope):
            if any(getattr(table, name) is not msgspec.UNSET for table in tables):
                yield f"{scope}.{name}"


def lists(decoded: Sequence[Any]) -> list[str]:
    """The keys of the lists that the decoder of these documents knew."""
    known = decoded[0].__struct_fields__ if decoded else ()
    return [key for key in LISTS.values() if key in known]


def dated(decoded: Sequence[Any], stated: Iterable[str]) -> bool:
    """Whether each time that documents state is one. If so all are in the one spelling from then on."""
    scopes = {path.partition(".")[0] for path in stated if _is_time(path)}
    tables = {scope: _tables(decoded, scope) for scope in scopes}
    return _spelled(decoded, "collected_at") and all(
        _spelled(tables[scope], name) for scope, _, name in (path.partition(".") for path in stated if _is_time(path))
    )


def _is_time(path: str) -> bool:
    return path in catalogue() and catalogue()[path].kind == "time"


def _spelled(tables: Sequence[Any], name: str) -> bool:
    """Whether every value of that name is a time, spelled anew where it has to be."""
    said = set(map(attrgetter(name), tables))
    texts = {text for text in said if isinstance(text, str)}
    odd = {text: parse_time(text) for text in texts if not _PLAIN_TIME.fullmatch(text)}
    anew = {text: format_time(time) for text, time in odd.items() if time}
    for table in tables if anew else ():
        setattr(table, name, anew.get(value := getattr(table, name), value))
    return len(anew) == len(odd)


def _tables(decoded: Sequence[Any], scope: str) -> list[Any]:
    """The tables of a scope in all of these documents."""
    if scope in LISTS:
        held = map(attrgetter(LISTS[scope]), decoded) if LISTS[scope] in lists(decoded) else ()
        return [row for rows in held if rows for row in rows]
    return [table for table in map(attrgetter(scope), decoded) if table]


def _or_absent(known: Any, *, nulls: bool) -> Any:
    import msgspec

    return known | msgspec.UnsetType | None if nulls else known | msgspec.UnsetType


def _table(scope: str, named: tuple[Any, ...] = (), *, nulls: bool, only: frozenset[str] | None) -> Any:
    """The facts of a scope; rows of a list have room for two numbers."""
    import msgspec

    unset = msgspec.UNSET
    known = [fact for fact in of_scope(scope).values() if only is None or fact.path in only]
    known = [fact for fact in known if not named or fact.name != "name"]
    facts = [(fact.name, _python_type(fact, nulls=nulls), unset) for fact in known]
    place = _or_absent(int, nulls=False)
    numbers = [("doc", place, unset), ("n", place, unset)] if scope in LISTS else []
    name = scope.title().replace("_", "")
    return msgspec.defstruct(name, [*numbers, *named, *facts], kw_only=True, forbid_unknown_fields=True, gc=False)


def _source(*, nulls: bool) -> Any:
    import msgspec

    day = _annotated(str, msgspec.Meta(pattern=_PLAIN_DAY))
    texts = (("ref", str), ("contradicts", str), ("at", day), ("expires", day))
    optional = [(key, _or_absent(type_, nulls=nulls), msgspec.UNSET) for key, type_ in texts]
    return msgspec.defstruct("Source", [("by", Literal[SOURCE_BY]), *optional], forbid_unknown_fields=True)


def _problem(*, nulls: bool) -> Any:
    import msgspec

    texts = (("detail", str), ("facts", list[str]))
    optional = [(key, _or_absent(type_, nulls=nulls), msgspec.UNSET) for key, type_ in texts]
    return msgspec.defstruct("Problem", [("endpoint", str), ("reason", Reason), *optional], forbid_unknown_fields=True)


def sourced() -> tuple[str, ...]:
    """What a source may stand for."""
    return (*catalogue(), *_SOURCED)


def _python_type(fact: Fact, *, nulls: bool) -> Any:
    import msgspec
    from msgspec import Meta

    types: dict[str, Any] = {
        "bool": bool,
        "int": _annotated(int, Meta(ge=-(2**53), le=2**53)),
        "number": _annotated(float, Meta(ge=-1e300, le=1e300)),
        "text": str,
        "time": str,
        "enum": Literal[fact.choices] if fact.choices else str,
        "set": _list_of(fact.choices),
        "list": list[str],
    }
    known = types[fact.kind] | msgspec.UnsetType
    return known if fillable(fact) and not nulls else known | None


def _list_of(choices: tuple[str, ...]) -> Any:
    return list.__class_getitem__(Literal[choices]) if choices else list[str]


def _annotated(base: type, meta: Any) -> Any:
    from typing import Annotated

    return Annotated[base, meta]


def faults(document: Document) -> Iterator[Fault]:
    """Everything wrong with a hand-written document, each with its line."""
    value = document.value
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        yield document.fault(f"is not an evidence document: it must begin with `schema: {SCHEMA}`", "schema")
        return
    yield from _strangers(document, value, _TOP)
    if value.get("collected_at") is not None and parse_time(value["collected_at"]) is None:
        yield document.fault("collected_at: expected a time such as 2026-11-20T10:00:00Z", "collected_at")
    yield from _account_faults(document, value.get("account"))
    for scope, key in LISTS.items():
        yield from _list_faults(document, scope, key, value.get(key))
    if value.get("venue") is not None:
        yield from _row_faults(document, "venue", value["venue"], "venue")
    yield from _source_faults(document, value.get("sources"))
    yield from _problem_faults(document, value.get("problems"))


def _strangers(document: Document, table: dict[str, Any], known: tuple[str, ...], *path: str | int) -> Iterator[Fault]:
    import difflib

    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key[:_LONGEST_SHOWN], known, 1)
            hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
            yield document.fault(f"unknown key {_shown(key)}", *path, key, hint=hint)


def _shown(name: str) -> str:
    """A name somebody wrote, fit for a message."""
    return printable(mask_personal(name), limit=_LONGEST_SHOWN)


def _unknown(path: str) -> str:
    """What to say of a fact path that does not exist."""
    return f"unknown fact {_shown(path)}{suggestion(path[:_LONGEST_SHOWN])}"


def _account_faults(document: Document, account: Any) -> Iterator[Fault]:
    if not isinstance(account, dict):
        yield document.fault("account: expected a table with at least name and exchange", "account")
        return
    for key in ("name", "exchange"):
        if not isinstance(account.get(key), str) or not account[key]:
            yield document.fault(f"account.{key}: expected text", "account", key)
        elif len(account[key]) > LONGEST_NAME:
            yield document.fault(f"account.{key}: longer than {LONGEST_NAME} characters", "account", key)
    rest = {name: value for name, value in account.items() if name not in {"name", "exchange"}}
    yield from _row_faults(document, "account", rest, "account")


def _list_faults(document: Document, scope: str, key: str, rows: Any) -> Iterator[Fault]:
    if rows is None:
        return
    if not isinstance(rows, list):
        yield document.fault(f"{key}: expected a list ([] = seen and empty; leave it out = not seen)", key)
        return
    for number, row in enumerate(rows):
        yield from _row_faults(document, scope, row, key, number)


def _row_faults(document: Document, scope: str, row: Any, *path: str | int) -> Iterator[Fault]:
    if not isinstance(row, dict):
        yield document.fault(f"{'.'.join(map(str, path))}: expected a table of facts", *path)
        return
    known = of_scope(scope)
    for name, value in row.items():
        fact = known.get(name)
        if fact is None:
            yield document.fault(_unknown(f"{scope}.{name}"), *path, name)
        elif value is not None and (wrong := fact.check(value)):
            yield document.fault(f"{fact.path}: {wrong}", *path, name)


def _source_faults(document: Document, sources: Any) -> Iterator[Fault]:
    if sources is None:
        return
    if not isinstance(sources, dict):
        yield document.fault("sources: expected a table of fact paths", "sources")
        return
    for path, source in sources.items():
        if path not in catalogue() and path not in _SOURCED:
            yield document.fault(f"sources: {_unknown(path)}", "sources", path)
        elif not isinstance(source, dict) or source.get("by") not in SOURCE_BY:
            yield document.fault(f"sources: {path} needs `by`, one of {', '.join(SOURCE_BY)}", "sources", path)
        else:
            yield from _strangers(document, source, _SOURCE_KEYS, "sources", path)
            for key in ("at", "expires"):
                if source.get(key) is not None and parse_time(source[key]) is None:
                    yield document.fault(f"sources: {path}.{key}: expected a date or a time", "sources", path, key)
            for key in ("ref", "contradicts"):
                if source.get(key) is not None and not isinstance(source[key], str):
                    yield document.fault(f"sources: {path}.{key}: expected text", "sources", path, key)


def _problem_faults(document: Document, problems: Any) -> Iterator[Fault]:
    if problems is None:
        return
    if not isinstance(problems, list):
        yield document.fault("problems: expected a list", "problems")
        return
    for number, problem in enumerate(problems):
        if not isinstance(problem, dict) or not isinstance(problem.get("endpoint"), str):
            yield document.fault("problems: each needs endpoint and reason", "problems", number)
            continue
        yield from _strangers(document, problem, _PROBLEM_KEYS, "problems", number)
        if problem.get("reason") not in list(Reason):
            reasons = ", ".join(Reason)
            yield document.fault(f"problems: unknown reason, expected one of {reasons}", "problems", number, "reason")
        detail, facts = problem.get("detail"), problem.get("facts")
        if not (detail is None or isinstance(detail, str)) or not (facts is None or _texts(facts)):
            yield document.fault("problems: detail is text and facts a list of fact paths", "problems", number)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
