"""The page about exchanges is what the venue files say today, whatever stands in them."""

from __future__ import annotations

from dataclasses import replace

from auditor.exchanges import _venue
from auditor.model.venue import VenueFile
from tests.venues import PAGE, page


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
        told = (*venue.permissions_tick, *venue.permissions_never, *venue.hidden, *venue.traps)
        assert len(bullets) == len(told) + len(venue.needs_more) + bool(venue.warn_before_first_call)


def test_text_in_a_venue_file_marks_nothing_up() -> None:
    hostile = "a | b\n## c <script> [x](y) `code` *bold* _under_ \\"
    venue = replace(_venue.load("okx"), traps=(hostile,), where={"account.keys_counted": hostile})
    text = page([venue])
    assert "\n## c" not in text
    assert "<script>" not in text.replace("\\<", "")
    row = next(line for line in text.splitlines() if line.startswith("| `account.keys_counted`"))
    assert row.replace("\\|", "").count("|") == 4
