"""References are resolved, or refused without a word of what they hold."""

import os
import sys
import time
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import credentials
from auditor.errors import CredentialError
from auditor.redaction import Secret
from auditor.vault import Vault

CANARY = "CaNaRy7c9e1f-Zq8w"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIA==\nabc\n-----END EC PRIVATE KEY-----"


def resolve(reference, **environ):
    return credentials.resolve(reference, environ={"PATH": os.environ["PATH"], **environ}, field="main-okx: secret")


def refused(reference, **environ):
    with pytest.raises(CredentialError) as caught:
        resolve(reference, **environ)
    error = caught.value
    assert error.exit_code == 3
    assert error.message.startswith("main-okx: secret: ")
    assert CANARY not in everything_shown(error)
    return error


def everything_shown(error):
    seen, shown = error, []
    while seen is not None:
        shown += [str(seen), repr(seen), repr(vars(seen)), *traceback.format_exception(seen)]
        shown += [str(getattr(seen, name, "")) for name in ("object", "output", "cmd", "doc", "filename")]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(shown)


def private(path, content, mode=0o600):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return f"file:{path}"


@pytest.mark.parametrize(
    "text",
    [
        "env:A",
        "env:_a1",
        "file:a",
        "file:~/a b",
        "keyring:a/b",
        "keyring:https://x/y",
        "cmd:op read 'op://v/i'",
        "vault:main-okx/apiKey",
    ],
)
def test_references(text):
    assert credentials.is_reference(text)


@pytest.mark.parametrize(
    "text",
    [
        None, 3, [], "", ":", "env", "env:", "env:1", "env:A-B", "env:A\n", "env:Ä", " env:A", "ENV:A", "file:", "file: x", "file:a\0b",
        "file:a\u202eb", "keyring:a", "keyring:/b", "keyring:a/", "cmd:", "cmd: x", "cmd:a\nb", "cmd:'", "cmd:''\\", "vault:", "vault:main", "vault:../é", "vault:a/b/c", "vault:A/apiKey", "s3:x",
        "env:" + "A" * 500, "file:" + "a" * 5000, "file:\udc80",
    ],
)  # fmt: skip
def test_what_is_no_reference(text):
    assert not credentials.is_reference(text)


@pytest.mark.parametrize("literal", [CANARY, f"sk:{CANARY}", f"env:{CANARY}", f"file:\n{CANARY}", ""])
def test_a_literal_is_not_resolved_nor_shown(literal):
    assert "not a reference" in refused(literal).message


@pytest.mark.parametrize("value", [CANARY, "a b", "ünï", PEM])
def test_environment(value):
    assert resolve("env:K", K=value).reveal() == value


def test_environment_missing_and_empty():
    assert "$OKX_API_KEY is not set" in refused("env:OKX_API_KEY").message
    assert "is empty" in refused("env:OKX_API_KEY", OKX_API_KEY="").message
    assert "is empty" in refused("env:OKX_API_KEY", OKX_API_KEY="  ").message


@pytest.mark.parametrize(
    "name", ["CaNaRy7c9e1fZq8w", "sk_live_CaNaRy", "KJH2K34JH5KJ3H45KJH3K4J5H3", "AKIAIOSFODNN7EXAMPLE0_X"]
)
def test_a_key_after_env_is_not_taken_for_a_name(name):
    assert name not in everything_shown(refused(f"env:{name}"))


BAD_VALUES = [
    f"{CANARY}\n", f"\n{CANARY}", f"{CANARY}\r\n{CANARY}", f"{CANARY}\0", f"{CANARY}\x1b[31m", f"{CANARY}\x85", f"{CANARY}\u2028", f"{CANARY}\t",
    f"{CANARY}\x7f", f"{CANARY}\udc80", f"{PEM}\x00{CANARY}", f"{PEM}\n{CANARY}", f"{CANARY}\n{PEM}", f"-----BEGIN X-----\n{CANARY}",
]  # fmt: skip


@pytest.mark.parametrize("value", BAD_VALUES, ids=repr)
def test_control_characters_are_refused(value):
    refused("env:K", K=value)


