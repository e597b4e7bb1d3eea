"""Whole runs that remember: what a report is told by the history, and what a history that fails costs it: nothing else."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from auditor import pipeline
from auditor.engine.intake import Evidence
from auditor.history import check, runs, store
from auditor.history.baseline import approval
from auditor.identity import Identity
from auditor.memory import Memory
from auditor.model.evidence import Snapshot
from auditor.model.facts import format_time
from auditor.model.report import Report
from auditor.model.rule import Rule
from auditor.ruleset import loader
from tests.history.conftest import Place
from tests.history.invented import WHO, key, on, seen
from tests.history.tables import engine

WANTED = {"key-unrecognised", "key-withdraw-permission", "key-trade-without-ip-binding"}


@pytest.fixture(scope="module")
def rules() -> tuple[Rule, ...]:
    return tuple(rule for rule in loader.load_all([], shipped=True) if rule.id in WANTED)


@pytest.fixture
def remember(place: Place, rules: tuple[Rule, ...]) -> Any:
    """A run over snapshots, as `auditor audit` does it: the report."""

    def run(
        *snapshots: Snapshot, whose: Identity = WHO, judged_by: tuple[Rule, ...] = rules, now: datetime | None = None
    ) -> Report:
        memory = Memory(identity=whose, store=place.open())
        recalled = memory.recall(snapshots)
        moment = now or snapshots[0].collected_at
        with Evidence(moment).add(one.to_document() for one in recalled) as evidence:
            report = pipeline.judge(evidence, pipeline.Run(rules=judged_by, identity=whose, now=moment))
        return memory.keep(memory.compare(report), recalled, moment)

    return run


def approve(place: Place, day: int) -> None:
    def part(view: store.View) -> dict[tuple[str, str], Any]:
        found, _ = runs.past(view, "main")
        assert found is not None
        mine = {one.place: True for one in found.ledger.held if one.present}
        return {("main", "approval"): approval(mine, found.ledger, by="ana", whole=True)}

    place.open().append("approval", on(day), part)


def outcomes(report: Report, rule: str) -> dict[str, tuple[str, str | None]]:
    return {
        one.subject.label: (one.outcome.value, one.baseline) for one in report.accounts[0].findings if one.rule == rule
    }


def test_a_key_that_nobody_recognises(place: Place, remember: Any) -> None:
    first = remember(seen(0, [key("bot")]))
    assert outcomes(first, "key-unrecognised") == {"bot": ("unknown", None)} and first.accounts[0].drift is None
    approve(place, 1)
    second = remember(seen(2, [key("bot")]))
    assert outcomes(second, "key-unrecognised") == {"bot": ("pass", "updated")}
    third = remember(seen(3, [key("bot"), key("theirs", can_withdraw=True, ip_bound=False)]))
    assert outcomes(third, "key-unrecognised") == {"theirs": ("fail", "new"), "bot": ("pass", "unchanged")}
    assert [(one.kind, one.subject.label) for one in third.accounts[0].drift or ()] == [("new", "theirs")]
    assert third.accounts[0].unchanged == 1
    fourth = remember(seen(4, [key("bot", can_withdraw=True), key("theirs", can_withdraw=True, ip_bound=False)]))
    assert outcomes(fourth, "key-unrecognised")["theirs"] == ("fail", "unchanged")
    assert {one.kind for one in fourth.accounts[0].drift or ()} == {"new", "widened"}
    assert [len(one.accounts[0].trend or ()) for one in (first, second, third, fourth)] == [1, 2, 3, 4]
    assert not any(one.problems for one in (first, second, third, fourth))
    assert check.verify(place.open())[0] == []


def test_what_failed_before_and_does_no_longer(remember: Any) -> None:
    remember(seen(0, [key("bot", can_withdraw=True)]))
    later = remember(seen(1, [key("bot")]))
    assert outcomes(later, "key-withdraw-permission")["bot"] == ("pass", "absent")


def test_a_run_is_rendered_again_as_it_was(place: Place, remember: Any) -> None:
    from auditor.reports import json as json_report
    from auditor.reports import parse

    report = remember(
        seen(0, [key("a", label="\x1b[2J\u202e<b>")]),
        replace(seen(0, [key("b")]), account={"name": "aaa", "exchange": "okx"}),
    )
    with place.open().reading() as view:
        record = runs.find(view, "last")
        document = runs.report_document(view, record)
        assert json.loads(json.dumps(document)) == json.loads(json_report.render(report))
        again = parse.of_document(document, "run 1")
        assert [one.name for one in again.accounts] == [one.name for one in report.accounts]
        assert json.loads(json_report.render(again)) == json.loads(json_report.render(report))
        names = {one.name: one for one in runs.snapshots(view, record)}
        assert names["main"].api_keys == [{**key("a", label="\x1b[2J\u202e<b>"), "first_seen_at": format_time(on(0))}]


def test_other_rules_are_told_apart_in_the_trend(remember: Any, rules: tuple[Rule, ...]) -> None:
    remember(seen(0, [key("bot")]))
    report = remember(seen(1, [key("bot")]), judged_by=rules[:1])
    assert [one.rules_changed for one in report.accounts[0].trend or ()] == [False, True]


def test_under_another_identity_key_nothing_is_compared(place: Place, remember: Any) -> None:
    remember(seen(0, [key("bot")]))
    approve(place, 1)
    report = remember(seen(2, [key("bot")]), whose=Identity.ephemeral("another"))
    assert "identity key" in report.problems[0].message
    assert outcomes(report, "key-unrecognised") == {"bot": ("unknown", None)}


def test_a_doubted_inventory_fails_nobody(place: Place, remember: Any) -> None:
    keys = [key("audit", is_audit_key=True), *(key(name) for name in ("a", "b", "c"))]
    remember(seen(0, keys))
    approve(place, 0)
    for left in (keys[:2], keys[:1]):
        report = remember(seen(1, left))
        assert {one.kind for one in report.accounts[0].drift or ()} <= {"doubted"}
        assert report.accounts[0].inventory.complete is not True
        assert any(one.reason.value == "implausible_response" for one in report.accounts[0].problems)
        remember(seen(2, keys))
    remember(seen(3, keys[:2]))
    report = remember(seen(4, keys[:2]))
    assert {one.kind for one in report.accounts[0].drift or ()} == {"removed"}
    assert report.accounts[0].inventory.complete is True


def test_two_runs_at_once_forget_no_first_sight(place: Place, remember: Any) -> None:
    """Both looked back before either was stored."""
    remember(seen(0, [key("a")]))
    one, two = Memory(identity=WHO, store=place.open()), Memory(identity=WHO, store=place.open())
    early, late = seen(1, [key("a"), key("b")]), seen(2, [key("a"), key("b")])
    judged = {}
    for memory, snapshot in ((one, early), (two, late)):
        recalled = memory.recall([snapshot])
        with Evidence(snapshot.collected_at).add(each.to_document() for each in recalled) as evidence:
            judged[id(memory)] = (
                pipeline.judge(evidence, pipeline.Run(rules=(), identity=WHO, now=snapshot.collected_at)),
                recalled,
            )
    for memory, day in ((one, 1), (two, 2)):
        assert not memory.keep(*judged[id(memory)], on(day)).problems
    with place.open().reading() as view:
        found, _ = runs.past(view, "main")
    assert found is not None and found.ledger.find(("api_key", key("b")["fingerprint"])).first_seen_at == format_time(
        on(1)
    )  # type: ignore[union-attr]


def test_a_broken_history_is_told_and_not_believed(place: Place, remember: Any) -> None:
    remember(seen(0, [key("bot")]))
    approve(place, 1)
    remember(seen(2, [key("bot")]))
    with engine(place.url).begin() as connection:
        connection.exec_driver_sql("DELETE FROM history_part WHERE seq = 2")
        connection.exec_driver_sql("DELETE FROM history_record WHERE seq = 2")
    report = remember(seen(3, [key("bot"), key("new")]))
    assert any("tampered" in one.message for one in report.problems)
    assert {outcome for outcome, _ in outcomes(report, "key-unrecognised").values()} == {"unknown"}
    with place.open().reading() as view:
        assert [one.seq for one in view.records()] == [1, 3, 4]  # and it was stored all the same


def test_an_edited_run_is_passed_over_for_the_one_before(place: Place, remember: Any) -> None:
    remember(seen(0, [key("bot")]))
    remember(seen(1, [key("bot"), key("two"), key("three")]))
    with engine(place.url).begin() as connection:
        connection.exec_driver_sql("UPDATE history_part SET sha256 = 'x' WHERE seq = 2 AND kind = 'inventory'")
    report = remember(seen(2, [key("bot"), key("two"), key("three")]))
    assert any("record 2" in one.message for one in report.problems)
    assert {one.kind for one in report.accounts[0].drift or ()} == {"new"}


def test_a_server_that_goes_away_in_the_middle_of_a_run(postgres: Any, tmp_path: Path, rules: tuple[Rule, ...]) -> None:
    name = f"away_{os.getpid()}"
    postgres.execute(f"CREATE DATABASE {name}")
    kept = store.open_store(postgres.url(name), key=tmp_path / "signing.key")
    first = Memory(identity=WHO, store=kept)
    recalled = first.recall([seen(0, [key("bot")])])
    with Evidence(on(0)).add(one.to_document() for one in recalled) as evidence:
        report = pipeline.judge(evidence, pipeline.Run(rules=rules, identity=WHO, now=on(0)))
    assert not first.keep(first.compare(report), recalled, on(0)).problems
    second = Memory(identity=WHO, store=kept)
    again = second.recall([seen(1, [key("bot")])])
    compared = second.compare(report)
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
    told = second.keep(compared, again, on(1))
    assert told.accounts == compared.accounts and "not stored" in told.problems[0].message
    assert postgres.password not in str(told.problems)


@pytest.fixture
def unusable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a history that cannot be used, each in its own way."""
    path = tmp_path / "history.db"
    how = request.param
    if how == "corrupt":
        kept = store.open_store(f"sqlite:///{path}", key=tmp_path / "signing.key")
        for _ in range(5):
            kept.append("run", on(0), lambda _view: {("main", "inventory"): os.urandom(3000).hex()})
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        raw = bytearray(path.read_bytes())
        for at in range(100, len(raw)):
            raw[at] ^= 0x5A
        path.write_bytes(raw)
    elif how == "no database":
        path.write_bytes(b"once upon a time " * 500)
    elif how == "a folder":
        path.mkdir()
    elif how == "of something else":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE birds (name TEXT)")
        connection.close()
    elif how == "below a file":
        path.write_text("")
        yield f"sqlite:///{path / 'history.db'}"
        return
    yield {"no server": "postgresql://ana@127.0.0.1:1/auditor", "in memory": "sqlite:///:memory:"}.get(
        how, f"sqlite:///{path}"
    )


