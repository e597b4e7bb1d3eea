"""Compares a document with `rule.schema.json` and says every difference in words, with its line.

Reads the small part of JSON Schema that the file uses (a test holds it against the jsonschema library), because that
library costs more start-up time than all rules together. Knows nothing of what rules mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from auditor.errors import Fault
from auditor.redaction import mask_personal, printable
from auditor.yamlio import Document

Place = tuple[str | int, ...]

_TYPES: dict[str, type] = {
    "object": dict,
    "array": list,
    "string": str,
    "null": type(None),
    "integer": int,
    "boolean": bool,
}
_SAID = {
    "object": "a mapping (name: value)",
    "array": "a list",
    "string": "text (put it in quotes)",
    "null": "null",
    "integer": "a whole number",
    "boolean": "true or false",
}


@cache
def schema() -> dict[str, Any]:
    """The published schema of a rule file."""
    table: dict[str, Any] = json.loads(Path(__file__).with_name("rule.schema.json").read_text(encoding="utf-8"))
    return table


def faults(document: Document, described: dict[str, Any] | None = None) -> Iterator[Fault]:
    """Everything about the shape of a document that its schema refuses; without one it is a rule file."""
    yield from _Reader(document).differences(document.value, schema() if described is None else described, ())


def label(place: Place) -> str:
    """How messages name a place: `fix.steps.okx[0]`; safe to print."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return printable(mask_personal(text.removeprefix(".")), limit=80) or "the document"


def guess(word: str, words: list[str]) -> str:
    """`: did you mean ...?` for a misspelled word, or nothing."""
    import difflib

    close = difflib.get_close_matches(word[:100], words, 1)
    return f": did you mean {close[0]}?" if close else ""


@cache
def _resolved(reference: str) -> dict[str, Any]:
    node: Any = schema()
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return dict(node)


class _Reader:
    """One pass over one document."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def differences(self, value: Any, node: dict[str, Any], place: Place) -> Iterator[Fault]:
        if "$ref" in node:
            node = {**_resolved(node["$ref"]), **node}
        types = node.get("type", [])
        types = [types] if isinstance(types, str) else types
        odd = isinstance(value, bool) and "boolean" not in types  # Python takes it for a whole number
        if types and (odd or not isinstance(value, tuple(_TYPES[name] for name in types))):
            said = " or ".join(_SAID[name] for name in types)
            yield self._fault(f"{label(place)}: expected {said}", node, place)
        elif "enum" in node:
            yield from self._choice(value, node, place)
        elif isinstance(value, str):
            yield from self._text(value, node, place)
        elif isinstance(value, int) and not node.get("minimum", value) <= value <= node.get("maximum", value):
            yield self._fault(f"{label(place)} is out of range", node, place)
        elif isinstance(value, list):
            yield from self._list(value, node, place)
        elif isinstance(value, dict):
            yield from self._mapping(value, node, place)

    def _fault(self, message: str, node: dict[str, Any], place: Place) -> Fault:
        return self.document.fault(message, *place, hint=node.get("description"))

    def _choice(self, value: Any, node: dict[str, Any], place: Place) -> Iterator[Fault]:
        choices = node["enum"]
        if not isinstance(value, str) or value not in choices:
            meant = guess(value, choices) if isinstance(value, str) else ""
            yield self._fault(f"{label(place)}: expected one of {', '.join(choices)}{meant}", node, place)

    def _text(self, value: str, node: dict[str, Any], place: Place) -> Iterator[Fault]:
        if not value.strip() and "pattern" in node:
            yield self._fault(f"{label(place)} is empty", node, place)
        elif len(value) > node.get("maxLength", len(value)):
            yield self._fault(f"{label(place)} is longer than {node['maxLength']} characters", node, place)
        elif "pattern" in node and not re.search(node["pattern"], value):
            yield self._fault(f"{label(place)} is not in the expected form", node, place)

    def _list(self, value: list[Any], node: dict[str, Any], place: Place) -> Iterator[Fault]:
        if len(value) < node.get("minItems", 0):
            yield self._fault(f"{label(place)} is empty", node, place)
        for contained in node.get("allOf", []):
            wanted = contained["contains"]["properties"]["expect"]["const"]
            if not any(isinstance(item, dict) and item.get("expect") == wanted for item in value):
                yield self._fault(f"{label(place)}: no case has expect: {wanted}", node, place)
        for index, item in enumerate(value):
            yield from self.differences(item, node.get("items", {}), (*place, index))

    def _mapping(self, value: dict[str, Any], node: dict[str, Any], place: Place) -> Iterator[Fault]:
        named, others = node.get("properties", {}), node.get("additionalProperties", {})
        for name in node.get("required", []):
            if name not in value:
                yield self._fault(f"{label((*place, name))} is missing", named[name], place)
        for name, inner in value.items():
            if name in named:
                yield from self.differences(inner, named[name], (*place, name))
            elif others is False:
                message = f"unknown key {label((*place, name))}{guess(name, list(named))}"
                yield self.document.fault(message, *place, name, hint=f"known here: {', '.join(named)}")
            else:
                names = node.get("propertyNames", {})
                yield from self._text(name, names, (*place, name))
                yield from self.differences(inner, others, (*place, name))
