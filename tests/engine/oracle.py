"""The reference evaluator: Kleene's logic over a predicate tree in plain Python, and what the engine must answer by it.

Knows no SQL and nothing of the engine. None is unknown.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

_SIGNS = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "+": operator.add, "-": operator.sub,
}  # fmt: skip


def value(tree: Any, facts: Mapping[str, Any], now: datetime) -> Any:  # noqa: C901, PLR0911  (one line a node)
    """What a tree says of one subject."""
    kind, *parts = tree
    of = [value(part, facts, now) if isinstance(part, tuple) else part for part in parts]
    match kind:
        case "fact":
            return facts.get(parts[0])
        case "constant":
            return parts[0]
        case "now":
            return now
        case "interval":
            return timedelta(**{parts[1].lower() + "s": parts[0]})
        case "not":
            return None if of[0] is None else not of[0]
        case "and":
            return False if False in of else None if None in of else True
        case "or":
            return True if True in of else None if None in of else False
        case "between":
            return value(("and", ("sign", ">=", *tree[1:3]), ("sign", "<=", tree[1], tree[3])), facts, now)
        case "in":
            return None if of[0] is None else of[0] in parts[1]
        case "like":
            shape = re.escape(parts[1]).replace("%", ".*").replace("_", ".")
            return None if of[0] is None else re.fullmatch(shape, of[0], re.DOTALL) is not None
    return None if None in of[1:] else _SIGNS[of[0]](*of[1:])


def outcome(when: Any, require: Any, facts: Mapping[str, Any], now: datetime) -> str:
    """Contract 6: R = when AND NOT require; TRUE fails, NULL is unknown, FALSE passes or, where `when` is FALSE, is not about it."""
    about = True if when is None else value(when, facts, now)
    risk = value(("and", ("constant", about), ("not", require)), facts, now)
    return {True: "fail", None: "unknown", False: "not_applicable" if about is False else "pass"}[risk]
