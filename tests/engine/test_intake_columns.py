"""Parquet by its columns and row by row: what the one takes the other takes, and both mean the same."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from auditor.engine import files, parquet
from auditor.engine.columns import Range
from auditor.engine.intake import Evidence
from auditor.errors import InputError

from .invented import NOW, document
from .test_intake_paths import _evaluated, _without_nulls, mutated, valid

HEAD = "'auditor/evidence/1' AS schema, {'name': 'a', 'exchange': 'okx'%s} AS account"


@pytest.fixture(autouse=True, scope="module")
def _never_too_small() -> Iterator[None]:
    """A single row is worth a look at the columns here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "_WORTH_A_LOOK", 0)
        yield


def by_columns(evidence: Evidence) -> bool:
    return all(isinstance(part, Range) for part in evidence.parts)


def by_rows(path: Path) -> Evidence:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "_WORTH_A_LOOK", 2**60)
        return Evidence(NOW).add_files([path])


def copied(query: str, path: Path) -> Path:
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path


def from_lines(documents: list[dict[str, Any]], folder: Path) -> Path | None:
    """A Parquet file of the types that are found in lines; None where the lines cannot be one."""
    text, path = folder / "e.jsonl", folder / "e.parquet"
    text.write_text("\n".join(map(json.dumps, documents)))
    try:
        return copied(f"SELECT * FROM read_json('{text}', maximum_depth = -1)", path)
    except duckdb.Error:
        return None


def same(path: Path) -> None:
    """What is read by columns is what is read row by row."""
    with Evidence(NOW).add_files([path]) as fast:
        if not by_columns(fast):
            return
        with by_rows(path) as slow:  # which refuses nothing
            assert not by_columns(slow)
            assert [one.to_document() for one in fast.snapshots()] == [one.to_document() for one in slow.snapshots()]
            assert fast.exchanges == slow.exchanges
            assert _evaluated(fast) == _evaluated(slow)


