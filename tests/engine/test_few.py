"""The evaluator in plain Python and DuckDB are each other's oracle: every fact, every outcome and every row, over documents
made by chance and by spite.
"""

from __future__ import annotations

import json
import random
import sys
import unicodedata
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from auditor import cases
from auditor.engine import few
from auditor.engine.derived import DERIVED
from auditor.engine.evaluate import Evaluation, SubjectOutcomes
from auditor.engine.few import Few
from auditor.engine.follows import FOLLOWS
from auditor.engine.follows_rows import _lower
from auditor.engine.intake import Evidence
from auditor.model.evidence import Reason
from auditor.model.facts import COMPLETENESS, LISTS, SCOPES, catalogue, format_time, of_scope, parse_time
from auditor.model.report import Outcome
from auditor.model.rule import Predicate, Rule
from auditor.ruleset import predicate

from . import test_oracle as chanced
from .invented import NOW, document, rule, shipped

_VENUES: dict[str, dict[str, Any]] = {
    "known": {
        "venue.id": "known",
        "venue.hold_after_password_change_hours": 24,
        "venue.two_factor_methods": ["sms", "passkey"],
        "venue.recovery_channels": ["email_link"],
        "venue.lifecycle": "active",
        "venue.lifecycle_since": "2020-01-01",
        "venue.second_factor_downgrade_possible": True,
        "account.new_address_delay_hours": 48,
        "account.withdrawal_allowlist_enabled": True,
        "account.allowlisted_withdrawal_needs_factor": False,
    },
    "other": {"venue.lifecycle": "closed", "venue.unbound_key_expiry_days": 90.5},
}
_TIMES = [
    format_time(NOW + timedelta(**by))
    for by in (
        {},
        {"microseconds": -1},
        {"microseconds": 1},
        {"hours": -1},
        {"hours": -24},
        {"hours": -24, "microseconds": -1},
        {"days": -1, "seconds": 1},
        *({"days": -days} for days in (3, 30, 90, 180, 365)),
        {"days": -90, "microseconds": -1},
        {"days": -30, "hours": -12},
        {"days": 40},
    )
] + ["2009-01-01T00:00:00Z", "2100-01-01", "2026-11-10", "2026-11-10T23:59:59.999999Z", "2026-11-20T01:00:00+05:45"]
_DAYS = ["2026-10-20", "2026-10-21", "2026-10-21T23:00:00-23:00", "2026-11-10", "2026-11-09 12:00:00.123456789Z"]
_DAYS += ["2026-11-10t00:00:00z", "2026-11-19T00:00:00.9999999Z", "2026-11-10T12:00:00+14:00"]
_NUMBERS = [
    0,
    1,
    -0.0,
    0.5,
    5,
    20,
    24,
    72,
    72.00000000000001,
    100,
    1e-300,
    -1,
    65536,
    10**299,
    1e300,
    -1e300,
    2**53 + 1,
]
_INTS = [0, 1, 2, -3, 2**53, -(2**53)]
_TEXTS = [
    "", " ", "\u2003", "a", "abc", " abc ", "\u00a0bot\u3000", "BOT", "bot Abc", "\u0130stanbul", "istanbul", "STRASSE stra\u00dfe",
    "\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03bf\u03c3 x", "a\x00b", "a\nb", "it's", "%", "\U0001f600\u0301", "\ufb01n", "x" * 3000, "\tabc\t",
    "\ud800", "e\u0301\u0301", "\u212aey abc",
]  # fmt: skip
_ENTRIES = [
    "198.51.100.7", "198.51.100.0/24", "10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:DB8::/32", "2001:db8::1", "2001:db8::/65",
    "2001:db8::/64", "0.0.0.0", "::", "*", "Any", "ALL", " 198.51.100.9 ", "198.51.100.1-198.51.100.9", "host.example",
    "198.51.100.*", "10.0.0.0/33", "10.0.0.0/032", "10.0.0.0/", "198.51.100.0/255.255.255.0", "10.0.0.0/00", "", ",", "1.2.3.4,",
    "1.2.3.4/8,5.6.7.8/4", "5.6.7.8 , 1.2.3.4/16", "1.2.3.4/8 ,::/3", "1.2.3.4\n", "\n1.2.3.4/9\t", "1.2.3.4\v", "1.2.3.4/9\v", "any\n",
    "a\n/0", "x/000", "/0", "0", "0.:", ":", "1:2/128", "1:2/129", "1:2/0" + "0" * 5000 + "12", "\u0661.2.3.4", "1.2.3.4/\u0661",
    "1.2.3.4/1_0", "1.2.3.4/+8", "1.2.3.4//8", "1.2.3.4/8/9", "::ffff:1.2.3.4/96", "A:B/64\f", "\u212a:1", "\u0130:1", "999.1.1.1", "1.2.3",
    ":" * 4000, "0" * 4000 + "/", "*.*.*.*", "\u2003any", "1.2.3.4/8 9",
]  # fmt: skip


