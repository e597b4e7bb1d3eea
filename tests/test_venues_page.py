"""The page about exchanges is what the venue files say today, whatever stands in them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from auditor.cli.exchanges import facts_of, summary, unseen
from auditor.exchanges import _venue
from auditor.model.sight import of_scopes
from auditor.model.venue import VenueFile, age, shown_paths, stale
from tests.venues import PAGE, page

EXCHANGES = Path(_venue.__file__).parent


def every() -> list[VenueFile]:
    return [_venue.load(id_) for id_ in _venue.ids()]


def test_the_page_is_not_stale() -> None:
    fresh = page(every())
    assert PAGE.read_text(encoding="utf-8") == fresh, "run `python -m tests.venues` and look at the difference"


def test_the_page_does_not_depend_on_the_order_of_the_files() -> None:
    venues = every()
    assert page(venues) == page(venues[::-1])


def test_every_venue_has_a_row_and_a_section_with_all_that_its_file_says() -> None:
    text = page(every())
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(_venue.ids())
    for id_ in _venue.ids():
        venue = _venue.load(id_)
        section = text.partition(f"\n## {id_}\n")[2].partition("\n## ")[0]
        assert text.count(f"| [{id_}](#{id_}) |") == 1
        for fact in [*venue.where, *venue.needs_more, *(policy.fact for policy in venue.policies)]:
            assert fact in section.replace("\\", ""), f"{fact} is missing at {id_}"
        bullets = [line for line in section.splitlines() if line.startswith("- ")]
        told = (
            *venue.permissions_tick,
            *venue.permissions_never,
            *venue.hidden,
            *venue.traps,
            *unseen(facts_of(venue)),
        )
        more = len(venue.needs_more) + len(venue.include_needs) + bool(venue.warn_before_first_call)
        assert len(bullets) == len(told) + more
        for name in venue.remedies:
            assert f"| `{name}` |" in section


def test_the_numbers_of_the_overview_are_those_of_the_facts_that_are_named() -> None:
    for venue in every():
        about, facts = summary(venue), facts_of(venue)
        paths = {path for place, names in facts["proven"].items() for path in shown_paths(place, names)}
        assert about["proven"] == len(paths)
        assert (about["attested"], about["nobody"]) == (len(facts["attested"]), len(facts["unseen"]))
        groups = [paths, *(set(facts[name]) for name in ("beyond_reading", "fixed", "attested", "derived", "unseen"))]
        assert sum(map(len, groups)) == len(set().union(*groups)), "a fact has two answers"
        assert set().union(*groups) == set(of_scopes())


def test_what_only_a_key_beyond_reading_shows_is_not_proven() -> None:
    facts = facts_of(_venue.load("kraken"))
    assert "addresses" not in facts["proven"]
    assert "account.addresses_complete" in facts["beyond_reading"]
    assert "address.label" in facts["beyond_reading"]


def test_a_closed_venue_proves_nothing_and_the_owner_may_state_what_is_left() -> None:
    facts = facts_of(_venue.load("bitmex"))
    assert facts["proven"] == {}
    assert "account.keys_counted" in facts["attested"]


def test_the_list_of_exchanges_loads_no_connector() -> None:
    code = (
        "import sys; from auditor.cli.exchanges import summary, facts_of; from auditor.exchanges import _venue\n"
        "[(summary(_venue.load(one)), facts_of(_venue.load(one))) for one in _venue.ids()]\n"
        "print([name for name in sys.modules if name.startswith('auditor.exchanges.') and '._' not in name], 'ccxt' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[] False"


@pytest.mark.parametrize("id_", _venue.ids())
def test_every_remedy_and_permission_says_what_it_is_based_on(id_: str) -> None:
    """Nothing is sure without a source, and what has none says so."""
    raw = yaml.safe_load((EXCHANGES / f"{id_}.yaml").read_text())
    rows = [*raw.get("remedies", {}).values(), *([raw["permissions"]] if "permissions" in raw else [])]
    for row in rows:
        assert isinstance(row, dict), "steps alone do not say how sure they are"
        assert row["confidence"] in ("high", "medium", "low")
        assert row["confidence"] != "high" or row["sources"]
        assert "as_of" not in row or row["sources"], "a date of nothing that was read"
        assert all(source.startswith("https://") for source in row.get("sources", []))


def test_a_remedy_of_old_is_stale_and_one_without_a_date_too() -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert stale("2024-08-28", now)
    assert stale(None, now)
    assert not stale("2026-11", now)
    assert age("2024-08-28", now) == "as of 2024-08-28 (older than 180 days)"


def test_text_in_a_venue_file_marks_nothing_up() -> None:
    hostile = "a | b\n## c <script> [x](y) `code` *bold* _under_ \\"
    venue = replace(_venue.load("okx"), traps=(hostile,), where={"account.keys_counted": hostile})
    text = page([venue])
    assert "\n## c" not in text
    assert "<script>" not in text.replace("\\<", "")
    row = next(line for line in text.splitlines() if line.startswith("| `account.keys_counted`"))
    assert row.replace("\\|", "").count("|") == 4
