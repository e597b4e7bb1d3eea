"""The identity key: made once, kept private, the same for everybody who shares it."""

import multiprocessing
import os
import pickle
import stat

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from auditor import identity
from auditor.errors import CredentialError
from auditor.redaction import Secret

KEY = "00112233445566778899aabbccddeeff" * 2
SAMPLE = identity.Identity.ephemeral("test")


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def load(path):
    return identity.load(f"file:{path}", environ={})


def test_the_key_is_made_on_first_use_and_stays(tmp_path):
    path = tmp_path / "auditor" / "identity.key"
    before = os.umask(0)
    try:
        first = load(path).fingerprint("a")
    finally:
        os.umask(before)
    assert load(path).fingerprint("a") == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(path.read_text().strip()) == 64
    assert names(path.parent) == ["identity.key"]
    assert load(tmp_path / "other.key").fingerprint("a") != first


def test_home(tmp_path):
    identity.load("file:~/.config/auditor/identity.key", environ={"HOME": str(tmp_path)})
    assert (tmp_path / ".config/auditor/identity.key").is_file()


def _racer(path, gate, results):
    gate.wait()
    results.put(load(path).fingerprint("x"))


def test_all_who_come_at_once_end_with_the_same_key(tmp_path):
    context = multiprocessing.get_context("spawn")
    for turn in range(2):
        gate, results = context.Barrier(4), context.Queue()
        racers = [context.Process(target=_racer, args=(tmp_path / f"{turn}" / "k", gate, results)) for _ in range(4)]
        for racer in racers:
            racer.start()
        found = {results.get(timeout=60) for _ in racers}
        for racer in racers:
            racer.join(60)
            assert racer.exitcode == 0
        results.close()
        results.join_thread()
        assert found == {load(tmp_path / f"{turn}" / "k").fingerprint("x")}


def test_somebody_else_wins_at_the_last_moment(tmp_path, monkeypatch):
    path = tmp_path / "k"
    link = os.link

    def late(source, target):
        path.write_text(KEY)
        path.chmod(0o600)
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert load(path).fingerprint("a") == identity.Identity(Secret(KEY)).fingerprint("a")
    assert names(tmp_path) == ["k"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o644])
def test_a_key_others_can_read_is_refused(tmp_path, mode):
    (tmp_path / "k").write_text(KEY)
    (tmp_path / "k").chmod(mode)
    with pytest.raises(CredentialError, match="other users"):
        load(tmp_path / "k")


@pytest.mark.parametrize(
    "content",
    ["", "\n", KEY[:-1], KEY + "0", "g" * 64, KEY[:32] + "\n" + KEY[32:], " " * 64, f" {KEY}", "٣" * 64, "x" * 70000],
)
def test_a_malformed_key_is_refused_kept_and_not_shown(tmp_path, content):
    (tmp_path / "k").write_text(content)
    (tmp_path / "k").chmod(0o600)
    with pytest.raises(CredentialError) as caught:
        load(tmp_path / "k")
    assert caught.value.exit_code == 3
    assert KEY[:16] not in f"{caught.value} {caught.value.hint} {caught.value.__context__!r}"
    assert (tmp_path / "k").read_text() == content


def test_where_no_key_can_be_made(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "file" / "k", tmp_path / "dangling"):
        with pytest.raises(CredentialError):
            load(path)
    with pytest.raises(CredentialError, match="not a reference"):
        identity.load(KEY, environ={})
    assert names(tmp_path) == ["dangling", "file"]


def test_the_same_key_from_elsewhere_gives_the_same_fingerprints(tmp_path):
    (tmp_path / "k").write_text(KEY + "\n")
    (tmp_path / "k").chmod(0o600)
    kept = [
        load(tmp_path / "k"),
        identity.load("env:K", environ={"K": KEY.upper()}),
        identity.load(f"cmd:echo {KEY}", environ=os.environ),
    ]
    assert len({one.fingerprint("okx", "main", "id") for one in kept}) == 1
    with pytest.raises(CredentialError):
        identity.load("env:K", environ={})


def test_known_value():
    """Fixed for ever: history, waivers and baselines are looked up by it."""
    assert identity.Identity(Secret(KEY)).fingerprint("okx", "main", "id") == "3112bedb88b86a3e6a87c33d56567f40"


@given(st.lists(st.text(max_size=6), max_size=5), st.lists(st.text(max_size=6), max_size=5))
def test_different_parts_have_different_fingerprints(one, other):
    assume(one != other)
    assert SAMPLE.fingerprint(*one) != SAMPLE.fingerprint(*other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(("ab", "c"), ("a", "bc")), (("a", ""), ("a",)), (("",), ()), (("a\0b",), ("a", "b")), (("\ud800",), ("\udc00",))],
)
def test_boundaries_count(one, other):
    assert SAMPLE.fingerprint(*one) != SAMPLE.fingerprint(*other)


def test_shape_and_seed():
    found = SAMPLE.fingerprint("a")
    assert len(found) == 32 and set(found) <= set("0123456789abcdef")
    assert identity.Identity.ephemeral("test").fingerprint("a") == found
    assert identity.Identity.ephemeral("tesu").fingerprint("a") != found


def test_nothing_is_shown():
    held = identity.Identity(Secret(KEY))
    assert KEY[:8] not in f"{held!r} {held} {vars(type(held))}"
    with pytest.raises(TypeError):
        pickle.dumps(held)
