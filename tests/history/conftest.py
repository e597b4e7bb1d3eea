"""A history of either kind, empty, with a signing key of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from auditor.history import store
from auditor.history.chain import Record
from auditor.history.store import Store
from tests.history import cluster

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def postgres() -> Iterator[cluster.Cluster]:
    with cluster.running() as server:
        yield server


@dataclass(frozen=True)
class Place:
    """Where a history is, and the key that signs it."""

    url: str
    key: Path

    def open(self) -> Store:
        return store.open_store(self.url, key=self.key)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    key = tmp_path / "keys" / "signing.key"
    if request.param == "sqlite":
        yield Place(f"sqlite:///{tmp_path / 'history' / 'history.db'}", key)
        return
    server: cluster.Cluster = request.getfixturevalue("postgres")
    name = f"history_{uuid.uuid4().hex}"
    server.execute(f"CREATE DATABASE {name}")
    yield Place(server.url(name), key)
    server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def parts(number: int, *accounts: str) -> dict[tuple[str, str], Any]:
    """What a record may say."""
    said: dict[tuple[str, str], Any] = {("", "run"): {"number": number, "text": "x" * 50}}
    for account in accounts or ("main",):
        said[account, "inventory"] = {"account": account, "number": number}
        said[account, "report"] = {"findings": [number]}
    return said


def append(kept: Store, count: int = 1, *accounts: str) -> list[Record]:
    """So many runs, a day apart."""
    made = []
    for _ in range(count):

        def say(view: store.View) -> dict[tuple[str, str], Any]:
            return parts(len(view.records()) + 1, *accounts)

        made.append(kept.append("run", START + timedelta(days=len(made)), say))
    return made


@pytest.fixture
def kept(place: Place) -> Store:
    return place.open()
