"""`auditor query`: SQL over a stored run or over evidence files, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import stage

EVIDENCE = """
schema: auditor/evidence/1
collected_at: 2026-11-20T10:00:00Z
account: {name: main-okx, exchange: okx, kind: main, login_weakest_factor: sms}
api_keys:
  - {label: bot, can_read: true, can_withdraw: true, ip_bound: false, created_at: 2025-01-03T00:00:00Z}
  - {label: "\\e[31mred\\e[0m =cmd() <b>", can_read: true}
"""


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    made = stage.Stage(tmp_path)
    made.write("e.yaml", EVIDENCE)
    return made


def asked(mine: stage.Stage, sql: str, *args: str) -> stage.Ran:
    return mine.run("query", "--evidence", "e.yaml", sql, *args)


def test_keys_and_findings(mine: stage.Stage) -> None:
    rows = json.loads(asked(mine, "SELECT label, can_withdraw FROM api_key ORDER BY created_at", "-f", "json").out)[
        "rows"
    ]
    assert rows[0] == {"label": "bot", "can_withdraw": True}
    assert rows[1]["can_withdraw"] is None
    told = asked(mine, "SELECT DISTINCT severity FROM finding WHERE rule = 'auth-sms-weakest' AND outcome = 'fail'")
    assert told.out.split() == ["severity", "--------", "critical"]


def test_a_hostile_label_stays_on_its_line(mine: stage.Stage) -> None:
    out = asked(mine, "SELECT label, can_read FROM api_key").out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 4


def test_of_the_last_stored_run(mine: stage.Stage) -> None:
    with stage.twins("okx") as twins, stage.hurried():
        mine.config(twins["okx"])
        assert "no history yet" in mine.run("query", "SELECT 1").err
        assert mine.run("audit", "--yes", "-q").code > 4
        told = mine.run("query", "SELECT count(*) AS n FROM api_key WHERE can_read", "-f", "json")
    assert json.loads(told.out)["rows"][0]["n"] > 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("DROP TABLE api_key",), "only one SELECT"),
        (("SELECT nope FROM api_key",), "nope"),
        (("SELECT * FROM read_csv('/etc/passwd')",), "refused"),
    ],
)
def test_what_cannot_be_asked(mine: stage.Stage, args: tuple[str, ...], said: str) -> None:
    refused = asked(mine, *args)
    assert (refused.code, said in refused.err, refused.out) == (2, True, "")


def test_without_a_question(mine: stage.Stage) -> None:
    assert "what is asked?" in mine.run("query").err
    tables = mine.run("query", "--tables").out
    spelled = json.loads(mine.run("query", "--tables", "-f", "json").out)
    assert spelled["finding"][:3] == ["id", "account", "rule"]
    assert "finding: id, account, rule" in tables
    assert max(map(len, tables.splitlines())) <= 80


def test_too_many_rows_are_said(mine: stage.Stage) -> None:
    told = asked(mine, "SELECT * FROM range(20000)")
    assert "only the first 10000" in told.err