def _value(chance: random.Random, path: str) -> Any:  # noqa: PLR0911  (one line a kind)
    fact = catalogue()[path]
    match fact.kind:
        case "bool":
            return chance.random() < 0.5
        case "int":
            return chance.choice(_INTS)
        case "number":
            return chance.choice(_NUMBERS)
        case "time":
            return chance.choice(_TIMES)
        case "enum":
            return chance.choice(fact.choices)
        case "set":
            return chance.choices(fact.choices, k=chance.randint(0, 3))
        case "list":
            pool = _ENTRIES if path == "api_key.ip_allowlist" else ["Read", "trade", "read", "", " "]
            return chance.choices(pool, k=chance.choice([0, 1, 1, 2, 3]))
    few_of_them = path in {"withdrawal.asset", "withdrawal.destination", "event.ip"}
    return chance.choice(_TEXTS[3:5] if few_of_them else _TEXTS)


def _row(chance: random.Random, scope: str) -> dict[str, Any]:
    """Some facts are given, some null, some left out; of a derived one most."""
    share = chance.choice([0.1, 0.5, 0.9])
    row: dict[str, Any] = {}
    for name, fact in of_scope(scope).items():
        if chance.random() < (share / 4 if fact.path in DERIVED else share):
            row[name] = None if chance.random() < 0.1 else _value(chance, fact.path)
    return row


def _sources(chance: random.Random) -> dict[str, Any]:
    named = ["account.all_addresses_recognised", "account.security_log_recognised", "api_keys", "account.keys_counted"]
    return {
        path: {
            "by": chance.choice(["api", "attest", "config", "history"]),
            **({"at": chance.choice(_DAYS)} if chance.random() < 0.8 else {}),
            **({"contradicts": chance.choice(["", "x", None])} if chance.random() < 0.1 else {}),
            **({"expires": chance.choice(["2026-11-20", "2026-11-19", "2027-01-01"])} if chance.random() < 0.2 else {}),
        }
        for path in named
        if chance.random() < 0.4
    }


def _problem(chance: random.Random) -> dict[str, Any]:
    named = ["addresses", "withdrawals", "api_keys", "account.balance_usd", "account.keys_counted"]
    facts = {"facts": chance.sample(named, chance.randint(0, 2))} if chance.random() < 0.8 else {}
    return {"endpoint": "x", "reason": chance.choice(list(Reason)).value, **facts}


def made(chance: random.Random) -> dict[str, Any]:
    """A well-formed document with anything in it that one may hold."""
    lists: dict[str, Any] = {}
    for scope, key in LISTS.items():
        if chance.random() < 0.85:
            lists[key] = (
                None if chance.random() < 0.1 else [_row(chance, scope) for _ in range(chance.choice([0, 1, 2, 5]))]
            )
    account = _row(chance, "account")
    account |= {
        path.partition(".")[2]: chance.random() < 0.7 for path in COMPLETENESS.values() if chance.random() < 0.5
    }
    account |= {"name": "main", "exchange": chance.choice(["known", "other", "strange"])}
    venue = chance.choice([{}, {}, None, _row(chance, "venue")])
    problems = chance.choice([None, [_problem(chance) for _ in range(chance.choice([0, 0, 1, 3]))]])
    return document(account, venue=venue, sources=_sources(chance), problems=problems, **lists)


def _everything(scope: str) -> Rule:
    """A rule that shows every fact a rule about this scope could read, and those of lists too."""
    read = [path for path, fact in catalogue().items() if fact.scope in {scope, "account", "venue"}]
    return rule(f"all-{scope}", scope, Predicate(sql="TRUE", facts=tuple(read)))


EVERYTHING = [_everything(scope) for scope in SCOPES]


Compared = tuple[list[list[SubjectOutcomes]], dict[str, list[Any]]]


def _both(documents: Sequence[dict[str, Any]], rules: Sequence[Rule], *, also: Sequence[str] = ()) -> Compared:
    """What both say, once they are found to say the same."""
    with Evidence(NOW).add(documents) as evidence:
        return _same(evidence, rules, also)


