"""The score of contract 7 as SQL, for many accounts at once: what `score` computes for one. A test holds the two together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditor.engine import score, wide_bits
from auditor.model.rule import Rule, Severity

_COUNTED = {"fails": ("fail",), "open": ("open",), "all": ("fail", "open", "pass")}
_KEPT = "doc, shown_account, shown_exchange, incomplete, low, high, coverage"
_GRADE = "CASE WHEN low_letter = high_letter THEN low_letter ELSE low_letter || '-' || high_letter END AS grade"


def judged(by_scope: Mapping[str, Sequence[Rule]]) -> str:
    """The query of the table `judged`, over `worst_<scope>`: a row an account, its score, and of each scope the words of
    the rules that certainly fail, else are open, else pass: a bit in one of them at most.
    """
    scopes = {scope: rules for scope, rules in by_scope.items() if rules}
    joined = " ".join(f"LEFT JOIN worst_{scope} USING (doc)" for scope in scopes)
    said = [
        (scope, kind, word)
        for scope, rules in scopes.items()
        for word in wide_bits.words(rules)
        for kind in wide_bits.KINDS
    ]
    words = [f"{scope}_{kind}_{word}" for scope, kind, word in said]
    filled = "".join(f", {_worst(*one)}" for one in said)
    counts = ", ".join(
        f"{_count(scopes, kinds, one)} AS {what}_{one.value}" for one in Severity for what, kinds in _COUNTED.items()
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
    return f"SELECT {', '.join([_KEPT, _GRADE, *words])} FROM ({lettered})"  # noqa: S608


def name_of(rule: Rule) -> str:
    """The column of a rule."""
    return f'"{rule.id}"'


def _worst(scope: str, kind: str, word: int) -> str:
    worse = {"fail": "", "open": f" & ~fail_{word}", "pass": f" & ~fail_{word} & ~open_{word}"}[kind]
    names = f"worst_{scope}.{kind}_{word}{worse.replace('~', f'~worst_{scope}.')}"
    return f"coalesce({names}, 0) AS {scope}_{kind}_{word}"


def _count(scopes: Mapping[str, Sequence[Rule]], kinds: Sequence[str], severity: Severity) -> str:
    weighed = {
        scope: [number for number, rule in enumerate(rules) if rule.severity is severity]
        for scope, rules in scopes.items()
    }
    found = [wide_bits.count(kind, numbers, f"{scope}_") for kind in kinds for scope, numbers in weighed.items()]
    return f"({' + '.join(found)})"


def _product(*counted: str) -> str:
    exponents = {one: " + ".join(f"{what}_{one.value}" for what in counted) for one in Severity}
    return "100 * " + " * ".join(f"pow({score.FACTORS[one]!r}, {exponent})" for one, exponent in exponents.items())


def _weight(counted: str) -> str:
    return "(" + " + ".join(f"{score.weight(one)!r} * {counted}_{one.value}" for one in Severity) + ")"


def _letter(column: str) -> str:
    steps = " ".join(f"WHEN {column} >= {floor} - 1e-9 THEN '{letter}'" for floor, letter in score.GRADES)
    return f"CASE WHEN {column} IS NULL THEN NULL {steps} ELSE 'F' END"
