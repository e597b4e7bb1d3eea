"""The watch: when runs are due whatever the clock does, one at a time, a sign of life, and an end in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import watch
from auditor.errors import UsageError
from tests import stage

BEGIN = datetime(2026, 11, 20, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
SIX = 6 * HOUR


class World:
    """A machine whose clocks stand in our hands. `at` does something once that much time has truly passed."""

    def __init__(self, until: timedelta, costs: timedelta = timedelta(minutes=3)) -> None:
        self.true, self.skew, self.asleep = timedelta(0), timedelta(0), timedelta(0)
        self.end, self.costs = until, costs
        self.runs: list[timedelta] = []
        self.at: list[tuple[timedelta, Callable[[], None]]] = []
        self.waits = 0
        self.codes = [0]

    def wall(self) -> datetime:
        return BEGIN + self.true + self.skew

    def steady(self) -> float:
        return (self.true - self.asleep).total_seconds()

    def wait(self, seconds: float) -> bool:
        assert seconds <= watch.STEP
        self.waits += 1
        self._pass(timedelta(seconds=seconds))
        return self.true >= self.end

    def run(self) -> int:
        self.runs.append(self.true)
        self._pass(self.costs)
        return self.codes[min(len(self.runs), len(self.codes)) - 1]

    def sleeps(self, length: timedelta) -> None:
        """The laptop is shut: the wall clock goes on, the steady one stands still."""
        self.true += length
        self.asleep += length

    def set(self, by: timedelta) -> None:
        self.skew += by

    def _pass(self, length: timedelta) -> None:
        self.true += length
        for moment, act in list(self.at):
            if self.true >= moment:
                self.at.remove((moment, act))
                act()

    def watched(self, late: timedelta = timedelta(0), every: timedelta = SIX) -> list[float]:
        """Hours since the beginning at which runs began."""
        beats: list[int] = []
        self.code = watch.watch(self.run, beats.append, every=every, late=lambda: late, clock=self)
        self.beats = beats
        return [round(run / HOUR, 2) for run in self.runs]


def test_slots_do_not_drift_whatever_a_run_costs() -> None:
    for costs in (timedelta(0), timedelta(minutes=3), timedelta(hours=5, minutes=59)):
        assert World(30 * HOUR, costs).watched() == [0, 6, 12, 18, 24]


def test_a_year_later_the_slots_are_the_same() -> None:
    world = World(timedelta(days=365))
    begun = world.watched(every=timedelta(days=1))
    assert begun[-1] == 364 * 24 and len(begun) == 365


def test_chance_makes_a_run_later_and_never_the_next_one() -> None:
    world = World(30 * HOUR)
    chance = iter([timedelta(minutes=m) for m in (9, 1, 15, 0, 7, 7)])
    watch.watch(world.run, lambda _code: None, every=SIX, late=lambda: next(chance), clock=world)
    assert [run - at * SIX for at, run in enumerate(world.runs)] == pytest.approx(
        [timedelta(minutes=m) for m in (0, 9, 1, 15, 0)], abs=timedelta(seconds=31)
    )


def test_a_run_that_takes_longer_than_its_time_skips_what_it_missed() -> None:
    assert World(40 * HOUR, 13 * HOUR).watched() == [0, 18, 36]


def test_a_laptop_that_slept_makes_up_for_it_once() -> None:
    world = World(40 * HOUR)
    world.at = [(2 * HOUR, lambda: world.sleeps(20 * HOUR))]
    assert world.watched() == [0, pytest.approx(22, abs=0.02), 24, 30, 36]  # soon after it wakes, then at the old slots


def test_a_short_nap_changes_nothing() -> None:
    world = World(20 * HOUR)
    world.at = [(2 * HOUR, lambda: world.sleeps(2 * HOUR))]
    assert world.watched() == [0, 6, 12, 18]


@pytest.mark.parametrize("back", [timedelta(minutes=30), HOUR, timedelta(days=1), timedelta(days=4000)])
def test_a_clock_that_is_set_back_stops_nothing(back: timedelta) -> None:
    world = World(31 * HOUR)
    world.at = [(2 * HOUR, lambda: world.set(-back))]
    begun = world.watched()
    assert len(begun) == 6 and begun[:2] == [0, pytest.approx(6.03, abs=0.02)]
    assert all(5.9 < later - sooner < 6.6 for sooner, later in pairwise(begun))


@pytest.mark.parametrize("ahead", [HOUR, timedelta(days=1), timedelta(days=20_000)])
def test_a_clock_that_is_set_ahead_costs_one_run_at_most(ahead: timedelta) -> None:
    world = World(31 * HOUR)
    world.at = [(2 * HOUR, lambda: world.set(ahead))]
    begun = world.watched()
    assert len(begun) <= 7 and max(later - sooner for sooner, later in pairwise(begun)) < 6.1


@given(
    st.lists(
        st.tuples(st.integers(0, 100), st.sampled_from(["sleep", "ahead", "back"]), st.integers(1, 50)), max_size=6
    )
)
def test_whatever_happens_runs_go_on_and_do_not_pile_up(events: list[tuple[int, str, int]]) -> None:
    world = World(150 * HOUR)
    for hour, kind, much in events:
        length = much * HOUR
        act = {"sleep": world.sleeps, "ahead": world.set, "back": lambda by: world.set(-by)}[kind]
        world.at.append((hour * HOUR, lambda act=act, length=length: act(length)))  # type: ignore[misc]
    world.watched()
    asleep = world.asleep
    gaps = [later - sooner for sooner, later in pairwise(world.runs)]
    assert all(gap < SIX + timedelta(minutes=5) + asleep for gap in gaps)
    early = sum(gap < SIX - timedelta(minutes=5) for gap in gaps)
    assert early <= 2 * len(events)
    assert all(gap > timedelta(seconds=1) for gap in gaps)


def test_it_sleeps_and_does_not_spin() -> None:
    world = World(timedelta(days=2))
    world.watched()
    assert world.waits < 2 * 86400 / watch.STEP + 50


def test_only_a_run_that_came_to_its_end_is_a_sign_of_life() -> None:
    world = World(50 * HOUR)
    world.codes = [0, 1, 13, 2, 4, 3, -9, 10]
    world.watched()
    assert (world.beats, world.code) == ([0, 13, 4, 10, 10], 0)


@pytest.mark.parametrize("code", [2, 3])
def test_a_configuration_that_cannot_work_ends_it_at_once(code: int) -> None:
    world = World(50 * HOUR)
    world.codes = [code]
    assert world.watched() == [0] and world.code == code and world.beats == []


def test_it_stops_between_runs_and_after_one() -> None:
    world = World(timedelta(minutes=1))
    assert world.watched() == [0] and world.code == 0 and world.beats == []


# One at a time


def test_the_lock_is_held_by_one(tmp_path: Path) -> None:
    path = tmp_path / "state/x.lock"
    with watch.alone(path):
        with pytest.raises(UsageError, match=f"process {os.getpid()}"), watch.alone(path):
            raise AssertionError
        assert path.stat().st_mode & 0o777 == 0o600
    with watch.alone(path):
        pass


def test_a_lock_is_not_left_behind_by_a_process_that_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    text = "import sys,time; from pathlib import Path; from auditor import watch\n"
    text += "with watch.alone(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", text, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        with pytest.raises(UsageError), watch.alone(path):
            raise AssertionError
        process.kill()
    with watch.alone(path):
        pass


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "file/x", tmp_path / "link"):
        with pytest.raises(UsageError, match="cannot be made"), watch.alone(path):
            raise AssertionError
    assert not (tmp_path / "elsewhere").exists()


# The program


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    made = stage.Stage(tmp_path)
    made.write("auditor.yaml", json.dumps({"version": 1, "accounts": [{"name": "main", "exchange": "okx"}]}))
    return made


@contextmanager
def started(mine: stage.Stage, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """A watch as a process, which does not outlive the test."""
    with subprocess.Popen(
        [sys.executable, "-m", "auditor", "watch", *args],
        cwd=mine.work,
        env=mine.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(path: Path) -> str:
    for _ in range(600):
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.1)
    raise AssertionError(f"{path} did not come")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_audits_gives_a_sign_of_life_and_ends_in_order(mine: stage.Stage, number: signal.Signals) -> None:
    options = ("--every", "6h", "--heartbeat", "beat", "-f", "json", "-o", "report.json", "-q")
    with started(mine, *options) as process:
        assert int(wait_for(mine.work / "beat").split()[1]) in watch.DONE
        assert json.loads((mine.work / "report.json").read_text())["schema"]
        second = mine.process("watch", "--every", "1h")
        assert second.code == 2 and f"process {process.pid}" in second.err
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, b"") and b"next audit after" in err


def test_it_ends_the_audit_that_runs(mine: stage.Stage) -> None:
    mine.write("slow", "#!/bin/sh\necho $$ > started\nexec sleep 60\n", 0o700)
    secrets = dict.fromkeys(("apiKey", "secret", "password"), f"cmd:{mine.work}/slow")
    row = {"name": "main", "exchange": "okx", "credentials": secrets}
    mine.write("auditor.yaml", json.dumps({"version": 1, "accounts": [row]}))
    with started(mine, "--every", "6h") as process:
        slow = int(wait_for(mine.work / "started"))
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0 and time.monotonic() - begun < 12
    assert gone(slow)


def gone(number: int) -> bool:
    """Whether a process has ended by now, or soon."""
    for _ in range(50):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_once_is_one_audit_and_its_code(mine: stage.Stage) -> None:
    ran = mine.process("watch", "--every", "6h", "--once", "--heartbeat", "beat", "-f", "json")
    assert ran.code in watch.DONE and ran.report["schema"]
    assert (mine.work / "beat").read_text().endswith(f" {ran.code}\n")
    mine.environ["HOME"] = "/nowhere"
    ran = mine.process("watch", "--every", "6h", "--once", "-c", "nowhere.yaml")
    assert ran.code == 2


@pytest.mark.parametrize(
    "args",
    [
        ("--every", "0h"),
        ("--every", "6"),
        ("--every", "6 hours"),
        ("--every", "30s"),
        ("--every", "99d"),
        ("--every", "6h", "--jitter", "6h"),
        ("--every", "6h", "--heartbeat", "ftp://x/y"),
        ("--every", "6h", "-f", "jsn"),
        ("--every", "6h", "--fail-on", "awful"),
        ("--every", "6h", "--frobnicate"),
        ("--every", "6h", "--notify-test"),
        (),
    ],
)
def test_what_cannot_work_is_told_before_anything_runs(mine: stage.Stage, args: tuple[str, ...]) -> None:
    ran = mine.run("watch", *args)
    assert ran.code == 2 and ran.out == "" and ran.err.startswith("error:")


def test_a_heartbeat_that_is_kept_secret_must_be_there(mine: stage.Stage) -> None:
    ran = mine.run("watch", "--every", "6h", "--heartbeat", "env:BEAT_URL", "--once")
    assert ran.code == 3 and "BEAT_URL" in ran.err
