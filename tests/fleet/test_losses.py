"""Workers that are killed, frozen accounts that kill them, exchanges that count by address, and whoever presses Ctrl-C."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from auditor import collect, pipeline
from auditor.config import AccountConfig
from auditor.credentials import Sources
from auditor.engine.intake import Evidence
from auditor.exchanges import _load
from auditor.exchanges._budget import SHARE
from auditor.fleet import collecting, door, errand
from auditor.fleet.run import Fleet, Way, opened
from auditor.identity import Identity
from auditor.model.evidence import Snapshot
from auditor.pipeline import Run
from auditor.redaction import Secret
from auditor.twin._base import TwinVenue
from tests import stage
from tests.fleet import machines
from tests.fleet.test_fleet import configured, rows

WHOSE = Identity(Secret(machines.KEY))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[machines.Fleet]:
    with machines.fleet(tmp_path / "fleet", scheme="tcp") as found:
        yield found


def run_of() -> Run:
    return Run(rules=pipeline.rule_files(None), identity=WHOSE, now=stage.NOW)


@contextmanager
def working(fleet: machines.Fleet, results: str | None = None, say: Callable[[str], None] = print) -> Iterator[Fleet]:
    way = Way(scheduler=fleet.address, tls=door.Tls(), identity="env:FLEET_KEY", results=results)
    with opened(way, run_of(), say, whole=True) as found:
        yield found


def when(condition: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """Does something as soon as something is so."""

    def watch() -> None:
        until = time.monotonic() + machines.PATIENCE
        while not condition() and time.monotonic() < until:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def collected_alone(accounts: list[AccountConfig], environ: dict[str, str]) -> list[Snapshot]:
    return collect.collect(accounts, stated={}, identity=WHOSE, sources=Sources(environ=environ), now=stage.NOW)


def crowd(moments: list[float], window: float) -> int:
    """The most that arrived within any window."""
    return max(sum(begin <= at < begin + window for at in moments) for begin in moments)


def signed(twin: TwinVenue) -> list[float]:
    """When each request of a key was signed, in seconds: what lies between that and its arrival is not our doing."""
    tokens = [one.headers["Authorization"].removeprefix("Bearer ").split(".")[1] for one in twin.requests]
    return [json.loads(base64.urlsafe_b64decode(f"{one}==="))["timestamp"] / 1000 for one in tokens]


def test_a_limit_by_address_is_kept_whoever_reads_and_dies(
    fleet: machines.Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three workers behind one address, in many trips, one of them killed half-way: together no more than one may."""
    monkeypatch.setattr(collecting, "AT_MOST", 12)
    connector = _load.connector("bithumb")
    assert connector is not None
    (limit,) = {one.limit for one in connector.endpoints}
    assert limit.per == "address"
    with stage.twins("bithumb") as served:
        twin = served["bithumb"]
        accounts, environ = machines.customers(twin, 48)
        for _ in range(3):
            fleet.worker(environ)
        fleet.await_workers(3)
        with working(fleet) as crew:
            killer = when(
                lambda: len(twin.requests) > 30 and bool(fleet.busy()), lambda: fleet.dismiss(fleet.busy()[0])
            )
            snapshots = crew.collect(accounts, stated={})
            killer.join()
        allowed = SHARE * limit.calls
        moments = signed(twin)
        assert crowd(moments, 0.9 * limit.seconds) <= allowed < len(moments)
        assert [one.name for one in snapshots] == [one.name for one in accounts]
        assert snapshots == collected_alone(accounts, environ)


