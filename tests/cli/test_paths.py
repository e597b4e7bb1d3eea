"""`auditor paths` from the command line: chains, what-if, JSON, models of one's own, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.stage import Stage
from tests.threats.invented import HARD, HARD_VENUE, NOTHING_HELD, OPEN_VENUE, WEAK, document

MONEY = {"withdraw_funds", "drain_by_trading", "internal_transfer_out"}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def weak(stage: Stage) -> Stage:
    stage.write("weak.json", json.dumps(document(WEAK, OPEN_VENUE, **NOTHING_HELD)))
    return stage


def paths(stage: Stage, *args: str) -> dict[str, Any]:
    ran = stage.run("paths", "--evidence", "weak.json", "-f", "json", *args)
    assert ran.code == 0, ran.err
    [account] = json.loads(ran.out)["accounts"]
    return dict(account)


def test_the_text_leads_from_a_number_to_the_money_and_ends_with_what_stays_open(weak: Stage) -> None:
    ran = weak.run("paths", "--evidence", "weak.json")
    assert ran.code == 0
    for said in (
        "SIM swap", "1. Has the phone number moved", "Coins are withdrawn", "The smallest set of changes",
        "What each change does by itself", "What stays open however hardened", "No setting closes these",
    ):  # fmt: skip
        assert said in ran.out, said
    assert ran.out.index("The smallest set") < ran.out.index("by itself") < ran.out.index("stays open however")
    assert all(len(line) <= 80 for line in ran.out.splitlines())


def test_json_holds_whole_proofs_and_says_which_model(weak: Stage) -> None:
    account = paths(weak)
    assert {"goal", "status", "capability", "cost", "delay_hours", "steps", "closed_by"} <= set(account["paths"][0])
    assert account["what_if"] is None
    assert {way["capability"] for way in account["paths"]} > {"sim_swap", "phish_page"}
    assert account["hardening"]["smallest"]


def test_what_if_says_what_it_closes(weak: Stage) -> None:
    both = (
        "--what-if",
        "account.step_up_weakest_factor=phishing_resistant",
        "--what-if",
        "account.login_weakest_factor=phishing_resistant",
    )
    account = paths(weak, *both)
    assert "sim_swap:withdraw_funds" in account["what_if"]["closed"]
    assert account["what_if"]["opened"] == []
    assert not [way for way in account["paths"] if way["id"] == "sim_swap:withdraw_funds"]
    assert [way for way in account["what_if"]["before"]["paths"] if way["id"] == "sim_swap:withdraw_funds"]
    text = weak.run("paths", "--evidence", "weak.json", *both).out
    assert "What if account.step_up_weakest_factor = phishing_resistant" in text
    assert "SIM swap or a port -> Coins are withdrawn: closed" in text.replace("\n  ", " ")


def test_a_passkey_beside_sms_changes_nothing_and_the_output_says_why(weak: Stage) -> None:
    ran = weak.run("paths", "--evidence", "weak.json", "--what-if", "account.enrolled_factors=sms,passkey")
    assert ran.code == 0
    assert "Nothing changes" in ran.out
    assert "weakest method" in ran.out.split("Ways to lose funds:")[0]


def test_a_fact_that_decides_nothing_is_said_to(weak: Stage) -> None:
    ran = weak.run("paths", "--evidence", "weak.json", "--what-if", "account.anti_phishing_code_set=true")
    assert "No step of an attack depends on account.anti_phishing_code_set" in ran.out.replace("\n  ", " ")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("account.step_up_weakest_factr=totp", "did you mean account.step_up_weakest_factor"),
        ("account.step_up_weakest_factor=topt", "did you mean totp"),
        ("account.p2p_enabled=perhaps", "expected y or n"),
        ("account.p2p_enabled", "write FACT=VALUE"),
        ("event.ip=1.2.3.4", "cannot be supposed"),
        ("account.name=other", "cannot be supposed"),
        ("account.new_address_delay_hours=long", "expected a number"),
    ],
)
def test_a_supposition_that_cannot_be_is_refused(weak: Stage, said: str, expected: str) -> None:
    ran = weak.run("paths", "--evidence", "weak.json", "--what-if", said)
    assert (ran.code, ran.out) == (2, "")
    assert expected in ran.err


def test_the_same_fact_twice_is_refused(weak: Stage) -> None:
    ran = weak.run(
        "paths",
        "--evidence",
        "weak.json",
        "--what-if",
        "account.p2p_enabled=true",
        "--what-if",
        "account.p2p_enabled=false",
    )
    assert ran.code == 2
    assert "supposed twice" in ran.err


def test_an_account_that_is_not_there_is_guessed(weak: Stage) -> None:
    ran = weak.run("paths", "mian", "--evidence", "weak.json")
    assert ran.code == 2
    assert "did you mean main?" in ran.err


def test_a_hardened_account_is_told_so(stage: Stage) -> None:
    stage.write("hard.json", json.dumps(document(HARD, HARD_VENUE, **NOTHING_HELD)))
    ran = stage.run("paths", "--evidence", "hard.json")
    assert ran.code == 0
    assert "No confirmed way to losing funds is left that a setting could close." in ran.out
    assert "What stays open however hardened" in ran.out


def test_actions_of_ones_own(weak: Stage) -> None:
    weak.write(
        "own.yaml",
        "version: 1\ncapabilities:\n  burglar: {text: a burglar}\nactions:\n  - {id: break_in, text: takes the computer, have: [burglar], gives: [session], cost: 3}\n",
    )
    account = paths(weak, "--model", "own.yaml")
    assert "burglar:drain_by_trading" in {way["id"] for way in account["paths"]}
    weak.write(
        "bad.yaml", "version: 1\nactions:\n  - {id: break_in, text: x, have: [burglar], gives: [session], cost: 3}\n"
    )
    ran = weak.run("paths", "--evidence", "weak.json", "--model", "bad.yaml")
    assert ran.code == 2
    assert "bad.yaml:3" in ran.err


def test_a_label_cannot_write_on_the_terminal(stage: Stage) -> None:
    key = {"label": "\u001b[31mred\u202e", "can_trade": True, "ip_bound": False}
    stage.write("evil.json", json.dumps(document(WEAK, OPEN_VENUE, api_keys=[key])))
    for form in ("text", "json"):
        out = stage.run("paths", "--evidence", "evil.json", "-v", "-f", form).out
        assert "\u001b" not in out and "\u202e" not in out


def test_the_stored_run_is_looked_at_and_without_one_the_account_is_collected(stage: Stage) -> None:
    from auditor import demo
    from tests.stage import hurried, twins

    with hurried(), twins("okx") as served:
        stage.config(*served.values())
        name = demo.account(served["okx"]).name
        ran = stage.run("paths", name, "-f", "json")
        assert ran.code == 0, ran.err
        assert served["okx"].requests
        seen = len(served["okx"].requests)
        stage.run("audit", "--yes")
        asked = len(served["okx"].requests)
        assert asked > seen
        ran = stage.run("paths", name, "-f", "json")
        assert ran.code == 0, ran.err
        assert len(served["okx"].requests) == asked, "a stored run is enough"
        assert f"{name}: as of" in ran.err
        assert json.loads(ran.out)["accounts"][0]["name"] == name
