"""Collection of several accounts at once: what they share is there before the first of them asks for it."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from auditor import collect, demo
from auditor.credentials import Sources
from auditor.exchanges import _signer
from auditor.identity import Identity
from auditor.model.evidence import Snapshot

from . import stage

ACCOUNTS = 4
_FRESH = """
from tests.test_collect import several
for snapshot in several():
    print(snapshot.name, len(snapshot.api_keys or []), [problem.reason.value for problem in snapshot.problems])
"""


def several(told: list[tuple[str, int, int]] | None = None) -> list[Snapshot]:
    """Accounts of one venue at one address, and one without a key."""
    (twin,) = [one for one in demo.venues() if one.id == "okx"]
    with demo.served([twin]):
        account = demo.account(twin)
        accounts = [replace(account, name=f"account-{number}") for number in range(ACCOUNTS)]
        return collect.collect(
            [*accounts, replace(account, name="keyless", credentials=())],
            stated={},
            identity=Identity.ephemeral("test"),
            sources=Sources(environ=demo.environ([twin])),
            now=datetime(2026, 11, 20, tzinfo=UTC),
            progress=lambda *where: told.append(where) if told is not None else None,
        )


def test_accounts_of_one_venue_wait_until_its_connections_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first audit of a process imports ccxt while the second account is already at the door."""
    warm = _signer.warm_up

    async def slow(ccxt_class: str | None) -> None:
        await asyncio.sleep(0.2)
        await warm(ccxt_class)

    monkeypatch.setattr(_signer, "warm_up", slow)
    read = several()[:ACCOUNTS]
    assert [snapshot.problems for snapshot in read] == [()] * ACCOUNTS
    assert all(snapshot.api_keys for snapshot in read)


def test_a_new_process_reads_all_accounts_of_a_venue() -> None:
    done = subprocess.run([sys.executable, "-c", _FRESH], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[:ACCOUNTS] == [f"account-{number} 3 []" for number in range(ACCOUNTS)]


def test_progress_counts_every_account_to_the_last() -> None:
    told: list[tuple[str, int, int]] = []
    several(told)
    assert [done for _, done, _ in told] == list(range(1, ACCOUNTS + 2))
    assert {total for _, _, total in told} == {ACCOUNTS + 1}


def test_a_key_that_is_given_twice_makes_its_calls_one_at_a_time() -> None:
    """Two signers of one key would take each other's nonces: the exchange refuses what does not increase."""
    (twin,) = [one for one in demo.venues() if one.id == "kraken"]
    with demo.served([twin]), stage.hurried():
        account = demo.account(twin)
        accounts = [replace(account, name=f"account-{number}") for number in range(8)]
        read = collect.collect(
            accounts,
            stated={},
            identity=Identity.ephemeral("test"),
            sources=Sources(environ=demo.environ([twin])),
            now=datetime(2026, 11, 20, tzinfo=UTC),
        )
    assert not [problem for snapshot in read for problem in snapshot.problems if problem.reason == "clock_skew"]
    assert all(snapshot.api_keys for snapshot in read)


def test_collecting_leaves_the_garbage_collector_as_it_was() -> None:
    before = gc.get_threshold(), gc.isenabled()
    with pytest.raises(RuntimeError), collect._undisturbed():  # noqa: PT012
        assert gc.get_threshold()[0] > before[0][0]
        raise RuntimeError
    assert (gc.get_threshold(), gc.isenabled()) == before
    with collect._undisturbed():
        during = gc.get_threshold()
        with collect._undisturbed():
            assert gc.get_threshold() == during
        assert gc.get_threshold() == during
    assert gc.get_threshold() == before[0]


def test_a_sheet_is_cleaned_in_one_piece_as_it_would_be_piece_by_piece() -> None:
    """Texts are searched together first: what is found so must be what each of them would show."""
    from auditor.exchanges._base import Sheet
    from auditor.redaction import Secret, scrub

    own = [Secret("first-secret/0123"), Secret("second\nof two lines")]
    odd = [
        "a@b.example",
        "call +49 151 23456789",
        "first-secret/0123",
        "x first-secret%2F0123 y",
        "second",
        "of two lines",
    ]
    plain = ["label", "198.51.100.20", "a@", "+", "second ", "of two", "PUBLIC-ID-0001", "…0001"]
    for one in [*odd, *plain]:
        sheet = Sheet(account={"kind": "main", "note": one, "list": ["plain", one, [one]]})
        row = {"label": one, "tags": [one, "b"], "public_id": "PUBLIC-ID-0001", "can_read": True, "goes_to": one}
        sheet.rows["api_key"] = [dict(row), {"label": "beside"}]
        collect._clean(sheet, own)
        masked = scrub(one.replace("PUBLIC-ID-0001", "…0001"), of=own)
        assert sheet.account == {
            "kind": "main",
            "note": scrub(one, of=own),
            "list": ["plain", scrub(one, of=own), [scrub(one, of=own)]],
        }
        assert sheet.rows["api_key"] == [{**row, "label": masked, "tags": [masked, "b"]}, {"label": "beside"}]
