"""Parquet: one row a document, in the types a table holds them in."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditor.engine import lines, parquet, parquet_rows
from auditor.engine.evaluate import Evaluation
from auditor.engine.intake import Evidence
from auditor.errors import InputError
from auditor.model.facts import format_time
from auditor.model.report import Outcome

from .invented import NOW, rule
from .test_intake_paths import valid


@pytest.fixture(autouse=True, params=["by columns", "row by row"])
def _either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be taken by its columns is read row by row all the same."""
    monkeypatch.setattr(parquet, "_WORTH_A_LOOK", 0 if request.param == "by columns" else 2**60)


_ROW = "SELECT 'auditor/evidence/1' AS schema, {{'name': 'a', 'exchange': 'okx'{account}}} AS account{more}"


def written(path: Path, account: str = "", more: str = "", rows: int = 1) -> Path:
    query = _ROW.format(account=account and f", {account}", more=more and f", {more}")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        escaped = str(path).replace("'", "''")
        connection.execute(f"COPY (SELECT t.* FROM ({query}) t, range({rows})) TO '{escaped}' (FORMAT parquet)")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    with Evidence(NOW).add_files([path]) as evidence:
        return [dict(one.to_document()) for one in evidence.snapshots()]


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        Evidence(NOW).add_files([path])
    return str(caught.value)


def test_a_null_is_an_absent_key_and_an_empty_list_is_one(tmp_path: Path) -> None:
    more = "[{'label': 'x', 'can_read': NULL::BOOLEAN}] AS api_keys, NULL::VARCHAR[] AS events, []::STRUCT(label VARCHAR)[] AS addresses"
    [one] = read(written(tmp_path / "e.parquet", "'settings_lock': NULL::BOOLEAN", more))
    assert one["api_keys"] == [{"label": "x"}]
    assert one["addresses"] == []
    assert "events" not in one
    assert "settings_lock" not in one["account"]


@pytest.mark.parametrize(
    "time",
    [
        "TIMESTAMPTZ '2025-01-03 00:00:00+00'",
        "TIMESTAMPTZ '2025-01-03 09:00:00+09'",
        "DATE '2025-01-03'",
        "'2025-01-03T00:00:00Z'",
    ],
)
def test_times_are_times_in_every_type_that_knows_its_zone(tmp_path: Path, time: str) -> None:
    [one] = read(written(tmp_path / "e.parquet", f"'created_at': {time}"))
    assert one["account"]["created_at"] == "2025-01-03T00:00:00Z"


def test_fractions_of_a_second_are_kept(tmp_path: Path) -> None:
    [one] = read(written(tmp_path / "e.parquet", "'created_at': TIMESTAMPTZ '2025-01-03 00:00:00.25+00'"))
    assert one["account"]["created_at"] == "2025-01-03T00:00:00.250000Z"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_every_unit_are_times_wherever_they_stand(tmp_path: Path, unit: str) -> None:
    moment = datetime(2025, 1, 3, tzinfo=UTC)
    time = pa.timestamp(unit, "UTC")
    account = pa.array([{"name": "a", "exchange": "okx", "created_at": moment}]).cast(
        pa.struct({"name": pa.string(), "exchange": pa.string(), "created_at": time})
    )
    keys = pa.array([[{"created_at": moment}, None, {"created_at": None}]]).cast(
        pa.list_(pa.struct({"created_at": time}))
    )
    table = {"schema": ["auditor/evidence/1"], "account": account, "collected_at": pa.array([moment], time)}
    pq.write_table(pa.table({**table, "api_keys": keys.slice(0, 1)}), tmp_path / "n.parquet")
    assert "api_keys" in refused(tmp_path / "n.parquet")  # a null is no key
    keys = pa.array([[{"created_at": moment}, {"created_at": None}]]).cast(keys.type)
    pq.write_table(pa.table({**table, "api_keys": keys}), tmp_path / "e.parquet")
    [one] = read(tmp_path / "e.parquet")
    assert one["collected_at"] == one["account"]["created_at"] == "2025-01-03T00:00:00Z"
    assert one["api_keys"] == [{"created_at": "2025-01-03T00:00:00Z"}, {}]


