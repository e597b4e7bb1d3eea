"""Where output goes, and that it goes there whole: pipes that close, disks that fill up, processes that are killed."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor import files
from tests import stage
from tests.cli.test_transcripts import EVIDENCE

SHELL = f"{sys.executable} -m auditor"


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    made = stage.Stage(tmp_path)
    made.write("evidence.yaml", EVIDENCE)
    return made


def shell(mine: stage.Stage, line: str) -> stage.Ran:
    """A line of bash, which knows how each part of a pipe ended."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=mine.work,
        env=mine.environ,
        capture_output=True,
        timeout=30,
        check=False,
    )
    return stage.Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_results_are_all_that_stdout_gets(mine: stage.Stage) -> None:
    ran = mine.process("evaluate", "evidence.yaml", "-f", "json")
    assert json.loads(ran.out)["schema"] == "auditor/report/1" and ran.err == ""
    for args in (("evaluate", "nowhere.yaml"), ("rules", "show", "nothing"), ("audit",), ("--nonsense",)):
        ran = mine.run(*args)
        assert ran.out == "" and ran.err.startswith("error: ")
    for args in (
        ("rules", "list", "-f", "json"),
        ("rules", "show", "auth-sms-weakest", "-f", "json"),
        ("exchanges", "-f", "json"),
        ("exchanges", "okx", "-f", "json"),
    ):
        ran = mine.run(*args)
        assert json.loads(ran.out) and ran.err == ""


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("evaluate evidence.yaml", 13),
        ("evaluate evidence.yaml -f json", 13),
        ("rules list", 0),
        ("exchanges okx", 0),
        ("rules show venue-closing", 0),
    ],
)
def test_a_reader_that_has_seen_enough_changes_no_code(mine: stage.Stage, command: str, code: int) -> None:
    for reader in ("head -1", "true", "head -c 1"):
        ran = shell(mine, f"{SHELL} {command} | {reader}")
        assert (ran.code, ran.err) == (code, ""), reader


def test_help_into_a_closed_pipe_is_silent(mine: stage.Stage) -> None:
    assert shell(mine, f"{SHELL} --help | true").err == ""
    assert shell(mine, f"{SHELL} frobnicate 2>&1 | true").err == ""


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_code(mine: stage.Stage, streams: str) -> None:
    ran = shell(mine, f"{SHELL} evaluate evidence.yaml {streams}")
    assert ran.code == 13 and "Traceback" not in ran.err
    ran = shell(mine, f"{SHELL} evaluate nowhere.yaml {streams}")
    assert ran.code == 2 and "Traceback" not in ran.err


@pytest.mark.parametrize("command", ["evaluate evidence.yaml -f json", "rules list", "--help", "exchanges kraken"])
def test_a_full_disk_at_the_other_end_is_said_and_is_no_success(mine: stage.Stage, command: str) -> None:
    ran = shell(mine, f"{SHELL} {command} >/dev/full")
    assert ran.code == 2 and ran.err == "error: the result could not be written: No space left on device\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_reports_are_utf_8_whatever_the_terminal_claims(mine: stage.Stage, encoding: str) -> None:
    mine.environ |= {"PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    for args in (("evaluate", "evidence.yaml"), ("rules", "list"), ("exchanges", "kraken")):
        ran = mine.process(*args)
        assert ran.code in {0, 13} and ran.out


def test_without_arguments_there_is_help_and_code_2(mine: stage.Stage) -> None:
    ran = mine.process()
    assert ran.code == 2 and ran.out == "" and ran.err.startswith("Usage: auditor") and "Commands:" in ran.err


def test_an_output_file_replaces_what_was_there_in_one_step(mine: stage.Stage) -> None:
    mine.write("report.json", "old", mode=0o644)
    mine.write("real.json", "old")
    (mine.work / "link.json").symlink_to("real.json")
    assert mine.run("evaluate", "evidence.yaml", "-f", "json", "-o", "report.json").code == 13
    assert mine.run("evaluate", "evidence.yaml", "-f", "json", "-o", "link.json").code == 13
    for name in ("report.json", "real.json"):
        assert json.loads((mine.work / name).read_text())["accounts"]
        assert (mine.work / name).stat().st_mode & 0o777 == 0o600
    assert (mine.work / "link.json").is_symlink()
    assert not list(mine.work.glob(".*"))


def test_a_device_is_written_to_and_stays_a_device(mine: stage.Stage) -> None:
    ran = mine.run("evaluate", "evidence.yaml", "-f", "json", "-o", "/dev/null")
    assert ran.code == 13 and not Path("/dev/null").is_file() and Path("/dev/null").exists()


def test_a_format_that_fails_leaves_the_folder_as_it_was(mine: stage.Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from auditor.reports import html

    def burst(*_args: object, **_kwargs: object) -> bytes:
        raise ArithmeticError("no")

    monkeypatch.setattr(html, "render", burst)
    ran = mine.run("evaluate", "evidence.yaml", "-f", "json", "-f", "html", "-o", "out")
    assert ran.code == 1 and not (mine.work / "out").exists()


def test_a_disk_that_fills_up_leaves_the_old_file(mine: stage.Stage) -> None:
    """No file of this process may grow beyond 20 KiB: the report is longer, the identity key is not."""
    mine.run("evaluate", "evidence.yaml", "-q")
    mine.write("report.json", "old")
    before = mine.files()

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20 * 1024, 20 * 1024))

    mine.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # half a cached module would be read by everybody afterwards
    ran = mine.process("evaluate", "evidence.yaml", "-f", "json", "-o", "report.json", preexec_fn=small)
    assert ran.code == 2 and ran.err == "error: report.json cannot be written: File too large\n"
    assert mine.files() == before


