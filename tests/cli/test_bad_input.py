"""Every command that takes a file, fed with files that nobody should have: one clear error, code 2, nothing written, soon."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import stage
from tests.cli.test_transcripts import EVIDENCE, RULE

PATIENCE = 3.0
LARGE = 100 * 2**20
LAUGHS = "a: &a [lol, lol]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
)
CONFIG = "version: 1\naccounts: [{name: main-okx, exchange: okx}]\n"

Write = Callable[[Path], None]


def text(content: str | bytes) -> Write:
    return lambda path: Path.write_bytes(path, content.encode() if isinstance(content, str) else content)


def sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(LARGE)


def filled(unit: bytes) -> Write:
    return text(unit * (LARGE // len(unit)))


BAD: dict[str, Write] = {
    "empty": text(""),
    "blank": text("\n\n   \n"),
    "a byte order mark": text(b"\xef\xbb\xbf"),
    "binary": text(bytes(range(256)) * 40),
    "utf-16": text("schema: auditor/evidence/1\n".encode("utf-16")),
    "zeros": text(b"\x00" * 5000),
    "a sparse 100 MB": sparse,
    "100 MB in one line": filled(b"x" * 1024),
    "100 MB of brackets": filled(b"[" * 1024),
    "truncated": text(EVIDENCE[: len(EVIDENCE) // 2]),
    "truncated json": text('{"schema": "auditor/evidence/1", "account": {"name": "a'),
    "deep": text("[" * 5000 + "]" * 5000),
    "deep yaml": text("".join(f"{' ' * n}a:\n" for n in range(300))),
    "a key that stands twice": text("schema: auditor/evidence/1\nschema: auditor/evidence/1\n"),
    "a key that stands twice in json": text('{"schema": "a", "schema": "b"}'),
    "tags": text("a: !!python/object/apply:os.system ['touch pwned']\n"),
    "aliases": text("a: &x 1\nb: *x\n"),
    "billion laughs": text(LAUGHS),
    "merge keys": text("a: &x {b: 1}\nc:\n  <<: *x\n"),
    "a number": text("42"),
    "a text": text('"auditor"'),
    "a list of nothing": text("[null]"),
    "an enormous number": text('{"schema": ' + "9" * 6000 + "}"),
    "not a number": text('{"schema": NaN}'),
    "two documents": text("--- 1\n--- 2\n"),
    "control characters": text("schema: \x07\x1b[31m\n"),
    "a carriage return": text(b"schema: auditor\revidence\n"),
    "another schema": text(EVIDENCE.replace("auditor/evidence/1", "auditor/evidence/2")),
    "unknown keys": text(EVIDENCE + "frobnicate: 1\n" + "colour_red: 2\n"),
    "wrong types": text(
        EVIDENCE.replace("addresses: []", "addresses: yes").replace("{name: main-okx", "{name: [main-okx]")
    ),
}
COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "evaluate a yaml": ("bad.yaml", ("evaluate", "bad.yaml", "-o", "out.txt")),
    "evaluate a json": ("bad.json", ("evaluate", "bad.json", "-o", "out.txt")),
    "evaluate lines": ("bad.jsonl", ("evaluate", "bad.jsonl", "-o", "out.txt")),
    "evaluate a table": ("bad.parquet", ("evaluate", "bad.parquet", "-o", "out.txt")),
    "evaluate by rules": ("mine/key-mine.yaml", ("evaluate", "good.yaml", "--rules", "mine", "-o", "out.txt")),
    "evaluate by configuration": ("bad.yaml", ("evaluate", "good.yaml", "-c", "bad.yaml", "-o", "out.txt")),
    "report": ("bad.json", ("report", "bad.json", "-o", "out.txt")),
    "check rules": ("mine/key-mine.yaml", ("rules", "check", "mine")),
    "check a rule": ("mine/key-mine.yaml", ("rules", "check", "mine/key-mine.yaml")),
    "test rules": ("mine/key-mine.yaml", ("rules", "test", "mine")),
    "list rules": ("bad.yaml", ("rules", "list", "-c", "bad.yaml")),
    "audit": ("bad.yaml", ("audit", "-c", "bad.yaml", "-o", "out.txt")),
    "collect": ("bad.yaml", ("collect", "-c", "bad.yaml", "-o", "out.json")),
    "attest": ("bad.yaml", ("attest", "-c", "bad.yaml", "main-okx")),
    "audit by answers": ("attest/main-okx.yaml", ("audit", "-o", "out.txt")),
    "attest to answers": ("attest/main-okx.yaml", ("attest", "main-okx", "--answer", "account.p2p_enabled=no")),
}


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    made = stage.Stage(tmp_path)
    made.write("good.yaml", EVIDENCE)
    made.write("auditor.yaml", CONFIG)
    for name in ("mine", "attest"):
        (made.work / name).mkdir()
    return made


def listed(mine: stage.Stage) -> dict[str, tuple[int, int]]:
    """Every path with its size and time: contents of 100 MB need not be compared."""
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in mine.home.rglob("*")}


def refused(mine: stage.Stage, args: tuple[str, ...], name: str) -> None:
    before = listed(mine)
    begun = time.monotonic()
    ran = mine.run(*args)
    took = time.monotonic() - begun
    assert ran.code == 2, (ran.code, ran.err[:500])
    assert ran.out == ""
    lines = ran.err.splitlines()
    assert lines and all(line.startswith(("error: ", "  hint: ")) for line in lines), ran.err[:500]
    assert len(lines) <= 62 and all(len(line) < 800 for line in lines)
    assert Path(name).name in lines[0] or "mine" in lines[0], lines[0]
    assert not [char for char in ran.err if ord(char) < 32 and char != "\n"]
    assert "Traceback" not in ran.err
    assert listed(mine) == before
    assert took < PATIENCE, took


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_by_every_command(mine: stage.Stage, kind: str) -> None:
    wrong = []
    for command, (name, args) in COMMANDS.items():
        path = mine.work / name
        BAD[kind](path)
        try:
            refused(mine, args, name)
        except AssertionError as error:
            wrong.append(f"{command}: {error}")
        path.unlink()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_a_pipe_and_a_loop_are_no_files(mine: stage.Stage, command: str) -> None:
    name, args = COMMANDS[command]
    path = mine.work / name
    path.mkdir()
    refused(mine, args, name)
    path.rmdir()
    os.mkfifo(path)
    refused(mine, args, name)
    path.unlink()
    path.symlink_to(path)
    refused(mine, args, name)
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(mine, args, name)


def test_what_is_refused_says_where(mine: stage.Stage) -> None:
    mine.write("bad.yaml", EVIDENCE.replace("can_read: true", "can_read: 1"))
    assert mine.run("evaluate", "bad.yaml").err.startswith(
        "error: bad.yaml:5: api_key.can_read: expected true or false"
    )
    mine.write("mine/key-mine.yaml", RULE)
    assert "mine/key-mine.yaml:3: severity" in mine.run("rules", "check", "mine").err


def test_a_thousand_faults_are_not_a_thousand_lines(mine: stage.Stage) -> None:
    rows = "".join("  - {name: [], exchange: 1}\n" for _ in range(2000))
    mine.write("auditor.yaml", f"version: 1\naccounts:\n{rows}")
    lines = mine.run("audit").err.splitlines()
    assert len(lines) <= 62 and "more" in lines[-1]
    mine.write("many.jsonl", "nonsense\n" * 5000)
    assert len(mine.run("evaluate", "many.jsonl").err.splitlines()) <= 62


def test_output_that_cannot_be_written_is_found_out_and_said(mine: stage.Stage) -> None:
    for target in ("good.yaml/report.txt", "/proc/nowhere/report.txt", "mine"):
        before = mine.files()
        ran = mine.run("evaluate", "good.yaml", "-o", target)
        assert ran.code == 2 and ran.err.startswith("error: ") and "Traceback" not in ran.err
        assert {name: raw for name, raw in mine.files().items() if "identity" not in name} == {
            name: raw for name, raw in before.items() if "identity" not in name
        }


def test_evidence_under_a_name_that_means_something_elsewhere(mine: stage.Stage) -> None:
    """A file name is a name: not a URL, a glob, an option or SQL."""
    for name in (
        "http:x.json",
        "*.json",
        "a'b\"c;--.json",
        "s3:bucket.jsonl",
        "x\ny.json",
        "{}.yaml",
        "~.yaml",
        "%s.json",
    ):
        mine.write(name, json.dumps({"schema": "auditor/evidence/1", "account": {"name": "a", "exchange": "okx"}}))
        ran = mine.run("evaluate", "-f", "json", "--", name)
        assert (ran.code, ran.err) == (12, ""), name


LONG_NAME = "x" * 5000


@pytest.mark.parametrize(
    "args",
    [
        ("evaluate", LONG_NAME),
        ("evaluate", f"{LONG_NAME}.json"),
        ("evaluate", "good.yaml", "-o", LONG_NAME),
        ("evaluate", "good.yaml", "--rules", LONG_NAME),
        ("report", LONG_NAME),
        ("audit", "-c", LONG_NAME),
        ("audit", "--local", LONG_NAME),
        ("collect", "-o", f"{LONG_NAME}.json"),
        ("rules", "check", LONG_NAME),
        ("paths", "--evidence", LONG_NAME),
    ],
    ids=lambda args: " ".join(word[:12] for word in args),
)
def test_a_name_that_no_file_can_have_is_no_bug_of_ours(mine: stage.Stage, args: tuple[str, ...]) -> None:
    ran = mine.run(*args)
    assert ran.code == 2 and ran.err.startswith("error: ") and "bug" not in ran.err
    assert all(len(line) < 1000 for line in ran.err.splitlines())
