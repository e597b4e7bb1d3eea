"""`auditor keys` against a twin whose keys, addresses and log change between audits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auditor.twin.deribit import Twin
from tests import stage
from tests.cli.test_terminal import at_terminal

RULE = "key-unrecognised"


class Desk:
    """One account at the twin, audited on one day after another."""

    def __init__(self, mine: stage.Stage, twin: Twin, patch: pytest.MonkeyPatch) -> None:
        self.mine, self.twin, self.patch = mine, twin, patch
        self.mine.config(twin)
        self.day = 0

    def audit(self, *args: str) -> dict[str, Any]:
        self.day += 1
        self.patch.setattr(stage, "NOW", datetime(2026, 11, 19, tzinfo=UTC) + timedelta(hours=self.day))
        ran = self.mine.run("audit", "-f", "json", "--no-notify", *args)
        assert ran.err == ""
        account: dict[str, Any] = ran.report["accounts"][0]
        return {**account, "run_problems": ran.report["problems"]}

    def run(self, *args: str, code: int = 0) -> stage.Ran:
        ran = self.mine.run(*args)
        assert ran.code == code, ran.err
        return ran

    def json(self, *args: str) -> Any:
        return json.loads(self.run(*args, "-f", "json").out)

    def row(self, name: str) -> dict[str, Any]:
        return next(row for row in self.twin.rows if row["name"] == name)

    def add(self, name: str, **more: Any) -> None:
        new = {**self.twin.rows[0], "id": 90, "name": name, "client_id": "Nn00xYzw", "client_secret": "s" * 43, **more}
        self.twin.rows.append(new)


@pytest.fixture
def desk(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with stage.hurried(), stage.twins("deribit") as served:
        yield Desk(stage.Stage(tmp_path), served["deribit"], monkeypatch)  # type: ignore[arg-type]


def outcomes(account: dict[str, Any], rule: str = RULE) -> dict[str, str]:
    return {one["subject"]["label"]: one["outcome"] for one in account["findings"] if one["rule"] == rule}


def drift(account: dict[str, Any]) -> dict[str, str]:
    return {one["subject"]["label"]: one["kind"] for one in account["drift"]}


def test_from_the_first_run_to_a_key_nobody_recognises(desk: Desk) -> None:
    assert set(outcomes(desk.audit()).values()) == {"unknown", "pass"}  # the key that asks is known
    ran = desk.run("keys", "approve", "--all", "--yes", "--by", "ana")
    assert "approved" in ran.err and ran.out == ""
    assert set(outcomes(desk.audit()).values()) == {"pass"}
    desk.add("helper")
    after = desk.audit()
    assert outcomes(after)["helper"] == "fail" and drift(after) == {"helper": "new"}
    listed = {row["label"]: row for row in desk.json("keys", "list")[0]["subjects"] if row["type"] == "api_key"}
    assert listed["helper"]["approved"] is None and listed["treasury"]["approved"]["by"] == "ana"
    assert "+ new: key helper" in desk.run("keys", "diff").out
    desk.run("keys", "approve", "helper")
    assert outcomes(desk.audit())["helper"] == "pass" and "3 unchanged" not in desk.run("keys", "diff").out
    assert desk.json("keys", "diff")[0]["differences"] == []


def test_a_key_that_is_widened(desk: Desk) -> None:
    desk.audit()
    desk.run("keys", "approve", "--all", "--yes")
    desk.row("audit_ro")["max_scope"] = "account:read wallet:read_write trade:none"
    desk.row("desk_bot")["ip_whitelist"] = ["192.0.2.1"]
    after = desk.audit()
    assert drift(after) == {"audit_ro": "widened", "desk_bot": "changed"}
    widened = {row["label"]: row.get("widened_since_baseline") for row in after["inventory"]["api_keys"]}
    assert widened == {"audit_ro": True, "treasury": False, "desk_bot": False}
    told = desk.run("keys", "diff").out
    assert "! widened: key audit_ro" in told and "may withdraw" in told and "~ changed: key desk_bot" in told


def test_what_is_not_mine(desk: Desk) -> None:
    desk.audit()
    desk.run("keys", "approve", "desk_bot", "--not-mine")
    assert outcomes(desk.audit())["desk_bot"] == "fail"
    assert "said not to be theirs" in desk.run("keys", "list").out


def test_half_of_the_keys_gone_is_doubted_and_then_believed(desk: Desk) -> None:
    desk.audit()
    desk.run("keys", "approve", "--all", "--yes")
    desk.twin.rows[:] = desk.twin.rows[:1]
    doubted = desk.audit()
    assert set(drift(doubted).values()) <= {"doubted"} and doubted["inventory"]["complete"] is not True
    assert {one["reason"] for one in doubted["problems"]} >= {"implausible_response"}
    sure = desk.audit()
    assert drift(sure) == {"treasury": "removed", "desk_bot": "removed"} and sure["inventory"]["complete"] is True
    assert "- removed: key treasury" in desk.run("keys", "diff").out
    desk.run("keys", "approve", "--all", "--yes")
    assert drift(desk.audit()) == {}


def test_lines_of_the_log_are_open_until_somebody_says_it_was_them(desk: Desk) -> None:
    desk.audit()
    late = int(datetime(2026, 11, 19, 1, 30, tzinfo=UTC).timestamp() * 1000)
    for number, (ip, said) in enumerate(
        [("203.0.113.9", "success"), ("203.0.113.9", "changed_password"), ("198.51.100.200", "success")]
    ):
        named = {"result": said} if said == "success" else {"log": said}
        desk.twin.log.insert(
            0, {"id": 900 + number, "timestamp": late + number, "ip": ip, "country": "France", "city": "Lyon", **named}
        )
    desk.audit()
    lines = [line for line in desk.run("keys", "remember").out.splitlines() if "2026-11-19" in line]
    assert len(lines) == 3 and sum("203.0.113.9" in line for line in lines) == 2
    login = next(line for line in lines if "203.0.113.9" in line and " login " in line)
    desk.run("keys", "remember", login.split()[1])
    desk.twin.log.insert(
        0,
        {
            "id": 990,
            "timestamp": late + 60_000,
            "ip": "203.0.113.9",
            "country": "France",
            "city": "Lyon",
            "result": "success",
        },
    )
    desk.audit()
    left = [line for line in desk.run("keys", "remember").out.splitlines() if "2026-11-19" in line]
    assert len(left) == 2 and not [line for line in left if " login " in line and "203.0.113.9" in line]
    desk.run("keys", "remember", "--all", "--yes")
    assert desk.run("keys", "remember").out == ""


def test_all_of_it_is_looked_through_on_a_terminal(desk: Desk) -> None:
    desk.audit()
    asked: list[str] = []

    def owner(screen: str) -> str:
        asked.append(screen)
        return "n" if "desk_bot" in screen else "y"

    code, screen = at_terminal(desk.mine, "keys", "approve", "--all", "--by", "ana", reply=owner)
    assert code == 0 and len(asked) == 5 and "4 approved, 1 said not to be yours" in screen
    said = {row["label"]: row["approved"] for row in desk.json("keys", "list")[0]["subjects"]}
    assert said["desk_bot"]["mine"] is False and said["treasury"] == {**said["treasury"], "mine": True, "by": "ana"}
    assert outcomes(desk.audit())["desk_bot"] == "fail"


def test_who_stops_half_way_said_nothing(desk: Desk) -> None:
    desk.audit()
    answers = iter(["y", "y", "\x03"])
    code, _ = at_terminal(desk.mine, "keys", "approve", "--all", reply=lambda _screen: next(answers))
    assert code == 130 and not [row for row in desk.json("keys", "list")[0]["subjects"] if row["approved"]]


@pytest.mark.parametrize(("args", "words"), [
    (("approve",), "--all"),
    (("approve", "treasury", "--all"), "--all"),
    (("approve", "--all"), "nobody is there"),
    (("approve", "nothing-like-it"), "names nothing here"),
    (("approve", "--all", "--yes", "--by", "a\nb"), "--by"),
    (("approve", "--all", "--yes", "--not-mine"), "--all"),
    (("remember", "--all"), "nobody is there"),
    (("remember", "ffffffff"), "names nothing here"),
    (("list", "-a", "other"), "no run of other"),
    (("diff", "-a", "\x1b[2J"), "no run of"),
])  # fmt: skip
def test_what_cannot_be_done_is_said_and_nothing_is_stored(desk: Desk, args: tuple[str, ...], words: str) -> None:
    desk.audit()
    ran = desk.mine.run("keys", *args)
    assert ran.code == 2 and ran.out == "" and words in ran.err and "\x1b" not in ran.err
    assert [row["kind"] for row in desk.json("history", "list")] == ["run"]


def test_a_label_of_two_keys_is_no_name(desk: Desk) -> None:
    desk.add("treasury", client_id="Aa11bBcc")
    desk.audit()
    ran = desk.mine.run("keys", "approve", "treasury")
    assert ran.code == 2 and "names 2 of them" in ran.err
    marks = [row["fingerprint"] for row in desk.json("keys", "list")[0]["subjects"] if row["label"] == "treasury"]
    desk.run("keys", "approve", marks[0][:8])
    approved = {row["fingerprint"] for row in desk.json("keys", "list")[0]["subjects"] if row["approved"]}
    assert approved == {marks[0]}


def test_before_the_first_run(desk: Desk) -> None:
    for args in (("list",), ("diff",), ("approve", "--all", "--yes"), ("remember",)):
        ran = desk.mine.run("keys", *args)
        assert ran.code == 2 and "no history yet" in ran.err and "auditor audit" in ran.err
    assert not any("history" in name for name in desk.mine.files())


def test_hostile_labels_do_nothing_to_a_terminal(desk: Desk) -> None:
    row = desk.row("desk_bot")
    row["name"] = "\x1b[2J\u202eevil\u0000 owner@example.org"
    desk.audit()
    row["max_scope"] = "account:read_write trade:read_write wallet:read_write"
    desk.audit()
    for args in (("keys", "list"), ("keys", "diff"), ("history", "show")):
        out = desk.run(*args).out
        assert not [char for char in out if not (char.isprintable() or char == "\n")]
        assert "owner@example.org" not in out and max(map(len, out.splitlines())) <= 80
    for args in (("keys", "list"), ("keys", "diff")):
        assert "owner@example.org" not in json.dumps(desk.json(*args))


def test_nothing_that_is_stored_holds_a_secret_or_a_whole_id(desk: Desk) -> None:
    import sqlite3
    import zlib

    desk.audit()
    desk.run("keys", "approve", "--all", "--yes")
    (path,) = [name for name in desk.mine.files() if name.endswith("history.db")]
    with sqlite3.connect(desk.mine.home / path) as connection:
        held = b"".join(zlib.decompress(body) for (body,) in connection.execute("SELECT body FROM history_body"))
    connection.close()
    assert (desk.mine.home / path).stat().st_mode & 0o777 == 0o600
    for key in desk.twin.sample_keys():
        assert key.secret.encode() not in held and key.api_key.encode() not in held
    assert b"owner@example.org" not in held and b'"treasury"' in held
