"""A checked predicate as a three-valued condition in Python: what it says of known facts, and on which facts that rests.

DuckDB stays the evaluator of rules; this one decides the few conditions of the attack model for thousands of what-ifs.
A test holds the two against each other. Knows no model and no exchange.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

from auditor.model.facts import catalogue
from auditor.model.rule import Predicate
from auditor.ruleset.tree import CLOCK

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

Facts = Mapping[str, Any]
Truth = bool | None
_Value = Callable[[Facts, datetime], Any]

_ORDER = {
    "EQ": operator.eq,
    "NEQ": operator.ne,
    "LT": operator.lt,
    "LTE": operator.le,
    "GT": operator.gt,
    "GTE": operator.ge,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Condition:
    """One node. `value` maps facts (times as datetimes, unknown ones absent or None) to TRUE, FALSE or None.

    `facts` are those it reads; `parts` the conditions it joins, with `joint` saying how: and, or, not, or "" for a leaf.
    """

    value: Callable[[Facts, datetime], Truth]
    facts: tuple[str, ...]
    joint: str = ""
    parts: tuple[Condition, ...] = ()

    def grounds(self, facts: Facts, now: datetime) -> tuple[str, ...]:
        """The known facts that made it TRUE or FALSE; nothing where it is neither."""
        return tuple(dict.fromkeys(self._grounds(facts, now)))

    def open(self, facts: Facts, now: datetime) -> tuple[str, ...]:
        """The unknown facts that would decide it; nothing where it is decided."""
        return tuple(dict.fromkeys(self._open(facts, now)))

    def _grounds(self, facts: Facts, now: datetime) -> list[str]:
        truth = self.value(facts, now)
        if truth is None:
            return []
        if not self.joint:
            return [path for path in self.facts if facts.get(path) is not None]
        decisive = (self.joint == "or") is truth
        found = [part._grounds(facts, now) for part in self.parts if self.joint == "not" or part.value(facts, now) is truth]  # noqa: SLF001
        if self.joint != "not" and decisive:
            return min(found, key=len)
        return [path for grounds in found for path in grounds]

    def _open(self, facts: Facts, now: datetime) -> list[str]:
        if self.value(facts, now) is not None:
            return []
        if not self.joint:
            return [path for path in self.facts if facts.get(path) is None]
        return [path for part in self.parts for path in part._open(facts, now)]  # noqa: SLF001


ALWAYS = Condition(value=lambda _facts, _now: True, facts=())
"""The condition of what needs none."""


@cache
def condition(predicate: Predicate) -> Condition:
    """The condition that a checked predicate states."""
    import sqlglot

    return _condition(sqlglot.parse_one(predicate.sql, into=sqlglot.exp.Condition, dialect="duckdb"))


@cache
def both(*parts: Condition) -> Condition:
    """TRUE where all are, FALSE where one is."""
    kept = tuple(part for part in parts if part is not ALWAYS)
    return kept[0] if len(kept) == 1 else _joined("and", kept) if kept else ALWAYS


@cache
def negation(part: Condition) -> Condition:
    """The opposite; unknown where it is unknown."""
    inner = part.value

    def value(facts: Facts, now: datetime) -> Truth:
        found = inner(facts, now)
        return None if found is None else not found

    return Condition(value=value, facts=part.facts, joint="not", parts=(part,))


def _joined(joint: str, parts: tuple[Condition, ...]) -> Condition:
    values = tuple(part.value for part in parts)
    decisive = joint == "or"

    def value(facts: Facts, now: datetime) -> Truth:
        found: Truth = not decisive
        for one in values:
            truth = one(facts, now)
            if truth is decisive:
                return decisive
            if truth is None:
                found = None
        return found

    facts = tuple(dict.fromkeys(path for part in parts for path in part.facts))
    return Condition(value=value, facts=facts, joint=joint, parts=parts)


def _condition(node: Expr) -> Condition:
    kind = type(node).__name__
    if kind == "Paren":
        return _condition(node.this)
    if kind == "Not":
        return negation(_condition(node.this))
    if kind in {"And", "Or"}:
        flat = list(node.flatten())
        return _joined(kind.lower(), tuple(_condition(part) for part in flat))
    return Condition(value=_LEAVES.get(kind, _compared)(node), facts=_facts(node))


def _facts(node: Expr) -> tuple[str, ...]:
    columns = [one for one in node.walk() if type(one).__name__ == "Column" and one.text("table")]
    return tuple(dict.fromkeys(f"{one.text('table')}.{one.name}" for one in columns))


def _like(node: Expr) -> _Value:
    path = _facts(node)[0]
    pattern = re.escape(node.expression.name).replace("%", ".*").replace("_", ".")
    matches = re.compile(pattern, re.DOTALL).fullmatch
    wanted = not node.args.get("negate")

    def value(facts: Facts, _now: datetime) -> Truth:
        text = facts.get(path)
        return None if text is None else (matches(text) is not None) is wanted

    return value


def _among(node: Expr) -> _Value:
    term, listed = _term(node.this), [_term(item)({}, datetime.min) for item in node.expressions]

    def value(facts: Facts, now: datetime) -> Truth:
        held = term(facts, now)
        return None if held is None else any(_alike(operator.eq, held, one) for one in listed)

    return value


def _between(node: Expr) -> _Value:
    term, low, high = _term(node.this), _term(node.args["low"]), _term(node.args["high"])

    def value(facts: Facts, now: datetime) -> Truth:
        held, least, most = term(facts, now), low(facts, now), high(facts, now)
        ends = [
            None if held is None or end is None else _alike(sign, held, end)
            for sign, end in ((operator.ge, least), (operator.le, most))
        ]
        return False if False in ends else None if None in ends else True

    return value


def _compared(node: Expr) -> _Value:
    sign, left, right = _ORDER[type(node).__name__], _term(node.this), _term(node.expression)

    def value(facts: Facts, now: datetime) -> Truth:
        one, other = left(facts, now), right(facts, now)
        return None if one is None or other is None else _alike(sign, one, other)

    return value


def _alike(sign: Callable[[Any, Any], Any], one: Any, other: Any) -> bool:
    """Compares as the engine does: a decimal constant beside a floating number is one itself."""
    if type(one) is not type(other) and isinstance(one, (float, Fraction)) and isinstance(other, (float, Fraction, int)):
        one, other = float(one), float(other)
    elif isinstance(other, float) and not isinstance(one, float):
        one = float(one)
    return bool(sign(one, other))


def _term(node: Expr) -> _Value:
    kind = type(node).__name__
    if kind == "Paren":
        return _term(node.this)
    if kind in {"Literal", "Boolean", "Neg"}:
        constant = _constant(node)
        return lambda _facts, _now: constant
    if kind in {"Add", "Sub"}:
        return _sum(node)
    if kind == "Column":
        return _column(node)
    return _condition(node).value


def _constant(node: Expr) -> Any:
    kind = type(node).__name__
    if kind == "Neg":
        return -_constant(node.this)
    if kind == "Boolean":
        return bool(node.this)
    return node.name if node.is_string else Fraction(node.name)


def _column(node: Expr) -> _Value:
    if not node.text("table"):
        assert node.name == CLOCK
        return lambda _facts, now: now
    path = f"{node.text('table')}.{node.name}"
    return lambda facts, _now: facts.get(path)


def _truth(node: Expr) -> _Value:
    path = _facts(node)[0]
    assert catalogue()[path].kind == "bool"
    return lambda facts, _now: facts.get(path)


def _sum(node: Expr) -> _Value:
    sign: Callable[[Any, Any], Any] = operator.add if type(node).__name__ == "Add" else operator.sub
    left = _term(node.this)
    if type(node.expression).__name__ == "Interval":
        interval = node.expression
        by = timedelta(**{f"{interval.unit.name.lower()}s": int(interval.this.name)})
        return lambda facts, now: None if (held := left(facts, now)) is None else sign(held, by)
    right = _term(node.expression)

    def value(facts: Facts, now: datetime) -> Any:
        one, other = left(facts, now), right(facts, now)
        return None if one is None or other is None else sign(one, other)

    return value


_LEAVES: dict[str, Callable[[Expr], _Value]] = {
    "Column": _truth,
    "Boolean": _term,
    "Like": _like,
    "In": _among,
    "Between": _between,
}
