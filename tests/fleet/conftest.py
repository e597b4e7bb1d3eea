"""One fleet of two workers for all tests that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from auditor.config import AccountConfig
from auditor.fleet import passport
from auditor.twin._base import TwinVenue
from tests import stage
from tests.fleet import machines
from tests.fleet.machines import Fleet

COUNT = 100
"""Accounts of each exchange: together two parts and more."""

PASSPHRASE = "correct horse battery staple"
"""Of a vault, known to the workers alone."""


@pytest.fixture(autouse=True)
def _as_it_is_now() -> None:
    """Whoever edits the program while its tests run is not told that the workers run another build."""
    passport._code.cache_clear()


@dataclass(frozen=True, slots=True)
class World:
    """Two exchanges with many customers each, and a fleet whose workers hold the keys."""

    fleet: Fleet
    twins: dict[str, TwinVenue]
    accounts: list[AccountConfig]
    environ: dict[str, str]


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with machines.fleet(tmp_path_factory.mktemp("fleet")) as fleet, stage.twins("okx", "bybit") as served:
        accounts, environ = [], {}
        for twin in served.values():
            rows, held = machines.customers(twin, COUNT)
            accounts += rows
            environ |= held
        for name in (
            "OKX_APIKEY_7",
            "OKX_APIKEY_90",
            "BYBIT_APIKEY_3",
        ):  # refused: two alike at one exchange, one alone
            environ[name] = environ[name][:-1] + "x"
        for _ in range(2):
            fleet.worker({**environ, "OPENS": PASSPHRASE})
        fleet.await_workers(2)
        yield World(fleet, served, accounts, environ)
