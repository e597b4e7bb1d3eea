"""The fast path and the careful path: what the one accepts the other accepts, and both mean the same."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from auditor.engine import files, intake, lines
from auditor.engine.evaluate import Evaluation
from auditor.engine.files import Batch
from auditor.engine.intake import Evidence
from auditor.engine.tables import Part
from auditor.errors import Fault, InputError
from auditor.model import document
from auditor.model.evidence import Reason
from auditor.model.facts import LISTS, catalogue, format_time, parse_time
from auditor.model.normalise import normalise
from auditor.model.rule import Predicate

from .invented import NOW, rule
from .test_score import seen_of, steps, truth


@pytest.fixture(autouse=True, scope="module")
def _never_too_short() -> Iterator[None]:
    """A single line is worth the fast path here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_WORTH_A_DECODER", 0)
        yield


_JUNK: list[Any] = [
    None, None, None, True, False, 0, 1, -1, 2, 1.7, 1.0, 2**53, 1e300, 1e301, float("nan"), float("inf"), "", "a", "yes", "sms", "totp",
    [], ["sms"], ["sms", None], [[]], {}, {"a": 1}, [{}], "2025-01-01", "2025-01-01T00:00:00Z", "2025-01-01T00:00:00+00:00",
    "2025-01-01T00:00:00+02:00", "2025-01-01T00:00:00.5Z", "2025-01-01t00:00:00z", "2025-01-01 00:00:00Z", "2025-01-01T00:00:00", "2025-01-01T00:00:00+0200",
    "2008-01-01T00:00:00Z", "2095-01-01T00:00:00Z", "2101-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2025-02-29T00:00:00Z", "2025-01-01T00:00:60Z",
    "x" * 300, "\u0000", '"', '"":""', "\u2028", "\ud800", "é", "auditor/evidence/1", "timeout", "api", "attest", "api_keys", "account.kind",
]  # fmt: skip
_KEYS = [
    *(fact.name for fact in catalogue().values()),
    *LISTS.values(),
    "by",
    "at",
    "expires",
    "ref",
    "reason",
    "facts",
    "unknown",
    "doc",
    "n",
    "Account",
    "x",
]


def valid(chance: random.Random) -> dict[str, Any]:
    whole = truth(chance)
    known = {step for step in steps(whole) if chance.random() < 0.5}
    one = seen_of(whole, known, "main", chance)
    if chance.random() < 0.5:
        one = {key: _without_nulls(value) for key, value in one.items() if value is not None}
    one["problems"] = [{"endpoint": "x", "reason": chance.choice(list(Reason)).value, "facts": ["api_keys"]}]
    one["sources"] = {"api_keys": {"by": "api", "ref": "GET /x"}, "account.kind": {"by": "attest", "at": "2026-11-01"}}
    if chance.random() < 0.2:
        one["sources"]["account.kind"]["expires"] = chance.choice(["2026-11-01", "2027-11-01"])
    return one


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value


def mutated(value: Any, chance: random.Random) -> Any:
    """The document with one thing in it changed, taken away, added or renamed."""
    table = value
    while True:
        inner = [
            child
            for child in (table.values() if isinstance(table, dict) else table)
            if isinstance(child, (dict, list)) and child
        ]
        if not inner or chance.random() < 0.25:
            break
        table = chance.choice(inner)
    if isinstance(table, list):
        table[chance.randrange(len(table))] = deepcopy(chance.choice(_JUNK))
    elif (action := chance.random()) < 0.7 and table:
        table[chance.choice(list(table))] = deepcopy(chance.choice(_JUNK))
    elif action < 0.8 and table:
        table[chance.choice(_KEYS)] = table.pop(chance.choice(list(table)))
    else:
        table[chance.choice(_KEYS)] = deepcopy(chance.choice(_JUNK))
    return value


