"""The vault: what opens it, what does not, and what a stranger can do to the file."""

import multiprocessing
import os
import signal
import stat
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.errors import CredentialError
from auditor.redaction import Secret
from auditor.vault import (
    DamagedError,
    Kind,
    TamperedError,
    Vault,
    WrongKeyError,
    crypto,
    format,  # noqa: A004  (the room's own module)
    kind_of,
    store,
)

CHEAP = crypto.FLOOR
PASSPHRASE = Secret("correct horse battery staple")
ENTRY = {"apiKey": Secret("AKEXAMPLE0001"), "secret": Secret("sekrit-value-0001")}
OTHER = {"privateKey": Secret("-----BEGIN KEY-----\nabc\n-----END KEY-----")}


def opener(held=PASSPHRASE):
    return lambda _kind: held


@pytest.fixture
def path(tmp_path):
    return tmp_path / "config" / "vault.bin"


@pytest.fixture
def vault(path):
    made = Vault.make(path, PASSPHRASE, cost=CHEAP)
    made.put("main-okx", ENTRY)
    made.put("desk", OTHER)
    return made


def test_what_was_put_in_comes_out(vault, path):
    opened = Vault.open(path, opener())
    assert opened.names() == ["desk", "main-okx"]
    assert opened.entry("main-okx") == ENTRY
    assert opened.entry("desk") == OTHER
    assert opened.entry("nobody") is None
    assert kind_of(path) is Kind.PASSPHRASE


def test_the_file_is_private_and_says_no_name(vault, path):
    raw = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for word in (b"main-okx", b"desk", b"apiKey", b"AKEXAMPLE", b"sekrit"):
        assert word not in raw


def test_lengths_say_little(path):
    made = Vault.make(path, PASSPHRASE, cost=CHEAP)
    made.put("a", {"apiKey": Secret("x")})
    short = path.stat().st_size
    made.put("a", {"apiKey": Secret("x" * 300)}, replace=True)
    assert path.stat().st_size == short


def test_a_wrong_passphrase_is_no_damage(vault, path):
    with pytest.raises(WrongKeyError):
        Vault.open(path, opener(Secret("correct horse battery stapler")))


def test_letters_composed_and_decomposed_are_one(path):
    Vault.make(path, Secret("caf\u00e9 au lait"), cost=CHEAP)
    assert Vault.open(path, opener(Secret("cafe\u0301 au lait"))).names() == []


def test_every_flipped_bit_is_damage(vault, path):
    raw = bytearray(path.read_bytes())
    for place in range(len(raw)):
        bit = 1 << (place % 8)
        raw[place] ^= bit
        with pytest.raises(CredentialError) as raised:
            format.decode(bytes(raw))
        assert isinstance(raised.value, DamagedError)
        raw[place] ^= bit


@pytest.mark.parametrize("cut", [0, 1, 13, 14, 40, 100, -1, -33])
def test_a_truncated_file_is_damage(vault, path, cut):
    with pytest.raises(DamagedError):
        format.decode(path.read_bytes()[:cut])


def resealed(body):
    import hashlib

    return body + hashlib.sha256(body).digest()


def test_a_stranger_who_mends_the_checksum_changes_nothing_unnoticed(vault, path):
    """Each byte changed with the checksum made anew: refused as tampered, as a wrong key, or as no vault."""
    body = bytearray(path.read_bytes()[:-32])
    head = len(format.header(format.decode(path.read_bytes()).lock))
    costly = range(17, 25)  # memory and passes: refused by their bounds, or as a wrong key after minutes of work
    for place in [*range(head), *range(head, len(body), 41)]:
        if place in costly:
            continue
        body[place] ^= 0x01
        path.write_bytes(resealed(bytes(body)))
        with pytest.raises(CredentialError):
            Vault.open(path, opener())
        body[place] ^= 0x01


def swapped(sealed, records):
    return format.encode(format.Sealed(lock=sealed.lock, wrapped=sealed.wrapped, records=tuple(records)))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda records: records[::-1], id="moved"),
        pytest.param(lambda records: records[:1], id="one left out"),
        pytest.param(lambda _records: [], id="all left out"),
        pytest.param(lambda records: [records[0], records[0]], id="one twice"),
        pytest.param(lambda records: [*records, records[0]], id="one added"),
    ],
)
def test_records_cannot_be_moved(vault, path, change):
    sealed = format.decode(path.read_bytes())
    path.write_bytes(swapped(sealed, change(list(sealed.records))))
    with pytest.raises((TamperedError, WrongKeyError)):
        Vault.open(path, opener())


def test_a_record_of_an_older_file_does_not_open(vault, path):
    old = format.decode(path.read_bytes())
    vault.put("third", ENTRY)
    vault.remove("third")
    new = format.decode(path.read_bytes())
    path.write_bytes(swapped(new, old.records))
    with pytest.raises(TamperedError):
        Vault.open(path, opener())


