"""`auditor audit --local`: what lies open on this machine becomes evidence about the keys it concerns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor import demo
from auditor.reports import FORMATS
from auditor.twin._base import TwinVenue
from tests import stage

RULE = "key-secret-in-plaintext"


@pytest.fixture(scope="module")
def twin() -> Iterator[TwinVenue]:
    with stage.twins("okx") as made:
        yield made["okx"]


@pytest.fixture
def mine(tmp_path: Path, twin: TwinVenue) -> stage.Stage:
    made = stage.Stage(tmp_path)
    made.config(twin)
    return made


def audited(mine: stage.Stage, *args: str) -> stage.Ran:
    with stage.hurried():
        return mine.run("audit", "--yes", "-f", "json", *args)


def findings(ran: stage.Ran, rule: str) -> set[str]:
    return {one["outcome"] for one in ran.report["accounts"][0]["findings"] if one["rule"] == rule}


def problems(ran: stage.Ran) -> list[str]:
    return [one["message"] for one in ran.report["problems"] if one["where"] == "this machine"]


def test_a_secret_in_the_open_fails_the_rule_and_is_not_repeated(mine: stage.Stage, twin: TwinVenue) -> None:
    secret = twin.sample_credentials()["secret"]
    mine.write("bot/.env", f"OKX_SECRET={secret}\n")
    blind, seeing = audited(mine), audited(mine, "--local")
    assert "fail" not in findings(blind, RULE)
    assert "fail" in findings(seeing, RULE)
    assert any("bot/.env" in message for message in problems(seeing))
    assert problems(blind) == []
    assert secret not in seeing.out + seeing.err


def test_nothing_found_proves_nothing(mine: stage.Stage) -> None:
    seeing = audited(mine, "--local")
    assert findings(seeing, RULE) == findings(audited(mine), RULE)
    assert findings(seeing, RULE) <= {"unknown", "not_applicable"}


def test_the_history_of_the_shell_and_a_folder_elsewhere(mine: stage.Stage, twin: TwinVenue) -> None:
    secret = twin.sample_credentials()["secret"]
    (mine.home / ".bash_history").write_text(f"export S={secret}\n")
    elsewhere = mine.home / "elsewhere"
    elsewhere.mkdir()
    assert any(".bash_history" in message for message in problems(audited(mine, "--local", str(elsewhere))))


def test_a_package_that_steals(mine: stage.Stage) -> None:
    (mine.work / "venv/lib/python3.11/site-packages/ccxt_mexc_futures-0.1.dist-info").mkdir(parents=True)
    seeing = audited(mine, "--local")
    assert findings(seeing, "key-malicious-package") == {"fail"}
    assert any("ccxt-mexc-futures" in message for message in problems(seeing))


def test_a_configuration_that_others_can_read(mine: stage.Stage) -> None:
    (mine.work / "auditor.yaml").chmod(0o644)
    assert any("auditor.yaml can be read by other users" in message for message in problems(audited(mine, "--local")))


def test_a_secret_kept_in_a_file_on_purpose(mine: stage.Stage, twin: TwinVenue) -> None:
    for field, value in twin.sample_credentials().items():
        mine.write(f"{field}.txt", value)
    text = (mine.work / "auditor.yaml").read_text()
    for field, reference in demo.account(twin).credentials[0].items():
        text = text.replace(reference, f"file:{field}.txt")
    mine.write("auditor.yaml", text)
    assert problems(audited(mine, "--local")) == []


def test_a_secret_in_a_thousand_places_is_no_report_of_a_thousand_lines(mine: stage.Stage, twin: TwinVenue) -> None:
    for number in range(1000):
        mine.write(f"old/{number}.env", twin.sample_credentials()["secret"])
    said = problems(audited(mine, "--local"))
    assert len(said) == 11
    assert "990 more places" in said[-1]


def test_names_of_files_are_text(mine: stage.Stage, twin: TwinVenue) -> None:
    for name in ("a\x1b[31mb\n.env", "b\udcff\u202e.env", "<script>.env"):
        mine.write(name, twin.sample_credentials()["secret"])
    with stage.hurried():
        ran = mine.run("audit", "--yes", "--local", *[word for name in FORMATS for word in ("-f", name)], "-o", "out")
    assert ran.code > 4, ran.err
    said = (mine.work / "out/report.html").read_text()
    assert "<script>.env" not in said and "&lt;script&gt;.env" in said
    assert not any(char in said for char in "\x1b\u202e")


def test_a_secret_that_cannot_be_read_a_second_time_costs_no_audit(mine: stage.Stage, twin: TwinVenue) -> None:
    for field, value in twin.sample_credentials().items():
        mine.write(f"{field}.txt", value)
    mine.write("once.sh", "#!/bin/sh\ncat secret.txt && rm secret.txt\n", 0o700)
    text = (mine.work / "auditor.yaml").read_text()
    for field, reference in demo.account(twin).credentials[0].items():
        text = text.replace(f'"{reference}"', f'"file:{field}.txt"')
    mine.write("auditor.yaml", text.replace("file:secret.txt", "cmd:./once.sh"))
    ran = audited(mine, "--local")
    assert any("not looked for" in message for message in problems(ran))


def test_a_folder_that_is_not_there(mine: stage.Stage) -> None:
    refused = mine.run("audit", "--local", "nowhere")
    assert (refused.code, "there is no nowhere" in refused.err) == (2, True)
