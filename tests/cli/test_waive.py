"""`auditor waive`, `auditor waivers`, and what an accepted risk does to a run; as a user would go about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import stage

CONFIG = "version: 1\naccounts: [{name: main-okx, exchange: okx}]\nshipped_rules: false\nrules: [rules]\n"
EVIDENCE = """schema: auditor/evidence/1
collected_at: 2026-11-20T09:00:00Z
account: {name: main-okx, exchange: okx, key_inventory_complete: true}
api_keys:
  - {label: "bot\\u202e\\n# x", can_trade: true, can_withdraw: false, ip_bound: false, enabled: true}
  - {label: other, can_trade: true, can_withdraw: null, ip_bound: null, enabled: true}
"""
RULE = """id: key-unbound
title: API key is not bound to an address
severity: high
lifecycle: stable
since: "0.1"
applies_to: api_key
when: api_key.can_trade
require: api_key.ip_bound
message: "Key {api_key.label} is not bound"
why: x
how_we_know: x
fix: {effort: low, text: bind it, steps: {default: [bind it]}}
controls: []
incidents: []
references: []
cases:
  - {name: a, api_keys: [{can_trade: true, ip_bound: true}], expect: pass}
  - {name: b, api_keys: [{can_trade: true, ip_bound: false}], expect: fail}
  - {name: c, api_keys: [{can_trade: true}], expect: unknown}
