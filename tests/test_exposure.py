"""Secrets in the open and packages that steal, found where they lie; and nothing else found."""

import os
import subprocess
import time
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import exposure, lookalikes
from auditor.exposure import Found, look
from auditor.redaction import Secret

SECRET = "s3cret/Value+with=odd-chars_0001"
HELD = {"main-okx: secret": Secret(SECRET), "desk: secret": Secret("another-secret-0002")}
PEM = (
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIInvented0000000000000000000000000000\n-----END PRIVATE KEY-----"
)


def git(folder, *args):
    quiet = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    name = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    subprocess.run(["git", *name, *args], cwd=folder, check=True, capture_output=True, env=quiet)


def seen(*places, home=None, **more):
    return look(places, HELD, home=home, **more)


@pytest.mark.parametrize(
    "text",
    [
        f"OKX_SECRET={SECRET}\n",
        f'export OKX_SECRET="{SECRET}"; ./bot',
        f'{{"secret":"{SECRET}"}}',
        f"secret: {SECRET}",
        f"curl -H 'X-Secret:{SECRET}'",
        SECRET,
        f"\x00\x01{SECRET}\xff",
    ],
)
@pytest.mark.parametrize("name", [".env", "bot.py", "notes/backup.txt", ".config/tool.json"])
def test_a_secret_in_a_file(tmp_path, text, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="latin-1")
    assert seen(tmp_path).secrets == (Found(whose="main-okx: secret", place=str(path)),)


SPELLED = {
    "for a URL": b"s3cret%2FValue%2Bwith%3Dodd-chars_0001",
    "for the path of a URL": f"https://h/{quote(SECRET)}".encode(),
    "in JSON of PHP": rb'{"s":"s3cret\/Value+with=odd-chars_0001"}',
    "by PowerShell": f"OKX_SECRET={SECRET}\r\n".encode("utf-16"),
    "in a Kubernetes secret": b"data:\n  s: " + b64encode(SECRET.encode()),
    "in one made with echo": b"data:\n  s: " + b64encode(f"{SECRET}\n".encode()),
}


@pytest.mark.parametrize("how", SPELLED)
def test_a_secret_as_files_spell_it(tmp_path, how):
    (tmp_path / "file").write_bytes(b"before\n" + SPELLED[how] + b"\nafter")
    assert {one.whose for one in seen(tmp_path).secrets} == {"main-okx: secret"}


def test_a_secret_that_a_shell_must_be_told_of(tmp_path):
    (tmp_path / ".zsh_history").write_text(r": 1732100000:0;export S=pa\$\$w\ rd\!0001")
    assert look([], {"a": Secret("pa$$w rd!0001")}, home=tmp_path).secrets


