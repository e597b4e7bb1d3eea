"""What goes wrong before any work is done: addresses, certificates, missing packages, strange workers, places for results."""

from __future__ import annotations

import io
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditor.errors import UsageError
from auditor.fleet import answer, crew, door, storage
from auditor.fleet.answer import Done, Failed
from auditor.fleet.door import Tls, check
from auditor.fleet.results import Results
from auditor.model.evidence import Snapshot
from auditor.redaction import Secret
from auditor.vault import Vault
from auditor.vault.crypto import PROFILES
from tests import stage
from tests.fleet import machines
from tests.fleet.conftest import PASSPHRASE, World
from tests.fleet.test_fleet import configured
from tests.fleet.test_losses import working

EVIDENCE = '{"schema": "auditor/evidence/1", "account": {"name": "a", "exchange": "okx"}}\n'


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    made = stage.Stage(tmp_path / "user")
    made.write("evidence.jsonl", EVIDENCE)
    return made


def port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        found: int = one.getsockname()[1]
        return found


@pytest.mark.parametrize("address", ["tls://scheduler.internal:8786", "tls://10.0.0.1:1", "tcp://127.0.0.1:8786", "tcp://localhost:9", "tcp://[::1]:9"])  # fmt: skip
def test_addresses_that_may_be_used(address: str) -> None:
    assert check(address) == address


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://10.0.0.1:8786", "plain text"),
        ("tcp://scheduler:8786", "plain text"),
        ("tcp://localhost.evil.example:8786", "plain text"),
        ("tcp://127.0.0.1.nip.io:8786", "plain text"),
        ("tcp://0.0.0.0:8786", "plain text"),
        ("tcp://[::]:8786", "plain text"),
        ("ws://127.0.0.1:8786", "not the address"),
        ("http://127.0.0.1:8786", "not the address"),
        ("inproc://1", "not the address"),
        ("127.0.0.1:8786", "not the address"),
        ("tls://scheduler", "not the address"),
        ("tls://scheduler:0", "not the address"),
        ("tls://scheduler:99999", "not the address"),
        ("tls://me:passw0rd@scheduler:8786", "(not shown)"),
        ("tls://a:1,tls://b:2", "not the address"),
        ("", "not the address"),
        ("tls://sched\x1b[31m:8786", "not the address"),
    ],
)
def test_addresses_that_may_not(mine: stage.Stage, address: str, said: str) -> None:
    ran = mine.run("evaluate", "evidence.jsonl", "--scheduler", address)
    assert ran.code == 2 and said in ran.err and "hint:" in ran.err
    assert "passw0rd" not in ran.err and "\x1b" not in ran.err


def test_workers_are_used_over_tls_or_on_this_machine_only() -> None:
    assert all(map(door.is_private, ("tls://10.0.0.1:3", "tcp://127.0.0.1:3", "tcp://[::1]:3")))
    assert not any(map(door.is_private, ("tcp://10.0.0.1:3", "tcp://[fe80::1]:3", "ucx://127.0.0.1:3", "inproc://1")))


