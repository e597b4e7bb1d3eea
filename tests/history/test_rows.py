"""The inventory as rows: what the database finds to differ is what the ledgers say, nobody can edit a row unseen, and of
twenty thousand keys only those that differ are fetched.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditor import pipeline
from auditor.cli import _stored, keys
from auditor.engine.intake import Evidence
from auditor.history import alchemy, baseline, check, connection, differences, inventory, ledger, runs, word
from auditor.history.differences import Difference
from auditor.history.ledger import Ledger
from auditor.history.store import TamperedError, View
from auditor.identity import Identity
from auditor.memory import Memory
from auditor.model.evidence import Problem, Reason, Snapshot
from auditor.model.facts import format_time
from tests.history.conftest import Place
from tests.history.invented import WHO, address, key, on, seen
from tests.history.tables import engine
from tests.stage import Stage


def run(place: Place, *snapshots: Snapshot) -> None:
    """An audit without rules, stored."""
    memory = Memory(identity=WHO, store=place.open())
    now = snapshots[0].collected_at
    recalled = memory.recall(snapshots)
    with Evidence(now).add(one.to_document() for one in recalled) as evidence:
        report = pipeline.judge(evidence, pipeline.Run(rules=(), identity=WHO, now=now))
    assert memory.keep(memory.compare(report), recalled, now).problems == ()


def of(account: str, snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, account={**snapshot.account, "name": account})


def approve(place: Place, day: int, *labels: str, mine: bool = True) -> None:
    """The word about subjects of `main` by their labels, or about all of it, one by one."""

    def part(view: View) -> Any:
        past, _ = runs.past(view, "main")
        assert past is not None
        held = [
            one for one in past.ledger.held if one.present and one.mark not in past.ledger.unlisted.get(one.scope, ())
        ]
        chosen = {one.place: mine for one in held if not labels or one.label in labels}
        return word.some(view, past.ledger, chosen, on(day), by="ana", whole=not labels)

    place.open().append("approval", on(day), part)


def approve_everything(place: Place, day: int) -> word.All:
    said = word.All(by="ana")
    place.open().append("approval", on(day), said.parts)
    return said


def found(place: Place, *names: str) -> list[Difference]:
    with place.open().reading() as view:
        told, rest, wrong = differences.find(view, names)
    assert (rest, wrong) == ([], [])
    return told


def reckoned(place: Place, account: str = "main") -> Difference:
    with place.open().reading() as view:
        one, code = _stored.account(view, account)
        assert one is not None and code == 0
        return keys._reckoned(view, one)


def _snapshot(chance: random.Random, day: int) -> Snapshot:
    """An account on a day on which anything may have happened to it."""
    names = chance.sample("abcdefgh", chance.choice([0, 3, 6, 7, 8]))
    made = [
        key(name, can_withdraw=chance.random() < 0.2, ip_allowlist=chance.choice([["192.0.2.7"], ["192.0.2.0/24"]]),
            last_used_at=f"2026-01-0{1 + day % 9}T00:00:00Z", **({"sub_account": chance.choice("xyz")} if chance.random() < 0.5 else {}))
        for name in names
    ]  # fmt: skip
    problems = (
        (Problem(endpoint="keys", reason=Reason.IMPLAUSIBLE_RESPONSE, facts=("api_keys",)),)
        if chance.random() < 0.15
        else ()
    )
    listed = None if chance.random() < 0.15 else made
    more: dict[str, Any] = {}
    if chance.random() < 0.5:
        more["addresses"] = [address(name) for name in chance.sample("pq", chance.randrange(3))]
    if chance.random() < 0.4:
        more["withdrawals"] = [{"destination": WHO.fingerprint("address", chance.choice("pqr")), "amount": 1}]
    return seen(day, listed, complete=chance.choice([True, True, None, False]), problems=problems, **more)


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_the_database_finds_what_the_ledgers_say(place: Place, seed: int) -> None:
    chance = random.Random(seed)
    kinds = set()
    for day in range(9):
        run(place, _snapshot(chance, day))
        match chance.randrange(7):
            case 0:
                approve(place, day)
            case 1:
                approve_everything(place, day)
            case 2:
                approve(place, day, *chance.sample("abcdefgh", 3))
            case 3:
                approve(place, day, *chance.sample("abcdefgh", 2), mine=False)
        assert found(place) == [reckoned(place)] == found(place, "main")
        kinds |= {one.kind for one in found(place)[0].drifts}
    assert len(kinds) >= 3
    assert check.verify(place.open())[0] == []


def test_what_is_approved_unseen_is_what_is_approved_one_by_one(place: Place) -> None:
    """The word that names a run says what a word that names every subject says."""
    chance = random.Random(2)
    for day in range(8):
        run(place, _snapshot(chance, day))
        if day % 3 == 0:
            approve(place, day, "a", "b", mine=False)
        with place.open().reading() as view:
            past, _ = runs.past(view, "main")
            assert past is not None
            held = [
                one
                for one in past.ledger.held
                if one.present and one.mark not in past.ledger.unlisted.get(one.scope, ())
            ]
            one_by_one = baseline.approval({one.place: True for one in held}, past.ledger, by="ana", whole=True)
            explicit, _ = runs.approvals(view, "main", also=(format_time(on(day)), one_by_one))
        said = approve_everything(place, day)
        assert said.count == len(held) and not said.rest and not said.wrong
        with place.open().reading() as view:
            assert runs.approvals(view, "main")[0] == explicit


KEYS, ACCOUNTS = 100, 200


def ledgers(day: int, rows: dict[int, Any], before: dict[str, Ledger]) -> dict[str, Ledger]:
    """The inventories of many accounts."""
    named = {f"account-{at:03}": mine for at, mine in rows.items()}
    return {
        name: ledger.read(of(name, seen(day, mine)), before.get(name), WHO.fingerprint).ledger
        for name, mine in named.items()
    }


def bulk(place: Place, day: int, after: dict[str, Ledger], before: dict[str, Ledger]) -> None:
    """Stores them as a run does, without judging anything."""

    def parts(view: View) -> Any:
        said = {("", "run"): {"v": 2, "run": {"ruleset_sha256": ""}, "summary": {}, "problems": [], "accounts": []}}
        kept = {(name, runs.INVENTORY): one.to_document() for name, one in after.items()}

        def made(name: str) -> list[inventory.Row]:
            return inventory.rows(after[name], before.get(name), runs.approvals(view, name)[0])

        return {**said, **kept, **inventory.write(view.connection, after, made)}

    place.open().append("run", on(day), parts)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, postgres: Any) -> Iterator[list[Place]]:
    """20,000 keys of 200 accounts on either kind of database: approved unseen, then five of them differ."""
    folder, name = tmp_path_factory.mktemp("many"), f"many_{os.getpid()}"
    postgres.execute(f"CREATE DATABASE {name}")
    places = [
        Place(f"sqlite:///{folder / 'history.db'}", folder / "a" / "signing.key"),
        Place(postgres.url(name), folder / "b" / "signing.key"),
    ]
    before = {at: [key(f"{at}-{number}") for number in range(KEYS)] for at in range(ACCOUNTS)}
    now = {at: list(mine) for at, mine in before.items()}
    now[3][7] = key("3-7", can_withdraw=True)
    now[3][8] = key("3-8", label="renamed")
    now[50][0] = key("50-0", ip_allowlist=["192.0.2.7", "203.0.113.9"])
    now[51].append(key("stranger"))
    del now[199][99]
    first = ledgers(0, before, {})
    second = ledgers(1, now, first)
    for place in places:
        bulk(place, 0, first, {})
        assert approve_everything(place, 0).count == KEYS * ACCOUNTS
        bulk(place, 1, second, first)
    yield places
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are put to a database meanwhile."""
    said: list[str] = []

    def noting(real: Any) -> Any:
        def noted(held: Any, statement: str, *values: Any) -> Any:
            said.append(statement)
            return real(held, statement, *values)

        return noted

    with pytest.MonkeyPatch.context() as patch:
        for kind in (connection.Lite, alchemy.Alchemy):
            for name in ("rows", "write"):
                patch.setattr(kind, name, noting(getattr(kind, name)))
        yield said


