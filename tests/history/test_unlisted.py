"""What is missing from a list that nobody knows to be whole: neither gone nor there, and never called unchanged."""

from __future__ import annotations

from dataclasses import replace

from auditor.history import baseline, change, ledger
from auditor.history.baseline import Baseline
from auditor.history.ledger import Ledger, Reading
from auditor.model.evidence import Problem, Reason
from tests.history.invented import WHO, key, seen

KEYS = [key(name) for name in ("a", "b", "c")]


def read(
    day: int, names: str, before: Ledger | None = None, *, complete: bool | None = None, broken: bool = False
) -> Reading:
    snapshot = seen(day, [one for one in KEYS if one["label"] in names], complete=complete)
    if broken:
        outage = Problem(endpoint="keys", reason=Reason.TIMEOUT, facts=("api_keys",))
        snapshot = replace(snapshot, problems=(outage,))
    return ledger.read(snapshot, before, WHO.fingerprint)


def told(reading: Reading, before: Ledger, said: Baseline) -> tuple[dict[str, str], set[str]]:
    drifts = change.drift(reading, before, said)
    same = {one.label for one in change.unchanged(reading.ledger, drifts)}
    return {one.subject.label: one.kind for one in drifts}, same


def approved(of: Ledger, whole: bool = True) -> Baseline:
    places = {one.place: True for one in of.held if one.mark not in of.unlisted.get(one.scope, ())}
    return baseline.fold([(of.at, baseline.approval(places, of, by="me", whole=whole))])


def test_what_was_approved_and_is_not_listed_is_doubted_until_the_owner_says_so() -> None:
    first = read(0, "abc").ledger
    less = read(1, "a", first)
    assert not less.lost and not less.gone and all(one.present for one in less.ledger.held)
    assert told(less, first, approved(first)) == ({"b": "doubted", "c": "doubted"}, {"a"})
    again = read(2, "a", less.ledger)
    assert told(again, less.ledger, approved(first))[0] == {"b": "doubted", "c": "doubted"}
    settled = approved(less.ledger)
    assert told(read(3, "a", again.ledger), again.ledger, settled) == ({}, {"a"})
    back = read(4, "ab", again.ledger)
    assert told(back, again.ledger, settled) == ({"b": "new"}, {"a"})


def test_where_nothing_was_approved_it_is_told_once() -> None:
    first = read(0, "abc").ledger
    less = read(1, "a", first)
    assert told(less, first, Baseline()) == ({"b": "doubted", "c": "doubted"}, {"a"})
    again = read(2, "a", less.ledger)
    assert told(again, less.ledger, Baseline()) == ({}, {"a"})


def test_an_outage_is_told_as_a_problem_and_leaves_nothing_unchanged_that_was_not_seen() -> None:
    first = read(0, "abc").ledger
    hidden = read(1, "a", first, broken=True)
    assert told(hidden, first, approved(first)) == ({}, {"a"})
    dark = ledger.read(seen(1), first, WHO.fingerprint)
    assert told(dark, first, approved(first)) == ({}, set())


def test_a_widened_key_that_is_not_listed_any_more_stays_widened() -> None:
    first = read(0, "abc").ledger
    rows = [key("a"), key("b", can_withdraw=True)]
    wide = ledger.read(seen(1, rows, complete=None), first, WHO.fingerprint)
    less = read(2, "a", wide.ledger)
    assert told(less, wide.ledger, approved(first))[0] == {"b": "widened", "c": "doubted"}


def test_what_a_later_whole_list_does_not_name_is_gone() -> None:
    first = read(0, "abc", complete=True).ledger
    vague = read(1, "ab", first)
    assert vague.ledger.unlisted and not vague.ledger.doubted
    sure = read(2, "ab", vague.ledger, complete=True)
    assert [one.label for one in sure.gone] == ["c"] and not sure.ledger.unlisted
