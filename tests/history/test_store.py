"""The store on both databases: what is written is read back, by many at once, and nothing else is believed."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.history import chain, check, connection, database, store
from auditor.history.database import HistoryError
from auditor.history.store import NoHistoryError, Store
from auditor.history.tables import BODY, HEAD, PART, RECORD, REVISIONS
from tests.history.conftest import START, Place, append, parts
from tests.history.tables import engine, tables

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_written_is_read_back(kept: Store) -> None:
    hostile = {"text": "\x00\x1b[2J\ud800 'DROP TABLE", "n": [1.5, None, True, 2**53], "ключ": "ё"}
    record = kept.append("run", START, lambda _view: {("", "run"): hostile, ("main", "report"): [hostile] * 3})
    append(kept, 2)
    with kept.reading() as view:
        assert [one.seq for one in view.records()] == [1, 2, 3]
        assert view.part(record, "", "run") == hostile
        assert view.part(record, "main", "report") == [hostile] * 3
        assert view.part(record, "main", "nothing") is None and view.part(record, "other", "report") is None
        assert view.newest("inventory") == {"main": 3} and view.newest("run") == {"": 3}
        assert [one.seq for one in view.records("run", newest=2)] == [2, 3]
        assert [one.seq for one in view.records(account="main", newest=1)] == [3]
        assert view.records("approval") == [] and view.record(9) is None
    faults, head = check.verify(kept)
    assert faults == [] and head is not None and head.seq == 3
    assert check.look(kept) == []


def test_nothing_is_made_by_reading(place: Place) -> None:
    with pytest.raises(NoHistoryError), place.open().reading():
        pass
    file = database.file_of(place.url)
    assert file is None or not file.exists()


def test_a_record_is_written_whole_or_not_at_all(kept: Store) -> None:
    append(kept)

    def broken(_view: store.View) -> dict[tuple[str, str], Any]:
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        kept.append("run", START, broken)
    with pytest.raises(ValueError, match="not JSON compliant"):
        kept.append("run", START, lambda _view: {("", "run"): float("nan")})
    with kept.reading() as view:
        assert [one.seq for one in view.records()] == [1]
    append(kept)
    assert check.verify(kept)[0] == []


def test_the_tables_are_those_of_the_migrations(kept: Store) -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from sqlalchemy import inspect

    append(kept)
    config = Config()
    config.set_main_option("script_location", str(ROOT / "auditor/history/migrations"))
    config.set_main_option("path_separator", "os")
    revisions = [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(revisions[::-1]) == REVISIONS
    with engine(kept.url).connect() as held:
        there = tables()
        for table, named in ((there.record, RECORD), (there.part, PART), (there.body, BODY), (there.head, HEAD)):
            assert tuple(column.name for column in table.columns) == named
            found = {row["name"]: row["nullable"] for row in inspect(held).get_columns(table.name)}
            assert found == {column.name: column.nullable for column in table.columns}
            keys = inspect(held).get_pk_constraint(table.name)["constrained_columns"]
            assert keys == [column.name for column in table.primary_key]


def test_a_newer_history_is_left_alone(kept: Store) -> None:
    append(kept, 2)
    before = check.verify(kept)[1]
    _execute(kept, "UPDATE alembic_version SET version_num = '9999'")
    for attempt in (lambda: append(kept), lambda: check.verify(kept), lambda: check.look(kept)):
        with pytest.raises(HistoryError, match="newer version") as caught:
            attempt()
        assert caught.value.hint
    _execute(kept, f"UPDATE alembic_version SET version_num = '{REVISIONS[-1]}'")
    assert check.verify(kept) == ([], before)


def test_many_processes_at_once_lose_nothing(place: Place) -> None:
    """They begin together, on a history and a key that are not there yet."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.history.writer", place.url, str(place.key), "12"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    acknowledged: list[int] = []
    for writer in writers:
        out, err = writer.communicate(timeout=120)
        assert writer.returncode == 0, err
        acknowledged += map(int, out.split())
    assert sorted(acknowledged) == list(range(1, 37))
    kept = place.open()
    assert check.verify(kept)[0] == [] and len(kept.trusted) == 1


class _Busy:
    """A connection to a database that somebody else is switching over."""

    def __init__(self, message: str, times: int) -> None:
        self.message, self.times, self.asked = message, times, 0

    def execute(self, _sql: str) -> None:
        self.asked += 1
        if self.asked <= self.times:
            raise sqlite3.OperationalError(self.message)


def test_who_begins_a_history_second_waits_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = _Busy("database is locked", 3)
    connection._log_ahead(busy)
    assert busy.asked == 4
    with pytest.raises(sqlite3.OperationalError):
        connection._log_ahead(_Busy("disk I/O error", 1))
    monkeypatch.setattr(connection, "PATIENCE", 0.05)
    with pytest.raises(sqlite3.OperationalError):
        connection._log_ahead(_Busy("database is locked", 10**9))