def test_a_scheduler_that_is_not_there(mine: stage.Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(door, "_PATIENCE", "300ms")
    ran = mine.run("evaluate", "evidence.jsonl", "--scheduler", f"tcp://127.0.0.1:{port()}")
    assert ran.code == 2 and "cannot be reached" in ran.err and "hint: is it running there?" in ran.err
    made = machines.papers(tmp_path / "papers")
    ran = mine.run("evaluate", "evidence.jsonl", "--scheduler", f"tls://127.0.0.1:{port()}", *made.options())
    assert ran.code == 2 and "cannot be reached" in ran.err


def test_certificates_that_are_missing_or_none(mine: stage.Stage, tmp_path: Path) -> None:
    there = ("evaluate", "evidence.jsonl", "--scheduler", "tls://127.0.0.1:9")
    ran = mine.run(*there)
    assert ran.code == 2 and "TLS needs the fleet's certificates" in ran.err and "--tls-ca" in ran.err
    made = machines.papers(tmp_path / "papers")
    ran = mine.run(*there, "--tls-ca", "nowhere.pem", "--tls-cert", str(made.cert), "--tls-key", str(made.key))
    assert ran.code == 2 and "cannot be used: No such file" in ran.err
    made.key.write_text("no key")
    ran = mine.run(*there, *made.options())
    assert ran.code == 2 and "the certificates cannot be used" in ran.err and "no key" not in ran.err


def test_who_holds_a_certificate_of_another_fleet_is_refused(
    mine: stage.Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(door, "_PATIENCE", "2s")
    with machines.fleet(tmp_path / "fleet") as fleet:
        foreign = machines.papers(tmp_path / "foreign")
        ran = mine.run("evaluate", "evidence.jsonl", "--scheduler", fleet.address, *foreign.options())
        assert ran.code == 2 and "cannot be reached" in ran.err


@pytest.mark.parametrize("missing", ["distributed", "pyarrow"])
def test_without_the_extra_it_is_said_how_to_get_it(
    mine: stage.Stage, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    ran = mine.run("evaluate", "evidence.jsonl", "--scheduler", "tcp://127.0.0.1:9")
    assert ran.code == 2 and "pip install 'exchange-auditor[fleet]'" in ran.err


def test_strange_workers_are_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version, another key, no exchange-auditor at all: and work is done by the one that fits."""
    monkeypatch.setenv("FLEET_KEY", machines.KEY)
    with machines.fleet(tmp_path / "fleet", scheme="tcp") as fleet:
        older, absent = tmp_path / "older.py", tmp_path / "absent.py"
        older.write_text("import auditor; auditor.__version__ = '0.0.1'\n")
        absent.write_text("import sys; sys.modules['auditor'] = None\n")
        fleet.worker(None, "--preload", str(older))
        fleet.worker(None, "--preload", str(absent))
        fleet.worker({"FLEET_KEY": "cd" * 32})
        fleet.await_workers(3)
        said: list[str] = []
        with working(fleet, say=said.append) as workers, pytest.raises(UsageError, match="no worker can") as raised:
            workers.judge([snapshot()])
        for why in (
            "runs exchange-auditor 0.0.1",
            "has no exchange-auditor",
            "another identity key",
        ):
            assert why in raised.value.message and sum(why in one for one in said) == 1, why
        fleet.worker()
        fleet.await_workers(4)
        with working(fleet, say=said.append) as workers:
            assert [one.name for one in workers.judge([snapshot()]).accounts] == ["a"]
        assert machines.KEY not in "".join(said) + raised.value.message


def snapshot() -> Snapshot:
    return Snapshot(collected_at=stage.NOW, account={"name": "a", "exchange": "okx"})


def test_what_no_worker_holds_ends_the_run_before_anything_is_asked(mine: stage.Stage, world: World) -> None:
    options, asked = world.fleet.options(), len(world.twins["okx"].requests)
    one = world.accounts[1]
    unset = replace(one, credentials=({**one.credentials[0], "secret": "env:OKX_OTHER_SECRET"},))
    ran = configured(mine, [world.accounts[0], unset]).run("audit", *options)
    assert ran.code == 3 and "on tls://127.0.0.1:" in ran.err
    assert f"{one.name}: secret: $OKX_OTHER_SECRET is not set" in ran.err
    configured(mine, [one], identity_key="env:NOBODYS_KEY").environ["NOBODYS_KEY"] = machines.KEY
    ran = mine.run("audit", *options)
    assert ran.code == 2 and ran.err.count("is left out: identity_key: $NOBODYS_KEY is not set") == 2
    assert "no worker can be used" in ran.err
    assert len(world.twins["okx"].requests) == asked


def test_nobody_there_to_work(mine: stage.Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "PATIENCE", 0.2)
    with machines.fleet(tmp_path / "fleet", scheme="tcp") as fleet:
        ran = mine.run("evaluate", "evidence.jsonl", *fleet.options())
    assert ran.code == 2 and "the scheduler has no workers" in ran.err and "dask worker" in ran.err


def test_a_vault_opens_on_the_worker_by_itself_or_not_at_all(mine: stage.Stage, world: World) -> None:
    held = {**world.twins["okx"].sample_credentials(), "apiKey": world.environ["OKX_APIKEY_0"]}
    vault = Vault.make(mine.work / "vault.bin", Secret(PASSPHRASE), cost=PROFILES["quick"])
    vault.put("desk", {name: Secret(value) for name, value in held.items()})
    first = next(one for one in world.accounts if one.exchange == "okx")
    account = replace(first, credentials=({name: f"vault:desk/{name}" for name in held},))
    place, audit = {"file": "vault.bin"}, ("audit", "-f", "json", *world.fleet.options())
    ran = configured(mine, [account], vault=place).run(*audit)
    assert ran.code == 2 and "nobody can type its passphrase on a worker" in ran.err and "cmd:" in ran.err
    ran = configured(mine, [account], vault={**place, "passphrase": "env:OPENS"}).run(*audit)
    (found,) = ran.report["accounts"]
    assert found["inventory"]["api_keys"] and not found["problems"]
    assert PASSPHRASE not in ran.out + ran.err + world.fleet.logs()


@pytest.fixture
def memory() -> Iterator[None]:
    from fsspec.implementations.memory import MemoryFileSystem

    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.mark.usefixtures("memory")
def test_any_store_goes_through_one_door(tmp_path: Path) -> None:
    storage.put("memory://bucket/folder/one.bin", b"1")
    storage.put("memory://bucket/folder/two.bin", b"22")
    assert storage.exists("memory://bucket/folder/one.bin") and not storage.exists("memory://bucket/folder/three.bin")
    assert storage.found("memory://bucket/folder/*.bin") == [
        "memory:///bucket/folder/one.bin",
        "memory:///bucket/folder/two.bin",
    ]
    storage.get("memory://bucket/folder/two.bin", tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == b"22"
    results = Results.of("memory://bucket/results", stage.NOW)
    results.put("part-000000.parquet", b"x")
    results.finish({"id": "r"}, [(0, 1, None)])
    with pytest.raises(UsageError, match="holds the results of a run already"):
        Results.of("memory://bucket/results", stage.NOW)


@pytest.mark.usefixtures("memory")
def test_a_file_is_there_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFile

    storage.put("memory://bucket/one.bin", b"old")

    def burst(self: Any, data: bytes) -> int:
        raise OSError("the network went away after the first bytes")

    monkeypatch.setattr(MemoryFile, "write", burst)
    with pytest.raises(UsageError, match="the network went away"):
        storage.put("memory://bucket/one.bin", b"new")
    monkeypatch.undo()
    assert storage._at("memory://bucket/one.bin")[0].cat_file("/bucket/one.bin") == b"old"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://bucket/x", "pip install s3fs"),
        ("gs://bucket/x", "gcsfs"),
        ("nonsense://bucket/x", "nonsense"),
        ("memory://nothing/there", "FileNotFoundError"),
    ],
)
def test_a_store_that_cannot_be_used_says_why(url: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        storage.get(url, tmp_path / "x")
    assert said in f"{raised.value.message} {raised.value.hint}"


@pytest.mark.parametrize("url", ["s3://KEY:secret@bucket/x", "s3://token@bucket", "simplecache::s3://a::s3://b/x"])
def test_an_address_with_a_secret_in_it_is_refused_and_not_repeated(mine: stage.Stage, url: str) -> None:
    with pytest.raises(UsageError) as raised:
        storage.check(url, "--results") if storage.is_url(url) else storage.check("x://y::z://q", "--results")
    assert "secret@" not in raised.value.message and "token" not in raised.value.message


def test_whatever_ends_a_piece_of_work_is_told_without_its_text() -> None:
    def burst() -> None:
        raise LookupError("s3cret-word")

    failed = answer.of(burst)
    assert isinstance(failed, Failed) and failed.ours and "LookupError at test_door.py" in failed.message
    assert "s3cret-word" not in failed.message
    assert answer.of(lambda: 7) == Done(value=7)
    with pytest.raises(UsageError):
        Failed(message="m", code=2).throw("on w: ")


def test_papers_are_taken_from_dask_where_none_are_given(tmp_path: Path) -> None:
    import dask.config
    import distributed  # noqa: F401  (its own settings have to be there first)

    made = machines.papers(tmp_path)
    place = "distributed.comm.tls"
    held = {"ca-file": made.ca, "client.cert": made.cert, "client.key": made.key}
    with dask.config.set({f"{place}.{name}": str(path) for name, path in held.items()}):
        assert door._security(Tls()).tls_ca_file == str(made.ca)


@pytest.mark.usefixtures("memory")
def test_a_folder_is_no_empty_file(tmp_path: Path) -> None:
    storage.put("memory://bucket/evidence.jsonl/one.jsonl", b"1")
    with pytest.raises(UsageError, match="is a folder"):
        storage.get("memory://bucket/evidence.jsonl", tmp_path / "x")


@pytest.mark.usefixtures("memory")
def test_a_file_that_comes_short_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut at the end of a line nothing else would show that accounts are missing."""
    system = storage._at("memory://")[0]
    storage.put("memory://bucket/lines.jsonl", b"{}\n{}\n")
    monkeypatch.setattr(type(system), "open", lambda *_, **__: io.BytesIO(b"{}\n"))
    with pytest.raises(UsageError, match="3 bytes came of 6"):
        storage.get("memory://bucket/lines.jsonl", tmp_path / "x")


@pytest.mark.usefixtures("memory")
def test_what_a_store_was_asked_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = storage._at("memory://")[0]

    def refused(*_: object, **__: object) -> None:
        raise OSError("Forbidden: https://store.example/upload?uploadType=resumable&upload_id=CANARY\nno")

    monkeypatch.setattr(type(system), "info", refused)
    with pytest.raises(UsageError) as caught:
        storage.get("memory://bucket/lines.jsonl", tmp_path / "x")
    assert "https://store.example/upload?... no" in str(caught.value) and "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "bounds"), [("gs", {"requests_timeout": 60.0}), ("gcs", {"requests_timeout": 60.0}), ("s3", {})]
)
def test_a_store_that_is_silent_is_given_up(
    monkeypatch: pytest.MonkeyPatch, scheme: str, bounds: dict[str, float]
) -> None:
    asked: dict[str, object] = {}

    def opened(url: str, **options: object) -> tuple[None, str]:
        asked.update(options)
        return None, url

    monkeypatch.setattr("fsspec.core.url_to_fs", opened)
    storage._at(f"{scheme}://bucket/x")
    assert asked == {"skip_instance_cache": True, **bounds}