@given(st.text(max_size=40))
def test_no_control_character_is_ever_let_through(value):
    try:
        held = resolve("env:K", K=value).reveal()
    except CredentialError:
        return
    assert held == value and held.strip() and held.encode()
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in held)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (CANARY, CANARY),
        (f"{CANARY}\n", CANARY),
        (f"{CANARY}\r\n", CANARY),
        (f"\ufeff{CANARY}\n", CANARY),
        (f"{PEM}\n", PEM),
        (PEM.replace("\n", "\r\n") + "\r\n", PEM),
        ("k" * 65536, "k" * 65536),
    ],
)
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_file(tmp_path, content, value, mode):
    assert resolve(private(tmp_path / "key", content, mode)).reveal() == value


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666, 0o620, 0o602, 0o660, 0o777, 0o610, 0o601])
def test_file_that_others_can_reach(tmp_path, mode):
    error = refused(private(tmp_path / "key", CANARY, mode))
    assert "other users" in error.message and "chmod 600" in error.hint


def test_file_of_somebody_else(tmp_path, monkeypatch):
    reference = private(tmp_path / "key", CANARY)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    assert "another user" in refused(reference).message


@pytest.mark.parametrize(
    "content", [b"", b"\n", b" \n", b"\xff\xfe", CANARY.encode() + b"\xff", b"k" * 65537, b"\0" * 100]
)
def test_file_with_bad_content(tmp_path, content):
    refused(private(tmp_path / "key", content))


def test_file_that_is_none(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("pipe", "folder"):
        assert "not a regular file" in refused(f"file:{tmp_path / name}").message
    for name in ("dangling", "loop", "missing", "missing/x"):
        assert "cannot be read" in refused(f"file:{tmp_path / name}").message
    assert "not a regular file" in refused("file:/dev/null").message


def test_a_link_to_a_private_file_is_followed_and_its_target_checked(tmp_path):
    private(tmp_path / "open", CANARY, 0o644)
    private(tmp_path / "closed", CANARY)
    for name in ("open", "closed"):
        (tmp_path / f"to-{name}").symlink_to(tmp_path / name)
    assert resolve(f"file:{tmp_path}/to-closed").reveal() == CANARY
    refused(f"file:{tmp_path}/to-open")


def test_what_is_checked_is_what_is_read(tmp_path, monkeypatch):
    """The file is swapped for an open one between the opening and the check."""
    reference = private(tmp_path / "key", CANARY, 0o644)
    opened = os.open

    def swapping(path, flags, *rest, **options):
        descriptor = opened(path, flags, *rest, **options)
        if str(path) == str(tmp_path / "key"):
            private(tmp_path / "other", "harmless")
            (tmp_path / "other").replace(path)
        return descriptor

    monkeypatch.setattr(os, "open", swapping)
    assert "other users" in refused(reference).message


def test_home(tmp_path):
    private(tmp_path / "key", CANARY)
    assert resolve("file:~/key", HOME=str(tmp_path)).reveal() == CANARY


def python(code):
    return f'cmd:{sys.executable} -c "{code}"'


def test_command():
    assert resolve(f"cmd:printf '%s\\n' {CANARY}").reveal() == CANARY
    assert resolve(python("import os; print(os.environ['K'])"), K=CANARY).reveal() == CANARY
    assert resolve(python("import sys; print(len(sys.stdin.read()))")).reveal() == "0"
    assert resolve(python("print('k' * 65535)")).reveal() == "k" * 65535


def test_command_is_no_shell():
    assert resolve("cmd:echo $HOME;id|cat").reveal() == "$HOME;id|cat"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (f"cmd:/nonexistent/{CANARY}", "cannot be started"),
        (f"cmd:{CANARY}", "cannot be started"),
        ("cmd:/", "cannot be started"),
        ("cmd:false", "exit code 1"),
        ("cmd:true", "is empty"),
        (python(f"import sys; print('{CANARY}'); sys.exit('{CANARY}')"), "exit code 1"),
        (python(f"import sys; sys.stderr.write('{CANARY}'); sys.exit(7)"), "exit code 7"),
        (python(f"print('{CANARY}' * 9999)"), "64 KiB"),
        (python("import sys; sys.stdout.buffer.write(bytes([255]))"), "UTF-8"),
        (python(f"print('{CANARY}'); print('{CANARY}')"), "line break"),
        (python("import os; os.kill(os.getpid(), 9)"), "exit code -9"),
    ],
)
def test_command_that_fails(reference, message, capfd):
    assert message in refused(reference).message
    assert CANARY not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "code",
    [
        "import time; print(1, flush=True); time.sleep(60)",
        "import os, time; os.close(1); time.sleep(60)",
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])",
    ],
    ids=["talks and stays", "closes its output and stays", "leaves a child behind"],
)
def test_command_that_does_not_end(monkeypatch, code):
    monkeypatch.setattr(credentials, "PATIENCE", 1.0)
    began = time.monotonic()
    assert "1 s" in refused(python(code)).message
    assert time.monotonic() - began < 10