def _same(evidence: Evidence, rules: Sequence[Rule], also: Sequence[str]) -> Compared:
    mine = Few(list(evidence.documents()), NOW, rules, _VENUES)
    with Evaluation(evidence, rules, _VENUES, also=also) as theirs:
        expected, found = list(theirs.documents()), list(mine.documents())
        for one, other in zip(expected, found, strict=True):
            assert [(row.scope, row.number, row.unseen) for row in other] == [
                (row.scope, row.number, row.unseen) for row in one
            ]
            for row, own in zip(one, other, strict=True):
                _alike(row, own)
        asked = {scope: [path for path in also if catalogue()[path].scope == scope] for scope in SCOPES}
        rows = {scope: list(theirs.rows(scope, paths)) for scope, paths in asked.items() if paths}
        for scope, listed in rows.items():
            for one_row, own_row in zip(listed, mine.rows(scope, asked[scope]), strict=True):
                assert _exact(one_row) == _exact(own_row), (scope, asked[scope])
        counted = theirs.counts()
        assert {rule: {what: n for what, n in held.items() if n} for rule, held in counted.items()} == mine.counts()
        return expected, rows


def _alike(theirs: SubjectOutcomes, mine: SubjectOutcomes) -> None:
    assert list(mine.facts) == list(theirs.facts), set(mine.facts) ^ set(theirs.facts)
    for path, value in theirs.facts.items():
        assert _exact(mine.facts[path]) == _exact(value), (path, mine.facts)
    for name, outcome in theirs.outcomes.items():
        assert mine.outcomes[name] is outcome, (name, mine.facts)
    assert list(mine.outcomes) == list(theirs.outcomes)


