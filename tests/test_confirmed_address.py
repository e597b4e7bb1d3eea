"""A key that its exchange switches off when used from a foreign address is used only after the owner's word."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditor import collect, config, demo
from auditor.credentials import Sources
from auditor.errors import InputError
from auditor.identity import Identity
from auditor.model.evidence import Reason, Snapshot
from auditor.twin.whitebit import Twin

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def collected(twin: Twin, *, confirmed: bool) -> Snapshot:
    with demo.served([twin]):
        account = replace(demo.account(twin), address_confirmed=confirmed)
        (snapshot,) = collect.collect(
            [account],
            stated={},
            identity=Identity.ephemeral("t"),
            sources=Sources(environ=demo.environ([twin])),
            now=NOW,
        )
    return snapshot


def test_without_the_owners_word_nothing_is_sent() -> None:
    twin = Twin()
    snapshot = collected(twin, confirmed=False)
    assert twin.requests == [] and snapshot.rows("api_key") is None
    assert [problem.reason for problem in snapshot.problems] == [Reason.NOT_COLLECTED]
    assert "address_confirmed" in snapshot.problems[0].detail


def test_with_it_the_account_is_read() -> None:
    twin = Twin()
    assert collected(twin, confirmed=True).rows("api_key")
    assert twin.requests


@pytest.mark.parametrize(("word", "sound"), [("true", True), ("false", True), ("1", False), ("yes please", False)])
def test_the_word_in_the_configuration(tmp_path: Path, word: str, sound: bool) -> None:
    path = tmp_path / "auditor.yaml"
    path.write_text(f"version: 1\naccounts:\n  - {{name: a, exchange: whitebit, address_confirmed: {word}}}\n")
    if not sound:
        with pytest.raises(InputError):
            config.load(path, venues={"whitebit": ("apiKey", "secret")}, environ={"HOME": str(tmp_path)})
        return
    (account,) = config.load(path, venues={"whitebit": ("apiKey", "secret")}, environ={"HOME": str(tmp_path)}).accounts
    assert account.address_confirmed is (word == "true")