def test_killed_at_any_point_of_a_write(place: Place) -> None:
    """kill -9 at every so many lines of the code that writes, from an empty history on: it opens, verifies, and holds all
    that was acknowledged.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.history.killing", place.url, str(place.key)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["killed"] >= 30 and told["records"] >= 3 and told["lost"] == [] and told["faults"] == []
    assert check.verify(place.open())[0] == []


def test_prune_leaves_a_tombstone_and_what_is_needed(kept: Store) -> None:
    append(kept, 3, "main", "old")
    append(kept, 3, "main")
    kept.append("approval", START, lambda _view: {("main", "approval"): {"by": "ana"}})
    late = START + timedelta(days=400)
    record, pruned = kept.prune(START + timedelta(days=100), late) or (None, [])
    assert pruned == [1, 2, 4, 5] and record is not None  # 3 is the last of `old`, 6 that of `main`
    assert check.verify(kept)[0] == [] and check.look(kept) == []
    with kept.reading() as view:
        assert view.part(view.records()[0], "", "run") is None
        assert view.part(view.records()[2], "old", "report") == {"findings": [3]}
        assert view.part(view.records("approval")[0], "main", "approval") == {"by": "ana"}
    assert _count(kept, "history_body") == _count(
        kept, "(SELECT DISTINCT sha256 FROM history_part) AS said"
    )  # what nobody says any more is gone
    assert kept.prune(START + timedelta(days=100), late) is None
    append(kept)
    assert check.verify(kept)[0] == []


def test_what_is_pruned_without_a_tombstone_is_missed(kept: Store) -> None:
    append(kept, 4)
    kept.prune(START + timedelta(days=1), START + timedelta(days=9))
    assert check.verify(kept)[0] == []
    _execute(kept, "DELETE FROM history_part WHERE seq = 3")
    assert [(one.seq, one.what) for one in check.verify(kept)[0]] == [(3, "edited")]
    _execute(kept, "DELETE FROM history_part WHERE seq = 5")  # the tombstone itself
    assert {one.seq for one in check.verify(kept)[0]} >= {1, 3, 5}


def test_a_password_is_never_told(postgres: Any, tmp_path: Path) -> None:
    bad = postgres.url("postgres").replace(postgres.password, "opensesame-4711")
    cases = [bad, postgres.url("nowhere"), "postgresql://u:opensesame-4711@127.0.0.1:1/x", "postgresql://[::1/x"]
    for url in cases:
        kept = Store(url=url, signer=None, trusted=frozenset(), witness=None)  # type: ignore[arg-type]
        assert postgres.password not in repr(kept) and "opensesame" not in repr(kept)
        with pytest.raises(HistoryError) as caught, kept.reading():
            pass
        told = f"{caught.value.message} {caught.value.hint} {caught.value.__cause__}"
        assert postgres.password not in told and "opensesame" not in told
        assert len(caught.value.message.splitlines()) == 1
    assert database.place(bad) == database.place(postgres.url("postgres"))


def test_a_server_that_goes_away_costs_the_step_that_met_it(postgres: Any, tmp_path: Path) -> None:
    name = f"going_{os.getpid()}"
    postgres.execute(f"CREATE DATABASE {name}")
    kept = store.open_store(postgres.url(name), key=tmp_path / "signing.key")
    append(kept, 2)

    def cut(view: store.View) -> dict[tuple[str, str], Any]:
        with pytest.raises(Exception):  # noqa: B017  (its own connection ends too)
            view.connection.write("SELECT pg_terminate_backend(pg_backend_pid())")
        return parts(3)

    with pytest.raises(HistoryError):
        kept.append("run", START, cut)
    assert len(append(kept)) == 1 and check.verify(kept)[0] == []
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
    with pytest.raises(HistoryError, match="does not exist") as caught:
        append(kept)
    assert "make the database" in (caught.value.hint or "")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_canonical_json_is_json_and_the_same_again(value: Any) -> None:
    spelled = chain.canonical(value)
    assert spelled.isascii() and chain.canonical(json.loads(spelled)) == spelled


def test_parts_cannot_be_told_apart_wrongly() -> None:
    one = store.content_of({("a", "b"): "1", ("", "run"): "2"})
    assert one == store.content_of({("", "run"): "2", ("a", "b"): "1"})
    assert one != store.content_of({("a", "b"): "2", ("", "run"): "1"})


def _execute(kept: Store, statement: str) -> None:
    with engine(kept.url).begin() as connection:
        connection.exec_driver_sql(statement)


def _count(kept: Store, table: str) -> int:
    with engine(kept.url).connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def test_what_is_said_again_is_kept_once(kept: Store) -> None:
    for _ in range(4):
        kept.append("run", START, lambda _view: {("", "texts"): "x" * 9000, ("main", "report"): "x" * 9000})
    assert (_count(kept, "history_part"), _count(kept, "history_body")) == (8, 1)
    assert check.verify(kept)[0] == []
