"""What `auditor evaluate --outcomes` says: a census as text or JSON, and its exit code."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.cli import _fleet, _options, _voice
from auditor.errors import UsageError
from auditor.model.report import Outcome
from auditor.model.rule import Rule, Severity
from auditor.redaction import printable

if TYPE_CHECKING:
    from auditor.engine.wide_tally import Standing, Tally

_BESIDE = ("output", "sign", "notify", "scheduler", "results", "framework")
"""Options that are about reports."""
_OPEN = (Outcome.UNKNOWN, Outcome.ERROR)
_MOST_RULES = 3


def run(
    files: Sequence[str], config_path: Path | None, folders: Sequence[Path], now: datetime, options: dict[str, Any]
) -> int:
    """Judges by the rules alone, writes the tables and says what there is."""
    from auditor import census, pipeline
    from auditor.engine.intake import Evidence

    forms = options["formats"] or ("text",)
    beside = [f"--{name}" for name in _BESIDE if options.get(name)]
    if beside or len(forms) != 1 or forms[0] not in {"text", "json"}:
        hint = "its tables go to the folder that --outcomes names; what is printed is text, or JSON with -f json"
        said = f"no {beside[0]}" if beside else "one of the formats text and json"
        raise UsageError(f"--outcomes takes {said}", hint=hint)
    rules = pipeline.rule_files(_options.settings(config_path, ()) if config_path else None, folders)
    with Evidence(now) as evidence:
        evidence.add_files(_fleet.paths(files))
        tally = census.take(evidence, rules, options["outcomes"], floor=options["min_coverage"])
    if forms[0] == "json":
        _voice.result(json.dumps(census.as_table(tally), indent=1))
    else:
        for line in lines(tally, rules, options["outcomes"]):
            _voice.result(line)
    return code(tally, rules, fail_on=Severity(options["fail_on"]))


def code(tally: Tally, rules: Sequence[Rule], *, fail_on: Severity) -> int:
    """Contract 3, as for a report."""
    from auditor.pipeline import FAILING, INCOMPLETE

    failing = [rule.severity for rule in rules if tally.rules[rule.id].get(Outcome.FAIL) and rule.severity in FAILING]
    worst = min(failing, key=lambda severity: severity.rank, default=None)
    if worst is not None and worst.rank <= fail_on.rank:
        return FAILING[worst]
    errors = any(said.get(Outcome.ERROR) for said in tally.rules.values())
    return INCOMPLETE if tally.incomplete or errors or tally.thin else 0


def lines(tally: Tally, rules: Sequence[Rule], folder: Path) -> Iterator[str]:
    """The census for a person: counts of accounts, rules by what they say, and whom to look at first."""
    seen = ", ".join(f"{count:,} {_plural(scope, count)}" for scope, count in _lists(tally) if count)
    accounts = "1 account" if tally.accounts == 1 else f"{tally.accounts:,} accounts"
    yield accounts + (f", {seen}" if seen else "") + f", judged by {len(rules)} rules"
    grades = [f"{grade} {count:,}" for grade, count in tally.grades.items()]
    grades += [f"{tally.thin:,} show too little for a letter"] if tally.thin else []
    yield f"Grades     {'   '.join(grades) or 'nothing to score'}"
    if tally.coverage is not None:
        yield f"Coverage   {tally.coverage:.0%} at the account that shows least"
    if tally.incomplete:
        yield f"Incomplete {tally.incomplete:,} accounts could not be read whole; what is missing is unknown, not fine"
    yield ""
    yield from _by_rule(tally, rules)
    if tally.worst:
        yield ""
        yield "Look at these first:"
        yield from map(_standing, tally.worst)
    yield ""
    yield f"Every account, and every subject that fails or is unknown: {folder}/*.parquet; the counts: {folder}/tally.json"
    yield "Attack paths and waivers are not part of this; evaluate the accounts above by themselves for those."


def _by_rule(tally: Tally, rules: Sequence[Rule]) -> Iterator[str]:
    """Rules that fail somewhere, worst first, then how many only cannot be decided."""
    found = [rule for rule in rules if tally.rules[rule.id].get(Outcome.FAIL)]
    wide = max((len(rule.id) for rule in found), default=0)
    if found:
        yield f"{'':8}  {'accounts that':{wide}}  {'fail':>9}  {'may fail':>9}"
    for rule in sorted(found, key=lambda one: (one.severity.rank, -tally.rules[one.id][Outcome.FAIL], one.id)):
        said = tally.rules[rule.id]
        unknown = sum(said.get(outcome, 0) for outcome in _OPEN)
        yield f"{rule.severity.value:8}  {printable(rule.id):{wide}}  {said[Outcome.FAIL]:9,}  {unknown:9,}"
    undecided = sum(any(said.get(one) for one in _OPEN) and not said.get(Outcome.FAIL) for said in tally.rules.values())
    if undecided:
        yield f"{undecided} more rules fail nowhere for certain and cannot be decided everywhere"


def _standing(one: Standing) -> str:
    named = ", ".join(map(printable, one.failing[:_MOST_RULES]))
    more = f" and {len(one.failing) - _MOST_RULES} more" if len(one.failing) > _MOST_RULES else ""
    text = f"  {printable(one.name)} ({printable(one.exchange)})  {one.low:.1f} to {one.high:.1f}  {named}{more}"
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else len(text)
    return text if len(text) <= width else text[: width - 1] + "…"


def _lists(tally: Tally) -> Iterator[tuple[str, int]]:
    return ((scope, count) for scope, count in tally.subjects.items() if scope not in {"account", "venue"})


def _plural(scope: str, count: int) -> str:
    name = scope.replace("api_key", "key")
    if count == 1:
        return name
    return f"{name}es" if name.endswith("s") else f"{name}s"
