"""`auditor history` and `auditor report RUN`: what was stored is shown, compared, proved, pruned."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from auditor.twin._base import Refusal, Trouble
from tests import stage
from tests.cli.test_terminal import at_terminal

RULE = """\
id: mine-no-keys-that-trade
title: A key can trade
severity: low
lifecycle: stable
since: "0.1"
applies_to: api_key
require: NOT api_key.can_read
message: "Key {api_key.label} can read"
why: Because.
how_we_know: It is shown.
fix: {effort: low, text: Mend it.}
cases:
  - {name: no, api_keys: [{can_read: false}], expect: pass}
  - {name: yes, api_keys: [{can_read: true}], expect: fail}
  - {name: open, api_keys: [{}], expect: unknown}
"""


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    return stage.Stage(tmp_path)


@pytest.fixture
def audited(mine: stage.Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[stage.Stage, Any]]:
    """Two runs, an hour apart, of one account; and the twin for more."""
    with stage.hurried(), stage.twins("deribit") as served:
        mine.config(served["deribit"])
        for hour in range(2):
            _audit(mine, monkeypatch, hour)
        yield mine, served["deribit"]


def _audit(mine: stage.Stage, patch: pytest.MonkeyPatch, hour: int, *args: str) -> stage.Ran:
    patch.setattr(stage, "NOW", datetime(2026, 11, 19, tzinfo=UTC) + timedelta(hours=hour))
    return mine.run("audit", "-f", "json", "--no-notify", *args)


def said(mine: stage.Stage, *args: str) -> Any:
    ran = mine.run("history", *args, "-f", "json")
    assert ran.code == 0 and ran.err == ""
    return json.loads(ran.out)


def test_list_and_show(audited: tuple[stage.Stage, Any]) -> None:
    mine, _ = audited
    rows = said(mine, "list")
    assert [(row["number"], row["kind"], row["pruned"]) for row in rows] == [(1, "run", False), (2, "run", False)]
    shown = said(mine, "show", "1")
    assert shown["seq"] == 1 and shown["run"]["id"] == rows[0]["id"] and set(shown["accounts"]) == {"main-deribit"}
    assert said(mine, "show", rows[1]["id"][:6])["seq"] == 2 == said(mine, "show")["seq"]
    text = mine.run("history", "show", "last").out
    assert rows[1]["id"] in text and "keys seen" in text
    assert len(said(mine, "list", "-n", "1")) == 1


@pytest.mark.parametrize("name", ["9", "zz", "", "ffff", "-1", "\x1b[2J", "99999999999"])
def test_a_run_that_is_not_there(audited: tuple[stage.Stage, Any], name: str) -> None:
    mine, _ = audited
    ran = mine.run("history", "show", "--", name)
    assert ran.code == 2 and "there is no run" in ran.err and "\x1b" not in ran.err and ran.out == ""


def test_a_stored_run_is_rendered_again(audited: tuple[stage.Stage, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    mine, _ = audited
    fresh = _audit(mine, monkeypatch, 5).report
    again = mine.run("report", "last", "-f", "json")
    assert again.report == fresh and again.code == mine.run("report", "-q").code == 13
    assert mine.run("report", fresh["run"]["id"], "-f", "html", "-o", "report.html").code == 13
    assert (mine.work / "report.html").read_text().startswith("<!")
    (mine.work / "1").write_text("{}")  # a file of that name is that file
    assert "is not a report" in mine.run("report", "1").err


def test_diff_tells_the_account_from_the_rules(
    audited: tuple[stage.Stage, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, twin = audited
    same = said(mine, "diff", "1", "2")
    assert not same["rules_changed"] and same["accounts"][0]["unchanged"]
    assert not [name for name in ("new", "fixed", "new_by_rules", "fixed_by_rules") if same["accounts"][0][name]]
    twin.rows[0]["max_scope"] = "account:read_write wallet:read_write trade:none"
    mine.write("mine/mine-no-keys-that-trade.yaml", RULE)
    table = json.loads((mine.work / "auditor.yaml").read_text())
    mine.write("auditor.yaml", json.dumps({**table, "rules": ["mine"]}))
    _audit(mine, monkeypatch, 3)
    other = said(mine, "diff", "2", "3")
    (account,) = other["accounts"]
    assert other["rules_changed"]
    assert {row["rule"] for row in account["new_by_rules"]} == {"mine-no-keys-that-trade"}
    assert "key-withdraw-permission" in {row["rule"] for row in account["new"]}
    assert "mine-no-keys-that-trade" not in {row["rule"] for row in account["new"]}
    back = said(mine, "diff", "3", "2")["accounts"][0]
    assert [row["id"] for row in back["fixed"]] == [row["id"] for row in account["new"]]
    text = mine.run("history", "diff", "2", "3").out
    assert "new because the rules changed" in text and max(map(len, text.splitlines())) <= 80


def test_diff_calls_nothing_fixed_that_cannot_be_seen(
    audited: tuple[stage.Stage, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage mends nothing, and a run that did not look at an account says nothing of it."""
    mine, twin = audited
    twin.rows[0]["max_scope"] = "account:read_write wallet:read_write trade:none"
    _audit(mine, monkeypatch, 3)
    twin.troubles.append(Trouble(Refusal.MAINTENANCE))
    _audit(mine, monkeypatch, 4)
    (account,) = said(mine, "diff", "3", "4")["accounts"]
    assert "key-withdraw-permission" in {row["rule"] for row in account["unseen"]} and not account["fixed"]
    assert "not decided any more" in mine.run("history", "diff", "3", "4").out
    twin.troubles.clear()
    table = json.loads((mine.work / "auditor.yaml").read_text())
    other = {**table, "accounts": [{**table["accounts"][0], "name": "another"}]}
    mine.write("auditor.yaml", json.dumps(other))
    _audit(mine, monkeypatch, 5)
    apart = said(mine, "diff", "3", "5")["accounts"]
    assert {one["account"]: one["only_in"] for one in apart} == {"another": "b", account["account"]: "a"}
    assert not any(one["fixed"] or one["new"] for one in apart)
    assert "only run A looked at it" in mine.run("history", "diff", "3", "5").out


