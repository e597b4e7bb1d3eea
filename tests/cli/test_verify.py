"""`--sign` and `auditor verify`, as a user meets them: who, when, what was changed, and who does not count."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditor import envelope, signing
from tests import stage
from tests.cli.test_transcripts import EVIDENCE


@pytest.fixture
def mine(tmp_path):
    made = stage.Stage(tmp_path)
    made.write("evidence.yaml", EVIDENCE)
    return made


def signed(mine, *more, name="report.json", form="json"):
    ran = mine.run("evaluate", "evidence.yaml", "-f", form, "-o", name, "--sign", *more)
    assert ran.err == ""
    return mine.work / name


def key_of(mine):
    (path,) = Path(mine.home).rglob("signing.key")
    return path


def test_a_signed_report_verifies_and_says_who_and_when(mine):
    report = signed(mine)
    key = key_of(mine)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    ran = mine.run("verify", "report.json")
    assert (ran.code, ran.err) == (0, "")
    assert "report.json: unchanged since it was signed" in ran.out
    assert f"key {signing.load(key).key_id}" in ran.out
    said = json.loads(mine.run("verify", "report.json", "-f", "json").out)
    assert said["signed_at"][:4].isdigit() and said["run"] == json.loads(report.read_bytes())["run"]["id"]
    assert mine.run("verify", "report.json.dsse.json").code == 0


def test_nothing_in_the_envelope_is_secret(mine):
    report = signed(mine)
    seed = key_of(mine).read_text().strip()
    assert seed not in report.with_name("report.json.dsse.json").read_text()
    for args in (("verify", "report.json"), ("verify", "--show-key"), ("verify", "--rotate-key")):
        ran = mine.run(*args)
        assert seed not in ran.out + ran.err


def test_every_file_of_a_folder_is_signed(mine):
    assert (
        mine.run("evaluate", "evidence.yaml", "-f", "json", "-f", "csv", "-f", "checklist", "-o", "out", "--sign").err
        == ""
    )
    for name in ("report.json", "report.csv", "report.checklist.md"):
        assert mine.run("verify", f"out/{name}").code == 0
    key = signing.load(key_of(mine)).key_id
    assert f"Signed with the key `{key}`" in (mine.work / "out/report.checklist.md").read_text()


def test_a_report_rendered_again_can_be_signed_too(mine):
    signed(mine)
    assert mine.run("report", "report.json", "-f", "markdown", "-o", "report.md", "--sign").err == ""
    assert mine.run("verify", "report.md").code == 0


@pytest.mark.parametrize("form", ["json", "html", "text", "sarif", "csv"])
def test_one_changed_byte_is_found(mine, form):
    report = signed(mine, name="r", form=form)
    content = bytearray(report.read_bytes())
    content[len(content) // 2] ^= 1
    report.write_bytes(content)
    ran = mine.run("verify", "r")
    assert (ran.code, ran.out) == (2, "")
    assert "was changed after it was signed" in ran.err
    report.write_bytes(b"")
    assert mine.run("verify", "r").code == 2


def test_what_is_missing_is_said(mine):
    report = signed(mine)
    (mine.work / "plain.json").write_bytes(report.read_bytes())
    ran = mine.run("verify", "plain.json")
    assert ran.code == 2 and "is not signed" in ran.err and "plain.json.dsse.json" in ran.err
    report.unlink()
    for name in ("report.json", "report.json.dsse.json", "nowhere"):
        ran = mine.run("verify", name)
        assert ran.code == 2 and ran.out == "" and "Traceback" not in ran.err


def test_a_pair_may_be_renamed_and_is_told_by_its_old_name(mine):
    report = signed(mine)
    report.rename(mine.work / "may.json")
    (mine.work / "report.json.dsse.json").rename(mine.work / "may.json.dsse.json")
    ran = mine.run("verify", "may.json")
    assert ran.code == 0 and "may.json: unchanged since it was signed, as report.json" in ran.out


def test_a_signature_belongs_to_its_report(mine):
    signed(mine, name="a.json")
    signed(mine, name="b.html", form="html")
    (mine.work / "a.json.dsse.json").replace(mine.work / "b.html.dsse.json")
    assert mine.run("verify", "b.html").code == 2


def test_only_keys_that_count_count(mine, tmp_path):
    signed(mine)
    line = mine.run("verify", "--show-key").out.strip()
    kind, blob = line.split()[1:]
    stranger = signing.ssh_line(signing.load(tmp_path / "other" / "signing.key").public)
    mine.write("team", f"# team\nanna@desk.invalid {kind} {blob}\n{stranger}\n")
    mine.write("strangers", f"{stranger}\n")
    mine.write("anna.pub", f"{kind} {blob} anna\n")
    for args in (("--allowed-signers", "team"), ("--key", "anna.pub"), ("--key", f"{kind} {blob} anna")):
        ran = mine.run("verify", "report.json", *args)
        assert ran.code == 0 and "by   anna" in ran.out
    for args in (("--allowed-signers", "strangers"), ("--key", "strangers")):
        ran = mine.run("verify", "report.json", *args)
        assert (ran.code, ran.out) == (3, "")
        assert "does not count here" in ran.err
    mine.write("old", f'anna valid-before="20200101Z" {kind} {blob}\n')
    ran = mine.run("verify", "report.json", "--allowed-signers", "old")
    assert ran.code == 3 and "did not count when this was signed" in ran.err


def test_a_machine_without_a_key_makes_none_to_verify(mine, tmp_path):
    signed(mine)
    other = stage.Stage(tmp_path / "other")
    for name in ("report.json", "report.json.dsse.json"):
        (other.work / name).write_bytes((mine.work / name).read_bytes())
    ran = other.run("verify", "report.json")
    assert ran.code == 3 and "--allowed-signers" in ran.err
    assert not list(Path(other.home).rglob("signing.*"))


def test_after_a_rotation_old_signatures_still_count(mine):
    signed(mine)
    before = mine.run("verify", "--show-key").out
    after = mine.run("verify", "--rotate-key").out
    assert before != after == mine.run("verify", "--show-key").out
    assert mine.run("verify", "report.json").code == 0
    signed(mine, name="new.json")
    assert mine.run("verify", "new.json").code == 0


def test_a_signature_of_the_future_is_refused(mine):
    report = signed(mine)
    signer, later = signing.load(key_of(mine)), datetime.now(UTC) + timedelta(hours=1)
    content = envelope.seal({"report.json": report.read_bytes()}, run="r", version="0", signer=signer, now=later)
    (mine.work / "report.json.dsse.json").write_bytes(content)
    ran = mine.run("verify", "report.json")
    assert ran.code == 2 and "future" in ran.err


def test_names_in_an_envelope_do_not_reach_the_terminal_raw(mine):
    report = signed(mine)
    signer = signing.load(key_of(mine))
    content = envelope.seal(
        {"\u202er": report.read_bytes()}, run="\x1b[2J", version="0", signer=signer, now=datetime.now(UTC)
    )
    (mine.work / "report.json.dsse.json").write_bytes(content)
    for form in ("text", "json"):
        ran = mine.run("verify", "report.json", "-f", form)
        assert ran.code == 0 and "\x1b" not in ran.out and "\u202e" not in ran.out


def test_pages_are_checked_with_the_report(mine):
    signer = signing.load(Path(mine.home) / "k" / "signing.key")
    contents = {"r.html": b"index", "r-pages/1.html": b"one"}
    (mine.work / "r-pages").mkdir()
    for name, content in contents.items():
        (mine.work / name).write_bytes(content)
    sealed = envelope.seal(contents, run="r", version="0", signer=signer, now=datetime.now(UTC))
    (mine.work / "r.html.dsse.json").write_bytes(sealed)
    mine.write("k.pub", signing.ssh_line(signer.public) + "\n")
    ran = mine.run("verify", "r.html", "--key", "k.pub")
    assert ran.code == 0 and "with 1 page" in ran.out
    (mine.work / "r-pages/1.html").write_bytes(b"two")
    ran = mine.run("verify", "r.html", "--key", "k.pub")
    assert ran.code == 2 and "r-pages/1.html: was changed" in ran.err
    (mine.work / "r-pages/1.html").unlink()
    assert "is signed and cannot be read" in mine.run("verify", "r.html", "--key", "k.pub").err


def test_only_files_are_signed(mine):
    for args in (("-f", "json"), ("-f", "json", "-o", "/dev/null")):
        ran = mine.run("evaluate", "evidence.yaml", *args, "--sign")
        assert (ran.code, ran.out) == (2, "") and "only a file can be signed" in ran.err


def test_what_is_no_regular_file_is_not_waited_for(mine):
    signed(mine)
    (mine.work / "report.json.dsse.json").unlink()
    os.mkfifo(mine.work / "report.json.dsse.json")
    assert mine.run("verify", "report.json").code == 2
    signed(mine, name="b.json")
    (mine.work / "b.json").unlink()
    os.mkfifo(mine.work / "b.json")
    assert mine.run("verify", "b.json").code == 2


def test_wrong_calls(mine):
    assert mine.run("verify").code == 2
    assert mine.run("verify", "report.json", "--show-key").code == 2
    ran = mine.run("evaluate", "evidence.yaml", "-f", "checklist", "--framework", "isso27001")
    assert ran.code == 2 and "did you mean iso-27001?" in ran.err
    ran = mine.run("evaluate", "evidence.yaml", "-f", "checklist", "--framework", "cobol")
    assert ran.code == 2 and "frameworks: nist-800-63b-4, owasp-nhi" in ran.err
