"""`auditor exchanges`: the table, one venue in depth, what a list loads; and how old a policy may be."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from auditor.cli.exchanges import summary
from auditor.errors import InputError
from auditor.exchanges import _venue
from auditor.model.facts import catalogue
from auditor.model.venue import INVENTORY, Origin, Policy, Remedy, age
from tests import stage
from tests.engine.invented import document, judged, rule

_LOOK = """
import json, sys
from auditor.cli import main
try:
    main({args!r})
except SystemExit:
    pass
sys.stderr.write(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    return stage.Stage(tmp_path)


@pytest.mark.parametrize("args", [("exchanges",), ("exchanges", "-f", "json")])
def test_a_list_loads_no_connector(mine: stage.Stage, args: tuple[str, ...]) -> None:
    code = _LOOK.format(args=list(args))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=mine.work, env=mine.environ, capture_output=True, check=True, timeout=60
    )
    assert all(id_ in done.stdout.decode() for id_ in _venue.ids())
    loaded = set(json.loads(done.stderr.decode().splitlines()[-1]))
    assert "auditor.exchanges._venue" in loaded
    connectors = {f"auditor.exchanges.{id_}" for id_ in _venue.ids()} | {"auditor.exchanges._transport"}
    assert not loaded & connectors
    assert not [name for name in loaded if name.partition(".")[0] == "ccxt"]


def test_the_table_has_a_line_for_every_exchange(mine: stage.Stage) -> None:
    ran = mine.run("exchanges")
    assert ran.code == 0 and ran.err == ""
    head, *lines = ran.out.partition("\n\n")[0].splitlines()
    assert " ".join(head.split()) == "exchange lifecycle keys shown proven attested nobody"
    assert max(map(len, ran.out.splitlines())) <= 80
    assert [line.split()[0] for line in lines] == list(_venue.ids())
    words = {"all": "  all  ", "calling": "  the calling one  ", "none": "  none  "}
    for line in lines:
        venue = _venue.load(line.split()[0])
        about = summary(venue)
        assert words[venue.inventory or ""] in line
        assert line.split()[-3:] == [str(about[name]) for name in ("proven", "attested", "nobody")]


def test_the_table_as_json(mine: stage.Stage) -> None:
    rows = json.loads(mine.run("exchanges", "--format", "json").out)
    assert [row["id"] for row in rows] == list(_venue.ids())
    for row in rows:
        venue = _venue.load(row["id"])
        assert row["name"] == venue.name and row["credentials"] == list(venue.credentials)
        assert row["inventory"] == venue.inventory in INVENTORY
        assert row == summary(venue)
        assert row["proven"] == len({*venue.proven()}) - row["beyond_reading"]
        assert row["lifecycle"] in {*catalogue()["venue.lifecycle"].choices, "unknown"}


@pytest.mark.parametrize("id_", _venue.ids())
def test_one_exchange_in_depth(mine: stage.Stage, id_: str) -> None:
    venue = _venue.load(id_)
    told = json.loads(mine.run("exchanges", id_, "--format", "json").out)
    assert told["inventory"] == venue.inventory and told["attest"].keys() == venue.where.keys()
    assert bool(told["reads"]) == (venue.connector is not None)
    card = mine.run("exchanges", id_).out
    assert (venue.warn_before_first_call is not None) == ("\nBefore the first call\n" in card)
    assert card.startswith(f"{venue.name} ({id_}, ") and "\nA reading key shows of the account's keys\n" in card
    assert all(read in " ".join(card.split()) for read in told["reads"])
    assert (
        told["facts"]["proven"] == {place: list(names) for place, names in venue.shows.items()} or venue.beyond_reading
    )
    assert told["remedies"].keys() == venue.remedies.keys()
    for name, one in told["remedies"].items():
        assert f"- {name} ({one['confidence']}, {one['as_of'] or 'undated'}" in card
        assert one["steps"] and (one["sources"] or "no source" in card)
    assert told["permissions"]["confidence"] in {"high", "medium", "low"}