@given(st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_both_ways_agree(tmp_path_factory: pytest.TempPathFactory, chance: random.Random) -> None:
    documents = [_without_nulls(valid(chance)) for _ in range(chance.randrange(1, 8))]
    if chance.random() < 0.6:
        one = chance.choice(documents)
        mutated(one, chance)
    if (path := from_lines(documents, tmp_path_factory.mktemp("both"))) is None:
        return
    try:
        same(path)
    except InputError:
        with pytest.raises(InputError):
            by_rows(path)


def test_what_collectors_write_is_taken_by_columns(tmp_path: Path) -> None:
    """Else the test above compares nothing. With sources, as a map or as a struct, and problems."""
    chance, taken = random.Random(4), 0
    for _ in range(20):
        documents = [_without_nulls(valid(chance)) for _ in range(5)]
        for one in documents:
            one["sources"]["account.kind"].pop("expires", None)
        path = from_lines(documents, tmp_path)
        assert path
        with Evidence(NOW).add_files([path]) as evidence:
            taken += by_columns(evidence)
            assert len(evidence) == 5
        same(path)
    assert taken == 20


@pytest.mark.parametrize(
    "row",
    [
        f"{HEAD % ''}, 'x' AS unknown",
        f"{HEAD % ', created: 1'}",
        f"{HEAD % ', keys_counted: true'}",
        f"{HEAD % ', keys_counted: 1.5'}",
        f"{HEAD % ', keys_counted: 9007199254740993'}",
        f"{HEAD % ', kind: $$MAIN$$'}",
        f"{HEAD % ', Kind: $$main$$'}",
        f"{HEAD % ', keys_counted: 3'}, MAP {{'account.keys_counted': {{'by': 'attest', 'at': '2026-11-19'}}}} AS sources",
        f"{HEAD % ''}, MAP {{'account.kind': {{'by': 'attest', 'expires': '2026-11-01'}}}} AS sources",
        f"{HEAD % ''}, MAP {{'account.kind': {{'by': 'nobody'}}}} AS sources",
        f"{HEAD % ''}, MAP {{'account.nothing': {{'by': 'api'}}}} AS sources",
        f"{HEAD % ''}, {{'account.nothing': {{'by': 'api'}}}} AS sources",
        f"{HEAD % ''}, {{'account.kind': {{'by': 'api', 'more': 1}}}} AS sources",
        f"{HEAD % ''}, [{{'endpoint': 'x', 'reason': 'because'}}] AS problems",
        f"{HEAD % ''}, [{{'endpoint': NULL::VARCHAR, 'reason': 'timeout'}}] AS problems",
        f"{HEAD % ''}, ['x'] AS problems",
        f"{HEAD % ''}, [{{'label': 'x'}}, NULL] AS api_keys",
        f"{HEAD % ''}, [{{'label': 1}}] AS api_keys",
        f"{HEAD % ''}, {{'label': 'x'}} AS api_keys",
        f"{HEAD % ''}, [{{'permissions': ['trade', NULL]}}] AS api_keys",
        f"{HEAD % ', enrolled_factors: [$$sms$$, $$everything$$]'}",
        f"{HEAD % ', enrolled_factors: [$$sms$$, NULL]'}",
        f"{HEAD % ''}, [{{'ip_allowlist': ['10.0.0.1', NULL]}}] AS api_keys",
        f"{HEAD % ''}, [{{'created_at': TIMESTAMP '2025-01-01'}}] AS api_keys",
        f"{HEAD % ''}, [{{'created_at': TIMESTAMPTZ '1999-01-01'}}] AS api_keys",
        f"{HEAD % ''}, [{{'created_at': '2025-02-30T00:00:00Z'}}] AS api_keys",
        f"{HEAD % ''}, [{{'created_at': '2025-02-03T00:00:00+02:00'}}] AS api_keys",
        f"{HEAD % ''}, [{{'created_at': '2025-02-03T24:00:00Z'}}] AS api_keys",
        f"{HEAD % ''}, [{{'doc': 1}}] AS api_keys",
        f"{HEAD % ', balance_usd: $$nan$$::DOUBLE'}",
        f"{HEAD % ', balance_usd: $$-inf$$::DOUBLE'}",
        f"{HEAD % ', balance_usd: 0.1::FLOAT'}",
        "'auditor/evidence/2' AS schema, {'name': 'a', 'exchange': 'okx'} AS account",
        "NULL::VARCHAR AS schema, {'name': 'a', 'exchange': 'okx'} AS account",
        "'auditor/evidence/1' AS schema, {'name': 'a'} AS account",
        "'auditor/evidence/1' AS schema, {'name': '', 'exchange': 'okx'} AS account",
        "'auditor/evidence/1' AS schema, {'name': repeat('a', 201), 'exchange': 'okx'} AS account",
        "'auditor/evidence/1' AS schema, {'name': NULL::VARCHAR, 'exchange': 'okx'} AS account",
        "'auditor/evidence/1' AS schema, NULL::STRUCT(name VARCHAR, exchange VARCHAR) AS account",
        "'auditor/evidence/1' AS schema, 'a' AS account",
    ],
)
def test_what_is_not_plain_is_looked_at_row_by_row(tmp_path: Path, row: str) -> None:
    """Whatever becomes of it then."""
    assert parquet.ranges(copied(f"SELECT {row} FROM range(3)", tmp_path / "e.parquet"), tmp_path) == []
    [plain] = parquet.ranges(copied(f"SELECT {HEAD % ''} FROM range(3)", tmp_path / "e.parquet"), tmp_path)
    assert plain.count == 3


@pytest.mark.parametrize(
    "row",
    [
        f"{HEAD % ', keys_counted: 9007199254740992, balance_usd: 3, kyc_level: NULL::JSON'}, NULL::INTEGER[] AS problems",
        f"{HEAD % ''}, MAP {{'account.kind': {{'by': 'attest', 'at': '2026-10-31', 'expires': NULL::VARCHAR}}}} AS sources",
        f"{HEAD % ', enrolled_factors: []::JSON[], alert_channels: NULL::JSON[], trade_symbol_allowlist: true'}, []::JSON[] AS api_keys, NULL::JSON[] AS events",
        f"{HEAD % ''}, {{'account.kind': {{'by': 'attest', 'at': DATE '2026-10-31'}}, 'api_keys': {{'by': 'api', 'ref': 'x'}}}} AS sources",
        f"{HEAD % ''}, [{{'endpoint': 'x', 'reason': 'timeout'}}] AS problems",
        f"{HEAD % ''}, [{{'endpoint': 'x', 'reason': 'timeout', 'facts': ['api_keys'], 'detail': 'y'}}] AS problems",
        f"{HEAD % ''}, [{{'label': '2025-01-03 00:00:00+00', 'created_at': TIMESTAMPTZ '2025-01-03'}}] AS api_keys",
        f"{HEAD % ''}, [{{'ip_allowlist': ['x', '2025-01-03 00:00:00+00'], 'created_at': TIMESTAMPTZ '2025-01-03'}}] AS api_keys",
        f"{HEAD % ''}, [{{'created_at': TIMESTAMPTZ '2025-01-01 12:00:00.25+02', 'permissions': ['trade'], 'label': 'x'}}] AS api_keys",
        f"{HEAD % ''}, [{{'created_at': '2025-01-01T12:00:00.25Z', 'ip_allowlist': ['x']}}, {{'created_at': NULL, 'ip_allowlist': NULL}}, {{'created_at': NULL, 'ip_allowlist': []}}] AS api_keys, [{{'asset': NULL::VARCHAR}}] AS addresses",
    ],
)
def test_what_is_plain_means_the_same_either_way(tmp_path: Path, row: str) -> None:
    path = copied(f"SELECT {row} FROM range(3)", tmp_path / "e.parquet")
    with Evidence(NOW).add_files([path]) as evidence:
        assert by_columns(evidence)
    same(path)


@pytest.mark.parametrize("group", [30, 100, 1000])
def test_rows_are_shared_out_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int) -> None:
    documents = [
        document(
            {"name": f"a{n}", "kyc_level": n % 4},
            api_keys=[{"label": f"{n}-{k}", "can_read": True} for k in range(n % 3)],
        )
        for n in range(400)
    ]
    for one in documents[::7]:
        del one["api_keys"]
    path = from_lines(documents, tmp_path)
    table = pq.read_table(path)
    pq.write_table(table, tmp_path / "many.parquet", row_group_size=group)
    monkeypatch.setattr(parquet, "_WORTH_A_RANGE", 1000)
    monkeypatch.setattr(files, "processors", lambda: 5)
    with Evidence(NOW).add_files([tmp_path / "many.parquet"]) as shared:
        assert by_columns(shared) and 4 <= len(shared.parts) <= 5 and len(shared) == 400
        assert [one.name for one in shared.snapshots()] == [f"a{n}" for n in range(400)]
        monkeypatch.setattr(parquet, "_WORTH_A_RANGE", 2**40)
        with Evidence(NOW).add_files([tmp_path / "many.parquet"]) as one, by_rows(tmp_path / "many.parquet") as slow:
            assert len(one.parts) == 1
            assert _evaluated(shared) == _evaluated(one) == _evaluated(slow)
            assert list(shared.documents()) == list(one.documents())


