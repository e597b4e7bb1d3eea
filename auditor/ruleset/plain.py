"""The tree of checked SQL as plain lists and texts, so that it can be kept in a file and read without an SQL parser.

A node is a list: what it is, then its parts. `kleene` gives it its meaning; nothing is checked here, for only SQL that
the checker wrote arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

Node = list[Any]
"""["fact", path], ["now"], ["bool", True], ["number", "0.5"], ["text", "sms"], ["interval", "90", "DAY"]; ["not", node],
["and", node, ...], ["or", node, ...]; ["=", node, node] and the other comparisons, ["+", node, node], ["-", node, node];
["between", node, node, node], ["in", node, node, ...], ["like", node, "pattern", wanted], ["negative", node]."""

_COMPARISONS = {"EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
_PAIRS = {**_COMPARISONS, "Add": "+", "Sub": "-"}


def read(sql: str) -> Node:
    """The tree of a predicate that the checker wrote."""
    import sqlglot

    return _node(sqlglot.parse_one(sql, into=sqlglot.exp.Condition, dialect="duckdb"))


def facts(node: Node) -> tuple[str, ...]:
    """The facts a tree names, each once, those nearest to its root first."""
    found, level = [], [node]
    while level:
        found += [one[1] for one in level if one[0] == "fact"]
        level = [part for one in level for part in one[1:] if isinstance(part, list)]
    return tuple(dict.fromkeys(found))


def _node(node: Expr) -> Node:
    kind = type(node).__name__
    if kind == "Paren":
        return _node(node.this)
    if kind in {"And", "Or"}:
        return [kind.lower(), *map(_node, node.flatten())]
    if kind in _PAIRS:
        return [_PAIRS[kind], _node(node.this), _node(node.expression)]
    return _OTHERS[kind](node)


def _column(node: Expr) -> Node:
    return ["fact", f"{node.text('table')}.{node.name}"] if node.text("table") else ["now"]


_OTHERS: dict[str, Callable[[Any], Node]] = {
    "Column": _column,
    "Literal": lambda node: ["text" if node.is_string else "number", node.name],
    "Boolean": lambda node: ["bool", bool(node.this)],
    "Neg": lambda node: ["negative", _node(node.this)],
    "Not": lambda node: ["not", _node(node.this)],
    "Like": lambda node: ["like", _node(node.this), node.expression.name, not node.args.get("negate")],
    "In": lambda node: ["in", _node(node.this), *map(_node, node.expressions)],
    "Between": lambda node: ["between", _node(node.this), _node(node.args["low"]), _node(node.args["high"])],
    "Interval": lambda node: ["interval", node.this.name, node.unit.name.upper()],
}
