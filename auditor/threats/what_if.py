"""Evidence as it would be if some facts were other than they are: everything that follows from them follows anew.

Works on normalised evidence documents; the engine, and nobody else, says what follows. What was seen or stated stays
where nothing is said against it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from auditor.engine import few
from auditor.engine.derived import DERIVED, closure
from auditor.engine.evaluate import Evaluation
from auditor.engine.few import Few
from auditor.engine.intake import Evidence
from auditor.model.facts import LISTS, catalogue
from auditor.model.normalise import UNKNOWN_MARK

Document = dict[str, Any]
_SAID = {"by": "config", "ref": "--what-if"}
"""The source of a supposed fact."""


def documents(evidence: Evidence) -> list[Document]:
    """The documents of evidence, normalised."""
    return list(evidence.documents())


def supposed(
    known: Sequence[Document],
    facts: Mapping[str, Any],
    evidence: Evidence,
    policies: Mapping[str, Mapping[str, Any]],
) -> list[Document]:
    """The documents with these facts: of the account, the venue, or every row of a list. `evidence` is an empty one.

    What follows from a supposed fact is derived anew; where nothing follows, what was known of it before still counts.
    """
    follows = [path for path in DERIVED if path not in facts and set(closure([path])) & set(facts)]
    changed = [_supposed(one, facts, follows) for one in known]
    with evidence.add(copy.deepcopy(changed)), few.evaluation(evidence, (), policies, also=follows) as evaluation:
        for scope in dict.fromkeys(catalogue()[path].scope for path in follows):
            paths = [path for path in follows if catalogue()[path].scope == scope]
            _restore(known, changed, scope, paths, evaluation)
    return changed


def _supposed(document: Document, facts: Mapping[str, Any], follows: Sequence[str]) -> Document:
    made = copy.deepcopy(document)
    for path in follows:
        for row in _rows(made, path):
            row.pop(catalogue()[path].name, None)
    for path, value in facts.items():
        for row in _rows(made, path):
            row[catalogue()[path].name] = value
        made["sources"] = {**(made.get("sources") or {}), path: _SAID}
    made[UNKNOWN_MARK] = sorted(set(made.get(UNKNOWN_MARK) or ()) - {*facts, *follows})
    return made


def _rows(document: Document, path: str) -> list[dict[str, Any]]:
    """Every place of a document where a fact stands, its marks of the unknown out of the way."""
    scope, name = path.split(".")
    if scope not in LISTS:
        document.setdefault(scope, {})
        return [document[scope]]
    rows: list[dict[str, Any]] = document.get(LISTS[scope]) or []
    for row in rows:
        if name in (row.get(UNKNOWN_MARK) or ()):
            row[UNKNOWN_MARK] = [one for one in row[UNKNOWN_MARK] if one != name]
    return rows


def _restore(
    known: Sequence[Document],
    changed: Sequence[Document],
    scope: str,
    paths: Sequence[str],
    evaluation: Evaluation | Few,
) -> None:
    """Puts back what was known of facts that nothing follows for."""
    place = dict.fromkeys(range(len(known)), 0)
    for doc, unseen, values in evaluation.rows(scope, paths):
        if unseen:
            continue
        before, after = known[doc - 1], changed[doc - 1]
        at = place[doc - 1]
        place[doc - 1] += 1
        for path, value in zip(paths, values, strict=True):
            old = _rows_of(before, scope)[at].get(catalogue()[path].name)
            if value is None and old is not None:
                _rows_of(after, scope)[at][catalogue()[path].name] = old


def _rows_of(document: Document, scope: str) -> list[dict[str, Any]]:
    return document.get(LISTS[scope]) or [] if scope in LISTS else [document.get(scope) or {}]
