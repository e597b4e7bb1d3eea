"""BitMEX, which is closed: a venue file without a connector. What the owner states is judged, and nothing is ever sent."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from auditor import attestations, pipeline
from auditor import collect as collecting
from auditor.config import AccountConfig
from auditor.credentials import Sources
from auditor.engine.intake import Evidence
from auditor.exchanges import _load, _transport, _venue
from auditor.identity import Identity
from auditor.model.report import AccountReport, Finding, Outcome
from auditor.ruleset import loader
from tests import stage

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
ACCOUNT = AccountConfig(name="old-bitmex", exchange="bitmex")
STATED = """schema: auditor/evidence/1
attested_at: 2026-11-19
account:
  name: old-bitmex
  exchange: bitmex
  keys_counted: 2
  login_weakest_factor: totp
  email_second_factor: totp
"""


class Sent(Exception):  # noqa: N818  (a fact about a test, not an error)
    """Something reached for the network."""


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every way out raises, and is noted in case somebody swallows that."""
    tried: list[str] = []

    def refuse(name: str) -> Any:
        def way_out(*_args: object, **_kwargs: object) -> None:
            tried.append(name)
            raise Sent(name)

        return way_out

    monkeypatch.setattr(_transport.Venue, "__init__", refuse("a venue is opened"))
    monkeypatch.setattr(aiohttp.ClientSession, "_request", refuse("a request"))
    monkeypatch.setattr(aiohttp.TCPConnector, "connect", refuse("a request"))
    monkeypatch.setattr(socket.socket, "connect", refuse("a connection"))
    monkeypatch.setattr(socket, "getaddrinfo", refuse("a name is looked up"))
    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", refuse("a connection of the loop"))
    return tried


def audited(tmp_path: Path, stated: str | None = STATED) -> AccountReport:
    """The report on the account, from what its owner stated alone."""
    known = {}
    if stated is not None:
        path = tmp_path / "old-bitmex.yaml"
        path.write_text(stated)
        known["old-bitmex"] = attestations.load(path, account_name="old-bitmex", exchange="bitmex", now=NOW)
    identity = Identity.ephemeral("bitmex")
    [snapshot] = collecting.collect([ACCOUNT], stated=known, identity=identity, sources=Sources(environ={}), now=NOW)
    run = pipeline.Run(rules=tuple(loader.load_all([], shipped=True)), identity=identity, now=NOW)
    with Evidence(NOW).add([snapshot.to_document()]) as evidence:
        [account] = pipeline.judge(evidence, run).accounts
    return account


def closing(account: AccountReport) -> Finding:
    [finding] = [one for one in account.findings if one.rule == "venue-closing"]
    return finding


@pytest.mark.parametrize("stated", [STATED, None])
def test_a_closed_venue_fails_from_attestations_alone_and_nothing_is_sent(
    tmp_path: Path, no_network: list[str], stated: str | None
) -> None:
    found = closing(audited(tmp_path, stated))
    assert found.outcome is Outcome.FAIL
    assert "closed since 2026-09-23" in found.message
    assert found.fix is not None
    assert not no_network


def test_nothing_is_claimed_of_keys_and_addresses_that_nobody_can_list_any_more(
    tmp_path: Path, no_network: list[str]
) -> None:
    account = audited(tmp_path)
    assert account.inventory.api_keys is None
    assert account.inventory.addresses is None
    assert account.inventory.complete is not True
    about_keys = {finding.rule: finding.outcome for finding in account.findings if finding.rule.startswith("key-")}
    assert about_keys
    assert not {Outcome.PASS, Outcome.FAIL} & {*about_keys.values()}
    assert not no_network


def test_keys_that_are_still_written_down_are_judged_beside_the_closure(no_network: list[str]) -> None:
    key = {"label": "old bot", "can_read": True, "can_trade": True, "can_withdraw": True, "enabled": True}
    document = {
        "schema": "auditor/evidence/1",
        "collected_at": "2026-11-20T10:00:00Z",
        "account": {"name": "old-bitmex", "exchange": "bitmex", "balance_usd": 1200.0},
        "api_keys": [{**key, "ip_bound": False}],
    }
    run = pipeline.Run(rules=tuple(loader.load_all([], shipped=True)), identity=Identity.ephemeral("x"), now=NOW)
    with Evidence(NOW).add([document]) as evidence:
        [account] = pipeline.judge(evidence, run).accounts
    assert closing(account).outcome is Outcome.FAIL
    failing = {finding.rule for finding in account.findings if finding.outcome is Outcome.FAIL}
    assert "key-withdraw-without-ip-binding" in failing
    assert not no_network


def test_a_key_in_the_configuration_is_refused_before_anything_is_sent(tmp_path: Path, no_network: list[str]) -> None:
    mine = stage.Stage(tmp_path)
    mine.environ |= {"BITMEX_API_KEY": "CANARYKEY0123456789", "BITMEX_SECRET": "CANARYSECRET0123456789"}
    account = (
        "{name: old-bitmex, exchange: bitmex, credentials: {apiKey: env:BITMEX_API_KEY, secret: env:BITMEX_SECRET}}"
    )
    mine.write("auditor.yaml", f"version: 1\naccounts:\n  - {account}\n")
    ran = mine.run("audit", "-f", "json")
    assert ran.code == 2
    assert "without credentials" in ran.err
    assert "CANARY" not in ran.err + ran.out
    assert not no_network


def test_the_command_line_says_high_for_it(tmp_path: Path, no_network: list[str]) -> None:
    mine = stage.Stage(tmp_path)
    mine.write("auditor.yaml", "version: 1\naccounts:\n  - {name: old-bitmex, exchange: bitmex}\n")
    ran = mine.run("audit", "-f", "json")
    assert ran.code == 12
    assert not no_network
    assert ran.report["accounts"][0]["exchange"] == "bitmex"


def test_there_is_no_connector_and_no_twin() -> None:
    assert _load.connector("bitmex") is None
    file = _venue.load("bitmex")
    assert file.credentials == ()
    assert not Path(_venue.__file__).with_name("bitmex.py").exists()
    facts = file.policy_facts()
    assert (facts["venue.lifecycle"], facts["venue.lifecycle_since"]) == ("closed", "2026-09-23T04:00:00Z")
    assert not [name for name in facts if "hold_" in name or "two_factor" in name]
