"""A checked predicate as a three-valued condition in Python: what it says of known facts, and on which facts that rests.

DuckDB evaluates rules over many documents; this decides the conditions of the attack model for thousands of what-ifs, and
rules over a few documents. Tests hold the two against each other. Knows no model and no exchange.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from auditor.model.facts import catalogue
from auditor.model.rule import Predicate
from auditor.ruleset import plain, prepared
from auditor.ruleset.plain import Node

Facts = Mapping[str, Any]
Truth = bool | None
_Value = Callable[[Facts, datetime], Any]

_ORDER = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
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
        truth = self.value(facts, now)
        if truth is None:
            return ()
        if not self.joint:
            return tuple(path for path in self.facts if facts.get(path) is not None)
        if self.joint == "not":
            return self.parts[0].grounds(facts, now)
        found = [part.grounds(facts, now) for part in self.parts if part.value(facts, now) is truth]
        enough = min(found, key=len) if (self.joint == "or") is truth else [one for grounds in found for one in grounds]
        return tuple(dict.fromkeys(enough))

    def open(self, facts: Facts, now: datetime) -> tuple[str, ...]:
        """The unknown facts that would decide it; nothing where it is decided."""
        if self.value(facts, now) is not None:
            return ()
        if not self.joint:
            return tuple(path for path in self.facts if facts.get(path) is None)
        return tuple(dict.fromkeys(path for part in self.parts for path in part.open(facts, now)))


ALWAYS = Condition(value=lambda _facts, _now: True, facts=())
"""The condition of what needs none."""


@cache
def condition(predicate: Predicate) -> Condition:
    """The condition that a checked predicate states."""
    return _condition(tree(predicate))


@cache
def tree(predicate: Predicate) -> Node:
    """The plain tree of a checked predicate."""
    return prepared.tree(predicate.sql) or plain.read(predicate.sql)


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


@cache
def known(part: Condition) -> Condition:
    """TRUE where it is known to hold, and FALSE otherwise: for a protection that nobody relies on without knowing of it."""
    inner = part.value
    return Condition(value=lambda facts, now: inner(facts, now) is True, facts=part.facts)


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


def _condition(node: Node) -> Condition:
    kind = node[0]
    if kind == "not":
        return negation(_condition(node[1]))
    if kind in {"and", "or"}:
        return _joined(kind, tuple(map(_condition, node[1:])))
    return Condition(value=_LEAVES.get(kind, _compared)(node), facts=plain.facts(node))


def _like(node: Node) -> _Value:
    _, (_, path), written, wanted = node
    first, *between = [re.escape(part).replace("_", ".") for part in written.split("%")]
    inner = "".join(f"(?>.*?{part})" for part in between[:-1])  # the first place will do: nothing is tried twice
    matches = re.compile(first + inner + (f".*{between[-1]}" if between else ""), re.DOTALL).fullmatch

    def value(facts: Facts, _now: datetime) -> Truth:
        text = facts.get(path)
        return None if text is None else (matches(text) is not None) is wanted

    return value


def _among(node: Node) -> _Value:
    term, listed = _term(node[1]), [_constant(item) for item in node[2:]]

    def value(facts: Facts, now: datetime) -> Truth:
        held = term(facts, now)
        return None if held is None else any(_alike(operator.eq, held, one) for one in listed)

    return value


def _between(node: Node) -> _Value:
    term, low, high = map(_term, node[1:])

    def value(facts: Facts, now: datetime) -> Truth:
        held, least, most = term(facts, now), low(facts, now), high(facts, now)
        ends = [
            None if held is None or end is None else _alike(sign, held, end)
            for sign, end in ((operator.ge, least), (operator.le, most))
        ]
        return False if False in ends else None if None in ends else True

    return value


def _compared(node: Node) -> _Value:
    sign, left, right = _ORDER[node[0]], _term(node[1]), _term(node[2])

    def value(facts: Facts, now: datetime) -> Truth:
        one, other = left(facts, now), right(facts, now)
        return None if one is None or other is None else _alike(sign, one, other)

    return value


def _alike(sign: Callable[[Any, Any], Any], one: Any, other: Any) -> bool:
    """Compares as the engine does: a decimal constant beside a floating number is one itself."""
    if isinstance(one, float) or isinstance(other, float):
        one, other = float(one), float(other)
    return bool(sign(one, other))


def _term(node: Node) -> _Value:
    kind = node[0]
    if kind in {"number", "text", "bool", "negative"}:
        constant = _constant(node)
        return lambda _facts, _now: constant
    if kind in {"+", "-"}:
        return _sum(node)
    if kind == "now":
        return lambda _facts, now: now
    if kind == "fact":
        return _held(node[1])
    return _condition(node).value


def _constant(node: Node) -> Any:
    kind, held = node
    if kind == "negative":
        return -_constant(held)
    return _number(held) if kind == "number" else held


def _number(spelled: str) -> Any:
    """Exact, like the engine's decimals."""
    if spelled.isdecimal():
        return int(spelled)
    from fractions import Fraction

    return Fraction(spelled)


def _held(path: str) -> _Value:
    """A fact as the engine holds it: a number is a floating one, however it was written down."""
    if catalogue()[path].kind != "number":
        return lambda facts, _now: facts.get(path)
    return lambda facts, _now: None if (held := facts.get(path)) is None else float(held)


def _truth(node: Node) -> _Value:
    path = node[1]
    assert catalogue()[path].kind == "bool"
    return lambda facts, _now: facts.get(path)


def _sum(node: Node) -> _Value:
    sign: Callable[[Any, Any], Any] = operator.add if node[0] == "+" else operator.sub
    left = _term(node[1])
    if node[2][0] == "interval":
        _, amount, unit = node[2]
        by = timedelta(**{f"{unit.lower()}s": int(amount)})
        return lambda facts, now: None if (held := left(facts, now)) is None else sign(held, by)
    right = _term(node[2])

    def value(facts: Facts, now: datetime) -> Any:
        one, other = left(facts, now), right(facts, now)
        return None if one is None or other is None else sign(one, other)

    return value


_LEAVES: dict[str, Callable[[Node], _Value]] = {
    "fact": _truth,
    "bool": _term,
    "like": _like,
    "in": _among,
    "between": _between,
}