def test_what_is_finer_than_a_microsecond_is_cut_off_either_way(tmp_path: Path) -> None:
    """It decides at a limit: rounded up, an account of ninety days and a nanosecond would be one of ninety days."""
    limit = NOW - timedelta(days=90)
    made = pa.scalar(int(limit.timestamp()) * 10**9 - 1, pa.timestamp("ns", "UTC"))
    fields = [pa.array(["a"]), pa.array(["okx"]), pa.array([made.value], made.type)]
    account = pa.StructArray.from_arrays(fields, ["name", "exchange", "created_at"])
    pq.write_table(pa.table({"schema": ["auditor/evidence/1"], "account": account}), tmp_path / "e.parquet")
    [one] = read(tmp_path / "e.parquet")
    assert one["account"]["created_at"] == format_time(limit - timedelta(microseconds=1))
    old = rule("r", "account", "account.created_at < now - INTERVAL '90' DAY")
    with Evidence(NOW).add_files([tmp_path / "e.parquet"]) as evidence, Evaluation(evidence, [old], {}) as found:
        assert found.counts()["r"] == {Outcome.PASS: 1}


@pytest.mark.parametrize("name", ["t", "tt", "ttt", "rows", "one"])
def test_no_column_stands_for_the_whole_row(tmp_path: Path, name: str) -> None:
    whole = "{'schema': 'auditor/evidence/1', 'account': {'name': 'a', 'exchange': 'okx'}}"
    for value in (whole, "NULL", "[TIMESTAMPTZ '2025-01-03']"):
        duckdb.sql(f"COPY (SELECT {value} AS {name}, 1 AS x) TO '{tmp_path / 'e.parquet'}' (FORMAT parquet)")
        assert "is not an evidence document" in refused(tmp_path / "e.parquet")


@pytest.mark.parametrize("name", ['a"b', "c''; DROP", "b.c", "é", "lambda", "x y"])
def test_whatever_columns_are_called_they_are_told(tmp_path: Path, name: str) -> None:
    moment = datetime(2025, 1, 3, tzinfo=UTC)
    account = {"name": "a", "exchange": "okx", name: moment}
    pq.write_table(pa.table({"schema": ["auditor/evidence/1"], "account": [account]}), tmp_path / "e.parquet")
    assert f"unknown fact account.{name}" in refused(tmp_path / "e.parquet")


