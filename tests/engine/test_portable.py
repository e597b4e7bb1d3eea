"""The text of a rule, word for word, says the same in DuckDB, in PostgreSQL and in Spark, and what Kleene's logic says.

Every shipped rule over all combinations of the values its facts turn on, and random conditions of the whole language over
odd values. Where an engine disagrees the language is at fault, not the engine: what cannot be relied on is refused.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from auditor.model.facts import EARLIEST, LATEST, LISTS, catalogue
from auditor.model.rule import Predicate, Rule
from auditor.ruleset import kleene, plain, predicate, statement, words
from auditor.ruleset.words import PredicateError
from tests.engine import warehouse
from tests.engine.invented import NOW, document, rule, shipped, subjects
from tests.engine.warehouse import Duck, Facts, Postgres, Warehouse
from tests.history.conftest import postgres  # noqa: F401  (a fixture)

SPARK = "AUDITOR_SPARK_PYTHON"
MOST = 3_000
"""Combinations of one rule. Beyond it a random part of them."""
_TICK = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def duck() -> Warehouse:
    return Duck()


@pytest.fixture(scope="module", params=["postgresql", "spark"])
def other(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        name = f"warehouse_{uuid.uuid4().hex}"
        server.execute(f"CREATE DATABASE {name}")
        with Postgres(server.url(name)) as held:
            yield held
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        return
    python = os.environ.get(SPARK)
    if not python:
        pytest.skip("Spark is not compared here: `make differential` does it where Java is installed")
    with warehouse.spark(python) as found:
        yield found


def _edges(path: str, constants: Sequence[float], spans: Sequence[timedelta]) -> list[Any]:
    """Unknown, and the values of a fact at which a condition can turn."""
    fact = catalogue()[path]
    match fact.kind:
        case "bool":
            return [None, True, False]
        case "enum":
            return [None, *fact.choices]
        case "text":
            return [None, "", "ab", "it's"]
        case "int":
            return [None, *sorted({0, -1, *(math.floor(one) + by for one in constants for by in (-1, 0, 1))})]
        case "number":
            near = {to for one in constants for to in (math.nextafter(one, -1e300), one, math.nextafter(one, 1e300))}
            return [None, *sorted({0.0, -1.5, *map(float, near)})]
    ends = {
        NOW + sign * span + by
        for span in (*spans, timedelta(0))
        for sign in (-1, 1)
        for by in (-_TICK, timedelta(0), _TICK)
    }
    return [None, EARLIEST, LATEST, *sorted(ends)]


def _found(node: Any, kind: str) -> Iterator[list[Any]]:
    if node[0] == kind:
        yield node
    for part in node[1:]:
        if isinstance(part, list):
            yield from _found(part, kind)


def combinations(one: Rule) -> list[Facts]:
    """All combinations of what the facts of a rule turn on, or as many as there is time for."""
    trees = [plain.read(part.sql) for part in (one.when, one.require) if part]
    constants = [float(node[1]) for tree in trees for node in _found(tree, "number")]
    spans = [timedelta(**{f"{node[2].lower()}s": int(node[1])}) for tree in trees for node in _found(tree, "interval")]
    values = [_edges(path, constants, spans) for path in one.facts]
    if math.prod(map(len, values)) <= MOST:
        return [dict(zip(one.facts, row, strict=True)) for row in itertools.product(*values)]
    chance = random.Random(one.id)
    return [{path: chance.choice(of) for path, of in zip(one.facts, values, strict=True)} for _ in range(MOST)]


@cache
def _cases(scope: str) -> tuple[list[Rule], list[tuple[str, Facts]]]:
    """The shipped rules about a scope, and every case of each of them."""
    rules = [one for one in shipped() if one.applies_to == scope]
    return rules, [(one.id, facts) for one in rules for facts in combinations(one)]


def _parts(rules: Sequence[Rule]) -> list[Predicate]:
    return list(dict.fromkeys(part for one in rules for part in (one.when, one.require) if part))


def answers(warehouse_: Warehouse, parts: Sequence[Predicate], rows: Sequence[Facts], scope: str) -> Any:
    """What a database says of each condition for each row of facts."""
    paths = sorted({path for part in parts for path in part.facts})
    warehouse_.load(warehouse.tables(rows, paths, name=warehouse_.name, scope=scope))
    return warehouse_.ask(warehouse.asked([part.sql for part in parts], name=warehouse_.name, scope=scope, now=NOW))


def differences(parts: Sequence[Predicate], rows: Sequence[Facts], *said: Any) -> list[Any]:
    """The first few conditions and rows on which not all agree."""
    return [
        (part.sql, {path: rows[at].get(path) for path in part.facts}, [one[at][place] for one in said])
        for at, told in enumerate(zip(*said, strict=True))
        if len(set(told)) > 1
        for place, part in enumerate(parts)
        if len({one[place] for one in told}) > 1
    ][:5]


@pytest.mark.parametrize("scope", sorted({one.applies_to for one in shipped()}))
def test_every_shipped_condition_says_the_same_everywhere(scope: str, duck: Warehouse, other: Warehouse) -> None:
    rules, cases = _cases(scope)
    parts, rows = _parts(rules), [facts for _, facts in cases]
    here, there = answers(duck, parts, rows, scope), answers(other, parts, rows, scope)
    assert len(here) == len(rows) >= 3 * len(rules)
    assert differences(parts, rows, here, there) == []
    for place, part in enumerate(parts):
        assert {row[place] for row in here} == {True, False, None}, f"{part.sql} is not tried in full"


@pytest.mark.parametrize("scope", sorted({one.applies_to for one in shipped()}))
def test_every_shipped_condition_says_what_kleene_says(scope: str, duck: Warehouse) -> None:
    rules, cases = _cases(scope)
    parts, rows = _parts(rules), [facts for _, facts in cases]
    here = answers(duck, parts, rows, scope)
    mine = {one.id: [part for part in (one.when, one.require) if part] for one in rules}
    for (name, facts), told in zip(cases, here, strict=True):
        for part in mine[name]:
            assert told[parts.index(part)] is kleene.condition(part).value(facts, NOW), (part.sql, facts)


def test_the_printed_statement_gives_the_outcomes_of_the_engine(duck: Warehouse, other: Warehouse) -> None:
    """`auditor rules show ID -f sql` as it is printed, against an evaluation of the same facts here."""
    for one in shipped():
        scope = one.applies_to
        rows = combinations(one)[:: max(1, len(combinations(one)) // 40)]
        told = []
        for place in (duck, other):
            query = statement.select(one).replace("CURRENT_TIMESTAMP", warehouse.moment(NOW, name=place.name))
            place.load(warehouse.tables(rows, sorted(one.facts), name=place.name, scope=scope))
            told.append(place.ask(f"SELECT account_name, outcome FROM ({query}) AS told ORDER BY account_name"))
        assert told[0] == told[1]
        assert [outcome for _, outcome in told[0]] == [_kleene(one, facts) for facts in rows], one.id


def _kleene(one: Rule, facts: Facts) -> str:
    """Contract 6."""
    when = kleene.condition(one.when).value(facts, NOW) if one.when else True
    require = kleene.condition(one.require).value(facts, NOW)
    if when is False or require is True:
        return "not_applicable" if when is False else "pass"
    return "fail" if when is True and require is False else "unknown"


def test_the_outcome_is_that_of_the_engine_here(duck: Warehouse) -> None:
    """The documents of an audit, evaluated as an audit does it, and the same facts in a warehouse."""
    one = rule("r", "api_key", "api_key.ip_bound OR api_key.created_at > account.created_at", "api_key.can_withdraw")
    values = {"api_key.can_withdraw": [True, False, None], "api_key.ip_bound": [True, False, None]}
    rows: list[Facts] = [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]
    keys = [{path.partition(".")[2]: value for path, value in row.items()} for row in rows]
    whole = document({"key_inventory_complete": True}, **{LISTS["api_key"]: keys})
    mine = [found.outcomes["r"].value for found in subjects([whole], [one])[0] if found.scope == "api_key"]
    duck.load(warehouse.tables(rows, sorted(one.facts), name=duck.name, scope="api_key"))
    query = f"SELECT outcome FROM ({statement.select(one)}) AS told ORDER BY account_name"
    assert [outcome for (outcome,) in duck.ask(query)] == mine


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("account.kyc_level = (1 + 2147483647)", "write the result"),  # overflows 32 bits in DuckDB and PostgreSQL
        ("account.kyc_level > (-2147483647 - 2)", "write the result"),
        ("account.balance_usd < 0.5 + (2000000000 + (2000000000 - 1))", "write the result"),
        ("api_key.label = '${x}'", "a variable"),  # Spark puts the value of x there, or nothing
        ("api_key.label LIKE 'a${user.name}%'", "a variable"),
        ("api_key.label = 'a\\b'", "no escapes"),
    ],
)
def test_what_an_engine_reads_otherwise_is_refused(text: str, hint: str) -> None:
    with pytest.raises(PredicateError) as refused:
        predicate.looked_at(text, applies_to="api_key")
    assert hint in str(refused.value.hint)


def test_sums_of_constants_that_no_engine_minds_are_kept(duck: Warehouse) -> None:
    for text in ("account.kyc_level + (2147483646 + 1) > 0", "account.kyc_level < 3000000000 + account.kyc_level + 1"):
        part = predicate.looked_at(text, applies_to="account")
        assert answers(duck, [part], [{"account.kyc_level": 2**53}], "account") == [(True,)]


def test_no_shipped_constant_holds_a_quote() -> None:
    """Spark before 4.0 reads 'it''s' as `its`."""
    for one in shipped():
        assert "''" not in (one.when.sql if one.when else "") + one.require.sql, one.id


# The whole language: what a user's own rule may say.

_VALUES: dict[str, list[Any]] = {
    "api_key.can_trade": [True, False],
    "account.settings_lock": [True, False],
    "venue.hold_covers_p2p": [True, False],
    "account.kyc_level": [0, 1, -3, 7, 2**31, -(2**31) - 1, 2**53, -(2**53)],
    "account.keys_counted": [0, 2, 2**31 - 1, 2**53 - 1],
    "account.balance_usd": [0.0, -0.0, 0.1, 0.30000000000000004, -1.5, 2.0, 1e300, -1e300, 5e-324, 2.0**53, 1e15 + 0.3],
    "account.withdrawal_limit_daily_usd": [0.3, 2, 2.25, 1e-7, 123456.789012345, 9007199254740991.0],
    "api_key.label": [
        "", "ab", "b", "it's", "a%b", "a_b", "now_x", "a\nb", "\r\n", "\t", "Ä", "A\u0308", "ß", "ss", "\u202eab", "😀", "👩\u200d💻",
        "a\\b", "\\", "%", "_", "ab ", " ab", "AB", "é", "e\u0301", "İ", "ı", "x" * 300, "$1", "${x}", ":a", "?", "{0}", "--", "/*",
    ],
    "api_key.vendor": ["ab", "AB", "b", "ab ", "", "é"],
    "api_key.created_at": [NOW, NOW - _TICK, NOW - timedelta(days=1), NOW - timedelta(days=90), EARLIEST, LATEST],
    "api_key.last_used_at": [
        NOW + _TICK, NOW - timedelta(hours=36), datetime(2026, 3, 29, 1, 30, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC),
    ],
    "account.last_login_at": [NOW, NOW - timedelta(days=90, microseconds=1), datetime(2026, 10, 25, 0, 59, 59, tzinfo=UTC)],
    "api_key.storage": ["vault", "env", "plaintext", "vendor"],
    "account.login_weakest_factor": list(catalogue()["account.login_weakest_factor"].choices),
    "account.step_up_weakest_factor": list(catalogue()["account.login_weakest_factor"].choices),
}  # fmt: skip
_ORDER = ["=", "<>", "!=", "<", "<=", ">", ">="]


def _of(*kinds: str) -> st.SearchStrategy[str]:
    return st.sampled_from([path for path in _VALUES if catalogue()[path].kind in kinds])


def _joined(*parts: Any) -> st.SearchStrategy[str]:
    """Texts side by side: strategies give theirs, texts stand for themselves."""
    return st.tuples(*(st.just(part) if isinstance(part, str) else part for part in parts)).map(" ".join)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_whole = st.sampled_from([0, 1, 2, 7, 2**31 - 1, 2**31, 2**53 - 1, 2**53]).map(str) | st.integers(0, 10**15).map(str)
_fraction = st.sampled_from(["0.1", "0.3", "0.5", "2.25", "0.30000000000000004", "123456.789012345", "0.0000001"]) | st.builds(
    lambda digits, point: f"{str(digits)[:-point] or '0'}.{str(digits)[-point:]:0>{point}}",
    st.integers(1, 10**17), st.integers(1, 16),
)  # fmt: skip
_digits = st.one_of(_whole, _fraction)
_constant = _digits | _digits.map(lambda digits: f"-{digits}")
_plain_number = _of("int", "number") | _constant
_number = st.recursive(
    _plain_number, lambda inner: _joined("(", inner, st.sampled_from("+-"), inner, ")"), max_leaves=4
)
_interval = st.builds(
    "INTERVAL '{}' {}".format,
    st.sampled_from([0, 1, 7, 24, 60, 90, 365, 1440, 9000]) | st.integers(0, 9000), st.sampled_from(list(words.UNITS)),
)  # fmt: skip
_moment = _of("time") | st.just("now")
_time = _moment | _joined(_moment, st.sampled_from("+-"), _interval) | _joined("(", _interval, "+", _moment, ")")
_printable = [text for text in _VALUES["api_key.label"] if text.isprintable() and "\\" not in text]
_text = st.sampled_from(_printable) | st.text(st.sampled_from("abABé😀ßİ_% '$:{}-x"), max_size=4)
_pattern = _text | st.text(st.sampled_from("ab%_é😀' \u0308"), max_size=5)
_not = st.sampled_from(["", "NOT"])
_bool = st.recursive(
    _of("bool") | st.sampled_from(["TRUE", "FALSE"]), lambda inner: _joined("(", "NOT", inner, ")"), max_leaves=2
)
_leaf = st.one_of(
    _bool,
    _joined(_number, st.sampled_from(_ORDER), _number),
    _joined(_time, st.sampled_from(_ORDER), _time),
    _joined(_of("text"), st.sampled_from(["=", "<>"]), _text.map(_quoted) | _of("text")),
    _joined("account.login_weakest_factor", st.sampled_from(["=", "<>"]), "account.step_up_weakest_factor"),
    _joined(_bool, st.sampled_from(["=", "<>"]), _bool),
    _joined(_number, _not, "BETWEEN", _number, "AND", _number),
    _joined(_time, _not, "BETWEEN", _time, "AND", _time),
    _joined(_number, _not, "IN", "(", st.lists(_constant, min_size=1, max_size=14).map(", ".join), ")"),
    _joined(_of("text"), _not, "IN", "(", st.lists(_text.map(_quoted), min_size=1, max_size=14).map(", ".join), ")"),
    _joined(_of("text"), _not, "LIKE", _pattern.map(_quoted)),
    *(
        _joined(path, _not, "IN", "(", st.lists(st.sampled_from(catalogue()[path].choices), min_size=1, max_size=4).map(
            lambda names: ", ".join(map(_quoted, names))), ")")
        for path in ("api_key.storage", "account.login_weakest_factor")
    ),
)  # fmt: skip
_condition = st.recursive(
    _leaf,
    lambda inner: (
        _joined("NOT", "(", inner, ")")
        | _joined("(", inner, ")", st.sampled_from(["AND", "OR", "=", "<>"]), "(", inner, ")")
    ),
    max_leaves=5,
)


def _row(chance: random.Random) -> Facts:
    return {path: chance.choice([None, *values]) for path, values in _VALUES.items()}


def _checked(texts: Sequence[str]) -> list[Predicate]:
    found = []
    for text in texts:
        try:
            found.append(predicate.looked_at(text, applies_to="api_key"))
        except PredicateError:
            continue
    return found


@pytest.mark.parametrize("most", [int(os.environ.get("AUDITOR_DIFFERENTIAL", "12"))])
def test_every_condition_of_the_language_says_the_same_everywhere(most: int, duck: Warehouse, other: Warehouse) -> None:
    tried: list[str] = []
    chance = random.Random(8)
    rows = [{}, *(_row(chance) for _ in range(60))]
    paths = sorted(_VALUES)
    for place in (duck, other):
        place.load(warehouse.tables(rows, paths, name=place.name, scope="api_key"))

    @settings(
        max_examples=most, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # thirty conditions a query: what disagrees is named below, without a search
    )  # fmt: skip
    @given(st.lists(_condition, min_size=30, max_size=30))
    def compare(texts: list[str]) -> None:
        parts = _checked(texts)
        tried.extend(part.sql for part in parts)
        if not parts:
            return
        expected = [tuple(kleene.condition(part).value(facts, NOW) for part in parts) for facts in rows]
        sql = [part.sql for part in parts]
        said = [place.ask(warehouse.asked(sql, name=place.name, scope="api_key", now=NOW)) for place in (duck, other)]
        assert differences(parts, rows, *said, expected) == []

    compare()
    assert len(tried) >= 20 * most
    assert all(
        any(word in sql for sql in tried)
        for word in (" LIKE ", "NOT LIKE", " IN ", "BETWEEN", "INTERVAL", " + ", " <> ")
    )
