"""One transaction in either database: the same texts, the same rows, all of it or nothing, and every failure told in one way."""

from __future__ import annotations

import pytest

from auditor.history import database
from auditor.history.connection import listed, scalar
from auditor.history.database import HistoryError
from auditor.history.store import Store
from auditor.history.tables import BODY, insert
from tests.history.conftest import append

_MARKS = "SELECT sha256 FROM history_body WHERE sha256 IN ({names}) ORDER BY sha256"
_ODD = ["a", "'; DROP TABLE history_body; --", ":b", "100%", "\u202e", "\\"]


@pytest.fixture
def url(kept: Store) -> str:
    """A history with a record in it; its address."""
    append(kept)
    return kept.url


def _marks(url: str) -> list[str]:
    names, values = listed("mark", _ODD)
    with database.connected(url) as held:
        return [mark for (mark,) in held.rows(_MARKS.format(names=names), values)]


def test_what_is_written_is_read_by_the_same_names(url: str) -> None:
    with database.connected(url, writes=True) as held:
        held.write(insert("history_body", BODY), [{"sha256": mark, "body": mark.encode()} for mark in _ODD[1:]])
        held.write(insert("history_body", BODY), {"sha256": _ODD[0], "body": b"\x00\xff"})
        assert "history_body" in held.tables() and not any(name.startswith("sqlite_") for name in held.tables())
    assert set(_marks(url)) == set(_ODD)
    with database.connected(url) as held:
        query = "SELECT body FROM history_body WHERE sha256 = :mark"
        assert scalar(held.rows(query, {"mark": _ODD[0]})) == b"\x00\xff"
        assert scalar(held.rows(query, {"mark": "nobody"})) is None
        for row in held.rows("SELECT sha256, body FROM history_body"):
            assert type(row) is tuple and len(row) == 2


def _begin(url: str, statement: str, ends: BaseException | None = None) -> None:
    """Writes a body, says the statement, and ends as it is told to."""
    with database.connected(url, writes=True) as held:
        held.write(insert("history_body", BODY), {"sha256": "a", "body": b"x"})
        held.write(statement)
        if ends is not None:
            raise ends


@pytest.mark.parametrize("ends", [ValueError("ours"), KeyboardInterrupt(), HistoryError("told already")])
def test_what_ends_with_an_error_was_never_there(url: str, ends: BaseException) -> None:
    with pytest.raises(type(ends)) as caught:
        _begin(url, "DELETE FROM history_head", ends)
    assert caught.value is ends and _marks(url) == []
    with database.connected(url) as held:
        assert scalar(held.rows("SELECT count(*) FROM history_head")) == 1


@pytest.mark.parametrize(
    "statement", ["SELECT nothing FROM history_body", "SELEKT 1", "INSERT INTO history_head VALUES (1)"]
)
def test_a_refused_statement_is_told_in_a_line_and_undoes_the_rest(url: str, statement: str) -> None:
    with pytest.raises(HistoryError, match="cannot be used") as caught:
        _begin(url, statement)
    assert len(caught.value.message.splitlines()) == 1 and caught.value.__suppress_context__
    assert _marks(url) == []


def test_a_reader_sees_one_moment(url: str, kept: Store) -> None:
    with database.connected(url) as held:
        before = scalar(held.rows("SELECT count(*) FROM history_record"))
        append(kept, 2)
        assert scalar(held.rows("SELECT count(*) FROM history_record")) == before
    with database.connected(url) as held:
        assert scalar(held.rows("SELECT count(*) FROM history_record")) == before + 2


def test_a_list_names_each_of_its_values() -> None:
    assert listed("kind", ["a", "b"]) == (":kind_0, :kind_1", {"kind_0": "a", "kind_1": "b"})
    assert listed("kind", []) == ("", {})
