"""A census against the report on the same evidence: same outcomes, same scores, nothing personal, whole or not at all."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from auditor import census
from auditor.cli import _census
from auditor.engine import files
from auditor.engine.evaluate import Evaluation
from auditor.engine.intake import Evidence
from auditor.engine.wide import Wide
from auditor.engine.wide_tally import Tally
from auditor.errors import InputError, UsageError
from auditor.model.report import Outcome, Report
from auditor.model.rule import Predicate, Rule, Severity

from . import stage
from .engine.invented import NOW, document, judged, rule, shipped
from .engine.test_intake_paths import valid

KEY = {"label": "bot", "can_withdraw": True, "ip_bound": False, "fingerprint": "f" * 32}


def counted(documents: list[dict[str, Any]], folder: Path, rules: tuple[Rule, ...] | None = None) -> Tally:
    with Evidence(NOW).add(documents) as evidence:
        return census.take(evidence, rules or shipped(), folder, floor=0.5)


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    found = duckdb.sql(f"SELECT CAST(to_json(t) AS VARCHAR) FROM read_parquet('{folder}/{table}-*.parquet') t")
    return [json.loads(row) for (row,) in found.fetchall()]


def worst_of(report: Report) -> dict[str, dict[str, str]]:
    """Account -> rule -> the worst outcome of its subjects."""
    order = list(Outcome)
    rank = {one: place for place, one in enumerate((Outcome.FAIL, Outcome.ERROR, Outcome.UNKNOWN, Outcome.PASS))}
    found: dict[str, dict[str, str]] = {}
    for account in report.accounts:
        mine = found[account.name] = {one.id: Outcome.NOT_APPLICABLE.value for one in shipped()}
        for one in sorted(account.findings, key=lambda each: -rank.get(each.outcome, len(order))):
            mine[one.rule] = one.outcome.value
    return found


def many(chance: random.Random, count: int) -> list[dict[str, Any]]:
    made = [valid(chance) for _ in range(count)]
    for number, one in enumerate(made):
        one["account"] = {**one["account"], "name": f"account-{number}"}
    return made


@settings(max_examples=4, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 2**32).map(random.Random))
def test_it_says_what_the_report_says(tmp_path_factory: pytest.TempPathFactory, chance: random.Random) -> None:
    documents, folder = many(chance, 25), tmp_path_factory.mktemp("census") / "out"
    tally, report = counted(documents, folder), judged(documents)
    accounts = {row["account"]: row for row in rows(folder, "accounts")}
    assert list(accounts) == [one["account"]["name"] for one in documents]
    expected = worst_of(report)
    for account in report.accounts:
        row = accounts[account.name]
        assert {one.id: row[one.id] for one in shipped()} == expected[account.name]
        score = account.score
        assert (row["low"], row["high"], row["coverage"]) == pytest.approx((score.low, score.high, score.coverage))
        assert row["grade"] == score.grade
        assert row["incomplete"] == (account.name in report.summary.incomplete_accounts)
    for one in shipped():
        said = [outcomes[one.id] for outcomes in expected.values()]
        assert tally.rules[one.id] == {outcome: n for outcome in Outcome if (n := said.count(outcome.value))}
    assert (tally.accounts, tally.incomplete) == (25, len(report.summary.incomplete_accounts))
    assert tally.coverage == pytest.approx(report.summary.coverage)


def test_subjects_that_fail_or_are_unknown_have_a_row_and_others_none(tmp_path: Path) -> None:
    rules = (rule("bound", "api_key", "api_key.ip_bound", when="api_key.can_withdraw"),)
    whole = {"key_inventory_complete": True}
    fine = {**KEY, "ip_bound": True, "label": "fine", "fingerprint": "a"}
    beside = {**KEY, "can_withdraw": False, "label": "beside", "fingerprint": "b"}
    hidden = {"label": "hidden", "fingerprint": "c"}
    counted([document(whole, api_keys=[KEY, fine, beside, hidden])], tmp_path / "out", rules)
    seen = [(row["label"], row["bound"], row["unseen"]) for row in rows(tmp_path / "out", "api_keys")]
    assert seen == [("bot", "fail", False), ("hidden", "unknown", False)]
    counted([document(api_keys=[fine]), document({"name": "blind"})], tmp_path / "two", rules)
    seen = [(row["account"], row["label"], row["bound"], row["unseen"]) for row in rows(tmp_path / "two", "api_keys")]
    assert seen == [("main", None, "unknown", True), ("blind", None, "unknown", True)]


def test_a_row_says_of_every_rule_what_it_says_of_that_subject(tmp_path: Path) -> None:
    asked = {"fails": "can_read", "beside": "can_manage", "passes": "ip_bound", "open": "enabled"}
    rules = tuple(
        rule(
            name,
            "api_key",
            "NOT api_key.can_withdraw" if name == "fails" else "api_key.ip_bound",
            when=f"api_key.{fact}",
        )
        for name, fact in asked.items()
    )
    key = {**KEY, "ip_bound": True, "can_read": True, "can_manage": False}
    counted([document({"key_inventory_complete": True}, api_keys=[key])], tmp_path / "out", rules)
    [row] = rows(tmp_path / "out", "api_keys")
    assert {name: row[name] for name in asked} == {
        "fails": "fail",
        "beside": "not_applicable",
        "passes": "pass",
        "open": "pass",
    }


def test_more_rules_than_a_word_has_bits(tmp_path: Path) -> None:
    """The bits of one subject type go into as many words as it takes."""
    rules = tuple(
        rule(f"r{n:03}", "api_key", "api_key.ip_bound" if n % 3 else "api_key.can_withdraw", severity=Severity.HIGH)
        for n in range(150)
    )
    tally = counted([document({"key_inventory_complete": True}, api_keys=[KEY])], tmp_path / "out", rules)
    expected = {one.id: Outcome.FAIL if number % 3 else Outcome.PASS for number, one in enumerate(rules)}
    assert tally.rules == {id_: {outcome: 1} for id_, outcome in expected.items()}
    [row] = rows(tmp_path / "out", "api_keys")
    assert {id_: row[id_] for id_ in expected} == {id_: one.value for id_, one in expected.items()}
    [account] = rows(tmp_path / "out", "accounts")
    assert {id_: account[id_] for id_ in expected} == {id_: one.value for id_, one in expected.items()}


def test_a_rule_that_cannot_be_evaluated_is_an_error_and_the_others_are_not(tmp_path: Path) -> None:
    broken = rule("broken", "api_key", Predicate(sql="error(api_key.label)", facts=("api_key.label",)))
    rules = (broken, rule("bound", "api_key", "api_key.ip_bound"))
    tally = counted([document({"key_inventory_complete": True}, api_keys=[KEY])], tmp_path / "out", rules)
    assert tally.rules == {"broken": {Outcome.ERROR: 1}, "bound": {Outcome.FAIL: 1}}
    assert _census.code(tally, rules, fail_on=Severity.CRITICAL) == 4
    assert _census.code(tally, rules, fail_on=Severity.LOW) == 12


def test_nothing_personal_and_no_whole_id_is_written(tmp_path: Path) -> None:
    mail, phone, key_id = "ana.perez@example.org", "+34 612 345 678", "A1B2C3D4E5F6G7H8I9J0K1L2M3N4O5P6"
    key = {**KEY, "label": f"{mail} {phone}", "masked_id": key_id, "sub_account": mail}
    documents = [document({"name": mail}, api_keys=[key, {**key, "label": "x" * 100_000}]) for _ in range(3)]
    tally = counted(documents, tmp_path / "out")
    told = json.dumps(census.as_table(tally)) + "".join(map(str, rows(tmp_path / "out", "api_keys")))
    told += "".join(map(str, rows(tmp_path / "out", "accounts")))
    told += "\n".join(_census.lines(tally, shipped(), tmp_path))
    assert not [one for one in (mail, phone, "612 345 678", key_id, "x" * 300) if one in told]
    assert "…O5P6" in told and "+•••78" in told


def test_groups_together_say_what_one_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = many(random.Random(3), 40)
    whole = counted(documents, tmp_path / "one")
    monkeypatch.setattr(census, "GROUP", 1)
    with Evidence(NOW) as evidence:
        for at in range(0, 40, 10):
            evidence.add(documents[at : at + 10])
            evidence._own = None
        assert len(evidence.parts) == 4
        assert census.take(evidence, shipped(), tmp_path / "four", floor=0.5) == whole
    assert len(list((tmp_path / "four").glob("accounts-*.parquet"))) == 4
    for table in ("accounts", "api_keys", "events"):
        assert sorted(map(str, rows(tmp_path / "four", table))) == sorted(map(str, rows(tmp_path / "one", table)))


def test_nothing_weighted_is_no_thin_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A count of nothing is 0, in one group and in several."""
    rules = (rule("beside", "api_key", "api_key.ip_bound", when="api_key.can_withdraw"),)
    key = {**KEY, "can_withdraw": False}
    documents = [document({"name": name, "key_inventory_complete": True}, api_keys=[key]) for name in "ab"]
    assert counted(documents, tmp_path / "one", rules).thin == 0
    monkeypatch.setattr(census, "GROUP", 1)
    with Evidence(NOW) as evidence:
        for one in documents:
            evidence.add([one])
            evidence._own = None
        tally = census.take(evidence, rules, tmp_path / "two", floor=0.5)
    assert (tally.thin, tally.incomplete, tally.coverage, tally.accounts) == (0, 0, None, 2)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        counted([document()], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(UsageError, match="cannot be written"):
        counted([document()], tmp_path / "mine")


def test_what_fails_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        census, "merged", lambda _tallies: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(UsageError, match="No space left"):
        counted([document()], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    """Found as a bug report: what the database says of a disk is not what the system says."""
    (tmp_path / "e.jsonl").write_text(json.dumps(document(api_keys=[KEY])))
    program = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); from auditor.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-B", "-c", program, "evaluate", "e.jsonl", "--outcomes", "out"],
        cwd=tmp_path, env={"HOME": str(tmp_path), "PYTHONPATH": str(stage.ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "out cannot be written: " in done.stderr and "bug" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_it_agrees_with_the_counts_of_the_evaluation(tmp_path: Path) -> None:
    documents = many(random.Random(5), 60)
    counted(documents, tmp_path / "out")
    with Evidence(NOW).add(documents) as evidence, Evaluation(evidence, shipped(), {}) as evaluation:
        counts = evaluation.counts()
    found = rows(tmp_path / "out", "api_keys")
    for one in (each for each in shipped() if each.applies_to == "api_key"):
        said = [row[one.id] for row in found]
        assert {outcome: said.count(outcome.value) for outcome in (Outcome.FAIL, Outcome.UNKNOWN)} == {
            outcome: counts[one.id].get(outcome, 0) for outcome in (Outcome.FAIL, Outcome.UNKNOWN)
        }


def test_the_command(tmp_path: Path) -> None:
    mine = stage.Stage(home=tmp_path)
    path = tmp_path / "e.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in many(random.Random(9), 30)))
    ran = mine.run("evaluate", str(path), "--outcomes", str(tmp_path / "out"))
    assert 10 <= ran.code <= 13
    assert "30 accounts" in ran.out and "accounts-" not in ran.out and str(tmp_path / "out") in ran.out
    told = json.loads((tmp_path / "out" / "tally.json").read_text())
    again = mine.run("evaluate", str(path), "--outcomes", str(tmp_path / "two"), "-f", "json")
    assert json.loads(again.out) == told and told["accounts"] == 30
    assert mine.run("evaluate", str(path), "--outcomes", str(tmp_path / "out")).code == 2
    for options in (
        ["-f", "html"],
        ["-o", "x"],
        ["-f", "json", "-f", "text"],
        ["--sign"],
        ["--scheduler", "tcp://127.0.0.1:1"],
    ):
        assert mine.run("evaluate", str(path), "--outcomes", str(tmp_path / "three"), *options).code == 2
    assert not (tmp_path / "three").exists()


@pytest.mark.parametrize("options", [[], ["--outcomes", "out"]])
def test_a_whole_process_leaves_nothing_on_stderr(tmp_path: Path, options: list[str]) -> None:
    """Of many documents, which the database judges."""
    path = tmp_path / "e.jsonl"
    path.write_text("\n".join(json.dumps(document({"name": f"a{number}"})) for number in range(100)))
    done = subprocess.run(
        [sys.executable, "-m", "auditor", "evaluate", str(path), *options],
        cwd=tmp_path, env={"HOME": str(tmp_path), "PYTHONPATH": str(stage.ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == "" and done.returncode == 4


def test_a_database_that_gives_up_is_told(tmp_path: Path) -> None:
    def use(wide: Wide) -> object:
        return wide.connection.execute("SELECT error('no room')").fetchall()

    with Evidence(NOW).add(many(random.Random(5), 3)) as evidence, pytest.raises(InputError, match="no room"):
        census.each(evidence, shipped(), tmp_path, use)


def test_a_share_of_a_file_without_documents_is_no_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that ends with many empty lines, as one that was padded does."""
    monkeypatch.setattr(files, "processors", lambda: 2)
    monkeypatch.setattr(files, "_WORTH_A_READER", 1000)
    monkeypatch.setattr(census, "GROUP", 1)
    path = tmp_path / "e.jsonl"
    path.write_text("\n".join(map(json.dumps, many(random.Random(5), 3))))
    path.write_bytes(path.read_bytes() + b"\n" * 2 * path.stat().st_size)
    with Evidence(NOW).add_files([path]) as evidence:
        assert census.take(evidence, shipped(), tmp_path / "out", floor=0.5).accounts == 3
