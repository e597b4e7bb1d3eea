"""The score of contract 7 as SQL, for many accounts at once: what `score` computes for one. A test holds the two together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditor.engine import score
from auditor.model.facts import SCOPES
from auditor.model.report import Outcome
from auditor.model.rule import Rule, Severity

CODES = {Outcome.FAIL: 4, Outcome.ERROR: 3, Outcome.UNKNOWN: 2, Outcome.PASS: 1, Outcome.NOT_APPLICABLE: 0}
_OPEN = (CODES[Outcome.ERROR], CODES[Outcome.UNKNOWN])
_GRADE = "CASE WHEN low_letter = high_letter THEN low_letter ELSE low_letter || '-' || high_letter END AS grade"


def judged(by_scope: Mapping[str, Sequence[Rule]]) -> str:
    """The query of the table `judged`, over `worst_<scope>`: a row an account, the outcome of each rule (0 where it has no subject), and its score."""
    rules = [rule for scope in SCOPES for rule in by_scope[scope]]
    joined = " ".join(f"LEFT JOIN worst_{scope} USING (doc)" for scope in SCOPES if by_scope[scope])
    filled = "".join(f", coalesce({name}, 0)::TINYINT AS {name}" for name in map(name_of, rules))
    weighed = {one: [name_of(rule) for rule in rules if rule.severity is one] for one in Severity}
    counts = ", ".join(
        f"{_count(names, condition)} AS {what}_{one.value}"
        for one, names in weighed.items()
        for what, condition in (("fails", "= 4"), ("open", f"IN {_OPEN}"), ("all", "> 0"))
    )
    whole = (
        "SELECT d.doc, d.account.name AS shown_account, d.account.exchange AS shown_exchange, "  # noqa: S608
        f"account.failed_count + account.broken_count > 0 AS incomplete{filled} "
        f"FROM docs d JOIN account USING (doc) {joined}"
    )
    weighed_out = f"{_weight('all')} AS total, {_weight('open')} AS undecided"
    weights = f"SELECT *, {weighed_out} FROM (SELECT *, {counts} FROM ({whole}))"  # noqa: S608
    scored = (
        f"SELECT *, CASE WHEN total > 0 THEN {_product('fails')} END AS high, "  # noqa: S608
        f"CASE WHEN total > 0 THEN {_product('fails', 'open')} END AS low, "
        f"CASE WHEN total > 0 THEN 1 - undecided / total END AS coverage FROM ({weights})"
    )
    lettered = f"SELECT *, {_letter('low')} AS low_letter, {_letter('high')} AS high_letter FROM ({scored})"  # noqa: S608
    return f"SELECT *, {_GRADE} FROM ({lettered})"  # noqa: S608


def name_of(rule: Rule) -> str:
    """The column of a rule."""
    return f'"{rule.id}"'


def _count(names: Sequence[str], condition: str) -> str:
    return "(" + (" + ".join(f"({name} {condition})::SMALLINT" for name in names) or "0") + ")"


def _product(*counted: str) -> str:
    exponents = {one: " + ".join(f"{what}_{one.value}" for what in counted) for one in Severity}
    return "100 * " + " * ".join(f"pow({score.FACTORS[one]!r}, {exponent})" for one, exponent in exponents.items())


def _weight(counted: str) -> str:
    return "(" + " + ".join(f"{score.weight(one)!r} * {counted}_{one.value}" for one in Severity) + ")"


def _letter(column: str) -> str:
    steps = " ".join(f"WHEN {column} >= {floor} - 1e-9 THEN '{letter}'" for floor, letter in score.GRADES)
    return f"CASE WHEN {column} IS NULL THEN NULL {steps} ELSE 'F' END"