def _exact(value: Any) -> Any:
    """Values with their types, to the last digit: 1 is not 1.0, and 0.0 not -0.0."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_exact, value))
    return type(value).__name__, repr(value)


by_chance = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@by_chance
@given(st.integers(0, 2**32).map(random.Random))
def test_every_fact_outcome_and_row_is_the_same(chance: random.Random) -> None:
    found, rows = _both([made(chance) for _ in range(15)], [*EVERYTHING, *shipped()], also=tuple(catalogue()))
    assert len(found) == 15
    assert set(rows) == set(SCOPES)


@by_chance
@given(
    st.lists(st.tuples(st.none() | chanced._tree, chanced._tree), min_size=8, max_size=12),
    st.integers(0, 2**32).map(random.Random),
)
def test_any_rule_is_the_same(pairs: list[tuple[Any, Any]], chance: random.Random) -> None:
    rules = [
        rule(f"r{number}", "api_key", chanced.spelled(require), chanced.spelled(when) if when else None, file="r.yaml")
        for number, (when, require) in enumerate(pairs)
    ]
    plain = [one for one in rules if few.plain(one)]
    _both([chanced.invented(chance)[0] for _ in range(20)], plain)
    assert len(plain) >= len(rules) // 3


def test_what_is_not_surely_the_same_is_left_to_the_database() -> None:
    def is_plain(text: str, **more: Any) -> bool:
        return few.plain(rule("r", "account", text, **{"file": "r.yaml", **more}))

    assert is_plain("account.balance_usd > 0.1")
    assert is_plain("account.kyc_level IN (1, 2) AND account.name LIKE 'a%b%'")
    assert is_plain("account.created_at < now - INTERVAL '90' DAY")
    assert not is_plain("account.balance_usd > 0.12345678901234567")
    assert not is_plain("account.balance_usd + 1 > 2")
    assert not is_plain("account.created_at < now", when="account.kyc_level - 1 > 2")
    assert not is_plain("account.kyc_level <> 7", file=""), "nobody checked it"
    assert all(map(few.plain, shipped()))


def test_the_cases_of_all_rules_are_the_same() -> None:
    compared = 0
    moments: dict[Any, list[Any]] = {}
    for one in shipped():
        for case in one.cases:
            now = parse_time(case.get("now")) or NOW
            moments.setdefault(now, []).append(cases._document(case, now))
    for now, documents in moments.items():
        with Evidence(now).add(documents) as evidence, Evaluation(evidence, shipped(), {}) as theirs:
            mine = Few(list(evidence.documents()), now, shipped(), {}).documents()
            for found, own in zip(theirs.documents(), mine, strict=True):
                assert found == own
                compared += 1
    assert compared == sum(len(one.cases) for one in shipped()) > 600


def test_every_derived_fact_follows_here_too() -> None:
    assert set(FOLLOWS) == set(DERIVED)


@by_chance
@given(st.lists(st.sampled_from(_ENTRIES) | st.text("0129.:/ ,*anyf\n\v", max_size=12), min_size=1, max_size=3))
def test_an_address_list_is_read_alike(entries: list[str]) -> None:
    keys = [{"ip_allowlist": [one]} for one in (*_ENTRIES, *entries)] + [{"ip_allowlist": entries}]
    _both([document(api_keys=keys)], [_everything("api_key")])


def test_letters_are_small_alike() -> None:
    """Of all letters that both know: a label names a vendor in any script."""
    import duckdb

    letters = [
        chr(code) for code in range(1, sys.maxunicode + 1) if unicodedata.category(chr(code)) not in {"Cn", "Cs"}
    ]
    small = duckdb.connect().execute("SELECT list_transform($1, lambda one: lower(one))", [letters]).fetchall()[0]
    known = [
        (one, other) for one, other in zip(letters, small[0], strict=True) if unicodedata.category(other[:1]) != "Cn"
    ]
    assert [(one, other) for one, other in known if _lower(one) != other] == []
    assert len(known) > 130_000


def _windows() -> st.SearchStrategy[list[dict[str, Any]]]:
    hours = st.sampled_from([0, 1, 23, 24, 25, 48])
    row = st.fixed_dictionaries(
        {"at": hours.map(lambda ago: format_time(NOW - timedelta(hours=ago))), "asset": st.just("BTC")},
        optional={
            "amount": st.sampled_from([0, -0.0, -1, 1, 20, 20.0, 400, 1e300, 1e-300]),
            "destination": st.sampled_from("xy"),
        },
    )
    return st.lists(row, max_size=8)


@by_chance
@given(st.lists(st.tuples(_windows(), st.sampled_from([True, False, None])), min_size=20, max_size=30))
def test_a_small_test_before_a_withdrawal_is_found_alike(made_: list[tuple[list[dict[str, Any]], bool | None]]) -> None:
    documents = [document({"withdrawals_complete": whole}, withdrawals=rows) for rows, whole in made_]
    _both(documents, [_everything("withdrawal"), _everything("account")])


def test_the_choice_between_the_two() -> None:
    rules, one = [rule("r", "api_key", "api_key.ip_bound", file="r.yaml")], document(api_keys=[{"ip_bound": True}])

    def chosen(documents: list[dict[str, Any]], rules: Sequence[Rule]) -> type:
        with Evidence(NOW).add(documents) as evidence, few.evaluation(evidence, rules, {}) as found:
            assert len(list(found.documents())) == len(documents)
            return type(found)

    assert chosen([one], rules) is Few
    assert chosen([], rules) is Few
    assert chosen([one] * few.MOST_DOCUMENTS, rules) is Few
    assert chosen([one] * (few.MOST_DOCUMENTS + 1), rules) is Evaluation
    assert chosen([document(events=[{}] * (few.MOST_ROWS + 1))], rules) is Evaluation
    assert chosen([document(api_keys=[{"label": "x" * few.MOST_BYTES}])], rules) is Evaluation
    assert chosen([one], [rule("r", "api_key", Predicate(sql="error('x')", facts=()))]) is Evaluation


def test_a_rule_that_cannot_be_evaluated_is_an_error_whoever_evaluates() -> None:
    rules = [rule("r", "api_key", Predicate(sql="error('x')", facts=())), *shipped()]
    with Evidence(NOW).add([document()]) as evidence, few.evaluation(evidence, rules, {}) as found:
        [subjects] = found.documents()
    assert {one.outcomes["r"] for one in subjects if "r" in one.outcomes} == {Outcome.ERROR}


def test_lines_that_a_decoder_reads_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "evidence.jsonl"
    chance = random.Random(20)
    lines = [json.dumps(made(chance)).encode() for _ in range(40)]
    file.write_bytes(b"\n".join(lines))
    with Evidence(NOW).add_files([file]) as evidence:
        _same(evidence, [*EVERYTHING, *shipped()], tuple(catalogue()))


def test_a_pattern_costs_one_look_at_a_text() -> None:
    """What takes the square of a text's length would take hours here."""
    text = "ab" * 200_000
    condition = predicate.check("api_key.label LIKE '%a%b%c%d%'", applies_to="api_key")
    [found] = Few([document(api_keys=[{"label": text}])], NOW, [rule("r", "api_key", condition)], {}).documents()
    assert [one.outcomes["r"] for one in found if one.number] == [Outcome.FAIL]


@pytest.mark.parametrize(
    "entry", [":" * 300_000, "0" * 300_000 + "x", "x/" + "0" * 300_000 + "1", "1.2.3.4/" + "0" * 300_000]
)
def test_an_entry_costs_one_look(entry: str) -> None:
    [found] = Few([document(api_keys=[{"ip_allowlist": [entry]}])], NOW, [EVERYTHING[2]], {}).documents()
    assert found


def test_a_small_t_in_the_time_of_an_answer_is_a_time() -> None:
    """It was no time to the database, and the answer then spoke of addresses that came after it."""
    said = {"account.all_addresses_recognised": {"by": "attest", "at": "2026-11-10t00:00:00z"}}
    account = {"all_addresses_recognised": True, "addresses_complete": True}
    later = document(account, addresses=[{"created_at": "2026-11-11T00:00:00Z"}], sources=said)
    found, _ = _both([later], [rule("r", "address", "address.owner_recognised")])
    assert [one.outcomes["r"] for [one] in found] == [Outcome.UNKNOWN]
