"""The installation's key: made once, kept to its owner, replaced without losing what it signed; nothing else verifies."""

from __future__ import annotations

import base64
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import signing
from auditor.errors import CredentialError
from auditor.redaction import scrub


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config" / "signing.key"


def test_made_on_first_use_and_the_same_ever_after(path: Path) -> None:
    first = signing.load(path)
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert signing.load(path) == first and len(first.public) == 32 and len(first.key_id) == 16
    assert signing.verify(first.public, b"said", signing.load(path).sign(b"said"))
    assert signing.known(path) == {first.key_id: first.public}


def test_the_key_is_never_shown(path: Path) -> None:
    signer = signing.load(path)
    seed = path.read_text().strip()
    assert seed not in repr(signer) and seed not in str(signer) and seed not in path.with_suffix(".pub").read_text()
    assert seed not in scrub(f"the key is {seed}!")
    with pytest.raises((TypeError, AttributeError)):
        pickle.dumps(signer)


@given(st.binary(max_size=200), st.integers(min_value=0, max_value=511))
def test_one_bit_makes_another_signature(message: bytes, bit: int) -> None:
    signer = _fixed()
    signature = signer.sign(message)
    assert signing.verify(signer.public, message, signature)
    bent = bytearray(signature)
    bent[bit // 8] ^= 1 << bit % 8
    assert not signing.verify(signer.public, message, bytes(bent))
    assert not signing.verify(signer.public, message + b"x", signature)
    assert not signing.verify(signer.public[::-1], message, signature)


def _fixed() -> signing.Signer:
    return signing._signer("00" * 31 + "07")


@pytest.mark.parametrize(
    ("public", "signature"), [(b"", b""), (b"x" * 31, b"y" * 64), (b"x" * 32, b""), (b"\x00" * 32, b"\x00" * 64)]
)
def test_what_is_malformed_is_no_signature(public: bytes, signature: bytes) -> None:
    assert signing.verify(public, b"anything", signature) is False


def test_rotation_keeps_the_old_public_key_and_every_line(path: Path) -> None:
    old = signing.load(path)
    said = old.sign(b"before")
    listed = path.with_suffix(".pub")
    theirs = signing._signer("ab" * 32)
    listed.write_text(
        listed.read_text() + "# of the server\nserver " + signing.ssh_line(theirs.public).split(" ", 1)[1]
    )
    new = signing.rotate(path)
    assert new.public != old.public and signing.load(path) == new
    assert set(signing.known(path)) == {old.key_id, new.key_id, theirs.key_id}
    assert signing.verify(signing.known(path)[old.key_id], b"before", said)
    assert "# of the server\nserver ssh-ed25519" in listed.read_text()


def test_lines_are_those_of_ssh(path: Path, tmp_path: Path) -> None:
    import shutil

    signer = signing.load(path)
    name, kind, encoded = signing.ssh_line(signer.public).split()
    assert (name, kind) == (signer.key_id, "ssh-ed25519") and signing.from_ssh(kind, encoded) == signer.public
    if shutil.which("ssh-keygen"):
        (tmp_path / "one.pub").write_text(f"{kind} {encoded}\n")
        done = subprocess.run(
            ["ssh-keygen", "-l", "-f", "one.pub"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert "ED25519" in done.stdout


@pytest.mark.parametrize("change", ["kind", "padding", "longer", "shorter", "head", "ünicode", "spaces"])
def test_a_public_key_is_spelled_in_one_way(change: str) -> None:
    _, kind, encoded = signing.ssh_line(_fixed().public).split()
    raw = base64.b64decode(encoded)
    kind = "ssh-rsa" if change == "kind" else kind
    encoded = {
        "padding": encoded + "=",
        "longer": base64.b64encode(raw + b"x").decode(),
        "shorter": base64.b64encode(raw[:-1]).decode(),
        "head": base64.b64encode(b"\x01" + raw[1:]).decode(),
        "ünicode": encoded[:-1] + "é",
        "spaces": encoded[:8] + "\n" + encoded[8:],
    }.get(change, encoded)
    assert signing.from_ssh(kind, encoded) is None


def test_a_key_that_others_can_read_is_refused(path: Path) -> None:
    signing.load(path)
    path.chmod(0o644)
    with pytest.raises(CredentialError, match="other users"):
        signing.load(path)


@pytest.mark.parametrize("held", ["", "zz" * 32, "ab" * 31, "AB" * 32, "ab" * 33, "\x00"])
def test_what_is_no_key_is_refused_and_left(path: Path, held: str) -> None:
    path.parent.mkdir()
    path.write_text(held)
    path.chmod(0o600)
    with pytest.raises(CredentialError) as caught:
        signing.load(path)
    assert path.read_text() == held and (not held or held not in caught.value.message)


def test_a_line_that_is_no_key_is_told(path: Path) -> None:
    signing.load(path)
    listed = path.with_suffix(".pub")
    listed.write_text(listed.read_text() + "ssh-rsa AAAA me\n")
    with pytest.raises(CredentialError, match="line 2"):
        signing.known(path)


def test_where_it_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CredentialError, match="cannot be made") as caught:
        signing.load(tmp_path / "file" / "signing.key")
    assert caught.value.hint


def test_it_lies_beside_the_identity_key() -> None:
    home = {"HOME": "/home/ana"}
    assert signing.place("file:/keys/identity.key", home) == Path("/keys/signing.key")
    assert signing.place("env:IDENTITY", home) == Path("/home/ana/.config/auditor/signing.key")
    assert signing.place("env:IDENTITY", {**home, "XDG_CONFIG_HOME": "/etc/xdg"}) == Path(
        "/etc/xdg/auditor/signing.key"
    )
    assert signing.place("env:IDENTITY", {**home, "XDG_CONFIG_HOME": "odd"}) == Path(
        "/home/ana/.config/auditor/signing.key"
    )


def test_two_who_come_first_agree(path: Path) -> None:
    code = "import sys; from pathlib import Path; from auditor import signing; print(signing.load(Path(sys.argv[1])).key_id)"
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = {run.communicate(timeout=60)[0].strip() for run in runs}
    assert said == {signing.load(path).key_id}
