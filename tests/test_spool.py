"""Values that do not fit into memory: they come back as they were, in order, and nobody else can see or change them."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.redaction import Secret
from auditor.spool import Gathering, Spool, gathered
from tests.reports.invented import bad_account, dim_account, hostile


def gather(values: Sequence[object], few: int, key: object = None) -> Sequence[object]:
    gathering: Gathering[object] = Gathering(key, few=few)  # type: ignore[arg-type]
    for one in values:
        gathering.add(one)
    assert len(gathering) == len(values)
    return gathering.done()


@given(
    st.lists(st.tuples(st.integers(0, 5), st.text(st.characters(exclude_categories=()))), max_size=20),
    st.integers(0, 8),
)
def test_values_come_back_sorted_and_equals_in_the_order_they_came(values: list[tuple[int, str]], few: int) -> None:
    found = gather(values, few, lambda one: one[0])
    assert isinstance(found, Spool) == (len(values) > few)
    expected = tuple(sorted(values, key=lambda one: one[0]))
    assert tuple(found) == expected and len(found) == len(expected)
    assert tuple(found) == expected, "it can be read again"
    assert tuple(found[1:3]) == expected[1:3] and tuple(found[::-1]) == expected[::-1]
    assert bool(found) == bool(expected)
    for place in range(-len(values), len(values)):
        assert found[place] == expected[place]
    with pytest.raises(IndexError):
        found[len(values)]


def test_reports_of_accounts_come_back_equal_whatever_stands_in_them() -> None:
    accounts = [bad_account(), dim_account(), hostile("\ud800\x00\u202e"), replace(dim_account(), name="x" * 10**6)]
    found = gather(accounts, 0)
    assert isinstance(found, Spool) and found == tuple(accounts) and found != tuple(accounts[:-1])
    assert found[0] is not found[0], "nothing is kept"


def test_another_process_is_sent_the_values() -> None:
    found = gather([1, 2, 3], 0)
    assert pickle.loads(pickle.dumps(found)) == (1, 2, 3)


def test_no_secret_gets_into_the_file() -> None:
    with pytest.raises(TypeError, match="never serialised"):
        gather([Secret("a-secret-value")], 0)


def test_the_file_has_no_name_and_is_closed_with_what_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(Path("/proc/self/fd").iterdir()) if Path("/proc/self/fd").is_dir() else set()
    found = gather(list(range(10)), 0)
    part = found[2:5]
    assert list(tmp_path.iterdir()) == []
    del found
    assert list(part) == [2, 3, 4], "a part keeps the file"
    del part
    if before:
        assert set(Path("/proc/self/fd").iterdir()) <= before


def test_a_few_are_a_tuple() -> None:
    assert gathered(iter([3, 1, 2])) == (3, 1, 2)


def test_large_ones_count_as_several() -> None:
    """Twenty accounts of five thousand keys each took three gigabytes."""
    large = Gathering[str](few=10, weigh=len)
    for text in ("aaaa", "bbbb", "cccc"):
        large.add(text)
    assert isinstance(large.done(), Spool) and list(large.done()) == ["aaaa", "bbbb", "cccc"]
    alone = Gathering[str](few=10, weigh=len)
    alone.add("a" * 100)
    assert alone.done() == ("a" * 100,)  # it is in memory anyway