def spelled(value: Any, chance: random.Random) -> bytes:
    """The document as a line, in one of the ways machines write; sometimes with a key that stands twice."""
    separators = chance.choice([(",", ":"), (", ", ": "), (" , ", " : ")])
    text = json.dumps(value, separators=separators, ensure_ascii=chance.random() < 0.5)
    if chance.random() < 0.15:
        place = text.index("{", chance.randrange(len(text) // 2)) if "{" in text[len(text) // 2 :] else 0
        text = (
            text[: place + 1]
            + chance.choice(['"kind":null,', '"name":"x",', '"label":"\\u0022\\u0022",', '"by":"api",'])
            + text[place + 1 :]
        )
    return text.encode("utf-8", "surrogatepass")


def _every_fact() -> list[Any]:
    shown = {
        scope: tuple(path for path in catalogue() if path.startswith((f"{scope}.", "account.", "venue.")))
        for scope in ("account", *LISTS)
    }
    return [rule(scope, scope, Predicate(sql="TRUE", facts=facts)) for scope, facts in shown.items()]


def _evaluated(evidence: Evidence) -> list[Any]:
    policies = {"nowhere": {"account.withdrawal_allowlist_enabled": True}}
    with Evaluation(evidence, _every_fact(), policies) as evaluation:
        return list(evaluation.documents())


@settings(max_examples=12, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 2**32).map(random.Random))
def test_both_paths_agree(chance: random.Random) -> None:
    with Evidence(NOW) as fast, Evidence(NOW) as slow:
        for _ in range(100):
            one = valid(chance)
            for _ in range(chance.choice([0, 1, 1, 2])):
                one = mutated(one, chance)
            line = spelled(one, chance)
            before = len(fast)
            with fast._part() as part:
                taken = lines.taken(Batch(lines=line, first=1, count=1), part)
            assert len(fast) == before + taken
            if not taken:
                continue
            careful = files.careful(line, "e.jsonl", 1).value  # raises where it refuses
            assert list(document.faults(files.careful(line, "e.jsonl", 1))) == [], line
            normal = normalise(careful, NOW)
            slow.add([careful])
            *_, stands = fast.documents()
            assert normalise(stands, NOW) == normal
        assert fast.exchanges == slow.exchanges and len(fast) == len(slow)
        if len(fast):
            assert _evaluated(fast) == _evaluated(slow)
            with Evidence(NOW) as elsewhere:  # as a worker of a fleet gets them
                elsewhere.take(b"\n".join(json.dumps(one).encode() for one in fast.documents()))
                assert _evaluated(elsewhere) == _evaluated(fast)


def test_the_fast_path_is_taken(tmp_path: Path) -> None:
    """By what our own collectors and most machines write: else the test above compares nothing."""
    chance = random.Random(1)
    taken = 0
    for _ in range(100):
        one = _without_nulls(valid(chance))
        one["sources"]["account.kind"].pop("expires", None)
        with Part(folder=tmp_path) as part:
            taken += lines.taken(Batch(lines=json.dumps(one).encode(), first=1, count=1), part)
    assert taken == 100


_A = b'{"schema":"auditor/evidence/1","account":{"name":"a","exchange":"okx"}}'


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (_A + b"\n" + _A, True),
        (_A + b"\r\n" + _A + b"\r", True),
        (_A + _A + b"\n", False),
        (b"\n" + _A + _A, False),
        (_A + b" " + _A + b"\n", False),
        (_A.replace(b",", b",\n", 1) + _A, False),
        (_A[:-1] + b"\n}" + _A, False),
        (b" " + _A + b"\n" + _A, False),
        (_A + b"\n\n" + _A + _A, False),
    ],
)
def test_a_line_is_a_document(tmp_path: Path, text: bytes, taken: bool) -> None:
    """As many documents as lines need not stand on a line each."""
    with Part(folder=tmp_path) as part:
        assert lines.taken(Batch(lines=text, first=1, count=text.count(b"\n") + 1), part) is taken


SPELLED = {
    "2025-01-03T00:00:00Z": "2025-01-03T00:00:00Z",
    "2025-01-31T23:59:59.000001Z": "2025-01-31T23:59:59.000001Z",
    "2024-02-29T00:00:00Z": "2024-02-29T00:00:00Z",
    "2095-02-28T00:00:00Z": "2095-02-28T00:00:00Z",
    "2025-01-03": "2025-01-03T00:00:00Z",
    "2025-01-03t00:00:00z": "2025-01-03T00:00:00Z",
    "2025-01-03 01:00:00+01:00": "2025-01-03T00:00:00Z",
    "2025-01-03T00:00:00.000000Z": "2025-01-03T00:00:00Z",
    "2025-01-03T00:00:00.5Z": "2025-01-03T00:00:00.500000Z",
    "2025-01-03T00:00:00.123456789Z": "2025-01-03T00:00:00.123456Z",
}


def _timed(path: str, time: str, tmp_path: Path) -> tuple[bool, list[Any]]:
    """Whether a document with that time goes the fast way, and what stands there then."""
    scope, _, name = path.partition(".")
    facts: Any = {name: time}
    one = {"schema": "auditor/evidence/1", "account": {"name": "a", "exchange": "okx"}}
    given = {"collected_at": time} if not name else {}
    if scope in LISTS:
        given = {LISTS[scope]: [facts, {}, facts]}
    elif name:
        given = {scope: {**one["account"], **facts} if scope == "account" else facts}  # type: ignore[dict-item]
    with Part(folder=tmp_path) as part:
        taken = lines.taken(Batch(lines=json.dumps({**one, **given}).encode(), first=1, count=1), part)
    return taken, list(part.documents())


@pytest.mark.parametrize("path", ["collected_at", *(path for path, fact in catalogue().items() if fact.kind == "time")])
def test_times_of_every_spelling_go_the_fast_way_and_come_out_in_one(path: str, tmp_path: Path) -> None:
    for number, (time, stands) in enumerate(SPELLED.items()):
        (folder := tmp_path / str(number)).mkdir()
        taken, [found] = _timed(path, time, folder)
        scope, _, name = path.partition(".")
        table = found if not name else found[LISTS[scope]][2] if scope in LISTS else found[scope]
        assert taken and table[name or path] == stands, time


