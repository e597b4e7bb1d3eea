"""`auditor preflight`: 0 or 20 and nothing between, a line a reason, and the codes of wrong use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor import demo
from auditor.twin._base import Breakage, Refusal, TwinVenue
from tests import stage

EVERYTHING = "read,trade,transfer,withdraw,manage"


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[stage.Stage]:
    with stage.hurried():
        yield stage.Stage(tmp_path)


@pytest.fixture
def twins(mine: stage.Stage) -> Iterator[dict[str, TwinVenue]]:
    with stage.twins("binance", "okx", "kraken", "whitebit") as served:
        mine.config(*served.values())
        yield served


def test_a_key_that_only_reads_and_is_bound_is_ok(mine: stage.Stage, twins: dict[str, TwinVenue]) -> None:
    ran = mine.run("preflight", twins["binance"].account_name)
    assert (ran.code, ran.out) == (0, "") and ran.err.startswith("ok: ")
    assert mine.process("preflight", twins["binance"].account_name, "--allow", "read,trade").code == 0


def test_a_key_that_is_not_bound_is_not(mine: stage.Stage, twins: dict[str, TwinVenue]) -> None:
    ran = mine.run("preflight", twins["okx"].account_name, "--allow", EVERYTHING)
    assert ran.code == 20 and ran.err == ""
    (line,) = ran.out.splitlines()
    assert line.startswith("the key is not bound to an address")


def test_every_reason_is_a_line_and_words_add_up(mine: stage.Stage, twins: dict[str, TwinVenue]) -> None:
    name = twins["kraken"].account_name
    assert len(mine.run("preflight", name).out.splitlines()) == 3
    ran = mine.run("preflight", name, "--allow", "read,withdraw", "--allow", "transfer")
    assert ran.code == 20 and len(ran.out.splitlines()) == 1


def test_as_json(mine: stage.Stage, twins: dict[str, TwinVenue]) -> None:
    for id_, code in (("binance", 0), ("kraken", 20)):
        ran = mine.run("preflight", twins[id_].account_name, "-f", "json")
        told = json.loads(ran.out)
        assert (ran.code, ran.err) == (code, "")
        assert told["ok"] is (code == 0) and told["exchange"] == id_
        assert len(told["keys"]) == 1 and told["keys"][0]["facts"]["is_audit_key"] is True
        assert all(secret not in ran.out for secret in twins[id_].sample_credentials().values())


@pytest.mark.parametrize("how", [Breakage.HTML_ERROR, Refusal.MAINTENANCE, Refusal.BAD_KEY])
def test_a_venue_that_does_not_tell_is_not_ok(
    mine: stage.Stage, twins: dict[str, TwinVenue], how: Refusal | Breakage
) -> None:
    twins["binance"].fail(how)
    ran = mine.run("preflight", twins["binance"].account_name, "--allow", EVERYTHING)
    assert ran.code == 20 and "could not be read" in ran.out
    assert "revoked" not in ran.out
    assert how is Refusal.BAD_KEY or "invalid_key" not in ran.out


def test_every_key_of_an_account_is_judged(mine: stage.Stage, twins: dict[str, TwinVenue]) -> None:
    one = twins["binance"]
    block = dict(demo.account(one).credentials[0])
    broken = {**block, "apiKey": "env:OTHER_API_KEY"}
    mine.environ["OTHER_API_KEY"] = "z" * 64
    account = {"name": "two", "exchange": one.id, "endpoint": one.url, "credentials": [block, broken]}
    mine.write("two.yaml", json.dumps({"version": 1, "accounts": [account]}))
    ran = mine.run("preflight", "two", "-c", "two.yaml")
    assert ran.code == 20
    assert ran.out and all(line.startswith("key 2: ") for line in ran.out.splitlines())


def test_without_the_owners_word_nothing_is_sent(mine: stage.Stage, twins: dict[str, TwinVenue]) -> None:
    ran = mine.run("preflight", twins["whitebit"].account_name)
    assert ran.code == 20 and "address_confirmed" in ran.out and twins["whitebit"].requests == []
    mine.config(twins["whitebit"], more={"address_confirmed": True})
    assert mine.run("preflight", twins["whitebit"].account_name).code == 20 and twins["whitebit"].requests


def test_wrong_use(mine: stage.Stage, twins: dict[str, TwinVenue]) -> None:
    name = twins["binance"].account_name
    for args, code, hint in (
        (("preflight", name, "--allow", "read,trad"), 2, "did you mean trade?"),
        (("preflight", name, "--allow", ""), 2, "what can be allowed"),
        (("preflight", "nobody"), 2, "accounts are"),
        (("preflight",), 2, "preflight --help"),
        (("preflight", name, "-f", "xml"), 2, "--help"),
        (("preflight", name, "-c", "nowhere.yaml"), 2, ""),
    ):
        ran = mine.run(*args)
        assert (ran.code, ran.out) == (code, ""), args
        assert ran.err.startswith("error: ") and hint in ran.err
    mine.environ["DEMO_BINANCE_SECRET"] = ""
    assert mine.run("preflight", name).code == 3
    mine.write("bare.yaml", "version: 1\naccounts: [{name: bare, exchange: okx}]\n")
    assert mine.run("preflight", "bare", "-c", "bare.yaml").code == 3
    assert twins["binance"].requests == []
