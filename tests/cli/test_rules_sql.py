"""`auditor rules show ID -f sql`: what is printed is the statement, and nothing else."""

from __future__ import annotations

from pathlib import Path

from auditor.ruleset import statement
from tests.engine.invented import shipped
from tests.stage import Stage


def test_the_statement_of_a_rule_is_printed_as_it_runs(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    for one in shipped()[::20]:
        ran = stage.run("rules", "show", one.id, "-f", "sql")
        assert (ran.code, ran.err, ran.out) == (0, "", statement.select(one) + "\n")
        assert one.require.sql in ran.out and "now_" in ran.out


def test_a_rule_of_the_users_own_is_printed_too(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.write(
        "rules/key-of-mine.yaml",
        (Path(__file__).parents[2] / "rules/key-dormant.yaml").read_text().replace("key-dormant", "key-of-mine"),
    )
    stage.write("auditor.yaml", '{"version": 1, "accounts": [{"name": "a", "exchange": "okx"}], "rules": ["rules/"]}')
    ran = stage.run("rules", "show", "key-of-mine", "-f", "sql", "-c", "auditor.yaml")
    assert ran.code == 0 and ran.out.startswith("SELECT api_key.*, CASE WHEN") and "INTERVAL '30' DAY" in ran.out, (
        ran.err
    )
