"""The score of contract 7 as SQL, for many accounts at once: what `score` computes for one. A test holds the two together."""

from __future__ import annotations

from collections.abc import Mapping

from auditor.engine import score, wide_bits
from auditor.engine.wide_bits import Numbered
from auditor.model.rule import Rule, Severity

_WEIGHTY = [one for one in Severity if score.weight(one)]
_KEPT = "doc, shown_account, shown_exchange, incomplete, low, high, coverage"
_GRADE = "CASE WHEN low_letter = high_letter THEN low_letter ELSE low_letter || '-' || high_letter END AS grade"


def judged(rules: Mapping[str, Numbered]) -> str:
    """The query of the table `judged`, over `worst_<scope>`: a row an account, its score, and the words of the rules that
    certainly fail, else are open, else pass: a bit in one of them at most.
    """
    scopes = {scope: of_scope for scope, of_scope in rules.items() if of_scope}
    every = {number: rule for of_scope in scopes.values() for number, rule in of_scope.items()}
    joined = " ".join(f"LEFT JOIN worst_{scope} USING (doc)" for scope in scopes)
    words = [f"{kind}_{word}" for word in wide_bits.words(every) for kind in wide_bits.KINDS]
    together = "".join(f", {_together(word, scopes)}" for word in words)
    whole = (
        "SELECT d.doc, d.account.name AS shown_account, d.account.exchange AS shown_exchange, "  # noqa: S608
        f"account.failed_count + account.broken_count > 0 AS incomplete{together} "
        f"FROM docs d JOIN account USING (doc) {joined}"
    )
    once = f"SELECT *{_once(every)} FROM ({whole})"  # noqa: S608
    counts = ", ".join(
        f"({wide_bits.count(kind, of_it)}) AS {kind}_{one.value}"
        for one in _WEIGHTY
        for of_it in [[number for number, rule in every.items() if rule.severity is one]]
        for kind in wide_bits.KINDS
    )
    weighed_out = f"{_weight(*wide_bits.KINDS)} AS total, {_weight('open')} AS undecided"
    weights = f"SELECT *, {weighed_out} FROM (SELECT *, {counts} FROM ({once}))"  # noqa: S608
    scored = (
        f"SELECT *, CASE WHEN total > 0 THEN {_product('fail')} END AS high, "  # noqa: S608
        f"CASE WHEN total > 0 THEN {_product('fail', 'open')} END AS low, "
        f"CASE WHEN total > 0 THEN 1 - undecided / total END AS coverage FROM ({weights})"
    )
    lettered = f"SELECT *, {_letter('low')} AS low_letter, {_letter('high')} AS high_letter FROM ({scored})"  # noqa: S608
    return f"SELECT {', '.join([_KEPT, _GRADE, *words])} FROM ({lettered})"  # noqa: S608


def name_of(rule: Rule) -> str:
    """The column of a rule."""
    return f'"{rule.id}"'


def _together(word: str, scopes: Mapping[str, Numbered]) -> str:
    """A word of an account: that of all its subjects."""
    number = int(word.rpartition("_")[2])
    of_it = [
        f"coalesce(worst_{scope}.{word}, 0)" for scope, rules in scopes.items() if number in wide_bits.words(rules)
    ]
    return f"{' | '.join(of_it)} AS {word}"


def _once(rules: Numbered) -> str:
    """That every bit is in one word only: the worst."""
    changed = ", ".join(
        f"open_{word} & ~fail_{word} AS open_{word}, pass_{word} & ~fail_{word} & ~open_{word} AS pass_{word}"
        for word in wide_bits.words(rules)
    )
    return f" REPLACE ({changed})" if changed else ""


def _product(*counted: str) -> str:
    exponents = {one: " + ".join(f"{what}_{one.value}" for what in counted) for one in _WEIGHTY}
    return "100 * " + " * ".join(f"pow({score.FACTORS[one]!r}, {exponent})" for one, exponent in exponents.items())


def _weight(*counted: str) -> str:
    counts = {one: " + ".join(f"{what}_{one.value}" for what in counted) for one in _WEIGHTY}
    return "(" + " + ".join(f"{score.weight(one)!r} * ({count})" for one, count in counts.items()) + ")"


def _letter(column: str) -> str:
    steps = " ".join(f"WHEN {column} >= {floor} - 1e-9 THEN '{letter}'" for floor, letter in score.GRADES)
    return f"CASE WHEN {column} IS NULL THEN NULL {steps} ELSE 'F' END"
