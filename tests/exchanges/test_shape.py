"""What a venue wrote is read as it stands, or refused with its place: never guessed, never a crash, never quoted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges._base import Endpoint, Limit, Sheet
from auditor.exchanges._shape import Shape, ShapeError, bound, shown_names, unless
from auditor.model.evidence import Reason
from auditor.model.facts import parse_time
from auditor.redaction import Secret

READS = (
    "text",
    "texts",
    "split",
    "flag",
    "integer",
    "number",
    "time_ms",
    "time_s",
    "time_text",
    "rows",
    "only",
    "keys",
)
HERE = Endpoint(
    name="here",
    verb="GET",
    host="h",
    path="/p",
    api=("private",),
    call="p",
    limit=Limit(calls=1, seconds=1),
    source="test",
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(
        [
            10**400,
            -(10**400),
            1e308,
            "1" * 400,
            "\ud800",
            "٣",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
            "1e999",
        ]
    ),
    lambda child: st.lists(child, max_size=4) | st.dictionaries(st.text(max_size=5), child, max_size=4),
    max_leaves=8,
)


def attempt(read: Callable[[], Any]) -> tuple[Any, str]:
    """What was read, or the words of the refusal."""
    try:
        return read(), ""
    except ShapeError as error:
        return None, str(error)


@settings(max_examples=400, deadline=None)
@given(value=JSON, read=st.sampled_from(READS))
def test_anything_is_read_or_refused_and_nothing_else_happens(value: Any, read: str) -> None:
    found, told = attempt(getattr(Shape(value), read))
    assert told.startswith("$") or not told
    if told:
        return
    if read == "number":
        assert math.isfinite(found)
    if read.startswith("time"):
        assert parse_time(found) is not None
    if read in {"text", "split", "texts"}:
        json.dumps(found, ensure_ascii=False).encode()


@settings(max_examples=100, deadline=None)
@given(value=JSON, key=st.text(max_size=5))
def test_looking_into_anything_is_refused_with_its_place(value: Any, key: str) -> None:
    for look in (lambda: Shape(value)[key], lambda: Shape(value).get(key)):
        found, told = attempt(look)
        assert told.startswith("$") or (isinstance(value, dict) and not told)
        if found is not None:
            assert found.value is value[key]


@pytest.mark.parametrize("value", ["SECRETVALUE", ["SECRETVALUE"], {"a": "SECRETVALUE"}])
def test_a_refusal_never_quotes_the_value(value: Any) -> None:
    for read in READS:
        assert "SECRETVALUE" not in attempt(getattr(Shape(value), read))[1]


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        (True, True),
        (False, False),
        ("true", True),
        ("false", False),
        ("TRUE", True),
        ("False", False),
        (1, True),
        (0, False),
        ("1", True),
        ("0", False),
    ],
)
def test_flags_in_their_spellings(value: Any, flag: bool) -> None:
    assert Shape(value).flag() is flag


@pytest.mark.parametrize("value", [None, "", "yes", "no", "on", 2, -1, 1.0, 0.0, [], {}, [True], "null", " true"])
def test_what_is_no_flag_is_refused(value: Any) -> None:
    with pytest.raises(ShapeError):
        Shape(value).flag()


@pytest.mark.parametrize(
    "value",
    [True, False, None, 1.0, "1.0", "", " 1", "1 ", "٣", "0x1", "1_000", "1e3", 10**18, -(10**18), "9" * 19, [], {}],
)
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(ShapeError):
        Shape(value).integer()


@pytest.mark.parametrize(
    "value", [True, None, math.nan, math.inf, -math.inf, "NaN", "inf", "1e5", ".5", "5.", "", "1,5", 10**400, [], {}]
)
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ShapeError):
        Shape(value).number()


@pytest.mark.parametrize(
    ("value", "number"), [("0.5", 0.5), (-3, -3.0), ("-0.25", -0.25), (1e300, 1e300), (10**17, 1e17)]
)
def test_numbers_as_text_and_as_numbers(value: Any, number: float) -> None:
    assert Shape(value).number() == number


@pytest.mark.parametrize("value", [0, "0", -1, 1, "1", 10**17, "1970", True, None, "", 10**400])
def test_a_time_before_exchanges_is_no_time(value: Any) -> None:
    with pytest.raises(ShapeError):
        Shape(value).time_ms()


def test_times() -> None:
    assert Shape("1712000000000").time_ms() == "2024-04-01T19:33:20Z"
    assert Shape(1712000000).time_s() == "2024-04-01T19:33:20Z"
    assert Shape("2024-04-01T19:33:20").time_text() == "2024-04-01T19:33:20Z"
    assert Shape("2024-04-01T21:33:20+02:00").time_text() == "2024-04-01T19:33:20Z"


def test_half_a_surrogate_pair_does_not_hide_a_label_nor_break_a_file() -> None:
    assert Shape("evil\ud800").text() == "evil?"
    assert Shape("\ud83d\ude00 fine ☃").text().encode()


@pytest.mark.parametrize("value", [[], [1, 2], {}, "x", None])
def test_only_is_exactly_one(value: Any) -> None:
    with pytest.raises(ShapeError):
        Shape(value).only()


def test_get_skips_null_and_takes_the_first_there() -> None:
    shape = Shape({"a": None, "b": 0, "c": 1})
    found = shape.get("a", "b", "c")
    assert found is not None and found.value == 0 and found.at == "$.b"
    assert shape.get("x") is None


@pytest.mark.parametrize("entries", [[], [""], ["  "], ["*"], ["", "*"], ["198.51.100.7", "*"]])
def test_spellings_of_unbound(entries: list[str]) -> None:
    assert bound(entries) == (False, [])


def test_bound() -> None:
    assert bound([" 198.51.100.7 ", "", "203.0.113.0/24", "10.0.0.10"]) == (
        True,
        ["198.51.100.7", "203.0.113.0/24", "10.0.0.10"],
    )


@pytest.mark.parametrize("entry", ["0.0.0.0/0", "0.0.0.0", "::/0", "::", "0/0", "198.51.100.7/00"])
def test_a_list_that_holds_the_whole_internet_binds_nothing(entry: str) -> None:
    assert bound(["198.51.100.7", entry]) == (False, ["198.51.100.7", entry])
    assert unless(True) is None and unless(False) is False


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["desk@example.com", "dave@example.com", "d@x.example", "plain", "", "+49 170 1234567", "+49 171 9999967"]
        )
        | st.emails()
        | st.text(max_size=6)
    )
)
def test_shown_names_are_distinct_stable_and_hold_no_address(names: list[str]) -> None:
    shown = shown_names(names)
    assert set(shown) == set(names)
    assert len(set(shown.values())) == len(set(names)) or any("(" in name or "•" in name for name in names)
    assert shown == shown_names(reversed(names))
    assert not any("@example.com" in name for name in shown.values())


def test_names_that_would_look_the_same_are_told_apart() -> None:
    assert shown_names(["dave@example.com", "desk@example.com", "eve@example.com"]) == {
        "dave@example.com": "d•••",
        "desk@example.com": "d••• (2)",
        "eve@example.com": "e•••",
    }


# The sheet


def test_one_odd_field_costs_itself_and_says_which_fact_it_would_have_shown() -> None:
    sheet = Sheet()
    with sheet.reading(HERE, "api_keys") as seen:
        row = Shape({"a": 5, "b": "fine"})
        assert seen.field(row, "a", Shape.text, "api_key.label") is None
        assert seen.field(row, "c", Shape.text, "account.kind") is None
        assert seen.field(row, "b", Shape.text) == "fine"
    assert [(problem.reason, problem.facts) for problem in sheet.problems] == [
        (Reason.MALFORMED_RESPONSE, ("api_key.label",)),
        (Reason.MALFORMED_RESPONSE, ("account.kind",)),
    ]


def test_a_problem_is_told_once_and_cleaned_of_secrets_and_control_characters() -> None:
    held = Secret("CANARYSECRET-0123456789")
    sheet = Sheet()
    for _ in range(3):
        sheet.problem(HERE, Reason.VENUE_INCIDENT, f"\x1b[31m{held.reveal()} of eve@example.com \u202e" + "x" * 2000)
    (problem,) = sheet.problems
    assert not any(part in problem.detail for part in ("CANARY", "\x1b", "\u202e", "eve@"))
    assert len(problem.detail) < 500


def test_a_list_names_every_endpoint_that_showed_a_row_of_it() -> None:
    sheet = Sheet()
    other = Endpoint(
        name="there",
        verb="GET",
        host="h",
        path="/q",
        api=("private",),
        call="q",
        limit=Limit(calls=1, seconds=1),
        source="test",
    )
    for endpoint in (HERE, other):
        with sheet.reading(endpoint) as seen:
            seen.row("api_key", label="a")
    assert sheet.sources["api_keys"].ref == "GET /p, GET /q"


@pytest.mark.parametrize(
    "facts", [{"can_trade": "yes"}, {"created_at": "soon"}, {"ip_allowlist": [5]}, {"kind": "magic"}]
)
def test_a_fact_of_the_wrong_kind_is_a_problem_and_not_written(facts: dict[str, Any]) -> None:
    sheet = Sheet()
    with sheet.reading(HERE, "api_keys") as seen:
        seen.row("api_key", **facts)
    assert sheet.rows["api_key"] is None
    assert sheet.problems[0].reason is Reason.MALFORMED_RESPONSE