@pytest.mark.parametrize(
    ("memory", "passes", "lanes"), [(8, 3, 1), (2**31, 1, 1), (65536, 1, 4), (65536, 17, 4), (65536, 3, 17)]
)
def test_an_effort_out_of_bounds_is_refused_before_anybody_types(vault, path, memory, passes, lanes):
    sealed = format.decode(path.read_bytes())
    lock = format.Lock(kind=Kind.PASSPHRASE, memory=memory, passes=passes, lanes=lanes, salt=sealed.lock.salt)
    path.write_bytes(format.encode(format.Sealed(lock=lock, wrapped=sealed.wrapped, records=sealed.records)))

    def nobody(_kind):
        raise AssertionError("asked for a passphrase")

    with pytest.raises(CredentialError, match="effort"):
        Vault.open(path, nobody)


def test_a_version_to_come_is_not_damage(vault, path):
    raw = bytearray(path.read_bytes()[:-32])
    raw[14] = 2
    with pytest.raises(CredentialError, match="version 2") as raised:
        format.decode(resealed(bytes(raw)))
    assert not isinstance(raised.value, DamagedError)


BLOBS = st.binary(min_size=17, max_size=80)
LOCKS = st.one_of(
    st.builds(
        format.Lock,
        kind=st.just(Kind.PASSPHRASE),
        memory=st.integers(0, 2**32 - 1),
        passes=st.integers(0, 2**32 - 1),
        lanes=st.integers(0, 255),
        salt=st.binary(min_size=16, max_size=16),
    ),
    st.builds(
        format.Lock,
        kind=st.just(Kind.KEY),
        memory=st.just(0),
        passes=st.just(0),
        lanes=st.just(0),
        salt=st.binary(min_size=16, max_size=16),
    ),
)
SEALED = st.builds(
    format.Sealed,
    lock=LOCKS,
    wrapped=st.binary(min_size=60, max_size=60),
    records=st.lists(BLOBS, max_size=5).map(tuple),
)


@given(SEALED)
def test_what_is_parsed_encodes_to_the_same_bytes(sealed):
    raw = format.encode(sealed)
    assert format.decode(raw) == sealed
    assert format.encode(format.decode(raw)) == raw


@given(SEALED, st.data())
@settings(max_examples=300)
def test_whatever_is_accepted_is_spelled_one_way(sealed, data):
    """Bytes changed at will, checksum mended: refused, or parsed to a value that is spelled exactly so."""
    body = bytearray(format.encode(sealed)[:-32])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body) - 1))
        how = data.draw(st.sampled_from(["set", "cut", "add"]))
        if how == "set":
            body[place] = data.draw(st.integers(0, 255))
        elif how == "cut" and len(body) > 1:
            del body[place]
        else:
            body.insert(place, data.draw(st.integers(0, 255)))
    raw = resealed(bytes(body))
    try:
        parsed = format.decode(raw)
    except CredentialError:
        return
    assert format.encode(parsed) == raw


@given(st.binary(max_size=200))
def test_anything_else_is_no_vault(raw):
    with pytest.raises(CredentialError):
        format.decode(raw)


def test_an_impossible_count_costs_no_memory(vault, path):
    sealed = format.decode(path.read_bytes())
    body = format.header(sealed.lock) + sealed.wrapped + struct.pack(">I", 2**32 - 1)
    with pytest.raises(DamagedError, match="more entries"):
        format.decode(resealed(body))


def test_rekey_changes_what_opens_it(vault, path):
    vault.rekey(Secret("another one altogether"), cost=CHEAP)
    with pytest.raises(WrongKeyError):
        Vault.open(path, opener())
    assert Vault.open(path, opener(Secret("another one altogether"))).entry("main-okx") == ENTRY
    vault.put("third", ENTRY)
    assert Vault.open(path, opener(Secret("another one altogether"))).names() == ["desk", "main-okx", "third"]


def test_a_key_of_the_keyring_instead_of_a_passphrase(path):
    key = Secret("ab" * 32)
    Vault.make(path, key, cost=None).put("main-okx", ENTRY)
    asked = []

    def keyring(kind):
        asked.append(kind)
        return key

    assert Vault.open(path, keyring).entry("main-okx") == ENTRY
    assert asked == [Kind.KEY]
    with pytest.raises(WrongKeyError):
        Vault.open(path, opener(Secret("ac" * 32)))
    with pytest.raises(CredentialError, match="64 hex digits"):
        Vault.open(path, opener(Secret("no key")))


def test_a_name_that_is_taken_and_one_that_is_not_there(vault):
    with pytest.raises(CredentialError, match="already"):
        vault.put("main-okx", OTHER)
    with pytest.raises(CredentialError, match="no entry"):
        vault.remove("nobody")
    assert vault.entry("main-okx") == ENTRY


def test_a_vault_is_not_overwritten(vault, path):
    with pytest.raises(CredentialError, match="already"):
        Vault.make(path, PASSPHRASE, cost=CHEAP)
    assert Vault.open(path, opener()).names() == ["desk", "main-okx"]