def test_what_a_venue_promises_is_named_in_the_card(mine: stage.Stage) -> None:
    card = " ".join(mine.run("exchanges", "okx").out.split())
    assert "- the account: balance_usd, kind," in card
    assert "- other keys that it may list: can_manage," in card
    assert "- withdrawals, where `include` asks for them: amount," in card
    assert "- any row of: addresses, events" in card


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("shows: {account: [kyc_levl]}", "did you mean account.kyc_level"),
        ("shows: {account: [password_unique]}", "is not shown by any API"),
        ("shows: {somewhere: [kind]}", "must be one of account"),
        ("include_needs: {everything: x}", "cannot be asked for"),
        ("remedies: {delete_key: {steps: [x], confidence: sure}}", "must be one of high"),
        ("remedies: {delete_key: {steps: [x], confidence: high}}", "has no source"),
        ("remedies: {delete_key: {steps: [x], sources: [s], as_of: soon}}", "a year, a month or a day"),
        ("remedies: {delete_key: {step: [x]}}", "needs steps"),
        ("permissions: {tick: [a], nevr: [b]}", "needs never, tick"),
    ],
)
def test_a_slip_in_a_venue_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str) -> None:
    monkeypatch.setattr(_venue, "__file__", str(tmp_path / "_venue.py"))
    (tmp_path / "x.yaml").write_text(f"id: x\nname: X\nlifecycle: {{value: active}}\npolicies: {{}}\n{text}\n")
    with pytest.raises(InputError, match=re.escape(told)):
        _venue.load.__wrapped__("x")


def test_steps_alone_are_steps_without_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_venue, "__file__", str(tmp_path / "_venue.py"))
    (tmp_path / "x.yaml").write_text(
        "id: x\nname: X\nlifecycle: {value: active}\npolicies: {}\nremedies: {delete_key: [Press it.]}\n"
    )
    remedy = _venue.load.__wrapped__("x").remedies["delete_key"]
    assert remedy.steps == ("Press it.",)
    assert (remedy.origin.sources, remedy.origin.as_of, remedy.origin.confidence) == ((), None, "low")


# The venue file.


def test_a_word_that_says_nothing_of_the_inventory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_venue, "__file__", str(tmp_path / "_venue.py"))
    sound = "id: x\nname: X\nlifecycle: {value: active, as_of: AS_OF}\npolicies: {}\ninventory: WORD\n"
    for word in ("some", "All", "[all]", "true", "null", "{}", "1"):
        (tmp_path / "x.yaml").write_text(sound.replace("WORD", word).replace("AS_OF", "2026"))
        with pytest.raises(InputError, match="all, calling, none"):
            _venue.load.__wrapped__("x")
    for day in ("soon", "2026-13", "2026-02-30", "26", "2026-1-1", "2026-08-31-01", "true", "[2026]", "'20261120'"):
        (tmp_path / "x.yaml").write_text(sound.replace("WORD", "all").replace("AS_OF", day))
        with pytest.raises(InputError, match="a year, a month or a day"):
            _venue.load.__wrapped__("x")
    (tmp_path / "x.yaml").write_text(sound.replace("WORD", "none").replace("AS_OF", "2026"))
    loaded = _venue.load.__wrapped__("x")
    assert loaded.inventory == "none" and loaded.policies[0].as_of == "2026"
    (tmp_path / "x.yaml").write_text(sound.replace("inventory: WORD\n", "").replace("AS_OF", "2026"))
    assert _venue.load.__wrapped__("x").inventory is None


# The age of a policy.

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
LIMIT = (NOW - timedelta(days=180)).date()


def policy(as_of: str | None) -> Policy:
    return Policy(fact="venue.id", value="x", sources=("s",), as_of=as_of, confidence="high", condition=None)


