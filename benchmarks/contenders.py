"""Our evaluation beside other engines, on the same keys and the same rules, with every answer compared.

What an engine is given is what ours sees: facts as they count, joined with account and venue. Time is of evaluating alone,
for a thousand keys; ours is that of all its stages after reading (views, joins, derived facts and rules), which is more work.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.engine.evaluate import Evaluation
from auditor.engine.intake import Evidence
from auditor.exchanges import _venue
from auditor.model.facts import catalogue
from auditor.model.report import Outcome
from auditor.model.rule import Rule
from auditor.pipeline import rule_files
from benchmarks import engines, evaluation, normal

ACCOUNTS = 20_000
ROUNDS = 3
SAMPLES = {"check functions": 20_000, "cel-python": 200, "zen-engine": 1_000, "regopy": 100, "Cloud Custodian": 200}
"""How many keys each is given; its cost a key does not depend on their number."""
_SPOKEN = {Outcome.FAIL: "F", Outcome.UNKNOWN: "U"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One engine: milliseconds for a thousand keys, times ours, and on how many keys its answers were compared."""

    engine: str
    milliseconds: float
    ratio: float
    compared: int


class DisagreementError(Exception):
    """An engine says something else of a key: what it took is worth nothing."""


def standings(python: str, chosen: Mapping[str, int] = SAMPLES) -> list[Standing]:
    """Ours first. `python` is the interpreter of the environment that has the contenders."""
    rules, said = sayable()
    documents = _documents()
    took = statistics.median(_evaluate(documents, rules)[0] for _ in range(ROUNDS))
    _, rows, answers = _evaluate(documents, rules, told=True)
    ours = took / len(rows) * 1e6
    table = [Standing(engine="auditor (DuckDB)", milliseconds=ours, ratio=1.0, compared=len(rows))]
    with tempfile.TemporaryDirectory(prefix="auditor-bench-") as folder:
        file = Path(folder) / "given.json"
        file.write_text(json.dumps({"rows": rows[: max(chosen.values())], "rules": said}))
        for engine, most in chosen.items():
            found = _asked(python, file, engine, most)
            agree(engine, found["answers"], answers)
            each = found["seconds"] / found["rows"] * 1e6
            table.append(Standing(engine=engine, milliseconds=each, ratio=each / ours, compared=found["rows"]))
    return table


def agree(engine: str, theirs: list[str], ours: list[str]) -> None:
    """Raises DisagreementError unless every answer is the same; no answers agree with nothing."""
    if not theirs:
        raise DisagreementError(f"{engine} answered nothing")
    for number, (one, other) in enumerate(zip(theirs, ours[: len(theirs)], strict=True)):
        if one != other:
            raise DisagreementError(f"{engine} says {one} of key {number}, ours says {other}")


def sayable() -> tuple[list[Rule], dict[str, Any]]:
    """The shipped rules about keys that every engine can be given."""
    rules, said = [], {}
    for rule in rule_files(None):
        if rule.applies_to == "api_key":
            try:
                said[rule.id] = normal.rule(rule, evaluation.NOW)
            except normal.UnsayableError:
                continue
            rules.append(rule)
    return rules, said


def _documents() -> list[dict[str, Any]]:
    chance = random.Random(2)
    return [evaluation._document(number, chance, evaluation.KEYS_EACH) for number in range(ACCOUNTS)]  # noqa: SLF001  (our own)


def _evaluate(
    documents: list[dict[str, Any]], rules: list[Rule], *, told: bool = False
) -> tuple[float, list[dict[str, Any]], list[str]]:
    policies = {name: _venue.load(name).policy_facts() for name in evaluation.EXCHANGES}
    facts = sorted({path for rule in rules for path in rule.facts})
    rows: list[dict[str, Any]] = []
    answers: list[str] = []
    with Evidence(evaluation.NOW).add(documents) as evidence:
        begun = time.perf_counter()
        with Evaluation(evidence, rules, policies, also=facts) as found:
            found.counts()
            took = time.perf_counter() - begun
            keys = found.rows("api_key", [path for path in facts if path.startswith("api_key.")])
            if not told:
                return took, [{}] * sum(found.counts()[rules[0].id].values()), []
            single = {
                scope: list(found.rows(scope, [path for path in facts if path.startswith(scope + ".")]))
                for scope in ("account", "venue")
            }
            rows = [
                _row(facts, doc, {"api_key": values, **{scope: held[doc - 1][2] for scope, held in single.items()}})
                for doc, _, values in keys
            ]
            answers = [
                "".join(_SPOKEN.get(subject.outcomes[rule.id], "O") for rule in rules)
                for subjects in found.documents()
                for subject in subjects
            ]
    return took, rows, answers


def _row(facts: list[str], _doc: int, values: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for scope, held in values.items():
        for path, value in zip((path for path in facts if path.startswith(scope + ".")), held, strict=True):
            row[path] = value / 1e6 if value is not None and catalogue()[path].kind == "time" else value
    return row


def _asked(python: str, file: Path, engine: str, most: int) -> dict[str, Any]:
    done = subprocess.run(
        [python, engines.__file__, str(file), engine, str(most)], capture_output=True, check=False, timeout=900
    )
    if done.returncode:
        raise DisagreementError(f"{engine} failed: {done.stderr.decode()[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
