"""What only a terminal sees: widths, colour, progress, and the questions after an audit."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from auditor.cli import audit
from tests import stage
from tests.cli.test_transcripts import EVIDENCE

ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    return stage.Stage(tmp_path)


def at_terminal(
    mine: stage.Stage,
    *args: str,
    columns: int = 80,
    reply: Callable[[str], str | None] = lambda _screen: None,
    environ: Mapping[str, str] = {},
) -> tuple[int, str]:
    """Runs the program on a terminal of its own; `reply` is asked whenever a prompt waits. Exit code and screen."""
    child, controller = pty.fork()
    if child == 0:
        os.chdir(mine.work)
        os.execve(
            sys.executable,
            [sys.executable, "-m", "auditor", *args],
            {**mine.environ, "TERM": "xterm", **environ},
        )
    fcntl.ioctl(controller, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    screen, answered, end = "", 0, time.monotonic() + 30
    while time.monotonic() < end:
        if select.select([controller], [], [], 0.05)[0]:
            try:
                chunk = os.read(controller, 65536)
            except OSError:
                break
            if not chunk:
                break
            screen += chunk.decode("utf-8", "replace")
        elif screen[answered:].endswith(": "):
            text = reply(screen[answered:])
            answered = len(screen)
            os.write(controller, f"{text if text is not None else 'q'}\n".encode("utf-8", "surrogateescape"))
    os.close(controller)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), screen.replace("\r\n", "\n")


@pytest.fixture
def kept(mine: stage.Stage) -> stage.Stage:
    """A user who has a report to look at."""
    mine.write("evidence.yaml", EVIDENCE)
    mine.run("evaluate", "evidence.yaml", "-f", "json", "-o", "report.json")
    return mine


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_the_report_fits_the_terminal(kept: stage.Stage, columns: int) -> None:
    _, screen = at_terminal(kept, "report", "report.json", columns=columns)
    lines = ESCAPE.sub("", screen).splitlines()
    assert max(map(len, lines)) <= min(columns, 100)
    assert max(map(len, lines)) > min(columns, 100) - 12


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_want_it_and_changes_no_word(
    kept: stage.Stage, environ: dict[str, str], coloured: bool
) -> None:
    _, screen = at_terminal(kept, "report", "report.json", environ=environ)
    plain = kept.run("report", "report.json").out
    assert bool(ESCAPE.search(screen)) is coloured
    assert ESCAPE.sub("", screen) == plain and not ESCAPE.search(plain)


def test_progress_is_shown_on_a_terminal_and_nowhere_else(mine: stage.Stage) -> None:
    with stage.twins("kraken") as served, stage.hurried():
        mine.config(served["kraken"])
        _, screen = at_terminal(mine, "audit", "--yes")
        _, quiet = at_terminal(mine, "audit", "--yes", "-q")
        piped = mine.run("audit")
    assert "collected 1 of 1: main-kraken" in screen
    assert "collected" not in quiet and piped.err == ""


def test_the_owner_is_asked_about_each_key_and_the_answers_count(mine: stage.Stage) -> None:
    asked: list[str] = []

    def owner(screen: str) -> str:
        if "answer what no key can show now?" in screen:
            return "y"
        asked.append(screen)
        if "recognise this key" in screen:
            return "n" if "grid-bot" in screen else "y"
        return "1" if "weakest" in screen else "s"

    with stage.twins("okx") as served:
        mine.config(served["okx"])
        code, screen = at_terminal(mine, "audit", reply=owner)
        again = mine.run("audit", "-f", "json").report
        quiet, _ = at_terminal(mine, "audit", "--yes", reply=lambda _screen: pytest.fail("asked"))
    assert code == 13 and quiet == 13
    about_keys = [text for text in asked if "recognise this key" in text]
    assert len(about_keys) == 2 and not any("(auditor)" in text for text in about_keys)
    (path,) = (mine.work / "attest").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().count("owner_recognised: ") == 3  # two rows, and their date
    found = {
        one["subject"]["label"].partition(" ")[0]: one["outcome"]
        for one in again["accounts"][0]["findings"]
        if one["rule"] == "key-unrecognised"
    }
    assert found["grid01/grid-bot"] == "fail" and found["grid01/dashboard"] == "pass"
    assert screen.count("account audited") == 2


def test_the_four_asked_for_rules_are_within_reach_of_a_first_run(mine: stage.Stage) -> None:
    """SMS-only, unknown keys, no allow-list, no hold: each is decided, or asked before anybody gets tired."""
    wanted = {
        "auth-sms-weakest": "weakest second factor that works",
        "withdrawal-allowlist-off": "saved addresses only",
        "withdrawal-no-hold-after-credential-change": "are withdrawals held after",
    }
    with stage.twins() as served, stage.hurried():
        mine.config(*served.values())
        report = mine.run("audit", "-f", "json").report
    for account in report["accounts"]:
        asked = [question["ask"] for question in account["questions"]][: audit._ASKED_AT_ONCE]
        for rule, words in wanted.items():
            said = {one["outcome"] for one in account["findings"] if one["rule"] == rule}
            assert said <= {"pass", "fail"} or any(words in text for text in asked), (account["name"], rule)
        others = [
            key for key in account["inventory"]["api_keys"] if not key.get("is_audit_key") and "fingerprint" in key
        ]
        assert sum("recognise this key as yours" in text for text in asked) == len(others), account["name"]


def test_answers_survive_a_change_of_mind(mine: stage.Stage) -> None:
    """Saying no to the questions, and stopping at once, write nothing and change no exit code."""
    with stage.twins("okx") as served:
        mine.config(served["okx"])
        usual = mine.run("audit").code
        for first in ("n", "y"):
            code, screen = at_terminal(
                mine, "audit", reply=lambda text, first=first: first if "show now?" in text else "q"
            )
            assert code == usual and screen.count("account audited") == 1
    assert not (mine.work / "attest").exists()