def test_workers_that_are_killed_lose_and_double_nothing(
    fleet: machines.Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three one dies while it reads, and one while it judges."""
    monkeypatch.setattr(collecting, "pause", lambda _exchange: 0.0)
    monkeypatch.setattr(errand, "AT_ONCE", 3)
    with stage.twins("okx", "bybit") as served:
        accounts, environ = [], {}
        for twin in served.values():
            some, held = machines.customers(twin, 12)
            accounts += some
            environ |= held
            twin.latency = 0.3
        for _ in range(3):
            fleet.worker(environ)
        fleet.await_workers(3)
        with working(fleet, results=str(tmp_path / "tables")) as crew:
            killer = when(lambda: all(len(twin.requests) > 5 for twin in served.values()), lambda: kill_one(fleet))
            snapshots = crew.collect(accounts, stated={})
            killer.join()
            killer = when(lambda: bool(fleet.busy()), lambda: kill_one(fleet))
            report = crew.judge(snapshots)
            killer.join()
        for twin in served.values():
            twin.latency = 0.0
        one = collected_alone(accounts, environ)
    assert len(fleet.workers) == 1
    assert snapshots == one
    with Evidence(stage.NOW).add(each.to_document() for each in one) as evidence:
        assert list(report.accounts) == list(pipeline.judge(evidence, run_of()).accounts)
    (folder,) = (tmp_path / "tables").iterdir()
    assert [row["name"] for row in rows(folder)] == sorted(account.name for account in accounts)


def kill_one(fleet: machines.Fleet) -> None:
    """Kills a worker that has something in hand."""
    fleet.dismiss(fleet.busy()[0])


def test_accounts_that_kill_every_worker_are_told_and_the_others_read(
    fleet: machines.Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "pause", lambda _exchange: 0.0)
    poison = fleet.folder / "poison.py"
    poison.write_text(
        "import os\n"
        "from auditor import snapshots\n"
        "usual = getattr(snapshots, 'usual', snapshots.build)\n"  # it is loaded twice
        "def build(name, *rest):\n"
        "    if name == 'okx-000002': os._exit(9)\n"
        "    return usual(name, *rest)\n"
        "snapshots.build, snapshots.usual = build, usual\n"
    )
    with stage.twins("okx") as served:
        accounts, environ = machines.customers(served["okx"], 4)
        nanny = fleet.worker(environ, "--preload", str(poison), "--nanny")  # which starts another one each time
        fleet.await_workers(1)
        with working(fleet) as crew:
            found = {one.name: one for one in crew.collect(accounts, stated={})}
            report = crew.judge(list(found.values()))
        fleet.dismiss(nanny, signal.SIGTERM)
    assert [one.problems for name, one in found.items() if name != "okx-000002"] == [()] * 3
    assert {one.reason.value for one in found["okx-000002"].problems} == {"timeout"}
    assert "was lost" in found["okx-000002"].problems[0].detail
    assert report.summary.incomplete_accounts == ("okx-000002",)
    assert pipeline.exit_code(report, fail_on=pipeline.Severity.CRITICAL, min_coverage=0.0) in {4, 13}


def test_an_evaluation_that_fails_three_times_is_told_of_its_accounts(fleet: machines.Fleet) -> None:
    poison = fleet.folder / "poison.py"
    poison.write_text(
        "from auditor import pipeline\n"
        "usual = getattr(pipeline, 'usual', pipeline.judge)\n"
        "def judge(evidence, run):\n"
        "    if any(one.name == 'a1' for one in evidence.snapshots()): raise KeyError('of one account: s3cret-word')\n"
        "    return usual(evidence, run)\n"
        "pipeline.judge, pipeline.usual = judge, usual\n"
    )
    fleet.worker(None, "--preload", str(poison))
    fleet.await_workers(1)
    documents = [Snapshot(collected_at=stage.NOW, account={"name": name, "exchange": "okx"}) for name in ("a1", "a2")]
    with working(fleet) as crew:
        report = crew.judge(documents)
    (first, _) = report.accounts
    assert first.problems[0].detail.startswith("the evaluation failed (KeyError at poison.py:4)")
    assert report.summary.incomplete_accounts == ("a1", "a2")
    assert "s3cret-word" not in fleet.logs()


def test_ctrl_c_ends_the_work_on_the_workers_too(fleet: machines.Fleet, tmp_path: Path) -> None:
    with stage.twins("okx") as served:
        twin = served["okx"]
        accounts, environ = machines.customers(twin, 100)
        few = fleet.folder / "few.py"
        few.write_text("from auditor import collect\ncollect.MOST_AT_ONCE = collect.FEWEST_AT_ONCE = 3\n")
        fleet.worker(environ, "--preload", str(few))
        fleet.await_workers(1)
        twin.latency = 0.1
        mine = configured(stage.Stage(tmp_path / "user"), accounts)
        process = subprocess.Popen(
            [sys.executable, "-m", "auditor", "audit", *fleet.options()],
            cwd=mine.work,
            env=mine.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        when(lambda: len(twin.requests) > 20, lambda: process.send_signal(signal.SIGINT)).join()
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err.decode().strip().splitlines()[-1]) == (130, b"", "stopped")
        until, before = time.monotonic() + 20, -1
        while before != len(twin.requests) and time.monotonic() < until:
            before = len(twin.requests)
            time.sleep(1.5)
        assert before == len(twin.requests) < 200
        assert fleet.busy() == []
    assert not json.loads(mine.run("history", "list", "--format", "json").out or "[]")
