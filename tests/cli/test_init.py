"""`auditor init`: the file it writes is one the loader takes, and no secret passes through it."""

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from auditor import config
from auditor.cli import init
from auditor.errors import UsageError
from auditor.exchanges import _venue

CANARY = "CaNaRy7c9e1f-Zq8w"
VENUES = {
    "okx": ("apiKey", "secret", "password"),
    "kraken": ("apiKey", "secret"),
    "hyperliquid": ("walletAddress",),
    "robinhood": (),
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_venue, "ids", lambda: tuple(sorted(VENUES)))
    monkeypatch.setattr(_venue, "load", _venue_file)

    def invoke(*arguments, typed=None):
        asking = typed is not None
        monkeypatch.setattr(init, "at_terminal", lambda: asking)
        return CliRunner().invoke(init.command, arguments, input=typed)

    return invoke


def _venue_file(exchange):
    return SimpleNamespace(
        id=exchange,
        name=exchange.title(),
        credentials=VENUES[exchange],
        permissions_tick=("Read",),
        permissions_never=("Trade", "Withdraw"),
        traps=("a key works on one site only",),
    )


def loaded(path="auditor.yaml"):
    return config.load(Path(path), venues=VENUES, environ={"HOME": "/home/nobody"})


@pytest.mark.parametrize("exchange", VENUES)
def test_without_a_terminal(run, exchange):
    result = run("--exchange", exchange, "--yes")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert stat.S_IMODE(Path("auditor.yaml").stat().st_mode) == 0o600
    read = loaded()
    (account,) = read.accounts
    assert (account.name, account.exchange) == (f"main-{exchange}", exchange)
    assert account.attestations == read.path.parent / f"attest/main-{exchange}.yaml"
    assert [tuple(block) for block in account.credentials] == ([VENUES[exchange]] if VENUES[exchange] else [])


def test_what_is_proposed_and_what_to_tick(run):
    result = run("--exchange", "okx", "--name", "desk-1")
    assert result.exit_code == 0
    assert loaded().accounts[0].credentials == (
        {"apiKey": "env:OKX_API_KEY", "secret": "env:OKX_SECRET", "password": "env:OKX_PASSPHRASE"},
    )
    for line in (
        "tick        Read",
        "never tick  Trade",
        "never tick  Withdraw",
        "a key works on one site only",
        "OKX_PASSPHRASE",
        "auditor attest desk-1",
    ):
        assert line in result.stdout


def test_a_file_that_is_there_stays(run):
    Path("auditor.yaml").write_text("mine")
    for options in ((), ("--yes",)):
        result = run("--exchange", "okx", *options)
        assert isinstance(result.exception, UsageError) and "--force" in result.exception.hint
        assert Path("auditor.yaml").read_text() == "mine"
    assert run("--exchange", "okx", "--force").exit_code == 0
    assert loaded().accounts[0].name == "main-okx"
    assert stat.S_IMODE(Path("auditor.yaml").stat().st_mode) == 0o600


def test_a_link_is_not_written_through(run):
    Path("auditor.yaml").symlink_to("elsewhere")
    assert isinstance(run("--exchange", "okx").exception, UsageError)
    assert not Path("elsewhere").exists()


def test_a_file_that_appears_meanwhile_stays(run, monkeypatch):
    monkeypatch.setattr(os.path, "lexists", lambda _path: False)
    Path("auditor.yaml").write_text("mine")
    assert isinstance(run("--exchange", "okx").exception, UsageError)
    assert Path("auditor.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ((), "known are"),
        (("--yes",), "known are"),
        (("--exchange", "okxx"), "did you mean okx?"),
        (("--exchange", "../okx"), "auditor init"),
        (("--exchange", ""), "auditor init"),
        (("--exchange", "okx", "--name", "Main OKX"), "a-z"),
        (("--exchange", "okx", "--name", ""), "a-z"),
        (("--exchange", "okx", "--name", "a\nb"), "a-z"),
    ],
)
def test_what_cannot_work_writes_nothing(run, arguments, hint):
    result = run(*arguments)
    assert isinstance(result.exception, UsageError) and result.exception.exit_code == 2
    assert hint in result.exception.hint
    assert list(Path().iterdir()) == []


def test_a_folder_that_is_not_there_is_made(run, tmp_path):
    assert run("--exchange", "okx", "-c", "new/auditor.yaml").exit_code == 0
    assert loaded(tmp_path / "new/auditor.yaml").accounts[0].exchange == "okx"


def test_a_place_that_cannot_be_written(run):
    Path("file").touch()
    result = run("--exchange", "okx", "-c", "file/auditor.yaml")
    assert result.exception.exit_code == 2 and "cannot be written" in result.exception.message


def test_a_person_is_asked(run):
    result = run(typed='kraken\n\nn\nkeyring:auditor/kraken\ncmd:pass show "my kraken"\n')
    assert result.exit_code == 0, result.exception
    account = loaded().accounts[0]
    assert account.name == "main-kraken"
    assert account.credentials == ({"apiKey": "keyring:auditor/kraken", "secret": 'cmd:pass show "my kraken"'},)
    assert "Exchange (its id" in result.stderr and "Exchange (its id" not in result.stdout


def test_wrong_answers_are_asked_again_and_a_pasted_key_is_not_repeated(run):
    result = run(typed=f"krakn\nkraken\nMy Kraken\nk1\n\n{CANARY}\nenv:KEY\n\n")
    assert result.exit_code == 0, result.exception
    assert "did you mean kraken?" in result.stderr
    assert loaded().accounts[0].credentials == ({"apiKey": "env:KEY", "secret": "env:KRAKEN_SECRET"},)
    assert CANARY not in result.output + result.stderr + Path("auditor.yaml").read_text()


@pytest.mark.parametrize("typed", [None, "y\n"])
def test_the_vault_is_offered(run, typed):
    result = run("--exchange", "okx", "--name", "main", *(["--vault"] if typed is None else []), typed=typed)
    assert result.exit_code == 0, result.exception
    fields = ("apiKey", "secret", "password")
    assert loaded().accounts[0].credentials == ({field: f"vault:main/{field}" for field in fields},)
    assert "auditor vault init" in result.stdout
    assert "auditor vault add main --exchange okx" in result.stdout


def test_whoever_stops_writes_nothing(run):
    assert run(typed="kraken\n").exit_code == 1
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("option", ["--secret", "--api-key", "--apiKey", "--password"])
def test_no_secret_is_taken_as_an_argument(run, option):
    result = run("--exchange", "okx", option, CANARY)
    assert result.exit_code == 2 and list(Path().iterdir()) == []


def test_help_shows_an_example(run):
    assert "auditor init --exchange okx --name main-okx --yes" in run("--help").output


@pytest.mark.parametrize("exchange", _venue.ids())
def test_the_real_venue_files(run, monkeypatch, exchange):
    monkeypatch.undo()
    venue = _venue.load(exchange)
    references = {field: init.proposed(exchange, field) for field in venue.credentials}
    text = init.advice(venue, "a", references)
    assert all(item in text for item in (*venue.permissions_tick, *venue.permissions_never, *venue.traps))