@pytest.mark.parametrize("path", ["collected_at", "account.created_at", "api_key.created_at", "event.at"])
@pytest.mark.parametrize(
    "time",
    ["2025-02-29T00:00:00Z", "2025-04-31T00:00:00Z", "2025-13-01", "2025-01-03T24:00:00Z", "2025-01-03T00:00:60Z", "2008-12-31T23:59:59Z",
     "2025-01-03T00:00:00", "2025-01-03T00:00:00+0200", "2025-01-03T00:00:00Z\n2025-01-03T00:00:00Z", "٢٠٢٥-01-03T00:00:00Z", "2025-01-03T00:00:00Z\n",
     " 2025-01-03T00:00:00Z", "2025-01-03T00:00:00Z\u0000", "", "soon"],
)  # fmt: skip
def test_what_is_no_time_gets_the_careful_look(path: str, time: str, tmp_path: Path) -> None:
    assert _timed(path, time, tmp_path) == (False, [])


@given(st.datetimes(min_value=datetime(2009, 1, 1), max_value=datetime(2099, 12, 31), timezones=st.just(UTC)))
def test_a_time_that_is_right_at_a_glance_is_right(moment: datetime) -> None:
    text = format_time(moment)
    plain = document._PLAIN_TIME.fullmatch(text)
    assert bool(plain) == (2010 <= moment.year <= 2089 and (moment.month, moment.day) != (2, 29))
    assert parse_time(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        '{HEAD"doc":7}',
        '{HEAD"api_keys":[{"doc":7}]}',
        '{HEAD"api_keys":[{"n":7}]}',
        '{HEAD"api_keys":[{"\\u0064oc":7}]}',
        '{HEAD"api_keys":[{"doc":null}]}',
        '{HEAD"api_keys":2}',
        '{HEAD"account":{"name":"b","exchange":"okx"}}',
    ],
)
def test_numbers_are_ours_to_give(tmp_path: Path, text: str) -> None:
    """A document that brings a number, or a length for a list, is looked at with care and refused."""
    head = '"schema":"auditor/evidence/1","account":{"name":"a","exchange":"okx"},'
    path = tmp_path / "e.jsonl"
    path.write_text(text.replace("HEAD", head))
    with Evidence(NOW) as evidence, pytest.raises(InputError):
        evidence.add_files([path])


def test_many_readers_read_what_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same documents in the same order, faults with their own lines, however a file is shared out."""
    monkeypatch.setattr(files, "processors", lambda: 3)
    chance = random.Random(7)
    texts = [json.dumps({**valid(chance), "account": {"name": f"a{n}", "exchange": "okx"}}) for n in range(60)]
    path = tmp_path / "e.jsonl"
    path.write_text("\n".join([*texts[:20], "", *texts[20:]]))
    with Evidence(NOW).add_files([path]) as alone:
        whole = list(alone.documents())
    monkeypatch.setattr(files, "_WORTH_A_READER", 1000)
    with Evidence(NOW).add_files([path]) as evidence:
        assert len(evidence.parts) == 3 and min(part.count for part in evidence.parts) > 5
        assert list(evidence.documents()) == whole
        assert [one.name for one in evidence.snapshots()] == [f"a{n}" for n in range(60)]
    for at in (0, 30, 59):
        path.write_text("\n".join([*texts[:at], "{", *texts[at + 1 :]]))
        with Evidence(NOW) as broken, pytest.raises(InputError) as caught:
            broken.add_files([path])
        assert [fault.line for fault in caught.value.faults] == [at + 1]


def test_a_reader_that_dies_is_no_missing_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "processors", lambda: 2)
    monkeypatch.setattr(files, "_WORTH_A_READER", 1000)
    monkeypatch.setattr(intake, "_READER", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    chance = random.Random(7)
    path = tmp_path / "e.jsonl"
    path.write_text("\n".join(json.dumps(_without_nulls(valid(chance))) for _ in range(20)))
    with Evidence(NOW) as evidence, pytest.raises(InputError, match="stopped"):
        evidence.add_files([path])


@settings(max_examples=25, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 2**32).map(random.Random))
def test_whatever_a_file_holds_it_is_read_or_refused(chance: random.Random) -> None:
    """No mutation gets past the checks and breaks the engine."""
    with Evidence(NOW) as accepted:
        for _ in range(40):
            one = valid(chance)
            for _ in range(chance.choice([0, 1, 2, 3])):
                one = mutated(one, chance)
            line = spelled(one, chance)
            with Evidence(NOW) as evidence:
                path = evidence.folder / "e.jsonl"
                path.write_bytes(line)
                refused: tuple[Fault, ...] = ()
                try:
                    evidence.add_files([path])
                except InputError as error:
                    refused = error.faults
                assert {fault.line for fault in refused} <= {1}, line
                if not refused:
                    accepted.add(evidence.documents())
                    assert len(list(evidence.snapshots())) == 1
        assert len(_evaluated(accepted)) == len(accepted)


@settings(max_examples=100, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 2**32).map(random.Random))
def test_normalising_twice_changes_nothing_and_leaves_the_document_alone(chance: random.Random) -> None:
    one = valid(chance)
    before = json.dumps(one)
    normal = normalise(one, NOW)
    assert json.dumps(one) == before
    assert normalise(normal, NOW) == normal
