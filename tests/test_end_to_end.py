"""Whole runs against the twins, from a configuration file to an exit code, through every door a user has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from auditor import demo
from auditor.twin._base import Breakage, Refusal
from tests import stage

VENUES = [one.id for one in demo.venues()]
CODES = {"low": 10, "medium": 11, "high": 12, "critical": 13}


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    return stage.Stage(tmp_path)


@pytest.fixture(autouse=True)
def _hurried() -> Iterator[None]:
    with stage.hurried():
        yield


def outcomes(account: dict) -> dict[str, str]:
    return {finding["id"]: finding["outcome"] for finding in account["findings"]}


def problems(account: dict) -> set[str]:
    return {problem["reason"] for problem in account["problems"]}


def worst(report: dict) -> int:
    failing = [
        one["severity"] for account in report["accounts"] for one in account["findings"] if one["outcome"] == "fail"
    ]
    return max((CODES.get(severity, 0) for severity in failing), default=0)


def attested(mine: stage.Stage, twin, facts: dict) -> None:
    mine.write(f"attest/{twin.account_name}.yaml", stage.attestation(twin, facts))


def test_every_venue_from_file_to_exit_code(mine: stage.Stage) -> None:
    with stage.twins() as served:
        mine.config(*served.values())
        ran = mine.run("audit", "-f", "json")
        report = ran.report
        assert {account["exchange"] for account in report["accounts"]} == set(VENUES)
        assert ran.code == worst(report) == 13
        assert ran.err == ""
        for account in report["accounts"]:
            assert account["inventory"]["api_keys"], account["name"]
            assert all(len(key["masked_id"]) <= 5 for key in account["inventory"]["api_keys"] if "masked_id" in key)
        again = mine.run("audit", "-f", "json").report
    assert [outcomes(one) for one in again["accounts"]] == [outcomes(one) for one in report["accounts"]]


def test_the_same_as_a_process(mine: stage.Stage) -> None:
    with stage.twins("okx") as served:
        mine.config(served["okx"])
        ran = mine.process("audit", "-f", "json", "-o", "report.json")
    path = mine.work / "report.json"
    report = json.loads(path.read_text())
    assert (ran.code, ran.out, ran.err) == (worst(report), "", "") and ran.code >= 12
    assert path.stat().st_mode & 0o777 == 0o600 and report["schema"] == "auditor/report/1"


def test_credentials_from_files_commands_and_the_environment(mine: stage.Stage) -> None:
    with stage.twins("okx") as served:
        twin = served["okx"]
        held = twin.sample_credentials()
        mine.write("secret.txt", held["secret"] + "\n")
        mine.environ["KEY_OF_OKX"] = held["apiKey"]
        table = json.loads(mine.config(twin).read_text())
        table["accounts"][0]["credentials"] = {
            "apiKey": "env:KEY_OF_OKX",
            "secret": "file:secret.txt",
            "password": f"cmd:{sys.executable} -c \"print('{held['password']}')\"",
        }
        mine.write("auditor.yaml", json.dumps(table))
        report = mine.run("audit", "-f", "json").report
    assert problems(report["accounts"][0]) <= {"permission_denied", "not_exposed", "not_collected"}
    assert report["accounts"][0]["inventory"]["api_keys"]


@pytest.mark.parametrize("venue", VENUES)
def test_a_refused_key_is_incomplete_evidence_and_no_finding(mine: stage.Stage, venue: str) -> None:
    with stage.twins(venue) as served:
        mine.config(served[venue])
        for how in (Refusal.BAD_KEY, Refusal.MAINTENANCE, Breakage.HTML_ERROR, Breakage.EMPTY):
            served[venue].troubles.clear()
            served[venue].fail(how)
            ran = mine.run("audit", "-f", "json")
            failing = {one["rule"] for one in ran.report["accounts"][0]["findings"] if one["outcome"] == "fail"}
            assert ran.code == (worst(ran.report) or 4), how
            assert ran.report["summary"]["incomplete_accounts"] == [served[venue].account_name]
            assert not {rule for rule in failing if rule.startswith("key-")}, how


def test_the_code_is_4_where_nothing_fails_and_something_is_missing(mine: stage.Stage) -> None:
    with stage.twins("kraken") as served:
        twin = served["kraken"]
        attested(mine, twin, stage.ROSY)
        mine.config(twin)
        twin.fail(Breakage.HTML_ERROR)
        ran = mine.run("audit", "-f", "json", "--min-coverage", "0", "--fail-on", "critical")
    assert ran.code == 4 and not ran.err


def test_fail_on_and_min_coverage(mine: stage.Stage) -> None:
    with stage.twins("okx") as served:
        twin = served["okx"]
        attested(mine, twin, {**stage.ROSY, "withdrawal_allowlist_enabled": True})
        mine.config(twin)
        report = mine.run("audit", "-f", "json").report
        found = {one["severity"] for one in report["accounts"][0]["findings"] if one["outcome"] == "fail"}
        assert "high" in found and "critical" not in found
        assert mine.run("audit", "-q").code == 12
        assert mine.run("audit", "-q", "--fail-on", "high").code == 12
        assert mine.run("audit", "-q", "--fail-on", "critical", "--min-coverage", "0").code == 0
        assert mine.run("audit", "-q", "--fail-on", "critical", "--min-coverage", "1").code == 4


def test_one_failing_account_leaves_the_others_as_they_are(mine: stage.Stage) -> None:
    with stage.twins() as served:
        mine.config(*served.values())
        before = {one["name"]: one for one in mine.run("audit", "-f", "json", "--no-history").report["accounts"]}
        broken = served["okx"]
        broken.fail(Breakage.WRONG_SHAPE)
        after = {one["name"]: one for one in mine.run("audit", "-f", "json", "--no-history").report["accounts"]}
    assert problems(after[broken.account_name]) and problems(after[broken.account_name]) != problems(
        before[broken.account_name]
    )
    for name in before.keys() - {broken.account_name}:
        for one in (before[name], after[name]):
            one.pop("collected_at")
        assert after[name] == before[name], name


def test_several_keys_of_one_account_are_one_account(mine: stage.Stage) -> None:
    """Not at Kraken: a nonce belongs to its key, so one key cannot ask twice at the same time."""
    with stage.twins("okx", "bybit", "binance") as served:
        for venue, twin in served.items():
            path = mine.config(twin)
            alone = mine.run("audit", "-f", "json").report["accounts"][0]
            table = json.loads(path.read_text())
            row = table["accounts"][0]
            row["credentials"] = [row["credentials"], row["credentials"]]
            mine.write("auditor.yaml", json.dumps(table))
            twice = mine.run("audit", "-f", "json").report["accounts"][0]
            assert len(twice["inventory"]["api_keys"]) == len(alone["inventory"]["api_keys"]), venue
            assert outcomes(twice) == outcomes(alone), venue


def test_a_wrong_second_key_costs_nothing_of_the_first(mine: stage.Stage) -> None:
    with stage.twins("okx") as served:
        path = mine.config(served["okx"])
        alone = mine.run("audit", "-f", "json").report["accounts"][0]
        table = json.loads(path.read_text())
        row = table["accounts"][0]
        mine.environ["WRONG"] = "0" * 36
        row["credentials"] = [row["credentials"], {**row["credentials"], "apiKey": "env:WRONG"}]
        mine.write("auditor.yaml", json.dumps(table))
        ran = mine.run("audit", "-f", "json")
    both = ran.report["accounts"][0]
    assert len(both["inventory"]["api_keys"]) == len(alone["inventory"]["api_keys"])
    assert "invalid_key" in problems(both)
    assert {id_ for id_, outcome in outcomes(both).items() if outcome == "pass"} <= {
        id_ for id_, outcome in outcomes(alone).items() if outcome == "pass"
    }


def test_counting_the_keys_settles_the_list_and_only_while_fresh(mine: stage.Stage) -> None:
    today = stage.NOW.date()
    with stage.twins("okx") as served:
        said = {}
        for count, days in ((1, 1), (2, 1), (1, 45)):
            as_of = (today - timedelta(days=days)).isoformat()
            mine.config(served["okx"], more={"expected_keys": {"count": count, "as_of": as_of}})
            said[count, days] = mine.run("audit", "-f", "json").report["accounts"][0]["inventory"]["complete"]
    assert said[1, 1] is True and said[2, 1] is not True and said[1, 45] is not True


def test_an_account_without_a_key_is_audited_on_what_its_owner_says(mine: stage.Stage) -> None:
    mine.write("auditor.yaml", json.dumps({"version": 1, "accounts": [{"name": "hand", "exchange": "okx"}]}))
    mine.write(
        "attest/hand.yaml",
        json.dumps(
            {
                "schema": "auditor/evidence/1",
                "attested_at": "2026-11-01",
                "account": {"login_weakest_factor": "sms", "step_up_weakest_factor": "sms"},
            }
        ),
    )
    ran = mine.run("audit", "-f", "json")
    assert ran.code == 13
    failing = {one["rule"] for one in ran.report["accounts"][0]["findings"] if one["outcome"] == "fail"}
    assert "auth-sms-weakest" in failing


def test_collect_then_evaluate_is_the_same_as_audit(mine: stage.Stage) -> None:
    with stage.twins() as served:
        mine.config(*served.values())
        whole = mine.run("audit", "-f", "json")
        for suffix in ("json", "jsonl", "yaml"):
            assert mine.run("collect", "-q", "-o", f"evidence.{suffix}").code in {0, 4}
            ran = mine.run("evaluate", f"evidence.{suffix}", "-f", "json")
            assert ran.code == whole.code and ran.err == "", suffix
            assert [outcomes(one) for one in ran.report["accounts"]] == [
                outcomes(one) for one in whole.report["accounts"]
            ], suffix
            text = (mine.work / f"evidence.{suffix}").read_text()
            for one in served.values():
                assert not [value for value in one.sample_credentials().values() if value in text]


def test_shards_are_a_partition(mine: stage.Stage) -> None:
    with stage.twins() as served:
        mine.config(*served.values())
        names = []
        for number in (1, 2, 3):
            mine.run("collect", "-q", "--shard", f"{number}/3", "-o", f"{number}.jsonl")
            names += [
                json.loads(line)["account"]["name"] for line in (mine.work / f"{number}.jsonl").read_text().splitlines()
            ]
    assert sorted(names) == sorted(one.account_name for one in served.values())


def test_several_formats_into_a_folder(mine: stage.Stage) -> None:
    with stage.twins("kraken") as served:
        mine.config(served["kraken"])
        ran = mine.run("audit", "-f", "json", "-f", "html", "-f", "text", "-o", "out")
    assert ran.out == ""
    assert sorted(path.name for path in (mine.work / "out").iterdir()) == ["report.html", "report.json", "report.txt"]


def test_ctrl_c_leaves_nothing_half_written(mine: stage.Stage) -> None:
    before = {}
    with stage.twins("okx") as served:
        served["okx"].fail(Breakage.SILENCE)
        mine.config(served["okx"])
        mine.write("report.json", "old")
        before = mine.files()
        for how in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen(
                [sys.executable, "-m", "auditor", "audit", "-f", "json", "-o", "report.json"],
                cwd=mine.work,
                env=mine.environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            deadline = time.monotonic() + 20
            asked = len(served["okx"].requests)
            while len(served["okx"].requests) == asked and time.monotonic() < deadline:
                time.sleep(0.02)
            process.send_signal(how)
            out, err = process.communicate(timeout=20)
            assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[how]
            assert out == b"" and err.decode() in {"stopped\n", "\nstopped\n", ""}
    identity = str(Path(".config/auditor/identity.key"))
    assert {name: raw for name, raw in mine.files().items() if name != identity} == before


def test_nothing_reaches_beyond_this_machine(mine: stage.Stage) -> None:
    """Proxies of the environment are ignored: they would see every signed request."""
    with stage.twins("okx") as served:
        mine.config(served["okx"])
        mine.environ |= {
            "HTTP_PROXY": "http://127.0.0.1:9",
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "ALL_PROXY": "http://127.0.0.1:9",
        }
        report = mine.run("audit", "-f", "json").report
    assert report["accounts"][0]["inventory"]["api_keys"]


def test_demo_needs_nothing_and_says_that_it_is_one(mine: stage.Stage) -> None:
    mine.environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(stage.ROOT),
        "HOME": "/dev/null",
        "TMPDIR": mine.environ["TMPDIR"],
    }
    ran = mine.process("demo", "-o", "out")
    assert ran.code == 0 and "samples" in ran.out and "samples" in ran.err
    report = json.loads((mine.work / "out/report.json").read_text())
    assert report["run"]["sample"] is True and "sample" in (mine.work / "out/report.html").read_text().lower()
    assert {one["exchange"] for one in report["accounts"]} == set(VENUES)


@pytest.mark.parametrize("home", ["/dev/null", "/proc/nowhere"])
def test_evaluate_works_where_nothing_can_be_kept(mine: stage.Stage, home: str) -> None:
    mine.write(
        "evidence.yaml", "schema: auditor/evidence/1\naccount: {name: a, exchange: okx, login_weakest_factor: sms}\n"
    )
    mine.environ |= {"HOME": home, "XDG_CONFIG_HOME": f"{home}/.config"}
    ran = mine.run("evaluate", "evidence.yaml", "-f", "json")
    assert ran.code == 13 and ran.report["accounts"]
    assert ran.err.startswith("remark: identity_key") and ran.err.count("\n") == 1
    assert mine.run("evaluate", "evidence.yaml", "-q").err == ""


def test_evaluate_keeps_no_key_for_input_that_is_wrong(mine: stage.Stage) -> None:
    mine.write("evidence.yaml", "schema: auditor/evidence/1\naccount: {name: a}\n")
    before = mine.files()
    assert mine.run("evaluate", "evidence.yaml").code == 2
    assert mine.files() == before