@pytest.mark.parametrize(
    "unusable",
    ["corrupt", "no database", "a folder", "of something else", "below a file", "no server", "in memory"],
    indirect=True,
)
def test_a_history_that_cannot_be_used_costs_only_itself(
    unusable: str, tmp_path: Path, rules: tuple[Rule, ...]
) -> None:
    memory = Memory(identity=WHO, store=store.open_store(unusable, key=tmp_path / "signing.key"))
    recalled = memory.recall([seen(0, [key("bot")])])
    assert [row["label"] for row in recalled[0].api_keys or ()] == ["bot"] and len(recalled) == 1
    with Evidence(on(0)).add(one.to_document() for one in recalled) as evidence:
        report = pipeline.judge(evidence, pipeline.Run(rules=rules, identity=WHO, now=on(0)))
    told = memory.keep(memory.compare(report), recalled, on(0))
    assert told.accounts[0].findings == report.accounts[0].findings and len(told.problems) == 1
    (problem,) = told.problems
    assert problem.where == "history" and "\n" not in problem.message and "Traceback" not in problem.message
    assert not Path(":memory:").exists()


def _small_disk(folder: Path) -> bool:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    return mounted.returncode == 0


_FILL = """
import resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from auditor.history import store
from auditor.history.database import HistoryError
import random
sys.dont_write_bytecode = True  # half a cached module would be read by everybody afterwards
url, key, limit = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
kept = store.open_store(url, key=key)
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    for _ in range(200):
        body = random.randbytes(8000).hex()
        record = kept.append("run", datetime(2026, 1, 1, tzinfo=UTC), lambda _view: {("main", "inventory"): body})
        print(record.seq, flush=True)
except HistoryError as error:
    print(error.message, error.hint, file=sys.stderr)
    sys.exit(7)
"""