"""
EVALUATE = ("evaluate", "evidence.yaml", "-c", "auditor.yaml", "-f", "json", "--min-coverage", "0")
WORDS = ("--reason", "it ends soon", "--owner", "desk", "--until", "2027-01-31")


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    made = stage.Stage(tmp_path)
    made.write("auditor.yaml", CONFIG)
    made.write("evidence.yaml", EVIDENCE)
    made.write("rules/key-unbound.yaml", RULE)
    ran = made.run(*EVALUATE, "-o", "report.json")
    assert ran.code == 12, ran.err
    return made


def findings(mine: stage.Stage, outcome: str = "fail") -> list[dict]:
    report = json.loads((mine.work / "report.json").read_text())
    return [one for one in report["accounts"][0]["findings"] if one["outcome"] == outcome]


def waived(mine: stage.Stage, *more: str) -> stage.Ran:
    [one] = findings(mine)
    return mine.run("waive", one["id"][:8], *WORDS, "--report", "report.json", *more)


def test_an_accepted_risk_counts_no_longer_and_can_be_counted(mine: stage.Stage) -> None:
    ran = waived(mine)
    assert (ran.code, ran.err) == (0, "") and "accepted until 2027-01-31" in ran.out
    assert "\u202e" not in ran.out and ran.out.count("\n") == 1
    ran = mine.run(*EVALUATE)
    assert ran.code == 0 and ran.report["problems"] == []
    [finding] = [one for one in ran.report["accounts"][0]["findings"] if one["outcome"] == "fail"]
    assert finding["waiver"] == {"reason": "it ends soon", "owner": "desk", "until": "2027-01-31"}
    assert ran.report["summary"]["findings"]["high"] == 1
    score, second = ran.report["accounts"][0]["score"], ran.report["accounts"][0]["with_waivers"]
    assert (score["low"], score["high"], second["low"], second["high"]) == (80, 80, 80, 100)
    strict = mine.run(*EVALUATE, "--no-waivers")
    assert strict.code == 12 and strict.report["accounts"][0]["with_waivers"] is None
    assert not any(one["waiver"] for one in strict.report["accounts"][0]["findings"])


def test_a_kept_report_says_so_too(mine: stage.Stage) -> None:
    waived(mine)
    mine.run(*EVALUATE, "-o", "waived.json")
    assert mine.run("report", "waived.json", "--min-coverage", "0").code == 0
    assert mine.run("report", "report.json").code == 12


def test_a_key_widened_later_fails_again(mine: stage.Stage) -> None:
    waived(mine)
    mine.write("evidence.yaml", EVIDENCE.replace("can_withdraw: false", "can_withdraw: true"))
    ran = mine.run(*EVALUATE)
    assert ran.code == 12
    [problem] = ran.report["problems"]
    assert problem["message"].startswith("stale:") and problem["where"].startswith("waivers.yaml:")
    mine.run(*EVALUATE, "-o", "report.json")
    assert mine.run("waivers", "check", "--report", "report.json").code == 2
    assert "accepted anew" in waived(mine).out
    assert mine.run(*EVALUATE).code == 0
    assert mine.run("waivers", "check", "--report", "report.json").code == 0


def test_a_malformed_file_is_an_error_and_waives_nothing(mine: stage.Stage) -> None:
    waived(mine)
    text = (mine.work / "waivers.yaml").read_text()
    mine.write("waivers.yaml", text + text.partition("waivers:\n")[2].replace('"desk"', "").replace("2027-01-31", "x"))
    ran = mine.run(*EVALUATE)
    assert (ran.code, ran.out) == (2, "")
    assert "waivers.yaml:14" in ran.err and "waivers.yaml:15" in ran.err and "hint:" in ran.err
    for args in (("audit", "--yes"), ("waivers", "list"), ("waivers", "check")):
        assert mine.run(*args).code == 2
    assert waived(mine).code == 2
    assert mine.run(*EVALUATE, "--no-waivers").code == 12


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("0000000", *WORDS), "has no finding"),
        (("ab", *WORDS), "at least 4"),
        (("", *WORDS), "at least 4"),
        (("{fail}", "--reason", " ", "--owner", "x", "--until", "2027-01-31"), "--reason"),
        (("{fail}", "--reason", "x", "--owner", "a\nb", "--until", "2027-01-31"), "--owner"),
        (("{fail}", "--reason", "x", "--owner", "x", "--until", "2026-11-19"), "--until"),
        (("{fail}", "--reason", "x", "--owner", "x", "--until", "2030-01-01"), "366"),
        (("{fail}", "--reason", "x", "--owner", "x", "--until", "tomorrow"), "--until"),
        (("{fail}", "--reason", "x", "--owner", "x"), "--until"),
        (("{unknown}", *WORDS), "only a failure can be accepted"),
    ],
)
def test_what_cannot_be_accepted_writes_nothing(mine: stage.Stage, args: tuple[str, ...], says: str) -> None:
    ids = {outcome: findings(mine, outcome)[0]["id"] for outcome in ("fail", "unknown")}
    ran = mine.run("waive", *[one.format(**ids) for one in args], "--report", "report.json")
    assert (ran.code, ran.out) == (2, "") and says in ran.err
    assert not (mine.work / "waivers.yaml").exists()


def test_the_last_day_may_be_today(mine: stage.Stage) -> None:
    [one] = findings(mine)
    ran = mine.run(
        "waive", one["id"], "--reason", "x", "--owner", "x", "--until", "2026-11-20", "--report", "report.json"
    )
    assert ran.code == 0 and mine.run(*EVALUATE).code == 0


def test_the_list_tells_when_each_ends(mine: stage.Stage) -> None:
    assert (mine.run("waivers", "list").out, mine.run("waivers", "list", "-f", "json").out) == ("", "[]\n")
    waived(mine)
    path = mine.work / "waivers.yaml"
    path.write_text(path.read_text().replace("2027-01-31", "2026-11-19").replace("desk", "ann@example.org"))
    assert "expired 2026-11-19" in mine.run("waivers", "list").out
    assert "ann@" not in mine.run("waivers", "list").out + mine.run("waivers", "list", "-f", "json").out
    [row] = json.loads(mine.run("waivers", "list", "-f", "json").out)
    assert row["expired"] is True and row["place"] == "waivers.yaml:6"
    assert mine.run("waivers", "check").code == 2


def test_the_file_that_is_named_is_the_one(mine: stage.Stage) -> None:
    mine.write("auditor.yaml", CONFIG + "waivers: kept/accepted.yaml\n")
    assert mine.run(*EVALUATE).code == 12  # a file that is not there waives nothing
    waived(mine)
    assert (mine.work / "kept/accepted.yaml").stat().st_mode & 0o777 == 0o600
    assert mine.run(*EVALUATE).code == 0


def test_a_folder_that_cannot_be_written_is_told(mine: stage.Stage) -> None:
    mine.write("auditor.yaml", CONFIG + "waivers: auditor.yaml/x\n")
    ran = waived(mine)
    assert ran.code == 2 and "error:" in ran.err and "bug" not in ran.err


def test_without_a_report_the_last_stored_run_is_meant(mine: stage.Stage) -> None:
    ran = mine.run("waive", "0123456789abcdef", *WORDS)
    assert ran.code == 2 and ran.err.startswith("error:") and not (mine.work / "waivers.yaml").exists()
    mine.write("auditor.yaml", CONFIG.replace("shipped_rules: false\n", ""))
    stated = {"schema": "auditor/evidence/1", "attested_at": "2026-11-19"}
    mine.write("attest/main-okx.yaml", json.dumps({**stated, "account": {"login_weakest_factor": "sms"}}))
    audit = ("audit", "--yes", "-q", "-f", "json", "--min-coverage", "0")
    ran = mine.run(*audit)
    assert ran.code == 13, ran.err
    for one in ran.report["accounts"][0]["findings"]:
        if one["outcome"] == "fail" and one["severity"] != "info":
            accepted = mine.run("waive", one["id"], *WORDS)
            assert accepted.code == 0, accepted.err
    assert mine.run("waivers", "check").code == 0
    assert mine.run(*audit).code == 0
    assert mine.run(*audit, "--no-waivers").code == 13
    mine.write("attest/main-okx.yaml", json.dumps({**stated, "account": {"login_weakest_factor": "none"}}))
    ran = mine.run(*audit)
    assert ran.code == 13 and any(one["message"].startswith("stale:") for one in ran.report["problems"])
    ran = mine.run("waivers", "check")
    assert ran.code == 2 and "stale:" in ran.err
