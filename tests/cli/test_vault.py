"""`auditor vault` as a person uses it, and accounts whose credentials lie in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from auditor import demo
from auditor.twin._base import Refusal, TwinVenue
from tests import stage
from tests.cli.test_terminal import at_terminal


@contextmanager
def broken(twin: TwinVenue) -> Iterator[None]:
    twin.fail(Refusal.MAINTENANCE)
    try:
        yield
    finally:
        twin.troubles.clear()


WORDS = "five words that hardly belong"
CANARY = "CANARY-canary-0123456789"


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    return stage.Stage(tmp_path)


@pytest.fixture(scope="module")
def twins() -> Iterator[dict[str, TwinVenue]]:
    with stage.twins("okx", "binance") as made:
        yield made


def passphrase(text: str = WORDS) -> int:
    """A descriptor from which a passphrase can be read."""
    ours, theirs = os.pipe()
    os.write(theirs, f"{text}\n".encode())
    os.close(theirs)
    return ours


def run(mine: stage.Stage, *args: str, given: str = WORDS, **more: str) -> stage.Ran:
    descriptors = [passphrase(given), *(passphrase(text) for text in more.values())]
    named = [part for name, held in zip(more, descriptors[1:], strict=True) for part in (f"--{name}", str(held))]
    try:
        return mine.run(*args, "--passphrase-fd", str(descriptors[0]), *named)
    finally:
        for held in descriptors:
            os.close(held)


@pytest.fixture
def made(mine: stage.Stage) -> stage.Stage:
    assert run(mine, "vault", "init", "--profile", "quick").code == 0
    return mine


def stored(mine: stage.Stage, twin: TwinVenue, name: str, *args: str, key: int = 0) -> stage.Ran:
    held = twin.sample_keys()[key]
    given = {"apiKey": held.api_key, "secret": held.secret, "password": held.password}
    mine.environ |= {f"DEMO_{twin.id}_{field}".upper(): given[field] for field in twin.credentials}
    block = demo.account(twin).credentials[0]
    fields = [part for field, reference in block.items() for part in ("--field", f"{field}={reference}")]
    return run(mine, "vault", "add", name, "--exchange", twin.id, "--endpoint", twin.url, *fields, *args)


def test_where_it_is_and_who_may_read_it(made):
    path = made.home / ".config/auditor/vault.bin"
    assert path.stat().st_mode & 0o777 == 0o600
    assert run(made, "vault", "list").out == "the vault is empty\n"
    again = run(made, "vault", "init", "--profile", "quick")
    assert (again.code, "already" in again.err) == (3, True)


def test_an_audit_with_a_key_from_the_vault(made, twins):
    added = stored(made, twins["okx"], "main-okx", "--accept-risk")
    assert added.code == 0, added.err
    assert "vault:main-okx/apiKey" in added.err
    fields = {field: f"vault:main-okx/{field}" for field in twins["okx"].credentials}
    account = {"name": "main-okx", "exchange": "okx", "endpoint": twins["okx"].url, "credentials": fields}
    made.write("auditor.yaml", json.dumps({"version": 1, "accounts": [account]}))
    made.environ = {name: text for name, text in made.environ.items() if not name.startswith("DEMO_")}
    with stage.hurried():
        audited = run(made, "audit", "-f", "json")
        collected = run(made, "collect", "-o", "evidence.json")
        checked = run(made, "preflight", "main-okx", "--format", "json")
    assert audited.out, audited.err
    assert audited.report["accounts"][0]["inventory"]["api_keys"]
    assert collected.code == 0, collected.err
    assert json.loads(checked.out)["keys"][0]["facts"]["can_read"] is True
    for secret in twins["okx"].sample_credentials().values():
        assert secret not in audited.out + audited.err + added.err + added.out


def test_a_key_that_can_do_more_than_read_is_not_stored(made, twins):
    refused = stored(made, twins["binance"], "strong", key=1)
    assert refused.code == 3
    assert "not stored" in refused.err
    assert "--accept-risk" in refused.err
    assert "never tick" in refused.err
    assert run(made, "vault", "list").out == "the vault is empty\n"


def test_a_key_that_cannot_be_tried_is_not_stored(made, twins):
    with broken(twins["okx"]), stage.hurried():
        refused = stored(made, twins["okx"], "silent")
    assert refused.code == 3
    assert "not known" in refused.err
    with broken(twins["okx"]), stage.hurried():
        assert stored(made, twins["okx"], "silent", "--accept-risk").code == 0
    assert run(made, "vault", "list").out == "silent: apiKey, password, secret\n"


def test_a_wrong_passphrase_and_a_damaged_file_are_told_apart(made):
    wrong = run(made, "vault", "list", given="four words that belong together")
    assert (wrong.code, "does not open" in wrong.err) == (3, True)
    path = made.home / ".config/auditor/vault.bin"
    raw = bytearray(path.read_bytes())
    raw[40] ^= 1
    path.write_bytes(raw)
    damaged = run(made, "vault", "list")
    assert (damaged.code, "damaged" in damaged.err) == (3, True)


def test_remove_and_typos(made, twins):
    stored(made, twins["okx"], "main-okx", "--accept-risk")
    typo = run(made, "vault", "remove", "main-okk")
    assert (typo.code, "did you mean main-okx?" in typo.err) == (2, True)
    taken = stored(made, twins["okx"], "main-okx", "--accept-risk")
    assert (taken.code, "--replace" in taken.err) == (2, True)
    assert run(made, "vault", "remove", "main-okx").code == 0
    assert json.loads(run(made, "vault", "list", "--format", "json").out) == {"entries": {}}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("Main", "--exchange", "okx"), "not a name"),
        (("main", "--exchange", "okxx"), "did you mean okx?"),
        (("main", "--exchange", "bitmex"), "without credentials"),
        (("main", "--exchange", "okx", "--field", f"apikey={CANARY}"), "did you mean apiKey?"),
        (("main", "--exchange", "okx", "--field", f"apiKey={CANARY}"), "not a reference"),
        (("main", "--exchange", "okx", "--field", CANARY), "unknown credential field"),
    ],
)
def test_what_is_written_wrongly_is_refused_and_not_shown(made, args, said):
    refused = run(made, "vault", "add", *args)
    assert refused.code in {2, 3}
    assert said in refused.err
    assert CANARY not in refused.err


def test_rekey(made, twins):
    stored(made, twins["okx"], "main-okx", "--accept-risk")
    new = "nine other words nobody thinks of"
    done = run(made, "vault", "rekey", "--profile", "quick", **{"new-passphrase-fd": new})
    assert done.code == 0, done.err
    assert run(made, "vault", "list").code == 3
    assert run(made, "vault", "list", given=new).out.startswith("main-okx:")


def test_a_short_passphrase_is_no_passphrase(mine):
    refused = run(mine, "vault", "init", given="short")
    assert (refused.code, "at least 12" in refused.err) == (3, True)
    assert not (mine.home / ".config/auditor/vault.bin").exists()


def test_a_key_instead_of_a_passphrase(mine, twins):
    mine.write("vault.key", "ab" * 32)
    assert mine.run("vault", "init", "--key", "file:vault.key").code == 0
    unsaid = mine.run("vault", "list")
    assert (unsaid.code, "nobody says where" in unsaid.err) == (3, True)
    account = {"name": "a", "exchange": "okx"}
    mine.write(
        "auditor.yaml",
        json.dumps({"version": 1, "accounts": [account], "vault": {"passphrase": "file:vault.key"}}),
    )
    assert mine.run("vault", "list").out == "the vault is empty\n"


def test_nobody_at_the_terminal(made):
    alone = made.process("vault", "list")
    assert alone.code == 3
    assert "--passphrase-fd" in alone.err


def test_no_vault_yet(mine):
    refused = run(mine, "vault", "list")
    assert (refused.code, "auditor vault init" in refused.err) == (3, True)


def test_at_a_terminal_it_is_typed_twice_and_never_shown(mine):
    typed = iter([WORDS, WORDS])
    code, screen = at_terminal(mine, "vault", "init", "--profile", "quick", reply=lambda _screen: next(typed, None))
    assert code == 0, screen
    assert WORDS not in screen
    typed = iter([WORDS])
    code, screen = at_terminal(mine, "vault", "list", reply=lambda _screen: next(typed, None))
    assert (code, "empty" in screen, WORDS in screen) == (0, True, False)


@pytest.mark.parametrize("typed", ["\udcff\udcfe and more words", "\x1b[A five words of mine"])
def test_what_is_typed_and_is_no_text_is_refused_and_not_shown(mine, typed):
    code, screen = at_terminal(mine, "vault", "init", "--profile", "quick", reply=lambda _screen: typed)
    assert code == 3, screen
    assert "not text" in screen
    assert "words" not in screen and "0xff" not in screen


@pytest.mark.parametrize("number", ["2147483647", "2147483648", "99999999999999999999"])
def test_a_number_that_no_descriptor_has(made, number):
    assert made.run("vault", "list", "--passphrase-fd", number).code == 3
    assert run(made, "vault", "rekey", "--new-passphrase-fd", number).code == 3


def test_the_name_of_a_file_is_text(mine):
    """On a terminal: elsewhere click takes some sequences out by itself."""
    code, screen = at_terminal(
        mine, "vault", "init", "--profile", "quick", "--file", "a\x1b]0;x\x1b[31mb\n.bin", reply=lambda _screen: WORDS
    )
    assert (code, "\x1b" in screen, r"a\x1b]0;x\x1b[31mb\x0a.bin made" in screen) == (0, False, True), screen


def test_no_passphrase_as_argument_or_variable(mine):
    mine.environ["AUDITOR_PASSPHRASE"] = mine.environ["VAULT_PASSPHRASE"] = WORDS
    assert mine.process("vault", "init").code == 3
    assert mine.process("vault", "init", "--passphrase", WORDS).code == 2


def test_a_key_is_made_in_the_keyring(mine: stage.Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring

    kept: dict[tuple[str, str], str] = {}
    monkeypatch.setattr(keyring, "get_password", lambda *place: kept.get(place))
    monkeypatch.setattr(keyring, "set_password", lambda service, name, key: kept.update({(service, name): key}))
    reference = "keyring:auditor/vault"
    assert mine.run("vault", "init", "--key", reference).code == 0
    (key,) = kept.values()
    assert (list(kept), len(bytes.fromhex(key))) == ([("auditor", "vault")], 32)
    account = {"name": "a", "exchange": "okx"}
    settings = {"version": 1, "accounts": [account], "vault": {"passphrase": reference}}
    mine.write("auditor.yaml", json.dumps(settings))
    listed = mine.run("vault", "list")
    assert (listed.out, key in listed.err) == ("the vault is empty\n", False)
    assert mine.run("vault", "init", "--key", reference, "--file", "second.bin").code == 0
    assert list(kept.values()) == [key], "a key that is there is kept"


def test_a_keyring_that_keeps_nothing(mine: stage.Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring
    import keyring.errors

    def refuse(*_place: str) -> None:
        raise keyring.errors.PasswordSetError("CANARY")

    monkeypatch.setattr(keyring, "get_password", lambda *_place: None)
    monkeypatch.setattr(keyring, "set_password", refuse)
    refused = mine.run("vault", "init", "--key", "keyring:auditor/vault")
    assert (refused.code, "cannot keep it" in refused.err, "CANARY" in refused.err) == (3, True, False)


def test_a_wrong_passphrase_is_asked_for_once_and_said_of_every_account(mine: stage.Stage) -> None:
    assert run(mine, "vault", "init", "--profile", "quick").code == 0
    fields = ("apiKey", "secret", "password")
    accounts = [
        {"name": name, "exchange": "okx", "credentials": {field: f"vault:{name}/{field}" for field in fields}}
        for name in ("first", "second")
    ]
    mine.write("auditor.yaml", json.dumps({"version": 1, "accounts": accounts}))
    typed: list[str] = []

    def reply(_screen: str) -> str | None:
        typed.append("wrong words that open nothing")
        return typed[-1]

    code, screen = at_terminal(mine, "audit", reply=reply)
    assert (code, len(typed)) == (3, 1), screen
    assert "first: apiKey" in screen
    assert "second: apiKey" in screen
