"""The score of contract 7, formula `product-1`: an interval that shows its own uncertainty.

`low` counts every unknown as a failure, `high` as a pass; `coverage` is the share of the weight that was decided. A list
nobody could see never helps: its unseen subject is unknown, and unknown is never pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from auditor.model.report import Outcome, Score
from auditor.model.rule import Rule, Severity

FORMULA = "product-1"
FACTORS = {Severity.CRITICAL: 0.40, Severity.HIGH: 0.80, Severity.MEDIUM: 0.96, Severity.LOW: 0.99, Severity.INFO: 1.0}
GRADES = ((90, "A"), (75, "B"), (55, "C"), (35, "D"))
_WORST_FIRST = (Outcome.FAIL, Outcome.ERROR, Outcome.UNKNOWN, Outcome.PASS, Outcome.NOT_APPLICABLE)


def of_account(outcomes: Iterable[Outcome]) -> Outcome:
    """One outcome of a rule for an account, from those of its subjects; not_applicable where there are none.

    An error counts as unknown in the score and stays an error here, so that it is seen.
    """
    return min(outcomes, key=_WORST_FIRST.index, default=Outcome.NOT_APPLICABLE)


def score(outcomes: Mapping[str, Outcome], rules: Mapping[str, Rule], attested: frozenset[str] = frozenset()) -> Score:
    """The score of one account. `outcomes` is rule id -> of_account; `attested` are the rules decided by an owner's word."""
    applicable = {rule: outcome for rule, outcome in outcomes.items() if outcome is not Outcome.NOT_APPLICABLE}
    weights = {rule: weight(rules[rule].severity) for rule in applicable}
    total = math.fsum(weights.values())
    if total == 0:
        return Score(low=None, high=None, grade=None, coverage=None, observed=None, attested=None)
    failing = [rule for rule, outcome in applicable.items() if outcome is Outcome.FAIL]
    open_ = [rule for rule, outcome in applicable.items() if outcome in {Outcome.UNKNOWN, Outcome.ERROR}]
    high, low = _product(failing, rules), _product([*failing, *open_], rules)
    decided = {rule: weights[rule] for rule, outcome in applicable.items() if outcome in {Outcome.PASS, Outcome.FAIL}}
    weight_decided = math.fsum(decided.values())
    said = math.fsum(weight for rule, weight in decided.items() if rule in attested)
    return Score(
        low=low,
        high=high,
        grade=grade(low, high),
        coverage=weight_decided / total,
        observed=(weight_decided - said) / weight_decided if weight_decided else None,
        attested=said / weight_decided if weight_decided else None,
    )


def _product(rule_ids: Iterable[str], rules: Mapping[str, Rule]) -> float:
    return 100 * math.prod(sorted(FACTORS[rules[rule].severity] for rule in rule_ids))


def weight(severity: Severity) -> float:
    """How much a rule of this severity counts: -ln of its factor."""
    return -math.log(FACTORS[severity]) or 0.0


def gain(severity: Severity) -> float:
    """`score.low` after the whole rule is resolved over `score.low` before."""
    return 1 / FACTORS[severity]


def grade(low: float, high: float) -> str:
    """One letter where both ends agree, else `F-C`."""
    ends = [_letter(low), _letter(high)]
    return ends[0] if ends[0] == ends[1] else "-".join(ends)


def _letter(value: float) -> str:
    return next((letter for floor, letter in GRADES if value >= floor - 1e-9), "F")
