"""An evidence document in msgspec's own types, its times too: what a program has that only checks and decodes lines."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from auditor.model.document import SOURCE_BY
from auditor.model.evidence import SCHEMA, Reason
from auditor.model.facts import LARGEST_INT, LARGEST_NUMBER, LISTS, Fact, of_scope

_TEXT: tuple[tuple[str, Any], ...] = (("detail", str), ("facts", list[str]))
_PROBLEM = msgspec.defstruct(
    "Problem",
    [
        ("endpoint", str),
        ("reason", Reason),
        *[(name, of_it | msgspec.UnsetType, msgspec.UNSET) for name, of_it in _TEXT],
    ],
    forbid_unknown_fields=True,
)
_SOURCE = msgspec.defstruct(
    "Source",
    [
        ("by", Literal[SOURCE_BY]),
        *[(name, str | msgspec.UnsetType, msgspec.UNSET) for name in ("ref", "at", "expires", "contradicts")],
    ],
    forbid_unknown_fields=True,
)


def decoder() -> Any:
    """A decoder of one line that knows every fact there is, and refuses any other key and any other type."""
    lists = [(key, list.__class_getitem__(_table(scope))) for scope, key in LISTS.items()]
    others = [("venue", _table("venue")), ("sources", dict[str, _SOURCE]), ("problems", list[_PROBLEM])]  # type: ignore[valid-type]
    optional = [("collected_at", Annotated[datetime, msgspec.Meta(tz=True)]), *lists, *others]
    document = msgspec.defstruct(
        "Document",
        [("schema", Literal[SCHEMA]), ("account", _table("account")), *map(_absent, optional)],
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.json.Decoder(document)


def _absent(field: tuple[str, Any]) -> tuple[str, Any, Any]:
    name, of_it = field
    return name, of_it | None | msgspec.UnsetType, msgspec.UNSET


def _table(scope: str) -> Any:
    named = [("name", str), ("exchange", str)] if scope == "account" else []
    facts = [(fact.name, _type(fact)) for fact in of_scope(scope).values() if (fact.name, str) not in named]
    fields = [*named, *map(_absent, facts)]
    return msgspec.defstruct(scope.title(), fields, kw_only=True, forbid_unknown_fields=True, gc=False)


def _type(fact: Fact) -> Any:
    chosen = Literal[fact.choices] if fact.choices else str
    types: dict[str, Any] = {
        "bool": bool,
        "int": Annotated[int, msgspec.Meta(ge=-LARGEST_INT, le=LARGEST_INT)],
        "number": Annotated[float, msgspec.Meta(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)],
        "text": str,
        "time": Annotated[datetime, msgspec.Meta(tz=True)],
        "enum": chosen,
        "set": list.__class_getitem__(chosen),
        "list": list[str],
    }
    return types[fact.kind]
