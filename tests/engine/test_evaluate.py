"""The evaluation: which subjects there are, what a broken rule costs, and the second wall around DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from auditor.engine.evaluate import Evaluation
from auditor.engine.intake import Evidence
from auditor.model.report import Outcome
from auditor.model.rule import Predicate, Rule

from .invented import NOW, document, outcomes, rule, subjects

RULES = [
    rule("keys", "api_key", "api_key.ip_bound"),
    rule("addresses", "address", "NOT address.skips_second_factor"),
    rule("events", "event", "event.owner_confirmed"),
    rule("withdrawals", "withdrawal", "withdrawal.destination_recognised"),
    rule("vendors", "vendor", "vendor.second_factor"),
    rule("accounts", "account", "account.settings_lock"),
    rule("venues", "venue", "venue.lifecycle = 'active'"),
]
WHOLE = dict.fromkeys(
    ("key_inventory_complete", "addresses_complete", "withdrawals_complete", "vendors_complete"), True
)
LISTS = ("api_keys", "addresses", "events", "withdrawals", "vendors")


@pytest.mark.parametrize("lists", [{}, dict.fromkeys(LISTS)], ids=["absent", "null"])
def test_a_list_that_was_not_seen_holds_one_unseen_subject_unless_it_is_opt_in(lists: dict[str, Any]) -> None:
    assert outcomes(document(**lists), RULES) == {
        name: ["unknown"] for name in ("accounts", "venues", "keys", "addresses", "events", "vendors")
    }


def test_a_complete_list_without_rows_has_nothing_to_say() -> None:
    whole = document({**WHOLE, "events_cover_from": "2026-01-01T00:00:00Z"}, **{key: [] for key in LISTS})
    assert outcomes(whole, RULES) == {"accounts": ["unknown"], "venues": ["unknown"]}


def test_an_incomplete_list_without_rows_still_holds_the_unseen_one() -> None:
    seen = outcomes(document(api_keys=[], events=[], vendors=[]), RULES)
    assert (seen["keys"], seen["events"], seen["vendors"]) == (["unknown"], ["unknown"], ["unknown"])


@pytest.mark.parametrize("complete", [False, None])
def test_clean_keys_never_vouch_for_those_nobody_could_list(complete: bool | None) -> None:
    one = document({"key_inventory_complete": complete}, api_keys=[{"ip_bound": True}])
    assert outcomes(one, RULES)["keys"] == ["unknown", "pass"]
    assert outcomes(document({"key_inventory_complete": True}, api_keys=[{"ip_bound": True}]), RULES)["keys"] == [
        "pass"
    ]


def test_a_complete_inventory_that_was_not_seen_is_no_inventory() -> None:
    assert outcomes(document({"key_inventory_complete": True}), RULES)["keys"] == ["unknown"]


def test_withdrawals_are_judged_where_somebody_asked() -> None:
    def problem(reason: str) -> list[dict[str, Any]]:
        return [{"endpoint": "withdrawals", "reason": reason, "facts": ["withdrawals"]}]

    assert outcomes(document(problems=problem("timeout")), RULES)["withdrawals"] == ["unknown"]
    assert "withdrawals" not in outcomes(document(problems=problem("not_collected")), RULES)
    assert "withdrawals" not in outcomes(document(problems=[{"endpoint": "x", "reason": "timeout"}]), RULES)
    assert outcomes(document(withdrawals=[{}]), RULES)["withdrawals"] == ["unknown", "unknown"]
    assert outcomes(document(WHOLE, withdrawals=[{"destination_recognised": True}]), RULES)["withdrawals"] == ["pass"]


def test_an_explicit_null_is_not_filled_in() -> None:
    rules = [
        rule("hold", "account", "account.hold_after_password_change_hours >= 24"),
        rule("state", "venue", "venue.lifecycle = 'active'"),
    ]
    venues = {"nowhere": {"venue.hold_after_password_change_hours": 48, "venue.lifecycle": "active"}}

    def of(**given: Any) -> list[str]:
        found = subjects([document(given.get("account"), venue=given.get("venue"))], rules, venues)[0]
        return sorted(f"{name} {outcome.value}" for subject in found for name, outcome in subject.outcomes.items())

    assert of() == ["hold pass", "state pass"]
    assert of(account={"hold_after_password_change_hours": None}) == ["hold unknown", "state pass"]
    assert of(venue={"hold_after_password_change_hours": None}) == ["hold unknown", "state pass"]
    assert of(venue={"lifecycle": None}) == ["hold pass", "state unknown"]
    assert of(account={"hold_after_password_change_hours": 0}) == ["hold fail", "state pass"]


def test_an_account_of_an_unknown_exchange_takes_nothing_from_others() -> None:
    rules = [rule("state", "venue", "venue.lifecycle = 'active'")]
    assert (
        subjects([document()], rules, {"okx": {"venue.lifecycle": "active"}})[0][0].outcomes["state"] is Outcome.UNKNOWN
    )


# A rule that breaks.


def _broken(name: str, sql: str, applies_to: str = "api_key") -> Rule:
    return rule(name, applies_to, Predicate(sql=sql, facts=(f"{applies_to}.label",) if applies_to == "api_key" else ()))


@pytest.mark.parametrize(
    "sql",
    [
        "error('x')",
        "error(api_key.label)",
        "CAST(api_key.label AS BOOLEAN)",
        "no_such_column",
        "syntax (",
        "api_key.label",
        "CAST('x' AS INTEGER) = 1",
    ],
)
def test_a_rule_that_cannot_be_evaluated_is_an_error_and_the_others_are_not(sql: str) -> None:
    rules = [RULES[0], _broken("broken", sql), rule("other", "api_key", "NOT api_key.can_withdraw"), RULES[5]]
    one = document(
        {"key_inventory_complete": True},
        api_keys=[{"label": "bot", "ip_bound": True}, {"label": "b", "can_withdraw": True}],
    )
    assert outcomes(one, rules) == {
        "keys": ["pass", "unknown"], "broken": ["error", "error"], "other": ["unknown", "fail"], "accounts": ["unknown"],
    }  # fmt: skip


def test_a_broken_rule_is_counted_as_an_error() -> None:
    with (
        Evidence(NOW).add([document()]) as evidence,
        Evaluation(evidence, [_broken("b", "error('x')"), RULES[5]], {}) as evaluation,
    ):
        assert evaluation.counts() == {"b": {Outcome.ERROR: 1}, "accounts": {Outcome.UNKNOWN: 1}}


# The second wall.

_FORBIDDEN = [
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json('{file}')",
    "SELECT * FROM '{file}'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_parquet('https://example.com/x.parquet')",
    "ATTACH '{file}' AS other",
    "ATTACH ':memory:' AS other; COPY docs TO '{file}2'",
    "COPY docs TO '{file}2'",
    "COPY docs FROM '{file}'",
    "EXPORT DATABASE '{file}2'",
    "IMPORT DATABASE '{file}2'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{file}'",
    "CREATE SECRET (TYPE s3)",
    "CREATE PERSISTENT SECRET (TYPE s3)",
    "SELECT * FROM bait",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET enable_external_access",
    "SET memory_limit = '1GB'",
    "SET python_enable_replacements = true",
    "SET autoload_known_extensions = true",
    "SET temp_directory = '/tmp'",
    "PRAGMA enable_profiling",
    "SELECT getenv('HOME')",
]


@pytest.mark.parametrize("statement", _FORBIDDEN)
def test_the_connection_reaches_nothing_outside(tmp_path: Path, statement: str) -> None:
    bait = duckdb.sql("SELECT 1 AS found")  # a Python variable that DuckDB would find by its name
    assert bait is not None
    file = tmp_path / "outside.csv"
    file.write_text("a,b\n1,2\n")
    with Evidence(NOW).add([document()]) as evidence, Evaluation(evidence, RULES, {}) as evaluation:
        with pytest.raises(duckdb.Error):
            evaluation._connection.execute(statement.format(file=file)).fetchall()
        assert [path.name for path in tmp_path.iterdir()] == ["outside.csv"]
        assert len(list(evaluation.documents())) == 1


def test_a_rule_that_got_past_the_language_reads_no_file(tmp_path: Path) -> None:
    file = tmp_path / "outside.csv"
    file.write_text("a\n1\n")
    sql = f"(SELECT count(*) FROM read_csv('{file}')) > 0"
    assert outcomes(document(), [_broken("leak", sql, "account")]) == {"leak": ["error"]}
