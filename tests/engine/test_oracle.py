"""The engine answers what the oracle answers: random predicates over random facts, known, null and absent."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.model.facts import catalogue, format_time
from auditor.model.report import Outcome
from auditor.ruleset.predicate import check

from . import oracle
from .invented import NOW, document, rule, subjects

_VALUES: dict[str, list[Any]] = {
    "api_key.can_trade": [True, False],
    "api_key.enabled": [True, False],
    "account.settings_lock": [True, False],
    "venue.hold_covers_p2p": [True, False],
    "account.kyc_level": [0, 1, 2, -3],
    "account.balance_usd": [-1.5, 0.25, 2.0, 1e9],
    "account.withdrawal_limit_daily_usd": [0.0, 2, 2.25],
    "api_key.label": ["", "ab", "b", "it's", "a%b", "now_x", "nowxx", "a\nb", "Ä", "\u202eab"],
    "api_key.vendor": ["ab", "AB", "b"],
    "api_key.last_used_at": [NOW, NOW - timedelta(days=1), NOW - timedelta(hours=36), NOW + timedelta(minutes=1)],
    "account.last_login_at": [NOW, NOW - timedelta(days=1), datetime(2009, 1, 1, tzinfo=UTC)],
    "api_key.storage": ["vault", "env", "plaintext", "vendor"],
    "account.status": ["normal", "restricted", "frozen"],
}


def _of(*kinds: str) -> st.SearchStrategy[Any]:
    return st.sampled_from([path for path in _VALUES if catalogue()[path].kind in kinds]).map(
        lambda path: ("fact", path)
    )


def _signed(inner: st.SearchStrategy[Any], signs: list[str], other: st.SearchStrategy[Any] | None = None) -> Any:
    return st.tuples(st.just("sign"), st.sampled_from(signs), inner, inner if other is None else other)


_constants = st.sampled_from([0, 1, 2, -1, 0.25, -1.5, 1000000000]).map(lambda number: ("constant", number))
_number = st.recursive(_of("int", "number") | _constants, lambda inner: _signed(inner, ["+", "-"]), max_leaves=3)
_interval = st.tuples(st.just("interval"), st.integers(0, 40), st.sampled_from(["DAY", "HOUR", "MINUTE"]))
_moment = _of("time") | st.just(("now",))
_time = _moment | _signed(_moment, ["+", "-"], _interval)
_ORDER = ["=", "<>", "<", "<=", ">", ">="]


def _texts(path: str) -> st.SearchStrategy[Any]:
    constant = st.sampled_from(_VALUES[path]).filter(lambda text: text.isprintable())
    listed = st.lists(constant, min_size=1, max_size=3)
    fact = ("fact", path)
    return st.tuples(st.just("in"), st.just(fact), listed) | st.tuples(
        st.just("sign"), st.sampled_from(["=", "<>"]), st.just(fact), constant.map(lambda text: ("constant", text))
    )


_leaf = st.one_of(
    _of("bool"),
    st.booleans().map(lambda value: ("constant", value)),
    _signed(_number, _ORDER),
    _signed(_time, _ORDER),
    st.tuples(st.just("between"), _number, _number, _number),
    st.tuples(st.just("between"), _time, _time, _time),
    st.tuples(st.just("in"), _of("int", "number"), st.just([0, 2])),
    *(_texts(path) for path in ("api_key.label", "api_key.vendor", "api_key.storage", "account.status")),
    st.tuples(
        st.just("like"), st.just(("fact", "api_key.label")), st.sampled_from(["a%", "%b", "a_", "%", "now_%", "it's"])
    ),
)
_tree = st.recursive(
    _leaf,
    lambda inner: st.tuples(st.just("not"), inner) | st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    max_leaves=6,
)


def spelled(tree: Any) -> str:  # noqa: PLR0911  (one line a node)
    """A tree as rule text."""
    kind, *parts = tree
    match kind:
        case "fact":
            return parts[0]
        case "constant":
            return _constant(parts[0])
        case "now":
            return "now"
        case "interval":
            return f"INTERVAL '{parts[0]}' {parts[1]}"
        case "sign":
            return f"({spelled(parts[1])} {parts[0]} {spelled(parts[2])})"
        case "between":
            return "({} BETWEEN {} AND {})".format(*map(spelled, parts))
        case "in":
            return f"({spelled(parts[0])} IN ({', '.join(map(_constant, parts[1]))}))"
        case "like":
            return f"({spelled(parts[0])} LIKE {_constant(parts[1])})"
        case "not":
            return f"(NOT {spelled(parts[0])})"
    return f"({spelled(parts[0])} {kind.upper()} {spelled(parts[1])})"


def _constant(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def invented(chance: random.Random) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A document of one account with three keys, and the facts of each subject: absent and null are both unknown."""
    tables: dict[str, list[dict[str, Any]]] = {"account": [{}], "venue": [{}], "api_key": [{}, {}, {}]}
    known: list[dict[str, Any]] = [{}, {}, {}, {}]
    for path, values in _VALUES.items():
        scope, _, name = path.partition(".")
        for number, table in enumerate(tables[scope]):
            value = chance.choice([*values, None, None])
            if value is not None or chance.random() < 0.5:
                table[name] = format_time(value) if isinstance(value, datetime) else value
            for facts in known if scope != "api_key" else [known[number + 1]]:
                facts[path] = value
    one = document(tables["account"][0], venue=tables["venue"][0], api_keys=tables["api_key"])
    return one, known


