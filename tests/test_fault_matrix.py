"""An account run under faults: each endpoint, each failure, each moment. It loses nothing that was acknowledged, tells no lie,
leaks nothing and ends with the right code. `AUDITOR_WIDE_FAULTS=1` tries every fault at every venue.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auditor.model.evidence import Reason
from auditor.twin._base import Breakage
from tests import fault_matrix as faults
from tests import fault_moments as moments
from tests import faults as printing
from tests import faulty_gate as gates
from tests import stage
from tests.test_canary import leaks

WIDE = bool(os.environ.get("AUDITOR_WIDE_FAULTS"))
VENUES = [one.id for one in stage.every_twin()] if WIDE else ["okx", "binance", "deribit", "kraken"]
FEW = ("503", "half a body, then reset")
IN_DEPTH = "okx"
CODES = {"low": 10, "medium": 11, "high": 12, "critical": 13}


def twin_of(venue: str) -> Any:
    return next(one for one in stage.every_twin() if one.id == venue)


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    return stage.Stage(tmp_path)


@pytest.mark.parametrize("venue", VENUES)
def test_the_matrix(venue: str, record_property: Callable[[str, str], None]) -> None:
    """Nothing is known that is not so; what is not known has a reason that is not a refused key; what can pass, passes."""
    whole = WIDE or venue == IN_DEPTH
    chosen = {name: fault for name, fault in gates.FAULTS.items() if whole or name in FEW}
    table, wrong = faults.matrix(twin_of(venue), chosen, waited_at=100 if WIDE else 1)
    said = printing.printed({venue: table})
    record_property("told", said if whole else f"{venue}: {printing.counted({venue: table})}")
    assert wrong == []
    assert len(table) > 1 and next(iter(table.values())).keys() == chosen.keys()


@pytest.mark.parametrize("venue", VENUES if WIDE else [IN_DEPTH])
def test_signals_and_a_full_disk_at_every_endpoint(venue: str, record_property: Callable[[str, str], None]) -> None:
    """What an earlier run acknowledged is there and proves itself; the stopped one leaves nothing half done and no secret."""
    table, wrong = moments.matrix(twin_of(venue))
    record_property("told", "\n".join([*moments.printed(table), moments.counted({venue: table})]))
    assert wrong == []
    assert len(table) > 1 and {len(row) for row in table.values()} == {len(moments.MOMENTS) * 2 + 1}


def test_what_a_stopped_audit_spoils_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/api/v5/account/config"
    with moments.machine(twin_of("okx")) as here:
        monkeypatch.setattr(moments, "SIGNALS", {"SIGKILL": 143, "SIGINT": 130})
        assert any("ended with -9" in one for one in moments.signalled(here, path, "body", "SIGKILL"))
        assert any("ended with None" in one for one in moments.signalled(here, "/never", "body", "SIGINT"))
        report = here.mine.work / "report.json"
        assert "the report of before is another" in moments.signalled(here, path, "connect", "SIGINT")  # of "/never"
        report.write_bytes(here.acknowledged)
        (here.mine.work / ".report.json.part").write_text("half " + here.gate.twin.sample_credentials()["secret"])
        assert moments.signalled(here, path, "connect", "SIGINT") == [
            "half a file was left",
            "a secret was left or said",
        ]


def test_a_lie_would_be_noticed() -> None:
    """The matrix can fail: an answer that is well-formed and false is another fact."""

    def other(true: bytes) -> bytes:
        head, body = gates.body_of(true)
        return head + body.replace(b"read_only", b"withdraw ", 1).replace(b'"ip":""', b'"ip":"x"')

    with faults.gated(twin_of("okx")) as gate:
        true = faults.run(gate)
        liar = gates.Fault(moment="body", passes=False, spoil=other)
        _, wrong = faults.cell(gate, "/api/v5/users/subaccount/apikey", liar, gates.ALWAYS, true)
        revoked = gates.status("200 OK", b'{"code": "50111", "msg": "Invalid OK-ACCESS-KEY", "data": []}')
        _, also = faults.cell(
            gate, "/api/v5/account/config", gates.Fault(moment="body", passes=False, spoil=revoked), 9, true
        )
    assert any("instead of" in one or "nothing says why" in one for one in wrong)
    assert any("said invalid_key" in one for one in also)


# Between two attempts


def test_what_happens_between_two_attempts() -> None:
    """The key is taken away, the machine is locked out, or the exchange closes for work while the run waits: told as it is then."""
    path = "/api/v5/account/config"
    after = {
        "50111": (Reason.INVALID_KEY, "200 OK"),
        "50110": (Reason.IP_NOT_ALLOWED, "200 OK"),
        "50001": (Reason.VENUE_MAINTENANCE, "503 Busy"),
    }
    with faults.gated(twin_of("okx")) as gate:
        for code, (reason, line) in after.items():
            gate.path, gate.fault, gate.times = path, gates.FAULTS["502 page"], gates.ALWAYS
            body = json.dumps({"code": code, "msg": "x", "data": []}).encode()
            then = gates.Fault(moment="headers", passes=False, spoil=gates.status(line, body))
            gate.between = lambda then=then: setattr(gate, "fault", then)
            found = faults.run(gate)
            assert {one.reason for one in found.problems if one.endpoint == "account/config"} == {reason}, code
        gate.between = lambda: None


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 86400.0 * 400, -86400.0 * 400, 0.5])
def test_a_clock_that_jumps_between_two_attempts(jump: float) -> None:
    """The venue says that the time is wrong, is asked for its own, or is not believed: never a word against the key."""
    with faults.gated(twin_of("okx")) as gate:
        true = faults.run(gate)
        for path in ("/api/v5/account/config", "/api/v5/users/subaccount/list"):
            mark, wrong = faults.cell(gate, path, gates.jumped(jump), gates.ONCE, true)
            assert wrong == [] and ("/api/v5/public/time" in gate.seen) == (abs(jump) > 30), gate.seen
            assert mark == "=" or abs(jump) > 86400


# Whole audits


@pytest.fixture(scope="module")
def audited(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[stage.Stage, gates.FaultyGate, dict[str, Any]]]:
    """A user whose account has been audited once, through the gate, and the report of that."""
    made = stage.Stage(tmp_path_factory.mktemp("faults"))
    twin = twin_of("okx")
    with faults.gated(twin) as gate:
        table = json.loads(made.config(twin).read_text())
        table["accounts"][0]["endpoint"] = gate.url
        made.write("auditor.yaml", json.dumps(table))
        yield made, gate, made.run("audit", "-f", "json", "--no-notify").report


def outcomes(report: dict[str, Any]) -> dict[str, tuple[str, str]]:
    rows = report["accounts"][0]["findings"]
    return {row["id"]: (row["outcome"], row["rule"]) for row in rows if not row["rule"].startswith("evidence-")}


SOME = ("connection reset", "502 page", "429 for an hour", "401 page", "redirect", "half a body", "a page", "a bomb")


@pytest.mark.parametrize("fault", gates.FAULTS if WIDE else SOME)
def test_an_audit_ends_with_the_right_code_and_turns_nothing_around(audited: Any, fault: str) -> None:
    mine, gate, true = audited
    before = outcomes(true)
    for path in ("/api/v5/account/config", "/api/v5/users/subaccount/apikey"):
        gate.path, gate.fault, gate.times = path, gates.FAULTS[fault], gates.ALWAYS
        ran = mine.run("audit", "-f", "json", "-v", "--no-notify", "--no-history")
        report, found = ran.report, outcomes(ran.report)
        failing = [row["severity"] for row in report["accounts"][0]["findings"] if row["outcome"] == "fail"]
        assert ran.code == max([CODES.get(one, 0) for one in failing], default=0) or (ran.code == 4 and not failing)
        turned = {id_: (was, found[id_]) for id_, was in before.items() if id_ in found and found[id_] != was}
        assert {now[0] for _, now in turned.values()} <= {"unknown"}, turned
        assert {outcome for id_, (outcome, _) in found.items() if id_ not in before} <= {"unknown"}
        was, now = (one["accounts"][0]["score"] for one in (true, report))
        assert now["low"] <= was["low"] + 1e-9 and now["high"] >= was["high"] - 1e-9
        assert report["summary"]["incomplete_accounts"] == ["main-okx"]
        held = gate.twin.sample_credentials().values()
        assert not leaks(held, ran.out, ran.err)


# Signals and a full disk


UNCACHED = {"PYTHONDONTWRITEBYTECODE": "1"}
"""For a process without room: Python 3.11 caches half a module where only half of it fits, and everybody reads that afterwards."""


def started(mine: stage.Stage, *args: str, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "auditor", "audit", "--no-notify", "-f", "json", "-o", "report.json", *args]
    return subprocess.Popen(
        command,
        cwd=mine.work,
        env=mine.environ | UNCACHED,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        **options,
    )


def proven(mine: stage.Stage) -> int:
    """How many runs the history holds, after it was proved."""
    assert mine.run("history", "verify").code == 0
    return sum(row["kind"] == "run" for row in json.loads(mine.run("history", "list", "-f", "json").out))


STOPS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.mark.parametrize(("how", "code"), STOPS, ids=["SIGINT", "SIGTERM"])
def test_a_signal_to_the_program_as_it_is_started_by_a_user(mine: stage.Stage, how: signal.Signals, code: int) -> None:
    path = faults.OF_OKX[0]
    twin = twin_of("okx")
    with faults.gated(twin) as gate:
        table = json.loads(mine.config(twin).read_text())
        table["accounts"][0]["endpoint"] = gate.url
        mine.write("auditor.yaml", json.dumps(table))
        assert mine.run("audit", "--no-notify", "-f", "json", "-o", "report.json").code in CODES.values()
        acknowledged, runs = (mine.work / "report.json").read_bytes(), proven(mine)
        gate.path, gate.fault, gate.times = path, gates.FAULTS["half a body, then silence"], gates.ALWAYS
        gate.seen.clear()
        process = started(mine)
        end = time.monotonic() + 30
        while path not in gate.seen and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(how)
        out, err = process.communicate(timeout=30)
        assert process.returncode == code and out == b"" and err.decode().strip() in {"stopped", ""}
        assert (mine.work / "report.json").read_bytes() == acknowledged and proven(mine) == runs


@pytest.mark.parametrize("delay", [0.05, 0.6, 1.2] if not WIDE else [step / 10 for step in range(30)])
def test_killed_outright_it_loses_nothing(mine: stage.Stage, delay: float) -> None:
    """kill -9 at some moment: what was acknowledged before is there, and the history proves itself."""
    with stage.twins("okx") as served:
        mine.config(served["okx"])
        assert mine.run("audit", "--no-notify", "-f", "json", "-o", "report.json").code in CODES.values()
        runs = proven(mine)
        process = started(mine)
        time.sleep(delay)
        process.kill()
        process.communicate(timeout=30)
        assert proven(mine) in {runs, runs + 1}
        json.loads((mine.work / "report.json").read_bytes())


@pytest.mark.parametrize("room", [0, 4096, 60_000, 300_000])
def test_a_disk_without_room(mine: stage.Stage, room: int) -> None:
    """No file of the process may grow beyond `room`: the run says what it could not keep, and what was kept stays."""
    with stage.twins("okx") as served:
        mine.config(served["okx"])
        assert mine.run("audit", "--no-notify", "-f", "json", "-o", "report.json").code in CODES.values()
        acknowledged, runs = (mine.work / "report.json").read_bytes(), proven(mine)

        def small() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

        process = started(mine, preexec_fn=small)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 2 and out == b"" and err.startswith(b"error: ") and b"bug" not in err, err[:500]
        assert (mine.work / "report.json").read_bytes() == acknowledged
        assert proven(mine) >= runs
        assert not leaks(served["okx"].sample_credentials().values(), err.decode())
        assert not [name for name in mine.files() if name.endswith(".part")]


def test_a_history_that_cannot_grow_is_told_in_the_report(mine: stage.Stage) -> None:
    """The run is not lost with it: it ends with the code of what it found, and says that it is not stored."""
    with stage.twins("okx") as served:
        mine.config(served["okx"])
        served["okx"].fail(Breakage.EMPTY, prefix="/api/v5/asset")
        first = mine.run("audit", "--no-notify", "-f", "json")
        mine.environ |= UNCACHED

        def full() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

        ran = mine.process("audit", "--no-notify", "-f", "json", preexec_fn=full)
    assert ran.code == first.code and any("history" in one["where"] for one in ran.report["problems"])
    assert proven(mine) == 1