def test_a_stopped_command_takes_its_children_along(tmp_path, monkeypatch):
    monkeypatch.setattr(credentials, "PATIENCE", 1.0)
    script = tmp_path / "slow.sh"
    script.write_text(f"sleep 61 & echo $! > {tmp_path}/child\nsleep 61\n")
    refused(f"cmd:sh {script}")
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(child)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_endless_talker_is_stopped_early():
    began = time.monotonic()
    assert "64 KiB" in refused("cmd:yes").message
    assert time.monotonic() - began < 10


@pytest.fixture
def ring(monkeypatch):
    import keyring

    def use(answer):
        def get_password(service, name):
            if isinstance(answer, Exception):
                raise answer
            return answer.get((service, name))

        monkeypatch.setattr(keyring, "get_password", get_password)

    return use


def test_keyring(ring):
    ring({("auditor/okx", "main"): CANARY})
    assert resolve("keyring:auditor/okx/main").reveal() == CANARY
    assert "holds nothing" in refused("keyring:auditor/okx").message
    ring({("a", "b"): ""})
    refused("keyring:a/b")


def test_keyring_that_does_not_answer(ring):
    from keyring import errors

    for problem, word in [
        (errors.NoKeyringError(CANARY), "no backend"),
        (errors.KeyringLocked(CANARY), "locked"),
        (errors.InitError(CANARY), "InitError"),
        (RuntimeError(CANARY), "RuntimeError"),
        (OSError(CANARY), "OSError"),
    ]:
        ring(problem)
        assert word in refused("keyring:a/b").message


def test_a_machine_without_a_keyring(monkeypatch):
    import keyring
    from keyring.backends.fail import Keyring

    monkeypatch.setattr(keyring.core, "_keyring_backend", Keyring())
    assert "no backend" in refused("keyring:a/b").message


def test_what_opens_the_vault_is_not_kept_in_it():
    assert "cannot be kept in the vault" in refused("vault:main/apiKey").message


def test_the_vault_is_opened_when_it_is_needed(tmp_path):
    made = Vault.make(tmp_path / "vault.bin", Secret("ab" * 32), cost=None)
    made.put("main", {"apiKey": Secret(CANARY)})
    opened = []

    def vault():
        opened.append(1)
        return made

    sources = credentials.Sources(environ={"A": "1"}, vault=vault)
    assert sources.resolve({"apiKey": "env:A"}, account="main") == {"apiKey": Secret("1")}
    assert not opened
    assert sources.resolve({"apiKey": "vault:main/apiKey"}, account="main") == {"apiKey": Secret(CANARY)}
    for reference, said in (
        ("vault:other/apiKey", "no entry other"),
        ("vault:main/secret", "no secret in its entry main"),
    ):
        with pytest.raises(CredentialError, match=said):
            sources.resolve({"apiKey": reference}, account="main")


def test_a_block_names_account_and_field():
    held = credentials.Sources(environ={"A": "1", "B": CANARY}).resolve(
        {"apiKey": "env:A", "secret": "env:B"}, account="main"
    )
    assert held["secret"] == Secret(CANARY) and list(held) == ["apiKey", "secret"]
    assert CANARY not in repr(held)
    with pytest.raises(CredentialError, match=r"^main: secret: "):
        credentials.Sources(environ={"A": CANARY}).resolve({"apiKey": "env:A", "secret": "env:B"}, account="main")


def test_proposed_variables():
    assert credentials.proposed_variable("okx", "password") == "OKX_PASSPHRASE"
    assert all(
        credentials.is_reference(f"env:{credentials.proposed_variable('a.b-c', name)}") for name in credentials.FIELDS
    )