@pytest.mark.parametrize("at", [0, exposure.PIECE - 10, exposure.PIECE, 2 * exposure.PIECE - 1, 2 * exposure.PIECE + 5])
def test_a_log_however_long_is_read_to_its_end(tmp_path, at):
    (tmp_path / "bot.log").write_bytes(b"x" * at + SECRET.encode() + b"y" * (exposure.PIECE // 2))
    assert len(seen(tmp_path).secrets) == 1


def test_what_is_not_quite_it_is_not_found(tmp_path):
    (tmp_path / ".env").write_text(f"{SECRET[:-1]}\n{SECRET[1:]}\n{SECRET.upper()}\nOKX_SECRET=env:OKX_SECRET\n")
    assert seen(tmp_path) == exposure.Exposure()


@given(st.text(max_size=300))
def test_nothing_is_found_where_nothing_is(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("any")
    (folder / "any.txt").write_text(text, encoding="utf-8", errors="replace")
    assert bool(seen(folder).secrets) is (SECRET in text)


def test_shell_histories(tmp_path):
    (tmp_path / ".bash_history").write_text(f"ls\nexport A={SECRET}\n")
    fish = tmp_path / ".local/share/fish/fish_history"
    fish.parent.mkdir(parents=True)
    fish.write_text("- cmd: echo another-secret-0002\n")
    assert [one.whose for one in seen(home=tmp_path).secrets] == ["desk: secret", "main-okx: secret"]
    assert seen().secrets == ()


@pytest.mark.parametrize("where", ["committed", "deleted", "amended", "in the message", "stashed", "in a tag"])
def test_a_secret_that_git_still_knows(tmp_path, where):
    git(tmp_path, "init", "-q")
    file = tmp_path / "config.ini"
    file.write_text("nothing" if where in {"in the message", "in a tag", "stashed"} else f"secret={SECRET}")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", f"use {SECRET}" if where == "in the message" else "begin")
    if where == "deleted":
        git(tmp_path, "rm", "-q", "config.ini")
        git(tmp_path, "commit", "-q", "-m", "clean up")
    elif where == "amended":
        file.write_text("clean")
        git(tmp_path, "commit", "-q", "-a", "--amend", "-m", "begin")
    elif where == "stashed":
        file.write_text(SECRET)
        git(tmp_path, "stash")
    elif where == "in a tag":
        git(tmp_path, "tag", "-a", "v1", "-m", SECRET)
    if file.exists():
        file.unlink()
    found = seen(tmp_path)
    assert {one.whose for one in found.secrets} == {"main-okx: secret"}
    assert any("git object" in one.place for one in found.secrets)
    assert all("git object" in one.place or "/.git/" in one.place for one in found.secrets)
    assert found.unread == ()


def test_repositories_under_other_names(tmp_path):
    """A mirror without a working tree, and the history of a submodule, which lies in that of its parent."""
    for place in ("mirror.git", "work/.git/modules/lib"):
        (tmp_path / place).mkdir(parents=True)
        git(tmp_path / place, "init", "-q", "--bare")
        blob = subprocess.run(
            ["git", "hash-object", "-w", "--stdin"],
            cwd=tmp_path / place,
            input=SECRET.encode(),
            check=True,
            capture_output=True,
        )
        assert len(blob.stdout) > 40
    places = [one.place for one in seen(tmp_path).secrets]
    assert len(places) == 2 and "mirror.git" in places[0] and "modules/lib" in places[1]


def test_a_large_object(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "dump.sql").write_bytes(b"x" * (exposure.PIECE - 5) + SECRET.encode() + b"y" * exposure.PIECE)
    git(tmp_path, "add", ".")
    (tmp_path / "dump.sql").unlink()
    assert [one.whose for one in seen(tmp_path).secrets] == ["main-okx: secret"]


def test_a_repository_that_never_answers(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    place = tmp_path / ".git/objects/ab"
    place.mkdir()
    os.mkfifo(place / ("c" * 38))
    monkeypatch.setattr(exposure, "PATIENCE", 0.5)
    started = time.monotonic()
    assert any(".git" in one for one in seen(tmp_path).unread)
    assert time.monotonic() - started < 30


def test_files_of_the_system_are_not_read(tmp_path):
    """They have no length, and some of them wait for ever."""
    assert Path("/proc/self/status").stat().st_size == 0
    held = {"a": Secret(Path("/proc/self/status").read_text().splitlines()[0])}
    assert look([Path("/proc/self/status")], held, home=None).secrets == ()


def test_a_history_that_is_a_link(tmp_path):
    (tmp_path / "kept").write_text(SECRET)
    (tmp_path / ".bash_history").symlink_to(tmp_path / "kept")
    assert [one.place for one in seen(home=tmp_path).secrets] == [str(tmp_path / ".bash_history")]


def test_git_is_asked_for_bytes_and_runs_nothing(tmp_path):
    git(tmp_path, "init", "-q")
    witness = tmp_path / "ran"
    for key in ("core.fsmonitor", "core.sshCommand", "diff.external", "core.pager", "core.editor", "alias.cat-file"):
        git(tmp_path, "config", key, f"touch {witness}")
    (tmp_path / ".gitattributes").write_text("* filter=evil diff=evil\n")
    git(tmp_path, "config", "filter.evil.smudge", f"touch {witness}")
    git(tmp_path, "config", "diff.evil.textconv", f"touch {witness}")
    (tmp_path / "a").write_text(SECRET)
    git(tmp_path, "-c", "core.fsmonitor=false", "add", "a")
    seen(tmp_path)
    assert not witness.exists()


def test_a_broken_repository_is_said_to_be_unread(tmp_path):
    (tmp_path / ".git").mkdir()
    assert any(".git" in place for place in seen(tmp_path).unread)


def test_the_file_a_secret_is_kept_in_on_purpose(tmp_path):
    kept = tmp_path / "okx.secret"
    kept.write_text(SECRET)
    (tmp_path / "link").symlink_to(kept)
    assert seen(tmp_path, own=[kept]).secrets == ()
    (tmp_path / "copy").write_text(SECRET)
    assert [one.place for one in seen(tmp_path, own=[kept]).secrets] == [str(tmp_path / "copy")]


def test_a_key_of_many_lines_is_found_by_its_longest(tmp_path):
    (tmp_path / "key.yaml").write_text("key: |\n" + "".join(f"    {line}\r\n" for line in PEM.splitlines()))
    assert look([tmp_path], {"a": Secret(PEM)}, home=None).secrets


def test_a_short_secret_is_not_looked_for(tmp_path):
    (tmp_path / "a").write_text("1234567")
    assert look([tmp_path], {"pin": Secret("1234567")}, home=None).secrets == ()


def test_links_pipes_and_what_cannot_be_read(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_text(SECRET)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    os.mkfifo(inside / "pipe")
    assert seen(inside) == exposure.Exposure()
    assert seen(tmp_path / "nowhere").unread == (str(tmp_path / "nowhere"),)


def test_a_folder_that_takes_too_long_is_said_to_be_unread(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("a")
    monkeypatch.setattr(exposure, "PATIENCE", -1.0)
    assert "too large" in seen(tmp_path).unread[0]


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (".venv/lib/python3.11/site-packages/ccxt_mexc_futures-0.1.dist-info", "ccxt-mexc-futures"),
        ("lib/site-packages/CCXT.mexc_futures-0.1.egg-info", "ccxt-mexc-futures"),
        ("lib/site-packages/ccxt_mexc_futures", "ccxt-mexc-futures"),
        ("bot/node_modules/js-web3.prc", "js-web3.prc"),
        ("bot/node_modules/good/node_modules/js-web3.prc", "js-web3.prc"),
        ("bot/node_modules/@good/one/node_modules/@wagni_bot/any", "@wagni_bot/*"),
        ("bot/node_modules/.pnpm/js-web3.prc@1.0.0/node_modules/js-web3.prc", "js-web3.prc"),
        ("usr/lib/python3/dist-packages/ccxt_mexc_futures", "ccxt-mexc-futures"),
        ("bot/node_modules/@wagni_bot/binance-sdk", "@wagni_bot/*"),
    ],
)
def test_a_package_that_steals(tmp_path, place, name):
    (tmp_path / place).mkdir(parents=True)
    ((package, _where),) = seen(tmp_path).packages
    assert (package.name, package.seen < "2026-11-21", package.source.startswith("https://")) == (name, True, True)


def test_links_between_packages_do_not_lead_in_circles(tmp_path):
    package = tmp_path / "node_modules/good"
    package.mkdir(parents=True)
    (package / "node_modules").symlink_to(tmp_path / "node_modules")
    (tmp_path / "node_modules/js-web3.prc").symlink_to(package)
    assert len(seen(tmp_path).packages) == 1


@pytest.mark.parametrize(
    "place",
    [
        "lib/site-packages/ccxt-4.5.90.dist-info",
        "lib/site-packages/ccxt",
        "bot/node_modules/@wagni/binance-sdk",
        "bot/node_modules/set-utils",
        "src/ccxt-mexc-futures",
        "src/js-web3.prc",
    ],
)
def test_a_good_package_is_left_alone(tmp_path, place):
    (tmp_path / place).mkdir(parents=True)
    assert seen(tmp_path).packages == ()


def test_files_of_the_program_that_others_can_read(tmp_path):
    for name, mode in (("auditor.yaml", 0o644), ("identity.key", 0o600), ("vault.bin", 0o640)):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(mode)
    private = [tmp_path / name for name in ("auditor.yaml", "identity.key", "vault.bin", "missing")]
    assert look([], {}, home=None, private=private).readable == (str(private[0]), str(private[2]))


def test_the_list_is_dated_and_sourced():
    assert len(lookalikes.known_packages()) >= 5
    for package in lookalikes.known_packages():
        assert package.ecosystem in {"pypi", "npm"}
        assert package.source.startswith("https://")
        assert package.ecosystem != "pypi" or package.name == lookalikes._NORMAL.sub("-", package.name).lower()