def test_a_failure_that_an_outage_hides_is_not_marked_absent(
    audited: tuple[stage.Stage, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, twin = audited
    _audit(mine, monkeypatch, 2)
    twin.troubles.append(Trouble(Refusal.MAINTENANCE))
    dark = _audit(mine, monkeypatch, 3).report["accounts"][0]["findings"]
    assert not [one["rule"] for one in dark if one["outcome"] == "unknown" and one["baseline"] == "absent"]


def test_trend(audited: tuple[stage.Stage, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    mine, _ = audited
    (points,) = said(mine, "trend").values()
    assert [one["at"] for one in points] == ["2026-11-19T00:00:00Z", "2026-11-19T01:00:00Z"]
    text = mine.run("history", "trend").out
    assert text.count("2026-11-19") == 2 and "." * 5 in text and max(map(len, text.splitlines())) <= 80


def test_verify_says_what_was_done(audited: tuple[stage.Stage, Any]) -> None:
    mine, _ = audited
    intact = said(mine, "verify")
    assert intact["intact"] and intact["head"]["record"] == 2
    path = next(mine.home.rglob("history.db"))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE history_record SET at = '2020-01-01T00:00:00Z' WHERE seq = 1")
    connection.close()
    ran = mine.run("history", "verify")
    assert ran.code == 2 and "record 1: was edited" in ran.out
    assert [row["tampered"] for row in said(mine, "list")] == [True, False]
    assert "tampered with" in mine.run("history", "list").out
    trend = mine.run("history", "trend", "-f", "json")
    assert (trend.code, len(json.loads(trend.out)["main-deribit"])) == (2, 1)
    assert "tampered" in trend.err
    told = json.loads(mine.run("history", "verify", "-f", "json").out)
    assert not told["intact"] and [(one["record"], one["what"]) for one in told["faults"]] == [(1, "edited")]


def test_a_cut_history_is_told_until_it_is_accepted(
    audited: tuple[stage.Stage, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, _ = audited
    path = next(mine.home.rglob("history.db"))
    early = {one: one.read_bytes() for one in path.parent.iterdir()}
    _audit(mine, monkeypatch, 3)
    for one in path.parent.iterdir():
        one.unlink()
    for one, raw in early.items():
        one.write_bytes(raw)
    assert "record 3: was seen here before and is gone" in mine.run("history", "verify").out
    ran = _audit(mine, monkeypatch, 4)
    assert any("tampered" in one["message"] for one in ran.report["problems"])
    assert mine.run("history", "verify", "--accept").code == 2  # nobody is there to ask
    mine.run("history", "verify", "--accept", "--yes")
    assert mine.run("history", "verify").code == 0


def test_a_history_that_was_deleted_is_missed(
    audited: tuple[stage.Stage, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, _ = audited
    path = next(mine.home.rglob("history.db"))
    for one in path.parent.iterdir():
        one.unlink()
    assert "history of 2 records that was here is gone" in mine.run("history", "verify").err
    ran = _audit(mine, monkeypatch, 3)
    assert "is gone" in ran.report["problems"][0]["message"]
    assert _audit(mine, monkeypatch, 4).report["problems"]  # until its owner says that it was meant
    mine.run("history", "verify", "--accept", "--yes")
    assert _audit(mine, monkeypatch, 5).report["problems"] == []


def test_prune(audited: tuple[stage.Stage, Any]) -> None:
    mine, _ = audited
    path = next(mine.home.rglob("history.db"))
    assert mine.run("history", "prune", "--older-than", "1d").code == 2
    for wrong in ("0d", "x", "1", "-1d", "1000000d", "1h"):
        assert mine.run("history", "prune", "--older-than", wrong, "--yes").code == 2
    assert "nothing is that old" in mine.run("history", "prune", "--older-than", "50y", "--yes").err
    size = path.stat().st_size
    assert size and [row["kind"] for row in said(mine, "list")] == ["run", "run"]


def test_signers_and_rotation(audited: tuple[stage.Stage, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    mine, _ = audited
    before = said(mine, "signers")
    after = json.loads(mine.run("history", "signers", "--rotate", "-f", "json").out)
    assert len(after["known"]) == 2 and after["own"] != before["own"] and before["known"][0] in after["known"]
    _audit(mine, monkeypatch, 3)
    assert said(mine, "verify")["intact"]
    seeds = [raw for name, raw in mine.files().items() if name.endswith("signing.key")]
    assert seeds and seeds[0].strip().decode() not in mine.run("history", "signers").out


def test_no_history_leaves_none(mine: stage.Stage) -> None:
    with stage.hurried(), stage.twins("deribit") as served:
        mine.config(served["deribit"])
        ran = mine.run("audit", "-f", "json", "--no-notify", "--no-history")
    account = ran.report["accounts"][0]
    assert account["drift"] is None and account["trend"] is None
    assert not any("history" in name for name in mine.files())
    for args in (
        ("list",),
        ("show",),
        ("verify",),
        ("trend",),
        ("diff", "1", "2"),
        ("prune", "--older-than", "1y", "--yes"),
    ):
        told = mine.run("history", *args)
        assert told.code == 2 and "no history yet" in told.err and told.out == ""
    assert "no history yet" in mine.run("report").err


@pytest.mark.parametrize(
    "history", ["sqlite:///taken/history.db", "postgresql://ana@127.0.0.1:1/auditor", "env:NOWHERE_TO_BE_FOUND"]
)
def test_a_history_that_cannot_be_used_costs_the_report_nothing(mine: stage.Stage, history: str) -> None:
    mine.write("taken", "a file where a folder is needed")
    with stage.hurried(), stage.twins("deribit") as served:
        table = json.loads(mine.config(served["deribit"]).read_text())
        whole = mine.run("audit", "-f", "json", "--no-notify", "--no-history")
        mine.write("auditor.yaml", json.dumps({**table, "history": history}))
        ran = mine.run("audit", "-f", "json", "--no-notify")
        text = mine.run("audit", "--no-notify", "--yes")
    assert ran.code == whole.code == text.code and ran.err == ""
    ids = [[(one["id"], one["outcome"]) for one in each.report["accounts"][0]["findings"]] for each in (ran, whole)]
    assert ids[0] == ids[1]
    (problem,) = ran.report["problems"]
    assert problem["where"] == "history" and problem["hint"] and len(problem["message"]) < 300


def test_a_password_in_the_address_is_not_shown(mine: stage.Stage) -> None:
    with stage.hurried(), stage.twins("deribit") as served:
        table = json.loads(mine.config(served["deribit"]).read_text())
        mine.environ["AUDITOR_HISTORY"] = "postgresql://ana:opensesame-4711@127.0.0.1:1/auditor"
        mine.write("auditor.yaml", json.dumps({**table, "history": "env:AUDITOR_HISTORY"}))
        ran = mine.run("audit", "-f", "json", "--no-notify")
        listed = mine.run("history", "list")
    assert ran.report["problems"] and "opensesame" not in ran.out + ran.err + listed.out + listed.err


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_it_fits_the_terminal(audited: tuple[stage.Stage, Any], columns: int) -> None:
    mine, _ = audited
    mine.run("keys", "approve", "--all", "--yes")
    for args in (("history", "list"), ("history", "trend"), ("history", "show"), ("history", "verify"), ("history", "diff", "1"),
                 ("keys", "list"), ("keys", "diff")):  # fmt: skip
        code, screen = at_terminal(mine, *args, columns=columns, environ={"NO_COLOR": "1"})
        lines = screen.splitlines()
        assert code == 0 and lines and max(map(len, lines)) <= columns, args
        assert "\x1b" not in screen
