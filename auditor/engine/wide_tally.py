"""What rules say of very many accounts together: counts, grades and the accounts to look at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditor.engine import wide_bits
from auditor.engine.wide import Wide
from auditor.model.facts import SCOPES
from auditor.model.report import Outcome
from auditor.model.rule import Rule
from auditor.redaction import shortened

LONGEST = 200
"""Characters of a text that is shown."""
WORST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An account among many: `failing` are the rules that it fails, worst first."""

    name: str
    exchange: str
    low: float | None
    high: float | None
    grade: str | None
    failing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What is said of all accounts together. `rules`: rule id -> how many accounts it says what of; `subjects`: scope ->
    how many were seen. `thin` are accounts that show too little to be graded. `coverage` is the lowest of any account, None where nothing is weighted.
    """

    accounts: int
    incomplete: int
    thin: int
    subjects: Mapping[str, int]
    rules: Mapping[str, Mapping[Outcome, int]]
    grades: Mapping[str, int]
    coverage: float | None
    worst: tuple[Standing, ...]


def tally(wide: Wide, floor: float) -> Tally:
    """What is said of all accounts together. Of less coverage than `floor` no grade is counted."""
    ask = wide.connection.execute
    rules = [rule for scope in SCOPES for rule in wide.rules[scope]]
    counted = f"count(*), count(*) FILTER (incomplete), count(*) FILTER (coverage < {floor!r}), min(coverage)"
    accounts, incomplete, thin, coverage = ask(f"SELECT {counted} FROM judged").fetchone()  # noqa: S608
    graded = f"SELECT grade, count(*) FROM judged WHERE coverage >= {floor!r} GROUP BY 1 ORDER BY 1"  # noqa: S608
    grades = ask(graded).fetchall()
    subjects = {
        scope: ask(f"SELECT count(*) FROM outcome_{scope} WHERE NOT unseen").fetchone()[0]  # noqa: S608
        for scope in SCOPES
        if wide.rules[scope]
    }
    return Tally(
        accounts=accounts,
        incomplete=incomplete,
        thin=thin,
        subjects=subjects,
        rules=_by_rule(wide, accounts),
        grades=dict(grades),
        coverage=coverage,
        worst=_worst(wide, sorted(rules, key=lambda rule: (rule.severity.rank, rule.id))),
    )


def _by_rule(wide: Wide, accounts: int) -> dict[str, dict[Outcome, int]]:
    """How many of the accounts each rule says what of."""
    counted = [
        f"coalesce(count_if({wide_bits.said(kind, number)}), 0)"
        for number, _ in wide.every()
        for kind in wide_bits.KINDS
    ]
    found = wide.connection.execute(f"SELECT {', '.join(counted) or 0} FROM judged").fetchone()  # noqa: S608
    each, said = iter(found), {}
    for (_, rule), fail, open_, passed in zip(wide.every(), each, each, each, strict=False):
        of_rule = {Outcome.FAIL: fail, wide.open_(rule): open_, Outcome.PASS: passed}
        of_rule[Outcome.NOT_APPLICABLE] = accounts - fail - open_ - passed
        said[rule.id] = {outcome: count for outcome, count in of_rule.items() if count}
    return said


def _worst(wide: Wide, rules: Sequence[Rule]) -> tuple[Standing, ...]:
    fails = {rule.id: wide_bits.said("fail", number) for number, rule in wide.every()}
    said = ", ".join(fails[rule.id] for rule in rules)
    rows = wide.connection.execute(
        f"SELECT shown_account, shown_exchange, low, high, grade, {said} FROM judged "  # noqa: S608
        f"WHERE low IS NOT NULL ORDER BY low, high, shown_account, doc LIMIT {WORST}"
    ).fetchall()
    return tuple(
        Standing(
            name=shortened(name, limit=LONGEST),
            exchange=shortened(exchange, limit=LONGEST),
            low=low,
            high=high,
            grade=grade,
            failing=tuple(rule.id for rule, failed in zip(rules, fails, strict=True) if failed),
        )
        for name, exchange, low, high, grade, *fails in rows
    )
