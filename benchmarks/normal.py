"""Rules in the plainest form there is, so that every engine can be given the same ones: when a rule certainly fails and when it
certainly does not, each as alternatives of comparisons of known facts. Two-valued engines need both, for neither is unknown.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product
from typing import Any

from auditor.model.rule import Rule
from auditor.ruleset import plain

Atom = list[Any]
"""[fact, sign, constant]: holds where the fact is known and compares so."""
Alternatives = list[list[Atom]]
_OPPOSITE = {"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_MOST = 64


class UnsayableError(Exception):
    """A condition that not every engine can be given in this form."""


def rule(one: Rule, now: datetime) -> dict[str, Alternatives]:
    """`fail` and `ok` of a rule. Raises UnsayableError."""
    require = ["not", plain.read(one.require.sql)]
    risk = ["and", plain.read(one.when.sql), require] if one.when else require
    return {"fail": _when(risk, now, wanted=True), "ok": _when(risk, now, wanted=False)}


def _when(node: plain.Node, now: datetime, *, wanted: bool) -> Alternatives:
    kind = node[0]
    if kind == "not":
        return _when(node[1], now, wanted=not wanted)
    if kind in {"and", "or"}:
        parts = [_when(part, now, wanted=wanted) for part in node[1:]]
        if (kind == "or") is wanted:
            return [one for part in parts for one in part]
        joined = [[atom for part in chosen for atom in part] for chosen in product(*parts)]
        if len(joined) > _MOST:
            raise UnsayableError(kind)
        return joined
    if kind == "fact":
        return [[[node[1], "=", wanted]]]
    if kind == "in":
        atoms = [[_fact(node[1]), "=" if wanted else "<>", _constant(item, now)] for item in node[2:]]
        return [[atom] for atom in atoms] if wanted else [atoms]
    if kind in _OPPOSITE:
        return [[[_fact(node[1]), kind if wanted else _OPPOSITE[kind], _constant(node[2], now)]]]
    raise UnsayableError(kind)


def _fact(node: plain.Node) -> str:
    if node[0] != "fact":
        raise UnsayableError(node[0])
    return str(node[1])


def _constant(node: plain.Node, now: datetime) -> Any:
    if node[0] in {"bool", "text"}:
        return node[1]
    if node[0] == "number":
        return float(node[1])
    if node[0] == "now":
        return now.timestamp()
    if node[0] in {"+", "-"} and node[1] == ["now"] and node[2][0] == "interval":
        span = timedelta(**{f"{node[2][2].lower()}s": int(node[2][1])})
        return (now + span if node[0] == "+" else now - span).timestamp()
    raise UnsayableError(node[0])
