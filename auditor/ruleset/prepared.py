"""What was checked when the package was made: the shipped rules as they were read, and what became of their conditions and
of the attack model's.

Every entry stands for exactly the text it was made from, and the whole for exactly the checker and the catalogue that made
it; whatever does not match is read and checked like a user's own. It saves an SQL parser and says nothing new.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from auditor.model import facts
from auditor.model.rule import Predicate
from auditor.ruleset.plain import Node

FILE = Path(__file__).with_name("prepared.json")
"""Written by `python -m tests.prepared`; a test fails when it is stale."""

_MADE_BY = ("words.py", "tree.py", "predicate.py", "plain.py", "shape.py", "cases.py", "rule.schema.json")


def predicate(text: str, applies_to: str) -> Predicate | None:
    """What `text` was found to say about subjects of the type `applies_to`, or None where nobody has looked yet."""
    found = _table()["predicates"].get(applies_to, {}).get(text)
    return Predicate(sql=found["sql"], facts=tuple(found["facts"])) if found else None


def tree(sql: str) -> Node | None:
    """The plain tree of a predicate's SQL, or None."""
    found: Node | None = _table()["trees"].get(sql)
    return found


def rule(path: Path) -> dict[str, Any] | None:
    """The document in a rule file, if one of this name and content was checked and nothing was wrong with it."""
    found = _table()["rules"].get(path.name)
    try:
        if found is None or path.stat().st_size != found["size"]:
            return None
        if hashlib.sha256(path.read_bytes()).hexdigest() != found["sha256"]:
            return None
    except OSError:
        return None
    document: dict[str, Any] = found["document"]
    return document


def made_by() -> str:
    """The sha256 of the checker and of the catalogue it checks against."""
    here, catalogue = Path(__file__).parent, Path(facts.__file__)
    parts = [*(here / name for name in _MADE_BY), catalogue, catalogue.with_name("facts.yaml")]
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part.read_bytes()).digest())
    return whole.hexdigest()


@cache
def _table() -> dict[str, Any]:
    nothing: dict[str, Any] = {"predicates": {}, "trees": {}, "rules": {}}
    try:
        table: dict[str, Any] = json.loads(FILE.read_bytes())
        return table if table["made_by"] == made_by() else nothing
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
    ):  # a package without its sources, or a checkout before its first table
        return nothing
