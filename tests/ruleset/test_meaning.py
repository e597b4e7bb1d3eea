"""What DuckDB makes of the regenerated SQL is what a Kleene interpreter makes of the tree an author meant."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.model.facts import SCOPES, catalogue
from auditor.ruleset import words
from auditor.ruleset.predicate import authored, check

from .grammar import reduced

_BOOLS = ["api_key.enabled", "api_key.ip_bound", "account.settings_lock"]
_NUMBERS = ["account.kyc_level", "account.balance_usd"]
_TIMES = ["api_key.created_at", "api_key.last_used_at"]
_NOW = 1_700_000_000
_DAY = 86_400

_number = st.recursive(
    st.one_of(
        st.sampled_from(_NUMBERS).map(lambda path: ("fact", path)),
        st.sampled_from([0, 1, 2, 3, -1, -2]).map(lambda value: ("number", value)),
    ),
    lambda inner: st.tuples(st.sampled_from("+-"), inner, inner),
    max_leaves=4,
)
_moment = st.one_of(
    st.sampled_from(_TIMES).map(lambda path: ("fact", path)),
    st.just(("now",)),
    st.tuples(
        st.just("shift"), st.sampled_from([*_TIMES, "now"]), st.sampled_from("+-"), st.integers(0, 3), st.sampled_from(["DAY", "HOUR"]),
    ),
)  # fmt: skip
_sign = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
_FACTORS = catalogue()["account.login_weakest_factor"].choices
_leaf = st.one_of(
    st.sampled_from(_BOOLS).map(lambda path: ("fact", path)),
    st.sampled_from([True, False]).map(lambda value: ("bool", value)),
    st.tuples(st.just("compare"), _sign, _number, _number),
    st.tuples(st.just("compare"), _sign, _moment, _moment),
    st.tuples(st.just("between"), _number, _number, _number, st.booleans()),
    st.tuples(st.just("in"), st.lists(st.sampled_from(_FACTORS), min_size=1, max_size=3), st.booleans()),
    st.tuples(st.just("like"), st.sampled_from(["a%", "%b", "a_", "it''s", "now_%"]), st.booleans()),
)
_tree = st.recursive(
    _leaf,
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    ),
    max_leaves=8,
)
_facts = st.fixed_dictionaries({
    **dict.fromkeys(_BOOLS, st.sampled_from([True, False, None])),
    "account.kyc_level": st.sampled_from([0, 1, 2, None]),
    "account.balance_usd": st.sampled_from([-1.0, 0.5, 2.0, None]),
    **dict.fromkeys(_TIMES, st.sampled_from([_NOW - _DAY, _NOW, _NOW - 3_600, None])),
    "account.login_weakest_factor": st.sampled_from([*_FACTORS, None]),
    "api_key.label": st.sampled_from(["ab", "b", "it's", "now_x", "nowax", "", None]),
})  # fmt: skip

_LEVEL = {"or": 1, "and": 2, "not": 3, "compare": 4, "between": 4, "in": 4, "like": 4}


def spelled(node: Any, level: int = 0) -> str:
    """A tree as an author writes it, with the fewest parentheses standard SQL needs."""
    text = _spelled(node)
    return f"({text})" if _LEVEL.get(node[0], 9) < level else text


def _spelled(node: Any) -> str:  # noqa: C901, PLR0911  (one case a node)
    match node:
        case ("fact", path):
            return path
        case ("now",):
            return "now"
        case ("number", value):
            return str(value)
        case ("bool", value):
            return str(value)
        case (("+" | "-") as sign, left, right):
            inner = _spelled(right)
            return f"{_spelled(left)} {sign} " + (f"({inner})" if right[0] in {"+", "-"} else inner)
        case ("shift", base, sign, amount, unit):
            return f"{base} {sign} INTERVAL '{amount}' {unit}"
        case ("compare", sign, left, right):
            return f"{_spelled(left)} {sign} {_spelled(right)}"
        case ("between", value, low, high, negative):
            return f"{_spelled(value)} {'NOT ' if negative else ''}BETWEEN {_spelled(low)} AND {_spelled(high)}"
        case ("in", items, negative):
            listed = ", ".join(f"'{item}'" for item in items)
            return f"account.login_weakest_factor {'NOT ' if negative else ''}IN ({listed})"
        case ("like", pattern, negative):
            return f"api_key.label {'NOT ' if negative else ''}LIKE '{pattern}'"
        case ("not", inner):
            return f"NOT {spelled(inner, 3)}"
        case (("and" | "or") as word, left, right):
            return f"{spelled(left, _LEVEL[word])} {word.upper()} {spelled(right, _LEVEL[word])}"
    raise AssertionError(node)


def kleene(node: Any, facts: dict[str, Any]) -> Any:  # noqa: C901, PLR0911  (one case a node)
    """The value of a tree; None is unknown."""
    match node:
        case ("fact", path):
            return facts[path]
        case ("now",):
            return _NOW
        case ("number" | "bool", value):
            return value
        case (("+" | "-") as sign, left, right):
            one, two = kleene(left, facts), kleene(right, facts)
            return None if one is None or two is None else one + two if sign == "+" else one - two
        case ("shift", base, sign, amount, unit):
            start = _NOW if base == "now" else facts[base]
            by = amount * (_DAY if unit == "DAY" else 3_600) * (1 if sign == "+" else -1)
            return None if start is None else start + by
        case ("compare", sign, left, right):
            return compared(sign, kleene(left, facts), kleene(right, facts))
        case ("between", value, low, high, negative):
            it = kleene(value, facts)
            inside = both(compared(">=", it, kleene(low, facts)), compared("<=", it, kleene(high, facts)))
            return inverted(inside) if negative else inside
        case ("in", items, negative):
            it = facts["account.login_weakest_factor"]
            inside = None if it is None else it in items
            return inverted(inside) if negative else inside
        case ("like", pattern, negative):
            it = facts["api_key.label"]
            shape = re.escape(pattern.replace("''", "'")).replace("%", ".*").replace("_", ".")
            inside = None if it is None else re.fullmatch(shape, it) is not None
            return inverted(inside) if negative else inside
        case ("not", inner):
            return inverted(kleene(inner, facts))
        case ("and", left, right):
            return both(kleene(left, facts), kleene(right, facts))
        case ("or", left, right):
            return inverted(both(inverted(kleene(left, facts)), inverted(kleene(right, facts))))
    raise AssertionError(node)


def compared(sign: str, left: Any, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    return {
        "=": left == right,
        "<>": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[sign]


def both(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def inverted(value: bool | None) -> bool | None:
    return None if value is None else not value


_COLUMN = {
    "bool": "BOOLEAN",
    "int": "BIGINT",
    "number": "DOUBLE",
    "text": "VARCHAR",
    "enum": "VARCHAR",
    "time": "TIMESTAMPTZ",
}


def view(facts: dict[str, Any]) -> tuple[str, list[Any]]:
    """A row as the engine builds it: one struct a scope with all scalar facts, and the clock."""
    structs, values = [], []
    for scope in SCOPES:
        fields = []
        for path, fact in catalogue().items():
            if fact.scope != scope or not fact.scalar:
                continue
            value = facts.get(path)
            if value is None:
                fields.append(f"'{fact.name}': CAST(NULL AS {_COLUMN[fact.kind]})")
                continue
            values.append(value)
            fields.append(
                f"'{fact.name}': " + ("to_timestamp(?)" if fact.kind == "time" else f"CAST(? AS {_COLUMN[fact.kind]})")
            )
        structs.append(f"{{{', '.join(fields)}}} AS {scope}")
    return f"(SELECT {', '.join(structs)}, to_timestamp({_NOW}) AS now_)", values


@pytest.fixture(scope="module")
def engine() -> Any:
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET max_expression_depth = 100")
        yield connection


@settings(max_examples=250, deadline=None)
@given(tree=_tree, facts=_facts)
def test_the_engine_answers_as_a_kleene_interpreter_does(engine: Any, tree: Any, facts: dict[str, Any]) -> None:
    found = check(spelled(tree), applies_to="api_key")
    row, values = view(facts)
    [(answer,)] = engine.execute(f"SELECT {found.sql} FROM {row}", values).fetchall()
    assert answer == kleene(tree, facts), found.sql


@settings(max_examples=300)
@given(_tree)
def test_checking_the_regenerated_text_again_changes_nothing(tree: Any) -> None:
    first = check(spelled(tree), applies_to="api_key")
    assert reduced(first.sql) == "V"
    if len(first.sql) < words.MAX_TEXT and first.sql.count("(") < words.MAX_NESTING:
        again = check(authored(first.sql), applies_to="api_key")
        assert again == first


def test_every_scalar_fact_can_be_read_and_is_known_to_the_engine(engine: Any) -> None:
    form = {
        "bool": "{}", "int": "{} = 1", "number": "{} > 0.5", "text": "{} LIKE 'a%'", "enum": "{} = '{first}'",
        "time": "{} < now - INTERVAL '1' DAY",
    }  # fmt: skip
    columns = []
    for path, fact in catalogue().items():
        if fact.scalar:
            text = form[fact.kind].replace("{first}", (*fact.choices, "")[0]).replace("{}", path)
            columns.append(check(text, applies_to=fact.scope).sql)
    row, values = view({})
    [answers] = engine.execute(f"SELECT {', '.join(columns)} FROM {row}", values).fetchall()
    assert set(answers) == {None}


def test_the_largest_accepted_predicates_run(engine: Any) -> None:
    largest = [
        "account.kyc_level " + "+ 9007199254740992 " * 40 + "> 0",
        "account.kyc_level " + "- 9007199254740992 " * 40 + "< 0",
        "account.balance_usd " + "+ 0.00000000000000001 " * 40 + "> 0",
        "account.kyc_level + 0.00000000000000001 + 9007199254740992 > 12345678901234.567",
        "NOT (" * 12 + "account.kyc_level " + "+ 1" * 40 + " > 0" + ")" * 12,
        "account.kyc_level + " + "(1 + " * 23 + "1" + ")" * 23 + " > 0",
        "api_key.created_at - INTERVAL '36525' DAY < now",
        "api_key.created_at + INTERVAL '52596000' MINUTE > now",
        " AND ".join(["api_key.enabled"] * 190),
        "TRUE OR " * 490 + "TRUE",
        "(" * 24 + "TRUE" + ")" * 24,
    ]
    row, values = view({"account.kyc_level": 2**53, "account.balance_usd": 1e300, "api_key.created_at": 4_102_444_800})
    for text in largest:
        sql = check(text, applies_to="api_key").sql
        [(answer,)] = engine.execute(f"SELECT {sql} FROM {row}", values).fetchall()
        assert answer in {True, False, None}