def test_every_outcome_is_the_oracles() -> None:
    compared = 0

    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(
        pairs=st.lists(st.tuples(st.none() | _tree, _tree), min_size=8, max_size=12),
        chance=st.integers(0, 2**32).map(random.Random),
    )
    def compare(pairs: list[tuple[Any, Any]], chance: random.Random) -> None:
        nonlocal compared
        rules = [
            rule(f"r{number}", "api_key", spelled(require), spelled(when) if when else None)
            for number, (when, require) in enumerate(pairs)
        ]
        made = [invented(chance) for _ in range(40)]
        for found, (_one, known) in zip(subjects([one for one, _ in made], rules), made, strict=True):
            keys = [subject for subject in found if subject.scope == "api_key"]
            assert [(key.number, key.unseen) for key in keys] == [(0, True), (1, False), (2, False), (3, False)]
            for key, facts in zip(keys, known, strict=True):
                for number, (when, require) in enumerate(pairs):
                    expected = oracle.outcome(when, require, facts, NOW)
                    got = key.outcomes[f"r{number}"].value
                    assert got == expected, (when and spelled(when), spelled(require), facts)
                    compared += 1

    compare()
    assert compared >= 20_000


@pytest.mark.parametrize(
    ("when", "require", "expected"),
    [
        (True, True, "pass"), (True, False, "fail"), (True, None, "unknown"),
        (False, True, "not_applicable"), (False, False, "not_applicable"), (False, None, "not_applicable"),
        (None, True, "pass"), (None, False, "unknown"), (None, None, "unknown"),
    ],
)  # fmt: skip
def test_the_table_of_contract_six(when: bool | None, require: bool | None, expected: str) -> None:
    one = document(api_keys=[{"can_withdraw": when, "ip_bound": require}])
    [_, key] = subjects([one], [rule("r", "api_key", "api_key.ip_bound", "api_key.can_withdraw")])[0]
    assert key.outcomes == {"r": Outcome(expected)}
    facts = {"api_key.can_withdraw": when, "api_key.ip_bound": require}
    assert oracle.outcome(("fact", "api_key.can_withdraw"), ("fact", "api_key.ip_bound"), facts, NOW) == expected


def test_what_the_strategy_writes_is_the_language() -> None:
    tree = ("and", ("like", ("fact", "api_key.label"), "it's"), ("not", ("fact", "api_key.enabled")))
    assert check(spelled(tree), applies_to="api_key").facts == ("api_key.label", "api_key.enabled")
