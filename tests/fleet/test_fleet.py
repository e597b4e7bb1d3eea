"""Whole runs over a real scheduler and worker processes, held against the same run in one process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pytest
from pyarrow import parquet

from auditor.config import AccountConfig
from tests import stage
from tests.fleet import machines
from tests.fleet.conftest import COUNT, World
from tests.test_canary import spellings


def configured(mine: stage.Stage, accounts: Sequence[AccountConfig], **more: Any) -> stage.Stage:
    """A configuration of these accounts whose identity key is where the workers have it too."""
    rows = [
        {
            "name": one.name,
            "exchange": one.exchange,
            "endpoint": one.endpoint,
            "address_confirmed": True,
            "credentials": [dict(block) for block in one.credentials],
        }
        for one in accounts
    ]
    rows[0] |= {"expected_keys": {"count": 1, "as_of": "2026-11-19"}, "include": ["balances"]}
    stated = {"name": accounts[0].name, "exchange": accounts[0].exchange, **stage.ROSY}
    answers = {"schema": "auditor/evidence/1", "attested_at": "2026-11-01", "account": stated}
    mine.write(f"attest/{accounts[0].name}.yaml", json.dumps(answers))
    mine.environ["FLEET_KEY"] = machines.KEY
    table = {"version": 1, "identity_key": "env:FLEET_KEY", "accounts": rows, **more}
    mine.write("auditor.yaml", json.dumps(table))
    return mine


@contextmanager
def overheard() -> Iterator[list[bytes]]:
    """All that the scheduler and whoever started the run send and are sent, before it is encrypted."""
    from distributed.comm import tcp

    frames: list[bytes] = []
    send, receive = tcp.to_frames, tcp.from_frames

    async def to_frames(*args: Any, **options: Any) -> Any:
        made = await send(*args, **options)
        frames.extend(bytes(one) for one in made)
        return made

    async def from_frames(got: Any, *args: Any, **options: Any) -> Any:
        frames.extend(bytes(one) for one in (got if isinstance(got, list) else [got]))
        return await receive(got, *args, **options)

    with mock.patch.object(tcp, "to_frames", to_frames), mock.patch.object(tcp, "from_frames", from_frames):
        yield frames


@pytest.fixture(scope="package")
def alone(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[stage.Stage, stage.Ran]:
    """The audit in one process, which has all keys itself."""
    mine = configured(stage.Stage(tmp_path_factory.mktemp("alone"), dict(world.environ)), world.accounts)
    return mine, mine.run("audit", "-f", "json", "--no-history")


@pytest.fixture(scope="package")
def together(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[stage.Stage, stage.Ran, bytes]:
    """The same audit by the fleet, started where there is no key at all; and what was overheard."""
    mine = configured(stage.Stage(tmp_path_factory.mktemp("together")), world.accounts)
    with overheard() as frames:
        ran = mine.run("audit", "-f", "json", "--no-history", "--results", "tables", *world.fleet.options())
    return mine, ran, b"\0".join(frames)


def test_an_audit_by_a_fleet_is_the_same_byte_for_byte(
    alone: tuple[stage.Stage, stage.Ran], together: tuple[stage.Stage, stage.Ran, bytes]
) -> None:
    one, many = alone[1], together[1]
    assert (many.code, many.err) == (one.code, one.err) == (13, "")
    assert many.out == one.out
    reasons = {row["name"]: {problem["reason"] for problem in row["problems"]} for row in many.report["accounts"]}
    for name in ("okx-000007", "okx-000090"):  # alike, though read apart
        assert "venue_incident" in reasons[name] and "invalid_key" not in reasons[name]
    assert "invalid_key" in reasons["bybit-000003"]


def test_no_secret_is_in_anything_that_was_sent_or_printed(
    world: World, together: tuple[stage.Stage, stage.Ran, bytes]
) -> None:
    _, ran, heard = together
    assert b"okx-000042" in heard and b"env:OKX_APIKEY_42" in heard  # it was listened to, and references do travel
    secrets = [value for name, value in world.environ.items() if "APIKEY" not in name]
    secrets += [world.environ[f"{venue}_APIKEY_42"] for venue in ("OKX", "BYBIT")]
    secrets.append(machines.KEY)
    spelled = [spelling for secret in secrets for spelling in spellings(secret)]
    assert not [one[:8] for one in spelled if one.encode() in heard]
    printed = ran.out + ran.err + world.fleet.logs()
    assert not [one[:8] for one in spelled if one in printed]


def test_a_run_by_a_fleet_is_remembered_as_any_other(
    world: World, together: tuple[stage.Stage, stage.Ran, bytes]
) -> None:
    mine, audit = together[0], ("audit", "-f", "json", "-a", "okx-000001", *world.fleet.options())
    for marks in ({None}, {"unchanged"}):
        (account,) = mine.run(*audit).report["accounts"]
        assert {one["baseline"] for one in account["findings"] if one["outcome"] == "fail"} == marks
    assert len(json.loads(mine.run("history", "list", "--format", "json").out)) == 2


def rows(folder: Path) -> list[dict[str, Any]]:
    return sorted(
        (row for part in folder.glob("part-*.parquet") for row in parquet.read_table(part).to_pylist()),
        key=lambda row: row["name"],
    )


def test_results_are_a_row_an_account_and_a_manifest(together: tuple[stage.Stage, stage.Ran, bytes]) -> None:
    mine, ran, _ = together
    report = ran.report
    (folder,) = (mine.work / "tables").iterdir()
    assert folder.name == "run=20261120T100000Z"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["schema"] == "auditor/results/1" and manifest["run"]["id"] == report["run"]["id"]
    assert sorted(part["file"] for part in manifest["parts"]) == sorted(path.name for path in folder.glob("*.parquet"))
    assert len(manifest["parts"]) >= 2
    found = rows(folder)
    reported = {account["name"]: account for account in report["accounts"]}
    assert [row["name"] for row in found] == sorted(reported) and manifest["accounts"] == len(reported)
    for row in found:
        account = reported[row["name"]]
        told = [one for one in account["findings"] if one["outcome"] in {"fail", "unknown", "error"}]
        assert [one["id"] for one in row["findings"]] == [one["id"] for one in told]
        assert (row["score_low"], row["score_high"]) == (account["score"]["low"], account["score"]["high"])
        assert row["critical"] == sum(one["outcome"] == "fail" and one["severity"] == "critical" for one in told)
        assert row["incomplete"] == (row["name"] in report["summary"]["incomplete_accounts"])
    query = f"SELECT count(*), sum(critical), min(score_high) FROM '{folder}/part-*.parquet' WHERE exchange = 'okx'"
    ((count, critical, _),) = duckdb.connect().execute(query).fetchall()
    assert (count, critical) == (COUNT, sum(row["critical"] for row in found if row["exchange"] == "okx"))
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_results_of_a_finished_run_are_never_written_over(
    world: World, together: tuple[stage.Stage, stage.Ran, bytes]
) -> None:
    ran = together[0].run("audit", "-a", "okx-000001", "--results", "tables", *world.fleet.options())
    assert ran.code == 2 and "holds the results of a run already" in ran.err


@pytest.fixture(scope="package")
def evidence(together: tuple[stage.Stage, stage.Ran, bytes], world: World) -> stage.Stage:
    """Evidence documents of twelve accounts, in files of every kind."""
    mine = together[0]
    mine.environ |= world.environ
    names = [part for one in world.accounts[:12] for part in ("-a", one.name)]
    assert mine.run("collect", "-q", *names, "-o", "all.jsonl").code == 4  # one of them is refused
    for name in world.environ:
        del mine.environ[name]
    lines = (mine.work / "all.jsonl").read_text().splitlines()
    mine.write("first.jsonl", "\n".join(lines[:5]))
    mine.write("second.json", json.dumps([json.loads(line) for line in lines[5:8]]))
    mine.write("rows.jsonl", "\n".join(lines[8:]))
    duckdb.connect().execute(f"COPY (SELECT * FROM '{mine.work}/rows.jsonl') TO '{mine.work}/third.parquet'")
    return mine


def test_files_here_and_files_behind_an_address_are_judged_alike(world: World, evidence: stage.Stage) -> None:
    files = ("first.jsonl", "second.json", "third.parquet")
    one = evidence.run("evaluate", "-c", "auditor.yaml", *files, "-f", "json")
    assert len(one.report["accounts"]) == 12
    here = evidence.run("evaluate", "-c", "auditor.yaml", *files, "-f", "json", *world.fleet.options())
    there = [f"file://{evidence.work}/{name}" for name in ("first.js*", "second.json", "third.*")]
    far = evidence.run("evaluate", "-c", "auditor.yaml", *there, "-f", "json", *world.fleet.options())
    mixed = evidence.run(
        "evaluate", "-c", "auditor.yaml", files[0], there[1], "third.*", "-f", "json", *world.fleet.options()
    )
    assert here.out == far.out == mixed.out == one.out
    assert {here.code, far.code, mixed.code} == {one.code} and not (here.err or far.err or mixed.err)


def test_workers_write_their_parts_where_everybody_can(world: World, evidence: stage.Stage) -> None:
    there = [f"file://{evidence.work}/{name}" for name in ("first.jsonl", "third.parquet")]
    place = f"file://{evidence.work}/shared"
    ran = evidence.run(
        "evaluate", "-c", "auditor.yaml", *there, "-f", "json", "--results", place, *world.fleet.options()
    )
    (folder,) = (evidence.work / "shared").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [part["source"] for part in manifest["parts"]] == there
    assert [row["name"] for row in rows(folder)] == sorted(account["name"] for account in ran.report["accounts"])


def test_a_fault_behind_an_address_is_told_with_its_address_and_line(world: World, evidence: stage.Stage) -> None:
    lines = (evidence.work / "first.jsonl").read_text().splitlines()
    evidence.write("bad.jsonl", "\n".join([lines[0], '{"schema": "auditor/evidence/1", "account": 7}', lines[1]]))
    ran = evidence.run("evaluate", "-c", "auditor.yaml", f"file://{evidence.work}/bad.jsonl", *world.fleet.options())
    assert ran.code == 2 and f"file://{evidence.work}/bad.jsonl:2: account: expected a table" in ran.err
    ran = evidence.run("evaluate", "-c", "auditor.yaml", f"file://{evidence.work}/none-*.jsonl", *world.fleet.options())
    assert ran.code == 2 and "no file matches" in ran.err
    ran = evidence.run("evaluate", "-c", "auditor.yaml", f"file://{evidence.work}/none.jsonl", *world.fleet.options())
    assert ran.code == 2 and "none.jsonl: FileNotFoundError" in ran.err


def test_the_worst_are_shown_and_all_are_counted(world: World, evidence: stage.Stage) -> None:
    files = ("-c", "auditor.yaml", "first.jsonl", "third.parquet", "-f", "json")
    whole = evidence.run("evaluate", *files)
    every = whole.report
    far = [f"file://{evidence.work}/first.jsonl", f"file://{evidence.work}/third.parquet"]
    for named in (files[2:4], far):
        ran = evidence.run("evaluate", *files[:2], *named, *files[4:], "--worst", "3", *world.fleet.options())
        assert ran.code == whole.code
        cut = ran.report
        assert cut["accounts"] == every["accounts"][:3]
        assert (cut["summary"], cut["run"]) == (every["summary"], every["run"])
        assert [one["message"] for one in cut["problems"]] == ["shows the 3 worst of 9 accounts"]
    audit = evidence.run(
        "audit",
        "-q",
        "-a",
        "okx-000001",
        "-a",
        "bybit-000001",
        "-a",
        "okx-000002",
        "-f",
        "json",
        "--no-history",
        "--worst",
        "1",
        *world.fleet.options(),
    )
    assert len(audit.report["accounts"]) == 1 and audit.report["summary"]["accounts"] == 3


def test_rules_and_waivers_of_the_owner_count_as_anywhere(world: World, evidence: stage.Stage) -> None:
    shipped = (stage.ROOT / "rules" / "key-withdraw-permission.yaml").read_text()
    evidence.write(
        "own/own-withdraw-permission.yaml", shipped.replace("key-withdraw-permission", "own-withdraw-permission")
    )
    command = ("evaluate", "-c", "auditor.yaml", "--rules", "own", "first.jsonl", "third.parquet", "-f", "json")
    report = evidence.run(*command).report
    failing = next(one for one in report["accounts"][3]["findings"] if one["outcome"] == "fail")
    held = {"reason": "known", "owner": "desk", "until": "2026-12-31"}
    accepted = [{"finding": failing["id"], "state": failing["state"], **held}]
    accepted.append({"finding": "0" * 16, "state": "1" * 16, **held})
    evidence.write("waivers.yaml", json.dumps({"version": 1, "waivers": accepted}))
    one = evidence.run(*command)
    many = evidence.run(*command, *world.fleet.options())
    few = evidence.run(*command, "--worst", "1", *world.fleet.options())
    (evidence.work / "waivers.yaml").unlink()
    assert many.out == one.out and many.code == one.code
    assert any(finding["waiver"] for account in one.report["accounts"] for finding in account["findings"])
    assert any(finding["rule"].startswith("own-") for finding in one.report["accounts"][0]["findings"])
    assert [problem["message"] for problem in few.report["problems"][:-1]] == [
        problem["message"] for problem in one.report["problems"]
    ]
    assert "unused" in one.report["problems"][0]["message"] and len(one.report["problems"]) == 1


def test_options_of_a_fleet_need_one(evidence: stage.Stage) -> None:
    ran = evidence.run("evaluate", "first.jsonl", "--worst", "3")
    assert ran.code == 2 and "--worst belongs to --scheduler" in ran.err
    ran = evidence.run("evaluate", "first.jsonl", "--outcomes", "x", "--scheduler", "tls://a:1")
    assert ran.code == 2 and "--outcomes is for one machine" in ran.err
    ran = evidence.run("evaluate", "s3://bucket/evidence.parquet")
    assert ran.code == 2 and re.search("read by the workers of a fleet.*add --scheduler", ran.err, re.DOTALL)


def test_the_real_commands(tmp_path: Path) -> None:
    """`dask scheduler`, `dask worker` and `auditor audit`, each a process, over TLS."""
    folder = tmp_path / "fleet"
    papers = machines.papers(folder)
    log, place = folder / "scheduler.log", folder / "scheduler.json"
    with log.open("wb") as stream:
        scheduler = subprocess.Popen(
            [
                *(sys.executable, "-m", "dask", "scheduler", "--protocol", "tls", "--host", "127.0.0.1", "--port", "0"),
                *("--no-dashboard", "--scheduler-file", str(place), *papers.options(ca="--tls-ca-file")),
            ],
            stdout=stream,
            stderr=stream,
            cwd=folder,
        )
    worker = None
    try:
        until = time.monotonic() + machines.PATIENCE
        while not place.exists() and time.monotonic() < until:
            time.sleep(0.05)
        fleet = machines.Fleet(json.loads(place.read_text())["address"], papers, folder)
        with stage.twins("okx") as served:
            accounts, environ = machines.customers(served["okx"], 3)
            worker = fleet.worker(environ)
            mine = configured(stage.Stage(tmp_path / "user"), accounts)
            ran = mine.process("audit", "-q", "-f", "json", *fleet.options())
    finally:
        for process in filter(None, (worker, scheduler)):
            process.terminate()
            process.wait(20)
    assert (ran.code, ran.err) == (12, "") and len(ran.report["accounts"]) == 3
    assert all(account["inventory"]["api_keys"] for account in ran.report["accounts"])
    secret = served["okx"].sample_credentials()["secret"]
    said = ran.out + fleet.logs() + log.read_text()
    assert "Receive client connection" in said and not [one for one in spellings(secret) if one in said]