@pytest.mark.parametrize(
    ("account", "more", "message"),
    [
        ("'created_at': TIMESTAMP '2025-01-03 00:00:00'", "", "account.created_at: expected a time"),
        ("'created_at': 1700000000", "", "account.created_at"),
        ("'settings_lock': 1", "", "account.settings_lock: expected true or false"),
        ("'settings_lock': 'yes'", "", "account.settings_lock: expected true or false"),
        ("'kyc_level': 1.5", "", "account.kyc_level: expected a whole number"),
        ("'balance_usd': 'nan'::DOUBLE", "", "account.balance_usd: expected a number"),
        ("'balance_usd': 'inf'::DOUBLE", "", "account.balance_usd: expected a number"),
        ("'parent': 12", "", "account.parent: expected text"),
        ("'wings': TRUE", "", "unknown fact account.wings"),
        ("", "TRUE AS API_KEYS", "unknown key API_KEYS"),
        ("", "'x'::BLOB AS api_keys", "api_keys: expected a list"),
        ("", "[NULL::STRUCT(label VARCHAR)] AS api_keys", "api_keys.0: expected a table"),
        ("", "1 AS collected_at", "collected_at: expected a time"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_refused_with_its_row(tmp_path: Path, account: str, more: str, message: str) -> None:
    path = written(tmp_path / "e.parquet", account, more)
    assert f"{path}:1: {message}" in refused(path)


def test_the_row_at_fault_is_named(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    with duckdb.connect() as connection:
        row = _ROW.format(account=", 'kind': CASE WHEN n = 207 THEN 'x' ELSE 'main' END", more="")
        connection.execute(f"COPY ({row} FROM range(1, 300) t(n)) TO '{path}' (FORMAT parquet)")
    assert f"{path}:207: account.kind" in refused(path)


@pytest.mark.parametrize(
    "name", ["a[b].parquet", "a*.parquet", "a?b.parquet", "a'b.parquet", "{a,b}.parquet", "a b.parquet", "a\\b.parquet"]
)
def test_the_name_of_a_file_is_no_pattern(tmp_path: Path, name: str) -> None:
    for other in ("ab.parquet", "axb.parquet", "b.parquet"):
        written(tmp_path / other, rows=5)
    path = tmp_path / name
    path.write_bytes(written(tmp_path / "one.parquet").read_bytes())
    with Evidence(NOW).add_files([path]) as evidence:
        assert len(evidence) == 1


@pytest.mark.parametrize("text", [b"PAR1", b"PAR1" + b"\x00" * 100 + b"PAR1", b"{}", b"\x00" * 1000])
def test_what_is_no_parquet_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "e.parquet"
    path.write_bytes(text)
    assert "is not a readable Parquet file" in refused(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "e.parquet", rows=1000)
    path.write_bytes(path.read_bytes()[:-20])
    assert "is not a readable Parquet file" in refused(path)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    assert "holds no evidence document" in refused(written(tmp_path / "e.parquet", rows=0))


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    duckdb.sql("SELECT 1 AS a").write_parquet(str(path))
    assert "is not an evidence document" in refused(path)


def test_sources_may_be_a_map(tmp_path: Path) -> None:
    more = "MAP {'api_keys': {'by': 'api', 'ref': NULL::VARCHAR}} AS sources"
    [one] = read(written(tmp_path / "e.parquet", more=more))
    assert one["sources"] == {"api_keys": {"by": "api"}}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_both_ways_to_read_a_row_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    """As it stands and with care: the same documents, times, nulls and labels that look like either."""
    chance = random.Random(11)
    documents = [valid(chance) for _ in range(80)]
    for one in documents:
        one["sources"]["account.kind"].pop("expires", None)
        for key in one.get("api_keys") or ():
            key["label"] = chance.choice(
                ["2025-01-03 00:00:00+00", '"2025-01-03 00:00:00+00"', "null", "\u2028", "é", None]
            )
    path, text = tmp_path / "e.parquet", tmp_path / "e.jsonl"
    text.write_text("\n".join(map(json.dumps, documents)))
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = '{zone}'")
        connection.execute(f"COPY (SELECT * FROM read_json('{text}')) TO '{path}' (FORMAT parquet)")
    monkeypatch.setattr(parquet, "_WORTH_A_LOOK", 2**60)
    monkeypatch.setattr(parquet_rows, "_ROWS", 3)
    found = []
    taken: list[bool] = []
    quick = lines.taken
    monkeypatch.setattr(lines, "taken", lambda rows, part: taken.append(quick(rows, part)) or taken[-1])
    for least in (0, 2**40):
        monkeypatch.setattr(lines, "_WORTH_A_DECODER", least)
        with Evidence(NOW).add_files([path]) as evidence:
            found.append([one.to_document() for one in evidence.snapshots()])
    assert found[0] == found[1] and len(found[0]) == 80
    assert 5 < sum(taken) < len(taken)


@pytest.mark.parametrize(
    "bomb",
    [
        "SELECT 'auditor/evidence/1' AS schema, {'name': 'a', 'exchange': 'okx'} AS account FROM range(3000000)",
        "SELECT 'auditor/evidence/1' AS schema, {'name': 'a', 'exchange': 'okx', 'parent': repeat('x', 100000000)} AS account",
        "SELECT 'auditor/evidence/1' AS schema, {'name': 'a', 'exchange': 'okx'} AS account, list_transform(range(2000000), lambda n: {'label': 'x'}) AS api_keys",
    ],
)
def test_a_small_file_that_unpacks_to_a_huge_one_is_refused_before_it_does(tmp_path: Path, bomb: str) -> None:
    path = tmp_path / "e.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({bomb}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
    assert path.stat().st_size < 100_000
    assert "unpacks to far more" in refused(path)


def test_what_a_file_says_of_itself_is_not_relied_upon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "e.parquet", rows=400)
    monkeypatch.setattr(parquet_rows, "_UNPACKED", "SELECT 1, 1 FROM parquet_metadata($1) LIMIT 1")
    monkeypatch.setattr(parquet_rows, "_MOST_UNPACKED", 1 - 200 * path.stat().st_size)
    assert "unpacks to far more" in refused(path)
