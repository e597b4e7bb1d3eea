"""Writes `auditor/ruleset/prepared.json` anew: `python -m tests.prepared`. Everything in it goes through the checker first."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from unittest import mock

from auditor import yamlio
from auditor.model.rule import Predicate
from auditor.ruleset import loader, plain, predicate, prepared
from tests.threats.test_kleene import conditions

NOTHING: dict[str, Any] = {"predicates": {}, "trees": {}, "rules": {}}


def table() -> dict[str, Any]:
    """What the file has to hold: made from the sources alone, whatever an older file says."""
    with mock.patch.object(prepared, "_table", return_value=NOTHING):
        return _table()


def _table() -> dict[str, Any]:
    rules: dict[str, Any] = {}
    checked: dict[str, dict[str, Predicate]] = {}
    for path in sorted(loader.shipped_folder().glob("*.yaml")):
        faults = loader.check(path)
        assert not faults, faults
        content, document = path.read_bytes(), yamlio.read(path).value
        sha256 = hashlib.sha256(content).hexdigest()
        rules[path.name] = {"size": len(content), "sha256": sha256, "document": document}
        for text in filter(None, (document.get("when"), document["require"])):
            _keep(checked, document["applies_to"], text)
    for scope, text in conditions():
        _keep(checked, scope, text)
    sqls = sorted({one.sql for texts in checked.values() for one in texts.values()})
    said = {
        scope: {text: {"sql": one.sql, "facts": list(one.facts)} for text, one in sorted(texts.items())}
        for scope, texts in sorted(checked.items())
    }
    trees = {sql: plain.read(sql) for sql in sqls}
    return {"made_by": prepared.made_by(), "predicates": said, "trees": trees, "rules": rules}


def _keep(checked: dict[str, dict[str, Predicate]], scope: str, text: str) -> None:
    checked.setdefault(scope, {})[text] = predicate.looked_at(text, applies_to=scope)


def spelled() -> str:
    """The text of the file: one entry a line, so that a change of one rule is a change of few lines."""
    sections = []
    for section, held in table().items():
        if isinstance(held, str):
            sections.append(f"{json.dumps(section)}: {json.dumps(held)}")
            continue
        entries = ",\n".join(
            f"{json.dumps(name)}: {json.dumps(one, separators=(',', ':'))}" for name, one in held.items()
        )
        sections.append(f"{json.dumps(section)}: {{\n{entries}\n}}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


if __name__ == "__main__":
    prepared.FILE.write_text(spelled(), encoding="utf-8")
