"""Allowed-signers files, held to what ssh-keygen itself makes of them."""

import base64
import shutil
import subprocess
from datetime import UTC, datetime

import pytest

from auditor import signers, signing
from auditor.errors import InputError

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def blob(tmp_path_factory):
    return signing.ssh_line(signing.load(tmp_path_factory.mktemp("keys") / "signing.key").public).split()[2]


def allowed(tmp_path, text):
    path = tmp_path / "signers"
    path.write_text(text)
    return signers.allowed(path)


def counts(tmp_path, text, at=NOW):
    return [one.who for one in allowed(tmp_path, text) if one.may_sign(at)]


LINES = {
    "plain": ("anna {key}", True),
    "with a comment": ("anna {key} laptop of anna", True),
    "several names": ("anna,*@desk {key}", True),
    "our namespace": ('anna namespaces="git,auditor-report" {key}', True),
    "every namespace": ('anna namespaces="*" {key}', True),
    "another namespace": ('anna namespaces="git" {key}', False),
    "ours shut out": ('anna namespaces="!auditor-report,*" {key}', False),
    "ours shut out later": ('anna namespaces="*,!auditor-report" {key}', False),
    "a pattern": ('anna namespaces="auditor-?eport" {key}', True),
    "not yet": ('anna valid-after="20270101Z" {key}', False),
    "no longer": ('anna valid-before="20260101Z" {key}', False),
    "in between": ('anna valid-after="20260101Z",valid-before="202701010000Z" {key}', True),
    "to the second": ('anna valid-before="20261120095959Z" {key}', False),
    "the last second": ('anna valid-before="20261120100000Z" {key}', True),
    "the first second": ('anna valid-after="20261120100000Z" {key}', True),
    "a second late": ('anna valid-after="20261120100001Z" {key}', False),
    "all of it": ('anna namespaces="auditor-report",valid-after="20260101" {key} c', True),
    "tabs": ("anna\t{key}", True),
}


@pytest.mark.parametrize("name", LINES)
def test_lines_that_count_and_lines_that_do_not(tmp_path, blob, name):
    line, expected = LINES[name]
    assert bool(counts(tmp_path, line.format(key=f"ssh-ed25519 {blob}"))) is expected


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
@pytest.mark.parametrize("name", LINES)
def test_ssh_keygen_says_the_same(tmp_path, name):
    key, signed = tmp_path / "id", tmp_path / "m"
    signed.write_bytes(message := b"report")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", signers.NAMESPACE, signed]
    subprocess.run(sign, check=True, capture_output=True)
    line = LINES[name][0].format(key=" ".join((tmp_path / "id.pub").read_text().split()[:2]))
    (tmp_path / "allowed").write_text(line + "\n")
    verify = ["ssh-keygen", "-Y", "verify", "-f", tmp_path / "allowed", "-I", "anna", "-n", signers.NAMESPACE]
    verify += ["-s", tmp_path / "m.sig", "-O", "verify-time=20261120100000Z"]
    ran = subprocess.run(verify, input=message, capture_output=True, check=False)
    assert (ran.returncode == 0) is bool(counts(tmp_path, line)), ran.stderr


@pytest.mark.parametrize(
    "line",
    [
        "anna",
        "ssh-ed25519 {blob}",
        "anna ssh-ed25519",
        "anna ssh-ed25519 AAAA",
        "anna ssh-ed25519 {blob}x",
        "anna ssh-ed25519 {stripped}",
        "anna cert-authority ssh-ed25519 {blob}",
        "anna namespaces=git ssh-ed25519 {blob}",
        "anna namespaces ssh-ed25519 {blob}",
        'anna no-such-option="x" ssh-ed25519 {blob}',
        'anna namespaces="git",namespaces="*" ssh-ed25519 {blob}',
        'anna valid-after="tomorrow" ssh-ed25519 {blob}',
        'anna valid-after="20261301" ssh-ed25519 {blob}',
        'anna valid-after="00000000" ssh-ed25519 {blob}',
        'anna valid-after="20261120",valid-before="20261120" ssh-ed25519 {blob}',
        'anna valid-after="" ssh-ed25519 {blob}',
        'anna namespaces="git ssh-ed25519 {blob}',
    ],
)
def test_half_a_restriction_is_none(tmp_path, blob, line):
    with pytest.raises(InputError) as caught:
        allowed(tmp_path, "# team\n\n" + line.format(blob=blob, stripped=blob.rstrip("=")[:-2]) + "\n")
    assert [fault.line for fault in caught.value.faults] == [3]


def test_every_wrong_line_is_named_at_once(tmp_path, blob):
    with pytest.raises(InputError) as caught:
        allowed(tmp_path, f"a\nb ssh-ed25519 {blob}\nc\n")
    assert [fault.line for fault in caught.value.faults] == [1, 3]


def test_keys_of_other_kinds_sign_no_report(tmp_path, blob):
    assert allowed(tmp_path, "anna ssh-rsa AAAAB3Nza\nbert sk-ssh-ed25519@openssh.com AAAA\n") == ()
    assert [one.who for one in allowed(tmp_path, f"anna ssh-rsa AAAAB3Nza\nanna ssh-ed25519 {blob}\n")] == ["anna"]


def test_a_key_is_a_line_or_a_file_of_lines(tmp_path, blob):
    public = base64.b64decode(blob)[-32:]
    (one,) = signers.of_key(f"ssh-ed25519 {blob} anna at work")
    assert (one.who, one.public) == ("anna at work", public)
    path = tmp_path / "keys.pub"
    path.write_text(f"# known\nssh-ed25519 {blob}\ndesk ssh-ed25519 {blob}\n")
    assert [found.who for found in signers.of_key(str(path))] == [signing.key_id(public), "desk"]
    for text in ("", "# none\n", "ssh-rsa AAAA\n"):
        path.write_text(text)
        with pytest.raises(InputError):
            signers.of_key(str(path))
    with pytest.raises(InputError):
        signers.of_key("ssh-ed25519 AAAA")
    with pytest.raises(InputError):
        signers.of_key(str(tmp_path / "nowhere"))