def test_beside_lines_that_state_other_facts(tmp_path: Path) -> None:
    """Parts of both kinds make one table."""
    rows = from_lines(
        [document({"name": "p", "kyc_level": 2}, venue={"lifecycle": "active"}, api_keys=[{"can_trade": True}])],
        tmp_path,
    )
    assert rows
    (tmp_path / "l.jsonl").write_text(
        json.dumps(document({"name": "l", "kind": "sub"}, api_keys=[{"can_withdraw": False}]))
    )
    with Evidence(NOW).add_files([rows, tmp_path / "l.jsonl"]) as both:
        assert isinstance(both.parts[0], Range) and not isinstance(both.parts[1], Range)
        known = [
            {path: value for one in subjects if not one.unseen for path, value in one.facts.items()}
            for subjects in _evaluated(both)
        ]
    assert (
        known[0]["account.kyc_level"] == 2 and known[0]["api_key.can_trade"] is True and "account.kind" not in known[0]
    )
    assert (
        known[1]["account.kind"] == "sub"
        and known[1]["api_key.can_withdraw"] is False
        and "api_key.can_trade" not in known[1]
    )


def test_the_file_may_change_after_it_was_looked_at(tmp_path: Path) -> None:
    path = from_lines([document({"name": "first"})], tmp_path)
    assert path
    with Evidence(NOW).add_files([path]) as evidence:
        from_lines([document({"name": "second"})], tmp_path)
        assert by_columns(evidence) and [one.name for one in evidence.snapshots()] == ["first"]


def test_few_texts_that_stand_in_every_row_are_a_bomb(tmp_path: Path) -> None:
    """A dictionary holds them once: the file is small, and so is what it says of itself."""
    text = pa.array(["x" * 100_000]).dictionary_encode().dictionary
    labels = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), text)
    account = pa.StructArray.from_arrays(
        [pa.array(["a"] * 20_000), pa.array(["okx"] * 20_000), labels.cast(pa.string())],
        ["name", "exchange", "parent"],
    )
    table = pa.table({"schema": ["auditor/evidence/1"] * 20_000, "account": account})
    pq.write_table(table, tmp_path / "e.parquet")
    assert (tmp_path / "e.parquet").stat().st_size < 200_000
    with pytest.raises(InputError, match="unpacks to far more"):
        Evidence(NOW).add_files([tmp_path / "e.parquet"])


def test_a_source_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """In a map of another writer: the database takes none, and a reader of JSON the last one."""
    account = pa.array([{"name": "a", "exchange": "okx"}])
    twice = [[("account.kind", {"by": "api"}), ("account.kind", {"by": "attest"})]]
    sources = pa.array(twice, pa.map_(pa.string(), pa.struct([("by", pa.string())])))
    pq.write_table(
        pa.table({"schema": ["auditor/evidence/1"], "account": account, "sources": sources}), tmp_path / "e.parquet"
    )
    with pytest.raises(InputError, match="stands twice"):
        Evidence(NOW).add_files([tmp_path / "e.parquet"])


@pytest.mark.parametrize("folder", ["schema=okx", "doc=7", "x=1", "a[b]*"])
def test_names_of_folders_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """Neither of the one that a file lies in, nor of the one where we keep our own."""
    place = tmp_path / folder
    place.mkdir()
    documents = [document({"name": f"a{n}", "kyc_level": 2}, api_keys=[{"can_trade": True}]) for n in range(3)]
    path = from_lines(documents, tmp_path)
    assert path
    path = path.rename(place / "e.parquet")
    (place / "e.jsonl").write_text("\n".join(map(json.dumps, documents)))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with Evidence(NOW).add_files([path]) as rows, Evidence(NOW).add_files([place / "e.jsonl"]) as lines:
        assert by_columns(rows) and _evaluated(rows) == _evaluated(lines)
        assert [len(subjects) for subjects in _evaluated(rows)] == [len(subjects) for subjects in _evaluated(lines)]
        assert all(subjects for subjects in _evaluated(rows))
    with by_rows(path) as slow:
        assert len(slow) == 3