def test_two_that_are_open_do_not_lose_each_others_entries(vault, path):
    second = Vault.open(path, opener())
    vault.put("third", ENTRY)
    second.put("fourth", ENTRY)
    assert Vault.open(path, opener()).names() == ["desk", "fourth", "main-okx", "third"]


def test_one_that_was_rekeyed_meanwhile_is_not_written_over(vault, path):
    second = Vault.open(path, opener())
    vault.rekey(Secret("another one altogether"), cost=CHEAP)
    with pytest.raises(WrongKeyError, match="meanwhile"):
        second.put("fourth", ENTRY)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_that_others_can_read_is_refused(vault, path, mode):
    path.chmod(mode)
    with pytest.raises(CredentialError, match="other users"):
        Vault.open(path, opener())


def test_what_is_no_file_and_what_is_not_there(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("folder", "regular"), ("pipe", "regular"), ("nothing", "No such file")):
        with pytest.raises(CredentialError, match=said):
            Vault.open(tmp_path / name, opener())


def test_a_vault_too_large_is_not_read(tmp_path):
    path = tmp_path / "vault.bin"
    with path.open("wb") as stream:
        stream.truncate(format.LARGEST + 1)
    path.chmod(0o600)
    with pytest.raises(CredentialError, match="too large"):
        Vault.open(path, opener())


def test_who_waits_for_the_lock_is_told(vault, path, monkeypatch):
    monkeypatch.setattr(store, "PATIENCE", 0.1)
    with store.locked(path), pytest.raises(CredentialError, match="another process"):
        vault.put("third", ENTRY)


def keep_writing(path, started):
    made = Vault.open(path, opener())
    started.set()
    number = 0
    while True:
        made.put("flicker", {"apiKey": Secret(f"value {number}" * 50)}, replace=True)
        number += 1


def test_killed_at_any_moment_it_opens(vault, path):
    context = multiprocessing.get_context("fork")
    for pause in (0.0, 0.003, 0.007, 0.011, 0.017, 0.023, 0.029, 0.04):
        started = context.Event()
        writer = context.Process(target=keep_writing, args=(path, started))
        writer.start()
        assert started.wait(20)
        time.sleep(pause)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        opened = Vault.open(path, opener())
        assert {"desk", "main-okx"} <= set(opened.names())
        opened.put("after", ENTRY, replace=True)  # the lock of the dead is gone with it


def add(path, name):
    made = Vault.open(path, opener())
    for number in range(10):
        made.put(f"{name}-{number}", ENTRY)


def test_under_two_names_it_is_one_vault(vault, path, tmp_path):
    link = tmp_path / "link.bin"
    link.symlink_to(path)
    context = multiprocessing.get_context("fork")
    adders = [context.Process(target=add, args=pair) for pair in ((path, "a"), (link, "b"))]
    for one in adders:
        one.start()
    for one in adders:
        one.join()
    assert len(Vault.open(link, opener()).names()) == 2 + 20
    assert link.is_symlink()


def test_no_unfinished_copy_outlives_a_passphrase(vault, path):
    """What a killed process leaves beside the vault opens with the passphrase of then."""
    left = path.with_name(f".{path.name}.0a_b1c2d.part")
    other = path.with_name(".history.db.0a_b1c2d.part")
    for unfinished in (left, other):
        unfinished.write_bytes(path.read_bytes())
    vault.rekey(Secret("another one altogether"), cost=CHEAP)
    assert sorted(one.name for one in path.parent.iterdir()) == [other.name, "vault.bin", "vault.bin.lock"]


def test_too_little_memory_is_said(vault, path, monkeypatch):
    from cryptography.hazmat.primitives.kdf import argon2

    class Huge:
        def __init__(self, **_cost):
            pass

        def derive(self, _passphrase):
            raise MemoryError("CANARY")

    monkeypatch.setattr(argon2, "Argon2id", Huge)
    with pytest.raises(CredentialError, match="19 MiB of memory") as raised:
        Vault.open(path, opener())
    assert not isinstance(raised.value, WrongKeyError)
    assert raised.value.__context__ is None


@given(
    entries=st.dictionaries(
        st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True),
        st.dictionaries(
            st.sampled_from(["apiKey", "secret", "password"]), st.text(min_size=1, max_size=60), min_size=1
        ),
        max_size=4,
    )
)
@settings(max_examples=30)
def test_every_text_comes_out_as_it_went_in(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("v") / "vault.bin"
    key = Secret("cd" * 32)
    made = Vault.make(path, key, cost=None)
    for name, fields in entries.items():
        made.put(name, {field: Secret(value) for field, value in fields.items()})
    opened = Vault.open(path, opener(key))
    shown = {name: {field: secret.reveal() for field, secret in opened.entry(name).items()} for name in opened.names()}
    assert shown == entries


def test_nothing_of_it_can_be_printed(vault):
    assert "sekrit" not in repr(vault.__dict__)
