"""Evidence on disk as it comes: what was had is not asked for again, and what cannot be trusted was never had."""

from __future__ import annotations

import json
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditor import collect, demo, journal
from auditor.credentials import Sources
from auditor.errors import UsageError
from auditor.exchanges import _load
from auditor.identity import Identity
from auditor.journal import HOLDS, Journal
from auditor.model.evidence import Problem, Reason, Snapshot
from auditor.redaction import Secret, scrub
from auditor.twin._base import TwinVenue

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
ACCOUNTS = 4


class StoppedError(Exception):
    """What ends a collection in the middle."""


def snapshot(name: str = "a", **more: object) -> Snapshot:
    return replace(Snapshot(collected_at=NOW, account={"name": name, "exchange": "okx"}, api_keys=[]), **more)


def had(output: Path, now: datetime = NOW, exchange: str = "okx") -> set[str]:
    return set(Journal(output, resume=True).had(dict.fromkeys("abc", exchange), now))


def kept(output: Path, *snapshots: Snapshot) -> Path:
    with Journal(output, resume=True) as journal:
        for one in snapshots:
            journal.keep(one)
    return journal.path


def test_what_was_kept_was_had_as_it_was(tmp_path: Path) -> None:
    one = snapshot(
        "a", account={"name": "a", "exchange": "okx", "kind": "main"}, api_keys=[{"label": "é\u2028", "can_read": True}]
    )
    path = kept(tmp_path / "out.jsonl", one)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = Journal(tmp_path / "out.jsonl", resume=True).had({"a": "okx"}, NOW)["a"]
    assert again.to_document() == one.to_document()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=12,
    )
)
@example("\ud800 half a pair")
@example({"\udfff": [2**70, -0.0, 1e16, "\u2028\x7f\n"]})
def test_a_line_says_what_the_document_says(value: object) -> None:
    line = journal._line({"account": value})
    assert b"\n" not in line
    assert json.loads(line) == {"account": value}
    assert repr(json.loads(line)) == repr({"account": value})


@pytest.mark.parametrize(
    ("reason", "whole"),
    [
        (Reason.NOT_EXPOSED, True),
        (Reason.PERMISSION_DENIED, True),
        (Reason.TIMEOUT, False),
        (Reason.RATE_LIMITED, False),
        (Reason.INVALID_KEY, False),
    ],
)
def test_an_account_that_failed_is_asked_again(tmp_path: Path, reason: Reason, whole: bool) -> None:
    kept(tmp_path / "out.jsonl", snapshot("a", problems=(Problem(endpoint="e", reason=reason),)))
    assert had(tmp_path / "out.jsonl") == ({"a"} if whole else set())


@pytest.mark.parametrize("later", [HOLDS + timedelta(seconds=1), timedelta(seconds=-1)])
def test_what_is_old_or_of_the_future_is_asked_again(tmp_path: Path, later: timedelta) -> None:
    kept(tmp_path / "out.jsonl", snapshot("a"))
    assert had(tmp_path / "out.jsonl", NOW + later) == set()
    assert had(tmp_path / "out.jsonl", NOW + HOLDS) == {"a"}


def test_an_account_that_moved_to_another_exchange_is_asked_again(tmp_path: Path) -> None:
    kept(tmp_path / "out.jsonl", snapshot("a"))
    assert had(tmp_path / "out.jsonl", exchange="kraken") == set()


@pytest.mark.parametrize(
    "torn",
    [
        b'{"schema":"auditor/evid',
        b"\xff\xfe",
        b"[" * 3000,
        b"null",
        b'{"schema":"auditor/evidence/1","account":{"name":"b","exchange":"okx","kind":"nonsense"}}',
    ],
)
def test_a_line_that_was_torn_or_is_no_evidence_was_never_written(tmp_path: Path, torn: bytes) -> None:
    path = kept(tmp_path / "out.jsonl", snapshot("a"))
    with path.open("ab") as stream:
        stream.write(torn)
    assert had(tmp_path / "out.jsonl") == {"a"}
    kept(tmp_path / "out.jsonl", snapshot("c"))
    assert had(tmp_path / "out.jsonl") == {"a", "c"}


def test_without_resume_it_begins_anew_and_a_link_is_not_followed(tmp_path: Path) -> None:
    path = kept(tmp_path / "out.jsonl", snapshot("a"))
    with Journal(tmp_path / "out.jsonl", resume=False):
        pass
    assert path.read_bytes() == b""
    path.unlink()
    (tmp_path / "precious").write_text("mine")
    path.symlink_to(tmp_path / "precious")
    with pytest.raises(UsageError), Journal(tmp_path / "out.jsonl", resume=False):
        pass
    assert (tmp_path / "precious").read_text() == "mine" and had(tmp_path / "out.jsonl") == set()


def test_a_collection_that_was_stopped_does_not_ask_again_for_what_was_had(tmp_path: Path) -> None:
    """The second run sends no request with a key whose account came before the stop."""
    (twin,) = [one for one in demo.venues() if one.id == "okx"]
    with demo.served([twin]):
        accounts = [replace(demo.account(twin), name=f"account-{number}") for number in range(ACCOUNTS)]
        with pytest.raises(StoppedError), Journal(tmp_path / "o.jsonl", resume=False) as journal:
            collected(accounts, twin, keep=stopping(journal, after=2), had={})
        lines = journal.path.read_text().splitlines()
        assert len(lines) == 2 and all(json.loads(line)["account"]["exchange"] == "okx" for line in lines)
        twin.requests.clear()
        again = Journal(tmp_path / "o.jsonl", resume=True)
        found = again.had({one.name: one.exchange for one in accounts}, NOW)
        assert len(found) == 2
        with again:
            whole = collected(accounts, twin, keep=again.keep, had=found)
        again.done()
    assert [one.name for one in whole] == [one.name for one in accounts]
    asked = Counter(one.path for one in twin.requests)
    assert asked["/api/v5/account/config"] == ACCOUNTS - 2
    assert list(tmp_path.iterdir()) == []


def stopping(journal: Journal, *, after: int) -> collect.Keep:
    seen = 0

    def keep(one: Snapshot) -> None:
        nonlocal seen
        if seen == after:
            raise StoppedError
        seen += 1
        journal.keep(one)

    return keep


def collected(accounts: list, twin: TwinVenue, *, keep: collect.Keep, had: Mapping[str, Snapshot]) -> list[Snapshot]:
    return collect.collect(
        accounts,
        stated={},
        identity=Identity.ephemeral("t"),
        sources=Sources(environ=demo.environ([twin])),
        now=NOW,
        keep=keep,
        had=had,
    )


def test_how_many_are_read_at_once_leaves_every_account_its_time() -> None:
    for name in ("okx", "bybit", "binance", "kraken", "bitget", "gate", "kucoin"):
        connector = _load.connector(name)
        assert connector is not None
        assert collect.FEWEST_AT_ONCE <= collect.in_flight(connector) <= collect.MOST_AT_ONCE


def test_a_secret_is_found_among_thousands() -> None:
    """Where there are many, a text is searched for how they begin: what is masked must stay the same."""
    many = [Secret(f"secret/{number:05d}\nwith+a line") for number in range(3000)]
    for text in (
        "a secret/02999 here",
        "x%2Fsecret",
        "secret%2F00017%0Awith%2Ba%20line.",
        "secret/00017\\nwith+a line",
        "with+a line",
        "",
    ):
        assert scrub(text) == scrub(text, of=many)
    assert "00017" not in scrub("see secret/00017\nwith+a line")
    assert scrub("nothing of it, and short: secre") == "nothing of it, and short: secre"
