"""Whatever is done to a history by somebody without the key: `verify` finds it and says which record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditor import signing
from auditor.history import chain, check, store
from auditor.history.chain import Record
from auditor.history.store import Store, TamperedError
from auditor.history.witness import Witness
from tests.history.conftest import START, Place, append
from tests.history.tables import engine, tables


@pytest.fixture
def five(kept: Store) -> Store:
    append(kept, 5)
    return kept


def execute(kept: Store, statement: Any, *values: Any) -> None:
    with engine(kept.url).begin() as connection:
        connection.execute(statement, *values)


@contextmanager
def changed(kept: Store, table: str, key: dict[str, Any], column: str, value: Any) -> Iterator[None]:
    """One cell, while the body of the with statement runs."""
    from sqlalchemy import select, update

    held = getattr(tables(), table)
    where = [held.c[name] == part for name, part in key.items()]
    with engine(kept.url).begin() as connection:
        before = connection.execute(select(held.c[column]).where(*where)).scalar_one()
        connection.execute(update(held).where(*where).values({column: value(before)}))
    moved = {**key, column: value(before)} if column in key else key
    try:
        yield
    finally:
        back = [held.c[name] == part for name, part in moved.items()]
        execute(kept, update(held).where(*back).values({column: before}))


def other(value: Any) -> Any:
    """A value of the same kind that is another one."""
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1])
    if isinstance(value, int):
        return value + 1000
    return value.swapcase() if value.swapcase() != value and len(value) >= 16 else value + "0"


@pytest.mark.parametrize("column", ["history", "kind", "at", "content", "previous", "signer", "signature"])
def test_every_column_of_a_record(five: Store, column: str) -> None:
    for seq in (1, 3, 5):
        with changed(five, "record", {"seq": seq}, column, other):
            faults = check.verify(five)[0]
            assert seq in {fault.seq for fault in faults} and {fault.seq for fault in faults} <= {seq, None}, faults
            with five.reading() as view, pytest.raises(TamperedError, match=f"record {seq}"):
                view.part(view.records()[seq - 1], "", "run")
    assert check.verify(five)[0] == []


@pytest.mark.parametrize("column", ["account", "kind", "sha256"])
def test_every_column_of_a_part(five: Store, column: str) -> None:
    for account, kind in (("", "run"), ("main", "inventory")):
        with changed(five, "part", {"seq": 3, "account": account, "kind": kind}, column, other):
            assert [(fault.seq, fault.what) for fault in check.verify(five)[0]] == [(3, "edited")]
            with five.reading() as view, pytest.raises(TamperedError):
                view.part(view.records()[2], account, kind)
    assert check.verify(five)[0] == []


@pytest.mark.parametrize("column", ["sha256", "body"])
def test_every_column_of_a_body(five: Store, column: str) -> None:
    with five.reading() as view:
        record = view.records()[2]
        mark = view.names(record)["main", "inventory"]
    with changed(five, "body", {"sha256": mark}, column, other):
        assert [(fault.seq, fault.what) for fault in check.verify(five)[0]] == [(3, "edited")]
        with five.reading() as view, pytest.raises(TamperedError):
            view.part(record, "main", "inventory")
    assert check.verify(five)[0] == []


@pytest.mark.parametrize("column", ["history", "seq", "hash", "signer", "signature"])
def test_every_column_of_the_head(five: Store, column: str) -> None:
    with changed(five, "head", {"id": 1}, column, other):
        assert check.verify(five)[0] and check.look(five)
    assert check.verify(five)[0] == []


@pytest.mark.parametrize("gone", [{1}, {3}, {2, 3}, {5}, {4, 5}, {1, 2, 3, 4, 5}])
def test_removed_records(five: Store, gone: set[int]) -> None:
    _remove(five, gone)
    for faults in (check.verify(five)[0], check.look(five)):
        assert faults, gone
    whats = {fault.what for fault in check.verify(five)[0]}
    assert whats & {"removed"} if max(gone) < 5 else whats & {"truncated"}


def test_removed_records_and_the_rest_renumbered(five: Store) -> None:
    from sqlalchemy import update

    _remove(five, {2})
    for table in (tables().record, tables().part):
        for seq in (3, 4, 5):
            execute(five, update(table).where(table.c.seq == seq).values(seq=seq - 1))
    faults = check.verify(five)[0]
    assert [(fault.seq, fault.what) for fault in faults if fault.what == "reordered"] == [
        (2, "reordered"),
        (3, "reordered"),
        (4, "reordered"),
    ]
    assert "written as record 3" in str(faults[0])


@pytest.mark.parametrize(("one", "two"), [(2, 3), (1, 5)])
def test_reordered_records(five: Store, one: int, two: int) -> None:
    from sqlalchemy import update

    for table in (tables().record, tables().part):
        for old, new in ((one, 99), (two, one), (99, two)):
            execute(five, update(table).where(table.c.seq == old).values(seq=new))
    faults = [fault for fault in check.verify(five)[0] if fault.what == "reordered"]
    assert [(fault.seq, fault.what) for fault in faults] == [
        (one, "reordered"),
        (two, "reordered"),
    ]
    assert f"written as record {two}" in str(faults[0])


@pytest.mark.parametrize("name", ["record", "part"])
def test_added_rows(five: Store, name: str) -> None:
    from sqlalchemy import insert, select

    table = getattr(tables(), name)
    with engine(five.url).begin() as connection:
        row = dict(connection.execute(select(table).where(table.c.seq == 5)).mappings().first() or {})
        row |= {"seq": 6} if name == "record" else {"kind": "more"}
        connection.execute(insert(table).values(**row))
    assert {fault.seq for fault in check.verify(five)[0]} & {5, 6}
    assert check.verify(five)[0]


def test_records_of_somebody_else(place: Place, tmp_path: Path) -> None:
    """Signed rightly, by a key that nobody here knows: told, not believed, and believed once the key is added."""
    mine = place.open()
    append(mine, 2)
    theirs = store.open_store(place.url, key=tmp_path / "other" / "signing.key")
    append(theirs)
    faults = check.verify(mine)[0]
    assert {fault.what for fault in faults} == {"unsigned"} and {fault.seq for fault in faults} == {3, None}
    assert signing.key_id(theirs.signer.public) in str(faults[0])
    with mine.reading() as view, pytest.raises(TamperedError, match="not known here"):
        view.part(view.records()[2], "", "run")
    listed = place.key.with_suffix(".pub")
    listed.write_text(
        listed.read_text()
        + "# the laptop\nlaptop "
        + " ".join(signing.ssh_line(theirs.signer.public).split()[1:])
        + "\n"
    )
    assert check.verify(place.open())[0] == []


def test_records_signed_before_the_key_was_rotated_stay_good(place: Place) -> None:
    append(place.open(), 2)
    new = signing.rotate(place.key)
    append(place.open(), 2)
    kept = place.open()
    assert kept.signer == new and check.verify(kept)[0] == []
    with kept.reading() as view:
        assert len({record.signer for record in view.records()}) == 2


def test_an_old_head_put_back_with_its_records(five: Store, tmp_path: Path) -> None:
    """Everything in the database fits then; only what this installation remembers does not."""
    from sqlalchemy import delete, insert

    kept = five
    with kept.reading() as view:
        old = view.head
    assert old is not None
    append(kept, 2)
    _remove(kept, {6, 7})
    execute(kept, delete(tables().head))
    execute(
        kept,
        insert(tables().head).values(
            id=1, history=old.history, seq=old.seq, hash=old.hash, signer=old.signer, signature=old.signature
        ),
    )
    for faults in (check.verify(kept)[0], check.look(kept)):
        assert [(fault.seq, fault.what) for fault in faults] == [(7, "truncated")]
    nobody = replace(kept, witness=Witness(path=tmp_path / "nothing"))
    assert check.verify(nobody)[0] == []  # what cannot be told, and the documentation says so
    append(kept)  # going on does not make it good
    assert check.verify(kept)[0]
    kept.witness.accept(check.verify(kept)[1] or old)
    assert check.verify(kept)[0] == []


def test_another_history_in_its_place(place: Place) -> None:
    kept = place.open()
    append(kept, 3)
    _remove(kept, {1, 2, 3})
    from sqlalchemy import delete

    execute(kept, delete(tables().head))
    append(kept, 4)
    assert {(fault.seq, fault.what) for fault in check.verify(kept)[0]} == {(None, "replaced")}


def test_a_cut_is_still_seen_after_more_was_written(five: Store) -> None:
    _remove(five, {4, 5})
    append(five, 2)
    with five.reading() as view:
        assert [record.seq for record in view.records()] == [1, 2, 3, 6, 7]
    assert "removed" in {fault.what for fault in check.verify(five)[0]}


def test_without_its_head_a_history_goes_on_and_says_so(five: Store) -> None:
    from sqlalchemy import delete

    execute(five, delete(tables().head))
    assert {fault.what for fault in check.verify(five)[0]} == {"truncated"}
    append(five)
    assert check.verify(five)[0] == []  # what was there was all there: the witness knew


def _remove(kept: Store, gone: set[int]) -> None:
    from sqlalchemy import delete

    for table in (tables().part, tables().record):
        execute(kept, delete(table).where(table.c.seq.in_(gone)))


def sealed(signer: signing.Signer, count: int, change: Callable[[Record], Record] = lambda one: one) -> list[Record]:
    head, made = None, []
    for _ in range(count):
        record, head = chain.seal(
            signer, history="h", after=head, kind="run", at="2026-01-01T00:00:00Z", content="0" * 64
        )
        made.append(change(record))
    return made


def test_the_chain_by_itself(tmp_path: Path) -> None:
    signer = signing.load(tmp_path / "signing.key")
    trusted = {signer.public.hex()}
    made = sealed(signer, 4)
    assert list(chain.links(made, trusted)) == []
    assert [fault.what for fault in chain.links(made, set())] == ["unsigned"] * 4
    # A record that was signed rightly, but follows another one.
    stranger = sealed(signer, 3, lambda one: one)[2]
    resigned = replace(stranger, previous="1" * 64, signature="")
    resigned = replace(resigned, signature=signer.sign(resigned.payload).hex())
    assert [(fault.seq, fault.what) for fault in chain.links([*made[:2], resigned], trusted)] == [(3, "replaced")]
    for field, value in (
        ("signature", ""),
        ("signature", "zz"),
        ("signer", "12"),
        ("signature", made[0].signature.upper()),
    ):
        assert not chain.signed(replace(made[0], **{field: value}))


def test_a_body_that_unpacks_to_too_much_is_refused(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib
    import zlib

    from sqlalchemy import update

    kept.append("run", START, lambda _view: {("", "run"): "x" * 5000})
    monkeypatch.setattr(store, "_LARGEST", 1000)
    with kept.reading() as view, pytest.raises(TamperedError):
        view.part(view.records()[0], "", "run")
    bomb = zlib.compress(b"x" * 5000) + b"more"
    execute(kept, update(tables().body).values(body=bomb, sha256=hashlib.sha256(b"x" * 1000).hexdigest()))
    with kept.reading() as view, pytest.raises(TamperedError):
        view.body(1, "", "run", hashlib.sha256(b"x" * 1000).hexdigest())