def test_killed_while_writing(tmp_path: Path) -> None:
    """Killed at any moment, a writer leaves the old content or the new, never a part of either."""
    old, new = b"old\n" * 50_000, b"new\n" * 1_000_000
    target = tmp_path / "report"
    program = f"from pathlib import Path; from auditor import files\nprint(flush=True)\nwhile True: files.write(Path({str(target)!r}), b'new\\n' * 1_000_000)"
    for delay in (0.0, 0.004, 0.011, 0.03, 0.06):
        files.write(target, old)
        writer = subprocess.Popen([sys.executable, "-c", program], cwd=stage.ROOT, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay)
        writer.kill()
        writer.communicate()
        assert target.read_bytes() in {old, new}


def test_files_are_private_and_so_are_the_folders_made_for_them(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert files.write(tmp_path / "a/b/c", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a/b/c").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700
    assert not files.write(tmp_path / "a/b/c", b"y", replace=False)
    assert (tmp_path / "a/b/c").read_bytes() == b"x"
    with pytest.raises(NotADirectoryError):
        files.write(tmp_path / "a/b/c/d", b"y")
    assert sorted(path.name for path in (tmp_path / "a/b").iterdir()) == ["c"]


def test_a_working_folder_that_is_gone(mine: stage.Stage) -> None:
    ran = shell(
        mine,
        f"mkdir gone && cd gone && rmdir ../gone && {SHELL} rules list | tail -1; {SHELL} audit; {SHELL} evaluate ../evidence.yaml >&2",
    )
    assert "Traceback" not in ran.err and "this is a bug" not in ran.err


def test_several_files_appear_together_or_not_at_all(tmp_path: Path) -> None:
    old = tmp_path / "old.txt"
    old.write_bytes(b"old")

    def burst() -> Iterator[bytes]:
        yield b"half"
        assert old.read_bytes() == b"old", "nothing shows before all is written"
        raise ArithmeticError("no")

    def both() -> None:
        with files.Batch() as batch:
            assert batch.add(old, [b"n", b"ew"]) == hashlib.sha256(b"new").hexdigest()
            batch.add(tmp_path / "made" / "deep" / "b.txt", burst())

    with pytest.raises(ArithmeticError):
        both()
    assert [path.name for path in tmp_path.rglob("*")] == ["old.txt"] and old.read_bytes() == b"old"
    with files.Batch() as batch:
        batch.add(old, [b"new"])
        batch.add(tmp_path / "made" / "deep" / "b.txt", [])
    assert [path.name for path in tmp_path.rglob("*")] == ["old.txt"], "nobody committed it"
    with files.Batch() as batch:
        batch.add(old, [b"n", b"ew"])
        batch.add(tmp_path / "made" / "b.txt", iter([b"b"]))
        batch.commit()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["b.txt", "made", "old.txt"]
    assert old.read_bytes() == b"new" and (tmp_path / "made" / "b.txt").read_bytes() == b"b"
    assert {path.stat().st_mode & 0o777 for path in (old, tmp_path / "made" / "b.txt")} == {0o600}
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700


def test_a_batch_follows_links_and_writes_to_devices(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with files.Batch() as batch:
        batch.add(tmp_path / "link", [b"new"])
        batch.add(Path("/dev/null"), [b"x"])
        batch.commit()
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"
    assert not Path("/dev/null").is_file()


def test_a_signed_report_in_parts_is_signed_with_all_of_them(
    mine: stage.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditor.reports import _parts

    monkeypatch.setattr(_parts, "MANY", 2)
    monkeypatch.setattr(_parts, "PART", 2)
    one = "schema: auditor/evidence/1\naccount: {{name: a{}, exchange: okx}}\n"
    mine.write("many.yaml", "---\n".join(one.format(number) for number in range(5)))
    ran = mine.run("evaluate", "many.yaml", "-f", "json", "-f", "csv", "-o", "out", "--sign")
    assert ran.code in {4, 10, 11, 12, 13}
    names = {path.name for path in (mine.work / "out").iterdir()}
    assert names == {
        *("report.json", "report.json.dsse.json", "report.csv", "report.csv.dsse.json"),
        *(f"report-000{number}.json" for number in (1, 2, 3)),
    }
    checked = mine.run("verify", "out/report.json")
    assert checked.code == 0 and "with 3 pages" in checked.out
    again = mine.run("report", "out/report.json", "-f", "json", "-o", "one.json")
    assert again.code == ran.code
    document = json.loads((mine.work / "one.json").read_text())
    assert document["part"] is None and len(document["accounts"]) == 5
    part = mine.work / "out" / "report-0002.json"
    part.write_bytes(part.read_bytes().replace(b'"undecided"', b'"undecided" ').replace(b"}", b"} ", 1))
    assert mine.run("verify", "out/report.json").code == 2
    assert mine.run("report", "out/report.json").code == 2
    lone = mine.run("report", "out/report-0001.json")
    assert lone.code == 2 and "one part of a report" in lone.err and "index" in lone.err