def test_of_twenty_thousand_keys_those_that_differ_are_fetched(
    many: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[inventory.Row] = []
    real = differences.fetched

    def spy(*args: Any) -> Iterator[inventory.Row]:
        for row in real(*args):
            fetched.append(row)
            yield row

    monkeypatch.setattr(differences, "fetched", spy)
    for place in many:
        fetched.clear()
        with counted() as said:
            told = found(place)
        assert sorted((one.kind, one.subject.label) for each in told for one in each.drifts) == [
            ("changed", "renamed"), ("new", "stranger"), ("removed", "199-99"), ("widened", "3-7"), ("widened", "50-0"),
        ]  # fmt: skip
        assert len([row for row in fetched if row.scope]) == 5
        assert len([row for row in fetched if not row.scope]) == ACCOUNTS
        assert sum(one.unchanged for one in told) == KEYS * ACCOUNTS - 4 and len(told) == ACCOUNTS
        assert len(said) <= 15, said


def test_the_listing_reads_one_account_after_another(many: list[Place], tmp_path: Path) -> None:
    for place in many:
        stage = Stage(tmp_path)
        key_file = place.key.with_name("identity.key")
        text = (
            f"version: 1\naccounts: [{{name: a, exchange: okx}}]\nhistory: env:HISTORY\nidentity_key: file:{key_file}\n"
        )
        (stage.work / "auditor.yaml").write_text(text)
        stage.environ["HISTORY"] = place.url
        with counted() as said:
            ran = stage.run("keys", "list", "--limit", "150")
        assert ran.code == 0 and ran.out.count("\n  key ") == 150
        assert "50 more of account-001 and those of 198 other accounts" in ran.err
        assert len(said) <= 60, said
        with counted() as said:
            told = stage.run("keys", "diff")
        assert told.code == 0, told.err
        assert (
            "+ new: key stranger" in told.out and "nothing differs in 196 other accounts (19600 unchanged)" in told.out
        )
        assert len(said) <= 20, said
        approved = stage.run("keys", "approve", "stranger", "--by", "ana")
        assert approved.code == 0 and approved.err.startswith("1 approved"), approved.err
        assert "stranger" not in stage.run("keys", "diff").out


def test_approving_twenty_thousand_keys_is_a_handful_of_statements(many: list[Place]) -> None:
    for place in many:
        with counted() as said:
            assert approve_everything(place, 2).count == KEYS * ACCOUNTS
        assert len(said) <= 30, said
        assert [one for one in found(place) if one.drifts] == []
        assert check.verify(place.open())[0] == []


@pytest.mark.parametrize(
    "edit",
    [
        "DELETE FROM history_subject WHERE label = 'theirs'",
        "UPDATE history_subject SET said = '' WHERE label = 'theirs'",
        "UPDATE history_subject SET covered = '' WHERE scope = 'api_key'",
        "UPDATE history_subject SET standing = 'gone' WHERE label = 'theirs'",
        "UPDATE history_subject SET label = 'mine' WHERE label = 'theirs'",
        "UPDATE history_subject SET account = 'other' WHERE label = 'theirs'",
        "UPDATE history_subject SET mark = 'x' WHERE label = 'bot'",
        "DELETE FROM history_subject",
    ],
)
def test_an_edited_row_is_not_believed(place: Place, edit: str) -> None:
    run(place, seen(0, [key("bot")]))
    approve(place, 0)
    run(place, seen(1, [key("bot"), key("theirs", can_withdraw=True)]))
    with engine(place.url).begin() as held:
        held.exec_driver_sql(edit)
    with place.open().reading() as view:
        told, rest, wrong = differences.find(view, ())
        assert [one for one in told if one.account == "main"] == [] and rest == ["main"]
        assert len(wrong) == 1 and isinstance(wrong[0], TamperedError) and "main" in wrong[0].message
    assert [(one.kind, one.subject.label) for one in reckoned(place).drifts] == [("new", "theirs")]
    assert any("rows of" in str(one) for one in check.verify(place.open())[0])
    said = word.All(by="mallory")
    with pytest.raises(word.NothingToSayError):
        place.open().append("approval", on(2), said.parts)
    assert [(one.kind, one.subject.label) for one in reckoned(place).drifts] == [("new", "theirs")]
    run(place, seen(3, [key("bot"), key("theirs", can_withdraw=True)]))  # the next run writes them anew
    assert [(one.kind, one.subject.label) for one in found(place)[0].drifts] == [("new", "theirs")]


def test_rows_of_a_later_record_are_not_put_back(place: Place) -> None:
    """Rows of an earlier day, whole and once signed, are not those of the newest record."""
    run(place, seen(0, [key("bot")]))
    approve(place, 0)
    with engine(place.url).begin() as held:
        old = held.exec_driver_sql("SELECT * FROM history_subject").all()
    run(place, seen(1, [key("bot"), key("theirs")]))
    with engine(place.url).begin() as held:
        held.exec_driver_sql("DELETE FROM history_subject")
        marks = ", ".join("?" if held.dialect.name == "sqlite" else "%s" for _ in inventory.COLUMNS)
        for row in old:
            held.exec_driver_sql(f"INSERT INTO history_subject VALUES ({marks})", tuple(row))
    with place.open().reading() as view:
        assert differences.find(view, ())[1] == ["main"]


def test_a_history_from_before_there_were_rows(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read as it was, and the next run of an account makes its rows."""
    with monkeypatch.context() as patch:
        patch.setattr(inventory, "write", lambda *_: {})
        run(place, seen(0, [key("bot")]))
        run(place, seen(1, [key("bot"), key("other")]))
    with engine(place.url).begin() as held:
        held.exec_driver_sql("DROP TABLE history_subject")
        held.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    with place.open().reading() as view:
        assert differences.find(view, ()) == ([], ["main"], [])
    assert [(one.kind, one.subject.label) for one in reckoned(place).drifts] == [("new", "other")]
    with pytest.raises(word.NothingToSayError):
        place.open().append("approval", on(1), word.All(by="ana").parts)
    approve(place, 1)
    assert reckoned(place).drifts == ()
    run(place, seen(2, [key("bot", can_withdraw=True), key("other")]))
    assert found(place) == [reckoned(place)] and [one.kind for one in found(place)[0].drifts] == ["widened"]
    assert check.verify(place.open())[0] == []


def test_an_approval_keeps_the_run_it_names(place: Place) -> None:
    for day in range(3):
        run(place, seen(day, [key("bot"), *(key(f"k{number}") for number in range(day))]))
        if day == 1:
            approve_everything(place, day)
    kept = place.open()
    record, pruned = kept.prune(on(2), on(9)) or (None, [])
    assert pruned == [1] and record is not None
    with kept.reading() as view:
        said, wrong = runs.approvals(view, "main")
    assert wrong == [] and {one.label for one in said.approvals.values()} == {"bot", "k0"}
    assert check.verify(kept)[0] == []
    with engine(place.url).begin() as held:
        held.exec_driver_sql("DELETE FROM history_part WHERE seq = 2")
    with kept.reading() as view:
        said, wrong = runs.approvals(view, "main")
    assert said.approvals == {} and len(wrong) == 1


def test_another_identity_key_leaves_no_rows_behind(place: Place) -> None:
    run(place, seen(0, [key("bot")]))
    other = Memory(identity=Identity.ephemeral("another"), store=place.open())
    snapshot = seen(1, [key("bot", fingerprint="f" * 32)])
    recalled = other.recall([snapshot])
    with Evidence(on(1)).add(one.to_document() for one in recalled) as evidence:
        report = pipeline.judge(evidence, pipeline.Run(rules=(), identity=other.identity, now=on(1)))
    other.keep(report, recalled, on(1))
    with place.open().reading() as view:
        assert [row.mark for row in differences.fetched(view, "scope = 'api_key'", ())] == ["f" * 32]
    assert found(place)[0].drifts == ()


def test_an_approval_while_a_run_was_under_way_is_not_lost(place: Place) -> None:
    run(place, seen(0, [key("bot")]))
    memory, snapshot = Memory(identity=WHO, store=place.open()), seen(1, [key("bot")])
    recalled = memory.recall([snapshot])
    approve_everything(place, 0)
    with Evidence(on(1)).add(one.to_document() for one in recalled) as evidence:
        report = pipeline.judge(evidence, pipeline.Run(rules=(), identity=WHO, now=on(1)))
    memory.keep(report, recalled, on(1))
    assert found(place) == [reckoned(place)] and found(place)[0].approved and found(place)[0].drifts == ()


def test_texts_that_others_wrote_stay_what_they_are(place: Place) -> None:
    labels = [
        "\x1b[2J",
        "\u202e",
        "\ud800",
        "a\x00b",
        "'; DROP TABLE history_subject; --",
        "a:b",
        "1:1:",
        "x" * 5000,
        "",
        "%",
        "ü",
    ]
    run(place, seen(0, [key("bot")]))
    approve(place, 0)
    run(place, seen(1, [key(f"k{at}", label=label) for at, label in enumerate(labels)]))
    told = found(place)
    assert told == [reckoned(place)]
    assert {one.subject.label for one in told[0].drifts if one.kind == "new"} >= set(labels) - {"", "x" * 5000}
    with place.open().reading() as view:
        assert word.holders(view, ["%"]) == ["main"] and word.holders(view, ["nobody"]) == []