@pytest.mark.parametrize(
    ("as_of", "stale"),
    [
        (LIMIT.isoformat(), False),
        ((LIMIT - timedelta(days=1)).isoformat(), True),
        ((LIMIT + timedelta(days=1)).isoformat(), False),
        ("2026-11-20", False),
        ("2027-01-01", False),
        ("2024-08-28", True),
        ("2026-06", False),
        ("2026-05", True),  # from the first day, which is too old
        ("2026", True),
        ("2027", False),
        (None, True),
        ("no date", True),
    ],
)
def test_a_policy_is_stale_after_180_days(as_of: str | None, stale: bool) -> None:
    assert policy(as_of).stale(NOW) is stale


def test_the_hour_and_the_zone_of_the_moment_change_nothing() -> None:
    edge = policy(LIMIT.isoformat())
    late = NOW.replace(hour=23, minute=59)
    assert not edge.stale(late)
    assert edge.stale(late + timedelta(minutes=1))
    east = timezone(timedelta(hours=14))
    assert not edge.stale(late.astimezone(east))
    assert edge.stale((late + timedelta(minutes=1)).astimezone(timezone(timedelta(hours=-12))))


def test_the_age_in_words() -> None:
    assert age(None, NOW) == "undated"
    assert age("2024-08-28", NOW) == "as of 2024-08-28 (older than 180 days)"
    assert age("2026-11", NOW) == "as of 2026-11"


def told(monkeypatch: pytest.MonkeyPatch, as_of: str | None, collected_at: datetime) -> str:
    """What a report says of where a policy of that age comes from."""
    fact = "venue.api_withdrawal_requires_allowlist"
    venue = replace(_venue.load("okx"), policies=(replace(policy(as_of), fact=fact, value=True),))
    monkeypatch.setattr(_venue, "load", lambda _: venue)
    evidence = document({"exchange": "okx"}) | {"collected_at": collected_at.isoformat()}
    [account] = judged([evidence], (rule("r", "venue", fact),)).accounts
    [line] = [line for finding in account.findings for line in finding.evidence]
    assert line.fact == fact
    return line.source


@pytest.mark.parametrize(("days", "mark"), [(180, ""), (181, " (older than 180 days)")])
def test_a_report_marks_an_old_policy_as_of_the_moment_of_collection(
    monkeypatch: pytest.MonkeyPatch, days: int, mark: str
) -> None:
    """The evaluation itself takes place long after both."""
    read = datetime(2025, 3, 7, 10, tzinfo=UTC)
    said = told(monkeypatch, read.date().isoformat(), read + timedelta(days=days))
    assert said == f"policy of OKX, as of 2025-03-07{mark}"


def test_a_report_says_that_a_policy_is_undated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, None, NOW) == "policy of OKX, undated"


@pytest.mark.parametrize(
    ("as_of", "note"),
    [
        ("2026-11-01", None),
        ("2024-08-28", "(The menus may have other names by now: as of 2024-08-28 (older than 180 days).)"),
        (None, "(The menus may have other names by now: undated.)"),
    ],
)
def test_a_report_marks_the_steps_of_an_old_remedy(
    monkeypatch: pytest.MonkeyPatch, as_of: str | None, note: str | None
) -> None:
    remedy = Remedy(steps=("Press it.",), origin=Origin(as_of=as_of))
    venue = replace(_venue.load("okx"), remedies={"delete_key": remedy})
    monkeypatch.setattr(_venue, "load", lambda _: venue)
    asks = rule("r", "account", "account.password_unique")
    asks = replace(asks, fix=replace(asks.fix, remedy="delete_key", steps={"default": ("Else.",)}))
    evidence = document({"exchange": "okx", "password_unique": False}) | {"collected_at": NOW.isoformat()}
    [account] = judged([evidence], (asks,)).accounts
    [finding] = account.findings
    assert finding.fix.steps == ("Press it.", *([note] if note else []))
