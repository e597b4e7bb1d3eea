"""A strict description of the regenerated language, written apart from the checker: what it cannot reduce is not in it."""

from __future__ import annotations

import re

from auditor.model.facts import catalogue

_PIECE = re.compile(
    r"(?P<interval>INTERVAL '(?:0|[1-9][0-9]{0,7})' (?:DAY|HOUR|MINUTE)\b)|(?P<text>'(?:[^'\\\x00-\x1f]|'')*')"
    r"|(?P<fact>[a-z_]+\.[a-z0-9_]+)|(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<atom>\b(?:TRUE|FALSE|now_)\b)"
    r"|(?P<rest>\b(?:AND|OR|NOT|BETWEEN|IN|LIKE)\b|<>|<=|>=|[=<>+\-(), ])",
)
_FORM = re.compile(
    r"\((?:NOT V|V(?: AND V)+|V(?: OR V)+|V (?:=|<>|<|<=|>|>=) V|V BETWEEN V AND V|V IN \(V(?:, V)*\)"
    r"|V (?:NOT )?LIKE V|V [+-] [VI]|-V)\)",
)


def reduced(sql: str) -> str:
    """`V` for SQL of the allowed language and nothing else."""
    pieces, place = [], 0
    while place < len(sql):
        match = _PIECE.match(sql, place)
        if match is None:
            return f"stopped at {sql[place:]}"
        if match["fact"] and not catalogue()[match["fact"]].scalar:
            return f"reads {match['fact']}"
        pieces.append("I" if match["interval"] else match["rest"] or "V")
        place = match.end()
    shape, before = "".join(pieces), ""
    while shape != before:
        # `IN (V)` keeps its parentheses, so a lone (V) is never reduced by itself
        before, shape = shape, _FORM.sub("V", shape)
    return shape