@pytest.mark.parametrize("how", ["a tiny disk", "a limit on files"])
def test_a_full_disk_loses_nothing_that_was_acknowledged(how: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    mounted = how == "a tiny disk" and _small_disk(disk)
    if how == "a tiny disk" and not mounted:
        pytest.skip("no disk can be mounted here (it takes root); the limit on files stands for it")
    disk.mkdir(exist_ok=True)
    url, place = f"sqlite:///{disk}/history.db", tmp_path / "signing.key"
    try:
        words = [sys.executable, "-c", _FILL, url, str(place), "0" if mounted else str(200 * 1024)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 7 and ("full" in done.stderr or "disk" in done.stderr.lower()), done.stderr
        acknowledged = [int(word) for word in done.stdout.split()]
        assert len(acknowledged) >= 3
        if mounted:  # room again, as its owner would make it
            subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        kept = store.open_store(url, key=place)
        with kept.reading() as view:
            assert [one.seq for one in view.records()] == acknowledged
        kept.append("run", on(0), lambda _view: {("main", "inventory"): 1})
        assert check.verify(kept)[0] == []
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    """As somebody who is not root: what root may do proves nothing."""
    folder = tmp_path / "kept"
    folder.mkdir()
    held = store.open_store(f"sqlite:///{folder}/history.db", key=tmp_path / "signing.key")
    held.append("run", on(0), lambda _view: {("main", "inventory"): 1})
    (folder / "history.db").chmod(0o444)
    folder.chmod(0o555)
    code = (
        "import os, sqlite3, sys\n"
        "from auditor.history import database\n"
        "from auditor.history.database import HistoryError, connected, make_file\n"
        "with connected('sqlite:///' + sys.argv[3]) as warm: warm.write('SELECT 1')\n"
        "os.geteuid() or (os.setgid(65534), os.setuid(65534))\n"
        "try:\n"
        "    with connected(sys.argv[1], writes=True) as held: held.write('DELETE FROM history_part')\n"
        "except HistoryError as error: print(error.message, '|', error.hint)\n"
        "try: make_file(database.file_of(sys.argv[2]))\n"
        "except HistoryError as error: print(error.message, '|', error.hint)\n"
    )
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() == "root" and path not in {Path("/"), Path("/tmp")}:
            path.chmod(path.stat().st_mode | 0o011)
    words = [
        sys.executable,
        "-c",
        code,
        f"sqlite:///{folder}/history.db",
        f"sqlite:///{folder}/new/history.db",
        str(tmp_path / "warm.db"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    folder.chmod(0o755)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    assert all("must be writable" in line for line in lines)
    assert check.verify(held)[0] == []


def test_a_run_stored_by_an_earlier_version_is_still_a_report(place: Place, remember: Any) -> None:
    """Version 1 kept what a rule says of itself by exchange, and every step of a path in full."""
    from auditor.reports import json as json_report
    from auditor.reports import parse
    from auditor.reports._once import whole

    report = remember(seen(0, [key("a", can_withdraw=True)]))
    document = json_report.document(report)
    (row,) = document["accounts"]
    full = whole(row, document)
    words = ("title", "severity", "why", "how_we_know", "fix", "controls", "incidents")
    texts: dict[str, Any] = {}
    bare = []
    for finding in full["findings"]:
        texts[finding["rule"]] = {name: finding[name] for name in words}
        bare.append({name: value for name, value in finding.items() if name not in words})
    with place.open().reading() as view:
        stored = view.part(runs.find(view, "last"), "", "run")
    old = {
        ("", "run"): {**stored, "v": 1},
        ("", "texts"): {row["exchange"]: texts},
        (row["name"], "report"): {**full, "findings": []},
        (row["name"], "findings"): bare,
        (row["name"], "snapshot"): seen(0, [key("a", can_withdraw=True)]).to_document(),
    }
    place.open().append("run", on(1), lambda _view: old)
    with place.open().reading() as view:
        again = parse.of_document(runs.report_stream(view, runs.find(view, "last")), "run 2")
    assert json_report.render(again) == json_report.render(parse.of_document(document, "run 1"))
