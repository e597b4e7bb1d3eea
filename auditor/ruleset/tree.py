"""The second gate: a typed allow-list over the parsed tree of a predicate, and the SQL written from it.

Every node, and every option of a node, must stand in the table at the end. Knows the types of facts and nothing of
spelling: what a forgiving parser reads over was refused in `words` before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from auditor.model.facts import catalogue
from auditor.ruleset.words import AMOUNT, CLOCK, UNITS, PredicateError, check_number, check_text, shown
from auditor.values import frozen

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

_LARGEST_SUM = 2**31 - 1


@frozen
class _Term:
    """A checked piece: its type (bool, number, text, enum, time, interval), its SQL, and what messages call it."""

    kind: str
    sql: str
    name: str
    choices: tuple[str, ...] = ()
    constant: str | None = None
    fact: bool = False


def regenerated(node: Expr) -> str:
    """The SQL of a condition: every fact as `scope.name`, everything in parentheses. Raises PredicateError."""
    term = _term(node)
    _demand_condition(term)
    return term.sql


def _term(node: Expr) -> _Term:
    name = type(node).__name__
    if name not in _NODES:
        raise PredicateError("is not part of the language", "use facts, constants, AND, OR, NOT and comparisons only")
    options, take = _NODES[name]
    for option, value in node.args.items():
        if option not in options and value is not None and value is not False and value != []:
            hint = "write fact IN ('a', 'b')" if name == "In" else "write it in the plain form"
            raise PredicateError(f"{name.upper()} is used in a form that is not part of the language", hint)
    return take(node)


def _operand(node: Expr) -> _Term:
    """A side of a comparison. A condition there needs parentheses: engines disagree on what `a = b < c` means."""
    if type(node).__name__ in _CONDITIONS:
        raise PredicateError("compares a condition without parentheses", "put parentheses around the inner condition")
    return _term(node)


def _demand_condition(term: _Term) -> None:
    if term.kind != "bool":
        hint = {"time": "compare it: ... < now - INTERVAL '90' DAY", "number": "compare it: ... > 0"}.get(term.kind)
        raise PredicateError(
            f"{term.name} is {_a(term)}, where a condition is expected", hint or "compare it: ... = 'sms'"
        )


def _a(term: _Term) -> str:
    return {"bool": "a condition", "number": "a number", "time": "a time", "enum": "one of a list of choices"}.get(
        term.kind, "an interval" if term.kind == "interval" else "a text"
    )


def _column(node: Expr) -> _Term:
    parts = [node.args.get("table"), node.args["this"]]
    if any(part is not None and (type(part).__name__ != "Identifier" or part.args.get("quoted")) for part in parts):
        raise PredicateError("names a fact in an unexpected form", "facts are written scope.name")
    table, name = (part.name if part is not None else "" for part in parts)
    if not table and name.lower() == "now":
        return _Term(kind="time", sql=CLOCK, name="now")
    fact = catalogue().get(f"{table}.{name}")
    if fact is None:
        raise PredicateError(f"unknown fact {shown(table)}.{shown(name)}", "facts are written scope.name")
    kind = "number" if fact.kind == "int" else fact.kind
    return _Term(kind=kind, sql=fact.path, name=fact.path, choices=fact.choices, fact=True)


def _literal(node: Expr) -> _Term:
    value = str(node.args["this"])
    if not node.args.get("is_string"):
        check_number(value)
        return _Term(kind="number", sql=value, name=value, constant=value)
    check_text(value)
    quoted = "'" + value.replace("'", "''") + "'"
    return _Term(kind="text", sql=quoted, name=shown(quoted), constant=value)


def _boolean(node: Expr) -> _Term:
    value = "TRUE" if node.args["this"] is True else "FALSE"
    return _Term(kind="bool", sql=value, name=value, constant=value)


def _negative(node: Expr) -> _Term:
    inner = node.args["this"]
    if type(inner).__name__ != "Literal" or inner.args.get("is_string"):
        raise PredicateError("a minus sign stands before something that is not a number", "write 0 - fact")
    value = f"(-{_literal(inner).sql})"
    return _Term(kind="number", sql=value, name=value[1:-1], constant=value[1:-1])


def _paren(node: Expr) -> _Term:
    return _term(node.args["this"])


def _not(node: Expr) -> _Term:
    inner = _term(node.args["this"])
    _demand_condition(inner)
    return _condition(f"NOT {inner.sql}")


def _condition(sql: str) -> _Term:
    return _Term(kind="bool", sql=f"({sql})", name="the condition")


def _chain(word: str) -> Callable[[Expr], _Term]:
    """AND and OR, any number of them without recursion: `a AND b AND c` leans to the left in the tree."""

    def take(node: Expr) -> _Term:
        parts: list[Expr] = []
        kind = type(node)
        while type(node) is kind and not set(node.args) - {"this", "expression"}:
            parts.append(node.args["expression"])
            node = node.args["this"]
        terms = [_term(part) for part in (node, *reversed(parts))]
        for term in terms:
            _demand_condition(term)
        return _condition(f" {word} ".join(term.sql for term in terms))

    return take


def _comparison(sign: str) -> Callable[[Expr], _Term]:
    def take(node: Expr) -> _Term:
        left, right = _operand(node.args["this"]), _operand(node.args["expression"])
        _demand_same(left, right)
        if sign not in {"=", "<>"}:
            _demand_order(left, right)
        return _condition(f"{left.sql} {sign} {right.sql}")

    return take


def _demand_order(*terms: _Term) -> None:
    for term in terms:
        if term.kind == "bool":
            raise PredicateError(
                f"{term.name} is true or false and has no order", "write the fact, or NOT and the fact"
            )
        if term.kind in {"text", "enum"}:
            hint = "list the ones you mean: account.login_weakest_factor IN ('none', 'sms')"
            raise PredicateError(f"{term.name} is {_a(term)} and has no order", hint)


def _demand_same(left: _Term, right: _Term) -> None:
    """Both sides of one type; a constant beside an enum fact must be one of its choices."""
    for term in (left, right):
        if term.kind == "interval":
            raise PredicateError("an INTERVAL is not a value of its own", "add it to a time: now - INTERVAL '90' DAY")
    for enum, other in ((left, right), (right, left)):
        if enum.kind == "enum" and other.kind == "text" and other.constant is not None:
            _demand_choice(enum, other.constant)
            return
    if left.kind != right.kind:
        message = f"{left.name} is {_a(left)} and {right.name} is {_a(right)}: they cannot be compared"
        raise PredicateError(message, _same_hint(left, right))
    if left.kind == "enum" and set(left.choices) != set(right.choices):
        raise PredicateError(f"{left.name} and {right.name} have different choices", "compare each with constants")


def _same_hint(left: _Term, right: _Term) -> str:
    kinds = {left.kind, right.kind}
    if "time" in kinds:
        return "times are compared with times, or with now - INTERVAL '90' DAY"
    if "text" in kinds and kinds & {"number", "bool"}:
        return "texts stand in quotes; numbers, TRUE and FALSE do not"
    return "compare facts with facts or constants of their own type"


def _demand_choice(enum: _Term, value: str) -> None:
    import difflib

    if value in enum.choices:
        return
    close = difflib.get_close_matches(value.lower(), enum.choices, 1)
    guess = f": did you mean '{close[0]}'?" if close else ""
    message = f"{enum.name} is never {shown(repr(value))}{guess}"
    raise PredicateError(message, f"it is one of {', '.join(enum.choices)}")


def _between(node: Expr) -> _Term:
    term, low, high = (_operand(node.args[name]) for name in ("this", "low", "high"))
    _demand_same(term, low)
    _demand_same(term, high)
    _demand_order(term, low, high)
    return _condition(f"{term.sql} BETWEEN {low.sql} AND {high.sql}")


def _in(node: Expr) -> _Term:
    term = _operand(node.args["this"])
    items = node.args.get("expressions") or []
    if not items or any(type(item).__name__ not in {"Literal", "Boolean", "Neg"} for item in items):
        raise PredicateError("IN takes constants in parentheses and nothing else", "write fact IN ('a', 'b')")
    constants = [_term(item) for item in items]
    for constant in constants:
        _demand_same(term, constant)
    return _condition(f"{term.sql} IN ({', '.join(constant.sql for constant in constants)})")


def _like(node: Expr) -> _Term:
    term, pattern = _operand(node.args["this"]), node.args["expression"]
    if not term.fact or term.kind != "text":
        hint = "choices are compared with = and IN" if term.kind == "enum" else "write text_fact LIKE 'constant%'"
        raise PredicateError(f"LIKE reads text facts only, and {term.name} is none", hint)
    if type(pattern).__name__ != "Literal" or not pattern.args.get("is_string"):
        raise PredicateError("LIKE takes one constant text", "write text_fact LIKE 'constant%'")
    word = "NOT LIKE" if node.args.get("negate") else "LIKE"
    return _condition(f"{term.sql} {word} {_literal(pattern).sql}")


def _sum(sign: str) -> Callable[[Expr], _Term]:
    def take(node: Expr) -> _Term:
        left, right = _operand(node.args["this"]), _operand(node.args["expression"])
        kinds = (left.kind, right.kind)
        if kinds == ("interval", "time") and sign == "+":
            left, right, kinds = right, left, ("time", "interval")
        if kinds not in {("number", "number"), ("time", "interval")}:
            raise _bad_sum(sign, left, right)
        sql = f"({left.sql} {sign} {right.sql})"
        total = _total(left, sign, right) if kinds == ("number", "number") else None
        return _Term(kind=left.kind, sql=sql, name=f"{left.name} {sign} {right.name}", constant=total)

    return take


def _total(left: _Term, sign: str, right: _Term) -> str | None:
    """What two constants make. Engines count small ones in 32 bits and fail beyond: a fact beside them widens the sum."""
    if left.constant is None or right.constant is None:
        return None
    from decimal import Decimal

    one, other = Decimal(left.constant), Decimal(right.constant)
    total = one + other if sign == "+" else one - other
    if abs(total) > _LARGEST_SUM:
        raise PredicateError(f"{left.name} {sign} {right.name} is a sum of constants", "write the result")
    return str(total)


def _bad_sum(sign: str, left: _Term, right: _Term) -> PredicateError:
    kinds = {left.kind, right.kind}
    if kinds == {"time"}:
        return PredicateError(
            "a time difference is not a value", "compare times: created_at < now - INTERVAL '365' DAY"
        )
    if kinds <= {"time", "interval", "number"} and kinds != {"number"}:
        return PredicateError(f"{left.name} {sign} {right.name} is not a time", "write time - INTERVAL '90' DAY")
    return PredicateError(f"{sign} needs numbers: {left.name} is {_a(left)}, {right.name} is {_a(right)}")


def _interval(node: Expr) -> _Term:
    amount, unit = node.args["this"], node.args["unit"]
    quoted = type(amount).__name__ == "Literal" and amount.args.get("is_string")
    if not quoted or not AMOUNT.match(amount.name) or type(unit).__name__ != "Var" or unit.name.upper() not in UNITS:
        raise PredicateError("the INTERVAL is not in the expected form", "write INTERVAL '90' DAY")
    sql = f"INTERVAL '{amount.name}' {unit.name.upper()}"
    return _Term(kind="interval", sql=sql, name=sql)


_PAIR = frozenset({"this", "expression"})
_ONE = frozenset({"this"})
_COMPARISONS = {"EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
_CONDITIONS = frozenset({*_COMPARISONS, "And", "Or", "Not", "Between", "In", "Like"})
_NODES: dict[str, tuple[frozenset[str], Callable[[Any], _Term]]] = {
    "Column": (frozenset({"this", "table"}), _column),
    "Literal": (frozenset({"this", "is_string"}), _literal),
    "Boolean": (_ONE, _boolean),
    "Neg": (_ONE, _negative),
    "Paren": (_ONE, _paren),
    "Not": (_ONE, _not),
    "And": (_PAIR, _chain("AND")),
    "Or": (_PAIR, _chain("OR")),
    **{name: (_PAIR, _comparison(sign)) for name, sign in _COMPARISONS.items()},
    "Between": (frozenset({"this", "low", "high"}), _between),
    "In": (frozenset({"this", "expressions"}), _in),
    "Like": (frozenset({"this", "expression", "negate"}), _like),
    "Add": (_PAIR, _sum("+")),
    "Sub": (_PAIR, _sum("-")),
    "Interval": (frozenset({"this", "unit"}), _interval),
}
"""Node of the tree -> the options it may carry, and who checks and rewrites it. Nothing else exists."""
